"""Whether texts or labels are in the order of vectors, seen from the vectors' own neighbors.

By any model, nearest neighbors share more words and labels than random rows do if texts or labels are in the order of
the vectors, and about as many as random rows if they are shuffled. Where neighbors share no more than random rows, the
order is another one, or the vectors do not reflect the words or labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import IntArray
from interlingua.core.neighbors import nearest

__all__ = ["COMPARED", "FEWEST", "signs_of_another_order"]

# With fewer rows, chance can hide that texts are in order: 200 to 300 rows in order were at chance in up to four of
# five draws of some corpora, and 400 in none (benchmarks/notes/leakage.md).
FEWEST, _FEWEST_KNOWN = 400, 50
COMPARED, _SHUFFLES, _DEVIATIONS = 2_000, 100, 5.0
# A part of the rows is in another order if its neighbors share hardly more words than random rows do, while those of
# the other parts share more. It must have enough rows, as in interlingua.aligners.side_information, and enough words
# that random rows share some: in parts of 20 and 30 rows of short texts in order, neighbors may share none by chance.
_PARTS, _ROWS_OF_A_PART, _SHARE_OF_EXCESS, _BY_CHANCE = 10, 50, 0.15, 2.0
# Parts are compared only if the neighbors of all rows share at least this many times as many words as random rows.
# With less, as under strong noise, the parts vary by chance.
_LEAST_LIFT = 2.5


def signs_of_another_order(vectors: npt.ArrayLike, contents: Any, what: str = "words") -> str:
    """Return what shows that contents are in another order than vectors, or an empty text.

    Args:
        vectors: [n, d].
        contents: which of c words or labels each row holds, a matrix [n, c] of 0 and 1, sparse or dense.
        what: what the columns of the contents are.

    Returns:
        A clause. It is empty if the contents are in order, and also if there are fewer than 400 rows, or fewer than 50
        with contents, which are too few to tell. Parts of the rows are compared from 500 rows on.
    """
    found = _compared(vectors, contents)
    if found is None:
        return ""
    in_order, lifts = found
    if not in_order:
        return f"the nearest neighbors of a vector share no more {what} with it than random rows do"
    overall = lifts[0]
    wrong = [n for n, lift in enumerate(lifts[1:]) if lift is not None and _at_chance(lift, overall)]
    if not wrong:
        return ""
    first = wrong[0]
    return (
        f"between {first / _PARTS:.0%} and {(first + 1) / _PARTS:.0%} of the rows, the nearest neighbors of a vector "
        f"share hardly more {what} with it than random rows do"
    )


def _at_chance(lift: float, overall: float | None) -> bool:
    return overall is not None and overall >= _LEAST_LIFT and lift < 1 + _SHARE_OF_EXCESS * (overall - 1)


def _compared(vectors: npt.ArrayLike, contents: Any) -> tuple[bool, list[float | None]] | None:
    """Return whether neighbors share more contents than random rows, and how many times as many: all rows, then parts.

    A number is None where random rows share too few contents for the ratio to be known.
    """
    from scipy.sparse import csr_array

    rows, whole = np.asarray(vectors), csr_array(contents, dtype=np.float64)
    whole.eliminate_zeros()
    # Rows without contents, such as empty texts, say nothing about the order.
    known = np.flatnonzero(np.diff(whole.indptr))
    if len(rows) < FEWEST or len(known) < _FEWEST_KNOWN:
        return None
    rng = np.random.default_rng(0)
    picked = known[np.sort(rng.permutation(len(known))[:COMPARED])]
    held = whole[picked]
    sample = np.asarray(rows[picked], np.float32)
    near = nearest(sample, sample, 1, exclude=np.arange(len(sample))).indices[:, 0]

    def shared(order: IntArray) -> npt.NDArray[np.float64]:
        return np.asarray((held[order] * held[order[near]]).sum(axis=1)).ravel()

    own = shared(np.arange(len(sample)))
    null = np.array([shared(rng.permutation(len(sample))).sum() for _ in range(_SHUFFLES)])
    by_chance = np.asarray(held @ np.asarray(held.mean(axis=0)).ravel())
    parts = [
        (float(a.sum()), float(b.sum()))
        for a, b in zip(np.array_split(own, _PARTS), np.array_split(by_chance, _PARTS), strict=True)
        if len(b) >= _ROWS_OF_A_PART
    ]
    total = (float(own.sum()), float(by_chance.sum()))
    lifts = [found / chance if chance >= _BY_CHANCE else None for found, chance in (total, *parts)]
    return bool(own.sum() > null.mean() + _DEVIATIONS * max(float(null.std()), 1.0)), lifts
