"""`.fbin`, `.u8bin`, `.i8bin`: rows and width as uint32, then the values; memory-mapped. Only `.fbin` is written.

References:
    https://big-ann-benchmarks.com (the benchmark that introduced the formats).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.errors import InputError
from interlingua.io._checks import check_shape, check_unused
from interlingua.io._formats import INT8, UINT8, AnyArray, Buffers, Contents, Output, Request
from interlingua.io._mapped import MappedSource
from interlingua.io._npy import holds as holds
from interlingua.io._npy import raw

if TYPE_CHECKING:
    import pyarrow as pa

DTYPES = (np.dtype(np.float32),)
HOLDS_SCALE = False
RESERVED: tuple[str, ...] = ()
STREAM = "vectors.fbin"
_HEADER = struct.Struct("<II")
_STORED: dict[str, np.dtype[Any]] = {".fbin": np.dtype("<f4"), ".u8bin": UINT8, ".i8bin": INT8}


def open_source(path: Path, request: Request) -> MappedSource:
    """Map the rows behind the header; integers are the values themselves unless a scale is given."""
    extension = path.suffix.lower()
    stored = _STORED[extension]
    check_unused(path, extension, column=request.column, key=request.key, id_column=request.id_column)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise InputError(f"{path} has {size} bytes and its header alone needs {_HEADER.size}. It is truncated.")
    n, d = check_shape(_HEADER.unpack(head), "the header", path)
    needed = _HEADER.size + n * d * stored.itemsize
    if size != needed:
        raise InputError(
            f"{path}: the header announces {n} rows of {d} values, which take {needed} bytes, and the file has {size}. "
            f"It is truncated, cut from a larger file without a new header, or not {extension}."
        )
    dtype = stored.newbyteorder("=")
    scale = None if dtype.kind == "f" else 1.0
    return MappedSource(Contents((n, d), dtype, scale), np.memmap(path, stored, "r", _HEADER.size, (n, d)))


class Sink:
    """Writes the final file in place; the number of rows is filled in at the end."""

    def __init__(self, output: Output) -> None:
        self._d = output.d

    def begin(self) -> Buffers:
        """Return a header for zero rows."""
        return {STREAM: [_HEADER.pack(0, self._d)]}

    def encode(self, vectors: AnyArray, side: pa.Table | None) -> Buffers:
        """Return the rows as they are."""
        return {STREAM: [raw(vectors.astype("<f4", copy=False))]}

    def assemble(self, folder: Path, rows: int) -> Path:
        """Write the number of rows into the header.

        Raises:
            InputError: more rows than the header can count.
        """
        if rows >= 2**32:
            raise InputError(f"{rows} rows are more than a .fbin header can count. Write .npy or .parquet.")
        with (folder / STREAM).open("r+b") as file:
            file.write(_HEADER.pack(rows, self._d))
        return folder / STREAM


def create_sink(output: Output) -> Sink:
    """Return the encoder."""
    return Sink(output)
