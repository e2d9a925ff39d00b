"""``qdrant-edge:///folder#shard.vector``: Qdrant's engine in this process, with a shard in a folder of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import atomic_folder, remove_folder
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import Records
from interlingua.stores._clients import acquire, first_line, release
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
    plain_id,
    point_ids,
    records_of,
)
from interlingua.stores._protocol import Capabilities, Cursor, Hits, Spec, Store, StoreInfo, is_unit
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of

__all__ = ["EdgeStore"]

# Names become names of folders inside the shard, with a prefix.
_NAME_BYTES = 200
_LIMITS = Limits("Qdrant Edge", most=2**64 - 1)
_POINTS_ROWS = 256


class EdgeStore(Store):
    """One vector of the points of a shard: the folder ``folder/shard``, which one process at a time can open."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "documents", ("int", "text"), adds_vectors=True, normalizes=True, reads_only=False, rows_per_second=1_000
    )

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if not 1 <= len(url.names) <= 2 or url.host:
            raise InputError(f"{url} names no shard; qdrant-edge:///folder#shard[.vector] is needed.")
        for name in url.names:
            if name.strip(".") == "" or set(name) & set("/\\\0") or len(name.encode()) > _NAME_BYTES:
                raise InputError(f"{url}: {name[:40]!r} cannot be the name of a folder, which Qdrant Edge makes of it.")
        self._edge = require("qdrant_edge", "qdrant-edge")
        self._folder = Path(url.path).resolve() / url.names[0]
        self._vector = url.names[1] if len(url.names) > 1 else ""
        self._spec: Spec | None = None
        self._skip_null = False
        self._key = ("qdrant-edge", str(self._folder))
        # Stores of one shard share it, since it can be opened once only; it is opened when it is first asked.
        self._shard: _Shard = acquire(self._key, lambda: _Shard(self._edge, self._folder))

    @classmethod
    def files(cls, url: StoreURL) -> Path:
        """Return the folder of the shard."""
        return Path(url.path, *url.names[:1])

    def exists(self) -> bool:
        """Return whether the vector is there; nothing is opened."""
        return self._vector in self._vectors()

    def info(self) -> StoreInfo:
        """Return what the shard holds."""
        found = self._found()
        if "multivector_config" in found:
            raise InputError(f"{self.url} holds several vectors a point; one is needed.")
        with self._errors("cannot be read"):
            count = self._shard.opened.count(self._edge.CountRequest(exact=True))
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed.")
        with self._errors("cannot be read"):
            filled = self._shard.opened.count(self._edge.CountRequest(filter=self._filled(True), exact=True))
        if not filled:
            raise InputError(f"{self.url} is empty: none of its {count} points has this vector.")
        mixed = self._mixed()
        first = self._records(next(self._scroll(256, self._filled(True), None)), mixed)
        return StoreInfo(
            count=filled,
            d=int(found["size"]),
            metric=metric_of(found["distance"]),
            normalized=is_unit(first.vectors),
            id_type=first.ids.type,
            schema=None if first.payload is None else first.payload.schema,
            vector_name=self._vector or None,
            dtype=str(found.get("datatype", "float32")).lower(),
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
        self._found()
        mixed, chosen = self._mixed(), self._filled(True) if self._skip_null else None
        for points in self._scroll(size, chosen, after):
            yield self._records(points, mixed), plain_id(points[-1].id, mixed=False)

    def fetch(self, ids: pa.Array) -> Records:
        """Return the points of these ids."""
        self._found()
        mixed = self._mixed()
        wanted = point_ids(ids, str(self.url), mixed=mixed)
        with self._errors("cannot be read"):
            points = self._shard.opened.retrieve(wanted, with_payload=True, with_vector=self._asked)
        return (self._records(points, mixed) if points else none_of(ids)).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Ask the graph, all queries at once."""
        distance, edge = self._found()["distance"], self._edge
        requests = [
            edge.QueryRequest(query=edge.Query.Nearest(query.tolist(), using=self._vector or None), limit=k)
            for query in np.asarray(queries, np.float32)
        ]
        with self._errors("cannot be searched"):
            found = self._shard.opened.query_batch(edge.QueryBatchRequest(requests))
        mixed = self._mixed()
        return [hits_of(points, distance, mixed=mixed) for points in found]

    def check(self, spec: Spec) -> None:
        """Refuse a second vector without a name of its own, and a folder that is missing or taken."""
        super().check(spec)
        if spec.beside and not self._vector:
            raise InputError(f"{self.url} names no vector to add; #shard.vector is needed.")
        if not self._folder.parent.is_dir():
            raise InputError(f"The folder {self._folder.parent} does not exist; create it or choose another.")
        if self._folder.exists() and not self._shard.there:
            raise OutputExistsError(f"{self._folder} exists and is no shard; choose another name.")

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse ids and payload that a point cannot have."""
        point_ids(records.ids, str(self.url), mixed=is_mixed(spec))
        if not spec.beside:
            documents_of(records, str(self.url), _LIMITS)

    def create(self, spec: Spec) -> None:
        """Make the empty shard, or a named vector in it."""
        self.check(spec)
        if self.exists() or (not spec.beside and self._folder.exists()):
            raise OutputExistsError(f"{self.url} exists; choose another name or drop it first.")
        distance = getattr(self._edge.Distance, DISTANCES[spec.metric])
        with self._errors("cannot be created"):
            if spec.beside:
                operation = self._edge.UpdateOperation.create_dense_vector(self._vector, spec.d, distance)
                self._shard.opened.update(operation)
                self._shard.opened.flush()
                return
            vectors = {self._vector: self._edge.EdgeVectorParams(spec.d, distance)}
            with atomic_folder(self._folder) as fresh:  # opening half a shard would fail
                self._edge.EdgeShard.create(str(fresh), self._edge.EdgeConfig(vectors=vectors)).close()

    def prepare(self, spec: Spec, committed: int) -> None:
        """Remember whether points are written or a vector of theirs."""
        self._spec = spec

    def upsert(self, records: Records) -> None:
        """Write points and wait until they are on the disk."""
        # What the engine refuses half-way through stays in its log, so everything is checked before.
        width = self._found()["size"]
        if records.vectors.shape[1] != width:
            raise InputError(f"{self.url} takes vectors of {width} values; these have {records.vectors.shape[1]}.")
        ids = point_ids(records.ids, str(self.url), mixed=is_mixed(self._spec))
        documents = documents_of(records, str(self.url), _LIMITS)
        edge, points, beside = self._edge, [], self._spec is not None and self._spec.beside
        with self._errors("did not take the rows"):
            for start in range(0, len(ids), _POINTS_ROWS):
                part = slice(start, start + _POINTS_ROWS)
                vectors = np.asarray(records.vectors[part], np.float32).tolist()
                if beside:
                    named = zip(ids[part], vectors, strict=True)
                    points += [edge.PointVectors(i, {self._vector: v}) for i, v in named]
                else:
                    rows = zip(ids[part], vectors, documents[part], strict=True)
                    points += [edge.Point(i, {self._vector: v} if self._vector else v, d) for i, v, d in rows]
            write = edge.UpdateOperation.update_vectors if beside else edge.UpdateOperation.upsert_points
            self._shard.opened.update(write(points))
            self._shard.opened.flush()

    def finish(self) -> None:
        """Build the graph, which the engine does when told to and not before."""
        self._found()
        with self._errors("cannot be indexed"):
            self._shard.opened.optimize()
            self._shard.opened.flush()

    def drop(self, *, beside: bool = False) -> None:
        """Remove the named vector, or the shard with its folder."""
        with self._errors("cannot be dropped"):
            if beside and self.exists():
                self._shard.opened.update(self._edge.UpdateOperation.delete_vector_name(self._vector))
                self._shard.opened.flush()
            elif not beside and self._shard.there:
                self._shard.close()
                remove_folder(self._folder)

    def close(self) -> None:
        """Close the shard, once nobody else in this process uses it."""
        release(self._key, lambda shard: shard.close())
        super().close()

    def _records(self, points: list[Any], mixed: bool) -> Records:
        return records_of(points, self._vector, str(self.url), mixed=mixed)

    def _scroll(self, size: int, chosen: Any, after: Cursor, *, vectors: bool = True) -> Iterator[list[Any]]:
        offset, read = after, after
        while True:
            request = self._edge.ScrollRequest(
                offset=offset,
                limit=size + (read is not None),
                filter=chosen,
                with_payload=vectors,
                with_vector=self._asked if vectors else False,
            )
            with self._errors("cannot be read"):
                points, offset = self._shard.opened.scroll(request)
            # The offset is inclusive, and the point that it names was read already.
            if points and plain_id(points[0].id, mixed=False) == read:
                points = points[1:]
            read = None
            if points:
                yield points
            if offset is None:
                return

    def _filled(self, filled: bool) -> Any:
        """Return the filter of the points that have the vector, or of those that lack it."""
        condition = [self._edge.HasVectorCondition(self._vector)]
        return self._edge.Filter(must=condition) if filled else self._edge.Filter(must_not=condition)

    def _mixed(self) -> bool:
        """Return whether the ids are numbers and UUIDs."""
        request = self._edge.ScrollRequest
        with self._errors("cannot be read"):
            ends = [self._shard.opened.scroll(request(offset=at, limit=1))[0] for at in (None, FIRST_UUID)]
        return bool(ends[1]) and isinstance(ends[0][0].id, int)

    @property
    def _asked(self) -> Any:
        return [self._vector] if self._vector else True

    def _found(self) -> dict[str, Any]:
        """Return what the engine noted of the vector."""
        if not self._shard.there:
            folder = self._folder.parent
            known = sorted(path.parent.name for path in folder.glob("*/segments")) if folder.is_dir() else []
            raise InputError(f"{self.url} is not there; shards are: {', '.join(known) or 'none'}.")
        vectors = self._vectors()
        if self._vector not in vectors:
            named = ", ".join(name or "(unnamed)" for name in vectors) or "none"
            raise InputError(f"{self.url} is not there; its vectors are: {named}.")
        found: dict[str, Any] = vectors[self._vector]
        return found

    def _vectors(self) -> dict[str, Any]:
        if not self._shard.there:
            return {}
        with self._errors("cannot be read"):
            config = self._folder / "edge_config.json"
            if not config.is_file():
                _ = self._shard.opened  # a shard from a server's snapshot: the engine writes the file when it opens it
            found: dict[str, Any] = json.loads(config.read_text("utf-8"))["vectors"]
        return found

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        # The engine raises Exception itself, with the cause only in the text.
        try:
            yield
        except InterlinguaError:
            raise
        except Exception as error:
            reason = first_line(error)[:300].removeprefix("Service runtime error: ")
            if "WouldBlock" in reason:
                reason = "another process has it open. End that first."
            raise InputError(f"{self.url} {what}: {reason}") from error


class _Shard:
    """A shard that is opened when it is first asked."""

    def __init__(self, edge: Any, folder: Path) -> None:
        self._edge, self._folder = edge, folder
        self._held: Any = None

    @property
    def there(self) -> bool:
        return (self._folder / "segments").is_dir()

    @property
    def opened(self) -> Any:
        if self._held is None:
            self._held = self._edge.EdgeShard.load(os.fspath(self._folder))
        return self._held

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None
