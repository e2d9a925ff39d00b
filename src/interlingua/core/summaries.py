"""Alignments, translators and verdicts as short plain text and as HTML for notebooks.

Every function takes the plain values of a card or of a verdict, as :meth:`interlingua.core.alignment.Alignment.card`
and :meth:`interlingua.core.alignment.Verdict.to_dict` return them. A card may come from a file of someone else, so no
value of it is required, and all text in HTML is escaped.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from interlingua.core.score import DECISIVE
from interlingua.core.wording import (
    bar_length,
    count_of,
    describe_candidate,
    describe_diagnosis,
    describe_evidence,
    evidence_cells,
    is_narrow,
    listed,
    time_taken,
)

__all__ = [
    "CHECKS_TITLE",
    "card_html",
    "card_notes",
    "card_text",
    "curve_html",
    "failure_causes",
    "left_out_notes",
    "own_reasons",
    "reduced_notes",
    "table_html",
    "verdict_html",
    "verdict_line",
    "verdict_text",
]

# Scores from here on are printed as 1.00.
_FULL = 0.995
# Columns of the text. The meaning of a measurement is so short that it takes three lines at most.
_WIDTH = 100
# Colors of a measurement that passed and of one that did not, which differ for every kind of color vision.
_PASSED, _FAILED = "#0072b2", "#d55e00"

# Title of the notes on what a translator can check of the rows that it is given. They matter less than the verdict.
CHECKS_TITLE = "Check for vectors of other models"
# What is said of a fit that is not aligned and has none of the causes that are looked for.
_NO_CAUSE = (
    "No cause was identified. More rows, a few known pairs, or vectors of the target's texts by further models (views) "
    "can help."
)


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """Return status, score and the number of criteria passed, on one line, and how many of these passed narrowly."""
    evidence = _evidence(verdict)
    passed, narrow = sum(bool(item["passed"]) for item in evidence), sum(map(is_narrow, evidence))
    criteria = f", {passed} of {len(evidence)} criteria passed" if evidence else ""
    criteria += f", {narrow} of them narrowly" if narrow else ""
    score = verdict.get("score")
    return f"{verdict.get('status', 'no verdict')}" + (f", score {score:.2f}" if score is not None else "") + criteria


def own_reasons(verdict: Mapping[str, Any]) -> list[str]:
    """Return the reasons that do not repeat a measurement of the evidence word by word.

    For a fit that is doubtful with a full score, the last one says what the score is of.
    """
    repeated = {describe_evidence(item) for item in _evidence(verdict)}
    reasons = [str(reason) for reason in verdict.get("reasons", ()) if reason not in repeated]
    return reasons + _score_notes(verdict, has_reasons=bool(reasons))


def _score_notes(verdict: Mapping[str, Any], *, has_reasons: bool) -> list[str]:
    """Return a sentence that says why a fit is doubtful although its score is 1, as it is printed; none otherwise."""
    score, evidence = verdict.get("score"), _evidence(verdict)
    if verdict.get("status") != "doubtful" or not isinstance(score, int | float) or score < _FULL:
        return []
    decisive = [item["name"].replace("_", " ") for item in evidence if item["name"] in DECISIVE]
    missed = [item["name"].replace("_", " ") for item in evidence if not item["passed"]]
    misses = "misses its limit" if len(missed) == 1 else "miss their limits"
    why = [f"because {listed(missed)} {misses}"] if missed else []
    why += ["for the reasons above"] if has_reasons else []
    if not decisive or not why:
        return []
    reach = "which reaches its limit" if len(decisive) == 1 else "which reach their limits"
    return [
        f"The score of {score:.2f} covers only {listed(decisive)}, {reach}. The fit is still doubtful, "
        f"{' and '.join(why)}."
    ]


def verdict_text(verdict: Mapping[str, Any]) -> str:
    """Return the verdict, its reasons and its evidence, each measurement once and the failed ones first."""
    evidence = sorted(_evidence(verdict), key=lambda item: bool(item["passed"]))
    width = max([len("criterion"), *(len(item["name"]) for item in evidence)])
    lines = [f"Verdict: {verdict_line(verdict)}"]
    for reason in own_reasons(verdict):
        lines += textwrap.wrap(reason, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    if evidence:
        lines.append(f"  {'':6}  {'criterion':<{width}}  {'value':>8}  {'null':>8}  needed")
    for item in evidence:
        mark = "passed" if item["passed"] else "FAILED"
        name, value, null, limit, _, meaning = evidence_cells(item)
        head = f"  {mark}  {name:<{width}}  {value:>8}  {null:>8}  {limit:<8}"
        lines += textwrap.wrap(f"{head}  {meaning}", _WIDTH, subsequent_indent=" " * 10)
    return "\n".join(lines)


def card_text(card: Mapping[str, Any]) -> str:
    """Return spaces, method, verdict, candidate targets and causes of a failed fit."""
    lines = [f"Alignment of {_spaces(card)}", _origin(card), verdict_text(card.get("verdict") or {})]
    for title, notes in card_notes(card).items():
        lines.append(f"{title}:")
        for note in notes:
            lines += textwrap.wrap(note, _WIDTH, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines)


def card_notes(card: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return candidate targets, rows that were left out, causes of a failed fit, and limits of checks, by title."""
    notes = {}
    if card.get("candidates"):
        notes["Candidate targets"] = [describe_candidate(each) for each in card["candidates"]]
    if left_out := left_out_notes(card):
        notes["Rows that were left out"] = left_out
    if causes := failure_causes(card):
        notes["Why this fit is not aligned"] = causes
    if card.get("reduced"):
        notes[CHECKS_TITLE] = reduced_notes(card["reduced"])
    return notes


