"""Membership tests and links on the fits that ``calibration.py`` keeps; one JSON line per case.

    python benchmarks/membership.py --vectors DIR --translators DIR

A case is a corpus, the encoder of the leak and the known encoder. The leaked third of the corpus was aligned with the
last third under the known encoder, without pairs. ``membership``: records of the leaked third under the known encoder
are the members, and those of the other third the controls; both are of one corpus, and neither was in the fit or is
among the public texts, which are the last third. ``linkage``: a second leak holds rows of the other third under another
encoder, and in three of four cases rows of the leaked third too. Its map is the kept fit of that encoder, which saw the
rows of the other third only. With no shared row every link is false.

No new fit is made, so a case takes seconds. Cases in the records are left out. ``--tables`` prints a table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from calibration import KEPT, thirds
from records import arguments_with_translators, read_records

from interlingua.core.arrays import unit_rows
from interlingua.core.translator import load
from interlingua.leakage.linkage import linkage
from interlingua.leakage.membership import membership

RESULTS = Path(__file__).resolve().parent / "results" / "leakage-membership.jsonl"
_ROWS = 12_000
_SHARED = (0.0, 0.25, 0.5, 1.0)


class Fit:
    """A kept fit, and the rows that it belongs to."""

    def __init__(self, folder: Path, vectors: Path) -> None:
        match = KEPT.fullmatch(folder.name)
        if match is None:
            raise SystemExit(f"{folder} is not named as calibration.py names its fits.")
        self.corpus, self.leaked, self.known = match["corpus"], match["encoder"], match["known"]
        self.seed, self.third = int(match["seed"]), int(match["third"])
        self.vectors = vectors
        self.translator = load(folder)

    def rows(self, encoder: str) -> Any:
        """Return all rows of the corpus under an encoder."""
        return np.load(self.vectors / f"{self.corpus}.{encoder}.npy", mmap_mode="r")[:_ROWS].astype(np.float32)

    def thirds(self) -> tuple[Any, Any, Any]:
        """Return the rows of the leaked third, of the other and of the last one."""
        *sides, last = thirds(self.seed, len(self.rows(self.known)))
        return sides[self.third], sides[1 - self.third], last

    @property
    def facts(self) -> dict[str, Any]:
        """Return what a record says of the fit."""
        names = {"corpus": self.corpus, "leaked": self.leaked, "known": self.known, "seed": self.seed}
        return {**names, "third": self.third, "verdict": self.translator.card["verdict"]["status"]}

    def translate(self, rows: Any) -> Any:
        """Return unit rows in the space of the known encoder."""
        return unit_rows(np.asarray(self.translator.forward(rows), np.float32))


def found(fit: Fit) -> dict[str, Any]:
    """Test membership of records of the leaked third against records of the other third."""
    leaked, other, last = fit.thirds()
    known = fit.rows(fit.known)
    test = membership(known[leaked], known[other], fit.translate(fit.rows(fit.leaked)[leaked]), known[last])
    return {"key": f"membership/{_name(fit)}", **fit.facts, **test.to_dict()}


def linked(fit: Fit, second: Fit) -> Iterator[dict[str, Any]]:
    """Link the leaked third with a second leak of another model that shares none, a part or all of its rows."""
    leaked, other, _ = fit.thirds()
    first = fit.translate(fit.rows(fit.leaked)[leaked])
    for share in _SHARED:
        shared = leaked[: int(share * len(leaked))]
        rows = np.concatenate([shared, other[len(shared) :]])
        translated = second.translate(second.rows(second.leaked)[rows])
        # Rows and not texts are compared: a text may occur twice in a corpus.
        names = [str(row) for row in leaked], [str(row) for row in rows]
        found_links = linkage(first, translated, texts=names)
        key = f"linkage/{_name(fit)}/{second.leaked}/{share}"
        facts = {**fit.facts, "second": second.leaked, "second_verdict": second.facts["verdict"], "share": share}
        yield {"key": key, **facts, **found_links.to_dict()}


def _name(fit: Fit) -> str:
    return f"{fit.corpus}/{fit.leaked}/{fit.known}/{fit.seed}/{fit.third}"


def table(records: list[dict[str, Any]]) -> str:
    """Return a table of the membership tests and one of the links."""
    lines = [
        "| corpus | leak, known encoder | verdict | area under the ROC curve | without the leak | found at 1% false "
        "alarms | at 0.1% | members, controls |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    tests = sorted((r for r in records if r["key"].startswith("membership")), key=lambda r: str(r["key"]))
    for record in tests:
        rates = [record["found"][rate] for rate in ("0.01", "0.001")]
        shares = ["–" if rate is None else _interval(rate) for rate in rates]
        lines.append(
            f"| {record['corpus']} | {record['leaked']}, {record['known']} | {record['verdict']} "
            f"| {_interval(record['auc'])} | {_interval(record['blind_auc'])} | {' | '.join(shares)} "
            f"| {record['members']:,}, {record['controls']:,} |"
        )
    lines += [
        "",
        "| corpus | leaks, known encoder | shared rows | linked | p-value | links that are right | shared rows found |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for record in sorted((r for r in records if r["key"].startswith("linkage")), key=lambda r: str(r["key"])):
        measured = record["measured"]
        right, recall = (_interval(measured[name]) for name in ("precision", "recall"))
        lines.append(
            f"| {record['corpus']} | {record['leaked']} and {record['second']}, {record['known']} "
            f"| {record['share']:.0%} | {record['linked'][0]:.1%} | {record['p_value']:.3f} | {right} | {recall} |"
        )
    return "\n".join(lines)


def _interval(values: list[float | None]) -> str:
    if None in values:
        return "–"
    return f"{values[0]:.2f} ({values[1]:.2f} to {values[2]:.2f})"


def main() -> None:
    """Run the cases that the records do not hold yet."""
    parser = arguments_with_translators(__doc__, RESULTS)
    arguments = parser.parse_args()
    records = read_records(arguments.out)
    if arguments.tables:
        sys.stdout.write(f"{table(records)}\n")
        return
    done = {record["key"] for record in records}
    fits = [Fit(path, arguments.vectors) for path in sorted(arguments.translators.iterdir()) if path.is_dir()]
    with arguments.out.open("a", encoding="utf-8") as stream:

        def write(record: dict[str, Any]) -> None:
            if record["key"] in done:
                return
            # The recall of no shared row is no number, which JSON cannot hold.
            finite = json.loads(json.dumps(record), parse_constant=lambda _: None)
            stream.write(json.dumps(finite) + "\n")
            stream.flush()

        for fit in fits:
            if f"membership/{_name(fit)}" not in done:
                write(found(fit))
            for second in fits:
                same = (fit.corpus, fit.known, fit.seed) == (second.corpus, second.known, second.seed)
                if not same or fit.third == second.third or fit.leaked == second.leaked:
                    continue
                if f"linkage/{_name(fit)}/{second.leaked}/{_SHARED[-1]}" not in done:
                    for record in linked(fit, second):
                        write(record)


if __name__ == "__main__":
    main()
