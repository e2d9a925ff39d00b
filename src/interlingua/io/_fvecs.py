"""`.fvecs`: every row is its width as int32 and its float32 values; memory-mapped, written row after row.

References:
    http://corpus-texmex.irisa.fr (the TEXMEX corpora, which introduced the format).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from interlingua.core.errors import InputError
from interlingua.io._checks import check_unused
from interlingua.io._formats import AnyArray, Buffers, Contents, Output, Request
from interlingua.io._npy import holds as holds
from interlingua.io._npy import raw

if TYPE_CHECKING:
    import pyarrow as pa

DTYPES = (np.dtype(np.float32),)
HOLDS_SCALE = False
RESERVED: tuple[str, ...] = ()
STREAM = "vectors.fvecs"
_LITTLE_INT, _LITTLE_FLOAT = np.dtype("<i4"), np.dtype("<f4")


class FvecsSource:
    """Source over the mapped records [n, 1 + d]."""

    def __init__(self, path: Path, records: AnyArray) -> None:
        self.contents = Contents((len(records), records.shape[1] - 1), np.dtype(np.float32))
        self._path = path
        self._records = records

    def matrix(self) -> AnyArray | None:
        """Return the values without the widths, a strided view of the memory map."""
        return self._records[:, 1:].view(_LITTLE_FLOAT)

    def ids(self) -> pa.Array | None:
        """Return ``None``: the format has no ids."""
        return None

    def blocks(self, start: int, stop: int, size: int, *, side: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield views of the memory map after checking that every row has the width of the first."""
        d = self.contents.shape[1]
        for row in range(start, stop, size):
            records = self._records[row : min(row + size, stop)]
            odd = np.flatnonzero(records[:, 0] != d)
            if len(odd):
                raise InputError(
                    f"{self._path}: row {row + odd[0]} announces {records[odd[0], 0]} values and row 0 {d}; "
                    "all rows need one width. The file is ragged, truncated or damaged."
                )
            yield records[:, 1:].view(_LITTLE_FLOAT), None


def open_source(path: Path, request: Request) -> FvecsSource:
    """Map the records of an `.fvecs` file."""
    check_unused(path, ".fvecs", column=request.column, key=request.key, id_column=request.id_column)
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty; at least 1 row is needed.")
    with path.open("rb") as file:
        first = file.read(4)
    d = int.from_bytes(first, "little", signed=True)
    if len(first) < 4 or d < 1 or size % (4 + 4 * d):
        raise InputError(
            f"{path}: the first row announces {d} values, and {size} bytes are not a whole number of such rows. "
            "The file is truncated, ragged, or not .fvecs."
        )
    return FvecsSource(path, np.memmap(path, _LITTLE_INT, "r", shape=(size // (4 + 4 * d), 1 + d)))


class Sink:
    """Writes the final file in place."""

    def __init__(self, output: Output) -> None:
        self._d = output.d

    def begin(self) -> Buffers:
        """Return nothing: the format has no header."""
        return {STREAM: []}

    def encode(self, vectors: AnyArray, side: pa.Table | None) -> Buffers:
        """Return the rows, each preceded by its width."""
        records = np.empty((len(vectors), 1 + self._d), _LITTLE_INT)
        records[:, 0] = self._d
        records[:, 1:] = vectors.astype(_LITTLE_FLOAT, copy=False).view(_LITTLE_INT)
        return {STREAM: [raw(records)]}

    def assemble(self, folder: Path, rows: int) -> Path:
        """Return the stream: it is the file."""
        return folder / STREAM


def create_sink(output: Output) -> Sink:
    """Return the encoder."""
    return Sink(output)
