"""Criteria from outside: measurements of one's own that a fit has to pass, beside those of every verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from interlingua.aligners.base import Fit, Problem
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.core.arguments import check_choice, check_number, check_text, shown
from interlingua.core.errors import InputError

__all__ = ["Criterion", "apply_criteria", "check_criteria"]

# Keeps the draw of the null apart from those of a fit and of its verdict with the same seed.
_STREAM = 13


@dataclass(frozen=True)
class Criterion:
    """A measurement of one's own that a fit has to pass, beside those of every verdict.

    Attributes:
        name: of the measurement in the evidence, such as ``norm_spread``.
        meaning: one sentence that explains the measurement.
        direction: whether the value must be ``"at_least"`` or ``"at_most"`` the threshold.
        threshold: the limit; a fit that misses it has failed.
        function: returns a finite number for the problem and the fit. Its value for a random rotation of the same
            spaces is the null in the evidence. It must not compare rows by their order, because rows are unpaired.

    Raises:
        InputError: a field of another type.
    """

    name: str
    meaning: str
    direction: Literal["at_least", "at_most"]
    threshold: float
    function: Callable[[Problem, Fit], float]

    def __post_init__(self) -> None:
        """Check the fields."""
        for field in ("name", "meaning"):
            check_text(getattr(self, field), f"{field} of a criterion")
        check_choice(self.direction, "direction of a criterion", ("at_least", "at_most"))
        check_number(self.threshold, "threshold of a criterion")
        if not callable(self.function):
            raise InputError(f"function of a criterion is {shown(self.function)}; a function(problem, fit) is needed.")

    def measure(self, problem: Problem, fit: Fit, null: Fit) -> Evidence:
        """Return the measurement of a fit beside that of a null.

        Raises:
            InputError: the function returned something else than a finite number.
        """
        value, typical = (
            check_number(self.function(problem, maps), f"the value of the criterion {self.name}")
            for maps in (fit, null)
        )
        passed = value >= self.threshold if self.direction == "at_least" else value <= self.threshold
        limits = (self.name, value, typical, float(self.threshold), bool(passed))
        return Evidence(*limits, self.meaning, self.direction, "a random rotation")


def check_criteria(criteria: Any) -> tuple[Criterion, ...]:
    """Return criteria as a tuple.

    Raises:
        InputError: not a sequence of `Criterion` objects, or two with one name.
    """
    if not isinstance(criteria, Sequence) or not all(isinstance(item, Criterion) for item in criteria):
        raise InputError(
            f"criteria is {shown(criteria)}; a list of interlingua.aligners.criterion.Criterion objects is needed."
        )
    names = [item.name for item in criteria]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two criteria have the name {twice[0]!r}; evidence is read by name. Rename one.")
    return tuple(criteria)


def apply_criteria(
    verdict: Verdict, criteria: Sequence[Criterion], problem: Problem, fit: Fit, *, seed: int
) -> Verdict:
    """Return a verdict with the evidence of further criteria: failed if the fit misses one, otherwise as before.

    Args:
        verdict: the verdict so far.
        criteria: what the fit has to pass besides; they can lower a verdict and never raise it.
        problem: what was aligned.
        fit: the result.
        seed: decides the random rotation of the null.

    Raises:
        InputError: as `Criterion.measure`.
    """
    if not criteria:
        return verdict
    x, y = problem.frames
    draw = np.random.default_rng([seed, _STREAM]).standard_normal((x.rows.shape[1], y.rows.shape[1]))
    null = Fit(*affine_maps(x, y, polar(draw.astype(np.float32))))
    measured = tuple(item.measure(problem, fit, null) for item in criteria)
    judged = replace(verdict, evidence=(*verdict.evidence, *measured))
    missed = tuple(str(item) for item in measured if not item.passed)
    if not missed:
        return judged
    others = () if verdict.status == Status.ALIGNED else verdict.reasons
    return replace(judged, status=Status.FAILED, score=min(verdict.score, 0.5), reasons=(*missed, *others))
