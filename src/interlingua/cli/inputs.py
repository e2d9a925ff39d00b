"""Vector files, known pairs and row samples as the commands read them, checked before any work begins."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.cli.collections import Collection, check_same_order, file_of, read_same_ids
from interlingua.cli.options import check_effect
from interlingua.core.errors import InputError
from interlingua.core.values import python_values
from interlingua.io import VectorFile, open_vectors

if TYPE_CHECKING:
    from interlingua.core.arrays import IntArray
    from interlingua.core.spaces import EmbeddingSpace
    from interlingua.core.translator import Translator

__all__ = [
    "SIDES",
    "Side",
    "check_widths",
    "close_sides",
    "closing_sides",
    "fit_title",
    "open_all",
    "open_sides",
    "read_categories",
    "read_paired",
    "read_pairs",
    "read_space",
    "side_columns",
    "side_names",
    "without_comparison",
]

SIDES, _WHERE = ("source", "target"), ("where", "target_where")

Side = VectorFile | Collection
_OnRows = Callable[[str, int, int], None]


def open_sides(
    source: str,
    target: str,
    *,
    columns: Sequence[str] | None,
    keys: Sequence[str] | None,
    scales: Sequence[str] | None,
    where: tuple[str | None, str | None] = (None, None),
) -> tuple[Side, Side]:
    """Open the files or collections of both sides; a name given once applies to the files of both.

    Args:
        source: path of a file, or address of a store.
        target: the same.
        columns: of ``--column``.
        keys: of ``--key``.
        scales: of ``--scale``.
        where: condition that rows of each store have to meet.

    Raises:
        InputError: a file or store cannot be used, a name was given more than twice, or is of no use for a store.
    """
    names = zip(_for_both("--column", columns), _for_both("--key", keys), _for_both("--scale", scales), strict=True)
    opened: list[Side] = []
    try:
        for i, (address, chosen) in enumerate(zip((source, target), names, strict=True)):
            opened.append(_open_side(address, *chosen, where[i], _WHERE[i]))
        if not any(isinstance(side, VectorFile) for side in opened):
            given = {"--column": columns, "--key": keys, "--scale": scales}
            check_effect(given, "belongs to a file; name the column or vector of a store in its address.")
    except BaseException:
        close_sides(opened)
        raise
    return opened[0], opened[1]


def open_all(
    source: str,
    targets: Sequence[str],
    *,
    columns: Sequence[str] | None,
    keys: Sequence[str] | None,
    scales: Sequence[str] | None,
    where: tuple[str | None, str | None],
) -> tuple[Side, ...]:
    """Open a source and its candidate targets, which share the names given for the target.

    Raises:
        InputError: as `open_sides`.
    """
    first, second = open_sides(source, targets[0], columns=columns, keys=keys, scales=scales, where=where)
    files = [first, second]
    try:
        names = _for_both("--column", columns)[1], _for_both("--key", keys)[1], _for_both("--scale", scales)[1]
        files += [_open_side(address, *names, where[1], _WHERE[1]) for address in targets[1:]]
    except BaseException:
        close_sides(files)
        raise
    return tuple(files)


@contextmanager
def closing_sides(sides: Sequence[Side]) -> Iterator[None]:
    """Close the stores among the sides at the end."""
    try:
        yield
    finally:
        close_sides(sides)


def _open_side(
    address: str, column: str | None, key: str | None, scale: str | None, where: str | None, argument: str
) -> Side:
    path = file_of(address)
    if path is None:
        return Collection(address, where, argument)
    if where is not None:
        message = f"{address} is a file, and rows of a file cannot be selected by a condition."
        raise InputError(message, f"Leave {{{argument}=...}} out.")
    return open_vectors(path, column=column, key=key, scale=_number(scale))


def close_sides(sides: Sequence[Side]) -> None:
    """Close the stores among the sides; a file holds nothing open."""
    for side in sides:
        if isinstance(side, Collection):
            side.close()


def side_names(files: Sequence[Side]) -> list[str]:
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
    stems = [_title(file) for file in files[1:]]
    return ["source", *(stem if stems.count(stem) == 1 else path for stem, path in zip(stems, paths, strict=True))]


def _title(side: Side) -> str:
    return side.title if isinstance(side, Collection) else Path(side.path.name.removesuffix(".gz")).stem


def check_widths(files: Sequence[Side], translator: Translator, *, paired: bool = True) -> None:
    """Refuse sides that a translator was not fitted on.

    Args:
        files: source and target.
        translator: the translator.
        paired: whether row i of both must be the same text.

    Raises:
        InputError: a width differs, or two files differ in rows.
    """
    for side, file, width in zip(SIDES, files, (translator.d_source, translator.d_target), strict=True):
        if file.d != width:
            hint = " Are source and target swapped?" if files[0].d == translator.d_target else ""
            raise InputError(f"{file.path} has width {file.d}; this translator's {side} has {width}.{hint}")
    if paired and files[0].n != files[1].n and not any(isinstance(file, Collection) for file in files):
        raise InputError(
            f"{files[0].path} has {files[0].n} rows and {files[1].path} {files[1].n}; row i of both must be the same "
            "text. Pass the vectors of the same texts in the same order. If the files have ids, rows can be paired by "
            "them: write an input as file://PATH?id=COLUMN."
        )


def read_space(
    file: Side,
    *,
    rows: int | None = None,
    seed: int = 0,
    with_ids: bool = False,
    show: str | None = None,
    name: str | None = None,
    on_rows: _OnRows | None = None,
) -> EmbeddingSpace:
    """Read a file or collection, or ``rows`` of its rows drawn at random without replacement, in its order.

    Args:
        file: the file or collection.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        with_ids: also read the ids, if there are any; they name rows in reports.
        show: a column whose values are added to the ids.
        name: of the space; by default the name of the file without its extension, or the names of the collection.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.

    Raises:
        InputError: rows that cannot be used, or no such column.
    """
    from interlingua.core.records import report_rows, select_rows
    from interlingua.core.spaces import EmbeddingSpace

    drawn = _drawn(file, rows, seed)
    vectors, ids = None, None
    if isinstance(file, VectorFile):
        ids = file.ids() if with_ids else None
        ids = ids if ids is None or drawn is None else ids.take(drawn)
        ids = None if ids is None else ids.to_pylist()
        vectors = file.vectors(on_rows=on_rows) if drawn is None else None
    if vectors is None:
        parts = []
        read: list[Any] | None = [] if ids is None and with_ids and isinstance(file, Collection) else None
        pages = report_rows(file.batches(), file.n, on_rows)
        for page in pages if drawn is None else select_rows(pages, drawn):
            parts.append(page.vectors)
            if read is not None:
                read += page.ids.to_pylist()
        vectors, ids = np.concatenate(parts), ids if read is None else read
    if show is not None and with_ids:
        values = read_categories(file, show, rows=rows, seed=seed, option="--show")
        numbers = range(file.n) if drawn is None else drawn.tolist()
        ids = [f"{key}: {value}" for key, value in zip(ids or numbers, values, strict=True)]
    return EmbeddingSpace(vectors, ids=ids, name=name or _title(file))


def read_paired(
    files: Sequence[Side],
    *,
    rows: int | None,
    seed: int,
    with_ids: bool,
    show: Sequence[str | None] = (None, None),
    on_rows: _OnRows | None = None,
) -> list[EmbeddingSpace]:
    """Read the rows of both sides that are the same text: by their number in two files, by their ids in a store.

    Args:
        files: source and target.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        with_ids: also read the ids.
        show: a column of each side whose values are added to the ids.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.

    Raises:
        InputError: rows that cannot be used, no such column, or no ids in common.
    """
    from interlingua.core.spaces import EmbeddingSpace

    if not any(isinstance(file, Collection) for file in files):
        check_same_order(*(file for file in files if isinstance(file, VectorFile)))
        return [
            read_space(file, rows=rows, seed=seed, with_ids=with_ids, show=column, on_rows=on_rows)
            for file, column in zip(files, show, strict=True)
        ]
    paired = read_same_ids(files, rows=rows, seed=seed, show=show, on_rows=on_rows)
    return [
        EmbeddingSpace(vectors, ids=names if with_ids else None, name=_title(file))
        for vectors, names, file in zip(paired.vectors, paired.names, files, strict=True)
    ]


def read_categories(
    file: Side, column: str, *, rows: int | None = None, seed: int = 0, option: str = "--labels"
) -> list[Any]:
    """Read the categories of the rows that `read_space` reads with the same arguments; None where one is missing.

    Args:
        file: the file.
        column: the column that holds the categories.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        option: that names the column, for the message.

    Raises:
        InputError: the file has no such column.
    """
    from interlingua.core.records import select_rows

    if not file.names:
        raise InputError(
            f"{option}: {file.path} has no column {column!r} and no other column than its vectors and ids. Use a "
            "format with columns, such as .parquet or .jsonl."
        )
    if column not in file.names:
        raise InputError(
            f"{option}: {file.path} has no column {column!r}; its columns are {', '.join(file.names)}. Give the option "
            "twice where the two files use different names."
        )
    drawn = _drawn(file, rows, seed)
    pages = file.batches() if drawn is None else select_rows(file.batches(), drawn)
    return [value for page in pages if page.payload is not None for value in python_values(page.payload.column(column))]


def side_columns(option: str, given: Sequence[str] | None) -> tuple[str, str] | None:
    """Return the column of each side that an option names, or None where the option was not given.

    Raises:
        InputError: the option was given more than twice.
    """
    first, second = _for_both(option, given)
    return None if first is None or second is None else (first, second)


def without_comparison(translator: Translator) -> Any:
    """Return an object that translates both ways without a comparison of the rows with the fitted spaces."""
    return SimpleNamespace(
        translate=partial(translator.translate, allow_foreign=True),
        invert=partial(translator.invert, allow_foreign=True),
    )


def fit_title(source: EmbeddingSpace, target: EmbeddingSpace) -> str:
    """Return what a fit of two spaces does, for the display of its progress."""
    return f"Aligning {source.n:,} x {source.d} with {target.n:,} x {target.d}"


def read_pairs(path: Path, files: Sequence[Side], *, rows: int | None) -> IntArray:
    """Read known pairs [p, 2] of (source row, target row).

    Raises:
        InputError: the file cannot be read, holds anything but two columns of row numbers, or names missing rows.
    """
    if rows is not None:
        raise InputError(
            "--rows and --sample draw rows at random and --pairs names rows of the whole files; use one of the two."
        )
    for file in files:
        if isinstance(file, Collection):
            raise InputError(
                f"--pairs names rows by their number, and the rows of {file.path} have none. Write both sides to files."
            )
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
        with path.open(newline="", encoding="utf-8-sig") as stream:
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


def _drawn(file: Side, rows: int | None, seed: int) -> IntArray | None:
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
