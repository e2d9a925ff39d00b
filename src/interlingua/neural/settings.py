"""All settings of a training run in one frozen, validated value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, ClassVar

from interlingua.aligners import Setting, constructor_settings
from interlingua.core.arguments import Bounds, check_choice, check_settings, did_you_mean
from interlingua.core.errors import InputError

__all__ = ["PAPER_DIFFERENCES", "RELEASED_CODE", "Settings", "check_names"]

_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "norm": ("batch", "layer"),
        "adversarial_loss": ("least-squares", "vanilla", "relativistic"),
        "latent_discriminators": ("one", "all"),
        "vsp_form": ("reflected", "absolute", "squared", "translated", "unpaired"),
        "precision": ("no", "fp16", "bf16"),
    }
)
_AT_LEAST_0 = (
    *("reconstruction", "cycle", "vsp", "vsp_end", "cycle_vsp", "adversarial", "latent_adversarial", "consensus"),
    *("r1", "r2", "lr", "discriminator_lr", "skip_lr", "instance_noise", "instance_noise_end", "discriminator_eps"),
    *("max_grad_norm", "noise"),
)
_AT_LEAST_1 = (
    *("width", "latent", "adapter_depth", "backbone_depth", "discriminator_width"),
    *("batch", "steps", "accumulate", "log_every", "check_every", "save_every"),
)
# What the text of the paper (arXiv 2505.12540v4) says where its released code does something else.
PAPER_DIFFERENCES: Mapping[str, Any] = MappingProxyType(
    {
        "norm": "layer",
        "cycle_detached": False,
        "vsp_form": "unpaired",
        "adversarial_loss": "vanilla",
        "latent_discriminators": "all",
    }
)
# Older versions of this file have other values.
RELEASED_CODE = "https://github.com/rjha18/vec2vec/blob/ef1ccf1/configs/unsupervised.toml"
# Settings that neither the paper nor its code has. The code evaluates and saves once an epoch, not by steps.
_OURS = frozenset(
    {"vsp_end", "consensus", "skip_lr", "skips", "mirrors", "average", "instance_noise", "instance_noise_end"}
    | {"log_every", "check_every", "save_every"}
)


@dataclass(frozen=True)
class Settings:
    """Networks, losses and optimization.

    The defaults are those of the paper's released code (``configs/unsupervised.toml`` of rjha18/vec2vec at commit
    ef1ccf1), which are the preset ``"paper"``. The preset ``"paper-text"`` takes what the text of the paper says where
    the two differ. ``method="adversarial"`` takes the preset ``"small"`` by default, which differs from both.

    Attributes:
        width: units of the hidden layers of adapters and backbone.
        latent: width of the universal latent space of a cold start; a warm start uses the width of one of the spaces.
        adapter_depth: blocks of each input and output adapter.
        backbone_depth: blocks of the shared backbone.
        norm: ``"batch"`` (the code) or ``"layer"`` (the paper).
        dropout: fraction of hidden units dropped in training.
        discriminator_depth: linear layers of a discriminator.
        discriminator_width: units of the hidden layers of a discriminator.
        reconstruction: weight of the cosine distance between a row and its reconstruction.
        cycle: weight of the cosine distance between a row and its round trip.
        cycle_detached: stop the gradient between the two translations of a round trip (the code); False sends it
            through both (the paper).
        vsp: weight of vector-space preservation on reconstructions, or on translations if ``vsp_form`` is
            ``"translated"`` or ``"unpaired"``.
        vsp_end: weight of ``vsp`` from two fifths of the steps on; None keeps it constant. A large weight at first
            holds the geometry together, a small one later lets the discriminators correct it. Not in the paper.
        cycle_vsp: weight of vector-space preservation on round trips; without effect if ``vsp_form`` is
            ``"translated"`` or ``"unpaired"``.
        vsp_form: ``"reflected"`` (the code: L1 between Gram matrices plus their cross part), ``"absolute"`` (without
            the cross part), ``"squared"`` (squared differences as in the paper, between the rows that the code
            compares), ``"translated"`` (first versions of the paper: squared, rows against their translations),
            ``"unpaired"`` (version 4: squared, rows of one space against translations of unpaired rows).
            :func:`interlingua.neural.losses.preservation` has the formulas.
        adversarial_loss: ``"least-squares"`` (the code), ``"vanilla"`` (the paper) or ``"relativistic"``.
        smoothing: label of a fake row in the vanilla discriminator loss; 0.9 in the code.
        adversarial: weight of the generator's loss against the discriminators of the spaces.
        latent_adversarial: weight of the generator's loss against the discriminators of the latent space.
        latent_discriminators: ``"one"``: one discriminator learns to tell the latents of the last space from those of
            the others, which are trained to look like them (the code); ``"all"``: one discriminator for each space
            (the paper).
        consensus: weight of the cosine distance between a translation and the teacher's; without teachers the term is
            left out. Not in the paper.
        r1: weight of the discriminators' squared gradient at real rows; 0 computes nothing.
        r2: weight of the discriminators' squared gradient at fake rows; 0 computes nothing.
        lr: learning rate of the networks (Adam).
        discriminator_lr: learning rate of the discriminators (Adam).
        skip_lr: learning rate of the linear skips, as a multiple of ``lr``. Not in the paper.
        beta1: Adam's decay of the first moment, for networks and discriminators.
        instance_noise: length of the Gaussian noise added to every discriminator input at the first step. Noise hides
            detail, so coarse structure is matched first. Not in the paper.
        instance_noise_end: length of that noise from a quarter of the steps on; it falls geometrically until then. Not
            in the paper.
        skips: put a small linear skip beside every adapter and close the gates of the nonlinear branches, in a cold
            start too; a warm start always has them. Not in the paper.
        mirrors: principal directions of each space along which a reflected copy of the network is tried, once, after
            three tenths of the steps; the copy with the best label-free score continues. Needs ``skips``; 0 tries
            none. Not in the paper.
        discriminator_eps: Adam's epsilon of the discriminators; that of the networks is 1e-8.
        warmup: steps over which both learning rates rise from 0.
        decay: let both learning rates fall linearly to 0 after the warm-up; off in the released runs.
        max_grad_norm: the norm at which the networks' gradient is clipped.
        average: decay of the exponential moving average of the weights, which is evaluated and kept; 0 keeps the
            weights themselves. Not in the paper.
        batch: rows of each space in a step, for each process.
        steps: generator steps, each after one discriminator step.
        accumulate: batches whose gradients are added up before a step.
        precision: ``"no"``, ``"fp16"`` or ``"bf16"``; a CPU always computes in float32.
        noise: length of the Gaussian noise added to incoming rows in training.
        log_every: steps between logged losses.
        check_every: steps between label-free evaluations, after each of which the best snapshot is kept; with
            ``vsp_end``, the best since that weight applies.
        save_every: steps between checkpoints; a checkpoint is also written when the last one is a minute old.
    """

    width: int = 1024
    latent: int = 1024
    adapter_depth: int = 3
    backbone_depth: int = 4
    norm: str = "batch"
    dropout: float = 0.1
    discriminator_depth: int = 5
    discriminator_width: int = 1024
    reconstruction: float = 1.0
    cycle: float = 10.0
    cycle_detached: bool = True
    vsp: float = 1.0
    vsp_end: float | None = None
    cycle_vsp: float = 10.0
    vsp_form: str = "reflected"
    adversarial_loss: str = "least-squares"
    smoothing: float = 0.9
    adversarial: float = 1.0
    latent_adversarial: float = 1.0
    latent_discriminators: str = "one"
    consensus: float = 0.0
    r1: float = 0.0
    r2: float = 0.0
    lr: float = 2e-5
    discriminator_lr: float = 1e-5
    skip_lr: float = 1.0
    beta1: float = 0.5
    instance_noise: float = 0.0
    instance_noise_end: float = 0.05
    skips: bool = False
    mirrors: int = 0
    discriminator_eps: float = 6.25e-10
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

    bounds: ClassVar[Bounds] = {
        **dict.fromkeys(_AT_LEAST_0, {"minimum": 0}),
        **dict.fromkeys(_AT_LEAST_1, {"minimum": 1}),
        **dict.fromkeys(("dropout", "average", "beta1"), {"minimum": 0, "below": 1}),
        "smoothing": {"minimum": 0, "maximum": 1},
        "discriminator_depth": {"minimum": 2},
    }

    def __post_init__(self) -> None:
        """Refuse values that no run could use."""
        for name, choices in _CHOICES.items():
            check_choice(getattr(self, name), name, choices)
        check_settings(self)
        if self.instance_noise and not 0 < self.instance_noise_end <= self.instance_noise:
            raise InputError(
                f"instance_noise falls from {self.instance_noise} to {self.instance_noise_end}; "
                "instance_noise_end must be above 0 and at most instance_noise."
            )
        if self.mirrors and not self.skips:
            raise InputError(f"mirrors is {self.mirrors} without skips; mirrored copies need skips=True.")

    def changed(self, **changes: Any) -> Settings:
        """Return these settings with some replaced.

        Raises:
            InputError: no setting has that name, or no run could use the value.
        """
        check_names(changes, [field.name for field in fields(self)])
        return replace(self, **changes)

    @classmethod
    def describe(cls) -> tuple[Setting, ...]:
        """Return name, type, default, range and meaning of every setting, beside the paper's and the code's value.

        The value is None where the paper or its code has no such setting. Where the paper does not say, the code's
        value counts for both.
        """
        return tuple(
            replace(
                setting,
                range=f"one of {', '.join(_CHOICES[setting.name])}" if setting.name in _CHOICES else setting.range,
                paper=None if setting.name in _OURS else PAPER_DIFFERENCES.get(setting.name, setting.default),
                code=None if setting.name in _OURS else setting.default,
            )
            for setting in constructor_settings(cls)
        )


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse settings that do not exist.

    Raises:
        InputError: a name in ``given`` is not in ``known``.
    """
    known = list(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        parts = (
            f"There is no setting {unknown[0]!r}.",
            did_you_mean(unknown[0], known),
            "help(interlingua.neural.settings.Settings) lists all settings.",
        )
        raise InputError(" ".join(filter(None, parts)))
