"""Addresses of stores: what is in them, and that no secret is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from interlingua.core.addresses import may_hold_secret
from interlingua.core.errors import InputError

# Scheme -> where its secret comes from, for the message to whoever put it into the URL.
SECRETS = {
    "postgresql": "PGPASSWORD or ~/.pgpass",
    "qdrant": "QDRANT_API_KEY",
    "chroma": "CHROMA_TOKEN",
    "milvus": "MILVUS_TOKEN",
}
# What libpq takes beside host, user, database and secrets, and what is true of every connection made here.
LIBPQ = (
    "host", "hostaddr", "port", "user", "dbname", "passfile", "require_auth", "channel_binding", "connect_timeout",
    "options", "application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
    "tcp_user_timeout", "gssencmode", "sslmode", "sslnegotiation", "sslcompression", "sslcert", "sslkey", "sslcertmode",
    "sslrootcert", "sslcrl", "sslcrldir", "sslsni", "requirepeer", "ssl_min_protocol_version",
    "ssl_max_protocol_version", "krbsrvname", "gsslib", "gssdelegation", "service", "target_session_attrs",
    "load_balance_hosts",
)  # fmt: skip
# Options with few values. Another one is refused by name only: libpq and clients would repeat the value.
_NUMBER, _SWITCH, _DEMAND = r"\d{1,9}", "[01]", "disable|prefer|require"
_VALUES = {
    "https": "0|1|true|false", "sslmode": "disable|allow|prefer|require|verify-ca|verify-full", "port": r"\d{1,5}",
    "connect_timeout": _NUMBER, "keepalives": _SWITCH, "keepalives_idle": _NUMBER, "keepalives_interval": _NUMBER,
    "keepalives_count": _NUMBER, "tcp_user_timeout": _NUMBER, "channel_binding": _DEMAND, "gssencmode": _DEMAND,
    "sslnegotiation": "postgres|direct", "sslcompression": _SWITCH, "sslcertmode": "disable|allow|require",
    "sslsni": _SWITCH, "ssl_min_protocol_version": r"TLSv1(\.[0-3])?", "ssl_max_protocol_version": r"TLSv1(\.[0-3])?",
    "gssdelegation": _SWITCH, "load_balance_hosts": "disable|random", "hostaddr": "[0-9A-Fa-f.:,]+",
    "target_session_attrs": "any|read-write|read-only|primary|standby|prefer-standby",
    "require_auth": r"!?[a-z0-9-]+(,!?[a-z0-9-]+)*",
}  # fmt: skip
# Parts before # that a server's address may have beside host and port; all other schemes name a folder or a file.
_SERVERS: Mapping[str, frozenset[str]] = {
    "postgresql": frozenset({"user", "path"}),
    "qdrant": frozenset(),
    "chroma": frozenset(),
    "milvus": frozenset(),
}
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
        names: collection or table, and vector or column where one is named.
        host: of a server.
        port: of a server.
        user: of a server; never a password.
        options: what stands behind the question mark.
    """

    scheme: str
    path: str
    names: tuple[str, ...] = ()
    host: str | None = None
    port: int | None = None
    user: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the address as it is typed."""
        if self.scheme == "file" and not self.names and not self.options:
            return self.path
        where = f"{quote(self.user, safe='')}@" if self.user else ""
        where += f"{self.host or ''}:{self.port}" if self.port else self.host or ""
        asked = "&".join(f"{key}={quote(value, safe='/')}" for key, value in self.options.items())
        names = ".".join(quote(name, safe=" ").replace(".", "%2E") for name in self.names)
        path = quote(self.path, safe="/ ")
        slash = "/" if where and path and not path.startswith("/") else ""
        return f"{self.scheme}://{where}{slash}{path}{'?' + asked if asked else ''}{'#' + names if names else ''}"

    @property
    def place(self) -> tuple[object, ...]:
        """What two addresses have in common that lead to one collection."""
        path = str(Path(self.path).resolve()) if self.host is None and self.scheme != "postgresql" else self.path
        return (
            self.scheme,
            self.host,
            self.port,
            *(self.options.get(name) for name in ("host", "hostaddr", "service")),
            path,
            self.names[: max(1, len(self.names) - 1)],
        )


def refuse_secret(argument: str, *, options: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse an argument of a command that has the form of an address, and cannot be one that is safe to print.

    Args:
        argument: what was typed.
        options: as in `parse_url`.

    Raises:
        InputError: it may hold a secret; nothing of it is repeated.
    """
    scheme = argument.strip().split("://", 1)[0].lower()
    if scheme in {*options, "postgres"} or may_hold_secret(argument) or _KNOWN_WORDS.match(argument):
        if _LOOKS_LIKE_URL.match(argument.strip()) and scheme not in {*options, "postgres"}:
            raise InputError("An argument is an address that holds a password or a key. Leave it out of the address.")
        parse_url(argument, options=options)


