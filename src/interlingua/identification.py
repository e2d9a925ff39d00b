"""Identification of the model that made a collection, from its vectors alone, among models that were measured before.

Some statistics of a model's vectors depend little on the texts: the width, the norms, the direction of the mean, and
the standard deviation of each coordinate. Other models have different ones, and a rotation of the space removes all but
width and norms. A match is therefore evidence, and without a match the answer is "unknown".
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from interlingua._mixtures import Mixture, find_mixture, looks_reduced
from interlingua.core.arguments import check_path, check_text, shown
from interlingua.core.arrays import FloatArray, check_matrix, unit_rows
from interlingua.core.atomic import atomic_file
from interlingua.core.errors import InputError

__all__ = [
    "MARGIN",
    "MIN_ROWS",
    "NEEDED",
    "UNKNOWN",
    "Candidate",
    "Fingerprint",
    "Identification",
    "Mixture",
    "find_mixture",
    "identify",
    "load_table",
    "looks_reduced",
    "save_table",
    "shipped",
    "value_grid",
]

UNKNOWN = "unknown"
# Fewer rows leave too much noise in the means.
MIN_ROWS = 50
_MAX_ROWS = 20_000
# Both lie between the scores of the same model on other texts and those of other models of one width, as measured in
# benchmarks/results/identify.jsonl.
NEEDED = 0.2
MARGIN = 0.1
# Coordinates to either side in the moving average that is subtracted: the variances of principal components fall in the
# same manner for every model.
_TREND_WIDTH = 15


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Statistics that are characteristic of a model's vectors.

    Attributes:
        name: the model.
        d: width.
        unit: its vectors have unit norm.
        mean: [d], mean of the unit rows; direction and length are both characteristic.
        spread: [d], standard deviation of each coordinate of the unit rows.
        spectrum: [16], shares of variance of the leading principal directions.
    """

    name: str
    d: int
    unit: bool
    mean: FloatArray
    spread: FloatArray
    spectrum: FloatArray

    def __repr__(self) -> str:
        """Return name and width."""
        return f"Fingerprint({self.name or 'unnamed'}, d={self.d}, {'unit' if self.unit else 'varied'} norms)"

    @classmethod
    def of(cls, vectors: Any, name: str = "") -> Fingerprint:
        """Measure rows [n, d].

        Raises:
            InputError: fewer than 50 rows, NaN, infinity or zero rows.
        """
        rows = check_matrix(vectors, "vectors", min_rows=MIN_ROWS)
        if len(rows) > _MAX_ROWS:
            rows = rows[np.sort(np.random.default_rng(0).choice(len(rows), _MAX_ROWS, replace=False))]
        rows = np.asarray(rows, np.float32)
        norms = np.linalg.norm(rows, axis=1)
        units = unit_rows(rows)
        mean = units.mean(axis=0, dtype=np.float64)
        centered = units - mean
        # The smaller of the two products has all eigenvalues that are not 0.
        short = centered if centered.shape[0] >= centered.shape[1] else centered.T
        variances = np.linalg.eigvalsh(short.T @ short / len(centered))[::-1]
        leading = np.zeros(16)
        leading[: min(16, len(variances))] = variances[:16]
        return cls(
            check_text(name, "name"),
            rows.shape[1],
            bool(np.abs(norms - 1).max() < 2e-3),
            np.asarray(mean, np.float32),
            np.asarray(centered.std(axis=0), np.float32),
            np.asarray(leading / max(variances.sum(), 1e-12), np.float32),
        )

    def likeness(self, other: Fingerprint) -> dict[str, float]:
        """Return the similarities of two fingerprints of one width, from -1 or 0 to 1; 0 is chance.

        ``mean`` is the cosine of the mean directions, ``spread`` the correlation of the coordinates' log deviations
        from those of their neighbors, ``spectrum`` one minus half the distance of the leading shares.
        """
        lengths = float(np.linalg.norm(self.mean) * np.linalg.norm(other.mean))
        spreads = [_detrended(np.log(np.maximum(part.spread, 1e-9))) for part in (self, other)]
        varied = all(float(part.std()) > 0 for part in spreads)
        return {
            "mean": float(self.mean @ other.mean) / lengths if lengths else 0.0,
            "spread": float(np.corrcoef(spreads[0], spreads[1])[0, 1]) if varied else 0.0,
            "spectrum": 1 - float(np.abs(self.spectrum - other.spectrum).sum()) / 2,
        }


