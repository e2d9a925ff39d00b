"""``qdrant-edge:///folder#shard.vector``: Qdrant's engine in this process, with a shard in a folder of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import atomic_folder, check_parent, remove_folder, write_text
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.records import Records
from interlingua.stores._capabilities import Capabilities
from interlingua.stores._clients import SharedClientStore
from interlingua.stores._documents import CHANGED_IN_DOCUMENTS
from interlingua.stores._points import DISTANCES, Page, Parts, PointStore, VectorParameters, new_mark
from interlingua.stores._protocol import Spec
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits

__all__ = ["EdgeStore"]

# Names become names of folders inside the shard, with a prefix.
_NAME_BYTES = 200
# File in the folder of a shard with what migrations note there. The engine leaves files that it does not know.
_MARK = "interlingua-migration.json"


class EdgeStore(SharedClientStore, PointStore):
    """One vector of the points of a shard: the folder ``folder/shard``, which one process at a time can open."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "documents",
        ("int", "text"),
        adds_vectors=True,
        normalizes=True,
        reads_only=False,
        selects=("skip_null",),
        deletes=True,
        rows_per_second=1_000,
        refuses=("not_finite", "bytes", "duration"),
        changes=CHANGED_IN_DOCUMENTS,
        limits="ids are whole numbers from 0 or UUIDs",
    )
    _collection_noun = "shard"
    _limits = Limits("Qdrant Edge", most=2**64 - 1)
    _client_errors = (Exception,)  # the engine raises no narrower class, and gives the cause in the text only

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        for name in url.names:
            if name.strip(".") == "" or set(name) & set("/\\\0") or len(name.encode()) > _NAME_BYTES:
                raise InputError(
                    f"{url}: {name[:40]!r} cannot be the name of a folder, which Qdrant Edge makes of it. Choose "
                    "another name."
                )
        self._models = require("qdrant_edge", "qdrant-edge")
        self._folder = Path(url.path).resolve() / self._name
        self._key = ("qdrant-edge", str(self._folder))
        self._connect = lambda: _Shard(self._models, self._folder)

    @classmethod
    def files(cls, url: StoreURL) -> Path:
        """Return the folder of the shard."""
        return Path(url.path, *url.names[:1])

    def exists(self) -> bool:
        """Return whether the vector exists; the shard is not opened."""
        return self._vector in self._vectors()

    def check(self, spec: Spec) -> None:
        """Refuse a second vector without a name of its own, and a folder that is missing or taken."""
        super().check(spec)
        check_parent(self._folder)
        if self._folder.exists() and not self._shard_exists():
            raise OutputExistsError(f"{self._folder} exists and is not a shard; choose another name.")

    def is_taken(self, spec: Spec) -> bool:
        """Return whether the vector exists, or the shard where a new one is needed."""
        return self.exists() or (not spec.as_new_vector and self._folder.exists())

    def _create(self, spec: Spec) -> None:
        edge, distance = self._models, getattr(self._models.Distance, DISTANCES[spec.metric])
        if spec.as_new_vector:
            self._update(edge.UpdateOperation.create_dense_vector(self._vector, spec.d, distance))
            self._mark_vector(spec.job)
            return
        vectors = {self._vector: edge.EdgeVectorParams(spec.d, distance)}
        with atomic_folder(self._folder) as fresh:  # opening half a shard would fail
            edge.EdgeShard.create(str(fresh), edge.EdgeConfig(vectors=vectors)).close()
            Path(fresh, _MARK).write_text(json.dumps(new_mark(spec.job, self._vector)), "utf-8")

    def _mark(self) -> Mapping[str, Any]:
        """Return what migrations have noted in a file in the folder of the shard."""
        try:
            mark = json.loads((self._folder / _MARK).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return mark if isinstance(mark, dict) else {}  # or a file of something else

    def _write_mark(self, changed: Mapping[str, Any]) -> None:
        mark = {key: value for key, value in {**self._mark(), **changed}.items() if value is not None}
        if mark:
            write_text(self._folder / _MARK, json.dumps(mark))
        else:
            (self._folder / _MARK).unlink(missing_ok=True)

    def upsert(self, records: Records) -> None:
        """Write points and wait until they are on the disk."""
        # The engine keeps rows that it refuses in its log, so everything is checked before.
        d = self._parameters().d
        if records.vectors.shape[1] != d:
            raise InputError(
                f"{self.url} takes vectors of {d} values; these have {records.vectors.shape[1]}. Name another vector, "
                "or write those of its model."
            )
        super().upsert(records)

    def finish(self) -> None:
        """Build the graph, which the engine does only on request."""
        self._parameters()
        with self._errors("cannot be indexed"):
            self._shard.optimize()
            self._shard.flush()

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the named vector, or the shard with its folder."""
        with self._errors("cannot be dropped"):
            if not self.exists():
                return
            if vector_only:
                # First, so that a vector of someone else that gets the name later has no mark.
                self._unmark_vector()
                self._update(self._models.UpdateOperation.delete_vector_name(self._vector))
            else:
                self._client.close()
                remove_folder(self._folder)

    def _count(self, condition: Any) -> int:
        with self._errors("cannot be read"):
            return int(self._shard.count(self._models.CountRequest(filter=condition, exact=True)))

    def _scroll_page(self, limit: int, offset: Any, condition: Any = None, vectors: Any = False) -> Page:
        request = self._models.ScrollRequest(
            offset=offset, limit=limit, filter=condition, with_payload=bool(vectors), with_vector=vectors
        )
        page: Page = self._shard.scroll(request)
        return page

    def _retrieve(self, ids: list[Any]) -> list[Any]:
        points: list[Any] = self._shard.retrieve(ids, with_payload=True, with_vector=self._wanted_vectors)
        return points

    def _query(self, queries: FloatArray, k: int) -> list[list[Any]]:
        edge = self._models
        requests = [
            edge.QueryRequest(query=edge.Query.Nearest(query.tolist(), using=self._vector or None), limit=k)
            for query in queries
        ]
        results: list[list[Any]] = self._shard.query_batch(edge.QueryBatchRequest(requests))
        return results

    def _delete(self, ids: list[Any]) -> None:
        self._update(self._models.UpdateOperation.delete_points(ids))

    def _write(self, parts: Parts) -> None:
        edge, points = self._models, []
        for ids, vectors, documents in parts:
            for point_id, vector, document in zip(ids, vectors, documents, strict=True):
                named = {self._vector: vector} if self._vector else vector
                points.append(
                    edge.PointVectors(point_id, named) if self._fills_vector else edge.Point(point_id, named, document)
                )
        write = edge.UpdateOperation.update_vectors if self._fills_vector else edge.UpdateOperation.upsert_points
        self._update(write(points))

    def _update(self, operation: Any) -> None:
        self._shard.update(operation)
        self._shard.flush()

    @property
    def _shard(self) -> Any:
        """The shard of the engine; opening it changes its files."""
        return self._client.opened

    def _shard_exists(self) -> bool:
        return (self._folder / "segments").is_dir()

    def _has_vector(self) -> Any:
        return self._models.HasVectorCondition(self._vector)

    def _parameters(self) -> VectorParameters:
        if not self._shard_exists():
            folder = self._folder.parent
            raise self._missing(sorted(path.parent.name for path in folder.glob("*/segments")))
        vectors = self._vectors()
        if self._vector not in vectors:
            raise self._missing(vectors, "its vectors are")
        values = vectors[self._vector]
        dtype = str(values.get("datatype", "float32")).lower()
        return VectorParameters(int(values["size"]), values["distance"], "multivector_config" in values, dtype)

    def _vectors(self) -> dict[str, Any]:
        """Return the parameters of all vectors of the shard, by name."""
        if not self._shard_exists():
            return {}
        with self._errors("cannot be read"):
            config = self._folder / "edge_config.json"
            if not config.is_file():
                _ = self._shard  # a shard from a server's snapshot: the engine writes the file when it opens it
            vectors: dict[str, Any] = json.loads(config.read_text("utf-8"))["vectors"]
        return vectors

    def _reason(self, error: Exception) -> str:
        return super()._reason(error).removeprefix("Service runtime error: ")


class _Shard:
    """A shard that is opened on first use."""

    def __init__(self, edge: Any, folder: Path) -> None:
        self._edge, self._folder = edge, folder
        self._engine: Any = None

    @property
    def opened(self) -> Any:
        if self._engine is None:
            self._engine = self._edge.EdgeShard.load(os.fspath(self._folder))
        return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None
