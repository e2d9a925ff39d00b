"""Commands as encoders: running one, reading its vectors as they are written, and what it says where it fails."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np

from interlingua.core.arguments import read_number
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.wording import count_of

__all__ = ["CommandEncoder", "masked", "with_role"]

_NPY = b"\x93NUMPY"
# Most bytes of the output that are read at a time, of a vector as text, and of what is read of the messages.
_CHUNK, _LONGEST, _LAST = 1 << 16, 1 << 24, 1 << 16
# Blank lines that are left out, in addition to one for each text.
_BLANK = 1_000
# Bytes within which an .npy has its header, and most columns of its matrix.
_HEADER, _MOST_COLUMNS = 1 << 16, 1 << 20
# Seconds in which a program whose output cannot be used may end by itself, so that its own error is the one shown.
_GRACE = 1.0
_SECRET_NAME = (
    r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|(?:api|access|private)?[_-]?key|auth\w*|bearer)"
)
_SECRETS = (
    # user:password@ in a URL
    (re.compile(r"(?<=://)[^\s/@]*:[^\s/@]*(?=@)"), "***"),
    # after a name with : or =, and after a name alone where it is no word of a sentence
    (re.compile(rf"({_SECRET_NAME}['\"]?\s*[:=]\s*)(?:bearer\s+)?['\"]?[^\s'\",;]+", re.IGNORECASE), r"\1***"),
    (re.compile(rf"(\b{_SECRET_NAME}(?:\s+is)?\s+)['\"]?(?=\S*\d)[^\s'\",;]+", re.IGNORECASE), r"\1***"),
    # as services write their keys, and any other long mixture of letters and digits
    (re.compile(r"\b(?:sk|pk|hf|gh[opsu]|glpat|xox[a-z]|AKIA)[-_]?[A-Za-z0-9_-]{12,}"), "***"),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])\w{20,}\b"), "***"),
)


def masked(text: str, words: list[str]) -> str:
    """Return what a program said, with asterisks for what looks like a password, a key or a token.

    Args:
        text: the message.
        words: the program and its arguments.
    """
    known = [value for name, value in os.environ.items() if re.search(_SECRET_NAME, name, re.IGNORECASE)]
    for option, value in zip(words, [*words[1:], ""], strict=True):
        name, equals, rest = option.partition("=")
        # As --key VALUE, --key=VALUE, or KEY=VALUE after the program env.
        if (equals or name.startswith("-")) and re.search(_SECRET_NAME, name, re.IGNORECASE):
            known.append(rest if equals else value)
    for value in known:
        # Short values, such as 1 of TOKENIZERS_PARALLELISM, are parts of other words.
        if len(value) >= 4:  # noqa: PLR2004
            text = text.replace(value, "***")
    for pattern, mask in _SECRETS:
        text = pattern.sub(mask, text)
    return text


@dataclass(frozen=True)
class CommandEncoder:
    """Runs a command for each call.

    Attributes:
        words: the program and its arguments.
        role: which of several encoders it is, for messages, such as ``"target"``.
    """

    words: list[str]
    role: str = ""

    def __call__(self, texts: list[str], on_texts: Callable[[int, int], None] | None = None) -> FloatArray:
        """Return the vectors [n, d] of texts.

        Raises:
            InputError: the program cannot be run, fails, or writes something else than one vector for each text.
        """
        lines = "".join(" ".join(text.splitlines()) + "\n" for text in texts)
        program = f"The {self.role + ' ' if self.role else ''}encoder's program {self.words[0]}"
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
            given.write(lines.encode())
            given.seek(0)
            try:
                process = subprocess.Popen(self.words, stdin=given, stdout=subprocess.PIPE, stderr=errors)
            except OSError as error:
                raise InputError(f"{program} cannot be run ({error.strerror}).") from error
            fault, rows, ended = None, None, True
            with process:
                try:
                    rows = _read(process, program, len(texts), on_texts)
                except InputError as error:
                    fault = error
                    ended = _wait(process)
                except BaseException:
                    process.kill()
                    raise
            said = _last_line(errors)
        if fault is not None and not ended:
            raise fault
        if process.returncode > 0:
            reason = f": {masked(said, self.words)[:200].rstrip('. ')}" if said else ""
            raise InputError(f"{program} ended with exit code {process.returncode}{reason}.")
        if fault is not None:
            raise fault
        if process.returncode:
            raise InputError(f"{program} was ended by signal {-process.returncode}.")
        if rows is None or len(rows) != len(texts):
            found = 0 if rows is None else len(rows)
            raise InputError(
                f"{program} wrote {count_of(found, 'vector')} for {count_of(len(texts), 'text')}; one per text is "
                "needed."
            )
        return rows


def with_role(encode: Callable[[list[str]], Any], role: str) -> Callable[[list[str]], Any]:
    """Return an encoder whose messages say which of several encoders it is; one that is no command as it is."""
    return replace(encode, role=role) if isinstance(encode, CommandEncoder) else encode


def _wait(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a program ends by itself within a moment, and end it otherwise: it may write without end."""
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        return False
    return True


