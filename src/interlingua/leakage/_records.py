"""The parts of an audit about known records and about a second leak: which of them can be tested, and the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.alignment import Alignment, Status
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.digests import digest_matrix, distinct_rows
from interlingua.core.wording import count_of
from interlingua.leakage._chosen_fits import translate
from interlingua.leakage._similarity import are_near
from interlingua.leakage.inputs import GroundTruth, KnownRecords, PublicCorpus, SecondLeak
from interlingua.leakage.linkage import MIN_ROWS, Linkage, linkage
from interlingua.leakage.membership import MIN_RECORDS, Membership, membership

__all__ = ["links_with", "membership_of", "translate_all"]

# Most nonmembers that are taken from the public rows.
_CONTROLS = 2_000


def translate_all(alignments: Sequence[Alignment], rows: npt.NDArray[Any]) -> FloatArray:
    """Return the mean of the translations of all rows by all fits."""
    return np.asarray(np.mean([unit_rows(translate(fit, rows)) for fit in alignments], axis=0), np.float32)


def membership_of(
    records: KnownRecords | None,
    known: GroundTruth,
    translated: Callable[[], FloatArray],
    corpus: PublicCorpus,
    seed: int,
) -> tuple[Membership | None, str, list[str]]:
    """Return the membership test of the records or of the true vectors, what its nonmembers are, and what it lacks.

    Copies count once, and a record that is a member is no nonmember. The public rows that scores are compared with hold
    no tested record, because a record would be its own neighbor among them.
    """
    members = known.vectors if records is None else records.members
    if members is None:
        return None, "", []
    members, public = _distinct(members), _distinct(corpus.vectors)
    lacking = []
    if records is not None and records.controls is not None:
        given = _distinct(records.controls)
        controls, name = _without(given, members), "the records that were given"
        if len(controls) < len(given):
            lacking.append(f"{count_of(len(given) - len(controls), 'nonmember')} that are members too were left out.")
    else:
        # A public row that is a member is in the collection.
        candidates = _without(public, members)
        order = np.random.default_rng(seed).permutation(len(candidates))
        controls, name = candidates[order[: len(order) // 2][:_CONTROLS]], f"public {corpus.contents}"
    public = _without(public, np.concatenate([members, controls]))
    if min(len(members), len(controls)) < MIN_RECORDS or len(public) < 2:  # noqa: PLR2004
        few = f"too few different records, or too few public {corpus.contents} besides them"
        return None, "", [*lacking, f"Membership was not tested, because there are {few}."] if records else []
    tested = membership(members, controls, translated(), public, seed=seed)
    if records is not None and tested.found[0.01] is None:
        lacking.append(
            "The share of members found at 1% false alarms was not measured, because there are only "
            f"{tested.controls} nonmembers and at least 100 are needed."
        )
    return tested, name, lacking


def _without(rows: FloatArray, others: FloatArray) -> FloatArray:
    """Return the rows [n, d] that are not among others."""
    return rows[~np.isin(digest_matrix(rows), digest_matrix(others))]


def links_with(
    second: SecondLeak,
    translated: FloatArray,
    texts: Sequence[str] | None,
    corpus: PublicCorpus,
    *,
    has_usable_fit: bool,
    doubtful: str,
    seed: int,
) -> tuple[Linkage | None, str, list[str]]:
    """Return the links with a second leak, why some may be missing, and sentences on what they lack.

    Args:
        second: the second leak. Its repeated rows are kept once, because a row with a copy has no lead.
        translated: translations of the attacked rows [n, d].
        texts: their true texts, if they are known.
        corpus: the public texts.
        has_usable_fit: whether a fit of the audited vectors did not fail.
        doubtful: why the true texts of one of the leaks are probably in another order, or an empty text.
        seed: of the test and its resamples.
    """
    start = "Links with the second leak were not searched for, because"
    usable = [fit for fit in second.alignments if fit.verdict.status is not Status.FAILED]
    if not (has_usable_fit and usable):
        return None, "", [f"{start} no fit of the {'second leak' if has_usable_fit else 'vectors'} worked."]
    vectors = np.asarray(second.vectors, np.float32)
    kept = distinct_rows(vectors)
    few = []
    if len(translated) < MIN_ROWS:
        verb = "is" if len(translated) == 1 else "are"
        few.append(f"{count_of(len(translated))} of the audited collection {verb} attacked")
    if len(kept) < MIN_ROWS:
        few.append(f"the second leak has {count_of(len(kept), 'distinct row')}")
    if few:
        return None, "", [f"{start} {' and '.join(few)}, and at least {MIN_ROWS} of each are needed."]
    lacking, pair = [], None
    if texts is not None and second.texts is not None:
        pair = None if doubtful else (texts, [second.texts[row] for row in kept])
        lacking = [f"How many links are right was not measured. {doubtful}"] if doubtful else []
    other, missing = translate_all(usable, vectors[kept]), ""
    if not are_near(corpus, other, seed):
        missing = (
            f"Links with the second leak may be missing: its translations are not similar to the public "
            f"{corpus.contents}, so its fit is probably wrong."
        )
    return linkage(translated, other, texts=pair, seed=seed), missing, lacking


def _distinct(vectors: npt.ArrayLike) -> FloatArray:
    """Return the distinct rows [n, d] in single precision."""
    rows = np.asarray(vectors, np.float32)
    return rows[distinct_rows(rows)]
