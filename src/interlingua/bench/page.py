"""Records as a table in Markdown or CSV, next to the paper's figures."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from interlingua.bench.paper import PAPER, cell, span
from interlingua.bench.plan import Table, table_of
from interlingua.leakage._checks import check_members

__all__ = ["comma_separated", "grouped", "header", "lines", "notes", "page"]

_SUMS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "median": lambda values: float(np.median(values)),
    "mean": lambda values: float(np.mean(values)),
    "min": min,
    "max": max,
}


def header(name: str) -> list[str]:
    """Return the headings of a table; the paper's come last."""
    table = table_of(name)
    ours = [heading for heading, *_ in table.columns]
    return ["pair", "on", "seeds", "verdicts", *ours, *(f"paper: {heading}" for heading, _ in table.paper_columns)]


def lines(name: str, records: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a line for every pair, column and corpus of the fits, in the order in which they were measured."""
    table = table_of(name)
    return [_line(name, table, on, same) for on, same in grouped(records)]


def grouped(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the records of every line, with the heading of its column, which names the corpus if there are several."""
    records = check_members(records, "records", Mapping, "records, as run returns them,")
    groups = dict[tuple[str, str, str], list[Mapping[str, Any]]]()
    for record in records:
        groups.setdefault((record["pair"], record["column"], record["corpus"]), []).append(record)
    several = len({corpus for _, _, corpus in groups}) > 1
    return [
        (f"{column}, fitted on {corpus}" if several and corpus != column else column, same)
        for (_, column, corpus), same in groups.items()
    ]


def _line(name: str, table: Table, on: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    pair, column = records[0]["pair"], records[0]["column"]
    verdicts = Counter(record["verdict"] for record in records)
    counts = ", ".join(
        f"{verdicts[status]} {status}" for status in ("aligned", "doubtful", "failed") if verdicts[status]
    )
    ours = []
    for _, figure, how in table.columns:
        values = [record["figures"][figure] for record in records if figure in record["figures"]]
        ours.append(_number(figure, _SUMS[how](values)) if values else "")
    theirs = cell(name, pair, column) or {}
    paper = [_number(figure, theirs[figure]) if figure in theirs else "" for _, figure in table.paper_columns]
    return [pair, on, str(len(records)), counts, *ours, *paper]


def _number(figure: str, value: float) -> str:
    return f"{value:,.2f}" if figure.endswith("rank") else f"{value:.3f}"


def page(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with the range of the paper's own pairs below it."""
    table = table_of(name)
    heads = header(name)
    body = [f"| {' | '.join(cells)} |" for cells in lines(name, records)]
    rule = "|".join("---" if i in (0, 1, 3) else "--:" for i in range(len(heads)))
    parts = [f"## {table.title}", "", f"| {' | '.join(heads)} |", f"|{rule}|", *body, "", *notes(name)]
    return "\n".join(parts) + "\n"


def comma_separated(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as CSV, with the headings of :func:`header`; thousands are not separated."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header(name))
    # Only numbers have thousands; names of pairs, columns and verdicts stay as they are.
    writer.writerows([*cells[:4], *(text.replace(",", "") for text in cells[4:])] for cells in lines(name, records))
    return stream.getvalue()


def notes(name: str) -> Iterable[str]:
    """Yield notes on the paper's figures: their source and the range over its own pairs."""
    table = table_of(name)
    yield f"Paper: {PAPER[name]['note']} (arXiv 2505.12540, version 4)."
    for column in table.paper:
        spans = [(heading, figure, span(name, column, figure)) for heading, figure in table.paper_columns]
        ranges = (
            f"{heading} {_number(figure, low)} to {_number(figure, high)}" if low < high else
            f"{heading} {_number(figure, low)}"
            for heading, figure, bounds in spans if bounds for low, high in [bounds]
        )  # fmt: skip
        yield f"Its own pairs on {column}: {', '.join(ranges)}."
