"""Rows on their way between stores: ids, vectors and payload, and when two payloads are the same."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError

# Documents of stores without a schema travel in one text column of this name, as JSON with sorted keys.
JSON_COLUMN = "payload_json"
# Marks a text column whose values are JSON.
_JSON_MARK = {b"interlingua.json": b"1"}


@dataclass(frozen=True, eq=False)
class Records:
    """Rows of a collection.

    Attributes:
        ids: b ids, integers or text.
        vectors: [b, d], floating point.
        payload: b rows of everything else, or ``None`` when there is nothing else.
    """

    ids: pa.Array
    vectors: FloatArray
    payload: pa.Table | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    def rows(self, start: int, stop: int | None = None) -> Records:
        """Return the rows from ``start`` to before ``stop``."""
        stop = len(self) if stop is None else stop
        payload = None if self.payload is None else self.payload.slice(start, stop - start)
        return Records(self.ids.slice(start, stop - start), self.vectors[start:stop], payload)

    def take(self, order: Sequence[int]) -> Records:
        """Return the rows at these positions, in this order."""
        picked = pa.array(order, pa.int64())
        payload = None if self.payload is None else self.payload.take(picked)
        return Records(self.ids.take(picked), self.vectors[np.asarray(order, np.int64)], payload)

    def in_order_of(self, ids: pa.Array, where: str) -> Records:
        """Return one row for each of ``ids``, in that order.

        Raises:
            InputError: an id is not among the rows.
        """
        position = {value: row for row, value in enumerate(self.ids.to_pylist())}
        wanted = ids.to_pylist()
        missing = [value for value in wanted if value not in position]
        if missing:
            raise InputError(
                f"{where}: {len(missing)} of {len(wanted)} ids are not there, the first is {missing[0]!r}. "
                "Were rows deleted in the meantime?"
            )
        return self.take([position[value] for value in wanted])

    def digest(self) -> str:
        """Return 16 hex digits bound to every id, vector and payload value."""
        digest = hashlib.blake2b(np.ascontiguousarray(self.vectors).tobytes(), digest_size=8)
        table = pa.table({"": self.ids}) if self.payload is None else self.payload.append_column("", self.ids)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema.remove_metadata()) as writer:
            # Taking every row lays the buffers out anew: a slice of a longer page has the bytes of its own rows only.
            every = pa.array(range(len(table)), pa.int64())
            writer.write_table(table.replace_schema_metadata().take(every).combine_chunks())
        digest.update(sink.getvalue())
        return digest.hexdigest()


def json_field(name: str) -> pa.Field:
    """Return the field of a text column that holds JSON."""
    return pa.field(name, pa.string(), metadata=_JSON_MARK)


def is_json(field: pa.Field) -> bool:
    """Return whether a column holds JSON as text."""
    marked = (field.metadata or {}).keys() >= _JSON_MARK.keys()
    return pa.types.is_string(field.type) and (marked or field.name == JSON_COLUMN)


def from_documents(documents: Sequence[dict[str, Any]]) -> pa.Table:
    """Return documents as the one JSON column they travel in."""
    texts = [json.dumps(document, sort_keys=True, ensure_ascii=False) for document in documents]
    return pa.table([pa.array(texts, pa.string())], schema=document_schema())


def document_schema() -> pa.Schema:
    """Return the schema of a payload made of documents."""
    return pa.schema([json_field(JSON_COLUMN)])


def to_documents(payload: pa.Table | None, rows: int, where: str | None) -> list[dict[str, Any]]:
    """Return one document a row, with values that JSON can hold; dates become ISO text, decimals and UUIDs text.

    Args:
        payload: what to return as documents.
        rows: how many there are, where there is no payload.
        where: whom to name in a refusal; ``None`` refuses nothing and is for comparing only.

    Raises:
        InputError: a value, such as bytes, that has no place in a document, or a JSON column that holds something else.
    """
    if payload is None:
        return [{} for _ in range(rows)]
    parsed = {field.name for field in payload.schema if is_json(field)}
    documents = [
        {name: _plain(_parse(value) if name in parsed else value, name, where) for name, value in row.items()}
        for row in payload.to_pylist()
    ]
    if payload.schema.names == [JSON_COLUMN]:
        return [document[JSON_COLUMN] or {} for document in documents]
    return documents


def same_payload(here: pa.Table | None, there: pa.Table | None) -> bool:
    """Return whether two payloads say the same of every row.

    They are compared as documents, in which a missing key is a null one. Chroma changes the last bit of one float64 in
    ten, so floats may differ by that.
    """
    rows = len(here) if here is not None else len(there) if there is not None else 0
    parsed = {f.name for side in (here, there) if side is not None for f in side.schema if is_json(f)}
    pairs = zip(_comparable(here, rows, parsed), _comparable(there, rows, parsed), strict=True)
    return all(a == b or _same(a, b) for a, b in pairs)


def _comparable(payload: pa.Table | None, rows: int, parsed: set[str]) -> list[dict[str, Any]]:
    if payload is not None:
        fields = [json_field(f.name) if f.name in parsed and pa.types.is_string(f.type) else f for f in payload.schema]
        payload = payload.cast(pa.schema(fields))
    documents = to_documents(payload, rows, None)
    return [{key: value for key, value in document.items() if value is not None} for document in documents]


def _same(here: Any, there: Any) -> bool:
    if isinstance(here, dict) and isinstance(there, dict):
        return here.keys() == there.keys() and all(_same(here[key], there[key]) for key in here)
    if isinstance(here, list) and isinstance(there, list):
        return len(here) == len(there) and all(map(_same, here, there))
    if isinstance(here, float) and isinstance(there, float):
        return math.isclose(here, there, rel_tol=4e-16) or (math.isnan(here) and math.isnan(there))
    return bool(here == there) and isinstance(here, bool) == isinstance(there, bool)


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
