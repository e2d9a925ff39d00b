"""``--view`` of ``interlingua fit``: vectors of the target rows by further models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from interlingua.cli import inputs
from interlingua.cli.collections import check_same_order, file_of
from interlingua.cli.options import check_effect
from interlingua.core.errors import InputError
from interlingua.io import VectorFile

if TYPE_CHECKING:
    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["Views", "check_views", "read_views"]

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
        InputError: such an option, the same file twice, or a store, whose rows have no order of their own.
    """
    if not views:
        return
    check_effect(others, "cannot be combined with --view; leave one of them out.")
    for number, address in enumerate(views):
        if address in views[:number]:
            raise InputError(f"--view {address} was given twice; give each view once.")
    store = next((address for address in (target, *views) if file_of(address) is None), None)
    if store is not None:
        raise InputError(
            f"{store} is in a store, whose rows have no order of their own, and row i of a view belongs to row i of "
            "TARGET. With --view, give TARGET and its views as files."
        )


def read_views(
    files: Sequence[inputs.Side], target: inputs.Side, *, rows: int | None, seed: int
) -> dict[str, EmbeddingSpace] | None:
    """Read the rows of views that `interlingua.cli.inputs.read_space` reads of the target with the same arguments.

    Args:
        files: one for each ``--view``.
        target: the target, a file.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.

    Returns:
        The views by their paths, or None without any.

    Raises:
        InputError: other rows than those of the target.
    """
    views = {}
    for file in files:
        if file.n != target.n:
            raise InputError(
                f"--view {file.path} has {file.n} rows and TARGET {target.n}; one row for each row of TARGET is "
                "needed, in the same order."
            )
        if isinstance(file, VectorFile) and isinstance(target, VectorFile):
            check_same_order(target, file)
        views[str(file.path)] = inputs.read_space(file, rows=rows, seed=seed)
    return views or None
