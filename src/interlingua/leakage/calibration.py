"""Errors of calibrated estimates, measured on corpora and pairs of encoders whose truth is known.

An audit without a ground truth estimates figures from probabilities that were calibrated on public texts. The
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

__all__ = ["BASES", "ERRORS", "MIN_CASES", "CalibrationError"]

# What probabilities can be calibrated with, as in KeywordDecoder.
BASES = ("corpus", "paired", "unpaired")

# With 19 cases the worst error is a bound that holds in 95% of further cases of the same kind. Cases of one corpus or
# one pair of encoders are alike, so that a bound needs several of both.
_CASES_OF_A_BOUND, _CORPORA_OF_A_BOUND, _PAIRS_OF_A_BOUND = 19, 6, 3
_SHARE_OF_A_BOUND = 0.95


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
        held: share of the cases whose measured value is not below the lower end that the errors of the other corpora
            give; 0 for a single corpus.
    """

    lowest: float
    median: float
    highest: float
    cases: int
    corpora: int
    pairs: int
    held: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    @classmethod
    def from_records(cls, records: Sequence[dict[str, Any]], figure: str, calibrated_with: str) -> CalibrationError:
        """Return the errors of ``leak_rate`` or ``precision`` in benchmark records.

        Args:
            records: what ``benchmarks/calibration.py`` wrote.
            figure: ``leak_rate`` or ``precision``.
            calibrated_with: cases with this calibration count, see :class:`KeywordDecoder`. Cases whose fits all failed
                are left out: an audit makes no estimate for them.

        Raises:
            InputError: no such case, or a record that lacks a value.
        """
        calibrated_with = check_choice(calibrated_with, "calibrated_with", BASES)
        check_choice(figure, "figure", ("leak_rate", "precision"))
        cases: list[tuple[str, float, float]] = []
        pairs = set()
        for record in check_members(records, "records", dict, "records of these benchmarks"):
            try:
                words, verdicts, basis = record["words"], record["verdicts"], record["calibrated_with"]
                estimate, measured = float(words[figure]["value"][0]), float(words["measured"][figure]["value"][0])
                corpus, pair = record["corpus"], (record["victim"], record["known"])
            except (KeyError, TypeError, ValueError, IndexError) as cause:
                raise InputError(
                    f"A record lacks what benchmarks/calibration.py writes ({cause!r}); give its records."
                ) from cause
            if basis == calibrated_with and any(verdict != "failed" for verdict in verdicts):
                cases.append((corpus, estimate, measured))
                pairs.add(pair)
        if not cases:
            raise InputError(
                f"No record holds an estimate calibrated with {calibrated_with}; run benchmarks/calibration.py."
            )
        errors = [measured - estimate for _, estimate, measured in cases]
        lowest, median, highest = (round(float(np.quantile(errors, q)), 3) + 0.0 for q in (0, 0.5, 1))
        corpora = len({corpus for corpus, *_ in cases})
        return cls(lowest, median, highest, len(cases), corpora, len(pairs), _held(cases))

    @property
    def is_bound(self) -> bool:
        """Whether the lower end of the range is a bound.

        There must be enough cases, at least 19 of six corpora and three pairs of encoders, and the lower end that the
        other corpora give must have held in 95% of them. A new case of the same kind falls below the lowest of n
        errors with a probability of 1 / (n + 1), but cases of a new corpus are not quite of the same kind.
        """
        return (
            self.cases >= _CASES_OF_A_BOUND
            and self.corpora >= _CORPORA_OF_A_BOUND
            and self.pairs >= _PAIRS_OF_A_BOUND
            and self.held >= _SHARE_OF_A_BOUND
        )

    @property
    def certainty(self) -> str:
        """Sentences on whether the lower end of the range can be relied on."""
        held = round(self.held * self.cases)
        tested = (
            "The lower end of the range was tested on collections of texts that were left out when it was computed: in "
            f"{held} of {self.cases} cases ({self.held:.1%}) the true figure was not below it."
        )
        if not self.is_bound:
            return (
                f"{tested} This is too little to rely on the lower end: it must hold in {_SHARE_OF_A_BOUND:.0%} of at "
                f"least {_CASES_OF_A_BOUND} cases, of {_CORPORA_OF_A_BOUND} collections of texts and "
                f"{_PAIRS_OF_A_BOUND} pairs of encoders or more."
            )
        barely = (held - 1) / self.cases < _SHARE_OF_A_BOUND
        return (
            f"{tested} So it is expected to hold for {_SHARE_OF_A_BOUND:.0%} of similar collections."
            f"{' One more exception would have been too many to say so.' if barely else ''}"
        )

    def plausible(self, estimate: float) -> Interval:
        """Return the estimate with the range that the measured errors allow, within [0, 1]; it holds the estimate."""
        estimate = check_number(estimate, "estimate", minimum=0, maximum=1)
        low, high = estimate + min(0.0, self.lowest), estimate + max(0.0, self.highest)
        return Interval(estimate, max(0.0, low), min(1.0, high))


def _held(cases: Sequence[tuple[str, float, float]]) -> float:
    """Return the share of cases (corpus, estimate, measured) not below the lower end that other corpora give."""
    held = 0
    for corpus, estimate, measured in cases:
        others = [value - estimated for other, estimated, value in cases if other != corpus]
        held += bool(others) and measured >= estimate + min(0.0, *others)
    return round(held / len(cases), 3)


# Errors in these records by what probabilities were calibrated with and by figure; a test computes them again. A basis
# with fewer cases gives no range.
MIN_CASES = 3
ERRORS = {
    "corpus": {
        "leak_rate": CalibrationError(-0.235, -0.065, 0.015, cases=33, corpora=9, pairs=9, held=0.97),
        "precision": CalibrationError(-0.45, -0.206, -0.083, cases=33, corpora=9, pairs=9, held=0.97),
    },
    "paired": {
        "leak_rate": CalibrationError(-0.208, -0.027, 0.039, cases=36, corpora=8, pairs=10, held=0.944),
        "precision": CalibrationError(-0.476, -0.135, 0.015, cases=36, corpora=8, pairs=10, held=0.917),
    },
    "unpaired": {
        "leak_rate": CalibrationError(-0.099, 0.014, 0.084, cases=21, corpora=7, pairs=8, held=0.952),
        "precision": CalibrationError(-0.151, -0.018, 0.064, cases=21, corpora=7, pairs=8, held=0.952),
    },
}
