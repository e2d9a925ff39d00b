"""``interlingua migrate``: the vectors of one store, translated, into another store, column or named vector."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.cli import console, reports, tables
from interlingua.cli.journal import open_journal
from interlingua.cli.options import AsJson, Log, Seed

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores import Store
    from interlingua.stores.planning import Options, Plan

STORES = "a file, or lancedb://, postgresql://, qdrant://, qdrant-edge://, chroma://, milvus://, duckdb:// or faiss://"

# Rows of a store that a report pictures, drawn from so many at its beginning.
_PICTURED, _POOL = 4_096, 65_536


class Metric(StrEnum):
    """How the new vectors will be searched."""

    COSINE = "cosine"
    DOT = "dot"
    L2 = "l2"


class Triggers(StrEnum):
    """What happens to triggers while rows are updated."""

    FIRE = "fire"
    SKIP = "skip"


def migrate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A translator's folder, as `fit` wrote it.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"Where the vectors are: {STORES}.")],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Where the new ones go: a name that is not there yet.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted run of the same command stopped.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and what it would cost; write nothing.")
    ] = False,
    undo: Annotated[
        bool, typer.Option("--rollback", help="Drop what this command made in TARGET, and nothing else.")
    ] = False,
    fit: Annotated[
        str | None,
        typer.Option(metavar="URL", help="First fit DIR, on samples of SOURCE and of this store of the new model."),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keeps what was done; by default a file here, named by the migration."),
    ] = None,
    inverse: Annotated[bool, typer.Option("--inverse", help="From the target space back to the source space.")] = False,
    metric: Annotated[Metric | None, typer.Option(help="Of the new vectors; by default the source's.")] = None,
    ids_as_text: Annotated[bool, typer.Option("--ids-as-text", help="Write whole-number ids as text.")] = False,
    drop_payload: Annotated[bool, typer.Option("--drop-payload", help="Copy ids and vectors only.")] = False,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION", help="Read only the rows of SOURCE for which this holds, in SQL; PostgreSQL."
        ),
    ] = None,
    skip_null: Annotated[
        bool,
        typer.Option("--skip-null", help="Leave out rows without a vector, and list their ids in a file; PostgreSQL."),
    ] = False,
    triggers: Annotated[
        Triggers | None,
        typer.Option(
            help="What triggers of SOURCE's table do while a column beside the old one is filled; PostgreSQL."
        ),
    ] = None,
    page_rows: Annotated[int, typer.Option(min=1, help="Rows read, translated and written at a time.")] = 4_096,
    rows: Annotated[int, typer.Option(min=2, help="Rows of each store that --fit reads.")] = 20_000,
    report: reports.Report = None,
    force: reports.ReplaceReport = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Migrate a vector store to another model.

    Ids and payload travel along, and TARGET is made anew: a collection, a column or a named vector. SOURCE is only
    read, unless TARGET is a column or a vector of the same collection: in PostgreSQL that rewrites every row of
    SOURCE's table, and --dry-run says what it costs. Killed at any point, the same command with --resume ends with
    every row exactly once. Passwords and keys come from the environment: PGPASSWORD, QDRANT_API_KEY, CHROMA_TOKEN,
    MILVUS_TOKEN.
    """
    from interlingua.core.translator import load
    from interlingua.stores import migration, open_store, planning

    options = planning.Options(
        inverse=inverse,
        metric=metric.value if metric else None,
        ids_as_text=ids_as_text,
        drop_payload=drop_payload,
        page_rows=page_rows,
        where=where,
        skip_null=skip_null,
        triggers=triggers.value if triggers else None,
    )
    path = journal or _journal_of(directory, source, target)
    if report is not None:
        reports.check_report(report, force=force)
    if undo:
        _say({"dropped": migration.rollback(path), "journal": str(path)}, as_json=as_json, words="Dropped {dropped}")
        return
    with open_store(source) as here, open_store(target) as there, open_journal(log) as note:
        here.restrict(where=where, skip_null=skip_null)
        if fit is not None and not resume:
            _fit(directory, here, fit, rows, seed, as_json=as_json)
        translator = load(directory)
        if dry_run:
            _show_plan(planning.plan(translator, here, there, options), options, as_json=as_json)
            return
        watch = console.Stopwatch()
        with console.row_progress() as progress:
            bars: dict[str, Any] = {}

            def show(phase: str, done: int, of: int) -> None:
                if phase not in bars:
                    bars[phase] = progress.add_task(phase.capitalize(), total=of)
                    note(phase, rows=of)
                progress.update(bars[phase], completed=done)

            result = migration.migrate(
                translator, here, there, journal=path, options=options, resume=resume, on_rows=show
            )
        facts = {**asdict(result), "seconds": watch.seconds, "phases": result.seconds}
        note("done", rows=result.rows, resumed_from=result.resumed_from, checked=result.checked)
        if report is not None:
            _draw(report, translator, here, fit, facts, seed, inverse=inverse)
    if report is not None:
        console.note(f"Wrote {report}")
    if as_json:
        console.emit_json(facts | ({"report": str(report)} if report else {}))
        return
    console.note(
        f"Wrote {result.rows:,} rows to {result.plan.target} in {watch.seconds:.1f} s; {result.checked} of them were "
        f"read again and compared, largest difference {result.largest_error:.1g}."
    )
    if result.skipped_ids:
        console.note(
            f"{result.plan.nulls:,} rows without a vector were left out; their ids are in {result.skipped_ids}."
        )
    console.note(f"The journal is {path}; to undo, run the same command with --rollback.")


