"""What searches read from an uploaded file: vectors in a memory map, ids and texts by row."""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.base import insufficient_rows_reason
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.records import is_text
from interlingua.core.spaces import check_two_models
from interlingua.core.wording import size_of
from interlingua.io import VectorFile

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["StoredRows", "check_sides", "store_rows"]

_BLOCK = 8_192
_VECTORS, _LABELS = "stored-vectors.npy", "stored-labels.arrow"
_TEXT_NAMES = ("text", "texts", "title", "name", "sentence", "question", "content", "body", "document", "passage")
_LONGEST = 300


def store_rows(file: VectorFile, folder: Path) -> dict[str, str | None]:
    """Store the rows of a file as :class:`StoredRows` reads them and return the names of its ids and texts.

    A ``.npy`` file of float32 is read where it is.

    Raises:
        InputError: the disk has no room for them.
    """
    text_name = _text_name(file)
    copied = not _is_mapped(file)
    needed = file.n * file.d * 4 * copied
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"The disk is full: the vectors of {file.path.name} need {size_of(needed)} and {size_of(free)} are free in "
            "the temporary folder. Free space there, or start with TMPDIR set to another folder."
        )
    labelled = file.id_name is not None or text_name is not None
    if copied or labelled:
        _write(file, folder, text_name, copied=copied, labelled=labelled)
    return {"ids": file.id_name, "texts": text_name}


def _write(file: VectorFile, folder: Path, text_name: str | None, *, copied: bool, labelled: bool) -> None:
    import pyarrow as pa

    # Written and not mapped: a map of a full disk ends the process without a word.
    vectors = (folder / _VECTORS).open("wb") if copied else None
    if vectors is not None:
        header = {"descr": "<f4", "fortran_order": False, "shape": (file.n, file.d)}
        np.lib.format.write_array_header_2_0(vectors, header)
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    writer = pa.ipc.new_file(str(folder / _LABELS), schema) if labelled else None
    try:
        for batch in file.batches(_BLOCK):
            if vectors is not None:
                vectors.write(np.ascontiguousarray(batch.vectors, "<f4").data)
            if writer is not None:
                texts = None if text_name is None or batch.payload is None else batch.payload.column(text_name)
                writer.write(pa.record_batch([_strings(batch.ids, len(batch)), _strings(texts, len(batch))], schema))
    finally:
        if writer is not None:
            writer.close()
        if vectors is not None:
            vectors.close()


def _is_mapped(file: VectorFile) -> bool:
    return file.path.name.lower().endswith(".npy") and file.stored_dtype == np.float32


def _text_name(file: VectorFile) -> str | None:
    """Return the column whose values are shown as the texts of the rows: one of a usual name, or the first of texts.

    Among columns of other names, one with one value in all of the first rows, such as the tenant, holds no texts.
    """
    if file.schema is None:
        return None
    texts = [name for name in file.names if is_text(file.schema.field(name).type)]
    usual = next((name for known in _TEXT_NAMES for name in texts if name.lower() == known), None)
    if usual is not None or not texts:
        return usual
    payload = next(iter(file.batches(_BLOCK))).payload
    return next((name for name in texts if payload is not None and _differs(payload.column(name))), None)


def _differs(values: pa.Array | pa.ChunkedArray) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    # Not every form of text has this function: categories and views have none.
    return len(values) == 1 or pc.count_distinct(values.cast(pa.large_string()), mode="all").as_py() > 1


def _strings(values: pa.Array | pa.ChunkedArray | None, n: int) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if values is None:
        return pa.nulls(n, pa.string())
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if is_text(values.type):
        values = values.cast(pa.large_string())
        return pc.utf8_slice_codeunits(values, 0, _LONGEST).cast(pa.string())
    return pa.array([None if value is None else str(value)[:_LONGEST] for value in values.to_pylist()], pa.string())


class StoredRows:
    """The rows of an uploaded file, read from disk as needed.

    Args:
        path: the file; what :func:`store_rows` stored lies beside it.
    """

    def __init__(self, path: Path) -> None:
        stored = path.with_name(_VECTORS)
        self._vectors = stored if stored.exists() else path
        self._labels = path.with_name(_LABELS)

    @cached_property
    def vectors(self) -> FloatArray:
        """Vectors [n, d], a memory map."""
        mapped: npt.NDArray[np.float32] = np.load(self._vectors, mmap_mode="r")
        return mapped

    def described(self, row: int) -> dict[str, Any]:
        """Return number, id and text of a row; the id is the number where the file has none."""
        found: dict[str, Any] = {"row": row, "id": str(row), "text": None}
        if self._reader is not None:
            batch = bisect_right(self._starts, row) - 1
            held = self._reader.get_batch(batch).slice(row - self._starts[batch], 1).to_pylist()[0]
            found |= {name: value for name, value in held.items() if value is not None}
        return found

    def find(self, words: str) -> int | None:
        """Return the first row whose id is ``words``, or else the first whose text contains them, in any case."""
        import pyarrow.compute as pc

        if self._reader is None:
            return None
        inside: int | None = None
        for number, start in enumerate(self._starts):
            batch = self._reader.get_batch(number)
            equal = pc.index(batch.column("id"), words).as_py()
            if equal >= 0:
                return start + int(equal)
            if inside is None:
                contains = pc.index(pc.match_substring(batch.column("text"), words, ignore_case=True), True).as_py()
                inside = start + int(contains) if contains >= 0 else None
        return inside

    @cached_property
    def _reader(self) -> Any:
        import pyarrow as pa

        return pa.ipc.open_file(pa.memory_map(str(self._labels))) if self._labels.exists() else None

    @cached_property
    def _starts(self) -> list[int]:
        counts = [self._reader.get_batch(number).num_rows for number in range(self._reader.num_record_batches)]
        return list(accumulate(counts, initial=0))[:-1]


def check_sides(sides: Mapping[str, StoredRows]) -> None:
    """Refuse files that a fit would refuse, before a fit starts and no other file can be uploaded.

    Args:
        sides: the rows of the source and of the target, by these names.

    Raises:
        InputError: too few rows or columns, or the same vectors on both sides.
    """
    for side, stored in sides.items():
        reason = insufficient_rows_reason(f"The {side}", stored.vectors)
        if reason is not None:
            raise InputError(reason)
    first, second = (stored.vectors for stored in sides.values())
    check_two_models(first, second, "Both files hold")
