"""Vectors that can be translated, and the refusal of others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import LARGEST, SMALLEST, FloatArray, check_matrix
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records
from interlingua.stores._url import StoreURL


def check_vectors(records: Records, url: StoreURL, width: int) -> None:
    """Refuse rows whose vectors cannot be translated.

    Raises:
        InputError: another width.
        UnusableRowError: zero vectors, NaN or infinity; the message gives the id of the first such row.
    """
    try:
        check_matrix(records.vectors, f"{url}", width=width)
    except InputError as error:
        bad = ~usable_rows(records.vectors)
        if not bad.any():
            raise
        raise UnusableRowError(f"{error} That row has the id {records.ids[int(bad.argmax())].as_py()!r}.") from error


def usable_rows(vectors: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which rows of [n, d] can be translated: neither zero nor of a magnitude that float32 cannot square."""
    if not len(vectors):
        return np.zeros(0, bool)
    peak = np.abs(np.asarray(vectors, np.float64)).max(axis=1)
    with np.errstate(invalid="ignore"):  # NaN fails both comparisons
        return np.asarray((peak >= SMALLEST) & (peak <= LARGEST))
