"""`.csv` and `.csv.gz`: vectors as text in one column, or as one numeric column per dimension; streamed by pyarrow.

CSV has no types, so ids and payload are text: an id ``007`` stays what it is. No message repeats the text of a row.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from interlingua.core import wording
from interlingua.core.arguments import read_number
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import to_column
from interlingua.io._checks import NAME_ROWS, VECTOR_NAMES, AmbiguousVectorsError, check_unused, no_vectors
from interlingua.io._formats import Request
from interlingua.io._json_vectors import decode_vector, is_numbers
from interlingua.io._lines import NOT_UTF8, UNPACKING, check_head, open_lines, unpacking_error
from interlingua.io._tables import TableSource, open_table, reading, slices

_KIND = "CSV file in UTF-8"
_BLOCK_BYTES = 2**22
_NUMBERED = re.compile(r"(.*?)(\d+)")
_FRACTION = re.compile(r"\s*[-+]?\d*\.\d+(e[-+]?\d+)?\s*", re.IGNORECASE)
_WRONG_FIELDS = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
# What programs write where a value is missing.
_MISSING = {"", "null", "none", "nan", "na", "n/a", r"\n"}
_VECTORS = "vectors"
_NEEDED = (
    "Vectors are lists of numbers such as [0.1, 0.2], or numeric columns for all dimensions whose names end in numbers "
    "from 0 or 1. Base64 is read where its column is requested."
)


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
    """Read every line once to count them; the first rows show which columns hold vectors."""
    check_unused(path, ".csv", key=request.key)
    _check_text(path, whole=request.skip_bad)
    bad: dict[int, str] | None = {} if request.skip_bad else None
    with _reading_csv(path):
        first = next(_batches(path, None, bad), None)
        n = 0 if first is None else sum(batch.num_rows for batch in _batches(path, first.schema.names[:1], bad))
    if first is None or not n:
        raise InputError(f"{path} has no rows; a line of column names and at least 1 row are needed. {NAME_ROWS}")
    _check_names(path, first.schema.names)
    row = {name: _first_value(first.column(name)) for name in first.schema.names}
    if not all(row.values()) and _may_be_later(row, request.column):
        # The first rows have no vector; a later one may have.
        with _reading_csv(path):
            for batch in _batches(path, None, {} if request.skip_bad else None):
                row = {name: value or _first_value(batch.column(name)) for name, value in row.items()}
    layout = _layout(path, row, request.column, n)
    if layout.wide:
        request = replace(request, column=_VECTORS)
    vectors = pa.list_(pa.float32())
    fields = [pa.field(name, vectors if name in layout.texts else pa.string()) for name in layout.names]
    fields = [field for field in fields if field.name not in layout.wide]
    if layout.wide:
        fields.append(pa.field(_VECTORS, vectors))
    pages = partial(_pages, path, layout, request.skip_bad)
    return open_table(path, pa.schema(fields), n, request, pages, list((bad or {}).values()))


def _check_text(path: Path, *, whole: bool) -> None:
    """Refuse a file that is not UTF-8 text, by its first bytes or as a whole.

    Without the second check pyarrow prints a traceback for a row of other text that it leaves out.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open_lines(path) as file:
            block = file.read(_BLOCK_BYTES)
            check_head(path, block.split(b"\n", 1)[0])
            while whole and block:
                decoder.decode(block)
                block = file.read(_BLOCK_BYTES)
    except UNPACKING as error:
        raise unpacking_error(path, error, 1) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} {NOT_UTF8}") from error


def _check_names(path: Path, names: list[str]) -> None:
    if len(set(names)) < len(names):
        raise InputError(f"{path}: two columns share a name, or the first line holds no names. Name every column.")
    fractions = [name for name in names if _FRACTION.fullmatch(name)]
    if 2 * len(fractions) >= len(names) or any(map(_is_list, names)):
        raise InputError(f"{path}: the first line holds numbers and no names, and would be lost. Add a line of names.")
    other = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), None)
    if other is not None:
        raise InputError(
            f"{path}: the fields of the first line are separated by {other!r}; commas are needed. Convert the file, "
            f"for example with pandas.read_csv(path, sep={other!r}, dtype=str).to_csv(..., index=False)."
        )


