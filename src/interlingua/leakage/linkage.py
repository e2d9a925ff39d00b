"""Linkage: which rows of two leaked collections of different models hold the same text.

Both collections are translated into the auditor's space, and every row looks for its nearest row on the other side.
Two collections of one kind have similar rows without sharing a text, so that the nearest row is no link by itself. It
is one if it stands out: if its lead over the second nearest is larger than leads are by chance. What they are by chance
is seen one place further down: without shared texts, the lead of the first over the second and twice the lead of the
second over the third have about the same distribution (normalized spacings of exponential tails; Rényi 1953).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from interlingua.core.arguments import check_count, check_instance, check_texts
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, row_blocks
from interlingua.core.neighbors import nearest
from interlingua.evaluation.bootstrap import Interval, JsonRecord, Resamples
from interlingua.leakage._checks import check_one_each
from interlingua.leakage.centering import center_by_own_mean

__all__ = ["FALSE_LINKS", "MIN_ROWS", "PERMUTATIONS", "P_VALUE", "Linkage", "MeasuredLinks", "link_rows", "linkage"]

MIN_ROWS = 100
PERMUTATIONS = 999
# Nominal share of rows linked without any shared text: exact if leads and their controls have one distribution.
FALSE_LINKS = 0.01
# Rows are linked up to this p-value, or from this number of right links on if links were measured.
P_VALUE = 0.01
_LINKS_SHOWN = 5
_BLOCK = 512
_NEIGHBORS = 10


@dataclass(frozen=True)
class MeasuredLinks(JsonRecord):
    """Links against the true texts of both collections.

    Texts are equal up to blanks and capitals. Rows without a text are left out.

    Attributes:
        rows: number of rows of the first collection whose text is known.
        shared: share of them whose text is in the second collection.
        compared: number of links between known texts.
        right: number of links between equal texts.
        precision: share of the links between known texts that are between equal ones.
        precision_control: the same for the same links with their ends permuted.
        recall: share of the rows with a shared text whose link is right.
    """

    rows: int
    shared: float
    compared: int
    right: int
    precision: Interval
    precision_control: float
    recall: Interval


@dataclass(frozen=True)
class Linkage(JsonRecord):
    """What two leaked collections reveal about each other.

    Attributes:
        linked: share of the rows of the first collection with a link into the second.
        expected: the nominal share that would be linked if the collections shared no text. It holds if leads and their
            controls have the same distribution, and it is not a bound.
        p_value: permutation test of whether leads are larger than by chance; the null exchanges, in each row, the lead
            with the lead one place further down. It is conservative: without shared texts fewer rows than expected are
            linked, so that it can miss collections that share half of their texts.
        rows: number of rows on each side.
        measured: links against the true texts, if they are known.
    """

    linked: Interval
    expected: float
    p_value: float
    rows: tuple[int, int]
    measured: MeasuredLinks | None

    @property
    def links(self) -> int:
        """Number of linked rows."""
        return round(self.linked.value * self.rows[0])

    @property
    def right_links(self) -> int | None:
        """Number of links that are right; None where that was not measured."""
        return None if self.measured is None else self.measured.right

    @property
    def are_right(self) -> bool:
        """Whether five or more links are right, and more than with their ends permuted."""
        if self.measured is None or self.measured.right < _LINKS_SHOWN:
            return False
        return self.measured.precision.lower > self.measured.precision_control

    @property
    def is_shown(self) -> bool:
        """Whether rows are linked by more than chance: by the permutation test, which is conservative, or by the texts.

        True texts do not refute the test: those of one leak can be spelled differently, or be in another order.
        """
        return self.p_value <= P_VALUE or self.are_right


def link_rows(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return for each row of the first collection the nearest row of the second, its lead, and a control, [n] each.

    The score of two rows is a cosine, corrected for hubs: less half the mean cosine of the second row with its ten
    nearest rows of the first collection. The lead is the score of the nearest row less that of the second nearest, and
    the control twice the score of the second nearest less that of the third.

    Args:
        first: translations of the first collection [n, d].
        second: translations of the second collection into the same space [m, d], without repeated rows: a row that has
            a copy has no lead.

    Raises:
        InputError: the widths differ, or fewer than 100 rows on a side.
    """
    a = check_matrix(first, "the first collection", min_rows=MIN_ROWS)
    b = check_matrix(second, "the second collection", width=a.shape[1], min_rows=MIN_ROWS)
    a, b = (center_by_own_mean(side) for side in (a, b))
    hubs = np.asarray(nearest(b, a, _NEIGHBORS)[1]).mean(axis=1) / 2
    links, leads, controls = [], [], []
    for block in row_blocks(len(a), _BLOCK):
        scores = a[block] @ b.T - hubs
        best = np.argpartition(-scores, 2, axis=1)[:, :3]
        ordered = -np.sort(-np.take_along_axis(scores, best, axis=1), axis=1)
        links.append(scores.argmax(axis=1))
        leads.append(ordered[:, 0] - ordered[:, 1])
        controls.append(2 * (ordered[:, 1] - ordered[:, 2]))
    return np.concatenate(links), np.concatenate(leads), np.concatenate(controls)


