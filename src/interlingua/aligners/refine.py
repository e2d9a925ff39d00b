"""From a rough map to the right one: alternate between matching rows and solving for the rotation.

`climb` is entropic Wasserstein-Procrustes on small random batches: a Sinkhorn coupling of the mapped source rows with
target rows, then the polar factor of the coupled cross-covariance. Small batches with a soft coupling carry a rough
map a long way; many maps climb side by side. `polish` ends with all rows and mutual hub-corrected neighbors (CSLS).
Neither sees pairs unless some are known, and both take numpy arrays or torch tensors.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.backend import Array, largest, namespace, take

_SINKHORN_STEPS = 3
# Far below every temperature in use; keeps a row without partners from dividing by zero.
_TINY = 1e-30
_CSLS_NEIGHBORS = 10
# Coefficients of x, x x' x and (x x')^2 x. Newton-Schulz steps first lift small singular values and leave those at 1
# alone; the steps between are optimal for singular values from 1/1000 to 1.
_NEWTON_SCHULZ = (1.875, -1.25, 0.375)
_POLAR_STEPS = (
    *(_NEWTON_SCHULZ,) * 4,
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    *(_NEWTON_SCHULZ,) * 2,
)
_POLAR_MARGIN = 1.01


def orthogonal(matrices: Array) -> Array:
    """Return the (semi-)orthogonal polar factors of ``matrices`` [..., d_source, d_target], to three digits or better.

    Matrix products only, a hundredth of the time of many small singular value decompositions: the Polar Express
    (Amsel, Persson, Musco and Gower 2025, arXiv 2505.16932). Directions with singular values far below
    1/10,000 of the norm say nothing and stay short.
    """
    xp = namespace(matrices)
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else xp.matrix_transpose(matrices)
    x = x / (_POLAR_MARGIN * xp.linalg.matrix_norm(x, keepdims=True) + _TINY)
    for linear, cubic, quintic in _POLAR_STEPS:
        gram = x @ xp.matrix_transpose(x)
        x = linear * x + (cubic * gram + quintic * (gram @ gram)) @ x
    return x if wide else xp.matrix_transpose(x)


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

    def draw(rows: Array) -> IntArray:
        return np.asarray(rng.choice(rows.shape[0], min(batch, rows.shape[0]), replace=False))

    # Ahead of the climb, so that maps in other threads see the same batches.
    steps = [(temperature, draw(x), draw(y)) for temperature in temperatures]

    def ascend(some: Array) -> Array:
        for temperature, rows_x, rows_y in steps:
            a, b = take(x, rows_x), take(y, rows_y)
            kernel, u, v = _couple((a @ some) @ b.T, temperature)
            covariance = a.T @ (u * (kernel @ (v * b)))
            some = orthogonal(covariance if prior is None else covariance + b.shape[0] * prior)
        return some

    if not isinstance(maps, np.ndarray) or len(maps) < 2:
        return ascend(maps)
    # The products are small: one thread a map beats many threads a product, by far where other work runs beside.
    workers = min(len(maps), os.cpu_count() or 1)
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(ascend, np.array_split(maps, workers))))


def transport_similarity(x: Array, y: Array, maps: Array, *, temperature: float, rows: int) -> FloatArray:
    """Return the mean similarity of coupled rows under each map [r]; of maps of the same data the larger is better."""
    a, b = x[:rows], y[:rows]
    scores = []
    for matrix in maps:
        similarity = (a @ matrix) @ b.T
        kernel, u, v = (factor[0] for factor in _couple(similarity[None], temperature))
        coupling = kernel * u * v.T
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
    # In place: of many rows this is by far the largest array there is.
    similarity *= 2
    similarity -= hubs_source[:, None]
    similarity -= hubs_target[None, :]
    return similarity


def _couple(similarity: Array, temperature: float) -> tuple[Array, Array, Array]:
    """Return Sinkhorn couplings ``u * kernel * v^T`` of cosines [r, n, m], up to a factor, as their three factors."""
    xp = namespace(similarity)
    # No cosine exceeds 1, so nothing overflows.
    kernel = xp.exp((similarity - 1) / temperature)
    transposed = xp.permute_dims(kernel, (0, 2, 1))
    v = xp.ones_like(kernel[:, 0, :, None])
    u = v
    for _ in range(_SINKHORN_STEPS):
        u = 1 / (kernel @ v + _TINY)
        v = 1 / (transposed @ u + _TINY)
    return kernel, u, v
