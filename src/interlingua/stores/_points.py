"""Points of Qdrant: one vector of a collection, as its server, its embedded client and its edge engine keep it."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records
from interlingua.core.wording import count_of
from interlingua.stores._base import Adapter
from interlingua.stores._capabilities import Metric
from interlingua.stores._documents import from_documents
from interlingua.stores._marks import migration_mark, names_embedding, names_translation
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of

DISTANCES: dict[Metric, str] = {"cosine": "Cosine", "dot": "Dot", "l2": "Euclid"}
# Scores that are distances: the larger one is farther away.
_DISTANCE_SCORES = {"Euclid", "Manhattan"}
# Numbers come before UUIDs in the order of the ids; this is the first UUID.
_FIRST_UUID = "00000000-0000-0000-0000-000000000000"
# Field metadata of ids that are numbers and UUIDs, from which another collection gets both.
MIXED = {b"interlingua.qdrant.ids": b"mixed"}
_MIXED_NOTE = "The ids are numbers and UUIDs. Another Qdrant collection keeps both; any other target gets them as text."
# Digits of the largest id, 2**64 - 1.
_MOST_DIGITS = 20
_REQUEST_ROWS = 256
# What the mark of a collection holds: the migration that made it, and the names of the vectors that this and later ones
# translated or embedded.
_JOB, _TRANSLATED, _EMBEDDED = "migration", "vectors", "embedded"
# Ids, vectors and documents of some points.
Parts = Iterator[tuple[list[Any], list[list[float]], list[dict[str, Any]]]]
# Points, and the offset of the next ones or None.
Page = tuple[list[Any], Any]


@dataclass(frozen=True)
class VectorParameters:
    """Parameters of the vectors of one name.

    Attributes:
        d: width.
        distance: Qdrant's name of the metric.
        multiple: whether a point has several vectors of this name.
        dtype: of the vectors as stored.
    """

    d: int
    distance: str
    multiple: bool
    dtype: str = "float32"


class PointStore(Adapter):
    """One vector of the points of a collection; subclasses make the requests of their client.

    A subclass sets ``_models``, the module with the client's models, and ``_limits``, what a payload can hold.
    """

    _models: Any
    _limits: Limits

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._name = url.names[0]
        self._vector = url.names[1] if len(url.names) > 1 else ""

    def info(self) -> StoreInfo:
        """Return facts about the collection."""
        parameters = self._parameters()
        if parameters.multiple:
            raise InputError(f"{self.url} holds several vectors per point; one is needed. Name another vector.")
        points = self._count(None)
        count = self._count(self._with_vector()) if points else 0
        self._check_filled(count, points - count, "point")
        mixed = self._has_mixed_ids()
        first = self._records(next(self._scroll(256, self._with_vector(), None)), mixed)
        return self._describe(
            first,
            count,
            points - count,
            d=parameters.d,
            metric=metric_of(parameters.distance),
            vector_name=self._vector or None,
            dtype=parameters.dtype,
            id_metadata=MIXED if mixed else None,
            notes=(_MIXED_NOTE,) if mixed else (),
        )

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the points without the vector."""
        mixed = self._has_mixed_ids()
        for points in self._scroll(size, self._without_vector(), None, with_data=False):
            yield id_array(points, str(self.url), mixed=mixed)

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages in order of the id; the cursor is the last id."""
        self._parameters()
        mixed, condition = self._has_mixed_ids(), self._with_vector() if self._skip_null else None
        for points in self._scroll(size, condition, after):
            yield self._records(points, mixed), plain_id(points[-1].id, mixed=False)

    def fetch(self, ids: pa.Array) -> Records:
        """Return the points of these ids."""
        self._parameters()
        mixed = self._has_mixed_ids()
        values = point_ids(ids, str(self.url), mixed=mixed)
        with self._errors("cannot be read"):
            points = self._retrieve(values)
        return self._in_order(self._records(points, mixed) if points else None, ids)

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Search the graph, or every point if it has not been built."""
        distance, mixed = self._parameters().distance, self._has_mixed_ids()
        with self._errors("cannot be searched"):
            results = self._query(np.asarray(queries, np.float32), k)
        return [hits_of(points, distance, mixed=mixed) for points in results]

    def check(self, spec: Spec) -> None:
        """Refuse a second vector without a name of its own."""
        super().check(spec)
        if spec.as_new_vector and not self._vector:
            raise InputError(f"{self.url} names no vector to add; #{self._collection_noun}.vector is needed.")

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the mark of the migration that made the collection.

        A vector has none. The mark names vectors, but goes on naming one that someone else has removed and made again.
        """
        mark = self._mark()
        return None if vector_only or _JOB not in mark else migration_mark(mark[_JOB])

    def is_migrated(self) -> bool:
        """Return whether the mark of the collection names the vector as one that a migration translated."""
        return self._vector in self._marked_vectors(_TRANSLATED)

    def is_embedded(self) -> bool:
        """Return whether the mark of the collection names the vector as one that a migration made of texts."""
        return self._vector in self._marked_vectors(_EMBEDDED)

    def _marked_vectors(self, kind: str) -> set[str]:
        """Return the names of the vectors that migrations translated or embedded; some may have been removed since."""
        names = self._mark().get(kind)
        return set(names) if isinstance(names, list) else set()

    def _mark_vector(self, job: str) -> None:
        """Note which kind of migration writes the vector, which was added to an existing collection."""
        self._list_vector(_marked(job, self._vector))

    def _unmark_vector(self) -> None:
        """Note that no migration wrote the vector, or that it is removed."""
        self._list_vector({})

    def _list_vector(self, lists: Mapping[str, list[str]]) -> None:
        """Name the vector in these lists of the mark and in no other, in one request."""
        before = {kind: self._marked_vectors(kind) for kind in (_TRANSLATED, _EMBEDDED)}
        after = {kind: (names - {self._vector}) | set(lists.get(kind, ())) for kind, names in before.items()}
        changed = {kind: sorted(names) or None for kind, names in after.items() if names != before[kind]}
        if changed:
            self._write_mark(changed)

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse ids and payload that a point cannot have."""
        point_ids(records.ids, str(self.url), mixed=is_mixed(spec))
        if not spec.as_new_vector:
            documents_of(records, str(self.url), self._limits)

    def upsert(self, records: Records) -> None:
        """Write points, 256 per request, and wait until they are stored."""
        ids = point_ids(records.ids, str(self.url), mixed=is_mixed(self._spec))
        documents = documents_of(records, str(self.url), self._limits)
        with self._errors("did not take the rows"):
            parts = (slice(start, start + _REQUEST_ROWS) for start in range(0, len(ids), _REQUEST_ROWS))
            self._write(
                (ids[part], np.asarray(records.vectors[part], np.float32).tolist(), documents[part]) for part in parts
            )

    def delete(self, ids: pa.Array) -> None:
        """Delete points and wait until they are gone."""
        with self._errors("cannot be written"):
            self._delete(point_ids(ids, str(self.url), mixed=self._has_mixed_ids()))

    def _records(self, points: list[Any], mixed: bool) -> Records:
        d = self._parameters().d if self._bad_as_nan else None
        return records_of(points, self._vector, str(self.url), mixed=mixed, nan_width=d)

    def _scroll(self, size: int, condition: Any, after: Cursor, *, with_data: bool = True) -> Iterator[list[Any]]:
        offset, last_id = after, after
        while True:
            with self._errors("cannot be read"):
                limit = size + (last_id is not None)
                points, offset = self._scroll_page(limit, offset, condition, with_data and self._wanted_vectors)
            # The offset is inclusive, and the point that it names was read already.
            if points and plain_id(points[0].id, mixed=False) == last_id:
                points = points[1:]
            last_id = None
            if points:
                yield points
            if offset is None:
                return

    def _with_vector(self) -> Any:
        """Return the filter of the points that have the vector."""
        return self._models.Filter(must=[self._has_vector()])

    def _without_vector(self) -> Any:
        """Return the filter of the points that lack the vector."""
        return self._models.Filter(must_not=[self._has_vector()])

    def _has_mixed_ids(self) -> bool:
        """Return whether the ids are numbers and UUIDs."""
        with self._errors("cannot be read"):
            (first, _), (first_uuid, _) = (self._scroll_page(1, start) for start in (None, _FIRST_UUID))
        return bool(first_uuid) and isinstance(first[0].id, int)

    @property
    def _wanted_vectors(self) -> Any:
        return [self._vector] if self._vector else True

    @abstractmethod
    def _parameters(self) -> VectorParameters:
        """Return the parameters of the vector, or raise an `InputError` if there is no such vector."""

    @abstractmethod
    def _vectors(self) -> Mapping[str, Any]:
        """Return the parameters of all vectors of the collection, by name."""

    @abstractmethod
    def _mark(self) -> Mapping[str, Any]:
        """Return what migrations have noted in the collection: see `new_mark`."""

    @abstractmethod
    def _write_mark(self, changed: Mapping[str, Any]) -> None:
        """Change what migrations have noted in the collection; ``None`` removes an entry."""

    @abstractmethod
    def _has_vector(self) -> Any:
        """Return the condition that a point has the vector."""

    @abstractmethod
    def _count(self, condition: Any) -> int:
        """Return the number of points for which a filter holds."""

    @abstractmethod
    def _scroll_page(self, limit: int, offset: Any, condition: Any = None, vectors: Any = False) -> Page:
        """Return points in order of the id from ``offset`` on, with payload if with vectors, and the next offset."""

    @abstractmethod
    def _retrieve(self, ids: list[Any]) -> list[Any]:
        """Return the points of these ids, with vectors and payload."""

    @abstractmethod
    def _query(self, queries: FloatArray, k: int) -> list[list[Any]]:
        """Return the k nearest points of each query."""

    @abstractmethod
    def _delete(self, ids: list[Any]) -> None:
        """Delete the points of these ids."""

    @abstractmethod
    def _write(self, parts: Parts) -> None:
        """Write ids, vectors and documents part by part; only the vectors where `_fills_vector`."""


