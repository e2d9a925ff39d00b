"""How similar translations are to public texts where a fit is used on its own vectors, and on those of other texts.

    python benchmarks/similarity.py --vectors DIR --translators DIR

Every fit that ``calibration.py`` keeps and that did not fail is used on the third that it was made on, and on the first
four other corpora with vectors of the same encoder. The record of a case has the mean similarity to the nearest public
text, the same among public texts, its control, and estimated and measured shares of documents with a correct word.
``reached`` is where the similarity lies between its control (0) and that among public texts (1). An audit does not rely
on estimates below ``interlingua.leakage.findings.NEAR``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from calibration import KEPT, fitted, thirds
from records import append, arguments_with_translators, read_records

from interlingua.core.alignment import Status
from interlingua.leakage.audit import audit
from interlingua.leakage.inputs import GroundTruth, PublicCorpus

ROWS, OTHERS, DOCUMENTS = 12_000, 3_000, 500
CORPORA = 4
RESULTS = Path(__file__).resolve().parent / "results" / "leakage-similarity.jsonl"


def read(vectors: Path, corpus: str, encoder: str, rows: int) -> tuple[Any, list[str]]:
    """Return the first vectors of a corpus and their texts."""
    texts = (vectors / f"{corpus}.texts.jsonl").read_text("utf-8").splitlines()[:rows]
    matrix = np.load(vectors / f"{corpus}.{encoder}.npy", mmap_mode="r")[: len(texts)]
    return matrix.astype(np.float32), [json.loads(line)["text"] for line in texts[: len(matrix)]]


def summary(records: list[dict[str, Any]]) -> str:
    """Return a table of the similarities that were reached."""
    lines = ["| the fit is used on | cases | reached: least, median, most |", "|---|--:|--:|"]
    for name, own in (("its own vectors", True), ("vectors of other texts", False)):
        found = [record["reached"] for record in records if (record["on"] == record["corpus"]) is own]
        if found:
            spread = ", ".join(f"{float(np.quantile(found, q)):.2f}" for q in (0, 0.5, 1))
            lines.append(f"| {name} | {len(found)} | {spread} |")
    return "\n".join(lines)


def main() -> None:
    """Run cases that the records do not hold yet."""
    parser = arguments_with_translators(__doc__, RESULTS)
    arguments = parser.parse_args()
    records = read_records(arguments.out)
    if arguments.tables:
        sys.stdout.write(f"{summary(records)}\n")
        return
    done = {(record["fit"], record["on"]) for record in records}
    corpora = sorted(path.name.removesuffix(".texts.jsonl") for path in arguments.vectors.glob("*.texts.jsonl"))
    for folder in sorted(arguments.translators.iterdir()):
        kept = KEPT.fullmatch(folder.name)
        if kept is None or not folder.is_dir():
            continue
        fit, _ = fitted(folder, None, None, int(kept["seed"]))
        if fit.verdict.status is Status.FAILED:
            continue
        known, texts = read(arguments.vectors, kept["corpus"], kept["known"], ROWS)
        *sides, last = thirds(int(kept["seed"]), len(texts))
        own = sides[int(kept["third"])]
        rest = np.concatenate([sides[1 - int(kept["third"])], last])
        public = PublicCorpus(known[rest], [texts[i] for i in rest])
        decoder = public.fit_decoder()
        others = [
            name
            for name in corpora
            if name != kept["corpus"] and (arguments.vectors / f"{name}.{kept['encoder']}.npy").exists()
        ]
        for corpus in (kept["corpus"], *others[:CORPORA]):
            if (folder.name, corpus) in done:
                continue
            is_own = corpus == kept["corpus"]
            rows, true = read(arguments.vectors, corpus, kept["encoder"], ROWS if is_own else OTHERS)
            if is_own:
                rows, true = rows[own], [true[i] for i in own]
            found = audit([fit], rows, public, decoder=decoder, truth=GroundTruth(true), documents=DOCUMENTS)
            near, measured = found.retrieval, found.words.measured
            assert measured is not None
            span = near.public.value - near.control.value
            record = {
                "fit": folder.name, "corpus": kept["corpus"], "encoder": kept["encoder"], "known": kept["known"],
                "on": corpus, "verdict": str(fit.verdict.status), "rows": len(rows), "documents": found.rows,
                "nearest": round(near.nearest.value, 4), "public": round(near.public.value, 4),
                "control": round(near.control.value, 4),
                "reached": round((near.nearest.value - near.control.value) / span, 3),
                "estimated": round(found.words.leak_rate.value, 4), "measured": round(measured.leak_rate.value, 4),
            }  # fmt: skip
            append(arguments.out, [record])


if __name__ == "__main__":
    main()
