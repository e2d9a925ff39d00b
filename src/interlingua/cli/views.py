"""``--view`` of ``interlingua fit``: vectors of the target rows by further models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from interlingua.cli import inputs
from interlingua.cli.collections import Collection, check_same_order
from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["Views", "read_views"]

Views = Annotated[
    list[str] | None,
    typer.Option(
        "--view",
        metavar="FILE",
        help="Vectors of the same rows as TARGET, in the same order, by another model; may be repeated. The fit then "
        "needs fewer rows. Of use where you have the texts of TARGET, and without --pairs.",
        rich_help_panel="Input",
    ),
]


def read_views(
    files: Sequence[inputs.Side], target: inputs.Side, *, rows: int | None, seed: int
) -> dict[str, EmbeddingSpace] | None:
    """Read the rows of views that `interlingua.cli.inputs.read_space` reads of the target with the same arguments.

    Args:
        files: one for each ``--view``.
        target: the target.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.

    Returns:
        The views by their paths, or None without any.

    Raises:
        InputError: a store, whose rows have no order of their own, or a file with other rows than the target.
    """
    views = {}
    for file in files:
        if isinstance(file, Collection) or isinstance(target, Collection):
            raise InputError(
                f"--view {file.path}: row i of a view belongs to row i of TARGET, and rows of a store have no order of "
                "their own. Give TARGET and its views as files."
            )
        if str(file.path) in views:
            raise InputError(f"--view {file.path} was given twice; give each view once.")
        if file.n != target.n:
            raise InputError(
                f"--view {file.path} has {file.n} rows and TARGET {target.n}; one row for each row of TARGET is "
                "needed, in the same order."
            )
        check_same_order(target, file)
        views[str(file.path)] = inputs.read_space(file, rows=rows, seed=seed)
    return views or None
