"""What every export needs: the chosen direction, its folded form, its provenance, and a place to write to."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.translator import Translator


@dataclass(frozen=True, eq=False)
class Folded:
    """``y = norm_out * unit(weight @ unit(x) + bias)``, where the two ``unit`` may be left out.

    Attributes:
        weight: [d_out, d_in], float32.
        bias: [d_out], float32; holds both means, summed in float64.
        unit_in: whether rows are brought to unit norm first.
        unit_out: whether rows are brought to length ``norm_out`` at the end.
        norm_out: that length.
    """

    weight: FloatArray
    bias: FloatArray
    unit_in: bool
    unit_out: bool
    norm_out: float


def fold(mapping: AffineMap) -> Folded:
    """Return the map as one weight and one bias."""
    bias = np.asarray(mapping.mean_out, np.float64) - np.asarray(mapping.mean_in, np.float64) @ mapping.matrix
    weight = np.ascontiguousarray(mapping.matrix.T, np.float32)
    return Folded(weight, bias.astype(np.float32), mapping.unit_in, mapping.unit_out, float(mapping.norm_out))


def direction(translator: Translator, *, inverse: bool) -> VectorMap:
    """Return the map to export."""
    return translator.backward if inverse else translator.forward


def provenance(translator: Translator, *, inverse: bool) -> dict[str, str]:
    """Return where an export comes from, as texts for a file's header."""
    card = translator.card
    ends = [str((card.get(side) or {}).get("name") or side) for side in ("source", "target")]
    verdict = card.get("verdict") or {}
    here, there = reversed(ends) if inverse else ends
    return {
        "from": here,
        "to": there,
        "method": str(card.get("method", "")),
        "verdict": str(verdict.get("status", "none")),
        "translator": translator.fingerprint(),
    }


@contextmanager
def fresh(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """Yield a place beside ``path`` that takes its name at the end, and only then.

    Raises:
        OutputExistsError: ``path`` is there; exports replace nothing.
        InputError: its name does not end in ``suffix``.
    """
    if suffix and path.suffix.lower() != suffix:
        raise InputError(f"{path} has extension '{path.suffix}'; {suffix} is needed here.")
    if path.exists():
        raise OutputExistsError(f"{path} exists and an export replaces nothing; choose another name or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{path.name}.tmp")
    _remove(place)
    try:
        yield place
        place.rename(path)
    finally:
        _remove(place)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
