"""The island search finds planted rotations, and does the same on every machine and in either direction."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear import islands, resamples
from interlingua.aligners.linear.island_settings import IslandSettings
from interlingua.aligners.linear.island_starts import perturb, weighted_sum
from interlingua.aligners.linear.islands import IslandsResult, count_unanimous, search_islands
from interlingua.aligners.linear.offspring import merge_offspring
from interlingua.aligners.linear.resamples import RefinementOnResamples
from interlingua.aligners.refine import wasserstein_procrustes_step
from interlingua.core import backend
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import available_cores
from planted import Problem, problem

SMALL = IslandSettings(
    densities=(1.07,),
    rounds=2,
    matchings=2,
    random_starts=4,
    offspring=4,
    moment_rounds=1,
    moment_searches=1,
    generations=1,
    merge_generations=2,
    islands=2,
    groups=2,
)
# For what holds wherever the search comes to.
TINY = replace(SMALL, rounds=1, matchings=1, random_starts=3, offspring=2, merge_generations=1, islands=1, groups=1)
SHORT = replace(TINY, islands=2)


@pytest.fixture(scope="module")
def sides() -> tuple[FloatArray, FloatArray, Problem]:
    """400 rows of one planted encoder and 1,200 of another, centered, with the problem they came from."""
    planted = problem(1200, (40, 32), 24, 3)
    return Frame.of(planted.source[:400]).rows, Frame.of(planted.target).rows, planted


@pytest.fixture(scope="module")
def result(sides: tuple[FloatArray, FloatArray, Problem]) -> IslandsResult:
    return search_islands(sides[0], sides[1], seed=1, settings=SMALL)


@pytest.fixture(scope="module")
def short(sides: tuple[FloatArray, FloatArray, Problem]) -> IslandsResult:
    """Two islands of fewer rows and their merge, wherever they come to."""
    return search_islands(sides[0][:200], sides[1][:600], seed=1, settings=SHORT)


def top1(planted: Problem, matrix: FloatArray) -> float:
    """Return how often the held-out row of the same content is the nearest."""
    x = unit_rows(planted.source_eval - planted.source[:400].mean(0)) @ matrix
    y = unit_rows(planted.target_eval - planted.target.mean(0))
    return float(((unit_rows(x) @ y.T).argmax(1) == np.arange(len(x))).mean())


def test_the_signature_knows_no_pairs_by_default() -> None:
    assert inspect.signature(search_islands).parameters["pairs"].default is None


def test_few_rows_against_many_find_the_planted_rotation(
    sides: tuple[FloatArray, FloatArray, Problem], result: IslandsResult
) -> None:
    assert top1(sides[2], result.matrix) > 0.8
    assert result.stopped == "repeated"
    assert result.agreement > 0.85
    assert result.excess > SMALL.excess


def test_swapped_sides_give_the_transposed_map(
    sides: tuple[FloatArray, FloatArray, Problem], short: IslandsResult
) -> None:
    assert len(short.islands) > 1
    assert short.merges
    turned = search_islands(sides[1][:600], sides[0][:200], seed=1, settings=SHORT)
    np.testing.assert_array_equal(turned.matrix, short.matrix.T)
    for first, second in zip(turned.islands + turned.merges, short.islands + short.merges, strict=True):
        np.testing.assert_array_equal(first.matrix, second.matrix.T)


def test_threads_and_a_generous_budget_change_nothing(
    sides: tuple[FloatArray, FloatArray, Problem], short: IslandsResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "available_cores", lambda: 3 if available_cores() == 1 else 1)
    other = search_islands(sides[0][:200], sides[1][:600], seed=1, settings=SHORT, budget=1e6)
    np.testing.assert_array_equal(other.matrix, short.matrix)
    assert other.stopped == short.stopped


def test_a_search_without_time_returns_its_first_maps(
    sides: tuple[FloatArray, FloatArray, Problem],
) -> None:
    cut = search_islands(sides[0], sides[1], seed=1, settings=SMALL, budget=0.0)
    assert cut.stopped == "budget"
    assert cut.refinements == SMALL.offspring
    assert cut.matrix.shape == (40, 32)
    np.testing.assert_allclose(np.linalg.svd(cut.matrix)[1], 1, atol=1e-2)


def test_an_interrupt_keeps_the_best_map_so_far(sides: tuple[FloatArray, FloatArray, Problem]) -> None:
    steps: list[dict[str, Any]] = []

    def interrupt(step: dict[str, Any]) -> None:
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt

    cut = search_islands(sides[0], sides[1], seed=1, settings=SMALL, on_step=interrupt)
    assert cut.stopped == "interrupted"
    assert len(cut.islands) == 1
    assert cut.best.score >= steps[0]["score"] - 0.1


def test_an_interrupt_before_the_first_map_is_passed_on(
    sides: tuple[FloatArray, FloatArray, Problem], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RefinementOnResamples, "refine", interrupt)
    with pytest.raises(KeyboardInterrupt):
        search_islands(sides[0], sides[1], settings=SMALL)


def test_steps_tell_stage_generation_score_and_time(sides: tuple[FloatArray, FloatArray, Problem]) -> None:
    steps: list[dict[str, Any]] = []
    search_islands(sides[0], sides[1], settings=TINY, budget=500.0, on_step=steps.append)
    islands = [step for step in steps if step["step"] == "islands"]
    assert {step["step"] for step in steps[len(islands) :]} == {"exchange"}
    assert [(s["stage"], s["number"], s["generation"]) for s in islands] == [
        ("third moments", 0, 1),
        ("island", 0, 1),
        ("merge", 0, 1),
    ]
    assert all(s["budget"] == 500.0 and s["seconds"] > 0 and np.isfinite(s["excess"]) for s in islands)
    assert islands[1]["refinements"] > islands[0]["refinements"]


def test_unrelated_sides_do_not_repeat_an_answer() -> None:
    rng = np.random.default_rng(0)
    x, y = (Frame.of(rng.standard_normal((n, 24)).astype(np.float32)).rows for n in (150, 300))
    found = search_islands(x, y, settings=SMALL)
    assert found.stopped == "exhausted"
    assert found.agreement < SMALL.same_map


def test_known_pairs_pull_the_search(sides: tuple[FloatArray, FloatArray, Problem]) -> None:
    """With pairs even random starts arrive; without them two random starts do not."""
    planted = sides[2]
    settings = IslandSettings(
        densities=(1.07,),
        rounds=1,
        matchings=1,
        random_starts=3,
        offspring=4,
        moment_rounds=1,
        moment_searches=1,
        generations=1,
        merge_generations=1,
        islands=1,
        groups=1,
    )
    means = planted.source[:400].mean(0), planted.target.mean(0)
    pairs = tuple(unit_rows(z[:60] - m) for z, m in zip((planted.source_eval, planted.target_eval), means, strict=True))
    found = search_islands(sides[0], sides[1], settings=settings, pairs=(pairs[0], pairs[1]))
    assert top1(planted, found.matrix) > 0.8


@pytest.mark.parametrize("cosine", [0.0, 0.3, 0.6, 0.9, 1.0])
def test_a_perturbed_map_has_the_cosine_given_with_its_origin(cosine: float) -> None:
    rng = np.random.default_rng(5)
    origin = polar(rng.standard_normal((64, 64)).astype(np.float32))
    moved = perturb(origin, cosine, rng)
    np.testing.assert_allclose(moved @ moved.T, np.eye(64), atol=1e-4)
    assert abs(float((moved * origin).sum()) / 64 - cosine) < 0.12


def test_errors_cancel_in_a_weighted_sum_and_low_scores_count_less() -> None:
    rng = np.random.default_rng(6)
    truth, false = (polar(rng.standard_normal((48, 48)).astype(np.float32)) for _ in range(2))
    maps = np.stack([perturb(truth, 0.4, rng) for _ in range(12)])
    together = float((weighted_sum(maps, np.zeros(12)) * truth).sum()) / 48
    assert together > max(float((m * truth).sum()) / 48 for m in maps) + 0.2
    pulled = np.concatenate([maps, [false] * 12])
    aware = weighted_sum(pulled, np.repeat([0.45, 0.43], 12))
    assert float((aware * truth).sum()) > 3 * float((aware * false).sum())


def test_offspring_of_a_merge_come_from_mixtures_the_consensus_and_the_best_map() -> None:
    rng = np.random.default_rng(8)
    parents, (consensus, best) = (polar(rng.standard_normal((2, 48, 48)).astype(np.float32)) for _ in range(2))
    origins = [parents.sum(axis=0), consensus, best]

    def nearest(starts: FloatArray) -> list[int]:
        return [int(np.argmax([(start * origin).sum() for origin in origins])) for start in starts]

    assert nearest(merge_offspring(parents, np.zeros(2), consensus, best, 12, rng)) == [0, 1, 2] * 4
    assert nearest(merge_offspring(parents, np.zeros(2), None, None, 4, rng)) == [0] * 4


def test_maps_that_settle_score_higher(sides: tuple[FloatArray, FloatArray, Problem]) -> None:
    refinement = RefinementOnResamples(CoarseSpaces.of(sides[0], sides[1]))
    refinement.cluster(0)
    widths = [axes.shape[1] for axes in refinement.spaces.axes]
    starts = polar(np.random.default_rng(0).standard_normal((4, *widths)).astype(np.float32))
    soon, settled = (
        refinement.spaces.similarity(refinement.refine(starts, (0,), (1.0,), settle=settle)).mean()
        for settle in (False, True)
    )
    assert settled > soon


def test_weighted_samples_are_distinct_and_follow_their_weights() -> None:
    rng = np.random.default_rng(7)
    weights = np.repeat([1.0, 4.0], 500)
    counts = np.zeros(1000)
    for _ in range(200):
        sample = resamples._weighted_sample(weights, 50, rng)
        assert len(np.unique(sample)) == 50
        counts[sample] += 1
    assert 3.2 < counts[500:].sum() / counts[:500].sum() < 4.5


def test_numpy_and_torch_take_the_same_step() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    a, b = (
        unit_rows(rng.standard_normal((3, n, 16)).astype(np.float32).reshape(-1, 16)).reshape(3, n, 16)
        for n in (40, 60)
    )
    maps = np.stack([polar(rng.standard_normal((16, 16)).astype(np.float32)) for _ in range(3)])
    expected = wasserstein_procrustes_step(a, b, maps, 0.05)
    tensors = [torch.as_tensor(z) for z in (a, b, maps)]
    got = wasserstein_procrustes_step(tensors[0], tensors[1], tensors[2], 0.05)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-3)
    # Each map sees its own rows only.
    np.testing.assert_allclose(wasserstein_procrustes_step(a[1:2], b[1:2], maps[1:2], 0.05), expected[1:2], atol=1e-4)


def test_islands_are_unanimous_if_each_agrees_with_each_other_and_with_the_best() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, 40)).astype(np.float32)
    right, wrong = (polar(rng.standard_normal((40, 40)).astype(np.float32)) for _ in range(2))
    islands = [wrong, *(perturb(right, 0.85, rng) for _ in range(3)), perturb(wrong, 0.9, rng)]
    mapped = [rows @ island for island in islands]
    assert [count_unanimous(mapped, rows @ best, 0.5) for best in (right, wrong, -right)] == [3, 2, 0]
    # Each agrees with the best map, and two of them do not agree with each other.
    far = [perturb(right, 0.65, rng) for _ in range(2)]
    assert count_unanimous([rows @ island for island in (right, *far)], rows @ right, 0.5) == 2


def test_islands_know_no_evaluation() -> None:
    assert "evaluation" not in inspect.getsource(islands) + inspect.getsource(resamples)
