"""``chroma:///folder#collection`` or ``chroma://host:8000/tenant/database#collection``: embedded or ``chroma run``."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import check_parent
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._capabilities import Capabilities, Metric
from interlingua.stores._clients import CollectionStore
from interlingua.stores._distinct import check_text_ids
from interlingua.stores._documents import CHANGED_IN_DOCUMENTS, from_documents
from interlingua.stores._marks import migration_mark
from interlingua.stores._names import NameRule
from interlingua.stores._protocol import Cursor, Hits, Spec, StoreInfo
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of

__all__ = ["ChromaStore"]

_SPACES: dict[Metric, str] = {"cosine": "cosine", "dot": "ip", "l2": "l2"}
# Metadata of a collection that names the migration that made it.
_MARK = "interlingua_migration"
# Chroma keeps the text and the URI of a row apart from its metadata. Payloads have them as two more keys.
_PARTS = {"chroma:document": "documents", "chroma:uri": "uris"}
_LIMITS = Limits(
    "Chroma",
    flat=True,
    names=NameRule(
        f"at least 1 character, no # or $ at the beginning, and 'chroma:' there only in {' and '.join(_PARTS)}, is",
        rf"({'|'.join(_PARTS)})|(?![#$]|chroma:).+",
    ),
)
_INCLUDED = ["embeddings", "metadatas", *_PARTS.values()]


class ChromaStore(CollectionStore):
    """One collection. Embeddings are handed over as they are: nothing is ever embedded anew."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        "documents",
        ("text",),
        reads_only=False,
        deletes=True,
        rows_per_second=1_000,
        refuses=(
            "uint64", "not_finite", "bytes", "duration", "empty_list", "list_with_null", "nested_lists", "struct",
            "struct_of_dates", "map", "json",
        ),
        changes=tuple(kind for kind in CHANGED_IN_DOCUMENTS if kind != "struct_of_dates"),
        limits="metadata is flat: scalars, and lists of scalars of one type",
    )  # fmt: skip
    _name_counts = (1, 1)
    _collection_rule = NameRule(
        "3 to 512 letters from A to Z, digits, dots, _ and -, with a letter or a digit at the beginning and the end, "
        "no two dots in a row and no IP address, are",
        r"(?!.*\.\.)(?!\d{1,3}(\.\d{1,3}){3}$)[A-Za-z0-9][A-Za-z0-9._-]{1,510}[A-Za-z0-9]",
    )
    _database_file = "chroma.sqlite3"
    # A collection has one vector, so its metadata has the mark.
    _marked_parts = (False,)

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        self._name = url.names[0]
        chroma = require("chromadb", "chroma")
        # The embedded engine raises RuntimeError, and the client of a server ValueError if it does not answer.
        failure = require("chromadb.errors", "chroma").ChromaError
        self._client_errors = (failure, ValueError, RuntimeError, TypeError, OSError)
        settings = require("chromadb.config", "chroma").Settings(anonymized_telemetry=False)
        # The path of a server names a tenant and a database.
        names = url.path.strip("/").split("/") if url.host and url.path.strip("/") else []
        chosen = dict(zip(("tenant", "database"), names, strict=False))
        self._key = ("chroma", url.host, url.port, url.path if url.host else str(Path(url.path).resolve()))

        def connect() -> Any:
            if not url.host:
                return chroma.PersistentClient(url.path, settings=settings)
            token = os.environ.get("CHROMA_TOKEN")
            # A server of one's own takes the first header, Chroma Cloud the second.
            headers = {"Authorization": f"Bearer {token}", "x-chroma-token": token} if token else {}
            host, port = url.url_host, url.port or 8000
            return chroma.HttpClient(host, port, ssl=url.uses_https, headers=headers, settings=settings, **chosen)

        if not url.host:
            check_parent(Path(url.path))
        self._connect = connect

    def info(self) -> StoreInfo:
        """Return facts about the collection."""
        collection = self._open()
        with self._errors("cannot be read"):
            count = collection.count()
            space = (collection.configuration.get("hnsw") or collection.configuration.get("spann") or {}).get("space")
        self._check_filled(count)
        with self._errors("cannot be read"):
            first = self._records(collection.get(limit=256, include=_INCLUDED))
        metric = next((metric for metric, name in _SPACES.items() if name == space), None)
        return self._describe(first, count, metric=metric)

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """List the ids once and read them in order; paging by offset would be quadratic. The cursor is the last id."""
        collection = self._open()
        with self._errors("cannot be read"):
            ids = sorted(collection.get(include=[])["ids"])
        start = 0 if after is None else bisect_right(ids, after)
        for begin in range(start, len(ids), size):
            page = ids[begin : begin + size]
            yield self._in_order(self._fetch(collection, page), pa.array(page, pa.string())), page[-1]

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        return self._in_order(self._fetch(self._open(), ids.to_pylist()), ids)

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Search the index."""
        collection, metric = self._open(), self.info().metric
        with self._errors("cannot be searched"):
            result = collection.query(
                query_embeddings=np.asarray(queries, np.float32), n_results=k, include=["distances"]
            )
        hits = []
        for ids, distances in zip(result["ids"], result["distances"], strict=True):
            values = np.asarray(distances, np.float64)
            hits.append(Hits(list(ids), -np.sqrt(values) if metric == "l2" else 1 - values))
        return hits

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse empty ids, payload that flat metadata cannot hold, and documents and URIs other than text."""
        check_text_ids(records.ids, str(self.url), "Chroma", 1)
        for key, row in zip(records.ids.to_pylist(), documents_of(records, str(self.url), _LIMITS), strict=True):
            for name in _PARTS.keys() & row.keys():
                if row[name] is not None and not isinstance(row[name], str):
                    raise InputError(
                        f"{self.url}: column {name!r} of id {shown(key)} is {type(row[name]).__name__}, and Chroma "
                        "takes text there. Convert or rename it,",
                        "choose another target, or leave the payload out with {drop_payload}.",
                    )

    def _create(self, spec: Spec) -> None:
        space = {"hnsw": {"space": _SPACES[spec.metric]}}  # it cannot be changed later
        mark = {_MARK: spec.job}
        self._client.create_collection(self._name, embedding_function=None, configuration=space, metadata=mark)

    def creation(self, *, vector_only: bool = False) -> str | None:
        """Return the id that Chroma gave the collection."""
        return f"collection {self._open().id}"

    def _migration_mark(self, *, vector_only: bool) -> str | None:
        """Return the migration that the metadata of the collection names."""
        return migration_mark((self._open().metadata or {}).get(_MARK, ""))

    def upsert(self, records: Records) -> None:
        """Write rows, as many at a time as the server takes."""
        collection, ids = self._open(), records.ids.to_pylist()
        documents = documents_of(records, str(self.url), _LIMITS)
        parts = {name: [document.pop(key, None) for document in documents] for key, name in _PARTS.items()}
        # A missing key is a null one, and Chroma takes no empty metadata.
        metadata = [{key: value for key, value in row.items() if value is not None} or None for row in documents]
        vectors = np.asarray(records.vectors, np.float32)
        with self._errors("did not take the rows"):
            limit = self._client.get_max_batch_size()
            for start in range(0, len(ids), limit):
                part = slice(start, start + limit)
                texts = {
                    name: values[part] for name, values in parts.items() if any(v is not None for v in values[part])
                }
                collection.upsert(ids=ids[part], embeddings=vectors[part], metadatas=metadata[part], **texts)

    def finish(self) -> None:
        """Do nothing: Chroma grows its graph with every write."""

    def delete(self, ids: pa.Array) -> None:
        """Delete rows."""
        collection = self._open()
        with self._errors("cannot be written"):
            collection.delete(ids=ids.to_pylist())

    def drop(self, *, vector_only: bool = False) -> None:
        """Remove the collection."""
        if self.exists():
            with self._errors("cannot be dropped"):
                self._client.delete_collection(self._name)

    def _collections(self) -> list[str]:
        return [collection.name for collection in self._client.list_collections()]

    def _open(self) -> Any:
        self._check_collection()
        with self._errors("cannot be read"):
            return self._client.get_collection(self._name, embedding_function=None)

    def _fetch(self, collection: Any, ids: list[str]) -> Records | None:
        with self._errors("cannot be read"):
            result = collection.get(ids=ids, include=_INCLUDED)
        return self._records(result) if result["ids"] else None

    def _records(self, result: dict[str, Any]) -> Records:
        documents = [dict(metadata or {}) for metadata in result["metadatas"]]
        for key, name in _PARTS.items():
            for document, value in zip(documents, result[name] or [None] * len(documents), strict=True):
                if value is not None:
                    document[key] = value
        vectors = np.asarray(result["embeddings"], np.float32).reshape(len(documents), -1)
        return Records(pa.array(result["ids"], pa.string()), vectors, from_documents(documents))

    def _close_client(self, client: Any) -> None:
        """Close the client, and the connections to a server, which the client leaves open."""
        # The client of a server has two, one of them for tenants and databases. The embedded engine has none.
        parts: list[Any] = [client, getattr(client, "_admin_client", None)]
        sessions = [getattr(getattr(part, "_server", None), "_session", None) for part in parts]
        super()._close_client(client)
        for session in sessions:
            if session is not None:
                session.close()

    def _is_outage(self, error: Exception) -> bool:
        return bool(self.url.host) and isinstance(error, ValueError | OSError)
