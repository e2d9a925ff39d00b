"""Entry points by which installed packages extend interlingua."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions, entry_points
from typing import Any

from interlingua.core.errors import InputError, cause_of

__all__ = ["check_not_taken", "declared", "describe_entry_point", "load_entry_point"]


def declared(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group in alphabetical order, without those of packages whose table is malformed.

    The tables of all packages are read again only after a package was installed or removed. A command asks for them a
    dozen times.
    """
    return _declared(group, entry_points, tuple((folder, _change_of(folder)) for folder in sys.path))


@lru_cache(maxsize=16)
def _declared(group: str, read: Callable[..., Iterable[EntryPoint]], _folders: object) -> tuple[EntryPoint, ...]:
    try:
        points = list(read(group=group))
    except Exception:  # noqa: BLE001 - one package with a malformed table hides those of all others
        readable = (point for package in distributions() for point in _readable(package) if point.group == group)
        points = list({(point.name, point.value): point for point in readable}.values())
    return tuple(sorted(points, key=lambda point: point.name))


def _change_of(folder: str) -> int | None:
    """Return the time of the last change of a folder of packages; None where there is no such folder."""
    try:
        return os.stat(folder or os.curdir).st_mtime_ns
    except OSError:
        return None


def describe_entry_point(point: EntryPoint) -> str:
    """Return an entry point with its package, for a message."""
    package = point.dist.name if point.dist is not None else "unknown"
    return f"The entry point {point.name} = {point.value} of {point.group} (package {package})"


def check_not_taken(points: Iterable[EntryPoint], own: Iterable[str], fault: str) -> None:
    """Refuse entry points whose name interlingua or another entry point has already.

    Args:
        points: the entry points.
        own: names that no package can take.
        fault: of such an entry point, for the message.

    Raises:
        InputError: the message names the package.
    """
    taken = set(own)
    for point in points:
        if point.name in taken:
            raise InputError(f"{describe_entry_point(point)} {fault}. Rename it, or uninstall its package.")
        taken.add(point.name)


def load_entry_point(point: EntryPoint) -> Any:
    """Return the object that an entry point refers to.

    Raises:
        InputError: it cannot be imported; the message names the package.
    """
    try:
        return point.load()
    except Exception as error:  # importing runs code of the package, which can raise anything
        raise InputError(
            f"{describe_entry_point(point)} cannot be imported ({type(error).__name__}: {cause_of(error)}). Repair or "
            "uninstall its package."
        ) from error


def _readable(package: Any) -> tuple[EntryPoint, ...]:
    try:
        return tuple(package.entry_points)
    except Exception:  # noqa: BLE001 - as in `declared`
        return ()
