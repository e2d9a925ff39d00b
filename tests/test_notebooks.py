"""The notebooks of the documentation run from top to bottom, and their committed outputs are of this code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# Without IPython, the last expression of a cell is only computed.
RUN = """
import json, sys
names = {}
for number, source in enumerate(json.load(open(sys.argv[1], encoding="utf-8"))):
    exec(compile(source, f"cell {number}", "exec"), names)
"""


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(path.read_text("utf-8"))["cells"] if cell["cell_type"] == kind]


# Two of the notebooks fit thousands of rows.
SLOW = ("align", "audit")


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [], id=path.stem) for path in NOTEBOOKS],
)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    if path.stem == "migrate":
        pytest.importorskip("duckdb")
    # The cells of a copy, whose folder is as deep as that of the notebook, so that it leaves nothing behind.
    place = tmp_path / "docs" / "notebooks"
    place.mkdir(parents=True)
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    (place / "cells.json").write_text(json.dumps(["".join(cell["source"]) for cell in cells(path, "code")]), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUN, "cells.json"],
        cwd=place, env={**os.environ, "MPLBACKEND": "agg"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["align", "audit", "migrate"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_complete_in_order_and_without_errors_or_paths(path: Path) -> None:
    code = cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not any(output["output_type"] == "error" for output in outputs)
    assert not any(output.get("name") == "stderr" for output in outputs)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    texts = json.dumps([{**output.get("data", {}), "image/png": "", "text": output.get("text")} for output in outputs])
    assert not re.search(r"/(?:home|root|tmp|Users|work)/", texts)
    assert path.stat().st_size < 600_000
