"""The benchmarks of the audit: names of kept fits, tables of membership and links, and texts that go with vectors."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua.leakage.findings import NEAR

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    if not BENCHMARKS.is_dir():
        pytest.skip("not a checkout")
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    return importlib.import_module(name)


def test_the_name_of_a_kept_fit_says_which_rows_it_saw() -> None:
    calibration = module("calibration")
    match = calibration.KEPT.fullmatch(calibration.kept_name("nq-open", "use", "minilm", 3, 1))
    assert match.groupdict() == {"corpus": "nq-open", "encoder": "use", "known": "minilm", "seed": "3", "third": "1"}
    assert calibration.KEPT.fullmatch("nq-open.use.minilm.3.2") is None
    thirds = calibration.thirds(3, 100)
    assert sorted(np.concatenate(thirds).tolist()) == list(range(100))
    assert [rows.tolist() for rows in calibration.thirds(3, 100)] == [rows.tolist() for rows in thirds]


def test_the_tables_show_membership_and_links_and_what_has_no_value() -> None:
    names = {"corpus": "trivia", "leaked": "use", "known": "minilm", "verdict": "aligned"}
    tests = {"auc": [0.9, 0.88, 0.92], "blind_auc": [0.5, 0.48, 0.52], "members": 4000, "controls": 500}
    membership = {"key": "membership/a", **names, **tests, "found": {"0.01": [0.4, 0.3, 0.5], "0.001": None}}
    measured = {"precision": [0.8, 0.7, 0.9], "recall": [None, None, None]}
    links = {"second": "bge", "share": 0.25, "linked": [0.125, 0.1, 0.15], "p_value": 0.002, "measured": measured}
    lines = module("membership").table([{"key": "linkage/a", **names, **links}, membership]).splitlines()
    tests_row, links_row = lines[2], lines[6]
    assert tests_row == (
        "| trivia | use, minilm | aligned | 0.90 (0.88 to 0.92) | 0.50 (0.48 to 0.52) | 0.40 (0.30 to 0.50) | – "
        "| 4,000, 500 |"
    )
    assert links_row == "| trivia | use and bge, minilm | 25% | 12.5% | 0.002 | 0.80 (0.70 to 0.90) | – |"
    for heading, row in ((lines[0], tests_row), (lines[4], links_row)):
        assert heading.count("|") == row.count("|")


def test_vectors_of_other_texts_are_deleted(tmp_path: Path) -> None:
    reports = module("reports")
    found = [("Surgery", "a note"), ("Dentistry", "another note")]
    reports.write_texts(tmp_path, "public", found)
    for file in reports.VECTORS:
        (tmp_path / file).write_bytes(b"vectors")
    reports.write_texts(tmp_path, "public", found)
    assert all((tmp_path / file).is_file() for file in reports.VECTORS)
    reports.write_texts(tmp_path, "public", found[:1])
    assert (tmp_path / "public.jsonl").read_text("utf-8") == '{"text": "a note", "label": "Surgery"}\n'
    gone = {file for file in reports.VECTORS if not (tmp_path / file).exists()}
    assert gone == {"public.npy", "public-stand-in.npy"}


def test_the_guide_quotes_the_recorded_tests_of_membership() -> None:
    guide = " ".join((BENCHMARKS.parent / "docs" / "guides" / "audit.md").read_text("utf-8").split())
    lines = (BENCHMARKS / "results" / "leakage-membership.jsonl").read_text("utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    found = [r for r in records if r["key"].startswith("membership/") and r["verdict"] != "failed"]
    assert len({r["corpus"] for r in found}) == 7

    def span(records: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> tuple[float, float]:
        values = [round(value(r), 2) for r in records]
        return min(values), max(values)

    assert (len(found), span(found, lambda r: r["auc"][0])) == (19, (0.57, 0.97))
    assert span(found, lambda r: r["blind_auc"][0]) == (0.48, 0.51)
    assert span(found, lambda r: r["found"]["0.01"][0]) == (0.05, 0.78)
    failed = [r for r in records if r["key"].startswith("membership/") and r["verdict"] == "failed"]
    assert (len(failed), span(failed, lambda r: r["auc"][0])) == (6, (0.49, 0.60))
    assert "In 19 recorded fits without pairs that are aligned or doubtful (seven corpora" in guide
    assert "membership is 0.57 to 0.97, and 0.48 to 0.51 without the leak. At 1% false alarms, 5 to 78%" in guide
    assert "In six failed fits the area is 0.49 to 0.60" in guide
    usable = [r for r in records if "failed" not in (r["verdict"], r.get("second_verdict"))]
    links = [r for r in usable if r["key"].startswith("linkage/")]
    none, quarter, every = ([r for r in links if r["share"] == share] for share in (0.0, 0.25, 1.0))
    assert len(none) == len(quarter) == len(every) == 10
    assert max(r["linked"][0] for r in none) < 0.005
    assert span(every, lambda r: r["measured"]["precision"][0]) == (1.0, 1.0)
    assert [round(100 * extreme(r["linked"][0] for r in every), 1) for extreme in (min, max)] == [0.3, 3.6]
    assert sum(r["p_value"] <= 0.01 for r in every) == 8
    assert span(quarter, lambda r: r["measured"]["precision"][0]) == (0.61, 1.0)
    assert min(r["p_value"] for r in quarter) > 0.01


def test_the_limit_of_similarity_lies_between_own_vectors_and_those_of_other_texts() -> None:
    similarity = module("similarity")
    records = module("records").read_records(similarity.RESULTS)
    own = [record["reached"] for record in records if record["on"] == record["corpus"]]
    other = [record["reached"] for record in records if record["on"] != record["corpus"]]
    assert len(own) >= 10
    assert min(own) > NEAR
    # Headlines of another kind are read with a fit on headlines.
    assert sum(reached > NEAR for reached in other) <= 1
    # The guide counts estimates that are more than twice as high as what was right.
    far = [record for record in records if record["on"] != record["corpus"] and record["reached"] < NEAR]
    too_high = sum(record["estimated"] > 2 * record["measured"] for record in far)
    guide = " ".join((BENCHMARKS.parent / "docs" / "guides" / "audit.md").read_text("utf-8").split())
    assert f"{too_high} of these {len(far)} estimates were more than twice the measured share" in guide
    table = similarity.summary(records)
    assert f"| its own vectors | {len(own)} | {min(own):.2f}, " in table
    assert f"| vectors of other texts | {len(other)} | {min(other):.2f}, " in table
