"""What many refits of a rotation agree on: nearer to the true vectors than any one of them, still without a pair.

A rotation fitted without pairs is wrong in the directions that its rows say little about, and it maps those at full
length. Refits on random parts are wrong there in other ways, so their plain mean is short where they disagree: an
estimate of the conditional mean. Regression on mutual neighbors adds what the two clouds' finer shape says.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step
from interlingua.aligners.frames import Frame, affine_map, polar
from interlingua.aligners.linear.fidelity import faithful, level_offset, reach
from interlingua.aligners.linear.search import Search
from interlingua.aligners.refine import mutual_neighbors
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.criteria import agreement
from interlingua.core.maps import AffineMap

_PART = 0.5
# Refits, and from how many rows a part on fewer, for they take longer and differ less.
_REFITS, _FEWEST, _LARGE = 40, 12, 2500
_NEIGHBORS = (50, 50)
_PSEUDO_NEIGHBORS, _PSEUDO_RIDGE = 5, 0.1
_MAX_ROWS = 6000
# Length of the neighbors' regression as a share of the refits' mean, into a narrower and into a wider space: more
# raises the cosine and lowers retrieval.
_SHARE_NARROWER, _SHARE_WIDER = 0.15, 0.35
# Shares of the way from the mean to the level offset, which helps retrieval the more the longer the mean is, and then
# costs cosine: the first is taken that lets real rows keep this much of theirs.
_LEANS, _KEPT = (1.0, 0.5, 0.25), 0.9975


def consensus(
    x: Frame, y: Frame, search: Search, rotation: FloatArray, seed: int, *, on_step: OnStep = ignore_step
) -> tuple[AffineMap, AffineMap]:
    """Return what refits agree on as maps there and back.

    Args:
        x: frame of the source.
        y: frame of the target.
        search: knows the rows of both frames.
        rotation: [d_source, d_target], where every refit starts.
        seed: draws the parts.
        on_step: called after each refit with its number and their count.
    """
    rng = np.random.default_rng([seed, 2])
    refits = max(_FEWEST, min(_REFITS, _REFITS * _LARGE // int(_PART * search.n)))
    total = np.zeros(rotation.shape, np.float32)
    for number in range(refits):
        a, b = (z[rng.permutation(len(z))[: int(_PART * len(z))]] for z in (search.x, search.y))
        total += np.asarray(search.polish(a, b, rotation, _NEIGHBORS), np.float32)
        on_step({"step": "refit", "at": number + 1, "of": refits})
    mean = total / np.float32(refits)
    a, b = (z[rng.permutation(len(z))[:_MAX_ROWS]] for z in (search.x, search.y))
    return _teacher(x, y, mean, a, b), _teacher(y, x, np.ascontiguousarray(mean.T), b, a)


def _teacher(x: Frame, y: Frame, mean: FloatArray, a: FloatArray, b: FloatArray) -> AffineMap:
    share = _SHARE_NARROWER if mean.shape[0] >= mean.shape[1] else _SHARE_WIDER
    offset, far = _place(x, y)
    return affine_map(x, y, _finished(mean, a, b, share), offset=offset, reach=far)


def _place(x: Frame, y: Frame) -> tuple[FloatArray, float]:
    """Return where in y translations are centered, and how far out they lie in its radii."""
    level, rows = level_offset(y), y.radius * y.rows
    for lean, far in product(_LEANS, sorted({reach(x, y), 1.0}, reverse=True)):
        offset = (1 - lean) * y.mean + lean * level
        if agreement(y.mean + rows, offset + far * rows) >= _KEPT:
            return offset, far
    return y.mean, 1.0


def _finished(mean: FloatArray, x: FloatArray, y: FloatArray, share: float) -> FloatArray:
    """Fill in what the other space's own correlations say, then add the regression on mutual neighbors."""
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
