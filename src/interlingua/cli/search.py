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
from interlingua.cli.options import FORMATS, AsJson, Seed
from interlingua.stores.registry import address_forms


class Space(StrEnum):
    """A side of the translator."""

    SOURCE = "source"
    TARGET = "target"


def search(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A translator's folder, as `fit` wrote it.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"Vectors of its source space: {address_forms()}.")],
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="Vectors of its target space, if any.")] = None,
    query: Annotated[Path, typer.Option(metavar="FILE", help=f"Query vectors: {FORMATS}.")] = ...,  # type: ignore[assignment]
    space: Annotated[Space, typer.Option(help="What the queries are vectors of.")] = Space.TARGET,
    k: Annotated[int, typer.Option("-k", min=1, help="Hits of each query.")] = 10,
    calibrate: Annotated[
        bool, typer.Option("--calibrate/--no-calibrate", help="Bring scores of both collections to one scale.")
    ] = True,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Search two collections of different models as one.

    The query is translated, the databases stay as they are. With one collection this is the query-side bridge: a
    query of the new model over the vectors of the old one.
    """
    from interlingua.core.translator import load
    from interlingua.io import open_vectors
    from interlingua.stores import open_store
    from interlingua.stores.joint import JointSearch

    translator, queries = load(directory), open_vectors(query).vectors()
    here, there = open_store(source), open_store(target) if target else None
    try:
        joint = JointSearch(
            translator, here, there, query_space=space.value, sample=1_000 if calibrate else 0, seed=seed
        )
        found = joint.search(queries, k)
    finally:
        for store in (here, there):
            if store is not None:
                store.close()
    if as_json:
        console.emit_json({"hits": [[asdict(hit) for hit in hits] for hits in found], "k": k, "queries": len(found)})
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("query", "rank", "score"):
        table.add_column(heading, justify="right")
    for heading in ("id", "from"):
        table.add_column(heading, overflow="fold")
    for number, hits in enumerate(found):
        for rank, hit in enumerate(hits, 1):
            origin = f"{hit.store}, translated" if hit.translated else hit.store
            table.add_row(str(number), str(rank), f"{hit.score:.3f}", str(hit.id), origin)
    console.stdout().print(table)
