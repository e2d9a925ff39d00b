"""``interlingua migrate``: translate the vectors of one store into another store, column or named vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua._align import MAX_ROWS
from interlingua.cli import console, inputs, reports, tables
from interlingua.cli.collections import open_rows
from interlingua.cli.eventlog import EventLog, open_log
from interlingua.cli.fit_rows import fit_title
from interlingua.cli.fitted import note_few_rows, note_verdict
from interlingua.cli.migration_plan import show_plan
from interlingua.cli.migrations import (
    ALLOW_LOSS,
    DRY_RUN,
    JOURNAL,
    REPEAT_PANEL,
    ROLLBACK,
    ROWS_PANEL,
    SKIP_BAD,
    TRIGGERS,
    WHERE,
    Metric,
    Triggers,
    check_modes,
    flag,
    journal_of,
    note_page_rows,
    run_catch_up,
    run_rollback,
    show_result,
)
from interlingua.cli.options import (
    AllowForeign,
    AsJson,
    Inverse,
    Log,
    Seed,
    TranslatorFolder,
    check_effect,
    check_outputs,
)
from interlingua.core.alignment import FAILED_FIT_ADVICE, end_if_interrupted
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.stores.planning import MOST_PAGE_ROWS, PAGE_ROWS
from interlingua.stores.registry import address_forms, secret_sources

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores import Store
    from interlingua.stores.planning import Options

__all__ = ["migrate"]

# Rows of a store in the pictures of a report. They are drawn at random from its first _POOL rows.
_PICTURED, _POOL = 4_096, 65_536


_SOURCE = f"The vectors: {address_forms()}. Passwords and keys are read from: {secret_sources()}."
_FIT = "First fit a translator on samples of SOURCE and of this store of the new model, and save it as DIR."
_DELETE_VANISHED = "With --catch-up, also delete the rows of TARGET that this command wrote and SOURCE no longer has."
_SINCE = "With --catch-up, read only rows with at least this value."
_SHOW = "With --report: the payload column whose values name the rows in it, beside their ids."
# A panel of the help.
_TRANSLATOR_PANEL = "A new translator"
_ROWS = f"Rows of each store that --fit reads; {MAX_ROWS:,} by default."


def migrate(
    directory: TranslatorFolder,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=_SOURCE)],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Address of the translated vectors; it must not exist yet.")
    ],
    resume: Annotated[bool, flag("--resume", "Continue an interrupted run of the same command.", REPEAT_PANEL)] = False,
    dry_run: Annotated[bool, flag("--dry-run", DRY_RUN)] = False,
    undo: Annotated[bool, flag("--rollback", ROLLBACK, REPEAT_PANEL)] = False,
    allow_loss: Annotated[bool, flag("--allow-loss", ALLOW_LOSS, REPEAT_PANEL)] = False,
    catch_up: Annotated[
        bool,
        flag("--catch-up", "Copy rows that are new or changed since a finished run of the same command.", REPEAT_PANEL),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="COLUMN=VALUE", help=_SINCE, rich_help_panel=REPEAT_PANEL),
    ] = None,
    delete_vanished: Annotated[bool, flag("--delete-vanished", _DELETE_VANISHED, REPEAT_PANEL)] = False,
    fit: Annotated[str | None, typer.Option(metavar="URL", help=_FIT, rich_help_panel=_TRANSLATOR_PANEL)] = None,
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help=JOURNAL, rich_help_panel=REPEAT_PANEL)] = None,
    inverse: Inverse = False,
    metric: Annotated[
        Metric | None, typer.Option(help="The metric of the new vectors; by default that of the source.")
    ] = None,
    ids_as_text: Annotated[bool, flag("--ids-as-text", "Write whole-number ids as text.", ROWS_PANEL)] = False,
    drop_payload: Annotated[bool, flag("--drop-payload", "Copy ids and vectors only.", ROWS_PANEL)] = False,
    where: Annotated[str | None, typer.Option(metavar="CONDITION", help=WHERE, rich_help_panel=ROWS_PANEL)] = None,
    skip_null: Annotated[
        bool, flag("--skip-null", "Leave out rows without a vector and list their ids in a file.", ROWS_PANEL)
    ] = False,
    skip_bad: Annotated[bool, flag("--skip-bad", SKIP_BAD, ROWS_PANEL)] = False,
    triggers: Annotated[Triggers | None, typer.Option(help=TRIGGERS, rich_help_panel=ROWS_PANEL)] = None,
    allow_foreign: AllowForeign = False,
    page_rows: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_PAGE_ROWS, help="Rows read, translated and written at a time.")
    ] = PAGE_ROWS,
    rows: Annotated[int | None, typer.Option(metavar="N", min=2, help=_ROWS, rich_help_panel=_TRANSLATOR_PANEL)] = None,
    report: reports.ReportFile = None,
    show: Annotated[str | None, typer.Option(metavar="COLUMN", help=_SHOW)] = None,
    force: reports.ReplaceReport = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Migrate a vector store to another model.

    Ids and payload are copied, and TARGET is a new collection, column or named vector. SOURCE is only read, unless
    TARGET is in the same collection: a new column of a PostgreSQL table rewrites every row of it, and --dry-run
    prints what that costs. If the command is killed at any point, the same command with --resume completes it with
    every row exactly once. If SOURCE changes meanwhile, the changed rows are listed and the command ends with status 1;
    the same command with --catch-up copies them.
    """
    from interlingua.core.translator import load
    from interlingua.io import check_output
    from interlingua.stores import input_files, migration, open_source, open_store, planning

    options = planning.Options(
        inverse=inverse,
        metric=metric.value if metric else None,
        ids_as_text=ids_as_text,
        drop_payload=drop_payload,
        page_rows=page_rows,
        where=where,
        skip_null=skip_null,
        skip_bad=skip_bad,
        triggers=triggers.value if triggers else None,
        allow_foreign=allow_foreign,
    )
    path = journal or journal_of(directory, source, target)
    for output in (report, log, path):
        if output is not None:
            check_output(output, input_files(source, fit or ""))
    written = {"DIR": directory if fit else None, "TARGET": next(iter(input_files(target)), None)}
    check_outputs({**written, "--journal": path, "--report": report, "--log": log})
    if not undo:
        reports.check_optional_report(report, force=force)
    if report is None:
        check_effect({"--show": show}, "has no effect without --report; leave it out.")
    if fit is None:
        check_effect({"--rows": rows}, "has no effect without --fit; leave it out.")
    check_modes(resume=resume, dry_run=dry_run, undo=undo, catch_up=catch_up, allow_loss=allow_loss)
    if not catch_up:
        without = {"--since": since, "--delete-vanished": delete_vanished}
        check_effect(without, "has no effect without --catch-up; leave it out.")
    else:
        check_effect({"--report": report, "--fit": fit, "--rows": rows}, "and --catch-up exclude each other.")
        choices = {"dry_run": dry_run, "delete_vanished": delete_vanished, "allow_loss": allow_loss}
        translator = load(directory)
        note_verdict(translator, directory)
        run_catch_up(translator, source, target, path, options, since, log, as_json=as_json, **choices)
        return
    if dry_run:
        check_effect({"--report": report}, "has no effect with --dry-run, which writes nothing; leave it out.")
    if undo:
        run_rollback(source, target, path, dry_run=dry_run, allow_loss=allow_loss, as_json=as_json)
        return
    # Some databases write to their files as soon as they are opened.
    open_target = open_source if dry_run else open_store
    with open_source(source) as old, open_target(target) as new, open_log(None if dry_run else log) as record:
        if show is not None and show not in (columns := _payload_columns(old)):
            raise InputError(
                f"--show: {source} has no column {show!r}; its columns are {', '.join(columns) or 'none'}."
            )
        if fit is not None and not resume:
            # Both are checked before the fit, which takes minutes.
            options.restrict(old)
            if not dry_run:
                migration.check_journal(path, old, new, options)
            translator = _fit(
                directory, old, fit, rows or MAX_ROWS, seed, record, options, save=not dry_run, as_json=as_json
            )
        else:
            translator = load(directory)
            note_verdict(translator, directory)
        if dry_run:
            with console.working("Planning"):
                made = planning.plan(translator, old, new, options)
            show_plan(made, options, as_json=as_json)
            if not allow_foreign:
                note_few_rows(made.rows, translator, inverse=inverse)
            return
        watch = console.Stopwatch()
        with console.show_progress("Migrating", record=record) as progress:
            result = migration.migrate(
                translator, old, new, journal=path, options=options, resume=resume, on_rows=progress.on_rows
            )
        seconds = watch.seconds  # without the report
        facts = {**asdict(result), "seconds": seconds, "phases": result.seconds}
        note_page_rows(result, page_rows)
        if not allow_foreign:
            note_few_rows(result.rows, translator, inverse=inverse)
        record("done", rows=result.rows, resumed_from=result.resumed_from, checked=result.checked)
        if report is not None:
            _write_report(report, translator, old, fit, facts, seed, options, show)
    if report is not None:
        console.note(f"Wrote {report}")
    show_result(
        result,
        facts | ({"report": str(report)} if report else {}),
        seconds,
        as_json=as_json,
        appends=new.capabilities.appends,
    )


