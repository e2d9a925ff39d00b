"""Datasets in parts that workers read and write independently: Parquet files and Lance datasets.

A part is read from its position in the dataset and written under its number, so parts can be processed in any order,
on any machine that can reach the folders, and again after a crash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pyarrow as pa

from interlingua.core.arguments import check_count, check_instance, check_path
from interlingua.core.arrays import require
from interlingua.core.errors import InputError

__all__ = ["Part", "WrittenPart", "finish", "is_lance", "parts_of", "write_part"]

# Large enough that scheduling costs little, small enough to balance the load.
_PART_ROWS = 65_536
# By default both libraries read 16 batches ahead in every worker, which needs too much memory.
_AHEAD = {"batch_readahead": 2}


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a dataset that are read together.

    Attributes:
        number: index of the part; parts in order hold the rows in order.
        unit: a Parquet fragment of some row groups, or the folder, version and number of a Lance fragment.
        start: first row of the unit.
        stop: index after the last row of the unit.
        schema: Arrow schema of the whole dataset, whose files may differ; ``None`` for Lance.
    """

    number: int
    unit: Any
    start: int
    stop: int
    schema: pa.Schema | None = None

    def batches(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, at most ``size`` at a time."""
        size = check_count(size, "size", minimum=1)
        if self.schema is None:
            folder, version, number = self.unit
            fragment = _lance().dataset(folder, version=version).get_fragment(number)
            yield from fragment.to_batches(batch_size=size, offset=self.start, limit=self.stop - self.start, **_AHEAD)
            return
        # Rows inside a row group cannot be skipped without reading them.
        row = 0
        for batch in self._groups(size):
            start, stop = max(self.start - row, 0), min(self.stop - row, batch.num_rows)
            if start < stop:
                yield batch.slice(start, stop - start)
            row += batch.num_rows
            if row >= self.stop:
                return

    def _groups(self, size: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches of one row group after the other; a pickled fragment does not keep their order."""
        for number in sorted(group.id for group in self.unit.row_groups):
            group = self.unit.subset(row_group_ids=[number])
            yield from group.to_batches(schema=self.schema, batch_size=size, use_threads=False, **_AHEAD)


@dataclass(frozen=True)
class WrittenPart:
    """Result of writing a part.

    Attributes:
        number: index of the part.
        rows: number of rows written.
        fragments: Lance's description of them, as JSON; empty for Parquet.
        schema: Arrow schema, serialized.
    """

    number: int
    rows: int
    fragments: tuple[str, ...]
    schema: bytes


def is_lance(path: Path) -> bool:
    """Return whether a path is, or is to be, a Lance dataset."""
    return check_path(path).suffix.lower() == ".lance"


def parts_of(source: Path, workers: int) -> list[Part]:
    """Return a dataset in parts of about 65,536 rows, and at least one part for each worker if there are enough rows.

    Args:
        source: ``.parquet`` file, folder of such files, or ``.lance`` folder.
        workers: number of workers that run at the same time.

    Raises:
        InputError: it does not exist, has another format, is damaged or empty, or its files disagree on a column.
        MissingExtraError: it is Lance and pylance is not installed.
    """
    source, workers = check_path(source, "source"), check_count(workers, "workers", minimum=1)
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
    return [Part(number, *bounds, schema) for number, bounds in enumerate(slices)]


def _parquet_units(source: Path) -> tuple[list[tuple[Any, int]], pa.Schema]:
    import pyarrow.dataset as ds

    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    files = [path for path in files if path.is_file() and not path.name.startswith((".", "_"))]
    if not files:
        raise InputError(f"{source}: there are no .parquet files in this folder. Check the path.")
    named: dict[str, Any] = {"format": "parquet", "partitioning": "hive", "partition_base_dir": str(source)}
    try:
        first = ds.dataset([str(path) for path in files], **named)
        # The schema of the first file would drop columns that only other files have.
        schema = pa.unify_schemas([first.schema, *(fragment.physical_schema for fragment in first.get_fragments())])
        units = []
        for fragment in ds.dataset([str(path) for path in files], schema=schema, **named).get_fragments():
            groups, rows = [], 0
            for group in fragment.row_groups:
                groups.append(group.id)
                rows += group.num_rows
                if rows >= _PART_ROWS:
                    units.append((fragment.subset(row_group_ids=groups), rows))
                    groups, rows = [], 0
            if groups:
                units.append((fragment.subset(row_group_ids=groups), rows))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source} cannot be read: {str(error).splitlines()[0][:300]}") from error
    return units, schema


