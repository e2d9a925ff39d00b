"""``interlingua bench``: reproduce the tables of the paper."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from interlingua.cli import console, methods
from interlingua.cli.options import AsJson, check_effect
from interlingua.core.arguments import shown
from interlingua.core.atomic import write_text
from interlingua.core.errors import InputError, MissingExtraError
from interlingua.core.wording import listed

if TYPE_CHECKING:
    from interlingua.bench.plan import Plan

__all__ = ["PaperTable", "bench"]

_MAX_SEEDS = 1_000
_ENCODE = "Computing missing vectors"
_DEFAULT_ON = {"out-of-distribution": ["tweets"], "attributes": ["tweets"], "inversion": ["enron", "tweets"]}


class PaperTable(StrEnum):
    """The tables of the paper that can be reproduced."""

    IN_DISTRIBUTION = "in-distribution"
    OUT_OF_DISTRIBUTION = "out-of-distribution"
    CLIP = "clip"
    DATA_EFFICIENCY = "data-efficiency"
    SEEDS = "seeds"
    ABLATIONS = "ablations"
    ATTRIBUTES = "attributes"
    INVERSION = "inversion"


def bench(
    table: Annotated[
        PaperTable, typer.Argument(metavar="TABLE", help=f"The table of the paper: {', '.join(PaperTable)}.")
    ],
    vectors: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="A folder with CORPUS.ENCODER.npy, whose row i is the same text for every encoder, and "
            "CORPUS.texts.jsonl.",
        ),
    ] = Path("vectors"),
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="The folder for records, fits and tables; a second run continues from it."),
    ] = Path("bench"),
    corpus: Annotated[str, typer.Option(metavar="NAME", help="The corpus to fit on.")] = "nq",
    on: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Another corpus to measure on; may be repeated.")
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Give two or more; by default every encoder of the corpus in --vectors."),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="FIRST:END", help="The seeds from FIRST to END - 1.")] = "0:3",
    rows: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            min=2,
            help="At most N rows per side. data-efficiency: numbers of source rows; may be repeated.",
        ),
    ] = None,
    pool: Annotated[int, typer.Option(metavar="N", min=2, help="Candidates in retrieval.")] = 8192,
    k: Annotated[int | None, typer.Option(metavar="N", min=1, help="attributes: the k of top-k; 1 by default.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The method to fit with, linear by default. ablations always use adversarial with a cold start.",
            autocompletion=methods.complete_method,
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", min=1, help="ablations: training steps.")] = None,
    oracle_rows: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Rows for the paper's optimal-transport oracles (extra: ot); 0 for none."
        ),
    ] = 0,
    as_json: AsJson = False,
    encode: Annotated[
        bool,
        typer.Option(
            "--encode",
            help="Compute missing vectors (extra: bench). Downloads encoders and corpora from the Hugging Face hub.",
            rich_help_panel=_ENCODE,
        ),
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="A further encoder, by its name on the hub or by its folder.",
            rich_help_panel=_ENCODE,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A further corpus, by the file of its texts.", rich_help_panel=_ENCODE),
    ] = None,
    texts: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=10, help="At most N texts of a corpus; 100,000 by default.", rich_help_panel=_ENCODE
        ),
    ] = None,
) -> None:
    """Reproduce a table of the vec2vec paper.

    Prints our figures next to the paper's, for every pair of encoders and every seed, and writes them as Markdown, CSV
    and a picture (extra: report). Fits see two disjoint halves of a corpus, one under each encoder, and no pairs. The
    paper's encoders are named gtr, clip, e5, gte, stella, granite and qwen. With --encode they are downloaded, and so
    are its corpora nq, tweets and enron. Vectors of your own can replace them.
    """
    from interlingua.bench import Plan, Vectors, run

    folder = Vectors(vectors)
    others = tuple(on or (_DEFAULT_ON.get(table, [])))
    ablations = table is PaperTable.ABLATIONS
    _check_options(table, others, on=on, k=k, method=method, steps=steps, oracle_rows=oracle_rows)
    if encode:
        _encode(folder, table, (corpus, *others), tuple(encoder or ()), _named(model), _named(text), texts or 100_000)
    else:
        unused = {"--model": model, "--text": text, "--texts": texts}
        check_effect(unused, "has no effect without --encode; leave it out.")
    if method is not None:
        methods.check_method(method)
    plan = Plan(
        table=table.value,
        vectors=folder,
        out=out,
        corpus=corpus,
        on=others,
        encoders=tuple(encoder or folder.encoders(corpus)),
        seeds=_seeds(seeds),
        rows=tuple(rows or ()),
        pool=pool,
        k=k or 1,
        method="adversarial" if ablations else method or "linear",
        settings={"start": "cold", **({"steps": steps} if steps else {})} if ablations else {},
        oracle_rows=oracle_rows,
    )
    with console.working("Measuring"):
        records = run(
            plan, on_case=lambda case: console.note(f"{case.source} -> {case.target}, {case.column}, {case.seed}")
        )
    written = _write(table.value, out, records)
    if as_json:
        files = {name: str(path) for name, path in written.items()}
        console.emit_json({"table": table.value, "written": files["md"], "files": files, "records": records})
        return
    _print(plan, records)
    tables = listed([str(path) for path in written.values()])
    console.note(f"Wrote this table to {tables}, and the record of every seed to {out / f'{table.value}.jsonl'}.")


def _write(table: str, out: Path, records: list[dict[str, Any]]) -> dict[str, Path]:
    """Write the table as Markdown, CSV and, where the extra ``report`` is installed, as a picture."""
    from interlingua.bench import comma_separated, page, picture

    texts = {"md": page(table, records), "csv": comma_separated(table, records)}
    try:
        texts["svg"] = picture(table, records)
    except MissingExtraError as error:
        console.note(f"No picture is drawn: {error}")
    return {suffix: write_text(out / f"{table}.{suffix}", text) for suffix, text in texts.items()}


def _check_options(table: PaperTable, others: tuple[str, ...], **options: Any) -> None:
    """Refuse options that the table would ignore."""
    from interlingua.bench.plan import ELSEWHERE

    def check_absent(reason: str, *names: str) -> None:
        check_effect({f"--{name.replace('_', '-')}": options[name] for name in names}, reason)

    if table is PaperTable.ABLATIONS:
        reason = "has no effect in the table ablations, which always trains adversarial with a cold start."
        check_absent(reason, "method")
    else:
        check_absent("belongs to the table ablations; leave it out.", "steps")
    if table is not PaperTable.ATTRIBUTES:
        check_absent("belongs to the table attributes; leave it out.", "k")
    if table not in ELSEWHERE:
        check_absent(f"has no effect in the table {table}, which is measured on the corpus of the fit.", "on")
    if table in (PaperTable.ATTRIBUTES, PaperTable.INVERSION):
        options["oracle_rows"] = options["oracle_rows"] or None
        check_absent(f"has no effect in the table {table}, which has no retrieval.", "oracle_rows")


def _encode(
    folder: Any,
    table: PaperTable,
    corpora: tuple[str, ...],
    encoders: tuple[str, ...],
    models: dict[str, str],
    files: dict[str, str],
    limit: int,
) -> None:
    from interlingua.bench.encode import MODELS, VectorBuilder

    builder = VectorBuilder(folder, models, {name: Path(path) for name, path in files.items()}, limit)
    known = tuple(name for name in MODELS if name != "qwen" and (name != "clip" or table is PaperTable.CLIP))
    for corpus in dict.fromkeys(corpora):
        for encoder in encoders or (*known, *models):
            console.note(f"{corpus} under {encoder}")
            with console.working("Embedding"):
                builder.make(corpus, encoder, labels=table is PaperTable.ATTRIBUTES and corpus != corpora[0])


def _named(values: list[str] | None) -> dict[str, str]:
    pairs = dict(value.partition("=")[::2] for value in values or ())
    for name, value in pairs.items():
        if not value:
            raise InputError(f"{name!r} has no value; write NAME=VALUE.")
    return pairs


def _seeds(text: str) -> tuple[int, ...]:
    first, _, end = text.partition(":")
    is_range = re.fullmatch(r"[0-9]{1,9}:[0-9]{1,9}", text) is not None
    if not is_range or not 0 < int(end) - int(first) <= _MAX_SEEDS:
        raise InputError(
            f"The seeds are {shown(text)}; write FIRST:END for up to {_MAX_SEEDS:,} seeds, such as 0:3 for three."
        )
    return tuple(range(int(first), int(end)))


def _print(plan: Plan, records: list[dict[str, Any]]) -> None:
    from interlingua.bench.page import header, lines, notes

    out = console.stdout()
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    body = lines(plan.table, records)
    has_figures = [any(cells[i] not in ("", "none") for cells in body) for i in range(len(header(plan.table)))]
    for i, heading in enumerate(header(plan.table)):
        if has_figures[i]:
            grid.add_column(heading, justify="left" if i in (0, 1, 3) else "right", no_wrap=True)
    for cells in body:
        grid.add_row(*(Text(cell) for i, cell in enumerate(cells) if has_figures[i]))
    # A terminal may break long lines; a cropped figure would be a wrong figure.
    # Rich measures and prints within the width of the terminal, unless the table has a width of its own.
    grid.width = out.measure(grid, options=out.options.update(max_width=10_000)).maximum
    out.print(grid, crop=False, no_wrap=True)
    for sentence in notes(plan.table, records):
        out.print(sentence, soft_wrap=True)
