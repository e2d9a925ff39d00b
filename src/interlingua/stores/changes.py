"""Rows of a source that changed after a migration copied them: found by digests in the journal, listed, and copied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from interlingua.core.arguments import check_instance, check_path
from interlingua.core.arrays import IntArray
from interlingua.core.callbacks import OnRows
from interlingua.core.digests import digest_ids, is_among, page_digest
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records
from interlingua.core.translator import Translator
from interlingua.stores._choices import LEAVING_OUT, caught_up_options
from interlingua.stores._conversion import Conversion
from interlingua.stores._distinct import DistinctIds
from interlingua.stores._finished import check_finished, check_same_columns, note_remaining
from interlingua.stores._foreign import foreign_rows
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._lost import held_ids, held_pages
from interlingua.stores._made import check_made, note_written
from interlingua.stores._protocol import Store
from interlingua.stores._sketches import Sketches, written_rows
from interlingua.stores.planning import Options, options_for, target_spec
from interlingua.stores.reembedding import TextEmbedder

__all__ = [
    "FETCHED_ROWS",
    "CatchUp",
    "Changes",
    "OnPage",
    "catch_up",
    "changes_path",
    "find_changes",
    "find_vanished",
    "private_file",
]

# Rows that are read by their ids at a time; stores limit how many ids a request has.
FETCHED_ROWS = 1_024
OnPage = Callable[[Records, IntArray, npt.NDArray[np.bool_]], None]


@dataclass(frozen=True, eq=False)
class Changes:
    """Rows of a source that are not as they were copied.

    Attributes:
        updated: ids of rows with another vector or payload.
        added: ids of rows that were not copied.
        deleted: number of copied rows that do not exist any more, 0 where only some rows were read.
        unchanged: digests of the ids of all other rows.
        left_out: number of rows that were read and have a vector that cannot be translated.
        lost: ids of rows that are as they were copied and that the target holds no more.
        gone: of the deleted rows, the number of those that the target does not hold either.
    """

    updated: list[Any]
    added: list[Any]
    deleted: int
    unchanged: npt.NDArray[np.int64]
    left_out: int = 0
    lost: list[Any] = field(default_factory=list)
    gone: int = 0

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.updated or self.added or self.deleted or self.lost)

    def remaining(self, id_type: pa.DataType) -> IntArray:
        """Return digests of the ids [n] of all rows that the source has."""
        return np.concatenate(
            [self.unchanged, *(digest_ids(pa.array(ids, id_type)) for ids in (self.updated, self.added))]
        )

    def write(self, path: Path, vanished: list[Any]) -> str | None:
        """List the rows in a file that only its owner can read, one JSON object per line.

        Args:
            path: the file, which is replaced.
            vanished: ids of the deleted rows, as the target has them.

        Returns:
            The path; ``None`` if there are no ids. A file of an earlier run is removed then.
        """
        listed = {"updated": self.updated, "added": self.added, "deleted": vanished, "restored": self.lost}
        if not any(listed.values()):
            path.unlink(missing_ok=True)
            return None
        with private_file(path) as file:
            for change, ids in listed.items():
                file.writelines(json.dumps({"change": change, "id": value}) + "\n" for value in ids)
        return str(path)


def find_vanished(target: Store, log: MigrationJournal, changes: Changes, id_type: pa.DataType) -> list[Any]:
    """Return the ids of rows that the migration wrote and the target still has, but the source no longer has.

    Args:
        target: of the migration. Rows that something else has added to it, or given another vector, are not among them.
        log: journal of the migration.
        changes: of the whole source.
        id_type: of the ids of the source.

    Returns:
        The ids; none if the new vector is in the rows of the source itself, where it is deleted with its row.
    """
    if not changes.deleted or log.facts.get("as_new_vector"):
        return []
    vanished, remaining, sketches = [], np.sort(changes.remaining(id_type)), Sketches(log.sketches())
    with closing(held_pages(target, vector_only=False, size=FETCHED_ROWS)) as pages:
        for records in pages:
            digests = digest_ids(records.ids)
            own = sketches.compare(digests, records.vectors)[1]
            gone = np.flatnonzero(own & log.holds(digests) & ~is_among(digests, remaining))
            vanished += records.ids.take(pa.array(gone, pa.int64())).to_pylist()
    return vanished


def find_changes(
    source: Store,
    log: MigrationJournal,
    conversion: Conversion,
    id_type: pa.DataType,
    *,
    on_page: OnPage,
    partial: bool = False,
    held: IntArray | None = None,
) -> Changes:
    """Read a source once and compare its rows with those that were copied.

    Args:
        source: restricted to the rows to read.
        log: journal of the migration.
        conversion: of the migration.
        id_type: of the ids that were copied.
        on_page: called with the rows of each page, the digests of their ids, and which rows are as they were copied.
        partial: whether only some rows are read. Rows that were not read are then not counted as deleted.
        held: digests of the ids of the rows that the target holds, in ascending order; ``None`` if it lost none.

    Raises:
        InputError: ids are null, repeated, or of another type.
    """
    updated, added, lost, unchanged, left_out = [], [], list[Any](), [np.empty(0, np.int64)], 0
    distinct, unchanged_pages = DistinctIds(id_type, str(source.url)), log.unchanged_pages()
    with closing(source.scan(conversion.options.page_rows)) as pages:  # type: ignore[type-var]
        for number, (page, _) in enumerate(pages):
            distinct.add(page.ids, number)
            digests = conversion.copied(page).row_digests()
            is_unchanged = page_digest(digests) in unchanged_pages
            records, bad = conversion.usable(page) if conversion.options.skip_bad else (page, None)
            if bad is not None:
                digests, left_out = conversion.copied(records).row_digests(), left_out + len(bad)
            if is_unchanged:
                same = np.ones(len(records), bool)
            else:
                known, same = log.compare(digests)
                ids = records.ids.to_pylist()
                updated += [ids[row] for row in np.flatnonzero(known & ~same)]
                added += [ids[row] for row in np.flatnonzero(~known)]
            unchanged.append(digests[same, 0])
            if held is not None:
                gone = np.flatnonzero(same & ~is_among(digests[:, 0], held))
                lost += records.ids.take(pa.array(gone, pa.int64())).to_pylist()
            on_page(records, digests[:, 0], same)
    distinct.check_distinct(source, conversion.options.page_rows)
    whole = np.concatenate(unchanged)
    deleted = 0 if partial else log.row_count() - len(whole) - len(updated)
    changes = Changes(updated, added, deleted, whole, left_out, lost)
    if held is None or not deleted:
        return changes
    others = held[~is_among(held, np.sort(changes.remaining(id_type)))]
    return replace(changes, gone=deleted - int(log.holds(others).sum()))


@dataclass(frozen=True)
class CatchUp:
    """What a catch-up did.

    Attributes:
        read: rows that were read from the source.
        updated: rows that were written again, because their vector or payload had changed.
        added: rows that were new.
        deleted: rows that were copied and that the source no longer has. ``None`` if only some rows were read.
        listed: file with the ids of all of them and of ``restored``, ``None`` if there are none. A deleted row is in it
            only if the target still holds it: a new vector in the rows of the source is deleted with its row.
        removed: rows that were deleted in the target, because the source no longer has them.
        left_out: rows that were left out, because they have no vector that can be translated.
        kept: of the updated and added rows, those that were not written, because the target holds a vector for them
            that something else has written since.
        restored: rows that are as they were copied, and were written again, because the target held them no more. None
            are looked for if only some rows were read.
        gone: of the deleted rows, those that the target does not hold either.
    """

    read: int
    updated: int
    added: int
    deleted: int | None
    listed: str | None
    removed: int = 0
    left_out: int = 0
    kept: int = 0
    restored: int = 0
    gone: int = 0


def catch_up(
    translator: Translator | TextEmbedder,
    source: Store,
    target: Store,
    *,
    journal: str | Path,
    options: Options | None = None,
    since: tuple[str, str] | None = None,
    dry_run: bool = False,
    delete_vanished: bool = False,
    allow_loss: bool = False,
    on_rows: OnRows | None = None,
) -> CatchUp:
    """Copy the rows of a source that are new or have changed since a finished migration or its last catch-up.

    Every row is read and compared with its digest in the journal; only those that differ are translated and written.
    If the target does not hold as many rows as were written to it, its ids are read too, and rows that it has lost are
    written again.

    Args:
        translator: that of the migration.
        source: that of the migration.
        target: that of the migration; it must write rows by id.
        journal: of the migration.
        options: of the migration; by default as the journal records them. ``skip_null`` and ``skip_bad`` may be added,
            for rows that arrived since. ``page_rows`` may differ; its default stands for that of the migration.
        since: a column and a value; only rows in which the column is at least the value are read. Deleted rows are not
            noticed then.
        dry_run: only find the rows.
        delete_vanished: also delete the rows of the target that the migration wrote and the source no longer gives:
            they were deleted, or ``options`` leave them out now. Other rows of the target are not touched.
        allow_loss: also replace vectors of the target that something else has written, such as rows that were embedded
            with the new model; otherwise they are kept.
        on_rows: called with the phase, the rows done and the number of rows.

    Raises:
        InputError: the journal is not that of a finished migration from ``source`` to ``target`` by ``translator``;
            the target only appends rows, or cannot delete any; or a row cannot be translated or written.
    """
    check_instance(translator, "translator", (Translator, TextEmbedder), "a Translator or a TextEmbedder")
    for store, name in ((source, "source"), (target, "target")):
        check_instance(store, name, Store, "a store, as open_store returns it,")
    report = on_rows or (lambda phase, done, rows: None)
    path = check_path(journal, "journal")
    if delete_vanished and since is not None:
        raise InputError(
            "A catch-up that reads only rows since a value cannot know which rows were deleted.",
            "Leave {since=...} or {delete_vanished} out.",
        )
    with closing(MigrationJournal(path, create=False)) as log:
        options = options_for(
            translator, caught_up_options(path, check_finished(log, translator, source, target), options)
        )
        if delete_vanished and not target.capabilities.deletes:
            raise InputError(f"{target.url}: {target.title} cannot delete rows.", "Leave {delete_vanished} out.")
        with _advise_leaving_out(source, translator):
            info = options.read_info(source)
        if since is not None:
            options.restrict(source, source.since(*since))
        check_same_columns(log, source, info.identity())
        spec = target_spec(translator, source, target, info, options)
        spec = replace(spec, job=str(log.facts["job"]), metric=log.facts["plan"]["metric"])
        conversion = Conversion(translator, source, target, spec, options)
        read = 0

        def check(records: Records, ids: IntArray, same: npt.NDArray[np.bool_]) -> None:
            nonlocal read
            read += len(records)
            report("comparing", read, info.count)
            changed = records.take(np.flatnonzero(~same))
            if len(changed):
                conversion.check_space(conversion.usable(changed)[0])
                target.check_records(options.as_written(changed), spec)

        with _advise_leaving_out(source, translator):
            held = None if since is not None else held_ids(target, log, options.page_rows)
            changes = find_changes(
                source, log, conversion, info.id_type, on_page=check, partial=since is not None, held=held
            )
        _check_source(log, source, changes)
        ids = [*changes.updated, *changes.added, *changes.lost]
        if changes:
            check_made(log, target)
        kept, sketches = 0, Sketches(log.sketches())
        if ids and not dry_run:
            target.prepare(spec, log.row_count())
        for start in range(0, len(ids), FETCHED_ROWS):
            records = source.fetch(pa.array(ids[start : start + FETCHED_ROWS], info.id_type))
            if not allow_loss:
                foreign = foreign_rows(target, sketches, options.as_written(records).ids)
                kept += int(foreign.sum())
                records = records.take(np.flatnonzero(~foreign))
            if len(records) and not dry_run:
                written = conversion.translated(records)
                note_written(log, written)
                log.add_sketches(written_rows(written))
                target.upsert(written)
                log.record_rows(conversion.copied(records).row_digests())
            report("comparing with the target" if dry_run else "copying", min(start + FETCHED_ROWS, len(ids)), len(ids))
        if ids and not dry_run:
            target.finish()
        listed: str | None = None
        vanished: list[Any] = []
        if not dry_run:
            vanished = find_vanished(target, log, changes, info.id_type)
            listed = changes.write(changes_path(path), vanished)
            remaining = changes.remaining(info.id_type)
            if changes.deleted and delete_vanished and not spec.as_new_vector:
                _delete(target, vanished)
                log.keep_rows(remaining)
            elif changes.deleted and held is not None:
                log.keep_rows(np.concatenate([remaining, held]))  # the others are neither in the source nor the target
            before = () if since is None else log.facts.get("left_out", ())
            log.note(left_out=sorted({*before, *(name for name in LEAVING_OUT if getattr(options, name))}))
            if since is None:
                note_remaining(log, remaining)
        return CatchUp(
            read,
            len(changes.updated),
            len(changes.added),
            None if since else changes.deleted,
            listed,
            len(vanished) if delete_vanished else 0,
            changes.left_out + (info.nulls if options.skip_null or options.skip_bad else 0),
            kept,
            len(changes.lost),
            changes.gone,
        )


@contextmanager
def _advise_leaving_out(source: Store, translator: Translator | TextEmbedder) -> Iterator[None]:
    """Add the options that leave out rows to the error about a row that cannot be translated or embedded."""
    try:
        yield
    except UnusableRowError as error:
        selects = "skip_null" in source.capabilities.selects and not isinstance(translator, TextEmbedder)
        alone = ", or only rows without a vector with {skip_null}" if selects else ""
        kept = "what the target holds for them stays as it is"
        error.remedy = f"A catch-up can leave out such rows with {{skip_bad}}{alone}; {kept}."
        raise


def _check_source(log: MigrationJournal, source: Store, changes: Changes) -> None:
    """Refuse a source of the same name in another folder that has no row in common with that of the migration."""
    path = log.facts.get("source_path")
    if path not in {None, source.url.resolved_path} and not len(changes.unchanged) and log.row_count():
        raise InputError(
            f"{source.url} was {path} and leads to another place from this folder, where no row is as the migration "
            "read it; nothing was written. Go to the folder in which the migration was started."
        )


def _delete(target: Store, ids: list[Any]) -> None:
    id_type = target.info().id_type
    for start in range(0, len(ids), FETCHED_ROWS):
        target.delete(pa.array(ids[start : start + FETCHED_ROWS], id_type))


def changes_path(journal: Path) -> Path:
    """Return the file in which the changed rows of a source are listed."""
    return journal.with_name(f"{journal.name}.changes.jsonl")


def private_file(path: Path) -> Any:
    """Make a text file that only its owner can read, in place of an earlier one."""
    path.unlink(missing_ok=True)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8")
