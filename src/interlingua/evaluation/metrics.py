"""Paired scores on arrays: row ``i`` of both matrices is the same text.

Every function returns one value per row, so that means and intervals are taken in one place (`interlingua.evaluation`).
No solver imports this module: a fit that sees paired scores would select on the answers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_count, check_flag
from interlingua.core.arrays import FloatArray, as_array, check_matrix, row_blocks, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.neighbors import mean_nearest_cosines

__all__ = ["TIE", "match_ranks", "paired_cosine", "ranks_among"]

# Cosines closer than this count as equal. It is above the rounding error of a float32 dot product and far below any
# relevant difference, so duplicates tie in whatever order BLAS sums their products.
TIE = 1e-6

# Entries of one block of the similarity matrix (32 MiB of float32).
_BLOCK_ENTRIES = 2**23


def paired_cosine(a: npt.ArrayLike, b: npt.ArrayLike, *, mean: FloatArray | None = None) -> npt.NDArray[np.float64]:
    """Return the cosine of every row of ``a`` with the same row of ``b``.

    Args:
        a: vectors [n, d].
        b: vectors [n, d] of the same texts.
        mean: [d], subtracted from the unit rows of *both* sides. Text embeddings share a large mean vector that raises
            the cosine of any two rows; with the mean unit row of the real side the score of unrelated rows is about 0.

    Returns:
        Cosines in [-1, 1], [n]; 0 where a row equals the mean.

    Raises:
        InputError: shapes differ, or a matrix cannot be used.
    """
    left, right = _unit_pair(a, b)
    if mean is not None:
        mean = check_matrix(as_array(mean, "mean")[None], "mean", width=left.shape[1], allow_zero_rows=True)[0]
        left, right = unit_rows(left - mean), unit_rows(right - mean)
    return np.asarray(np.einsum("ij,ij->i", left, right, dtype=np.float64))


def match_ranks(
    queries: npt.ArrayLike, candidates: npt.ArrayLike, *, csls: bool = False, k: int = 10
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the rank of the true match of every row, seen from either side.

    Rows are compared by cosine, or by ``csls(q, c) = 2 cos(q, c) - r(q) - r(c)`` with ``r`` the mean cosine of a row
    to its ``k`` nearest rows on the other side (Conneau et al. 2018, section 2.3), which removes the advantage of
    hubs. The best rank is 1. Ties (closer than `TIE`) share their mean rank, so a collapsed translator, for which all
    candidates are equal, has rank ``(n + 1) / 2`` and not 1.

    Args:
        queries: vectors [n, d].
        candidates: vectors [n, d] of the same texts.
        csls: rank by CSLS instead of by the cosine.
        k: size of the CSLS neighborhood; at most n is used.

    Returns:
        Two arrays [n] with values in [1, n]: the rank of candidate ``i`` among all candidates for query ``i``, and the
        rank of query ``i`` among all queries for candidate ``i``.

    Raises:
        InputError: shapes differ, or a matrix cannot be used.
    """
    check_flag(csls, "csls")
    k = check_count(k, "k", minimum=1)
    q, c = _unit_pair(queries, candidates)
    n = len(q)
    penalties = mean_nearest_cosines(q, c, k) if csls else np.zeros((2, n), q.dtype)
    penalty_q, penalty_c = (values / 2 for values in penalties)
    true = np.einsum("ij,ij->i", q, c, dtype=np.float64) - penalty_q - penalty_c
    above, below = (true + TIE).astype(q.dtype), (true - TIE).astype(q.dtype)

    query_ranks = np.empty(n)
    candidate_sums = np.zeros(n)
    for rows in row_blocks(n, max(1, _BLOCK_ENTRIES // n)):
        scores = q[rows] @ c.T
        scores -= penalty_q[rows, None]
        scores -= penalty_c
        better = np.count_nonzero(scores > above[rows, None], axis=1)
        as_good = np.count_nonzero(scores >= below[rows, None], axis=1)
        query_ranks[rows] = (better + as_good + 1) / 2  # as_good counts the match itself
        candidate_sums += np.count_nonzero(scores > above, axis=0)
        candidate_sums += np.count_nonzero(scores >= below, axis=0)
    return query_ranks, (candidate_sums + 1) / 2


def ranks_among(queries: npt.ArrayLike, candidates: npt.ArrayLike, others: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the rank [n] of the true match of every query among all candidates and further rows, by cosine.

    Args:
        queries: vectors [n, d].
        candidates: vectors [n, d] of the same texts.
        others: vectors [m, d] of other texts.

    Raises:
        InputError: shapes differ, or a matrix cannot be used.
    """
    q, c = _unit_pair(queries, candidates)
    more = unit_rows(check_matrix(others, "the other rows", width=q.shape[1]).astype(np.float32))
    rows = np.concatenate([c, more])
    true = np.einsum("ij,ij->i", q, c, dtype=np.float64)
    above, below = (true + TIE).astype(q.dtype), (true - TIE).astype(q.dtype)
    ranks = np.empty(len(q))
    for block in row_blocks(len(q), max(1, _BLOCK_ENTRIES // len(rows))):
        scores = q[block] @ rows.T
        better = np.count_nonzero(scores > above[block, None], axis=1)
        ranks[block] = (better + np.count_nonzero(scores >= below[block, None], axis=1) + 1) / 2
    return ranks


def _unit_pair(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    left, right = check_matrix(a, "the first matrix"), check_matrix(b, "the second matrix")
    if left.shape != right.shape:
        raise InputError(
            f"the matrices have shapes {left.shape} and {right.shape}; paired scores need row i of both to be the "
            "same text in the same space. Translate one side first and keep the same rows on both."
        )
    return unit_rows(left.astype(np.float32)), unit_rows(right.astype(np.float32))
