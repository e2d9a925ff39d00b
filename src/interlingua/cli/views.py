"""``--view`` of ``interlingua fit``: vectors of the target rows by further models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interlingua.cli import inputs
from interlingua.cli.collections import check_same_order, file_of
from interlingua.cli.options import check_effect
from interlingua.core.errors import InputError
from interlingua.io import VectorFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["Views", "check_rows", "check_views", "read_views"]

Views = Annotated[
    list[str] | None,
    typer.Option(
        "--view",
        metavar="FILE",
        help="Vectors of the same rows as TARGET, in the same order, by another model; may be repeated. The fit then "
        "needs fewer rows. Of use where you have the texts of TARGET; not with --pairs, --labels or --target.",
        rich_help_panel="Input",
    ),
]


def check_views(views: Sequence[str] | None, target: str, others: Mapping[str, object]) -> None:
    """Refuse views that could not be used, before anything is opened.

    Args:
        views: of ``--view``.
        target: the address of the target.
        others: options that cannot be combined with views.

    Raises:
        InputError: such an option, or a store, whose rows have no order of their own.
    """
    if not views:
        return
    check_effect(others, "cannot be combined with --view; leave one of them out.")
    store = next((address for address in (target, *views) if file_of(address) is None), None)
    if store is not None:
        raise InputError(
            f"{store} is in a store, whose rows have no order of their own, and row i of a view belongs to row i of "
            "TARGET. With --view, give TARGET and its views as files."
        )


def read_views(
    files: Sequence[inputs.Side],
    target: inputs.Side,
    *,
    rows: int | None,
    seed: int,
    usable: npt.NDArray[np.bool_] | None = None,
    on_rows: Callable[[str, int, int], None] | None = None,
) -> dict[str, EmbeddingSpace] | None:
    """Read the rows of views that `interlingua.cli.inputs.read_space` reads of the target with the same arguments.

    Args:
        files: one for each ``--view``.
        target: the target, a file.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        usable: whether each row can be used, where those that cannot are left out.
        on_rows: as in `interlingua.cli.inputs.read_space`.

    Returns:
        The views by the names of their files, or by their paths where two names are equal; None without any.

    Raises:
        InputError: other rows than those of the target, or the same file twice.
    """
    views = {}
    stems = [Path(file.path).stem for file in files]
    for file, stem in zip(files, stems, strict=True):
        check_rows(file, target)
        if isinstance(file, VectorFile) and isinstance(target, VectorFile):
            check_same_order(target, file, advice="Sort the files alike.")
        name = stem if stems.count(stem) == 1 else str(file.path)
        if name in views:
            raise InputError(f"--view {file.path} was given twice; give each view once.")
        views[name] = inputs.read_space(file, rows=rows, seed=seed, usable=usable, on_rows=on_rows)
    return views or None


def check_rows(view: inputs.Side, target: inputs.Side) -> None:
    """Refuse a view that has not one row for each row of the target.

    Raises:
        InputError: another number of rows, or lines that cannot be read, so that it is not known which rows lack one.
    """
    if view.n != target.n:
        raise InputError(
            f"--view {view.path} has {view.n} rows and TARGET {target.n}; one row for each row of TARGET is needed, in "
            "the same order."
        )
    for file in (view, target):
        if isinstance(file, VectorFile) and file.skipped:
            raise InputError(
                f"{file.path} has lines that cannot be read, the first is {file.skipped[0]!r}; with --view, row i of "
                "both files must be the same text. Correct these lines."
            )
