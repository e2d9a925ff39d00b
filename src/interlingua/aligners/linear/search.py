"""The search for a rotation between two spaces without one pair.

Rounds of independent-component starts climb side by side in the leading principal coordinates. The best map by
transport similarity is accepted as soon as an independent start has arrived at the same map; errors differ from start
to start, the truth does not. Then the winner is carried to full width and polished on all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from interlingua.aligners.frames import polar, principal_axes
from interlingua.aligners.linear.components import Components, find_components, match_components, quiet_ica
from interlingua.aligners.refine import climb, polish, transport_similarity
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.backend import Array, to_device, to_numpy
from interlingua.core.criteria import agreement
from interlingua.core.errors import InputError

Report = Callable[[dict[str, Any]], None]

_COARSE, _FINE = 64, 128
_KEEP = 3
_FINALISTS = 6
_FINISHERS = 2
_STARTS = 400
_NULLS = 6
# Median absolute deviations to standard deviations; a handful of nulls may lie closer together by luck than this.
_MAD, _MIN_SPREAD = 1.4826, 1.5e-3
# A map is accepted when an independent start agrees and random starts end this many standard deviations below it.
_AGREEMENT, _EXCESS = 0.8, 8.0
_AGREEMENT_OF_MANY = 0.9
# Directions with less than this share of the largest variance are rounding; components cannot be found in them.
_RANK_FLOOR, _MIN_RANK = 1e-6, 8
# Share of the base number of components in each round; equal shares are also matched across rounds.
_SHARES = (1.0, 1.0, 0.8, 1.25, 1.0, 0.8, 1.25, 1.0)
_POLISH_NEIGHBORS = (50, 50, 50, 50, 30)
_POLISH_ROWS = 6_000
# Where batches leave rows out, the last steps take all of them: among more rows the nearest are nearer, and fewer do.
_CLOSING_NEIGHBORS = (30, 20, 10)
_CLOSING_ROWS = 12_000
_USUAL_ROWS = 5_000
# A known pair counts as so many rows of a batch, up to half of the batch.
_PAIR_WEIGHT = 10


@dataclass(eq=False)
class _Candidate:
    """A map in coarse coordinates on its way up."""

    matrix: FloatArray
    lineage: tuple[int, int]
    score: float
    raw: FloatArray
    settled: bool = False
    derived: bool = False


@dataclass(eq=False)
class Search:
    """One search between two sides of centered unit rows.

    Attributes:
        x: [n_source, d_source], float32.
        y: [n_target, d_target], float32.
        rng: every random draw.
        device: where the climbing is done.
        report: called with one dict of numbers after each step.
        known: rows [p, d_source] and [p, d_target] of known pairs, if any.
    """

    x: FloatArray
    y: FloatArray
    rng: np.random.Generator
    device: str = "cpu"
    report: Report = lambda step: None
    known: tuple[FloatArray, FloatArray] | None = None
    _found: list[tuple[int, Components, Components]] = field(default_factory=list)
    _pool: list[_Candidate] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Reduce both sides to their leading principal coordinates and see where random starts end."""
        self._axes = [principal_axes(z) for z in (self.x, self.y)]
        self.coarse_axes, self.coarse = self._reduced(_COARSE)
        widths = [axes.shape[1] for axes in self.coarse_axes]
        starts = polar(self.rng.standard_normal((_NULLS, *widths)).astype(np.float32))
        nulls = self._settle_down(self._rise(starts))
        scores = self.similarity(nulls)
        # With many rows a random start can end at the truth by itself: the lowest come first, and medians ignore it.
        self.nulls = nulls[np.argsort(scores)]
        self._null = float(np.median(scores))
        self._null_spread = max(_MAD * float(np.median(np.abs(scores - self._null))), _MIN_SPREAD)

    @property
    def n(self) -> int:
        """Rows of the smaller side."""
        return min(len(self.x), len(self.y))

    @property
    def _ranks(self) -> list[int]:
        return [int((variances > _RANK_FLOOR * variances[0]).sum()) for _, variances in self._axes]

    def run(self, rounds: int) -> tuple[FloatArray, float]:
        """Return the best map [d_source, d_target] and how far an independent start agrees with it, 0 to 1.

        Raises:
            InputError: a side varies in too few directions.
        """
        for side, rank in zip(("source", "target"), self._ranks, strict=True):
            if rank < _MIN_RANK:
                raise InputError(
                    f"{side} varies in {rank} directions only; without pairs at least {_MIN_RANK} are needed. "
                    "Give vectors of more varied texts, or pairs with method='procrustes'."
                )
        self._enter_cheap_starts()
        best, confirmed = self._settle()
        for number in range(rounds):
            # Maps of many rows carry less noise, so right ones agree more closely.
            wanted = _AGREEMENT if self.n <= _USUAL_ROWS else _AGREEMENT_OF_MANY
            if confirmed >= wanted and self.excess(best.score) >= _EXCESS:
                break
            self._start_round(number)
            if number == 0:
                # Two rounds at least: they can be matched with each other, and confirm each other.
                continue
            self._enter_consensus()
            best, confirmed = self._settle()
            self.report(
                {
                    "step": "round",
                    "round": number,
                    "candidates": len(self._pool),
                    "excess": self.excess(best.score),
                    "agreement": confirmed,
                }
            )
        return self.finish([self._lift(c.matrix) for c in self._settled()[:_FINISHERS]]), confirmed

    def finish(self, matrices: list[FloatArray]) -> FloatArray:
        """Carry rough maps to greater width, choose the best by transport similarity, polish it on all rows."""
        axes, (a, b) = self._reduced(_FINE)
        maps = np.stack([polar(axes[0].T @ matrix @ axes[1]) for matrix in matrices])
        prior = self._prior(axes)
        # More rows hold more detail to get right, and pay for more steps.
        more = max(1.0, self.n / _USUAL_ROWS)
        moved = self._climb(a, b, maps, [0.05] * round(60 * more), batch=min(800, self.n), prior=prior)
        scores = transport_similarity(a, b, moved, temperature=0.03, rows=3000)
        best = moved[int(scores.argmax())][None]
        best = self._climb(a, b, best, [0.04] * round(90 * more), batch=min(1500, self.n), prior=prior)
        self.report({"step": "fine", "similarity": float(scores.max())})
        fine = axes[0] @ to_numpy(best)[0] @ axes[1].T
        polished = self.polish(self.x, self.y, polar(fine), _POLISH_NEIGHBORS, _POLISH_ROWS)
        if max(len(self.x), len(self.y)) > _POLISH_ROWS:
            polished = self.polish(self.x, self.y, polished, _CLOSING_NEIGHBORS, _CLOSING_ROWS)
        self.report({"step": "polish"})
        return polished

    def polish(
        self, x: FloatArray, y: FloatArray, matrix: FloatArray, neighbors: Sequence[int], batch: int = _POLISH_ROWS
    ) -> FloatArray:
        """Polish a full-width map on the rows given, or on batches of them; few rows allow few neighbors."""
        limit = max(2, min(len(x), len(y)) // 40)
        prior = None if self.known is None else to_device(self._pair_covariance(*self.known), self.device)
        polished = polish(
            *(to_device(z, self.device) for z in (x, y, matrix)),
            neighbors=[min(k, limit) for k in neighbors],
            batch=batch,
            rng=self.rng,
            prior=prior,
        )
        return np.asarray(to_numpy(polished))

    def similarity(self, maps: Array) -> FloatArray:
        """Return the transport similarity of coarse maps [r, ...] on the same rows for all."""
        a, b = self.coarse
        return transport_similarity(a, b, maps, temperature=0.03, rows=1500)

    def excess(self, score: float) -> float:
        """Return by how many of their standard deviations a similarity exceeds those of random starts."""
        return (score - self._null) / self._null_spread

    def refit(self, maps: FloatArray, rows: tuple[FloatArray, FloatArray], *, reverse: bool = False) -> FloatArray:
        """Shake coarse maps [r, ...] loose and let them settle on some of the rows of both sides only."""
        a, b = (to_device(z, self.device) for z in (rows[::-1] if reverse else rows))
        start = np.swapaxes(maps, 1, 2) if reverse else maps
        n = min(a.shape[0], b.shape[0])
        # Known pairs take no part: a refit that holds on to them would confirm them, not the map.
        shaken = self._climb(a, b, np.ascontiguousarray(start), [0.06] * 50, batch=min(300, n // 2))
        return np.asarray(to_numpy(self._climb(a, b, shaken, [0.04] * 15, batch=min(800, n))))

    def _enter_cheap_starts(self) -> None:
        """Enter starts that cost nothing: known pairs, the identity, and principal axes turned by their skewness.

        The axes of two disjoint halves make two starts: enough for one encoder under a secret rotation.
        """
        for half in (0, 1):
            turned = []
            for z in (self.x, self.y):
                axes, _ = principal_axes(z[half::2])
                leading = axes[:, :_COARSE]
                turned.append(leading * np.sign(((z[half::2] @ leading) ** 3).mean(axis=0)))
            k = min(axes.shape[1] for axes in turned)
            self._enter([turned[0][:, :k] @ turned[1][:, :k].T], lineage=(-half - 1, -half - 1))
        if self.x.shape[1] == self.y.shape[1]:
            self._enter([np.eye(self.x.shape[1], dtype=np.float32)], lineage=(-3, -3))
        if self.known is not None:
            first, second = (tuple(z[half::2] for z in self.known) for half in (0, 1))
            self._enter([self._pair_covariance(*self.known)], lineage=(-4, -4))
            for number, pairs in enumerate((first, second)):
                if len(pairs[0]):
                    self._enter([self._pair_covariance(*pairs)], lineage=(-5 - number, -5 - number))

    def _enter_consensus(self) -> None:
        """Enter sums of what all starts say, before and after their climb: errors differ, the truth adds up."""
        scores = np.array([c.score for c in self._pool])
        weights = np.exp((scores - scores.max()) / self._null_spread)
        sums = [sum(c.raw for c in self._pool), sum(w * c.matrix for w, c in zip(weights, self._pool, strict=True))]
        self._enter([self._lift(np.asarray(m, np.float32)) for m in sums], lineage=(-9, -9), derived=True)

    def _start_round(self, number: int) -> None:
        base = 0.75 * np.sqrt(self.n)
        k = int(np.clip(round(_SHARES[number % len(_SHARES)] * base), _MIN_RANK, min(80, *self._ranks)))
        seeds = self.rng.integers(2**31, size=2)
        # Components are small products: one thread a side beats two threads that wait for each other.
        with threadpool_limits(1, "blas"), quiet_ica(), ThreadPoolExecutor(2) as pool:
            source, target = pool.map(lambda z, s: find_components(z, k, seed=int(s)), (self.x, self.y), seeds)
        self._found.append((k, source, target))
        for other, (other_k, other_source, other_target) in enumerate(self._found):
            if other_k != k:
                continue
            partners = [(number, source, other, other_target)]
            if other != number:
                partners.append((other, other_source, number, target))
            for i, a, j, b in partners:
                covariances = match_components(a, b, starts=_STARTS, keep=_KEEP, rng=self.rng)
                self._enter(covariances, lineage=(i, j))

    def _enter(self, covariances: list[FloatArray], *, lineage: tuple[int, int], derived: bool = False) -> None:
        """Let new starts climb and put them into the pool."""
        axes = self.coarse_axes
        starts = np.stack([polar(axes[0].T @ c @ axes[1]) for c in covariances])
        maps = self._rise(starts)
        scores = self.similarity(maps)
        self._pool += [
            _Candidate(*c, derived=derived) for c in zip(maps, [lineage] * len(maps), scores, starts, strict=True)
        ]

    def _settle(self) -> tuple[_Candidate, float]:
        """Let the most promising climb on; return the best and its agreement with the best of another lineage."""
        waiting = [c for c in self._pool if not c.settled]
        fresh = sorted(waiting, key=lambda c: -c.score)[:_FINALISTS]
        maps = self._settle_down(np.stack([c.matrix for c in fresh]))
        for candidate, matrix, score in zip(fresh, maps, self.similarity(maps), strict=True):
            candidate.matrix, candidate.score, candidate.settled = matrix, score, True
        best, *others = self._settled()
        rows = to_numpy(self.coarse[0][:1000])
        agreements = [
            agreement(rows @ best.matrix, rows @ c.matrix)
            for c in others
            if not c.derived and c.lineage != best.lineage
        ]
        return best, max(agreements, default=0.0)

    def _settled(self) -> list[_Candidate]:
        return sorted((c for c in self._pool if c.settled), key=lambda c: -c.score)

    def _rise(self, maps: FloatArray) -> FloatArray:
        a, b = self.coarse
        temperatures = np.geomspace(0.08, 0.03, 60)
        batch = min(400, self.n // 2)
        return np.asarray(to_numpy(self._climb(a, b, maps, temperatures, batch=batch, prior=self._prior())))

    def _settle_down(self, maps: FloatArray) -> FloatArray:
        a, b = self.coarse
        prior = self._prior()
        moved = self._climb(a, b, maps, [0.06] * 100, batch=min(400, self.n // 2), prior=prior)
        return np.asarray(to_numpy(self._climb(a, b, moved, [0.04] * 20, batch=min(1000, self.n), prior=prior)))

    def _climb(
        self, a: Array, b: Array, maps: Array, temperatures: Any, *, batch: int, prior: FloatArray | None = None
    ) -> Array:
        return climb(
            a,
            b,
            to_device(maps, self.device),
            temperatures=[float(t) for t in temperatures],
            batch=batch,
            rng=self.rng,
            prior=None if prior is None else to_device(prior, self.device),
        )

    def _prior(self, axes: list[FloatArray] | None = None) -> FloatArray | None:
        """Return what known pairs say, in reduced coordinates."""
        if self.known is None:
            return None
        source, target = axes or self.coarse_axes
        return self._pair_covariance(unit_rows(self.known[0] @ source), unit_rows(self.known[1] @ target))

    @staticmethod
    def _pair_covariance(x: FloatArray, y: FloatArray) -> FloatArray:
        weight = min(0.5, _PAIR_WEIGHT * len(x) / 400)
        return np.asarray(weight * (x.T @ y) / len(x), np.float32)

    def _reduced(self, width: int) -> tuple[list[FloatArray], list[Array]]:
        axes = [vectors[:, :width] for vectors, _ in self._axes]
        rows = [unit_rows(z @ w) for z, w in zip((self.x, self.y), axes, strict=True)]
        return axes, [to_device(z, self.device) for z in rows]

    def _lift(self, matrix: FloatArray) -> FloatArray:
        return self.coarse_axes[0] @ matrix @ self.coarse_axes[1].T
