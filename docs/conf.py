"""Sphinx settings; the pages with figures and options are written before every build, by ``generate.py``."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402

project = "interlingua"
author = "the interlingua authors"
project_copyright = "the interlingua authors, Apache-2.0"
release = version = metadata.version("interlingua")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "examples", "_generated/stores.md"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_mock_imports = ["ray", "lancedb", "psycopg", "chromadb", "pymilvus", "lance"]
default_role = "code"

html_theme = "furo"
html_title = "interlingua"
html_static_path: list[str] = []
html_copy_source = False
html_show_sphinx = False

# What scikit-learn adds to every estimator refers to pages of its own documentation.
suppress_warnings = ["ref.term", "ref.ref"]

generate.write(HERE / "_generated")
