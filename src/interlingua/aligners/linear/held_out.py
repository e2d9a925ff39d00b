"""Maps that have not seen some of the rows, at a small part of the cost of a fit.

A fit moves translations toward the rows of the other side that it reads. Scores between the two sides are therefore
higher among these rows than among others, and no scale can be measured on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interlingua.aligners.base import OnStep, Problem, ignore_step, report_parts
from interlingua.aligners.frames import Frame, affine_map
from interlingua.aligners.linear.correction import Correction
from interlingua.aligners.linear.full_width import polish_rotation
from interlingua.aligners.linear.nonorthogonal import leveled_affine_map, nonorthogonal_map
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import parallel_map, single_threaded_blas
from interlingua.core.maps import AffineMap

__all__ = ["HeldOutMaps", "fit_held_out_maps"]

# One of this many rows is held out, and at most this number.
_ONE_OF, _MOST = 5, 2_048
# Each step replaces the rotation by one that the rows it reads determine. After two steps, little is left of what the
# held-out rows had determined.
_NEIGHBORS = (50, 50)
# One round on 4,000 rows changes scores as the correction of the fit does, in a small part of its time.
_CORRECTION_BATCH = 4_000
# Keeps these draws apart from those of a fit with the same seed.
_STREAM = 3


@dataclass(frozen=True, eq=False)
class HeldOutMaps:
    """Maps of both directions, and rows that they have not seen.

    Attributes:
        maps: from source to target, and from target to source.
        rows: [n, d_source] and [m, d_target].
    """

    maps: tuple[AffineMap, AffineMap]
    rows: tuple[FloatArray, FloatArray]


def fit_held_out_maps(
    problem: Problem,
    rotation: FloatArray,
    nonorthogonal: tuple[bool, bool] | None,
    shifts: tuple[float | None, float | None],
    *,
    seed: int,
    device: str = "cpu",
    on_part: OnStep = ignore_step,
) -> HeldOutMaps:
    """Polish a rotation without a fifth of the rows of each side.

    Args:
        problem: the rows, with copies merged; otherwise a copy of a held-out row could take part in the fit.
        rotation: [d_source, d_target] between the frames of both sides, which all rows have determined.
        nonorthogonal: whether the non-orthogonal stage follows, forward and backward; None for a fit without that stage
            and its offset.
        shifts: of the correction on mutual neighbors that follows that stage, forward and backward; None where none
            follows.
        seed: draws the rows that are held out.
        device: where it is computed.
        on_part: called before and after each part: the steps of the rotation, the other stages and the corrections.
    """
    report_part = report_parts("calibrating", len(_NEIGHBORS) + 1 + sum(shift is not None for shift in shifts), on_part)
    rng = np.random.default_rng([seed, _STREAM])
    held, rest = [], []
    for rows in problem.rows:
        first, second = np.split(rng.permutation(len(rows)), [min(_MOST, len(rows) // _ONE_OF)])
        held.append(rows[first])
        rest.append(rows[second])
    x, y = map(Frame.of, rest)
    with single_threaded_blas():
        forward = polish_rotation(x.rows, y.rows, rotation, _NEIGHBORS, rng=rng, device=device, on_part=report_part)
        backward = np.ascontiguousarray(forward.T)
        maps = parallel_map(_map, (x, y), (y, x), (forward, backward), nonorthogonal or (None, None))
        report_part()
        for number, shift in enumerate(shifts):
            if shift is not None:
                correction = Correction(rounds=1, shift=shift, batch=_CORRECTION_BATCH)
                ends = unit_rows(rest[number]), unit_rows(rest[1 - number])
                maps[number] = correction.apply(maps[number], *ends, rng=rng, device=device, on_part=report_part)[0]
    return HeldOutMaps((maps[0], maps[1]), (held[0], held[1]))


def _map(source: Frame, target: Frame, matrix: FloatArray, staged: bool | None) -> AffineMap:
    """Return the map that a fit would make of a rotation."""
    if staged is None:
        return affine_map(source, target, matrix)
    if staged:
        matrix = nonorthogonal_map(matrix, source.rows, target.rows)
    return leveled_affine_map(source, target, matrix)
