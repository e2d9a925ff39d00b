"""Evaluation on paired rows: scores of a translator, metrics, bootstrap intervals and oracles.

Nothing that fits, selects or judges a map may import this package; the import contracts enforce it.
"""

from interlingua.evaluation.bootstrap import Interval
from interlingua.evaluation.scores import (
    RETRIEVALS,
    DirectionScores,
    Evaluation,
    RetrievalScores,
    SupportsTranslation,
    evaluate,
)

__all__ = [
    "RETRIEVALS",
    "DirectionScores",
    "Evaluation",
    "Interval",
    "RetrievalScores",
    "SupportsTranslation",
    "evaluate",
]
