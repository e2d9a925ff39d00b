"""``interlingua evaluate``: paired scores of a saved translator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.aligners.usable import advise_skip_bad
from interlingua.cli import console, inputs, reports, tables
from interlingua.cli.collections import read_others
from interlingua.cli.eventlog import open_log
from interlingua.cli.fit_rows import note_left_out, read_pairs_of_rows, row_word
from interlingua.cli.fitted import warn_of_fitted_rows, warn_of_translations
from interlingua.cli.options import (
    FORMATS,
    STORE_ADDRESSES,
    AllowForeign,
    AsJson,
    Columns,
    Keys,
    Log,
    Scales,
    Seed,
    Show,
    SkipBad,
    TargetWhere,
    TranslatorFolder,
    Where,
    check_effect,
    check_outputs,
)
from interlingua.core.wording import COMPARE_SEARCHES, time_taken
from interlingua.stores import input_files

if TYPE_CHECKING:
    from interlingua.evaluation import Evaluation

__all__ = ["evaluate"]


def evaluate(
    directory: TranslatorFolder,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"Source vectors: {FORMATS}; or {STORE_ADDRESSES}.")],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="Target vectors of the same texts: in the same order in two files, under the same ids in a store.",
        ),
    ],
    pool: Annotated[
        int,
        typer.Option(
            metavar="N", min=2, help="Candidates in retrieval. Scores are comparable only between pools of one size."
        ),
    ] = 8192,
    seed: Seed = 0,
    columns: Columns = None,
    keys: Keys = None,
    scales: Scales = None,
    rows: Annotated[
        int | None,
        typer.Option("--sample", metavar="N", min=2, help="Use at most N pairs of rows, drawn at random with --seed."),
    ] = None,
    skip_bad: SkipBad = False,
    where: Where = None,
    target_where: TargetWhere = None,
    show: Show = None,
    allow_foreign: AllowForeign = False,
    report: reports.ReportFile = None,
    force: reports.ReplaceReport = False,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Measure a translator on paired rows.

    Row i of SOURCE and row i of TARGET must be the same text. If one of them is a store or file://PATH?id=COLUMN, rows
    are paired by their ids. Use rows that the fit has not seen; each file or collection is read once more to look for
    rows of the fit, and SOURCE for the last line. For both directions it prints how often the right row comes first
    (top-1), its mean rank (1 is best), the mean cosine between a translation and the real vector, and the same cosine
    after subtracting the mean real vector (centered). Where rows are paired by ids, the last line ranks among all rows
    of SOURCE, up to --pool: this is what a search of the migrated collection does. In --json, "reference" ranks as the
    vec2vec paper does: the real row is the query, and the translations of the paired rows are ranked.
    """
    from interlingua.core.translator import load
    from interlingua.evaluation import evaluate as measure

    check_outputs({"--report": report, "--log": log})
    reports.check_optional_report(report, force=force)
    translator = load(directory)
    if report is None:
        check_effect({"--show": show}, "has no effect without --report; leave it out.")
    names: dict[str, Any] = {"columns": columns, "keys": keys, "scales": scales}
    with advise_skip_bad():
        files = inputs.open_sides(source, target, **names, where=(where, target_where), skip_bad=skip_bad)
    watch = console.Stopwatch()
    with inputs.closing_sides(files), open_log(log, input_files(source, target)) as record:
        shown = console.show_progress("Evaluating", record=record, transient=True)
        with advise_skip_bad(), inputs.naming_sides(files), shown as progress:
            inputs.check_widths(files, translator)
            warn_of_translations(files[1:], inputs.SIDES[1:])
            spaces, left_out, ids = read_pairs_of_rows(
                files,
                rows=rows,
                seed=seed,
                with_ids=report is not None,
                show=reports.shown_columns(show, files),
                skip_bad=skip_bad,
                on_rows=progress.on_rows,
            )
            record("read", rows=spaces[0].n, left_out=0 if left_out is None else left_out["rows"])
            # Where rows are paired by ids, only those with a partner are compared.
            compared = None if ids is None else [space.vectors for space in spaces]
            fitted = warn_of_fitted_rows(files, translator, progress.on_rows, compared=compared)
            inputs.check_different([(str(f.path), space.vectors) for f, space in zip(files, spaces, strict=True)])
            measured = inputs.without_comparison(translator) if allow_foreign else translator
            others = None
            if ids is not None:
                # Rows of the source without a partner compete, as in a search of the translated collection.
                others = read_others(files[0], ids, rows=pool - len(ids), seed=seed, on_rows=progress.on_rows)
            scores = measure(measured, *spaces, pool=pool, seed=seed, others=others, on_rows=progress.on_rows)
        note_left_out(left_out, "pairs", row_word(files))
        result = {**scores.to_dict(), "fitted": fitted, **({"left_out": left_out} if left_out else {})}
        if report is not None:
            with console.working("Drawing the report", record):
                evaluated: dict[str, Any] = {"evaluation": scores, "source_eval": spaces[0], "target_eval": spaces[1]}
                reports.write(report, translator, translator=measured, **evaluated)
            console.note(f"Wrote {report}")
        record("done", rows=result["n"], **_main_scores(result))
    if as_json:
        console.emit_json({**result, "seconds": watch.seconds, **({"report": str(report)} if report else {})})
        return
    console.stdout().print(tables.scores({"translated": result}))
    if scores.is_chance:
        console.note(
            "Warning: the right row ranks no better than by chance. The rows of SOURCE and TARGET are probably not the "
            "same texts, row by row, or the translator is of other models."
        )
    if scores.is_translation:
        console.note(
            "Warning: one side is the translation of the other to within rounding, as if this translator had written "
            "it. Scores of its own translations are no evidence. Give vectors that both models made."
        )
    for line in _explain(scores):
        console.note(line)
    console.note(
        f"{result['n']:,} paired rows, pool {result['pool']:,}; ± is half of the 95% interval. "
        f"{time_taken(watch.seconds)}"
    )


def _explain(scores: Evaluation) -> list[str]:
    """Return sentences that say among how many rows the right one was looked for, and what the columns are."""
    lines = [f"top-1 and mean rank: of the right row among {scores.pool:,} rows. Among more rows, top-1 is lower."]
    if scores.collection is not None:
        lines.append(
            "in the collection: vectors of TARGET as queries among the translations of "
            f"{scores.collection.pool:,} rows of SOURCE, as in a search of the migrated collection."
        )
    lines.append(
        "cosine: of a translation with the real vector. All vectors of a model can share a large mean, so that "
        "unrelated texts have a high cosine too. centered: the cosine after this mean is subtracted; unrelated texts "
        "have about 0."
    )
    lines.append(f"Top-1 does not say how good searches are. {COMPARE_SEARCHES}")
    return lines


def _main_scores(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the main scores of both directions, for the log."""
    names = ("top1", "mean_rank", "cosine")
    return {side: {name: result[side][name] for name in names} for side in ("forward", "backward")}
