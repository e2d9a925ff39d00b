"""The keyword decoder: which words a vector was made of, with probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, IntArray, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.leakage.centering import collection_mean, subtract_mean
from interlingua.leakage.inversion.extraction import Extraction, Keyword
from interlingua.leakage.inversion.words import Vocabulary

_BATCH = 256
_RATE = 0.003
_HELD_OUT = 0.2
# Words of a document whose probability is calibrated; below them are thousands that nobody would claim.
_CLAIMS = 60


@dataclass(frozen=True, eq=False)
class KeywordDecoder:
    """A linear model from vectors of the known space to words (Song and Raghunathan, CCS 2020, section 4.2).

    Attributes:
        vocabulary: the v words it knows; no others can come out.
        mean: [d], subtracted from unit rows.
        weights: [d, v].
        bias: [v].
        levels: [c], logits of the calibration, ascending.
        chances: [c], how often a claim at that logit was right on held-out documents.
        faithfulness: the centered cosine that vectors in the calibration had with the true ones; 1 for true vectors.
    """

    vocabulary: Vocabulary
    mean: FloatArray
    weights: FloatArray
    bias: FloatArray
    levels: FloatArray
    chances: FloatArray
    faithfulness: float = 1.0
    name: str = "keywords"

    @classmethod
    def fit(
        cls,
        vectors: npt.ArrayLike,
        texts: Sequence[str],
        *,
        stand_in: npt.ArrayLike | None = None,
        vocabulary: Vocabulary | None = None,
        epochs: int = 12,
        seed: int = 0,
    ) -> KeywordDecoder:
        """Train on a public corpus, and calibrate on a fifth of it that was left out.

        Args:
            vectors: the corpus in the known space [n, d].
            texts: its n texts.
            stand_in: the same n texts under any other encoder [n, e]. Translations are further from the truth than
                the corpus is, which makes probabilities calibrated on the corpus itself too high, and how far cannot
                be known without pairs of the victim. Pairs of two public encoders show what such an error looks like:
                the held-out fifth is translated from the stand-in and the calibration sees that.
            vocabulary: the words; by default the most frequent of the corpus.
            epochs: passes over the corpus.
            seed: of the split, the order and the noise.

        Raises:
            InputError: not one text a vector, or too few of them.
        """
        rows = unit_rows(check_matrix(vectors, "the corpus", min_rows=50).astype(np.float32))
        if len(texts) != len(rows):
            raise InputError(f"The corpus has {len(rows)} vectors and {len(texts)} texts; one each is needed.")
        rng = np.random.default_rng(seed)
        held, taught = np.split(rng.permutation(len(rows)), [int(_HELD_OUT * len(rows))])
        # Words chosen for being frequent in the held-out texts too would be more frequent there than elsewhere.
        vocabulary = vocabulary or Vocabulary.of([texts[i] for i in taught])
        truth = vocabulary.matrix(texts)
        mean = rows[taught].mean(axis=0)
        weights, bias = _train(rows[taught] - mean, truth[taught], vocabulary, epochs, rng)
        seen, cosine = (rows[held], 1.0) if stand_in is None else _stand_in(stand_in, rows, taught, held)
        # Centered by its own mean, as a collection that is attacked will be.
        logits = _logits(subtract_mean(seen, collection_mean(seen), mean), weights, bias)
        levels, chances = _calibrate(logits, truth[held])
        return cls(vocabulary, mean, weights, bias, levels, chances, cosine)

    def probabilities(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> FloatArray:
        """Return the probability of every word in every document [n, v]; rows do not depend on each other.

        Args:
            vectors: [n, d].
            mean: mean of the unit rows of the collection the vectors belong to [d], from
                :func:`~interlingua.leakage.centering.collection_mean`. By default the mean of the corpus, which is
                right for vectors of the known space and wrong for translations.

        Raises:
            InputError: another width than the corpus had.
        """
        logits = _logits(subtract_mean(vectors, mean, self.mean), self.weights, self.bias)
        return np.asarray(np.interp(logits, self.levels, self.chances), np.float32)

    def invert(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> list[Extraction]:
        """Return the most probable words of every vector [n, d]; arguments as :meth:`probabilities` takes them."""
        return claims(self.probabilities(vectors, mean=mean), self.vocabulary.words)


def claims(probabilities: FloatArray, words: Sequence[str], limit: int = 20) -> list[Extraction]:
    """Return the ``limit`` most probable words of every row [n, v]."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :limit]
    return [
        Extraction(tuple(Keyword(words[i], float(p[i])) for i in columns))
        for p, columns in zip(probabilities, best, strict=True)
    ]


