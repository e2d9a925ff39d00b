"""The progress log: one JSON object a line, numbers and names only, never vectors or texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from interlingua.core.errors import InputError

__all__ = ["EventLog", "open_log"]


class EventLog(Protocol):
    """A function that records events."""

    def __call__(self, event: str, **facts: Any) -> None:
        """Record an event with its facts."""


@contextmanager
def open_log(path: Path | None) -> Iterator[EventLog]:
    """Append events to ``path``, or drop them when there is none. Every line is on disk when the call returns.

    Raises:
        InputError: the file cannot be written.
    """
    if path is None:
        yield lambda event, **facts: None
        return
    try:
        stream = path.open("a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--log {path} cannot be written ({error.strerror}); choose another file.") from error

    def write(event: str, **facts: Any) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        stream.write(json.dumps(line, default=str) + "\n")
        stream.flush()

    with stream:
        try:
            yield write
        except Exception as error:
            write("stopped", error=type(error).__name__)
            raise
