"""Quality of search results: nDCG and recall of the first k documents, as the BEIR benchmark computes them.

Relevance comes from judgments (which documents answer which query) or, without them, from the ranking by the new model
itself: its own first k documents count as relevant, so that the figures say how much of its results is found again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, shown
from interlingua.core.arrays import IntArray, as_array, check_matrix
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.core.wording import count_of
from interlingua.evaluation.bootstrap import Interval, JsonRecord, Resamples

__all__ = [
    "Relevance",
    "RetrievalQuality",
    "evaluate_ranking",
    "evaluate_retrieval",
    "ndcg_at_k",
    "rank_documents",
    "recall_at_k",
    "relevance_of_ranking",
]

# Grades of the relevant documents of one query by document number.
Relevance = Mapping[int, float]


@dataclass(frozen=True)
class RetrievalQuality(JsonRecord):
    """Quality of the first k documents, as means over the queries that have relevant documents.

    Attributes:
        ndcg: normalized discounted cumulative gain, 0 to 1.
        recall: share of the relevant documents that are among the first k, 0 to 1.
        k: number of documents.
        queries: number of queries with relevant documents.
    """

    ndcg: Interval
    recall: Interval
    k: int
    queries: int


def evaluate_retrieval(
    queries: Any,
    documents: Any,
    relevant: Sequence[Any],
    *,
    k: int = 10,
    seed: int = 0,
    bootstrap: int = 1000,
) -> RetrievalQuality:
    """Search documents by cosine and score the first k of each query.

    Args:
        queries: [q, d] vectors.
        documents: [n, d] vectors, for example translated ones.
        relevant: for each query the numbers of its relevant documents, or a mapping of numbers to grades above 0; an
            empty one leaves the query out. `relevance_of_ranking` makes them of the ranking by another model.
        k: number of documents.
        seed: of the bootstrap.
        bootstrap: resamples of the queries for the 95% intervals; 0 leaves the intervals out.

    Raises:
        InputError: vectors or relevant documents that cannot be used, or no query has relevant documents.

    Example:
        >>> import numpy as np
        >>> from interlingua.evaluation import evaluate_retrieval
        >>> documents = np.eye(4)
        >>> evaluate_retrieval(documents[:2], documents, [[0], [3]], k=1, bootstrap=0).recall.value
        0.5
    """
    ranking = rank_documents(queries, documents, k)
    return evaluate_ranking(ranking, relevant, documents=len(documents), k=k, seed=seed, bootstrap=bootstrap)


def evaluate_ranking(
    ranking: Any,
    relevant: Sequence[Any],
    *,
    documents: int,
    k: int = 10,
    seed: int = 0,
    bootstrap: int = 1000,
) -> RetrievalQuality:
    """Score rankings that were made elsewhere, for example by a database or after ranking again.

    Args:
        ranking: [q, m] document numbers, best first; -1 where there is none.
        relevant: as in `evaluate_retrieval`.
        documents: number of documents.
        k: number of documents of each query that count.
        seed: of the bootstrap.
        bootstrap: resamples of the queries for the 95% intervals; 0 leaves the intervals out.

    Raises:
        InputError: a ranking or relevant documents that cannot be used, or no query has relevant documents.
    """
    order = _check_ranking(ranking, check_count(documents, "documents", minimum=1))
    grades = _check_relevant(relevant, len(order), documents)
    k, seed, draws = check_count(k, "k", minimum=1), check_count(seed, "seed"), check_count(bootstrap, "bootstrap")
    judged = [row for row, grade in enumerate(grades) if grade]
    if not judged:
        raise InputError("No query has relevant documents; at least one is needed.")
    scored, found = order[judged], [grades[row] for row in judged]
    resamples = Resamples(len(judged), seed, draws)
    ndcg, recall = (resamples.mean(_scores(scored, found, k, score), share=True) for score in (_ndcg, _recall))
    return RetrievalQuality(ndcg, recall, k, len(judged))


def rank_documents(queries: Any, documents: Any, k: int = 10) -> IntArray:
    """Return the numbers [q, k] of the documents nearest to each query by cosine, best first.

    Args:
        queries: [q, d] vectors.
        documents: [n, d] vectors.
        k: number of documents; all of them if there are fewer.

    Raises:
        InputError: vectors that cannot be used, or of different widths.
    """
    k = check_count(k, "k", minimum=1)
    asked, rows = check_matrix(queries, "queries"), check_matrix(documents, "documents")
    return nearest(asked, rows, k).indices


def relevance_of_ranking(ranking: Any) -> list[dict[int, float]]:
    """Return the documents [q, k] of a ranking as equally relevant ones, for `evaluate_retrieval`.

    Args:
        ranking: [q, k] document numbers by the model to compare with.

    Raises:
        InputError: not a matrix of whole numbers.
    """
    return [{int(number): 1.0 for number in row if number >= 0} for row in _check_ranking(ranking, None)]


def ndcg_at_k(ranking: Any, relevant: Sequence[Any], k: int = 10) -> npt.NDArray[np.float64]:
    """Return the normalized discounted cumulative gain of each query [q]; NaN without relevant documents.

    The gain of a document is its grade, and the discount is log2(rank + 1), as in trec_eval (Järvelin and Kekäläinen,
    ACM TOIS 2002).

    Args:
        ranking: [q, m] document numbers, best first; -1 where there is none.
        relevant: as in `evaluate_retrieval`.
        k: number of documents that count.

    Raises:
        InputError: a ranking or relevant documents that cannot be used.
    """
    order = _check_ranking(ranking, None)
    return _scores(order, _check_relevant(relevant, len(order), None), check_count(k, "k", minimum=1), _ndcg)


def recall_at_k(ranking: Any, relevant: Sequence[Any], k: int = 10) -> npt.NDArray[np.float64]:
    """Return the share of the relevant documents of each query [q] that are found; NaN without relevant documents.

    Args:
        ranking: [q, m] document numbers, best first; -1 where there is none.
        relevant: as in `evaluate_retrieval`.
        k: number of documents that count.

    Raises:
        InputError: a ranking or relevant documents that cannot be used.
    """
    order = _check_ranking(ranking, None)
    return _scores(order, _check_relevant(relevant, len(order), None), check_count(k, "k", minimum=1), _recall)


def _scores(order: IntArray, grades: Sequence[Relevance], k: int, score: Any) -> npt.NDArray[np.float64]:
    rows = zip(order[:, :k].tolist(), grades, strict=True)
    return np.array([score(row, grade, k) if grade else np.nan for row, grade in rows], np.float64)


def _ndcg(row: list[int], grades: Relevance, k: int) -> float:
    gains = [grades.get(number, 0.0) for number in row]
    best = sorted(grades.values(), reverse=True)[:k]
    discounts = 1 / np.log2(np.arange(2, max(len(gains), len(best)) + 2))
    return float(gains @ discounts[: len(gains)] / (best @ discounts[: len(best)]))


def _recall(row: list[int], grades: Relevance, k: int) -> float:
    return len(grades.keys() & set(row)) / len(grades)


def _check_ranking(ranking: Any, documents: int | None) -> IntArray:
    order = as_array(ranking, "ranking")
    if order.ndim != 2 or order.dtype.kind not in "iu" or not order.size:
        raise InputError(
            f"ranking has shape {order.shape} and dtype {order.dtype}; document numbers [q, m] are needed."
        )
    order = order.astype(np.int64)
    if order.min() < -1 or (documents is not None and order.max() >= documents):
        raise InputError(f"ranking holds numbers from {order.min()} to {order.max()}; there are {documents} documents.")
    numbers = np.sort(order, axis=1)
    if ((numbers[:, 1:] == numbers[:, :-1]) & (numbers[:, 1:] >= 0)).any():
        raise InputError("ranking names a document twice for a query; each may appear once.")
    return order


def _check_relevant(relevant: Any, queries: int, documents: int | None) -> list[Relevance]:
    if isinstance(relevant, str | bytes | Mapping) or not isinstance(relevant, Sequence | np.ndarray):
        raise InputError(
            f"relevant is {shown(relevant)}; a sequence with the relevant documents of each query is needed."
        )
    if len(relevant) != queries:
        asked = count_of(queries, "query")
        raise InputError(f"relevant has {len(relevant):,} entries for {asked}; one for each query is needed.")
    return [_grades(each, row, documents) for row, each in enumerate(relevant)]


def _grades(given: Any, row: int, documents: int | None) -> dict[int, float]:
    try:
        pairs = given.items() if isinstance(given, Mapping) else ((number, 1.0) for number in given)
        grades = {check_count(number, f"a document of query {row}"): float(grade) for number, grade in pairs}
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"The relevant documents of query {row} are {shown(given)}; document numbers, or a mapping of numbers to "
            "grades, are needed."
        ) from error
    if any(not np.isfinite(grade) or grade <= 0 for grade in grades.values()):
        raise InputError(
            f"The relevant documents of query {row} have a grade that is not above 0; leave such ones out."
        )
    if documents is not None and grades and max(grades) >= documents:
        raise InputError(f"Query {row} has the relevant document {max(grades)}; there are {documents} documents.")
    return grades
