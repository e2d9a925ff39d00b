"""The rows that ``interlingua fit`` reads of files and collections, with labels, views and pairs in step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.aligners.usable import FIRST_ROWS, none_usable, renumber_pairs
from interlingua.cli import console, inputs
from interlingua.cli.collections import Collection, check_same_order, read_same_ids
from interlingua.cli.reembedded import Paired, read_reembedded
from interlingua.cli.row_texts import find_texts, read_row_texts
from interlingua.cli.same_ids import draw_with_pairs, find_same_ids, read_ids
from interlingua.cli.views import View, find_usable_view, read_views
from interlingua.core.arrays import usable_rows
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.core.wording import count_of
from interlingua.io import VectorFile
from interlingua.io._checks import FILL_ONE

if TYPE_CHECKING:
    from interlingua.core.arrays import IntArray
    from interlingua.core.spaces import EmbeddingSpace

__all__ = [
    "FitRows",
    "Usable",
    "counts_of",
    "find_usable",
    "fit_title",
    "note_left_out",
    "note_rows",
    "read_fit_rows",
    "read_pairs_of_rows",
    "row_word",
]


@dataclass(frozen=True, eq=False)
class Usable:
    """Which rows of a side can be used.

    Attributes:
        rows: [n], whether a row can be used.
        first: of those that cannot, the first: row numbers of a file, ids of a collection. Empty for a file with lines
            that cannot be read, because its rows are counted without them.
        lines: lines that cannot be read, by their ids or as ``"line 7"``.
    """

    rows: npt.NDArray[np.bool_]
    first: tuple[Any, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of rows and lines that are left out."""
        return len(self.rows) - int(self.rows.sum()) + len(self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the number of rows and the first of them, for JSON."""
        lines = {"lines": list(self.lines[:FIRST_ROWS])} if self.lines else {}
        return {"rows": self.count, "first": list(self.first), **lines}


@dataclass(frozen=True, eq=False)
class FitRows:
    """What a fit is given.

    Attributes:
        spaces: the source and each target.
        used: for each side by its name, how many rows are used, of how many, and which were left out; and the same for
            pairs of which some name rows that were left out.
        pairs: known pairs by the numbers of the rows that are used, or None.
        labels: the category of each row of both sides, or None.
        views: vectors of the target rows by further models, or None.
        texts: the texts of the target rows, where they were asked for.
        again: rows of the source that the model of the target embedded again, which are not rows of the target yet.
    """

    spaces: list[EmbeddingSpace]
    used: dict[str, dict[str, Any]]
    pairs: IntArray | None
    labels: list[list[Any]] | None
    views: dict[str, EmbeddingSpace] | None
    texts: list[str] | None = None
    again: Paired | None = None


def read_fit_rows(
    files: Sequence[inputs.Side],
    opened_views: Sequence[View],
    *,
    rows: Sequence[int | None],
    seed: int,
    show: Sequence[str | None],
    names: Sequence[str | None],
    labels: Sequence[str] | None,
    pairs: IntArray | None,
    pair_by_id: bool = False,
    reembedded: inputs.Side | None = None,
    with_ids: bool,
    skip_bad: bool,
    on_rows: OnRows,
    text_column: str | None = None,
) -> FitRows:
    """Read the rows of a source and its targets.

    Args:
        files: the source and each target; the source alone where the vectors of the target are made later.
        opened_views: vectors of the rows of the only target by further models.
        rows: number of rows to draw of each file; None for all.
        seed: random seed of the draws.
        show: a column of each file whose values are added to the ids.
        names: of the spaces.
        labels: the column of both files that holds categories, or None.
        pairs: known pairs by row numbers of whole files, or None.
        pair_by_id: take rows of both sides with the same id as known pairs. All of them are read, up to the number of
            rows to draw, before others are drawn.
        reembedded: rows of the source that the model of the target embedded again, or None. Their partners in the
            source are read before others are drawn.
        with_ids: also read what names rows in reports.
        skip_bad: leave out rows whose vector, or that of a view, cannot be used, and rows without a text.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.
        text_column: the column of the only target whose texts are read too, or None.

    Raises:
        InputError: rows that cannot be used, no such column, or no rows that are left.
    """
    usable = _find_all(files, opened_views, text_column, on_rows) if skip_bad else None
    kept: list[npt.NDArray[np.bool_] | None] = [None if usable is None else usable[i].rows for i in range(len(files))]
    known, again = pairs, None
    if reembedded is not None:
        of_again = find_usable(reembedded, on_rows).rows if skip_bad else None
        drawn_first: dict[str, Any] = {"rows": rows[0], "seed": seed, "with_ids": with_ids, "on_rows": on_rows}
        again = read_reembedded(files[0], reembedded, (kept[0], of_again), **drawn_first)
        kept, rows = [again.source, *kept[1:]], [None, *rows[1:]]
    elif pair_by_id:
        pairs = find_same_ids(files, on_rows)
        whole = [np.ones(file.n, bool) if mask is None else mask for file, mask in zip(files, kept, strict=True)]
        masks = draw_with_pairs(pairs, whole, rows, seed)
        known, kept, rows = renumber_pairs(pairs, *masks), [*masks], [None] * len(files)
    elif pairs is not None and usable is not None:
        known = _renumber(files, pairs, usable)
    categories = None
    if labels is not None:
        categories = [
            inputs.read_categories(file, column, rows=limit, seed=seed, usable=mask)
            for file, column, limit, mask in zip(files, labels, rows, kept, strict=True)
        ]
    spaces = [
        inputs.read_space(
            file, rows=limit, seed=seed, usable=mask, with_ids=with_ids, show=column, name=name, on_rows=on_rows
        )
        for file, limit, mask, column, name in zip(files, rows, kept, show, names, strict=True)
    ]
    views, texts = None, None
    if len(files) > 1:
        drawn: dict[str, Any] = {"rows": rows[1], "seed": seed, "usable": kept[1], "on_rows": on_rows}
        views = read_views(opened_views, files[1], **drawn)
        texts = None if text_column is None else read_row_texts(files[1], text_column, **drawn)
    sides = inputs.side_names(files)
    used: dict[str, dict[str, Any]] = {
        side: {"rows": space.n, "of": file.n} for side, space, file in zip(sides, spaces, files, strict=True)
    }
    for number, each in enumerate(usable or ()):
        if each.count:
            of = len(each.rows) + len(each.lines)
            numbers = each.first if not isinstance(files[number], Collection) else ()
            spaces[number] = spaces[number].with_left_out(each.count, of, numbers)
            used[sides[number]] |= {"of": of, "left_out": each.to_dict()}
    if pairs is not None and known is not None and (pair_by_id or len(known) < len(pairs)):
        used["pairs"] = {"rows": len(known), "of": len(pairs), **({"by_id": True} if pair_by_id else {})}
    if again is not None:
        used["pairs"] = again.used
    return FitRows(spaces, used, known, categories, views, texts, again)


def fit_title(source: EmbeddingSpace, target: EmbeddingSpace) -> str:
    """Return what a fit of two spaces does, for the display of its progress."""
    return f"Aligning {source.n:,} x {source.d} with {target.n:,} x {target.d}"


def counts_of(used: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return what was used of each side as numbers alone, for a log, which holds no ids."""
    return {
        side: {name: value["rows"] if name == "left_out" else value for name, value in counts.items()}
        for side, counts in used.items()
    }


def note_rows(used: Mapping[str, Mapping[str, Any]], files: Mapping[str, inputs.Side]) -> None:
    """Say which rows of each side were drawn and which were left out."""
    for side, counts in used.items():
        if side not in files:
            unused = counts["of"] - counts["rows"]
            if counts.get("by_id"):
                not_used = f", of which {counts['rows']:,} are used; the others are left out or not drawn"
                be = "is" if counts["of"] == 1 else "are"
                console.note(f"{side}: {count_of(counts['of'], 'id')} {be} on both sides{not_used if unused else ''}")
            else:
                what = "names a row that is left out, and is" if unused == 1 else "name a row that is left out, and are"
                console.note(f"{side}: {unused:,} of {counts['of']:,} {what} not used")
            continue
        left_out = counts.get("left_out")
        if left_out is not None:
            note_left_out(left_out, side, row_word([files[side]]), of=counts["of"])
        elsewhere = 0 if left_out is None else left_out["rows"]
        if counts["rows"] < counts["of"] - elsewhere:
            console.note(f"{side}: {counts['rows']:,} of {counts['of'] - elsewhere:,} rows, drawn at random")
        file = files[side]
        if isinstance(file, Collection) and file.nulls:
            console.note(f"{side}: {_more_without_vector(file.nulls)}")


def row_word(files: Sequence[inputs.Side]) -> str:
    """Return what rows are named by: the ids of a collection, or the numbers of the rows of files."""
    return "id" if any(isinstance(file, Collection) for file in files) else "row"


def _more_without_vector(count: int) -> str:
    """Return the part of a sentence that counts the rows that a store holds without a vector."""
    verbs = ("row has", "is") if count == 1 else ("rows have", "are")
    return f"{count:,} more {verbs[0]} no vector and {verbs[1]} left out"


def find_usable(file: inputs.Side, on_rows: OnRows | None = None) -> Usable:
    """Read a file or collection once and return which of its rows have a vector that can be used.

    Raises:
        InputError: it cannot be read, or none of its rows has one.
    """
    masks, first, done = [], list[Any](), 0
    lines: tuple[str, ...] = ()
    if isinstance(file, Collection):
        pages = file.batches()
    else:
        # Other columns of a file are not needed.
        pages, lines = (Records(None, block) for block in file.vector_blocks()), tuple(map(str, file.skipped))
    for page in pages:
        own = usable_rows(page.vectors)
        masks.append(own)
        for row in np.flatnonzero(~own)[: FIRST_ROWS - len(first)].tolist():
            first.append(done + row if page.ids is None else page.ids[row].as_py())
        done += len(own)
        if on_rows is not None:
            on_rows("checking", done, file.n)
    found = Usable(np.concatenate(masks) if masks else np.zeros(0, bool), () if lines else tuple(first), lines)
    if not found.rows.any():
        raise InputError(f"{file.path}: {none_usable(len(found.rows))}. {FILL_ONE}")
    return found


def read_pairs_of_rows(
    files: Sequence[inputs.Side],
    *,
    rows: int | None,
    seed: int,
    with_ids: bool,
    show: Sequence[str | None] = (None, None),
    skip_bad: bool,
    on_rows: OnRows,
) -> tuple[list[EmbeddingSpace], dict[str, Any] | None, frozenset[str] | None]:
    """Read the rows of both sides that are the same text: by their number in two files, by their ids in a store.

    Args:
        files: source and target.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        with_ids: also read the ids.
        show: a column of each side whose values are added to the ids.
        skip_bad: leave out pairs of which the vector of one side cannot be used.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.

    Returns:
        Both sides; how many pairs were left out with the first of them, or None where none were; and the ids of the
        pairs as text, or None for two files.

    Raises:
        InputError: rows that cannot be used, no such column, no ids in common, no pair is left, or a file has lines
            that cannot be read.
    """
    from interlingua.core.spaces import EmbeddingSpace

    given: dict[str, Any] = {"rows": rows, "seed": seed, "on_rows": on_rows}
    if any(isinstance(file, Collection) for file in files):
        paired = read_same_ids(files, show=show, skip_bad=skip_bad, **given)
        spaces = [
            EmbeddingSpace(vectors, ids=names if with_ids else None, name=inputs.title_of(file))
            for vectors, names, file in zip(paired.vectors, paired.names, files, strict=True)
        ]
        left_out = {"rows": len(paired.left_out), "first": list(paired.left_out[:FIRST_ROWS])}
        return spaces, left_out if paired.left_out else None, frozenset(paired.keys)
    check_same_order(*(file for file in files if isinstance(file, VectorFile)))
    usable = _find_usable_pairs(files, on_rows) if skip_bad else None
    spaces = [
        inputs.read_space(file, usable=usable, with_ids=with_ids, show=column, **given)
        for file, column in zip(files, show, strict=True)
    ]
    left = min(space.n for space in spaces)
    if left < 2:  # noqa: PLR2004
        without = 0 if usable is None else len(usable) - int(usable.sum())
        raise InputError(
            f"{files[0].path} and {files[1].path} have {count_of(left, 'pair')} of rows that can be compared; at least "
            f"2 are needed.{f' Left out: {count_of(without)} without a usable vector.' if without else ''} Give more "
            "rows of the same texts in both files."
        )
    if usable is None or usable.all():
        return spaces, None, None
    return spaces, Usable(usable, tuple(np.flatnonzero(~usable)[:FIRST_ROWS].tolist())).to_dict(), None


def _find_usable_pairs(files: Sequence[inputs.Side], on_rows: OnRows) -> npt.NDArray[np.bool_]:
    """Return which rows of two files have a vector that can be used in both.

    Raises:
        InputError: there is none, or a file has lines that cannot be read.
    """
    found = [find_usable(file, on_rows) for file in files]
    for file, each in zip(files, found, strict=True):
        if each.lines:
            raise InputError(
                f"{file.path} has lines that cannot be read (the first is {each.lines[0]!r}), and row i of both files "
                "must be the same text. Correct these lines, or pair the rows by ids: file://PATH?id=COLUMN."
            )
    usable = found[0].rows & found[1].rows
    if not usable.any():
        both = f"{files[0].path} and {files[1].path}"
        raise InputError(f"No row has a vector that can be used in both {both}; all would be left out. {FILL_ONE}")
    return usable


def note_left_out(left_out: Mapping[str, Any] | None, what: str, word: str, *, of: int | None = None) -> None:
    """Say how many rows or pairs were left out, and which are the first.

    Args:
        left_out: their number, and the first; None without any.
        what: the side, or what they are.
        word: what they are named by: an id, or the number of a row.
        of: number of rows of a side.
    """
    if left_out is not None:
        first = ", ".join([*left_out.get("lines", ()), *(f"{word} {name}" for name in left_out["first"])])
        verb = "is" if left_out["rows"] == 1 else "are"
        count = f"{left_out['rows']:,}" if of is None else f"{count_of(left_out['rows'])} of {of:,}"
        console.note(f"{what}: {count} without a vector that can be used {verb} left out; the first: {first}")


def _find_all(
    files: Sequence[inputs.Side], opened_views: Sequence[View], text_column: str | None, on_rows: OnRows
) -> list[Usable]:
    """Return which rows of each side can be used; those of a target only together with its views and texts.

    Raises:
        InputError: a side without usable rows, or views whose rows do not belong to those of the target.
    """
    usable = [find_usable(file, on_rows) for file in files]
    narrowings: list[Callable[[npt.NDArray[np.bool_], OnRows], npt.NDArray[np.bool_]]] = [
        partial(find_usable_view, view, files[1]) for view in opened_views
    ]
    narrowings += [] if text_column is None else [partial(find_texts, files[1], text_column)]
    for narrow in narrowings:
        rows = narrow(usable[1].rows, on_rows)
        if not np.array_equal(rows, usable[1].rows):
            first = np.flatnonzero(~rows)[:FIRST_ROWS]
            names = list(read_ids(files[1], first)) if isinstance(files[1], Collection) else first.tolist()
            usable[1] = replace(usable[1], rows=rows, first=() if usable[1].lines else tuple(names))
    return usable


def _renumber(files: Sequence[inputs.Side], pairs: IntArray, usable: Sequence[Usable]) -> IntArray:
    """Return the known pairs of rows that are left, by their numbers among them.

    Raises:
        InputError: no pair is left, or a file has lines that cannot be read, so that its rows have no numbers.
    """
    for file, each in zip(files, usable, strict=True):
        if each.lines:
            raise InputError(
                f"--pairs names rows by their number, and {file.path} has lines that cannot be read; the first is "
                f"{each.lines[0]!r}. Correct these lines, or leave --pairs out."
            )
    return renumber_pairs(pairs, usable[0].rows, usable[1].rows)
