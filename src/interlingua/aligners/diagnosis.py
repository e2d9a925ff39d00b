"""Causes of an unpaired fit that is not aligned, measured on the rows of the two sides and read from its evidence.

A cause is named only where a statistic leaves the range of the fits that succeeded, or where networks were trained from
random weights. It is a likely cause and no proof, and a fit may fail for a reason that is not measured here; then no
cause is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix, diags_array
from scipy.sparse.linalg import LinearOperator, eigsh

from interlingua.aligners.base import Fit, Problem
from interlingua.aligners.conclusion import FEW_ROWS
from interlingua.aligners.frames import Frame
from interlingua.aligners.linear.repeats import distinct_rows
from interlingua.aligners.verdict import start_limits
from interlingua.core.alignment import Diagnosis, Verdict
from interlingua.core.arrays import FloatArray, IntArray
from interlingua.core.neighbors import nearest
from interlingua.core.statistics import effective_rank
from interlingua.identification import MIN_ROWS, Fingerprint

__all__ = ["crossing_limit", "diagnose", "measure_groups", "neighbor_profile", "profile_difference"]

# Largest number of causes that are named.
_MAX_CAUSES = 3
# 4,398 rows per side are aligned with every seed (beir.jsonl).
_ENOUGH_ROWS = 4_398
_RECORDED_SIZES = (
    "In the recorded fits of BGE to MiniLM by linear (benchmarks/results/beir.jsonl), all 20 with 1,000 rows per side "
    "failed, 6 of 20 with 2,000 were aligned and the others doubtful, and all 26 with 4,398 were aligned."
)
_RECORDED_UNEQUAL = (
    "More rows on the other side replace them in part: of 20 fits of 500 beside 8,000, 14 failed and 6 were doubtful, "
    "but 13 of the last 15, with the second search, had a top-1 of 0.37 to 0.53 (solver.jsonl)."
)
_RECORDED_NEAR_NULLS = (
    "In five recorded fits of this kind, on 4,976 rows a side (grid.jsonl), the map was right in part, with a top-1 of "
    "0.21 to 0.75."
)
_COLD_START = Diagnosis(
    "cold start",
    "Training started from random weights. All ten recorded cold starts on real text failed to find single rows: top-1 "
    "was below 0.001 after 500 steps (BGE to MiniLM, 4,398 rows per side, benchmarks/results/neural-cold.jsonl).",
    "Leave out the setting start; a warm start, the default, begins at the alignment of the method linear.",
    # It comes first whatever the weights are.
    1.0,
)
_VIEWS = (
    " If you have the texts of the target, give their vectors by further models as views to the method linear; it then "
    "needs fewer rows (views.jsonl). `interlingua fit --view-encoder MODEL` embeds these texts itself."
)
# Quotient of the numbers of rows from which on the sides are called unequal.
_UNEQUAL = 4
# Share of copies from which on the copies, and not the size of the collection, are named as the cause.
_COPIES = 0.25
# Samples on which spectra and groups are measured.
_SPECTRUM_ROWS, _GROUP_ROWS = 4_000, 1_500
# Planted problems (tests/planted.py) of 2,500 rows are aligned at an effective rank of 9.4 and fail at 6.1.
_FEW_DIRECTIONS = 8.0
# Largest quotient of the effective ranks of two encoders in the aligned fits is 1.5.
_RANK_QUOTIENT = 2.0
# Two groups: neighbors of a row in the graph, smallest share of the rows in a group, and largest share of links that
# cross the cut where the fingerprints of the groups are as different as those of two models. The limit falls to 0 at a
# likeness of one half. No single collection in benchmarks/results/diagnoses.jsonl is near it.
_GROUP_NEIGHBORS, _SMALLEST_GROUP, _CROSSING = 10, 0.05, 0.06
# Profiles of neighbors: the distance of the nearest row is divided by that of this neighbor. Fewer rows have profiles
# that are too noisy. The same corpus under two encoders reaches a difference of 0.045 (diagnoses.jsonl).
_PROFILE_NEIGHBOR, _PROFILE_ROWS, _PROFILE_DIFFERENCE = 11, 500, 0.06
_PROFILE_LEVELS = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of a problem.

    Attributes:
        name: ``source`` or ``target``.
        rows: [n, d], as they were drawn.
        distinct: number of rows without copies and near-copies.
        other: number of distinct rows of the other side.
        has_views: whether vectors of the same rows by further models took part in the fit.
    """

    name: str
    rows: FloatArray
    distinct: int
    other: int
    has_views: bool = False

    @property
    def copies(self) -> int:
        """Number of rows that are copies or near-copies of others."""
        return len(self.rows) - self.distinct

    @cached_property
    def directions(self) -> float:
        """Effective rank of the centered unit rows."""
        return effective_rank(Frame.of(self.sample(_SPECTRUM_ROWS)).rows)

    @cached_property
    def group_rows(self) -> FloatArray:
        """A sample of distinct unit rows, in random order."""
        return distinct_rows(self.sample(_GROUP_ROWS)).rows

    def sample(self, count: int) -> FloatArray:
        """Return at most ``count`` rows, drawn with a fixed seed."""
        order = np.random.default_rng(0).permutation(len(self.rows))
        return np.asarray(self.rows[order[:count]])


