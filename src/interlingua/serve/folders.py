"""The temporary folder of a server: removed when the server stops, or by the next server if it was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from interlingua.core.errors import InputError

__all__ = ["remove_orphans", "session_folder"]

_PREFIX = "interlingua-serve-"
_LOCK = ".lock"
# A folder without a lock may belong to a server that makes it at this moment.
_YOUNG_SECONDS = 60


@contextmanager
def session_folder() -> Iterator[Path]:
    """Yield an empty folder for the files of a server and remove it at the end.

    Folders that earlier servers of this user left because they were killed are removed first. The system releases the
    lock of a folder when its process ends, whatever ended it.

    Raises:
        InputError: no temporary folder can be made.
    """
    parent = Path(tempfile.gettempdir())
    remove_orphans(parent)
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = FileLock(folder / _LOCK, timeout=10, thread_local=False)
        lock.acquire()
        files = folder / "files"
        files.mkdir()
    except (OSError, Timeout) as error:
        raise InputError(
            f"No temporary folder can be made in {parent} ({error}). Free space there, or set TMPDIR to another folder."
        ) from error
    try:
        yield files
    finally:
        lock.release()
        _remove(folder)


def remove_orphans(parent: Path) -> None:
    """Remove the folders of this user in ``parent`` whose server no longer runs."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_orphan(folder)


def _remove_orphan(folder: Path) -> None:
    facts = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or (hasattr(os, "getuid") and facts.st_uid != os.getuid()):
        return
    if not (folder / _LOCK).exists():
        if time.time() - facts.st_mtime > _YOUNG_SECONDS:
            _remove(folder)
        return
    try:
        with FileLock(folder / _LOCK, timeout=0, thread_local=False):
            shutil.rmtree(folder / "files", ignore_errors=True)
    except Timeout:  # its server runs
        return
    _remove(folder)


def _remove(folder: Path) -> None:
    # A process that was just ended may still write for a moment.
    for _ in range(20):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
