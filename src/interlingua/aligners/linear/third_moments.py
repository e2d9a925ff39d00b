"""Third moments of both sides as a second objective for the rotation, beside optimal transport.

Optimal transport needs starts that agree at least 0.25 with the right map, and with few rows component starts agree
less. This objective has other wrong optima. For rows ``x_i`` and ``y_j`` with third moments
``T_abc = mean_i x_ia x_ib x_ic``, it is

``f(M) = <T_x(M, M, M), T_y> = mean_ij (x_i^T M y_j)^3``,

the cross term of the maximum mean discrepancy with a cubic kernel (Gretton et al., JMLR 2012). Once the moments are
summed, the cost of a step does not depend on the number of rows; in 24 coordinates it is a thirtieth of that of a step
of optimal transport on 600 rows in 64. With the gradient G, a step is ``M <- polar(sqrt(w) G / |G| + s M)``: the
shifted power method (Kolda and Mayo, SIAM J. Matrix Anal. Appl. 2011) for orthonormal maps of w coordinates, whose norm
is ``sqrt(w)``.

Third moments add up over topics, so moments for other proportions of topics are a weighted sum; see
:mod:`interlingua.aligners.linear.resamples` for why other proportions help. The rows of all topics are centered
together. The search by these moments is a method of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interlingua.aligners.frames import polar
from interlingua.aligners.linear.island_starts import perturb, random_mixture, weighted_sum
from interlingua.aligners.refine import approximate_polar
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.backend import parallel_map

__all__ = ["ThirdMoments", "search_moments"]

# More coordinates distinguish right from wrong maps better; with fewer, more starts reach the right map. The cost grows
# with the fourth power. Of 24 and 32, 24 brought more splits beyond an agreement of 0.5 (500 against 8,000 rows).
_WIDTH = 24
# Columns are divided by their standard deviation to this power. At 0 the leading axes dominate, at 1 noise does.
_WHITENING = 0.25
# Columns that vary less than this share of the largest deviation are not enlarged further: they may be all zeros.
_DEVIATION_FLOOR = 1e-3
# The weight s of the map in its next step.
_SHIFT = 0.3
# Steps on other proportions of topics, then on those of the rows.
_REWEIGHTED_STEPS, _UNIFORM_STEPS = 30, 10
# Of a search: generations, maps per generation, maps that are kept, and the best of them, which have offspring.
_GENERATIONS, _OFFSPRING, _POOL, _BEST = 3, 48, 100, 20
# Agreement of an offspring with its origin, in turn: for mixtures of parents, for the best maps, and for the consensus.
_MIXTURE_COSINES, _BEST_COSINES, _CONSENSUS_COSINES = (0.3, 0.7), (0.5, 0.9), (0.3, 0.5, 0.7, 0.9)
# Temperatures of the softmax over similarities that weights the maps of a consensus and of a mixture of parents.
_CONSENSUS_TEMPERATURE, _PARENT_TEMPERATURE = 4e-3, 2e-2
# A search starts from 150 maps at most. Fewer than 60 are repeated. Each gets noise, so that repeats differ.
_MOST_PARENTS, _LEAST_PARENTS, _NOISE = 150, 60, 0.3
# Noise in all coordinates of the maps returned. Those that the moments lack would be empty without it.
_RESULT_NOISE = 0.25
# Maps that take a step at a time.
_TOGETHER = 32


@dataclass(frozen=True, eq=False)
class ThirdMoments:
    """The third moments of both sides in their leading coordinates, and those of each topic.

    Attributes:
        topics: [c, w^3] of each side, the sums over the rows of a topic divided by the number of all rows.
        whole: [w^2, w] and [w, w^2], of all rows of either side, scaled to norm 1.
    """

    topics: tuple[FloatArray, FloatArray]
    whole: tuple[FloatArray, FloatArray]

    @classmethod
    def of(cls, rows: Sequence[FloatArray], topics: Sequence[IntArray]) -> ThirdMoments:
        """Measure coarse rows [n, w_source] and [n, w_target], whose topics are numbered from 0."""
        width = min(_WIDTH, *(z.shape[1] for z in rows))
        sums = [_topic_sums(z[:, :width], labels) for z, labels in zip(rows, topics, strict=True)]
        first, second = (_scaled(s.sum(axis=0)) for s in sums)
        return cls((sums[0], sums[1]), (first.reshape(-1, width), second.reshape(width, -1)))

    @property
    def width(self) -> int:
        """The number of coordinates w."""
        return int(self.whole[1].shape[0])

    def similarity(self, maps: FloatArray) -> FloatArray:
        """Return f(M) of maps [r, w, w], with moments of norm 1: at most 1."""
        return np.asarray((_gradients(maps, *self.whole) * maps).sum(axis=(1, 2)))

    def ascend(self, maps: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return maps [r, w, w] after steps on random proportions of topics and on those of the rows."""
        moved = []
        for first in range(0, len(maps), _TOGETHER):
            part = maps[first : first + _TOGETHER]
            drawn = self._draw(len(part), rng)
            for _ in range(_REWEIGHTED_STEPS):
                part = _step(part, *drawn)
            for _ in range(_UNIFORM_STEPS):
                part = _step(part, *self.whole)
            moved.append(part)
        return np.concatenate(moved)

    def _draw(self, count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Return moments [r, w^2, w] and [r, w, w^2] of both sides with random proportions of topics."""
        width = self.width
        source, target = (
            _scaled(rng.exponential(size=(count, len(sums))).astype(np.float32) @ sums) for sums in self.topics
        )
        return source.reshape(count, -1, width), target.reshape(count, width, -1)


def search_moments(
    moments: ThirdMoments, maps: FloatArray, key: Sequence[int], *, searches: int, shape: tuple[int, int]
) -> FloatArray:
    """Return maps [3 * searches, w_source, w_target] of independent evolutionary searches by third moments.

    Each search starts from at most 150 of the maps, drawn at random, with noise. Its offspring come from its consensus,
    from random mixtures of those maps, and from its best maps; it returns the last consensus and the two best maps.

    Args:
        moments: of both sides.
        maps: [r, w_source, w_target], coarse maps to start from.
        key: decides every draw.
        searches: number of searches.
        shape: (w_source, w_target), of the maps returned. They get noise, which fills the coordinates that the moments
            lack.
    """
    width = moments.width

    def search(number: int) -> FloatArray:
        rng = np.random.default_rng([*key, number])
        chosen = rng.choice(len(maps), min(_MOST_PARENTS, len(maps)), replace=False)
        starts = np.tile(maps[chosen][:, :width, :width], (-(-_LEAST_PARENTS // len(chosen)), 1, 1))
        starts = starts + _NOISE * rng.standard_normal(starts.shape) / np.sqrt(width)
        found = _evolve(moments, moments.ascend(polar(starts.astype(np.float32)), rng), rng)
        whole = _RESULT_NOISE * rng.standard_normal((len(found), *shape)) / np.sqrt(max(shape))
        whole[:, :width, :width] += found
        return polar(whole.astype(np.float32))

    return np.concatenate(parallel_map(search, range(searches)))


def _evolve(moments: ThirdMoments, parents: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the last consensus and the two best maps [3, w, w] of a search that starts from ``parents``."""
    maps, scores = parents, moments.similarity(parents)
    parent_scores = scores

    def consensus() -> FloatArray:
        return weighted_sum(maps, scores, temperature=_CONSENSUS_TEMPERATURE).astype(np.float32)

    for _ in range(_GENERATIONS):
        maps, scores = _best(maps, scores)
        center = consensus()
        offspring = []
        for i in range(_OFFSPRING // 4):
            mixture = random_mixture(parents, parent_scores, _PARENT_TEMPERATURE, rng)
            best = maps[rng.integers(min(len(maps), _BEST))]
            first, second = (_CONSENSUS_COSINES[(2 * i + j) % len(_CONSENSUS_COSINES)] for j in (0, 1))
            offspring += [
                perturb(mixture, _MIXTURE_COSINES[i % len(_MIXTURE_COSINES)], rng),
                perturb(center, first, rng),
                perturb(best, _BEST_COSINES[i % len(_BEST_COSINES)], rng),
                perturb(center, second, rng),
            ]
        moved = moments.ascend(np.stack(offspring), rng)
        maps = np.concatenate([maps, moved])
        scores = np.concatenate([scores, moments.similarity(moved)])
    maps, scores = _best(maps, scores)
    return np.stack([consensus(), *maps[:2]])


def _best(maps: FloatArray, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the best maps and their scores, best first."""
    order = np.argsort(-scores, kind="stable")[:_POOL]
    return maps[order], scores[order]


def _topic_sums(rows: FloatArray, topics: IntArray) -> FloatArray:
    """Return [c, w^3], the third moments of rows [n, w] by topic; they add up to the mean over all rows."""
    deviations = rows.std(axis=0)
    rows = unit_rows(rows / np.maximum(deviations, _DEVIATION_FLOOR * deviations.max()) ** _WHITENING)
    rows -= rows.mean(axis=0)
    sums = []
    for topic in range(int(topics.max()) + 1):
        own = rows[topics == topic]
        products = (own[:, :, None] * own[:, None, :]).reshape(len(own), own.shape[1] ** 2)
        sums.append((products.T @ own / np.float32(len(rows))).ravel())
    return np.stack(sums)


def _scaled(moments: FloatArray) -> FloatArray:
    """Return moments [..., w^3] with norm 1."""
    return np.asarray(moments / np.linalg.norm(moments, axis=-1, keepdims=True))


def _gradients(maps: FloatArray, source: FloatArray, target: FloatArray) -> FloatArray:
    """Return ``G_ad = sum_bcef T_x,abc M_be M_cf T_y,def`` of maps [r, w, w], a third of the gradient of f.

    Args:
        maps: M.
        source: T_x, [w^2, w] or [r, w^2, w].
        target: T_y, [w, w^2] or [r, w, w^2].
    """
    count, width, _ = maps.shape
    once = (source @ maps).reshape(count, width, width, width)
    twice = once.swapaxes(2, 3).reshape(count, width * width, width) @ maps
    return np.asarray(twice.reshape(count, width, width * width) @ target.swapaxes(-1, -2))


def _step(maps: FloatArray, source: FloatArray, target: FloatArray) -> FloatArray:
    """Return ``polar(sqrt(w) G / |G| + s M)`` of maps [r, w, w]."""
    gradients = _gradients(maps, source, target)
    length = np.linalg.norm(gradients, axis=(1, 2), keepdims=True) / np.float32(np.sqrt(maps.shape[-1]))
    return np.asarray(approximate_polar(gradients / length + np.float32(_SHIFT) * maps))
