"""Words and labels that an audit reads from translations; shared by its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from interlingua.core.arrays import FloatArray, IntArray, row_blocks
from interlingua.evaluation.bootstrap import Interval, Resamples
from interlingua.leakage.centering import collection_mean
from interlingua.leakage.defenses import Rotation
from interlingua.leakage.inversion import Extraction, KeywordDecoder
from interlingua.leakage.inversion.keywords import most_probable
from interlingua.leakage.inversion.scores import LEVEL, score_keywords

__all__ = [
    "MIN_KNOWN",
    "attacked_rows",
    "expected_leak_rate",
    "meaningless",
    "most_frequent",
    "offered",
    "predict",
    "read_words",
]

# With fewer known rows, intervals are too wide to say anything: that of a share of 0 among 20 rows reaches 16%.
MIN_KNOWN = 20
_BLOCK = 512


def attacked_rows(n: int, documents: int, seed: int) -> IntArray:
    """Return the sorted numbers of the rows that an audit of ``n`` rows attacks, at most ``documents``."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:documents])


def predict(decoder: KeywordDecoder, translations: Sequence[FloatArray]) -> list[Extraction]:
    """Return the most probable words of every row, by the mean of the probabilities of all fits."""
    means = [collection_mean(rows) for rows in translations]
    extractions: list[Extraction] = []
    for block in row_blocks(len(translations[0]), _BLOCK):
        pairs = zip(translations, means, strict=True)
        probabilities = np.mean(
            [decoder.probabilities(translation[block], mean=mean) for translation, mean in pairs], axis=0
        )
        extractions += most_probable(probabilities, decoder.vocabulary.words)
    return extractions


def read_words(
    decoder: KeywordDecoder, translated: FloatArray, texts: Sequence[str] | None, seed: int
) -> tuple[Interval, Interval, str]:
    """Return the share of documents with a correct word, its control, and how both were found.

    Args:
        decoder: predicts the words.
        translated: unit rows [n, d].
        texts: the n true texts; without them, or if fewer than 20 are not empty, the shares are estimated.
        seed: of the resamples and the control.

    Returns:
        The share; the same for other documents, or for meaningless translations without true texts; ``measured`` or
        ``estimated``.
    """
    predictions = predict(decoder, [translated])
    if texts is not None and sum(bool(text.strip()) for text in texts) >= MIN_KNOWN:
        figure = score_keywords(predictions, texts, decoder.vocabulary, seed=seed).leak_rate
        return figure.interval, figure.control or figure.interval, "measured"
    resamples = Resamples(len(translated), seed)
    control = predict(decoder, [meaningless(translated, seed)])
    return expected_leak_rate(predictions, resamples), expected_leak_rate(control, resamples), "estimated"


def expected_leak_rate(predictions: Sequence[Extraction], resamples: Resamples) -> Interval:
    """Return the expected share of documents whose most probable asserted word is right."""
    probabilities = (document.keywords[0].p if document.asserted(LEVEL) else 0.0 for document in predictions)
    return resamples.mean(list(probabilities), share=True)


def meaningless(translated: FloatArray, seed: int) -> FloatArray:
    """Return translations rotated at random about their mean, which keeps every distance and destroys all meaning."""
    center = translated.mean(axis=0)
    return np.asarray(Rotation().apply(translated - center, seed) + center, np.float32)


def offered(true_labels: Sequence[Sequence[str]], names: Sequence[str]) -> list[list[str]]:
    """Return the true labels of each row that are among the labels to infer."""
    inferred = set(names)
    return [[name for name in row if name in inferred] for row in true_labels]


def most_frequent(predictions: Iterable[Extraction], limit: int) -> list[tuple[str, int]]:
    """Return the words asserted for the most documents, with their number."""
    counts = Counter(word for document in predictions for word in document.asserted(LEVEL))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]
