"""A coarse map becomes a precise one of full width, by the refinement that refits on halves of the rows support."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear import full_width_refinement as module
from interlingua.aligners.linear.full_width_refinement import (
    FULL_WIDTH_REFINEMENTS,
    refine_to_full_width,
    retrieval_agreement,
)
from interlingua.aligners.linear.island_starts import perturb
from interlingua.core.arrays import FloatArray, unit_rows
from planted import Problem, problem, rotation

Sides = tuple[FloatArray, FloatArray, FloatArray, Problem]


@pytest.fixture(scope="module")
def sides() -> Sides:
    """300 rows against 900, a coarse map some way off the planted one, and the problem."""
    planted = problem(900, (48, 40), 24, 3)
    x, y = Frame.of(planted.source[:300]).rows, Frame.of(planted.target).rows
    held = held_out(planted)
    spaces = CoarseSpaces.of(x, y, width=20)
    coarse = perturb(spaces.reduce(polar(held[0].T @ held[1])), 0.8, np.random.default_rng(0))
    return x, y, spaces.lift(coarse), planted


@pytest.fixture(scope="module")
def refined(sides: Sides) -> Callable[[str], FloatArray]:
    """The result of a refinement by its name, computed once."""
    x, y, coarse, _ = sides
    return cache(lambda name: FULL_WIDTH_REFINEMENTS[name](x, y, coarse, 0, "cpu"))


def held_out(planted: Problem) -> tuple[FloatArray, FloatArray]:
    return (
        unit_rows(planted.source_eval - planted.source[:300].mean(0)),
        unit_rows(planted.target_eval - planted.target.mean(0)),
    )


def cosine(planted: Problem, matrix: FloatArray) -> float:
    """Return the mean cosine of translated held-out rows with the true ones."""
    x, y = held_out(planted)
    return float((unit_rows(x @ matrix) * y).sum(1).mean())


@pytest.mark.parametrize("name", FULL_WIDTH_REFINEMENTS)
def test_every_refinement_comes_nearer_to_the_truth(
    sides: Sides, refined: Callable[[str], FloatArray], name: str
) -> None:
    _, _, coarse, planted = sides
    matrix = refined(name)
    assert matrix.shape == coarse.shape
    assert cosine(planted, coarse) < 0.9
    assert cosine(planted, matrix) > 0.95


def test_the_refinement_whose_refits_agree_best_is_used(
    sides: Sides, refined: Callable[[str], FloatArray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refinement that follows its rows instead of the map gives another map for each half."""
    x, y, coarse, _ = sides

    def unsteady(x: FloatArray, y: FloatArray, matrix: FloatArray, seed: int, device: str) -> FloatArray:
        return rotation(matrix.shape[0], matrix.shape[1], np.random.default_rng(len(x) + seed))

    monkeypatch.setattr(module, "FULL_WIDTH_REFINEMENTS", {**FULL_WIDTH_REFINEMENTS, "unsteady": unsteady})
    steps: list[dict[str, object]] = []
    result = refine_to_full_width(x, y, coarse, names=["unsteady", "polished"], on_step=steps.append)
    assert result.refinement == "polished"
    assert result.half_agreement["unsteady"] < 0.1 < 0.9 < result.half_agreement["polished"]
    assert steps == [
        {
            "step": "full width",
            "refinement": "polished",
            **{f"halves {k}": v for k, v in result.half_agreement.items()},
        },
    ]
    np.testing.assert_array_equal(result.matrix, refined("polished"))


def test_swapped_sides_give_the_transposed_map(sides: Sides) -> None:
    x, y, coarse, _ = sides
    forward = refine_to_full_width(x, y, coarse, names=["averaged"])
    backward = refine_to_full_width(y, x, np.ascontiguousarray(coarse.T), names=["averaged"])
    np.testing.assert_array_equal(backward.matrix, forward.matrix.T)


def test_refits_that_say_the_same_agree_on_every_row_and_unrelated_ones_on_none() -> None:
    rng = np.random.default_rng(1)
    x, y = (unit_rows(rng.standard_normal((300, 32)).astype(np.float32)) for _ in range(2))
    first, second = (rotation(32, 32, rng) for _ in range(2))
    assert retrieval_agreement(x, y, first, first) == 1.0
    assert retrieval_agreement(x, y, first, second) < 0.05


def test_refinements_know_no_evaluation() -> None:
    assert "evaluation" not in inspect.getsource(module)
