"""Print the tables of benchmarks/README.md from the raw results: ``python benchmarks/tables.py``."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.aligners.verify import EXCESS, START, refit_limits

RESULTS = Path(__file__).resolve().parent / "results"
# A fit is good where it finds at least half of the held-out texts first, and failed where it finds under a tenth.
GOOD, BAD = 0.5, 0.1
_SUITES = ("beir", "baselines", "pairs", "domains", "nulls", "planted")


def load() -> list[dict[str, Any]]:
    """Return the records of all fits."""
    files = (RESULTS / f"{suite}.jsonl" for suite in _SUITES)
    return [json.loads(line) for path in files if path.exists() for line in path.read_text().splitlines()]


def summary(records: list[dict[str, Any]]) -> str:
    """Return Markdown rows, one a case, method and size, worst seed beside the median."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for r in records:
        groups[r["case"], r["method"], r["n_source"]].append(r)
    lines = [
        "| case | method | rows a side | seeds | top-1 forward (worst) | top-1 backward (worst) "
        "| mean rank f / b (worst) | centred cosine f / b | seconds | verdicts |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for (case, method, n), rs in groups.items():
        f, b = (
            {k: np.array([r[way][k] for r in rs]) for k in ("top1", "mean_rank", "cosine_centred")}
            for way in ("forward", "backward")
        )
        verdicts = [r["verdict"]["status"] for r in rs]
        counts = ", ".join(f"{verdicts.count(s)} {s}" for s in ("aligned", "doubtful", "failed") if s in verdicts)
        lines.append(
            f"| {case} | {method} | {n:,} | {len(rs)} "
            f"| {np.median(f['top1']):.3f} ({f['top1'].min():.3f}) "
            f"| {np.median(b['top1']):.3f} ({b['top1'].min():.3f}) "
            f"| {np.median(f['mean_rank']):.2f} / {np.median(b['mean_rank']):.2f} "
            f"({max(f['mean_rank'].max(), b['mean_rank'].max()):.2f}) "
            f"| {np.median(f['cosine_centred']):.3f} / {np.median(b['cosine_centred']):.3f} "
            f"| {np.median([r['seconds'] for r in rs]):.0f} | {counts} |"
        )
    return "\n".join(lines)


def confusion(records: list[dict[str, Any]]) -> str:
    """Return the verdict's confusion table over all fits of the linear method, judged by the limits of this version."""
    table: dict[str, dict[str, int]] = {k: dict.fromkeys(("aligned", "doubtful", "failed"), 0) for k in _KINDS}
    for r in records:
        if r["method"] == "linear":
            table[_kind(r)][_judged(r)] += 1
    lines = ["| truth | aligned | doubtful | failed |", "|---|--:|--:|--:|"]
    lines += [f"| {kind} | {' | '.join(map(str, row.values()))} |" for kind, row in table.items()]
    return "\n".join(lines)


_KINDS = (f"good (top-1 at least {GOOD})", "partial", f"bad (top-1 under {BAD})")


def _kind(record: dict[str, Any]) -> str:
    top1 = min(record["forward"]["top1"], record["backward"]["top1"])
    return _KINDS[0] if top1 >= GOOD else _KINDS[2] if top1 < BAD else _KINDS[1]


def _judged(record: dict[str, Any]) -> str:
    """Return the verdict on the recorded evidence."""
    refit = refit_limits(min(record["n_source"], record["n_target"]))
    limits = {"transport_excess": EXCESS, "refit_agreement": refit, "cycle": refit, "start_agreement": START}
    evidence = record["verdict"]["evidence"]
    if any(e["value"] < limits[e["name"]][1] if e["name"] in limits else not e["passed"] for e in evidence):
        return "failed"
    return "doubtful" if any(e["value"] < limits[e["name"]][0] for e in evidence if e["name"] in limits) else "aligned"


def main() -> None:
    """Print both tables."""
    records = load()
    sys.stdout.write(f"{summary(records)}\n\n{confusion(records)}\n")


if __name__ == "__main__":
    main()