def diagnose(
    problem: Problem, fit: Fit, verdict: Verdict | None = None, *, is_cold: bool = False
) -> tuple[Diagnosis, ...]:
    """Return causes of a fit that is not aligned, at most three, the most important first.

    Args:
        problem: what was aligned, without known pairs.
        fit: its trace has the counts of copies.
        verdict: on the fit; None leaves out the causes that are read from its evidence.
        is_cold: networks were trained from random weights. That is then the first cause, whatever the rows are.

    Returns:
        An empty tuple where no statistic is outside the range of the fits that succeeded and the networks did not
        start cold, and where every measurement passes and only the reason of the verdict, which has its own advice,
        says that the map is ambiguous.
    """
    if verdict is not None and _is_only_ambiguous(verdict):
        return ()
    labels = None if verdict is None else _wrong_labels(verdict)
    if labels is not None:
        return (labels,)
    copies = next((step for step in fit.trace if step.get("step") == "copies"), {})
    counts = [
        int(copies.get(f"{name}_distinct", len(rows)))
        for name, rows in zip(("source", "target"), problem.rows, strict=True)
    ]
    sides = (
        _Side("source", problem.rows[0], counts[0], counts[1]),
        _Side("target", problem.rows[1], counts[1], counts[0], has_views=bool(problem.views)),
    )
    causes = [cause for measure in _CAUSES for cause in measure(sides)]
    if verdict is not None and min(counts) >= FEW_ROWS:
        causes += _near_nulls(verdict)
    causes.sort(key=lambda cause: -cause.weight)
    return tuple(([_COLD_START] if is_cold else []) + causes)[:_MAX_CAUSES]


def _is_only_ambiguous(verdict: Verdict) -> bool:
    reason = next(iter(verdict.reasons), "")
    return reason.startswith("Ambiguous:") and all(item.passed for item in verdict.evidence)


def _few_rows(sides: tuple[_Side, _Side]) -> Iterator[Diagnosis]:
    """Yield too few distinct rows on any side; copies are the cause where there are many of them."""
    short = [side for side in sides if side.distinct < FEW_ROWS]
    repeated = [side for side in short if side.copies >= _COPIES * len(side.rows)]
    few = [side for side in short if side not in repeated]
    if repeated:
        counts = " and ".join(
            f"{side.copies:,} of the {len(side.rows):,} rows of the {side.name} are copies or near-copies of others, "
            f"which leaves {side.distinct:,} distinct rows"
            for side in repeated
        )
        yield Diagnosis(
            "repeated rows",
            f"{counts}. {_RECORDED_SIZES}",
            f"Give vectors of other texts: at least {_ENOUGH_ROWS:,} distinct rows per side. More copies do not help.",
            max(_shortage(side) for side in repeated),
        )
    if few:
        counts = " and ".join(f"the {side.name} has {side.distinct:,} distinct rows" for side in few)
        unequal = f" {_RECORDED_UNEQUAL}" if any(side.other >= _UNEQUAL * side.distinct for side in few) else ""
        yield Diagnosis(
            "few rows",
            f"{counts[0].upper()}{counts[1:]}. {_RECORDED_SIZES}{unequal}",
            f"Give at least {_ENOUGH_ROWS:,} distinct rows of the {' and of the '.join(side.name for side in few)}, or "
            f"a few known pairs.{'' if sides[1].has_views else _VIEWS}",
            max(_shortage(side) for side in few),
        )


def _shortage(side: _Side) -> float:
    return 1 - side.distinct / (2 * FEW_ROWS)


def _few_directions(sides: tuple[_Side, _Side]) -> Iterator[Diagnosis]:
    """Yield a side whose rows vary in few directions, by the effective rank of their covariance."""
    for side in sides:
        if side.directions < _FEW_DIRECTIONS:
            yield Diagnosis(
                "few directions",
                f"The rows of the {side.name} vary in about {side.directions:.1f} directions (effective rank of their "
                f"covariance). Texts have 120 and more, and planted problems fail below {_FEW_DIRECTIONS:g}.",
                "Give vectors of more varied texts, at their full width.",
                1 - side.directions / (2 * _FEW_DIRECTIONS),
            )


