"""The training loop: a discriminator step, a network step, and now and then a label-free look at what came of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError, TrainingError
from interlingua.core.maps import AffineMap
from interlingua.core.networks import Network
from interlingua.neural import checkpoints, mirrors, nets, schedule, steps, warm
from interlingua.neural.batches import Batches
from interlingua.neural.settings import Settings

# Translates unit rows [n, d_j] of one space into another.
Teacher = Callable[[FloatArray], FloatArray]
# Measures a network without pairs; the larger its "score", the better.
Judge = Callable[[Network], Mapping[str, float]]
Report = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a run ends with.

    Attributes:
        network: the snapshot that the judge liked best, or the last one without a judge.
        best: the step it was taken at.
        measures: what the judge said of it.
        history: what the judge said of every snapshot, with its step.
        seconds: wall time of this process; a resumed run's earlier processes are not in it.
    """

    network: Network
    best: int
    measures: Mapping[str, float]
    history: tuple[Mapping[str, float], ...]
    seconds: float


class Trainer:
    """One training run.

    Args:
        vectors: [n_k, d_k] of each space by name, two or more; the last is the one whose latents count as real.
        settings: everything that can be chosen.
        seed: decides initial values, batches, dropout and noise.
        maps: a linear alignment to start from, as :func:`interlingua.neural.warm.open_with` takes it; None starts cold.
        teachers: translations to keep to, by (from, to), with the weight ``consensus``; none by default.
        folder: where checkpoints and metrics go; None keeps none.
        judge: measures snapshots without pairs; the best is the result.
        report: called with a dict of numbers at every logged step.
        device: ``"cpu"``, or ``"auto"`` for an accelerator where there is one.
        tensorboard: also write the metrics for TensorBoard.
    """

    def __init__(
        self,
        vectors: Mapping[str, npt.NDArray[Any]],
        settings: Settings,
        *,
        seed: int = 0,
        maps: Mapping[str, tuple[AffineMap, AffineMap]] | None = None,
        teachers: Mapping[tuple[str, str], Teacher] | None = None,
        folder: Path | None = None,
        judge: Judge | None = None,
        report: Report = lambda step: None,
        device: str = "cpu",
        tensorboard: bool = False,
    ) -> None:
        if len(vectors) < 2:
            raise InputError(f"{len(vectors)} spaces were given; at least 2 are needed.")
        self.settings, self.seed = settings, seed
        self._folder, self._judge, self._report = folder, judge, report
        self._accelerator = _accelerator(settings, device)
        s, world = settings, self._accelerator.num_processes
        self._batches = Batches(vectors, s.batch * world, seed, (self._accelerator.process_index, world))
        self._widths = {name: int(rows.shape[1]) for name, rows in vectors.items()}
        names = list(self._widths)
        self._teachers = {(names.index(j), names.index(k)): f for (j, k), f in (teachers or {}).items()}
        latent = None if maps is None else self._widths[warm.latent_space(names, maps)]
        # torch draws values of its own first, from its global generator.
        with _private_randomness(self._accelerator.device):
            self.generator = nets.Generator(self._widths, s, gated=s.skips or maps is not None, latent=latent)
            self.critics = steps.Critics(list(self._widths.values()), self.generator.latent, s)
        nets.build([self.generator, self.critics], seed)
        if maps is not None:
            warm.open_with(self.generator, maps)
        for module in (self.generator, self.critics):
            module.to(self._accelerator.device)
        self._average = _Average(self.generator, s.average) if s.average else None
        self._optimizers = [self._accelerator.prepare(o) for o in self._adams()]
        self._mirrored = schedule.mirrored(settings) if judge is not None else range(0)
        self._step = 0
        self._history: list[dict[str, float]] = []
        self._best: tuple[int, dict[str, Tensor]] | None = None
        self._board = _board(folder) if tensorboard and self._accelerator.is_main_process else None

    def run(self, *, resume: bool = False) -> Trained:
        """Train to the last step.

        Args:
            resume: go on from the folder's checkpoint; on a CPU the result is the same bit by bit.

        Raises:
            InputError: a checkpoint is there and resuming was not asked for, or it is of another run.
            TrainingError: a loss is not finite.
        """
        self._prepare_folder(resume=resume)
        started, first = time.perf_counter(), self._step
        main = self._accelerator.is_main_process
        metrics = checkpoints.Metrics(self._folder if main else None, self._step)
        if self._judge is not None and not self._history:
            self._check()
        s = self.settings
        with _private_randomness(self._accelerator.device):
            while self._step < s.steps:
                terms = self._turned_over() if self._step in self._mirrored[:1] else self._train()
                self._step += 1
                last = self._step == s.steps
                if self._step % s.log_every == 0 or last:
                    line = self._line(terms)
                    elapsed = time.perf_counter() - started
                    left = elapsed / (self._step - first) * (s.steps - self._step)
                    metrics({**line, "seconds": round(elapsed, 3)})
                    self._report({"step": "train", **line, "of": s.steps, "seconds_left": left})
                if self._judge is not None and (self._step % s.check_every == 0 or last):
                    self._check()
                if self._folder is not None and (self._step % s.save_every == 0 or last):
                    self._refuse_nan(terms)
                    self._save()
        return self._trained(time.perf_counter() - started)

    def snapshot(self) -> Network:
        """Return the network as it is now, by its running average where one is kept."""
        return self._network(self._weights())

    def _train(self) -> dict[str, Tensor]:
        """Do one step and return all terms."""
        s, accelerator = schedule.weights(self.settings, self._step), self._accelerator
        networks, critics = self._optimizers
        pace, blur = schedule.pace(s, self._step), schedule.blur(s, self._step)
        for optimizer, lr in zip(self._optimizers, (s.lr, s.critic_lr), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * group["share"] * pace
        self.generator.train()
        self.critics.train()
        _reseed([self.seed, self._step, accelerator.process_index], accelerator.device)
        terms: dict[str, Tensor] = {}
        for part in range(s.accumulate):
            rows = self._rows(self._step * s.accumulate + part)
            with accelerator.autocast():
                views = steps.view(self.generator, rows)
                played = steps.critic_terms(self.critics, rows, views, s, blur)
            if played:
                accelerator.backward(torch.stack(list(played.values())).sum() / s.accumulate)
            terms |= {name: term.detach() for name, term in played.items()}
            if part == s.accumulate - 1 and played:
                self._reduce(self.critics)
                critics.step()
                critics.zero_grad()
            self.critics.requires_grad_(False).eval()
            with accelerator.autocast():
                own = steps.network_terms(
                    self.generator, self.critics, rows, views, s, self._gather, self._taught(rows), blur
                )
                loss = steps.total(own, s)
            accelerator.backward(loss / s.accumulate)
            self.critics.requires_grad_(True).train()
            terms |= {name: term.detach() for name, term in own.items()} | {"loss": loss.detach()}
        self._reduce(self.generator)
        accelerator.clip_grad_norm_(self.generator.parameters(), s.max_grad_norm)
        networks.step()
        networks.zero_grad()
        if self._average is not None:
            self._average.follow(self.generator)
        return terms

    def _turned_over(self) -> dict[str, Tensor]:
        """Take some steps with every mirrored copy, go on from the best, and return its last terms."""
        begin = deepcopy(self._state())
        best: tuple[float, dict[str, Any], dict[str, Tensor]] = (math.nan, begin, {})
        for number, turn in enumerate(mirrors.copies(self._batches, len(self._widths), self.settings.mirrors)):
            self._restore(deepcopy(begin))
            for module in (self.generator, *([self._average.module] if self._average else [])):
                turn(module)
            for step in self._mirrored:
                self._step = step
                terms = self._train()
            score = float(self._judge(self.snapshot())["score"]) if self._judge else math.nan
            self._report({"step": "mirror", "at": self._step + 1, "copy": number, "score": score})
            if number == 0 or score > best[0]:
                best = score, deepcopy(self._state()), terms
        self._restore(best[1])
        return best[2]

    def _rows(self, step: int) -> list[Tensor]:
        rows = [torch.as_tensor(x).to(self._accelerator.device, non_blocking=True) for x in self._batches(step)]
        if self.settings.noise:
            lengths = [self.settings.noise / math.sqrt(x.shape[1]) for x in rows]
            rows = [nets.unit(x + a * torch.randn_like(x)) for x, a in zip(rows, lengths, strict=True)]
        return rows

    def _taught(self, rows: list[Tensor]) -> dict[tuple[int, int], Tensor]:
        device = self._accelerator.device
        return {
            (j, k): nets.unit(torch.as_tensor(teach(rows[j].cpu().numpy())).to(device))
            for (j, k), teach in self._teachers.items()
        }

    def _adams(self) -> list[torch.optim.Adam]:
        s = self.settings
        skips = {id(p) for p in self.generator.skips()}
        groups = [
            {"params": [p for p in self.generator.parameters() if id(p) not in skips], "share": 1.0},
            {"params": list(self.generator.skips()), "share": s.skip_lr},
        ]
        betas = (s.beta1, 0.999)
        return [
            torch.optim.Adam([g for g in groups if g["params"]], lr=s.lr, betas=betas, eps=1e-8, fused=True),
            torch.optim.Adam(
                [{"params": list(self.critics.parameters()), "share": 1.0}],
                lr=s.critic_lr,
                betas=betas,
                eps=s.critic_eps,
                fused=True,
            ),
        ]

    def _gather(self, x: Tensor) -> Tensor:
        """Join a batch with those of the other processes; gradients find their way back."""
        if self._accelerator.num_processes == 1:
            return x
        joined: list[Tensor] = require("torch.distributed.nn.functional", "neural").all_gather(x)
        return torch.cat(joined)

    def _reduce(self, module: torch.nn.Module) -> None:
        """Average gradients over processes in one message."""
        if self._accelerator.num_processes == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        joined = self._accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")
        for gradient, part in zip(gradients, joined.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _line(self, terms: Mapping[str, Tensor]) -> dict[str, Any]:
        self._refuse_nan(terms)
        joined = self._accelerator.reduce(torch.stack([t.float() for t in terms.values()]), "mean").tolist()
        line = {"at": self._step, **{name: round(value, 6) for name, value in zip(terms, joined, strict=True)}}
        if self._board is not None:
            for name, value in line.items():
                self._board.add_scalar(name, value, self._step)
        return line

    def _refuse_nan(self, terms: Mapping[str, Tensor]) -> None:
        broken = [name for name, term in terms.items() if not bool(torch.isfinite(term).all())]
        if broken:
            s = self.settings
            raise TrainingError(
                f"{', '.join(broken)} is not finite at step {self._step}.",
                f"Take a smaller lr than {s.lr:g} or a longer warmup than {s.warmup} steps"
                + (", or precision='bf16'" if s.precision == "fp16" else "")
                + "; the last checkpoint is from before and {resume} goes on from it.",
            )

    def _check(self) -> None:
        """Measure the network as it is, and keep it if it is the best that may be kept so far."""
        if self._judge is None:
            return
        weights = self._weights()
        measures = {key: float(value) for key, value in self._judge(self._network(weights)).items()}
        best = -math.inf if self._best is None else self._measured(self._best[0])["score"]
        self._history.append({"at": self._step, **measures})
        if schedule.settled(self.settings, self._step) and measures["score"] > best:
            self._best = (self._step, {name: tensor.clone() for name, tensor in weights.items()})
        self._report({"step": "check", "at": self._step, **measures})

    def _weights(self) -> dict[str, Tensor]:
        state = self._average.module.state_dict() if self._average else self.generator.state_dict()
        return {name: tensor.detach() for name, tensor in state.items() if not name.endswith("num_batches_tracked")}

    def _network(self, weights: Mapping[str, Tensor]) -> Network:
        s = self.settings
        tensors = {name: tensor.float().cpu().numpy().copy() for name, tensor in weights.items()}
        return Network(self._widths, (s.adapter_depth, s.backbone_depth), s.norm, self.generator.gated, tensors)

    def _trained(self, seconds: float) -> Trained:
        if self._best is None:
            return Trained(self.snapshot(), self._step, {}, (), seconds)
        step, weights = self._best
        return Trained(self._network(weights), step, self._measured(step), tuple(self._history), seconds)

    def _measured(self, step: int) -> Mapping[str, float]:
        return next(line for line in self._history if line["at"] == step)

    def _modules(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"generator": self.generator, "critics": self.critics}
        if self._average is not None:
            parts["average"] = self._average.module
        networks, critics = self._optimizers
        parts |= {"networks": networks, "discriminators": critics}
        if self._accelerator.scaler is not None:
            parts["scaler"] = self._accelerator.scaler
        return parts

    def _state(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self._modules().items()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name, part in self._modules().items():
            part.load_state_dict(state[name])

    def _identity(self) -> dict[str, Any]:
        """Return what two runs must share for one to go on from the other."""
        return {"seed": self.seed, "widths": dict(self._widths), "gated": self.generator.gated, **asdict(self.settings)}

    def _save(self) -> None:
        if self._folder is None or not self._accelerator.is_main_process:
            return
        state = self._state()
        best = None if self._best is None else list(self._best)
        checkpoints.write(
            self._folder,
            {"run": self._identity(), "at": self._step, "history": self._history, "best": best, "state": state},
        )

    def _prepare_folder(self, *, resume: bool) -> None:
        if self._folder is None:
            return
        saved = checkpoints.read(self._folder) if resume else None
        if saved is None:
            if checkpoints.exists(self._folder):
                raise InputError(f"{self._folder} holds a run already; resume it, or choose another folder.")
            return
        ours = self._identity()
        different = [name for name, value in ours.items() if saved["run"].get(name) != value]
        if different:
            told = ", ".join(f"{name} {saved['run'].get(name)!r}, now {ours[name]!r}" for name in different[:3])
            raise InputError(f"{self._folder} holds a run with other settings ({told}); repeat them to resume it.")
        self._restore(saved["state"])
        self._step, self._history = saved["at"], list(saved["history"])
        self._best = None if saved["best"] is None else (saved["best"][0], saved["best"][1])


class _Average:
    """A running average of a module's weights; its buffers are taken as they are."""

    def __init__(self, module: nets.Generator, decay: float) -> None:
        self.module = deepcopy(module).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def follow(self, module: torch.nn.Module) -> None:
        ours, theirs = [*self.module.parameters()], [*module.parameters()]
        torch._foreach_lerp_(tuple(ours), tuple(theirs), 1 - self._decay)
        for mine, other in zip(self.module.buffers(), module.buffers(), strict=True):
            mine.copy_(other)


def _accelerator(settings: Settings, device: str) -> Any:
    accelerate = require("accelerate", "neural")
    # accelerate keeps one state a process; a second run in it may choose differently.
    accelerate.state.AcceleratorState._reset_state()
    cpu = device == "cpu" or not torch.cuda.is_available()
    return accelerate.Accelerator(cpu=cpu, mixed_precision="no" if cpu else settings.precision)


def _board(folder: Path | None) -> Any:
    if folder is None:
        raise InputError("tensorboard needs a folder to write to; give the run one.")
    return require("torch.utils.tensorboard", "tensorboard").SummaryWriter(str(folder))


@contextmanager
def _private_randomness(device: torch.device) -> Iterator[None]:
    """Leave torch's own generators as they were found."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


def _reseed(entropy: list[int], device: torch.device) -> None:
    """Make dropout and noise a function of the step, so that a resumed run draws what an unbroken one would."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
