"""Standard output and standard error of a command in any encoding."""

from __future__ import annotations

import codecs
import contextlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["any_encoding"]

_IN_ASCII = "interlingua.in_ascii"
# What the tables and messages of the commands write beyond ASCII.
_SIGNS = {"≥": ">=", "≤": "<=", "±": "+/-", "–": "-", "…": "..."}


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return ASCII in place of characters that an encoding lacks: of signs what they mean, otherwise question marks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_SIGNS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


codecs.register_error(_IN_ASCII, _replace)


@contextmanager
def any_encoding() -> Iterator[None]:
    """Write ASCII in place of characters that the encoding of a stream lacks, for example in a pipe on Windows."""
    streams: list[Any] = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    before = [stream.errors for stream in streams]
    _set_errors(streams, [_IN_ASCII] * len(streams))
    try:
        yield
    finally:
        _set_errors(streams, before)


def _set_errors(streams: list[Any], errors: list[str]) -> None:
    for stream, name in zip(streams, errors, strict=True):
        # A stream may be closed, or take no more.
        with contextlib.suppress(OSError, ValueError):
            stream.reconfigure(errors=name)
