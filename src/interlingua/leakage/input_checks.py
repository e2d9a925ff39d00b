"""Checks of an audit's inputs: inputs from which nothing could be measured are refused before any fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.side_information import check_views, is_copy, view_label
from interlingua.core.arguments import check_count, check_instance
from interlingua.core.arrays import check_matrix, row_blocks
from interlingua.core.errors import InputError
from interlingua.core.spaces import EmbeddingSpace
from interlingua.leakage._predictions import offered
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
        seed: random seed of the audit, which decides the texts that a decoder takes its words from.

    Raises:
        InputError: fewer than 50 vectors or all of them equal; true contents of another number of rows; public texts
            without words that can be read, or true texts without any of these words; fewer than two labels, or true
            labels that are not among the labels to infer; too few records, or vectors of another width than the public
            ones; what is no view of the public texts, or a view that is the stand-in; rows without texts, and an option
            that needs texts or nothing to measure with.
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
    seed = check_count(seed, "seed")
    rows = check_matrix(vectors, "the audited vectors")
    if len(rows) < MIN_AUDITED:
        raise InputError(
            f"There are {len(rows)} vectors to audit; at least {MIN_AUDITED} are needed, because figures are shares of "
            "rows and translations are centered by their mean."
        )
    if all(bool((rows[block] == rows[0]).all()) for block in row_blocks(len(rows))):
        raise InputError(f"All {len(rows)} vectors to audit are equal; give the vectors of different contents.")
    _check_views(corpus)
    truth = truth or GroundTruth()
    truth.check_rows(len(rows))
    if corpus.has_texts:
        _check_texts(corpus, truth, decoder, seed)
    else:
        _check_rows_without_texts(labels, truth, {"decoder": decoder, **(options or {}), "texts": truth.texts})
    if labels is not None and len(labels.names) < 2:
        n = len(labels.names)
        raise InputError(f"There {'is 1 label' if n == 1 else f'are {n} labels'} to infer; at least 2 are needed.")
    if labels is not None and truth.labels is not None and not any(offered(truth.labels, labels.names)):
        raise InputError(
            f"None of the true labels of the {len(rows)} rows is one of the {len(labels.names)} labels to infer; give "
            "both in the same spelling."
        )
    known: dict[str, Any] = {"labels": labels and labels.vectors, "true vectors": truth.vectors}
    if records is not None:
        sides = {"members": records.members, "nonmembers": records.controls}
        known |= sides
        for name, side in sides.items():
            if side is not None and len(side) < MIN_RECORDS:
                raise InputError(
                    f"There are {len(side)} {name}; at least {MIN_RECORDS} are needed for the membership test, better "
                    "1,000."
                )
    width = np.asarray(corpus.vectors).shape[1]
    for name, side in known.items():
        if side is not None and np.shape(side)[-1] != width:
            raise InputError(
                f"The {name} have width {np.shape(side)[-1]} and the public vectors {width}; both must be made "
                "by the auditor's encoder."
            )
    return rows


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


def _check_texts(corpus: PublicCorpus, truth: GroundTruth, decoder: KeywordDecoder | None, seed: int) -> None:
    """Refuse public texts without words, and true texts without any word of the public ones."""
    if decoder is None and len(corpus.texts) < MIN_TEXTS:
        raise InputError(
            f"There are {len(corpus.texts)} public texts; at least {MIN_TEXTS} are needed for the keyword decoder."
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
