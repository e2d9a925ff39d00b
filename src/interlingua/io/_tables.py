"""Files and folders of tables: vectors in a column of lists, streamed with the other columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from interlingua.core.arrays import BLOCK_ROWS
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import is_list, to_matrix
from interlingua.io._checks import NAME_ROWS, check_shape, check_stored, choose_ids, choose_vectors, no_vectors
from interlingua.io._formats import FLOATS, INT8, AnyArray, Contents, Request, Source

SCALE_KEY, ORIGIN_KEY = b"interlingua.scale", b"interlingua.origin"
_SAMPLED_ROWS = 256

# Called with column names, start, stop and size; yields tables of at most ``size`` rows of these columns, in order, and
# the number of the first row of each.
Pages = Callable[[Sequence[str], int, int, int], Iterator[tuple[pa.Table, int]]]


class TableSource(Source):
    """Source over the pages of one table."""

    def __init__(self, path: Path, contents: Contents, pages: Pages, *, bad_as_nan: bool) -> None:
        self.contents = contents
        self._bad_as_nan = bad_as_nan
        self._path = path
        self._pages = pages

    def ids(self) -> pa.Array | None:
        """Return the id column."""
        name, schema = self.contents.id_name, self.contents.schema
        if name is None or schema is None:
            return None
        column = pa.schema([schema.field(name)])
        tables = self._pages([name], 0, self.contents.shape[0], BLOCK_ROWS)
        parts = [self._others(table, column).column(0).chunks for table, _ in tables]
        kind = schema.field(name).type
        return pa.chunked_array([chunk for chunks in parts for chunk in chunks], kind).combine_chunks()

    def blocks(self, start: int, stop: int, size: int, *, others: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield rows as they are decoded."""
        name, schema = str(self.contents.vector_name), self.contents.schema
        names = schema.names if others and schema is not None else []
        for table, row in self._pages([name, *names], start, stop, size):
            vectors = to_matrix(
                table.column(name),
                name,
                str(self._path),
                d=self.contents.shape[1],
                first_row=row,
                bad_as_nan=self._bad_as_nan,
            )
            yield vectors, self._others(table, schema) if names and schema is not None else None

    def _others(self, table: pa.Table, schema: pa.Schema) -> pa.Table:
        """Return columns in the types of ``schema``; text that is not UTF-8 is refused here, before it is used."""
        columns = to_schema(table, schema)
        for name, column in zip(columns.schema.names, columns.columns, strict=True):
            try:
                column.validate(full=True)
            except pa.ArrowInvalid as error:
                raise InputError(
                    f"{self._path}: column {name!r} holds values that are invalid for its type {column.type} "
                    f"({error}). Write it again as UTF-8 text, or store it as bytes."
                ) from error
        return columns


def open_table(
    path: Path, schema: pa.Schema, n: int, request: Request, pages: Pages, skipped: Sequence[str] = ()
) -> TableSource:
    """Find the vectors, ids and payload among the columns of a table.

    Args:
        path: the file or folder, for the messages.
        schema: all columns.
        n: number of rows.
        request: the caller's choices.
        pages: reads the rows.
        skipped: as in `Contents`.

    Raises:
        InputError: no rows, two columns of one name, no vectors, or vectors that cannot be used.
    """
    try:
        str(schema)
        names = schema.names
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the name of a column is not UTF-8 text ({error}). Save the file again.") from error
    if len(set(names)) < len(names):
        raise InputError(f"{path}: two columns share a name; rename one.")
    if not n:
        raise InputError(f"{path} has no rows; at least 1 row is needed. {NAME_ROWS}")
    # A comparison with None would make NumPy take None for float64.
    dtypes = {field.name: _value_dtype(field.type) for field in schema}
    usable = [name for name, dtype in dtypes.items() if dtype is not None and dtype in (*FLOATS, INT8)]
    name = choose_vectors(_of_constant_width(usable, n, pages), schema.names, request.column, "column", path)
    field = schema.field(name)
    dtype = dtypes[name]
    if dtype is None:
        raise InputError(
            f"{path}: column {name!r} holds {field.type}; lists of float16, float32, float64, or of int8 with a "
            "scale are needed."
        )
    check_stored(dtype, f"column {name!r}", path, shifted=request.shifted)
    others = schema.remove(schema.get_field_index(name)).remove_metadata()
    id_name = choose_ids(others.names, request.id_column, path)
    others = pa.schema([_plain_field(field, is_id=field.name == id_name) for field in others])
    width = _first_width(path, name, n, pages, skip_bad=request.skip_bad) if n else 1
    shape = check_shape((n, width), f"column {name!r}", path)
    scale = _scale({**(schema.metadata or {}), **(field.metadata or {})}.get(SCALE_KEY), path)
    origin = _origin((field.metadata or {}).get(ORIGIN_KEY))
    contents = Contents(
        shape, dtype, scale, name, id_name, others if len(others) else None, skipped=skipped, origin=origin
    )
    return TableSource(path, contents, pages, bad_as_nan=request.skip_bad)


