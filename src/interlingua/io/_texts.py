"""Columns of texts and labels that belong to vectors row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from interlingua.core.arguments import check_flag, check_path
from interlingua.core.errors import InputError
from interlingua.io._checks import missing_file
from interlingua.io._json_vectors import json_kind

EXTENSIONS = ".txt (one per line), .jsonl, .jsonl.gz or .parquet"
_MAX_TEXT = 2**22


def read_texts(path: str | Path, column: str = "text", *, null_as_empty: bool = False) -> list[str]:
    """Read one text per row.

    Args:
        path: `.txt`, `.jsonl`, `.jsonl.gz` or `.parquet`.
        column: the column or field; a `.txt` has none and its lines, the blank ones too, are the texts.
        null_as_empty: read a null as an empty text; otherwise it is refused.

    Raises:
        InputError: no such file, column or format, or a row that holds no text.
    """
    path, null_as_empty = check_path(path), check_flag(null_as_empty, "null_as_empty")
    values = enumerate(_values(path, column))
    return ["" if value is None and null_as_empty else _text(path, row, value) for row, value in values]


def read_labels(path: str | Path, column: str = "label", *, null_as_empty: bool = False) -> list[tuple[str, ...]]:
    """Read the labels of every row: a text, or a list of texts where a row has several.

    Args:
        path: as for :func:`read_texts`.
        column: the column or field.
        null_as_empty: a row with a null has no label; otherwise it is refused.

    Raises:
        InputError: as :func:`read_texts`.
    """
    path, null_as_empty = check_path(path), check_flag(null_as_empty, "null_as_empty")
    rows = ([] if value is None and null_as_empty else value for value in _values(path, column))
    return [
        tuple(_text(path, row, item) for item in (value if isinstance(value, list) else [value]))
        for row, value in enumerate(rows)
    ]


def _values(path: Path, column: str) -> Iterator[Any]:
    if not path.is_file():
        raise missing_file(path)
    name = path.name.lower()
    if name.endswith(".txt"):
        try:
            # A byte order mark at the start is not part of the first text.
            with path.open(encoding="utf-8-sig") as stream:
                yield from (line.rstrip("\r\n") for line in stream)
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text ({_first_fault(path) or error.reason}); convert it.") from error
    elif name.endswith((".jsonl", ".jsonl.gz")):
        from interlingua.io._jsonl import json_lines

        for number, row in json_lines(path):
            if column not in row:
                raise InputError(f"{path}: line {number} has no field {column!r}; it has {', '.join(sorted(row)[:8])}.")
            yield row[column]
    elif name.endswith(".parquet"):
        from interlingua.io._parquet import column_values

        yield from column_values(path, column)
    else:
        raise InputError(f"{path} has extension '{path.suffix}'; texts are read from {EXTENSIONS}.")


def _first_fault(path: Path) -> str:
    """Return the reason and the place of the first bytes of a file that are no UTF-8.

    A stream decodes a file in parts, and its error counts from the start of a part.
    """
    before = 0
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"{error.reason} at byte {before + error.start:,}, in line {number}"
            before += len(line)
    return ""


def _text(path: Path, row: int, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f'{path}: row {row} holds {json_kind(value)}; a text is needed, or "" for a row without one.')
    if len(value) > _MAX_TEXT:
        raise InputError(
            f"{path}: the text of row {row} has {len(value):,} characters; at most {_MAX_TEXT:,} are read."
        )
    return value
