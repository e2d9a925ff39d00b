"""Groups of rows that a map swaps are swapped back, and a right map is left as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners.coarse import CoarseSpaces, Schedule, refine_coarse
from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear import exchanges
from interlingua.aligners.linear.exchanges import exchange_groups, reflections, two_groups_reason
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.statistics import agreement
from interlingua.evaluation import evaluate
from planted import problem


@pytest.fixture(scope="module")
def solved() -> tuple[CoarseSpaces, FloatArray]:
    """Two planted encoders in coarse coordinates, with the map that refinement makes of the true one."""
    planted = problem(700, (32, 24), 18, 3)
    x, y = Frame.of(planted.source), Frame.of(planted.target)
    spaces = CoarseSpaces.of(x.rows, y.rows)
    a, b = (frame.center(z) for frame, z in ((x, planted.source_eval), (y, planted.target_eval)))
    truth = spaces.reduce(polar(a.T @ b))[None]
    return spaces, refine_coarse(spaces, truth, Schedule([0.045] * 20, batch=600), rng=np.random.default_rng(0))[0]


def agreement_with(spaces: CoarseSpaces, first: FloatArray, second: FloatArray) -> float:
    return agreement(spaces.rows[0] @ first, spaces.rows[0] @ second)


@pytest.mark.parametrize("number", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_two_groups_in_each_others_place_are_put_right(solved: tuple[CoarseSpaces, FloatArray], number: int) -> None:
    spaces, truth = solved
    rng = np.random.default_rng(number)
    candidates = reflections(spaces.rows[1], truth, rng)
    # The reflection that disturbs the map most.
    wrong = min(candidates, key=lambda matrix: agreement_with(spaces, truth, matrix))
    assert agreement_with(spaces, truth, wrong) < 0.8
    exchanged = exchange_groups(spaces, wrong, rng)
    assert exchanged.rounds >= 1
    assert agreement_with(spaces, truth, exchanged.matrix) > 0.95


def test_a_right_map_is_left_as_it_is(solved: tuple[CoarseSpaces, FloatArray]) -> None:
    spaces, truth = solved
    steps: list[dict[str, object]] = []
    exchanged = exchange_groups(spaces, truth, np.random.default_rng(0), on_step=steps.append)
    assert exchanged.rounds == 0
    assert agreement_with(spaces, truth, exchanged.matrix) > 0.98
    assert [step["step"] for step in steps] == ["exchange"]


def test_a_reflection_exchanges_two_groups_and_leaves_what_is_orthogonal_to_both() -> None:
    rng = np.random.default_rng(10)
    centers = np.eye(16, 40, k=8)
    rows = unit_rows((centers[rng.integers(16, size=1600)] + 0.02 * rng.standard_normal((1600, 40))).astype(np.float32))
    moved = {tuple((centers @ matrix).argmax(1) - 8) for matrix in reflections(rows, np.eye(40, dtype=np.float32), rng)}
    for i in range(16):
        for j in range(i):
            places = list(range(16))
            places[i], places[j] = j, i
            assert tuple(places) in moved


def test_reflections_keep_maps_orthonormal() -> None:
    rng = np.random.default_rng(3)
    matrix = polar(rng.standard_normal((20, 32)).astype(np.float32))
    for moved in reflections(unit_rows(rng.standard_normal((300, 32)).astype(np.float32)), matrix, rng):
        np.testing.assert_allclose(moved @ moved.T, np.eye(20), atol=1e-5)


def two_sided(
    solved: tuple[CoarseSpaces, FloatArray], offset: float, shares: tuple[float, float]
) -> tuple[CoarseSpaces, FloatArray]:
    """Return the spaces with an offset on a share of the rows of each side, along an axis that the map keeps."""
    spaces, truth = solved
    rng = np.random.default_rng(11)
    axis = unit_rows(rng.standard_normal((1, truth.shape[1])).astype(np.float32))
    moved = []
    for rows, along, share in zip(spaces.rows, (axis @ truth.T, axis), shares, strict=True):
        signs = np.where(rng.random(len(rows)) < share, offset, -offset)[:, None]
        moved.append(Frame.of(np.asarray(rows + signs * unit_rows(along), np.float32)).rows)
    return CoarseSpaces.of(moved[0], moved[1]), truth


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.3)])
def test_two_groups_that_only_their_shares_tell_apart_are_ambiguous(
    solved: tuple[CoarseSpaces, FloatArray], shares: tuple[float, float]
) -> None:
    spaces, _ = two_sided(solved, 4.0, shares)
    identity = np.eye(*(axes.shape[1] for axes in spaces.axes), dtype=np.float32)
    reason = two_groups_reason(spaces, identity, np.random.default_rng(0))
    assert reason is not None
    assert reason.startswith("Ambiguous: both sides consist of two groups")
    assert "% of the source, " in reason


@pytest.mark.parametrize(
    ("scores", "interchangeable"), [((0.42, 0.40), False), ((0.405, 0.40), True), ((0.40, 0.42), True)]
)
def test_a_mirrored_map_that_fits_better_in_equal_shares_is_ambiguous_too(
    solved: tuple[CoarseSpaces, FloatArray],
    monkeypatch: pytest.MonkeyPatch,
    scores: tuple[float, float],
    interchangeable: bool,
) -> None:
    """The shares of an attribute may exchange its groups, and the contents then speak for the other assignment."""
    spaces, truth = solved
    monkeypatch.setattr(exchanges, "_compare", lambda *_: (None, np.array(scores), np.array([[1, 0.3], [0.3, 1]])))
    labels = [np.arange(len(rows)) % 2 for rows in spaces.rows]
    found = exchanges._are_interchangeable(spaces, truth, labels, 100, np.random.default_rng(0))
    assert found is interchangeable


def test_ordinary_texts_are_not_two_sided(solved: tuple[CoarseSpaces, FloatArray]) -> None:
    spaces, truth = solved
    assert two_groups_reason(spaces, truth, np.random.default_rng(0)) is None


@pytest.mark.slow
def test_two_small_groups_of_real_texts_in_each_others_place_are_put_right() -> None:
    """With this seed the search swaps two groups of 7% of the package descriptions, of which one is twice as large."""
    data = Path(__file__).parent.parent / "demo" / "data"
    x, y, held_x, held_y = (
        np.load(data / f"{name}.npy") for name in ("source", "target", "eval-source", "eval-target")
    )
    translator = il.align(x, y, seed=8).translator()
    assert evaluate(translator, held_x, held_y, bootstrap=0).forward.top1.value > 0.87
