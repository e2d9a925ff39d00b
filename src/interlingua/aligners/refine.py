"""From a rough map to the right one: alternate between matching rows and solving for the rotation.

`climb` is entropic Wasserstein-Procrustes on small random batches: a Sinkhorn coupling of the mapped source rows with
target rows, then the polar factor of the coupled cross-covariance. Small batches with a soft coupling carry a rough
map a long way; many maps climb side by side. `polish` ends with all rows and mutual hub-corrected neighbours (CSLS).
Neither sees pairs unless some are known, and both take numpy arrays or torch tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from interlingua._arrays import FloatArray
from interlingua._backend import Array, largest, namespace, take

_SINKHORN_STEPS = 3
# Far below every temperature in use; keeps a row without partners from dividing by zero.
_TINY = 1e-30
_CSLS_NEIGHBORS = 10


def orthogonal(matrices: Array) -> Array:
    """Return the (semi-)orthogonal polar factors of ``matrices`` [..., d_source, d_target]."""
    left, _, right = namespace(matrices).linalg.svd(matrices, full_matrices=False)
    return left @ right


def climb(
    x: Array,
    y: Array,
    maps: Array,
    *,
    temperatures: Iterable[float],
    batch: int,
    rng: np.random.Generator,
    prior: Array | None = None,
) -> Array:
    """Improve many maps at once on random batches.

    Args:
        x: [n_source, d_source], unit rows.
        y: [n_target, d_target], unit rows.
        maps: [r, d_source, d_target], orthonormal rows or columns.
        temperatures: one a step; a coupling is ``exp(similarity / temperature)`` with uniform marginals.
        batch: rows a side and step. Small ones jump out of poor optima, large ones settle closer to a good one.
        rng: draws the batches.
        prior: [d_source, d_target], cross-covariance per row that is known from pairs, added in each step.

    Returns:
        [r, d_source, d_target].
    """
    for temperature in temperatures:
        a, b = (take(z, rng.choice(z.shape[0], min(batch, z.shape[0]), replace=False)) for z in (x, y))
        coupling = _couple((a @ maps) @ b.T, temperature)
        covariance = a.T @ (coupling @ b)
        maps = orthogonal(covariance if prior is None else covariance + b.shape[0] * prior)
    return maps


def transport_similarity(x: Array, y: Array, maps: Array, *, temperature: float, rows: int) -> FloatArray:
    """Return the mean similarity of coupled rows under each map [r]; of maps of the same data the larger is better."""
    a, b = x[:rows], y[:rows]
    scores = []
    for matrix in maps:
        similarity = (a @ matrix) @ b.T
        coupling = _couple(similarity[None], temperature)[0]
        scores.append(float((coupling * similarity).sum() / coupling.sum()))
    return np.array(scores)


def polish(
    x: Array,
    y: Array,
    matrix: Array,
    *,
    neighbors: Sequence[int],
    batch: int,
    rng: np.random.Generator,
    prior: Array | None = None,
) -> Array:
    """Refine one map on all rows, or on large random batches where there are more.

    Each step couples rows that are among the ``k`` nearest of each other by CSLS and extrapolates the polar factor by
    Nesterov's rule, which takes half the steps.

    Args:
        x: [n_source, d_source], unit rows.
        y: [n_target, d_target], unit rows.
        matrix: [d_source, d_target].
        neighbors: ``k`` of each step, falling.
        batch: most rows a side and step.
        rng: draws the batches.
        prior: [d_source, d_target], as in `climb`.

    Returns:
        [d_source, d_target], orthonormal rows or columns.
    """
    previous = ahead = matrix
    for k in neighbors:
        a, b = (z if z.shape[0] <= batch else take(z, rng.choice(z.shape[0], batch, replace=False)) for z in (x, y))
        coupling = mutual_neighbors(a @ ahead, b, k)
        covariance = a.T @ (coupling @ b)
        if prior is not None:
            covariance = covariance + coupling.sum() * prior
        rotation = orthogonal(covariance)
        ahead = orthogonal(2 * rotation - previous)
        previous = rotation
    return previous


def mutual_neighbors(mapped: Array, y: Array, k: int) -> Array:
    """Return [n, m] ones where each row is among the ``k`` CSLS-nearest of the other, zeros elsewhere."""
    xp = namespace(y)
    similarity = csls(mapped, y)
    k = min(k, *similarity.shape)
    row_limit = xp.min(largest(similarity, k, axis=1), axis=1)
    column_limit = xp.min(largest(similarity, k, axis=0), axis=1)
    near = (similarity >= row_limit[:, None]) & (similarity >= column_limit[None, :])
    return xp.astype(near, similarity.dtype)


def csls(mapped: Array, y: Array) -> Array:
    """Return hub-corrected cosines ``2 cos - r_source - r_target`` [n, m] (Conneau et al., ICLR 2018)."""
    xp = namespace(y)
    similarity = (mapped / xp.linalg.vector_norm(mapped, axis=1, keepdims=True)) @ y.T
    k = min(_CSLS_NEIGHBORS, *similarity.shape)
    hubs_source = xp.mean(largest(similarity, k, axis=1), axis=1)
    hubs_target = xp.mean(largest(similarity, k, axis=0), axis=1)
    return 2 * similarity - hubs_source[:, None] - hubs_target[None, :]


def _couple(similarity: Array, temperature: float) -> Array:
    """Return Sinkhorn couplings [r, n, m] up to a factor."""
    xp = namespace(similarity)
    kernel = xp.exp((similarity - xp.max(similarity, axis=(1, 2), keepdims=True)) / temperature)
    transposed = xp.permute_dims(kernel, (0, 2, 1))
    v = xp.ones_like(kernel[:, 0, :, None])
    u = v
    for _ in range(_SINKHORN_STEPS):
        u = 1 / (kernel @ v + _TINY)
        v = 1 / (transposed @ u + _TINY)
    return kernel * u * xp.permute_dims(v, (0, 2, 1))
