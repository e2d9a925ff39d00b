"""A run on disk is continued only with the data and the start that it began with, which is checked before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import interlingua as il
from interlingua.core.errors import InputError
from interlingua.neural.pairwise import PairwiseAlignments
from planted import Problem, small_problem

TINY: dict[str, Any] = {
    "method": "adversarial", "width": 16, "latent": 16, "discriminator_width": 16, "batch": 32, "steps": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def planted_problem() -> Problem:
    return small_problem(200, (16, 16), held_out=100)


@pytest.fixture(scope="module")
def warm_run(planted_problem: Problem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    il.align(planted_problem.source, planted_problem.target, folder=folder, **TINY)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"swapped": True}, "seed-0 holds a run on other vectors of source and target. Pass the same rows in the same"),
        ({"nonorthogonal": True}, r"holds a run with other settings \(nonorthogonal False, now True\); repeat them"),
        ({"pairs": [[i, i] for i in range(12)]}, r"holds a run with other settings \(known pairs 'none', now '"),
        ({"max_rows": 150}, r"\(rows of the linear start \{'source': 200, 'target': 200\}, now \{'source': 150"),
        ({"lr": 0.5}, r"holds a run with other settings \(lr 0.0001, now 0.5\)"),
        ({"start": "cold"}, r"holds a run with other settings"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_differs_is_named_before_the_linear_start(
    planted_problem: Problem, warm_run: Path, change: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PairwiseAlignments, "fit", lambda *_, **__: pytest.fail("the linear start began"))
    settings = dict(change)
    source, target = planted_problem.source, planted_problem.target
    if settings.pop("swapped", False):
        source, target = target, source
    with pytest.raises(InputError, match=message):
        il.align(source, target, folder=warm_run, resume=True, **TINY, **settings)
