"""Known pairs and categories as they are read: repeated pairs, shared rows, missing labels, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners import base
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import near_copies
from interlingua.core.errors import InputError


def gaussian(n: int, d: int, seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


SOURCE, TARGET = gaussian(50, 9, 1), gaussian(40, 8, 2)


def read(pairs: Any, source: Any = SOURCE, target: Any = TARGET) -> tuple[Any, dict[str, Any]]:
    p = Problem.of(source, target, pairs=pairs)
    assert p.known is not None
    return p.known, dict(p.counts[0])


def test_a_repeated_pair_counts_once_and_the_first_mention_keeps_its_place() -> None:
    (x, y), counts = read([[3, 4], [1, 2], [3, 4], [3, 4]])
    assert counts == {"step": "pairs", "given": 4, "repeated": 2, "sharing_rows": 0, "used": 2}
    np.testing.assert_array_equal(x, SOURCE[[3, 1]])
    np.testing.assert_array_equal(y, TARGET[[4, 2]])


def test_a_pair_of_copies_of_the_same_rows_is_a_repeated_pair() -> None:
    source = np.concatenate([SOURCE, SOURCE[3:4]])
    (x, _), counts = read([[3, 4], [50, 4]], source)
    assert (counts["repeated"], counts["used"]) == (1, 1)
    np.testing.assert_array_equal(x, SOURCE[3:4])


@pytest.mark.parametrize("side", [0, 1])
def test_a_row_with_several_partners_is_one_pair_with_their_mean(side: int) -> None:
    pairs = np.array([[5, 1], [5, 2], [5, 3], [7, 8]])
    known, counts = read(pairs if side == 0 else pairs[:, ::-1])
    assert (counts["sharing_rows"], counts["used"]) == (2, 2)
    shared, partners = (SOURCE, TARGET) if side == 0 else (TARGET, SOURCE)
    np.testing.assert_allclose(known[side][0], shared[5], rtol=1e-6)
    np.testing.assert_allclose(known[1 - side][0], partners[[1, 2, 3]].mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(known[1 - side][1], partners[8])


@pytest.mark.parametrize(("side", "name"), [(0, "source"), (1, "target")])
def test_a_column_of_one_row_number_is_refused(side: int, name: str) -> None:
    pairs = np.arange(30)[:, None].repeat(2, axis=1)
    pairs[:, side] = 7
    with pytest.raises(InputError, match=f"Known pairs: {name} row 7 has 30 different partners among 30 pairs"):
        read(pairs)


def test_the_trace_of_a_fit_counts_the_pairs() -> None:
    alignment = il.align(SOURCE, SOURCE, pairs=[[i, i] for i in range(20)] * 2, method="procrustes")
    step = next(step for step in alignment.trace if step["step"] == "pairs")
    assert (step["given"], step["repeated"], step["used"]) == (40, 20, 20)


def test_held_out_pairs_are_unlike_all_pairs_that_the_second_fit_sees() -> None:
    """Each text is stored twice, almost equally; a copy in the fit would confirm anything."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((60, 12)), rng.standard_normal((60, 12))
    twice = [np.repeat(z, 2, axis=0) + 0.01 * rng.standard_normal((120, 12)) for z in (x, y)]
    seen: list[Any] = []

    class Recorder:
        name, pairs = "recorder", "required"

        def fit(self, problem: Problem, *, seed: int, on_step: base.OnStep) -> base.Fit:
            seen.append(problem)
            return il.aligners.create_aligner("procrustes").fit(problem, seed=seed, on_step=on_step)

    il.align(*twice, pairs=np.arange(120)[:, None].repeat(2, axis=1), method=Recorder())
    whole, second = seen
    fitted = {row.tobytes() for row in second.known[0]}
    held = np.array([row for row in whole.known[0] if row.tobytes() not in fitted])
    frame = whole.frames[0]
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in map(frame.center, (second.known[0], held))]
    dropped = near_copies(unit[1], unit[0])
    # Held-out pairs and their near-copies are missing from the second fit: none of either is close to a fitted pair.
    assert len(second.known[0]) < 96
    assert not dropped.any()


def test_pairs_that_are_all_copies_of_each_other_cannot_judge() -> None:
    rng = np.random.default_rng(4)
    x = np.concatenate([np.repeat(rng.standard_normal((1, 8)), 30, axis=0), rng.standard_normal((40, 8))])
    x = x + 1e-3 * rng.standard_normal(x.shape)
    alignment = il.align(x, x, pairs=[[i, i] for i in range(30)], method="procrustes")
    assert alignment.verdict.status == "failed"
    assert (
        "Only 0 of 30 known pairs differ from the 6 held-out ones, too few for a second fit"
        in alignment.verdict.reasons[0]
    )


