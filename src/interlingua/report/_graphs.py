"""What translation keeps of a space's neighbors, which needs no pairs and no common coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.neighbors import neighbor_overlap
from interlingua.report._rows import HEAT_ROWS, PicturedRows, order_of

# Graphs are compared on so many rows, and each has so many neighbors.
GRAPH_ROWS = 2048
K = 10


@dataclass(frozen=True)
class Overlap:
    """How much of one graph of nearest neighbors is in another.

    Attributes:
        name: the two graphs.
        meaning: what the figure says.
        value: mean share of a row's ``k`` nearest rows that are the same in both.
    """

    name: str
    meaning: str
    value: float


@dataclass(frozen=True, eq=False)
class Kept:
    """Similarities of the same rows [h, h] ``before`` and ``after`` translation, less the mean; ``rows`` are which."""

    rows: IntArray
    before: FloatArray
    after: FloatArray


def overlaps(rows: PicturedRows) -> tuple[tuple[Overlap, ...], int, int, float]:
    """Return the overlaps, the neighbors ``k`` and rows they were taken from, and what chance would give."""
    n = min(GRAPH_ROWS, len(rows.source))
    k = min(K, n - 1)
    if k < 1:
        return (), 0, n, 0.0
    source, translated = rows.source[:n], rows.translated[:n]
    found = [
        Overlap(
            "Source rows and their translations",
            "what the map keeps; a rotation keeps all of it, right or wrong",
            float(neighbor_overlap(source, translated, k).mean()),
        )
    ]
    if rows.paired:
        target = rows.target[:n]
        found += [
            Overlap(
                "Source rows and target rows",
                "what the two encoders agree on, before anything is translated",
                float(neighbor_overlap(source, target, k).mean()),
            ),
            Overlap(
                "Translations and target rows",
                "what a search among translations has in common with one among real target rows",
                float(neighbor_overlap(translated, target, k).mean()),
            ),
        ]
    return tuple(found), k, n, k / (n - 1)


def kept(rows: PicturedRows) -> Kept:
    """Return the similarities of some source rows among themselves, before and after translation."""
    before, after = (unit_rows(side - side.mean(axis=0)) for side in (rows.source, rows.translated))
    order = order_of(before[:HEAT_ROWS], rows.source_labels)
    return Kept(order, before[order] @ before[order].T, after[order] @ after[order].T)
