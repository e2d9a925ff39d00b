"""The verdict: the same numbers for the same fit, nulls that mean something, and reasons that can be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from interlingua.aligners import verdict
from interlingua.aligners.base import Problem, ignore_step
from interlingua.aligners.coarse import CoarseSpaces, anneal, settle
from interlingua.aligners.frames import affine_maps, polar
from interlingua.aligners.null import NullMaps, robust_spread
from interlingua.aligners.pair_evidence import coverage_of_pairs
from interlingua.aligners.registry import create_aligner
from interlingua.aligners.verdict import judge, judge_map, judge_rotation, refit_limits
from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from planted import encode, topics


@dataclass(frozen=True)
class Fitted:
    """Disjoint rows of one kind of text, and the rotation that pairs would give."""

    problem: Problem
    null: NullMaps
    rotation: np.ndarray
    translated: np.ndarray

    def verdict(self, seed: int = 0) -> Verdict:
        target = self.problem.frames[1].rows
        return judge_rotation(self.null, self.rotation, self.translated, target, seed=seed, start_agreement=0.9)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    rng = np.random.default_rng(4)
    content = topics(360, 12, rng)
    x, y = (encode(content, d, rng) for d in (14, 12))
    problem = Problem.of(x[:180], y[180:])
    frames = problem.frames
    rotation = polar(frames[0].center(x).T @ frames[1].center(y))
    spaces = CoarseSpaces.of(frames[0].rows, frames[1].rows)
    return Fitted(problem, NullMaps.sample(spaces, seed=0), rotation, frames[0].rows @ rotation)


def test_three_verdicts_on_one_fit_are_equal(fitted: Fitted) -> None:
    first, second, third = (fitted.verdict() for _ in range(3))
    assert first == second == third
    assert fitted.verdict(seed=1) != first


def test_the_null_has_a_generator_of_its_own_and_depends_on_its_seed_alone(fitted: Fitted) -> None:
    spaces = fitted.null.spaces
    again, other = (NullMaps.sample(spaces, seed=seed) for seed in (0, 1))
    assert np.array_equal(again.maps, fitted.null.maps)
    assert not np.array_equal(other.maps, fitted.null.maps)


def test_null_maps_are_at_least_six_and_refined_from_different_starts(fitted: Fitted) -> None:
    maps = fitted.null.maps
    assert len(maps) >= 6
    assert len({matrix.tobytes() for matrix in maps}) == len(maps)


def test_excess_is_a_robust_z_score(fitted: Fitted) -> None:
    null = NullMaps(fitted.null.spaces, fitted.null.maps, np.array([0.40, 0.42, 0.44, 0.46, 0.90]))
    assert robust_spread(null.scores) == pytest.approx(1.4826 * 0.02)
    assert null.excess(0.44) == pytest.approx(0)
    assert null.excess(0.44 + 3 * robust_spread(null.scores)) == pytest.approx(3)


def test_the_spread_of_null_maps_that_agree_by_luck_is_bounded_below(fitted: Fitted) -> None:
    null = NullMaps(fitted.null.spaces, fitted.null.maps, np.full(6, 0.4))
    assert null.excess(0.4 + 0.0015) == pytest.approx(1)


def test_an_uncertain_excess_is_measured_with_more_null_maps(fitted: Fitted) -> None:
    score = float(fitted.null.spaces.similarity(fitted.null.spaces.reduce(fitted.rotation)[None])[0])

    def excess(six: float) -> float:
        """Return the excess in the verdict where that of the first six null maps is ``six``."""
        null = replace(fitted.null, scores=score - (six + np.array([-2, -1, 0, 0, 1, 2]) / 1.4826) * 0.01)
        assert null.excess(score) == pytest.approx(six)
        target = fitted.problem.frames[1].rows
        return judge_rotation(null, fitted.rotation, fitted.translated, target, seed=3).evidence[0].value

    more = fitted.null.with_more(seed=3)
    assert np.array_equal(more.maps[:6], fitted.null.maps)
    assert len({matrix.tobytes() for matrix in more.maps}) == len(more.maps) > 12
    assert excess(2.5) == pytest.approx(2.5)
    assert excess(7.5) == pytest.approx(7.5)
    assert excess(4.5) != pytest.approx(4.5)
    assert excess(4.5) == excess(4.5)


def test_the_excess_of_the_null_compares_each_null_map_with_the_others_and_has_either_sign(fitted: Fitted) -> None:
    draws = np.random.default_rng(0).standard_normal((20, 6)) / 100 + 0.4
    nulls = [NullMaps(fitted.null.spaces, fitted.null.maps, scores).excess_of_null() for scores in draws]
    assert min(nulls) < 0 < max(nulls)
    values, excesses = draws[0], []
    for i, score in enumerate(values):
        others = np.delete(values, i)
        spread = max(1.4826 * np.median(np.abs(others - np.median(others))), 1.5e-3)
        excesses.append((score - np.median(others)) / spread)
    assert nulls[0] == pytest.approx(np.median(excesses))


def test_every_measurement_states_its_direction_and_what_its_null_is(fitted: Fitted) -> None:
    evidence = {e.name: e for e in fitted.verdict().evidence}
    assert {e.direction for e in evidence.values()} == {"at_least", "at_most"}
    for e in evidence.values():
        assert e.passed is (e.value <= e.threshold if e.direction == "at_most" else e.value >= e.threshold)
        assert e.null_meaning
        assert e.meaning.endswith(".")
        # The best that can be expected keeps an upper limit; chance misses a lower one.
        assert e.null < e.threshold
    assert {e.null_meaning for e in evidence.values() if e.direction == "at_most"} == {"real rows among themselves"}
    assert evidence["refit_agreement"].null_meaning == "random starts"


def test_a_reason_says_the_limit_its_direction_and_the_null() -> None:
    least = Evidence("transport_excess", 21.27, -0.14, 5, True, "Rows lie closer.", null_meaning="random starts")
    assert str(least) == "transport excess 21.3 (needs at least 5; random starts about -0.14): Rows lie closer."
    most = Evidence("hubness", 5.153, 0.43, 3.43, False, "Skewness.", "at_most", "real rows among themselves")
    assert str(most) == "hubness 5.15 (needs at most 3.43; real rows among themselves about 0.43): Skewness."


def test_reasons_are_the_evidence_in_words_and_json_has_direction_and_null(fitted: Fitted) -> None:
    judged = fitted.verdict()
    assert set(judged.reasons) <= {str(e) for e in judged.evidence}
    item = judged.to_dict()["evidence"][0]
    assert (item["direction"], item["null_meaning"]) == ("at_least", "random starts")
    assert Evidence(**item) == judged.evidence[0]


def test_a_collapse_exceeds_an_upper_limit_and_the_reason_says_so(fitted: Fitted) -> None:
    collapsed = np.repeat(fitted.translated[:1], len(fitted.translated), axis=0)
    collapsed = collapsed + 1e-4 * np.random.default_rng(0).standard_normal(collapsed.shape).astype(np.float32)
    target = fitted.problem.frames[1].rows
    verdict = judge_rotation(fitted.null, fitted.rotation, collapsed, target, seed=0)
    assert verdict.status is Status.FAILED
    distance = next(e for e in verdict.evidence if e.name == "sliced_wasserstein")
    assert not distance.passed
    assert distance.value > distance.threshold
    assert any(reason.startswith("sliced wasserstein") and "needs at most" in reason for reason in verdict.reasons)


def test_any_map_is_judged_the_same_twice(fitted: Fitted) -> None:
    x, y = fitted.problem.frames
    forward, backward = affine_maps(x, y, np.asarray(fitted.rotation, np.float32))
    first, second = (judge_map((x, y), fitted.problem.rows[0], forward, backward, seed=3) for _ in range(2))
    assert first == second
    assert {"map_agreement", "round_trip"} <= {item.name for item in first.evidence}


def test_a_backward_map_that_is_noise_is_not_called_aligned(fitted: Fitted) -> None:
    x, y = fitted.problem.frames
    forward, backward = affine_maps(x, y, np.asarray(fitted.rotation, np.float32))
    noise = np.random.default_rng(0).standard_normal(backward.matrix.shape).astype(np.float32)
    spoiled = replace(backward, matrix=noise)
    right, wrong = (judge_map((x, y), fitted.problem.rows[0], forward, b, seed=3) for b in (backward, spoiled))
    assert right.status is Status.ALIGNED
    assert wrong.status is Status.FAILED
    assert any("round trip" in reason for reason in wrong.reasons)


def test_a_map_that_exchanges_half_of_the_translations_is_not_called_aligned(fitted: Fitted) -> None:
    x, y = fitted.problem.frames
    forward, backward = affine_maps(x, y, np.asarray(fitted.rotation, np.float32))

    def exchanged(rows: Any) -> Any:
        mapped = forward(rows)
        mapped[::2] = np.roll(mapped[::2], 1, axis=0)
        return mapped

    verdict = judge_map((x, y), fitted.problem.rows[0], exchanged, backward, seed=3)  # type: ignore[arg-type]
    assert verdict.status is not Status.ALIGNED


def test_limits_of_refits_are_shares_of_the_distance_from_the_null_to_one() -> None:
    assert refit_limits(0.5) == pytest.approx((0.59, 0.55))
    assert refit_limits(1.0) == pytest.approx((1.0, 1.0))


def test_coarse_coordinates_lift_and_reduce_are_inverse(fitted: Fitted) -> None:
    spaces = fitted.null.spaces
    matrix = fitted.null.maps[0]
    assert spaces.reduce(spaces.lift(matrix)) == pytest.approx(matrix, abs=1e-2)


def test_annealing_and_settling_raise_the_transport_similarity_of_a_random_start(fitted: Fitted) -> None:
    spaces, rng = fitted.null.spaces, np.random.default_rng(0)
    start = polar(rng.standard_normal((1, 14, 12)).astype(np.float32))
    annealed = anneal(spaces, start, rng)
    settled = settle(spaces, annealed, rng)
    scores = [float(spaces.similarity(maps)[0]) for maps in (start, annealed, settled)]
    assert scores[0] < scores[1]
    assert scores[2] > scores[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"status": "great"}, "status is 'great'; choose from aligned, doubtful, failed"),
        ({"score": 5}, "score is 5; a finite number at least 0 and at most 1"),
        ({"reasons": "ok"}, "reasons of a verdict is str of length 2; a sequence of texts is needed"),
        ({"evidence": ("x",)}, "evidence of a verdict is tuple of length 1; Evidence objects are needed"),
    ],
)
def test_a_verdict_holds_plain_values_of_its_own_kind(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Verdict(**{"status": Status.FAILED, "score": 0.0, "reasons": (), **values})


def test_a_status_given_as_text_guards_like_any_other() -> None:
    assert Verdict("failed", 0, ["no"]).status is Status.FAILED  # type: ignore[arg-type]


def test_a_verdict_survives_its_dictionary(fitted: Fitted) -> None:
    verdict = fitted.verdict()
    assert Verdict.from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict


def few_pairs(seed: int, count: int, *, wrong: bool) -> Verdict:
    """Return the verdict on Procrustes from some pairs, right ones or of unrelated rows."""
    rng = np.random.default_rng(seed)
    rows = rng.exponential(size=(300, 12)).astype(np.float32)
    shift = 150 if wrong else 0
    pairs = np.stack([np.arange(count), np.arange(count) + shift], axis=1)
    problem = Problem.of(rows, rows @ np.linalg.qr(rng.standard_normal((12, 12)))[0].astype(np.float32), pairs=pairs)
    aligner = create_aligner("procrustes")
    return judge(aligner, problem, aligner.fit(problem, seed=seed, on_step=ignore_step), seed=seed)


@pytest.mark.parametrize("count", [10, 20, 50, pytest.param(100, marks=pytest.mark.slow)])
def test_pairs_of_unrelated_rows_do_not_confirm_a_map_by_luck(count: int) -> None:
    """The mean cosine of two to twenty held-out pairs in twelve directions is often 0.2 above its null by chance."""
    verdicts = [few_pairs(seed, count, wrong=True) for seed in range(60)]
    assert [verdict.status for verdict in verdicts].count(Status.ALIGNED) == 0
    if count > 12:  # fewer pairs than directions do not determine the map
        right = [few_pairs(seed, count, wrong=False) for seed in range(20)]
        assert [verdict.status for verdict in right].count(Status.ALIGNED) == 20


def test_a_limit_for_few_held_out_pairs_is_four_standard_errors_above_the_null() -> None:
    item = few_pairs(0, 50, wrong=True).evidence[0]
    spread = 1 / np.sqrt(12)
    assert item.threshold - item.null == pytest.approx(4 * spread / np.sqrt(10), rel=0.1)
    many = few_pairs(0, 140, wrong=False).evidence[0]
    assert many.threshold - many.null == pytest.approx(max(0.2, 4 * spread / np.sqrt(28)), rel=0.1)


def paired(content: np.ndarray, pairs: np.ndarray, noise: float) -> tuple[Verdict, float]:
    """Return the verdict on Procrustes from pairs of equal row numbers, and its top-1 on all rows."""
    rng = np.random.default_rng(1)
    x, y = (encode(content, d, rng, noise=noise) for d in (48, 40))
    problem = Problem.of(x, y, pairs=np.stack([pairs, pairs], axis=1))
    aligner = create_aligner("procrustes")
    fit = aligner.fit(problem, seed=0, on_step=ignore_step)
    top1 = (unit_rows(fit.forward(x)) @ unit_rows(y).T).argmax(axis=1) == np.arange(len(x))
    return judge(aligner, problem, fit, seed=0), float(top1.mean())


@pytest.mark.parametrize(("count", "status"), [(70, Status.DOUBTFUL), (500, Status.ALIGNED)])
def test_pairs_too_few_to_find_single_rows_do_not_confirm_a_map(count: int, status: Status) -> None:
    """The mean cosine of held-out pairs is far above that of mismatched pairs long before single rows are found."""
    content = np.random.default_rng(0).standard_normal((1500, 36)).astype(np.float32)
    found, top1 = paired(content, np.arange(count), noise=5.0)
    measured = {item.name: item for item in found.evidence}
    assert measured["held_out_pairs"].passed
    assert (top1 > 0.5) is (status is Status.ALIGNED)
    assert (found.status, measured["rank_of_pairs"].passed) == (status, status is Status.ALIGNED)
    if status is Status.DOUBTFUL:
        assert found.reasons[0].startswith("rank of pairs")


@pytest.mark.parametrize("side", ["source", "target"])
def test_pairs_of_one_narrow_group_do_not_confirm_a_map_of_all_rows(side: str) -> None:
    rng = np.random.default_rng(2)
    group = np.repeat(np.arange(12), 120)
    content = (3 * rng.standard_normal((12, 36))[group] + rng.standard_normal((1440, 36))).astype(np.float32)
    spread, _ = paired(content, rng.permutation(1440)[:110], noise=0.5)
    assert spread.status is Status.ALIGNED
    narrow, _ = paired(content, np.arange(110), noise=0.5)
    assert narrow.status is Status.DOUBTFUL
    assert narrow.reasons[0].startswith("coverage of pairs")
    assert "Add pairs of other texts" in narrow.reasons[0]
    # The rows of one side may be those of the pairs alone.
    rows = {name: content if name == side else content[:110] for name in ("source", "target")}
    index = np.stack([np.arange(110), np.arange(110)], axis=1)
    coverage = coverage_of_pairs(Problem.of(rows["source"], rows["target"], pairs=index), seed=0)
    assert coverage is not None
    assert not coverage.passed
    assert coverage.meaning.startswith(f"Share of the {side} rows")
    assert coverage_of_pairs(Problem.of(content, content, pairs=index[:19]), seed=0) is None


def test_with_many_rows_refits_must_find_single_rows(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "self_retrieval" not in {e.name for e in fitted.verdict().evidence}
    monkeypatch.setattr(verdict, "_MANY_ROWS", 180)
    measured = {e.name: e for e in fitted.verdict().evidence}["self_retrieval"]
    assert measured.null < 0.45 < measured.value
    assert (measured.threshold, measured.passed) == (0.45, True)
    assert fitted.verdict().status is Status.ALIGNED
    monkeypatch.setattr(verdict, "RETRIEVAL_LIMITS", (measured.value + 0.01, 0.0))
    assert fitted.verdict().status is Status.DOUBTFUL
    assert fitted.verdict().reasons[0].startswith("self retrieval")


@pytest.mark.parametrize(
    ("rows", "excess", "limit"), [(4_000, 6.9, 0.8), (4_000, 7.0, 0.6), (3_999, 6.9, 0.6), (3_999, 20.0, 0.6)]
)
def test_with_many_rows_and_a_low_excess_starts_must_agree_more(rows: int, excess: float, limit: float) -> None:
    assert verdict.start_limits(rows, excess) == (limit, 0.3)


def test_the_limit_of_the_starts_is_that_of_the_excess(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    excess = {e.name: e.value for e in fitted.verdict().evidence}["transport_excess"]
    monkeypatch.setattr(verdict, "_MANY_ROWS", 180)
    limits = {}
    for low in (excess, excess + 0.01):
        monkeypatch.setattr(verdict, "_LOW_EXCESS", low)
        limits[low - excess > 0] = {e.name: e.threshold for e in fitted.verdict().evidence}["start_agreement"]
    assert limits == {False: 0.6, True: 0.8}
