"""Fit hard unpaired cases with a budget and measure them on held-out pairs; one JSON line per fit, resumed.

    python benchmarks/solver.py --data ../shared/data --seeds 10:13 --only 500x8000 --budget 300

BGE -> MiniLM on BEIR queries. Source, target and the 2,048 held-out texts are disjoint; the fit sees no pair. ``NxM``
has N source and M target rows. ``copies-of-20`` replaces half of the rows of each side by copies of 20 texts,
``four-times`` repeats each of 1,000 rows four times, ``boilerplate`` makes 40% of the rows one text.

    python benchmarks/solver.py --only 1000x1000 --views use wordllama model2vec --out benchmarks/results/views.jsonl

``--views`` gives the fit vectors of the target rows by further models, from ``beir-queries.MODEL.npy`` in the folder
``--vectors``, which ``encode.py --only beir-queries`` writes.

    python benchmarks/solver.py --only trivia --seeds 60:62 --budget 560

``trivia`` has 7,600 search questions under multilingual-E5 as source and 12,000 trivia questions under MiniLM as
target, so that no text is on both sides; the held-out texts are search questions. ``packages`` has 10,976 package
descriptions under Model2Vec and as many others under WordLlama. ``encode.py`` and ``demo/make_data.py`` write their
vectors.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from records import append_records, arguments_of, scores

import interlingua
from interlingua.core.arrays import FloatArray, IntArray

POOL = 2048
SPACES = ("bge-base-en-v1.5", "all-MiniLM-L6-v2")
SIZES = (
    *((500, 8000), (8000, 500), (2000, 2000), (1000, 7000), (7000, 1000)),
    *((1000, 1000), (500, 2000), (250, 8000), (4398, 4398)),
    *((1000, 4000), (4000, 1000)),
)
# Other texts than queries: rows of both sides, and corpus and encoder of each.
TEXTS = {
    "trivia": (7600, 12000, ("nq-open", "e5-small"), ("opentriviaqa", "minilm")),
    "packages": (10976, 10976, ("debian", "model2vec"), ("debian", "wordllama")),
}
REPEATED = ("copies-of-20", "four-times", "boilerplate")
_NAMES = {
    "trivia": "search questions to trivia questions, multilingual-E5 to MiniLM",
    "packages": "package descriptions, Model2Vec to WordLlama",
    "copies-of-20": "half of them copies of 20 texts",
    "four-times": "each text four times",
    "boilerplate": "40% of them one text",
}
# Steps of the trace that say what both searches did.
STEPS = ("copies", "second search", "full width", "interrupted")


@dataclass(frozen=True)
class Case:
    """One fit: rows per side, how they repeat, seed of split and fit, budget in seconds, views, and other texts."""

    source: int
    target: int
    repeated: str
    seed: int
    budget: float | None
    views: tuple[str, ...] = ()
    texts: str = ""

    @property
    def key(self) -> str:
        """What tells this case from all others."""
        budget = "default" if self.budget is None else f"{self.budget:g}"
        sizes = self.texts or self.repeated or f"{self.source}x{self.target}"
        return "/".join([sizes, str(self.seed), budget, *(["+".join(self.views)] if self.views else [])])


def cases(seeds: range, budget: float | None, views: tuple[str, ...]) -> Iterator[Case]:
    """Yield all cases of a seed before those of the next; with views, those without repeated rows."""
    for seed in seeds:
        yield from (Case(n, m, "", seed, budget, views) for n, m in SIZES)
        yield from (Case(n, m, "", seed, budget, views, texts) for texts, (n, m, *_) in TEXTS.items())
        if views:
            continue
        yield from (Case(1000 if kind == "four-times" else 4000, 4000, kind, seed, budget) for kind in REPEATED)


def repeat(rows: IntArray, kind: str, rng: np.random.Generator) -> IntArray:
    """Return row numbers [n] in random order, with some of them repeated."""
    n = len(rows)
    if kind == "copies-of-20":
        rows = np.concatenate([rows[: n // 2], rows[rng.integers(20, size=n - n // 2)]])
    elif kind == "four-times":
        rows = np.repeat(rows, 4, axis=0)
    elif kind == "boilerplate":
        rows = np.concatenate([rows[: int(0.6 * n)], np.repeat(rows[:1], n - int(0.6 * n), axis=0)])
    return rows[rng.permutation(len(rows))]


@dataclass(frozen=True)
class Rows:
    """Rows of a fit, and the same held-out texts under both encoders."""

    source: FloatArray
    target: FloatArray
    views: dict[str, FloatArray]
    held: tuple[FloatArray, FloatArray]


def queries(case: Case, data: Path, vectors: Path) -> Rows:
    """Return rows of BEIR queries, with rows repeated as the case says."""
    source, target = (np.load(data / "spaces" / f"beir-queries.{name}.npy").astype(np.float32) for name in SPACES)
    order = np.random.default_rng(case.seed).permutation(len(source))
    held, rest = order[:POOL], order[POOL:]
    rng = np.random.default_rng([case.seed, 1])
    of_source, of_target = rest[: case.source], rest[case.source :][: case.target]
    x, of_target = source[repeat(of_source, case.repeated, rng)], repeat(of_target, case.repeated, rng)
    views = {name: np.load(vectors / f"beir-queries.{name}.npy")[of_target] for name in case.views}
    return Rows(x, target[of_target], views, (source[held], target[held]))


def other_texts(case: Case, vectors: Path) -> Rows:
    """Return rows of other texts than queries, of one corpus or two; the held-out texts are of the source's corpus."""

    def load(corpus: str, encoder: str) -> FloatArray:
        return np.load(vectors / f"{corpus}.{encoder}.npy").astype(np.float32)

    *_, (corpus, encoder), (other, target) = TEXTS[case.texts]
    source, truth, candidates = load(corpus, encoder), load(corpus, target), load(other, target)
    order = np.random.default_rng(case.seed).permutation(len(source))
    held, rest = order[:POOL], order[POOL:]
    of_target = np.random.default_rng([case.seed, 2]).permutation(len(candidates))
    of_target = (rest[case.source :] if corpus == other else of_target)[: case.target]
    views = {name: load(other, name)[of_target] for name in case.views}
    return Rows(source[rest[: case.source]], candidates[of_target], views, (source[held], truth[held]))


