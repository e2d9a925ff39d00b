"""The baselines: floors at chance, ceilings exact, and the published centroid methods where they work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from interlingua.aligners.base import Problem
from interlingua.aligners.baselines.anchors import QapSolver, batched_swaps, match_centroids, two_opt
from interlingua.aligners.baselines.centroids import CentroidConsensus, assigned_cross
from interlingua.aligners.baselines.controls import Identity, MeanShift, RandomRotation
from interlingua.aligners.baselines.mini_vec2vec import MiniVec2Vec, neighbor_means
from interlingua.aligners.frames import Frame, affine_maps, polar
from interlingua.aligners.paired import Procrustes, Ridge
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.evaluation import Evaluation, evaluate

Array = npt.NDArray[Any]

SMALL_MINI = MiniVec2Vec(runs=12, clusters=10, restarts=10, neighbors=10, refinements=15, final_clusters=60)
SMALL_CONSENSUS = CentroidConsensus(runs=12, clusters=10, restarts=10, block=200, rounds=10)
UNPAIRED = [Identity(), MeanShift(), RandomRotation(), SMALL_MINI, SMALL_CONSENSUS]


@dataclass(frozen=True)
class Maps:
    forward: AffineMap
    backward: AffineMap

    def translate(self, x: Array, /) -> Array:
        return self.forward(x)

    def invert(self, y: Array, /) -> Array:
        return self.backward(y)


def solve(solver: Any, source: Array, target: Array, *, pairs: Any = None, seed: int = 0, **settings: Any) -> Maps:
    fit = solver.fit(Problem.of(source, target, pairs=pairs), seed=seed, **settings)
    return Maps(fit.forward, fit.backward)


def score(maps: Maps, x: Array, y: Array) -> Evaluation:
    return evaluate(maps, x, y, bootstrap=0)


def planted(d_source: int, d_target: int, rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Clear clusters seen by two encoders, a rotation and a mean apart: two disjoint samples and a paired one."""
    d = 8
    centers = rng.standard_normal((10, d)) * np.geomspace(3, 1, d)
    weights = rng.dirichlet(np.full(10, 8.0))
    latent = centers[rng.choice(10, 1000, p=weights)] + 0.2 * rng.standard_normal((1000, d))
    latent /= np.linalg.norm(latent, axis=1, keepdims=True)
    source, target = (
        (latent @ polar(rng.standard_normal((d, width))) + 0.1 * rng.standard_normal(width)).astype(np.float32)
        for width in (d_source, d_target)
    )
    return source[:400], target[400:800], source[800:], target[800:]


@pytest.mark.parametrize("solver", [SMALL_MINI, SMALL_CONSENSUS], ids=lambda solver: solver.name)
@pytest.mark.parametrize("widths", [(8, 8), (8, 11), (11, 8)])
def test_centroid_methods_recover_a_planted_isometry_with_clear_clusters(
    solver: Any, widths: tuple[int, int], rng: np.random.Generator
) -> None:
    source, target, x, y = planted(*widths, rng)
    scores = score(solve(solver, source, target), x, y)
    for side in (scores.forward, scores.backward):
        assert side.mean_rank.value < 5  # of 200; chance is 100.5
        assert side.cosine_centered.value > 0.9


@pytest.mark.parametrize("solver", UNPAIRED, ids=lambda solver: solver.name)
def test_unrelated_spaces_stay_at_chance(solver: Any, rng: np.random.Generator) -> None:
    source, target, x, y = (rng.standard_normal((n, 12)).astype(np.float32) for n in (400, 400, 300, 300))
    scores = score(solve(solver, source, target), x, y)
    for side in (scores.forward, scores.backward):
        assert side.mean_rank.value == pytest.approx(150.5, rel=0.15)


