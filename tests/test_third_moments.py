"""Third moments: the objective and its gradient against their definitions, and planted rotations of skewed rows."""

from __future__ import annotations

import numpy as np
import pytest

from interlingua.aligners.frames import polar
from interlingua.aligners.linear.island_starts import perturb
from interlingua.aligners.linear.third_moments import ThirdMoments, _gradients, search_moments
from interlingua.core import backend
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.statistics import agreement


def skewed(n: int, width: int, seed: int) -> FloatArray:
    """Return centered unit rows [n, width] whose columns are independent and skewed."""
    rng = np.random.default_rng(seed)
    rows = rng.gamma(0.5, size=(n, width)) * np.linspace(2, 1, width)
    return unit_rows((rows - rows.mean(axis=0)).astype(np.float32))


def topics(n: int) -> IntArray:
    return np.arange(n) % 5


def prepared(rows: FloatArray) -> FloatArray:
    """Return rows as the moments see them: columns more alike, of unit length, centered."""
    rows = unit_rows(rows / rows.std(axis=0) ** 0.25)
    return np.asarray(rows - rows.mean(axis=0))


def test_the_similarity_is_the_mean_cube_of_inner_products() -> None:
    x, y = skewed(90, 7, 0), skewed(70, 7, 1)
    moments = ThirdMoments.of([x, y], [topics(90), topics(70)])
    m = polar(np.random.default_rng(2).standard_normal((7, 7)).astype(np.float32))

    def kernel(a: FloatArray, b: FloatArray, between: FloatArray) -> float:
        return float(((a @ between @ b.T).astype(np.float64) ** 3).mean())

    a, b = prepared(x), prepared(y)
    one = np.eye(7, dtype=np.float32)
    expected = kernel(a, b, m) / np.sqrt(kernel(a, a, one) * kernel(b, b, one))
    assert moments.similarity(m[None])[0] == pytest.approx(expected, rel=1e-4)


def test_the_gradient_is_that_of_the_similarity() -> None:
    moments = ThirdMoments.of([skewed(90, 6, 0), skewed(70, 6, 1)], [topics(90), topics(70)])
    rng = np.random.default_rng(3)
    m, step = (rng.standard_normal((1, 6, 6)).astype(np.float32) for _ in range(2))
    change = (moments.similarity(m + 1e-2 * step) - moments.similarity(m - 1e-2 * step)) / 2e-2
    assert 3 * (_gradients(m, *moments.whole) * step).sum() == pytest.approx(change[0], rel=1e-2)


def test_moments_of_topics_add_up_to_those_of_all_rows() -> None:
    x, y = skewed(90, 7, 0), skewed(70, 7, 1)
    divided = ThirdMoments.of([x, y], [topics(90), topics(70)])
    undivided = ThirdMoments.of([x, y], [np.zeros(90, int), np.zeros(70, int)])
    assert divided.topics[0].shape == (5, 7**3)
    for one, other in zip(divided.whole, undivided.whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_columns_of_zeros_and_topics_without_rows_do_no_harm() -> None:
    x = skewed(90, 7, 0)
    x[:, 5:] = 0
    moments = ThirdMoments.of([x, skewed(70, 7, 1)], [topics(90) * 2, topics(70)])
    maps = search_moments(moments, np.eye(7, dtype=np.float32)[None], (0,), searches=1, shape=(7, 7))
    assert np.isfinite(maps).all()
    assert len(moments.topics[0]) == 9


def test_rows_without_skewness_have_no_direction() -> None:
    x = skewed(90, 7, 0)
    moments = ThirdMoments.of([np.concatenate([x, -x])] * 2, [topics(180)] * 2)
    maps = search_moments(moments, np.eye(7, dtype=np.float32)[None], (0,), searches=1, shape=(7, 7))
    assert np.isfinite(maps).all()


@pytest.mark.parametrize("shape", [(12, 12), (30, 40)])
def test_a_planted_rotation_is_found_where_one_start_in_ten_is_half_right(shape: tuple[int, int]) -> None:
    width = min(*shape, 24)
    rng = np.random.default_rng(0)
    x, y = skewed(3000, width, 1), skewed(3000, width, 2)
    truth = polar(rng.standard_normal((width, width)).astype(np.float32))
    moments = ThirdMoments.of([x, y @ truth], [topics(3000)] * 2)
    starts = polar(rng.standard_normal((100, *shape)).astype(np.float32))
    starts[:10, :width, :width] = [perturb(truth, 0.5, rng) for _ in range(10)]
    maps = search_moments(moments, starts, (4,), searches=2, shape=shape)
    assert maps.shape == (6, *shape)
    np.testing.assert_allclose(
        maps @ maps.swapaxes(1, 2), np.broadcast_to(np.eye(shape[0]), (6, *shape[:1] * 2)), atol=1e-3
    )
    best = max(agreement(x @ m[:width, :width], x @ truth) for m in maps)
    assert best > 0.9


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = ThirdMoments.of([skewed(90, 7, 0), skewed(70, 7, 1)], [topics(90), topics(70)])
    starts = polar(np.random.default_rng(0).standard_normal((5, 8, 9)).astype(np.float32))
    results = []
    for cores in (1, 3):
        monkeypatch.setattr(backend, "available_cores", lambda cores=cores: cores)
        results.append(search_moments(moments, starts, (1, 2), searches=3, shape=(8, 9)))
    np.testing.assert_array_equal(results[0], results[1])
