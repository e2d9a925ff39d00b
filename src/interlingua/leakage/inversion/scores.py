"""Figures of an inversion, each beside the same output held against a wrong document, and a floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.evaluation.bootstrap import Resamples
from interlingua.evaluation.metrics import match_ranks
from interlingua.leakage.inversion.extraction import Extraction
from interlingua.leakage.inversion.words import Vocabulary, entities, tokens

LEVEL = 0.5


@dataclass(frozen=True)
class Figure:
    """A figure and what it has to be compared with.

    Attributes:
        value: against the true documents.
        control: the same output against other documents of about the same length.
        floor: what naming the corpus's most frequent words (or, for texts, a random public text) would reach.
        meaning: one sentence.
    """

    value: Interval
    control: Interval | None
    floor: Interval | None
    meaning: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an interval is [value, low, high]."""
        parts = {"value": self.value, "control": self.control, "floor": self.floor}
        return {name: None if part is None else part.to_list() for name, part in parts.items()} | {
            "meaning": self.meaning
        }


@dataclass(frozen=True)
class Reliability:
    """How often claims of a range of probabilities were right: the range, their mean, the share right, how many."""

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
) -> dict[str, Figure]:
    """Measure claimed words against the true texts.

    Args:
        extractions: what was recovered of n documents.
        texts: the n documents.
        vocabulary: the words that could be claimed, with their frequencies.
        level: probability from which a claim counts as asserted.
        k: words counted for the recall.
        seed: of the control and the resamples.

    Returns:
        ``leak_rate`` (share of documents with a correct asserted word), ``leak_rate_2`` (with two), ``precision`` of
        what was asserted, ``asserted`` words a document, ``recall`` at k, ``idf_recall`` (the same, words weighted by
        their information), ``bits`` (information in the correct asserted words of a document).

    Raises:
        InputError: not one extraction a text.
    """
    _check_counts(extractions, texts)
    other = wrong_documents(texts, seed)
    resamples = Resamples(len(texts), seed)
    truth = _word_sets(texts, vocabulary)
    bits = dict(zip(vocabulary.words, vocabulary.information.tolist(), strict=True))
    asserted = [e.asserted(level) for e in extractions]
    first = [tuple(w.word for w in e.keywords[:k]) for e in extractions]
    # The floor asserts as many words as the method does, always the most frequent ones.
    width = max(1, round(np.mean([len(a) for a in asserted])))
    frequent = [vocabulary.words[:width]] * len(texts)
    common = [vocabulary.words[:k]] * len(texts)

    def right(claims: Sequence[Sequence[str]], rows: Sequence[int]) -> list[list[str]]:
        return [[w for w in c if w in truth[r]] for c, r in zip(claims, rows, strict=True)]

    def leak(claims: Sequence[Sequence[str]], rows: Sequence[int], fewest: int) -> Interval:
        return resamples.mean([len(c) >= fewest for c in right(claims, rows)])

    def precision(claims: Sequence[Sequence[str]], rows: Sequence[int]) -> Interval:
        return resamples.ratio([len(c) for c in right(claims, rows)], [len(c) for c in claims])

    def recall(claims: Sequence[Sequence[str]], rows: Sequence[int], weights: Mapping[str, float] | None) -> Interval:
        def size(words: Any) -> float:
            return float(sum(1 if weights is None else weights[w] for w in words))

        return resamples.mean(
            [size(c) / size(truth[r]) if truth[r] else np.nan for c, r in zip(right(claims, rows), rows, strict=True)]
        )

    same = range(len(texts))
    figures = {
        "leak_rate": Figure(
            leak(asserted, same, 1),
            leak(asserted, other, 1),
            leak(frequent, same, 1),
            f"share of documents with a correct word asserted at p >= {level}",
        ),
        "leak_rate_2": Figure(
            leak(asserted, same, 2),
            leak(asserted, other, 2),
            leak(frequent, same, 2),
            "the same with two right",
        ),
        "precision": Figure(
            precision(asserted, same),
            precision(asserted, other),
            precision(frequent, same),
            f"share of the words asserted at p >= {level} that are right",
        ),
        "recall": Figure(
            recall(first, same, None),
            recall(first, other, None),
            recall(common, same, None),
            f"share of a document's words among the {k} likeliest",
        ),
        "idf_recall": Figure(
            recall(first, same, bits),
            recall(first, other, bits),
            recall(common, same, bits),
            "the same, words weighted by how rare they are",
        ),
        "asserted": Figure(resamples.mean([len(a) for a in asserted]), None, None, "words asserted a document"),
    }
    told = [sum(bits[w] for w in c) for c in right(asserted, same)]
    figures["bits"] = Figure(resamples.mean(told), None, None, "information in the correct words of a document, bits")
    return figures


def score_texts(
    extractions: Sequence[Extraction], texts: Sequence[str], *, floor: Sequence[str] | None = None, seed: int = 0
) -> dict[str, Figure]:
    """Measure reconstructed texts against the true ones; a method that abstained wrote the empty text.

    Args:
        extractions: what was recovered of n documents.
        texts: the n documents.
        floor: public texts; random ones of them are the floor.
        seed: of the control, the floor and the resamples.

    Returns:
        ``token_f1``, ``rouge_l`` (F-measure, Lin 2004), ``entity_recall`` (share of a document's names, numbers, dates,
        amounts and addresses that the reconstruction holds; documents without any are left out).

    Raises:
        InputError: not one extraction a text.
    """
    _check_counts(extractions, texts)
    written = [e.text or "" for e in extractions]
    other = wrong_documents(texts, seed)
    resamples = Resamples(len(texts), seed)
    rng = np.random.default_rng(seed)
    chosen = None if not floor else [floor[i] for i in rng.integers(0, len(floor), len(texts))]
    measures = {
        "token_f1": (token_f1, "overlap of words, F-measure"),
        "rouge_l": (rouge_l, "longest common run of words in order, F-measure"),
        "entity_recall": (entity_recall, "share of names, numbers, dates, amounts and addresses recovered"),
    }

    def mean(measure: Any, guesses: Sequence[str], rows: Sequence[int]) -> Interval:
        return resamples.mean([measure(g, texts[r]) for g, r in zip(guesses, rows, strict=True)])

    same = range(len(texts))
    return {
        name: Figure(
            mean(measure, written, same),
            mean(measure, written, other),
            None if chosen is None else mean(measure, chosen, same),
            meaning,
        )
        for name, (measure, meaning) in measures.items()
    }


