"""Measure which vectors a translator refuses, and how often it refuses vectors of the right model.

    python benchmarks/foreign.py --vectors DIR --data ../shared/data

DIR holds CORPUS.ENCODER.npy as `benchmarks/encode.py` writes them, for the encoders use, wordllama and paraphrase. Five
translators are fitted on pairs (the map does not matter here), saved and loaded. Both directions of each get batches of
50 rows:

- of the right model, from corpora that the fit has not seen: drawn at random, and 50 neighbors of one row;
- of ten wrong kinds, made from rows of the fitted corpus that the fit has not seen, and from the other corpora.

The limits in `interlingua.core.profiles` were chosen on the corpora of CHOSEN_ON, and that of the mean was lowered once
more after a first run over all others. The corpora banking77, tweettopicXL and enron1 were measured after that, with
`--only`. Every record says whether its corpus was among the chosen.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from records import read_records

import interlingua as il
from interlingua.core.arrays import unit_rows
from interlingua.core.profiles import SpaceProfile

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "foreign.jsonl"
ROWS, FIT_ROWS = 50, 8_000
CHOSEN_ON = ("nq-open", "wiki-split", "clickbait", "debian")
UNSEEN = ("banking77", "tweettopicXL", "enron1")
# Source, target, corpus of the fit.
TRANSLATORS = (
    ("bge", "minilm", "beir"),
    ("use", "wordllama", "debian"),
    ("use", "paraphrase", "nq-open"),
    ("wordllama", "paraphrase", "opentriviaqa"),
    ("use", "wordllama", "wiki-split"),
)
Rows = np.ndarray[Any, Any]
Spaces = dict[str, dict[str, Rows]]


def read_spaces(vectors: Path, data: Path) -> Spaces:
    """Return unit rows by encoder and corpus; the BEIR questions are one corpus for each of their data sets."""
    spaces: Spaces = {name: {} for name in ("use", "wordllama", "paraphrase", "bge", "minilm")}
    for path in sorted(vectors.glob("*.npy")):
        corpus, _, encoder = path.stem.partition(".")
        if encoder in spaces:
            spaces[encoder][corpus] = units(np.load(path))
    demo = HERE.parent / "demo" / "data"
    for encoder, side in (("use", "source"), ("wordllama", "target")):
        # The paired rows come first, so that row i of both encoders is the same text as far as the pairs go.
        spaces[encoder]["debian"] = units(np.concatenate([np.load(demo / f"{s}{side}.npy") for s in ("eval-", "")]))
    with gzip.open(data / "spaces" / "beir-queries.texts.jsonl.gz", "rt", encoding="utf-8") as stream:
        sets = np.array([json.loads(line)["dataset"] for line in stream])
    names = [name for name in sorted(set(sets)) if (sets == name).sum() >= 3 * ROWS]
    for encoder, full in (("bge", "bge-base-en-v1.5"), ("minilm", "all-MiniLM-L6-v2")):
        rows = units(np.load(data / "spaces" / f"beir-queries.{full}.npy"))
        spaces[encoder] = {name: rows[sets == name] for name in names[1::2]}
        together = np.concatenate([rows[sets == name] for name in names[::2]])
        spaces[encoder]["beir"] = together[np.random.default_rng(0).permutation(len(together))]
    return spaces


def units(rows: Rows) -> Rows:
    """Return the rows [n, d] in float32 and at unit length."""
    return unit_rows(np.asarray(rows, np.float32))


def changed(
    rows: Rows, foreign: Rows, mean: Rows, whitener: Rows, rng: np.random.Generator
) -> Iterator[tuple[str, Rows]]:
    """Yield the kinds of wrong vectors [n, d].

    Args:
        rows: of the right model.
        foreign: of another model.
        mean: [d], of the fitted rows.
        whitener: [d, d], brings all variances of the fitted rows to one.
        rng: of the random changes.
    """
    n, d = rows.shape
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
    yield "another model", foreign
    yield "rotated", rows @ turn
    yield "reversed columns", rows[:, ::-1]
    yield "permuted columns", rows[:, rng.permutation(d)]
    yield "opposite sign", -rows
    yield "noise", rng.standard_normal((n, d))
    noise = rng.standard_normal((n, d)) / np.sqrt(d)
    yield "noise around the right mean", mean + np.sqrt(max(1 - mean @ mean, 0)) * noise
    yield "each column shuffled", rng.permuted(rows, axis=0)
    yield "columns scaled by up to 7", rows * np.exp(rng.standard_normal(d))
    yield "whitened", (rows - mean) @ whitener
    # Beyond the ten: changes that are known to pass.
    yield "columns scaled by up to 2 (mild)", rows * np.exp(0.35 * rng.standard_normal(d))
    yield "own mean subtracted (mild)", rows - rows.mean(axis=0)


def whitening(rows: Rows) -> Rows:
    """Return the matrix [d, d] that brings the variance of rows along every principal axis to one."""
    variances, axes = np.linalg.eigh(np.cov(rows.T))
    return np.asarray(axes / np.sqrt(np.clip(variances, variances.max() * 1e-4, None)) @ axes.T, np.float32)


def another_model(spaces: Spaces, encoder: str, d: int) -> Rows:
    """Return rows of another encoder, cut to the width d, or with further columns from rows of a third one."""
    wide = sorted((name for name in spaces if name != encoder), key=lambda name: -_width(spaces, name))
    rows = [np.concatenate(list(spaces[name].values())) for name in wide]
    first = rows[0] if rows[0].shape[1] >= d else np.hstack([rows[0][:5_000], rows[1][:5_000]])
    return first[:, :d]


def _width(spaces: Spaces, encoder: str) -> int:
    return int(next(iter(spaces[encoder].values())).shape[1])


def outcome(convert: Callable[[Rows], Any], rows: Rows) -> str:
    """Return what a translation of these rows does: ``refused``, ``warned`` or ``passed``."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            convert(np.asarray(rows, np.float32))
        except il.SpaceMismatchError:
            return "refused"
    return "warned" if caught else "passed"


