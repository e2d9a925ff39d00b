"""Threads: results do not depend on their number, and BLAS gets its threads back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from types import ModuleType

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import interlingua as il
from interlingua.aligners.refine import polish, transport_similarity, wasserstein_procrustes
from interlingua.core import backend
from interlingua.core.alignment import Alignment
from interlingua.core.backend import available_cores, describe_machine, limit_torch_threads, parallel_map
from interlingua.core.backend import single_threaded_blas as limited
from interlingua.core.neighbors import mutual_neighbors
from planted import Problem, problem, rotation

PARTS = ("mean_in", "matrix", "mean_out")


def blas_threads() -> set[int]:
    return {library.num_threads for library in ThreadpoolController().select(user_api="blas").lib_controllers}


@pytest.fixture
def three_threads() -> Iterator[None]:
    with threadpool_limits(3, user_api="blas"):
        yield


@pytest.fixture(scope="module")
def planted_problem() -> Problem:
    return problem(180, (14, 12), 12, seed=3, held_out=10)


def fit(p: Problem, seed: int = 0) -> Alignment:
    return il.align(p.source, p.target, rounds=2, seed=seed)


def assert_identical(first: Alignment, second: Alignment) -> None:
    for part in PARTS:
        assert getattr(first.forward, part).tobytes() == getattr(second.forward, part).tobytes()
        assert getattr(first.backward, part).tobytes() == getattr(second.backward, part).tobytes()
    assert first.verdict == second.verdict


def test_the_map_and_the_verdict_are_the_same_to_the_byte_with_1_2_and_16_threads(
    planted_problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []
    for threads in (1, 2, 16):
        monkeypatch.setattr(backend, "available_cores", lambda threads=threads: threads)
        with threadpool_limits(min(threads, 3), user_api="blas"):
            fits.append(fit(planted_problem))
    assert_identical(fits[0], fits[1])
    assert_identical(fits[0], fits[2])


def test_two_fits_side_by_side_give_what_each_gives_alone(planted_problem: Problem, three_threads: None) -> None:
    seeds = (0, 1)
    alone = [fit(planted_problem, seed) for seed in seeds]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda seed: fit(planted_problem, seed), seeds))
    for first, second in zip(alone, together, strict=True):
        assert_identical(first, second)
    assert blas_threads() == {3}


def test_refinement_does_not_depend_on_the_number_of_cores(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of several blocks, so that every step sums over a partition."""
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in rng.standard_normal((2, 1100, 12), dtype=np.float32))
    maps = np.stack([rotation(12, 12, rng) for _ in range(2)])

    def refined(cores: int) -> list[bytes]:
        monkeypatch.setattr(backend, "available_cores", lambda: cores)
        steps = [
            wasserstein_procrustes(x, y, some, temperatures=[0.05] * 3, batch=1050, rng=np.random.default_rng(0))
            for some in (maps, maps[:1])
        ]
        polished = polish(x, y, maps[0], neighbors=[20, 10], batch=5000, rng=np.random.default_rng(0))
        similarity = transport_similarity(x, y, maps, temperature=0.03, rows=1100)
        neighbors = mutual_neighbors(x @ maps[0], y, 10).toarray()
        return [z.tobytes() for z in (*steps, polished, similarity, neighbors)]

    assert refined(1) == refined(2) == refined(16)


def test_overlapping_limits_restore_the_threads_of_before_when_the_last_one_ends(three_threads: None) -> None:
    """The first to begin ends first: restoring what each had found would leave one thread for good."""
    second_began, first_ended = Event(), Event()
    seen = []

    def first() -> None:
        with limited():
            second_began.wait(10)
        seen.append(blas_threads())
        first_ended.set()

    def second() -> None:
        with limited():
            second_began.set()
            first_ended.wait(10)
            seen.append(blas_threads())

    assert blas_threads() == {3}
    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(first)
        pool.submit(second).result()
        done.result()
    assert seen == [{1}, {1}]
    assert blas_threads() == {3}


def test_overlapping_refinements_in_threads_leave_blas_its_threads(
    rng: np.random.Generator, three_threads: None
) -> None:
    x = rng.standard_normal((400, 16), dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    maps = np.stack([rotation(16, 16, rng) for _ in range(2)])
    ready = Barrier(2)

    def run(steps: int) -> None:
        ready.wait()
        wasserstein_procrustes(x, x, maps, temperatures=[0.05] * steps, batch=200, rng=np.random.default_rng(0))

    for steps in ((5, 40), (40, 5)):
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(run, steps))
    assert blas_threads() == {3}


def test_an_error_inside_the_limit_restores_the_threads(three_threads: None) -> None:
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda x: 1 / x, [1, 0])
    assert blas_threads() == {3}


def test_a_parallel_map_keeps_the_order_and_limits_blas(three_threads: None) -> None:
    results = parallel_map(lambda a, b: (a + b, blas_threads()), range(5), range(5))
    assert results == [(2 * i, {1}) for i in range(5)]
    assert parallel_map(len, []) == []


def test_cores_are_counted_by_affinity_and_by_the_limit_that_the_user_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    allowed = os.sched_getaffinity(0)
    assert 1 <= available_cores() <= len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert available_cores() == 1


def test_torch_gets_no_more_threads_than_there_are_cores_and_keeps_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        for cores, threads in ((8, 4), (2, 2), (3, 2)):
            monkeypatch.setattr(backend, "available_cores", lambda cores=cores: cores)
            assert limit_torch_threads() == threads == torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


def test_the_machine_is_described_by_cores_and_blas() -> None:
    machine = describe_machine()
    assert machine["cores"] == available_cores()
    assert machine["blas"]
    assert all(isinstance(library, str) for library in machine["blas"])


def test_libraries_are_looked_for_once_and_again_after_an_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for them takes longer than many of the calls that are limited."""
    looked = []

    def recorded() -> ThreadpoolController:
        looked.append(ThreadpoolController())
        return looked[-1]

    monkeypatch.setattr(backend, "ThreadpoolController", recorded)
    monkeypatch.setattr(backend, "_BLAS_LIMIT", backend._SharedBlasLimit())
    for _ in range(3):
        with limited():
            assert blas_threads() == {1}
    assert len(looked) == 1
    monkeypatch.setitem(sys.modules, "a_module_with_a_library", ModuleType("a_module_with_a_library"))
    with limited():
        assert blas_threads() == {1}
    assert len(looked) == 2
