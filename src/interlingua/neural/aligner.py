"""``method="adversarial"``: the paper's networks, trained from a linear alignment or from nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from interlingua.aligners.base import Fit, OnStep, PairUse, Problem, ignore_step, insufficient_data_reason
from interlingua.aligners.frames import Frame
from interlingua.aligners.linear.aligner import Linear
from interlingua.aligners.verdict import judge_map, verify
from interlingua.core.alignment import Verdict
from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError
from interlingua.core.networks import Network, NetworkMap
from interlingua.neural.pairwise import PairwiseAlignments

if TYPE_CHECKING:
    from interlingua.neural.settings import Settings
    from interlingua.neural.trainer import Trained

# Names of the two spaces of a problem inside the network.
SIDES = ("source", "target")


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
    folder: str | None = field(default=None, metadata={"local": True})
    resume: bool = field(default=False, metadata={"local": True})
    device: str = "cpu"
    tensorboard: bool = field(default=False, metadata={"local": True})
    changes: Mapping[str, Any] = field(default_factory=dict)

    name: ClassVar[str] = "adversarial"
    pairs: ClassVar[PairUse] = "optional"
    extra: ClassVar[str | None] = "neural"

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

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Training reads all vectors of both spaces, a batch at a time; the linear start and the verdict read the samples.

        Raises:
            InputError: too few rows, or a cold start with pairs.
            MissingExtraError: the extra ``neural`` is not installed, or ``tensorboard`` where it is set.
        """
        settings = self.resolve_settings()
        reason = insufficient_data_reason(*problem.rows)
        if reason:
            raise InputError(f"{reason} Give more of them, or pairs with method='procrustes'.")
        if problem.known is not None and self.start == "cold":
            raise InputError("pairs were given and a cold start uses none. Leave them out, or take start='warm'.")
        vectors = dict(zip(SIDES, (problem.source.vectors, problem.target.vectors), strict=True))
        rows = dict(zip(SIDES, problem.rows, strict=True))
        network, starts, trace = self.train(vectors, rows, settings, known=problem.known, seed=seed, on_step=on_step)
        forward, backward = NetworkMap(network, *SIDES), NetworkMap(network, *SIDES[::-1])
        return Fit(forward, backward, tuple(trace), verdict_of(forward, rows, starts, seed))

    def resolve_settings(self) -> Settings:
        """Return all settings of a run, after checking that the packages it needs are installed.

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
        on_step: OnStep,
    ) -> tuple[Network, PairwiseAlignments | None, list[Mapping[str, Any]]]:
        """Return the best network of all restarts, the linear alignments it started from, and the trace.

        Args:
            spaces: [n_k, d_k] of each space by name, to train on.
            rows: float32 samples of them, for the linear start.
            s: all settings.
            known: rows of known pairs of the first and the second space.
            seed: decides every random draw.
            on_step: called with one dict of numbers after each step.
        """
        from interlingua.neural.selection import Selection, convincing

        trace: list[Mapping[str, Any]] = []
        starts = None
        if self.start == "warm":
            starts = PairwiseAlignments.fit(
                rows,
                aligner=Linear(fidelity=self.fidelity),
                known=known,
                seed=seed,
                on_step=on_step,
                with_teachers=bool(s.consensus),
            )
            trace += starts.trace
        judge = Selection(spaces, seed=seed, teachers=starts.teachers if starts else {})
        runs = []
        for i in range(self.restarts):

            def note(step: dict[str, Any], seed: int = seed + i) -> None:
                trace.append({"seed": seed, **step})
                on_step(step)

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
        starts: PairwiseAlignments | None,
        judge: Callable[[Network], Mapping[str, float]],
        on_step: OnStep,
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
            report=on_step,
            device=self.device,
            tensorboard=self.tensorboard,
        )
        return trainer.run(resume=self.resume)


def verdict_of(
    forward: NetworkMap, rows: Mapping[str, FloatArray], starts: PairwiseAlignments | None, seed: int
) -> Verdict:
    """Judge one direction of a network by its translations.

    The rotation that the verdict refits is the one of the linear start, or the one nearest to the translations where
    training began from nothing.

    Args:
        forward: the direction.
        rows: samples of all spaces by name.
        starts: the linear alignments that training began from; None of a cold start.
        seed: decides the random draws.
    """
    source = rows[forward.source]
    target = Frame.of(rows[forward.target])
    linear = starts.fits.get((forward.source, forward.target)) if starts else None
    if linear is None:
        return judge_map((Frame.of(source), target), source, forward, seed=seed)
    return verify(linear.search, linear.rotation, target.around(forward(source)), linear.confirmed)
