"""``interlingua fit``: two files or collections of vectors to a translator with a verdict."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua._align import MAX_ROWS
from interlingua.aligners import METHODS
from interlingua.aligners.usable import advise_skip_bad
from interlingua.cli import console, encoders, inputs, methods, reports, tables
from interlingua.cli.collections import Collection
from interlingua.cli.embedded import embedding_of
from interlingua.cli.eventlog import EventLog, open_log
from interlingua.cli.fit_rows import counts_of, note_rows, read_fit_rows
from interlingua.cli.fit_run import check_destinations, kept_target, run_fit, write_fit
from interlingua.cli.fitted import warn_of_translations
from interlingua.cli.known_pairs import KNOWN, PairById, Pairs, advise_on_pairs, are_enough, check_pairs, read_pairs
from interlingua.cli.next_commands import commands_after_fit, show_commands
from interlingua.cli.options import (
    FORMATS,
    STORE_ADDRESSES,
    AsJson,
    Columns,
    Keys,
    Log,
    Scales,
    Seed,
    Show,
    SkipBad,
    TargetWhere,
    Where,
    check_effect,
    check_outputs,
)
from interlingua.cli.reembedded import Reembedded, add_to_target, check_reembedded, open_reembedded
from interlingua.cli.row_texts import check_text_column
from interlingua.cli.views import Views, check_views, name_views, naming_options, open_views
from interlingua.core.alignment import FAILED_FIT_ADVICE, pairs_disagree
from interlingua.core.backend import resolve_device
from interlingua.core.errors import InputError
from interlingua.core.wording import time_taken
from interlingua.stores import input_files

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["fit"]

_BASELINES = [name for name in METHODS if name not in ("auto", "linear", "adversarial")]
_INPUT, _METHOD, _TRAINING = "Input", "Method", "Training, with --method adversarial"


def fit(
    source: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help=f"Vectors to translate from: {FORMATS}; or {STORE_ADDRESSES}."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="Vectors of another encoder, of other texts, in any order."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write the translator to.")],
    report: reports.ReportFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing translator and report.")] = False,
    allow_failed: Annotated[bool, typer.Option("--allow-failed", help="Write the translator of a failed fit.")] = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
    pairs: Pairs = None,
    pair_by_id: PairById = False,
    reembedded: Reembedded = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="The column of both files that holds a category of each row, such as a topic. Rows may lack it. "
            "Give it twice when the columns have different names. Only --method linear uses categories.",
            rich_help_panel=KNOWN,
        ),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="TARGET",
            help="Another candidate for TARGET: vectors of other texts by the same encoder; may be repeated. Each is "
            "tried, and the ones that the evidence supports are used.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            "--sample",
            metavar="N",
            min=2,
            help="Use at most N rows per side, drawn at random with --seed. By default whole files are read, of which "
            "the linear solver uses 20,000 rows each, and 20,000 rows of a store.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    views: Views = None,
    skip_bad: SkipBad = False,
    where: Where = None,
    target_where: TargetWhere = None,
    show: Show = None,
    source_name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the source space, such as its model.", rich_help_panel=_INPUT),
    ] = None,
    target_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the target space.", rich_help_panel=_INPUT)
    ] = None,
    columns: Columns = None,
    keys: Keys = None,
    scales: Scales = None,
    source_encoder: encoders.SourceEncoder = None,
    target_encoder: encoders.TargetEncoder = None,
    view_encoders: encoders.ViewEncoders = None,
    texts: encoders.Texts = None,
    text_column: encoders.TextColumn = None,
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto: ridge, a fit on pairs, if at least twice as many pairs are known as the larger width, and "
            "--reembedded is not given; otherwise linear, the unpaired solver. "
            "adversarial: the networks of the vec2vec paper (extra: neural). For comparison: "
            f"{', '.join(_BASELINES)}.",
            autocompletion=methods.complete_method,
            rich_help_panel=_METHOD,
        ),
    ] = "auto",
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="Where linear and adversarial compute: cpu|cuda|cuda:N|mps|auto; cpu by default. cuda:N is the NVIDIA "
            "GPU with number N. auto is an NVIDIA GPU if torch finds one, otherwise the CPU (extra: torch).",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change a setting of the method; may be repeated. linear: rounds, nonorthogonal, correction, budget. "
            "adversarial: preset=small|paper|paper-text|annealed, start=warm|cold, restarts, tensorboard, and every "
            "training setting such as lr. `interlingua settings METHOD` explains them all.",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Settings of the method in a .yaml or .json file, one NAME: VALUE for each; --set replaces what it "
            "says.",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Most seconds for a second search by --method linear, where its fast search finds no evidence for a "
            "map; 0 for none. By default, a second search without a limit of time follows if one side has 250 to "
            "1,999 rows and the other side 3,500 or more. With --view, it follows if one side has 250 to 1,999 rows, "
            "whatever number the other side has.",
            rich_help_panel=_METHOD,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Training steps.", rich_help_panel=_TRAINING)
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep checkpoints and metrics in this folder.", rich_help_panel=_TRAINING),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the checkpoints in --run.", rich_help_panel=_TRAINING)
    ] = False,
) -> None:
    """Align two spaces and save the translator.

    SOURCE and TARGET hold vectors of two encoders. They may be of different texts, and no known pairs are needed. Where
    the new encoder can be run, --target-encoder and --texts make the target of public texts. The verdict says whether
    the result can be trusted: aligned, doubtful or failed. A failed fit writes no translator and ends with exit code 1.
    It still writes the file of --report.
    """
    check_outputs({"--out": out, "--report": report, "--run": run, "--log": log})
    check_destinations(out, report, force=force)
    methods.check_method(method)
    if report is None:
        check_effect({"--show": show}, "has no effect without --report; leave it out.")
    named = {
        "--source-encoder": source_encoder,
        "--target-encoder": target_encoder,
        "--texts": texts,
        "--text-column": text_column,
    }
    without_effect: dict[str, object] = {
        **{"--view-encoder": view_encoders, "--reembedded": reembedded},
        **{"--pairs": pairs, "--labels": labels, "--target": targets, "--view": views, "--show": show},
        **{"--pair-by-id": pair_by_id, "--column": columns, "--key": keys, "--scale": scales},
        **{"--budget": budget, "--steps": steps, "--run": run, "--resume": resume},
    }
    on_device = None if device is None else resolve_device(device)
    nulls, enough = 0, None

    def write(alignment: Alignment, spaces: Sequence[EmbeddingSpace], record: EventLog) -> tuple[bool, dict[str, Path]]:
        failed = alignment.verdict.status == "failed" and not allow_failed
        written = write_fit(alignment, spaces, None if failed else out, report, force=force)
        record("done", **written)
        return failed, written

    if encoders.is_encoder_fit(named, without_effect):
        with open_log(log, (*input_files(source or "", target or ""), Path(texts or ""))) as record:
            alignment, drawn, used = encoders.fit_encoders(
                named,
                (source, target),
                where=(where, target_where),
                skip_bad=skip_bad,
                sample=rows,
                names=(source_name, target_name),
                method=method,
                assignments=assignments or (),
                settings=settings,
                device=on_device,
                seed=seed,
                record=record,
            )
            failed, written = write(alignment, drawn, record)
    else:
        of_target: dict[str, object] = {
            **{"TARGET": target, "--target": targets, "--target-where": target_where, "--pairs": pairs},
            **{"--pair-by-id": pair_by_id, "--labels": labels, "--view": views},
        }
        view_files = name_views(views or ())
        asked = embedding_of(named, view_encoders, files=of_target, method=method, taken=view_files)
        if source is None or (target is None and asked.target is None):
            raise InputError(
                f"{'SOURCE and TARGET are' if source is None else 'TARGET is'} missing; a fit needs the vectors of two "
                "encoders. --target-encoder and --texts can take the place of TARGET; with --source-encoder, they make "
                "pairs and can take the place of both."
            )
        paths = [] if target is None else [target, *(targets or [])]
        check_views(views, {"--target": targets})
        check_pairs(pairs, targets, by_id=pair_by_id)
        beside = {"--pairs": pairs, "--pair-by-id": pair_by_id, "--labels": labels, "--target": targets}
        check_reembedded(reembedded, {**beside, "--view": views, "--view-encoder": view_encoders})
        if reembedded is not None and method == "auto":
            # A fit on the pairs alone, which many pairs choose otherwise, would not read the other rows of TARGET.
            method = "linear"
        if len(paths) > 1:
            check_effect({"--target-name": target_name}, "cannot name several targets; leave it out.")
        addresses = [*paths, *(views or ()), *([] if reembedded is None else [reembedded])]
        with advise_skip_bad():
            files = inputs.open_all(
                source, paths, columns=columns, keys=keys, scales=scales, where=(where, target_where), skip_bad=skip_bad
            )
        with (
            inputs.closing_sides(files),
            advise_skip_bad(),
            open_views(views or (), skip_bad=skip_bad) as opened_views,
            open_reembedded(reembedded, skip_bad=skip_bad, beside=files[1:]) as again,
            naming_options(view_files, asked.views),
            inputs.naming_sides(files),
        ):
            nulls = files[0].nulls if isinstance(files[0], Collection) else 0
            sides = inputs.side_names(files)
            warn_of_translations(files[1:], sides[1:])
            # A whole table of a database would be read, and all its texts embedded, for a fit that uses a part of it.
            drawn_rows = [MAX_ROWS if rows is None and isinstance(file, Collection) else rows for file in files]
            if asked.row_column is not None:
                check_text_column(files[1], asked.row_column)
                drawn_rows[1] = MAX_ROWS if rows is None and pairs is None else rows
            columns_shown = reports.shown_columns(show, files)
            known = read_pairs(pairs, files[:2], rows=rows) if pairs else None
            label_columns = inputs.side_columns("--labels", labels)
            if label_columns is not None and len(paths) > 1:
                raise InputError("--labels cannot be used with several targets; leave out --labels or --target.")
            chosen = methods.fit_settings(
                method,
                assignments or (),
                settings,
                paired=known is not None or pair_by_id or again is not None,
                device=on_device,
                budget=budget,
                steps=steps,
                folder=None if run is None else str(run),
                resume=resume or None,
            )
            with open_log(log, (*input_files(source, *addresses), pairs, Path(texts) if texts else None)) as record:
                loaded = asked.load(sample=rows, seed=seed, device=on_device, record=record)
                reading_shown = console.show_progress("Reading", record=record, transient=True)
                with reading_shown as reading:
                    read = read_fit_rows(
                        files,
                        opened_views,
                        rows=drawn_rows,
                        seed=seed,
                        show=columns_shown,
                        names=[source_name, *[target_name] * len(paths)],
                        labels=label_columns,
                        pairs=known,
                        pair_by_id=pair_by_id,
                        reembedded=again,
                        with_ids=report is not None,
                        skip_bad=skip_bad,
                        on_rows=reading.on_rows,
                        text_column=asked.row_column,
                    )
                record("read", **counts_of(read.used))
                rows_of = zip(files, read.spaces, strict=True)
                compared = [(str(file.path), space.vectors) for file, space in rows_of]
                compared += [] if read.again is None else [(read.again.path, read.again.space.vectors)]
                inputs.check_different(compared)
                note_rows(read.used, dict(zip(sides, files, strict=True)))
                # An embedded database is locked while it is open, and the fit takes minutes.
                inputs.close_sides([*files, *(view.side for view in opened_views), *([] if again is None else [again])])
                read = loaded.embed(
                    read,
                    source,
                    name=target_name,
                    with_ids=report is not None,
                    skip_bad=skip_bad,
                    method=method,
                    record=record,
                )
                read = add_to_target(read, read.again)
                spaces, used, enough = read.spaces, read.used, are_enough(read.pairs, read.spaces)
                sides = sides if target is not None else list(inputs.SIDES)
                # The limit of `align` itself would cut what --rows asks for.
                limit = {} if rows is None else {"max_rows": max(rows, *(space.n for space in spaces))}
                candidates = dict(zip(sides[1:], spaces[1:], strict=True))
                given = {"pairs": read.pairs, "labels": read.labels, "views": read.views, **chosen, **limit}
                alignment = loaded.describe(run_fit(spaces[0], candidates, method, seed, record, given))
                drawn = (spaces[0], candidates[kept_target(alignment) or sides[1]])
                failed, written = write(alignment, drawn, record)
    card = alignment.card()
    notes: dict[str, Any] = {name: card[name] for name in ("candidates", "diagnoses") if name in card}
    result: dict[str, Any] = {
        **alignment.verdict.to_dict(),
        **notes,
        "method": alignment.method,
        "seed": seed,
        "seconds": alignment.seconds,
    }
    layout = [
        (option, each[0]) for option, each in (("--column", columns), ("--key", keys), ("--scale", scales)) if each
    ]
    commands = (
        []
        if failed
        else commands_after_fit(
            out,
            source,
            where=where,
            skip_bad=skip_bad,
            nulls=nulls,
            layout=layout,
            encoder=target_encoder is not None,
            paired=pair_by_id or reembedded is not None,
        )
    )
    if as_json:
        console.emit_json({**result, **used, "written": written, "commands": commands})
    else:
        tables.print_verdict(console.stdout(), result, explain=False)
        tables.print_notes(console.stdout(), card)
        if result["evidence"] and not failed:
            console.note(f"`interlingua inspect {shlex.quote(str(out))}` explains each measurement.")
        console.note(f"{alignment.method}, {time_taken(alignment.seconds)}")
    for path in written.values():
        console.note(f"Wrote {path}")
    if commands and not as_json:
        show_commands(commands)
    disagree = pairs_disagree(alignment.verdict.evidence)
    if disagree:
        console.note(advise_on_pairs(enough=enough, by_id=pair_by_id, reembedded=reembedded is not None))
    if failed:
        what = "No translator was written" if written else "Nothing was written"
        # Pairs name rows of TARGET, which a target encoder takes the place of.
        option = "" if target_encoder else " with --pairs"
        console.note(f"{what}." if alignment.diagnoses or disagree else f"{what}. {FAILED_FIT_ADVICE}{option}.")
        if alignment.method == "linear" and not any(step["step"] == "second search" for step in alignment.trace):
            console.note("A second search finds some maps that the fast one misses; add --budget 600.")
        raise typer.Exit(1)
