"""Array checks and row arithmetic shared by every module."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import described
from interlingua.core.errors import InputError, MissingExtraError, UnusableRowError, cause_of
from interlingua.core.wording import be, count_of, first_of, some_of

__all__ = [
    "BLOCK_ROWS",
    "LARGEST",
    "LARGEST_NORM",
    "SAME_DIRECTION",
    "SMALLEST",
    "FloatArray",
    "IntArray",
    "RowCheck",
    "as_array",
    "check_matrix",
    "direction_variance",
    "read_only",
    "require",
    "row_blocks",
    "unit_rows",
    "usable_rows",
]

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]

# Rows per block wherever a pass over a large matrix must stay bounded in memory.
BLOCK_ROWS = 16_384
# Largest magnitudes of a row between which its squares neither vanish nor overflow in float32.
SMALLEST, LARGEST = 1e-20, 1e18
# More than the typical length of accepted rows of any width; far below the largest number of float32.
LARGEST_NORM = 1e25
# Rows whose directions have a smaller variance have one direction, up to noise.
SAME_DIRECTION = 1e-6
# A column of lists of a data frame, or of an Arrow table, is read as an array of objects.
_OF_LISTS = "Make one of a column x of lists with np.stack(x), or of an Arrow column with np.array(x.to_pylist())."
_EXTREME = "a largest magnitude under 1e-20 or over 1e18"


def row_blocks(n: int, size: int = BLOCK_ROWS) -> Iterator[slice]:
    """Yield consecutive slices that cover ``range(n)``."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def unit_rows(x: FloatArray) -> FloatArray:
    """Return ``x`` [n, d] with rows of unit Euclidean norm; a zero row stays zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64)).astype(x.dtype)
    norms[norms == 0] = 1
    return np.asarray(x / norms[:, None])


def direction_variance(x: FloatArray) -> float:
    """Return the variance of the directions of the rows of ``x`` [n, d], whose lengths do not matter: from 0 to 1."""
    return float(unit_rows(x).var(axis=0, dtype=np.float64).sum())


def as_array(x: Any, name: str) -> npt.NDArray[Any]:
    """Return ``x`` as an ndarray: arrays, nested lists, data frames, and torch tensors of any device, with gradients.

    Args:
        x: array-like; bfloat16 tensors, which NumPy has no type for, become float32.
        name: the argument's name, for the message.

    Raises:
        InputError: rows of different lengths, or an object that cannot be read as an array.
    """
    if isinstance(x, np.ma.MaskedArray):
        raise InputError(f"{name} is a masked array; missing values are not supported. Leave those rows out.")
    if isinstance(x, np.ndarray):
        return x
    try:
        # Only tensors have this method, so torch is never imported to recognize one.
        if hasattr(x, "detach"):
            x = x.detach().cpu()
            x = x.float() if str(x.dtype) == "torch.bfloat16" else x
        return np.asarray(x)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{name} cannot be read as an array ({cause_of(error)}). "
            "Pass a numeric matrix of shape [n, d], with rows of one length."
        ) from error


def check_matrix(
    x: Any,
    name: str,
    *,
    min_rows: int = 1,
    width: int | None = None,
    varied: bool = False,
    allow_zero_rows: bool = False,
    whole: bool = True,
) -> npt.NDArray[Any]:
    """Return ``x`` as an ndarray [n, d] that can be computed with, or refuse it.

    The array is not copied and its dtype is kept, so a memory map stays one.

    Args:
        x: array-like of rank 2 with a real numeric dtype, as `as_array` reads it.
        name: the argument's name, for the message.
        min_rows: fewest rows accepted.
        width: required number of columns, if any.
        varied: also refuse constant or duplicate-only rows.
        allow_zero_rows: accept rows of zeros, which have no direction, and rows that are almost zero.
        whole: whether ``x`` holds all rows, so that a message does not advise to leave out every one of them.

    Raises:
        InputError: not an array, wrong rank, width or dtype, too few rows, zero rows, NaN, infinity, or rows whose
            largest magnitude is outside 1e-20 to 1e18.
    """
    if isinstance(x, str | os.PathLike):
        raise InputError(
            f"{name} is {described(x)}; a matrix of shape [n, d] is needed, and not the name of a file. Read one with "
            "interlingua.io.open_vectors(PATH).vectors()."
        )
    array = as_array(x, name)
    if array.ndim == 0:
        raise InputError(
            f"{name} is {described(x)}; real numbers in a matrix of shape [n, d] are needed. Read a file, convert a "
            "sparse matrix with toarray(), or collect a generator into an array first."
        )
    if array.dtype == object or array.dtype.kind not in "fiu":
        of_lists = f" {_OF_LISTS}" if array.dtype == object else ""
        raise InputError(
            f"{name} has dtype {array.dtype}; real numbers are needed. "
            f"Pass a numeric matrix of shape [n, d], for example float32.{of_lists}"
        )
    if array.ndim != 2:
        raise InputError(
            f"{name} has shape {array.shape}; a matrix of shape [n, d] is needed, one row per vector. "
            "Reshape a single vector with x[None, :]."
        )
    n, d = array.shape
    if d == 0 or n < min_rows:
        raise InputError(f"{name} has shape {array.shape}; at least {count_of(min_rows)} and 1 column are needed.")
    if width is not None and d != width:
        raise InputError(f"{name} has {count_of(d, 'column')}; {width:,} {be(width)} needed. Is it from another model?")
    check = RowCheck()
    for block in row_blocks(len(array)):
        check.add(array[block])
    check.check_directions(name, allow_zero_rows=allow_zero_rows, whole=whole)
    if varied and n > 1 and _is_constant(array):
        raise InputError(
            f"{name} holds {n:,} copies of one row, which have no geometry. Pass the vectors of different texts."
        )
    return array


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array of the same memory that cannot be written to; the array itself stays as it is."""
    # The base of a view would be the writable array, and could make the view writable again.
    buffer: Any = array  # an array is a buffer to type checkers from Python 3.12 on
    return np.asarray(memoryview(buffer).toreadonly())


