"""``chroma:///folder#collection`` or ``chroma://host:8000/tenant/database#collection``: embedded or ``chroma run``."""

from __future__ import annotations

import os
from bisect import bisect_right
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
from interlingua.stores._documents import from_documents
from interlingua.stores._protocol import Capabilities, Cursor, Hits, Metric, Spec, StoreInfo, is_unit
from interlingua.stores._url import StoreURL
from interlingua.stores._values import Limits, documents_of

__all__ = ["ChromaStore"]

_SPACES: dict[Metric, str] = {"cosine": "cosine", "dot": "ip", "l2": "l2"}
# Chroma keeps text and address of a row apart from its metadata; here they are two more keys of the document.
_PARTS = {"chroma:document": "documents", "chroma:uri": "uris"}
_LIMITS = Limits("Chroma", flat=True)
_INCLUDED = ["embeddings", "metadatas", *_PARTS.values()]


class ChromaStore(SharedClientStore):
    """One collection. Embeddings are handed over as they are: nothing is ever embedded anew."""

    capabilities: ClassVar[Capabilities] = Capabilities("documents", ("text",), reads_only=False, rows_per_second=1_000)

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if len(url.names) != 1:
            raise InputError(f"{url} names no collection; chroma:///folder#collection is needed.")
        self._name = url.names[0]
        chroma = require("chromadb", "chroma")
        self._failures = require("chromadb.errors", "chroma")
        settings = require("chromadb.config", "chroma").Settings(anonymized_telemetry=False)
        # A server's path names a tenant and a database of it.
        names = url.path.strip("/").split("/") if url.host and url.path.strip("/") else []
        chosen = dict(zip(("tenant", "database"), names, strict=False))
        place = url.path if url.host else str(Path(url.path).resolve())
        self._key = ("chroma", url.host, url.port, place)

        def connect() -> Any:
            if not url.host:
                return chroma.PersistentClient(url.path, settings=settings)
            token = os.environ.get("CHROMA_TOKEN")
            # Servers of one's own take the first, Chroma Cloud the second.
            headers = {"Authorization": f"Bearer {token}", "x-chroma-token": token} if token else {}
            secure = url.options.get("https", "") in {"1", "true"}
            port = url.port or 8000
            return chroma.HttpClient(url.host, port, ssl=secure, headers=headers, settings=settings, **chosen)

        if not url.host and not Path(url.path).parent.is_dir():
            raise InputError(f"The folder {Path(url.path).parent} does not exist; create it or choose another.")
        self._connect = connect

    def exists(self) -> bool:
        """Return whether the collection is there."""
        if not self._has_database():
            return False
        with self._errors("cannot be reached"):
            return any(found.name == self._name for found in self._client.list_collections())

    def info(self) -> StoreInfo:
        """Return what the collection holds."""
        collection = self._open()
        with self._errors("cannot be read"):
            count = collection.count()
            space = (collection.configuration.get("hnsw") or collection.configuration.get("spann") or {}).get("space")
        if not count:
            raise InputError(f"{self.url} is empty; at least 1 row is needed.")
        with self._errors("cannot be read"):
            first = self._records(collection.get(limit=256, include=_INCLUDED))
        metric = next((name for name, known in _SPACES.items() if known == space), None)
        schema = None if first.payload is None else first.payload.schema
        return StoreInfo(
            count=count,
            d=first.vectors.shape[1],
            metric=metric,
            normalized=is_unit(first.vectors),
            id_type=pa.string(),
            schema=schema,
        )

    def scan(self, size: int, after: Cursor = None) -> Iterator[tuple[Records, Cursor]]:
        """List the ids once and read them in order; paging by offset would be quadratic. The cursor is the last id."""
        collection = self._open()
        with self._errors("cannot be read"):
            ids = sorted(collection.get(include=[])["ids"])
        start = 0 if after is None else bisect_right(ids, after)
        for begin in range(start, len(ids), size):
            page = ids[begin : begin + size]
            yield self._fetch(collection, page).in_order_of(pa.array(page, pa.string()), str(self.url)), page[-1]

    def fetch(self, ids: pa.Array) -> Records:
        """Return the rows of these ids."""
        return self._fetch(self._open(), ids.to_pylist()).in_order_of(ids, str(self.url))

    def search(self, queries: FloatArray, k: int) -> list[Hits]:
        """Ask the index."""
        collection, metric = self._open(), self.info().metric
        with self._errors("cannot be searched"):
            found = collection.query(
                query_embeddings=np.asarray(queries, np.float32), n_results=k, include=["distances"]
            )
        hits = []
        for ids, distances in zip(found["ids"], found["distances"], strict=True):
            values = np.asarray(distances, np.float64)
            hits.append(Hits(list(ids), -np.sqrt(values) if metric == "l2" else 1 - values))
        return hits

    def check_records(self, records: Records, spec: Spec) -> None:
        """Refuse payload that flat metadata cannot hold."""
        documents_of(records, str(self.url), _LIMITS)

    def create(self, spec: Spec) -> None:
        """Make the empty collection; its distance cannot be changed later."""
        self.check(spec)
        if self.exists():
            raise OutputExistsError(f"{self.url} exists; choose another name or drop it first.")
        with self._errors("cannot be created"):
            space = {"hnsw": {"space": _SPACES[spec.metric]}}
            self._client.create_collection(self._name, embedding_function=None, configuration=space)

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

    def drop(self, *, beside: bool = False) -> None:
        """Remove the collection."""
        if self.exists():
            with self._errors("cannot be dropped"):
                self._client.delete_collection(self._name)

    def _has_database(self) -> bool:
        """Return False for a folder without a database, in which the embedded client would make one."""
        return bool(self.url.host) or (Path(self.url.path) / "chroma.sqlite3").is_file()

    def _open(self) -> Any:
        if not self.exists():
            known: list[str] = []
            if self._has_database():
                with self._errors("cannot be reached"):
                    known = sorted(found.name for found in self._client.list_collections())
            raise InputError(f"{self.url} is not there; collections are: {', '.join(known) or 'none'}.")
        with self._errors("cannot be read"):
            return self._client.get_collection(self._name, embedding_function=None)

    def _fetch(self, collection: Any, ids: list[str]) -> Records:
        with self._errors("cannot be read"):
            return self._records(collection.get(ids=ids, include=_INCLUDED))

    def _records(self, found: dict[str, Any]) -> Records:
        documents = [dict(metadata or {}) for metadata in found["metadatas"]]
        for key, name in _PARTS.items():
            for document, value in zip(documents, found[name] or [None] * len(documents), strict=True):
                if value is not None:
                    document[key] = value
        vectors = np.asarray(found["embeddings"], np.float32).reshape(len(documents), -1)
        return Records(pa.array(found["ids"], pa.string()), vectors, from_documents(documents))

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        # The embedded engine raises RuntimeError, the server's client ValueError where nobody answers.
        try:
            yield
        except (InputError, OutputExistsError):
            raise
        except (self._failures.ChromaError, ValueError, RuntimeError, TypeError, OSError) as error:
            kind = InterlinguaError if self.url.host and isinstance(error, ValueError | OSError) else InputError
            raise kind(f"{self.url} {what}: {first_line(error)[:300]}") from error
