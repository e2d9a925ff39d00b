"""Claims about the tree itself."""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "src" / "interlingua"
MODULES = sorted(PACKAGE.rglob("*.py"))
PUBLIC_MODULES = [
    path
    for path in MODULES
    if not any(part.startswith("_") for part in path.relative_to(PACKAGE).parts if part != "__init__.py")
]
PAIRED_MODULE = re.compile(r"interlingua\.(evaluation|evaluate)\b[\w.:]*$")

HEAVY = frozenset({"scipy.special", "torch", "ot", "ray", "matplotlib", "sklearn", "pyarrow", "rich", "typer"})
CLIENTS = frozenset({"lancedb", "psycopg", "qdrant_client", "qdrant_edge", "chromadb", "pymilvus", "duckdb", "faiss"})
# Package -> what importing it may not load. What it does need is imported where it is used.
LIGHT_IMPORTS = {
    "interlingua": HEAVY | CLIENTS,
    "interlingua.aligners": HEAVY,
    "interlingua.core.records": HEAVY,
    "interlingua.distributed": HEAVY | {"lance"},
    "interlingua.distributed.ray": HEAVY | {"lance"},
    "interlingua.encoders": HEAVY | {"sentence_transformers"},
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
    "interlingua.cli": HEAVY - {"rich", "typer"} | CLIENTS | {"scipy.sparse", "interlingua.leakage.audit"},
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


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def attribute_chain(node: ast.AST) -> str:
    """``np.random.seed`` for the node of that expression."""
    if isinstance(node, ast.Attribute):
        return f"{attribute_chain(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= 400, (
        f"{path.name} has {lines} lines: move a part into a module of its own, in its layer of pyproject.toml"
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_prints_seeds_globally_or_asserts(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: raise InputError for what a user can cause"
        if isinstance(node, ast.Call):
            called = attribute_chain(node.func)
            assert called != "print", f"line {node.lineno}: return it, log it or leave it to the command line"
            assert called not in {"np.random.seed", "numpy.random.seed", "random.seed", "torch.manual_seed"}, (
                f"line {node.lineno}: pass a generator"
            )


def test_modules_are_named_by_a_noun() -> None:
    vague = {path.stem for path in MODULES} & {"utils", "util", "helpers", "misc", "common"}
    assert not vague, f"{vague}: name a module by what it holds"


@pytest.mark.parametrize("package", LIGHT_IMPORTS)
def test_import_of_a_package_is_light(package: str) -> None:
    unwanted = sorted(LIGHT_IMPORTS[package])
    code = f"import {package}, sys; sys.stdout.write(' '.join(m for m in {unwanted!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "", f"import {package} loads {done.stdout}: import it in the function that uses it"


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.exists():
        assert not os.environ.get("CI"), "import-linter is missing, and continuous integration must not skip this test"
        pytest.skip("import-linter is not installed")
    done = subprocess.run([linter, "--no-cache"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_modules_of_the_core_import_each_other_not_even_for_types() -> None:
    """Import contracts leave out what is imported for type checking only."""
    imports = {}
    for path in (PACKAGE / "core").glob("*.py"):
        nodes = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.ImportFrom)]
        names = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
        parts = [name.split(".") for name in names if name.startswith("interlingua.core.")]
        imports[path.stem] = {part[2] for part in parts}
    assert {"summaries", "translator"} <= imports["alignment"]
    graphlib.TopologicalSorter(imports).prepare()  # a circle is a CycleError


def paired_imports(source: str) -> list[int]:
    """Lines that import `interlingua.evaluation` or `interlingua.evaluate`, by a statement or by name in a text."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names = [node.value]
        else:
            continue
        if any(PAIRED_MODULE.match(name) for name in names):
            lines.append(node.lineno)
    return lines


def may_not_see_pairs(path: Path) -> bool:
    """Whether a module fits, selects or judges, or is used by one that does."""
    top = path.relative_to(PACKAGE).parts[0]
    return top in {"aligners", "core", "neural"} or top.startswith("_align")


def test_nothing_that_fits_or_judges_imports_the_paired_evaluation() -> None:
    # Repeated without import-linter, because every claim of the project depends on it.
    checked = [path for path in MODULES if may_not_see_pairs(path)]
    tops = {path.relative_to(PACKAGE).parts[0] for path in checked}
    assert {"_align.py", "aligners", "core", "neural"} <= tops
    for path in checked:
        assert not paired_imports(path.read_text("utf-8")), path


@pytest.mark.parametrize(
    "source",
    [
        "import interlingua.evaluation",
        "import numpy, interlingua.evaluation.metrics as m",
        "from interlingua.evaluation import evaluate",
        "from interlingua.evaluation.scores import evaluate",
        "from interlingua import evaluation",
        "from interlingua import evaluate",
        "def f():\n    from interlingua.evaluation.metrics import match_ranks",
        "import importlib\nm = importlib.import_module('interlingua.evaluation.metrics')",
        "m = require('interlingua.evaluation', 'torch')",
        "m = {'x': 'interlingua.evaluation.scores:evaluate'}",
    ],
)
def test_every_form_of_such_an_import_is_seen(source: str) -> None:
    assert paired_imports(source)
    assert not paired_imports(source.replace("evaluat", "cor"))


def public_definitions(tree: ast.Module) -> set[str]:
    """Names of the public classes, functions, constants and type aliases that a module defines or passes on."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            inner = (part for target in targets for part in ast.walk(target))
            names |= {part.id for part in inner if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.name for alias in node.names if alias.asname == alias.name}
    return {name for name in names if not name.startswith("_")}


def listed_names(tree: ast.Module) -> list[str] | None:
    """Return the names in ``__all__``, or None where there is no such list."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [attribute_chain(target) for target in node.targets] == ["__all__"]:
            return list(ast.literal_eval(node.value))
    return None


@pytest.mark.parametrize("path", PUBLIC_MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_public_module_lists_what_it_defines(path: Path) -> None:
    tree = parsed(path)
    defined = public_definitions(tree)
    listed = listed_names(tree)
    if listed is None:
        assert not defined, "add __all__"
        return
    lacking = sorted(defined - set(listed) - {"main"})
    assert not lacking, f"add {lacking} to __all__, or begin their names with an underscore"
    assert len(set(listed)) == len(listed), "__all__ has a name twice"
    private = [name for name in listed if name.startswith("_")]
    assert not private, f"remove {private} from __all__"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("LIMIT = 3", {"LIMIT"}),
        ("LOW, (HIGH, _) = 1, (2, 3)", {"LOW", "HIGH"}),
        ("Rows: TypeAlias = list[int]", {"Rows"}),
        ("_LIMIT = 3\n__all__ = []\nTABLE[0] = object.name = 1", set()),
        ("from a import b as b, c, d as e", {"b"}),
        ("def f(): ...\nclass C:\n    inner = 1", {"f", "C"}),
    ],
)
def test_definitions_of_every_kind_are_seen(source: str, names: set[str]) -> None:
    assert public_definitions(ast.parse(source)) == names


def test_the_package_shows_its_api_and_nothing_else() -> None:
    code = (
        "import interlingua, sys\n"
        "namespace = {}\nexec('from interlingua import *', namespace)\n"
        "del namespace['__builtins__']\n"
        "sys.stdout.write(' '.join(sorted(namespace)) + '\\n' + ' '.join(dir(interlingua)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, shown = (line.split() for line in done.stdout.splitlines())
    assert {"align", "align_spaces", "evaluate", "load", "Translator", "EmbeddingTranslator"} <= set(imported)
    assert shown == sorted([*imported, "__version__"])
    assert not {"annotations", "Any", "TYPE_CHECKING", "import_module", "version"} & set(imported)


def test_no_file_names_a_path_of_this_machine_or_a_registry() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if MACHINE_PATH.search(line) or REGISTRY_HOST.search(line)
    ]
    assert not found, "write a relative path, or leave the address out:\n" + "\n".join(found[:20])


def test_no_space_stands_before_a_percent_sign() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path, text in tracked_texts()
        if path.suffix in {".md", ".html", ".jinja", ".js"}
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"[\d})](?: |&nbsp;)%(?!})", line)
    ]
    assert not found, "write 95% without a space:\n" + "\n".join(found)


def test_every_ruff_exception_has_a_reason() -> None:
    lines = (REPOSITORY / "pyproject.toml").read_text("utf-8").splitlines()
    bare = [line for line in lines if re.fullmatch(r'\s+"[A-Z]+\d*",\s*', line)]
    assert not bare, f"write the reason as a comment after each of {bare} in pyproject.toml"


def test_constraints_pin_exact_versions_and_no_address() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin) for pin in pins)
    assert "torch==2.13.0" in pins
