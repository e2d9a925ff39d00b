"""Rows that a migration wrote and that its target holds no more, because something else has deleted them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import IntArray
from interlingua.core.digests import digest_ids
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._foreign import present_rows
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._protocol import Store

__all__ = ["held_among", "held_ids", "held_pages", "holds_rows"]


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
    with closing(held_pages(target, vector_only=vector_only, size=size)) as pages:
        return np.sort(np.concatenate([np.empty(0, np.int64), *(digest_ids(page.ids) for page in pages)]))


def held_pages(target: Store, *, vector_only: bool, size: int) -> Generator[Records, None, None]:
    """Yield the rows that a target holds with a vector.

    Args:
        target: of a migration; its selection of rows is reset at the end.
        vector_only: whether the new vector stands beside the old one, so that rows of the collection may lack it.
        size: rows that are read at a time.
    """
    try:
        target.restrict(skip_null=vector_only and "skip_null" in target.capabilities.selects, bad_as_nan=True)
        with closing(target.scan(size)) as pages:  # type: ignore[type-var]
            yield from filter(len, (_filled(page) for page, _ in pages))
    finally:
        target.restrict()


def holds_rows(target: Store, *, vector_only: bool) -> bool:
    """Return whether a collection holds a row, or cannot be read, because something else made it.

    Args:
        target: the collection; its selection of rows is reset.
        vector_only: whether only rows with the vector count.
    """
    try:
        if vector_only and "skip_null" in target.capabilities.selects:
            target.restrict(skip_null=True)
        with closing(target.scan(1)) as pages:  # type: ignore[type-var]
            return next(pages, None) is not None
    except InputError:
        return True
    finally:
        target.restrict()


def held_among(target: Store, ids: pa.Array) -> IntArray:
    """Return the digests of those of some ids whose rows a target holds with a vector, in any order."""
    target.restrict(bad_as_nan=True)
    try:
        found = [digest_ids(_filled(rows).ids) for rows in present_rows(target, ids)]
        return np.concatenate([np.empty(0, np.int64), *found])
    finally:
        target.restrict()


def _filled(records: Records) -> Records:
    """Return the rows with a vector; one that is missing is read as NaN."""
    return records.take(np.flatnonzero(~np.isnan(records.vectors).all(axis=1)))
