"""Names that a store accepts for what a migration makes: collections, vectors, columns and fields."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from interlingua.core.errors import InputError
from interlingua.io._checkpoint import partial_folder
from interlingua.io._checks import ID_NAMES
from interlingua.stores._url import StoreURL

# What to do about rows without an id.
FILL_IDS = "Fill them, or choose other columns with ?id=."
# Characters of a long name that a message shows.
_SHOWN = 40
# Names that a message lists.
_LISTED = 20
# The longest name of a file.
_NAME_BYTES = 255


@dataclass(frozen=True)
class NameRule:
    """Which names a store accepts.

    Attributes:
        needed: the rule with a verb, to which a message adds "needed": ``at least 1 character is``.
        pattern: regular expression of the whole name.
        most_bytes: longest name in UTF-8, ``None`` without a limit.
    """

    needed: str
    pattern: str = r"[^\0]+"
    most_bytes: int | None = None

    def allows(self, name: str) -> bool:
        """Return whether the store accepts this name."""
        fits = self.most_bytes is None or len(name.encode("utf-8", "replace")) <= self.most_bytes
        return fits and re.fullmatch(self.pattern, name, re.DOTALL) is not None

    def refusal(self, what: str, name: str, where: str, remedy: str) -> InputError:
        """Return the error for a name that the store does not accept."""
        shown = repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}... ({len(name.encode())} bytes)"
        return InputError(f"{where}: {shown} cannot be the name of a {what}: {self.needed} needed.", remedy)


NOT_EMPTY = NameRule("at least 1 character is")


def check_name_length(path: Path, named: Path) -> None:
    """Refuse a path whose name is too long for the folder that holds the unfinished file.

    Args:
        path: of the file that is written.
        named: the path in the address, for the message.

    Raises:
        InputError: the name is too long.
    """
    length = len(os.fsencode(named.name))
    longest = _NAME_BYTES - len(os.fsencode(partial_folder(path).name)) + length
    if length > longest:
        raise InputError(
            f"{named.with_name(named.name[:40])}...: the name has {length} bytes; at most {longest} are possible. "
            "Choose a shorter one."
        )


def list_names(names: Iterable[str]) -> str:
    """Return the first 20 names in words, which say if there are more; ``none`` without any."""
    found = list(islice(names, _LISTED + 1))
    return (", ".join(found[:_LISTED]) or "none") + (" and more" if len(found) > _LISTED else "")


def id_name(source: StoreURL, target: StoreURL, payload: Iterable[str]) -> str:
    """Return a name for the column of ids that no payload column has, whether in upper or in lower case.

    It is the name after ``?id=`` in the target's address, or a usual one.

    Args:
        source: address of the source, for messages.
        target: address of the target.
        payload: names of the payload columns.

    Raises:
        InputError: a payload column has the name after ``?id=``, or all usual names are taken.
    """
    taken = {name.lower() for name in payload}
    named = target.options.get("id")
    if named is not None and named.lower() in taken:
        raise InputError(
            f"{target}: the ids cannot be called {named!r}, because a payload column has this name.",
            "Choose another name with ?id=, or leave the payload out with {drop_payload}.",
        )
    # Readers look for the second name before any other.
    name = named or next((name for name in ("id", ID_NAMES[0]) if name not in taken), None)
    if name is None:
        raise InputError(
            f"{source}: the payload has columns 'id' and {ID_NAMES[0]!r}, the names that a column of ids can have.",
            "Rename one, or leave the payload out with {drop_payload}.",
        )
    return name