def linkage(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    texts: tuple[Sequence[str], Sequence[str]] | None = None,
    seed: int = 0,
) -> Linkage:
    """Measure how many rows of two leaked collections can be linked.

    Args:
        first: translations of the first collection into the auditor's space, without pairs [n, d].
        second: translations of the second collection into the same space, without repeated rows [m, d].
        texts: the true texts of both collections, to measure; equal texts are links.
        seed: seed of the permutations and the resamples.

    Raises:
        InputError: as :func:`link_rows`, or not one text per row.
    """
    seed = check_count(seed, "seed")
    check_instance(texts, "texts", (tuple, type(None)), "a tuple of the texts of both collections")
    links, leads, controls = link_rows(first, second)
    n, m = len(links), len(np.asarray(second))
    linked = leads > float(np.quantile(controls, 1 - FALSE_LINKS))
    resamples = Resamples(n, seed)
    # Without shared texts the lead and its control can be exchanged in every row: the sign of a difference is random.
    # Ranks, because a few large leads would decide a sum.
    ranks = rankdata(np.abs(leads - controls)) * np.sign(leads - controls)
    rng = np.random.default_rng(seed)
    drawn = [float((rng.choice((-1.0, 1.0), n) * ranks).sum()) for _ in range(PERMUTATIONS)]
    exceeding = sum(value >= ranks.sum() for value in drawn)
    measured = None if texts is None else _measure(links, linked, texts, m, resamples, seed)
    return Linkage(resamples.mean(linked), FALSE_LINKS, (1 + exceeding) / (1 + PERMUTATIONS), (n, m), measured)


def _measure(
    links: IntArray,
    linked: npt.NDArray[np.bool_],
    texts: tuple[Sequence[str], Sequence[str]],
    m: int,
    resamples: Resamples,
    seed: int,
) -> MeasuredLinks:
    left, right = (check_texts(side, "texts") for side in texts)
    check_one_each(len(left), "text", len(links), "row", of_which=" of the first collection")
    check_one_each(len(right), "text", m, "row", of_which=" of the second collection")
    # Only rows whose own text and whose end's text are known can be right or wrong.
    own, ends = _spellings(left), _spellings([right[row] for row in links])
    texts_there = set(_spellings(right)) - {""}
    has_text = np.array([bool(text) for text in own])
    compared = has_text & np.array([bool(text) for text in ends])
    equal = np.array([text == end for text, end in zip(own, ends, strict=True)])
    shared = np.array([text in texts_there for text in own])
    starts = np.flatnonzero(linked & compared)
    shuffled = np.random.default_rng(seed).permutation(starts)
    wrong = [own[row] == ends[other] for row, other in zip(starts, shuffled, strict=True)]
    right_links = linked & compared & equal
    return MeasuredLinks(
        rows=int(has_text.sum()),
        shared=float(shared.sum() / max(1, has_text.sum())),
        compared=int((linked & compared).sum()),
        right=int(right_links.sum()),
        precision=resamples.ratio(right_links, linked & compared),
        precision_control=float(np.mean(wrong)) if wrong else 0.0,
        recall=resamples.ratio(right_links & shared, shared),
    )


def _spellings(texts: Sequence[str]) -> list[str]:
    """Return texts without the differences in blanks and capitals that a second system may have made."""
    return [" ".join(text.split()).casefold() for text in texts]
