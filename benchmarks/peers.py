"""Every unpaired method on the same rows in one run; one JSON line per fit, each in a process of its own.

    python benchmarks/peers.py --data ../shared/data --vectors DIR --seeds 0:3

Cases: BGE to MiniLM on queries at several sizes, a pair on package descriptions, and two domains that differ.
Every fit runs on one thread, and its time is processor time, which too can double on a busy machine.
A method that takes longer than ``--limit`` seconds is stopped and its cell says so. `mini-vec2vec` from the package
index is run too where it installs (Python 3.12 or later). Give shares of the cases to processes with ``--only`` and an
``--out`` each; ``--table`` reads several.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from fits import BEIR, POOL, Case, rows
from records import append, read_records, run_alone, seed_range

from interlingua.aligners import Problem, create_aligner
from interlingua.aligners.base import ignore_step
from interlingua.core.arrays import FloatArray
from interlingua.evaluation import evaluate

HERE = Path(__file__).resolve().parent
# Those that train get what one thread can do in minutes; their own budgets are hours to days of a GPU.
METHODS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mini-vec2vec": {},
    "centroids": {},
    "self-learning": {},
    "adversarial-rotation": {"epochs": 3, "epoch_rows": 20_000, "discriminator_width": 512},
    "adversarial": {"start": "cold", "preset": "small", "steps": 2_000},
    "gromov": {},
    "mini-vec2vec (package)": {},
    "random-rotation": {},
}

# The table of the README: its columns, and what it calls the methods.
COLUMNS = {
    "BGE to MiniLM, 4,398": ("beir: bge -> minilm", 4398),
    "2,000": ("beir: bge -> minilm", 2000),
    "1,000": ("beir: bge -> minilm", 1000),
    "MiniLM to Model2Vec, 5,000": ("debian: minilm -> model2vec", 5000),
    "other domain, 4,976": ("nq-open | clickbait: minilm -> model2vec", 4976),
}
NAMES = {
    "linear": "interlingua",
    "mini-vec2vec": "mini-vec2vec, our implementation",
    "centroids": "centroid consensus (Rosetta family)",
    "self-learning": "self-learning (VecMap's)",
    "adversarial-rotation": "adversarial rotation (MUSE's), short training",
    "adversarial": "vec2vec's networks, cold start, 2,000 steps",
    "gromov": "Gromov-Wasserstein",
}


# How the documentation calls the cases.
TITLES = {
    "beir: bge -> minilm": "search questions, BGE to MiniLM",
    "debian: minilm -> model2vec": "package descriptions, MiniLM to Model2Vec",
    "nq-open | clickbait: minilm -> model2vec": "questions to headlines, MiniLM to Model2Vec",
}


class Ways:
    """Two functions with the methods of a translator."""

    def __init__(self, there: Any, back: Any) -> None:
        self.translate, self.invert = there, back


def cases(seeds: range) -> list[Case]:
    """Return what every method is asked."""
    found = []
    for s in seeds:
        found += [
            Case("beir: bge -> minilm", s, n, "", ("beir", BEIR[0]), ("beir", BEIR[1])) for n in (4398, 2000, 1000)
        ]
        found.append(Case("debian: minilm -> model2vec", s, 5000, "", ("debian", "minilm"), ("debian", "model2vec")))
        found.append(Case("nq-open | clickbait: minilm -> model2vec", s, 4976, "", ("nq-open", "minilm"),
                          ("clickbait", "model2vec")))  # fmt: skip
    return found


def one(method: str, case: Case, data: Path, folder: Path) -> dict[str, Any]:
    """Fit in this process and measure on held-out pairs."""
    x, y, x_held, y_held = rows(case, data, folder)
    started = time.process_time()
    if method == "mini-vec2vec (package)":
        from mini_vec2vec import MiniVec2Vec

        solvers = MiniVec2Vec(), MiniVec2Vec()
        for solver, sides in zip(solvers, ((x, y), (y, x)), strict=True):
            solver.fit(*sides, random_seed=case.seed, verbose=False)
        there, back = (solver.transform for solver in solvers)
    else:  # a method that computes its own verdict, as ours does, is charged for it
        fit = create_aligner(method, **METHODS[method]).fit(Problem.of(x, y), seed=case.seed, on_step=ignore_step)
        there, back = fit.forward, fit.backward
    seconds = time.process_time() - started
    return {"seconds": seconds, "peak_mb": peak_mb(), **scores_of(there, back, x_held, y_held)}


def scores_of(there: Any, back: Any, x_held: FloatArray, y_held: FloatArray) -> dict[str, dict[str, float]]:
    """Return the scores of two maps on held-out pairs."""
    scores = evaluate(Ways(there, back), x_held, y_held, pool=POOL, bootstrap=0).to_dict()
    keep = ("top1", "mean_rank", "cosine", "cosine_centered")
    return {way: {k: scores[way][k] for k in keep} for way in ("forward", "backward")}


def peak_mb() -> int:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def table(records: list[dict[str, Any]]) -> str:
    """Return Markdown: median (worst) top-1 forward by case and method, seconds and peak memory."""
    lines = ["| case | rows | method | seeds | top-1 (worst) | mean rank (worst) | seconds | peak MB |",
             "|---|--:|---|--:|--:|--:|--:|--:|"]  # fmt: skip
    for key in dict.fromkeys((r["case"], r["n"], r["method"]) for r in records):
        same = [r for r in records if (r["case"], r["n"], r["method"]) == key]
        name = TITLES[key[0]]
        fits = [r for r in same if "forward" in r]
        if not fits:
            skipped = same[0]["skipped"]
            why = "refuses unequal widths" if "mismatch in its core dimension" in skipped else skipped
            lines.append(f"| {name} | {key[1]:,} | {key[2]} | {len(same)} | {why} | | | |")
            continue
        top1, rank = ([r["forward"][k] for r in fits] for k in ("top1", "mean_rank"))
        lines.append(
            f"| {name} | {key[1]:,} | {key[2]} | {len(fits)} | {np.median(top1):.3f} ({min(top1):.3f}) "
            f"| {np.median(rank):.1f} ({max(rank):.1f}) | {np.median([r['seconds'] for r in fits]):.0f} "
            f"| {max(r['peak_mb'] for r in fits):,} |"
        )
    return "\n".join(lines)


def summary(records: list[dict[str, Any]]) -> str:
    """Return the README's table: median top-1, a star for one seed, a dash for none; seconds of the first case."""
    lines = [f"| | {' | '.join(COLUMNS)} | seconds |", "|---" + "|--:" * (len(COLUMNS) + 1) + "|"]
    for method, name in NAMES.items():
        cells = []
        for case in COLUMNS.values():
            top1 = [r["forward"]["top1"] for r in _fits(records, method) if (r["case"], r["n"]) == case]
            cells.append(f"{np.median(top1):.3f}{'*' if len(top1) == 1 else ''}" if top1 else "–")
        first = next(iter(COLUMNS.values()))
        times = [r["seconds"] for r in _fits(records, method) if (r["case"], r["n"]) == first]
        lines.append(f"| {name} | {' | '.join(cells)} | {f'{np.median(times):.0f}' if times else '–'} |")
    return "\n".join(lines)


