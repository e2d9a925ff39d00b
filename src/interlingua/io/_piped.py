"""Standard input and other pipes: copied to a temporary file, because every row is read twice."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zlib
from contextlib import nullcontext
from pathlib import Path

from interlingua.core.errors import InputError

STANDARD_INPUT = Path("-")
_HEAD_BYTES = 65_536


def is_pipe(path: Path) -> bool:
    """Return whether ``path`` is ``-``, which stands for standard input, a named pipe or another stream."""
    return path == STANDARD_INPUT or (path.exists() and not path.is_file() and not path.is_dir())


def copy_pipe(path: Path) -> Path:
    """Copy a pipe of JSON Lines or CSV, plain or packed by gzip, to a temporary file that only its owner can read.

    Returns:
        the file, with the extension of its format; the caller removes it.

    Raises:
        InputError: an empty pipe, or one of another format.
    """
    pipe = nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else path.open("rb")
    with pipe as stream:
        head = stream.read(_HEAD_BYTES)
        extension = _extension(head)
        if extension is None:
            problem = "holds neither" if head else "is empty"
            raise InputError(
                f"{path}: JSON Lines or CSV are needed from a pipe, which {problem}. "
                "Write other formats to a file first."
            )
        with tempfile.NamedTemporaryFile(prefix="interlingua-", suffix=extension, delete=False) as copy:
            copied = Path(copy.name)
            try:
                copy.write(head)
                shutil.copyfileobj(stream, copy)
            except BaseException:
                copied.unlink()
                raise
    return copied


def _extension(head: bytes) -> str | None:
    packed = head.startswith(b"\x1f\x8b")
    if packed:
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _HEAD_BYTES)
        except zlib.error:
            return None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        extension = ".jsonl"
    elif b"," in text.split(b"\n", 1)[0] and b"\0" not in text:
        extension = ".csv"
    else:
        return None
    return extension + ".gz" if packed else extension
