"""Scores of inversions, with a control (the same output against a wrong document) and a floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_callable, check_count, check_instance, check_number, check_texts
from interlingua.core.arrays import check_matrix, unit_rows
from interlingua.core.digests import count_copies
from interlingua.core.errors import InputError
from interlingua.encoders import Encode
from interlingua.evaluation import Interval
from interlingua.evaluation.bootstrap import JsonRecord, Resamples
from interlingua.evaluation.metrics import match_ranks
from interlingua.leakage._checks import check_one_each
from interlingua.leakage.inversion.extraction import Extraction, check_extractions
from interlingua.leakage.inversion.words import Vocabulary, entities, tokens

__all__ = [
    "LEVEL",
    "Figure",
    "Reidentification",
    "Reliability",
    "TextFigures",
    "WordFigures",
    "entity_recall",
    "reencoded_cosine",
    "reidentification",
    "reliability",
    "rouge_l",
    "score_keywords",
    "score_texts",
    "token_f1",
    "wrong_documents",
]

LEVEL = 0.5


@dataclass(frozen=True)
class Figure(JsonRecord):
    """A figure with its interval, and what it has to be compared with.

    Attributes:
        interval: against the true documents.
        control: the same output against other documents of about the same length.
        floor: what naming the most frequent words of the corpus (or, for texts, a random public text) would reach.
        meaning: one sentence.
    """

    interval: Interval
    control: Interval | None
    floor: Interval | None
    meaning: str

    @property
    def value(self) -> float:
        """The figure without its interval."""
        return self.interval.value

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an interval is [value, low, high]."""
        values = super().to_dict()
        return {"value": values.pop("interval"), **values}


@dataclass(frozen=True)
class WordFigures(JsonRecord):
    """Predicted words against the true texts.

    A word is asserted where its probability is at least the level (0.5 unless chosen otherwise).

    Attributes:
        documents: number of documents that have a text.
        leak_rate: share of documents with a correct asserted word.
        leak_rate_2: share of documents with two of them.
        precision: share of the asserted words that are right.
        recall: share of a document's words among the k most probable.
        idf_recall: recall with words weighted by their information.
        asserted: asserted words per document.
        bits: information in the correct asserted words of a document, in bits.
    """

    documents: int
    leak_rate: Figure
    leak_rate_2: Figure
    precision: Figure
    recall: Figure
    idf_recall: Figure
    asserted: Figure
    bits: Figure


@dataclass(frozen=True)
class TextFigures(JsonRecord):
    """Reconstructed texts against the true ones.

    Attributes:
        token_f1: overlap of words, F-measure.
        rouge_l: longest common subsequence of words, F-measure (Lin 2004).
        entity_recall: share of a document's names, numbers, dates, amounts and addresses that the reconstruction holds;
            documents without any are left out.
    """

    token_f1: Figure
    rouge_l: Figure
    entity_recall: Figure


@dataclass(frozen=True)
class Reidentification(JsonRecord):
    """How well each vector identifies its own document among all of them.

    Attributes:
        top1: share of documents whose own vector is the nearest candidate.
        anonymity_set: the exponential of the mean log rank: effective number of indistinguishable documents; 1 means
            unique, n / e is chance.
    """

    top1: Figure
    anonymity_set: Figure


@dataclass(frozen=True)
class Reliability:
    """How often words predicted with probabilities of a range were right.

    Attributes:
        low: lower end of the range.
        high: upper end of the range.
        claimed: mean predicted probability.
        right: share that was right.
        count: predictions in the range.
    """

    low: float
    high: float
    claimed: float
    right: float
    count: int


