"""Whatever says that a map or a migration is good says that searches can still be worse than with the old model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from command_line import Run
from interlingua.core.translator import load
from interlingua.core.wording import COMPARE_SEARCHES

WORDS = "rank worse than the old model itself"


def test_a_verdict_says_so_and_explains_its_score(run: Run, saved: Path) -> None:
    assert WORDS in COMPARE_SEARCHES
    assert WORDS in " ".join(run("inspect", saved).out.split())


@pytest.mark.parametrize("status", ["doubtful", "failed"])
def test_other_verdicts_have_reasons_of_their_own(run: Run, saved: Path, status: str) -> None:
    translator = load(saved)
    translator.card["verdict"]["status"] = status
    translator.save(saved.parent / "other")
    assert WORDS not in " ".join(run("inspect", saved.parent / "other").out.split())


def test_the_score_of_a_verdict_is_explained(run: Run, folder: Path) -> None:
    ran = run(
        *("fit", folder / "source.npy", folder / "target.npy", "--out", folder / "t", "--pairs", folder / "pairs.npy")
    )
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert "comes to its limit, at most 1. It does not rank aligned fits." in said
    assert WORDS in said


def test_evaluations_and_dry_runs_say_so(run: Run, saved: Path, folder: Path) -> None:
    files = folder / "source.npy", folder / "target.npy"
    assert WORDS in " ".join(run("evaluate", saved, *files).err.split())
    planned = run("migrate", saved, files[0], folder / "moved.npy", "--dry-run")
    assert WORDS in " ".join(planned.out.split())


def test_reports_say_so(run: Run, saved: Path, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    np.save(folder / "few.npy", np.load(folder / "source.npy")[:300])
    journal = ["--journal", folder / "journal.sqlite"]
    moved = run("migrate", saved, folder / "few.npy", folder / "moved.npy", *journal, "--report", folder / "moved.html")
    assert moved.code == 0, moved.err
    page = " ".join((folder / "moved.html").read_text("utf-8").split())
    assert page.count(WORDS) == 1
    assert "1 where every decisive measurement reaches its limit" in page
