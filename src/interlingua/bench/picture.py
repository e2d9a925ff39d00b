"""A table of the paper as one picture: every seed a mark, the paper's figure beside them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from interlingua.bench.page import group_records
from interlingua.bench.paper import cell
from interlingua.bench.plan import table_of
from interlingua.core.arrays import require
from interlingua.core.errors import InputError

__all__ = ["picture"]

_MARKS = {"aligned": ("o", "#0072b2"), "doubtful": ("s", "#e69f00"), "failed": ("x", "#d55e00")}
_INCHES_A_LINE = 0.26


def picture(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return a table as SVG: a line for every pair and column, a mark for every seed by the verdict of its fit.

    Args:
        name: name of the table.
        records: as :func:`interlingua.bench.run` returns them.

    Raises:
        InputError: there are no records.
        MissingExtraError: the extra ``report`` is not installed.
    """
    table = table_of(name)
    groups = group_records(records)
    if not groups:
        raise InputError("There are no records to draw.")
    require("matplotlib", "report")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figures = [figure for _, figure, _ in table.columns]
    shown = "top1" if "top1" in figures else figures[0]
    figure = Figure(figsize=(6.4, 1.2 + _INCHES_A_LINE * len(groups)), layout="constrained")
    axes = figure.add_subplot()
    for status, (marker, color) in _MARKS.items():
        drawn = [
            (record["figures"][shown], at)
            for at, (_, group) in enumerate(groups)
            for record in group
            if record["verdict"] == status and shown in record["figures"]
        ]
        if drawn:
            axes.plot(*zip(*drawn, strict=True), marker, color=color, alpha=0.8, label=status)
    firsts = [group[0] for _, group in groups]
    theirs = [(row, (cell(name, r["pair"], r["column"]) or {}).get(shown)) for row, r in enumerate(firsts)]
    known = [(row, value) for row, value in theirs if value is not None]
    if known:
        axes.plot([v for _, v in known], [row for row, _ in known], "D", color="black", mfc="none", label="paper")
    axes.set_yticks(range(len(groups)), [f"{group[0]['pair']}, {heading}" for heading, group in groups])
    axes.set(ylim=(len(groups) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel=f"{shown.replace('_', ' ')}, every seed")
    axes.grid(axis="x", linewidth=0.4)
    axes.set_title(table.title, fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    stream = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "interlingua"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
