"""Anchors: k-means centroids of two spaces, matched by their pairwise similarities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.optimize import quadratic_assignment

from interlingua.aligners.base import Problem, describe_drawn
from interlingua.aligners.qap import search_matchings
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.errors import InputError, named_side

__all__ = ["Anchors", "QapSolver", "batched_swaps", "centroids", "check_rows", "match_centroids", "two_opt"]

# (A [C, C], B [C, C], rng) -> the permutation p [C] that makes sum(A * B[p][:, p]) large.
QapSolver = Callable[[FloatArray, FloatArray, np.random.Generator], IntArray]


@dataclass(frozen=True, eq=False)
class Anchors:
    """Matched centroids: row ``i`` of one side is matched to row ``i`` of the other.

    Attributes:
        source: [C, d_source].
        target: [C, d_target].
        cka: linear CKA of the two under the matching, in [0, 1]; wrong matchings can have large values too.
    """

    source: FloatArray
    target: FloatArray
    cka: float


def match_centroids(
    x: FloatArray, y: FloatArray, *, clusters: int, subsample: int, qap: QapSolver, rng: np.random.Generator
) -> Anchors:
    """Cluster a subsample of each side and match the centroids.

    The matching maximizes ``tr(K_x P K_y P^T)`` with ``K = H C C^T H`` the centered Gram matrix of the centroids C,
    which is linear CKA up to a factor that no permutation changes.

    Args:
        x: [n_source, d_source], centered.
        y: [n_target, d_target], centered.
        clusters: number of centroids C on each side.
        subsample: most rows clustered on each side.
        qap: solver of the quadratic assignment problem.
        rng: decides subsamples, k-means starts and the solver's starts.
    """
    source, target = (centroids(_subsample(rows, subsample, rng), clusters, rng) for rows in (x, y))
    gram_x, gram_y = _centered_gram(source), _centered_gram(target)
    order = qap(gram_x, gram_y, rng)
    scale = float(np.linalg.norm(gram_x) * np.linalg.norm(gram_y)) or 1.0
    return Anchors(source, target[order], float(np.vdot(gram_x, gram_y[np.ix_(order, order)])) / scale)


def two_opt(restarts: int) -> QapSolver:
    """Return SciPy's 2-opt local search, the best of ``restarts`` random starts."""
    return partial(_two_opt, restarts=restarts)


def batched_swaps(starts: int) -> QapSolver:
    """Return the batched best-swap search, the best of ``starts`` random starts; faster and stronger than 2-opt."""
    return partial(_batched_swaps, starts=starts)


def _two_opt(a: FloatArray, b: FloatArray, rng: np.random.Generator, *, restarts: int) -> IntArray:
    options = {"maximize": True, "rng": rng}
    results = [quadratic_assignment(a, b, method="2opt", options=options) for _ in range(restarts)]
    return np.asarray(max(results, key=lambda result: result.fun).col_ind)


def _batched_swaps(a: FloatArray, b: FloatArray, rng: np.random.Generator, *, starts: int) -> IntArray:
    # The search takes edges of unit norm without a diagonal; the diagonals enter as similarities of nodes.
    edges = [gram / (np.linalg.norm(gram) or 1.0) for gram in (a, b)]
    nodes = np.outer(np.diag(edges[0]), np.diag(edges[1]))
    bare = [(gram - np.diag(np.diag(gram)))[None] for gram in edges]
    matchings, _ = search_matchings(bare[0], bare[1], nodes, starts=starts, rng=rng)
    return np.asarray(matchings[0])


def centroids(
    rows: FloatArray, clusters: int, rng: np.random.Generator, *, init: FloatArray | None = None
) -> FloatArray:
    """Return the k-means centroids [clusters, d] of ``rows`` [n, d], from k-means++ or from ``init``."""
    # Imported lazily: scikit-learn is slow to import.
    from sklearn.cluster import KMeans

    random_state = int(rng.integers(2**31))
    kmeans = KMeans(clusters, init="k-means++" if init is None else init, n_init=1, random_state=random_state)
    return np.asarray(kmeans.fit(rows).cluster_centers_, rows.dtype)


def check_rows(problem: Problem, clusters: int, method: str) -> None:
    """Refuse sides with fewer rows than clusters.

    Raises:
        InputError: a side is too small.
    """
    sides = zip(map(named_side, ("source", "target")), (problem.source.n, problem.target.n), problem.rows, strict=True)
    for side, available, rows in sides:
        if len(rows) < clusters:
            raise InputError(
                f"{describe_drawn(side, len(rows), available)}; {method} needs at least {clusters}, one for each "
                f"cluster, and thousands to be useful. Pass more rows, or set clusters below {clusters}."
            )


def _subsample(rows: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    return rows if len(rows) <= size else rows[rng.choice(len(rows), size, replace=False)]


def _centered_gram(points: FloatArray) -> FloatArray:
    centered = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    return np.asarray(centered @ centered.T)
