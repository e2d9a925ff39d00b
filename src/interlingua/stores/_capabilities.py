"""What a kind of store can do, and how fast it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["METRICS", "Capabilities", "Metric"]

Metric = Literal["cosine", "dot", "l2"]
METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")
# Width of the vectors whose rate of writing was measured. Narrower vectors are not written faster.
_MEASURED_WIDTH = 384


@dataclass(frozen=True)
class Capabilities:
    """What a store can do.

    Attributes:
        payload: ``"typed"`` columns, free ``"documents"``, or ``"none"``.
        ids: types of ids that are stored without conversion: ``"int"``, ``"text"``.
        metrics: distances that a new collection can have.
        adds_vectors: whether rows of a collection can have a second vector.
        normalizes: whether vectors of cosine collections are scaled to unit norm when stored.
        reads_only: whether reading leaves every file of the store unchanged.
        appends: whether rows are appended instead of written by id; an interrupted copy continues after the last row.
        selects: what `Store.restrict` can do: rows for which a condition ``"where"`` holds, or ``"skip_null"``.
        deletes: whether rows can be deleted by their ids.
        has_triggers: whether writing a new vector of existing rows can fire triggers of the database.
        rows_per_second: order of magnitude of writing vectors of 384 values, index included (benchmarks/stores.py).
        refuses: kinds of payload that are refused before anything is made; the names are those of the contract test.
        changes: kinds of payload that are read back as another type, as the plan says.
        limits: other limits, as a phrase for the documentation.
    """

    payload: Literal["typed", "documents", "none"]
    ids: tuple[Literal["int", "text"], ...]
    metrics: tuple[Metric, ...] = METRICS
    adds_vectors: bool = False
    normalizes: bool = False
    reads_only: bool = True
    appends: bool = False
    selects: tuple[Literal["where", "skip_null"], ...] = ()
    deletes: bool = False
    has_triggers: bool = False
    rows_per_second: int = 5_000
    refuses: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    limits: str = ""

    def writing_seconds(self, rows: int, d: int) -> float:
        """Return about how long rows of width d take to be written, index included."""
        return rows * max(1.0, d / _MEASURED_WIDTH) / self.rows_per_second
