"""From a coarse rotation to one of full width, by the refinement that suits the rows best.

A coarse map uses 64 principal coordinates. With many rows, steps on mutual neighbors determine the others (*polished*).
With few rows every refinement overfits. Then the mean of refinements on random subsets is better than each of them
(*averaged*), as in bagging (Breiman, Machine Learning 1996). No pairs are needed to choose: each refinement is run on
two disjoint halves of the rows, and the one whose two results agree most is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import polar
from interlingua.aligners.linear.full_width import polish_rotation, widen
from interlingua.aligners.refine import refine_on_batches
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import parallel_map, sequential_map, to_device, to_numpy
from interlingua.core.statistics import self_retrieval

__all__ = [
    "FULL_WIDTH_REFINEMENTS",
    "FullWidthMap",
    "FullWidthRefinement",
    "refine_by_averaging",
    "refine_by_averaging_and_bagging",
    "refine_by_polishing",
    "refine_to_full_width",
    "retrieval_agreement",
]

# Principal coordinates of each stage of the averaged refinement. Wider maps than the last follow noise with few rows.
_WIDTHS = (64, 96, 128)
_REPEATS, _SUMMED = 2, 8
_TEMPERATURES = (0.05,) * 10 + (0.04,) * 10
# Rows of a batch: the share of a side, and the most of source and target. The larger side may give more, because close
# neighbors are found only among many rows.
_PART, _BATCHES = 0.7, (800, 3000)
# Relative size of the noise that fills the directions outside a coarse map, which would otherwise be 0.
_NOISE = 0.01
_BAG_ROWS = 6000
_BAGS, _BAG_NEIGHBORS = 8, (50, 50)
_JUDGED_ROWS = 1000


@dataclass(frozen=True, eq=False)
class FullWidthMap:
    """A map of full width, with the refinement that was used.

    Attributes:
        matrix: [d_source, d_target]. Singular values are 1, or 0 in the directions that the refinement leaves out.
        refinement: name of the refinement that was used, a key of `FULL_WIDTH_REFINEMENTS`.
        half_agreement: for each refinement, `retrieval_agreement` of refits on disjoint halves, 0 to 1.
    """

    matrix: FloatArray
    refinement: str
    half_agreement: dict[str, float]


# A refinement of a map [d_source, d_target] on rows x and y, from (x, y, map, seed, device).
FullWidthRefinement = Callable[[FloatArray, FloatArray, FloatArray, int, str], FloatArray]


def refine_to_full_width(
    x: FloatArray,
    y: FloatArray,
    matrix: FloatArray,
    *,
    seed: int = 0,
    device: str = "cpu",
    on_step: OnStep = ignore_step,
    names: Sequence[str] | None = None,
) -> FullWidthMap:
    """Carry a coarse map to full width by the refinement whose refits on halves agree best.

    Args:
        x: [n_source, d_source], centered unit rows in random order, without repeated rows.
        y: [n_target, d_target], likewise.
        matrix: [d_source, d_target], as `search_islands` returns it.
        seed: decides every random draw.
        device: ``"cpu"`` for numpy, otherwise a torch device.
        on_step: called with one dict of numbers at the end.
        names: refinements to choose from, out of `FULL_WIDTH_REFINEMENTS`; all by default.
    """
    if len(x) > len(y):
        transposed = np.ascontiguousarray(matrix.T)
        other = refine_to_full_width(y, x, transposed, seed=seed, device=device, on_step=on_step, names=names)
        return replace(other, matrix=np.ascontiguousarray(other.matrix.T))
    names = list(names or FULL_WIDTH_REFINEMENTS)
    half_agreement = {}
    if len(names) > 1:
        halves = [(x[i::2], y[i::2]) for i in (0, 1)]
        for name in names:
            refits = [FULL_WIDTH_REFINEMENTS[name](*half, matrix, seed + i, device) for i, half in enumerate(halves)]
            half_agreement[name] = retrieval_agreement(x[:_JUDGED_ROWS], y[:_JUDGED_ROWS], *refits)
    best = max(names, key=lambda name: half_agreement.get(name, 0.0))
    result = FULL_WIDTH_REFINEMENTS[best](x, y, matrix, seed, device)
    on_step({"step": "full width", "refinement": best, **{f"halves {name}": v for name, v in half_agreement.items()}})
    return FullWidthMap(result, best, half_agreement)


def refine_by_polishing(x: FloatArray, y: FloatArray, matrix: FloatArray, seed: int, device: str) -> FloatArray:
    """Return the map [d_source, d_target] after refinement in 128 coordinates and steps on neighbors of all rows."""
    spaces = CoarseSpaces.of(x, y, device=device)
    return widen(x, y, [matrix], spaces=spaces, rng=np.random.default_rng([seed, 1]))


def refine_by_averaging(x: FloatArray, y: FloatArray, matrix: FloatArray, seed: int, device: str) -> FloatArray:
    """Return the map [d_source, d_target], of rank 128, after sums of refinements in more and more coordinates."""
    coarse = CoarseSpaces.of(x, y, device=device)
    for width in _WIDTHS:
        spaces = coarse.at_width(x, y, width)
        reduced = spaces.axes[0].T @ matrix @ spaces.axes[1]
        noise = _NOISE * np.random.default_rng([seed, width]).standard_normal(reduced.shape)
        start: FloatArray = polar(np.asarray(reduced + noise, np.float32))
        for repeat in range(_REPEATS):
            start = _sum_refinements(spaces, start, (seed, width, repeat))
        matrix = spaces.lift(start)
    return matrix


def refine_by_averaging_and_bagging(
    x: FloatArray, y: FloatArray, matrix: FloatArray, seed: int, device: str
) -> FloatArray:
    """Return the averaged map [d_source, d_target] after summed steps on neighbors of random parts of the rows."""
    matrix = refine_by_averaging(x, y, matrix, seed, device)
    total = np.zeros(matrix.shape, np.float32)
    for bag in range(_BAGS):
        rng = np.random.default_rng([seed, 2, bag])
        a, b = (z[rng.choice(len(z), min(int(_PART * len(z)), _BAG_ROWS), replace=False)] for z in (x, y))
        total += polish_rotation(a, b, matrix, _BAG_NEIGHBORS, rng=rng, device=device)
    return polar(total)


FULL_WIDTH_REFINEMENTS: Mapping[str, FullWidthRefinement] = MappingProxyType(
    {
        "polished": refine_by_polishing,
        "averaged": refine_by_averaging,
        "averaged and bagged": refine_by_averaging_and_bagging,
    }
)


def retrieval_agreement(x: FloatArray, y: FloatArray, first: FloatArray, second: FloatArray) -> float:
    """Return how often a row's translations by two maps [d_source, d_target] are nearest to each other, 0 to 1.

    Rows of ``x`` [n, d_source] are compared in the target space and rows of ``y`` [m, d_target] in the source space.
    Nothing is compared across the two sides.
    """
    return (self_retrieval(x @ first, x @ second) + self_retrieval(y @ first.T, y @ second.T)) / 2


def _sum_refinements(spaces: CoarseSpaces, start: FloatArray, key: Sequence[int]) -> FloatArray:
    """Return the polar factor of the sum of short refinements of ``start`` [w_source, w_target] on random rows."""

    def refine(number: int) -> FloatArray:
        rng = np.random.default_rng([*key, number])
        maps = to_device(np.asarray(start, np.float32)[None], spaces.device)
        limits = [(len(z), min(most, int(_PART * len(z)))) for z, most in zip(spaces.rows, _BATCHES, strict=True)]
        batches = [[rng.choice(n, size, replace=False)[None] for n, size in limits] for _ in _TEMPERATURES]
        return np.asarray(to_numpy(refine_on_batches(spaces.rows, maps, _TEMPERATURES, batches))[0])

    # On a device, the work of one refinement is already parallel.
    run = parallel_map if spaces.device == "cpu" else sequential_map
    return polar(np.sum(run(refine, range(_SUMMED)), axis=0))
