"""Time and memory of fits by rows and widths, beside the speed of the machine: the rates of ``interlingua plan``.

    nice python benchmarks/fit_costs.py --vectors DIR --data ../shared/data

A case is a fit by the method ``linear`` of disjoint texts under two encoders, or of planted vectors of ``large.py``
where no encoder is as wide, and a fit on pairs of the same texts (``ridge``). ``units`` are the processor seconds of
the fit divided by those of the work of `interlingua._costs.measure_speed` on one core, which is measured right before
and after it in the same process: other work on the machine slows both. ``--vectors`` holds what ``encode.py`` wrote.
A case that is called planned writes the vectors to files, runs `interlingua.plan` on them, and then fits the same
rows: ``planned`` is what the plan said before the fit, in seconds of wall time, as are ``seconds``. ``--only planned``
runs these cases, which need no encoder. Each case runs in a process of its own. Appends to
benchmarks/results/fit-costs.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from large import plant, processor_name
from records import append, read_records

import interlingua as il
from interlingua._costs import REPEATS, Speed, estimate_fit, make_work, measure_speed
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import single_threaded_blas

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "fit-costs.jsonl"
BEIR = ("bge-base-en-v1.5", "all-MiniLM-L6-v2")
# Corpora whose rows are pooled, so that the largest cases have enough of them.
CORPORA = ("nq-open", "opentriviaqa", "clickbait", "wiki-split", "medquad")
# Spaces, and rows of the source and of the target.
UNPAIRED = (
    *(("beir", n, n) for n in (1_000, 2_000, 5_000)),
    *(("use:wordllama", n, n) for n in (2_000, 5_000, 10_000, 20_000)),
    *(("use:wordllama", n, m) for n, m in ((20_000, 5_000), (5_000, 20_000))),
    ("planted:3072", 5_000, 5_000),
    ("planted:1024", 20_000, 20_000),
    ("use:minilm", 5_000, 5_000),
)
PLANNED = (("beir", 2_000), ("beir", 5_000), ("planted:768", 10_000))
PAIRED = (("beir", 5_000), ("use:wordllama", 5_000), ("planted:3072", 5_000))


def pooled(folder: Path, encoder: str) -> FloatArray:
    """Return the rows of all corpora under one encoder, in one fixed random order."""
    rows = np.concatenate([np.load(folder / f"{corpus}.{encoder}.npy") for corpus in CORPORA])
    return rows[np.random.default_rng(0).permutation(len(rows))].astype(np.float32)


def whole_spaces(spaces: str, n: int, data: Path, vectors: Path) -> tuple[FloatArray, FloatArray]:
    """Return rows of both sides, which are pairs; of planted vectors exactly n."""
    if spaces.startswith("planted"):
        with tempfile.TemporaryDirectory() as folder:
            width = int(spaces.partition(":")[2])
            x, y = plant(Path(folder), data, 1, (width, width), held=n)
        return x.astype(np.float32), y.astype(np.float32)
    if spaces != "beir":
        x, y = (pooled(vectors, name) for name in spaces.split(":"))
        return x, y
    x, y = (np.load(data / "spaces" / f"beir-queries.{name}.npy").astype(np.float32) for name in BEIR)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order], y[order]


def measure(spaces: str, n: int, m: int, method: str, data: Path, vectors: Path) -> dict[str, Any]:
    """Fit once, and measure the speed before and after; the method ``planned`` is ``linear`` after a plan."""
    x, y = whole_spaces(spaces, n if method == "ridge" else n + m, data, vectors)
    options: dict[str, Any] = {}
    if method == "ridge":
        y, options = y[:n], {"pairs": np.stack([np.arange(n)] * 2, axis=1)}
    else:
        y = y[n : n + m]
    x = x[:n]
    if (len(x), len(y)) != (n, m):
        raise SystemExit(f"{spaces} has {len(x)} and {len(y)} rows where {n} and {m} are needed")
    planned: dict[str, Any] = {}
    if method == "planned":
        method, planned = "linear", {"planned": plan_fit(x, y)}
    before = measure_work()
    cpu, start = time.process_time(), time.perf_counter()
    alignment = il.align(x, y, method=method, seed=0, **options)
    seconds, processor = time.perf_counter() - start, time.process_time() - cpu
    after = measure_work()
    return {
        "spaces": spaces,
        "method": method,
        "rows": [n, m],
        "d": [x.shape[1], y.shape[1]],
        "status": alignment.verdict.status,
        **planned,
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "speed": [before, after],
        "units": round(2 * processor / (before["processor"] + after["processor"]), 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "machine": {"cores": os.cpu_count(), "processor": processor_name()},
        "load": round(os.getloadavg()[0], 1),
    }


def plan_fit(x: FloatArray, y: FloatArray) -> dict[str, float]:
    """Return the seconds and the bytes that a plan of these vectors in files states for an unpaired fit."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("source.npy", "target.npy")]
        for path, rows in zip(paths, (x, y), strict=True):
            np.save(path, rows)
        costs = il.plan(*map(str, paths)).costs
    if costs is None:
        raise SystemExit("the plan has no fit")
    return {"seconds": costs.fit_seconds, "failed_seconds": costs.failed_fit_seconds, "bytes": costs.fit_bytes}


