"""Rows of the source that the model of the target embedded again: further rows of the target, and known pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from interlingua.cli import console, inputs
from interlingua.cli.known_pairs import KNOWN
from interlingua.cli.options import check_effect
from interlingua.cli.same_ids import draw_with_pairs, find_same_ids
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.cli.fit_rows import FitRows
    from interlingua.core.arrays import IntArray
    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["Paired", "Reembedded", "add_to_target", "check_reembedded", "open_reembedded", "read_reembedded"]

_OPTION = "reembedded"
_Mask = npt.NDArray[np.bool_]
Reembedded = Annotated[
    str | None,
    typer.Option(
        "--reembedded",
        metavar="ROWS",
        help="Rows of SOURCE that the model of TARGET embedded again, under their old ids: a file with ids or a store. "
        "They join the rows of TARGET, and those whose ids SOURCE has are known pairs. Keep some apart for `evaluate`.",
        rich_help_panel=KNOWN,
    ),
]


@dataclass(frozen=True, eq=False)
class Paired:
    """Rows that were embedded again, and their partners.

    Attributes:
        space: their vectors by the model of the target.
        pairs: [p, 2] numbers of the rows that are read of the source, and of these rows.
        source: [n_source], which rows of the source are read.
        of: number of ids on both sides.
        path: the file or collection.
    """

    space: EmbeddingSpace
    pairs: IntArray
    source: _Mask
    of: int
    path: str

    @property
    def used(self) -> dict[str, Any]:
        """How many pairs are used, of how many."""
        return {"rows": len(self.pairs), "of": self.of, "by_id": True}


def check_reembedded(address: str | None, others: Mapping[str, object]) -> None:
    """Refuse options that cannot be combined with rows that were embedded again.

    Args:
        address: of ``--reembedded``.
        others: these options.

    Raises:
        InputError: one is given.
    """
    if address is not None:
        check_effect(others, "cannot be combined with --reembedded; leave one of them out.")


@contextmanager
def open_reembedded(address: str | None, *, skip_bad: bool) -> Iterator[inputs.Side | None]:
    """Open the rows that were embedded again, and close them at the end; None without any.

    Raises:
        InputError: they cannot be used.
    """
    if address is None:
        yield None
        return
    side = inputs.open_all(address, (), columns=None, keys=None, scales=None, where=(None, None), skip_bad=skip_bad)[0]
    with inputs.closing_sides([side]):
        yield side


def read_reembedded(
    source: inputs.Side,
    again: inputs.Side,
    usable: Sequence[_Mask | None],
    *,
    rows: int | None,
    seed: int,
    with_ids: bool,
    on_rows: OnRows,
) -> Paired:
    """Find the rows of the source that were embedded again, and read their new vectors.

    Args:
        source: the source.
        again: the rows that were embedded again.
        usable: for each of both, which rows have a vector that can be used; None for all.
        rows: most rows of the source to read; None for all. Those that were embedded again come first.
        seed: random seed of the draw.
        with_ids: also read what names rows in reports.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.

    Raises:
        InputError: a side has no ids, no id is on both sides, or no pair can be used.
    """
    found = find_same_ids((source, again), on_rows, option=_OPTION)
    whole = [
        np.ones(side.n, bool) if mask is None else mask for side, mask in zip((source, again), usable, strict=True)
    ]
    drawn, _ = draw_with_pairs(found, whole, (rows, None), seed, option=_OPTION)
    pairs = found[drawn[found[:, 0]] & whole[1][found[:, 1]]]
    kept = np.zeros(again.n, bool)
    kept[pairs[:, 1]] = True
    numbers = [np.cumsum(mask)[column] - 1 for mask, column in zip((drawn, kept), pairs.T, strict=True)]
    space = inputs.read_space(again, usable=kept, with_ids=with_ids, on_rows=on_rows)
    return Paired(space, np.stack(numbers, axis=1), drawn, len(found), str(again.path))


def add_to_target(read: FitRows, paired: Paired | None) -> FitRows:
    """Return what a fit is given, with the rows that were embedded again as further rows of the target and as pairs.

    Raises:
        InputError: their width differs from that of the target.
    """
    from interlingua.core.spaces import EmbeddingSpace

    if paired is None:
        return read
    source, target = read.spaces
    again = paired.space
    if again.d != target.d:
        raise InputError(
            f"--reembedded {paired.path} has width {again.d} and the target {target.d}; both must be of one model."
        )
    ids = None if target.ids is None or again.ids is None else [*target.ids, *again.ids]
    joined = EmbeddingSpace(np.concatenate([target.vectors, again.vectors]), ids=ids, name=target.name)
    if target.left_out is not None:
        joined = joined.with_left_out(
            target.left_out["rows"], target.left_out["of"] + again.n, target.left_out.get("first", ())
        )
    console.note(f"target: {again.n:,} rows of {paired.path} are added; each is a known pair")
    return replace(read, spaces=[source, joined], pairs=paired.pairs + np.array([0, target.n]))
