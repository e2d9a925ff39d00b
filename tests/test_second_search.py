"""A budget adds a second search where the fast one finds no evidence; its maps are better, and never aligned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners.base import Problem as AlignmentProblem
from interlingua.aligners.conclusion import at_most_doubtful
from interlingua.aligners.linear import aligner, islands, second_search
from interlingua.aligners.linear.full_width import widen
from interlingua.aligners.linear.full_width_refinement import FULL_WIDTH_REFINEMENTS
from interlingua.aligners.linear.island_settings import IslandSettings
from interlingua.aligners.linear.repeats import distinct_rows
from interlingua.aligners.linear.resamples import RefinementOnResamples
from interlingua.aligners.linear.second_search import INTERRUPTED, UNCALIBRATED, SecondResult, limit_verdict
from interlingua.core.alignment import Alignment, Evidence, Status, Verdict
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from planted import Problem, Rows, encode, problem, rotation, topics
from test_islands import SMALL, TINY

PARTS = ("mean_in", "matrix", "mean_out")
GENEROUS = 1e6


@pytest.fixture(scope="module")
def hard() -> Problem:
    """250 rows against 1,200, on which the fast search fails."""
    planted = problem(1200, (40, 32), 24, 7)
    return Problem(planted.source[:250], planted.target, planted.source_eval, planted.target_eval)


@pytest.fixture(scope="module")
def easy() -> Problem:
    """Other rows of the same space, without near-copies, on which the fast search succeeds."""
    rng = np.random.default_rng(2)
    rows = encode(topics(1200, 32, rng, decay=0.1), 32, rng)
    sides = []
    for side in (rows[:600], rows[600:]):
        while (found := distinct_rows(side)).near:
            side = found.rows
        sides.append(side)
    return Problem(sides[0], sides[1], sides[0][:300], sides[0][:300])


@pytest.fixture
def few_islands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second search stop after a few refinements, as tests of the islands do."""
    monkeypatch.setattr(islands, "IslandSettings", lambda: SMALL)


@pytest.fixture
def fewest_islands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it stop after the fewest refinements, wherever it has come to by then."""
    monkeypatch.setattr(islands, "IslandSettings", lambda: TINY)


def align(p: Problem, **settings: Any) -> Alignment:
    return il.align(p.source, p.target, method="linear", **{"rounds": 2, **settings})


def top1(alignment: Alignment, p: Problem) -> tuple[float, float]:
    """Return how often the held-out row of the same content is the nearest, forward and backward."""
    shares = []
    for f, rows, truth in (
        (alignment.forward, p.source_eval, p.target_eval),
        (alignment.backward, p.target_eval, p.source_eval),
    ):
        nearest = (unit_rows(f(rows)) @ unit_rows(truth).T).argmax(axis=1)
        shares.append(float((nearest == np.arange(len(rows))).mean()))
    return shares[0], shares[1]


def steps(alignment: Alignment, name: str) -> list[Any]:
    return [step for step in alignment.trace if step["step"] == name]


def assert_same_fit(first: Alignment, second: Alignment) -> None:
    for part in PARTS:
        assert getattr(first.forward, part).tobytes() == getattr(second.forward, part).tobytes()
        assert getattr(first.backward, part).tobytes() == getattr(second.backward, part).tobytes()
    assert first.verdict == second.verdict


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("This must not run.")


@pytest.fixture(scope="module")
def fast(hard: Problem) -> Alignment:
    """The hard problem without a budget; nothing of the second search runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aligner, "search_further", refuse)
        return align(hard)


@pytest.fixture(scope="module")
def budgeted(hard: Problem) -> tuple[Alignment, list[dict[str, Any]]]:
    """The hard problem with a budget, and the progress reported."""
    reported: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(islands, "IslandSettings", lambda: SMALL)
        return align(hard, budget=GENEROUS, on_step=reported.append), reported


def test_a_budget_solves_a_hard_problem_that_the_fast_search_does_not(
    hard: Problem, fast: Alignment, budgeted: tuple[Alignment, Any]
) -> None:
    assert max(top1(fast, hard)) < 0.4
    assert min(top1(budgeted[0], hard)) > 0.9


