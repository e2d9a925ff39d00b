"""The non-orthogonal stage after the rotation: higher cosine to the true vectors at equal retrieval, without pairs.

A rotation W keeps the length of every direction, of shared content as well as of noise. This package corrects that in
two ways. Both use only the covariances ``C_x`` and ``C_y`` of the two sides (Ledoit and Wolf, J. Multivariate Anal.
2004), in the coordinates of the narrower space, where they are ``A = E^T C_x E`` and ``B = R^T C_y R``:

* Half of the optimal transport map between Gaussians makes the spreads of the directions more alike,
  ``T = (A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2)^1/2`` (Peyré and Cuturi, Computational Optimal Transport, 2019,
  remark 2.31).
* A ridge regression inside the target space, of all its directions on those that the rotation reaches, shrinks noisy
  directions and predicts those that a narrower source cannot express: ``F = (B + p I)^-1 R^T C_y``.

The map is ``E T F``. Into a space that is not wider, ``E = W`` and ``R = I``; into a wider space, ``E = I``,
``R = W^T`` and ``T = I``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step, report_parts
from interlingua.aligners.frames import Frame, affine_map
from interlingua.aligners.linear.full_width import polish_rotation
from interlingua.aligners.linear.pairs import Pairs
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import parallel_map
from interlingua.core.maps import AffineMap
from interlingua.core.statistics import agreement, self_retrieval

__all__ = ["hub_leveled_mean", "leveled_affine_map", "nonorthogonal_map", "nonorthogonal_maps", "radius_factor"]

# Half of the transport: with all of it, directions of noise would become as long as those of content.
_TRANSPORT_POWER = 0.5
# Ridge penalties as shares of the mean variance of the directions reached, into a narrower and into a wider space.
# Smaller penalties raise the cosine little, larger ones lower retrieval.
_RIDGE_NARROWER, _RIDGE_WIDER = 0.1, 0.3
_RADIUS_FACTOR = 1.3
# Large enough to keep the offset close to the mean, small enough to level it.
_LEVEL_RIDGE = 1.0
# Smaller variances, as shares of the largest, are rounding errors that a negative power would enlarge.
_VARIANCE_FLOOR = 1e-8
# Two steps suffice to see where halves differ. The loss is the largest accepted decrease in self-retrieval.
_HALF_NEIGHBORS, _HALF_ROWS, _RETRIEVAL_LOSS = (50, 50), 1000, 0.01


def nonorthogonal_maps(
    x: FloatArray,
    y: FloatArray,
    rotation: FloatArray,
    *,
    rng: np.random.Generator,
    pairs: Pairs | None,
    device: str,
    on_part: OnStep = ignore_step,
) -> tuple[FloatArray, FloatArray, dict[str, Any]]:
    """Return the map of each direction, non-orthogonal where refits on disjoint halves agree more under it.

    Errors that depend on the half of the rows differ between the two refits. If translations by both agree more after
    the stage than before, the stage has reduced such errors. It must also keep retrieval: the share of rows whose
    translation by one half is nearest to their own translation by the other half may fall by at most 1%.

    Args:
        x: [n_source, d_source], centered unit rows in random order.
        y: [n_target, d_target], likewise.
        rotation: [d_source, d_target].
        rng: draws batches.
        pairs: rows of known pairs, if any.
        device: where refits are computed.
        on_part: called before and after each part: the steps of the refits, the covariances and the maps.

    Returns:
        The forward matrix [d_source, d_target], the backward matrix [d_target, d_source], and the step of the trace.
    """
    halves = [(x[i::2], y[i::2]) for i in (0, 1)]
    report_part = report_parts("nonorthogonal stage", len(halves) * len(_HALF_NEIGHBORS) + 2, on_part)
    refits = [
        polish_rotation(*half, rotation, _HALF_NEIGHBORS, rng=rng, pairs=pairs, device=device, on_part=report_part)
        for half in halves
    ]
    # The problems of the two halves and of all rows, for each direction (matrix, source rows, target rows).
    sources, targets = [*(half for half, _ in halves), x], [*(half for _, half in halves), y]
    forward = list(zip((*refits, rotation), sources, targets, strict=True))
    backward = [(np.ascontiguousarray(matrix.T), b, a) for matrix, a, b in forward]
    # Both directions need the same covariances, which take long where there are many rows and columns.
    covariances = parallel_map(_shrunk_covariance, sources + targets)
    report_part()
    of_source, of_target = covariances[: len(sources)], covariances[len(sources) :]
    matrices = [matrix for matrix, _, _ in (*forward, *backward)]
    stages = parallel_map(_map_of_covariances, matrices, of_source + of_target, of_target + of_source)
    report_part()
    maps, used = [], []
    for problems, staged in ((forward, stages[:3]), (backward, stages[3:])):
        *refitted, (whole, all_rows, _) = problems
        rows = all_rows[:_HALF_ROWS]
        before = _half_agreement(rows, [matrix for matrix, _, _ in refitted])
        after = _half_agreement(rows, staged[:2])
        is_better = after[0] > before[0] and after[1] >= before[1] - _RETRIEVAL_LOSS
        used.append(is_better)
        maps.append(staged[2] if is_better else whole)
    return maps[0], maps[1], {"step": "nonorthogonal", "forward": used[0], "backward": used[1]}


def nonorthogonal_map(matrix: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return the non-orthogonal map ``E T F`` [d_source, d_target] of a rotation; see the module's formulas.

    Args:
        matrix: [d_source, d_target], orthonormal rows or columns.
        x: [n_source, d_source], centered unit rows.
        y: [n_target, d_target], centered unit rows.
    """
    return _map_of_covariances(matrix, _shrunk_covariance(x), _shrunk_covariance(y))