def _last_line(errors: IO[bytes]) -> str:
    """Return the last line that a program wrote on standard error."""
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _LAST))
    lines = errors.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else ""


def _read(
    process: subprocess.Popen[bytes], program: str, count: int, on_texts: Callable[[int, int], None] | None
) -> FloatArray:
    """Return the vectors that a program writes, at most one more than there are texts.

    Raises:
        InputError: something else than vectors, or too many; the program may still be writing.
    """
    chunks = _chunks(process)
    first = next(chunks, b"")
    while 0 < len(first) < len(_NPY) and _NPY.startswith(first) and (more := next(chunks, b"")):
        first += more
    if first.startswith(_NPY):
        return _read_npy(first, chunks, program, count)
    rows = list[list[float]]()
    rest, read = first, 0
    while rest:
        *lines, rest = rest.split(b"\n")
        for line in lines:
            _take(line, rows, program, count)
        read += len(lines)
        if read - len(rows) > count + _BLANK:
            raise InputError(f"{program} wrote {count_of(read - len(rows), 'blank line')} among vectors.")
        if len(rest) > _LONGEST:
            raise InputError(f"{program} wrote a line of more than {_LONGEST:,} bytes.")
        if on_texts is not None:
            on_texts(len(rows), count)
        more = next(chunks, b"")
        if not more:
            _take(rest, rows, program, count)
            break
        rest += more
    # What float32 cannot hold becomes infinity, which whoever takes the vectors refuses.
    with np.errstate(over="ignore"):
        return np.array(rows, np.float32)


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    while process.stdout is not None and (chunk := os.read(process.stdout.fileno(), _CHUNK)):
        yield chunk


def _take(line: bytes, rows: list[list[float]], program: str, count: int) -> None:
    """Append the vector of a line to those of the lines before; a blank line has none.

    Raises:
        InputError: the line holds something else, or there are more vectors than texts.
    """
    if not line.strip():
        return
    number = len(rows) + 1
    try:
        row = [read_number(word) for word in line.replace(b",", b" ").strip(b" []\r\t").split()]
        if not row:
            raise ValueError("it has no numbers")
    except ValueError as error:
        raise InputError(
            f"{program} wrote no vector in line {number}; a JSON array or numbers between spaces "
            "or commas are needed, and nothing else on standard output."
        ) from error
    if rows and len(row) != len(rows[0]):
        raise InputError(
            f"{program} wrote {count_of(len(row), 'number')} in line {number} and {len(rows[0])} in line 1; "
            "all vectors need one width."
        )
    if number > count:
        raise InputError(
            f"{program} wrote more than {count_of(count, 'vector')} for {count_of(count, 'text')}; one per text is "
            "needed."
        )
    rows.append(row)


def _read_npy(start: bytes, chunks: Iterator[bytes], program: str, count: int) -> FloatArray:
    """Return the matrix of an ``.npy``, of which no more is read than its header announces.

    Raises:
        InputError: a damaged file, or another number of vectors than of texts.
    """
    damaged = f"{program} wrote a damaged .npy"
    written = bytearray(start)
    while len(written) < _HEADER and (chunk := next(chunks, b"")):
        written += chunk
    header = io.BytesIO(bytes(written[:_HEADER]))
    try:
        version = np.lib.format.read_magic(header)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(header)
    except (ValueError, EOFError) as error:
        raise InputError(f"{damaged} ({error}).") from error
    if len(shape) == 0 or shape[0] != count:
        raise InputError(
            f"{program} wrote {count_of(shape[0] if shape else 0, 'vector')} for {count_of(count, 'text')}; one per "
            "text is needed."
        )
    if len(shape) != 2 or not 0 < shape[1] <= _MOST_COLUMNS or dtype.kind not in "fiu":  # noqa: PLR2004
        raise InputError(
            f"{program} wrote an .npy of {dtype} and shape {shape}; a number matrix with a row for each text is needed."
        )
    needed = header.tell() + shape[0] * shape[1] * dtype.itemsize
    while len(written) <= needed and (chunk := next(chunks, b"")):
        written += chunk
    if len(written) > needed:
        raise InputError(f"{program} wrote more than one .npy on standard output.")
    try:
        return np.asarray(np.load(io.BytesIO(written), allow_pickle=False))
    except (ValueError, EOFError) as error:
        raise InputError(f"{damaged} ({error}).") from error