def tally(convert: Callable[[Rows], Any], batches: Iterator[Rows], profile: SpaceProfile) -> dict[str, Any]:
    """Return how many batches were refused and warned of, and the extremes of the statistics."""
    counts: dict[str, int] = {"refused": 0, "warned": 0, "passed": 0}
    compared: list[Any] = []
    for batch in batches:
        one = profile.compare(np.asarray(batch, np.float32))
        result = "refused" if one.foreign else "warned" if one.doubtful else "passed"
        # The translator itself is asked about the first batches of each kind.
        if len(compared) < 2 and outcome(convert, batch) != result:
            raise SystemExit(f"the translator does not do what its profile says: {result}")
        counts[result] += 1
        compared.append(one)
    extremes = {
        "spectrum": [min(c.spectrum for c in compared), max(c.spectrum for c in compared)],
        "mean": [min(c.mean for c in compared), max(c.mean for c in compared)],
        "spread": [min(c.distortion for c in compared), max(c.distortion for c in compared)],
    }
    return {"batches": len(compared), **counts, **{k: [round(float(x), 3) for x in v] for k, v in extremes.items()}}


def singles(convert: Callable[[Rows], Any], rows: Rows, profile: SpaceProfile) -> dict[str, Any]:
    """Return how many of these rows are refused alone."""
    told = profile.outside(rows).sum()
    if (outcome(convert, rows[:1]) == "refused") != profile.compare(rows[:1]).foreign:
        raise SystemExit("the translator does not do what its profile says about one row")
    return {"rows": len(rows), "refused": int(told)}


