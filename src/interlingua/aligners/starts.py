"""Linear alignments of every two spaces: where the networks of a warm start begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from interlingua._arrays import FloatArray
from interlingua.aligners.consensus import consensus
from interlingua.aligners.frames import Frame
from interlingua.aligners.linear import Found, Linear
from interlingua.aligners.search import Report
from interlingua.aligners.verify import verify
from interlingua.alignment import Status
from interlingua.maps import AffineMap

Way = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Starts:
    """Alignments of every two spaces.

    Attributes:
        maps: for every space but one, the latent space, the maps into it and out of it.
        teachers: what refits agree on, by (from, to); or nothing.
        found: what each search left behind, by (from, to) in the order of the spaces.
        trace: what the searches did.
    """

    maps: Mapping[str, tuple[AffineMap, AffineMap]]
    teachers: Mapping[Way, AffineMap]
    found: Mapping[Way, Found]
    trace: list[dict[str, Any]]

    @classmethod
    def between(
        cls,
        rows: Mapping[str, FloatArray],
        solver: Linear,
        known: tuple[FloatArray, FloatArray] | None,
        seed: int,
        report: Report,
        *,
        agreed: bool,
    ) -> Starts:
        """Align every two spaces.

        Args:
            rows: [n_k, d_k] of each space by name, two or more.
            solver: aligns two of them.
            known: rows of known pairs of the first and the second space, where there are just two.
            seed: decides every random draw.
            report: called with one dict of numbers after each step.
            agreed: also ask what refits agree on.
        """
        ways: dict[Way, AffineMap] = {}
        teachers: dict[Way, AffineMap] = {}
        found: dict[Way, Found] = {}
        trace: list[dict[str, Any]] = []
        for j, k in combinations(rows, 2):
            ways[j, k], ways[k, j], steps, found[j, k] = solver.solve(
                rows[j], rows[k], known=known, seed=seed, report=report
            )
            trace += steps
            if agreed:
                x, y = Frame.of(rows[j]), Frame.of(rows[k])
                teachers[j, k], teachers[k, j] = consensus(x, y, found[j, k].search, found[j, k].rotation, seed)
        hub = _hub(rows, ways, found)
        maps = {name: (ways[name, hub], ways[hub, name]) for name in rows if name != hub}
        return cls(maps, teachers, found, trace)


def _hub(rows: Mapping[str, FloatArray], ways: Mapping[Way, AffineMap], found: Mapping[Way, Found]) -> str:
    """Return the space that most directions of the others reach by alignments that stand; the narrowest of several."""
    widths = {name: z.shape[1] for name, z in rows.items()}
    reached = dict.fromkeys(rows, 0)
    # Of two spaces the narrower is as good as the other, whatever their alignment is worth.
    for j, k in found if len(rows) > 2 else ():
        search, rotation, confirmed = found[j, k].search, found[j, k].rotation, found[j, k].confirmed
        translated = Frame.of(rows[k]).around(ways[j, k](rows[j]))
        if verify(search, rotation, translated, confirmed).status is not Status.FAILED:
            for end in (j, k):
                reached[end] += min(widths[j], widths[k])
    return max(reversed(list(rows)), key=lambda name: (reached[name], -widths[name]))
