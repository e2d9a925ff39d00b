"""The bar of a measurement of the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from interlingua.core.wording import comparison


def bar_length(evidence: Mapping[str, Any]) -> float:
    """Return the length of a bar from 0 to 2 that reaches 1 exactly where the measurement passes.

    The null has length 0 where the value has to move away from it, and length 2 where it must not.
    """
    null = float(evidence["null"])
    value, limit = float(evidence["value"]) - null, float(evidence["threshold"]) - null
    if not math.isfinite(value) or not math.isfinite(limit) or limit == 0:
        return 1.0 if evidence["passed"] else 0.0
    length = value / limit
    if (comparison(evidence) == "≥") != (limit > 0):
        length = 2 - length
    return min(2.0, max(0.0, length))
