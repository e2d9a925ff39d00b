"""Render the pages of this package: Jinja templates with their styles, one self-contained HTML text each."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from interlingua.core.arguments import check_path
from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.core.wording import time_taken

__all__ = ["check_html_path", "clean", "render"]

_SNIPPET = 120


def render(template: str, styles: Sequence[str], **values: Any) -> str:
    """Return the page of a template with its ``styles``, file names, in order.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    jinja2, folder = require("jinja2", "report"), files("interlingua.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=_number, count=_count, percent=_percent, clean=clean, time_taken=time_taken)
    style = "".join((folder / name).read_text("utf-8") for name in styles)
    return str(environment.from_string((folder / template).read_text("utf-8")).render(style=style, **values))


def check_html_path(path: str | Path) -> Path:
    """Return the path of a report.

    Raises:
        InputError: another extension.
    """
    checked = check_path(path)
    if checked.suffix.lower() not in {".html", ".htm"}:
        raise InputError(f"The report {checked} has extension '{checked.suffix}'; reports are .html.")
    return checked


def clean(text: str, limit: int = _SNIPPET) -> str:
    """Return a string without control characters and direction marks, truncated to a number of characters."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text[: limit + 1])
    return kept if len(kept) <= limit else kept[: limit - 1] + "…"


def _number(value: float | None) -> str:
    """Format a measurement with about three significant digits."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value and abs(value) < 0.001:
        return f"{value:.1g}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _count(value: Any) -> str:
    """Format a whole number with separators; anything else, such as a missing value of a card, as text."""
    return f"{value:,}" if isinstance(value, int) else str(value)


def _percent(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"
