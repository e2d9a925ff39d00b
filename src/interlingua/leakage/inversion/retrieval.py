"""Retrieval: the texts of a public corpus nearest to a vector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt

from interlingua.core.arguments import check_count
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.core.wording import count_of
from interlingua.leakage._checks import check_corpus
from interlingua.leakage.centering import subtract_mean
from interlingua.leakage.inversion.extraction import Extraction, Neighbor

__all__ = ["CorpusRetrieval"]


@dataclass(frozen=True, eq=False)
class CorpusRetrieval:
    """Nearest texts of a public corpus, by the cosine of centered rows.

    Attributes:
        base: the corpus, unit rows less their mean [n, d].
        mean: [d].
        texts: n texts.
        k: number of neighbors returned.
    """

    base: FloatArray
    mean: FloatArray
    texts: Sequence[str]
    k: int = 5
    name: str = "retrieval"

    @classmethod
    def of(cls, vectors: npt.ArrayLike, texts: Sequence[str], *, k: int = 5) -> CorpusRetrieval:
        """Return the retrieval for a corpus in the known space [n, d] with its texts.

        Raises:
            InputError: not one text per vector, or k outside 1 to n.
        """
        rows, texts = check_corpus(vectors, texts)
        k = check_count(k, "k", minimum=1)
        if k > len(rows):
            raise InputError(
                f"k is {k} and the corpus has {count_of(len(rows))}; a k of at most {len(rows)} is needed."
            )
        mean = rows.mean(axis=0)
        return cls(unit_rows(rows - mean), mean, texts, k)

    def invert(self, vectors: npt.ArrayLike, *, mean: npt.ArrayLike | None = None) -> list[Extraction]:
        """Return the k nearest texts of every vector, and the nearest one as the reconstruction.

        Arguments as `Inverter.invert` takes them.

        Raises:
            InputError: another width than the corpus had.
        """
        rows = subtract_mean(vectors, mean, self.mean)
        indices, cosines = nearest(rows, self.base, self.k)
        extractions = []
        for columns, values in zip(indices.tolist(), cosines.tolist(), strict=True):
            near = tuple(Neighbor(i, c, self.texts[i]) for i, c in zip(columns, values, strict=True))
            extractions.append(Extraction(neighbors=near, text=near[0].text))
        return extractions
