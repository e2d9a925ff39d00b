"""What `align` refuses of a method of one's own, before anything is judged or saved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners import Fit, Problem
from interlingua.core.maps import AffineMap

X = np.random.default_rng(0).standard_normal((120, 12)).astype(np.float32)
Y = np.random.default_rng(1).standard_normal((130, 10)).astype(np.float32)


def affine(d_in: int, d_out: int, value: float = 1.0) -> AffineMap:
    return AffineMap(np.zeros(d_in, np.float32), np.full((d_in, d_out), value, np.float32), np.ones(d_out, np.float32))


class Method:
    """Returns what it was given."""

    pairs = "unused"

    def __init__(self, result: Any) -> None:
        self.result = result

    def fit(self, problem: Problem, *, seed: int, on_step: Any) -> Any:
        return self.result


FORWARD, BACKWARD = affine(12, 10), affine(10, 12)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "Method.fit returned NoneType; an interlingua.aligners.Fit is needed"),
        (Fit(None, BACKWARD), "the forward map is NoneType; a map such as AffineMap"),  # type: ignore[arg-type]
        (Fit(FORWARD, X), "the backward map is ndarray"),  # type: ignore[arg-type]
        (Fit(FORWARD, affine(12, 12)), r"the backward map cannot map rows of shape \(64, 10\)"),
        (Fit(affine(12, 9), BACKWARD), r"the forward map returned shape \(64, 9\)"),
        (Fit(FORWARD, affine(10, 12, np.nan)), "the backward map returned NaN or infinity"),
        (Fit(lambda rows: rows[:5, :10], BACKWARD), r"returned shape \(5, 10\)"),  # type: ignore[arg-type]
        (Fit(FORWARD, BACKWARD, trace=None), "a trace that is not a sequence of dicts"),  # type: ignore[arg-type]
        (Fit(FORWARD, BACKWARD, trace=(1, 2)), "a trace that is not a sequence of dicts"),  # type: ignore[arg-type]
        (Fit(FORWARD, BACKWARD, verdict="aligned"), "returned str as verdict"),  # type: ignore[arg-type]
    ],
)
def test_a_fit_that_breaks_the_contract_is_refused(result: Any, message: str) -> None:
    with pytest.raises(il.InputError, match=message):
        il.align(X, Y, method=Method(result))


def test_a_method_that_requires_pairs_is_not_run_without_them() -> None:
    method = Method(Fit(FORWARD, BACKWARD))
    method.pairs = "required"
    with pytest.raises(il.InputError, match="Method learns from known pairs and none were given"):
        il.align(X, Y, method=method)


def test_a_method_cannot_change_the_arrays_of_its_caller() -> None:
    class Careless(Method):
        def fit(self, problem: Problem, *, seed: int, on_step: Any) -> Any:
            problem.rows[0][:] = 0
            return self.result

    before = X.copy()
    with pytest.raises(ValueError, match="read-only"):
        il.align(X, Y, method=Careless(Fit(FORWARD, BACKWARD)))
    assert np.array_equal(X, before)


def test_an_object_without_fit_is_no_method() -> None:
    with pytest.raises(il.InputError, match="an object with fit"):
        il.align(X, Y, method=SimpleNamespace())
