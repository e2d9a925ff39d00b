"""``interlingua audit``: what a collection of vectors reveals, with a report and a limit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from interlingua.cli import audit_fits, audit_inputs, console, reports
from interlingua.cli.audit_command import command_line, file_digests, given_options
from interlingua.cli.demo_data import read_demo
from interlingua.cli.embedded import name_encoders
from interlingua.cli.eventlog import open_log
from interlingua.cli.inputs import check_different
from interlingua.cli.options import (
    FORMATS,
    STORE_ADDRESSES,
    AllowForeign,
    AsJson,
    Log,
    Seed,
    check_effect,
    check_outputs,
)
from interlingua.cli.views import name_views, naming_options
from interlingua.core.arguments import check_choice
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.wording import count_of, listed, time_taken
from interlingua.leakage.defenses import SUITES
from interlingua.stores import input_files

if TYPE_CHECKING:
    from interlingua.leakage.findings import Audit

__all__ = ["audit"]

_TEXTS = ".txt (one per line), .jsonl, .jsonl.gz, .parquet or a column of a store"
_FITS = 2
_SUITES = ("none", *SUITES)
_CORPUS, _LABELS, _TRUTH = "Public text", "Labels", "Ground truth, if it is known"
_MORE, _INPUT, _ATTACK = "Membership and linkage", "Input", "What is attacked and measured"
# Options that name inputs. The demo has inputs of its own.
_INPUTS = (
    "--corpus", "--column", "--key", "--scale", "--corpus-vectors", "--encoder", "--stand-in", "--view",
    "--view-encoder", "--labels", "--label-vectors", "--label-column", "--text-column", "--truth", "--truth-labels",
    "--truth-vectors", "--members", "--nonmembers", "--second", "--second-truth",
)  # fmt: skip


def _file(meaning: str, panel: str | None = None) -> Any:
    """Return an option that names a file, or the address of a store."""
    return typer.Option(metavar="FILE|ADDRESS", help=meaning, rich_help_panel=panel)


def _name(meaning: str, panel: str | None = None) -> Any:
    return typer.Option(metavar="NAME", help=meaning, rich_help_panel=panel)


_REPORT = "The report, readable by you only (extra: report). FILE.json is always written next to it."
_ENCODER = "Your encoder: a sentence-transformers model that embeds --corpus and --labels (extra: encoder)."
_CORPUS_VECTORS = (
    "Vectors of --corpus under your encoder, in the same order. Alone, they are rows without texts, such as faces."
)
_VIEWS = (
    "Vectors of --corpus by a further model, in the same order; may be repeated. An attacker with several models needs "
    "fewer leaked vectors."
)
_VIEW_ENCODERS = (
    "A further model that embeds --corpus for a view: a sentence-transformers folder or name, or command:PROGRAM that "
    "reads lines and writes vectors (extra: encoder); may be repeated."
)
_LABEL_NAMES = f"Labels to infer: {_TEXTS}. Without --corpus, identities; several rows of one are averaged."
_LABEL_COLUMN = "A column or field of --corpus with a label of each text, instead of --labels."
_TRUE_LABELS = "The true labels of VECTORS, in their order: .txt, or the field label (or that of --label-column)."
_FAIL_ABOVE = (
    "Exit with code 1 if the headline figure is above this, or if the attack failed or the figure cannot be relied on."
)
_MORE_TO_GIVE = (
    "more vectors or public texts or rows of the same kind, or known contents with --truth or --truth-vectors"
)
_KEEP = "Keep fits and decoder in this folder, and reuse those of the same inputs."
_TRANSLATOR = "Use this translator, from interlingua fit, and fit nothing; may be repeated."
_SHOW_WORDS = "Write recovered words and public texts into the report and the JSON. --demo does so for its public data."
_OUT, _DEMO_OUT = Path("audit.html"), Path("demo-audit.html")
_DEMO = f"Audit the data of interlingua demo, whose truth is known; the report is {_DEMO_OUT} by default."
_DEFENSES = "Defenses to evaluate; full needs a dozen more fits."
_COUNT = f"Number of fits, from different seeds; {_FITS} by default."
_LARGEST = "Largest number of documents to attack."
_ANNEX = "Also write an annex for the data protection officer here, and as FILE.md (extra: report)."
_KINDS = "Count names, places, medical terms, numbers and e-mail addresses among the words (extra: kinds)."
_HALVINGS = "Repeat the attack with 1/2, 1/4 and so on of VECTORS, and of the public texts: N more fits for each."
_MEMBERS = "Vectors, under your encoder, of records that are in the collection: can they be found?"
_NONMEMBERS = "Vectors of other records of the same kind; half of --corpus by default."
_SECOND = "Vectors of a second leak, of another model, whose rows are linked with VECTORS."
_SCALE = "Dequantization scale of VECTORS, if they are int8."
_AUTHORIZED = "Who authorized this audit; written into the report."


def audit(
    context: typer.Context,
    vectors: Annotated[
        str | None, typer.Argument(metavar="VECTORS", help=f"The vectors to audit: {FORMATS}; or {STORE_ADDRESSES}.")
    ] = None,
    authorized_by: Annotated[str | None, typer.Option(metavar="WHO", help=_AUTHORIZED)] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.html", help=_REPORT)] = _OUT,
    corpus: Annotated[str | None, _file(f"Public texts of a similar kind: {_TEXTS}.", _CORPUS)] = None,
    corpus_vectors: Annotated[str | None, _file(_CORPUS_VECTORS, _CORPUS)] = None,
    encoder: Annotated[str | None, _name(_ENCODER, _CORPUS)] = None,
    stand_in: Annotated[
        str | None, _file("Vectors of --corpus under any other encoder, to calibrate the estimates.", _CORPUS)
    ] = None,
    views: Annotated[
        list[str] | None, typer.Option("--view", metavar="FILE|ADDRESS", help=_VIEWS, rich_help_panel=_CORPUS)
    ] = None,
    view_encoders: Annotated[
        list[str] | None,
        typer.Option("--view-encoder", metavar="MODEL", help=_VIEW_ENCODERS, rich_help_panel=_CORPUS),
    ] = None,
    labels: Annotated[str | None, _file(_LABEL_NAMES, _LABELS)] = None,
    label_vectors: Annotated[
        str | None, _file("Vectors of --labels under your encoder, in the same order.", _LABELS)
    ] = None,
    label_column: Annotated[str | None, _name(_LABEL_COLUMN, _LABELS)] = None,
    text_column: Annotated[str, _name("The column or field that holds texts.", _CORPUS)] = "text",
    truth: Annotated[
        str | None,
        _file(
            "The true texts of VECTORS, in their order, empty where unknown; --text-column names their field.", _TRUTH
        ),
    ] = None,
    truth_labels: Annotated[str | None, _file(_TRUE_LABELS, _TRUTH)] = None,
    truth_vectors: Annotated[str | None, _file("Vectors of --truth under your encoder.", _TRUTH)] = None,
    members: Annotated[str | None, _file(_MEMBERS, _MORE)] = None,
    nonmembers: Annotated[str | None, _file(_NONMEMBERS, _MORE)] = None,
    second: Annotated[str | None, _file(_SECOND, _MORE)] = None,
    second_truth: Annotated[str | None, _file("The true texts of --second, to measure with --truth.", _MORE)] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help=_KINDS, rich_help_panel=_ATTACK)] = False,
    halvings: Annotated[int, typer.Option(metavar="N", min=0, max=6, help=_HALVINGS, rich_help_panel=_ATTACK)] = 0,
    annex: Annotated[Path | None, typer.Option(metavar="FILE.html", help=_ANNEX)] = None,
    defenses: Annotated[
        str, typer.Option(metavar="|".join(_SUITES), help=_DEFENSES, rich_help_panel=_ATTACK)
    ] = _SUITES[0],
    fits: Annotated[int | None, typer.Option(metavar="N", min=1, help=_COUNT, rich_help_panel=_ATTACK)] = None,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help=_KEEP, rich_help_panel=_ATTACK)] = None,
    translator: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help=_TRANSLATOR, rich_help_panel=_ATTACK)
    ] = None,
    allow_foreign: AllowForeign = False,
    documents: Annotated[int, typer.Option(metavar="N", min=50, help=_LARGEST, rich_help_panel=_ATTACK)] = 2_000,
    fail_above: Annotated[float | None, typer.Option(metavar="SHARE", min=0, max=1, help=_FAIL_ABOVE)] = None,
    show_words: Annotated[bool, typer.Option("--show-words", help=_SHOW_WORDS)] = False,
    demo_data: Annotated[bool, typer.Option("--demo", help=_DEMO)] = False,
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="With --demo: a folder as for demo --data.")] = None,
    column: Annotated[str | None, _name("The column of VECTORS, in files such as .parquet and .jsonl.", _INPUT)] = None,
    key: Annotated[str | None, _name("The array of VECTORS, in .npz, .safetensors and .h5.", _INPUT)] = None,
    scale: Annotated[float | None, typer.Option(metavar="NUMBER", help=_SCALE, rich_help_panel=_INPUT)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing report.")] = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Show what vectors of an unknown model reveal.

    The vectors are aligned without pairs with public texts under your encoder. Then words, labels and the nearest
    public texts are recovered. Without the true texts, figures are calibrated estimates. In collections without texts,
    such as faces, identities are recognized. Audit only vectors that are yours or that you were asked to audit. A
    failed attack is no proof of safety.
    """
    from interlingua.cli.addresses import read_row_ids
    from interlingua.leakage._documents import sampled_rows
    from interlingua.leakage._doubts import doubt, partial_doubt
    from interlingua.leakage._predictions import attacked_rows
    from interlingua.leakage._shares import attack_share
    from interlingua.leakage.audit import audit as measure
    from interlingua.leakage.input_checks import check_inputs
    from interlingua.leakage.inputs import SecondLeak
    from interlingua.leakage.severity import severity
    from interlingua.report._statements import check_limit, unchecked_reason
    from interlingua.report.audit import Provenance, conclusion, write_audit, write_audit_json

    authorized_by = (authorized_by or "").strip()
    if not authorized_by and not demo_data:
        raise InputError(audit_inputs.NOT_AUTHORIZED)
    refits = bool(stand_in or second or halvings or defenses != _SUITES[0])
    further = {} if refits else {"--view": views, "--view-encoder": view_encoders}
    audit_fits.check_given(translator, keep=keep, fits=fits, views=further, allow_foreign=allow_foreign)
    suite = check_choice(defenses, "--defenses", _SUITES)
    given = given_options(context)
    audit_inputs.check_options(
        demo=demo_data,
        options={"VECTORS": vectors, **{name: given.get(name) for name in _INPUTS}},
        of_words={name: given.get(name) for name in ("--defenses", "--kinds", "--halvings", "--show-words")},
    )
    source = context.get_parameter_source("out")
    if demo_data and source is not None and source.name == "DEFAULT":
        out = _DEMO_OUT
    # Missing data are reported before any extra is needed.
    demo_inputs = None
    if demo_data:
        demo_inputs = audit_inputs.demo_inputs(demo := read_demo(data))
        if not demo.is_public and not authorized_by:
            raise InputError(f"The {demo.name} are not known to be public. {audit_inputs.NOT_AUTHORIZED}")
        authorized_by = authorized_by or "nobody (public data)"
        show_words = show_words or demo.is_public
    else:
        check_effect({"--data": data}, "has no effect without --demo; leave it out.")
    reports.check_report(out, force=force)
    json_file = out.with_suffix(".json")
    if json_file.exists() and not force:
        raise OutputExistsError(f"{json_file} exists.", "Choose another --out, or overwrite it with {force}.")
    if annex is not None:
        reports.check_annex(annex, force=force)
    annexes = {} if annex is None else {"--annex": annex, "the .md file of --annex": annex.with_suffix(".md")}
    check_outputs({**annexes, "--out": out, "the .json file of --out": json_file, "--keep": keep, "--log": log})
    if kinds:
        audit_inputs.check_kinds()
    view_files = name_views(views or ())
    view_models = name_encoders(view_encoders or (), encoder, view_files)
    named = (
        vectors, corpus, corpus_vectors, stand_in, labels, label_vectors, truth, truth_labels, truth_vectors, members,
        nonmembers, second, second_truth, *view_files.values(),
    )  # fmt: skip
    files = input_files(*(address or "" for address in named))
    watch = console.Stopwatch()
    with open_log(log, files) as log_event, naming_options(view_files, view_models):
        with console.show_progress("Reading", record=log_event, transient=True) as reading:
            inputs = demo_inputs or audit_inputs.read_inputs(
                vectors,
                corpus,
                source=(column, key, scale),
                text_column=text_column,
                corpus_vectors=corpus_vectors,
                encoder=encoder,
                stand_in=stand_in,
                views=view_files,
                view_encoders=view_models,
                labels=labels,
                label_vectors=label_vectors,
                label_column=label_column,
                truth=truth,
                truth_labels=truth_labels,
                truth_vectors=truth_vectors,
                on_texts=partial(reading.on_rows, "embedding texts,"),
            )
            records = audit_inputs.read_records(members, nonmembers)
            other = audit_inputs.read_second(second, second_truth, text_column)
            if other is not None:
                check_different([(str(vectors), inputs.vectors), (str(second), other[0])])
        corpus_texts = replace(inputs.corpus, identifiers=kinds) if kinds else inputs.corpus
        public = corpus_texts.vectors
        check_inputs(
            inputs.vectors, corpus_texts, labels=inputs.labels, truth=inputs.truth, records=records,
            options={"halvings": halvings}, fitted=bool(translator), documents=documents, seed=seed,
        )  # fmt: skip
        ids: dict[int, str] = {}
        if show_words and vectors is not None:
            picked = attacked_rows(len(inputs.vectors), documents, seed)
            ids = read_row_ids(vectors, picked[sampled_rows(len(picked))], column, key, scale)
        for sentence in audit_inputs.order_doubts(inputs, other):
            console.note(sentence)
        console.note(
            f"Auditing {inputs.vectors_name} ({count_of(len(inputs.vectors))}); "
            f"public: {inputs.corpus_name} ({count_of(len(public))})."
        )
        log_event("audit", authorized_by=authorized_by, rows=len(inputs.vectors), public=len(public))
        chosen = None if suite == _SUITES[0] else suite
        attack = attack_share(chosen, inputs.vectors.shape[1], (len(inputs.vectors), len(public)), halvings)
        seeds = [] if translator else [seed + number for number in range(fits or _FITS)]
        whole = audit_fits.whole_time(corpus_texts, seeds, [] if other is None else [seed], keep, attack)
        if translator:
            alignments = audit_fits.read_fits(translator, inputs.vectors, public, allow_foreign=allow_foreign)
        else:
            alignments = audit_fits.make_fits(inputs.vectors, corpus_texts, seeds, keep, log_event, whole)
        second_leak = None
        if other is not None:
            rows, texts = other
            folder = None if keep is None else keep / "second"
            others = audit_fits.make_fits(rows, corpus_texts, [seed], folder, log_event, whole, "second fit")
            second_leak = SecondLeak(others, rows, texts)
        provenance = Provenance(
            authorized_by=authorized_by,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            vectors=inputs.vectors_name,
            corpus=inputs.corpus_name,
            encoder=inputs.encoder_name,
            command=command_line(context),
            inputs=file_digests(files),
            seeds=tuple(alignment.seed for alignment in alignments),
        )
        evidence, decoder = corpus_texts, None
        if corpus_texts.has_texts:
            evidence, decoder = audit_fits.make_decoder(corpus_texts, seed, keep, log_event, whole)
        whole.begin("attack")
        title = "Recovering words, labels and neighbors"
        with console.show_progress(title, record=log_event, whole=whole) as on_step:
            result = measure(
                alignments,
                inputs.vectors,
                evidence,
                decoder=decoder,
                labels=inputs.labels,
                truth=inputs.truth,
                defenses=chosen,
                records=records,
                second=second_leak,
                kinds=kinds,
                halvings=halvings,
                fit=audit_fits.kept_fit(keep),
                documents=documents,
                seed=seed,
                on_step=on_step,
            )
        limit = None if fail_above is None else check_limit(result, fail_above)
        unchecked = unchecked_reason(result, fail_above) if fail_above is not None and limit == "unchecked" else None
        record = {
            **result.to_dict(show=show_words),
            "limit": {"fail_above": fail_above, "result": limit, "reason": unchecked},
            "severity": severity(result).to_dict(),
            "conclusion": conclusion(result),
            "doubt": doubt(result),
            "partial_doubt": partial_doubt(result),
            "provenance": provenance.to_dict(),
            "report": str(out),
            "seconds": watch.seconds,
        }
        for document in record.get("documents", ()):
            document["id"] = ids.get(document["row"])
        write_audit(out, result, provenance, fail_above=fail_above, show=show_words, ids=ids)
        write_audit_json(json_file, record)
        if annex is not None:
            from interlingua.report.annex import write_annex

            write_annex(annex, result, provenance)
        log_event("audited", leak=result.leak.value, basis=result.leak.basis, limit=limit)
    if as_json:
        console.emit_json(record)
    else:
        _print(console.stdout(), result, fail_above, limit)
        written = [out, json_file, *annexes.values()]
        console.note(f"Wrote {listed([str(path) for path in written])}, {time_taken(watch.seconds)}")
    if unchecked:
        advice = doubt(result) or partial_doubt(result) or f"This is no proof of safety. Give {_MORE_TO_GIVE}."
        console.note(f"The limit of {fail_above:g} cannot be checked: {unchecked}. {advice}")
    if limit not in (None, "kept"):
        raise typer.Exit(1)