def _payload_columns(store: Store) -> tuple[str, ...]:
    schema = store.info().schema
    return () if schema is None else tuple(schema.names)


def _fit(
    directory: Path,
    old: Store,
    new_model: str,
    rows: int,
    seed: int,
    record: EventLog,
    options: Options,
    *,
    save: bool,
    as_json: bool,
) -> Translator:
    """Fit a translator on samples of two stores and save it if ``save`` is set; a failed verdict ends the command."""
    import interlingua
    from interlingua.core.storage import check_destination
    from interlingua.stores.planning import advise_skip_bad
    from interlingua.stores.sampling import sample_rows

    try:
        check_destination(directory, overwrite=False)
    except OutputExistsError as error:
        # The option --force of this command is that of the report.
        raise OutputExistsError(
            f"{directory} exists, and --fit makes a new translator.",
            "Choose another name, or leave --fit out to use it.",
        ) from error
    with open_rows(new_model) as new, console.working("Reading samples", record):
        with advise_skip_bad(options):
            x = sample_rows(old, rows, seed)
        samples = ((old, x), (new, sample_rows(new, rows, seed)))
        spaces = [interlingua.EmbeddingSpace(sample, name=str(store.url)) for store, sample in samples]
    inputs.check_different([(str(space.name), space.vectors) for space in spaces])
    origins = {side: str(store.url) for side, (store, _) in zip(inputs.SIDES, samples, strict=True)}
    with inputs.naming_origins(origins), console.show_progress(fit_title(*spaces), record=record) as on_step:
        alignment = interlingua.align(*spaces, seed=seed, on_step=on_step)
    verdict = alignment.verdict
    if not as_json:
        tables.print_verdict(console.stderr(), verdict.to_dict())
    if verdict.status == "failed":
        end_if_interrupted(alignment)
        if as_json:
            console.emit_json({"verdict": verdict.to_dict(), "rows": 0})
        console.note(f"Nothing was migrated. {FAILED_FIT_ADVICE} to `interlingua fit --pairs`.")
        raise typer.Exit(1)
    translator = alignment.translator()
    if save:
        translator.save(directory)
    end_if_interrupted(alignment)  # what was fitted is kept, and nothing is migrated by it
    return translator


def _write_report(
    report: Path,
    translator: Translator,
    old: Store,
    new_model: str | None,
    facts: Mapping[str, Any],
    seed: int,
    options: Options,
    show: str | None,
) -> None:
    """Write the report with rows of the source and, if one was given, of the store of the new model."""
    from interlingua.core.spaces import EmbeddingSpace
    from interlingua.core.translator import Translator
    from interlingua.stores.sampling import sample_named_rows

    def sample(store: Store) -> EmbeddingSpace:
        # Without this column in the store of the new model, rows of it are named by their ids alone.
        column = show if show is not None and show in _payload_columns(store) else None
        vectors, names = sample_named_rows(store, _PICTURED, seed, pool=_POOL, show=column)
        return EmbeddingSpace(vectors, ids=names)

    with console.working("Drawing the report"):
        x, y = sample(old), None
        if new_model is not None:
            with open_rows(new_model) as new:
                y = sample(new)
        shown = translator
        if options.inverse:
            shown = Translator(translator.backward, translator.forward, translator.profiles[::-1], {})
        if options.allow_foreign:
            shown = inputs.without_comparison(shown)
        done = "The migration is finished."
        reports.write(report, translator, translator=shown, source=x, target=y, migration=facts, done=done)
