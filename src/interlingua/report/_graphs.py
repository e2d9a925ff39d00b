"""How many nearest neighbors translation keeps; measuring it needs no pairs and no shared coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.neighbors import neighbor_overlap
from interlingua.report._rows import HEAT_ROWS, PicturedRows, order_of

# Rows and neighbors per row in the compared graphs.
GRAPH_ROWS = 2048
K = 10


@dataclass(frozen=True)
class Overlap:
    """The overlap of two graphs of nearest neighbors.

    Attributes:
        name: the two graphs.
        meaning: explanation of the figure.
        value: mean share of a row's ``k`` nearest rows that are the same in both.
    """

    name: str
    meaning: str
    value: float


@dataclass(frozen=True, eq=False)
class Kept:
    """Similarities [h, h] of ``rows`` ``before`` and ``after`` translation, with the mean subtracted."""

    rows: IntArray
    before: FloatArray
    after: FloatArray


def overlaps(rows: PicturedRows) -> tuple[tuple[Overlap, ...], int, int, float]:
    """Return the overlaps, the numbers of neighbors and rows they were computed from, and the overlap by chance."""
    n = min(GRAPH_ROWS, len(rows.source))
    k = min(K, n - 1)
    if k < 1:
        return (), 0, n, 0.0
    source, translated = rows.source[:n], rows.translated[:n]
    measured = [
        Overlap(
            "Source rows and their translations",
            "what the map keeps; a rotation keeps all of it, whether it is correct or not",
            float(neighbor_overlap(source, translated, k).mean()),
        )
    ]
    if rows.paired:
        target = rows.target[:n]
        measured += [
            Overlap(
                "Source rows and target rows",
                "how far the two encoders agree, without translation",
                float(neighbor_overlap(source, target, k).mean()),
            ),
            Overlap(
                "Translations and target rows",
                "how far a search among translations finds the same as one among real target rows",
                float(neighbor_overlap(translated, target, k).mean()),
            ),
        ]
    return tuple(measured), k, n, k / (n - 1)


def kept(rows: PicturedRows) -> Kept:
    """Return the similarities of some source rows among themselves, before and after translation."""
    before, after = (unit_rows(side - side.mean(axis=0)) for side in (rows.source, rows.translated))
    order = order_of(before[:HEAT_ROWS], rows.source_labels)
    return Kept(order, before[order] @ before[order].T, after[order] @ after[order].T)
