"""Decisions at fixed thresholds on scores, before and after a translation; one JSON line a case, appended, resumed.

    OMP_NUM_THREADS=1 nice python benchmarks/score_calibration.py --vectors DIR

A threshold is a score of the real model that a share of all pairs of 250 queries and 6,000 documents exceeds. After the
translation the same pairs are compared with it: ``raw`` cosines, cosines that the calibration of the translator has
converted, cosines converted by a calibration with ``queries``: on 700 documents under the old model, 700 others under
the new one, and 250 other queries under either; and as a reference ``isotonic`` regression on 1,000 documents whose
vectors of both models are known.
``ratio`` is the number of decisions for a pair divided by that of the real model, ``jaccard`` the number of pairs that
both decide for, divided by the number that either does. ``gate`` is the share of queries for which "the best document
exceeds the threshold" is decided alike, at the quartiles of the best scores of the real model.

Scores are ``translated`` (queries of the new model, translated documents) and ``inverted`` (queries translated to the
old model, its documents); scales are those of the new model (``target``) and of the old one (``source``), whose own
scores are between queries and documents under that model. ``--vectors`` holds what ``retrieval_sets.py`` wrote; the
translators are those of ``retrieval.py``. No fit and no calibration sees a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from records import append_all_records, arguments_of
from retrieval import ENCODERS, KINDS
from retrieval_sets import PUBLIC, SETS, fitted, is_encoded, load
from sklearn.isotonic import IsotonicRegression

from interlingua.core.arrays import FloatArray, unit_rows

SHARES, QUARTILES, REFERENCE = (1e-2, 1e-3, 1e-4), (0.25, 0.5, 0.75), 1000
METHODS = ("raw", "calibrated", "queries", "isotonic")
# The last documents, which no fit has seen.
ASKED, ROWS = 250, 700


def decisions(scores: FloatArray, truth: FloatArray) -> dict[str, Any]:
    """Compare decisions by scores [q, n] with those by the scores of the real model."""
    pairs = []
    for share in SHARES:
        threshold = float(np.quantile(truth, 1 - share))
        before, after = truth >= threshold, scores >= threshold
        union = np.count_nonzero(before | after)
        pairs.append(
            {
                "share": share,
                "threshold": threshold,
                "ratio": float(after.sum() / before.sum()),
                "jaccard": float(np.count_nonzero(before & after) / union),
            }
        )
    best, found = truth.max(axis=1), scores.max(axis=1)
    limits = np.quantile(best, QUARTILES)
    return {"pairs": pairs, "gate": [float(((best >= t) == (found >= t)).mean()) for t in limits]}


def measure(name: str, encoders: tuple[str, str], kind: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Return the records of one translator."""
    old, new = ({part: unit_rows(z) for part, z in load(folder, name, encoder).items()} for encoder in encoders)
    translator = fitted(folder, name, encoders, kind, seed)
    asked = translator.fit_calibration(
        old["documents"][-ROWS:],
        new["documents"][-2 * ROWS : -ROWS],
        queries=(old["queries"][:ASKED], new["queries"][:ASKED]),
        allow_foreign=True,
    )
    for side in (old, new):
        side["queries"] = side["queries"][ASKED:]
    translated = unit_rows(translator.translate(old["documents"]))
    inverted, known = unit_rows(translator.invert(new["queries"])), slice(0, REFERENCE)
    truth = {side: z["queries"] @ z["documents"].T for side, z in (("target", new), ("source", old))}
    among = {side: z["documents"][known] @ z["documents"][known].T for side, z in (("target", new), ("source", old))}
    back = unit_rows(translator.invert(new["documents"][known]))
    scored = {
        "translated": (new["queries"] @ translated.T, new["documents"][known] @ translated[known].T),
        "inverted": (inverted @ old["documents"].T, back @ old["documents"][known].T),
    }
    others = ~np.eye(REFERENCE, dtype=bool)
    records = []
    for of, (raw, reference) in scored.items():
        for scale, real in truth.items():
            curve = IsotonicRegression(out_of_bounds="clip").fit(reference[others], among[scale][others])
            calibrated = None if translator.calibration is None else translator.calibrate(raw, of, scale)
            values = (raw, calibrated, asked.calibrate(raw, of, scale), curve.predict(raw.ravel()).reshape(raw.shape))
            for method, scores in zip(METHODS, values, strict=True):
                if scores is not None:
                    head = {"set": name, "encoders": list(encoders), "fit": kind, "seed": seed, "kind": of}
                    status = {"verdict": translator.card["verdict"]["status"], "scale": scale, "method": method}
                    records.append({**head, **status, **decisions(scores, real)})
    return records


def cases(seeds: range, folder: Path) -> Iterator[tuple[str, Callable[[], list[dict[str, Any]]]]]:
    """Yield key and function of each translator whose sets are encoded."""
    for encoders in ENCODERS:
        for name in (*SETS, "beir"):
            if is_encoded(folder, name, encoders):
                for kind in (kind for kind in reversed(KINDS) if kind != "public" or name in PUBLIC):
                    # Maps from pairs depend on no seed.
                    for seed in seeds if kind == "unpaired" else seeds[:1]:
                        key = f"{name}: {encoders[0]} -> {encoders[1]}, {kind}/{seed}"
                        yield key, partial(measure, name, encoders, kind, seed, folder)


_FIGURES = ("ratio", "gate")


def table(records: list[dict[str, Any]]) -> str:
    """Return the decisions of every translator as a Markdown table, ``raw`` and ``calibrated`` side by side.

    Cells are ranges over the sets: ``ratio`` at 1 pair in 10,000, and ``gate`` at the median best score.
    """
    names = {"raw": "raw", "calibrated": "calibrated", "queries": "with queries", "isotonic": "isotonic"}
    heads = [f"{what}: {names[m]}" if m == "raw" else names[m] for what in _FIGURES for m in METHODS]
    lines = ["| fit | scores | scale | " + " | ".join(heads) + " |", "|---|---|---|" + "--:|" * len(heads)]
    for fit, kind, scale in dict.fromkeys((r["fit"], r["kind"], r["scale"]) for r in records):
        cells = []
        for at in (len(SHARES) - 1, None):
            for method in METHODS:
                values = [
                    r["gate"][1] if at is None else r["pairs"][at]["ratio"]
                    for r in records
                    if (r["fit"], r["kind"], r["scale"], r["method"]) == (fit, kind, scale, method)
                    and r["verdict"] != "failed"
                ]
                cells.append(f"{min(values):.2f}–{max(values):.2f}" if values else "")
        model = "new" if scale == "target" else "old"
        lines.append(f"| {fit} | {kind} | {model} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is not in the output yet."""
    parser = arguments_of(__doc__, "score-calibration.jsonl", "0:3")
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    append_all_records(arguments, cases(arguments.seeds, arguments.vectors), _in_words)


def _in_words(record: dict[str, Any]) -> str:
    ratios = ", ".join(f"{each['ratio']:.2f}" for each in record["pairs"])
    gate = ", ".join(f"{value:.2f}" for value in record["gate"])
    names = " ".join(record[name] for name in ("kind", "scale", "method"))
    return f"{names}: ratios {ratios}; gate {gate}"


if __name__ == "__main__":
    main()
