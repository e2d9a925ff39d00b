"""The keyword decoder: the words of a document from its vector, with calibrated probabilities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_callable, check_count, check_flag, check_instance, check_texts
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import VectorMap
from interlingua.core.statistics import agreement
from interlingua.core.wording import count_of
from interlingua.leakage._checks import check_corpus
from interlingua.leakage.centering import collection_mean, subtract_mean
from interlingua.leakage.inversion._files import read_decoder, write_decoder
from interlingua.leakage.inversion.extraction import Extraction, Keyword
from interlingua.leakage.inversion.words import Vocabulary

__all__ = ["MIN_TEXTS", "KeywordDecoder", "held_out_rows", "most_probable"]

MIN_TEXTS = 50
_BATCH = 256
_RATE = 0.003
# exp of it fits in float32, and the probability of its negative is 0.
_LARGEST_LOGIT = np.float32(80)
_HELD_OUT = 0.2
# Only the most probable words of a document are calibrated.
_CALIBRATED_WORDS = 60
_FORMAT = "interlingua-keywords-1"
_TENSORS = ("mean", "weights", "bias", "calibration_logits", "calibration_rates")


@dataclass(frozen=True, eq=False)
class KeywordDecoder:
    """A linear model from vectors of the known space to words (Song and Raghunathan, CCS 2020, section 4.2).

    Attributes:
        vocabulary: the v words that can be predicted.
        mean: [d], subtracted from unit rows.
        weights: [d, v].
        bias: [v].
        calibration_logits: [c], ascending.
        calibration_rates: [c], share of correct predictions at each logit on held-out documents.
        translation_cosine: mean centered cosine between the vectors used for calibration and the true vectors; 1 if the
            calibration used true vectors.
        calibrated_with: ``corpus``, the true vectors; ``paired`` or ``unpaired``, translations of a stand-in by a map
            that was fitted with or without pairs; or ``given``, the vectors given to :meth:`recalibrate`.
    """

    vocabulary: Vocabulary
    mean: FloatArray
    weights: FloatArray
    bias: FloatArray
    calibration_logits: FloatArray
    calibration_rates: FloatArray
    translation_cosine: float = 1.0
    calibrated_with: str = "corpus"
    name: str = "keywords"

    @classmethod
    def fit(
        cls,
        vectors: npt.ArrayLike,
        texts: Sequence[str],
        *,
        stand_in: npt.ArrayLike | None = None,
        stand_in_map: VectorMap | None = None,
        vocabulary: Vocabulary | None = None,
        identifiers: bool = False,
        epochs: int = 12,
        seed: int = 0,
    ) -> KeywordDecoder:
        """Train on four fifths of a public corpus and calibrate on the other fifth.

        Args:
            vectors: the corpus in the known space [n, d].
            texts: the n texts of the corpus.
            stand_in: the same n texts under any other encoder [n, e]. Translations deviate from the true vectors, so
                probabilities calibrated on true vectors are too high for them. By how much cannot be known without
                pairs of the victim's encoder. A stand-in replaces it: the held-out fifth is translated from the
                stand-in's space, and the calibration uses these translations. See
                :mod:`interlingua.leakage.calibration` for the errors that remain.
            stand_in_map: map from the space of the stand-in to the known space, best from a fit without pairs, which
                errs like the attack; by default orthogonal Procrustes on the pairs of the training texts, which errs
                less.
            vocabulary: words to predict; by default the most frequent content words of the corpus.
            identifiers: without a vocabulary, predict e-mail addresses and numbers too.
            epochs: passes over the corpus.
            seed: seed of the split and of the order of the rows.

        Raises:
            InputError: not one text per vector, or too few of them.
        """
        rows, texts = check_corpus(vectors, texts, min_rows=MIN_TEXTS)
        epochs, seed = check_count(epochs, "epochs", minimum=1), check_count(seed, "seed")
        identifiers = check_flag(identifiers, "identifiers")
        check_instance(vocabulary, "vocabulary", (Vocabulary, type(None)), "a Vocabulary")
        if stand_in_map is not None:
            check_callable(stand_in_map, "stand_in_map", "a map of vectors, as the forward map of a fit is,")
        rng = np.random.default_rng(seed)
        held_out, train = _split(rng, len(rows))
        # The held-out texts must not select the words, or their frequencies would be biased.
        vocabulary = vocabulary or Vocabulary.of([texts[i] for i in train], identifiers=identifiers)
        truth = vocabulary.matrix(texts)
        mean = rows[train].mean(axis=0)
        weights, bias = _train(rows[train] - mean, truth[train], vocabulary, epochs, rng)
        sample, cosine, basis = rows[held_out], 1.0, "corpus"
        if stand_in is not None:
            sample, cosine = _stand_in(stand_in, stand_in_map, rows, train, held_out)
            basis = "paired" if stand_in_map is None else "unpaired"
        empty = np.zeros(0, np.float32)
        fitted = cls(vocabulary, mean, weights, bias, empty, empty, cosine, basis)
        return fitted._calibrated(sample, truth[held_out])

    def recalibrate(self, vectors: npt.ArrayLike, texts: Sequence[str]) -> KeywordDecoder:
        """Return the same decoder with probabilities that are calibrated on other vectors.

        Args:
            vectors: what an attack recovers of public texts in the known space [n, d], such as the translations of
                vectors with noise. The texts must not be those of the training; see :func:`held_out_rows`.
            texts: the n texts.

        Raises:
            InputError: not one text per vector, too few of them, or another width than the corpus had.
        """
        rows, texts = check_corpus(vectors, texts, min_rows=10)
        rows = check_matrix(rows, "vectors", width=len(self.mean))
        return replace(self._calibrated(rows, self.vocabulary.matrix(texts)), calibrated_with="given")

    def _calibrated(self, sample: FloatArray, truth: Any) -> KeywordDecoder:
        # Centered by its own mean, like a collection under attack.
        logits = _logits(subtract_mean(sample, collection_mean(sample), self.mean), self.weights, self.bias)
        calibration_logits, calibration_rates = _calibrate(logits, truth)
        return replace(self, calibration_logits=calibration_logits, calibration_rates=calibration_rates)

    def probabilities(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> FloatArray:
        """Return the probability of every word in every document [n, v]; arguments as `Inverter.invert` takes them.

        Raises:
            InputError: another width than the corpus had.
        """
        logits = _logits(subtract_mean(vectors, mean, self.mean), self.weights, self.bias)
        return np.asarray(np.interp(logits, self.calibration_logits, self.calibration_rates), np.float32)

    def invert(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> list[Extraction]:
        """Return the most probable words of every vector [n, d]; arguments as `Inverter.invert` takes them."""
        return most_probable(self.probabilities(vectors, mean=mean), self.vocabulary.words)

    def save(self, path: str | Path) -> Path:
        """Write the decoder as one .safetensors file and return its path."""
        tensors = {name: np.ascontiguousarray(getattr(self, name), np.float32) for name in _TENSORS}
        values = {
            "words": json.dumps(self.vocabulary.words),
            "translation_cosine": str(self.translation_cosine),
            "calibrated_with": self.calibrated_with,
        }
        return write_decoder(path, _FORMAT, {**tensors, "shares": self.vocabulary.shares}, values)

    @classmethod
    def load(cls, path: str | Path) -> KeywordDecoder:
        """Read a decoder.

        Raises:
            InputError: the file is not a keyword decoder.
        """
        needed = {*_TENSORS, "shares"}
        values, tensors = read_decoder(path, _FORMAT, needed, title="keyword decoder", writer="KeywordDecoder.save")
        vocabulary = Vocabulary(tuple(json.loads(values["words"])), tensors["shares"])
        parts = {name: tensors[name] for name in _TENSORS}
        return cls(
            vocabulary,
            **parts,
            translation_cosine=float(values["translation_cosine"]),
            calibrated_with=values.get("calibrated_with", "corpus"),
        )


def most_probable(probabilities: FloatArray, words: Sequence[str], limit: int = 20) -> list[Extraction]:
    """Return the ``limit`` most probable words of every row [n, v]."""
    words = check_texts(words, "words")
    probabilities = check_matrix(probabilities, "probabilities", width=len(words), allow_zero_rows=True)
    limit = min(check_count(limit, "limit"), len(words))
    if not limit:
        return [Extraction()] * len(probabilities)
    # Only the best are sorted: a vocabulary has thousands of words.
    least = np.partition(probabilities, len(words) - limit, axis=1)[:, len(words) - limit]
    extractions = []
    for p, lowest in zip(probabilities, least, strict=True):
        above, equal = np.flatnonzero(p > lowest), np.flatnonzero(p == lowest)
        columns = np.sort(np.concatenate([above, equal[: limit - len(above)]]))
        columns = columns[np.argsort(-p[columns], kind="stable")]
        extractions.append(Extraction(tuple(Keyword(words[i], float(p[i])) for i in columns)))
    return extractions


def held_out_rows(n: int, seed: int = 0) -> IntArray:
    """Return which of the n texts of a corpus a decoder with this seed was not trained on; it is calibrated on them."""
    return _split(np.random.default_rng(check_count(seed, "seed")), check_count(n, "n", minimum=2))[0]


def _split(rng: np.random.Generator, n: int) -> tuple[IntArray, IntArray]:
    """Return the rows that are held out and those of the training."""
    held_out, train = np.split(rng.permutation(n), [int(_HELD_OUT * n)])
    return held_out, train


def _stand_in(
    vectors: npt.ArrayLike, translate: VectorMap | None, rows: FloatArray, train: IntArray, held_out: IntArray
) -> tuple[FloatArray, float]:
    """Return the held-out rows translated from another encoder, and their mean centered cosine with the true ones."""
    from scipy.linalg import orthogonal_procrustes

    other = unit_rows(check_matrix(vectors, "the stand-in", min_rows=len(rows)).astype(np.float32))
    if len(other) != len(rows):
        raise InputError(
            f"The stand-in has {count_of(len(other))} and the corpus {len(rows):,}; one per text is needed."
        )
    true = rows[held_out] - rows[train].mean(axis=0)
    if translate is not None:
        mapped = check_matrix(translate(other[held_out]), "what stand_in_map returned", width=rows.shape[1])
        translated = unit_rows(mapped.astype(np.float32))
        return translated, agreement(translated - translated.mean(axis=0), true)
    width = max(other.shape[1], rows.shape[1])
    x, y = (np.pad(z - z[train].mean(axis=0), ((0, 0), (0, width - z.shape[1]))) for z in (other, rows))
    rotation, _ = orthogonal_procrustes(x[train], y[train])
    translated = unit_rows((x[held_out] @ rotation)[:, : rows.shape[1]].astype(np.float32))
    return rows[train].mean(axis=0) + translated, agreement(translated, true)


def _logits(centered: FloatArray, weights: FloatArray, bias: FloatArray) -> FloatArray:
    return np.asarray(_scaled(centered) @ weights + bias)


def _scaled(centered: FloatArray) -> FloatArray:
    return np.asarray(unit_rows(centered) * np.sqrt(centered.shape[1]), np.float32)


def _train(
    centered: FloatArray, truth: Any, vocabulary: Vocabulary, epochs: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return weights [d, v] and bias [v] of v logistic regressions, by mini-batch Adam (Kingma and Ba 2015)."""
    x = _scaled(centered)
    shares = np.clip(vocabulary.shares, 1e-6, 0.5)
    # The bias is the last row of the weights, so that one update covers both.
    weights = np.zeros((x.shape[1] + 1, len(shares)), np.float32)
    weights[-1] = np.log(shares / (1 - shares))
    first, second, update = np.zeros_like(weights), np.zeros_like(weights), np.empty_like(weights)
    x = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)
    steps = epochs * -(-len(x) // _BATCH)
    step = 0
    # In place: with thousands of words the arrays are large, and temporary ones take most of the time.
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), _BATCH):
            rows = order[start : start + _BATCH]
            step += 1
            residual = x[rows] @ weights
            np.negative(residual, out=residual)
            np.exp(np.minimum(residual, _LARGEST_LOGIT, out=residual), out=residual)
            residual += 1
            np.reciprocal(residual, out=residual)
            residual -= truth[rows].toarray()
            gradient = x[rows].T @ residual
            gradient /= np.float32(len(rows))
            np.subtract(gradient, first, out=update)
            update *= np.float32(0.1)
            first += update
            np.square(gradient, out=update)
            update -= second
            update *= np.float32(0.01)
            second += update
            rate = _RATE * (1 - step / (steps + 1))
            np.divide(second, np.float32(1 - 0.99**step), out=update)
            np.sqrt(update, out=update)
            update += np.float32(1e-6)
            np.divide(first, update, out=update)
            update *= np.float32(rate / (1 - 0.9**step))
            weights -= update
    return weights[:-1], weights[-1]


def _calibrate(logits: FloatArray, truth: Any) -> tuple[FloatArray, FloatArray]:
    """Return logits and the share of correct predictions at them, by isotonic regression on the most probable words."""
    from sklearn.isotonic import IsotonicRegression

    limit = min(_CALIBRATED_WORDS, logits.shape[1])
    best = np.argpartition(-logits, limit - 1, axis=1)[:, :limit]
    rows = np.arange(len(logits))[:, None]
    right = np.asarray(truth[rows, best].todense())
    # Words below the most probable ones are almost never right; they get the rate of the lowest logit.
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(logits[rows, best].ravel(), right.ravel())
    return np.asarray(fitted.X_thresholds_, np.float32), np.asarray(fitted.y_thresholds_, np.float32)
