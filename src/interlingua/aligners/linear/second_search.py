"""The second search, for problems on which the fast search finds no evidence: islands within a budget, then full width.

Its evidence has not been calibrated: wrong maps of it have reached a transport excess of 15. So no verdict on a map of
this search may be better than doubtful; :data:`UNCALIBRATED` is the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from interlingua.aligners.base import StepLog
from interlingua.aligners.conclusion import at_most_doubtful
from interlingua.aligners.linear.full_width_refinement import refine_to_full_width
from interlingua.aligners.linear.island_settings import IslandSettings
from interlingua.aligners.linear.islands import search_islands
from interlingua.aligners.linear.search import SearchResult
from interlingua.aligners.linear.starts import SearchContext
from interlingua.core.alignment import Status, Verdict
from interlingua.core.arrays import FloatArray

__all__ = ["INTERRUPTED", "UNCALIBRATED", "SecondResult", "helps", "limit_verdict", "search_further"]

UNCALIBRATED = (
    "The map comes from the second search, whose evidence is not calibrated. Check some translations, or known pairs."
)
INTERRUPTED = "The second search was interrupted; this is the best map up to then."
# A second search is made by default with this many rows on the smaller side; with 2,000 and more, the fast search finds
# a map. In benchmarks/results/solver.jsonl it finds a useful map in most fits of 500 rows against 8,000, in none of
# 8,000 against 500, and where the fast search fails on 1,000 rows against 4,000.
_SMALLER_SIDE = range(250, 2_000)
# Distinct rows that the larger side needs for it, somewhat fewer than the 4,000 that were measured. With views of the
# target, it finds a useful map for 1,000 rows on both sides as well (views.jsonl).
_LEAST_ROWS_BESIDE = 3_500
# Islands of the one group by default. About half of all islands reach a right map, and three that agree are evidence.
_ISLANDS = 6
# With fewer rows, refits on halves do not agree even where the map is right. There, three islands that agree are
# evidence instead. Four of seven useful maps have it, and none of seven wrong ones (benchmarks/notes/fits.md).
_FEW_ROWS, _UNANIMOUS = 1_000, 3
_REFITS = {"refit_agreement", "cycle"}
# With so many rows, polishing on neighbors is better than averages of refinements.
_MANY_ROWS = 4_000


@dataclass(frozen=True, eq=False)
class SecondResult:
    """The result of the second search.

    Attributes:
        rotation: [d_source, d_target], or None where the best map of the fast search scores higher.
        at_full_width: whether `rotation` is refined at full width; otherwise it is of the rank of the search.
        agreement: mean cosine, -1 to 1, between translations by two groups of islands; None with fewer than two groups.
        unanimous: number of islands that agree with each other and with the best map of the search.
        interrupted: whether the user interrupted it.
    """

    rotation: FloatArray | None
    at_full_width: bool
    agreement: float | None
    unanimous: int
    interrupted: bool


def helps(smaller: int, larger: int, *, has_views: bool = False) -> bool:
    """Return whether a second search is made by default.

    Args:
        smaller: rows of the smaller side.
        larger: rows of the larger side.
        has_views: whether there are views of the target.
    """
    return smaller in _SMALLER_SIDE and (has_views or larger >= _LEAST_ROWS_BESIDE)


def search_further(
    context: SearchContext, fast: SearchResult, *, budget: float | None, seed: int, on_step: StepLog
) -> SecondResult:
    """Search with islands within a budget, and keep the result where it beats the fast search.

    Both results are compared by transport similarity on the same rows. With few rows the map is refined at full width
    here. With many rows, it is refined together with the maps of the fast search, and the best of them is chosen in
    more coordinates: in the coordinates of the search, the sum of many maps scores higher than it is worth. An
    interrupt from the keyboard ends the search with the best map up to then.

    Args:
        context: rows, null and known pairs of the fast search.
        fast: the result of the fast search.
        budget: seconds for the islands, or None for one group of islands without a limit of time. The refinement at
            full width comes on top and takes less than a minute.
        seed: decides every random draw.
        on_step: called with a dict of numbers and short words after each generation, at full width, and at the end.
    """
    spaces = context.null.spaces
    rotation, agreement, unanimous, interrupted = None, None, 0, False
    at_full_width = context.n < _MANY_ROWS
    try:
        islands = search_islands(
            context.x,
            context.y,
            budget=budget,
            seed=seed,
            on_step=on_step,
            pairs=context.pairs,
            device=spaces.device,
            settings=IslandSettings(groups=1, islands=_ISLANDS) if budget is None else None,
        )
        interrupted = islands.stopped == "interrupted"
        score = float(spaces.similarity(spaces.reduce(islands.matrix)[None])[0])
        on_step(
            {
                "step": "second search",
                "stopped": islands.stopped,
                "similarity": score,
                "similarity_of_fast_search": fast.best.score,
                "excess": context.null.excess(score),
                "agreement": islands.agreement,
                "unanimous": islands.unanimous,
                "groups": len(islands.merges),
                "refinements": islands.refinements,
                "seconds": islands.seconds,
            }
        )
        if score > fast.best.score:
            rotation = islands.matrix
            unanimous = islands.unanimous
            agreement = islands.agreement if len(islands.merges) > 1 else None
            if at_full_width and not interrupted:
                rotation = refine_to_full_width(
                    context.x, context.y, rotation, seed=seed, device=spaces.device, on_step=on_step
                ).matrix
    except KeyboardInterrupt:
        # Before the first map of the islands, the best map is that of the fast search.
        interrupted = True
    if interrupted:
        on_step({"step": "interrupted", "kept": "fast search" if rotation is None else "second search"})
    return SecondResult(rotation, at_full_width or interrupted, agreement, unanimous, interrupted)


def limit_verdict(verdict: Verdict, second: SecondResult, rows: int) -> Verdict:
    """Return the verdict of a fit with a second search: doubtful at best for its map, with an interrupt as a reason.

    With few rows, a map that only refits on halves refute is doubtful as well where several islands agree on it.

    Args:
        verdict: on the map that was kept.
        second: what the second search did.
        rows: of the smaller side.
    """
    if second.rotation is not None:
        missed = {evidence.name for evidence in verdict.evidence if not evidence.passed}
        if rows < _FEW_ROWS and second.unanimous >= _UNANIMOUS and missed and missed <= _REFITS:
            reason = (
                f"{second.unanimous} separately started islands of the second search agree with each other and with "
                f"its best map. Refits on halves of {rows:,} rows do not confirm it; with so few rows they seldom "
                "confirm a right map."
            )
            verdict = replace(verdict, status=Status.DOUBTFUL, reasons=(reason, *verdict.reasons))
        verdict = at_most_doubtful(verdict, UNCALIBRATED)
    return replace(verdict, reasons=(*verdict.reasons, INTERRUPTED)) if second.interrupted else verdict
