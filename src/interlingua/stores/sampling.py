"""Random samples of a store, read page by page."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from interlingua.core.arrays import FloatArray, usable_rows
from interlingua.core.errors import InputError
from interlingua.core.records import sample_records
from interlingua.core.values import named_row, python_values
from interlingua.stores._protocol import Store

__all__ = ["sample_named_rows", "sample_rows"]

_PAGE_ROWS = 4_096


def sample_rows(store: Store, rows: int, seed: int, *, pool: int | None = None) -> FloatArray:
    """Return vectors [m, d] in float32, drawn at random without replacement, in random order.

    Args:
        store: read once, up to the last row drawn; vectors that cannot be used are left out if it does not refuse them.
        rows: number of rows, or all rows if there are fewer.
        seed: of the random generator.
        pool: draw only from this many rows at the beginning, which limits how much is read.

    Raises:
        InputError: vectors with NaN or infinity.
    """
    return sample_named_rows(store, rows, seed, pool=pool)[0]


def sample_named_rows(
    store: Store, rows: int, seed: int, *, pool: int | None = None, show: str | None = None
) -> tuple[FloatArray, list[str]]:
    """Return the vectors that `sample_rows` returns, and the name of each row: its id.

    Args:
        store: as of `sample_rows`.
        rows: as of `sample_rows`.
        seed: as of `sample_rows`.
        pool: as of `sample_rows`.
        show: a payload column whose values are added to the ids.

    Raises:
        InputError: vectors with NaN or infinity.
    """
    rng = np.random.default_rng(seed)
    count = store.info().count if pool is None else min(pool, store.info().count)
    parts: list[FloatArray] = []
    names: list[str] = []
    with closing(store.scan(_PAGE_ROWS)) as pages:  # type: ignore[type-var]
        for page in sample_records((records for records, _ in pages), count, rows, rng):
            parts.append(page.vectors)
            keys = page.ids.to_pylist()
            if show is not None and page.payload is not None:
                values = python_values(page.payload.column(show))
                keys = [named_row(key, value) for key, value in zip(keys, values, strict=True)]
            names += map(str, keys)
    drawn = np.asarray(np.concatenate(parts), np.float32)
    kept = np.flatnonzero(usable_rows(drawn)) if store.reads_bad_as_nan else np.arange(len(drawn))
    if not np.isfinite(drawn[kept]).all():
        raise InputError(f"{store.url} holds NaN or infinity; remove such rows and try again.")
    order = kept[rng.permutation(len(kept))]
    return np.asarray(drawn[order]), [names[row] for row in order.tolist()]
