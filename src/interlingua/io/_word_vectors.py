"""`.vec`: a word and its values per line, separated by spaces, as word2vec, fastText and GloVe write them; streamed.

A first line of two integers is the header of word2vec, rows and width. The words are the ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import read_number
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.wording import count_of
from interlingua.io._checks import check_shape, check_unused
from interlingua.io._formats import AnyArray, Contents, Request
from interlingua.io._lines import MARK_ROWS, Line, LineSource, numbered_lines

_MAX_LINE = 2**24
_FRACTION = re.compile(rb"[-+]?\d*\.\d+(e[-+]?\d+)?", re.IGNORECASE)
_SCHEMA = pa.schema([("word", pa.string())])


class WordSource(LineSource):
    """Source over the lines of one file."""

    def ids(self) -> pa.Array | None:
        """Return the words."""
        d = self.contents.shape[1]
        return pa.array([_split(line.text, d)[0].decode() for line in self._lines(0)], pa.string())

    def _parse(self, line: Line) -> tuple[str, AnyArray]:
        d = self.contents.shape[1]
        word, values = _split(line.text, d)
        try:
            if len(values) != d:
                raise ValueError(f"{len(values)} values")
            if b"_" in b"".join(values):
                raise ValueError("one has an underscore")
            return word.decode(), np.array(values, np.float64).astype(np.float32)
        except ValueError as error:
            raise UnusableRowError(
                f"{self._path}: line {line.number} is not a word in UTF-8 followed by {d} numbers ({error}). "
                "The file is damaged, or its words contain tabs or line breaks."
            ) from error

    def _table(self, columns: Sequence[str]) -> pa.Table | None:
        return pa.table([columns], schema=_SCHEMA)


def open_source(path: Path, request: Request) -> WordSource:
    """Read every line once to count them; the first row decides the width."""
    check_unused(path, ".vec", column=request.column, key=request.key, id_column=request.id_column)
    marks, n, d, announced = list[tuple[int, int]](), 0, 0, None
    first_word, first = b"", list[bytes]()
    skipped: dict[int, str] = {}
    with path.open("rb") as file:
        for line in numbered_lines(path, file, _MAX_LINE):
            parts = line.text.split()
            if line.number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                announced = int(parts[0]), int(parts[1])
                continue
            if request.skip_bad and (n or announced) and not _is_row(line.text, d or (announced or (0, 0))[1]):
                skipped[line.number] = f"line {line.number}"
                continue
            if n % MARK_ROWS == 0:
                marks.append((line.offset, line.number))
            if not n:
                first_word, first, d = parts[0], parts[1:], announced[1] if announced else len(parts) - 1
            n += 1
    if announced is None and first_word and _FRACTION.fullmatch(first_word):
        raise InputError(
            f"{path}: the first line begins with a number where a word is needed, and it would be lost. Write a word "
            "before the values of each line, or a header with the numbers of words and values."
        )
    shape = check_shape((n, max(d, 0)), "the list of words", path)
    # Before the values there may be more words, but not more numbers.
    extra = first[: len(first) - d]
    if announced is not None and (
        announced[0] != n + len(skipped) or len(first) < d or (extra and all(map(_is_number, extra)))
    ):
        words, values = count_of(announced[0], "word"), count_of(announced[1], "value")
        raise InputError(
            f"{path}: the header announces {words} of {values}, and the file has {count_of(n, 'line')}, the first of "
            f"{count_of(len(first), 'value')}. It is truncated or cut from a larger file."
        )
    dtype, labels = np.dtype(np.float32), list(skipped.values())
    contents = Contents(shape, dtype, None, "vectors", "word", _SCHEMA, skipped=labels)
    return WordSource(path, contents, marks, _MAX_LINE, skipped)


def _is_row(text: bytes, d: int) -> bool:
    """Return whether a line is a word in UTF-8 with d numbers."""
    word, values = _split(text, d)
    try:
        word.decode()
    except UnicodeDecodeError:
        return False
    return len(values) == d and all(map(_is_number, values))


def _is_number(text: bytes) -> bool:
    try:
        read_number(text)
    except ValueError:
        return False
    return True


def _split(line: bytes, d: int) -> tuple[bytes, list[bytes]]:
    """Return the word, which may contain spaces, and the values."""
    word, *values = line.strip().rsplit(None, d)
    return word, values
