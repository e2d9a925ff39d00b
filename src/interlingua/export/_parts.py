"""Parts of every export: the chosen direction, its folded form, its provenance, and the output file or folder."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interlingua.core.arguments import check_flag, shown
from interlingua.core.arrays import FloatArray
from interlingua.core.atomic import atomic_file, atomic_folder, check_writable
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
        norm_out: length of the rows at the end.
    """

    weight: FloatArray
    bias: FloatArray
    unit_in: bool
    unit_out: bool
    norm_out: float


def fold(mapping: AffineMap) -> Folded:
    """Return the map as one weight and one bias."""
    weight = np.ascontiguousarray(mapping.matrix.T, np.float32)
    return Folded(weight, mapping.offset, mapping.unit_in, mapping.unit_out, float(mapping.norm_out))


def direction(translator: Translator, *, inverse: bool) -> VectorMap:
    """Return the map to export.

    Raises:
        InputError: ``translator`` is not a translator, or ``inverse`` not a flag.
    """
    if not isinstance(translator, Translator):
        raise InputError(f"translator is {shown(translator)}; a Translator is needed, as interlingua.load returns it.")
    check_flag(inverse, "inverse")
    return translator.backward if inverse else translator.forward


def provenance(translator: Translator, *, inverse: bool) -> dict[str, str]:
    """Return where an export comes from, as texts for a file's header."""
    card = translator.card
    ends = [str((card.get(side) or {}).get("name") or side) for side in ("source", "target")]
    verdict = card.get("verdict") or {}
    origin, destination = reversed(ends) if inverse else ends
    return {
        "from": origin,
        "to": destination,
        "method": str(card.get("method", "")),
        "verdict": str(verdict.get("status", "none")),
        "translator": translator.fingerprint(),
    }


def new_file(path: Path, suffix: str) -> AbstractContextManager[Path]:
    """Return a context with a temporary file that becomes ``path`` when it ends.

    Raises:
        OutputExistsError: ``path`` exists.
        InputError: its name does not end in ``suffix``.
    """
    if path.suffix.lower() != suffix:
        raise InputError(f"{path} has extension '{path.suffix}'; {suffix} is needed.")
    _prepare(path)
    return atomic_file(path, overwrite=False)


def new_folder(path: Path) -> AbstractContextManager[Path]:
    """Return a context with an empty temporary folder that becomes ``path`` when it ends.

    Raises:
        OutputExistsError: ``path`` exists.
    """
    _prepare(path)
    return atomic_folder(path)


def _prepare(path: Path) -> None:
    check_writable(path)
    if path.exists():
        raise OutputExistsError(f"{path} exists and an export replaces nothing; choose another name or remove it.")
    path.parent.mkdir(parents=True, exist_ok=True)
