"""``--view`` of ``interlingua fit`` and ``audit``: vectors of the target rows by further models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import typer

from interlingua.cli import inputs
from interlingua.cli.collections import Collection, ids_as_text, missing_ids, read_rows_of_ids
from interlingua.cli.options import check_effect
from interlingua.cli.same_ids import read_ids
from interlingua.core.arrays import check_matrix, usable_rows
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.io import VectorFile, open_vectors
from interlingua.stores._url import StoreURL, parse_url

if TYPE_CHECKING:
    from interlingua.core.arrays import FloatArray, IntArray
    from interlingua.core.spaces import EmbeddingSpace

__all__ = [
    "View",
    "Views",
    "check_views",
    "find_usable_view",
    "name_views",
    "naming_options",
    "open_views",
    "read_views",
]

_Mask = npt.NDArray[np.bool_]

Views = Annotated[
    list[str] | None,
    typer.Option(
        "--view",
        metavar="FILE|ADDRESS",
        help="Vectors of the rows of TARGET by another model, matched by ids where both have them and otherwise by "
        "order; may be repeated. The fit then needs fewer rows. Of use where you have the texts of TARGET; not with "
        "--target. Another column of a file is file://PATH#COLUMN.",
        rich_help_panel="Input",
    ),
]


@dataclass(frozen=True, eq=False)
class View:
    """A view that has been opened.

    Attributes:
        address: as it was given.
        side: the file or collection.
        name: of the model, from the name of the file, column or collection; the address where two names are equal.
    """

    address: str
    side: inputs.Side
    name: str


def check_views(views: Sequence[str] | None, others: Mapping[str, object]) -> None:
    """Refuse views that could not be used, before anything is opened.

    Args:
        views: of ``--view``.
        others: options that cannot be combined with views.

    Raises:
        InputError: such an option, or the same view twice.
    """
    if views:
        check_effect(others, "cannot be combined with --view; leave one of them out.")
        name_views(views)


def name_views(addresses: Sequence[str]) -> dict[str, str]:
    """Return the addresses of views by the names of their files, columns or collections, or by themselves.

    Raises:
        InputError: the same address twice.
    """
    urls = [parse_url(address) for address in addresses]
    twice = next((address for address, url in zip(addresses, urls, strict=True) if urls.count(url) > 1), None)
    if twice is not None:
        raise InputError(f"--view {twice} was given twice; give each view once.")
    titles = [".".join(url.names) or Path(url.path.removesuffix(".gz")).stem for url in urls]
    # An address stands for a name that two views have.
    named = zip(titles, addresses, strict=True)
    return {title if titles.count(title) == 1 else address: address for title, address in named}


@contextmanager
def open_views(addresses: Sequence[str], *, skip_bad: bool = False) -> Iterator[list[View]]:
    """Open the files and collections of views, and close them at the end.

    Args:
        addresses: of the views.
        skip_bad: read rows without a vector that can be used instead of refusing them.

    Raises:
        InputError: one cannot be used.
    """
    views: list[View] = []
    try:
        for name, address in name_views(addresses).items():
            url = parse_url(address)
            side = (
                _open_file(url, skip_bad=skip_bad) if url.scheme == "file" else Collection(address, skip_bad=skip_bad)
            )
            views.append(View(address, side, name))
        yield views
    finally:
        inputs.close_sides([view.side for view in views])


def read_views(
    views: Sequence[View],
    target: inputs.Side,
    *,
    rows: int | None,
    seed: int,
    usable: _Mask | None = None,
    on_rows: OnRows | None = None,
) -> dict[str, EmbeddingSpace] | None:
    """Read the rows of views that `interlingua.cli.inputs.read_space` reads of the target with the same arguments.

    Rows are matched by their ids where both sides have ids. Rows of two files are otherwise matched by their order,
    which rows of a database do not have.

    Args:
        views: as `open_views` opened them.
        target: the target.
        rows: number of rows to draw of the target; None for all.
        seed: random seed of the draw.
        usable: whether each row of the target can be used, where those that cannot are left out.
        on_rows: as in `interlingua.cli.inputs.read_space`.

    Returns:
        The views by their names; None without any.

    Raises:
        InputError: other rows than those of the target, or no ids to match rows of a database by.
    """
    from interlingua.core.spaces import EmbeddingSpace

    read = {}
    for view in views:
        if (in_order := _in_order(view, target)) is not None:
            read[view.name] = inputs.read_space(in_order, rows=rows, seed=seed, usable=usable, on_rows=on_rows)
        else:
            drawn = inputs.drawn_rows(target, rows, seed, usable)
            vectors = check_matrix(_read_by_ids(view, target, drawn, on_rows), view.name, whole=drawn is None)
            read[view.name] = EmbeddingSpace(vectors, name=view.name)
    return read or None


def find_usable_view(view: View, target: inputs.Side, usable: _Mask, on_rows: OnRows | None = None) -> _Mask:
    """Return which rows of the target can be used together with a view.

    Args:
        view: as `open_views` opened it with ``skip_bad``.
        target: the target.
        usable: [n_target], whether the vectors of the target can be used.
        on_rows: as in `interlingua.cli.inputs.read_space`.

    Raises:
        InputError: as `read_views`; a file with lines that cannot be read, or no row is left.
    """
    usable = usable.copy()
    if (in_order := _in_order(view, target)) is not None:
        for file in (in_order, _file_of(target)):
            if file is not None and file.skipped:
                raise InputError(
                    f"{file.path} has lines that cannot be read (the first is {file.skipped[0]!r}); with --view, row i "
                    "of both files must be the same text. Correct these lines, or give both files ids."
                )
        usable &= np.concatenate([usable_rows(block) for block in in_order.vector_blocks()])
    else:
        kept = np.flatnonzero(usable)
        side = view.side
        # Rows without a vector and lines that cannot be read are no rows of the view; those of the target go with them.
        gaps = side.nulls if isinstance(side, Collection) else len(side.skipped)
        usable[kept] = usable_rows(_read_by_ids(view, target, kept, on_rows, gaps))
    if not usable.any():
        raise InputError(
            f"--view {view.address}: no row of TARGET has vectors that can be used in both. Give a view with vectors "
            "of these rows, or leave it out."
        )
    return usable


@contextmanager
def naming_options(addresses: Mapping[str, str], encoders: Iterable[str] = ()) -> Iterator[None]:
    """Write ``--view ADDRESS`` or ``--view-encoder NAME`` in an error where the library names a view of a mapping.

    Args:
        addresses: of the views by their names, as `name_views` returns them.
        encoders: names of the views that an encoder makes.
    """
    from interlingua.aligners.side_information import view_label

    try:
        yield
    except InputError as error:
        message = str(error.args[0])
        given = {name: f"--view {address}" for name, address in addresses.items()}
        given |= {name: f"--view-encoder {name}" for name in encoders}
        for name, option in given.items():
            message = message.replace(view_label(name), option)
        error.args = (message, *error.args[1:])
        raise


def _in_order(view: View, target: inputs.Side) -> VectorFile | None:
    """Return the file of a view whose row i belongs to row i of the target, or None for one that is matched by ids.

    Raises:
        InputError: another number of rows, or ids on both sides of which none is on both.
    """
    of_target, of_view = _file_of(target), _file_of(view.side)
    if of_target is None or of_view is None:
        return None
    ids = [_keys(file) for file in (of_target, of_view)]
    if all(ids):
        if ids[0].isdisjoint(ids[1]):
            raise InputError(
                f"--view {view.address} has none of the {len(ids[0]):,} ids of TARGET {target.path}, and rows are "
                "matched by ids where both files have them. Give files with the same ids, name the column that holds "
                "them by file://PATH?id=COLUMN, or save the vectors without ids, as a .npy, if their order is that of "
                "TARGET."
            )
        return None
    if of_view.n != of_target.n:
        raise InputError(
            f"--view {view.address} has {count_of(of_view.n)} and TARGET {of_target.n:,}; one row for each row of "
            "TARGET is needed, in the same order or with the same ids."
        )
    return of_view


def _read_by_ids(
    view: View, target: inputs.Side, drawn: IntArray | None, on_rows: OnRows | None, gaps: int = 0
) -> FloatArray:
    """Return the vectors [n, d] that a view has for rows of the target; for all rows where `drawn` is None.

    Raises:
        InputError: a side without ids, or other ids than those of the target.
    """
    for file, what in ((_file_of(target), "TARGET"), (_file_of(view.side), f"--view {view.address}")):
        if file is not None and file.ids() is None:
            raise missing_ids(what)
    keys = list(read_ids(target, drawn))
    wanted = [key for key in keys if key is not None]
    if len(wanted) < len(keys):
        raise InputError(
            f"TARGET {target.path} has {count_of(len(keys) - len(wanted))} without an id, and its rows and those of "
            f"--view {view.address} are matched by their ids. Give each row an id."
        )
    return read_rows_of_ids(
        view.side,
        wanted,
        what=f"--view {view.address}",
        of=f"TARGET {target.path}",
        gaps=gaps,
        on_rows=on_rows,
    )


def _open_file(url: StoreURL, *, skip_bad: bool = False) -> VectorFile:
    """Open the file of an address, which may name the columns of vectors and ids.

    Raises:
        InputError: it cannot be used as it is; ``--column``, ``--key`` and ``--scale`` do not apply to views.
    """
    from interlingua.io._checks import AmbiguousVectorsError

    column = url.names[0] if url.names else None
    try:
        return open_vectors(url.path, column=column, id_column=url.options.get("id"), skip_bad=skip_bad)
    except AmbiguousVectorsError as error:
        advice = (
            f"Name one in the address: --view '{replace(url, names=('COLUMN',))}'."
            if error.kind == "column"
            else "Save that array as a file of its own."
        )
        raise InputError(f"--view {error.args[0]} {advice}") from error
    except InputError as error:
        if not error.remedy:
            raise
        # The options that a remedy names are those of SOURCE and TARGET.
        raise InputError(f"--view {error.args[0]} Give a file that holds these vectors alone, as floats.") from error


def _file_of(side: inputs.Side) -> VectorFile | None:
    """Return the file that a side is, also one that an address names; None for a collection of a database."""
    return side if isinstance(side, VectorFile) else side.file


def _keys(file: VectorFile) -> set[str]:
    """Return the ids of a file as text; none where it has no ids."""
    ids = file.ids()
    return set() if ids is None else {key for key in ids_as_text(ids) if key is not None}
