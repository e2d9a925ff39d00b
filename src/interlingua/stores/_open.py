"""From a URL to the adapter behind it; the table is closed and adapters load on use."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from interlingua.stores._protocol import Store
from interlingua.stores._url import LIBPQ, StoreURL, parse_url

# Scheme -> module, class, options. A scheme is no module path from outside: nothing else can be imported through it.
_ADAPTERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "file": ("files", "FileStore", ("id",)),
    "memory": ("memory", "MemoryStore", ()),
    "lancedb": ("lance", "LanceStore", ("id",)),
    "postgresql": ("postgres", "PostgresStore", ("id", *LIBPQ)),
    "qdrant": ("qdrant", "QdrantStore", ("https",)),
    "qdrant-edge": ("edge", "EdgeStore", ()),
    "chroma": ("chroma", "ChromaStore", ("https",)),
    "milvus": ("milvus", "MilvusStore", ("https",)),
    "duckdb": ("duckdb", "DuckStore", ("id",)),
    "faiss": ("faiss", "FaissStore", ("index",)),
}
SCHEMES: Mapping[str, tuple[str, ...]] = MappingProxyType({name: entry[2] for name, entry in _ADAPTERS.items()})


def open_store(url: str | StoreURL) -> Store:
    """Open a store; nothing is created.

    Args:
        url: see :mod:`interlingua.stores`.

    Raises:
        InputError: the URL cannot be read, the place is not there, or the server does not answer.
        MissingExtraError: the store's client is not installed.
    """
    url = parse_url(url, options=SCHEMES) if isinstance(url, str) else url
    module, name, _ = _ADAPTERS[url.scheme]
    store: Store = getattr(importlib.import_module(f"interlingua.stores.{module}"), name)(url)
    return store
