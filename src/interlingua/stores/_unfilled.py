"""Rows that get no vector when a migration of only some rows adds a vector to their collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlingua.core.errors import InputError
from interlingua.core.wording import count_of
from interlingua.stores._protocol import Spec, Store

if TYPE_CHECKING:
    from interlingua.stores.planning import Options


def unfilled_notes(source: Store, target: Store, spec: Spec, options: Options) -> tuple[str, ...]:
    """Return a sentence for the plan that counts the rows without a new vector, or none if a condition leaves out none.

    Args:
        source: restricted by the options.
        target: of the migration.
        spec: what is made, with the number of rows that are written.
        options: of the migration.
    """
    if not spec.as_new_vector or options.where is None:
        return ()
    source.restrict(bad_as_nan=True)
    try:
        info = source.info()
    except InputError:  # about rows that the migration does not read
        return (f"Rows that do not meet the condition {options.where!r} stay without a vector in {target.url}.",)
    finally:
        options.restrict(source)
    count = info.count + info.nulls - spec.count
    if not count:
        return ()
    verb = "stays" if count == 1 else "stay"
    condition = f"the condition is {options.where!r}"
    return (f"{count_of(count)} of the collection {verb} without a vector in {target.url}: {condition}.",)
