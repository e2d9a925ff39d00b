"""Encoders of texts: sentence-transformers models, a folder or a name on the Hub, and commands."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.arguments import check_choice, check_count, check_text
from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError

__all__ = ["Encode", "command_encoder", "encoder_title", "open_encoder", "sentence_encoder"]

# Embeds texts: returns their vectors [n, d].
Encode = Callable[[list[str]], Any]

_COMMAND = "command:"
_NPY = b"\x93NUMPY"
_TASKS = ("query", "document")
# Windows writes paths with backslashes, which a shell of POSIX would read as escapes.
_BACKSLASH_ESCAPES = os.name != "nt"


def open_encoder(
    name: str, *, device: str | None = "cpu", task: str | None = None
) -> Callable[[list[str]], FloatArray]:
    """Return the function from texts to vectors [n, d] that a name stands for.

    Args:
        name: ``command:`` followed by a command, as `command_encoder` runs it; or a sentence-transformers folder or
            name on the Hub, optionally with ``@`` and a revision, as `sentence_encoder` loads it.
        device: of a sentence-transformers model.
        task: ``"query"`` or ``"document"`` for texts of a search; a sentence-transformers model then uses the prompt
            that it has for them. A command is not told.

    Raises:
        InputError: the model cannot be loaded, or there is no such command.
        MissingExtraError: sentence-transformers is needed and not installed.
    """
    name = check_text(name, "name")
    device = None if device is None else check_text(device, "device")
    task = None if task is None else check_choice(task, "task", _TASKS)
    if name.startswith(_COMMAND):
        return command_encoder(name.removeprefix(_COMMAND))
    model, _, revision = (name, "", "") if Path(name).exists() else name.partition("@")
    return sentence_encoder(model, revision=revision or None, device=device, task=task)


def encoder_title(name: str) -> str:
    """Return a name for the space of an encoder: of a command only its program, since its arguments can hold a key."""
    if not check_text(name, "name").startswith(_COMMAND):
        return name
    words = _words(name.removeprefix(_COMMAND))
    return f"command {Path(words[0]).name}"


def command_encoder(command: str) -> Callable[[list[str]], FloatArray]:
    """Return a function from texts to vectors [n, d] that runs a command for each call, without a shell.

    The command reads one text per line, in UTF-8, on standard input. A line break within a text becomes a space. On
    standard output it writes one vector per line, as a JSON array or as numbers between spaces or commas; or all
    vectors in the format ``.npy``.

    Args:
        command: program and arguments, quoted as for a shell. On Windows a backslash is an ordinary character.

    Raises:
        InputError: there is no such program.
    """
    words = _words(check_text(command, "command"))
    program = words[0]
    if shutil.which(program) is None:
        raise InputError(f"The encoder's program {program} does not exist or cannot be run; check its path.")

    def encode(texts: list[str]) -> FloatArray:
        lines = "".join(" ".join(text.splitlines()) + "\n" for text in texts)
        try:
            ran = subprocess.run(words, input=lines.encode(), capture_output=True, check=False)
        except OSError as error:
            raise InputError(f"The encoder's program {program} cannot be run ({error.strerror}).") from error
        if ran.returncode:
            said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = f": {said[-1][:200]}" if said else ""
            raise InputError(f"The encoder's program {program} ended with exit code {ran.returncode}{reason}.")
        return _read_vectors(ran.stdout, program, len(texts))

    return encode


def _words(command: str) -> list[str]:
    text = command if _BACKSLASH_ESCAPES else command.replace("\\", "\\\\")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"The encoder's command cannot be read ({error}); quote it as for a shell.") from error
    if not words:
        raise InputError("The encoder's command is empty; write command:PROGRAM ARGUMENTS.")
    return words


def _read_vectors(written: bytes, program: str, count: int) -> FloatArray:
    """Return the vectors [count, d] that a command wrote."""
    if written.startswith(_NPY):
        try:
            rows = np.load(io.BytesIO(written), allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"The encoder's program {program} wrote a damaged .npy ({error}).") from error
    else:
        values: list[list[float]] = []
        for number, line in enumerate(filter(bytes.strip, written.splitlines()), 1):
            try:
                values.append([float(word) for word in line.replace(b",", b" ").strip(b" []").split()])
            except ValueError as error:
                raise InputError(
                    f"The encoder's program {program} wrote no vector in line {number}; a JSON array or numbers "
                    "between spaces or commas are needed, and nothing else on standard output."
                ) from error
            if len(values[-1]) != len(values[0]):
                raise InputError(
                    f"The encoder's program {program} wrote {len(values[-1])} numbers in line {number} and "
                    f"{len(values[0])} in line 1; all vectors need one width."
                )
        rows = np.array(values, np.float32)
    if len(rows) != count:
        raise InputError(
            f"The encoder's program {program} wrote {len(rows):,} vectors for {count:,} texts; one per text is needed."
        )
    return np.asarray(rows)


def sentence_encoder(
    name: str,
    *,
    revision: str | None = None,
    device: str | None = "cpu",
    max_tokens: int | None = None,
    batch: int = 32,
    task: str | None = None,
) -> Callable[[list[str]], FloatArray]:
    """Return a function from texts to unit vectors [n, d]; no code of the model's repository is run.

    Args:
        name: a folder, or a name on the Hub.
        revision: the commit of a name on the Hub; the latest by default.
        device: device of the model; None leaves the choice to sentence-transformers.
        max_tokens: tokens after which texts are truncated, if the model does not truncate them earlier.
        batch: texts encoded at a time.
        task: ``"query"`` or ``"document"``, for the model's own prompt; by default none is used.

    Raises:
        InputError: the model cannot be loaded.
        MissingExtraError: sentence-transformers is not installed.
    """
    name, batch = check_text(name, "name"), check_count(batch, "batch", minimum=1)
    task = None if task is None else check_choice(task, "task", _TASKS)
    revision = None if revision is None else check_text(revision, "revision")
    device = None if device is None else check_text(device, "device")
    max_tokens = None if max_tokens is None else check_count(max_tokens, "max_tokens", minimum=1)
    module = require("sentence_transformers", "encoder")
    try:
        model = module.SentenceTransformer(name, revision=revision, device=device, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"The encoder {name} cannot be loaded ({reason}).") from error
    if max_tokens is not None:
        model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)

    run = model.encode if task is None else model.encode_query if task == "query" else model.encode_document

    def encode(texts: list[str]) -> FloatArray:
        return np.asarray(
            run(texts, batch_size=batch, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        )

    return encode
