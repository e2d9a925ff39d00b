"""Checkpoints, replaced atomically and read without executing anything in them; and the file of metrics."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch

from interlingua.core.atomic import atomic_file, write_text
from interlingua.core.errors import InputError

__all__ = ["Metrics", "check_new", "exists", "read", "write"]

_FILE = "checkpoint.pt"
_METRICS = "metrics.jsonl"


def write(folder: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in ``folder``; a crash at any moment leaves the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(folder / _FILE) as fresh:
        try:
            torch.save(state, fresh)
        except RuntimeError as error:
            # The message of torch names neither the file nor the full disk.
            free = shutil.disk_usage(folder).free
            raise OSError(
                f"{folder / _FILE} could not be written; {free:,} bytes are free there. The previous checkpoint, if "
                "there is one, is intact."
            ) from error


def read(folder: Path) -> dict[str, Any] | None:
    """Return the checkpoint in ``folder``, on the CPU, or None where there is none.

    Raises:
        InputError: it cannot be read.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__} on reading it); remove it to start again."
        ) from error


def exists(folder: Path) -> bool:
    """Return whether ``folder`` holds a checkpoint."""
    return (folder / _FILE).is_file()


def check_new(folder: Path) -> None:
    """Refuse a folder that holds a checkpoint.

    Raises:
        InputError: it does.
    """
    if exists(folder):
        raise InputError(f"{folder} holds a run already.", "Continue it with {resume}, or choose another folder.")


class Metrics:
    """A JSONL file with a run's logged losses, one line for each logged step.

    Args:
        folder: of the run; None for no file.
        last_step: lines of later steps are dropped, since a resumed run writes them again.

    Attributes:
        lines: the lines kept from earlier processes of the run.
    """

    def __init__(self, folder: Path | None, last_step: int) -> None:
        self.lines: list[dict[str, Any]] = []
        self._path = folder / _METRICS if folder else None
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._path.read_text("utf-8").splitlines(keepends=True) if self._path.is_file() else []
        # A line cut short by a crash belongs to a step after the last checkpoint.
        complete = [(line, json.loads(line)) for line in lines if line.endswith("\n")]
        kept = [(line, values) for line, values in complete if values["at"] <= last_step]
        write_text(self._path, "".join(line for line, _ in kept))
        self.lines = [values for _, values in kept]

    def __call__(self, line: dict[str, Any]) -> None:
        """Append a line."""
        if self._path is not None:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
