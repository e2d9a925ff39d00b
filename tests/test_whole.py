"""The time that is left of a whole fit or audit, on a clock that the tests turn."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from interlingua.cli.audit_fits import whole_time
from interlingua.core.progress import ShownProgress, Timed
from interlingua.core.whole import WholeTime, fit_share
from interlingua.core.wording import describe_step, describe_total
from interlingua.leakage._points import point_sizes
from interlingua.leakage._shares import DECODER, FIT, SharesReported, attack_share
from interlingua.leakage.inputs import PublicCorpus


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    for module in ("progress", "whole"):
        monkeypatch.setattr(f"interlingua.core.{module}.time", SimpleNamespace(perf_counter=found))
    return found


def test_parts_that_are_finished_tell_the_time_of_the_others(clock: Clock) -> None:
    whole = WholeTime({"first": 1, "second": 1, "last": 2})
    whole.begin("first")
    clock.now = 30
    assert whole.seconds_left() is None  # nothing is known
    whole.begin("second")
    assert (whole.elapsed, whole.seconds_left()) == (30, 90)
    clock.now = 40
    assert whole.seconds_left() == pytest.approx(80)
    # A part that takes longer than its share makes all that follows longer.
    clock.now = 120
    assert whole.seconds_left() == pytest.approx(60)
    whole.begin("last")
    assert whole.seconds_left() == pytest.approx(120)
    clock.now = 500
    assert whole.seconds_left() == 0


def test_what_is_done_of_the_first_part_is_enough(clock: Clock) -> None:
    whole = WholeTime({"fit": 1, "attack": 3})
    whole.begin("fit")
    clock.now = 10
    whole.reach(0.5)
    assert whole.seconds_left() == pytest.approx(70)
    whole.reach(0.4)  # the same search once more
    assert whole.seconds_left() == pytest.approx(70)


def test_parts_that_are_read_take_no_time(clock: Clock) -> None:
    whole = WholeTime({"fit": 0, "attack": 1})
    whole.begin("fit")
    clock.now = 5
    whole.begin("attack")
    assert whole.seconds_left() is None
    nothing = WholeTime({"fit": 0})
    nothing.begin("fit")
    assert nothing.seconds_left() is None


def test_a_fit_tells_its_time_once_its_search_has_ended(clock: Clock) -> None:
    steps: list[dict[str, Any]] = []
    timed = Timed(steps.append)
    for now, step in (
        (5, {"step": "copies"}),
        (20, {"step": "round", "round": 0, "of": 3}),
        (40, {"step": "fine"}),
        (46, {"step": "polishing", "at": 1, "of": 9}),
        (97, {"step": "verdict"}),
    ):
        clock.now = now
        timed(step)
    assert [step.get("total_seconds_left") for step in steps] == [None, None, 60.0, 54.0, None]
    # Nobody knows how many fits follow.
    timed({"step": "fine"})
    assert "total_seconds_left" not in steps[-1]


def test_several_candidates_have_no_time_of_the_whole(clock: Clock) -> None:
    steps: list[dict[str, Any]] = []
    timed = Timed(steps.append)
    timed({"step": "trial", "name": "news", "at": 1, "of": 2})
    clock.now = 9
    timed({"step": "fine"})
    assert "total_seconds_left" not in steps[-1]


@pytest.mark.parametrize(
    ("step", "share"),
    [
        ({"step": "round"}, None),
        ({"step": "fine"}, 0.4),
        ({"step": "train", "at": 5, "of": 10}, 0.475),
        ({"step": "defense", "share": 0.25}, 0.25),
        ({"step": "of a user's method"}, None),
    ],
)
def test_the_share_of_a_step(step: dict[str, Any], share: float | None) -> None:
    assert fit_share(step) == share


def test_lines_and_events_of_a_part_have_the_time_of_the_whole(clock: Clock) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    whole = WholeTime({"fit 0": 1, "fit 1": 1, "attack": 2})
    whole.begin("fit 0")
    clock.now = 100
    whole.begin("fit 1")
    shown = ShownProgress("Fit 2 of 2", lambda event, **facts: events.append((event, facts)), whole)
    assert shown.beat() == "Fit 2 of 2: 0 s, 100 s so far in all, about 5 min left in all"
    clock.now = 150
    # The time left of the fit itself would be misread beside that of the audit.
    shown({"step": "full width", "total_seconds_left": 33.0})
    assert shown.state.endswith("map, 2 min 30 s so far in all, about 4 min left in all")
    shown.on_rows("reading", 1, 2)
    assert [(event, facts["total_elapsed"]) for event, facts in events] == [
        ("working", 100.0),
        ("progress", 150.0),
        ("rows", 150.0),
    ]
    assert [facts["total_seconds_left"] for _, facts in events] == [300.0, 225.0, 225.0]
    clock.now = 160
    assert shown.beat().endswith(", 2 min 40 s so far in all, about 4 min left in all")
    assert events[-1][1]["total_seconds_left"] == 215.0


def test_the_time_of_a_whole_fit_counts_down(clock: Clock) -> None:
    shown = ShownProgress("Aligning")
    shown({"step": "fine", "total_seconds_left": 60.0})
    assert shown.state == "refining the map, about 60 s left in all"
    clock.now = 20
    assert shown.state == "refining the map, about 40 s left in all"
    clock.now = 90
    assert shown.state == "refining the map"


def test_words() -> None:
    assert describe_total(None, None) == ""
    assert describe_total(30, None) == ", 30 s so far in all"
    step = {"step": "point", "rows": 1_000, "all_rows": 2_000, "side": "leaked"}
    assert describe_step(step) == "attacking with 1,000 of 2,000 leaked rows"


def test_an_audit_reports_its_share_from_the_first_defense_on() -> None:
    steps: list[dict[str, Any]] = []
    reported = SharesReported(steps.append, "quick", 64, (600, 600), 1)
    total = attack_share("quick", 64, (600, 600), 1)
    given: list[dict[str, Any]] = [
        {"step": "attack"},
        {"step": "defense", "at": 0},
        {"step": "defense", "at": 10},
        {"step": "attack"},
        {"step": "point"},
        {"step": "point"},
    ]
    for step in given:
        reported(step)
    assert steps[0].get("share") is None
    shares = [0.0, *(step["share"] for step in steps[1:])]
    assert shares[1] == round(0.4 / total, 3)
    assert shares[1:] == sorted(shares[1:])
    assert shares[5] == pytest.approx(1 - 0.8 / total, abs=1e-3)
    assert given[1] == {"step": "defense", "at": 0}
    assert total == pytest.approx(0.4 + 11 * 0.07 + FIT + 2 * 0.8)


@pytest.mark.parametrize(
    ("rows", "halvings", "sizes"),
    [(1_000, 0, []), (1_000, 3, [250, 500]), (499, 3, []), (4_000, 3, [500, 1_000, 2_000])],
)
def test_points_are_known_before_they_are_measured(rows: int, halvings: int, sizes: list[int]) -> None:
    assert point_sizes(rows, halvings) == sizes


def test_the_parts_of_an_audit_are_those_that_are_not_kept(tmp_path: Path, clock: Clock) -> None:
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    corpus = PublicCorpus(rows, [f"text {i}" for i in range(300)])

    def left(whole: WholeTime) -> float | None:
        whole.begin("fit 0")
        clock.now += 10
        whole.begin("fit 1")
        return whole.seconds_left()

    assert left(whole_time(corpus, [0, 1], [], None, 2.0)) == pytest.approx(10 * (FIT + DECODER + 2) / FIT)
    (tmp_path / "fit-1").mkdir()
    assert left(whole_time(corpus, [0, 1], [], tmp_path, 2.0)) == pytest.approx(10 * (DECODER + 2) / FIT)
    rows_only = PublicCorpus.of_rows(rows)
    assert left(whole_time(rows_only, [0, 1], [0], tmp_path, 2.0)) == pytest.approx(10 * (FIT + 2) / FIT)