def new_mark(job: str, vector: str) -> dict[str, Any]:
    """Return what a migration notes in a collection that it makes: its job, and the names of the vectors it writes."""
    return {_JOB: job, **_marked(job, vector)}


def _marked(job: str, vector: str) -> dict[str, list[str]]:
    mark = migration_mark(job)
    kinds = {_TRANSLATED: names_translation(mark), _EMBEDDED: names_embedding(mark)}
    return {kind: [vector] for kind, is_kind in kinds.items() if is_kind}


def is_mixed(spec: Spec | None) -> bool:
    """Return whether the ids to write come from a collection that has numbers and UUIDs."""
    return spec is not None and (spec.id_metadata or {}).items() >= MIXED.items()


def metric_of(distance: str) -> Metric | None:
    """Return the metric behind Qdrant's name for it, ``None`` for Manhattan."""
    return next((metric for metric, name in DISTANCES.items() if name == distance), None)


def records_of(points: Sequence[Any], vector: str, where: str, *, mixed: bool, nan_width: int | None = None) -> Records:
    """Return points as rows.

    Args:
        points: with ``id``, ``vector`` and ``payload``.
        vector: name of the vectors, empty for those without a name.
        where: the address, for the message.
        mixed: as for `plain_id`.
        nan_width: width of the vectors of NaN that points without this vector get; ``None`` refuses them.

    Raises:
        InputError: points without this vector, or UUIDs among numbers that are not ``mixed``.
    """
    vectors = [
        (point.vector or {}).get(vector) if vector or isinstance(point.vector, dict) else point.vector
        for point in points
    ]
    missing = [point.id for point, values in zip(points, vectors, strict=True) if values is None]
    if missing and nan_width is not None:
        vectors = [[math.nan] * nan_width if values is None else values for values in vectors]
    elif missing:
        raise UnusableRowError(
            f"{where}: {count_of(len(missing), 'point')} without such a vector; the first is {missing[0]!r}."
        )
    documents = [point.payload or {} for point in points]
    return Records(id_array(points, where, mixed=mixed), np.asarray(vectors, np.float32), from_documents(documents))


