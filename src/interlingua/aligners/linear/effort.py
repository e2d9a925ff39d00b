"""How much the island search does at most."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Effort"]


@dataclass(frozen=True)
class Effort:
    """How much the search does before it gives up; counts, so that results are the same on every machine.

    Attributes:
        width: principal coordinates per side. With fewer, scores do not distinguish right from wrong maps.
        rounds: independent component analyses per side and island.
        matchings: distinct matchings of components kept from each pair of rounds.
        components: most independent components per side.
        random_starts: random rotations that climb beside the component starts of an island; they also give the scores
            that a search without any knowledge arrives at.
        children: climbs per generation.
        generations: generations per island.
        merge_generations: generations of a merge.
        islands: islands per group.
        groups: most groups. Two are made at least, because only a second group can confirm the first.
        tilts: how strongly climbs of an island vary the proportions of topics, taken in turn; 0 leaves them as they
            are and climbs farther, 1 leaves more false optima.
        merge_tilts: likewise for the climbs of a merge.
        repeated: mean cosine of rows under the maps of two groups above which they count as the same map.
        excess: standard deviations by which an answer must exceed random starts to end the search early.
    """

    width: int = 64
    rounds: int = 4
    matchings: int = 8
    components: int = 60
    random_starts: int = 8
    children: int = 12
    generations: int = 4
    merge_generations: int = 6
    islands: int = 4
    groups: int = 3
    tilts: tuple[float, ...] = (0.0, 0.0, 0.5)
    merge_tilts: tuple[float, ...] = (1.0, 0.0)
    repeated: float = 0.75
    excess: float = 6.0
