"""What the correction on mutual neighbors changes, for pairs of encoders in both directions.

    python benchmarks/correction.py --vectors FOLDER --pair use:model2vec --rows 10000 --seed 0 [--start pairs]
    python benchmarks/correction.py --vectors FOLDER --corpora beir-queries --pair BGE:MINILM --rows 4397 --seed 1

Texts of all corpora in random order: the source reads the first rows, the target the next ones, and 2,048 texts after
them are held out. Each fit is made without the correction, which then follows as in a fit with it, so that both maps
come from one rotation. ``--start pairs`` takes the rotation of 3,000 pairs, refined on neighbors without pairs as a
fit ends, instead of the search, which takes many times as long; whether a search succeeds is another question.
For each direction, the scores of the map without and with the correction, and of paired maps on as many pairs as rows.
Appends to benchmarks/results/correction.jsonl.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from fidelity import scored, translated
from records import append_and_print

from interlingua.aligners.base import Problem
from interlingua.aligners.frames import polar
from interlingua.aligners.linear.aligner import Linear
from interlingua.aligners.linear.correction import correct_maps
from interlingua.aligners.linear.full_width import polish_rotation
from interlingua.aligners.linear.nonorthogonal import leveled_affine_map, nonorthogonal_map
from interlingua.aligners.paired import Procrustes, Ridge
from interlingua.core.arrays import unit_rows
from interlingua.core.backend import single_threaded_blas

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "correction.jsonl"
CORPORA = ("nq-open", "opentriviaqa", "clickbait", "wiki-split", "medquad", "clinc150")
HELD_OUT, MAX_ROWS = 2_048, 20_000
# The start from pairs, and the steps without pairs that follow it.
START_PAIRS, CLOSING_NEIGHBORS, CLOSING_ROWS = 3_000, (20, 10, 5, 5), 12_000
Rows = np.ndarray


def sides_of(folder: Path, corpora: tuple[str, ...], names: tuple[str, str], seed: int) -> tuple[Rows, Rows]:
    """Return the unit vectors of both encoders for the same texts in random order; a repeated vector counts once."""
    source, target = (np.concatenate([np.load(folder / f"{c}.{name}.npy") for c in corpora]) for name in names)
    first = np.sort(np.unique(source, axis=0, return_index=True)[1])
    order = first[np.random.default_rng(seed).permutation(len(first))]
    return unit_rows(source[order].astype(np.float32)), unit_rows(target[order].astype(np.float32))


def from_pairs(problem: Problem, truth: Rows, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return the maps of both directions that follow from a paired start and the unpaired end of a fit."""
    x, y = problem.frames
    start = polar(x.rows[:START_PAIRS].T @ y.center(truth[:START_PAIRS]))
    with single_threaded_blas():
        found = polish_rotation(x.rows, y.rows, start, CLOSING_NEIGHBORS, batch=CLOSING_ROWS, rng=rng)
        forward = leveled_affine_map(x, y, nonorthogonal_map(found, x.rows, y.rows))
        back = np.ascontiguousarray(found.T)
        return forward, leveled_affine_map(y, x, nonorthogonal_map(back, y.rows, x.rows))


def main() -> None:
    """Fit, correct, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=HERE / "vectors")
    parser.add_argument("--corpora", default=",".join(CORPORA))
    parser.add_argument("--pair", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--start", choices=("search", "pairs"), default="search")
    given = parser.parse_args()
    n, seed, names, corpora = given.rows, given.seed, tuple(given.pair.split(":")), tuple(given.corpora.split(","))
    source, target = sides_of(given.vectors, corpora, names, seed)
    if len(source) < 2 * n + HELD_OUT:
        parser.error(f"{len(source)} different texts; {2 * n + HELD_OUT} are needed for {n} rows a side.")
    held = source[2 * n : 2 * n + HELD_OUT], target[2 * n : 2 * n + HELD_OUT]
    problem = Problem.of(source[:n], target[n : 2 * n], max_rows=MAX_ROWS, seed=seed)
    started, status = time.process_time(), None
    if given.start == "search":
        fit = Linear(correction=False).fit(problem, seed=seed)
        problem, maps, status = fit.problem, (fit.forward, fit.backward), str(fit.verdict.status)
    else:
        maps = from_pairs(problem, target[:n], np.random.default_rng(seed))
    fitted = time.process_time()
    with single_threaded_blas():
        corrected, step = correct_maps(maps, problem.rows, rng=np.random.default_rng([seed, 18]))
    seconds = {"fit_seconds": round(fitted - started, 1), "correction_seconds": round(time.process_time() - fitted, 1)}
    known = Problem.of(source[:n], target[:n], pairs=np.stack([np.arange(n)] * 2, axis=1))
    paired = {name: method.fit(known, seed=seed) for name, method in (("ridge", Ridge()), ("procrustes", Procrustes()))}
    common = {"corpora": list(corpora), "rows": [n, n, HELD_OUT], "seed": seed, "start": given.start, "status": status}
    for number, direction in enumerate(("forward", "backward")):
        found = {"unpaired": maps[number], "corrected": corrected[number]}
        found |= {name: (fit.forward, fit.backward)[number] for name, fit in paired.items()}
        ends = {"source": names[number], "target": names[1 - number]}
        scores = {name: scored(translated(map_, held[number]), held[1 - number]) for name, map_ in found.items()}
        record = {**ends, **common, **seconds, "shift": step[direction], "scores": scores}
        append_and_print(OUT, record)


if __name__ == "__main__":
    main()