def _shrunk_covariance(rows: FloatArray) -> FloatArray:
    """Return the covariance [d, d] of centered rows [n, d] by Ledoit and Wolf, in float64."""
    # It brings scipy.stats, whose import takes longer than that of all else together.
    from sklearn.covariance import ledoit_wolf

    return np.asarray(ledoit_wolf(rows, assume_centered=True)[0].astype(np.float64))


def _map_of_covariances(matrix: FloatArray, covariance_x: FloatArray, covariance_y: FloatArray) -> FloatArray:
    """Return the map of `nonorthogonal_map` from the covariances [d_source, d_source] and [d_target, d_target]."""
    rotation = matrix.astype(np.float64)
    d_source, d_target = rotation.shape
    narrows = d_source >= d_target
    to_common, from_target = (rotation, np.eye(d_target)) if narrows else (np.eye(d_source), rotation.T)
    a = to_common.T @ covariance_x @ to_common
    b = from_target.T @ covariance_y @ from_target
    # Into a wider space no direction is lost, so there is no noise of lost directions to correct for.
    transport = _gaussian_transport(a, b) if narrows else np.eye(d_source)
    penalty = (_RIDGE_NARROWER if narrows else _RIDGE_WIDER) * np.trace(b) / len(b)
    regression = np.linalg.solve(b + penalty * np.eye(len(b)), from_target.T @ covariance_y)
    return np.asarray(to_common @ transport @ regression, np.float32)


def leveled_affine_map(source: Frame, target: Frame, matrix: FloatArray) -> AffineMap:
    """Return the affine map of ``matrix`` [d_source, d_target] whose translations lie around the hub-leveled mean."""
    offset, factor = hub_leveled_mean(target), radius_factor(source, target)
    return affine_map(source, target, matrix, offset=offset, radius_factor=factor)


def hub_leveled_mean(frame: Frame) -> FloatArray:
    """Return an offset [d] for translations to which the real rows of the frame are about equally near.

    Where the mean is long, real rows that lie near it are the nearest neighbors of every translation (hubs). The
    offset ``o = s (C + p I)^-1 m`` turns the mean m away from the directions in which rows vary along it; C is the
    covariance of the frame, p its mean variance, and s makes ``<o, m> = <m, m>``.
    """
    covariance = (frame.rows.T @ frame.rows / np.float32(len(frame.rows))).astype(np.float64)
    penalty = _LEVEL_RIDGE * np.trace(covariance) / len(covariance)
    mean = frame.mean.astype(np.float64)
    level = np.linalg.solve(covariance + penalty * np.eye(len(mean)), mean)
    along = level @ mean
    return np.asarray(level * (mean @ mean / along) if along > 0 else mean, np.float32)


def radius_factor(source: Frame, target: Frame) -> float:
    """Return the distance of translations from the offset, in radii of the target.

    A factor above 1 gives the content of a row more weight against the offset. Into a wider space, where part of the
    row is not predictable, that would lower the cosine more than it improves retrieval, so the factor is 1.
    """
    return _RADIUS_FACTOR if source.rows.shape[1] >= target.rows.shape[1] else 1.0


def _half_agreement(rows: FloatArray, maps: Sequence[FloatArray]) -> tuple[float, float]:
    """Return the agreement and the self-retrieval of the translations of rows [n, d] by two maps."""
    first, second = (rows @ matrix for matrix in maps)
    return agreement(first, second), self_retrieval(first, second)


def _gaussian_transport(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the transport map from N(0, a) to N(0, b) raised to a power (Peyré and Cuturi 2019, remark 2.31)."""
    root, inverse = _powers(a, 0.5, -0.5)
    (middle,) = _powers(root @ b @ root, 0.5)
    return _powers(inverse @ middle @ inverse, _TRANSPORT_POWER)[0]


def _powers(matrix: FloatArray, *exponents: float) -> list[FloatArray]:
    """Return powers [d, d] of a symmetric matrix [d, d], of whose eigenvalues the smallest are raised to a floor."""
    values, axes = np.linalg.eigh(matrix)
    values = np.maximum(values, values[-1] * _VARIANCE_FLOOR)
    return [np.asarray((axes * values**exponent) @ axes.T) for exponent in exponents]
