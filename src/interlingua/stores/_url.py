"""Addresses of stores: their parts, and a refusal of addresses that hold a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from interlingua.core.errors import InputError
from interlingua.stores._secrets import may_hold_secret
from interlingua.stores.registry import ALIASES, STORES, StoreKind, find_kind, store_names

# Options with few values. Another one is refused by name only: libpq and clients would repeat the value.
_NUMBER, _SWITCH, _DEMAND = r"\d{1,9}", "[01]", "disable|prefer|require"
_VALUES = {
    "https": "0|1|true|false", "index": "flat|hnsw", "prefix": r"/?[\w.-]+(/[\w.-]+)*/?",
    "sslmode": "disable|allow|prefer|require|verify-ca|verify-full", "port": r"\d{1,5}",
    "connect_timeout": _NUMBER, "keepalives": _SWITCH, "keepalives_idle": _NUMBER, "keepalives_interval": _NUMBER,
    "keepalives_count": _NUMBER, "tcp_user_timeout": _NUMBER, "channel_binding": _DEMAND, "gssencmode": _DEMAND,
    "sslnegotiation": "postgres|direct", "sslcompression": _SWITCH, "sslcertmode": "disable|allow|require",
    "sslsni": _SWITCH, "ssl_min_protocol_version": r"TLSv1(\.[0-3])?", "ssl_max_protocol_version": r"TLSv1(\.[0-3])?",
    "gssdelegation": _SWITCH, "load_balance_hosts": "disable|random", "hostaddr": "[0-9A-Fa-f.:,]+",
    "target_session_attrs": "any|read-write|read-only|primary|standby|prefer-standby",
    "require_auth": r"!?[a-z0-9-]+(,!?[a-z0-9-]+)*",
}  # fmt: skip
_ON_WINDOWS = os.name == "nt"
_DRIVE, _WINDOWS_PATH = re.compile(r"/[A-Za-z]:/"), re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:///?[A-Za-z]:\\")
_LOOKS_LIKE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_KNOWN_WORDS = re.compile(
    r"\W*(?:jdbc|odbc|postgres\w*|pg|psql|qdrant|chroma|milvus|lancedb|duckdb|faiss)[\w+.-]*\s*:", re.I
)


@dataclass(frozen=True)
class StoreURL:
    """An address without secrets, safe to print and to log.

    Attributes:
        scheme: the kind of store.
        path: folder or file, or the name of a server's database.
        names: collection or table, then vector or column if the address names one.
        host: name of a server, ``None`` for a store of this machine.
        port: of the server.
        user: of the server; never a password.
        options: names and values after the question mark.
    """

    scheme: str
    path: str
    names: tuple[str, ...] = ()
    host: str | None = None
    port: int | None = None
    user: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the address in the form in which a user writes it."""
        if self.scheme == "file" and not self.names and not self.options:
            return self.path
        server = f"{quote(self.user, safe='')}@" if self.user else ""
        server += f"{self.url_host}:{self.port}" if self.port else self.url_host
        options = "&".join(f"{key}={quote(value, safe='/')}" for key, value in self.options.items())
        names = ".".join(quote(name, safe=" ").replace(".", "%2E") for name in self.names)
        path = quote(self.path, safe="/ ")
        if _ON_WINDOWS and self.host is None and _DRIVE.match(f"/{self.path}"):
            path = f"/{quote(self.path, safe='/ :')}"
        slash = "/" if server and path and not path.startswith("/") else ""
        query, fragment = f"?{options}" if options else "", f"#{names}" if names else ""
        return f"{self.scheme}://{server}{slash}{path}{query}{fragment}"

    @property
    def url_host(self) -> str:
        """The host as it stands in a URL, an IPv6 address in brackets; empty without a host."""
        return f"[{self.host}]" if self.host and ":" in self.host else self.host or ""

    @property
    def kind(self) -> StoreKind:
        """The kind of store.

        Raises:
            InputError: no store has this scheme.
        """
        kind = find_kind(self.scheme)
        if kind is None:
            raise _unknown_scheme(self.scheme)
        return kind

    @property
    def on_disk(self) -> bool:
        """Whether the path is a file or folder of this machine."""
        return self.host is None and self.kind.embedded

    @property
    def resolved_path(self) -> str | None:
        """The absolute path of a store of this machine, ``None`` for a server."""
        is_path = self.scheme != "memory" and self.on_disk
        return str(Path(self.path).resolve()) if is_path else None

    @property
    def uses_https(self) -> bool:
        """Whether the connection to the server is encrypted."""
        return self.options.get("https", "") in {"1", "true"}

    @property
    def collection_key(self) -> tuple[object, ...]:
        """Parts that are equal for two addresses of one collection, however they are spelled."""
        path = str(Path(self.path).resolve()) if self.on_disk else self.path
        return (
            self.scheme,
            self.host,
            self.port,
            *(self.options.get(name) for name in ("host", "hostaddr", "service", "prefix")),
            path,
            self.names[: max(1, len(self.names) - 1)],
        )


