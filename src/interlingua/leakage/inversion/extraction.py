"""What an inversion method returns, and the protocol that all of them follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy.typing as npt


@dataclass(frozen=True)
class Keyword:
    """A word claimed to be in a document, with the probability that it is."""

    word: str
    p: float


@dataclass(frozen=True)
class Neighbor:
    """A text of a public corpus near a vector: its row, its cosine, and the text."""

    row: int
    cosine: float
    text: str


@dataclass(frozen=True)
class Extraction:
    """What was recovered of one document.

    Attributes:
        keywords: words, the most probable first; empty for methods that recover none.
        neighbors: public texts, the nearest first.
        text: a reconstruction; a guess in which only words among `keywords` have evidence.
        cosine: cosine of the re-encoded text with the vector, where the method has an encoder.
    """

    keywords: tuple[Keyword, ...] = ()
    neighbors: tuple[Neighbor, ...] = ()
    text: str | None = None
    cosine: float | None = None

    def asserted(self, level: float = 0.5) -> tuple[str, ...]:
        """Return the words claimed with at least this probability; none means that the method abstains."""
        return tuple(keyword.word for keyword in self.keywords if keyword.p >= level)


class Inverter(Protocol):
    """A way back from vectors of the known space to text."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def invert(self, vectors: npt.ArrayLike, /, *, mean: npt.ArrayLike | None = None) -> list[Extraction]:
        """Return what every vector [n, d] gives away; rows do not depend on each other.

        ``mean`` [d] is the mean of the unit rows of the collection that the vectors belong to.

        Raises:
            InputError: another width than the method was made for.
        """
