"""`.parquet`: vectors in a list column, streamed row group by row group; written through a spool of Arrow tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from interlingua.core.arrays import BLOCK_ROWS
from interlingua.core.errors import InputError
from interlingua.core.records import is_list, to_column, to_matrix
from interlingua.io._checks import check_shape, check_stored, check_unused, choose_ids, choose_vectors
from interlingua.io._formats import FLOATS, INT8, AnyArray, Buffers, Contents, Output, Request
from interlingua.io._spool import encode_table, read_tables

DTYPES = (*FLOATS, INT8)
HOLDS_SCALE = True
RESERVED: tuple[str, ...] = ()
STREAM = "rows.arrow"
_SAMPLED_ROWS = 256
SCALE_KEY = b"interlingua.scale"


class ParquetSource:
    """Source over the row groups of one file."""

    def __init__(self, path: Path, contents: Contents) -> None:
        self.contents = contents
        self._path = path

    def matrix(self) -> AnyArray | None:
        """Return ``None``: pages are encoded and cannot be mapped."""
        return None

    def ids(self) -> pa.Array | None:
        """Return the id column."""
        name, schema = self.contents.id_name, self.contents.schema
        if name is None or schema is None:
            return None
        column = pa.schema([schema.field(name)])
        parts = [
            to_schema(table, column).column(0).chunks
            for table, _ in self._tables([name], 0, self.contents.shape[0], BLOCK_ROWS)
        ]
        kind = schema.field(name).type
        return pa.chunked_array([chunk for chunks in parts for chunk in chunks], kind).combine_chunks()

    def blocks(self, start: int, stop: int, size: int, *, side: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield rows as they are decoded; batches end where row groups do."""
        name, schema = str(self.contents.vector_name), self.contents.schema
        others = schema.names if side and schema is not None else []
        for table, row in self._tables([name, *others], start, stop, size):
            vectors = to_matrix(table.column(name), name, str(self._path), d=self.contents.shape[1], first_row=row)
            yield vectors, to_schema(table, schema) if others and schema is not None else None

    def _tables(self, names: list[str], start: int, stop: int, size: int) -> Iterator[tuple[pa.Table, int]]:
        with _reading(self._path), _open(self._path) as file:
            begin = 0
            for group in range(file.num_row_groups):
                end = begin + file.metadata.row_group(group).num_rows
                if begin < stop and end > start:
                    row = begin
                    for batch in file.iter_batches(size, row_groups=[group], columns=names):
                        low, high = max(start - row, 0), min(stop - row, batch.num_rows)
                        if low < high:
                            yield pa.Table.from_batches([batch.slice(low, high - low)]).select(names), row + low
                        row += batch.num_rows
                begin = end


def open_source(path: Path, request: Request) -> ParquetSource:
    """Read the footer of a Parquet file and find the vectors among its columns."""
    check_unused(path, ".parquet", key=request.key)
    with _reading(path), _open(path) as file:
        schema, n = file.schema_arrow, file.metadata.num_rows
    if len(set(schema.names)) < len(schema.names):
        raise InputError(f"{path}: two columns share a name; rename one.")
    # A comparison with None would make NumPy take None for float64.
    dtypes = {field.name: _value_dtype(field.type) for field in schema}
    usable = [name for name, dtype in dtypes.items() if dtype is not None and dtype in (*FLOATS, INT8)]
    name = choose_vectors(_constant_width(path, usable), schema.names, request.column, "column", path)
    field = schema.field(name)
    dtype = _value_dtype(field.type)
    if dtype is None:
        raise InputError(
            f"{path}: column {name!r} holds {field.type}; lists of float16, float32, float64, or of int8 with a "
            "scale are needed."
        )
    check_stored(dtype, f"column {name!r}", path, shifted=request.shifted)
    side = schema.remove(schema.get_field_index(name)).remove_metadata()
    id_name = choose_ids(side.names, request.id_column, path)
    side = pa.schema([plain_field(field, is_id=field.name == id_name) for field in side])
    shape = check_shape((n, _first_width(path, name) if n else 1), f"column {name!r}", path)
    scale = _scale({**(schema.metadata or {}), **(field.metadata or {})}.get(SCALE_KEY), path)
    return ParquetSource(path, Contents(shape, dtype, scale, name, id_name, side if len(side) else None))


def column_values(path: Path, name: str) -> Iterator[Any]:
    """Yield the values of one column, a batch of rows in memory at a time.

    Raises:
        InputError: no such column, or a damaged file.
    """
    with _reading(path), _open(path) as file:
        if name not in file.schema_arrow.names:
            raise InputError(f"{path} has no column {name!r}; it has {', '.join(file.schema_arrow.names[:8])}.")
        for batch in file.iter_batches(BLOCK_ROWS, columns=[name]):
            yield from batch.column(0).to_pylist()


