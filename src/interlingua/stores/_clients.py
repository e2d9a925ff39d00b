"""Database clients that the stores of one process share, and what their errors say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_CLIENTS: dict[Any, tuple[Any, int]] = {}


def acquire(key: Any, connect: Callable[[], Any]) -> Any:
    """Return the client for ``key``, made on first use: a process can open an embedded database only once."""
    client, users = _CLIENTS.get(key) or (connect(), 0)
    _CLIENTS[key] = client, users + 1
    return client


def release(key: Any, close: Callable[[Any], object]) -> None:
    """Close the client for ``key`` when this was its last user."""
    if key not in _CLIENTS:
        return
    client, users = _CLIENTS.pop(key)
    if users > 1:
        _CLIENTS[key] = client, users - 1
    else:
        close(client)


def first_line(error: Exception) -> str:
    """Return the first line of a client's error; some clients append whole stack traces."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
