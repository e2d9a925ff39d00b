"""Text on a terminal: names and ids from files are printed literally, whatever characters they hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

__all__ = ["STDOUT", "Screen", "naming_stream", "visible"]

# Name of the stream in errors of the system.
STDOUT = "standard output"

# Characters that move a cursor, change a terminal or reverse the direction of text; line ends and tabs are harmless.
_CONTROLS = [*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_VISIBLE = {code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS}
_NARROWEST, _USUAL_WIDTH, _UNLIMITED = 20, 80, 10_000


def visible(text: str) -> str:
    """Return a string with control characters escaped, so that ids and names from files cannot control a terminal."""
    return text.translate(_VISIBLE)


@contextmanager
def naming_stream(*, stderr: bool = False) -> Iterator[None]:
    """Name standard output in an error of the system, such as of a full disk, which names no file.

    An error of standard error is dropped: messages that nobody can read must not stop a fit or a migration.
    """
    try:
        yield
    except OSError as error:
        if stderr:
            return
        if error.errno is not None and error.filename is None:
            error.filename = STDOUT
        raise


class Screen(Console):
    """A console that prints text from files literally: control characters are escaped and markup is off."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False)
        # Some terminals report a width of 0, and COLUMNS can hold any number; nothing can be printed in that width.
        if self.width < _NARROWEST:
            self.width = _USUAL_WIDTH

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `rich.console.Console.print` does; what standard error cannot take is lost and stops no work.

        A table that does not fit is printed wider than the terminal, which may break its lines: a figure that is cut
        reads as another figure. Only tables with a column that folds its cells keep to the terminal.
        """
        for each in objects:
            if isinstance(each, Table) and self._widen(each):
                options = {"crop": False, **options}
        with naming_stream(stderr=self.stderr):
            super().print(*objects, **options)

    def _widen(self, table: Table) -> bool:
        """Widen a table that the terminal would cut until every word fits; return whether it would be cut."""
        if any(column.overflow == "fold" for column in table.columns):
            return False
        unlimited = self.options.update(max_width=_UNLIMITED)
        spans = []
        for column in table.columns:
            sizes = [self.measure(cell, options=unlimited) for cell in (column.header, *column.cells)]
            least, most = max(size.minimum for size in sizes), max(size.maximum for size in sizes)
            if column.no_wrap:
                column.min_width = most
            else:
                spans.append((least, most))
        needed = self.measure(table, options=unlimited).minimum
        # Rich takes room from the widest columns first, until all are as wide as the widest word.
        widest_word = max((least for least, _ in spans), default=0)
        needed += sum(min(most, widest_word) - least for least, most in spans)
        if needed > self.width:
            table.width = needed
        return needed > self.width

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a renderable, with control characters escaped."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))
