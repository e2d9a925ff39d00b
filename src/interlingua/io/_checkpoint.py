"""The working folder of an unfinished output: its checkpoint, its lock, and the checks before it is resumed."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from interlingua.core.atomic import naming, write_text
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.wording import count_of

_CHECKPOINT = "checkpoint.json"
_LOCK = "lock"


@dataclass(frozen=True)
class Checkpoint:
    """State of a writer's streams when all of their rows were on disk.

    Attributes:
        settings: values that the rows depend on.
        resumable: whether settings were given; only then can a later run tell that it writes the same rows.
        rows: number of rows in the streams.
        sizes: bytes of each stream.
    """

    settings: dict[str, Any]
    resumable: bool
    rows: int
    sizes: dict[str, int]

    def save(self, folder: Path) -> None:
        """Replace the checkpoint in ``folder`` atomically."""
        write_text(folder / _CHECKPOINT, json.dumps(asdict(self), indent=1))


def partial_folder(path: Path) -> Path:
    """Return where the rows of an unfinished ``path`` are kept."""
    return path.with_name(path.name + ".partial")


def unfinished_settings(path: Path) -> dict[str, Any] | None:
    """Return the settings of the unfinished rows of ``path``: ``None`` without such rows, empty if unknown."""
    folder = partial_folder(path)
    if not folder.is_dir() or all(_precedes_checkpoint(entry.name) for entry in folder.iterdir()):
        return None
    try:
        checkpoint = _load(folder)
    except InputError:
        return {}
    return {} if checkpoint is None else checkpoint.settings


def prepare_folder(path: Path, fresh: Checkpoint, *, force: bool, resume: bool) -> Checkpoint:
    """Make the working folder, or keep the one of an interrupted run, and return the checkpoint to start from.

    Args:
        path: final name of the output.
        fresh: the checkpoint of a writer without rows.
        force: discard the rows of an interrupted run.
        resume: continue an interrupted run.

    Raises:
        InputError: the interrupted run had other settings, or its checkpoint cannot be read.
        OutputExistsError: a run was interrupted and neither ``force`` nor ``resume`` is set, a run is in progress, or
            the folder holds files and no checkpoint, so that it belongs to something else.
    """
    folder = partial_folder(path)
    if folder.is_dir():
        _check_own_folder(folder)
        acquire_lock(folder).release()
        old = None if force and not resume else _load(folder)
        if old is not None and old.resumable and old.rows:
            if resume:
                _check_unchanged(folder, old.settings, fresh.settings)
                return old
            raise OutputExistsError(
                f"{folder} holds {count_of(old.rows)} of an interrupted run.",
                "Go on with {resume}, or start over with {force}.",
            )
        shutil.rmtree(folder)
    elif folder.exists():
        raise OutputExistsError(
            f"{folder} is a file; the folder of the unfinished output needs that name. Remove or rename it."
        )
    folder.mkdir()
    try:
        with naming(path, folder):
            fresh.save(folder)
    except OSError:
        shutil.rmtree(folder)
        raise
    return fresh


def acquire_lock(folder: Path) -> FileLock:
    """Return the held lock of a folder. The system releases it when the process ends, even if it is killed.

    Raises:
        OutputExistsError: another writer holds it.
    """
    held = FileLock(folder / _LOCK, timeout=0, thread_local=False)
    try:
        held.acquire()
    except Timeout as error:
        raise OutputExistsError(f"{folder} is being written to by another process. Wait for it to end.") from error
    return held


def sync(file: IO[Any]) -> None:
    """Flush an open file to disk."""
    file.flush()
    os.fsync(file.fileno())


def _check_own_folder(folder: Path) -> None:
    # A run that was killed before its first checkpoint leaves nothing but its lock.
    if not (folder / _CHECKPOINT).exists() and any(not _precedes_checkpoint(entry.name) for entry in folder.iterdir()):
        raise OutputExistsError(
            f"{folder} holds files and no {_CHECKPOINT}, so no interrupted run left it, and it is not deleted.",
            "Move it away, or choose another name for the output.",
        )


def _precedes_checkpoint(name: str) -> bool:
    """Return whether a run makes a file of this name before its first checkpoint."""
    return name == _LOCK or (name.startswith(".tmp.") and name.endswith(_CHECKPOINT))


def _load(folder: Path) -> Checkpoint | None:
    try:
        return Checkpoint(**json.loads((folder / _CHECKPOINT).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(f"{folder / _CHECKPOINT} cannot be read ({error}).", "Start over with {force}.") from error


def _check_unchanged(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = [
        f"{key} was {old.get(key)!r} and is {new.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise InputError(
            f"{folder} cannot be continued: {'; '.join(changed)}.",
            "Use the same input and settings, or start over with {force} and without {resume}.",
        )
