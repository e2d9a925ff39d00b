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
from interlingua.core.wording import count_of
from interlingua.io._checks import check_shape, check_unused
from interlingua.io._formats import INT8, UINT8, AnyArray, Buffers, Contents, Request
from interlingua.io._formats import Sink as BaseSink
from interlingua.io._mapped import MappedSource, raw

if TYPE_CHECKING:
    import pyarrow as pa

_HEADER = struct.Struct("<II")
_STORED: dict[str, np.dtype[Any]] = {".fbin": np.dtype("<f4"), ".u8bin": UINT8, ".i8bin": INT8}


def open_source(path: Path, request: Request) -> MappedSource:
    """Map the rows after the header; integers are the values themselves unless a scale is given."""
    extension = path.suffix.lower()
    stored = _STORED[extension]
    check_unused(path, extension, column=request.column, key=request.key, id_column=request.id_column)
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise InputError(
            f"{path} has {count_of(size, 'byte')} and its header alone needs {_HEADER.size}. It is truncated."
        )
    n, d = check_shape(_HEADER.unpack(head), "the header", path)
    needed = _HEADER.size + n * d * stored.itemsize
    if size != needed:
        raise InputError(
            f"{path}: the header announces {count_of(n)} of {count_of(d, 'value')}, which take {needed:,} bytes, and "
            f"the file has {size:,}. It is truncated, cut from a larger file without a new header, or not {extension}."
        )
    dtype = stored.newbyteorder("=")
    scale = None if dtype.kind == "f" else 1.0
    return MappedSource(Contents((n, d), dtype, scale), np.memmap(path, stored, "r", _HEADER.size, (n, d)))


class Sink(BaseSink):
    """Writes the final file in place; the number of rows is filled in at the end."""

    dtypes = (np.dtype(np.float32),)
    stream = "vectors.fbin"

    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return the rows as they are."""
        return {self.stream: [raw(vectors.astype("<f4", copy=False))]}

    def _header(self, rows: int) -> bytes:
        if rows >= 2**32:
            raise InputError(f"{rows:,} rows are more than a .fbin header can count. Write .npy or .parquet.")
        return _HEADER.pack(rows, self._output.d)
