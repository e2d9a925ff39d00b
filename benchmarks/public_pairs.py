"""Fit on pairs of public texts, and without pairs, and search the same collections; one JSON line a case, resumed.

    OMP_NUM_THREADS=1 nice python benchmarks/public_pairs.py --vectors DIR

A collection is a corpus under the old encoder; the texts of another corpus play the part of public texts, which both
encoders embed. ``own texts`` fits on pairs of texts of the collection's corpus instead, and ``unpaired`` on two
disjoint halves of it. No fit sees the 2,048 held-out texts, 300 of which are the queries. ``recall10``: the queries
under the new encoder search the translated rows of all other texts of the corpus, and the value is the share of the 10
nearest rows under the new encoder that are among the 10 nearest translated rows. ``check`` cases compare a collection
with the encoder that is named for it, by public texts alone, as `interlingua.align_encoders` does. ``--vectors`` holds
what ``encode.py`` wrote.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from records import append_records, arguments_of, scores

import interlingua as il
from interlingua._encoder_pairs import COMPARED_ROWS, RIDGE_PAIRS, check_collection
from interlingua.aligners import create_aligner
from interlingua.aligners.base import Problem, ignore_step
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.profiles import SpaceProfile
from interlingua.core.spaces import EmbeddingSpace

POOL, QUERIES, NEAREST, ROWS = 2048, 300, 10, 5000
CORPORA = ("nq-open", "wiki-split", "clickbait", "opentriviaqa")
COLLECTIONS = CORPORA[:3]
ENCODERS = (("use", "minilm"), ("wordllama", "minilm"))
COUNTS, CHECK_COUNTS = (100, 300, 1000, 3000, 10_000), (300, 3000)
METHODS = ("ridge", "procrustes")
# Encoders of one width, of which one can be taken for the other.
SAME_WIDTH = (
    ("minilm", "paraphrase"),
    ("paraphrase", "minilm"),
    ("wordllama", "model2vec"),
    ("model2vec", "wordllama"),
)
CHECKED = ("use", "minilm", "paraphrase", "wordllama", "model2vec")


@cache
def load(folder: Path, corpus: str, encoder: str) -> FloatArray:
    """Return all rows of a corpus in float32."""
    return np.load(folder / f"{corpus}.{encoder}.npy").astype(np.float32)


def recall(translated: FloatArray, truth: FloatArray, queries: FloatArray) -> float:
    """Return the mean share of the nearest true rows that are among the nearest translated rows [n, d]."""
    tops = [
        np.argpartition(-(unit_rows(queries) @ unit_rows(rows).T), NEAREST, axis=1)[:, :NEAREST]
        for rows in (translated, truth)
    ]
    return float(np.mean([len(set(a) & set(b)) / NEAREST for a, b in zip(*map(np.ndarray.tolist, tops), strict=True)]))


def measure(
    collection: str, encoders: tuple[str, str], texts: str, count: int, method: str, seed: int, folder: Path
) -> dict[str, Any]:
    """Fit one case and measure its translator on the collection."""
    old, new = (load(folder, collection, encoder) for encoder in encoders)
    order = np.random.default_rng(seed).permutation(len(old))
    held, rest = order[:POOL], order[POOL:]
    start, clock = time.process_time(), time.perf_counter()
    alignment: Any
    if method == "linear":
        size = min(ROWS, len(rest) // 2)
        alignment = il.align(old[rest[:size]], new[rest[size : 2 * size]], seed=seed)
    else:
        drawn = rest if texts == collection else np.random.default_rng([seed, 1]).permutation(len(old))
        x, y = (load(folder, texts, encoder)[drawn[:count]] for encoder in encoders)
        problem = Problem.of(x, y, pairs=np.stack([np.arange(count)] * 2, axis=1))
        alignment = create_aligner(method).fit(problem, seed=seed, on_step=ignore_step)
    processor, wall = time.process_time() - start, time.perf_counter() - clock
    queries, others = held[:QUERIES], order[QUERIES:]
    return {
        "kind": "fit",
        "collection": collection,
        "texts": texts if method != "linear" else None,
        "encoders": list(encoders),
        "pairs": count,
        "method": method,
        "seed": seed,
        "verdict": "not judged" if alignment.verdict is None else str(alignment.verdict.status),
        "forward": scores(alignment.forward(old[held]), new[held]),
        "backward": scores(alignment.backward(new[held]), old[held]),
        "recall10": recall(alignment.forward(old[others]), new[others], new[queries]),
        "processor_seconds": processor,
        "seconds": wall,
    }


def check(collection: str, named: str, real: str, texts: str, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Compare a collection of one encoder with another, or the same, by public texts under the latter."""
    start = time.process_time()
    public, rows = load(folder, texts, named), load(folder, collection, real)
    drawn = np.random.default_rng([seed, 1]).permutation(len(public))[:count]
    try:
        step = check_collection(EmbeddingSpace(public[drawn]), EmbeddingSpace(rows), "source", seed)
        answer = "agrees" if step["agrees"] else "undecided"
    except il.SpaceMismatchError:
        answer = "refused"
    sample = EmbeddingSpace(rows).rows(COMPARED_ROWS, np.random.default_rng(seed))
    compared = SpaceProfile.of(public[drawn]).compare(sample)
    return {
        "kind": "check",
        "collection": collection,
        "texts": texts,
        "encoders": [named, real],
        "pairs": count,
        "seed": seed,
        "verdict": answer,
        "spectrum": None if np.isnan(compared.spectrum) else compared.spectrum,
        "mean": compared.mean,
        "spread": compared.distortion,
        "forward": {"top1": None},
        "backward": {"top1": None},
        "processor_seconds": time.process_time() - start,
    }


