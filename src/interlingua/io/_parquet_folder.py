"""Folders of Parquet files as one source, in the order of their paths; Hive partitions become text columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from interlingua.core.errors import InputError
from interlingua.io._checks import check_unused, list_parquet
from interlingua.io._formats import Request
from interlingua.io._parquet import pages, read_footer
from interlingua.io._tables import TableSource, open_table

# What Hive and Spark write for a null.
_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class _Part:
    """One file: its first row among all rows, the row after its last, and its values of the partition columns."""

    path: Path
    start: int
    stop: int
    values: dict[str, str | None]


def open_source(folder: Path, request: Request) -> TableSource:
    """Read the footers of all files, which must have the same columns.

    Raises:
        InputError: files with other columns or partitions than the first.
    """
    check_unused(folder, "folder of Parquet", key=request.key)
    parts, schema, n = list[_Part](), None, 0
    for path in list_parquet(folder):
        columns, rows = read_footer(path)
        values = _partitions(folder, path)
        columns = pa.schema([*columns, *(pa.field(name, pa.string()) for name in values)], columns.metadata)
        schema = schema or columns
        if {field.name: field.type for field in columns} != {field.name: field.type for field in schema}:
            raise InputError(
                f"{path} has other columns, types or partitions than {parts[0].path}; all files of a folder need the "
                "same. Convert them, or translate them one by one."
            )
        parts.append(_Part(path, n, n + rows, values))
        n += rows
    return open_table(folder, schema or pa.schema([]), n, request, partial(_pages, parts))


def _pages(
    parts: Sequence[_Part], names: Sequence[str], start: int, stop: int, size: int
) -> Iterator[tuple[pa.Table, int]]:
    for part in parts:
        if part.start >= stop or part.stop <= start:
            continue
        stored = [name for name in names if name not in part.values]
        # Without a stored column a page would have no rows.
        read_names = stored or read_footer(part.path)[0].names[:1]
        low, high = max(start - part.start, 0), min(stop, part.stop) - part.start
        for page, row in pages(part.path, read_names, low, high, size):
            table = page
            for name in names:
                if name in part.values:
                    table = table.append_column(name, pa.repeat(pa.scalar(part.values[name], pa.string()), len(page)))
            yield table.select(list(names)), part.start + row


def _partitions(folder: Path, path: Path) -> dict[str, str | None]:
    pairs = (part.split("=", 1) for part in path.relative_to(folder).parts[:-1] if "=" in part)
    return {unquote(name): None if value == _NULL else unquote(value) for name, value in pairs}
