"""``interlingua identify``: guess which known model produced a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from interlingua.cli import console
from interlingua.cli.options import AsJson, Seed
from interlingua.stores.registry import address_forms

__all__ = ["identify"]


def identify(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"The vectors: {address_forms()}.")],
    rows: Annotated[int, typer.Option(metavar="N", min=50, help="Size of the sample of rows.")] = 5_000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Guess which model produced these vectors.

    Compares width, lengths, mean direction and the variance of each coordinate with stored profiles of known models.
    The answer may be "unknown". It is always unknown for vectors that were rotated or centered.
    """
    from interlingua import identification
    from interlingua.stores import open_source
    from interlingua.stores.sampling import sample_rows

    with open_source(source) as store:
        result = identification.identify(sample_rows(store, rows, seed))
    if as_json:
        console.emit_json(asdict(result))
        return
    out = console.stdout()
    out.print(f"{result.model}: {result.reason}", soft_wrap=True)
    out.print(
        f"{result.rows:,} rows, width {result.d}, {'unit' if result.unit else 'varied'} length, {result.grid} values"
    )
    if result.candidates:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("model")
        for heading in ("score", "mean", "spread", "spectrum"):
            table.add_column(heading, justify="right")
        for candidate in result.candidates:
            marks = (f"{candidate.similarities[mark]:.2f}" for mark in ("mean", "spread", "spectrum"))
            table.add_row(candidate.name, f"{candidate.score:.2f}", *marks)
        out.print(table)
        out.print("1 is a perfect match. The score is the average of the columns mean and spread.")
