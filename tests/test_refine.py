"""Refinement: from a map near the right one to the right one, the same on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlingua import align
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import polar
from interlingua.aligners.linear import full_width
from interlingua.aligners.refine import (
    approximate_polar,
    polish,
    transport_similarity,
    wasserstein_procrustes,
)
from interlingua.core import backend
from interlingua.core.backend import largest, resolve_device, take, to_device, to_numpy
from interlingua.core.errors import InputError
from interlingua.core.neighbors import csls, mutual_neighbors
from interlingua.core.statistics import agreement
from planted import encode, rotation, topics

Array = npt.NDArray[Any]
TEMPERATURES = [0.06] * 25


def centered(rows: Array) -> Array:
    rows = rows - rows.mean(axis=0)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture
def sides(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Disjoint samples of one kind of text in two frames, and the map between them."""
    content = topics(800, 14, rng)
    frames = [rotation(14, width, rng) for width in (20, 14)]
    x, y = (centered(part @ frame) for part, frame in zip((content[:400], content[400:]), frames, strict=True))
    return x, y, frames[0].T @ frames[1]


def nearness(matrix: Any, truth: Array) -> float:
    """Share of the planted map, whose rank is 14, that is found: 1 for the right map, about 0 for a random one."""
    return float(np.vdot(to_numpy(matrix), truth) / 14)


def perturbed(truth: Array, rng: np.random.Generator, noise: float = 0.2) -> Array:
    return np.asarray(polar(truth + noise * rng.standard_normal(truth.shape)), np.float32)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    condition=st.floats(1, 200),
)
def test_products_alone_come_to_the_polar_factor(seed: int, shape: tuple[int, int], condition: float) -> None:
    rng = np.random.default_rng(seed)
    k = min(shape)
    left, right = (np.linalg.qr(rng.standard_normal((width, k)))[0] for width in shape)
    matrices = np.stack([left * np.geomspace(scale, scale / condition, k) @ right.T for scale in (1.0, 1e-6, 1e6)])
    for factor in approximate_polar(matrices):
        assert factor == pytest.approx(polar(matrices[0]), abs=1e-3)


@pytest.mark.parametrize("shape", [(600, 700), pytest.param((700, 600), marks=pytest.mark.slow), (600, 40)])
def test_the_products_of_a_large_matrix_do_not_depend_on_the_cores(
    shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    left, right = (np.linalg.qr(rng.standard_normal((width, min(shape))))[0] for width in shape)
    matrix = np.asarray((left * np.geomspace(1, 0.02, min(shape))) @ right.T, np.float32)
    factors = []
    for cores in (1, 3):
        monkeypatch.setattr(backend, "available_cores", lambda cores=cores: cores)
        factors.append(approximate_polar(matrix))
    assert factors[0] == pytest.approx(polar(matrix), abs=2e-3)
    np.testing.assert_array_equal(*factors)


def test_directions_that_say_nothing_stay_short() -> None:
    assert approximate_polar(np.zeros((4, 4))) == pytest.approx(0)
    assert approximate_polar(np.diag([1.0, 0.5, 1e-9])) == pytest.approx(np.diag([1.0, 1.0, 0.0]), abs=1e-3)


def test_maps_do_not_depend_on_which_maps_are_refined_with_them(
    sides: tuple[Array, Array, Array], rng: np.random.Generator
) -> None:
    x, y, truth = sides
    maps = np.stack([perturbed(truth, rng) for _ in range(3)])

    def refined(some: Array) -> Array:
        return np.asarray(
            wasserstein_procrustes(x, y, some, temperatures=[0.06] * 5, batch=100, rng=np.random.default_rng(1))
        )

    together, alone = refined(maps), [refined(one[None])[0] for one in maps]
    assert together == pytest.approx(np.stack(alone), abs=1e-5)


def test_refinement_returns_from_a_perturbed_map_to_the_optimum(
    sides: tuple[Array, Array, Array], rng: np.random.Generator
) -> None:
    x, y, truth = sides
    starts = np.stack([perturbed(truth, rng) for _ in range(3)])
    ends = wasserstein_procrustes(x, y, starts, temperatures=TEMPERATURES, batch=200, rng=rng)
    for start, end in zip(starts, ends, strict=True):
        assert nearness(start, truth) < 0.85
        assert nearness(end, truth) > 0.93


def test_the_right_map_has_the_larger_transport_similarity(
    sides: tuple[Array, Array, Array], rng: np.random.Generator
) -> None:
    x, y, truth = sides
    maps = np.stack([polar(truth), *(rotation(20, 14, rng) for _ in range(8))]).astype(np.float32)
    scores = transport_similarity(x, y, maps, temperature=0.03, rows=300)
    assert scores.argmax() == 0
    assert scores.max() <= 1


def test_known_pairs_correct_a_refinement_that_would_fail(
    sides: tuple[Array, Array, Array], rng: np.random.Generator
) -> None:
    x, y, truth = sides
    start = rotation(20, 14, rng)[None]
    ends = [
        wasserstein_procrustes(
            x, y, start, temperatures=TEMPERATURES, batch=200, rng=np.random.default_rng(2), prior=prior
        )[0]
        for prior in (None, (truth / 14).astype(np.float32))
    ]
    assert nearness(ends[1], truth) > 0.8
    assert nearness(ends[0], truth) < 0.5


def test_polish_ends_nearer_than_it_began(sides: tuple[Array, Array, Array], rng: np.random.Generator) -> None:
    x, y, truth = sides
    start = perturbed(truth, rng, 0.1)
    end = polish(x, y, start, neighbors=[20, 10, 10], batch=10_000, rng=rng)
    assert nearness(end, truth) > max(0.96, nearness(start, truth))
    assert end.T @ end == pytest.approx(np.eye(14), abs=1e-5)


def test_polish_on_batches_agrees_with_polish_on_all_rows(
    sides: tuple[Array, Array, Array], rng: np.random.Generator
) -> None:
    x, y, truth = sides
    start = perturbed(truth, rng, 0.1)
    whole, batched = (polish(x, y, start, neighbors=[10] * 4, batch=batch, rng=rng) for batch in (10_000, 250))
    assert np.vdot(whole, batched) / 14 > 0.85


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 300), m=st.integers(1, 12), axis=st.sampled_from([0, 1]))
def test_largest_is_the_end_of_a_sort(seed: int, n: int, m: int, axis: int) -> None:
    x = np.random.default_rng(seed).standard_normal((n, m)).astype(np.float32)
    lines = x if axis == 1 else x.T
    k = 1 + seed % lines.shape[1]
    found = largest(x, k, axis=axis)
    assert np.array_equal(np.sort(found, axis=1), np.sort(lines, axis=1)[:, -k:])


