"""Vector files, collections and row samples as the commands read them, checked before any work begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.cli.collections import Collection, file_of
from interlingua.cli.options import check_effect, check_once
from interlingua.core.arguments import read_number
from interlingua.core.arrays import check_matrix
from interlingua.core.callbacks import OnRows
from interlingua.core.errors import InputError
from interlingua.core.values import named_row, python_values
from interlingua.core.wording import count_of, text_of
from interlingua.io import VectorFile, open_vectors

if TYPE_CHECKING:
    import numpy.typing as npt

    from interlingua.core.arrays import IntArray
    from interlingua.core.spaces import EmbeddingSpace
    from interlingua.core.translator import Translator

__all__ = [
    "SIDES",
    "Side",
    "check_different",
    "check_widths",
    "close_sides",
    "closing_sides",
    "drawn_rows",
    "naming_origins",
    "naming_sides",
    "open_all",
    "open_sides",
    "read_categories",
    "read_space",
    "side_columns",
    "side_names",
    "title_of",
    "without_comparison",
]

SIDES, _WHERE = ("source", "target"), ("where", "target_where")

Side = VectorFile | Collection


def open_sides(
    source: str,
    target: str,
    *,
    columns: Sequence[str] | None,
    keys: Sequence[str] | None,
    scales: Sequence[str] | None,
    where: tuple[str | None, str | None] = (None, None),
    skip_bad: bool = False,
) -> tuple[Side, Side]:
    """Open the files or collections of both sides; a name given once applies to the files of both.

    Args:
        source: path of a file, or address of a store.
        target: the same.
        columns: of ``--column``.
        keys: of ``--key``.
        scales: of ``--scale``.
        where: condition that rows of each store have to meet.
        skip_bad: read vectors that cannot be used as NaN.

    Raises:
        InputError: a file or store cannot be used, a name was given more than twice, or is of no use for a store.
    """
    names = zip(_for_both("--column", columns), _for_both("--key", keys), _for_both("--scale", scales), strict=True)
    opened: list[Side] = []
    try:
        for i, (address, chosen) in enumerate(zip((source, target), names, strict=True)):
            opened.append(_open_side(address, chosen, where[i], _WHERE[i], skip_bad=skip_bad))
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
    skip_bad: bool,
) -> tuple[Side, ...]:
    """Open a source and several candidate targets, which share the names given for the target; or a source alone.

    Raises:
        InputError: as `open_sides`.
    """
    if not targets:
        return (_open_alone(source, {"--column": columns, "--key": keys, "--scale": scales}, where, skip_bad=skip_bad),)
    first, second = open_sides(
        source, targets[0], columns=columns, keys=keys, scales=scales, where=where, skip_bad=skip_bad
    )
    files = [first, second]
    try:
        names = _for_both("--column", columns)[1], _for_both("--key", keys)[1], _for_both("--scale", scales)[1]
        files += [_open_side(address, names, where[1], _WHERE[1], skip_bad=skip_bad) for address in targets[1:]]
    except BaseException:
        close_sides(files)
        raise
    return tuple(files)


def _open_alone(
    source: str,
    options: Mapping[str, Sequence[str] | None],
    where: tuple[str | None, str | None],
    *,
    skip_bad: bool,
) -> Side:
    """Open a source without a target.

    Raises:
        InputError: as `open_sides`, or an option was given for a second file too.
    """
    for option, given in options.items():
        check_once(option, given)
    names = [_for_both(option, given)[0] for option, given in options.items()]
    opened = _open_side(source, names, where[0], _WHERE[0], skip_bad=skip_bad)
    if isinstance(opened, Collection):
        try:
            check_effect(options, "belongs to a file; name the column or vector of a store in its address.")
        except BaseException:
            opened.close()
            raise
    return opened


@contextmanager
def closing_sides(sides: Sequence[Side]) -> Iterator[None]:
    """Close the stores among the sides at the end."""
    try:
        yield
    finally:
        close_sides(sides)


def naming_sides(files: Sequence[Side]) -> AbstractContextManager[None]:
    """Name the file or the address of a side where an error marks its name: source, target, or that of a candidate."""
    return naming_origins(dict(zip(side_names(files), (str(file.path) for file in files), strict=True)))


@contextmanager
def naming_origins(origins: Mapping[str, str]) -> Iterator[None]:
    """Name the file or the address of a side where an error marks its name, given the origins by these names."""
    try:
        yield
    except InputError as error:
        error.name_origins(origins)
        raise


def _open_side(address: str, names: Sequence[str | None], where: str | None, argument: str, *, skip_bad: bool) -> Side:
    column, key, scale = names
    path = file_of(address)
    if path is None:
        return Collection(address, where, argument, skip_bad=skip_bad)
    if where is not None:
        message = f"{address} is a file, and rows of a file cannot be selected by a condition."
        raise InputError(message, f"Leave {{{argument}=...}} out.")
    return open_vectors(path, column=column, key=key, scale=_number(scale), skip_bad=skip_bad)


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
    stems = [title_of(file) for file in files[1:]]
    return ["source", *(stem if stems.count(stem) == 1 else path for stem, path in zip(stems, paths, strict=True))]


def title_of(side: Side) -> str:
    """Return the names of a collection, or the name of a file without its extension."""
    return side.title if isinstance(side, Collection) else text_of(Path(side.path.name.removesuffix(".gz")).stem)


def check_widths(
    files: Sequence[Side], translator: Translator, *, paired: bool = True, translated: bool = False
) -> None:
    """Refuse sides that a translator was not fitted on.

    Args:
        files: source and target.
        translator: the translator.
        paired: whether row i of both must be the same text.
        translated: whether the rows of the source are translations already.

    Raises:
        InputError: a width differs, or two files differ in rows.
    """
    widths = translator.d_target if translated else translator.d_source, translator.d_target
    for side, file, width in zip(SIDES, files, widths, strict=True):
        if file.d != width:
            if translated and side == "source":
                raise InputError(f"{file.path} has width {file.d}; translations by this translator have {width}.")
            hint = " Are source and target swapped?" if not translated and files[0].d == translator.d_target else ""
            raise InputError(f"{file.path} has width {file.d}; this translator's {side} has {width}.{hint}")
    if paired and files[0].n != files[1].n and not any(isinstance(file, Collection) for file in files):
        raise InputError(
            f"{files[0].path} has {count_of(files[0].n)} and {files[1].path} {files[1].n:,}; row i of both must be the "
            "same text. Pass the vectors of the same texts in the same order. If the files have ids, rows can be "
            "paired by them: write an input as file://PATH?id=COLUMN."
        )


def check_different(sides: Sequence[tuple[str, npt.NDArray[Any]]]) -> None:
    """Refuse sides of which most rows are the same vectors: they are of one model, so there is nothing to translate.

    Args:
        sides: name and vectors of the first side, and of each one that it is compared with.

    Raises:
        InputError: at least half of the rows of one side are also on another, in any order.
    """
    from interlingua.core.spaces import check_two_models

    (first, vectors), *others = sides
    for name, rows in others:
        both = f"{first} and {name} hold" if first != name else f"{first} was given for both sides, which hold"
        check_two_models(vectors, rows, both)


def read_space(
    file: Side,
    *,
    rows: int | None = None,
    seed: int = 0,
    usable: npt.NDArray[np.bool_] | None = None,
    with_ids: bool = False,
    show: str | None = None,
    name: str | None = None,
    on_rows: OnRows | None = None,
) -> EmbeddingSpace:
    """Read a file or collection, or ``rows`` of its rows drawn at random without replacement, in its order.

    Args:
        file: the file or collection.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        usable: whether each row can be used, where those that cannot are left out.
        with_ids: also read what names rows in reports: the ids, or the row numbers of a file without ids.
        show: a column whose values are added to the ids.
        name: of the space; by default the name of the file without its extension, or the names of the collection.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.

    Raises:
        InputError: rows that cannot be used, or no such column.
    """
    from interlingua.core.records import report_rows, select_rows
    from interlingua.core.spaces import EmbeddingSpace

    drawn = drawn_rows(file, rows, seed, usable)
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
    if with_ids and ids is None and (drawn is not None or show is not None):
        # A space numbers its own rows, and those of a sample have other numbers than the rows of the file.
        ids = [f"row {row:,}" for row in (range(file.n) if drawn is None else drawn.tolist())]
    if show is not None and with_ids:
        values = read_categories(file, show, rows=rows, seed=seed, usable=usable, option="--show")
        ids = [named_row(key, value) for key, value in zip(ids or (), values, strict=True)]
    name = name or title_of(file)
    if drawn is not None:
        check_matrix(vectors, name, whole=False)
    return EmbeddingSpace(vectors, ids=ids, name=name)


def read_categories(
    file: Side,
    column: str,
    *,
    rows: int | None = None,
    seed: int = 0,
    usable: npt.NDArray[np.bool_] | None = None,
    option: str = "--labels",
    of_sides: bool = True,
) -> list[Any]:
    """Read the categories of the rows that `read_space` reads with the same arguments; None where one is missing.

    Args:
        file: the file.
        column: the column that holds the categories.
        rows: number of rows to draw; None for all.
        seed: random seed of the draw.
        usable: whether each row can be used, where those that cannot are left out.
        option: that names the column, for the message.
        of_sides: whether the option can be given once for each side.

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
        twice = " Give the option twice if the columns of the two sides have different names." if of_sides else ""
        raise InputError(
            f"{option}: {file.path} has no column {column!r}; its columns are {', '.join(file.names)}.{twice}"
        )
    drawn = drawn_rows(file, rows, seed, usable)
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


def drawn_rows(file: Side, rows: int | None, seed: int, usable: npt.NDArray[np.bool_] | None = None) -> IntArray | None:
    """Return the sorted numbers of the rows to read, or None for all."""
    kept = None if usable is None or usable.all() else np.flatnonzero(usable)
    count = file.n if kept is None else len(kept)
    if rows is None or rows >= count:
        return kept
    drawn = np.sort(np.random.default_rng(seed).choice(count, rows, replace=False))
    return drawn if kept is None else kept[drawn]


def _number(scale: str | None) -> float | None:
    if scale is None or scale == "none":
        return None
    try:
        return read_number(scale)
    except ValueError as error:
        raise InputError(f"--scale is {scale!r}; a number is needed, or none for a side that has no scale.") from error


def _for_both(option: str, given: Sequence[str] | None) -> tuple[str | None, str | None]:
    if not given:
        return None, None
    if len(given) > 2:
        raise InputError(f"{option} was given {len(given)} times; give it once for both files, or twice for one each.")
    return given[0], given[-1]
