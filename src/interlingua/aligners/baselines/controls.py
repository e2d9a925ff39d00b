"""Control maps, which learn nothing about which rows correspond. Their scores show the chance level."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from interlingua.aligners.base import Fit, OnStep, Problem, check_no_pairs, ignore_step, single_step_fit
from interlingua.aligners.frames import affine_maps, polar, principal_axes, skewness_signs
from interlingua.core.arrays import FloatArray
from interlingua.core.maps import AffineMap

__all__ = ["Identity", "MeanShift", "PrincipalAxes", "RandomRotation"]


class _Control(ABC):
    """A map that is given and not fitted."""

    name: ClassVar[str]

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`."""
        check_no_pairs(problem, self.name)
        return single_step_fit(self.name, self._maps(problem, seed), {}, on_step)

    @abstractmethod
    def _maps(self, problem: Problem, seed: int) -> tuple[AffineMap, AffineMap]:
        """Return the forward and the backward map."""


@dataclass(frozen=True)
class Identity(_Control):
    """The vectors unchanged; for another width, zero-padded or without their last coordinates.

    Correct if both sides are the same space, and at chance level otherwise.
    """

    name: ClassVar[str] = "identity"

    def _maps(self, problem: Problem, seed: int) -> tuple[AffineMap, AffineMap]:
        matrix = np.eye(problem.source.d, problem.target.d, dtype=np.float32)
        source_zero, target_zero = (np.zeros(width, np.float32) for width in matrix.shape)
        return AffineMap(source_zero, matrix, target_zero), AffineMap(target_zero, matrix.T, source_zero)


@dataclass(frozen=True)
class MeanShift(_Control):
    """The identity between centered spaces: subtract one mean, add the other.

    Its cosine is what the means alone contribute to the cosine of any method.
    """

    name: ClassVar[str] = "mean-shift"

    def _maps(self, problem: Problem, seed: int) -> tuple[AffineMap, AffineMap]:
        matrix = np.eye(problem.source.d, problem.target.d, dtype=np.float32)
        return affine_maps(*problem.frames, matrix)


@dataclass(frozen=True)
class RandomRotation(_Control):
    """A random (semi-)orthogonal matrix between centered spaces: the control for every other method.

    Translations have the mean and the spread of the target, so its scores are the chance level of a method that only
    matches those.
    """

    name: ClassVar[str] = "random-rotation"

    def _maps(self, problem: Problem, seed: int) -> tuple[AffineMap, AffineMap]:
        normal = np.random.default_rng(seed).standard_normal((problem.source.d, problem.target.d), np.float32)
        return affine_maps(*problem.frames, polar(normal))


@dataclass(frozen=True)
class PrincipalAxes(_Control):
    """Match means, spreads and principal axes, with the sign of each axis chosen so that its skewness is positive.

    Works for any number of rows and columns. Nothing confirms that the axes correspond, so the verdict of a small
    sample is ``failed``; :class:`interlingua.sklearn.EmbeddingTranslator` uses it where samples are too small for
    ``method="linear"``.
    """

    name: ClassVar[str] = "principal-axes"

    def _maps(self, problem: Problem, seed: int) -> tuple[AffineMap, AffineMap]:
        (mean_x, axes_x, spread_x), (mean_y, axes_y, spread_y) = (_oriented_axes(rows) for rows in problem.rows)
        k = min(axes_x.shape[1], axes_y.shape[1])
        matrix = axes_x[:, :k] @ axes_y[:, :k].T
        scale = np.float32(spread_y / spread_x)
        forward = AffineMap(mean_x, scale * matrix, mean_y, unit_in=False, unit_out=False)
        backward = AffineMap(mean_y, matrix.T / scale, mean_x, unit_in=False, unit_out=False)
        return forward, backward


def _oriented_axes(rows: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return the mean [d], the principal axes [d, d] with positive skewness, and the root of the total variance."""
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    centered = rows - mean
    axes, variances = principal_axes(centered)
    oriented = axes * skewness_signs(centered, axes)
    return mean, oriented, float(np.sqrt(variances.clip(0).sum())) or 1.0
