"""What changes over a run: learning rates, the blur before the discriminators, preservation; when mirrors are tried."""

from __future__ import annotations

from interlingua.neural.settings import Settings

# Shares of the steps: the blur has fallen, mirrors are tried from here to there, preservation is loosened.
_CLEAR = 0.25
_MIRRORED = (0.3, 0.35)
_LOOSE = 0.4


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


def settled(s: Settings, step: int) -> bool:
    """Return whether a snapshot after so many steps may be the result: until geometry is let go of, it flatters."""
    return s.vsp_end is None or step > _LOOSE * s.steps


def mirrored(s: Settings) -> range:
    """Return the steps that every mirrored copy takes before they are compared; none where there are none."""
    begin, end = (round(share * s.steps) for share in _MIRRORED)
    return range(begin, max(end, begin + 1)) if s.mirrors else range(0)
