"""Presets: settings that are known to work together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from interlingua.core.arguments import check_choice
from interlingua.core.errors import InputError
from interlingua.neural.settings import PAPER_DIFFERENCES, Settings

__all__ = [
    "ANNEALED",
    "NAMES",
    "PAPER",
    "PAPER_TEXT",
    "PAPER_WARM",
    "PRESETS",
    "SMALL",
    "SMALL_WARM",
    "STARTS",
    "preset",
]

PAPER = Settings()
PAPER_TEXT = PAPER.changed(**PAPER_DIFFERENCES)
SMALL = Settings(
    width=256,
    latent=128,
    norm="layer",
    dropout=0.0,
    discriminator_depth=4,
    discriminator_width=256,
    lr=5e-4,
    discriminator_lr=5e-4,
    warmup=200,
    average=0.995,
    steps=6000,
    log_every=50,
    check_every=250,
    save_every=500,
)
# Cold starts. Instance noise is annealed: means and coarse structure are matched first, detail later. A large weight of
# vector-space preservation holds the geometry together until then. Some seeds still end in a wrong optimum.
ANNEALED = SMALL.changed(
    width=64,
    latent=32,
    dropout=0.2,
    adapter_depth=2,
    backbone_depth=2,
    discriminator_depth=3,
    discriminator_width=64,
    adversarial_loss="relativistic",
    latent_adversarial=0.1,
    vsp=60.0,
    vsp_end=0.1,
    vsp_form="translated",
    cycle=20.0,
    cycle_vsp=0.0,
    cycle_detached=False,
    instance_noise=0.5,
    instance_noise_end=0.1,
    skips=True,
    mirrors=6,
    skip_lr=2.0,
    lr=1e-3,
    discriminator_lr=1e-3,
    warmup=100,
    average=0.99,
    steps=3000,
    check_every=300,
)
# Warm starts: low learning rates and few steps, since the linear alignment is already close.
SMALL_WARM = SMALL.changed(
    width=128,
    discriminator_width=128,
    lr=1e-4,
    discriminator_lr=1e-4,
    skip_lr=10.0,
    warmup=20,
    average=0.95,
    adversarial=0.1,
    latent_adversarial=0.1,
    consensus=50.0,
    steps=250,
    check_every=50,
    save_every=100,
)
PAPER_WARM = PAPER.changed(consensus=20.0, warmup=500, steps=20_000, average=0.999)

PRESETS: Mapping[tuple[str, str], Settings] = MappingProxyType(
    {
        ("paper", "cold"): PAPER,
        ("paper", "warm"): PAPER_WARM,
        ("paper-text", "cold"): PAPER_TEXT,
        ("small", "cold"): SMALL,
        ("small", "warm"): SMALL_WARM,
        ("annealed", "cold"): ANNEALED,
    }
)
NAMES, STARTS = (tuple(dict.fromkeys(part)) for part in zip(*PRESETS, strict=True))


def preset(name: str, start: str) -> Settings:
    """Return the settings of a preset.

    Args:
        name: ``"paper"`` (the paper's released code), ``"paper-text"`` (its text), ``"small"`` or ``"annealed"``.
        start: ``"cold"`` or ``"warm"``; ``"paper-text"`` and ``"annealed"`` exist for cold starts only.

    Raises:
        InputError: there is no such preset or start.
    """
    check_choice(name, "preset", NAMES)
    check_choice(start, "start", STARTS)
    if (name, start) not in PRESETS:
        raise InputError(f"The preset {name} has no {start} start. Set start to cold.")
    return PRESETS[name, start]
