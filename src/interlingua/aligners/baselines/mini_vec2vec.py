"""mini-vec2vec, a published linear method without pairs, implemented from its paper."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from interlingua.aligners.base import Fit, OnStep, Problem, check_no_pairs, ignore_step, single_step_fit
from interlingua.aligners.baselines.anchors import QapSolver, centroids, check_rows, match_centroids, two_opt
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.neighbors import nearest

__all__ = ["MiniVec2Vec", "neighbor_means"]

_COUNTS = ("runs", "subsample", "clusters", "restarts", "neighbors", "refinement_rows", "final_clusters")


@dataclass(frozen=True)
class MiniVec2Vec:
    """Centroid anchors, relative representations, pseudo-pairs, Procrustes, and a smoothed refinement.

    A clean-room implementation of Dar, "mini-vec2vec" (arXiv 2510.02348), from its published description. The defaults
    are the paper's. Where the paper is silent: each side is centered by its own mean; the narrower side is padded with
    zeros; the backward matrix is the transpose of the forward one, which is orthogonal only up to the smoothing.

    Attributes:
        runs: independent clusterings and matchings, whose anchors are concatenated.
        subsample: most rows of each side clustered in a run.
        clusters: centroids of each side in a run.
        restarts: random initial matchings of the 2-opt search in a run.
        neighbors: nearest target rows averaged into a pseudo-target.
        refinements: steps of the neighbor refinement.
        refinement_rows: source rows drawn for each of these steps; the author's notebook uses 1,000.
        smoothing: weight of the new matrix in every update; the average is not projected back to a rotation.
        final_clusters: centroids of the cluster refinement at the end.
        qap: another solver of the quadratic assignment problem; ``None`` is the paper's.
    """

    runs: int = 30
    subsample: int = 10_000
    clusters: int = 20
    restarts: int = 30
    neighbors: int = 50
    refinements: int = 100
    refinement_rows: int = 10_000
    smoothing: float = 0.5
    final_clusters: int = 500
    qap: QapSolver | None = None

    name: ClassVar[str] = "mini-vec2vec"
    bounds: ClassVar[Bounds] = {**dict.fromkeys(_COUNTS, {"minimum": 1}), "smoothing": {"minimum": 0, "maximum": 1}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given, or a side has fewer rows than clusters.
        """
        check_no_pairs(problem, self.name)
        check_rows(problem, self.clusters, self.name)
        rng = np.random.default_rng(seed)
        frames = problem.frames
        x, y = _equal_widths(frames[0].rows, frames[1].rows)
        started = perf_counter()

        anchors_x, anchors_y, ckas = self._anchors(x, y, rng)
        matched = perf_counter()
        targets = neighbor_means(unit_rows(x @ anchors_x.T), unit_rows(y @ anchors_y.T), y, self.neighbors)
        w = polar(x.T @ targets)
        paired = perf_counter()
        w, objectives = self._refine(x, y, w, rng)
        w = self._refine_clusters(x, y, w, rng)
        refined = perf_counter()

        matrix = w[: problem.source.d, : problem.target.d]
        trace = {
            "cka": ckas,
            "pseudo_pair_cosine": objectives,
            "seconds": {"anchors": matched - started, "pseudo_pairs": paired - matched, "refinement": refined - paired},
        }
        return single_step_fit(self.name, affine_maps(*frames, matrix), trace, on_step)

    def _anchors(
        self, x: FloatArray, y: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray, list[float]]:
        """Return the unit anchors of all runs, [runs * clusters, d] per side, and each run's CKA."""
        qap = self.qap or two_opt(self.restarts)
        runs = [
            match_centroids(x, y, clusters=self.clusters, subsample=self.subsample, qap=qap, rng=rng)
            for _ in range(self.runs)
        ]
        sides = (np.concatenate([run.source for run in runs]), np.concatenate([run.target for run in runs]))
        return unit_rows(sides[0]), unit_rows(sides[1]), [run.cka for run in runs]

    def _refine(
        self, x: FloatArray, y: FloatArray, w: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, list[float]]:
        """Average each row's nearest targets, solve Procrustes against the averages, and blend, many times."""
        objectives = []
        for _ in range(self.refinements):
            size = min(self.refinement_rows, len(x))
            rows = x[rng.choice(len(x), size, replace=False)]
            cross = rows.T @ neighbor_means(rows @ w, y, y, self.neighbors)
            new = polar(cross)
            objectives.append(float(np.vdot(new, cross)) / size)
            w = self._blend(w, new)
        return w, objectives

    def _refine_clusters(self, x: FloatArray, y: FloatArray, w: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Blend with Procrustes on centroids of the source and of the target clustered from their images."""
        count = min(self.final_clusters, len(x), len(y))
        centers_x = centroids(x, count, rng)
        centers_y = centroids(y, count, rng, init=centers_x @ w)
        return self._blend(w, polar(centers_x.T @ centers_y))

    def _blend(self, old: FloatArray, new: FloatArray) -> FloatArray:
        return np.asarray((1 - self.smoothing) * old + self.smoothing * new)


def neighbor_means(queries: FloatArray, keys: FloatArray, values: FloatArray, k: int) -> FloatArray:
    """Return for every query the mean value of the ``k`` keys with the largest inner product.

    Args:
        queries: [n, d]; their lengths do not matter.
        keys: [m, d], unit norm for cosine neighbors.
        values: [m, d_out].
        k: number of neighbors; at most m is used.

    Returns:
        Means [n, d_out].
    """
    indices = nearest(queries, keys, k, metric="dot").indices
    n, k = indices.shape
    weights = np.full(n * k, 1 / k, values.dtype)
    # A sparse product sums the picked rows without a copy [n, k, d_out] of them.
    picked = csr_array((weights, indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, len(keys)))
    return np.asarray(picked @ values)


def _equal_widths(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pad the narrower side with zero columns, which changes no inner product."""
    width = max(x.shape[1], y.shape[1])
    padded = [np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in (x, y)]
    return padded[0], padded[1]