def _detrended(values: FloatArray) -> FloatArray:
    width = min(_TREND_WIDTH, max(1, len(values) // 8))
    padded = np.pad(values, width, mode="reflect")
    window = np.full(2 * width + 1, 1 / (2 * width + 1))
    return np.asarray(values - np.convolve(padded, window, "valid"))


@dataclass(frozen=True)
class Candidate:
    """A known model beside the collection.

    Attributes:
        name: the model.
        score: mean of the likeness in mean direction and spread; 0 is chance, 1 the same.
        similarities: of mean, spread and spectrum, as `Fingerprint.likeness` returns them.
    """

    name: str
    score: float
    similarities: dict[str, float]


@dataclass(frozen=True)
class Identification:
    """The answer of `identify`.

    Attributes:
        model: the name of a known model, or ``"unknown"``.
        reason: one sentence that explains the answer.
        candidates: known models of the same width, the highest score first.
        rows: rows that were used.
        d: width.
        unit: vectors have unit norm.
        grid: what the values look like: ``float32``, ``float16`` or ``int8`` precision.
    """

    model: str
    reason: str
    candidates: tuple[Candidate, ...]
    rows: int
    d: int
    unit: bool
    grid: str


def identify(vectors: Any, *, table: list[Fingerprint] | None = None) -> Identification:
    """Guess which known model made these vectors.

    Args:
        vectors: [n, d], at least 50 rows.
        table: known models; by default those that come with interlingua.

    Raises:
        InputError: too few rows, NaN, infinity or zero rows.
    """
    known = shipped() if table is None else _check_table(table)
    rows = check_matrix(vectors, "vectors", min_rows=MIN_ROWS)
    own = Fingerprint.of(rows)
    facts: dict[str, Any] = {"rows": min(len(rows), _MAX_ROWS), "d": own.d, "unit": own.unit, "grid": value_grid(rows)}
    widths = sorted({model.d for model in known})
    candidates = []
    for model in known:
        if model.d == own.d:
            parts = own.likeness(model)
            score = (max(parts["mean"], 0.0) + max(parts["spread"], 0.0)) / 2
            candidates.append(Candidate(model.name, round(score, 4), {k: round(v, 4) for k, v in parts.items()}))
    ranked = tuple(sorted(candidates, key=lambda candidate: -candidate.score))
    if not ranked:
        reason = f"No known model has {own.d} columns; known widths are {', '.join(map(str, widths)) or 'none'}."
        return Identification(UNKNOWN, reason, (), **facts)
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    if best.score < NEEDED:
        reason = (
            f"The best match of {len(ranked)} models of this width, {best.name}, scores {best.score:.2f}; {NEEDED} is "
            "needed. This is another model, or the vectors were rotated or centered."
        )
        return Identification(UNKNOWN, reason, ranked, **facts)
    if second is not None and best.score - second.score < MARGIN:
        reason = f"{best.name} ({best.score:.2f}) and {second.name} ({second.score:.2f}) are too close to choose."
        return Identification(UNKNOWN, reason, ranked, **facts)
    reason = f"Score {best.score:.2f} of 1; at least {NEEDED} is needed, and {MARGIN} more than any other model"
    reason += f"; runner-up: {second.name}, {second.score:.2f}." if second else "."
    return Identification(best.name, reason, ranked, **facts)


def value_grid(vectors: FloatArray) -> str:
    """Return the coarsest precision that holds all values of a sample: ``int8``, ``float16`` or ``float32``."""
    sample = np.asarray(vectors[:1_000], np.float32)
    # Values quantized to 8 bits with one scale have few distinct magnitudes in a row. They are tested first, because
    # float16 holds them exactly too if the scale is a power of 2.
    limit = min(129, sample.shape[1] // 2)
    if all(len(np.unique(np.abs(row))) <= limit for row in sample[:50]):
        return "int8"
    with np.errstate(over="ignore"):
        half = sample.astype(np.float16)
    return "float16" if np.array_equal(sample, half.astype(np.float32)) else "float32"


def _check_table(table: Any) -> list[Fingerprint]:
    if not isinstance(table, list | tuple) or not all(isinstance(model, Fingerprint) for model in table):
        raise InputError(f"table is {shown(table)}; a list of Fingerprint is needed, as load_table returns it.")
    return list(table)


def save_table(path: str | Path, table: list[Fingerprint]) -> None:
    """Write fingerprints as `.npz`: statistics only, no vector and no text.

    Raises:
        InputError: it is not a list of fingerprints, or the folder does not exist.
    """
    table = _check_table(table)
    arrays: dict[str, Any] = {"names": np.array([model.name for model in table])}
    for number, model in enumerate(table):
        arrays[f"{number}.unit"] = np.array(model.unit)
        for part in ("mean", "spread", "spectrum"):
            arrays[f"{number}.{part}"] = getattr(model, part).astype(np.float16)
    with atomic_file(check_path(path)) as fresh, fresh.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_table(path: str | Path) -> list[Fingerprint]:
    """Read what `save_table` wrote.

    Raises:
        InputError: it is not such a table.
    """
    try:
        with np.load(check_path(path), allow_pickle=False) as arrays:
            table = []
            for number, name in enumerate(arrays["names"].tolist()):
                mean, spread, spectrum = (
                    arrays[f"{number}.{part}"].astype(np.float32) for part in ("mean", "spread", "spectrum")
                )
                unit = bool(arrays[f"{number}.unit"])
                table.append(Fingerprint(name, len(mean), unit, mean, spread, spectrum))
            return table
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a table of fingerprints ({error}).") from error


def shipped() -> list[Fingerprint]:
    """Return the models that come with interlingua, measured by benchmarks/identify.py."""
    return load_table(Path(str(files("interlingua") / "fingerprints.npz")))
