"""Files with the vectors as one contiguous array, and with other named one-dimensional arrays."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.errors import InputError, InputWarning
from interlingua.core.records import is_text
from interlingua.core.wording import count_of
from interlingua.io._checks import ID_NAMES, check_shape, check_stored, choose_ids, choose_vectors
from interlingua.io._formats import (
    BFLOAT16,
    FLOATS,
    INT8,
    SCALE,
    UINT8,
    AnyArray,
    Buffers,
    Contents,
    Request,
    Sink,
    Source,
)

if TYPE_CHECKING:
    import pyarrow as pa


# Arrays of ann-benchmarks that do not belong to the vectors row by row.
_BENCHMARKS = ("train", "test", "neighbors", "distances")
# Names of the arrays that describe 8-bit integers ``q``: ``q * scale + offset``, or ``(q - zero_point) * scale``.
_OFFSETS = ("offset", "zero_point")
# Stream of the columns that are written while vectors are.
_SPOOL = "columns.arrow"


@dataclass(frozen=True)
class StoredArray:
    """Header of one array in a file; ``load`` reads the array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], AnyArray]


class ArraySource(Source):
    """Source over one array [n, d] of a file, with columns in other arrays, which are loaded on use."""

    def __init__(self, contents: Contents, others: Mapping[str, StoredArray] = MappingProxyType({})) -> None:
        self.contents = contents
        self._others = others

    def ids(self) -> pa.Array | None:
        """Return the id array, loaded."""
        schema, name = self.contents.schema, self.contents.id_name
        return None if schema is None or name is None else _to_arrow(self._others[name], schema.field(name))

    def blocks(self, start: int, stop: int, size: int, *, others: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield rows as they are read; bfloat16 is widened."""
        import pyarrow as pa

        schema = self.contents.schema if others else None
        table = None
        if schema is not None:
            table = pa.table({field.name: _to_arrow(self._others[field.name], field) for field in schema}, schema)
        row = start
        for vectors in self._vectors(start, stop, size):
            yield widen(vectors), None if table is None else table.slice(row, len(vectors))
            row += len(vectors)

    @abstractmethod
    def _vectors(self, start: int, stop: int, size: int) -> Iterator[AnyArray]:
        """Yield the stored vectors of rows ``start`` to ``stop``, at most ``size`` at a time."""


class MappedSource(ArraySource):
    """Source over one memory-mapped matrix [n, d]."""

    def __init__(
        self, contents: Contents, matrix: AnyArray, others: Mapping[str, StoredArray] = MappingProxyType({})
    ) -> None:
        super().__init__(contents, others)
        self._matrix = matrix

    def matrix(self) -> AnyArray | None:
        """Return the memory map, or ``None`` for bfloat16, which NumPy cannot compute with."""
        return None if self._matrix.dtype == BFLOAT16 else self._matrix

    def _vectors(self, start: int, stop: int, size: int) -> Iterator[AnyArray]:
        for row in range(start, stop, size):
            yield self._matrix[row : min(row + size, stop)]


def widen(rows: AnyArray) -> AnyArray:
    """Return bfloat16 as float32, which holds every one of its values, and other types as they are."""
    if rows.dtype != BFLOAT16:
        return rows
    upper = np.ascontiguousarray(rows).view("<u2").astype(np.uint32)
    return np.left_shift(upper, 16).view(np.float32)


def choose_contents(arrays: Mapping[str, StoredArray], request: Request, path: Path) -> Contents:
    """Decide which array holds the vectors, which the ids, the scale and the payload.

    Raises:
        InputError: no array fits, or several do.
    """
    types = (*FLOATS, BFLOAT16, INT8)
    usable = [n for n, a in arrays.items() if len(a.shape) == 2 and a.dtype.newbyteorder("=") in types]
    name = choose_vectors(usable, list(arrays), request.key, "key", path)
    chosen = arrays[name]
    shifts = [other for other in _OFFSETS if other in arrays and chosen.dtype in (INT8, UINT8)]
    dtype = check_stored(chosen.dtype, name, path, shifted=request.shifted or bool(shifts))
    n, d = check_shape(chosen.shape, name, path)
    scale = arrays[SCALE] if dtype in (INT8, UINT8) and SCALE in arrays else None
    if len(shifts) > 1:
        raise InputError(f"{path} holds an offset and a zero_point; one of the two is needed. Remove the other.")
    if scale is not None and scale.shape not in ((), (1,), (d,)):
        raise InputError(f"{path}: scale has shape {scale.shape}; a number or shape ({d},) is needed.")
    others = [other for other, array in arrays.items() if array.shape == (n,) and other != name]
    if scale is not None:
        others = [other for other in others if other not in (SCALE, *shifts)]
    kept = [other for other in others if arrays[other].dtype.kind in "biufUS"]
    # A caller who names one of several matrices knows that there are others, and is not warned about them.
    known = (name, *others, *(usable if request.key is not None else ()))
    _check_lengths(arrays, known, n, request.id_column, path)
    if len(kept) < len(others):
        dropped = ", ".join(repr(other) for other in others if other not in kept)
        warnings.warn(
            f"{path}: {dropped} dropped: object arrays are never unpickled, and a column must hold numbers or text. "
            "Save it as such to keep it.",
            InputWarning,
            stacklevel=4,
        )
    id_name = choose_ids(kept, request.id_column, path)
    schema = _schema(arrays, kept) if kept else None
    offset, zero_point = (arrays[other].load() if other in shifts else None for other in _OFFSETS)
    return Contents(
        (n, d), dtype, None if scale is None else scale.load(), name, id_name, schema, False, offset, zero_point
    )


def _check_lengths(
    arrays: Mapping[str, StoredArray], known: Collection[str], n: int, id_name: str | None, path: Path
) -> None:
    """Refuse ids if there is not one for each vector, and warn about other arrays that are left out."""
    unused = [name for name in arrays if name not in known and name not in (SCALE, *_OFFSETS, *_BENCHMARKS)]
    for name in unused:
        shape = arrays[name].shape
        is_id = name == id_name or (id_name is None and name.rsplit("/", 1)[-1].lower() in ID_NAMES)
        if is_id and len(shape) == 1:
            raise InputError(
                f"{path}: {name!r} has {count_of(shape[0], 'value')} for {count_of(n, 'vector')}; one id for "
                "each is needed. Remove or rename it if it belongs to something else."
            )
    if unused:
        listed = ", ".join(f"{name!r} {arrays[name].shape}" for name in unused[:8])
        were = "was" if len(unused) == 1 else "and others were" if len(unused) > 8 else "were"
        warnings.warn(
            f"{path}: {listed} {were} left out: a column has one value for each of the {count_of(n, 'vector')}.",
            InputWarning,
            stacklevel=5,
        )


class ArraySink(Sink):
    """Writes vectors in place, and other columns to a spool of Arrow tables from which they become arrays."""

    columns = "numbers"
    holds_scale = True
    reserved = (SCALE,)

    def begin(self) -> Buffers:
        """Return space for the header, and an empty spool."""
        return {**super().begin(), _SPOOL: []}

    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return the rows as they are and the columns as Arrow."""
        rows: Buffers = {self.stream: [raw(vectors)]}
        if others is None:
            return rows
        from interlingua.io._spool import encode_table

        check_no_nulls(others, self._output.extension)
        return {**rows, _SPOOL: [encode_table(others)]}

    def _arrays(self, folder: Path) -> dict[str, AnyArray]:
        """Return the columns that were spooled, and the scale."""
        scale = {} if self._output.scale is None else {SCALE: self._output.scale}
        if not (folder / _SPOOL).stat().st_size:
            return scale
        from interlingua.io._spool import read_spool

        table = read_spool(folder / _SPOOL)
        columns = {} if table is None else {name: to_numpy(table.column(name)) for name in table.schema.names}
        return columns | scale


def raw(vectors: AnyArray) -> memoryview:
    """Return the bytes of the rows without copying them."""
    return np.ascontiguousarray(vectors).reshape(-1).view(np.uint8).data


def to_numpy(column: pa.ChunkedArray) -> AnyArray:
    """Return a column for which `is_numeric` or `is_text` holds, and that has no nulls, as a NumPy array."""
    import pyarrow as pa

    if is_text(column.type):
        return np.asarray(column.to_pylist(), dtype=np.str_)
    if pa.types.is_boolean(column.type):
        return np.asarray(column.to_pylist(), dtype=np.bool_)
    return np.asarray(column.to_numpy())


def is_numeric(kind: pa.DataType) -> bool:
    """Return whether NumPy has this type too: booleans, integers, floating point."""
    import pyarrow as pa

    return bool(pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))


