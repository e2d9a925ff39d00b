"""Words without a corpus: the cosine of a vector with the vectors of single words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.errors import InputError
from interlingua.leakage.inversion.extraction import Extraction, Keyword

_OWN_MEAN = 50


@dataclass(frozen=True, eq=False)
class WordProbe:
    """The nearest words of a list, by the cosine of centered vectors in the known space.

    It needs the encoder and no text, and so has nothing to be calibrated with: its words come in an order and without
    probabilities (NaN), and none is ever asserted. Where there is a public corpus, `KeywordDecoder` is the one to use.

    Attributes:
        words: v words.
        directions: their vectors, unit rows around their mean [v, d].
        mean: [d], of the unit word vectors.
    """

    words: tuple[str, ...]
    directions: FloatArray
    mean: FloatArray
    name: str = "word probe"

    @classmethod
    def of(cls, words: Sequence[str], vectors: npt.ArrayLike | Callable[[list[str]], Any]) -> WordProbe:
        """Make it from words and their vectors [v, d] in the known space, or the encoder that makes them.

        Raises:
            InputError: not one vector a word, or fewer than two words.
        """
        given = vectors(list(words)) if callable(vectors) else vectors
        rows = unit_rows(check_matrix(given, "the words", min_rows=2).astype(np.float32))
        if len(rows) != len(words):
            raise InputError(f"There are {len(words)} words and {len(rows)} vectors; one each is needed.")
        mean = rows.mean(axis=0)
        return cls(tuple(words), unit_rows(rows - mean), mean)

    def scores(self, vectors: npt.ArrayLike) -> FloatArray:
        """Return the cosine of every vector with every word [n, v].

        From 50 vectors on they are centered by their own mean, and each word's scores by their own: documents lie in
        another corner of the space than words, and some words are near everything.
        """
        rows = unit_rows(check_matrix(vectors, "vectors", width=len(self.mean)).astype(np.float32))
        many = len(rows) >= _OWN_MEAN
        found = unit_rows(rows - (rows.mean(axis=0) if many else self.mean)) @ self.directions.T
        return np.asarray(found - found.mean(axis=0) if many else found)

    def invert(self, vectors: npt.ArrayLike, limit: int = 20) -> list[Extraction]:
        """Return the ``limit`` nearest words of every vector [n, d], the nearest first, without probabilities."""
        best = np.argsort(-self.scores(vectors), axis=1, kind="stable")[:, :limit]
        return [Extraction(tuple(Keyword(self.words[i], float("nan")) for i in row)) for row in best]
