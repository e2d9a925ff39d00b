"""What refits agree on: nearer to the true vectors than the rotation they start from, in both directions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua.aligners import base
from interlingua.aligners.frames import Frame, affine_maps, polar
from interlingua.aligners.linear.consensus import consensus
from interlingua.aligners.linear.full_width import polish_rotation
from interlingua.aligners.linear.refit_file import RefitFile
from interlingua.core.maps import AffineMap
from interlingua.core.statistics import agreement
from planted import Problem, encode, topics


@dataclass(frozen=True)
class Setting:
    problem: Problem
    frames: tuple[Frame, Frame]
    rows: base.Problem
    start: np.ndarray
    maps: tuple[AffineMap, AffineMap]


@pytest.fixture(scope="module")
def setting() -> Setting:
    """Noisy encoders of few rows, 60 and 48 wide, and where the search would end: a rotation refined on all rows."""
    rng = np.random.default_rng(0)
    n, held = 600, 500
    content = topics(2 * n + held, 40, rng)
    x, y = (encode(content, d, rng, noise=0.6) for d in (60, 48))
    p = Problem(x[:n], y[n : 2 * n], x[2 * n :], y[2 * n :])
    frames = Frame.of(p.source), Frame.of(p.target)
    a, b = (frame.center(z) for frame, z in zip(frames, (x[: 2 * n], y[: 2 * n]), strict=True))
    rows = base.Problem.of(p.source, p.target)
    start = polish_rotation(frames[0].rows, frames[1].rows, polar(a.T @ b), (50, 50, 30), rng=rng)
    return Setting(p, frames, rows, start, consensus(rows, start, seed=0))


def test_it_is_nearer_to_the_true_vectors_than_where_it_starts(setting: Setting) -> None:
    held = setting.problem.source_eval, setting.problem.target_eval
    rotations = affine_maps(*setting.frames, setting.start)
    for before, after, (x, y) in zip(rotations, setting.maps, (held, held[::-1]), strict=True):
        assert agreement(after(x), y) > agreement(before(x), y) + 0.02


def test_the_seed_decides_it(setting: Setting) -> None:
    again = consensus(setting.rows, setting.start, seed=0)
    other = consensus(setting.rows, setting.start, seed=1)
    for first, second, third in zip(setting.maps, again, other, strict=True):
        assert np.array_equal(first.matrix, second.matrix)
        assert not np.array_equal(first.matrix, third.matrix)


def test_an_interrupted_consensus_continues_to_the_same_bits(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.aligners.linear.refit_file._SAVE_SECONDS", 0.0)
    path = tmp_path / "run" / "refits.safetensors"

    def interrupt(step: dict[str, Any]) -> None:
        if step["at"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consensus(setting.rows, setting.start, seed=0, on_step=interrupt, file=RefitFile(path))
    steps: list[dict[str, Any]] = []
    found = consensus(setting.rows, setting.start, seed=0, on_step=steps.append, file=RefitFile(path))
    assert [step["at"] for step in steps] == list(range(6, 13))
    assert all(np.array_equal(a.matrix, b.matrix) for a, b in zip(found, setting.maps, strict=True))
    steps.clear()
    found = consensus(setting.rows, setting.start, seed=0, on_step=steps.append, file=RefitFile(path))
    assert steps == []
    assert all(np.array_equal(a.matrix, b.matrix) for a, b in zip(found, setting.maps, strict=True))


def test_refits_of_something_else_are_made_again(setting: Setting, tmp_path: Path) -> None:
    path = tmp_path / "refits.safetensors"
    total, rng = np.zeros((60, 48), np.float32), np.random.default_rng(0)
    first = RefitFile(path)
    first.identify((setting.start,), 0)
    first.save(total + 1, rng, 12, last=True)
    same, other = RefitFile(path), RefitFile(path)
    same.identify((setting.start,), 0)
    other.identify((setting.start,), 1)
    assert other.load(total, rng) == 0
    assert not total.any()
    assert same.load(total, rng) == 12
    assert total.all()
    path.write_bytes(b"damaged")
    assert same.load(total, rng) == 0


def test_refits_are_saved_when_the_file_is_old_and_at_the_end(setting: Setting, tmp_path: Path) -> None:
    path = tmp_path / "refits.safetensors"
    file, rng = RefitFile(path), np.random.default_rng(0)
    file.save(setting.start, rng, 3, last=False)
    assert not path.exists()
    file.save(setting.start, rng, 12, last=True)
    assert path.exists()
