from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.leakage.defense_scores import Decoded, DefenseScore
from interlingua.leakage.findings import Audit
from interlingua.leakage.inputs import GroundTruth
from interlingua.leakage.severity import LEVELS, RULES, severity
from interlingua.report._fits import fits_statement
from interlingua.report.annex import _percent, annex_sections, owasp_paragraph, write_annex
from test_audit import PROVENANCE, WORDS, N, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(0))


@pytest.fixture(scope="module")
def found(world: World) -> Audit:
    return world.audit(truth=GroundTruth(world.texts[:N]))


def test_the_annex_answers_what_article_33_asks(found: Audit, tmp_path: Path) -> None:
    page, markdown = write_annex(tmp_path / "annex.html", found, PROVENANCE)
    assert markdown == tmp_path / "annex.md"
    html, text = page.read_text("utf-8"), markdown.read_text("utf-8")
    for heading in (
        "What was tested", "What can be read", "About whom", "How sure this is", "Against which attacker",
        "Severity and consequences", "What would reduce it", "Reference to OWASP",
    ):  # fmt: skip
        assert heading in html
        assert f"## {heading}" in text
    assert "To be added by the controller" in text
    assert "measured against the true contents" in text
    for path in (page, markdown):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_annex_holds_no_recovered_word_and_neutralizes_what_it_was_given(found: Audit, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> [x](http://evil) # no heading \x1b[31m"
    page, markdown = write_annex(tmp_path / "a.html", found, replace(PROVENANCE, vectors=evil, authorized_by=evil))
    html, text = page.read_text("utf-8"), markdown.read_text("utf-8")
    assert "<script" not in html
    assert "<script" not in text
    assert "[x](http" not in text.replace("\\[x\\]", "")
    assert "\x1b" not in html + text
    assert not any(word in html + text for word in WORDS)


def test_the_paragraph_for_owasp_can_be_cited_alone(found: Audit) -> None:
    said = owasp_paragraph(found, PROVENANCE)
    for part in ("LLM08:2025", f"{N:,} vectors", "without pairs", "measured against the true texts", "control"):
        assert part in said or part in said.replace(f"{2 * N:,}", f"{N:,}")
    assert "safe" not in said


def test_fits_on_other_vectors_beside_own_ones_are_named(found: Audit) -> None:
    both = replace(found, verdicts=("aligned", "failed"), foreign=(False, True))
    assert fits_statement(both).endswith(
        "The verdict of this fit is aligned. They were also translated by a fit that was made on other vectors or with "
        "other public vectors. The verdict of that fit is failed. Its verdict is no evidence about these vectors."
    )
    several = replace(found, verdicts=("aligned", "failed"), foreign=(True, True))
    assert fits_statement(several).endswith(
        "2 fits that were made on other vectors or with other public vectors. The verdicts of those fits are: "
        "1 aligned, 1 failed. Their verdicts are no evidence about these vectors."
    )


def test_the_annex_names_defenses_that_reduce_what_is_read_and_counts_the_others(found: Audit) -> None:
    def score(name: str, words: float, overlap: float, *, baseline: bool = False) -> DefenseScore:
        share = Interval(words, words - 0.02, words + 0.02)
        decoded = Decoded(words=share, control=Interval(0.05), basis="measured")
        return DefenseScore(
            name=name, mechanism=name, keyed=False, baseline=baseline, overlap=Interval(overlap), attack="",
            verdict=None, top1=Interval(1.0), anonymity_set=Interval(1.0), decoded=decoded, pool=10, seconds=0.0,
        )  # fmt: skip

    scores = [score("no defense", 0.5, 1, baseline=True), score("int8", 0.49, 1), score("noise 0.1", 0.2, 0.3)]
    strong = [score("noise 0.05", 0.3, 0.6)]
    lines = annex_sections(replace(found, defenses=(*scores, *strong)), PROVENANCE)[-2].lines[1:]
    assert lines == (
        "Without a defense, a word is named for 50% of the documents.",
        "Noise 0.05: a word is named for 30% of the documents (still read), and 60% of the search quality is kept.",
        "Noise 0.1: a word is named for 20% of the documents (still read), and 30% of the search quality is kept.",
        "1 of the 3 defenses that were tried did not clearly reduce this.",
    )
    none = annex_sections(replace(found, defenses=()), PROVENANCE)[-2].lines[1:]
    assert none == ("Defenses of the vectors themselves were not evaluated in this audit.",)


def test_a_failed_attack_is_no_proof_in_the_annex(world: World) -> None:
    failed = world.audit(world.fit(right=False))
    assert severity(failed).level == "not shown"
    assert "no proof" in owasp_paragraph(failed, PROVENANCE)
    assert any("no proof of safety" in line for section in annex_sections(failed, PROVENANCE) for line in section.lines)


def test_the_severity_follows_its_rule(found: Audit) -> None:
    assert tuple(RULES) == LEVELS[::-1]
    for leak, level in ((0.01, "low"), (0.05, "medium"), (0.2, "high")):
        assert severity(replace(found, leak=replace(found.leak, value=leak))).level == level


def test_the_annex_is_an_html_file(found: Audit, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not end in \.html; name the HTML file"):
        write_annex(tmp_path / "annex.md", found, PROVENANCE)


def test_markdown_reads_as_it_was_written(found: Audit, tmp_path: Path) -> None:
    name = "Müller & Söhne, a < b > c, AT&T"
    _, markdown = write_annex(tmp_path / "a.html", found, replace(PROVENANCE, vectors=name, authorized_by=name))
    text = markdown.read_text("utf-8")
    assert name in text
    assert "p ≥ 0.5" in text
    assert "&amp;" not in text
    assert "&gt;" not in text


def test_shares_of_the_annex_have_the_digits_of_the_tables() -> None:
    assert _percent(Interval(0.8225, 0.8075, 0.8395)) == "82.3% (80.7% to 84.0%)"
