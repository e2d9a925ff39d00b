from __future__ import annotations

import numpy as np
import pytest

from interlingua.core.errors import InputError
from interlingua.leakage.centering import collection_mean
from interlingua.leakage.inversion import WordProbe
from interlingua.leakage.inversion.scores import score_keywords
from interlingua.leakage.inversion.words import Vocabulary

WORDS = tuple(f"word{chr(97 + i // 10)}{chr(97 + i % 10)}" for i in range(60))


def bags(seed: int = 0) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Word vectors, and documents that are sums of three of them in another corner of the space."""
    rng = np.random.default_rng(seed)
    words = rng.standard_normal((60, 32)).astype("f4")
    held = [rng.choice(60, 3, replace=False) for _ in range(200)]
    documents = np.stack([words[h].sum(axis=0) for h in held]) + 3
    return words, documents.astype("f4"), [" ".join(WORDS[i] for i in h) for h in held]


def test_the_nearest_words_are_in_the_document_and_none_is_asserted() -> None:
    words, documents, texts = bags()
    found = WordProbe.of(WORDS, words).invert(documents, mean=collection_mean(documents))
    right = [e.keywords[0].word in t for e, t in zip(found, texts, strict=True)]
    assert np.mean(right) > 0.9
    assert not any(e.asserted(0.0) for e in found)
    figures = score_keywords(found, texts, Vocabulary.of(texts, min_documents=2, max_share=1.0), k=3)
    assert figures.recall.value > 3 * figures.recall.control.value  # type: ignore[union-attr]
    assert figures.leak_rate.value == 0


def test_an_encoder_makes_the_vectors_and_shapes_must_agree() -> None:
    words, documents, _ = bags()
    table = dict(zip(WORDS, words, strict=True))
    probe = WordProbe.of(WORDS, lambda batch: np.stack([table[w] for w in batch]))
    np.testing.assert_array_equal(probe.scores(documents), WordProbe.of(WORDS, words).scores(documents))
    with pytest.raises(InputError, match="There are 60 words for 59 vectors; there must be one for each"):
        WordProbe.of(WORDS, words[1:])
