"""``method="linear"``: a rotation found without pairs, then a faithful linear map in each direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from interlingua.aligners.base import Fit, OnStep, PairUse, Problem, StepLog, ignore_step, insufficient_data_reason
from interlingua.aligners.frames import affine_map
from interlingua.aligners.linear.fidelity import faithful, level_offset, reach
from interlingua.aligners.linear.search import Search
from interlingua.aligners.verdict import verify
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import namespace, to_device
from interlingua.core.criteria import agreement
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap

_REPRODUCED_ROWS = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearFit(Fit):
    """A fit of the linear method with what its search leaves behind.

    Attributes:
        search: the search; it holds the rows and the null maps that verdicts compare with.
        rotation: [d_source, d_target], the rotation between the frames, before the fidelity stage.
        confirmed: agreement of the best independent start with the rotation, 0 to 1.
    """

    forward: AffineMap
    backward: AffineMap
    search: Search
    rotation: FloatArray
    confirmed: float


@dataclass(frozen=True)
class Linear:
    """The unpaired linear solver; few known pairs help it, none are needed.

    Attributes:
        rounds: most rounds of component starts. More find harder pairs and take longer to give up.
        fidelity: follow the rotation with a non-orthogonal stage where refits on halves say that it helps.
        device: ``"cpu"`` for numpy, otherwise a torch device such as ``"cuda"``.
    """

    rounds: int = 10
    fidelity: bool = True
    device: str = "cpu"

    name: ClassVar[str] = "linear"
    pairs: ClassVar[PairUse] = "optional"

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> LinearFit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: fewer rows, columns or directions than the method needs, or the device does not exist.
            MissingExtraError: a device is set and the extra ``torch`` is not installed.
        """
        source, target = problem.rows
        reason = insufficient_data_reason(source, target)
        if reason:
            raise InputError(f"{reason} Give more of them, or pairs with method='procrustes'.")
        # Refuse a device that is not there now and not after the components are found.
        namespace(to_device(source[:1], self.device))
        log = StepLog(on_step)
        x, y = problem.frames
        rng = np.random.default_rng(seed)
        pairs = None
        if problem.known is not None:
            pairs = unit_rows(x.around(problem.known[0])), unit_rows(y.around(problem.known[1]))
        # Row order must not matter beyond the seed: samples that take the first rows take random ones.
        shuffled = [f.rows[rng.permutation(len(f.rows))] for f in (x, y)]
        search = Search(shuffled[0], shuffled[1], rng, self.device, log, pairs)
        rotation, confirmed = search.run(self.rounds)
        forward, backward = rotation, np.ascontiguousarray(rotation.T)
        forward_place: dict[str, Any] = {}
        backward_place: dict[str, Any] = {}
        if self.fidelity:
            forward, backward, step = _fidelity(search, rotation)
            forward_place = {"offset": level_offset(y), "reach": reach(x, y)}
            backward_place = {"offset": level_offset(x), "reach": reach(y, x)}
            log(step)
        forward_map = affine_map(x, y, forward, **forward_place)
        return LinearFit(
            forward=forward_map,
            backward=affine_map(y, x, backward, **backward_place),
            trace=tuple(log.steps),
            verdict=verify(search, rotation, y.around(forward_map(source)), confirmed),
            search=search,
            rotation=rotation,
            confirmed=confirmed,
        )


def _fidelity(search: Search, rotation: FloatArray) -> tuple[FloatArray, FloatArray, dict[str, Any]]:
    """Take the faithful map of a direction where refits on disjoint halves agree more under it.

    Two halves that agree on a row after the stage but not before have lost noise, not content: content that only one
    half knows cannot agree. Retrieval between the halves must not suffer.
    """
    halves = [(search.x[i::2], search.y[i::2]) for i in (0, 1)]
    refits = [search.polish(*half, rotation, (50, 50)) for half in halves]
    taken, result = {}, []
    for way, turn in (("forward", False), ("backward", True)):
        sides = [half[::-1] if turn else half for half in halves]
        bare = [np.ascontiguousarray(w.T) if turn else w for w in refits]
        stage = [faithful(w, *side) for w, side in zip(bare, sides, strict=True)]
        rows = (search.y if turn else search.x)[:_REPRODUCED_ROWS]
        before, after = (_reproduced(rows, maps) for maps in (bare, stage))
        taken[way] = after[0] > before[0] and after[1] >= before[1] - 0.01
        plain = np.ascontiguousarray(rotation.T) if turn else rotation
        whole = (search.y, search.x) if turn else (search.x, search.y)
        result.append(faithful(plain, *whole) if taken[way] else plain)
    return result[0], result[1], {"step": "fidelity", **taken}


def _reproduced(rows: FloatArray, maps: list[FloatArray]) -> tuple[float, float]:
    """Return how well two maps agree on rows: mean cosine, and how often a row finds itself among the others."""
    first, second = (unit_rows(rows @ m) for m in maps)
    found = (first @ second.T).argmax(axis=1) == np.arange(len(rows))
    return agreement(first, second), float(found.mean())
