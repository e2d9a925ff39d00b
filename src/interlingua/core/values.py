"""Python values of Arrow columns, with text for times that Python cannot represent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.records import is_list

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["exact_values", "named_row", "python_rows", "python_values"]


def named_row(key: object, value: object) -> str:
    """Return how a report names a row: its id and the value of a column, or the id alone where the value is missing."""
    return str(key) if value is None or not str(value).strip() else f"{key}: {value}"


def python_rows(payload: pa.Table | None, rows: int) -> list[dict[str, Any]]:
    """Return the values of each row by their columns; times that Python cannot represent are text.

    Args:
        payload: table of the payload, or ``None``.
        rows: number of rows, if there is no payload.
    """
    if payload is None or not payload.num_columns:
        return [{} for _ in range(rows)]
    values = map(python_values, payload.columns)
    return [dict(zip(payload.schema.names, row, strict=True)) for row in zip(*values, strict=True)]


def python_values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; times that Python cannot represent are text.

    ``to_pylist`` of pyarrow returns values of pandas for them, or raises an error where pandas is not installed.
    """
    exact = exact_values(column)
    return [_python_value(value) for value in column] if exact is None else exact


def exact_values(column: pa.Array | pa.ChunkedArray) -> list[Any] | None:
    """Return the values of a column, or ``None`` if Python cannot represent one of its times."""
    try:
        return list(column.cast(_in_microseconds(column.type)).to_pylist())
    except (ValueError, OverflowError, NotImplementedError):  # errors of pyarrow are subclasses of these
        return None


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    """Return a type with microseconds in place of nanoseconds, which Python cannot represent."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _in_microseconds(kind.value_type)
    if pa.types.is_map(kind):
        return pa.map_(_in_microseconds(kind.key_type), _in_microseconds(kind.item_type))
    if is_list(kind):
        return pa.list_(_in_microseconds(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_microseconds(field.type)) for field in kind])
    if not pa.types.is_temporal(kind) or getattr(kind, "unit", "") != "ns":
        return kind
    if pa.types.is_time(kind):
        return pa.time64("us")
    return pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")


def _python_value(value: pa.Scalar) -> Any:
    """Return a value, or its text if it is a time that Python cannot represent; nested values alike."""
    import pyarrow as pa

    kind = value.type
    if not value.is_valid:
        return None
    if pa.types.is_struct(kind):
        return {field.name: _python_value(value[field.name]) for field in kind}
    if pa.types.is_map(kind):
        return [(_python_value(item["key"]), _python_value(item["value"])) for item in value.values]
    if is_list(kind):
        return [_python_value(item) for item in value.values]
    if pa.types.is_dictionary(kind):
        return _python_value(value.value)
    try:
        return value.cast(_in_microseconds(kind)).as_py()
    except (ValueError, OverflowError):
        pass
    if pa.types.is_duration(kind):
        return np.timedelta64(value.value, kind.unit)
    if pa.types.is_time(kind):
        return str(value.cast(pa.string()))
    if pa.types.is_date(kind):
        return str(np.datetime64(value.value if kind.bit_width == 32 else value.value // 86_400_000, "D"))
    return f"{np.datetime64(value.value, kind.unit)}{'+00:00' if kind.tz else ''}"
