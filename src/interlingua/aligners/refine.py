"""Refinement of a rough map: alternate between coupling rows and solving for the rotation.

`wasserstein_procrustes` refines on small random batches (Grave, Joulin and Berthet, AISTATS 2019, with the entropic
coupling of Cuturi, NeurIPS 2013): a Sinkhorn coupling of the mapped source rows with target rows, then the polar factor
of the coupled cross-covariance. Small batches and a soft coupling let a rough map move far, and many maps are refined
side by side, all on the same batches. `refine_on_batches` takes the same steps where each map has batches of its own.
`polish` refines one map on all rows, with mutual nearest neighbors by hub-corrected similarity (CSLS). None of them
sees pairs unless some are known, and all take numpy arrays or torch tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import matmul
from typing import Any

import numpy as np

from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.backend import Array, namespace, parallel_map, row_parts, sequential_map, take
from interlingua.core.neighbors import mutual_neighbors

__all__ = [
    "approximate_polar",
    "polish",
    "refine_on_batches",
    "transport_similarity",
    "wasserstein_procrustes",
    "wasserstein_procrustes_step",
]

_SINKHORN_STEPS = 3
# Far below every entry in use; prevents a division by zero for a row without partners.
_TINY = 1e-30
# Maps are refined in one part as long as their couplings have no more entries together than this: between small
# matrices, threads would wait for the interpreter most of the time.
_COUPLING_ENTRIES = 500_000
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


def approximate_polar(matrices: Array) -> Array:
    """Return the (semi-)orthogonal polar factors of ``matrices`` [..., d_source, d_target], to three digits or better.

    The Polar Express (Amsel, Persson, Musco and Gower 2025, arXiv 2505.16932) needs matrix products only. That takes a
    hundredth of the time of many small singular value decompositions, with which `interlingua.aligners.frames.polar`
    computes exact factors. Directions with singular values far below 1/10,000 of the norm are not determined and stay
    short. The products of one matrix with more than 512 rows and columns are divided among the cores.
    """
    xp = namespace(matrices)
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / (_POLAR_MARGIN * xp.linalg.matrix_norm(x, keepdims=True) + _TINY)
    # A fit multiplies many small matrices some 60,000 times, and the checks of `_product` would take noticeable time.
    product = _product if x.ndim == 2 else matmul  # noqa: PLR2004
    for linear, cubic, quintic in _POLAR_STEPS:
        gram = product(x, x.mT)
        x = linear * x + product(cubic * gram + quintic * product(gram, gram), x)
    return x if wide else x.mT


def _product(a: Array, b: Array) -> Array:
    """Return a @ b of two matrices; rows are divided in fixed parts, so the cores do not change the result."""
    if not isinstance(a, np.ndarray):
        return a @ b
    parts = row_parts(a)
    return a @ b if len(parts) == 1 else np.concatenate(parallel_map(lambda part: part @ b, parts))


def wasserstein_procrustes(
    x: Array,
    y: Array,
    maps: Array,
    *,
    temperatures: Iterable[float],
    batch: int,
    rng: np.random.Generator,
    prior: Array | None = None,
    labels: tuple[Array, Array] | None = None,
) -> Array:
    """Refine many maps on the same random batches by entropic Wasserstein-Procrustes.

    A step draws rows ``A`` of x and ``B`` of y, couples them by ``P = diag(u) K diag(v)`` with
    ``K = exp((A M B^T - 1) / temperature)`` and uniform marginals (Sinkhorn, three iterations), and takes the polar
    factor of ``A^T P B``, which solves ``max <A M, P B>`` over orthonormal M.

    Args:
        x: [n_source, d_source], unit rows.
        y: [n_target, d_target], unit rows.
        maps: [r, d_source, d_target], orthonormal rows or columns.
        temperatures: one per step.
        batch: rows per side and step. Small batches escape poor optima, large ones settle closer to a good one.
        rng: draws the batches.
        prior: [d_source, d_target], cross-covariance per row that is known from pairs, added in each step.
        labels: codes [n_source, c] and [n_target, c] of the categories of rows. Their inner product is added to the
            similarity of two rows in the kernel, so rows of the same category are coupled rather than others.

    Returns:
        [r, d_source, d_target].
    """

    def draw(rows: Array) -> IntArray:
        return np.asarray(rng.choice(rows.shape[0], min(batch, rows.shape[0]), replace=False))

    # Drawn in advance, so that all maps see the same batches.
    steps = [(temperature, draw(x), draw(y)) for temperature in temperatures]

    def refine(maps: Array, apply: Callable[..., list[Any]]) -> Array:
        for temperature, rows_x, rows_y in steps:
            a, b = row_parts(take(x, rows_x)), take(y, rows_y)
            if labels is None:
                kernels = apply(lambda rows, m=maps, b=b, t=temperature: _kernel((rows @ m) @ b.T, t), a)
            else:
                codes, others = row_parts(take(labels[0], rows_x)), take(labels[1], rows_y)
                kernels = apply(
                    lambda rows, code, m=maps, b=b, o=others, t=temperature: _kernel((rows @ m) @ b.T + code @ o.T, t),
                    a,
                    codes,
                )
            us, v = _sinkhorn(kernels, apply)
            weighted = v * b
            covariance = sum(apply(lambda r, k, u, w=weighted: r.T @ (u * (k @ w)), a, kernels, us))
            maps = approximate_polar(covariance if prior is None else covariance + b.shape[0] * prior)
        return maps

    if not isinstance(maps, np.ndarray):
        return refine(maps, sequential_map)
    if len(maps) == 1:
        return refine(maps, parallel_map)
    size = max(1, _COUPLING_ENTRIES // batch**2)
    parts = [maps[start : start + size] for start in range(0, len(maps), size)]
    return np.concatenate(parallel_map(lambda part: refine(part, sequential_map), parts))


def wasserstein_procrustes_step(
    a: Array, b: Array, maps: Array, temperature: float, prior: Array | None = None
) -> Array:
    """Return maps [r, w_source, w_target] after one step of entropic Wasserstein-Procrustes, each on its own rows.

    The step couples ``a @ maps`` with ``b`` (Sinkhorn) and takes the polar factors of the coupled cross-covariances.

    Args:
        a: [r, n, w_source], unit rows; each map has rows of its own.
        b: [r, m, w_target], likewise.
        maps: [r, w_source, w_target].
        temperature: couplings are ``exp(cosine / temperature)`` with uniform marginals.
        prior: [w_source, w_target], cross-covariance per row that is known from pairs.
    """
    kernel = _kernel((a @ maps) @ namespace(maps).permute_dims(b, (0, 2, 1)), temperature)
    (u,), v = _sinkhorn([kernel], sequential_map)
    covariance = namespace(maps).permute_dims(a, (0, 2, 1)) @ (u * (kernel @ (v * b)))
    if prior is not None:
        covariance = covariance + b.shape[1] * prior
    return approximate_polar(covariance)


def refine_on_batches(
    rows: tuple[Array, Array],
    maps: Array,
    temperatures: Iterable[float],
    batches: Iterable[Sequence[IntArray]],
    prior: Array | None = None,
) -> Array:
    """Refine many maps, each on batches of its own, by `wasserstein_procrustes_step`.

    Args:
        rows: unit rows [n_source, w_source] and [n_target, w_target].
        maps: [r, w_source, w_target].
        temperatures: one per step.
        batches: for each step the row numbers [r, b] of every map, of the source and of the target.
        prior: [w_source, w_target], as in `wasserstein_procrustes_step`.

    Returns:
        [r, w_source, w_target].
    """
    for temperature, (rows_x, rows_y) in zip(temperatures, batches, strict=True):
        maps = wasserstein_procrustes_step(take(rows[0], rows_x), take(rows[1], rows_y), maps, temperature, prior)
    return maps


def transport_similarity(x: Array, y: Array, maps: Array, *, temperature: float, rows: int) -> FloatArray:
    """Return the transport similarity of each map [r]; of maps between the same rows the larger is better.

    ``<P, A M B^T> / sum(P)``, the mean cosine of rows that an entropic coupling ``P`` of the first rows of both sides
    puts together. Pairs are not used.

    Args:
        x: [n_source, d_source], unit rows.
        y: [n_target, d_target], unit rows.
        maps: [r, d_source, d_target].
        temperature: of the coupling.
        rows: how many rows per side are read.
    """
    a, b = x[:rows], y[:rows]

    def score(matrix: Array) -> float:
        similarity = (a @ matrix) @ b.T
        # A copy, because the similarity is needed again.
        kernel = _kernel(1 * similarity, temperature)
        (u,), v = _sinkhorn([kernel[None]], sequential_map)
        coupling = kernel * u[0] * v[0].T
        return float((coupling * similarity).sum() / coupling.sum())

    return np.array((parallel_map if isinstance(maps, np.ndarray) else sequential_map)(score, maps))


def polish(
    x: Array,
    y: Array,
    matrix: Array,
    *,
    neighbors: Sequence[int],
    batch: int,
    rng: np.random.Generator,
    prior: Array | None = None,
    on_part: Callable[[], None] = lambda: None,
) -> Array:
    """Refine one map on all rows, or on large random batches where there are more.

    Each step couples rows that are among the ``k`` nearest of each other by CSLS in a matrix P of zeros and ones, and
    takes the polar factor R of ``A^T P B``. The next step starts from the polar factor of ``2 R - R_previous``:
    extrapolation as in Nesterov's method halves the number of steps.

    Args:
        x: [n_source, d_source], unit rows.
        y: [n_target, d_target], unit rows.
        matrix: [d_source, d_target].
        neighbors: ``k`` of each step, from many to few.
        batch: most rows per side and step.
        rng: draws the batches.
        prior: [d_source, d_target], as in `wasserstein_procrustes`.
        on_part: called after each step.

    Returns:
        [d_source, d_target], orthonormal rows or columns.
    """
    previous = rotation = matrix
    for number, k in enumerate(neighbors):
        extrapolated = approximate_polar(2 * rotation - previous) if number else matrix
        a, b = (z if z.shape[0] <= batch else take(z, rng.choice(z.shape[0], batch, replace=False)) for z in (x, y))
        coupling = mutual_neighbors(a @ extrapolated, b, k)
        covariance = a.T @ (coupling @ b)
        if prior is not None:
            covariance = covariance + coupling.sum() * prior
        previous, rotation = rotation, approximate_polar(covariance)
        on_part()
    return rotation


def _sinkhorn(kernels: list[Array], apply: Callable[..., list[Any]]) -> tuple[list[Array], Array]:
    """Return the scalings of a coupling ``diag(u) K diag(v)`` with uniform marginals, up to a factor.

    Args:
        kernels: blocks of rows [r, n_b, m] of the kernel.
        apply: maps a function over the blocks.

    Returns:
        u of each block [r, n_b, 1] and v [r, m, 1].
    """
    xp = namespace(kernels[0])
    us: list[Array] = []
    v = xp.ones_like(kernels[0][:, 0, :, None])

    def scale(kernel: Array, v: Array) -> tuple[Array, Array]:
        u = 1 / (kernel @ v + _TINY)
        return u, xp.permute_dims(kernel, (0, 2, 1)) @ u

    for _ in range(_SINKHORN_STEPS):
        parts = apply(scale, kernels, [v] * len(kernels))
        us = [part[0] for part in parts]
        v = 1 / (sum(part[1] for part in parts) + _TINY)
    return us, v


def _kernel(similarity: Array, temperature: float) -> Array:
    """Return ``exp((similarity - 1) / temperature)``, computed in place; the similarity is lost."""
    # No cosine exceeds 1, so nothing overflows.
    similarity -= 1
    similarity /= temperature
    return np.exp(similarity, out=similarity) if isinstance(similarity, np.ndarray) else similarity.exp()