def _journal_of(directory: Path, source: str, target: str) -> Path:
    name = hashlib.sha256(f"{directory.resolve()}\n{source}\n{target}".encode()).hexdigest()[:12]
    return Path(f"migration-{name}.sqlite")


def _fit(directory: Path, here: Store, like: str, rows: int, seed: int, *, as_json: bool) -> None:
    """Fit on samples of two stores and save the translator; a failed verdict ends the command."""
    import interlingua
    from interlingua.core.translator import check_destination
    from interlingua.stores import open_store
    from interlingua.stores.sampling import sample_rows

    check_destination(directory, overwrite=False)
    with open_store(like) as there, console.working("Reading samples"):
        spaces = [
            interlingua.EmbeddingSpace(sample_rows(store, rows, seed), name=str(store.url)) for store in (here, there)
        ]
    with console.working(f"Aligning {spaces[0].n:,} x {spaces[0].d} with {spaces[1].n:,} x {spaces[1].d}"):
        alignment = interlingua.align(*spaces, seed=seed)
    verdict = alignment.verdict
    if not as_json:
        tables.print_verdict(console.stderr(), verdict.to_dict())
    if verdict.status == "failed":
        if as_json:
            console.emit_json({"verdict": verdict.to_dict(), "rows": 0})
        console.note(
            "Nothing was migrated. Give more rows, rows of more similar texts, or fit with a few known --pairs."
        )
        raise typer.Exit(1)
    alignment.translator().save(directory)


def _draw(
    report: Path,
    translator: Translator,
    here: Store,
    like: str | None,
    facts: Mapping[str, Any],
    seed: int,
    *,
    inverse: bool,
) -> None:
    """Write the report, with rows of the source and, where there is one, of the store of the new model."""
    from interlingua.core.translator import Translator
    from interlingua.stores import open_store
    from interlingua.stores.sampling import sample_rows

    with console.working("Drawing the report"):
        x = sample_rows(here, _PICTURED, seed, pool=_POOL)
        y = None
        if like is not None:
            with open_store(like) as there:
                y = sample_rows(there, _PICTURED, seed, pool=_POOL)
        shown = Translator(translator.backward, translator.forward, translator.profiles[::-1], {}) if inverse else None
        reports.write(report, translator, translator=shown, source=x, target=y, migration=facts)


def _show_plan(plan: Plan, options: Options, *, as_json: bool) -> None:
    if as_json:
        console.emit_json({"plan": asdict(plan), "options": asdict(options)})
        return
    out = console.stdout()
    out.print(f"{plan.rows:,} rows of width {plan.d_in} from {plan.source}", soft_wrap=True)
    what = "a vector beside the old one" if plan.beside else "a new collection"
    out.print(f"to {plan.target}, {what} of width {plan.d_out}, metric {plan.metric}", soft_wrap=True)
    free = "" if plan.free_bytes is None else f" of {plan.free_bytes / 1e9:,.2f} GB free"
    out.print(f"about {plan.bytes / 1e9:,.2f} GB{free}, about {_time(plan.seconds)}")
    if plan.nulls:
        skipped = (
            "left out" if options.skip_null else f"refused without --skip-null; the first has the id {plan.first_null}"
        )
        out.print(f"{plan.nulls:,} more rows have no vector: {skipped}", soft_wrap=True)
    if plan.triggers:
        what = f"--triggers {options.triggers}" if options.triggers else "refused without --triggers fire or skip"
        out.print(f"fired by each row that is written: {', '.join(plan.triggers)} ({what})", soft_wrap=True)
    for sentence in plan.notes:
        out.print(sentence, soft_wrap=True)
    if plan.dropped:
        out.print(f"left out: {', '.join(plan.dropped)}")
    console.note("Nothing was written.")


def _time(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _say(facts: dict[str, Any], *, as_json: bool, words: str) -> None:
    if as_json:
        console.emit_json(facts)
    else:
        console.note(words.format(**facts))
