"""Opened embedding files: their contents and their rows in batches."""

from __future__ import annotations

import hashlib
import importlib
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, check_path
from interlingua.core.arrays import BLOCK_ROWS, FloatArray, RowCheck
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.core.wording import count_of
from interlingua.io._checks import check_scale, list_parquet, missing_file
from interlingua.io._formats import INT8, UINT8, AnyArray, Contents, Reader, Request, Source, find_reader
from interlingua.io._piped import copy_pipe, is_pipe

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLES = 64
_SAMPLE_BYTES = 65_536


class VectorFile:
    """An embedding file, opened by `open_vectors`; holds no file handle between calls.

    Attributes:
        path: the file.
        n: number of rows.
        d: width of the vectors.
        dtype: of the vectors as returned: float16, float32 or float64; float32 if the file stores 8-bit integers.
        stored_dtype: of the vectors in the file.
        scale: scalar or [d] factor of stored 8-bit integers, else ``None``.
        offset: scalar or [d] that is added to 8-bit integers after scaling, else ``None``.
        vector_name: name of the vectors in the file, ``None`` in formats without names.
        id_name: name of the ids in the file, ``None`` when it has none.
        names: names of the payload columns.
        schema: Arrow schema of ids and payload, ``None`` when the file has neither.
        skipped: ids of the lines that are left out, or their numbers as ``"line 7"``.
        origin: words on what the vectors were made of, as `create_writer` wrote them; None where the file says nothing.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        scale: npt.ArrayLike | None = None,
        offset: npt.ArrayLike | None = None,
        *,
        skip_bad: bool = False,
    ) -> None:
        contents = source.contents
        self.path = path
        self.n, self.d = contents.shape
        self.stored_dtype = contents.dtype
        self.scale = _resolve_scale(path, contents.dtype, self.d, contents.scale if scale is None else scale)
        self.offset = _resolve_offset(path, contents, self.scale, offset)
        self.dtype: np.dtype[Any] = np.dtype(np.float32) if contents.dtype in (INT8, UINT8) else contents.dtype
        self.vector_name = contents.vector_name
        self.id_name = contents.id_name
        self.schema = contents.schema
        columns: list[str] = [] if contents.schema is None else contents.schema.names
        self.names = tuple(name for name in columns if name != self.id_name)
        self._source = source
        self._checked = contents.checked or skip_bad
        self.skipped = contents.skipped
        self.origin = None if contents.origin is None else dict(contents.origin)

    def __repr__(self) -> str:
        """Return path, shape and dtype in one line."""
        return f"VectorFile({str(self.path)!r}, n={self.n}, d={self.d}, dtype={self.dtype})"

    def fingerprint(self) -> str:
        """Return a hash of size, shape, dtype, scale and content.

        Files up to 4 MiB are hashed whole, larger ones at 64 evenly spaced blocks of 64 KiB, both ends included: a
        file with other rows has another hash, but an edit of a few values between two blocks can be missed.
        """
        files = list_parquet(self.path) if self.path.is_dir() else [self.path]
        sizes = [path.stat().st_size for path in files]
        size = sizes[0] if files == [self.path] else tuple(sizes)
        scale = None if self.scale is None else self.scale.tolist()
        offset = () if self.offset is None else (self.offset.tolist(),)
        facts = (size, self.n, self.d, str(self.stored_dtype), scale, self.vector_name, *offset)
        digest = hashlib.sha256(repr(facts).encode())
        for path, length in zip(files, sizes, strict=True):
            with path.open("rb") as file:
                if length <= _SAMPLES * _SAMPLE_BYTES:
                    digest.update(file.read())
                    continue
                for sample in range(_SAMPLES):
                    file.seek(sample * (length - _SAMPLE_BYTES) // (_SAMPLES - 1))
                    digest.update(file.read(_SAMPLE_BYTES))
        return digest.hexdigest()

    def check(self, *, on_rows: OnRows | None = None) -> None:
        """Read every vector once and refuse a file that cannot be translated.

        Args:
            on_rows: called with the phase, the rows done and the number of rows, after each block.

        Raises:
            InputError: rows with NaN or infinity, or of zeros only (how many, and which comes first); ragged or null
                vectors; data damaged after the header.
        """
        if self._checked:
            return
        seen, row = RowCheck(), 0
        for stored, _ in self._source.blocks(0, self.n, BLOCK_ROWS, others=False):
            seen.add(self._floating(stored))
            row += len(stored)
            if on_rows is not None:
                on_rows("checking", row, self.n)
        seen.check_directions(self.path)
        self._checked = True

    def batches(self, size: int = BLOCK_ROWS, start: int = 0, stop: int | None = None) -> Iterator[Records]:
        """Yield the rows from ``start`` to ``stop`` in order, at most ``size`` at a time.

        Every batch is checked; call `check` first to refuse a bad file before the first batch.

        Args:
            size: most rows in a batch.
            start: first row, 0 to n.
            stop: row to stop before; ``None`` stands for n.

        Raises:
            InputError: a range outside the file, or anything `check` refuses.
        """
        stop = self.n if stop is None else stop
        if size < 1 or not 0 <= start <= stop <= self.n:
            raise InputError(
                f"{self.path}: rows {start} to {stop} in batches of {size} were requested; "
                f"0 <= start <= stop <= {self.n} and size >= 1 are needed."
            )
        # No reader takes a size of any number of digits.
        return self._batches(min(size, self.n), start, stop, others=True)

    def vector_blocks(self, size: int = BLOCK_ROWS) -> Iterator[FloatArray]:
        """Yield all vectors in order and checked as in `batches`, without reading ids and payload.

        Args:
            size: most rows in a block.

        Raises:
            InputError: ``size`` is below 1, or anything `check` refuses.
        """
        size = min(check_count(size, "size", minimum=1), self.n)
        return (records.vectors for records in self._batches(size, 0, self.n, others=False))

    def vectors(self, *, on_rows: OnRows | None = None) -> FloatArray:
        """Return all vectors [n, d], checked: a read-only memory map where the format allows, else in memory.

        Args:
            on_rows: called with the phase, the rows done and the number of rows, after each block.

        Raises:
            InputError: anything `check` refuses, or more vectors than fit in memory.
        """
        matrix = self._source.matrix()
        if matrix is not None and matrix.dtype == self.dtype:
            self.check(on_rows=on_rows)
            return matrix
        try:
            whole = np.empty((self.n, self.d), self.dtype)
        except MemoryError as error:
            needed = self.n * self.d * self.dtype.itemsize / 2**30
            raise InputError(
                f"{self.path}: {needed:.1f} GiB are needed to hold all vectors. Use batches(), or convert it to .npy."
            ) from error
        row, seen = 0, RowCheck()
        for stored, _ in self._source.blocks(0, self.n, BLOCK_ROWS, others=False):
            block = whole[row : row + len(stored)]
            block[:] = self._floating(stored)
            row += len(stored)
            if not self._checked:
                seen.add(block)
            if on_rows is not None:
                on_rows("reading", row, self.n)
        seen.check_directions(self.path)
        self._checked = True
        return whole

    def ids(self) -> pa.Array | None:
        """Return all ids in row order, or ``None`` when the file has none."""
        return self._source.ids()

    def _batches(self, size: int, start: int, stop: int, *, others: bool) -> Iterator[Records]:
        row = start
        for stored, columns in self._source.blocks(start, stop, size, others=others):
            vectors = self._floating(stored)
            if not self._checked and RowCheck().add(vectors):
                self.check()
            ids = payload = None
            if columns is not None:
                if self.id_name is not None:
                    ids = columns.column(self.id_name).combine_chunks()
                payload = columns.select(list(self.names)) if self.names else None
            yield Records(ids, vectors, payload, row)
            row += len(vectors)
        if row != stop:
            raise InputError(f"{self.path}: it is truncated: {count_of(stop)} announced, {row:,} readable.")

    def _floating(self, stored: AnyArray) -> FloatArray:
        if self.scale is None:
            return stored.astype(self.dtype, copy=False)
        scaled = stored.astype(np.float32) * self.scale
        return np.asarray(scaled if self.offset is None else scaled + self.offset)


def open_vectors(
    path: str | os.PathLike[str],
    *,
    column: str | None = None,
    key: str | None = None,
    id_column: str | None = None,
    scale: npt.ArrayLike | None = None,
    offset: npt.ArrayLike | None = None,
    skip_bad: bool = False,
) -> VectorFile:
    """Open an embedding file lazily; the format goes by the extension.

    Headers are checked against the size of the file, so a false header causes no allocation. A `.jsonl` file is read
    once in full to count its lines and compare the widths of its vectors.

    Args:
        path: a file with one of the extensions in ``EXTENSIONS`` or ``READ_ONLY``, or a folder of Parquet files. ``-``
            is standard input, which like every pipe must be JSON Lines or CSV and is copied to a temporary file first.
        column: vector column of a Parquet, Arrow, CSV or JSON Lines file. Default: the only one, or the one named
            ``vector``, ``vectors``, ``embedding`` or ``embeddings``. In JSON Lines also a path with dots, as
            ``response.body.data.0.embedding``, or the name of a preset, as ``openai-batch``.
        key: array of an `.npz`, `.safetensors` or HDF5 file, chosen likewise.
        id_column: column or array of ids. Default: ``id``, ``ids`` or ``_id`` if there is one.
        scale: factor of 8-bit integers, scalar or [d]; replaces the one in the file. 1.0 takes integers as they are.
        offset: added to 8-bit integers after scaling, scalar or [d]; replaces the offset or zero point in the file.
            uint8 vectors need one, because uint8 may as well be packed bits.
        skip_bad: read the file without the checks of its rows. Vectors that are null, hold null values or have another
            width are read as NaN; lines that cannot be read are left out and listed in ``skipped``.

    Raises:
        InputError: the file is missing, truncated, damaged, of an unknown format, or holds nothing that can be used.
    """
    path = check_path(path)
    try:
        piped = is_pipe(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read (the system reports: {error.strerror}). Check the path.") from error
    if piped:
        copied = copy_pipe(path)
        try:
            file = open_vectors(
                copied, column=column, key=key, id_column=id_column, scale=scale, offset=offset, skip_bad=skip_bad
            )
        except BaseException:
            copied.unlink()
            raise
        weakref.finalize(file, copied.unlink, missing_ok=True)
        return file
    module: Reader
    if path.is_dir():
        module = cast(Reader, importlib.import_module("interlingua.io._parquet_folder"))
        if not list_parquet(path):
            raise InputError(
                f"{path} is a folder; the path of one embedding file is needed, or of a folder with .parquet files."
            )
    elif not path.is_file():
        raise missing_file(path)
    else:
        module = find_reader(path)
    try:
        request = Request(column, key, id_column, scale is not None, offset is not None, skip_bad)
        source = module.open_source(path, request)
    except PermissionError as error:
        raise InputError(f"{path} cannot be read: permission denied.") from error
    return VectorFile(path, source, scale, offset, skip_bad=skip_bad)


def _resolve_scale(
    path: Path, dtype: np.dtype[Any], d: int, scale: npt.ArrayLike | None
) -> npt.NDArray[np.float32] | None:
    if dtype not in (INT8, UINT8):
        if scale is not None:
            raise InputError(f"{path}: a scale is for int8 vectors and these are {dtype}.", "Leave {scale=...} out.")
        return None
    if scale is None:
        raise InputError(
            f"{path}: {dtype} vectors need a scale and the file holds none.",
            "Pass {scale=...}, a number or one per column; 1.0 takes the integers as they are.",
        )
    return check_scale(scale, d, str(path))


def _resolve_offset(
    path: Path, contents: Contents, scale: npt.NDArray[np.float32] | None, offset: npt.ArrayLike | None
) -> npt.NDArray[np.float32] | None:
    d = contents.shape[1]
    if scale is None:
        if offset is not None:
            raise InputError(f"{path}: offset is for 8-bit integers and these are {contents.dtype}. Leave offset out.")
        return None
    if offset is None and contents.zero_point is not None:
        return -check_scale(contents.zero_point, d, str(path), "zero_point") * scale
    offset = contents.offset if offset is None else offset
    return None if offset is None else check_scale(offset, d, str(path), "offset")
