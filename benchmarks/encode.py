"""Encode text corpora for ``fits.py``, ``leakage.py``, ``foreign.py`` and ``interlingua bench``.

Writes CORPUS.ENCODER.npy, float16 unit rows, the same rows for every encoder; CORPUS.texts.jsonl, their texts; and
where labels are to be inferred CORPUS.labels.ENCODER.npy, float32 [templates, labels, d].

    python benchmarks/encode.py --corpora ../shared/data/corpora --out benchmarks/vectors ENCODER...

Encoders are those of ``demo/make_data.py``, which also writes the Debian corpus: with
``make_data.py --cache benchmarks/vectors``.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.leakage.attributes import embed_labels

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import make_data

CORPORA = (
    *("nq-open", "wiki-split", "clickbait", "medquad", "mtsamples", "tweettopicXL"),
    *("opentriviaqa", "ag_news_test", "clinc150", "banking77", "enron1"),
)
# Encoded only with --only: those that dictionaries.py makes, and the texts of the vectors in ../spaces, in their order.
DICTIONARIES, QUERIES = ("wordnet", "foldoc"), "beir-queries"
LABELLED = ("tweettopicXL", "mtsamples")
ROWS, SEED, MIN_LENGTH, NOTE_WORDS = 12_000, 20_261_123, 8, 60
log = logging.getLogger(__name__)


def texts(folder: Path, corpus: str) -> list[str]:
    """Return distinct texts of a corpus in a fixed random order, or all of the queries; of a note its first words."""
    if corpus == QUERIES:
        with gzip.open(folder.parent / "spaces" / f"{QUERIES}.texts.jsonl.gz", "rt", encoding="utf-8") as stream:
            return [json.loads(line)["text"] for line in stream]
    found = [_text(record) for record in _records(folder, corpus)]
    distinct = list({text.lower(): text for text in reversed(found) if len(text) >= MIN_LENGTH}.values())[::-1]
    return [distinct[i] for i in np.random.default_rng(SEED).permutation(len(distinct))[:ROWS]]


def labels(folder: Path, corpus: str) -> dict[str, set[str]]:
    """Return the labels of every text in lower case; a note listed under several specialties has them all."""
    found: dict[str, set[str]] = {}
    for record in _records(folder, corpus):
        own = ast.literal_eval(record["label"]) if "label" in record else [record["medical_specialty"].strip()]
        found.setdefault(_text(record).lower(), set()).update(own)
    return found


def _records(folder: Path, corpus: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{corpus}.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def _text(record: dict[str, Any]) -> str:
    if "transcription" in record:
        return " ".join((record["transcription"] or "").split()[:NOTE_WORDS])
    return " ".join(str(record["text"]).split())


def main() -> None:
    """Encode every corpus with the encoders named, leaving out what is there already."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="+", choices=make_data.ENCODERS)
    parser.add_argument("--corpora", type=Path, default=Path("../shared/data/corpora"))
    parser.add_argument(
        "--only",
        nargs="+",
        choices=(*CORPORA, *DICTIONARIES, QUERIES),
        default=CORPORA,
        help=f"encode these corpora; by default all but {', '.join((*DICTIONARIES, QUERIES))}",
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for corpus in arguments.only:
        rows = texts(arguments.corpora, corpus)
        kept = arguments.out / f"{corpus}.texts.jsonl"
        if not kept.exists():
            carried = labels(arguments.corpora, corpus) if corpus in LABELLED else {}
            lines = ({"text": row} | ({"label": sorted(carried[row.lower()])} if carried else {}) for row in rows)
            kept.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        for name in arguments.encoders:
            path = arguments.out / f"{corpus}.{name}.npy"
            if not path.exists():
                vectors = make_data.ENCODERS[name].encode(rows, arguments.out)
                np.save(path, make_data.unit_rows(np.asarray(vectors, np.float32)).astype(np.float16))
                log.info("wrote %s: %d rows", path, len(rows))
    for corpus in (corpus for corpus in LABELLED if corpus in arguments.only):
        names = sorted(set().union(*labels(arguments.corpora, corpus).values()))
        for name in arguments.encoders:
            encoder = make_data.ENCODERS[name]
            spoken = [label.replace("_", " ") for label in names]
            layers = embed_labels(lambda batch, encoder=encoder: encoder.encode(batch, arguments.out), spoken)
            np.save(arguments.out / f"{corpus}.labels.{name}.npy", layers)


if __name__ == "__main__":
    main()
