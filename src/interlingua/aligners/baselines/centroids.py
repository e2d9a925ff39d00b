"""Centroid consensus with exact assignment: Wasserstein Procrustes started from matched centroids."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from interlingua.aligners.base import Fit, OnStep, Problem, check_no_pairs, ignore_step, single_step_fit
from interlingua.aligners.baselines.anchors import QapSolver, check_rows, match_centroids, two_opt
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import FloatArray

__all__ = ["CentroidConsensus", "assigned_cross"]


@dataclass(frozen=True)
class CentroidConsensus:
    """Averaged cross-covariances of matched centroids, then rounds of exact assignment and Procrustes.

    After Schnaus et al., "Shared Geometry as a Rosetta Stone" (arXiv 2610.09411), with 2-opt in place of their
    dual-ascent QAP solver; ``qap`` accepts another solver. The paper's 100 rounds of 10,000 x 10,000 assignments
    take more than an hour on one core, because the time of an exact assignment is cubic in the rows. The defaults take
    minutes; `paper` returns the published settings.

    Attributes:
        runs: independent clusterings and matchings, which are averaged (S in the paper).
        subsample: most rows of each side clustered in a run (b in the paper).
        clusters: centroids of each side in a run (C in the paper).
        restarts: random initial matchings of the 2-opt search in a run.
        block: rows of each side in one exact assignment.
        rounds: refinement rounds, each on a new random block (R in the paper).
        qap: another solver of the quadratic assignment problem; ``None`` is 2-opt with restarts.
    """

    runs: int = 30
    subsample: int = 10_000
    clusters: int = 30
    restarts: int = 30
    block: int = 2_000
    rounds: int = 30
    qap: QapSolver | None = None

    name: ClassVar[str] = "centroids"
    bounds: ClassVar[Bounds] = dict.fromkeys(("runs", "subsample", "clusters", "restarts", "block"), {"minimum": 1})

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    @classmethod
    def paper(cls, qap: QapSolver | None = None) -> CentroidConsensus:
        """Return the aligner with the published block size and number of rounds."""
        return cls(block=10_000, rounds=100, qap=qap)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given, or a side has fewer rows than clusters.
        """
        check_no_pairs(problem, self.name)
        check_rows(problem, self.clusters, self.name)
        rng = np.random.default_rng(seed)
        frames = problem.frames
        x, y = frames[0].rows, frames[1].rows
        started = perf_counter()
        consensus, ckas = self._consensus(x, y, rng)
        matched = perf_counter()
        w = self._read_out(x, y, consensus, rng)
        w, objectives = self._refine(x, y, w, rng)
        trace = {
            "cka": ckas,
            "assigned_cosine": objectives,
            "seconds": {"anchors": matched - started, "refinement": perf_counter() - matched},
        }
        return single_step_fit(self.name, affine_maps(*frames, w), trace, on_step)

    def _consensus(self, x: FloatArray, y: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, list[float]]:
        """Return ``M = mean_s A_s^T P_s B_s / C`` [d_source, d_target] and each run's CKA."""
        qap = self.qap or two_opt(self.restarts)
        total = np.zeros((x.shape[1], y.shape[1]), np.float32)
        ckas = []
        for _ in range(self.runs):
            run = match_centroids(x, y, clusters=self.clusters, subsample=self.subsample, qap=qap, rng=rng)
            total += run.source.T @ run.target
            ckas.append(run.cka)
        return total / (self.runs * self.clusters), ckas

    def _read_out(self, x: FloatArray, y: FloatArray, m: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return ``polar(X^T T Y)``, T the exact assignment on ``X M Y^T`` in random blocks that cover all rows."""
        count = -(-max(len(x), len(y)) // self.block)
        # The smaller side may have fewer rows than the larger one has blocks.
        count = min(count, len(x), len(y))
        blocks = zip(
            np.array_split(rng.permutation(len(x)), count), np.array_split(rng.permutation(len(y)), count), strict=True
        )
        crosses = [assigned_cross(x[rows], y[columns], m)[0] for rows, columns in blocks]
        return polar(np.sum(crosses, axis=0))

    def _refine(
        self, x: FloatArray, y: FloatArray, w: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, list[float]]:
        objectives = []
        for _ in range(self.rounds):
            rows, columns = (rng.choice(len(side), min(self.block, len(side)), replace=False) for side in (x, y))
            cross, cosine = assigned_cross(x[rows], y[columns], w)
            objectives.append(cosine)
            w = polar(cross)
        return w, objectives


def assigned_cross(x: FloatArray, y: FloatArray, matrix: FloatArray) -> tuple[FloatArray, float]:
    """Assign rows of ``x`` to rows of ``y`` one to one so that the sum of ``x matrix y^T`` is largest.

    Args:
        x: [n, d_source].
        y: [m, d_target]; with other than n rows, the larger side keeps rows without a partner.
        matrix: [d_source, d_target].

    Returns:
        The cross-covariance ``x^T T y`` [d_source, d_target] of the assigned rows, and their mean similarity.
    """
    similarity = (x @ matrix) @ y.T
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return np.asarray(x[rows].T @ y[columns]), float(similarity[rows, columns].mean())
