"""``interlingua search``: queries of one model over collections of two."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from interlingua.cli import console
from interlingua.cli.options import FORMATS, AllowForeign, AsJson, Seed, TranslatorFolder
from interlingua.stores.registry import address_forms

__all__ = ["Space", "search"]


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
    query: Annotated[Path, typer.Option(metavar="FILE", help=f"Query vectors: {FORMATS}.")] = ...,  # type: ignore[assignment]
    space: Annotated[Space, typer.Option(help="The space of the queries.")] = Space.TARGET,
    k: Annotated[int, typer.Option("-k", metavar="N", min=1, help="Hits per query.")] = 10,
    calibrate: Annotated[
        bool, typer.Option("--calibrate/--no-calibrate", help="Convert the scores of both collections to one scale.")
    ] = True,
    allow_foreign: AllowForeign = False,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Search two collections of different models as one.

    Queries are translated and the databases are not changed. With SOURCE alone, queries of the new model search the
    vectors of the old model.
    """
    from interlingua.core.translator import load
    from interlingua.io import open_vectors
    from interlingua.stores import open_source
    from interlingua.stores.joint import JointSearch

    translator, queries = load(directory), open_vectors(query).vectors()
    # Some databases write to their files as soon as they are opened.
    first, second = open_source(source), open_source(target) if target else None
    try:
        with console.working("Searching"):
            joint = JointSearch(
                translator,
                first,
                second,
                query_space=space.value,
                sample=1_000 if calibrate else 0,
                seed=seed,
                allow_foreign=allow_foreign,
            )
            results = joint.search(queries, k)
    finally:
        for store in (first, second):
            if store is not None:
                store.close()
    if as_json:
        console.emit_json(
            {"hits": [[asdict(hit) for hit in hits] for hits in results], "k": k, "queries": len(results)}
        )
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("query", "rank", "score"):
        table.add_column(heading, justify="right")
    for heading in ("id", "from"):
        table.add_column(heading, overflow="fold")
    sides = {str(store.url): side for store, side in zip((first, second), Space, strict=True) if store is not None}
    for number, hits in enumerate(results):
        for rank, hit in enumerate(hits, 1):
            side = str(sides.get(hit.store, hit.store))
            origin = f"{side}, query translated" if hit.translated else side
            table.add_row(str(number), str(rank), f"{hit.score:.3f}", str(hit.id), origin)
    console.stdout().print(table)
