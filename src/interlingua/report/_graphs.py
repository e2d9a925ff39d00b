"""How many nearest neighbors translation keeps; measuring it needs no pairs and no shared coordinates."""

from __future__ import annotations

from dataclasses import dataclass

from interlingua.core.neighbors import neighbor_overlap
from interlingua.report._rows import PicturedRows

# Rows and neighbors per row in the compared graphs.
GRAPH_ROWS = 2048
K = 10
_MEANINGS = {
    "Source rows and their translations": "what the map keeps; a rotation keeps all, whether it is correct or not",
    "Source rows and target rows": "how far the two encoders agree, without translation",
    "Translations and target rows": "how far a search among translations finds the same as one among real target rows",
}


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


def overlaps(rows: PicturedRows) -> tuple[tuple[Overlap, ...], int, int, float]:
    """Return the overlaps, the numbers of neighbors and rows they were computed from, and the overlap by chance."""
    n = min(GRAPH_ROWS, len(rows.source))
    k = min(K, n - 1)
    if k < 1:
        return (), 0, n, 0.0
    sides = [("Source rows and their translations", rows.source, rows.translated)]
    if rows.paired:
        sides.append(("Source rows and target rows", rows.source, rows.target))
        sides.append(("Translations and target rows", rows.translated, rows.target))
    measured = (Overlap(name, _MEANINGS[name], float(neighbor_overlap(x[:n], y[:n], k).mean())) for name, x, y in sides)
    return tuple(measured), k, n, k / (n - 1)
