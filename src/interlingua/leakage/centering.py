"""Centering of collections: every attack subtracts the mean of the collection a vector belongs to.

Translations share an offset from the public corpus, because an unpaired map misses the mean of the target space. A
common offset looks like the same few words in every document. The mean is always an argument: what a function returns
for one row does not depend on the rows passed with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.evaluation.scores import mean_unit_row
from interlingua.leakage._checks import check_vector

__all__ = ["center_by_own_mean", "collection_mean", "subtract_mean"]


def collection_mean(vectors: npt.ArrayLike) -> FloatArray:
    """Return the mean of the unit rows of a collection [n, d] as a vector [d].

    Pass it as ``mean`` to decoders, retrieval and label scores when the vectors are translations. Compute it once from
    the whole collection or from a random sample of at least a few hundred rows.

    Raises:
        InputError: the matrix cannot be used.
    """
    return mean_unit_row(check_matrix(vectors, "the collection"))


def center_by_own_mean(vectors: npt.ArrayLike) -> FloatArray:
    """Return the unit rows of a collection [n, d] less their mean, with unit norm again.

    Raises:
        InputError: the matrix cannot be used.
    """
    units = unit_rows(check_matrix(vectors, "the collection").astype(np.float32))
    return unit_rows(units - collection_mean(units))


def subtract_mean(vectors: npt.ArrayLike, mean: npt.ArrayLike | None, default: FloatArray) -> FloatArray:
    """Return the unit rows of ``vectors`` [n, d] less ``mean`` [d], or less ``default`` [d] without one.

    Raises:
        InputError: another width than ``default`` has, or a mean that is not one finite vector of that width.
    """
    default = check_vector(default, "default")
    rows = unit_rows(check_matrix(vectors, "vectors", width=len(default)).astype(np.float32))
    return rows - (default if mean is None else check_vector(mean, "mean", len(default)))