def _origin(written: bytes | None) -> dict[str, str] | None:
    """Return what the metadata of a column says about its vectors, or None where nothing readable is there."""
    try:
        found = None if written is None else json.loads(written)
    except ValueError:
        return None
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else None


def slices(
    batches: Iterator[pa.RecordBatch], names: Sequence[str], start: int, stop: int, size: int, row: int = 0
) -> Iterator[tuple[pa.Table, int]]:
    """Yield the rows from ``start`` to ``stop`` of consecutive batches, at most ``size`` at a time.

    Args:
        batches: consecutive rows.
        names: columns to keep, in this order.
        start: first row.
        stop: row to stop before; later batches are not read.
        size: most rows in a table.
        row: number of the first row of the first batch.
    """
    for batch in batches:
        for begin in range(max(start - row, 0), min(stop - row, batch.num_rows), size):
            end = min(begin + size, stop - row, batch.num_rows)
            yield pa.Table.from_batches([batch.slice(begin, end - begin)]).select(list(names)), row + begin
        row += batch.num_rows
        if row >= stop:
            return


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn errors of pyarrow into one that names the file and its kind."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # names of columns are decoded late
        if isinstance(error, InputError | PermissionError):
            raise
        if "Expected all lists to be of size" in str(error):
            raise InputError(
                f"{path} has nulls in a column of lists of fixed size, which pyarrow {pa.__version__} cannot read from "
                f"a {kind}. Install pyarrow 26 or later, or write the column as lists of variable size."
            ) from error
        raise InputError(
            f"{path} is not a whole {kind} ({error}). It is truncated or damaged; save or download it again."
        ) from error


def to_schema(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of ``schema``, converted to its types."""
    columns = [table.column(field.name) for field in schema]
    columns = [pc.run_end_decode(c) if pa.types.is_run_end_encoded(c.type) else c for c in columns]
    converted = [c if c.type.equals(f.type) else c.cast(f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(converted, schema=schema)


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


def _first_width(path: Path, name: str, n: int, pages: Pages, *, skip_bad: bool) -> int:
    """Return the width of the first vector; some files declare fixed-size lists and hold others."""
    read = 0
    for table, _ in pages([name], 0, n if skip_bad else 1, _SAMPLED_ROWS):
        read += len(table)
        column = table.column(0).combine_chunks()
        widths = getattr(column, "storage", column).value_lengths()
        widths = widths.filter(pc.fill_null(pc.greater(widths, 0), False)) if skip_bad else widths
        if len(widths) and not widths[0].is_valid:
            # Refused as a column without vectors, if there is none in any row.
            _first_width(path, name, n, pages, skip_bad=True)
            raise UnusableRowError(
                f"{path}: row 0 of column {name!r} is null; every row needs a vector. Drop such rows."
            )
        if len(widths):
            return int(widths[0].as_py())
    if read:
        raise no_vectors(path, read, f" in column {name!r}")
    raise InputError(f"{path}: the footer announces rows and none can be read. The file is damaged.")


def _of_constant_width(names: list[str], n: int, pages: Pages) -> list[str]:
    """Return the columns whose first rows are vectors of one width, if there are several columns of lists."""
    table = next(pages(names, 0, min(n, _SAMPLED_ROWS), _SAMPLED_ROWS), None) if len(names) > 1 else None
    if table is None:
        return names
    constant = []
    for name in names:
        column = table[0].column(name).combine_chunks()
        column = getattr(column, "storage", column)
        if len(set(column.drop_null().value_lengths().to_pylist())) == 1:
            constant.append(name)
    return constant or names


def _plain_field(field: pa.Field, *, is_id: bool) -> pa.Field:
    """Return the field as every other format has it: views as strings or bytes, and ids without a dictionary."""
    kind = field.type
    if pa.types.is_run_end_encoded(kind):
        kind = kind.value_type
    if is_id and pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string_view(kind):
        kind = pa.string()
    elif pa.types.is_binary_view(kind):
        kind = pa.binary()
    return field.with_type(kind)


def _scale(text: bytes | None, path: Path) -> Any:  # noqa: ANN401 - checked by the caller like a scale argument
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: metadata interlingua.scale is {text!r}; a JSON number or list is needed.") from error
