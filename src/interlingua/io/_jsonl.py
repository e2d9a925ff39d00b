"""`.jsonl` and `.jsonl.gz`: one JSON object per line, streamed; every line is read once on opening to count and check.

A key missing from a line is a null. Columns of one scalar type become Arrow columns of that type, integers among floats
become floats where these hold them exactly. All else (objects, lists, mixed types, integers beyond 64 bits) is kept as
JSON text in a column marked ``interlingua.json``, and is written to JSON unchanged. Ids are whole numbers of 64 bits,
without sign where one needs it, and are read as text where some are text or fit neither.
A vector may be nested (:mod:`interlingua.io._json_vectors`); what remains of its object is payload.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import shown
from interlingua.core.arrays import RowCheck
from interlingua.core.errors import InputError, InputWarning, UnusableRowError
from interlingua.core.records import is_marked_json, json_field
from interlingua.core.wording import count_of
from interlingua.io._checks import FILL_ONE, check_shape, check_unused, choose_ids, choose_vectors
from interlingua.io._formats import INT8, AnyArray, Contents, Request
from interlingua.io._json_vectors import (
    PRESETS,
    VectorPath,
    choose_path,
    find_paths,
    json_kind,
    take_vector,
    to_vector,
)
from interlingua.io._jsonl_sink import Sink as Sink
from interlingua.io._lines import MARK_ROWS, Line, LineSource, numbered_lines, open_lines

_MAX_LINE = 2**26
_MAX_COLUMNS = 1000
_INT64 = 2**63
# Every whole number up to this one is a float of 64 bits.
_EXACT_IN_FLOAT = 2**53


class _OnlyInteger:
    """Kind of the whole numbers that a float of 64 bits may round."""


class _Unsigned:
    """Kind of the whole numbers that only 64 bits without sign hold."""


class _TooLarge:
    """Kind of the whole numbers beyond 64 bits."""


class _RepeatedKey(ValueError):
    """An object has a key twice."""


_WHOLE = {int, _OnlyInteger}


@dataclass
class _Scan:
    """Facts that one pass over the lines collects."""

    n: int = 0
    d: int = 0
    kinds: dict[str, set[type]] = field(default_factory=dict)
    # Keys with a number below 0.
    signed: set[str] = field(default_factory=set)
    marks: list[tuple[int, int]] = field(default_factory=list)
    # Number of lines that cannot be used, and the error of the first of them.
    bad: int = 0
    fault: str = ""
    # What can be read of the lines that are left out, by their numbers.
    skipped: dict[int, dict[str, Any]] = field(default_factory=dict)
    # Numbers of the lines whose vector cannot be used, and whose other keys are read.
    gaps: set[int] = field(default_factory=set)


class JsonlSource(LineSource):
    """Source over the lines of one file."""

    def __init__(self, path: Path, contents: Contents, vector_path: VectorPath, scan: _Scan) -> None:
        super().__init__(path, contents, scan.marks, _MAX_LINE, scan.skipped)
        self._vector_path = vector_path
        self._gaps = scan.gaps

    def ids(self) -> pa.Array | None:
        """Return the id column."""
        name, schema = self.contents.id_name, self.contents.schema
        if name is None or schema is None:
            return None
        values = [_parse(self._path, line).get(name) for line in self._lines(0)]
        return _to_arrow(values, schema.field(name))

    def _parse(self, line: Line) -> tuple[dict[str, Any], AnyArray]:
        row, d = _parse(self._path, line), self.contents.shape[1]
        if line.number in self._gaps:
            self._vector_path.take(row)
            return row, np.full(d, np.nan, np.float32)
        values = take_vector(self._path, line.number, row, self._vector_path, d)
        return row, to_vector(self._path, line.number, values, self.contents.dtype)

    def _table(self, columns: Sequence[dict[str, Any]]) -> pa.Table | None:
        schema = self.contents.schema
        if schema is None:
            return None
        arrays = [_to_arrow([row.get(field.name) for row in columns], field) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)


def open_source(path: Path, request: Request) -> JsonlSource:
    """Read every line once: count, find the vectors, check them and the types of the other keys."""
    check_unused(path, ".jsonl", key=request.key)
    dtype = INT8 if request.quantized else np.dtype(np.float32)
    first, header = _first_row(path, skip_bad=request.skip_bad)
    vector_path = _vector_path(path, first, request.column)
    scan = _scan(path, vector_path, dtype, header, request, frozenset(first))
    name = vector_path.name if vector_path.name not in scan.kinds else str(vector_path)
    preset = next((preset for preset in PRESETS.values() if preset.vector == str(vector_path)), None)
    id_name = preset.ids if preset is not None and preset.ids in scan.kinds else None
    id_name = choose_ids(list(scan.kinds), request.id_column or id_name, path)
    columns = [_field(key, kinds) for key, kinds in scan.kinds.items()]
    kinds = scan.kinds[id_name] - {type(None)} if id_name is not None else set()
    if id_name is not None and kinds & {str, _Unsigned, _TooLarge} and kinds <= {str, *_WHOLE, _Unsigned, _TooLarge}:
        if str in kinds:
            _check_distinct_as_text(path, id_name, scan.skipped)
        fits_64_bits = not kinds & {str, _TooLarge} and id_name not in scan.signed
        id_type = pa.uint64() if fits_64_bits else pa.string()
        columns = [pa.field(id_name, id_type) if column.name == id_name else column for column in columns]
    schema = pa.schema(columns) if columns else None
    labels = [_label(number, row.get(id_name or "")) for number, row in scan.skipped.items()]
    contents = Contents((scan.n, scan.d), dtype, None, name, id_name, schema, checked=True, skipped=labels)
    return JsonlSource(path, contents, vector_path, scan)


def _first_row(path: Path, *, skip_bad: bool) -> tuple[dict[str, Any], int]:
    """Return the first row that has a vector, and the number of the header before it, 0 if there is none."""
    with open_lines(path) as file:
        lines = numbered_lines(path, file, _MAX_LINE)
        if skip_bad:
            readable = (_parse_or_empty(path, line) for line in lines)
            first = next((row for row in readable if find_paths(row)), {})
            return first or _raise_empty(path), 0
        line = next(lines, None)
        first = _parse(path, line) if line else {}
        if not first:
            _raise_empty(path)
        header = 0
        if line and not find_paths(first):
            later = next(lines, None)
            second = _parse(path, later) if later else {}
            if find_paths(second) and not first.keys() & second.keys():
                header, first = line.number, second
                warnings.warn(
                    f"{path}: line {header} holds no vector and other keys than the next; it was left out as a header.",
                    InputWarning,
                    stacklevel=3,
                )
    return first, header


def _first_number(path: Path) -> int | None:
    """Return the number of the first line that holds a vector."""
    with open_lines(path) as file:
        lines = numbered_lines(path, file, _MAX_LINE)
        return next((line.number for line in lines if find_paths(_parse_or_empty(path, line))), None)


def _raise_empty(path: Path) -> NoReturn:
    raise InputError(
        f"{path} has no line with a vector; at least 1 line with a JSON object that holds one is needed. {FILL_ONE}"
    )


def _parse_or_empty(path: Path, line: Line) -> dict[str, Any]:
    try:
        return _parse(path, line)
    except InputError:
        return {}


def _label(number: int, value: Any) -> int | str:
    """Return the id of a line that is left out, or its number where it has none."""
    return value if isinstance(value, int | str) and not isinstance(value, bool) else f"line {number}"


def _vector_path(path: Path, first: dict[str, Any], requested: str | None) -> VectorPath:
    """Return where the vectors are: at the requested path, or where the first row has its only vector."""
    if requested is not None and (requested in PRESETS or "." in requested):
        return choose_path(first, requested)
    paths = {str(vector_path): vector_path for vector_path in find_paths(first)}
    if not paths and requested is None:
        later = _first_number(path)
        if later is not None:
            raise UnusableRowError(
                f"{path}: line 1 holds no vector, as is usual for a failed request, and line {later} holds one. Remove "
                "such lines."
            )
    name = choose_vectors(list(paths), list(first), requested, "column", path)
    return paths.get(name) or choose_path(first, name)


def _scan(
    path: Path,
    vector_path: VectorPath,
    dtype: np.dtype[Any],
    header: int,
    request: Request,
    usual: Collection[str],
) -> _Scan:
    """Read every line once.

    Args:
        path: the file.
        vector_path: where a line has its vector.
        dtype: of the vectors.
        header: number of a line to leave out, 0 for none.
        request: how to read.
        usual: keys of the first row with a vector. A line without a vector and without any of them is left out, instead
            of being read as a row.
    """
    scan, seen, block = _Scan(), RowCheck(), list[AnyArray]()
    # In a batch of requests, the vector is nested, and a line without one is a request that failed, not a row.
    is_plain = len(vector_path.parts) == 1 and dtype != INT8
    with open_lines(path) as file:
        for line in numbered_lines(path, file, _MAX_LINE):
            number = line.number
            if number == header:
                continue
            row: dict[str, Any] = {}
            try:
                row = _parse(path, line)
                values = take_vector(path, number, row, vector_path, scan.d or None)
                if not values:
                    check_shape((scan.n + 1, 0), f"column {str(vector_path)!r}", path)
                vector = to_vector(path, number, values, dtype)
            except InputError as error:
                scan.bad, scan.fault = scan.bad + 1, scan.fault or str(error)
                if request.skip_bad and is_plain and not row.keys().isdisjoint(usual):
                    scan.gaps.add(number)
                    vector_path.take(row)
                    _count(scan, line, row, path)
                elif request.skip_bad:
                    scan.skipped[number] = {key: value for key, value in row.items() if isinstance(value, int | str)}
                continue
            scan.d = len(values)
            block.append(vector)
            if len(block) == MARK_ROWS:
                seen.add(np.stack(block))
                block = []
            _count(scan, line, row, path)
    if block:
        seen.add(np.stack(block))
    if request.skip_bad:
        return scan
    if scan.bad:
        fault = scan.fault
        if scan.bad + scan.n > 1:
            lines = count_of(scan.bad + scan.n, "line")
            if scan.bad == 1:
                fault += f" It is the only one of {lines} that cannot be used."
            else:
                fault += f" {scan.bad:,} of {lines} cannot be used; this is the first."
        raise UnusableRowError(fault) if scan.n else InputError(f"{fault} {FILL_ONE}")
    seen.check_directions(path)
    return scan


def _count(scan: _Scan, line: Line, row: dict[str, Any], path: Path) -> None:
    """Count a row, with the types of its keys other than the vector."""
    if scan.n % MARK_ROWS == 0:
        scan.marks.append((line.offset, line.number))
    scan.n += 1
    for key, value in row.items():
        scan.kinds.setdefault(key, set()).add(_kind(value))
        if type(value) is int and value < 0:
            scan.signed.add(key)
    if len(scan.kinds) > _MAX_COLUMNS:
        raise InputError(
            f"{path}: more than {_MAX_COLUMNS} different keys up to line {line.number}; a table has fewer. "
            "Put what varies into one object."
        )


def _check_distinct_as_text(path: Path, name: str, skipped: Collection[int]) -> None:
    """Refuse ids of mixed type if a number and a text become the same id when all are written as text."""
    numbers, texts = set[str](), set[str]()
    for _, row in json_lines(path, skipped):
        value = row.get(name)
        (texts if isinstance(value, str) else numbers).add(str(value))
    same = sorted(numbers & texts)
    if same:
        raise InputError(
            f"{path}: {name!r} is the number {same[0][:40]} in some lines and the text {shown(same[0])} in others; as "
            "text they would be one id. Use one type for all ids."
        )


def json_lines(path: Path, skipped: Collection[int] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of every line whose number is not among those to leave out.

    Raises:
        InputError: a line that is not an object, is too long, or cannot be unpacked.
    """
    with open_lines(path) as file:
        for line in numbered_lines(path, file, _MAX_LINE):
            if line.number not in skipped:
                yield line.number, _parse(path, line)


