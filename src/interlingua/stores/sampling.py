"""Random samples of a store, read page by page."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.records import sample_vectors
from interlingua.stores._protocol import Store
from interlingua.stores._vectors import usable_rows

__all__ = ["sample_rows"]

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
    rng = np.random.default_rng(seed)
    count = store.info().count if pool is None else min(pool, store.info().count)
    with closing(store.scan(_PAGE_ROWS)) as pages:  # type: ignore[type-var]
        drawn = np.asarray(sample_vectors((records for records, _ in pages), count, rows, rng), np.float32)
    if store.reads_bad_as_nan:
        drawn = drawn[usable_rows(drawn)]
    if not np.isfinite(drawn).all():
        raise InputError(f"{store.url} holds NaN or infinity; remove such rows and try again.")
    return np.asarray(drawn[rng.permutation(len(drawn))])
