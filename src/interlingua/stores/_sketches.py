"""Sketches of vectors: 64 bits by which a vector that a store gives back is recognized as the one that was written."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.digests import digest_ids
from interlingua.core.records import Records

__all__ = ["Sketches", "sketches_of", "written_rows"]

# Projections of each vector, in half precision.
_PROJECTIONS = 4
# Largest difference between a projection of a vector that was written and that of the stored one, both of unit norm:
# some stores keep half precision. The projections of two different vectors of unit norm differ by about 1.
_TOLERANCE = 0.02
# Words that are drawn for the signs. NumPy keeps the words of a bit generator the same in all of its versions.
_SEED = 7


def sketches_of(vectors: FloatArray) -> IntArray:
    """Return a sketch of each vector [n], int64, of its direction alone: some stores scale vectors to unit norm."""
    with np.errstate(all="ignore"):  # something else may have written infinity, which then differs from everything
        rows = unit_rows(np.asarray(vectors, np.float32))
        projections = np.clip(rows @ _signs(rows.shape[1]), -1e4, 1e4)
    return np.ascontiguousarray(projections, "<f2").view("<i8")[:, 0].astype(np.int64)


def written_rows(records: Records) -> IntArray:
    """Return a digest of the id and a sketch of the vector of each row [n, 2], as a journal holds them."""
    return np.stack([digest_ids(records.ids), sketches_of(records.vectors)], axis=1)


class Sketches:
    """The sketches of the rows that a migration has written.

    Args:
        rows: [n, 2] int64, a digest of an id and a sketch; an id that was written several times has several sketches.
    """

    def __init__(self, rows: IntArray) -> None:
        order = np.argsort(rows[:, 0], kind="stable")
        self._ids, self._sketches = rows[order, 0], rows[order, 1]

    def compare(self, ids: IntArray, vectors: FloatArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return for each row whether one of its id was written, and whether its vector is one that was written.

        Args:
            ids: [n] digests.
            vectors: [n, d] as the store has them.
        """
        first, last = np.searchsorted(self._ids, ids, "left"), np.searchsorted(self._ids, ids, "right")
        found, same = _projections(sketches_of(vectors)), np.zeros(len(ids), bool)
        for offset in range(int((last - first).max(initial=0))):
            rows = np.flatnonzero(first + offset < last)
            written = _projections(self._sketches[first[rows] + offset])
            same[rows] |= (np.abs(written - found[rows]) <= _TOLERANCE).all(axis=1)
        return last > first, same


def _projections(sketches: IntArray) -> FloatArray:
    return np.asarray(sketches.astype("<i8")[:, None].view("<f2"), np.float32)


@cache
def _signs(d: int) -> FloatArray:
    """Return a matrix [d, p] of random signs, the same in every process."""
    words = np.random.PCG64(_SEED).random_raw(-(-d * _PROJECTIONS // 64))
    bits = np.unpackbits(np.asarray(words, "<u8").view(np.uint8))[: d * _PROJECTIONS]
    return np.asarray(bits.reshape(d, _PROJECTIONS), np.float32) * 2 - 1
