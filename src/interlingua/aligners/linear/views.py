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

import numpy as np

from interlingua.aligners.base import Problem
from interlingua.aligners.frames import Frame, polar, principal_axes
from interlingua.aligners.linear.full_width import neighbors_for_rows
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import to_device, to_numpy
from interlingua.core.neighbors import mutual_neighbors

__all__ = ["joined_views", "rotate_to_target"]

# Most columns of the joined space. Directions beyond them are mostly those of one model.
_MAX_WIDTH = 512
_NEIGHBORS = 10


def joined_views(problem: Problem) -> Frame:
    """Return the frame of the joined space of the target and its views.

    Args:
        problem: with views.
    """
    parts = []
    for rows in (problem.rows[1], *problem.views):
        unit = unit_rows(rows)
        centered = unit - unit.mean(axis=0)
        length = np.sqrt(np.einsum("ij,ij->", centered, centered) / len(centered))
        # Wide views are reduced before they are joined, because the time grows with the cube of the columns.
        parts.append(_leading(centered / length))
    return Frame.of(_leading(np.concatenate(parts, axis=1)))


def _leading(columns: FloatArray) -> FloatArray:
    """Return centered rows [n, d] along their leading principal axes, or as they are if these are all."""
    if columns.shape[1] <= _MAX_WIDTH:
        return columns
    if len(columns) < columns.shape[1]:
        return np.asarray(columns @ np.linalg.svd(columns, full_matrices=False)[2][:_MAX_WIDTH].T)
    return columns @ principal_axes(columns)[0][:, :_MAX_WIDTH]


def rotate_to_target(
    x: FloatArray, joined: FloatArray, rotation: FloatArray, target: FloatArray, *, device: str = "cpu"
) -> FloatArray:
    """Return the rotation [d_source, d_target] into the target's own space that one into the joined space gives.

    Args:
        x: [n_source, d_source], centered unit rows.
        joined: [n_target, d_joined], centered unit rows.
        rotation: [d_source, d_joined].
        target: [n_target, d_target], centered unit rows in the order of the joined ones.
        device: where neighbors are computed.
    """
    k = neighbors_for_rows(_NEIGHBORS, min(len(x), len(joined)))
    coupling = mutual_neighbors(to_device(x @ rotation, device), to_device(joined, device), k)
    return polar(x.T @ to_numpy(coupling @ to_device(target, device)))
