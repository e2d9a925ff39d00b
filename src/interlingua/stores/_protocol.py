"""The contract of a store, which every adapter implements and one test suite checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._capabilities import Capabilities, Metric
from interlingua.stores._marks import migration_mark, names_embedding, names_translation
from interlingua.stores._url import StoreURL

if TYPE_CHECKING:
    import pyarrow as pa

# Position from which a scan can continue: a value that JSON can hold, or None for the first row.
Cursor = Any
# Of each file its size, the times of the last change of its content and of its inode in nanoseconds, and the inode.
FileFacts = dict[Path, tuple[int, int, int, int]]


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """Contents of a collection.

    Attributes:
        count: number of rows.
        d: width of the vectors.
        metric: distance of its searches, ``None`` if the store has none.
        normalized: whether the first rows have unit norm.
        id_type: Arrow type of the ids.
        schema: Arrow schema of the payload, ``None`` if there is no payload.
        vector_name: name of the vectors, ``None`` if they have none.
        dtype: of the vectors as stored.
        id_metadata: Arrow field metadata from which a store of the same kind makes ids of the same type.
        nulls: number of rows without a vector, which ``count`` leaves out.
        first_null: id of one of them, as text.
        notes: sentences for the plan, about what is read.
    """

    count: int
    d: int
    metric: Metric | None
    normalized: bool
    id_type: pa.DataType
    schema: pa.Schema | None = None
    vector_name: str | None = None
    dtype: str = "float32"
    id_metadata: Mapping[bytes, bytes] | None = None
    nulls: int = 0
    first_null: str | None = None
    notes: tuple[str, ...] = ()

    def identity(self) -> dict[str, Any]:
        """Return the facts that must not change while rows are copied, as plain values."""
        schema = None if self.schema is None else [f"{field.name}: {field.type}" for field in self.schema]
        return {"count": self.count, "d": self.d, "metric": self.metric, "ids": str(self.id_type), "payload": schema}


@dataclass(frozen=True)
class Spec:
    """The collection or vector to make.

    Attributes:
        d: width of the vectors.
        metric: distance of its searches.
        id_type: Arrow type of the ids.
        schema: Arrow schema of the payload, ``None`` for no payload.
        count: number of rows that will be written.
        as_new_vector: add a vector to an existing collection instead of making a collection.
        id_name: name of the id column, if the store names its columns.
        job: identifies the migration that writes the rows.
        id_metadata: as in `StoreInfo`.
        triggers: fire or skip the triggers of the source's table while a new column of it is written; ``None`` without.
        origin: words on what the vectors were made of, for a file that has room for them.
    """

    d: int
    metric: Metric
    id_type: pa.DataType
    schema: pa.Schema | None
    count: int
    as_new_vector: bool = False
    id_name: str = "id"
    job: str = ""
    id_metadata: Mapping[bytes, bytes] | None = None
    triggers: Literal["fire", "skip"] | None = None
    origin: Mapping[str, str] | None = None


@dataclass(frozen=True, eq=False)
class Hits:
    """Nearest rows of one query, best first.

    Attributes:
        ids: [k] ids.
        scores: [k] float64, larger for nearer rows: cosine, inner product or negative distance, by the store's metric.
    """

    ids: list[Any]
    scores: FloatArray


class Store(ABC):
    """One vector column, named vector or collection of a database, or one file.

    Opening checks the URL and the connection, and creates nothing. A subclass has a class attribute ``capabilities``
    and implements `exists`, `info`, `scan`, `fetch` and `search`. A target also implements `create`, `upsert`, `finish`
    and `drop`; a migration calls `create`, `prepare`, `upsert` for every batch, `finish`. It refuses other targets.
    """

    capabilities: ClassVar[Capabilities]
    # Whether the mark of a migration is looked for at the vector (True), at its collection (False), or at both.
    _marked_parts: ClassVar[tuple[bool, ...]] = (True, False)

    def __init__(self, url: StoreURL) -> None:
        self.url = url
        self._copy: TemporaryDirectory[str] | None = None
        # Facts of the files that were copied, if the store is read from a copy of them.
        self.copied_files: FileFacts | None = None
        self._where: str | None = None
        self._skip_null = self._bad_as_nan = False

    @property
    def reads_bad_as_nan(self) -> bool:
        """Whether vectors that cannot be used are read as they are or as NaN, as `restrict` chose."""
        return self._bad_as_nan

    @property
    def title(self) -> str:
        """The name of this kind of store in messages."""
        return self.url.kind.title

    @classmethod
    def files(cls, url: StoreURL) -> Path:
        """Return the file or folder of this machine in which the collection of an address is kept."""
        return Path(url.path)

    def read_from_copy(self, url: StoreURL, copy: TemporaryDirectory[str], files: FileFacts) -> None:
        """Name the store by the address that it is a copy of, and remove the copy when it is closed."""
        self.url, self._copy, self.copied_files = url, copy, files

    def restrict(self, *, where: str | None = None, skip_null: bool = False, bad_as_nan: bool = False) -> None:
        """Read only some rows from now on.

        Args:
            where: a condition in the store's own language.
            skip_null: leave out rows without a vector; `skipped` gives their ids.
            bad_as_nan: read vectors that are null, or have null values or another width, as NaN instead of refusing
                them. A file leaves out lines that it cannot read, which `skipped` names.

        Raises:
            InputError: this store cannot select rows.
        """
        if where is not None and "where" not in self.capabilities.selects:
            raise InputError(f"{self.url}: {self.title} cannot select rows.", "Leave {where=...} out.")
        if skip_null and "skip_null" not in self.capabilities.selects:
            raise InputError(
                f"{self.url}: {self.title} cannot select rows.",
                "Leave {skip_null} out. In a migration, {skip_bad} leaves out rows without a vector, too.",
            )
        self._where, self._skip_null, self._bad_as_nan = where, skip_null, bad_as_nan

    def since(self, column: str, value: str) -> str:
        """Return the condition, in the store's own language, that a column is at least a value.

        Raises:
            InputError: this store cannot select rows, or there is no such column.
        """
        raise InputError(f"{self.url}: {self.title} cannot select rows.", "Leave {since=...} out.")

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the rows that `restrict` leaves out, at most ``size`` at a time."""
        return iter(())

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the collection exists and has the named vector, if the address names one."""

    def is_taken(self, spec: Spec) -> bool:
        """Return whether what `create` would make, or something else of its name, exists."""
        return self.exists()

    @abstractmethod
    def info(self) -> StoreInfo:
        """Return facts about the collection.

        Raises:
            InputError: it does not exist, is empty, or has no usable vectors or ids.
        """

    @abstractmethod
    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield all rows in an order that does not change, each page with the cursor of the next.

        Args:
            size: most rows in a page; equal sizes give equal pages.
            after: cursor of an earlier scan of the same size; the scan continues after it.

        Raises:
            InputError: vectors or ids that are null, or vectors of several widths.
        """

    @abstractmethod
    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids, in their order.

        Raises:
            InputError: there is no row of some id.
        """

    @abstractmethod
    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Return for each query [q, d] its k nearest rows, fewer where the collection has fewer."""

    def check(self, spec: Spec) -> None:
        """Refuse a collection that this store could not hold, before anything is made.

        Raises:
            InputError: the store is only read, or ids, payload or metric do not fit.
        """
        import pyarrow as pa

        if type(self).create is Store.create:
            raise self._only_read()
        kind = "int" if pa.types.is_integer(spec.id_type) else "text"
        if kind not in self.capabilities.ids:
            raise InputError(
                f"{self.url}: the ids are {spec.id_type} and {self.title} keeps "
                f"{' or '.join(self.capabilities.ids)} ids only.",
                "Write them as text with {ids_as_text}." if kind == "int" else "Choose another target.",
            )
        if spec.metric not in self.capabilities.metrics:
            raise InputError(
                f"{self.url}: {self.title} has no metric {spec.metric!r}; choose from "
                f"{', '.join(self.capabilities.metrics)}."
            )
        if spec.schema is not None and self.capabilities.payload == "none":
            raise InputError(
                f"{self.url}: {self.title} holds no payload and the source has {', '.join(spec.schema.names)}.",
                "Choose another target, or leave the payload out with {drop_payload}.",
            )
        if spec.as_new_vector and not self.capabilities.adds_vectors:
            raise InputError(
                f"{self.url}: {self.title} cannot add a second vector to a collection.",
                "Name a new collection as the target.",
            )

    def check_records(self, records: Records, spec: Spec) -> None:  # noqa: B027 - most stores accept any
        """Refuse ids and payload of some rows before anything is made; the vectors are still the source's.

        Raises:
            InputError: a value that the store cannot hold, with its column and id.
        """

    def check_translated(self, vectors: FloatArray, spec: Spec) -> None:  # noqa: B027 - most stores accept any
        """Refuse translations [n, d] of the first rows before anything is made.

        Raises:
            InputError: vectors that the store cannot hold.
        """

    def notes(self, spec: Spec) -> tuple[str, ...]:
        """Return sentences for the plan: the costs of the new collection to others, and the limits of its index."""
        return ()

    def kept(self, field: pa.Field) -> pa.Field:
        """Return a payload column as it would be read from this store again: another type is named in the plan."""
        from interlingua.stores._documents import document_field, is_json

        if self.capabilities.payload == "documents":
            return document_field(field)
        return field if is_json(field) else field.remove_metadata()

    def triggers(self, spec: Spec) -> tuple[str, ...]:
        """Return the names of the triggers in the source's collection that writing would fire."""
        return ()

    def create(self, spec: Spec) -> None:
        """Make the empty collection, or an empty vector in an existing collection.

        Raises:
            OutputExistsError: the name is taken.
            InputError: a name the store does not allow.
        """
        raise self._only_read()

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return a mark of the collection that `create` made, which a later one of the same name does not have.

        Args:
            vector_only: of the vector, which ``Spec.as_new_vector`` made, instead of its collection.

        Returns:
            a phrase that stays the same as long as the collection exists, ``None`` if it has no such mark.
        """
        return None

    def migration(self, *, vector_only: bool = False) -> str | None:
        """Return the mark of the migration that translated the vectors, ``None`` if there is none.

        Vectors that a migration embedded have none. The mark names the job, which is the fingerprint of the translator
        and the time. The journal has the rest.

        Args:
            vector_only: of the vector, which ``Spec.as_new_vector`` made, instead of its collection.
        """
        mark = self._migration_mark(vector_only=vector_only)
        return mark if names_translation(mark) else None

    def is_made_by(self, job: str) -> bool:
        """Return whether a mark says that the migration of this job made the vectors or their collection."""
        return any(self._migration_mark(vector_only=part) == migration_mark(job) for part in self._marked_parts)

    def _migration_mark(self, *, vector_only: bool) -> str | None:
        """Return the mark of the migration that made the vectors, or anything else that names none."""
        # Another mark tells a collection only from a later one of its name.
        return self.creation(vector_only=vector_only)

    def is_migrated(self) -> bool:
        """Return whether a mark says that a migration translated these vectors; not every store keeps one.

        A store that can tell them from vectors that someone else has added to the collection since overrides this.
        """
        return any(self.migration(vector_only=vector_only) is not None for vector_only in self._marked_parts)

    def is_embedded(self) -> bool:
        """Return whether a mark says that a model made these vectors of texts, in `interlingua embed`."""
        return any(names_embedding(self._migration_mark(vector_only=part)) for part in self._marked_parts)

    def unfinished(self) -> str | None:
        """Return ``Spec.job`` of rows that were written for a target that is not complete yet, ``None`` without any."""
        return None

    def prepare(self, spec: Spec, committed: int) -> None:  # noqa: B027 - most stores need no preparation
        """Get ready to write the rows after the first ``committed``; called once in each run, after `create`."""

    def upsert(self, records: Records) -> None:
        """Write rows; they are durable on return, and a row with an existing id replaces it.

        Raises:
            InputError: a value the store cannot hold; nothing of these rows was written.
        """
        raise self._only_read()

    def finish(self) -> None:
        """Build the index after all rows have been written; safe to repeat."""
        raise self._only_read()

    def delete(self, ids: pa.Array) -> None:
        """Delete the rows of these ids; an id of no row is ignored. The deletion is durable on return.

        Raises:
            InputError: this store cannot delete rows.
        """
        raise InputError(f"{self.url}: {self.title} cannot delete rows.", "Leave {delete_vanished} out.")

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove what `create` made and nothing else; do nothing if it does not exist.

        Args:
            vector_only: remove only the vector, which ``Spec.as_new_vector`` made, and keep its collection.
        """
        raise self._only_read()

    def _only_read(self) -> InputError:
        return InputError(f"{self.url}: {self.title} is only read, not written to.", "Choose another target.")

    def close(self) -> None:
        """Close connections and files."""
        if self._copy is not None:
            self._copy.cleanup()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()
