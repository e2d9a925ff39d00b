"""nDCG and recall of search results against slow computations and those of scikit-learn, and their refusals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from interlingua.core.errors import InputError
from interlingua.evaluation import (
    Interval,
    evaluate_ranking,
    evaluate_retrieval,
    rank_documents,
    relevance_of_ranking,
)
from interlingua.evaluation.retrieval import ndcg_at_k, recall_at_k

DOCUMENTS = 12


@given(
    st.permutations(range(DOCUMENTS)),
    st.dictionaries(st.integers(0, DOCUMENTS - 1), st.integers(1, 3), min_size=1),
    st.integers(1, DOCUMENTS),
)
def test_ndcg_and_recall_are_those_of_others(order: list[int], grades: dict[int, int], k: int) -> None:
    truth = np.array([[grades.get(number, 0) for number in range(DOCUMENTS)]])
    scores = np.empty((1, DOCUMENTS))
    scores[0, order] = np.arange(DOCUMENTS, 0, -1)
    expected = ndcg_score(truth, scores, k=k)
    assert ndcg_at_k([order], [grades], k)[0] == pytest.approx(expected)
    found = sum(number in grades for number in order[:k])
    assert recall_at_k([order], [grades], k)[0] == pytest.approx(found / len(grades))


def test_a_small_example_by_hand() -> None:
    ranking = [[4, 0, 2], [1, 3, -1]]
    relevant = [{0: 2, 2: 1, 3: 1}, [5]]
    best = 2 + 1 / math.log2(3) + 1 / 2
    assert ndcg_at_k(ranking, relevant, 3).tolist() == pytest.approx([(2 / math.log2(3) + 1 / 2) / best, 0])
    assert recall_at_k(ranking, relevant, 3).tolist() == pytest.approx([2 / 3, 0])
    assert recall_at_k(ranking, relevant, 1).tolist() == [0, 0]
    assert math.isnan(ndcg_at_k([[1]], [[]])[0])


def test_vectors_are_searched_by_cosine(rng: np.random.Generator) -> None:
    documents = rng.standard_normal((50, 6))
    lengths = rng.uniform(0.1, 10, (50, 1))
    queries = documents[:20] + 0.01 * rng.standard_normal((20, 6))
    assert rank_documents(queries, documents * lengths, 3)[:, 0].tolist() == list(range(20))
    scored = evaluate_retrieval(queries, documents * lengths, [[row] for row in range(20)], k=1, bootstrap=50)
    assert scored.recall == Interval(1.0, scored.recall.low, 1.0)
    assert scored.recall.low == pytest.approx(0.839, abs=1e-3)
    assert (scored.k, scored.queries) == (1, 20)
    assert scored.to_dict()["ndcg"] == [1.0, pytest.approx(0.839, abs=1e-3), 1.0]


def test_the_ranking_of_another_model_can_be_the_judge(rng: np.random.Generator) -> None:
    documents, queries = rng.standard_normal((60, 6)), rng.standard_normal((30, 6))
    goal = rank_documents(queries, documents, 10)
    own = relevance_of_ranking(goal)
    assert evaluate_ranking(goal, own, documents=60, bootstrap=0).ndcg.value == pytest.approx(1)
    noisy = documents + 0.5 * rng.standard_normal(documents.shape)
    found = rank_documents(queries, noisy, 10)
    expected = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(goal.tolist(), found.tolist(), strict=True)])
    assert evaluate_retrieval(queries, noisy, own, bootstrap=0).recall.value == pytest.approx(expected)


def test_queries_without_relevant_documents_are_left_out() -> None:
    scored = evaluate_ranking([[0, 1], [1, 0], [2, 0]], [[0], [], [1]], documents=3, k=1, bootstrap=0)
    assert (scored.recall.value, scored.queries) == (0.5, 2)


@pytest.mark.parametrize(
    ("ranking", "relevant", "message"),
    [
        ([[0, 1]], [[7]], "Query 0 has the relevant document 7; there are 5 documents"),
        ([[0, 5]], [[1]], "ranking holds numbers from 0 to 5; there are 5 documents"),
        ([[0, -2]], [[1]], "ranking holds numbers from -2 to 0"),
        ([[1, 1]], [[1]], "names a document twice"),
        ([0, 1], [[1]], r"ranking has shape \(2,\)"),
        ([[0.5]], [[1]], "document numbers"),
        ([[0]], [[1], [2]], "relevant has 2 entries for 1 query"),
        ([[0]], [{1: 0}], "a grade that is not above 0"),
        ([[0]], [{1: "high"}], "document numbers, or a mapping of numbers to grades, are needed"),
        ([[0]], [5], "The relevant documents of query 0 are 5"),
        ([[0]], {0: [1]}, "a sequence with the relevant documents of each query"),
        ([[0]], [[-1]], "a document of query 0 is -1"),
        ([[0]], [[]], "No query has relevant documents"),
    ],
)
def test_what_cannot_be_scored_is_refused(ranking: Any, relevant: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate_ranking(ranking, relevant, documents=5)


def test_vectors_of_other_widths_are_refused() -> None:
    with pytest.raises(InputError, match="equal widths are needed"):
        evaluate_retrieval(np.ones((2, 3)), np.ones((2, 4)), [[0], [1]])
