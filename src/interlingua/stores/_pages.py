"""Pages of one size, from a stream of batches of any size, and clients that several stores share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError

_CLIENTS: dict[Any, tuple[Any, int]] = {}


def pages(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Yield tables of exactly ``size`` rows, the last one shorter."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= size:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, size).combine_chunks()
            waiting = table.slice(size).to_batches()
            rows -= size
    if rows:
        yield pa.Table.from_batches(waiting).combine_chunks()


def matrix(column: pa.ChunkedArray, d: int, where: str) -> FloatArray:
    """Return a list column as vectors [n, d].

    Raises:
        InputError: null vectors or values, or vectors of another width.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # no chunk at all
        return np.empty((0, d), np.float32)
    array = getattr(array, "storage", array)
    if array.null_count:
        row = int(np.asarray(array.is_null()).argmax())
        raise InputError(
            f"{where}: {array.null_count} vectors are null, one in row {row} of its page. Remove such rows."
        )
    widths = np.asarray(array.value_lengths())
    if len(widths) and (widths != d).any():
        raise InputError(f"{where}: a vector has {int(widths[widths != d][0])} values and {d} are needed.")
    values = array.flatten()
    if values.null_count:
        raise InputError(f"{where}: a vector holds null values. Remove such rows.")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(array), d)


def vector_column(vectors: FloatArray) -> pa.FixedSizeListArray:
    """Return vectors [n, d] as a column of fixed-size lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(vectors).reshape(-1)), vectors.shape[1])


def first_line(error: Exception) -> str:
    """Return what a client's error says first; some append whole stack traces."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def borrow(key: Any, connect: Callable[[], Any]) -> Any:
    """Return the client for ``key``, made on first use: embedded databases let a process open them once."""
    client, users = _CLIENTS.get(key) or (connect(), 0)
    _CLIENTS[key] = client, users + 1
    return client


def give_back(key: Any, close: Callable[[Any], object]) -> None:
    """Close the client for ``key`` when nobody uses it any more."""
    if key not in _CLIENTS:
        return
    client, users = _CLIENTS.pop(key)
    if users > 1:
        _CLIENTS[key] = client, users - 1
    else:
        close(client)
