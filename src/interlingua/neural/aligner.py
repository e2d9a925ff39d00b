"""``method="adversarial"``: the paper's networks, trained from a linear alignment or from nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear.aligner import Linear, obstacle
from interlingua.aligners.linear.search import Report, Search
from interlingua.aligners.verdict import verify
from interlingua.core.alignment import Verdict
from interlingua.core.arrays import FloatArray, require, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.networks import Network, NetworkMap
from interlingua.neural.pairwise import Starts

if TYPE_CHECKING:
    from interlingua.neural.settings import Settings
    from interlingua.neural.trainer import Trained

ENDS = ("source", "target")


@dataclass(frozen=True)
class Adversarial:
    """Networks through one latent space, trained against discriminators (vec2vec).

    Attributes:
        preset: ``"small"`` for a CPU, ``"paper"``, or for cold starts ``"annealed"``: ours, small too.
        start: ``"warm"``: the linear method's alignment exactly at step 0; ``"cold"``: from nothing, as in the paper.
        fidelity: start from the linear method's faithful map instead of from its rotation.
        steps: training steps; the preset's by default.
        restarts: most runs from seeds ``seed``, ``seed + 1``, ...; the best by label-free measurements is taken. None
            follow one that is beyond doubt: :func:`interlingua.neural.selection.convincing`.
        folder: where checkpoints and metrics go, one folder a restart; none are kept without.
        resume: go on from the checkpoints in ``folder``.
        device: ``"cpu"``, or ``"auto"`` for an accelerator where there is one.
        tensorboard: also write the metrics for TensorBoard.
        changes: other settings by name, see :class:`interlingua.neural.settings.Settings`.
    """

    preset: str = "small"
    start: str = "warm"
    fidelity: bool = False
    steps: int | None = None
    restarts: int = 1
    folder: str | None = None
    resume: bool = False
    device: str = "cpu"
    tensorboard: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)

    name: ClassVar[str] = "adversarial"

    def __post_init__(self) -> None:
        """Refuse settings that go with nothing."""
        if self.restarts < 1:
            raise InputError(f"restarts is {self.restarts}; at least 1 is needed.")
        if (self.resume or self.tensorboard) and self.folder is None:
            raise InputError("resume and tensorboard need the folder of a run; say which with folder=.")

    def settings(self) -> Settings:
        """Return all settings of a run.

        Raises:
            MissingExtraError: torch is not installed.
        """
        require("torch", "neural")
        from interlingua.neural.presets import preset

        steps = {} if self.steps is None else {"steps": self.steps}
        return preset(self.preset, self.start).changed(**steps, **self.changes)

    def solve(
        self,
        vectors: tuple[npt.NDArray[Any], npt.NDArray[Any]],
        rows: tuple[FloatArray, FloatArray],
        *,
        known: tuple[FloatArray, FloatArray] | None = None,
        seed: int = 0,
        report: Report = lambda step: None,
    ) -> tuple[NetworkMap, NetworkMap, list[dict[str, Any]], Verdict]:
        """Return forward map, backward map, trace and verdict.

        Args:
            vectors: [n, d] of source and target to train on; memory maps are read a batch at a time.
            rows: float32 samples of them for the linear start and the verdict.
            known: rows of known pairs; they help the linear start.
            seed: decides every random draw.
            report: called with one dict of numbers after each step.

        Raises:
            InputError: too few rows, or a cold start with pairs.
            MissingExtraError: the extra ``neural`` is not installed, or ``tensorboard`` where it is asked for.
        """
        s = self.checked()
        reason = obstacle(*rows)
        if reason:
            raise InputError(f"{reason} Give more of them, or pairs with method='procrustes'.")
        if known is not None and self.start == "cold":
            raise InputError("pairs were given and a cold start uses none. Leave them out, or take start='warm'.")
        spaces, samples = (dict(zip(ENDS, pair, strict=True)) for pair in (vectors, rows))
        network, starts, trace = self.train(spaces, samples, s, known=known, seed=seed, report=report)
        there, back = NetworkMap(network, *ENDS), NetworkMap(network, *ENDS[::-1])
        return there, back, trace, judged(there, samples, starts, seed)

    def checked(self) -> Settings:
        """Return all settings of a run that can begin.

        Raises:
            MissingExtraError: the extra ``neural`` is not installed, or ``tensorboard`` where it is asked for.
        """
        s = self.settings()
        require("accelerate", "neural")
        if self.tensorboard:
            require("torch.utils.tensorboard", "tensorboard")
        return s

    def train(
        self,
        spaces: Mapping[str, npt.NDArray[Any]],
        rows: Mapping[str, FloatArray],
        s: Settings,
        *,
        known: tuple[FloatArray, FloatArray] | None,
        seed: int,
        report: Report,
    ) -> tuple[Network, Starts | None, list[dict[str, Any]]]:
        """Return the best network of all restarts, the linear alignments it started from, and the trace.

        Args:
            spaces: [n_k, d_k] of each space by name, to train on.
            rows: float32 samples of them, for the linear start.
            s: all settings.
            known: rows of known pairs of the first and the second space.
            seed: decides every random draw.
            report: called with one dict of numbers after each step.
        """
        from interlingua.neural.selection import Selection, convincing

        trace: list[dict[str, Any]] = []
        starts = None
        if self.start == "warm":
            starts = Starts.between(rows, Linear(fidelity=self.fidelity), known, seed, report, agreed=bool(s.consensus))
            trace += starts.trace
        judge = Selection(spaces, seed=seed, teachers=starts.teachers if starts else {})
        runs = []
        for i in range(self.restarts):

            def note(step: dict[str, Any], seed: int = seed + i) -> None:
                trace.append({"seed": seed, **step})
                report(step)

            runs.append(self._run(spaces, s, seed + i, starts, judge, note))
            if convincing(runs[-1].measures):
                break
        best = max(runs, key=lambda run: run.measures["score"])
        trace += [{"step": "run", "seed": seed + i, "best": r.best, **r.measures} for i, r in enumerate(runs)]
        norms = tuple(float(Frame.of(sample).norm) for sample in rows.values())
        return replace(best.network, norms=norms), starts, trace

    def _run(
        self,
        spaces: Mapping[str, npt.NDArray[Any]],
        s: Settings,
        seed: int,
        starts: Starts | None,
        judge: Callable[[Network], Mapping[str, float]],
        report: Report,
    ) -> Trained:
        from interlingua.neural.trainer import Trainer

        trainer = Trainer(
            spaces,
            s,
            seed=seed,
            maps=starts.maps if starts else None,
            teachers=starts.teachers if starts else {},
            folder=None if self.folder is None else Path(self.folder) / f"seed-{seed}",
            judge=judge,
            report=report,
            device=self.device,
            tensorboard=self.tensorboard,
        )
        return trainer.run(resume=self.resume)


def judged(there: NetworkMap, rows: Mapping[str, FloatArray], starts: Starts | None, seed: int) -> Verdict:
    """Judge a direction of a network: its translations, and the rotation nearest to it where no search has found one.

    Args:
        there: the direction.
        rows: samples of all spaces by name.
        starts: the linear alignments that training started from; None of a cold start.
        seed: decides the search's draws.
    """
    y = Frame.of(rows[there.target])
    translated = y.around(there(rows[there.source]))
    found = starts.found.get((there.source, there.target)) if starts else None
    if found is not None:
        return verify(found.search, found.rotation, translated, found.confirmed)
    x = Frame.of(rows[there.source])
    search = Search(x.rows, y.rows, np.random.default_rng(seed))
    return verify(search, polar(x.rows.T @ unit_rows(translated)), translated, None)
