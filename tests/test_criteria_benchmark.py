"""``benchmarks/criteria.py`` shows what a criterion tells apart: it is how a contributor tries one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from interlingua.aligners import Fit, Problem
from interlingua.aligners.frames import affine_maps, polar
from planted import encode, topics

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "docs" / "examples" / "own_criterion.py"


@pytest.fixture
def criteria(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("criteria")


def test_a_right_map_passes_every_check_and_a_damaged_one_does_not(
    criteria: ModuleType, rng: np.random.Generator
) -> None:
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
    assert table["fit"]["function"] == f"{mean_error(problem, fit):.3g}"
    assert float(table["pulled to 20 rows"]["function"]) > float(table["fit"]["function"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("covariance_agreement", "--function is 'covariance_agreement'; FILE.py:NAME is needed"),
        ("missing.py:f", "--function is 'missing.py:f'; FILE.py:NAME is needed, with a file that exists"),
        (f"{OWN}:other", "own_criterion.py has no function 'other'; name a function"),
        (f"{OWN}:__doc__", "own_criterion.py has no function '__doc__'; name a function"),
    ],
)
def test_a_function_that_is_not_there_is_refused(criteria: ModuleType, text: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        criteria.function_of(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rows", "-5"), "--rows is -5; at least 100 are needed"),
        (("missing.npy", "b.npy"), "missing.npy is not a .npy file; two files of vectors are needed"),
        ((str(OWN), "b.npy"), "own_criterion.py is not a .npy file"),
        (("a.npy",), "give SOURCE and TARGET, or neither of them for the demo's vectors"),
    ],
)
def test_rows_and_files_that_cannot_be_read_are_refused(
    criteria: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["criteria.py", *options])
    with pytest.raises(SystemExit, match="2"):
        criteria.main()
    assert message in capsys.readouterr().err


def test_the_function_of_the_documentation_is_found(criteria: ModuleType) -> None:
    assert criteria.function_of(f"{OWN}:covariance_agreement").__name__ == "covariance_agreement"
