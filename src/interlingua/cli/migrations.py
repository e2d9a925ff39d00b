"""What the commands that migrate a collection have in common: progress, results, and a later catch-up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from interlingua.cli import console
from interlingua.cli.eventlog import open_log
from interlingua.cli.options import check_effect
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of, time_taken

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores.changes import CatchUp
    from interlingua.stores.migration import Migration
    from interlingua.stores.planning import Options
    from interlingua.stores.reembedding import TextEmbedder

__all__ = [
    "ALLOW_LOSS",
    "DRY_RUN",
    "JOURNAL",
    "REPEAT_PANEL",
    "ROLLBACK",
    "ROWS_PANEL",
    "SKIP_BAD",
    "TRIGGERS",
    "WHERE",
    "Metric",
    "Triggers",
    "check_modes",
    "flag",
    "journal_of",
    "note_page_rows",
    "run_catch_up",
    "run_rollback",
    "show_result",
]

SKIP_BAD = (
    "Leave out every row whose vector is missing, zero, not finite or of another width, and lines that cannot be read; "
    "list their ids in a file."
)
TRIGGERS = "Fire or skip the triggers of SOURCE's table while a column of it is filled."
# Panels of the help.
REPEAT_PANEL, ROWS_PANEL = "Resume, undo and catch up", "Rows and payload"
JOURNAL = "Record of progress; by default migration-*.sqlite in the working directory."
WHERE = "Read only the rows of SOURCE that meet this SQL condition."
ROLLBACK = "Delete TARGET, which this command made. Refused if it holds rows or vectors that are nowhere else."
ALLOW_LOSS = (
    "With --rollback, delete TARGET also if rows or vectors are lost. With --catch-up, also replace vectors of TARGET "
    "that something else has written."
)
DRY_RUN = "Print the plan and its costs, or with --rollback what it would delete. Write nothing, no log either."


class Metric(StrEnum):
    """The metric that the new vectors are searched with."""

    COSINE = "cosine"
    DOT = "dot"
    L2 = "l2"


class Triggers(StrEnum):
    """What happens to triggers while rows are updated."""

    FIRE = "fire"
    SKIP = "skip"


def check_modes(*, resume: bool, dry_run: bool, undo: bool, catch_up: bool, allow_loss: bool) -> None:
    """Refuse options for what a run does that exclude each other, and those without effect.

    Raises:
        InputError: such an option.
    """
    if undo:
        check_effect({"--resume": resume}, "and --rollback exclude each other.")
    elif not catch_up:
        check_effect({"--allow-loss": allow_loss}, "has no effect without --rollback or --catch-up; leave it out.")
    if catch_up:
        check_effect({"--resume": resume, "--rollback": undo}, "and --catch-up exclude each other.")
    if dry_run:
        check_effect({"--resume": resume}, "has no effect with --dry-run, which writes nothing; leave it out.")


def flag(option: str, meaning: str, panel: str | None = None) -> Any:
    """Return an option without a value, in a panel of the help; among the other options by default."""
    return typer.Option(option, help=meaning, rich_help_panel=panel)


def show_result(
    result: Migration, facts: Mapping[str, Any], seconds: float, *, as_json: bool, appends: bool = False
) -> None:
    """Print what a migration did, and exit with status 1 if its source has changed.

    Args:
        result: of the migration.
        facts: the same for JSON.
        seconds: how long the command took.
        as_json: print one object.
        appends: whether the target only appends rows, so that it cannot catch up.
    """
    from interlingua.stores._origin import is_embedding

    changed = bool(result.changed_ids)
    if as_json:
        console.emit_json(facts)
        raise typer.Exit(int(changed))
    before = f" ({result.resumed_from:,} of them in an earlier run)" if result.resumed_from else ""
    console.note(
        f"Wrote {count_of(result.rows)} to {result.plan.target}{before} in {time_taken(seconds)}. Read back and "
        f"compared: {count_of(result.checked)}, largest difference {result.largest_error:.1g}."
    )
    for sentence in result.plan.notes:
        console.note(sentence)
    if result.skipped_ids:
        left_out = result.plan.nulls + result.plan.bad
        what = "usable vector or text" if is_embedding(result.plan.origin) else "usable vector"
        console.note(f"Left out: {count_of(left_out)} without a {what}; {result.skipped_ids} lists the ids.")
    console.note(f"The journal is {result.journal}; to undo, run the same command with --rollback.")
    if result.deleted and result.plan.as_new_vector:
        console.note(_in_the_same_rows(result, result.plan.source))
    elif result.deleted and not changed:
        deletes = (
            "" if is_embedding(result.plan.origin) else "; the same command with --catch-up --delete-vanished does"
        )
        console.note(
            f"{result.plan.target} still holds {count_of(result.deleted)} that {result.plan.source} no longer has. The "
            f"last catch-up did not delete {'it' if result.deleted == 1 else 'them'}{deletes}."
        )
    if not changed:
        said = ["It was finished before this run."] if result.finished_before else []
        if not appends:
            said.append("The same command with --catch-up writes rows that are added or change from now on.")
        if said:
            console.note(" ".join(said))
    if changed:
        when = "after the migration, which is finished" if result.finished_before else "during the migration"
        how = (
            "run the same command with --rollback to undo the migration and start again, because rows of this target "
            "cannot be replaced"
            if appends
            else "copy these rows by the same command with --catch-up"
        )
        console.note(
            f"{result.plan.source} changed {when}: {_counts(result)}. {result.changed_ids} lists "
            f"{_listed(result, in_place=result.plan.as_new_vector)}. Stop the writes, then {how}."
        )
        raise typer.Exit(1)


def note_page_rows(result: Migration, page_rows: int) -> None:
    """Say that ``--page-rows`` had no effect, if another size was given than that of the pages that were copied."""
    from interlingua.stores.planning import PAGE_ROWS

    if page_rows not in {PAGE_ROWS, result.page_rows}:
        console.note(
            f"--page-rows {page_rows} had no effect: the remaining pages were copied at the recorded size, "
            f"{count_of(result.page_rows)}."
        )


def run_catch_up(
    translator: Translator | TextEmbedder,
    source: str,
    target: str,
    journal: Path,
    options: Options,
    since: str | None,
    log: Path | None,
    *,
    dry_run: bool,
    delete_vanished: bool | None,
    allow_loss: bool,
    as_json: bool,
) -> None:
    """Copy the rows that are new or changed since a finished migration, and say how many.

    Args:
        translator: of the migration, or an embedder of texts.
        source: address of its source.
        target: address of its target.
        journal: its journal.
        options: its options.
        since: of ``--since``.
        log: of ``--log``.
        dry_run: only find the rows.
        delete_vanished: also delete rows of the target that the source no longer has; None for a command that has no
            such option.
        allow_loss: also replace vectors of the target that something else has written.
        as_json: print one object.

    Raises:
        InputError: a wrong value of ``--since``, or as `interlingua.stores.changes.catch_up`.
    """
    from interlingua.stores import changes, open_source, open_store
    from interlingua.stores.reembedding import TextEmbedder

    column, equals, value = (since or "").partition("=")
    if since is not None and not (column and equals and value):
        raise InputError(f"--since is {since!r}; COLUMN=VALUE is needed, for example updated_at=2026-01-31.")
    open_target = open_source if dry_run else open_store
    with open_source(source) as old, open_target(target) as new, open_log(None if dry_run else log) as record:
        with console.show_progress("Catching up", record=record) as progress:
            done = changes.catch_up(
                translator,
                old,
                new,
                journal=journal,
                options=options,
                since=(column, value) if since else None,
                dry_run=dry_run,
                delete_vanished=bool(delete_vanished),
                allow_loss=allow_loss,
                on_rows=progress.on_rows,
            )
        record("done", **asdict(done))
        in_place = old.url.collection_key == new.url.collection_key  # a vector is deleted with its row
    if as_json:
        console.emit_json(asdict(done))
        return
    console.note(f"Compared {count_of(done.read)} of {source}: {_counts(done)}.")
    if done.left_out:
        what = "usable vector or text" if isinstance(translator, TextEmbedder) else "usable vector"
        console.note(f"Left out: {count_of(done.left_out)} without a {what}.")
    if done.kept:
        console.note(
            f"Kept in {target}: {count_of(done.kept)} whose vector something else has written since. --allow-loss "
            "replaces such vectors."
        )
    if done.restored:
        what = "Would be written again to" if dry_run else "Written again to"
        console.note(f"{what} {target}: {count_of(done.restored)} that it had lost and {source} still has.")
    if dry_run:
        console.note("Nothing was written.")
    elif done.listed:
        others = "other " if done.kept else ""
        wrote = done.updated + done.added > done.kept
        written = f"The {others}updated and added rows were written to {target}; " if wrote else ""
        console.note(f"{written}{done.listed} lists {_listed(done, in_place=in_place)}.")
    if done.removed:
        console.note(f"Deleted in {target}: {count_of(done.removed)} that {source} no longer has.")
    elif done.deleted and in_place:
        console.note(_in_the_same_rows(done, source))
    elif (done.deleted or 0) > done.gone and not delete_vanished and (dry_run or done.listed):
        change = "--delete-vanished and without --dry-run" if dry_run else "--delete-vanished"
        still = (done.deleted or 0) - done.gone
        them = "it" if still == 1 else "them"
        advice = "" if delete_vanished is None else f"; the same command with {change} deletes {them}"
        which = f"{still:,} of the {done.deleted:,} deleted rows" if done.gone else "The deleted rows"
        which = "The deleted row" if done.deleted == 1 else which
        console.note(f"{which} {'is' if still == 1 else 'are'} still in {target}{advice}.")


def run_rollback(source: str, target: str, journal: Path, *, dry_run: bool, allow_loss: bool, as_json: bool) -> None:
    """Undo a migration, or say what that would delete.

    Args:
        source: address of its source.
        target: address of its target.
        journal: its journal.
        dry_run: only say what would be deleted.
        allow_loss: delete rows and vectors that are nowhere else, too.
        as_json: print one object.

    Raises:
        InputError: as `interlingua.stores.migration.rollback`.
    """
    from interlingua.stores import migration

    with console.show_progress("Looking for what would be lost", transient=True) as progress:
        found = migration.rollback(
            journal, address=target, source=source, dry_run=dry_run, allow_loss=allow_loss, on_rows=progress.on_rows
        )
    if as_json:
        console.emit_json({**asdict(found), "dry_run": dry_run, "journal": str(journal)})
        return
    held = "" if found.rows is None else f" with {count_of(found.rows)}"
    if found.dropped is None:
        verb = "would be" if dry_run else "was"
        console.note(f"Nothing {verb} dropped: what this migration made, if anything, no longer exists.")
    elif not dry_run:
        console.note(f"Dropped {found.dropped}{held}")
    else:
        losses = found.losses(source)
        refused = " It is refused without --allow-loss." if losses else ""
        console.note(" ".join([f"--rollback would drop {found.dropped}{held}.{refused}", *losses]))
        console.note("Nothing was dropped.")


def _counts(changes: CatchUp | Migration) -> str:
    deleted = "" if changes.deleted is None else f", {changes.deleted:,} deleted"
    return f"{count_of(changes.updated)} updated, {changes.added:,} added{deleted}"


def _listed(changes: CatchUp | Migration, *, in_place: bool) -> str:
    """Return what a file of changed rows lists: a row that was deleted with its new vector is not in it."""
    return "the ids of the others" if changes.deleted and in_place else "the ids"


def _in_the_same_rows(changes: CatchUp | Migration, source: str) -> str:
    """Return what became of the new vectors of rows that are not read now, where they stand beside the old ones."""
    gone, kept = changes.gone, (changes.deleted or 0) - changes.gone
    said = []
    if gone == 1:
        said.append(f"The new vector of the row that was deleted in {source} is gone with it.")
    elif gone:
        said.append(f"The new vectors of the {count_of(gone)} that were deleted in {source} are gone with their rows.")
    if kept == 1:
        said.append(f"The new vector of the row of {source} that is left out now stays as it is.")
    elif kept:
        said.append(f"The new vectors of the {count_of(kept)} of {source} that are left out now stay as they are.")
    return " ".join(said)


def journal_of(what: str | Path, source: str, target: str) -> Path:
    """Return the journal of a migration that names none, however paths are written, also in a copy of the folder.

    Args:
        what: the folder of the translator, or the encoder.
        source: address of the source.
        target: address of the target.
    """
    from interlingua.stores._url import parse_url

    urls = (parse_url(source), parse_url(target))
    places = [url if url.resolved_path is None else replace(url, path=_from_here(url.resolved_path)) for url in urls]
    maker = _from_here(what) if isinstance(what, Path) else what
    name = hashlib.sha256("\n".join(map(str, (maker, *places))).encode()).hexdigest()[:12]
    return Path(f"migration-{name}.sqlite")


def _from_here(path: str | Path) -> str:
    """Return a path relative to the working directory if it is in it, otherwise from the root."""
    whole, here = Path(path).resolve(), Path.cwd().resolve()
    return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)
