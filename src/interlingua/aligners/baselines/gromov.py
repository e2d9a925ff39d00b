"""Gromov-Wasserstein coupling of two samples, converted to a rotation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from interlingua.aligners.base import Fit, OnStep, Problem, check_no_pairs, ignore_step, single_step_fit
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import require
from interlingua.core.memory import check_memory

__all__ = ["Gromov"]

# Square arrays of float64 that exist at the same time: costs, scaled costs, the plan, and what POT works with.
_SQUARE_ARRAYS = 8

# Change of the plan between ten iterations below which it has converged; POT's default.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Gromov:
    """Couple two samples so that their pairwise distances agree, then solve Procrustes on the coupling.

    After Alvarez-Melis and Jaakkola, "Gromov-Wasserstein alignment of word embedding spaces" (EMNLP 2018), with the
    entropic solver of POT. Memory grows with the square of the rows and time with their cube, so samples are used.

    Attributes:
        rows: most rows of each side.
        epsilon: weight of the entropy; cosine distances are divided by their mean first.
        max_iter: most iterations.
    """

    rows: int = 1_000
    epsilon: float = 5e-3
    max_iter: int = 200

    name: ClassVar[str] = "gromov"
    bounds: ClassVar[Bounds] = {"rows": {"minimum": 1}, "max_iter": {"minimum": 1}, "epsilon": {"above": 0}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given, or ``rows`` needs more memory than is available.
            MissingExtraError: POT is not installed.
        """
        check_no_pairs(problem, self.name)
        ot = require("ot", "ot")
        rng = np.random.default_rng(seed)
        frames = problem.frames
        x, y = (f.rows[rng.permutation(len(f.rows))[: self.rows]].astype(np.float64) for f in frames)
        check_memory(
            _SQUARE_ARRAYS * 8.0 * max(len(x), len(y)) ** 2, f"rows={self.rows}", "Pass fewer rows; 1,000 is usual."
        )
        costs = [1 - z @ z.T for z in (x, y)]
        with warnings.catch_warnings():
            # The inner Sinkhorn iterations warn whenever they stop early; the trace says whether the plan converged.
            warnings.simplefilter("ignore", UserWarning)
            plan, log = ot.gromov.entropic_gromov_wasserstein(
                *(c / c.mean() for c in costs), epsilon=self.epsilon, max_iter=self.max_iter, tol=_TOLERANCE, log=True
            )
        converged = bool(log["err"][-1] <= _TOLERANCE)
        measured = {"distance": float(log["gw_dist"]), "converged": converged}
        matrix = polar((x.T @ plan @ y).astype(np.float32))
        return single_step_fit(self.name, affine_maps(*frames, matrix), measured, on_step)
