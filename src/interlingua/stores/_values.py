"""Values of a payload that stores of documents cannot hold, with column and id, before anything is made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from interlingua.core.arguments import shown
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._documents import to_documents
from interlingua.stores._names import NameRule


@dataclass(frozen=True)
class Limits:
    """What a document of a store can hold.

    Attributes:
        name: of the store, for messages.
        least: smallest whole number.
        most: largest whole number.
        finite: whether NaN and infinity are refused.
        flat: whether values are scalars or lists of scalars of one type that are not empty.
        names: of the fields that a document can have, ``None`` for any.
    """

    name: str
    least: int = -(2**63)
    most: int = 2**63 - 1
    finite: bool = True
    flat: bool = False
    names: NameRule | None = None


def documents_of(records: Records, where: str, limits: Limits) -> list[dict[str, Any]]:
    """Return the payload of rows as documents.

    Args:
        records: rows; their vectors are not looked at.
        where: the address, for the message.
        limits: of the store.

    Raises:
        InputError: a value that a document of this store cannot hold, with its column and id.
    """
    try:
        documents = to_documents(records.payload, len(records), where)
    except InputError as error:
        row = next((row for row in range(len(records)) if not _is_document(records.rows(row, row + 1))), 0)
        name = _first_bad_column(records.rows(row, row + 1))
        problem = str(error.args[0]).partition(f"column {name!r} ")[2].rstrip(".") or "holds text that is not JSON"
        raise _refusal(where, name, records.ids[row].as_py(), problem) from error
    for row, document in enumerate(documents):
        for key, value in document.items():
            if limits.names is not None and not limits.names.allows(key):
                remedy = "Rename it, choose another target, or leave the payload out with {drop_payload}."
                raise limits.names.refusal(f"field of {limits.name}", key, where, remedy)
            for problem in _problems(value, limits):
                raise _refusal(where, key, records.ids[row].as_py(), problem)
    return documents


def _refusal(where: str, name: str, row: Any, problem: str) -> InputError:
    return InputError(
        f"{where}: column {name!r} of id {shown(row)} {problem}. Convert it,",
        "choose another target, or leave the payload out with {drop_payload}.",
    )


def _is_document(records: Records) -> bool:
    try:
        to_documents(records.payload, len(records), "")
    except InputError:
        return False
    return True


def _first_bad_column(records: Records) -> str:
    table = records.payload
    names: list[str] = [] if table is None else table.schema.names
    for name in names:
        if not _is_document(Records(records.ids, records.vectors, None if table is None else table.select([name]))):
            return name
    return ", ".join(names)


def _problems(value: Any, limits: Limits) -> Iterator[str]:
    """Yield the problems of a value, and of the values in it."""
    if isinstance(value, float) and limits.finite and not math.isfinite(value):
        yield f"holds {value}, which a document cannot hold"
    elif isinstance(value, int) and not isinstance(value, bool) and not limits.least <= value <= limits.most:
        yield f"holds {value}, which has no 64 bits{' with sign' if limits.most < 2**63 else ''}"
    elif isinstance(value, dict):
        if limits.flat:
            yield f"is nested, and the metadata of {limits.name} is flat"
        for item in value.values():
            yield from _problems(item, limits)
    elif isinstance(value, list):
        if limits.flat and not value:
            yield f"is an empty list, which {limits.name} does not take"
        kinds = {type(item) for item in value}
        if limits.flat and (len(kinds) > 1 or kinds & {list, dict, type(None)}):
            yield f"is a list of other than scalars of one type, which {limits.name} does not take"
        for item in value:
            yield from _problems(item, limits)
