"""``interlingua search``: queries of one model over collections of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from interlingua.cli import console
from interlingua.cli.addresses import read_vectors
from interlingua.cli.collections import open_rows
from interlingua.cli.eventlog import open_log
from interlingua.cli.fitted import note_verdict
from interlingua.cli.options import (
    FORMATS,
    STORE_ADDRESSES,
    AllowForeign,
    AsJson,
    Log,
    Seed,
    TranslatorFolder,
    check_effect,
)
from interlingua.core.errors import InputError
from interlingua.stores import input_files
from interlingua.stores.registry import address_forms

if TYPE_CHECKING:
    from interlingua.core.translator import Translator
    from interlingua.stores.joint import JointHit, JointSearch

__all__ = ["Space", "search"]

_MODEL = "a sentence-transformers folder or name, or command:PROGRAM that reads lines and writes vectors"
_TEXTS, _SCORES = "Queries and hits as texts", "Scores"
_NOMINEES, _COLUMN = 100, "text"
# Hits with the other columns of their rows that a command holds in memory.
_MAX_HITS = 500_000
# Queries and characters of a value in the table.
_QUERIES_SHOWN, _SHOWN = 20, 70


class Space(StrEnum):
    """The two spaces of a translator."""

    SOURCE = "source"
    TARGET = "target"


def search(
    directory: TranslatorFolder,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help=f"A collection in the source space: {address_forms()}.")
    ],
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="A collection in the target space, if there is one.")
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="FILE", help=f"Query vectors: {FORMATS}; or {STORE_ADDRESSES}.")
    ] = None,
    space: Annotated[Space, typer.Option(help="The space of the queries.")] = Space.TARGET,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="Hits per query.")] = 10,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="A query as text, in place of --query; needs --encoder or --rerank. Give it several times for several "
            "queries.",
            rich_help_panel=_TEXTS,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help=f"The model of the query space, which embeds --text: {_MODEL} (extra: encoder).",
            rich_help_panel=_TEXTS,
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="The model of the query space. It embeds the texts of --nominees rows that the search has found, and "
            "the best of them are printed.",
            rich_help_panel=_TEXTS,
        ),
    ] = None,
    nominees: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help=f"With --rerank: rows per query whose texts are read; {_NOMINEES} by default.",
            rich_help_panel=_TEXTS,
        ),
    ] = None,
    text_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"With --rerank: the column of the texts; {_COLUMN} by default.",
            rich_help_panel=_TEXTS,
        ),
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help=f"A column to print with each hit; {_COLUMN} by default, if there is one. Give it several times for "
            "several columns. --json has all columns.",
            rich_help_panel=_TEXTS,
        ),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Convert the scores of translated vectors to the scale of the query's model.",
            rich_help_panel=_SCORES,
        ),
    ] = True,
    scale: Annotated[
        Space | None,
        typer.Option(
            help="The model on whose scale scores are printed, so that its thresholds apply; that of the queries by "
            "default.",
            rich_help_panel=_SCORES,
        ),
    ] = None,
    translated: Annotated[
        bool,
        typer.Option(
            "--translated",
            help="SOURCE was migrated: it holds vectors that this translator has translated to the space of the "
            "queries. With --space source, this is TARGET.",
        ),
    ] = False,
    unique_ids: Annotated[
        bool,
        typer.Option(
            "--unique-ids",
            help="Rows of SOURCE and TARGET with the same id are the same text: print it once, with the vector of the "
            "query's model.",
        ),
    ] = False,
    allow_foreign: AllowForeign = False,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Search two collections of different models as one.

    Queries are translated and the databases are not changed. With SOURCE alone, queries of the new model search the
    vectors of the old model. With --translated, SOURCE is a migrated collection. Where a collection still has its
    texts, --rerank reads those of the rows found and ranks them by the new model.
    """
    _check_options(query, text, encoder, rerank)
    if rerank is None:
        check_effect({"--nominees": nominees, "--text-column": text_column}, "has no effect without --rerank.")
    elif scale is not None and scale is not space:
        raise InputError(f"--scale {scale} has no effect with --rerank, whose scores are those of the model itself.")
    if nominees is not None and nominees < k:
        raise InputError(f"--nominees is {nominees} and -k {k}; at least as many nominees as hits are needed.")
    from interlingua.core.translator import load
    from interlingua.encoders import encoder_title, open_encoder, with_task
    from interlingua.stores.joint import JointSearch
    from interlingua.stores.rerank import rerank as rank_again

    translator = load(directory)
    note_verdict(translator, directory)
    # Queries and texts of hits are embedded by one model, which is loaded once.
    queries: Any = None if query is None else read_vectors(query)
    name = rerank or encoder
    model = None if name is None else open_encoder(name, task="query")
    if model is not None and text:
        queries = model(text)
    given_by = f"--query {query}" if query is not None else f"The model of {'--rerank' if rerank else '--encoder'}"
    _check_width(queries, given_by, translator, space)
    found_each = k if rerank is None else max(k, nominees or _NOMINEES)
    if len(queries) * found_each > _MAX_HITS:
        raise InputError(
            f"{len(queries):,} queries with {found_each:,} hits each are {len(queries) * found_each:,} hits, which are "
            f"held in memory; {_MAX_HITS:,} are possible. Lower {'-k' if rerank is None else '--nominees'}, or search "
            "with parts of the queries."
        )
    encode = None if rerank is None or model is None else with_task(model, "document")
    inputs = input_files(source, target or "", query or "")
    with open_log(log, inputs) as record, console.show_progress("Searching", record=record, transient=True) as progress:
        # Some databases write to their files as soon as they are opened.
        first, second = open_rows(source), open_rows(target) if target else None
        try:
            joint = JointSearch(
                translator,
                first,
                second,
                query_space=space.value,
                sample=1_000 if calibrate else 0,
                scale=None if scale is None else scale.value,
                seed=seed,
                allow_foreign=allow_foreign,
                translated=translated,
                unique_ids=unique_ids,
            )
            found = joint.search(queries, found_each, payload=True, on_rows=progress.on_rows)
            results = found
            if encode is not None:
                results = rank_again(found, queries, encode, column=text_column or _COLUMN, k=k)
        finally:
            for store in (first, second):
                if store is not None:
                    store.close()
        record("done", queries=len(results), k=k, scale=joint.scale, calibration=joint.calibration)
    columns = _columns(results, show)
    reranker = None if rerank is None else encoder_title(rerank)
    notes = _explain(joint, translator, space, reranker, results, translated=translated)
    if rerank is not None:
        notes.insert(1, _count_texts(found, text_column or _COLUMN))
    notes += _note_same_ids(results)
    if as_json:
        hits = [[asdict(hit) for hit in row] for row in results]
        more = {"scale": joint.scale, "calibration": joint.calibration, "notes": notes}
        console.emit_json({"hits": hits, "k": k, "queries": len(results), **more})
        return
    sides = {
        str(store.url): _titled(translator, side)
        for store, side in zip((first, second), Space, strict=True)
        if store is not None
    }
    console.stdout().print(_table(results[:_QUERIES_SHOWN], sides, columns, translated=translated))
    if len(results) > _QUERIES_SHOWN:
        notes.insert(0, f"The table has the first {_QUERIES_SHOWN} of {len(results):,} queries; --json has all.")
    for line in notes:
        console.note(line)


