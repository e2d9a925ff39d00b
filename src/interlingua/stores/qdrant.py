"""``qdrant:///folder#collection`` or ``qdrant://host:6333#collection.vector``: Qdrant, embedded or a server."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import Records
from interlingua.stores._clients import SharedClientStore, first_line
from interlingua.stores._points import (
    DISTANCES,
    FIRST_UUID,
    MIXED,
    MIXED_NOTE,
    hits_of,
    id_array,
    is_mixed,
    metric_of,
    none_of,
    point_ids,
    records_of,
)
from interlingua.stores._protocol import Capabilities, Cursor, Hits, Spec, StoreInfo, is_unit
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of

__all__ = ["QdrantStore"]

_REQUEST_ROWS = 256


class QdrantStore(SharedClientStore):
    """One vector of the points of a collection. The embedded kind keeps its points as pickles: open only your own."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "documents", ("int", "text"), adds_vectors=True, normalizes=True, rows_per_second=500
    )

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if not 1 <= len(url.names) <= 2:
            raise InputError(f"{url} names no collection; qdrant://host:6333#collection[.vector] is needed.")
        qdrant = require("qdrant_client", "qdrant")
        self._models = qdrant.models
        self._http = require("qdrant_client.http.exceptions", "qdrant")
        self._collection = url.names[0]
        self._vector = url.names[1] if len(url.names) > 1 else ""
        self._key = ("qdrant", url.host, url.port, url.options.get("prefix") or str(Path(url.path).resolve()))
        self._spec: Spec | None = None
        self._skip_null = False
        # The embedded kind keeps any Python number; a server takes what JSON can write.
        self._limits = Limits("Qdrant", most=2**64 - 1, finite=bool(url.host))
        if url.host:
            secure = url.options.get("https", "") in {"1", "true"}

            def connect() -> Any:
                key = os.environ.get("QDRANT_API_KEY")
                prefix = url.options.get("prefix", "").strip("/") or None
                return qdrant.QdrantClient(
                    host=url.host, port=url.port or 6333, prefix=prefix, https=secure, api_key=key, timeout=60
                )
        else:

            def connect() -> Any:
                return qdrant.QdrantClient(path=url.path)

        self._connect = connect

    def exists(self) -> bool:
        """Return whether the vector is there."""
        if not self._has_database():
            return False
        with self._errors("cannot be reached"):
            if not self._client.collection_exists(self._collection):
                return False
        return self._vector in self._vectors()

    def info(self) -> StoreInfo:
        """Return what the collection holds."""
        self._check_there()
        found = self._vectors()[self._vector]
        with self._errors("cannot be read"):
            count = self._client.count(self._collection, exact=True).count
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed.")
        if found.multivector_config:
            raise InputError(f"{self.url} holds several vectors a point; one is needed.")
        with self._errors("cannot be read"):
            filled = self._client.count(self._collection, count_filter=self._filled(True), exact=True).count
        if not filled:
            raise InputError(f"{self.url} is empty: none of its {count} points has this vector.")
        mixed = self._mixed()
        first = self._records(next(self._scroll(256, self._filled(True), None)), mixed)
        return StoreInfo(
            count=filled,
            d=found.size,
            metric=metric_of(found.distance.value),
            normalized=is_unit(first.vectors),
            id_type=first.ids.type,
            schema=None if first.payload is None else first.payload.schema,
            vector_name=self._vector or None,
            id_metadata=MIXED if mixed else None,
            nulls=count - filled,
            first_null=repr(next(self.skipped(1))[0].as_py()) if count > filled else None,
            notes=(MIXED_NOTE,) if mixed else (),
        )

    def restrict(self, *, where: str | None = None, skip_null: bool = False) -> None:
        """Leave out points without the vector; there is no language for conditions in an address."""
        super().restrict(where=where)
        self._skip_null = skip_null

    def skipped(self, size: int) -> Iterator[pa.Array]:
        """Yield the ids of the points without the vector."""
        mixed = self._mixed()
        for points in self._scroll(size, self._filled(False), None, vectors=False):
            yield id_array(points, str(self.url), mixed=mixed)

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages in order of the id; the cursor is the last id."""
        self._check_there()
        mixed, chosen = self._mixed(), self._filled(True) if self._skip_null else None
        for points in self._scroll(size, chosen, after):
            yield self._records(points, mixed), points[-1].id

    def fetch(self, ids: pa.Array) -> Records:
        """Return the points of these ids."""
        self._check_there()
        mixed = self._mixed()
        wanted = point_ids(ids, str(self.url), mixed=mixed)
        with self._errors("cannot be read"):
            points = self._client.retrieve(self._collection, wanted, with_payload=True, with_vectors=self._asked)
        return (self._records(points, mixed) if points else none_of(ids)).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Ask the index."""
        hits, mixed, distance = [], self._mixed(), self._vectors()[self._vector].distance.value
        for query in np.asarray(queries, np.float32):
            with self._errors("cannot be searched"):
                found = self._client.query_points(
                    self._collection, query=query.tolist(), using=self._vector or None, limit=k, with_payload=False
                ).points
            hits.append(hits_of(found, distance, mixed=mixed))
        return hits

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse ids and payload that a point cannot have."""
        point_ids(records.ids, str(self.url), mixed=is_mixed(spec))
        if not spec.beside:
            documents_of(records, str(self.url), self._limits)

    def create(self, spec: Spec) -> None:
        """Make the collection without its graph, or a named vector in it."""
        self.check(spec)
        if self.exists() or (not spec.beside and self._client.collection_exists(self._collection)):
            raise OutputExistsError(f"{self.url} exists; choose another name or drop it first.")
        models = self._models
        distance = models.Distance(DISTANCES[spec.metric])
        with self._errors("cannot be created"), self._one_commit():
            if spec.beside:
                dense = models.DenseVectorConfig(size=spec.d, distance=distance)
                self._client.create_vector_name(
                    self._collection, self._vector, models.DenseVectorNameConfig(dense=dense)
                )
                return
            params = models.VectorParams(size=spec.d, distance=distance)
            # A graph that grows with every batch costs more than one built at the end.
            self._client.create_collection(
                self._collection,
                vectors_config={self._vector: params} if self._vector else params,
                hnsw_config=models.HnswConfigDiff(m=0),
            )

    def check(self, spec: Spec) -> None:
        """Refuse a second vector without a name of its own."""
        super().check(spec)
        if spec.beside and not self._vector:
            raise InputError(f"{self.url} names no vector to add; #collection.vector is needed.")

    def prepare(self, spec: Spec, committed: int) -> None:
        """Remember whether points are written or a vector of theirs."""
        self._spec = spec

    def upsert(self, records: Records) -> None:
        """Write points, 256 a request, and wait until they are stored."""
        ids = point_ids(records.ids, str(self.url), mixed=is_mixed(self._spec))
        documents = documents_of(records, str(self.url), self._limits)
        vectors = np.asarray(records.vectors, np.float32).tolist()
        models, beside = self._models, self._spec is not None and self._spec.beside
        with self._errors("did not take the rows"), self._one_commit():
            for start in range(0, len(ids), _REQUEST_ROWS):
                part = slice(start, start + _REQUEST_ROWS)
                if beside:
                    named = zip(ids[part], vectors[part], strict=True)
                    points = [models.PointVectors(id=i, vector={self._vector: v}) for i, v in named]
                    self._client.update_vectors(self._collection, points, wait=True)
                else:
                    rows = {self._vector: vectors[part]} if self._vector else vectors[part]
                    batch = models.Batch(ids=ids[part], vectors=rows, payloads=documents[part])
                    self._client.upsert(self._collection, batch, wait=True)

    def finish(self) -> None:
        """Switch the graph on and wait until it is built."""
        if not self.url.host:
            return  # embedded search is exact
        with self._errors("cannot be indexed"):
            self._client.update_collection(self._collection, hnsw_config=self._models.HnswConfigDiff(m=16))
            while self._client.get_collection(self._collection).status.value == "yellow":
                time.sleep(0.5)

    def drop(self, *, beside: bool = False) -> None:
        """Remove the named vector, or the collection."""
        if not self._has_database():
            return
        with self._errors("cannot be dropped"), self._one_commit():
            if beside and self.exists():
                self._client.delete_vector_name(self._collection, self._vector)
            elif not beside and self._client.collection_exists(self._collection):
                self._client.delete_collection(self._collection)

    def _has_database(self) -> bool:
        """Return False for a folder without a database, in which the embedded client would make one."""
        return bool(self.url.host) or (Path(self.url.path) / "meta.json").is_file()

    @property
    def _asked(self) -> Any:
        return [self._vector] if self._vector else True

    def _check_there(self) -> None:
        if not self.exists():
            known: list[str] = []
            if self._has_database():
                with self._errors("cannot be reached"):
                    known = sorted(found.name for found in self._client.get_collections().collections)
            named = ", ".join(f"{name or '(unnamed)'}" for name in self._vectors()) if self._collection in known else ""
            hint = f"its vectors are: {named}" if named else f"collections are: {', '.join(known) or 'none'}"
            raise InputError(f"{self.url} is not there; {hint}.")

    def _vectors(self) -> dict[str, Any]:
        with self._errors("cannot be read"):
            config = self._client.get_collection(self._collection).config.params.vectors
        return config if isinstance(config, dict) else {"": config} if config else {}

    def _records(self, points: list[Any], mixed: bool) -> Records:
        return records_of(points, self._vector, str(self.url), mixed=mixed)

    def _scroll(self, size: int, chosen: Any, after: Cursor, *, vectors: bool = True) -> Iterator[list[Any]]:
        offset, read = after, after
        while True:
            with self._errors("cannot be read"):
                points, offset = self._client.scroll(
                    self._collection,
                    scroll_filter=chosen,
                    limit=size + (read is not None),
                    offset=offset,
                    with_payload=vectors,
                    with_vectors=self._asked if vectors else False,
                )
            # The offset is inclusive, and the point that it names was read already.
            if points and points[0].id == read:
                points = points[1:]
            read = None
            if points:
                yield points
            if offset is None:
                return

    def _filled(self, filled: bool) -> Any:
        """Return the filter of the points that have the vector, or of those that lack it."""
        condition = [self._models.HasVectorCondition(has_vector=self._vector)]
        return self._models.Filter(must=condition) if filled else self._models.Filter(must_not=condition)

    def _mixed(self) -> bool:
        """Return whether the ids are numbers and UUIDs."""
        with self._errors("cannot be read"):
            ends = [
                self._client.scroll(self._collection, limit=1, offset=at, with_payload=False)[0]
                for at in (None, FIRST_UUID)
            ]
        return bool(ends[1]) and isinstance(ends[0][0].id, int)

    @contextmanager
    def _one_commit(self) -> Iterator[None]:
        """Let the embedded client write many points in one transaction; it makes one of every point, a sync each."""
        collections = getattr(getattr(self._client, "_client", None), "collections", {})
        storage = getattr(collections.get(self._collection), "storage", None)
        connection = getattr(storage, "storage", None)
        if storage is None or not isinstance(connection, sqlite3.Connection):
            yield  # a server, or a client that keeps its points in another way
            return
        storage.storage = _Uncommitted(connection)
        try:
            yield
        finally:
            storage.storage = connection
            # After an error too: what the client holds in memory and what lies on the disk stay the same.
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed, as its collection was dropped
                connection.commit()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (self._http.ResponseHandlingException, ConnectionError) as error:
            raise InterlinguaError(f"{self.url} {what}: {first_line(error)[:300]}. Is the server up?") from error
        except (self._http.UnexpectedResponse, ValueError, RuntimeError, sqlite3.Error) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.url} {what}: {first_line(error)[:300]}") from error


class _Uncommitted:
    """A connection whose ``with`` neither commits nor rolls back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *error: object) -> None:
        return None
