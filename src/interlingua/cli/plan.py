"""``interlingua plan``: look at a collection and say what to do with it."""

from __future__ import annotations

from typing import Annotated

import typer

from interlingua.cli import console
from interlingua.cli.eventlog import open_log
from interlingua.cli.options import AsJson, Log, SampleRows, Seed, TargetWhere, Where
from interlingua.core.wording import count_of, duration_of, rough_size_of
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

    Prints what it holds, whether it holds vectors of two models, which way to the new model fits, the next commands,
    and what a fit costs on this machine. Nothing is written.
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
    out = console.stdout()
    nulls = f", {result.nulls:,} more without a vector" if result.nulls else ""
    share = "under 1 %" if result.repeats < 0.01 else f"{result.repeats:.0%}"
    repeats = f", {share} of them copies" if result.repeats else ""
    out.print(f"{result.source}: {count_of(result.rows)} of width {result.d}{nulls}{repeats}", soft_wrap=True)
    model = "probably two" if result.mixed_share else result.model
    out.print(f"model: {model}; route: {result.route}")
    for sentence in result.reasons:
        out.print(f"- {sentence}", soft_wrap=True)
    if result.needed_rows:
        out.print(f"rows needed under the new model: {result.needed_rows:,}")
    if result.expected_top1 is not None:
        low, high = result.expected_top1
        out.print(f"top-1 in recorded fits of this size: {low:.2f} to {high:.2f}")
    costs = result.costs
    if costs is not None:
        disk = "" if costs.disk_bytes is None else f", {rough_size_of(costs.disk_bytes)} of new vectors"
        failed = duration_of(costs.failed_fit_seconds)
        if costs.failed_views_fit_seconds > costs.failed_fit_seconds:
            failed = f"{failed}, or {duration_of(costs.failed_views_fit_seconds)} with views,"
        fit = (
            f"{duration_of(costs.fit_seconds)} and {rough_size_of(costs.fit_bytes)} of memory for an unpaired fit "
            f"({failed} if it finds no map)"
        )
        if result.route == "public pairs":
            fit = f"{duration_of(costs.paired_fit_seconds)} for a fit on pairs once the texts are embedded, {fit}"
        moved = f"{duration_of(costs.migrate_seconds)} to translate and write every row{disk}"
        out.print(f"about {fit}, {moved}", soft_wrap=True)
    for command in result.commands:
        out.print(f"  {command}", soft_wrap=True)
