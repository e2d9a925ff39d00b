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
from interlingua.stores._protocol import Hits, Metric

DISTANCES: dict[Metric, str] = {"cosine": "Cosine", "dot": "Dot", "l2": "Euclid"}
# Distances, for which a larger score is farther away.
_FAR = {"Euclid", "Manhattan"}


def metric_of(distance: str) -> Metric | None:
    """Return the metric behind Qdrant's name for it, ``None`` for Manhattan."""
    return next((name for name, known in DISTANCES.items() if known == distance), None)


def records_of(points: Sequence[Any], vector: str, where: str) -> Records:
    """Return points as rows.

    Args:
        points: with ``id``, ``vector`` and ``payload``.
        vector: name of the vectors, empty for those without a name.
        where: the address, for the message.

    Raises:
        InputError: points without this vector, or numbers and UUIDs side by side as ids.
    """
    vectors = [(point.vector or {}).get(vector) if vector or _named(point) else point.vector for point in points]
    missing = [point.id for point, values in zip(points, vectors, strict=True) if values is None]
    if missing:
        raise InputError(f"{where}: {len(missing)} points have no such vector, the first is {missing[0]!r}.")
    documents = [point.payload or {} for point in points]
    ids = [point.id if isinstance(point.id, int) else str(point.id) for point in points]
    if len({type(value) for value in ids}) > 1:
        raise InputError(f"{where} mixes numbers and UUIDs as ids; one kind is needed.")
    kind = pa.uint64() if isinstance(ids[0], int) else pa.string()
    return Records(pa.array(ids, kind), np.asarray(vectors, np.float32), from_documents(documents))


def _named(point: Any) -> bool:
    return isinstance(point.vector, dict)


def none_of(ids: pa.Array) -> Records:
    """Return zero rows with ids of this type."""
    return Records(ids.slice(0, 0), np.empty((0, 0), np.float32))


def hits_of(points: Sequence[Any], distance: str) -> Hits:
    """Return scored points as hits; a larger score is nearer."""
    scores: FloatArray = np.array([point.score for point in points], np.float64)
    ids = [point.id if isinstance(point.id, int) else str(point.id) for point in points]
    return Hits(ids, -scores if distance in _FAR else scores)


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
