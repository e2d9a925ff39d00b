"""Alignments and verdicts as short plain text and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment, Verdict

__all__ = ["alignment_html", "alignment_text", "verdict_html", "verdict_line", "verdict_text"]


def verdict_line(verdict: Verdict) -> str:
    """Return status, score and the number of criteria passed, on one line."""
    passed = sum(item.passed for item in verdict.evidence)
    criteria = f", {passed} of {len(verdict.evidence)} criteria passed" if verdict.evidence else ""
    return f"{verdict.status}, score {verdict.score:.2f}{criteria}"


def verdict_text(verdict: Verdict) -> str:
    """Return the verdict, its reasons and its evidence, one a line."""
    width = max((len(item.name) for item in verdict.evidence), default=0)
    evidence = [
        f"  {'passed' if item.passed else 'FAILED'}  {item.name:<{width}}  {item.value:>8.3g}  {item.meaning}"
        for item in verdict.evidence
    ]
    return "\n".join([f"Verdict: {verdict_line(verdict)}", *(f"  {reason}" for reason in verdict.reasons), *evidence])


def alignment_text(alignment: Alignment) -> str:
    """Return spaces, method and verdict of an alignment, one a line."""
    return f"{_title(alignment)}\n{_origin(alignment)}\n{verdict_text(alignment.verdict)}"


def verdict_html(verdict: Verdict) -> str:
    """Return the verdict as a paragraph and a table of its evidence."""
    lines = "<br>".join(escape(text) for text in (f"Verdict: {verdict_line(verdict)}", *verdict.reasons))
    rows = "".join(
        _row("td", (item.name, f"{item.value:.3g}", "yes" if item.passed else "no", item.meaning))
        for item in verdict.evidence
    )
    table = f"<table>{_row('th', ('criterion', 'value', 'passed', 'meaning'))}{rows}</table>" if rows else ""
    return f"<p>{lines}</p>{table}"


def alignment_html(alignment: Alignment) -> str:
    """Return the alignment as a title, its origin and its verdict."""
    title, origin = escape(_title(alignment)), escape(_origin(alignment))
    return f"<div><strong>{title}</strong><br>{origin}{verdict_html(alignment.verdict)}</div>"


def _title(alignment: Alignment) -> str:
    return f"Alignment of {_space(alignment.source, 'source')} and {_space(alignment.target, 'target')}"


def _origin(alignment: Alignment) -> str:
    return f"Method {alignment.method}, seed {alignment.seed}, {alignment.seconds:.1f} s"


def _space(space: Mapping[str, Any], side: str) -> str:
    return f"{space.get('name') or side} ({space.get('n', 0):,} x {space.get('d', 0)})"


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
