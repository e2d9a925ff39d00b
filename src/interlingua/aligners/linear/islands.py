"""Island model for the rotation between two sides without pairs, on resamples with other proportions of topics.

False optima of the alignment objective come from the proportions that topics happen to have on the two sides; the
right map does not depend on them. So some refinements see random proportions
(:mod:`interlingua.aligners.linear.resamples`). The search is an evolutionary algorithm with an island model (Whitley,
Rana and Heckendorn, J. Comput. Inf. Technol. 1999):

* An *island* refines starts from independent components. Then it searches by third moments from the refined maps
  (:mod:`interlingua.aligners.linear.third_moments`) and refines the results, a few times in turn. Then it refines, for
  some *generations*, the *offspring* of its consensus. The *consensus* of maps ``M_i`` with scores ``s_i`` is
  ``polar(sum_i exp(s_i / T) M_i)``; errors of independent refinements cancel in it. An offspring is
  ``polar(c M + sqrt(1 - c^2) N)`` with random noise N, and is refined on rows of its own.
* A *merge* does the same from several islands: its offspring come from random mixtures of their maps, from the
  consensus, and from the best map, and their refinements take so many steps that they settle. Only the scores of maps
  that have settled say which of them is better. Islands with other random draws fail in other ways, so a merge is
  better than each of them.
* *Groups* of islands are merged until two groups arrive at the same map.

Every refinement draws from a random generator of its own that depends on the seed and on its place in the search.
Results therefore do not depend on the number of threads, and a time limit changes them only where it ends the search.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import polar
from interlingua.aligners.linear.exchanges import exchange_groups
from interlingua.aligners.linear.island_settings import IslandSettings
from interlingua.aligners.linear.island_starts import component_starts, weighted_sum
from interlingua.aligners.linear.offspring import island_offspring, merge_offspring
from interlingua.aligners.linear.pairs import Pairs, coarse_prior
from interlingua.aligners.linear.resamples import RefinementOnResamples
from interlingua.aligners.linear.third_moments import ThirdMoments, search_moments
from interlingua.aligners.null import robust_excess, robust_spread
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import to_device, to_numpy
from interlingua.core.statistics import agreement

__all__ = ["IslandsResult", "ScoredMap", "count_unanimous", "search_islands"]

# Generations whose maps the consensus of an island and that of a merge sum.
_REMEMBERED, _REMEMBERED_IN_MERGES = 2, 3
# Exponent of the topic weights in the refinements of starts.
_STARTS_REWEIGHTING = (0.0,)
# Similarities that a score is computed from. Scores of competing maps differ in the third digit only.
_SCORED_SIMILARITIES = 2_000_000
_AGREEMENT_ROWS = 1000
# Streams of the searches by third moments, and of the refinements of what they give. Generations count from 0.
_MOMENT_SEARCHES, _MOMENT_REFINEMENTS = 1000, 2000


@dataclass(frozen=True, eq=False)
class ScoredMap:
    """A coarse map of an island, of a merge or of one refinement.

    Attributes:
        matrix: [w_source, w_target], of an island or merge the consensus of the last generations.
        score: transport similarity of ``matrix``.
    """

    matrix: FloatArray
    score: float


@dataclass(frozen=True, eq=False)
class IslandsResult:
    """The outcome of `search_islands`.

    Attributes:
        matrix: [d_source, d_target], the best map, of rank ``width``.
        best: the best map, in principal coordinates.
        islands: every island.
        merges: the merge of each group, then the merge of all groups where there are several.
        agreement: mean cosine, -1 to 1, of rows under the maps of the two groups that agree most; 0 with one group.
        unanimous: number of islands in the largest set whose maps agree with each other and with the best map.
        null: median score of random starts.
        null_spread: standard deviation of their scores.
        seconds: wall time.
        refinements: number of refined maps.
        stopped: why the search ended: ``"repeated"`` (two groups agree and score beyond random starts),
            ``"exhausted"`` (all groups are done), ``"budget"`` (out of time) or ``"interrupted"``.
    """

    matrix: FloatArray
    best: ScoredMap
    islands: list[ScoredMap]
    merges: list[ScoredMap]
    agreement: float
    unanimous: int
    null: float
    null_spread: float
    seconds: float
    refinements: int
    stopped: str

    @property
    def excess(self) -> float:
        """By how many of their standard deviations the best map scores beyond random starts."""
        return (self.best.score - self.null) / self.null_spread


class _OutOfTimeError(Exception):
    """The budget is used up; the maps so far are the result."""


@dataclass(eq=False)
class _Run:
    """A running search: its settings, the time, and the maps so far, from which a result can be made at any time."""

    x: FloatArray
    y: FloatArray
    refinement: RefinementOnResamples
    prior: FloatArray | None
    settings: IslandSettings
    budget: float | None
    on_step: OnStep
    started: float = field(default_factory=time.perf_counter)
    islands: list[ScoredMap] = field(default_factory=list)
    merges: list[ScoredMap] = field(default_factory=list)
    best: ScoredMap | None = None
    nulls: FloatArray = field(default_factory=lambda: np.zeros(0))
    refinements: int = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def excess(self, score: float) -> float:
        """Return by how many of their standard deviations a score exceeds those of random starts."""
        return robust_excess(score, self.nulls)

    def check_budget(self) -> None:
        """End the search where the budget is spent and there is a map to return."""
        if self.budget is not None and self.seconds > self.budget and self.best is not None:
            raise _OutOfTimeError

    def refine(
        self, starts: FloatArray, key: Sequence[int], reweighting: Sequence[float], *, settle: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """Return the refined maps [r, w_source, w_target] of starts and their scores [r], and remember the best map."""
        maps, scores = [], []
        # In portions, so that the budget is kept; their size must not depend on the machine.
        for first in range(0, len(starts), self.settings.offspring):
            self.check_budget()
            portion = starts[first : first + self.settings.offspring].astype(np.float32)
            maps.append(self.refinement.refine(portion, (*key, first), reweighting, settle=settle))
            scores.append(_scores(self.refinement.spaces, maps[-1]))
            self._remember(maps[-1], scores[-1])
        return np.concatenate(maps), np.concatenate(scores)

    def score(self, matrix: FloatArray) -> ScoredMap:
        """Return a coarse map with its score."""
        return ScoredMap(matrix, float(_scores(self.refinement.spaces, matrix[None])[0]))

    def _remember(self, maps: FloatArray, scores: FloatArray) -> None:
        """Count refined maps and remember the best."""
        top = int(scores.argmax())
        if self.best is None or scores[top] > self.best.score:
            self.best = ScoredMap(maps[top], float(scores[top]))
        self.refinements += len(maps)

    def report(self, stage: str, number: int, generation: int, score: float) -> None:
        self.on_step(
            {
                "step": "islands",
                "stage": stage,
                "number": number,
                "generation": generation,
                "score": score,
                "excess": self.excess(score),
                "refinements": self.refinements,
                "seconds": self.seconds,
                "budget": self.budget,
            }
        )


def search_islands(
    x: FloatArray,
    y: FloatArray,
    *,
    budget: float | None = None,
    seed: int = 0,
    on_step: OnStep = ignore_step,
    pairs: Pairs | None = None,
    device: str = "cpu",
    settings: IslandSettings | None = None,
) -> IslandsResult:
    """Search for the rotation between two sides for which the fast search found no evidence.

    The result for swapped sides is the transpose.

    Args:
        x: [n_source, d_source], centered unit rows in random order, without repeated rows.
        y: [n_target, d_target], likewise.
        budget: seconds after which the search ends with its best map; no limit by default. The counts of ``settings``
            end it otherwise.
        seed: decides every random draw.
        on_step: called with one dict of numbers after each generation.
        pairs: centered unit rows of known pairs, if any; they take part in every refinement.
        device: ``"cpu"`` for numpy, otherwise a torch device, which refines all maps of a generation at once.
        settings: how much to do at most, `IslandSettings()` by default.
    """
    settings = settings or IslandSettings()
    if len(x) > len(y):
        # The smaller side always comes first, so that both directions do the same.
        swapped = None if pairs is None else (pairs[1], pairs[0])
        options: dict[str, Any] = {"on_step": on_step, "device": device, "settings": settings}
        return _transposed(search_islands(y, x, budget=budget, seed=seed, pairs=swapped, **options))
    spaces = CoarseSpaces.of(x, y, width=settings.width, device=device)
    prior = coarse_prior(spaces, pairs)
    refinement = RefinementOnResamples(spaces, None if prior is None else to_device(prior, device))
    run = _Run(x, y, refinement, prior, settings, budget, on_step)
    stopped = "exhausted"
    try:
        for group in range(settings.groups):
            _run_group(run, seed, group)
            if _is_repeated(run):
                stopped = "repeated"
                break
        if len(run.merges) > 1:
            run.merges.append(_run_merge(run, (seed, 2, settings.groups), run.islands + run.merges))
    except _OutOfTimeError:
        stopped = "budget"
    except KeyboardInterrupt:
        if run.best is None or not len(run.nulls):
            raise
        stopped = "interrupted"
    return _result(run, stopped)


def _run_group(run: _Run, seed: int, group: int) -> None:
    """Run the islands of one group and merge them."""
    first = group * run.settings.islands
    for number in range(first, first + run.settings.islands):
        run.islands.append(_run_island(run, (seed, 1, number)))
    run.merges.append(_run_merge(run, (seed, 2, group), run.islands[first:]))


def _run_island(run: _Run, key: tuple[int, int, int]) -> ScoredMap:
    """Return the map of one island; ``key`` decides every draw."""
    settings, refinement = run.settings, run.refinement
    rng = np.random.default_rng(key)
    refinement.cluster(int(rng.integers(2**31)))
    shape = tuple(axes.shape[1] for axes in refinement.spaces.axes)
    random = polar(rng.standard_normal((settings.random_starts, *shape)).astype(np.float32))
    run.nulls = np.concatenate([run.nulls, run.refine(random, (*key, 0), _STARTS_REWEIGHTING)[1]])
    starts = component_starts(
        run.x,
        run.y,
        refinement.spaces,
        rng,
        densities=settings.densities,
        rounds=settings.rounds,
        matchings=settings.matchings,
        most=settings.components,
    )
    maps, scores = run.refine(starts, (*key, 1), _STARTS_REWEIGHTING)
    moments = ThirdMoments.of([to_numpy(rows) for rows in refinement.spaces.rows], refinement.topics)
    for number in range(settings.moment_rounds):
        run.check_budget()
        draws = (*key, _MOMENT_SEARCHES + number)
        starts = search_moments(moments, maps, draws, searches=settings.moment_searches, shape=shape)
        maps, scores = run.refine(starts, (*key, _MOMENT_REFINEMENTS + number), _STARTS_REWEIGHTING)
        run.report("third moments", key[2], 1 + number, float(scores.max()))
    matrix = weighted_sum(maps, scores)
    recent: list[tuple[FloatArray, FloatArray]] = []
    for generation in range(settings.generations):
        starts = island_offspring(matrix, settings.offspring, rng)
        # Of the latest generations only: earlier maps that score well by chance would hold the search back.
        recent = [*recent, run.refine(starts, (*key, 2 + generation), settings.reweighting)][-_REMEMBERED:]
        matrix = weighted_sum(*(np.concatenate(parts) for parts in zip(*recent, strict=True)))
        run.report("island", key[2], 1 + generation, float(recent[-1][1].max()))
    return run.score(matrix)


def _run_merge(run: _Run, key: tuple[int, int, int], parents: Sequence[ScoredMap]) -> ScoredMap:
    """Return the map of a merge of islands and earlier merges; ``key`` decides every draw."""
    settings = run.settings
    rng = np.random.default_rng(key)
    mixed = np.stack([parent.matrix for parent in parents]), np.array([parent.score for parent in parents])
    recent: list[tuple[FloatArray, FloatArray]] = []
    matrix, best = None, None
    for generation in range(settings.merge_generations):
        # New topics in each generation, so that errors of one division of the rows cancel.
        run.refinement.cluster(int(rng.integers(2**31)))
        starts = merge_offspring(*mixed, matrix, best, settings.offspring, rng)
        draws = (*key, 2 + generation)
        recent = [*recent, run.refine(starts, draws, settings.merge_reweighting, settle=True)][-_REMEMBERED_IN_MERGES:]
        maps, scores = (np.concatenate(parts) for parts in zip(*recent, strict=True))
        matrix, best = weighted_sum(maps, scores), maps[scores.argmax()]
        run.report("merge", key[2], 1 + generation, float(scores.max()))
    if matrix is None:
        raise ValueError("A merge needs at least one generation.")
    run.check_budget()
    exchange = exchange_groups(run.refinement.spaces, matrix, rng, prior=run.prior, on_step=run.on_step)
    # Without an exchange, that map is the consensus after one more refinement, which is worse than the consensus.
    return run.score(exchange.matrix if exchange.rounds else matrix)


def _scores(spaces: CoarseSpaces, maps: FloatArray) -> FloatArray:
    n, m = sorted(int(rows.shape[0]) for rows in spaces.rows)
    # The number of similarities is limited, so a small side allows more rows of the large one.
    rows = int(max(_SCORED_SIMILARITIES**0.5, min(m, _SCORED_SIMILARITIES / n)))
    return spaces.similarity(np.ascontiguousarray(maps, np.float32), rows=rows)


def _is_repeated(run: _Run) -> bool:
    """Return whether two groups arrived at the same map, and that map scores beyond random starts."""
    best = max(merged.score for merged in run.merges)
    return _agreement(run, run.merges) >= run.settings.same_map and run.excess(best) >= run.settings.excess


def _agreement(run: _Run, maps: Sequence[ScoredMap]) -> float:
    """Return the mean cosine of rows under the two maps that agree most; 0 where there is one map only."""
    return max((agreement(a, b) for a, b in combinations(_mapped(run, maps), 2)), default=0.0)


def _mapped(run: _Run, maps: Sequence[ScoredMap]) -> list[FloatArray]:
    """Return the rows that maps are compared on under each map."""
    rows = np.asarray(to_numpy(run.refinement.spaces.rows[0][:_AGREEMENT_ROWS]))
    return [rows @ scored.matrix for scored in maps]


def count_unanimous(islands: Sequence[FloatArray], best: FloatArray, least: float) -> int:
    """Return the size of the largest set of islands that agree with the best map and with each other.

    Args:
        islands: the same rows [n, w_target] under the map of each island.
        best: these rows under the best map.
        least: the mean cosine from which on two maps agree.
    """
    mapped = [own for own in islands if agreement(own, best) >= least]
    numbers = range(len(mapped))
    agree = {(i, j) for i, j in combinations(numbers, 2) if agreement(mapped[i], mapped[j]) >= least}
    sets = (chosen for size in range(len(mapped), 0, -1) for chosen in combinations(numbers, size))
    return next((len(chosen) for chosen in sets if agree.issuperset(combinations(chosen, 2))), 0)


def _result(run: _Run, stopped: str) -> IslandsResult:
    # A search that was cut off before its first island was done returns its best refined map.
    maps = run.merges + run.islands or ([] if run.best is None else [run.best])
    best = max(maps, key=lambda scored: scored.score)
    return IslandsResult(
        matrix=run.refinement.spaces.lift(polar(best.matrix)),
        best=best,
        islands=run.islands,
        merges=run.merges,
        agreement=_agreement(run, run.merges[: run.settings.groups]),
        unanimous=count_unanimous(_mapped(run, run.islands), _mapped(run, [best])[0], run.settings.unanimous),
        null=float(np.median(run.nulls)),
        null_spread=robust_spread(run.nulls),
        seconds=run.seconds,
        refinements=run.refinements,
        stopped=stopped,
    )


def _transposed(result: IslandsResult) -> IslandsResult:
    """Return the result for the opposite direction."""

    def transpose(scored: ScoredMap) -> ScoredMap:
        return ScoredMap(np.ascontiguousarray(scored.matrix.T), scored.score)

    return replace(
        result,
        matrix=np.ascontiguousarray(result.matrix.T),
        best=transpose(result.best),
        islands=[transpose(m) for m in result.islands],
        merges=[transpose(m) for m in result.merges],
    )
