"""``memory://name#collection.vector``: the reference implementation of a store, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray
from interlingua.core.neighbors import Nearest, nearest
from interlingua.core.records import Records
from interlingua.stores._base import Adapter
from interlingua.stores._capabilities import Capabilities, Metric
from interlingua.stores._marks import migration_mark
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL

__all__ = ["MemoryStore", "hits_of"]

_DEFAULT = "vector"


@dataclass
class _Vectors:
    d: int
    metric: Metric
    job: str
    rows: dict[Any, FloatArray] = field(default_factory=dict)


@dataclass
class _Collection:
    id_type: pa.DataType
    schema: pa.Schema | None
    vectors: dict[str, _Vectors] = field(default_factory=dict)
    payload: dict[Any, pa.Table] = field(default_factory=dict)


_DATABASES: dict[str, dict[str, _Collection]] = {}


class MemoryStore(Adapter):
    """Rows in dictionaries, in the order in which they were written."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "typed", ("int", "text"), adds_vectors=True, deletes=True, rows_per_second=10**6
    )

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._database = _DATABASES.setdefault(url.path, {})
        self._name = url.names[0]
        self._vector = url.names[1] if len(url.names) > 1 else _DEFAULT

    def exists(self) -> bool:
        """Return whether the vector exists."""
        collection = self._database.get(self._name)
        return collection is not None and self._vector in collection.vectors

    def is_taken(self, spec: Spec) -> bool:
        """Return whether the vector exists, or the collection where a new one is needed."""
        return self.exists() or (not spec.as_new_vector and self._name in self._database)

    def info(self) -> StoreInfo:
        """Return facts about the collection."""
        vectors = self._open()[1]
        self._check_filled(len(vectors.rows))
        first = self._records(list(vectors.rows)[:256])
        return self._describe(first, len(vectors.rows), metric=vectors.metric, vector_name=self._vector)

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages; the cursor counts rows."""
        ids = list(self._open()[1].rows)
        for start in range(after or 0, len(ids), size):
            page = ids[start : start + size]
            yield self._records(page), start + len(page)

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        vectors = self._open()[1]
        return self._in_order(self._records([value for value in ids.to_pylist() if value in vectors.rows]), ids)

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Compare every query with every row."""
        _, vectors = self._open()
        rows = np.stack(list(vectors.rows.values()))
        return hits_of(nearest(np.asarray(queries), rows, k, metric=vectors.metric), list(vectors.rows))

    def _create(self, spec: Spec) -> None:
        if spec.as_new_vector:
            self._database[self._name].vectors[self._vector] = _Vectors(spec.d, spec.metric, spec.job)
        else:
            vectors = {self._vector: _Vectors(spec.d, spec.metric, spec.job)}
            self._database[self._name] = _Collection(spec.id_type, spec.schema, vectors)

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the migration that made the vector."""
        return migration_mark(self._open()[1].job)

    def upsert(self, records: Records) -> None:
        """Write rows."""
        collection, vectors = self._open()
        ids = records.ids.to_pylist()
        vectors.rows.update(zip(ids, np.array(records.vectors), strict=True))
        if len(collection.vectors) == 1 and records.payload is not None:
            # Rows of Arrow, because Python has no value for some of them.
            collection.payload.update((key, records.payload.slice(row, 1)) for row, key in enumerate(ids))

    def finish(self) -> None:
        """Do nothing: search is exact."""

    def delete(self, ids: pa.Array) -> None:
        """Delete rows."""
        collection = self._open()[0]
        for value in ids.to_pylist():
            for vectors in collection.vectors.values():
                vectors.rows.pop(value, None)
            collection.payload.pop(value, None)

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the vector, or the collection."""
        if vector_only and self.exists():
            del self._database[self._name].vectors[self._vector]
        elif self.exists():
            del self._database[self._name]

    def _open(self) -> tuple[_Collection, _Vectors]:
        if not self.exists():
            raise self._missing(self._database)
        collection = self._database[self._name]
        return collection, collection.vectors[self._vector]

    def _records(self, ids: list[Any]) -> Records:
        collection, vectors = self._open()
        stacked = np.stack([vectors.rows[value] for value in ids]) if ids else np.empty((0, vectors.d), np.float32)
        payload = None
        if collection.schema is not None:
            rows = [collection.payload[value] for value in ids]
            payload = pa.concat_tables(rows).combine_chunks() if rows else collection.schema.empty_table()
        return Records(pa.array(ids, collection.id_type), stacked, payload)


def hits_of(found: Nearest, ids: list[Any] | pa.Array | None) -> list[Hits]:
    """Return the hits of each query with the ids of their rows; without ids, with the numbers of the rows."""
    chosen = found.indices.ravel().tolist()
    if isinstance(ids, list):
        chosen = [ids[row] for row in chosen]
    elif ids is not None:
        chosen = ids.take(pa.array(chosen, pa.int64())).to_pylist()
    k = found.indices.shape[1]
    return [
        Hits(chosen[number * k : (number + 1) * k], scores.astype(np.float64))
        for number, scores in enumerate(found.scores)
    ]