def _print(out: Console, result: Audit, fail_above: float | None, limit: str | None) -> None:
    from interlingua.leakage.severity import severity
    from interlingua.report._fits import likely_causes, verdict_list
    from interlingua.report._statements import (
        contents_of,
        defense_statement,
        in_percent,
        links_statement,
        membership_note,
    )
    from interlingua.report.audit import conclusion, figure_rows, model_statement

    out.print(f"Fits: {verdict_list(result)}", soft_wrap=True)
    for cause in likely_causes(result):
        out.print(cause, soft_wrap=True, markup=False)
    out.print(conclusion(result), soft_wrap=True, markup=False)
    out.print(model_statement(result), soft_wrap=True, markup=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure")
    for heading in ("estimated", "measured", "control"):
        table.add_column(heading, justify="right")
    for row in figure_rows(result):
        values = (row.estimated, row.measured, row.control)
        table.add_row(
            row.name,
            *("" if value is None else "–" if isnan(value.value) else f"{value.value:.3f}" for value in values),
        )
    out.print(table)
    for score in result.defenses:
        if score.decoded is not None:
            out.print(f"{score.name}: {defense_statement(score)}", soft_wrap=True, markup=False)
    if result.membership is not None:
        found = result.membership.found[0.01]
        share = "too few controls" if found is None else f"{in_percent(found)} of the members found at 1% false alarms"
        note = membership_note(result.membership)
        out.print(f"Membership: AUC {result.membership.auc.value:.3f}, {share}. {note}".rstrip(), soft_wrap=True)
    if result.linkage is not None:
        out.print(f"Linkage: {links_statement(result.linkage, contents_of(result))}", soft_wrap=True)
    for sentence in result.omitted:
        out.print(sentence, soft_wrap=True, markup=False)
    found_severity = severity(result)
    out.print(f"Severity {found_severity.level}: {'; '.join(found_severity.reasons)}", soft_wrap=True)
    if limit in ("exceeded", "kept"):
        word = "above" if limit == "exceeded" else "not above"
        out.print(f"Headline figure {result.leak.value:.3f} ({result.leak.basis}), {word} its limit of {fail_above:g}.")
