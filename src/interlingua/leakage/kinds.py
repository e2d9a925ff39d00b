"""Kinds of data among recovered words: names, places, medical terms, numbers and e-mail addresses.

A word has a kind by its form or by a word list. The lists come with packages that are kept up to date: first names and
surnames of the United States (Faker, MIT license), cities with an airport (airportsdata, MIT license), and words of the
ICD-10-CM classification of diseases, a work of the United States government in the public domain (simple-icd-10-cm, MIT
license). Ordinary English words are left out of all lists. A word can be of a kind without being on a list, so that
figures are low rather than high for collections of other languages. Medical terms are the least certain kind: of the
frequent words of search questions, headlines and encyclopedia sentences 0.3 to 1.1% are called medical, of those of
medical notes and questions 10 to 11%.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from interlingua.core.arguments import check_text, check_texts
from interlingua.core.arrays import require
from interlingua.evaluation.bootstrap import Interval, JsonRecord, Resamples
from interlingua.leakage._checks import check_members, check_one_each
from interlingua.leakage.inversion.extraction import Extraction, check_extractions
from interlingua.leakage.inversion.scores import LEVEL, wrong_documents
from interlingua.leakage.inversion.words import is_email, is_number, tokens

__all__ = [
    "EMAIL",
    "KINDS",
    "MEDICAL",
    "NAME",
    "NUMBER",
    "PERSONAL_KINDS",
    "PLACE",
    "KindFinding",
    "capitalized_words",
    "kind_of",
    "kinds_of_words",
]

NAME, PLACE, MEDICAL, NUMBER, EMAIL = "name", "place", "medical term", "number", "e-mail address"
KINDS = (NAME, PLACE, MEDICAL, NUMBER, EMAIL)
# Kinds that identify a person, or that Article 9 of the GDPR protects.
PERSONAL_KINDS = (NAME, MEDICAL, EMAIL)
_SHORTEST = 3
# A word of the classification is medical if it is in this many codes of diseases, and these are most of its codes.
_CODES, _SHARE_OF_CODES, _SHORTEST_TERM = 8, 0.7, 6
_DISEASE = re.compile(r"[A-N]\d")
_LETTERS = re.compile(r"[a-z]{4,}")
_INSIDE = re.compile(r"(?<![.!?:]\s)(?<!^)\b([^\W\d_]\w+)")
# Share of the occurrences of a word inside sentences that start with a capital in a proper noun.
_CAPITAL_SHARE = 0.5


@dataclass(frozen=True)
class KindFinding(JsonRecord):
    """How often words of one kind were recovered.

    Attributes:
        kind: one of :data:`KINDS`.
        documents: share of documents with a word of the kind asserted.
        control: the same for meaningless translations.
        right: share of documents with a correct word of the kind asserted; None without the true texts.
        right_control: the same words against another document of about the same length.
        words: number of different words of the kind that were asserted.
        vocabulary: number of words of the kind that the decoder can predict.
    """

    kind: str
    documents: Interval
    control: Interval
    right: Interval | None
    words: int
    vocabulary: int
    right_control: Interval | None = None

    @property
    def shown(self) -> tuple[Interval, Interval]:
        """The share of documents and its control: of right words where the true texts are known."""
        if self.right is None:
            return self.documents, self.control
        return self.right, self.right_control or self.control


def kind_of(word: str) -> str | None:
    """Return the kind of a word in lower case, or None for an ordinary word.

    Raises:
        MissingExtraError: the extra ``kinds`` is not installed.
    """
    word = check_text(word, "word")
    if is_email(word):
        return EMAIL
    if is_number(word):
        return NUMBER
    if len(word) < _SHORTEST or word in _ordinary():
        return None
    for kind, words in ((NAME, _names()), (PLACE, _places()), (MEDICAL, _medical_terms())):
        if word in words:
            return kind
    return None


def capitalized_words(texts: Sequence[str]) -> frozenset[str] | None:
    """Return the words that are mostly capitalized inside sentences, in lower case; None if texts have no capitals.

    They tell the name "Will" from the verb.
    """
    capital: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for text in check_texts(texts, "texts"):
        for word in _INSIDE.findall(text.strip()):
            total[word.lower()] += 1
            capital[word.lower()] += word[0].isupper()
    if capital.total() < 0.01 * max(1, total.total()):
        return None
    return frozenset(word for word, count in capital.items() if count >= _CAPITAL_SHARE * total[word])


def kinds_of_words(
    predictions: Sequence[Extraction],
    control: Sequence[Extraction],
    vocabulary: Sequence[str],
    public: Sequence[str],
    *,
    texts: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[KindFinding, ...]:
    """Count documents with recovered words of each kind.

    Args:
        predictions: predicted words of n documents.
        control: the same for meaningless translations of them.
        vocabulary: all words that can be predicted.
        public: public texts, whose capitals tell names from ordinary words.
        texts: the n true texts, if they are known.
        seed: seed of the resamples.

    Raises:
        InputError: not one extraction per document.
        MissingExtraError: the extra ``kinds`` is not installed.
    """
    words = check_texts(vocabulary, "vocabulary")
    needed = "extractions, as invert returns them,"
    predictions = check_members(predictions, "predictions", Extraction, needed)
    control = check_members(control, "control", Extraction, needed)
    check_one_each(len(control), "extraction", len(predictions), "prediction", which=" of the control")
    proper = capitalized_words(public)
    kinds = {word: _checked(kind_of(word), word, proper) for word in words}
    true = (
        None
        if texts is None
        else [_words(text) if text.strip() else None for text in check_extractions(predictions, texts)[1]]
    )
    wrong = None if true is None or texts is None else _words_of_others(texts, true, seed)
    resamples = Resamples(len(predictions), seed)

    def asserted(documents: Sequence[Extraction], kind: str) -> list[set[str]]:
        return [{word for word in document.asserted(LEVEL) if kinds.get(word) == kind} for document in documents]

    findings = []
    for kind in KINDS:
        named = asserted(predictions, kind)
        right = right_control = None
        if true is not None and wrong is not None:
            right, right_control = (
                resamples.mean([_is_right(found, own) for found, own in zip(named, side, strict=True)], share=True)
                for side in (true, wrong)
            )
        findings.append(
            KindFinding(
                kind=kind,
                documents=resamples.mean([bool(found) for found in named]),
                control=resamples.mean([bool(found) for found in asserted(control, kind)]),
                right=right,
                words=len(set().union(*named)),
                vocabulary=sum(member == kind for member in kinds.values()),
                right_control=right_control,
            )
        )
    return tuple(findings)


def _checked(kind: str | None, word: str, proper: frozenset[str] | None) -> str | None:
    """Return the kind, or None for a name or a place that public texts do not capitalize."""
    return None if kind in (NAME, PLACE) and proper is not None and word not in proper else kind


def _is_right(found: set[str], true: set[str] | None) -> float:
    """Return 1 if a word that was found is in a text, 0 if none is, and NaN where the text is not known."""
    return np.nan if true is None else float(bool(found & true))


def _words_of_others(texts: Sequence[str], true: Sequence[set[str] | None], seed: int) -> list[set[str] | None]:
    """Return the words of another document of about the same length for each document whose text is known."""
    known = [row for row, own in enumerate(true) if own is not None]
    wrong: list[set[str] | None] = [None] * len(true)
    for row, position in zip(known, wrong_documents([texts[row] for row in known], seed), strict=True):
        wrong[row] = true[known[position]]
    return wrong


def _words(text: str) -> set[str]:
    """Return all words of a text in lower case, and the parts of it without blanks, such as addresses."""
    return {*tokens(text), *(part.strip(".,;:()<>\"'") for part in text.lower().split())}


@cache
def _ordinary() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    common = require("faker.providers.lorem.en_US", "kinds").Provider.word_list
    return frozenset({*map(str.lower, common), *ENGLISH_STOP_WORDS})


@cache
def _names() -> frozenset[str]:
    people = require("faker.providers.person.en_US", "kinds").Provider
    return frozenset(map(str.lower, (*people.first_names, *people.last_names)))


@cache
def _places() -> frozenset[str]:
    airports = require("airportsdata", "kinds").load("IATA").values()
    return frozenset(word for airport in airports for word in [airport["city"].lower()] if word.isalpha())


@cache
def _medical_terms() -> frozenset[str]:
    codes = require("simple_icd_10_cm", "kinds")
    diseases: Counter[str] = Counter()
    everything: Counter[str] = Counter()
    for code in codes.get_all_codes(with_dots=True):
        words = set(_LETTERS.findall(codes.get_description(code).lower()))
        everything.update(words)
        if _DISEASE.match(code) and "-" not in code:
            diseases.update(words)
    terms = (
        word
        for word, count in diseases.items()
        if count >= _CODES and count >= _SHARE_OF_CODES * everything[word] and len(word) >= _SHORTEST_TERM
    )
    return frozenset(terms) - _names() - _places() - _ordinary()
