"""The search for a rotation between two spaces without pairs.

Candidates from several starts are refined side by side in coarse coordinates. The best one by transport similarity is
accepted as soon as two conditions hold: its excess over maps from random starts is at least 8 standard deviations, and
a candidate of another origin agrees with it (mean cosine of the translations at least 0.8, or 0.9 for many rows).
Errors differ from start to start and the right map does not, so agreement without a pair is evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step
from interlingua.aligners.coarse import anneal, settle
from interlingua.aligners.linear.components import ComponentRound
from interlingua.aligners.linear.starts import MIN_RANK, STARTS, SearchContext, components_of_round, match_last_round
from interlingua.aligners.null import robust_spread
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import to_numpy
from interlingua.core.errors import InputError, named_side
from interlingua.core.statistics import agreement

__all__ = ["Candidate", "SearchResult", "check_ranks", "is_accepted", "search"]

# How many of the best unsettled candidates are settled at a time.
_FINALISTS = 6
# A map is accepted when a map of another origin agrees with it this much and its excess over random starts is this
# large. Maps of many rows carry less noise, so more agreement is needed of them.
_AGREEMENT, _AGREEMENT_MANY_ROWS, _MANY_ROWS = 0.8, 0.9, 5_000
_EXCESS = 8.0
_AGREEMENT_ROWS = 1000
_LEADING = 2
# Origin of averages over all candidates. They depend on the other candidates, so they cannot confirm them.
_AVERAGE = "average of all candidates"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A coarse map during the search.

    Attributes:
        matrix: [w_source, w_target], orthonormal rows or columns.
        origin: name of the start.
        score: transport similarity.
        start: the polar factor of the start, before refinement.
        settled: whether `settle`, the second part of the refinement, has been applied.
    """

    matrix: FloatArray
    origin: str
    score: float
    start: FloatArray
    settled: bool = False


@dataclass(frozen=True, eq=False)
class SearchResult:
    """The result of a search.

    Attributes:
        candidates: settled candidates, best first.
        start_agreement: agreement of the best candidate of another origin with the best, 0 to 1.
    """

    candidates: tuple[Candidate, ...]
    start_agreement: float

    @property
    def best(self) -> Candidate:
        """The candidate of the largest transport similarity."""
        return self.candidates[0]

    @property
    def leading(self) -> list[FloatArray]:
        """The maps [w_source, w_target] of the two best candidates, which are compared in more coordinates."""
        return [candidate.matrix for candidate in self.candidates[:_LEADING]]


def search(context: SearchContext, *, rounds: int, on_step: OnStep = ignore_step) -> SearchResult:
    """Search for the rotation between two sides in coarse coordinates.

    The starts of :data:`interlingua.aligners.linear.starts.STARTS` come first. Each further round adds starts from
    independent components and two averages of all candidates. Starts are annealed together, and the best of them are
    settled, both by entropic Wasserstein-Procrustes (:func:`interlingua.aligners.refine.wasserstein_procrustes`). The
    search ends when `is_accepted` accepts the best candidate, or after the last round.

    Args:
        context: rows, null and random draws.
        rounds: most rounds of component starts.
        on_step: called with a dict of numbers after each round.

    Returns:
        The settled candidates of all rounds, accepted or not.
    """
    null = context.null
    pool = _refine_starts(context, {name: start(context) for name, start in STARTS.items()})
    result, pool = _settle_best(context, pool)
    earlier: list[ComponentRound] = []
    for number in range(rounds):
        if is_accepted(context, result):
            break
        earlier.append(components_of_round(context, number))
        pool += _refine_starts(context, match_last_round(context, earlier))
        if number == 0:
            # Two rounds at least: they can be matched with each other, and confirm each other.
            continue
        pool += _refine_starts(context, {_AVERAGE: _average_candidates(context, pool)})
        result, pool = _settle_best(context, pool)
        on_step(
            {
                "step": "round",
                "round": number,
                "of": rounds,
                "candidates": len(pool),
                "excess": null.excess(result.best.score),
                "agreement": result.start_agreement,
            }
        )
    return result


def is_accepted(context: SearchContext, result: SearchResult) -> bool:
    """Return whether the best candidate is confirmed: by a candidate of another origin, and by its excess."""
    least = _AGREEMENT if context.n <= _MANY_ROWS else _AGREEMENT_MANY_ROWS
    return result.start_agreement >= least and context.null.excess(result.best.score) >= _EXCESS


def check_ranks(ranks: tuple[int, int]) -> None:
    """Refuse sides whose rows vary in too few directions.

    Raises:
        InputError: source or target varies in fewer than 8 directions.
    """
    for side, rank in zip(("source", "target"), ranks, strict=True):
        if rank < MIN_RANK:
            raise InputError(
                f"{named_side(side)} varies in only {rank} directions; without pairs at least {MIN_RANK} are needed. "
                "Give vectors of more varied texts, or known pairs with the method procrustes."
            )


def _refine_starts(context: SearchContext, starts: Mapping[str, list[FloatArray]]) -> list[Candidate]:
    """Anneal all starts together and return them as candidates."""
    spaces = context.null.spaces
    origins = [origin for origin, matrices in starts.items() for _ in matrices]
    initial = np.stack([spaces.reduce(matrix) for matrices in starts.values() for matrix in matrices])
    maps = anneal(spaces, initial, context.rng)
    return [Candidate(*values) for values in zip(maps, origins, spaces.similarity(maps), initial, strict=True)]


def _settle_best(context: SearchContext, pool: list[Candidate]) -> tuple[SearchResult, list[Candidate]]:
    """Settle the unsettled candidates with the best scores; return the result so far and all candidates."""
    spaces = context.null.spaces
    waiting = sorted((c for c in pool if not c.settled), key=lambda c: -c.score)
    done = [c for c in pool if c.settled]
    matrices = np.stack([c.matrix for c in waiting[:_FINALISTS]])
    maps = settle(spaces, matrices, context.rng)
    done += [
        replace(candidate, matrix=matrix, score=float(score), settled=True)
        for candidate, matrix, score in zip(waiting, maps, spaces.similarity(maps), strict=False)
    ]
    done.sort(key=lambda c: -c.score)
    best, *others = done
    rows = to_numpy(spaces.rows[0][:_AGREEMENT_ROWS])
    agreements = [
        agreement(rows @ best.matrix, rows @ c.matrix) for c in others if c.origin not in (_AVERAGE, best.origin)
    ]
    return SearchResult(tuple(done), max(agreements, default=0.0)), done + waiting[_FINALISTS:]


def _average_candidates(context: SearchContext, pool: list[Candidate]) -> list[FloatArray]:
    """Return two averages of all candidates: errors are independent across starts and cancel.

    One is the plain sum of the starts, the other the sum of the refined maps weighted by
    ``exp((score - best score) / spread of the null)``.
    """
    scores = np.array([c.score for c in pool])
    weights = np.exp((scores - scores.max()) / robust_spread(context.null.scores))
    starts = np.sum([c.start for c in pool], axis=0)
    maps = np.tensordot(weights, np.stack([c.matrix for c in pool]), axes=1)
    return [context.null.spaces.lift(np.asarray(matrix, np.float32)) for matrix in (starts, maps)]
