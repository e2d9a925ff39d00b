"""The verdict: label-free measurements of a finished fit, each beside its null, and what they add up to.

The null of a measurement is the same measurement on maps that climbed from random starts on the same data: what the
method makes of nothing. The limits separate the fits recorded in ``benchmarks/results``, whose confusion table
``benchmarks/tables.py`` prints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interlingua.aligners import pair_use
from interlingua.aligners.base import Aligner, Fit, Problem, ignore_step, insufficient_data_reason
from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear.search import Search
from interlingua.core import criteria
from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import to_numpy
from interlingua.core.maps import AffineMap, VectorMap

_NULL_MAPS = 3
_ROWS = 1500
# (aligned, failed): at or beyond the first speaks for the fit, short of the second speaks against it.
EXCESS = (5.0, 4.0)
# Refits of wrong maps agree too, the more the fewer directions the rows have: what counts is the share of the way from
# there to 1.
LIFT = (0.18, 0.1)
START = (0.6, 0.3)
_HUB_MARGIN = 3.0
_MIN_RANK = 0.3
_PAIR_MARGIN = 0.2
# With fewer pairs, those left after holding some out would make another map than the one to be judged.
_MIN_PAIRS = 10
_DECISIVE = ("transport_excess", "refit_agreement", "cycle", "held_out_pairs")


@dataclass(frozen=True)
class _Limits:
    """Where a measurement speaks for a fit and where against it."""

    evidence: Evidence
    refuted: bool


def refit_limits(null: float) -> tuple[float, float]:
    """Return from where agreement of refits speaks for a fit, and below what against it, given the null's."""
    aligned, failed = (null + lift * (1 - null) for lift in LIFT)
    return aligned, failed


def verify(search: Search, matrix: FloatArray, translated: FloatArray, confirmed: float | None) -> Verdict:
    """Measure a fit and judge it.

    Args:
        search: the spaces the map was found between; where random starts end is known there.
        matrix: [d_source, d_target], the rotation found.
        translated: [n, d_target], rows of the source under the final map, centered in the target's frame.
        confirmed: agreement of the best independent start with the map, or None where the map was not searched for.
    """
    axes = search.coarse_axes
    found = polar(axes[0].T @ matrix @ axes[1])
    maps = np.concatenate([found[None], search.nulls[:_NULL_MAPS]])
    a, b = (to_numpy(z) for z in search.coarse)
    checks = [_transport(search, found), *_refits(search, maps, a, b)]
    if confirmed is not None:
        checks.append(_starts(search, confirmed, a))
    checks += _sanity(translated, search.y, search.rng)
    return _judge(checks)


def judge(aligner: Aligner, problem: Problem, fit: Fit, *, seed: int) -> Verdict:
    """Judge a fit whose method brought no verdict of its own.

    A method that requires pairs is judged on pairs held out of a second fit, every other method by label-free
    measurements of its forward map.

    Args:
        aligner: the method; fits once more where pairs are held out.
        problem: what was aligned.
        fit: the result.
        seed: decides the random draws of the measurements.
    """
    if pair_use(aligner) == "required" and problem.known is not None:
        return _judge_held_out(aligner, problem, problem.known, seed)
    reason = insufficient_data_reason(*problem.rows)
    if reason:
        return Verdict(Status.FAILED, 0.0, (f"{reason} With so few, nothing confirms the map.",))
    return judge_map(problem.frames, problem.rows[0], fit.forward, seed=seed)


def judge_map(frames: tuple[Frame, Frame], rows: FloatArray, forward: VectorMap, *, seed: int) -> Verdict:
    """Judge any forward map by label-free measurements of the rotation nearest to it.

    Args:
        frames: of source and target.
        rows: [n, d_source], the source rows behind the first frame.
        forward: the map.
        seed: decides the random draws.
    """
    x, y = frames
    translated = y.around(forward(rows))
    matrix = forward.matrix if isinstance(forward, AffineMap) else x.rows.T @ unit_rows(translated)
    search = Search(x.rows, y.rows, np.random.default_rng(seed))
    return verify(search, polar(matrix), translated, None)


