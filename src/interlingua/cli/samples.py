"""Rows of a collection that are drawn at random, without those that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from interlingua.aligners.usable import FIRST_ROWS, none_drawn
from interlingua.cli import inputs
from interlingua.cli.fit_rows import Usable
from interlingua.core.arrays import usable_rows
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.io._checks import FILL_ONE

if TYPE_CHECKING:
    from interlingua.cli.collections import Collection
    from interlingua.core.spaces import EmbeddingSpace

__all__ = ["read_usable_sample"]


def read_usable_sample(
    collection: Collection, *, rows: int, seed: int, on_rows: OnRows | None = None
) -> tuple[EmbeddingSpace, Usable]:
    """Read rows of a collection that are drawn at random, once and without those of them that cannot be used.

    Args:
        collection: opened with ``skip_bad``.
        rows: number of rows to draw.
        seed: random seed of the draw.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.

    Returns:
        The rows with their ids, and which of the drawn rows can be used.

    Raises:
        InputError: none of the drawn rows can be used.
    """
    from interlingua.core.records import report_rows, select_rows
    from interlingua.core.spaces import EmbeddingSpace

    drawn = inputs.drawn_rows(collection, rows, seed)
    read = report_rows(collection.batches(), collection.n, on_rows)
    pages = list(read if drawn is None else select_rows(read, drawn))
    masks = [usable_rows(page.vectors) for page in pages]
    usable = np.concatenate(masks)
    if not usable.any():
        raise InputError(f"{collection.path}: {none_drawn(len(usable))}. {FILL_ONE}")
    ids = [value for page in pages for value in page.ids.to_pylist()]
    vectors = np.concatenate([page.vectors[mask] for page, mask in zip(pages, masks, strict=True)])
    kept = [key for key, keep in zip(ids, usable, strict=True) if keep]
    space = EmbeddingSpace(vectors, ids=kept, name=str(collection.path))
    left_out = [ids[row] for row in np.flatnonzero(~usable)[:FIRST_ROWS]]
    return space, Usable(usable, tuple(left_out))
