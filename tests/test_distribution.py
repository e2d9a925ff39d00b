"""What is in the wheel and in the source distribution."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = {"demo.npz", "fingerprints.npz", "py.typed", "report/page.html.jinja", "report/style.css", "serve/page.js"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, capture_output=True, check=True
    )
    return folder


def test_the_wheel_holds_the_package_its_data_the_typed_marker_and_its_licenses(built: Path) -> None:
    wheel = next(built.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        described = Parser().parsestr(archive.read(metadata).decode())
    assert {f"interlingua/{name}" for name in DATA} <= names
    assert {name.rsplit("/", 1)[1] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert {name.split("/")[0] for name in names} == {"interlingua", metadata.split("/")[0]}
    assert described["Requires-Python"] == ">=3.11"
    assert wheel.stat().st_size < 3e6


def test_the_source_distribution_holds_what_builds_and_tests_the_package(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/interlingua/{name}" for name in DATA} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "tests/conftest.py"} <= names
    assert {
        "tests/data/values.json",
        "tests/data/affine/translator.safetensors",
        "tests/data/keywords.safetensors",
    } <= names


def test_the_notice_names_the_data_in_the_package() -> None:
    notice = (ROOT / "NOTICE").read_text("utf-8")
    shipped = {path.name for path in (ROOT / "src" / "interlingua").rglob("*.npz")}
    assert shipped == {"demo.npz", "fingerprints.npz"}
    for name in shipped:
        assert name in notice
