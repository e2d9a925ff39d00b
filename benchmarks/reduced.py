"""Measure whether vectors of another model are noticed in spaces that were reduced by PCA.

    python benchmarks/reduced.py --vectors DIR --data ../shared/data

DIR holds CORPUS.ENCODER.npy as `benchmarks/encode.py` writes them. Every space is reduced by PCA on one corpus,
centered or not, and its profile is measured on up to 5,000 rows of that corpus, or on 1,000. Batches of 256 and of 50
rows are compared with it:

- of the right model: rows of the fitted corpus that were not fitted, rows of other corpora drawn at random, and the
  nearest rows of one row;
- of other models that were reduced to the same width by a PCA of their own; of the right model after a PCA of another
  corpus, with random signs of the columns, rotated, and with the opposite sign.

An existing file of results is not overwritten.

The limits in `interlingua.core.comparison` were chosen on fits of other corpora and models than these; some of the
batches of other corpora were in view.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from records import read_records

from interlingua.core.arrays import unit_rows
from interlingua.core.profiles import SpaceProfile

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "reduced.jsonl"
ENCODERS = ("wordllama", "model2vec", "use")
CORPORA = ("medquad", "opentriviaqa", "nq-open", "clickbait", "wiki-split", "clinc150", "mtsamples", "ag_news_test")
FIT_CORPORA = ("ag_news_test",)
KINDS = (
    "right model, fitted corpus",
    "right model, other corpora, random rows",
    "right model, other corpora, one topic",
    "another model, reduced too",
    "the model after a PCA of other texts",
    "random signs of the columns",
    "rotated",
    "opposite sign",
)
WIDTHS, SIZES, FIT_ROWS = (128,), (256, 50), 5_000
Rows = np.ndarray[Any, Any]
Reduce = Callable[[Rows], Rows]


def reduction(rows: Rows, width: int, *, centered: bool) -> Reduce:
    """Return a function that reduces rows by the PCA of these rows."""
    mean = rows.mean(axis=0) if centered else np.zeros(rows.shape[1], np.float32)
    wide = (rows - mean).astype(np.float64)
    axes = np.linalg.eigh(wide.T @ wide)[1][:, ::-1][:, :width].astype(np.float32)
    return lambda some: unit_rows((some - mean) @ axes)


def read_spaces(vectors: Path, data: Path) -> dict[str, dict[str, Rows]]:
    """Return unit rows by encoder and corpus; of BGE and MiniLM halves of the BEIR sets, whose texts differ in kind."""
    units = lambda rows: unit_rows(np.asarray(rows, np.float32))  # noqa: E731
    spaces = {e: {c: units(np.load(vectors / f"{c}.{e}.npy")) for c in CORPORA} for e in ENCODERS}
    with gzip.open(data / "spaces" / "beir-queries.texts.jsonl.gz", "rt", encoding="utf-8") as stream:
        sets = np.array([json.loads(line)["dataset"] for line in stream])
    names = sorted(set(sets))
    for encoder, full in (("bge", "bge-base-en-v1.5"), ("minilm", "all-MiniLM-L6-v2")):
        rows = units(np.load(data / "spaces" / f"beir-queries.{full}.npy"))
        spaces[encoder] = {}
        for number in range(2):
            some = rows[np.isin(sets, names[number::2])]
            spaces[encoder][f"beir-{number}"] = some[np.random.default_rng(0).permutation(len(some))]
    return spaces


def random_batches(rows: Rows, size: int, count: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield batches drawn without replacement."""
    for _ in range(count):
        yield rows[rng.choice(len(rows), min(size, len(rows)), replace=False)]


