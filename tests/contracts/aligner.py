"""What holds for every method of alignment; see `AlignerContract`."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

import interlingua as il
from interlingua.aligners import Aligner, Fit, Problem, method_name, pair_use
from interlingua.core.errors import InputError
from interlingua.evaluation.metrics import match_ranks
from planted import rotation

Rows = npt.NDArray[Any]
# (source, target) width of the planted problem and of its variants.
WIDTHS = {"wider": (10, 14), "narrower": (14, 10)}
DTYPES = ("float16", "float32", "float64", "int32")
N, HELD_OUT, KNOWN, LATENT = 360, 150, 120, 9


@dataclass(frozen=True)
class Planted:
    """One planted problem: the same texts under two encoders, in another order, and held-out pairs."""

    source: Rows
    target: Rows
    pairs: Rows
    source_eval: Rows
    target_eval: Rows


@lru_cache
def planted(case: str) -> Planted:
    """Return a variant of the problem: ``plain``, ``permuted``, ``rotated``, a name of `WIDTHS` or one of `DTYPES`."""
    rng = np.random.default_rng(7)
    centers = rng.standard_normal((8, LATENT)) * np.geomspace(3, 1, LATENT)
    chosen = rng.choice(8, N + HELD_OUT, p=rng.dirichlet(np.full(8, 8.0)))
    latent = centers[chosen] + 0.25 * rng.exponential(size=(N + HELD_OUT, LATENT))
    latent /= np.linalg.norm(latent, axis=1, keepdims=True)
    widths = WIDTHS.get(case, (12, 12))
    source, target = (latent @ rotation(LATENT, d, rng) + 0.02 * rng.standard_normal(d) for d in widths)
    source = source @ rotation(12, 12, rng) if case == "rotated" else source
    order = rng.permutation(N)
    rows = rng.permutation(N) if case == "permuted" else np.arange(N)
    pairs = np.stack([np.arange(N), np.argsort(order)[rows]], axis=1)[:KNOWN]
    dtype = np.dtype(case if case in DTYPES else "float32")
    scale = 1000 if dtype.kind == "i" else 1
    sides = (source[:N][rows], target[:N][order], source[N:], target[N:])
    arrays = [np.rint(scale * side).astype(dtype) if scale > 1 else side.astype(dtype) for side in sides]
    for array in arrays:
        array.flags.writeable = False
    return Planted(arrays[0], arrays[1], pairs, arrays[2], arrays[3])


def fit(aligner: Aligner, case: str, seed: int = 0, *, pairs: bool | None = None) -> tuple[Fit, list[dict[str, Any]]]:
    """Fit one case and return the fit with the steps that were reported."""
    p = planted(case)
    known = p.pairs if pair_use(aligner) == "required" or pairs else None
    steps: list[dict[str, Any]] = []
    return aligner.fit(Problem.of(p.source, p.target, pairs=known), seed=seed, on_step=steps.append), steps


def error_of(found: Fit, case: str) -> float:
    """Return the mean rank of the true row among the held-out ones, over both directions: 0 at best, 0.5 by chance."""
    p = planted(case)
    x, y = p.source_eval.astype(np.float32), p.target_eval.astype(np.float32)
    ranks = [match_ranks(found.forward(x), y)[0], match_ranks(found.backward(y), x)[0]]
    return float(np.mean([(side - 1).mean() / (HELD_OUT - 1) for side in ranks]))


def state() -> dict[str, Any]:
    """Return what a fit of the plain case may not change: its inputs, and the global generators of random numbers."""
    numbers: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - the claim
    return {
        "inputs": [array.tobytes() for array in (planted("plain").source, planted("plain").target)],
        "numpy": (numbers["state"]["key"].tolist(), numbers["state"]["pos"]),
        "python": random.getstate(),
        "torch": torch.get_rng_state().tolist() if (torch := sys.modules.get("torch")) else None,
    }


# Fits of the plain case, and the state before and after, by the identity of the aligner, which is kept alive with them.
_PLAIN_FITS: dict[int, tuple[Aligner, tuple[Fit, list[dict[str, Any]]], list[dict[str, Any]]]] = {}


def plain(value: Any) -> bool:
    """Return whether a step holds nothing but numbers, words, and lists and mappings of them."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str)


