from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

import interlingua
from command_line import D_SOURCE, Rows, Run

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def demo_data(folder: Path, planted: tuple[Rows, Rows]) -> Path:
    data = folder / "data"
    data.mkdir()
    for side, rows in zip(("source", "target"), planted, strict=True):
        np.save(data / f"{side}.npy", rows[:400])
        np.save(data / f"eval-{side}.npy", rows[400:])
    (data / "CARD.json").write_text(
        json.dumps({"encoders": {"source": {"title": "Left"}, "target": {"title": "Right"}}})
    )
    sections = {"names": ["a", "b"], "source": [0] * 400, "target": [1] * 400, "eval": [0] * 200}
    (data / "sections.json").write_text(json.dumps(sections))
    return data


@pytest.fixture
def quick_align(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the demo's fit the pairs that it has to do without elsewhere, so that it takes no time."""
    pairs = np.stack([np.arange(400)] * 2, axis=1)
    monkeypatch.setattr(interlingua, "align", functools.partial(interlingua.align, pairs=pairs))


@pytest.mark.usefixtures("quick_align")
def test_demo_measures_before_and_after_and_writes_a_report(run: Run, demo_data: Path) -> None:
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 0, ran.err
    for way in ("forward", "backward"):
        assert ran.json["before"][way]["top1"] < 0.1
        assert ran.json["after"][way]["top1"] > 0.9
    assert ran.json["source"] == {"name": "Left", "rows": 400, "d": D_SOURCE}
    assert (demo_data.parent / "report.html").stat().st_size > 0


@pytest.mark.usefixtures("quick_align")
def test_demo_prints_verdict_and_table(run: Run, demo_data: Path) -> None:
    shown = run("demo", "--data", demo_data).out
    for part in ("400 rows of Left", "known pairs: none", "Verdict: ", "as they are", "translated", "report.html"):
        assert part in shown


def test_demo_names_the_missing_files(run: Run, demo_data: Path) -> None:
    (demo_data / "eval-target.npy").unlink()
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 2
    assert "lacks eval-target.npy" in ran.json["error"]


@pytest.mark.slow
def test_the_shipped_demo_succeeds_without_a_pair(run: Run, tmp_path: Path) -> None:
    if not (REPOSITORY / "demo" / "data" / "source.npy").is_file():
        pytest.skip("needs demo/data, which only a checkout has")
    ran = run("demo", "--data", REPOSITORY / "demo" / "data", "--report", tmp_path / "report.html", "--json")
    assert ran.code == 0
    assert ran.json["verdict"]["status"] == "aligned"
    assert ran.json["seconds"] < 300
    ceiling = json.loads((REPOSITORY / "demo" / "data" / "CARD.json").read_text("utf-8"))["paired_ceiling"]
    for way in ("forward", "backward"):
        assert ran.json["after"][way]["top1"] > 0.9 * ceiling[f"{way}_top1"]
