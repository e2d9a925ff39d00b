"""What goes to the terminal: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from interlingua.core.errors import SpaceMismatchWarning
from interlingua.core.wording import describe_step

__all__ = [
    "LINE_SECONDS",
    "STATUS_STYLES",
    "Stopwatch",
    "WarningPrinter",
    "audit_progress",
    "emit_json",
    "fit_progress",
    "note",
    "row_progress",
    "stderr",
    "stdout",
    "visible",
    "working",
]

# Seconds between two lines of progress if standard error is not a terminal.
LINE_SECONDS = 10.0
# Characters that move a cursor, change a terminal or reverse the direction of text; line ends and tabs are harmless.
_CONTROLS = [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_VISIBLE = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_NARROWEST, _USUAL_WIDTH = 20, 80
STATUS_STYLES = {"aligned": "bold green", "doubtful": "bold yellow", "failed": "bold red"}


def visible(text: str) -> str:
    """Return a string with control characters escaped, so that ids and names from files cannot control a terminal."""
    return text.translate(_VISIBLE)


class _Screen(Console):
    """A console that prints text from files literally: control characters are escaped and markup is off."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)
        # Some terminals report a width of 0, and COLUMNS can hold any number; nothing can be printed in that width.
        if self.width < _NARROWEST:
            self.width = _USUAL_WIDTH

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def stdout() -> Console:
    """Return a console on standard output; created on each use, because tests and pipes replace the stream."""
    return _Screen()


def stderr() -> Console:
    """Return a console on standard error."""
    return _Screen(stderr=True)


def emit_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output; a number that JSON cannot hold becomes null."""
    typer.echo(json.dumps(_plain(result), allow_nan=False))


def note(message: str) -> None:
    """Print a message that is not a result on standard error."""
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
def working(task: str) -> Iterator[None]:
    """Show a spinner on a terminal while a task of unknown length runs."""
    with stderr().status(f"{task} ..."):
        yield


@contextmanager
def audit_progress() -> Iterator[Callable[[str], None]]:
    """Show which part of an audit runs; yields the function to call with the name of each part as it begins.

    If standard error is not a terminal, it gets one line for each part.
    """
    screen, started = stderr(), time.monotonic()
    if not screen.is_terminal:
        yield lambda part: note(f"{part} ({time.monotonic() - started:.0f} s)")
        return
    with screen.status("Auditing ...") as status:
        yield lambda part: status.update(f"{part} ({time.monotonic() - started:.0f} s) ...")


@contextmanager
def fit_progress(task: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show how far a fit is; yields the function to call with each step.

    A terminal shows the task, elapsed time and the last step, while a network is trained also its loss terms and the
    time left. If standard error is not a terminal, it gets one line every ten seconds.
    """
    screen = stderr()
    if screen.is_terminal:
        yield from _fit_bar(screen, task)
    else:
        yield from _fit_lines(task)


def _fit_bar(screen: Console, task: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[state]}"), console=screen) as bar:
        row = bar.add_task(task, total=None, state="")

        def follow(step: dict[str, Any]) -> None:
            if step.get("step") == "train":
                bar.update(row, completed=step["at"], total=step["of"], state=describe_step(step))
            else:
                bar.update(row, state=describe_step(step))

        yield follow


def _fit_lines(task: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    watch, ended = Stopwatch(), threading.Event()
    state = ""

    def follow(step: dict[str, Any]) -> None:
        nonlocal state
        state = describe_step(step)

    def write() -> None:
        # A step may take minutes, so lines are not tied to steps.
        while not ended.wait(LINE_SECONDS):
            note(f"{task}: {watch.seconds:.0f} s" + (f", {state}" if state else ""))

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    try:
        yield follow
    finally:
        ended.set()
        writer.join()


class _RateColumn(ProgressColumn):
    """Rows per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="progress.data.speed")


def row_progress() -> Progress:
    """Return a bar with rows, rows per second and time left on standard error, shown on a terminal only."""
    screen = stderr()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        console=screen,
        disable=not screen.is_terminal,
    )


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
