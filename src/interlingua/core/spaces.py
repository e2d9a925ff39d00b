"""Embedding spaces: all vectors of one encoder."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_text, shown
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, read_only, row_blocks
from interlingua.core.digests import digest_matrix
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of

__all__ = [
    "EmbeddingSpace",
    "as_space",
    "check_two_models",
    "digest_sample",
    "fingerprint",
    "share_of_copies",
    "shared_rows",
]

_FINGERPRINT_ROWS = 256
# Rows whose digests go into a card. They show which rows a translator was fitted on, also after a few were changed.
_DIGESTED_ROWS = 64
# Two sides are taken for the same rows if this share of one is also on the other.
_SAME = 0.5
_DIGEST = re.compile("[0-9a-f]{16}")


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
            raise InputError(
                f"{label}: {count_of(len(ids), 'id')} for {count_of(len(array))}; one id per row is needed."
            )
        self._vectors, self._ids, self._name = array, ids, name
        self._left_out: dict[str, Any] | None = None

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
    def left_out(self) -> dict[str, Any] | None:
        """How many rows were left out of it, of how many, and the first of them, for the card; or None."""
        return self._left_out

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

    def with_left_out(self, count: int, of: int, first: Sequence[int] = ()) -> EmbeddingSpace:
        """Return the same space with a record of the rows that were left out of it, for the card.

        Args:
            count: number of rows without a vector that can be used.
            of: number of rows before.
            first: numbers of the first of them, counted from 0, where rows have numbers.
        """
        space = copy.copy(self)
        space._left_out = {"rows": count, "of": of, **({"first": list(first)} if first else {})}
        return space

    def fingerprint(self) -> str:
        """Return 16 hex digits that depend on shape, dtype and evenly spaced rows."""
        return fingerprint(self.vectors)

    def describe(self) -> dict[str, Any]:
        """Return name, shape, fingerprint and digests of 64 evenly spaced rows, as they go into a card.

        Rows that were left out are counted as well.
        """
        facts = {"name": self.name, "n": self.n, "d": self.d, "fingerprint": self.fingerprint()}
        left_out = {} if self._left_out is None else {"left_out": self._left_out}
        return facts | left_out | {"digests": digest_sample(self.vectors)}

    def __repr__(self) -> str:
        """Return the name and shape."""
        return f"EmbeddingSpace({self.name or 'unnamed'}: {self.n} x {self.d}, {self.vectors.dtype})"


def as_space(vectors: Any, name: str) -> EmbeddingSpace:
    """Return ``vectors`` as an :class:`EmbeddingSpace`; one is returned as it is."""
    return vectors if isinstance(vectors, EmbeddingSpace) else EmbeddingSpace(vectors, name=name)


def fingerprint(vectors: npt.NDArray[Any]) -> str:
    """Return 16 hex digits that depend on shape, dtype and evenly spaced rows of vectors [n, d]."""
    step = max(1, len(vectors) // _FINGERPRINT_ROWS)
    digest = hashlib.sha256(f"{vectors.shape}{vectors.dtype}".encode())
    digest.update(np.ascontiguousarray(vectors[::step]).tobytes())
    return digest.hexdigest()[:16]


def digest_sample(vectors: npt.NDArray[Any]) -> list[str]:
    """Return digests, of 16 hex digits each, of 64 evenly spaced rows [n, d], or of all if there are fewer."""
    picked = np.linspace(0, len(vectors) - 1, min(len(vectors), _DIGESTED_ROWS)).astype(np.int64)
    return [f"{digest:016x}" for digest in _row_digests(vectors[picked]).tolist()]


def shared_rows(facts: Mapping[str, Any], pages: Iterable[npt.NDArray[Any]]) -> float | None:
    """Return the share of the rows of a described space that are among other rows, in any order.

    Rows that were rounded or normalized since do not match.

    Args:
        facts: as `EmbeddingSpace.describe` returns them; only the digests are used.
        pages: the other rows in matrices [n, d], floats of any precision.

    Returns:
        The share, estimated from the digests; None if the facts hold none that can be read, as those of earlier
            versions.
    """
    digests = facts.get("digests")
    if not isinstance(digests, list) or not digests:
        return None
    if not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests):
        return None
    # Copies of one row count once.
    wanted = np.unique(np.array([int(digest, 16) for digest in digests], np.uint64))
    found = np.zeros(len(wanted), bool)
    for vectors in pages:
        for block in row_blocks(len(vectors)):
            found |= np.isin(wanted, _row_digests(vectors[block]))
        if found.all():
            break
    return float(found.mean())


def share_of_copies(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> str:
    """Return in words how many rows of one of two matrices are also in the other, or an empty text if fewer than half.

    Args:
        first: [n, d].
        second: [m, d].
    """
    if first.shape[1] != second.shape[1]:
        return ""
    pairs = ((first, second), (second, first))
    share = max(shared_rows({"digests": digest_sample(one)}, [other]) or 0.0 for one, other in pairs)
    return "" if share < _SAME else "all" if share == 1 else f"about {share:.0%}"


def check_two_models(first: npt.NDArray[Any], second: npt.NDArray[Any], both: str) -> None:
    """Refuse two sides of a fit that hold the same vectors, because both are then of one model.

    Args:
        first: [n, d].
        second: [m, e].
        both: the beginning of the message, such as ``"Both files hold"``.

    Raises:
        InputError: at least half of the rows of one side are also in the other, in any order.
    """
    share = share_of_copies(first, second)
    if share:
        raise InputError(
            f"{both} the same vectors: {share} of the rows of one are in the other. Both are of one model, so there is "
            "nothing to translate. Give vectors of two models."
        )


def _row_digests(vectors: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Return digests [n] of 64 bits of rows [n, d], the same in every precision that holds them."""
    return digest_matrix(np.asarray(vectors, np.float32))
