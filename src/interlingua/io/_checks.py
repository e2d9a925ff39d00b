"""Checks of embedding files, and the choice of the columns that hold vectors and ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from interlingua.core.errors import InputError
from interlingua.core.wording import none_of
from interlingua.io._formats import BFLOAT16, FLOATS, INT8, UINT8

# A scheme of more than one letter, which is no drive of Windows; a path keeps one of the two slashes after it.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:[/\\]")
VECTOR_NAMES = ("vector", "vectors", "embedding", "embeddings")
# The first is what a migration calls its ids where the payload has a column "id" of its own. Case does not matter.
ID_NAMES = (
    "interlingua_id",
    "id",
    "ids",
    "_id",
    "docid",
    "doc_id",
    "document_id",
    "custom_id",
    "recordid",
    "uuid",
    "pk",
    "__index_level_0__",  # what pandas calls an index without a name
)
# What to do about a column, a vector or a file in which no row has a vector.
FILL_ONE = (
    "Name a column or file whose rows have vectors, or fill this one. To embed texts, any vector in one row is enough."
)
# What to do about a file without rows.
NAME_ROWS = "Name a file that has rows."


def no_vectors(where: object, count: int, place: str = "", *, noun: str = "row", which: str = "") -> InputError:
    """Return the error for a column, or a vector of a collection, that no row has a value in.

    Args:
        where: the file or the address.
        count: number of rows, at least 1.
        place: ``" in column 'x'"`` or the like, where ``where`` does not say it.
        noun: what the rows are.
        which: words after the noun, as for `none_of`.
    """
    found = none_of(count, noun, f"has a vector{place}", f"has no vector{place}", which=which)
    needed = "" if count == 1 else "; at least one must have one"
    return InputError(f"{where}: {found}{needed}. {FILL_ONE}")


def missing_file(path: Path) -> InputError:
    """Return the error for a file that does not exist, which may be meant as the address of a store."""
    if _ADDRESS.match(str(path)):
        return InputError(
            f"{path}: no such file. It looks like an address, and the path of a file is needed here. If it is the "
            "address of a store, `interlingua migrate` can write its translated vectors to a file."
        )
    return InputError(f"{path}: no such file. Check the path.")


def check_stored(dtype: np.dtype[Any], name: str, path: Path, *, shifted: bool = False) -> np.dtype[Any]:
    """Return ``dtype`` in native byte order if it can hold vectors; bfloat16 is returned as float32.

    Args:
        dtype: as stored.
        name: the array or column, for the message.
        path: the file, for the message.
        shifted: whether an offset is known, without which uint8 may be packed bits.

    Raises:
        InputError: object, bool, complex, string, structured or unsupported integer dtype.
    """
    if dtype.hasobject:
        raise InputError(
            f"{path}: {name} is an object array, which would need unpickling and is never loaded. "
            "Save a numeric matrix of shape [n, d], for example x.astype(np.float32)."
        )
    native = dtype.newbyteorder("=")
    if native == BFLOAT16:
        return np.dtype(np.float32)
    if native == UINT8 and not shifted:
        raise InputError(
            f"{path}: {name} has dtype uint8, which is ambiguous. If it holds packed bits, save "
            "np.unpackbits(x, axis=1) * 2.0 - 1 instead; if it holds quantized values, pass or store their scale and "
            "offset; if the integers are the values, save x.astype(np.float32)."
        )
    if native not in (INT8, UINT8, *FLOATS):
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
            f"{path}: {name} has shape {tuple(shape)}; a matrix of shape [n, d] is needed, one row per vector."
        )
    if min(shape) < 1:
        advice = NAME_ROWS if shape[0] < 1 else FILL_ONE
        raise InputError(f"{path}: {name} has shape {tuple(shape)}; at least 1 row and 1 column are needed. {advice}")
    return int(shape[0]), int(shape[1])


def check_output(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that is one of the inputs, also through a link or another spelling of its path.

    Raises:
        InputError: writing the output would destroy an input.
    """
    for source in inputs:
        if source.is_dir() and source.resolve() in path.resolve().parents:
            raise InputError(
                f"{path} is inside the input folder {source} and would become part "
                "of the input. Choose a path outside it."
            )
        if path.exists() and source.exists() and path.samefile(source):
            raise InputError(f"{path} is the input {source} itself, which is never overwritten. Choose another name.")


