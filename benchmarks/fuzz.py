"""Read damaged files of every kind for as long as wanted: truncated, flipped bits, hostile sizes, nested or bad text.

    python benchmarks/fuzz.py --files 5000
    python benchmarks/fuzz.py --files 100000 --kinds parquet npz

The files are those of tests/hostile/fuzzed.py, which says what must hold: a reader refuses a file with a sentence or
returns as many vectors as it announces; where a format has checksums, those that were written. Each kind is tried in a
process of its own with 1 GiB more than it needs for good files, and 10 seconds a file. A process that dies is reported
with the number of its file. Appends a line for each kind to benchmarks/results/fuzz.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from records import append

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "fuzz.jsonl"
SCRIPT = HERE.parent / "tests" / "hostile" / "fuzzed.py"


def tried(kind: str, first: int, files: int, seed: int) -> dict[str, Any]:
    """Try damaged files of one kind in a new process."""
    command = [sys.executable, str(SCRIPT), "--kinds", kind, "--first", str(first), "--files", str(files)]
    start = time.perf_counter()
    done = subprocess.run([*command, "--seed", str(seed)], capture_output=True, text=True, check=False)
    seconds = round(time.perf_counter() - start, 1)
    if done.returncode == 0:
        return {**json.loads(done.stdout), "seconds": seconds}
    last = done.stderr.strip().splitlines()[-1:] or [""]
    return {"kind": kind, "seed": seed, "first": first, "tried": files, "wrong": [f"exit {done.returncode}: {last[0]}"]}


def main() -> None:
    """Try damaged files of the kinds named."""
    sys.path.insert(0, str(SCRIPT.parents[1]))
    from hostile.fuzzed import good_files

    kinds = list(good_files())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--first", type=int, default=0, help="number of the first damaged file")
    parser.add_argument("--files", type=int, default=1_000, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    wrong = 0
    for kind in arguments.kinds:
        record = tried(kind, arguments.first, arguments.files, arguments.seed)
        append(OUT, [record])
        wrong += len(record["wrong"])
    if wrong:
        raise SystemExit(f"{wrong} files were neither refused nor read right.")


if __name__ == "__main__":
    main()
