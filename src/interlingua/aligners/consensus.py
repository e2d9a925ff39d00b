"""What many refits of a rotation agree on: nearer to the true vectors than any one of them, still without a pair.

A rotation fitted without pairs is wrong in the directions that its rows say little about, and it maps those at full
length. Refits on random parts are wrong there in other ways, so their plain mean is short where they disagree: an
estimate of the conditional mean. Regression on mutual neighbours adds what the two clouds' finer shape says.
"""

from __future__ import annotations

import numpy as np

from interlingua._arrays import FloatArray, unit_rows
from interlingua.aligners.fidelity import faithful
from interlingua.aligners.frames import polar
from interlingua.aligners.refine import mutual_neighbors
from interlingua.aligners.search import Search

_PART = 0.5
_NEIGHBORS = (50, 50)
_PSEUDO_NEIGHBORS, _PSEUDO_RIDGE = 5, 0.1
_MAX_ROWS = 6000


def consensus(
    search: Search, rotation: FloatArray, rng: np.random.Generator, *, refits: int = 12, share: float = 0.3
) -> tuple[FloatArray, FloatArray]:
    """Return what refits agree on as matrices [d_source, d_target] and [d_target, d_source].

    Args:
        search: knows the rows of both sides, centred and of unit norm.
        rotation: [d_source, d_target], where every refit starts.
        rng: draws the parts.
        refits: how many.
        share: length of the neighbours' regression as a share of the refits' mean; more raises the cosine and lowers
            retrieval.
    """
    total = np.zeros(rotation.shape, np.float32)
    for _ in range(refits):
        x, y = (z[rng.permutation(len(z))[: int(_PART * len(z))]] for z in (search.x, search.y))
        total += np.asarray(search.polish(x, y, rotation, _NEIGHBORS), np.float32)
    mean = total / np.float32(refits)
    x, y = (z[rng.permutation(len(z))[:_MAX_ROWS]] for z in (search.x, search.y))
    return _finished(mean, x, y, share), _finished(np.ascontiguousarray(mean.T), y, x, share)


def _finished(mean: FloatArray, x: FloatArray, y: FloatArray, share: float) -> FloatArray:
    """Fill in what the other space's own correlations say, then add the regression on mutual neighbours."""
    d_source, d_target = mean.shape
    if d_source >= d_target:
        filled = mean @ faithful(np.eye(d_target, dtype=np.float32), x @ polar(mean), y)
    else:
        filled = mean @ faithful(np.eye(d_target, dtype=np.float32), y, y)
    coupling = mutual_neighbors(unit_rows(x @ filled), y, _PSEUDO_NEIGHBORS)
    gram = (x.T * coupling.sum(axis=1)) @ x
    penalty = _PSEUDO_RIDGE * np.trace(gram) / d_source
    regression = np.linalg.solve(gram + penalty * np.eye(d_source, dtype=np.float32), x.T @ (coupling @ y))
    lengths = [np.sqrt(np.square(x @ matrix).sum(axis=1).mean()) for matrix in (filled, regression)]
    return np.asarray(filled / lengths[0] + share * regression / lengths[1], np.float32)
