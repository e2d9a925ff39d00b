"""The guide's way from the first look to dropping the old column, on a real PostgreSQL server."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from stores.servers import postgres as postgres
from stores.servers import postgres_server as postgres_server

ROOT = Path(__file__).resolve().parents[2]
ROWS = 2_000
# Words of every command, which the guide has to show in this order.
ORDER = (
    *("interlingua plan", "interlingua identify", "interlingua fit", "interlingua evaluate", "interlingua search"),
    *("--dry-run", "interlingua migrate", "INSERT INTO items", "--catch-up", "count(*)", "RENAME COLUMN"),
    "DROP COLUMN embedding_old",
)


@pytest.fixture
def journey(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("journey")


def test_the_guide_leads_from_the_first_look_to_the_last_step(journey: ModuleType) -> None:
    found = [step.text for step in journey.steps(journey.GUIDE.read_text("utf-8"))]
    assert len(found) == len(ORDER)
    assert all(words in text for words, text in zip(ORDER, found, strict=True))


def test_the_page_says_what_the_fit_and_the_evaluation_found(journey: ModuleType) -> None:
    evidence = " transport excess  6.05  0.00262  ≥ 5  yes\n start agreement  0.746  0.0559  ≥ 0.8  no\n"
    scores = " source to target    0.850 ±0.015   1.653 ±0.167\n in the collection   0.738 ±0.019   4.216 ±0.992\n"
    printed = ["", "", f"Verdict: doubtful (score 1.00)\n{evidence}", scores]
    found = journey.verdict({"steps": [{"printed": text} for text in printed]})
    assert found == (
        "doubtful: start agreement 0.746 (≥ 0.8 is needed); `evaluate` found a top-1 of 0.850 from source to target, "
        "0.738 in the collection"
    )
    printed[2] = "Verdict: aligned (score 1.00)\n"
    assert journey.verdict({"steps": [{"printed": text} for text in printed]}).startswith("aligned; `evaluate` found")


@pytest.mark.store
def test_every_command_of_the_guide_works(journey: ModuleType, postgres: str, tmp_path: Path) -> None:
    import psycopg

    counts = journey.fill(postgres, tmp_path, ROWS, None)
    assert counts == {"items": ROWS + ROWS // 4, "new_model": ROWS, "reembedded": ROWS // 4}
    printed = []
    for step in journey.follow(postgres, tmp_path, sample=ROWS):
        assert step["code"] == 0, f"{step['step']}\n{step['printed']}"
        printed.append(step["printed"])
    plan, identified, fitted, evaluated, searched, dry, migrated, _, caught_up, checked, _, _ = printed
    assert f"{counts['items']:,} rows of width 512" in plan
    assert "route: public pairs" in plan  # the encoder is one that anybody can run
    assert "interlingua fit" in plan
    assert "for an unpaired fit" in journey.estimate({"steps": [{"printed": plan}]})
    assert "models" in identified
    assert "Verdict: aligned" in fitted
    # The fit reads two thirds of these rows, and the evaluation the others.
    assert f"{counts['reembedded'] // 3:,} paired rows" in evaluated
    assert len(json.loads(searched.splitlines()[0])["hits"]) == 100
    assert "Nothing was written." in dry
    assert f"Wrote {counts['items']:,} rows" in migrated
    assert "0 rows updated, 1 added, 0 deleted" in caught_up
    assert checked.startswith("[(")
    with psycopg.connect(postgres) as connection:
        columns = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'items'"
        ).fetchall()
        width, empty = connection.execute(
            "SELECT max(vector_dims(embedding)), count(*) FILTER (WHERE embedding IS NULL) FROM items"
        ).fetchone()
    assert {name for (name,) in columns} == {"id", "title", "embedding"}
    assert (width, empty) == (256, 0)