def measure_work() -> dict[str, float]:
    """Return the seconds of a fixed piece of work on all cores, and its processor seconds on one; medians."""
    find, parts = make_work()
    times = []
    with single_threaded_blas():
        for _ in range(REPEATS):
            start = time.process_time()
            for part in parts:
                find(part)
            times.append(time.process_time() - start)
    return {"parallel": measure_speed().parallel, "processor": float(np.median(times))}


def pending(done: set[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield key and arguments of each case that has no record."""
    cases = [(*case, "linear") for case in UNPAIRED] + [(spaces, n, n, "ridge") for spaces, n in PAIRED]
    cases += [(spaces, n, n, "planned") for spaces, n in PLANNED]
    for spaces, n, m, method in cases:
        key = f"{spaces}, {n} and {m} rows, {method}"
        if key not in done:
            yield key, (spaces, str(n), str(m), method)


def _setting(record: dict[str, Any]) -> tuple[str, str, str]:
    """Return the cells of a record that both tables have: rows a side, columns and verdict."""
    rows = " and ".join(f"{rows:,}" for rows in dict.fromkeys(record["rows"]))
    return rows, " to ".join(f"{d:,}" for d in record["d"]), record["status"]


def table(records: list[dict[str, Any]]) -> str:
    """Return recorded costs beside those that `interlingua plan` estimates for the mean load before and after a fit."""
    lines = [
        "| fit | rows a side | columns | verdict | seconds | estimate | processor seconds | memory, MB | estimate |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for r in sorted((r for r in records if "planned" not in r), key=lambda r: (r["method"], r["rows"], r["d"])):
        costs = estimate_fit(tuple(r["rows"]), tuple(r["d"]), mean_speed(r))
        paired = r["method"] == "ridge"
        unpaired = costs.seconds if r["status"] == "aligned" else costs.failed_seconds
        cells = (
            "on pairs" if paired else "unpaired",
            *_setting(r),
            f"{r['seconds']:,.0f}",
            f"{costs.paired_seconds if paired else unpaired:,.0f}",
            f"{r['processor_seconds']:,.0f}",
            f"{r['peak_mb']:,}",
            "" if paired else f"{costs.memory / 2**20:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def planned_table(records: list[dict[str, Any]]) -> str:
    """Return what plans said right before fits beside what these took, with a sentence on the range."""
    lines = [
        "| vectors | rows a side | columns | verdict | plan, seconds | fit, seconds | fit / plan | processor seconds |",
        "|---|--:|--:|---|--:|--:|--:|--:|",
    ]
    planned = sorted((r for r in records if "planned" in r), key=lambda r: r["rows"])
    ratios = [r["seconds"] / planned_seconds(r) for r in planned]
    for r, ratio in zip(planned, ratios, strict=True):
        cells = (
            "planted" if r["spaces"].startswith("planted") else "search questions",
            *_setting(r),
            f"{planned_seconds(r):,.0f}",
            f"{r['seconds']:,.0f}",
            f"{ratio:.2f}",
            f"{r['processor_seconds']:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Plans of {len(planned)} fits, made right before them in the same process: the fits took {min(ratios):.2f} to "
        f"{max(ratios):.2f} times as long. An estimate holds for the other work on the machine at that moment, which "
        f"varied: the fixed piece of work took up to {max(map(change_of_speed, planned)):.1f} times as long after a "
        "fit as before it.",
    ]
    return "\n".join(lines)


def planned_seconds(record: dict[str, Any]) -> float:
    """Return the seconds that a plan stated for a fit that ended as the recorded one did."""
    return float(record["planned"]["seconds" if record["status"] == "aligned" else "failed_seconds"])


def change_of_speed(record: dict[str, Any]) -> float:
    """Return how many times as long the fixed piece of work took after a fit as before it."""
    before, after = (speed["parallel"] for speed in record["speed"])
    return float(after / before)


def mean_speed(record: dict[str, Any]) -> Speed:
    """Return the mean of the speeds before and after a fit."""
    return Speed(sum(speed["parallel"] for speed in record["speed"]) / len(record["speed"]))


def main() -> None:
    """Measure what is not in the output yet, each case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        spaces, n, m, method = arguments.case
        record = measure(spaces, int(n), int(m), method, arguments.data, arguments.vectors)
        sys.stdout.write(json.dumps(record) + "\n")
        return
    done = {record["key"] for record in read_records(OUT)}
    for key, case in pending(done):
        if arguments.only in key:
            common = ("--data", str(arguments.data), "--vectors", str(arguments.vectors))
            words = [sys.executable, __file__, *common, "--case", *case]
            ended = subprocess.run(words, stdout=subprocess.PIPE, text=True)
            if ended.returncode:
                sys.stderr.write(f"{key}: left out, the process ended with {ended.returncode}\n")
                continue
            record = {"key": key, **json.loads(ended.stdout.splitlines()[-1])}
            append(OUT, [record])
            sys.stderr.write(f"{key}: {record['seconds']} s, {record['units']} units, {record['status']}\n")


if __name__ == "__main__":
    main()