def _judge_held_out(aligner: Aligner, problem: Problem, known: tuple[FloatArray, FloatArray], seed: int) -> Verdict:
    """Judge a fit on known pairs by pairs [p, d_source], [p, d_target] that a second fit did not see."""
    if len(known[0]) < _MIN_PAIRS:
        reason = f"{len(known[0])} pairs are known, too few to hold any out; at least {_MIN_PAIRS} can confirm a map."
        return Verdict(Status.FAILED, 0.0, (reason,))
    order = np.random.default_rng(seed).permutation(len(known[0]))
    held, fitted = np.split(order, [max(1, len(order) // 5)])
    second = aligner.fit(problem.with_known((known[0][fitted], known[1][fitted])), seed=seed, on_step=ignore_step)
    forward = second.forward
    mean = unit_rows(known[1][fitted]).mean(axis=0)
    ours, theirs = unit_rows(forward(known[0][held])) - mean, unit_rows(known[1][held]) - mean
    value = criteria.agreement(ours, theirs)
    null = criteria.agreement(ours, np.roll(theirs, 1, axis=0)) if len(held) > 1 else 0.0
    meaning = "Centered cosine between translated and true rows of known pairs that were held out of a second fit."
    return _judge([_check("held_out_pairs", value, null, (null + _PAIR_MARGIN, null + _PAIR_MARGIN / 2), meaning)])


def _transport(search: Search, found: FloatArray) -> _Limits:
    excess = search.excess(float(search.similarity(found[None])[0]))
    nulls = search.similarity(search.nulls[:_NULL_MAPS])
    return _check(
        "transport_excess",
        excess,
        search.excess(float(nulls.max())),
        EXCESS,
        "How much closer translated and real rows lie than after random starts, in their standard deviations.",
    )


def _refits(search: Search, maps: FloatArray, a: FloatArray, b: FloatArray) -> list[_Limits]:
    """Refit on disjoint halves, forwards on both and backwards on the second."""
    order_a, order_b = (search.rng.permutation(len(z)) for z in (a, b))
    halves = [(a[order_a[i::2]], b[order_b[i::2]]) for i in (0, 1)]
    first, second = (search.refit(maps, half) for half in halves)
    back = search.refit(maps, halves[1], reverse=True)
    rows = a[:_ROWS]
    agreed = [criteria.agreement(rows @ f, rows @ s) for f, s in zip(first, second, strict=True)]
    cycles = [criteria.agreement(rows, rows @ f @ r) for f, r in zip(first, back, strict=True)]
    meanings = {
        "refit_agreement": "Cosine between translations by two refits on disjoint halves of the rows.",
        "cycle": "Cosine between a row and its round trip, there by one half's map and back by the other's.",
    }
    nulls = [float(np.mean(values[1:])) for values in (agreed, cycles)]
    return [
        _check(name, value, null, refit_limits(null), meanings[name])
        for name, value, null in zip(meanings, (agreed[0], cycles[0]), nulls, strict=True)
    ]


def _starts(search: Search, confirmed: float, a: FloatArray) -> _Limits:
    rows = a[:_ROWS]
    nulls = [
        criteria.agreement(rows @ f, rows @ s)
        for f, s in zip(search.nulls[: _NULL_MAPS - 1], search.nulls[1:_NULL_MAPS], strict=True)
    ]
    return _check(
        "start_agreement",
        confirmed,
        max(nulls),
        START,
        "Cosine between this map's translations and those of the best start that came from elsewhere.",
    )


def _sanity(translated: FloatArray, y: FloatArray, rng: np.random.Generator) -> list[_Limits]:
    """Measure what no good translation breaks and a bad one may pass: never proof, only refutation."""
    picked = rng.permutation(len(y))
    first, second = y[picked[: len(y) // 2]][:_ROWS], y[picked[len(y) // 2 :]][:_ROWS]
    ours = translated[rng.permutation(len(translated))[: len(first)]]
    distance = criteria.sliced_wasserstein(ours, second, directions=200, rng=rng)
    itself = criteria.sliced_wasserstein(first, second, directions=200, rng=rng)
    spread = float(np.sqrt((second**2).sum(axis=1).mean() / second.shape[1]))
    hubs, own_hubs = criteria.hubness(ours, second), criteria.hubness(first, second)
    rank, own_rank = criteria.effective_rank(ours), criteria.effective_rank(first)
    return [
        _ceiling(
            "sliced_wasserstein",
            distance / spread,
            itself / spread,
            itself / spread + 0.5,
            "Distance between the clouds of translated and real rows, in spreads of the real ones.",
        ),
        _ceiling(
            "hubness",
            hubs,
            own_hubs,
            own_hubs + _HUB_MARGIN,
            "Skewness of how often real rows are nearest to translated ones; large where a few attract everything.",
        ),
        _check(
            "effective_rank",
            rank / own_rank,
            1 / own_rank,
            (_MIN_RANK, _MIN_RANK),
            "Directions that translated rows use, as a share of those that real rows use; near 0 after a collapse.",
        ),
    ]


def _check(name: str, value: float, null: float, limits: tuple[float, float], meaning: str) -> _Limits:
    aligned, failed = limits
    return _Limits(Evidence(name, value, null, aligned, value >= aligned, meaning), value < failed)


def _ceiling(name: str, value: float, null: float, limit: float, meaning: str) -> _Limits:
    return _Limits(Evidence(name, value, null, limit, value <= limit, meaning), value > limit)


def _judge(checks: list[_Limits]) -> Verdict:
    evidence = tuple(c.evidence for c in checks)
    refuted = [c.evidence for c in checks if c.refuted]
    missed = [c.evidence for c in checks if not c.evidence.passed and not c.refuted]
    strengths = [
        (e.value - e.null) / (e.threshold - e.null) for e in evidence if e.name in _DECISIVE and e.threshold > e.null
    ]
    score = float(np.clip(min(strengths, default=0.0), 0, 1))
    if refuted:
        return Verdict(Status.FAILED, min(score, 0.5), tuple(map(_sentence, refuted + missed)), evidence)
    if missed:
        return Verdict(Status.DOUBTFUL, score, tuple(map(_sentence, missed)), evidence)
    return Verdict(Status.ALIGNED, score, tuple(map(_sentence, evidence[:3])), evidence)


def _sentence(e: Evidence) -> str:
    return f"{e.name} is {e.value:.2f} ({e.null:.2f} where nothing is aligned, {e.threshold:.2f} wanted). {e.meaning}"
