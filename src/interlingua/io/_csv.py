"""`.csv` and `.csv.gz`: vectors as text in one column, or as one numeric column per dimension; streamed by pyarrow.

CSV has no types, so ids and payload are text: an id ``007`` stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import to_column
from interlingua.io._checks import check_unused
from interlingua.io._formats import Request
from interlingua.io._json_vectors import decode_vector, is_numbers
from interlingua.io._tables import TableSource, open_table, reading, slices

_KIND = "CSV file in UTF-8"
_BLOCK_BYTES = 2**22
_NUMBERED = re.compile(r"(.*?)(\d+)")
_VECTORS = "vectors"


@dataclass(frozen=True)
class _Layout:
    """Columns of the file, and where the vectors are.

    Attributes:
        names: every column.
        texts: columns whose values are lists written as text.
        wide: columns that hold one dimension each, in order; they become the column ``vectors``.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    wide: tuple[str, ...]


def open_source(path: Path, request: Request) -> TableSource:
    """Read every line once to count them; the first row shows which columns hold vectors."""
    check_unused(path, ".csv", key=request.key)
    bad: dict[int, str] | None = {} if request.skip_bad else None
    with reading(path, _KIND):
        first = next(_batches(path, None, bad), None)
        n = 0 if first is None else sum(batch.num_rows for batch in _batches(path, first.schema.names[:1], bad))
    if first is None or not n:
        raise InputError(f"{path} has no rows; a line of column names and at least 1 row are needed.")
    if len(set(first.schema.names)) < len(first.schema.names):
        raise InputError(f"{path}: two columns share a name, or the first line holds no names. Name every column.")
    layout = _layout(first, request.column)
    vectors = pa.list_(pa.float32())
    fields = [pa.field(name, vectors if name in layout.texts else pa.string()) for name in layout.names]
    fields = [field for field in fields if field.name not in layout.wide]
    if layout.wide:
        fields.append(pa.field(_VECTORS, vectors))
    pages = partial(_pages, path, layout, request.skip_bad)
    return open_table(path, pa.schema(fields), n, request, pages, list((bad or {}).values()))


def _layout(first: pa.RecordBatch, requested: str | None) -> _Layout:
    names = tuple(first.schema.names)
    row = {name: first.column(name)[0].as_py() for name in names}
    listed = [name for name in names if row[name].lstrip().startswith("[") and len(_parse_list(row[name]) or ()) > 1]
    if requested in names and requested not in listed and is_numbers(decode_vector(row[requested])):
        listed.append(requested)
    return _Layout(names, tuple(listed), () if listed else _dimensions(row))


def _dimensions(row: dict[str, str]) -> tuple[str, ...]:
    """Return the longest series of numeric columns named by one prefix and consecutive numbers from 0 or 1."""
    series: dict[str, dict[int, str]] = {}
    for name, value in row.items():
        matched = _NUMBERED.fullmatch(name)
        if matched and _as_floats([value]) is not None:
            series.setdefault(matched[1], {})[int(matched[2])] = name
    whole = [s for s in series.values() if len(s) > 1 and min(s) in (0, 1) and max(s) - min(s) + 1 == len(s)]
    longest = max(whole, key=len, default={})
    return tuple(longest[number] for number in sorted(longest))


def _pages(
    path: Path, layout: _Layout, skip_bad: bool, names: Sequence[str], start: int, stop: int, size: int
) -> Iterator[tuple[pa.Table, int]]:
    needed = [name for name in names if name in layout.names]
    needed += layout.wide if layout.wide and _VECTORS in names else ()
    with reading(path, _KIND):
        for table, row in slices(_batches(path, needed, {} if skip_bad else None), needed, start, stop, size):
            columns = [_column(path, layout, table, name, row, skip_bad) for name in names]
            yield pa.table(columns, names=list(names)), row


def _column(
    path: Path, layout: _Layout, table: pa.Table, name: str, row: int, skip_bad: bool
) -> pa.Array | pa.ChunkedArray:
    if name in layout.texts:
        values = [_parse_list(text) for text in table.column(name).to_pylist()]
        if None in values and not skip_bad:
            bad = row + values.index(None)
            raise UnusableRowError(
                f"{path}: row {bad} of column {name!r} is no list of numbers. Write vectors as JSON, for example with "
                "json.dumps; printed arrays are abbreviated."
            )
        return pa.array(values, pa.list_(pa.float32()))
    if name == _VECTORS and layout.wide:
        try:
            numbers = [pc.cast(table.column(part), pa.float32()).to_numpy() for part in layout.wide]
        except pa.ArrowInvalid as error:
            if skip_bad:
                cells = zip(*(table.column(part).to_pylist() for part in layout.wide), strict=True)
                return pa.array([_as_floats(list(texts)) for texts in cells], pa.list_(pa.float32()))
            raise UnusableRowError(
                f"{path}: rows {row} to {row + len(table)}: a value is no number ({error})."
            ) from error
        vectors = to_column(np.stack(numbers, axis=1))
        return vectors.cast(pa.list_(pa.float32()))
    return table.column(name)


def _parse_list(text: str) -> list[float] | None:
    """Return the numbers of a list as JSON, base64 or printed by NumPy; ``None`` if there is anything else."""
    value: Any = decode_vector(text)
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        return _as_floats(value[1:-1].replace(",", " ").split())
    return value if is_numbers(value) else None


def _as_floats(texts: list[str]) -> list[float] | None:
    try:
        return [float(text) for text in texts]
    except ValueError:
        return None


def _batches(path: Path, names: Sequence[str] | None, bad: dict[int, str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield batches of text columns; a row longer than a block is an error of pyarrow.

    Args:
        path: the file.
        names: columns to read; all by default.
        bad: gets the lines with another number of columns than the first, which are left out; ``None`` refuses them.
    """

    def leave_out(row: pv.InvalidRow) -> str:
        if bad is None:
            return "error"
        bad[row.number] = f"line {row.number}"
        return "skip"

    # Lines have numbers only where one thread reads them.
    read = pv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=bad is None)
    parse = pv.ParseOptions(newlines_in_values=True, invalid_row_handler=leave_out)
    with pv.open_csv(path, read, parse) as reader:
        every = reader.schema.names
    types = dict.fromkeys(every, pa.string())
    convert = pv.ConvertOptions(column_types=types, include_columns=list(names or every), strings_can_be_null=False)
    with pv.open_csv(path, read, parse, convert) as reader:
        yield from reader
