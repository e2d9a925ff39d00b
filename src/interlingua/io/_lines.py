"""Files with a row a line: streamed, with the offsets of some rows, so that reading can begin at any row."""

from __future__ import annotations

import gzip
import zlib
from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from interlingua.core.errors import InputError
from interlingua.io._formats import AnyArray, Contents, Source

if TYPE_CHECKING:
    import pyarrow as pa

NOT_UTF8 = "is not UTF-8 text. Convert it, for example with iconv -f LATIN1 -t UTF-8."
UNPACKING = (EOFError, zlib.error, gzip.BadGzipFile)
_GZIP = b"\x1f\x8b"
_PACKED = {b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x04\x22\x4d\x18": "LZ4"}
# First bytes of files that are no text, and what they are.
_BINARY = {
    b"\x93NUMPY": "a .npy file",
    b"PK\x03\x04": "a zip file, such as .npz",
    b"PAR1": "a .parquet file",
    b"ARROW1": "an .arrow file",
    b"\x89HDF\r\n": "an HDF5 file",
    b"SQLite format 3": "an SQLite file",
}
_BOM = b"\xef\xbb\xbf"
# A scan records the offset of every 4096th row, so that reading from a later row need not parse the earlier ones.
MARK_ROWS = 4096


class Line(NamedTuple):
    """A line that is not blank, with the offset of its first byte and its number, from 1."""

    offset: int
    number: int
    text: bytes


class LineSource(Source):
    """Source over the lines of one file.

    Args:
        path: the file.
        contents: as its lines describe them.
        marks: offset and number of the line of every `MARK_ROWS`-th row.
        longest: limit of the bytes in a line.
        skipped: numbers of lines that are not rows.
    """

    def __init__(
        self,
        path: Path,
        contents: Contents,
        marks: list[tuple[int, int]],
        longest: int,
        skipped: Collection[int] = (),
    ) -> None:
        self.contents = contents
        self._skipped = frozenset(skipped)
        self._path = path
        self._marks = marks
        self._longest = longest

    def blocks(self, start: int, stop: int, size: int, *, others: bool) -> Iterator[tuple[AnyArray, pa.Table | None]]:
        """Yield rows as they are parsed."""
        parsed = (self._parse(line) for line in islice(self._lines(start), stop - start))
        while rows := list(islice(parsed, size)) if start < stop else []:
            columns, vectors = zip(*rows, strict=True)
            yield np.stack(vectors), self._table(columns) if others else None

    def _lines(self, start: int) -> Iterator[Line]:
        """Yield the lines from row ``start`` on."""
        offset, number = self._marks[start // MARK_ROWS]
        with open_lines(self._path) as file:
            file.seek(offset)
            lines = numbered_lines(self._path, file, self._longest, offset, number)
            rows = (line for line in lines if line.number not in self._skipped)
            yield from islice(rows, start % MARK_ROWS, None)

    @abstractmethod
    def _parse(self, line: Line) -> tuple[Any, AnyArray]:
        """Return the other columns of a row, in any form, and its vector [d]."""

    @abstractmethod
    def _table(self, columns: Sequence[Any]) -> pa.Table | None:
        """Return the other columns of rows as a table, or ``None`` if there are none."""


def open_lines(path: Path) -> IO[bytes]:
    """Open a file of lines, unpacked where its name ends in ``.gz``."""
    return cast(IO[bytes], gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb"))


def unpacking_error(path: Path, error: Exception, number: int) -> InputError:
    """Return the error for a file that gzip cannot unpack at the line of this number."""
    if number == 1 and isinstance(error, gzip.BadGzipFile) and not _is_packed(path):
        return InputError(f"{path} is not packed by gzip. Remove .gz from its name.")
    return InputError(f"{path}: line {number} cannot be unpacked ({error}). The file is truncated or damaged.")


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def check_head(path: Path, text: bytes) -> None:
    """Refuse a file of lines whose first bytes are packed, or not UTF-8.

    Args:
        path: for the message.
        text: the first bytes, unpacked where the name of the file ends in ``.gz``.

    Raises:
        InputError: text that is packed, or is UTF-16 or UTF-32, or a file of another format.
    """
    if text.startswith(_GZIP):
        is_named = path.name.lower().endswith(".gz")
        fault = "twice. Unpack it once." if is_named else "and its name does not say so. Add .gz to the name."
        raise InputError(f"{path} is packed by gzip {fault}")
    packed = next((name for start, name in _PACKED.items() if text.startswith(start)), None)
    if packed is not None:
        raise InputError(f"{path} is packed by {packed}, which is not read. Unpack it, or pack it with gzip.")
    kind = next((name for start, name in _BINARY.items() if text.startswith(start)), None)
    if kind is not None:
        raise InputError(f"{path} is not text, but {kind}. Give it the extension of its format.")
    # Text of ASCII characters has every second byte 0 in UTF-16, and three of four in UTF-32.
    halves = text[:32:2], text[1:32:2]
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or any(half and not any(half) for half in halves):
        raise InputError(
            f"{path} is not UTF-8 text: its first bytes are those of UTF-16 or UTF-32. "
            "Convert it, for example with iconv -f UTF-16 -t UTF-8."
        )
    if b"\0" in text[:64]:
        raise InputError(f"{path} is not text: there are zeros among its first bytes. Is the extension right?")


def numbered_lines(path: Path, file: IO[bytes], longest: int, offset: int = 0, number: int = 1) -> Iterator[Line]:
    """Yield the lines of a file that are not blank.

    Args:
        path: for the messages.
        file: opened by `open_lines`, at ``offset``.
        longest: limit of the bytes in a line.
        offset: of the first line.
        number: of the first line.

    Raises:
        InputError: a line that is too long or cannot be unpacked, or text in UTF-16 or UTF-32.
    """
    while True:
        try:
            text = file.readline(longest)
        except UNPACKING as error:
            raise unpacking_error(path, error, number) from error
        if not text:
            return
        if len(text) == longest:
            raise InputError(f"{path}: line {number} is longer than {longest} bytes. Is the extension right?")
        length = len(text)
        if number == 1:
            check_head(path, text)
            text = text.removeprefix(_BOM)
        if text.strip():
            yield Line(offset, number, text)
        offset, number = offset + length, number + 1
