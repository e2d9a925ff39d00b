"""Claims about the tree itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "interlingua"
MODULES = sorted(PACKAGE.rglob("*.py"))

HEAVY = frozenset({"scipy.special", "torch", "ot", "ray", "matplotlib", "sklearn", "pyarrow", "rich", "typer"})
CLIENTS = frozenset({"lancedb", "psycopg", "qdrant_client", "qdrant_edge", "chromadb", "pymilvus", "duckdb", "faiss"})
# Package -> what importing it may not load. What it does need is imported where it is used.
LIGHT_IMPORTS = {
    "interlingua": HEAVY | CLIENTS,
    "interlingua.aligners": HEAVY,
    "interlingua.core.records": HEAVY,
    "interlingua.distributed": HEAVY | {"lance"},
    "interlingua.distributed.ray": HEAVY | {"lance"},
    "interlingua.evaluation": HEAVY,
    "interlingua.export": HEAVY | {"onnx", "huggingface_hub"},
    "interlingua.identification": HEAVY | CLIENTS,
    "interlingua.io": HEAVY,
    "interlingua.leakage": HEAVY | {"sentence_transformers"},
    "interlingua.leakage.inversion": HEAVY | {"sentence_transformers"},
    "interlingua.neural": HEAVY | {"accelerate", "tensorboard"},
    "interlingua.serve": HEAVY | {"starlette", "uvicorn"},
    "interlingua.stores": HEAVY | CLIENTS,
    "interlingua.stores.migration": HEAVY - {"pyarrow"} | CLIENTS,
    "interlingua.stores.planning": HEAVY | CLIENTS,
    "interlingua.stores.sampling": HEAVY | CLIENTS,
    "interlingua.cli": HEAVY - {"rich", "typer"} | CLIENTS,
}
# Written in pieces, or this file would break its own rule.
MACHINE_PATH = re.compile(r"(?<![\w./-])/" + r"(?:work|root|home/\w+|Users/\w+)(?:/|\b)")
REGISTRY_HOST = re.compile(r"(?:pypi|pythonhosted|npmjs)" + r"\.(?:org|com)")


def tracked_texts() -> Iterator[tuple[Path, str]]:
    """Files that are in the repository or about to be, except binary ones."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    for name in filter(None, listing.stdout.split("\0")):
        path = REPOSITORY / name
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in content:
            yield path.relative_to(REPOSITORY), content.decode("utf-8", "replace")


def attribute_chain(node: ast.AST) -> str:
    """``np.random.seed`` for the node of that expression."""
    if isinstance(node, ast.Attribute):
        return f"{attribute_chain(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_prints_seeds_globally_or_asserts(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise InputError for what a user can cause"
        if isinstance(node, ast.Call):
            called = attribute_chain(node.func)
            assert called != "print", f"line {node.lineno}: return it, log it or leave it to the command line"
            assert called not in {"np.random.seed", "numpy.random.seed", "random.seed", "torch.manual_seed"}, (
                f"line {node.lineno}: pass a generator"
            )


def test_modules_are_named_by_a_noun() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "misc", "common"}


@pytest.mark.parametrize("package", LIGHT_IMPORTS)
def test_import_of_a_package_is_light(package: str) -> None:
    unwanted = sorted(LIGHT_IMPORTS[package])
    code = f"import {package}, sys; sys.stdout.write(' '.join(m for m in {unwanted!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        pytest.skip("import-linter is not installed")
    done = subprocess.run([linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_solver_imports_paired_metrics() -> None:
    # Said again without import-linter, because everything the project claims rests on it.
    solvers = [path for path in MODULES if "aligners" in path.parts or path.stem == "criteria"]
    for path in solvers:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            assert not any("metrics" in f"{module}.{name}".split(".") for name in names), path


def test_no_file_names_a_path_of_this_machine_or_a_registry() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line) or REGISTRY_HOST.search(line)
    ]
    assert not found, "\n".join(found[:20])


def test_every_ruff_exception_has_a_reason() -> None:
    lines = (REPOSITORY / "pyproject.toml").read_text("utf-8").splitlines()
    bare = [line for line in lines if re.fullmatch(r'\s+"[A-Z]+\d*",\s*', line)]
    assert not bare, bare


def test_constraints_pin_exact_versions_and_no_address() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    assert "torch==2.13.0" in pins
