"""Undoing a migration: its target is dropped, unless that would destroy rows or vectors that are nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.arguments import check_callable, check_flag, check_instance, check_path, shown
from interlingua.core.arrays import IntArray, usable_rows
from interlingua.core.callbacks import OnRows
from interlingua.core.digests import digest_ids
from interlingua.core.errors import InputError, InterlinguaError
from interlingua.core.wording import count_of
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._made import check_made, check_not_gone
from interlingua.stores._open import open_source, open_store
from interlingua.stores._origin import made_by
from interlingua.stores._places import check_moved, is_recorded, recorded_url
from interlingua.stores._protocol import Store
from interlingua.stores._sketches import Sketches
from interlingua.stores._url import StoreURL, parse_url

__all__ = ["Rollback", "rollback"]

# Rows that are read at a time to find out what would be lost.
_PAGE_ROWS = 4_096


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """What a rollback dropped, or would drop.

    Attributes:
        dropped: address of the target; ``None`` if the migration had made nothing yet, was rolled back before, or
            something else has dropped what it made.
        rows: rows of the target, and of a vector beside the old one those that have it; ``None`` if they were not
            counted.
        added: of these, rows that the migration did not write.
        edited: of these, rows of the migration whose vector something else has written since.
        first_added: id of a row that was added or edited, as text.
        unsaved: of these, rows of the migration that the source no longer holds with a vector that can be used.
        lost_source: why the source could not be read, so that ``unsaved`` is not known; ``None`` if it was read.
        lost_target: why the rows of the target could not be read, so that none of them was counted; ``None`` if they
            were read, or if the migration is unfinished, when a server may give no rows back; ``rows`` is ``None``
            then.
    """

    dropped: str | None = None
    rows: int | None = None
    added: int = 0
    edited: int = 0
    first_added: str | None = None
    unsaved: int = 0
    lost_source: str | None = None
    lost_target: str | None = None

    def losses(self, source: str) -> list[str]:
        """Return a sentence for each reason why dropping the target would destroy something.

        Args:
            source: address of the source.
        """
        reasons, where = [], str(self.dropped)
        example = f", for example the one with the id {self.first_added}" if self.first_added is not None else ""
        if self.added or self.edited:
            parts = [f"{count_of(self.added)} that the migration did not write"] if self.added else []
            parts += [f"{count_of(self.edited)} whose vector something else has written since"] if self.edited else []
            reasons.append(f"{where} holds {count_of(self.rows or 0)}, among them {' and '.join(parts)}{example}.")
        if self.lost_target is not None:
            reasons.append(f"Whether {where} holds rows of others is not known: {self.lost_target}")
        if self.unsaved:
            have = "has" if self.unsaved == 1 else "have"
            reasons.append(f"{count_of(self.unsaved)} of {where} {have} no usable vector in {source} any more.")
        if self.lost_source is not None:
            reasons.append(
                f"The vectors in {where} may be the last ones, because {source} cannot be read: {self.lost_source}"
            )
        return reasons


def rollback(
    journal: str | Path,
    *,
    target: Store | None = None,
    address: str | None = None,
    source: str | None = None,
    dry_run: bool = False,
    allow_loss: bool = False,
    on_rows: OnRows | None = None,
) -> Rollback:
    """Drop what the migration of this journal made; the source is never touched.

    All rows of the target and of the source are read before, and nothing is dropped if the target holds rows or vectors
    that are nowhere else: rows that the migration did not write, vectors that something else has written, and rows
    that the source no longer holds with a vector.

    Args:
        journal: the journal of the migration.
        target: the store that it wrote to; by default it is opened and closed here.
        address: the address of the target, to make sure that the journal is that of the migration that is meant.
        source: the address of the source, for the same purpose.
        dry_run: only count the rows.
        allow_loss: drop the target in any case.
        on_rows: called with the phase, the rows done and the number of rows.

    Raises:
        InputError: there is no such journal, it has another target or source, or its target is a relative path that
            leads elsewhere from this folder; something else has replaced the target since; the migration is finished
            and its target is not there under its name; or rows or vectors would be lost. Nothing is changed then.
    """
    path = check_path(journal, "journal")
    if target is not None:
        check_instance(target, "target", Store, "a store, as open_store returns it, or None")
    dry_run, allow_loss = check_flag(dry_run, "dry_run"), check_flag(allow_loss, "allow_loss")
    if on_rows is not None:
        check_callable(on_rows, "on_rows", "a function or None")
    with closing(MigrationJournal(path, create=False)) as log:
        facts, found = log.facts, Rollback()
        named = None if source is None else parse_url(source)
        if named is not None and "source" in facts:
            _check_source(log, named)
        if facts.get("target_begun") and log.phase != "rolled back":
            given = target.url if target is not None else None if address is None else parse_url(address)
            url = recorded_url(facts, "target", given)
            _check_target(log, url, given)
            with _opened(target, url, dry_run=dry_run) as store:
                check_moved(log, store)
                check_made(log, store)
                if log.phase == "done":
                    check_not_gone(log, store)
                is_there = store.exists() or store.unfinished() is not None
                if is_there and not (allow_loss and not dry_run):
                    found = _find_losses(log, store, named, on_rows or (lambda phase, done, rows: None))
                found = replace(found, dropped=str(log.facts["target"]) if is_there else None)
                if not dry_run:
                    _check_losses(found, facts, allow_loss=allow_loss)
                    store.drop(vector_only=bool(facts.get("as_new_vector")))
        if not dry_run:
            log.note(phase="rolled back")
        return found


@contextmanager
def _opened(target: Store | None, url: StoreURL, *, dry_run: bool) -> Iterator[Store]:
    """Open the target, unless the caller has; without a change to its files if it is only looked at."""
    if target is not None:
        yield target
        return
    with (open_source if dry_run else open_store)(url) as store:
        yield store


def _check_target(log: MigrationJournal, recorded: StoreURL, given: StoreURL | None) -> None:
    """Refuse to drop another target than the one that the caller means."""
    if given is not None and (recorded.collection_key, recorded.names) != (given.collection_key, given.names):
        raise InputError(
            f"{log.path} is the journal of a migration to {log.facts['target']}, not to {given}; nothing was dropped. "
            "Name the target or the journal that belongs to it."
        )


def _check_source(log: MigrationJournal, given: StoreURL) -> None:
    """Refuse the journal of a migration from another source than the one that the caller means."""
    if not is_recorded(log.facts, "source", given):
        raise InputError(
            f"{log.path} is the journal of a migration from {log.facts['source']}, not from {given}; nothing was "
            f"dropped. Give the source address of that migration, or the journal of the migration from {given}."
        )


def _check_losses(found: Rollback, facts: dict[str, Any], *, allow_loss: bool) -> None:
    """Refuse to drop what is nowhere else."""
    reasons = found.losses(str(facts["source"]))
    if reasons and not allow_loss:
        raise InputError(
            f"A rollback would destroy what is nowhere else. {' '.join(reasons)} Nothing was dropped.",
            "Copy it first, or drop it with {allow_loss}.",
        )


def _find_losses(log: MigrationJournal, target: Store, named: StoreURL | None, on_rows: OnRows) -> Rollback:
    """Read all rows of the target and the source, and count those that would be lost."""
    if target.capabilities.appends:
        # A file as a whole has a mark, which any change of it changes. The rows of an unfinished one cannot be read.
        written = log.sketches()[:, 0]
        unsaved, reason = _count_unsaved(log, named, written, on_rows)
        return Rollback(rows=len(written), unsaved=unsaved, lost_source=reason)
    sketches, total, own, foreign, first = Sketches(log.sketches()), log.row_count(), list[IntArray](), [0, 0], None
    rows, vector_only = 0, bool(log.facts.get("as_new_vector"))
    try:
        skip = vector_only and "skip_null" in target.capabilities.selects
        target.restrict(skip_null=skip, bad_as_nan=True)
        with closing(target.scan(_PAGE_ROWS)) as pages:  # type: ignore[type-var]
            for records, _ in pages:
                ids = digest_ids(records.ids)
                known, same = sketches.compare(ids, records.vectors)
                own.append(ids[same])
                foreign[0] += int((~known).sum())
                foreign[1] += int((known & ~same).sum())
                if first is None and not same.all():
                    first = shown(records.ids[int(np.argmin(same))].as_py())
                rows += len(records)
                on_rows("reading the target", min(rows, total), total)
    except InterlinguaError as error:
        # A server may give no rows back before its collection has an index.
        reason = str(error.args[0]) if log.phase in {"checking", "done"} else None
        return Rollback(lost_target=reason)
    finally:
        target.restrict()
    unsaved, reason = _count_unsaved(log, named, np.concatenate([np.empty(0, np.int64), *own]), on_rows)
    return Rollback(
        rows=rows, added=foreign[0], edited=foreign[1], first_added=first, unsaved=unsaved, lost_source=reason
    )


def _count_unsaved(
    log: MigrationJournal, named: StoreURL | None, written: IntArray, on_rows: OnRows
) -> tuple[int, str | None]:
    """Return how many of some rows the source does not hold with a vector, and why it cannot be read."""
    if not len(written):
        return 0, None
    facts, held, rows = log.facts, list[IntArray](), 0
    embeds = made_by(facts["plan"]) == "encoder"
    try:
        with open_source(recorded_url(facts, "source", named)) as source:
            reason = _other_content(log, source)
            if reason is not None:
                return 0, reason
            source.restrict(skip_null="skip_null" in source.capabilities.selects, bad_as_nan=True)
            with closing(source.scan(_PAGE_ROWS)) as pages:  # type: ignore[type-var]
                for records, _ in pages:
                    # New vectors of texts are also written for rows whose old one cannot be used.
                    usable = usable_rows(records.vectors) | embeds
                    held.append(digest_ids(records.ids)[usable])
                    rows += len(records)
                    on_rows("reading the source", min(rows, len(written)), len(written))
    except InterlinguaError as error:
        return 0, str(error.args[0])
    return int((~np.isin(written, np.concatenate([np.empty(0, np.int64), *held]))).sum()), None


def _other_content(log: MigrationJournal, source: Store) -> str | None:
    """Return why the address of the source does not lead to what was migrated now, None if it does."""
    facts, place = log.facts, source.url.resolved_path
    is_target = place is not None and place == facts.get("target_path")
    if source.is_made_by(facts["job"]) or (is_target and source.url.names == recorded_url(facts, "target").names):
        return "it shows what this migration made, and not what was migrated."
    before, width = facts["source_facts"]["d"], source.info().d
    return None if width == before else f"its vectors have width {width}, and those that were migrated had {before}."
