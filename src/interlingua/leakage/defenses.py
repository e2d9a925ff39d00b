"""Defenses of stored vectors: what each costs retrieval, and what an attacker who knows the mechanism still gets.

The attacker knows the mechanism and its public parameters, and neither key nor noise. Without a key nothing has to be
attacked: the vectors are compared as they are. With a key an unpaired fit is run against vectors of the attacker's own.
A defense that withstands is *not broken by the attacks run*, which is a statement about the attacks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from interlingua._align import align
from interlingua.core.alignment import Alignment
from interlingua.core.arrays import FloatArray, check_matrix, row_blocks, unit_rows
from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.evaluation.bootstrap import Resamples
from interlingua.leakage.inversion.scores import reidentification

# Rows that are looked for among each other, and rows whose neighbors are compared.
POOL = 2_048
QUERIES = 1_000
_BROKEN = 0.5
_ABOVE_CHANCE = 10


class Defense(Protocol):
    """A way to store vectors that is meant to keep their texts to their owner."""

    @property
    def name(self) -> str:
        """What reports call it, with its parameters."""

    @property
    def keyed(self) -> bool:
        """Whether it has a secret that queries need too."""

    def apply(self, vectors: npt.ArrayLike, seed: int, /) -> FloatArray:
        """Return what the store then holds [n, k], as numbers.

        All rows of a store go in at once: the seed decides the key, which they share, and the noise, which they do not.
        """


@dataclass(frozen=True)
class Nothing:
    """No defense: what the others are compared with."""

    name: str = "none"
    keyed: bool = False

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the vectors."""
        return _rows(vectors)


@dataclass(frozen=True)
class Rotation:
    """A secret orthogonal matrix; every cosine stays as it is."""

    name: str = "secret rotation"
    keyed: bool = True

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the rotated vectors."""
        rows = _rows(vectors)
        d = rows.shape[1]
        q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
        # The signs make the draw uniform over all rotations and reflections (Mezzadri 2007, section 5).
        return np.asarray(rows @ (q * np.sign(np.diag(r))), np.float32)


@dataclass(frozen=True)
class Shuffle:
    """A secret order of the coordinates with secret signs; every cosine stays as it is."""

    name: str = "secret shuffle and signs"
    keyed: bool = True

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the shuffled vectors."""
        rows, rng = _rows(vectors), np.random.default_rng(seed)
        order = rng.permutation(rows.shape[1])
        return np.asarray(rows[:, order] * rng.choice((-1, 1), rows.shape[1]), np.float32)


@dataclass(frozen=True)
class Noise:
    """Gaussian noise on unit rows.

    Attributes:
        level: its standard deviation in each coordinate.
    """

    level: float
    keyed: bool = False

    @property
    def name(self) -> str:
        """The name with the level."""
        return f"noise {self.level:g}"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the vectors with noise of their own each."""
        rows = _rows(vectors)
        return rows + np.float32(self.level) * np.random.default_rng(seed).standard_normal(rows.shape, np.float32)


@dataclass(frozen=True)
class Quantisation:
    """Fewer bits a coordinate: 8, one scale for all, or 1, the sign.

    Raises:
        InputError: another number of bits.
    """

    bits: int
    keyed: bool = False

    def __post_init__(self) -> None:
        if self.bits not in (1, 8):
            raise InputError(f"Quantisation to {self.bits} bits is not there; 8 or 1 is needed.")

    @property
    def name(self) -> str:
        """The name with the bits."""
        return "int8" if self.bits == 8 else "1 bit"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the vectors as they are read back."""
        rows = _rows(vectors)
        if self.bits == 1:
            return np.where(rows < 0, -1, 1).astype(np.float32)
        scale = np.abs(rows).max() / 127
        return np.asarray(np.rint(rows / scale) * scale, np.float32)


