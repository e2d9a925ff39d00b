"""Statistics of a fitted space, by which a translator recognizes vectors of other models and damaged ones."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core import structure
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.comparison import (
    DISTORTION_LIMIT,
    MEAN_LIMIT,
    MIN_BATCH,
    SPECTRUM_LIMIT,
    STRUCTURE_LIMIT,
    STRUCTURE_LIMIT_OF_FEW,
    STRUCTURE_ROWS,
    Comparison,
)
from interlingua.core.digests import distinct_rows
from interlingua.core.errors import SpaceMismatchError, SpaceMismatchWarning

__all__ = ["SpaceProfile", "check_not_foreign"]

# Principal axes that a profile keeps; the variance along all others is kept as one number.
_AXES = 256
# The spectrum decides only for spaces whose own rows, held out, exceed its limit this many times.
_CLEARANCE = 2.5
# Clusters from which batches of another model are refused. Fewer, of fits on few rows, tell no more than the sign.
_MANY_CLUSTERS = 150
# Structure decides only for spaces whose own batches, held out, have at least this score.
_CLEAR_STRUCTURE = 7.0
# A space looks reduced by PCA if such rows have at least this spectrum in it, and if the rank of a column by its
# variance has at least this correlation with its position. Few columns can be in order by chance.
_REDUCED, _FALLING, _LEAST_COLUMNS = 0.3, 0.6, 16
# Variances below this share of the largest are noise.
_FLOOR = 1e-4
# Batches whose rows are almost equal vary by rounding only.
_LEAST_VARIANCE = 0.02
# Coordinates whose standard deviation is below this share of the largest are constant.
_CONSTANT = 1e-3
# A single row can be judged where this quantile of the held-out rows exceeds the largest value of so many random rows
# by this share of both ranges.
_TAIL, _MARGIN, _RANDOM_ROWS = 0.001, 0.5, 1_000
_ABOVE_RANDOM = 0.1
# Below this mean squared cosine, in units of that of unrelated columns, rows are random; above this cosine two means
# are of the same texts.
_RANDOM_LIKE, _SAME_MEAN = 1.15, 0.5
_TINY = 1e-12
# The limit of a statistic that decides nothing; saved tensors must be finite.
_NEVER = -1e6
# Spaces of at most this width are compared with so many random rotations of themselves.
_NARROW, _ROTATIONS = 256, 10
# What `SpaceProfile.describe` says of vectors of the space that were multiplied by -1.
_OPPOSITE_SIGN = "With the opposite sign they look like it."
# Rows of a batch that are compared with the profile of the space; few, so that the check costs next to nothing.
_CHECKED_ROWS = 256


@dataclass(frozen=True, eq=False)
class SpaceProfile:
    """Statistics of the rows of a fitted space, to recognize vectors of another model, of another column, or changed.

    Other texts of the same model have another mean and other variances, but they still vary most along the same
    directions, and that is what is compared.

    Attributes:
        mean: [d], mean of the unit rows.
        basis: [d, k], leading principal directions of the centered rows.
        shares: [k], shares of the variance along them.
        spread: [d], standard deviation of each coordinate.
        limits: [4], the smallest accepted spectrum and mean of a batch, and spectrum and cosine with the mean of a row;
            -1e6, which no row is below, where the statistic cannot tell rows of this space from others.
        clusters: [c, a + 1], clusters along the first axes, as `interlingua.core.structure` makes them, of a space that
            was probably reduced by PCA; [0, 0] in other spaces, and where they do not tell rows of this space.
    """

    mean: FloatArray
    basis: FloatArray
    shares: FloatArray
    spread: FloatArray
    limits: FloatArray
    clusters: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __repr__(self) -> str:
        """Return the width of the space."""
        return f"SpaceProfile(d={len(self.mean)})"

    @property
    def has_axes(self) -> bool:
        """Whether the variance of a batch along the principal axes tells rows of this space from others."""
        return bool(self.limits[0] > _NEVER) and not self.looks_reduced

    @property
    def has_mean(self) -> bool:
        """Whether the mean of a batch tells rows of this space from others."""
        return bool(self.limits[1] > _NEVER)

    @cached_property
    def looks_reduced(self) -> bool:
        """Whether rows of any model that were reduced by PCA would vary along the axes as rows of this space do.

        This is the case if the variance decreases from column to column and the columns are not correlated.
        """
        order = np.argsort(np.argsort(-self.spread))
        if len(order) < _LEAST_COLUMNS or np.corrcoef(order, np.arange(len(order)))[0, 1] < _FALLING:
            return False
        others = len(self.mean) - len(self.shares)
        rest = max(1 - float(self.shares.sum()), 0) / others if others else 0.0
        variances = np.concatenate([self.shares, np.full(others, rest, np.float32)])
        logs, log_rest, flat, own = self._weights
        along = variances @ np.asarray(self.basis, np.float64) ** 2
        spectrum = float(along @ (logs - log_rest) + variances.sum() * log_rest)
        return (spectrum - flat) / max(own - flat, _TINY) > _REDUCED

    @property
    def check(self) -> str:
        """How other models are recognized: by ``axes``, or for vectors reduced by PCA by ``clusters`` or ``none``."""
        if not self.looks_reduced:
            return "axes"
        return "clusters" if len(self.clusters) else "none"

    @classmethod
    def of(cls, rows: FloatArray, *, limits: bool = True) -> SpaceProfile:
        """Measure the profile of rows [n, d].

        Args:
            rows: [n, d].
            limits: False leaves the limits for `with_limits`; until then they refuse nothing.
        """
        profile = cls._measure(unit_rows(rows))
        return profile.with_limits(rows) if limits else profile

    def with_limits(self, rows: FloatArray) -> SpaceProfile:
        """Return this profile of rows [n, d] with limits.

        Half of the rows are compared with a profile of the other half. This shows which statistics tell rows of this
        space from others, and sets their limits.
        """
        rows = unit_rows(rows)
        order = np.random.default_rng(0).permutation(len(rows))
        half, held_out = rows[order[::2]], rows[order[1::2]]
        if len(held_out) < 2 * MIN_BATCH:
            return self
        first = self._measure(half)
        clusters = self.clusters
        if self.looks_reduced and first._with_clusters(half)._has_clear_structure(held_out):
            clusters = self._with_clusters(rows).clusters
        return replace(self, limits=_f32(first._limits_for(held_out)), clusters=clusters)

    def _with_clusters(self, rows: FloatArray) -> SpaceProfile:
        return replace(self, clusters=structure.find_clusters(self._along(rows)))

    def _along(self, rows: FloatArray) -> FloatArray:
        """Return unit rows [n, d] along the first axes [n, a], each divided by the deviation of the space.

        The direction of the mean is left out, because several models may share it, such as all that have positive
        values in their first column.
        """
        axes = self.basis[:, : structure.MAX_AXES]
        direction = self.mean / max(float(np.linalg.norm(self.mean)), _TINY)
        axes = axes - np.outer(direction, direction @ axes)
        shares = self.shares[: structure.MAX_AXES]
        return _f32((rows - self.mean) @ axes / np.sqrt(np.maximum(shares, _FLOOR * shares[0])))

    def _has_clear_structure(self, held_out: FloatArray) -> bool:
        """Return whether rows of this space, held out, score far above those of another model."""
        size = STRUCTURE_ROWS
        if not len(self.clusters):
            return False
        parts = [held_out[start : start + size] for start in range(0, min(len(held_out), 10 * size) - size + 1, size)]
        scores = [structure.structure_score(self._along(part), self.clusters) for part in parts]
        return bool(scores) and min(scores) > _CLEAR_STRUCTURE

    @classmethod
    def _measure(cls, rows: FloatArray) -> SpaceProfile:
        """Return the profile of unit rows [n, d] with limits that refuse nothing."""
        mean = rows.mean(axis=0, dtype=np.float64)
        centered = (rows - mean).astype(np.float64)
        if centered.shape[0] >= centered.shape[1]:
            variances, axes = np.linalg.eigh(centered.T @ centered)
        else:
            # Of many columns, the covariance would not fit in memory.
            _, deviations, rotation = np.linalg.svd(centered, full_matrices=False)
            variances, axes = deviations[::-1] ** 2, rotation[::-1].T
        shares = np.maximum(variances[::-1], 0) / max(variances.sum(), np.finfo(np.float64).tiny)
        k = min(_AXES, len(variances))
        limits = np.full(4, _NEVER)
        return cls(*map(_f32, (mean, axes[:, ::-1][:, :k], shares[:k], centered.std(axis=0), limits)))

    def _limits_for(self, held_out: FloatArray) -> npt.NDArray[np.float64]:
        """Return limits [4] that rows of this space that were held out from the profile keep."""
        batches = [held_out[start : start + MIN_BATCH] for start in range(0, len(held_out) - MIN_BATCH + 1, MIN_BATCH)]
        own = np.array([self._spectrum(batch - batch.mean(axis=0)) for batch in batches[:_RANDOM_ROWS]])
        lowest = max(SPECTRUM_LIMIT, self._chance_spectrum(batches))
        clear = bool(np.quantile(own, 0.05) > _CLEARANCE * lowest)
        random = np.random.default_rng(0).standard_normal((_RANDOM_ROWS, len(self.mean)))
        directions = unit_rows(np.array([batch.mean(axis=0) for batch in batches]))
        has_mean = bool(np.median(directions @ self.mean) > _SAME_MEAN * np.linalg.norm(self.mean))
        limits = [lowest if clear else _NEVER, MEAN_LIMIT if has_mean else _NEVER]
        for real, other in zip(self._row_statistics(held_out), self._row_statistics(unit_rows(random)), strict=True):
            tail, middle = np.quantile(real, (_TAIL, 0.5))
            highest = other.max()
            apart = tail - _MARGIN * (middle - tail) > highest + _MARGIN * (highest - np.median(other))
            # Rows of unusual content lie far below the tail, and random ones do not exceed the highest by much.
            limits.append(highest + _ABOVE_RANDOM * (tail - highest) if apart else _NEVER)
        return np.array(limits)

    def _chance_spectrum(self, batches: Sequence[FloatArray]) -> float:
        """Return a spectrum that rotated batches do not reach: in a narrow space some axes coincide by chance."""
        d, rng = len(self.mean), np.random.default_rng(0)
        if d > _NARROW:
            return 0.0
        rotations = (np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32) for _ in range(_ROTATIONS))
        rotated = [(batch - batch.mean(axis=0)) @ matrix for matrix in rotations for batch in batches[:_ROTATIONS]]
        return 1.25 * max(map(self._spectrum, rotated))

    def compare(self, rows: FloatArray) -> Comparison:
        """Compare rows [n, d] with the space; their lengths do not matter."""
        units = unit_rows(np.asarray(rows, np.float32))
        distinct = units[distinct_rows(units)]
        outside = self.outside(distinct)
        spectrum = mean = distortion = score = float("nan")
        if len(distinct) >= MIN_BATCH:
            center = distinct.mean(axis=0)
            centered = distinct - center
            if self.has_mean:
                mean = float(center @ self.mean / max(np.linalg.norm(center) * np.linalg.norm(self.mean), _TINY))
            if (centered**2).sum() / len(centered) > _LEAST_VARIANCE * (self.spread**2).sum():
                spectrum = self._spectrum(centered) if self.has_axes else spectrum
                distortion = self._distortion(centered)
                if len(self.clusters):
                    score = structure.structure_score(self._along(distinct), self.clusters)
        many = len(distinct) >= STRUCTURE_ROWS and len(self.clusters) >= _MANY_CLUSTERS
        return Comparison(
            rows=len(distinct),
            spectrum=spectrum,
            mean=mean,
            distortion=distortion,
            outside=float(outside.mean()),
            needed=float(self.limits[0]),
            structure=score,
            needed_structure=STRUCTURE_LIMIT if many else STRUCTURE_LIMIT_OF_FEW,
        )

    def outside(self, rows: FloatArray) -> npt.NDArray[np.bool_]:
        """Return for each of rows [n, d] whether it alone cannot be of this space."""
        statistics = self._row_statistics(unit_rows(np.asarray(rows, np.float32)))
        below = [values < limit for values, limit in zip(statistics, self.limits[2:], strict=True)]
        return np.asarray(np.any(below, axis=0))

    def describe(self, rows: FloatArray, other: SpaceProfile) -> str:
        """Return a sentence that says what rows [n, d], which are foreign, look like instead.

        Args:
            rows: of the width of this space.
            other: profile of the space on the other side of a translator.
        """
        units = unit_rows(np.asarray(rows, np.float32))
        if len(other.mean) == len(self.mean) and other.accepts(units):
            return "They look like the other space of this translator; is the direction wrong?"
        if self.accepts(-units):
            return _OPPOSITE_SIGN
        if self.accepts(units[:, ::-1]):
            return "With the coordinates in reverse order they look like it."
        compared = self.compare(units)
        if compared.distortion > DISTORTION_LIMIT and not compared.spectrum < compared.needed:
            return "They look like its vectors after the columns were scaled, each by another factor."
        if len(units) < MIN_BATCH:
            return "They look like vectors of another model."
        centered = unit_rows(units - units.mean(axis=0))
        cosines = centered @ centered.T
        np.fill_diagonal(cosines, 0)
        n = len(units)
        # Rows of unrelated columns have squared cosines of this mean; those of texts are larger.
        variances = np.asarray(centered, np.float64).var(axis=0)
        randomness = (cosines**2).sum() / (n * (n - 1)) / ((variances**2).sum() / variances.sum() ** 2)
        if randomness < _RANDOM_LIKE and self.has_axes:
            if compared.mean > _SAME_MEAN:
                return "Each column has the right mean, and the columns are unrelated: was each shuffled on its own?"
            return "They look like random numbers: no two of them are more similar than random directions are."
        return "They look like vectors of another model, or of the same one after a rotation or reordering of columns."

    def spectrum_of(self, rows: FloatArray) -> float:
        """Return the spectrum of rows [n, d] along the axes of this space, as `Comparison` describes it."""
        units = unit_rows(np.asarray(rows, np.float32))
        return self._spectrum(units - units.mean(axis=0))

    def margins(self, rows: FloatArray, other: SpaceProfile) -> npt.NDArray[np.float64]:
        """Return for each of unit rows [n, d] how much more it lies along the axes of ``other`` than along these."""
        return np.asarray(other._row_statistics(rows)[0] - self._row_statistics(rows)[0], np.float64)

    def accepts(self, rows: FloatArray) -> bool:
        """Return whether rows [n, d], at least 50, are probably of this space: evidence for it and none against it."""
        compared = self.compare(rows)
        clear = compared.mean > _SAME_MEAN
        if len(self.clusters):
            clear = compared.structure > _CLEAR_STRUCTURE
        elif self.has_axes:
            clear = compared.spectrum > _CLEARANCE * compared.needed
        return bool(clear and not compared.mean < 0 and not compared.doubtful)

    @cached_property
    def _weights(self) -> tuple[npt.NDArray[np.float64], float, float, float]:
        """Logarithms of the shares along the axes [k] and along any other axis, and their means: flat, and own."""
        shares = np.asarray(self.shares, np.float64)
        rest, others = max(1 - shares.sum(), 0.0), len(self.mean) - len(shares)
        floor = max(_FLOOR * shares.max(), _TINY)
        logs = np.log(np.maximum(shares, floor))
        log_rest = float(np.log(max(rest / others, floor))) if others else 0.0
        flat = (logs.sum() + others * log_rest) / len(self.mean)
        return logs, log_rest, float(flat), float(shares @ logs + rest * log_rest)

    def _weighted(self, centered: FloatArray) -> npt.NDArray[np.float64]:
        """Return [n] for centered rows: the mean logarithm of the shares, weighted by the energy along each axis."""
        logs, log_rest, _, _ = self._weights
        energy = np.maximum(np.einsum("ij,ij->i", centered, centered, dtype=np.float64), _TINY)
        along = np.asarray(centered @ self.basis, np.float64) ** 2
        return np.asarray(along @ (logs - log_rest) + energy * log_rest)

    def _spectrum(self, centered: FloatArray) -> float:
        *_, flat, own = self._weights
        energy = max(float((np.asarray(centered, np.float64) ** 2).sum()), _TINY)
        return float((self._weighted(centered).sum() / energy - flat) / max(own - flat, _TINY))

    def _row_statistics(self, rows: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return for unit rows [n, d] the spectrum of each alone, and its cosine with the mean."""
        *_, flat, own = self._weights
        centered = rows - self.mean
        energy = np.maximum(np.einsum("ij,ij->i", centered, centered, dtype=np.float64), _TINY)
        spectra = (self._weighted(centered) / energy - flat) / max(own - flat, _TINY)
        return spectra, np.asarray(rows @ self.mean / max(float(np.linalg.norm(self.mean)), _TINY), np.float64)

    def _distortion(self, centered: FloatArray) -> float:
        """Return the distortion of centered rows [n, d], as in `Comparison`, without constant columns."""
        varied = self.spread > _CONSTANT * self.spread.max()
        ratios = np.log(np.maximum(centered[:, varied].std(axis=0) / self.spread[varied], _CONSTANT))
        return float(ratios.std())


