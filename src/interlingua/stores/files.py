"""Embedding files as stores, in the formats of :mod:`interlingua.io`."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from interlingua.core.arrays import BLOCK_ROWS, FloatArray
from interlingua.core.atomic import check_parent, follow_link
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.neighbors import nearest_in_blocks
from interlingua.core.records import Records, concatenated, is_marked_json, select_rows
from interlingua.core.wording import count_of, some_of
from interlingua.io import EXTENSIONS, VectorFile, VectorWriter, create_writer, open_vectors
from interlingua.io._checkpoint import partial_folder, unfinished_settings
from interlingua.io._checks import AmbiguousVectorsError
from interlingua.io._formats import Sink, find_sink
from interlingua.stores._base import Adapter, made_meanwhile, plain_ids
from interlingua.stores._capabilities import Capabilities
from interlingua.stores._documents import document_field
from interlingua.stores._names import NOT_EMPTY, check_name_length
from interlingua.stores._origin import is_embedding, is_translation
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of
from interlingua.stores.memory import hits_of

__all__ = ["FileStore"]

# JSON has whole numbers of any length.
_JSON_LIMITS = Limits("JSON", least=-(2**256), most=2**256)


class FileStore(Adapter):
    """One embedding file; rows without ids are identified by their number."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "typed",
        ("int", "text"),
        appends=True,
        rows_per_second=50_000,
        limits="JSON Lines refuses NaN, infinity, dates, times, bytes and maps, and keeps decimals as text; .npy, "
        ".fvecs and .fbin hold vectors only; search reads every row",
    )
    _name_counts = (0, 1)
    _collection_noun = "column"
    _example = "file://PATH#column"
    _column_rule = NOT_EMPTY

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._path = Path(url.path)
        self._writer: VectorWriter | None = None
        self._skip = self._next = 0

    @property
    def file(self) -> VectorFile:
        """The file, as it is opened."""
        return self._file

    @property
    def origin(self) -> dict[str, str] | None:
        """Words on what the vectors were made of, where the file has them."""
        return self._file.origin

    def exists(self) -> bool:
        """Return whether the file exists."""
        return self._path.exists()

    def info(self) -> StoreInfo:
        """Return facts about the file; all ids are read once, to refuse repeated ones."""
        file = self._file
        first = next(self._rows(256))
        return self._describe(first, file.n, len(file.skipped), vector_name=file.vector_name, dtype=str(file.dtype))

    def restrict(self, *, where: str | None = None, skip_null: bool = False, bad_as_nan: bool = False) -> None:
        """Open the file anew, with or without the rows that cannot be used."""
        if bad_as_nan != self._bad_as_nan:
            for name in ("_file", "_ids"):
                self.__dict__.pop(name, None)
        super().restrict(where=where, skip_null=skip_null, bad_as_nan=bad_as_nan)

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the lines that cannot be read, or their numbers as text."""
        for value in self._file.skipped:
            yield pa.array([value])

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages; the cursor counts rows."""
        for records in self._rows(size, after or 0):
            yield records, records.start + len(records)

    def fetch(self, ids: pa.Array) -> Records:
        """Read the file once and pick the rows of these ids."""
        rows = ids if self._ids is None else pc.index_in(ids, self._ids)
        positions = np.sort(np.array([row for row in rows.to_pylist() if row is not None], np.int64))
        parts = list(select_rows(self._rows(BLOCK_ROWS), positions))
        if not parts:
            return self._in_order(None, ids)
        return self._in_order(concatenated(parts), ids)

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Compare every query with every row, of which one block of vectors at a time is in memory."""
        blocks = self._file.vector_blocks(BLOCK_ROWS)
        return hits_of(nearest_in_blocks(np.asarray(queries), blocks, k), self._ids)

    def check(self, spec: Spec) -> None:
        """Refuse formats that would lose ids or payload."""
        super().check(spec)
        sink, written = self._sink(), _written_extensions()
        if sink is None:
            raise InputError(
                f"{self._path}: a migration writes {', '.join(written)}; choose one of these. A database is given by "
                "its address, such as duckdb://FILE#TABLE.COLUMN."
            )
        check_parent(self._path)
        path = follow_link(self._path)
        check_name_length(path, path)
        job = self.unfinished()
        if job not in {None, spec.job}:
            raise OutputExistsError(
                f"{partial_folder(path)} holds rows that another run has not finished ({job}).",
                "Wait for its end, go on with it or undo it; or choose another name.",
            )
        if sink.columns == "none" and (self.url.names or self.url.options):
            raise InputError(f"{self.url}: a {self._path.suffix} file has no names; leave out what follows its path.")
        if sink.columns == "none" and (spec.schema is not None or not pa.types.is_integer(spec.id_type)):
            raise InputError(
                f"{self._path}: a {self._path.suffix} file holds neither ids nor payload. Write .parquet or .jsonl."
            )
        fields = spec.schema or ()
        lossy = [
            field.name for field in fields if pa.types.is_temporal(field.type) or not sink.holds(field, is_id=False)
        ]
        if lossy and sink.columns == "json":
            raise InputError(f"{self._path}: JSON has no dates or bytes as in column {lossy[0]!r}. Write .parquet.")

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse what a file of JSON would not give back: NaN and infinity."""
        sink = self._sink()
        if sink is not None and sink.columns == "json":
            documents_of(records, str(self.url), _JSON_LIMITS)

    def kept(self, field: pa.Field) -> pa.Field:
        """Return a payload column as the format keeps it."""
        sink = self._sink()
        return document_field(field) if sink is not None and sink.columns == "json" else super().kept(field)

    @property
    def _new_column(self) -> str | None:
        named = self.url.names[0] if self.url.names else "vectors"
        return None if self._holds_only_vectors else named

    def _create(self, spec: Spec) -> None:
        """Do nothing: the file appears when it is finished."""

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the digest of the finished file."""
        if not self._path.is_file():
            return None
        with self._path.open("rb") as file:
            return f"a file of SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"

    def is_migrated(self) -> bool:
        """Return whether the file says that a translator made its vectors."""
        return is_translation(self.origin)

    def is_embedded(self) -> bool:
        """Return whether the file says that its vectors were made of texts."""
        return is_embedding(self.origin)

    def unfinished(self) -> str | None:
        """Return the job of the rows in the folder of the unfinished file."""
        settings = unfinished_settings(follow_link(self._path))
        return None if settings is None else str(settings.get("job", "another program"))

    def prepare(self, spec: Spec, committed: int) -> None:
        """Open the unfinished file; rows that it holds beyond the committed ones are not written again."""
        if self.exists():
            if committed < spec.count:
                raise made_meanwhile(self._path)
            return
        try:
            self._writer = create_writer(
                self._path,
                d=spec.d,
                dtype="float32",
                n=spec.count,
                resume=True,
                settings={"job": spec.job},
                checkpoint_seconds=0,
                id_name=spec.id_name,
                vector_name=self._new_column or "vectors",
                origin=spec.origin,
            )
        except (InputError, OutputExistsError) as error:
            if "{force}" in error.remedy:  # which a migration does not have
                error.remedy = f"Remove {partial_folder(self._path)}, or choose another target."
            raise
        if self._writer.rows < committed:
            raise InputError(
                f"{self._path}.partial holds {count_of(self._writer.rows)} and the journal counts {committed:,}; it "
                "was changed in the meantime.",
                "Run {rollback} to undo the migration, and start again.",
            )
        self._skip, self._next = self._writer.rows - committed, committed

    def upsert(self, records: Records) -> None:
        """Append rows."""
        writer = self._writer
        if writer is None:
            raise InputError(f"{self._path}: prepare() was not called; rows cannot be written.")
        rows = records.rows(min(self._skip, len(records)))
        self._skip -= len(records) - len(rows)
        if self._holds_only_vectors and records.ids.to_pylist() != list(range(self._next, self._next + len(records))):
            raise InputError(f"{self._path} holds no ids and these are not row numbers. Write .parquet or .jsonl.")
        if len(rows):
            writer.write(rows.vectors, None if self._holds_only_vectors else rows)
        self._next += len(records)

    def finish(self) -> None:
        """Complete the file and give it its name."""
        if self._writer is not None:
            if self.exists():
                raise made_meanwhile(self._path)
            self._writer.finish()
        self._writer = None

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the file, finished or not; a link to it stays, as it was there before."""
        path = follow_link(self._path)
        path.unlink(missing_ok=True)
        shutil.rmtree(partial_folder(path), ignore_errors=True)

    def close(self) -> None:
        """Close an unfinished file; its rows are kept for a resumed migration."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        super().close()

    def _sink(self) -> type[Sink] | None:
        """Return the encoder of the format, ``None`` if a migration does not write it."""
        is_written = self._path.name.lower().endswith(_written_extensions())
        return find_sink(self._path)[0] if is_written else None

    @cached_property
    def _holds_only_vectors(self) -> bool:
        """Whether the format has no ids, so that they are row numbers."""
        sink = self._sink()
        return sink is not None and sink.columns == "none"

    @cached_property
    def _file(self) -> VectorFile:
        column = self.url.names[0] if self.url.names else None
        id_column = self.url.options.get("id")
        try:
            return open_vectors(self._path, column=column, id_column=id_column, skip_bad=self._bad_as_nan)
        except AmbiguousVectorsError as error:
            named = f"Name one in the address, {replace(self.url, names=('COLUMN',))}."
            raise InputError(
                error.args[0], named if error.kind == "column" else "Save that array as a file of its own."
            ) from error

    @cached_property
    def _ids(self) -> pa.Array | None:
        ids, name = self._file.ids(), str(self._file.id_name)
        if ids is None:
            return None
        elsewhere = replace(self.url, options={**self.url.options, "id": "COLUMN"})
        other = f"name another column of ids in the address, {elsewhere}"
        if self._file.schema is not None and is_marked_json(self._file.schema.field(name)):
            raise InputError(
                f"{self._path}: the ids in {name!r} are objects, lists or of mixed types; whole numbers or text are "
                f"needed. Convert them, or {other}."
            )
        ids = plain_ids(ids, name, str(self._path))
        if not (pa.types.is_integer(ids.type) or pa.types.is_string(ids.type)):
            raise InputError(f"{self._path}: the ids in {name!r} are {ids.type}; whole numbers or text are needed.")
        repeated = len(ids) - pc.count_distinct(ids).as_py()
        if repeated:
            is_repeated, are_repeated = f"in {name!r} is repeated", f"in {name!r} are repeated"
            raise InputError(
                f"{self._path}: {some_of(repeated, len(ids), 'id', is_repeated, are_repeated)}; a store keeps one row "
                f"per id, so rows would be lost. Make them distinct, or {other}."
            )
        return ids

    def _rows(self, size: int, start: int = 0) -> Iterator[Records]:
        yield from map(self._with_ids, self._file.batches(size, start=start))

    def _with_ids(self, records: Records) -> Records:
        """Return rows of the file with row numbers as ids where it has none."""
        ids = records.ids
        if self._ids is None:
            ids = pa.array(np.arange(records.start, records.start + len(records)))
        else:
            ids = plain_ids(ids, str(self._file.id_name), str(self._path))
        return replace(records, ids=ids)


@cache
def _written_extensions() -> tuple[str, ...]:
    """Return the extensions of the formats that hold ids and payload of any store, or none of them."""
    columns = {extension: find_sink(Path(extension))[0].columns for extension in EXTENSIONS}
    order = ("typed", "json", "none")
    return tuple(sorted((e for e in columns if columns[e] in order), key=lambda e: (order.index(columns[e]), e)))
