"""Affine maps: the formula, row by row, in the dtype that came."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap

Array = npt.NDArray[Any]


def drawn(d_in: int, d_out: int, rng: np.random.Generator, **settings: Any) -> AffineMap:
    mean_in, matrix, mean_out = (
        rng.standard_normal(shape).astype(np.float32) for shape in ((d_in,), (d_in, d_out), (d_out,))
    )
    return AffineMap(mean_in, matrix, mean_out, **settings)


def formula(m: AffineMap, x: Array) -> Array:
    """The definition, one row at a time and in float64."""
    out = []
    for row in x.astype(np.float64):
        u = row / (np.linalg.norm(row) or 1) if m.unit_in else row
        y = (u - m.mean_in) @ m.matrix.astype(np.float64) + m.mean_out
        out.append(m.norm_out * y / (np.linalg.norm(y) or 1) if m.unit_out else y)
    return np.array(out).reshape(len(x), m.d_out)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 20),
    widths=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    unit_in=st.booleans(),
    unit_out=st.booleans(),
    norm_out=st.floats(0.1, 30),
)
def test_a_map_is_its_formula(
    seed: int, n: int, widths: tuple[int, int], unit_in: bool, unit_out: bool, norm_out: float
) -> None:
    rng = np.random.default_rng(seed)
    m = drawn(*widths, rng, unit_in=unit_in, unit_out=unit_out, norm_out=norm_out)
    x = rng.standard_normal((n, widths[0]))
    wanted = formula(m, x)
    # The offset is kept in float32; where an outgoing row is short, bringing it to length makes that visible.
    shortest = np.linalg.norm(formula(AffineMap(m.mean_in, m.matrix, m.mean_out, unit_in, False), x), axis=1).min()
    magnify = norm_out / min(1, shortest) if unit_out else 1
    assert m(x) == pytest.approx(wanted, rel=1e-5, abs=1e-5 * max(1, magnify))


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), cut=st.integers(0, 40), unit=st.booleans())
def test_no_row_depends_on_another(seed: int, n: int, cut: int, unit: bool) -> None:
    rng = np.random.default_rng(seed)
    m = drawn(6, 5, rng, unit_in=unit, unit_out=unit)
    x = rng.standard_normal((n, 6)).astype(np.float32)
    whole = m(x)
    order = rng.permutation(n)
    assert m(x[order]) == pytest.approx(whole[order], rel=1e-4, abs=1e-5)
    parts = [m(part) for part in (x[: min(cut, n)], x[min(cut, n) :])]
    assert np.concatenate(parts) == pytest.approx(whole, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("given_as", "computed_in"),
    [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64), (np.int8, np.float32)],
)
def test_float64_is_computed_in_float64_and_all_else_in_float32(
    given_as: Any, computed_in: Any, rng: np.random.Generator
) -> None:
    m = drawn(4, 3, rng)
    assert m((10 * rng.standard_normal((5, 4))).astype(given_as)).dtype == computed_in


def test_length_of_incoming_rows_is_ignored_only_where_rows_are_brought_to_unit_norm(rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 4))
    for unit_in in (True, False):
        m = drawn(4, 3, rng, unit_in=unit_in, unit_out=False)
        assert (m(7 * x) == pytest.approx(m(x), abs=1e-5)) is unit_in


def test_outgoing_rows_have_the_length_asked_for(rng: np.random.Generator) -> None:
    out = drawn(4, 3, rng, norm_out=2.5)(rng.standard_normal((9, 4)).astype(np.float32))
    assert np.linalg.norm(out, axis=1) == pytest.approx(2.5, rel=1e-6)


def test_the_input_is_left_as_it_was(rng: np.random.Generator) -> None:
    x = rng.standard_normal((5, 4)).astype(np.float32)
    before = x.copy()
    drawn(4, 4, rng)(x)
    assert np.array_equal(x, before)


def test_a_zero_row_gives_no_nan() -> None:
    m = AffineMap(np.zeros(2, np.float32), np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    assert np.array_equal(m(np.zeros((1, 2), np.float32)), np.zeros((1, 2)))


@pytest.mark.parametrize("size", [9e17, 2e-20])
def test_the_largest_and_smallest_accepted_rows_have_their_own_direction(size: float) -> None:
    """The squares of such a row overflow in float32 when they are summed, or are too small to be exact."""
    d = 768
    rows = np.random.default_rng(0).uniform(0.5, 1, (3, d)).astype(np.float32)
    mapping = AffineMap(np.zeros(d, "f4"), np.eye(d, dtype="f4"), np.zeros(d, "f4"))
    assert mapping(rows * np.float32(size)) == pytest.approx(mapping(rows), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean_in": np.zeros((1, 4))}, r"mean_in of an affine map has shape \(1, 4\) .* of shape \(4,\) are needed"),
        ({"mean_out": 0.0}, r"mean_out of an affine map has shape \(\) .* of shape \(3,\) are needed"),
        ({"matrix": np.zeros(4)}, r"matrix of an affine map has shape \(4,\); \[d_in, d_out\] is needed"),
        ({"matrix": np.zeros((4, 3), complex)}, "matrix of an affine map has shape .* dtype complex128"),
        ({"unit_in": 1}, "unit_in is 1; True or False is needed"),
        ({"unit_out": "no"}, "unit_out is 'no'; True or False is needed"),
        ({"norm_out": 0.0}, "norm_out is 0.0; a finite number above 0"),
        ({"norm_out": -1.0}, "norm_out is -1.0; a finite number above 0"),
    ],
)
def test_an_affine_map_that_could_not_be_read_back_is_refused_when_it_is_made(change: Any, message: str) -> None:
    parts: dict[str, Any] = {"mean_in": np.zeros(4), "matrix": np.ones((4, 3)), "mean_out": np.zeros(3)}
    with pytest.raises(InputError, match=message):
        AffineMap(**{**parts, **change})


@pytest.mark.parametrize("kind", [np.float16, np.int64, np.float32, np.float64, list, np.bool_])
def test_an_affine_map_of_any_real_type_computes_in_floats_and_has_plain_flags(kind: Any) -> None:
    matrix: Any = np.eye(3).tolist() if kind is list else np.eye(3).astype(np.int8 if kind is np.bool_ else kind)
    flag: Any = np.bool_(True)
    mapping = AffineMap(np.zeros(3), matrix, np.zeros(3), unit_in=flag, unit_out=False)
    assert mapping.matrix.dtype in (np.float32, np.float64)
    assert mapping.unit_in is True
    assert np.allclose(mapping(np.eye(3, dtype=np.float32)), np.eye(3))
