"""Frames: the centered unit rows of a space that linear methods work on, and affine maps between two spaces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, read_only, row_blocks, unit_rows
from interlingua.core.maps import AffineMap

__all__ = [
    "NEAR_COPY",
    "Frame",
    "affine_map",
    "affine_maps",
    "near_copies",
    "polar",
    "principal_axes",
    "skewness_signs",
]

# Two centered rows of at least this cosine count as copies of each other. Noise of a third of a row's length
# leaves copies above it; of 10,844 distinct queries less than 1% have another one that close.
NEAR_COPY = 0.9
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class Frame:
    """Unit rows of one space, centered by their mean and normalized again.

    Attributes:
        rows: [n, d], float32, unit norm; read-only.
        mean: [d], read-only, mean of the unit rows before centering.
        radius: root mean square length of the centered rows; 1 for a space around the origin, 0.3 for a narrow cone.
        norm: root mean square length of the rows before normalization; 1 for unit vectors.
    """

    rows: FloatArray
    mean: FloatArray
    radius: float
    norm: float = 1.0

    @classmethod
    def of(cls, vectors: FloatArray) -> Frame:
        """Build the frame of ``vectors`` [n, d]."""
        vectors = np.asarray(vectors, np.float32)
        unit = unit_rows(vectors)
        mean = unit.mean(axis=0, dtype=np.float64).astype(np.float32)
        centered = unit - mean
        return cls(read_only(unit_rows(centered)), read_only(mean), _rms_length(centered), _rms_length(vectors))

    def center(self, vectors: FloatArray) -> FloatArray:
        """Return ``vectors`` [n, d] as unit rows from which the frame's mean is subtracted; not of unit norm."""
        return unit_rows(vectors) - self.mean


def polar(matrix: FloatArray) -> FloatArray:
    """Return the (semi-)orthogonal polar factor ``U V^T`` of ``matrix = U S V^T`` [d_source, d_target].

    Of all matrices with orthonormal rows or columns it has the largest inner product with ``matrix``, so
    ``polar(x.T @ y)`` solves orthogonal Procrustes for any two widths (Schoenemann 1966).
    """
    left, _, right = np.linalg.svd(matrix, full_matrices=False)
    return np.asarray(left @ right)


def affine_maps(source: Frame, target: Frame, matrix: FloatArray) -> tuple[AffineMap, AffineMap]:
    """Return the affine maps that ``matrix`` [d_source, d_target] and its transpose define between two frames.

    A rotation between frames contains neither mean nor spread. The maps add both: translations get the mean of the
    other space, and one factor for all rows gives them its radius.
    """
    return affine_map(source, target, matrix), affine_map(target, source, matrix.T)


def principal_axes(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return principal axes [d, d] as columns and their variances [d] of centered rows [n, d], largest first."""
    values, axes = np.linalg.eigh(z.T @ z / np.float32(len(z)))
    return np.ascontiguousarray(axes[:, ::-1]), values[::-1]


def skewness_signs(rows: FloatArray, axes: FloatArray) -> FloatArray:
    """Return the sign of each axis, columns of [d, k], that gives centered rows [n, d] positive skewness.

    Axes have no sign of their own; skewness gives the same one to rows of the same distribution.
    """
    return np.where(((rows @ axes) ** 3).mean(axis=0) < 0, -1, 1).astype(np.float32)


def near_copies(rows: FloatArray, others: FloatArray, *, cosine: float = NEAR_COPY) -> npt.NDArray[np.bool_]:
    """Return which of centered unit rows [n, d] have a cosine of at least ``cosine`` with one of ``others`` [m, d]."""
    if not len(others):
        return np.zeros(len(rows), np.bool_)
    blocks = [(rows[block] @ others.T).max(axis=1) >= cosine for block in row_blocks(len(rows), _BLOCK)]
    return np.concatenate(blocks)


def affine_map(
    source: Frame, target: Frame, matrix: FloatArray, *, offset: FloatArray | None = None, radius_factor: float = 1.0
) -> AffineMap:
    """Return the affine map that ``matrix`` [d_source, d_target] defines between two frames, in this direction only.

    ``f(u) = offset + c (u - mean_source) matrix`` of a unit row u; the factor c gives the mapped rows of the source
    frame the root mean square length ``radius_factor * target.radius``.

    Args:
        source: frame of the rows that are mapped.
        target: frame of the result.
        matrix: [d_source, d_target].
        offset: [d_target], added to mapped rows; the target's mean by default.
        radius_factor: root mean square distance of mapped rows from the offset, in radii of the target.
    """
    length = source.radius * _rms_length(source.rows @ matrix)
    scale = radius_factor * target.radius / length if length else 1.0
    mean_out = target.mean if offset is None else offset
    return AffineMap(source.mean, np.asarray(scale * matrix, np.float32), mean_out, norm_out=target.norm)


def _rms_length(rows: FloatArray) -> float:
    return float(np.sqrt(np.einsum("ij,ij->", rows, rows, dtype=np.float64) / len(rows)))
