"""User-defined criteria: measurements that a fit must pass in addition to those of every verdict."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from interlingua.aligners.base import Fit, Problem
from interlingua.aligners.conclusion import MAX_FAILED_SCORE
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.alignment import MEASUREMENTS, Evidence, Status, Verdict
from interlingua.core.arguments import check_choice, check_instance, check_number, check_text, shown
from interlingua.core.arrays import read_only
from interlingua.core.errors import InputError, cause_of
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.networks import NetworkMap

__all__ = ["Criterion", "apply_criteria", "check_criteria"]

# Keeps the draw of the null apart from those of a fit and of its verdict with the same seed.
_STREAM = 13


@dataclass(frozen=True)
class Criterion:
    """A user-defined measurement that a fit must pass in addition to those of every verdict.

    Attributes:
        name: of the measurement in the evidence, such as ``norm_spread``.
        meaning: one sentence that explains the measurement.
        direction: whether the value must be ``"at_least"`` or ``"at_most"`` the threshold.
        threshold: the limit; a fit that misses it has failed.
        function: returns a finite number for the problem and the fit. Its value for a random rotation of the same
            spaces is the null in the evidence. It must not compare rows by their order, because rows are unpaired.
            It receives read-only arrays. An exception in it, or a value that is not a finite number, counts as a
            missed criterion.

    Raises:
        InputError: a field of another type, or a name or meaning that is empty or not one line.
    """

    name: str
    meaning: str
    direction: Literal["at_least", "at_most"]
    threshold: float
    function: Callable[[Problem, Fit], float]

    def __post_init__(self) -> None:
        """Check the fields."""
        for field in ("name", "meaning"):
            text = check_text(getattr(self, field), f"{field} of a criterion")
            if not text.strip():
                raise InputError(f"{field} of a criterion is empty; a text is needed.")
            if text != text.strip() or not text.isprintable():
                raise InputError(
                    f"{field} of a criterion is {shown(text)}; one line without spaces at its ends is needed."
                )
        check_choice(self.direction, "direction of a criterion", ("at_least", "at_most"))
        check_number(self.threshold, "threshold of a criterion")
        if not callable(self.function):
            raise InputError(f"function of a criterion is {shown(self.function)}; a function(problem, fit) is needed.")

    def measure(self, problem: Problem, fit: Fit, null: Fit) -> Evidence:
        """Return the measurement of a fit beside that of a null.

        Raises:
            InputError: the function raised an exception, or returned something other than a finite number.
        """
        value, typical = self._value(problem, fit, "the fit"), self._value(problem, null, "a random rotation")
        passed = value >= self.threshold if self.direction == "at_least" else value <= self.threshold
        numbers = value, typical, float(self.threshold), bool(passed)
        return Evidence(self.name, *numbers, self.meaning, self.direction, "a random rotation")

    def _value(self, problem: Problem, fit: Fit, what: str) -> float:
        try:
            value = self.function(problem, fit)
        except Exception as error:  # any exception of the user's function is a missed criterion
            reason = f"{type(error).__name__}: {cause_of(error)}"
            raise InputError(f"the criterion {self.name} could not be measured for {what}: {reason}") from error
        return check_number(value, f"the value of the criterion {self.name} for {what}")


def check_criteria(criteria: Any) -> tuple[Criterion, ...]:
    """Return criteria as a tuple.

    Raises:
        InputError: not a sequence of `Criterion` objects, two with one name, or one with the name of a measurement of
            the package.
    """
    is_sequence = isinstance(criteria, Sequence) and not isinstance(criteria, str | bytes)
    if not is_sequence or not all(isinstance(item, Criterion) for item in criteria):
        raise InputError(
            f"criteria is {shown(criteria)}; a list of interlingua.aligners.criterion.Criterion objects is needed."
        )
    names = [item.name for item in criteria]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two criteria have the name {twice[0]!r}; evidence is read by name. Rename one.")
    taken = [name for name in names if name in MEASUREMENTS]
    if taken:
        raise InputError(f"the criterion {taken[0]!r} has the name of a built-in measurement. Rename it.")
    return tuple(criteria)


def apply_criteria(
    verdict: Verdict, criteria: Sequence[Criterion], problem: Problem, fit: Fit, *, seed: int
) -> Verdict:
    """Return a verdict with the evidence of further criteria: failed if the fit misses one, otherwise as before.

    Args:
        verdict: the verdict so far.
        criteria: further criteria that the fit has to pass; they can lower a verdict and never raise it.
        problem: what was aligned.
        fit: the result.
        seed: decides the random rotation of the null.
    """
    if not criteria:
        return verdict
    x, y = problem.frames
    draw = np.random.default_rng([seed, _STREAM]).standard_normal((x.rows.shape[1], y.rows.shape[1]))
    null = Fit(*affine_maps(x, y, polar(draw.astype(np.float32))))
    measured, missed = list[Evidence](), list[str]()
    for item in criteria:
        # Each criterion has maps of its own, so that none can change what another one or the caller sees.
        own, random = _read_only_fit(fit, verdict), _read_only_fit(null, None)
        try:
            evidence = _evidence(item, problem, own, random)
        except InputError as error:
            missed.append(str(error))
            continue
        measured.append(evidence)
        if not evidence.passed:
            missed.append(str(evidence))
    judged = replace(verdict, evidence=(*verdict.evidence, *measured))
    if not missed:
        return judged
    others = () if verdict.status == Status.ALIGNED else verdict.reasons
    return replace(judged, status=Status.FAILED, score=min(verdict.score, MAX_FAILED_SCORE), reasons=(*missed, *others))


def _evidence(item: Criterion, problem: Problem, fit: Fit, null: Fit) -> Evidence:
    """Return what a criterion measured; a class of the user's may have another ``measure``.

    Raises:
        InputError: it raised an exception, or returned something other than `Evidence`.
    """
    try:
        evidence = item.measure(problem, fit, null)
    except InputError:
        raise
    except Exception as error:  # any exception of a user's method is a missed criterion
        reason = f"{type(error).__name__}: {cause_of(error)}"
        raise InputError(f"the criterion {item.name} could not be measured: {reason}") from error
    check_instance(evidence, f"the measurement of the criterion {item.name}", Evidence, "an Evidence object")
    return evidence


def _read_only_fit(fit: Fit, verdict: Verdict | None) -> Fit:
    """Return a fit with copies of the maps, the trace and the verdict."""
    trace = tuple(copy.deepcopy(dict(step)) for step in fit.trace)
    return Fit(_read_only_map(fit.forward), _read_only_map(fit.backward), trace, copy.deepcopy(verdict))


def _read_only_map(mapping: VectorMap) -> VectorMap:
    if isinstance(mapping, AffineMap):
        parts: dict[str, Any] = {name: read_only(getattr(mapping, name)) for name in ("mean_in", "matrix", "mean_out")}
        return replace(mapping, **parts)
    if isinstance(mapping, NetworkMap):
        tensors = {name: read_only(tensor) for name, tensor in mapping.network.tensors.items()}
        return replace(mapping, network=replace(mapping.network, tensors=tensors))
    try:
        return copy.deepcopy(mapping)
    except Exception:  # noqa: BLE001 - an object of the user's that cannot be copied is passed as it is
        return mapping
