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
        "Those whose ids are among the selected rows of SOURCE join TARGET as known pairs; the others are not used. "
        "Keep some apart for `evaluate`.",
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
        of: number of ids that are on both sides.
        path: the file or collection.
        total: number of its rows.
        left_out: number of its rows whose id the source has, but whose vector cannot be used.
    """

    space: EmbeddingSpace
    pairs: IntArray
    source: _Mask
    of: int
    path: str
    total: int
    left_out: int

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
def open_reembedded(
    address: str | None, *, skip_bad: bool, beside: Sequence[inputs.Side]
) -> Iterator[inputs.Side | None]:
    """Open the rows that were embedded again, and close them at the end; None without any.

    Args:
        address: of ``--reembedded``.
        skip_bad: as `interlingua.cli.inputs.open_all` takes it.
        beside: the target, if it has vectors yet.

    Raises:
        InputError: they cannot be used, or their width differs from that of the target.
    """
    if address is None:
        yield None
        return
    side = inputs.open_all(address, (), columns=None, keys=None, scales=None, where=(None, None), skip_bad=skip_bad)[0]
    with inputs.closing_sides([side]):
        for target in beside:
            _check_width(str(side.path), side.d, target.d)
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
    left_out = int((~whole[1][found[:, 1]]).sum())
    return Paired(space, np.stack(numbers, axis=1), drawn, len(found), str(again.path), again.n, left_out)


def add_to_target(read: FitRows, paired: Paired | None) -> FitRows:
    """Return what a fit is given, with the rows that were embedded again as further rows of the target and as pairs.

    Raises:
        InputError: their width differs from that of the target.
    """
    from interlingua.core.spaces import EmbeddingSpace

    if paired is None:
        return read
    source, target = read.spaces
    again, bad = paired.space, paired.left_out
    _check_width(paired.path, again.d, target.d)
    ids = None if target.ids is None or again.ids is None else [*target.ids, *again.ids]
    joined = EmbeddingSpace(np.concatenate([target.vectors, again.vectors]), ids=ids, name=target.name)
    before = target.left_out or {"rows": 0, "of": target.n}
    if target.left_out is not None or bad:
        joined = joined.with_left_out(before["rows"] + bad, before["of"] + again.n + bad, before.get("first", ()))
    used = dict(read.used["target"])
    used |= {"rows": used["rows"] + again.n, "of": used["of"] + again.n + bad}
    if bad:
        without = used.get("left_out", {"rows": 0, "first": []})
        used["left_out"] = {**without, "rows": without["rows"] + bad}
    _note_added(paired)
    return replace(
        read,
        spaces=[source, joined],
        pairs=paired.pairs + np.array([0, target.n]),
        used={**read.used, "target": used, _OPTION: {"rows": again.n, "of": paired.total}},
    )


def _check_width(path: str, width: int, of_target: int) -> None:
    """Refuse rows that were embedded again by another model than the target.

    Raises:
        InputError: their width differs from that of the target.
    """
    if width != of_target:
        raise InputError(
            f"--reembedded {path} has width {width} and the target {of_target}; both must be of one model."
        )


def _note_added(paired: Paired) -> None:
    """Say how many rows that were embedded again are used, and why the others are not."""
    added, total = paired.space.n, paired.total
    count, why = f"{added:,}", ""
    if added < total:
        count = f"{added:,} of {total:,}"
        bad = " Rows without a vector that can be used are left out too." if paired.left_out else ""
        why = (
            ". The others are not used, because the fit reads no row of the source with the same id: the source has "
            f"none, or --where or --sample leaves it out.{bad}"
        )
    rows = f"{count} row of {paired.path} is" if total == 1 else f"{count} rows of {paired.path} are"
    console.note(f"target: {rows} added; each is a known pair{why}")
