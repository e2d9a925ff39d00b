"""`.vec`: a word and its values a line, separated by spaces, as word2vec, fastText and GloVe write them; streamed.

A first line of two integers is the header of word2vec, rows and width. The words are the ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from interlingua.core.errors import InputError
from interlingua.io._checks import check_shape, check_unused
from interlingua.io._formats import AnyArray, Contents, Request

_MAX_LINE = 2**24
# The scan records the offset of every 4096th row, so that reading from a later row need not parse the earlier ones.
_MARK_ROWS = 4096
_SCHEMA = pa.schema([("word", pa.string())])


class WordSource:
    """Source over the lines of one file."""

    def __init__(self, path: Path, contents: Contents, marks: list[int], first_line: int) -> None:
        self.contents = contents
        self._path = path
        self._marks = marks
        self._first_line = first_line

    def matrix(self) -> AnyArray | None:
        """Return ``None``: text cannot be mapped."""
        return None

    def ids(self) -> pa.Array | None:
        """Return the words."""
        n, d = self.contents.shape
        return pa.array([_split(line, d)[0].decode() for _, line in self._rows(0, n)], pa.string())

    def blocks(self, start: int, stop: int, size: int, *, side: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield rows as they are parsed."""
        d = self.contents.shape[1]
        words, vectors = list[str](), list[AnyArray]()
        for row, line in self._rows(start, stop):
            word, values = _split(line, d)
            try:
                words.append(word.decode())
                vectors.append(np.array(values, np.float64).astype(np.float32))
                if len(values) != d:
                    raise ValueError(f"{len(values)} values")
            except ValueError as error:
                raise InputError(
                    f"{self._path}: line {self._first_line + row} is no word in UTF-8 with {d} numbers ({error}). "
                    "The file is damaged, or its words contain tabs or line breaks."
                ) from error
            if len(words) == size or row == stop - 1:
                yield np.stack(vectors), pa.table([words], schema=_SCHEMA) if side else None
                words, vectors = [], []

    def _rows(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        if start >= stop:
            return
        with self._path.open("rb") as file:
            row = start - start % _MARK_ROWS
            file.seek(self._marks[start // _MARK_ROWS])
            while row < stop:
                line = file.readline(_MAX_LINE)
                if not line:
                    return
                if line.strip():
                    if row >= start:
                        yield row, line
                    row += 1


def open_source(path: Path, request: Request) -> WordSource:
    """Read every line once to count them; the first row decides the width."""
    check_unused(path, ".vec", column=request.column, key=request.key, id_column=request.id_column)
    marks, n, d, announced = list[int](), 0, 0, None
    with path.open("rb") as file:
        begin, header_lines = 0, 0
        for line in iter(lambda: file.readline(_MAX_LINE), b""):
            if len(line) == _MAX_LINE:
                raise InputError(
                    f"{path}: line {n + 1} is longer than {_MAX_LINE} bytes. Is it a file of word vectors?"
                )
            parts = line.split()
            if begin == 0 and len(parts) == 2 and all(part.isdigit() for part in parts):
                announced, header_lines = (int(parts[0]), int(parts[1])), 1
            elif parts:
                if n % _MARK_ROWS == 0:
                    marks.append(begin)
                d = d or (announced[1] if announced else len(parts) - 1)
                n += 1
            begin = file.tell()
    shape = check_shape((n, max(d, 0)), "the list of words", path)
    first = _first_values(path, header_lines)
    # Before the values there may be more words, but not more numbers.
    extra = first[: len(first) - d]
    if announced is not None and (announced[0] != n or len(first) < d or (extra and all(map(_is_number, extra)))):
        raise InputError(
            f"{path}: the header announces {announced[0]} words of {announced[1]} values, and the file has {n} lines, "
            f"the first of {len(first)} values. It is truncated or cut from a larger file."
        )
    contents = Contents(shape, np.dtype(np.float32), None, "vectors", "word", _SCHEMA)
    return WordSource(path, contents, marks, 1 + header_lines)


def _first_values(path: Path, header_lines: int) -> list[bytes]:
    with path.open("rb") as file:
        lines = [file.readline(_MAX_LINE) for _ in range(header_lines + 1)]
    return lines[-1].split()[1:]


def _is_number(text: bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _split(line: bytes, d: int) -> tuple[bytes, list[bytes]]:
    """Return the word, which may contain spaces, and the values."""
    word, *values = line.strip().rsplit(None, d)
    return word, values
