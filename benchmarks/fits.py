"""Fit many unpaired cases and measure them on held-out pairs; one JSON line per fit, appended and resumed.

    python benchmarks/fits.py SUITE --data ../shared/data --vectors DIR --out benchmarks/results/SUITE.jsonl

Suites: ``beir`` (20 seeds x 5 sizes), ``baselines`` (the same splits), ``pairs`` (encoders x corpora), ``domains``
(source rows of one corpus, target rows of another), ``nulls`` (nothing to find) and ``planted`` (known answers).
``--vectors`` holds what ``encode.py`` wrote: CORPUS.ENCODER.npy, the same rows for every encoder.
Source, target and held-out rows are disjoint texts; the fit sees the first two and no pair.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from records import append, read_records, seed_range

import interlingua as il
from interlingua.evaluation import evaluate

SIZES = (4398, 2000, 1000, 500, 250)
POOL = 2048
BEIR = ("bge-base-en-v1.5", "all-MiniLM-L6-v2")
CORPORA = ("debian", "nq-open", "wiki-split", "clickbait", "medquad", "mtsamples")
ENCODERS = (("use", "wordllama"), ("minilm", "wordllama"), ("use", "minilm"), ("minilm", "model2vec"))
DOMAINS = (("debian", "nq-open"), ("nq-open", "wiki-split"), ("wiki-split", "clickbait"), ("nq-open", "clickbait"))


@dataclass(frozen=True)
class Case:
    """One fit: which rows, which method, which seed."""

    name: str
    seed: int
    n: int | None = None
    method: str = "linear"
    source: tuple[str, str] = ("beir", BEIR[0])
    target: tuple[str, str] = ("beir", BEIR[1])
    spoil: str = ""

    @property
    def key(self) -> str:
        """Return what tells this case from all others."""
        return f"{self.name}/{self.method}/{self.n}/{self.seed}"


def cases(suite: str, seeds: range) -> Iterator[Case]:
    """Yield the cases of a suite."""
    if suite == "beir":
        yield from (Case("bge -> minilm", s, n) for n in SIZES for s in seeds)
    elif suite == "baselines":
        for method in ("procrustes", "ridge", "random-rotation", "centroids", "mini-vec2vec"):
            yield from (Case("bge -> minilm", s, 4398, method) for s in seeds)
    elif suite == "pairs":
        for a, b in ENCODERS:
            for corpus in CORPORA:
                yield from (Case(f"{corpus}: {a} -> {b}", s, None, "linear", (corpus, a), (corpus, b)) for s in seeds)
    elif suite == "domains":
        for here, there in DOMAINS:
            for a, b in (("use", "wordllama"), ("minilm", "model2vec")):
                name = f"{here} | {there}: {a} -> {b}"
                yield from (Case(name, s, None, "linear", (here, a), (there, b)) for s in seeds)
    elif suite in ("nulls", "planted"):
        kinds = ("shuffled", "gaussian") if suite == "nulls" else ("rotation", "permutation", "noisy rotation")
        for spoil in kinds:
            for n in (4398, 1000):
                yield from (Case(f"{spoil}, n={n}", s, n, spoil=spoil) for s in seeds)
    else:
        raise SystemExit(f"no suite {suite!r}")


@cache
def vectors(path: Path) -> np.ndarray[Any, Any]:
    """Return a file of vectors in float32."""
    return np.load(path).astype(np.float32)


def rows(case: Case, data: Path, folder: Path) -> tuple[np.ndarray[Any, Any], ...]:
    """Return source, target, and held-out pairs of the source's corpus."""

    def load(space: tuple[str, str]) -> np.ndarray[Any, Any]:
        corpus, encoder = space
        path = (
            data / "spaces" / f"beir-queries.{encoder}.npy" if corpus == "beir" else folder / f"{corpus}.{encoder}.npy"
        )
        return vectors(path)

    a, b = load(case.source), load((case.source[0], case.target[1]))
    held, first, second = split(case.seed, len(a))
    x, y, x_held, y_held = a[first], b[second], a[held], b[held]
    if case.target[0] != case.source[0]:
        other = load(case.target)
        y = other[np.random.default_rng(case.seed + 1).permutation(len(other))[: len(x)]]
    x, y = x[: case.n], y[: case.n]
    return _spoil(case, x, y, x_held, y_held)


