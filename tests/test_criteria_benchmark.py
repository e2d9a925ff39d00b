"""``benchmarks/criteria.py`` shows what a criterion tells apart: it is how a contributor tries one."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from interlingua.aligners import Fit, Problem
from interlingua.aligners.frames import affine_maps, polar
from planted import encode, topics

ROOT = Path(__file__).resolve().parents[1]


def test_a_right_map_passes_every_check_and_a_damaged_one_does_not(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    criteria = importlib.import_module("criteria")
    content = topics(600, 24, rng)
    x, y = (encode(content, d, rng) for d in (30, 28))
    problem = Problem.of(x[:300], y[300:])
    frames = problem.frames
    fit = Fit(*affine_maps(*frames, polar(frames[0].center(x).T @ frames[1].center(y))))

    def mean_error(problem: Problem, fit: Fit) -> float:
        return float(np.linalg.norm(fit.forward(problem.rows[0]).mean(axis=0) - problem.rows[1].mean(axis=0)))

    table = criteria.measure(problem, fit, seed=0, function=mean_error)
    assert not any("!" in value for value in table["fit"].values())
    assert "!" in table["collapsed to the mean"]["sliced_wasserstein"]
    values = {kind: float(row["effective_rank"].removesuffix(" !")) for kind, row in table.items()}
    assert values["8 directions only"] < values["pulled to 20 rows"] < values["fit"]
    assert sum("null map" in kind for kind in table) == 6
    lines = criteria.as_markdown(table).splitlines()
    assert lines[0] == "| map | sliced_wasserstein | hubness | effective_rank | function |"
    assert len(lines) == 2 + len(table)
