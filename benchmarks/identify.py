"""Make the table of fingerprints, and measure how often it is right on texts it has not seen.

    python benchmarks/identify.py table --vectors DIR --data ../shared/data
    python benchmarks/identify.py measure --vectors DIR --data ../shared/data

DIR holds CORPUS.ENCODER.npy as `benchmarks/encode.py` writes them. The table has one entry per model, the mean of all
corpora. `measure` leaves one corpus out at a time, identifies its vectors with a table of the others, and asks again
with the model taken out of the table, where the right answer is "unknown"; then for rotated and for float16 vectors.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.identification import UNKNOWN, Fingerprint, identify, save_table

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent / "src" / "interlingua" / "fingerprints.npz"
OUT = HERE / "results" / "identify.jsonl"
NAMES = {
    "minilm": "all-MiniLM-L6-v2",
    "wordllama": "WordLlama 256",
    "model2vec": "model2vec of all-MiniLM-L6-v2, 256",
    "use": "Universal Sentence Encoder",
    "all-MiniLM-L6-v2": "all-MiniLM-L6-v2",
    "bge-base-en-v1.5": "BGE-base-en-v1.5",
}


def collections(vectors: Path | None, data: Path) -> dict[str, dict[str, Path]]:
    """Return files by model and corpus."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    folders = [folder for folder in (vectors, data / "spaces") if folder and folder.is_dir()]
    for path in sorted(path for folder in folders for path in folder.glob("*.npy")):
        corpus, _, encoder = path.stem.partition(".")
        if encoder in NAMES:
            found[NAMES[encoder]][corpus] = path
    return found


def average(parts: Iterable[Fingerprint], name: str) -> Fingerprint:
    """Return one fingerprint of several corpora, each with the same weight."""
    parts = list(parts)
    mean, spread, spectrum = (
        np.mean([getattr(part, field) for part in parts], axis=0) for field in ("mean", "spread", "spectrum")
    )
    return Fingerprint(name, parts[0].d, all(part.unit for part in parts), mean, spread, spectrum)


def rotated(x: Any, seed: int) -> Any:
    """Return rows turned by a random rotation."""
    frame = np.linalg.qr(np.random.default_rng(seed).standard_normal((x.shape[1], x.shape[1])))[0]
    return (np.asarray(x, np.float32) @ frame).astype(np.float32)


def main() -> None:
    """Make the table, or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "measure"))
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    arguments = parser.parse_args()
    files = collections(arguments.vectors, arguments.data)
    prints = {
        model: {corpus: Fingerprint.of(np.load(path), model) for corpus, path in by_corpus.items()}
        for model, by_corpus in files.items()
    }
    if arguments.what == "table":
        save_table(TABLE, [average(by_corpus.values(), model) for model, by_corpus in sorted(prints.items())])
        return
    tally: dict[str, list[bool]] = defaultdict(list)
    with OUT.open("w", encoding="utf-8") as stream:
        for model, by_corpus in files.items():
            for corpus, path in by_corpus.items():
                x = np.load(path)
                others = {
                    name: [found for other, found in parts.items() if other != corpus] for name, parts in prints.items()
                }
                table = [average(parts, name) for name, parts in others.items() if parts]
                without = [entry for entry in table if entry.name != model]
                known = any(entry.name == model for entry in table)
                cases = [
                    ("known", x, table, model if known else UNKNOWN),
                    ("known, 500 rows", x[:500], table, model if known else UNKNOWN),
                    ("known, float16", x.astype(np.float16), table, model if known else UNKNOWN),
                    ("model not in the table", x, without, UNKNOWN),
                    ("rotated", rotated(x, len(corpus)), table, UNKNOWN),
                ]
                for case, rows, entries, right in cases:
                    found = identify(rows, table=entries)
                    name = case if right != UNKNOWN or not case.startswith("known") else "seen on this corpus only"
                    tally[name].append(found.model == right)
                    record = {"case": name, "model": model, "corpus": corpus, "rows": len(rows), "answer": found.model}
                    record |= {"right": found.model == right}
                    record["scores"] = {c.name: c.score for c in found.candidates}
                    stream.write(json.dumps(record) + "\n")
    for case, results in tally.items():
        sys.stdout.write(f"{case}: {sum(results)} of {len(results)} right\n")


if __name__ == "__main__":
    main()