def split(seed: int, count: int) -> tuple[np.ndarray[Any, Any], ...]:
    """Return which of the texts of a corpus are held out, and which are the rows of the source and of the target."""
    order = np.random.default_rng(seed).permutation(count)
    pool = min(POOL, count // 3)
    held, rest = order[:pool], order[pool:]
    return held, rest[: len(rest) // 2], rest[len(rest) // 2 :]


def _spoil(case: Case, x: Any, y: Any, x_held: Any, y_held: Any) -> tuple[Any, ...]:
    """Destroy the target's shape, or replace the target by the source's encoder under a secret."""
    rng = np.random.default_rng(case.seed + 100)
    if case.spoil == "shuffled":  # each column on its own: the marginals stay, the geometry goes
        y = np.stack([rng.permutation(column) for column in y.T], axis=1)
    elif case.spoil == "gaussian":  # mean and covariance stay, the shape goes
        values, axes = np.linalg.eigh(np.cov(y.T))
        y = y.mean(0) + (rng.standard_normal(y.shape) * np.sqrt(np.maximum(values, 0))) @ axes.T
    return x, y.astype(np.float32), x_held, y_held


def planted(case: Case, data: Path) -> tuple[Any, ...]:
    """Return one encoder's disjoint rows, one side under a secret rotation, permutation, or rotation with noise."""
    a = vectors(data / "spaces" / f"beir-queries.{BEIR[1]}.npy")
    rng = np.random.default_rng(case.seed)
    order = rng.permutation(len(a))
    x, y, held = a[order[:4398]][: case.n], a[order[4398:8796]][: case.n], a[order[8796:]]
    d = a.shape[1]
    secret = (
        np.eye(d)[rng.permutation(d)] if case.spoil == "permutation" else np.linalg.qr(rng.standard_normal((d, d)))[0]
    )
    noise = 0.5 / np.sqrt(d) if case.spoil.startswith("noisy") else 0.0
    y, held_y = (z @ secret + noise * rng.standard_normal(z.shape) for z in (y, held))
    return x, y.astype(np.float32), held, held_y.astype(np.float32)


def run(case: Case, data: Path, folder: Path) -> dict[str, Any]:
    """Fit a case and measure it on held-out pairs."""
    if case.spoil in ("rotation", "permutation", "noisy rotation"):
        x, y, x_held, y_held = planted(case, data)
    else:
        x, y, x_held, y_held = rows(case, data, folder)
    pairs = None
    if case.method in ("procrustes", "ridge"):  # ceilings: the answers of other rows, as many as the fit has
        order = np.random.default_rng(case.seed).permutation(
            len(vectors(data / "spaces" / f"beir-queries.{BEIR[0]}.npy"))
        )
        index = order[-len(x) :]
        x, y = (vectors(data / "spaces" / f"beir-queries.{e}.npy")[index] for e in BEIR)
        pairs = np.stack([np.arange(len(x))] * 2, axis=1)
    started = time.process_time()
    alignment = il.align(x, y, pairs=pairs, method=case.method, seed=case.seed)
    processor_seconds = time.process_time() - started
    scores = evaluate(alignment.translator(force=True), x_held, y_held, pool=POOL, bootstrap=0).to_dict()
    keep = ("cosine", "cosine_centered", "top1", "mean_rank")
    return {
        "case": case.name,
        "method": case.method,
        "n_source": len(x),
        "n_target": len(y),
        "d": [x.shape[1], y.shape[1]],
        "pool": len(x_held),
        "seed": case.seed,
        "seconds": alignment.seconds,
        "processor_seconds": processor_seconds,
        "verdict": alignment.verdict.to_dict(),
        "forward": {k: scores["forward"][k] for k in keep},
        "backward": {k: scores["backward"][k] for k in keep},
        "versions": dict(alignment.versions),
        "python": platform.python_version(),
    }


def main() -> None:
    """Run a suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seeds", type=seed_range, default="0:20", help="first:last, or first:last:step")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    arguments = parser.parse_args()
    out = arguments.out or Path(f"benchmarks/results/{arguments.suite}.jsonl")
    done = {record["key"] for record in read_records(out)}
    for case in cases(arguments.suite, arguments.seeds):
        if case.key in done or arguments.only not in case.key:
            continue
        try:
            record = {"key": case.key, **run(case, arguments.data, arguments.vectors)}
        except (FileNotFoundError, il.InputError) as error:
            sys.stderr.write(f"{case.key}: skipped, {error}\n")
            continue
        append(out, [record])
        line = (record["verdict"]["status"], record["forward"]["top1"], record["backward"]["top1"])
        sys.stderr.write(f"{case.key}: {line} {record['seconds']:.0f} s\n")


if __name__ == "__main__":
    main()