def _different_spectra(sides: tuple[_Side, _Side]) -> Iterator[Diagnosis]:
    """Yield sides whose variance is spread over very different numbers of directions."""
    fewer, more = sorted(sides, key=lambda side: side.directions)
    quotient = more.directions / fewer.directions
    if quotient >= _RANK_QUOTIENT:
        yield Diagnosis(
            "different spectra",
            f"The {more.name} varies in about {more.directions:.0f} directions and the {fewer.name} in "
            f"{fewer.directions:.0f} (effective rank), a quotient of {quotient:.1f}; in aligned fits of two text "
            "encoders it is at most 1.5.",
            f"Check that the {fewer.name} has texts as varied as the {more.name}, and that both sides are dense "
            "embeddings of texts at full width, neither reduced nor whitened.",
            1 - _RANK_QUOTIENT / (2 * quotient),
        )


def _two_groups(sides: tuple[_Side, _Side]) -> Iterator[Diagnosis]:
    """Yield a side of two groups of rows that share almost no neighbors and have unlike fingerprints."""
    for side in sides:
        share, crossing, likeness = measure_groups(side.group_rows)
        limit = crossing_limit(likeness)
        if share and crossing < limit:
            yield Diagnosis(
                "two groups of rows",
                f"The rows of the {side.name} fall into two groups, {share:.0%} and {1 - share:.0%}. {crossing:.1%} of "
                f"the links between nearest neighbors cross, and the likeness of their fingerprints is {likeness:.2f}. "
                f"Groups this unlike in one collection have more than {limit:.1%} of such links. Vectors of two models "
                "look like this, and so do two unrelated collections of one model.",
                f"Check which model made each row of the {side.name}, and align one group at a time.",
                1 - crossing / (2 * limit),
            )


def _different_contents(sides: tuple[_Side, _Side]) -> Iterator[Diagnosis]:
    """Yield sides whose texts are distributed differently, by the distances of rows to their nearest neighbors."""
    difference = profile_difference(*(side.group_rows for side in sides))
    if difference is not None and difference >= _PROFILE_DIFFERENCE:
        yield Diagnosis(
            "different contents",
            f"Distances to nearest neighbors are distributed differently on the two sides: the difference is "
            f"{difference:.3f}, and at most 0.045 for one corpus under two encoders. The texts of the two sides are "
            "probably of different kinds.",
            "Give texts of the same kind on both sides: the same sources, lengths and topics. Several candidate "
            "targets can be passed at once. Between texts of different kinds, a second search by method linear with "
            "a budget of ten minutes finds some maps that the fast search misses.",
            1 - _PROFILE_DIFFERENCE / (2 * difference),
        )


def _wrong_labels(verdict: Verdict) -> Diagnosis | None:
    """Return that labels contradict a map which every other measurement supports, or None."""
    missed = [item for item in verdict.evidence if not item.passed]
    if [item.name for item in missed] != ["category_agreement"]:
        return None
    return Diagnosis(
        "wrong labels",
        "Every measurement without labels passes its limit, and only the labels contradict the map. "
        f"{missed[0].meaning}",
        "Check that a label means the same on both sides and that the labels are in the order of the rows, or leave "
        "them out.",
        1.0,
    )


def _near_nulls(verdict: Verdict) -> Iterator[Diagnosis]:
    """Yield that null maps come near a map which independent starts found again."""
    evidence = {item.name: item for item in verdict.evidence}
    excess, starts = (evidence.get(name) for name in ("transport_excess", "start_agreement"))
    if excess is None or starts is None or starts.value < start_limits(0, 0.0)[0] or (excess.passed and starts.passed):
        return
    needed = f"and at least {excess.threshold:.1f} is needed"
    missed = excess
    if excess.passed:
        needed, missed = f"so low that the starts would have to agree at least {starts.threshold:g}", starts
    yield Diagnosis(
        "near nulls",
        f"Independent starts found this map again (agreement {starts.value:.2f}), but maps refined from random starts "
        f"come nearly as close to the target: the transport excess is {excess.value:.1f}, {needed}. This "
        "can happen where a side mixes several kinds of text, because wrong maps that lay one kind on another score "
        f"well too. {_RECORDED_NEAR_NULLS}",
        "Give something that decides: rows that the new model embedded again (`interlingua fit --reembedded`), a few "
        "known pairs (`--pairs`), or the kinds of text as categories (`--labels`). Or align one kind at a time.",
        float(np.clip(1 - missed.value / (2 * missed.threshold), 0.01, 1)),
    )


def profile_difference(x: FloatArray, y: FloatArray) -> float | None:
    """Return the mean difference of the neighbor profiles of equally many rows of both sides, 0 where they are equal.

    Args:
        x: [n, d_source], distinct rows.
        y: [m, d_target], distinct rows.

    Returns:
        None with fewer than 500 rows on a side, whose profiles are too noisy.
    """
    count = min(len(x), len(y))
    if count < _PROFILE_ROWS:
        return None
    first, second = (neighbor_profile(rows[:count]) for rows in (x, y))
    return float(np.abs(first - second).mean())


