from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interlingua.core.alignment import Status
from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.leakage.defense_scores import Decoded, DefenseScore
from interlingua.leakage.defenses import suite
from interlingua.leakage.findings import Audit
from interlingua.leakage.inputs import GroundTruth, KnownRecords, Labels
from interlingua.leakage.linkage import Linkage, MeasuredLinks
from interlingua.leakage.severity import LEVELS, RULES, Severity, severity
from interlingua.report._fits import attack_answer, fits_statement
from interlingua.report._statements import defense_statement, in_percent
from interlingua.report.annex import MEANINGS, annex_sections, owasp_paragraph, write_annex
from interlingua.report.audit import conclusion, model_statement, write_audit
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
    alike = replace(found, verdicts=("aligned", "aligned"), foreign=(False, False))
    assert fits_statement(alike).endswith(" The verdict of each of these fits is aligned.")


def test_the_report_says_whether_the_attack_worked(found: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_verdict(status: str) -> Audit:
        verdict = replace(found.alignment.verdict, status=Status(status))
        return replace(found, alignment=replace(found.alignment, verdict=verdict))

    monkeypatch.setattr("interlingua.report._fits.doubt", lambda _: "")
    for status, answer in (("aligned", "Yes, "), ("doubtful", "Perhaps: "), ("failed", "No: ")):
        assert attack_answer(with_verdict(status)).startswith(answer)
    assert attack_answer(replace(found, foreign=(True,) * len(found.verdicts))) == ""
    monkeypatch.setattr("interlingua.report._fits.doubt", lambda _: "The order is wrong.")
    assert attack_answer(with_verdict("aligned")) == "This is uncertain, for the reason in the conclusion."
    assert attack_answer(with_verdict("failed")).startswith("No: ")


def score(name: str, words: float, overlap: float, *, similar: float = 0.0, baseline: bool = False) -> DefenseScore:
    share, found = (Interval(value, value - 0.02, value + 0.02) for value in (words, similar))
    decoded = Decoded(
        words=share, control=Interval(0.05), basis="measured", retrieval=found, retrieval_control=Interval(0.005)
    )
    return DefenseScore(
        name=name, mechanism=name, keyed=False, baseline=baseline, overlap=Interval(overlap), attack="",
        verdict=None, top1=Interval(1.0), anonymity_set=Interval(1.0), decoded=decoded, pool=10, seconds=0.0,
    )  # fmt: skip


def measures(found: Audit, *scores: DefenseScore) -> tuple[str, ...]:
    return annex_sections(replace(found, defenses=scores), PROVENANCE)[-2].lines[1:]


def test_the_annex_names_all_defenses_and_first_those_that_reduce_what_is_read(found: Audit) -> None:
    scores = [score("no defense", 0.5, 1, baseline=True), score("int8", 0.49, 1), score("noise 0.1", 0.2, 0.3)]
    strong = [score("noise 0.05", 0.3, 0.6), score("1 bit", 0.4, 0.5), score("first 64 coordinates", 0.1, 0.2)]
    assert measures(found, *scores, *strong) == (
        "Without a defense, a word is named for 50% of the documents.",
        "Noise 0.05: a word is named for 30% of the documents (still read), and 60% of the search quality is kept.",
        "1 bit: a word is named for 40% of the documents (still read), and 50% of the search quality is kept.",
        "Noise 0.1: a word is named for 20% of the documents (still read), and 30% of the search quality is kept.",
        "First 64 coordinates: a word is named for 10% of the documents (still read), and 20% of the search quality is "
        "kept.",
        "1 of the 5 defenses that were tried did not clearly reduce this:",
        "Int8: a word is named for 49% of the documents (still read), and 100% of the search quality is kept.",
    )
    assert measures(found) == ("Defenses of the vectors themselves were not evaluated in this audit.",)
    assert measures(found, *scores[:2])[1] == "The defense that was tried did not clearly reduce this:"


def test_the_annex_says_what_each_kind_of_defense_does(found: Audit) -> None:
    baseline = score("no defense", 0.5, 1, baseline=True)
    every = [replace(score(each.name, 0.1, 0.5), mechanism=each.mechanism) for each in suite("full", 64)[1:]]
    assert {part for each in every for part in each.mechanism.split(" + ")} == set(MEANINGS)
    lines = measures(found, baseline, *every)
    assert lines[-len(MEANINGS) - 1 :] == ("What these defenses do:", *MEANINGS.values())
    keyed = next(each for each in every if each.mechanism == "secret rotation + noise")
    assert measures(found, baseline, keyed)[-2:] == (MEANINGS["noise"], MEANINGS["secret rotation"])
    assert not set(MEANINGS.values()) & set(measures(found, baseline))


def test_a_defense_that_leaves_similar_texts_to_be_found_does_not_read_as_safe(found: Audit, tmp_path: Path) -> None:
    baseline = score("no defense", 0.5, 1, similar=0.9, baseline=True)
    left = score("secret rotation", 0.05, 1, similar=0.597)
    assert (left.finding, left.finds_similar) == ("similar texts found", True)
    said = measures(found, baseline, left)[1]
    assert said == (
        "Secret rotation: a word is named for 5% of the documents (similar texts found), a similar public text is "
        "found for 60% (control 0.5%), and 100% of the search quality is kept."
    )
    page = write_audit(tmp_path / "a.html", replace(found, defenses=(baseline, left)), PROVENANCE).read_text("utf-8")
    assert '<span class="finding similar">similar texts found</span>' in page
    assert "not read by the attacks run" not in page
    nothing = score("noise 2", 0.05, 0.1, similar=0.01)
    assert (nothing.finding, nothing.finds_similar) == ("not read by the attacks run", False)
    assert "similar public text" not in measures(found, baseline, nothing)[1]
    with pytest.raises(InputError, match="says nothing of words; give one of an audit, which decodes them"):
        defense_statement(replace(left, decoded=None))


def test_a_failed_attack_is_no_proof_in_the_annex(world: World) -> None:
    failed = world.audit(world.fit(right=False))
    assert severity(failed).level == "not shown"
    assert "no proof" in owasp_paragraph(failed, PROVENANCE)
    assert any("no proof of safety" in line for section in annex_sections(failed, PROVENANCE) for line in section.lines)


def test_the_severity_follows_its_rule(found: Audit) -> None:
    assert tuple(RULES) == LEVELS[::-1]
    for leak, level in ((0.01, "low"), (0.05, "medium"), (0.2, "high")):
        assert severity(replace(found, leak=replace(found.leak, value=leak, high=None))).level == level


def test_the_annex_is_an_html_file(found: Audit, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not end in \.html; name the HTML file"):
        write_annex(tmp_path / "annex.md", found, PROVENANCE)


def test_markdown_reads_as_it_was_written(found: Audit, tmp_path: Path) -> None:
    name = "Müller & Söhne, a < b > c, AT&T"
    _, markdown = write_annex(tmp_path / "a.html", found, replace(PROVENANCE, vectors=name, authorized_by=name))
    text = markdown.read_text("utf-8")
    assert name in text
    assert "of probability 0.5 or more" in text
    assert "p ≥" not in text
    assert "&amp;" not in text
    assert "&gt;" not in text


def test_shares_of_the_annex_have_the_digits_of_the_tables() -> None:
    assert in_percent(Interval(0.8225, 0.8075, 0.8395)) == "82.3% (80.7% to 84.0%)"


def test_the_severity_counts_members_by_the_lower_end_of_their_interval(found: Audit, world: World) -> None:
    low = replace(found, leak=replace(found.leak, value=0.01, high=None))
    tested = world.audit(records=KnownRecords(world.known[:200], world.known[N : N + 200])).membership
    assert tested is not None

    def judged(share: Interval) -> Severity:
        shares = {**tested.found, 0.01: share}
        return severity(replace(low, membership=replace(tested, found=shares, blind_auc=Interval(0.5))))

    # 4 of 40 members.
    assert judged(Interval(0.1, 0.0, 0.226)).level == "low"
    assert judged(Interval(0.2, 0.12, 0.3)) == Severity(
        "high", ("at least 12.0% of the members are found at 1% false alarms",)
    )
    assert judged(Interval(0.7, 0.6, 0.8)).level == "critical"
    # Without a decimal, the lower end would be rounded up to one that was not measured.
    assert judged(Interval(0.99, 0.976, 1.0)).reasons == ("at least 97.6% of the members are found at 1% false alarms",)


def test_the_rule_of_critical_says_which_conditions_are_alternatives() -> None:
    first, second = RULES["critical"].split(" Second, ")
    assert first.startswith("two conditions hold. First, as for high, at least one of these: the headline figure is")
    assert second.startswith("at least one of these: names, medical terms or e-mail addresses are read in 1% of the")
    assert "; at least 50% of the members are found" in second
    for level in ("high", "medium"):
        assert "; in a test of membership, at least " in RULES[level]
    assert RULES["high"] == f"at least one of these holds: {first.partition('these: ')[2].rstrip('.')}"


def linked(measured: MeasuredLinks | None, p_value: float = 0.035, share: float = 0.009) -> Linkage:
    return Linkage(Interval(share, 0.006, 0.012), 0.01, p_value, (4_000, 3_000), measured)


def test_links_that_are_right_are_shown_whatever_the_permutation_test_says(found: Audit, tmp_path: Path) -> None:
    low = replace(found, leak=replace(found.leak, value=0.01, high=None))
    right = linked(MeasuredLinks(4_000, 0.36, 36, 36, Interval(1.0, 1.0, 1.0), 0.001, Interval(0.025)))
    result = replace(low, linkage=right)
    assert severity(result) == Severity("high", ("36 rows are correctly linked with a second leak",))
    said = (
        "36 of 4,000 rows (0.9%) are linked with a second leak of another model, and 100% of these links are right; "
        "if the same links are permuted at random, 0.1% are right. 36% of the rows have their text among those of the "
        "second leak."
    )
    page = " ".join(write_audit(tmp_path / "a.html", result, PROVENANCE).read_text("utf-8").split())
    assert said in page
    assert "a large p-value does not show that no texts are shared" in page
    assert said in section(result, "What can be read")
    by_chance = linked(MeasuredLinks(4_000, 0.36, 36, 4, Interval(0.1, 0.0, 0.2), 0.001, Interval(0.025)))
    few = linked(MeasuredLinks(4_000, 0.36, 4, 4, Interval(1.0, 1.0, 1.0), 0.001, Interval(0.025)), share=0.001)
    none = linked(MeasuredLinks(4_000, 0.36, 0, 0, Interval(float("nan")), 0.001, Interval(0.0)), share=0.0)
    # Fewer right links count where the permutation test agrees.
    assert severity(replace(low, linkage=replace(few, p_value=0.001))).level == "high"
    for links in (by_chance, few, none, linked(None)):
        assert severity(replace(low, linkage=links)).level == "low"
    assert "No row is linked with the second leak of another model. 36% of the rows have their text" in section(
        replace(low, linkage=none), "What can be read"
    )
    assert "This does not show that no texts are shared" in section(
        replace(low, linkage=linked(None)), "What can be read"
    )
    assert severity(replace(low, linkage=linked(None, 0.001))).reasons == ("rows can be linked with a second leak",)


def test_a_collection_without_texts_is_said_to_share_records(found: Audit, tmp_path: Path) -> None:
    rows = replace(found, word_findings=None, documents=(), frequent=(), linkage=linked(None, 0.001))
    assert "1% is the nominal share without shared records" in section(rows, "What can be read")
    page = " ".join(write_audit(tmp_path / "a.html", rows, PROVENANCE).read_text("utf-8").split())
    for part in (
        "rows would be linked without shared records.", "does not show that no records are shared",
        "reveals, without contents or model",
    ):  # fmt: skip
        assert part in page
    hidden = section(replace(rows, linkage=linked(None)), "What can be read")
    assert "not clearly more than without shared records" in hidden
    assert "This does not show that no records are shared" in hidden


def section(audit: Audit, heading: str) -> str:
    return " ".join(
        line for part in annex_sections(audit, PROVENANCE) if part.heading.startswith(heading) for line in part.lines
    )


def test_the_annex_says_what_the_figures_of_labels_mean(world: World) -> None:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    result = world.audit(labels=labels, truth=GroundTruth(labels=world.labels[:N]))
    assert "So labels are recognized; the area under the ROC curve of a label is 1.00 on average" in section(
        result, "What can"
    )
    assert re.search(
        r"the headline figure is \d+\.\d%: the first label is right for \d+\.\d% of the documents, rescaled so that "
        r"always choosing the most frequent label \(\d+\.\d%\) counts as 0% and always being right as 100%\.",
        conclusion(result),
    )
    assert result.label_findings is not None
    scores = result.label_findings.measured
    assert scores is not None
    # A first label that is right less often than the most frequent one can hide that labels are told apart.
    rare = replace(scores, translated=replace(scores.translated, top_k={1: Interval(0.41, 0.39, 0.43)}))
    rare = replace(rare, majority=replace(scores.majority, top_k={1: Interval(0.54, 0.52, 0.56)}))
    hidden = replace(result, label_findings=replace(result.label_findings, measured=rare))
    assert "The first label alone is not clearly right more often, but labels leak" in section(
        hidden, "What can be read"
    )
    blank = replace(rare, translated=replace(rare.translated, macro_auc=Interval(0.5, 0.48, 0.52)))
    nothing = replace(result, label_findings=replace(result.label_findings, measured=blank))
    assert "Labels are not recognized: the area" in section(nothing, "What can be read")
    unknown = world.audit(labels=labels)
    assert "Without the true labels it is not known how many are right." in section(unknown, "What can be read")


def test_the_annex_speaks_of_ranges_and_not_of_signed_errors(world: World) -> None:
    said = section(world.audit(), "How sure this is")
    assert "The true share of documents with a word named is between" in said
    assert "errs no more than the worst of" in said
    assert not re.search(r"[+-]0\.\d", said)


def test_the_annex_names_the_control_the_model_and_the_date_once(found: Audit, world: World) -> None:
    assert "the control, the same words against another document of about the same length, is" in section(
        found, "Reference"
    )
    assert "on translations without meaning, rotated at random, is" in section(world.audit(), "Reference")
    assert f"{N:,} vectors of a model that was not identified were aligned" in section(found, "Reference")
    tested = section(found, "What was tested")
    assert tested.startswith(f"{N:,} vectors (vectors.npy), as they would be")
    assert "The audit was made on 2026-01-02. It was authorized by: R. <Owner>." in tested
    assert model_statement(found).count("below") == 0
