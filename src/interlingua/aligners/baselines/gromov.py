"""Gromov-Wasserstein between two samples, read out as a rotation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from interlingua.aligners.base import Fit, OnStep, Problem, ignore_step, refuse_pairs, single_step
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.arrays import require


@dataclass(frozen=True)
class Gromov:
    """Couple two samples so that distances within them agree, and take the rotation that fits the coupling best.

    After Alvarez-Melis and Jaakkola, "Gromov-Wasserstein alignment of word embedding spaces" (EMNLP 2018); the
    coupling is POT's. Every pair of pairs is compared, so it takes a sample.

    Attributes:
        rows: most rows a side.
        epsilon: weight of the entropy; cosine distances are divided by their mean first.
        max_iter: most steps.
    """

    rows: int = 1_000
    epsilon: float = 5e-3
    max_iter: int = 200

    name: ClassVar[str] = "gromov"

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given.
            MissingExtraError: POT is not installed.
        """
        refuse_pairs(problem, self.name)
        ot = require("ot", "ot")
        rng = np.random.default_rng(seed)
        frames = problem.frames
        x, y = (f.rows[rng.permutation(len(f.rows))[: self.rows]].astype(np.float64) for f in frames)
        costs = [1 - z @ z.T for z in (x, y)]
        with warnings.catch_warnings():
            # That so many steps did not converge is in the trace.
            warnings.simplefilter("ignore", UserWarning)
            plan, log = ot.gromov.entropic_gromov_wasserstein(
                *(c / c.mean() for c in costs), epsilon=self.epsilon, max_iter=self.max_iter, log=True
            )
        matrix = polar((x.T @ plan @ y).astype(np.float32))
        return single_step(self.name, affine_maps(*frames, matrix), {"distance": float(log["gw_dist"])}, on_step)
