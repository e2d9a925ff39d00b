"""Scales of scores added to a translator on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from command_line import D_SOURCE, N, Rows, Run
from interlingua.cli.tables import calibration_note
from interlingua.core.calibration import SCORE_KINDS, ScoreCalibration
from interlingua.core.translator import Translator, load


@pytest.fixture
def place(folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def test_a_translator_gets_the_scales_of_both_models(run: Run, place: Path, planted: tuple[Rows, Rows]) -> None:
    np.save("new.npy", planted[1][: N // 2])
    ran = run("calibrate", "translator", "source.npy", "new.npy", "--out", "t", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["rows"], ran.json["paired"], ran.json["translator"]) == ([N, N // 2], False, "t")
    made, expected = load("t"), load("translator").fit_calibration(planted[0], planted[1][: N // 2])
    assert load("translator").calibration is None
    assert made.calibrate(0.5) == expected.calibrate(0.5)
    assert ran.json["scores"]["target"] == made.calibrate([0.5, 0.6, 0.7, 0.8, 0.9], "source").round(3).tolist()
    shown = run("calibrate", "t", "source.npy", "new.npy", "--out", "t", "--force")
    assert shown.code == 0, shown.err
    assert f"0.500 {made.calibrate(0.5, 'source'):.3f}" in " ".join(shown.out.split())
    assert "calibrated on 600 and 300 rows without pairs" in shown.err
    inspected = run("inspect", "t").out
    assert "calibrated on 600 and 300 rows without pairs" in inspected
    limit = load("t").calibration.measured_up_to("translated")  # type: ignore[union-attr]
    for said in (shown.out, inspected):
        assert (
            f"The scores of translated vectors were measured up to about {limit:.2f}; conversions of higher ones are "
            "rough. The smaller side had 300 rows; up to 2,048 make the scales more exact."
        ) in said


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1.1, None),
        (
            1.5,
            "A difference of 0.01 between the highest measured scores becomes 0.015 on the scale of the target model",
        ),
        (40.0, "becomes 0.1 or more on the scale of the target model, because translated vectors"),
    ],
)
def test_a_steep_conversion_is_explained(
    place: Path, planted: tuple[Rows, Rows], factor: float, said: str | None
) -> None:
    made = load("translator").fit_calibration(*planted)
    found = made.calibration
    assert found is not None
    quantiles = np.array(found.quantiles)
    translated, target = SCORE_KINDS.index("translated"), SCORE_KINDS.index("target")
    quantiles[translated] = quantiles[target] / factor
    steep = ScoreCalibration(quantiles, (2_048, 2_048))
    note = calibration_note(Translator(made.forward, made.backward, made.profiles, made.card, steep))
    assert "The smaller side" not in note
    assert (said in note) if said else ("difference" not in note)


def test_queries_and_pairs_are_measured(run: Run, place: Path, planted: tuple[Rows, Rows]) -> None:
    source, target = planted
    np.save("asked.npy", target[:300] + 1)
    run("calibrate", "translator", "source.npy", "target.npy", "--target-queries", "asked.npy", "--out", "t")
    expected = load("translator").fit_calibration(source, target, queries=(None, target[:300] + 1))
    assert load("t").calibrate(0.5) == expected.calibrate(0.5)
    # Rows of a file with ids are paired by them, in whatever order they are.
    lists = pa.FixedSizeListArray.from_arrays(pa.array(source[::-1].ravel()), D_SOURCE)
    pq.write_table(pa.table({"id": np.arange(N)[::-1], "vector": lists}), "old.parquet")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(target[100:].ravel()), target.shape[1])
    pq.write_table(pa.table({"id": np.arange(100, N), "vector": lists}), "new.parquet")
    ran = run("calibrate", "translator", *(f"file://{place}/{side}.parquet?id=id" for side in ("old", "new")),
              "--paired", "--out", "p", "--json")  # fmt: skip
    assert (ran.code, ran.json["rows"], ran.json["paired"]) == (0, [500, 500], True)


def test_what_cannot_be_calibrated_is_refused_before_anything_is_written(run: Run, place: Path) -> None:
    np.save("few.npy", np.load("target.npy")[:150])
    cases = [
        (("source.npy", "few.npy", "--out", "t"), "at least 200 different ones on each side are needed"),
        (("target.npy", "source.npy", "--out", "t"), "Are source and target swapped"),
        (("source.npy", "few.npy", "--paired", "--out", "t"), "row i of both must be the same text"),
        (("source.npy", "target.npy", "--source-queries", "few.npy", "--out", "t"), "leave --source-queries out"),
        (
            ("source.npy", "target.npy", "--target-queries", "few.npy", "--out", "t"),
            "at least 200 are needed. Give more",
        ),
        (("source.npy", "target.npy", "--out", "translator"), "replace it with --force"),
        (("source.npy", "target.npy", "--target-queries", "none.npy", "--out", "t"), "none.npy"),
    ]
    for words, message in cases:
        ran = run("calibrate", "translator", *words, "--json")
        assert ran.code == 2
        assert message in ran.json["error"]
        assert not Path("t").exists()


def test_vectors_of_another_space_are_refused(run: Run, place: Path, rng: np.random.Generator) -> None:
    np.save("noise.npy", rng.standard_normal((N, D_SOURCE)).astype(np.float32))
    ran = run("calibrate", "translator", "noise.npy", "target.npy", "--out", "t", "--json")
    assert ran.code == 2
    assert "not of the space" in ran.json["error"]
    assert "--allow-foreign" in ran.json["error"]
    assert run("calibrate", "translator", "noise.npy", "target.npy", "--out", "t", "--allow-foreign").code == 0


def test_the_rows_of_the_fit_are_noticed(run: Run, place: Path, planted: tuple[Rows, Rows]) -> None:
    fit = ("fit", "source.npy", "target.npy", "--method", "random-rotation", "--allow-failed")
    assert run(*fit, "--out", "f").code == 0
    ran = run("calibrate", "f", "source.npy", "target.npy", "--out", "t", "--json")
    assert (ran.code, ran.json["fitted"]) == (0, ["source", "target"])
    assert "Warning: the fit has read the rows of source.npy" in ran.err
    np.save("part.npy", planted[0][:400])
    ran = run("calibrate", "f", "part.npy", "target.npy", "--out", "p", "--json")
    assert ran.json["fitted"] == ["source", "target"]
    assert "the fit has read about 400 of the 400 rows of part.npy" in " ".join(ran.err.split())
    np.save("new.npy", planted[0][:400] + np.float32(1e-4))
    assert run("calibrate", "f", "new.npy", "target.npy", "--out", "n", "--json").json["fitted"] == ["target"]
    ran = run("evaluate", "f", "source.npy", "target.npy", "--json")
    assert (ran.code, ran.json["fitted"]) == (0, ["source", "target"])
    assert "Use rows that the fit has not read." in ran.err
    # A fit on a part of a file draws it by its seed.
    assert run(*fit, "--sample", 500, "--seed", 3, "--out", "s").code == 0
    ran = run("evaluate", "s", "source.npy", "target.npy")
    assert "Warning: the fit has read 500 of the 600 rows of source.npy" in ran.err


def test_translations_that_exist_are_measured_by_the_ids_of_vectors_of_the_new_model(
    run: Run, place: Path, planted: tuple[Rows, Rows], rng: np.random.Generator
) -> None:
    source, target = planted
    known = load("translator").fit_calibration(source, target)
    known.save("known")
    # Of a migrated collection some rows were embedded again, and stand in another order.
    moved = known.translate(source) + 0.1 * rng.standard_normal(target.shape).astype(np.float32)
    for name, rows, ids in (("moved", moved, np.arange(N)), ("again", target[100:][::-1], np.arange(100, N)[::-1])):
        lists = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(rows).ravel()), rows.shape[1])
        pq.write_table(pa.table({"id": ids, "vector": lists}), f"{name}.parquet")
    addresses = [f"file://{place}/{name}.parquet?id=id" for name in ("moved", "again")]
    ran = run("calibrate", "known", *addresses, "--translated", "--paired", "--out", "t", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["rows"], ran.json["paired"], ran.json["translated"]) == ([500, 500], True, True)
    made = load("t")
    expected = known.fit_calibration(moved[:99:-1], target[:99:-1], paired=True, translated=True)
    assert made.calibrate(0.5) == pytest.approx(expected.calibrate(0.5), abs=1e-6)
    # Noise lowers high scores with the new model, so a translated 0.5 stands for a higher one.
    assert made.calibrate(0.9) > known.calibrate(0.9)
    # The relation of the two models was not measured again.
    for score in (0.2, 0.5, 0.8):
        both = [float(each.calibrate(score, "target", "source")) for each in (made, known)]
        assert both[0] == pytest.approx(both[1], abs=0.02)
    text = run("calibrate", "known", *addresses, "--translated", "--paired", "--out", "t", "--force")
    assert "calibrated on 500 and 500 translated pairs" in text.err


def test_what_cannot_be_calibrated_on_translations_is_refused(
    run: Run, place: Path, planted: tuple[Rows, Rows]
) -> None:
    load("translator").fit_calibration(*planted).save("known")
    np.save("moved.npy", planted[1])
    np.save("few.npy", planted[1][:150] + 0.1)
    cases = [
        (("source.npy", "target.npy"), "source.npy has width 24; translations by this translator have 16"),
        (("moved.npy", "source.npy"), "source.npy has width 24; this translator's target has 16"),
        (("few.npy", "target.npy"), "at least 200 different ones on each side are needed"),
        (("moved.npy", "target.npy"), "hold the same vectors"),
        (("moved.npy", "target.npy", "--source-queries", "source.npy"), "--source-queries cannot be compared with"),
    ]
    for words, message in cases:
        ran = run("calibrate", "known", *words, "--translated", "--out", "t", "--json")
        assert ran.code == 2
        assert message in ran.json["error"]
        assert not Path("t").exists()
