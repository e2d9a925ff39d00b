"""``interlingua bench``: the paper's tables, ours beside theirs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from interlingua.cli import console
from interlingua.cli.options import AsJson
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.bench.plan import Plan

_MAKE = "Vectors that are not there"
_DEFAULT_ON = {"out-of-distribution": ["tweets"], "attributes": ["tweets"], "inversion": ["enron", "tweets"]}


class Which(StrEnum):
    """The tables."""

    IN_DISTRIBUTION = "in-distribution"
    OUT_OF_DISTRIBUTION = "out-of-distribution"
    CLIP = "clip"
    DATA_EFFICIENCY = "data-efficiency"
    SEEDS = "seeds"
    ABLATIONS = "ablations"
    ATTRIBUTES = "attributes"
    INVERSION = "inversion"


def bench(
    table: Annotated[Which, typer.Argument(metavar="TABLE", help="The table of the paper.")],
    vectors: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Holds CORPUS.ENCODER.npy, the same rows under every encoder, and CORPUS.texts.jsonl."
        ),
    ] = Path("vectors"),
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where records, fits and the table go; a second run goes on from there.")
    ] = Path("bench"),
    corpus: Annotated[str, typer.Option(metavar="NAME", help="The corpus that fits see.")] = "nq",
    on: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Another corpus to measure on; may be repeated.")
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Two or more; by default all under which the corpus is there."),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="FIRST:END", help="The seeds; the end is not among them.")] = "0:3",
    rows: Annotated[
        list[int] | None,
        typer.Option(min=2, help="Most rows a side; repeated, the numbers of source rows of data-efficiency."),
    ] = None,
    pool: Annotated[int, typer.Option(min=2, help="Candidates in retrieval.")] = 8192,
    k: Annotated[int, typer.Option(min=1, help="The k of attributes' top-k.")] = 1,
    method: Annotated[str, typer.Option(help="What fits; ablations always take the adversarial one, cold.")] = "linear",
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps of ablations.")] = None,
    oracle_rows: Annotated[
        int, typer.Option(min=0, help="Rows for the paper's oracle couplings (extra: ot); 0 runs none.")
    ] = 0,
    encode: Annotated[
        bool,
        typer.Option(
            "--encode", help="Make the vectors that are not there (extra: bench; needs a hub).", rich_help_panel=_MAKE
        ),
    ] = False,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL",
            help="With --encode: an encoder beside the paper's, by its hub name or folder.",
            rich_help_panel=_MAKE,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="With --encode: a corpus beside the paper's, by the file of its texts.",
            rich_help_panel=_MAKE,
        ),
    ] = None,
    texts: Annotated[
        int, typer.Option(min=10, help="With --encode: most texts of a corpus.", rich_help_panel=_MAKE)
    ] = 100_000,
    as_json: AsJson = False,
) -> None:
    """Run a table of the vec2vec paper.

    Ours beside the paper's figures, for every pair of encoders and every seed. Fits see two disjoint halves of a
    corpus, one under each encoder, and no pair. The paper's own encoders are called gtr, clip, e5, gte, stella,
    granite and qwen; with --encode they are fetched, and so are its corpora nq, tweets and enron. Any other vectors
    stand in for them.
    """
    from interlingua.bench import Plan, Vectors, page, run

    folder = Vectors(vectors)
    asked = tuple(on or (_DEFAULT_ON.get(table, [])))
    if encode:
        _encode(folder, table, (corpus, *asked), tuple(encoder or ()), _named(model), _named(text), texts)
    ablations = table is Which.ABLATIONS
    plan = Plan(
        table=table.value,
        vectors=folder,
        out=out,
        corpus=corpus,
        on=asked,
        encoders=tuple(encoder or folder.encoders(corpus)),
        seeds=_seeds(seeds),
        rows=tuple(rows or ()),
        pool=pool,
        k=k,
        method="adversarial" if ablations else method,
        settings={"start": "cold", **({"steps": steps} if steps else {})} if ablations else {},
        oracle_rows=oracle_rows,
    )
    records = run(plan, note=lambda case: console.note(f"{case.source} -> {case.target}, {case.column}, {case.seed}"))
    written = out / f"{table.value}.md"
    written.write_text(page(table.value, records), "utf-8")
    if as_json:
        console.emit_json({"table": table.value, "written": str(written), "records": records})
        return
    _print(plan, records)
    console.note(f"{written} has this table, {written.with_suffix('.jsonl')} every seed.")


def _encode(
    folder: Any,
    table: Which,
    corpora: tuple[str, ...],
    encoders: tuple[str, ...],
    models: dict[str, str],
    files: dict[str, str],
    limit: int,
) -> None:
    from interlingua.bench.encode import MODELS, Maker

    maker = Maker(folder, models, {name: Path(path) for name, path in files.items()}, limit)
    known = tuple(name for name in MODELS if name != "qwen" and (name != "clip" or table is Which.CLIP))
    for corpus in dict.fromkeys(corpora):
        for encoder in encoders or (*known, *models):
            console.note(f"{corpus} under {encoder}")
            maker.make(corpus, encoder, labels=table is Which.ATTRIBUTES and corpus != corpora[0])


def _named(values: list[str] | None) -> dict[str, str]:
    found = dict(value.partition("=")[::2] for value in values or ())
    for name, value in found.items():
        if not value:
            raise InputError(f"{name!r} has no value; write NAME=VALUE.")
    return found


def _seeds(told: str) -> tuple[int, ...]:
    first, _, end = told.partition(":")
    if not (first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise InputError(f"The seeds are {told!r}; write FIRST:END, such as 0:3 for 0, 1 and 2.")
    return tuple(range(int(first), int(end)))


def _print(plan: Plan, records: list[dict[str, Any]]) -> None:
    from interlingua.bench.page import header, lines, notes

    out = console.stdout()
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    body = lines(plan.table, records)
    for i, heading in enumerate(header(plan.table)):
        if any(cells[i] for cells in body):
            found.add_column(heading, justify="left" if i in (0, 1, 3) else "right", no_wrap=True)
    for cells in body:
        found.add_row(*(Text(cell) for i, cell in enumerate(cells) if any(other[i] for other in body)))
    # A terminal breaks lines that are too long; a cut figure would be a wrong one.
    out.print(found, crop=False, no_wrap=True, width=max(out.width, out.measure(found).maximum))
    for told in notes(plan.table):
        out.print(told, soft_wrap=True)
