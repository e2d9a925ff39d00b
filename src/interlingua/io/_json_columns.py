"""Columns as keys and values of JSON objects."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from interlingua.core.records import is_list, is_marked_json, is_text


def heads_of(others: pa.Table) -> tuple[list[str], set[str]]:
    """Return the columns as JSON, and the names of those with numbers that JSON lacks: NaN and infinity.

    Every row becomes the inside of a JSON object, with a comma at the end.
    """
    parts, lossy = [], set[str]()
    for column in others.schema:
        values = others.column(column.name)
        key = json.dumps(column.name, ensure_ascii=False)
        if is_marked_json(column):
            texts = ["null" if value is None else value for value in values.to_pylist()]
        else:
            if _as_text(column.type):
                values = pc.cast(values, pa.string())
            try:
                texts = [json.dumps(value, ensure_ascii=False, allow_nan=False) for value in values.to_pylist()]
            except ValueError:
                lossy.add(column.name)
                texts = [json.dumps(_finite(value), ensure_ascii=False) for value in values.to_pylist()]
        parts.append([f"{key}: {text}, " for text in texts])
    return ["".join(row) for row in zip(*parts, strict=True)], lossy


def _finite(value: Any) -> Any:
    """Return a value with None in the place of NaN and infinity, also inside lists and objects."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return {key: _finite(item) for key, item in value.items()} if isinstance(value, dict) else value


def _as_text(kind: pa.DataType) -> bool:
    """Return whether a type JSON lacks is written as text: dates, times, decimals."""
    return bool(pa.types.is_temporal(kind) or pa.types.is_decimal(kind))


def is_json_type(kind: pa.DataType) -> bool:
    """Return whether JSON can represent the values; dates, times and decimals become text."""
    return _as_text(kind) or _is_json(kind)


def _is_json(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_json(kind.value_type)
    if is_list(kind):
        return _is_json(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_is_json(kind.field(i).type) for i in range(kind.num_fields))
    scalars = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return is_text(kind) or any(test(kind) for test in scalars)
