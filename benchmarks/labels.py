"""Fit BGE -> MiniLM on BEIR queries with categories of the rows; one JSON line per fit, appended, resumed.

    OMP_NUM_THREADS=1 nice python benchmarks/labels.py --data ../shared/data --seeds 0:2

Source, target and the 2,048 held-out texts are disjoint; no pair is known. The categories are the 22 data sets that the
queries come from (``dataset``), or clusters of a third representation of the texts, TF-IDF reduced to 100 dimensions
(``tfidf-20`` and ``tfidf-100``). ``missing`` removes two thirds of the labels of each side, ``shuffled`` permutes the
labels among the rows of each side, and ``renamed`` gives the categories of the target each other's names.
"""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from pairs_curve import POOL, SPACES
from records import append_records, arguments_of, scores
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

import interlingua as il
from interlingua.core.arrays import IntArray

SIZES = (1000, 500)
KINDS = (
    "none",
    "dataset",
    "dataset missing",
    "dataset shuffled",
    "dataset renamed",
    "tfidf-20",
    "tfidf-100",
    "tfidf-20 shuffled",
)
_TFIDF_DIMENSIONS = 100


@dataclass(frozen=True)
class Case:
    """One fit: rows per side, categories, and the seed of split and fit."""

    n: int
    kind: str
    seed: int

    @property
    def key(self) -> str:
        """What tells this case from all others."""
        return f"{self.n}/{self.kind}/{self.seed}"


def cases(seeds: range) -> Iterator[Case]:
    """Yield all cases of a seed and size before those of the next."""
    for seed in seeds:
        for n in SIZES:
            yield from (Case(n, kind, seed) for kind in KINDS)


@cache
def categories(name: str, data: Path) -> IntArray:
    """Return the category of every query as a number."""
    with gzip.open(data / "spaces" / "beir-queries.texts.jsonl.gz", "rt", encoding="utf-8") as stream:
        records = [json.loads(line) for line in stream]
    if name == "dataset":
        return np.unique([record["dataset"] for record in records], return_inverse=True)[1]
    words = TfidfVectorizer(stop_words="english", sublinear_tf=True, min_df=2).fit_transform(r["text"] for r in records)
    reduced = normalize(TruncatedSVD(_TFIDF_DIMENSIONS, random_state=0).fit_transform(words))
    clusters = KMeans(int(name.removeprefix("tfidf-")), n_init=1, random_state=0).fit_predict(reduced)
    return np.asarray(clusters, np.int64)


def labels(case: Case, sides: tuple[IntArray, IntArray], data: Path) -> list[list[int | None]] | None:
    """Return the labels of both sides, whose rows are given by their numbers."""
    name, _, change = case.kind.partition(" ")
    if name == "none":
        return None
    rng = np.random.default_rng([case.seed, 2])
    known = [categories(name, data)[side] for side in sides]
    if change == "shuffled":
        known = [rng.permutation(side) for side in known]
    elif change == "renamed":
        known[1] = rng.permutation(known[1].max() + 1)[known[1]]
    hidden = [rng.random(len(side)) < (2 / 3 if change == "missing" else 0) for side in known]
    return [
        [None if out else int(c) for c, out in zip(side, mask, strict=True)]
        for side, mask in zip(known, hidden, strict=True)
    ]


def fit(case: Case, data: Path) -> dict[str, Any]:
    """Fit one case and measure its translator."""
    source, target = (np.load(data / "spaces" / f"beir-queries.{name}.npy").astype(np.float32) for name in SPACES)
    order = np.random.default_rng(case.seed).permutation(len(source))
    held, rest = order[:POOL], order[POOL:]
    first, second = rest[: case.n], rest[case.n : 2 * case.n]
    given = labels(case, (first, second), data)
    start, clock = time.process_time(), time.perf_counter()
    alignment = il.align(source[first], target[second], labels=given, method="linear", seed=case.seed)
    processor, wall = time.process_time() - start, time.perf_counter() - clock
    verdict = alignment.verdict
    return {
        "key": case.key,
        "n": case.n,
        "labels": case.kind,
        "seed": case.seed,
        "forward": scores(alignment.forward(source[held]), target[held]),
        "backward": scores(alignment.backward(target[held]), source[held]),
        "verdict": str(verdict.status),
        "verdict_score": verdict.score,
        "reasons": list(verdict.reasons) if verdict.status != "aligned" else [],
        "evidence": {e.name: {"value": e.value, "null": e.null, "threshold": e.threshold} for e in verdict.evidence},
        "steps": [dict(step) for step in alignment.trace if step["step"] in ("labels", "known")],
        "rounds": sum(step["step"] == "round" for step in alignment.trace),
        "processor_seconds": processor,
        "seconds": wall,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Fit what is not in the output yet."""
    parser = arguments_of(__doc__, "labels.jsonl", "0:2")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    append_records(arguments, ((case.key, partial(fit, case, arguments.data)) for case in cases(arguments.seeds)))


if __name__ == "__main__":
    main()
