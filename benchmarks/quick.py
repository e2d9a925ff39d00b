"""Run the README's table again with one seed, as far as 15 minutes on two cores allow.

    python benchmarks/quick.py --data ../shared/data --vectors DIR

Runs every method on BGE to MiniLM with 4,398 rows per side, and on the other columns the fits that took at most a
minute when they were recorded. The fits of interlingua come first and the two longest fits last. A fit that would not
end within ``--minutes`` is left out: its time is estimated from its recorded processor seconds and from the pace of
the fits that have ended. Prints the table of this run above the recorded one; a dash stands for a cell that was left
out. Columns whose vectors are missing are left out too. Everything left out is named. ``--vectors`` holds what
``encode.py`` wrote.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import peers
from records import read_records

HERE = Path(__file__).resolve().parent
RECORDED = HERE / "results" / "peers.jsonl"
SEED = 0
# In recorded seconds: the slowest fit that runs on the later columns, and the time from which fits run last.
SLOWEST, LONG = 60, 120


def recorded() -> list[dict[str, Any]]:
    """Return the records behind the README's table."""
    return read_records(RECORDED)


def cells(records: list[dict[str, Any]]) -> dict[str, float]:
    """Return the keys of the fits in the order in which they run, with their recorded processor seconds."""
    first, *others = peers.COLUMNS.values()
    found = []
    for r in records:
        if r["seed"] != SEED or r["method"] not in peers.NAMES or "seconds" not in r:
            continue
        column = r["case"], r["n"]
        if column == first or (column in others and r["seconds"] <= SLOWEST):
            order = r["method"] != "linear", r["seconds"] > LONG, column != first, r["seconds"]
            found.append((order, r["key"], r["seconds"]))
    return {key: seconds for _, key, seconds in sorted(found)}


def missing_vectors(key: str, data: Path, vectors: Path) -> list[Path]:
    """Return the files of vectors that the case of a key needs and that do not exist."""
    name, _, size, _ = key.rsplit("/", 3)
    case = next(c for c in peers.cases(range(SEED, SEED + 1)) if (c.name, str(c.n)) == (name, size))
    spaces = {case.source, (case.source[0], case.target[1]), case.target}
    files = [
        data / "spaces" / f"beir-queries.{encoder}.npy" if corpus == "beir" else vectors / f"{corpus}.{encoder}.npy"
        for corpus, encoder in sorted(spaces)
    ]
    return [path for path in files if not path.is_file()]


def _number(text: str, kind: type[Any], least: int) -> Any:
    """Return a number of an argument.

    Raises:
        argparse.ArgumentTypeError: it is not a number of this kind, not finite, or below the least.
    """
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not least <= number < np.inf:
        what = "whole" if kind is int else "finite"
        raise argparse.ArgumentTypeError(f"{text!r} was given; a {what} number of at least {least} is needed")
    return number


def main() -> None:
    """Run the fits, two at a time, until the time is used, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--jobs", type=lambda t: _number(t, int, 1), default=2, help="fits at a time, one thread each")
    of_time = "leave out fits that would end later (default 15)"
    parser.add_argument("--minutes", type=lambda t: _number(t, float, 0), default=15, help=of_time)
    parser.add_argument("--only", default="", help="only fits whose key contains this")
    arguments = parser.parse_args()
    arguments.seeds = f"{SEED}:{SEED + 1}"
    keys, absent, costs = [], {}, cells(recorded())
    for key in costs:
        lacking = missing_vectors(key, arguments.data, arguments.vectors)
        if lacking:
            absent |= dict.fromkeys(lacking)
        elif arguments.only in key:
            keys.append(key)
    if not any(arguments.only in key for key in costs):
        sys.exit(f"--only is {arguments.only!r}, which no key of a fit contains; keys are such as {next(iter(costs))}.")
    for path in absent:
        sys.stderr.write(f"left out what needs {path}\n")
    if not keys:
        sys.exit("There are no vectors to run on. benchmarks/README.md says where they come from.")
    started = time.perf_counter()
    ended: list[tuple[float, float]] = []

    def run(key: str) -> dict[str, Any]:
        name, method, size, seed = key.rsplit("/", 3)
        record = {"key": key, "case": name, "method": method, "n": int(size), "seed": int(seed)}
        begun = time.perf_counter()
        left = arguments.minutes * 60 - (begun - started)
        taken, as_recorded = np.sum([(1.0, 1.0), *ended], axis=0)
        if left < (estimate := costs[key] * taken / as_recorded):
            record["skipped"] = f"left out: about {estimate:.0f} s, and {max(left, 0):.0f} s are left"
        else:
            record |= peers.fit(key, argparse.Namespace(**vars(arguments), limit=left))
            ended.append((time.perf_counter() - begun, costs[key]))
        sys.stderr.write(f"{key}: {record.get('skipped') or round(record['forward']['top1'], 3)}\n")
        return record

    with ThreadPoolExecutor(arguments.jobs) as pool:
        records = list(pool.map(run, keys))
    minutes = (time.perf_counter() - started) / 60
    sys.stdout.write(f"This run, seed {SEED}, {minutes:.1f} minutes:\n\n{peers.summary(records)}\n\n")
    sys.stdout.write(f"Recorded:\n\n{peers.summary(recorded())}\n")


if __name__ == "__main__":
    main()
