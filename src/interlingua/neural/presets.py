"""Settings that are known to work together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from interlingua.errors import InputError
from interlingua.neural.settings import Settings

PAPER = Settings()
SMALL = Settings(
    width=256,
    latent=128,
    norm="layer",
    dropout=0.0,
    critic_depth=4,
    critic_width=256,
    lr=5e-4,
    critic_lr=5e-4,
    warmup=200,
    average=0.995,
    steps=6000,
    log_every=50,
    check_every=250,
    save_every=500,
)
# What a small run from a linear alignment does differently: gently, and not for long.
SMALL_WARM = SMALL.changed(
    width=128,
    critic_width=128,
    lr=1e-4,
    critic_lr=1e-4,
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
        ("small", "cold"): SMALL,
        ("small", "warm"): SMALL_WARM,
    }
)


def preset(name: str, start: str) -> Settings:
    """Return the settings of a preset, ``paper`` or ``small``, for a ``cold`` or ``warm`` start.

    Raises:
        InputError: there is no such preset or start.
    """
    if (name, start) not in PRESETS:
        raise InputError(f"preset is {name!r} and start {start!r}; choose from paper, small and from cold, warm.")
    return PRESETS[name, start]
