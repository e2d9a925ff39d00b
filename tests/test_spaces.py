"""Spaces: what is refused, what stays as it came, and how a space is recognized again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

import interlingua as il
from interlingua.core.arrays import read_only
from interlingua.core.comparison import Comparison
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.spaces import EmbeddingSpace, as_space, shared_rows
from interlingua.core.translator import Translator
from interlingua.identification import identify
from interlingua.sklearn import EmbeddingTranslator
from planted import encode, rotation, topics


def bad(row: float) -> Any:
    x = np.ones((5, 3))
    x[:, 0] = np.arange(5)
    x[2:4] = row
    return x


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(4), r"shape \(4,\); a matrix of shape \[n, d\]"),
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.ones((0, 4)), "at least 1 row and 1 column"),
        (np.ones((4, 0)), "at least 1 row and 1 column"),
        (np.array([["a", "b"]]), "real numbers are needed"),
        (np.ones((2, 2), complex), "dtype complex128; real numbers"),
        (np.ones((2, 2), bool), "dtype bool; real numbers"),
        (bad(np.nan), "2 of 5 rows hold NaN or infinity; the first is row 2"),
        (bad(np.inf), "2 of 5 rows hold NaN or infinity; the first is row 2"),
        (bad(0), "2 of 5 rows are all zeros; the first is row 2"),
        (np.ones((4, 3)), "4 copies of one row"),
    ],
)
def test_what_cannot_be_a_space_is_refused_by_name(vectors: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"mine.*{message}"):
        EmbeddingSpace(vectors, name="mine")


@pytest.mark.parametrize("size", [9e17, 2e-20])
def test_rows_whose_squares_float32_can_hold_are_rows(size: float) -> None:
    rows = np.eye(4, dtype=np.float32) * np.float32(size)
    assert EmbeddingSpace(rows).n == 4
    rows[2] = 0
    with pytest.raises(InputError, match="1 of 4 rows is all zeros, namely row 2"):
        EmbeddingSpace(rows)


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "holds NaN or infinity"), (-np.inf, "holds NaN or infinity"), (0, "is all zeros")]
)
def test_rows_of_the_whole_range_of_float16_are_checked(value: float, message: str) -> None:
    rows = np.zeros((4, 3), np.float16)
    rows[:, 0] = np.finfo(np.float16).smallest_subnormal, np.finfo(np.float16).max, -1, 2
    assert EmbeddingSpace(rows).n == 4
    rows[1] = value
    with pytest.raises(InputError, match=f"1 of 4 rows {message}, namely row 1"):
        EmbeddingSpace(rows)


EXTREME = "have a largest magnitude under 1e-20 or over 1e18; the first is row 1. Their squares do not fit float32"


@pytest.mark.parametrize("scale", [1e19, 1e-23, 1e30, 1e-30, 1e39, 1e200, -1e200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_whose_squares_leave_float32_are_refused_by_every_function(scale: float, dtype: Any) -> None:
    if dtype is np.float32 and abs(scale) > 1e38:
        pytest.skip("infinity in float32")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 150, 12))
    identity = AffineMap(np.zeros(12, "f4"), np.eye(12, dtype="f4"), np.full(12, 0.1, "f4"))
    profile = SpaceProfile.of(np.asarray(x, "f4"))
    translator = Translator(identity, identity, (profile, profile), {})
    extreme = x.astype(dtype)
    extreme[1:] *= dtype(scale)
    for call in (
        lambda: EmbeddingSpace(extreme),
        lambda: translator.translate(extreme),
        lambda: translator.invert(extreme),
        lambda: il.align(extreme, y, method="procrustes", pairs=[[i, i] for i in range(50)]),
        lambda: il.align(y, extreme),
        lambda: il.evaluate(translator, extreme, y),
        lambda: il.evaluate(translator, x, extreme),
        lambda: identify(extreme),
        lambda: il.align_spaces({"a": y, "b": extreme}),
    ):
        with pytest.raises(InputError, match=f"149 of 150 rows {EXTREME}"):
            call()


def test_the_estimator_refuses_rows_whose_squares_overflow_float32() -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 20, 12))
    estimator = EmbeddingTranslator(on_failure="ignore").fit(x, y)
    for call in (estimator.transform, estimator.inverse_transform, lambda rows: estimator.fit(rows, y)):
        with pytest.raises(InputError, match="20 of 20 rows have a largest magnitude under 1e-20 or over 1e18"):
            call(x * 1e39)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"^x: the only row holds NaN or infinity\. Give vectors that are finite and not zero\.$"),
        (0, r"^x: the only row is all zeros. A zero vector has no direction\. Give vectors"),
        (1e30, r"^x: the only row has a largest magnitude .*\. Their squares do not fit float32\. Scale it\.$"),
    ],
)
def test_a_single_row_is_called_the_only_row(value: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EmbeddingSpace(np.full((1, 3), value), name="x")


def test_integers_and_half_precision_keep_the_same_rule() -> None:
    assert EmbeddingSpace(np.eye(3, dtype=np.float16)).n == EmbeddingSpace(np.eye(3, dtype=np.uint8)).n == 3
    with pytest.raises(InputError, match="1 of 3 rows has a largest magnitude .*, namely row 2"):
        EmbeddingSpace(np.array([[1, 2], [3, 1], [4 * 10**18, 1]]))


def test_rows_that_are_almost_zero_are_accepted_where_zero_rows_are() -> None:
    rows = np.eye(4) * [[1], [1e-30], [0], [1]]
    assert EmbeddingSpace(rows, allow_zero_rows=True).n == 4
    with pytest.raises(InputError, match="1 of 4 rows has a largest magnitude"):
        EmbeddingSpace(rows * [[1e200], [1], [1], [1]], allow_zero_rows=True)


def test_ids_must_be_one_a_row(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 2))
    assert EmbeddingSpace(x, ids=["a", "b", "c"]).ids == ["a", "b", "c"]
    with pytest.raises(InputError, match="2 ids for 3 rows; one id per row"):
        EmbeddingSpace(x, ids=["a", "b"])


def test_nothing_is_copied_and_a_memory_map_stays_one(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.standard_normal((6, 4)).astype(np.float16)
    assert EmbeddingSpace(x).vectors is x
    np.save(tmp_path / "x.npy", x)
    mapped = EmbeddingSpace(np.load(tmp_path / "x.npy", mmap_mode="r"))
    assert isinstance(mapped.vectors, np.memmap)
    assert (mapped.n, mapped.d, mapped.vectors.dtype) == (6, 4, np.float16)
    assert mapped.fingerprint() == EmbeddingSpace(x).fingerprint()


def test_a_torch_tensor_is_read_without_its_gradient() -> None:
    torch = pytest.importorskip("torch")
    space = EmbeddingSpace(torch.arange(6.0, requires_grad=True).reshape(2, 3))
    assert np.array_equal(space.vectors, [[0, 1, 2], [3, 4, 5]])


def test_as_space_keeps_a_space_and_names_an_array(rng: np.random.Generator) -> None:
    space = EmbeddingSpace(rng.standard_normal((3, 2)), name="mine")
    assert as_space(space, "other") is space
    assert as_space(space.vectors, "other").name == "other"


def test_rows_are_distinct_in_order_and_drawn_only_when_there_are_more(rng: np.random.Generator) -> None:
    x = np.arange(1, 41.0).reshape(20, 2)
    space = EmbeddingSpace(x)
    for limit in (None, 20, 99):
        assert np.array_equal(space.rows(limit, rng), x)
    drawn = space.rows(7, rng)
    assert drawn.dtype == np.float32
    assert len(np.unique(drawn[:, 0])) == 7
    assert np.array_equal(drawn, np.sort(drawn, axis=0))
    assert not np.array_equal(drawn, space.rows(7, rng))


def test_the_fingerprint_depends_on_content_shape_and_dtype_and_not_on_the_name(rng: np.random.Generator) -> None:
    x = rng.standard_normal((200, 4)).astype(np.float32)
    other = x.copy()
    other[17, 2] += 1
    versions = [x, other, x.astype(np.float64), x[:199], x.reshape(400, 2), x[::-1]]
    prints = [EmbeddingSpace(v).fingerprint() for v in versions]
    assert len(set(prints)) == len(prints)
    assert EmbeddingSpace(x.copy(), name="renamed").fingerprint() == prints[0]
    assert all(len(p) == 16 and int(p, 16) >= 0 for p in prints)


def test_a_card_tells_which_share_of_its_rows_is_among_others(rng: np.random.Generator) -> None:
    x = rng.standard_normal((3_000, 4)).astype(np.float16)
    facts = json.loads(json.dumps(EmbeddingSpace(x).describe()))
    assert len(facts["digests"]) == 64
    edited = x[rng.permutation(3_000)[1:]].astype(np.float64)
    edited[7] += 1
    assert (shared_rows(facts, [edited]) or 0) > 0.9
    assert shared_rows(facts, [np.repeat(x[:1_500], 2, axis=0)]) == pytest.approx(0.5, abs=0.02)
    assert shared_rows(facts, [x + 1]) == shared_rows(facts, [x[:, :3]]) == 0
    assert shared_rows({"n": 3_000, "d": 4, "fingerprint": facts["fingerprint"]}, [x]) is None
    assert shared_rows(facts, [x, pytest.fail]) == 1  # type: ignore[list-item]


@pytest.mark.parametrize("digests", ["0" * 16, [], ["zz"], ["f" * 20], ["0" * 8], [16 * "0", None], [["a"]], 5, {}])
def test_digests_that_cannot_be_read_are_no_digests(digests: object) -> None:
    assert shared_rows({"digests": digests}, [np.ones((3, 2), np.float32)]) is None


def test_copies_of_one_row_count_once_among_shared_rows(rng: np.random.Generator) -> None:
    x = rng.standard_normal((1_000, 4)).astype(np.float32)
    x[::2] = x[0]
    facts = EmbeddingSpace(x).describe()
    assert len(facts["digests"]) == 64
    assert 0 < (shared_rows(facts, [x[:1]]) or 0) < 0.1


def test_description_and_repr_name_the_space(rng: np.random.Generator) -> None:
    space = EmbeddingSpace(rng.standard_normal((3, 2)), name="mine")
    facts = space.describe()
    assert len(facts.pop("digests")) == 3
    assert facts == {"name": "mine", "n": 3, "d": 2, "fingerprint": space.fingerprint()}
    assert repr(space) == "EmbeddingSpace(mine: 3 x 2, float64)"
    assert repr(EmbeddingSpace(space.vectors)) == "EmbeddingSpace(unnamed: 3 x 2, float64)"


def test_a_profile_knows_its_own_rows_and_notices_those_of_another_encoder(rng: np.random.Generator) -> None:
    content = topics(1200, 16, rng)
    mine, other = (encode(content, 64, rng) for _ in range(2))
    profile = SpaceProfile.of(mine[:800])
    assert not profile.compare(mine[800:]).doubtful
    assert profile.accepts(mine[800:850])
    assert profile.compare(other[800:]).foreign
    assert profile.compare(other[800:850]).foreign
    assert profile.describe(other[800:], SpaceProfile.of(other[:800])) == (
        "They look like the other space of this translator; is the direction wrong?"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, rng: -x, "With the opposite sign they look like it."),
        (lambda x, rng: x[:, ::-1], "With the coordinates in reverse order they look like it."),
        (
            lambda x, rng: x @ rotation(128, 128, rng),
            "They look like vectors of another model, or of the same one after",
        ),
        (
            lambda x, rng: x[:, rng.permutation(128)],
            "They look like vectors of another model, or of the same one after",
        ),
        (lambda x, rng: rng.standard_normal(x.shape), "They look like random numbers"),
        (lambda x, rng: rng.permuted(x, axis=0), "Each column has the right mean, and the columns are unrelated"),
        (lambda x, rng: x * np.exp(rng.standard_normal(128)), "after the columns were scaled, each by another factor"),
    ],
    ids=["negated", "reversed", "rotated", "permuted", "noise", "shuffled", "scaled"],
)
@pytest.mark.parametrize("n", [60, 400])
def test_a_changed_batch_is_foreign_and_the_change_is_named(
    rng: np.random.Generator, change: Callable[[Any, Any], Any], sentence: str, n: int
) -> None:
    rows = encode(topics(1200, 48, rng, decay=0.05), 128, rng)
    profile, other = SpaceProfile.of(rows[:800]), SpaceProfile.of(rng.standard_normal((400, 32)).astype(np.float32))
    changed = change(rows[1200 - n :], rng).astype(np.float32)
    compared = profile.compare(changed)
    assert compared.foreign
    assert compared.reasons
    assert sentence in profile.describe(changed, other)


def test_a_spectrum_below_zero_is_written_as_zero() -> None:
    compared = Comparison(rows=100, spectrum=-0.03, mean=1.0, distortion=0.0, outside=0.0)
    assert compared.foreign
    assert "principal axes is 0.00 on a scale" in compared.reasons[0]


def test_few_rows_many_copies_and_almost_equal_rows_do_not_decide(rng: np.random.Generator) -> None:
    rows = encode(topics(1200, 48, rng, decay=0.05), 64, rng)
    profile = SpaceProfile.of(rows[:800])
    for batch in (rows[800:849], np.repeat(rows[800:849], 10, axis=0)):
        compared = profile.compare(batch)
        assert (compared.rows, np.isnan(compared.spectrum), np.isnan(compared.mean)) == (49, True, True)
        assert not compared.doubtful
    near = rows[800] + 1e-4 * rng.standard_normal((60, 64)).astype(np.float32)
    assert np.isnan(profile.compare(near).spectrum)
    assert not profile.compare(near).foreign


def test_a_space_without_axes_of_its_own_refuses_by_its_mean_alone(rng: np.random.Generator) -> None:
    ball = rng.standard_normal((2, 500, 16)).astype(np.float32)
    assert not SpaceProfile.of(ball[0]).compare(ball[1]).doubtful
    cone = ball + 9
    profile = SpaceProfile.of(cone[0])
    assert not profile.compare(cone[1]).doubtful
    assert profile.compare(-cone[1]).foreign
    assert profile.describe(-cone[1], profile) == "With the opposite sign they look like it."


def test_one_row_is_told_only_where_all_rows_are_far_from_random_directions(rng: np.random.Generator) -> None:
    ball = rng.standard_normal((2, 500, 128)).astype(np.float32)
    for rows, told in ((ball, False), (ball + 2, True)):
        profile = SpaceProfile.of(rows[0])
        assert profile.compare(-rows[1][:1]).foreign is told
        assert not profile.compare(rows[1][:1]).foreign
        assert profile.compare(rows[1]).outside < 0.01


def test_a_profile_does_not_look_at_the_length_of_rows(rng: np.random.Generator) -> None:
    rows = encode(topics(400, 8, rng), 24, rng)
    profile = SpaceProfile.of(rows)
    first, second = profile.compare(rows), profile.compare(100 * rows)
    assert second.spectrum == pytest.approx(first.spectrum, abs=1e-5)
    assert (second.rows, second.outside) == (first.rows, first.outside)


def test_a_profile_turns_with_its_space(rng: np.random.Generator) -> None:
    rows = encode(topics(400, 8, rng), 24, rng)
    turn = rotation(24, 24, rng)
    first, second = SpaceProfile.of(rows), SpaceProfile.of(rows @ turn)
    assert second.mean == pytest.approx(first.mean @ turn, abs=1e-5)
    assert second.shares == pytest.approx(first.shares, abs=1e-5)
    assert second.compare(rows @ turn).spectrum == pytest.approx(first.compare(rows).spectrum, abs=1e-3)
    assert second.compare(rows).foreign


@pytest.mark.parametrize("attribute", ["vectors", "ids", "name"])
def test_a_space_is_not_changed_after_it_was_checked(attribute: str) -> None:
    space = EmbeddingSpace(np.eye(3) + 1, ids=[1, 2, 3], name="encoder")
    with pytest.raises(AttributeError):
        setattr(space, attribute, None)


def test_a_read_only_space_is_over_the_same_vectors_and_leaves_them_writable_to_the_caller() -> None:
    rows = np.eye(3)
    space = EmbeddingSpace(rows, ids=[1, 2, 3], name="e")
    given = space.read_only()
    with pytest.raises(ValueError, match="read-only"):
        given.vectors[0] = 0
    rows[0] = 5
    assert space.vectors is rows
    assert np.array_equal(given.vectors, rows)
    assert (given.ids, given.name) == ([1, 2, 3], "e")


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "f8", "g", "?", "u1", ">i8"])
def test_a_read_only_array_has_the_numbers_and_the_layout_of_the_array(dtype: str, tmp_path: Path) -> None:
    rows = np.arange(12).reshape(3, 4).astype(dtype)
    mapped = np.memmap(tmp_path / "rows", rows.dtype, "w+", shape=rows.shape)
    mapped[:] = rows
    for array in (rows, rows.T, rows[::2, ::-1], rows[:0], mapped):
        view = read_only(array)
        assert (view.dtype, view.shape, view.strides) == (array.dtype, array.shape, array.strides)
        assert np.array_equal(view, array)
        assert view.size == 0 or np.shares_memory(view, array)
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
            view.flags.writeable = True


@pytest.mark.parametrize(
    ("things", "shown"),
    [
        (None, "None"),
        ("vectors.npy", "str of length 11"),
        ({}, "dict of length 0"),
        ((row for row in [[1.0]]), "an object of type generator"),
        (csr_array(np.eye(3)), r"csr_array of shape \(3, 3\)"),
    ],
)
def test_what_is_no_matrix_at_all_is_named_by_its_type(things: Any, shown: str) -> None:
    with pytest.raises(InputError, match=f"vectors is {shown}; .*a matrix of shape .* needed.* Read (a|one) "):
        EmbeddingSpace(things)
