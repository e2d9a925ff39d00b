"""The training loop: a discriminator step, a generator step, with periodic label-free evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from interlingua.aligners.base import OnStep, ignore_step
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import limit_torch_threads
from interlingua.core.errors import InputError, TrainingError
from interlingua.core.maps import AffineMap
from interlingua.core.networks import Network
from interlingua.neural import checkpoints, mirrors, nets, randomness, schedule, steps
from interlingua.neural.batches import Batches
from interlingua.neural.model import Model
from interlingua.neural.monitor import Monitor
from interlingua.neural.processes import Processes
from interlingua.neural.settings import Settings
from interlingua.neural.terms import TERMS, LossTerm, check_terms

__all__ = ["SelectionScore", "Teacher", "Trained", "Trainer"]

# Translates unit rows [n, d_j] of one space into another.
Teacher = Callable[[FloatArray], FloatArray]
# Measures a network without pairs; the snapshot with the largest "score" is kept.
SelectionScore = Callable[[Network], Mapping[str, float]]

# A checkpoint is also written when the last one is older than this.
_SAVE_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a run.

    Attributes:
        network: the snapshot with the best selection score, or the last one without selection.
        best: the step of that snapshot.
        measures: its label-free measurements.
        history: the measurements of every evaluated snapshot, with its step.
        seconds: wall time of the run, all its processes together.
    """

    network: Network
    best: int
    measures: Mapping[str, float]
    history: tuple[Mapping[str, float], ...]
    seconds: float


