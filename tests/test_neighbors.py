"""Exact neighbors: equal to brute force, whatever the tiles, and bounded in memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlingua.core import neighbors
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.neighbors import (
    Metric,
    csls,
    csls_blocks,
    mean_nearest_cosines,
    mutual_neighbors,
    nearest,
    nearest_in_blocks,
    neighbor_overlap,
)

Array = npt.NDArray[Any]


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbors, "TILE_ENTRIES", 64)
    monkeypatch.setattr(neighbors, "_TILE_COLUMNS", 7)


def unit(x: Array) -> Array:
    return np.asarray(x / np.linalg.norm(x, axis=-1, keepdims=True))


def similarity(query: Array, row: Array, metric: Metric) -> float:
    if metric == "l2":
        return -float(np.linalg.norm(query - row))
    product = float(query @ row)
    return product if metric == "dot" else product / float(np.linalg.norm(query) * np.linalg.norm(row))


def brute_force(queries: Array, rows: Array, k: int, metric: Metric, exclude: Array | None) -> tuple[Array, Array]:
    indices, scores = [], []
    for i, query in enumerate(queries):
        all_scores = [
            (-similarity(query, row, metric), j)
            for j, row in enumerate(rows)
            if exclude is None or j != int(exclude[i])
        ]
        best = sorted(all_scores)[:k]
        indices.append([j for _, j in best])
        scores.append([-score for score, _ in best])
    return np.array(indices), np.array(scores)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("itself", [False, True])
def test_search_in_tiles_equals_a_sort_of_all_similarities(metric: Metric, k: int, itself: bool) -> None:
    rng = np.random.default_rng(k)
    queries, rows = rng.standard_normal((23, 4)), rng.standard_normal((41, 4))
    exclude = rng.integers(0, 41, 23) if itself else None
    indices, scores = brute_force(queries, rows, k, metric, exclude)
    found = nearest(queries, rows, k, metric=metric, exclude=exclude)
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.scores, scores, atol=1e-12)


@pytest.mark.usefixtures("small_tiles")
@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 12))
def test_of_equal_rows_the_first_are_neighbors(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 2, (30, 2)).astype(np.float64)  # small integers: inner products tie exactly
    indices, _ = brute_force(rows, rows, k, "dot", np.arange(30))
    np.testing.assert_array_equal(nearest(rows, rows, k, metric="dot", exclude=np.arange(30)).indices, indices)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 40), size=st.integers(1, 31))
def test_rows_in_blocks_have_the_neighbors_of_all_rows(seed: int, k: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.choice([-2.0, 1.0, 2.0], (30, 3))  # many rows are equal
    queries, blocks = np.eye(3), (rows[start : start + size] for start in range(0, 30, size))
    found, expected = nearest_in_blocks(queries, blocks, k), nearest(queries, rows, k)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.scores, expected.scores)


def test_empty_blocks_are_passed_over(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((9, 2))
    found = nearest_in_blocks(rows[:3], (rows[:0], rows[:4], rows[4:4], rows[4:], rows[9:]), 3)
    np.testing.assert_array_equal(found.indices, nearest(rows[:3], rows, 3).indices)


@pytest.mark.parametrize("blocks", [(), (np.ones((0, 2)),)])
def test_no_rows_in_any_block_are_refused(blocks: tuple[Any, ...]) -> None:
    with pytest.raises(InputError, match="no rows to compare with; at least 1 is needed"):
        nearest_in_blocks(np.ones((1, 2)), blocks, 1)


def test_distances_between_long_rows_that_lie_close_are_exact(rng: np.random.Generator) -> None:
    rows = (1e4 + 0.01 * rng.standard_normal((20, 3))).astype(np.float32)
    indices, scores = brute_force(rows.astype(np.float64), rows.astype(np.float64), 3, "l2", np.arange(20))
    found = nearest(rows, rows, 3, metric="l2", exclude=np.arange(20))
    np.testing.assert_allclose(found.scores, scores, rtol=1e-3)


def test_k_beyond_the_rows_gives_all_of_them(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((6, 3)).astype(np.float32)
    assert sorted(nearest(rows[:1], rows, 99).indices[0].tolist()) == list(range(6))
    assert nearest(rows, rows, 99, exclude=np.arange(6)).indices.shape == (6, 5)


def test_precision_is_that_of_the_input(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((6, 3))
    assert nearest(rows, rows, 2).scores.dtype == np.float64
    assert nearest(rows.astype(np.float16), rows.astype(np.float32), 2).scores.dtype == np.float32


def test_many_rows_are_searched_in_bounded_memory(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((100_000, 4)).astype(np.float32)
    queries = rows[:2_500]
    tracemalloc.start()
    try:
        found = nearest(queries, rows, 3)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The similarity matrix alone would take 1,000 MB.
    assert peak < 300e6
    np.testing.assert_array_equal(found.indices[:, 0], np.arange(2_500))


def test_csls_of_many_rows_is_bounded_in_memory(rng: np.random.Generator) -> None:
    a, b = (unit(rng.standard_normal((n, 4)).astype(np.float32)) for n in (2_500, 100_000))
    tracemalloc.start()
    try:
        rows = np.concatenate([similarity.argmax(axis=1) for _, similarity in csls_blocks(a, b)])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300e6
    assert len(rows) == 2_500


def test_what_cannot_be_searched_is_refused(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((6, 3))
    with pytest.raises(InputError, match=r"shape \(6, 2\) and rows \(6, 3\); equal widths"):
        nearest(rows[:, :2], rows, 1)
    with pytest.raises(InputError, match="k is 0 for 6 candidate rows"):
        nearest(rows, rows, 0)
    with pytest.raises(InputError, match="k is 1 for 0 candidate rows"):
        nearest(rows[:1], rows[:1], 1, exclude=np.zeros(1, int))
    with pytest.raises(InputError, match="6 and 5 rows; equally many"):
        neighbor_overlap(rows, rows[:5], 2)
    with pytest.raises(InputError, match="more than 6"):
        neighbor_overlap(rows, rows, 6)


@pytest.mark.usefixtures("small_tiles")
def test_overlap_counts_shared_neighbors_by_cosine_whatever_the_lengths(rng: np.random.Generator) -> None:
    a = rng.standard_normal((40, 5)) * rng.uniform(0.1, 10, (40, 1))
    b = np.pad(a, ((0, 0), (0, 1))) + 0.5 * rng.standard_normal((40, 6))
    own = np.arange(40)
    first, second = (brute_force(side, side, 6, "cosine", own)[0] for side in (a, b))
    expected = [len(set(x) & set(y)) / 6 for x, y in zip(first.tolist(), second.tolist(), strict=True)]
    np.testing.assert_allclose(neighbor_overlap(a, b, 6), expected)
    np.testing.assert_allclose(neighbor_overlap(a, b, 6, queries=own[5:9]), expected[5:9])
    assert 0.1 < np.mean(expected) < 0.9
    np.testing.assert_allclose(neighbor_overlap(a * rng.uniform(0.1, 10, (40, 1)), a, 6), 1)


def csls_by_hand(a: Array, b: Array, k: int) -> Array:
    cosines = unit(a) @ unit(b).T
    of_a = np.sort(cosines, axis=1)[:, -k:].mean(axis=1)
    of_b = np.sort(cosines, axis=0)[-k:].mean(axis=0)
    return np.asarray(2 * cosines - of_a[:, None] - of_b)


@pytest.mark.usefixtures("small_tiles")
def test_csls_is_its_formula_whole_and_in_blocks(rng: np.random.Generator) -> None:
    a, b = 3 * rng.standard_normal((25, 4)), unit(rng.standard_normal((31, 4)))
    expected = csls_by_hand(a, b, 10)
    np.testing.assert_allclose(csls(a, b), expected)
    blocks = list(csls_blocks(a, b))
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate([rows for _, rows in blocks]), expected)
    assert [block.start for block, _ in blocks] == list(range(0, 25, blocks[0][0].stop))
    np.testing.assert_allclose(csls(a[:4], b), csls_by_hand(a[:4], b, 4))


@pytest.mark.usefixtures("small_tiles")
def test_torch_tensors_give_what_arrays_give(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    pytest.importorskip("array_api_compat", reason="needs the extra torch")
    a, b = (unit(rng.standard_normal((n, 4))) for n in (25, 31))
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    np.testing.assert_allclose(csls(*tensors).numpy(), csls(a, b))
    for expected, found in zip(mean_nearest_cosines(a, b), mean_nearest_cosines(*tensors), strict=True):
        np.testing.assert_allclose(found.numpy(), expected)
    np.testing.assert_allclose(np.concatenate([rows.numpy() for _, rows in csls_blocks(*tensors)]), csls(a, b))


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_zero_row_leaves_the_pairs_of_all_other_rows_as_they_were(backend: str, rng: np.random.Generator) -> None:
    y = unit_rows(rng.standard_normal((60, 5)))
    x = np.concatenate([y + 0.05 * rng.standard_normal(y.shape), np.zeros((1, 5))])
    if backend == "torch":
        torch = pytest.importorskip("torch")
        x, y = torch.as_tensor(x), torch.as_tensor(y)
    pairs = mutual_neighbors(x, y, 3)
    coupling = pairs.toarray() if backend == "numpy" else pairs.to_dense().numpy()
    assert np.diag(coupling[:60]).sum() > 50
    assert np.isfinite(np.asarray(csls(x, y))).all()


@pytest.mark.usefixtures("small_tiles")
def test_mutual_pairs_are_nearest_to_each_other_by_csls(rng: np.random.Generator) -> None:
    a, b = (unit(rng.standard_normal((n, 4))) for n in (25, 31))
    similarity = csls_by_hand(a, b, 10)
    expected = [(i, int(row.argmax())) for i, row in enumerate(similarity) if similarity[:, row.argmax()].argmax() == i]
    assert list(zip(*(part.tolist() for part in mutual_neighbors(a, b, 1).nonzero()), strict=True)) == expected
    assert 0 < len(expected) < 25
