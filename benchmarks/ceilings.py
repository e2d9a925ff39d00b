"""What a keyword decoder reads of public texts from their own vectors; one JSON line per case, resumed.

    python benchmarks/ceilings.py --vectors DIR

This is `WordFindings.ceiling` of an audit. A case is a corpus, an encoder, a number of public texts, and the share of
them that belongs to other vectors, evenly spread: 0, a half or three quarters. The held-out fifth of the texts is read.
``--vectors`` holds what ``encode.py`` wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from records import append_all_records, arguments_of

from interlingua.leakage.inversion import KeywordDecoder
from interlingua.leakage.inversion.keywords import held_out_rows
from interlingua.leakage.inversion.scores import score_keywords

PAIRS = (
    ("nq-open", "wordllama"), ("clickbait", "wordllama"), ("medquad", "wordllama"), ("mtsamples", "wordllama"),
    ("enron1", "wordllama"), ("nq-open", "use"), ("wiki-split", "minilm"), ("ag_news_test", "model2vec"),
)  # fmt: skip
ROWS, MIXED = (4_000, 1_000, 600, 200), (0.0, 0.5, 0.75)


def measure(folder: Path, corpus: str, encoder: str, rows: int, mixed: float, seed: int) -> list[dict[str, Any]]:
    """Return the record of a case; none where the corpus has fewer rows."""
    vectors = np.load(folder / f"{corpus}.{encoder}.npy").astype(np.float32)[:rows]
    with (folder / f"{corpus}.texts.jsonl").open(encoding="utf-8") as stream:
        lines = [json.loads(line) for line in stream][:rows]
    if len(vectors) < rows:
        return []
    texts = [line if isinstance(line, str) else line["text"] for line in lines]
    rng = np.random.default_rng(seed)
    moved = rng.permutation(rows)[: round(mixed * rows)]
    given = list(texts)
    for row, other in zip(moved, np.roll(moved, 1), strict=True):
        given[row] = texts[other]
    decoder, held_out = KeywordDecoder.fit(vectors, given, seed=seed), held_out_rows(rows, seed)
    read = decoder.invert(vectors[held_out])
    found = score_keywords(read, [given[row] for row in held_out], decoder.vocabulary, seed=seed).leak_rate
    facts = {"corpus": corpus, "encoder": encoder, "rows": rows, "mixed": mixed, "seed": seed}
    return [{"key": key(corpus, encoder, rows, mixed, seed), **facts, "ceiling": found.interval.to_list()}]


def key(corpus: str, encoder: str, rows: int, mixed: float, seed: int) -> str:
    """Return what tells a case from all others."""
    return f"{corpus}/{encoder}/{rows}/{mixed:g}/{seed}"


def main() -> None:
    """Measure what is not in the output yet."""
    parser = arguments_of(__doc__, "leakage-ceilings.jsonl", "0:1")
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()

    def cases() -> Iterator[tuple[str, Callable[[], list[dict[str, Any]]]]]:
        for seed, pair, rows, mixed in product(arguments.seeds, PAIRS, ROWS, MIXED):
            yield key(*pair, rows, mixed, seed), partial(measure, arguments.vectors, *pair, rows, mixed, seed)

    append_all_records(arguments, cases(), lambda record: f"{record['ceiling'][0]:.2f}")


if __name__ == "__main__":
    main()
