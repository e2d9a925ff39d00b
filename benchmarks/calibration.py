"""How far an audit's calibrated estimates are from the truth; one JSON line per case, appended and resumed.

    python benchmarks/calibration.py --vectors DIR --fits 2

A case is a corpus and a pair of encoders. Half of a corpus is audited under the victim's encoder, the other half is the
public text under the known encoder, and a third encoder is the stand-in, which is translated by a fit of its own. The
fits see no pairs. The audit's estimates of the share of documents with a correct word and of the precision of the words
are compared with the true texts. Where the stand-in is not aligned, the decoder is calibrated with the corpus alone.
``--vectors`` holds what ``encode.py`` wrote, ``--rows`` limits the rows of a corpus. The errors are summarized by
``interlingua.leakage.calibration``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import interlingua as il
from interlingua.leakage.audit import audit
from interlingua.leakage.inputs import GroundTruth, PublicCorpus

CORPORA = ("nq-open", "opentriviaqa", "clickbait", "ag_news_test", "wiki-split", "medquad", "clinc150")
# (victim, known, stand-in)
PAIRS = (
    ("use", "wordllama", "paraphrase"),
    ("use", "paraphrase", "wordllama"),
    ("paraphrase", "wordllama", "use"),
)
RESULTS = Path(__file__).resolve().parent / "results" / "leakage-calibration.jsonl"


def measure(
    corpus: str, pair: tuple[str, str, str], seed: int, fits: int, rows: int, folder: Path
) -> Iterator[dict[str, Any]]:
    """Audit one half of a corpus with the other half as public text, with the first fit alone and with all fits."""
    victim, known, stand_in = (np.load(folder / f"{corpus}.{name}.npy")[:rows].astype(np.float32) for name in pair)
    lines = (folder / f"{corpus}.texts.jsonl").read_text("utf-8").splitlines()[:rows]
    texts = [json.loads(line)["text"] for line in lines]
    audited, public = np.array_split(np.random.default_rng(seed).permutation(len(texts)), 2)
    evidence = PublicCorpus(known[public], [texts[i] for i in public], stand_in[public]).align_stand_in(seed)
    decoder = evidence.fit_decoder(seed)
    assert evidence.stand_in_fit is not None
    truth = GroundTruth([texts[i] for i in audited])
    started = time.process_time()
    alignments = [il.align(victim[audited], known[public], seed=seed + number) for number in range(fits)]
    seconds = time.process_time() - started
    for count in sorted({1, fits}):
        result = audit(alignments[:count], victim[audited], evidence, decoder=decoder, truth=truth, seed=seed)
        yield {
            "fits": count,
            "rows": len(audited),
            "documents": result.rows,
            "verdicts": list(result.verdicts),
            "stand_in_verdict": str(evidence.stand_in_fit.verdict.status),
            "calibrated_with": decoder.calibrated_with,
            "translation_cosine": decoder.translation_cosine,
            "agreement": result.agreement,
            "words": result.words.to_dict(),
            "fit_seconds": round(seconds / fits * count, 1),
        }


def main() -> None:
    """Run every case that the records do not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--fits", type=int, default=2)
    parser.add_argument("--rows", type=int, default=8_000, help="rows of a corpus, half of them audited")
    parser.add_argument("--seeds", default="0:1", help="first:last")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    arguments = parser.parse_args()
    done = set()
    if arguments.out.exists():
        done = {json.loads(line)["key"] for line in arguments.out.read_text("utf-8").splitlines()}
    for seed in range(*map(int, arguments.seeds.split(":"))):
        for corpus in CORPORA:
            for pair in PAIRS:
                key = f"{corpus}/{'/'.join(pair)}/{seed}"
                if key in done or arguments.only not in key:
                    continue
                case = {"key": key, "corpus": corpus, **dict(zip(("victim", "known", "stand_in"), pair, strict=True))}
                records = [
                    case | {"seed": seed} | found
                    for found in measure(corpus, pair, seed, arguments.fits, arguments.rows, arguments.vectors)
                ]
                with arguments.out.open("a", encoding="utf-8") as stream:
                    stream.writelines(json.dumps(record) + "\n" for record in records)
                sys.stderr.write(f"{key}: done\n")


if __name__ == "__main__":
    main()
