"""Scores of translated vectors on the scale of a model: decisions at thresholds survive, and nothing else changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

import exported
import interlingua as il
from interlingua.aligners.base import Problem
from interlingua.aligners.linear.held_out import fit_held_out_maps
from interlingua.aligners.linear.repeats import merge_copies
from interlingua.core.alignment import Status, Verdict
from interlingua.core.arrays import unit_rows
from interlingua.core.calibration import QUANTILE_LEVELS, SCORE_KINDS, ScoreCalibration, match_quantiles, quantiles_of
from interlingua.core.errors import InputError, SpaceMismatchError
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator, load
from planted import encode, rotation, topics

Array = npt.NDArray[Any]
N, D_SOURCE, D_TARGET = 1200, 24, 16
COMMON = 0.8


@pytest.fixture(scope="module")
def sides() -> tuple[Array, Array]:
    """The same texts in two spaces of which the second has a large mean: its cosines are much higher."""
    rng = np.random.default_rng(3)
    content = topics(3 * N, 12, rng)
    content = content - content.mean(axis=0)
    source, target = (encode(content, width, rng, noise=0.3) for width in (D_SOURCE, D_TARGET))
    return unit_rows(source), unit_rows(unit_rows(target) + COMMON * unit_rows(np.ones((1, D_TARGET), np.float32)))


@pytest.fixture(scope="module")
def translator(sides: tuple[Array, Array]) -> Translator:
    """Fitted on pairs of the first third."""
    source, target = (side[:N] for side in sides)
    pairs = np.stack([np.arange(N)] * 2, axis=1)
    return il.align(source, target, pairs=pairs, method="ridge").translator()


def decisions(scores: Array, threshold: float) -> float:
    return float((scores >= threshold).mean())


@pytest.mark.parametrize("share", [0.1, 0.01, 0.001])
def test_as_many_scores_exceed_a_threshold_as_with_the_model_itself(
    translator: Translator, sides: tuple[Array, Array], share: float
) -> None:
    (x, y), documents = (side[2 * N :] for side in sides), slice(0, N - 100)
    queries = slice(N - 100, N)
    translated, inverted = unit_rows(translator.translate(x)), unit_rows(translator.invert(y))
    real = {"source": x[queries] @ x[documents].T, "target": y[queries] @ y[documents].T}
    kinds = {"translated": y[queries] @ translated[documents].T, "inverted": inverted[queries] @ x[documents].T}
    kinds["both-translated"] = translated[queries] @ translated[documents].T
    for (kind, scores), scale in ((each, scale) for each in kinds.items() for scale in real):
        threshold = float(np.quantile(real[scale], 1 - share))
        found = decisions(translator.calibrate(scores, kind, scale), threshold)
        assert 0.7 * share < found < 1.4 * share, (kind, scale)
    # Without it, few reach the scale of a space with a large mean.
    raw = decisions(kinds["inverted"], float(np.quantile(real["target"], 1 - share)))
    assert raw < 0.6 * share


@pytest.mark.parametrize("kind", SCORE_KINDS)
@pytest.mark.parametrize("scale", SCORE_KINDS)
def test_the_order_of_scores_is_kept_and_a_score_of_1_stays(translator: Translator, kind: str, scale: str) -> None:
    scores = np.linspace(-1, 1, 2001)
    converted = translator.calibrate(scores, kind, scale)
    assert (np.diff(converted) >= 0).all()
    assert converted[-1] == pytest.approx(1)
    back = translator.calibrate(translator.calibrate(scores, kind, scale), scale, kind)
    inside = slice(1000, 1800)
    assert back[inside] == pytest.approx(scores[inside], abs=0.02)


def test_a_threshold_of_one_model_becomes_that_of_the_other(translator: Translator, sides: tuple[Array, Array]) -> None:
    x, y = (side[2 * N :] for side in sides)
    upper = np.triu_indices(N, 1)
    old = float(np.quantile((x @ x.T)[upper], 0.99))
    assert translator.calibrate(old, "source", "target") == pytest.approx(np.quantile((y @ y.T)[upper], 0.99), abs=0.02)
    assert translator.calibrate([[0.5]], "target", "target") == pytest.approx(np.array([[0.5]]))


def test_a_model_may_be_called_by_the_name_of_its_space(translator: Translator) -> None:
    named = dict(translator.card) | {"source": {"name": "old"}, "target": {"name": "new"}}
    with_names = Translator(translator.forward, translator.backward, translator.profiles, named, translator.calibration)
    assert with_names.calibrate(0.7, "old", "new") == translator.calibrate(0.7, "source", "target")
    same = Translator(
        translator.forward,
        translator.backward,
        translator.profiles,
        named | {"source": {"name": "new"}},
        translator.calibration,
    )
    with pytest.raises(InputError, match="kind is 'new'; choose from source, target"):
        same.calibrate(0.7, "new", "target")


@pytest.mark.parametrize("score", [1.7, -2, [0.5, 1.01]])
def test_numbers_that_are_no_cosines_are_refused(translator: Translator, score: Any) -> None:
    with pytest.raises(InputError, match=r"scores holds (1.7|-2|1.01); cosines from -1 to 1 are needed"):
        translator.calibrate(score)
    assert translator.calibrate(1.0005).shape == ()
    assert translator.calibrate([]).shape == (0,)


def test_quantiles_are_those_of_numpy(rng: np.random.Generator) -> None:
    scores = rng.standard_normal((70, 90)).astype(np.float32)
    assert quantiles_of(scores) == pytest.approx(np.quantile(scores, QUANTILE_LEVELS), abs=1e-5)
    assert match_quantiles(np.array([-2.0, 2.0]), np.array([-0.5, 0.5]), np.array([0.0, 0.9])).tolist() == [-1, 1]


def test_scales_are_measured_on_rows_that_the_maps_have_not_seen(rng: np.random.Generator) -> None:
    """Of two noises a fit makes the most: among its own rows the scores between the two sides are too high."""
    d = 160
    x, y = (rng.standard_normal((1500, d)).astype(np.float32) for _ in range(2))
    problem = Problem.of(x, y)
    seen = fit_held_out_maps(problem, rotation(d, d, rng), None, (None, None), seed=0)
    inside = {row.tobytes() for row in seen.rows[0]}
    fitted = np.array([row for row in x if row.tobytes() not in inside])
    assert len(seen.rows[0]) == 300
    assert len(fitted) == 1200
    tops = [
        np.sort(unit_rows(seen.maps[0](rows)) @ unit_rows(y if rows is fitted else seen.rows[1]).T, axis=None)
        for rows in (fitted, seen.rows[0])
    ]
    own, unseen = (float(scores[int(len(scores) * 0.999)]) for scores in tops)
    assert own > unseen + 0.01


def test_copies_of_a_row_are_held_out_together(rng: np.random.Generator) -> None:
    x, y = (np.repeat(rng.standard_normal((1000, 24)).astype(np.float32), 2, axis=0) for _ in range(2))
    seen = fit_held_out_maps(merge_copies(Problem.of(x, y)), rotation(24, 24, rng), None, (None, None), seed=0)
    for rows in seen.rows:
        assert len(np.unique(rows.round(4), axis=0)) == len(rows) == 200


@pytest.mark.usefixtures("short_fits")
def test_a_fit_has_a_calibration_where_enough_rows_can_be_held_out(
    sides: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever the verdict is, which takes longest: it has no part in this.
    failed = Verdict(Status.FAILED, 0.0, ("It is not measured here.",))
    for judge in ("interlingua.aligners.verdict.judge", "interlingua.aligners.linear.aligner.judge_rotation"):
        monkeypatch.setattr(judge, lambda *_, **__: failed)
    source, target = sides
    for count, expected in ((900, False), (1000, True)):
        pairs = np.stack([np.arange(count)] * 2, axis=1)
        alignment = il.align(source[:N], target[:N], pairs=pairs, method="ridge")
        assert (alignment.calibration is not None) is expected
    assert alignment.calibration is not None
    assert alignment.calibration.paired
    assert repr(alignment.calibration).startswith("ScoreCalibration(200 and 200 pairs")
    assert il.align(source[:N], target[:N], method="identity").calibration is None
    unpaired = il.align(source[:N], target[N : 2 * N], rounds=0).calibration
    assert unpaired is not None
    assert not unpaired.paired
    assert il.align(source[:900], target[N : 2 * N], rounds=0).calibration is None


def test_it_is_saved_and_does_not_change_the_identity_of_the_maps(translator: Translator, tmp_path: Path) -> None:
    again = load(translator.save(tmp_path / "t"))
    assert again.calibration is not None
    assert translator.calibration is not None
    assert np.array_equal(again.calibration.quantiles, translator.calibration.quantiles)
    assert again.calibration.rows == translator.calibration.rows
    assert again.calibration.paired
    assert again.card == translator.card
    without = Translator(again.forward, again.backward, again.profiles, again.card)
    assert without.fingerprint() == again.fingerprint() == translator.fingerprint()
    assert "translator.calibrate(scores)" in (tmp_path / "t" / "README.md").read_text("utf-8")
    without.save(tmp_path / "t", overwrite=True)
    assert load(tmp_path / "t").calibration is None
    assert "thresholds do not" in (tmp_path / "t" / "README.md").read_text("utf-8")


def test_a_translator_without_it_says_so_and_can_be_given_one(
    translator: Translator, sides: tuple[Array, Array], tmp_path: Path
) -> None:
    old = load(
        Translator(translator.forward, translator.backward, translator.profiles, translator.card).save(tmp_path / "o")
    )
    with pytest.raises(InputError, match=r"has no calibration of scores; .* fit_calibration\(source, target\) and 200"):
        old.calibrate([0.5])
    unpaired = old.fit_calibration(sides[0][N : 2 * N], sides[1][2 * N :])
    assert old.calibration is None
    paired = old.fit_calibration(*(side[N : 2 * N] for side in sides), paired=True)
    for made in (unpaired, paired):
        assert made.calibrate(0.3) == pytest.approx(float(translator.calibrate(0.3)), abs=0.06)
    assert unpaired.translate(sides[0][:3]) == pytest.approx(old.translate(sides[0][:3]))


def test_what_cannot_be_calibrated_is_refused(translator: Translator, sides: tuple[Array, Array]) -> None:
    x, y = (side[:300] for side in sides)
    with pytest.raises(InputError, match="source and target have 300 and 150 rows; at least 200 different ones"):
        translator.fit_calibration(x, y[:150])
    with pytest.raises(InputError, match="at least 200 different ones"):
        translator.fit_calibration(np.repeat(x[:100], 5, axis=0), y)
    with pytest.raises(InputError, match="source has 300 rows and target 250; row i of both must be the same text"):
        translator.fit_calibration(x, y[:250], paired=True)
    with pytest.raises(InputError, match="source vectors has 16 columns; 24 are needed"):
        translator.fit_calibration(y, y)
    with pytest.raises(InputError, match="source queries have 150 rows; at least 200 are needed, or None"):
        translator.fit_calibration(x, y, queries=(x[:150], None))
    with pytest.raises(InputError, match="target queries has 24 columns; 16 are needed"):
        translator.fit_calibration(x, y, queries=(None, x))
    with pytest.raises(InputError, match="queries is 5; a pair is needed"):
        translator.fit_calibration(x, y, queries=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="kind is 'old'; choose from source, target, translated"):
        translator.calibrate(0.5, "old")
    with pytest.raises(InputError, match="scale is 'new'; choose from"):
        translator.calibrate(0.5, scale="new")
    for wrong, problem in (("x", "has dtype"), ([np.nan], "holds NaN or infinity"), (None, "has dtype")):
        with pytest.raises(InputError, match=f"scores {problem}.*; finite real numbers are needed"):
            translator.calibrate(wrong)
    rng = np.random.default_rng(0)
    noise = unit_rows(rng.standard_normal((300, D_TARGET)).astype(np.float32))
    with pytest.raises(SpaceMismatchError, match="target vectors are not of the space"):
        translator.fit_calibration(x, noise)
    assert translator.fit_calibration(x, noise, allow_foreign=True).calibration is not None


def test_scores_of_queries_have_a_scale_of_their_own(translator: Translator, sides: tuple[Array, Array]) -> None:
    """Queries that are unlike the documents have lower scores with them than these have among each other."""
    x, y = (side[N : 2 * N] for side in sides)
    shift_x, shift_y = (
        unit_rows(np.random.default_rng(d).standard_normal((1, d)).astype(np.float32)) for d in (24, 16)
    )
    asked = unit_rows(x[:300] - 0.7 * shift_x), unit_rows(y[300:600] - 0.7 * shift_y)
    made = translator.fit_calibration(x[:600], y[600:], queries=asked)
    real = asked[1] @ y[600:].T
    raw = asked[1] @ unit_rows(translator.translate(x[600:])).T
    for share in (0.01, 0.001):
        threshold = float(np.quantile(real, 1 - share))
        assert 0.6 * share < decisions(made.calibrate(raw), threshold) < 1.6 * share
    assert made.calibration is not None
    old = np.quantile(asked[0] @ x[:600].T, QUANTILE_LEVELS)
    assert made.calibration.quantiles[SCORE_KINDS.index("source")] == pytest.approx(old, abs=1e-3)


def test_copies_say_nothing_about_a_scale(translator: Translator, sides: tuple[Array, Array]) -> None:
    maps, (x, y) = (translator.forward, translator.backward), (side[N : N + 600] for side in sides)
    plain = ScoreCalibration.fit(maps, x, y)
    copied = ScoreCalibration.fit(maps, np.concatenate([x, x]), y)
    assert plain is not None
    assert copied is not None
    assert copied.rows == plain.rows
    assert copied.quantiles == pytest.approx(plain.quantiles, abs=1e-5)


@pytest.mark.parametrize("damage", ["missing", "shape", "card"])
def test_a_damaged_one_is_refused(translator: Translator, tmp_path: Path, damage: str) -> None:
    folder = translator.save(tmp_path / "t")
    tensors = load_file(folder / "translator.safetensors")
    card = json.loads((folder / "card.json").read_text("utf-8"))
    if damage == "missing":
        del tensors["calibration.quantiles"]
    elif damage == "shape":
        tensors["calibration.quantiles"] = tensors["calibration.quantiles"][:3]
    else:
        card["calibration"] = {"rows": 5}
    # Without a copy of the card in the header there is no checksum to compare with.
    save_file(tensors, folder / "translator.safetensors")
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(InputError, match="is damaged"):
        load(folder)


def test_maps_without_variation_have_scales_too() -> None:
    rng = np.random.default_rng(1)
    rows = unit_rows(rng.standard_normal((400, 8)).astype(np.float32))
    same = AffineMap(np.zeros(8, np.float32), np.zeros((8, 8), np.float32), np.ones(8, np.float32))
    made = Translator(same, same, (SpaceProfile.of(rows), SpaceProfile.of(rows)), {})
    calibrated = made.fit_calibration(rows, rows, allow_foreign=True)
    assert np.isfinite(calibrated.calibrate(np.linspace(-1, 1, 50))).all()


def test_translated_rows_need_a_calibration_and_no_source_queries() -> None:
    pair = exported.linear()
    x, y = exported.rows(pair.d_source, 400), exported.rows(pair.d_target, 400)
    with pytest.raises(InputError, match="This translator has no calibration, and translated vectors do not show"):
        pair.fit_calibration(y, y, translated=True, allow_foreign=True)
    known = pair.fit_calibration(x, y, allow_foreign=True)
    with pytest.raises(InputError, match="source queries were given with translated rows"):
        known.fit_calibration(y, y, translated=True, queries=(y, None), allow_foreign=True)
    asked = known.fit_calibration(y, y[::-1], translated=True, queries=(None, y[:300] + 1), allow_foreign=True)
    assert asked.calibration is not None
    assert asked.calibration.rows == (400, 400)


def test_it_says_how_far_it_was_measured_and_how_steep_it_is(translator: Translator) -> None:
    quantiles = np.tile(QUANTILE_LEVELS, (6, 1)).astype(np.float32)
    levels = -np.log10(np.maximum(1 - QUANTILE_LEVELS, 1e-7))
    quantiles[SCORE_KINDS.index("target")] = 0.1 * levels
    quantiles[SCORE_KINDS.index("translated")] = 0.05 * levels
    n = 1 + int(np.sqrt(2 * 10 * 1e4))  # 10 of about 100,000 pairs
    made = ScoreCalibration(quantiles, (n, 2 * n))
    assert made.measured_up_to("translated") == pytest.approx(0.2, abs=0.005)
    assert made.steepness("translated", "target") == pytest.approx(2, abs=0.05)
    assert made.steepness("target", "translated") == pytest.approx(0.5, abs=0.05)
    few, many = ScoreCalibration(quantiles, (200, 200)), ScoreCalibration(quantiles, (2_048, 2_048))
    assert few.measured_up_to("target") < made.measured_up_to("target") < many.measured_up_to("target")
    with pytest.raises(InputError, match="kind"):
        made.measured_up_to("other")
    flat = ScoreCalibration(np.full((6, len(QUANTILE_LEVELS)), 0.5, np.float32), (300, 300))
    assert flat.steepness("translated", "target") == 0
