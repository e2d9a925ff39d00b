"""The thorough search for a rotation without pairs: climbs on resamples with other proportions of topics.

The false optima of the alignment objective come from the proportions that topics happen to have on the two sides; the
true map does not depend on them. So some climbs see random proportions (a *tilt*). Where many climbs arrive is
summed, and this *consensus* is perturbed and climbs again for some generations: errors cancel, the truth adds up.
Such a run is an *island*. Islands with other random draws fail in other ways, so a merge of several is better than each
of them. Groups of islands are merged until two groups arrive at the same map.

Every climb draws from a random generator of its own that depends on the seed and on its place in the search. Results
therefore do not depend on the number of threads, and a time limit changes them only where it cuts the search short.
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
from interlingua.aligners.linear.effort import Effort
from interlingua.aligners.linear.exchanges import exchange_groups
from interlingua.aligners.linear.island_starts import component_starts, perturbed, weighted_sum
from interlingua.aligners.linear.pairs import Pairs, coarse_prior
from interlingua.aligners.linear.tilts import Climber
from interlingua.aligners.null import robust_spread
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import to_device, to_numpy
from interlingua.core.statistics import agreement

__all__ = ["Answer", "IslandsResult", "search_islands"]

# Weights of the islands in a mixture fall by e for each step of this size below the best score.
_PARENT_SOFTNESS = 4e-3
_MIXTURE_EVERY = 2
# A perturbed map agrees this much with the map it came from. Nearer ones return to it, farther ones lose it.
_PERTURBATIONS = (0.6, 0.75)
_MERGE_PERTURBATIONS = (0.4, 0.6, 0.6, 0.9)
# Generations whose maps a merge sums.
_REMEMBERED = 3
# Scores of rivals differ in the third digit, and few rows would hide that.
_SCORED_SIMILARITIES = 4_000_000
_AGREEMENT_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Answer:
    """What an island or a merge arrived at.

    Attributes:
        matrix: [w_source, w_target], the consensus of its last generation.
        score: transport similarity of ``matrix``.
    """

    matrix: FloatArray
    score: float


@dataclass(frozen=True, eq=False)
class IslandsResult:
    """The outcome of `search_islands`.

    Attributes:
        matrix: [d_source, d_target], the best map, of rank ``width``.
        answer: the best answer, in principal coordinates.
        islands: every island.
        merges: one answer a group, then the merge of all groups where there are several.
        agreement: mean cosine, -1 to 1, of rows under the maps of the two groups that agree most; 0 with one group.
        null: median score of random starts.
        null_spread: standard deviation of their scores.
        seconds: wall time.
        climbs: number of climbs.
        stopped: why the search ended: ``"repeated"`` (two groups agree and score beyond random starts),
            ``"exhausted"`` (all groups are done), ``"budget"`` (out of time) or ``"interrupted"``.
    """

    matrix: FloatArray
    answer: Answer
    islands: list[Answer]
    merges: list[Answer]
    agreement: float
    null: float
    null_spread: float
    seconds: float
    climbs: int
    stopped: str

    @property
    def excess(self) -> float:
        """By how many of their standard deviations the best answer scores beyond random starts."""
        return (self.answer.score - self.null) / self.null_spread


class _OutOfTimeError(Exception):
    """The budget is spent; what there is so far is the result."""


@dataclass(eq=False)
class _Run:
    """A search with its settings, its clock and what it has found so far, for a result at any time."""

    x: FloatArray
    y: FloatArray
    climber: Climber
    prior: FloatArray | None
    effort: Effort
    budget: float | None
    on_step: OnStep
    started: float = field(default_factory=time.perf_counter)
    islands: list[Answer] = field(default_factory=list)
    merges: list[Answer] = field(default_factory=list)
    best: Answer | None = None
    nulls: FloatArray = field(default_factory=lambda: np.zeros(0))
    climbs: int = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def null(self) -> tuple[float, float]:
        return float(np.median(self.nulls)), robust_spread(self.nulls)

    def check(self) -> None:
        """End the search where the budget is spent and there is a map to return."""
        if self.budget is not None and self.seconds > self.budget and self.best is not None:
            raise _OutOfTimeError

    def note_climbs(self, maps: FloatArray, scores: FloatArray) -> None:
        """Count climbs and remember the best map."""
        top = int(scores.argmax())
        if self.best is None or scores[top] > self.best.score:
            self.best = Answer(maps[top], float(scores[top]))
        self.climbs += len(maps)

    def report(self, stage: str, number: int, generation: int, score: float) -> None:
        null, spread = self.null
        self.on_step(
            {
                "step": "islands",
                "stage": stage,
                "number": number,
                "generation": generation,
                "score": score,
                "excess": (score - null) / spread,
                "climbs": self.climbs,
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
    effort: Effort | None = None,
) -> IslandsResult:
    """Search for the rotation between two sides whose fast search found none.

    The result for swapped sides is the transpose.

    Args:
        x: [n_source, d_source], centered unit rows in random order, without repeated rows.
        y: [n_target, d_target], likewise.
        budget: seconds after which the search ends with its best map; no limit by default. The counts of ``effort``
            end it otherwise.
        seed: decides every random draw.
        on_step: called with one dict of numbers after each generation.
        pairs: centered unit rows of known pairs, if any; they pull every climb.
        device: ``"cpu"`` for numpy, otherwise a torch device, which takes all climbs of a generation at once.
        effort: how much to do at most.
    """
    effort = effort or Effort()
    if len(x) > len(y):
        # The smaller side always comes first, so that both directions do the same.
        turned = None if pairs is None else (pairs[1], pairs[0])
        options: dict[str, Any] = {"on_step": on_step, "device": device, "effort": effort}
        return _transposed(search_islands(y, x, budget=budget, seed=seed, pairs=turned, **options))
    spaces = CoarseSpaces.of(x, y, width=effort.width, device=device)
    prior = coarse_prior(spaces, pairs)
    climber = Climber(spaces, None if prior is None else to_device(prior, device))
    run = _Run(x, y, climber, prior, effort, budget, on_step)
    stopped = "exhausted"
    try:
        for group in range(effort.groups):
            _run_group(run, seed, group)
            if _is_repeated(run):
                stopped = "repeated"
                break
        if len(run.merges) > 1:
            run.merges.append(_evolve(run, (seed, 2, effort.groups), parents=run.islands + run.merges))
    except _OutOfTimeError:
        stopped = "budget"
    except KeyboardInterrupt:
        if run.best is None or not len(run.nulls):
            raise
        stopped = "interrupted"
    return _result(run, stopped)


def _run_group(run: _Run, seed: int, group: int) -> None:
    """Run the islands of one group and merge them."""
    first = group * run.effort.islands
    for number in range(first, first + run.effort.islands):
        run.islands.append(_evolve(run, (seed, 1, number), parents=None))
    run.merges.append(_evolve(run, (seed, 2, group), parents=run.islands[first:]))


def _evolve(run: _Run, key: tuple[int, int, int], *, parents: list[Answer] | None) -> Answer:
    """Return the answer of one island, or of a merge of ``parents``.

    Args:
        run: the search so far.
        key: decides every draw.
        parents: islands and earlier merges; None for an island of its own.
    """
    effort, climber = run.effort, run.climber
    rng = np.random.default_rng(key)
    climber.cluster(int(rng.integers(2**31)))
    shape = tuple(axes.shape[1] for axes in climber.spaces.axes)

    def enter(starts: FloatArray, generation: int, tilts: Sequence[float]) -> tuple[FloatArray, FloatArray]:
        """Let starts climb, and return the maps that they reach with their scores."""
        maps, scores = [], []
        # In portions, so that the budget is kept; their size must not depend on the machine.
        for first in range(0, len(starts), effort.children):
            run.check()
            portion = starts[first : first + effort.children]
            maps.append(climber.climb(portion, (*key, generation, first), tilts))
            scores.append(_scores(climber.spaces, maps[-1]))
            run.note_climbs(maps[-1], scores[-1])
        return np.concatenate(maps), np.concatenate(scores)

    matrix = None
    if parents is None:
        random = polar(rng.standard_normal((effort.random_starts, *shape)).astype(np.float32))
        run.nulls = np.concatenate([run.nulls, enter(random, 0, effort.tilts)[1]])
        limits = {"rounds": effort.rounds, "matchings": effort.matchings, "most": effort.components}
        matrix = weighted_sum(*enter(component_starts(run.x, run.y, climber.spaces, rng, **limits), 1, effort.tilts))
    stage = "island" if parents is None else "merge"
    recent: list[tuple[FloatArray, FloatArray]] = []
    tilts = effort.tilts if parents is None else effort.merge_tilts
    for generation in range(effort.generations if parents is None else effort.merge_generations):
        maps, scores = enter(_children(matrix, parents, rng, effort), 2 + generation, tilts)
        # Of the latest generations only: earlier maps that score well by chance would hold the search back.
        recent = [*recent, (maps, scores)][-(1 if parents is None else _REMEMBERED) :]
        matrix = weighted_sum(*(np.concatenate(parts) for parts in zip(*recent, strict=True)))
        run.report(stage, key[2], 1 + generation, float(scores.max()))
    if matrix is None:
        raise ValueError("A merge needs a generation at least.")
    if parents is not None:
        run.check()
        matrix = exchange_groups(climber.spaces, matrix, rng, prior=run.prior, on_step=run.on_step).matrix
    return Answer(matrix, float(_scores(climber.spaces, matrix[None])[0]))


def _children(
    matrix: FloatArray | None, parents: Sequence[Answer] | None, rng: np.random.Generator, effort: Effort
) -> FloatArray:
    """Return starts [children, w_source, w_target] near ``matrix`` and near random mixtures of parents."""
    if parents:
        maps, scores = np.stack([p.matrix for p in parents]), np.array([p.score for p in parents])
        weights = np.exp((scores - scores.max()) / _PARENT_SOFTNESS)
    children = []
    for i in range(effort.children):
        if matrix is not None and (parents is None or i % _MIXTURE_EVERY):
            origin = matrix
        else:
            origin = polar(np.tensordot(weights * rng.exponential(size=len(weights)), maps, axes=1))
        # In a merge, neighbors in the list share a size, or mixtures and consensus would see other sizes.
        sizes, step = (_PERTURBATIONS, i) if parents is None else (_MERGE_PERTURBATIONS, i // _MIXTURE_EVERY)
        children.append(perturbed(origin, sizes[step % len(sizes)], rng))
    return np.stack(children).astype(np.float32)


def _scores(spaces: CoarseSpaces, maps: FloatArray) -> FloatArray:
    n, m = sorted(int(rows.shape[0]) for rows in spaces.rows)
    # The number of similarities is limited, so a small side allows more rows of the large one.
    rows = int(max(_SCORED_SIMILARITIES**0.5, min(m, _SCORED_SIMILARITIES / n)))
    return spaces.similarity(np.ascontiguousarray(maps, np.float32), rows=rows)


def _is_repeated(run: _Run) -> bool:
    """Return whether two groups arrived at the same map, and that map scores beyond random starts."""
    null, spread = run.null
    best = max(answer.score for answer in run.merges)
    return _agreement(run, run.merges) >= run.effort.repeated and (best - null) / spread >= run.effort.excess


def _agreement(run: _Run, answers: Sequence[Answer]) -> float:
    """Return the mean cosine of rows under the two answers that agree most; 0 where there is one answer only."""
    rows = np.asarray(to_numpy(run.climber.spaces.rows[0][:_AGREEMENT_ROWS]))
    mapped = [rows @ answer.matrix for answer in answers]
    return max((agreement(a, b) for a, b in combinations(mapped, 2)), default=0.0)


def _result(run: _Run, stopped: str) -> IslandsResult:
    # A search that was cut off before its first island was done returns its best climb.
    answers = run.merges + run.islands or ([] if run.best is None else [run.best])
    best = max(answers, key=lambda answer: answer.score)
    null, spread = run.null
    return IslandsResult(
        matrix=run.climber.spaces.lift(polar(best.matrix)),
        answer=best,
        islands=run.islands,
        merges=run.merges,
        agreement=_agreement(run, run.merges[: run.effort.groups]),
        null=null,
        null_spread=spread,
        seconds=run.seconds,
        climbs=run.climbs,
        stopped=stopped,
    )


def _transposed(result: IslandsResult) -> IslandsResult:
    """Return the result for the opposite direction."""

    def turn(answer: Answer) -> Answer:
        return Answer(np.ascontiguousarray(answer.matrix.T), answer.score)

    return replace(
        result,
        matrix=np.ascontiguousarray(result.matrix.T),
        answer=turn(result.answer),
        islands=[turn(a) for a in result.islands],
        merges=[turn(a) for a in result.merges],
    )