def test_csls_is_its_formula(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((30, 4)), centered(rng.standard_normal((25, 4)))
    cosine = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ y.T
    r_x = np.sort(cosine, axis=1)[:, -10:].mean(axis=1)
    r_y = np.sort(cosine, axis=0)[-10:].mean(axis=0)
    assert csls(x, y) == pytest.approx(2 * cosine - r_x[:, None] - r_y[None], abs=1e-6)


def test_mutual_neighbors_are_those_of_a_sort(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((30, 4)), centered(rng.standard_normal((25, 4)))
    similarity = csls(x, y)
    of_rows = np.argsort(-similarity, axis=1)[:, :6]
    of_columns = np.argsort(-similarity, axis=0)[:6]
    wanted = [[j in of_rows[i] and i in of_columns[:, j] for j in range(25)] for i in range(30)]
    assert np.array_equal(mutual_neighbors(x, y, 6).toarray(), wanted)


def test_a_row_is_its_own_mutual_neighbor(rng: np.random.Generator) -> None:
    y = centered(rng.standard_normal((40, 12)))
    assert np.array_equal(mutual_neighbors(y, y, 1).toarray(), np.eye(40))


@pytest.fixture
def tensors(sides: tuple[Array, Array, Array]) -> tuple[Any, Any]:
    torch = pytest.importorskip("torch")
    pytest.importorskip("array_api_compat.torch")
    return torch.as_tensor(sides[0]), torch.as_tensor(sides[1])


def test_torch_computes_what_numpy_computes(
    sides: tuple[Array, Array, Array], tensors: tuple[Any, Any], rng: np.random.Generator
) -> None:
    x, y, truth = sides
    a, b = tensors
    start = perturbed(truth, rng)
    first, second = start, a.new_tensor(start)

    def seeded() -> np.random.Generator:
        return np.random.default_rng(7)

    ours = wasserstein_procrustes(x, y, first[None], temperatures=TEMPERATURES, batch=150, rng=seeded())
    theirs = wasserstein_procrustes(a, b, second[None], temperatures=TEMPERATURES, batch=150, rng=seeded())
    assert to_numpy(theirs) == pytest.approx(ours, abs=1e-3)
    for k in (5, 20):
        dense = mutual_neighbors(a @ second, b, k).to_dense()
        assert np.array_equal(mutual_neighbors(x @ start, y, k).toarray(), to_numpy(dense))
    polished = [polish(*z, neighbors=[20, 10], batch=300, rng=seeded()) for z in ((x, y, first), (a, b, second))]
    assert to_numpy(polished[1]) == pytest.approx(polished[0], abs=1e-3)
    scores = [transport_similarity(*z, temperature=0.03, rows=200) for z in ((x, y, ours), (a, b, theirs))]
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)


def test_backend_operations_are_the_same_for_tensors(tensors: tuple[Any, Any], rng: np.random.Generator) -> None:
    x = tensors[0]
    rows = rng.permutation(len(x))[:50]
    assert np.array_equal(to_numpy(take(x, rows)), take(to_numpy(x), rows))
    for axis in (0, 1):
        ours, theirs = (np.sort(to_numpy(largest(z, 7, axis=axis)), axis=1) for z in (to_numpy(x), x))
        assert np.array_equal(ours, theirs)


def test_cpu_arrays_stay_numpy_and_unknown_devices_are_refused(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2))
    assert to_device(x, "cpu") is x
    pytest.importorskip("torch")
    with pytest.raises(InputError, match=r"device 'abacus' is not available .*\. Use device='cpu'"):
        to_device(x, "abacus")


