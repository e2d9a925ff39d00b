"""Choose among several candidate targets and measure the choice on held-out pairs; one JSON line per fit, resumed.

    python benchmarks/candidates.py --vectors DIR --seeds 0:3

The source is nq-open (search questions) under the Universal Sentence Encoder. The candidates are corpora under
WordLlama: other texts of nq-open and three more in ``with``, and only the three in ``without``. In ``six``, other texts
of nq-open and five more corpora under MiniLM are candidates, and in ``one-file`` the same rows are one target, of which
a sixth is like the source. Source, targets and held-out texts are disjoint; the fit sees no pair.
``--vectors`` holds what ``encode.py use wordllama minilm`` wrote.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from records import append_records, arguments_of, scores

import interlingua
from interlingua.core.arrays import FloatArray

POOL = 2048
# Fewer than the default of 10: a candidate that needs more rounds is not the one that resembles the source.
ROUNDS = 3
CORPUS, SOURCE = "nq-open", "use"
OTHERS = ("opentriviaqa", "clickbait", "medquad")
SIX = (*OTHERS, "wiki-split", "beir-queries", CORPUS)
# Encoder and corpora of the targets.
CASES = {
    "with": ("wordllama", (*OTHERS, CORPUS)),
    "without": ("wordllama", OTHERS),
    "six": ("minilm", SIX),
    "one-file": ("minilm", SIX),
}


def load(folder: Path, corpus: str, encoder: str) -> FloatArray:
    """Return the first 10,000 rows of a corpus in float32."""
    return np.load(folder / f"{corpus}.{encoder}.npy")[:10_000].astype(np.float32)


def fit(case: str, seed: int, folder: Path) -> dict[str, Any]:
    """Fit one case and measure its translator."""
    encoder, corpora = CASES[case]
    a, b = load(folder, CORPUS, SOURCE), load(folder, CORPUS, encoder)
    order = np.random.default_rng(seed).permutation(len(a))
    held, rest = order[:POOL], order[POOL:]
    first, second = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    rng = np.random.default_rng([seed, 1])
    targets = {
        corpus: b[second]
        if corpus == CORPUS
        else (rows := load(folder, corpus, encoder))[rng.permutation(len(rows))[: len(second)]]
        for corpus in corpora
    }
    counts = {corpus: len(rows) for corpus, rows in targets.items()}
    target: Any = np.concatenate(list(targets.values())) if case == "one-file" else targets
    settings = {} if case == "one-file" else {"rounds": ROUNDS}
    start, clock = time.process_time(), time.perf_counter()
    alignment = interlingua.align(a[first], target, method="linear", seed=seed, **settings)
    processor, wall = time.process_time() - start, time.perf_counter() - clock
    return {
        "key": f"{case}/{seed}",
        "case": case,
        "seed": seed,
        **settings,
        "n_source": len(first),
        "encoder": encoder,
        "n_target": counts,
        "target": alignment.target.get("name"),
        "candidates": [dict(step) for step in alignment.candidates],
        "verdict": alignment.verdict.to_dict(),
        "forward": scores(alignment.forward(a[held]), b[held]),
        "backward": scores(alignment.backward(b[held]), a[held]),
        "processor_seconds": processor,
        "seconds": wall,
    }


def main() -> None:
    """Fit what is not in the output yet."""
    parser = arguments_of(__doc__, "candidates.jsonl", "0:3")
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    append_records(
        arguments,
        ((f"{case}/{seed}", partial(fit, case, seed, arguments.vectors)) for seed in arguments.seeds for case in CASES),
    )


if __name__ == "__main__":
    main()
