"""`.parquet`: vectors in a list column, streamed row group by row group; written through a spool of Arrow tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from interlingua.core.arrays import BLOCK_ROWS
from interlingua.core.errors import InputError
from interlingua.core.records import to_column
from interlingua.io._checks import check_unused
from interlingua.io._formats import AnyArray, Buffers, Output, Request
from interlingua.io._formats import Sink as BaseSink
from interlingua.io._spool import encode_table, read_tables
from interlingua.io._tables import ORIGIN_KEY, SCALE_KEY, TableSource, open_table, reading, slices

_KIND = "Parquet file"
_BUFFER = 2**20


def open_source(path: Path, request: Request) -> TableSource:
    """Read the footer of a Parquet file and find the vectors among its columns."""
    check_unused(path, ".parquet", key=request.key)
    schema, n = read_footer(path)
    return open_table(path, schema, n, request, partial(pages, path))


def read_footer(path: Path) -> tuple[pa.Schema, int]:
    """Return columns and number of rows."""
    with reading(path, _KIND), _open(path) as file:
        return file.schema_arrow, file.metadata.num_rows


def pages(path: Path, names: Sequence[str], start: int, stop: int, size: int) -> Iterator[tuple[pa.Table, int]]:
    """Yield rows as they are decoded; pages end where row groups do."""
    with reading(path, _KIND), _open(path) as file:
        begin = 0
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            if begin < stop and end > start:
                batches = file.iter_batches(size, row_groups=[group], columns=list(names))
                yield from slices(batches, names, start, stop, size, begin)
            begin = end


def column_values(path: Path, name: str) -> Iterator[Any]:
    """Yield the values of one column, a batch of rows in memory at a time.

    Raises:
        InputError: no such column, or a damaged file.
    """
    with reading(path, _KIND), _open(path) as file:
        if name not in file.schema_arrow.names:
            raise InputError(f"{path} has no column {name!r}; it has {', '.join(file.schema_arrow.names[:8])}.")
        for batch in file.iter_batches(BLOCK_ROWS, columns=[name]):
            yield from batch.column(0).to_pylist()


def _open(path: Path) -> pq.ParquetFile:
    # Without a buffer a row group is read whole, and most writers put a million rows in one.
    return pq.ParquetFile(_as_local(path), pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True)


def _as_local(path: Path) -> str:
    """Return an absolute path, since pyarrow takes a relative one such as a:b.parquet for an address."""
    return str(path.absolute())


class Sink(BaseSink):
    """Spools rows as Arrow tables, and writes the Parquet file from them at the end."""

    columns = "typed"
    holds_scale = True
    stream = "rows.arrow"

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        kind = pa.list_(pa.from_numpy_dtype(output.dtype), output.d)
        metadata = {}
        if output.scale is not None:
            metadata[SCALE_KEY] = json.dumps(output.scale.tolist()).encode()
        if output.origin:
            metadata[ORIGIN_KEY] = json.dumps(dict(output.origin)).encode()
        self._field = pa.field(output.vector_name, kind, metadata=metadata or None)

    @classmethod
    def holds(cls, field: pa.Field, *, is_id: bool) -> bool:
        """Return True: a Parquet file holds the columns of any other."""
        return True

    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return the columns and the vectors, last, as one table."""
        column = to_column(vectors)
        if others is None:
            table = pa.Table.from_arrays([column], schema=pa.schema([self._field]))
        else:
            table = others.append_column(self._field, column)
        return {self.stream: [encode_table(table)]}

    def assemble(self, folder: Path, rows: int) -> Path:
        """Write row groups of at least `BLOCK_ROWS` rows, except the last."""
        done = folder / "done.parquet"
        writer, waiting = None, list[pa.Table]()
        try:
            for table in read_tables(folder / self.stream):
                if writer is None:
                    names = [name for name in table.schema.names if name != self._field.name]
                    # Floating-point noise neither compresses nor repeats.
                    writer = pq.ParquetWriter(
                        _as_local(done),
                        table.schema,
                        compression="zstd",
                        use_dictionary=names or False,
                        write_page_checksum=True,
                    )
                waiting.append(table)
                if sum(len(part) for part in waiting) >= BLOCK_ROWS:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if writer is not None and waiting:
                writer.write_table(pa.concat_tables(waiting))
        finally:
            if writer is not None:
                writer.close()
        return done