def recoded_cosine(
    extractions: Sequence[Extraction],
    texts: Sequence[str],
    vectors: npt.ArrayLike,
    encode: Callable[[list[str]], Any],
    *,
    seed: int = 0,
) -> dict[str, Figure]:
    """Measure how near the encoding of each reconstruction lies to its vector, both less the mean of the vectors.

    The last figure to look at: a method that searches for this cosine finds it, with or without a true word.

    Args:
        extractions: what was recovered of n documents; those without a text count as 0.
        texts: the n documents; they only decide which other document is the control.
        vectors: the vectors that were attacked [n, d].
        encode: the known encoder.
        seed: of the control and the resamples.

    Raises:
        InputError: not one extraction and vector a text.
    """
    _check_counts(extractions, texts)
    rows = unit_rows(check_matrix(vectors, "vectors").astype(np.float32))
    if len(rows) != len(texts):
        raise InputError(f"There are {len(rows)} vectors for {len(texts)} documents; one each is needed.")
    written = [e.text or "" for e in extractions]
    again = check_matrix(encode([text or " " for text in written]), "what the encoder returned", width=rows.shape[1])
    mean = rows.mean(axis=0)
    rows, again = unit_rows(rows - mean), unit_rows(unit_rows(again.astype(np.float32)) - mean)
    again = again * np.array([[bool(text)] for text in written], np.float32)
    resamples = Resamples(len(texts), seed)
    other = wrong_documents(texts, seed)
    return {
        "recoded_cosine": Figure(
            resamples.mean((again * rows).sum(axis=1).tolist()),
            resamples.mean((again * rows[other]).sum(axis=1).tolist()),
            None,
            "cosine between the encoded reconstruction and the vector",
        )
    }


def reidentification(vectors: npt.ArrayLike, candidates: npt.ArrayLike, *, seed: int = 0) -> dict[str, Figure]:
    """Measure how well each vector singles out its document among all of them.

    Args:
        vectors: [n, d] in the known space.
        candidates: true vectors of the same documents [n, d].
        seed: of the resamples.

    Returns:
        ``top1``, and ``anonymity_set``: the exponential of the mean log rank, the effective number of documents that
        one cannot be told from; 1 is none, n / e is chance.
    """
    ranks, _ = match_ranks(vectors, candidates)
    resamples = Resamples(len(ranks), seed)
    chance = len(ranks) * np.exp(-1)
    logs = resamples.mean(np.log(ranks))
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (logs.low, logs.high))
    return {
        "top1": Figure(resamples.mean(ranks < 2), Interval(1 / len(ranks)), None, "share of documents singled out"),
        "anonymity_set": Figure(
            Interval(float(np.exp(logs.value)), low, high),
            Interval(float(chance)),
            None,
            f"documents, of {len(ranks)}, that one cannot be told from",
        ),
    }


def reliability(
    probabilities: npt.NDArray[Any], texts: Sequence[str], vocabulary: Vocabulary, *, bins: int = 10
) -> list[Reliability]:
    """Return how often words [n, v] claimed with a probability were right, in bins of equal width."""
    truth = vocabulary.matrix(texts).toarray() > 0
    edges = np.linspace(0, 1, bins + 1)
    rows: list[Reliability] = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        at = np.nonzero((probabilities > low) & (probabilities <= high))
        if len(at[0]):
            right = float(truth[at].mean())
            rows.append(Reliability(float(low), float(high), float(probabilities[at].mean()), right, len(at[0])))
    return rows


def wrong_documents(texts: Sequence[str], seed: int) -> list[int]:
    """Return another document of about the same length for each one; equal texts are never each other's control."""
    rng = np.random.default_rng(seed)
    lengths = np.array([len(tokens(text)) for text in texts])
    order = np.lexsort((rng.random(len(texts)), lengths))
    wrong = np.empty(len(texts), int)
    for place, row in enumerate(order):
        step = next((s for s in range(1, len(texts)) if texts[order[(place + s) % len(texts)]] != texts[row]), 1)
        wrong[row] = order[(place + step) % len(texts)]
    return wrong.tolist()


def token_f1(guess: str, text: str) -> float:
    """Return the F-measure of the words two texts share, each counted as often as it stands there."""
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
    """Return the share of a text's entities that stand in the guess, whatever their case; NaN without entities."""
    wanted = entities(text)
    held = f" {' '.join(tokens(guess))} "
    return sum(f" {' '.join(tokens(e))} " in held for e in wanted) / len(wanted) if wanted else float("nan")


def _word_sets(texts: Sequence[str], vocabulary: Vocabulary) -> list[set[str]]:
    matrix = vocabulary.matrix(texts)
    words = np.array(vocabulary.words, object)
    return [
        set(words[matrix.indices[start:stop]])
        for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    ]


def _check_counts(extractions: Sequence[Extraction], texts: Sequence[str]) -> None:
    if len(extractions) != len(texts) or not texts:
        raise InputError(f"There are {len(extractions)} extractions for {len(texts)} texts; one each is needed.")
