"""From measurements to a verdict: which checks a fit must pass, and what the verdict is if it misses some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.core.score import DECISIVE

__all__ = [
    "FEW_ROWS",
    "MAX_FAILED_SCORE",
    "Check",
    "at_least",
    "at_most",
    "at_most_doubtful",
    "conclude",
    "score_of",
    "weakest_margin",
]

# The smallest side of an aligned fit on sides of similar size has this many distinct rows
# (benchmarks/results/solver.jsonl; of fits on 1,000 rows beside 7,000, one was aligned and others doubtful).
FEW_ROWS = 1_998
# The largest score of a failed fit.
MAX_FAILED_SCORE = 0.5
# How many of the first measurements are the reasons of an aligned fit: transport and both agreements of refits.
_CONFIRMING = 3


@dataclass(frozen=True)
class Check:
    """A measurement, and whether it refutes the fit.

    Attributes:
        evidence: the measurement beside its null and its limit.
        refutes: whether the value is so far from the limit that the fit has failed.
    """

    evidence: Evidence
    refutes: bool


def at_least(
    name: str, value: float, null: float, limits: tuple[float, float], meaning: str, null_meaning: str
) -> Check:
    """Return the check that a value reaches a limit.

    Args:
        name: of the measurement.
        value: the measurement.
        null: the same measurement where nothing is aligned.
        limits: a value of at least the first supports the fit, and a value below the second refutes it.
        meaning: one sentence that explains the measurement.
        null_meaning: what the null is, in words.
    """
    passing, failing = limits
    evidence = Evidence(name, value, null, passing, value >= passing, meaning, "at_least", null_meaning)
    return Check(evidence, value < failing)


def at_most(name: str, value: float, null: float, margin: float, meaning: str) -> Check:
    """Return the check that a value exceeds that of real rows among themselves by at most a margin.

    Args:
        name: of the measurement.
        value: the measurement.
        null: the same measurement of real rows among themselves.
        margin: a value that exceeds the null by more refutes the fit.
        meaning: one sentence that explains the measurement.
    """
    limit = null + margin
    evidence = Evidence(name, value, null, limit, value <= limit, meaning, "at_most", "real rows among themselves")
    return Check(evidence, value > limit)


def conclude(checks: list[Check]) -> Verdict:
    """Return the verdict: failed if any check refutes the fit, doubtful if any misses its limit, otherwise aligned."""
    evidence = tuple(c.evidence for c in checks)
    refuting = [c.evidence for c in checks if c.refutes]
    missed = [c.evidence for c in checks if not c.evidence.passed and not c.refutes]
    score = score_of(evidence)
    if refuting:
        return Verdict(Status.FAILED, min(score, MAX_FAILED_SCORE), tuple(map(str, refuting + missed)), evidence)
    if missed:
        return Verdict(Status.DOUBTFUL, score, tuple(map(str, missed)), evidence)
    return Verdict(Status.ALIGNED, score, tuple(map(str, evidence[:_CONFIRMING])), evidence)


def score_of(evidence: Sequence[Evidence]) -> float:
    """Return the score of a verdict: the weakest margin of its decisive measurements, clipped to [0, 1]."""
    return float(np.clip(weakest_margin(evidence), 0, 1))


def at_most_doubtful(verdict: Verdict, reason: str) -> Verdict:
    """Return a verdict on a map whose evidence cannot confirm it: doubtful for this reason, or failed as before."""
    if verdict.status == Status.FAILED:
        return verdict
    others = () if verdict.status == Status.ALIGNED else verdict.reasons
    return replace(verdict, status=Status.DOUBTFUL, reasons=(reason, *others))


def weakest_margin(evidence: Sequence[Evidence]) -> float:
    """Return the smallest ``(value - null) / (threshold - null)`` of the decisive measurements; 0 without any."""
    margins = (
        (e.value - e.null) / (e.threshold - e.null) for e in evidence if e.name in DECISIVE and e.threshold > e.null
    )
    return float(min(margins, default=0.0))
