"""Sentences that the report of an audit, its annex and the command line share."""

from __future__ import annotations

from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import Interval
from interlingua.leakage._doubts import doubt, partial_doubt
from interlingua.leakage.calibration import CalibrationError
from interlingua.leakage.defense_scores import DefenseScore
from interlingua.leakage.findings import Audit
from interlingua.leakage.linkage import Linkage
from interlingua.leakage.membership import Membership

__all__ = [
    "check_limit",
    "contents_of",
    "control_words",
    "defense_statement",
    "error_range",
    "in_percent",
    "links_statement",
    "membership_note",
    "unchecked_reason",
]


def control_words(audit: Audit) -> str:
    """Return a phrase that says what the control of the words is."""
    if audit.words.measured:
        return "the same words against another document of about the same length"
    return "the same procedure on translations without meaning, rotated at random"


def in_percent(value: Interval) -> str:
    """Return an interval in percent, rounded to three decimals first, so that it agrees with the tables."""
    middle, low, high = (
        None if end is None else f"{float(f'{end:.3f}'):.1%}" for end in (value.value, value.low, value.high)
    )
    return str(middle) if low is None or high is None else f"{middle} ({low} to {high})"


def contents_of(audit: Audit) -> str:
    """Return what the rows of an audit hold, in the plural."""
    return "texts" if audit.word_findings else "records"


def links_statement(found: Linkage, contents: str = "texts") -> str:
    """Return how many rows are linked with a second leak, and how many of the links are right where that is known.

    Args:
        found: the links.
        contents: what the rows hold, as `contents_of` returns it.
    """
    rows = f"{found.links:,} of {count_of(found.rows[0])} ({found.linked.value:.1%})"
    if found.measured is None:
        test = f"permutation test, p = {found.p_value:.3f}"
        if found.is_shown:
            chance = f"{found.expected:.0%} is the nominal share without shared {contents} ({test})"
            return f"{rows} are linked with a second leak of another model; {chance}."
        return (
            f"{rows} are linked with a second leak of another model, which is not clearly more than without shared "
            f"{contents} ({test}). This does not show that no {contents} are shared: the test is conservative."
        )
    known = found.measured.rows
    of = "the rows" if known == found.rows[0] else f"the {count_of(known)} with a known text"
    shared = f"{found.measured.shared:.0%} of {of} have their text among those of the second leak"
    if not found.links:
        return f"No row is linked with the second leak of another model. {shared}."
    start = f"{rows} are linked with a second leak of another model"
    compared = found.measured.compared
    if not compared:
        return f"{start}. None of these links is between known texts, so it is not known how many are right. {shared}."
    links = "these links" if compared == found.links else f"the {count_of(compared, 'link')} between known texts"
    return (
        f"{start}, and {found.measured.precision.value:.0%} of {links} are right; if the same links are permuted at "
        f"random, {found.measured.precision_control:.1%} are right.{_refuted(found)} {shared}."
    )


def _refuted(found: Linkage) -> str:
    """Return a sentence if the permutation test finds links and the texts do not confirm it, or an empty text."""
    if found.are_right or not found.is_shown:
        return ""
    return (
        f" The permutation test finds more links than by chance (p = {found.p_value:.3f}), and the true texts do not "
        "confirm it. Check that both sides have them in the same spelling and in the order of the vectors."
    )


def defense_statement(score: DefenseScore) -> str:
    """Return what is still read despite a defense, and how much search quality it keeps; without a full stop."""
    if score.decoded is None:
        raise InputError("The score of a defense says nothing of words; give one of an audit, which decodes them.")
    similar = ""
    if score.finds_similar and score.decoded.retrieval is not None and score.decoded.retrieval_control is not None:
        found, control = score.decoded.retrieval, score.decoded.retrieval_control
        similar = f", a similar public text is found for {found.value:.0%} (control {control.value:.1%})"
    return (
        f"a word is named for {score.decoded.words.value:.0%} of the documents ({score.finding}){similar}, and "
        f"{score.overlap.value:.0%} of the search quality is kept"
    )


def error_range(error: CalibrationError) -> str:
    """Return how far measured figures were from their estimates: ``between 0.24 below and 0.02 above the estimate``."""
    low, high = (f"{abs(end):.2f} {'below' if end < 0 else 'above'}" for end in (error.lowest, error.highest))
    if low.endswith(high.split()[1]):
        low = low.split()[0]
    return f"between {low} and {high} the estimate"


def membership_note(found: Membership) -> str:
    """Return what is wrong with the records of a membership test, or an empty text."""
    if found.is_reversed:
        return (
            "Records that are not in the collection look more like members than the members do. Check that the two "
            "files are not exchanged, and that both hold vectors of your encoder."
        )
    return "" if found.same_kind else "Members and controls differ in kind, so this figure is too high."


def unchecked_reason(audit: Audit, fail_above: float) -> str:
    """Return why a limit cannot be checked if the headline figure does not exceed it, or an empty text."""
    if audit.leak.basis == "attack failed":
        return "the attack failed"
    if doubt(audit):
        return "the figure cannot be relied on"
    if partial_doubt(audit):
        return "a part of what was measured cannot be relied on"
    if audit.leak.high is not None and audit.leak.high > fail_above:
        return f"the figure is measured on {count_of(audit.leak.rows)}, and its interval reaches {audit.leak.high:.1%}"
    return ""


def check_limit(audit: Audit, fail_above: float) -> str:
    """Return whether a limit of the headline figure is ``exceeded``, ``unchecked`` or ``kept``, which alone passes."""
    if audit.leak.value > fail_above:
        return "exceeded"
    return "unchecked" if unchecked_reason(audit, fail_above) else "kept"
