"""Known pairs as a prior of the search: their cross-covariance is added to that of the coupling."""

from __future__ import annotations

import numpy as np

from interlingua.aligners.base import Problem
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.core.arrays import FloatArray, unit_rows

__all__ = ["Pairs", "centered_pairs", "coarse_pairs", "coarse_prior", "pair_covariance"]

# Centered unit rows [p, d_source] and [p, d_target] of the same texts.
Pairs = tuple[FloatArray, FloatArray]

# A known pair has the weight of this share of a batch, and all pairs together a weight between these limits. A larger
# weight binds the map to the few directions of the pairs; with a smaller one few pairs do not lead the refinement.
_PAIR_SHARE, _MIN_SHARE, _MAX_SHARE = 0.005, 0.1, 0.5


def centered_pairs(problem: Problem) -> Pairs | None:
    """Return the known pairs of a problem as unit rows of its frames, or None where there are none."""
    if problem.known is None:
        return None
    x, y = problem.frames
    return unit_rows(x.center(problem.known[0])), unit_rows(y.center(problem.known[1]))


def pair_covariance(pairs: Pairs) -> FloatArray:
    """Return the weighted cross-covariance ``w X^T Y / p`` [d_source, d_target] of p pairs."""
    x, y = pairs
    weight = float(np.clip(_PAIR_SHARE * len(x), _MIN_SHARE, _MAX_SHARE))
    return np.asarray(weight * (x.T @ y) / len(x), np.float32)


def coarse_prior(spaces: CoarseSpaces, pairs: Pairs | None) -> FloatArray | None:
    """Return the cross-covariance of pairs in coarse coordinates, or None without pairs."""
    return None if pairs is None else pair_covariance(coarse_pairs(spaces, pairs))


def coarse_pairs(spaces: CoarseSpaces, pairs: Pairs) -> Pairs:
    """Return pairs as unit rows [p, w_source] and [p, w_target] of coarse coordinates."""
    first, second = (unit_rows(z @ axes) for z, axes in zip(pairs, spaces.axes, strict=True))
    return first, second
