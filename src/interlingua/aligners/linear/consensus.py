"""Consensus of many refits of a rotation: higher cosine to the true vectors than any single refit, without pairs.

A rotation fitted without pairs is wrong in directions that its rows determine poorly, and it keeps their full length.
Refits on random halves of the rows are wrong there in different ways, so their mean M is short where they disagree. It
estimates the conditional mean, as in bagging (Breiman, Machine Learning 1996). With the rows ``X`` and ``Y`` of both
sides, and with ``C`` the stage of :mod:`interlingua.aligners.linear.nonorthogonal`, the consensus map is

``M C / l_1 + s (X^T D X + p I)^-1 X^T P Y / l_2``

where ``P`` couples mutual neighbors of translations and target rows, ``D`` is the diagonal matrix of the row sums of
``P``, ``p`` is the ridge penalty, ``s`` is the weight of the regression, and ``l_1`` and ``l_2`` are the root mean
square lengths of the translations by either term. The combination is a method of this package.
"""

from __future__ import annotations

from importlib.metadata import version
from itertools import product

import numpy as np

from interlingua.aligners.base import OnStep, Problem, ignore_step
from interlingua.aligners.frames import Frame, affine_map, polar
from interlingua.aligners.linear.full_width import polish_rotation
from interlingua.aligners.linear.nonorthogonal import hub_leveled_mean, nonorthogonal_map, radius_factor
from interlingua.aligners.linear.pairs import centered_pairs
from interlingua.aligners.linear.refit_file import RefitFile
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import single_threaded_blas
from interlingua.core.maps import AffineMap
from interlingua.core.neighbors import mutual_neighbors
from interlingua.core.statistics import agreement

__all__ = ["consensus"]

_SUBSET = 0.5
# The mean of 12 refits has nine tenths of what 40 add to the cosine of the rotation, in half of the time (BGE to MiniLM
# with 2,000 rows, one seed, benchmarks/results/neural-refits.jsonl).
_REFITS = 12
_NEIGHBORS = (50, 50)
_REGRESSION_NEIGHBORS, _REGRESSION_RIDGE = 5, 0.1
_MAX_ROWS = 6000
# Weight of the regression on mutual neighbors, into a narrower and into a wider space. More raises the cosine and
# lowers retrieval.
_REGRESSION_NARROWER, _REGRESSION_WIDER = 0.15, 0.35
# Positions between the mean (0) and the hub-leveled mean (1). The longer the mean is, the more the leveled mean helps
# retrieval, and the more it lowers the cosine. The first position is taken at which real rows keep this cosine with
# themselves.
_OFFSET_POSITIONS, _MIN_COSINE = (1.0, 0.5, 0.25), 0.9975
# Keeps these draws apart from those of a fit with the same seed.
_STREAM = 2


def consensus(
    problem: Problem,
    rotation: FloatArray,
    *,
    seed: int,
    device: str = "cpu",
    on_step: OnStep = ignore_step,
    file: RefitFile | None = None,
) -> tuple[AffineMap, AffineMap]:
    """Return the consensus of refits on random halves of the rows as a forward and a backward map.

    Args:
        problem: the rows of both sides, and known pairs if any.
        rotation: [d_source, d_target] between the frames, where every refit starts.
        seed: draws the subsets.
        device: where refits are computed.
        on_step: called after each refit with its number and their count.
        file: keeps the refits that are done; an interrupted consensus continues from it, to the same bits on a CPU.

    Returns:
        The maps from source to target and from target to source.
    """
    x, y = problem.frames
    pairs = centered_pairs(problem)
    rng = np.random.default_rng([seed, _STREAM])
    total, done = np.zeros(rotation.shape, np.float32), 0
    if file is not None:
        file.identify((x.rows, y.rows, rotation, *(pairs or ())), seed, device, _REFITS, version("interlingua"))
        done = file.load(total, rng)
    with single_threaded_blas():
        for number in range(done, _REFITS):
            a, b = (z.rows[rng.permutation(len(z.rows))[: int(_SUBSET * len(z.rows))]] for z in (x, y))
            total += polish_rotation(a, b, rotation, _NEIGHBORS, rng=rng, pairs=pairs, device=device)
            if file is not None:
                file.save(total, rng, number + 1, last=number + 1 == _REFITS)
            on_step({"step": "refit", "at": number + 1, "of": _REFITS})
        mean = total / np.float32(_REFITS)
        a, b = (z.rows[rng.permutation(len(z.rows))[:_MAX_ROWS]] for z in (x, y))
        return _consensus_map(x, y, mean, a, b), _consensus_map(y, x, np.ascontiguousarray(mean.T), b, a)


def _consensus_map(x: Frame, y: Frame, mean: FloatArray, a: FloatArray, b: FloatArray) -> AffineMap:
    weight = _REGRESSION_NARROWER if mean.shape[0] >= mean.shape[1] else _REGRESSION_WIDER
    offset, factor = _choose_offset(x, y)
    matrix = _add_neighbor_regression(_with_nonorthogonal_stage(mean, a, b), a, b, weight)
    return affine_map(x, y, matrix, offset=offset, radius_factor=factor)


def _choose_offset(x: Frame, y: Frame) -> tuple[FloatArray, float]:
    """Return the offset [d_target] of translations, and their distance from it in radii of y."""
    level, rows = hub_leveled_mean(y), y.radius * y.rows
    for position, factor in product(_OFFSET_POSITIONS, sorted({radius_factor(x, y), 1.0}, reverse=True)):
        offset = (1 - position) * y.mean + position * level
        if agreement(y.mean + rows, offset + factor * rows) >= _MIN_COSINE:
            return offset, factor
    return y.mean, 1.0


def _with_nonorthogonal_stage(mean: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the mean of the refits followed by the non-orthogonal stage inside the target space."""
    d_source, d_target = mean.shape
    inside = np.eye(d_target, dtype=np.float32)
    return mean @ nonorthogonal_map(inside, x @ polar(mean) if d_source >= d_target else y, y)


def _add_neighbor_regression(matrix: FloatArray, x: FloatArray, y: FloatArray, weight: float) -> FloatArray:
    """Add the weighted ridge regression of target rows on the source rows that are their mutual neighbors."""
    coupling = mutual_neighbors(unit_rows(x @ matrix), y, _REGRESSION_NEIGHBORS)
    gram = (x.T * coupling.sum(axis=1)) @ x
    penalty = _REGRESSION_RIDGE * np.trace(gram) / len(gram)
    regression = np.linalg.solve(gram + penalty * np.eye(len(gram), dtype=np.float32), x.T @ (coupling @ y))
    lengths = [np.sqrt(np.square(x @ m).sum(axis=1).mean()) for m in (matrix, regression)]
    return np.asarray(matrix / lengths[0] + weight * regression / lengths[1], np.float32)
