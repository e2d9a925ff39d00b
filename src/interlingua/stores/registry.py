"""The table of stores. Addresses, secrets, extras, help texts and the documentation are made from its rows.

An installed package adds a store of its own: an entry point of the group ``interlingua.stores``, named by the scheme of
the addresses, that refers to a `StoreKind`.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any

from interlingua.core.arguments import check_text, check_texts, shown
from interlingua.core.entrypoints import check_not_taken, declared, describe_entry_point, load_entry_point
from interlingua.core.errors import InputError, InputWarning, InterlinguaError, cause_of

__all__ = [
    "ALIASES",
    "ENTRY_POINTS",
    "STORES",
    "StoreKind",
    "address_forms",
    "available_stores",
    "find_kind",
    "secret_sources",
    "store_names",
]

# Packages add stores of their own under this group: scheme = "package.module:KIND".
ENTRY_POINTS = "interlingua.stores"
# Other schemes of the same databases, which no package can take either.
ALIASES: Mapping[str, str] = MappingProxyType({"postgres": "postgresql"})
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


@dataclass(frozen=True, kw_only=True)
class StoreKind:
    """One kind of store.

    Attributes:
        scheme: of its addresses.
        title: its name in prose.
        adapter: module and class, a subclass of `Store`, as ``package.module:Class``; imported on use.
        addresses: examples, one for each form.
        options: names that may follow the question mark of an address.
        extra: the extra of interlingua that installs its client, ``None`` where none is needed.
        embedded: an address without a host names a file or folder of this machine.
        server: an address can name a host.
        user: an address can name a user before the host.
        server_path: what the path behind a host names, with its form; ``None`` where an address has no such path.
        secret: where its password or key is read from, ``None`` where it has none.
        secret_options: names of options that would hold a secret; they are refused like a password in the address.

    Raises:
        InputError: a field of another type, or an adapter that does not name a module and a class.
    """

    scheme: str
    title: str
    adapter: str
    addresses: tuple[str, ...]
    options: tuple[str, ...] = ()
    extra: str | None = None
    embedded: bool = False
    server: bool = False
    user: bool = False
    server_path: str | None = None
    secret: str | None = None
    secret_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the fields, which a package of others may have written."""
        kind = f"StoreKind {shown(self.scheme)}"
        for name in ("scheme", "title", "adapter"):
            check_text(getattr(self, name), f"{kind}: {name}")
        for name in ("addresses", "options", "secret_options"):
            object.__setattr__(self, name, tuple(check_texts(getattr(self, name), f"{kind}: {name}")))
        if not re.fullmatch(r"[\w.]+:\w+", self.adapter):
            raise InputError(f"{kind}: adapter is {shown(self.adapter)}; package.module:Class is needed.")

    def load(self) -> Any:
        """Return the adapter's class; its client is imported only when a store is opened.

        Raises:
            InputError: the module cannot be imported or has no such class.
            MissingExtraError: the module says that an optional dependency is not installed.
        """
        module, _, name = self.adapter.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except InterlinguaError:
            raise
        except Exception as error:  # importing runs code of the package, which can raise anything
            raise InputError(
                f"The adapter {self.adapter} of {self.scheme}:// cannot be imported ({type(error).__name__}: "
                f"{cause_of(error)}). Correct its package, or uninstall it."
            ) from error


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
        adapter="interlingua.stores.files:FileStore",
        addresses=("rows.parquet", "file://rows.parquet?id=key#column"),
        options=("id",),
        embedded=True,
    ),
    StoreKind(
        scheme="memory",
        title="This process",
        adapter="interlingua.stores.memory:MemoryStore",
        addresses=("memory://name#collection.vector",),
    ),
    StoreKind(
        scheme="lancedb",
        title="LanceDB",
        adapter="interlingua.stores.lance:LanceStore",
        addresses=("lancedb:///folder#table.column",),
        options=("id",),
        extra="lancedb",
        embedded=True,
    ),
    StoreKind(
        scheme="postgresql",
        title="PostgreSQL with pgvector",
        adapter="interlingua.stores.postgres:PostgresStore",
        addresses=("postgresql://user@host/database#table.column",),
        options=("id", *_LIBPQ),
        extra="postgres",
        server=True,
        user=True,
        server_path="a database, /database",
        secret="PGPASSWORD or ~/.pgpass",
        secret_options=("password", "sslpassword"),
    ),
    StoreKind(
        scheme="qdrant",
        title="Qdrant",
        adapter="interlingua.stores.qdrant:QdrantStore",
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
        adapter="interlingua.stores.edge:EdgeStore",
        addresses=("qdrant-edge:///folder#shard.vector",),
        extra="qdrant-edge",
        embedded=True,
    ),
    StoreKind(
        scheme="chroma",
        title="Chroma",
        adapter="interlingua.stores.chroma:ChromaStore",
        addresses=("chroma:///folder#collection", "chroma://host:8000/tenant/database#collection"),
        options=("https",),
        extra="chroma",
        embedded=True,
        server=True,
        server_path="a tenant and a database, /tenant/database",
        secret="CHROMA_TOKEN",
        secret_options=("token", "api_key", "password"),
    ),
    StoreKind(
        scheme="milvus",
        title="Milvus",
        adapter="interlingua.stores.milvus:MilvusStore",
        addresses=("milvus:///file.db#collection.field", "milvus://host:19530/database#collection.field"),
        options=("https",),
        extra="milvus",
        embedded=True,
        server=True,
        server_path="a database, /database",
        secret="MILVUS_TOKEN",
        secret_options=("token", "password"),
    ),
    StoreKind(
        scheme="duckdb",
        title="DuckDB",
        adapter="interlingua.stores.duckdb:DuckStore",
        addresses=("duckdb:///file.duckdb#table.column",),
        options=("id",),
        extra="duckdb",
        embedded=True,
    ),
    StoreKind(
        scheme="faiss",
        title="FAISS",
        adapter="interlingua.stores.faiss:FaissStore",
        addresses=("faiss:///file.faiss", "faiss:///file.faiss?index=hnsw"),
        options=("index",),
        extra="faiss",
        embedded=True,
    ),
)
STORES: Mapping[str, StoreKind] = MappingProxyType({kind.scheme: kind for kind in _KINDS})