def fit(case: Case, data: Path, vectors: Path) -> dict[str, Any]:
    """Fit one case and measure its translator."""
    rows = other_texts(case, vectors) if case.texts else queries(case, data, vectors)
    x, y, (source, target) = rows.source, rows.target, rows.held
    start, clock = time.process_time(), time.perf_counter()
    alignment = interlingua.align(x, y, views=rows.views, method="linear", budget=case.budget, seed=case.seed)
    processor, wall = time.process_time() - start, time.perf_counter() - clock
    verdict = alignment.verdict
    return {
        "key": case.key,
        "n_source": len(x),
        "n_target": len(y),
        "repeated": case.repeated,
        "texts": case.texts,
        "seed": case.seed,
        "budget": case.budget,
        "views": list(case.views),
        "forward": scores(alignment.forward(source), target),
        "backward": scores(alignment.backward(target), source),
        "verdict": str(verdict.status),
        "verdict_score": verdict.score,
        "evidence": {evidence.name: evidence.value for evidence in verdict.evidence},
        "steps": [dict(step) for step in alignment.trace if step["step"] in STEPS],
        "processor_seconds": processor,
        "seconds": wall,
        "load": os.getloadavg()[0],
    }


def present(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records of the present search: those since merges take enough steps for each map to converge."""
    return [r for r in records if (r["seed"] >= 50 or r["budget"] is None) and not r["key"].endswith("former merges")]


def table(records: Sequence[dict[str, Any]]) -> str:
    """Return records as Markdown, a line for each case and budget: top-1 and verdict of each seed."""
    lines = [
        "| rows of source and target | seeds | top-1, forward / backward | verdicts | processor s, median |",
        "|---|---|---|---|--:|",
    ]
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in sorted(records, key=lambda r: r["seed"]):
        n, m = record["n_source"], record["n_target"]
        name = ", ".join(filter(None, (f"{n:,} and {m:,}", _NAMES.get(record.get("texts") or record["repeated"], ""))))
        limit = "" if record["budget"] is None else f", {record['budget']:.0f} s"
        groups.setdefault((-min(n, m), n, m, f"{name}{limit}"), []).append(record)
    for (*_, name), found in sorted(groups.items()):
        top1 = ", ".join(f"{r['forward']['top1']:.2f} / {r['backward']['top1']:.2f}" for r in found)
        seeds = ", ".join(str(r["seed"]) for r in found)
        verdicts = ", ".join(r["verdict"] for r in found)
        if len(found) > 1 and len({r["verdict"] for r in found}) == 1:
            verdicts = f"all {found[0]['verdict']}"
        seconds = np.median([r["processor_seconds"] for r in found])
        lines.append(f"| {name} | {seeds} | {top1} | {verdicts} | {seconds:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Fit what is not in the output yet."""
    parser = arguments_of(__doc__, "solver.jsonl", "10:13")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--budget", type=float, help="seconds of the second search; 0 for none")
    parser.add_argument("--views", nargs="*", default=[], metavar="MODEL", help="models of the views; none by default")
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    every = cases(arguments.seeds, arguments.budget, tuple(arguments.views))
    append_records(arguments, ((case.key, partial(fit, case, arguments.data, arguments.vectors)) for case in every))


if __name__ == "__main__":
    main()
