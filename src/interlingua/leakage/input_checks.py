"""Checks of an audit's inputs against each other, before any work: what could measure nothing is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_instance
from interlingua.core.arrays import check_matrix, row_blocks
from interlingua.core.errors import InputError
from interlingua.leakage._predictions import offered
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels, PublicCorpus
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
    options: Mapping[str, object] | None = None,
) -> npt.NDArray[Any]:
    """Return the audited vectors as a matrix, or refuse inputs that could measure nothing together.

    Args:
        vectors: the audited rows [n, d_unknown].
        corpus: public texts, or rows without texts.
        labels: labels to infer, or identities.
        truth: true contents of the audited rows.
        records: records of known membership.
        options: further options that need texts, by their names.

    Raises:
        InputError: fewer than 50 vectors or all of them equal; true contents of another number of rows; true texts
            without any word that can be read, or true labels of which none is offered; too few records, or vectors of
            another width than the public ones; rows without
            texts, and an option that needs texts or nothing to measure with.
    """
    check_instance(corpus, "corpus", PublicCorpus, "a PublicCorpus")
    optional: dict[str, tuple[Any, type]] = {
        "labels": (labels, Labels),
        "truth": (truth, GroundTruth),
        "records": (records, KnownRecords),
    }
    for name, (value, kind) in optional.items():
        check_instance(value, name, (kind, type(None)), f"a {kind.__name__}")
    check_instance(options, "options", (Mapping, type(None)), "a mapping from names of options to their values")
    rows = check_matrix(vectors, "the audited vectors")
    if len(rows) < MIN_AUDITED:
        raise InputError(
            f"There are {len(rows)} vectors to audit; at least {MIN_AUDITED} are needed, because figures are shares of "
            "rows and translations are centered by their mean."
        )
    if all(bool((rows[block] == rows[0]).all()) for block in row_blocks(len(rows))):
        raise InputError(f"All {len(rows)} vectors to audit are equal; give the vectors of different contents.")
    truth = truth or GroundTruth()
    truth.check_rows(len(rows))
    if corpus.has_texts:
        _check_texts(corpus, truth)
    else:
        _check_rows_without_texts(labels, truth, {**(options or {}), "texts": truth.texts})
    if labels is not None and len(labels.names) < 2:
        raise InputError("There is one label to infer; two or more are needed to tell them apart.")
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
                f"The {name} have width {np.shape(side)[-1]} and the public vectors {width}; both must be of one "
                "encoder, yours."
            )
    return rows


def _check_texts(corpus: PublicCorpus, truth: GroundTruth) -> None:
    """Refuse public texts without words, and true texts without any word of the public ones."""
    vocabulary = corpus.vocabulary or Vocabulary.of(corpus.texts, identifiers=corpus.identifiers)
    if truth.texts is not None and not vocabulary.matrix(truth.texts).nnz:
        raise InputError(
            f"None of the true texts holds one of the {len(vocabulary.words):,} words of the public texts that can be "
            "read, so nothing could be measured. Check the column of the texts and their language."
        )


def _check_rows_without_texts(labels: Labels | None, truth: GroundTruth, options: Mapping[str, object]) -> None:
    """Refuse what needs texts, and an audit of rows without texts that could measure nothing."""
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
