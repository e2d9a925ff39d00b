"""Bootstrap intervals of any figure over documents: every figure of a report sees the same resamples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.evaluation import Interval

__all__ = ["Resamples", "interval"]

DRAWS = 400


@dataclass(frozen=True, eq=False)
class Resamples:
    """Resamples of n documents.

    Attributes:
        counts: [1 + draws, n], how often each document was drawn; the first row is the sample itself.
    """

    counts: npt.NDArray[np.float32]

    @classmethod
    def draw(cls, n: int, seed: int, draws: int = DRAWS) -> Resamples:
        """Draw resamples of n documents with replacement."""
        rng = np.random.default_rng(seed)
        counts = [np.ones(n), *(np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(draws))]
        return cls(np.asarray(counts, np.float32))

    def mean(self, values: npt.ArrayLike) -> Interval:
        """Return the mean of one value a document [n]; NaN for a document without one."""
        return self.ratio(values, np.ones(self.counts.shape[1]))

    def ratio(self, above: npt.ArrayLike, below: npt.ArrayLike) -> Interval:
        """Return sum(above) / sum(below) of values a document [n]; documents with a NaN in either are left out."""
        pair = np.stack([np.asarray(above, np.float64), np.asarray(below, np.float64)], axis=1)
        pair[~np.isfinite(pair).all(axis=1)] = 0
        sums = self.counts @ pair
        with np.errstate(invalid="ignore", divide="ignore"):
            return interval(sums[:, 0] / sums[:, 1])

    def auc(self, scores: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the area under the ROC curve [1 + draws]: how often a positive document outscores a negative one.

        Ties count half. NaN where a resample lacks either kind.
        """
        order = np.argsort(scores, kind="stable")
        starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)
        weights = self.counts[:, order]
        hits = np.add.reduceat(weights * positive[order], starts, axis=1).astype(np.float64)
        misses = np.add.reduceat(weights * ~positive[order], starts, axis=1).astype(np.float64)
        below = np.cumsum(misses, axis=1) - misses / 2
        with np.errstate(invalid="ignore"):
            return np.asarray((hits * below).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1)))


def interval(values: npt.NDArray[np.float64]) -> Interval:
    """Return the first value with the 2.5 % and 97.5 % points of the others; NaN where there is nothing to measure."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return Interval(float(values[0]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values[0]), float(low), float(high))
