"""Rows of a file or database: ids, vectors and payload. The one type in which readers, stores and writers pass them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.callbacks import OnRows
from interlingua.core.digests import digest_columns, digest_ids, digest_matrix, page_digest
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.wording import be, count_of, first_of, some_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Records",
    "concatenated",
    "is_list",
    "is_marked_json",
    "is_text",
    "json_field",
    "report_rows",
    "sample_records",
    "select_rows",
    "to_column",
    "to_matrix",
]

# Metadata of a text column whose values are JSON.
_JSON_MARK = {b"interlingua.json": b"1"}


@dataclass(frozen=True, eq=False)
class Records:
    """Consecutive rows of a file or collection.

    Attributes:
        ids: b ids, integers or text. ``None`` for a file that has none; rows of a store always have ids.
        vectors: [b, d], floating point; may be a read-only view of a file.
        payload: b rows of all other columns, or ``None`` without other columns.
        start: index of the first row in its file; 0 where rows have no index.
    """

    ids: pa.Array
    vectors: FloatArray
    payload: pa.Table | None = None
    start: int = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.vectors if self.ids is None else self.ids)

    def rows(self, start: int, stop: int | None = None) -> Records:
        """Return the rows from ``start`` to before ``stop``, without copying them."""
        stop = len(self) if stop is None else stop
        ids = None if self.ids is None else self.ids.slice(start, stop - start)
        payload = None if self.payload is None else self.payload.slice(start, stop - start)
        return Records(ids, self.vectors[start:stop], payload, self.start + start)

    def take(self, positions: Sequence[int] | IntArray) -> Records:
        """Return the rows at these positions, in this order."""
        import pyarrow as pa

        picked = pa.array(positions, pa.int64())
        ids = None if self.ids is None else self.ids.take(picked)
        payload = None if self.payload is None else self.payload.take(picked)
        return Records(ids, self.vectors[np.asarray(positions, np.int64)], payload)

    def in_order_of(self, ids: pa.Array, where: str) -> Records:
        """Return one row for each of ``ids``, in that order.

        Raises:
            InputError: an id is not among the rows.
        """
        position = {value: row for row, value in enumerate(self.ids.to_pylist())}
        wanted = ids.to_pylist()
        missing = [value for value in wanted if value not in position]
        if missing:
            found = some_of(len(missing), len(wanted), "id", "does not exist", "do not exist")
            raise InputError(
                f"{where}: {found}{first_of(len(missing), shown(missing[0]))}. Were rows deleted in the meantime?"
            )
        return self.take([position[value] for value in wanted])

    def digest(self) -> str:
        """Return 16 hex digits that depend on every id, vector and payload value."""
        return page_digest(self.row_digests())

    def row_digests(self) -> IntArray:
        """Return [b, 2] int64: for each row the digest of its id, and of its id, vector and payload.

        The digests of a row do not depend on its page, nor on whether its id is a whole number or the same as text.
        """
        keys = digest_ids(self.ids)
        return np.stack([keys, digest_columns(self.payload, keys, digest_matrix(self.vectors))], axis=1)


def concatenated(parts: Sequence[Records]) -> Records:
    """Return the rows of at least one part, one part after the other."""
    import pyarrow as pa

    tables = [part.payload for part in parts]
    return Records(
        pa.concat_arrays([part.ids for part in parts]),
        np.concatenate([part.vectors for part in parts]),
        None if tables[0] is None else pa.concat_tables(tables),
    )


def report_rows(
    pages: Iterable[Records], rows: int, on_rows: OnRows | None, phase: str = "reading"
) -> Iterator[Records]:
    """Yield pages, and call ``on_rows`` for each with the rows read so far, before yielding it.

    Args:
        pages: consecutive rows, from the first on.
        rows: number of rows of all pages.
        on_rows: called with the phase, the rows read so far and the number of rows; None to tell nobody.
        phase: why they are read.
    """
    done = 0
    for page in pages:
        done += len(page)
        if on_rows is not None:
            on_rows(phase, done, rows)
        yield page


def select_rows(pages: Iterable[Records], positions: IntArray) -> Iterator[Records]:
    """Yield the rows at these positions of a stream of pages, and stop reading after the last one.

    Args:
        pages: consecutive rows, from the first on.
        positions: row numbers in ascending order.
    """
    start = 0
    for page in pages:
        first, last = np.searchsorted(positions, (start, start + len(page)))
        if first < last:
            yield page.take(positions[first:last] - start)
        start += len(page)
        if last == len(positions):
            return


def sample_records(pages: Iterable[Records], count: int, size: int, rng: np.random.Generator) -> Iterator[Records]:
    """Yield rows drawn at random without replacement, in the order of the pages.

    Args:
        pages: consecutive rows, read up to the last row drawn.
        count: rows to draw from.
        size: rows to draw; all rows when there are fewer.
        rng: decides which.
    """
    positions = np.sort(rng.choice(count, min(size, count), replace=False))
    return select_rows(pages, positions)


def to_matrix(
    column: pa.Array | pa.ChunkedArray,
    name: str,
    where: str,
    *,
    d: int | None = None,
    first_row: int = 0,
    ids: pa.Array | None = None,
    bad_as_nan: bool = False,
) -> FloatArray:
    """Return a list column as a matrix [n, d].

    Args:
        column: lists of numbers, of fixed or variable size, or an extension type stored as such.
        name: of the column, for the message.
        where: the file or collection, for the message.
        d: required width; by default the width of the first row.
        first_row: number of the first row, for the message.
        ids: of the rows; a message names a row by its id rather than by its number.
        bad_as_nan: return rows of NaN where a vector is null, holds null values or has another width.

    Raises:
        UnusableRowError: null vectors, null values inside vectors, or vectors of another width.
    """
    import pyarrow as pa

    def label(row: int) -> str:
        return f"row {first_row + row}" if ids is None else f"the row with id {shown(ids[row].as_py())}"

    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    column = getattr(column, "storage", column)
    if bad_as_nan:
        column = _without_bad(column, d)
    if column.null_count:
        row = int(np.asarray(column.is_null()).argmax())
        raise UnusableRowError(f"{where}: {label(row)} of column {name!r} is null; every row needs a vector.")
    widths = np.asarray(column.value_lengths())
    if d is None:
        d = int(widths[0]) if len(widths) else 0
    other = np.flatnonzero(widths != d)
    if len(other):
        row = int(other[0])
        raise UnusableRowError(
            f"{where}: {label(row)} of column {name!r} has {count_of(int(widths[row]), 'value')} and {d:,} "
            f"{be(d)} needed; all rows need one width."
        )
    values = column.flatten()
    if values.null_count:
        row = int(np.asarray(values.is_null()).argmax()) // d
        raise UnusableRowError(f"{where}: column {name!r} has null values inside vectors, the first in {label(row)}.")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(column), d)


def _without_bad(column: pa.Array, d: int | None) -> pa.Array:
    """Return a list column with NaN in place of null values, and vectors of NaN in place of those of no use."""
    import pyarrow as pa
    import pyarrow.compute as pc

    widths = np.asarray(column.value_lengths().fill_null(-1))
    d = next((int(width) for width in widths if width > 0), 0) if d is None else d
    values = column.flatten()
    if pa.types.is_floating(values.type) and not values.null_count and (widths == d).all():
        return column
    kind = values.type if pa.types.is_floating(values.type) else pa.float32()
    values = values.cast(kind)
    nan = pa.scalar(float("nan")).cast(kind)
    if values.null_count:
        values = pc.if_else(values.is_valid(), values, nan)
    # Positions in the values of each row, and for bad rows that of the one NaN behind them.
    starts = np.cumsum(np.maximum(widths, 0)) - np.maximum(widths, 0)
    positions = np.where(widths[:, None] == d, starts[:, None] + np.arange(d), len(values))
    rows = pa.concat_arrays([values, pa.array([nan.as_py()], kind)]).take(pa.array(positions.reshape(-1)))
    return pa.FixedSizeListArray.from_arrays(rows, d)


def to_column(vectors: FloatArray) -> pa.FixedSizeListArray:
    """Return vectors [n, d] as a column of fixed-size lists."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), vectors.shape[1])


def is_list(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is a list of fixed or variable size."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_text(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is one of the forms of text; a category of texts, as pandas writes it, is one."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def json_field(name: str) -> pa.Field:
    """Return the field of a text column whose values are JSON."""
    import pyarrow as pa

    return pa.field(name, pa.string(), metadata=_JSON_MARK)


def is_marked_json(field: pa.Field) -> bool:
    """Return whether `json_field` made this field."""
    return bool((field.metadata or {}).keys() >= _JSON_MARK.keys())
