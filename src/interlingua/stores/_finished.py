"""Checks of a finished migration before its rows are compared once more, and what the last catch-up left."""

from __future__ import annotations

from typing import Any

import numpy as np

from interlingua.core.arrays import IntArray
from interlingua.core.errors import InputError
from interlingua.core.translator import Translator
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._made import check_not_renamed
from interlingua.stores._origin import made_by
from interlingua.stores._places import check_moved, is_recorded
from interlingua.stores._protocol import Store
from interlingua.stores.planning import Options
from interlingua.stores.reembedding import TextEmbedder

__all__ = ["RENAME_BACK", "check_finished", "check_same_columns", "left_by_catch_up", "note_remaining"]

RENAME_BACK = "If columns were renamed after the migration, rename them back first; otherwise migrate to a new target."


def check_finished(
    log: MigrationJournal, translator: Translator | TextEmbedder, source: Store, target: Store
) -> Options:
    """Return the options of the finished migration between these stores.

    Raises:
        InputError: the journal is that of another migration or of one that is not finished, or the target only appends
            rows.
    """
    facts = log.facts
    if log.phase != "done":
        remedy = "Migrate again." if log.phase == "rolled back" else "Finish it with {resume} first."
        raise InputError(f"{log.path} shows no finished migration: its phase is {log.phase!r}.", remedy)
    if not target.capabilities.appends:
        check_not_renamed(log, target)
    for name, store in (("source", source), ("target", target)):
        if not is_recorded(facts, name, store.url):
            raise InputError(
                f"{log.path}: the {name} of this migration was {facts[name]}, not {store.url}. Use the same."
            )
    if facts["translator"] != (given := translator.fingerprint()):
        raise InputError(
            f"{log.path}: the {made_by(facts['plan'])} of this migration was {facts['translator']}, not {given}. "
            "Use the same."
        )
    if target.capabilities.appends:
        raise InputError(
            f"{target.url}: {target.title} can only append rows, so none can be replaced. Migrate to a new target "
            "instead."
        )
    check_moved(log, target)
    return Options(**facts["options"])


def check_same_columns(log: MigrationJournal, source: Store, identity: dict[str, Any]) -> None:
    """Refuse a source whose columns have changed.

    Raises:
        InputError: they have.
    """
    before = log.facts["source_facts"]
    for name, what in (("d", "the width"), ("ids", "the type of the ids"), ("payload", "the payload")):
        if before[name] != identity[name]:
            raise InputError(f"{source.url}: {what} was {before[name]} and is {identity[name]}.", RENAME_BACK)


def note_remaining(log: MigrationJournal, ids: IntArray) -> None:
    """Record which rows the source had at a catch-up, from the digests of their ids [n] in any order."""
    log.note(remaining=_digest_of(ids))


def left_by_catch_up(log: MigrationJournal, ids: IntArray) -> bool:
    """Return whether the source has the rows that it had at the last catch-up, from the digests of their ids [n]."""
    return bool(log.facts.get("remaining") == _digest_of(ids))


def _digest_of(ids: IntArray) -> list[int]:
    return [len(ids), int(np.bitwise_xor.reduce(ids))]
