"""Database clients that the stores of one process share, and what their errors say."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any

from interlingua.stores._protocol import Store

_CLIENTS: dict[Any, tuple[Any, int]] = {}
# Held while a client is opened or closed as well, so that no second one is opened meanwhile.
_LOCK = RLock()


def acquire(key: Any, connect: Callable[[], Any]) -> Any:
    """Return the client for ``key``, made on first use: a process can open an embedded database only once."""
    with _LOCK:
        client, users = _CLIENTS.get(key) or (connect(), 0)
        _CLIENTS[key] = client, users + 1
        return client


def release(key: Any, close: Callable[[Any], object]) -> None:
    """Close the client for ``key`` when this was its last user."""
    with _LOCK:
        if key not in _CLIENTS:
            return
        client, users = _CLIENTS.pop(key)
        if users > 1:
            _CLIENTS[key] = client, users - 1
        else:
            close(client)


class SharedClientStore(Store):
    """A store whose client is opened on first use and shared by the stores of this process.

    A subclass sets ``_key``, which is equal for stores that share a client, and ``_connect``, which opens one.
    """

    _key: Any
    _connect: Callable[[], Any]
    _held: Any = None

    def close(self) -> None:
        """Close the client, once nobody else in this process uses it."""
        with _LOCK:
            if self._held is not None:
                self._held = None
                release(self._key, lambda client: client.close())
        super().close()

    @property
    def _client(self) -> Any:
        with _LOCK:
            if self._held is None:
                with self._errors("cannot be opened"):
                    self._held = acquire(self._key, self._connect)
            return self._held

    @abstractmethod
    def _errors(self, what: str) -> AbstractContextManager[None]:
        """Turn errors of the client into an `InputError` that begins with the address and ``what``."""


def first_line(error: Exception) -> str:
    """Return the first line of a client's error; some clients append whole stack traces."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def sql_literal(value: Any) -> str:
    """Return a whole number or a text as it is written in SQL."""
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
