"""The documentation says what the code does: examples run, every option is in the reference, no link is dead."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer

from interlingua.cli import app
from interlingua.core.alignment import MEASUREMENTS

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_OTHERS = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md", "demo/README.md")
_WRITTEN = [PAGES[0], *sorted(page for part in (".", "api", "guides") for page in (ROOT / "docs" / part).glob("*.md"))]
TEXTS = [*PAGES, *(ROOT / name for name in _OTHERS)]
# Modules whose names a user imports, beside the packages that list their own.
PUBLIC = (
    "interlingua",
    "interlingua.aligners.base",
    "interlingua.aligners.criterion",
    "interlingua.aligners.verdict",
    "interlingua.core.statistics",
    "interlingua.core.errors",
    "interlingua.distributed.arrow",
    "interlingua.distributed.ray",
    "interlingua.evaluation",
    "interlingua.evaluation.metrics",
    "interlingua.evaluation.oracles",
    "interlingua.export",
    "interlingua.identification",
    "interlingua.io",
    "interlingua.leakage.adaptation",
    "interlingua.leakage.attributes",
    "interlingua.leakage.audit",
    "interlingua.leakage.inputs",
    "interlingua.leakage.calibration",
    "interlingua.leakage.centering",
    "interlingua.leakage.defense_scores",
    "interlingua.leakage.defenses",
    "interlingua.leakage.findings",
    "interlingua.leakage.inversion",
    "interlingua.leakage.inversion.judge",
    "interlingua.leakage.inversion.scores",
    "interlingua.neural.losses",
    "interlingua.neural.selection",
    "interlingua.neural.terms",
    "interlingua.report.audit",
    "interlingua.sklearn",
    "interlingua.stores",
    "interlingua.stores.joint",
    "interlingua.stores.migration",
)
# The one that fits from nothing takes half a minute on two idle cores.
QUICK = [path for path in EXAMPLES if path.stem != "align"]


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    pytest.importorskip("matplotlib")
    path = list(sys.path)
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    # The module puts benchmarks on the path, and a script there has the name of a folder of tests.
    sys.path[:] = path


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
    assert len(path.read_text("utf-8").splitlines()) < 60, "an example has at most 59 lines"
    shown = any(f"examples/{path.name}" in page.read_text("utf-8") for page in PAGES)
    assert shown, f"show examples/{path.name} on a page of docs with a literalinclude"


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


def documented() -> tuple[set[str], set[str]]:
    """Return the modules that the reference lists as a whole, and the full names that it lists one by one."""
    text = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "api").glob("*.md"))
    modules = set(re.findall(r"automodule:: (\S+)", text))
    return modules, set(re.findall(r"(?:auto(?:class|function|exception)|py:data):: (\S+)", text))


@pytest.mark.parametrize("module", PUBLIC)
def test_every_class_and_function_of_a_public_module_is_in_the_reference(module: str) -> None:
    if module.startswith("interlingua.neural"):
        pytest.importorskip("torch")
    modules, names = documented()
    loaded = importlib.import_module(module)
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if not callable(value) or not hasattr(value, "__module__") or value.__module__ == "typing":
            continue
        # By the object, because a name may be documented at the place where it is defined.
        listed = any(_resolve(full) is value for full in names if full.endswith(f".{name}"))
        assert listed or {module, value.__module__} & modules, f"add {module}.{name} to a page of docs/api"


def _resolve(name: str) -> object:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            value = getattr(value, part)
        return value
    raise AssertionError(name)


def test_the_contributor_table_names_files_and_symbols_that_exist() -> None:
    table = (ROOT / "docs" / "contributing.md").read_text("utf-8").split("| to add |")[1].split("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    kinds = {"a method", "a loss term", "a store", "a file format", "a verdict criterion", "a defense", "a command"}
    assert kinds <= {row[0] for row in rows}
    for kind, change, tests in rows:
        for cell in (change, tests):
            named = re.findall(r"`([^`]*[/.][^`]*)`(?: \(`(\w+)`\))?", cell)
            assert named, f"{kind}: name a file with its folder in each column"
            for path, symbol in named:
                assert (ROOT / path).exists(), f"docs/contributing.md, {kind}: {path} does not exist"
                found = not symbol or symbol in (ROOT / path).read_text("utf-8")
                assert found, f"docs/contributing.md, {kind}: {path} has no {symbol}"


def test_the_page_on_trust_and_the_glossary_name_every_measurement_of_a_verdict() -> None:
    def names(found: list[str]) -> set[str]:
        return {name.lower().replace("-", "_").replace(" ", "_") for name in found}

    page, glossary = ((ROOT / "docs" / name).read_text("utf-8") for name in ("trust.md", "glossary.md"))
    bold = names(re.findall(r"\*\*([\w -]+)\*\*", " ".join(page.split())))
    lacking = sorted(MEASUREMENTS - bold)
    assert not lacking, f"docs/trust.md: add {lacking} in bold to the list of what the verdict measures"
    terms = names([term for line in re.findall(r"^(.+)\n: ", glossary, re.MULTILINE) for term in line.split(", ")])
    lacking = sorted(name for name in MEASUREMENTS if not {name, f"{name}_distance"} & terms)
    assert not lacking, f"docs/glossary.md: add an entry for each of {lacking}"


def test_every_package_has_a_line_in_the_table_of_the_house() -> None:
    table = (ROOT / "docs" / "how-it-works.md").read_text("utf-8").split("## Package layout")[1]
    listed = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    source = ROOT / "src" / "interlingua"
    packages = {path.parent.name for path in source.glob("*/__init__.py")}
    modules = {path.stem for path in source.glob("*.py") if not path.stem.startswith("_")}
    differing = sorted(listed ^ (packages | modules))
    assert not differing, f"docs/how-it-works.md: a row of the package layout is missing or of no package: {differing}"


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "reports").glob("*.html")), ids=lambda path: path.name)
def test_the_audit_reports_are_small_and_name_no_folder_of_a_machine(path: Path) -> None:
    page = path.read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert len(page.encode()) < 600_000
    assert not re.search(r"(?<![\w.<:/])/(?:tmp|home|root|work|usr|var|Users|mnt|opt)/|[A-Z]:\\", page)
    assert "interlingua audit" in page


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_commands_on_pages_have_the_subcommands_and_options_that_they_show(page: Path) -> None:
    group = typer.main.get_command(app)
    for block in re.findall(r"```bash\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["interlingua"]:
                continue
            command = group.commands[words[1]]  # type: ignore[attr-defined]
            options = {
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
            shown = {word.split("=")[0] for word in words[2:] if word.startswith("--")}
            assert shown <= options | {"--help"}, line


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_names_of_this_package_on_pages_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("interlingua"):
                for alias in node.names:
                    _resolve(f"{node.module}.{alias.name}")
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "il":
                _resolve(f"interlingua.{node.attr}")
    for name in re.findall(r"`(interlingua\.[\w.]+?)\.?[`(]", text):
        if name != "interlingua.aligners":
            _resolve(name)


def test_no_recorded_fit_below_a_tenth_is_called_aligned(generate: ModuleType) -> None:
    tables = importlib.import_module("tables")  # the fixture has put benchmarks on the path
    bad = tables.confusion(tables.judged()).splitlines()[-1]
    assert re.fullmatch(r"\| bad \(top-1 under 0\.1\) \| 0 \| \d+ \| \d+ \|", bad)


def test_every_row_of_the_overview_has_fits_and_a_name_of_its_own(generate: ModuleType) -> None:
    tables = importlib.import_module("tables")  # the fixture has put benchmarks on the path
    rows = [line.split(" | ") for line in tables.overview(tables.load()).splitlines()[2:]]
    assert all(int(cells[2]) > 0 for cells in rows)
    assert len({cells[0] for cells in rows}) == len(rows)


def test_every_benchmark_script_and_record_has_a_row_in_the_benchmarks_readme() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    records = {path.name for path in (ROOT / "benchmarks" / "results").iterdir()}
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    lacking = sorted(name for name in scripts | records if f"`{name}`" not in rows and f"`{name}/`" not in rows)
    assert not lacking, f"benchmarks/README.md: add a row for each of {lacking}"


def test_the_readme_names_two_things_that_records_show(generate: ModuleType) -> None:
    records = generate._records(generate.RESULTS / "peers.jsonl")
    peers = importlib.import_module("peers")  # the fixture has put benchmarks on the path
    rows = [line.strip("| ").split(" | ") for line in peers.summary(records).splitlines()[2:]]
    assert all(float(cell) < 0.05 for row in rows[1:] for cell in row[1:-1]), "no other method comes above 0.05"
    baselines = [r for r in generate._records(generate.RESULTS / "baselines.jsonl") if r["method"] == "procrustes"]
    median = sorted(r["forward"]["top1"] for r in baselines)[len(baselines) // 2]
    assert f"{median:.3f}" in (ROOT / "README.md").read_text("utf-8").split("Procrustes")[1]


def records_of(generate: ModuleType, name: str) -> list[dict[str, Any]]:
    found = generate._records(generate.RESULTS / name)
    assert found
    return found  # type: ignore[no-any-return]


def figures(text: str) -> set[str]:
    """Return the numbers in the prose of a page: without code, tables, links, and names such as int8."""
    text = re.sub(r"```.*?```|`[^`]*`|^\|[^\n]*$|\]\([^)]*\)", " ", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"arXiv [\d.]+|Apache-2\.0|\w*[a-z]-?\d+", " ", text)
    return set(re.findall(r"\d[\d,.]*\d|\d", text))


def test_every_figure_in_the_prose_of_the_readme_is_that_of_a_record(generate: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    beir = [r for r in records_of(generate, "beir.jsonl") if r["method"] == "linear"]
    beir += [r for r in records_of(generate, "solver.jsonl") if re.fullmatch(r"2000x2000/\d+/default", r["key"])]
    peers = records_of(generate, "peers.jsonl")
    card = json.loads((ROOT / "demo" / "data" / "CARD.json").read_text("utf-8"))

    def top1(n: int) -> list[float]:
        return [r["forward"]["top1"] for r in beir if r["n_source"] == n]

    assert card["rows"]["source"] == card["rows"]["target"] == 10_976
    assert all(r["verdict"]["status"] == "failed" for r in beir if r["n_source"] <= 1_000)
    assert max(top1(500) + top1(1_000)) < 0.05
    assert [f"{end(top1(2_000)):.2f}" for end in (min, max)] == ["0.63", "0.86"]
    assert min(top1(4_398)) > 0.95
    others = [r["forward"]["top1"] for r in peers if r["method"] not in ("linear", "procrustes") and "forward" in r]
    assert max(others) < 0.05
    failing = ("beir: bge -> minilm", 1_000), ("nq-open | clickbait: minilm -> model2vec", 4_976)
    assert all(r["forward"]["top1"] < 0.05 for r in peers if "forward" in r and (r["case"], r["n"]) in failing)
    checked = {"10,976", "1,000", "2,000", "0.63", "0.86", "4,398", "0.95", "0.05"}
    # The first is tested above; a thousand pairs in the test of the limits.
    assert figures(readme) == checked | {"0.996"}


def test_where_pairs_win_is_what_the_records_say(generate: ModuleType) -> None:
    records = [
        r
        for r in records_of(generate, "public-pairs.jsonl")
        if r["kind"] == "fit" and r["collection"] == "nq-open" and r["encoders"] == ["use", "minilm"]
    ]
    own = {r["pairs"]: r["forward"]["top1"] for r in records if r["texts"] == "nq-open" and r["method"] == "procrustes"}
    unpaired = [r["forward"]["top1"] for r in records if r["method"] == "linear"]
    shown = [f"{value:.2f}" for value in (own[1000], own[300], *unpaired)]
    assert shown == ["0.89", "0.73", "0.81"]
    limits, compare = (
        " ".join((ROOT / "docs" / f"{name}.md").read_text("utf-8").split()) for name in ("limits", "compare")
    )
    assert "top-1 was 0.89 with 1,000 pairs of the same kind, 0.73 with 300, and 0.81 without pairs" in limits
    assert (
        "on 1,000 pairs of the same kind reaches a top-1 of 0.89, on 300 pairs 0.73; method `linear` without" in compare
    )


def test_how_many_public_texts_equal_none_is_what_the_records_say(generate: ModuleType) -> None:
    """The sentences below the table of fits on public texts in the guide to migrations."""
    p = importlib.import_module("public_pairs")  # the fixture has put benchmarks on the path
    fits = [
        r
        for r in records_of(generate, "public-pairs.jsonl")
        if r["kind"] == "fit" and r["encoders"] == ["use", "minilm"] and r["method"] == p.method_for(r["pairs"])
    ]

    def recalls(collection: str, pairs: int, *, own: bool = False) -> list[float]:
        found = [r for r in fits if (r["collection"], r["pairs"]) == (collection, pairs)]
        return [r["recall10"] for r in found if not pairs or (r["texts"] == collection) == own]

    for collection in p.COLLECTIONS:
        (unpaired,) = recalls(collection, 0)
        assert max(recalls(collection, 300)) < unpaired < min(recalls(collection, 10_000))
        if collection == "wiki-split":
            assert unpaired < min(recalls(collection, 1_000))
        else:
            assert min(recalls(collection, 3_000)) - 0.005 < unpaired <= max(recalls(collection, 3_000))
        as_good = 3_000 if collection == "wiki-split" else 10_000
        assert min(recalls(collection, as_good)) - 0.005 < recalls(collection, 1_000, own=True)[0]
        spans = [max(found) - min(found) for found in (recalls(collection, pairs) for pairs in p.COUNTS[1:])]
        assert max(spans) < 0.05
    assert "| none: unpaired | 0.32 (0.81) | 0.21 (0.80) | 0.32 (0.91) |" in generate.public_pairs()


def test_how_many_pairs_beat_none_is_what_the_records_say(generate: ModuleType) -> None:
    peers = importlib.import_module("peers_paired")  # the fixture has put benchmarks on the path
    every = [r for r in records_of(generate, "peers-paired.jsonl") if r["method"] in peers.NAMES]
    # The text compares the fits of the same seeds.
    seeds = {r["seed"] for r in every if (r["case"], r["method"]) == ("beir: bge -> minilm", "linear")}
    records = [r for r in every if r["case"] == "beir: bge -> minilm" and r["seed"] in seeds]
    top1 = {
        key: float(np.median([r["forward"]["top1"] for r in records if (r["method"], r["pairs"]) == key]))
        for key in {(r["method"], r["pairs"]) for r in records}
    }
    own = top1["linear", 0]
    paired = {count: {m: v for (m, pairs), v in top1.items() if pairs == count} for count in (100, 300, 500, 1000)}
    best = {count: max(values, key=lambda method: values[method]) for count, values in paired.items()}

    def shown(value: float, digits: int = 3) -> str:
        return f"{value:.{digits}f}"

    page = " ".join((ROOT / "docs" / "compare.md").read_text("utf-8").split())
    many = {1: "one seed", 2: "two seeds", 3: "three seeds"}[len(seeds)]
    assert f"In {many} on BGE to MiniLM" in page
    assert f"top-1 is {shown(own)} without pairs. With 100 pairs the best method reaches" in page
    assert (best[100], best[300]) == ("ridge", "procrustes")
    assert (
        f"reaches {shown(paired[100]['ridge'], 2)} (ridge), with 300 pairs {shown(paired[300]['procrustes'], 2)} (Proc"
        in page
    )
    half = paired[500]
    assert (
        f"500 pairs Procrustes ({shown(half['procrustes'])}) and ridge ({shown(half['ridge'])}) equal the fit" in page
    )
    assert all(abs(half[method] - own) < 0.005 for method in ("procrustes", "ridge"))
    full = paired[1000]
    assert f"every method is better ({shown(min(full.values()))} to {shown(max(full.values()))})" in page
    assert min(full.values()) > own
    networks = [method for method in full if "MLP" in method]
    assert len(networks) == 2
    assert {count for method, count in top1 if "MLP" in method} == set(peers.PAIRS_OF_NETWORKS)
    assert full["procrustes"] > max(full[method] for method in networks)
    most = max(top1[method, 5000] for method in networks)
    assert f"equals it ({shown(most)})" in page
    assert abs(most - top1["procrustes", 5000]) < 0.0005
    reached = {(r["case"], r["seed"], r["pairs"], r["method"]): r["forward"]["top1"] for r in every}
    gains = {key[:3]: reached[*key[:3], "procrustes"] - top1 for key, top1 in reached.items() if key[3] == "ridge"}
    others = {key: gain for key, gain in gains.items() if not key[0].startswith("beir") and key[2] >= 300}
    assert {case for case, _, _ in others} == {case for case in peers.CASES if not case.startswith("beir")}
    assert min(others.values()) > 0
    assert all(abs(gain) < 0.005 for key, gain in gains.items() if key[0].startswith("beir") and key[2] >= 1_000)
    assert "better than ridge from 300 pairs on in every seed that has been run; on BGE to MiniLM they are" in page
    least: dict[str, set[int]] = {"procrustes": set(), "ridge": set(), "MLP": set()}
    unpaired = []
    for case in (case for case in peers.CASES if not case.startswith("beir")):
        of_case = [r for r in every if r["case"] == case]
        unpaired.append(float(np.median([r["forward"]["top1"] for r in of_case if r["method"] == "linear"])))
        for method in {r["method"] for r in of_case if r["pairs"] and r["method"] != "isotrieve ridge"}:
            enough = [n for n in peers.PAIRS if peers._top1(every, case, method, n) > unpaired[-1]]
            least["MLP" if "MLP" in method else method].add(min(enough))
    first, second, third = map(shown, unpaired)
    assert f"top-1 without pairs is {first} on questions, {second} on WordNet and {third} on FOLDOC" in page
    assert least == {"procrustes": {500, 1000}, "ridge": {1000}, "MLP": {5000}}
    assert "Procrustes needs 500 to 1,000 pairs to be better, ridge 1,000, and the MLPs 5,000" in page


def test_the_table_of_peers_with_pairs_leaves_out_what_was_not_run(generate: ModuleType) -> None:
    peers = importlib.import_module("peers_paired")
    base = {"seed": 0, "processor_seconds": 1.0, "peak_mb": 10, "rows": [4398, 4398]}
    case = "beir: bge -> minilm"
    records = [
        {**base, "case": case, "method": method, "pairs": pairs, "forward": {"top1": top1}}
        for method, pairs, top1 in (
            ("linear", 0, 0.9),
            ("ridge", 100, 0.5),
            ("ridge", 300, 0.95),
            ("procrustes", 100, 0.8),
        )
    ]
    records.append({**records[1], "case": "wordnet: use -> model2vec"})
    lines = peers.table(records).splitlines()
    assert lines[0] == "| method | pairs | search questions, BGE to MiniLM | seconds | peak MB |"
    assert lines[2] == "| interlingua, method `linear` | none | 0.900 | 1.0 | 10 |"
    assert len(lines) == 6
    assert peers.winners(records).splitlines()[2:] == [
        "| search questions, BGE to MiniLM | 4,398 | 0.900 | – | 300 | not run | not run | not run |"
    ]


def test_the_verdicts_on_the_page_of_trust_are_those_of_the_records(generate: ModuleType) -> None:
    tables = importlib.import_module("tables")  # the fixture has put benchmarks on the path
    assert tables.confusion(tables.judged()) in (ROOT / "docs" / "trust.md").read_text("utf-8")


def test_the_readme_is_short() -> None:
    words = len((ROOT / "README.md").read_text("utf-8").split())
    assert words < 750, f"{words} words: move a part to a page of docs, and keep fewer than 750"


@pytest.mark.parametrize("page", _WRITTEN, ids=lambda path: path.stem)
def test_lines_of_prose_have_at_most_140_columns(page: Path) -> None:
    # Rows of tables and pictures cannot be wrapped.
    prose = (line for line in page.read_text("utf-8").splitlines() if not line.lstrip().startswith(("|", "![")))
    long = [line for line in prose if len(line) > 140]
    assert not long, "wrap at 140 columns:\n" + "\n".join(long)


def test_every_command_has_examples_at_the_end_of_its_help(generate: ModuleType) -> None:
    from interlingua.cli.help import EXAMPLES

    page = generate.commands()
    names = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    differing = sorted(set(EXAMPLES) ^ names)
    assert not differing, (
        f"EXAMPLES of interlingua.cli.help needs examples of each command, and of no other: {differing}"
    )
    for name, examples in EXAMPLES.items():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert all(example in section for example in examples)
        assert all(shlex.split(example)[:2] == ["interlingua", name] for example in examples)


def test_columns_that_are_empty_in_every_row_are_left_out_of_the_tables_of_a_page(generate: ModuleType) -> None:
    text = "# Title\n\n| a | b | c |\n| --- | --: | --: |\n| 1 |  | 2 |\n| 3 |  |  |\n\nText with | in it"
    shorter = "# Title\n\n| a | c |\n| --- | --: |\n| 1 | 2 |\n| 3 |  |\n\nText with | in it"
    assert generate._without_empty_columns(text) == shorter


def test_the_peers_of_the_readme_are_those_of_the_records(generate: ModuleType) -> None:
    peers = importlib.import_module("peers")  # the fixture has put benchmarks on the path
    made = peers.summary(generate._records(generate.RESULTS / "peers.jsonl"))
    assert made in (ROOT / "README.md").read_text("utf-8")


def test_the_quick_bench_takes_under_15_minutes_on_two_cores_by_recorded_times(generate: ModuleType) -> None:
    quick, peers = (importlib.import_module(name) for name in ("quick", "peers"))
    seconds = quick.cells(quick.recorded())
    longest = 0.0
    ends = [0.0, 0.0]
    for taken in seconds.values():  # slowest first, each to the core that is free
        ends[ends.index(min(ends))] += taken + 3
        longest = max(ends)
    assert longest < 15 * 60
    first = [key for key in seconds if key.startswith("beir") and "/4398/" in key]
    assert {key.split("/")[1] for key in first} == set(peers.NAMES)
    linear = [key for key in seconds if "/linear/" in key]
    assert len(linear) >= 4


def test_the_quick_bench_leaves_out_cells_and_names_missing_vectors(generate: ModuleType, tmp_path: Path) -> None:
    quick, peers = (importlib.import_module(name) for name in ("quick", "peers"))
    records = [r for r in quick.recorded() if r["method"] == "linear" and r["n"] == 4398 and r["seed"] == 0]
    assert len(records) == 1
    lines = peers.summary(records).splitlines()
    assert (
        lines[2]
        == f"| interlingua | {records[0]['forward']['top1']:.3f}* | – | – | – | – | {records[0]['seconds']:.0f} |"
    )
    assert lines[3].endswith("| – | – | – | – | – | – |")
    found = quick.missing_vectors("debian: minilm -> model2vec/linear/5000/0", tmp_path, tmp_path)
    assert [path.name for path in found] == ["debian.minilm.npy", "debian.model2vec.npy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--minutes", "nan"), "--minutes: 'nan' was given; a finite number of at least 0 is needed"),
        (("--minutes", "-3"), "--minutes: '-3' was given; a finite number of at least 0 is needed"),
        (("--jobs", "0"), "--jobs: '0' was given; a whole number of at least 1 is needed"),
        (("--jobs", "2.5"), "--jobs: '2.5' was given; a whole number of at least 1 is needed"),
        (("--only", "nosuch"), "--only is 'nosuch', which no key of a fit contains; keys are such as"),
    ],
)
def test_the_quick_bench_refuses_options_that_leave_nothing_to_run(
    generate: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, str],
    message: str,
) -> None:
    quick = importlib.import_module("quick")
    monkeypatch.setattr(sys, "argv", ["quick.py", *options])
    with pytest.raises(SystemExit) as stopped:
        quick.main()
    assert message in f"{stopped.value} {capsys.readouterr().err}"


def test_pictures_of_the_pages_show_the_current_records(generate: ModuleType) -> None:
    curves = generate.calibration(generate._records(generate.RESULTS / "leakage-keywords.jsonl"))
    points = {"sizes": generate.size_points(), "evidence": generate.evidence_points(), "calibration": curves}
    points |= {"grid": generate.grid_points(), "unequal-sizes": generate.size_cells()}
    for name, shown in points.items():
        picture = (ROOT / "docs" / "pictures" / f"{name}.svg").read_text("utf-8")
        assert f"points {generate.digest(shown)}" in picture, "draw it again: python docs/generate.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_shows_no_picture_that_a_fresh_clone_lacks(page: Path) -> None:
    for target in re.findall(r"!\[[^]]*\]\(([^)]+)\)|```\{(?:image|figure)\} (\S+)", page.read_text("utf-8")):
        path = next(filter(None, target))
        assert "_generated" not in path
        assert path.startswith("https:") or (page.parent / path).is_file(), path


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_python_on_pages_parses_and_linked_files_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(block)
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        # Generated pages are there after a build.
        assert (page.parent / target).exists() or target.startswith(("_generated", "../_generated")), target


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_sections_that_pages_outside_of_the_site_link_to_exist(name: str) -> None:
    # Sphinx checks the links between pages of the site alone.
    links = re.findall(r"\]\(([^):#]+\.md)#([^)]+)\)", (ROOT / name).read_text("utf-8"))
    assert links
    for target, section in links:
        titles = re.findall(r"^#+ (.+)$", (ROOT / target).read_text("utf-8"), re.MULTILINE)
        assert section in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_new_names_in_the_changelog_exist() -> None:
    rows = re.findall(r"^\| (.+) \| (.+) \|$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    packages = "aligners|core|distributed|evaluation|identification|leakage|neural|report"
    names = [name for _, new in rows for name in re.findall(rf"`((?:{packages})(?:\.\w+)*)[`(]", new)]
    assert len(names) > 20
    for name in names:
        _resolve(f"interlingua.{name}")


@pytest.mark.slow
def test_the_site_builds_without_a_warning_has_readable_signatures_and_loads_nothing_from_other_hosts(
    tmp_path: Path,
) -> None:
    for module in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(module, reason="the documentation needs interlingua[docs]")
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    command = [*sphinx, str(ROOT / "docs"), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TERM": "dumb"})
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        html = page.read_text("utf-8")
        assert not re.search(r"_NestedSequence|_SupportsArray|TypeAliasForwardRef", html), page
        for tag in re.findall(r"<(?:script|link|img)[^>]*>", html):
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", tag), tag


def test_the_tables_of_views_are_those_of_the_records(generate: ModuleType) -> None:
    grid, solver = (importlib.import_module(name) for name in ("grid", "solver"))
    page = (ROOT / "docs" / "how-it-works.md").read_text("utf-8")
    views, alone, cells = (
        generate._records(generate.RESULTS / f"{name}.jsonl") for name in ("views", "grid", "grid-views")
    )
    assert solver.table(views) in page
    assert grid.table(alone, cells) in page


def test_the_attacks_on_small_collections_in_the_responsible_use_page_are_those_of_the_records(
    generate: ModuleType,
) -> None:
    page = " ".join((ROOT / "docs" / "responsible-use.md").read_text("utf-8").split())
    solver = generate._records(generate.RESULTS / "solver.jsonl")
    curve = generate._records(generate.RESULTS / "pairs-curve.jsonl")

    large = [r for r in solver if (r["n_source"], r["n_target"]) == (1000, 7000)]
    assert sorted(r["verdict"] for r in large) == ["aligned"] * 2 + ["doubtful"] * 2
    assert [f"{end(r['forward']['top1'] for r in large):.2f}" for end in (min, max)] == ["0.78", "0.83"]
    assert "no pairs: 0.78 to 0.83 in four fits, of which two are aligned and two doubtful" in page
    small = [r for r in solver if (r["n_source"], r["n_target"]) == (500, 8000)]
    assert sorted(r["verdict"] for r in small) == ["doubtful"] * 6 + ["failed"] * 14
    assert "500 leaked vectors and 8,000 public texts, no pairs: of 20 fits, 14 failed by the verdict and six" in page
    right = [r["forward"]["top1"] for r in small[5:] if r["forward"]["top1"] > 0.1]
    assert (len(right), len(small[5:]), round(min(right), 2), round(max(right), 2)) == (13, 15, 0.37, 0.53)
    assert max(r["processor_seconds"] for r in small[5:]) < 420
    assert "13 of the last 15 reached 0.37 to 0.53 after a few minutes" in page
    known = [r for r in curve if r["key"].startswith("500/100/linear/")]
    assert [round(r["forward"]["top1"], 2) for r in known] == [0.58]
    assert "500 vectors per side with 100 known pairs: 0.58" in page