def score_keywords(
    extractions: Sequence[Extraction],
    texts: Sequence[str],
    vocabulary: Vocabulary,
    *,
    level: float = LEVEL,
    k: int = 10,
    seed: int = 0,
) -> WordFigures:
    """Measure predicted words against the true texts.

    Args:
        extractions: what was recovered of n documents.
        texts: the n documents; those without text are left out.
        vocabulary: the words that could be predicted, with their frequencies.
        level: probability from which a word counts as asserted.
        k: words counted for the recall.
        seed: seed of the control and the resamples.

    Raises:
        InputError: not one extraction per text.
    """
    extractions, texts = check_extractions(extractions, texts)
    check_instance(vocabulary, "vocabulary", Vocabulary, "a Vocabulary")
    level, k = check_number(level, "level"), check_count(k, "k", minimum=1)
    kept = [row for row, text in enumerate(texts) if text.strip()]
    if not kept:
        raise InputError(
            f"All {len(texts):,} texts are empty, so nothing can be measured; give those of some documents."
        )
    extractions, texts = [extractions[row] for row in kept], [texts[row] for row in kept]
    other = wrong_documents(texts, seed)
    resamples = Resamples(len(texts), seed)
    truth = _word_sets(texts, vocabulary)
    bits = dict(zip(vocabulary.words, vocabulary.information.tolist(), strict=True))
    asserted = [e.asserted(level) for e in extractions]
    probable = [tuple(w.word for w in e.keywords[:k]) for e in extractions]
    # The floor asserts as many words as the method does, always the most frequent ones.
    width = max(1, round(np.mean([len(words) for words in asserted])))
    frequent = [vocabulary.words[:width]] * len(texts)
    frequent_k = [vocabulary.words[:k]] * len(texts)
    same, sure = range(len(texts)), f"of probability {level} or more"

    def correct(words: Sequence[Sequence[str]], rows: Sequence[int]) -> list[list[str]]:
        return [[w for w in guess if w in truth[r]] for guess, r in zip(words, rows, strict=True)]

    def leak(words: Sequence[Sequence[str]], rows: Sequence[int], fewest: int) -> Interval:
        return resamples.mean([len(hits) >= fewest for hits in correct(words, rows)])

    def precision(words: Sequence[Sequence[str]], rows: Sequence[int]) -> Interval:
        return resamples.ratio([len(hits) for hits in correct(words, rows)], [len(guess) for guess in words])

    def recall(words: Sequence[Sequence[str]], rows: Sequence[int], weights: Mapping[str, float] | None) -> Interval:
        def size(names: Iterable[str]) -> float:
            return float(sum(1 if weights is None else weights[w] for w in names))

        hits = zip(correct(words, rows), rows, strict=True)
        return resamples.mean([size(found) / size(truth[r]) if truth[r] else np.nan for found, r in hits], share=True)

    def figure(measure: Callable[..., Interval], words: Any, floor: Any, meaning: str, *parameters: Any) -> Figure:
        return Figure(
            measure(words, same, *parameters),
            measure(words, other, *parameters),
            measure(floor, same, *parameters),
            meaning,
        )

    return WordFigures(
        documents=len(texts),
        leak_rate=figure(leak, asserted, frequent, f"share of documents with a correct word {sure}", 1),
        leak_rate_2=figure(leak, asserted, frequent, f"share of documents with two correct words {sure}", 2),
        precision=figure(precision, asserted, frequent, f"share of the words {sure} that are right"),
        recall=figure(recall, probable, frequent_k, f"share of a document's words among the {k} most probable", None),
        idf_recall=figure(recall, probable, frequent_k, "the same, words weighted by how rare they are", bits),
        asserted=Figure(resamples.mean([len(words) for words in asserted]), None, None, "words asserted a document"),
        bits=Figure(
            resamples.mean([sum(bits[w] for w in hits) for hits in correct(asserted, same)]),
            resamples.mean([sum(bits[w] for w in hits) for hits in correct(asserted, other)]),
            None,
            "information in the correct words of a document, bits",
        ),
    )


def score_texts(
    extractions: Sequence[Extraction], texts: Sequence[str], *, floor: Sequence[str] | None = None, seed: int = 0
) -> TextFigures:
    """Measure reconstructed texts against the true ones; an extraction without a text counts as the empty text.

    Args:
        extractions: what was recovered of n documents.
        texts: the n documents.
        floor: public texts; random ones of them are the floor.
        seed: seed of the control, the floor and the resamples.

    Raises:
        InputError: not one extraction per text.
    """
    extractions, texts = check_extractions(extractions, texts)
    floor = None if floor is None else check_texts(floor, "floor")
    written = [e.text or "" for e in extractions]
    same, other = range(len(texts)), wrong_documents(texts, seed)
    resamples = Resamples(len(texts), seed)
    rng = np.random.default_rng(seed)
    random = None if not floor else [floor[i] for i in rng.integers(0, len(floor), len(texts))]

    def figure(measure: Callable[[str, str], float], meaning: str) -> Figure:
        def mean(guesses: Sequence[str], rows: Sequence[int]) -> Interval:
            return resamples.mean([measure(g, texts[r]) for g, r in zip(guesses, rows, strict=True)], share=True)

        return Figure(
            mean(written, same), mean(written, other), None if random is None else mean(random, same), meaning
        )

    return TextFigures(
        token_f1=figure(token_f1, "overlap of words, F-measure"),
        rouge_l=figure(rouge_l, "longest common subsequence of words, F-measure"),
        entity_recall=figure(entity_recall, "share of names, numbers, dates, amounts and addresses recovered"),
    )


