"""Writing embedding files; a file appears under its final name only when it is complete.

Rows go to append-only streams in the folder ``<output>.partial``; for `.npy`, `.fvecs`, `.safetensors` and `.jsonl` the
main stream already is the final file. Every few seconds the streams are flushed to disk and a checkpoint is replaced
that says how many rows and bytes they hold. Finishing makes the final file of the streams and renames it. Continuing
after a crash cuts the streams back to the byte counts of the checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import (
    check_count,
    check_flag,
    check_instance,
    check_number,
    check_path,
    check_text,
    shown,
)
from interlingua.core.atomic import check_regular, check_writable, follow_link, naming, sync_folder
from interlingua.core.errors import InputError, InputWarning, OutputExistsError
from interlingua.core.records import Records
from interlingua.core.wording import count_of
from interlingua.io._checkpoint import Checkpoint, acquire_lock, partial_folder, prepare_folder, sync
from interlingua.io._checks import check_output, check_scale
from interlingua.io._files import VectorFile
from interlingua.io._formats import INT8, AnyArray, Output, Sink, find_sink

if TYPE_CHECKING:
    import pyarrow as pa


class VectorWriter:
    """An embedding file being written, made by `create_writer`; use it in a ``with`` statement.

    Leaving the block normally finishes the file. Leaving it with an exception keeps the rows written so far for
    ``resume=True`` when ``settings`` were given to `create_writer`, and else removes them.

    Attributes:
        path: the final name.
    """

    def __init__(
        self, path: Path, sink: type[Sink], output: Output, checkpoint: Checkpoint, n: int | None,
        like: VectorFile | None, force: bool, checkpoint_seconds: float, id_name: str,
    ) -> None:  # fmt: skip
        self.path = path
        self._folder = partial_folder(path)
        self._output = output
        self._checkpoint = checkpoint
        self._n = n
        self._force = force
        self._checkpoint_seconds = checkpoint_seconds
        self._id_name = (like and like.id_name) or id_name
        self._sink = sink(output)
        self._schema: pa.Schema | None = None
        self._names: set[str] | None = None
        if like is not None and like.schema is not None:
            self._schema = self._keep(like.schema, like.id_name)
        self._lock = acquire_lock(self._folder)
        self._streams = dict[str, FileIO]()
        try:
            with naming(path, self._folder):
                self._open_streams()
        except OSError:
            if not checkpoint.rows:
                self._discard()
            raise
        self._checkpoint = replace(checkpoint, sizes=self._sizes())
        self._saved_at = time.monotonic()

    @property
    def rows(self) -> int:
        """Rows written so far; after resuming, how many to skip before going on."""
        return self._checkpoint.rows

    def write(self, vectors: npt.ArrayLike, batch: Records | None = None) -> None:
        """Append rows.

        Args:
            vectors: [b, d]; rounded to the writer's dtype, or divided by its scale for int8.
            batch: where ids and payload of these rows come from, usually the batch that was translated.

        Raises:
            InputError: wrong shape, values the dtype cannot hold, or other columns than before.
        """
        rows = self._convert(np.asarray(vectors))
        others = None if batch is None else self._other_columns(batch, len(rows))
        if self._schema is not None and others is None:
            raise InputError(f"{self.path}: rows came without the columns {self._schema.names}; pass their batch too.")
        encoded = self._sink.encode(rows, others)
        try:
            with naming(self.path):
                for name, buffers in encoded.items():
                    for data in buffers:
                        _write(self._streams[name], data)
        except BaseException:
            # Whole batches only: a full disk or Ctrl-C must not leave half a row behind rows that count.
            for name, stream in self._streams.items():
                stream.truncate(self._checkpoint.sizes[name])
            raise
        self._checkpoint = replace(self._checkpoint, rows=self.rows + len(rows), sizes=self._sizes())
        if time.monotonic() - self._saved_at >= self._checkpoint_seconds:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Flush all rows to disk and record how many there are; `write` does so every few seconds."""
        with naming(self.path):
            for stream in self._streams.values():
                sync(stream)
            self._checkpoint.save(self._folder)
        self._saved_at = time.monotonic()

    def finish(self) -> Path:
        """Make the final file, move it to its name and return the path.

        Raises:
            InputError: no rows, or fewer or more than announced.
            OutputExistsError: the output appeared in the meantime.
        """
        if self.rows == 0 or (self._n is not None and self.rows != self._n):
            needed = "at least 1" if self._n is None else str(self._n)
            raise InputError(
                f"{self.path}: {count_of(self.rows)} {'was' if self.rows == 1 else 'were'} written and {needed} are "
                "needed; it was not finished."
            )
        self.checkpoint()
        self._close_streams()
        with naming(self.path):
            done = self._sink.assemble(self._folder, self.rows)
            with done.open("rb+") as file:
                sync(file)
        if not self._force:
            _check_new(self.path)
        done.replace(self.path)
        sync_folder(self.path.parent)
        self._discard()
        return self.path

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file; after an exception keep the rows for ``resume=True`` or remove them."""
        try:
            if kind is None:
                self.finish()
        except BaseException:
            self._abandon()
            raise
        if kind is not None:
            self._abandon()

    def close(self) -> None:
        """Close the output without finishing it; ``resume=True`` continues from the last checkpoint."""
        self._close_streams()
        self._lock.release()

    def _abandon(self) -> None:
        if not (self._checkpoint.resumable and self.rows):
            self._discard()
            return
        if not any(stream.closed for stream in self._streams.values()):
            # If the disk is full, the last checkpoint is still valid.
            with contextlib.suppress(OSError):
                self.checkpoint()
        self.close()

    def _discard(self) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _close_streams(self) -> None:
        for stream in self._streams.values():
            with contextlib.suppress(OSError):
                stream.close()

    def _sizes(self) -> dict[str, int]:
        return {name: stream.seek(0, os.SEEK_END) for name, stream in self._streams.items()}

    def _open_streams(self) -> None:
        for name, begin in self._sink.begin().items():
            path = self._folder / name
            size = self._checkpoint.sizes.get(name)
            if size is None:
                path.write_bytes(b"".join(begin))
            elif not path.is_file() or path.stat().st_size < size:
                self._lock.release()
                raise InputError(f"{path} lost rows that its checkpoint counts.", "Start over with {force}.")
            else:
                os.truncate(path, size)
            self._streams[name] = FileIO(path, "ab")

    def _convert(self, vectors: AnyArray) -> AnyArray:
        output = self._output
        if vectors.ndim != 2 or vectors.shape[1] != output.d or vectors.dtype.kind not in "fiu":
            raise InputError(
                f"{self.path}: got {vectors.dtype} of shape {vectors.shape}; a number matrix [b, {output.d}] is needed."
            )
        if output.scale is None:
            with np.errstate(over="ignore"):
                rows = vectors.astype(output.dtype, copy=False)
        else:
            rows = np.rint(vectors / output.scale)
            if (np.abs(rows) > 127).any():
                raise InputError(f"{self.path}: values exceed 127 times the scale; use a larger scale.")
        broken = ~np.isfinite(rows).all(axis=1)
        if broken.any():
            raise InputError(
                f"{self.path}: row {self.rows + int(broken.argmax())} holds NaN, infinity or values too large for "
                f"{output.dtype}. Use a wider dtype or remove the row."
            )
        return rows.astype(output.dtype, copy=False)

    def _other_columns(self, batch: Records, rows: int) -> pa.Table | None:
        import pyarrow as pa

        columns, fields = [], []
        if batch.ids is not None:
            field = self._schema.field(self._id_name) if self._schema and self._id_name in self._schema.names else None
            fields.append(field or pa.field(self._id_name, batch.ids.type))
            columns.append(batch.ids)
        if batch.payload is not None:
            fields.extend(batch.payload.schema)
            columns.extend(batch.payload.columns)
        if not columns:
            return None
        if any(len(column) != rows for column in columns):
            raise InputError(
                f"{self.path}: {count_of(rows, 'vector')} came with {count_of(len(columns[0]), 'id')}; there must be "
                "one id for each vector."
            )
        table = pa.Table.from_arrays(columns, schema=pa.schema(fields))
        if self._names is None:
            self._schema = self._keep(table.schema, self._id_name if batch.ids is not None else None)
        kept = None if self._schema is None else self._schema.names
        if set(table.schema.names) != self._names or (kept and not table.select(kept).schema.equals(self._schema)):
            raise InputError(f"{self.path}: columns changed between batches; write the same columns in every batch.")
        return table.select(kept) if kept else None

    def _keep(self, schema: pa.Schema, id_name: str | None) -> pa.Schema | None:
        """Return the columns the format can hold, ids first, and warn about the others."""
        import pyarrow as pa

        self._names = set(schema.names)
        reserved = {self._output.vector_name, *(self._sink.reserved if self._output.dtype == INT8 else ())}
        kept, dropped = list[pa.Field](), list[pa.Field]()
        for field in sorted(schema, key=lambda field: field.name != id_name):
            fits = self._sink.holds(field, is_id=field.name == id_name) and field.name not in reserved
            (kept if fits else dropped).append(field)
        if dropped:
            listed = ", ".join(f"{'ids' if f.name == id_name else 'column'} {f.name!r} ({f.type})" for f in dropped)
            warnings.warn(
                f"{self.path}: a {self._output.extension} file cannot hold {listed}; dropped. "
                f"Write .parquet{'' if self._sink.columns == 'json' else ' or .jsonl'} to keep ids and payload.",
                InputWarning,
                stacklevel=4,
            )
        return pa.schema(kept) if kept else None


def create_writer(
    path: str | os.PathLike[str],
    *,
    d: int,
    dtype: npt.DTypeLike,
    n: int | None = None,
    like: VectorFile | None = None,
    scale: npt.ArrayLike | None = None,
    force: bool = False,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    checkpoint_seconds: float = 2.0,
    id_name: str = "id",
    vector_name: str = "vectors",
    origin: Mapping[str, str] | None = None,
) -> VectorWriter:
    """Start or resume writing an embedding file in the format of its extension.

    Args:
        path: the final name; rows wait in ``<path>.partial`` until the file is finished.
        d: width of the vectors.
        dtype: float16, float32, float64 or int8.
        n: number of rows, if known; another number is refused at the end.
        like: the input, whose names, ids and payload the output takes over.
        scale: factor of int8 vectors, scalar or [d]: ``x / scale`` is rounded to -127 to 127.
        force: overwrite an existing output and drop an interrupted one.
        resume: continue an interrupted run with the same settings; start from the first row if there is none.
        settings: JSON values that the rows depend on, such as fingerprints of input and translator. Only an output
            with settings can be resumed, and only with equal ones.
        checkpoint_seconds: time between checkpoints; 0 makes one of every batch.
        id_name: name of the ids, where ``like`` gives none.
        vector_name: name of the vectors, where ``like`` gives none.
        origin: words on what the vectors were made of, such as ``{"model": "minilm"}``. Only a Parquet file has room
            for them, and `VectorFile.origin` returns them.

    Example:
        ::

            with create_writer("out.npy", d=768, dtype="float32", n=file.n, like=file, resume=True,
                               settings={"input": file.fingerprint()}) as writer:
                for batch in file.batches(start=writer.rows):
                    writer.write(translate(batch.vectors), batch)

    Raises:
        InputError: unknown extension, no such folder, a dtype the format lacks, other settings than before, or a path
            that is ``like`` itself.
        OutputExistsError: the output, or an interrupted one, exists, and neither ``force`` nor ``resume`` is set.
    """
    path, d = check_path(path), check_count(d, "d", minimum=1)
    n = None if n is None else check_count(n, "n")
    force, resume = check_flag(force, "force"), check_flag(resume, "resume")
    id_name, vector_name = check_text(id_name, "id_name"), check_text(vector_name, "vector_name")
    checkpoint_seconds = check_number(checkpoint_seconds, "checkpoint_seconds", minimum=0)
    check_instance(like, "like", (VectorFile, type(None)), "a file, as open_vectors returns it,")
    check_instance(settings, "settings", (Mapping, type(None)), "a mapping of JSON values")
    sink, extension = find_sink(path)
    path = follow_link(path)
    check_writable(partial_folder(path))
    if path.is_dir() or not path.parent.is_dir():
        wrong = f"{path} is a folder" if path.is_dir() else f"the folder {path.parent} does not exist"
        raise InputError(f"{wrong}; the path of a file in an existing folder is needed.")
    check_regular(path)
    if not force:
        _check_new(path)
    if like is not None:
        check_output(path, [like.path])
    check_instance(origin, "origin", (Mapping, type(None)), "a mapping of names to texts")
    words = {check_text(key, "a name in origin"): check_text(value, key) for key, value in (origin or {}).items()}
    output = replace(_output(path, sink, extension, d, _dtype(dtype), scale, like, vector_name), origin=words or None)
    own_settings = {} if settings is None else json.loads(json.dumps(dict(settings)))
    facts = {"d": d, "dtype": str(output.dtype), "n": n, "scale": None if scale is None else output.scale.tolist()}  # type: ignore[union-attr]
    fresh = Checkpoint({**facts, **own_settings}, settings is not None, 0, {})
    checkpoint = prepare_folder(path, fresh, force=force, resume=resume)
    return VectorWriter(path, sink, output, checkpoint, n, like, force, checkpoint_seconds, id_name)


def _dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    try:
        # NumPy reads None as float64.
        return np.dtype(dtype or "")
    except TypeError as error:
        raise InputError(f"dtype is {shown(dtype)}; float16, float32, float64 or int8 is needed.") from error


def _output(
    path: Path, sink: type[Sink], extension: str, d: int, dtype: np.dtype[Any], scale: npt.ArrayLike | None,
    like: VectorFile | None, vector_name: str,
) -> Output:  # fmt: skip
    name = (like and like.vector_name) or vector_name
    dtype = dtype.newbyteorder("=")
    if dtype not in sink.dtypes:
        names = ", ".join(str(name) for name in sink.dtypes)
        raise InputError(f"{path}: a {extension} file of {dtype} cannot be written; choose from {names}.")
    if (dtype == INT8) != (scale is not None):
        raise InputError(f"{path}: dtype {dtype} with scale={scale!r}; int8 needs a scale and floats take none.")
    if scale is None:
        return Output(d, dtype, None, name, extension)
    if not sink.holds_scale:
        warnings.warn(
            f"{path}: a {extension} file cannot hold the scale; pass it to open_vectors. "
            "Write .npz, .parquet or .safetensors to keep it with the vectors.",
            InputWarning,
            stacklevel=3,
        )
    return Output(d, dtype, check_scale(scale, d, str(path)), name, extension)


def _write(stream: FileIO, data: bytes | memoryview) -> None:
    # One system call writes 2 GiB at most.
    view = memoryview(data).cast("B")
    while view:
        view = view[stream.write(view) :]


def _check_new(path: Path) -> None:
    if path.exists():
        raise OutputExistsError(f"{path} exists.", "Choose another name, or overwrite it with {force}.")
