"""What vectors are: unit vectors, or such that cannot be translated, which are refused."""

from __future__ import annotations

import numpy as np

from interlingua.core.arguments import shown
from interlingua.core.arrays import FloatArray, check_matrix, usable_rows
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
        check_matrix(records.vectors, f"{url}", width=width, whole=False)
    except InputError as error:
        bad = ~usable_rows(records.vectors)
        if not bad.any():
            raise
        row_id = records.ids[int(bad.argmax())].as_py()
        raise UnusableRowError(f"{error} That row has the id {shown(row_id)}.") from error


def is_unit(vectors: FloatArray) -> bool:
    """Return whether rows [n, d] have unit norm, as far as float16 can tell."""
    norms = np.linalg.norm(np.asarray(vectors, np.float64), axis=1)
    return bool(len(norms) and np.abs(norms - 1).max() < 2e-3)
