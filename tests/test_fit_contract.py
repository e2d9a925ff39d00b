"""What `align` refuses of a method of one's own, before anything is judged or saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners import Fit, Problem, create_aligner, registry
from interlingua.core.arguments import check_settings
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


class Late:
    """A map that is right for a few rows and wrong beyond them."""

    def __init__(self, d_in: int, d_out: int, fault: str) -> None:
        self.d_in, self.d_out, self.fault, self.rows = d_in, d_out, fault, 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        out = np.ones((len(x), self.d_out), np.float32)
        if len(x) <= 64:
            return out
        if self.fault == "raise":
            raise RuntimeError("too many rows")
        if self.fault == "count":
            return out[:-1]
        out[-1, 0] = float(self.fault)
        return out


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", "Method.fit: the forward map returned NaN or infinity"),
        ("inf", "Method.fit: the forward map returned NaN or infinity"),
        ("count", r"the forward map returned shape \(119, 10\) .* for 120 rows"),
        ("raise", r"the forward map cannot map rows of shape \(120, 12\) \(RuntimeError: too many rows\)"),
    ],
)
def test_a_map_that_goes_wrong_beyond_the_first_rows_is_refused(fault: str, message: str) -> None:
    with pytest.raises(il.InputError, match=message):
        il.align(X, Y, method=Method(Fit(Late(12, 10, fault), BACKWARD)))


def test_a_map_without_widths_is_refused() -> None:
    bare: Any = lambda rows: np.ones((len(rows), 10), np.float32)  # noqa: E731
    with pytest.raises(il.InputError, match="the forward map has d_in None and d_out None; the widths .*, 12 and 10"):
        il.align(X, Y, method=Method(Fit(bare, BACKWARD)))


@pytest.mark.parametrize(("card", "given"), [(5, "5"), (lambda: None, "None"), ("text", "'text'")])
def test_settings_for_a_card_that_are_no_dict_are_refused_before_the_fit(card: Any, given: str) -> None:
    class Own(Method):
        settings_for_card = staticmethod(card) if callable(card) else card

        def fit(self, problem: Problem, *, seed: int, on_step: Any) -> Any:
            pytest.fail("the fit was started")

    with pytest.raises(il.InputError, match=f"Own.settings_for_card gives {given}; a method that returns a dict"):
        il.align(X, Y, method=Own(None))


def test_an_object_that_is_no_aligner_is_refused_without_its_content() -> None:
    class Unprintable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    things: list[tuple[Any, str]] = [
        (Unprintable(), "an object of type Unprintable"),
        (X, r"ndarray of shape \(120, 12\)"),
    ]
    for thing, described in things:
        with pytest.raises(il.InputError, match=f"method is {described}; a name such as 'linear'"):
            il.align(X, Y, method=thing)


@dataclass(frozen=True)
class Bounded:
    """Has bounds, and no check of its own."""

    share: float = 0.5
    count: int = 3
    note: str | None = None
    bounds = {"share": {"above": 0, "maximum": 1}, "count": {"minimum": 1, "below": 9}}

    def fit(self, problem: Problem, *, seed: int, on_step: Any) -> Any:
        return Fit(FORWARD, BACKWARD)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"share": 0}, "share is 0; a finite number above 0 and at most 1 is needed"),
        ({"share": 1.5}, "share is 1.5; a finite number above 0 and at most 1"),
        ({"count": 0}, "count is 0; a finite number at least 1 and below 9"),
        ({"count": 9}, "count is 9; a finite number at least 1 and below 9"),
        ({"share": "much"}, "share is 'much'; a finite number"),
    ],
)
def test_bounds_of_an_own_method_hold_without_a_check_of_its_own(settings: Any, message: str) -> None:
    assert create_aligner(Bounded()).share == 0.5  # type: ignore[attr-defined]
    with pytest.raises(il.InputError, match=message):
        il.align(X, Y, method=Bounded(**settings))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (
            {"shares": {"above": 0}},
            "Bounded.bounds names 'shares', which is not a setting; choose from share, count",
        ),
        ({"share": {"min": 0}}, r"Bounded.bounds\['share'\] has the limit 'min'; choose from minimum, above, maximum"),
        ({"share": {"above": "0"}}, r"Bounded.bounds\['share'\]\['above'\] is '0'; a finite number"),
        ({"share": 3}, "Bounded.bounds is .*; {setting: {limit: number}} is needed"),
        (3, "Bounded.bounds is 3; {setting: {limit: number}} is needed"),
    ],
)
def test_bounds_that_cannot_be_used_are_refused(bounds: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bounded, "bounds", bounds)
    with pytest.raises(il.InputError, match=message):
        il.align(X, Y, method=Bounded())
    with pytest.raises(il.InputError, match=message):
        check_settings(Bounded())


def test_bounds_of_what_is_no_number_field_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bounded, "bounds", {"note": {"above": 0}})
    with pytest.raises(il.InputError, match="Bounded has bounds for 'note', which is not a field of type int or float"):
        check_settings(Bounded())


def test_every_limit_of_an_integer_field_holds() -> None:
    for value in (0, 9, 10):
        with pytest.raises(il.InputError, match=f"count is {value}; an integer >= 1 and < 9 is needed"):
            check_settings(Bounded(count=value))
    check_settings(Bounded(count=8))


def overwrite_vectors(problem: Problem) -> None:
    problem.source.vectors[:] = 0


def overwrite_rows(problem: Problem) -> None:
    problem.rows[1][:] = 0


def overwrite_known(problem: Problem) -> None:
    assert problem.known is not None
    problem.known[0][:] = 0


def overwrite_labels(problem: Problem) -> None:
    assert problem.labels is not None
    problem.labels[0][:] = 0


def overwrite_frame_rows(problem: Problem) -> None:
    problem.frames[0].rows[:] = 0


def overwrite_frame_mean(problem: Problem) -> None:
    problem.frames[1].mean[:] = 0


@pytest.mark.parametrize(
    "change",
    [overwrite_vectors, overwrite_rows, overwrite_known, overwrite_labels, overwrite_frame_rows, overwrite_frame_mean],
)
def test_an_own_method_cannot_change_the_arrays_it_receives(change: Callable[[Problem], None]) -> None:
    class Overwriting:
        name, pairs, labels = "overwriting", "optional", "optional"

        def fit(self, problem: Problem, *, seed: int, on_step: Any) -> Fit:
            change(problem)
            return Fit(FORWARD, BACKWARD)

    source, target = X.copy(), Y.copy()
    categories: Any = [[i % 3 for i in range(len(side))] for side in (source, target)]
    with pytest.raises(ValueError, match="assignment destination is read-only"):
        il.align(source, target, method=Overwriting(), pairs=[[i, i] for i in range(40)], labels=tuple(categories))
    np.testing.assert_array_equal(source, X)
    np.testing.assert_array_equal(target, Y)
    source[0] = 1  # arrays of the caller stay writable


class Plain:
    """Returns maps between the two widths that are refused by nothing."""

    def fit(self, problem: Problem, *, seed: int, on_step: Any) -> Fit:
        return Fit(FORWARD, BACKWARD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": "required"}, "Own.labels is 'required'; choose from unused, optional"),
        ({"labels": True}, "Own.labels is True; choose from"),
        ({"views": "required"}, "Own.views is 'required'; choose from unused, optional"),
        ({"pairs": ["unused"]}, r"Own.pairs is \['unused'\]; choose from unused, optional, required"),
        ({"name": None}, "Own.name is None; a text is needed"),
        ({"name": " "}, "Own.name is ' '; a name in one line is needed"),
        ({"name": "a\nb"}, r"Own.name is 'a\\nb'; a name in one line is needed"),
        ({"fit": lambda self, problem: None}, r"Own.fit\(problem\) cannot be called as .* unexpected keyword .*'seed'"),
        ({"fit": lambda self: None}, r"Own.fit\(\) cannot be called as"),
        ({"fit": lambda self, a, b, *, seed, on_step: None}, "missing a required argument: 'b'. Define it as fit"),
    ],
)
def test_attributes_of_a_method_that_cannot_be_used_are_refused_before_the_fit(change: Any, message: str) -> None:
    with pytest.raises(il.InputError, match=message):
        create_aligner(type("Own", (Plain,), change)())


@pytest.mark.parametrize(
    "value", [Path("/models"), np.ones(3), float("nan"), {(1, 2): 3}, {1, 2}, b"x", object(), {"a": np.float32(2)}]
)
def test_settings_that_no_card_can_hold_are_refused_before_the_fit(value: Any) -> None:
    @dataclass
    class Own(Plain):
        setting: Any

    with pytest.raises(
        il.InputError, match="Own: the setting 'setting' is .*, which JSON cannot store.*metadata=..local"
    ):
        create_aligner(Own(value))


def test_a_local_setting_may_be_of_any_type() -> None:
    @dataclass
    class Own(Plain):
        folder: Path = field(default=Path("/models"), metadata={"local": True})

    create_aligner(Own())


class Odd:
    """A map through any function of rows."""

    def __init__(self, function: Any, d_in: int = 12, d_out: int = 10) -> None:
        self.function, self.d_in, self.d_out = function, d_in, d_out

    def __call__(self, x: np.ndarray) -> Any:
        return self.function(x)


def dropout() -> Odd:
    rng = np.random.default_rng(0)
    return Odd(lambda x: x[:, :10] * rng.integers(0, 2, (len(x), 10)))


def overwrite(x: np.ndarray) -> np.ndarray:
    x *= 2
    return x[:, :10]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (Odd(lambda x: x[:, :10] - x[:, :10].mean(axis=0)), "gives the first 64 rows another result when more rows"),
        (dropout(), "A map that does not change and treats each row on its own is needed"),
        (Odd(overwrite), "cannot map rows of shape .* read-only"),
        (Odd(lambda x: x[:, :10].tolist()), r"returned list of length 64; a NumPy array of shape \(64, 10\) is needed"),
        (Odd(lambda x: np.ma.array(x[:, :10], mask=x[:, :10] > 1)), "returned MaskedArray of shape"),
    ],
)
def test_a_map_that_could_not_translate_is_refused_before_the_verdict(mapping: Any, message: str) -> None:
    with pytest.raises(il.InputError, match=f"Method.fit: the forward map {message}|{message}"):
        il.align(X, Y, method=Method(Fit(mapping, BACKWARD)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_rounding_of_a_map_is_no_dependence_between_rows(dtype: Any) -> None:
    weights = np.random.default_rng(2).standard_normal((12, 10))
    rounded: Any = Odd(lambda x: (x @ weights).astype(dtype))
    il.align(X, Y, method=Method(Fit(rounded, BACKWARD)))


def test_a_step_of_a_method_that_is_named_candidate_is_no_candidate_target() -> None:
    alignment = il.align(X, Y, method=Method(Fit(FORWARD, BACKWARD, trace=({"step": "candidate"},))))
    assert alignment.candidates == ()
    assert alignment.summary()


def test_on_step_cannot_change_the_trace() -> None:
    def empty(step: dict[str, Any]) -> None:
        step.clear()

    alignment = il.align(X, X, pairs=[[i, i] for i in range(60)], method="procrustes", on_step=empty)
    assert [step["step"] for step in alignment.trace] == ["rows", "pairs", "procrustes"]


def test_a_missing_required_setting_is_refused_before_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Own(Plain):
        scale: float

    monkeypatch.setattr(registry, "_load", lambda name: Own)
    with pytest.raises(il.InputError, match="method 'own' cannot be made .*: missing a required argument: 'scale'"):
        create_aligner("own")
    assert create_aligner("own", scale=2.0).scale == 2.0  # type: ignore[attr-defined]
