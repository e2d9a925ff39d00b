"""The matching of components: local optima for certain, global ones where they can be enumerated."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlingua.aligners.frames import polar
from interlingua.aligners.linear.components import find_components, match_components
from interlingua.aligners.qap import search_matchings
from interlingua.core.statistics import agreement
from planted import rotation, topics

Array = npt.NDArray[Any]


def graph(k: int, rng: np.random.Generator, *, layers: int = 2) -> Array:
    """Symmetric edges [layers, k, k] with an empty diagonal."""
    edges = rng.standard_normal((layers, k, k))
    edges = edges + edges.transpose(0, 2, 1)
    edges[:, np.arange(k), np.arange(k)] = 0
    return edges.astype(np.float32)


def objective(a: Array, b: Array, nodes: Array, p: Array) -> float:
    """The definition, summed edge by edge."""
    k = len(p)
    total = sum(nodes[i, p[i]] for i in range(k))
    return float(total + sum(a[e, i, j] * b[e, p[i], p[j]] for e in range(len(a)) for i in range(k) for j in range(k)))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 9), layers=st.integers(1, 3))
def test_every_result_is_a_permutation_that_no_swap_improves(seed: int, k: int, layers: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, nodes = graph(k, rng, layers=layers), graph(k, rng, layers=layers), rng.standard_normal((k, k))
    matchings, objectives = search_matchings(a, b, nodes, starts=6, rng=rng)
    assert (np.diff(objectives) <= 0).all()
    for matching, value in zip(matchings, objectives, strict=True):
        assert sorted(matching) == list(range(k))
        assert value == pytest.approx(objective(a, b, nodes, matching), rel=1e-4, abs=1e-4)
        for i, j in combinations(range(k), 2):
            swapped = matching.copy()
            swapped[[i, j]] = swapped[[j, i]]
            assert objective(a, b, nodes, swapped) <= value + 1e-3


@pytest.mark.parametrize("k", range(2, 8))
def test_many_starts_reach_the_best_of_all_permutations(k: int, rng: np.random.Generator) -> None:
    a, b, nodes = graph(k, rng), graph(k, rng), rng.standard_normal((k, k))
    everything = np.array(list(permutations(range(k))))
    permuted = b[:, everything[:, :, None], everything[:, None, :]]
    values = np.einsum("eij,epij->p", a, permuted) + nodes[np.arange(k), everything].sum(axis=1)
    matchings, objectives = search_matchings(a, b, nodes, starts=100, rng=rng)
    assert objectives[0] == pytest.approx(values.max(), rel=1e-4)
    assert np.array_equal(matchings[0], everything[values.argmax()])


def test_a_relabeled_graph_is_matched_with_itself(rng: np.random.Generator) -> None:
    a = graph(25, rng, layers=3)
    order = rng.permutation(25)
    inverse = np.argsort(order)
    matchings, _ = search_matchings(a, a[:, order[:, None], order], np.zeros((25, 25)), starts=200, rng=rng)
    assert np.array_equal(matchings[0], inverse)


def test_relabeling_a_side_relabels_the_best_matching(rng: np.random.Generator) -> None:
    a, b, nodes = graph(7, rng), graph(7, rng), rng.standard_normal((7, 7))
    order = rng.permutation(7)
    plain, value = search_matchings(a, b, nodes, starts=100, rng=rng)
    turned, other = search_matchings(a, b[:, order[:, None], order], nodes[:, order], starts=100, rng=rng)
    assert np.array_equal(order[turned[0]], plain[0])
    assert other[0] == pytest.approx(value[0], rel=1e-4)


def test_nodes_alone_decide_where_there_are_no_edges(rng: np.random.Generator) -> None:
    order = rng.permutation(8)
    nothing = np.zeros((1, 8, 8), np.float32)
    matchings, objectives = search_matchings(nothing, nothing, np.eye(8)[order], starts=5, rng=rng)
    assert (matchings == order).all()
    assert objectives == pytest.approx(8)


def test_the_generator_decides_the_result(rng: np.random.Generator) -> None:
    a, b, nodes = graph(9, rng), graph(9, rng), rng.standard_normal((9, 9))
    results = [search_matchings(a, b, nodes, starts=10, rng=np.random.default_rng(seed)) for seed in (5, 5)]
    assert all(np.array_equal(first, second) for first, second in zip(*results, strict=True))


def test_components_are_matched_with_their_twins_whatever_the_frame(rng: np.random.Generator) -> None:
    content = topics(2000, 10, rng)
    content -= content.mean(axis=0)
    frames = [rotation(10, width, rng) for width in (14, 12)]
    source, target = (find_components(content @ frame, 9, seed=seed) for seed, frame in enumerate(frames))
    best = polar(match_components(source, target, starts=50, keep=1, rng=rng)[0])
    assert agreement(content @ frames[0] @ best, content @ frames[1]) > 0.95
