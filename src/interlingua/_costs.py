"""Estimated times and memory of fits, from recorded fits and the speed of this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from interlingua._align import MAX_ROWS
from interlingua.core.arrays import FloatArray, IntArray

__all__ = ["FitCosts", "Speed", "estimate_fit", "measure_speed"]

# Times of recorded fits in units of the work of `measure_speed` (records fit-costs.jsonl and large.jsonl): of any fit;
# for each 1,000 rows of a side; for each 1,000 rows and 1,000 columns of a side; for the square of each 1,000 columns
# of the narrower side and each 1,000 of the wider one, which polar factors take; and further units of a fit that finds
# no map and searches to its last round.
_UNITS, _ROW_UNITS, _ENTRY_UNITS, _POLAR_UNITS, _FAILED_UNITS = 120.0, 35.0, 44.0, 700.0, 780.0
# Of a fit on pairs: its own, and for the cube of each 1,000 columns of a side.
_PAIRED_UNITS, _PAIRED_CUBE_UNITS = 90.0, 40.0
# Bytes of memory of any fit, and of each float of a side.
_BYTES, _ENTRY_BYTES = 0.36e9, 60.0

# Rows of a part of the measured work, parts, rows they are compared with, columns, nearest rows, and repetitions.
_ROWS, _PARTS, _OTHERS, _WIDTH, _NEAREST, _REPEATS = 256, 4, 4_096, 512, 50, 3


@dataclass(frozen=True)
class FitCosts:
    """Estimated costs of a fit.

    Attributes:
        seconds: of an unpaired fit that finds a map.
        failed_seconds: of an unpaired fit that finds none.
        paired_seconds: of a fit on as many pairs as the smaller side has rows.
        memory: bytes.
    """

    seconds: float
    failed_seconds: float
    paired_seconds: float
    memory: int


@dataclass(frozen=True)
class Speed:
    """Times of a fixed piece of work on this machine, medians of three: scores of rows with others, and the nearest.

    Attributes:
        serial: seconds of the work on one core.
        parallel: seconds of the same work on all cores.
        processor: processor seconds of the work on one core.
    """

    serial: float
    parallel: float
    processor: float


def measure_speed() -> Speed:
    """Measure the speed of this machine now, other work on it included; takes half a second on two idle cores."""
    from interlingua.core.backend import parallel_map, sequential_map, single_threaded_blas

    rng = np.random.default_rng(0)
    parts = rng.standard_normal((_PARTS, _ROWS, _WIDTH), np.float32)
    find = partial(_find_nearest, others=rng.standard_normal((_WIDTH, _OTHERS), np.float32))
    times = []
    with single_threaded_blas():
        find(parts[0])
        for _ in range(_REPEATS):
            start, before = time.perf_counter(), time.process_time()
            sequential_map(find, parts)
            between, after = time.perf_counter(), time.process_time()
            parallel_map(find, parts)
            times.append((between - start, time.perf_counter() - between, after - before))
    serial, parallel, processor = np.median(times, axis=0).tolist()
    return Speed(serial, parallel, processor)


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
    paired = _PAIRED_UNITS + _PAIRED_CUBE_UNITS * sum(width**3 for width in widths)
    return FitCosts(
        seconds=units * speed.parallel,
        failed_seconds=(units + _FAILED_UNITS) * speed.parallel,
        paired_seconds=paired * speed.parallel,
        memory=int(_BYTES + _ENTRY_BYTES * entries * 1e6),
    )
