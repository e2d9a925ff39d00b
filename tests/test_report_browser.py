"""The report in a real browser."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from browser import Tab, chromium
from interlingua.core.alignment import Alignment
from interlingua.report import write_report
from test_report_parts import traced

# Relative luminance and contrast as WCAG 2.2 defines them; the background is that of the nearest painted ancestor.
CONTRAST = """
(() => {
  const parts = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => [r, g, b].map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parts(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parts(e.closest("svg") ? style.fill : style.color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push([e.tagName, e.textContent.trim().slice(0, 30), ratio]);
  }
  return low;
})()
"""
TOO_WIDE = """
[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1
  && !e.closest("thead, caption, svg")).map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 30))
"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(tmp_path: Path, alignment: Alignment, everything: dict[str, Any]) -> Path:
    return write_report(tmp_path / "report.html", replace(alignment, trace=traced()), **everything)


def test_no_error_no_request_no_script(tab: Tab, page: Path) -> None:
    tab.open(page)
    asked = [found["request"]["url"] for found in tab.happened("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert len([url for url in asked if url.startswith("file:")]) == 1
    assert not tab.happened("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert tab.ask("document.scripts.length") == 0
    assert tab.ask("document.compatMode") == "CSS1Compat"


@pytest.mark.parametrize("width", [320, 375, 768, 1200])
def test_nothing_is_scrolled_sideways(tab: Tab, page: Path, width: int) -> None:
    tab.open(page, width=width, height=812)
    assert tab.ask("document.documentElement.scrollWidth") <= width
    assert tab.ask(TOO_WIDE) == []


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_legible_on_light_and_on_dark(tab: Tab, page: Path, dark: bool) -> None:
    tab.open(page, dark=dark)
    red = int(re.findall(r"\d+", tab.ask("getComputedStyle(document.body).backgroundColor"))[0])
    assert (red < 60) == dark
    assert tab.ask(CONTRAST) == []


def test_pictures_take_the_colors_of_the_page(tab: Tab, page: Path) -> None:
    fills = []
    for dark in (False, True):
        tab.open(page, dark=dark)
        fills.append(tab.ask('getComputedStyle(document.querySelector("figure svg text")).fill'))
    assert fills[0] != fills[1]


def test_a_screen_reader_finds_its_way(tab: Tab, page: Path) -> None:
    tab.open(page)
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    shown = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    roles = [role for role, _ in shown]
    assert roles.count("main") == 1
    regions = {name.capitalize() for role, name in shown if role == "region"}
    assert {"Verdict", "Evidence", "Training", "Nearest neighbors", "Provenance"} <= regions
    assert all(name for role, name in shown if role in ("image", "table", "heading", "rowheader", "columnheader"))
    levels = tab.ask('[...document.querySelectorAll("h1, h2, h3")].map(h => +h.tagName[1])')
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_it_prints(tab: Tab, page: Path) -> None:
    tab.open(page, dark=True)
    printed = base64.b64decode(tab.call("Page.printToPDF", printBackground=False)["data"])
    assert printed.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 12
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    tab.call("Emulation.setEmulatedMedia", media="print", features=[scheme])
    assert tab.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.call("Emulation.setEmulatedMedia", media="")


def test_in_print_a_section_may_end_before_a_page_does(tab: Tab, page: Path) -> None:
    # `break-after: avoid` on the last paragraph of a section ties it to the next section. If everything is tied, the
    # browser breaks anywhere, for example between a picture and its caption.
    tab.open(page)
    tab.call("Emulation.setEmulatedMedia", media="print")
    breaks = "(e => getComputedStyle(e).breakAfter)"
    ends = tab.ask(f"[...document.querySelectorAll('section > p:last-child')].map({breaks})")
    others = tab.ask(f"[...document.querySelectorAll('section > p:not(:last-child)')].map({breaks})")
    tab.call("Emulation.setEmulatedMedia", media="")
    assert set(ends) == {"auto"}
    assert set(others) == {"avoid"}