def test_a_random_rotation_is_at_chance_and_has_the_mean(rng: np.random.Generator) -> None:
    source, x = (rng.standard_normal((n, 24)).astype(np.float32) for n in (400, 300))
    target, y = (rows[:, ::-1] + np.float32(3) for rows in (source, x))
    scores = score(solve(RandomRotation(), source, target), x, y)
    assert scores.forward.retrieval["plain"].foscttm.value == pytest.approx(0.5, abs=0.1)
    assert scores.forward.cosine.value > 0.8
    assert abs(scores.forward.cosine_centered.value) < 0.15


@pytest.mark.parametrize("solver", UNPAIRED, ids=lambda solver: solver.name)
def test_the_seed_decides_the_maps(solver: Any, rng: np.random.Generator) -> None:
    source, target, x, y = planted(12, 10, rng)
    outputs = []
    for seed in (3, 3, 4):
        maps = solve(solver, source, target, seed=seed)
        outputs.append((maps.translate(x), maps.invert(y)))
    assert all(map(np.array_equal, outputs[0], outputs[1]))
    if isinstance(solver, RandomRotation):
        assert not np.allclose(outputs[0][0], outputs[2][0])


def test_identity_keeps_pads_and_cuts(rng: np.random.Generator) -> None:
    x = rng.standard_normal((9, 4)).astype(np.float32)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    same = solve(Identity(), x, x)
    assert same.translate(x) == pytest.approx(unit, abs=1e-6)
    wider = solve(Identity(), x, rng.standard_normal((5, 6)).astype(np.float32))
    assert wider.translate(x) == pytest.approx(np.pad(unit, ((0, 0), (0, 2))), abs=1e-6)
    assert wider.invert(wider.translate(x)) == pytest.approx(unit, abs=1e-6)


def test_mean_shift_moves_the_mean(rng: np.random.Generator) -> None:
    source = rng.standard_normal((300, 8)).astype(np.float32) + 2
    target = rng.standard_normal((300, 8)).astype(np.float32) - 2
    maps = solve(MeanShift(), source, target)
    real = Frame.of(target).mean
    assert unit_rows(maps.translate(source)).mean(axis=0) == pytest.approx(real, abs=0.02)
    assert unit_rows(maps.invert(target)).mean(axis=0) == pytest.approx(Frame.of(source).mean, abs=0.02)
    lengths = np.linalg.norm(maps.translate(source), axis=1)
    assert lengths == pytest.approx(Frame.of(target).norm, rel=1e-4)


@pytest.mark.parametrize("widths", [(12, 12), (12, 20), (20, 12)])
@pytest.mark.parametrize("solver", [Procrustes(), Ridge(alpha=1e-6)], ids=lambda solver: solver.name)
def test_paired_methods_are_exact_on_an_isometry(
    solver: Any, widths: tuple[int, int], rng: np.random.Generator
) -> None:
    latent = rng.standard_normal((300, 12))
    latent /= np.linalg.norm(latent, axis=1, keepdims=True)
    source, target = ((latent @ polar(rng.standard_normal((12, width)))).astype(np.float32) for width in widths)
    order = rng.permutation(200)
    pairs = np.stack([np.arange(200), order], axis=1)
    shuffled = np.empty_like(target[:200])
    shuffled[order] = target[:200]
    maps = solve(solver, source[:200], shuffled, pairs=pairs)
    assert maps.translate(source[200:]) == pytest.approx(target[200:], abs=2e-4)
    assert maps.invert(target[200:]) == pytest.approx(source[200:], abs=2e-4)


def test_ridge_learns_what_no_rotation_can(rng: np.random.Generator) -> None:
    source = rng.standard_normal((600, 8)).astype(np.float32)
    target = (source @ (rng.standard_normal((8, 8)) * np.geomspace(0.2, 3, 8))).astype(np.float32)
    pairs = np.repeat(np.arange(500)[:, None], 2, axis=1)
    cosines = [
        score(solve(solver, source[:500], target[:500], pairs=pairs), source[500:], target[500:]).forward.cosine.value
        for solver in (Procrustes(), Ridge(alpha=1e-3))
    ]
    assert cosines[1] > cosines[0] + 0.1