def topic_batches(rows: Rows, size: int, count: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield the nearest rows of one row."""
    for _ in range(count):
        yield rows[np.argsort(-(rows @ rows[rng.integers(len(rows))]))[:size]]


def tally(profile: SpaceProfile, batches: Iterator[Rows]) -> dict[str, Any]:
    """Return how many batches were refused and warned of, and quantiles of their structure scores."""
    compared = [profile.compare(batch) for batch in batches]
    scores = np.array([one.structure for one in compared])
    refused = sum(one.foreign for one in compared)
    known = scores[~np.isnan(scores)]
    facts = {"scores": np.quantile(known, (0, 0.01, 0.5, 0.99, 1)).round(2).tolist()} if len(known) else {}
    return {
        "batches": len(compared),
        "refused": refused,
        "warned": sum(one.doubtful for one in compared) - refused,
        "refused_by_structure": int(sum(one.structure < one.needed_structure for one in compared)),
        **facts,
    }


def measure(spaces: dict[str, dict[str, Rows]], count: int) -> Iterator[dict[str, Any]]:
    """Yield a record for every space and kind of batch."""
    rng = np.random.default_rng(0)
    cases = [
        (encoder, corpus, width, centered)
        for width in WIDTHS
        for centered in (True, False)
        for encoder, corpora in spaces.items()
        for corpus in (FIT_CORPORA if encoder in ENCODERS else corpora)
        if width < corpora[corpus].shape[1]
    ]
    reduced: dict[tuple[Any, ...], dict[tuple[str, str], Rows]] = {}
    for encoder, corpus, width, centered in cases:
        if (width, centered) not in reduced:
            # Every corpus of every model after its own PCA.
            reduced = {
                (width, centered): {
                    (e, c): reduction(rows[:FIT_ROWS], width, centered=centered)(rows)
                    for e, corpora in spaces.items()
                    for c, rows in corpora.items()
                    if rows.shape[1] >= width
                }
            }
        own = spaces[encoder][corpus]
        fitted = min(FIT_ROWS, len(own) * 2 // 3)
        reduce = reduction(own[:fitted], width, centered=centered)
        for rows in (fitted, 1_000):
            profile = SpaceProfile.of(reduce(own[:rows]))
            space = {"encoder": encoder, "corpus": corpus, "width": width, "centered": centered, "fit_rows": rows}
            space |= {"looks_reduced": profile.looks_reduced, "blind": profile.check == "none"}
            for size in SIZES:
                kinds: dict[tuple[str, bool], list[Iterator[Rows]]] = {}
                for kind, right, batches in batches_of(
                    spaces, reduced[width, centered], space, reduce, fitted, size, count, rng
                ):
                    kinds.setdefault((kind, right), []).append(batches)
                for (kind, right), several in kinds.items():
                    yield {**space, "rows": size, "kind": kind, "right": right, **tally(profile, chain(*several))}


def batches_of(
    spaces: dict[str, dict[str, Rows]],
    reduced: dict[tuple[str, str], Rows],
    space: dict[str, Any],
    reduce: Reduce,
    fitted: int,
    size: int,
    count: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, bool, Iterator[Rows]]]:
    """Yield the kinds of batches: their name, whether they are of the right model, and the batches."""
    corpora, few = spaces[space["encoder"]], max(count // 8, 2)
    left = reduce(corpora[space["corpus"]][fitted:])
    yield KINDS[0], True, random_batches(left, size, count, rng)
    for corpus, rows in corpora.items():
        if corpus != space["corpus"]:
            others = reduce(rows)
            yield KINDS[1], True, random_batches(others, size, count, rng)
            yield KINDS[2], True, topic_batches(others, size, count, rng)
            yield KINDS[4], False, random_batches(reduced[space["encoder"], corpus], size, few, rng)
    yield (
        KINDS[5],
        False,
        random_batches(left * rng.choice(np.array([-1, 1], np.float32), space["width"]), size, few, rng),
    )
    yield KINDS[6], False, random_batches(left @ rotation(space["width"], rng), size, few, rng)
    yield KINDS[7], False, random_batches(-left, size, few, rng)
    for (encoder, _), theirs in reduced.items():
        if encoder != space["encoder"]:
            yield KINDS[3], False, random_batches(theirs, size, few, rng)


def rotation(width: int, rng: np.random.Generator) -> Rows:
    """Return a random rotation."""
    return np.asarray(np.linalg.qr(rng.standard_normal((width, width)))[0], np.float32)


def table(records: list[dict[str, Any]]) -> str:
    """Return the counts by kind of batch and rows of the fit as a Markdown table."""
    columns = [(rows, few) for rows in SIZES for few in (False, True)]
    titles = (f"{rows} rows, fit on {'1,000' if few else '3,500 to 5,000'}" for rows, few in columns)
    lines = ["| batches | " + " | ".join(titles) + " |", "|---|" + "--:|" * len(columns)]
    for name in KINDS:
        cells = []
        for rows, few in columns:
            some = [r for r in records if r["kind"] == name and r["rows"] == rows and (r["fit_rows"] == 1_000) is few]
            some = [r for r in some if not r["blind"]]
            refused, warned, total = (sum(r[key] for r in some) for key in ("refused", "warned", "batches"))
            cells.append(f"{refused:,} (+{warned:,}) of {total:,}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write the records and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--batches", type=int, default=40, help="of the right model, for each corpus")
    arguments = parser.parse_args()
    if OUT.exists():
        parser.error(f"{OUT} exists. Move it before a new measurement.")
    with OUT.open("x", encoding="utf-8") as stream:
        for record in measure(read_spaces(arguments.vectors, arguments.data), arguments.batches):
            stream.write(json.dumps(record) + "\n")
            stream.flush()
    records = read_records(OUT)
    spaces = {tuple(r[k] for k in ("encoder", "corpus", "width", "centered", "fit_rows")): r for r in records}
    blind = sum(r["blind"] for r in spaces.values())
    sys.stdout.write(table(records) + f"{blind} of {len(spaces)} profiles are blind and left out of the table\n")


if __name__ == "__main__":
    main()
