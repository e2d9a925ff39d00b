"""``method="linear"``: a rotation found without pairs, then a faithful linear map in each direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from interlingua.aligners.frames import Frame, affine_map
from interlingua.aligners.linear.fidelity import faithful, level_offset, reach
from interlingua.aligners.linear.search import Report, Search
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.backend import namespace, to_device
from interlingua.core.criteria import agreement
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap

# Fewer leave nothing to tell a right map from a wrong one by.
MIN_ROWS, MIN_WIDTH = 100, 8
_REPRODUCED_ROWS = 1000


@dataclass(frozen=True, eq=False)
class Found:
    """What the search leaves behind for the verdict."""

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

    def solve(
        self,
        source: FloatArray,
        target: FloatArray,
        *,
        known: tuple[FloatArray, FloatArray] | None = None,
        seed: int = 0,
        report: Report = lambda step: None,
    ) -> tuple[AffineMap, AffineMap, list[dict[str, Any]], Found]:
        """Return forward map, backward map, trace, and what the verdict needs.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target]; other texts.
            known: rows [p, d_source] and [p, d_target] of known pairs, if any.
            seed: decides every random draw.
            report: called with one dict of numbers after each step.

        Raises:
            InputError: fewer rows, columns or directions than the method can start from, or the device is not there.
            MissingExtraError: a device is asked for and the extra ``torch`` is not installed.
        """
        reason = obstacle(source, target)
        if reason:
            raise InputError(f"{reason} Give more of them, or pairs with method='procrustes'.")
        # Refuse a device that is not there now and not after the components are found.
        namespace(to_device(source[:1], self.device))
        trace: list[dict[str, Any]] = []

        def note(step: dict[str, Any]) -> None:
            trace.append(step)
            report(step)

        x, y = Frame.of(source), Frame.of(target)
        rng = np.random.default_rng(seed)
        pairs = None
        if known is not None:
            centered = [f.around(np.asarray(z, np.float32)) for z, f in zip(known, (x, y), strict=True)]
            pairs = unit_rows(centered[0]), unit_rows(centered[1])
        # Row order must not matter beyond the seed: samples that take the first rows take random ones.
        shuffled = [f.rows[rng.permutation(len(f.rows))] for f in (x, y)]
        search = Search(shuffled[0], shuffled[1], rng, self.device, note, pairs)
        rotation, confirmed = search.run(self.rounds)
        forward, backward = rotation, np.ascontiguousarray(rotation.T)
        there: dict[str, Any] = {}
        back: dict[str, Any] = {}
        if self.fidelity:
            forward, backward, step = _fidelity(search, rotation)
            there = {"offset": level_offset(y), "reach": reach(x, y)}
            back = {"offset": level_offset(x), "reach": reach(y, x)}
            note(step)
        found = Found(search, rotation, confirmed)
        return affine_map(x, y, forward, **there), affine_map(y, x, backward, **back), trace, found


def obstacle(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> str | None:
    """Return why rows [n, d_source] and [n, d_target] say too little without pairs, or None."""
    return shortage("source", source) or shortage("target", target)


def shortage(name: str, rows: npt.NDArray[Any]) -> str | None:
    """Return why rows [n, d] of the space with that name say too little without pairs, or None."""
    if len(rows) < MIN_ROWS:
        return f"{name} has {len(rows)} rows; without pairs at least {MIN_ROWS} are needed, better thousands."
    if rows.shape[1] < MIN_WIDTH:
        return f"{name} has {rows.shape[1]} columns; without pairs at least {MIN_WIDTH} are needed."
    return None


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


def known_rows(source: Any, target: Any, pairs: IntArray | None) -> tuple[FloatArray, FloatArray] | None:
    """Return the rows of known pairs [p, 2] from both sides, or None."""
    if pairs is None or not len(pairs):
        return None
    return np.asarray(source[pairs[:, 0]], np.float32), np.asarray(target[pairs[:, 1]], np.float32)
