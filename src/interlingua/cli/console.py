"""What goes to the terminal: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console

from interlingua.core.errors import SpaceMismatchWarning
from interlingua.core.progress import Record, show_progress
from interlingua.core.screen import Screen, naming_stream, visible
from interlingua.core.whole import WholeTime

__all__ = [
    "STATUS_STYLES",
    "ExplainedInterrupt",
    "Stopwatch",
    "WarningPrinter",
    "echo",
    "emit_json",
    "ending_on_sigterm",
    "note",
    "show_progress",
    "stderr",
    "stdout",
    "visible",
    "working",
]

STATUS_STYLES = {"aligned": "bold green", "doubtful": "bold yellow", "failed": "bold red"}


class ExplainedInterrupt(KeyboardInterrupt):
    """An interrupt by Ctrl-C for which the command has already printed what to do."""


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM interrupt work as Ctrl-C does: the same results are kept and the same messages printed.

    Work that an interrupt ends has the exit code of SIGTERM; work that goes on with what it has keeps its own. A
    handler that the caller has set is left alone. Windows sends no SIGTERM.
    """
    number, received = signal.SIGTERM, list[int]()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(number) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt as error:
        if not received:
            raise
        raise typer.Exit(128 + number) from error
    finally:
        signal.signal(number, signal.SIG_DFL)


def stdout() -> Console:
    """Return a console on standard output; created on each use, because tests and pipes replace the stream."""
    return Screen()


def stderr() -> Console:
    """Return a console on standard error."""
    return Screen(stderr=True)


def emit_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output; a number that JSON cannot hold becomes null."""
    echo(json.dumps(_plain(result), allow_nan=False))


def echo(text: str) -> None:
    """Print a line on standard output."""
    with naming_stream():
        typer.echo(text)


def note(message: str) -> None:
    """Print a message that is not a result on standard error."""
    with naming_stream(stderr=True):
        typer.echo(visible(message), err=True)


class WarningPrinter:
    """Prints warnings as sentences, without the line of code that raised them.

    A warning that every batch of a file raises again, with other numbers, is printed once.
    """

    def __init__(self) -> None:
        self._printed: set[object] = set()

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Print a warning; the signature is that of :func:`warnings.showwarning`."""
        key = category if issubclass(category, SpaceMismatchWarning) else str(message)
        if key not in self._printed:
            self._printed.add(key)
            note(f"Warning: {message}")


@contextmanager
def working(task: str, record: Record | None = None, whole: WholeTime | None = None) -> Iterator[None]:
    """Show on standard error that a task of unknown length runs, and record it every ten seconds."""
    with show_progress(task, record=record, transient=True, whole=whole):
        yield


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time, rounded to milliseconds."""
        return round(time.perf_counter() - self._start, 3)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
