"""The working folder of an unfinished output: its journal, its lock, and what it takes to go on from it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from interlingua.core.errors import InputError, OutputExistsError

_JOURNAL = "journal.json"
_LOCK = "lock"


@dataclass(frozen=True)
class Journal:
    """State of the streams at the last checkpoint.

    Attributes:
        settings: what the rows depend on.
        resumable: settings were given, so that a later run can tell whether it may go on.
        rows: rows in the streams.
        sizes: bytes of each stream.
    """

    settings: dict[str, Any]
    resumable: bool
    rows: int
    sizes: dict[str, int]

    def save(self, folder: Path) -> None:
        """Replace the journal in ``folder`` in one step."""
        new = folder / (_JOURNAL + ".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
            sync(file)
        new.replace(folder / _JOURNAL)
        sync_folder(folder)


def partial_folder(path: Path) -> Path:
    """Return where the rows of an unfinished ``path`` are kept."""
    return path.with_name(path.name + ".partial")


def start_journal(path: Path, fresh: Journal, *, force: bool, resume: bool) -> Journal:
    """Return the journal to go on from, in a folder made for it: the one found there, or ``fresh``.

    Raises:
        InputError: the one found there was kept under other settings, or cannot be read.
        OutputExistsError: there is one and neither ``force`` nor ``resume`` says what to do, or it is in use.
    """
    folder = partial_folder(path)
    if folder.is_dir():
        lock(folder).close()
        old = None if force and not resume else _load(folder)
        if old is not None and old.resumable and old.rows:
            if resume:
                _refuse_changes(folder, old.settings, fresh.settings)
                return old
            raise OutputExistsError(
                f"{folder} holds {old.rows} rows of an interrupted run.",
                "Go on with {resume}, or start over with {force}.",
            )
        shutil.rmtree(folder)
    elif folder.exists():
        raise OutputExistsError(f"{folder} is in the way of the unfinished output. Remove or rename it.")
    folder.mkdir()
    fresh.save(folder)
    return fresh


def lock(folder: Path) -> IO[bytes]:
    """Return the open lock file of a folder; the system lets go of it when the process ends, however it ends.

    Raises:
        OutputExistsError: another writer holds it.
    """
    file = (folder / _LOCK).open("ab")
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise OutputExistsError(f"{folder} is being written to by another process. Wait for it to end.") from error
    return file


def sync(file: IO[Any]) -> None:
    """Flush an open file to disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, where the system knows how to."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _load(folder: Path) -> Journal | None:
    try:
        return Journal(**json.loads((folder / _JOURNAL).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise InputError(f"{folder / _JOURNAL} cannot be read ({error}).", "Start over with {force}.") from error


def _refuse_changes(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    changed = [
        f"{key} was {old.get(key)!r} and is {new.get(key)!r}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise InputError(
            f"{folder} cannot be continued: {'; '.join(changed)}.",
            "Use the same input and settings, or start over with {force} and without resume.",
        )
