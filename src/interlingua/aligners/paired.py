"""Linear maps from known pairs, which are also the upper reference for methods without pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from interlingua.aligners.base import Fit, OnStep, PairUse, Problem, check_known_pairs, ignore_step, single_step_fit
from interlingua.aligners.frames import Frame, affine_maps, polar
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap

__all__ = ["Procrustes", "Ridge"]

# Mean squared distance of equal unit rows in float32 from their mean; rounding leaves less.
_NO_SPREAD = 1e-12


@dataclass(frozen=True)
class Procrustes:
    """The (semi-)orthogonal map with the least squared error between the centered unit rows of known pairs.

    ``W = polar(X^T Y)`` (Schoenemann 1966). Between different widths the wider side is projected. The map preserves
    angles and needs about as many pairs as the wider space has dimensions.
    """

    name: ClassVar[str] = "procrustes"
    pairs: ClassVar[PairUse] = "required"

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem from its known pairs; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: fewer than two pairs are known.
        """
        x, y = (Frame.of(rows) for rows in check_known_pairs(problem, self.name))
        rotation = polar(x.rows.T @ y.rows)
        cosine = float(np.einsum("ij,ij->", x.rows @ rotation, y.rows) / len(x.rows))
        measured = {"pairs": len(x.rows), "fitted_cosine": cosine}
        return single_step_fit(self.name, affine_maps(x, y, rotation), measured, on_step)


@dataclass(frozen=True)
class Ridge:
    """Ridge regression between the centered unit rows of known pairs, separately for each direction.

    ``W = (X^T X + alpha tr(X^T X) / d I)^-1 X^T Y``. It need not preserve angles, so with many pairs it reaches
    a higher cosine than `Procrustes`.

    Attributes:
        alpha: penalty as a fraction of the mean eigenvalue of the input's covariance. Increase it if there are fewer
            pairs than dimensions, decrease it toward 0 if there are many times more.
    """

    alpha: float = 0.1

    name: ClassVar[str] = "ridge"
    pairs: ClassVar[PairUse] = "required"
    bounds: ClassVar[Bounds] = {"alpha": {"above": 0}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem from its known pairs; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: fewer than two pairs are known, or one side of them has a single direction.
        """
        x, y = (unit_rows(rows).astype(np.float64) for rows in check_known_pairs(problem, self.name))
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        x, y = x - mean_x, y - mean_y
        for side, rows in (("source", x), ("target", y)):
            if float(np.einsum("ij,ij->", rows, rows)) < _NO_SPREAD * len(rows):
                raise InputError(
                    f"the {side} rows of all {len(rows):,} pairs have the same direction, so no map can be fitted to "
                    "them. Give pairs of different texts, and vectors of at least 2 columns."
                )
        cross = x.T @ y
        means = mean_x.astype(np.float32), mean_y.astype(np.float32)
        forward = AffineMap(means[0], self._solve(x, cross), means[1])
        backward = AffineMap(means[1], self._solve(y, cross.T), means[0])
        return single_step_fit(self.name, (forward, backward), {"pairs": len(x)}, on_step)

    def _solve(self, inputs: npt.NDArray[np.float64], cross: npt.NDArray[np.float64]) -> FloatArray:
        covariance = inputs.T @ inputs
        width = len(covariance)
        penalty = self.alpha * np.trace(covariance) / width
        factor = cho_factor(covariance + penalty * np.eye(width))
        return np.asarray(cho_solve(factor, cross), np.float32)