@dataclass(frozen=True)
class Truncation:
    """The first coordinates only.

    Attributes:
        width: how many; no more than there are.
    """

    width: int
    keyed: bool = False

    @property
    def name(self) -> str:
        """The name with the width."""
        return f"first {self.width} coordinates"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the cut vectors [n, width]."""
        return _rows(vectors)[:, : self.width]


@dataclass(frozen=True)
class DistancePreserving:
    """Scale and perturb (Fuchsbauer et al., SCN 2022, section 4), behind a secret shuffle as products put it.

    A ciphertext is ``s x + e`` with a secret scale s and e uniform in the ball of radius ``s beta / 4``; what is nearer
    by more than beta stays nearer. Written for this measurement from the paper; no product was run.

    Attributes:
        beta: the approximation factor; unit rows are at most 2 apart.
    """

    beta: float
    keyed: bool = True

    @property
    def name(self) -> str:
        """The name with the factor."""
        return f"distance-preserving encryption, beta {self.beta:g}"

    def apply(self, vectors: npt.ArrayLike, seed: int) -> FloatArray:
        """Return the ciphertexts."""
        rows = Shuffle().apply(vectors, seed)
        rng = np.random.default_rng((seed, 1))
        scale = np.float32(rng.uniform(1, 1_000))
        directions = unit_rows(rng.standard_normal(rows.shape, np.float32))
        radii = rng.random((len(rows), 1)) ** (1 / rows.shape[1])
        return np.asarray(scale * (rows + self.beta / 4 * radii * directions), np.float32)


@dataclass(frozen=True)
class Chain:
    """Several defenses, one after the other."""

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
        """Return what the last part makes of it; parts draw independently."""
        rows = _rows(vectors)
        for place, part in enumerate(self.parts):
            rows = part.apply(rows, seed + 1_000 * place)
        return rows


@dataclass(frozen=True)
class DefenseScore:
    """One defense: its price and what it keeps.

    Attributes:
        name: of the defense.
        keyed: whether it has a key.
        overlap: share of the ten nearest neighbors of a row that are still among its ten nearest, by cosine.
        attack: what was tried, one sentence.
        verdict: the unpaired fit's own word on whether it worked; None where no fit was needed.
        top1: share of recovered rows that single out their own true vector among `pool`.
        anonymity_set: the effective number of rows that one cannot be told from; 1 is none.
        pool: rows looked for among each other.
        seconds: wall time of the attack.
    """

    name: str
    keyed: bool
    overlap: Interval
    attack: str
    verdict: str | None
    top1: Interval
    anonymity_set: Interval
    pool: int
    seconds: float

    @property
    def finding(self) -> str:
        """``broken`` (at least half of the rows), ``partly broken`` (clearly above chance), or not."""
        if self.top1.value >= _BROKEN:
            return "broken"
        if (self.top1.low or 0.0) > _ABOVE_CHANCE / self.pool:
            return "partly broken"
        return "not broken by the attacks run"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; an interval is [value, low, high]."""
        return {
            "name": self.name,
            "keyed": self.keyed,
            "knn_overlap_10": self.overlap.to_list(),
            "attack": self.attack,
            "verdict": self.verdict,
            "reidentified": self.top1.to_list(),
            "anonymity_set": self.anonymity_set.to_list(),
            "pool": self.pool,
            "finding": self.finding,
            "seconds": round(self.seconds, 1),
        }