def check_not_foreign(
    rows: npt.NDArray[Any], profiles: tuple[SpaceProfile, SpaceProfile], name: str, *, stacklevel: int
) -> None:
    """Refuse rows that cannot be of the space of the first profile, and warn of rows that may not be.

    Args:
        rows: [n, d]; 256 of them, evenly spaced, are compared.
        profiles: of the space that the rows should be of, and of the other space of the translator.
        name: of the first space.
        stacklevel: of the warning, 2 for the caller.

    Raises:
        SpaceMismatchError: the rows cannot be of that space.

    Warns:
        SpaceMismatchWarning: the rows may be of another space, or of unusual content.
    """
    profile, other = profiles
    few = len(rows) <= _CHECKED_ROWS
    sample = rows if few else rows[np.linspace(0, len(rows) - 1, _CHECKED_ROWS).astype(np.int64)]
    compared = profile.compare(sample)
    if compared.foreign:
        found, statistics = profile.describe(sample, other), "; ".join(compared.reasons)
        message = f"The {name} vectors are not of the space that this translator was fitted on: {statistics}. {found}"
        remedy = "Check the model, the column and the direction."
        if found == _OPPOSITE_SIGN:
            message = f"The {name} vectors are of this model with the opposite sign: {statistics}. {found}"
            remedy = "Multiply them by -1."
        raise SpaceMismatchError(message, sample, f"{remedy} {{allow_foreign}} goes on nevertheless.")
    if compared.doubtful:
        warnings.warn(
            f"The {name} vectors differ more than most texts do from those that this translator was fitted on. "
            "They are of content of another kind, or another model made them.",
            SpaceMismatchWarning,
            stacklevel=stacklevel,
        )


def _f32(x: npt.NDArray[Any]) -> FloatArray:
    return np.asarray(x, np.float32)
