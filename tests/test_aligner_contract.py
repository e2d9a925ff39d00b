"""The contract of aligners, for every method by name and for the example of the documentation."""

from __future__ import annotations

import importlib.util
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest

from contracts.aligner import AlignerContract, N
from interlingua.aligners import METHODS, Aligner, create_aligner
from interlingua.aligners.linear.aligner import Linear
from planted import draw_few_null_maps

EXAMPLE = Path(__file__).resolve().parents[1] / "docs" / "examples" / "own_aligner.py"
# Settings under which each method runs in seconds on the contract's small problems.
SMALL: dict[str, dict[str, Any]] = {
    "linear": {"rounds": 2},
    "adversarial": {
        "steps": 10, "width": 16, "discriminator_width": 16, "discriminator_depth": 3, "batch": 64, "warmup": 5,
        "check_every": 10, "log_every": 5, "consensus": 0.0,
    },
    "mini-vec2vec": {
        "runs": 8, "clusters": 8, "restarts": 8, "neighbors": 10, "refinements": 15, "final_clusters": 60
    },
    "centroids": {"runs": 8, "clusters": 8, "restarts": 8, "block": 150, "rounds": 10},
    "self-learning": {"patience": 3, "rounds": 60},
    "adversarial-rotation": {"epochs": 1, "epoch_rows": 640, "discriminator_width": 16, "refinements": 2},
    "gromov": {"rows": N, "max_iter": 40, "epsilon": 0.02},
}  # fmt: skip
NEEDS = {"adversarial": ("torch", "accelerate"), "adversarial-rotation": ("torch",), "gromov": ("ot",)}


@lru_cache
def made(method: str) -> Aligner:
    for module in NEEDS.get(method, ()):
        pytest.importorskip(module)
    return create_aligner(method, **SMALL.get(method, {}))


@lru_cache
def example() -> Aligner:
    spec = importlib.util.spec_from_file_location("own_aligner", EXAMPLE)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    aligner: Aligner = module.SkewedAxes()
    return aligner


class TestEveryMethod(AlignerContract):
    @pytest.fixture(params=[name for name in METHODS if name != "auto"])
    def aligner(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Aligner:
        # Only the test on noise is about a verdict.
        if "noise" not in request.node.name:
            draw_few_null_maps(monkeypatch)
        if request.param == "adversarial":
            # Training begins from the linear method, whose search is as short here as where it is tested alone.
            made(request.param)
            monkeypatch.setattr("interlingua.neural.aligner.Linear", partial(Linear, **SMALL["linear"]))
        return made(request.param)


class TestTheExampleOfTheDocumentation(AlignerContract):
    @pytest.fixture
    def aligner(self) -> Aligner:
        return example()
