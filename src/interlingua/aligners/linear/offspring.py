"""Offspring of islands and merges: maps near a consensus, near the best map, and near random mixtures of parents."""

from __future__ import annotations

import numpy as np

from interlingua.aligners.linear.island_starts import perturb, random_mixture
from interlingua.core.arrays import FloatArray

__all__ = ["island_offspring", "merge_offspring"]

# Temperature of the softmax over scores that weights the maps of a mixture.
_PARENT_TEMPERATURE = 4e-3
# Agreement of a perturbed map with the original. Refinement returns more similar maps to the original, and does not
# return less similar ones.
_PERTURBATIONS = (0.6, 0.75, 0.9)
_MERGE_PERTURBATIONS = (0.4, 0.6, 0.6, 0.9)


def island_offspring(matrix: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Return ``count`` starts [count, w_source, w_target] near the consensus of an island."""
    return np.stack([perturb(matrix, _PERTURBATIONS[i % len(_PERTURBATIONS)], rng) for i in range(count)])


def merge_offspring(
    parents: FloatArray,
    scores: FloatArray,
    consensus: FloatArray | None,
    best: FloatArray | None,
    count: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Return ``count`` starts [count, w_source, w_target] of a merge.

    A third of them is near random mixtures of the parents, a third near the consensus, and a third near the best map.
    In the first generation, all are near mixtures.

    Args:
        parents: [p, w_source, w_target], the maps of the islands.
        scores: [p], their scores.
        consensus: [w_source, w_target], consensus of the maps of the latest generations; None in the first one.
        best: [w_source, w_target], the map among them with the best score; None in the first generation.
        count: number of starts.
        rng: decides every random draw.
    """
    starts = []
    for i in range(count):
        if consensus is None or best is None or i % 3 == 0:
            origin = random_mixture(parents, scores, _PARENT_TEMPERATURE, rng)
        else:
            origin = consensus if i % 3 == 1 else best
        # The three kinds of starts share a cosine, so that each of them sees all cosines.
        starts.append(perturb(origin, _MERGE_PERTURBATIONS[i // 3 % len(_MERGE_PERTURBATIONS)], rng))
    return np.stack(starts)
