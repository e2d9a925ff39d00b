"""Exact nearest neighbors in bounded memory: search, CSLS, mutual neighbors, and the overlap of neighbor graphs.

No function holds a similarity matrix [n, m], except `csls`, whose result is one. The others work on tiles of
`TILE_ENTRIES` similarities, so 100,000 rows per side need no more memory than 10,000.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_choice, check_count
from interlingua.core.arrays import FloatArray, IntArray, row_blocks, unit_rows
from interlingua.core.backend import Array, largest, namespace, parallel_map, row_parts, sequential_map, sparse_ones
from interlingua.core.errors import InputError

__all__ = [
    "CSLS_NEIGHBORS",
    "TILE_ENTRIES",
    "Metric",
    "Nearest",
    "csls",
    "csls_blocks",
    "mean_nearest_cosines",
    "mutual_neighbors",
    "nearest",
    "nearest_in_blocks",
    "neighbor_overlap",
]

Metric = Literal["cosine", "dot", "l2"]

# Neighbors behind the correction, as in Conneau et al. (ICLR 2018).
CSLS_NEIGHBORS = 10
# Similarities of one tile: 32 MiB in float32.
TILE_ENTRIES = 2**23
# Similarities that `mutual_neighbors` keeps: 256 MB.
_KEPT_SIMILARITIES = 64_000_000
# Columns of a tile of `nearest`; its rows follow from the number of entries.
_TILE_COLUMNS = 8_192


class Nearest(NamedTuple):
    """The nearest rows of each query, best first; equal scores are ordered by row number.

    Attributes:
        indices: [n, k], row numbers.
        scores: [n, k], similarities; the negative distance for ``l2``.
    """

    indices: IntArray
    scores: FloatArray


def nearest(
    queries: FloatArray, rows: FloatArray, k: int, *, metric: Metric = "cosine", exclude: IntArray | None = None
) -> Nearest:
    """Return the ``k`` rows nearest to each query, by comparing every query with every row.

    Computed in float32, or in float64 for float64 input and for ``l2``, where differences of squares cancel.

    Args:
        queries: [n, d].
        rows: [m, d]; a memory map stays one.
        k: neighbors; at most the number of rows is used, one less with ``exclude``.
        metric: ``cosine``, ``dot`` (inner product) or ``l2`` (Euclidean distance).
        exclude: [n], for each query the number of one row that is not a neighbor, usually the query itself.

    Raises:
        InputError: the widths differ, or ``k`` is below 1, or no row is left.
    """
    k = check_count(k, "k")
    check_choice(metric, "metric", get_args(Metric))
    n, m = len(queries), len(rows)
    limit = m if exclude is None else m - 1
    if queries.shape[1:] != rows.shape[1:]:
        raise InputError(
            f"queries have shape {queries.shape} and rows {rows.shape}; equal widths are needed. "
            "Translate one side into the space of the other first."
        )
    if k < 1 or limit < 1:
        raise InputError(f"k is {k} for {limit} candidate rows; at least 1 of each is needed.")
    k = min(k, limit)
    is_double = metric == "l2" or np.float64 in (queries.dtype, rows.dtype)
    dtype: np.dtype[Any] = np.dtype(np.float64 if is_double else np.float32)
    indices, scores = np.empty((n, k), np.int64), np.empty((n, k), dtype)
    size = max(1, TILE_ENTRIES // min(m, _TILE_COLUMNS))
    for block in row_blocks(n, size):
        left = _prepared(queries[block], metric, dtype)
        best = Nearest(np.empty((len(left), 0), np.int64), np.empty((len(left), 0), dtype))
        for columns in row_blocks(m, _TILE_COLUMNS):
            tile = _similarities(left, _prepared(rows[columns], metric, dtype), metric)
            if exclude is not None:
                own = exclude[block] - columns.start
                inside = np.flatnonzero((own >= 0) & (own < tile.shape[1]))
                tile[inside, own[inside]] = -np.inf
            best = _merged(best, _top(tile, k), columns.start, k)
        indices[block], scores[block] = best
    return Nearest(indices, scores)


def nearest_in_blocks(queries: FloatArray, blocks: Iterable[FloatArray], k: int) -> Nearest:
    """Return the result of `nearest` by cosine for rows that are read block by block, of which one at a time is held.

    Args:
        queries: [n, d].
        blocks: consecutive rows [b, d], numbered from the first on; a block may be empty.
        k: neighbors; at most the number of rows is used.

    Raises:
        InputError: anything `nearest` refuses, or no rows.
    """
    best, start = None, 0
    for rows in blocks:
        if not len(rows):
            continue
        found = nearest(queries, rows, k)
        best = found if best is None else _merged(best, found, start, k)
        start += len(rows)
    if best is None:
        raise InputError("There are no rows to compare with; at least 1 is needed.")
    return best


def neighbor_overlap(
    a: FloatArray, b: FloatArray, k: int, *, queries: IntArray | None = None
) -> npt.NDArray[np.float64]:
    """Return for each row the share of its ``k`` nearest other rows by cosine in ``a`` that are so in ``b`` as well.

    Neighbors are those of a cosine search: a row's length has no influence.

    Args:
        a: [n, d].
        b: [n, e], the same items in another space, in the same order.
        k: neighbors; fewer than n.
        queries: numbers of the rows whose neighbors are compared; all by default.

    Returns:
        Shares [n] in [0, 1], or one for each query.

    Raises:
        InputError: the sides differ in rows, or there are no k other rows.
    """
    if len(a) != len(b) or not 1 <= k < len(a):
        raise InputError(f"There are {len(a):,} and {len(b):,} rows; equally many are needed, and more than {k}.")
    chosen = np.arange(len(a)) if queries is None else np.asarray(queries)
    first, second = (nearest(side[chosen], side, k, exclude=chosen).indices for side in (a, b))
    # Every index appears at most once in a row, so equal neighbors in the sorted union are the shared ones.
    union = np.sort(np.concatenate([first, second], axis=1), axis=1)
    return np.asarray((union[:, 1:] == union[:, :-1]).sum(axis=1) / k)


def mean_nearest_cosines(a: Array, b: Array, k: int = CSLS_NEIGHBORS) -> tuple[Array, Array]:
    """Return for each row the mean cosine to its ``k`` nearest rows on the other side, [n] and [m].

    Large for hubs, rows that are near to many others. Takes numpy arrays or torch tensors.

    Args:
        a: unit rows [n, d].
        b: unit rows [m, d].
        k: neighbors; at most n and m are used.
    """
    xp = namespace(b)
    k = min(k, a.shape[0], b.shape[0])
    of_a, best = [], None
    for block in row_blocks(a.shape[0], _tile_rows(b)):
        means, top = _tile_means(a[block] @ b.T, k)
        of_a.append(means)
        top = top if best is None else xp.concat([best, top], axis=1)
        best = top if top.shape[1] <= k else largest(top, k, axis=1)
    return xp.concat(of_a), xp.mean(best, axis=1)


def csls(a: Array, b: Array, *, k: int = CSLS_NEIGHBORS) -> Array:
    """Return hub-corrected similarities ``2 cos(x, y) - r(x) - r(y)`` [n, m]; `csls_blocks` yields them in blocks.

    ``r`` is the mean cosine of a row to its ``k`` nearest rows on the other side (Conneau et al., ICLR 2018, section
    2.3). Takes numpy arrays or torch tensors.

    Args:
        a: rows [n, d] of any length.
        b: unit rows [m, d].
        k: neighbors; at most n and m are used.
    """
    xp = namespace(b)
    similarity = _directions(a) @ b.T
    of_a, best = _tile_means(similarity, min(k, *similarity.shape))
    return _corrected(similarity, of_a, xp.mean(best, axis=1))


def csls_blocks(a: Array, b: Array, *, k: int = CSLS_NEIGHBORS) -> Iterator[tuple[slice, Array]]:
    """Yield the rows of `csls` in consecutive blocks, each with the slice of ``a`` that it belongs to.

    Every cosine is computed twice, so that no more than one block is held.

    Args:
        a: rows [n, d] of any length.
        b: unit rows [m, d].
        k: neighbors; at most n and m are used.
    """
    a = _directions(a)
    of_a, of_b = mean_nearest_cosines(a, b, k)
    for block in row_blocks(a.shape[0], _tile_rows(b)):
        yield block, _corrected(a[block] @ b.T, of_a[block], of_b)


def mutual_neighbors(mapped: Array, y: Array, k: int, *, keep: int = _KEPT_SIMILARITIES) -> Any:
    """Return a sparse matrix [n, m] with ones where each row is among the ``k`` CSLS-nearest of the other.

    Similarities are computed in blocks of rows, of which each core holds one.

    Args:
        mapped: [n, d], source rows in the target space.
        y: [m, d], unit rows.
        k: neighbors on either side.
        keep: most similarities that are kept in memory; more are computed twice.

    Returns:
        ``scipy.sparse.csr_array`` of numpy arrays, a sparse tensor of tensors.
    """
    xp, apply = namespace(y), parallel_map if isinstance(y, np.ndarray) else sequential_map
    n, m = mapped.shape[0], y.shape[0]
    k = min(k, n, m)
    rows = row_parts(_directions(mapped))
    kept: list[Array | None] = [None] * len(rows)
    if n * m <= keep:
        kept = apply(lambda block: block @ y.T, rows)
    k_means = min(CSLS_NEIGHBORS, n, m)

    def tile_means(block: Array, similarity: Array | None) -> tuple[Array, Array]:
        return _tile_means(block @ y.T if similarity is None else similarity, k_means)

    means_of_rows, best = zip(*apply(tile_means, rows, kept), strict=True)
    means_of_y = xp.mean(largest(xp.concat(list(best), axis=1), k_means, axis=1), axis=1)

    def candidates(block: Array, similarity: Array | None, means: Array) -> tuple[Array, Array, Array, Array]:
        similarity = _corrected(block @ y.T if similarity is None else similarity, means, means_of_y)
        limit = xp.min(largest(similarity, k, axis=1), axis=1)
        i, j = xp.nonzero(similarity >= limit[:, None])
        return i, j, similarity[i, j], _largest_of_columns(similarity, k)

    parts = apply(candidates, rows, kept, means_of_rows)
    column_limit = xp.min(largest(xp.concat([part[3] for part in parts], axis=1), k, axis=1), axis=1)
    first = np.cumsum([0, *(block.shape[0] for block in rows)])
    i = xp.concat([part[0] + int(start) for part, start in zip(parts, first[:-1], strict=True)])
    j, values = (xp.concat([part[number] for part in parts]) for number in (1, 2))
    mutual = values >= column_limit[j]
    return sparse_ones(i[mutual], j[mutual], (n, m), y)


def _tile_means(similarity: Array, k: int) -> tuple[Array, Array]:
    """Return the mean of the ``k`` largest cosines of each row [n], and the largest of each column [m, at most k]."""
    means = namespace(similarity).mean(largest(similarity, k, axis=1), axis=1)
    return means, _largest_of_columns(similarity, k)


def _largest_of_columns(block: Array, k: int) -> Array:
    return largest(block, min(k, block.shape[0]), axis=0)


def _prepared(rows: FloatArray, metric: Metric, dtype: np.dtype[Any]) -> FloatArray:
    cast = np.asarray(rows, dtype)
    return unit_rows(cast) if metric == "cosine" else cast


def _similarities(queries: FloatArray, rows: FloatArray, metric: Metric) -> FloatArray:
    products = queries @ rows.T
    if metric != "l2":
        return np.asarray(products)
    of_queries, of_rows = (np.einsum("ij,ij->i", side, side) for side in (queries, rows))
    return np.asarray(-np.sqrt(np.maximum(of_queries[:, None] + of_rows - 2 * products, 0)))


def _top(tile: FloatArray, k: int) -> Nearest:
    """Return the ``k`` best columns of each row in order of column; of equal scores the first columns."""
    k = min(k, tile.shape[1])
    columns = np.argpartition(tile, -k, axis=1)[:, -k:]
    worst = np.take_along_axis(tile, columns, axis=1).min(axis=1)
    # Where the last place is shared, the partition's choice among equals is arbitrary.
    for row in np.flatnonzero(np.count_nonzero(tile >= worst[:, None], axis=1) > k):
        columns[row] = np.argsort(-tile[row], kind="stable")[:k]
    columns.sort(axis=1)
    return Nearest(columns, np.take_along_axis(tile, columns, axis=1))


def _merged(best: Nearest, new: Nearest, offset: int, k: int) -> Nearest:
    """Return the ``k`` best of both; ``new`` numbers its rows from ``offset``, which is beyond those of ``best``."""
    indices = np.concatenate([best.indices, new.indices + offset], axis=1)
    scores = np.concatenate([best.scores, new.scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Nearest(np.take_along_axis(indices, order, axis=1), np.take_along_axis(scores, order, axis=1))


def _directions(rows: Array) -> Array:
    """Return rows [n, d] of unit length; a zero row stays zero, since NaN would spread to every similarity."""
    xp = namespace(rows)
    norms = xp.linalg.vector_norm(rows, axis=1, keepdims=True)
    return rows / xp.where(norms == 0, xp.ones_like(norms), norms)


def _corrected(similarity: Array, of_a: Array, of_b: Array) -> Array:
    # In place: of many rows this is by far the largest array.
    similarity *= 2
    similarity -= of_a[:, None]
    similarity -= of_b[None, :]
    return similarity


def _tile_rows(b: Array) -> int:
    return max(1, TILE_ENTRIES // int(b.shape[0]))
