"""The tables of the benchmarks of networks show the records, and what the documentation concludes holds for them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        return importlib.import_module("neural_tables")
    finally:
        sys.path.remove(str(BENCHMARKS))


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:2] == "| "]


def test_the_gain_in_cosine_is_that_of_the_teacher_in_every_recorded_seed(tables: ModuleType) -> None:
    records = tables.load("warm")
    for record in records:
        for side in ("forward", "backward"):
            network, teacher, rotation = (record[name][side] for name in ("network", "teacher", "rotation"))
            assert rotation["cosine"] < network["cosine"] < teacher["cosine"]
            assert teacher["top1"] < network["top1"]
    shown = {row[0]: row[1:] for row in cells(tables.warm(records).split("\n\n")[0])}
    wanted = [median(r["teacher"][s][m] for r in records) for m in ("cosine", "top1") for s in ("forward", "backward")]
    assert shown["consensus of refits, the teacher"] == [f"{value:.3f}" for value in wanted]
    assert f"in {len(records)} seeds" in tables.warm(records)


@pytest.mark.parametrize("side", ["forward", "backward"])
def test_the_maps_named_in_the_documentation_have_the_highest_medians(tables: ModuleType, side: str) -> None:
    records = tables.load("warm")
    cosines, tops = (
        {name: median(r[name][side][score] for r in records) for name in ("rotation", "faithful", "teacher", "network")}
        for score in ("cosine", "top1")
    )
    assert cosines["teacher"] == max(cosines.values())
    assert tops["faithful"] == max(tops.values())


def test_several_spaces_have_a_row_for_each_direction_of_each_corpus(tables: ModuleType) -> None:
    one = tables.load("spaces")[0]
    others = [one | {"key": f"spaces/nq-open/x/2000/{seed}", "n": [2000, 2000], "round_trip": trip, "seconds": 4.0}
              | {"rotation_seconds": 2.0}
              for seed, trip in enumerate([{"network": 0.9, "rotation": 0.75}] * 3)]  # fmt: skip
    text = tables.spaces([one, *others])
    rows = cells(text)
    assert [row[3] for row in rows] == ["1"] * 6 + ["3"] * 6
    assert {row[2] for row in rows} == {"forward", "backward"}
    assert [row[4:] for row in rows[:6]] == [row[4:] for row in rows[6:]]
    assert "Search questions, 2,000 rows: a row that goes through all spaces and back has a cosine of 0.900" in text
    assert "took 4 seconds and all rotations together 2" in text


def test_refits_are_shown_by_their_number_and_kind(tables: ModuleType) -> None:
    def record(cosine: float, seed: int) -> dict[str, Any]:
        side = {"cosine": cosine, "top1": 0.5}
        counts = {number: {"seconds": 3.0, "forward": side, "backward": side} for number in ("1", "40")}
        return {"case": "a -> b", "kind": "half", "seed": seed, "counts": counts}

    assert cells(tables.refits([record(0.1, 0), record(0.3, 1), record(0.4, 2), {"refits": 8}])) == [
        ["a -> b", "half", "3", "cosine", "0.300", "0.300"],
        ["a -> b", "half", "3", "top-1", "0.500", "0.500"],
        ["a -> b", "half", "3", "seconds", "3", "3"],
    ]


def test_an_ablation_is_compared_with_the_whole_method_of_its_seed(tables: ModuleType) -> None:
    def record(name: str, seed: int, cosine: float) -> dict[str, Any]:
        maps = {key: {side: {"cosine": cosine, "top1": cosine} for side in ("forward", "backward")}
                for key in ("network", "last", "rotation", "faithful", "teacher")}  # fmt: skip
        return {"key": f"warm-ablations/beir/{name}/2000/{seed}", **maps}

    without = "without cycle"
    records = [
        record("everything", 0, 0.5),
        record("everything", 1, 0.7),
        record(without, 0, 0.4),
        record(without, 1, 0.8),
    ]
    rows = cells(tables.ablations(records))
    assert rows[0] == ["everything", "2", "0.600", "0.600", "0.600", "", ""]
    assert rows[1] == [without, "2", "0.600", "0.600", "0.600", "-0.100 to +0.100", "-0.100 to +0.100"]
    assert [row[0] for row in rows[2:]] == [label for name, label in tables._MAPS.items() if name != "network"]


def test_recorded_pulls_are_shown_by_their_distance_from_the_truth(tables: ModuleType) -> None:
    records = tables.load("cold-signal")
    rows = cells(tables.signal(records))
    assert [row[2] for row in rows] == [f"{record['agreement']:.2f}" for record in records]
    far = [row for row in rows if row[1] == "32" and float(row[2]) < 0.2]
    assert far
    assert all(abs(float(pull)) < 0.1 for row in far for pull in row[3:8])


def test_the_picture_of_the_pulls_has_a_panel_for_each_group(tables: ModuleType, tmp_path: Path) -> None:
    records = tables.load("cold-signal")
    tables.picture(records, tmp_path / "pulls.svg")
    drawn = (tmp_path / "pulls.svg").read_text("utf-8")
    assert drawn.count('id="axes_') == len({tuple(record["key"].split("/")[1:3]) for record in records})


def test_the_best_end_is_chosen_without_pairs(tables: ModuleType) -> None:
    def end(similarity: float, agreement: float) -> dict[str, Any]:
        return {"similarity": similarity, "agreement": agreement, "top1": 0.0}

    record = {
        "key": "climbs/a -> b/24/0",
        "truth": end(0.6, 1.0),
        "after_truth": end(0.61, 0.9),
        "random": [end(0.5, 0.3), end(0.55, 0.1)],
        "signs": [[end(0.4, 0.2), end(0.58, 0.8)]],
    }
    assert cells(tables.climbs([record])) == [
        ["a -> b", "24", "random rotations", "2", "0.5500", "0.6000", "0.6100", "0.10", "0.30", "0.90"],
        ["a -> b", "24", "signs of the own axes", "1", "0.5800", "0.6000", "0.6100", "0.80", "0.80", "0.90"],
    ]


def test_a_suite_without_records_has_no_section(tables: ModuleType, tmp_path: Path, monkeypatch: Any) -> None:
    assert "Does the gradient point at the truth?" in tables.cold_study()
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    assert tables.load("cold-signal") == []
    assert "Does the gradient point at the truth?" not in tables.cold_study()
