"""Methods without pairs beside methods that are given pairs, on the same rows in one run; one JSON line per fit.

    python benchmarks/peers_paired.py --data ../shared/data --vectors DIR --seeds 0:2

Cases: BGE to MiniLM on search questions, and USE to Model2Vec on another set of questions, on WordNet glosses, and on
entries of a dictionary of computing (``dictionaries.py``). Methods without pairs see disjoint
texts of both sides. A method with pairs is given 100 to 5,000 texts of the same rows under both encoders. All are
measured on the same held-out texts, which no fit sees. Each method runs on each case in its own process with one
thread. The numbers of pairs are fitted in ascending order, so the peak memory after a fit is that of the largest number
so far. Seconds are processor time, without the imports: a small fit that is not recorded comes first.

With pairs: ``procrustes`` and ``ridge`` of this package; ridge and MLP of the package isotrieve (``pip install
'isotrieve[mlp]'``, Apache-2.0), whose MLP is the variant of Drift-Adapter (arXiv 2509.23471) for unequal widths; and an
MLP of the same width whose output is added to a ridge map, as in rebasis. Without pairs: ``linear``,
``mini-vec2vec``, ``centroids`` and ``gromov`` of this package, and the package mini-vec2vec 0.1.2 (Python 3.12 or
later). That package does not accept unequal widths; the narrower side gets columns of zeros.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from fits import BEIR, Case, rows, split
from peers import peak_mb, scores_of
from records import append, arguments_of, read_records, run_alone

from interlingua.aligners import Problem, create_aligner
from interlingua.aligners.base import ignore_step
from interlingua.core.arrays import FloatArray

Way = Callable[[Any], Any]
PAIRS = (100, 300, 500, 1_000, 2_000, 5_000)
# The networks take minutes; these are the numbers that the documentation compares.
PAIRS_OF_NETWORKS = (100, 1_000, 5_000)
UNPAIRED = ("linear", "mini-vec2vec", "mini-vec2vec (package)", "centroids", "gromov")
PACKAGES = {"mini-vec2vec (package)": "mini_vec2vec", "isotrieve ridge": "isotrieve", "isotrieve MLP": "isotrieve"}
NAMES = {
    "linear": "interlingua, method `linear`",
    "mini-vec2vec": "mini-vec2vec, our implementation",
    "mini-vec2vec (package)": "mini-vec2vec, the package",
    "centroids": "centroid consensus (Rosetta family)",
    "gromov": "Gromov-Wasserstein",
    "procrustes": "Procrustes",
    "ridge": "ridge",
    "isotrieve ridge": "ridge of isotrieve",
    "isotrieve MLP": "MLP of isotrieve",
    "MLP on ridge": "MLP added to ridge",
}
CASES = {
    "beir: bge -> minilm": (("beir", BEIR[0]), ("beir", BEIR[1])),
    "nq-open: use -> model2vec": (("nq-open", "use"), ("nq-open", "model2vec")),
    "wordnet: use -> model2vec": (("wordnet", "use"), ("wordnet", "model2vec")),
    "foldoc: use -> model2vec": (("foldoc", "use"), ("foldoc", "model2vec")),
}
KINDS = {
    "beir": "search questions of 23 benchmarks",
    "nq-open": "questions to a search engine",
    "wordnet": "the glosses of WordNet",
    "foldoc": "entries of a dictionary of computing (FOLDOC)",
}
# Drift-Adapter's width; batches, steps and early stopping as in rebasis.
HIDDEN, BATCH, EPOCHS, PATIENCE, VALIDATION, RATE = 256, 256, 60, 8, 0.1, 1e-3
# Rows per side of the fit that comes first, so that no measured fit is charged for imports.
WARM_UP_ROWS = 500


@dataclass(frozen=True)
class Peer:
    """A method on a case."""

    case: Case
    method: str

    @property
    def pairs(self) -> tuple[int, ...]:
        """The numbers of pairs that it is given one after the other."""
        if self.method in UNPAIRED:
            return (0,)
        return PAIRS_OF_NETWORKS if "MLP" in self.method else PAIRS

    @property
    def key(self) -> str:
        """The unique name of this method and case."""
        return f"{self.case.name}/{self.method}/{self.case.seed}"


def wanted(seeds: Iterable[int]) -> list[Peer]:
    """Return all methods on all cases, those of one seed before those of the next."""
    return [
        Peer(Case(name, seed, None, source=source, target=target), method)
        for seed in seeds
        for name, (source, target) in CASES.items()
        for method in NAMES
    ]


def files(case: Case, data: Path, folder: Path) -> list[Path]:
    """Return the vectors of both encoders."""
    return [
        data / "spaces" / f"beir-queries.{encoder}.npy" if corpus == "beir" else folder / f"{corpus}.{encoder}.npy"
        for corpus, encoder in (case.source, case.target)
    ]


def pairs_of(case: Case, count: int, data: Path, folder: Path) -> tuple[FloatArray, FloatArray]:
    """Return the first ``count`` texts of both sides as pairs; larger counts contain smaller ones."""
    x, y = (np.load(path).astype(np.float32) for path in files(case, data, folder))
    _, first, second = split(case.seed, len(x))
    chosen = np.concatenate([first, second])[:count]
    return x[chosen], y[chosen]


def fit_unpaired(method: str, x: FloatArray, y: FloatArray, seed: int) -> tuple[Way, Way]:
    """Return both maps of a method that is given the rows of both sides."""
    if method != "mini-vec2vec (package)":
        # A method that computes its own verdict, as ours does, is charged for it.
        fit = create_aligner(method).fit(Problem.of(x, y), seed=seed, on_step=ignore_step)
        return fit.forward, fit.backward
    from mini_vec2vec import MiniVec2Vec

    width = max(x.shape[1], y.shape[1])

    def widen(rows: FloatArray) -> FloatArray:
        return np.pad(rows, ((0, 0), (0, width - rows.shape[1])))

    def way(source: FloatArray, target: FloatArray) -> Way:
        solver = MiniVec2Vec()
        solver.fit(widen(source), widen(target), random_seed=seed, verbose=False)
        return lambda rows: np.asarray(solver.transform(widen(rows)))[:, : target.shape[1]]

    return way(x, y), way(y, x)


def fit_paired(method: str, x: FloatArray, y: FloatArray, seed: int) -> tuple[Way, Way]:
    """Return both maps of a method that is given pairs, row by row."""
    if method in ("procrustes", "ridge"):
        pairs = np.stack([np.arange(len(x))] * 2, axis=1)
        fit = create_aligner(method).fit(Problem.of(x, y, pairs=pairs), seed=seed, on_step=ignore_step)
        return fit.forward, fit.backward
    if method == "MLP on ridge":
        return mlp_on_ridge(x, y, seed), mlp_on_ridge(y, x, seed)
    if method == "isotrieve ridge":
        from isotrieve.mapping.linear import RidgeMapping

        return RidgeMapping(seed=seed).fit(x, y).transform, RidgeMapping(seed=seed).fit(y, x).transform
    import torch
    from isotrieve.mapping.mlp import ResidualMLPMapping

    torch.manual_seed(seed)
    mapping = ResidualMLPMapping(seed=seed).fit(x, y)
    return mapping.transform, mapping.inverse_transform


def mlp_on_ridge(x: FloatArray, y: FloatArray, seed: int) -> Way:
    """Return ridge regression plus a network of one hidden layer that starts at zero and is trained with it.

    A tenth of the pairs decides when training ends.
    """
    import torch
    from sklearn.linear_model import RidgeCV

    torch.manual_seed(seed)
    order = torch.randperm(len(x))
    held, trained = order[: max(1, round(VALIDATION * len(x)))], order[max(1, round(VALIDATION * len(x))) :]
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(x[trained], y[trained])
    linear = torch.nn.Linear(x.shape[1], y.shape[1])
    added = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.GELU(), torch.nn.Linear(HIDDEN, y.shape[1])
    )
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(ridge.coef_))
        linear.bias.copy_(torch.from_numpy(ridge.intercept_))
        added[2].weight.zero_()
        added[2].bias.zero_()
    both = torch.nn.ModuleList([linear, added])
    source, target = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.Adam(both.parameters(), lr=RATE)

    def loss(batch: Any) -> Any:
        return torch.nn.functional.mse_loss(linear(source[batch]) + added(source[batch]), target[batch])

    def state() -> dict[str, Any]:
        return {name: value.clone() for name, value in both.state_dict().items()}

    with torch.no_grad():
        best, kept, waited = float(loss(held)), state(), 0
    for _ in range(EPOCHS):
        for batch in trained[torch.randperm(len(trained))].split(BATCH):
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()
        with torch.no_grad():
            reached = float(loss(held))
        best, kept, waited = (reached, state(), 0) if reached < best else (best, kept, waited + 1)
        if waited == PATIENCE:
            break
    both.load_state_dict(kept)

    def translate(rows: FloatArray) -> FloatArray:
        with torch.no_grad():
            given = torch.from_numpy(np.ascontiguousarray(rows))
            return np.asarray((linear(given) + added(given)).numpy())

    return translate


def measured(peer: Peer, counts: Iterable[int], data: Path, folder: Path) -> list[dict[str, Any]]:
    """Fit in this process with these numbers of pairs, and measure on held-out pairs."""
    x, y, x_held, y_held = rows(peer.case, data, folder)
    fit = fit_unpaired if peer.method in UNPAIRED else fit_paired
    small = (
        (x[:WARM_UP_ROWS], y[:WARM_UP_ROWS]) if peer.method in UNPAIRED else pairs_of(peer.case, PAIRS[0], data, folder)
    )
    fit(peer.method, *small, peer.case.seed)
    records = []
    for count in counts:
        given = pairs_of(peer.case, count, data, folder) if count else (x, y)
        started = time.process_time()
        there, back = fit(peer.method, *given, peer.case.seed)
        seconds = time.process_time() - started
        ways, peak = scores_of(there, back, x_held, y_held), peak_mb()
        named = {"key": peer.key, "case": peer.case.name, "method": peer.method, "pairs": count, "seed": peer.case.seed}
        shape = {"rows": [len(side) for side in given], "processor_seconds": seconds, "peak_mb": peak}
        used = {"version": version(PACKAGES.get(peer.method, "interlingua"))}
        records.append({**named, **shape, **ways, **used, "load": os.getloadavg()[0]})
    return records


def run(peer: Peer, counts: Iterable[int], arguments: Any) -> list[dict[str, Any]]:
    """Run one method on a case in a process of its own with one thread."""
    seeds = f"{peer.case.seed}:{peer.case.seed + 1}"
    done = run_alone(__file__, "--one", peer.key, *map(str, counts), "--seeds", seeds,
                     "--data", str(arguments.data), "--vectors", str(arguments.vectors))  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return list(json.loads(done.stdout.splitlines()[-1]))


def complete_cases(records: list[dict[str, Any]]) -> list[str]:
    """Return the cases that have a record of the method ``linear``, with which the others are compared."""
    return [name for name in CASES if any((r["case"], r["method"]) == (name, "linear") for r in records)]


def table(records: list[dict[str, Any]]) -> str:
    """Return Markdown: median top-1 forward by method and pairs for every case; seconds and memory of the first."""
    cases = complete_cases(records)
    lines = [f"| method | pairs | {' | '.join(map(_title, cases))} | seconds | peak MB |",
             "|---|--:|" + "--:|" * (len(cases) + 2)]  # fmt: skip
    for method, name in NAMES.items():
        for count in (0, *PAIRS):
            found = [r for r in records if (r["method"], r["pairs"]) == (method, count)]
            if not found:
                continue
            cells = [_median([r["forward"]["top1"] for r in found if r["case"] == case], ".3f") for case in cases]
            first = [r for r in found if r["case"] == cases[0]]
            costs = (_median([r["processor_seconds"] for r in first], ".1f"),
                     _median([r["peak_mb"] for r in first], ",.0f"))  # fmt: skip
            lines.append(f"| {name} | {f'{count:,}' if count else 'none'} | {' | '.join((*cells, *costs))} |")
    return "\n".join(lines)


def winners(records: list[dict[str, Any]]) -> str:
    """Return Markdown: for every case the fewest pairs with which each paired method has a top-1 above that of ours."""
    paired = [method for method in NAMES if method not in UNPAIRED]
    lines = [f"| | rows per side | without pairs | {' | '.join(NAMES[m] for m in paired)} |",
             "|---|--:|--:|" + "--:|" * len(paired)]  # fmt: skip
    for case in CASES:
        own = [r for r in records if (r["case"], r["method"]) == (case, "linear")]
        if not own:
            continue
        reached = float(np.median([r["forward"]["top1"] for r in own]))
        cells = []
        for method in paired:
            if not any((r["case"], r["method"]) == (case, method) for r in records):
                cells.append("not run")
                continue
            enough = [count for count in PAIRS if _top1(records, case, method, count) > reached]
            cells.append(f"{min(enough):,}" if enough else "–")
        lines.append(f"| {_title(case)} | {own[0]['rows'][0]:,} | {reached:.3f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _top1(records: list[dict[str, Any]], case: str, method: str, count: int) -> float:
    found = [r["forward"]["top1"] for r in records if (r["case"], r["method"], r["pairs"]) == (case, method, count)]
    return float(np.median(found)) if found else 0.0


def _title(case: str) -> str:
    titles = {"beir": "search questions", "nq-open": "NQ questions", "wordnet": "WordNet", "foldoc": "FOLDOC",
              "bge": "BGE", "minilm": "MiniLM", "use": "USE", "model2vec": "Model2Vec"}  # fmt: skip
    corpus, source, target = case.replace(": ", " -> ").split(" -> ")
    return f"{titles[corpus]}, {titles[source]} to {titles[target]}"


def _median(values: list[float], form: str) -> str:
    return f"{float(np.median(values)):{form}}" if values else "–"


def main() -> None:
    """Run what is not yet recorded, or print the tables."""
    parser = arguments_of(__doc__, "peers-paired.jsonl", "0:2")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--table", action="store_true", help="only print the tables of the records")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.table:
        records = read_records(arguments.out)
        sys.stdout.write(f"{table(records)}\n\n{winners(records)}\n")
        return
    peers = wanted(arguments.seeds)
    if arguments.one:
        chosen = next(peer for peer in peers if peer.key == arguments.one[0])
        counts = map(int, arguments.one[1:])
        sys.stdout.write("\n" + json.dumps(measured(chosen, counts, arguments.data, arguments.vectors)))
        return
    for package in {name for name in PACKAGES.values() if find_spec(name) is None}:
        sys.stderr.write(f"{package} is not installed: its fits are left out\n")
    given = {path for peer in peers for path in files(peer.case, arguments.data, arguments.vectors)}
    missing = {path for path in given if not path.is_file()}
    for path in sorted(missing):
        sys.stderr.write(f"{path} is missing: its fits are left out\n")
    out: Path = arguments.out
    recorded = {(record["key"], record["pairs"]) for record in read_records(out)}
    for peer in peers:
        counts = [count for count in peer.pairs if (peer.key, count) not in recorded]
        installed = peer.method not in PACKAGES or find_spec(PACKAGES[peer.method]) is not None
        there = missing.isdisjoint(files(peer.case, arguments.data, arguments.vectors))
        if not (counts and installed and there and arguments.only in peer.key):
            continue
        records = run(peer, counts, arguments)
        append(out, records)
        for r in records:
            top1, seconds = r["forward"]["top1"], r["processor_seconds"]
            sys.stderr.write(f"{r['key']}, {r['pairs']} pairs: top-1 {top1:.3f}, {seconds:.1f} s\n")


if __name__ == "__main__":
    main()
