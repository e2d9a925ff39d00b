"""The linear method with known pairs or categories: what they solve, and what wrong ones must not confirm."""

from __future__ import annotations

import re
import warnings
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners.base import ignore_step
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear import known_search
from interlingua.aligners.linear.guide import (
    Guide,
    HeldOutTranslations,
    LabeledTranslations,
    category_covariance,
    partial_isometry,
    search_held_out,
)
from interlingua.aligners.linear.known_evidence import category_evidence, judge_known, pair_evidence
from interlingua.aligners.linear.repeats import distinct_rows, merged_labels
from interlingua.aligners.linear.starts import SearchContext
from interlingua.aligners.null import NullMaps
from interlingua.core.alignment import Alignment, Evidence, Status, Verdict
from interlingua.core.arrays import unit_rows
from interlingua.evaluation import evaluate
from planted import Problem, encode, groups, rotation, small_problem, topics

N, SHARED = 300, 60


def top1(alignment: Alignment, p: Problem) -> float:
    scores = evaluate(alignment.translator(force=True), p.source_eval, p.target_eval, bootstrap=0)
    return min(float(scores.forward.top1), float(scores.backward.top1))


@pytest.fixture(scope="module")
def hard() -> tuple[Problem, Any, tuple[Any, Any]]:
    """A problem that is too small without help, its shared texts as pairs, and the main topic of every row."""
    rng = np.random.default_rng(2)
    content = topics(1100, 20, rng)
    source, target = (encode(content, d, rng) for d in (24, 20))
    first, second = np.arange(N), np.concatenate([np.arange(SHARED), np.arange(N, 2 * N - SHARED)])
    order = rng.permutation(N)
    second = second[order]
    pairs = np.stack([np.arange(SHARED), np.argsort(order)[:SHARED]], axis=1)
    topic = content.argmax(axis=1)
    return (
        Problem(source[first], target[second], source[700:], target[700:]),
        pairs,
        (topic[first], topic[second]),
    )


@pytest.fixture(scope="module")
def without(hard: Any) -> Alignment:
    """The fit of the hard problem without pairs or categories."""
    return il.align(hard[0].source, hard[0].target, method="linear", rounds=0)


@pytest.fixture(scope="module")
def easy() -> Problem:
    return small_problem(seed=1)


@pytest.fixture(scope="module")
def alone(easy: Problem) -> Alignment:
    """The fit of the easy problem without pairs or categories."""
    return il.align(easy.source, easy.target, method="linear", rounds=3)


def evidence(alignment: Alignment) -> dict[str, Any]:
    return {item.name: item for item in alignment.verdict.evidence}


def test_forty_pairs_solve_and_confirm_what_the_search_without_pairs_cannot(hard: Any, without: Alignment) -> None:
    p, pairs, _ = hard
    helped = il.align(p.source, p.target, method="linear", pairs=pairs[:40], rounds=0)
    assert without.verdict.status is not Status.ALIGNED
    assert helped.verdict.status is Status.ALIGNED
    assert top1(helped, p) > top1(without, p) + 0.3
    assert evidence(helped)["disagreeing_pairs"].value < 0.1


def test_shuffled_pairs_confirm_nothing_and_are_not_used(hard: Any) -> None:
    p, pairs, _ = hard
    wrong = np.stack([pairs[:, 0], np.roll(pairs[:, 1], 1)], axis=1)
    alignment = il.align(p.source, p.target, method="linear", pairs=wrong, rounds=0)
    assert alignment.verdict.status is not Status.ALIGNED
    assert "of 60 known pairs disagree with the map fitted without them" in " ".join(alignment.verdict.reasons)
    step = next(step for step in alignment.trace if step["step"] == "known")
    assert step["used"] is False


