"""Maps from known pairs: what a linear map reaches with the answers at hand, the ceiling for methods without pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from interlingua.aligners.frames import Frame, affine_maps, polar
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap


@dataclass(frozen=True)
class Procrustes:
    """The best (semi-)orthogonal map between the centered unit rows of known pairs.

    ``W = polar(X^T Y)`` (Schoenemann 1966). Between different widths the wider side is projected. It keeps angles, and
    needs about as many pairs as the wider space has dimensions.
    """

    name: ClassVar[str] = "procrustes"

    def maps(
        self, source: FloatArray, target: FloatArray, *, pairs: IntArray | None = None, seed: int = 0
    ) -> tuple[AffineMap, AffineMap, dict[str, Any]]:
        """Return forward map, backward map and trace; the backward matrix is the transpose.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target].
            pairs: [p, 2], (source row, target row) of the same text.
            seed: not used.

        Raises:
            InputError: no pairs, or pairs that do not fit the rows.
        """
        x, y = (Frame.of(rows) for rows in paired_rows(source, target, pairs, self.name))
        rotation = polar(x.rows.T @ y.rows)
        cosine = float(np.einsum("ij,ij->", x.rows @ rotation, y.rows) / len(x.rows))
        return *affine_maps(x, y, rotation), {"pairs": len(x.rows), "fitted_cosine": cosine}


@dataclass(frozen=True)
class Ridge:
    """Ridge regression between the centered unit rows of known pairs, each direction on its own.

    Not bound to angles, so it reaches a higher cosine than `Procrustes` where pairs are plenty.

    Attributes:
        alpha: penalty as a fraction of the mean eigenvalue of the input's covariance. Raise it where pairs are fewer
            than dimensions, lower it towards 0 where they are many times more.
    """

    alpha: float = 0.1

    name: ClassVar[str] = "ridge"

    def maps(
        self, source: FloatArray, target: FloatArray, *, pairs: IntArray | None = None, seed: int = 0
    ) -> tuple[AffineMap, AffineMap, dict[str, Any]]:
        """Return forward map, backward map and trace.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target].
            pairs: [p, 2], (source row, target row) of the same text.
            seed: not used.

        Raises:
            InputError: no pairs, pairs that do not fit the rows, or ``alpha`` is not positive.
        """
        if not self.alpha > 0:
            raise InputError(f"alpha is {self.alpha}; ridge needs a positive penalty. Pass a small one such as 1e-6.")
        x, y = (unit_rows(rows).astype(np.float64) for rows in paired_rows(source, target, pairs, self.name))
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        x, y = x - mean_x, y - mean_y
        cross = x.T @ y
        means = mean_x.astype(np.float32), mean_y.astype(np.float32)
        forward = AffineMap(means[0], self._solve(x, cross), means[1])
        backward = AffineMap(means[1], self._solve(y, cross.T), means[0])
        return forward, backward, {"pairs": len(x)}

    def _solve(self, inputs: npt.NDArray[np.float64], cross: npt.NDArray[np.float64]) -> FloatArray:
        covariance = inputs.T @ inputs
        width = len(covariance)
        penalty = self.alpha * np.trace(covariance) / width
        factor = cho_factor(covariance + penalty * np.eye(width))
        return np.asarray(cho_solve(factor, cross), np.float32)


def paired_rows(
    source: FloatArray, target: FloatArray, pairs: IntArray | None, method: str
) -> tuple[FloatArray, FloatArray]:
    """Return the rows of both sides that ``pairs`` names, in the same order.

    Args:
        source: [n_source, d_source].
        target: [n_target, d_target].
        pairs: [p, 2], (source row, target row), at least 2.
        method: name for the message.

    Returns:
        Two float32 arrays [p, d_source] and [p, d_target].

    Raises:
        InputError: no pairs, a wrong shape or dtype, too few, or rows that do not exist.
    """
    if pairs is None:
        raise InputError(
            f"{method} learns from known pairs and none were given. Pass pairs=[p, 2] of (source row, target row), "
            "or choose a method without pairs, such as auto."
        )
    rows = np.asarray(pairs)
    if rows.dtype.kind not in "iu" or rows.ndim != 2 or rows.shape[1] != 2:
        raise InputError(
            f"pairs has shape {rows.shape} and dtype {rows.dtype}; integers of shape [p, 2] are needed, each row "
            "(source row, target row)."
        )
    if len(rows) < 2:
        raise InputError(f"pairs holds {len(rows)} pairs; {method} needs at least 2, and hundreds to be of use.")
    for side, column, n in (("source", rows[:, 0], len(source)), ("target", rows[:, 1], len(target))):
        if column.min() < 0 or column.max() >= n:
            raise InputError(
                f"pairs names {side} rows {column.min()} to {column.max()}; {side} has rows 0 to {n - 1}. "
                "Check that the columns are (source row, target row)."
            )
    return np.asarray(source[rows[:, 0]], np.float32), np.asarray(target[rows[:, 1]], np.float32)
