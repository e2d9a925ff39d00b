"""What every store can be asked: the contract that all adapters share and one test suite checks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.stores._records import Records
from interlingua.stores._url import StoreURL

Metric = Literal["cosine", "dot", "l2"]
# What a scan can be continued from: a value that JSON can hold, or None for the beginning.
Cursor = Any
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


@dataclass(frozen=True)
class Capabilities:
    """What a store can do.

    Attributes:
        payload: ``"typed"`` columns, free ``"documents"``, or ``"none"``.
        ids: kinds of id it keeps as they are: ``"int"``, ``"text"``.
        metrics: distances that a new collection can have.
        adds_vectors: a second vector can stand beside the first in the same collection.
        normalizes: vectors of cosine collections are brought to unit norm when stored.
        appends: rows are appended and not found by id; an interrupted copy continues behind the last one.
        rows_per_second: order of magnitude of writing 384 columns, index included (benchmarks/stores.py).
    """

    payload: Literal["typed", "documents", "none"]
    ids: tuple[Literal["int", "text"], ...]
    metrics: tuple[Metric, ...] = METRICS
    adds_vectors: bool = False
    normalizes: bool = False
    appends: bool = False
    rows_per_second: int = 5_000


@dataclass(frozen=True)
class StoreInfo:
    """What a collection was found to hold.

    Attributes:
        count: number of rows.
        d: width of the vectors.
        metric: the distance it is searched with, ``None`` where the store has no notion of one.
        normalized: whether the first rows have unit norm.
        id_type: Arrow type of the ids.
        schema: Arrow schema of the payload, ``None`` when there is none.
        vector_name: name of the vectors, ``None`` where they have none.
        dtype: of the vectors as stored.
        id_metadata: what a store of the same kind needs to make ids of the same type.
        nulls: rows without a vector, which ``count`` leaves out.
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
        metric: how they will be searched.
        id_type: Arrow type of the ids.
        schema: Arrow schema of the payload, ``None`` for no payload.
        count: how many rows will come.
        beside: add a vector to the collection that is there, instead of making a collection.
        id_name: name of the id column, where columns have names.
        job: tells the rows of one migration from another's.
        id_metadata: as in `StoreInfo`.
        triggers: whether triggers of the source's table fire or are skipped while a vector is written beside the old
            one; ``None`` where it has none.
    """

    d: int
    metric: Metric
    id_type: pa.DataType
    schema: pa.Schema | None
    count: int
    beside: bool = False
    id_name: str = "id"
    job: str = ""
    id_metadata: Mapping[bytes, bytes] | None = None
    triggers: Literal["fire", "skip"] | None = None


@dataclass(frozen=True, eq=False)
class Hits:
    """Nearest rows of one query, best first.

    Attributes:
        ids: [k] ids.
        scores: [k] float64, the larger the nearer: cosine, inner product or negative distance, by the store's metric.
    """

    ids: list[Any]
    scores: FloatArray


class Store(ABC):
    """One vector column, named vector or collection of a database, or one file.

    Opening checks the URL and the connection, and creates nothing. Reading needs only `info`, `scan`, `fetch` and
    `search`; writing goes `create`, `prepare`, `upsert` for every batch, `finish`.
    """

    capabilities: ClassVar[Capabilities]

    def __init__(self, url: StoreURL) -> None:
        self.url = url

    def restrict(self, *, where: str | None = None, skip_null: bool = False) -> None:
        """Read only some rows from now on.

        Args:
            where: a condition in the store's own language.
            skip_null: leave out rows without a vector; `skipped` gives their ids.

        Raises:
            InputError: this store cannot.
        """
        if where is not None or skip_null:
            argument = "skip_null=True" if where is None else "where=..."
            raise InputError(f"{self.url}: {type(self).__name__} cannot choose rows. Leave {argument} out.")

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the rows without a vector, at most ``size`` at a time."""
        return iter(())

    @abstractmethod
    def exists(self) -> bool:
        """Return whether the collection, with the named vector if one is named, is there."""

    @abstractmethod
    def info(self) -> StoreInfo:
        """Return what the collection holds.

        Raises:
            InputError: it is not there, is empty, or has no usable vectors or ids.
        """

    @abstractmethod
    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield all rows in an order that does not change, each page with the cursor behind it.

        Args:
            size: most rows in a page; equal sizes give equal pages.
            after: cursor of an earlier scan of the same size, to go on behind it.

        Raises:
            InputError: vectors or ids that are null, or vectors of several widths.
        """

    @abstractmethod
    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids, in their order.

        Raises:
            InputError: an id is not there.
        """

    @abstractmethod
    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Return for each query [q, d] its k nearest rows, fewer where the collection has fewer."""

    def check(self, spec: Spec) -> None:
        """Refuse a collection this store could not hold, before anything is made.

        Raises:
            InputError: ids, payload or metric do not fit.
        """
        name = type(self).__name__
        kind = "int" if pa.types.is_integer(spec.id_type) else "text"
        if kind not in self.capabilities.ids:
            raise InputError(
                f"{self.url}: the ids are {spec.id_type} and {name} keeps "
                f"{' or '.join(self.capabilities.ids)} ids only. "
                + ("Write them as text with ids_as_text=True." if kind == "int" else "Choose another target.")
            )
        if spec.metric not in self.capabilities.metrics:
            raise InputError(
                f"{self.url}: {name} has no metric {spec.metric!r}; choose from {', '.join(self.capabilities.metrics)}."
            )
        if spec.schema is not None and self.capabilities.payload == "none":
            raise InputError(
                f"{self.url}: {name} holds no payload and the source has {', '.join(spec.schema.names)}. "
                "Choose another target, or leave the payload out with drop_payload=True."
            )
        if spec.beside and not self.capabilities.adds_vectors:
            raise InputError(
                f"{self.url}: {name} cannot add a second vector to a collection. Name a new collection as the target."
            )

    def check_records(self, records: Records, spec: Spec) -> None:  # noqa: B027 - most stores take any
        """Refuse ids and payload of some rows before anything is made; the vectors are still the source's.

        Raises:
            InputError: a value the store cannot hold, with its column and id.
        """

    def notes(self, spec: Spec) -> tuple[str, ...]:
        """Return sentences for the plan: what the new collection costs others, and what its index cannot do."""
        return ()

    def triggers(self, spec: Spec) -> tuple[str, ...]:
        """Return names of the triggers in the source's collection that writing would fire."""
        return ()

    @abstractmethod
    def create(self, spec: Spec) -> None:
        """Make the empty collection, or the empty vector beside the others.

        Raises:
            OutputExistsError: the name is taken.
            InputError: a name the store does not allow.
        """

    def prepare(self, spec: Spec, committed: int) -> None:  # noqa: B027 - most stores need no preparation
        """Get ready for rows behind the first ``committed`` ones; called once a run, after `create`."""

    @abstractmethod
    def upsert(self, records: Records) -> None:
        """Write rows; they are durable on return, and the same id twice is one row.

        Raises:
            InputError: a value the store cannot hold; nothing of these rows was written.
        """

    @abstractmethod
    def finish(self) -> None:
        """Build the index, once all rows are there; safe to repeat."""

    @abstractmethod
    def drop(self, *, beside: bool = False) -> None:
        """Remove what `create` made and nothing else; nothing happens when it is not there.

        Args:
            beside: only the vector, as ``Spec.beside`` made it, and not its collection.
        """

    def close(self) -> None:  # noqa: B027 - files and Lance hold nothing open
        """Let go of connections."""

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()


def is_unit(vectors: FloatArray) -> bool:
    """Return whether rows [n, d] have unit norm, as far as float16 can tell."""
    norms = np.linalg.norm(np.asarray(vectors, np.float64), axis=1)
    return bool(len(norms) and np.abs(norms - 1).max() < 2e-3)


def to_text(ids: pa.Array) -> pa.Array:
    """Return ids as text."""
    return ids if pa.types.is_string(ids.type) else ids.cast(pa.string())