@pytest.mark.parametrize("count", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_wrong_pairs_make_a_map_that_is_right_without_them_doubtful_and_leave_it_right(
    easy: Problem, alone: Alignment, count: int
) -> None:
    wrong = np.stack([np.arange(count), np.arange(count)[::-1] + 300], axis=1)
    alignment = il.align(easy.source, easy.target, method="linear", pairs=wrong, rounds=3)
    assert alone.verdict.status is Status.ALIGNED
    assert alignment.verdict.status is Status.DOUBTFUL
    who = "the only known pair disagrees" if count == 1 else f"of {count} known pairs disagree"
    assert who in alignment.verdict.reasons[0]
    assert top1(alignment, easy) == pytest.approx(top1(alone, easy), abs=0.05)


@pytest.mark.parametrize(("shift", "status"), [(0, Status.ALIGNED), (200, Status.DOUBTFUL)])
def test_a_single_pair_is_tested_by_a_search_that_is_not_accepted_without_it(
    easy: Problem, shift: int, status: Status
) -> None:
    x = np.concatenate([easy.source_eval[:5], easy.source])
    y = np.concatenate([easy.target_eval[:5], easy.target])
    alignment = il.align(x, y, method="linear", pairs=np.array([[0, shift]]), rounds=3)
    (known,) = (step for step in alignment.trace if step["step"] == "known")
    assert (known["search"], known["used"]) == (("both", True) if shift == 0 else ("without", False))
    assert alignment.verdict.status is status
    assert ("disagrees with the map fitted without" in alignment.verdict.reasons[0]) == (shift > 0)
    assert top1(alignment, easy) > 0.9


def test_categories_are_used_beside_pairs_that_are_too_few(easy: Problem) -> None:
    group = groups(1_100, 10, np.random.default_rng(1)).argmax(axis=1)  # those of the problem
    x = np.concatenate([easy.source, easy.source_eval[:3]])
    y = np.concatenate([easy.target, easy.target_eval[:3]])
    used = {}
    for shift in (0, 200):
        pairs = np.stack([np.arange(400, 403), np.arange(400, 403) - shift], axis=1)
        labels = np.append(group[:400], group[800:803]), np.append(group[400:800], group[800:803])
        alignment = il.align(x, y, method="linear", pairs=pairs, labels=labels, rounds=3)
        (known,) = (step for step in alignment.trace if step["step"] == "known")
        used[shift] = known["search"], known["used"]
    assert used == {0: ("without", True), 200: ("without", False)}


def test_a_single_pair_beside_categories_that_confirm_the_map_cannot_be_held_out(hard: Any) -> None:
    p, pairs, labels = hard
    alignment = il.align(p.source, p.target, method="linear", pairs=pairs[:1], labels=labels, rounds=0)
    assert alignment.verdict.reasons[-1].startswith("1 pair is known, and it cannot be held out")
    assert "held_out_pairs" not in evidence(alignment)


def test_few_pairs_say_so_in_the_evidence(hard: Any) -> None:
    p, pairs, _ = hard
    alignment = il.align(p.source, p.target, method="linear", pairs=pairs[:5], rounds=0)
    assert evidence(alignment)["held_out_pairs"].meaning.endswith("5 pairs are weak evidence.")


def test_repeated_pairs_and_their_order_change_nothing(hard: Any) -> None:
    p, pairs, _ = hard
    once, twice = (
        il.align(p.source, p.target, method="linear", pairs=known, rounds=0)
        for known in (pairs[:30], np.concatenate([pairs[:30], pairs[:10]]))
    )
    np.testing.assert_array_equal(once.forward(p.source_eval), twice.forward(p.source_eval))


def test_categories_solve_what_the_search_without_them_cannot(hard: Any, without: Alignment) -> None:
    p, _, labels = hard
    helped = il.align(p.source, p.target, method="linear", labels=labels, rounds=0)
    assert top1(helped, p) > top1(without, p) + 0.3
    assert helped.verdict.status is not Status.FAILED
    assert evidence(helped)["category_agreement"].passed


@pytest.mark.slow
def test_names_and_order_of_categories_change_nothing_that_matters(hard: Any) -> None:
    p, _, labels = hard
    named = ([f"topic {i}" for i in labels[0]], [f"topic {i}" for i in labels[1]])
    first, second = (il.align(p.source, p.target, method="linear", labels=given, rounds=0) for given in (labels, named))
    assert top1(second, p) == pytest.approx(top1(first, p), abs=0.1)


@pytest.mark.parametrize("change", ["shuffled", "renamed"])
def test_wrong_categories_confirm_nothing(hard: Any, change: str) -> None:
    p, _, (first, second) = hard
    rng = np.random.default_rng(5)
    wrong = rng.permutation(second) if change == "shuffled" else np.roll(np.arange(20), 7)[second]
    alignment = il.align(p.source, p.target, method="linear", labels=(first, wrong), rounds=0)
    assert alignment.verdict.status is not Status.ALIGNED
    assert not evidence(alignment)["category_agreement"].passed


@pytest.mark.slow
def test_random_categories_make_a_map_that_is_right_without_them_doubtful(easy: Problem) -> None:
    rng = np.random.default_rng(6)
    alignment = il.align(
        easy.source, easy.target, method="linear", labels=tuple(rng.integers(5, size=(2, len(easy.source)))), rounds=3
    )
    assert alignment.verdict.status is Status.DOUBTFUL
    assert alignment.verdict.reasons[0].startswith("category agreement")
    assert top1(alignment, easy) > 0.7


def test_a_partial_isometry_is_zero_off_the_directions_of_few_pairs() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((3, 10)), rng.standard_normal((3, 8))
    start = partial_isometry((x.T @ y).astype(np.float32))
    np.testing.assert_allclose(np.linalg.svd(start, compute_uv=False), [1, 1, 1, 0, 0, 0, 0, 0], atol=1e-5)


def test_the_covariance_of_categories_weighs_each_by_its_smaller_side() -> None:
    x, y = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[0, 0, 1]]
    labels = np.array([0, 1, -1]), np.array([0, 0, 1])
    np.testing.assert_allclose(category_covariance((x, y), labels), np.diag([0.5, 0.5, 0]))


