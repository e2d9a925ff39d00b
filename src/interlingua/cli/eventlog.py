"""The progress log: one JSON object per line, numbers and names only, never vectors or texts."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

from interlingua.core.atomic import naming
from interlingua.core.errors import InputError
from interlingua.core.progress import Record as EventLog

__all__ = ["EventLog", "open_log"]


_LONGEST_LINE = 100_000


def _check_log(path: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse a log that is an input of the command, or a file that no command logged to.

    Raises:
        InputError: events would be appended to a file that is not a log.
    """
    from interlingua.io import check_output

    check_output(path, [file for file in inputs if file is not None])
    if not path.is_file():
        return
    with path.open("rb") as stream:
        first = stream.readline(_LONGEST_LINE)
    try:
        is_log = not first or "event" in dict(json.loads(first))
    except (ValueError, TypeError):
        is_log = False
    if not is_log:
        raise InputError(
            f"--log {path} exists and is not a log of events; nothing is appended to it. Choose another file."
        )


def _open(path: Path) -> FileIO:
    """Open a log to append to it, without a buffer.

    Raises:
        InputError: it is a pipe that no program reads; opening it would wait without a word until one does.
    """
    if not path.is_fifo():
        return path.open("ab", buffering=0)
    try:
        pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise InputError(
            f"--log {path} is a pipe that no program reads. Start a program that reads it first, or name a file."
        ) from error
    os.set_blocking(pipe, True)
    return FileIO(pipe, "w")


@contextmanager
def open_log(path: Path | None, inputs: Iterable[Path | None] = ()) -> Iterator[EventLog]:
    """Append events to ``path``, or drop them when there is none. Every line is on disk when the call returns.

    Args:
        path: the file; one that exists must be a log.
        inputs: files that the command reads, which are never written to.

    Raises:
        InputError: the file is an input, is not a log, or cannot be written.
    """
    if path is None:
        yield lambda event, **facts: None
        return
    try:
        _check_log(path, inputs)
        # Without a buffer, so that a line that a full disk does not take is no error once more at the end.
        stream = _open(path)
    except OSError as error:
        raise InputError(f"--log {path} cannot be written ({error.strerror}); choose another file.") from error

    lock = threading.Lock()

    def write(event: str, **facts: Any) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts}
        # Events come from the work and, every ten seconds, from the thread that shows its progress.
        with lock, naming(path):
            stream.write(f"{json.dumps(line, default=str)}\n".encode())

    with stream:
        try:
            yield write
        except (Exception, KeyboardInterrupt) as error:
            is_interrupt = isinstance(error, KeyboardInterrupt)
            facts = {"reason": "interrupted"} if is_interrupt else {"error": type(error).__name__}
            with contextlib.suppress(OSError):  # the first error is the one that is reported
                write("stopped", **facts)
            raise
