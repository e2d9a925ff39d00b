"""Vector maps: functions from rows of one space to rows of another, each row on its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_flag, check_number
from interlingua.core.arrays import LARGEST_NORM, FloatArray
from interlingua.core.errors import InputError

__all__ = ["AffineMap", "VectorMap"]


class VectorMap(Protocol):
    """A function from rows of one space to rows of another, each row on its own."""

    @property
    def d_in(self) -> int:
        """Width of incoming rows."""

    @property
    def d_out(self) -> int:
        """Width of outgoing rows."""

    def __call__(self, x: npt.NDArray[Any]) -> FloatArray:
        """Map rows [n, d_in] to [n, d_out]."""


@dataclass(frozen=True, eq=False)
class AffineMap:
    """``y = norm((u(x) - mean_in) @ matrix + mean_out)``, row by row.

    ``u`` brings rows to unit norm where ``unit_in`` is set; ``norm`` brings them to length ``norm_out`` where
    ``unit_out`` is set. A row's result does not depend on the batch.

    Attributes:
        mean_in: [d_in], subtracted before the product.
        matrix: [d_in, d_out].
        mean_out: [d_out], added after the product.
        unit_in: whether incoming rows are brought to unit norm first.
        unit_out: whether outgoing rows are brought to length ``norm_out``.
        norm_out: the typical length of the target's rows; 1 for unit vectors.

    Raises:
        InputError: arrays of other shapes or types, or another value of a setting, as no saved map can have them.
    """

    mean_in: FloatArray
    matrix: FloatArray
    mean_out: FloatArray
    unit_in: bool = True
    unit_out: bool = True
    norm_out: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what could be computed with but not be read back from a saved translator."""
        shape = np.shape(self.matrix)
        if len(shape) != 2:
            raise InputError(f"matrix of an affine map has shape {shape}; [d_in, d_out] is needed.")
        for name, needed in (("mean_in", shape[:1]), ("matrix", shape), ("mean_out", shape[1:])):
            object.__setattr__(self, name, _part(getattr(self, name), name, needed))
        for name in ("unit_in", "unit_out"):
            object.__setattr__(self, name, check_flag(getattr(self, name), name))
        check_number(self.norm_out, "norm_out", above=0, maximum=LARGEST_NORM)

    def __repr__(self) -> str:
        """Return the widths."""
        return f"AffineMap({self.d_in} -> {self.d_out})"

    @property
    def d_in(self) -> int:
        """Width of incoming rows."""
        return int(self.matrix.shape[0])

    @property
    def d_out(self) -> int:
        """Width of outgoing rows."""
        return int(self.matrix.shape[1])

    @cached_property
    def offset(self) -> FloatArray:
        """``mean_out - mean_in @ matrix`` [d_out], computed in float64: both means as one vector after the product."""
        exact = np.asarray(self.mean_out, np.float64) - np.asarray(self.mean_in, np.float64) @ self.matrix
        return exact.astype(np.float32)

    def __call__(self, x: npt.NDArray[Any]) -> FloatArray:
        """Map rows [n, d_in] to [n, d_out]; computed in float32, or in float64 for float64 rows."""
        dtype = np.float64 if x.dtype == np.float64 else np.float32
        rows: FloatArray = np.asarray(x, dtype)
        out = rows @ self.matrix.astype(dtype, copy=False)
        if self.unit_in:
            # Rows are divided by their norms after the product, so that no normalized copy of x is needed.
            out *= _inverse_norms(rows)[:, None]
        out += self.offset.astype(dtype, copy=False)
        if self.unit_out:
            out *= (self.norm_out * _inverse_norms(out))[:, None]
        return np.asarray(out)


def _part(array: Any, name: str, shape: tuple[int, ...]) -> FloatArray:
    """Return an array of an affine map as it is if it is float32 or float64, otherwise in float32.

    Raises:
        InputError: another shape, or no real numbers.
    """
    part = np.asarray(array)
    if part.shape != shape or part.dtype.kind not in "fiu":
        raise InputError(
            f"{name} of an affine map has shape {part.shape} and dtype {part.dtype}; real numbers of shape {shape} are "
            "needed."
        )
    return np.asarray(part, part.dtype if part.dtype in (np.float32, np.float64) else np.float32)


def _inverse_norms(rows: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows)
        norms = np.sqrt(squares)
    # Rows whose squares leave the range in which float32 is exact are squared again in float64, each on its own.
    odd = ~((squares > 1e-30) & (squares < 1e37))
    if odd.any():
        norms[odd] = np.sqrt(np.einsum("ij,ij->i", rows[odd], rows[odd], dtype=np.float64))
    return np.asarray(1 / np.where(norms == 0, 1, norms), rows.dtype)
