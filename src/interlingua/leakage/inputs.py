"""Inputs of an audit: public texts, labels, and the true contents of the audited rows where they are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua._align import align
from interlingua.core.alignment import Alignment, Status
from interlingua.core.arguments import (
    check_callable,
    check_choice,
    check_count,
    check_flag,
    check_instance,
    check_texts,
)
from interlingua.core.arrays import FloatArray, IntArray, as_array, check_matrix
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.leakage._checks import (
    check_corpus,
    check_indices,
    check_label_rows,
    check_members,
    check_one_each,
)
from interlingua.leakage.attributes import truth_matrix
from interlingua.leakage.inversion import KeywordDecoder
from interlingua.leakage.inversion.words import Vocabulary

__all__ = ["GroundTruth", "Labels", "PublicCorpus", "KnownRecords", "SecondLeak"]


@dataclass(frozen=True, eq=False)
class PublicCorpus:
    """The auditor's public texts and their vectors under the auditor's encoder.

    Attributes:
        vectors: [m, d].
        texts: m texts.
        stand_in: the same texts under any other encoder [m, e], for the calibration; see :meth:`KeywordDecoder.fit`.
        vocabulary: words to predict; by default the frequent content words of the texts.
        stand_in_fit: fit without pairs from the space of the stand-in to the auditor's, as :meth:`align_stand_in`
            returns it. The stand-in is used only if this fit is aligned.
        identifiers: without a vocabulary, predict e-mail addresses and numbers too.
        has_texts: False for rows of another kind, such as faces, whose ``texts`` are only names of rows; see
            :meth:`of_rows`.
        views: vectors of the same texts by further models, [m, e] by name, with which fits need fewer rows. Give them
            to every fit, as ``interlingua.align(..., views=corpus.views)``.

    Raises:
        InputError: not one text per vector, or a value of another type.
    """

    vectors: FloatArray
    texts: Sequence[str]
    stand_in: FloatArray | None = None
    vocabulary: Vocabulary | None = None
    stand_in_fit: Alignment | None = None
    identifiers: bool = False
    has_texts: bool = True
    views: Mapping[str, FloatArray] | None = None

    def __post_init__(self) -> None:
        check_corpus(self.vectors, self.texts)
        check_flag(self.has_texts, "has_texts")
        if self.stand_in is not None:
            rows = check_matrix(self.stand_in, "the stand-in")
            check_one_each(len(rows), "row", len(self.texts), "text", which=" of the stand-in")
        check_instance(self.views, "views", (Mapping, type(None)), "a mapping from names to matrices")
        for name, view in (self.views or {}).items():
            rows = check_matrix(view, f"the view {name!r}")
            check_one_each(len(rows), "row", len(self.texts), "text", which=f" of the view {name!r}")
        check_instance(self.vocabulary, "vocabulary", (Vocabulary, type(None)), "a Vocabulary")
        check_instance(
            self.stand_in_fit, "stand_in_fit", (Alignment, type(None)), "a fit, as align_stand_in returns it,"
        )
        check_flag(self.identifiers, "identifiers")
        if self.stand_in_fit is not None and self.stand_in is None:
            raise InputError("stand_in_fit is a fit of the stand-in; give the vectors of the stand-in too.")

    @classmethod
    def of_rows(cls, vectors: FloatArray) -> PublicCorpus:
        """Return public rows without texts [m, d], such as faces; an audit measures identities in the place of words.

        Raises:
            InputError: the matrix cannot be used.
        """
        return cls(vectors, [f"row {row}" for row in range(len(check_matrix(vectors, "the corpus")))], has_texts=False)

    @property
    def contents(self) -> str:
        """What the corpus consists of: ``texts`` or ``rows``."""
        return "texts" if self.has_texts else "rows"

    @property
    def stand_in_translates(self) -> bool:
        """Whether there is a stand-in whose own fit is aligned."""
        return self.stand_in_fit is not None and self.stand_in_fit.verdict.status is Status.ALIGNED

    def align_stand_in(self, seed: int = 0, *, on_step: Callable[[dict[str, Any]], None] | None = None) -> PublicCorpus:
        """Return this corpus with the fit of its stand-in; without a stand-in, or with a fit, the corpus as it is.

        One half of the texts under the stand-in is aligned with the other half under the auditor's encoder, without
        pairs, like the audited vectors with the corpus, and with the same views.

        Args:
            seed: seed of the halves and of the fit.
            on_step: receives each step of the fit.

        Raises:
            InputError: as :func:`interlingua.align`.
        """
        seed = check_count(seed, "seed")
        if on_step is not None:
            check_callable(on_step, "on_step", "a function of a step of the fit")
        if self.stand_in is None or self.stand_in_fit is not None:
            return self
        first, second = np.array_split(np.random.default_rng(seed).permutation(len(self.texts)), 2)
        views = self.take(second).views
        fitted = align(self.stand_in[first], self.vectors[second], views=views, seed=seed, on_step=on_step)
        return replace(self, stand_in_fit=fitted)

    def fit_decoder(self, seed: int = 0) -> KeywordDecoder:
        """Fit the keyword decoder of an audit; the stand-in calibrates it if its own fit is aligned.

        Raises:
            InputError: the rows have no texts, and as :meth:`KeywordDecoder.fit`.
        """
        if not self.has_texts:
            raise InputError("The public rows have no texts; a keyword decoder needs a text for each of them.")
        corpus = self.align_stand_in(seed)
        calibration: dict[str, Any] = {}
        if corpus.stand_in_translates and corpus.stand_in_fit is not None:
            calibration = {"stand_in": corpus.stand_in, "stand_in_map": corpus.stand_in_fit.forward}
        settings: dict[str, Any] = {"vocabulary": self.vocabulary, "identifiers": self.identifiers, "seed": seed}
        return KeywordDecoder.fit(self.vectors, self.texts, **calibration, **settings)

    def take(self, rows: IntArray) -> PublicCorpus:
        """Return the texts with these indices and their views, with the fit of the stand-in of all texts.

        Raises:
            InputError: indices of no texts.
        """
        rows = check_indices(rows, "rows", len(self.texts))
        stand_in = None if self.stand_in is None else np.asarray(self.stand_in)[rows]
        vectors = np.asarray(self.vectors)[rows]
        views = None if self.views is None else {name: np.asarray(view)[rows] for name, view in self.views.items()}
        return replace(self, vectors=vectors, texts=[self.texts[i] for i in rows], stand_in=stand_in, views=views)


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels to infer: their names, and their vectors [l, d] or [t, l, d] in the auditor's space.

    Raises:
        InputError: not one vector per name, a vector that is not finite, or a name that repeats or is blank.
    """

    names: tuple[str, ...]
    vectors: FloatArray

    def __post_init__(self) -> None:
        names, layers = check_texts(self.names, "names"), as_array(self.vectors, "the labels")
        if layers.dtype.kind not in "fiu" or layers.ndim not in (2, 3):
            raise InputError(f"the labels have shape {layers.shape}; numbers [l, d] or [t, l, d] are needed.")
        check_one_each(layers.shape[-2], "label vector", len(names), "name")
        finite = np.isfinite(layers).all(axis=-1)
        unusable = np.flatnonzero(~(finite if finite.ndim == 1 else finite.all(axis=0)))
        if len(unusable):
            raise InputError(
                f"The vector of the label {names[unusable[0]]!r} holds NaN or infinity; give the label another vector, "
                "or leave it out."
            )
        blank = next((number for number, name in enumerate(names) if not name.strip()), None)
        if blank is not None:
            raise InputError(f"Label {blank} (counted from 0) is blank; leave it out, together with its vector.")
        twice = next((name for name, count in Counter(names).items() if count > 1), None)
        if twice is not None:
            raise InputError(f"The label {twice!r} is named twice; give one vector of each label.")

    @classmethod
    def of_corpus(cls, vectors: npt.ArrayLike, labels: Sequence[Sequence[str]], *, min_documents: int = 5) -> Labels:
        """Return labels of a labeled corpus; the vector of a label is the mean of its rows.

        Args:
            vectors: the corpus [m, d].
            labels: labels of each row.
            min_documents: smallest number of rows of a label.

        Raises:
            InputError: not one set of labels per row, a blank label, or no label with enough rows.
        """
        rows, label_rows = check_matrix(vectors, "the corpus").astype(np.float32), check_label_rows(labels)
        min_documents = check_count(min_documents, "min_documents", minimum=1)
        if len(label_rows) != len(rows):
            raise InputError(
                f"The corpus has {count_of(len(rows), 'vector')} and {count_of(len(label_rows))} of "
                "labels; there must be one for each vector."
            )
        blank = next((number for number, row in enumerate(label_rows) if not all(map(str.strip, row))), None)
        if blank is not None:
            raise InputError(
                f"Row {blank} of the corpus has a blank label; give a row without a label no label, as an empty list."
            )
        counts = Counter(name for row in label_rows for name in set(row))
        names = tuple(sorted(name for name, count in counts.items() if count >= min_documents))
        if not names:
            raise InputError(
                f"No label is on {min_documents} rows of the corpus; give a corpus with more rows for each label."
            )
        members = truth_matrix([sorted(set(row) & set(names)) for row in label_rows], names).astype(np.float32)
        return cls(names, np.asarray(members.T @ rows / members.sum(axis=0)[:, None], np.float32))


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """True contents of the audited rows, where known. They are used to measure and never by the attack.

    Attributes:
        texts: n texts, or None; an empty text stands for an unknown one.
        labels: labels of each of n rows, or None; a row without a label stands for unknown ones.
        vectors: the same rows in the auditor's space [n, d], or None.

    Raises:
        InputError: a value of another type.
    """

    texts: Sequence[str] | None = None
    labels: Sequence[Sequence[str]] | None = None
    vectors: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.texts is not None:
            check_texts(self.texts, "texts")
        if self.labels is not None:
            # Not by assignment, which a frozen dataclass refuses.
            object.__setattr__(self, "labels", check_label_rows(self.labels))
        if self.vectors is not None:
            check_matrix(self.vectors, "the true vectors")

    def check_rows(self, n: int) -> None:
        """Refuse contents of another number of rows.

        Raises:
            InputError: not one text, set of labels or vector for each of ``n`` rows.
        """
        n = check_count(n, "n")
        for name in ("texts", "labels", "vectors"):
            contents = getattr(self, name)
            if contents is not None:
                advice = "" if name == "vectors" else f" An empty {name[:-1]} stands for an unknown one."
                check_one_each(len(contents), f"true {name[:-1]}", n, "vector", advice)

    def without(self, names: Sequence[str]) -> GroundTruth:
        """Return the contents without those of these names, such as ``texts``.

        Raises:
            InputError: a name other than ``texts``, ``labels`` and ``vectors``.
        """
        for name in check_texts(names, "names"):
            check_choice(name, "a name", ("texts", "labels", "vectors"))
        return replace(self, **dict.fromkeys(names))

    def take(self, rows: IntArray) -> GroundTruth:
        """Return the contents of the rows with these indices.

        Raises:
            InputError: not a vector of integers.
        """
        rows = as_array(rows, "rows")
        if rows.dtype.kind not in "iu" or rows.ndim != 1:
            raise InputError(f"rows has shape {rows.shape} and dtype {rows.dtype}; a vector of integers is needed.")
        return GroundTruth(
            None if self.texts is None else [self.texts[i] for i in rows],
            None if self.labels is None else [self.labels[i] for i in rows],
            None if self.vectors is None else np.asarray(self.vectors[rows], np.float32),
        )


