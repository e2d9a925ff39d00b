"""Checks of an audit's inputs: inputs from which nothing could be measured are refused before any fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.base import MIN_ROWS
from interlingua.aligners.side_information import check_same_order, check_views, is_copy, view_label
from interlingua.core.arguments import check_count, check_flag, check_instance
from interlingua.core.arrays import IntArray, check_matrix, row_blocks
from interlingua.core.errors import InputError
from interlingua.core.spaces import EmbeddingSpace, share_of_copies
from interlingua.core.wording import be, count_of
from interlingua.leakage._checks import check_distinct, there_are
from interlingua.leakage._order import signs_of_another_order
from interlingua.leakage._points import MIN_ROWS as MIN_POINT
from interlingua.leakage._points import point_sizes
from interlingua.leakage._predictions import MIN_KNOWN, attacked_rows, offered
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus
from interlingua.leakage.inversion import KeywordDecoder
from interlingua.leakage.inversion.keywords import MIN_TEXTS, held_out_rows
from interlingua.leakage.inversion.words import Vocabulary
from interlingua.leakage.membership import MIN_RECORDS

__all__ = ["MIN_AUDITED", "check_inputs"]

# Figures are shares of rows, and translations are centered by the mean of all rows.
MIN_AUDITED = 50


def check_inputs(
    vectors: npt.ArrayLike,
    corpus: PublicCorpus,
    *,
    labels: Labels | None = None,
    truth: GroundTruth | None = None,
    records: KnownRecords | None = None,
    decoder: KeywordDecoder | None = None,
    options: Mapping[str, object] | None = None,
    fitted: bool = False,
    documents: int | None = None,
    seed: int = 0,
) -> npt.NDArray[Any]:
    """Return the audited vectors as a matrix, or refuse inputs from which nothing could be measured.

    Args:
        vectors: the audited rows [n, d_unknown].
        corpus: public texts, or rows without texts.
        labels: labels to infer, or identities.
        truth: true contents of the audited rows.
        records: records of known membership.
        decoder: keyword decoder, if one was fitted before.
        options: further options that need texts, by their names.
        fitted: whether there are fits of the vectors, so that no rows are needed for one.
        documents: largest number of rows that are attacked; all by default.
        seed: random seed of the audit, which decides the texts that a decoder takes its words from, and the rows that
            are attacked.

    Raises:
        InputError: fewer than 50 vectors or all of them equal; too few distinct rows for a fit, or too few rows for
            ``halvings``; public texts or a stand-in in another order than the public vectors; true contents of
            another number of rows; public texts without words that can be read, or true texts without any of these
            words; fewer than two labels, or true labels that are all the same or not among the labels to infer; too few
            records, or members that are nonmembers; labels, records or true vectors that are all equal, or of another
            width than the public ones; what is no view of the public texts, or a view that is the stand-in; rows
            without texts, and an option that needs texts or nothing to measure with.
    """
    check_instance(corpus, "corpus", PublicCorpus, "a PublicCorpus")
    optional: dict[str, tuple[Any, type]] = {
        "labels": (labels, Labels),
        "truth": (truth, GroundTruth),
        "records": (records, KnownRecords),
        "decoder": (decoder, KeywordDecoder),
    }
    for name, (value, kind) in optional.items():
        check_instance(value, name, (kind, type(None)), f"a {kind.__name__}")
    check_instance(options, "options", (Mapping, type(None)), "a mapping from names of options to their values")
    fitted, seed = check_flag(fitted, "fitted"), check_count(seed, "seed")
    documents = None if documents is None else check_count(documents, "documents", minimum=2)
    rows = check_matrix(vectors, "the audited vectors")
    if len(rows) < MIN_AUDITED:
        raise InputError(
            f"{there_are(len(rows), 'vector')} to audit; at least {MIN_AUDITED} are needed, because figures are "
            "shares of rows and translations are centered by their mean."
        )
    if _all_equal(rows):
        raise InputError(f"All {len(rows):,} vectors to audit are equal; give the vectors of different contents.")
    _check_views(corpus)
    truth = truth or GroundTruth()
    truth.check_rows(len(rows))
    vocabulary = None
    if corpus.has_texts:
        vocabulary = _check_texts(corpus, truth, decoder, seed)
    else:
        _check_rows_without_texts(labels, truth, {"decoder": decoder, **(options or {}), "texts": truth.texts})
    _check_rows_of_fits(rows, corpus, fitted=fitted, has_decoder=decoder is not None)
    if vocabulary is not None:
        _check_order_of_texts(corpus, vocabulary)
    attacked = attacked_rows(len(rows), len(rows) if documents is None else documents, seed)
    if truth.texts is not None:
        _check_known([bool(text.strip()) for text in truth.texts], attacked, "text", "texts")
    if labels is not None and len(labels.names) < 2:
        raise InputError(f"{there_are(len(labels.names), 'label')} to infer; at least 2 are needed.")
    if labels is not None and truth.labels is not None:
        _check_true_labels(labels, truth.labels, attacked)
    if corpus.has_texts and (options or {}).get("halvings"):
        _check_curve(len(rows), len(corpus.texts))
    if records is not None:
        _check_records(records)
    named = {
        "vectors of the labels": None if labels is None else labels.vectors,
        "true vectors": truth.vectors,
        "members": None if records is None else records.members,
        "nonmembers": None if records is None else records.controls,
    }
    width = np.asarray(corpus.vectors).shape[1]
    for name, side in named.items():
        if side is None:
            continue
        if np.shape(side)[-1] != width:
            raise InputError(
                f"The {name} have width {np.shape(side)[-1]} and the public vectors {width}; both must be made "
                "by the auditor's encoder."
            )
        if _all_equal(np.asarray(side)):
            n = np.shape(side)[-2]
            raise InputError(
                f"All {n:,} {name} are equal, so nothing could be measured with them; give those of different contents."
            )
    return rows


def _all_equal(rows: npt.NDArray[Any]) -> bool:
    """Return whether all rows [n, d] are equal; of rows [t, n, d], whether they are in each of the layers."""
    if rows.ndim > 2:
        return all(map(_all_equal, rows))
    return all(bool((rows[block] == rows[0]).all()) for block in row_blocks(len(rows)))


def _check_rows_of_fits(rows: npt.NDArray[Any], corpus: PublicCorpus, *, fitted: bool, has_decoder: bool) -> None:
    """Refuse sides that no fit could be made of; the fit of the stand-in has half of the public texts on each side."""
    if not fitted:
        check_distinct(rows, "The audited vectors")
        check_distinct(corpus.vectors, "The public vectors")
    if corpus.stand_in is not None and corpus.stand_in_fit is None and not has_decoder:
        reason = "because its fit has half of them on each side"
        advice = "Leave it out, or give more public texts."
        check_distinct(corpus.stand_in, "The stand-in", needed=2 * MIN_ROWS, reason=reason, advice=advice)
        sides = EmbeddingSpace(corpus.stand_in), EmbeddingSpace(corpus.vectors)
        check_same_order(*sides, "The stand-in", "the public vectors")


def _check_true_labels(labels: Labels, true: Sequence[Sequence[str]], attacked: IntArray) -> None:
    """Refuse true labels with which nothing could be measured on the rows that are attacked."""
    kept = offered(true, labels.names)
    known = [bool(row) for row in kept]
    if not any(known):
        raise InputError(
            f"None of the true labels of the {count_of(len(known))} is one of the "
            f"{count_of(len(labels.names), 'label')} to infer; give both in the same spelling."
        )
    found = _check_known(known, attacked, "label that is among those to infer", "labels")
    values = {frozenset(kept[row]) for row in attacked if kept[row]}
    if len(values) == 1:
        shared = " and ".join(repr(name) for name in sorted(*values))
        raise InputError(
            f"All of the {found:,} rows that are attacked and have true labels have the same ones ({shared}), so that "
            "it cannot be measured how many are inferred. Give true labels of at least two kinds, or leave them out."
        )


def _check_known(known: Sequence[bool], attacked: IntArray, what: str, plural: str) -> int:
    """Return how many of the attacked rows have a true text or label; refuse too few."""
    found = int(sum(known[row] for row in attacked))
    if found < MIN_KNOWN:
        has = "has" if found == 1 else "have"
        raise InputError(
            f"Of the {count_of(len(attacked))} that {be(len(attacked))} attacked, {found:,} {has} a true {what}; at "
            f"least {MIN_KNOWN} are needed to measure. Attack more documents or leave the true {plural} out."
        )
    return found


def _check_curve(leaked: int, public: int) -> None:
    """Refuse a curve of the leak by the number of rows that would have no point."""
    if not (point_sizes(leaked, 1) or point_sizes(public, 1)):
        raise InputError(
            f"There are {leaked:,} vectors to audit and {public:,} public texts; halvings needs {2 * MIN_POINT} of one "
            "of them, because an attack with fewer rows than half of that is not tried. Leave it out."
        )


def _check_records(records: KnownRecords) -> None:
    """Refuse too few records of known membership, and members that are nonmembers as well."""
    sides = {"member": records.members, "nonmember": records.controls}
    for name, side in sides.items():
        if side is not None and len(side) < MIN_RECORDS:
            raise InputError(
                f"{there_are(len(side), name)}; at least {MIN_RECORDS} are needed for the membership test, better "
                "1,000."
            )
    if records.controls is None:
        return
    found = share_of_copies(np.asarray(records.members), np.asarray(records.controls))
    if found:
        raise InputError(
            f"The members and the nonmembers hold the same vectors: {found} of the rows of one are in the other. A "
            "record is either in the collection or not; give nonmembers that are not in it."
        )


def _check_views(corpus: PublicCorpus) -> None:
    """Refuse what is no view of the public texts, and a view by the model of the stand-in.

    Such a view would make the fit of the stand-in easier than that of the audited vectors.
    """
    if not corpus.views:
        return
    check_views(corpus.views, EmbeddingSpace(corpus.vectors))
    for name, view in corpus.views.items():
        if corpus.stand_in is not None and is_copy(EmbeddingSpace(view), EmbeddingSpace(corpus.stand_in)):
            raise InputError(
                f"{view_label(name)} has the same nearest neighbors as the stand-in, so the fit of the stand-in would "
                "be easier than that of the audited vectors. Give them by different models."
            )


def _check_texts(corpus: PublicCorpus, truth: GroundTruth, decoder: KeywordDecoder | None, seed: int) -> Vocabulary:
    """Return the words that can be read; refuse public texts without any, and true texts without any of them."""
    if decoder is None and len(corpus.texts) < MIN_TEXTS:
        raise InputError(
            f"{there_are(len(corpus.texts), 'public text')}; at least {MIN_TEXTS} are needed for the keyword decoder."
        )
    blank = [row for row, text in enumerate(corpus.texts) if not text.strip()]
    if blank:
        texts = f"{count_of(len(blank), 'public text')} {be(len(blank))} blank"
        raise InputError(
            f"{texts}, the first in row {blank[0]} (counted from 0), and a decoder would learn that their vectors hold "
            "no words. Leave these rows out, of the texts and of all their vectors."
        )
    vocabulary = corpus.vocabulary if decoder is None else decoder.vocabulary
    if vocabulary is None:
        # Select the words as the decoder does, so that nothing is refused after the fits. They are not kept: a decoder
        # of a part of the public texts, as for the leak by the number of rows, must take its words from that part.
        train = np.delete(np.arange(len(corpus.texts)), held_out_rows(len(corpus.texts), seed)).tolist()
        vocabulary = Vocabulary.of([corpus.texts[i] for i in train], identifiers=corpus.identifiers)
    if truth.texts is not None and not vocabulary.matrix(truth.texts).nnz:
        raise InputError(
            f"None of the true texts holds one of the {len(vocabulary.words):,} words of the public texts that can be "
            "read, so nothing could be measured. Check the column of the texts and their language."
        )
    return vocabulary


def _check_order_of_texts(corpus: PublicCorpus, vocabulary: Vocabulary) -> None:
    """Refuse public texts in another order than their vectors; nothing would be read, which looks like safety."""
    sign = signs_of_another_order(corpus.vectors, vocabulary.matrix(corpus.texts))
    if sign:
        raise InputError(
            f"The public texts and their vectors are not in the same order, or their words cannot be read from them: "
            f"{sign}. Give the vector of each text in the order of the texts."
        )


def _check_rows_without_texts(labels: Labels | None, truth: GroundTruth, options: Mapping[str, object]) -> None:
    """Refuse what needs texts, and rows without texts from which nothing could be measured."""
    for name, value in options.items():
        if value:
            raise InputError(f"{name} needs public texts, and these rows have none; leave it out.")
    if truth.vectors is None and (labels is None or truth.labels is None):
        raise InputError(
            "Rows without texts have no estimated figures: give the labels with the true labels, which are identities "
            "here, or the true vectors."
        )
    if labels is not None and np.ndim(labels.vectors) != 2:
        raise InputError(f"the identities have vectors {labels.vectors.shape}; one vector of each, [l, d], is needed.")
