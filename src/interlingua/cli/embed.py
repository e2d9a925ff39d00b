"""``interlingua embed``: embed the texts of a collection with another model, into another store, column or vector."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interlingua.cli import console
from interlingua.cli.eventlog import open_log
from interlingua.cli.migration_plan import show_plan
from interlingua.cli.migrations import (
    ALLOW_LOSS,
    DRY_RUN,
    JOURNAL,
    REPEAT_PANEL,
    ROLLBACK,
    ROWS_PANEL,
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
from interlingua.cli.options import AsJson, Log, check_outputs
from interlingua.core.backend import resolve_device
from interlingua.stores.planning import MOST_PAGE_ROWS
from interlingua.stores.registry import address_forms, secret_sources

if TYPE_CHECKING:
    from interlingua.stores.reembedding import TextEmbedder

__all__ = ["embed"]

_SOURCE = f"The collection: {address_forms()}. Passwords and keys are read from: {secret_sources()}."
_ENCODER = (
    "The new model: a sentence-transformers folder or name, or command:PROGRAM that reads lines and writes vectors "
    "(extra: encoder)."
)
_DEVICE = "Where a sentence-transformers model computes: cpu|cuda|cuda:N|mps|auto; cpu by default."
_SKIP_BAD = "Leave out every row without a text, and lines of a file that cannot be read; list their ids in a file."
# Rows of a page. A page is lost if the run is killed, and an encoder that is a program is started for each.
_PAGE_ROWS = 4_096


def embed(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=_SOURCE)],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Address of the new vectors; it must not exist yet.")],
    encoder: Annotated[str, typer.Option(metavar="MODEL", help=_ENCODER)],
    text_column: Annotated[str, typer.Option(metavar="NAME", help="The payload column of the texts.")] = "text",
    device: Annotated[str | None, typer.Option(metavar="DEVICE", help=_DEVICE)] = None,
    resume: Annotated[bool, flag("--resume", "Continue an interrupted run of the same command.", REPEAT_PANEL)] = False,
    dry_run: Annotated[bool, flag("--dry-run", f"Embed a few texts. {DRY_RUN}")] = False,
    undo: Annotated[bool, flag("--rollback", ROLLBACK, REPEAT_PANEL)] = False,
    allow_loss: Annotated[bool, flag("--allow-loss", ALLOW_LOSS, REPEAT_PANEL)] = False,
    catch_up: Annotated[
        bool,
        flag(
            "--catch-up", "Embed rows that are new or changed since a finished run of the same command.", REPEAT_PANEL
        ),
    ] = False,
    journal: Annotated[Path | None, typer.Option(metavar="FILE", help=JOURNAL, rich_help_panel=REPEAT_PANEL)] = None,
    metric: Annotated[
        Metric | None, typer.Option(help="The metric of the new vectors; by default that of the source.")
    ] = None,
    ids_as_text: Annotated[bool, flag("--ids-as-text", "Write whole-number ids as text.", ROWS_PANEL)] = False,
    drop_payload: Annotated[bool, flag("--drop-payload", "Write ids and vectors only.", ROWS_PANEL)] = False,
    where: Annotated[str | None, typer.Option(metavar="CONDITION", help=WHERE, rich_help_panel=ROWS_PANEL)] = None,
    skip_null: Annotated[
        bool, flag("--skip-null", "Leave out rows without an old vector and list their ids in a file.", ROWS_PANEL)
    ] = False,
    skip_bad: Annotated[bool, flag("--skip-bad", _SKIP_BAD, ROWS_PANEL)] = False,
    triggers: Annotated[Triggers | None, typer.Option(help=TRIGGERS, rich_help_panel=ROWS_PANEL)] = None,
    page_rows: Annotated[
        int, typer.Option(metavar="N", min=1, max=MOST_PAGE_ROWS, help="Rows read, embedded and written at a time.")
    ] = _PAGE_ROWS,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Embed the texts of a collection with another model.

    This is the way to a new model where the texts are there. Ids and payload are copied, and TARGET is a new
    collection, column or named vector. SOURCE is only read, unless TARGET is in the same collection. As with migrate,
    the same command completes a killed run with --resume, undoes it with --rollback, and embeds rows that are new or
    changed with --catch-up.
    """
    from interlingua.io import check_output
    from interlingua.stores import input_files, migration, open_source, open_store, planning

    options = planning.Options(
        metric=metric.value if metric else None,
        ids_as_text=ids_as_text,
        drop_payload=drop_payload,
        page_rows=page_rows,
        where=where,
        skip_null=skip_null,
        skip_bad=skip_bad,
        triggers=triggers.value if triggers else None,
    )
    path = journal or journal_of(f"{encoder}\n{text_column}", source, target)
    for output in (log, path):
        if output is not None:
            check_output(output, input_files(source))
    check_outputs({"TARGET": next(iter(input_files(target)), None), "--journal": path, "--log": log})
    check_modes(resume=resume, dry_run=dry_run, undo=undo, catch_up=catch_up, allow_loss=allow_loss)
    if undo:
        run_rollback(source, target, path, dry_run=dry_run, allow_loss=allow_loss, as_json=as_json)
        return
    on_device = None if device is None else resolve_device(device)
    if catch_up:
        with console.working("Loading the encoder"):
            embedder = _open(encoder, text_column, on_device)
        run_catch_up(
            embedder,
            source,
            target,
            path,
            options,
            None,
            log,
            dry_run=dry_run,
            delete_vanished=None,
            allow_loss=allow_loss,
            as_json=as_json,
        )
        return
    open_target = open_source if dry_run else open_store
    with open_log(None if dry_run else log, input_files(source)) as record:
        with console.working("Loading the encoder", record):
            embedder = _open(encoder, text_column, on_device)
        with open_source(source) as old, open_target(target) as new:
            if dry_run:
                with console.working("Planning"):
                    made = planning.plan(embedder, old, new, options)
                show_plan(made, options, as_json=as_json)
                return
            watch = console.Stopwatch()
            with console.show_progress("Embedding", record=record) as progress:
                result = migration.migrate(
                    embedder, old, new, journal=path, options=options, resume=resume, on_rows=progress.on_rows
                )
        note_page_rows(result, page_rows)
        record("done", rows=result.rows, resumed_from=result.resumed_from, checked=result.checked)
    facts = {**asdict(result), "seconds": watch.seconds, "phases": result.seconds}
    show_result(result, facts, watch.seconds, as_json=as_json, appends=new.capabilities.appends)


def _open(encoder: str, text_column: str, device: str | None) -> TextEmbedder:
    """Load the encoder. Its name is a title, because arguments of a command can hold a key."""
    from interlingua.encoders import encoder_title, open_encoder, with_task
    from interlingua.stores.reembedding import TextEmbedder

    encode = with_task(open_encoder(encoder, device=device or "cpu"), "document")
    return TextEmbedder.of(encode, text_column, encoder_title(encoder), identity=encoder)
