"""Conversion between the types of PostgreSQL and Arrow without loss: a type that Arrow lacks is text with a mark."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from interlingua.core import arguments as args
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import is_list, json_field
from interlingua.core.records import is_text as holds_text
from interlingua.core.values import exact_values
from interlingua.stores._distinct import check_int64
from interlingua.stores._documents import is_json

MARK = b"interlingua.postgres"
# The columns of a key of several columns, as a JSON array.
KEY = b"interlingua.postgres.key"
_ARROW = {
    "boolean": pa.bool_(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "text": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "timestamp without time zone": pa.timestamp("us"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
}
_DECIMAL = re.compile(r"numeric\((\d+),(\d+)\)")
# Digits of the longest decimal that every store of typed columns holds.
_MOST_DIGITS = 38
# A backslash before the u would make it no escape.
_NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_BINARY = {"smallint": "int2", "integer": "int4", "bigint": "int8", "boolean": "bool", "real": "float4",
           "double precision": "float8", "timestamp without time zone": "timestamp",
           "timestamp with time zone": "timestamptz", "bytea": "bytea", "date": "date"}  # fmt: skip


def field(name: str, kind: str) -> pa.Field:
    """Return the Arrow field for a column of type ``kind``."""
    if kind in {"json", "jsonb"}:
        return json_field(name).with_metadata({**json_field(name).metadata, MARK: kind.encode()})
    if kind in _ARROW:
        return pa.field(name, _ARROW[kind])
    return pa.field(name, typed(kind) or pa.string(), metadata={MARK: kind.encode()})


def typed(kind: str) -> pa.DataType | None:
    """Return the Arrow type that holds every value of a type, ``None`` where only text does.

    Arrays are taken to have one dimension, and decimals and times to be finite, which types of PostgreSQL do not say.
    """
    if kind.endswith("[]"):
        item = pa.string() if kind.startswith("character varying") else typed(kind.removesuffix("[]"))
        return None if item is None else pa.list_(item)
    digits = _DECIMAL.fullmatch(kind)
    if digits is None:
        return _ARROW.get(kind)
    precision, scale = int(digits[1]), int(digits[2])
    return pa.decimal128(precision, scale) if scale <= precision <= _MOST_DIGITS else None


def needs_check(kind: str) -> bool:
    """Return whether `typed` holds for a type only if its values have one dimension and are finite."""
    return kind.startswith(("date", "timestamp")) or (kind not in _ARROW and typed(kind) is not None)


def text_field(name: str, kind: str) -> pa.Field:
    """Return the Arrow field of a column of type ``kind`` that is read as text."""
    return pa.field(name, pa.string(), metadata={MARK: kind.encode()})


def id_field(name: str, kind: str, *, whole: bool) -> pa.Field:
    """Return the Arrow field for a key column of type ``kind``: whole numbers as they are, all others as text."""
    if whole or kind == "text":
        return field(name, kind)
    return text_field(name, kind)


def composite_field(names: Sequence[str]) -> pa.Field:
    """Return the Arrow field for the ids of a key of several columns."""
    return pa.field(names[0], pa.string(), metadata={KEY: json.dumps(list(names)).encode()})


def composite_key(metadata: Mapping[bytes, bytes] | None, schema: pa.Schema | None) -> tuple[str, ...]:
    """Return the columns of a key of several columns, if the payload holds all of them; else nothing."""
    try:
        names = json.loads((metadata or {}).get(KEY, b"[]"))
    except ValueError:
        return ()
    held = set() if schema is None else set(schema.names)
    whole = isinstance(names, list) and all(isinstance(name, str) and name in held for name in names)
    return tuple(names) if whole else ()


def shown(sql: Any, field: pa.Field) -> Any:
    """Return the expression that selects a column: itself, or as text if it is read as text."""
    as_text = pa.types.is_string(field.type) and MARK in (field.metadata or {})
    return sql.SQL("{}::text" if as_text else "{}").format(sql.Identifier(field.name))


def staged(kind: str, field: pa.Field) -> str:
    """Return the type in which values of a field are copied in for a column type; most are text, and then cast."""
    if pa.types.is_string(field.type):
        return "text"
    return "vector" if kind.startswith(("vector", "halfvec")) else _BINARY.get(kind, "text")


def column_type(field: pa.Field) -> str:
    """Return the column type for an Arrow field."""
    kind = field.type
    if is_json(field) or pa.types.is_nested(kind):
        return "jsonb"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})" if 0 <= kind.scale <= kind.precision else "numeric"
    if pa.types.is_integer(kind):
        width = kind.bit_width if pa.types.is_signed_integer(kind) else 2 * kind.bit_width
        return {8: "smallint", 16: "smallint", 32: "integer", 64: "bigint"}.get(width, "numeric")
    if pa.types.is_floating(kind):
        return "double precision" if kind.bit_width == 64 else "real"
    if pa.types.is_timestamp(kind):
        return "timestamp with time zone" if kind.tz else "timestamp without time zone"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return "bytea"
    return next((name for name, arrow in _ARROW.items() if arrow == kind), "text")


def python_values(column: pa.ChunkedArray, field: pa.Field, kind: str) -> list[Any]:
    """Return the values of a payload column as the client takes them for a column of type ``kind``."""
    if pa.types.is_timestamp(field.type) and field.type.unit == "ns":
        column = column.cast(pa.timestamp("us", field.type.tz))
    values: list[Any] = column.to_pylist()
    if kind.endswith("[]") and is_list(field.type):
        return [None if value is None else _array_literal(value) for value in values]
    if pa.types.is_nested(field.type):
        return [None if value is None else json.dumps(value, default=_json_value) for value in values]
    if staged(kind, field) == "text" and not pa.types.is_string(field.type):
        return [None if value is None else str(value) for value in values]
    return values


def columns_of(payload: pa.Table | None) -> list[tuple[pa.ChunkedArray, pa.Field]]:
    """Return the columns of a payload, each with its field."""
    return [] if payload is None else list(zip(payload.columns, payload.schema, strict=True))


def binary(kind: str) -> str:
    """Return the name that COPY knows the type of a staged value by."""
    return _BINARY.get(kind, kind)


def is_text(kind: str) -> bool:
    """Return whether a column type is a kind of text or a UUID, whose text is the usual form of it."""
    return kind.startswith(("text", "character", "uuid"))


def check_ids(ids: pa.Array, where: str) -> None:
    """Refuse ids that no column type takes.

    Raises:
        InputError: a whole number beyond 64 bits with sign, or text with a NUL.
    """
    check_int64(ids, where)
    _check_text(ids, ids, "", where)


def check_payload(payload: pa.Table, ids: pa.Array, where: str) -> None:
    """Refuse payload that no column type takes, by column and id.

    Raises:
        InputError: text with a NUL, JSON with a NUL, NaN or infinity, or a time that Python cannot represent.
    """
    for column, field in columns_of(payload):
        name, kind, wrong = field.name, field.type, None
        if pa.types.is_duration(kind) or pa.types.is_interval(kind):
            wrong = 0, "is a duration, which would be read back as text"
        elif pa.types.is_timestamp(kind) and kind.unit == "ns":
            finer = np.asarray(column.cast(pa.int64()).fill_null(0)) % 1000 != 0
            wrong = (int(finer.argmax()), "has nanoseconds, and PostgreSQL keeps microseconds") if finer.any() else None
        elif (row := _first_inexact(column)) is not None:
            wrong = row, "holds a time with nanoseconds or outside the years 1 to 9999"
        elif is_list(kind) and (field.metadata or {}).get(MARK, b"").endswith(b"[]"):
            lengths = column.combine_chunks().value_lengths().fill_null(0)
            rows = pa.array(np.repeat(np.arange(len(column)), lengths))
            _check_text(pc.list_flatten(column), ids.take(rows), f"column {name!r} of ", where)
        elif pa.types.is_nested(kind) or is_json(field):
            row = next((row for row, value in enumerate(column) if not _is_jsonb(value, field)), None)
            wrong = None if row is None else (row, "holds a NUL, NaN, infinity or bytes, which jsonb does not take")
        else:
            _check_text(column, ids, f"column {name!r} of ", where)
        if wrong is not None:
            raise InputError(
                f"{where}: column {name!r} of id {args.shown(ids[wrong[0]].as_py())} {wrong[1]}. Convert it,",
                "or leave the payload out with {drop_payload}.",
            )


def _first_inexact(column: pa.ChunkedArray) -> int | None:
    """Return the first row with a time that Python cannot represent: the client is given values of Python."""
    kind = column.type
    may_have_times = pa.types.is_temporal(kind) or pa.types.is_nested(kind) or pa.types.is_dictionary(kind)
    if not may_have_times or exact_values(column) is not None:
        return None
    return next((row for row in range(len(column)) if exact_values(column.slice(row, 1)) is None), 0)


def _is_jsonb(value: pa.Scalar, field: pa.Field) -> bool:
    try:
        text = python_values(pa.chunked_array([[value.as_py()]], field.type), field, "jsonb")[0]
    except TypeError:
        return False
    return text is None or (not _NUL_IN_JSON.search(text) and _is_strict(text))


def _check_text(values: pa.Array | pa.ChunkedArray, ids: pa.Array, what: str, where: str) -> None:
    if not holds_text(values.type):
        return
    # The search has no variant for categories and views.
    values = values.cast(pa.large_string())
    has_nul = pc.fill_null(pc.match_substring(values, "\0"), False)
    if pc.any(has_nul).as_py():
        row = ids[pc.index(has_nul, True).as_py()].as_py()
        raise InputError(
            f"{where}: {what}id {args.shown(row)} holds a NUL character, which PostgreSQL's text does not take. Remove "
            "it, or choose another target."
        )


def _is_strict(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_raise_constant)
    except ValueError:
        return False
    return True


def _raise_constant(name: str) -> None:
    raise ValueError(name)


def _array_literal(values: Sequence[Any]) -> str:
    """Return a list as PostgreSQL writes an array."""
    parts = []
    for value in values:
        text = f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        parts.append("NULL" if value is None else f'"{escaped}"')
    return f"{{{','.join(parts)}}}"


def _json_value(value: Any) -> str:
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(type(value).__name__)


def encode(vectors: FloatArray) -> Iterator[bytes]:
    """Yield each row as pgvector sends it: width, a zero, big-endian float32."""
    rows = np.ascontiguousarray(vectors, ">f4")
    head = np.array([rows.shape[1], 0], ">u2").tobytes()
    for row in rows:
        yield head + row.tobytes()


def decode(
    sent: Sequence[bytes | None], d: int, ids: Sequence[Any], holds: str, where: str, *, bad_as_nan: bool = False
) -> FloatArray:
    """Return what the server sent as vectors [n, d].

    Args:
        sent: values of pgvector (width, zero, numbers) or arrays (a header, then a length before each number).
        d: values in each vector.
        ids: of the rows, for refusals.
        holds: as in `Column`.
        where: the address, for refusals.
        bad_as_nan: return rows of NaN instead of refusing them.

    Raises:
        InputError: a null vector, one of another width, or an array that holds nulls or several dimensions.
    """
    number = np.dtype({"vector": ">f4", "halfvec": ">f2", "real": ">f4", "double precision": ">f8"}[holds])
    head, cell = (4, number.itemsize) if holds in {"vector", "halfvec"} else (20, 4 + number.itemsize)
    if bad_as_nan:
        nan = bytes(head) + (bytes(cell - number.itemsize) + np.array(np.nan, number).tobytes()) * d
        one_dimension = b"\0\0\0\1"
        sent = [
            value
            if value and len(value) == head + d * cell and (head != 20 or value.startswith(one_dimension))
            else (one_dimension + nan[4:] if head == 20 else nan)
            for value in sent
        ]
    for value, row in zip(sent, ids, strict=True):
        if value is None or len(value) != head + d * cell:
            wrong = "is null" if value is None else f"has another width than {d}, or holds null values"
            raise UnusableRowError(
                f"{where}: the vector of id {args.shown(row)} {wrong}; remove such rows or fill them."
            )
        if head == 20 and value[:4] != b"\0\0\0\1":
            raise UnusableRowError(f"{where}: the array of id {args.shown(row)} has several dimensions; one is needed.")
    block = np.frombuffer(b"".join(value or b"" for value in sent), np.uint8).reshape(len(sent), -1)[:, head:]
    numbers = block.reshape(len(sent), d, cell)[:, :, cell - number.itemsize :]
    return np.ascontiguousarray(numbers).view(number)[:, :, 0].astype(number.newbyteorder("="))
