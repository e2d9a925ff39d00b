"""What files are refused for, and which of their columns are the vectors and the ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray, surely_sound
from interlingua.core.errors import InputError
from interlingua.io._formats import FLOATS, INT8

VECTOR_NAMES = ("vector", "vectors", "embedding", "embeddings")
# The first is what a migration calls its ids where the payload has a column "id" of its own.
ID_NAMES = ("interlingua_id", "id", "ids", "_id")


class RowCheck:
    """Counts, over consecutive blocks of rows, those that have no direction, and where the first is."""

    def __init__(self) -> None:
        self._rows = 0
        self._found = {"hold NaN or infinity": [0, -1], "are all zeros, and a zero vector has no direction": [0, -1]}

    def add(self, vectors: FloatArray) -> bool:
        """Look at the next rows [b, d] and return whether any was bad so far."""
        if not surely_sound(vectors):
            bad = (~np.isfinite(vectors).all(axis=1), ~vectors.any(axis=1))
            for tally, rows in zip(self._found.values(), bad, strict=True):
                if rows.any():
                    tally[1] = tally[1] if tally[0] else self._rows + int(rows.argmax())
                    tally[0] += int(rows.sum())
        self._rows += len(vectors)
        return any(count for count, _ in self._found.values())

    def refuse(self, path: Path) -> None:
        """Refuse the rows seen if any was bad.

        Raises:
            InputError: how many rows of how many, which is the first, and why.
        """
        for what, (count, first) in self._found.items():
            if count:
                raise InputError(
                    f"{path}: {count} of {self._rows} rows {what}; the first is row {first}. Remove them and try again."
                )


def check_stored(dtype: np.dtype[Any], name: str, path: Path) -> np.dtype[Any]:
    """Return ``dtype`` in native byte order if it can hold vectors.

    Raises:
        InputError: object, bool, complex, string, structured or unsupported integer dtype.
    """
    if dtype.hasobject:
        raise InputError(
            f"{path}: {name} is an object array, which would need unpickling and is never loaded. "
            "Save a numeric matrix of shape [n, d], for example x.astype(np.float32)."
        )
    native = dtype.newbyteorder("=")
    if native != INT8 and native not in FLOATS:
        raise InputError(
            f"{path}: {name} has dtype {dtype}; float16, float32, float64, or int8 with a scale are needed. "
            "Convert it, for example with x.astype(np.float32)."
        )
    return native


def check_shape(shape: Sequence[int], name: str, path: Path) -> tuple[int, int]:
    """Return ``shape`` as (n, d) if it is a matrix with rows and columns.

    Raises:
        InputError: wrong rank, no rows or no columns.
    """
    if len(shape) != 2:
        raise InputError(
            f"{path}: {name} has shape {tuple(shape)}; a matrix of shape [n, d] is needed, one row a vector."
        )
    if min(shape) < 1:
        raise InputError(f"{path}: {name} has shape {tuple(shape)}; at least 1 row and 1 column are needed.")
    return int(shape[0]), int(shape[1])


def check_unused(path: Path, extension: str, **arguments: str | None) -> None:
    """Refuse names given for a format that has none of the kind.

    Raises:
        InputError: one of ``arguments`` is set.
    """
    for argument, value in arguments.items():
        if value is not None:
            raise InputError(f"{path}: {argument}={value!r} means nothing in a {extension} file; leave it out.")


def choose_vectors(candidates: Sequence[str], names: Sequence[str], asked: str | None, kind: str, path: Path) -> str:
    """Return the name of the vectors: the one asked for, the only one, or the one with a usual name.

    Args:
        candidates: names of what could be vectors.
        names: every name in the file.
        asked: the caller's choice, which need not be among the candidates: its own checks will say why.
        kind: ``"column"`` or ``"key"``, the argument's name.
        path: the file, for the message.

    Raises:
        InputError: no such name, no candidate, or several.
    """
    if asked is not None:
        if asked not in names:
            raise InputError(f"{path}: no {kind} {asked!r}; the file has {_listed(names)}.")
        return asked
    # Without a candidate the likeliest name is taken, for its own checks to say what is wrong with it.
    pool = candidates or names
    usual = [name for name in pool if name.lower() in VECTOR_NAMES]
    if len(pool) == 1 or len(usual) == 1:
        return (usual or list(pool))[0]
    if candidates:
        raise InputError(f"{path}: {_listed(candidates)} could all be the vectors. Choose one with {kind}=...")
    raise InputError(f"{path}: no {kind} holds vectors; the file has {_listed(names)}. Vectors form a matrix [n, d].")


def choose_ids(names: Sequence[str], asked: str | None, path: Path) -> str | None:
    """Return the name of the id column, or ``None`` when nothing is asked for and none has a usual name.

    Raises:
        InputError: the column asked for is not there.
    """
    if asked is not None and asked not in names:
        raise InputError(f"{path}: no id column {asked!r}; the file has {_listed(names)} beside the vectors.")
    return asked or next((name for name in ID_NAMES if name in names), None)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:20])
    return (shown + (f" and {len(names) - 20} more" if len(names) > 20 else "")) or "nothing"


def check_scale(scale: npt.ArrayLike, d: int, name: str) -> npt.NDArray[np.float32]:
    """Return an int8 scale as float32, of shape () or [d].

    Raises:
        InputError: another shape, or values that are not finite and positive.
    """
    try:
        values = np.asarray(scale, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: scale is {scale!r}; a number or one a column is needed.") from error
    if values.shape not in ((), (1,), (d,)):
        raise InputError(f"{name}: scale has shape {values.shape}; a number or shape ({d},) is needed.")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError(f"{name}: scale must be finite and greater than 0 everywhere.")
    return values
