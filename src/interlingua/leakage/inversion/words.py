"""The words of texts: which there are, how rare they are, and which name something."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.errors import InputError

# A word starts with a letter and has at least two characters; single letters and numbers say little.
_WORD = r"(?u)\b[^\W\d_]\w+\b"
_TOKEN = re.compile(r"\w+")
_ENTITY = re.compile(
    r"""
    [\w.+-]+@[\w-]+\.[\w.]+                          # address
    | https?://\S+                                   # link
    | [$€£]\s?\d[\d.,]*\d                            # amount
    | \b\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b            # date
    | \b\d[\d.,:]*\d\b                               # number of two digits or more
    | (?<![.!?]\s)(?<!^)\b[A-Z][\w'’-]+(?:\s[A-Z][\w'’-]+)*   # name: capitals inside a sentence
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words that can be recovered, the most frequent first.

    Attributes:
        words: v words in lower case.
        shares: [v], share of the corpus's documents that hold the word.
    """

    words: tuple[str, ...]
    shares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, texts: Sequence[str], *, size: int = 8_000, fewest: int = 5, most: float = 0.03) -> Vocabulary:
        """Return the most frequent content words of a corpus.

        Args:
            texts: n documents.
            size: most words taken.
            fewest: documents that a word must be in.
            most: share of the documents that it may be in; naming what half of a corpus says gives nothing away.

        Raises:
            InputError: no word is in so many documents and no more.
        """
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(token_pattern=_WORD, stop_words="english", binary=True, min_df=fewest)
        # A few documents in a hundred are none in a small corpus: what is frequent enough is never too frequent.
        counter.set_params(max_df=max(fewest, int(most * len(texts))))
        try:
            found = counter.fit_transform(texts)
        except ValueError as error:
            raise InputError(
                f"No content word is in {fewest} of the {len(texts)} texts; a corpus of more or longer texts is needed."
            ) from error
        shares = np.asarray(found.mean(axis=0), np.float64).ravel()
        order = np.argsort(-shares, kind="stable")[:size]
        names = counter.get_feature_names_out()
        return cls(tuple(names[order].tolist()), shares[order])

    @property
    def information(self) -> npt.NDArray[np.float64]:
        """Bits that the presence of each word tells, ``-log2(share)`` [v]."""
        return -np.log2(self.shares)

    def matrix(self, texts: Sequence[str]) -> Any:
        """Return which words are in which text, a sparse matrix [n, v] of 0 and 1."""
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(token_pattern=_WORD, vocabulary=list(self.words), binary=True, dtype=np.float32)
        return counter.fit_transform(texts)


def tokens(text: str) -> list[str]:
    """Return all words and numbers of a text in order and in lower case."""
    return _TOKEN.findall(text.lower())


def entities(text: str) -> set[str]:
    """Return names, addresses, links, amounts, dates and numbers in a text, in lower case.

    By form alone: a capital inside a sentence makes a name, so that a text without capitals has none.
    """
    return {found.group().lower() for found in _ENTITY.finditer(text.strip())}