def reencoded_cosine(
    extractions: Sequence[Extraction],
    texts: Sequence[str],
    vectors: npt.ArrayLike,
    encode: Encode,
    *,
    seed: int = 0,
) -> Figure:
    """Measure the cosine between the encoding of each reconstruction and its vector, both less the mean vector.

    Read it last: a method that searches for this cosine reaches a high one, with or without a true word.

    Args:
        extractions: what was recovered of n documents; those without a text count as 0.
        texts: the n documents; they only decide which other document is the control.
        vectors: the vectors that were attacked [n, d].
        encode: the known encoder.
        seed: seed of the control and the resamples.

    Raises:
        InputError: not one extraction and vector per text.
    """
    extractions, texts = check_extractions(extractions, texts)
    check_callable(encode, "encode", "a function from texts to vectors")
    rows = unit_rows(check_matrix(vectors, "vectors").astype(np.float32))
    check_one_each(len(rows), "vector", len(texts), "document")
    written = [e.text or "" for e in extractions]
    encoded = check_matrix(encode([text or " " for text in written]), "what the encoder returned", width=rows.shape[1])
    mean = rows.mean(axis=0)
    rows, encoded = unit_rows(rows - mean), unit_rows(unit_rows(encoded.astype(np.float32)) - mean)
    encoded = encoded * np.array([[bool(text)] for text in written], np.float32)
    resamples = Resamples(len(texts), seed)
    other = wrong_documents(texts, seed)
    return Figure(
        resamples.mean((encoded * rows).sum(axis=1)),
        resamples.mean((encoded * rows[other]).sum(axis=1)),
        None,
        "cosine between the encoded reconstruction and the vector",
    )


def reidentification(vectors: npt.ArrayLike, candidates: npt.ArrayLike, *, seed: int = 0) -> Reidentification:
    """Measure how well each vector identifies its own document among all of them.

    Args:
        vectors: [n, d] in the known space.
        candidates: true vectors of the same documents [n, d]. Each of equal rows identifies the document.
        seed: seed of the resamples.
    """
    copies = count_copies(check_matrix(candidates, "the candidates").astype(np.float32))
    # Ties share their mean rank; without the copies of a row, its rank is lower by half of their number.
    ranks = match_ranks(vectors, candidates)[0] - (copies - 1) / 2
    n, chance, resamples = len(ranks), Interval(float(copies.mean()) / len(ranks)), Resamples(len(ranks), seed)
    logs = resamples.mean(np.log(ranks))
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (logs.low, logs.high))
    return Reidentification(
        top1=Figure(resamples.mean(ranks < 2), chance, None, "share of documents re-identified"),
        anonymity_set=Figure(
            Interval(float(np.exp(logs.value)), low, high),
            Interval(n * float(np.exp(-1))),
            None,
            f"effective number of documents, of {n}, that one cannot be told apart from",
        ),
    )


def reliability(
    probabilities: npt.NDArray[Any], texts: Sequence[str], vocabulary: Vocabulary, *, bins: int = 10
) -> list[Reliability]:
    """Return how often words predicted with probabilities [n, v] were right, in bins of equal width."""
    check_instance(vocabulary, "vocabulary", Vocabulary, "a Vocabulary")
    probabilities = check_matrix(probabilities, "probabilities", width=len(vocabulary.words), allow_zero_rows=True)
    truth = vocabulary.matrix(texts).toarray() > 0
    check_one_each(len(probabilities), "row", len(truth), "text", which=" of probabilities")
    edges = np.linspace(0, 1, check_count(bins, "bins", minimum=1) + 1)
    rows: list[Reliability] = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        in_bin = np.nonzero((probabilities > low) & (probabilities <= high))
        if len(in_bin[0]):
            right = float(truth[in_bin].mean())
            rows.append(
                Reliability(float(low), float(high), float(probabilities[in_bin].mean()), right, len(in_bin[0]))
            )
    return rows


def wrong_documents(texts: Sequence[str], seed: int) -> list[int]:
    """Return another document of about the same length for each one; equal texts are never each other's control."""
    texts, rng = check_texts(texts, "texts"), np.random.default_rng(check_count(seed, "seed"))
    lengths = np.array([len(tokens(text)) for text in texts])
    order = np.lexsort((rng.random(len(texts)), lengths))
    wrong = np.empty(len(texts), int)
    for position, row in enumerate(order):
        step = next((s for s in range(1, len(texts)) if texts[order[(position + s) % len(texts)]] != texts[row]), 1)
        wrong[row] = order[(position + step) % len(texts)]
    return wrong.tolist()


def token_f1(guess: str, text: str) -> float:
    """Return the F-measure of the words two texts share, each counted as often as it occurs in both."""
    a, b = Counter(tokens(guess)), Counter(tokens(text))
    shared = (a & b).total()
    return 2 * shared / (a.total() + b.total()) if shared else 0.0


def rouge_l(guess: str, text: str) -> float:
    """Return the F-measure of the longest common subsequence of words (Lin 2004, section 3)."""
    a, b = tokens(guess), tokens(text)
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if word == other else max(row[j], row[j - 1])
    return 2 * row[-1] / (len(a) + len(b)) if row[-1] else 0.0


def entity_recall(guess: str, text: str) -> float:
    """Return the share of a text's entities that occur in the guess, whatever their case; NaN without entities."""
    wanted = entities(text)
    words = f" {' '.join(tokens(guess))} "
    return sum(f" {' '.join(tokens(e))} " in words for e in wanted) / len(wanted) if wanted else float("nan")


def _word_sets(texts: Sequence[str], vocabulary: Vocabulary) -> list[set[str]]:
    matrix = vocabulary.matrix(texts)
    words = np.array(vocabulary.words, object)
    return [
        set(words[matrix.indices[start:stop]])
        for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    ]