def usable_rows(vectors: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which rows of [n, d] have a usable direction: finite, not zero, and float32 can square them."""
    usable = np.zeros(len(vectors), bool)
    for block in row_blocks(len(vectors)):
        # NaN fails both comparisons.
        with np.errstate(invalid="ignore"):
            peaks = _peaks(vectors[block])
            usable[block] = (peaks >= SMALLEST) & (peaks <= LARGEST)
    return usable


class RowCheck:
    """Counts rows without a usable direction, over consecutive blocks.

    These are rows with NaN or infinity, rows of zeros, and rows whose largest magnitude is outside 1e-20 to 1e18. The
    squares of the last vanish or overflow in float32, so all of them could become the same vector.
    """

    def __init__(self) -> None:
        self._rows = 0
        # Number of such rows, and the first of them.
        self._broken, self._zero, self._tiny, self._huge = (0, -1), (0, -1), (0, -1), (0, -1)

    def add(self, block: npt.NDArray[Any]) -> bool:
        """Check the next rows [b, d] and return whether any row so far has no direction."""
        if not _all_finite_nonzero(block):
            peaks = _peaks(block)
            self._broken = self._counted(self._broken, np.logical_not(np.isfinite(peaks)))
            self._zero = self._counted(self._zero, peaks == 0)
            self._tiny = self._counted(self._tiny, (peaks > 0) & (peaks < SMALLEST))
            self._huge = self._counted(self._huge, (peaks > LARGEST) & np.isfinite(peaks))
        self._rows += len(block)
        return any(count for count, _ in (self._broken, self._zero, self._tiny, self._huge))

    def check_directions(self, name: object, *, allow_zero_rows: bool = False, whole: bool = True) -> None:
        """Refuse the rows checked so far if any has no direction.

        Args:
            name: of the argument or file, for the message.
            allow_zero_rows: accept rows of zeros and rows that are almost zero.
            whole: whether these are all rows, so that nothing would be left without those that have no direction.

        Raises:
            InputError: no row is left.
            UnusableRowError: how many rows of how many, which is the first, and why.
        """
        accepted = (0, -1)
        zero, tiny = (accepted, accepted) if allow_zero_rows else (self._zero, self._tiny)
        bad = sum(count for count, _ in (self._broken, zero, tiny, self._huge))
        extreme = tiny[0] + self._huge[0], min((first for _, first in (tiny, self._huge) if first >= 0), default=-1)
        for (count, first), does, do, why, remedy in (
            (self._broken, "holds NaN or infinity", "hold NaN or infinity", "", "Remove"),
            (zero, "is all zeros", "are all zeros", " A zero vector has no direction.", "Remove"),
            (extreme, f"has {_EXTREME}", f"have {_EXTREME}", " Their squares do not fit float32.", "Scale"),
        ):
            if count:
                # A row that is given alone may be one of several, so it is not called the only one.
                if self._rows == 1 and not whole:
                    found = f"the row {does}"
                else:
                    found = some_of(count, self._rows, "row", does, do)
                if self._rows > 1:
                    found += first_of(count, f"row {first}")
                found, them = f"{name}: {found}.{why}", "it" if count == 1 else "them"
                if not whole or bad < self._rows:
                    raise UnusableRowError(f"{found} {remedy} {them} and try again.")
                advice = f"Scale {them}" if remedy == "Scale" else "Give vectors that are finite and not zero"
                rest = "" if self._rows == 1 else " None of the rows can be used."
                raise InputError(f"{found}{rest} {advice}.")

    def _counted(self, tally: tuple[int, int], bad: npt.NDArray[np.bool_]) -> tuple[int, int]:
        count, first = tally
        if bad.any():
            first = first if count else self._rows + int(bad.argmax())
        return count + int(bad.sum()), first


def _all_finite_nonzero(rows: npt.NDArray[Any]) -> bool:
    """Return True if all rows are certainly finite and nonzero, tested in one pass; False: check each row."""
    if rows.dtype == np.float16:  # numpy is slow in float16; float32 holds all its values and squares
        rows = rows.astype(np.float32)
    if rows.dtype not in (np.float32, np.float64):  # squares of others overflow too soon
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows)
    # NaN fails both comparisons.
    return bool(((squares > 1e-34) & (squares < 1e36)).all())


def _peaks(block: npt.NDArray[Any]) -> npt.NDArray[np.floating[Any]]:
    """Return the largest magnitude of each row [b, d]; NaN for a row with NaN."""
    wide = np.longdouble if block.dtype == np.longdouble else np.float64
    if not block.shape[1]:
        return np.zeros(len(block))
    return np.asarray(np.maximum(block.max(axis=1).astype(wide), -block.min(axis=1).astype(wide)))


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
            f"{module} is needed and {state}. Install it with: pip install 'interlingua[{extra}]'"
        ) from error
