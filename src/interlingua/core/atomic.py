"""Files and folders that appear whole or not at all.

Everything is written under a temporary name in the same folder, flushed to disk, and renamed. A crash leaves the
previous version or the new one, and at most a hidden temporary file (``.tmp.<token>.<name>``) besides. Temporary names
are unique, so two writers of one path do not disturb each other: the last to finish wins.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError

__all__ = [
    "atomic_file",
    "atomic_folder",
    "check_parent",
    "check_regular",
    "check_writable",
    "follow_link",
    "is_empty_folder",
    "naming",
    "remove_folder",
    "sync_folder",
    "write_text",
]

_EXISTS = (errno.EEXIST, errno.ENOTEMPTY)
_DRIVE = re.compile(r"[A-Za-z]:\\")


@contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = True, mode: int | None = None) -> Iterator[Path]:
    """Yield an empty temporary file that becomes ``path`` when the block ends without an exception.

    A symbolic link is followed: the file that it points to is replaced and the link stays.

    Args:
        path: the file to write.
        overwrite: whether an existing file is replaced.
        mode: permissions, for example 0o600 for what holds data. By default those of the file that is replaced, or
            what the umask leaves of 0o666.

    Raises:
        OutputExistsError: ``path`` is a folder, or it exists and ``overwrite`` is not set.
        InputError: ``path`` is a device or a pipe, the parent folder does not exist, or nothing can be written there.
    """
    target = _destination(path)
    if target.is_dir():
        raise OutputExistsError(f"{path} is a folder; a file name is needed.")
    check_regular(path)
    if not overwrite:
        _check_new(target, path)
    elif mode is None and target.exists():
        mode = stat.S_IMODE(target.stat().st_mode)
    fresh = _temporary(target)
    with _refusal(path):
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else mode))
    try:
        with naming(path, fresh):
            yield fresh
            if mode is not None:
                fresh.chmod(mode)
            _sync(fresh)
            if overwrite:
                os.replace(fresh, target)
            else:
                _move_new(fresh, target, path)
            sync_folder(target.parent)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes ``path`` when the block ends without an exception.

    Nothing is replaced except an empty folder: no file system can exchange two folders in one portable step.

    Args:
        path: the folder to write.

    Raises:
        OutputExistsError: ``path`` exists and is not an empty folder; another writer may have been faster.
        InputError: the parent folder does not exist, or nothing can be written there.
    """
    target = _destination(path)
    if not is_empty_folder(target):
        _check_new(target, path)
    fresh = _temporary(target)
    with _refusal(path):
        fresh.mkdir()
    try:
        with naming(path, fresh):
            yield fresh
        for folder, _, names in os.walk(fresh):
            for name in names:
                _sync(Path(folder, name))
            sync_folder(Path(folder))
        try:
            if sys.platform == "win32" and is_empty_folder(target):
                target.rmdir()
            os.rename(fresh, target)
        except OSError as error:
            if error.errno not in _EXISTS and not target.exists():
                raise
            _check_new(target, path)
            raise
        sync_folder(target.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def naming(path: str | Path, temporary: Path | None = None) -> Iterator[None]:
    """Name the file in an error of the system, such as of a full disk, which has no name where an open file is written.

    Args:
        path: the file, as its user knows it.
        temporary: where it is written first, a name that is replaced as well.
    """
    try:
        yield
    except OSError as error:
        name = error.filename
        is_temporary = temporary is not None and name is not None and Path(os.fsdecode(name)).is_relative_to(temporary)
        if error.errno is not None and (name is None or is_temporary):
            error.filename = str(path)
        if error.errno is None and temporary is not None:  # an error of our own, with the name in its text
            error.args = tuple(str(part).replace(str(temporary), str(path)) for part in error.args)
        raise


def write_text(path: str | Path, text: str, *, mode: int | None = None) -> Path:
    """Write a UTF-8 file as `atomic_file` does and return its path."""
    with atomic_file(path, mode=mode) as fresh, fresh.open("w", encoding="utf-8", newline="") as stream:
        stream.write(text)
    return Path(path)


def check_parent(path: str | Path) -> None:
    """Refuse a path whose folder does not exist, and a path of another system.

    Raises:
        InputError: the folder does not exist, or the path begins with a drive of Windows on another system.
    """
    parent = Path(path).parent
    if not parent.is_dir():
        raise InputError(f"The folder {parent} does not exist; create it or choose another.")
    _check_name(path)


def check_regular(path: str | Path) -> None:
    """Refuse a path at which there is a device, a pipe or a socket: a file would take its place.

    Raises:
        InputError: there is one.
    """
    if _exists(target := Path(os.path.realpath(path))) and not (target.is_file() or target.is_dir()):
        raise InputError(f"{path} is a device, a pipe or a link without an end, and not a file; choose another name.")


def follow_link(path: Path) -> Path:
    """Return what a symbolic link points to, so that a file written there does not replace the link."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def remove_folder(path: str | Path) -> None:
    """Remove a folder; a crash leaves the whole of it or nothing under its name."""
    folder = Path(path)
    gone = _temporary(folder)
    os.rename(folder, gone)
    shutil.rmtree(gone)


def check_writable(path: str | Path) -> None:
    """Refuse a path at which neither a file nor a folder can be made, before any work for it begins.

    A temporary folder is made in the nearest folder that exists, and removed again.

    Raises:
        InputError: a parent is a file, a name is too long, the file system does not allow writing there, or the path
            begins with a drive of Windows on another system.
    """
    _check_name(path)
    target = Path(os.path.realpath(path))
    with _refusal(path):
        parent = next(folder for folder in (target, *target.parents) if _exists(folder))
        if parent == target and not target.is_dir():
            check_regular(path)
            return
        if not parent.is_dir():
            raise InputError(f"{path} cannot be written: {parent} is a file and not a folder. Choose another name.")
        for name in target.relative_to(parent).parts:
            _exists(parent / name)
        probe = _temporary(parent / target.name)
        probe.mkdir()
        probe.rmdir()


@contextmanager
def _refusal(path: str | Path) -> Iterator[None]:
    """Turn an `OSError` of the first step at a path into an `InputError` with a remedy."""
    try:
        yield
    except InterlinguaError:
        raise
    except OSError as error:
        raise InputError(
            f"{_shortened(path)} cannot be written (the system reports: {error.strerror}). Choose another name or "
            "folder."
        ) from error


def _exists(path: Path) -> bool:
    """Return whether a path exists; unlike `Path.exists` it does not hide that a name is too long."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _shortened(path: str | Path) -> str:
    text = str(path)
    return text if len(text) <= 100 else f"{text[:97]}..."


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk, on systems that can."""
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _destination(path: str | Path) -> Path:
    target = Path(os.path.realpath(path))
    with _refusal(path):
        _exists(target)
        target.parent.is_dir()
    check_parent(target)
    return target


def _check_name(path: str | Path) -> None:
    """Refuse a path of Windows on another system."""
    if os.name != "nt" and _DRIVE.match(Path(path).name):
        raise InputError(
            f"{path} is a path of Windows, and here it would be the name of one file. Give a path with slashes."
        )


def _temporary(target: Path) -> Path:
    # The end of the name stays, because writers look at the extension; file systems limit names to 255 bytes.
    return target.with_name(f".tmp.{secrets.token_hex(8)}.{target.name[-50:]}")


def _check_new(target: Path, path: str | Path) -> None:
    if os.path.lexists(target):
        raise OutputExistsError(f"{path} exists; choose another name or remove it.")


def _move_new(fresh: Path, target: Path, path: str | Path) -> None:
    """Rename a file and refuse to replace one that another writer has made in the meantime."""
    try:
        os.link(fresh, target)
    except FileExistsError:
        _check_new(target, path)
        raise
    except OSError:
        # A file system without hard links; between this check and the rename another writer can still come first.
        _check_new(target, path)
        os.replace(fresh, target)


def is_empty_folder(path: Path) -> bool:
    """Return whether a path is a folder that holds nothing."""
    return path.is_dir() and not any(path.iterdir())


def _sync(file: Path) -> None:
    # Windows flushes only what is open for writing; elsewhere a read-only file is flushed as well.
    handle = os.open(file, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
