"""``interlingua search``: queries of one model over collections of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from interlingua.cli import console
from interlingua.cli.addresses import read_vectors
from interlingua.cli.collections import open_rows
from interlingua.cli.eventlog import open_log
from interlingua.cli.fitted import note_verdict
from interlingua.cli.hits import (
    TEXT_COLUMN,
    Space,
    columns_of,
    count_texts,
    explain,
    hit_table,
    note_few_queries,
    note_missing_text,
    note_same_ids,
    other_space,
    sides_of,
)
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
    from interlingua.encoders import Encode

__all__ = ["search"]

_MODEL = "a sentence-transformers folder or name, or command:PROGRAM that reads lines and writes vectors"
_TEXTS, _SCORES = "Queries and hits as texts", "Scores"
_NOMINEES = 100
# Hits with the other columns of their rows that a command holds in memory.
_MAX_HITS = 500_000
# Queries in the table.
_QUERIES_SHOWN = 20


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
            help="A query as text, in place of --query; needs --encoder or --rerank; may be repeated.",
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
            help=f"With --rerank: the column of the texts; {TEXT_COLUMN} by default.",
            rich_help_panel=_TEXTS,
        ),
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help=f"A column to print with each hit; {TEXT_COLUMN} by default, if there is one; may be repeated. "
            "--json has all columns.",
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
            "query's model if both are hits.",
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
        raise InputError(
            f"--scale {scale} has no effect with --rerank, whose scores are those of the model itself; leave it out."
        )
    if nominees is not None and nominees < k:
        raise InputError(f"--nominees is {nominees} and -k {k}; at least as many nominees as hits are needed.")
    from interlingua._encoder_spaces import check_encoder
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
    plain = None
    if model is not None:
        queries, plain = _embed(model, text or (), queries, compared=not allow_foreign)
    given_by = f"--query {query}" if query is not None else f"The model of {'--rerank' if rerank else '--encoder'}"
    _check_width(queries, given_by, translator, space)
    if model is not None and plain is not None:
        check_encoder(
            model,
            translator,
            space.value,
            title=f"The model of {'--rerank' if rerank else '--encoder'}",
            variants=[with_task(model, "document")],
            vectors=plain,
        )
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
            native = first if space is Space.SOURCE else second
            if native is not None and native.is_migrated():
                console.note(
                    f"Warning: interlingua translated the vectors of {native.url}, as their mark says, and they are "
                    f"searched as if the {space.value} model had made them, so their scores are lower. A migrated "
                    "collection alone is searched with --translated."
                )
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
                results = rank_again(found, queries, encode, column=text_column or TEXT_COLUMN, k=k)
        finally:
            for store in (first, second):
                if store is not None:
                    store.close()
        record("done", queries=len(results), k=k, scale=joint.scale, calibration=joint.calibration)
    columns = columns_of(results, show)
    reranker = None if rerank is None else encoder_title(rerank)
    notes = explain(joint, translator, space, reranker, results, translated=translated)
    if rerank is not None:
        notes.insert(1, count_texts(found, text_column or TEXT_COLUMN))
    if show is None and not as_json:
        notes += note_missing_text(results)
    notes += note_same_ids(results)
    if query is not None and not allow_foreign:
        notes += note_few_queries(queries, translator, space, translated=translated)
    if as_json:
        hits = [[asdict(hit) for hit in row] for row in results]
        more = {"scale": joint.scale, "calibration": joint.calibration, "notes": notes}
        console.emit_json({"hits": hits, "k": k, "queries": len(results), **more})
        return
    sides = sides_of(joint, translator, space, (first, second), translated=translated)
    console.stdout().print(hit_table(results[:_QUERIES_SHOWN], sides, columns, translated=translated))
    if len(results) > _QUERIES_SHOWN:
        notes.insert(0, f"The table has the first {_QUERIES_SHOWN} of {len(results):,} queries; --json has all.")
    for line in notes:
        console.note(line)


def _check_options(query: str | None, text: Sequence[str] | None, encoder: str | None, rerank: str | None) -> None:
    """Refuse queries that are missing or given twice, and two models."""
    if query is None and not text:
        raise InputError("A search needs queries: give --query FILE, or --text TEXT with --encoder MODEL.")
    if query is not None and text:
        raise InputError("Queries were given both as --query and as --text. Leave one of them out.")
    if text and not (encoder or rerank):
        raise InputError("--text needs the model of the query space: add --encoder MODEL, or --rerank MODEL.")
    if not text:
        check_effect({"--encoder": encoder}, "has no effect without --text.")
    elif not all(words.strip() for words in text):
        raise InputError("--text is empty; write the words to search for.")
    if encoder and rerank and encoder != rerank:
        raise InputError(
            "--encoder and --rerank are different models, whose scores cannot be ranked together. Leave one out."
        )


def _embed(model: Encode, texts: Sequence[str], queries: Any, *, compared: bool) -> tuple[Any, Any]:
    """Return the queries, and the vectors of plain texts by which the model is compared with its space.

    Args:
        model: of the query space.
        texts: queries as texts.
        queries: their vectors if there are no texts.
        compared: whether the model is compared; otherwise there are no vectors of plain texts.
    """
    from interlingua._encoder_spaces import PLAIN_TEXTS

    # All in one call, because an encoder that is a program starts with every call.
    together = [*texts, *(PLAIN_TEXTS if compared else ())]
    if not together:
        return queries, None
    with console.working("Embedding"):
        made = model(together)
    return made[: len(texts)] if texts else queries, made[len(texts) :] if compared else None


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
    other = other_space(space)
    hint = "Are they of another model?"
    if width == widths[other]:
        hint = f"That is the width of the {other} space; for queries of its model add --space {other}."
    raise InputError(f"{given_by} gives queries of width {width}, and the {space} space has {widths[space]}. {hint}")
