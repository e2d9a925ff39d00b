"""Points of Qdrant, as its server, its embedded client and its edge engine return them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.records import Records
from interlingua.stores._documents import from_documents
from interlingua.stores._protocol import Hits, Metric, Spec

DISTANCES: dict[Metric, str] = {"cosine": "Cosine", "dot": "Dot", "l2": "Euclid"}
# Distances, for which a larger score is farther away.
_FAR = {"Euclid", "Manhattan"}
# Numbers come before UUIDs in the order of the ids; this is the first UUID.
FIRST_UUID = "00000000-0000-0000-0000-000000000000"
# Field metadata of ids that are numbers and UUIDs, from which another collection gets both.
MIXED = {b"interlingua.qdrant.ids": b"mixed"}
MIXED_NOTE = "The ids are numbers and UUIDs. Another Qdrant collection keeps both; any other target gets them as text."


def is_mixed(spec: Spec | None) -> bool:
    """Return whether the ids to write come from a collection that has numbers and UUIDs."""
    return spec is not None and (spec.id_metadata or {}).items() >= MIXED.items()


def metric_of(distance: str) -> Metric | None:
    """Return the metric behind Qdrant's name for it, ``None`` for Manhattan."""
    return next((name for name, known in DISTANCES.items() if known == distance), None)


def records_of(points: Sequence[Any], vector: str, where: str, *, mixed: bool) -> Records:
    """Return points as rows.

    Args:
        points: with ``id``, ``vector`` and ``payload``.
        vector: name of the vectors, empty for those without a name.
        where: the address, for the message.
        mixed: as for `plain_id`.

    Raises:
        InputError: points without this vector, or UUIDs among numbers that are not ``mixed``.
    """
    vectors = [(point.vector or {}).get(vector) if vector or _named(point) else point.vector for point in points]
    missing = [point.id for point, values in zip(points, vectors, strict=True) if values is None]
    if missing:
        raise InputError(f"{where}: {len(missing)} points have no such vector, the first is {missing[0]!r}.")
    documents = [point.payload or {} for point in points]
    return Records(id_array(points, where, mixed=mixed), np.asarray(vectors, np.float32), from_documents(documents))


def id_array(points: Sequence[Any], where: str, *, mixed: bool) -> pa.Array:
    """Return the ids of points: whole numbers, or text.

    Raises:
        InputError: UUIDs among numbers that are not ``mixed``: they were added after the collection was opened.
    """
    ids = [plain_id(point.id, mixed=mixed) for point in points]
    if len({type(value) for value in ids}) > 1:
        raise InputError(f"{where}: ids of another kind were added while it was read. Stop the writes.")
    return pa.array(ids, pa.uint64() if ids and isinstance(ids[0], int) else pa.string())


def plain_id(value: Any, *, mixed: bool) -> int | str:
    """Return the id of a point as a number or text; all are text in a collection that has numbers and UUIDs."""
    return value if isinstance(value, int) and not mixed else str(value)


def point_ids(ids: pa.Array, where: str, *, mixed: bool) -> list[Any]:
    """Return ids as Qdrant takes them.

    Args:
        ids: whole numbers or text.
        where: the address, for the message.
        mixed: whether whole numbers are written as text, because UUIDs stand beside them.

    Raises:
        InputError: an id that is neither a whole number from 0 nor a UUID as Qdrant writes it.
    """
    values: list[Any] = ids.to_pylist()
    if mixed:
        values = [int(value) if _is_number(value) else value for value in values]
    check_ids(values, where)
    return values


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and str(int(value)) == value


def _named(point: Any) -> bool:
    return isinstance(point.vector, dict)


def none_of(ids: pa.Array) -> Records:
    """Return zero rows with ids of this type."""
    return Records(ids.slice(0, 0), np.empty((0, 0), np.float32))


def hits_of(points: Sequence[Any], distance: str, *, mixed: bool) -> Hits:
    """Return scored points as hits; a larger score is nearer, and ``mixed`` is as for `plain_id`."""
    scores: FloatArray = np.array([point.score for point in points], np.float64)
    return Hits([plain_id(point.id, mixed=mixed) for point in points], -scores if distance in _FAR else scores)


def check_ids(ids: Sequence[Any], where: str) -> None:
    """Refuse ids that are neither whole numbers from 0 nor UUIDs as Qdrant writes them.

    Raises:
        InputError: an id is something else.
    """
    for value in ids:
        if isinstance(value, int):
            fits = 0 <= value < 2**64
        else:
            try:
                fits = str(UUID(value)) == value
            except ValueError:
                fits = False
        if not fits:
            raise InputError(
                f"{where}: id {value!r}; Qdrant takes whole numbers from 0 and UUIDs only. Choose another target."
            )
