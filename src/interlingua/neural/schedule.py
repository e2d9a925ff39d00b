"""Schedules of a run: learning rates, instance noise, the weight of preservation, and the steps of mirrored copies."""

from __future__ import annotations

from interlingua.neural.settings import Settings

__all__ = ["depends_on_length", "instance_noise", "is_selectable", "lr_factor", "mirror_steps", "settings_at"]

# Fractions of the steps at which instance noise is at its end, mirrored copies are tried, and ``vsp_end`` applies.
_NOISE_END = 0.25
_MIRRORED = (0.3, 0.35)
_VSP_END = 0.4


def lr_factor(s: Settings, step: int) -> float:
    """Return the factor on both learning rates at a step, in [0, 1]."""
    warmup = min(1.0, (step + 1) / s.warmup) if s.warmup else 1.0
    if not s.decay:
        return warmup
    return warmup * min(1.0, (s.steps - step) / max(1, s.steps - s.warmup))


def instance_noise(s: Settings, step: int) -> float:
    """Return the length of the noise on discriminator inputs at a step."""
    if not s.instance_noise:
        return 0.0
    progress = min(1.0, step / (_NOISE_END * s.steps))
    return float(s.instance_noise * (s.instance_noise_end / s.instance_noise) ** progress)


def settings_at(s: Settings, step: int) -> Settings:
    """Return the settings with the loss weights of a step."""
    if s.vsp_end is None or step < _VSP_END * s.steps:
        return s
    return s.changed(vsp=s.vsp_end)


def is_selectable(s: Settings, step: int) -> bool:
    """Return whether a snapshot after so many steps may be the result.

    Snapshots before ``vsp_end`` takes effect score too high on geometry.
    """
    return s.vsp_end is None or step > _VSP_END * s.steps


def mirror_steps(s: Settings) -> range:
    """Return the steps that every mirrored copy takes before the copies are compared; empty without mirrors."""
    begin, end = (round(fraction * s.steps) for fraction in _MIRRORED)
    return range(begin, max(end, begin + 1)) if s.mirrors else range(0)


def depends_on_length(s: Settings) -> list[str]:
    """Return the settings whose schedule is a fraction of ``steps``; with any of them a run cannot be lengthened."""
    scheduled = {
        "decay": s.decay,
        "instance_noise": s.instance_noise > 0,
        "vsp_end": s.vsp_end is not None,
        "mirrors": s.mirrors > 0,
    }
    return [name for name, used in scheduled.items() if used]
