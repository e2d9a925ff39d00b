"""What was given to ``interlingua audit``, as its report shows it: options, the command line, and digests of files."""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

__all__ = ["command_line", "file_digests", "given_options"]

# Options whose value can be a command with arguments, which can hold a key.
_ENCODERS = ("--view-encoder",)


def given_options(context: typer.Context) -> dict[str, Any]:
    """Return the values that differ from their defaults, by option; arguments by their names."""
    values = {
        parameter.opts[0]: (context.params.get(parameter.name or ""), parameter.default)
        for parameter in context.command.params
    }
    return {option: value for option, (value, default) in values.items() if value not in (None, default, ())}


def command_line(context: typer.Context) -> str:
    """Return the command with all options that differ from their defaults; of an encoder, only its title."""
    from interlingua.encoders import encoder_title

    parts = context.command_path.split()
    for option, value in given_options(context).items():
        for item in value if isinstance(value, list | tuple) else [value]:
            named = [option] if option.startswith("-") else []
            shown = encoder_title(item) if option in _ENCODERS else str(item)
            parts += named if item is True else [*named, shown]
    return shlex.join(parts)


def file_digests(given: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its name; by its path if another file has the same name."""
    files = [
        file
        for path in dict.fromkeys(given)
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]
    names = Counter(file.name for file in files)
    return {file.name if names[file.name] == 1 else str(file): _sha256(file) for file in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