def random_batches(rows: Rows, count: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield batches drawn without replacement."""
    for _ in range(count):
        yield rows[rng.choice(len(rows), ROWS, replace=False)]


def neighbor_batches(rows: Rows, count: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Yield batches of one narrow topic: the nearest rows of one of them."""
    for _ in range(count):
        yield rows[np.argsort(-(rows @ rows[rng.integers(len(rows))]))[:ROWS]]


def measure(spaces: Spaces, arguments: argparse.Namespace, write: Callable[[dict[str, Any]], object]) -> None:
    """Fit every translator and record its answers to every kind of batch."""
    for number, (source, target, corpus) in enumerate(TRANSLATORS):
        rng = np.random.default_rng(number)
        x, y = spaces[source][corpus], spaces[target][corpus]
        fitted = min(len(x), len(y), FIT_ROWS) - 1_000
        paired = min(fitted, 2_048)
        pairs = np.stack([np.arange(paired)] * 2, axis=1)
        alignment = il.align(x[:fitted], y[:fitted], pairs=pairs, method="ridge", max_rows=None)
        with tempfile.TemporaryDirectory() as folder:
            translator = il.load(alignment.translator(force=True).save(Path(folder) / "translator"))
        for side, encoder, own, profile, convert in (
            ("source", source, x, translator.profiles[0], translator.translate),
            ("target", target, y, translator.profiles[1], translator.invert),
        ):
            facts = {"translator": f"{source} to {target}, {corpus}", "side": side, "encoder": encoder, "rows": ROWS}
            facts["mean_length"] = round(float(np.linalg.norm(profile.mean)), 3)
            held_out = own[fitted : fitted + 1_000]
            others = {name: rows for name, rows in spaces[encoder].items() if name != corpus and len(rows) >= 2 * ROWS}
            foreign = another_model(spaces, encoder, own.shape[1])
            whitener = whitening(own[:fitted])
            measured = {name: rows for name, rows in others.items() if name in arguments.only}
            for name, rows in (measured if arguments.only else {corpus: held_out, **others}).items():
                chosen = {"corpus": name, "chosen_on": name in CHOSEN_ON, "same_corpus": name == corpus}
                right = {} if arguments.rows_again else {"random rows": random_batches, "one topic": neighbor_batches}
                for kind, make in right.items():
                    count = arguments.batches if kind == "random rows" else arguments.batches // 4
                    write(
                        facts
                        | chosen
                        | {"kind": kind, "right": True, **tally(convert, make(rows, count, rng), profile)}
                    )
                some = rows[rng.permutation(len(rows))[:300]]
                write(facts | chosen | {"kind": "single row", "right": True, **singles(convert, some, profile)})
                batches: dict[str, list[Rows]] = {}
                for batch in random_batches(rows, 0 if arguments.rows_again else arguments.wrong_batches, rng):
                    wrong = foreign[rng.choice(len(foreign), ROWS, replace=False)]
                    for kind, made in changed(batch, wrong, profile.mean, whitener, rng):
                        batches.setdefault(kind, []).append(made)
                for kind, several in batches.items():
                    write(facts | chosen | {"kind": kind, "right": False, **tally(convert, iter(several), profile)})
            if arguments.only:
                continue
            rotated = held_out[:300] @ np.linalg.qr(rng.standard_normal((own.shape[1],) * 2))[0]
            write(facts | {"kind": "single row, rotated", "right": False, **singles(convert, rotated, profile)})


def main() -> None:
    """Measure and write the records, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--batches", type=int, default=120, help="of the right model, for each corpus")
    parser.add_argument("--wrong-batches", type=int, default=4, help="of each wrong kind, for each corpus")
    parser.add_argument("--only", nargs="+", default=(), help="measure these corpora alone and append the records")
    parser.add_argument(
        "--rows-again", action="store_true", help="measure single rows again and keep all other records"
    )
    arguments = parser.parse_args()
    if arguments.rows_again:
        kept = [line for line in OUT.read_text("utf-8").splitlines() if "single row" not in json.loads(line)["kind"]]
        OUT.write_text("".join(f"{line}\n" for line in kept), "utf-8")
    with OUT.open("a" if arguments.only or arguments.rows_again else "w", encoding="utf-8") as stream:
        measure(
            read_spaces(arguments.vectors, arguments.data),
            arguments,
            lambda record: stream.write(json.dumps(record) + "\n"),
        )
    sys.stdout.write(table(read_records(OUT)))


def table(records: list[dict[str, Any]]) -> str:
    """Return the shares of batches that are refused, and in brackets warned of, as a Markdown table.

    The first share is of rows of the fitted corpus, the second of rows of other corpora.
    """
    translators = list(dict.fromkeys(record["translator"] for record in records))
    lines = ["| batches of 50 rows | " + " | ".join(translators) + " |", "|---|" + "--:|" * len(translators)]
    for kind in dict.fromkeys(r["kind"] for r in records if not r["right"] and "batches" in r):
        cells = []
        for translator in translators:
            chosen = [r for r in records if r["translator"] == translator and r["kind"] == kind]
            parts = []
            for same in (True, False):
                some = [r for r in chosen if r["same_corpus"] is same]
                count = max(sum(r["batches"] for r in some), 1)
                refused, warned = (sum(r[key] for r in some) / count for key in ("refused", "warned"))
                parts.append(f"{refused:.2f}" + (f" (+{warned:.2f})" if warned >= 0.005 else ""))  # noqa: PLR2004
            cells.append(" / ".join(parts))
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    for title, group in (
        ("right model, corpora the limits were chosen on", "chosen"),
        ("right model, other corpora", "other"),
        ("right model, corpora measured after that", "unseen"),
    ):
        cells = []
        for translator in translators:
            some = [r for r in records if r["translator"] == translator and r["kind"] in ("random rows", "one topic")]
            some = [r for r in some if _group(r) == group]
            warned = sum(r["warned"] for r in some)
            cells.append(f"{sum(r['refused'] for r in some)} (+{warned}) of {sum(r['batches'] for r in some):,}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _group(record: dict[str, Any]) -> str:
    return "chosen" if record["chosen_on"] else "unseen" if record["corpus"] in UNSEEN else "other"


if __name__ == "__main__":
    main()