def _may_be_later(row: dict[str, str], requested: str | None) -> bool:
    """Return whether the column or the columns that should hold vectors have no value in the first rows."""
    if requested is not None:
        return requested in row and not row[requested]
    return not _find_series(row) and not any(map(_is_list, row.values()))


def _layout(path: Path, row: dict[str, str], requested: str | None, n: int) -> _Layout:
    """Find the columns that hold vectors.

    Args:
        path: the file, for the messages.
        row: the first value of each column, empty where it has none.
        requested: a column of lists, or the first column of a series; needed where there are several.
        n: number of rows, for the messages.

    Raises:
        AmbiguousVectorsError: a series of columns, and other candidates.
        InputError: no column holds vectors, or the requested one holds none.
    """
    names = tuple(row)
    listed = [name for name in names if _is_list(row[name])]
    if requested in names and requested not in listed and is_numbers(decode_vector(row[requested])):
        listed.append(requested)
    series = {columns[0]: columns for columns in _find_series(row)}
    if requested in series:
        return _Layout(names, (), series[requested])
    usual = [name for name in listed if name.lower() in VECTOR_NAMES]
    if requested in listed or (requested is None and (not series or len(usual) == 1) and listed):
        return _Layout(names, tuple(listed), ())
    if requested is not None and (requested != _VECTORS or requested in names):
        if requested in names:
            _check_any(path, _without_value(row, requested), n)
            raise InputError(f"{path}: column {requested!r} holds no vectors. {_NEEDED}")
        raise InputError(f"{path}: no column {requested!r}; the file has {', '.join(map(repr, names[:20]))}. {_NEEDED}")
    found = [f"{columns[0]!r} to {columns[-1]!r}" for columns in series.values()] + [repr(name) for name in listed]
    if not found:
        _check_any(path, _without_value(row), n)
        raise InputError(f"{path}: no column holds vectors. {_NEEDED}")
    if len(found) > 1:
        raise AmbiguousVectorsError(
            f"{path}: {wording.listed(found)} could all be the vectors. A series is named by its first column.",
            "column",
        )
    return _Layout(names, (), next(iter(series.values())))


def _without_value(row: dict[str, str], requested: str | None = None) -> str:
    """Return the column or the series without a value that is meant for vectors by its name, empty if there is none."""
    series = [columns for columns in _numbered(row) if not any(row[name] for name in columns)]
    if requested is not None:
        series = [columns for columns in series if columns[0] == requested]
    if series:
        return f"the columns {series[0][0]!r} to {series[0][-1]!r}"
    names = [name for name in row if requested in {None, name} and (requested or name.lower() in VECTOR_NAMES)]
    return next((f"column {name!r}" for name in names if not row[name]), "")


def _check_any(path: Path, columns: str, n: int) -> None:
    """Refuse columns of vectors in which no row has a value; ``columns`` is empty where there are none.

    Raises:
        InputError: there are such columns.
    """
    if columns:
        raise no_vectors(path, n, f" in {columns}")


def _first_value(column: pa.Array) -> str:
    """Return the first value of a column that is not missing, ``""`` if there is none."""
    return next((text for value in column if (text := value.as_py()).strip().lower() not in _MISSING), "")


def _find_series(row: dict[str, str]) -> list[tuple[str, ...]]:
    """Return every series of numeric columns named by one prefix and consecutive numbers from 0 or 1.

    Args:
        row: first value of every column.
    """
    found = []
    for columns in _numbered(row):
        values = [row[name] for name in columns if row[name]]
        if values and _as_floats(values) is not None:
            found.append(columns)
    return found