def test_names_of_devices_are_resolved_and_those_that_do_not_exist_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for has_gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        assert resolve_device("cpu") == "cpu"
        assert resolve_device("auto") == ("cuda" if has_gpu else "cpu")
        for name in ("cdua", "cuda:", "cuda:x", "cpu:0", "mps:1", "meta", ""):
            with pytest.raises(InputError, match=f"There is no device '{name}'; choose from cpu, cuda, cuda:N"):
                resolve_device(name)
        with pytest.raises(InputError, match="device is 'mps' and torch finds no GPU"):
            resolve_device("mps")
    assert [resolve_device(name) for name in ("cuda", "cuda:0", "cuda:1")] == ["cuda", "cuda:0", "cuda:1"]
    with pytest.raises(InputError, match="device is 'cuda:2' and torch finds 2 GPUs, numbered from 0"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("method", ["linear", "adversarial"])
def test_every_method_refuses_a_misspelled_device_also_beside_a_gpu(
    method: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    x, y = rng.standard_normal((2, 120, 8))
    with pytest.raises(InputError, match="There is no device 'cdua'"):
        align(x, y, method=method, device="cdua")


def test_noise_between_the_encoders_does_not_stop_the_refinement(rng: np.random.Generator) -> None:
    content = topics(800, 12, rng)
    x, y = (centered(encode(part, 16, rng, noise=0.2)) for part in (content, content))
    truth = polar(x.T @ y)
    end = wasserstein_procrustes(
        x[:400], y[400:], perturbed(truth, rng)[None], temperatures=TEMPERATURES, batch=200, rng=rng
    )[0]
    rows = x[:400] @ end
    assert float((rows * (x[:400] @ truth)).sum(axis=1).mean()) > 0.9


def test_where_batches_leave_rows_out_the_last_steps_on_all_of_them_bring_the_map_nearer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Limits brought down to what a test can afford; the truth is the rotation of the content that both sides hold."""
    rng = np.random.default_rng(1)
    n, k = 700, 40
    content = topics(2 * n, k, rng)
    turns = [rotation(k, d, rng) for d in (60, 48)]
    x, y = (
        centered(side @ turn + 0.05 * rng.standard_normal((n, turn.shape[1])))
        for side, turn in zip(np.split(content, 2), turns, strict=True)
    )
    truth = np.asarray(turns[0].T @ turns[1], np.float32)
    away = [agreement(x @ truth, x @ end) for end in finished(x, y, truth, n, monkeypatch)]
    assert away[1] > away[0] + 0.02


def finished(x: Array, y: Array, start: Array, n: int, monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """Return the polished map with batches of a quarter of n rows, without closing steps and with them."""
    monkeypatch.setattr(full_width, "_POLISH_ROWS", n // 4)
    ends = []
    for closing in ((), (30, 20, 10)):
        monkeypatch.setattr(full_width, "_CLOSING_NEIGHBORS", closing)
        rng = np.random.default_rng(0)
        ends.append(full_width.widen(x, y, [start], spaces=CoarseSpaces.of(x, y), rng=rng))
    return ends
