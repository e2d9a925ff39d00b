"""The contract between :func:`interlingua.align` and its methods: a `Problem` goes in, a `Fit` comes out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from interlingua.aligners.frames import Frame
from interlingua.aligners.side_information import (
    NO_PAIRS,
    check_pairs,
    check_views,
    distinct_pairs,
    shared_categories,
)
from interlingua.core.alignment import Verdict
from interlingua.core.arguments import check_callable
from interlingua.core.arrays import FloatArray, IntArray, read_only
from interlingua.core.callbacks import OnStep
from interlingua.core.errors import InputError, named_side
from interlingua.core.maps import VectorMap
from interlingua.core.progress import Timed
from interlingua.core.spaces import EmbeddingSpace, as_space
from interlingua.core.wording import count_of

__all__ = [
    "MIN_ROWS",
    "MIN_WIDTH",
    "OPTIONAL_INPUTS",
    "Aligner",
    "Fit",
    "OnStep",
    "OptionalInput",
    "OptionalUse",
    "PairUse",
    "Problem",
    "StepLog",
    "check_known_pairs",
    "check_no_pairs",
    "check_on_step",
    "check_unused",
    "describe_drawn",
    "ignore_step",
    "insufficient_rows_reason",
    "pairs_enough_alone",
    "report_parts",
    "single_step_fit",
]

PairUse = Literal["unused", "optional", "required"]
OptionalUse = Literal["unused", "optional"]
# What a method uses or refuses beside pairs.
OptionalInput = Literal["labels", "views"]
OPTIONAL_INPUTS: tuple[OptionalInput, ...] = get_args(OptionalInput)

# Below these sizes label-free evidence has no power to separate a right map from a wrong one.
MIN_ROWS, MIN_WIDTH = 100, 8


def pairs_enough_alone(*widths: int) -> int:
    """Return from how many known pairs on ``method="auto"`` fits on the pairs alone: twice the larger width."""
    return 2 * max(widths)


def ignore_step(step: dict[str, Any]) -> None:
    """Do nothing with a step; the default ``on_step``."""


def check_on_step(on_step: Any) -> OnStep:
    """Return a function that passes a copy of each step on with its time, so that its receiver cannot change the trace.

    Args:
        on_step: as users pass it; None ignores every step.

    Raises:
        InputError: it cannot be called.
    """
    if on_step is None:
        return ignore_step
    check_callable(on_step, "on_step", "a function of one dict")
    return Timed(on_step)


@dataclass(frozen=True, eq=False)
class Problem:
    """Two spaces to align, validated once. All arrays are read-only, so no method can change those of the caller.

    Attributes:
        source: all source vectors, [n_source, d_source]; those of a memory map are not read into memory.
        target: all target vectors, [n_target, d_target].
        rows: float32 samples of both sides that linear methods read, at most ``max_rows`` rows each.
        known: rows [p, d_source] and [p, d_target] of known pairs in float32, or None. No two pairs share a row.
        known_views: vectors [p, d] of the target texts of the known pairs by each view, where there are pairs and
            views.
        labels: the category of each of the `rows`, [n_source] and [n_target], as numbers from 0 that both sides share,
            -1 for none; or None.
        views: vectors of further models of the same target rows, [n_target, d] each; row i belongs to row i of the
            target in `rows`.
        counts: what became of pairs, labels and views, as steps for the trace.
    """

    source: EmbeddingSpace
    target: EmbeddingSpace
    rows: tuple[FloatArray, FloatArray]
    known: tuple[FloatArray, FloatArray] | None = None
    labels: tuple[IntArray, IntArray] | None = None
    views: tuple[FloatArray, ...] = ()
    known_views: tuple[FloatArray, ...] = ()
    counts: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Make all arrays read-only.

        Raises:
            InputError: known pairs beside views, and not the vectors of their target texts by each view.
        """
        if self.known is not None and len(self.known_views) != len(self.views):
            raise InputError(
                f"the problem has known pairs, {len(self.views)} views and {len(self.known_views)} known_views; the "
                "vectors of the pairs by each view are needed. Build it with Problem.of."
            )
        for name in ("source", "target"):
            object.__setattr__(self, name, getattr(self, name).read_only())
        for name in ("rows", "known", "labels", "views", "known_views"):
            if (sides := getattr(self, name)) is not None:
                object.__setattr__(self, name, tuple(map(read_only, sides)))

    @classmethod
    def of(
        cls,
        source: Any,
        target: Any,
        *,
        pairs: npt.ArrayLike | None = None,
        labels: Any = None,
        views: Any = None,
        max_rows: int | None = None,
        seed: int = 0,
    ) -> Problem:
        """Build a problem from arrays or :class:`EmbeddingSpace` objects.

        Args:
            source: [n_source, d_source].
            target: [n_target, d_target]; any width.
            pairs: [p, 2] row numbers (source, target) of the same text, or None. Pairs that share a row, or a copy of
                one, become one pair of the means of their rows.
            labels: categories of the source rows [n_source] and of the target rows [n_target]: strings or whole
                numbers, None or NaN where one is missing. None for no labels.
            views: vectors [n_target, d] of the target rows by further models, as a mapping of names or a sequence; or
                None.
            max_rows: most rows per side in `rows`, drawn at random; None for all.
            seed: decides which rows are drawn.

        Raises:
            InputError: vectors, pairs, labels or views that cannot be used.
        """
        source, target = as_space(source, "source"), as_space(target, "target")
        index = check_pairs(pairs, (source.n, target.n))
        codes, counted = (None, []) if labels is None else shared_categories(labels, source, target)
        seen, described = check_views(views, target)
        rng = np.random.default_rng(seed)
        picked = source.sample(max_rows, rng), target.sample(max_rows, rng)
        rows = source.take(picked[0]), target.take(picked[1])
        known, known_views, merged = None, tuple[FloatArray, ...](), [] if pairs is None else [dict(NO_PAIRS)]
        if index is not None:
            paired, merged = distinct_pairs(index, source, target, seen)
            known, known_views = (paired[0], paired[1]), paired[2:]
        sampled_codes = None if codes is None else (codes[0][picked[0]], codes[1][picked[1]])
        sampled_views = tuple(view.take(picked[1]) for view in seen)
        counts = (*merged, *counted, *described)
        return cls(source, target, rows, known, sampled_codes, sampled_views, known_views, counts)

    @cached_property
    def frames(self) -> tuple[Frame, Frame]:
        """Both samples as centered unit rows."""
        return Frame.of(self.rows[0]), Frame.of(self.rows[1])

    def insufficient_rows_reason(self, *, source: str = "source", target: str = "target") -> str | None:
        """Return why the sampled rows are too few or too narrow without pairs, or None.

        Args:
            source: name of the source in the reason.
            target: name of the target in the reason.
        """
        reasons = map(insufficient_rows_reason, (source, target), self.rows, (self.source.n, self.target.n))
        return next(filter(None, reasons), None)

    def check_rows(self, advice: str, *, target: str = "target") -> None:
        """Refuse sampled rows that are too few or too narrow without pairs.

        Args:
            advice: what to do, for the message.
            target: name of the target in the message.

        Raises:
            InputError: a side has too few rows or columns.
        """
        reason = self.insufficient_rows_reason(source=named_side("source"), target=named_side(target))
        if reason is not None:
            raise InputError(f"{reason} {advice}")

    def with_known(self, known: tuple[FloatArray, FloatArray] | None) -> Problem:
        """Return the same problem with other known pairs, given as rows [p, d_source] and [p, d_target].

        Raises:
            InputError: the problem has views, by which the target texts of other pairs have no vectors.
        """
        return replace(self, known=known, known_views=())

    def take_known(self, index: IntArray) -> Problem:
        """Return the same problem with the known pairs of these numbers."""
        known = None if self.known is None else (self.known[0][index], self.known[1][index])
        return replace(self, known=known, known_views=tuple(rows[index] for rows in self.known_views))


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of a method.

    Attributes:
        forward: map from source to target.
        backward: map from target to source.
        trace: what the fit did, step by step; numbers and short words only.
        verdict: the method's own verdict; None leaves the judgment to :func:`interlingua.align`.
    """

    forward: VectorMap
    backward: VectorMap
    trace: tuple[Mapping[str, Any], ...] = ()
    verdict: Verdict | None = None


class Aligner(Protocol):
    """A method of alignment: settings in the constructor, nothing fitted on it, the result is the return value.

    An object with `fit` alone is an aligner. The class attributes below are read where they exist:

    * ``name``: the method's name in cards and reports; the class name by default.
    * ``pairs``: ``"unused"`` (the default: known pairs are refused), ``"optional"`` or ``"required"``.
    * ``labels``: ``"unused"`` (the default: labels are refused) or ``"optional"``.
    * ``views``: ``"unused"`` (the default: views of the target are refused) or ``"optional"``.
    * ``bounds``: limits of number settings by name, such as ``{"alpha": {"above": 0}}``, which
      :func:`interlingua.core.arguments.check_settings` enforces and :func:`interlingua.describe_settings` shows.

    Settings are the fields of a dataclass; they are saved in the card of the alignment. A class whose keywords are
    not its fields lists them in a class method ``setting_names()``, describes them in ``describe_settings()``, and
    returns those of an object in ``settings_for_card()``.
    """

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep) -> Fit:
        """Align the two spaces of a problem.

        Args:
            problem: both sides and the known pairs, if any.
            seed: decides every random draw.
            on_step: called with a dict of numbers after each step.

        Raises:
            InputError: the problem cannot be solved by this method; nothing was computed.
        """
        ...


@dataclass(eq=False)
class StepLog:
    """An ``on_step`` that keeps every step for the trace and passes it on.

    Attributes:
        on_step: receives every step too.
        steps: the steps so far.
    """

    on_step: OnStep = ignore_step
    steps: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, step: dict[str, Any]) -> None:
        """Keep one step and pass it on."""
        self.steps.append(step)
        self.on_step(step)

    def show(self, step: dict[str, Any]) -> None:
        """Report progress inside a step, without recording it in the trace."""
        self.on_step(step)


def report_parts(name: str, count: int, on_step: OnStep) -> Callable[[], None]:
    """Report that work of several parts begins, and return the function to call after each part.

    Args:
        name: of the step that is reported, with the parts done (``at``) and their number (``of``).
        count: number of parts.
        on_step: called now and after each part. In a fit it is :meth:`StepLog.show`, so that parts are reported and
            not kept in the trace.
    """
    done = itertools.count()

    def report() -> None:
        on_step({"step": name, "at": next(done), "of": count})

    report()
    return report


def single_step_fit(
    name: str, maps: tuple[VectorMap, VectorMap], measured: Mapping[str, Any], on_step: OnStep = ignore_step
) -> Fit:
    """Return the fit of a method whose trace is one step, and report that step.

    Args:
        name: of the method, which becomes the name of the step.
        maps: forward and backward.
        measured: numbers of the step.
        on_step: called with the step.
    """
    step = {"step": name, **measured}
    on_step(step)
    return Fit(*maps, trace=(step,))


def check_no_pairs(problem: Problem, method: str) -> None:
    """Refuse known pairs that a method would silently ignore.

    Raises:
        InputError: the problem has known pairs.
    """
    if problem.known is not None:
        given = next((step["given"] for step in problem.counts if step["step"] == "pairs"), len(problem.known[0]))
        raise InputError(
            f"{count_of(given, 'pair')} {'was' if given == 1 else 'were'} given and {method} uses none.",
            "Leave {pairs=...} out, or choose a method that uses pairs, such as procrustes.",
        )


def check_known_pairs(problem: Problem, method: str, *, at_least: int = 2) -> tuple[FloatArray, FloatArray]:
    """Return the known pairs of a problem as rows [p, d_source] and [p, d_target].

    Raises:
        InputError: there are none, or fewer than ``at_least``.
    """
    if problem.known is None:
        raise InputError(
            f"{method} learns from known pairs and none were given.",
            "Give {pairs=...}, numbers of a source row and a target row for each pair, or choose a method without "
            "pairs, such as auto.",
        )
    count = len(problem.known[0])
    if count < at_least:
        raise InputError(
            f"{count_of(count, 'known pair')} {'was' if count == 1 else 'were'} given; {method} needs at least "
            f"{at_least}, and hundreds to be of use."
        )
    return problem.known


def check_unused(problem: Problem, name: OptionalInput, method: str) -> None:
    """Refuse labels or views that a method would silently ignore.

    Raises:
        InputError: the problem has them.
    """
    if getattr(problem, name):
        raise InputError(
            f"{name} were given and {method} uses none.",
            f"Leave {{{name}=...}} out, or choose the method linear.",
        )


def describe_drawn(name: str, drawn: int, available: int) -> str:
    """Return how many rows a fit has of a space, and that ``max_rows`` left out others if it did.

    Args:
        name: of the space.
        drawn: number of rows that the fit has.
        available: number of rows that the space has.
    """
    if drawn < available:
        return f"max_rows draws {drawn:,} of the {count_of(available)} of {name}"
    return f"{name} has {count_of(drawn)}"


def insufficient_rows_reason(name: str, rows: npt.NDArray[Any], available: int = 0) -> str | None:
    """Return why rows [n, d] of the space with that name are too few or too narrow without pairs, or None.

    Args:
        name: of the space.
        rows: a sample of its rows.
        available: how many rows the space has, where ``max_rows`` limits the sample.
    """
    if len(rows) < MIN_ROWS:
        found = describe_drawn(name, len(rows), available)
        return f"{found}; without pairs at least {MIN_ROWS} are needed, better thousands."
    if rows.shape[1] < MIN_WIDTH:
        return f"{name} has {count_of(rows.shape[1], 'column')}; without pairs at least {MIN_WIDTH} are needed."
    return None
