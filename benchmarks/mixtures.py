"""Measure whether two models in one collection are noticed, and how often one model is taken for two.

    python benchmarks/mixtures.py --vectors DIR --data ../shared/data
    python benchmarks/mixtures.py --vectors DIR --more

DIR is that of `benchmarks/foreign.py`. Mixtures hold 5, 20 and 50% of rows of another model; the wider one is cut.
Collections of one model are every corpus of 2,500 rows and more, and two corpora of one encoder together.

A collection whose record is in the results is not measured again. `--more` adds mixtures of two
models on one kind of text, where CORPUS.minilm.npy and CORPUS.paraphrase.npy are in DIR too, and collections of one
model that were reduced by PCA to 128 columns, alone and two corpora together.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
from foreign import Rows, Spaces, read_spaces, units
from records import append, read_records
from reduced import reduction

from interlingua.identification import find_mixture

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "mixtures.jsonl"
ROWS, SHARES = 5_000, (0.05, 0.2, 0.5)
Case = tuple[tuple[str, float | None], Callable[[], dict[str, Any]]]
# Corpora of mixtures within one corpus, and of collections that are reduced.
ONE_KIND, REDUCED = ("nq-open", "opentriviaqa"), ("medquad", "opentriviaqa", "nq-open", "clickbait", "clinc150")
# The larger part and the smaller part: encoder and corpus.
PAIRS = (
    (("minilm", "beir"), ("paraphrase", "nq-open")),
    (("paraphrase", "opentriviaqa"), ("minilm", "beir")),
    (("use", "nq-open"), ("bge", "beir")),
    (("bge", "beir"), ("use", "wiki-split")),
    (("wordllama", "wiki-split"), ("paraphrase", "clickbait")),
)


def together(first: Rows, second: Rows, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Return rows of both, as many as there are up to 5,000, and whether each is of the second."""
    n = int(min(ROWS, len(first) / (1 - share), len(second) / share))
    few = int(n * share)
    width = min(first.shape[1], second.shape[1])
    parts = [rows[rng.choice(len(rows), m, replace=False)] for rows, m in ((first, n - few), (second, few))]
    order = rng.permutation(n)
    return np.concatenate([part[:, :width] for part in parts])[order], (np.arange(n) >= n - few)[order]


def case(name: str, rows: Rows, truth: Rows | None, **facts: Any) -> Case:
    """Return the key of a collection and the function that measures it."""
    return (name, facts.get("true_share")), partial(measure, name, rows, truth, **facts)


def measure(name: str, rows: Rows, truth: Rows | None, **facts: Any) -> dict[str, Any]:
    """Return whether a mixture was found, and how well its rows were named."""
    started = time.process_time()
    found = find_mixture(rows)
    record = {"name": name, "rows": len(rows), **facts, "found": found is not None}
    record["seconds"] = round(time.process_time() - started, 2)
    if found is not None:
        record |= {"share": round(found.share, 4), "spectra": [round(float(x), 3) for x in found.spectra]}
        if truth is not None:
            named = np.zeros(len(rows), bool)
            named[found.rows] = True
            right = float((named == truth).mean())
            record["named_right"] = round(max(right, 1 - right), 4)
    return record


def cases(spaces: Spaces) -> Iterator[Case]:
    """Yield all collections. Their rows are drawn also if a record exists, so that the other draws are the same."""
    rng = np.random.default_rng(0)
    for (first, first_corpus), (second, second_corpus) in PAIRS:
        for share in SHARES:
            rows, truth = together(spaces[first][first_corpus], spaces[second][second_corpus], share, rng)
            name = f"{first} {first_corpus} with {second} {second_corpus}"
            yield case(name, rows, truth, models=2, true_share=share)
    for encoder, corpora in spaces.items():
        large = [corpus for corpus, rows in corpora.items() if len(rows) >= ROWS // 2]
        for corpus in large:
            yield case(f"{encoder} {corpus}", corpora[corpus][:ROWS], None, models=1)
        for first, second in list(combinations(large, 2))[::4]:
            rows, _ = together(corpora[first], corpora[second], 0.5, rng)
            yield case(f"{encoder} {first} and {second}", rows, None, models=1)


def more_cases(folder: Path) -> Iterator[Case]:
    """Yield mixtures within one corpus, and collections of one model that were reduced by PCA."""
    rng = np.random.default_rng(0)
    read = lambda corpus, encoder: units(np.load(folder / f"{corpus}.{encoder}.npy"))  # noqa: E731
    for first, second, corpus in product(*[("minilm", "paraphrase", "wordllama", "model2vec")] * 2, ONE_KIND):
        widths = {"minilm": 384, "paraphrase": 384, "wordllama": 256, "model2vec": 256}
        if first == second or widths[first] != widths[second]:
            continue
        one, other = read(corpus, first), read(corpus, second)
        # No text is in both parts.
        half = len(one) // 2
        for share in SHARES:
            rows, truth = together(one[:half], other[half:], share, rng)
            yield case(f"{first} with {second}, both {corpus}", rows, truth, models=2, one_kind=True, true_share=share)
    for encoder in ("use", "wordllama"):
        spaces = {corpus: read(corpus, encoder) for corpus in REDUCED}
        reduce = reduction(np.concatenate([rows[:2_000] for rows in spaces.values()]), 128, centered=True)
        for corpus, rows in spaces.items():
            yield case(f"{encoder} {corpus}, 128 columns", reduce(rows[:ROWS]), None, models=1, reduced=True)
        for pair in combinations(REDUCED, 2):
            rows = np.concatenate([reduce(spaces[corpus][: ROWS // 2]) for corpus in pair])
            yield case(f"{encoder} {' and '.join(pair)}, 128 columns", rows, None, models=1, reduced=True)


def main() -> None:
    """Measure, write the records and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--more", action="store_true", help="one kind of text, and reduced collections")
    arguments = parser.parse_args()
    collections = (
        more_cases(arguments.vectors) if arguments.more else cases(read_spaces(arguments.vectors, arguments.data))
    )
    records = read_records(OUT)
    done = {(record["name"], record.get("true_share")) for record in records}
    for key, measured in collections:
        if key not in done:
            records.append(measured())
            append(OUT, records[-1:])
    totals, found = Counter(map(kind_of, records)), Counter(kind_of(r) for r in records if r["found"])
    for kind, total in sorted(totals.items()):
        sys.stdout.write(f"{kind}; found {found[kind]} of {total}\n")


def kind_of(record: dict[str, Any]) -> str:
    """Return the kind of a collection for the summary."""
    one_kind, reduced = record.get("one_kind", False), record.get("reduced", False)
    return f"models: {record['models']}, one kind of text: {one_kind}, reduced: {reduced}"


if __name__ == "__main__":
    main()
