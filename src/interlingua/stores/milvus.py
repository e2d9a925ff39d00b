"""``milvus:///file.db#collection.field`` or ``milvus://host:19530/database#collection``: Milvus Lite or a server."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import check_parent, remove_folder
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.core.wording import count_of
from interlingua.stores._base import first_line
from interlingua.stores._capabilities import Capabilities, Metric
from interlingua.stores._clients import CollectionStore
from interlingua.stores._distinct import check_int64, check_text_ids
from interlingua.stores._documents import CHANGED_IN_DOCUMENTS, from_documents
from interlingua.stores._marks import migration_mark
from interlingua.stores._names import NameRule
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of

__all__ = ["MilvusStore"]

_METRICS: dict[Metric, str] = {"cosine": "COSINE", "dot": "IP", "l2": "L2"}
_LIMITS = Limits(
    "Milvus", names=NameRule("another name than $meta, which holds all other fields, is", r"(?!\$meta$).*")
)
# Property of an embedded collection that names the migration that made it.
_MARK = "interlingua.migration"
_TEXT_BYTES = 65_535
_REQUEST_ROWS = 1_000
# The name of the file that holds an index of Milvus Lite has the name of the field in it, and 255 bytes at most.
_LITE_BYTES = 200
_ESCAPED = re.compile(r'[\\"\n\r\t]')
_FIELD = "[A-Za-z_][A-Za-z0-9_]*"


class MilvusStore(CollectionStore):
    """One vector field of a collection; payload goes into dynamic fields."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "documents",
        ("int", "text"),
        deletes=True,
        rows_per_second=700,
        refuses=("uint64", "not_finite", "bytes", "duration"),
        changes=CHANGED_IN_DOCUMENTS,
        limits=f"ids of text have up to {_TEXT_BYTES:,} bytes; names of fields are letters, digits and _",
    )

    _example = "#collection.field"
    _column_rule = NameRule("1 to 255 letters from A to Z, digits and _, and no digit first, are", _FIELD, 255)
    _collection_rule = _column_rule

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._milvus = require("pymilvus", "milvus")
        self._client_errors = (self._milvus.MilvusException,)
        self._name, self._field = url.names[0], url.names[1] if len(url.names) > 1 else None
        if url.host:
            address = f"{'https' if url.uses_https else 'http'}://{url.url_host}:{url.port or 19530}"
        else:
            address = url.path
            # The embedded database makes folders and files of names and takes more characters.
            self._collection_rule = NameRule(
                "1 to 255 bytes, with no / and \\ and not only one or two dots, are", r"(?!\.{1,2}$)[^/\\\0]+", 255
            )
            self._vector_rule = NameRule(
                f"1 to {_LITE_BYTES} letters from A to Z, digits and _, and no digit first, are", _FIELD, _LITE_BYTES
            )
            check_parent(Path(address))
            require("milvus_lite", "milvus")
        token = os.environ.get("MILVUS_TOKEN", "") if url.host else ""
        database = url.path.strip("/") if url.host else ""
        self._key = ("milvus", address if url.host else str(Path(address).resolve()), database)
        self._connect = lambda: self._open_client(address, token, database)

    def info(self) -> StoreInfo:
        """Return facts about the collection."""
        _, name, d = self._layout()
        self._load()
        with self._errors("cannot be read"):
            count = int(self._client.query(self._name, filter="", output_fields=["count(*)"])[0]["count(*)"])
            indexes = [
                self._client.describe_index(self._name, index) for index in self._client.list_indexes(self._name)
            ]
        self._check_filled(count)
        label = next((index["metric_type"] for index in indexes if index and index.get("field_name") == name), None)
        metric = next((metric for metric, known in _METRICS.items() if known == label), None)
        return self._describe(next(self.scan(256))[0], count, d=d, metric=metric, vector_name=name)

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """Yield pages in order of the primary key, which is the cursor."""
        key, _, _ = self._layout()
        self._load()
        size = min(size, 16_384)  # the server's limit
        while True:
            condition = "" if after is None else f"{key} > {_literal(after)}"
            with self._errors("cannot be read"):
                iterator = self._client.query_iterator(
                    self._name, filter=condition, output_fields=["*"], batch_size=size
                )
            try:
                while True:
                    with self._errors("cannot be read"):
                        rows = iterator.next()
                    if not rows:
                        return
                    records = self._records(rows)
                    after = records.ids[-1].as_py()
                    yield records, after
                    if _needs_escape(after):
                        break  # The iterator would put this id into its next condition as it is.
            finally:
                iterator.close()

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        condition = self._among(ids)
        self._load()
        with self._errors("cannot be read"):
            rows = list(self._client.query(self._name, filter=condition, output_fields=["*"]))
        return self._in_order(self._records(rows) if rows else None, ids)

    def _among(self, ids: pa.Array) -> str:
        """Return the condition that a row has one of these ids."""
        # get(ids) quotes text as Python does, which the server's grammar does not always follow.
        return f"{self._layout()[0]} in [{', '.join(map(_literal, ids.to_pylist()))}]"

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Search the index."""
        key, name, _ = self._layout()
        metric = self.info().metric
        data = np.asarray(queries, np.float32).tolist()
        with self._errors("cannot be searched"):
            results = self._client.search(self._name, data=data, anns_field=name, limit=k, output_fields=[key])
        hits = []
        for rows in results:
            scores = np.array([row["distance"] for row in rows], np.float64)
            hits.append(
                Hits([row["id"] if "id" in row else row[key] for row in rows], -scores if metric == "l2" else scores)
            )
        return hits

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse ids and payload that a row cannot have."""
        check_int64(records.ids, str(self.url))
        check_text_ids(records.ids, str(self.url), "Milvus", 0, _TEXT_BYTES)
        self._documents(records, spec.id_name, self._new_column)

    def _documents(self, records: Records, key: str, vector: str) -> list[dict[str, Any]]:
        """Return the payload, whose fields are beside the key and the vector."""
        documents = documents_of(records, str(self.url), _LIMITS)
        taken = {key, vector}.intersection(*[set().union(*documents)])
        if taken:
            raise InputError(
                f"{self.url}: the payload has a field {min(taken)!r}, the name of the key or of the vector.",
                "Name another vector field, #collection.field, or leave the payload out with {drop_payload}.",
            )
        return documents

    @property
    def _new_column(self) -> str:
        return self._field or "vector"

    def _create(self, spec: Spec) -> None:
        if not self.url.host:
            self._remove_unfinished()
        kinds = self._milvus.DataType
        described = migration_mark(spec.job)
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True, description=described)
        if pa.types.is_integer(spec.id_type):
            schema.add_field(spec.id_name, kinds.INT64, is_primary=True)
        else:
            schema.add_field(spec.id_name, kinds.VARCHAR, is_primary=True, max_length=_TEXT_BYTES)
        schema.add_field(self._new_column, kinds.FLOAT_VECTOR, dim=spec.d)
        # The embedded database keeps properties, but no description.
        kept = {} if self.url.host else {"properties": {_MARK: described}}
        self._client.create_collection(self._name, schema=schema, **kept)

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the description of the collection, or a property of an embedded one, which names the migration."""
        self._check_collection()
        with self._errors("cannot be read"):
            facts = self._client.describe_collection(self._name)
        return facts.get("description") or (facts.get("properties") or {}).get(_MARK)

    def _remove_unfinished(self) -> None:
        """Remove the folder that Milvus Lite made for a collection if it was killed before it wrote the schema.

        Milvus Lite neither knows such a collection nor makes it again.
        """
        folder = Path(self.url.path) / "collections" / self._name
        is_name = self._name.isidentifier()  # and no path out of the database
        if is_name and folder.is_dir() and all(path.name == "schema.json.tmp" for path in folder.iterdir()):
            remove_folder(folder)

    def upsert(self, records: Records) -> None:
        """Write rows, a thousand per request, and flush them."""
        key, name, _ = self._layout()
        documents = self._documents(records, key, name)
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
                    raise InputError(
                        f"{self.url}: {done:,} of {count_of(len(part))} were written.",
                        "Run {rollback} to undo the migration, and report this.",
                    )
            self._client.flush(self._name)

    def finish(self) -> None:
        """Build an HNSW index and load the collection."""
        _, name, _ = self._layout()
        with self._errors("cannot be indexed"):
            if not self._client.list_indexes(self._name):
                params = self._client.prepare_index_params()
                metric = _METRICS[self._spec.metric if self._spec else "cosine"]
                settings = {"M": 16, "efConstruction": 200}
                params.add_index(name, index_type="HNSW", metric_type=metric, params=settings)
                self._client.create_index(self._name, params)
        self._load()

    def delete(self, ids: pa.Array) -> None:
        """Delete rows, and flush."""
        condition = self._among(ids)
        with self._errors("cannot be written"):
            self._client.delete(self._name, filter=condition)
            self._client.flush(self._name)

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the collection."""
        if self.exists():
            with self._errors("cannot be dropped"):
                self._client.drop_collection(self._name)

    def _open_client(self, address: str, token: str, database: str) -> Any:
        was_open = not self.url.host and self._key[1] in _lite_servers()._servers
        client = self._milvus.MilvusClient(address, token=token, db_name=database)
        # A client that the program itself has opened goes on using the embedded server.
        client.interlingua_keeps_server = bool(self.url.host) or was_open
        return client

    def _close_client(self, client: Any) -> None:
        """Close the client, and its embedded server: it would lock the database until this process ends."""
        super()._close_client(client)
        if not client.interlingua_keeps_server:
            _lite_servers().release_server(self._key[1])

    def _find_collection(self) -> bool:
        return bool(self._client.has_collection(self._name))  # also by an alias

    def _collections(self) -> list[str]:
        return list(self._client.list_collections())

    def _load(self) -> None:
        # Without an index there is nothing to load, and Milvus Lite reads the rows without it.
        with self._errors("cannot be loaded"):
            if self._client.list_indexes(self._name):
                self._client.load_collection(self._name)

    def _layout(self) -> tuple[str, str, int]:
        """Return primary key, vector field and width."""
        self._check_collection()
        with self._errors("cannot be read"):
            fields = self._client.describe_collection(self._name)["fields"]
        kind = self._milvus.DataType.FLOAT_VECTOR
        widths = {field["name"]: int(field["params"]["dim"]) for field in fields if field["type"] == kind}
        name = self._field or (next(iter(widths)) if len(widths) == 1 else None)
        if name is None or name not in widths:
            listed = ", ".join(widths) or "none"
            raise InputError(f"{self.url}: #collection.field must name a float vector; there are: {listed}.")
        return next(field["name"] for field in fields if field.get("is_primary")), name, widths[name]

    def _records(self, rows: list[dict[str, Any]]) -> Records:
        key, name, _ = self._layout()
        rows = sorted(rows, key=lambda row: row[key])
        vectors = np.asarray([row[name] for row in rows], np.float32)
        ids = pa.array([row[key] for row in rows])
        return Records(
            ids, vectors, from_documents([{k: v for k, v in row.items() if k not in {key, name}} for row in rows])
        )

    def _is_outage(self, error: Exception) -> bool:
        reason = self._reason(error).lower()
        unreachable = getattr(error, "code", None) in {1, 2} or "unavailable" in reason or "connect" in reason
        return bool(self.url.host) and unreachable

    def _reason(self, error: Exception) -> str:
        return first_line(getattr(error, "message", error))[:300]


def _literal(value: int | str) -> str:
    """Return an id as it is written in a condition, whose grammar knows fewer escapes than that of JSON."""
    if isinstance(value, int):
        return str(value)
    return '"' + _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], value) + '"'


def _needs_escape(value: int | str) -> bool:
    return isinstance(value, str) and bool(_ESCAPED.search(value))


def _lite_servers() -> Any:
    """Return the embedded servers of this process."""
    return require("milvus_lite.server_manager", "milvus").server_manager_instance
