"""The time that is left of work in several parts, by the shares of the parts and the speed so far."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

__all__ = ["FIT_SHARES", "WholeTime", "bounded_share", "fit_share"]

# The share of a fit by the method `linear` that has passed when a step ends, from one fit of 4,000 rows a side and 128
# columns. Other methods report how many of their steps are done.
FIT_SHARES: Mapping[str, float] = {
    "copies": 0.02, "round": 0.28, "fine": 0.4, "polish": 0.55, "full width": 0.6, "exchange": 0.75,
    "nonorthogonal": 0.8, "correction": 0.88, "verdict": 0.97,
}  # fmt: skip
# Steps of a search, which ends when it has found a map: before that, nobody knows how long the whole fit takes.
_OPEN_ENDED = frozenset({"copies", "round"})
_TRAINING = 0.95


def fit_share(step: Mapping[str, Any]) -> float | None:
    """Return the share of the work that was done when a step was reported, ``None`` if the step does not say it.

    Args:
        step: a step of a fit, or of other work that gives the ``share`` itself.
    """
    name = str(step.get("step"))
    if step.get("share") is not None:
        return float(step["share"])
    if name == "train" and step.get("of"):
        return float(_TRAINING * step["at"] / step["of"])
    return None if name in _OPEN_ENDED else FIT_SHARES.get(name)


def bounded_share(seconds: float, *, share: float, at: float, following: float) -> tuple[float, float]:
    """Return the share of some work that is done now, and the seconds that are left at the mean speed so far.

    Args:
        seconds: time since the work began.
        share: the share that was done when it was last known, more than 0.
        at: seconds from the beginning until then.
        following: the share that will be known next. However long that takes, no more is done before.
    """
    total = max(at, 0.1) / share
    done = min(max(seconds / total, share), following)
    return done, max(total - seconds, (1 - done) * total)


class WholeTime:
    """Estimates how long work in several parts still takes.

    The speed is that of the parts that are finished, and of what is known to be done of the present one; the rest is
    expected to take as long for its share. Nothing is estimated before anything is known.

    Args:
        shares: of the parts in the order in which they run, in any unit. A part that takes no time has the share 0.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._shares = dict(shares)
        self._total = sum(self._shares.values())
        self._start = time.perf_counter()
        # Shares of the whole: before the present part, and of the present part.
        self._before = self._own = 0.0
        # The share of the whole that was done when it was last known, and the seconds until then.
        self._reached = self._at = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the work began."""
        return time.perf_counter() - self._start

    def begin(self, part: str) -> None:
        """Begin a part; all that come before it are finished."""
        names = list(self._shares)
        self._before = self._share_of(names[: names.index(part)])
        self._own = self._share_of([part])
        self._reach(self._before)

    def reach(self, share: float) -> None:
        """Note the share of the present part that is done now; a smaller one than before has no effect."""
        self._reach(self._before + min(1.0, share) * self._own)

    def seconds_left(self) -> float | None:
        """Return the seconds that are left, or ``None`` while they are not known."""
        if not self._reached:
            return None
        following = self._before + self._own
        return bounded_share(self.elapsed, share=self._reached, at=self._at, following=following)[1]

    def _share_of(self, names: list[str]) -> float:
        return sum(self._shares[name] for name in names) / self._total if self._total else 0.0

    def _reach(self, share: float) -> None:
        if share > self._reached:
            self._reached, self._at = share, self.elapsed