def left_out_notes(card: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each side of which rows without a usable vector were left out."""
    sentences = []
    for side in ("source", "target"):
        facts = (card.get(side) or {}).get("left_out")
        if facts:
            count, rows = facts["rows"], facts.get("first", ())
            more = " and more" if count > len(rows) else ""
            named = f"{'row' if count == 1 else 'rows'} {', '.join(map(str, rows))}{more}, counted from 0"
            sentences.append(
                f"{side}: {count_of(count)} of {facts['of']:,} without a vector that can be used"
                f"{f' ({named})' if rows else ''}."
            )
    return sentences


def failure_causes(card: Mapping[str, Any]) -> list[str]:
    """Return the causes of a failed fit as sentences; empty for any other fit."""
    if card.get("diagnoses") is None:
        return []
    return [describe_diagnosis(each) for each in card["diagnoses"]] or [_NO_CAUSE]


def reduced_notes(reduced: Mapping[str, str]) -> list[str]:
    """Return a sentence for each space that looks reduced by PCA, by side, and what is noticed there."""
    sentences = {
        "clusters": "This matters only if the translator could be given, by mistake, vectors of another model of this "
        "width that were reduced too. It checks batches of at least 50 rows: it refuses most batches of such vectors "
        "or warns of them, and translates the others without a warning.",
        "none": "Vectors of another model of this width that were reduced too are not noticed, because the fit had too "
        "few rows for this check.",
    }
    return [f"The {side} vectors look reduced by PCA. {sentences[check]}" for side, check in reduced.items()]


def verdict_html(verdict: Mapping[str, Any]) -> str:
    """Return the verdict as a paragraph and a table of its evidence."""
    lines = "<br>".join(escape(text) for text in (f"Verdict: {verdict_line(verdict)}", *own_reasons(verdict)))
    evidence = _evidence(verdict)
    if not evidence:
        return f"<p>{lines}</p>"
    rows = [_row("th", ("criterion", "value", "null", "needed", "passed", "meaning", "measured against needed"))]
    rows += [_row("td", evidence_cells(item), f"<td>{_bar_svg(item)}</td>") for item in evidence]
    return f"<p>{lines}</p><table>{''.join(rows)}</table>"


def card_html(kind: str, card: Mapping[str, Any], picture: str = "") -> str:
    """Return an alignment or a translator as a title, its origin and its verdict, and a picture in HTML at the end."""
    title, origin = escape(f"{kind} of {_spaces(card)}"), escape(_origin(card))
    notes = "".join(
        f"<p>{escape(heading)}:</p><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
        for heading, lines in card_notes(card).items()
    )
    return f"<div><strong>{title}</strong><br>{origin}{verdict_html(card.get('verdict') or {})}{notes}{picture}</div>"


def curve_html(title: str, steps: Sequence[float], values: Sequence[float]) -> str:
    """Return a small picture of values over steps, with both ends in words; empty for fewer than two finite values."""
    points = [(x, y) for x, y in zip(steps, values, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if len(points) < 2:  # noqa: PLR2004
        return ""
    (first, start), (last, end) = points[0], points[-1]
    low, high = (pick(y for _, y in points) for pick in (min, max))
    width, height, span = 240, 60, (high - low) or 1.0
    line = " ".join(
        f"{width * (x - first) / ((last - first) or 1):.1f},{height - 2 - (height - 4) * (y - low) / span:.1f}"
        for x, y in points
    )
    words = escape(f"{title}: {start:.3g} at step {first:g}, {end:.3g} at step {last:g}")
    return (
        f'<figure style="margin:0"><svg width="{width}" height="{height}" role="img" aria-label="{words}">'
        f'<polyline points="{line}" fill="none" stroke="{_PASSED}" stroke-width="1.5"/></svg>'
        f"<figcaption>{words}</figcaption></figure>"
    )


def table_html(heading: Iterable[str], rows: Sequence[Iterable[str]]) -> str:
    """Return a table of escaped cells."""
    return f"<table>{_row('th', heading)}{''.join(_row('td', row) for row in rows)}</table>"


def _bar_svg(evidence: Mapping[str, Any]) -> str:
    """Return a measurement as a bar that reaches the line in the middle exactly where it passes."""
    color, length = _PASSED if evidence["passed"] else _FAILED, 50 * bar_length(evidence)
    # currentColor is that of the text, so the picture can be read on light and on dark pages.
    return (
        f'<svg width="100" height="12" aria-hidden="true"><rect y="3" width="{length:.1f}" height="6" fill="{color}"/>'
        '<rect x="49.4" width="1.2" height="12" fill="currentColor"/></svg>'
    )


def _evidence(verdict: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    evidence: Sequence[Mapping[str, Any]] = verdict.get("evidence") or ()
    return evidence


def _spaces(card: Mapping[str, Any]) -> str:
    return f"{_space(card.get('source') or {}, 'source')} and {_space(card.get('target') or {}, 'target')}"


def _origin(card: Mapping[str, Any]) -> str:
    seconds = card.get("seconds")
    time = "" if seconds is None else f", {time_taken(seconds)}"
    return f"Method {card.get('method', 'unknown')}, seed {card.get('seed', 'unknown')}{time}"


def _space(space: Mapping[str, Any], side: str) -> str:
    return f"{space.get('name') or side} ({space.get('n', 0):,} x {space.get('d', 0)})"


def _row(tag: str, cells: Iterable[str], last: str = "") -> str:
    """Return a row of escaped cells; ``last`` is a cell in HTML."""
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}{last}</tr>"
