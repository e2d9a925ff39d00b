"""How many refits the consensus of a warm start needs, and how cheap each may be; one JSON line for each fit, appended.

    python benchmarks/refits.py --data ../shared/data --vectors benchmarks/vectors

The linear fit of a case is refitted 40 times by one of several kinds of refits. After 1, 2, 3, 5, 8, 12, 20 and 40 of
them the consensus map is scored on held-out pairs. With ``--train COUNT`` the networks are trained towards the
consensus of so many refits of the first kind instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fits import BEIR, Case, rows
from neural import latent_maps, of_network, scores
from records import append_all_records, arguments_of

from interlingua.aligners.base import Problem
from interlingua.aligners.frames import affine_maps
from interlingua.aligners.linear import consensus
from interlingua.aligners.linear.aligner import Linear, LinearFit
from interlingua.aligners.linear.full_width import polish_rotation
from interlingua.core.backend import single_threaded_blas
from interlingua.neural.aligner import SIDES
from interlingua.neural.presets import SMALL_WARM
from interlingua.neural.selection import Selection
from interlingua.neural.trainer import Trainer

COUNTS = (1, 2, 3, 5, 8, 12, 20, 40)
# Share of the rows that each refit reads, and the neighbors of its steps.
KINDS: dict[str, tuple[float, tuple[int, ...]]] = {
    "half, two steps": (0.5, (50, 50)),
    "half, one step": (0.5, (50,)),
    "quarter, two steps": (0.25, (50, 50)),
}
CASES = {
    "bge -> minilm, 2,000 rows": (("beir", BEIR[0]), ("beir", BEIR[1]), 2000),
    "use -> minilm, 2,000 rows": (("nq-open", "use"), ("nq-open", "minilm"), 2000),
    "bge -> minilm, 4,398 rows": (("beir", BEIR[0]), ("beir", BEIR[1]), 4398),
}


def case_rows(name: str, seed: int, data: Path, folder: Path) -> tuple[Any, ...]:
    """Return source, target and held-out rows of a case."""
    source, target, n = CASES[name]
    return rows(Case(name, seed, n, source=source, target=target), data, folder)


@cache
def linear_fit(name: str, seed: int, data: Path, folder: Path) -> tuple[LinearFit, float]:
    """Return the linear fit of a case, which all kinds of refits share, and its processor seconds."""
    x, y, *_ = case_rows(name, seed, data, folder)
    started = time.process_time()
    return Linear().fit(Problem.of(x, y), seed=seed), time.process_time() - started


def measure(name: str, kind: str, seed: int, data: Path, folder: Path, train: int) -> list[dict[str, Any]]:
    """Fit a case, and score the consensus after each number of refits or the networks after one of them."""
    x, y, *rest = case_rows(name, seed, data, folder)
    held = (rest[0], rest[1])
    problem = Problem.of(x, y)
    fit, seconds = linear_fit(name, seed, data, folder)
    rotation = affine_maps(*problem.frames, fit.rotation)
    record = {
        "case": name,
        "kind": kind,
        "seed": seed,
        "n": [len(x), len(y)],
        "pool": len(held[0]),
        "status": str(fit.verdict.status),
        "fit_seconds": seconds,
        "rotation": scores(*rotation, held),
        "nonorthogonal": scores(fit.forward, fit.backward, held),
    }
    if not train:
        return [record | {"counts": _counted(problem, fit.rotation, seed, kind, held)}]
    started = time.process_time()
    *_, (_, pair) = _consensus(problem, fit.rotation, seed, kind, (train,))
    middle = time.process_time()
    spaces = dict(zip(SIDES, (x, y), strict=True))
    teachers = dict(zip((SIDES, SIDES[::-1]), pair, strict=True))
    selection = Selection(spaces, seed=seed, teachers=teachers)
    maps = latent_maps(*rotation)
    trained = Trainer.prepare(spaces, SMALL_WARM, seed=seed, maps=maps, teachers=teachers, selection=selection).run()
    return [
        record
        | {
            "refits": train,
            "refit_seconds": middle - started,
            "train_seconds": time.process_time() - middle,
            "teacher": scores(*pair, held),
            "network": of_network(trained.network, held),
            "best_step": trained.best,
        }
    ]


def _counted(problem: Problem, rotation: Any, seed: int, kind: str, held: tuple[Any, Any]) -> dict[str, Any]:
    """Return the scores of the consensus by the number of refits, with the seconds that so many refits took."""
    found, seconds, started = {}, 0.0, time.process_time()
    for count, pair in _consensus(problem, rotation, seed, kind, COUNTS):
        seconds += time.process_time() - started
        found[str(count)] = {"seconds": seconds, **scores(*pair, held)}
        started = time.process_time()
    return found


def _consensus(
    problem: Problem, rotation: Any, seed: int, kind: str, counts: tuple[int, ...]
) -> Iterator[tuple[int, tuple[Callable[[Any], Any], Callable[[Any], Any]]]]:
    """Yield each number of refits with the consensus maps of so many, as `consensus.consensus` computes them."""
    share, neighbors = KINDS[kind]
    x, y = problem.frames
    rng = np.random.default_rng([seed, consensus._STREAM])
    total = np.zeros(rotation.shape, np.float32)
    for number in range(1, max(counts) + 1):
        with single_threaded_blas():
            a, b = (z.rows[rng.permutation(len(z.rows))[: int(share * len(z.rows))]] for z in (x, y))
            total += polish_rotation(a, b, rotation, neighbors, rng=rng)
            if number in counts:
                mean, limit = total / np.float32(number), consensus._MAX_ROWS
                forward = consensus._consensus_map(x, y, mean, x.rows[:limit], y.rows[:limit])
                back = consensus._consensus_map(y, x, np.ascontiguousarray(mean.T), y.rows[:limit], x.rows[:limit])
        if number in counts:
            yield number, (forward, back)


def _describe(record: dict[str, Any]) -> str:
    """Return the cosines of a record in a line."""
    found = record["counts"] if "counts" in record else {record["refits"]: record["network"]}
    cosines = (f"{count}: {each['forward']['cosine']:.3f}" for count, each in found.items())
    return f"{record['status']} {', '.join(cosines)}"


def main() -> None:
    """Measure the cases."""
    parser = arguments_of(__doc__, "neural-refits.jsonl", "0:5")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"), help="what encode.py wrote")
    parser.add_argument("--train", type=int, default=0, metavar="COUNT", help="train towards so many refits")
    a = parser.parse_args()
    torch.set_num_threads(1)
    suite, kinds = (f"train-{a.train}", [next(iter(KINDS))]) if a.train else ("refits", list(KINDS))
    cases = (
        (f"{suite}/{name}/{kind}/{seed}", partial(measure, name, kind, seed, a.data, a.vectors, a.train))
        for seed, kind, name in product(a.seeds, kinds, CASES)
    )
    append_all_records(a, cases, _describe)


if __name__ == "__main__":
    main()
