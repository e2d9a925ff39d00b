"""`align` as a whole: what it recovers, what it refuses to believe, and what must not matter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua._align import choose_method
from interlingua.aligners import base
from interlingua.aligners.linear.aligner import Linear
from interlingua.core.alignment import Alignment, AlignmentError, Status
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.maps import AffineMap
from interlingua.core.wording import count_of
from interlingua.evaluation import Evaluation, evaluate
from planted import Problem, Rows, encode, groups, problem, rotation, small_problem, topics

PARTS = ("mean_in", "matrix", "mean_out")
# Steps whose parts are reported while they run, with the number of parts in a fit of 1,500 rows.
COUNTED = {"null": 2, "polishing": 7, "nonorthogonal stage": 6, "judging": 5, "calibrating": 3}


def score(alignment: Alignment, source: Rows, target: Rows) -> Evaluation:
    return evaluate(alignment.translator(force=True), source, target, bootstrap=0)


def top1(alignment: Alignment, p: Problem) -> tuple[float, float]:
    scores = score(alignment, p.source_eval, p.target_eval)
    return float(scores.forward.top1), float(scores.backward.top1)


def same(first: Any, second: Any) -> bool:
    return all(getattr(first, part).tobytes() == getattr(second, part).tobytes() for part in PARTS)


def gaussian(n: int, d: int, seed: int) -> Rows:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


@pytest.fixture(scope="module")
def planted_problem() -> Problem:
    return problem(1500, (48, 32), 32, seed=1)


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    """What `on_step` was told of the planted fit."""
    return []


@pytest.fixture(scope="module")
def recovered(planted_problem: Problem, steps: list[dict[str, Any]]) -> Alignment:
    return il.align(planted_problem.source, planted_problem.target, rounds=3, on_step=steps.append)


@pytest.fixture(scope="module")
def failed() -> Alignment:
    return il.align(gaussian(300, 12, 1), gaussian(300, 12, 2), rounds=2)


def test_a_planted_isometry_is_recovered_without_a_pair(recovered: Alignment, planted_problem: Problem) -> None:
    assert recovered.verdict.status is Status.ALIGNED
    assert recovered.method == "linear"
    assert min(top1(recovered, planted_problem)) > 0.9
    scores = score(recovered, planted_problem.source_eval, planted_problem.target_eval)
    assert float(scores.forward.cosine_centered) > 0.9


def test_neither_the_order_of_rows_nor_a_rotation_of_the_input_matters(rng: np.random.Generator) -> None:
    p, turn = small_problem(seed=0), rotation(16, 16, rng)
    moved = Problem(rng.permutation(p.source) @ turn, rng.permutation(p.target), p.source_eval @ turn, p.target_eval)
    first, again = (il.align(each.source, each.target, rounds=3) for each in (p, moved))
    assert first.verdict.status is again.verdict.status is Status.ALIGNED
    assert top1(again, moved) == pytest.approx(top1(first, p), abs=0.05)
    ours, theirs = unit_rows(again.forward(moved.source_eval)), unit_rows(first.forward(p.source_eval))
    assert float((ours * theirs).sum(axis=1).mean()) > 0.97


def test_the_same_encoder_under_a_secret_rotation_is_solved_on_disjoint_rows(rng: np.random.Generator) -> None:
    x = encode(groups(1100, 10, rng), 16, rng, noise=0.005)
    secret = rotation(16, 16, rng)
    alignment = il.align(x[:400], x[400:800] @ secret, rounds=3)
    assert alignment.verdict.status is Status.ALIGNED
    assert min(top1(alignment, Problem(x, x, x[800:], x[800:] @ secret))) > 0.9
    assert float(score(alignment, x[800:], x[800:] @ secret).forward.cosine_centered) > 0.9


def test_unrelated_spaces_fail_and_give_no_translator(failed: Alignment) -> None:
    assert failed.verdict.status is Status.FAILED
    assert failed.verdict.score <= 0.5
    with pytest.raises(AlignmentError, match=r"The fit failed.*no better than chance\. .*force=True") as caught:
        failed.translator()
    assert caught.value.alignment is failed
    assert failed.translator(force=True).card["verdict"]["status"] == "failed"


def test_the_verdict_is_a_conclusion_from_its_evidence(recovered: Alignment, failed: Alignment) -> None:
    for alignment in (recovered, failed):
        verdict = alignment.verdict
        assert 0 <= verdict.score <= 1
        assert verdict.reasons
        names = [e.name for e in verdict.evidence]
        assert len(set(names)) == len(names) >= 4
        assert all(
            np.isfinite([e.value, e.null, e.threshold]).all() and e.meaning.endswith(".") for e in verdict.evidence
        )
        assert all(e.passed for e in verdict.evidence) is (verdict.status is Status.ALIGNED)
        json.dumps(verdict.to_dict(), allow_nan=False)


def test_the_seed_decides_the_maps_to_the_byte() -> None:
    p = problem(200, (12, 10), 10, seed=5, held_out=10)
    first, second, other = (il.align(p.source, p.target, rounds=1, seed=seed) for seed in (1, 1, 2))
    assert same(first.forward, second.forward)
    assert same(first.backward, second.backward)
    assert first.verdict == second.verdict
    assert not same(first.forward, other.forward)


def scalars(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in scalars(item)]
    return [value]


def test_the_trace_holds_numbers_and_never_vectors(recovered: Alignment, steps: list[dict[str, Any]]) -> None:
    assert recovered.trace[0] == {"step": "rows", "source": 1500, "target": 1500}
    for step in recovered.trace:
        assert all(isinstance(leaf, bool | int | float | str) for leaf in scalars(step)), step
        assert [key for key, value in step.items() if isinstance(value, str)] == ["step"]
    # Everything after the rows is told while it happens, and the verdict at the end.
    times = {"elapsed", "seconds_left", "total_seconds_left"}
    untimed = [{key: value for key, value in step.items() if key not in times} for step in steps]
    parts = [step for step in untimed if step["step"] in {*COUNTED, "search"}]
    assert [step for step in untimed[:-1] if step not in parts] == list(recovered.trace[1:])
    assert all("seconds_left" in step for step in steps if step["step"] in COUNTED and step["at"])
    assert untimed[-1] == {"step": "verdict", "status": "aligned", "score": recovered.verdict.score}
    assert all(step["elapsed"] >= 0 for step in steps)


def test_parts_of_long_steps_are_counted_from_zero_to_their_number(steps: list[dict[str, Any]]) -> None:
    counts = {name: [step["at"] for step in steps if step["step"] == name] for name in COUNTED}
    assert counts == {name: list(range(count + 1)) for name, count in COUNTED.items()}
    assert {step["of"] for step in steps if step["step"] == "nonorthogonal stage"} == {6}
    # In this order, and the last before the verdict.
    assert list(dict.fromkeys(step["step"] for step in steps if step["step"] in COUNTED)) == list(COUNTED)
    assert steps[-2]["step"] == "calibrating"


def test_the_card_tells_where_an_alignment_came_from(recovered: Alignment, planted_problem: Problem) -> None:
    card = json.loads(json.dumps(recovered.card(), allow_nan=False))
    source = il.EmbeddingSpace(planted_problem.source, name="source")
    assert card["source"] == {**source.describe(), "name": "source", "n": 1500, "d": 48}
    assert (card["method"], card["seed"], card["settings"]["rounds"]) == ("linear", 0, 3)
    assert set(card["versions"]) >= {"interlingua", "numpy", "scipy", "scikit-learn"}
    assert card["seconds"] > 0
    vectors = [
        leaf for leaf in scalars(card) if isinstance(leaf, list) and len(leaf) > 10 and not isinstance(leaf[0], str)
    ]
    assert not vectors


def test_a_translator_of_an_alignment_survives_its_folder(
    recovered: Alignment, planted_problem: Problem, tmp_path: Path
) -> None:
    again = il.load(recovered.translator().save(tmp_path / "translator"))
    assert np.array_equal(again.translate(planted_problem.source_eval), recovered.forward(planted_problem.source_eval))
    assert again.card == json.loads(json.dumps(recovered.card()))


def test_at_most_so_many_rows_are_read_and_the_trace_says_so() -> None:
    alignment = il.align(gaussian(300, 8, 1), gaussian(250, 8, 2), max_rows=200, rounds=0)
    assert alignment.trace[0] == {"step": "rows", "source": 200, "target": 200}
    assert alignment.source["n"] == 300
    assert alignment.settings["max_rows"] == 200


@pytest.fixture(scope="module")
def overlapping() -> tuple[Problem, list[list[int]]]:
    """A problem too small without pairs, and 40 texts that both sides hold, in another order."""
    rng = np.random.default_rng(2)
    content = topics(1100, 20, rng)
    source, target = (encode(content, d, rng) for d in (24, 20))
    order = rng.permutation(250)
    return (
        Problem(source[:250], target[210:460][order], source[760:], target[760:]),
        [[210 + int(i), int(np.argmax(order == i))] for i in range(40)],
    )


def test_few_pairs_help_where_none_are_not_enough(overlapping: tuple[Problem, list[list[int]]]) -> None:
    p, pairs = overlapping
    without, helped = (il.align(p.source, p.target, pairs=known, rounds=1) for known in ([], pairs))
    assert without.method == helped.method == "linear"
    assert min(top1(helped, p)) > 0.7
    assert min(top1(helped, p)) > max(top1(without, p)) + 0.2


def test_many_pairs_make_a_ridge_regression_with_a_verdict_on_pairs_held_out(rng: np.random.Generator) -> None:
    content = topics(3000, 20, rng)
    source, target = (encode(content, d, rng) for d in (24, 20))
    order = rng.permutation(2500)
    pairs = np.stack([order, np.arange(2500)], axis=1)
    alignment = il.align(source[:2500], target[order], pairs=pairs)
    assert alignment.method == "ridge"
    assert alignment.verdict.status is Status.ALIGNED
    assert [e.name for e in alignment.verdict.evidence] == ["held_out_pairs", "rank_of_pairs", "coverage_of_pairs"]
    assert min(top1(alignment, Problem(source, target, source[2500:], target[2500:]))) > 0.9
    wrong = il.align(source[:2500], target[rng.permutation(2500)], pairs=pairs)
    assert wrong.verdict.status is Status.FAILED
    with pytest.raises(
        il.AlignmentError, match="known pairs support no map. There are too few of them, or their rows are not the same"
    ):
        wrong.translator()


@pytest.mark.parametrize("method", ["linear", "mini-vec2vec", "centroids"])
def test_a_limit_of_rows_that_is_too_small_is_named(method: str) -> None:
    few = gaussian(150, 9, 0), gaussian(140, 9, 1)
    with pytest.raises(InputError, match="max_rows draws 5 of the 150 rows of source; "):
        il.align(*few, method=method, max_rows=5)


def test_a_limit_of_rows_that_leaves_too_few_to_judge_is_named() -> None:
    verdict = il.align(gaussian(150, 9, 0), gaussian(140, 9, 1), method="mean-shift", max_rows=5).verdict
    assert verdict.reasons[0].startswith("max_rows draws 5 of the 150 rows of source; without pairs at least 100 are")


@pytest.mark.parametrize("empty", [[], np.empty((0, 2), np.int64)])
def test_pairs_that_hold_none_are_counted_in_the_trace(empty: Any) -> None:
    sides = gaussian(150, 9, 0), gaussian(140, 9, 1)
    counted = [step for step in il.align(*sides, method="mean-shift", pairs=empty).trace if step["step"] == "pairs"]
    assert [(step["given"], step["used"]) for step in counted] == [(0, 0)]
    assert all(step["step"] != "pairs" for step in il.align(*sides, method="mean-shift").trace)


def test_an_empty_table_of_other_columns_holds_no_pairs() -> None:
    with pytest.raises(InputError, match=r"pairs has shape \(0, 3\) .*; whole numbers of shape \[p, 2\] are needed"):
        il.align(gaussian(150, 9, 0), gaussian(140, 9, 1), method="mean-shift", pairs=np.empty((0, 3), np.int64))


@pytest.mark.parametrize("side", ["source", "target"])
def test_ridge_refuses_pairs_of_one_direction(side: str) -> None:
    same = np.outer(np.arange(1, 151), np.arange(1, 10)).astype(np.float32)
    sides = (same, gaussian(150, 9, 0)) if side == "source" else (gaussian(150, 9, 0), same)
    with pytest.raises(InputError, match=f"the {side} rows of all 100 pairs have the same direction.* different texts"):
        il.align(*sides, pairs=[[i, i] for i in range(100)], method="ridge")


def test_a_handful_of_pairs_cannot_confirm_a_map(rng: np.random.Generator) -> None:
    x = rng.standard_normal((300, 8))
    alignment = il.align(x, x, pairs=[[i, i] for i in range(4)], method="procrustes")
    assert alignment.verdict.status is Status.FAILED
    assert alignment.verdict.reasons[0].startswith("4 pairs are known, too few to hold any out; at least 10")


@pytest.mark.parametrize(("known", "method"), [(None, "linear"), (10, "linear"), (47, "linear"), (48, "ridge")])
def test_auto_means_ridge_from_twice_the_larger_width_on(known: int | None, method: str) -> None:
    pairs = None if known is None else np.arange(known)[:, None].repeat(2, axis=1)
    assert choose_method(base.Problem.of(gaussian(60, 24, 0), gaussian(60, 16, 0), pairs=pairs)) == method


@pytest.mark.parametrize("n", [1, 5, 150])
def test_the_verdict_on_a_map_that_learns_nothing_is_failed(n: int) -> None:
    alignment = il.align(gaussian(n, 9, 1), gaussian(n, 9, 2), method="mean-shift")
    assert alignment.verdict.status is Status.FAILED
    assert (f"source has {count_of(n)}; without pairs" in alignment.verdict.reasons[0]) is (n < 100)


def test_the_identity_is_believed_where_both_sides_are_one_space(planted_problem: Problem) -> None:
    rows = planted_problem.source
    assert il.align(rows[:750], rows[750:], method="identity").verdict.status is not Status.FAILED


FLAT = np.hstack([gaussian(200, 3, 0)] * 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": gaussian(40, 9, 0)}, "source has 40 rows; without pairs at least 100 are needed.*procrustes"),
        ({"target": gaussian(40, 9, 0)}, "target has 40 rows; without pairs at least 100"),
        ({"target": gaussian(200, 5, 0)}, "target has 5 columns; without pairs at least 8 are needed"),
        ({"source": FLAT}, "source varies in only 3 directions; without pairs at least 8 are needed"),
        ({"source": np.ones((200, 9))}, "source holds 200 copies of one row"),
        ({"target": np.full((200, 9), np.nan)}, "target: 200 of 200 rows hold NaN"),
        ({"seed": -1}, "seed is -1; an integer >= 0"),
        ({"rounds": "ten"}, "rounds is 'ten'; an integer >= 0 is needed"),
        ({"rounds": 2.5}, "rounds is 2.5; an integer"),
        ({"rounds": -3}, "rounds is -3; an integer >= 0"),
        ({"rounds": True}, "rounds is True; an integer"),
        ({"nonorthogonal": "no"}, "nonorthogonal is 'no'; True or False is needed"),
        ({"nonorthogonal": 1}, "nonorthogonal is 1; True or False is needed"),
        ({"device": 3}, "device is 3; a text is needed"),
        ({"max_rows": 0}, "max_rows is 0; an integer >= 1 is needed"),
        ({"method": "magic"}, "There is no method 'magic'; choose from auto, linear, "),
        (
            {"turns": 3},
            r"unknown keyword 'turns': method 'linear' takes rounds, .* describe_settings\('linear'\) explains them",
        ),
        (
            {"method": "identity", "rounds": 3},
            "unknown keyword 'rounds': method 'identity' takes no settings.* rounds is a setting of .*linear",
        ),
        ({"steps": 3}, r"unknown keyword 'steps': method 'linear' takes .* steps is a setting of .*adversarial"),
        ({"method": 3, "steps": 1}, "method is 3; a name such as 'linear' or an object with fit"),
        ({"method": "ridge"}, "ridge learns from known pairs and none were given"),
        ({"method": "identity", "pairs": [[0, 0]]}, "1 pair was given and identity uses none"),
        ({"pairs": [0, 1, 2]}, r"pairs has shape \(3,\) and dtype int64; whole numbers of shape \[p, 2\]"),
        ({"pairs": [[0, 1, 2]]}, r"pairs has shape \(1, 3\)"),
        ({"pairs": [[0.0, 1.0]]}, "pairs has shape .* and dtype float64; whole numbers"),
        (
            {"pairs": [[0, 0], [7, 200]]},
            r"pairs: 1 of 2 pairs names rows that do not exist, namely pair 1: \[7, 200\]",
        ),
        ({"pairs": [[-1, 0]]}, "pairs: the only pair names rows that do not exist"),
        ({"pairs": [[0, 0]], "method": "procrustes"}, "1 known pair was given; procrustes needs at least 2"),
    ],
)
def test_what_cannot_be_aligned_is_refused_in_words(arguments: dict[str, Any], message: str) -> None:
    defaults: dict[str, Any] = {"source": gaussian(200, 9, 1), "target": gaussian(200, 9, 2), "rounds": 0}
    if "method" in arguments:
        defaults.pop("rounds")
    with pytest.raises(InputError, match=message):
        il.align(**{**defaults, **arguments})


def test_a_setting_of_a_method_object_is_refused_with_the_place_for_it() -> None:
    x, y = gaussian(200, 9, 1), gaussian(200, 9, 2)
    message = r"^'rounds' is a setting of the method object .* in its constructor: method=Linear\(rounds=\.\.\.\)\.$"
    with pytest.raises(InputError, match=message):
        il.align(x, y, method=Linear(), rounds=4)


@pytest.mark.parametrize(
    ("function", "given", "meant"),
    [
        (il.align, {"metod": "linear"}, "method"),
        (il.align, {"pair": [[0, 0]]}, "pairs"),
        (il.align, {"sead": 3}, "seed"),
        (il.align, {"max_row": 500}, "max_rows"),
        (il.align, {"onstep": print}, "on_step"),
        (il.align, {"round": 3}, "rounds"),
        (il.align, {"nonortogonal": False}, "nonorthogonal"),
        (il.align, {"method": "ridge", "pairs": [[0, 0]], "alfa": 1}, "alpha"),
        (il.align, {"method": Linear(), "sead": 3}, "seed"),
        (il.align, {"method": "adversarial", "lrr": 1e-3}, "lr"),
        (il.align_spaces, {"sede": 3}, "seed"),
        (il.align_spaces, {"step": 5}, "steps"),
        (il.align_spaces, {"max_rowz": 5}, "max_rows"),
    ],
)
def test_a_misspelled_keyword_is_refused_with_the_one_that_was_meant(
    function: Callable[..., Any], given: dict[str, Any], meant: str
) -> None:
    x, y = gaussian(200, 9, 1), gaussian(200, 9, 2)
    sides = (x, y) if function is il.align else ({"x": x, "y": y},)
    with pytest.raises(InputError, match=rf"^unknown keyword '{list(given)[-1]}'\. Did you mean {meant}\?$"):
        function(*sides, **given)


@pytest.mark.parametrize("convert", [np.float16, np.float64, lambda x: (100 * x).astype(np.int16)])
def test_any_real_dtype_is_aligned_in_float32(convert: Callable[[Rows], Any]) -> None:
    alignment = il.align(convert(gaussian(120, 8, 1)), convert(gaussian(120, 8, 2)), rounds=0)
    assert isinstance(alignment.forward, AffineMap)
    assert alignment.forward.matrix.dtype == np.float32
    assert np.isfinite(alignment.forward.matrix).all()


def test_torch_tensors_are_taken_as_they_are() -> None:
    torch = pytest.importorskip("torch")
    x, y = gaussian(120, 8, 1), gaussian(120, 8, 2)
    first, second = il.align(x, y, rounds=0), il.align(torch.from_numpy(x), torch.from_numpy(y), rounds=0)
    assert same(first.forward, second.forward)


@pytest.mark.slow
def test_real_encoders_are_aligned_on_disjoint_queries(shared_data: Path) -> None:
    spaces = shared_data / "spaces"
    files = [spaces / f"beir-queries.{name}.npy" for name in ("bge-base-en-v1.5", "all-MiniLM-L6-v2")]
    if not all(file.is_file() for file in files):
        pytest.skip(f"needs the query embeddings in {spaces}, which are not there")
    source, target = (np.load(file).astype(np.float32) for file in files)
    rows = np.random.default_rng(0).permutation(len(source))
    half = (len(rows) - 2048) // 2
    p = Problem(source[rows[:half]], target[rows[half : 2 * half]], source[rows[-2048:]], target[rows[-2048:]])
    alignment = il.align(p.source, p.target)
    assert alignment.verdict.status is Status.ALIGNED
    assert min(top1(alignment, p)) >= 0.95
