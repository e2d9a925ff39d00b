"""Between PostgreSQL's types and Arrow's without loss: what has no Arrow type travels as text that names its type."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.records import json_field
from interlingua.stores._documents import is_json

MARK = b"interlingua.postgres"
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
_BINARY = {"smallint": "int2", "integer": "int4", "bigint": "int8", "boolean": "bool", "real": "float4",
           "double precision": "float8", "timestamp without time zone": "timestamp",
           "timestamp with time zone": "timestamptz", "bytea": "bytea", "date": "date"}  # fmt: skip


def field(name: str, kind: str) -> pa.Field:
    """Return the Arrow field for a column of type ``kind``."""
    if kind in {"json", "jsonb"}:
        return json_field(name).with_metadata({**json_field(name).metadata, MARK: kind.encode()})
    if kind in _ARROW:
        return pa.field(name, _ARROW[kind])
    return pa.field(name, pa.string(), metadata={MARK: kind.encode()})


def shown(sql: Any, name: str, kind: str) -> Any:
    """Return the expression that selects a column: itself, or as text."""
    return sql.SQL("{}" if kind in _ARROW else "{}::text").format(sql.Identifier(name))


def staged(kind: str) -> str:
    """Return the type that a value of column type ``kind`` has on its way in; all others go as text and are cast."""
    return "vector" if kind.startswith(("vector", "halfvec")) else _BINARY.get(kind, "text")


def column_type(field: pa.Field) -> str:
    """Return the column type for an Arrow field."""
    kind = field.type
    if is_json(field) or pa.types.is_nested(kind):
        return "jsonb"
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


def python_values(column: pa.ChunkedArray, field: pa.Field) -> list[Any]:
    """Return the values of a payload column as the client takes them."""
    values: list[Any] = column.to_pylist()
    if pa.types.is_nested(field.type):
        return [None if value is None else json.dumps(value, default=str) for value in values]
    kind = column_type(field)
    if staged(kind) == "text" and not pa.types.is_string(field.type):
        return [None if value is None else str(value) for value in values]
    return values


def encode(vectors: FloatArray) -> Iterator[bytes]:
    """Yield each row as pgvector sends it: width, a zero, big-endian float32."""
    rows = np.ascontiguousarray(vectors, ">f4")
    head = np.array([rows.shape[1], 0], ">u2").tobytes()
    for row in rows:
        yield head + row.tobytes()


def decode(sent: Sequence[bytes | None], d: int, ids: Sequence[Any], half: bool, where: str) -> FloatArray:
    """Return what pgvector sent as vectors [n, d].

    Raises:
        InputError: a null vector, or one of another width.
    """
    width = 4 + d * (2 if half else 4)
    for value, row in zip(sent, ids, strict=True):
        if value is None or len(value) != width:
            wrong = "is null" if value is None else "has another width"
            raise InputError(f"{where}: the vector of id {row!r} {wrong}; remove such rows or fill them.")
    block = np.frombuffer(b"".join(value or b"" for value in sent), np.uint8).reshape(len(sent), width)[:, 4:]
    kind = np.float16 if half else np.float32
    return np.ascontiguousarray(block).view(np.dtype(kind).newbyteorder(">")).astype(kind)