def test_codes_favor_equal_categories_and_leave_unlabeled_rows_alone() -> None:
    rng = np.random.default_rng(1)
    rows = [unit_rows(rng.standard_normal((30, 8)).astype(np.float32)) for _ in range(2)]
    labels = np.arange(30) % 4 - 1, np.arange(30) % 4 - 1
    codes = Guide.of(CoarseSpaces.of(rows[0], rows[1]), None, labels).spaces.labels
    assert codes is not None
    added = codes[0] @ codes[1].T
    known = labels[0] >= 0
    same = labels[0][:, None] == labels[1][None]
    assert (added[~known] == 0).all()
    assert (added[:, ~known] == 0).all()
    assert (added[np.ix_(known, known)][same[np.ix_(known, known)]] > 0).all()
    assert (added[np.ix_(known, known)][~same[np.ix_(known, known)]] < 0).all()


def test_a_pair_is_translated_by_a_search_that_knows_neither_it_nor_its_near_copy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    texts = np.repeat(rng.standard_normal((12, 8)), 2, axis=0)
    x, y = (
        unit_rows(texts @ rotation(8, 8, rng) + 1e-3 * rng.standard_normal(texts.shape)).astype(np.float32)
        for _ in (0, 1)
    )
    seen = []
    original = Guide.of.__func__  # type: ignore[attr-defined]

    def recorded(cls: Any, spaces: Any, pairs: Any, labels: Any) -> Guide:
        seen.append(len(pairs[0]))
        assert not {row.tobytes() for row in pairs[0]} >= {row.tobytes() for row in x}
        # Copies of one text are on the same side of every split.
        assert len(pairs[0]) % 2 == 0
        return original(cls, spaces, pairs, labels)  # type: ignore[no-any-return]

    monkeypatch.setattr(Guide, "of", classmethod(recorded))
    monkeypatch.setattr(Guide, "search", lambda *_, **__: np.eye(8, dtype=np.float32))
    spaces = CoarseSpaces.of(x, y)
    held = search_held_out(spaces, (x, y), None, rng).translate(spaces, (x, y))
    assert len(seen) == 5
    assert held.pairs is not None
    assert held.pairs[0].shape == (24, 8)


def test_copies_keep_their_category_unless_they_disagree() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((4, 8)).astype(np.float32)[[0, 0, 1, 2, 2, 3, 3]]
    labels = np.array([1, -1, -1, 0, 2, 2, 2])
    p = il.aligners.base.Problem(*(il.EmbeddingSpace(rows),) * 2, (rows, rows), labels=(labels, labels))
    merged = merged_labels(p, [distinct_rows(rows), distinct_rows(rows)])
    assert merged is not None
    assert merged[0].tolist() == [1, -1, -1, 2]


VERDICT = Verdict(Status.FAILED, 0.1, ("weak",))


def held(count: int, noise: float) -> Any:
    rng = np.random.default_rng(4)
    target = unit_rows(rng.standard_normal((2000, 32)))
    translated = unit_rows(target[:count] + noise * rng.standard_normal((count, 32)) / np.sqrt(32))
    return HeldOutTranslations((translated, target[:count])), target


@pytest.mark.parametrize(
    ("count", "noise", "status"),
    [(30, 0.5, "aligned"), (29, 0.5, "doubtful"), (9, 0.5, "failed"), (30, 3.0, "doubtful"), (30, 100.0, "failed")],
)
def test_how_many_held_out_pairs_raise_a_verdict(count: int, noise: float, status: str) -> None:
    tested, target = held(count, noise)
    assert judge_known(VERDICT, tested, target, (2000, 2000)).status == status


@pytest.mark.parametrize(
    ("missed", "sizes", "said"),
    [
        (
            ("transport_excess", "cycle"),
            (6000, 300),
            "alone confirm this map. 2 other measurements miss their limits: transport excess, cycle.*The target has "
            "300 distinct rows, .*further texts by the model of the target can improve it",
        ),
        (("cycle",), (6000, 6000), "alone confirm this map. Another measurement misses its limit: cycle. The score"),
        (
            (),
            (40, 50),
            "The source has 40 distinct rows and the target has 50 distinct.*by both models can improve",
        ),
    ],
)
def test_an_aligned_fit_says_that_pairs_alone_confirm_it_and_what_fails(
    missed: tuple[str, ...], sizes: tuple[int, int], said: str
) -> None:
    tested, target = held(30, 0.5)
    evidence = tuple(Evidence(name, 0.1, 0.0, 0.5, False, "Meaning.") for name in missed)
    verdict = judge_known(Verdict(Status.FAILED, 0.1, ("weak",), evidence), tested, target, sizes)
    assert verdict.status is Status.ALIGNED
    assert re.search(said, " ".join(verdict.reasons))
    assert ("distinct rows" in " ".join(verdict.reasons)) == (min(sizes) < 1998)


