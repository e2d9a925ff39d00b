"""The table of stores. Addresses, secrets, extras, help texts and the documentation are made from its rows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlingua.stores._protocol import Store

__all__ = ["StoreKind", "address_forms", "secret_sources"]


@dataclass(frozen=True, kw_only=True)
class StoreKind:
    """One kind of store.

    Attributes:
        scheme: of its addresses.
        title: its name in prose.
        adapter: module of this package and class, as ``module:Class``; imported on use.
        addresses: examples, one for each form.
        options: names that may follow the question mark of an address.
        extra: what installs its client, ``None`` where no client is needed.
        embedded: an address without a host names a file or folder of this machine.
        server: an address can name a host.
        secret: where its password or key is read from, ``None`` where it has none.
        secret_options: names of options that would hold a secret; they are refused like a password in the address.
    """

    scheme: str
    title: str
    adapter: str
    addresses: tuple[str, ...]
    options: tuple[str, ...] = ()
    extra: str | None = None
    embedded: bool = False
    server: bool = False
    secret: str | None = None
    secret_options: tuple[str, ...] = ()

    def load(self) -> type[Store]:
        """Return the adapter's class; its client is imported only when a store is opened."""
        module, name = self.adapter.split(":")
        adapter: type[Store] = getattr(importlib.import_module(f"interlingua.stores.{module}"), name)
        return adapter


# Options of libpq that an address may set. None of them is a password or a key.
_LIBPQ = (
    "host", "hostaddr", "port", "user", "dbname", "passfile", "require_auth", "channel_binding", "connect_timeout",
    "options", "application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout", "gssencmode", "sslmode", "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslcertmode",
    "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer", "ssl_min_protocol_version",
    "ssl_max_protocol_version", "krbsrvname", "gsslib", "gssdelegation", "service", "target_session_attrs",
    "load_balance_hosts",
)  # fmt: skip

_KINDS = (
    StoreKind(
        scheme="file",
        title="Files",
        adapter="files:FileStore",
        addresses=("rows.parquet", "file://rows.parquet?id=key#column"),
        options=("id",),
        embedded=True,
    ),
    StoreKind(
        scheme="memory",
        title="This process",
        adapter="memory:MemoryStore",
        addresses=("memory://name#collection.vector",),
    ),
    StoreKind(
        scheme="lancedb",
        title="LanceDB",
        adapter="lance:LanceStore",
        addresses=("lancedb:///folder#table.column",),
        options=("id",),
        extra="lancedb",
        embedded=True,
    ),
    StoreKind(
        scheme="postgresql",
        title="PostgreSQL with pgvector",
        adapter="postgres:PostgresStore",
        addresses=("postgresql://user@host/database#table.column",),
        options=("id", *_LIBPQ),
        extra="postgres",
        server=True,
        secret="PGPASSWORD or ~/.pgpass",
        secret_options=("password", "sslpassword"),
    ),
    StoreKind(
        scheme="qdrant",
        title="Qdrant",
        adapter="qdrant:QdrantStore",
        addresses=("qdrant:///folder#collection.vector", "qdrant://host:6333#collection.vector"),
        options=("https", "prefix"),
        extra="qdrant",
        embedded=True,
        server=True,
        secret="QDRANT_API_KEY",
        secret_options=("api_key", "api-key", "token", "password"),
    ),
    StoreKind(
        scheme="qdrant-edge",
        title="Qdrant Edge",
        adapter="edge:EdgeStore",
        addresses=("qdrant-edge:///folder#shard.vector",),
        extra="qdrant-edge",
        embedded=True,
    ),
    StoreKind(
        scheme="chroma",
        title="Chroma",
        adapter="chroma:ChromaStore",
        addresses=("chroma:///folder#collection", "chroma://host:8000/tenant/database#collection"),
        options=("https",),
        extra="chroma",
        embedded=True,
        server=True,
        secret="CHROMA_TOKEN",
        secret_options=("token", "api_key", "password"),
    ),
    StoreKind(
        scheme="milvus",
        title="Milvus",
        adapter="milvus:MilvusStore",
        addresses=("milvus:///file.db#collection.field", "milvus://host:19530/database#collection.field"),
        options=("https",),
        extra="milvus",
        embedded=True,
        server=True,
        secret="MILVUS_TOKEN",
        secret_options=("token", "password"),
    ),
    StoreKind(
        scheme="duckdb",
        title="DuckDB",
        adapter="duckdb:DuckStore",
        addresses=("duckdb:///file.duckdb#table.column",),
        options=("id",),
        extra="duckdb",
        embedded=True,
    ),
    StoreKind(
        scheme="faiss",
        title="FAISS",
        adapter="faiss:FaissStore",
        addresses=("faiss:///file.faiss", "faiss:///file.faiss?index=hnsw"),
        options=("index",),
        extra="faiss",
        embedded=True,
    ),
)
STORES: Mapping[str, StoreKind] = MappingProxyType({kind.scheme: kind for kind in _KINDS})


def address_forms() -> str:
    """Return the addresses that a command takes, as a phrase for its help."""
    *first, last = [f"{kind.scheme}://" for kind in _KINDS if kind.embedded or kind.server if kind.scheme != "file"]
    return f"a file, or {', '.join(first)} or {last}"


def secret_sources() -> str:
    """Return where passwords and keys are read from, as a phrase for the help of a command."""
    return ", ".join(kind.secret for kind in _KINDS if kind.secret)
