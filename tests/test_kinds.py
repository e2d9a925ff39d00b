from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from interlingua.core.errors import MissingExtraError
from interlingua.evaluation import Interval
from interlingua.leakage import kinds
from interlingua.leakage.inversion import Extraction, Keyword
from interlingua.leakage.inversion.words import Vocabulary

TEXTS = [
    "Yesterday Michael wrote to michael@example.org from Chicago about his carcinoma in 1998.",
    "Then the will of Jennifer was read in Boston, and pneumonia was the cause.",
    "She said that Michael will stay in Chicago until 1998.",
] * 3


def test_words_have_a_kind_by_form_and_by_list() -> None:
    for package in ("faker", "airportsdata", "simple_icd_10_cm"):
        pytest.importorskip(package)
    expected = {
        "michael": "name",
        "chicago": "place",
        "pneumonia": "medical term",
        "1998": "number",
        "12/03/2024": "number",
        "michael@example.org": "e-mail address",
    }
    assert {word: kinds.kind_of(word) for word in expected} == expected
    assert [kinds.kind_of(word) for word in ("house", "the", "question", "number", "7")] == [None] * 5


def test_documents_are_counted_by_kind_with_a_control() -> None:
    for package in ("faker", "airportsdata", "simple_icd_10_cm"):
        pytest.importorskip(package)
    found = [Extraction((Keyword("michael", 0.9), Keyword("1998", 0.6), Keyword("chicago", 0.2)))] * 9
    nothing = [Extraction((Keyword("michael", 0.1),))] * 9
    words = ("michael", "1998", "chicago", "house")
    by_kind = {k.kind: k for k in kinds.kinds_of_words(found, nothing, words, TEXTS, texts=TEXTS)}
    assert tuple(by_kind) == kinds.KINDS
    name, number, place = by_kind["name"], by_kind["number"], by_kind["place"]
    assert (name.documents.value, name.control.value, name.words, name.vocabulary) == (1.0, 0.0, 1, 1)
    assert name.right is not None
    assert number.right is not None
    assert name.right.value == pytest.approx(2 / 3)
    assert number.right.value == pytest.approx(2 / 3)
    assert (place.documents.value, place.vocabulary) == (0.0, 1)


def test_a_name_that_is_an_ordinary_word_counts_only_with_a_capital() -> None:
    proper = kinds.capitalized_words(TEXTS)
    assert proper is not None
    assert {"michael", "chicago", "jennifer"} <= proper
    assert "will" not in proper
    assert kinds.capitalized_words([text.lower() for text in TEXTS]) is None


def test_rows_without_a_true_text_are_left_out() -> None:
    predictions = [Extraction(keywords=(Keyword("michael", 0.9),))] * 4
    texts = ["michael wrote", "nothing", "", " "]
    found = kinds.kinds_of_words(predictions, [Extraction()] * 4, ["michael"], TEXTS, texts=texts)
    names = next(finding for finding in found if finding.kind == kinds.NAME)
    assert names.right is not None
    assert (names.documents.value, names.right.value) == (1.0, 0.5)
    assert names.right_control is not None
    assert names.right_control.value == 0.5


def test_right_words_are_compared_with_another_document() -> None:
    predictions = [Extraction(keywords=(Keyword("michael", 0.9),))] * 3 + [Extraction()]
    texts = ["michael wrote"] * 3 + ["nothing here"]
    found = kinds.kinds_of_words(predictions, [Extraction()] * 4, ["michael"], TEXTS, texts=texts)
    names = next(finding for finding in found if finding.kind == kinds.NAME)
    assert names.right is not None
    assert names.right_control is not None
    # The only other text of each of the three is that without the name.
    assert (names.right.value, names.right_control.value, names.control.value) == (0.75, 0.0, 0.0)
    assert names.shown == (names.right, names.right_control)
    unknown = kinds.kinds_of_words(predictions, [Extraction()] * 4, ["michael"], TEXTS)[0]
    assert (unknown.right_control, unknown.shown) == (None, (unknown.documents, unknown.control))


def test_identifiers_are_words_only_on_request() -> None:
    settings: dict[str, Any] = {"min_documents": 2, "max_share": 1.0}
    plain, more = (Vocabulary.of(TEXTS, **settings, identifiers=flag) for flag in (False, True))
    assert "1998" not in plain.words
    assert {"1998", "michael@example.org", "michael"} <= set(more.words)
    columns = dict(zip(more.words, np.asarray(more.matrix(TEXTS).sum(axis=0)).ravel().tolist(), strict=True))
    assert (columns["michael@example.org"], columns["1998"]) == (3, 6)


def test_a_missing_word_list_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faker.providers.lorem.en_US", None)
    kinds._ordinary.cache_clear()
    with pytest.raises(MissingExtraError, match=r"interlingua\[kinds\]"):
        kinds.kind_of("michael")
    kinds._ordinary.cache_clear()


def test_the_report_shows_kinds(tmp_path: Path) -> None:
    from interlingua.leakage.severity import severity
    from interlingua.report.annex import annex_sections
    from interlingua.report.audit import write_audit
    from test_audit import PROVENANCE, World

    result = World(np.random.default_rng(0)).audit()
    assert severity(result).level == "high"
    name = kinds.KindFinding("name", Interval(0.3, 0.2, 0.4), Interval(0.0, 0.0, 0.01), None, 5, 9)
    named = replace(result, kinds=(name,))
    assert severity(named).level == "critical"
    assert "by estimate, a word of the kind 'name' is read in 30% of the documents" in severity(named).reasons
    right = replace(name, right=Interval(0.1, 0.05, 0.2))
    assert (
        "a right word of the kind 'name' is read in 10% of the documents"
        in severity(replace(result, kinds=(right,))).reasons
    )
    # Right words have a control of their own, and that of words that are named says nothing of them.
    assert severity(replace(result, kinds=(replace(right, control=Interval(0.9)),))).level == "high"
    fair = replace(right, control=Interval(0.9), right_control=Interval(0.0, 0.0, 0.01))
    assert severity(replace(result, kinds=(fair,))).level == "critical"
    frequent = replace(right, right_control=Interval(0.09, 0.04, 0.19))
    assert severity(replace(result, kinds=(frequent,))).level == "high"
    below = replace(name, control=Interval(0.3, 0.2, 0.4))
    assert severity(replace(result, kinds=(below,))).level == "high"
    page = write_audit(tmp_path / "a.html", named, PROVENANCE).read_text("utf-8")
    assert "Documents with such a word" in page
    assert "Severity: critical" in page
    about = next(section for section in annex_sections(named, PROVENANCE) if section.heading == "About whom")
    assert "name in 30.0% (20.0% to 40.0%) (control 0.0%" in about.lines[0]
    assert about.lines[0].endswith("The control is the same procedure on meaningless translations.")
    assert "Control of right" not in page
    measured = replace(result, kinds=(frequent,))
    page = " ".join(write_audit(tmp_path / "b.html", measured, PROVENANCE).read_text("utf-8").split())
    assert "Control of right" in page
    assert "its control compares the same words with another document of about the same length." in page
    about = next(section for section in annex_sections(measured, PROVENANCE) if section.heading == "About whom")
    assert "name in 10.0% (5.0% to 20.0%) (control 9.0% (4.0% to 19.0%))" in about.lines[0]
    assert about.lines[0].endswith("The control is the same words against another document of about the same length.")
