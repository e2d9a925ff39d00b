"""Sanity checks: measurements of translations that can refute a fit and never prove it.

Good translations pass all of them, and bad ones may. The null of the distance and of hubness is what real rows of the
target measure among themselves, and that of the effective rank is what rows on one line would measure.
"""

from __future__ import annotations

import numpy as np

from interlingua.aligners.conclusion import Check, at_least, at_most
from interlingua.core.arrays import FloatArray
from interlingua.core.statistics import effective_rank, hubness, sliced_wasserstein

__all__ = ["SANITY_CHECKS", "sanity_checks"]

# Names of the checks.
SANITY_CHECKS = ("sliced_wasserstein", "hubness", "effective_rank")
# Most rows that a check reads.
_ROWS = 1500
# Random directions of the sliced Wasserstein distance.
_DIRECTIONS = 200
# Sanity checks: how far hubness and distance may exceed those of real rows among themselves, and the smallest share of
# the effective rank of real rows.
_HUB_MARGIN, _DISTANCE_MARGIN, _MIN_RANK = 3.0, 0.5, 0.3


def sanity_checks(translated: FloatArray, y: FloatArray, rng: np.random.Generator) -> list[Check]:
    """Measure what can refute a translation and never prove it.

    Args:
        translated: [n, d_target], unit rows around the mean of the target.
        y: [m, d_target], real rows, likewise.
        rng: draws the rows of each check.
    """
    picked = rng.permutation(len(y))
    first, second = y[picked[: len(y) // 2]][:_ROWS], y[picked[len(y) // 2 :]][:_ROWS]
    sample = translated[rng.permutation(len(translated))[: len(first)]]
    spread = float(np.sqrt((second**2).sum(axis=1).mean() / second.shape[1]))
    distance, own_distance = (
        sliced_wasserstein(rows, second, directions=_DIRECTIONS, rng=rng) / spread for rows in (sample, first)
    )
    hubs, own_hubs = hubness(sample, second), hubness(first, second)
    rank, own_rank = effective_rank(sample), effective_rank(first)
    return [
        at_most(
            "sliced_wasserstein",
            distance,
            own_distance,
            _DISTANCE_MARGIN,
            "Distance between the distributions of translated and real rows, relative to the spread of the real ones.",
        ),
        at_most(
            "hubness",
            hubs,
            own_hubs,
            _HUB_MARGIN,
            "Skewness of how often each real row is among the nearest neighbors of translated rows; large if a few "
            "real rows are neighbors of most translations.",
        ),
        at_least(
            "effective_rank",
            rank / own_rank,
            1 / own_rank,
            (_MIN_RANK, _MIN_RANK),
            "Number of directions that translated rows vary in, relative to real rows; near 0 after a collapse.",
            "rows on one line",
        ),
    ]
