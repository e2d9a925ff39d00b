"""From a coarse rotation to one of full width, by the finish that suits the rows.

A coarse map rests on 64 principal coordinates. With many rows neighbors tell the rest (*polish*). With few rows every
refinement follows the noise of its rows, and the mean of many refinements on random parts is better than each of them
(*averaged*). Which one suits is decided without a pair: both run on disjoint halves of the rows, and the finish whose
two results agree better on which row is which is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from interlingua.aligners.frames import polar
from interlingua.aligners.linear.tilts import Plane, coupled_step
from interlingua.aligners.refine import polish, wasserstein_procrustes
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import take, to_device, to_numpy

Report = Callable[[dict[str, Any]], None]

# Principal coordinates of each stage of the averaged finish. Wider maps than the last follow noise with few rows.
_WIDTHS = (64, 96, 128)
_REPEATS, _CLIMBS = 2, 8
_TEMPERATURES = (0.05,) * 10 + (0.04,) * 10
# Source rows of a batch, as a share and at most; the larger side may give more, for near rows exist only among many.
_PART, _BATCH, _LARGER_BATCH = 0.7, 800, 3000
# Breaks the tie between directions that a coarse map says nothing about.
_NOISE = 0.01
_POLISH_WIDTH, _POLISH_ROWS = 128, 6000
_POLISH_NEIGHBORS = (50, 50, 50, 50, 30)
# Where batches leave rows out, the last steps take more rows. The nearest are nearer among them, and fewer are right.
_CLOSING_NEIGHBORS, _CLOSING_ROWS = (30, 20, 10), 12_000
_USUAL_ROWS = 5000
_BAGS, _BAG_NEIGHBORS = 8, (50, 50)
_JUDGED_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished map.

    Attributes:
        matrix: [d_source, d_target]. Singular values are 1, or 0 in the directions that the finish leaves out.
        name: the finish that was taken.
        evidence: for each finish, how often refits on disjoint halves agree on which row is which, 0 to 1.
    """

    matrix: FloatArray
    name: str
    evidence: dict[str, float]


Finish = Callable[[FloatArray, FloatArray, FloatArray, int, str], FloatArray]


def finish(
    x: FloatArray,
    y: FloatArray,
    matrix: FloatArray,
    *,
    seed: int = 0,
    device: str = "cpu",
    on_step: Report = lambda step: None,
    names: Sequence[str] | None = None,
) -> Finished:
    """Carry a coarse map to full width by the finish whose refits on halves agree best.

    Args:
        x: [n_source, d_source], centered unit rows in random order, without repeated rows.
        y: [n_target, d_target], likewise.
        matrix: [d_source, d_target], as `search_islands` returns it.
        seed: decides every random draw.
        device: ``"cpu"`` for numpy, otherwise a torch device.
        on_step: called with one dict of numbers at the end.
        names: finishes to choose from, out of `FINISHES`; all by default.
    """
    if len(x) > len(y):
        turned = np.ascontiguousarray(matrix.T)
        other = finish(y, x, turned, seed=seed, device=device, on_step=on_step, names=names)
        return Finished(np.ascontiguousarray(other.matrix.T), other.name, other.evidence)
    names = list(names or FINISHES)
    evidence = {}
    if len(names) > 1:
        halves = [(x[i::2], y[i::2]) for i in (0, 1)]
        for name in names:
            refits = [FINISHES[name](*half, matrix, seed + i, device) for i, half in enumerate(halves)]
            evidence[name] = same_rows(x[:_JUDGED_ROWS], y[:_JUDGED_ROWS], *refits)
    best = max(names, key=lambda name: evidence.get(name, 0.0))
    result = FINISHES[best](x, y, matrix, seed, device)
    on_step({"step": "finish", "finish": best, **{f"halves {name}": value for name, value in evidence.items()}})
    return Finished(result, best, evidence)


def polished(x: FloatArray, y: FloatArray, matrix: FloatArray, seed: int, device: str) -> FloatArray:
    """Return the map [d_source, d_target] after a climb in 128 coordinates and steps on neighbors of all rows."""
    rng = np.random.default_rng([seed, 1])
    plane = Plane.of(x, y, _POLISH_WIDTH, device=device)
    n = min(len(x), len(y))
    # More rows hold more detail to get right, and pay for more steps.
    more = max(1.0, n / _USUAL_ROWS)
    moved = plane.to_device(plane.reduce(matrix)[None])
    for temperature, steps, batch in ((0.05, 60, 800), (0.04, 90, 1500)):
        temperatures = [temperature] * round(more * steps)
        moved = wasserstein_procrustes(plane.x, plane.y, moved, temperatures=temperatures, batch=min(batch, n), rng=rng)
    fine = polar(plane.lift(np.asarray(to_numpy(moved))[0]))
    fine = _neighbors(x, y, fine, _POLISH_NEIGHBORS, _POLISH_ROWS, rng, device)
    if len(y) > _POLISH_ROWS:
        fine = _neighbors(x, y, fine, _CLOSING_NEIGHBORS, _CLOSING_ROWS, rng, device)
    return fine


