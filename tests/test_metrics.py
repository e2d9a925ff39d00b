"""Paired scores against slow oracles, their invariances, and their refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlingua.core.errors import InputError
from interlingua.evaluation import Evaluation, Interval, evaluate
from interlingua.evaluation.bootstrap import Resamples
from interlingua.evaluation.metrics import TIE, match_ranks, paired_cosine, ranks_among

Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Linear:
    """The smallest thing `evaluate` takes: a matrix and its inverse."""

    forward: Array
    backward: Array

    def translate(self, x: Array, /) -> Array:
        return np.asarray(x @ self.forward)

    def invert(self, y: Array, /) -> Array:
        return np.asarray(y @ self.backward)


def rotation(d: int, rng: np.random.Generator) -> Array:
    return np.asarray(np.linalg.qr(rng.standard_normal((d, d)))[0])


def noisy_pair(n: int, d: int, rng: np.random.Generator, noise: float = 0.7) -> tuple[Array, Array]:
    x = rng.standard_normal((n, d)) + 0.5
    return x, x + noise * rng.standard_normal((n, d))


def cosines(a: Array, b: Array) -> Array:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.array([[u @ v / np.linalg.norm(u) / np.linalg.norm(v) for v in b] for u in a])


def slow_csls(s: Array, k: int) -> Array:
    near_rows = np.array([np.mean(sorted(row)[-k:]) for row in s])
    near_columns = np.array([np.mean(sorted(column)[-k:]) for column in s.T])
    return np.asarray(2 * s - near_rows[:, None] - near_columns[None, :])


def slow_ranks(s: Array, tie: float) -> list[float]:
    ranks = []
    for i, row in enumerate(s):
        better = sum(value > row[i] + tie for value in row)
        equal = sum(abs(value - row[i]) <= tie for value in row)
        ranks.append(better + (equal + 1) / 2)
    return ranks


@given(n=st.integers(1, 40), d=st.integers(1, 12), seed=st.integers(0, 2**16), duplicates=st.booleans())
def test_ranks_equal_the_slow_oracle_on_both_sides(n: int, d: int, seed: int, duplicates: bool) -> None:
    a, b = noisy_pair(n, d + 1, np.random.default_rng(seed))
    if duplicates:
        a[n // 2 :], b[n // 2 :] = a[n // 2], b[n // 2]
    s = cosines(a, b)
    by_query, by_candidate = match_ranks(a, b)
    assert by_query == pytest.approx(slow_ranks(s, TIE), abs=0.51)
    assert np.mean(by_query == slow_ranks(s, TIE)) >= 0.9
    assert np.mean(by_candidate == slow_ranks(s.T, TIE)) >= 0.9


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_csls_ranks_equal_the_slow_oracle(k: int, rng: np.random.Generator) -> None:
    a, b = noisy_pair(60, 8, rng)
    s = slow_csls(cosines(a, b), min(k, 60))
    by_query, by_candidate = match_ranks(a, b, csls=True, k=k)
    assert by_query.tolist() == slow_ranks(s, 2 * TIE)
    assert by_candidate.tolist() == slow_ranks(s.T, 2 * TIE)


@pytest.mark.parametrize("csls", [False, True])
def test_row_blocks_change_nothing(csls: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = noisy_pair(101, 8, rng)
    whole = match_ranks(a, b, csls=csls)
    monkeypatch.setattr("interlingua.evaluation.metrics._BLOCK_ENTRIES", 707)
    blocks = match_ranks(a, b, csls=csls)
    assert whole[0].tolist() == blocks[0].tolist()
    assert whole[1].tolist() == blocks[1].tolist()


def test_a_collapsed_translator_ranks_at_chance_and_never_first(rng: np.random.Generator) -> None:
    real = rng.standard_normal((50, 6))
    constant = np.tile(real[:1], (50, 1))
    assert match_ranks(real, constant)[0].tolist() == [25.5] * 50
    scores = evaluate(Linear(np.zeros((6, 6)) + 1.0, np.zeros((6, 6)) + 1.0), abs(real), constant, bootstrap=0)
    assert scores.forward.top1.value == 0
    assert scores.forward.mean_rank.value == 25.5


def test_paired_cosine_equals_the_formula_and_ignores_length(rng: np.random.Generator) -> None:
    a, b = noisy_pair(30, 5, rng)
    assert paired_cosine(a, b) == pytest.approx(np.diag(cosines(a, b)), abs=1e-6)
    assert paired_cosine(7 * a, b) == pytest.approx(paired_cosine(a, b), abs=1e-6)
    mean = rng.standard_normal(5)
    units = [side / np.linalg.norm(side, axis=1, keepdims=True) - mean for side in (a, b)]
    assert paired_cosine(a, b, mean=mean) == pytest.approx(np.diag(cosines(units[0], units[1])), abs=1e-6)


def test_centering_removes_the_part_of_the_cosine_that_is_due_to_the_mean(rng: np.random.Generator) -> None:
    d = 32
    target = rng.standard_normal((400, d)) + 5
    unrelated = rng.permuted(target, axis=0)
    scores = evaluate(Linear(np.eye(d), np.eye(d)), unrelated, target, bootstrap=0)
    assert scores.forward.cosine.value > 0.9
    assert abs(scores.forward.cosine_centered.value) < 0.05


def slow_direction(translated: Array, real: Array) -> dict[str, float]:
    s = cosines(translated, real)
    ranks, n = np.array(slow_ranks(s, TIE)), len(s)
    unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in (translated, real)]
    centered = cosines(unit[0] - unit[1].mean(axis=0), unit[1] - unit[1].mean(axis=0))
    return {
        "cosine": float(np.diag(s).mean()),
        "cosine_centered": float(np.diag(centered).mean()),
        "top1": float((ranks <= 1).mean()),
        "top5": float((ranks <= 5).mean()),
        "mean_rank": float(ranks.mean()),
        "mrr": float((1 / ranks).mean()),
        "foscttm": float(np.mean([(s[i] > s[i, i] + TIE).sum() / (n - 1) for i in range(n)])),
        "reference_rank": float(np.mean(slow_ranks(s.T, TIE))),
        "csls_rank": float(np.mean(slow_ranks(slow_csls(s, 10), 2 * TIE))),
    }


def flat(scores: Evaluation, direction: str) -> dict[str, float]:
    side = {"forward": scores.forward, "backward": scores.backward}[direction]
    plain = side.retrieval["plain"]
    return {
        "cosine": side.cosine.value,
        "cosine_centered": side.cosine_centered.value,
        "top1": side.top1.value,
        "top5": plain.top_k[5].value,
        "mean_rank": side.mean_rank.value,
        "mrr": plain.mrr.value,
        "foscttm": plain.foscttm.value,
        "reference_rank": side.reference["plain"].mean_rank.value,
        "csls_rank": side.retrieval["csls"].mean_rank.value,
    }


def test_evaluate_equals_the_slow_oracle_in_both_directions(rng: np.random.Generator) -> None:
    x, y = noisy_pair(80, 6, rng)
    translator = Linear(rng.standard_normal((6, 6)) * 0.1 + np.eye(6), np.eye(6))
    scores = evaluate(translator, x, y, bootstrap=0)
    assert flat(scores, "forward") == pytest.approx(slow_direction(translator.translate(x), y), abs=1e-5)
    assert flat(scores, "backward") == pytest.approx(slow_direction(translator.invert(y), x), abs=1e-5)


def test_row_order_changes_nothing(rng: np.random.Generator) -> None:
    x, y = noisy_pair(70, 6, rng)
    order = rng.permutation(70)
    translator = Linear(np.eye(6), np.eye(6))
    before, after = evaluate(translator, x, y, bootstrap=0), evaluate(translator, x[order], y[order], bootstrap=0)
    for direction in ("forward", "backward"):
        assert flat(before, direction) == pytest.approx(flat(after, direction), abs=1e-5)


def test_rotating_both_spaces_changes_nothing(rng: np.random.Generator) -> None:
    x, y = noisy_pair(70, 6, rng)
    q = rotation(6, rng)
    translator = Linear(np.eye(6), np.eye(6))
    before, after = evaluate(translator, x, y, bootstrap=0), evaluate(translator, x @ q, y @ q, bootstrap=0)
    for direction in ("forward", "backward"):
        assert flat(before, direction) == pytest.approx(flat(after, direction), abs=1e-4)


def test_a_perfect_translator_is_perfect_between_different_widths(rng: np.random.Generator) -> None:
    latent = rng.standard_normal((300, 5))
    wide = np.linalg.qr(rng.standard_normal((9, 5)))[0].T
    scores = evaluate(Linear(wide, wide.T), latent, latent @ wide, pool=100)
    for side in (scores.forward, scores.backward):
        assert side.cosine.value == pytest.approx(1)
        assert [side.top1.value, side.mean_rank.value, side.retrieval["csls"].foscttm.value] == [1, 1, 0]
        assert [side.top1.low, side.top1.high] == [pytest.approx(1 - 3.8415 / 303.8415, abs=1e-5), 1]


def test_unrelated_rows_score_chance(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((600, 16)), rng.standard_normal((600, 16))
    scores = evaluate(Linear(np.eye(16), np.eye(16)), x, y, pool=200, bootstrap=200)
    for scored in (scores.forward.retrieval["plain"], scores.forward.reference["csls"]):
        assert scored.mean_rank.value == pytest.approx(100.5, rel=0.1)
        assert scored.foscttm.value == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("n", "pool", "used"), [(100, 8192, 100), (100, 50, 50), (100, 30, 25), (101, 50, 34)])
def test_pools_are_disjoint_even_and_at_most_as_large_as_asked(
    n: int, pool: int, used: int, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((n, 4))
    seen: list[Array] = []

    class Recorder(Linear):
        def translate(self, x: Array, /) -> Array:
            seen.append(x)
            return x

    scores = evaluate(Recorder(np.eye(4), np.eye(4)), x, x, pool=pool, bootstrap=0)
    assert [scores.pool, scores.forward.pool, scores.n] == [used, used, n]
    assert max(map(len, seen)) == used
    assert max(map(len, seen)) - min(map(len, seen)) <= 1
    assert sorted(map(tuple, np.concatenate(seen))) == sorted(map(tuple, x))


def test_a_smaller_pool_is_easier(rng: np.random.Generator) -> None:
    x, y = noisy_pair(400, 6, rng)
    translator = Linear(np.eye(6), np.eye(6))
    large, small = (evaluate(translator, x, y, pool=pool, bootstrap=0) for pool in (400, 50))
    assert small.forward.mean_rank.value < large.forward.mean_rank.value
    assert small.forward.cosine.value == pytest.approx(large.forward.cosine.value)


@pytest.mark.parametrize("others", [1, 60])
def test_ranks_among_further_rows_equal_the_slow_oracle(others: int, rng: np.random.Generator) -> None:
    x, y = noisy_pair(30, 6, rng)
    more = np.concatenate([y[:1], rng.standard_normal((others, 6))])
    both = np.concatenate([cosines(x, y), cosines(x, more)], axis=1)
    assert ranks_among(x, y, more).tolist() == slow_ranks(both, TIE)


@pytest.mark.parametrize("pool", [8192, 20])
def test_further_rows_of_the_source_compete_as_in_a_search_of_the_collection(
    pool: int, rng: np.random.Generator
) -> None:
    x, y = noisy_pair(40, 6, rng)
    more = rng.standard_normal((500, 6)) + 0.5
    turn = rotation(6, rng)
    translator = Linear(turn, turn.T)
    alone = evaluate(translator, x @ turn.T, y, pool=pool, bootstrap=20)
    among = evaluate(translator, x @ turn.T, y, pool=pool, bootstrap=20, others=more @ turn.T)
    assert alone.collection is None
    assert among.collection is not None
    assert (among.forward, among.backward) == (alone.forward, alone.backward)
    assert among.collection.pool == min(pool, 40) + 500
    if pool > 40:
        assert among.collection.mean_rank.value == pytest.approx(ranks_among(y, x, more).mean())
    assert among.collection.top1.value < alone.forward.top1.value
    written = json.loads(json.dumps(among.to_dict()))["collection"]
    assert written["intervals"]["top1"][0] <= written["top1"] <= written["intervals"]["top1"][1]
    assert f"top-1 {written['top1']:.3f} among {written['pool']} translations" in repr(among)
    assert f"target in the translations of {written['pool']:,} source rows" in among._repr_html_()


def test_resamples_equal_one_resample_at_a_time_in_any_block_size(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rng.standard_normal((40, 3))
    drawn = np.random.default_rng(5).integers(0, 40, (7, 40))
    expected = np.array([rows.sum(axis=0), *(rows[picked].sum(axis=0) for picked in drawn)])
    positive = rng.random(40) < 0.5
    areas = Resamples(40, 5, 7).auc(rows[:, 0], positive)
    assert Resamples(40, 5, 7).sums(rows) == pytest.approx(expected)
    monkeypatch.setattr("interlingua.evaluation.bootstrap._BLOCK_ENTRIES", 160)
    assert [len(block) for block in Resamples(40, 5, 7).counts()] == [1, 4, 3]
    assert Resamples(40, 5, 7).sums(rows) == pytest.approx(expected)
    np.testing.assert_array_equal(Resamples(40, 5, 7).auc(rows[:, 0], positive), areas)


def test_a_share_of_0_or_1_has_an_interval_of_some_width() -> None:
    sure, never = (Resamples(100, 0).mean(np.full(100, value), share=True) for value in (1.0, 0.0))
    assert sure.to_list() == pytest.approx([1, 0.963, 1], abs=1e-3)
    assert never.to_list() == pytest.approx([0, 0, 0.037], abs=1e-3)
    linked = np.arange(100) < 20
    precision = Resamples(100, 0).ratio(linked, linked)
    assert precision.low == pytest.approx(1 - 3.8415 / 23.8415, abs=1e-4)
    assert Resamples(100, 0).mean(np.full(100, 0.5), share=True).low == 0.5
    # Numbers are shares only where the caller says so: mean ranks and counts can be 1 in every row.
    for values in ([0] * 100, np.zeros(100), np.ones(100)):
        mean = Resamples(100, 0).mean(values)
        assert mean.low == mean.value == mean.high
    assert Resamples(100, 0).mean([1] * 100, share=True).low == pytest.approx(sure.low)
    assert Resamples(100, 0).mean([True] * 100).low == pytest.approx(sure.low)
    assert Resamples(100, 0, draws=0).mean(np.ones(100), share=True).low is None


def test_the_interval_agrees_with_the_normal_one(rng: np.random.Generator) -> None:
    x, y = noisy_pair(500, 6, rng)
    mean = evaluate(Linear(np.eye(6), np.eye(6)), x, y, bootstrap=2000).forward.cosine
    error = 1.96 * np.std(paired_cosine(x, y)) / np.sqrt(500)
    assert mean.low == pytest.approx(mean.value - error, abs=0.2 * error)
    assert mean.high == pytest.approx(mean.value + error, abs=0.2 * error)


def test_the_seed_decides_everything(rng: np.random.Generator) -> None:
    x, y = noisy_pair(90, 6, rng)
    translator = Linear(np.eye(6), np.eye(6))
    runs = [evaluate(translator, x, y, pool=30, seed=seed, bootstrap=50).to_dict() for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_json_has_what_scripts_read(rng: np.random.Generator) -> None:
    x, y = noisy_pair(60, 6, rng)
    scores = evaluate(Linear(np.eye(6), np.eye(6)), x, y, ks=(3,), bootstrap=20)
    written = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    for direction in ("forward", "backward"):
        side = written[direction]
        assert {"cosine", "top1", "mean_rank", "pool", "n"} <= set(side)
        assert set(side["retrieval"]) == set(side["reference"]) == {"plain", "csls"}
        assert set(side["retrieval"]["csls"]["top_k"]) == {"1", "3"}
        assert side["intervals"]["top1"][0] <= side["top1"] <= side["intervals"]["top1"][1]
    without = evaluate(Linear(np.eye(6), np.eye(6)), x, y, retrieval=("csls",), bootstrap=0)
    assert without.to_dict()["forward"]["intervals"] == {}
    assert list(without.forward.retrieval) == ["csls"]


def test_an_interval_reads_as_a_number() -> None:
    assert float(Interval(0.5)) == 0.5
    assert str(Interval(0.5)) == "0.5"
    assert str(Interval(0.51234, 0.4, 0.6)) == "0.5123 [0.4, 0.6]"


def test_spaces_and_half_precision_are_taken(rng: np.random.Generator) -> None:
    @dataclass(frozen=True)
    class Space:
        vectors: Array

    x, y = (side.astype(np.float16) for side in noisy_pair(60, 6, rng))
    translator = Linear(np.eye(6), np.eye(6))
    assert (
        evaluate(translator, Space(x), Space(y), bootstrap=9).to_dict()
        == evaluate(translator, x, y, bootstrap=9).to_dict()
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, x: evaluate(t, x, x[:-1]), "source has 20 rows and target 19"),
        (lambda t, x: evaluate(t, x[:1], x[:1]), "at least 2 rows"),
        (lambda t, x: evaluate(t, x, x, pool=1), "pool is 1; a pool needs at least 2 rows"),
        (lambda t, x: evaluate(t, x, x, ks=(5, 0)), "ks holds 0; a top-k accuracy needs k >= 1"),
        (lambda t, x: evaluate(t, x, x, retrieval=("dot",)), r"retrieval is \('dot',\); one or more of"),
        (lambda t, x: evaluate(t, x, x, retrieval=()), r"retrieval is \(\); one or more of"),
        (lambda t, x: evaluate(t, x, x, others=x[:, :3]), "others has 3 columns; 4 are needed"),
        (lambda t, x: evaluate(t, x, x, bootstrap=-1), "bootstrap is -1; 0 or more resamples"),
        (lambda t, x: evaluate(Linear(t.forward * np.nan, t.backward), x, x), "the translation of source: 20 of 20"),
        (lambda t, x: evaluate(Linear(t.forward, t.backward * np.nan), x, x), "the inversion of target: 20 of 20"),
        (lambda t, x: evaluate(t, x, x[:, :3]), r"shapes \(20, 4\) and \(20, 3\); paired scores need row i"),
        (lambda t, x: paired_cosine(x, x[:5]), r"shapes \(20, 4\) and \(5, 4\)"),
    ],
)
def test_wrong_arguments_are_refused(
    call: Callable[[Linear, Array], object], message: str, rng: np.random.Generator
) -> None:
    class Forward(Linear):
        def invert(self, y: Array, /) -> Array:
            return np.asarray(y @ self.backward[: y.shape[1]])

    with pytest.raises(InputError, match=message):
        call(Forward(np.eye(4), np.eye(4)), rng.standard_normal((20, 4)))
