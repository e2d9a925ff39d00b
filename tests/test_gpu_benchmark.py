"""The script for a machine with a GPU works here with tiny rows, continues, and says what is missing."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("gpu")


def script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [ROOT / "benchmarks" / "gpu.sh", *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def records(path: Path) -> dict[str, Any]:
    return {record["key"]: record for record in map(json.loads, path.read_text("utf-8").splitlines())}


def test_a_smoke_run_records_every_step_and_a_second_run_adds_nothing(gpu: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    folder, out = tmp_path / "data", tmp_path / "records.jsonl"
    ran = script("--smoke", "--folder", folder, "--out", out)
    assert ran.returncode == 0, ran.stderr
    found = records(out)
    assert list(found) == [
        "linear/planted/cpu/0",
        "second search/planted/cpu/0",
        "cold/planted/cpu/0/4",
        "cold/planted/cpu/0/8",
    ]
    steps = [step["at"] for step in found["cold/planted/cpu/0/8"]["curves"] if step["step"] == "train"]
    assert steps == [2, 4, 6, 8]
    assert all(len(record["top1"]) == 2 and record["rows"] == [150, 150] for record in found.values())
    before = out.read_bytes()
    assert gpu.main(["measure", "--smoke", "--folder", str(folder), "--out", str(out)]) == 0
    assert out.read_bytes() == before


def test_without_time_nothing_is_started(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("accelerate")
    out = tmp_path / "records.jsonl"
    ran = script("--smoke", "--minutes", "0", "--folder", tmp_path / "data", "--out", out)
    assert ran.returncode == 1, ran.stderr
    assert "linear/planted/cpu/0: about 1 s are needed and " in ran.stderr
    assert not out.exists()


def test_what_is_missing_is_listed(gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(gpu, "NEEDED", ("numpy", "no_such_package"))
    lacks = gpu.missing(tmp_path, "cuda")
    assert lacks[0] == "the package no_such_package"
    assert "cases.json: write it with benchmarks/gpu.py prepare" in lacks[1]
    monkeypatch.setattr(gpu, "NEEDED", ("numpy",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "an NVIDIA GPU that torch" in gpu.missing(tmp_path, "cuda")[0]
    assert gpu.main(["measure", "--folder", str(tmp_path)]) == 3


def test_sides_are_disjoint_texts_and_held_out_rows_are_pairs(gpu: ModuleType, tmp_path: Path) -> None:
    x = np.arange(100, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    for name in "xy":
        np.save(tmp_path / f"{name}.npy", x)
    folder = tmp_path / "data"
    case = f"a={tmp_path / 'x.npy'},{tmp_path / 'y.npy'}"
    assert gpu.main(["prepare", "--folder", str(folder), case, "--rows", "30"]) == 0
    source, target, held_x, held_y = (np.load(folder / f"a.{part}.npy")[:, 0] for part in gpu.PARTS)
    assert (len(source), len(target), len(held_x)) == (30, 30, 20)
    assert np.array_equal(held_x, held_y)
    assert len({*source, *target, *held_x}) == 80
    with pytest.raises(SystemExit, match=r"cases\.json exists; remove"):
        gpu.main(["prepare", "--folder", str(folder), case])


def test_cases_that_cannot_travel_are_refused(gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", np.ones((100, 4)))
    np.save(tmp_path / "y.npy", np.ones((90, 4)))
    with pytest.raises(SystemExit, match="a: 100 and 90 rows; both files must hold the same texts"):
        gpu.prepare({"a": (tmp_path / "x.npy", tmp_path / "y.npy")}, tmp_path / "one", 50)
    monkeypatch.setattr(gpu, "LARGEST", 100)
    with pytest.raises(SystemExit, match="bytes and at most 100 travel; give fewer rows or cases"):
        gpu.prepare({"a": (tmp_path / "x.npy", tmp_path / "x.npy")}, tmp_path / "two", 50)
    with pytest.raises(SystemExit, match=r"'a=x' is not a case; write NAME=SOURCE\.npy,TARGET\.npy"):
        gpu.main(["prepare", "a=x"])
