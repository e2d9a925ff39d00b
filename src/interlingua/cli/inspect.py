"""``interlingua inspect``: the card of a saved translator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from interlingua.cli import console, tables
from interlingua.cli.options import AsJson, TranslatorFolder
from interlingua.core.errors import InputError
from interlingua.core.wording import time_taken

if TYPE_CHECKING:
    from interlingua.core.translator import Translator

__all__ = ["inspect"]


def inspect(directory: TranslatorFolder, as_json: AsJson = False) -> None:
    """Show the card of a saved translator.

    The card has its two spaces, how it was fitted, and the verdict with its evidence. If the scores of the translator
    are calibrated, a table shows which scores of the models correspond.
    """
    from interlingua.core.translator import load

    translator = load(directory)
    card = {"path": str(directory), "d_source": translator.d_source, "d_target": translator.d_target, **translator.card}
    calibration = translator.calibration
    card["calibration"] = calibration and {
        "rows": list(calibration.rows),
        "paired": calibration.paired,
        "scores": tables.calibration_scores(translator),
    }
    if as_json:
        console.emit_json(card)
        return
    out = console.stdout()
    try:
        # Nothing is printed yet: of a card that was edited by hand, a later part may be unreadable.
        with out.capture():
            _print(out, translator, card)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(
            f"The card of {directory} cannot be read ({type(error).__name__}: {error}). Restore card.json, or print "
            "it as it is with --json."
        ) from error
    _print(out, translator, card)


def _print(out: Console, translator: Translator, card: dict[str, Any]) -> None:
    """Print a card as tables and sentences."""
    from interlingua.core.alignment import Verdict

    out.print(_overview(card))
    if card.get("verdict"):
        tables.print_verdict(out, Verdict.from_dict(card["verdict"]).to_dict())
        tables.print_notes(out, translator.card)
    if translator.calibration is not None:
        out.print(tables.CALIBRATION_TITLE)
        out.print(tables.calibration_table(translator))
        out.print(tables.calibration_note(translator), soft_wrap=True)


def _overview(card: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for side in ("source", "target"):
        space = card.get(side) or {}
        name = space.get("name")
        table.add_row(
            Text(side, style="bold"),
            f"{'' if name in (None, '', side) else f'{name}: '}{_number(space.get('n'), ',')} rows of width "
            f"{card[f'd_{side}']}, fingerprint {space.get('fingerprint', '?')}",
        )
    settings = ", ".join(f"{name}={value}" for name, value in (card.get("settings") or {}).items())
    versions = ", ".join(f"{name} {value}" for name, value in (card.get("versions") or {}).items())
    seconds = "? s" if card.get("seconds") is None else time_taken(card["seconds"])
    method = f"{card.get('method', '?')}, seed {card.get('seed', '?')}, {seconds}"
    scores = "not calibrated: thresholds cannot be converted"
    if card["calibration"]:
        n, m = card["calibration"]["rows"]
        kind = "pairs" if card["calibration"]["paired"] else "rows without pairs"
        scores = f"calibrated on {n:,} and {m:,} {kind}"
    for name, value in (("method", method), ("scores", scores), ("settings", settings), ("versions", versions)):
        if value:
            table.add_row(Text(name, style="bold"), value)
    return table


def _number(value: Any, form: str) -> str:
    """Return a number of the card in a format, or a question mark where the card has none."""
    return "?" if value is None else format(value, form)
