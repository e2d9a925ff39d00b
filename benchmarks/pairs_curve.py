"""Fit BGE -> MiniLM on BEIR queries with 0 to 1,000 known pairs; one JSON line per fit, appended, resumed.

    OMP_NUM_THREADS=1 nice python benchmarks/pairs_curve.py --data ../shared/data --seeds 0:2

Each side has 500, 1,000 or 2,000 rows. The known pairs are texts that are among the rows of both sides; all other rows
of the two sides are different texts. 2,048 further texts, which no fit sees, measure the translator. ``linear`` reads
all rows and the pairs; ``procrustes`` and ``ridge`` read the pairs alone. ``shuffled`` pairs are the same rows with the
targets permuted, so that every pair is wrong.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from records import append_records, arguments_of, scores

import interlingua as il
from interlingua.core.arrays import FloatArray

POOL = 2048
SPACES = ("bge-base-en-v1.5", "all-MiniLM-L6-v2")
SIZES = (1000, 500, 2000)
COUNTS = (0, 1, 5, 10, 30, 100, 300, 1000)
SHUFFLED = (10, 30, 100)
PAIRED = ("procrustes", "ridge")


@dataclass(frozen=True)
class Case:
    """One fit: rows per side, known pairs, method, and the seed of split and fit."""

    n: int
    pairs: int
    method: str
    seed: int
    shuffled: bool = False

    @property
    def key(self) -> str:
        """What tells this case from all others."""
        return f"{self.n}/{self.pairs}{' shuffled' * self.shuffled}/{self.method}/{self.seed}"


def cases(seeds: range) -> Iterator[Case]:
    """Yield all cases of a seed and size before those of the next."""
    for seed in seeds:
        for n in SIZES:
            for count in (p for p in COUNTS if p <= n):
                yield Case(n, count, "linear", seed)
                if count > 1:
                    yield from (Case(n, count, method, seed) for method in PAIRED)
            yield from (Case(n, count, "linear", seed, shuffled=True) for count in SHUFFLED)


def split(case: Case, data: Path) -> tuple[FloatArray, ...]:
    """Return rows of both sides, pairs [p, 2], and held-out rows of both encoders."""
    source, target = (np.load(data / "spaces" / f"beir-queries.{name}.npy").astype(np.float32) for name in SPACES)
    order = np.random.default_rng(case.seed).permutation(len(source))
    held, rest = order[:POOL], order[POOL:]
    # The first texts are the shared ones, so more pairs include the fewer pairs.
    shared, others = rest[: case.pairs], rest[1000:]
    own = case.n - case.pairs
    index = [np.concatenate([shared, others[side * 2000 :][:own]]) for side in (0, 1)]
    rng = np.random.default_rng([case.seed, 1])
    places = [rng.permutation(case.n) for _ in index]
    sides = [encoder[rows[place]] for encoder, rows, place in zip((source, target), index, places, strict=True)]
    pairs = np.stack([np.argsort(place)[: case.pairs] for place in places], axis=1)
    if case.shuffled:
        pairs[:, 1] = np.roll(pairs[:, 1], 1)
    return (*sides, pairs, source[held], target[held])


def fit(case: Case, data: Path) -> dict[str, Any]:
    """Fit one case and measure its translator."""
    x, y, pairs, x_held, y_held = split(case, data)
    start, clock = time.process_time(), time.perf_counter()
    alignment = il.align(x, y, pairs=pairs if case.pairs else None, method=case.method, seed=case.seed)
    processor, wall = time.process_time() - start, time.perf_counter() - clock
    verdict = alignment.verdict
    return {
        "key": case.key,
        "n": case.n,
        "pairs": case.pairs,
        "shuffled": case.shuffled,
        "method": case.method,
        "seed": case.seed,
        "forward": scores(alignment.forward(x_held), y_held),
        "backward": scores(alignment.backward(y_held), x_held),
        "verdict": str(verdict.status),
        "verdict_score": verdict.score,
        "reasons": list(verdict.reasons) if verdict.status != "aligned" else [],
        "evidence": {evidence.name: evidence.value for evidence in verdict.evidence},
        "steps": [dict(step) for step in alignment.trace if step["step"] in ("pairs", "known")],
        "rounds": sum(step["step"] == "round" for step in alignment.trace),
        "processor_seconds": processor,
        "seconds": wall,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Fit what is not in the output yet."""
    parser = arguments_of(__doc__, "pairs-curve.jsonl", "0:2")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    append_records(arguments, ((case.key, partial(fit, case, arguments.data)) for case in cases(arguments.seeds)))


if __name__ == "__main__":
    main()