def crossing_limit(likeness: float) -> float:
    """Return the largest conductance at which two groups of a likeness from -1 to 1 count as a mixture.

    ``0.06 * (1 - 2 * likeness)``, at least 0.
    """
    return max(0.0, _CROSSING * (1 - 2 * likeness))


def measure_groups(rows: FloatArray) -> tuple[float, float, float]:
    """Return how clearly distinct rows [n, d] fall into two groups.

    Returns:
        The share of the smaller group, or 0 where the rows are too few to tell; the conductance of the cut between
        both; and the likeness of their fingerprints, the mean of the likeness in mean direction and in spread as
        :func:`interlingua.identification.identify` scores it.
    """
    if len(rows) < 2 * MIN_ROWS:
        return 0.0, 1.0, 1.0
    group, crossing = _find_sparsest_cut(Frame.of(rows).rows)
    parts = rows[group], rows[~group]
    smaller = min(len(part) for part in parts)
    if smaller < MIN_ROWS:
        return 0.0, crossing, 1.0
    likeness = Fingerprint.of(parts[0]).likeness(Fingerprint.of(parts[1]))
    return smaller / len(rows), crossing, (max(likeness["mean"], 0.0) + max(likeness["spread"], 0.0)) / 2


def neighbor_profile(rows: FloatArray) -> FloatArray:
    """Return quantiles [19] of the distance of a row to its nearest neighbor relative to that to its 11th.

    It depends on how densely texts of a corpus cover their topics, and less on the encoder: a ratio of two distances
    within one space. Distances are one minus the cosine. Profiles are comparable for equal numbers of rows.
    """
    frame = Frame.of(rows).rows
    neighbors = nearest(frame, frame, _PROFILE_NEIGHBOR, exclude=np.arange(len(frame)))
    distances = np.maximum(1 - neighbors.scores, 1e-6)
    return np.quantile(distances[:, 0] / distances[:, -1], _PROFILE_LEVELS)


def _find_sparsest_cut(rows: FloatArray) -> tuple[npt.NDArray[np.bool_], float]:
    """Return the two groups [n] of the sparsest cut of the graph of nearest neighbors, and its conductance.

    Rows are ordered by the second eigenvector of the normalized adjacency matrix, and the cut is the position in this
    order with the smallest conductance, the share of links that leave the smaller part (von Luxburg, Statistics and
    Computing 2007).

    Args:
        rows: [n, d], centered unit rows.
    """
    n = len(rows)
    neighbors = nearest(rows, rows, _GROUP_NEIGHBORS, exclude=np.arange(n)).indices
    starts = np.repeat(np.arange(n), neighbors.shape[1])
    directed = csr_matrix((np.ones(neighbors.size), (starts, neighbors.ravel())), shape=(n, n))
    graph = directed.maximum(directed.T).tocsr()
    degrees = np.asarray(graph.sum(axis=1)).ravel()
    scale = diags_array(1 / np.sqrt(degrees))
    adjacency = scale @ graph @ scale
    # The first eigenvector is known. Without it one vector is left to find, also where the graph is not connected and
    # the first eigenvalue is repeated.
    trivial = np.sqrt(degrees / degrees.sum())
    operator = LinearOperator((n, n), lambda v: adjacency @ v - trivial * (trivial @ v), dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(n)
    vector = eigsh(operator, k=1, which="LA", v0=start, tol=1e-5)[1][:, 0]
    order = np.argsort(vector / np.sqrt(degrees))
    return _cut_order(graph, degrees, order)


def _cut_order(graph: csr_matrix, degrees: FloatArray, order: IntArray) -> tuple[npt.NDArray[np.bool_], float]:
    """Return which rows [n] are before the best cut of an order [n] of them, and the conductance of the cut."""
    n, position = len(order), np.argsort(order)
    links = graph.tocoo()
    ends = np.sort([position[links.row], position[links.col]], axis=0)
    # A link crosses all cuts between its two ends; every link is in the graph twice.
    change = np.bincount(ends[0] + 1, minlength=n + 1) - np.bincount(ends[1] + 1, minlength=n + 1)
    crossing = np.cumsum(change)[:n] / 2
    before = np.concatenate([[0], np.cumsum(degrees[order])])[:n]
    smallest = max(1, int(_SMALLEST_GROUP * n))
    cuts = np.arange(smallest, n - smallest + 1)
    conductance = crossing[cuts] / np.minimum(before[cuts], degrees.sum() - before[cuts])
    best = int(conductance.argmin())
    return position < cuts[best], float(conductance[best])


_CAUSES = (_few_rows, _few_directions, _different_spectra, _two_groups, _different_contents)
