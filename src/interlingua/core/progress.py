"""Progress of long work, for people and programs.

Long work reports to functions: a fit or an audit calls ``on_step`` with a dict after each step, and whatever reads rows
calls ``on_rows`` with the phase, the rows done and the number of rows. :func:`show_progress` displays both. A terminal
or a notebook gets a bar, and any other stream gets one line every ten seconds, also while no step is reported.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from interlingua.core.arguments import check_callable, check_instance, check_text
from interlingua.core.callbacks import OnStep
from interlingua.core.whole import FIT_SHARES, WholeTime, fit_share
from interlingua.core.wording import describe_rows, describe_step, describe_total, time_taken

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["LINE_SECONDS", "Record", "ShownProgress", "Timed", "fit_progress", "in_notebook", "show_progress"]

# Seconds between two lines of progress where nothing can be drawn.
LINE_SECONDS = 10.0
# Seconds between two records of rows. A phase of many small pages would fill the log.
_RECORD_SECONDS = 1.0
# Seconds between two updates in a notebook; each is a message to the browser.
_UPDATE_SECONDS = 0.2

# Keys of a step with times that count down until the next step.
_LEFT = ("seconds_left", "total_seconds_left")


class Record(Protocol):
    """A function that records events, such as the writer of a log."""

    def __call__(self, event: str, **facts: Any) -> None:
        """Record an event with its facts: numbers and short words."""


class Timed:
    """An ``on_step`` that adds times to each step and passes a copy on, so that the receiver cannot change the step.

    ``elapsed`` are the seconds since the object was made. ``seconds_left`` is added to steps that count, as ``at`` of
    ``of``, by the mean time of those before since the count began, and to steps of a search with a ``budget``, as the
    most that can be left.
    A step keeps a ``seconds_left`` of its own; None means that the time is not known, and nothing is added.
    ``total_seconds_left`` is added where the length of the whole work is known: to the steps of a fit that follow its
    search, and to those of an audit that follow its first defense.

    Args:
        receive: called with each step.
    """

    def __init__(self, receive: OnStep) -> None:
        self.receive = receive
        self._start = time.perf_counter()
        # For each step that counts, where its count began and when, and where it is.
        self._counts: dict[tuple[Any, ...], tuple[float, float, float]] = {}
        self._whole: WholeTime | None = WholeTime({"work": 1.0})
        self._whole.begin("work")
        self._last_share = 0.0

    def __call__(self, step: Mapping[str, Any]) -> None:
        """Pass a step on."""
        elapsed = time.perf_counter() - self._start
        timed = {**step, "elapsed": round(elapsed, 3)}
        left = timed.pop("seconds_left") if "seconds_left" in timed else self._left(timed, elapsed)
        if left is not None:
            timed["seconds_left"] = round(left, 1)
        total = self._total_left(timed)
        if total is not None:
            timed["total_seconds_left"] = round(total, 1)
        self.receive(timed)

    def _total_left(self, step: Mapping[str, Any]) -> float | None:
        share = fit_share(step)
        begins_again = share is not None and share < self._last_share == FIT_SHARES["verdict"]
        # How many further fits follow is not known, as with several candidates.
        if begins_again or step.get("step") == "trial":
            self._whole = None
        if self._whole is None:
            return None
        if share is not None:
            self._last_share = share
            self._whole.reach(share)
        return self._whole.seconds_left() if share is None or share < FIT_SHARES["verdict"] else None

    def _left(self, step: Mapping[str, Any], elapsed: float) -> float | None:
        budget, spent = step.get("budget"), step.get("seconds")
        if budget is not None and spent is not None:
            return max(0.0, float(budget) - float(spent))
        at, of = step.get("at"), step.get("of")
        if at is None or of is None:
            return None
        key = step.get("step"), step.get("side")
        first, since, last = self._counts.get(key, (float(at), elapsed, float(at)))
        if float(at) < last:  # the count began again
            first, since = float(at), elapsed
        self._counts[key] = first, since, float(at)
        done = float(at) - first
        return (elapsed - since) / done * max(0.0, float(of) - float(at)) if done > 0 else None


class ShownProgress:
    """Receives steps and rows, shows them, and records them.

    The object itself is an ``on_step``.

    Args:
        task: what is done.
        record: called with each event.
        whole: the time of the whole work, if the task is a part of it. It is shown, and recorded as
            ``total_elapsed`` and ``total_seconds_left``.
    """

    def __init__(self, task: str, record: Record | None = None, whole: WholeTime | None = None) -> None:
        self.task = task
        self._record = record
        self._whole = whole
        self._started = time.perf_counter()
        self._phase: str | None = None
        self._phase_started = self._recorded = 0.0
        self._first = self._done = 0
        self._state = ""
        self._step: tuple[Mapping[str, Any], float] | None = None

    @property
    def state(self) -> str:
        """What is done now, with the time that is left now."""
        text, known = self._state, self._step
        if known is not None:
            step, since = known
            # A step that takes longer than was estimated has no estimate any more.
            left = {name: max(0.0, step[name] - (self.seconds - since)) for name in _LEFT if step.get(name) is not None}
            text = describe_step({**step, **left})
        if self._whole is None:
            return text
        return (text + describe_total(self._whole.elapsed, self._whole.seconds_left())).removeprefix(", ")

    @property
    def seconds(self) -> float:
        """Wall time since the beginning."""
        return time.perf_counter() - self._started

    def __call__(self, step: Mapping[str, Any]) -> None:
        """Show a step of a fit or an audit, as ``on_step`` is called with it."""
        if self._whole is not None:
            step = {name: value for name, value in step.items() if name != "total_seconds_left"}
            share = fit_share(step)
            if share is not None:
                self._whole.reach(share)
        self._state = describe_step(step)
        self._step = (step, self.seconds) if any(step.get(name) is not None for name in _LEFT) else None
        if self._record is not None:
            self._record("progress", **step, **self._totals())
        # The verdict is the last step of a fit.
        at, of = (1, 1) if step.get("step") == "verdict" else (step.get("at"), step.get("of"))
        self._draw(at, of)

    def on_rows(self, phase: str, done: int, rows: int) -> None:
        """Show the rows done, as ``on_rows`` is called with them.

        Args:
            phase: what is done, such as ``"copying"``.
            done: number of rows done.
            rows: number of rows.
        """
        now = time.perf_counter()
        # Rows of another file may follow in the same phase, and are counted from the first on again.
        begins = phase != self._phase or done < self._done
        if begins:
            self._phase, self._phase_started, self._first = phase, now, done
        self._done = done
        spent = now - self._phase_started
        speed = (done - self._first) / spent if spent > 0 else 0.0
        left = (rows - done) / speed if speed > 0 else None
        self._step, self._state = None, describe_rows(phase, done, rows, speed, left)
        if self._record is not None and (begins or done >= rows or now - self._recorded >= _RECORD_SECONDS):
            self._recorded = now
            facts: dict[str, Any] = {"phase": phase, "done": done, "rows": rows, "seconds": round(spent, 3)}
            facts["seconds_left"] = None if left is None else round(left, 1)
            self._record("rows", **facts, **self._totals())
        self._draw(done, rows)

    def beat(self) -> str:
        """Record that the work goes on, and return the line that says so."""
        state = self.state
        if self._record is not None:
            facts = {"task": self.task, "seconds": round(self.seconds, 1)} | ({"state": state} if state else {})
            self._record("working", **facts, **self._totals())
        return f"{self.task}: {time_taken(round(self.seconds))}" + (f", {state}" if state else "")

    def _totals(self) -> dict[str, float]:
        """Return what a record says of the time of the whole work."""
        if self._whole is None:
            return {}
        left = self._whole.seconds_left()
        elapsed = {"total_elapsed": round(self._whole.elapsed, 1)}
        return elapsed if left is None else elapsed | {"total_seconds_left": round(left, 1)}

    def _draw(self, at: float | None, of: float | None) -> None:
        """Draw the bar, where there is one."""


class _Bar(ShownProgress):
    """Draws one bar."""

    def __init__(self, task: str, record: Record | None, whole: WholeTime | None, bar: Progress) -> None:
        super().__init__(task, record, whole)
        self._bar, self._row = bar, bar.add_task(task, total=None, state="")

    def beat(self) -> str:
        """Draw the time that is left now as well."""
        line = super().beat()
        self._bar.update(self._row, state=self.state)
        return line

    def _draw(self, at: float | None, of: float | None) -> None:
        if not of:
            # The bar of a counted step must not stay full while the next one runs. `update` cannot take a total away.
            next(task for task in self._bar.tasks if task.id == self._row).total = None
        self._bar.update(self._row, completed=(at or 0) if of else None, total=of or None, state=self.state)


class _NotebookBar(ShownProgress):
    """Draws one bar in the output of a notebook's cell."""

    def __init__(self, task: str, record: Record | None, whole: WholeTime | None) -> None:
        from IPython.display import HTML, display

        super().__init__(task, record, whole)
        self._html = HTML
        self._at: float | None = None
        self._of: float | None = None
        self._updated = 0.0
        self._handle = display(HTML(self._markup()), display_id=True)

    def beat(self) -> str:
        """Draw the bar with the present time as well."""
        self.update()
        return super().beat()

    def update(self) -> None:
        """Draw the bar with the present time and state."""
        self._updated = time.perf_counter()
        self._handle.update(self._html(self._markup()))

    def remove(self) -> None:
        """Remove the bar from the output."""
        self._handle.update(self._html(""))

    def _draw(self, at: float | None, of: float | None) -> None:
        self._at, self._of = at, of
        ends = at is not None and of is not None and at >= of
        if ends or time.perf_counter() - self._updated >= _UPDATE_SECONDS:
            self.update()

    def _markup(self) -> str:
        """Return a bar, which is empty where nothing says how far the work is, with the elapsed time and the state."""
        value = f' value="{self._at or 0}" max="{self._of}"' if self._of else ""
        said = f"{time_taken(round(self.seconds))} {escape(self.state or self.task)}"
        return f"<div><progress{value}></progress> {said}</div>"


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, without importing IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def fit_progress(show: bool | None, receive: OnStep) -> Iterator[OnStep]:
    """Show how far a fit is; yields the function to call with each step.

    Args:
        show: True shows it in a notebook or on standard error, False never, None in a notebook only, and there only
            if ``receive`` does not show it already.
        receive: is called with each step as well.
    """
    if show is None:
        show = in_notebook() and not _is_shown(receive)
    if not show:
        yield receive
        return
    with show_progress("Aligning") as display:

        def pass_on(step: dict[str, Any]) -> None:
            display(step)
            receive(step)

        yield Timed(pass_on)
    if not isinstance(display, _Bar | _NotebookBar):
        # Without a bar, a fit of less than ten seconds would show nothing at all.
        _write(display.beat())


