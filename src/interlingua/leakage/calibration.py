"""Errors of calibrated estimates, measured on corpora and pairs of encoders whose truth is known.

An audit without a ground truth estimates figures from probabilities that were calibrated with a stand-in encoder. The
bootstrap interval of such an estimate covers the sample of documents and not the error of the calibration. The errors
in this module were measured by ``benchmarks/calibration.py``, whose records are in
``benchmarks/results/leakage-calibration.jsonl``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from interlingua.evaluation.bootstrap import Interval


@dataclass(frozen=True)
class CalibrationError:
    """Measured value minus estimate, over cases of one corpus and one pair of encoders each.

    Attributes:
        lowest: the most negative error: the estimate was too high by this much.
        median: median error.
        highest: the most positive error.
        cases: number of cases with a usable fit.
        corpora: number of corpora.
        pairs: number of pairs of encoders.
    """

    lowest: float
    median: float
    highest: float
    cases: int
    corpora: int
    pairs: int

    @classmethod
    def from_records(cls, records: Sequence[dict[str, Any]], figure: str) -> CalibrationError:
        """Return the errors of ``leak_rate`` or ``precision`` in the records of ``benchmarks/calibration.py``.

        Cases whose fits all failed are left out: an audit makes no estimate for them.
        """
        usable = [r for r in records if any(verdict != "failed" for verdict in r["verdicts"])]
        errors = [r["words"]["measured"][figure]["value"][0] - r["words"][figure]["value"][0] for r in usable]
        corpora = {r["corpus"] for r in usable}
        pairs = {(r["victim"], r["known"]) for r in usable}
        parts = (float(np.min(errors)), float(np.median(errors)), float(np.max(errors)))
        return cls(*(round(part, 3) for part in parts), len(usable), len(corpora), len(pairs))

    def plausible(self, estimate: float) -> Interval:
        """Return the estimate with the range that the measured errors allow, within [0, 1]."""
        low, high = (min(1.0, max(0.0, estimate + error)) for error in (self.lowest, self.highest))
        return Interval(estimate, low, high)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


# Errors with a stand-in, of benchmarks/results/leakage-calibration.jsonl; a test compares them with the records.
LEAK_RATE = CalibrationError(-0.208, -0.055, -0.027, cases=7, corpora=3, pairs=3)
PRECISION = CalibrationError(-0.476, -0.198, -0.134, cases=7, corpora=3, pairs=3)
