"""``interlingua plan``: look at a collection and say what to do with it."""

from __future__ import annotations

from typing import Annotated

import typer

from interlingua.cli import console
from interlingua.cli.eventlog import open_log
from interlingua.cli.options import AsJson, Log, SampleRows, Seed, TargetWhere, Where
from interlingua.stores import input_files
from interlingua.stores.registry import address_forms

__all__ = ["plan"]


def plan(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"The collection: {address_forms()}.")],
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="Vectors of the new model, if there are some.")
    ] = None,
    rows: SampleRows = 5_000,
    where: Where = None,
    target_where: TargetWhere = None,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Look at a collection and say what to do with it.

    Prints what it holds, whether it holds vectors of two models, which route to the new model to take, the next
    commands, and what a fit costs on this machine. Nothing is written.
    """
    from interlingua._plan import plan as make_plan

    with (
        open_log(log, input_files(source, target or "")) as record,
        console.show_progress("Reading", record=record, transient=True) as reading,
    ):
        result = make_plan(
            source, target, rows=rows, where=where, target_where=target_where, seed=seed, on_rows=reading.on_rows
        )
        record("done", rows=result.rows, route=result.route)
    if as_json:
        console.emit_json(result.to_dict())
        return
    console.stdout().print(result.summary(), soft_wrap=True, markup=False)
