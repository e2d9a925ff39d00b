"""``qdrant:///folder#collection`` or ``qdrant://host:6333#collection.vector``: Qdrant, embedded or a server."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from interlingua.core.arrays import FloatArray, require
from interlingua.stores._capabilities import Capabilities
from interlingua.stores._clients import CollectionStore
from interlingua.stores._documents import CHANGED_IN_DOCUMENTS
from interlingua.stores._names import NameRule
from interlingua.stores._points import DISTANCES, Page, Parts, PointStore, VectorParameters, new_mark
from interlingua.stores._protocol import Spec
from interlingua.stores._unpickling import points_only
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits

__all__ = ["QdrantStore"]

# Names become names of folders.
_NO_PATH = r'with none of < > : " / \ | ? *, no control characters and not only one or two dots'
_IN_PATH = r'(?!\.{1,2}$)[^<>:"/\\|?*\x00-\x1f]'
# Beginning of the keys, in the metadata of a collection, of what migrations note there.
_MARK = "interlingua_"


class QdrantStore(CollectionStore, PointStore):
    """One vector of the points of a collection. The embedded kind keeps its points as pickles: open only your own."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "documents",
        ("int", "text"),
        adds_vectors=True,
        # Opening a folder written by an older client deletes its duplicate points.
        reads_only=False,
        normalizes=True,
        selects=("skip_null",),
        deletes=True,
        rows_per_second=500,
        refuses=("bytes", "duration"),
        changes=CHANGED_IN_DOCUMENTS,
        limits="ids are whole numbers from 0 or UUIDs; a server refuses NaN and infinity in the payload",
    )

    _database_file = "meta.json"
    _collection_rule = NameRule(f"1 to 255 characters, {_NO_PATH}, are", rf"{_IN_PATH}{{1,255}}")
    _vector_rule = NameRule(f"1 to 200 bytes, {_NO_PATH}, are", rf"{_IN_PATH}+", 200)

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        qdrant = require("qdrant_client", "qdrant")
        self._models = qdrant.models
        http = require("qdrant_client.http.exceptions", "qdrant")
        self._outages = (http.ResponseHandlingException, ConnectionError)
        self._client_errors = (*self._outages, http.UnexpectedResponse, ValueError, RuntimeError, sqlite3.Error)
        self._key = ("qdrant", url.host, url.port, url.options.get("prefix") or str(Path(url.path).resolve()))
        # The embedded kind keeps any Python number; a server takes what JSON can write.
        self._limits = Limits("Qdrant", most=2**64 - 1, finite=bool(url.host))

        def connect() -> Any:
            if not url.host:
                with points_only():
                    return qdrant.QdrantClient(path=url.path)
            return qdrant.QdrantClient(
                host=url.url_host,
                port=url.port or 6333,
                prefix=url.options.get("prefix", "").strip("/") or None,
                https=url.uses_https,
                api_key=os.environ.get("QDRANT_API_KEY"),
                timeout=60,
                # It asks in a thread of its own, which warns at any time if the server cannot be reached.
                check_compatibility=False,
            )

        self._connect = connect

    def exists(self) -> bool:
        """Return whether the vector exists."""
        return self._has_collection() and self._vector in self._vectors()

    def is_taken(self, spec: Spec) -> bool:
        """Return whether the vector exists, or the collection where a new one is needed."""
        return self.exists() or (not spec.as_new_vector and self._has_collection())

    def _create(self, spec: Spec) -> None:
        models, distance = self._models, self._models.Distance(DISTANCES[spec.metric])
        with self._one_commit():
            if spec.as_new_vector:
                dense = models.DenseVectorConfig(size=spec.d, distance=distance)
                self._client.create_vector_name(self._name, self._vector, models.DenseVectorNameConfig(dense=dense))
                self._mark_vector(spec.job)
                return
            params = models.VectorParams(size=spec.d, distance=distance)
            # A graph that grows with every batch costs more than one built at the end.
            self._client.create_collection(
                self._name,
                vectors_config={self._vector: params} if self._vector else params,
                hnsw_config=models.HnswConfigDiff(m=0),
                metadata=_as_metadata(new_mark(spec.job, self._vector)),
            )

    def _mark(self) -> Mapping[str, Any]:
        """Return what migrations have noted in the metadata of the collection, which an old server does not keep."""
        with self._errors("cannot be read"):
            metadata = self._client.get_collection(self._name).config.metadata or {}
        return {key.removeprefix(_MARK): value for key, value in metadata.items() if key.startswith(_MARK)}

    def _write_mark(self, changed: Mapping[str, Any]) -> None:
        self._client.update_collection(self._name, metadata=_as_metadata(changed))

    def finish(self) -> None:
        """Enable the graph and wait until it is built."""
        if not self.url.host:
            return  # embedded search is exact
        with self._errors("cannot be indexed"):
            self._client.update_collection(self._name, hnsw_config=self._models.HnswConfigDiff(m=16))
            while self._client.get_collection(self._name).status.value == "yellow":
                time.sleep(0.5)

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the named vector, or the collection."""
        if not self.exists():
            return
        with self._errors("cannot be dropped"), self._one_commit():
            if vector_only:
                # First, so that a vector of someone else that gets the name later has no mark.
                self._unmark_vector()
                self._client.delete_vector_name(self._name, self._vector)
            else:
                self._client.delete_collection(self._name)

    def _find_collection(self) -> bool:
        return bool(self._client.collection_exists(self._name))  # also by an alias

    def _collections(self) -> list[str]:
        return [collection.name for collection in self._client.get_collections().collections]

    def _parameters(self) -> VectorParameters:
        self._check_collection()
        vectors = self._vectors()
        if self._vector not in vectors:
            raise self._missing(vectors, "its vectors are")
        values = vectors[self._vector]
        return VectorParameters(values.size, values.distance.value, bool(values.multivector_config))

    def _vectors(self) -> dict[str, Any]:
        """Return the parameters of all vectors of the collection, by name."""
        with self._errors("cannot be read"):
            config = self._client.get_collection(self._name).config.params.vectors
        return config if isinstance(config, dict) else {"": config} if config else {}

    def _has_vector(self) -> Any:
        return self._models.HasVectorCondition(has_vector=self._vector)

    def _count(self, condition: Any) -> int:
        with self._errors("cannot be read"):
            return int(self._client.count(self._name, count_filter=condition, exact=True).count)

    def _scroll_page(self, limit: int, offset: Any, condition: Any = None, vectors: Any = False) -> Page:
        page: Page = self._client.scroll(
            self._name, condition, limit, offset=offset, with_payload=bool(vectors), with_vectors=vectors
        )
        return page

    def _retrieve(self, ids: list[Any]) -> list[Any]:
        points: list[Any] = self._client.retrieve(self._name, ids, with_payload=True, with_vectors=self._wanted_vectors)
        return points

    def _query(self, queries: FloatArray, k: int) -> list[list[Any]]:
        using = self._vector or None
        return [
            self._client.query_points(self._name, query=query.tolist(), using=using, limit=k, with_payload=False).points
            for query in queries
        ]

    def _delete(self, ids: list[Any]) -> None:
        with self._one_commit():
            self._client.delete(self._name, self._models.PointIdsList(points=ids), wait=True)

    def _write(self, parts: Parts) -> None:
        models = self._models
        with self._one_commit():
            for ids, vectors, documents in parts:
                if self._fills_vector:
                    pairs = zip(ids, vectors, strict=True)
                    points = [models.PointVectors(id=i, vector={self._vector: vector}) for i, vector in pairs]
                    self._client.update_vectors(self._name, points, wait=True)
                else:
                    named = {self._vector: vectors} if self._vector else vectors
                    batch = models.Batch(ids=ids, vectors=named, payloads=documents)
                    self._client.upsert(self._name, batch, wait=True)

    @contextmanager
    def _one_commit(self) -> Iterator[None]:
        """Make the embedded client write many points in one transaction; by itself it commits each point."""
        collections = getattr(getattr(self._client, "_client", None), "collections", {})
        storage = getattr(collections.get(self._name), "storage", None)
        connection = getattr(storage, "storage", None)
        if storage is None or not isinstance(connection, sqlite3.Connection):
            yield  # a server, or a client that does not keep its points in SQLite
            return
        storage.storage = _Uncommitted(connection)
        try:
            yield
        finally:
            storage.storage = connection
            # After an error too: the client keeps the points in memory and on the disk the same.
            with contextlib.suppress(sqlite3.ProgrammingError):  # closed, as its collection was dropped
                connection.commit()

    def _is_outage(self, error: Exception) -> bool:
        return isinstance(error, self._outages)

    def _reason(self, error: Exception) -> str:
        return f"{super()._reason(error)}. Is the server up?" if self._is_outage(error) else super()._reason(error)


def _as_metadata(mark: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{_MARK}{key}": value for key, value in mark.items()}


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
