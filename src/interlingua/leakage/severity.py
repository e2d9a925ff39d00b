"""Severity of an audit, by a rule that the report states."""

from __future__ import annotations

from dataclasses import dataclass

from interlingua.core.arguments import check_instance
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import Interval, JsonRecord
from interlingua.leakage._chosen_fits import ON_OTHERS
from interlingua.leakage._doubts import ERROR_RATE, doubt, is_at_chance, partial_doubt, uses_only_foreign_fits
from interlingua.leakage.findings import MUCH, SOME, Audit
from interlingua.leakage.kinds import PERSONAL_KINDS, KindFinding

__all__ = ["LEVELS", "RULES", "Severity", "severity"]

LEVELS = ("not shown", "low", "medium", "high", "critical")
_PERSONAL, _FOUND, _MANY_FOUND, _RATE = 0.01, 0.1, 0.5, 0.01
_HIGH = (
    f"the headline figure is {MUCH:.0%} or more, and more than by chance if it is measured; in a test of membership, "
    f"at least {_FOUND:.0%} of the members are found at {_RATE:.0%} false alarms, by the lower end of the interval; "
    "rows are linked with a second leak"
)
RULES = {
    "critical": f"two conditions hold. First, as for high, at least one of these: {_HIGH}. Second, at least one of "
    f"these: names, medical terms or e-mail addresses are read in {_PERSONAL:.0%} of the documents or more; at least "
    f"{_MANY_FOUND:.0%} of the members are found, by the lower end of the interval",
    "high": f"at least one of these holds: {_HIGH}",
    "medium": f"at least one of these holds: the headline figure is {SOME:.0%} or more, and more than by chance if it "
    f"is measured; in a test of membership, at least {SOME:.0%} of the members are found at {_RATE:.0%} false alarms, "
    "by the lower end of the interval; members or labels are told apart with an area under the ROC curve above "
    f"{1 - ERROR_RATE:.2f}, by the lower end; identities are verified with an equal error rate below "
    f"{ERROR_RATE:.0%}, by the upper end",
    "low": f"the conditions of medium are not met, and the headline figure is below {SOME:.0%}, by the upper end of "
    "its interval if it is measured",
    "not shown": "the conditions of medium are not met, and the attack failed, which is no proof of safety, or its "
    "result cannot be relied on or is too uncertain",
}


@dataclass(frozen=True)
class Severity(JsonRecord):
    """How severe the findings of an audit are.

    Attributes:
        level: one of :data:`LEVELS`.
        reasons: the findings that decided it.
    """

    level: str
    reasons: tuple[str, ...]

    @property
    def rule(self) -> str:
        """The rule of the level."""
        return RULES[self.level]


def severity(audit: Audit) -> Severity:
    """Return the severity of the findings by :data:`RULES`."""
    check_instance(audit, "audit", Audit, "the findings of an audit")
    if audit.leak.basis == "attack failed":
        return Severity("not shown", ("the attack failed",))
    leak, doubtful = audit.leak.value, bool(doubt(audit))
    headline = f"the headline figure is {leak:.1%}"
    if uses_only_foreign_fits(audit):
        headline += f", by fits that were {ON_OTHERS}"
    by_chance = audit.leak.basis == "measured" and is_at_chance(audit, audit.leak.source)
    counts = not doubtful and not by_chance
    ignored = []
    if doubtful:
        ignored.append(f"{headline}, which cannot be relied on and does not count")
    elif by_chance and leak >= SOME:
        ignored.append(f"{headline}, which is no more than by chance and does not count")
    reasons = [headline] if leak >= MUCH and counts else []
    found = _members_found(audit)
    if found >= _FOUND:
        reasons.append(f"at least {found:.1%} of the members are found at {_RATE:.0%} false alarms")
    reasons += _links(audit)
    if not reasons:
        lesser = [headline] if leak >= SOME and counts else []
        lesser += _lesser_reasons(audit, found)
        if lesser:
            if partial_doubt(audit):
                ignored.append("a part of what was measured cannot be relied on and could raise the severity")
            return Severity("medium", (*lesser, *ignored))
        if doubtful:
            return Severity("not shown", (f"what was found cannot be relied on: {headline}",))
        if ignored:
            return Severity("not shown", tuple(ignored))
        # The figures in doubt could only raise the severity, so they matter only where it would be low.
        if partial_doubt(audit):
            return Severity("not shown", (f"a part of what was measured cannot be relied on, and {headline}",))
        if audit.leak.high is not None and audit.leak.high >= SOME:
            uncertain = f"{headline}, measured on {count_of(audit.leak.rows)}, and its interval reaches"
            return Severity("not shown", (f"{uncertain} {audit.leak.high:.1%}",))
        return Severity("low", (headline,))
    personal = [
        _of_kind(finding)
        for finding in audit.kinds
        if not doubtful
        and (finding.right is not None or (audit.has_usable_fit and audit.retrieval.is_near))
        and finding.kind in PERSONAL_KINDS
        and _above(*finding.shown)
    ]
    is_critical = bool(personal) or found >= _MANY_FOUND
    return Severity("critical" if is_critical else "high", (*reasons, *ignored, *personal))


def _links(audit: Audit) -> list[str]:
    """Return the finding that rows are linked with a second leak, if they are."""
    if audit.linkage is None or not audit.linkage.is_shown:
        return []
    if audit.linkage.are_right:
        return [f"{audit.linkage.right_links:,} rows are correctly linked with a second leak"]
    return ["rows can be linked with a second leak"]


def _lesser_reasons(audit: Audit, found: float) -> list[str]:
    """Return the findings of a medium severity besides the headline figure.

    A headline figure of labels or identities is 0 if always naming the most frequent one is right at least as often.
    """
    reasons = []
    tested, labels = audit.membership, audit.label_findings
    if found >= SOME:
        reasons.append(f"at least {found:.1%} of the members are found at {_RATE:.0%} false alarms")
    elif tested is not None and tested.found[_RATE] is None and tested.same_kind and tested.auc.lower > 1 - ERROR_RATE:
        reasons.append(f"members are told from nonmembers with an area under the ROC curve of {tested.auc.value:.2f}")
    if labels is not None and labels.measured is not None:
        area, null = (side.macro_auc for side in (labels.measured.translated, labels.measured.shuffled))
        if area.lower > max(null.upper, 1 - ERROR_RATE):
            reasons.append(f"labels are recognized with a mean area under the ROC curve of {area.value:.2f}")
    if audit.identities is not None and audit.identities.equal_error_rate.upper < ERROR_RATE:
        rate = audit.identities.equal_error_rate.value
        reasons.append(f"identities are verified with an equal error rate of {rate:.0%}")
    return reasons


def _of_kind(finding: KindFinding) -> str:
    """Return how often words of a kind are read: those that are right, where the true texts are known."""
    if finding.right is not None:
        return f"a right word of the kind '{finding.kind}' is read in {finding.right.value:.0%} of the documents"
    return f"by estimate, a word of the kind '{finding.kind}' is read in {finding.documents.value:.0%} of the documents"


def _members_found(audit: Audit) -> float:
    """Return the lower end of the share of members found, 0 where members and controls are not of one kind."""
    tested = audit.membership
    found = None if tested is None or not tested.same_kind else tested.found[_RATE]
    if found is None:
        return 0.0
    return found.lower


def _above(value: Interval, control: Interval) -> bool:
    return value.value >= _PERSONAL and value.lower > control.upper
