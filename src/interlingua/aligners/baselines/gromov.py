"""Gromov-Wasserstein between two samples, read out as a rotation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from interlingua.aligners.frames import Frame, affine_maps, polar, refuse_pairs
from interlingua.core.arrays import FloatArray, IntArray, require
from interlingua.core.maps import AffineMap
from interlingua.core.memory import check_memory

# Square arrays of float64 that exist at the same time: costs, scaled costs, the plan, and what POT works with.
_SQUARE_ARRAYS = 8


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

    def maps(
        self, source: FloatArray, target: FloatArray, *, pairs: IntArray | None = None, seed: int = 0
    ) -> tuple[AffineMap, AffineMap, dict[str, Any]]:
        """Return forward map, backward map and trace.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target].
            pairs: not used; must be ``None``.
            seed: decides which rows are looked at.

        Raises:
            InputError: pairs were given, or ``rows`` needs more memory than is available.
            MissingExtraError: POT is not installed.
        """
        refuse_pairs(pairs, self.name)
        ot = require("ot", "ot")
        rng = np.random.default_rng(seed)
        frames = Frame.of(source), Frame.of(target)
        x, y = (f.rows[rng.permutation(len(f.rows))[: self.rows]].astype(np.float64) for f in frames)
        check_memory(
            _SQUARE_ARRAYS * 8.0 * max(len(x), len(y)) ** 2, f"rows={self.rows}", "Pass fewer rows; 1,000 is usual."
        )
        costs = [1 - z @ z.T for z in (x, y)]
        with warnings.catch_warnings():
            # That so many steps did not converge is in the trace.
            warnings.simplefilter("ignore", UserWarning)
            plan, log = ot.gromov.entropic_gromov_wasserstein(
                *(c / c.mean() for c in costs), epsilon=self.epsilon, max_iter=self.max_iter, log=True
            )
        matrix = polar((x.T @ plan @ y).astype(np.float32))
        return *affine_maps(*frames, matrix), {"distance": float(log["gw_dist"])}
