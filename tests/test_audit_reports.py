"""The committed reports of audits have the sentences that the code writes now."""

from __future__ import annotations

import html
import re
from importlib.resources import files
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

import interlingua
from interlingua.leakage.calibration import ERRORS
from interlingua.leakage.severity import RULES
from interlingua.report import audit as report

REPORTS = Path(__file__).resolve().parent.parent / "docs" / "reports"
AGAIN = "the committed report is stale: python benchmarks/reports.py audit makes it again"
pytestmark = pytest.mark.skipif(not REPORTS.is_dir(), reason="the documentation is not beside the tests")


def words(page: str) -> str:
    """Return the text of a page, without tags and with single blanks."""
    without = re.sub(r"<(style|svg).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(without).replace("\xa0", " ").split())


def sentences(template: str) -> list[str]:
    """Return the sentences of a template that are in every page: those outside of conditions and loops."""
    source = (files("interlingua.report") / template).read_text("utf-8")
    found: list[str] = []
    for node in Environment(autoescape=True).parse(source).body:
        if isinstance(node, nodes.Output):
            found.extend(part.data for part in node.nodes if isinstance(part, nodes.TemplateData))
    parts = [part for data in found for part in re.split(r"<[^>]*>", data)]
    return [text for part in parts if len((text := words(part)).split()) > 4]


@pytest.mark.parametrize("name", ["packages", "notes"])
def test_a_report_has_the_sentences_of_the_template_and_the_rule_of_its_severity(name: str) -> None:
    page = (REPORTS / f"{name}.html").read_text("utf-8")
    text = words(page)
    written = sentences("audit.html.jinja")
    assert len(written) > 5
    for sentence in (*written, *report._LIMITS):
        assert sentence in text, AGAIN
    # Of the estimates, by what calibrated them.
    assert any(errors["leak_rate"].certainty in text for errors in ERRORS.values()), AGAIN
    level = re.search(r"Severity: (not shown|low|medium|high|critical)\.", text)
    assert level is not None, AGAIN
    assert f"The rule: {RULES[level[1]]}." in text, AGAIN
    assert f"interlingua {interlingua.__version__} " in text, AGAIN


@pytest.mark.parametrize("name", ["packages", "notes"])
def test_an_annex_has_the_sentences_that_the_code_writes(name: str) -> None:
    text = words((REPORTS / f"{name}-annex.html").read_text("utf-8"))
    source = Path(str(files("interlingua.report") / "annex.py")).read_text("utf-8")
    # Sentences that every annex of a measured audit has.
    for part in (
        "The audit was made on", "It was authorized by:", "To be added by the controller:", "A verdict can be wrong.",
        "Every figure has a control:", "The severity describes what can be read from the vectors.",
        "Severity: ",
    ):  # fmt: skip
        assert part in source
        assert part in text, AGAIN
    level = re.search(r"Severity: (not shown|low|medium|high|critical)\.", text)
    assert level is not None
    assert f"The rule: {RULES[level[1]]}." in text, AGAIN
