"""``interlingua evaluate``: paired scores of a saved translator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interlingua.cli import console, inputs, reports, tables
from interlingua.cli.options import FORMATS, AsJson, Columns, Keys, Scales, Seed, TranslatorFolder

__all__ = ["evaluate"]


def evaluate(
    directory: TranslatorFolder,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help=f"Source vectors: {FORMATS}.")],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Target vectors of the same texts in the same order.")
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
    report: reports.ReportFile = None,
    force: reports.ReplaceReport = False,
    as_json: AsJson = False,
) -> None:
    """Measure a translator on paired rows.

    Row i of SOURCE and row i of TARGET must be the same text. Use rows that the fit has not seen. For both directions
    it prints how often the right row comes first (top-1), its mean rank (1 is best), and the mean cosine between a
    translation and the real vector.
    """
    from interlingua.core.translator import load
    from interlingua.evaluation import evaluate as measure

    reports.check_optional_report(report, force=force)
    translator = load(directory)
    files = inputs.open_sides(source, target, columns=columns, keys=keys, scales=scales)
    inputs.check_widths(files, translator)
    watch = console.Stopwatch()
    with console.working("Evaluating"):
        spaces = [inputs.read_space(file, with_ids=report is not None) for file in files]
        scores = measure(translator, *spaces, pool=pool, seed=seed)
    result = scores.to_dict()
    if report is not None:
        with console.working("Drawing the report"):
            reports.write(report, translator, evaluation=scores, source_eval=spaces[0], target_eval=spaces[1])
        console.note(f"Wrote {report}")
    if as_json:
        console.emit_json({**result, "seconds": watch.seconds, **({"report": str(report)} if report else {})})
        return
    console.stdout().print(tables.scores({"translated": result}))
    console.note(
        f"{result['n']:,} paired rows, pool {result['pool']:,}, ± half of the 95 % interval, {watch.seconds:.1f} s"
    )