def test_ridge_equals_the_normal_equations_in_each_direction(rng: np.random.Generator) -> None:
    unit = [rng.standard_normal((50, width)) for width in (6, 4)]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in unit]
    pairs = np.repeat(np.arange(50)[:, None], 2, axis=1)
    maps = solve(Ridge(alpha=0.3), unit[0], unit[1], pairs=pairs)
    for fitted, inputs, outputs in ((maps.forward, unit[0], unit[1]), (maps.backward, unit[1], unit[0])):
        x, y = inputs - inputs.mean(axis=0), outputs - outputs.mean(axis=0)
        penalty = 0.3 * np.linalg.eigvalsh(x.T @ x).mean() * np.eye(x.shape[1])
        assert fitted.matrix == pytest.approx(np.linalg.inv(x.T @ x + penalty) @ x.T @ y, abs=1e-5)


def test_polar_has_orthonormal_rows_or_columns_and_beats_other_rotations(rng: np.random.Generator) -> None:
    for shape in ((5, 5), (5, 8), (8, 5)):
        matrix = rng.standard_normal(shape)
        best = polar(matrix)
        short = best @ best.T if shape[0] <= shape[1] else best.T @ best
        assert short == pytest.approx(np.eye(5), abs=1e-9)
        others = [np.vdot(polar(rng.standard_normal(shape)), matrix) for _ in range(50)]
        assert max(others) < np.vdot(best, matrix) == pytest.approx(np.linalg.norm(matrix, "nuc"))


def test_affine_maps_put_mean_and_radius_back(rng: np.random.Generator) -> None:
    source = Frame.of(rng.standard_normal((500, 8)))
    target = Frame.of(rng.standard_normal((500, 6)) + 4)
    forward, _ = affine_maps(source, target, polar(rng.standard_normal((8, 6))))
    moved = (source.radius * source.rows) @ forward.matrix
    assert np.sqrt((moved**2).sum(axis=1).mean()) == pytest.approx(target.radius, rel=1e-5)
    assert forward.mean_out == pytest.approx(target.mean)


