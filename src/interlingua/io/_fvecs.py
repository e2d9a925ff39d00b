"""`.fvecs`, `.bvecs`, `.ivecs`: every row is its width as int32 and its float32, uint8 or int32 values; memory-mapped.

Only `.fvecs` is written.

References:
    http://corpus-texmex.irisa.fr (the TEXMEX corpora, which introduced the format).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.io._checks import NAME_ROWS, check_unused
from interlingua.io._formats import UINT8, AnyArray, Buffers, Contents, Request, Source
from interlingua.io._formats import Sink as BaseSink
from interlingua.io._mapped import raw

if TYPE_CHECKING:
    import pyarrow as pa

_LITTLE_INT, _LITTLE_FLOAT = np.dtype("<i4"), np.dtype("<f4")
_STORED: dict[str, np.dtype[Any]] = {".fvecs": _LITTLE_FLOAT, ".bvecs": UINT8, ".ivecs": _LITTLE_INT}


class FvecsSource(Source):
    """Source over mapped records, each a width and [d] values."""

    def __init__(self, path: Path, records: AnyArray) -> None:
        shape, stored = records["values"].shape, records["values"].dtype
        # float32 does not hold every int32, and bytes are the values themselves unless a scale is given.
        dtype = np.dtype(np.float64) if stored == _LITTLE_INT else stored.newbyteorder("=")
        self.contents = Contents(shape, dtype, 1.0 if stored == UINT8 else None)
        self._path = path
        self._records = records

    def matrix(self) -> AnyArray | None:
        """Return the values without the widths, a strided view of the memory map."""
        return np.asarray(self._records["values"])

    def blocks(self, start: int, stop: int, size: int, *, others: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield views of the memory map after checking that every row has the width of the first."""
        d = self.contents.shape[1]
        for row in range(start, stop, size):
            records = self._records[row : min(row + size, stop)]
            wrong = np.flatnonzero(records["width"] != d)
            if len(wrong):
                raise InputError(
                    f"{self._path}: row {row + wrong[0]} announces {records['width'][wrong[0]]} values and row 0 {d}; "
                    "all rows need one width. The file is ragged, truncated or damaged."
                )
            yield records["values"], None


def open_source(path: Path, request: Request) -> FvecsSource:
    """Map the records of a file."""
    extension = path.suffix.lower()
    stored = _STORED[extension]
    check_unused(path, extension, column=request.column, key=request.key, id_column=request.id_column)
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty; at least 1 row is needed. {NAME_ROWS}")
    with path.open("rb") as file:
        first = file.read(4)
    d = int.from_bytes(first, "little", signed=True)
    if len(first) < 4 or d < 1 or size % (4 + stored.itemsize * d):
        raise InputError(
            f"{path}: the first row announces {count_of(d, 'value')}, and {count_of(size, 'byte')} are not a whole "
            "number of such rows. "
            f"The file is truncated, ragged, or not {extension}."
        )
    # NumPy limits the size of one record to 2 GiB.
    if 4 + stored.itemsize * d > 2**31 - 1:
        raise InputError(f"{path}: the first row announces {d:,} values, more than any vector has. It is damaged.")
    record = np.dtype([("width", _LITTLE_INT), ("values", stored, (d,))])
    return FvecsSource(path, np.memmap(path, record, "r", shape=(size // record.itemsize,)))


class Sink(BaseSink):
    """Writes the final file in place."""

    dtypes = (np.dtype(np.float32),)
    stream = "vectors.fvecs"

    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return the rows, each preceded by its width."""
        records = np.empty((len(vectors), 1 + self._output.d), _LITTLE_INT)
        records[:, 0] = self._output.d
        records[:, 1:] = vectors.astype(_LITTLE_FLOAT, copy=False).view(_LITTLE_INT)
        return {self.stream: [raw(records)]}
