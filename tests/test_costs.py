"""Estimated costs of fits: near those of recorded fits, and by the speed of the machine."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from interlingua import _costs
from interlingua._align import MAX_ROWS
from interlingua._costs import Speed, estimate_fit, make_work, measure_speed
from interlingua.aligners import METHODS

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
# Largest ratio of an estimate and the recorded value, either way.
FACTOR = 1.6


def records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / "fit-costs.jsonl").read_text("utf-8").splitlines()]


def estimated(record: dict[str, Any], speed: Speed) -> float:
    """Return the estimate of the seconds of a recorded fit."""
    costs = estimate_fit(tuple(record["rows"]), tuple(record["d"]), speed)
    if record["method"] == "ridge":
        return costs.paired_seconds
    return costs.seconds if record["status"] == "aligned" else costs.failed_seconds


@pytest.mark.parametrize("record", records(), ids=lambda record: record["key"])
def test_estimates_are_near_recorded_fits(record: dict[str, Any]) -> None:
    assert record["method"] in METHODS
    assert 1 / FACTOR < estimated(record, Speed(1)) / record["units"] < FACTOR
    if record["method"] == "linear":
        costs = estimate_fit(tuple(record["rows"]), tuple(record["d"]), Speed(1))
        assert 1 / FACTOR < costs.memory / 2**20 / record["peak_mb"] < FACTOR


def test_estimates_are_near_the_wall_time_of_recorded_fits_beside_other_work() -> None:
    for record in records():
        speed = Speed(sum(speed["parallel"] for speed in record["speed"]) / 2)
        assert 1 / FACTOR < estimated(record, speed) / record["seconds"] < FACTOR


def test_estimates_are_near_recorded_fits_of_wide_vectors() -> None:
    work = np.median([speed["processor"] for record in records() for speed in record["speed"]])
    lines = (RESULTS / "large.jsonl").read_text("utf-8").splitlines()
    wide = [record for record in map(json.loads, lines) if record["part"] == "fit"]
    assert max(record["d"][0] for record in wide) >= 2_048
    for record in wide:
        rows = record.get("drawn", MAX_ROWS)
        costs = estimate_fit((rows, rows), tuple(record["d"]), Speed(1))
        assert 1 / FACTOR < costs.seconds * work / record["processor_seconds"] < FACTOR
        assert 1 / FACTOR < costs.memory / 1e9 / record["anonymous_gb"] < FACTOR


def test_costs_grow_with_rows_up_to_those_that_a_fit_reads_and_with_widths() -> None:
    speed = Speed(1)
    small, large = (estimate_fit((n, n), (768, 384), speed) for n in (2_000, 20_000))
    assert small.seconds < small.failed_seconds < large.seconds < large.failed_seconds
    assert small.memory < large.memory
    assert estimate_fit((10**6, 10**6), (768, 384), speed) == large
    assert estimate_fit((2_000, 2_000), (3_072, 3_072), speed).paired_seconds > small.paired_seconds
    slow = estimate_fit((2_000, 2_000), (768, 384), Speed(3))
    assert slow.seconds == pytest.approx(3 * small.seconds)
    assert slow.memory == small.memory


@pytest.mark.parametrize(
    ("rows", "alone", "with_views"),
    [
        ((249, 8_000), False, False),
        ((500, 8_000), True, True),
        ((8_000, 500), True, True),
        ((500, 500), False, True),
        ((1_999, 30_000), True, True),
        ((2_000, 2_000), False, False),
    ],
)
def test_a_fit_that_finds_no_map_includes_the_second_search_where_there_is_one_by_default(
    rows: tuple[int, int], alone: bool, with_views: bool
) -> None:
    costs = estimate_fit(rows, (768, 384), Speed(1))
    found = (seconds - costs.seconds > 1_000 for seconds in (costs.failed_seconds, costs.failed_views_seconds))
    assert tuple(found) == (alone, with_views)


@pytest.mark.parametrize(("file", "factor"), [("solver", FACTOR), ("views", 2.4)])
def test_estimates_are_near_recorded_fits_with_a_second_search(file: str, factor: float) -> None:
    """These records hold no speed of the machine, and those with views were made beside more other work."""
    work = np.median([speed["processor"] for record in records() for speed in record["speed"]])
    lines = map(json.loads, (RESULTS / f"{file}.jsonl").read_text("utf-8").splitlines())
    made = [
        record
        for record in lines
        # An estimate does not know how many rows repeat.
        if record.get("budget") is None
        and not record["repeated"]
        and any(step["step"] == "second search" and step["stopped"] == "exhausted" for step in record["steps"])
    ]
    assert len(made) >= 3
    for record in made:
        costs = estimate_fit((record["n_source"], record["n_target"]), (768, 384), Speed(1))
        seconds = costs.failed_seconds if file == "solver" else costs.failed_views_seconds
        assert 1 / factor < seconds * work / record["processor_seconds"] < factor, record["key"]


def test_the_speed_is_that_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    parts, find = [], _costs._find_nearest
    clock = iter([0.0, 1.0, 10.0, 13.0, 20.0, 22.0])

    def find_in_counted_part(part: Any, others: Any) -> Any:
        parts.append(part.tobytes())
        return find(part, others)

    monkeypatch.setattr(_costs, "_find_nearest", find_in_counted_part)
    monkeypatch.setattr(_costs, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert measure_speed() == Speed(2)
    counts = Counter(parts)
    # One part is computed before the measurement too.
    assert sorted(counts.values()) == [3, 3, 3, 4]


def test_the_measured_work_finds_the_nearest_rows() -> None:
    find, parts = make_work()
    nearest = find(parts[0])
    others = find.keywords["others"]  # type: ignore[attr-defined]
    expected = np.argsort(-(parts[0] @ others), axis=1)[:, : nearest.shape[1]]
    np.testing.assert_array_equal(np.sort(nearest, axis=1), np.sort(expected, axis=1))


def test_the_plans_that_were_made_before_fits_are_in_the_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(RESULTS.parent)
    fit_costs = pytest.importorskip("fit_costs")
    planned = [record for record in records() if "planned" in record]
    assert sorted(record["rows"][0] for record in planned) == [2_000, 5_000, 10_000]
    ratios = [f"{record['seconds'] / record['planned']['seconds']:.2f}" for record in planned]
    table = fit_costs.planned_table(records())
    assert [line.split(" | ")[6] for line in table.splitlines() if line.startswith("| ")][1:] == ratios
    assert f"took {min(ratios)} to {max(ratios)} times as long" in table
    notes = (RESULTS.parent / "notes" / "speed.md").read_text("utf-8")
    for ratio in ratios:
        assert f"{ratio} (" in notes or f"{ratio} times (" in notes
    for record in planned:
        rows, d = tuple(record["rows"]), tuple(record["d"])
        assert record["planned"]["bytes"] == estimate_fit(rows, d, Speed(1)).memory
        assert f"| {record['seconds']:,.0f} |" in table
    assert len(fit_costs.table(records()).splitlines()) == 2 + len(records()) - len(planned)
    failed = {**planned[0], "status": "failed", "planned": {"seconds": 10.0, "failed_seconds": 50.0, "bytes": 1}}
    assert fit_costs.planned_seconds(failed) == 50
