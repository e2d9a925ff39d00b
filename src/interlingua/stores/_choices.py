"""Options of a later command about a migration beside those of its first run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.stores.planning import PAGE_ROWS, Options, Plan

__all__ = ["LEAVING_OUT", "caught_up_options", "check_choices", "differences", "that_matter"]

# Options that change neither which rows are written nor what is written.
_WITHOUT_EFFECT = frozenset({"page_rows", "allow_foreign"})
# Options that may be added after a migration, because rows that arrived since may lack what all rows had at first.
LEAVING_OUT = ("skip_null", "skip_bad")


def that_matter(options: Options | Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that decide what a migration writes, by their names."""
    facts = options if isinstance(options, Mapping) else asdict(options)
    return {name: value for name, value in facts.items() if name not in _WITHOUT_EFFECT}


def caught_up_options(journal: Path, recorded: Options, given: Options | None) -> Options:
    """Return the options of a catch-up: those of the migration, and rows may be left out that it did not leave out.

    Args:
        journal: of the migration, for the message.
        recorded: of the migration.
        given: of the command; ``None`` for those of the migration.

    Raises:
        InputError: another option differs.
    """
    if given is None:
        return recorded
    added = {name: getattr(recorded, name) or getattr(given, name) for name in LEAVING_OUT}
    page_rows = recorded.page_rows if given.page_rows == PAGE_ROWS else given.page_rows
    wider = replace(recorded, **added, allow_foreign=given.allow_foreign, page_rows=page_rows)
    before, now = that_matter(wider), that_matter(given)
    if before != now:
        changed = differences(that_matter(recorded), now, [name for name in now if before[name] != now[name]])
        raise InputError(
            f"{journal}: the options of this migration were {changed.replace(' and is ', ' and are ')}. Use the same "
            "options in every command about one migration."
        )
    return wider


def check_choices(plan: Plan, options: Options) -> None:
    """Raise if the plan needs a choice that the options do not make.

    Raises:
        InputError: there are rows without a vector, or triggers that would fire.
    """
    if plan.nulls and not (options.skip_null or options.skip_bad):
        raise InputError(
            f"{plan.source}: the vector of id {plan.first_null} is null; {count_of(plan.nulls)} "
            f"{'has' if plan.nulls == 1 else 'have'} no vector and {plan.rows:,} "
            f"{'has' if plan.rows == 1 else 'have'} one.",
            "Fill them, or leave them out with {skip_null}.",
        )
    if plan.triggers and options.triggers is None:
        raise InputError(
            f"{plan.target} is written into the source's own table, where every update fires "
            f"{', '.join(plan.triggers)}.",
            "Name a new table as the target, or choose {triggers=fire} or, as superuser, {triggers=skip}.",
        )


def differences(before: Any, now: Any, names: list[str] | None = None) -> str:
    """Return what was and what is, as a phrase that names only the entries in which two dictionaries differ.

    Args:
        before: what was.
        now: what is.
        names: the entries to name; by default those that differ.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in now if before.get(name) != now[name]] if names is None else names
        before, now = (", ".join(f"{name}={facts.get(name)!r}" for name in names) for facts in (before, now))
        return f"{before} and is {now}"
    return f"{before!r} and is {now!r}"