def available_stores() -> Mapping[str, StoreKind]:
    """Return every kind of store by its scheme: those of interlingua, and those that installed packages add.

    Raises:
        InputError: a package declares a scheme that is taken or cannot be used, or something other than a `StoreKind`.

    Warns:
        InputWarning: a package declares a store that cannot be imported; it is left out.
    """
    kinds = dict(STORES)
    for point in _points():
        try:
            thing = load_entry_point(point)
        except InputError as error:
            warnings.warn(str(error), InputWarning, stacklevel=2)
        else:
            kinds[point.name] = _checked_kind(point, thing)
    return kinds


def store_names() -> list[str]:
    """Return the scheme of every kind of store; nothing of another package is imported."""
    return list(dict.fromkeys([*STORES, *(point.name for point in _points())]))


def find_kind(scheme: str) -> StoreKind | None:
    """Return the kind of store of a scheme, ``None`` if there is none; packages are only searched for other schemes.

    Raises:
        InputError: as in `available_stores`, or what a package declares under this scheme cannot be imported.
    """
    scheme = ALIASES.get(scheme, scheme)
    if scheme in STORES:
        return STORES[scheme]
    point = next((point for point in _points() if point.name == scheme), None)
    return None if point is None else _checked_kind(point, load_entry_point(point))


def _points() -> tuple[EntryPoint, ...]:
    points = declared(ENTRY_POINTS)
    check_not_taken(points, (*STORES, *ALIASES), "has the scheme of another store")
    return points


def _checked_kind(point: EntryPoint, kind: Any) -> StoreKind:
    if not isinstance(kind, StoreKind) or kind.scheme != point.name or not _SCHEME.fullmatch(kind.scheme):
        raise InputError(
            f"{describe_entry_point(point)} is not a StoreKind with the scheme {point.name!r} in lower case. Correct "
            "its package, or uninstall it."
        )
    return kind


def address_forms() -> str:
    """Return the addresses that a command takes, one of each kind of store in full, as a phrase for its help."""
    kinds = [kind for kind in _shown_stores() if kind.scheme not in {"file", "memory"}]
    *first, last = [kind.addresses[0] if kind.addresses else f"{kind.scheme}://" for kind in kinds]
    paths = "a path after :/// is absolute, and one after ://./ is relative to this folder"
    return f"a file, or {', '.join(first)} or {last} ({paths})"


def secret_sources() -> str:
    """Return where passwords and keys are read from, as a phrase for the help of a command."""
    return ", ".join(kind.secret for kind in _shown_stores() if kind.secret)


def _shown_stores() -> list[StoreKind]:
    """Return every kind of store for a help text, which is shown even if a package declares one that is refused."""
    try:
        return list(available_stores().values())
    except InputError:
        return list(STORES.values())
