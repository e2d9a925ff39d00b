"""What changes over a training run: learning rates, the blur before the discriminators, the weight of preservation."""

from __future__ import annotations

from interlingua.neural.settings import Settings

# Shares of the steps: the blur has fallen after the first, preservation is loosened after the second.
_CLEAR = 0.3
_LOOSE = 0.5


def pace(s: Settings, step: int) -> float:
    """Return the share of the learning rates at a step."""
    rising = min(1.0, (step + 1) / s.warmup) if s.warmup else 1.0
    if not s.decay:
        return rising
    return rising * min(1.0, (s.steps - step) / max(1, s.steps - s.warmup))


def blur(s: Settings, step: int) -> float:
    """Return the length of the noise before the discriminators at a step."""
    if not s.critic_noise:
        return 0.0
    fallen = min(1.0, step / (_CLEAR * s.steps))
    return float(s.critic_noise * (s.critic_noise_end / s.critic_noise) ** fallen)


def weights(s: Settings, step: int) -> Settings:
    """Return the settings with the weights of a step."""
    if s.vsp_end is None or step < _LOOSE * s.steps:
        return s
    return s.changed(vsp=s.vsp_end)