def _check_options(query: str | None, text: Sequence[str] | None, encoder: str | None, rerank: str | None) -> None:
    """Refuse queries that are missing or given twice, and two models."""
    if (query is None) == (not text):
        raise InputError("Give the queries with --query FILE or with --text TEXT, and not with both.")
    if text and not (encoder or rerank):
        raise InputError("--text needs --encoder, the model of the query space.")
    if not text:
        check_effect({"--encoder": encoder}, "has no effect without --text.")
    elif not all(words.strip() for words in text):
        raise InputError("--text is empty; write the words to search for.")
    if encoder and rerank and encoder != rerank:
        raise InputError(
            "--encoder and --rerank are different models, whose scores cannot be ranked together. Leave one out."
        )


def _check_width(queries: Any, given_by: str, translator: Translator, space: Space) -> None:
    """Refuse queries whose width differs from that of their space, and say whether it is that of the other space.

    Args:
        queries: [q, d].
        given_by: the option that gives them, for the message.
        translator: between both spaces.
        space: the space that they have to be in.

    Raises:
        InputError: the widths differ.
    """
    widths = {Space.SOURCE: translator.d_source, Space.TARGET: translator.d_target}
    shape = np.shape(queries)
    width = shape[-1] if len(shape) == 2 else None  # noqa: PLR2004
    if width in {None, widths[space]}:
        return
    other = _other(space)
    hint = "Are they of another model?"
    if width == widths[other]:
        hint = f"That is the width of the {other} space; for queries of its model add --space {other}."
    raise InputError(f"{given_by} gives queries of width {width}, and the {space} space has {widths[space]}. {hint}")


