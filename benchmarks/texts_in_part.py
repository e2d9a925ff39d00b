"""Search in collections of which a part was embedded by the new model and the rest translated; one JSON line a fit.

    OMP_NUM_THREADS=1 nice python benchmarks/texts_in_part.py --data ../shared/data

6,000 search questions are stored under the old model, and 30% of them have a text, so that the new model embeds
them. 500 others are queries of the new model. Translators are fitted on the rows with a text as pairs (``paired``), or
without pairs on the stored rows and the 4,344 questions that are left (``unpaired``). Recall at 10 of the new model's
own ranking of all rows, and the share of the hits that are rows with a text:

- translated: every row is translated
- table: vectors of the new model and translations in one table
- matched: two collections, whose scores are matched by samples of both, as `JointSearch` does
- calibrated: two collections, the scores of translations converted by the calibration of the translator

``top1`` is the share of translations that are nearest to the real vector of their text, among 500: of *read* rows,
whose old vectors the fit has read, and of the queries, which it has not.

Appends to benchmarks/results/texts-in-part.jsonl.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from records import append

import interlingua as il
from interlingua.core.arrays import unit_rows
from interlingua.stores import Records, Spec, Store, open_store
from interlingua.stores.joint import JointSearch

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "texts-in-part.jsonl"
SPACES = {"bge": "beir-queries.bge-base-en-v1.5.npy", "minilm": "beir-queries.all-MiniLM-L6-v2.npy"}
ROWS, QUERIES, WITH_TEXT, K = 6_000, 500, 0.31, 10
WAYS = ("translated", "table", "matched", "calibrated")


@contextmanager
def stored(name: str, ids: Any, vectors: Any) -> Iterator[Store]:
    """Make a collection in memory for a while."""
    with open_store(f"memory://texts-in-part#{name}") as store:
        store.create(Spec(vectors.shape[1], "cosine", pa.int64(), None, len(ids)))
        store.upsert(Records(pa.array(ids, pa.int64()), vectors))
        yield store
        store.drop()


def nearest(scores: Any) -> Any:
    """Return the ten best rows of each query [q, 10]."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :K]


def _top1(translated: Any, real: Any) -> float:
    return round(float((np.argmax(translated @ real.T, axis=1) == np.arange(len(real))).mean()), 4)


def measure(old: Any, new: Any, kind: str, seed: int) -> dict[str, Any]:
    """Return the record of one fit.

    Args:
        old: vectors of all questions by the old model.
        new: the same by the new model.
        kind: ``paired`` or ``unpaired``.
        seed: of the split and of the fit.
    """
    rng = np.random.default_rng(seed)
    stored_rows, queries, others = np.split(rng.permutation(len(old)), [ROWS, ROWS + QUERIES])
    x, y, asked = old[stored_rows], unit_rows(new[stored_rows]), unit_rows(new[queries])
    has_text = rng.random(ROWS) < WITH_TEXT
    texts = np.flatnonzero(has_text)
    start = time.process_time()
    if kind == "paired":
        pairs = np.stack([texts, np.arange(len(texts))], axis=1)
        alignment = il.align(x, y[texts], pairs=pairs, seed=seed)
    else:
        alignment = il.align(x, unit_rows(new[others]), seed=seed)
    seconds = time.process_time() - start
    translator = alignment.translator(force=True)
    translated = unit_rows(translator.translate(x, allow_foreign=True))
    native, scores = asked @ y.T, asked @ translated.T
    truth = nearest(native)
    found = {"translated": nearest(scores), "table": nearest(np.where(has_text, native, scores))}
    if translator.calibration is not None:
        converted = translator.calibrate(np.clip(scores, -1, 1))
        found["calibrated"] = nearest(np.where(has_text, native, converted))
    rest = np.flatnonzero(~has_text)
    with stored("native", texts, y[texts]) as ours, stored("moved", rest, translated[rest]) as moved:
        joint = JointSearch(translator, moved, ours, translated=True, seed=seed)
        found["matched"] = np.array([[hit.id for hit in hits] for hits in joint.search(asked, K)])
    unseen = unit_rows(translator.translate(old[queries], allow_foreign=True))
    read = rest[:QUERIES]
    top1 = {"read": _top1(translated[read], y[read]), "unseen": _top1(unseen, asked)}
    shares = {way: round(float(has_text[rows].mean()), 4) for way, rows in found.items()}
    recalls = {
        way: round(float(np.mean([len({*a} & {*b}) / K for a, b in zip(rows, truth, strict=True)])), 4)
        for way, rows in found.items()
    }
    return {
        "fit": kind,
        "seed": seed,
        "method": alignment.method,
        "verdict": str(alignment.verdict.status),
        "texts": len(texts),
        "recall": recalls,
        "native_share": shares,
        "top1": top1,
        "true_native_share": round(float(has_text[truth].mean()), 4),
        "processor_seconds": round(seconds, 1),
    }


def table(records: list[dict[str, Any]]) -> str:
    """Return recall and the share of hits with a text as a Markdown table, a row for each fit."""
    lines = [
        "| models | fit | verdict | all translated | one table | scores matched | scores calibrated | share: true | "
        "one table | matched | calibrated |",
        "|---|---|---|" + "--:|" * 8,
    ]
    for r in records:
        recalls = [f"{r['recall'][way]:.2f}" if way in r["recall"] else "" for way in WAYS]
        shares = [f"{r['native_share'][way]:.2f}" if way in r["native_share"] else "" for way in WAYS[1:]]
        fit = "pairs by id" if r["fit"] == "paired" else "unpaired"
        cells = [" to ".join(r["encoders"]), fit, r["verdict"], *recalls, f"{r['true_native_share']:.2f}", *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run both directions with both kinds of fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    spaces = {name: np.load(arguments.data / "spaces" / file).astype(np.float32) for name, file in SPACES.items()}
    for kind in ("paired", "unpaired"):
        for encoders in (("bge", "minilm"), ("minilm", "bge")):
            record = measure(spaces[encoders[0]], spaces[encoders[1]], kind, arguments.seed)
            append(OUT, [{"set": "beir-queries", "encoders": encoders, **record}])


if __name__ == "__main__":
    main()