def check_no_nulls(others: pa.Table | None, extension: str) -> None:
    """Refuse columns whose values NumPy arrays cannot hold.

    Raises:
        InputError: a column has nulls, or text that ends in NUL, which NumPy would cut off.
    """
    for name in [] if others is None else others.schema.names:
        column = others.column(name)  # type: ignore[union-attr]
        if column.null_count:
            raise InputError(
                f"column {name!r} has {count_of(column.null_count, 'null')}, which {extension} arrays cannot hold. "
                "Write .parquet or .jsonl to keep them."
            )
        if is_text(column.type) and any(text.endswith("\0") for text in column.to_pylist()):
            raise InputError(f"column {name!r} has text that ends in NUL, which {extension} arrays cut off.")


def _schema(arrays: Mapping[str, StoredArray], names: list[str]) -> pa.Schema:
    import pyarrow as pa

    def kind(dtype: np.dtype[Any]) -> pa.DataType:
        return {"U": pa.string(), "S": pa.binary()}.get(dtype.kind) or pa.from_numpy_dtype(dtype.newbyteorder("="))

    return pa.schema([pa.field(name, kind(arrays[name].dtype)) for name in names])


def _to_arrow(array: StoredArray, field: pa.Field) -> pa.Array:
    import pyarrow as pa

    values = array.load()
    if values.dtype.kind == "S":  # pyarrow would cut the values at a NUL
        return pa.array(values.tolist(), type=field.type)
    return pa.array(values.astype(values.dtype.newbyteorder("=")), type=field.type)
