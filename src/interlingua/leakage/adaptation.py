"""Domain adaptation of translations with public texts of the documents' own kind.

A map fitted on one kind of text is less accurate on another: the mean differs, and so do the directions of large
variance. Public texts of the documents' own kind, never the documents themselves, correct for that.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interlingua.aligners.frames import Frame
from interlingua.core.arguments import check_count
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.neighbors import mutual_neighbors
from interlingua.leakage._checks import check_one_each

__all__ = ["adapt"]

_NEIGHBORS = 10
# Ridge penalty relative to the mean variance of the documents; large, because neighbors are noisy targets.
_RIDGE = 0.3
_MIN_ROWS = 100
_MAX_PUBLIC = 10_000


def adapt(vectors: npt.ArrayLike, translated: npt.ArrayLike, public: npt.ArrayLike, *, seed: int = 0) -> FloatArray:
    """Return translations [n, d_target] by a ridge regression of documents on their mutual neighbors in public text.

    No pairs, texts or labels are used. A document and a public text are neighbors if each is among the ten nearest rows
    of the other by CSLS, both sides centered by their own mean. The regression averages over many documents, so it
    improves what depends on topics, such as labels, and not the match of single texts. A wrong translation stays wrong.

    Args:
        vectors: the documents in the source space [n, d_source].
        translated: their translations [n, d_target], by a map fitted on any kind of text.
        public: other texts of the documents' own kind in the known space [m, d_target]. Texts of another kind make
            translations worse.
        seed: seed of the sample that is taken of more than 10,000 public texts.

    Raises:
        InputError: fewer than 100 documents or public texts, or shapes that do not match.
    """
    rows = check_matrix(vectors, "the documents").astype(np.float32)
    mapped = check_matrix(translated, "the translations").astype(np.float32)
    candidates = check_matrix(public, "the public texts", width=mapped.shape[1])
    seed = check_count(seed, "seed")
    check_one_each(len(mapped), "translation", len(rows), "document")
    for name, side in (("documents", rows), ("public texts", candidates)):
        if len(side) < _MIN_ROWS:
            raise InputError(f"There are {len(side):,} {name}; at least {_MIN_ROWS} are needed, better thousands.")
    if len(candidates) > _MAX_PUBLIC:
        order = np.random.default_rng(seed).permutation(len(candidates))
        candidates = candidates[np.sort(order[:_MAX_PUBLIC])]
    source, target = Frame.of(rows), Frame.of(candidates.astype(np.float32))
    near = mutual_neighbors(Frame.of(mapped).rows, target.rows, _NEIGHBORS)
    gram = ((source.rows.T * near.sum(axis=1)) @ source.rows).astype(np.float64)
    penalty = _RIDGE * np.trace(gram) / len(gram)
    matrix = np.linalg.solve(gram + penalty * np.eye(len(gram)), source.rows.T @ (near @ target.rows))
    return unit_rows(target.mean + np.float32(target.radius) * unit_rows(source.rows @ matrix.astype(np.float32)))
