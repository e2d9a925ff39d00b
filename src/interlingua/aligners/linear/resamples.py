"""Refinement of coarse maps on resamples in which the topics of both sides have random proportions.

The topics of a side are the clusters of its rows (k-means). Each refinement of a map draws one weight ``e_c`` per topic
from the exponential distribution with mean 1, as the Bayesian bootstrap does for rows (Rubin, Ann. Statist. 1981), and
samples the rows of topic c with probability proportional to ``e_c ** strength``. At strength 0 the proportions of
topics stay as they are. The last steps always use uniform samples, so that scores of all maps are comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.refine import coupled_step
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.backend import Array, parallel_map, take, to_device, to_numpy

__all__ = ["RefinementOnResamples"]

_CLUSTERS = 24
# Temperatures of the steps on reweighted batches, then of those on uniform batches.
_REWEIGHTED = tuple(float(t) for t in np.geomspace(0.07, 0.035, 40))
_UNIFORM = (0.04,) * 8
_REWEIGHTED_BATCH, _UNIFORM_BATCH = 600, 2000
# Batches leave out this much of a small side, so that they differ from each other.
_LEFT_OUT = 0.3


@dataclass(eq=False)
class RefinementOnResamples:
    """Refines many maps at once; each sees its own proportions of topics and its own batches.

    Attributes:
        spaces: both sides in coarse coordinates.
        prior: [w_source, w_target], cross-covariance of known pairs on the device, or None.
    """

    spaces: CoarseSpaces
    prior: Array | None = None
    _labels: list[IntArray] = field(default_factory=list)

    def cluster(self, seed: int) -> None:
        """Divide the rows of both sides into the topics that the next refinements reweight."""
        from sklearn.cluster import MiniBatchKMeans

        self._labels = [
            MiniBatchKMeans(min(_CLUSTERS, len(z) // 4), random_state=seed, n_init=2).fit(z).labels_
            for z in map(to_numpy, self.spaces.rows)
        ]

    def refine(self, starts: FloatArray, key: Sequence[int], reweighting: Sequence[float]) -> FloatArray:
        """Return the refined maps [r, w_source, w_target] of ``starts``.

        Args:
            starts: maps with orthonormal rows or columns.
            key: decides every draw, together with the position of a map in ``starts``.
            reweighting: exponents of the topic weights, taken in turn.
        """
        temperatures = _REWEIGHTED + _UNIFORM

        def draw(i: int) -> tuple[list[IntArray], list[IntArray]]:
            return self._draw(np.random.default_rng([*key, i]), reweighting[i % len(reweighting)])

        def refine_one(i: int) -> FloatArray:
            rows = [[index[None] for index in side] for side in draw(i)]
            return np.asarray(self._refine(starts[i : i + 1], rows, temperatures))

        if self.spaces.device == "cpu":
            return np.concatenate(parallel_map(refine_one, range(len(starts))))
        sides = zip(*map(draw, range(len(starts))), strict=True)
        stacked = [[np.stack(step) for step in zip(*side, strict=True)] for side in sides]
        return np.asarray(to_numpy(self._refine(to_device(starts, self.spaces.device), stacked, temperatures)))

    def _draw(self, rng: np.random.Generator, strength: float) -> tuple[list[IntArray], list[IntArray]]:
        """Return the row indices of each step of one refinement, on the source and on the target side."""
        batches: tuple[list[IntArray], list[IntArray]] = ([], [])
        for side, labels in zip(batches, self._labels, strict=True):
            n = len(labels)
            most = int((1 - _LEFT_OUT) * n)
            weights = (rng.exponential(size=labels.max() + 1) ** strength)[labels]
            for _ in _REWEIGHTED:
                side.append(_weighted_sample(weights, min(_REWEIGHTED_BATCH, most), rng))
            for _ in _UNIFORM:
                side.append(rng.choice(n, min(_UNIFORM_BATCH, most), replace=False))
        return batches

    def _refine(self, maps: Array, rows: Sequence[list[IntArray]], temperatures: Sequence[float]) -> Array:
        for temperature, rows_x, rows_y in zip(temperatures, *rows, strict=True):
            a, b = take(self.spaces.rows[0], rows_x), take(self.spaces.rows[1], rows_y)
            maps = coupled_step(a, b, maps, temperature, self.prior)
        return maps


def _weighted_sample(weights: FloatArray, size: int, rng: np.random.Generator) -> IntArray:
    """Return ``size`` distinct indices drawn in turn with probabilities proportional to ``weights`` [n].

    The arrival times of Poisson processes with these rates; the first to arrive are the sample (Efraimidis and
    Spirakis 2006).
    """
    return np.argpartition(rng.exponential(size=len(weights)) / weights, size - 1)[:size]
