"""Build the wheel and the source distribution, and install the wheel with each extra alone in a clean environment.

    python benchmarks/release.py                                 build, install, try; writes nothing
    python benchmarks/release.py --extras core report --demo     the same with two extras, and the demo
    python benchmarks/release.py --record --pythons python3.12   also measure, and write results/release.json

The wheel is built twice, from the checkout and from the source distribution, and both must hold the same files. In
each environment `interlingua doctor` must find the extra complete, with the extras that it includes; a module of every
package that the extra brings must import, and every store of these extras must load. ``--demo`` runs `interlingua demo`
and `interlingua audit --demo` with the extra report, on the data in the wheel. Measured are sizes, without compiled
bytecode for the extras, and the time of the import in an environment of each interpreter. A record keeps what an
earlier run measured and this one did not.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "release.json"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
# What builds, tests and documents, and cannot be used from the wheel alone.
DEVELOPMENT = ("dev", "dev-export", "dev-stores", "docs")
CORE = "core"
# Extras of other extras alone, which `interlingua doctor` does not list.
GROUPS = ("stores", "all")
EXTRAS = (CORE, *(name for name in PROJECT["optional-dependencies"] if name not in DEVELOPMENT))
_TIMES = 9
# Run in the environment: import a module of every package that an extra brings, and load the stores of the extra.
# Some packages write to stdout.
TRY = """
import importlib, json, sys
from importlib import metadata
from packaging.requirements import Requirement
import interlingua
from interlingua.stores import STORES

if not interlingua.__file__.startswith(sys.prefix):
    raise SystemExit(f"{interlingua.__file__} is not in the environment {sys.prefix}")

def brought(extra):
    for needed in map(Requirement, metadata.requires("interlingua")):
        if needed.marker and needed.marker.evaluate({"extra": extra}) and not needed.marker.evaluate({"extra": ""}):
            if needed.name == "interlingua":
                for other in needed.extras:
                    yield from brought(other)
            else:
                yield needed.name

extra, includes, modules = sys.argv[1], sys.argv[1:], {}
for module, names in metadata.packages_distributions().items():
    for name in names:
        modules.setdefault(name.lower().replace("_", "-"), []).append(module)
imported = []
for name in sorted(set(brought(extra))):
    public = [m for m in modules[name.lower().replace("_", "-")] if not m.startswith("_") and m.isidentifier()]
    # Another module of a package may need what is not installed: adbc_driver_duckdb of duckdb does.
    public.sort(key=lambda module: module != name.replace("-", "_"))
    for module in public[:1] or [name]:
        importlib.import_module(module)
        imported.append(module)
stores = [kind.scheme for kind in STORES.values() if kind.extra in includes]
for kind in stores:
    STORES[kind].load()
if extra == "report":
    from interlingua.cli.demo_data import read_packaged
    read_packaged()