class AlignerContract:
    """Inherit this in a class that has the fixture ``aligner``: a method with settings for small problems."""

    # How far the error may move when rows are permuted or the source is rotated.
    tolerance = 0.1
    # Methods that compare or start from coordinates, by definition: a rotation of one side changes them.
    coordinate_methods: ClassVar[frozenset[str]] = frozenset({"identity", "mean-shift", "adversarial-rotation"})

    @pytest.fixture
    def found(self, aligner: Aligner) -> tuple[Fit, list[dict[str, Any]]]:
        if id(aligner) not in _PLAIN_FITS:
            before = state()
            _PLAIN_FITS[id(aligner)] = aligner, fit(aligner, "plain"), [before, state()]
        return _PLAIN_FITS[id(aligner)][1]

    def test_the_same_seed_gives_the_same_maps(self, aligner: Aligner, found: tuple[Fit, Any]) -> None:
        again, _ = fit(aligner, "plain")
        p = planted("plain")
        for name, rows in (("forward", p.source), ("backward", p.target)):
            first, second = (getattr(one, name)(rows) for one in (found[0], again))
            assert np.array_equal(first, second), f"the {name} map differs: draw from np.random.default_rng(seed) alone"

    @pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "float32"])
    def test_any_number_type_gives_the_quality_of_float32(
        self, dtype: str, aligner: Aligner, found: tuple[Fit, Any]
    ) -> None:
        other, _ = fit(aligner, dtype)
        assert np.isfinite(other.forward(planted(dtype).source)).all(), "fit on problem.rows, which are float32"
        assert error_of(other, dtype) == pytest.approx(error_of(found[0], "plain"), abs=self.tolerance)

    @pytest.mark.parametrize("case", list(WIDTHS))
    def test_widths_may_differ(self, case: str, aligner: Aligner) -> None:
        p = planted(case)
        maps, _ = fit(aligner, case)
        sides = (("forward", p.source_eval, p.target_eval), ("backward", p.target_eval, p.source_eval))
        for name, rows, others in sides:
            mapped = getattr(maps, name)(rows)
            assert mapped.shape == others.shape, f"the {name} map must return rows of width {others.shape[1]}"
            assert np.isfinite(mapped).all(), f"the {name} map returns numbers that are not finite"

    @pytest.mark.parametrize("case", ["permuted", "rotated"])
    def test_order_of_rows_and_rotation_of_the_source_do_not_matter(
        self, case: str, aligner: Aligner, found: tuple[Fit, Any]
    ) -> None:
        if case == "rotated" and method_name(aligner) in self.coordinate_methods:
            pytest.skip("depends on coordinates by definition")
        other, _ = fit(aligner, case)
        assert error_of(other, case) == pytest.approx(error_of(found[0], "plain"), abs=self.tolerance)

    def test_gaussian_noise_is_not_called_aligned(self, aligner: Aligner) -> None:
        rng = np.random.default_rng(3)
        x, y = (rng.standard_normal((N, 10)).astype(np.float32) for _ in range(2))
        pairs = np.stack([np.arange(KNOWN)] * 2, axis=1) if pair_use(aligner) == "required" else None
        status = str(il.align(x, y, pairs=pairs, method=aligner).verdict.status)
        assert status != "aligned", "return no verdict of your own, or one that is not aligned where nothing is"

    def test_pairs_are_refused_used_or_required(self, aligner: Aligner) -> None:
        p = planted("plain")
        if pair_use(aligner) == "unused":
            with pytest.raises(InputError, match=f"{KNOWN} pairs were given and {method_name(aligner)} uses none"):
                il.align(p.source, p.target, pairs=p.pairs, method=aligner)
        elif pair_use(aligner) == "required":
            with pytest.raises(InputError, match=f"{method_name(aligner)} learns from known pairs and none were given"):
                il.align(p.source, p.target, method=aligner)
        else:
            assert error_of(fit(aligner, "plain", pairs=True)[0], "plain") < 0.1

    def test_the_trace_holds_plain_values_and_every_step_of_it_is_reported(
        self, found: tuple[Fit, list[dict[str, Any]]]
    ) -> None:
        trace, reported = found[0].trace, found[1]
        assert trace, (
            "Fit.trace is empty: return the dicts that were passed to on_step, at least one, as Fit(..., trace=)"
        )
        for step in trace:
            assert plain(step), (
                f"a step holds numbers, words, lists and dicts alone, and no array or numpy number: {step}"
            )
            json.dumps(step, allow_nan=False)
            assert isinstance(step.get("step"), str), f"the name of a step is missing: {step} needs the key 'step'"
        remaining = iter(reported)
        assert all(any(step == other for other in remaining) for step in trace), (
            "on_step was not called with every step of Fit.trace, or in another order"
        )

    def test_inputs_and_global_random_generators_are_untouched(self, aligner: Aligner, found: tuple[Fit, Any]) -> None:
        before, after = _PLAIN_FITS[id(aligner)][2]
        changed = sorted(name for name in before if after[name] != before[name])
        assert not changed, f"the fit changed {changed}: copy the inputs, and draw from np.random.default_rng(seed)"
