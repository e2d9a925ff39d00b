"""Refinement of coarse maps on resamples in which the topics of both sides have random proportions.

The topics of a side are the clusters of its rows (k-means). Each refinement of a map draws one weight ``e_c`` per topic
from the exponential distribution with mean 1, as the Bayesian bootstrap does for rows (Rubin, Ann. Statist. 1981), and
samples the rows of topic c with probability proportional to ``e_c ** exponent``. With the exponent 0 the proportions
of topics stay as they are. The last steps always use uniform samples, so that scores of all maps are comparable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.refine import refine_on_batches
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.backend import Array, parallel_map, to_device, to_numpy

__all__ = ["RefinementOnResamples"]

_CLUSTERS = 24
# Highest and lowest temperature of the steps on reweighted batches, and that of those on uniform batches.
_HIGHEST, _LOWEST, _UNIFORM = 0.07, 0.035, 0.04
# Numbers of steps on reweighted and on uniform batches. Of 16 maps that agreed 0.25 with the right one (500 against
# 8,000 rows), 20 steps brought as many to more than 0.3 as 40 and 80 did.
_STEPS = 20, 2
# Only maps that have settled have scores that say which of them is better. Between questions and trivia, islands that
# agreed 0.44 with the right map were merged to 0.50 with 2 uniform steps and to 0.69 to 0.75 with 15. Refinement takes
# the right map itself to 0.76 (benchmarks/notes/fits.md).
_STEPS_TO_SETTLE = 40, 15
_REWEIGHTED_BATCH, _UNIFORM_BATCH = 600, 1000
# Maps that one thread refines at a time. With one map, threads would wait for the interpreter most of the time.
_TOGETHER = 4
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

    @property
    def topics(self) -> list[IntArray]:
        """The topics of the rows of both sides, numbered from 0, since the last `cluster`."""
        return self._labels

    def cluster(self, seed: int) -> None:
        """Divide the rows of both sides into the topics that the next refinements reweight."""
        from sklearn.cluster import MiniBatchKMeans

        self._labels = [
            MiniBatchKMeans(min(_CLUSTERS, len(z) // 4), random_state=seed, n_init=2).fit(z).labels_
            for z in map(to_numpy, self.spaces.rows)
        ]

    def refine(
        self, starts: FloatArray, key: Sequence[int], reweighting: Sequence[float], *, settle: bool = False
    ) -> FloatArray:
        """Return the refined maps [r, w_source, w_target] of ``starts``.

        Args:
            starts: maps with orthonormal rows or columns.
            key: decides every draw, together with the position of a map in ``starts``.
            reweighting: exponents of the topic weights, taken in turn.
            settle: take more steps, so that the scores of the maps can be compared; it takes three times as long.
        """
        steps = _STEPS_TO_SETTLE if settle else _STEPS
        temperatures = [*np.geomspace(_HIGHEST, _LOWEST, steps[0]).tolist(), *[_UNIFORM] * steps[1]]

        def refine(numbers: Sequence[int]) -> FloatArray:
            drawn = [
                self._draw(np.random.default_rng([*key, i]), reweighting[i % len(reweighting)], steps) for i in numbers
            ]
            # Of each step, the rows [r, b] of every map on either side.
            batches = [[np.stack(rows) for rows in zip(*step, strict=True)] for step in zip(*drawn, strict=True)]
            maps = to_device(starts[np.asarray(numbers)], self.spaces.device)
            return np.asarray(to_numpy(refine_on_batches(self.spaces.rows, maps, temperatures, batches, self.prior)))

        numbers = range(len(starts))
        if self.spaces.device != "cpu":
            return refine(numbers)
        parts = [numbers[first : first + _TOGETHER] for first in range(0, len(numbers), _TOGETHER)]
        return np.concatenate(parallel_map(refine, parts))

    def _draw(
        self, rng: np.random.Generator, exponent: float, steps: tuple[int, int]
    ) -> list[tuple[IntArray, IntArray]]:
        """Return the row indices of each step of one refinement, on the source and on the target side.

        Args:
            rng: decides every draw.
            exponent: of the topic weights.
            steps: numbers of steps on reweighted batches, and on uniform batches after them.
        """
        batches: tuple[list[IntArray], list[IntArray]] = ([], [])
        for side, labels in zip(batches, self._labels, strict=True):
            n = len(labels)
            most = int((1 - _LEFT_OUT) * n)
            weights = (rng.exponential(size=labels.max() + 1) ** exponent)[labels]
            for _ in range(steps[0]):
                side.append(_weighted_sample(weights, min(_REWEIGHTED_BATCH, most), rng))
            for _ in range(steps[1]):
                side.append(rng.choice(n, min(_UNIFORM_BATCH, most), replace=False))
        return list(zip(*batches, strict=True))


def _weighted_sample(weights: FloatArray, size: int, rng: np.random.Generator) -> IntArray:
    """Return ``size`` distinct indices drawn in turn with probabilities proportional to ``weights`` [n].

    The arrival times of Poisson processes with these rates; the first to arrive are the sample (Efraimidis and
    Spirakis 2006).
    """
    return np.argpartition(rng.exponential(size=len(weights)) / weights, size - 1)[:size]
