"""``method="adversarial"``: the paper's networks, trained from a linear alignment or from nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from interlingua._arrays import FloatArray, require, unit_rows
from interlingua.aligners.consensus import consensus
from interlingua.aligners.fidelity import level_offset, reach
from interlingua.aligners.frames import Frame, affine_map, polar
from interlingua.aligners.linear import Found, Linear, obstacle
from interlingua.aligners.search import Report, Search
from interlingua.aligners.verify import verify
from interlingua.alignment import Verdict
from interlingua.errors import InputError
from interlingua.maps import AffineMap
from interlingua.networks import Network, NetworkMap

if TYPE_CHECKING:
    from interlingua.neural.settings import Settings
    from interlingua.neural.trainer import Trained

ENDS = ("source", "target")
Maps = tuple[AffineMap, AffineMap]


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
        from interlingua.neural.selection import Selection, convincing

        s = self.settings()
        require("accelerate", "neural")
        if self.tensorboard:
            require("torch.utils.tensorboard", "tensorboard")
        reason = obstacle(*rows)
        if reason:
            raise InputError(f"{reason} Give more of them, or pairs with method='procrustes'.")
        if known is not None and self.start == "cold":
            raise InputError("pairs were given and a cold start uses none. Leave them out, or take start='warm'.")
        trace: list[dict[str, Any]] = []
        found, maps, teachers = None, None, {}
        if self.start == "warm":
            forward, backward, trace, found = Linear(fidelity=self.fidelity).solve(
                *rows, known=known, seed=seed, report=report
            )
            maps = _into_hub(forward, backward)
            if s.consensus:
                teachers = dict(zip((ENDS, ENDS[::-1]), _teachers(rows, found, seed), strict=True))
        spaces = dict(zip(ENDS, vectors, strict=True))
        judge = Selection(spaces, seed=seed, teachers=teachers)
        runs = []
        for i in range(self.restarts):

            def note(step: dict[str, Any], seed: int = seed + i) -> None:
                trace.append({"seed": seed, **step})
                report(step)

            runs.append(self._run(spaces, s, seed + i, maps, teachers, judge, note))
            if convincing(runs[-1].measures):
                break
        best = max(runs, key=lambda run: run.measures["score"])
        trace += [{"step": "run", "seed": seed + i, "best": r.best, **r.measures} for i, r in enumerate(runs)]
        frames = Frame.of(rows[0]), Frame.of(rows[1])
        network = replace(best.network, norms=tuple(float(frame.norm) for frame in frames))
        there, back = NetworkMap(network, *ENDS), NetworkMap(network, *ENDS[::-1])
        return there, back, trace, _verdict(there, rows[0], frames, found, seed)

    def _run(
        self,
        spaces: Mapping[str, npt.NDArray[Any]],
        s: Settings,
        seed: int,
        maps: Mapping[str, Maps] | None,
        teachers: Mapping[tuple[str, str], Callable[[FloatArray], FloatArray]],
        judge: Callable[[Network], Mapping[str, float]],
        report: Report,
    ) -> Trained:
        from interlingua.neural.trainer import Trainer

        trainer = Trainer(
            spaces,
            s,
            seed=seed,
            maps=maps,
            teachers=teachers,
            folder=None if self.folder is None else Path(self.folder) / f"seed-{seed}",
            judge=judge,
            report=report,
            device=self.device,
            tensorboard=self.tensorboard,
        )
        return trainer.run(resume=self.resume)


def _into_hub(forward: AffineMap, backward: AffineMap) -> dict[str, Maps]:
    """Return the maps into and out of the narrower space, by the name of the other."""
    if forward.d_out <= forward.d_in:
        return {"source": (forward, backward)}
    return {"target": (backward, forward)}


def _teachers(rows: tuple[FloatArray, FloatArray], found: Found, seed: int) -> tuple[AffineMap, AffineMap]:
    x, y = (Frame.of(z) for z in rows)
    there, back = consensus(found.search, found.rotation, np.random.default_rng([seed, 2]))
    return (
        affine_map(x, y, there, offset=level_offset(y), reach=reach(x, y)),
        affine_map(y, x, back, offset=level_offset(x), reach=reach(y, x)),
    )


def _verdict(
    there: NetworkMap, source: FloatArray, frames: tuple[Frame, Frame], found: Found | None, seed: int
) -> Verdict:
    """Judge the network: its translations, and the rotation nearest to it where no search has found one."""
    x, y = frames
    translated = y.around(there(source))
    if found is not None:
        return verify(found.search, found.rotation, translated, found.confirmed)
    search = Search(x.rows, y.rows, np.random.default_rng(seed))
    return verify(search, polar(x.rows.T @ unit_rows(translated)), translated, None)
