"""Percentile bootstrap over rows (Efron and Tibshirani 1993, section 13.3); all figures share the same resamples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import Bounds, check_count, check_flag, check_instance, check_settings
from interlingua.core.arrays import as_array, row_blocks
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of

__all__ = ["Interval", "JsonRecord", "Resamples", "interval", "share_interval"]

_DRAWS = 400
# Square of the 97.5% quantile of the normal distribution.
_Z2 = 1.959964**2
# Entries of one block of resample counts (64 MiB of float32).
_BLOCK_ENTRIES = 2**24


@dataclass(frozen=True)
class Interval:
    """A figure over rows with its 95% bootstrap interval (``None`` without a bootstrap)."""

    value: float
    low: float | None = None
    high: float | None = None

    def __float__(self) -> float:
        return self.value

    @property
    def lower(self) -> float:
        """The lower end, or the figure itself without a bootstrap."""
        return self.value if self.low is None else self.low

    @property
    def upper(self) -> float:
        """The upper end, or the figure itself without a bootstrap."""
        return self.value if self.high is None else self.high

    def __str__(self) -> str:
        return f"{self.value:.4g}" if self.low is None else f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"

    def to_list(self) -> list[float | None]:
        """Return ``[value, low, high]`` for JSON."""
        return [self.value, self.low, self.high]


class JsonRecord:
    """A dataclass that can be written as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON by the names of the fields; an interval is [value, low, high]."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return value.to_list()
    if isinstance(value, Mapping):
        return {str(key): _plain(member) for key, member in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(member) for member in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


@dataclass(frozen=True)
class Resamples:
    """Resamples of n rows with replacement.

    Every method puts the sample itself first and the resamples after it. The same seed gives the same resamples, so
    that differences and ratios of figures can be taken resample by resample. Memory is bounded: counts are drawn in
    blocks, and kept only where one block holds them all.

    Attributes:
        n: rows.
        seed: seed of the resamples.
        draws: number of resamples.
    """

    n: int
    seed: int
    draws: int = _DRAWS

    bounds: ClassVar[Bounds] = {"n": {"minimum": 1}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    def counts(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield how often each row is in each resample, in blocks [b, n]; the first row of the first block is ones."""
        block = max(1, _BLOCK_ENTRIES // self.n)
        if self.draws <= block:
            yield self._all_counts
            return
        rng = np.random.default_rng(self.seed)
        yield np.ones((1, self.n), np.float32)
        for part in row_blocks(self.draws, block):
            yield self._draw(rng, part.stop - part.start)

    def sums(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the sums [1 + draws, ...] of values [n, ...] over each resample."""
        given = self._values(values, "values")
        return np.concatenate([block.astype(np.float64) @ given for block in self.counts()])

    def mean(self, values: npt.ArrayLike, *, share: bool = False) -> Interval:
        """Return the mean of one value per row [n]; rows with NaN are left out.

        The interval of a share is that of Wilson where all values are 0, or all are 1. The same interval is used for
        other scores from 0 to 1, such as nDCG, for which it is at least as wide as needed.

        Args:
            values: one value per row [n].
            share: whether the values are scores from 0 to 1. Booleans always are.

        Raises:
            InputError: values of another number of rows, or no numbers.
        """
        given = self._values(values, "values", rank=1)
        is_share = check_flag(share, "share") or np.asarray(values).dtype.kind == "b"
        return self._ratio(given, np.ones(self.n), share=is_share)

    def ratio(self, numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Interval:
        """Return sum(numerator) / sum(denominator) of values per row [n]; rows with NaN in either are left out.

        The interval of a share, whose values are all 0 or 1, is that of Wilson where the share itself is 0 or 1.
        """
        return self._ratio(numerator, denominator, share=True)

    def _ratio(self, numerator: npt.ArrayLike, denominator: npt.ArrayLike, *, share: bool) -> Interval:
        """Return a ratio; with ``share``, a ratio of values that are all 0 or 1 has the interval of a share."""
        parts = {"numerator": numerator, "denominator": denominator}
        pair = np.stack([self._values(values, name, rank=1) for name, values in parts.items()], axis=1)
        pair[~np.isfinite(pair).all(axis=1)] = 0
        sums = self.sums(pair)
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = interval(sums[:, 0] / sums[:, 1])
        share = share and bool(np.isin(pair, (0, 1)).all() and (pair[:, 0] <= pair[:, 1]).all())
        return share_interval(drawn, int(pair[:, 1].sum())) if share and pair[:, 1].any() else drawn

    def auc(self, scores: npt.NDArray[Any], positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the area under the ROC curve [1 + draws]: how often a positive row has a higher score than a negative.

        Ties count half. NaN where a resample lacks positive or negative rows.
        """
        scores, positive = self._values(scores, "scores", rank=1), self._values(positive, "positive", rank=1) > 0
        order = np.argsort(scores, kind="stable")
        starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)
        areas = []
        for block in self.counts():
            weights = block[:, order]
            hits = np.add.reduceat(weights * positive[order], starts, axis=1).astype(np.float64)
            misses = np.add.reduceat(weights * ~positive[order], starts, axis=1).astype(np.float64)
            below = np.cumsum(misses, axis=1) - misses / 2
            with np.errstate(invalid="ignore"):
                areas.append((hits * below).sum(axis=1) / (hits.sum(axis=1) * misses.sum(axis=1)))
        return np.concatenate(areas)

    def _values(self, values: Any, name: str, rank: int | None = None) -> npt.NDArray[np.float64]:
        """Return one value per row as an array [n, ...]."""
        array = as_array(values, name)
        if array.dtype.kind not in "bfiu" or array.shape[:1] != (self.n,) or rank not in (None, array.ndim):
            raise InputError(f"{name} has shape {array.shape}; numbers for each of {count_of(self.n)} are needed.")
        return array.astype(np.float64)

    @cached_property
    def _all_counts(self) -> npt.NDArray[np.float32]:
        drawn = self._draw(np.random.default_rng(self.seed), self.draws)
        return np.concatenate([np.ones((1, self.n), np.float32), drawn])

    def _draw(self, rng: np.random.Generator, draws: int) -> npt.NDArray[np.float32]:
        cells = rng.integers(0, self.n, (draws, self.n)) + self.n * np.arange(draws)[:, None]
        return np.bincount(cells.ravel(), minlength=draws * self.n).reshape(draws, self.n).astype(np.float32)


def share_interval(share: Interval, n: int) -> Interval:
    """Return the interval of a share of n rows, which is that of Wilson (1927) where the share is 0 or 1.

    Every resample of equal rows is the same, so that a bootstrap would give an interval of no width.

    Args:
        share: with its bootstrap interval, if there is one.
        n: number of rows.

    Raises:
        InputError: an argument of another type, or no rows.
    """
    check_instance(share, "share", Interval, "an Interval")
    n = check_count(n, "n", minimum=1)
    if share.low is None or share.value not in {0, 1}:
        return share
    margin = _Z2 / (n + _Z2)
    return Interval(1.0, 1 - margin, 1.0) if share.value == 1 else Interval(0.0, 0.0, margin)


def interval(values: npt.NDArray[np.float64]) -> Interval:
    """Return the first value with the 2.5% and 97.5% quantiles of the other values; NaN among them are ignored.

    Raises:
        InputError: not a vector of at least one number.
    """
    values = as_array(values, "values")
    if values.dtype.kind not in "fiu" or values.ndim != 1 or not len(values):
        raise InputError(f"values has shape {values.shape}; one number or more are needed.")
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return Interval(float(values[0]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(float(values[0]), float(low), float(high))
