"""Print tables of the fits and of the verdict from the raw results: ``python benchmarks/tables.py``."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from grid import RELATIVES
from records import read_records

from interlingua.aligners.verdict import EXCESS_LIMITS, RETRIEVAL_LIMITS, refit_limits, start_limits

RESULTS = Path(__file__).resolve().parent / "results"
# A fit is good where it finds at least half of the held-out texts first and no group of texts of this share is in the
# wrong place, and failed where it finds under a tenth.
GOOD, BAD, MISPLACED = 0.5, 0.1, 0.05
_SUITES = ("beir", "baselines", "pairs", "domains", "nulls", "planted")
# Fits of the same cases after a change of the method.
_AGAIN = ("exchanges", "polish")


def load(suites: tuple[str, ...] = _SUITES) -> list[dict[str, Any]]:
    """Return the records of all fits."""
    return [record for suite in suites for record in read_records(RESULTS / f"{suite}.jsonl")]


def judged() -> list[dict[str, Any]]:
    """Return the records of all fits, those again after a change of the method, and those of the grid of encoders."""
    cells = [{"case": cell["key"], "method": "linear", **cell} for cell in load(("grid",))]
    return load() + load(_AGAIN) + cells


def summary(records: list[dict[str, Any]]) -> str:
    """Return Markdown rows, one per case, method and size, worst seed beside the median; verdicts by today's limits."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for r in records:
        groups[r["case"], r["method"], r["n_source"]].append(r)
    lines = [
        "| case | method | rows per side | seeds | top-1 forward (worst) | top-1 backward (worst) "
        "| mean rank f / b (worst) | centered cosine f / b | seconds | verdicts |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    for (case, method, n), rs in groups.items():
        f, b = (
            {k: np.array([r[direction][k] for r in rs]) for k in ("top1", "mean_rank", "cosine_centered")}
            for direction in ("forward", "backward")
        )
        verdicts = [_judged(r) if method == "linear" else r["verdict"]["status"] for r in rs]
        lines.append(
            f"| {case.replace('|', 'to')} | {method} | {n:,} | {len(rs)} "
            f"| {np.median(f['top1']):.3f} ({f['top1'].min():.3f}) "
            f"| {np.median(b['top1']):.3f} ({b['top1'].min():.3f}) "
            f"| {np.median(f['mean_rank']):.2f} / {np.median(b['mean_rank']):.2f} "
            f"({max(f['mean_rank'].max(), b['mean_rank'].max()):.2f}) "
            f"| {np.median(f['cosine_centered']):.3f} / {np.median(b['cosine_centered']):.3f} "
            f"| {np.median([r['seconds'] for r in rs]):.0f} | {_counts(verdicts)} |"
        )
    return "\n".join(lines)


def overview(records: list[dict[str, Any]]) -> str:
    """Return a short table of the linear method: the range of top-1 over the cases, seeds and directions of a row."""
    lines = ["| case | rows per side | fits | top-1, lowest to highest | verdicts |", "|---|--:|--:|--:|---|"]
    for name, belongs in _OVERVIEW.items():
        group = [r for r in records if r["method"] == "linear" and belongs(r)]
        top1 = [r[direction]["top1"] for r in group for direction in ("forward", "backward")]
        rows = sorted({r["n_source"] for r in group})
        shown = f"{rows[0]:,}" if len(rows) == 1 else f"{rows[0]:,} to {rows[-1]:,}"
        verdicts = _counts([_judged(r) for r in group])
        lines.append(f"| {name} | {shown} | {len(group)} | {min(top1):.2f} to {max(top1):.2f} | {verdicts} |")
    return "\n".join(lines)


def _counts(verdicts: list[str]) -> str:
    return ", ".join(f"{verdicts.count(s)} {s}" for s in ("aligned", "doubtful", "failed") if s in verdicts)


def _bge(rows: int) -> Callable[[dict[str, Any]], bool]:
    return lambda r: r["case"] == "bge -> minilm" and r["n_source"] == rows


def _pair(pair: str, *corpora: str) -> Callable[[dict[str, Any]], bool]:
    return lambda r: r["case"] in {f"{corpus}: {pair}" for corpus in corpora}


def _null(*names: str, rows: int) -> Callable[[dict[str, Any]], bool]:
    return lambda r: r["case"] in {f"{name}, n={rows}" for name in names}


_GENERAL = ("clickbait", "nq-open", "wiki-split")
_OVERVIEW: dict[str, Callable[[dict[str, Any]], bool]] = {
    "BGE (768) to MiniLM (384), search questions": _bge(4398),
    "BGE to MiniLM, 2,000 rows": _bge(2000),
    "BGE to MiniLM, 1,000 rows": _bge(1000),
    "MiniLM to Model2Vec (256): headlines, questions, encyclopedia": _pair("minilm -> model2vec", *_GENERAL),
    "MiniLM to Model2Vec: package descriptions": _pair("minilm -> model2vec", "debian"),
    "MiniLM to Model2Vec: medical questions": _pair("minilm -> model2vec", "medquad"),
    "Universal Sentence Encoder (512) to MiniLM: five corpora": _pair("use -> minilm", *_GENERAL, "medquad", "debian"),
    "Universal Sentence Encoder to WordLlama (256): package descriptions": _pair("use -> wordllama", "debian"),
    "Universal Sentence Encoder to WordLlama: questions, encyclopedia, medical": _pair(
        "use -> wordllama", "nq-open", "wiki-split", "medquad"
    ),
    "Universal Sentence Encoder to WordLlama: headlines": _pair("use -> wordllama", "clickbait"),
    "medical notes, any of these pairs": lambda r: r["case"].startswith("mtsamples: "),
    "MiniLM under a secret rotation or permutation": _null("rotation", "noisy rotation", "permutation", rows=4398),
    "rotation or permutation, 1,000 rows": _null("rotation", "noisy rotation", "permutation", rows=1000),
    "source and target from different corpora": lambda r: " | " in r["case"],
    "target shuffled, or Gaussian of the same covariance": lambda r: r["case"].startswith(("shuffled", "gaussian")),
}


def confusion(records: list[dict[str, Any]]) -> str:
    """Return the verdict's confusion table over fits of the linear method, judged by the limits of this version."""
    table: dict[str, dict[str, int]] = {k: dict.fromkeys(("aligned", "doubtful", "failed"), 0) for k in _KINDS}
    for r in records:
        if r["method"] == "linear":
            table[_kind(r)][_judged(r)] += 1
    lines = ["| truth | aligned | doubtful | failed |", "|---|--:|--:|--:|"]
    lines += [f"| {kind} | {' | '.join(map(str, row.values()))} |" for kind, row in table.items()]
    return "\n".join(lines)


_KINDS = (f"good (top-1 at least {GOOD})", "partial", f"bad (top-1 under {BAD})")


def grid_summary() -> str:
    """Return in sentences how many fits between encoders of the same corpus are right, and how many are aligned."""
    fits = [r for r in judged() if r.get("corpora") and r["corpora"][0] == r["corpora"][1]]
    right = [r for r in fits if _kind(r) == _KINDS[0]]
    aligned = [_judged(r) for r in right].count("aligned")
    others = [r["forward"]["top1"] for r in fits if _kind(r) != _KINDS[0] and _judged(r) == "aligned"]
    reached = sum(r["forward"]["top1"] >= 0.9 * r["fixed_point"]["top1"] for r in fits)
    return (
        f"With the same corpus on both sides, {len(right)} of {len(fits)} fits find at least half of the held-out "
        "texts in both directions and have no group of texts in the wrong place; "
        f"{aligned} of these are aligned, and so are {len(others)} others, with a top-1 of {min(others):.2f} to "
        f"{max(others):.2f}. {reached} fits reach nine tenths of what refinement makes of the right map; in the "
        "others the search fails."
    )


def reach_summary() -> str:
    """Return in sentences what a search can reach where the target's texts are of another corpus, and what it does."""
    cells = load(("grid", "grid-fixed-points"))
    points = {r["key"]: r for r in cells if r["corpora"][0] != r["corpora"][1]}
    high = {key: r for key, r in points.items() if r["fixed_point"]["top1"] >= GOOD}
    fits = [r for r in load(("grid",)) if r["key"] in high]
    solved = sum(_kind(r) == _KINDS[0] for r in fits)
    related = sum(RELATIVES.issuperset(r["encoders"]) for r in high.values())
    which = "all" if related == len(high) else str(related)
    return (
        f"With texts of another corpus on the target's side, what refinement makes of the right map was measured in "
        f"{len(points)} of 120 cells. It finds half of the held-out texts in {len(high)}, {which} of them between two "
        f"of the relatives MiniLM, paraphrase-MiniLM and Model2Vec. In the other {len(points) - len(high)}, no search "
        f"can find half. The fast search was run in {len(fits)} of the {len(high)} and solves {solved}."
    )


def _kind(record: dict[str, Any]) -> str:
    top1 = min(record["forward"]["top1"], record["backward"]["top1"])
    placed = (record.get("misplaced_share") or 0.0) < MISPLACED
    return _KINDS[0] if top1 >= GOOD and placed else _KINDS[2] if top1 < BAD else _KINDS[1]


def _judged(record: dict[str, Any]) -> str:
    """Return the verdict on the recorded evidence."""
    excess = next(e["value"] for e in record["verdict"]["evidence"] if e["name"] == "transport_excess")
    fixed = {
        "transport_excess": EXCESS_LIMITS,
        "start_agreement": start_limits(min(record["n_source"], record["n_target"]), excess),
        "self_retrieval": RETRIEVAL_LIMITS,
    }
    missed = False
    for e in record["verdict"]["evidence"]:
        refit = e["name"] in ("refit_agreement", "cycle")
        limits = refit_limits(e["null"]) if refit else fixed.get(e["name"])
        if e["value"] < limits[1] if limits else not e["passed"]:
            return "failed"
        missed |= limits is not None and e["value"] < limits[0]
    return "doubtful" if missed else "aligned"


def _held_out(record: dict[str, Any]) -> bool:
    """Tell whether the limits of the verdict were chosen without a look at this record."""
    return bool(record["seed"] >= (20 if record["case"].startswith("bge") else 1))


def main() -> None:
    """Print all tables: an overview, the fits, the verdict on all of them, and on those that came after its limits."""
    records, every = load(), judged()
    later = [r for r in every if _held_out(r)]
    sys.stdout.write(f"{overview(records)}\n\n{summary(records)}\n\n{confusion(every)}\n\n{confusion(later)}\n")


if __name__ == "__main__":
    main()
