"""A method of one's own is reached as an object, and by name where a package declares it as an entry point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from interlingua.aligners import ENTRY_POINTS

ROOT = Path(__file__).resolve().parents[1]

METHOD = """
from dataclasses import dataclass
from interlingua.aligners import Fit, Problem
from interlingua.aligners.frames import affine_maps, polar


@dataclass(frozen=True)
class Cut:
    scale: float = 1.0
    name = "cut"

    def fit(self, problem, *, seed, on_step):
        x, y = problem.frames
        step = {"step": "cut", "scale": self.scale}
        on_step(step)
        import numpy as np
        return Fit(*affine_maps(x, y, np.eye(problem.source.d, problem.target.d, dtype="f4")), trace=(step,))
"""


LOAD = ("import numpy as np, interlingua as il", "x = np.load('source.npy')")
SETTINGS = "from interlingua.cli import main; raise SystemExit(main(['settings', 'cut', '--json']))"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """Install a package with one method, as pip would leave it, and return the environment that sees it."""
    site = tmp_path / "site"
    info = site / "own_methods-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "own_methods.py").write_text(METHOD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-methods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[interlingua.aligners]\ncut = own_methods:Cut\n")
    rng = np.random.default_rng(0)
    for side, d in (("source", 12), ("target", 10)):
        np.save(tmp_path / f"{side}.npy", rng.standard_normal((150, d)).astype("f4"))
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def python(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def refusals(folder: Path, environment: dict[str, str], *lines: str) -> subprocess.CompletedProcess[str]:
    """Run lines in one interpreter, which prints the message of each that is refused and goes on."""
    tried = (f"try:\n    {line}\nexcept InputError as error:\n    print(error)\n" for line in lines)
    return python(folder, environment, "-c", "".join(["from interlingua.core.errors import InputError\n", *tried]))


def test_a_method_of_another_package_is_reached_by_name_in_python(tmp_path: Path, installed: dict[str, str]) -> None:
    code = (
        "import json, numpy as np, interlingua as il\n"
        "from interlingua.aligners import available_methods, describe_settings\n"
        "a = il.align(np.load('source.npy'), np.load('target.npy'), method='cut', scale=2.0)\n"
        "print(json.dumps([a.method, a.settings['scale'], a.trace[-1], 'cut' in available_methods(),"
        " [s.name for s in describe_settings('cut')]]))\n"
    )
    done = python(tmp_path, installed, "-c", code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["cut", 2.0, {"step": "cut", "scale": 2.0}, True, ["scale"]]


def test_its_unknown_settings_and_misspelled_name_are_refused(tmp_path: Path, installed: dict[str, str]) -> None:
    calls = ("il.align(x, x, method='cut', scales=2)", "il.align(x, x, method='cuts')")
    done = refusals(tmp_path, installed, *LOAD, *calls)
    assert "unknown keyword 'scales'. Did you mean scale?" in done.stdout
    assert "There is no method 'cuts'" in done.stdout
    assert "Did you mean cut?" in done.stdout


def test_a_method_of_another_package_is_reached_by_name_on_the_command_line(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    fit = ("-m", "interlingua", "fit", "source.npy", "target.npy", "--out", "t", "--method", "cut", "--allow-failed")
    done = python(tmp_path, installed, *fit, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["method"] == "cut"
    card = json.loads((tmp_path / "t" / "card.json").read_text("utf-8"))
    assert card["method"] == "cut"


def declare(folder: Path, package: str, lines: str) -> None:
    """Install another package with entry points beside the first one."""
    info = folder / "site" / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(lines)


OPEN = "from interlingua.stores import available_stores, open_store"
BROKEN = {
    "module": "absent_module:Thing",
    "attribute": "own_methods:Absent",
    "malformed": "not a reference!",
}


@pytest.mark.parametrize("target", BROKEN.values(), ids=BROKEN)
def test_a_method_that_cannot_be_imported_is_named_and_disturbs_no_other(
    tmp_path: Path, installed: dict[str, str], target: str
) -> None:
    declare(tmp_path, "broken-package", f"[interlingua.aligners]\nbroken = {target}\n")
    calls = ("il.align(x, x, method='broken')", "il.align(x, x, method='brokem')")
    done = refusals(tmp_path, installed, *LOAD, *calls, SETTINGS)
    message = f"The entry point broken = {target} of interlingua.aligners (package broken-package) cannot be imported"
    assert message in done.stdout
    assert "There is no method 'brokem'; choose from auto, " in done.stdout
    assert done.returncode == 0, done.stderr


def test_a_package_with_a_malformed_table_disturbs_no_other(tmp_path: Path, installed: dict[str, str]) -> None:
    declare(tmp_path, "broken-package", "[interlingua.aligners]\nno equals sign\n[interlingua.stores]\nneither\n")
    done = refusals(tmp_path, installed, OPEN, "open_store('qdrannt://a#c')", SETTINGS)
    assert done.returncode == 0, done.stderr
    assert "is not a store that interlingua knows; it knows file, " in done.stdout


def test_a_method_with_the_name_of_another_is_refused_where_it_is_listed_or_used(
    tmp_path: Path, installed: dict[str, str]
) -> None:
    declare(tmp_path, "greedy-package", "[interlingua.aligners]\nridge = own_methods:Cut\n")
    message = (
        "The entry point ridge = own_methods:Cut of interlingua.aligners (package greedy-package) has the "
        "name of another method. Rename it, or uninstall its package."
    )
    calls = ("available_methods()", "create_aligner('ridge')", "create_aligner('procrustes')")
    done = refusals(tmp_path, installed, "from interlingua.aligners import available_methods, create_aligner", *calls)
    assert done.stdout.splitlines() == [message, message]
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("target", BROKEN.values(), ids=BROKEN)
def test_a_store_that_cannot_be_imported_is_named_and_disturbs_no_other(
    tmp_path: Path, installed: dict[str, str], target: str
) -> None:
    declare(tmp_path, "broken-package", f"[interlingua.stores]\nbroken = {target}\n")
    message = f"The entry point broken = {target} of interlingua.stores (package broken-package) cannot be imported"
    stores = "print(sorted({'broken', 'file'} & available_stores().keys()))"
    done = refusals(tmp_path, installed, OPEN, "open_store('broken://a#c')", "open_store('qdrannt://a#c')", stores)
    broken, unknown, found = done.stdout.splitlines()
    assert message in broken
    assert "is not a store that interlingua knows; it knows file, " in unknown
    assert (done.returncode, found) == (0, "['file']")
    assert f"InputWarning: {message}" in done.stderr


def test_the_contract_test_of_the_guide_runs_as_it_is_written(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "guides" / "research.md").read_text("utf-8")
    (block,) = re.findall(r"```python\n(# test_skewed_axes\.py.*?)```", text, re.DOTALL)
    (tmp_path / "test_skewed_axes.py").write_text(block)
    package = tmp_path / "skewed_axes"
    package.mkdir()
    (package / "__init__.py").touch()
    example = (ROOT / "docs" / "examples" / "own_aligner.py").read_text("utf-8")
    (package / "methods.py").write_text(example)
    assert "PYTHONPATH=/path/to/checkout/tests python -m pytest test_skewed_axes.py" in text
    path = os.pathsep.join(filter(None, [str(ROOT / "tests"), os.environ.get("PYTHONPATH")]))
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_skewed_axes.py", "-k", "trace or widths")
    done = python(tmp_path, {**os.environ, "PYTHONPATH": path}, *arguments)
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_the_package_of_the_guide_is_installable_and_names_a_method(tmp_path: Path) -> None:
    """The pyproject.toml in the guide, read as TOML, with the class of the example at the place it names."""
    text = (ROOT / "docs" / "guides" / "research.md").read_text("utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    package = tomllib.loads(block)
    project = package["project"]
    assert {"name", "version", "requires-python", "dependencies"} <= project.keys()
    assert project["dependencies"] == ["interlingua"]
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["requires-python"] == ours["project"]["requires-python"]
    assert package["build-system"]["build-backend"].split(".")[0] in package["build-system"]["requires"]
    ((name, target),) = project["entry-points"][ENTRY_POINTS].items()
    module, _, attribute = target.partition(":")
    path = tmp_path / "site" / Path(*module.split(".")).with_suffix(".py")
    assert f"src/{path.relative_to(tmp_path / 'site')}" in text
    path.parent.mkdir(parents=True)
    (path.parent / "__init__.py").touch()
    path.write_text((ROOT / "docs" / "examples" / "own_aligner.py").read_text("utf-8"))
    info = tmp_path / "site" / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{name} = {target}\n")
    search = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    done = python(tmp_path, {**os.environ, "PYTHONPATH": search}, "-m", "interlingua", "settings", name, "--json")
    assert done.returncode == 0, done.stderr
    assert [setting["name"] for setting in json.loads(done.stdout)["settings"]] == ["axes"]
    assert attribute in path.read_text("utf-8")
    assert f"--method {name} --set axes=16" in text
