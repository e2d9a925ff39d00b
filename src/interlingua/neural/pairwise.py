"""Linear alignments of every two spaces: where the networks of a warm start begin.

The latent space is the one that most directions of the others reach by alignments that stand, the narrowest of
several: of two spaces the narrower, of three often the second widest, which loses nothing that two of them share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from interlingua.aligners.frames import Frame
from interlingua.aligners.linear.aligner import Found, Linear
from interlingua.aligners.linear.consensus import consensus
from interlingua.aligners.linear.search import Report
from interlingua.aligners.verdict import verify
from interlingua.core.alignment import Status
from interlingua.core.arrays import FloatArray
from interlingua.core.maps import AffineMap

Way = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Starts:
    """Alignments of every two spaces.

    Attributes:
        maps: for every space but one, the latent space, the maps into it and out of it.
        teachers: what refits agree on, by (from, to), where an alignment stands; or nothing.
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
        widths = {name: z.shape[1] for name, z in rows.items()}
        frames = {name: Frame.of(z) for name, z in rows.items()}
        reached = dict.fromkeys(rows, 0)
        for j, k in combinations(rows, 2):
            ways[j, k], ways[k, j], steps, found[j, k] = solver.solve(
                rows[j], rows[k], known=known, seed=seed, report=report
            )
            trace += steps
            # Two spaces have one alignment, right or wrong; of more, one that failed must not spoil the others.
            if len(rows) > 2 and not _stands(found[j, k], frames[k].around(ways[j, k](rows[j]))):
                continue
            for end in (j, k):
                reached[end] += min(widths[j], widths[k])
            if agreed:
                teachers[j, k], teachers[k, j] = consensus(
                    frames[j], frames[k], found[j, k].search, found[j, k].rotation, seed
                )
        hub = max(reversed(list(rows)), key=lambda name: (reached[name], -widths[name]))
        maps = {name: (ways[name, hub], ways[hub, name]) for name in rows if name != hub}
        return cls(maps, teachers, found, trace)


def _stands(found: Found, translated: FloatArray) -> bool:
    return verify(found.search, found.rotation, translated, found.confirmed).status is not Status.FAILED
