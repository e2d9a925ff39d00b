"""Whether the addresses of a command are those that a journal records, however their paths are written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from interlingua.core.errors import InputError
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._protocol import Store
from interlingua.stores._url import StoreURL, parse_url

__all__ = ["check_moved", "is_recorded", "recorded_url"]


def is_recorded(facts: dict[str, Any], side: str, given: StoreURL) -> bool:
    """Return whether an address is that of the journal: at the same path, or at the same one from this folder.

    Args:
        facts: of the journal.
        side: ``"source"`` or ``"target"``.
        given: the address.
    """
    recorded = parse_url(str(facts[side]))
    if replace(recorded, path="") != replace(given, path=""):
        return False
    path = given.resolved_path
    return recorded.path == given.path if path is None else path in {facts.get(f"{side}_path"), recorded.resolved_path}


def recorded_url(facts: dict[str, Any], side: str, given: StoreURL | None = None) -> StoreURL:
    """Return the address to open for one that a journal records.

    Args:
        facts: of the journal.
        side: ``"source"`` or ``"target"``.
        given: the address of the command, whose path is preferred if it leads to the recorded one.
    """
    recorded, path = parse_url(str(facts[side])), facts.get(f"{side}_path")
    if given is None or path is None or given.resolved_path != path:
        return recorded
    return replace(recorded, path=given.path)


def check_moved(log: MigrationJournal, target: Store) -> None:
    """Refuse a target at another path than the recorded one, unless its mark shows that the migration made it.

    The folder of a migration can be moved or copied as a whole. A target of the same name in another folder is of
    something else.

    Raises:
        InputError: something is there, without the recorded mark.
    """
    facts = log.facts
    path, found = facts.get("target_path"), target.url.resolved_path
    if path in {None, found} or not facts.get("target_begun"):
        return
    unfinished = target.unfinished()
    if unfinished is None and not target.exists():
        return
    mark = facts.get("creation")
    is_own = unfinished == facts["job"] or (
        mark is not None and target.exists() and target.creation(vector_only=bool(facts.get("as_new_vector"))) == mark
    )
    if not is_own:
        raise InputError(
            f"{log.path}: {facts['target']} was {path} and leads to another place from this folder, whose content has "
            "no mark of this migration; nothing was dropped or written. Go to the folder in which the migration was "
            "started, or give the address with the recorded path."
        )
