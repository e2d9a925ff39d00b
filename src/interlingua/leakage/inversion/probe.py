"""Words without a public corpus: the cosine of a vector with the vectors of single words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, check_texts
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.encoders import Encode
from interlingua.leakage._checks import check_one_each
from interlingua.leakage.centering import subtract_mean
from interlingua.leakage.inversion.extraction import Extraction, Keyword

__all__ = ["WordProbe"]


@dataclass(frozen=True, eq=False)
class WordProbe:
    """The nearest words of a list, by the cosine of centered vectors in the known space.

    It needs the encoder and no texts, so it cannot be calibrated: words are ranked without probabilities (NaN) and none
    is ever asserted. With a public corpus use :class:`KeywordDecoder` instead.

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
    def of(cls, words: Sequence[str], vectors: npt.ArrayLike | Encode) -> WordProbe:
        """Return the probe for words with their vectors [v, d] in the known space, or with the encoder that makes them.

        Raises:
            InputError: not one vector per word, or fewer than two words.
        """
        words = check_texts(words, "words")
        given = vectors(words) if callable(vectors) else vectors
        rows = unit_rows(check_matrix(given, "the words", min_rows=2).astype(np.float32))
        check_one_each(len(words), "word", len(rows), "vector")
        mean = rows.mean(axis=0)
        return cls(tuple(words), unit_rows(rows - mean), mean)

    def scores(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> FloatArray:
        """Return the cosine of every vector with every word [n, v]; rows do not depend on each other.

        Args:
            vectors: [n, d].
            mean: mean of the unit rows of the collection the vectors belong to [d], from
                :func:`~interlingua.leakage.centering.collection_mean`. By default the mean of the words, which fits
                single words: documents lie in another part of the space, and some words are near all of them.

        Raises:
            InputError: another width than the words had.
        """
        return np.asarray(unit_rows(subtract_mean(vectors, mean, self.mean)) @ self.directions.T)

    def invert(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None, limit: int = 20) -> list[Extraction]:
        """Return the ``limit`` nearest words of every vector, the nearest first, without probabilities.

        Args:
            vectors: [n, d].
            mean: as :meth:`scores` takes it.
            limit: words returned.
        """
        limit = check_count(limit, "limit")
        best = np.argsort(-self.scores(vectors, mean=mean), axis=1, kind="stable")[:, :limit]
        return [Extraction(tuple(Keyword(self.words[i], float("nan")) for i in row)) for row in best]
