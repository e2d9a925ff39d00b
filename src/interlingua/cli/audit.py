"""``interlingua audit``: what a collection of vectors gives away, with a report and a gate."""

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
from interlingua.cli.journal import open_journal
from interlingua.cli.options import FORMATS, AsJson, Log, Seed
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.alignment import Alignment
    from interlingua.leakage.findings import Audit

_TEXTS = ".txt (one a line), .jsonl, .jsonl.gz or .parquet"
_KNOWN = "What the rows really are, if somebody knows"


class Sweep(StrEnum):
    """Which defenses are tried."""

    NONE = "none"
    QUICK = "quick"
    FULL = "full"


def audit(
    vectors: Annotated[Path | None, typer.Argument(metavar="VECTORS", help=f"The vectors to audit: {FORMATS}.")] = None,
    authorized_by: Annotated[
        str | None, typer.Option(metavar="WHO", help="Who authorized this audit; it is written into the report.")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE.html", help="The report, readable by you alone (extra: report).")
    ] = Path("audit.html"),
    corpus: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Public texts of a similar kind: {_TEXTS}.")
    ] = None,
    corpus_vectors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Vectors of --corpus under an encoder of yours, row by row.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="A sentence-transformers model that makes these vectors instead (extra: encoder)."
        ),
    ] = None,
    stand_in: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Vectors of --corpus under any other encoder: to calibrate with."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(metavar="FILE", help=f"Labels to look for: {_TEXTS}.")] = None,
    label_vectors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Vectors of --labels under your encoder, in the same order.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="A column of --corpus that holds the labels instead.")
    ] = None,
    text_column: Annotated[str, typer.Option(metavar="NAME", help="The column or field that holds texts.")] = "text",
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The true texts of VECTORS.", rich_help_panel=_KNOWN)
    ] = None,
    truth_labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The true labels of VECTORS.", rich_help_panel=_KNOWN)
    ] = None,
    truth_vectors: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Vectors of --truth under your encoder.", rich_help_panel=_KNOWN)
    ] = None,
    defenses: Annotated[Sweep, typer.Option(help="Defenses to try; full takes a fit each for a dozen.")] = Sweep.NONE,
    fits: Annotated[int, typer.Option(min=1, help="Fits from different seeds; their translations are averaged.")] = 2,
    documents: Annotated[int, typer.Option(min=50, help="Documents to look at.")] = 2_000,
    fail_above: Annotated[
        float | None, typer.Option(metavar="LEAK", min=0, max=1, help="Exit with 1 if the leak figure is above this.")
    ] = None,
    show_words: Annotated[
        bool, typer.Option("--show-words", help="Write recovered words and public texts into the report and --json.")
    ] = False,
    shipped: Annotated[bool, typer.Option("--demo", help="Audit the demo's data, whose truth is known.")] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="With --demo: the folder of its data.")] = None,
    column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column or field of VECTORS, in .parquet and .jsonl.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the report that is there.")] = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Show what vectors of an unknown model give away.

    Aligns them without pairs with public text under an encoder of yours, then looks for words, labels and near public
    texts. Without a truth, figures are calibrated estimates. Only audit vectors that are yours or that you were asked
    to audit. A failed attack is no proof of safety.
    """
    import interlingua
    from interlingua.leakage.audit import audit as measure
    from interlingua.report.audit import Warrant, conclusion, write_audit

    if not authorized_by and not shipped:
        raise InputError("An audit needs --authorized-by WHO: who owns the vectors and asked for it. It is recorded.")
    reports.check_report(out, force=force)
    found = _evidence(
        vectors,
        shipped=shipped,
        data=data,
        column=column,
        corpus=(corpus, text_column, corpus_vectors, stand_in),
        labels=(labels, label_vectors, label_column),
        truth=(truth, truth_labels, truth_vectors),
        encoder=encoder,
    )
    watch = console.Stopwatch()
    warrant = Warrant(
        authorized_by or "nobody had to: the shipped demo",
        datetime.now(UTC).isoformat(timespec="seconds"),
        *found.names,
    )
    with open_journal(log) as note:
        note("audit", authorized_by=warrant.authorized_by, rows=len(found.vectors), public=len(found.corpus.texts))
        alignments: list[Alignment] = []
        for number in range(fits):
            with console.working(f"Fit {number + 1} of {fits}, no pairs"):
                alignments.append(interlingua.align(found.vectors, found.corpus.vectors, seed=seed + number))
            note("fit", status=str(alignments[-1].verdict.status), seconds=round(alignments[-1].seconds, 1))
        with console.working("Looking for words, labels, neighbors"):
            result = measure(
                alignments,
                found.vectors,
                found.corpus,
                labels=found.labels,
                truth=found.truth,
                defenses=None if defenses is Sweep.NONE else defenses.value,
                documents=documents,
                seed=seed,
            )
        write_audit(out, result, warrant, fail_above=fail_above, show=show_words)
        exceeded = fail_above is not None and result.leak.value > fail_above
        note("audited", leak=result.leak.value, basis=result.leak.basis, exceeded=exceeded)
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


def _evidence(
    vectors: Path | None,
    *,
    shipped: bool,
    data: Path | None,
    column: str | None,
    corpus: tuple[Path | None, str, Path | None, Path | None],
    labels: tuple[Path | None, Path | None, str | None],
    truth: tuple[Path | None, Path | None, Path | None],
    encoder: str | None,
) -> evidence.Evidence:
    from interlingua.io import open_vectors, read_labels

    if shipped:
        if vectors is not None or corpus[0] is not None:
            raise InputError("--demo brings its own vectors and public text; leave VECTORS and --corpus out.")
        folder = demo.find_data(data)
        return evidence.demo_evidence(folder, demo.read_json(folder / "CARD.json"))
    if vectors is None or corpus[0] is None:
        raise InputError("An audit needs VECTORS and --corpus FILE of public texts; --demo shows one on shipped data.")
    file, texts = open_vectors(vectors, column=column), corpus[0]
    encode = None if encoder is None else evidence.sentence_encoder(encoder)
    public = evidence.read_corpus(texts, corpus[1], corpus[2], encode, corpus[3])
    carried = None if labels[2] is None else read_labels(texts, labels[2])
    return evidence.Evidence(
        vectors=file.vectors(),
        corpus=public,
        labels=evidence.read_labels(labels[0], labels[1], encode, public, carried),
        truth=evidence.read_truth(truth[0], corpus[1], truth[1], labels[2] or "label", truth[2]),
        names=(vectors.name, texts.name, encoder or "an encoder of the auditor's"),
    )


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
        out.print(f"{score.name}: {score.finding} ({kept:.3f} singled out, {overlap:.2f} of neighbors kept)")
    if fail_above is not None:
        word = "above" if result.leak.value > fail_above else "not above"
        out.print(f"Leak {result.leak.value:.3f} ({result.leak.basis}), {word} the gate of {fail_above:g}.")


def _rows(result: Audit) -> list[tuple[str, Any, Any, Any]]:
    words, worked = result.words, result.worked
    leak = words.measured.leak_rate if words.measured else None
    precision = words.measured.precision if words.measured else None
    rows: list[tuple[str, Any, Any, Any]] = [
        (
            "documents with a word named",
            words.expected.value if worked else None,
            leak and leak.value,
            leak.control.value if leak and leak.control else words.control.value,
        ),
        ("words that are right", words.claimed if worked else None, precision and precision.value, None),
    ]
    if result.topics and result.topics.measured:
        scores = result.topics.measured
        rows.append(("first label right", None, scores.translated.top1.value, scores.majority.top1.value))
    if result.reidentified:
        figure = result.reidentified.top1
        rows.append(("documents singled out", None, figure.value, figure.control and figure.control.value))
    return rows
