"""The correction on mutual neighbors: nearer to the true vectors, and refused where held-out rows do not support it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import interlingua as il
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import Frame, affine_map, polar
from interlingua.aligners.linear import aligner
from interlingua.aligners.linear import correction as module
from interlingua.aligners.linear.aligner import Linear
from interlingua.aligners.linear.correction import MIN_ROWS, Correction, correct_maps
from interlingua.aligners.linear.held_out import fit_held_out_maps
from interlingua.core import backend
from interlingua.core.arrays import unit_rows
from interlingua.core.maps import AffineMap
from interlingua.core.neighbors import nearest
from interlingua.core.profiles import SpaceProfile
from interlingua.core.statistics import agreement
from planted import Problem as Planted
from planted import problem, rotation

Array = npt.NDArray[Any]
# The steps of a fit before the correction take long, so that these tests use fewer rows.
ROWS, FEW_ROWS, WIDTHS = MIN_ROWS, 400, (24, 20)
Maps = tuple[AffineMap, AffineMap]


@pytest.fixture(scope="module")
def planted() -> Planted:
    return problem(ROWS, WIDTHS, 16, seed=5)


@pytest.fixture(scope="module")
def few() -> Planted:
    return problem(FEW_ROWS, WIDTHS, 16, seed=5)


def right_rotation(planted: Planted) -> Array:
    x, y = Frame.of(planted.source), Frame.of(planted.target)
    return polar(x.center(planted.source_eval).T @ y.center(planted.target_eval))


@pytest.fixture(scope="module")
def maps(planted: Planted) -> Maps:
    """The right rotation with an error, and an offset that is not the target's mean."""
    x, y = Frame.of(planted.source), Frame.of(planted.target)
    rng = np.random.default_rng(0)
    right = right_rotation(planted)
    error = polar(np.eye(WIDTHS[1]) + 0.06 * rng.standard_normal((WIDTHS[1], WIDTHS[1])))
    wrong = np.asarray(right @ error, np.float32)
    shifts = (0.2 * y.radius * rotation(d, 1, rng)[:, 0] for d in (WIDTHS[1], WIDTHS[0]))
    forward, backward = affine_map(x, y, wrong), affine_map(y, x, np.ascontiguousarray(wrong.T))
    return tuple(replace(m, mean_out=m.mean_out + s) for m, s in zip((forward, backward), shifts, strict=True))  # type: ignore[return-value]


def corrected(planted: Planted, maps: Maps) -> tuple[Maps, dict[str, Any]]:
    return correct_maps(maps, (planted.source, planted.target), rng=np.random.default_rng(1))


def top1(translated: Array, truth: Array) -> float:
    return float((nearest(translated, truth, 1).indices[:, 0] == np.arange(len(truth))).mean())


def test_a_wrong_rotation_and_a_wrong_offset_come_nearer_to_held_out_texts(planted: Planted, maps: Maps) -> None:
    parts: list[dict[str, Any]] = []
    sides = planted.source, planted.target
    found, step = correct_maps(maps, sides, rng=np.random.default_rng(1), on_part=parts.append)
    assert step == {"step": "correction", "forward": 0.25, "backward": 0.25}
    # A round and a test of each direction.
    assert parts == [{"step": "correcting", "at": at, "of": 4} for at in range(5)]
    ends = (planted.source_eval, planted.target_eval), (planted.target_eval, planted.source_eval)
    for before, after, (rows, truth) in zip(maps, found, ends, strict=True):
        assert 1 - agreement(after(rows), truth) < 0.7 * (1 - agreement(before(rows), truth))
        assert top1(after(rows), truth) > top1(before(rows), truth)


def test_the_length_of_translations_stays(planted: Planted, maps: Maps) -> None:
    """Only directions count: source and target may have rows of any length, and keep the typical one."""
    longer = replace(maps[0], norm_out=7.5), maps[1]
    found, _ = correct_maps(longer, (3 * planted.source, 7.5 * planted.target), rng=np.random.default_rng(1))
    plain, _ = corrected(planted, maps)
    assert np.linalg.norm(found[0](planted.source_eval), axis=1) == pytest.approx(7.5, rel=1e-5)
    assert agreement(found[0](planted.source_eval), plain[0](planted.source_eval)) > 1 - 1e-4


