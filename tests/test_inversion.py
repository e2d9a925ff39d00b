"""Inversion: words and texts from vectors, their scores and their controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.linalg import orthogonal_procrustes

from interlingua.core.errors import InputError
from interlingua.leakage.attributes import label_scores
from interlingua.leakage.centering import collection_mean
from interlingua.leakage.inversion import CorpusRetrieval, Extraction, Keyword, KeywordDecoder, WordProbe
from interlingua.leakage.inversion.scores import (
    reidentification,
    reliability,
    rouge_l,
    score_keywords,
    score_texts,
    token_f1,
    wrong_documents,
)
from interlingua.leakage.inversion.words import Vocabulary, entities

V, D, N = 120, 64, 1500
WORDS = [f"word{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(V)]


@pytest.fixture(scope="module")
def bags() -> tuple[Any, Any, list[str]]:
    """Texts of five words, their vectors as sums of word vectors with noise, and the same from another encoder."""
    rng = np.random.default_rng(0)
    picked = np.stack([rng.choice(V, 5, replace=False) for _ in range(N)])
    texts = [" ".join(WORDS[i] for i in row) for row in picked]
    known, other = (
        rng.standard_normal((V, D))[picked].sum(axis=1) + 0.5 * rng.standard_normal((N, D)) for _ in range(2)
    )
    mixed = known @ np.linalg.qr(rng.standard_normal((D, D)))[0] + 0.8 * other
    return known, mixed, texts


@pytest.fixture(scope="module")
def vocabulary(bags: Any) -> Vocabulary:
    return Vocabulary.of(bags[2][:1200], max_share=0.2)


def test_words_are_recovered_with_calibrated_probabilities_and_the_control_is_not(bags: Any, vocabulary: Any) -> None:
    known, _, texts = bags
    decoder = KeywordDecoder.fit(known[:1200], texts[:1200], vocabulary=vocabulary)
    figures = score_keywords(decoder.invert(known[1200:]), texts[1200:], vocabulary)
    assert figures.leak_rate.value > 0.8
    assert figures.precision.value > 0.65
    assert figures.precision.control is not None
    assert figures.precision.control.value < 0.1
    assert figures.recall.value > 3 * figures.recall.floor.value  # type: ignore[union-attr]
    bins = reliability(decoder.probabilities(known[1200:]), texts[1200:], vocabulary, bins=4)
    assert all(abs(b.claimed - b.right) < 0.15 for b in bins if b.count > 50)


def test_a_saved_decoder_predicts_the_same(bags: Any, vocabulary: Any, tmp_path: Path) -> None:
    known, mixed, texts = bags
    decoder = KeywordDecoder.fit(known, texts, vocabulary=vocabulary, stand_in=mixed, epochs=1)
    again = KeywordDecoder.load(decoder.save(tmp_path / "d.safetensors"))
    np.testing.assert_array_equal(again.probabilities(known[:50]), decoder.probabilities(known[:50]))
    assert again.vocabulary.words == vocabulary.words
    assert again.translation_cosine == decoder.translation_cosine
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"cannot be read as \.safetensors"):
        KeywordDecoder.load(tmp_path / "x.safetensors")
    save_file({"a": np.ones(2)}, tmp_path / "y.safetensors")
    with pytest.raises(InputError, match="is not a keyword decoder"):
        KeywordDecoder.load(tmp_path / "y.safetensors")


def test_a_stand_in_keeps_the_probabilities_of_translations_from_being_too_high(bags: Any, vocabulary: Any) -> None:
    known, mixed, texts = bags
    train, test = slice(1200), slice(1200, None)
    mixed = mixed + 5 * np.random.default_rng(1).standard_normal(mixed.shape)
    sure = KeywordDecoder.fit(known[train], texts[train], vocabulary=vocabulary)
    modest = KeywordDecoder.fit(known[train], texts[train], vocabulary=vocabulary, stand_in=mixed[train])
    assert sure.translation_cosine == 1
    assert 0.3 < modest.translation_cosine < 0.5  # as low as translations between real encoders are
    rotation, _ = orthogonal_procrustes(mixed[train], known[train])
    translated = mixed[test] @ rotation
    excess = []
    for decoder in (sure, modest):
        bins = reliability(decoder.probabilities(translated, mean=collection_mean(translated)), texts[test], vocabulary)
        likely = [b for b in bins if b.low >= 0.2]
        excess.append(sum((b.claimed - b.right) * b.count for b in likely) / sum(b.count for b in likely))
    assert excess[0] > excess[1] + 0.1
    assert abs(excess[1]) < 0.05


def test_an_offset_of_the_whole_collection_changes_no_claim(bags: Any, vocabulary: Any) -> None:
    known, _, texts = bags
    units = known / np.linalg.norm(known, axis=1, keepdims=True)
    decoder = KeywordDecoder.fit(known, texts, vocabulary=vocabulary, epochs=4)
    offset = 0.2 * np.ones(D)
    few = units[:60]
    means = [collection_mean(units), collection_mean(units + offset)]
    moved = (decoder.probabilities(z, mean=m) for z, m in zip((few, few + offset), means, strict=True))
    lengths = np.linalg.norm(few + offset, axis=1)
    assert lengths.std() > 0.01  # the offset is no mere shift once rows have unit length again
    assert abs(np.subtract(*moved)).mean() < 0.01


@pytest.mark.parametrize("mean", [None, 0.05 * np.ones(D)], ids=["corpus", "collection"])
def test_the_answer_for_a_row_does_not_depend_on_the_rows_beside_it(bags: Any, vocabulary: Any, mean: Any) -> None:
    known, _, texts = bags
    decoder = KeywordDecoder.fit(known, texts, vocabulary=vocabulary, epochs=1)
    probe = WordProbe.of(WORDS, known[:V])
    retrieval = CorpusRetrieval.of(known, texts, k=3)
    for answer in (
        lambda rows: decoder.probabilities(rows, mean=mean),
        lambda rows: probe.scores(rows, mean=mean),
        lambda rows: label_scores(rows, known[:9], mean=mean),
        lambda rows: np.array([[near.cosine for near in e.neighbors] for e in retrieval.invert(rows, mean=mean)]),
    ):
        whole = answer(known)
        parts = np.concatenate([answer(known[:1]), answer(known[1:50]), answer(known[50:])])
        np.testing.assert_allclose(parts, whole, atol=5e-5)


def test_a_mean_of_the_wrong_shape_is_refused() -> None:
    rows = np.eye(4, dtype=np.float32)
    with pytest.raises(InputError, match=r"mean has shape \(3,\); a finite vector of shape \(4,\) is needed"):
        CorpusRetrieval.of(rows, list("abcd"), k=1).invert(rows, mean=np.ones(3))
    np.testing.assert_allclose(collection_mean(5 * rows), 0.25)


def test_retrieval_finds_the_text_itself_and_invents_nothing(bags: Any) -> None:
    known, _, texts = bags
    found = CorpusRetrieval.of(known, texts, k=3).invert(known[:20])
    assert [e.text for e in found] == texts[:20]
    assert all(len(e.neighbors) == 3 and e.neighbors[0].cosine > e.neighbors[1].cosine for e in found)
    figures = score_texts(found, texts[:20], floor=texts[500:])
    assert figures.token_f1.value == 1
    assert figures.token_f1.control is not None
    assert figures.token_f1.control.value < 0.3


def test_vectors_identify_their_documents_and_noise_does_not(rng: np.random.Generator) -> None:
    x = rng.standard_normal((300, 16))
    # A mean of log ranks is no share, so that it has no interval of one.
    assert reidentification(x, x).anonymity_set.interval.to_list() == pytest.approx([1, 1, 1])
    noise = reidentification(rng.standard_normal((300, 16)), x).anonymity_set
    assert noise.control is not None
    assert noise.value == pytest.approx(noise.control.value, rel=0.2)


def test_string_scores_by_hand() -> None:
    assert token_f1("the cat sat", "the cat ran") == pytest.approx(2 / 3)
    assert rouge_l("a b c d", "a x c d") == pytest.approx(3 / 4)
    assert rouge_l("", "a") == token_f1("", "a") == 0
    assert entities("Call Jane Roe at jane@roe.org by 2024-05-01, $1,200") == {
        "jane roe",
        "jane@roe.org",
        "2024-05-01",
        "$1,200",
    }


def test_the_control_is_another_document_of_the_same_length() -> None:
    texts = ["a b", "a b", "c d", "e f g", "h i j"]
    wrong = wrong_documents(texts, 0)
    assert all(texts[w] != t for w, t in zip(wrong, texts, strict=True))


def test_words_below_the_level_are_not_asserted() -> None:
    assert Extraction((Keyword("a", 0.7), Keyword("b", 0.4))).asserted() == ("a",)


def test_what_does_not_go_together_is_refused(bags: Any, vocabulary: Any) -> None:
    known, mixed, texts = bags
    with pytest.raises(InputError, match="1,500 vectors and 3 texts"):
        KeywordDecoder.fit(known, texts[:3])
    with pytest.raises(InputError, match="No content word is in 5 of the 2 texts"):
        Vocabulary.of(["one text", "another"])
    with pytest.raises(InputError, match=r"The stand-in has 1,501 rows and the corpus 1,500"):
        KeywordDecoder.fit(
            known, texts, vocabulary=Vocabulary.of(texts, max_share=0.2), stand_in=np.vstack([mixed, mixed[:1]])
        )
    with pytest.raises(InputError, match="k is 0"):
        CorpusRetrieval.of(known, texts, k=0)
    with pytest.raises(InputError, match="0 extractions for 1,500 texts"):
        score_texts([], texts)
