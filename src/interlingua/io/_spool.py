"""An append-only file of Arrow tables. Each is a complete IPC stream, so the file can be truncated after any table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from interlingua.core.errors import InputError


def encode_table(table: pa.Table) -> memoryview:
    """Return one complete IPC stream."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, table.schema) as writer:
        writer.write_table(table)
    return memoryview(buffer.getvalue())


def read_tables(path: Path) -> Iterator[pa.Table]:
    """Yield the tables of a spool one by one.

    Raises:
        InputError: their columns differ.
    """
    schema = None
    with pa.memory_map(str(path)) as file:
        while file.tell() < file.size():
            with pa.ipc.open_stream(file) as reader:
                table = reader.read_all()
            if schema is not None and not table.schema.equals(schema):
                raise InputError(f"{path}: columns changed between batches; write the same columns in every batch.")
            schema = table.schema
            yield table


def read_spool(path: Path) -> pa.Table | None:
    """Return the whole spool as one table, or ``None`` when nothing was written to it."""
    tables = list(read_tables(path)) if path.stat().st_size else []
    return pa.concat_tables(tables) if tables else None
