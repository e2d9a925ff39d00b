"""The stage after the rotation: closer to the true vectors, at equal retrieval, still without a pair.

A rotation maps every direction at full length, the shared and the noisy alike. Two corrections use only what each side
knows of itself. Half of the optimal transport map between the Gaussians of mapped source and target brings the spreads
of the directions together; a ridge regression, inside the space mapped into, of all its directions on those the
rotation reaches shrinks the noise and fills in what the narrower space cannot say.
"""

from __future__ import annotations

import numpy as np
from sklearn.covariance import ledoit_wolf

from interlingua.aligners.frames import Frame
from interlingua.core.arrays import FloatArray

_TRANSPORT_POWER = 0.5
# Ridge penalties as shares of the mean variance of the directions reached, into a narrower and into a wider space. Less
# raises the cosine little, more starts to cost retrieval.
_RIDGE_NARROWER, _RIDGE_WIDER = 0.1, 0.3
_REACH = 1.3
# Large enough to leave the offset close to the mean, small enough to level it.
_LEVEL_RIDGE = 1.0


def faithful(matrix: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return a non-orthogonal version [d_source, d_target] of a rotation between frames.

    Args:
        matrix: [d_source, d_target], orthonormal rows or columns.
        x: [n_source, d_source], centered unit rows.
        y: [n_target, d_target], centered unit rows.
    """
    covariance_x, covariance_y = (ledoit_wolf(z, assume_centered=True)[0].astype(np.float64) for z in (x, y))
    rotation = matrix.astype(np.float64)
    d_source, d_target = rotation.shape
    # Both spaces meet in the narrower one's coordinates: ``enter`` leads there, ``reach`` says where it lies in y.
    enter, reach = (rotation, np.eye(d_target)) if d_source >= d_target else (np.eye(d_source), rotation.T)
    mapped, wanted = enter.T @ covariance_x @ enter, reach.T @ covariance_y @ reach
    # Widening has no noise of lost directions to undo, so it takes the spreads as they come.
    spread = _gaussian_transport(mapped, wanted) if d_source >= d_target else np.eye(d_source)
    ridge = _RIDGE_NARROWER if d_source >= d_target else _RIDGE_WIDER
    penalty = ridge * np.trace(wanted) / len(wanted)
    fill = np.linalg.solve(wanted + penalty * np.eye(len(wanted)), reach.T @ covariance_y)
    return np.asarray(enter @ spread @ fill, np.float32)


def level_offset(frame: Frame) -> FloatArray:
    """Return an offset [d] beside the mean that real rows of the frame are about equally near to.

    Where the mean is long, rows near it would be the nearest of every translation whatever it says. Leaning away from
    the directions in which rows differ along the mean takes that advantage from them: ``(C + penalty)^-1 mean``,
    scaled to the mean's own length along itself.
    """
    covariance = (frame.rows.T @ frame.rows / np.float32(len(frame.rows))).astype(np.float64)
    penalty = _LEVEL_RIDGE * np.trace(covariance) / len(covariance)
    mean = frame.mean.astype(np.float64)
    level = np.linalg.solve(covariance + penalty * np.eye(len(mean)), mean)
    along = level @ mean
    return np.asarray(level * (mean @ mean / along) if along > 0 else mean, np.float32)


def reach(source: Frame, target: Frame) -> float:
    """Return how far translations should lie from the offset, in radii of the target.

    Farther out what a row says outweighs where the space lies. Into a wider space, where part of a row is unknown, that
    would cost more cosine than it helps retrieval.
    """
    return _REACH if source.rows.shape[1] >= target.rows.shape[1] else 1.0


def _gaussian_transport(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the transport map from N(0, a) to N(0, b) raised to a power (Peyré and Cuturi 2019, remark 2.31)."""
    root, inverse = _power(a, 0.5), _power(a, -0.5)
    return _power(inverse @ _power(root @ b @ root, 0.5) @ inverse, _TRANSPORT_POWER)


def _power(matrix: FloatArray, exponent: float) -> FloatArray:
    values, axes = np.linalg.eigh(matrix)
    floor = values[-1] * 1e-8
    return np.asarray((axes * np.maximum(values, floor) ** exponent) @ axes.T)
