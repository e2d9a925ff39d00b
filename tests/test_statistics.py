"""Label-free statistics: equal to independent references, and at their bounds where they must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew, wasserstein_distance

from interlingua.core.statistics import agreement, effective_rank, hubness, sliced_wasserstein
from planted import rotation

Array = npt.NDArray[Any]


def distance(a: Array, b: Array, directions: int = 60) -> float:
    return sliced_wasserstein(a, b, directions=directions, rng=np.random.default_rng(1))


def test_agreement_is_the_mean_cosine(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((2, 30, 5))
    cosines = [(x @ y) / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(a, b, strict=True)]
    assert agreement(a, b) == pytest.approx(np.mean(cosines))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_agreement_ignores_length_and_stays_between_its_bounds(seed: int, scale: float) -> None:
    a, b = np.random.default_rng(seed).standard_normal((2, 12, 4))
    assert agreement(a, scale * a) == pytest.approx(1)
    assert agreement(a, -scale * a) == pytest.approx(-1)
    assert -1 <= agreement(a, b) <= 1
    assert agreement(a, scale * b) == pytest.approx(agreement(b, a))


def test_sliced_wasserstein_on_a_line_is_the_wasserstein_distance(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((4000, 1)), 2 + 3 * rng.random((3000, 1))
    assert distance(a, b) == pytest.approx(wasserstein_distance(a[:, 0], b[:, 0]), rel=0.02)


def test_sliced_wasserstein_of_a_shift_is_the_mean_length_of_its_projections(rng: np.random.Generator) -> None:
    # The mean absolute coordinate of a unit vector in three dimensions is one half.
    a = rng.standard_normal((500, 3))
    assert distance(a, a + [0, 0, 4], directions=4000) == pytest.approx(2, rel=0.05)


def test_sliced_wasserstein_is_zero_between_equals_and_symmetric_and_blind_to_row_order(
    rng: np.random.Generator,
) -> None:
    a, b = rng.standard_normal((200, 4)), rng.exponential(size=(150, 4))
    assert distance(a, rng.permutation(a)) == 0
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert distance(a, b) > 0


def test_sliced_wasserstein_sees_a_collapse_that_a_mean_cosine_rewards(rng: np.random.Generator) -> None:
    a = rng.standard_normal((200, 4))
    assert distance(np.zeros_like(a), a) > 5 * distance(rng.standard_normal((200, 4)), a)


def test_hubness_is_the_skewness_of_neighbor_counts(rng: np.random.Generator) -> None:
    queries, candidates = rng.standard_normal((80, 6)), rng.standard_normal((50, 6))
    cosines = queries @ (candidates / np.linalg.norm(candidates, axis=1, keepdims=True)).T
    counts = np.zeros(50)
    for row in cosines:
        counts[np.argsort(-row)[:10]] += 1
    assert hubness(queries, candidates) == pytest.approx(skew(counts))


def test_hubness_is_large_where_a_few_rows_attract_everything(rng: np.random.Generator) -> None:
    candidates = rng.standard_normal((300, 8))
    spread, narrow = rng.standard_normal((300, 8)), candidates[:1] + 0.01 * rng.standard_normal((300, 8))
    assert hubness(narrow, candidates) > 3 > hubness(spread, candidates)


def test_hubness_is_zero_where_all_rows_are_as_often_neighbors() -> None:
    angles = 2 * np.pi * np.arange(20) / 20
    ring, between = (np.stack([np.cos(a), np.sin(a)], axis=1) for a in (angles, angles + np.pi / 20))
    assert hubness(between, ring) == 0


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rank=st.integers(1, 6))
def test_effective_rank_lies_between_one_and_the_rank(seed: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((40, rank)) @ rng.standard_normal((rank, 6))
    assert 1 - 1e-6 <= effective_rank(rows) <= rank + 1e-6


def test_effective_rank_counts_equal_directions(rng: np.random.Generator) -> None:
    cross = np.concatenate([np.eye(5), -np.eye(5)])
    assert effective_rank(cross) == pytest.approx(5)
    assert effective_rank(np.outer(np.arange(9), np.ones(5))) == pytest.approx(1)
    rows = rng.standard_normal((60, 5))
    assert effective_rank(7 * rows @ rotation(5, 5, rng) + 3) == pytest.approx(effective_rank(rows), rel=1e-4)
