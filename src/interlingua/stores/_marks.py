"""Marks in databases that name the migration that wrote a collection, a vector or a column."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["first_mark", "job_name", "migration_mark", "names_embedding", "names_translation"]

_MARK = "interlingua migration "
# Begins the job of a migration that embeds texts, whose vectors are no translations.
_EMBEDDING = "embedding-"


def job_name(maker: str, number: int, *, embeds: bool) -> str:
    """Return the name of a new migration.

    Args:
        maker: fingerprint of the translator or the encoder.
        number: tells it from other migrations of the same maker.
        embeds: whether it embeds texts, and translates no vectors.
    """
    return f"{_EMBEDDING if embeds else ''}{maker}-{number:x}"


def migration_mark(job: str) -> str:
    """Return the mark of a collection, a vector or a column that a migration made.

    Args:
        job: ``Spec.job`` of the migration.
    """
    return f"{_MARK}{job}"


def names_translation(mark: str | None) -> bool:
    """Return whether a comment or another mark is that of a migration that translated vectors."""
    return mark is not None and mark.startswith(_MARK) and mark != _MARK and not mark.startswith(_MARK + _EMBEDDING)


def names_embedding(mark: str | None) -> bool:
    """Return whether a comment or another mark is that of a migration that embedded texts."""
    return mark is not None and mark.startswith(_MARK + _EMBEDDING)


def first_mark(comments: Iterable[str | None]) -> str | None:
    """Return the first of several comments that is the mark of a migration, of one that translates if there is one."""
    found = (comment for comment in comments if names_translation(comment) or names_embedding(comment))
    return min(found, key=names_embedding, default=None)
