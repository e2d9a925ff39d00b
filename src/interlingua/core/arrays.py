"""Array checks and row arithmetic shared by every module."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.errors import InputError, MissingExtraError

__all__ = [
    "BLOCK_ROWS",
    "FloatArray",
    "IntArray",
    "all_finite_nonzero",
    "as_array",
    "check_matrix",
    "require",
    "row_blocks",
    "unit_rows",
]

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]

# Rows per block wherever a pass over a large matrix must stay bounded in memory.
BLOCK_ROWS = 16_384


def row_blocks(n: int, size: int = BLOCK_ROWS) -> Iterator[slice]:
    """Yield consecutive slices that cover ``range(n)``."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def unit_rows(x: FloatArray) -> FloatArray:
    """Return ``x`` [n, d] with rows of unit Euclidean norm; a zero row stays zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64)).astype(x.dtype)
    norms[norms == 0] = 1
    return np.asarray(x / norms[:, None])


def as_array(x: Any, name: str) -> npt.NDArray[Any]:
    """Return ``x`` as an ndarray: arrays, nested lists, data frames, and torch tensors of any device, with gradients.

    Args:
        x: array-like; bfloat16 tensors, which NumPy has no type for, become float32.
        name: the argument's name, for the message.

    Raises:
        InputError: rows of different lengths, or an object that cannot be read as an array.
    """
    if isinstance(x, np.ndarray):
        return x
    try:
        # A tensor brings this method along, so torch is never imported to recognize one.
        if hasattr(x, "detach"):
            x = x.detach().cpu()
            x = x.float() if str(x.dtype) == "torch.bfloat16" else x
        return np.asarray(x)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{name} cannot be read as an array ({reason}). "
            "Pass a numeric matrix of shape [n, d], with rows of one length."
        ) from error


def check_matrix(
    x: Any, name: str, *, min_rows: int = 1, width: int | None = None, varied: bool = False
) -> npt.NDArray[Any]:
    """Return ``x`` as an ndarray [n, d] that can be computed with, or refuse it.

    The array is not copied and its dtype is kept, so a memory map stays one.

    Args:
        x: array-like of rank 2 with a real numeric dtype, as `as_array` reads it.
        name: the argument's name, for the message.
        min_rows: fewest rows accepted.
        width: required number of columns, if any.
        varied: also refuse constant or duplicate-only rows.

    Raises:
        InputError: not an array, wrong rank, width or dtype, too few rows, zero rows, NaN or infinity.
    """
    array = as_array(x, name)
    if array.dtype == object or array.dtype.kind not in "fiu":
        raise InputError(
            f"{name} has dtype {array.dtype}; real numbers are needed. "
            "Pass a numeric matrix of shape [n, d], for example float32."
        )
    if array.ndim != 2:
        raise InputError(
            f"{name} has shape {array.shape}; a matrix of shape [n, d] is needed, one row a vector. "
            "Reshape a single vector with x[None, :]."
        )
    n, d = array.shape
    if d == 0 or n < min_rows:
        raise InputError(f"{name} has shape {array.shape}; at least {min_rows} rows and 1 column are needed.")
    if width is not None and d != width:
        raise InputError(f"{name} has {d} columns; {width} are needed. Is it from another model?")
    _check_rows(array, name)
    if varied and n > 1 and _is_constant(array):
        raise InputError(
            f"{name} holds {n} copies of one row; there is no geometry to align. Pass the vectors of different texts."
        )
    return array


def _check_rows(array: npt.NDArray[Any], name: str) -> None:
    """Refuse NaN, infinity and all-zero rows, saying how many and which comes first."""
    bad, first_bad, zero, first_zero = 0, -1, 0, -1
    for block in row_blocks(len(array)):
        rows = array[block]
        if all_finite_nonzero(rows):
            continue
        broken = np.zeros(len(rows), bool)
        if rows.dtype.kind == "f":
            broken = ~np.isfinite(rows).all(axis=1)
        empty = ~rows.any(axis=1)
        if broken.any():
            first_bad = first_bad if bad else block.start + int(broken.argmax())
            bad += int(broken.sum())
        if empty.any():
            first_zero = first_zero if zero else block.start + int(empty.argmax())
            zero += int(empty.sum())
    n = len(array)
    if bad:
        raise InputError(
            f"{name}: {bad} of {n} rows hold NaN or infinity, the first is row {first_bad}. Remove them and try again."
        )
    if zero:
        raise InputError(
            f"{name}: {zero} of {n} rows are all zeros, the first is row {first_zero}; "
            "a zero vector has no direction. Remove them and try again."
        )


def all_finite_nonzero(rows: npt.NDArray[Any]) -> bool:
    """Return whether the squared norms prove that all rows are finite and not zero.

    One fast pass. False is no proof of the contrary: squares can overflow or vanish, and other types than float32 and
    float64 are not examined.
    """
    if rows.dtype not in (np.float32, np.float64):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows)
    return bool(np.isfinite(squares).all() and squares.all())


def _is_constant(array: npt.NDArray[Any]) -> bool:
    first = array[:1]
    return all(bool((array[block] == first).all()) for block in row_blocks(len(array)))


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra installs it.

    Raises:
        MissingExtraError: the module is not installed, or what is installed of it cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        # An installed package that lacks a library of its own must not be reported as not installed.
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] == module.split(".")[0]
        state = "is not installed" if missing else f"cannot be imported ({error})"
        raise MissingExtraError(
            f"{module} is needed here and {state}. Install it with: pip install 'interlingua[{extra}]'"
        ) from error