def _stand_in(vectors: npt.ArrayLike, rows: FloatArray, taught: IntArray, held: IntArray) -> tuple[FloatArray, float]:
    """Return the held-out rows translated from another encoder, and their mean centered cosine with the true ones."""
    from scipy.linalg import orthogonal_procrustes

    other = unit_rows(check_matrix(vectors, "stand_in", min_rows=len(rows)).astype(np.float32))
    if len(other) != len(rows):
        raise InputError(f"stand_in has {len(other)} rows and the corpus {len(rows)}; one a text is needed.")
    width = max(other.shape[1], rows.shape[1])
    x, y = (np.pad(z - z[taught].mean(axis=0), ((0, 0), (0, width - z.shape[1]))) for z in (other, rows))
    rotation, _ = orthogonal_procrustes(x[taught], y[taught])
    translated = unit_rows((x[held] @ rotation)[:, : rows.shape[1]].astype(np.float32))
    true = rows[held] - rows[taught].mean(axis=0)
    cosine = float((translated * unit_rows(true)).sum(axis=1).mean(dtype=np.float64))
    return rows[taught].mean(axis=0) + translated, cosine


def _logits(centered: FloatArray, weights: FloatArray, bias: FloatArray) -> FloatArray:
    return np.asarray(_scaled(centered) @ weights + bias)


def _scaled(centered: FloatArray) -> FloatArray:
    return np.asarray(unit_rows(centered) * np.sqrt(centered.shape[1]), np.float32)


def _train(
    centered: FloatArray, truth: Any, vocabulary: Vocabulary, epochs: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return weights [d, v] and bias [v] of independent logistic regressions, by Adam (Kingma and Ba, 2015)."""
    x = _scaled(centered)
    shares = np.clip(vocabulary.shares, 1e-6, 0.5)
    # One matrix with the bias as its last row, so that one step moves both.
    weights = np.zeros((x.shape[1] + 1, len(shares)), np.float32)
    weights[-1] = np.log(shares / (1 - shares))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    x = np.concatenate([x, np.ones((len(x), 1), np.float32)], axis=1)
    steps = epochs * -(-len(x) // _BATCH)
    step = 0
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), _BATCH):
            rows = order[start : start + _BATCH]
            step += 1
            excess = _sigmoid(x[rows] @ weights)
            excess -= truth[rows].toarray()
            gradient = x[rows].T @ excess / np.float32(len(rows))
            first += 0.1 * (gradient - first)
            second += 0.01 * (gradient**2 - second)
            rate = _RATE * (1 - step / (steps + 1))
            weights -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-6)
    return weights[:-1], weights[-1]


def _sigmoid(x: FloatArray) -> FloatArray:
    from scipy.special import expit

    return np.asarray(expit(x), np.float32)


def _calibrate(logits: FloatArray, truth: Any) -> tuple[FloatArray, FloatArray]:
    """Return logits and how often a claim at them is right, by isotonic regression over likely words."""
    from sklearn.isotonic import IsotonicRegression

    limit = min(_CLAIMS, logits.shape[1])
    best = np.argpartition(-logits, limit - 1, axis=1)[:, :limit]
    rows = np.arange(len(logits))[:, None]
    right = np.asarray(truth[rows, best].todense())
    # What is not among the likeliest is right about never; the lowest logit stands for all of it.
    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(logits[rows, best].ravel(), right.ravel())
    return np.asarray(fitted.X_thresholds_, np.float32), np.asarray(fitted.y_thresholds_, np.float32)
