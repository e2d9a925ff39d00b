"""Selection without pairs: label-free measurements of a network, and the score by which snapshots are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core import statistics
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.networks import Network

__all__ = ["Selection", "is_convincing"]

_ROWS = 1000
_DIRECTIONS = 100
# Limits of `is_convincing`: largest excess distance, least correlation of similarities, least cosine of round trips.
_MAX_DISTANCE, _MIN_GEOMETRY, _MIN_CYCLE = 0.004, 0.985, 0.99


class Selection:
    """Measures networks on a fixed random sample of every space, without any pair.

    Args:
        vectors: [n_k, d_k] of each space by name.
        seed: decides the samples.
        teachers: the translations that training stays close to, by (from, to); agreement with them dominates the score.
    """

    def __init__(
        self,
        vectors: Mapping[str, npt.NDArray[Any]],
        *,
        seed: int = 0,
        teachers: Mapping[tuple[str, str], Callable[[FloatArray], FloatArray]] | None = None,
    ) -> None:
        rng = np.random.default_rng([seed, 1])
        self._seed, self._teachers = seed, teachers or {}
        self.rows: dict[str, FloatArray] = {}
        self._held_out: dict[str, FloatArray] = {}
        for name, rows in vectors.items():
            picked = np.sort(rng.choice(len(rows), min(len(rows), 2 * _ROWS), replace=False))
            drawn = unit_rows(np.asarray(rows[picked], np.float32))
            self.rows[name], self._held_out[name] = drawn[::2], drawn[1::2]

    def __call__(self, network: Network) -> dict[str, float]:
        """Return the measurements, means over all directions, and the ``score`` to choose by.

        * ``neighbors``: mean cosine of a translation to its nearest real row, minus that of other real rows.
        * ``geometry``: correlation between the pairwise cosines of rows and those of their translations.
        * ``cycle``: centered cosine between rows and their round trips.
        * ``distance``: sliced Wasserstein distance of translations to real rows, minus that among real rows, in
          standard deviations of the real rows.
        * ``hubness`` and ``effective_rank``: as in :mod:`interlingua.core.statistics`, relative to real rows.
        * ``consensus``: centered cosine to the teacher's translations, with teachers only.
        """
        directions = [self._measure(network, j, k) for j, k in permutations(network.names, 2)]
        mean = {name: float(np.mean([values[name] for values in directions])) for name in directions[0]}
        score = mean["neighbors"] + mean["geometry"] + mean["cycle"] - mean["distance"]
        if not self._teachers:
            return {"score": score, **mean}
        consensus = float(np.mean([self._agreement(network, j, k) for j, k in self._teachers]))
        return {"score": 10 * consensus + score / 10, "consensus": consensus, **mean}

    def _agreement(self, network: Network, source: str, target: str) -> float:
        rows = self.rows[source]
        return statistics.agreement(network.translate(rows, source, target), self._teachers[source, target](rows))

    def _measure(self, network: Network, source: str, target: str) -> dict[str, float]:
        x, y, other = self.rows[source], self.rows[target], self._held_out[target]
        translated = unit_rows(network.translate(x, source, target))
        round_trips = network.translate(translated, target, source)
        target_mean, source_mean = y.mean(axis=0), x.mean(axis=0)
        # The other half of the real rows gives each measurement's value for rows that certainly belong.
        ours, real, held_out = (unit_rows(z - target_mean) for z in (translated, y, other))
        rng = np.random.default_rng(self._seed)
        spread = float(np.sqrt((real**2).sum(axis=1).mean() / real.shape[1]))
        reference = statistics.sliced_wasserstein(held_out, real, directions=_DIRECTIONS, rng=rng)
        distance = statistics.sliced_wasserstein(ours, real, directions=_DIRECTIONS, rng=rng)
        return {
            "neighbors": _nearest_cosine(ours, real) - _nearest_cosine(held_out, real),
            "geometry": _similarity_correlation(unit_rows(x - source_mean), ours),
            "cycle": statistics.agreement(x - source_mean, round_trips - source_mean),
            "distance": (distance - reference) / spread,
            "hubness": statistics.hubness(ours, real) - statistics.hubness(held_out, real),
            "effective_rank": statistics.effective_rank(ours) / statistics.effective_rank(real),
        }


def is_convincing(measures: Mapping[str, float]) -> bool:
    """Return whether measurements confirm that the networks learned an (almost) exact isometry of two spaces.

    Translations must be as close to the target as its own other rows, preserve all similarities, and return in a round
    trip. The limits come from 20 runs on planted data: ``geometry`` was at most 0.976 for wrong maps and at least 0.993
    for right ones. Encoders of real text do not reach them.
    """
    return (
        measures["distance"] < _MAX_DISTANCE and measures["geometry"] > _MIN_GEOMETRY and measures["cycle"] > _MIN_CYCLE
    )


def _nearest_cosine(rows: FloatArray, candidates: FloatArray) -> float:
    """Return the mean cosine of unit rows with their nearest candidate."""
    return float((rows @ candidates.T).max(axis=1).mean())


def _similarity_correlation(x: FloatArray, y: FloatArray) -> float:
    """Return the correlation between the pairwise cosines of unit rows x and those of the same rows y."""
    above = np.triu_indices(len(x), 1)
    return float(np.corrcoef((x @ x.T)[above], (y @ y.T)[above])[0, 1])
