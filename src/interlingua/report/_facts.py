"""The facts in a report about a fit, from the fit itself or from the card of a saved translator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlingua.core.alignment import Alignment, Verdict
from interlingua.core.arguments import check_instance
from interlingua.core.errors import InputError
from interlingua.core.summaries import card_notes
from interlingua.core.translator import Translator


@dataclass(frozen=True)
class Facts:
    """A fit without its arrays, with the attributes of `Alignment`; the verdict is None if the card has none."""

    verdict: Verdict | None
    method: str
    seed: int
    settings: Mapping[str, Any]
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    versions: Mapping[str, Any]
    seconds: float | None
    notes: Mapping[str, list[str]]
    trace: tuple[Mapping[str, Any], ...] = ()


def facts_of(fit: Alignment | Translator) -> Facts:
    """Return the facts about a fit.

    Raises:
        InputError: the translator's card is not as `fit` writes it.
    """
    check_instance(fit, "fit", (Alignment, Translator), "an alignment or a translator")
    trace = fit.trace if isinstance(fit, Alignment) else ()
    card = fit.card() if isinstance(fit, Alignment) else fit.card
    try:
        verdict = card.get("verdict")
        return Facts(
            verdict=Verdict.from_dict(verdict) if verdict else None,
            method=str(card.get("method", "unknown")),
            seed=int(card.get("seed", 0)),
            settings=dict(card.get("settings", {})),
            source=_side(card, "source"),
            target=_side(card, "target"),
            versions=dict(card.get("versions", {})),
            seconds=None if card.get("seconds") is None else float(card["seconds"]),
            notes=card_notes(card),
            trace=trace,
        )
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"The translator's card cannot be read ({type(error).__name__}: {error}); fit again or restore card.json."
        ) from error


def _side(card: Mapping[str, Any], side: str) -> dict[str, Any]:
    space = dict(card.get(side, {}))
    return {**space, "name": space.get("name") or side}
