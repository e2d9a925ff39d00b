"""All settings of a training run in one frozen value, and the presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from interlingua.core.errors import InputError

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "norm": ("batch", "layer"),
        "adversary": ("least-squares", "vanilla", "relativistic"),
        "latent_critics": ("one", "all"),
        "vsp_form": ("reflected", "absolute", "squared", "translated", "unpaired"),
        "precision": ("no", "fp16", "bf16"),
    }
)


@dataclass(frozen=True)
class Settings:
    """Nets, losses and optimization. The defaults are the released code's, which are the ``paper`` preset.

    Attributes:
        width: units of the hidden layers of adapters and backbone.
        latent: width of the universal latent space of a cold start; a warm start takes one space's.
        adapter_depth: blocks of each input and output adapter.
        backbone_depth: blocks of the shared backbone.
        norm: ``"batch"`` as the code has it, or ``"layer"`` as the paper says.
        dropout: share of hidden units dropped in training.
        critic_depth: linear layers of a discriminator.
        critic_width: their units.
        reconstruction: weight of the cosine distance between a row and its reconstruction.
        cycle: weight of the cosine distance between a row and its round trip.
        cycle_detached: stop the gradient at the first leg of the round trip (the code); off for both legs (the paper).
        vsp: weight of vector-space preservation on reconstructions.
        vsp_end: weight of ``vsp`` from two fifths of the steps on, so that what discriminators know of the target's
            own shape counts once the right place is found; ours, not the paper's. None leaves it as it is.
        cycle_vsp: the same on round trips.
        vsp_form: ``"reflected"`` (the code: L1 between Gram matrices and their cross part), ``"absolute"`` (without the
            cross part), ``"squared"`` (the paper's square on the code's pairs), ``"translated"`` (first versions of the
            paper: squared, rows against their translations), ``"unpaired"`` (version 4: squared, rows of one space
            against translations of unpaired rows).
        adversary: ``"least-squares"`` (the code), ``"vanilla"`` (the paper) or ``"relativistic"``.
        smoothing: the vanilla discriminator's label of a fake row; 0.9 in the code.
        adversarial: weight of the discriminators on each space.
        latent_adversarial: weight of the discriminators on the latent space.
        latent_critics: ``"one"``: latents of all spaces are drawn to the last one's (the code); ``"all"``: one
            discriminator a space (the paper).
        consensus: weight of the cosine distance between a translation and the teacher's; ours, not the paper's, and
            without a teacher nothing.
        r1: weight of the discriminators' squared gradient at real rows; 0 computes nothing.
        r2: the same at fake rows.
        lr: learning rate of the networks (Adam).
        critic_lr: learning rate of the discriminators (Adam).
        skip_lr: learning rate of the linear skips, as a share of ``lr``.
        beta1: Adam's first decay of both.
        critic_noise: length of the Gaussian noise added to every row before a discriminator sees it, at the first step;
            ours, not the paper's. What it blurs is matched later: the coarse shape of a space first.
        critic_noise_end: its length from a quarter of the steps on; between, it falls by equal shares.
        skips: start the linear skips beside every adapter small and the nets closed, in a cold start too; ours. A
            warm start has them always.
        mirrors: three tenths of the way, most principal directions a space in which a mirrored copy is tried; the
            copy that measures best without pairs goes on. Ours; needs ``skips``. 0 tries none.
        critic_eps: Adam's epsilon of the discriminators; the networks have 1e-8.
        warmup: steps over which both learning rates rise from 0.
        decay: let both learning rates fall to 0 over the steps after the warm-up; off in the released runs.
        max_grad_norm: where the networks' gradient is clipped.
        average: decay of the running average of the weights that is evaluated and kept; 0 keeps the weights themselves.
        batch: rows a space, step and process.
        steps: generator steps, each after one discriminator step.
        accumulate: batches whose gradients are added up before a step.
        precision: ``"no"``, ``"fp16"`` or ``"bf16"``; mixed precision is left out on a CPU.
        noise: length of the Gaussian noise added to incoming rows in training.
        log_every: steps between lines of metrics.
        check_every: steps between label-free measurements, after each of which the best snapshot is kept; with
            ``vsp_end``, the best from there on.
        save_every: steps between checkpoints.
    """

    width: int = 1024
    latent: int = 1024
    adapter_depth: int = 3
    backbone_depth: int = 4
    norm: str = "batch"
    dropout: float = 0.1
    critic_depth: int = 5
    critic_width: int = 1024
    reconstruction: float = 1.0
    cycle: float = 10.0
    cycle_detached: bool = True
    vsp: float = 1.0
    vsp_end: float | None = None
    cycle_vsp: float = 10.0
    vsp_form: str = "reflected"
    adversary: str = "least-squares"
    smoothing: float = 0.9
    adversarial: float = 1.0
    latent_adversarial: float = 1.0
    latent_critics: str = "one"
    consensus: float = 0.0
    r1: float = 0.0
    r2: float = 0.0
    lr: float = 2e-5
    critic_lr: float = 1e-5
    skip_lr: float = 1.0
    beta1: float = 0.5
    critic_noise: float = 0.0
    critic_noise_end: float = 0.05
    skips: bool = False
    mirrors: int = 0
    critic_eps: float = 6.25e-10
    warmup: int = 2000
    decay: bool = False
    max_grad_norm: float = 1000.0
    average: float = 0.0
    batch: int = 256
    steps: int = 312_000
    accumulate: int = 1
    precision: str = "fp16"
    noise: float = 0.0
    log_every: int = 100
    check_every: int = 4000
    save_every: int = 4000

    def __post_init__(self) -> None:
        """Refuse what no run could use."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}; choose from {', '.join(choices)}.")
        for name in ("width", "latent", "adapter_depth", "backbone_depth", "critic_width", "batch", "steps"):
            _check_least(self, name, 1)
        for name in ("accumulate", "log_every", "check_every", "save_every"):
            _check_least(self, name, 1)
        _check_least(self, "critic_depth", 2)
        if self.critic_noise and not 0 < self.critic_noise_end <= self.critic_noise:
            raise InputError(
                f"critic_noise falls from {self.critic_noise} to {self.critic_noise_end}; "
                "critic_noise_end must be above 0 and at most critic_noise."
            )
        if self.mirrors and not self.skips:
            raise InputError(f"mirrors is {self.mirrors} without skips; mirrored copies need skips=True.")
        for name in ("dropout", "average", "beta1"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; a number from 0 to under 1 is needed.")

    def changed(self, **changes: Any) -> Settings:
        """Return these settings with some replaced.

        Raises:
            InputError: no setting has that name, or no run could use the value.
        """
        unknown = sorted(changes.keys() - {field.name for field in fields(self)})
        if unknown:
            raise InputError(
                f"There is no setting {unknown[0]!r}; help(interlingua.neural.settings.Settings) lists them."
            )
        return replace(self, **changes)


def _check_least(settings: Settings, name: str, least: int) -> None:
    if getattr(settings, name) < least:
        raise InputError(f"{name} is {getattr(settings, name)}; at least {least} is needed.")
