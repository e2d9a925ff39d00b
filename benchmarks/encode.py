"""Encode text corpora for ``fits.py``: CORPUS.ENCODER.npy, float16 unit rows, the same rows for every encoder.

    python benchmarks/encode.py --corpora ../shared/data/corpora --out benchmarks/vectors ENCODER...

Encoders are those of ``demo/make_data.py``, which also writes the Debian corpus: with
``make_data.py --cache benchmarks/vectors``.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import make_data

CORPORA = ("nq-open", "wiki-split", "clickbait", "medquad", "mtsamples", "tweettopicXL")
ROWS, SEED, MIN_LENGTH, NOTE_WORDS = 12_000, 20_261_123, 8, 60
log = logging.getLogger(__name__)


def texts(folder: Path, corpus: str) -> list[str]:
    """Return distinct texts of a corpus in a fixed random order; of a medical note its first words."""
    with gzip.open(folder / f"{corpus}.jsonl.gz", "rt", encoding="utf-8") as stream:
        records: list[dict[str, Any]] = [json.loads(line) for line in stream]
    if corpus == "mtsamples":
        found = [" ".join((r["transcription"] or "").split()[:NOTE_WORDS]) for r in records]
    else:
        found = [" ".join(str(r["text"]).split()) for r in records]
    distinct = list({text.lower(): text for text in reversed(found) if len(text) >= MIN_LENGTH}.values())[::-1]
    return [distinct[i] for i in np.random.default_rng(SEED).permutation(len(distinct))[:ROWS]]


def main() -> None:
    """Encode every corpus with the encoders named, leaving out what is there already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="+", choices=make_data.ENCODERS)
    parser.add_argument("--corpora", type=Path, default=Path("../shared/data/corpora"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for corpus in CORPORA:
        rows = texts(arguments.corpora, corpus)
        for name in arguments.encoders:
            path = arguments.out / f"{corpus}.{name}.npy"
            if not path.exists():
                vectors = make_data.ENCODERS[name].encode(rows, arguments.out)
                np.save(path, make_data.unit_rows(np.asarray(vectors, np.float32)).astype(np.float16))
                log.info("wrote %s: %d rows", path, len(rows))


if __name__ == "__main__":
    main()
