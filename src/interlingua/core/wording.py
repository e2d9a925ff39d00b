"""How measurements and steps of a fit are put into words, the same on the terminal, in reports and in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["comparison", "describe_candidate", "describe_diagnosis", "describe_evidence", "describe_step"]

_SIGNS = {"at_least": "≥", "at_most": "≤"}
_TERMS = ("loss", "reconstruction", "cycle", "vsp", "adversarial", "latent_adversarial")
_STEPS = {
    "rows": "rows drawn",
    "round": "search round {round} finished",
    "fine": "search finished",
    "trial": "fitting candidate {name}, {at} of {of}",
    "union": "adding rows of candidate {name}",
    "candidate": "candidate {name}: {use}, {status}",
    "polish": "refinement finished",
    "fidelity": "non-orthogonal stage finished",
    "mirror": "mirrored copy {copy} measured",
    "check": "snapshot at step {at} measured",
    "verdict": "verdict {status}",
}


def describe_step(step: Mapping[str, Any]) -> str:
    """Return a step of a fit in words."""
    name = str(step.get("step", ""))
    if name == "train":
        terms = "  ".join(f"{term} {step[term]:.3f}" for term in _TERMS if term in step)
        left = step.get("seconds_left")
        return f"training step {step['at']} of {step['of']}  {terms}" + (f"  {left:.0f} s left" if left else "")
    try:
        return _STEPS.get(name, name).format_map(step)
    except KeyError:
        return name


def comparison(evidence: Mapping[str, Any]) -> str:
    """Return the sign between a value and its threshold where the measurement passes: ``≥`` or ``≤``.

    Args:
        evidence: a measurement as :meth:`interlingua.core.alignment.Verdict.to_dict` writes it.
    """
    return _SIGNS[evidence["direction"]]


def describe_evidence(evidence: Mapping[str, Any]) -> str:
    """Return a measurement with its limit, its null and its meaning, in one line; argument as `comparison` takes it."""
    limit = f"needs {evidence['direction'].replace('_', ' ')} {evidence['threshold']:.3g}"
    null = f"{evidence.get('null_meaning', 'chance')} about {evidence['null']:.3g}"
    name = evidence["name"].replace("_", " ")
    return f"{name} {evidence['value']:.3g} ({limit}; {null}): {evidence['meaning']}"


def describe_candidate(candidate: Mapping[str, Any]) -> str:
    """Return one of several candidate targets with its use and its evidence, in one line.

    Args:
        candidate: a record of :attr:`interlingua.core.alignment.Alignment.candidates`.
    """
    measured = [
        f"{name.replace('_', ' ')} {candidate[name]:.3g}"
        for name in ("transport_excess", "refit_agreement", "cycle", "start_agreement")
        if name in candidate
    ]
    head = f"{candidate['name']} ({candidate['rows']:,} rows): {candidate['use']}; alone {candidate['status']}"
    return ", ".join([head, *measured])


def describe_diagnosis(diagnosis: Mapping[str, Any]) -> str:
    """Return a cause of a failed fit, what was measured and what would help, in one line.

    Args:
        diagnosis: as :meth:`interlingua.core.alignment.Diagnosis.to_dict` returns it.
    """
    return f"{diagnosis['name']}: {diagnosis['finding']} {diagnosis['advice']}"
