"""Sphinx settings; the pages with figures and options are written before every build, by ``generate.py``."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402

project = "interlingua"
author = "the interlingua authors"
project_copyright = "the interlingua authors, Apache-2.0"
release = version = metadata.version("interlingua")

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# The notebooks are shown with their committed outputs; tests/test_notebooks.py runs their cells.
nb_execution_mode = "off"
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
# myst-nb writes jupyter_execute beside _build, and the next build must not read it.
exclude_patterns = ["_build", "jupyter_execute", "examples"] + [
    f"_generated/{name}.md"
    for name in (
        *("foreign", "stores", "retrieval-judged", "retrieval-own", "cascade"),
        *("score-calibration", "journey", "estimates", "public-pairs"),
    )
]
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
# Shown by name, because what they stand for is long.
_ALIASES = (
    "npt.ArrayLike",
    "npt.DTypeLike",
    "FloatArray",
    "IntArray",
    "OnStep",
    "PairUse",
    "AdversarialPair",
    "Inverter",
)
autodoc_type_aliases = {name: name.removeprefix("npt.") for name in _ALIASES}
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
# Attributes as one list: their types are in the signature.
napoleon_use_ivar = True
autodoc_mock_imports = ["ray", "lancedb", "psycopg", "chromadb", "pymilvus", "lance"]
default_role = "code"

html_theme = "furo"
html_title = "interlingua"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sphinx = False

# What scikit-learn adds to every estimator refers to pages of its own documentation.
suppress_warnings = ["ref.term", "ref.ref"]

generate.write(HERE / "_generated")


def setup(app: Any) -> None:
    """Make signatures and the sections Returns readable."""
    app.connect("autodoc-process-signature", _shorten_signature)
    # Before napoleon, which has the default priority of 500.
    app.connect("autodoc-process-docstring", _mark_returns_without_type, priority=400)


def _shorten_signature(
    app: Any, what: str, name: str, target: Any, options: Any, signature: str | None, result: str | None
) -> tuple[str | None, str | None]:
    """Show aliases by name, and defaults that are made by a function as dots."""

    def shorten(text: str | None) -> str | None:
        if text is None:
            return None
        text = re.sub(r"TypeAliasForwardRef\('([^']*)'\)", r"\1", text)
        text = re.sub(r"<function .*?>+(?=[,)])|<factory>", "...", text)
        return re.sub(
            r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], [^\[]*dtype\[[^\[\]]*(?:\[[^\]]*\])?\]\]",
            "NDArray",
            text,
        )

    return shorten(signature), shorten(result)


def _mark_returns_without_type(app: Any, what: str, name: str, target: Any, options: Any, lines: list[str]) -> None:
    """Tell napoleon that the text under Returns starts with no type: types are in the signature."""
    for i, line in enumerate(lines[:-1]):
        if line.strip() in ("Returns:", "Yields:") and lines[i + 1].strip():
            text = lines[i + 1]
            indent = len(text) - len(text.lstrip())
            lines[i + 1] = f"{text[:indent]}: {text[indent:]}"
