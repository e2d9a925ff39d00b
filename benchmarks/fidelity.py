"""How far unpaired translations are from those of a paired map, and what changes without pairs would bring.

    python benchmarks/fidelity.py --vectors benchmarks/vectors --fits FOLDER
    python benchmarks/fidelity.py --vectors benchmarks/vectors --fits FOLDER --suite pooled [--rotations]

Search questions (nq-open), or texts of six corpora in random order (``pooled``), Universal Sentence Encoder to MiniLM:
an unpaired fit, paired fits on as many pairs as the ceiling, and changes of the unpaired map that see no pair: a
regression on mutual neighbors of translations and target rows, a regression on soft assignments (entropic transport),
local maps for clusters of translations, and the consensus of refits that teaches the networks. ``weight`` is that of
the change; the rest is the unpaired map. For each: the mean cosine, top-1, and recall of the 10 nearest of 2,048
held-out texts, where documents or queries are translated. ``half_agreement`` and ``half_retrieval`` are the evidence
without pairs: the mean cosine of translations of the same rows by refits on disjoint halves, and how often a row is
nearest to itself in the other translation. FOLDER keeps the translators of the fits. Appends to
benchmarks/results/fidelity.jsonl.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from records import append_and_print
from sklearn.cluster import KMeans

import interlingua as il
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import Frame, polar
from interlingua.aligners.linear.consensus import consensus
from interlingua.aligners.linear.full_width import polish_rotation
from interlingua.aligners.linear.nonorthogonal import leveled_affine_map, nonorthogonal_map
from interlingua.core.arrays import unit_rows
from interlingua.core.neighbors import mutual_neighbors, nearest
from interlingua.core.statistics import agreement, self_retrieval

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "fidelity.jsonl"
CORPORA = {
    "questions": ("nq-open",),
    "pooled": ("nq-open", "opentriviaqa", "clickbait", "wiki-split", "medquad", "clinc150"),
}
ROWS, HELD_OUT = {"questions": 4_976, "pooled": 24_000}, 2_048
# Where there are many rows, neighbors are nearer, and a soft assignment need not be so soft.
SHARPNESS = {"questions": (20, 40, 80), "pooled": (40, 80)}
K, RIDGE, LOCAL_SHARE, HALF_NEIGHBORS = 10, 0.1, 0.5, (50, 50)
MIXES, CLUSTERS, ROTATED_CLUSTERS = (0.15, 0.3, 0.5, 1.0), (8, 24), 8
Rows = np.ndarray
Changes = dict[tuple[str, float], Rows]


def rows_of(folder: Path, suite: str, encoder: str) -> Rows:
    """Return the unit vectors of a suite; those of several corpora in random order."""
    found = np.concatenate([np.load(folder / f"{corpus}.{encoder}.npy") for corpus in CORPORA[suite]])
    rows = unit_rows(found.astype(np.float32))
    return rows if suite == "questions" else rows[np.random.default_rng(0).permutation(len(rows))]


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
    plan = rows @ target.T
    # In place, since with 24,000 rows a side it has 2.3 GB. The shift changes no plan and keeps float32 in range.
    plan -= 0.5
    plan *= sharpness
    np.exp(plan, out=plan)
    of_rows = np.ones(len(rows), np.float32)
    for _ in range(3):
        of_targets = 1 / (of_rows @ plan)
        of_rows = 1 / (plan @ of_targets)
    return of_rows[:, None] * (plan @ (of_targets[:, None] * target))


def local_changes(
    rows: Rows, wanted: Rows, weights: Rows, asked: Rows, clusters: int
) -> Iterator[tuple[Rows, Rows, Rows, Rows]]:
    """Yield for each cluster which rows are asked, its center, its mean change, and the linear part of its change."""
    found = KMeans(clusters, n_init=1, random_state=0).fit(rows)
    labels = found.predict(asked)
    for cluster in range(clusters):
        used = np.flatnonzero((found.labels_ == cluster) & (weights > 0))
        center, change = rows[used].mean(axis=0), wanted[used] - rows[used]
        shift = change.mean(axis=0)
        yield labels == cluster, center, shift, ridge(rows[used] - center, change - shift, 1.0, weights[used])


def local(rows: Rows, wanted: Rows, weights: Rows, asked: Rows, clusters: int) -> Rows:
    """Return asked rows after a map of their cluster, fitted on the differences of rows and what they should be."""
    moved = asked.copy()
    for own, center, shift, matrix in local_changes(rows, wanted, weights, asked, clusters):
        moved[own] += LOCAL_SHARE * ((asked[own] - center) @ matrix + shift)
    return moved


def rotated(rows: Rows, wanted: Rows, weights: Rows, asked: Rows, clusters: int) -> Rows:
    """Return asked rows after the rotation and the shift in the local map of their cluster, which shortens nothing."""
    moved = asked.copy()
    for own, center, shift, matrix in local_changes(rows, wanted, weights, asked, clusters):
        turn = polar(np.eye(len(center), dtype=np.float32) + matrix)
        moved[own] = center + shift + (asked[own] - center) @ turn
    return unit_rows(moved)


def neighbors_of(rows: Rows, target: Rows) -> tuple[Rows, Rows]:
    """Return for each translation the mean of its mutual neighbors among target rows, and their number."""
    coupling = mutual_neighbors(rows, target, 5)
    weights = np.asarray(coupling.sum(axis=1), np.float32).ravel()
    return np.asarray(coupling @ target) / np.maximum(weights, 1e-9)[:, None], weights


def rotations(
    x: Rows, y: Rows, held: Rows, folder: Path
) -> Iterator[tuple[str, float | None, bool, Rows, dict[str, float]]]:
    """Yield what `candidates` does for local rotations, once and twice, alone and with a regression."""
    base = fitted(folder, "unpaired", x, y)
    here, there = translated(base, held), translated(base, x)
    for times in (1, 2):
        moved = rotated(there, *neighbors_of(there, y), np.vstack([here, there]), ROTATED_CLUSTERS)
        here, there = moved[: len(held)], moved[len(held) :]
        name = f"{ROTATED_CLUSTERS} local rotations, round {times}"
        yield name, None, False, here, {}
        targets, weights = neighbors_of(there, y)
        matrix = ridge(x - x.mean(axis=0), targets - y.mean(axis=0), RIDGE, weights)
        other = unit_rows((held - x.mean(axis=0)) @ matrix + y.mean(axis=0))
        for mix in MIXES[:3]:
            yield f"{name}, mutual neighbors", mix, False, (1 - mix) * here + mix * other, {}


def changed(function: Any, x: Rows, y: Rows, held: Rows, sharpness: tuple[int, ...]) -> Changes:
    """Return the translations of held-out rows by an unpaired map and by its changes, by name and weight."""
    here, there = translated(function, held), translated(function, x)
    means = x.mean(axis=0), y.mean(axis=0)
    neighbors, weights = neighbors_of(there, y)
    wanted: dict[str, tuple[Rows, Rows | None]] = {"mutual neighbors": (neighbors, weights)}
    wanted |= {f"soft assignment, {t}": (soft_targets(there, y, t), None) for t in sharpness}
    found = {("unpaired", 0.0): here}
    for name, (targets, given) in wanted.items():
        matrix = ridge(x - means[0], targets - means[1], RIDGE, given)
        other = unit_rows((held - means[0]) @ matrix + means[1])
        found |= {(name, mix): unit_rows((1 - mix) * here + mix * other) for mix in MIXES}
    for clusters in CLUSTERS:
        found[f"{clusters} local maps", LOCAL_SHARE] = local(there, neighbors, weights, here, clusters)
    return found


def halves_of(x: Rows, y: Rows, rotation: Rows) -> Iterator[tuple[Any, Rows, Rows]]:
    """Yield for each half of the rows the unpaired map that a rotation is refined to on it, and its rows."""
    rng = np.random.default_rng(0)
    for part in (0, 1):
        a, b = x[part::2], y[part::2]
        frames = Frame.of(a), Frame.of(b)
        refit = polish_rotation(frames[0].rows, frames[1].rows, rotation, HALF_NEIGHBORS, rng=rng)
        yield leveled_affine_map(*frames, nonorthogonal_map(refit, frames[0].rows, frames[1].rows)), a, b


def candidates(
    x: Rows, y: Rows, truth: Rows, held: Rows, folder: Path, sharpness: tuple[int, ...]
) -> Iterator[tuple[str, float | None, bool, Rows, dict[str, float]]]:
    """Yield name, weight of the change, whether pairs were used, translations of held-out rows, and the evidence."""
    base = fitted(folder, "unpaired", x, y)
    paired = {name: fitted(folder, name, x, truth) for name in ("ridge", "procrustes")}
    for name, function in paired.items():
        yield name, None, True, translated(function, held), {}
    rotation = polar(np.asarray(base.matrix, np.float32))
    first, second = (changed(*half, held, sharpness) for half in halves_of(x, y, rotation))
    for (name, mix), rows in changed(base, x, y, held, sharpness).items():
        pair = unit_rows(first[name, mix]), unit_rows(second[name, mix])
        evidence = {"half_agreement": agreement(*pair), "half_retrieval": self_retrieval(*pair)}
        yield name, mix or None, False, rows, evidence
    everyone = np.ones(len(x), np.float32)
    ceiling, all_rows = (translated(paired["ridge"], z) for z in (held, x))
    for clusters in CLUSTERS:
        moved = local(all_rows, truth, everyone, ceiling, clusters)
        yield f"ridge and {clusters} local maps", LOCAL_SHARE, True, moved, {}
    forward, _ = consensus(Problem.of(x, y), rotation, seed=0)
    yield "consensus of refits", None, False, translated(forward, held), {}


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


def table(records: list[dict[str, Any]], suite: str) -> str:
    """Return the records of a suite as Markdown; of each change the weight with the best recall of documents."""
    best: dict[str, dict[str, Any]] = {}
    # Records of the first suite are older than its name.
    for r in (r for r in records if r.get("suite", "questions") == suite):
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
    parser.add_argument("--suite", choices=CORPORA, default="questions")
    parser.add_argument("--rotations", action="store_true", help="local rotations instead of all other changes")
    arguments = parser.parse_args()
    n = ROWS[arguments.suite]
    source, target = (rows_of(arguments.vectors, arguments.suite, encoder) for encoder in ("use", "minilm"))
    held, true = (z[2 * n : 2 * n + HELD_OUT] for z in (source, target))
    x, y = source[:n], target[n : 2 * n]
    if arguments.rotations:
        found = rotations(x, y, held, arguments.fits)
    else:
        found = candidates(x, y, target[:n], held, arguments.fits, SHARPNESS[arguments.suite])
    for name, weight, pairs, rows, evidence in found:
        record = {"map": name, "weight": weight, "pairs": pairs, "rows": [n, n, len(held)], "suite": arguments.suite}
        record |= scored(rows, true) | evidence
        record["processor_seconds"] = round(time.process_time(), 1)
        append_and_print(OUT, record)


if __name__ == "__main__":
    main()
