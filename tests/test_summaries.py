"""Results are readable in a console and a notebook: short, without arrays, and without markup from names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import interlingua as il
from exported import D_SOURCE, D_TARGET, linear, neural, rows
from interlingua.identification import Fingerprint


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
        "  passed  half_agreement       0.9  Two fits agree.",
        "  FAILED  density_gap          0.2  Densities differ.",
    ]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a & b", '"quoted"'])
def test_html_holds_no_markup_from_names_and_reasons(alignment: il.Alignment, name: str) -> None:
    verdict = replace(alignment.verdict, reasons=(f"Because of {name}.",))
    hostile = replace(alignment, source={**alignment.source, "name": name}, verdict=verdict)
    text = hostile._repr_html_()
    assert name not in text
    assert "<td>half_agreement</td><td>0.9</td><td>yes</td>" in text
    assert len(text) < 1_000
    assert verdict._repr_html_() in text


def test_a_summary_needs_neither_evidence_nor_names(alignment: il.Alignment) -> None:
    bare = replace(alignment, source={}, target={}, verdict=il.Verdict(il.Status.FAILED, 0.0, ("Too few rows.",)))
    assert bare.summary().splitlines()[0] == "Alignment of source (0 x 0) and target (0 x 0)"
    assert "<table>" not in bare._repr_html_()
    np.testing.assert_array_equal(bare.forward(np.eye(12)), alignment.forward(np.eye(12)))
