"""Statistics of a fit that need no pairs.

Every function takes plain arrays; none compares a row of one side with the row of the same text on the other side,
because those pairs are unknown. :mod:`interlingua.aligners.verdict` compares each with its value under a null.
"""

from __future__ import annotations

import math

import numpy as np

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.neighbors import nearest

__all__ = [
    "PAIR_MARGIN",
    "agreement",
    "beyond_control",
    "effective_rank",
    "hubness",
    "mismatch_limit",
    "self_retrieval",
    "sliced_wasserstein",
]

_HUB_NEIGHBORS = 10
# By how much the mean cosine of held-out pairs must exceed that of mismatched pairs, and by how many standard errors.
PAIR_MARGIN, _STANDARD_ERRORS = 0.2, 4.0


def agreement(first: FloatArray, second: FloatArray) -> float:
    """Return the mean cosine between two translations [n, d] of the same rows; 1 where two fits agree."""
    return float((unit_rows(first) * unit_rows(second)).sum(axis=1).mean(dtype=np.float64))


def self_retrieval(first: FloatArray, second: FloatArray) -> float:
    """Return how often each row of one translation [n, d] is nearest to itself in another translation of these rows."""
    retrieved = nearest(unit_rows(first), unit_rows(second), 1, metric="dot").indices[:, 0]
    return float((retrieved == np.arange(len(first))).mean())


def sliced_wasserstein(a: FloatArray, b: FloatArray, *, directions: int, rng: np.random.Generator) -> float:
    """Return the mean 1-Wasserstein distance of random one-dimensional projections of two clouds [n, d], [m, d].

    Bonneel et al., J. Math. Imaging Vis. 2015. 0 where the clouds are equal. Unlike a mean cosine it does not improve
    when all rows are mapped to one point.
    """
    axes = unit_rows(rng.standard_normal((directions, a.shape[1]))).T.astype(a.dtype)
    levels = np.linspace(0.005, 0.995, 199)
    first, second = (np.quantile(z @ axes, levels, axis=0) for z in (a, b))
    return float(np.abs(first - second).mean())


def hubness(queries: FloatArray, candidates: FloatArray) -> float:
    """Return the skewness of how often candidates [m, d] are among the 10 nearest of queries [n, d].

    Radovanović et al., JMLR 2010. In a good translation it is close to the value of the candidates among themselves; it
    is large where a few rows are neighbors of many.
    """
    k = min(_HUB_NEIGHBORS, len(candidates) - 1)
    indices = nearest(queries, candidates, k).indices
    counts = np.bincount(indices.ravel(), minlength=len(candidates)).astype(np.float64)
    spread = counts.std()
    return float(((counts - counts.mean()) ** 3).mean() / spread**3) if spread else 0.0


def effective_rank(rows: FloatArray) -> float:
    """Return the exponential of the entropy of the covariance spectrum of rows [n, d]; 1 where all lie on a line.

    Roy and Vetterli, EUSIPCO 2007.
    """
    centered = rows - rows.mean(axis=0)
    values = np.linalg.eigvalsh((centered.T @ centered).astype(np.float64))
    share = np.clip(values, 0, None) / max(values.sum(), np.finfo(np.float64).tiny)
    share = share[share > 0]
    return float(np.exp(-(share * np.log(share)).sum()))


def mismatch_limit(cosines: FloatArray, count: int) -> tuple[float, float]:
    """Return the null of the mean cosine of held-out pairs, and the limit that it must reach.

    The limit is 0.2 above the mean of mismatched pairs, or four standard errors of the mean of so many of them where
    that is more: the mean of a few pairs, or of pairs in few directions, can be large by luck.

    Args:
        cosines: between translations and rows that are not their partners.
        count: number of held-out pairs.
    """
    null = float(cosines.mean())
    error = float(cosines.std()) / math.sqrt(count)
    return null, null + max(PAIR_MARGIN, _STANDARD_ERRORS * error)


def beyond_control(share: float, control: float) -> float:
    """Return ``(share - control) / (1 - control)``, at least 0; 0 if the control is 1 or more."""
    return max(0.0, (share - control) / (1 - control)) if control < 1 else 0.0