def test_labels_become_shared_numbers_and_what_is_missing_is_counted() -> None:
    first = ["b", "a", None, "only here"] + ["a"] * 46
    second = np.array(["a", "b", None, "b"] + ["there"] * 36, dtype=object)
    p = Problem.of(SOURCE, TARGET, labels=(first, second))
    assert p.labels is not None
    assert p.labels[0][:4].tolist() == [1, 0, -1, -1]
    assert p.labels[1][:5].tolist() == [0, 1, -1, 1, -1]
    assert p.counts == (
        {
            "step": "labels",
            "categories": 2,
            "source_labeled": 48,
            "source_missing": 1,
            "categories_of_source_only": 1,
            "target_labeled": 3,
            "target_missing": 1,
            "categories_of_target_only": 1,
        },
    )


def test_whole_numbers_with_nan_among_them_equal_whole_numbers() -> None:
    p = Problem.of(SOURCE, TARGET, labels=(np.array([4.0, np.nan, 7.0] + [4.0] * 47), [7, 4, 4, *[None] * 37]))
    assert p.labels is not None
    assert p.labels[0][:3].tolist() == [0, -1, 1]
    assert p.labels[1][:4].tolist() == [1, 0, 0, -1]


def test_labels_follow_the_rows_that_are_drawn() -> None:
    rows = np.arange(50, dtype=np.float32)[:, None].repeat(9, axis=1) + 1
    p = Problem.of(rows, rows, labels=(np.arange(50) % 5, np.arange(50) % 5), max_rows=20, seed=3)
    assert p.labels is not None
    for side, labels in zip(p.rows, p.labels, strict=True):
        np.testing.assert_array_equal(labels, (side[:, 0] - 1) % 5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 50, "labels must be two sequences: the categories of the source rows and of the target rows"),
        ("ab", "labels must be two sequences"),
        (("a" * 50, ["a"] * 40), "labels of the source are str; a sequence of 50 categories is needed"),
        ((["a"] * 50, 3), "labels of the target are int; a sequence of 40 categories"),
        ((["a"] * 49, ["a"] * 40), "labels of the source have 49 entries and the source has 50 rows"),
        ((["a"] * 50, ["a", 0.5] * 20), "labels of the target: entry 1 is 0.5; a string, a whole number, or None"),
        ((["a", ("b",)] * 25, ["a"] * 40), r"labels of the source: entry 1 is \('b',\)"),
        (
            (["a"] * 50, ["a", "b"] * 20),
            "source have 1 category, those of the target 2, and 1 is on both sides; at least 2",
        ),
        ((["a", "1"] * 25, ["b", 1] * 20), "source have 2 categories, those of the target 2, and 0 are on both sides"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        il.align(SOURCE, TARGET, labels=labels, method="linear")


@pytest.mark.parametrize("method", ["procrustes", "mini-vec2vec", "identity"])
def test_a_method_that_uses_no_labels_refuses_them(method: str) -> None:
    pairs = [[i, i] for i in range(10)] if method == "procrustes" else None
    with pytest.raises(InputError, match=f"labels were given and {method} uses none. Leave labels=... out, or choose"):
        il.align(SOURCE, SOURCE, labels=([0, 1] * 25, [0, 1] * 25), pairs=pairs, method=method)


def test_auto_chooses_linear_beside_labels_however_many_pairs_are_known() -> None:
    pairs = np.arange(40)[:, None].repeat(2, axis=1)
    p = Problem.of(SOURCE, TARGET, pairs=pairs, labels=([0, 1] * 25, [0, 1] * 20))
    assert il._align.choose_method(p) == "linear"
    assert il._align.choose_method(Problem.of(SOURCE, TARGET, pairs=pairs)) == "ridge"


class Frame:
    """A data frame of one row per label: iteration over it yields the names of its columns."""

    ndim = 2

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Any:
        return iter(["a", "b"])


@pytest.mark.parametrize(
    "values", [{"a", "b"}, frozenset("ab"), {"a": 0, "b": 1}, b"ab", bytearray(b"ab"), Frame(), np.eye(2, dtype=int)]
)
def test_labels_without_one_label_a_row_in_order_are_refused(values: Any) -> None:
    rows = np.array([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InputError, match="labels of the source are .*; a sequence of 2 categories is needed"):
        Problem.of(rows, rows, labels=(values, ["a", "b"]))


def test_a_message_about_a_label_shows_a_short_form_of_it() -> None:
    rows = np.array([[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InputError, match="entry 0 is .*; a string, a whole number") as caught:
        Problem.of(rows, rows, labels=([list(range(1000)), "b"], ["a", "b"]))
    assert len(str(caught.value)) < 200
