"""How far a fit is, shown in a notebook or on a terminal while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any

from interlingua.core.wording import describe_step

__all__ = ["fit_progress", "in_notebook"]

# Seconds between two updates; each is a message to the browser.
_UPDATE_SECONDS = 0.2

_Follow = Callable[[dict[str, Any]], None]


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook, without importing IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def fit_progress(show: bool | None, receive: _Follow) -> Iterator[_Follow]:
    """Show how far a fit is; yields the function to call with each step.

    Args:
        show: True shows it in a notebook or on standard error, False never, None in a notebook only.
        receive: is called with each step as well.
    """
    in_browser = in_notebook()
    if not (in_browser if show is None else show):
        yield receive
        return
    with (contextmanager(_in_notebook) if in_browser else contextmanager(_on_terminal))() as follow:

        def pass_on(step: dict[str, Any]) -> None:
            follow(step)
            receive(step)

        yield pass_on


def _in_notebook() -> Iterator[_Follow]:
    from IPython.display import HTML, display

    started = time.perf_counter()
    shown = 0.0
    handle = display(HTML(_markup({}, 0.0)), display_id=True)

    def follow(step: dict[str, Any]) -> None:
        nonlocal shown
        now = time.perf_counter()
        if now - shown >= _UPDATE_SECONDS or step.get("step") == "verdict":
            shown = now
            handle.update(HTML(_markup(step, now - started)))

    yield follow


def _markup(step: Mapping[str, Any], seconds: float) -> str:
    """Return a bar, which is empty where nothing says how far the fit is, with the elapsed time and the step."""
    at, of = step.get("at"), step.get("of")
    value = ""
    if step.get("step") == "verdict":
        value = ' value="1" max="1"'
    elif isinstance(at, int | float) and isinstance(of, int | float):
        value = f' value="{at}" max="{of}"'
    return f"<div><progress{value}></progress> {seconds:.0f} s {escape(describe_step(step))}</div>"


def _on_terminal() -> Iterator[_Follow]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (BarColumn(bar_width=20), TimeElapsedColumn(), TextColumn("{task.fields[state]}", markup=False))
    with Progress(*columns, console=console) as bar:
        row = bar.add_task("", total=None, state="")

        def follow(step: dict[str, Any]) -> None:
            share = {"completed": step["at"], "total": step["of"]} if step.get("step") == "train" else {}
            bar.update(row, state=describe_step(step), **share)

        yield follow