def _fits(records: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [r for r in records if r["method"] == method and "forward" in r]


def costs(records: list[dict[str, Any]], path: Path) -> None:
    """Draw top-1, seconds and peak memory of every fit by method, one dot per seed; a ring marks the worst."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    methods = [*NAMES, "random-rotation"]
    panels = {"top-1": lambda r: r["forward"]["top1"], "processor seconds": lambda r: r["seconds"],
              "peak memory, MB": lambda r: r["peak_mb"]}  # fmt: skip
    figure, axes = plt.subplots(1, 3, figsize=(9.5, 4.6), sharey=True)
    for panel, (label, value) in zip(axes, panels.items(), strict=True):
        for i, (name, case) in enumerate(COLUMNS.items()):
            for j, method in enumerate(methods):
                found = [value(r) for r in _fits(records, method) if (r["case"], r["n"]) == case]
                height = [-j + 0.15 * (2 - i)] * len(found)
                shown = name if name.startswith(("BGE", "MiniLM", "other")) else f"BGE to MiniLM, {name}"
                panel.plot(found, height, "o", color=f"C{i}", ms=4, alpha=0.8, label=shown if not j else None)
                if label == "top-1" and found:
                    panel.plot(min(found), height[0], "o", ms=8, mfc="none", mec=f"C{i}")
        panel.set_xlabel(label)
    axes[0].set_xlim(-0.04, 1.04)
    axes[1].set_xscale("log")
    axes[2].set_xlim(left=0)
    axes[0].set_yticks([-j for j in range(len(methods))], ["interlingua", *methods[1:]])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper center", ncols=3, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 0.91))
    figure.savefig(path, transparent=True, metadata={"Date": None})
    plt.close(figure)


def picture(records: list[dict[str, Any]], path: Path) -> None:
    """Draw top-1 against rows for every method on queries, a dot per seed."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for method in METHODS:
        dots = [(r["n"], r["forward"]["top1"]) for r in _fits(records, method) if r["case"].startswith("beir")]
        if dots:
            sizes = sorted({n for n, _ in dots})
            (line,) = axes.plot(sizes, [np.median([t for n, t in dots if n == size]) for size in sizes],
                                label="interlingua" if method == "linear" else method)  # fmt: skip
            axes.plot(*zip(*dots, strict=True), "o", color=line.get_color(), alpha=0.5)
    axes.set(xscale="log", xlabel="rows per side", ylabel="top-1 of 2,048 held-out texts", ylim=(-0.03, 1.03))
    axes.set_xticks([1000, 2000, 4398], ["1,000", "2,000", "4,398"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, transparent=True, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Run what is not yet recorded, then print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "peers.jsonl")
    parser.add_argument(
        "--table", type=Path, nargs="*", help="only print the table of these files and draw the picture"
    )
    parser.add_argument("--seeds", default="0:3")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    parser.add_argument("--limit", type=float, default=1200, help="seconds per fit may take")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    wanted = {f"{c.name}/{method}/{c.n}/{c.seed}": (c, method)
              for c in cases(seed_range(arguments.seeds)) for method in METHODS}  # fmt: skip
    if arguments.one:
        case, method = wanted[arguments.one]
        sys.stdout.write("\n" + json.dumps(one(method, case, arguments.data, arguments.vectors)))
        return
    if arguments.table:
        records = [record for path in arguments.table for record in read_records(path)]
        sys.stdout.write(f"{summary(records)}\n\n{table(records)}\n")
        picture(records, HERE / "results" / "peers.svg")
        return
    records = read_records(arguments.out)
    for key, (case, method) in wanted.items():
        if any(r["key"] == key for r in records) or arguments.only not in key:
            continue
        record: dict[str, Any] = {"key": key, "case": case.name, "n": case.n, "seed": case.seed, "method": method}
        if "package" in method and importlib.util.find_spec("mini_vec2vec") is None:
            record["skipped"] = "not installed (needs Python 3.12)"
        else:
            record |= fit(key, arguments)
        records.append(record)
        append(arguments.out, [record])
        sys.stderr.write(f"{key}: {record.get('skipped') or (record['forward'], record['seconds'])}\n")
    sys.stdout.write(table(records) + "\n")
    picture(records, HERE / "results" / "peers.svg")


def fit(key: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one fit in a process of its own."""
    places = ("--data", str(arguments.data), "--vectors", str(arguments.vectors))
    try:
        done = run_alone(__file__, "--one", key, "--seeds", arguments.seeds, *places, limit=arguments.limit)
    except subprocess.TimeoutExpired:
        return {"skipped": f"stopped after {arguments.limit:.0f} s"}
    if done.returncode:
        return {"skipped": f"refused: {done.stderr.strip().splitlines()[-1]}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
