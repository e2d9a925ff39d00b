"""Results are readable in a console and a notebook: short, without arrays, and without markup from names."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import numpy as np
import pytest

import interlingua as il
from exported import D_SOURCE, D_TARGET, linear, neural, rows
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import affine_maps, polar
from interlingua.aligners.sanity import SANITY_CHECKS
from interlingua.aligners.verdict import judge_map
from interlingua.core import summaries
from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.identification import Fingerprint
from planted import encode, topics


def test_the_repr_of_a_result_is_one_short_line_without_arrays(alignment: il.Alignment) -> None:
    evaluation = il.evaluate(linear(), rows(D_SOURCE), rows(D_TARGET), bootstrap=0)
    results: list[Any] = [
        alignment,
        alignment.verdict,
        alignment.forward,
        alignment.profiles[0],
        alignment.translator(),
        neural(),
        neural().forward,
        neural().network,
        evaluation,
        Fingerprint.of(rows(D_SOURCE), "model"),
    ]
    for result in results:
        text = repr(result)
        assert len(text) < 160, text
        assert "array" not in text
        assert "\n" not in text


def test_reprs_name_what_decides() -> None:
    verdict = il.Verdict(il.Status.DOUBTFUL, 0.5, ("Too few rows.",))
    assert repr(verdict) == "Verdict(doubtful, score 0.50)"
    assert repr(neural().forward) == "NetworkMap(source 24 -> target 16)"
    assert repr(neural().network) == "Network(source: 24, target: 16; latent 20)"


def test_an_alignment_shows_widths_method_and_verdict(alignment: il.Alignment) -> None:
    expected = "Alignment(12 -> 8, method planted: aligned, score 0.93, 1 of 2 criteria passed)"
    assert repr(alignment) == expected


def test_the_repr_of_an_evaluation_has_its_main_scores() -> None:
    text = repr(il.evaluate(linear(), rows(D_SOURCE), rows(D_TARGET), bootstrap=0, pool=150))
    assert text.startswith("Evaluation(forward: top-1 0.")
    assert "; backward: top-1 0." in text
    assert text.endswith("; pools of 150, 300 rows)")


def test_a_summary_tells_spaces_method_verdict_reasons_and_evidence(alignment: il.Alignment) -> None:
    assert alignment.summary().splitlines() == [
        "Alignment of Left (300 x 12) and Right (300 x 8)",
        "Method planted, seed 0, 1.2 s",
        "Verdict: aligned, score 0.93, 1 of 2 criteria passed",
        "  It was made so.",
        "          criterion          value      null  needed",
        "  FAILED  density gap          0.2       0.3  ≥ 0.05    Densities differ.",
        "  passed  half agreement       0.9       0.1  ≥ 0.5     Two fits agree.",
    ]


def test_a_measurement_that_barely_passes_is_said_to_pass_narrowly(alignment: il.Alignment) -> None:
    evidence = (
        il.Evidence("refit_agreement", 0.459, 0.05, 0.458, True, "Refits agree."),
        il.Evidence("sliced_wasserstein", 1.195, 1.0, 1.2, True, "Rows are alike.", "at_most"),
        il.Evidence("sliced_wasserstein", 1.05, 1.0, 1.2, True, "Rows are alike.", "at_most"),
        il.Evidence("cycle", 0.9, 0.05, 0.5, True, "Round trips return."),
        il.Evidence("hubness", 0.5, 0.5, 0.5, True, "The null is the limit."),
        il.Evidence("rank_of_pairs", 0.0, 0.5, 0.01, True, "No row is nearer.", "at_most"),
        il.Evidence("rank_of_pairs", 0.009, 0.5, 0.01, True, "Nearly too many rows are nearer.", "at_most"),
    )
    narrow = replace(alignment, verdict=il.Verdict(il.Status.ALIGNED, 1.0, (), evidence))
    assert "score 1.00, 7 of 7 criteria passed, 3 of them narrowly" in repr(narrow)
    assert narrow._repr_html_().count("<td>narrowly</td>") == 3
    assert narrow._repr_html_().count("<td>yes</td>") == 4


@pytest.fixture(scope="module")
def measured() -> tuple[Evidence, ...]:
    """Every measurement that a fit without pairs and categories can have, as one verdict gives them."""
    rng = np.random.default_rng(4)
    content = topics(360, 12, rng)
    x, y = (encode(content, d, rng) for d in (14, 12))
    problem = Problem.of(x[:180], y[180:])
    maps = affine_maps(*problem.frames, polar(problem.frames[0].center(x).T @ problem.frames[1].center(y)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("interlingua.aligners.verdict._MANY_ROWS", 0)  # also the measurement that needs many rows
        return judge_map(problem.frames, problem.rows[0], *maps, seed=0, start_agreement=0.9).evidence


@pytest.fixture
def failed(alignment: il.Alignment, measured: tuple[Evidence, ...]) -> il.Alignment:
    """A fit that fails every criterion."""
    missed: dict[str, Any] = {"value": 0.1, "null": 0.05, "threshold": 0.5, "passed": False, "direction": "at_least"}
    evidence = tuple(replace(item, **missed) for item in measured)
    verdict = il.Verdict(il.Status.FAILED, 0.1, ("The rows are few.", *map(str, evidence)), evidence)
    return replace(alignment, verdict=verdict)


def test_a_summary_has_every_measurement_once_and_is_short(failed: il.Alignment) -> None:
    text = failed.summary()
    words = " ".join(text.split())
    assert {"self_retrieval", "start_agreement", "map_agreement", *SANITY_CHECKS} <= {
        item.name for item in failed.verdict.evidence
    }
    for item in failed.verdict.evidence:
        assert words.count(item.meaning) == 1
        assert text.count(f"  FAILED  {item.name.replace('_', ' ')}") == 1
    assert words.count("The rows are few.") == 1
    assert max(map(len, text.splitlines())) <= 100


def test_no_measurement_takes_more_than_three_lines_of_a_summary(failed: il.Alignment) -> None:
    for item in failed.verdict.evidence:
        verdict = replace(failed.verdict, evidence=(item,), reasons=(str(item),)).to_dict()
        lines = summaries.verdict_text(verdict).splitlines()[2:]  # after the verdict and the heads of the columns
        assert len(lines) <= 3, f"{item.name} takes {len(lines)} lines: shorten its meaning in interlingua.aligners"


def test_html_has_every_measurement_once_with_its_limit(failed: il.Alignment) -> None:
    text = failed._repr_html_()
    for item in failed.verdict.evidence:
        assert text.count(escape(item.meaning)) == 1
        assert f"<td>{item.name.replace('_', ' ')}</td><td>0.1</td><td>0.05</td><td>≥ 0.5</td><td>no</td>" in text
    assert text.count("The rows are few.") == 1


def test_html_has_a_bar_for_every_measurement_and_the_curve_of_a_network(failed: il.Alignment) -> None:
    text = failed._repr_html_()
    assert text.count("<svg") == len(failed.verdict.evidence)
    checks = tuple({"step": "check", "seed": 0, "at": at, "score": 0.5 + at / 100} for at in (0, 10, 20))
    trained = replace(failed, trace=checks)._repr_html_()
    assert "label-free score: 0.5 at step 0, 0.7 at step 20" in trained
    assert trained.count("<polyline") == 1
    assert trained.endswith("</figure></div>")
    unknown = replace(failed, trace=({**checks[0], "score": float("nan")}, checks[1]))._repr_html_()
    assert "<polyline" not in unknown


def test_html_of_translators_and_evaluations_is_a_title_and_a_table(failed: il.Alignment) -> None:
    translator = failed.translator(force=True)
    assert translator._repr_html_().startswith(
        "<div><strong>Translator of Left (300 x 12) and Right (300 x 8)</strong>"
    )
    assert "<td>cycle</td>" in translator._repr_html_()
    assert neural()._repr_html_().startswith("<div><strong>NeuralTranslator of left (500 x 24) and right (500 x 16)")
    evaluation = il.evaluate(linear(), rows(D_SOURCE), rows(D_TARGET), bootstrap=0)
    text = evaluation._repr_html_()
    assert text.count("<tr>") == 3
    assert f"<td>source to target</td><td>{evaluation.forward.top1.value:.4g}</td>" in text
    for html in (translator._repr_html_(), text):
        assert not any(part in html for part in ("http", "<script", "<style", "src=", "href="))


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "<b>aligned</b>"},
        {"verdict": {"status": "<b>", "score": "high"}},
        {"verdict": {"status": "aligned", "score": 10**400}},
        {"verdict": {"status": "<b>", "evidence": [{"name": "<i>"}]}},
        {"verdict": {"reasons": ["<b>because</b>"]}},
        {"source": {"name": "<b>", "n": 3, "d": 2}, "method": "<b>"},
        {"source": {"n": "<b>"}},
        {"source": "<b>"},
        {"seconds": "<b>", "seed": "<b>"},
        {"verdict": None, "source": None},
    ],
)
def test_a_card_written_by_hand_neither_breaks_nor_marks_up_a_notebook(
    alignment: il.Alignment, change: dict[str, Any]
) -> None:
    translator = alignment.translator()
    translator.card.update(change)
    assert "\n" not in repr(translator)
    text = translator._repr_html_()
    assert "<b>" not in text
    assert "<i>" not in text
    assert text.startswith("<div>")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a & b", '"quoted"'])
def test_html_holds_no_markup_from_names_and_reasons(alignment: il.Alignment, name: str) -> None:
    verdict = replace(alignment.verdict, reasons=(f"Because of {name}.",))
    hostile = replace(alignment, source={**alignment.source, "name": name}, verdict=verdict)
    text = hostile._repr_html_()
    assert name not in text
    assert "<td>half agreement</td><td>0.9</td><td>0.1</td><td>≥ 0.5</td><td>yes</td>" in text
    assert len(text) < 1_600
    assert verdict._repr_html_() in text


def test_a_summary_needs_neither_evidence_nor_names(alignment: il.Alignment) -> None:
    bare = replace(alignment, source={}, target={}, verdict=il.Verdict(il.Status.FAILED, 0.0, ("Too few rows.",)))
    assert bare.summary().splitlines()[0] == "Alignment of source (0 x 0) and target (0 x 0)"
    assert "<table>" not in bare._repr_html_()
    np.testing.assert_array_equal(bare.forward(np.eye(12)), alignment.forward(np.eye(12)))


def test_a_summary_of_a_real_fit_fits_a_screen_and_repeats_nothing(rng: np.random.Generator) -> None:
    x, y = (rng.standard_normal((150, 9)).astype(np.float32) for _ in range(2))
    made = il.align(x, y, method="random-rotation")
    assert made.verdict.status is il.Status.FAILED
    lines = made.summary().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    words = " ".join(made.summary().split())
    assert [words.count(item.meaning) for item in made.verdict.evidence] == [1] * len(made.verdict.evidence)
    marks = [line.split()[0] for line in lines if line.startswith(("  FAILED", "  passed"))]
    assert marks == sorted(marks)
    assert len(marks) == len(made.verdict.evidence)


def _verdict(status: str, score: float, reasons: tuple[str, ...], **passed: bool) -> dict[str, Any]:
    evidence = tuple(Evidence(name, 1.0, 0.0, 0.5, ok, "What it is.") for name, ok in passed.items())
    missed = tuple(str(item) for item in evidence if not item.passed)
    return Verdict(Status(status), score, (*reasons, *missed), evidence).to_dict()


@pytest.mark.parametrize(
    ("reasons", "others", "because"),
    [
        (("A second search found another map.",), {}, "for the reasons above"),
        ((), {"round_trip": False}, "because round trip misses its limit"),
        ((), {"round_trip": False, "hubness": False}, "because round trip and hubness miss their limits"),
        (
            ("A search differs.",),
            {"round_trip": False},
            "because round trip misses its limit and for the reasons above",
        ),
    ],
)
def test_a_doubtful_fit_with_a_full_score_says_what_the_score_is_of(
    reasons: tuple[str, ...], others: dict[str, bool], because: str
) -> None:
    verdict = _verdict("doubtful", 1.0, reasons, transport_excess=True, refit_agreement=True, cycle=True, **others)
    found = summaries.own_reasons(verdict)
    assert found == [
        *reasons,
        "The score of 1.00 covers only transport excess, refit agreement and cycle, which reach their limits. The fit "
        f"is still doubtful, {because}.",
    ]
    assert "The score of 1.00 covers only" in summaries.verdict_text(verdict)
    assert "The score of 1.00 covers only" in summaries.verdict_html(verdict)


def test_other_verdicts_say_nothing_of_their_score() -> None:
    for verdict in (
        _verdict("aligned", 1.0, ("Fine.",), transport_excess=True),
        _verdict("doubtful", 0.8, ("Weak.",), transport_excess=False),
        _verdict("doubtful", 1.0, ("Without evidence.",)),
        {"status": "doubtful", "score": "high", "reasons": ["By hand."]},
    ):
        assert not any("score" in reason for reason in summaries.own_reasons(verdict))
