"""Addresses of stores: what is in them, and that no secret is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from interlingua.core.errors import InputError

# Scheme -> where its secret comes from, for the message to whoever put it into the URL.
SECRETS = {
    "postgresql": "PGPASSWORD or ~/.pgpass",
    "qdrant": "QDRANT_API_KEY",
    "chroma": "CHROMA_TOKEN",
    "milvus": "MILVUS_TOKEN",
}
_LOOKS_LIKE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


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
            self.options.get("host"),
            path,
            self.names[: max(1, len(self.names) - 1)],
        )


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
    if not _LOOKS_LIKE_URL.match(text):
        return StoreURL("file", text)
    scheme = text.split("://", 1)[0].lower()
    scheme = {"postgres": "postgresql"}.get(scheme, scheme)
    if scheme not in options:
        raise InputError(f"{scheme}:// is no store interlingua knows; known are {', '.join(options)}.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InputError(
            f"The {scheme}:// address cannot be read; is the port a number and every bracket closed?"
        ) from None
    if parts.password is not None:
        raise InputError(
            f"The {scheme}:// address holds a password, which process lists and shell histories would show. "
            f"Leave it out and set {SECRETS.get(scheme, 'it in the environment')}."
        )
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = sorted(asked.keys() - set(options[scheme]))
    if unknown:
        known = ", ".join(options[scheme]) or "none"
        raise InputError(f"The {scheme}:// address has the option {unknown[0]!r}; known are: {known}.")
    names = tuple(unquote(name) for name in parts.fragment.split(".")) if parts.fragment else ()
    if any(not name or "\0" in name for name in names):
        raise InputError(
            f"The {scheme}:// address has an empty name behind #; #collection or #collection.vector is needed."
        )
    path, host = unquote(parts.path), unquote(parts.hostname) if parts.hostname else None
    if scheme in {"memory", "file"} and host:
        path, host = host + path, None
    return StoreURL(scheme, path, names, host, port, unquote(parts.username) if parts.username else None, asked)