class Trainer:
    """One training run, as `prepare` makes it.

    Args:
        model: the networks and their optimizers.
        batches: of all spaces.
        processes: those that train together.
        monitor: writes metrics.
        settings: of the run.
        seed: decides dropout and noise.
        terms: of the generator's loss.
        teachers: translations to stay close to, by the numbers of two spaces.
        folder: for checkpoints; None keeps none.
        selection: measures snapshots without pairs; the best one is the result.
        on_step: called with a dict of numbers at every logged step.
        identity: what a run that continues this one must share, as :func:`checkpoints.identity` returns it.
    """

    def __init__(
        self,
        model: Model,
        batches: Batches,
        processes: Processes,
        monitor: Monitor,
        settings: Settings,
        *,
        seed: int,
        terms: Sequence[LossTerm],
        teachers: Mapping[tuple[int, int], Teacher],
        folder: Path | None,
        selection: SelectionScore | None,
        on_step: OnStep,
        identity: dict[str, Any],
    ) -> None:
        self.model, self.settings, self.seed, self._identity = model, settings, seed, identity
        self._batches, self._processes, self._monitor = batches, processes, monitor
        self._terms, self._teachers = terms, teachers
        self._folder, self._selection, self._on_step = folder, selection, on_step
        self._step, self._seconds, self._earlier_seconds, self._began, self._saved = 0, 0.0, 0.0, 0.0, 0.0
        self._history: list[dict[str, float]] = []
        self._best: tuple[int, dict[str, Tensor]] | None = None
        self._mirrors: mirrors.Comparison | None = None

    @classmethod
    def prepare(
        cls,
        vectors: Mapping[str, npt.NDArray[Any]],
        settings: Settings,
        *,
        seed: int = 0,
        maps: Mapping[str, tuple[AffineMap, AffineMap]] | None = None,
        teachers: Mapping[tuple[str, str], Teacher] | None = None,
        folder: Path | None = None,
        selection: SelectionScore | None = None,
        on_step: OnStep = ignore_step,
        device: str = "cpu",
        tensorboard: bool = False,
        extra_terms: Sequence[LossTerm] = (),
        start: Mapping[str, Any] | None = None,
    ) -> Trainer:
        """Build the networks of a run on their device; nothing is trained or written.

        Args:
            vectors: [n_k, d_k] of each space by name, two or more; with one latent discriminator, the latents of the
                last space count as real.
            settings: of the run.
            seed: decides initial values, batches, dropout and noise.
            maps: a linear alignment to start from, as :func:`interlingua.neural.warm.initialize` takes it; None starts
                cold.
            teachers: translations to stay close to, by (from, to), with the weight ``consensus``; none by default.
            folder: for checkpoints and metrics; None keeps none.
            selection: measures snapshots without pairs; the best one is the result.
            on_step: called with a dict of numbers at every logged step.
            device: as :func:`interlingua.core.backend.resolve_device` takes it.
            tensorboard: also write metrics for TensorBoard.
            extra_terms: further terms of the generator's loss.
            start: what ``maps`` and ``teachers`` depend on besides the vectors, as plain values by name; a run is
                continued only with the same.

        Raises:
            InputError: fewer than two spaces, fewer rows than a batch, a loss term that cannot be used, or maps that do
                not fit the spaces.
        """
        if len(vectors) < 2:
            raise InputError(f"At least 2 spaces are needed, but {'only one' if vectors else 'none'} was given.")
        terms = check_terms(extra_terms)
        needing = [term.name for term in extra_terms if "teacher_targets" in term.needs]
        if needing and not teachers:
            raise InputError(
                f"loss term {needing[0]!r} needs teacher_targets and there are no teachers. Use a warm start with "
                "consensus above 0, or leave the term out."
            )
        limit_torch_threads()
        processes = Processes(device)
        widths = {name: int(rows.shape[1]) for name, rows in vectors.items()}
        numbers = {name: number for number, name in enumerate(widths)}
        is_main = processes.is_main
        model = Model.build(widths, settings, seed=seed, maps=maps, device=processes.device)
        gated = model.generator.gated
        return cls(
            model,
            Batches(vectors, settings.batch * processes.count, seed, (processes.index, processes.count)),
            processes,
            Monitor(folder if is_main else None, tensorboard=tensorboard and is_main),
            settings,
            seed=seed,
            terms=terms,
            teachers={(numbers[j], numbers[k]): teach for (j, k), teach in (teachers or {}).items()},
            folder=folder,
            selection=selection,
            on_step=on_step,
            identity=checkpoints.identity(
                vectors, settings, seed=seed, gated=gated, terms=extra_terms, start=start or {}
            ),
        )

    @cached_property
    def _mirrored(self) -> range:
        """The steps that every mirrored copy takes; none without a selection."""
        return range(0) if self._selection is None else schedule.mirror_steps(self.settings)

    def run(self, *, resume: bool = False) -> Trained:
        """Train to the last step.

        Args:
            resume: continue from the folder's checkpoint. On a CPU the result equals that of an uninterrupted run bit
                by bit. Steps logged by earlier processes are reported to ``on_step`` again, so that the trace is whole.

        Raises:
            InputError: the folder holds a checkpoint and ``resume`` is not set, or the checkpoint is of another run.
            TrainingError: a loss is not finite.
        """
        self._prepare_folder(resume=resume)
        self._began = self._saved = time.perf_counter()
        first, self._earlier_seconds = self._step, self._seconds
        self._monitor.open(self._step)
        self._report_earlier_steps()
        if self._selection is not None and not self._history:
            self._evaluate()
        s = self.settings
        with randomness.preserve_rng(self._processes.device):
            while self._step < s.steps:
                before = self._step
                terms = self._try_mirrors() if self._step in self._mirrored[:1] else self._train()
                self._step += 1
                # Mirrored copies take several steps at once, so an interval may end inside them.
                due = {every: before // every < self._step // every for every in (s.log_every, s.check_every)}
                last = self._step == s.steps
                self._seconds = self._elapsed()
                if due[s.log_every] or last:
                    left = (self._seconds - self._earlier_seconds) / (self._step - first) * (s.steps - self._step)
                    self._log(terms, seconds_left=left)
                if self._selection is not None and (due[s.check_every] or last):
                    self._evaluate()
                self._save(terms, due=before // s.save_every < self._step // s.save_every or last)
        return self._trained()

    def snapshot(self) -> Network:
        """Return the current network, with averaged weights where an average is kept."""
        return self.model.network(self.model.weights())

    def _train(self) -> dict[str, Tensor]:
        """Take one step and return all terms."""
        s = schedule.settings_at(self.settings, self._step)
        model = self.model
        networks, discriminators = model.optimizers
        noise = schedule.instance_noise(s, self._step)
        for optimizer in (networks, discriminators):
            optimizer.set_lr(schedule.lr_factor(s, self._step))
        model.generator.train()
        model.discriminators.train()
        randomness.reseed([self.seed, self._step, self._processes.index], self._processes.device)
        terms: dict[str, Tensor] = {}
        for part in range(s.accumulate):
            rows = self._rows(self._step * s.accumulate + part)
            with model.autocast():
                outputs = steps.forward(model.generator, rows)
                discriminator_terms = steps.discriminator_terms(model.discriminators, outputs, s, instance_noise=noise)
            if discriminator_terms:
                discriminators.backward(torch.stack(list(discriminator_terms.values())).sum() / s.accumulate)
            terms |= {name: term.detach() for name, term in discriminator_terms.items()}
            if part == s.accumulate - 1 and discriminator_terms:
                self._processes.average_gradients(model.discriminators)
                discriminators.step()
            model.discriminators.requires_grad_(False).eval()
            with model.autocast():
                generator_terms = steps.generator_terms(
                    model.generator,
                    model.discriminators,
                    outputs,
                    s,
                    terms=self._terms,
                    teacher_targets=self._teacher_targets(rows),
                    instance_noise=noise,
                    gather=self._processes.gather,
                )
                loss = steps.weighted_sum(generator_terms, s, self._terms)
            if len(self._terms) > len(TERMS):
                # One step later all terms are NaN, and which of them was the first cannot be seen.
                self._check_finite(generator_terms, self._step + 1)
            networks.backward(loss / s.accumulate)
            model.discriminators.requires_grad_(True).train()
            terms |= {name: term.detach() for name, term in generator_terms.items()} | {"loss": loss.detach()}
        self._processes.average_gradients(model.generator)
        self._monitor.gradient_norm = networks.step(s.max_grad_norm)
        if model.average is not None:
            model.average.update_parameters(model.generator)
        return terms

    def _try_mirrors(self) -> dict[str, Tensor]:
        """Take some steps with every mirrored copy, continue with the best one, and return its last terms."""
        compared = self._mirrors = self._mirrors or mirrors.Comparison(deepcopy(self.model.state()))
        copies = mirrors.copies(self._batches, len(self.model.widths), self.settings.mirrors)
        # An earlier process may have done the first ones.
        for number, reflect in islice(enumerate(copies), len(compared.reports), None):
            self.model.restore(deepcopy(compared.begin))
            for generator in self.model.generators():
                reflect(generator)
            for step in self._mirrored:
                self._step = step
                terms = self._train()
            score = float(self._selection(self.snapshot())["score"]) if self._selection else math.nan
            report = {"step": "mirror", "at": self._step + 1, "copy": number, "score": score}
            compared.add(report, self.model.state(), terms)
            self._on_step(report)
            # A checkpoint among the copies is of the step at which they began.
            self._step, self._seconds = self._mirrored[0], self._elapsed()
            self._save(terms)
        self._step = self._mirrored[-1]
        best, terms = compared.finish()
        self.model.restore(best)
        return {name: term.to(self._processes.device) for name, term in terms.items()}

    def _rows(self, step: int) -> list[Tensor]:
        rows = [torch.as_tensor(x).to(self._processes.device, non_blocking=True) for x in self._batches(step)]
        if self.settings.noise:
            lengths = [self.settings.noise / math.sqrt(x.shape[1]) for x in rows]
            rows = [nets.unit(x + a * torch.randn_like(x)) for x, a in zip(rows, lengths, strict=True)]
        return rows

    def _teacher_targets(self, rows: Sequence[Tensor]) -> dict[tuple[int, int], Tensor]:
        return {
            (j, k): nets.unit(torch.as_tensor(teach(rows[j].cpu().numpy())).to(self._processes.device))
            for (j, k), teach in self._teachers.items()
        }

    def _log(self, terms: Mapping[str, Tensor], *, seconds_left: float) -> None:
        """Write the terms of a step and report them."""
        self._check_finite(terms, self._step)
        means = self._processes.mean(torch.stack([t.float() for t in terms.values()])).tolist()
        line = {"at": self._step, **{name: round(value, 6) for name, value in zip(terms, means, strict=True)}}
        factor = schedule.lr_factor(self.settings, self._step - 1)
        rates = {"networks": self.settings.lr * factor, "discriminators": self.settings.discriminator_lr * factor}
        self._monitor.log(line, seconds=self._seconds, learning_rates=rates)
        self._on_step({"step": "train", **line, "of": self.settings.steps, "seconds_left": seconds_left})

    def _report_earlier_steps(self) -> None:
        logged = [{"step": "train", **line, "of": self.settings.steps} for line in self._monitor.earlier]
        evaluated = [{"step": "check", **measures} for measures in self._history]
        compared = map(dict, self._mirrors.reports if self._mirrors else [])
        for step in sorted([*logged, *evaluated, *compared], key=lambda step: step["at"]):
            self._on_step(step)

    def _check_finite(self, terms: Mapping[str, Tensor], step: int) -> None:
        broken = [name for name, term in terms.items() if not bool(torch.isfinite(term).all())]
        if broken:
            s, saved = self.settings, self._folder is not None and checkpoints.exists(self._folder)
            own = {term.name for term in self._terms[len(TERMS) :]}
            if own.issuperset(broken):
                raise TrainingError(f"loss term {broken[0]!r} is not finite at step {step}.", "Correct its function.")
            raise TrainingError(
                f"{', '.join(broken)} is not finite at step {step}.",
                f"Take a smaller lr than {s.lr:g} or a longer warmup than {s.warmup} steps"
                + (", or precision='bf16'" if s.precision == "fp16" else "")
                + ("; the last checkpoint is from before, and {resume} continues from it." if saved else "."),
            )

    def _evaluate(self) -> None:
        """Measure the current network, and keep it if its score is the best so far."""
        if self._selection is None:
            return
        weights = self.model.weights()
        measures = {key: float(value) for key, value in self._selection(self.model.network(weights)).items()}
        best = -math.inf if self._best is None else self._measures_at(self._best[0])["score"]
        self._history.append({"at": self._step, **measures})
        if schedule.is_selectable(self.settings, self._step) and measures["score"] > best:
            self._best = (self._step, {name: tensor.clone() for name, tensor in weights.items()})
        self._monitor.log_measures(self._step, measures)
        self._on_step({"step": "check", "at": self._step, **measures})

    def _trained(self) -> Trained:
        if self._best is None:
            return Trained(self.snapshot(), self._step, {}, (), self._seconds)
        step, weights = self._best
        return Trained(self.model.network(weights), step, self._measures_at(step), tuple(self._history), self._seconds)

    def _measures_at(self, step: int) -> Mapping[str, float]:
        return next(line for line in self._history if line["at"] == step)

    def _elapsed(self) -> float:
        return self._earlier_seconds + time.perf_counter() - self._began

    def _save(self, terms: Mapping[str, Tensor], *, due: bool = False) -> None:
        """Write a checkpoint if one is due or the last one is old."""
        if self._folder is None or not (due or time.perf_counter() - self._saved > _SAVE_SECONDS):
            return
        self._check_finite(terms, self._step)
        self._saved = time.perf_counter()
        progress = {"at": self._step, "history": self._history, "mirrors": self._mirrors and self._mirrors.state()}
        state = {"best": self._best and list(self._best), "state": self.model.state(), "seconds": self._seconds}
        if self._processes.is_main:
            checkpoints.write(self._folder, {"run": self._identity, **progress, **state})

    def _prepare_folder(self, *, resume: bool) -> None:
        if self._folder is None:
            return
        saved = checkpoints.read(self._folder) if resume else None
        if saved is None:
            checkpoints.check_new(self._folder)
            return
        checkpoints.check_same(self._folder, saved, self._identity, self.settings)
        with checkpoints.naming_damage(self._folder):
            self.model.restore(saved["state"])
            self._step, self._seconds, self._history = saved["at"], float(saved["seconds"]), list(saved["history"])
            self._best = saved["best"] and (saved["best"][0], saved["best"][1])
            self._mirrors = mirrors.Comparison(**saved["mirrors"]) if saved.get("mirrors") else None
