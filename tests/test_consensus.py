"""What refits agree on: nearer to the true vectors than the rotation they start from, in both directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from interlingua.aligners import base
from interlingua.aligners.frames import Frame, affine_maps, polar
from interlingua.aligners.linear.consensus import consensus
from interlingua.aligners.linear.full_width import polish_rotation
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
