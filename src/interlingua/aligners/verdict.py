"""The verdict: label-free measurements of a finished fit, each beside a null.

With source rows ``x``, maps ``F_1`` and ``F_2`` that are fitted on disjoint halves of the rows, and the backward map
``B_2`` of the second half, three measurements decide:

* ``transport_excess``: by how many standard deviations the transport similarity of the map exceeds that of null maps;
* ``refit_agreement``: the mean cosine between ``x F_1`` and ``x F_2``;
* ``cycle``: the mean cosine between ``x`` and ``x F_1 B_2``.

With many rows, so does ``self_retrieval``: how often ``x F_1`` of a row is nearest to ``x F_2`` of the same row.

Their null is the same statistic for maps that are refined from random starts on the same rows. Where the fit has them,
the agreement of independent starts, the agreement of the map with the nearest rotation, and the round trip through the
backward map must reach limits as well. A good translation passes all sanity checks: the sliced Wasserstein distance,
hubness, and the effective rank. The limits separate the fits recorded in ``benchmarks/results``, whose
confusion table ``benchmarks/tables.py`` prints. The combination of these measurements is a method of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import stdtr, stdtrit

from interlingua.aligners.base import Aligner, Fit, OnStep, Problem, ignore_step, report_parts
from interlingua.aligners.coarse import CoarseSpaces, refit
from interlingua.aligners.conclusion import (
    MAX_FAILED_SCORE,
    Check,
    at_least,
    at_most_doubtful,
    conclude,
    score_of,
)
from interlingua.aligners.frames import Frame, near_copies, polar
from interlingua.aligners.null import NullMaps
from interlingua.aligners.pair_evidence import coverage_of_pairs, nearer_shares, rank_evidence
from interlingua.aligners.registry import pair_use
from interlingua.aligners.sanity import sanity_checks
from interlingua.core.alignment import Status, Verdict
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import single_threaded_blas, take, to_numpy
from interlingua.core.maps import AffineMap, VectorMap
from interlingua.core.statistics import (
    PAIR_MARGIN,
    agreement,
    mismatch_limit,
    self_retrieval,
)
from interlingua.core.wording import be, count_of

__all__ = [
    "EXCESS_LIMITS",
    "LIFT_LIMITS",
    "MAP_LIMITS",
    "RETRIEVAL_LIMITS",
    "ROUND_TRIP_LIMITS",
    "correct_for_tries",
    "judge",
    "judge_map",
    "judge_rotation",
    "refit_limits",
    "start_limits",
]

# Most rows that a measurement reads.
_ROWS = 1500
# (pass, fail): a value of at least the first supports the fit, a value below the second refutes it.
EXCESS_LIMITS = (5.0, 4.0)
# An excess in this range is measured again with more null maps.
_UNCERTAIN_EXCESS = (3.0, 7.0)
# Refits of wrong maps agree too, and they agree more where the rows have fewer directions. The limit is the null plus
# this share of the distance from the null to 1.
LIFT_LIMITS = (0.18, 0.1)
# Wrong maps of independent starts agree as well: those with a misplaced group in benchmarks/results/grid.jsonl agree up
# to 0.67, at an excess of 5.9. Every right map there agrees at least 0.8 or has an excess of at least 7.
_START_LIMITS, _START_LIMITS_LOW_EXCESS, _LOW_EXCESS = (0.6, 0.3), (0.8, 0.3), 7.0
# Refits of a map that is too coarse to find single rows do not find them either, even if its groups of rows are in the
# right place. In benchmarks/results/grid.jsonl 71 of 73 right maps have at least 0.47; 20 of 29 others at most 0.41.
# With fewer rows, the halves are too small to tell.
RETRIEVAL_LIMITS, _MANY_ROWS = (0.45, 0.0), 4_000
# With fewer pairs, a fit on the pairs that are not held out would not be comparable with the fit on all of them.
_MIN_PAIRS = 10
_MAX_HELD_OUT = 1000
_RANDOM_STARTS, _SHUFFLED_ROWS = "random starts", "shuffled rows"
# A map far from the rotation that was refitted is not judged by it. Nonlinear maps and maps between unequal widths stay
# above the first limit of the round trip; an unrelated backward map stays near 0.
MAP_LIMITS, ROUND_TRIP_LIMITS = (0.7, 0.4), (0.3, 0.15)
# Keeps these draws apart from those of a fit and of a null with the same seed.
_STREAM = 11
# Of Student's t: the spread of the null is estimated from six maps.
_NULL_DEGREES = 5


def refit_limits(null: float) -> tuple[float, float]:
    """Return the limits (pass, fail) of the agreement of refits, given that of refits of null maps.

    ``null + lift * (1 - null)``, a share of the distance from the null to perfect agreement.
    """
    passing, failing = (null + lift * (1 - null) for lift in LIFT_LIMITS)
    return passing, failing


def start_limits(rows: int, excess: float) -> tuple[float, float]:
    """Return the limits (pass, fail) of the agreement of independent starts.

    Args:
        rows: of the smaller side.
        excess: the transport excess of the map. Where it is low and there are many rows, more agreement is needed.
    """
    return _START_LIMITS_LOW_EXCESS if rows >= _MANY_ROWS and excess < _LOW_EXCESS else _START_LIMITS


def judge_rotation(
    null: NullMaps,
    rotation: FloatArray,
    translated: FloatArray,
    target: FloatArray,
    *,
    seed: int,
    start_agreement: float | None = None,
    checks: Sequence[Check] = (),
    on_part: OnStep = ignore_step,
) -> Verdict:
    """Measure a fit and conclude. The same arguments give the same numbers, however often they are measured.

    Args:
        null: maps from random starts on the rows that the map was fitted on.
        rotation: [d_source, d_target] between the frames.
        translated: [n, d_target], rows of the source under the final map, centered in the target's frame.
        target: [m, d_target], centered unit rows of the target.
        seed: seeds a generator of the verdict's own.
        start_agreement: agreement of the best independent start with the map, or None where it was not searched for.
        checks: further measurements of the same fit.
        on_part: called before and after each part: the transport, three refits and the sanity checks.
    """
    report_part = report_parts("judging", 5, on_part)
    rng = np.random.default_rng([seed, _STREAM])
    spaces = null.spaces
    with single_threaded_blas():
        coarse = spaces.reduce(rotation)
        transport = _transport(null, coarse, seed)
        report_part()
        measured = [transport, *_refits(null, coarse, rng, report_part)]
        if start_agreement is not None:
            measured.append(_start_agreement(null, start_agreement, transport.evidence.value))
        measured += sanity_checks(translated, target, rng)
        report_part()
    return conclude([*measured, *checks])


def correct_for_tries(verdict: Verdict, tries: int) -> Verdict:
    """Return the verdict on the best of several fits: the limit of the transport excess grows with their number.

    The largest of k excesses of wrong maps passes a limit up to k times as often as one. So the limit becomes the value
    that Student's t with 5 degrees of freedom exceeds with 1/k of the probability (Bonferroni): 5.9 for two tries, 7.2
    for five, 8.3 for ten. The limits of the refits stay: they are above those of every wrong map in the records.

    Args:
        verdict: of one fit.
        tries: how many fits were judged before this one was chosen.
    """
    limit = float(-stdtrit(_NULL_DEGREES, stdtr(_NULL_DEGREES, -EXCESS_LIMITS[0]) / tries))
    before = next((item for item in verdict.evidence if item.name == "transport_excess"), None)
    if before is None or tries == 1:
        return verdict
    after = replace(before, threshold=limit, passed=before.value >= limit)
    evidence = tuple(after if item is before else item for item in verdict.evidence)
    score = min(score_of(evidence), MAX_FAILED_SCORE) if verdict.status == Status.FAILED else score_of(evidence)
    reasons = tuple(str(after) if reason == str(before) else reason for reason in verdict.reasons)
    corrected = replace(verdict, score=score, reasons=reasons, evidence=evidence)
    return at_most_doubtful(corrected, str(after)) if before.passed and not after.passed else corrected


def judge(aligner: Aligner, problem: Problem, fit: Fit, *, seed: int, on_step: OnStep = ignore_step) -> Verdict:
    """Judge a fit whose method returned no verdict of its own.

    A method that requires pairs is judged on pairs held out of a second fit, every other method by label-free
    measurements of its forward map.

    Args:
        aligner: the method; fits once more where pairs are held out.
        problem: what was aligned.
        fit: the result.
        seed: decides the random draws of the measurements.
        on_step: called with the progress, and before a second fit.
    """
    if pair_use(aligner) == "required" and problem.known is not None:
        return _judge_held_out(aligner, problem, problem.known, seed, on_step)
    reason = problem.insufficient_rows_reason()
    if reason:
        return Verdict(Status.FAILED, 0.0, (f"{reason} With so few, nothing confirms the map.",))
    return judge_map(problem.frames, problem.rows[0], fit.forward, fit.backward, seed=seed, on_part=on_step)


def judge_map(
    frames: tuple[Frame, Frame],
    rows: FloatArray,
    forward: VectorMap,
    backward: VectorMap,
    *,
    seed: int,
    null: NullMaps | None = None,
    start_agreement: float | None = None,
    on_part: OnStep = ignore_step,
) -> Verdict:
    """Judge any pair of maps by label-free measurements.

    Refits and transport can only be measured on a rotation, so they are measured on the one nearest to the forward
    map. Two more measurements tie the maps themselves to it: the agreement of the forward map with that rotation, and
    the round trip through the backward map.

    Args:
        frames: of source and target.
        rows: [n, d_source], the source rows that the first frame was built from.
        forward: the map from source to target.
        backward: the map from target to source.
        seed: decides the random draws.
        null: maps from random starts on these rows; None samples them.
        start_agreement: see `judge_rotation`.
        on_part: called before and after each part of the null and of the measurements.
    """
    x, y = frames
    rng = np.random.default_rng([seed, _STREAM, 1])
    with single_threaded_blas():
        mapped = forward(rows)
        translated = y.center(mapped)
        matrix = forward.matrix if isinstance(forward, AffineMap) else x.rows.T @ unit_rows(translated)
        rotation = polar(matrix)
        checks = [_map_agreement(x.rows @ rotation, translated, rng), _round_trip(x, x.center(backward(mapped)), rng)]
        if null is None:
            # Some measurements read the first rows only.
            shuffled = [frame.rows[rng.permutation(len(frame.rows))] for frame in frames]
            null = NullMaps.sample(CoarseSpaces.of(*shuffled), seed=seed, on_part=on_part)
        return judge_rotation(
            null,
            rotation,
            translated,
            y.rows,
            seed=seed,
            start_agreement=start_agreement,
            checks=checks,
            on_part=on_part,
        )


def _map_agreement(rotated: FloatArray, translated: FloatArray, rng: np.random.Generator) -> Check:
    meaning = "Mean cosine between the map's translations and those of the rotation nearest to it."
    null = agreement(rotated, translated[rng.permutation(len(translated))])
    return at_least("map_agreement", agreement(rotated, translated), null, MAP_LIMITS, meaning, _SHUFFLED_ROWS)


def _round_trip(x: Frame, returned: FloatArray, rng: np.random.Generator) -> Check:
    meaning = "Mean cosine between a row and its round trip through the forward and the backward map."
    null = agreement(x.rows, returned[rng.permutation(len(returned))])
    return at_least("round_trip", agreement(x.rows, returned), null, ROUND_TRIP_LIMITS, meaning, _SHUFFLED_ROWS)


def _judge_held_out(
    aligner: Aligner, problem: Problem, known: tuple[FloatArray, FloatArray], seed: int, on_step: OnStep
) -> Verdict:
    """Judge a fit on known pairs by pairs [p, d_source], [p, d_target] that a second fit did not see."""
    if len(known[0]) < _MIN_PAIRS:
        known_pairs = f"{count_of(len(known[0]), 'pair')} {be(len(known[0]))} known"
        reason = f"{known_pairs}, too few to hold any out; at least {_MIN_PAIRS} can confirm a map."
        return Verdict(Status.FAILED, 0.0, (reason,))
    order = np.random.default_rng(seed).permutation(len(known[0]))
    held, fitted = np.split(order, [min(_MAX_HELD_OUT, max(1, len(order) // 5))])
    centered = [unit_rows(frame.center(rows)) for frame, rows in zip(problem.frames, known, strict=True)]
    fitted = fitted[~np.logical_or(*(near_copies(z[fitted], z[held]) for z in centered))]
    if len(fitted) < _MIN_PAIRS // 2:
        differ = f"differ{'s' if len(fitted) == 1 else ''} from the {len(held):,} held-out ones"
        reason = f"Only {len(fitted):,} of {len(known[0]):,} known pairs {differ}, too few for a second fit."
        return Verdict(Status.FAILED, 0.0, (reason,))
    on_step({"step": "second fit", "without": len(held)})
    second = aligner.fit(problem.take_known(fitted), seed=seed, on_step=ignore_step)
    rows = unit_rows(known[1])
    mean = rows[fitted].mean(axis=0)
    mapped = unit_rows(second.forward(known[0][held]))
    translated = unit_rows(mapped - mean)
    cosines = translated @ unit_rows(rows - mean).T
    is_partner = held[:, None] == np.arange(len(rows))
    null, limit = mismatch_limit(cosines[~is_partner], len(held))
    meaning = "Mean cosine between translated and true rows of known pairs that were held out of a second fit."
    limits = (limit, null + PAIR_MARGIN / 2)
    value = float(cosines[is_partner].mean())
    checks = [at_least("held_out_pairs", value, null, limits, meaning, "mismatched pairs")]
    # Search compares vectors as they are, so ranks are not measured around the mean.
    drawn = np.random.default_rng([seed, _STREAM, 2]).permutation(len(problem.rows[1]))[:_ROWS]
    target = unit_rows(problem.rows[1][drawn])
    checks.append(Check(rank_evidence(nearer_shares(mapped, rows[held], target)), refutes=False))
    coverage = coverage_of_pairs(problem, seed=seed)
    return conclude(checks if coverage is None else [*checks, Check(coverage, refutes=False)])


def _transport(null: NullMaps, coarse: FloatArray, seed: int) -> Check:
    score = float(null.spaces.similarity(coarse[None])[0])
    if _UNCERTAIN_EXCESS[0] < null.excess(score) < _UNCERTAIN_EXCESS[1]:
        null = null.with_more(seed=seed)
    excess = null.excess(score)
    meaning = (
        f"Translated rows lie {abs(excess):.0f} standard deviations {'closer to' if excess >= 0 else 'farther from'} "
        "real target rows than under maps refined from random starts."
    )
    return at_least("transport_excess", excess, null.excess_of_null(), EXCESS_LIMITS, meaning, _RANDOM_STARTS)


def _refits(
    null: NullMaps, coarse: FloatArray, rng: np.random.Generator, report_part: Callable[[], None]
) -> list[Check]:
    """Refit the map and the null maps on disjoint halves, forward on both and backward on the second."""
    spaces = null.spaces
    maps = np.concatenate([coarse[None], null.maps])
    orders = [rng.permutation(rows.shape[0]) for rows in spaces.rows]
    first_half, second_half = (
        tuple(take(rows, order[i::2]) for rows, order in zip(spaces.rows, orders, strict=True)) for i in (0, 1)
    )
    samples, refitted = (first_half, second_half, second_half[::-1]), []
    for starts, (a, b) in zip((maps, maps, np.swapaxes(maps, 1, 2)), samples, strict=True):
        refitted.append(refit(spaces, starts, (a, b), rng))
        report_part()
    first, second, back = refitted
    rows = to_numpy(spaces.rows[0][:_ROWS])
    translated = [(rows @ f, rows @ s) for f, s in zip(first, second, strict=True)]
    agreements = [agreement(*pair) for pair in translated]
    cycles = [agreement(rows, rows @ f @ b) for f, b in zip(first, back, strict=True)]
    measured = [
        (
            "refit_agreement",
            agreements,
            "Cosine between translations by two maps fitted on disjoint halves of the rows.",
        ),
        (
            "cycle",
            cycles,
            "Cosine between a row and its round trip: forward with the map fitted on one half of the rows, back with "
            "the map fitted on the other half.",
        ),
    ]
    if spaces.n >= _MANY_ROWS:
        meaning = (
            f"Share of {len(rows):,} rows whose translation by the map fitted on one half of the rows is nearest to "
            "their own translation by the map fitted on the other half."
        )
        measured.append(("self_retrieval", [self_retrieval(*pair) for pair in translated], meaning))
    checks = []
    for name, (value, *nulls), meaning in measured:
        typical = float(np.median(nulls))
        limits = RETRIEVAL_LIMITS if name == "self_retrieval" else refit_limits(typical)
        checks.append(at_least(name, value, typical, limits, meaning, _RANDOM_STARTS))
    return checks


def _start_agreement(null: NullMaps, value: float, excess: float) -> Check:
    rows = to_numpy(null.spaces.rows[0][:_ROWS])
    translations = [unit_rows(rows @ matrix) for matrix in null.maps]
    pairs = zip(translations, translations[1:], strict=False)
    typical = float(np.median([agreement(first, second) for first, second in pairs]))
    meaning = "Cosine between translations by this map and by the best map from an independent start."
    limits = start_limits(null.spaces.n, excess)
    return at_least("start_agreement", value, typical, limits, meaning, _RANDOM_STARTS)
