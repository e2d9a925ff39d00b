"""Errors of calibrated estimates, measured on corpora and pairs of encoders whose truth is known.

An audit without a ground truth estimates figures from probabilities that were calibrated with a stand-in encoder. The
bootstrap interval of such an estimate covers the sample of documents and not the error of the calibration. The errors
in this module come from the records of ``benchmarks/calibration.py``, ``leakage-calibration.jsonl`` in
``benchmarks/results``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interlingua.core.arguments import check_choice, check_number, check_settings
from interlingua.core.errors import InputError
from interlingua.evaluation.bootstrap import Interval, JsonRecord
from interlingua.leakage._checks import check_members

__all__ = ["CalibrationError"]

# With 19 cases the worst error is a bound that holds in 95 % of further cases of the same kind.
_CASES_OF_A_BOUND = 19


@dataclass(frozen=True)
class CalibrationError(JsonRecord):
    """Measured value minus estimate, over cases: a corpus, a pair of encoders, a seed and a number of fits.

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

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    @classmethod
    def from_records(cls, records: Sequence[dict[str, Any]], figure: str) -> CalibrationError:
        """Return the errors of ``leak_rate`` or ``precision`` in benchmark records.

        Cases whose fits all failed are left out: an audit makes no estimate for them. So are cases whose stand-in was
        not used because its own fit is not aligned.
        """
        check_choice(figure, "figure", ("leak_rate", "precision"))
        errors, corpora, pairs = [], set(), set()
        for record in check_members(records, "records", dict, "records of these benchmarks"):
            try:
                words, verdicts, basis = record["words"], record["verdicts"], record["calibrated_with"]
                error = float(words["measured"][figure]["value"][0]) - float(words[figure]["value"][0])
                names = record["corpus"], (record["victim"], record["known"])
            except (KeyError, TypeError, ValueError, IndexError) as cause:
                raise InputError(
                    f"A record lacks what benchmarks/calibration.py writes ({cause!r}); give its records."
                ) from cause
            if basis == "unpaired" and any(verdict != "failed" for verdict in verdicts):
                errors.append(error)
                corpora.add(names[0])
                pairs.add(names[1])
        if not errors:
            raise InputError("No record holds an estimate with an aligned stand-in; run benchmarks/calibration.py.")
        lowest, median, highest = (round(float(np.quantile(errors, q)), 3) for q in (0, 0.5, 1))
        return cls(lowest, median, highest, len(errors), len(corpora), len(pairs))

    @property
    def is_bound(self) -> bool:
        """Whether there are enough cases for a bound: below the worst of n cases a new one falls with 1 / (n + 1)."""
        return self.cases >= _CASES_OF_A_BOUND

    def plausible(self, estimate: float) -> Interval:
        """Return the estimate with the range that the measured errors allow, within [0, 1]; it holds the estimate."""
        estimate = check_number(estimate, "estimate", minimum=0, maximum=1)
        low, high = estimate + min(0.0, self.lowest), estimate + max(0.0, self.highest)
        return Interval(estimate, max(0.0, low), min(1.0, high))


# Errors with a stand-in in these records; a test computes them again.
LEAK_RATE = CalibrationError(-0.208, -0.058, -0.027, cases=8, corpora=4, pairs=3)
PRECISION = CalibrationError(-0.476, 0.036, 0.08, cases=22, corpora=6, pairs=5)