def check_no_secret(argument: str) -> None:
    """Refuse an argument of a command that has the form of an address, and cannot be one that is safe to print.

    Args:
        argument: what was typed.

    Raises:
        InputError: it may hold a secret; nothing of it is repeated.
    """
    scheme = argument.strip().split("://", 1)[0].lower()
    is_address = scheme in {*STORES, *ALIASES}
    if is_address or may_hold_secret(argument) or _KNOWN_WORDS.match(argument):
        if _LOOKS_LIKE_URL.match(argument.strip()) and not is_address:
            raise InputError("An argument is an address that holds a password or a key. Leave it out of the address.")
        parse_url(argument)


def parse_url(text: str) -> StoreURL:
    """Return the parts of an address.

    Args:
        text: ``scheme://[user@host[:port]]/path[?option=value]#collection[.vector]``, or the path of a file. A dot or
            another special character inside a name is written in percent-encoding, such as ``%2E``.

    Raises:
        InputError: an unknown scheme or option, or a secret in the address. The message does not repeat the secret.
    """
    if not text:
        raise InputError("The address of a store is empty; a path or a URL such as lancedb:///path#table is needed.")
    if _LOOKS_LIKE_URL.match(text):
        text = text.rstrip("\t\r\n")
    else:
        if _KNOWN_WORDS.match(text) or "://" in text or (may_hold_secret(text) and not text.startswith("./")):
            raise InputError(
                "An address is neither a path nor of the form scheme://host/path#collection. It is not repeated, "
                "because it may hold a secret. Write it as one of: " + ", ".join(f"{name}://" for name in STORES) + ". "
                "The path of a file with such characters starts with ./"
            )
        path, _, column = text.partition("#")
        if path and path != text and Path(path).exists() and not Path(text).exists():
            named = StoreURL("file", path, (column or "COLUMN",))
            raise InputError(f"{text}: no such file. To read a column of {path}, write {named}.")
        return StoreURL("file", text)
    scheme = text.split("://", 1)[0].lower()
    scheme = ALIASES.get(scheme, scheme)
    kind = find_kind(scheme)
    if kind is None:
        raise _unknown_scheme(scheme)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(
            f"The {scheme}:// address holds bytes that are not text in the encoding of this system. If they are UTF-8, "
            "set the environment variable PYTHONUTF8=1."
        )
    if kind.embedded and _WINDOWS_PATH.match(text):
        raise InputError(
            f"The {scheme}:// address holds a path of Windows with backslashes. Write it with slashes, as "
            f"{scheme}:///C:/folder/name."
        )
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InputError(
            f"The {scheme}:// address cannot be read; is the port a number and every bracket closed?"
        ) from None
    user = unquote(parts.username) if parts.username else None
    if parts.password is not None or (user is not None and (":" in user or "@" in (parts.username or ""))):
        raise InputError(
            f"The {scheme}:// address holds a password, which process lists and shell histories would show. "
            f"Leave it out and set {kind.secret or 'it in the environment'}."
        )
    options = _options(parts.query, kind)
    if may_hold_secret(text.split("?", 1)[0].split("#", 1)[0]) or "@" in parts.path + parts.query + parts.fragment:
        raise InputError(
            f"The {scheme}:// address has @ in a place where it may end a password. Put a password into "
            f"{kind.secret or 'the environment'}; in a name, @ is written %40."
        )
    if re.search("[#?=&]", parts.fragment):
        raise InputError(
            f"The {scheme}:// address has one of # ? = & behind the first #. Options come before #; inside a name "
            "such a "
            "character is written %23, %3F, %3D or %26."
        )
    names = tuple(unquote(name) for name in parts.fragment.split(".")) if parts.fragment else ()
    if any(not name or "\0" in name for name in names):
        raise InputError(
            f"The {scheme}:// address has an empty name behind #; #collection or #collection.vector is needed."
        )
    path, host = unquote(parts.path), unquote(parts.hostname) if parts.hostname else None
    if "\0" in path + (host or "") + (user or ""):
        raise InputError(f"The {scheme}:// address holds a NUL character.")
    if _ON_WINDOWS and not host and _DRIVE.match(path):
        path = path.removeprefix("/")  # as in file:///C:/folder
    if not kind.server or parts.netloc in {".", ".."}:
        # A relative path: what is the host elsewhere is its first folder, in capitals or not.
        if user is not None or port is not None:
            raise InputError(f"The {scheme}:// address names a path and has a user or a port; leave them out.")
        path, host = unquote(parts.netloc) + path, None
    url = StoreURL(scheme, path, names, host, port, user, options)
    return _postgres(url) if scheme == "postgresql" else _check_parts(url)


