"""Fit every pair of encoders on four corpora, on the same and on different corpora; one JSON line a fit, resumed.

    python benchmarks/grid.py same --vectors DIR
    python benchmarks/grid.py different --vectors DIR

``same``: source and target are disjoint texts of one corpus. ``different``: the target's texts come from another
corpus. Held-out pairs are texts of the source's corpus. A record also has what the method's refinement makes of the
rotation that is fitted on the held-out pairs (``fixed_point``), which is what a search can reach at best, what a ridge
map reaches that is fitted on pairs of the texts of the source (``paired``), and the share of rows in the largest of 20
groups of texts that is translated to another group rather than to its own. ``--vectors``
holds what ``encode.py`` wrote with all encoders; cells whose vectors are missing are left out until they are there.

    python benchmarks/grid.py same --views --vectors DIR --out benchmarks/results/grid-views.jsonl

With ``--views``, a fit is given vectors of the target rows by the other encoders whose vectors are there and that have
no common origin with the source's encoder, for which the source's encoder is supposed to be unknown.

    python benchmarks/grid.py different --fixed-points --vectors DIR --out benchmarks/results/grid-fixed-points.jsonl

With ``--fixed-points``, nothing is fitted: a record has ``fixed_point`` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from records import append_all_records, append_records, arguments_of, scores

import interlingua
from interlingua.aligners.base import Problem
from interlingua.aligners.frames import polar
from interlingua.aligners.linear.aligner import Linear
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.maps import AffineMap

POOL, ROWS = 2048, 5000
ENCODERS = ("minilm", "use", "paraphrase", "e5-small", "wordllama", "model2vec")
CORPORA = ("nq-open", "opentriviaqa", "wiki-split", "clickbait")
GROUPS = 20
# Model2Vec is distilled from MiniLM, and paraphrase-MiniLM is a fine-tuned part of it.
RELATIVES = {"minilm", "paraphrase", "model2vec"}


@cache
def load(folder: Path, corpus: str, encoder: str) -> FloatArray:
    """Return all rows of a corpus in float32."""
    return np.load(folder / f"{corpus}.{encoder}.npy").astype(np.float32)


def misplaced_share(translated: FloatArray, truth: FloatArray) -> float:
    """Return the share of rows [p, d] in the largest group of texts that is translated to another group."""
    from sklearn.cluster import KMeans

    truth, translated = unit_rows(truth), unit_rows(translated)
    own = KMeans(GROUPS, random_state=0, n_init=3).fit(unit_rows(truth - truth.mean(axis=0))).labels_
    placed = own[(translated @ truth.T).argmax(axis=1)]
    landed = [np.bincount(placed[own == k], minlength=GROUPS).argmax() for k in range(GROUPS)]
    wrong = [np.mean(own == k) for k in range(GROUPS) if landed[k] != k]
    return float(max(wrong, default=0.0))


def paired_map(source: FloatArray, target: FloatArray) -> AffineMap:
    """Return the ridge map that is fitted on pairs of rows [n, d_source] and [n, d_target]."""
    mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - mean, target - target_mean
    penalty = 0.01 * np.trace(a.T @ a) / a.shape[1] * np.eye(a.shape[1], dtype=np.float32)
    return AffineMap(mean, np.linalg.solve(a.T @ a + penalty, a.T @ b), target_mean)


def key(
    corpora: tuple[str, str], encoders: tuple[str, str], seed: int, budget: float, views: Sequence[str] = ()
) -> str:
    """Return what tells a fit from all others."""
    name = f"{corpora[0]} | {corpora[1]}: {encoders[0]} -> {encoders[1]}/{seed}"
    return "/".join([name, *([f"{budget:g}"] if budget else []), *(["+".join(views)] if views else [])])


def views_of(corpora: tuple[str, str], encoders: tuple[str, str], folder: Path) -> list[str]:
    """Return the encoders of the views: those with vectors of the target's corpus and no relatives of the source's."""
    excluded = {*encoders, *(RELATIVES if encoders[0] in RELATIVES else ())}
    there = [name for name in ENCODERS if (folder / f"{corpora[1]}.{name}.npy").exists()]
    return [name for name in there if name not in excluded]


def needed(corpora: tuple[str, str], encoders: tuple[str, str]) -> set[str]:
    """Return the names of the files that a fit reads."""
    return {f"{corpora[0]}.{encoders[0]}", f"{corpora[0]}.{encoders[1]}", f"{corpora[1]}.{encoders[1]}"}


class Split(NamedTuple):
    """The rows of one cell of the grid.

    Attributes:
        source: rows of the source's side of the fit [n, d_source].
        target: rows of its target's side [m, d_target].
        rows: the row numbers of ``target`` among all vectors of its corpus [m].
        partners: the target encoder's vectors of the texts of ``source`` [n, d_target], which no unpaired fit sees.
        held: held-out pairs, texts of the source's corpus [POOL, d_source] and [POOL, d_target].
    """

    source: FloatArray
    target: FloatArray
    rows: IntArray
    partners: FloatArray
    held: tuple[FloatArray, FloatArray]


def split(corpora: tuple[str, str], encoders: tuple[str, str], seed: int, folder: Path) -> Split:
    """Return the rows of one cell of the grid."""
    a, b = load(folder, corpora[0], encoders[0]), load(folder, corpora[0], encoders[1])
    order = np.random.default_rng(seed).permutation(len(a))
    held, rest = order[:POOL], order[POOL:]
    size = min(ROWS, len(rest) // 2)
    target, rows = b, rest[size : 2 * size]
    if corpora[1] != corpora[0]:
        target = load(folder, corpora[1], encoders[1])
        rows = np.random.default_rng([seed, 1]).permutation(len(target))[:size]
    return Split(a[rest[:size]], target[rows], rows, b[rest[:size]], (a[held], b[held]))


def reach(cell: Split, seed: int) -> dict[str, float]:
    """Return the scores of what the method's refinement makes of the rotation that is fitted on the held-out pairs."""
    a, b = (unit_rows(rows - rows.mean(axis=0)) for rows in cell.held)
    refined = Linear().refine(Problem.of(cell.source, cell.target), polar(a.T @ b), seed=seed)
    return scores(refined.forward(cell.held[0]), cell.held[1])


