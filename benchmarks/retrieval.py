"""Search quality of translated collections, by route; one JSON line a case, appended, resumed.

    OMP_NUM_THREADS=1 nice python benchmarks/retrieval.py --vectors DIR

500 queries search 6,000 documents that the old model has embedded. Routes:

- new: every document embedded again with the new model, which is the goal
- old: the old model for documents and queries
- translated: translated documents, queries of the new model
- bridge: untouched documents of the old model, queries of the new model translated to the old one
- cascade: the first 20 to 500 of the translated documents, ranked again by their vectors of the new model

Translators are unpaired, fitted on pairs of public texts, or on pairs of texts of the same kind; no fit sees a query or
a judgment. ``judged`` are nDCG@10 and recall@10 by the relevance judgments of the set, where it has them, and ``own``
the same with the first 10 documents of the new model as the relevant ones. ``--vectors`` holds what
``retrieval_sets.py`` wrote.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from records import append_all_records, arguments_of
from retrieval_sets import PUBLIC, SETS, fitted, is_encoded, load

from interlingua.core.arrays import unit_rows
from interlingua.evaluation.retrieval import evaluate_ranking, rank_documents, relevance_of_ranking

K = 10
ENCODERS = (("use", "minilm"), ("bge", "minilm"), ("wordllama", "use"))
KINDS = ("unpaired", "public", "paired")
NOMINEES = (10, 20, 50, 100, 200, 500)


def quality(ranking: Any, relevant: Any, documents: int) -> dict[str, Any]:
    """Return nDCG and recall with their intervals as plain values."""
    return evaluate_ranking(ranking, relevant, documents=documents, k=K).to_dict()


def measure(name: str, encoders: tuple[str, str], kind: str | None, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Return the records of all routes of one translator, or without one those of both models."""
    old, new = (load(folder, name, encoder) for encoder in encoders)
    relevant = json.loads((folder / f"retrieval-{name}.json").read_text("utf-8"))["relevant"]
    goal = rank_documents(new["queries"], new["documents"], K)
    start = time.process_time()
    rankings: dict[tuple[str, int | None], Any]
    verdict = None
    if kind is None:
        rankings = {("new", None): goal, ("old", None): rank_documents(old["queries"], old["documents"], K)}
    else:
        translator = fitted(folder, name, encoders, kind, seed)
        verdict = translator.card["verdict"]["status"]
        translated = translator.translate(old["documents"])
        nominated = rank_documents(new["queries"], translated, max(NOMINEES))
        rankings = {
            ("translated", None): nominated[:, :K],
            ("bridge", None): rank_documents(translator.invert(new["queries"]), old["documents"], K),
        }
        if kind == "unpaired":
            units, queries = unit_rows(new["documents"]), unit_rows(new["queries"])
            scores = np.einsum("qnd,qd->qn", units[nominated], queries)
            for count in NOMINEES:
                order = np.argsort(-scores[:, :count], axis=1, kind="stable")[:, :K]
                rankings["cascade", count] = np.take_along_axis(nominated, order, axis=1)
    seconds = time.process_time() - start
    own, documents = relevance_of_ranking(goal), len(old["documents"])
    return [
        {
            "set": name,
            "encoders": list(encoders),
            "fit": kind,
            "seed": seed,
            "route": route,
            "nominees": count,
            "verdict": verdict,
            "judged": None if relevant is None else quality(ranking, relevant, documents),
            "own": quality(ranking, own, documents),
            "processor_seconds": round(seconds, 1),
        }
        for (route, count), ranking in rankings.items()
    ]