sys.stderr.write("\\n" + json.dumps({"imported": imported, "stores": stores}))
"""


def main() -> None:
    """Build, install and try; with ``--record`` write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="+", choices=EXTRAS, default=EXTRAS)
    parser.add_argument("--demo", action="store_true", help="run the demo and its audit from the wheel")
    parser.add_argument("--record", action="store_true", help="write results/release.json")
    parser.add_argument("--pythons", nargs="+", default=[], help="interpreters with which the core alone is measured")
    arguments = parser.parse_args()
    record: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        wheel, sdist = build(here)
        sizes = {"wheel_bytes": wheel.stat().st_size, "sdist_bytes": sdist.stat().st_size,
                 "demo_bytes": _packed(wheel, "interlingua/demo.npz")}  # fmt: skip
        _say(f"{wheel.name}: {sizes}")
        record |= {"wheel": wheel.name, **sizes}
        if arguments.pythons:
            found = [_measure(python, wheel, here / f"env-{i}") for i, python in enumerate(arguments.pythons)]
            record["environments"] = found
        for extra in arguments.extras:
            own = here / extra
            brought = try_extra(_uv(here), wheel, extra, own)
            _say(f"{extra}: {json.dumps(brought)}")
            record["extras"] = record.get("extras", {}) | {extra: brought}
            if extra == "report" and arguments.demo:
                record["demo"] = try_demo(own)
                _say(f"demo: {json.dumps(record['demo'])}")
            shutil.rmtree(own)
            # The next extra may take minutes, and may fail.
            if arguments.record:
                RESULTS.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def build(folder: Path) -> tuple[Path, Path]:
    """Return the wheel and the source distribution of the checkout.

    Raises:
        SystemExit: the wheel that is built from the source distribution has other files.
    """
    tree, unpacked = folder / "from-tree", folder / "from-sdist"
    hatchling = [sys.executable, "-m", "hatchling", "build"]
    subprocess.run([*hatchling, "-d", str(tree)], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    sdist, wheel = next(tree.glob("*.tar.gz")), next(tree.glob("*.whl"))
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    root = next(unpacked.iterdir())
    subprocess.run([*hatchling, "-t", "wheel", "-d", str(folder / "again")], cwd=root, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    again = next((folder / "again").glob("*.whl"))
    different = set(_files(wheel)) ^ set(_files(again))
    if different:
        raise SystemExit(f"the wheel of the source distribution differs: {sorted(different)}")
    return wheel, sdist


def try_extra(uv: Path, wheel: Path, extra: str, folder: Path) -> dict[str, Any]:
    """Install the wheel with one extra in a new environment, and return what it brings.

    Raises:
        subprocess.CalledProcessError: something cannot be installed.
        SystemExit: something cannot be imported or loaded, the extra is not complete, or the package that is imported
            is not that of the environment.
    """
    started = time.perf_counter()
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
    own = folder / "bin" / "python"
    wanted = str(wheel) if extra == CORE else f"interlingua[{extra}] @ {wheel.as_uri()}"
    pin = folder / "torch.txt"
    pin.write_text("".join(line for line in _pins() if line.startswith("torch==")))
    # uv does not read the settings of pip.
    links = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}
    install = [uv, "pip", "install", "-q", "--python", own, "-c", pin, wanted]
    subprocess.run(install, check=True, env=_clean() | links)
    packages, seconds = _packages(own), time.perf_counter() - started
    done = subprocess.run(
        [own, "-c", TRY, *_included(extra)], cwd="/", env=_clean(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{extra}: {done.stderr}")
    report = json.loads(_run(folder, "doctor", "--json"))
    found = json.loads(done.stderr.splitlines()[-1])
    includes = [name for name in _included(extra) if name not in (CORE, *GROUPS)]
    unknown = [name for name in includes if name not in report["extras"]]
    if unknown:
        raise SystemExit(f"{extra}: interlingua doctor does not list {', '.join(unknown)}")
    incomplete = [name for name in includes if not report["extras"][name]["installed"]]
    if not report["ok"] or incomplete:
        raise SystemExit(f"{extra}: interlingua doctor reports {report['problems']}; incomplete: {incomplete}")
    _run(folder, "--help")
    return {
        "packages": len(list(packages.glob("*.dist-info"))),
        "install_bytes": _size(packages),
        "seconds": round(seconds, 1),
        **found,
        "wheel_bytes": wheel.stat().st_size,
    }


def try_demo(folder: Path) -> dict[str, Any]:
    """Run the demo and its audit in an environment that has the extra report; return the scores of the demo."""
    reports = folder / "demo.html", folder / "audit.html"
    started = time.perf_counter()
    found = json.loads(_run(folder, "demo", "--report", str(reports[0]), "--json"))
    seconds = time.perf_counter() - started
    _run(folder, "audit", "--demo", "--out", str(reports[1]))
    return {
        "data": found["data"],
        "rows": [found[side]["rows"] for side in ("source", "target")],
        "status": found["verdict"]["status"],
        **{way: found["after"][way]["top1"] for way in ("forward", "backward")},
        "seconds": round(seconds, 1),
        "report_bytes": [path.stat().st_size for path in reports],
    }


def _measure(python: str, wheel: Path, folder: Path) -> dict[str, Any]:
    """Return versions, bytes on disk and seconds of one clean environment with the core alone."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    own = folder / "bin" / "python"
    packages = _packages(own)
    before = _size(packages)
    subprocess.run([own, "-m", "pip", "install", "-qq", str(wheel)], check=True)
    base = _seconds(own, "import numpy, scipy")
    return {
        "python": _ask(own, "import platform; sys.stdout.write(platform.python_version())"),
        "install_bytes": _size(packages) - before,
        "wheel_bytes": wheel.stat().st_size,
        "py_typed": (packages / "interlingua" / "py.typed").is_file(),
        "doctor": json.loads(_run(folder, "doctor", "--json"))["ok"],
        "import_numpy_scipy_s": round(base, 3),
        "import_beyond_s": round(_seconds(own, "import numpy, scipy, interlingua") - base, 3),
    }


def _uv(folder: Path) -> Path:
    """Return uv in an environment of its own, which installs faster than pip."""
    tools = folder / "tools"
    if not tools.exists():
        subprocess.run([sys.executable, "-m", "venv", str(tools)], check=True)
        subprocess.run([tools / "bin" / "python", "-m", "pip", "install", "-qq", "uv"], check=True)
    return tools / "bin" / "uv"


def _packages(python: Path) -> Path:
    return Path(_ask(python, "import sysconfig; sys.stdout.write(sysconfig.get_path('purelib'))"))


def _pins() -> list[str]:
    """Return the pinned versions; of torch, other builds bring gigabytes of accelerator packages."""
    return (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines(keepends=True)


def _clean() -> dict[str, str]:
    """Return the environment variables without those that lead Python to another copy of the package."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _run(folder: Path, *words: str) -> str:
    done = subprocess.run([folder / "bin" / "interlingua", *words], cwd=folder, env=_clean(), text=True,
                          capture_output=True, check=False)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"interlingua {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def _ask(python: Path, code: str) -> str:
    return subprocess.check_output([python, "-c", f"import sys; {code}"], text=True, cwd="/", env=_clean())


def _seconds(python: Path, code: str) -> float:
    """Return the median wall seconds of a new interpreter that runs code, beyond one that runs nothing."""

    def once(text: str) -> float:
        started = time.perf_counter()
        subprocess.run([python, "-c", text], check=True, cwd="/", env=_clean())
        return time.perf_counter() - started

    once(code)  # fills the caches
    return statistics.median(once(code) for _ in range(_TIMES)) - statistics.median(once("") for _ in range(_TIMES))


def _files(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def _included(extra: str) -> list[str]:
    """Return the extra and those that it includes; the metadata of the wheel lists their packages only."""
    found = [extra]
    for needed in PROJECT["optional-dependencies"].get(extra, ()):
        name, _, extras = needed.partition("[")
        if name == PROJECT["name"]:
            found += [name for other in extras.rstrip("]").split(",") for name in _included(other)]
    return list(dict.fromkeys(found))


def _packed(wheel: Path, name: str) -> int:
    """Return the bytes that a file takes in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.getinfo(name).compress_size


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
