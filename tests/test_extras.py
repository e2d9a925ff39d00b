"""Without what an extra brings, the command that needs it says which extra to install, before any work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

from command_line import Rows
from interlingua.core.arrays import require
from interlingua.core.errors import MissingExtraError
from interlingua.stores import STORES

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
# What builds, tests and documents; no command of the package runs any of it.
DEVELOPMENT = {"dev", "dev-export", "dev-stores", "docs"}
# As on a machine where the packages were never installed, whatever this one has.
HIDE = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] == {module!r} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
COMMAND = "from interlingua.cli import main\nsys.exit(main(sys.argv[1:]))"
# One interpreter starts for all, and a copy of it that has not imported the package runs each case.
COPIES = """
import interlingua.cli, json, os, sys, traceback

for line in sys.stdin:
    case = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    code = 1
    try:
        os.chdir(case["folder"])
        for number, name in enumerate(("stdout", "stderr"), 1):
            os.dup2(os.open(case[name], os.O_CREAT | os.O_WRONLY), number)
        sys.argv = ["-c", *case["typed"]]
        assert case["module"] not in sys.modules, "it was imported before it was asked for"
        exec(case["code"], {"__name__": "__main__"})
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
"""
FIT = ["fit", "source.npy", "target.npy", "--out", "made"]
ADVERSARIAL = [*FIT, "--method", "adversarial"]


@dataclass(frozen=True)
class Absence:
    """One package of an extra, and what cannot be done without it.

    Attributes:
        package: its name in pyproject.toml.
        module: what it is imported as.
        asked: what is typed after ``interlingua``, or Python where no command needs it.
        needs: other modules without which the place is not reached; the test skips where one is missing.
        told: the module that the message names, if it is another.
    """

    package: str
    module: str
    asked: list[str] | str
    needs: tuple[str, ...] = ()
    told: str = ""


ALIGN = "import numpy as np, interlingua as il\nsides = np.load('source.npy'), np.load('target.npy')\n"
AUDIT = ["audit", "source.npy", "--authorized-by", "me", "--corpus", "words.txt", "--corpus-vectors", "target.npy"]
WORD_LISTS = {"faker": "faker", "airportsdata": "airportsdata", "simple-icd-10-cm": "simple_icd_10_cm"}
ABSENCES: dict[str, list[Absence]] = {
    "torch": [
        Absence("torch", "torch", f"{ALIGN}il.align(*sides, device='cuda')"),
        Absence(
            "array-api-compat",
            "array_api_compat",
            f"{ALIGN}il.align(*sides, device='meta')",
            ("torch",),
            "array_api_compat.torch",
        ),
    ],
    "report": [
        Absence("matplotlib", "matplotlib", [*FIT, "--report", "report.html"]),
        Absence("jinja2", "jinja2", [*FIT, "--report", "report.html"]),
    ],
    "kinds": [
        # The packages are asked for in this order.
        Absence(package, module, [*AUDIT, "--kinds"], tuple(WORD_LISTS.values())[:number])
        for number, (package, module) in enumerate(WORD_LISTS.items())
    ],
    "ot": [Absence("POT", "ot", ["bench", "in-distribution", "--corpus", "c", "--vectors", ".", "--oracle-rows", "9"])],
    "neural": [
        Absence("torch", "torch", ADVERSARIAL),
        Absence("accelerate", "accelerate", ADVERSARIAL, ("torch",)),
    ],
    "tensorboard": [
        Absence(
            "tensorboard",
            "tensorboard",
            [*ADVERSARIAL, "--set", "tensorboard=true", "--run", "run"],
            ("torch", "accelerate"),
            "torch.utils.tensorboard",
        )
    ],
    "lancedb": [Absence("lancedb", "lancedb", ["identify", "lancedb:///data/lance#items"])],
    "postgres": [Absence("psycopg", "psycopg", ["identify", "postgresql://me@127.0.0.1/shop#items.vector"])],
    "qdrant": [Absence("qdrant-client", "qdrant_client", ["identify", "qdrant://127.0.0.1#items"])],
    "qdrant-edge": [Absence("qdrant-edge-py", "qdrant_edge", ["identify", "qdrant-edge:///data/folder#shard"])],
    "chroma": [Absence("chromadb", "chromadb", ["identify", "chroma://127.0.0.1#items"])],
    "milvus": [
        Absence("pymilvus", "pymilvus", ["identify", "milvus://127.0.0.1#items"]),
        Absence("milvus-lite", "milvus_lite", ["identify", "milvus:///file.db#items"], ("pymilvus",)),
    ],
    "duckdb": [Absence("duckdb", "duckdb", ["identify", "duckdb:///data/shop.duckdb#items"])],
    "faiss": [Absence("faiss-cpu", "faiss", ["identify", "faiss:///data/items.faiss"])],
    "hdf5": [Absence("h5py", "h5py", ["translate", "translator", "rows.h5", "--out", "made.npy"])],
    "yaml": [Absence("pyyaml", "yaml", [*FIT, "--settings", "settings.yaml"])],
    "onnx": [Absence("onnx", "onnx", ["export", "translator", "--to", "onnx", "--out", "made.onnx"])],
    "encoder": [
        Absence(
            "sentence-transformers",
            "sentence_transformers",
            ["audit", "source.npy", "--authorized-by", "me", "--corpus", "texts.txt", "--encoder", "e"],
            ("matplotlib", "jinja2"),
        )
    ],
    "bench": [Absence("datasets", "datasets", ["bench", "seeds", "--encode"], ("sentence_transformers",))],
    "hub": [Absence("huggingface-hub", "huggingface_hub", ["export", "translator", "--to", "hub", "--out", "me/made"])],
    "serve": [
        Absence("starlette", "starlette", ["serve", "--no-browser"]),
        Absence("uvicorn", "uvicorn", ["serve", "--no-browser"]),
    ],
    "ray": [
        Absence("ray", "ray", ["translate", "translator", "source.parquet", "--engine", "ray", "--out", "made"]),
        Absence(
            "pylance",
            "lance",
            ["translate", "translator", "rows.lance", "--engine", "ray", "--out", "made"],
            ("ray",),
        ),
    ],
}  # fmt: skip
ROWS = [(extra, absence) for extra, absences in ABSENCES.items() for absence in absences]


def own_packages(extra: str) -> set[str]:
    """Return what an extra brings itself, without the other extras that it gathers."""
    names = {re.split(r"[\[>=<~!; ]", line)[0] for line in PROJECT["optional-dependencies"][extra]}
    return names - {PROJECT["name"]}


def test_every_package_of_every_extra_has_a_row() -> None:
    wanted = {extra: own_packages(extra) for extra in PROJECT["optional-dependencies"] if extra not in DEVELOPMENT}
    tested = {extra: {absence.package for absence in absences} for extra, absences in ABSENCES.items()}
    wanted = {extra: packages for extra, packages in wanted.items() if packages}
    assert wanted == tested, (
        "give ABSENCES of this file a row for each package of each extra of pyproject.toml, and no other"
    )


@pytest.fixture
def place(folder: Path, saved: Path) -> Path:
    """A folder with all that the commands ask for, so that nothing but the package is missing."""
    (folder / "texts.txt").write_text("one text\nanother text\n", "utf-8")
    (folder / "settings.yaml").write_text("rounds: 3\n", "utf-8")
    (folder / "rows.lance").mkdir()
    (folder / "rows.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    rows: Rows = np.load(folder / "source.npy")
    for encoder in "ab":
        np.save(folder / f"c.{encoder}.npy", rows)
    return folder


@pytest.fixture(scope="module")
def interpreter() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", COPIES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started
        assert started.stdin
        started.stdin.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="copies of an interpreter are made by fork")
@pytest.mark.parametrize(("extra", "absence"), ROWS, ids=[f"{extra}-{absence.package}" for extra, absence in ROWS])
def test_what_needs_a_missing_package_says_which_extra_brings_it(
    interpreter: subprocess.Popen[str],
    place: Path,
    tmp_path_factory: pytest.TempPathFactory,
    extra: str,
    absence: Absence,
) -> None:
    for module in absence.needs:
        pytest.importorskip(module, reason=f"without {module} this place is not reached")
    there = {path.name for path in place.iterdir()}
    code, typed = (absence.asked, []) if isinstance(absence.asked, str) else (COMMAND, absence.asked)
    code = HIDE.format(module=absence.module) + code
    written = tmp_path_factory.mktemp("written")
    out, err = written / "out", written / "err"
    case = {"folder": place, "stdout": out, "stderr": err, "typed": typed, "module": absence.module, "code": code}
    assert interpreter.stdin
    assert interpreter.stdout
    print(json.dumps(case, default=str), file=interpreter.stdin, flush=True)
    exit_code, stdout, stderr = int(interpreter.stdout.readline()), out.read_text("utf-8"), err.read_text("utf-8")
    module, remedy = re.escape(absence.told or absence.module), re.escape(f"pip install 'interlingua[{extra}]'")
    wanted = rf"{module} is needed and (is not installed|cannot be imported \(.*\))\. Install it with: {remedy}"
    assert re.search(wanted, stderr), stderr
    if typed:
        assert exit_code == 2
        assert stdout == ""
        assert "Traceback" not in stderr
    else:
        assert stderr.splitlines()[-1].startswith("interlingua.core.errors.MissingExtraError: ")
    assert {path.name for path in place.iterdir()} - {"bench", "vectors"} == there


def test_a_package_that_is_there_and_broken_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import what_it_needs_itself\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"cannot be imported \(No module named 'what_it_needs_itself'\)"):
        require("half_installed", "extra")
    with pytest.raises(MissingExtraError, match=r"not_there is needed and is not installed.*interlingua\[extra"):
        require("not_there", "extra")


def test_an_encoder_whose_extra_is_missing_can_be_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    from interlingua.encoders import open_encoder, sentence_encoder

    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    way_out = r"interlingua\[encoder\]'\. Or name a program of your own that embeds texts, as command:PROGRAM: it reads"
    with pytest.raises(MissingExtraError, match=way_out):
        open_encoder("sentence-transformers/all-MiniLM-L6-v2")
    # Where only a model can be used, a program is no way out.
    with pytest.raises(MissingExtraError, match=r"interlingua\[encoder\]'$"):
        sentence_encoder("sentence-transformers/all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("installed", "met"), [("2.0rc1", False), ("1.26.4", False), ("2.0", True), ("2.0.post1", True), ("10.1+cpu", True)]
)
def test_doctor_compares_versions_as_installers_do(monkeypatch: pytest.MonkeyPatch, installed: str, met: bool) -> None:
    from interlingua.cli import doctor

    monkeypatch.setattr(doctor, "_version", lambda name: installed)
    assert doctor._is_met(Requirement("numpy>=2.0")) is met


def test_doctor_reads_requirements_of_every_form(monkeypatch: pytest.MonkeyPatch) -> None:
    from interlingua.cli import doctor

    lines = [
        "numpy>=2.0,<3",
        "tomli>=2; python_version < '3'",
        'duckdb[all]>=1.5; extra == "duckdb"',
        'interlingua[duckdb]; extra == "serve"',
        'uvicorn~=0.30; extra == "serve"',
    ]
    monkeypatch.setattr("interlingua.cli.doctor.metadata.requires", lambda name: lines)
    monkeypatch.setattr(doctor, "_version", {"numpy": "3.1", "duckdb": "2.0", "uvicorn": "0.31"}.get)
    core, extras = doctor._packages()
    assert list(core) == ["numpy"]
    assert not core["numpy"]["ok"]
    assert extras["serve"] == {"installed": True, "packages": {"duckdb": "2.0", "uvicorn": "0.31"}}


def test_doctor_lists_the_extra_of_every_store() -> None:
    from interlingua.cli import doctor

    lacking = {kind.extra for kind in STORES.values() if kind.extra} - set(doctor._EXTRAS)
    assert not lacking, f"add {lacking} to _EXTRAS of interlingua.cli.doctor"