def parse_url(text: str, *, options: Mapping[str, tuple[str, ...]]) -> StoreURL:
    """Return the parts of an address.

    Args:
        text: ``scheme://[user@host[:port]]/path[?option=value]#collection[.vector]``, or the path of a file. A dot or
            another special character inside a name is written ``%2E``.
        options: the options that each known scheme takes.

    Raises:
        InputError: an unknown scheme or option, or a secret in the address, which is not repeated in the message.
    """
    if not text:
        raise InputError("The address of a store is empty; a path or a URL such as lancedb:///path#table is needed.")
    if _LOOKS_LIKE_URL.match(text.lstrip()):
        text = text.lstrip().rstrip("\t\r\n")
    elif _KNOWN_WORDS.match(text) or (may_hold_secret(text) and ("://" in text or not text.startswith("./"))):
        raise InputError(
            "The address is neither the path of a file nor a URL, and is not repeated, because it may hold a secret. "
            "A URL is scheme://[user@host[:port]]/path[?option=value]#collection; a path with such characters starts "
            "with ./ ."
        )
    else:
        return StoreURL("file", text)
    scheme = text.split("://", 1)[0].lower()
    scheme = {"postgres": "postgresql"}.get(scheme, scheme)
    if scheme not in options:
        shown = f"{scheme}://" if len(scheme) <= 20 else "The scheme of the address"
        raise InputError(f"{shown} is no store interlingua knows; known are {', '.join(options)}.")
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
            f"Leave it out and set {SECRETS.get(scheme, 'it in the environment')}."
        )
    asked = _options(parts.query, scheme, options)
    if may_hold_secret(text.split("?", 1)[0].split("#", 1)[0]) or "@" in parts.path + parts.query + parts.fragment:
        raise InputError(
            f"The {scheme}:// address has @ in a place where it may end a password. A password belongs into "
            f"{SECRETS.get(scheme, 'the environment')}; in a name, @ is written %40."
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
    if scheme in {"memory", "file"} or parts.netloc in {".", ".."}:
        # A relative path: what is the host elsewhere is its first folder, in capitals or not.
        if user is not None or port is not None:
            raise InputError(f"The {scheme}:// address names a path and has a user or a port; leave them out.")
        path, host = unquote(parts.netloc) + path, None
    url = StoreURL(scheme, path, names, host, port, user, asked)
    return _postgres(url) if scheme == "postgresql" else _used(url)


def _options(query: str, scheme: str, options: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    asked = dict(pairs)
    known = ", ".join(options[scheme]) or "none"
    unknown = sorted(asked.keys() - set(options[scheme]))
    if unknown:
        # A cut password may look like the name of an option: only names that somebody may mean are repeated.
        meant = {name for names in options.values() for name in names} | {*LIBPQ, "password", "api_key", "token", "ssl"}
        shown = next((f"the option {name!r}" for name in unknown if name in meant), "an option that it does not take")
        raise InputError(f"The {scheme}:// address has {shown}; known are: {known}.")
    if len(pairs) != len(asked):
        raise InputError(f"The {scheme}:// address has an option twice; each is given once.")
    for name, value in asked.items():
        allowed = _VALUES.get(name)
        if not value or "\0" in value or may_hold_secret(value) or (allowed and not re.fullmatch(allowed, value)):
            needed = (
                f"one of {allowed.replace('|', ', ')} is needed"
                if allowed and re.fullmatch(r"[\w|-]+", allowed)
                else "see its documentation"
            )
            raise InputError(
                f"The {scheme}:// address gives the option {name!r} a value that it does not take; {needed}."
            )
    return asked


def _used(url: StoreURL) -> StoreURL:
    """Return the address of a store if its client uses every part of it."""
    if url.host is None:
        if url.user is not None or url.port is not None or "https" in url.options:
            raise InputError(f"The {url.scheme}:// address has a user, a port or an option of a server and no host.")
        return url
    if url.scheme not in _SERVERS:
        if url.user is not None or url.port is not None:
            raise InputError(f"The {url.scheme}:// address names a path and has a user or a port; leave them out.")
        return url
    if url.user is not None and "user" not in _SERVERS[url.scheme]:
        raise InputError(
            f"The {url.scheme}:// address has a user before the host, which is not used. A key comes from "
            f"{SECRETS[url.scheme]}."
        )
    if url.path.strip("/") and "path" not in _SERVERS[url.scheme]:
        raise InputError(f"The {url.scheme}:// address has a path behind the host, which is not used; leave it out.")
    return url


def _postgres(url: StoreURL) -> StoreURL:
    """Return the address with the parts that libpq also takes as options in their own places."""
    given = {"host": url.host, "port": url.port, "user": url.user, "dbname": url.path.strip("/") or None}
    if "/" in url.path.removeprefix("/"):
        raise InputError("The postgresql:// address has a path of several parts; it is the name of one database.")
    twice = sorted(name for name, value in given.items() if value is not None and name in url.options)
    if twice:
        raise InputError(f"The postgresql:// address names {twice[0]} twice, also as an option; give it once.")
    rest = {name: value for name, value in url.options.items() if name not in {"port", "user", "dbname"}}
    port = int(url.options["port"]) if "port" in url.options else url.port
    path = f"/{url.options['dbname']}" if "dbname" in url.options else url.path
    return replace(url, port=port, user=url.options.get("user", url.user), path=path, options=rest)
