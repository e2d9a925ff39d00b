"""Whether the target of a migration is still what the migration made, so that nothing of others is dropped."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.digests import digest_ids
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._lost import held_pages, holds_rows
from interlingua.stores._places import is_recorded
from interlingua.stores._protocol import Store
from interlingua.stores._sketches import Sketches
from interlingua.stores._url import parse_url

# The journal keeps so many rows of a migration, and so many leading values of each. A catch-up adds as many rows.
_ROWS, _VALUES = 8, 16
# Rows of a target that are compared if none of the kept ones is there.
_PAGE_ROWS = 1_024
# Largest difference between a kept value and the stored one, both of unit vectors: some stores keep float16.
_TOLERANCE = 1e-2


def note_written(log: MigrationJournal, records: Records) -> None:
    """Record some of the rows that are about to be written, by which the target can be recognized later."""
    rows = records.rows(0, min(_ROWS, len(records)))
    kept = [[key, values] for key, values in zip(rows.ids.to_pylist(), _leading(rows.vectors).tolist(), strict=True)]
    log.note(written=[*kept, *log.facts.get("written", [])][: 2 * _ROWS])


def check_made(log: MigrationJournal, target: Store) -> None:
    """Refuse a target that something else has made under the same name since.

    Raises:
        InputError: what `Store.creation` returns is not what was recorded; or, where a store has no such mark, none of
            the rows that were kept in the journal, and none of the first rows of the target, has the vector that was
            written.
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
    elif not (
        _holds_one_of(target, facts.get("written", []))
        or _begins_with_one_of(target, log, vector_only=vector_only)
        or not holds_rows(target, vector_only=vector_only)
    ):
        reason = "it holds rows, and the migration was interrupted before it wrote one"
        if facts.get("written"):
            reason = "it holds rows, and none of those that were looked for is there with the vector that was written"
    if reason is not None:
        raise InputError(
            f"{target.url} is not what the migration of {log.path} made: {reason}. Something has replaced it, and "
            "nothing was dropped or written. Move or drop it by hand, and remove the journal."
        )


def check_not_gone(log: MigrationJournal, target: Store) -> None:
    """Refuse to roll back a finished migration whose target is not there under its name.

    Its journal is still needed if the target was renamed or moved.

    Raises:
        InputError: the target is not there.
    """
    if not target.exists():
        raise InputError(
            f"{target.url} is not there; was it renamed or moved? Rename or move it back first. Nothing was dropped, "
            f"and the journal is as it was. If it was dropped by hand, remove {log.path}."
        )


def check_not_renamed(log: MigrationJournal, target: Store) -> None:
    """Refuse to go on with a finished migration whose target has another name now.

    Args:
        log: of a finished migration.
        target: of the same command, under its recorded name or the one that it has now.

    Raises:
        InputError: the target is not there under its recorded name, or is there under the name that was given.
    """
    facts = log.facts
    recorded = parse_url(str(facts["target"]))
    if is_recorded(facts, "target", target.url):
        is_renamed = not target.exists()
    else:
        elsewhere = target.url.collection_key[:-1] != recorded.collection_key[:-1]
        mark = None if elsewhere else facts.get("creation")
        is_renamed = (
            mark is not None
            and target.exists()
            and target.creation(vector_only=bool(facts.get("as_new_vector"))) == mark
        )
    if is_renamed:
        raise InputError(
            f"{recorded} is not there: it was renamed, or dropped, after the migration of {log.path}. If columns or "
            "tables were renamed, rename them back first, and run the command with the addresses of the "
            f"migration, {facts['source']} and {recorded}."
        )


def _holds_one_of(target: Store, written: list[list[Any]]) -> bool:
    """Return whether one of some rows, each an id and its leading values, is stored as it was written."""
    if not written:
        return False
    try:
        id_type = target.info().id_type
        ids = pa.array([key for key, _ in written], id_type)
    except (InputError, pa.ArrowException, OverflowError):
        return False  # empty, or with ids of another kind
    values = np.asarray([row for _, row in written], np.float32)
    # All at once; if one of them is missing, that is an error, and each is read alone.
    parts = [slice(None), *(slice(row, row + 1) for row in range(len(written)))]
    return any(_holds_one_of_these(target, ids[part], values[part]) for part in parts)


def _begins_with_one_of(target: Store, log: MigrationJournal, *, vector_only: bool) -> bool:
    """Return whether one of the first rows of a target is stored as it was written."""
    sketches = Sketches(log.sketches())
    try:
        with closing(held_pages(target, vector_only=vector_only, size=_PAGE_ROWS)) as pages:
            page = next((page for page in pages if len(page)), None)
            return page is not None and bool(sketches.compare(digest_ids(page.ids), page.vectors)[1].any())
    except InputError:
        return False  # it cannot be read, because something else made it


def _holds_one_of_these(target: Store, ids: pa.Array, values: FloatArray) -> bool:
    """Return whether rows of these ids exist and one of them has its leading values."""
    try:
        stored = _leading(target.fetch(ids).vectors)
    except InputError:
        return False
    return stored.shape == values.shape and bool((np.abs(stored - values).max(axis=1) <= _TOLERANCE).any())


def _leading(vectors: FloatArray) -> FloatArray:
    return np.asarray(unit_rows(np.asarray(vectors, np.float32))[:, :_VALUES])
