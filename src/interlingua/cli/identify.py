"""``interlingua identify``: guess which known model produced a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich import box
from rich.table import Table

from interlingua.cli import console, inputs
from interlingua.cli.collections import Collection
from interlingua.cli.eventlog import open_log
from interlingua.cli.options import AsJson, Log, SampleRows, Seed, Where
from interlingua.cli.samples import read_usable_sample
from interlingua.core.wording import count_of
from interlingua.stores import input_files
from interlingua.stores.registry import address_forms

if TYPE_CHECKING:
    from interlingua.core.arrays import FloatArray
    from interlingua.identification import Mixture

__all__ = ["identify"]

# What `Identification.grid` says of the values, whatever the type of their column is.
_GRIDS = {
    "float32": "with values that need float32",
    "float16": "with values that float16 holds exactly",
    "int8": "with values that were quantized to 8 bits",
}

_SHOWN_IDS = 10


def identify(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help=f"The vectors: {address_forms()}.")],
    rows: SampleRows = 5_000,
    where: Where = None,
    seed: Seed = 0,
    log: Log = None,
    as_json: AsJson = False,
) -> None:
    """Guess which model produced these vectors.

    Compares width, lengths, mean direction and the variance of each coordinate with stored profiles of known models.
    The answer may be "unknown". It is always unknown for vectors that were rotated or centered. A collection that holds
    vectors of two models of the same width is noticed, and the rows of the smaller part are named by their ids. Rows
    whose vector cannot be used are left out and counted.
    """
    from interlingua import identification
    from interlingua._plan import check_enough
    from interlingua._routes import MIGRATED_NOTE, REDUCED_NOTE, public_pairs_command
    from interlingua._texts_in_part import row_options

    with open_log(log, input_files(source)) as record:
        collection = Collection(source, where, skip_bad=True)
        with (
            inputs.closing_sides([collection]),
            console.show_progress("Reading", record=record, transient=True) as reading,
        ):
            space, usable = read_usable_sample(collection, rows=rows, seed=seed, on_rows=reading.on_rows)
            is_migrated = collection.is_migrated()
        vectors, ids = space.vectors, list(space.ids or ())
        check_enough(collection.path, len(vectors), read=len(usable.rows), count=collection.n, nulls=collection.nulls)
        record("read", rows=len(vectors), of=collection.n, left_out=usable.count)
        with console.working("Comparing with known models", record):
            result = identification.identify(vectors)
            mixture = identification.find_mixture(vectors, seed=seed)
            reduced = identification.looks_reduced(vectors)
        record("done", model=result.model, mixed_share=0.0 if mixture is None else round(mixture.share, 4))
    parts = None if mixture is None else _describe(mixture, vectors, ids)
    known = parts is None and result.model != identification.UNKNOWN and not is_migrated
    chosen = row_options(where) + (" --skip-bad" if usable.count else "")
    command = public_pairs_command(source, result.model, rows=chosen) if known else None
    if as_json:
        left_out = {"left_out": usable.to_dict()} if usable.count else {}
        facts = {"migrated": is_migrated, "reduced": reduced, "mixture": parts, "command": command}
        console.emit_json(asdict(result) | left_out | facts)
        return
    if usable.count:
        rest = f"of {len(usable.rows):,} that were read, without a vector that can be used"
        console.note(f"Left out: {count_of(usable.count)} {rest}.")
    out = console.stdout()
    if parts is not None:
        shown = ", ".join(map(str, parts["ids"][:_SHOWN_IDS]))
        unseen = collection.n - len(usable.rows)
        all_rows = f"--rows {collection.n} reads all rows, into memory."
        others = "other row was" if unseen == 1 else f"other {unseen:,} rows were"
        rest = f" The {others} not looked at. {all_rows}" if unseen else ""
        more = " and more, which --json lists" if parts["rows"] > _SHOWN_IDS else ""
        out.print(
            f"These are probably vectors of two models: about {parts['rows']:,} of the {len(vectors):,} rows that were "
            f"looked at ({parts['share']:.0%}) are not of the model of the others. Model of these rows: "
            f"{parts['model']}; of the others: {parts['others']}. Ids of these rows, the surest first: {shown}{more}."
            f"{rest}",
            soft_wrap=True,
        )
    else:
        out.print(f"{result.model}: {result.reason}", soft_wrap=True)
    if is_migrated:
        out.print(MIGRATED_NOTE, soft_wrap=True)
    if reduced and parts is None:
        out.print(REDUCED_NOTE, soft_wrap=True)
    out.print(
        f"{count_of(result.rows)}, width {result.d}, {'unit' if result.unit else 'varied'} length, "
        f"{_GRIDS[result.grid]}"
    )
    if result.candidates:
        if parts is not None:
            out.print("Compared with known models as if all rows were of one model:")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("model")
        for heading in ("score", "mean", "spread", "spectrum"):
            table.add_column(heading, justify="right")
        for candidate in result.candidates:
            marks = (f"{candidate.similarities[mark]:.2f}" for mark in ("mean", "spread", "spectrum"))
            table.add_row(candidate.name, f"{candidate.score:.2f}", *marks)
        out.print(table)
        out.print("1 is a perfect match. The score is the average of the columns mean and spread.")
    if command is not None:
        out.print(
            "If you can run this model, you need no vectors of similar texts. Fit on public texts under both models:"
        )
        out.print(f"  {command}", soft_wrap=True)


def _describe(mixture: Mixture, vectors: FloatArray, ids: list[Any]) -> dict[str, Any]:
    """Return what is known of the smaller part of a mixture, as plain values."""
    from interlingua import identification

    smaller = np.zeros(len(vectors), bool)
    smaller[mixture.rows] = True
    names = [
        identification.identify(part).model if len(part) >= identification.MIN_ROWS else identification.UNKNOWN
        for part in (vectors[smaller], vectors[~smaller])
    ]
    return {
        "rows": len(mixture.rows),
        "share": round(mixture.share, 4),
        "model": names[0],
        "others": names[1],
        "ids": [ids[row] for row in mixture.surest.tolist()],
    }
