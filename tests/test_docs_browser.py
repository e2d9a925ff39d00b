"""The documentation in a real browser: nothing is cut off on a small laptop or a phone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Tab, chromium

ROOT = Path(__file__).resolve().parents[1]
# What is wider than the place that it has, and is cut off or has to be scrolled.
TOO_WIDE = (
    'Array.from(document.querySelectorAll(".table-wrapper, pre, img, .sig"))'
    ".filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.trim().slice(0, 60))"
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(module, reason="the documentation needs interlingua[docs]")
    out = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", str(ROOT / "docs"), str(out)], check=True)
    return out


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with chromium() as found:
        yield found


def pages(site: Path) -> list[Path]:
    found = [page for page in sorted(site.rglob("*.html")) if page.name not in ("genindex.html", "py-modindex.html")]
    assert len(found) > 20
    return found


def test_nothing_is_cut_off_on_a_screen_of_1280_pixels(tab: Tab, site: Path) -> None:
    for page in pages(site):
        tab.open(page, width=1280, height=900)
        assert tab.ask("document.documentElement.scrollWidth") <= 1280, page
        assert tab.ask(TOO_WIDE) == [], page


def test_no_page_is_scrolled_sideways_on_a_phone(tab: Tab, site: Path) -> None:
    # Tables may be: they scroll within their own frame, with a shadow where they go on.
    for page in pages(site):
        tab.open(page, width=390, height=844)
        assert tab.ask("document.documentElement.scrollWidth") <= 390, page