def _value_dtype(kind: pa.DataType) -> np.dtype[Any] | None:
    """Return the NumPy dtype of a list column's values, ``None`` for another column."""
    kind = getattr(kind, "storage_type", kind)
    if not is_list(kind):
        return None
    value = kind.value_type
    if not (pa.types.is_floating(value) or pa.types.is_integer(value) or pa.types.is_boolean(value)):
        return None
    # `to_pandas_dtype` wants pandas itself in older versions of pyarrow.
    dtype: np.dtype[Any] = pa.array([], value).to_numpy(zero_copy_only=False).dtype
    return dtype


def _first_width(path: Path, name: str) -> int:
    """Return the width of the first vector; some files declare fixed-size lists and hold others."""
    with _reading(path), _open(path) as file:
        for batch in file.iter_batches(1, columns=[name]):
            column = batch.column(batch.schema.get_field_index(name))
            column = getattr(column, "storage", column)
            if not column[0].is_valid:
                raise InputError(f"{path}: row 0 of column {name!r} is null; every row needs a vector. Drop such rows.")
            return int(column.value_lengths()[0].as_py())
    raise InputError(f"{path}: the footer announces rows and none can be read. The file is damaged.")


def _constant_width(path: Path, names: list[str]) -> list[str]:
    """Return the columns whose first rows are vectors of one width, if there are several columns of lists."""
    if len(names) < 2:
        return names
    with _reading(path), _open(path) as file:
        batch = next(file.iter_batches(_SAMPLED_ROWS, columns=names), None)
    if batch is None:
        return names
    widths = {}
    for name in names:
        column = getattr(batch.column(name), "storage", batch.column(name))
        widths[name] = set(column.drop_null().value_lengths().to_pylist())
    constant = [name for name in names if len(widths[name]) == 1]
    return constant or names


def plain_field(field: pa.Field, *, is_id: bool) -> pa.Field:
    """Return the field as every other format has it: views as strings or bytes, and ids without a dictionary."""
    kind = field.type
    if is_id and pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string_view(kind):
        kind = pa.string()
    elif pa.types.is_binary_view(kind):
        kind = pa.binary()
    return field.with_type(kind)


def to_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of ``schema``, converted to its types."""
    columns = [
        table.column(field.name)
        if table.column(field.name).type.equals(field.type)
        else table.column(field.name).cast(field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _scale(text: bytes | None, path: Path) -> Any:  # noqa: ANN401 - checked by the caller like a scale argument
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: metadata interlingua.scale is {text!r}; a JSON number or list is needed.") from error


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, InputError | PermissionError):
            raise
        raise InputError(
            f"{path} is not a whole Parquet file ({error}). It is truncated or damaged; save or download it again."
        ) from error


class Sink:
    """Spools rows as Arrow tables, and writes the Parquet file from them at the end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        kind = pa.list_(pa.from_numpy_dtype(output.dtype), output.d)
        metadata = None if output.scale is None else {SCALE_KEY: json.dumps(output.scale.tolist()).encode()}
        self._field = pa.field(output.vector_name, kind, metadata=metadata)

    def begin(self) -> Buffers:
        """Return nothing: every table has its own schema."""
        return {STREAM: []}

    def encode(self, vectors: AnyArray, side: pa.Table | None) -> Buffers:
        """Return the columns and the vectors, last, as one table."""
        column = to_column(vectors)
        if side is None:
            table = pa.Table.from_arrays([column], schema=pa.schema([self._field]))
        else:
            table = side.append_column(self._field, column)
        return {STREAM: [encode_table(table)]}

    def assemble(self, folder: Path, rows: int) -> Path:
        """Write row groups of at least `BLOCK_ROWS` rows, except the last."""
        done = folder / "done.parquet"
        writer, waiting = None, list[pa.Table]()
        try:
            for table in read_tables(folder / STREAM):
                if writer is None:
                    names = [name for name in table.schema.names if name != self._field.name]
                    # Floating-point noise neither compresses nor repeats.
                    writer = pq.ParquetWriter(
                        done, table.schema, compression="zstd", use_dictionary=names or False, write_page_checksum=True
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


def create_sink(output: Output) -> Sink:
    """Return the encoder."""
    return Sink(output)


def holds(field: pa.Field, *, is_id: bool) -> bool:
    """Return True: a Parquet file holds the columns of any other."""
    return True