def _numbered(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return every series of columns named by one prefix and consecutive numbers from 0 or 1."""
    numbered: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        matched = _NUMBERED.fullmatch(name)
        if matched:
            numbered.setdefault(matched[1], []).append((int(matched[2]), name))
    found = []
    for columns in map(sorted, numbered.values()):
        numbers = [number for number, _ in columns]
        consecutive = numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        if len(numbers) > 1 and consecutive:
            found.append(tuple(name for _, name in columns))
    return found


def _pages(
    path: Path, layout: _Layout, skip_bad: bool, names: Sequence[str], start: int, stop: int, size: int
) -> Iterator[tuple[pa.Table, int]]:
    needed = [name for name in names if name in layout.names]
    needed += layout.wide if layout.wide and _VECTORS in names else ()
    with _reading_csv(path):
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
                f"{path}: row {bad} of column {name!r} is not a list of numbers. "
                "Write vectors as JSON, for example with "
                "json.dumps; printed arrays are abbreviated."
            )
        return pa.array(values, pa.list_(pa.float32()))
    if name == _VECTORS and layout.wide:
        try:
            numbers = [pc.cast(table.column(part), pa.float32()).to_numpy() for part in layout.wide]
        except pa.ArrowInvalid as error:
            cells = zip(*(table.column(part).to_pylist() for part in layout.wide), strict=True)
            rows = [_as_floats(list(texts)) for texts in cells]
            if skip_bad or None not in rows:
                return pa.array(rows, pa.list_(pa.float32()))
            raise UnusableRowError(
                f"{path}: row {row + rows.index(None)} has a value that is not a number in one of the columns "
                f"{layout.wide[0]!r} to {layout.wide[-1]!r}. Correct or drop such rows."
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


def _is_list(text: str) -> bool:
    """Return whether a text is a list of at least two numbers in brackets; a word may be base64 by chance."""
    return text.lstrip().startswith("[") and len(_parse_list(text) or ()) > 1


def _as_floats(texts: list[str]) -> list[float] | None:
    try:
        return [read_number(text) for text in texts]
    except ValueError:
        return None


def _batches(path: Path, names: Sequence[str] | None, bad: dict[int, str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield batches of text columns; a row longer than a block is an error of pyarrow.

    Args:
        path: the file.
        names: columns to read; all by default.
        bad: gets the lines with another number of columns than the first, which are left out; ``None`` refuses them.
    """
    skipped = {} if bad is None else bad

    def leave_out(row: pv.InvalidRow) -> str:
        skipped[row.number] = f"line {row.number}"
        return "skip"

    # Lines have numbers only where one thread reads them.
    read = pv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=bad is None)
    handler = None if bad is None else leave_out
    parse = pv.ParseOptions(newlines_in_values=True, invalid_row_handler=handler)
    with pv.open_csv(path, read, parse) as reader:
        every = reader.schema.names
    types = dict.fromkeys(every, pa.string())
    convert = pv.ConvertOptions(column_types=types, include_columns=list(names or every), strings_can_be_null=False)
    with pv.open_csv(path, read, parse, convert) as reader:
        yield from reader


@contextmanager
def _reading_csv(path: Path) -> Iterator[None]:
    """Turn errors of pyarrow into errors that do not repeat the text of a row."""
    try:
        with reading(path, _KIND):
            yield
    except InputError as error:
        text = str(error.__cause__ or "")
        wrong = _WRONG_FIELDS.search(text)
        if wrong:
            raise InputError(
                f"{path}: line {wrong[1]} has {wrong[3]} fields and the first line has {wrong[2]}. Fields are separated"
                " by commas, and a field with a comma stands in double quotes. The last line may be cut off."
            ) from None
        if isinstance(error.__cause__, UnicodeDecodeError) or "UTF8" in text:
            raise InputError(f"{path} {NOT_UTF8}") from None
        raise
