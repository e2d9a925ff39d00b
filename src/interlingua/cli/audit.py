"""``interlingua audit``: measure what a collection of vectors reveals, with a report and an exit code for pipelines."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from interlingua.cli import console, demo, evidence, reports
from interlingua.cli.eventlog import open_log
from interlingua.cli.options import FORMATS, AsJson, Log, Seed, refuse_without_effect
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.leakage.findings import Audit

_TEXTS = ".txt (one a line), .jsonl, .jsonl.gz or .parquet"
_CORPUS, _LABELS, _TRUTH = "Public text", "Labels", "Ground truth, if it is known"


class Sweep(StrEnum):
    """Sets of defenses to try."""

    NONE = "none"
    QUICK = "quick"
    FULL = "full"


def audit(
    vectors: Annotated[Path | None, typer.Argument(metavar="VECTORS", help=f"The vectors to audit: {FORMATS}.")] = None,
    authorized_by: Annotated[
        str | None, typer.Option(metavar="WHO", help="Who authorized this audit; the report records it.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE.html", help="The report, readable by your account only (extra: report).")
    ] = Path("audit.html"),
    defenses: Annotated[Sweep, typer.Option(help="Defenses to try; full needs about a dozen more fits.")] = Sweep.NONE,
    fits: Annotated[
        int, typer.Option(metavar="N", min=1, help="Fits from different seeds; their translations are averaged.")
    ] = 2,
    documents: Annotated[int, typer.Option(metavar="N", min=50, help="Size of the sample of documents.")] = 2_000,
    fail_above: Annotated[
        float | None,
        typer.Option(metavar="LEAK", min=0, max=1, help="Exit with code 1 if the leak figure is above this."),
    ] = None,
    show_words: Annotated[
        bool, typer.Option("--show-words", help="Write recovered words and public texts into the report and --json.")
    ] = False,
    demo_data: Annotated[
        bool,
        typer.Option("--demo", help="Audit the demo's data, whose truth is known. Only a checkout has them."),
    ] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="With --demo: the folder of its data.")] = None,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column or field of VECTORS, in .parquet and .jsonl.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
    corpus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help=f"Public texts of a similar kind: {_TEXTS}.", rich_help_panel=_CORPUS),
    ] = None,
    corpus_vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Vectors of --corpus under your encoder, row by row.", rich_help_panel=_CORPUS
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A sentence-transformers model that computes missing vectors (extra: encoder). A name that is no "
            "folder is downloaded.",
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    stand_in: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Vectors of --corpus under any third encoder. They calibrate the probabilities of words.",
            rich_help_panel=_CORPUS,
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option(metavar="NAME", help="The column or field that holds texts.", rich_help_panel=_CORPUS)
    ] = "text",
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Labels to look for: {_TEXTS}.", rich_help_panel=_LABELS)
    ] = None,
    label_vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Vectors of --labels under your encoder, in the same order.", rich_help_panel=_LABELS
        ),
    ] = None,
    label_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Take the labels from this column of --corpus instead.", rich_help_panel=_LABELS
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The true texts of VECTORS.", rich_help_panel=_TRUTH)
    ] = None,
    truth_labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The true labels of VECTORS.", rich_help_panel=_TRUTH)
    ] = None,
    truth_vectors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Vectors of the true texts under your encoder.", rich_help_panel=_TRUTH),
    ] = None,
) -> None:
    """Measure what vectors of an unknown model reveal.

    Aligns VECTORS without pairs with public text under an encoder of yours, then looks for words, labels and similar
    public texts. Without ground truth the figures are calibrated estimates. Audit only vectors that are yours or that
    you were asked to audit. A failed attack is no proof of safety.
    """
    import interlingua
    from interlingua.leakage.audit import audit as measure
    from interlingua.report.audit import Warrant, conclusion, write_audit

    if not authorized_by and not demo_data:
        raise InputError("An audit needs --authorized-by WHO: who owns the vectors and asked for it. It is recorded.")
    files = evidence.Files(
        vectors=vectors,
        column=column,
        corpus=corpus,
        corpus_vectors=corpus_vectors,
        stand_in=stand_in,
        encoder=encoder,
        text_column=text_column,
        labels=labels,
        label_vectors=label_vectors,
        label_column=label_column,
        truth=truth,
        truth_labels=truth_labels,
        truth_vectors=truth_vectors,
    )
    if demo_data:
        unused = files.options()
        refuse_without_effect(unused, "has no effect with --demo: --demo brings its own vectors, texts and labels.")
        # Whether the data exist is known before any extra is asked for.
        folder = demo.find_data(data)
    else:
        refuse_without_effect({"--data": data}, "has no effect without --demo; leave it out.")
        files.refuse_unused()
    reports.check_report(out, force=force)
    if demo_data:
        inputs = evidence.demo_evidence(folder, demo.read_json(folder / "CARD.json"))
    else:
        inputs = evidence.read_evidence(files)
    watch = console.Stopwatch()
    warrant = Warrant(
        authorized_by or "nobody had to: the shipped demo",
        datetime.now(UTC).isoformat(timespec="seconds"),
        *inputs.names,
        model=evidence.describe_model(inputs.vectors),
    )
    with open_log(log) as record:
        record("audit", authorized_by=warrant.authorized_by, rows=len(inputs.vectors), public=len(inputs.corpus.texts))
        alignments: list[Alignment] = []
        for number in range(fits):
            with console.fit_progress(f"Fit {number + 1} of {fits}, no pairs") as on_step:
                alignments.append(
                    interlingua.align(inputs.vectors, inputs.corpus.vectors, seed=seed + number, on_step=on_step)
                )
            record("fit", status=str(alignments[-1].verdict.status), seconds=round(alignments[-1].seconds, 1))
        with console.working("Searching for words, labels and neighbors"):
            result = measure(
                alignments,
                inputs.vectors,
                inputs.corpus,
                labels=inputs.labels,
                truth=inputs.truth,
                defenses=None if defenses is Sweep.NONE else defenses.value,
                documents=documents,
                seed=seed,
            )
        write_audit(out, result, warrant, fail_above=fail_above, show=show_words)
        exceeded = fail_above is not None and result.leak.value > fail_above
        record("audited", leak=result.leak.value, basis=result.leak.basis, exceeded=exceeded)
    if as_json:
        gate = {"fail_above": fail_above, "exceeded": exceeded}
        console.emit_json(
            {
                **result.to_dict(show=show_words),
                "gate": gate,
                "conclusion": conclusion(result),
                "warrant": warrant.to_dict(),
                "report": str(out),
                "seconds": watch.seconds,
            }
        )
    else:
        _print(console.stdout(), result, conclusion(result), fail_above)
        console.note(f"{watch.seconds:.0f} seconds. Report: {out}")
    if exceeded:
        raise typer.Exit(1)


def _print(out: Console, result: Audit, paragraph: str, fail_above: float | None) -> None:
    out.print(f"Fits: {', '.join(result.verdicts)}")
    out.print(paragraph, soft_wrap=True, markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure")
    for heading in ("estimated", "measured", "control"):
        table.add_column(heading, justify="right")
    for name, estimated, measured, control in _rows(result):
        table.add_row(name, *("" if value is None else f"{value:.3f}" for value in (estimated, measured, control)))
    out.print(table)
    for score in result.defenses:
        overlap, kept = score.overlap.value, score.top1.value
        figures = f"{kept:.1%} re-identified, {overlap:.0%} of neighbors kept"
        out.print(f"No defense: {figures}" if score.name == "none" else f"{score.name}: {score.finding} ({figures})")
    if fail_above is not None:
        word = "above" if result.leak.value > fail_above else "not above"
        out.print(f"Leak {result.leak.value:.3f} ({result.leak.basis}), {word} the gate of {fail_above:g}.")


def _rows(result: Audit) -> list[tuple[str, Any, Any, Any]]:
    words, worked = result.words, result.worked
    leak, precision = ((words.measured or {}).get(name) for name in ("leak_rate", "precision"))
    rows: list[tuple[str, Any, Any, Any]] = [
        (
            "documents with a word named",
            words.expected.value if worked else None,
            leak and leak.value.value,
            leak.control.value if leak and leak.control else words.control.value,
        ),
        (
            "asserted words that are correct",
            words.claimed if worked else None,
            precision and precision.value.value,
            None,
        ),
    ]
    if result.topics and result.topics.measured:
        scores = result.topics.measured.ways
        rows.append(("first label correct", None, scores["translated"].top1.value, scores["majority"].top1.value))
    if result.reidentified:
        figure = result.reidentified["top1"]
        rows.append(("documents re-identified", None, figure.value.value, figure.control and figure.control.value))
    return rows
