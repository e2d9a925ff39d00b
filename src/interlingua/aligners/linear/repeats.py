"""Repeated rows: one representative for each group of copies and near-copies.

A text that is stored many times outweighs all others: the mean moves toward it, and every coupling has to match it with
something. The other side repeats other texts or none. So each text counts once, whatever its share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from interlingua.aligners.base import OnStep, Problem, ignore_step, insufficient_rows_reason
from interlingua.aligners.frames import NEAR_COPY
from interlingua.core.arrays import FloatArray, IntArray, row_blocks, unit_rows
from interlingua.core.backend import parallel_map
from interlingua.core.errors import InputError, named_side

__all__ = ["DistinctRows", "distinct_rows", "merge_copies", "merged_labels"]

# Near-copies stand out where many more pairs lie beyond `NEAR_COPY` than just below it: 13 times as many for copies
# with noise of 0.3 of their length, but at most 1.2 times as many in a continuous distribution, as in a narrow space.
_BELOW, _STAND_OUT, _SAMPLED_ROWS = 0.8, 4, 4000
_COARSE = 64
_BLOCK = 1024
# Comparing all rows with each other is quadratic. Beyond this many distinct rows only exact copies are merged.
_MAX_ROWS = 50_000


@dataclass(frozen=True, eq=False)
class DistinctRows:
    """The rows of one side with copies merged.

    Attributes:
        rows: [g, d], float32, one per group: the mean of its unit rows, of unit norm.
        group: [n], the index in ``rows`` of every input row.
        exact: how many rows are exact copies of an earlier row.
        near: how many further rows are near-copies of an earlier row.
    """

    rows: FloatArray
    group: IntArray
    exact: int
    near: int

    def to_dict(self) -> dict[str, Any]:
        """Return the counts for a report, with the share of all rows that the largest group holds."""
        largest = int(np.bincount(self.group).max())
        return {
            "rows": len(self.group),
            "distinct": len(self.rows),
            "exact_copies": self.exact,
            "near_copies": self.near,
            "largest_share": largest / len(self.group),
        }


def merge_copies(problem: Problem, on_step: OnStep = ignore_step) -> Problem:
    """Return a problem in which copies and near-copies of a row are one row each, and report their counts.

    A problem without copies is returned as it is.

    Args:
        problem: both sides.
        on_step: called with the counts of each side.

    Raises:
        InputError: too few distinct rows on a side.
    """
    names = ("source", "target")
    sides = parallel_map(distinct_rows, problem.rows)
    if any(map(insufficient_rows_reason, names, (side.rows for side in sides))):
        # So few groups mean clustered data and not copies.
        sides = [distinct_rows(rows, near=None) for rows in problem.rows]
    counts = {
        f"{name}_{key}": value for name, side in zip(names, sides, strict=True) for key, value in side.to_dict().items()
    }
    on_step({"step": "copies", **counts})
    if not any(side.exact or side.near for side in sides):
        return problem
    # Distinct rows are unit rows; they are scaled back to the length of the input rows.
    lengths = [np.float32(frame.norm) for frame in problem.frames]
    rows = tuple(length * side.rows for length, side in zip(lengths, sides, strict=True))
    reason = next(filter(None, map(insufficient_rows_reason, map(named_side, names), rows)), None)
    if reason:
        raise InputError(f"Without copies of other rows, {reason} Give vectors of more texts.")
    first = np.unique(sides[1].group, return_index=True)[1]
    views = tuple(view[first] for view in problem.views)
    return replace(problem, rows=(rows[0], rows[1]), labels=merged_labels(problem, sides), views=views)


def distinct_rows(vectors: FloatArray, *, near: float | None = NEAR_COPY, max_rows: int = _MAX_ROWS) -> DistinctRows:
    """Merge copies and near-copies among ``vectors`` [n, d]; the order of first appearance stays.

    Args:
        vectors: [n, d], finite, no zero row. Rows that differ by a positive factor count as near-copies.
        near: smallest cosine of centered unit rows that are near-copies. They are merged only where four
            times as many pairs of rows lie beyond this cosine as between 0.8 and it. None merges exact copies only.
        max_rows: with more distinct rows than this, only exact copies are merged.
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    first, group = _exact_groups(rows)
    unit = unit_rows(rows[first])
    exact = len(rows) - len(first)
    if near is None or len(first) > max_rows:
        return DistinctRows(unit, group, exact, 0)
    centered = unit_rows(unit - unit.mean(axis=0))
    if not _has_near_copies(centered, near):
        return DistinctRows(unit, group, exact, 0)
    leader = _near_groups(centered, near)
    merged = int(leader.max()) + 1
    near_copies = len(first) - merged
    if near_copies:
        total = np.zeros((merged, rows.shape[1]), np.float32)
        np.add.at(total, leader, unit)
        unit = unit_rows(total)
    return DistinctRows(unit, leader[group], exact, near_copies)


