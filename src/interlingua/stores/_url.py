"""Addresses of stores: their parts, and a refusal of addresses that hold a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from interlingua.core.errors import InputError
from interlingua.stores.registry import STORES

# What a connection string of another tool, or a mistyped address, looks like.
_MALFORMED = re.compile(
    rf"://|^\s*(?:jdbc|postgres|{'|'.join(STORES)}):|(?:pass\w*|pwd|token|secret|api[_-]?key)\s*=", re.IGNORECASE
)
_LOOKS_LIKE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


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
        server += f"{self.host or ''}:{self.port}" if self.port else self.host or ""
        options = "&".join(f"{key}={quote(value, safe='/')}" for key, value in self.options.items())
        names = ".".join(quote(name, safe=" ").replace(".", "%2E") for name in self.names)
        path = quote(self.path, safe="/ ")
        slash = "/" if server and path and not path.startswith("/") else ""
        query, fragment = f"?{options}" if options else "", f"#{names}" if names else ""
        return f"{self.scheme}://{server}{slash}{path}{query}{fragment}"

    @property
    def on_disk(self) -> bool:
        """Whether the path is a file or folder of this machine."""
        return self.host is None and STORES[self.scheme].embedded

    @property
    def place(self) -> tuple[object, ...]:
        """Parts that are equal for two addresses of one collection, however they are spelled."""
        path = str(Path(self.path).resolve()) if self.on_disk else self.path
        return (
            self.scheme,
            self.host,
            self.port,
            self.options.get("host"),
            path,
            self.names[: max(1, len(self.names) - 1)],
        )


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
    if not _LOOKS_LIKE_URL.match(text):
        if _MALFORMED.search(text) and not Path(text).exists():
            raise InputError(
                "An address is neither a path nor of the form scheme://host/path#collection. It is not repeated, "
                "because it may hold a secret. Write it as one of: " + ", ".join(f"{name}://" for name in STORES) + "."
            )
        return StoreURL("file", text)
    scheme = text.split("://", 1)[0].lower()
    scheme = {"postgres": "postgresql"}.get(scheme, scheme)
    kind = STORES.get(scheme)
    if kind is None:
        raise InputError(f"{scheme}:// is no store interlingua knows; known are {', '.join(STORES)}.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise InputError(
            f"The {scheme}:// address cannot be read; is the port a number and every bracket closed?"
        ) from None
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.password is not None or options.keys() & set(kind.secret_options):
        raise InputError(
            f"The {scheme}:// address holds a password, which process lists and shell histories would show. "
            f"Leave it out and set {kind.secret or 'it in the environment'}."
        )
    unknown = sorted(options.keys() - set(kind.options))
    if unknown:
        if not options[unknown[0]]:  # perhaps a secret in the wrong place, so it is not repeated
            raise InputError(f"The {scheme}:// address has an option without a value; ?name=value is needed.")
        known = ", ".join(kind.options) or "none"
        raise InputError(f"The {scheme}:// address has the option {unknown[0]!r}; known are: {known}.")
    names = tuple(unquote(name) for name in parts.fragment.split(".")) if parts.fragment else ()
    if any(not name or "\0" in name for name in names):
        raise InputError(
            f"The {scheme}:// address has an empty name behind #; #collection or #collection.vector is needed."
        )
    path, host = unquote(parts.path), unquote(parts.hostname) if parts.hostname else None
    if scheme in {"memory", "file"} and host:
        path, host = host + path, None
    return StoreURL(scheme, path, names, host, port, unquote(parts.username) if parts.username else None, options)
