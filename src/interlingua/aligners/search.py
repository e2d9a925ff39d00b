"""The search for a rotation between two spaces without one pair.

Rounds of independent-component starts climb side by side in the leading principal coordinates. The best map by
transport similarity is accepted as soon as an independent start has arrived at the same map; errors differ from start
to start, the truth does not. Then the winner is carried to full width and polished on all rows.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from interlingua._arrays import FloatArray, unit_rows
from interlingua._backend import Array, to_device, to_numpy
from interlingua.aligners.components import Components, find_components, match_components
from interlingua.aligners.refine import climb, orthogonal, polish, transport_similarity

Report = Callable[[dict[str, Any]], None]

_COARSE, _FINE = 64, 128
_KEEP = 3
_FINALISTS = 6
_FINISHERS = 3
_STARTS = 400
_CONFIRMED = 0.8
# Share of the base number of components in each round; equal shares are also matched across rounds.
_SHARES = (1.0, 1.0, 0.8, 1.25, 1.0, 0.8, 1.25, 1.0)
_POLISH_NEIGHBORS = (50, 30, 20, 20, 10)
_POLISH_ROWS = 8_192


@dataclass(eq=False)
class _Candidate:
    """A map in coarse coordinates on its way up."""

    matrix: FloatArray
    lineage: tuple[int, int]
    score: float = -np.inf
    settled: bool = False


@dataclass(eq=False)
class Search:
    """One search between two sides of centred unit rows.

    Attributes:
        x: [n_source, d_source], float32.
        y: [n_target, d_target], float32.
        rng: every random draw.
        device: where the climbing is done.
        report: called with one dict of numbers after each step.
    """

    x: FloatArray
    y: FloatArray
    rng: np.random.Generator
    device: str = "cpu"
    report: Report = lambda step: None
    _found: list[tuple[int, Components, Components]] = field(default_factory=list)
    _pool: list[_Candidate] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Reduce both sides to their leading principal coordinates."""
        self._axes = [_principal_axes(z) for z in (self.x, self.y)]
        self._coarse = self._reduced(_COARSE)

    @property
    def n(self) -> int:
        """Rows of the smaller side."""
        return min(len(self.x), len(self.y))

    def run(self, rounds: int) -> tuple[FloatArray, float]:
        """Return the best map [d_source, d_target] and how far an independent start agrees with it, 0 to 1."""
        self._enter(self._cheap_starts(), lineage=(-1, -1))
        agreement = 0.0
        best = self._pool[0]
        for number in range(rounds):
            self._start_round(number)
            if number == 0:
                continue
            best, agreement = self._settle()
            self.report({"step": "round", "round": number, "candidates": len(self._pool), "similarity": best.score,
                         "agreement": agreement})
            if agreement >= _CONFIRMED:
                break
        return self.finish([self._lift(c.matrix) for c in self._settled()[:_FINISHERS]]), agreement

    def finish(self, matrices: list[FloatArray]) -> FloatArray:
        """Carry rough maps to greater width, choose the best by transport similarity, polish it on all rows."""
        axes, (a, b) = self._reduced(_FINE)
        maps = np.stack([orthogonal(axes[0].T @ matrix @ axes[1]) for matrix in matrices])
        maps = self._climb(a, b, maps, [0.05] * 60, batch=min(800, self.n))
        maps = self._climb(a, b, maps, [0.04] * 40, batch=min(1500, self.n))
        scores = transport_similarity(a, b, maps, temperature=0.03, rows=3000)
        fine = to_numpy(maps)[int(scores.argmax())]
        self.report({"step": "fine", "similarity": float(scores.max())})
        x, y = (to_device(z, self.device) for z in (self.x, self.y))
        start = to_device(_polar(axes[0] @ fine @ axes[1].T), self.device)
        limit = max(2, self.n // 40)
        neighbors = [min(k, limit) for k in _POLISH_NEIGHBORS]
        polished, _ = polish(x, y, start, neighbors=neighbors, batch=_POLISH_ROWS, rng=self.rng)
        self.report({"step": "polish"})
        return np.asarray(to_numpy(polished))

    def _cheap_starts(self) -> list[FloatArray]:
        """Principal axes turned by their skewness, and the identity: enough for one encoder under a rotation."""
        oriented = []
        for z, (axes, _) in zip((self.x, self.y), self._axes, strict=True):
            leading = axes[:, :_COARSE]
            oriented.append(leading * np.sign(((z @ leading) ** 3).mean(axis=0)))
        k = min(w.shape[1] for w in oriented)
        starts = [oriented[0][:, :k] @ oriented[1][:, :k].T]
        if self.x.shape[1] == self.y.shape[1]:
            starts.append(np.eye(self.x.shape[1], dtype=np.float32))
        return starts

    def _start_round(self, number: int) -> None:
        base = 0.75 * np.sqrt(self.n)
        k = int(np.clip(round(_SHARES[number % len(_SHARES)] * base), 8, min(80, self.x.shape[1], self.y.shape[1])))
        seeds = self.rng.integers(2**31, size=2)
        # Components are small products: one thread a side beats two threads that wait for each other.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(2) as pool:
            source, target = pool.map(lambda z, s: find_components(z, k, seed=int(s)), (self.x, self.y), seeds)
        self._found.append((k, source, target))
        for other, (other_k, other_source, other_target) in enumerate(self._found):
            if other_k != k:
                continue
            for (i, a), (j, b) in {((number, source), (other, other_target)), ((other, other_source), (number, target))}:
                covariances = match_components(a, b, starts=_STARTS, keep=_KEEP, rng=self.rng)
                self._enter(covariances, lineage=(i, j))

    def _enter(self, covariances: list[FloatArray], *, lineage: tuple[int, int]) -> None:
        """Let new starts climb and put them into the pool."""
        axes, (a, b) = self._coarse
        starts = np.stack([orthogonal(axes[0].T @ c @ axes[1]) for c in covariances])
        maps = self._climb(a, b, starts, np.geomspace(0.08, 0.03, 60), batch=min(400, self.n // 2))
        self._pool += [_Candidate(m, lineage, s) for m, s in zip(to_numpy(maps), self._score(maps), strict=True)]

    def _settle(self) -> tuple[_Candidate, float]:
        """Let the most promising climb on; return the best and its agreement with the best of another lineage."""
        _, (a, b) = self._coarse
        waiting = [c for c in self._pool if not c.settled]
        fresh = sorted(waiting, key=lambda c: -c.score)[:_FINALISTS]
        if fresh:
            maps = np.stack([c.matrix for c in fresh])
            maps = self._climb(a, b, maps, [0.06] * 100, batch=min(400, self.n // 2))
            maps = self._climb(a, b, maps, [0.04] * 20, batch=min(1000, self.n))
            for candidate, matrix, score in zip(fresh, to_numpy(maps), self._score(maps), strict=True):
                candidate.matrix, candidate.score, candidate.settled = matrix, score, True
        settled = self._settled()
        best = settled[0]
        # Two starts share nothing when neither side's components are the same run.
        others = [c for c in settled[1:] if c.lineage != best.lineage]
        agreement = max((_agreement(a, best.matrix, c.matrix) for c in others), default=0.0)
        return best, agreement

    def _settled(self) -> list[_Candidate]:
        return sorted((c for c in self._pool if c.settled), key=lambda c: -c.score)

    def _climb(self, a: Array, b: Array, maps: FloatArray, temperatures: Any, *, batch: int) -> Array:
        moved = to_device(maps, self.device)
        return climb(a, b, moved, temperatures=[float(t) for t in temperatures], batch=batch, rng=self.rng)

    def _score(self, maps: Array) -> FloatArray:
        _, (a, b) = self._coarse
        return transport_similarity(a, b, maps, temperature=0.03, rows=1500)

    def _reduced(self, width: int) -> tuple[list[FloatArray], list[Array]]:
        axes = [vectors[:, :width] for vectors, _ in self._axes]
        rows = [unit_rows(z @ w) for z, w in zip((self.x, self.y), axes, strict=True)]
        return axes, [to_device(z, self.device) for z in rows]

    def _lift(self, matrix: FloatArray) -> FloatArray:
        axes, _ = self._coarse
        return axes[0] @ matrix @ axes[1].T


def _agreement(rows: Array, first: FloatArray, second: FloatArray) -> float:
    sample = to_numpy(rows[:1000])
    return float((unit_rows(sample @ first) * unit_rows(sample @ second)).sum(axis=1).mean())


def _polar(matrix: FloatArray) -> FloatArray:
    return np.asarray(orthogonal(matrix), np.float32)


def _principal_axes(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    values, axes = np.linalg.eigh(z.T @ z / np.float32(len(z)))
    return np.ascontiguousarray(axes[:, ::-1]), values[::-1]
