"""Whether rows are distributed like those of a fitted space where variances cannot show it.

Vectors that were reduced by PCA vary most along their first columns, whatever model made them. So the variance along
the principal axes of such a space says nothing about the model. What differs is how the values along several axes go
together: where the clusters of the rows are, and the third moments. A change of sign of some axes keeps every variance
and destroys this. Therefore a batch is compared with copies of itself whose axes have random signs: rows of the space
are nearer to its clusters than their copies, and rows of another model are not (a randomization test).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.digests import distinct_rows

__all__ = ["MAX_AXES", "find_clusters", "structure_score"]

# Axes along which clusters are measured.
MAX_AXES = 128
# Clusters at most, rows for each on average, and different rows that one must have: the mean of few would reveal them.
_CLUSTERS, _ROWS_EACH, _LEAST_ROWS = 192, 12, 6
_STEPS, _FITTED_ROWS = 5, 10_000
# Copies with random signs, and rows of a batch that are compared.
_COPIES, _COMPARED_ROWS = 31, 512


def find_clusters(rows: FloatArray) -> npt.NDArray[np.float32]:
    """Return the means of clusters of different rows and the share of these in each, as the last column [c, a + 1].

    Args:
        rows: [n, a], values along the axes, divided by their standard deviations.

    Returns:
        Clusters by spherical k-means. Copies of a row count once, and clusters of fewer than six rows are left out, so
        that no cluster is the mean of fewer than six different rows.
    """
    rng = np.random.default_rng(0)
    units = unit_rows(np.asarray(rows, np.float32))
    units = units[distinct_rows(units)]
    if len(units) > _FITTED_ROWS:
        units = units[rng.choice(len(units), _FITTED_ROWS, replace=False)]
    count = min(_CLUSTERS, max(len(units) // _ROWS_EACH, 1))
    centers = units[rng.choice(len(units), count, replace=False)]
    for _ in range(_STEPS):
        sums, sizes = _sums(units, (units @ centers.T).argmax(axis=1), count)
        centers = unit_rows(np.where(sizes[:, None] > 0, sums, centers))
    sums, sizes = _sums(units, (units @ centers.T).argmax(axis=1), count)
    kept = sizes >= _LEAST_ROWS
    means = sums[kept] / sizes[kept, None]
    return np.asarray(np.hstack([means, sizes[kept, None] / len(units)]), np.float32)


def structure_score(rows: FloatArray, clusters: FloatArray) -> float:
    """Return by how many standard deviations a batch is nearer to clusters than copies of it with random signs.

    It is the mean of two such scores: of the cosine with the nearest cluster, and of the agreement of third moments
    about the mean of the batch.

    Args:
        rows: [n, a], as in `find_clusters`, at least 2; of many rows 512 are compared.
        clusters: [c, a + 1], as `find_clusters` returns them.
    """
    if len(rows) > _COMPARED_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, _COMPARED_ROWS).astype(np.int64)]
    means, shares = clusters[:, :-1], clusters[:, -1]
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (_COPIES, rows.shape[1]))
    around, centers = unit_rows(rows - rows.mean(axis=0)), unit_rows(means)
    own = unit_rows(rows)
    near, moments = [], []
    for sign in np.vstack([np.ones_like(signs[:1]), signs]):
        near.append((own @ (centers * sign).T).max(axis=1).mean())
        products = around @ (means * sign).T
        moments.append((products * products * products @ shares).mean())
    return float(np.mean([_score(values) for values in (near, moments)]))


def _score(values: list[np.float32]) -> float:
    first, others = float(values[0]), np.asarray(values[1:], np.float64)
    return float((first - others.mean()) / max(others.std(), np.finfo(np.float32).tiny))


def _sums(rows: FloatArray, cluster: npt.NDArray[np.int64], count: int) -> tuple[FloatArray, npt.NDArray[np.float64]]:
    """Return the sum of the rows of each cluster [c, a] and their number [c]."""
    sums = np.zeros((count, rows.shape[1]), np.float32)
    np.add.at(sums, cluster, rows)
    return sums, np.bincount(cluster, minlength=count).astype(np.float64)
