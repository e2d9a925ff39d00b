"""Joint search and migration of search questions split between two models, beside the re-embedded truth.

    python benchmarks/joint.py --data ../shared/data --seeds 0:3

A third of the rows is stored under BGE (768), another third under MiniLM (384), the last third are queries, known as
MiniLM vectors. The truth is what MiniLM finds when every row is embedded with it. The translator is fitted from the two
stored thirds, which share no row: unpaired, and as a ceiling with the true pairs of the first third. Recall@10 of:

- nothing: MiniLM's third alone is searched; what a user has without translation
- joint: both thirds as they are stored; scores matched by samples of both, raw, or by the calibration of the translator
- bridge: the BGE third alone, queries translated, against MiniLM's truth on that third
- migrated: the BGE third migrated into a store of MiniLM vectors, then one search

Appends to benchmarks/results/joint.jsonl.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from records import append_and_print, seed_range

import interlingua as il
from interlingua.core.arrays import unit_rows
from interlingua.stores import Records, Spec, open_store
from interlingua.stores.joint import JointHit, JointSearch
from interlingua.stores.migration import migrate

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "joint.jsonl"
SPACES = ("beir-queries.bge-base-en-v1.5.npy", "beir-queries.all-MiniLM-L6-v2.npy")
K = 10


def put(url: str, ids: Any, vectors: Any) -> None:
    """Make a collection."""
    with open_store(url) as store:
        store.create(Spec(vectors.shape[1], "cosine", pa.int64(), None, len(ids)))
        store.upsert(Records(pa.array(ids, pa.int64()), vectors))


def nearest(queries: Any, rows: Any, ids: Any) -> list[set[int]]:
    """Return the ten nearest ids of each query."""
    best = np.argsort(-(queries @ rows.T), axis=1)[:, :K]
    return [set(ids[row].tolist()) for row in best]


def recall(found: list[set[int]], truth: list[set[int]]) -> float:
    """Return the mean share of the true ten that was found."""
    return float(np.mean([len(here & there) / K for here, there in zip(found, truth, strict=True)]))


def _calibrated(translator: il.Translator, hits: list[JointHit]) -> list[JointHit]:
    """Return the best hits with the scores of translated ones converted by the calibration of the translator."""
    converted = translator.calibrate([hit.raw for hit in hits])
    scores = [float(c) if hit.translated else hit.raw for hit, c in zip(hits, converted, strict=True)]
    return [hits[at] for at in np.argsort(-np.array(scores), kind="stable")[:K]]


def main() -> None:
    """Run the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--seeds", type=seed_range, default="0:1", help="first:stop")
    arguments = parser.parse_args()
    x, y = (np.load(arguments.data / "spaces" / name).astype(np.float32) for name in SPACES)
    y = unit_rows(y)
    for seed in arguments.seeds:
        order = np.random.default_rng(seed).permutation(len(x))
        a, b, q = order[:4398], order[4398:8796], order[8796:]
        both = np.concatenate([a, b])
        truth, truth_a = nearest(y[q], y[both], both), nearest(y[q], y[a], a)
        base, old, new = f"memory://joint{seed}", f"memory://joint{seed}#old", f"memory://joint{seed}#new"
        put(old, a, x[a])
        put(new, b, y[b])
        for method in ("unpaired", "paired"):
            start = time.perf_counter()
            if method == "unpaired":
                alignment = il.align(x[a], y[b], seed=seed)
            else:
                pairs = np.stack([np.arange(len(a))] * 2, axis=1)
                alignment = il.align(x[a], y[a], pairs=pairs, method="ridge", seed=seed)
            fit_seconds = time.perf_counter() - start
            translator = alignment.translator(force=True)
            record: dict[str, Any] = {"seed": seed, "method": method, "verdict": str(alignment.verdict.status)}
            record |= {"rows": [len(a), len(b), len(q)], "fit_seconds": round(fit_seconds, 1)}
            record["nothing"] = recall(nearest(y[q], y[b], b), truth)
            with open_store(old) as here, open_store(new) as there:
                for name, sample in (("joint", 1_000), ("joint_uncalibrated", 0)):
                    joint = JointSearch(translator, here, there, sample=sample, seed=seed)
                    start = time.perf_counter()
                    found = joint.search(y[q], K)
                    record[f"{name}_ms_per_query"] = round(1e3 * (time.perf_counter() - start) / len(q), 2)
                    record[name] = recall([{hit.id for hit in hits} for hits in found], truth)
                    record[f"{name}_share_translated"] = float(
                        np.mean([hit.translated for hits in found for hit in hits])
                    )
                if translator.calibration is not None:
                    # Ten times as many raw hits as needed, so that few can be missing after the conversion.
                    raw = JointSearch(translator, here, there, sample=0).search(y[q], 10 * K, candidates=1)
                    best = [_calibrated(translator, hits) for hits in raw]
                    record["joint_translator"] = recall([{hit.id for hit in hits} for hits in best], truth)
                    share = np.mean([hit.translated for hits in best for hit in hits])
                    record["joint_translator_share_translated"] = float(share)
                bridge = JointSearch(translator, here).search(y[q], K, candidates=1)
                record["bridge"] = recall([{hit.id for hit in hits} for hits in bridge], truth_a)
                wide = JointSearch(translator, here).search(y[q], K)
                record["bridge_rescored"] = recall([{hit.id for hit in hits} for hits in wide], truth_a)
                with tempfile.TemporaryDirectory() as folder, open_store(f"{base}#moved_{method}") as moved:
                    migrate(translator, here, moved, journal=Path(folder) / "journal")
                    copied = [records for records, _ in moved.scan(10_000)][0]
            rows = np.concatenate([unit_rows(copied.vectors), y[b]])
            record["migrated"] = recall(nearest(y[q], rows, np.concatenate([copied.ids.to_numpy(), b])), truth)
            record["migrated_alone"] = recall(nearest(y[q], unit_rows(copied.vectors), copied.ids.to_numpy()), truth_a)
            share = np.mean([len(t & set(a.tolist())) / K for t in truth])
            record["share_of_truth_in_old"] = float(share)
            append_and_print(OUT, record)


if __name__ == "__main__":
    main()
