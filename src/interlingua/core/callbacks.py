"""Functions of callers that long work reports to.

There are two, because there are two kinds of work. A fit or an audit is made of different steps, each with numbers of
its own, and nobody can count them before: it calls ``on_step`` with a dict. Work on rows is a count in each phase: it
calls ``on_rows`` with three values. A `ShownProgress` takes both, so that one bar shows both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["OnRows", "OnStep"]

# Called after each step with its name as ``step`` and its numbers and short words, and as far as they are known with
# ``at`` and ``of`` (a count), ``elapsed``, ``seconds_left`` and ``total_seconds_left`` (seconds).
OnStep = Callable[[dict[str, Any]], None]
# Called with the phase in words, the rows done so far in this phase, and the rows of the phase.
OnRows = Callable[[str, int, int], None]
