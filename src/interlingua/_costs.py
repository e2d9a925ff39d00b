"""Estimated times and memory of fits, from recorded fits and the speed of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from interlingua._align import MAX_ROWS
from interlingua.aligners.linear.second_search import helps
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.backend import parallel_map, single_threaded_blas

__all__ = ["REPEATS", "FitCosts", "Speed", "estimate_fit", "make_work", "measure_speed"]

# Time of a fit in units of the work of `measure_speed`, from the records fit-costs.jsonl and large.jsonl, with
# thousands of rows n, m and columns d_x, d_y:
# 120 + 35 (n + m) + 44 (n d_x + m d_y) + 700 min(d_x, d_y)^2 max(d_x, d_y).
# The last term is of polar factors. A fit that finds no map searches to its last round, which takes 780 more.
_UNITS, _ROW_UNITS, _ENTRY_UNITS, _POLAR_UNITS, _FAILED_UNITS = 120.0, 35.0, 44.0, 700.0, 780.0
# The second search by default takes as many more in solver.jsonl, whatever the rows and columns. It took up to twice as
# many in views.jsonl, beside more other work.
_SECOND_UNITS = 6_000.0
# Of a fit on 5,000 pairs: 90 + 40 (d_x^3 + d_y^3).
_PAIRED_UNITS, _PAIRED_CUBE_UNITS = 90.0, 40.0
# Bytes of memory of any fit, and of each float of a side.
_BYTES, _ENTRY_BYTES = 0.36e9, 60.0

# Repetitions of the measured work.
REPEATS = 3
# Rows of a part of it, parts, rows they are compared with, columns, and nearest rows.
_ROWS, _PARTS, _OTHERS, _WIDTH, _NEAREST = 256, 4, 4_096, 512, 50


@dataclass(frozen=True)
class FitCosts:
    """Estimated costs of a fit.

    Attributes:
        seconds: of an unpaired fit that finds a map.
        failed_seconds: of an unpaired fit that finds none, with the second search where there is one by default.
        failed_views_seconds: the same with views of the target, which turn the second search on for more sizes.
        paired_seconds: of a fit on 5,000 pairs, whatever the rows of the sides.
        memory: bytes.
    """

    seconds: float
    failed_seconds: float
    failed_views_seconds: float
    paired_seconds: float
    memory: int


@dataclass(frozen=True)
class Speed:
    """Time of a fixed piece of work: similarities of rows, and the nearest; the median of three.

    Attributes:
        parallel: seconds of the work on all cores.
    """

    parallel: float


def measure_speed() -> Speed:
    """Measure the speed of this machine now, other work on it included; takes less than a second on two idle cores."""
    find, parts = make_work()
    times = []
    with single_threaded_blas():
        find(parts[0])
        for _ in range(REPEATS):
            start = time.perf_counter()
            parallel_map(find, parts)
            times.append(time.perf_counter() - start)
    return Speed(float(np.median(times)))


def make_work() -> tuple[Callable[[FloatArray], IntArray], FloatArray]:
    """Return the work of `measure_speed`: a function of one part, and the parts [parts, rows, columns]."""
    rng = np.random.default_rng(0)
    parts = rng.standard_normal((_PARTS, _ROWS, _WIDTH), np.float32)
    return partial(_find_nearest, others=rng.standard_normal((_WIDTH, _OTHERS), np.float32)), parts


def _find_nearest(part: FloatArray, others: FloatArray) -> IntArray:
    return np.argpartition(part @ others, -_NEAREST, axis=1)[:, -_NEAREST:]


def estimate_fit(rows: tuple[int, int], d: tuple[int, int], speed: Speed) -> FitCosts:
    """Return what a fit costs on a machine of a given speed.

    Args:
        rows: of source and target; a fit reads at most 20,000 of each.
        d: widths of both.
        speed: of the machine.
    """
    thousands = [min(count, MAX_ROWS) / 1_000 for count in rows]
    widths = [width / 1_000 for width in d]
    entries = sum(count * width for count, width in zip(thousands, widths, strict=True))
    polar = min(widths) ** 2 * max(widths)
    units = _UNITS + _ROW_UNITS * sum(thousands) + _ENTRY_UNITS * entries + _POLAR_UNITS * polar
    sizes = [min(count, MAX_ROWS) for count in rows]
    alone, with_views = (
        _FAILED_UNITS + _SECOND_UNITS * helps(min(sizes), max(sizes), has_views=has_views)
        for has_views in (False, True)
    )
    paired = _PAIRED_UNITS + _PAIRED_CUBE_UNITS * sum(width**3 for width in widths)
    return FitCosts(
        seconds=units * speed.parallel,
        failed_seconds=(units + alone) * speed.parallel,
        failed_views_seconds=(units + with_views) * speed.parallel,
        paired_seconds=paired * speed.parallel,
        memory=int(_BYTES + _ENTRY_BYTES * entries * 1e6),
    )
