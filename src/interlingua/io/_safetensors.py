"""`.safetensors`: named tensors behind a JSON header, memory-mapped; the vectors are written in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.errors import InputError
from interlingua.io._checks import check_unused
from interlingua.io._formats import AnyArray, Buffers, Request
from interlingua.io._mapped import (
    ArraySink,
    MappedSource,
    StoredArray,
    choose_contents,
    is_numeric,
    raw,
    to_numpy,
)

if TYPE_CHECKING:
    import pyarrow as pa

_HEADER_BYTES = 2**16
_TYPES = {
    "BOOL": "?", "I8": "i1", "U8": "u1", "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4",
    "I64": "<i8", "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
    "BF16": "V2",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}


def open_source(path: Path, request: Request) -> MappedSource:
    """Map the vectors among the tensors of a file."""
    from safetensors import SafetensorError, safe_open

    check_unused(path, ".safetensors", column=request.column)
    try:
        # Checks lengths, offsets and shapes against the file before anything is mapped.
        with safe_open(str(path), framework="numpy"):
            pass
    except SafetensorError as error:
        raise InputError(
            f"{path} is not a whole .safetensors file ({error}). It is truncated or damaged; save or download it again."
        ) from error
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    arrays = {
        name: _stored(path, facts, 8 + length)
        for name, facts in header.items()
        if name != "__metadata__" and facts["dtype"] in _TYPES
    }
    unreadable = [name for name, facts in header.items() if name not in arrays and len(facts.get("shape", ())) == 2]
    if request.key in unreadable or (unreadable and not any(len(array.shape) == 2 for array in arrays.values())):
        name = request.key if request.key in unreadable else unreadable[0]
        raise InputError(
            f"{path}: {name} has dtype {header[str(name)]['dtype']}, which NumPy does not know; "
            "float16, float32, float64, or int8 with a scale are needed. Convert it before saving."
        )
    contents = choose_contents(arrays, request, path)
    return MappedSource(contents, arrays[str(contents.vector_name)].load(), arrays)


def _stored(path: Path, facts: Mapping[str, Any], data_start: int) -> StoredArray:
    shape, dtype = tuple(facts["shape"]), np.dtype(_TYPES[facts["dtype"]])
    return StoredArray(shape, dtype, partial(_map, path, dtype, data_start + facts["data_offsets"][0], shape))


def _map(path: Path, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> AnyArray:
    return np.memmap(path, dtype, "r", offset, shape or (1,)) if 0 not in shape else np.empty(shape, dtype)


class Sink(ArraySink):
    """Writes the vectors after space reserved for the header; columns and header are written at the end."""

    stream = "vectors.safetensors"

    @classmethod
    def holds(cls, field: pa.Field, *, is_id: bool) -> bool:
        """Return whether tensors can hold the column: numbers only."""
        return is_numeric(field.type) and field.name != "__metadata__"

    def encode(self, vectors: AnyArray, others: pa.Table | None) -> Buffers:
        """Return the rows as they are and the columns as Arrow."""
        encoded = super().encode(vectors, others)
        if others is not None:
            self._table_of_contents(10**15, {name: to_numpy(others.column(name)[:0]) for name in others.schema.names})
        return encoded

    def assemble(self, folder: Path, rows: int) -> Path:
        """Append the columns and fill in the header."""
        columns = self._arrays(folder)
        with (folder / self.stream).open("r+b") as file:
            file.write(self._table_of_contents(rows, columns))
            file.seek(_HEADER_BYTES + rows * self._output.d * self._output.dtype.itemsize)
            for array in columns.values():
                file.write(raw(np.atleast_1d(array)))
            file.truncate()
        return folder / self.stream

    def _header(self, rows: int) -> bytes:
        return b" " * _HEADER_BYTES

    def _table_of_contents(self, rows: int, columns: Mapping[str, AnyArray]) -> bytes:
        sizes = {self._output.vector_name: ((rows, self._output.d), self._output.dtype)}
        for name, array in columns.items():
            sizes[name] = (array.shape, array.dtype)
        header, end = {}, 0
        for name, (shape, dtype) in sizes.items():
            begin, end = end, end + int(np.prod(shape, dtype=object)) * dtype.itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        room = _HEADER_BYTES - 8
        if len(text) > room:
            raise InputError(f"{len(columns)} columns need more than {room} bytes of header. Write .parquet instead.")
        return room.to_bytes(8, "little") + text.ljust(room)