@dataclass(frozen=True, eq=False)
class KnownRecords:
    """Records whose membership in the audited collection is known, in the auditor's space.

    Attributes:
        members: records that are in the collection [n, d].
        controls: records of the same kind that are not in it [c, d]; by default half of the public texts.

    Raises:
        InputError: a value of another type, or sides of different widths.
    """

    members: FloatArray
    controls: FloatArray | None = None

    def __post_init__(self) -> None:
        width = check_matrix(self.members, "the members").shape[1]
        if self.controls is not None:
            check_matrix(self.controls, "the controls", width=width)


@dataclass(frozen=True, eq=False)
class SecondLeak:
    """A second leaked collection, of another model, whose rows may hold the same texts.

    Attributes:
        alignments: fits from it to the public texts of the audit, without pairs.
        vectors: its rows [m, e].
        texts: its m true texts, if they are known; with the true texts of the audit, links are measured.

    Raises:
        InputError: no fit, or not one text per row.
    """

    alignments: Sequence[Alignment]
    vectors: FloatArray
    texts: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if not check_members(self.alignments, "alignments", Alignment, "fits, as interlingua.align returns them,"):
            raise InputError("A second leak needs at least one fit to the public texts.")
        rows = check_matrix(self.vectors, "the second leak")
        if self.texts is not None:
            texts = check_texts(self.texts, "texts")
            check_one_each(len(texts), "text", len(rows), "row", of_which=" of the second leak")