def _lance_units(source: Path) -> tuple[list[tuple[Any, int]], None]:
    lance = _lance()
    try:
        dataset = lance.dataset(str(source))
        fragments = [(fragment.fragment_id, fragment.count_rows()) for fragment in dataset.get_fragments()]
    except (ValueError, OSError) as error:
        raise InputError(f"{source} cannot be read as Lance: {str(error).splitlines()[0][:300]}") from error
    return [((str(source), dataset.version, number), rows) for number, rows in fragments], None


def _lance() -> ModuleType:
    """Import Lance.

    Raises:
        MissingExtraError: the extra ``ray`` is not installed.
    """
    return require("lance", "ray")


def write_part(batches: Iterable[pa.RecordBatch], number: int, folder: Path) -> WrittenPart:
    """Write a part into a folder; a part that is written twice is kept once.

    Args:
        batches: rows of the part, at least one batch.
        number: index of the part.
        folder: folder of the new dataset; Lance if its name ends in ``.lance``, otherwise Parquet files.

    Raises:
        MissingExtraError: it is Lance and pylance is not installed.
    """
    check_instance(batches, "batches", Iterable, "a sequence of Arrow record batches")
    number, folder = check_count(number, "number"), check_path(folder, "folder")
    stream = iter(batches)
    first = next(stream)
    check_instance(first, "a batch", pa.RecordBatch, "an Arrow record batch")
    schema, counted = first.schema, [0]

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in chain([first], stream):
            counted[0] += batch.num_rows
            yield batch

    if is_lance(folder):
        _lance()
        from lance.fragment import write_fragments

        made = write_fragments(pa.RecordBatchReader.from_batches(schema, rows()), str(folder), mode="create")
        described = tuple(json.dumps(fragment.to_json()) for fragment in made)
        return WrittenPart(number, counted[0], described, schema.serialize().to_pybytes())
    import pyarrow.parquet as pq

    # A worker that dies leaves a file with a hidden name; the worker that repeats the part uses another name.
    hidden = folder / f".{number}.{uuid4().hex}"
    lists = [field.name for field in schema if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)]
    plain = [name for name in schema.names if name not in lists]
    # pyarrow takes a relative path such as a:b for an address.
    with pq.ParquetWriter(hidden.absolute(), schema, compression="zstd", use_dictionary=plain or False) as writer:
        for batch in rows():
            writer.write_batch(batch)
    os.replace(hidden, folder / f"part-{number:06d}.parquet")
    return WrittenPart(number, counted[0], (), schema.serialize().to_pybytes())


def finish(folder: Path, written: Sequence[WrittenPart]) -> None:
    """Combine the parts, in order, into one dataset and remove files of workers that died."""
    folder = check_path(folder, "folder")
    check_instance(written, "written", Sequence, "a sequence of written parts")
    for part in written:
        check_instance(part, "a part", WrittenPart, "a WrittenPart, as write_part returns it,")
    if not is_lance(folder):
        for path in folder.glob(".*"):
            path.unlink()
        return
    lance = _lance()
    fragments = [text for part in sorted(written, key=lambda part: part.number) for text in part.fragments]
    made = [lance.FragmentMetadata.from_json(text) for text in fragments]
    schema = pa.ipc.read_schema(pa.py_buffer(written[0].schema))
    lance.LanceDataset.commit(str(folder), lance.LanceOperation.Overwrite(schema, made))
    kept = {Path(file.path).name for fragment in made for file in fragment.files}
    for path in (folder / "data").iterdir():
        if path.name not in kept:
            path.unlink()
