"""``method="linear"``: a rotation fitted without pairs, then a non-orthogonal map in each direction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from interlingua.aligners.base import Fit, OnStep, PairUse, Problem, StepLog, ignore_step, insufficient_data_reason
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import Frame, affine_map
from interlingua.aligners.linear.fidelity import hub_leveled_mean, nonorthogonal_maps, radius_factor
from interlingua.aligners.linear.full_width import widen
from interlingua.aligners.linear.pairs import centered_pairs
from interlingua.aligners.linear.search import check_ranks, is_accepted, search
from interlingua.aligners.linear.second_search import (
    INTERRUPTED,
    UNCALIBRATED,
    SecondResult,
    search_further,
    without_copies,
)
from interlingua.aligners.linear.starts import SearchContext
from interlingua.aligners.null import NullMaps
from interlingua.aligners.verdict import at_most_doubtful, judge_rotation
from interlingua.core.alignment import Verdict
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import resolve_device, single_threaded_blas
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap

__all__ = ["Linear", "LinearFit"]

# How many of the best candidates are refined in more coordinates.
_WIDENED = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearFit(Fit):
    """A fit of the linear method, with what later verdicts and the consensus of refits read.

    Attributes:
        rotation: [d_source, d_target], the rotation between the frames, before the non-orthogonal stage.
        null: maps from random starts on the same rows.
        start_agreement: agreement of the best candidate of another origin with the rotation, 0 to 1; of a map of the
            second search, that of its two groups of islands, or None where there was time for one group only.
    """

    forward: AffineMap
    backward: AffineMap
    rotation: FloatArray
    null: NullMaps
    start_agreement: float | None


@dataclass(frozen=True)
class Linear:
    """The unpaired linear solver. Known pairs are optional.

    Attributes:
        rounds: most rounds of component starts. More rounds solve harder problems and take longer to give up.
        fidelity: follow the rotation with a non-orthogonal stage where refits on halves agree more under it.
        device: ``"cpu"`` for numpy, ``"cuda"``, ``"cuda:N"`` or ``"mps"`` for torch, or ``"auto"``: an NVIDIA GPU if
            there is one, otherwise the CPU.
        budget: seconds for a second, experimental search where the first finds no evidence; 0 for none. A map of the
            second search is doubtful at best.

    Raises:
        InputError: a setting of another type or out of range.
    """

    rounds: int = 10
    fidelity: bool = True
    device: str = "cpu"
    budget: float = 0.0

    name: ClassVar[str] = "linear"
    pairs: ClassVar[PairUse] = "optional"
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
        reason = insufficient_data_reason(*problem.rows)
        if reason:
            raise InputError(f"{reason} Give more of them, or pairs with method='procrustes'.")
        # A device that does not exist is refused before any work.
        resolved = replace(self, device=resolve_device(self.device))
        with single_threaded_blas():
            return resolved._fit(problem, seed, StepLog(on_step))

    def _fit(self, problem: Problem, seed: int, log: StepLog) -> LinearFit:
        problem = without_copies(problem, log)
        x, y = problem.frames
        pairs = centered_pairs(problem)
        order, starts, width, halves = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4))
        # Some steps read the first rows only. In random order the result does not depend on the order of the input.
        a, b = (frame.rows[order.permutation(len(frame.rows))] for frame in (x, y))
        spaces = CoarseSpaces.of(a, b, device=self.device)
        check_ranks(spaces.ranks)
        null = NullMaps.sample(spaces, seed=seed)
        context = SearchContext(a, b, null, starts, pairs)
        result = search(context, rounds=self.rounds, on_step=log)
        second = None
        if self.budget and not is_accepted(context, result):
            second = search_further(context, result, budget=self.budget, seed=seed, on_step=log)
        if second is not None and second.rotation is not None:
            rotation, start_agreement = second.rotation, second.agreement
        else:
            # Stages that correct groups of rows or directions of the coarse map belong between search and `widen`.
            matrices = [spaces.lift(candidate.matrix) for candidate in result.candidates[:_WIDENED]]
            rotation = widen(a, b, matrices, spaces=spaces, rng=width, pairs=pairs, on_step=log)
            start_agreement = result.start_agreement
        forward, backward = rotation, np.ascontiguousarray(rotation.T)
        forward_offset: dict[str, Any] = {}
        backward_offset: dict[str, Any] = {}
        if self.fidelity:
            forward, backward, step = nonorthogonal_maps(a, b, rotation, rng=halves, pairs=pairs, device=self.device)
            forward_offset, backward_offset = _placement(x, y), _placement(y, x)
            log(step)
        forward_map = affine_map(x, y, forward, **forward_offset)
        translated = y.around(forward_map(problem.rows[0]))
        verdict = judge_rotation(null, rotation, translated, y.rows, seed=seed, start_agreement=start_agreement)
        return LinearFit(
            forward=forward_map,
            backward=affine_map(y, x, backward, **backward_offset),
            trace=tuple(log.steps),
            verdict=verdict if second is None else _limit_verdict(verdict, second),
            rotation=rotation,
            null=null,
            start_agreement=start_agreement,
        )


def _limit_verdict(verdict: Verdict, second: SecondResult) -> Verdict:
    """Return the verdict of a fit with a second search: doubtful at best for its map, with an interrupt as a reason."""
    if second.rotation is not None:
        verdict = at_most_doubtful(verdict, UNCALIBRATED)
    return replace(verdict, reasons=(*verdict.reasons, INTERRUPTED)) if second.interrupted else verdict


def _placement(x: Frame, y: Frame) -> dict[str, Any]:
    """Return the point of y that translations of x are centered on, and their distance from it."""
    return {"offset": hub_leveled_mean(y), "radius_factor": radius_factor(x, y)}
