"""Vector files, known pairs and row samples as the commands read them, checked before any work begins."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.errors import InputError

if TYPE_CHECKING:
    from interlingua.core.arrays import IntArray
    from interlingua.core.spaces import EmbeddingSpace
    from interlingua.core.translator import Translator
    from interlingua.io import VectorFile

__all__ = [
    "check_widths",
    "fit_title",
    "label_columns",
    "open_sides",
    "read_categories",
    "read_pairs",
    "read_space",
    "side_names",
]

SIDES = ("source", "target")


def open_sides(
    source: Path,
    target: Path,
    *,
    columns: Sequence[str] | None,
    keys: Sequence[str] | None,
    scales: Sequence[str] | None,
) -> tuple[VectorFile, VectorFile]:
    """Open the files of both sides; a name given once applies to both.

    Raises:
        InputError: a file cannot be used, or a name was given more than twice.
    """
    from interlingua.io import open_vectors

    names = zip(_for_both("--column", columns), _for_both("--key", keys), _for_both("--scale", scales), strict=True)
    first, second = (
        open_vectors(path, column=column, key=key, scale=_number(scale))
        for path, (column, key, scale) in zip((source, target), names, strict=True)
    )
    return first, second


def side_names(files: Sequence[VectorFile]) -> list[str]:
    """Return ``source`` and ``target``; where several targets follow, the names of their files, which must differ.

    Raises:
        InputError: a file is named twice.
    """
    if len(files) == len(SIDES):
        return list(SIDES)
    paths = [str(file.path) for file in files[1:]]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is named more than once as a target; name each candidate once.")
    stems = [_stem(file.path) for file in files[1:]]
    return ["source", *(stem if stems.count(stem) == 1 else path for stem, path in zip(stems, paths, strict=True))]


def _stem(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem


def check_widths(files: Sequence[VectorFile], translator: Translator) -> None:
    """Refuse files that a translator was not fitted on.

    Raises:
        InputError: a width differs, or the sides differ in rows.
    """
    for side, file, width in zip(SIDES, files, (translator.d_source, translator.d_target), strict=True):
        if file.d != width:
            hint = " Are source and target swapped?" if files[0].d == translator.d_target else ""
            raise InputError(f"{file.path} has width {file.d}; this translator's {side} has {width}.{hint}")
    if files[0].n != files[1].n:
        raise InputError(
            f"{files[0].path} has {files[0].n} rows and {files[1].path} {files[1].n}; row i of both must be the same "
            "text. Pass the vectors of the same texts in the same order."
        )


def read_space(file: VectorFile, *, rows: int | None = None, seed: int = 0, with_ids: bool = False) -> EmbeddingSpace:
    """Read a file, or ``rows`` of its rows drawn at random without replacement, in file order.

    Args:
        file: the file; its name without extension becomes the name of the space.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        with_ids: also read the ids, if the file has any; they name rows in reports.

    Raises:
        InputError: rows that cannot be used.
    """
    from interlingua.core.records import select_rows
    from interlingua.core.spaces import EmbeddingSpace

    name = _stem(file.path)
    ids = file.ids() if with_ids else None
    drawn = _drawn(file, rows, seed)
    if drawn is None:
        return EmbeddingSpace(file.vectors(), ids=None if ids is None else ids.to_pylist(), name=name)
    sample = np.concatenate([page.vectors for page in select_rows(file.batches(), drawn)])
    return EmbeddingSpace(sample, ids=None if ids is None else ids.take(drawn).to_pylist(), name=name)


def read_categories(file: VectorFile, column: str, *, rows: int | None = None, seed: int = 0) -> list[Any]:
    """Read the categories of the rows that `read_space` reads with the same arguments; None where one is missing.

    Args:
        file: the file.
        column: the column that holds the categories.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.

    Raises:
        InputError: the file has no such column.
    """
    from interlingua.core.records import select_rows

    if column not in file.names:
        raise InputError(
            f"--labels: {file.path} has no column {column!r}; its columns are {', '.join(file.names) or 'none'}. Give "
            "the option twice where the two files use different names."
        )
    drawn = _drawn(file, rows, seed)
    pages = file.batches() if drawn is None else select_rows(file.batches(), drawn)
    return [value for page in pages if page.payload is not None for value in page.payload.column(column).to_pylist()]


def label_columns(given: Sequence[str] | None) -> tuple[str, str] | None:
    """Return the column of each side that ``--labels`` names, or None where the option was not given.

    Raises:
        InputError: the option was given more than twice.
    """
    first, second = _for_both("--labels", given)
    return None if first is None or second is None else (first, second)


def fit_title(source: EmbeddingSpace, target: EmbeddingSpace) -> str:
    """Return what a fit of two spaces does, for the display of its progress."""
    return f"Aligning {source.n:,} x {source.d} with {target.n:,} x {target.d}"


def read_pairs(path: Path, files: Sequence[VectorFile], *, rows: int | None) -> IntArray:
    """Read known pairs [p, 2] of (source row, target row).

    Raises:
        InputError: the file cannot be read, holds anything but two columns of row numbers, or names missing rows.
    """
    if rows is not None:
        raise InputError("--rows draws rows at random and --pairs names rows of the whole files; use one of the two.")
    if not path.is_file():
        raise InputError(f"--pairs {path} is not a file; give a .npy, .csv or .tsv of (source row, target row).")
    delimiter = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower())
    if delimiter is not None:
        pairs = _read_table(path, delimiter)
    elif path.suffix.lower() == ".npy":
        try:
            pairs = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"--pairs {path} cannot be read as .npy ({error}).") from error
    else:
        raise InputError(f"--pairs {path} has extension '{path.suffix}'; .npy, .csv or .tsv is needed.")
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu" or not len(pairs):
        raise InputError(f"--pairs {path} holds {pairs.dtype} {pairs.shape}; integers [p, 2] with p >= 1 are needed.")
    for side, file, column in zip(SIDES, files, pairs.T, strict=True):
        wrong = column[(column < 0) | (column >= file.n)]
        if len(wrong):
            raise InputError(f"--pairs {path} names {side} row {wrong[0]}; {file.path} has rows 0 to {file.n - 1}.")
    return np.asarray(pairs, np.int64)


def _read_table(path: Path, delimiter: str) -> IntArray:
    """Return two columns of integers; a first line without numbers is a header."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            lines = [line for line in csv.reader(stream, delimiter=delimiter) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--pairs {path} cannot be read as a table ({error}).") from error
    if lines and not any(cell.strip().lstrip("-").isdecimal() for cell in lines[0]):
        del lines[0]
    pairs = []
    for number, line in enumerate(lines, 1):
        try:
            source, target = map(int, line)
        except ValueError as error:
            raise InputError(f"--pairs {path}: pair {number} reads {line}; two row numbers are needed.") from error
        pairs.append((source, target))
    return np.asarray(pairs, np.int64).reshape(-1, 2)


def _drawn(file: VectorFile, rows: int | None, seed: int) -> IntArray | None:
    """Return the sorted numbers of the rows to read, or None for all."""
    if rows is None or rows >= file.n:
        return None
    return np.sort(np.random.default_rng(seed).choice(file.n, rows, replace=False))


def _number(scale: str | None) -> float | None:
    if scale is None or scale == "none":
        return None
    try:
        return float(scale)
    except ValueError as error:
        raise InputError(f"--scale is {scale!r}; a number is needed, or none for a side that has no scale.") from error


def _for_both(option: str, given: Sequence[str] | None) -> tuple[str | None, str | None]:
    if not given:
        return None, None
    if len(given) > 2:
        raise InputError(f"{option} was given {len(given)} times; give it once for both files, or twice for one each.")
    return given[0], given[-1]
