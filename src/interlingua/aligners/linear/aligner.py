"""``method="linear"``: a rotation fitted without pairs, then a corrected non-orthogonal map in each direction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from interlingua.aligners.base import (
    Fit,
    OnStep,
    OptionalUse,
    PairUse,
    Problem,
    StepLog,
    ignore_step,
)
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.conclusion import at_most_doubtful
from interlingua.aligners.frames import affine_map
from interlingua.aligners.linear.correction import MIN_ROWS, correct_maps
from interlingua.aligners.linear.exchanges import AMBIGUOUS, exchange_groups, two_groups_reason
from interlingua.aligners.linear.full_width import widen
from interlingua.aligners.linear.known_evidence import NO_HELD_OUT, judge_known
from interlingua.aligners.linear.known_search import KnownResult, search_with_known, settle_rotation
from interlingua.aligners.linear.nonorthogonal import leveled_affine_map, nonorthogonal_maps
from interlingua.aligners.linear.pairs import Pairs, centered_pairs, coarse_prior
from interlingua.aligners.linear.repeats import merge_copies
from interlingua.aligners.linear.search import SearchResult, check_ranks, is_accepted, search
from interlingua.aligners.linear.second_search import helps, limit_verdict, search_further
from interlingua.aligners.linear.starts import SearchContext
from interlingua.aligners.linear.views import JoinedSpace, rotate_to_target
from interlingua.aligners.null import NullMaps
from interlingua.aligners.pair_evidence import coverage_of_pairs
from interlingua.aligners.verdict import judge_rotation
from interlingua.core.alignment import Verdict
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import resolve_device, single_threaded_blas, to_numpy
from interlingua.core.maps import AffineMap

__all__ = ["Linear", "LinearFit"]

# Keep the draws of a search with pairs or categories, and of the correction, apart from all others with the same seed.
_KNOWN_STREAM, _CORRECTION_STREAM = 17, 18


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearFit(Fit):
    """A fit of the linear method, with what the adversarial method reads: rotation, null and start agreement.

    Attributes:
        verdict: from label-free evidence.
        rotation: [d_source, d_target], the rotation between the frames, before the non-orthogonal stage.
        null: maps from random starts on the same rows.
        start_agreement: agreement of the best candidate of another origin with the rotation, 0 to 1. For a map of the
            second search, agreement of two groups of islands, or None if there was time for one group only.
        problem: the rows of the fit, with copies merged.
        nonorthogonal: whether the non-orthogonal stage was used, forward and backward; None if it was switched off.
        shifts: of the correction on mutual neighbors, forward and backward; None where it was not used.
    """

    forward: AffineMap
    backward: AffineMap
    verdict: Verdict
    rotation: FloatArray
    null: NullMaps
    start_agreement: float | None
    problem: Problem
    nonorthogonal: tuple[bool, bool] | None = None
    shifts: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Linear:
    """The unpaired linear solver. Known pairs, categories of rows and views of the target are optional help.

    Attributes:
        rounds: most rounds of component starts. More rounds solve harder problems and take longer to give up.
        nonorthogonal: follow the rotation with a non-orthogonal stage where refits on halves agree more under it.
        correction: correct the map after that stage on mutual neighbors, from 4,000 rows a side on and without known
            pairs, where held-out rows keep their mutual neighbors.
        device: ``"cpu"`` for numpy, ``"cuda"``, ``"cuda:N"`` or ``"mps"`` for torch, or ``"auto"``: an NVIDIA GPU if
            there is one, otherwise the CPU.
        budget: seconds for a second, experimental search where the first finds no evidence; 0 for none. By default, it
            runs without a limit of time, for some minutes, if one side has 250 to 1,999 rows and the other 3,500 or
            more, or any number with views of the target. A map of the second search is doubtful at best.

    Raises:
        InputError: a setting of another type or out of range.
    """

    rounds: int = 10
    nonorthogonal: bool = True
    correction: bool = True
    device: str = "cpu"
    budget: float | None = None

    name: ClassVar[str] = "linear"
    pairs: ClassVar[PairUse] = "optional"
    labels: ClassVar[OptionalUse] = "optional"
    views: ClassVar[OptionalUse] = "optional"
    bounds: ClassVar[Bounds] = {"budget": {"minimum": 0}}

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> LinearFit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Copies and near-copies of a row count once. The step ``copies`` of the trace has their numbers.

        On the CPU the result does not depend on the number of threads, unless the time of ``budget`` ends a search.
        BLAS is limited to one thread in the whole process during the fit, and the work is divided among the available
        cores in parts of fixed size.

        Raises:
            InputError: fewer rows, columns or directions than the method needs, or the device does not exist.
            MissingExtraError: a device is set and the extra ``torch`` is not installed.
        """
        problem.check_rows("Give more of them, or known pairs with the method procrustes.")
        # A device that does not exist is refused before any work.
        resolved = replace(self, device=resolve_device(self.device))
        with single_threaded_blas():
            return resolved._fit(problem, seed, StepLog(on_step))

    def searches_further(self, problem: Problem) -> bool:
        """Return whether a second search follows where the fast one finds no evidence."""
        sizes = [len(rows) for rows in problem.rows]
        has_views = bool(problem.views)
        return helps(min(sizes), max(sizes), has_views=has_views) if self.budget is None else self.budget > 0

    def refine(
        self,
        problem: Problem,
        rotation: FloatArray,
        *,
        seed: int,
        start_agreement: float | None = None,
        on_step: OnStep = ignore_step,
    ) -> LinearFit:
        """Refine and judge a given rotation on the rows of a problem, without a search.

        Args:
            problem: the rows; none of them needs to have taken part in the rotation.
            rotation: [d_source, d_target] between the frames of both sides.
            seed: decides every random draw.
            start_agreement: of the search that the rotation comes from; part of the evidence.
            on_step: called with a dict of numbers after each step.
        """
        with single_threaded_blas():
            log = StepLog(on_step)
            problem = merge_copies(problem, log)
            order, width, halves = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
            a, b = (frame.rows[order.permutation(len(frame.rows))] for frame in problem.frames)
            spaces = CoarseSpaces.of(a, b, device=resolve_device(self.device))
            pairs = centered_pairs(problem)
            widened = widen(a, b, [rotation], spaces=spaces, rng=width, pairs=pairs, on_step=log, on_part=log.show)
            null = NullMaps.sample(spaces, seed=seed, on_part=log.show)
            context = SearchContext(a, b, null, halves, pairs)
            return self._finish(problem, context, widened, widened, log, seed, start_agreement)

    def _fit(self, problem: Problem, seed: int, log: StepLog) -> LinearFit:
        """Search for a rotation, refine it at full width and judge it, with known pairs or a second search if asked."""
        problem = merge_copies(problem, log)
        pairs = own_pairs = centered_pairs(problem)
        seeds = np.random.SeedSequence(seed).spawn(5)
        order, starts, width, halves, groups = map(np.random.default_rng, seeds)
        known_rng = np.random.default_rng([seed, _KNOWN_STREAM])
        # Some steps read the first rows only. In random order the result does not depend on the order of the input.
        # With views, the search is for a rotation into the joined space.
        frames = problem.frames
        if problem.views:
            joined_space = JoinedSpace.of(problem)
            frames = (problem.frames[0], joined_space.frame)
            if problem.known is not None and pairs is not None:
                pairs = pairs[0], joined_space.center((problem.known[1], *problem.known_views))
        orders = [order.permutation(len(frame.rows)) for frame in frames]
        a, b = (frame.rows[drawn] for frame, drawn in zip(frames, orders, strict=True))
        spaces = CoarseSpaces.of(a, b, device=self.device)
        own_rows, own_spaces = b, spaces
        if problem.views:
            own_rows = problem.frames[1].rows[orders[1]]
            own_spaces = CoarseSpaces.of(a, own_rows, device=self.device)
        check_ranks(own_spaces.ranks)
        null = NullMaps.sample(spaces, seed=seed, on_part=log.show)
        context = SearchContext(a, b, null, starts, pairs)
        log.show({"step": "search"})
        guided: KnownResult | None = None
        result: SearchResult | None
        if pairs is None and problem.labels is None:
            result = search(context, rounds=self.rounds, on_step=log)
            coarse = result.leading
        else:
            labels = None if problem.labels is None else (problem.labels[0][orders[0]], problem.labels[1][orders[1]])
            guided = search_with_known(context, labels, rounds=self.rounds, rng=known_rng, on_step=log)
            spaces, pairs, result, coarse = guided.spaces, guided.pairs, guided.plain, list(guided.matrices)
        second, ambiguity = None, None
        # The result is None where known pairs or categories confirm the guided map, which needs no further search.
        if self.searches_further(problem) and result is not None and not is_accepted(context, result):
            second = search_further(context, result, budget=self.budget, seed=seed, on_step=log)
        start_agreement = None if result is None else result.start_agreement
        matrices = [spaces.lift(matrix) for matrix in coarse]
        if second is not None and second.rotation is not None:
            start_agreement = second.agreement
            matrices.append(second.rotation)
        if second is not None and second.rotation is not None and second.at_full_width:
            rotation = second.rotation
        else:
            rotation, ambiguity = _widen_and_exchange((a, b), matrices, spaces, pairs, width, groups, log)
        held = None if guided is None else guided.held
        if problem.views:
            # The map into the target is judged, and not the one into the joined space, which may be much better.
            # Only the agreement of starts is that of the joined space.
            to_target = partial(rotate_to_target, a, b, target=own_rows, device=self.device)
            pairs, b = None if pairs is None else own_pairs, own_rows
            rotation = to_target(rotation=rotation, pairs=pairs)
            if guided is not None:
                searches = guided.searches.change(lambda m: own_spaces.reduce(to_target(rotation=spaces.lift(m))))
                held = searches.translate(own_spaces, own_pairs)
            null = NullMaps.sample(own_spaces, seed=seed, on_part=log.show)
        judged = rotation if guided is None else settle_rotation(null.spaces, rotation, known_rng)
        finished = SearchContext(a, b, null, halves, pairs)
        fit = self._finish(problem, finished, rotation, judged, log, seed, start_agreement)
        verdict = fit.verdict
        if held is not None:
            coverage = coverage_of_pairs(problem, seed=seed)
            verdict = judge_known(verdict, held, to_numpy(null.spaces.rows[1]), (len(a), len(b)), coverage)
            if held.pairs is None and problem.known is not None:
                verdict = replace(verdict, reasons=(*verdict.reasons, NO_HELD_OUT))
        if second is not None:
            verdict = limit_verdict(verdict, second, spaces.n)
        if ambiguity is not None and problem.known is None:
            verdict = at_most_doubtful(verdict, ambiguity)
        return replace(fit, verdict=verdict)

    def _finish(
        self,
        problem: Problem,
        context: SearchContext,
        rotation: FloatArray,
        judged: FloatArray,
        log: StepLog,
        seed: int,
        start_agreement: float | None,
    ) -> LinearFit:
        """Return the maps of both directions for a rotation, with their verdict.

        Args:
            problem: both sides without copies.
            context: rows of the frames; its generator draws the batches of refits on halves of them.
            rotation: [d_source, d_target] between the frames.
            judged: the rotation that refits and transport are measured on; the same, unless known pairs took part in
                the other.
            log: receives the steps.
            seed: of the measurements.
            start_agreement: part of the evidence.
        """
        x, y = problem.frames
        device = resolve_device(self.device)
        forward, backward = rotation, np.ascontiguousarray(rotation.T)
        used = None
        if self.nonorthogonal:
            forward, backward, step = nonorthogonal_maps(
                context.x, context.y, rotation, rng=context.rng, pairs=context.pairs, device=device, on_part=log.show
            )
            used = bool(step["forward"]), bool(step["backward"])
            log(step)
        to_map = leveled_affine_map if self.nonorthogonal else affine_map
        maps = to_map(x, y, forward), to_map(y, x, backward)
        shifts: tuple[float | None, float | None] = (None, None)
        # It starts from translations of that stage. Its effect on maps refined with known pairs was not measured.
        has_enough_rows = min(map(len, problem.rows)) >= MIN_ROWS
        if self.correction and self.nonorthogonal and context.pairs is None and has_enough_rows:
            rng = np.random.default_rng([seed, _CORRECTION_STREAM])
            maps, step = correct_maps(maps, problem.rows, rng=rng, device=device, on_part=log.show)
            shifts = step["forward"], step["backward"]
            log(step)
        translated = y.center(maps[0](problem.rows[0]))
        verdict = judge_rotation(
            context.null, judged, translated, y.rows, seed=seed, start_agreement=start_agreement, on_part=log.show
        )
        return LinearFit(
            forward=maps[0],
            backward=maps[1],
            trace=tuple(log.steps),
            verdict=verdict,
            rotation=rotation,
            null=context.null,
            start_agreement=start_agreement,
            problem=problem,
            nonorthogonal=used,
            shifts=shifts,
        )


def _widen_and_exchange(
    rows: tuple[FloatArray, FloatArray],
    matrices: list[FloatArray],
    spaces: CoarseSpaces,
    pairs: Pairs | None,
    width_rng: np.random.Generator,
    groups_rng: np.random.Generator,
    log: StepLog,
) -> tuple[FloatArray, str | None]:
    """Return the best of rough maps at full width without swapped groups, and why it is ambiguous, or None."""
    rotation = widen(*rows, matrices, spaces=spaces, rng=width_rng, pairs=pairs, on_step=log, on_part=log.show)
    # Only in a map refined in many coordinates do the scores of exchanges differ enough.
    prior = coarse_prior(spaces, pairs)
    exchanged = exchange_groups(spaces, spaces.reduce(rotation), groups_rng, prior=prior, on_step=log)
    if exchanged.rounds:
        corrected = [spaces.lift(exchanged.matrix)]
        rotation = widen(*rows, corrected, spaces=spaces, rng=width_rng, pairs=pairs, on_step=log, on_part=log.show)
    if exchanged.ambiguous:
        return rotation, AMBIGUOUS
    return rotation, two_groups_reason(spaces, exchanged.matrix, groups_rng)
