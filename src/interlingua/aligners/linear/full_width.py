"""From coarse maps to the full width of both spaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step, report_parts
from interlingua.aligners.coarse import CoarseSpaces, Schedule, refine_coarse
from interlingua.aligners.frames import polar
from interlingua.aligners.linear.pairs import Pairs, coarse_prior, pair_covariance
from interlingua.aligners.refine import polish
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import to_device, to_numpy

__all__ = ["neighbors_for_rows", "polish_rotation", "widen"]

# With as many rows as collections usually have, maps in more coordinates would follow noise. Polishing on the neighbors
# of all rows determines the other coordinates.
_FINE_WIDTH = 128
# All candidates are refined on small batches, and the best one on larger batches at a lower temperature. More rows than
# the usual number determine finer directions, which take proportionally more steps.
_CANDIDATE_STEPS, _BEST_STEPS, _USUAL_ROWS = 60, 90, 5_000
_CANDIDATE_TEMPERATURE, _CANDIDATE_BATCH = 0.05, 800
_BEST_TEMPERATURE, _BEST_BATCH = 0.04, 1500
# Twice as many rows as in the search, because few candidates are scored.
_SCORED_ROWS = 3000
# Averages of many neighbors move a map far, and few neighbors are close to the true row. Compared with
# (50, 50, 50, 50, 30), the fewer at the end gave 0.002 more top-1 for BGE to MiniLM with 4,398 rows and 0.01 to 0.05
# for USE to WordLlama with 4,976 (benchmarks/notes/fits.md, suite `polish`). With 2,000 rows, 5 neighbors lost 0.02.
_POLISH_NEIGHBORS = (50, 50, 50, 30, 20, 10, 5)
# With fewer rows, more neighbors are averaged: at least this number divided by the square of the rows, which is 20 for
# 2,000 rows and 4 for 4,400.
_LEAST_NEIGHBORS_TIMES_ROWS_SQUARED = 80_000_000
# At most one row in this many is a neighbor, so that neighbors are near even where there are few rows.
_ROWS_PER_NEIGHBOR = 40
_POLISH_ROWS = 6_000
# Where batches leave rows out, the last steps use all of them. With 10,976 rows per side, that gave 0.01 to 0.07 more
# top-1 in eight of eight fits (benchmarks/notes/fits.md, suite `pairs`).
_CLOSING_NEIGHBORS = (20, 10, 5, 5)
_CLOSING_ROWS = 12_000


def widen(
    x: FloatArray,
    y: FloatArray,
    matrices: Sequence[FloatArray],
    *,
    spaces: CoarseSpaces,
    rng: np.random.Generator,
    pairs: Pairs | None = None,
    on_step: OnStep = ignore_step,
    on_part: OnStep = ignore_step,
) -> FloatArray:
    """Refine rough maps in more coordinates, choose the best by transport similarity and polish it on all rows.

    The steps are entropic Wasserstein-Procrustes in 128 coordinates, then Procrustes on mutual nearest neighbors at
    full width; see :mod:`interlingua.aligners.refine`.

    Args:
        x: [n_source, d_source], centered unit rows.
        y: [n_target, d_target], centered unit rows.
        matrices: rough maps [d_source, d_target], one or a few.
        spaces: coarse coordinates of x and y.
        rng: draws the batches.
        pairs: rows of known pairs, if any.
        on_step: called with a dict of numbers after each step.
        on_part: called before and after each of the last steps, which take minutes where there are many rows and
            columns.

    Returns:
        [d_source, d_target], orthonormal rows or columns.
    """
    fine = spaces.at_width(x, y, _FINE_WIDTH)
    maps = np.stack([fine.reduce(matrix) for matrix in matrices])
    prior = coarse_prior(fine, pairs)
    more = max(1.0, fine.n / _USUAL_ROWS)
    schedule = Schedule((_CANDIDATE_TEMPERATURE,) * round(_CANDIDATE_STEPS * more), _CANDIDATE_BATCH)
    maps = refine_coarse(fine, maps, schedule, rng=rng, prior=prior)
    scores = fine.similarity(maps, rows=_SCORED_ROWS)
    schedule = Schedule((_BEST_TEMPERATURE,) * round(_BEST_STEPS * more), _BEST_BATCH)
    best = refine_coarse(fine, maps[int(scores.argmax())][None], schedule, rng=rng, prior=prior)
    on_step({"step": "fine", "similarity": float(scores.max())})
    start = polar(fine.lift(best[0]))
    device, is_large = spaces.device, max(len(x), len(y)) > _POLISH_ROWS
    report_part = report_parts("polishing", len(_POLISH_NEIGHBORS) + is_large * len(_CLOSING_NEIGHBORS), on_part)
    polished = polish_rotation(x, y, start, _POLISH_NEIGHBORS, rng=rng, pairs=pairs, device=device, on_part=report_part)
    if is_large:
        polished = polish_rotation(
            x,
            y,
            polished,
            _CLOSING_NEIGHBORS,
            batch=_CLOSING_ROWS,
            rng=rng,
            pairs=pairs,
            device=device,
            on_part=report_part,
        )
    on_step({"step": "polish"})
    return polished


def polish_rotation(
    x: FloatArray,
    y: FloatArray,
    matrix: FloatArray,
    neighbors: Sequence[int],
    *,
    rng: np.random.Generator,
    batch: int | None = None,
    pairs: Pairs | None = None,
    device: str = "cpu",
    on_part: Callable[[], None] = lambda: None,
) -> FloatArray:
    """Polish a rotation between all rows given; see :func:`interlingua.aligners.refine.polish`.

    Args:
        x: [n_source, d_source], centered unit rows.
        y: [n_target, d_target], centered unit rows.
        matrix: [d_source, d_target], where to start.
        neighbors: of each step, which `neighbors_for_rows` adapts to the rows.
        rng: draws the batches.
        batch: most rows per side and step, 6,000 by default.
        pairs: rows of known pairs, if any.
        device: where it is computed.
        on_part: called after each step.
    """
    polished = polish(
        *(to_device(z, device) for z in (x, y, matrix)),
        neighbors=[neighbors_for_rows(k, min(len(x), len(y))) for k in neighbors],
        batch=_POLISH_ROWS if batch is None else batch,
        rng=rng,
        prior=None if pairs is None else to_device(pair_covariance(pairs), device),
        on_part=on_part,
    )
    return np.asarray(to_numpy(polished))


def neighbors_for_rows(neighbors: int, rows: int) -> int:
    """Return a number of neighbors that suits the rows: at least 80,000,000 / rows², at most rows / 40 or 2."""
    return min(max(neighbors, _LEAST_NEIGHBORS_TIMES_ROWS_SQUARED // rows**2), max(2, rows // _ROWS_PER_NEIGHBOR))
