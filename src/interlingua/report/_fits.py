"""The fits of an audit in words: how many there are, their verdicts, and whether they were made on these vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from interlingua.core.alignment import Alignment, Status
from interlingua.leakage._chosen_fits import ON_OTHERS
from interlingua.leakage._doubts import doubt, split_verdicts, used_fits, uses_only_foreign_fits
from interlingua.leakage.findings import Audit
from interlingua.report._page import clean

__all__ = [
    "attack_answer",
    "attack_clause",
    "evidence_lines",
    "fits_statement",
    "foreign_statement",
    "likely_causes",
    "verdict_list",
]

_NEAR_ZERO = 0.01
_ANSWERS = {
    Status.ALIGNED: "Yes, by the evidence of the fits: the vectors could be translated.",
    Status.DOUBTFUL: "Perhaps: the evidence that the vectors could be translated is mixed.",
    Status.FAILED: "No: the fits found no way to translate the vectors, which does not prove that there is none.",
}


def attack_answer(audit: Audit) -> str:
    """Return whether the attack worked, by the best verdict; empty if the best fit was made on other vectors."""
    if any(audit.foreign[:1]):
        return ""
    if audit.has_usable_fit and doubt(audit):
        return "This is uncertain, for the reason in the conclusion."
    return _ANSWERS[audit.alignment.verdict.status]


def verdict_list(audit: Audit) -> str:
    """Return the verdicts as a list, with those of fits on other vectors marked."""
    own, foreign = split_verdicts(audit)
    marked = f"{_counted(foreign)} (of {_fit_count(foreign)} on other vectors)" if foreign else ""
    return "; ".join(part for part in (_counted(own), marked) if part)


def fits_statement(audit: Audit) -> str:
    """Return which fits translated the audited vectors, and their verdicts."""
    (own, foreign), sentences = split_verdicts(audit), []
    if own:
        times = "once" if len(own) == 1 else f"{len(own)} times, with different seeds and"
        sentences.append(f"The audited vectors were aligned with the public ones {times} without known pairs.")
        sentences.append(_sentence(own, "this fit", "these fits"))
    if foreign:
        who = "They were also" if own else "The audited vectors were"
        made = "that was" if len(foreign) == 1 else "that were"
        sentences.append(f"{who} translated by {_fit_count(foreign)} {made} {ON_OTHERS}.")
        sentences.append(_sentence(foreign, "that fit", "those fits"))
        whose = "Its verdict is" if len(foreign) == 1 else "Their verdicts are"
        sentences.append(f"{whose} no evidence about these vectors.")
    if audit.views:
        models = f"vectors of the public {'texts' if audit.word_findings else 'rows'} by further models"
        sentences.append(f"The fit with the best verdict used {models} too: {clean(audit.views)}.")
    return " ".join(sentences)


def foreign_statement(audit: Audit) -> str:
    """Return a sentence if no fit that was used was made on the audited vectors, or an empty text."""
    used = used_fits(audit)
    if not uses_only_foreign_fits(audit):
        return ""
    of_used = "" if len(used) == len(audit.verdicts) else " that was used" if len(used) == 1 else " that were used"
    fits, were, verdicts = ("fit", "was", "verdict is") if len(used) == 1 else ("fits", "were", "verdicts are")
    whose = "its" if len(used) == 1 else "their"
    return f"The {fits}{of_used} {were} {ON_OTHERS}, so {whose} {verdicts} no evidence about these."


def evidence_lines(alignment: Alignment) -> list[str]:
    """Return the reasons of a verdict; of a reference value near 0, one digit is shown."""
    short = {
        str(item): str(replace(item, null=float(f"{item.null:.1g}")))
        for item in alignment.verdict.evidence
        if abs(item.null) < _NEAR_ZERO
    }
    return [short.get(reason, reason) for reason in alignment.verdict.reasons]


def likely_causes(audit: Audit) -> list[str]:
    """Return sentences on why the best fit failed; empty where a fit worked, or the best one is of other vectors."""
    diagnoses = audit.alignment.diagnoses
    # The alignment of an audit is the fit of its first verdict.
    if audit.has_usable_fit or diagnoses is None or any(audit.foreign[:1]):
        return []
    return [f"Likely cause, {each}" for each in diagnoses] or ["No likely cause of the failure was identified."]


def attack_clause(audit: Audit, public: str) -> str:
    """Return the rest of a sentence about vectors that ``were aligned``.

    Args:
        audit: the findings.
        public: what they were aligned with.
    """
    (own, foreign), parts = split_verdicts(audit, unlike=False), []
    if own:
        parts.append(f"were aligned without pairs with {public} under another encoder ({_label(own)})")
    if foreign:
        what = "these" if own else public
        under = "" if own else " under another encoder"
        fits = f"{_fit_count(foreign)} on other vectors ({_label(foreign)})"
        parts.append(f"were translated to the space of {what}{under} by {fits}")
    return " and ".join(parts)


def _counted(verdicts: Sequence[str]) -> str:
    """Return ``aligned`` for one verdict and ``2 aligned, 1 failed`` for several."""
    if len(verdicts) < 2:  # noqa: PLR2004
        return "".join(verdicts)
    return ", ".join(f"{count} {verdict}" for verdict, count in Counter(verdicts).items())


def _fit_count(verdicts: Sequence[str]) -> str:
    return "a fit" if len(verdicts) == 1 else f"{len(verdicts)} fits"


def _label(verdicts: Sequence[str]) -> str:
    return f"{'verdict' if len(verdicts) == 1 else 'verdicts'}: {_counted(verdicts)}"


def _sentence(verdicts: Sequence[str], one: str, several: str) -> str:
    if len(verdicts) == 1:
        return f"The verdict of {one} is {verdicts[0]}."
    if len(set(verdicts)) == 1:
        return f"The verdict of each of {several} is {verdicts[0]}."
    return f"The verdicts of {several} are: {_counted(verdicts)}."
