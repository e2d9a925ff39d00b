"""Methods published for word embeddings: they work if most rows have their own translation, as words do."""

from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from interlingua.aligners import Problem, create_aligner
from interlingua.aligners.base import ignore_step
from interlingua.aligners.baselines.adversarial_rotation import AdversarialRotation
from interlingua.aligners.baselines.gromov import Gromov
from interlingua.aligners.baselines.self_learning import SelfLearning
from interlingua.core import neighbors
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap

Array = npt.NDArray[np.float32]


def skewed(n: int, d: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return (rng.gamma(0.3, size=(n, d)) * np.geomspace(1, 0.2, d)).astype("f4")


def top1(translated: Array, true: Array) -> float:
    a, b = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (translated, true))
    return float(((a @ b.T).argmax(axis=1) == np.arange(len(b))).mean())


def rotation(d_in: int, d_out: int, seed: int = 1) -> Array:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((d_out, d_in)))[0].T.astype("f4")


def test_self_learning_sees_through_a_rotation_of_the_same_rows_in_another_order_and_width() -> None:
    x = skewed(500, 10)
    y = x @ rotation(10, 16)
    shuffled = y[np.random.default_rng(2).permutation(len(y))]
    fit = SelfLearning(patience=5).fit(Problem.of(x, shuffled), seed=0)
    forward, backward = fit.forward, fit.backward
    assert top1(forward(x), y) > 0.95
    assert top1(backward(y), x) > 0.95


def test_an_adversary_and_procrustes_undo_a_rotation_nearby() -> None:
    x = skewed(800, 8)
    turn = np.linalg.qr(np.eye(8) + 0.15 * np.random.default_rng(3).standard_normal((8, 8)))[0]
    turn = (turn * np.sign(np.diag(turn))).astype("f4")
    solver = AdversarialRotation(epochs=2, epoch_rows=2_000, discriminator_width=32, lr=0.05)
    fit = solver.fit(Problem.of(x[:400], x[400:] @ turn), seed=0)
    forward, trace = fit.forward, fit.trace[0]
    assert top1(forward(x[400:]), x[400:] @ turn) > 0.9
    assert len(trace["csls"]) == 2


@pytest.mark.parametrize("widths", [(6, 9), (9, 6), (7, 7)])
def test_the_adversarial_map_stays_near_a_rotation_and_seeds_decide_it(widths: tuple[int, int]) -> None:
    x, y = skewed(200, widths[0]), skewed(200, widths[1], 1)
    solver = AdversarialRotation(epochs=1, epoch_rows=640, discriminator_width=16, refinements=0)
    first, again = (solver.fit(Problem.of(x, y), seed=4).forward for _ in range(2))
    assert isinstance(first, AffineMap)
    assert isinstance(again, AffineMap)
    np.testing.assert_array_equal(first.matrix, again.matrix)
    short = first.matrix if widths[0] <= widths[1] else first.matrix.T
    gram = short @ short.T
    np.testing.assert_allclose(gram / gram[0, 0], np.eye(len(gram)), atol=1e-3)


def test_gromov_sees_through_a_rotation_of_the_same_rows() -> None:
    pytest.importorskip("ot")
    x = skewed(150, 6)
    fit = Gromov().fit(Problem.of(x, (x @ rotation(6, 9))[::-1]), seed=0)
    forward, trace = fit.forward, fit.trace[0]
    assert top1(forward(x), x @ rotation(6, 9)) > 0.9
    assert trace["distance"] < 0.1


@pytest.mark.parametrize(
    ("solver", "most"),
    [
        (SelfLearning(start_rows=500, rounds=2), 100e6),
        (AdversarialRotation(epochs=1, epoch_rows=64, discriminator_width=16, refinements=2), 100e6),
    ],
)
def test_no_matrix_of_all_similarities_is_held(
    solver: SelfLearning | AdversarialRotation, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="the refinement follows the training, which needs torch")
    monkeypatch.setattr(neighbors, "TILE_ENTRIES", 2**20)
    x = skewed(6_000, 4)
    tracemalloc.start()
    try:
        solver.fit(Problem.of(x, x @ rotation(4, 4)), seed=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All similarities take 144 MB.
    assert peak < most


@pytest.mark.parametrize("keep", [0.1, 1.0])
def test_the_size_of_a_block_changes_nothing(keep: float, monkeypatch: pytest.MonkeyPatch) -> None:
    x = skewed(150, 6)
    problem, solver = Problem.of(x, x[::-1] @ rotation(6, 9)), SelfLearning(rounds=4, keep=keep)
    whole = solver.fit(problem, seed=0)
    monkeypatch.setattr(neighbors, "TILE_ENTRIES", 1_000)
    blocks = solver.fit(problem, seed=0)
    assert isinstance(blocks.forward, AffineMap)
    assert isinstance(whole.forward, AffineMap)
    np.testing.assert_allclose(blocks.forward.matrix, whole.forward.matrix, atol=1e-4)
    np.testing.assert_allclose(blocks.trace[0]["objective"], whole.trace[0]["objective"], atol=1e-5)


def test_what_no_memory_would_hold_is_refused_with_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ot")
    x = skewed(500, 6)
    monkeypatch.setattr("interlingua.core.memory.available_bytes", lambda: 1_000_000)
    with pytest.raises(InputError, match=r"start_rows=4000 needs about .* of memory and .* Pass a smaller"):
        SelfLearning().fit(Problem.of(x, x), seed=0)
    with pytest.raises(InputError, match=r"rows=1000 needs about .* Pass fewer rows"):
        Gromov().fit(Problem.of(x, x), seed=0)


@pytest.mark.parametrize("name", ["self-learning", "adversarial-rotation", "gromov"])
def test_they_use_no_pairs(name: str) -> None:
    x = skewed(50, 5)
    with pytest.raises(InputError, match=f"3 pairs were given and {name} uses none"):
        create_aligner(name).fit(Problem.of(x, x, pairs=np.zeros((3, 2), int)), seed=0, on_step=ignore_step)
