"""Readers of damaged files refuse them with a sentence or return what was written, within bounded memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resource", reason="memory is limited as POSIX does")

from hostile.fuzzed import CHECKED, damaged, good_files

FILES = 25


def test_damaged_files_of_every_kind_are_refused_or_read_right() -> None:
    script = Path(__file__).with_name("hostile") / "fuzzed.py"
    done = subprocess.run(
        [sys.executable, str(script), "--files", str(FILES)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = {record["kind"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == good_files().keys()
    assert {kind: record["wrong"] for kind, record in found.items() if record["wrong"]} == {}
    assert all(record["read"] + record["refused"] == FILES for record in found.values())
    # Damage that nothing notices would prove nothing.
    assert all(found[kind]["refused"] >= FILES // 3 for kind in CHECKED)
    assert max(record["grown_mb"] for record in found.values()) < 200


def test_damage_depends_on_the_seed_only() -> None:
    content = good_files()["npz"][1]
    first, again, other = (damaged(content, np.random.default_rng([0, n])) for n in (5, 5, 6))
    assert first == again != other
