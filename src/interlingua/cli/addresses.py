"""Vectors, texts and labels of a file or of a collection of a store, by its address."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from interlingua.cli import console
from interlingua.cli.collections import Collection, file_of
from interlingua.cli.inputs import closing_sides, read_categories, read_space
from interlingua.cli.options import check_effect
from interlingua.cli.same_ids import read_ids
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of

if TYPE_CHECKING:
    from interlingua.core.arrays import FloatArray, IntArray

__all__ = [
    "name_of",
    "read_label_rows",
    "read_plain_vectors",
    "read_row_ids",
    "read_text_rows",
    "read_true_labels",
    "read_true_texts",
    "read_vectors",
]

# Enough for a line with a vector or a long text.
_LONGEST_LINE = 2**20


def read_plain_vectors(address: str, option: str = "") -> FloatArray:
    """Read vectors [n, d] as float32 for an option that has no --column, --key or --scale.

    Args:
        address: the file or the address of a store.
        option: the option, if it holds vectors of texts, so that texts can be given to it by mistake.

    Raises:
        InputError: they cannot be read; of a file of texts, the message says that vectors are needed.
    """
    if option and _holds_texts(address):
        raise InputError(
            f"{option} is {address}, which holds texts; vectors of these texts are needed. Embed the texts first, with "
            "the encoder that the help of the option names, and give the file of their vectors."
        )
    try:
        return np.asarray(read_vectors(address), np.float32)
    except InputError as error:
        if not error.remedy:
            raise
        # The options that a remedy names are those of VECTORS alone.
        raise InputError(f"{error.args[0]} Give a file that holds these vectors alone, as floats.") from error


def _holds_texts(address: str) -> bool:
    """Return whether a file holds texts and no vectors: lines of text, or JSON lines whose first has no list."""
    path = file_of(address)
    if path is None or not path.is_file():
        return False
    extension = path.suffix.lower()
    if extension == ".txt":
        return True
    # Of a table, the error of reading it says that no column holds vectors.
    if extension != ".jsonl":
        return False
    with path.open("rb") as stream:
        try:
            first = json.loads(stream.readline(_LONGEST_LINE))
        except ValueError:
            return False
    values = first.values() if isinstance(first, dict) else ()
    return any(isinstance(value, str) for value in values) and not any(isinstance(value, list) for value in values)


def read_vectors(
    address: str, column: str | None = None, key: str | None = None, scale: float | None = None
) -> FloatArray:
    """Return the vectors [n, d] of a file or of a collection, as they are stored.

    Each call reads the collection once, so it must not change between them.

    Raises:
        InputError: they cannot be read, or an option of files was given for a store.
    """
    from interlingua.io import open_vectors

    path = file_of(address)
    if path is not None:
        return open_vectors(path, column=column, key=key, scale=scale).vectors()
    named = {"--column": column, "--key": key, "--scale": scale}
    check_effect(named, "belongs to a file; name the column or vector of a store in its address.")
    with _opened(address) as collection:
        if collection.nulls:
            verbs = ("has", "is") if collection.nulls == 1 else ("have", "are")
            more = f"{count_of(collection.nulls, 'more row')} {verbs[0]} no vector and {verbs[1]} left out"
            console.note(f"{address}: {more}")
        return read_space(collection).vectors


def read_row_ids(
    address: str, rows: IntArray, column: str | None = None, key: str | None = None, scale: float | None = None
) -> dict[int, str]:
    """Return the ids of some rows as text, by the numbers of the rows; those without an id are left out.

    Args:
        address: path of a file, or address of a store; nothing is read of a pipe, which can be read only once.
        rows: numbers of the rows in ascending order.
        column: as for :func:`read_vectors`.
        key: the same.
        scale: the same.

    Raises:
        InputError: the ids cannot be read.
    """
    from interlingua.io import open_vectors

    path = file_of(address)
    if path is not None:
        if not (path.is_file() or path.is_dir()):
            return {}
        file = open_vectors(path, column=column, key=key, scale=scale)
        keys = [] if file.id_name is None else list(read_ids(file, rows))
    else:
        with _opened(address) as collection:
            has_ids = collection.file is None or collection.file.id_name is not None
            keys = list(read_ids(collection, rows)) if has_ids else []
    return {row: key for row, key in zip(rows.tolist(), keys, strict=False) if key is not None}


def read_text_rows(
    address: str, column: str, option: str = "--text-column", *, null_as_empty: bool = False
) -> list[str]:
    """Read one text for each row of a file or of a collection.

    Each call reads the collection once, so it must not change between them.

    Args:
        address: path of a file, or address of a store.
        column: the column that holds the texts.
        option: that names the column or the address, for messages.
        null_as_empty: read a null as an empty text; otherwise it is refused.

    Raises:
        InputError: the texts cannot be read, or a row has none.
    """
    from interlingua.io import read_texts

    path = file_of(address)
    if path is not None:
        return read_texts(path, column, null_as_empty=null_as_empty)
    with _opened(address) as collection:
        texts = read_categories(collection, column, option=option, of_sides=False)
    if null_as_empty:
        texts = ["" if text is None else text for text in texts]
    _check_present(address, column, "text", (isinstance(text, str) for text in texts))
    return texts


def read_label_rows(address: str, column: str, *, null_as_empty: bool = False) -> list[tuple[str, ...]]:
    """Read the labels of each row of a file or of a collection.

    Each call reads the collection once, so it must not change between them.

    Args:
        address: path of a file, or address of a store.
        column: the column that holds the labels.
        null_as_empty: a row with a null has no label; otherwise it is refused.

    Raises:
        InputError: the labels cannot be read, or a row has none.
    """
    from interlingua.io import read_labels

    path = file_of(address)
    if path is not None:
        return read_labels(path, column, null_as_empty=null_as_empty)
    with _opened(address) as collection:
        values = read_categories(collection, column, option="--label-column", of_sides=False)
    if null_as_empty:
        values = [[] if value is None else value for value in values]
    rows = [value if isinstance(value, list) else [value] for value in values]
    _check_present(address, column, "label", (all(item is not None for item in items) for items in rows))
    return [tuple(map(str, items)) for items in rows]


def read_true_texts(address: str, column: str) -> list[str]:
    """Read the true text of each row, an empty one where it is not known; how many these are is noted.

    Raises:
        InputError: the texts cannot be read.
    """
    texts = read_text_rows(address, column, null_as_empty=True)
    _note_unknown(address, column, "text", [bool(text.strip()) for text in texts])
    return texts


def read_true_labels(address: str, column: str) -> list[tuple[str, ...]]:
    """Read the true labels of each row, none where they are not known; how many these are is noted.

    Raises:
        InputError: the labels cannot be read.
    """
    labels = read_label_rows(address, column, null_as_empty=True)
    _note_unknown(address, column, "label", [any(map(str.strip, row)) for row in labels])
    return labels


def _note_unknown(address: str, column: str, what: str, known: Sequence[bool]) -> None:
    path, missing = file_of(address), len(known) - sum(known)
    where = "" if path is not None and path.suffix.lower() == ".txt" else f" in {column!r}"
    if missing:
        have, they = ("has", "it counts") if missing == 1 else ("have", "they count")
        console.note(
            f"{address}: {missing:,} of {count_of(len(known))} {have} no {what}{where}; {they} as unknown, and figures "
            f"that are measured with the true {what}s leave such rows out."
        )


def _check_present(address: str, column: str, what: str, present: Iterable[bool]) -> None:
    """Refuse a column of a collection in which a row has no text or no label.

    Raises:
        InputError: the first row of which `present` is False.
    """
    missing = next((row for row, is_there in enumerate(present) if not is_there), None)
    if missing is not None:
        raise InputError(f"{address}: column {column!r} holds no {what} in row {missing} (counted from 0).")


@contextmanager
def _opened(address: str) -> Iterator[Collection]:
    collection = Collection(address)
    with closing_sides([collection]):
        yield collection


def name_of(address: str) -> str:
    """Return the name of a file without its folders, or the address of a store."""
    path = file_of(address)
    return address if path is None else path.name
