"""Linkage: which rows of two leaked collections of different models hold the same text.

Both collections are translated into the auditor's space, and every row looks for its nearest row on the other side.
Two collections of one kind have similar rows without sharing a text, so that the nearest row is no link by itself. It
is one if it stands out: if its lead over the second nearest is larger than leads are by chance. What they are by chance
is seen further down. With the scores ``s_1 >= s_2 >= ...`` of a row, the normalized spacings ``D_k = k (s_k - s_k+1)``
have one distribution for all k where the tail of the scores is exponential (Rényi 1953). The tail of cosines is
lighter, and there the spacings at the top are smaller: without shared texts, ``E D_1 / E D_2`` is at most about
``E D_2 / E D_3`` in the collections that were measured (benchmarks/notes/leakage.md). A lead ``D_1`` is therefore
compared with ``D_2`` times ``E D_2 / E D_3``. The combination is a method of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, check_instance, check_texts
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, row_blocks
from interlingua.core.neighbors import nearest
from interlingua.evaluation.bootstrap import Interval, JsonRecord, Resamples
from interlingua.leakage._checks import check_one_each
from interlingua.leakage.centering import center_by_own_mean

__all__ = ["FALSE_LINKS", "MIN_ROWS", "P_VALUE", "Linkage", "MeasuredLinks", "link_rows", "linkage"]

MIN_ROWS = 100
# Share of rows that would be linked at most without any shared text.
FALSE_LINKS = 0.01
# Links that were not measured are called shown up to this p-value, measured ones from this number of right links on.
P_VALUE = 0.01
_LINKS_SHOWN = 5
_BLOCK = 512
_NEIGHBORS = 10
# Leads, their control, and the spacings that correct the control for the light tail of cosines.
_SPACINGS = 3


@dataclass(frozen=True)
class MeasuredLinks(JsonRecord):
    """Links against the true texts of both collections.

    Attributes:
        shared: share of the rows of the first collection whose text is in the second.
        precision: share of the links between equal texts.
        precision_control: the same for the same links with their ends permuted.
        recall: share of the rows with a shared text whose link is right.
    """

    shared: float
    precision: Interval
    precision_control: float
    recall: Interval


@dataclass(frozen=True)
class Linkage(JsonRecord):
    """What two leaked collections reveal about each other.

    Attributes:
        linked: share of the rows of the first collection with a link into the second.
        expected: the largest share that would be linked if the collections shared no text.
        p_value: bootstrap test of ``E D_1 E D_3 > (E D_2)^2``: whether leads are larger than by chance. Without shared
            texts it is rarely small. It misses collections that share few of their texts: medical notes, a quarter of
            which were shared, had values of 0.1 to 0.8.
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
        if self.measured is None:
            return None
        return round(self.measured.precision.value * self.links) if self.links else 0

    @property
    def is_shown(self) -> bool:
        """Whether rows are linked by more than chance.

        Where links were measured, five or more are right, and more of them than if their ends were permuted. The
        bootstrap test decides without the true texts, and it can miss shared texts.
        """
        if self.measured is None or self.right_links is None:
            return self.p_value <= P_VALUE
        precision = self.measured.precision
        low = precision.value if precision.low is None else precision.low
        return self.right_links >= _LINKS_SHOWN and low > self.measured.precision_control


def link_rows(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return for each row of the first collection the nearest row of the second, its lead, and a control, [n] each.

    The score of two rows is a cosine, corrected for hubs: less half the mean cosine of the second row with its ten
    nearest rows of the first collection. The lead is the score of the nearest row less that of the second nearest, and
    the control is what leads are by chance: twice the score of the second nearest less that of the third, times the
    ratio that corrects for the light tail of cosines (see the module).

    Args:
        first: translations of the first collection [n, d].
        second: translations of the second collection into the same space [m, d].

    Raises:
        InputError: the widths differ, or fewer than 100 rows on a side.
    """
    links, spacings = _nearest_and_spacings(first, second)
    return links, spacings[:, 0], _controls(spacings)


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
        second: translations of the second collection into the same space [m, d].
        texts: the true texts of both collections, to measure; equal texts are links.
        seed: seed of the resamples.

    Raises:
        InputError: as :func:`link_rows`, or not one text per row.
    """
    seed = check_count(seed, "seed")
    check_instance(texts, "texts", (tuple, type(None)), "a tuple of the texts of both collections")
    links, spacings = _nearest_and_spacings(first, second)
    n, m = len(links), len(np.asarray(second))
    linked = spacings[:, 0] > float(np.quantile(_controls(spacings), 1 - FALSE_LINKS))
    resamples = Resamples(n, seed)
    # The first row of the sums is the sample itself. In the resamples, the ratio of the control varies as well.
    first_sum, second_sum, third_sum = resamples.sums(spacings)[1:].T
    by_chance = int((first_sum * third_sum <= second_sum**2).sum())
    measured = None if texts is None else _measure(links, linked, texts, m, resamples, seed)
    return Linkage(resamples.mean(linked), FALSE_LINKS, (1 + by_chance) / (1 + resamples.draws), (n, m), measured)


def _nearest_and_spacings(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[IntArray, FloatArray]:
    """Return the nearest row of the second collection [n], and the first three normalized spacings of scores [n, 3]."""
    a = check_matrix(first, "the first collection", min_rows=MIN_ROWS)
    b = check_matrix(second, "the second collection", width=a.shape[1], min_rows=MIN_ROWS)
    a, b = (center_by_own_mean(side) for side in (a, b))
    hubs = np.asarray(nearest(b, a, _NEIGHBORS)[1]).mean(axis=1) / 2
    links, spacings = [], []
    for block in row_blocks(len(a), _BLOCK):
        scores = a[block] @ b.T - hubs
        largest = -np.sort(np.partition(-scores, _SPACINGS, axis=1)[:, : _SPACINGS + 1], axis=1)
        links.append(scores.argmax(axis=1))
        spacings.append((largest[:, :-1] - largest[:, 1:]) * np.arange(1, _SPACINGS + 1))
    return np.concatenate(links), np.concatenate(spacings).astype(np.float32)


def _controls(spacings: FloatArray) -> FloatArray:
    """Return what the leads of rows are by chance [n], from their spacings [n, 3]."""
    means = spacings.mean(axis=0)
    # Where all rows of the second collection are equal, there are no spacings at all.
    return np.asarray(spacings[:, 1] * (means[1] / means[2] if means[2] > 0 else 1.0))


def _measure(
    links: IntArray,
    linked: npt.NDArray[np.bool_],
    texts: tuple[Sequence[str], Sequence[str]],
    m: int,
    resamples: Resamples,
    seed: int,
) -> MeasuredLinks:
    left, right = (check_texts(side, "texts") for side in texts)
    check_one_each(len(left), "texts", len(links), "rows of the first collection")
    check_one_each(len(right), "texts", m, "rows of the second collection")
    ends = [right[row] for row in links]
    right_links = np.array([text == end for text, end in zip(left, ends, strict=True)])
    known = set(right)
    shared = np.array([text in known for text in left])
    shuffled = np.random.default_rng(seed).permutation(len(ends))
    wrong = [left[row] == ends[other] for row, other in enumerate(shuffled)]
    return MeasuredLinks(
        shared=float(shared.mean()),
        precision=resamples.ratio(right_links & linked, linked),
        precision_control=float(np.mean(wrong)),
        recall=resamples.ratio(right_links & linked & shared, shared),
    )
