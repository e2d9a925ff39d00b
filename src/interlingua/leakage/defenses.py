"""Defenses of stored vectors: secret keys, noise, quantization, truncation and distance-preserving encryption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import check_choice, check_count, check_settings
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.errors import InputError

__all__ = [
    "Chain",
    "Defense",
    "DistancePreserving",
    "NoDefense",
    "Noise",
    "Quantization",
    "Rotation",
    "SignedPermutation",
    "Truncation",
    "float_rows",
    "suite",
]


class Defense(Protocol):
    """A transformation of stored vectors that is meant to protect their texts."""

    @property
    def name(self) -> str:
        """Name in reports, with the parameters."""

    @property
    def keyed(self) -> bool:
        """Whether it has a secret key, which queries need too."""

    def apply(self, vectors: npt.ArrayLike, seed: int, /) -> FloatArray:
        """Return the protected vectors [n, k].

        The seed decides the key, which all rows share, and the noise, which is drawn for each row. Pass all rows of a
        store at once.
        """


@dataclass(frozen=True)
class NoDefense:
    """No defense: the baseline."""

    name: str = "no defense"
    keyed: bool = False

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the vectors."""
        return float_rows(vectors)


@dataclass(frozen=True)
class Rotation:
    """A secret orthogonal matrix; it preserves every cosine."""

    name: str = "secret rotation"
    keyed: bool = True

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the rotated vectors."""
        rows = float_rows(vectors)
        d = rows.shape[1]
        q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
        # With these signs the matrix is Haar distributed (Mezzadri 2007, section 5).
        return np.asarray(rows @ (q * np.sign(np.diag(r))), np.float32)


@dataclass(frozen=True)
class SignedPermutation:
    """A secret permutation of the coordinates with secret signs; it preserves every cosine."""

    name: str = "secret signed permutation"
    keyed: bool = True

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the permuted vectors."""
        rows, rng = float_rows(vectors), np.random.default_rng(seed)
        order = rng.permutation(rows.shape[1])
        return np.asarray(rows[:, order] * rng.choice((-1, 1), rows.shape[1]), np.float32)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise on unit rows.

    Attributes:
        level: standard deviation in each coordinate.
    """

    level: float
    keyed: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self, ranges={"level": {"minimum": 0}})

    @property
    def name(self) -> str:
        """The name with the level."""
        return f"noise {self.level:g}"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the vectors with independent noise."""
        rows = float_rows(vectors)
        return rows + np.float32(self.level) * np.random.default_rng(seed).standard_normal(rows.shape, np.float32)


@dataclass(frozen=True)
class Quantization:
    """Fewer bits for each coordinate: 8, with one scale for all rows, or 1, the sign.

    Raises:
        InputError: another number of bits.
    """

    bits: int
    keyed: bool = False

    def __post_init__(self) -> None:
        check_settings(self)
        if self.bits not in (1, 8):
            raise InputError(f"Quantization to {self.bits} bits is not supported; 8 or 1 is needed.")

    @property
    def name(self) -> str:
        """The name with the bits."""
        return "int8" if self.bits == 8 else "1 bit"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the dequantized vectors."""
        rows = float_rows(vectors)
        if self.bits == 1:
            return np.where(rows < 0, -1, 1).astype(np.float32)
        scale = np.abs(rows).max() / 127
        return np.asarray(np.rint(rows / scale) * scale, np.float32)


@dataclass(frozen=True)
class Truncation:
    """The first coordinates.

    Attributes:
        width: number of coordinates that are kept.
    """

    width: int
    keyed: bool = False

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self, minimum={"width": 1})

    @property
    def name(self) -> str:
        """The name with the width."""
        return f"first {self.width} coordinates"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the truncated vectors [n, width]."""
        return float_rows(vectors)[:, : self.width]


@dataclass(frozen=True)
class DistancePreserving:
    """Scale and perturb (Fuchsbauer et al., SCN 2022, section 4) after a secret signed permutation, as in products.

    A ciphertext is ``s x + e`` with a secret scale s and e uniform in the ball of radius ``s beta / 4``. Distances that
    differ by more than beta keep their order. Implemented from the paper; no product was run.

    Attributes:
        beta: the approximation factor; the distance of unit rows is at most 2.
    """

    beta: float
    keyed: bool = True

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self, ranges={"beta": {"minimum": 0}})

    @property
    def name(self) -> str:
        """The name with the factor."""
        return f"distance-preserving encryption, beta {self.beta:g}"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the ciphertexts."""
        rows = SignedPermutation().apply(vectors, seed)
        rng = np.random.default_rng((seed, 1))
        scale = np.float32(rng.uniform(1, 1_000))
        directions = unit_rows(rng.standard_normal(rows.shape, np.float32))
        radii = rng.random((len(rows), 1)) ** (1 / rows.shape[1])
        return np.asarray(scale * (rows + self.beta / 4 * radii * directions), np.float32)


@dataclass(frozen=True)
class Chain:
    """Several defenses, applied one after the other."""

    parts: tuple[Defense, ...]

    @property
    def name(self) -> str:
        """The names of the parts."""
        return " + ".join(part.name for part in self.parts)

    @property
    def keyed(self) -> bool:
        """Whether any part has a key."""
        return any(part.keyed for part in self.parts)

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the output of the last part; parts draw independently."""
        rows = float_rows(vectors)
        for index, part in enumerate(self.parts):
            rows = part.apply(rows, seed + 1_000 * index)
        return rows


def suite(name: str, width: int) -> tuple[Defense, ...]:
    """Return the defenses of the suite ``quick`` (one of them with a key) or ``full`` for vectors of a width.

    Raises:
        InputError: there is no suite of that name.
    """
    name, width = check_choice(name, "suite", ("quick", "full")), check_count(width, "width", minimum=4)
    halves = [width // 2, width // 4]
    truncations = [Truncation(part) for part in halves]
    keyless: tuple[Defense, ...] = (
        NoDefense(),
        Quantization(8),
        Quantization(1),
        Noise(0.02),
        Noise(0.05),
        *truncations,
    )
    if name == "quick":
        return (*keyless, Rotation())
    after_rotation: tuple[Defense, ...] = (
        Quantization(8),
        Quantization(1),
        Noise(0.01),
        Noise(0.02),
        Noise(0.05),
        truncations[0],
    )
    return (
        *keyless,
        Rotation(),
        SignedPermutation(),
        *(Chain((Rotation(), part)) for part in after_rotation),
        *(DistancePreserving(beta) for beta in (2.0, 2.5, 7.2)),
    )


def float_rows(vectors: npt.ArrayLike) -> FloatArray:
    """Return checked vectors [n, d] in float32."""
    return np.asarray(check_matrix(vectors, "vectors"), np.float32)