def suite(name: str, width: int) -> tuple[Defense, ...]:
    """Return the defenses of ``quick`` (one with a key) or ``full`` for vectors of a width.

    Raises:
        InputError: another name.
    """
    halves = [width // 2, width // 4]
    cut = [Truncation(part) for part in halves]
    keyless: tuple[Defense, ...] = (Nothing(), Quantisation(8), Quantisation(1), Noise(0.02), Noise(0.05), *cut)
    if name == "quick":
        return (*keyless, Rotation())
    if name != "full":
        raise InputError(f"There is no suite of defenses {name!r}; choose quick or full.")
    behind: tuple[Defense, ...] = (Quantisation(8), Quantisation(1), Noise(0.01), Noise(0.02), Noise(0.05), cut[0])
    return (
        *keyless,
        Rotation(),
        Shuffle(),
        *(Chain((Rotation(), part)) for part in behind),
        *(DistancePreserving(beta) for beta in (2.0, 2.5, 7.2)),
    )


def measure(
    defense: Defense,
    store: npt.ArrayLike,
    attacker: npt.ArrayLike,
    *,
    truth: npt.ArrayLike | None = None,
    translate: Callable[[FloatArray], FloatArray] | None = None,
    fit: Callable[..., Alignment] = align,
    pool: int = POOL,
    seed: int = 0,
) -> DefenseScore:
    """Protect a store, attack it, and measure both sides of the bargain.

    Args:
        defense: the defense; the seed decides its key.
        store: the owner's vectors [n, d].
        attacker: vectors [m, d_known] of the attacker's own texts under an encoder of theirs.
        truth: what the attacker is after: the same n rows in their space [n, d_known]; the store itself by default,
            where the attacker knows the encoder. Only the evaluation sees it.
        translate: from the undefended store's space to the attacker's, for defenses without a key where these differ:
            an attacker who had unprotected vectors of the same model before.
        fit: aligns (protected, attacker) without pairs.
        pool: most rows that are looked for among each other.
        seed: of key, noise, fit and samples.

    Raises:
        InputError: not one true row a row of the store.
    """
    rows = _rows(store)
    whole = goal = rows if truth is None else _rows(truth)
    if len(goal) != len(rows):
        raise InputError(f"There are {len(goal)} true rows for a store of {len(rows)}; one each is needed.")
    rng = np.random.default_rng(seed)
    picked = np.sort(rng.permutation(len(rows))[:pool])
    protected = defense.apply(rows, seed)
    started = time.perf_counter()
    verdict = None
    if defense.keyed:
        attack = "unpaired fit against vectors of other texts; the key is not known"
        alignment = fit(protected, attacker, seed=seed)
        verdict = str(alignment.verdict.status)
        recovered = alignment.translator(force=True).translate(protected[picked])
    else:
        attack = "read as they are; there is no key to find"
        # Whoever knows that columns were cut cuts the candidates too, or fills up with zeros what has to be translated.
        recovered, goal = protected[picked], goal[:, : protected.shape[1]]
        if translate is not None:
            attack = "translated by a fit on unprotected vectors; there is no key to find"
            recovered, goal = translate(_padded(recovered, rows.shape[1])), whole
    seconds = time.perf_counter() - started
    found = reidentification(recovered, goal[picked], seed=seed)
    return DefenseScore(
        name=defense.name,
        keyed=defense.keyed,
        overlap=neighbor_overlap(rows, protected, seed=seed),
        attack=attack,
        verdict=verdict,
        top1=found.top1.interval,
        anonymity_set=found.anonymity_set.interval,
        pool=len(picked),
        seconds=seconds,
    )


def neighbor_overlap(
    before: npt.ArrayLike, after: npt.ArrayLike, *, k: int = 10, queries: int = QUERIES, seed: int = 0
) -> Interval:
    """Return the share of the k nearest rows by cosine that stay among the k nearest, with its interval.

    Args:
        before: the rows [n, d].
        after: the same rows, protected [n, any width]; queries are protected alike.
        k: neighbors.
        queries: most rows whose neighbors are compared.
        seed: of the sample and the resamples.

    Raises:
        InputError: the sides differ in rows, or there are no k others.
    """
    sides = [unit_rows(_rows(side)) for side in (before, after)]
    n = len(sides[0])
    if len(sides[1]) != n or n <= k:
        raise InputError(f"There are {n} and {len(sides[1])} rows; equally many are needed, and more than {k}.")
    picked = np.random.default_rng(seed).permutation(n)[:queries]
    near = [_nearest(side, picked, k) for side in sides]
    shared = [len(set(a) & set(b)) / k for a, b in zip(near[0].tolist(), near[1].tolist(), strict=True)]
    return Resamples(len(picked), seed).mean(shared)


def _rows(vectors: npt.ArrayLike) -> FloatArray:
    return np.asarray(check_matrix(vectors, "vectors"), np.float32)


def _padded(rows: FloatArray, width: int) -> FloatArray:
    return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))


def _nearest(units: FloatArray, picked: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    found = np.empty((len(picked), k), np.int64)
    for block in row_blocks(len(picked), 256):
        cosines = units[picked[block]] @ units.T
        cosines[np.arange(len(cosines)), picked[block]] = -2
        found[block] = np.argpartition(-cosines, k - 1, axis=1)[:, :k]
    return found
