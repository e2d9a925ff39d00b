"""Datasets of any size in parts that workers read and write on their own: Parquet files and Lance datasets.

A part is read by its place in the dataset and written under its number, so parts can be worked on in any order, on any
machine that sees the folders, and again after a crash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa

from interlingua.core.arrays import require
from interlingua.core.errors import InputError

# Enough work to outweigh what handing it out costs, little enough to share it evenly.
PART_ROWS = 65_536
# Both libraries read 16 batches ahead of whoever takes them, each worker for itself.
_AHEAD = {"batch_readahead": 2}


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a dataset that are read together.

    Attributes:
        number: place among the parts; parts in order hold the rows in order.
        unit: a Parquet fragment of some row groups, or the folder, version and number of a Lance fragment.
        start: first row of the unit.
        stop: behind the last row of the unit.
        schema: of the whole dataset, where files may differ.
    """

    number: int
    unit: Any
    start: int
    stop: int
    schema: pa.Schema | None = None

    def batches(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, at most ``size`` at a time."""
        if self.schema is None:
            folder, version, number = self.unit
            fragment = require("lance", "ray").dataset(folder, version=version).get_fragment(number)
            yield from fragment.to_batches(batch_size=size, offset=self.start, limit=self.stop - self.start, **_AHEAD)
            return
        # Rows of a row group cannot be skipped without reading them.
        row = 0
        for batch in self._groups(size):
            start, stop = max(self.start - row, 0), min(self.stop - row, batch.num_rows)
            if start < stop:
                yield batch.slice(start, stop - start)
            row += batch.num_rows
            if row >= self.stop:
                return

    def _groups(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group after the other: a fragment that was pickled forgets their order."""
        for number in sorted(group.id for group in self.unit.row_groups):
            group = self.unit.subset(row_group_ids=[number])
            yield from group.to_batches(schema=self.schema, batch_size=size, use_threads=False, **_AHEAD)


@dataclass(frozen=True)
class Written:
    """What became of a part.

    Attributes:
        number: of the part.
        rows: how many were written.
        fragments: Lance's description of them, as JSON; empty for Parquet.
        schema: Arrow schema, serialized.
    """

    number: int
    rows: int
    fragments: tuple[str, ...]
    schema: bytes


def is_lance(path: Path) -> bool:
    """Return whether a path is, or is to be, a Lance dataset."""
    return path.suffix.lower() == ".lance"


def parts_of(source: Path, workers: int) -> list[Part]:
    """Return a dataset in parts of about 65,536 rows, at least one for each worker where there are rows enough.

    Args:
        source: ``.parquet`` file, folder of such files, or ``.lance`` folder.
        workers: how many will work at a time.

    Raises:
        InputError: it is not there, of another kind, damaged, has no rows, or its files disagree on a column.
        MissingExtraError: it is Lance and pylance is not installed.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder. Check the path.")
    if source.is_file() and source.suffix.lower() != ".parquet":
        raise InputError(f"{source}: the engine ray reads .parquet files, folders of them, and .lance folders.")
    units, schema = _lance_units(source) if is_lance(source) else _parquet_units(source)
    units = [(unit, rows) for unit, rows in units if rows]
    if not units:
        raise InputError(f"{source} holds no rows; at least 1 is needed.")
    cuts = -(-workers // len(units))
    slices = [
        (unit, rows * i // n, rows * (i + 1) // n) for unit, rows in units for n in [min(cuts, rows)] for i in range(n)
    ]
    return [Part(number, *found, schema) for number, found in enumerate(slices)]


def _parquet_units(source: Path) -> tuple[list[tuple[Any, int]], pa.Schema]:
    import pyarrow.dataset as ds

    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    files = [path for path in files if path.is_file() and not path.name.startswith((".", "_"))]
    if not files:
        raise InputError(f"{source}: there are no .parquet files in this folder. Check the path.")
    named: dict[str, Any] = {"format": "parquet", "partitioning": "hive", "partition_base_dir": str(source)}
    try:
        first = ds.dataset([str(path) for path in files], **named)
        # The first file's schema would drop what only others have.
        schema = pa.unify_schemas([first.schema, *(fragment.physical_schema for fragment in first.get_fragments())])
        units = []
        for fragment in ds.dataset([str(path) for path in files], schema=schema, **named).get_fragments():
            groups, rows = [], 0
            for group in fragment.row_groups:
                groups.append(group.id)
                rows += group.num_rows
                if rows >= PART_ROWS:
                    units.append((fragment.subset(row_group_ids=groups), rows))
                    groups, rows = [], 0
            if groups:
                units.append((fragment.subset(row_group_ids=groups), rows))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source} cannot be read: {str(error).splitlines()[0][:300]}") from error
    return units, schema


def _lance_units(source: Path) -> tuple[list[tuple[Any, int]], None]:
    lance = require("lance", "ray")
    try:
        dataset = lance.dataset(str(source))
        found = [(fragment.fragment_id, fragment.count_rows()) for fragment in dataset.get_fragments()]
    except (ValueError, OSError) as error:
        raise InputError(f"{source} cannot be read as Lance: {str(error).splitlines()[0][:300]}") from error
    return [((str(source), dataset.version, number), rows) for number, rows in found], None


def write_part(batches: Iterable[pa.RecordBatch], number: int, folder: Path) -> Written:
    """Write a part into a folder; the same part written twice leaves one that counts.

    Args:
        batches: its rows, at least one batch.
        number: of the part.
        folder: being made; Lance where it is named so, Parquet files otherwise.

    Raises:
        MissingExtraError: it is Lance and pylance is not installed.
    """
    stream = iter(batches)
    first = next(stream)
    schema, counted = first.schema, [0]

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in chain([first], stream):
            counted[0] += batch.num_rows
            yield batch

    if is_lance(folder):
        require("lance", "ray")
        from lance.fragment import write_fragments

        made = write_fragments(pa.RecordBatchReader.from_batches(schema, rows()), str(folder), mode="create")
        described = tuple(json.dumps(fragment.to_json()) for fragment in made)
        return Written(number, counted[0], described, schema.serialize().to_pybytes())
    import pyarrow.parquet as pq

    # A worker that dies leaves the hidden name; whoever repeats the part has another one.
    hidden = folder / f".{number}.{uuid4().hex}"
    lists = [field.name for field in schema if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)]
    plain = [name for name in schema.names if name not in lists]
    with pq.ParquetWriter(hidden, schema, compression="zstd", use_dictionary=plain or False) as writer:
        for batch in rows():
            writer.write_batch(batch)
    os.replace(hidden, folder / f"part-{number:06d}.parquet")
    return Written(number, counted[0], (), schema.serialize().to_pybytes())


def finish(folder: Path, written: Sequence[Written]) -> None:
    """Make one dataset of the parts, in order, and remove what dead workers left."""
    if not is_lance(folder):
        for path in folder.glob(".*"):
            path.unlink()
        return
    lance = require("lance", "ray")
    fragments = [text for part in sorted(written, key=lambda part: part.number) for text in part.fragments]
    made = [lance.FragmentMetadata.from_json(text) for text in fragments]
    schema = pa.ipc.read_schema(pa.py_buffer(written[0].schema))
    lance.LanceDataset.commit(str(folder), lance.LanceOperation.Overwrite(schema, made))
    kept = {Path(file.path).name for fragment in made for file in fragment.files}
    for path in (folder / "data").iterdir():
        if path.name not in kept:
            path.unlink()
