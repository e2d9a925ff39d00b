"""Linear alignments of several spaces with one of them: where the networks of a warm start begin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

from interlingua._arrays import FloatArray
from interlingua.aligners.consensus import consensus
from interlingua.aligners.frames import Frame
from interlingua.aligners.linear import Found, Linear
from interlingua.aligners.search import Report
from interlingua.maps import AffineMap
from interlingua.networks import narrowest

Teacher = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Starts:
    """Alignments of every space with the hub, the narrowest of them.

    Attributes:
        hub: its name.
        maps: for every other space the maps into the hub's space and out of it.
        teachers: what refits agree on, by (from, to), between any two spaces by way of the hub; or nothing.
        found: what each search left behind, by (from, to) in the order of the spaces.
        trace: what the searches did.
    """

    hub: str
    maps: Mapping[str, tuple[AffineMap, AffineMap]]
    teachers: Mapping[tuple[str, str], Teacher]
    found: Mapping[tuple[str, str], Found]
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
        """Align all spaces with the narrowest.

        Args:
            rows: [n_k, d_k] of each space by name, two or more.
            solver: aligns two of them.
            known: rows of known pairs of the first and the second space, where there are just two.
            seed: decides every random draw.
            report: called with one dict of numbers after each step.
            agreed: also ask what refits agree on.
        """
        hub = narrowest({name: z.shape[1] for name, z in rows.items()})
        maps: dict[str, tuple[AffineMap, AffineMap]] = {}
        teachers: dict[tuple[str, str], Teacher] = {}
        found: dict[tuple[str, str], Found] = {}
        trace: list[dict[str, Any]] = []
        for j, k in combinations(rows, 2):
            if hub not in (j, k):
                continue
            forward, backward, steps, found[j, k] = solver.solve(
                rows[j], rows[k], known=known, seed=seed, report=report
            )
            maps |= {j: (forward, backward)} if k == hub else {k: (backward, forward)}
            trace += steps
            if agreed:
                x, y = Frame.of(rows[j]), Frame.of(rows[k])
                teachers[j, k], teachers[k, j] = consensus(x, y, found[j, k].search, found[j, k].rotation, seed)
        if teachers:
            teachers |= {(j, k): _chain(teachers[j, hub], teachers[hub, k]) for j, k in permutations(maps, 2)}
        return cls(hub, maps, teachers, found, trace)


def _chain(first: Teacher, second: Teacher) -> Teacher:
    return lambda rows: second(first(rows))