def test_a_map_of_the_second_search_is_doubtful_although_its_evidence_would_pass(
    budgeted: tuple[Alignment, Any],
) -> None:
    verdict = budgeted[0].verdict
    assert verdict.status == Status.DOUBTFUL
    assert verdict.reasons[0] == UNCALIBRATED
    assert next(e for e in verdict.evidence if e.name == "transport_excess").passed


def test_no_verdict_on_a_map_of_the_second_search_is_aligned(hard: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    second = SecondResult(rotation(40, 32, np.random.default_rng(0)), True, 1.0, 3, False)
    monkeypatch.setattr(aligner, "search_further", lambda *_, **__: second)
    monkeypatch.setattr(aligner, "two_groups_reason", lambda *_, **__: None)
    evidence = (Evidence("transport_excess", 15.0, 0.0, 5.0, True, "High."),)
    monkeypatch.setattr(aligner, "judge_rotation", lambda *_, **__: Verdict(Status.ALIGNED, 1.0, ("High.",), evidence))
    capped = align(hard, rounds=0, budget=GENEROUS).verdict
    assert (capped.status, capped.reasons) == (Status.DOUBTFUL, (UNCALIBRATED,))


@pytest.mark.usefixtures("short_fits")
def test_with_many_rows_the_map_of_the_second_search_is_refined_beside_those_of_the_fast_search(
    hard: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = SecondResult(rotation(40, 32, np.random.default_rng(0)), False, 0.5, 3, False)
    monkeypatch.setattr(aligner, "search_further", lambda *_, **__: second)
    refined = []

    def spy(x: Any, y: Any, matrices: Any, **options: Any) -> Any:
        refined.append(matrices)
        return widen(x, y, matrices, **options)

    monkeypatch.setattr(aligner, "widen", spy)
    align(hard, rounds=0, budget=GENEROUS)
    assert len(refined[0]) > 1
    assert refined[0][-1] is second.rotation


@pytest.mark.usefixtures("short_fits", "few_islands")
def test_few_rows_are_averaged_at_full_width_and_many_are_not(
    hard: Problem, budgeted: tuple[Alignment, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_search, "_MANY_ROWS", 1)
    many = align(hard, rounds=0, budget=GENEROUS)
    for alignment, averaged in ((budgeted[0], True), (many, False)):
        (summary,) = steps(alignment, "second search")
        assert summary["similarity"] > summary["similarity_of_fast_search"]
        assert bool(steps(alignment, "full width")) is averaged


def test_a_capped_verdict_keeps_what_refutes_and_what_is_missing() -> None:
    failed = Verdict(Status.FAILED, 0.1, ("No.",))
    assert at_most_doubtful(failed, "Why.") is failed
    doubtful = at_most_doubtful(Verdict(Status.DOUBTFUL, 0.6, ("Little.",)), "Why.")
    assert (doubtful.status, doubtful.reasons) == (Status.DOUBTFUL, ("Why.", "Little."))
    capped = at_most_doubtful(Verdict(Status.ALIGNED, 1.0, ("Good.",)), "Why.")
    assert (capped.status, capped.reasons) == (Status.DOUBTFUL, ("Why.",))


def test_with_few_rows_islands_that_agree_outweigh_refits_on_halves_and_nothing_else() -> None:
    def verdict(*missed: str, rows: int = 500, unanimous: int = 3) -> Verdict:
        names = ("transport_excess", "refit_agreement", "cycle", "hubness")
        evidence = tuple(Evidence(name, 1.0, 0.0, 1.0, name not in missed, "Why.") for name in names)
        failed = Verdict(Status.FAILED, 0.2, ("Refuted.",), evidence)
        second = SecondResult(np.eye(2, dtype=np.float32), True, None, unanimous, False)
        return limit_verdict(failed, second, rows)

    doubtful = verdict("refit_agreement", "cycle")
    assert doubtful.status is Status.DOUBTFUL
    assert doubtful.score == 0.2
    assert doubtful.reasons[0] == UNCALIBRATED
    assert "3 separately started islands" in doubtful.reasons[1]
    assert "halves of 500 rows" in doubtful.reasons[1]
    for failed in (
        verdict("refit_agreement", "transport_excess"),
        verdict("cycle", "hubness"),
        verdict("refit_agreement", rows=1_000),
        verdict("refit_agreement", unanimous=2),
    ):
        assert (failed.status, failed.reasons) == (Status.FAILED, ("Refuted.",))


def test_progress_and_trace_tell_what_the_second_search_did(budgeted: tuple[Alignment, list[dict[str, Any]]]) -> None:
    alignment, reported = budgeted
    generations = steps(alignment, "islands")
    assert {step["stage"] for step in generations} == {"third moments", "island", "merge"}
    # Steps that are reported have times as well.
    islands = [step for step in reported if step["step"] == "islands"]
    times = {"elapsed", "seconds_left", "total_seconds_left"}
    assert generations == [{key: step[key] for key in step if key not in times} for step in islands]
    (summary,), (full_width,) = steps(alignment, "second search"), steps(alignment, "full width")
    assert summary["similarity"] > summary["similarity_of_fast_search"]
    assert full_width["refinement"] in FULL_WIDTH_REFINEMENTS
    assert not steps(alignment, "polish")


def test_a_budget_changes_nothing_where_the_fast_search_succeeds(
    easy: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligner, "search_further", refuse)
    with_budget = align(easy, budget=100.0)
    assert with_budget.verdict.status == Status.ALIGNED
    assert steps(with_budget, "copies")[0]["source_distinct"] == len(easy.source)
    assert_same_fit(with_budget, align(easy))


def test_islands_that_agree_do_not_hide_that_a_map_is_ambiguous(hard: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    second = SecondResult(rotation(40, 32, np.random.default_rng(0)), False, None, 3, False)
    evidence = (Evidence("refit_agreement", 0.1, 0.0, 0.5, False, "Low."),)
    monkeypatch.setattr(aligner, "search_further", lambda *_, **__: second)
    monkeypatch.setattr(aligner, "_widen_and_exchange", lambda *_: (second.rotation, "Two groups."))
    monkeypatch.setattr(aligner, "judge_rotation", lambda *_, **__: Verdict(Status.FAILED, 0.1, ("Low.",), evidence))
    verdict = align(hard, rounds=0, budget=GENEROUS).verdict
    assert verdict.status is Status.DOUBTFUL
    assert verdict.reasons[:2] == ("Two groups.", UNCALIBRATED)


@pytest.mark.parametrize(
    ("source", "target", "budget", "expected"),
    [
        (500, 8_000, None, True),
        (8_000, 250, None, True),
        (1_999, 3_500, None, True),
        (2_000, 8_000, None, False),
        (249, 8_000, None, False),
        (500, 3_499, None, False),
        (500, 8_000, 0.0, False),
        (3_000, 3_000, 60.0, True),
    ],
)
def test_by_default_a_second_search_follows_where_it_is_known_to_help(
    source: int, target: int, budget: float | None, expected: bool
) -> None:
    rng = np.random.default_rng(0)
    sides = AlignmentProblem.of(*(rng.standard_normal((n, 9)).astype(np.float32) for n in (source, target)))
    assert aligner.Linear(budget=budget).searches_further(sides) is expected


@pytest.mark.parametrize(("rows", "expected"), [(249, False), (250, True), (1_999, True), (2_000, False)])
def test_with_views_a_second_search_follows_with_fewer_than_2000_rows_on_a_side(rows: int, expected: bool) -> None:
    assert second_search.helps(rows, rows, has_views=True) is expected
    assert second_search.helps(rows, 8_000, has_views=True) is expected


@pytest.mark.usefixtures("short_fits")
def test_the_second_search_of_the_default_has_one_group_and_no_limit_of_time(
    hard: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligner, "helps", lambda smaller, larger, *, has_views: (smaller, larger) == (250, 1200))
    asked: list[dict[str, int]] = []

    def settings(**counts: int) -> IslandSettings:
        asked.append(counts)
        return TINY

    monkeypatch.setattr(second_search, "IslandSettings", settings)
    alignment = align(hard, rounds=0)
    (summary,) = steps(alignment, "second search")
    assert (summary["groups"], summary["stopped"]) == (1, "exhausted")
    assert asked == [{"groups": 1, "islands": 6}]
    assert all(step["budget"] is None for step in steps(alignment, "islands"))


def test_noise_is_never_aligned_with_a_budget(fewest_islands: None) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 24)).astype(np.float32) for n in (300, 600))
    alignment = il.align(x, y, method="linear", rounds=1, budget=GENEROUS)
    assert steps(alignment, "second search")
    assert alignment.verdict.status != Status.ALIGNED


@pytest.mark.usefixtures("short_fits")
def test_an_interrupt_of_the_islands_keeps_their_best_map(hard: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(islands, "IslandSettings", lambda: replace(TINY, islands=2, groups=2))

    def interrupt(step: dict[str, Any]) -> None:
        if step["step"] == "islands" and step["number"] == 2:
            raise KeyboardInterrupt

    alignment = align(hard, rounds=0, budget=GENEROUS, on_step=interrupt)
    assert steps(alignment, "second search")[0]["stopped"] == "interrupted"
    assert steps(alignment, "interrupted") == [{"step": "interrupted", "kept": "second search"}]
    assert not steps(alignment, "full width")
    assert alignment.verdict.reasons[-1] == INTERRUPTED
    assert alignment.verdict.status != Status.ALIGNED


def test_an_interrupt_before_the_first_map_keeps_that_of_the_fast_search(
    hard: Problem, fast: Alignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RefinementOnResamples, "refine", interrupt)
    alignment = align(hard, budget=GENEROUS)
    assert steps(alignment, "interrupted") == [{"step": "interrupted", "kept": "fast search"}]
    assert alignment.verdict.reasons == (*fast.verdict.reasons, INTERRUPTED)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(alignment.forward, part), getattr(fast.forward, part))


@pytest.mark.usefixtures("short_fits")
def test_an_interrupt_at_full_width_keeps_the_map_of_the_islands(
    hard: Problem, monkeypatch: pytest.MonkeyPatch, few_islands: None
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(second_search, "refine_to_full_width", interrupt)
    alignment = align(hard, rounds=0, budget=GENEROUS)
    assert steps(alignment, "interrupted") == [{"step": "interrupted", "kept": "second search"}]
    assert alignment.verdict.reasons[-1] == INTERRUPTED
    assert min(top1(alignment, hard)) > 0.4


def test_copies_count_once_with_a_budget_and_are_reported(easy: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aligner, "search_further", refuse)
    rng, n = np.random.default_rng(3), len(easy.source)
    rows: Rows = np.concatenate([easy.source, easy.source[rng.integers(5, size=600)]])
    alignment = il.align(3 * rows, easy.target, method="linear", rounds=2, budget=100.0)
    (copies,) = steps(alignment, "copies")
    assert (copies["source_rows"], copies["source_distinct"], copies["source_exact_copies"]) == (n + 600, n, 600)
    assert (copies["target_exact_copies"], copies["target_near_copies"]) == (0, 0)
    assert min(top1(alignment, easy)) > 0.9
    # Translations back are as long as the rows that came.
    lengths = [np.linalg.norm(z, axis=1).mean() for z in (alignment.backward(easy.target_eval), 3 * easy.source)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.3)


def test_too_few_distinct_rows_are_refused() -> None:
    rng = np.random.default_rng(4)
    rows = encode(rng.standard_normal((60, 12)).astype(np.float32), 16, rng)
    target = rng.standard_normal((300, 16)).astype(np.float32)
    with pytest.raises(
        InputError, match="Without copies of other rows, source has 60 rows; .*Give vectors of more texts"
    ):
        il.align(np.repeat(rows, 3, axis=0), target, method="linear", budget=10.0)


@pytest.mark.parametrize("budget", [-1.0, float("nan"), float("inf"), True, "60"])
def test_a_budget_that_is_no_number_of_seconds_is_refused(budget: Any) -> None:
    with pytest.raises(InputError, match=r"budget is .*; a finite number at least 0 is needed"):
        aligner.Linear(budget=budget)
