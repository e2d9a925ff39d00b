"""Several candidate targets: what counts as several, which one serves, and what the alignment says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.aligners.candidates import read_candidates
from interlingua.aligners.conclusion import weakest_margin
from interlingua.aligners.verdict import EXCESS_LIMITS, correct_for_tries
from interlingua.core.alignment import Alignment, Evidence, Status, Verdict
from interlingua.core.errors import InputError
from interlingua.core.spaces import EmbeddingSpace
from interlingua.report import write_report
from planted import Problem, Rows, encode, rotation, small_problem, topics

N = 1200


def gaussian(n: int, d: int, seed: int) -> Rows:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def spaces(rng: np.random.Generator) -> tuple[Rows, Rows, Rows, Rows, Rows]:
    """Source rows, two samples of target rows of the same content, and held-out rows of both sides."""
    content = topics(3 * N + 300, 24, rng)
    source, target = encode(content, 40, rng), encode(content, 32, rng)
    return source[:N], target[N : 2 * N], target[2 * N : 3 * N], source[3 * N :], target[3 * N :]


@pytest.fixture(scope="module")
def steps() -> list[dict[str, Any]]:
    return []


@pytest.fixture(scope="module")
def one() -> Problem:
    """A problem of one target that a short fit solves."""
    return small_problem()


@pytest.fixture(scope="module")
def chosen(one: Problem, steps: list[dict[str, Any]]) -> Alignment:
    noise = gaussian(150, one.target.shape[1], 1)
    return il.align(one.source, {"noise": noise, "same": one.target}, rounds=6, on_step=steps.append)


@pytest.fixture(scope="module")
def grown() -> Alignment:
    source, first, second, *_ = spaces(np.random.default_rng(3))
    return il.align(source, {"first": first, "second": second}, rounds=2)


def by_name(alignment: Alignment) -> dict[str, Mapping[str, Any]]:
    return {each["name"]: each for each in alignment.candidates}


# --- what counts as several targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        gaussian(5, 3, 0),
        gaussian(5, 3, 0).tolist(),
        tuple(gaussian(5, 3, 0).tolist()),
        list(gaussian(5, 3, 0)),
        [tuple(row) for row in gaussian(5, 3, 0).tolist()],
        [],
        [gaussian(5, 3, 0).tolist()],
        EmbeddingSpace(gaussian(5, 3, 0)),
    ],
    ids=["array", "lists", "tuple of lists", "list of rows", "list of tuples", "empty", "nested lists", "space"],
)
def test_rows_in_any_form_are_one_target(target: Any) -> None:
    assert read_candidates(target) is None


def test_a_list_or_mapping_of_matrices_is_several_targets() -> None:
    a, b = gaussian(5, 3, 0), gaussian(6, 3, 1)
    assert list(read_candidates([a, b]) or ()) == ["target 1", "target 2"]
    assert list(read_candidates((a,)) or ()) == ["target 1"]
    assert list(read_candidates({"news": a.tolist(), "mail": b}) or ()) == ["news", "mail"]
    named = [EmbeddingSpace(a, name="news"), EmbeddingSpace(b, name="mail"), a]
    assert list(read_candidates(named) or ()) == ["news", "mail", "target 3"]
    equal = [EmbeddingSpace(a, name="news"), EmbeddingSpace(b, name="news")]
    assert list(read_candidates(equal) or ()) == ["target 1", "target 2"]
    # A name that looks like a number of the list must not hide the candidate with that number.
    numbered = [EmbeddingSpace(a, name="target 2"), b, EmbeddingSpace(a, name="target 4"), a]
    assert list(read_candidates(numbered) or ()) == ["target 2", "target 3", "target 4", "target 5"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({}, "empty mapping; vectors of at least one candidate are needed"),
        ([gaussian(5, 3, 0), gaussian(5, 3, 0)[0]], "item 2 is ndarray of shape .3,.; every item must be a matrix"),
        ({"a": gaussian(5, 3, 0), "b": gaussian(5, 4, 0)}, "target 'b' has width 4 and target 'a' has width 3"),
        ({1: gaussian(5, 3, 0)}, "name of a target is 1; a text is needed"),
        ({"a": gaussian(5, 3, 0), "b": np.zeros((3, 3))}, "b: 3 of 3 rows are all zeros"),
    ],
)
def test_targets_that_cannot_be_candidates_are_refused_by_name(target: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_candidates(target)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pairs": [[0, 0]]}, "pairs were given with several candidate targets"),
        ({"method": "procrustes"}, "method is 'procrustes'; several candidate targets need the method linear"),
        ({"round": 3}, "unknown keyword 'round'. Did you mean rounds"),
    ],
)
def test_what_needs_one_target_is_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        il.align(gaussian(200, 16, 0), [gaussian(200, 16, 1), gaussian(200, 16, 2)], **more)


def test_a_candidate_with_too_few_rows_is_refused_before_any_fit() -> None:
    seen: list[dict[str, Any]] = []
    with pytest.raises(InputError, match="small has 50 rows; without pairs at least 100 are needed"):
        il.align(
            gaussian(200, 16, 0), {"large": gaussian(200, 16, 1), "small": gaussian(50, 16, 2)}, on_step=seen.append
        )
    assert not seen


def test_a_candidate_that_cannot_be_fitted_is_named(rng: np.random.Generator) -> None:
    flat = np.asarray(rng.standard_normal((150, 3)) @ rng.standard_normal((3, 16)), np.float32)
    with pytest.raises(InputError, match="Candidate target 'flat': target varies in only 3 directions"):
        il.align(gaussian(150, 16, 0), {"flat": flat, "round": gaussian(150, 16, 1)})


# --- the choice -------------------------------------------------------------------------------------------------------


def test_the_candidate_of_the_same_content_serves(chosen: Alignment, one: Problem) -> None:
    assert chosen.verdict.status is Status.ALIGNED
    candidates = by_name(chosen)
    assert candidates["noise"]["use"] == "left out"
    assert candidates["noise"]["status"] == "failed"
    assert candidates["same"]["use"] == "kept"
    assert chosen.target["name"] == "same"
    assert chosen.target["n"] == len(one.target)
    found = il.evaluate(chosen.translator(), one.source_eval, one.target_eval, bootstrap=0)
    assert float(found.forward.top1) > 0.7


@pytest.mark.slow
def test_rows_of_the_same_content_are_added_because_refits_agree_better(grown: Alignment) -> None:
    candidates = by_name(grown)
    assert sorted(candidates[name]["use"] for name in ("first", "second")) == ["added", "kept"]
    assert grown.target["n"] == 2 * N
    assert grown.target["name"] in ("first + second", "second + first")
    assert {"step": "rows", "source": N, "target": 2 * N} in grown.trace
    kept = next(each for each in candidates.values() if each["use"] == "kept")
    evidence = {item.name: item.value for item in grown.verdict.evidence}
    assert evidence["start_agreement"] == kept["start_agreement"]
    assert evidence["refit_agreement"] > kept["refit_agreement"]


def test_trace_card_summary_and_report_say_which_candidate_served(
    chosen: Alignment, steps: list[dict[str, Any]], tmp_path: Any
) -> None:
    assert [step for step in chosen.trace if step["step"] == "candidate"] == list(chosen.candidates)
    assert [step["name"] for step in steps if step["step"] == "trial"] == ["noise", "same"]
    assert chosen.card()["candidates"] == [dict(each) for each in chosen.candidates]
    text = chosen.summary()
    assert "noise (150 rows): left out; alone failed, transport excess" in text
    assert "kept; alone aligned, transport excess" in text
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    page = write_report(tmp_path / "report.html", chosen).read_text("utf-8")
    assert "Candidate targets" in page
    assert "noise (150 rows): left out; alone failed" in page


def test_the_verdict_accounts_for_the_number_of_fits(chosen: Alignment) -> None:
    limit = next(item.threshold for item in chosen.verdict.evidence if item.name == "transport_excess")
    # Two candidates, and one attempt to add the other.
    assert limit == pytest.approx(6.41, abs=0.01)


@pytest.mark.slow
def test_two_candidates_with_evidence_and_different_maps_are_doubtful() -> None:
    rng = np.random.default_rng(5)
    source, first, second, *_ = spaces(rng)
    both = il.align(source, {"one": first, "other": second @ rotation(32, 32, rng)}, rounds=2)
    assert {each["status"] for each in both.candidates} == {"aligned"}
    assert both.verdict.status is Status.DOUBTFUL
    assert "The maps to " in both.verdict.reasons[0]
    assert "disagree" in both.verdict.reasons[0]
    assert sorted(str(each["use"]) for each in both.candidates) == ["kept", "left out"]


def test_one_candidate_gives_the_maps_of_a_single_target() -> None:
    x, y = gaussian(150, 10, 1), gaussian(160, 9, 2)
    alone, listed = (il.align(x, target, rounds=1) for target in (y, [y]))
    assert alone.forward.matrix.tobytes() == listed.forward.matrix.tobytes()  # type: ignore[attr-defined]
    assert alone.verdict == listed.verdict
    assert [each["use"] for each in listed.candidates] == ["kept"]


# --- the correction ---------------------------------------------------------------------------------------------------


def verdict(excess: float) -> Verdict:
    item = Evidence("transport_excess", excess, 0.0, EXCESS_LIMITS[0], excess >= EXCESS_LIMITS[0], "How close.")
    status = Status.ALIGNED if item.passed else Status.FAILED
    return Verdict(status, min(1.0, excess / EXCESS_LIMITS[0]), (str(item),), (item,))


def test_the_limit_grows_with_the_number_of_tries_and_lowers_the_verdict() -> None:
    limits = [correct_for_tries(verdict(6.0), tries).evidence[0].threshold for tries in (1, 2, 3, 10)]
    assert limits == sorted(limits)
    assert limits[0] == EXCESS_LIMITS[0]
    assert limits[1] == pytest.approx(5.86, abs=0.01)
    assert correct_for_tries(verdict(6.0), 2).status is Status.ALIGNED
    corrected = correct_for_tries(verdict(6.0), 3)
    assert corrected.status is Status.DOUBTFUL
    assert corrected.reasons == (str(corrected.evidence[0]),)
    assert corrected.score < 1


def test_more_tries_never_raise_a_verdict() -> None:
    failed = replace(verdict(3.0), score=0.5)
    corrected = correct_for_tries(failed, 4)
    assert corrected.status is Status.FAILED
    assert corrected.score <= failed.score
    assert weakest_margin(corrected.evidence) < weakest_margin(failed.evidence)
