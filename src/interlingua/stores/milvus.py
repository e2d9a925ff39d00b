"""``milvus:///file.db#collection.field`` or ``milvus://host:19530/database#collection``: Milvus Lite or a server."""

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
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import Records
from interlingua.stores._clients import SharedClientStore
from interlingua.stores._distinct import check_int64
from interlingua.stores._documents import from_documents
from interlingua.stores._protocol import Capabilities, Cursor, Hits, Metric, Spec, StoreInfo, is_unit
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of

__all__ = ["MilvusStore"]

_METRICS: dict[Metric, str] = {"cosine": "COSINE", "dot": "IP", "l2": "L2"}
_LIMITS = Limits("Milvus")
_TEXT_BYTES = 65_535
_REQUEST_ROWS = 1_000


class MilvusStore(SharedClientStore):
    """One vector field of a collection; payload goes into dynamic fields."""

    capabilities: ClassVar[Capabilities] = Capabilities("documents", ("int", "text"), rows_per_second=700)

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if not 1 <= len(url.names) <= 2:
            raise InputError(f"{url} names no collection; milvus:///file.db#collection[.field] is needed.")
        self._milvus = require("pymilvus", "milvus")
        self._name, self._asked = url.names[0], url.names[1] if len(url.names) > 1 else None
        self._metric: Metric = "cosine"
        if url.host:
            secure = url.options.get("https", "") in {"1", "true"}
            address = f"{'https' if secure else 'http'}://{url.host}:{url.port or 19530}"
        else:
            address = url.path
            if not Path(address).parent.is_dir():
                raise InputError(f"The folder {Path(address).parent} does not exist; create it or choose another.")
            require("milvus_lite", "milvus")
        token = os.environ.get("MILVUS_TOKEN", "") if url.host else ""
        database = url.path.strip("/") if url.host else ""
        self._key = ("milvus", address if url.host else str(Path(address).resolve()), database)
        self._connect = lambda: self._milvus.MilvusClient(address, token=token, db_name=database)

    def exists(self) -> bool:
        """Return whether the collection is there."""
        if not self._has_database():
            return False
        with self._errors("cannot be reached"):
            return bool(self._client.has_collection(self._name))

    def info(self) -> StoreInfo:
        """Return what the collection holds."""
        _, name, d = self._layout()
        self._load()
        with self._errors("cannot be read"):
            count = int(self._client.query(self._name, filter="", output_fields=["count(*)"])[0]["count(*)"])
            indexes = [
                self._client.describe_index(self._name, index) for index in self._client.list_indexes(self._name)
            ]
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed.")
        found = next((index["metric_type"] for index in indexes if index and index.get("field_name") == name), None)
        metric = next((known for known, label in _METRICS.items() if label == found), None)
        first = next(self.scan(256))[0]
        schema = None if first.payload is None else first.payload.schema
        return StoreInfo(
            count=count,
            d=d,
            metric=metric,
            normalized=is_unit(first.vectors),
            id_type=first.ids.type,
            schema=schema,
            vector_name=name,
        )

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages in order of the primary key, which is the cursor."""
        key, _, _ = self._layout()
        self._load()
        asked = "" if after is None else f"{key} > {json.dumps(after, ensure_ascii=False)}"
        size = min(size, 16_384)  # the server's limit
        with self._errors("cannot be read"):
            iterator = self._client.query_iterator(self._name, filter=asked, output_fields=["*"], batch_size=size)
        try:
            while True:
                with self._errors("cannot be read"):
                    rows = iterator.next()
                if not rows:
                    return
                records = self._records(rows)
                yield records, records.ids[-1].as_py()
        finally:
            iterator.close()

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        key, _, _ = self._layout()
        self._load()
        # get(ids) quotes text as Python does, which the server's grammar does not always follow.
        asked = f"{key} in {json.dumps(ids.to_pylist(), ensure_ascii=False)}"
        with self._errors("cannot be read"):
            rows = list(self._client.query(self._name, filter=asked, output_fields=["*"]))
        if not rows:
            return Records(ids.slice(0, 0), np.empty((0, 0), np.float32)).in_order_of(ids, str(self.url))
        return self._records(rows).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Ask the index."""
        key, name, _ = self._layout()
        metric = self.info().metric
        data = np.asarray(queries, np.float32).tolist()
        with self._errors("cannot be searched"):
            found = self._client.search(self._name, data=data, anns_field=name, limit=k, output_fields=[key])
        hits = []
        for rows in found:
            scores = np.array([row["distance"] for row in rows], np.float64)
            hits.append(
                Hits([row["id"] if "id" in row else row[key] for row in rows], -scores if metric == "l2" else scores)
            )
        return hits

    def check(self, spec: Spec) -> None:
        """Refuse names that a field cannot have, before the server does."""
        super().check(spec)
        for name in (spec.id_name, self._asked or "vector"):
            if not name.isidentifier() or not name.isascii():
                raise InputError(f"{self.url}: Milvus takes letters, digits and _ in names, and not {name!r}.")

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse ids and payload that a row cannot have."""
        check_int64(records.ids, str(self.url))
        documents_of(records, str(self.url), _LIMITS)

    def create(self, spec: Spec) -> None:
        """Make the empty collection: key, vector, and room for any other field."""
        self.check(spec)
        if self.exists():
            raise OutputExistsError(f"{self.url} exists; choose another name or drop it first.")
        kinds = self._milvus.DataType
        with self._errors("cannot be created"):
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True)
            if pa.types.is_integer(spec.id_type):
                schema.add_field(spec.id_name, kinds.INT64, is_primary=True)
            else:
                schema.add_field(spec.id_name, kinds.VARCHAR, is_primary=True, max_length=_TEXT_BYTES)
            schema.add_field(self._asked or "vector", kinds.FLOAT_VECTOR, dim=spec.d)
            self._client.create_collection(self._name, schema=schema)

    def prepare(self, spec: Spec, committed: int) -> None:
        """Remember how the vectors will be searched."""
        self._metric = spec.metric

    def upsert(self, records: Records) -> None:
        """Write rows, a thousand a request, and flush them."""
        key, name, _ = self._layout()
        documents = documents_of(records, str(self.url), _LIMITS)
        taken = {key, name}.intersection(*[set().union(*documents)]) if documents else set()
        if taken:
            raise InputError(
                f"{self.url}: the payload has a field {sorted(taken)[0]!r}, a name that the key or the vector has. "
                "Name the vector otherwise with #collection.field."
            )
        vectors = np.asarray(records.vectors, np.float32)
        rows = [
            {**document, key: value, name: vector}
            for document, value, vector in zip(documents, records.ids.to_pylist(), vectors, strict=True)
        ]
        with self._errors("did not take the rows"):
            for start in range(0, len(rows), _REQUEST_ROWS):
                part = rows[start : start + _REQUEST_ROWS]
                done = self._client.upsert(self._name, part)["upsert_count"]
                if done != len(part):
                    raise InputError(f"{self.url}: {done} of {len(part)} rows were written. Roll back and report this.")
            self._client.flush(self._name)

    def finish(self) -> None:
        """Build an HNSW index and load the collection."""
        _, name, _ = self._layout()
        with self._errors("cannot be indexed"):
            if not self._client.list_indexes(self._name):
                params = self._client.prepare_index_params()
                settings = {"M": 16, "efConstruction": 200}
                params.add_index(name, index_type="HNSW", metric_type=_METRICS[self._metric], params=settings)
                self._client.create_index(self._name, params)
        self._load()

    def drop(self, *, beside: bool = False) -> None:
        """Remove the collection."""
        if self.exists():
            with self._errors("cannot be dropped"):
                self._client.drop_collection(self._name)

    def _has_database(self) -> bool:
        """Return False for a missing file, which Milvus Lite would make."""
        return bool(self.url.host) or Path(self.url.path).exists()

    def _load(self) -> None:
        # Without an index there is nothing to load, and Lite reads all the same.
        with self._errors("cannot be loaded"):
            if self._client.list_indexes(self._name):
                self._client.load_collection(self._name)

    def _layout(self) -> tuple[str, str, int]:
        """Return primary key, vector field and width."""
        if not self.exists():
            known: list[str] = []
            if self._has_database():
                with self._errors("cannot be reached"):
                    known = sorted(self._client.list_collections())
            raise InputError(f"{self.url} is not there; collections are: {', '.join(known) or 'none'}.")
        with self._errors("cannot be read"):
            fields = self._client.describe_collection(self._name)["fields"]
        found = {f["name"]: int(f["params"]["dim"]) for f in fields if f["type"] == self._milvus.DataType.FLOAT_VECTOR}
        name = self._asked or (next(iter(found)) if len(found) == 1 else None)
        if name is None or name not in found:
            listed = ", ".join(found) or "none"
            raise InputError(f"{self.url}: #collection.field must name a float vector; there are: {listed}.")
        return next(f["name"] for f in fields if f.get("is_primary")), name, found[name]

    def _records(self, rows: list[dict[str, Any]]) -> Records:
        key, name, _ = self._layout()
        rows = sorted(rows, key=lambda row: row[key])
        vectors = np.asarray([row[name] for row in rows], np.float32)
        ids = pa.array([row[key] for row in rows])
        return Records(
            ids, vectors, from_documents([{k: v for k, v in row.items() if k not in {key, name}} for row in rows])
        )

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._milvus.MilvusException as error:
            first = (str(error.message).strip().splitlines() or [type(error).__name__])[0][:300]
            gone = error.code in {1, 2} or "unavailable" in first.lower() or "connect" in first.lower()
            raise (InterlinguaError if gone and self.url.host else InputError)(f"{self.url} {what}: {first}") from error
