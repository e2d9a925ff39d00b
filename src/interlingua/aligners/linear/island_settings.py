"""Settings of the island search."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IslandSettings"]


@dataclass(frozen=True)
class IslandSettings:
    """How much the search does at most; counts instead of seconds, so that results are the same on every machine.

    Attributes:
        width: principal coordinates per side. With fewer, scores do not distinguish right from wrong maps.
        densities: independent components per root of the rows of the smaller side, one after the other. Errors of
            starts from different numbers of components are less alike, so more of them cancel in a sum.
        rounds: independent component analyses per side, island and number of components.
        matchings: distinct matchings of components kept from each pair of rounds.
        components: most independent components per side.
        random_starts: random rotations refined beside the component starts of an island. Their scores are the null
            distribution.
        moment_rounds: how often the maps of an island are searched by third moments and refined, before its
            generations.
        moment_searches: independent searches by third moments per round; each gives three maps.
        offspring: maps refined per generation.
        generations: generations per island.
        merge_generations: generations of a merge.
        islands: islands per group.
        groups: most groups. Two are made at least, because only a second group can confirm the first.
        reweighting: exponents of the topic weights in the refinements of offspring of an island, taken in turn. 0 keeps
            the proportions of topics and gives more precise maps; with 1, refinements err in more different ways.
            Starts are refined with 0, because a start that is far from the right map rarely reaches it with 1.
        merge_reweighting: likewise for the refinements of a merge.
        same_map: mean cosine of rows under the maps of two groups above which they count as the same map.
        unanimous: mean cosine of rows under the maps of two islands above which they agree. Wrong maps of a few rows
            agree too: two did by 0.77, and a third with them by 0.33 (benchmarks/notes/fits.md).
        excess: standard deviations by which a map must score above random starts to end the search early.
    """

    width: int = 64
    densities: tuple[float, ...] = (1.1, 1.25, 1.4, 1.6, 1.8)
    rounds: int = 3
    matchings: int = 6
    components: int = 140
    random_starts: int = 8
    moment_rounds: int = 4
    moment_searches: int = 6
    offspring: int = 24
    generations: int = 6
    merge_generations: int = 12
    islands: int = 4
    groups: int = 3
    reweighting: tuple[float, ...] = (1.0,)
    merge_reweighting: tuple[float, ...] = (1.0,)
    same_map: float = 0.75
    unanimous: float = 0.5
    excess: float = 6.0
