"""Training curves out of the trace of a fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlingua.report import _figures

_POINTS = 200
_NO_TERMS = frozenset({"step", "seed", "at", "of", "seconds_left"})

Line = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Curves:
    """The training curves of a network.

    Attributes:
        seed: seed of the run that was kept.
        best: step of the snapshot that was kept.
        losses: steps and values of each term.
        scores: steps and values of the label-free score that chooses between snapshots, by the seed of the run.
    """

    seed: int
    best: int
    losses: Mapping[str, Line]
    scores: Mapping[int, Line]


def curves_of(trace: Sequence[Mapping[str, Any]]) -> Curves | None:
    """Return the curves, or None if no network was trained."""
    runs = [step for step in trace if step.get("step") == "run"]
    if not runs:
        return None
    chosen = max(runs, key=lambda run: run.get("score", -math.inf))
    trained = [step for step in trace if step.get("step") == "train" and step["seed"] == chosen["seed"]]
    trained = [*trained[:: max(1, math.ceil(len(trained) / _POINTS))][:-1], *trained[-1:]]
    names = [name for name in (trained[0] if trained else {}) if name not in _NO_TERMS]
    losses = {name: ([step["at"] for step in trained], [step[name] for step in trained]) for name in names}
    scores = {}
    for run in runs:
        checks = [step for step in trace if step.get("step") == "check" and step["seed"] == run["seed"]]
        if checks:
            scores[int(run["seed"])] = [step["at"] for step in checks], [step["score"] for step in checks]
    return Curves(int(chosen["seed"]), int(chosen["best"]), losses, scores)


def pictures(curves: Curves) -> dict[str, str]:
    """Return the pictures of the losses and of the score; curves of fewer than two points are left out."""
    drawn = {}
    if any(len(steps) > 1 for steps, _ in curves.losses.values()):
        ends = ", ".join(f"{name} from {y[0]:.3g} to {y[-1]:.3g}" for name, (_, y) in curves.losses.items())
        alt = f"Curves of the loss terms over the training steps: {ends}."
        drawn["losses"] = _figures.curves("curves-losses", alt, curves.losses, ylabel="loss", log=True)
    if any(len(steps) > 1 for steps, _ in curves.scores.values()):
        first, last = (curves.scores[curves.seed][1][i] for i in (0, -1))
        alt = (
            f"Curve of the label-free score over the training steps: from {first:.3f} to {last:.3f}; "
            f"the snapshot of step {curves.best} was kept."
        )
        lines = {f"seed {seed}": line for seed, line in sorted(curves.scores.items())}
        drawn["score"] = _figures.curves(
            "curves-score", alt, lines, ylabel="label-free score", mark=(f"seed {curves.seed}", curves.best)
        )
    return drawn
