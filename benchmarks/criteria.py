"""Measure the sanity checks, or a function of one's own, on a fit, on its null maps and on damaged translations.

    python benchmarks/criteria.py --rows 3000
    python benchmarks/criteria.py SOURCE.npy TARGET.npy --function docs/examples/own_criterion.py:covariance_agreement

A measurement that has the same value for null maps as for the fit cannot decide whether a map is right. It can still be
a sanity check, if it misses its limit for damaged translations that pass the other checks. Null maps are made in coarse
coordinates, so compare them with the row of the fit in coarse coordinates. Without files, the vectors of the demo are
read, whose fit is aligned.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import interlingua as il
from interlingua.aligners import Fit, Problem
from interlingua.aligners.base import MIN_ROWS
from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import affine_maps, polar
from interlingua.aligners.null import NullMaps
from interlingua.aligners.sanity import sanity_checks
from interlingua.core.maps import AffineMap, VectorMap

DEMO = Path(__file__).resolve().parents[1] / "demo" / "data"
Rows = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Damaged:
    """A map whose translations are damaged in one way.

    Attributes:
        map: the map of the fit.
        damage: of translated rows [n, d_out].
    """

    map: VectorMap
    damage: Callable[[Rows], Rows]

    def __call__(self, rows: Rows) -> Rows:
        """Translate rows [n, d_in] and damage the result."""
        return self.damage(self.map(rows)).astype(np.float32)

    @property
    def d_in(self) -> int:
        """Width of the rows that are translated."""
        return self.map.d_in

    @property
    def d_out(self) -> int:
        """Width of the translations."""
        return self.map.d_out


def damages(target: Rows, rng: np.random.Generator) -> dict[str, Callable[[Rows], Rows]]:
    """Return by name what can be wrong with translations, as functions of rows [n, d_target] around those of target."""
    mean = target.mean(axis=0)
    hubs = target[rng.permutation(len(target))[:20]]
    axes = np.linalg.svd(target - mean, full_matrices=False)[2][:8]

    def add_noise(rows: Rows) -> Rows:
        return rows + rng.standard_normal(rows.shape) * (rows - mean).std()

    return {
        "collapsed to the mean": lambda rows: mean + 0.01 * (rows - mean),
        "pulled to 20 rows": lambda rows: 0.2 * rows + 0.8 * hubs[(rows @ hubs.T).argmax(axis=1)],
        "8 directions only": lambda rows: mean + (rows - mean) @ axes.T @ axes,
        "noise of the same length": add_noise,
    }


def kinds_of_maps(problem: Problem, fit: Fit, seed: int) -> Iterator[tuple[str, Fit]]:
    """Yield the fit, the fit and its null maps in coarse coordinates, and the fit with damaged translations."""
    if not isinstance(fit.forward, AffineMap):
        raise SystemExit("the map of the fit is not affine; choose a method that fits affine maps")
    x, y = problem.frames
    spaces = CoarseSpaces.of(x.rows, y.rows)
    rng = np.random.default_rng(seed)
    yield "fit", fit
    coarse = spaces.reduce(polar(fit.forward.matrix))
    yield "fit, coarse", Fit(*affine_maps(x, y, spaces.lift(coarse)))
    for number, matrix in enumerate(NullMaps.sample(spaces, seed=seed).maps, 1):
        yield f"null map {number}, coarse", Fit(*affine_maps(x, y, spaces.lift(matrix)))
    for name, damage in damages(problem.rows[1], rng).items():
        yield name, Fit(Damaged(fit.forward, damage), fit.backward)


def measure(
    problem: Problem, fit: Fit, *, seed: int, function: Callable[[Problem, Fit], float] | None = None
) -> dict[str, dict[str, str]]:
    """Return each measurement as text by the kind of map and the name of the measurement; ``!`` marks a missed limit.

    Args:
        problem: what was aligned.
        fit: the result.
        seed: decides the random draws.
        function: a function of a criterion, which is measured besides the sanity checks.
    """
    table = {}
    y = problem.frames[1]
    for kind, made in kinds_of_maps(problem, fit, seed):
        checks = sanity_checks(y.center(made.forward(problem.rows[0])), y.rows, np.random.default_rng(seed))
        evidence = [check.evidence for check in checks]
        table[kind] = {item.name: f"{item.value:.3g}{'' if item.passed else ' !'}" for item in evidence}
        if function is not None:
            table[kind]["function"] = f"{function(problem, made):.3g}"
    return table


def as_markdown(table: dict[str, dict[str, str]]) -> str:
    """Return the rows of `measure` as a table."""
    names = list(next(iter(table.values())))
    rows = [["map", *names], ["---", *["--:"] * len(names)], *([kind, *row.values()] for kind, row in table.items())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def function_of(text: str) -> Callable[[Problem, Fit], float]:
    """Return the function that ``FILE.py:NAME`` names."""
    path, _, name = text.rpartition(":")
    if not Path(path).is_file():
        raise SystemExit(f"--function is {text!r}; FILE.py:NAME is needed, with a file that exists")
    found = runpy.run_path(path).get(name)
    if not callable(found):
        raise SystemExit(f"{path} has no function {name!r}; name a function(problem, fit) of this file")
    return found  # type: ignore[no-any-return]


def main() -> None:
    """Fit, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", default=DEMO / "source.npy")
    parser.add_argument("target", type=Path, nargs="?", default=DEMO / "target.npy")
    parser.add_argument("--rows", type=int, default=3000, help="of each side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--function", help="FILE.py:NAME of a function(problem, fit) that returns a number")
    arguments = parser.parse_args()
    if arguments.rows < MIN_ROWS:
        parser.error(f"--rows is {arguments.rows}; at least {MIN_ROWS} are needed")
    if (arguments.source == DEMO / "source.npy") != (arguments.target == DEMO / "target.npy"):
        parser.error("give SOURCE and TARGET, or neither of them for the demo's vectors")
    for path in (arguments.source, arguments.target):
        if not (path.is_file() and path.suffix == ".npy"):
            parser.error(f"{path} is not a .npy file; two files of vectors are needed")
    x, y = (np.load(path)[: arguments.rows].astype(np.float32) for path in (arguments.source, arguments.target))
    function = None if arguments.function is None else function_of(arguments.function)
    alignment = il.align(x, y, seed=arguments.seed)
    fit = Fit(alignment.forward, alignment.backward)
    table = measure(Problem.of(x, y), fit, seed=arguments.seed, function=function)
    sys.stdout.write(f"Verdict on the fit: {alignment.verdict.status}\n\n{as_markdown(table)}\n")


if __name__ == "__main__":
    main()