def test_pairs_without_a_partner_nearby_are_counted_as_disagreeing() -> None:
    tested, target = held(40, 0.5)
    translated = tested.pairs[0].copy()
    translated[:8] = unit_rows(np.random.default_rng(9).standard_normal((8, 32)))
    share = pair_evidence((translated, tested.pairs[1]), target)[-1]
    assert share.meaning.startswith("8 of 40 known pairs disagree") or share.meaning.startswith("7 of 40")


def test_category_agreement_of_right_and_renamed_categories() -> None:
    rng = np.random.default_rng(5)
    centers = unit_rows(rng.standard_normal((6, 16)))
    labels = rng.integers(6, size=400)
    rows = Frame.of((centers[labels] + 0.1 * rng.standard_normal((400, 16))).astype(np.float32)).rows
    right = category_evidence([LabeledTranslations(rows[:200], labels[:200], rows[200:], labels[200:])])
    renamed = category_evidence([LabeledTranslations(rows[:200], (labels[:200] + 1) % 6, rows[200:], labels[200:])])
    assert right.passed
    assert not renamed.passed


def test_categories_that_no_map_can_agree_with_are_told() -> None:
    rows = unit_rows(np.random.default_rng(5).standard_normal((400, 16)))
    first, second = np.arange(200), np.arange(200)
    different = category_evidence([LabeledTranslations(rows[:200], first, rows[200:], second)])
    assert not different.passed
    assert "No map can reach the limit" in different.meaning
    one = np.zeros(200, int)
    same = category_evidence([LabeledTranslations(rows[:200], one, rows[200:], one)])
    assert not same.passed
    assert "No map can reach the limit" in same.meaning


def test_a_fold_without_labeled_rows_is_left_out() -> None:
    rows = unit_rows(np.random.default_rng(5).standard_normal((10, 16)))
    none, one = np.zeros(0, int), np.zeros(5, int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty = category_evidence([LabeledTranslations(rows[:0], none, rows[5:], one)])
        measured = category_evidence(
            [LabeledTranslations(rows[:0], none, rows[5:], one), LabeledTranslations(rows[:5], one, rows[5:], one)]
        )
    assert (empty.value, empty.passed) == (0, False)
    assert (measured.value, measured.null) == (1, 1)


def test_pairs_of_a_narrow_group_do_not_confirm_a_map_alone() -> None:
    tested, target = held(30, 0.5)
    narrow = Evidence("coverage_of_pairs", 0.2, 0.0, 0.4, False, "Narrow.")
    verdict = judge_known(VERDICT, tested, target, (2000, 2000), narrow)
    assert verdict.status is Status.DOUBTFUL
    assert verdict.reasons[0].startswith("coverage of pairs 0.2")
    wide = replace(narrow, value=0.9, passed=True)
    verdict = judge_known(VERDICT, tested, target, (2000, 2000), wide)
    assert (verdict.status, verdict.evidence[-1]) == (Status.ALIGNED, wide)


def test_categories_alone_do_not_replace_the_search_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Categories that are renamed alike support a map that exchanges them in the same way."""
    rng = np.random.default_rng(2)
    content = topics(800, 10, rng)
    x, y = (Frame.of(encode(content, d, rng)[k::2]).rows for k, d in enumerate((14, 12)))
    spaces = CoarseSpaces.of(x, y)
    context = SearchContext(x, y, NullMaps.sample(spaces, seed=0), rng, None)
    labels = content[::2].argmax(axis=1), content[1::2].argmax(axis=1)
    monkeypatch.setattr(known_search, "is_confirmed", lambda *_: True)
    monkeypatch.setattr(known_search, "search", lambda *_, **__: pytest.fail("the search without categories began"))
    for stands_out in (True, False):
        monkeypatch.setattr(known_search, "_stands_out", lambda *_, value=stands_out: value)
        with nullcontext() if stands_out else pytest.raises(pytest.fail.Exception, match="without categories began"):
            found = known_search.search_with_known(context, labels, rounds=0, rng=rng, on_step=ignore_step)
            assert found.plain is None
    wrong = polar(rng.standard_normal([axes.shape[1] for axes in spaces.axes]).astype(np.float32))
    monkeypatch.undo()
    assert not known_search._stands_out(context, wrong, rng)
