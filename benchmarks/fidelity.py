"""How far unpaired translations are from those of a paired map, and what changes without pairs would bring.

    python benchmarks/fidelity.py --vectors benchmarks/vectors --fits FOLDER

Search questions (nq-open), Universal Sentence Encoder to MiniLM: an unpaired fit, paired fits on as many pairs as the
ceiling, and changes of the unpaired map that see no pair: a regression on mutual neighbors of translations and target
rows, a regression on soft assignments (entropic transport), local maps for clusters of translations, and the consensus
of refits that teaches the networks. ``mixed`` is the weight of the change; the rest is the unpaired map. For each:
the mean cosine, top-1, and recall of the 10 nearest of 2,048 held-out texts, where documents or queries are translated.
FOLDER keeps the translators of the fits. Appends to benchmarks/results/fidelity.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

import interlingua as il
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import polar
from interlingua.aligners.linear.consensus import consensus
from interlingua.core.arrays import unit_rows
from interlingua.core.neighbors import mutual_neighbors, nearest

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "fidelity.jsonl"
ROWS, K, RIDGE, LOCAL_SHARE = 4_976, 10, 0.1, 0.5
MIXES, SHARPNESS, CLUSTERS = (0.15, 0.3, 0.5, 1.0), (20, 40, 80), (8, 24)
Rows = np.ndarray


def rows_of(folder: Path, encoder: str) -> Rows:
    """Return the unit vectors of the questions."""
    return unit_rows(np.load(folder / f"nq-open.{encoder}.npy").astype(np.float32))


def fitted(folder: Path, name: str, source: Rows, target: Rows) -> Any:
    """Return the forward map of a fit, from the folder if it is there."""
    if not (folder / name).is_dir():
        pairs = None if name == "unpaired" else np.stack([np.arange(len(source))] * 2, axis=1)
        method = {} if pairs is None else {"pairs": pairs, "method": name}
        il.align(source, target, seed=0, **method).translator(force=True).save(folder / name)
    return il.load(folder / name).forward


def translated(function: Any, rows: Rows) -> Rows:
    """Return unit translations."""
    return unit_rows(np.asarray(function(rows), np.float32))


def ridge(x: Rows, y: Rows, penalty: float, weights: Rows | None = None) -> Rows:
    """Return the matrix of a weighted ridge regression of centered rows."""
    left = x.T if weights is None else x.T * weights
    gram = left @ x
    return np.linalg.solve(gram + penalty * np.trace(gram) / len(gram) * np.eye(len(gram), dtype=np.float32), left @ y)


def soft_targets(rows: Rows, target: Rows, sharpness: float) -> Rows:
    """Return for each translation the mean of the target rows by transport plans of three Sinkhorn steps."""
    plan = np.exp(sharpness * (rows @ target.T - 1))
    for _ in range(3):
        plan /= plan.sum(axis=0, keepdims=True) + 1e-30
        plan /= plan.sum(axis=1, keepdims=True) + 1e-30
    return plan @ target


def local(rows: Rows, wanted: Rows, weights: Rows, asked: Rows, clusters: int) -> Rows:
    """Return asked rows after a map of their cluster, fitted on the differences of rows and what they should be."""
    found = KMeans(clusters, n_init=1, random_state=0).fit(rows)
    moved, labels = asked.copy(), found.predict(asked)
    for cluster in range(clusters):
        used = np.flatnonzero((found.labels_ == cluster) & (weights > 0))
        center, change = rows[used].mean(axis=0), wanted[used] - rows[used]
        matrix = ridge(rows[used] - center, change - change.mean(axis=0), 1.0, weights[used])
        own = labels == cluster
        moved[own] += LOCAL_SHARE * ((asked[own] - center) @ matrix + change.mean(axis=0))
    return moved


def candidates(
    x: Rows, y: Rows, truth: Rows, held: Rows, folder: Path
) -> Iterator[tuple[str, float | None, bool, Rows]]:
    """Yield name, weight of the change, whether pairs were used, and the translations of the held-out rows."""
    base = fitted(folder, "unpaired", x, y)
    here, there = translated(base, held), translated(base, x)
    yield "unpaired", None, False, here
    paired = {name: fitted(folder, name, x, truth) for name in ("ridge", "procrustes")}
    for name, function in paired.items():
        yield name, None, True, translated(function, held)
    means = x.mean(axis=0), y.mean(axis=0)
    coupling = mutual_neighbors(there, y, 5)
    weights = np.asarray(coupling.sum(axis=1), np.float32).ravel()
    neighbors = np.asarray(coupling @ y) / np.maximum(weights, 1e-9)[:, None]
    wanted = {"mutual neighbors": (neighbors, weights)}
    wanted |= {f"soft assignment, {t}": (soft_targets(there, y, t), None) for t in SHARPNESS}
    for name, (targets, given) in wanted.items():
        matrix = ridge(x - means[0], targets - means[1], RIDGE, given)
        other = unit_rows((held - means[0]) @ matrix + means[1])
        for mix in MIXES:
            yield name, mix, False, (1 - mix) * here + mix * other
    for clusters in CLUSTERS:
        yield f"{clusters} local maps", LOCAL_SHARE, False, local(there, neighbors, weights, here, clusters)
        ceiling, all_pairs = translated(paired["ridge"], held), np.ones(len(x), np.float32)
        moved = local(translated(paired["ridge"], x), truth, all_pairs, ceiling, clusters)
        yield f"ridge and {clusters} local maps", LOCAL_SHARE, True, moved
    forward, _ = consensus(Problem.of(x, y), polar(np.asarray(base.matrix, np.float32)), seed=0)
    yield "consensus of refits", None, False, translated(forward, held)


def scored(rows: Rows, truth: Rows) -> dict[str, float]:
    """Return the scores of translations of held-out texts beside their true vectors."""
    rows, own = unit_rows(np.asarray(rows, np.float32)), np.arange(len(truth))
    true = nearest(truth, truth, K, metric="dot", exclude=own).indices
    shares = {}
    for name, (queries, documents) in {"documents": (truth, rows), "queries": (rows, truth)}.items():
        found = nearest(queries, documents, K, metric="dot", exclude=own).indices
        shares[f"recall_{name}"] = float((found[:, :, None] == true[:, None]).any(axis=2).mean())
    top1 = float((nearest(rows, truth, 1, metric="dot").indices[:, 0] == own).mean())
    return {"cosine": float((rows * truth).sum(axis=1).mean()), "top1": top1, **shares}


def table(records: list[dict[str, Any]]) -> str:
    """Return the records as Markdown; of each change the weight with the best recall of documents."""
    best: dict[str, dict[str, Any]] = {}
    for r in records:
        if r["map"] not in best or r["recall_documents"] > best[r["map"]]["recall_documents"]:
            best[r["map"]] = r
    lines = [
        "| map | weight | pairs | cosine | top-1 | recall at 10, documents translated | queries translated |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for r in best.values():
        weight, pairs = "" if r["weight"] is None else f"{r['weight']:.2f}", "yes" if r["pairs"] else "no"
        scores = " | ".join(f"{r[name]:.3f}" for name in ("cosine", "top1", "recall_documents", "recall_queries"))
        lines.append(f"| {r['map']} | {weight} | {pairs} | {scores} |")
    return "\n".join(lines)


def main() -> None:
    """Fit, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--fits", type=Path, required=True)
    arguments = parser.parse_args()
    source, target = (rows_of(arguments.vectors, encoder) for encoder in ("use", "minilm"))
    held, true = source[2 * ROWS :], target[2 * ROWS :]
    given = source[:ROWS], target[ROWS : 2 * ROWS], target[:ROWS], held, arguments.fits
    for name, weight, pairs, rows in candidates(*given):
        record = {"map": name, "weight": weight, "pairs": pairs, "rows": [ROWS, ROWS, len(held)], **scored(rows, true)}
        record["processor_seconds"] = round(time.process_time(), 1)
        with OUT.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        sys.stdout.write(json.dumps(record) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