def _parse(path: Path, line: Line) -> dict[str, Any]:
    _, number, text = line
    try:
        row = json.loads(text, object_pairs_hook=_object)
        # A lone surrogate is valid JSON, but it is not text.
        if b"\\u" in text:
            json.dumps(row, ensure_ascii=False).encode()
    except _RepeatedKey as error:
        raise InputError(
            f"{path}: line {number} has the key {error.args[0]!r} twice in one object, so one of the two values would "
            "be lost. Give each key once."
        ) from error
    except UnicodeEncodeError as error:
        raise InputError(
            f"{path}: line {number} holds half of a surrogate pair, such as \\ud83d, which is not text. Write the "
            "character whole, or leave it out."
        ) from error
    except (ValueError, RecursionError) as error:
        if b"}\r{" in text:
            raise InputError(
                f"{path}: line {number} holds several objects with a carriage return between them. End the lines with "
                "line feeds, for example with tr '\\r' '\\n'."
            ) from error
        if "set_int_max_str_digits" in str(error):
            raise InputError(
                f"{path}: line {number} has a whole number of thousands of digits. Write it as text, in quotes."
            ) from error
        raise InputError(
            f"{path}: line {number} is not valid JSON ({error}). One object per line is needed; "
            "a last line like this means the file is truncated."
        ) from error
    if not isinstance(row, dict):
        raise InputError(f"{path}: line {number} holds {json_kind(row)}; one JSON object per line is needed.")
    return row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, whose keys must differ: Python would keep the last of equal ones."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedKey(next(name for name in names if names.count(name) > 1))
    return row


def _kind(value: Any) -> type:
    if type(value) is not int or -_EXACT_IN_FLOAT <= value <= _EXACT_IN_FLOAT:
        return type(value)
    if -_INT64 <= value < _INT64:
        return _OnlyInteger
    return _Unsigned if _INT64 <= value < 2 * _INT64 else _TooLarge


def _field(name: str, kinds: set[type]) -> pa.Field:
    present = kinds - {type(None)}
    for fitting, kind in ({bool}, pa.bool_()), ({str}, pa.string()), (_WHOLE, pa.int64()), ({int, float}, pa.float64()):
        if present and present <= fitting:
            return pa.field(name, kind)
    return json_field(name)


def _to_arrow(values: list[Any], column: pa.Field) -> pa.Array:
    if is_marked_json(column):
        values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    elif pa.types.is_floating(column.type):
        values = [None if value is None else float(value) for value in values]
    elif pa.types.is_string(column.type):  # ids may be numbers in some lines
        values = [None if value is None else str(value) for value in values]
    return pa.array(values, column.type)
