"""Rows of a target whose vectors something else has written since the migration, and which a catch-up keeps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from interlingua.core.arrays import IntArray
from interlingua.core.digests import digest_ids
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._base import Adapter
from interlingua.stores._protocol import Store
from interlingua.stores._sketches import Sketches

__all__ = ["foreign_rows", "present_rows"]


def foreign_rows(target: Store, sketches: Sketches, ids: pa.Array) -> npt.NDArray[np.bool_]:
    """Return for each id [n] whether the target holds a vector for it that the migration did not write.

    Args:
        target: of the migration; its selection of rows is reset.
        sketches: of the rows that the migration has written.
        ids: as the target has them.
    """
    target.restrict(bad_as_nan=True)
    try:
        found = np.concatenate(
            [np.empty(0, np.int64), *(_foreign(rows, sketches) for rows in present_rows(target, ids))]
        )
    finally:
        target.restrict()
    return np.isin(digest_ids(ids), found)


def _foreign(records: Records, sketches: Sketches) -> IntArray:
    """Return the digests of the ids of rows with a vector that is not one of the migration."""
    # A vector of zeros is of no use in a search, but something else has written it, and it is kept like any other.
    filled = records.take(np.flatnonzero(np.isfinite(records.vectors).all(axis=1)))
    if not len(filled):
        return np.empty(0, np.int64)
    digests = digest_ids(filled.ids)
    return digests[~sketches.compare(digests, filled.vectors)[1]]


def present_rows(target: Store, ids: pa.Array) -> list[Records]:
    """Return the rows of these ids that exist."""
    if isinstance(target, Adapter):
        return [target.present(ids)]
    try:
        return [target.fetch(ids)] if len(ids) else []
    except InputError:  # one of them does not exist
        half = len(ids) // 2
        return [] if not half else [*present_rows(target, ids[:half]), *present_rows(target, ids[half:])]
