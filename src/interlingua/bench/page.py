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

__all__ = ["comma_separated", "group_records", "header", "lines", "notes", "page"]

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
    """Return a line for every pair, column and corpus of the fits, in the order in which they were measured.

    Where the paper has no figure for a pair, the cell holds the range over other pairs of the paper, or ``none``.
    """
    table = table_of(name)
    return [
        [
            *_our_cells(table, heading, group),
            *(_paper_cell(name, group[0]["pair"], group[0]["column"], figure) for _, figure in table.paper_columns),
        ]
        for heading, group in group_records(records)
    ]


def group_records(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Return the records of every line, with the heading of its column, which names the corpus if there are several."""
    records = check_members(records, "records", Mapping, "records, as run returns them,")
    groups = dict[tuple[str, str, str], list[Mapping[str, Any]]]()
    for record in records:
        groups.setdefault((record["pair"], record["column"], record["corpus"]), []).append(record)
    several = len({corpus for _, _, corpus in groups}) > 1
    return [
        (f"{column}, fitted on {corpus}" if several and corpus != column else column, group)
        for (_, column, corpus), group in groups.items()
    ]


def _our_cells(table: Table, heading: str, group: Sequence[Mapping[str, Any]]) -> list[str]:
    verdicts = Counter(record["verdict"] for record in group)
    counts = ", ".join(
        f"{verdicts[status]} {status}" for status in ("aligned", "doubtful", "failed") if verdicts[status]
    )
    ours = []
    for _, figure, how in table.columns:
        values = [record["figures"][figure] for record in group if figure in record["figures"]]
        ours.append(_number(figure, _SUMS[how](values)) if values else "")
    return [group[0]["pair"], heading, str(len(group)), counts, *ours]


def _protocol(records: Sequence[Mapping[str, Any]]) -> str:
    """Return the methods, the rows of the fits and the candidates in retrieval, as far as the records have them."""
    known = [record for record in records if "method" in record and "rows" in record]
    methods, rows = ", ".join(dict.fromkeys(f"method {record['method']}" for record in known)), ""
    if known:
        source, target = (_span([int(record["rows"][side]) for record in known]) for side in (0, 1))
        rows = f"{source} rows per side" if source == target else f"{source} source rows and {target} target rows"
    pools = [int(record["pool"]) for record in records if "pool" in record]
    pool = f"the match among {_span(pools)} candidates" if pools else ""
    return ", ".join(filter(None, (methods, rows, pool)))


def _span(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low:,} to {high:,}" if low < high else f"{low:,}"


def _paper_cell(name: str, pair: str, column: str, figure: str) -> str:
    figures = cell(name, pair, column) or {}
    if figure in figures:
        return _number(figure, figures[figure])
    bounds = span(name, column, figure)
    if bounds is None:
        return "none"
    text = _range(figure, *bounds)
    # The best pair is named in a note; other figures could be taken for those of this pair.
    return text if "best pair" in PAPER[name]["pairs"] else f"other pairs: {text}"


def _range(figure: str, low: float, high: float) -> str:
    return f"{_number(figure, low)} to {_number(figure, high)}" if low < high else _number(figure, low)


def _number(figure: str, value: float) -> str:
    return f"{value:,.2f}" if figure.endswith("rank") else f"{value:.3f}"


def page(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as Markdown, with the ranges over the pairs of the paper below it."""
    table = table_of(name)
    heads = header(name)
    body = [f"| {' | '.join(cells)} |" for cells in lines(name, records)]
    rule = "|".join("---" if i in (0, 1, 3) else "--:" for i in range(len(heads)))
    parts = [f"## {table.title}", "", f"| {' | '.join(heads)} |", f"|{rule}|", *body, "", *notes(name, records)]
    return "\n".join(parts) + "\n"


def comma_separated(name: str, records: Sequence[Mapping[str, Any]]) -> str:
    """Return the table as CSV with numbers only: thousands are not separated, and ranges are columns of their own.

    A column of the paper is empty for a pair that it has not measured; those of the lowest and the highest figure are
    over all of its pairs.
    """
    table = table_of(name)
    ends = [f"paper, {end}: {heading}" for heading, _ in table.paper_columns for end in ("lowest", "highest")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*header(name), *ends])
    for heading, group in group_records(records):
        pair, column = group[0]["pair"], group[0]["column"]
        cells = _our_cells(table, heading, group)
        first, numbers = cells[:4], cells[4:]
        figures = cell(name, pair, column) or {}
        for _, figure in table.paper_columns:
            numbers.append(_number(figure, figures[figure]) if figure in figures else "")
        for _, figure in table.paper_columns:
            numbers += [_number(figure, end) for end in span(name, column, figure) or ()] or ["", ""]
        # Only numbers have thousands; names of pairs, columns and verdicts stay as they are.
        writer.writerow([*first, *(text.replace(",", "") for text in numbers)])
    return stream.getvalue()


def notes(name: str, records: Sequence[Mapping[str, Any]] = ()) -> Iterable[str]:
    """Yield notes on the figures: how ours were measured, the source of the paper's, and the ranges over its pairs."""
    table = table_of(name)
    records = check_members(records, "records", Mapping, "records, as run returns them,")
    if ours := _protocol(records):
        yield f"Ours: {ours}."
    yield f"Paper: {PAPER[name]['note']} (arXiv 2505.12540, version 4)."
    pairs = PAPER[name]["pairs"]
    if "best pair" in pairs:
        yield "The paper's column shows the figure of its best pair in every line."
    else:
        yield (
            "Where the paper has no figure for a pair, its column shows the range over other pairs, marked as such, or "
            "a single figure where that range is one value."
        )
    if "mimic" in table.paper:
        yield "The corpus notes is compared with the medical notes of the paper, mimic, which are not freely available."
    for column in table.paper:
        spans = [(heading, figure, span(name, column, figure)) for heading, figure in table.paper_columns]
        ranges = (f"{heading} {_range(figure, *bounds)}" for heading, figure, bounds in spans if bounds)
        yield f"Pairs of the paper on {column}: {', '.join(ranges)}."
