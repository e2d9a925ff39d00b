"""Rows that a migration wrote and that its target holds no more, because something else has deleted them."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import IntArray
from interlingua.core.digests import digest_ids
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._foreign import present_rows
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._made import holds_rows
from interlingua.stores._protocol import Store

__all__ = ["held_among", "held_ids"]


def held_ids(target: Store, log: MigrationJournal, size: int) -> IntArray | None:
    """Return the rows that a target holds with a vector, unless their number is that of the rows that were written.

    Args:
        target: of a finished migration; its selection of rows is reset.
        log: the journal.
        size: rows that are read at a time.

    Returns:
        The digests of the ids [n] in ascending order; ``None`` if the numbers are equal and no row was read.
    """
    vector_only = bool(log.facts.get("as_new_vector"))
    try:
        if target.info().count == log.row_count():
            return None
    except InputError:  # it has no row with a vector, or it cannot be read
        if holds_rows(target, vector_only=vector_only):
            raise
        return np.empty(0, np.int64)
    found: list[IntArray] = [np.empty(0, np.int64)]
    try:
        target.restrict(skip_null=vector_only and "skip_null" in target.capabilities.selects, bad_as_nan=True)
        with closing(target.scan(size)) as pages:  # type: ignore[type-var]
            found += [_filled(page) for page, _ in pages]
    finally:
        target.restrict()
    return np.sort(np.concatenate(found))


def held_among(target: Store, ids: pa.Array) -> IntArray:
    """Return the digests of those of some ids whose rows a target holds with a vector, in any order."""
    target.restrict(bad_as_nan=True)
    try:
        return np.concatenate([np.empty(0, np.int64), *map(_filled, present_rows(target, ids))])
    finally:
        target.restrict()


def _filled(records: Records) -> IntArray:
    """Return the digests of the ids of rows with a vector; one that is missing is read as NaN."""
    return digest_ids(records.ids)[~np.isnan(records.vectors).all(axis=1)]
