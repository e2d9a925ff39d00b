"""Payload as JSON documents, and the comparison of two payloads."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa

from interlingua.core.errors import InputError
from interlingua.core.records import is_list, is_marked_json, json_field
from interlingua.core.values import python_rows

# Documents of stores without a schema are kept in one text column of this name, as JSON with sorted keys.
JSON_COLUMN = "payload_json"
# Kinds of payload that documents keep as another type, named as in `Capabilities.changes`.
CHANGED_IN_DOCUMENTS = (
    "category", "date", "time", "timestamp", "timestamp_utc", "timestamp_zone", "nanoseconds", "decimal",
    "long_decimal", "struct_of_dates",
)  # fmt: skip
# Field metadata in which a store records the type of a column that is read as text.
_TYPE_MARKS = (b"interlingua.postgres", b"interlingua.duckdb")


def is_json(field: pa.Field) -> bool:
    """Return whether a column holds JSON as text; a store that loses the mark of a column keeps its name."""
    return bool(pa.types.is_string(field.type) and (is_marked_json(field) or field.name == JSON_COLUMN))


def from_documents(documents: Sequence[dict[str, Any]]) -> pa.Table:
    """Return documents as a table with one JSON column."""
    texts = [json.dumps(document, sort_keys=True, ensure_ascii=False) for document in documents]
    return pa.table([pa.array(texts, pa.string())], schema=document_schema())


def payload_rows(payload: pa.Table | None, rows: int) -> list[dict[str, Any]]:
    """Return the payload of each row; that of a store of documents has their keys.

    Args:
        payload: table of the payload, or ``None``.
        rows: number of rows, if there is no payload.
    """
    if payload is None or not is_documents(payload.schema):
        return python_rows(payload, rows)
    # What a file holds as JSON need not be an object.
    documents: list[Any] = to_documents(payload, rows, None)
    return [document if isinstance(document, dict) else {} for document in documents]


def is_documents(schema: pa.Schema) -> bool:
    """Return whether a payload is one column of documents, whose keys are known only when they are read."""
    return bool(schema.names == [JSON_COLUMN] and is_json(schema.field(0)))


def document_schema() -> pa.Schema:
    """Return the schema of a payload made of documents."""
    return pa.schema([json_field(JSON_COLUMN)])


def type_name(field: pa.Field) -> str:
    """Return the name of a column's type; of a column that is read as text, the type that its store has for it."""
    if is_json(field):
        return "JSON"
    marks = {name: value for name, value in (field.metadata or {}).items() if name in _TYPE_MARKS}
    as_text = pa.types.is_string(field.type) and marks
    return next(iter(marks.values())).decode("utf-8", "replace") if as_text else _plain_name(field.type)


def _plain_name(kind: pa.DataType) -> str:
    """Return the name of a type without what readers choose: the size of offsets and the names of list items."""
    text = re.sub(r"list<\w+: ", "list<", str(kind).replace("large_", ""))
    return re.sub(r" \('\w+'\)| not null", "", text)


def document_field(field: pa.Field) -> pa.Field:
    """Return a column as documents keep it: dates, times and decimals become text."""
    return json_field(field.name) if is_json(field) else pa.field(field.name, _document_type(field.type))


def _document_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _document_type(kind.value_type)
    if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
        return pa.string()
    if is_list(kind):
        return pa.list_(_document_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_document_type(field.type)) for field in kind])
    return kind


def to_documents(payload: pa.Table | None, rows: int, where: str | None) -> list[dict[str, Any]]:
    """Return one document per row, with values that JSON can hold; dates become ISO text, decimals and UUIDs text.

    Times that Python cannot represent, with nanoseconds or outside the years 1 to 9999, are text as well.

    Args:
        payload: table of the payload, or ``None``.
        rows: number of rows, if there is no payload.
        where: address for the message of an error; ``None`` accepts every value and is meant for comparing.

    Raises:
        InputError: a value that a document cannot hold, such as bytes, or invalid JSON in a JSON column.
    """
    parsed = set() if payload is None else {field.name for field in payload.schema if is_json(field)}
    documents = [
        {name: _plain(_parse(value) if name in parsed else value, name, where) for name, value in row.items()}
        for row in python_rows(payload, rows)
    ]
    if payload is not None and payload.schema.names == [JSON_COLUMN]:
        return [document[JSON_COLUMN] or {} for document in documents]
    return documents


def same_payload(first: pa.Table | None, second: pa.Table | None) -> bool:
    """Return whether two payloads are equal in every row.

    They are compared as documents, in which a missing key is a null one. Chroma changes the last bit of one float64 in
    ten, so floats may differ by that.
    """
    rows = len(first) if first is not None else len(second) if second is not None else 0
    parsed = {f.name for table in (first, second) if table is not None for f in table.schema if is_json(f)}
    # Stores without whole numbers of 64 bits without sign keep them as decimals, which are read as text.
    unsigned = {
        f.name for table in (first, second) if table is not None for f in table.schema if pa.types.is_uint64(f.type)
    }
    pairs = zip(*(_comparable(table, rows, parsed, unsigned) for table in (first, second)), strict=True)
    return all(a == b or _same(a, b) for a, b in pairs)


def _comparable(payload: pa.Table | None, rows: int, parsed: set[str], unsigned: set[str]) -> list[dict[str, Any]]:
    if payload is not None:
        fields = [json_field(f.name) if f.name in parsed and pa.types.is_string(f.type) else f for f in payload.schema]
        payload = payload.cast(pa.schema(fields))
    documents = to_documents(payload, rows, None)
    return [
        {key: str(value) if key in unsigned else value for key, value in document.items() if value is not None}
        for document in documents
    ]


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, float) and isinstance(second, float):
        return math.isclose(first, second, rel_tol=4e-16) or (math.isnan(first) and math.isnan(second))
    if isinstance(first, str) and isinstance(second, str):
        instant = _instant(first)
        return first == second or (instant is not None and instant == _instant(second))
    return bool(first == second) and isinstance(first, bool) == isinstance(second, bool)


def _instant(text: str) -> datetime | None:
    """Return the moment that a text with a time zone names: stores keep the moment and show it in their own zone."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _parse(value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError as error:
        raise InputError(f"a JSON column holds text that is not JSON ({error}).") from error


def _plain(value: Any, name: str, where: str | None) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return {key: _plain(item, name, where) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name, where) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    if where is None:
        return f"{type(value).__name__} {value!r}"
    raise InputError(
        f"{where}: column {name!r} holds {type(value).__name__} values, which a document cannot hold.",
        "Choose a target with typed columns, or leave the payload out with {drop_payload}.",
    )
