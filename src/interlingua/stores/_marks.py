"""Marks in databases that name the migration that wrote a collection, a vector or a column."""

from __future__ import annotations

__all__ = ["migration_mark", "names_migration"]

_MARK = "interlingua migration "


def migration_mark(job: str) -> str:
    """Return the mark of a collection, a vector or a column that a migration made.

    Args:
        job: ``Spec.job`` of the migration.
    """
    return f"{_MARK}{job}"


def names_migration(mark: str | None) -> bool:
    """Return whether a comment or another mark is one that `migration_mark` made."""
    return mark is not None and mark.startswith(_MARK) and mark != _MARK