def id_array(points: Sequence[Any], where: str, *, mixed: bool) -> pa.Array:
    """Return the ids of points: whole numbers, or text.

    Raises:
        InputError: UUIDs among numbers that are not ``mixed``: they were added after the collection was opened.
    """
    ids = [plain_id(point.id, mixed=mixed) for point in points]
    if len({type(value) for value in ids}) > 1:
        raise InputError(f"{where}: ids of another kind were added while it was read. Stop the writes.")
    return pa.array(ids, pa.uint64() if ids and isinstance(ids[0], int) else pa.string())


def plain_id(value: Any, *, mixed: bool) -> int | str:
    """Return the id of a point as a number or text; all are text in a collection that has numbers and UUIDs."""
    return value if isinstance(value, int) and not mixed else str(value)


def point_ids(ids: pa.Array, where: str, *, mixed: bool) -> list[Any]:
    """Return ids as Qdrant takes them.

    Args:
        ids: whole numbers or text.
        where: the address, for the message.
        mixed: whether whole numbers are written as text, because other ids are UUIDs.

    Raises:
        InputError: an id that is neither a whole number from 0 nor a UUID as Qdrant writes it.
    """
    values: list[Any] = ids.to_pylist()
    if mixed:
        values = [int(value) if _is_number(value) else value for value in values]
    check_ids(values, where)
    return values


def _is_number(value: Any) -> bool:
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        return False
    # Python converts no text of thousands of digits.
    return len(value) <= _MOST_DIGITS and str(int(value)) == value


def hits_of(points: Sequence[Any], distance: str, *, mixed: bool) -> Hits:
    """Return scored points as hits; a larger score is nearer, and ``mixed`` is as for `plain_id`."""
    scores: FloatArray = np.array([point.score for point in points], np.float64)
    return Hits(
        [plain_id(point.id, mixed=mixed) for point in points], -scores if distance in _DISTANCE_SCORES else scores
    )


def check_ids(ids: Sequence[Any], where: str) -> None:
    """Refuse ids that are neither whole numbers from 0 nor UUIDs as Qdrant writes them.

    Raises:
        InputError: an id is something else.
    """
    for value in ids:
        if isinstance(value, int):
            fits = 0 <= value < 2**64
        else:
            try:
                fits = str(UUID(value)) == value
            except ValueError:
                fits = False
        if not fits:
            is_text = " is text" if isinstance(value, str) and _is_number(value) else ""
            raise InputError(
                f"{where}: the id {shown(value)}{is_text}; Qdrant takes whole numbers from 0 to 2**64 - 1 and UUIDs "
                "only. Add a column of such ids to the source and name it in its address, ?id=COLUMN; the old ids are "
                "then copied as payload. Or choose another target."
            )
