"""What an audit says where its result cannot be relied on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from interlingua.evaluation import Interval
from interlingua.leakage._doubts import doubt
from interlingua.leakage.findings import Audit
from interlingua.leakage.inputs import GroundTruth, Labels, SecondLeak
from interlingua.leakage.severity import severity
from interlingua.report.annex import annex_sections, owasp_paragraph
from interlingua.report.audit import conclusion, write_audit
from test_audit import PROVENANCE, N, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(np.random.default_rng(0))


@pytest.fixture(scope="module")
def estimated(world: World) -> Audit:
    return world.audit()


def far(found: Audit) -> Audit:
    """The findings with translations that are not similar to the public texts, as of contents of another kind."""
    near = replace(found.retrieval, nearest=Interval(0.27), public=Interval(0.62), control=Interval(0.19))
    return replace(found, retrieval=near, word_findings=found.words.without_errors(), foreign=(True,))


def test_an_estimate_of_translations_unlike_the_public_texts_is_not_relied_on(estimated: Audit, tmp_path: Path) -> None:
    assert estimated.retrieval.is_near
    assert doubt(estimated) == ""
    result = far(estimated)
    said = conclusion(result)
    assert "The fit was made on other vectors or with other public vectors, so its verdict is no evidence" in said
    assert "The mean similarity of the translations to the nearest public text is 0.27; it is 0.62 among" in said
    assert said.startswith(f"What can be read from these {N:,} vectors is not known. By estimate, without")
    assert "Protect the vectors" not in said
    assert "plausible" not in said
    assert severity(result).level == "not shown"
    assert severity(result).reasons[0].startswith("what was found cannot be relied on: the headline figure is")
    page = write_audit(tmp_path / "a.html", result, PROVENANCE, fail_above=1).read_text("utf-8")
    assert "the check does not pass" in page
    assert "plausible" not in page
    assert owasp_paragraph(result, PROVENANCE).startswith("Nothing to cite: ")
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(result, PROVENANCE)}
    assert "cannot be relied on" in sections["How sure this is"]
    # Where similarity is that of the corpus, a fit on other vectors is named and its estimate stands.
    other = replace(estimated, foreign=(True,))
    assert "so its verdict is no evidence about these" in conclusion(other)
    assert severity(other).level in ("high", "critical")
    assert "by fits that were made on other vectors" in severity(other).reasons[0]


@pytest.mark.parametrize(("nearest", "is_near"), [(0.46, True), (0.44, False), (0.27, False), (float("nan"), True)])
def test_similarity_is_judged_between_its_control_and_that_of_public_texts(
    estimated: Audit, nearest: float, is_near: bool
) -> None:
    found = replace(estimated.retrieval, nearest=Interval(nearest), public=Interval(0.62), control=Interval(0.19))
    assert found.is_near is is_near


def test_true_texts_in_another_order_take_severity_and_citation_away(world: World) -> None:
    shuffled = [world.texts[i] for i in np.random.default_rng(1).permutation(N)]
    # The second leak has the audited rows under another model.
    second = SecondLeak([world.fit()], world.vectors, world.texts[:N])
    result = world.audit(truth=GroundTruth(shuffled), second=second)
    assert result.unordered.startswith("The true texts are probably in another order than the vectors: the nearest")
    assert doubt(result) == result.unordered
    assert result.unordered in conclusion(result)
    assert owasp_paragraph(result, PROVENANCE).startswith("Nothing to cite: ")
    sections = {section.heading: " ".join(section.lines) for section in annex_sections(result, PROVENANCE)}
    assert "The figures are measured against" not in sections["How sure this is"]
    assert "cannot be relied on" in sections["How sure this is"]
    assert result.linkage is not None
    assert result.linkage.measured is None
    assert f"How many links are right was not measured. {result.unordered}" in result.omitted
    alone = world.audit(truth=GroundTruth(shuffled))
    assert severity(alone).level == "not shown"


def test_true_texts_of_a_second_leak_in_another_order_measure_no_links(world: World) -> None:
    shuffled = [world.texts[i] for i in np.random.default_rng(1).permutation(N)]
    truth = GroundTruth(world.texts[:N])
    result = world.audit(truth=truth, second=SecondLeak([world.fit()], world.vectors, shuffled))
    assert result.linkage is not None
    assert result.linkage.measured is None
    assert any(
        said.startswith("How many links are right was not measured. The true texts of") for said in result.omitted
    )
    right = world.audit(truth=truth, second=SecondLeak([world.fit()], world.vectors, world.texts[:N]))
    assert right.linkage is not None
    assert right.linkage.measured is not None
    assert right.omitted == ()


def test_labels_in_another_order_are_said(world: World) -> None:
    labels = Labels.of_corpus(world.corpus.vectors, world.labels[N:])
    shuffled = [world.labels[i] for i in np.random.default_rng(1).permutation(N)]
    (said,) = world.audit(labels=labels, truth=GroundTruth(labels=shuffled)).omitted
    assert "true labels may be in another order than the vectors, because the nearest neighbors of a vector" in said
    turned = Labels(labels.names, np.roll(labels.vectors, 5, axis=0))
    (said,) = world.audit(labels=turned, truth=GroundTruth(labels=world.labels[:N])).omitted
    assert said.endswith("Check that the label vectors are in the order of their names.")
    assert world.audit(labels=labels, truth=GroundTruth(labels=world.labels[:N])).omitted == ()
