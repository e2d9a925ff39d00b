"""``interlingua fit``: two files of vectors to a translator with a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interlingua.cli import console, inputs, reports, tables
from interlingua.cli.journal import Journal, open_journal
from interlingua.cli.options import FORMATS, AsJson, Columns, Keys, Log, Scales, Seed

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.core.arrays import IntArray
    from interlingua.core.spaces import EmbeddingSpace


_PANEL = "Options of --method adversarial"


def fit(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help=f"Vectors to translate from: {FORMATS}.")],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Vectors of another encoder, of other texts, in any order.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder that the translator is written to.")],
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="auto takes ridge, the paired solution, where --pairs are plenty, otherwise linear, the unpaired "
            "one. adversarial is the paper's (extra: neural). To compare with: mini-vec2vec, centroids, self-learning, "
            "adversarial-rotation, gromov, procrustes, identity, mean-shift, random-rotation, principal-axes.",
        ),
    ] = "auto",
    pairs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Known pairs: .npy [p, 2], or .csv or .tsv with two columns: row of SOURCE, row of TARGET, from 0.",
        ),
    ] = None,
    seed: Seed = 0,
    rows: Annotated[
        int | None, typer.Option(min=2, help="Read at most so many rows a side, drawn at random with --seed.")
    ] = None,
    columns: Columns = None,
    keys: Keys = None,
    scales: Scales = None,
    report: reports.Report = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the translator and the report that are there.")
    ] = False,
    allow_failed: Annotated[
        bool, typer.Option("--allow-failed", help="Write the translator although the verdict is failed.")
    ] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            help="adversarial: small (default, for a CPU), paper, or annealed for --start cold.", rich_help_panel=_PANEL
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="adversarial: warm (default, from the linear alignment) or cold.", rich_help_panel=_PANEL),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="adversarial: training steps.", rich_help_panel=_PANEL)
    ] = None,
    restarts: Annotated[
        int | None,
        typer.Option(min=1, help="adversarial: seeds tried; the best without pairs is kept.", rich_help_panel=_PANEL),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="adversarial: keep checkpoints and metrics here.", rich_help_panel=_PANEL),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="adversarial: go on from the checkpoints in --run.", rich_help_panel=_PANEL)
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="adversarial: also metrics for TensorBoard.", rich_help_panel=_PANEL)
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="adversarial: cpu (default), or auto for a GPU.", rich_help_panel=_PANEL)
    ] = None,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Align two spaces, save the translator.

    SOURCE and TARGET hold vectors of two encoders; their texts need not be the same and no pair need be known. The
    verdict says whether to believe it: aligned, doubtful or failed. A failed fit writes nothing and ends with
    exit code 1.
    """
    _check_outputs(out, report, force=force)
    inputs.check_method(method)
    training = inputs.training_settings(
        method,
        preset=preset,
        start=start,
        steps=steps,
        restarts=restarts,
        folder=None if run is None else str(run),
        resume=resume or None,
        tensorboard=tensorboard or None,
        device=device,
    )
    files = inputs.open_sides(source, target, columns=columns, keys=keys, scales=scales)
    known = inputs.read_pairs(pairs, files, rows=rows) if pairs else None
    with open_journal(log) as journal:
        with console.working("Reading"):
            spaces = [inputs.read_space(file, rows=rows, seed=seed) for file in files]
        used = {
            side: {"rows": space.n, "of": file.n} for side, space, file in zip(inputs.SIDES, spaces, files, strict=True)
        }
        journal("read", **used)
        _note_samples(used)
        alignment = _align(spaces, known, method, seed, journal, training)
        written: dict[str, Path] = {}
        if alignment.verdict.status != "failed" or allow_failed:
            written = _write(alignment, spaces, out, report, force=force)
        journal("done", **written)
    result = {**alignment.verdict.to_dict(), "method": alignment.method, "seed": seed, "seconds": alignment.seconds}
    if as_json:
        console.emit_json({**result, **used, "written": written})
    else:
        tables.print_verdict(console.stdout(), result)
        console.note(f"{alignment.method}, {alignment.seconds:.1f} s")
    for path in written.values():
        console.note(f"Wrote {path}")
    if not written:
        console.note("Nothing was written. Give more rows, rows of more similar texts, or a few known --pairs.")
        raise typer.Exit(1)


def _check_outputs(out: Path, report: Path | None, *, force: bool) -> None:
    """Refuse what could not be written at the end, before hours are spent on it."""
    from interlingua.core.storage import check_destination

    check_destination(out, overwrite=force)
    if report is not None:
        reports.check_report(report, force=force)


def _note_samples(used: Mapping[str, Mapping[str, int]]) -> None:
    for side, counts in used.items():
        if counts["rows"] < counts["of"]:
            console.note(f"{side}: {counts['rows']:,} of {counts['of']:,} rows, drawn at random")


def _align(
    spaces: Sequence[EmbeddingSpace],
    pairs: IntArray | None,
    method: str,
    seed: int,
    journal: Journal,
    settings: Mapping[str, Any],
) -> Alignment:
    import interlingua

    source, target = spaces
    what = f"Aligning {source.n:,} x {source.d} with {target.n:,} x {target.d}"
    with console.training_progress(what) if method == "adversarial" else console.working(what) as show:

        def follow(step: dict[str, Any]) -> None:
            journal("progress", **step)
            if show is not None:
                show(step)

        alignment = interlingua.align(source, target, pairs=pairs, method=method, seed=seed, on_step=follow, **settings)
    for step in alignment.trace:
        journal("step", **step)
    verdict = alignment.verdict
    journal("verdict", status=verdict.status, score=verdict.score, method=method, seed=seed, seconds=alignment.seconds)
    return alignment


def _write(
    alignment: Alignment, spaces: Sequence[EmbeddingSpace], out: Path, report: Path | None, *, force: bool
) -> dict[str, Path]:
    """Write translator and report; a failed alignment only comes here when that was asked for."""
    translator = alignment.translator(force=True)
    written = {"translator": translator.save(out, overwrite=force)}
    if report is not None:
        written["report"] = reports.write(report, alignment, translator=translator, source=spaces[0], target=spaces[1])
    return written
