"""Identification and verification: whose record a translated vector is, for collections without texts such as faces.

A gallery holds enrolled vectors of known identities in the auditor's space. Rank-1 is the usual figure of
identification, and the equal error rate that of verification (ISO/IEC 19795-1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, check_texts
from interlingua.core.arrays import FloatArray, check_matrix
from interlingua.core.errors import InputError
from interlingua.core.statistics import beyond_control
from interlingua.core.wording import none_of
from interlingua.evaluation.bootstrap import Interval, JsonRecord, Resamples, interval
from interlingua.leakage._checks import check_one_each
from interlingua.leakage._predictions import meaningless
from interlingua.leakage.attributes import label_scores
from interlingua.leakage.centering import collection_mean

__all__ = ["FALSE_ACCEPTS", "IdentityFindings", "identity_findings"]

FALSE_ACCEPTS = 0.01
# Scores are counted in bins of this number over [-1, 1], so that resamples need no sorting.
_BINS = 1_000


@dataclass(frozen=True)
class IdentityFindings(JsonRecord):
    """How well translated vectors tell whose they are.

    Attributes:
        probes: number of rows whose identity is enrolled.
        identities: number of enrolled identities.
        rank1: share of the probes whose nearest identity is right. Control: always the most frequent identity.
        equal_error_rate: error rate of verification where false accepts and false rejects are equally frequent; 0.5 is
            chance, and low means that identities are recognized. Control: translations rotated at random.
        accepted: share of the claims of the right identity that are accepted at 1% false accepts. Control: as before.
    """

    probes: int
    identities: int
    rank1: Interval
    rank1_control: Interval
    equal_error_rate: Interval
    equal_error_rate_control: Interval
    accepted: Interval
    accepted_control: Interval

    @property
    def beyond_control(self) -> float:
        """The share of the probes identified beyond the control, 0 to 1."""
        return beyond_control(self.rank1.value, self.rank1_control.value)


def identity_findings(
    vectors: npt.ArrayLike, gallery: npt.ArrayLike, names: Sequence[str], identities: Sequence[str], *, seed: int = 0
) -> IdentityFindings:
    """Compare translated vectors with a gallery, and measure identification and verification.

    Args:
        vectors: translations in the auditor's space [n, d], all of one collection.
        gallery: one vector of each identity in the auditor's space [l, d].
        names: the l names of the identities.
        identities: the true identity of each of the n rows; rows whose identity is not enrolled are left out.
        seed: seed of the control and the resamples.

    Raises:
        InputError: fewer than two identities, names that repeat, no row of an enrolled identity, or shapes that do
            not match.
    """
    rows, enrolled = check_matrix(vectors, "the vectors").astype(np.float32), check_matrix(gallery, "the gallery")
    names, true = check_texts(names, "names"), check_texts(identities, "identities")
    seed = check_count(seed, "seed")
    check_one_each(len(names), "name", len(enrolled), "row", of_which=" of the gallery")
    check_one_each(len(true), "identity", len(rows), "vector")
    columns = {name: column for column, name in enumerate(names)}
    if len(columns) < len(names):
        raise InputError("The gallery names an identity twice; give one vector of each, such as the mean of its rows.")
    if len(names) < 2:
        raise InputError("The gallery has one identity; two or more are needed to tell them apart.")
    known = np.array([columns.get(name, -1) for name in true])
    probes = np.flatnonzero(known >= 0)
    if not len(probes):
        inside = f"of one of the {len(names)} identities of the gallery"
        raise InputError(f"The vectors: {none_of(len(rows), 'row', f'is {inside}', f'is not {inside}')}.")
    target = known[probes]
    resamples = Resamples(len(probes), seed)
    found, null = (
        label_scores(side[probes], enrolled, mean=collection_mean(side)) for side in (rows, meaningless(rows, seed))
    )
    most = Counter(target.tolist()).most_common(1)[0][0]
    eer, accepted = _verification(found, target, resamples)
    eer_null, accepted_null = _verification(null, target, resamples)
    return IdentityFindings(
        probes=len(probes),
        identities=len(names),
        rank1=resamples.mean(found.argmax(axis=1) == target),
        rank1_control=resamples.mean(target == most),
        equal_error_rate=eer,
        equal_error_rate_control=eer_null,
        accepted=accepted,
        accepted_control=accepted_null,
    )


def _verification(scores: FloatArray, target: npt.NDArray[np.int64], resamples: Resamples) -> tuple[Interval, Interval]:
    """Return the equal error rate, and the share of right claims accepted at 1% false accepts."""
    n, count = scores.shape
    # A higher bin is a lower score, so that cumulative sums accept the best scores first.
    bins = np.clip(((1 - scores) / 2 * _BINS).astype(np.int64), 0, _BINS - 1)
    genuine = np.zeros((n, _BINS), np.float32)
    genuine[np.arange(n), bins[np.arange(n), target]] = 1
    cells = bins + _BINS * np.arange(n)[:, None]
    others = np.bincount(cells.ravel(), minlength=n * _BINS).reshape(n, _BINS) - genuine
    rates = [np.cumsum(resamples.sums(side), axis=1) for side in (genuine, others)]
    accepts, false_accepts = rates[0] / rates[0][:, -1:], rates[1] / (rates[1][:, -1:])
    rejects = 1 - accepts
    rows = np.arange(len(rejects))
    # The first threshold at which false accepts are at least as frequent as false rejects, and the one before it.
    after = (false_accepts >= rejects).argmax(axis=1)
    before = np.maximum(after - 1, 0)
    gap_before = (rejects - false_accepts)[rows, before]
    gap_after = (rejects - false_accepts)[rows, after]
    span = gap_before - gap_after
    share = np.where(span > 0, gap_before / np.where(span > 0, span, 1), 0.0)
    share = np.clip(share, 0, 1)
    errors = rejects[rows, before] + share * (rejects[rows, after] - rejects[rows, before])
    # Where already the first threshold has more false accepts, both rates are in one bin.
    errors = np.where(after == 0, (rejects[rows, 0] + false_accepts[rows, 0]) / 2, errors)
    last = np.maximum((false_accepts <= FALSE_ACCEPTS).sum(axis=1) - 1, 0)
    within = false_accepts[rows, last] <= FALSE_ACCEPTS
    return interval(errors), interval(np.where(within, accepts[rows, last], 0.0))
