"""Result and protocol of inversion methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy.typing as npt

from interlingua.core.arguments import check_count, check_number, check_texts
from interlingua.core.errors import InputError
from interlingua.leakage._checks import check_members, check_one_each, there_are

__all__ = ["Extraction", "Inverter", "Keyword", "Neighbor", "check_extractions"]


@dataclass(frozen=True)
class Keyword:
    """A word predicted to occur in a document, with its probability."""

    word: str
    p: float


@dataclass(frozen=True)
class Neighbor:
    """A text of a public corpus near a vector, with its row and its cosine."""

    row: int
    cosine: float
    text: str


@dataclass(frozen=True)
class Extraction:
    """What was recovered of one document.

    Attributes:
        keywords: words, the most probable first; empty for methods that recover none.
        neighbors: public texts, the nearest first.
        text: a reconstruction; only its words among `keywords` are supported by evidence.
        cosine: cosine of the re-encoded text with the vector, where the method has an encoder.
    """

    keywords: tuple[Keyword, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()
    text: str | None = None
    cosine: float | None = None

    def asserted(self, level: float = 0.5) -> tuple[str, ...]:
        """Return the words predicted with at least this probability; without any the method abstains."""
        level = check_number(level, "level")
        return tuple(keyword.word for keyword in self.keywords if keyword.p >= level)


class Inverter(Protocol):
    """A method that recovers words or texts from vectors of the known space."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def invert(self, vectors: npt.ArrayLike, /, *, mean: npt.ArrayLike | None = None) -> list[Extraction]:
        """Return what is recovered from every vector [n, d]; rows do not depend on each other.

        Args:
            vectors: [n, d].
            mean: mean of the unit rows of the collection the vectors belong to [d], from
                :func:`~interlingua.leakage.centering.collection_mean`. By default the mean of the corpus, which is
                right for vectors of the known space and wrong for translations.

        Raises:
            InputError: another width than the method was fitted on.
        """


def check_extractions(
    extractions: Sequence[Extraction], texts: Sequence[str], minimum: int = 1
) -> tuple[list[Extraction], list[str]]:
    """Return extractions and texts as lists, after checking that there is one of each for every document.

    Raises:
        InputError: not one extraction per text, or fewer than ``minimum`` texts.
    """
    extractions = check_members(extractions, "extractions", Extraction, "extractions, as invert returns them,")
    texts = check_texts(texts, "texts")
    check_one_each(len(extractions), "extraction", len(texts), "text")
    if len(texts) < check_count(minimum, "minimum"):
        raise InputError(f"{there_are(len(texts), 'text')}; at least {minimum:,} are needed.")
    return extractions, texts