def _is_shown(receive: OnStep) -> bool:
    while isinstance(receive, Timed):
        receive = receive.receive
    return isinstance(receive, ShownProgress)


@contextmanager
def show_progress(
    task: str, *, record: Record | None = None, transient: bool = False, whole: WholeTime | None = None
) -> Iterator[ShownProgress]:
    """Show how far long work is, on standard error or in the output of a notebook's cell.

    A terminal or a notebook shows a bar with the elapsed time. Any other stream gets one line every ten seconds; work
    that takes less prints nothing.

    Args:
        task: what is done, such as ``"Aligning"``.
        record: called with each event, for a log; while no step is reported, with ``"working"`` every ten seconds.
        transient: remove the bar at the end.
        whole: the time of the whole work (:class:`interlingua.core.whole.WholeTime`), if the task is a part of it.

    Yields:
        An object to pass as ``on_step``, whose method ``on_rows`` is to be passed as ``on_rows``.

    Raises:
        InputError: ``task`` is not text, ``record`` is not a function, or ``whole`` is not a `WholeTime`.

    Example:
        >>> import numpy as np, interlingua as il
        >>> x = np.random.default_rng(0).standard_normal((400, 8))
        >>> with il.show_progress("Aligning") as progress:
        ...     alignment = il.align(x, x[:, ::-1], pairs=[[i, i] for i in range(100)], on_step=progress)
    """
    task = check_text(task, "task")
    if record is not None:
        check_callable(record, "record", "a function of an event and its facts, or None,")
    check_instance(whole, "whole", (WholeTime, type(None)), "a WholeTime or None")
    if in_notebook():
        notebook = _NotebookBar(task, record, whole)
        with _beating(notebook.beat):
            yield notebook
        if transient:
            notebook.remove()
        else:
            notebook.update()
        return
    screen = _screen()
    if screen.is_terminal and not screen.is_dumb_terminal:
        with _bars(screen, transient) as bar:
            display: ShownProgress = _Bar(task, record, whole, bar)
            with _beating(display.beat):
                yield display
    else:
        display = ShownProgress(task, record, whole)
        with _beating(lambda: _write(display.beat())):
            yield display


@contextmanager
def _beating(beat: Callable[[], Any]) -> Iterator[None]:
    """Call ``beat`` every ten seconds in a thread of its own, because a step may take minutes."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(LINE_SECONDS):
            beat()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _screen() -> Console:
    from interlingua.core.screen import Screen

    return Screen(stderr=True)


def _bars(screen: Console, transient: bool) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    return Progress(*columns, TextColumn("{task.fields[state]}"), console=screen, transient=transient)


def _write(line: str) -> None:
    from interlingua.core.screen import visible

    sys.stderr.write(visible(line) + "\n")
    sys.stderr.flush()
