"""`.npy`: one array, memory-mapped; written row after row behind a header that is filled in at the end."""

from __future__ import annotations

import io
import math
from pathlib import Path
from tokenize import TokenError
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from interlingua.core.errors import InputError
from interlingua.io._checks import check_shape, check_stored, check_unused
from interlingua.io._formats import AnyArray, Buffers, Contents, Request
from interlingua.io._formats import Sink as BaseSink
from interlingua.io._mapped import MappedSource, raw

if TYPE_CHECKING:
    import pyarrow as pa

# Longest header of an array without named fields. A file may claim up to 4 GiB, which NumPy would allocate.
_LONGEST_HEADER = 65_536
# A header is a Python literal, and this is what Python's tokenizer and parser raise for other text.
_UNREADABLE = (ValueError, SyntaxError, TokenError, TypeError, RecursionError, MemoryError)


def open_source(path: Path, request: Request) -> MappedSource:
    """Map the array of an `.npy` file."""
    check_unused(path, ".npy", column=request.column, key=request.key, id_column=request.id_column)
    size = path.stat().st_size
    with path.open("rb") as file:
        shape, fortran, dtype = read_header(file, size, path, "the array")
        offset = file.tell()
    native = check_stored(dtype, "the array", path, shifted=request.shifted)
    shape = check_shape(shape, "the array", path)
    matrix = np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")
    return MappedSource(Contents(shape, native), matrix)


def read_header(file: IO[bytes], size: int, path: Path, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype of an array, read up to its first value.

    Args:
        file: at the start of the array.
        size: bytes of the array, header included.
        path: the file, for the message.
        name: the array, for the message.

    Raises:
        InputError: not such an array, or one that declares more or fewer values than ``size`` holds.
    """
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        head = _Head(file)
        version = np.lib.format.read_magic(head)
        if version not in readers:
            raise ValueError(f"format version {version} is not supported")
        shape, fortran, dtype = readers[version](head)
    except _UNREADABLE as error:
        raise InputError(
            f"{path}: {name} has no readable .npy header ({error}). Is it truncated or not .npy?"
        ) from error
    if dtype.hasobject:
        # A pickle of any length follows; callers refuse it or leave it alone.
        return shape, bool(fortran), dtype
    needed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) >= 0 and file.tell() + needed < size:
        raise InputError(
            f"{path}: {name} declares shape {shape} of {dtype}, which takes {needed:,} bytes, and "
            f"{size - file.tell():,} are there. The rest would be lost; save each array in a file of its own."
        )
    if min(shape, default=0) < 0 or file.tell() + needed > size:
        raise InputError(
            f"{path}: {name} declares shape {shape} of {dtype}, which takes {needed:,} bytes, and "
            f"{size - file.tell():,} are there. The file is truncated or damaged; save or download it again."
        )
    return shape, bool(fortran), dtype


class _Head:
    """The first bytes of a file, limited to the longest valid header."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, _LONGEST_HEADER

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes, and none after the longest valid header."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


class Sink(BaseSink):
    """Writes the final file in place."""

    stream = "vectors.npy"

    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return the rows as they are."""
        return {self.stream: [raw(vectors)]}

    def _header(self, rows: int) -> bytes:
        buffer = io.BytesIO()
        facts = {"descr": self._output.dtype.str, "fortran_order": False, "shape": (rows, self._output.d)}
        np.lib.format.write_array_header_1_0(buffer, facts)
        return buffer.getvalue()
