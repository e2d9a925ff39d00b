"""Evaluation: scores of a translator on paired rows, quality of search results, bootstrap intervals and oracles.

Nothing that fits, selects or judges a map may import this package; the import contracts enforce it.
"""

from interlingua.evaluation.bootstrap import Interval
from interlingua.evaluation.retrieval import (
    RetrievalQuality,
    evaluate_ranking,
    evaluate_retrieval,
    rank_documents,
    relevance_of_ranking,
)
from interlingua.evaluation.scores import (
    RETRIEVALS,
    CollectionScores,
    DirectionScores,
    Evaluation,
    RetrievalScores,
    SupportsTranslation,
    evaluate,
)

__all__ = [
    "RETRIEVALS",
    "CollectionScores",
    "DirectionScores",
    "Evaluation",
    "Interval",
    "RetrievalQuality",
    "RetrievalScores",
    "SupportsTranslation",
    "evaluate",
    "evaluate_ranking",
    "evaluate_retrieval",
    "rank_documents",
    "relevance_of_ranking",
]
