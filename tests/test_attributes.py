"""Attribute inference: scores, controls and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from interlingua.core.errors import InputError
from interlingua.evaluation.bootstrap import Resamples
from interlingua.leakage.attributes import embed_labels, infer_attributes, label_scores, truth_matrix

D, L, N = 32, 5, 600
NAMES = ["art", "law", "music", "sport", "war"]


@pytest.fixture
def topics(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Documents around the vectors of their labels, with unequal frequencies, and a mean vector that all share."""
    labels = rng.standard_normal((L, D))
    truth = np.zeros((N, L), bool)
    truth[np.arange(N), rng.choice(L, N, p=[0.4, 0.3, 0.1, 0.1, 0.1])] = True
    documents = truth @ labels + 1.2 * rng.standard_normal((N, D)) + 3
    return documents, labels, truth


def test_labels_are_inferred_from_documents_and_not_from_controls(topics: tuple[Any, Any, Any]) -> None:
    documents, labels, truth = topics
    found = infer_attributes(documents, labels, truth, NAMES, ideal=documents, naive=documents[:, :20], ks=(1, 3))
    assert found.translated.top1.value > 0.7
    assert found.translated.macro_auc.value > 0.9
    assert found.majority.top1.value == pytest.approx(truth.mean(axis=0).max())
    assert found.majority.macro_auc.value == pytest.approx(0.5)
    assert found.shuffled.macro_auc.value == pytest.approx(0.5, abs=0.03)
    assert found.shuffled.top1.value < found.majority.top1.value
    assert found.naive is not None
    assert found.naive.top1.value < found.translated.top1.value
    assert found.of_ideal is not None
    assert found.of_ideal.value == 1
    assert found.translated.top_k[3].value >= found.translated.top1.value
    assert found.counts == tuple(truth.sum(axis=0))
    assert found.to_dict()["scores"]["translated"]["auc"].keys() == set(NAMES)


def test_the_order_of_documents_and_of_labels_changes_nothing(
    topics: tuple[Any, Any, Any], rng: np.random.Generator
) -> None:
    documents, labels, truth = topics
    rows, columns = rng.permutation(N), rng.permutation(L)
    names = [NAMES[i] for i in columns]
    first = infer_attributes(documents, labels, truth, NAMES).translated
    second = infer_attributes(documents[rows], labels[columns], truth[rows][:, columns], names).translated
    assert second.top1.value == pytest.approx(first.top1.value)
    assert {k: v.value for k, v in second.auc.items()} == pytest.approx({k: v.value for k, v in first.auc.items()})


def test_labels_under_the_wrong_names_lower_the_score(topics: tuple[Any, Any, Any]) -> None:
    documents, labels, truth = topics
    right = infer_attributes(documents, labels, truth, NAMES).translated.top1.value
    wrong = infer_attributes(documents, np.roll(labels, 1, axis=0), truth, NAMES).translated.top1.value
    assert wrong < right / 2


def test_centering_takes_away_what_all_documents_share(topics: tuple[Any, Any, Any]) -> None:
    documents, labels, truth = topics
    labels = labels + 2 * np.eye(L, D)[:1].T.sum() * np.linspace(0, 3, L)[:, None]  # labels along the mean direction
    plain = infer_attributes(documents, labels, truth, NAMES, centered=False).translated.top1.value
    centered = infer_attributes(documents, labels, truth, NAMES).translated.top1.value
    assert centered > plain


def test_several_labels_a_document_count_as_hits_and_share_the_recall() -> None:
    labels = np.eye(4)
    documents = np.array([[2.0, 1.0, 0.0, 0.1], [0.0, 0.1, 1.0, 2.0], [1.0, 0.0, 0.2, 0.0]])
    truth = np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0]], bool)
    found = infer_attributes(documents, labels, truth, list("abcd"), ks=(2,), centered=False).translated
    assert found.top1.value == pytest.approx(2 / 3)
    assert found.recall[1].value == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert found.recall[2].value == pytest.approx((1 + 1 / 2 + 0) / 3)


def test_the_area_under_the_curve_is_scikit_learns_with_ties_and_weights(rng: np.random.Generator) -> None:
    scores = rng.integers(0, 6, 80).astype(float)
    positive = rng.random(80) < 0.3
    resamples = Resamples(80, seed=0, draws=5)
    expected = [roc_auc_score(positive, scores, sample_weight=c) for block in resamples.counts() for c in block]
    assert resamples.auc(scores, positive) == pytest.approx(expected)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    inside = 0
    for seed in range(100):
        value = Resamples(200, seed, draws=200).mean(rng.random(200) < 0.3)
        assert value.low is not None
        assert value.high is not None
        inside += value.low <= 0.3 <= value.high
    assert inside >= 89


def test_a_label_that_every_document_has_says_nothing(topics: tuple[Any, Any, Any]) -> None:
    documents, labels, truth = topics
    truth = truth.copy()
    truth[:, 0] = True
    assert "art" not in infer_attributes(documents, labels, truth, NAMES).translated.auc


def test_templates_are_filled_and_averaged() -> None:
    seen: list[str] = []

    def encode(texts: list[str]) -> Any:
        seen.extend(texts)
        return np.random.default_rng(len(texts)).standard_normal((len(texts), 6))

    layers = embed_labels(encode, ["a", "b"], ("{label}", "about {label}!"))
    assert layers.shape == (2, 2, 6)
    assert seen == ["a", "b", "about a!", "about b!"]
    documents = np.random.default_rng(1).standard_normal((7, 6))
    expected = (label_scores(documents, layers[0]) + label_scores(documents, layers[1])) / 2
    assert label_scores(documents, layers) == pytest.approx(expected, abs=1e-6)


def test_what_does_not_go_together_is_refused(topics: tuple[Any, Any, Any]) -> None:
    documents, labels, truth = topics
    with pytest.raises(InputError, match=r"truth is bool \(600, 4\) and names has 5 texts"):
        infer_attributes(documents, labels, truth[:, :4], NAMES)
    with pytest.raises(InputError, match="Document 3 has no true label"):
        infer_attributes(documents, labels, truth & (np.arange(N) != 3)[:, None], NAMES)
    with pytest.raises(InputError, match="There are 599 ideal vectors for 600 documents"):
        infer_attributes(documents, labels, truth, NAMES, ideal=documents[1:])
    with pytest.raises(InputError, match="the labels has 31 columns; 32 are needed"):
        label_scores(documents, labels[:, :31])
    with pytest.raises(InputError, match="at least one label"):
        embed_labels(lambda texts: texts, [])
    with pytest.raises(InputError, match="has no {label} in it"):
        embed_labels(lambda texts: texts, ["a"], ["about it"])
    with pytest.raises(InputError, match="Document 1 has the label 'x', which is not among the 2 names"):
        truth_matrix([["a"], ["b", "x"]], ["a", "b"])


def test_truth_from_names() -> None:
    assert truth_matrix([["a", "b"], "b"], ["a", "b"]).tolist() == [[True, True], [False, True]]
