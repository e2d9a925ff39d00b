"""The texts of the rows of a target, which ``interlingua fit --view-encoder`` embeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.cli import inputs
from interlingua.cli.collections import Collection
from interlingua.cli.same_ids import read_ids
from interlingua.core.arguments import shown
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.values import python_values
from interlingua.core.wording import first_of, some_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_text_column", "find_texts", "read_row_texts"]

_Mask = npt.NDArray[np.bool_]


def check_text_column(target: inputs.Side, column: str) -> None:
    """Refuse a target without a column of this name, before anything is read.

    Raises:
        InputError: it has no columns, or none of this name.
    """
    from interlingua.stores._documents import JSON_COLUMN

    if not target.names:
        raise InputError(
            f"--view-encoder embeds the texts of TARGET, and {target.path} has no other column than its vectors and "
            "ids. Give TARGET with its texts, such as a .parquet or .jsonl, or give its vectors by the other model as "
            "--view FILE."
        )
    if tuple(target.names) == (JSON_COLUMN,):
        # The keys of documents are known only when they are read.
        if column == JSON_COLUMN:
            raise InputError(
                f"--view-encoder embeds the texts of TARGET, and {column!r} of {target.path} holds whole documents. "
                "Name a key that holds texts by --text-column."
            )
        return
    if column not in target.names:
        raise InputError(
            f"--view-encoder embeds the texts of TARGET, and {target.path} has no column {column!r}; its columns are "
            f"{', '.join(target.names)}. Name the one with the texts by --text-column."
        )


def find_texts(target: inputs.Side, column: str, usable: _Mask, on_rows: OnRows | None = None) -> _Mask:
    """Return which usable rows of a target also have a text that is not blank.

    Args:
        target: the target, opened with ``skip_bad``.
        column: the column of the texts.
        usable: [n_target], whether the vectors of the target can be used.
        on_rows: as in `interlingua.cli.inputs.read_space`.

    Raises:
        InputError: no row is left.
    """
    found: _Mask = usable & np.array([_is_text(value) for value in _values(target, column, None, on_rows)], bool)
    if not found.any():
        raise InputError(
            f"{target.path}: no row has both a vector that can be used and a text in column {column!r}. Fill one of "
            "them, or name another column with --text-column."
        )
    return found


def read_row_texts(
    target: inputs.Side,
    column: str,
    *,
    rows: int | None,
    seed: int,
    usable: _Mask | None = None,
    on_rows: OnRows | None = None,
) -> list[str]:
    """Read the texts of the rows that `interlingua.cli.inputs.read_space` reads of a target with the same arguments.

    Raises:
        InputError: a row has no text, or a blank one.
    """
    drawn = inputs.drawn_rows(target, rows, seed, usable)
    texts = _values(target, column, drawn, on_rows)
    missing = [number for number, value in enumerate(texts) if not _is_text(value)]
    if missing:
        row = np.array([missing[0] if drawn is None else drawn[missing[0]]])
        name = f"row {row[0]}"
        if isinstance(target, Collection):
            name = f"the id {shown(next(read_ids(target, row)))}"
        lacks = f"no text in column {column!r}"
        which = " that is read" if len(texts) == 1 else " that are read"
        found = some_of(len(missing), len(texts), "row", f"has {lacks}", f"have {lacks}", which=which)
        raise InputError(
            f"{target.path}: {found}{first_of(len(missing), name)}. Name the column of the texts with --text-column, "
            "or leave such rows out with --skip-bad."
        )
    return texts


def _values(target: inputs.Side, column: str, drawn: Any, on_rows: OnRows | None) -> list[Any]:
    from interlingua.core.records import report_rows, select_rows

    pages = report_rows(target.batches(), target.n, on_rows)
    chosen = pages if drawn is None else select_rows(pages, drawn)
    tables = [page.payload for page in chosen if page.payload is not None]
    return [value for table in tables for value in _values_of(table, column)]


def _values_of(payload: pa.Table, column: str) -> list[Any]:
    """Return the values of a column, or of a key where a store keeps documents."""
    from interlingua.stores._documents import is_documents, payload_rows

    if is_documents(payload.schema):
        return [row.get(column) for row in payload_rows(payload, len(payload))]
    return python_values(payload.column(column))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
