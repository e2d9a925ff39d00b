"""The refusal of a target that exists."""

from __future__ import annotations

from interlingua.core.errors import OutputExistsError
from interlingua.stores._protocol import Spec, Store

__all__ = ["taken_error"]


def taken_error(target: Store, spec: Spec) -> OutputExistsError:
    """Return the error for a target that exists."""
    *collection, _ = target.url.names or ("",)
    remedy = (
        "If an earlier migration made it, name the journal of that run by {journal=FILE}. Then {resume} continues it, "
        "{catch_up} copies rows that have changed since, and {rollback} undoes it."
    )
    if spec.as_new_vector or not collection:
        return OutputExistsError(
            f"{target.url} exists, and nothing is overwritten. Choose a name that does not exist.", remedy
        )
    name = ".".join(collection)
    return OutputExistsError(
        f"{target.url}: {name!r} exists. A vector can be added to an existing collection only if that collection is "
        "the source, because vectors of another source belong to other rows. Choose a name that does not exist instead "
        f"of {name!r}.",
        remedy,
    )
