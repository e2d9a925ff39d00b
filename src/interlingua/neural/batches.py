"""Batches of stored vectors as a pure function of the step: a resumed run needs no saved state of the data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError, named_side
from interlingua.core.wording import count_of

__all__ = ["Batches"]

# Rows of a space that its digest reads; a memory map can be larger than the memory.
_DIGESTED = 1000


class Batches:
    """Unpaired batches of several spaces; each space is shuffled anew in every epoch, on its own.

    Args:
        vectors: [n_k, d_k] of each space by name, arrays or memory maps of any float type.
        size: rows of each space in a batch, all processes together.
        seed: decides the order.
        part: (number, count): which of how many equal parts of each batch to return, for several processes.

    Raises:
        InputError: a space has fewer rows than a batch.
    """

    def __init__(
        self, vectors: Mapping[str, npt.NDArray[Any]], size: int, seed: int, part: tuple[int, int] = (0, 1)
    ) -> None:
        for name, rows in vectors.items():
            if len(rows) < size:
                raise InputError(
                    f"{named_side(name)} has {count_of(len(rows))}; a batch takes {size}. Pass more rows, or a smaller "
                    "batch."
                )
        self._vectors: Sequence[npt.NDArray[Any]] = list(vectors.values())
        self._size, self._seed, self._part = size, seed, part
        self._order = lru_cache(maxsize=2 * len(self._vectors))(self._shuffled)

    def __call__(self, step: int) -> list[FloatArray]:
        """Return unit rows [size / parts, d_k] in float32 of each space for a step, counted from 0."""
        return [self._rows(space, step) for space in range(len(self._vectors))]

    def sample(self, space: int, count: int) -> FloatArray:
        """Return up to ``count`` random unit rows [count, d] of a space, the same in every process."""
        return unit_rows(np.asarray(self._vectors[space][np.sort(self._order(space, 0)[:count])], np.float32))

    def digests(self) -> list[str]:
        """Return for each space 16 hex digits that depend on its shape, its order and up to 1,000 of its rows."""
        return [_digest(vectors) for vectors in self._vectors]

    def _rows(self, space: int, step: int) -> FloatArray:
        vectors = self._vectors[space]
        epoch, batch = divmod(step, len(vectors) // self._size)
        number, parts = self._part
        length = self._size // parts
        start = batch * self._size + number * length
        return unit_rows(np.asarray(vectors[self._order(space, epoch)[start : start + length]], np.float32))

    def _shuffled(self, space: int, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self._seed, space, epoch]).permutation(len(self._vectors[space]))


def _digest(vectors: npt.NDArray[Any]) -> str:
    places = np.linspace(0, len(vectors) - 1, min(len(vectors), _DIGESTED)).astype(np.int64)
    rows = np.ascontiguousarray(vectors[places], np.float32)
    return hashlib.blake2b(repr(vectors.shape).encode() + rows.tobytes(), digest_size=8).hexdigest()