def _columns(results: Sequence[Sequence[JointHit]], show: Sequence[str] | None) -> list[str]:
    """Return the columns to print.

    Raises:
        InputError: no hit has such a column.
    """
    there = {name for hits in results for hit in hits for name in hit.payload or ()}
    missing = [name for name in show or () if name not in there]
    if missing:
        raise InputError(
            f"--show: no hit has a column {missing[0]!r}; columns are {', '.join(sorted(there)) or 'none'}."
        )
    return list(show or ([_COLUMN] if _COLUMN in there else []))


def _table(
    results: Sequence[Sequence[JointHit]], sides: dict[str, str], columns: Sequence[str], *, translated: bool
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("query", "rank", "score"):
        table.add_column(heading, justify="right")
    for heading in ("id", "from", *columns):
        table.add_column(heading, overflow="fold")
    for number, hits in enumerate(results):
        for rank, hit in enumerate(hits, 1):
            side = sides.get(hit.store, hit.store)
            how = "migrated" if translated else "query translated"
            origin = f"{side}, {how}" if hit.translated else side
            origin += ", ranked again" if hit.reranked else ""
            values = [_short((hit.payload or {}).get(name)) for name in columns]
            table.add_row(str(number), str(rank), f"{hit.score:.3f}", str(hit.id), origin, *values)
    return table


def _given_name(translator: Translator, side: str) -> str:
    """Return the name that the fit gave a space of the translator, or an empty text if it gave none."""
    name = (translator.card.get(side) or {}).get("name")
    return "" if name in (None, side) else str(name)


def _titled(translator: Translator, side: Space) -> str:
    """Return a space of the translator, with the name that the fit gave it."""
    name = _given_name(translator, side)
    return f"{name} ({side})" if name else str(side)


def _short(value: Any) -> str:
    text = "" if value is None else " ".join(str(value).split())
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _explain(
    joint: JointSearch,
    translator: Translator,
    space: Space,
    reranker: str | None,
    results: Sequence[Sequence[JointHit]],
    *,
    translated: bool,
) -> list[str]:
    """Return sentences that say what the scores are."""
    name = _given_name(translator, joint.scale)
    of = f"{name} ({joint.scale} space)" if name else f"the {joint.scale} space"
    lines = [f"score: cosine with the query, on the scale of {of}."]
    if reranker is not None:
        lines[0] = f"score: cosine of the query with the text of the hit, both by {reranker}."
        if any(not hit.reranked for hits in results for hit in hits):
            lines.append("Hits without a text are not ranked again; their score is an estimate of the same cosine.")
    elif any(hit.translated for hits in results for hit in hits):
        how = {
            "translator": "converted by the calibration of the translator",
            "collections": "converted so that samples of both collections have equally high scores",
            "none": "not converted, and usually lower than that of a text embedded again",
        }[joint.calibration]
        lines.append(
            f"The {_other(space)} collection holds translated vectors; their cosine is {how}."
            if translated
            else f"Hits of the {_other(space)} collection were found by the translated query. Their score compares the "
            f"query itself with their translated vectors; this cosine is {how}."
        )
        if joint.calibration == "collections":
            single = (
                "leaves the cosine as it is"
                if translator.calibration is None
                else "uses the calibration of the translator"
            )
            lines.append(f"A search of that collection alone {single}, so the same hits have other scores there.")
    if reranker is None and joint.calibration == "none" and translator.calibration is None:
        lines.append("This translator has no calibration of scores; fit again, or add one with interlingua calibrate.")
    return lines


def _count_texts(found: Sequence[Sequence[JointHit]], column: str) -> str:
    """Return a sentence that says how many nominees were ranked by a text."""
    from interlingua.stores.rerank import text_of

    texts = sum(text_of(hit, column) is not None for hits in found for hit in hits)
    return f"{texts:,} of {sum(map(len, found)):,} nominees have a text in {column!r} and were ranked again."


def _note_same_ids(results: Sequence[Sequence[JointHit]]) -> list[str]:
    """Return advice where hits of two collections have the same ids."""
    both = 0
    for hits in results:
        own, other = ({str(hit.id) for hit in hits if hit.translated == of_other} for of_other in (False, True))
        both += len(own & other)
    if not both:
        return []
    if both == 1:
        return ["1 id is among the hits of both collections. If it is the same row, --unique-ids prints it once."]
    return [
        f"{both:,} ids are among the hits of both collections. If they are the same rows, --unique-ids prints each "
        "once."
    ]


def _other(space: Space) -> Space:
    return Space.SOURCE if space is Space.TARGET else Space.TARGET
