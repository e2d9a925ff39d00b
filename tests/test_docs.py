"""The documentation says what the code does: examples run, every option is in the reference, no link is dead."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from interlingua.cli import app

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# The one that fits from nothing takes half a minute on two idle cores.
QUICK = [path for path in EXAMPLES if path.stem != "align"]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(path: Path) -> str:
    done = subprocess.run([sys.executable, path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_examples_run_and_print_something(path: Path) -> None:
    assert run(path)


@pytest.mark.slow
def test_the_first_example_aligns() -> None:
    assert run(ROOT / "docs" / "examples" / "align.py").startswith("aligned")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_short_and_each_is_on_a_page(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < 60
    assert any(f"examples/{path.name}" in page.read_text("utf-8") for page in PAGES)


def test_every_option_of_every_command_is_in_the_reference(generate: ModuleType) -> None:
    page = generate.commands()
    group = typer.main.get_command(app)
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                if option.startswith("--") and not parameter.hidden:
                    assert option in section, f"{name} {option}"


def test_the_calibration_picture_weights_claims_and_omits_rare_bins(generate: ModuleType) -> None:
    low = {"low": 0.0, "claimed": 0.05, "right": 0.1, "count": 300}
    other = {"low": 0.0, "claimed": 0.09, "right": 0.3, "count": 100}
    rare = {"low": 0.9, "claimed": 0.95, "right": 1.0, "count": 49}
    record = {"corpus": "nq-open", "victim": "a", "known": "b"}
    found = generate.calibration([record | {"reliability": [low, rare]}, record | {"reliability": [other]}])
    assert found == {"questions, a to b": [(pytest.approx(0.06), pytest.approx(0.15), 400)]}


def test_the_peers_of_the_readme_are_those_of_the_records(generate: ModuleType) -> None:
    peers = importlib.import_module("peers")  # the fixture has put benchmarks on the path
    made = peers.summary(generate._records(generate.RESULTS / "peers.jsonl"))
    assert made in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_on_pages_parses_and_linked_files_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(block)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        # Generated pages are there after a build.
        assert (page.parent / target).exists() or target.startswith(("_generated", "../_generated")), target


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    for module in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(module, reason="the documentation needs interlingua[docs]")
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command = [*sphinx, str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TERM": "dumb"})
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        for tag in re.findall(r"<(?:script|link|img)[^>]*>", page.read_text("utf-8")):
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", tag), tag
