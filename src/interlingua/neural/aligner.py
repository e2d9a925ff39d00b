"""``method="adversarial"``: the paper's networks, trained from a linear alignment or from random initial values."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy.typing as npt

from interlingua.aligners import Setting, constructor_settings
from interlingua.aligners.base import Fit, OnStep, PairUse, Problem, ignore_step
from interlingua.aligners.frames import Frame
from interlingua.aligners.linear.aligner import Linear
from interlingua.aligners.verdict import judge_map
from interlingua.core import statistics
from interlingua.core.alignment import Verdict
from interlingua.core.arguments import Bounds, check_count, check_flag, check_path, check_text, shown
from interlingua.core.arrays import FloatArray, require
from interlingua.core.atomic import check_writable
from interlingua.core.backend import default_torch, resolve_device, single_threaded_torch
from interlingua.core.errors import InputError
from interlingua.core.networks import Network, NetworkMap
from interlingua.core.spaces import fingerprint
from interlingua.neural.pairwise import PairwiseAlignments
from interlingua.neural.presets import NAMES, PRESETS, STARTS, preset
from interlingua.neural.settings import Settings

if TYPE_CHECKING:
    from interlingua.neural.terms import LossTerm
    from interlingua.neural.trainer import SelectionScore, Trained

__all__ = ["SIDES", "Adversarial", "verdict_of"]

# Names of the two spaces of a problem inside the network.
SIDES = ("source", "target")
# Networks whose layers are at most this wide are trained with one thread on a CPU.
_NARROW = 128


@dataclass(frozen=True, init=False)
class Adversarial:
    """Networks through one latent space, trained against discriminators (vec2vec, arXiv 2505.12540).

    Every field of :class:`interlingua.neural.settings.Settings` is a keyword too, and overrides the preset:
    ``Adversarial(cycle=0, lr=1e-4)``.

    Attributes:
        preset: ``"small"`` for a CPU, ``"paper"`` (with a cold start the paper's released code), or for cold starts
            ``"paper-text"`` (what the paper says where its code differs) and ``"annealed"`` (ours, small too).
        start: ``"warm"``: equal to the linear method's alignment at step 0; ``"cold"``: random initial networks, as in
            the paper.
        nonorthogonal: start from the linear method's non-orthogonal map instead of from its rotation.
        restarts: most runs, from seeds ``seed``, ``seed + 1``, ...; the one with the best label-free score is kept. No
            further run is started once one is convincing: :func:`interlingua.neural.selection.is_convincing`.
        folder: for checkpoints and metrics, with one subfolder for each seed; None keeps none.
        resume: continue from the checkpoints in ``folder``. ``steps`` may be raised to lengthen a run.
        device: ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"mps"``, or ``"auto"``: an NVIDIA GPU if there is one, otherwise
            the CPU. The linear start is computed there as well.
        tensorboard: also write metrics for TensorBoard.
        extra_terms: further terms of the generator's loss, :class:`interlingua.neural.terms.LossTerm` objects.
        overrides: the settings that differ from the preset.

    Raises:
        InputError: a setting does not exist, or has a value that no run could use.
    """

    preset: str
    start: str
    nonorthogonal: bool
    restarts: int
    folder: str | None
    resume: bool
    device: str
    tensorboard: bool
    extra_terms: tuple[LossTerm, ...]
    overrides: Mapping[str, Any]

    name: ClassVar[str] = "adversarial"
    pairs: ClassVar[PairUse] = "optional"
    bounds: ClassVar[Bounds] = {"restarts": {"minimum": 1}}

    def __init__(
        self,
        *,
        preset: str = "small",
        start: str = "warm",
        nonorthogonal: bool = False,
        restarts: int = 1,
        folder: str | None = None,
        resume: bool = False,
        device: str = "cpu",
        tensorboard: bool = False,
        extra_terms: Sequence[LossTerm] = (),
        **overrides: Any,
    ) -> None:
        flags = {"nonorthogonal": nonorthogonal, "resume": resume, "tensorboard": tensorboard}
        flags = {name: check_flag(value, name) for name, value in flags.items()}
        texts = {"preset": preset, "start": start, "device": device}
        if folder is not None:
            check_path(folder, "folder")
        if (resume or tensorboard) and folder is None:
            raise InputError("resume and tensorboard need the folder of a run.", "Pass {folder=PATH}.")
        values = {
            **flags,
            **{name: check_text(value, name) for name, value in texts.items()},
            "restarts": check_count(restarts, "restarts", minimum=1),
            "folder": folder,
            "extra_terms": _checked_terms(extra_terms),
            "overrides": overrides,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        # Plain values, as a card needs them, in place of those that were given.
        settings = self.training_settings()
        object.__setattr__(self, "overrides", {name: getattr(settings, name) for name in overrides})

    @classmethod
    def setting_names(cls) -> list[str]:
        """Return the names of all settings: those of the method and those of training."""
        own = [name for name in inspect.signature(cls).parameters if name != "overrides"]
        return own + [field.name for field in fields(Settings)]

    @classmethod
    def describe_settings(cls) -> tuple[Setting, ...]:
        """Return name, type, default, range and meaning of every setting.

        The defaults of training settings are those of the default preset and start.
        """
        defaults = preset(*(inspect.signature(cls).parameters[name].default for name in ("preset", "start")))
        training = (
            replace(
                setting,
                default=getattr(defaults, setting.name),
                presets={" ".join(key): getattr(values, setting.name) for key, values in PRESETS.items()},
            )
            for setting in Settings.describe()
        )
        choices = {name: f"one of {', '.join(values)}" for name, values in (("preset", NAMES), ("start", STARTS))}
        own = (
            replace(setting, range=choices.get(setting.name, setting.range))
            for setting in constructor_settings(cls)
            if setting.name != "overrides"
        )
        return (*own, *training)

    def settings_for_card(self) -> dict[str, Any]:
        """Return the settings that decide the result, as plain values."""
        names = ("preset", "start", "nonorthogonal", "restarts", "device")
        terms = {term.name: "variable" if callable(term.weight) else float(term.weight) for term in self.extra_terms}
        own = {name: getattr(self, name) for name in names} | ({"extra_terms": terms} if terms else {})
        return {**own, **self.overrides}

    def training_settings(self) -> Settings:
        """Return all settings of a run: the preset's, with the overrides."""
        return preset(self.preset, self.start).changed(**self.overrides)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Training reads all vectors of both spaces, a batch at a time; the linear start and the verdict read the samples.

        Raises:
            InputError: too few rows, or a cold start with pairs.
            MissingExtraError: the extra ``neural`` is not installed, or ``tensorboard`` where it is set.
        """
        settings = self.resolve_settings()
        problem.check_rows("Give more of them, or known pairs with the method procrustes.")
        if problem.known is not None and self.start == "cold":
            raise InputError("pairs were given and a cold start uses none. Leave them out, or use a warm start.")
        vectors = dict(zip(SIDES, (problem.source.vectors, problem.target.vectors), strict=True))
        rows = dict(zip(SIDES, problem.rows, strict=True))
        network, starts, trace = self.train(vectors, rows, settings, known=problem.known, seed=seed, on_step=on_step)
        forward, backward = NetworkMap(network, *SIDES), NetworkMap(network, *SIDES[::-1])
        return Fit(forward, backward, tuple(trace), verdict_of(forward, rows, starts, seed, on_step))

    def resolve_settings(self) -> Settings:
        """Return all settings of a run, after checking that the packages it needs are installed.

        Raises:
            InputError: a device that does not exist.
            MissingExtraError: the extra ``neural`` is not installed, or ``tensorboard`` where it is used.
        """
        require("torch", "neural")
        require("accelerate", "neural")
        resolve_device(self.device)
        if self.tensorboard:
            require("torch.utils.tensorboard", "tensorboard")
        return self.training_settings()

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

        Raises:
            InputError: ``folder`` holds runs that are not to be resumed, or no folder can be made there.
        """
        from interlingua.neural import checkpoints
        from interlingua.neural.selection import Selection, is_convincing

        start = self._start_facts(rows, known)
        # The linear start can take minutes, so the folders are checked before it.
        for i in range(self.restarts):
            folder = self._run_folder(seed + i)
            if folder is None:
                break
            check_writable(folder)
            saved = checkpoints.read(folder) if self.resume else None
            if saved is None:
                checkpoints.check_new(folder)
                continue
            current = checkpoints.identity(
                spaces, s, seed=seed + i, gated=s.skips or bool(start), terms=self.extra_terms, start=start
            )
            checkpoints.check_same(folder, saved, current, s)
        trace: list[Mapping[str, Any]] = []
        starts = None
        if self.start == "warm":
            starts = PairwiseAlignments.fit(
                rows,
                aligner=Linear(nonorthogonal=self.nonorthogonal, device=resolve_device(self.device)),
                known=known,
                seed=seed,
                on_step=on_step,
                with_teachers=bool(s.consensus),
                folder=None if self.folder is None else Path(self.folder),
            )
            trace += starts.trace
        selection = Selection(spaces, seed=seed, teachers=starts.teachers if starts else {})
        runs = []
        for i in range(self.restarts):

            def log(step: dict[str, Any], seed: int = seed + i) -> None:
                step = {"seed": seed, **step}
                trace.append(step)
                on_step(step)

            runs.append(self._run(spaces, s, seed + i, starts, selection, log, start))
            if is_convincing(runs[-1].measures):
                break
        best = max(runs, key=lambda run: run.measures["score"])
        for i, run in enumerate(runs):
            summary = {"step": "run", "seed": seed + i, "best": run.best, **run.measures}
            trace.append(summary)
            on_step(summary)
        norms = tuple(float(Frame.of(sample).norm) for sample in rows.values())
        return replace(best.network, norms=norms), starts, trace

    def _start_facts(
        self, rows: Mapping[str, FloatArray], known: tuple[FloatArray, FloatArray] | None
    ) -> dict[str, Any]:
        """Return what a warm start depends on besides the vectors; nothing for a cold start."""
        if self.start == "cold":
            return {}
        pairs = "none" if known is None else " ".join(map(fingerprint, known))
        sizes = {name: len(sample) for name, sample in rows.items()}
        return {"nonorthogonal": self.nonorthogonal, "known pairs": pairs, "rows of the linear start": sizes}

    def _run_folder(self, seed: int) -> Path | None:
        return None if self.folder is None else Path(self.folder) / f"seed-{seed}"

    @default_torch()
    def _run(
        self,
        spaces: Mapping[str, npt.NDArray[Any]],
        s: Settings,
        seed: int,
        starts: PairwiseAlignments | None,
        selection: SelectionScore,
        on_step: OnStep,
        start: Mapping[str, Any],
    ) -> Trained:
        from interlingua.neural.trainer import Trainer

        trainer = Trainer.prepare(
            spaces,
            s,
            seed=seed,
            maps=starts.maps if starts else None,
            teachers=starts.teachers if starts else {},
            folder=self._run_folder(seed),
            selection=selection,
            on_step=on_step,
            device=self.device,
            tensorboard=self.tensorboard,
            extra_terms=self.extra_terms,
            start=start,
        )
        with single_threaded_torch() if self._needs_one_thread(s) else nullcontext():
            return trainer.run(resume=self.resume)

    def _needs_one_thread(self, s: Settings) -> bool:
        widest = max(s.width, s.latent, s.discriminator_width)
        return widest <= _NARROW and resolve_device(self.device) == "cpu"


def verdict_of(
    forward: NetworkMap,
    rows: Mapping[str, FloatArray],
    starts: PairwiseAlignments | None,
    seed: int,
    on_part: OnStep = ignore_step,
) -> Verdict:
    """Return the verdict on one direction of a network, from its translations alone.

    After a warm start, the start agreement is at most the agreement of the network with its linear start. Otherwise a
    network that training moved away from the start would be confirmed by the evidence for the start.

    Args:
        forward: the direction.
        rows: samples of all spaces by name.
        starts: the linear alignments that training began from; None after a cold start.
        seed: decides the random draws.
        on_part: called before and after each part of the measurements.
    """
    source, target = rows[forward.source], Frame.of(rows[forward.target])
    frames = (Frame.of(source), target)
    linear = starts.fits.get((forward.source, forward.target)) if starts else None
    backward = NetworkMap(forward.network, forward.target, forward.source)
    if linear is None:
        return judge_map(frames, source, forward, backward, seed=seed, on_part=on_part)
    translated, initial = (target.center(translate(source)) for translate in (forward, linear.forward))
    start_agreement = statistics.agreement(translated, initial)
    if linear.start_agreement is not None:
        start_agreement = min(start_agreement, linear.start_agreement)
    return judge_map(
        frames,
        source,
        forward,
        backward,
        seed=seed,
        null=linear.null,
        start_agreement=start_agreement,
        on_part=on_part,
    )


def _checked_terms(terms: Any) -> tuple[LossTerm, ...]:
    """Return loss terms as a tuple, or refuse them."""
    if isinstance(terms, str) or not isinstance(terms, Iterable):
        raise InputError(
            f"extra_terms is {shown(terms)}; a list of interlingua.neural.terms.LossTerm objects is needed."
        )
    checked = tuple(terms)
    if checked:
        require("torch", "neural")
        from interlingua.neural.terms import check_terms

        check_terms(checked)
    return checked