def cases(seeds: range, folder: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield key and function of each case: fits on pairs, comparisons, and at last the long fits without pairs."""
    for (at, encoders), seed in product(enumerate(ENCODERS), seeds):
        for collection, texts, count, method in product(COLLECTIONS, CORPORA, COUNTS, METHODS):
            # So many texts of its own corpus would leave none to search.
            if texts != collection or count != COUNTS[-1]:
                key = f"{collection}: {encoders[0]} -> {encoders[1]}, {count} of {texts}, {method}/{seed}"
                yield key, partial(measure, collection, encoders, texts, count, method, seed, folder)
        for collection in COLLECTIONS:
            key = f"{collection}: {encoders[0]} -> {encoders[1]}, unpaired/{seed}"
            yield key, partial(measure, collection, encoders, collection, 0, "linear", seed, folder)
        if at == 0:
            yield from checks(seed, folder)


def checks(seed: int, folder: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield key and function of each comparison of a collection with an encoder."""
    same = [(encoder, encoder) for encoder in CHECKED]
    public = dict(zip(CORPORA, CORPORA[1:] + CORPORA[:1], strict=True))
    for count, collection, (named, real) in product(CHECK_COUNTS, CORPORA, (*same, *SAME_WIDTH)):
        key = f"check {collection}: {named}, really {real}, {count} of {public[collection]}/{seed}"
        yield key, partial(check, collection, named, real, public[collection], count, seed, folder)


def keyed(key: str, case: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the record of a case with its key."""
    return {"key": key, **case()}


def method_for(pairs: int) -> str:
    """Return the method that is shown for a number of pairs: without pairs `linear`, otherwise as `align_encoders`."""
    return "linear" if not pairs else "ridge" if pairs >= RIDGE_PAIRS else "procrustes"


def table(records: list[dict[str, Any]], encoders: tuple[str, str]) -> str:
    """Return recall at 10 and top-1 from one encoder to another as Markdown."""
    fits = [r for r in records if r["kind"] == "fit" and tuple(r["encoders"]) == encoders]
    public, own = (
        [r for r in fits if r["texts"] and (r["texts"] == r["collection"]) == same] for same in (False, True)
    )
    rows = {
        **{f"{count:,} public": (public, count) for count in COUNTS[1:]},
        "none: unpaired": (fits, 0),
        **{f"{count:,} of the collection": (own, count) for count in COUNTS[1:-1]},
    }
    lines = [f"| texts | {' | '.join(COLLECTIONS)} |", "|---|--:|--:|--:|"]
    for name, (chosen, count) in rows.items():
        used = [r for r in chosen if r["pairs"] == count and r["method"] == method_for(count)]
        cells = (_cell([r for r in used if r["collection"] == collection]) for collection in COLLECTIONS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(records: list[dict[str, Any]]) -> str:
    """Return the lowest and the highest recall of some fits, and in brackets those of top-1."""
    if not records:
        return ""
    recalls, firsts = [r["recall10"] for r in records], [r["forward"]["top1"] for r in records]
    spans = ("–".join(dict.fromkeys(f"{end(values):.2f}" for end in (min, max))) for values in (recalls, firsts))
    return "{} ({})".format(*spans)


def main() -> None:
    """Measure what is not in the output yet."""
    parser = arguments_of(__doc__, "public-pairs.jsonl", "0:1")
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    append_records(
        arguments, ((key, partial(keyed, key, case)) for key, case in cases(arguments.seeds, arguments.vectors))
    )


if __name__ == "__main__":
    main()
