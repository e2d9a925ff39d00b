"""Encoders of texts: sentence-transformers models, a folder or a name on the Hub, and commands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from interlingua._commands import CommandEncoder
from interlingua.core.arguments import check_callable, check_choice, check_count, check_text, check_texts
from interlingua.core.arrays import FloatArray, require
from interlingua.core.errors import InputError, MissingExtraError

__all__ = [
    "Encode",
    "OnTexts",
    "command_encoder",
    "embed_texts",
    "encoder_title",
    "open_encoder",
    "sentence_encoder",
    "with_task",
]

# Embeds texts: returns their vectors [n, d].
Encode = Callable[[list[str]], Any]
# Receives the number of texts that are embedded, and of all.
OnTexts = Callable[[int, int], None]

_COMMAND = "command:"
# Programs whose first argument is the script that they run.
_INTERPRETER = re.compile(r"(python|pypy)[\d.]*(\.exe)?|(ba|z|da)?sh|node|ruby|perl|Rscript|julia")
# A variable before a program, which only a shell would set.
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_TASKS = ("query", "document")
# Windows writes paths with backslashes, which a shell of POSIX would read as escapes.
_BACKSLASH_ESCAPES = os.name != "nt"
# Batches between two reports of progress.
_BATCHES = 8


def open_encoder(
    name: str, *, device: str | None = "cpu", task: str | None = None
) -> Callable[[list[str]], FloatArray]:
    """Return the function from texts to vectors [n, d] that a name stands for.

    Args:
        name: ``command:`` followed by a command, as `command_encoder` runs it; or a sentence-transformers folder or
            name on the Hub, optionally with ``@`` and a revision, as `sentence_encoder` loads it.
        device: of a sentence-transformers model.
        task: ``"query"`` or ``"document"`` for texts of a search; a sentence-transformers model then uses the prompt
            that it has for them. A command gets no task.

    Raises:
        InputError: the model cannot be loaded, or there is no such command.
        MissingExtraError: sentence-transformers is needed and not installed.
    """
    name = _checked_name(name)
    device = None if device is None else check_text(device, "device")
    task = None if task is None else check_choice(task, "task", _TASKS)
    if name.startswith(_COMMAND):
        return command_encoder(name.removeprefix(_COMMAND))
    _check_no_command(name)
    model, _, revision = (name, "", "") if Path(name).exists() else name.partition("@")
    try:
        return sentence_encoder(model, revision=revision or None, device=device, task=task)
    except MissingExtraError as error:
        raise MissingExtraError(
            f"{error}. Or name a program of your own that embeds texts, as command:PROGRAM: it reads one text per line "
            "and writes one vector per line."
        ) from error


def with_task(encode: Encode, task: str) -> Encode:
    """Return an encoder that `open_encoder` returned, for texts of another task; a model is not loaded again.

    Args:
        encode: the encoder. One that takes no task, a command or a function of the caller, is returned as it is.
        task: ``"query"`` or ``"document"``.

    Raises:
        InputError: an argument of another type, or another task.
    """
    check_callable(encode, "encode", "a function from texts to vectors")
    task = check_choice(task, "task", _TASKS)
    return replace(encode, task=task) if isinstance(encode, _SentenceEncoder) else encode


def encoder_title(name: str) -> str:
    """Return a name for the space of an encoder.

    A command is named by its program alone, because its arguments can hold a key. If the program is an interpreter,
    such as Python, the command is named by the script that it runs.
    """
    if not _checked_name(name).startswith(_COMMAND):
        return name
    words = _words(name.removeprefix(_COMMAND))
    name = Path(words[0]).name
    if len(words) > 1 and _INTERPRETER.fullmatch(name) and Path(words[1]).is_file():
        name = Path(words[1]).name
    return f"command {name}"


def _checked_name(name: str) -> str:
    """Return the name of an encoder.

    Raises:
        InputError: it is no text, is blank, or consists of a revision alone.
    """
    name = check_text(name, "name")
    is_revision = not name.partition("@")[0].strip()
    if not name.strip() or (is_revision and not Path(name).exists()):
        raise InputError(
            f"The encoder's name is {name!r}, which names no model. Give a sentence-transformers folder or name, or "
            "command:PROGRAM ARGUMENTS."
        )
    return name


def _check_no_command(name: str) -> None:
    """Refuse a command in the place of the name of a model, whose prefix was forgotten.

    Raises:
        InputError: such a name. The message does not repeat its arguments, which can hold a key.
    """
    first = name.split()[0]
    has_arguments = first != name
    is_program = (Path(name).is_file() and os.access(name, os.X_OK)) or shutil.which(name) is not None
    if Path(name).is_dir() or not (has_arguments or is_program):
        return
    raise InputError(
        f"The encoder's name begins with {first!r}, which looks like a program and not like a model. Write command: "
        f"before a program, as in 'command:{first}{' ...' if has_arguments else ''}'."
    )


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
    if shutil.which(words[0]) is None:
        raise InputError(f"The encoder's program {words[0]} does not exist or cannot be run; check its path.")
    return CommandEncoder(words)


def embed_texts(encode: Encode, texts: Sequence[str], on_texts: OnTexts | None = None) -> Any:
    """Return the vectors [n, d] that an encoder makes of all texts.

    Args:
        encode: the encoder. A function of the caller is called once, with all texts.
        texts: the texts.
        on_texts: called with the number of texts embedded so far and of all; by encoders that this module opened.

    Raises:
        InputError: an argument of another type.
    """
    check_callable(encode, "encode", "a function from texts to vectors")
    if on_texts is not None:
        check_callable(on_texts, "on_texts", "a function of two numbers")
    texts = check_texts(texts, "texts")
    if on_texts is not None and isinstance(encode, CommandEncoder | _SentenceEncoder):
        return encode(list(texts), on_texts)
    return encode(list(texts))


def _words(command: str) -> list[str]:
    text = command if _BACKSLASH_ESCAPES else command.replace("\\", "\\\\")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InputError(f"The encoder's command cannot be read ({error}); quote it as for a shell.") from error
    if not words:
        raise InputError("The encoder's command is empty; write command:PROGRAM ARGUMENTS.")
    if _ASSIGNMENT.match(words[0]):
        name = words[0].partition("=")[0]
        raise InputError(
            f"The encoder's command begins with {name}=, and no shell reads it. Set {name} in the environment, and "
            "write command:PROGRAM ARGUMENTS."
        )
    return words


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
    name, batch = _checked_name(name), check_count(batch, "batch", minimum=1)
    task = None if task is None else check_choice(task, "task", _TASKS)
    revision = None if revision is None else check_text(revision, "revision")
    device = None if device is None else check_text(device, "device")
    max_tokens = None if max_tokens is None else check_count(max_tokens, "max_tokens", minimum=1)
    if name.startswith(_COMMAND):
        raise InputError(
            "The encoder is a command, and a sentence-transformers folder or name is needed here. Embed the texts with "
            "the command beforehand, and give the vectors."
        )
    module = require("sentence_transformers", "encoder")
    try:
        model = module.SentenceTransformer(name, revision=revision, device=device, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise InputError(f"The encoder {name} cannot be loaded ({reason}).") from error
    if max_tokens is not None:
        model.max_seq_length = min(max_tokens, model.max_seq_length or max_tokens)

    return _SentenceEncoder(model, batch, task)


@dataclass(frozen=True, eq=False)
class _SentenceEncoder:
    """Embeds texts with a model of sentence-transformers."""

    model: Any
    batch: int
    task: str | None

    def __call__(self, texts: list[str], on_texts: OnTexts | None = None) -> FloatArray:
        if on_texts is None or not texts:
            return self._encoded(texts)
        # Texts of similar length share a batch, as sentence-transformers orders them within one call.
        order = np.argsort([-len(text) for text in texts], kind="stable")
        parts = []
        for start in range(0, len(order), _BATCHES * self.batch):
            part = order[start : start + _BATCHES * self.batch]
            parts.append(self._encoded([texts[i] for i in part]))
            on_texts(start + len(part), len(texts))
        vectors = np.concatenate(parts)
        vectors[order] = vectors.copy()
        return vectors

    def _encoded(self, texts: list[str]) -> FloatArray:
        runs = {None: "encode", "query": "encode_query", "document": "encode_document"}
        return np.asarray(
            getattr(self.model, runs[self.task])(
                texts,
                batch_size=self.batch,
                normalize_embeddings=True,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        )