def test_a_correction_that_separates_neighbors_is_not_kept(
    planted: Planted, maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The largest shift is tried first, then smaller ones; where each has fewer mutual neighbors, the map stays."""
    apply = Correction.apply

    def worse(self: Correction, mapping: AffineMap, x: Array, y: Array, **more: Any) -> tuple[AffineMap, ...]:
        first, *others = apply(self, mapping, x, y, **more)
        wrong = [replace(each, matrix=each.matrix @ rotation(each.d_out, each.d_out, rng)) for each in (first, *others)]
        return tuple(wrong) if mapping is maps[0] else (wrong[0], *others)

    rng = np.random.default_rng(2)
    monkeypatch.setattr(Correction, "apply", worse)
    found, step = corrected(planted, maps)
    assert (step["forward"], step["backward"]) == (None, 0.125)
    assert found[0] is maps[0]
    assert found[1] is not maps[1]


def test_rows_that_decide_take_no_part_in_the_correction(
    planted: Planted, maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[set[bytes]] = []
    tested: list[set[bytes]] = []
    apply, share = Correction.apply, module._mutual_share

    def seen(self: Correction, mapping: AffineMap, x: Array, y: Array, **more: Any) -> tuple[AffineMap, ...]:
        used.append({row.tobytes() for row in (*x, *y)})
        return apply(self, mapping, x, y, **more)

    def held(mapping: AffineMap, x: Array, y: Array) -> float:
        tested.append({row.tobytes() for row in (*x, *y)})
        return share(mapping, x, y)

    monkeypatch.setattr(Correction, "apply", seen)
    monkeypatch.setattr(module, "_mutual_share", held)
    corrected(planted, maps)
    assert len(used) == 2
    assert len(tested) == 8
    for rows in used:
        assert all(rows.isdisjoint(others) for others in tested)


def test_more_rows_give_a_second_round_and_more_of_the_shift() -> None:
    few, many = Correction.for_rows(MIN_ROWS), Correction.for_rows(20_000)
    assert (few.rounds, many.rounds) == (1, 2)
    assert 0 < few.shift < many.shift < 1


def test_the_result_is_the_same_to_the_byte_with_1_2_and_16_threads(
    planted: Planted, maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for threads in (1, 2, 16):
        monkeypatch.setattr(backend, "available_cores", lambda threads=threads: threads)
        with backend.single_threaded_blas():
            results.append(corrected(planted, maps)[0])
    for found in results[1:]:
        for mapping, first in zip(found, results[0], strict=True):
            assert mapping.matrix.tobytes() == first.matrix.tobytes()
            assert mapping.mean_out.tobytes() == first.mean_out.tobytes()


def test_a_fit_corrects_its_map_from_enough_rows_on_where_the_setting_is_on(
    few: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aligner, "MIN_ROWS", FEW_ROWS)
    whole = Problem.of(few.source, few.target)
    fewer = Problem.of(few.source[:-1], few.target)
    pairs = Problem.of(few.source, few.target, pairs=np.stack([np.arange(20)] * 2, axis=1))
    right = right_rotation(few)
    fit = Linear().refine(whole, right, seed=0)
    step = fit.trace[-1]
    assert step["step"] == "correction"
    assert fit.shifts == (step["forward"], step["backward"]) != (None, None)
    plain = Linear(correction=False).refine(whole, right, seed=0)
    # Nothing before the correction depends on it.
    assert fit.trace[:-1] == plain.trace
    assert fit.rotation.tobytes() == plain.rotation.tobytes()
    for linear, rows in ((Linear(), fewer), (Linear(nonorthogonal=False), whole), (Linear(), pairs)):
        other = linear.refine(rows, right, seed=0)
        assert other.shifts == plain.shifts == (None, None)
        assert all(step["step"] != "correction" for step in other.trace)


def test_scales_of_scores_are_measured_on_maps_with_the_same_correction(few: Planted) -> None:
    rows, right = Problem.of(few.source, few.target), right_rotation(few)
    plain = fit_held_out_maps(rows, right, (True, True), (None, None), seed=0)
    for shifts in ((0.5, None), (None, 0.0)):
        seen = fit_held_out_maps(rows, right, (True, True), shifts, seed=0)
        assert all(np.array_equal(a, b) for a, b in zip(seen.rows, plain.rows, strict=True))
        for own, other, shift in zip(seen.maps, plain.maps, shifts, strict=True):
            assert np.array_equal(own.matrix, other.matrix) is (shift is None)


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_the_setting_is_a_flag(value: Any) -> None:
    with pytest.raises(il.InputError, match="correction is .*; True or False is needed"):
        Linear(correction=value)


def test_a_corrected_translator_is_saved_and_read_to_the_byte(planted: Planted, maps: Maps, tmp_path: Any) -> None:
    """The corrected map is one affine map, so files and exports hold it as they hold any other."""
    found, _ = corrected(planted, maps)
    assert all(type(mapping) is AffineMap for mapping in found)
    profiles = tuple(map(SpaceProfile.of, (planted.source, planted.target)))
    translator = il.Translator(*found, profiles, {})  # type: ignore[arg-type]
    translator.save(tmp_path / "t")
    rows = unit_rows(planted.source_eval)
    assert il.load(tmp_path / "t").translate(rows).tobytes() == translator.translate(rows).tobytes()


def test_neighbors_of_tensors_give_the_same_correction(
    planted: Planted, maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU takes tensors; here they are on the CPU, since not every machine has one."""
    torch = pytest.importorskip("torch")
    x, y = (unit_rows(rows[:600]) for rows in (planted.source, planted.target))
    expected = Correction(1, 0.5).apply(maps[0], x, y, rng=np.random.default_rng(0))[0]
    monkeypatch.setattr(module, "to_device", lambda rows, device: torch.as_tensor(rows))
    found = Correction(1, 0.5).apply(maps[0], x, y, rng=np.random.default_rng(0), device="cuda")[0]
    assert found.matrix == pytest.approx(expected.matrix, abs=1e-4)
    assert found.mean_out == pytest.approx(expected.mean_out, abs=1e-4)
