"""What goes to the terminal: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Text

from interlingua.core.errors import SpaceMismatchWarning

_SHOWN_TERMS = ("loss", "reconstruction", "cycle", "vsp", "adversarial", "latent_adversarial")
# What moves a cursor, changes a terminal or turns text around; line ends and tabs are harmless.
_CONTROLS = [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_VISIBLE = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
STATUS_STYLES = {"aligned": "bold green", "doubtful": "bold yellow", "failed": "bold red"}


def visible(text: str) -> str:
    """Return a text with control characters written out, so that ids and names of others cannot steer a terminal."""
    return text.translate(_VISIBLE)


class _Screen(Console):
    """A console on which what comes from files is only ever text: no control characters, no markup."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def stdout() -> Console:
    """Return a console on standard output; made on use, because tests and pipes replace the stream."""
    return _Screen(highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """Return a console on standard error."""
    return _Screen(stderr=True, highlight=False, markup=False, emoji=False)


def emit_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output; a number that JSON cannot hold becomes null."""
    typer.echo(json.dumps(_plain(result), allow_nan=False))


def note(message: str) -> None:
    """Say something that is no result."""
    typer.echo(visible(message), err=True)


class WarningPrinter:
    """Prints warnings as sentences, without the line of code that raised them.

    What every batch of a file would say again in other numbers is said once.
    """

    def __init__(self) -> None:
        self._said: set[object] = set()

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Stand in for :func:`warnings.showwarning`."""
        what = category if issubclass(category, SpaceMismatchWarning) else str(message)
        if what not in self._said:
            self._said.add(what)
            note(f"Warning: {message}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show that something without a known length goes on, where a person watches."""
    with stderr().status(f"{what} ..."):
        yield


@contextmanager
def training_progress(what: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show the steps of a training run with its loss terms and the time left; yields what to call after each."""
    screen = stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[terms]}"), console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task(f"{what} ...", total=None, terms="")

        def follow(step: dict[str, Any]) -> None:
            if step.get("step") == "train":
                shown = {name: step[name] for name in _SHOWN_TERMS if name in step}
                terms = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
                bar.update(task, completed=step["at"], total=step["of"], terms=terms)

        yield follow


class _RateColumn(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "", style="progress.data.speed")


def row_progress() -> Progress:
    """Return a bar with rows, rows a second and time left on standard error; silent where nobody watches."""
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
