"""Whether the target of a migration is still what the migration made, so that nothing of others is dropped."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._protocol import Store

# Rows and leading values of each that are kept in the journal; a catch-up adds as many of the rows that it writes.
_ROWS, _VALUES = 8, 16
# Largest difference between a kept value and the stored one, both of unit vectors: some stores keep float16.
_TOLERANCE = 1e-2


def note_written(log: MigrationJournal, records: Records) -> None:
    """Record some of the rows that are about to be written, by which the target can be known again."""
    rows = records.rows(0, min(_ROWS, len(records)))
    kept = [[key, values] for key, values in zip(rows.ids.to_pylist(), _leading(rows.vectors).tolist(), strict=True)]
    log.note(written=[*kept, *log.facts.get("written", [])][: 2 * _ROWS])


def check_made(log: MigrationJournal, target: Store) -> None:
    """Refuse a target that something else has made under the same name since.

    Raises:
        InputError: what `Store.creation` returns is not what was recorded; or, where a store has no such mark, none of
            the rows that were kept in the journal is there with its vector.
    """
    facts = log.facts
    if not facts.get("target_begun"):
        return
    vector_only, job, reason = bool(facts.get("as_new_vector")), target.unfinished(), None
    if job not in {None, facts["job"]}:
        reason = f"the unfinished rows beside it are those of {job}"
    elif not target.exists():
        return
    elif facts.get("creation") is not None:
        found = target.creation(vector_only=vector_only)
        if found != facts["creation"]:
            reason = f"{facts['creation']} was made and {found or 'something without such a mark'} is there"
    elif not _holds_one_of(target, facts.get("written", [])) and holds_rows(target, vector_only=vector_only):
        written = len(facts.get("written", []))
        reason = "it holds rows, and the migration was interrupted before it wrote one"
        if written:
            reason = f"it holds rows, and none of {written} that were written is there with its vector"
    if reason is not None:
        raise InputError(
            f"{target.url} is not what the migration of {log.path} made: {reason}. Something has replaced it, and "
            "nothing was dropped or written. Move or drop it by hand, and remove the journal."
        )


def holds_rows(target: Store, *, vector_only: bool) -> bool:
    """Return whether a collection holds a row; one that cannot be read was made by something else, and may.

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


def _holds_one_of(target: Store, written: list[list[Any]]) -> bool:
    """Return whether one of some rows, each an id and its leading values, is stored as it was written."""
    if not written:
        return False
    try:
        id_type = target.info().id_type
        ids = pa.array([key for key, _ in written], id_type)
    except (InputError, pa.ArrowException, OverflowError):
        return False  # empty, or with ids of another kind
    parts = [slice(row, row + 1) for row in range(len(written))]
    for part in (slice(None), *parts):  # all at once, and each alone if one is missing
        try:
            stored = _leading(target.fetch(ids[part]).vectors)
        except InputError:
            continue
        values = np.asarray([row for _, row in written[part]], np.float32)
        if stored.shape == values.shape and (np.abs(stored - values).max(axis=1) <= _TOLERANCE).any():
            return True
        if part == slice(None):
            return False
    return False


def _leading(vectors: FloatArray) -> FloatArray:
    return np.asarray(unit_rows(np.asarray(vectors, np.float32))[:, :_VALUES])