def cases(seeds: range, folder: Path) -> Iterator[tuple[str, Callable[[], list[dict[str, Any]]]]]:
    """Yield key and function of each translator whose sets are encoded."""
    for encoders in ENCODERS:
        for name in (*SETS, "beir"):
            if is_encoded(folder, name, encoders):
                for kind in (None, *(kind for kind in reversed(KINDS) if kind != "public" or name in PUBLIC)):
                    # Maps from pairs, and both models alone, depend on no seed.
                    for seed in seeds if kind == "unpaired" else seeds[:1]:
                        key = f"{name}: {encoders[0]} -> {encoders[1]}, {kind}/{seed}"
                        yield key, partial(measure, name, encoders, kind, seed, folder)


COLUMNS = (
    ("new model", None, "new"),
    ("old model", None, "old"),
    ("pairs of own texts", "paired", "translated"),
    ("pairs of public texts", "public", "translated"),
    ("unpaired", "unpaired", "translated"),
    ("bridge, own pairs", "paired", "bridge"),
    ("bridge, public pairs", "public", "bridge"),
    ("bridge, unpaired", "unpaired", "bridge"),
)


def table(records: list[dict[str, Any]], judge: str, figure: str) -> str:
    """Return a figure of each route as a Markdown table, a row for each set and pair of models.

    Args:
        records: of all cases.
        judge: ``judged`` or ``own``.
        figure: ``ndcg`` or ``recall``.
    """
    lines = ["| set | models | " + " | ".join(title for title, _, _ in COLUMNS) + " |"]
    lines.append("|---|---|" + "--:|" * len(COLUMNS))
    for name, encoders in dict.fromkeys((r["set"], tuple(r["encoders"])) for r in records if r[judge]):
        cells = []
        for _, fit, route in COLUMNS:
            found = [r for r in _of(records, name, encoders) if (r["fit"], r["route"]) == (fit, route)]
            text = " / ".join(f"{r[judge][figure][0]:.2f}" for r in found)
            verdicts = _verdicts(found)
            cells.append(f"{text} ({verdicts})" if verdicts else text)
        lines.append(f"| {name} | {encoders[0]} to {encoders[1]} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cascade_table(records: list[dict[str, Any]]) -> str:
    """Return recall@10 of the new model's own ranking by the number of nominees, as a Markdown table."""
    lines = [
        "| set | models | verdict | " + " | ".join(map(str, NOMINEES)) + " |",
        "|---|---|---|" + "--:|" * len(NOMINEES),
    ]
    for name, encoders in dict.fromkeys((r["set"], tuple(r["encoders"])) for r in records if r["nominees"]):
        found = [r for r in _of(records, name, encoders) if r["nominees"]]
        cells = [" / ".join(f"{r['own']['recall'][0]:.2f}" for r in found if r["nominees"] == n) for n in NOMINEES]
        verdict = _verdicts(found) or "aligned"
        lines.append(f"| {name} | {encoders[0]} to {encoders[1]} | {verdict} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _verdicts(records: list[dict[str, Any]]) -> str:
    """Return the verdicts of the seeds: one if they are the same, nothing if all are aligned."""
    found = [r["verdict"] for r in records if r["nominees"] in (None, NOMINEES[0])]
    unlike = [verdict for verdict in found if verdict not in (None, "aligned")]
    return " / ".join(found if len(set(found)) > 1 else found[:1]) if unlike else ""


def _of(records: list[dict[str, Any]], name: str, encoders: tuple[str, ...]) -> list[dict[str, Any]]:
    return [r for r in records if r["set"] == name and tuple(r["encoders"]) == encoders]


def main() -> None:
    """Measure what is not in the output yet."""
    parser = arguments_of(__doc__, "retrieval.jsonl", "0:3")
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    arguments = parser.parse_args()
    append_all_records(arguments, cases(arguments.seeds, arguments.vectors), _in_words)


def _in_words(record: dict[str, Any]) -> str:
    judged = record["judged"] and f"{record['judged']['ndcg'][0]:.3f}"
    found = f"own recall {record['own']['recall'][0]:.3f}, judged nDCG {judged}"
    return f"{record['route']} {record['nominees'] or ''}: {found}"


if __name__ == "__main__":
    main()
