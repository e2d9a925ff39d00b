"""Several views of the target: vectors of the same target rows by further models.

Each model changes the geometry that texts have in common in its own way. Side by side, the vectors of several models
of the same rows are closer to that geometry than those of one model, so the map from an unknown source is found with
fewer rows. Texts of the source are not needed, because views are vectors of target rows only. The joined space is

    ``[z_1 / r_1, ..., z_v / r_v] A``

where ``z_i`` are the centered unit rows of a model, ``r_i`` is their root mean square length, so that no model
outweighs another, and ``A`` are the leading principal axes of all columns. The search runs between source and joined
space; the rotation into the target's own space follows from the mutual neighbors that it gives. The combination is a
method of this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interlingua.aligners.base import Problem
from interlingua.aligners.frames import Frame, polar, principal_axes
from interlingua.aligners.linear.full_width import neighbors_for_rows
from interlingua.aligners.linear.pairs import Pairs, pair_covariance
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import to_device, to_numpy
from interlingua.core.neighbors import mutual_neighbors

__all__ = ["JoinedSpace", "rotate_to_target"]

# Most columns of the joined space. Directions beyond them are mostly those of one model.
_MAX_WIDTH = 512
_NEIGHBORS = 10


@dataclass(frozen=True, eq=False)
class JoinedSpace:
    """The joined space of a target and its views.

    Attributes:
        frame: of its rows [n_target, d_joined].
        models: how the rows of each model enter it, the target first.
        axes: [columns of all models, d_joined], the leading principal axes; None if these are all.
    """

    frame: Frame
    models: tuple[_Model, ...]
    axes: FloatArray | None

    @classmethod
    def of(cls, problem: Problem) -> JoinedSpace:
        """Join the target of a problem with its views."""
        models, parts = zip(*map(_Model.of, (problem.rows[1], *problem.views)), strict=True)
        columns = np.concatenate(parts, axis=1)
        axes = _leading_axes(columns)
        return cls(Frame.of(_project(columns, axes)), models, axes)

    def center(self, rows: Sequence[FloatArray]) -> FloatArray:
        """Return other texts as unit rows [n, d_joined] of the frame.

        Args:
            rows: their vectors [n, d] by each model, in the order of `models`.
        """
        parts = [model.scale(each) for model, each in zip(self.models, rows, strict=True)]
        return unit_rows(self.frame.center(_project(np.concatenate(parts, axis=1), self.axes)))


@dataclass(frozen=True, eq=False)
class _Model:
    """How rows of one model enter the joined space.

    Attributes:
        mean: [d], of the unit rows.
        length: root mean square length of the centered rows.
        axes: [d, w], leading principal axes of a wide model; None for all columns.
    """

    mean: FloatArray
    length: float
    axes: FloatArray | None

    @classmethod
    def of(cls, rows: FloatArray) -> tuple[_Model, FloatArray]:
        """Return the model of rows [n, d], and its columns of the joined space."""
        unit = unit_rows(rows)
        mean = unit.mean(axis=0)
        centered = unit - mean
        length = np.sqrt(np.einsum("ij,ij->", centered, centered) / len(centered))
        scaled = centered / length
        # Wide views are reduced before they are joined, because the time grows with the cube of the columns.
        axes = _leading_axes(scaled)
        return cls(mean, length, axes), _project(scaled, axes)

    def scale(self, rows: FloatArray) -> FloatArray:
        """Return the columns of the joined space [n, w] of rows [n, d]."""
        return _project((unit_rows(rows) - self.mean) / self.length, self.axes)


def _leading_axes(columns: FloatArray) -> FloatArray | None:
    """Return the leading principal axes of centered rows [n, d] as columns, or None where all are kept."""
    if columns.shape[1] <= _MAX_WIDTH:
        return None
    if len(columns) < columns.shape[1]:
        return np.asarray(np.linalg.svd(columns, full_matrices=False)[2][:_MAX_WIDTH].T)
    return principal_axes(columns)[0][:, :_MAX_WIDTH]


def _project(rows: FloatArray, axes: FloatArray | None) -> FloatArray:
    return rows if axes is None else rows @ axes


def rotate_to_target(
    x: FloatArray,
    joined: FloatArray,
    rotation: FloatArray,
    target: FloatArray,
    *,
    pairs: Pairs | None = None,
    device: str = "cpu",
) -> FloatArray:
    """Return the rotation [d_source, d_target] into the target's own space that one into the joined space gives.

    Args:
        x: [n_source, d_source], centered unit rows.
        joined: [n_target, d_joined], centered unit rows.
        rotation: [d_source, d_joined].
        target: [n_target, d_target], centered unit rows in the order of the joined ones.
        pairs: known pairs as centered unit rows [p, d_source] and [p, d_target], with the weight that they have in
            every refinement.
        device: where neighbors are computed.
    """
    k = neighbors_for_rows(_NEIGHBORS, min(len(x), len(joined)))
    coupling = mutual_neighbors(to_device(x @ rotation, device), to_device(joined, device), k)
    covariance = x.T @ to_numpy(coupling @ to_device(target, device))
    if pairs is not None:
        covariance = covariance + float(coupling.sum()) * pair_covariance(pairs)
    return polar(covariance)
