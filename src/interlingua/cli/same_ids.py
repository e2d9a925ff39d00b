"""Known pairs of a fit from ids: rows of both sides that have the same id are the same text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.cli.collections import Collection, ids_as_text, missing_ids, repeated_id
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.wording import none_of

if TYPE_CHECKING:
    from interlingua.cli.inputs import Side
    from interlingua.core.arrays import IntArray

__all__ = ["draw_with_pairs", "find_same_ids", "read_ids"]

_BY_NUMBER = "Or name the pairs by row numbers with {pairs=FILE}."
_PAIR_BY_ID = "pair_by_id"
_Mask = npt.NDArray[np.bool_]


def find_same_ids(files: Sequence[Side], on_rows: OnRows, *, option: str = _PAIR_BY_ID) -> IntArray:
    """Return the pairs [p, 2] of row numbers of two sides whose ids are equal as text, in the order of the source.

    The ids of the side with fewer rows are held in memory.

    Args:
        files: source and target.
        on_rows: called with the phase, the rows of a side read so far and its number of rows, when a page of a store
            has been read.
        option: that asks for these pairs, for messages.

    Raises:
        InputError: a side has no ids, an id of a pair more than once, or no id is on both sides.
    """
    order = [0, 1] if files[0].n <= files[1].n else [1, 0]
    remedy = _BY_NUMBER if option == _PAIR_BY_ID else ""
    small, large = (files[i] for i in order)
    rows: dict[str, int] = {}
    repeated: set[str] = set()
    for row, key in enumerate(read_ids(small, on_rows=on_rows, remedy=remedy)):
        if key is None:
            continue
        if key in rows:
            repeated.add(key)
        rows[key] = row
    partners: dict[str, int] = {}
    for row, key in enumerate(read_ids(large, on_rows=on_rows, remedy=remedy)):
        if key is not None and key in rows:
            if key in repeated:
                raise repeated_id(small, key)
            if key in partners:
                raise repeated_id(large, key)
            partners[key] = row
    if not partners:
        in_both = "is also in", "is not in"
        raise InputError(
            f"{small.path}: {none_of(len(rows), 'id', *in_both)} {large.path}, so that there are no known pairs. "
            "?id=COLUMN in an address names the column that holds the ids.",
            f"Give sides with the same ids, or leave {{{option}}} out.",
        )
    pairs = np.array([(rows[key], row) for key, row in partners.items()], np.int64)[:, order]
    return pairs[np.argsort(pairs[:, 0])]


def draw_with_pairs(
    pairs: IntArray, usable: Sequence[_Mask], rows: Sequence[int | None], seed: int, *, option: str = _PAIR_BY_ID
) -> tuple[_Mask, _Mask]:
    """Return which rows of source and target to read: those of the pairs, and further rows drawn at random.

    Args:
        pairs: [p, 2] row numbers.
        usable: for each side, whether a row can be used.
        rows: for each side, most rows to read; None for all.
        seed: random seed of the draw.
        option: as of `find_same_ids`.

    Raises:
        InputError: no pair has two rows that can be used.
    """
    rng = np.random.default_rng(seed)
    pairs = pairs[usable[0][pairs[:, 0]] & usable[1][pairs[:, 1]]]
    if not len(pairs):
        raise InputError(
            "Each row whose id is on both sides has no vector that can be used on one of them, so that no known pair "
            "is left.",
            f"Leave {{{option}}} out.",
        )
    most = min([len(pairs), *(limit for limit in rows if limit is not None)])
    pairs = pairs[np.sort(rng.choice(len(pairs), most, replace=False))]
    masks = []
    for side, limit, column in zip(usable, rows, pairs.T, strict=True):
        mask = np.zeros(len(side), bool)
        mask[column] = True
        others = np.flatnonzero(side & ~mask)
        count = len(others) if limit is None else min(limit - len(column), len(others))
        mask[rng.choice(others, count, replace=False)] = True
        masks.append(mask)
    return masks[0], masks[1]


def read_ids(
    side: Side,
    drawn: IntArray | None = None,
    on_rows: OnRows | None = None,
    *,
    remedy: str = "",
) -> Iterator[str | None]:
    """Yield the ids of rows as text, None for a row without one, in the order in which rows are read.

    Args:
        side: a file or collection.
        drawn: row numbers in ascending order; None for all.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page of a store has been
            read.
        remedy: as for `missing_ids`.

    Raises:
        InputError: the side has no ids.
    """
    from interlingua.core.records import report_rows, select_rows

    if not isinstance(side, Collection):
        ids: Any = side.ids()
        if ids is None:
            raise missing_ids(side.path, remedy)
        yield from ids_as_text(ids if drawn is None else ids.take(drawn))
        return
    pages = report_rows(side.batches(), side.n, on_rows, "reading ids")
    for page in pages if drawn is None else select_rows(pages, drawn):
        if page.ids is None:
            raise missing_ids(side.path, remedy)
        yield from ids_as_text(page.ids)
