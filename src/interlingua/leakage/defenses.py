"""Defenses of stored vectors: secret keys, noise, quantization, truncation and distance-preserving encryption."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import Bounds, check_callable, check_choice, check_count, check_settings, shown
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.errors import InputError

__all__ = [
    "SUITES",
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


SUITES = ("quick", "full")


class Defense(Protocol):
    """A transformation of stored vectors that is meant to protect their texts."""

    @property
    def name(self) -> str:
        """Name in reports, with the parameters."""

    @property
    def mechanism(self) -> str:
        """The name without the parameters: defenses that differ only in their strength have the same."""

    @property
    def keyed(self) -> bool:
        """Whether it has a secret key, which queries need too."""

    def apply(self, vectors: npt.ArrayLike, seed: int, /) -> FloatArray:
        """Return the protected vectors [n, k].

        The seed decides the key, which all rows share, and the noise, which is drawn for each row. Pass all rows of a
        store at once.
        """


class _Checked(ABC):
    """A defense without a key whose vectors and seed are checked before it is applied."""

    keyed: ClassVar[bool] = False

    def apply(self, vectors: npt.ArrayLike, seed: int, /) -> FloatArray:
        """Return the protected vectors [n, k] of vectors [n, d].

        Raises:
            InputError: the vectors cannot be used, or the seed is not an integer from 0 on.
        """
        return np.asarray(self._protect(float_rows(vectors), check_count(seed, "seed")), np.float32)

    @abstractmethod
    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        """Return the protected rows."""


@dataclass(frozen=True)
class NoDefense(_Checked):
    """No defense: the baseline."""

    name: ClassVar[str] = "no defense"
    mechanism: ClassVar[str] = "no defense"

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        return rows


@dataclass(frozen=True)
class Rotation(_Checked):
    """A secret orthogonal matrix; it preserves every cosine."""

    name: ClassVar[str] = "secret rotation"
    mechanism: ClassVar[str] = "secret rotation"
    keyed: ClassVar[bool] = True

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        d = rows.shape[1]
        q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
        # With these signs the matrix is Haar distributed (Mezzadri 2007, section 5).
        return np.asarray(rows @ (q * np.sign(np.diag(r))))


@dataclass(frozen=True)
class SignedPermutation(_Checked):
    """A secret permutation of the coordinates with secret signs; it preserves every cosine."""

    name: ClassVar[str] = "secret signed permutation"
    mechanism: ClassVar[str] = "secret signed permutation"
    keyed: ClassVar[bool] = True

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        rng = np.random.default_rng(seed)
        order = rng.permutation(rows.shape[1])
        return np.asarray(rows[:, order] * rng.choice((-1, 1), rows.shape[1]))


@dataclass(frozen=True)
class Noise(_Checked):
    """Gaussian noise on unit rows, drawn independently for every row.

    Attributes:
        level: standard deviation in each coordinate.
    """

    level: float
    mechanism: ClassVar[str] = "noise"

    bounds: ClassVar[Bounds] = {"level": {"minimum": 0}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    @property
    def name(self) -> str:
        """The name with the level."""
        return f"noise {self.level:g}"

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        return rows + np.float32(self.level) * np.random.default_rng(seed).standard_normal(rows.shape, np.float32)


@dataclass(frozen=True)
class Quantization(_Checked):
    """Fewer bits per coordinate: 8 or 4, with one scale for all rows, or 1, the sign. Vectors are dequantized again.

    Raises:
        InputError: another number of bits.
    """

    bits: int
    mechanism: ClassVar[str] = "quantization"

    def __post_init__(self) -> None:
        check_settings(self)
        if self.bits not in (1, 4, 8):
            raise InputError(f"Quantization to {self.bits} bits is not supported; 8, 4 or 1 is needed.")

    @property
    def name(self) -> str:
        """The name with the bits."""
        return "1 bit" if self.bits == 1 else f"int{self.bits}"

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        if self.bits == 1:
            return np.where(rows < 0, -1, 1).astype(np.float32)
        scale = np.abs(rows).max() / (2 ** (self.bits - 1) - 1)
        return np.asarray(np.rint(rows / scale) * scale)


@dataclass(frozen=True)
class Truncation(_Checked):
    """The first coordinates.

    Attributes:
        width: number of coordinates that are kept.
    """

    width: int
    mechanism: ClassVar[str] = "truncation"

    bounds: ClassVar[Bounds] = {"width": {"minimum": 1}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    @property
    def name(self) -> str:
        """The name with the width."""
        return f"first {self.width} coordinates"

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        return rows[:, : self.width]


@dataclass(frozen=True)
class DistancePreserving(_Checked):
    """Scale and perturb (Fuchsbauer et al., SCN 2022, section 4) after a secret signed permutation, as in products.

    A ciphertext is ``s x + e`` with a secret scale s and e uniform in the ball of radius ``s beta / 4``. Distances that
    differ by more than beta keep their order. Implemented from the paper; no product was run.

    Attributes:
        beta: the approximation factor; the distance of unit rows is at most 2.
    """

    beta: float
    keyed: ClassVar[bool] = True
    mechanism: ClassVar[str] = "distance-preserving encryption"

    bounds: ClassVar[Bounds] = {"beta": {"minimum": 0}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    @property
    def name(self) -> str:
        """The name with the factor."""
        return f"distance-preserving encryption, beta {self.beta:g}"

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        rows = SignedPermutation().apply(rows, seed)
        rng = np.random.default_rng((seed, 1))
        scale = np.float32(rng.uniform(1, 1_000))
        directions = unit_rows(rng.standard_normal(rows.shape, np.float32))
        radii = rng.random((len(rows), 1)) ** (1 / rows.shape[1])
        return np.asarray(scale * (rows + self.beta / 4 * radii * directions))


@dataclass(frozen=True)
class Chain(_Checked):
    """Several defenses, applied one after the other; they draw independently."""

    parts: tuple[Defense, ...]

    def __post_init__(self) -> None:
        """Check the parts."""
        if not isinstance(self.parts, tuple):
            raise InputError(f"parts is {shown(self.parts)}; a tuple of defenses is needed.")
        for part in self.parts:
            check_callable(part, "a part", "a defense such as Rotation()", "apply")

    @property
    def name(self) -> str:
        """The names of the parts."""
        return " + ".join(part.name for part in self.parts)

    @property
    def mechanism(self) -> str:
        """The mechanisms of the parts."""
        return " + ".join(part.mechanism for part in self.parts)

    @property
    def keyed(self) -> bool:  # type: ignore[override]
        """Whether any part has a key."""
        return any(part.keyed for part in self.parts)

    def _protect(self, rows: FloatArray, seed: int) -> FloatArray:
        for index, part in enumerate(self.parts):
            rows = part.apply(rows, seed + 1_000 * index)
        return rows


def suite(name: str, width: int) -> tuple[Defense, ...]:
    """Return the defenses of the suite ``quick`` (one of them with a key) or ``full`` for vectors of a width.

    Every mechanism that has a strength is in a suite with three of them, the weakest first. The position of a defense
    does not depend on the width.

    Raises:
        InputError: there is no suite of that name.
    """
    name, width = check_choice(name, "suite", SUITES), check_count(width, "width", minimum=8)
    truncations = (Truncation(width // 2), Truncation(width // 4), Truncation(width // 8))
    quantizations = (Quantization(8), Quantization(4), Quantization(1))
    noises = (Noise(0.02), Noise(0.05), Noise(0.1))
    keyless: tuple[Defense, ...] = (NoDefense(), *noises, *quantizations, *truncations)
    if name == "quick":
        return (*keyless, Rotation())
    weak_noises = (Noise(0.01), Noise(0.02), Noise(0.05))
    return (
        *keyless,
        Rotation(),
        SignedPermutation(),
        *(Chain((Rotation(), part)) for part in (*weak_noises, *quantizations, *truncations)),
        *(DistancePreserving(beta) for beta in (2.0, 2.5, 7.2)),
    )


def float_rows(vectors: npt.ArrayLike) -> FloatArray:
    """Return checked vectors [n, d] in float32."""
    return np.asarray(check_matrix(vectors, "vectors"), np.float32)
