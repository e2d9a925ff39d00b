"""Wheel size, install size and import time in clean environments: results/release.json.

python benchmarks/release.py python3.11 python3.12 python3.13
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "release.json"
_TIMES = 9


def main(pythons: list[str]) -> None:
    """Build the wheel, install it for each interpreter, measure, and write the file."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        build = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "-w", folder, str(REPOSITORY)]
        subprocess.run(build, check=True)
        wheel = next(here.glob("*.whl"))
        found = [_measure(python, wheel, here / f"env-{i}") for i, python in enumerate(pythons)]
        record = {"wheel": wheel.name, "wheel_bytes": wheel.stat().st_size, "environments": found}
    RESULTS.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def _measure(python: str, wheel: Path, folder: Path) -> dict[str, Any]:
    """Return versions, bytes on disk and seconds of one clean environment with the core alone."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    own = folder / "bin" / "python"
    packages = Path(_ask(own, "import sysconfig; sys.stdout.write(sysconfig.get_path('purelib'))"))
    before = _size(packages)
    subprocess.run([own, "-m", "pip", "install", "-qq", str(wheel)], check=True)
    base = _seconds(own, "import numpy, scipy")
    return {
        "python": _ask(own, "import platform; sys.stdout.write(platform.python_version())"),
        "install_bytes": _size(packages) - before,
        "py_typed": (packages / "interlingua" / "py.typed").is_file(),
        "doctor": json.loads(subprocess.check_output([folder / "bin" / "interlingua", "doctor", "--json"]))["ok"],
        "import_numpy_scipy_s": round(base, 3),
        "import_beyond_s": round(_seconds(own, "import numpy, scipy, interlingua") - base, 3),
    }


def _ask(python: Path, code: str) -> str:
    return subprocess.check_output([python, "-c", f"import sys; {code}"], text=True, cwd="/")


def _seconds(python: Path, code: str) -> float:
    """Return the median wall time of a fresh process; the first, which writes bytecode, does not count."""
    times = []
    for _ in range(_TIMES + 1):
        start = time.perf_counter()
        _ask(python, code)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main(sys.argv[1:] or [sys.executable])