def averaged(x: FloatArray, y: FloatArray, matrix: FloatArray, seed: int, device: str) -> FloatArray:
    """Return the map [d_source, d_target], of rank 128, after summed short climbs in more and more coordinates."""
    for width in _WIDTHS:
        plane = Plane.of(x, y, width, device=device)
        noise = _NOISE * np.random.default_rng([seed, width]).standard_normal((plane.x.shape[1], plane.y.shape[1]))
        start = np.asarray(plane.axes[0].T @ matrix @ plane.axes[1] + noise, np.float32)
        for repeat in range(_REPEATS):
            start = _summed_climbs(plane, polar(start), (seed, width, repeat))
        matrix = plane.lift(start)
    return matrix


def averaged_and_bagged(x: FloatArray, y: FloatArray, matrix: FloatArray, seed: int, device: str) -> FloatArray:
    """Return the averaged map [d_source, d_target] after summed steps on neighbors of random parts of the rows."""
    matrix = averaged(x, y, matrix, seed, device)
    total = np.zeros(matrix.shape, np.float32)
    for bag in range(_BAGS):
        rng = np.random.default_rng([seed, 2, bag])
        a, b = (z[rng.choice(len(z), min(int(_PART * len(z)), _POLISH_ROWS), replace=False)] for z in (x, y))
        total += _neighbors(a, b, matrix, _BAG_NEIGHBORS, _POLISH_ROWS, rng, device)
    return polar(total)


FINISHES: dict[str, Finish] = {
    "polished": polished,
    "averaged": averaged,
    "averaged and bagged": averaged_and_bagged,
}


def same_rows(x: FloatArray, y: FloatArray, first: FloatArray, second: FloatArray) -> float:
    """Return how often two maps [d_source, d_target] send a row closer to itself than to any other, in both directions.

    Rows of ``x`` [n, d_source] are compared in the target space and rows of ``y`` [m, d_target] in the source space.
    Nothing is compared across the two sides.
    """
    shares = []
    for rows, maps in ((x, (first, second)), (y, (first.T, second.T))):
        a, b = (unit_rows(rows @ m) for m in maps)
        shares.append(float(((a @ b.T).argmax(axis=1) == np.arange(len(rows))).mean()))
    return float(np.mean(shares))


def _summed_climbs(plane: Plane, start: FloatArray, key: Sequence[int]) -> FloatArray:
    """Return the polar factor of the sum of short climbs from ``start`` [w_source, w_target], each on its own rows."""

    def ascend(number: int) -> FloatArray:
        rng = np.random.default_rng([*key, number])
        maps = plane.to_device(np.asarray(start, np.float32)[None])
        for temperature in _TEMPERATURES:
            rows = []
            for z, most in ((plane.x, _BATCH), (plane.y, _LARGER_BATCH)):
                size = min(most, int(_PART * z.shape[0]))
                rows.append(take(z, rng.choice(z.shape[0], size, replace=False)[None]))
            maps = coupled_step(rows[0], rows[1], maps, temperature)
        return np.asarray(to_numpy(maps)[0])

    # One thread on a device, which runs the work of a climb side by side already.
    threads = (os.cpu_count() or 1) if plane.device == "cpu" else 1
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as executor:
        return polar(np.sum(list(executor.map(ascend, range(_CLIMBS))), axis=0))


def _neighbors(
    x: FloatArray,
    y: FloatArray,
    matrix: FloatArray,
    neighbors: Sequence[int],
    batch: int,
    rng: np.random.Generator,
    device: str,
) -> FloatArray:
    """Return a map after steps on mutual neighbors; few rows allow few neighbors."""
    limit = max(2, min(len(x), len(y)) // 40)
    arrays = [to_device(z, device) for z in (x, y, matrix)]
    steps = [min(k, limit) for k in neighbors]
    return np.asarray(to_numpy(polish(*arrays, neighbors=steps, batch=batch, rng=rng)))
