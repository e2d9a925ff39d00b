"""Results as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlingua.cli.console import STATUS_STYLES
from interlingua.core.summaries import card_notes, own_reasons
from interlingua.core.wording import COMPARE_SEARCHES, evidence_cells, is_narrow

if TYPE_CHECKING:
    from interlingua.core.translator import Translator

__all__ = [
    "CALIBRATION_TITLE",
    "DIRECTIONS",
    "calibration_note",
    "calibration_scores",
    "calibration_table",
    "print_notes",
    "print_verdict",
    "scores",
]

CALIBRATION_TITLE = (
    "Cosines that correspond to each other. In each row, the same share of pairs of unrelated texts has a higher "
    "cosine:"
)

_NARROWLY = (
    "narrowly: the value passes its limit by less than 5% of the distance between null and limit. A value below half "
    "of an upper limit is not called so."
)
_LEGEND = (
    "null: the value for unaligned spaces (limits with ≥) or for real rows among themselves (limits with ≤).",
    "needed: the limit. Aligned fits meet every limit, or pairs confirm them.",
    "score: how near the weakest measurement of transport, refits and pairs comes to its limit, at most 1. It does not "
    "rank aligned fits.",
)
# Scores of the source model whose counterparts are printed.
_SHOWN = (0.5, 0.6, 0.7, 0.8, 0.9)
# How much a difference of scores may grow by the conversion before it is said.
_STEEP, _STEEPEST = 1.25, 10
DIRECTIONS = {"forward": "source to target", "backward": "target to source"}


def print_verdict(out: Console, verdict: Mapping[str, Any], *, explain: bool = True) -> None:
    """Print status, score, reasons and, if there is any, the evidence with the limit of each measurement.

    A reason that is a measurement in words is not printed beside the row of that measurement.

    Args:
        out: where to print.
        verdict: as `Verdict.to_dict` returns it.
        explain: explain all measurements; otherwise those that did not pass, so that a good fit takes one screen.
    """
    status = str(verdict["status"])
    out.print(Text.assemble("Verdict: ", (status, STATUS_STYLES.get(status, "")), f" (score {verdict['score']:.2f})"))
    reasons = own_reasons(verdict)
    for reason in reasons:
        out.print(Text(f"- {reason}"))
    evidence = verdict.get("evidence")
    if status == "aligned":
        out.print(Text(f"- Aligned means that the map is right as a whole. {COMPARE_SEARCHES}"))
    if not evidence:
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("evidence", no_wrap=True)
    for heading in ("value", "null", "needed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("passed", no_wrap=True)
    for item in evidence:
        name, value, null, limit, passed, _ = evidence_cells(item)
        table.add_row(Text(name), value, null, limit, Text(passed, "green" if item["passed"] else "red"))
    out.print(table)
    for line in (*_LEGEND, *([_NARROWLY] if any(map(is_narrow, evidence)) else [])):
        out.print(Text(line))
    for item in evidence:
        if (explain or not item["passed"]) and not any(item["meaning"] in reason for reason in reasons):
            out.print(Text(f"{item['name'].replace('_', ' ')}: {item['meaning']}"))


def print_notes(out: Console, card: Mapping[str, Any]) -> None:
    """Print the candidate targets and the causes of a failed fit, if the card has any."""
    for title, lines in card_notes(card).items():
        out.print(Text(f"{title}:"))
        for line in lines:
            out.print(Text(f"- {line}"))


def scores(rows: Mapping[str, Mapping[str, Any]], *, title: str | None = None) -> Table:
    """Return a table of paired scores that fits 80 columns.

    Args:
        rows: `Evaluation.to_dict()` by the name of its rows, or some of its scores. A single one has no column of
            names, and shows half the width of its 95% intervals next to the values.
        title: a line above the table.
    """
    single = len(rows) == 1
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ([] if single else ["vectors"]) + ["direction"]:
        table.add_column(heading, no_wrap=True)
    for heading in ("top-1", "mean rank", "cosine", "centered"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, evaluation in rows.items():
        for direction, label in DIRECTIONS.items():
            score = evaluation[direction]
            table.add_row(
                *([] if single else [name]),
                label,
                *(_value(score, key, bounds=single) for key in ("top1", "mean_rank", "cosine")),
                _value(score, "cosine_centered", bounds=False),
            )
        found = evaluation.get("collection")
        if found:
            cells = (_value(found, key, bounds=single) for key in ("top1", "mean_rank"))
            table.add_row(*([] if single else [name]), "in the collection", *cells, "", "")
    return table


def calibration_scores(translator: Translator) -> dict[str, list[float]]:
    """Return some scores of the source model, and the scores that correspond to them, by the kind of score."""
    found = {kind: translator.calibrate(_SHOWN, "source", kind).round(3).tolist() for kind in ("target", "translated")}
    return {"source": list(_SHOWN), **found}


def calibration_table(translator: Translator) -> Table:
    """Return `calibration_scores` as a table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (
        "both by the source model",
        "both by the target model",
        "one translated, one by the target model",
    ):
        table.add_column(heading, justify="right")
    for values in zip(*calibration_scores(translator).values(), strict=True):
        table.add_row(*(f"{value:.3f}" for value in values))
    return table


def calibration_note(translator: Translator) -> str:
    """Return a sentence on how far the scores of translated vectors were measured; empty without a calibration."""
    from interlingua.core.calibration import MAX_ROWS

    found = translator.calibration
    if found is None:
        return ""
    limit, steep = found.measured_up_to("translated"), found.steepness("translated", "target")
    note = (
        f"The scores of translated vectors were measured up to about {limit:.2f}; conversions of higher ones are rough."
    )
    if min(found.rows) < MAX_ROWS // 2:
        note += f" The smaller side had {min(found.rows):,} rows; up to {MAX_ROWS:,} make the scales more exact."
    if steep >= _STEEP:
        becomes = f"{steep / 100:.3f}" if steep < _STEEPEST else "0.1 or more"
        note += (
            f" A difference of 0.01 between the highest measured scores becomes {becomes} on the scale of the target "
            "model, because translated vectors distinguish near texts less well than the model itself. No calibration "
            "restores that."
        )
    return note


def _value(score: Mapping[str, Any], key: str, *, bounds: bool) -> str:
    if key not in score:
        return ""
    digits = 1 if key == "mean_rank" and score[key] >= 10 else 3
    value = f"{score[key]:.{digits}f}"
    low, high = score.get("intervals", {}).get(key, (None, None))
    return value if low is None or not bounds else f"{value} ±{(high - low) / 2:.{digits}f}"