def _options(query: str, kind: StoreKind) -> dict[str, str]:
    scheme = kind.scheme
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    if given.keys() & set(kind.secret_options):
        raise InputError(
            f"The {scheme}:// address holds a password, which process lists and shell histories would show. "
            f"Leave it out and set {kind.secret or 'it in the environment'}."
        )
    unknown = sorted(given.keys() - set(kind.options))
    if unknown and not given[unknown[0]]:
        raise InputError(f"The {scheme}:// address has an option without a value; ?name=value is needed.")
    if unknown:
        # A cut password may look like the name of an option: only names that some store knows are repeated.
        known_options = {name for known in STORES.values() for name in known.options} | {"ssl", "timeout", "tenant"}
        shown = next(
            (f"the option {name!r}" for name in unknown if name in known_options), "an option that it does not take"
        )
        known = ", ".join(kind.options) or "none"
        form = f" Addresses are {' or '.join(kind.addresses)}." if kind.server_path else ""
        raise InputError(f"The {scheme}:// address has {shown}; known are: {known}.{form}")
    if len(pairs) != len(given):
        raise InputError(f"The {scheme}:// address has an option twice; each is given once.")
    for name, value in given.items():
        allowed = _VALUES.get(name)
        if not value or "\0" in value or may_hold_secret(value) or (allowed and not re.fullmatch(allowed, value)):
            needed = (
                f"one of {allowed.replace('|', ', ' if allowed.count('|') > 1 else ' or ')} is needed"
                if allowed and re.fullmatch(r"[\w|-]+", allowed)
                else "see its documentation"
            )
            raise InputError(
                f"The {scheme}:// address gives the option {name!r} a value that it does not take; {needed}."
            )
    return given


def _check_parts(url: StoreURL) -> StoreURL:
    """Return the address of a store if its client uses every part of it."""
    kind = url.kind
    if url.host is None:
        if url.user is not None or url.port is not None or {"https", "prefix"} & url.options.keys():
            raise InputError(f"The {url.scheme}:// address has a user, a port or an option of a server and no host.")
        return url
    if url.user is not None and not kind.user:
        source = f" A key comes from {kind.secret}." if kind.secret else ""
        raise InputError(f"The {url.scheme}:// address has a user before the host, which is not used.{source}")
    path = url.path.strip("/")
    if path and kind.server_path is None:
        raise InputError(f"The {url.scheme}:// address has a path behind the host, which is not used; leave it out.")
    if path and kind.server_path and (len(path.split("/")) != kind.server_path.count("/") or "" in path.split("/")):
        raise InputError(f"The {url.scheme}:// address has another path behind the host than {kind.server_path}.")
    # An address with a slash at its end names the same collection.
    return replace(url, path=f"/{path}" if path else "")


def _unknown_scheme(scheme: str) -> InputError:
    shown = f"{scheme}://" if len(scheme) <= 20 else "The scheme of the address"
    return InputError(f"{shown} is not a store that interlingua knows; it knows {', '.join(store_names())}.")


def _postgres(url: StoreURL) -> StoreURL:
    """Return the address with the parts that libpq also takes as options in their own places."""
    given = {"host": url.host, "port": url.port, "user": url.user, "dbname": url.path.strip("/") or None}
    if "/" in url.path.removeprefix("/"):
        raise InputError("The postgresql:// address has a path of several parts; it is the name of one database.")
    repeated = sorted(name for name, value in given.items() if value is not None and name in url.options)
    if repeated:
        raise InputError(f"The postgresql:// address names {repeated[0]} twice, also as an option; give it once.")
    rest = {name: value for name, value in url.options.items() if name not in {"port", "user", "dbname"}}
    port = int(url.options["port"]) if "port" in url.options else url.port
    path = f"/{url.options['dbname']}" if "dbname" in url.options else url.path
    return replace(url, port=port, user=url.options.get("user", url.user), path=path, options=rest)
