"""``interlingua fit`` with several candidate targets, and the causes of a failed fit on the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from command_line import Run
from interlingua.core.translator import load


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> Path:
    for name, shape in (("source", (150, 10)), ("news", (140, 9)), ("mail", (130, 9)), ("wide", (140, 12))):
        np.save(tmp_path / f"{name}.npy", rng.standard_normal(shape).astype(np.float32))
    return tmp_path


def arguments(files: Path, *more: object) -> list[object]:
    paths = [files / f"{name}.npy" for name in ("source", "news")]
    return ["fit", *paths, "--out", files / "fitted", "--set", "rounds=1", *more]


def test_every_candidate_is_in_the_result_the_card_and_the_report(run: Run, files: Path) -> None:
    report = files / "report.html"
    ran = run(*arguments(files, "--target", files / "mail.npy", "--allow-failed", "--json", "--report", report))
    result = json.loads(ran.out)
    assert [each["name"] for each in result["candidates"]] == ["news", "mail"]
    assert sorted(each["use"] for each in result["candidates"]) == ["kept", "left out"]
    assert result["news"] == {"rows": 140, "of": 140}
    card = load(files / "fitted").card
    assert card["candidates"] == result["candidates"]
    kept = next(each["name"] for each in card["candidates"] if each["use"] == "kept")
    assert card["target"]["name"] == kept
    assert "Candidate targets" in report.read_text("utf-8")
    assert "Candidate targets:" in run("inspect", files / "fitted").out


def test_a_failed_fit_prints_its_causes(run: Run, files: Path) -> None:
    ran = run(*arguments(files))
    assert ran.code == 1
    shown = " ".join(ran.out.split())
    heading, cause = "Why this fit is not aligned:", "few rows: The source has 150 distinct rows and the target has 140"
    assert f"{heading} - {cause} distinct rows." in shown
    assert "Give at least 4,398 distinct rows of the source and of the target" in shown


def test_candidates_of_other_widths_or_named_twice_are_refused(run: Run, files: Path) -> None:
    ran = run(*arguments(files, "--target", files / "wide.npy"))
    assert ran.code == 2
    assert "target 'wide' has width 12 and target 'news' has width 9" in " ".join(ran.err.split())
    ran = run(*arguments(files, "--target", files / "news.npy"))
    assert ran.code == 2
    assert "is named more than once as a target" in " ".join(ran.err.split())
