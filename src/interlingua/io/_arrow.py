"""`.arrow`, `.feather` and `.ipc`: Arrow IPC files and streams, memory-mapped batch by batch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa

from interlingua.core.errors import InputWarning
from interlingua.core.wording import count_of
from interlingua.io._checks import check_unused
from interlingua.io._formats import Request
from interlingua.io._tables import TableSource, open_table, reading, slices

_MAGIC = b"ARROW1"
# The mark of the end of a stream. Before Arrow 0.15, messages and this mark were without the first four bytes.
_END = b"\xff\xff\xff\xff\0\0\0\0"
_KIND = "Arrow IPC file of version 1"


def open_source(path: Path, request: Request) -> TableSource:
    """Read the schema and count the rows of a file, or of a stream such as the caches of Hugging Face datasets."""
    check_unused(path, path.suffix, key=request.key)
    with reading(path, _KIND), pa.memory_map(str(path)) as file:
        schema, n = _open(path, file).schema, sum(batch.num_rows for batch in _batches(path))
    if not _has_end(path):
        warnings.warn(
            f"{path} is a stream without the mark of its end, so later rows may be missing. It holds {count_of(n)}.",
            InputWarning,
            stacklevel=3,
        )
    return open_table(path, schema, n, request, partial(_pages, path))


def _pages(path: Path, names: Sequence[str], start: int, stop: int, size: int) -> Iterator[tuple[pa.Table, int]]:
    with reading(path, _KIND):
        yield from slices(_checked(path, names), names, start, stop, size)


def _checked(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for batch in _batches(path):
        chosen = batch.select(list(names))
        # Offsets come from the file, and pyarrow does not compare them with the buffers by itself.
        chosen.validate(full=True)
        yield chosen


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pa.memory_map(str(path)) as file:
        reader = _open(path, file)
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
        else:
            yield from reader


def _has_end(path: Path) -> bool:
    """Return whether a file is complete: a stream of which the last batches are missing can be read without error."""
    with path.open("rb") as file:
        head = file.read(len(_MAGIC))
        if head == _MAGIC:
            return True
        file.seek(-min(len(_END), path.stat().st_size), os.SEEK_END)
        end = file.read()
    return end == _END or (not head.startswith(_END[:4]) and end.endswith(_END[4:]))


def _open(path: Path, file: pa.MemoryMappedFile) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    with path.open("rb") as head:
        is_file = head.read(len(_MAGIC)) == _MAGIC
    return pa.ipc.open_file(file) if is_file else pa.ipc.open_stream(file)