def list_parquet(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder and its subfolders, without hidden and bookkeeping files.

    Raises:
        InputError: a link that leads nowhere.
    """
    files = (path for path in folder.rglob("*") if path.name.lower().endswith(".parquet"))
    visible = (path for path in files if not any(part[0] in "._" for part in path.relative_to(folder).parts))
    found = sorted(path for path in visible if not path.is_dir())
    for path in found:
        if not path.exists():
            raise InputError(f"{path} is a link to a file that does not exist. Remove it, or restore the file.")
    return [path for path in found if path.is_file()]


def check_unused(path: Path, extension: str, **arguments: str | None) -> None:
    """Refuse arguments that have no meaning for a format.

    Raises:
        InputError: one of ``arguments`` is set.
    """
    for argument, value in arguments.items():
        if value is not None:
            raise InputError(f"{path}:", f"{{{argument}={value!r}}} means nothing in a {extension} file; leave it out.")


class AmbiguousVectorsError(InputError):
    """Several columns or arrays could be the vectors.

    Attributes:
        kind: ``"column"`` or ``"key"``, the argument that names one.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message, f"Choose one with {{{kind}=...}}.")
        self.kind = kind


def choose_vectors(
    candidates: Sequence[str], names: Sequence[str], requested: str | None, kind: str, path: Path | str
) -> str:
    """Return the name of the vectors: the requested name, the only candidate, or the candidate with a usual name.

    Args:
        candidates: names of the columns or arrays that could be vectors.
        names: every name in the file.
        requested: the caller's choice. It need not be a candidate; later checks say what is wrong with it.
        kind: ``"column"`` or ``"key"``, the argument's name.
        path: the file, or the address of a table, for the message.

    Raises:
        AmbiguousVectorsError: several candidates.
        InputError: no such name, or no candidate.
    """
    holder = "file" if isinstance(path, Path) else "table"
    if requested is not None:
        if requested not in names:
            raise InputError(f"{path}: no {kind} {requested!r}; the {holder} has {_listed(names)}.")
        return requested
    # Without a candidate, return the likeliest name: later checks then say what is wrong with it.
    pool = candidates or names
    usual = [name for name in pool if name.lower() in VECTOR_NAMES]
    if len(pool) == 1 or len(usual) == 1:
        return (usual or list(pool))[0]
    if candidates:
        raise AmbiguousVectorsError(f"{path}: {_listed(candidates)} could all be the vectors.", kind)
    raise InputError(
        f"{path}: no {kind} holds vectors; the {holder} has {_listed(names)}. Vectors form a matrix [n, d]."
    )


def choose_ids(names: Sequence[str], requested: str | None, path: Path) -> str | None:
    """Return the name of the id column: the requested name, or a usual one, or ``None``.

    Raises:
        InputError: there is no column of the requested name.
    """
    if requested is not None and requested not in names:
        raise InputError(f"{path}: no id column {requested!r}; the file has {_listed(names)} beside the vectors.")
    by_lower_case = {name.lower(): name for name in reversed(names)}
    return requested or next((by_lower_case[name] for name in ID_NAMES if name in by_lower_case), None)


def _listed(names: Sequence[str]) -> str:
    quoted = ", ".join(repr(name) for name in names[:20])
    return (quoted + (f" and {len(names) - 20} more" if len(names) > 20 else "")) or "nothing"


def check_scale(
    value: npt.ArrayLike, d: int, where: str, argument: Literal["scale", "offset", "zero_point"] = "scale"
) -> npt.NDArray[np.float32]:
    """Return a scale, offset or zero point of 8-bit integers as float32, of shape (), [1] or [d].

    Raises:
        InputError: another shape, values that are not finite, or a scale that is not positive.
    """
    try:
        values = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {argument} is {value!r}; a number or one per column is needed.") from error
    if values.shape not in ((), (1,), (d,)):
        raise InputError(f"{where}: {argument} has shape {values.shape}; a number or shape ({d},) is needed.")
    if argument == "scale" and not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError(f"{where}: scale must be finite and greater than 0 everywhere.")
    if not np.isfinite(values).all():
        raise InputError(f"{where}: {argument} has values that are not finite; finite numbers are needed.")
    return values
