"""Sentences from vectors by a guided search that needs no weights of a language model; one JSON line per case.

    python benchmarks/guided.py --vectors DIR --translators DIR

Leaked documents under the victim's encoder are translated into WordLlama, by a fit without pairs, and written by
``GuidedDecoder``: ``ngram_model`` proposes words that follow each other in public texts, and WordLlama scores what they
make. Methods: ``all``, word sequences of all public texts; ``near``, those of the 50 public texts nearest to
the vector; and ``retrieval``, the nearest public text itself. Each is scored on translated and on true vectors, beside
another document's text of about the same length and random public texts. ``--vectors`` holds what ``encode.py`` wrote;
the fits are those of ``calibration.py``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from calibration import fitted
from records import append, arguments_with_translators, read_records

from interlingua.leakage.centering import collection_mean
from interlingua.leakage.inversion import CorpusRetrieval, Extraction, GuidedDecoder, ngram_model
from interlingua.leakage.inversion.scores import reencoded_cosine, score_texts

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import make_data

CASES = (("nq-open", "use"), ("opentriviaqa", "use"))
KNOWN, NEAR = "wordllama", 50
SEARCH: dict[str, Any] = {"beams": 6, "branch": 24, "steps": 16, "prompt": ""}
RESULTS = Path(__file__).resolve().parent / "results" / "leakage-guided.jsonl"


def measure(corpus: str, victim: str, seed: int, vectors: Path, translators: Path, documents: int) -> dict[str, Any]:
    """Return the scores of every method for a corpus."""
    x, y = (np.load(vectors / f"{corpus}.{name}.npy")[:12_000].astype(np.float32) for name in (victim, KNOWN))
    lines = (vectors / f"{corpus}.texts.jsonl").read_text("utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[: len(x)]]
    first, second, last = np.array_split(np.random.default_rng(seed).permutation(len(x)), 3)
    alignment, _ = fitted(translators / f"{corpus}.{victim}.{KNOWN}.{seed}.1", x[second], y[last], seed)
    public = np.concatenate([first, last])
    public_texts = [texts[i] for i in public]
    picked = second[:documents]
    true = [texts[i] for i in picked]
    translated = np.asarray(alignment.forward(x[second]), np.float32)
    sides = {
        "translated": (translated[:documents], collection_mean(translated)),
        "true vectors": (y[picked], collection_mean(y[public])),
    }
    encode = partial(make_data.ENCODERS[KNOWN].encode, cache=None)
    record: dict[str, Any] = {
        "key": f"{corpus}/{victim}/{KNOWN}/{seed}", "verdict": str(alignment.verdict.status), "documents": len(picked),
        "public": len(public), "search": {**SEARCH, "near": NEAR}, "figures": {},
    }  # fmt: skip
    for method, write in methods(y[public], public_texts, encode).items():
        for side, (rows, mean) in sides.items():
            started = time.process_time()
            found = write(rows, mean)
            record["figures"][f"{method}, {side}"] = {
                **score_texts(found, true, floor=public_texts, seed=seed).to_dict(),
                "reencoded": reencoded_cosine(found, true, rows - mean + y.mean(axis=0), encode, seed=seed).to_dict(),
                "seconds": round(time.process_time() - started, 1),
            }
    return record


def methods(
    known: Any, texts: list[str], encode: Callable[[list[str]], Any]
) -> dict[str, Callable[[Any, Any], list[Extraction]]]:
    """Return the methods by name: each takes vectors and their mean."""
    retrieval = CorpusRetrieval.of(known, texts, k=NEAR)
    center = collection_mean(known)
    everywhere = GuidedDecoder(ngram_model(texts), encode, center, **SEARCH)

    def near(rows: Any, mean: Any) -> list[Extraction]:
        found = []
        for row, extraction in zip(rows, retrieval.invert(rows, mean=mean), strict=True):
            language = ngram_model([neighbor.text for neighbor in extraction.neighbors], order=2)
            found += GuidedDecoder(language, encode, center, **SEARCH).invert(row[None], mean=mean)
        return found

    return {
        "retrieval": lambda rows, mean: retrieval.invert(rows, mean=mean),
        "all": lambda rows, mean: everywhere.invert(rows, mean=mean),
        "near": near,
    }


def table(records: list[dict[str, Any]]) -> str:
    """Return the scores as a table: value, another document's, and that of random public texts."""
    lines = ["| case | method | words (F1) | order (ROUGE-L) | names and numbers |", "|---|---|--:|--:|--:|"]
    for record in records:
        for name, figures in record["figures"].items():
            cells = []
            for figure in ("token_f1", "rouge_l", "entity_recall"):
                own = figures[figure]
                cells.append(" / ".join(f"{own[part][0]:.2f}" for part in ("value", "control", "floor")))
            lines.append(f"| {record['key']} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the cases that the records do not hold yet."""
    parser = arguments_with_translators(__doc__, RESULTS)
    parser.add_argument("--documents", type=int, default=200)
    arguments = parser.parse_args()
    records = read_records(arguments.out)
    if arguments.tables:
        sys.stdout.write(f"{table(records)}\n")
        return
    done = {record["key"] for record in records}
    for corpus, victim in CASES:
        if f"{corpus}/{victim}/{KNOWN}/0" in done:
            continue
        record = measure(corpus, victim, 0, arguments.vectors, arguments.translators, arguments.documents)
        append(arguments.out, [record])


if __name__ == "__main__":
    main()
