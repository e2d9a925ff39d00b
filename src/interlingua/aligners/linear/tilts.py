"""Climbs on resamples in which the topics of both sides have random proportions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from interlingua.aligners.frames import polar
from interlingua.aligners.refine import orthogonal
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.backend import Array, namespace, take, to_device, to_numpy

_CLUSTERS = 24
# A climb: tilted batches while the temperature falls, then steps on the true proportions to arrive at a comparable map.
_TILTED = tuple(float(t) for t in np.geomspace(0.07, 0.035, 40))
_LEVEL = (0.04,) * 8
_TILTED_BATCH, _LEVEL_BATCH = 600, 2000
# Batches leave out this much of a small side, so that they differ from each other.
_LEFT_OUT = 0.3
_SINKHORN_STEPS = 3
# Far below every kernel value in use; keeps a row without partners from dividing by zero.
_TINY = 1e-30
# Directions with less than this share of the largest variance are rounding.
_RANK_FLOOR = 1e-6
# Rows a side that a search holds; its maps are coarse, and more rows do not change them.
_MAX_ROWS = 30_000
# Scores of rivals differ in the third digit, and few rows would hide that.
_SCORED_SIMILARITIES = 4_000_000
# A known pair counts as so many rows of a batch of 400, up to half of the batch.
_PAIR_WEIGHT = 10 / 400


@dataclass(frozen=True, eq=False)
class Plane:
    """Two sides in their leading principal coordinates.

    Attributes:
        x: [n_source, w_source], unit rows on the device.
        y: [n_target, w_target], likewise.
        axes: principal axes of each side as columns, [d_source, w_source] and [d_target, w_target].
        rows: the rows at full width that components are found in.
        ranks: number of directions in which each side varies.
        device: where the climbs run.
        prior: [w_source, w_target], cross-covariance per row that is known from pairs.
    """

    x: Array
    y: Array
    axes: tuple[FloatArray, FloatArray]
    rows: tuple[FloatArray, FloatArray]
    ranks: tuple[int, int]
    device: str = "cpu"
    prior: Array | None = None

    @classmethod
    def of(
        cls,
        x: FloatArray,
        y: FloatArray,
        width: int,
        *,
        device: str = "cpu",
        known: tuple[FloatArray, FloatArray] | None = None,
    ) -> Plane:
        """Reduce centered unit rows [n_source, d_source] and [n_target, d_target] to ``width`` coordinates."""
        rows = (x[:_MAX_ROWS], y[:_MAX_ROWS])
        axes, ranks = [], []
        for z in rows:
            values, vectors = np.linalg.eigh(z.T @ z / np.float32(len(z)))
            ranks.append(int((values > _RANK_FLOOR * values[-1]).sum()))
            axes.append(np.ascontiguousarray(vectors[:, ::-1][:, : min(width, ranks[-1])]))
        coarse = [to_device(unit_rows(z @ v), device) for z, v in zip(rows, axes, strict=True)]
        prior = None
        if known is not None and len(known[0]):
            a, b = (unit_rows(z @ v) for z, v in zip(known, axes, strict=True))
            prior = to_device(np.asarray(min(0.5, _PAIR_WEIGHT * len(a)) * (a.T @ b) / len(a), np.float32), device)
        return cls(coarse[0], coarse[1], (axes[0], axes[1]), rows, (ranks[0], ranks[1]), device, prior)

    @property
    def score_rows(self) -> int:
        """Rows a side on which maps are scored: as many as keep the similarities of a map below a fixed number."""
        n, m = sorted((self.x.shape[0], self.y.shape[0]))
        return int(max(_SCORED_SIMILARITIES**0.5, min(m, _SCORED_SIMILARITIES / n)))

    def reduce(self, matrix: FloatArray) -> FloatArray:
        """Return the polar factor [w_source, w_target] of a map [d_source, d_target] in principal coordinates."""
        return polar(self.axes[0].T @ matrix @ self.axes[1])

    def lift(self, matrix: FloatArray) -> FloatArray:
        """Return a coarse map [w_source, w_target] between the full spaces, [d_source, d_target]."""
        return self.axes[0] @ matrix @ self.axes[1].T

    def to_device(self, array: FloatArray) -> Array:
        """Return ``array`` where the climbs run."""
        return to_device(array, self.device)


@dataclass(eq=False)
class Climber:
    """Runs climbs of many maps at once; each sees its own proportions of topics and its own batches."""

    plane: Plane
    executor: ThreadPoolExecutor
    _labels: list[IntArray] = field(default_factory=list)

    @classmethod
    @contextmanager
    def open(cls, plane: Plane, threads: int | None = None) -> Iterator[Climber]:
        """Yield a climber with ``threads`` threads, one a core by default; each climb runs in one thread."""
        executor = ThreadPoolExecutor(threads or os.cpu_count() or 1)
        with threadpool_limits(1, "blas"):
            try:
                yield cls(plane, executor)
            finally:
                executor.shutdown(cancel_futures=True)

    def cluster(self, seed: int) -> None:
        """Divide the rows of both sides into the topics whose proportions the next climbs vary."""
        from sklearn.cluster import MiniBatchKMeans

        self._labels = [
            MiniBatchKMeans(min(_CLUSTERS, len(z) // 4), random_state=seed, n_init=2).fit(z).labels_
            for z in (to_numpy(self.plane.x), to_numpy(self.plane.y))
        ]

    def climb(self, starts: FloatArray, key: Sequence[int], tilts: Sequence[float]) -> FloatArray:
        """Return where ``starts`` [r, w_source, w_target] arrive.

        Args:
            starts: maps with orthonormal rows or columns.
            key: decides every draw, together with the position of a map in ``starts``.
            tilts: how strongly the climbs vary the proportions of topics, taken in turn; 0 leaves them as they are.
        """

        def one(i: int) -> tuple[list[IntArray], list[IntArray]]:
            return self._draw(np.random.default_rng([*key, i]), tilts[i % len(tilts)])

        drawn = self.executor.map(one, range(len(starts)))
        temperatures = _TILTED + _LEVEL
        if self.plane.device == "cpu":
            maps = self.executor.map(
                lambda start, rows: self._ascend(start[None], [[r[None] for r in side] for side in rows], temperatures),
                starts,
                drawn,
            )
            return np.concatenate(list(maps))
        sides = list(zip(*drawn, strict=True))
        stacked = [[np.stack(step) for step in zip(*side, strict=True)] for side in sides]
        return np.asarray(to_numpy(self._ascend(self.plane.to_device(starts), stacked, temperatures)))

    def _draw(self, rng: np.random.Generator, tilt: float) -> tuple[list[IntArray], list[IntArray]]:
        """Return the row indices of each step of one climb, on the source and on the target side."""
        batches: tuple[list[IntArray], list[IntArray]] = ([], [])
        for side, labels in zip(batches, self._labels, strict=True):
            n = len(labels)
            most = int((1 - _LEFT_OUT) * n)
            weights = (rng.exponential(size=labels.max() + 1) ** tilt)[labels]
            for _ in _TILTED:
                side.append(_weighted_sample(weights, min(_TILTED_BATCH, most), rng))
            for _ in _LEVEL:
                side.append(rng.choice(n, min(_LEVEL_BATCH, most), replace=False))
        return batches

    def _ascend(self, maps: Array, rows: Sequence[list[IntArray]], temperatures: Sequence[float]) -> Array:
        for temperature, rows_x, rows_y in zip(temperatures, *rows, strict=True):
            a, b = take(self.plane.x, rows_x), take(self.plane.y, rows_y)
            maps = coupled_step(a, b, maps, temperature, self.plane.prior)
        return maps


def coupled_step(a: Array, b: Array, maps: Array, temperature: float, prior: Array | None = None) -> Array:
    """Return the rotations [r, w_source, w_target] that fit the couplings under ``maps`` best.

    One step of entropic Wasserstein-Procrustes: Sinkhorn couplings of ``a @ maps`` with ``b``, then polar factors.

    Args:
        a: [r, n, w_source], unit rows; each map has rows of its own.
        b: [r, m, w_target], likewise.
        maps: [r, w_source, w_target].
        temperature: couplings are ``exp(cosine / temperature)`` with uniform marginals.
        prior: [w_source, w_target], cross-covariance per row that is known from pairs.
    """
    xp = namespace(maps)
    targets = xp.permute_dims(b, (0, 2, 1))
    kernel = (a @ maps) @ targets
    # In place, for this is by far the largest array. No cosine exceeds 1, so nothing overflows.
    kernel -= 1
    kernel /= temperature
    kernel = xp.exp(kernel)
    v = xp.ones_like(kernel[:, 0, :, None])
    u = v
    for _ in range(_SINKHORN_STEPS):
        u = 1 / (kernel @ v + _TINY)
        v = 1 / (xp.permute_dims(kernel, (0, 2, 1)) @ u + _TINY)
    covariance = xp.permute_dims(a, (0, 2, 1)) @ (u * (kernel @ (v * b)))
    if prior is not None:
        covariance = covariance + b.shape[1] * prior
    return orthogonal(covariance)


def _weighted_sample(weights: FloatArray, size: int, rng: np.random.Generator) -> IntArray:
    """Return ``size`` distinct indices drawn in turn with probabilities proportional to ``weights`` [n].

    The arrival times of Poisson processes with these rates; the first to arrive are the sample (Efraimidis and
    Spirakis 2006).
    """
    return np.argpartition(rng.exponential(size=len(weights)) / weights, size - 1)[:size]
