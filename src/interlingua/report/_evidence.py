"""How a measurement of the verdict is compared with its threshold, for every face that shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_SIGNS = {"at_least": "≥", "at_most": "≤"}


def comparison(evidence: Mapping[str, Any]) -> str:
    """Return the sign between a value and its threshold where the measurement passes: ``≥`` or ``≤``.

    Args:
        evidence: a measurement as :meth:`interlingua.core.alignment.Verdict.to_dict` writes it.
    """
    reached = evidence["value"] >= evidence["threshold"]
    return _SIGNS["at_least" if evidence["passed"] == reached else "at_most"]


def bar_length(evidence: Mapping[str, Any]) -> float:
    """Return the length of a bar from 0 to 2 that reaches 1 exactly where the measurement passes.

    The null has length 0 where the value has to move away from it, and length 2 where it must not.
    """
    value, null, way = evidence["value"], evidence["null"], evidence["threshold"] - evidence["null"]
    if not math.isfinite(value) or not math.isfinite(way) or way == 0:
        return 1.0 if evidence["passed"] else 0.0
    length = (value - null) / way
    if (comparison(evidence) == "≥") != (way > 0):
        length = 2 - length
    return min(2.0, max(0.0, length))
