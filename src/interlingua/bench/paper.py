"""What the paper reports, cell by cell; figures of version 4."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from interlingua.core.arguments import check_choice, check_text

__all__ = ["PAPER", "cell", "span"]

PAPER: Mapping[str, Any] = json.loads(files("interlingua.bench").joinpath("paper.json").read_text("utf-8"))
# Other medical notes are compared with those of the paper, which require a data use agreement.
_COUNTERPARTS = {"notes": "mimic"}


def cell(table: str, pair: str, column: str) -> Mapping[str, float] | None:
    """Return the paper's figures for its own method; ``None`` where it has no such pair or column.

    The corpus ``notes`` is compared with the paper's medical notes, ``mimic``.
    """
    pairs = PAPER[check_choice(table, "table", tuple(PAPER))]["pairs"]
    column = _COUNTERPARTS.get(check_text(column, "column"), column)
    figures = pairs.get(check_text(pair, "pair"), {}).get(column, {}).get("vec2vec")
    return {"top": figures} if isinstance(figures, float) else figures


def span(table: str, column: str, figure: str) -> tuple[float, float] | None:
    """Return the lowest and the highest of a figure over the paper's pairs; ``None`` where it has none."""
    figure = check_text(figure, "figure")
    cells = [cell(table, pair, column) for pair in PAPER[check_choice(table, "table", tuple(PAPER))]["pairs"]]
    values = [figures[figure] for figures in cells if figures and figure in figures]
    return (min(values), max(values)) if values else None
