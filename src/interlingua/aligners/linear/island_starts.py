"""Start maps for the island search: from independent components, from sums of maps, and near a map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import polar
from interlingua.aligners.linear.components import ComponentRound, component_count, find_round, match_components
from interlingua.core.arrays import FloatArray

__all__ = ["component_starts", "perturb", "random_mixture", "weighted_sum"]

# Temperature of the softmax over scores that weights the maps of a sum. Independent errors cancel in a sum; at a lower
# temperature one wrong map with a good score would dominate.
_SOFTMAX_TEMPERATURE = 3e-3
# The number of components per root of the rows grows beyond 500 rows by this exponent. More rows determine a larger
# share of components, and where the two sides have different contents only many components have twins: of search
# questions and trivia with 7,600 rows, the sum of all starts agreed 0.04 with the right map from 60 components, 0.13
# from 100 and 0.19 from 140.
_FEW_ROWS, _GROWTH = 500, 0.15
_MIN_COMPONENTS = 16
_MATCHING_STARTS = 200


def component_starts(
    x: FloatArray,
    y: FloatArray,
    spaces: CoarseSpaces,
    rng: np.random.Generator,
    *,
    densities: Sequence[float],
    rounds: int,
    matchings: int,
    most: int,
) -> FloatArray:
    """Return start maps [r, w_source, w_target] from matched independent components.

    Components of neighboring rounds are matched as well as those of the same round: the runs differ, so each match
    gives another start.

    Args:
        x: [n_source, d_source], centered unit rows.
        y: [n_target, d_target], likewise.
        spaces: coarse coordinates of x and y.
        rng: decides every random draw.
        densities: numbers of components per root of the rows of the smaller side, where it has at most 500 rows; more
            rows determine more. Densities that come to the same number count once.
        rounds: independent component analyses per side and number of components.
        matchings: distinct matchings kept from each pair of rounds.
        most: most components per side; few rows allow fewer.
    """
    growth = max(1.0, spaces.n / _FEW_ROWS) ** _GROWTH
    counts = [component_count(spaces, density * growth, least=_MIN_COMPONENTS, most=most) for density in densities]
    starts: list[FloatArray] = []
    for k in dict.fromkeys(counts):
        analyses: list[ComponentRound] = []
        for number in range(rounds):
            analyses.append(find_round(x, y, k, rng))
            couples = [(number, number)] + [(number, number - 1), (number - 1, number)] * (number > 0)
            for i, j in couples:
                covariances = match_components(
                    analyses[i].source, analyses[j].target, starts=_MATCHING_STARTS, keep=matchings, rng=rng
                )
                starts += [spaces.reduce(c) for c in covariances]
    return np.stack(starts)


def weighted_sum(
    maps: FloatArray,
    scores: FloatArray,
    *,
    temperature: float = _SOFTMAX_TEMPERATURE,
    weights: FloatArray | float = 1.0,
) -> FloatArray:
    """Return the polar factor of a weighted sum of maps.

    Args:
        maps: [r, w_source, w_target].
        scores: [r], whose softmax weights the maps.
        temperature: of the softmax.
        weights: [r], further factors.
    """
    return polar(np.tensordot(weights * np.exp((scores - scores.max()) / temperature), maps, axes=1))


def random_mixture(maps: FloatArray, scores: FloatArray, temperature: float, rng: np.random.Generator) -> FloatArray:
    """Return a `weighted_sum` of maps [r, w_source, w_target] with exponentially distributed random weights."""
    weights = rng.exponential(size=len(maps))
    return weighted_sum(maps, scores, temperature=temperature, weights=weights)


def perturb(matrix: FloatArray, cosine: float, rng: np.random.Generator) -> FloatArray:
    """Return a (semi-)orthogonal map near ``matrix`` [w_source, w_target]: ``polar(c M + sqrt(1 - c^2) N)``.

    Args:
        matrix: M.
        cosine: c, about the agreement of both maps; 1 returns the same map, 0 an unrelated one.
        rng: draws the noise N.
    """
    noise = rng.standard_normal(matrix.shape) / np.sqrt(max(matrix.shape))
    return polar(np.asarray(cosine * matrix + np.sqrt(1 - cosine**2) * noise, np.float32))
