"""The null of a search: the same refinement from random starts, on the same rows.

A refinement returns a map between unrelated spaces, too. So a map can be judged only in comparison with maps that the
same refinement makes of random rotations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step, report_parts
from interlingua.aligners.coarse import CoarseSpaces, anneal, settle
from interlingua.aligners.frames import polar
from interlingua.core.arrays import FloatArray

__all__ = ["NullMaps", "robust_excess", "robust_spread"]

_COUNT = 6
# Additional maps if an excess is close to its limits: the spread of six scores is known to a factor of two only.
_MORE = 12
# 1.4826 times the median absolute deviation estimates the standard deviation of a normal distribution. It has a lower
# bound, because six scores can be nearly equal by chance.
_MAD, _MIN_SPREAD = 1.4826, 1.5e-3
# Keeps the draws of the null apart from those of a search with the same seed.
_STREAM = 7


@dataclass(frozen=True, eq=False)
class NullMaps:
    """Coarse maps refined from random rotations, and their transport similarities.

    With many rows a random start can arrive at the right map by itself. Medians ignore such maps as long as they are
    fewer than half.

    Attributes:
        spaces: the rows they were refined on.
        maps: [r, w_source, w_target].
        scores: [r], transport similarity of each.
    """

    spaces: CoarseSpaces
    maps: FloatArray
    scores: FloatArray

    @classmethod
    def sample(cls, spaces: CoarseSpaces, *, seed: int, on_part: OnStep = ignore_step) -> NullMaps:
        """Refine random rotations as a search refines its starts, without known pairs.

        Args:
            spaces: the rows.
            seed: seeds the null's own random generator.
            on_part: called before and after each of two parts.
        """
        return cls._draw(spaces, _COUNT, np.random.default_rng([seed, _STREAM]), report_parts("null", 2, on_part))

    def with_more(self, *, seed: int) -> NullMaps:
        """Return these null maps and twelve more.

        Args:
            seed: seeds the random generator of the additional maps.
        """
        more = self._draw(self.spaces, _MORE, np.random.default_rng([seed, _STREAM, 1]))
        return replace(
            self, maps=np.concatenate([self.maps, more.maps]), scores=np.concatenate([self.scores, more.scores])
        )

    @classmethod
    def _draw(
        cls,
        spaces: CoarseSpaces,
        count: int,
        rng: np.random.Generator,
        report_part: Callable[[], None] = lambda: None,
    ) -> NullMaps:
        widths = [axes.shape[1] for axes in spaces.axes]
        starts = polar(rng.standard_normal((count, *widths)).astype(np.float32))
        maps = anneal(spaces, starts, rng)
        report_part()
        maps = settle(spaces, maps, rng)
        report_part()
        return cls(spaces, maps, spaces.similarity(maps))

    def excess(self, score: float) -> float:
        """Return by how many standard deviations a transport similarity exceeds those of the null maps.

        ``(score - median) / max(1.4826 MAD, 0.0015)``, with median and median absolute deviation (MAD) of the null's
        scores; a robust z-score (Iglewicz and Hoaglin, 1993).
        """
        return robust_excess(score, self.scores)

    def excess_of_null(self) -> float:
        """Return the median excess of one null map over the others: the comparison value of :meth:`excess`."""
        others = (np.delete(self.scores, i) for i in range(len(self.scores)))
        return float(np.median([robust_excess(score, rest) for score, rest in zip(self.scores, others, strict=True)]))


def robust_spread(scores: FloatArray) -> float:
    """Return the standard deviation of scores [r] from their median absolute deviation; 0.0015 at least."""
    return max(_MAD * float(np.median(np.abs(scores - np.median(scores)))), _MIN_SPREAD)


def robust_excess(score: float, scores: FloatArray) -> float:
    """Return by how many of their standard deviations a score exceeds the median of scores [r]."""
    return (float(score) - float(np.median(scores))) / robust_spread(scores)
