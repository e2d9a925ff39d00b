"""The unpaired map beside optimal transport that knows both sides hold the same texts; one JSON line per case and seed.

    python benchmarks/oracles.py --data ../shared/data --vectors DIR

The oracles couple the held-out rows themselves; the map was fitted on other rows of which no two are the same text, and
is measured on the same held-out rows. ``naive`` leaves the vectors as they are, cut or filled to the other width.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from fits import BEIR, Case, rows
from records import append, read_records, seed_range

import interlingua as il
from interlingua.evaluation import evaluate
from interlingua.evaluation.oracles import ACROSS_WIDTHS, Oracle, match

POOL = 512
CORPORA = ("debian", "nq-open", "clickbait", "medquad")
PAIRS = (("minilm", "model2vec"), ("minilm", "use"), ("minilm", "wordllama"), ("minilm", "paraphrase"))


def cases(seeds: range) -> list[Case]:
    """Return MiniLM against every other encoder on four corpora, and BGE against MiniLM on queries."""
    found = []
    for s in seeds:
        found.append(Case("beir: bge -> minilm", s, 4398, "linear", ("beir", BEIR[0]), ("beir", BEIR[1])))
        found += [
            Case(f"{corpus}: {a} -> {b}", s, None, "linear", (corpus, a), (corpus, b))
            for corpus in CORPORA
            for a, b in PAIRS
        ]
    return found


def measure(case: Case, data: Path, folder: Path) -> dict[str, Any]:
    """Fit without pairs, couple with an oracle, and look at the same rows."""
    x, y, x_held, y_held = rows(case, data, folder)
    x_held, y_held = x_held[:POOL], y_held[:POOL]
    alignment = il.align(x, y, seed=case.seed)
    ways: dict[str, Any] = {}
    for name, translator in (
        ("linear", alignment.translator(force=True)),
        ("naive", il.align(x, y, method="identity", seed=case.seed).translator(force=True)),
    ):
        found = evaluate(translator, x_held, y_held, pool=POOL, bootstrap=0).to_dict()["forward"]
        ways[name] = {k: found[k] for k in ("top1", "mean_rank", "cosine", "cosine_centered")}
    usable = list(Oracle) if x.shape[1] == y.shape[1] else ACROSS_WIDTHS
    for oracle in usable:
        started = time.perf_counter()
        ways[oracle] = match(x_held, y_held, oracle, seed=case.seed).to_dict()
        ways[oracle]["seconds"] = time.perf_counter() - started
    return {"pool": POOL, "d": [x.shape[1], y.shape[1]], "seconds": alignment.seconds,
            "verdict": str(alignment.verdict.status), "ways": ways}  # fmt: skip


def table(records: list[dict[str, Any]]) -> str:
    """Return Markdown: medians over seeds, the worst top-1, the verdicts, and top-1 / mean rank of every other way."""
    others = [way for way in ("naive", *Oracle) if any(way in r["ways"] for r in records)]
    own = "seeds | top-1 (worst) | mean rank | cosine | aligned"
    lines = [f"| case | {own} | {' | '.join(others)} |", f"|---|{'--:|' * (5 + len(others))}"]
    for name in sorted({r["case"] for r in records}):
        same = [r for r in records if r["case"] == name]
        aligned = sum(r["verdict"] == "aligned" for r in same)
        worst = min(r["ways"]["linear"]["top1"] for r in same)
        top1, rank, cosine = _medians(same, "linear", ("top1", "mean_rank", "cosine"))
        cells = [
            str(len(same)),
            f"{top1:.2f} ({worst:.2f})",
            f"{rank:.1f}",
            f"{cosine:.2f}",
            f"{aligned} of {len(same)}",
        ]
        for way in others:
            found = _medians(same, way, ("top1", "mean_rank"))
            cells.append(f"{found[0]:.2f} / {found[1]:.0f}" if found else "-")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _medians(records: list[dict[str, Any]], way: str, names: tuple[str, ...]) -> list[float]:
    """Return medians of a way's scores, or none where no record has it."""
    found = [r["ways"][way] for r in records if way in r["ways"]]
    return [float(np.median([f[name] for f in found])) for name in names] if found else []


def main() -> None:
    """Run what is not yet recorded, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/oracles.jsonl"))
    parser.add_argument("--seeds", type=seed_range, default="0:5")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    arguments = parser.parse_args()
    done = read_records(arguments.out)
    for case in cases(arguments.seeds):
        if any(r["key"] == case.key for r in done) or arguments.only not in case.key:
            continue
        record = {"key": case.key, "case": case.name, "seed": case.seed}
        try:
            record |= measure(case, arguments.data, arguments.vectors)
        except FileNotFoundError as error:
            sys.stderr.write(f"{case.key}: skipped, {error}\n")
            continue
        done.append(record)
        append(arguments.out, [record])
        sys.stderr.write(f"{case.key}: { {k: round(v['top1'], 3) for k, v in record['ways'].items()} }\n")
    sys.stdout.write(table(done) + "\n")


if __name__ == "__main__":
    main()