def test_neighbor_means_equal_the_slow_oracle(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    queries, keys, values = (rng.standard_normal(shape) for shape in ((30, 5), (40, 5), (40, 3)))
    for k, block in ((1, 2**24), (7, 160), (99, 2**24)):
        monkeypatch.setattr("interlingua.core.neighbors.TILE_ENTRIES", block)
        expected = [values[np.argsort(-keys @ query)[:k]].mean(axis=0) for query in queries]
        assert neighbor_means(queries, keys, values, k) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("qap", [two_opt(20), batched_swaps(50)])
def test_centroid_matching_undoes_a_rotation_of_clear_clusters(qap: QapSolver, rng: np.random.Generator) -> None:
    centers = 10 * rng.standard_normal((6, 8))
    x = np.repeat(centers, 50, axis=0) + rng.standard_normal((300, 8))
    q = polar(rng.standard_normal((8, 8)))
    order = rng.permutation(300)
    anchors = match_centroids(x, x[order] @ q, clusters=6, subsample=10_000, qap=qap, rng=rng)
    assert anchors.target == pytest.approx(anchors.source @ q)
    assert anchors.cka == pytest.approx(1)


def test_both_searches_find_the_best_matching_of_small_problems(rng: np.random.Generator) -> None:
    for _ in range(5):
        a, b = (points @ points.T for points in rng.standard_normal((2, 5, 4)))
        best = max(np.vdot(a, b[np.ix_(p, p)]) for p in map(list, permutations(range(5))))
        for qap in (two_opt(20), batched_swaps(50)):
            p = qap(a, b, rng)
            assert np.vdot(a, b[np.ix_(p, p)]) == pytest.approx(best)


def test_assignment_is_exact_and_one_to_one(rng: np.random.Generator) -> None:
    x, order = rng.standard_normal((40, 6)), rng.permutation(40)
    cross, similarity = assigned_cross(x, x[order], np.eye(6))
    assert cross == pytest.approx(x.T @ x)
    assert similarity == pytest.approx((x**2).sum(axis=1).mean())
    partial, _ = assigned_cross(x[:10], x, np.eye(6))
    assert partial.shape == (6, 6)


@pytest.mark.parametrize("solver", [MiniVec2Vec, CentroidConsensus])
def test_every_run_asks_the_given_qap_solver(solver: Callable[..., Any], rng: np.random.Generator) -> None:
    source, target, *_ = planted(12, 12, rng)
    calls = []

    def spy(a: Array, b: Array, rng: np.random.Generator) -> Array:
        calls.append((a.shape, b.shape))
        return np.arange(len(a))

    steps = {"refinements": 1} if solver is MiniVec2Vec else {"rounds": 1}
    solve(solver(runs=3, clusters=6, qap=spy, **steps), source, target)
    assert calls == [((6, 6), (6, 6))] * 3


def test_published_settings_are_the_defaults_or_a_preset() -> None:
    mini, paper = MiniVec2Vec(), CentroidConsensus.paper()
    assert [mini.runs, mini.subsample, mini.clusters, mini.restarts, mini.neighbors] == [30, 10_000, 20, 30, 50]
    assert [mini.refinements, mini.refinement_rows, mini.smoothing, mini.final_clusters] == [100, 10_000, 0.5, 500]
    assert [paper.runs, paper.subsample, paper.clusters, paper.block, paper.rounds] == [30, 10_000, 30, 10_000, 100]


@pytest.mark.parametrize("solver", UNPAIRED, ids=lambda solver: solver.name)
def test_pairs_are_refused_where_they_would_be_ignored(solver: Any) -> None:
    rows = np.eye(30, 4, dtype=np.float32) + 1
    with pytest.raises(InputError, match=f"3 pairs were given and {solver.name} uses none"):
        solve(solver, rows, rows, pairs=np.zeros((3, 2), int))


@pytest.mark.parametrize("solver", [MiniVec2Vec(), CentroidConsensus(clusters=20)], ids=lambda solver: solver.name)
def test_fewer_rows_than_clusters_are_refused(solver: Any, rng: np.random.Generator) -> None:
    few, many = rng.standard_normal((19, 4)), rng.standard_normal((30, 4))
    with pytest.raises(InputError, match=f"source has 19 rows; {solver.name} needs at least 20"):
        solve(solver, few, many)
    with pytest.raises(InputError, match=f"target has 19 rows; {solver.name} needs at least 20"):
        solve(solver, many, few)


def test_ridge_refuses_a_penalty_of_nothing(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((30, 4))
    with pytest.raises(InputError, match=r"alpha is 0; a finite number above 0 is needed"):
        solve(Ridge(alpha=0), rows, rows, pairs=np.zeros((3, 2), int))


def test_the_paired_ceiling_on_real_queries_is_high(shared_data: Path) -> None:
    spaces = [shared_data / "spaces" / f"beir-queries.{name}.npy" for name in ("bge-base-en-v1.5", "all-MiniLM-L6-v2")]
    if not all(path.is_file() for path in spaces):
        pytest.skip("needs the beir-queries embeddings beside the checkout")
    x, y = (np.load(path, mmap_mode="r") for path in spaces)
    rows = np.random.default_rng(0).permutation(10_844)
    fitted, pool = rows[:4398], rows[8796:]
    pairs = np.repeat(np.arange(len(fitted))[:, None], 2, axis=1)
    x_fit, y_fit = (side[fitted].astype(np.float32) for side in (x, y))
    scores = score(solve(Procrustes(), x_fit, y_fit, pairs=pairs), x[pool], y[pool])
    assert scores.forward.top1.value > 0.98
    assert scores.backward.top1.value > 0.98
    floor = score(solve(MeanShift(), x_fit, y_fit), x[pool], y[pool])
    assert floor.forward.retrieval["plain"].foscttm.value == pytest.approx(0.5, abs=0.1)