def measure_reach(corpora: tuple[str, str], encoders: tuple[str, str], seed: int, folder: Path) -> list[dict[str, Any]]:
    """Measure what a search can reach at best in one cell of the grid."""
    cell = split(corpora, encoders, seed, folder)
    record = {"corpora": list(corpora), "encoders": list(encoders), "seed": seed}
    return [record | {"n_source": len(cell.source), "n_target": len(cell.target), "fixed_point": reach(cell, seed)}]


def fit(
    corpora: tuple[str, str],
    encoders: tuple[str, str],
    seed: int,
    budget: float,
    folder: Path,
    views: Sequence[str] = (),
) -> dict[str, Any]:
    """Fit one cell of the grid and measure its translator."""
    cell = split(corpora, encoders, seed, folder)
    seen = {name: load(folder, corpora[1], name)[cell.rows] for name in views}
    start, clock = time.process_time(), time.perf_counter()
    alignment = interlingua.align(cell.source, cell.target, views=seen, method="linear", seed=seed, budget=budget)
    processor, wall = time.process_time() - start, time.perf_counter() - clock
    source, target = cell.held
    translated = alignment.forward(source)
    return {
        "key": key(corpora, encoders, seed, budget, views),
        "corpora": list(corpora),
        "encoders": list(encoders),
        "seed": seed,
        "budget": budget,
        "views": list(views),
        "n_source": len(cell.source),
        "n_target": len(cell.target),
        "verdict": alignment.verdict.to_dict(),
        "forward": scores(translated, target),
        "backward": scores(alignment.backward(target), source),
        "misplaced_share": misplaced_share(translated, target),
        "fixed_point": reach(cell, seed),
        "paired": scores(paired_map(cell.source, cell.partners)(source), target),
        "processor_seconds": processor,
        "seconds": wall,
    }


def cells(suite: str, seeds: range) -> Iterator[tuple[tuple[str, str], tuple[str, str], int]]:
    """Yield corpora, encoders and seed of each fit: each pair of encoders in one direction first, in random order."""
    next_corpus = dict(zip(CORPORA, CORPORA[1:] + CORPORA[:1], strict=True))
    for seed in seeds:
        rng = np.random.default_rng(seed)
        pairs = list(combinations(ENCODERS, 2))
        for direction in (pairs, [pair[::-1] for pair in pairs]):
            drawn = list(product(CORPORA, direction))
            for i in rng.permutation(len(drawn)):
                corpus, encoders = drawn[i]
                yield (corpus, corpus if suite == "same" else next_corpus[corpus]), encoders, seed


def table(alone: Sequence[dict[str, Any]], with_views: Sequence[dict[str, Any]]) -> str:
    """Return as Markdown what views change: a line for each record with views, beside that of the same cell without."""
    found = {(*record["corpora"], *record["encoders"], record["seed"]): record for record in alone}
    lines = [
        "| texts | encoders | views | without views: top-1 | verdict | with views: top-1 | verdict |",
        "|---|---|---|--:|---|--:|---|",
    ]
    for record in sorted(with_views, key=lambda r: r["key"]):
        cells = [record["corpora"][0], " to ".join(record["encoders"]), ", ".join(record["views"])]
        for one in (found[*record["corpora"], *record["encoders"], record["seed"]], record):
            cells += [f"{one['forward']['top1']:.2f} / {one['backward']['top1']:.2f}", one["verdict"]["status"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Fit what is not in the output yet."""
    parser = arguments_of(__doc__, "grid.jsonl", "0:1")
    parser.add_argument("suite", choices=("same", "different"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--budget", type=float, default=0.0, help="seconds of the second search; 0 for none")
    parser.add_argument("--views", action="store_true", help="give the fits views of the target")
    parser.add_argument("--fixed-points", action="store_true", help="only measure what a search can reach at best")
    arguments = parser.parse_args()
    folder, budget = arguments.vectors, arguments.budget

    drawn = [
        cell
        for cell in cells(arguments.suite, arguments.seeds)
        if all((folder / f"{name}.npy").exists() for name in needed(*cell[:2]))
    ]
    if arguments.fixed_points:
        points = ((key(*cell, 0.0), partial(measure_reach, *cell, folder)) for cell in drawn)
        append_all_records(arguments, points, lambda record: f"{record['fixed_point']['top1']:.3f}")
        return

    def fits() -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
        for corpora, encoders, seed in drawn:
            views = views_of(corpora, encoders, folder) if arguments.views else []
            measure = partial(fit, corpora, encoders, seed, budget, folder, views)
            yield key(corpora, encoders, seed, budget, views), measure

    append_records(arguments, fits())


if __name__ == "__main__":
    main()
