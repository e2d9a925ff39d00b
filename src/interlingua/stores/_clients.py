"""Database clients that the stores of one process share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar

from interlingua.core.errors import InputError
from interlingua.stores._base import Adapter

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


class SharedClientStore(Adapter):
    """A store whose client is opened on first use and shared by the stores of this process.

    A subclass sets ``_key``, which is equal for stores that share a client, and ``_connect``, which opens one.
    """

    _key: Any
    _connect: Callable[[], Any]
    _acquired: Any = None

    def close(self) -> None:
        """Close the client, unless another store of this process uses it."""
        with _LOCK:
            if self._acquired is not None:
                self._acquired = None
                release(self._key, self._close_client)
        super().close()

    def _close_client(self, client: Any) -> None:
        client.close()

    @property
    def _client(self) -> Any:
        with _LOCK:
            if self._acquired is None:
                with self._errors("cannot be opened"):
                    self._acquired = acquire(self._key, self._connect)
            return self._acquired


class CollectionStore(SharedClientStore):
    """One of the collections of a server or of an embedded database.

    A subclass sets ``_name``, the collection, and ``_database_file``, a file that every embedded database has.
    """

    _name: str
    _database_file: ClassVar[str] = ""

    def exists(self) -> bool:
        """Return whether the collection exists."""
        return self._has_collection()

    def _has_database(self) -> bool:
        """Return False for a path without a database, where an embedded client would make one."""
        if self._database_file and not self.url.host and Path(self.url.path).is_file():
            raise InputError(f"{self.url}: {self.url.path} is a file, and the path of a folder is needed.")
        return bool(self.url.host) or Path(self.url.path, self._database_file).exists()

    @abstractmethod
    def _collections(self) -> list[str]:
        """Return the names of the collections of the client."""

    def _has_collection(self) -> bool:
        """Return whether the collection exists; nothing is made."""
        if not self._has_database():
            return False
        with self._errors("cannot be reached"):
            return self._find_collection()

    def _find_collection(self) -> bool:
        """Return whether the client knows the collection."""
        return self._name in self._collections()

    def _check_collection(self) -> None:
        """Refuse a collection that does not exist, with the names of those that do."""
        if self._has_collection():
            return
        existing: list[str] = []
        if self._has_database():
            with self._errors("cannot be reached"):
                existing = sorted(self._collections())
        raise self._missing(existing)
