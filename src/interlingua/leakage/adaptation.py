"""Translations learned again among texts of their own kind, where topics matter more than single texts.

A map fitted on one kind of text is off on another: its mean lies elsewhere, and directions that mattered little there
matter here. Public texts of the documents' own kind, never the documents, say how the known space looks in that place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interlingua.aligners.frames import Frame
from interlingua.aligners.refine import mutual_neighbors
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.errors import InputError

_NEIGHBORS = 10
# Of the mean variance of the documents; they are few, and their neighbors are not their translations.
_RIDGE = 0.3
_FEWEST = 100
_MAX_PUBLIC = 10_000


def adapted(vectors: npt.ArrayLike, translated: npt.ArrayLike, public: npt.ArrayLike, *, seed: int = 0) -> FloatArray:
    """Return translations [n, d_target] by a ridge regression of documents on their mutual neighbors in public text.

    No pair, no text and no label takes part. A document is a neighbor of a public text where each is among the ten
    nearest of the other by CSLS, both sides centered by their own mean. Since many documents share the regression, a
    neighbor stands for what the text is about, not for what it says: labels come out better, single texts do not.
    From a wrong translation it learns nothing.

    Args:
        vectors: the documents as they are [n, d_source].
        translated: their translations [n, d_target], by a map fitted on any kind of text.
        public: other texts of the documents' own kind in the known space [m, d_target]. Of another kind they harm.
        seed: of the draw where there are more than 10,000.

    Raises:
        InputError: fewer than 100 documents or public texts, or shapes that do not go together.
    """
    rows = check_matrix(vectors, "the documents").astype(np.float32)
    mapped = check_matrix(translated, "the translations").astype(np.float32)
    known = check_matrix(public, "the public texts", width=mapped.shape[1])
    if len(mapped) != len(rows):
        raise InputError(f"There are {len(mapped)} translations for {len(rows)} documents; one each is needed.")
    for name, side in (("documents", rows), ("public texts", known)):
        if len(side) < _FEWEST:
            raise InputError(f"There are {len(side)} {name}; at least {_FEWEST} are needed, better thousands.")
    if len(known) > _MAX_PUBLIC:
        known = known[np.sort(np.random.default_rng(seed).permutation(len(known))[:_MAX_PUBLIC])]
    source, target = Frame.of(rows), Frame.of(known.astype(np.float32))
    near = mutual_neighbors(Frame.of(mapped).rows, target.rows, _NEIGHBORS)
    gram = ((source.rows.T * near.sum(axis=1)) @ source.rows).astype(np.float64)
    penalty = _RIDGE * np.trace(gram) / len(gram)
    matrix = np.linalg.solve(gram + penalty * np.eye(len(gram)), source.rows.T @ (near @ target.rows))
    return unit_rows(target.mean + np.float32(target.radius) * unit_rows(source.rows @ matrix.astype(np.float32)))
