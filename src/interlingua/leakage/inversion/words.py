"""Vocabularies, tokens and named entities of texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, check_flag, check_number, check_text, check_texts
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.leakage._checks import check_one_each, check_vector

__all__ = ["Vocabulary", "entities", "is_email", "is_number", "tokens"]

# A word starts with a letter and has at least two characters: single letters and numbers carry little information.
_WORD = r"(?u)\b[^\W\d_]\w+\b"
_EMAIL = r"[\w.+-]+@[\w-]+\.[\w.]*\w"
_NUMBER = r"\b\d[\d.,:/-]*\d\b"
_IS_EMAIL, _IS_NUMBER = re.compile(_EMAIL), re.compile(_NUMBER)
_IDENTIFIER = f"(?u){_EMAIL}|{_NUMBER}|{_WORD.removeprefix('(?u)')}"
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
    """The words that a decoder can predict, the most frequent first.

    Attributes:
        words: v words in lower case.
        shares: share of the documents of the corpus that contain each word [v].
    """

    words: tuple[str, ...]
    shares: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        """Check that there is one share for each word."""
        words = check_texts(self.words, "words")
        check_one_each(len(check_vector(self.shares, "shares")), "share", len(words), "word")

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        *,
        size: int = 8_000,
        min_documents: int = 5,
        max_share: float = 0.03,
        identifiers: bool = False,
    ) -> Vocabulary:
        """Return the most frequent content words of a corpus.

        Args:
            texts: n documents.
            size: largest size of the vocabulary.
            min_documents: smallest number of documents that a word must occur in.
            max_share: largest share of the documents that a word may occur in; frequent words reveal nothing.
            identifiers: also take e-mail addresses, and numbers of two digits or more.

        Raises:
            InputError: no word meets both conditions.
        """
        from sklearn.feature_extraction.text import CountVectorizer

        texts, size = check_texts(texts, "texts"), check_count(size, "size", minimum=1)
        min_documents = check_count(min_documents, "min_documents", minimum=1)
        max_share = check_number(max_share, "max_share", above=0, maximum=1)
        pattern = _IDENTIFIER if check_flag(identifiers, "identifiers") else _WORD
        counter = CountVectorizer(token_pattern=pattern, stop_words="english", binary=True, min_df=min_documents)
        # max_df is at least min_df, also in a small corpus.
        counter.set_params(max_df=max(min_documents, int(max_share * len(texts))))
        try:
            occurrences = counter.fit_transform(texts)
        except ValueError as error:
            raise InputError(
                f"No content word is in {min_documents:,} of the {count_of(len(texts), 'text')}; a corpus of more or "
                "longer texts is needed."
            ) from error
        shares = np.asarray(occurrences.mean(axis=0), np.float64).ravel()
        order = np.argsort(-shares, kind="stable")[:size]
        names = counter.get_feature_names_out()
        return cls(tuple(names[order].tolist()), shares[order])

    @property
    def information(self) -> npt.NDArray[np.float64]:
        """Information of each word in bits, ``-log2(share)`` [v]."""
        return -np.log2(self.shares)

    def matrix(self, texts: Sequence[str]) -> Any:
        """Return which words occur in which text, a sparse matrix [n, v] of 0 and 1."""
        from sklearn.feature_extraction.text import CountVectorizer

        has_identifiers = any(is_email(word) or is_number(word) for word in self.words)
        pattern = _IDENTIFIER if has_identifiers else _WORD
        counter = CountVectorizer(token_pattern=pattern, vocabulary=list(self.words), binary=True, dtype=np.float32)
        return counter.fit_transform(check_texts(texts, "texts"))


def is_email(word: str) -> bool:
    """Return whether a word is an e-mail address."""
    return _IS_EMAIL.fullmatch(check_text(word, "word")) is not None


def is_number(word: str) -> bool:
    """Return whether a word is a number of two digits or more, such as a year, a date or a telephone number."""
    return _IS_NUMBER.fullmatch(check_text(word, "word")) is not None


def tokens(text: str) -> list[str]:
    """Return all words and numbers of a text, in order and in lower case."""
    return _TOKEN.findall(check_text(text, "text").lower())


def entities(text: str) -> set[str]:
    """Return names, addresses, links, amounts, dates and numbers in a text, in lower case.

    Entities are found by their form: a capital inside a sentence marks a name, so a text without capitals has none.
    """
    return {match.group().lower() for match in _ENTITY.finditer(check_text(text, "text").strip())}
