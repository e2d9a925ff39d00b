"""Embedding spaces: all vectors of one encoder, and statistics to recognize vectors of the same encoder."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_text, shown
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, read_only, row_blocks, unit_rows
from interlingua.core.errors import InputError

__all__ = ["EmbeddingSpace", "SpaceProfile", "as_space"]

_FINGERPRINT_ROWS = 256
_PROFILE_WIDTH = 32
# A row is foreign when a profile statistic leaves the fitted range widened by this share of its length.
_PROFILE_MARGIN = 0.25


class EmbeddingSpace:
    """The vectors of one encoder, one row per text.

    Args:
        vectors: [n, d], float16, float32, float64 or integers; a memory map stays one. Torch tensors are read as NumPy
            arrays, bfloat16 as float32.
        ids: one identifier per row, carried along and never used to match rows.
        name: the encoder's name, for reports and messages.
        allow_zero_rows: accept rows of zeros. They have no direction, so only methods that compare positions rather
            than directions can map them.

    Raises:
        InputError: not a matrix of real numbers, NaN or infinity, zero rows, constant data, or not one id per row.
    """

    def __init__(
        self, vectors: Any, *, ids: Sequence[Any] | None = None, name: str | None = None, allow_zero_rows: bool = False
    ) -> None:
        label = "vectors" if name is None else check_text(name, "name") or "vectors"
        array = check_matrix(vectors, label, varied=True, allow_zero_rows=allow_zero_rows)
        if ids is not None and (isinstance(ids, str | bytes) or not isinstance(ids, Sized)):
            raise InputError(f"{label}: ids is {shown(ids)}; a sequence with one id per row is needed.")
        if ids is not None and len(ids) != len(array):
            raise InputError(f"{label}: {len(ids)} ids for {len(array)} rows; one id per row is needed.")
        self._vectors, self._ids, self._name = array, ids, name

    @property
    def vectors(self) -> npt.NDArray[Any]:
        """The vectors [n, d], as they were checked."""
        return self._vectors

    @property
    def ids(self) -> Sequence[Any] | None:
        """One id per row, or None."""
        return self._ids

    @property
    def name(self) -> str | None:
        """Name of the encoder, or None."""
        return self._name

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.vectors.shape[0])

    @property
    def d(self) -> int:
        """Width of the vectors."""
        return int(self.vectors.shape[1])

    def rows(self, limit: int | None, rng: np.random.Generator) -> FloatArray:
        """Return rows [min(n, limit), d] in float32, drawn without replacement when there are more; read-only."""
        return self.take(self.sample(limit, rng))

    def sample(self, limit: int | None, rng: np.random.Generator) -> IntArray | slice:
        """Return the sorted numbers [limit] of rows drawn without replacement, or a slice of all if no more exist."""
        if limit is None or self.n <= limit:
            return slice(None)
        return np.sort(rng.choice(self.n, limit, replace=False))

    def take(self, index: IntArray | slice) -> FloatArray:
        """Return some rows [n, d] in float32; read-only."""
        return read_only(np.asarray(self.vectors[index], np.float32))

    def read_only(self) -> EmbeddingSpace:
        """Return the same space over a read-only view of its vectors, for code of others that must not change them."""
        space = copy.copy(self)
        space._vectors = read_only(self._vectors)
        return space

    def fingerprint(self) -> str:
        """Return 16 hex digits that depend on shape, dtype and evenly spaced rows."""
        step = max(1, self.n // _FINGERPRINT_ROWS)
        digest = hashlib.sha256(f"{self.vectors.shape}{self.vectors.dtype}".encode())
        digest.update(np.ascontiguousarray(self.vectors[::step]).tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> dict[str, Any]:
        """Return name, shape and fingerprint, as they go into a card."""
        return {"name": self.name, "n": self.n, "d": self.d, "fingerprint": self.fingerprint()}

    def __repr__(self) -> str:
        """Return the name and shape."""
        return f"EmbeddingSpace({self.name or 'unnamed'}: {self.n} x {self.d}, {self.vectors.dtype})"


def as_space(vectors: Any, name: str) -> EmbeddingSpace:
    """Return ``vectors`` as an :class:`EmbeddingSpace`; one is returned as it is."""
    return vectors if isinstance(vectors, EmbeddingSpace) else EmbeddingSpace(vectors, name=name)


@dataclass(frozen=True, eq=False)
class SpaceProfile:
    """Statistics of the rows of a fitted space, to recognize vectors of another encoder of the same width.

    Two statistics per row: its cosine with the space's mean, and the share of its energy in the leading principal
    subspace. Rows of another encoder are outside of the fitted range of at least one of them.

    Attributes:
        mean: [d], mean of the unit rows.
        basis: [d, k], leading principal directions of the centered rows.
        low: [2], smallest value expected of (cosine with the mean, energy share).
        high: [2], largest value expected.
    """

    mean: FloatArray
    basis: FloatArray
    low: FloatArray
    high: FloatArray

    def __repr__(self) -> str:
        """Return the width of the space."""
        return f"SpaceProfile(d={len(self.mean)})"

    @classmethod
    def of(cls, rows: FloatArray) -> SpaceProfile:
        """Measure the profile of rows [n, d]."""
        rows = unit_rows(rows)
        mean = rows.mean(axis=0, dtype=np.float64)
        centered = (rows - mean).astype(np.float64)
        _, axes = np.linalg.eigh(centered.T @ centered)
        basis = axes[:, ::-1][:, : min(_PROFILE_WIDTH, max(1, rows.shape[1] // 4))]
        bare = cls(_f32(mean), _f32(basis), np.zeros(2, np.float32), np.ones(2, np.float32))
        values = np.concatenate([bare._statistics(rows[block]) for block in row_blocks(len(rows))])
        low, high = np.quantile(values, (0.001, 0.999), axis=0)
        margin = _PROFILE_MARGIN * (high - low)
        return cls(bare.mean, bare.basis, _f32(low - margin), _f32(high + margin))

    def is_foreign(self, rows: FloatArray) -> npt.NDArray[np.bool_]:
        """Return [n] True where a row does not look like the fitted space."""
        values = self._statistics(unit_rows(np.asarray(rows, np.float32)))
        return np.asarray(((values < self.low) | (values > self.high)).any(axis=1))

    def _statistics(self, rows: FloatArray) -> FloatArray:
        scale = np.linalg.norm(self.mean) or 1.0
        centered = rows - self.mean
        inside = centered @ self.basis
        share = (inside**2).sum(axis=1) / np.maximum((centered**2).sum(axis=1), 1e-12)
        return np.stack([rows @ self.mean / scale, share], axis=1)


def _f32(x: npt.NDArray[Any]) -> FloatArray:
    return np.asarray(x, np.float32)
