"""How long the parts of an audit take in proportion to each other, to estimate the time that is left of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlingua.core.callbacks import OnStep
from interlingua.leakage._points import point_sizes
from interlingua.leakage.defenses import Defense, suite

__all__ = ["DECODER", "FIT", "SharesReported", "attack_share"]

# In units of a fit without pairs, from benchmarks/results/audit-time.jsonl. An attack on a defense with a key, and a
# point of the leak by the number of rows, is a fit with what follows it.
FIT, DECODER, _ATTACK, _DEFENSE, _POINT = 1.0, 0.2, 0.4, 0.07, 0.8


def attack_share(defenses: str | None, width: int, sizes: tuple[int, int], halvings: int) -> float:
    """Return the time of the attack, in units of a fit.

    Args:
        defenses: suite of defenses, None for none.
        width: width of the audited vectors.
        sizes: numbers of audited and of public rows.
        halvings: number of points of the leak by the number of rows, on each side.
    """
    points = sum(len(point_sizes(rows, halvings)) for rows in sizes)
    return _ATTACK + sum(_times(defenses, width)) + _POINT * points


class SharesReported:
    """An ``on_step`` that adds the ``share`` of the attack that is done to the steps from the first defense on.

    Args:
        receive: called with each step.
        defenses: suite of defenses, None for none.
        width: width of the audited vectors.
        sizes: numbers of audited and of public rows.
        halvings: number of points of the leak by the number of rows, on each side.
    """

    def __init__(
        self, receive: OnStep, defenses: str | None, width: int, sizes: tuple[int, int], halvings: int
    ) -> None:
        self._receive = receive
        self._times = _times(defenses, width)
        self._total = attack_share(defenses, width, sizes, halvings)
        self._points = 0
        self._done = 0.0

    def __call__(self, step: Mapping[str, Any]) -> None:
        """Pass a step on."""
        if step["step"] == "defense":
            self._done = _ATTACK + sum(self._times[: step["at"]])
        elif step["step"] == "point":
            self._done = _ATTACK + sum(self._times) + _POINT * self._points
            self._points += 1
        self._receive({**step, "share": round(self._done / self._total, 3)} if self._done else dict(step))


def _times(defenses: str | None, width: int) -> list[float]:
    return [] if defenses is None else list(map(_time, suite(defenses, width)))


def _time(defense: Defense) -> float:
    return _DEFENSE + (FIT if defense.keyed else 0.0)
