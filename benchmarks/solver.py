"""Fit hard unpaired cases with the island search and measure them on held-out pairs; one JSON line a fit, resumed.

    python benchmarks/solver.py --data ../shared/data --out benchmarks/results/solver.jsonl --seeds 0:10 --only 500x8000

BGE -> MiniLM on BEIR queries. Source, target and the 2,048 held-out texts are disjoint; the fit sees no pair. ``NxM``
has
N source and M target rows. ``copies-of-20`` replaces half of the rows of each side by copies of 20 texts,
``four-times`` repeats each of 1,000 rows four times, ``boilerplate`` makes 40 % of the rows one text.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.aligners.frames import Frame
from interlingua.aligners.linear.effort import Effort
from interlingua.aligners.linear.finish import finish
from interlingua.aligners.linear.islands import search_islands
from interlingua.aligners.linear.repeats import distinct_rows
from interlingua.core.arrays import FloatArray, unit_rows

POOL = 2048
SPACES = ("bge-base-en-v1.5", "all-MiniLM-L6-v2")
SIZES = ((500, 8000), (8000, 500), (1000, 7000), (7000, 1000), (2000, 2000), (1000, 1000), (500, 2000))
REPEATED = ("copies-of-20", "four-times", "boilerplate")


@dataclass(frozen=True)
class Case:
    """One fit: rows a side, how rows repeat, and the seed of split and fit."""

    source: int
    target: int
    repeated: str
    seed: int

    @property
    def key(self) -> str:
        """What tells this case from all others."""
        return f"{self.repeated or f'{self.source}x{self.target}'}/{self.seed}"


def cases(seeds: range) -> Iterator[Case]:
    """Yield all cases of a seed before those of the next."""
    for seed in seeds:
        yield from (Case(n, m, "", seed) for n, m in SIZES)
        yield from (Case(1000 if kind == "four-times" else 4000, 4000, kind, seed) for kind in REPEATED)


def repeat(rows: FloatArray, kind: str, rng: np.random.Generator) -> FloatArray:
    """Return rows [n, d] with some of them repeated."""
    n = len(rows)
    if kind == "copies-of-20":
        rows = np.concatenate([rows[: n // 2], rows[rng.integers(20, size=n - n // 2)]])
    elif kind == "four-times":
        rows = np.repeat(rows, 4, axis=0)
    elif kind == "boilerplate":
        rows = np.concatenate([rows[: int(0.6 * n)], np.repeat(rows[:1], n - int(0.6 * n), axis=0)])
    return rows[rng.permutation(len(rows))]


def fit(case: Case, data: Path) -> dict[str, Any]:
    """Fit one case and measure it."""
    source, target = (np.load(data / "spaces" / f"beir-queries.{name}.npy").astype(np.float32) for name in SPACES)
    order = np.random.default_rng(case.seed).permutation(len(source))
    held, rest = order[:POOL], order[POOL:]
    rng = np.random.default_rng([case.seed, 1])
    start, clock = time.process_time(), time.perf_counter()
    distinct = [
        distinct_rows(repeat(z[rows], case.repeated, rng))
        for z, rows in ((source, rest[: case.source]), (target, rest[case.source :][: case.target]))
    ]
    frames = [Frame.of(side.rows) for side in distinct]
    x, y = (frame.rows[rng.permutation(len(frame.rows))] for frame in frames)
    found = search_islands(x, y, seed=case.seed, effort=Effort())
    finished = finish(x, y, found.matrix, seed=case.seed)
    seconds = time.process_time() - start
    pairs = [unit_rows(frame.around(z[held])) for frame, z in zip(frames, (source, target), strict=True)]
    return {
        "key": case.key,
        "n_source": case.source,
        "n_target": case.target,
        "repeated": case.repeated,
        "seed": case.seed,
        "distinct": [side.to_dict() for side in distinct],
        "forward": scores(pairs[0] @ finished.matrix, pairs[1]),
        "backward": scores(pairs[1] @ finished.matrix.T, pairs[0]),
        "stopped": found.stopped,
        "agreement": found.agreement,
        "excess": found.excess,
        "score": found.answer.score,
        "climbs": found.climbs,
        "finish": finished.name,
        "halves": finished.evidence,
        "processor_seconds": seconds,
        "seconds": time.perf_counter() - clock,
    }


def scores(translated: FloatArray, truth: FloatArray) -> dict[str, float]:
    """Return top-1 and mean rank of held-out rows."""
    similarity = unit_rows(translated) @ truth.T
    rank = (similarity > np.diag(similarity)[:, None]).sum(axis=1) + 1
    return {"top1": float((rank == 1).mean()), "mean_rank": float(rank.mean())}


def main() -> None:
    """Fit what is not in the output yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/solver.jsonl"))
    parser.add_argument("--seeds", default="0:10", help="first:last, or first:last:step")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    arguments = parser.parse_args()
    out = arguments.out
    done = {json.loads(line)["key"] for line in out.read_text().splitlines()} if out.exists() else set()
    for case in cases(range(*map(int, arguments.seeds.split(":")))):
        if case.key in done or arguments.only not in case.key:
            continue
        record = fit(case, arguments.data)
        with out.open("a") as stream:
            stream.write(json.dumps(record) + "\n")
        top1 = record["forward"]["top1"], record["backward"]["top1"]
        sys.stderr.write(f"{case.key}: {top1} {record['processor_seconds']:.0f} processor s\n")


if __name__ == "__main__":
    main()