def merged_labels(problem: Problem, sides: list[DistinctRows]) -> tuple[IntArray, IntArray] | None:
    """Return the categories of merged rows: that of their rows, or -1 where these have none or several."""
    if problem.labels is None:
        return None
    merged = []
    for labels, side in zip(problem.labels, sides, strict=True):
        known = labels >= 0
        least = np.full(len(side.rows), np.iinfo(np.int64).max)
        most = np.full(len(side.rows), -1)
        np.minimum.at(least, side.group[known], labels[known])
        np.maximum.at(most, side.group[known], labels[known])
        merged.append(np.where(least == most, most, -1))
    return merged[0], merged[1]


def _exact_groups(rows: FloatArray) -> tuple[IntArray, IntArray]:
    """Return the first index of each distinct row [g], in order, and the group of every row [n]."""
    words = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order], np.argsort(order)[inverse]


def _has_near_copies(centered: FloatArray, near: float) -> bool:
    """Return whether four times as many pairs of rows [n, d] lie beyond a cosine of ``near`` as between 0.8 and it."""
    # Drawn at random, because copies may lie beside each other.
    rows = centered[np.random.default_rng(0).permutation(len(centered))[:_SAMPLED_ROWS]]
    beyond, below = -len(rows), 0  # every row is nearest to itself
    for block in row_blocks(len(rows), _BLOCK):
        cosines = rows[block] @ rows.T
        beyond += int((cosines >= near).sum())
        below += int(((cosines >= _BELOW) & (cosines < near)).sum())
    return beyond > _STAND_OUT * below


def _near_groups(centered: FloatArray, near: float) -> IntArray:
    """Return the group of every row [n]: that of the nearest earlier leader within reach, or a new one that it leads.

    A leader is never a near-copy of another leader, and every row is near its own, so groups cannot grow by chains.
    """
    _, axes = np.linalg.eigh(centered.T @ centered)
    coarse = unit_rows(centered @ axes[:, ::-1][:, :_COARSE])
    group = np.full(len(centered), -1, np.int64)
    leaders = np.zeros(0, np.int64)
    for block in row_blocks(len(centered), _BLOCK):
        rows = np.arange(block.start, block.stop)
        if len(leaders):
            # The nearest leader in few coordinates is the only candidate, and all coordinates decide.
            nearest = (coarse[rows] @ coarse[leaders].T).argmax(axis=1)
            cosine = np.einsum("ij,ij->i", centered[rows], centered[leaders[nearest]])
            group[rows] = np.where(cosine >= near, nearest, -1)
            rows = rows[cosine < near]
        close = centered[rows] @ centered[rows].T >= near
        fresh: list[int] = []
        for i, row in enumerate(rows):
            if group[row] < 0:
                members = rows[close[i] & (group[rows] < 0)]
                group[members] = group[row] = len(leaders) + len(fresh)
                fresh.append(int(row))
        leaders = np.concatenate([leaders, np.array(fresh, np.int64)])
    return group
