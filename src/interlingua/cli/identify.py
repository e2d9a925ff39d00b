"""``interlingua identify``: which known model made a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from interlingua.cli import console
from interlingua.cli.options import AsJson, Seed
from interlingua.stores.registry import address_forms


def identify(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"The vectors: {address_forms()}.")],
    rows: Annotated[int, typer.Option(min=50, help="Rows to look at.")] = 5_000,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Guess which model made these vectors.

    From the vectors alone: width, lengths, mean direction and how much each coordinate varies, beside profiles of
    models measured before. The answer may be unknown; vectors that were rotated or centered always are.
    """
    from interlingua import identification
    from interlingua.stores import open_source
    from interlingua.stores.sampling import sample_rows

    with open_source(source) as store:
        found = identification.identify(sample_rows(store, rows, seed))
    if as_json:
        console.emit_json(asdict(found))
        return
    out = console.stdout()
    out.print(f"{found.model}: {found.reason}", soft_wrap=True)
    out.print(f"{found.rows:,} rows, width {found.d}, {'unit' if found.unit else 'varied'} length, {found.grid} values")
    if found.candidates:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("model")
        for heading in ("score", "mean", "spread", "spectrum"):
            table.add_column(heading, justify="right")
        for candidate in found.candidates:
            marks = (f"{candidate.marks[mark]:.2f}" for mark in ("mean", "spread", "spectrum"))
            table.add_row(candidate.name, f"{candidate.score:.2f}", *marks)
        out.print(table)
