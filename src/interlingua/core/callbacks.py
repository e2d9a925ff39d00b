"""Functions of callers that long work reports to.

There are two kinds. A fit or an audit has different steps, each with numbers of its own, and how many there will be is
not known beforehand, so it calls ``on_step`` with a dict. Work on rows counts the rows of each phase, so it calls
``on_rows`` with three values. What :func:`interlingua.core.progress.show_progress` yields receives both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["OnRows", "OnStep"]

# Called after each step with its name as ``step`` and with its numbers and short words; where they are known, also with
# ``at`` and ``of`` (a count), and with ``elapsed``, ``seconds_left`` and ``total_seconds_left`` (seconds).
OnStep = Callable[[dict[str, Any]], None]
# Called with the phase in words, the rows done so far in this phase, and the rows of the phase.
OnRows = Callable[[str, int, int], None]
