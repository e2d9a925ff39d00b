"""Measure whether two models in one collection are noticed, and how often one model is taken for two.

    python benchmarks/mixtures.py --vectors DIR --data ../shared/data

DIR is that of `benchmarks/foreign.py`. Mixtures hold 5, 20 and 50 % of rows of another model; the wider one is cut.
Collections of one model are every corpus of 2,500 rows and more, and two corpora of one encoder together.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from foreign import Rows, Spaces, read_spaces

from interlingua.identification import find_mixture

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "mixtures.jsonl"
ROWS, SHARES = 5_000, (0.05, 0.2, 0.5)
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


def cases(spaces: Spaces) -> Iterator[dict[str, Any]]:
    """Yield the records of all collections."""
    rng = np.random.default_rng(0)
    for (first, first_corpus), (second, second_corpus) in PAIRS:
        for share in SHARES:
            rows, truth = together(spaces[first][first_corpus], spaces[second][second_corpus], share, rng)
            name = f"{first} {first_corpus} with {second} {second_corpus}"
            yield measure(name, rows, truth, models=2, true_share=share)
    for encoder, corpora in spaces.items():
        large = [corpus for corpus, rows in corpora.items() if len(rows) >= ROWS // 2]
        for corpus in large:
            yield measure(f"{encoder} {corpus}", corpora[corpus][:ROWS], None, models=1)
        for first, second in list(combinations(large, 2))[::4]:
            rows, _ = together(corpora[first], corpora[second], 0.5, rng)
            yield measure(f"{encoder} {first} and {second}", rows, None, models=1)


def main() -> None:
    """Measure, write the records and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    arguments = parser.parse_args()
    with OUT.open("w", encoding="utf-8") as stream:
        for record in cases(read_spaces(arguments.vectors, arguments.data)):
            stream.write(json.dumps(record) + "\n")
            stream.flush()
    records = [json.loads(line) for line in OUT.read_text("utf-8").splitlines()]
    for models in (2, 1):
        some = [record for record in records if record["models"] == models]
        sys.stdout.write(f"{models} models: found {sum(r['found'] for r in some)} of {len(some)}\n")


if __name__ == "__main__":
    main()
