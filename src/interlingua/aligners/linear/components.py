"""Starts of the search without pairs: match the independent components of both spaces.

Independent components depend neither on the rotation of a space nor on any invertible linear map of it, and encoders of
the same kind of text share many of them (Yamagiwa et al., EMNLP 2023). Each component gets a signature that needs no
pairs: its marginal distribution, and its dependence on the other components of its space. Signatures are matched by
quadratic assignment.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np

from interlingua.aligners.coarse import CoarseSpaces
from interlingua.aligners.frames import principal_axes
from interlingua.aligners.qap import search_matchings
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import parallel_map

__all__ = ["ComponentRound", "Components", "component_count", "find_components", "find_round", "match_components"]

# Weight of the node term against the edge matrices, each of which has unit norm.
_NODE_WEIGHT = 0.003
# Standard deviations beyond which a component counts as active. The longer tail is positive, so activity on the other
# side begins nearer to the mean.
_TAILS, _POSITIVE_TAIL, _NEGATIVE_TAIL = (1.5, 2.5), 2, -1
# Squares of activations are cut at 5 standard deviations, or single rows would decide their products.
_MOST_SQUARE = 25
# The marginal distribution: this many quantiles, without the outermost hundredths, which few rows determine.
_QUANTILES = np.linspace(0.01, 0.99, 50)
# scikit-learn's defaults are 200 steps and a tolerance of 1e-4; the larger tolerance saves steps.
_ICA_STEPS, _ICA_TOLERANCE = 200, 1e-3
_WARNING_FILTERS = Lock()


@dataclass(frozen=True, eq=False)
class Components:
    """Independent components of one space with their signatures.

    Attributes:
        directions: [d, k], mean of the rows weighted by each component, E[x s].
        edges: [e, k, k], statistics of pairs of components: zero diagonal, centered, unit norm.
        quantiles: [k, q], the marginal distribution of each component.
    """

    directions: FloatArray
    edges: FloatArray
    quantiles: FloatArray


@dataclass(frozen=True, eq=False)
class ComponentRound:
    """Independent components of both sides, found with one number of components and one pair of seeds."""

    source: Components
    target: Components

    @property
    def k(self) -> int:
        """The number of components of either side."""
        return int(self.source.directions.shape[1])


def component_count(spaces: CoarseSpaces, per_root_row: float, *, least: int, most: int) -> int:
    """Return how many components to look for: in proportion to the square root of the rows of the smaller side.

    Args:
        spaces: both sides; no more components than directions are looked for.
        per_root_row: components per square root of a row.
        least: fewest components, where the directions allow it.
        most: most components.
    """
    return int(np.clip(round(per_root_row * np.sqrt(spaces.n)), least, min(most, *spaces.ranks)))


def find_round(x: FloatArray, y: FloatArray, k: int, rng: np.random.Generator) -> ComponentRound:
    """Find ``k`` independent components of the rows [n_source, d_source] and [n_target, d_target] of both sides."""
    seeds = rng.integers(2**31, size=2)
    with _quiet_ica():
        return ComponentRound(*parallel_map(lambda z, seed: find_components(z, k, seed=int(seed)), (x, y), seeds))


def find_components(x: FloatArray, k: int, *, seed: int) -> Components:
    """Run FastICA (Hyvärinen, 1999) on the leading ``k`` principal coordinates of centered rows [n, d].

    Components are scaled to unit variance and signed so that their skewness is positive.
    """
    from sklearn.decomposition import fastica

    axes, variances = principal_axes(x)
    whitened = x @ (axes[:, :k] / np.sqrt(variances[:k]))
    start, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((k, k)))
    _, _, s = fastica(whitened, whiten=False, w_init=start.astype(x.dtype), max_iter=_ICA_STEPS, tol=_ICA_TOLERANCE)
    s = (s - s.mean(axis=0)) / s.std(axis=0)
    s = np.asarray(s * np.sign((s**3).mean(axis=0)), np.float32)
    return Components(x.T @ s / np.float32(len(x)), _edges(s), np.quantile(s, _QUANTILES, axis=0).T)


@contextmanager
def _quiet_ica() -> Iterator[None]:
    """Silence FastICA's warning that it has not converged.

    Components that have not converged are noise in either space, and no matching of them scores well. Warning filters
    belong to the process, so fits in several threads set and restore them one after another.
    """
    from sklearn.exceptions import ConvergenceWarning

    with _WARNING_FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def match_components(
    source: Components, target: Components, *, starts: int, keep: int, rng: np.random.Generator
) -> list[FloatArray]:
    """Return the ``keep`` best matchings as cross-covariances [d_source, d_target], best first."""
    distance = ((source.quantiles[:, None] - target.quantiles[None]) ** 2).mean(axis=-1)
    nodes = -_NODE_WEIGHT * len(source.edges) * (distance - distance.mean()) / distance.std()
    matchings, _ = search_matchings(source.edges, target.edges, nodes, starts=starts, rng=rng)
    distinct = dict.fromkeys(map(tuple, matchings.tolist()))
    return [source.directions @ target.directions[:, list(matching)].T for matching in list(distinct)[:keep]]


def _edges(s: FloatArray) -> FloatArray:
    """Return the edge matrices [e, k, k] of activations [n, k] with unit variance."""
    n = np.float32(len(s))
    edges = []
    for tail in _TAILS:
        above = (s > tail).astype(np.float32)
        together, alone = above.T @ above / n, above.mean(axis=0)
        # Pointwise mutual information of tail events; one added count keeps it finite for pairs that never occur.
        edges.append(np.log((together + 1 / n) / (np.outer(alone, alone) + 1 / n)))
    squares = s**2
    co_skewness = squares.T @ s / n
    edges.append(co_skewness + co_skewness.T)
    clipped = np.clip(squares, None, _MOST_SQUARE)
    edges.append(clipped.T @ clipped / n)
    mixed = (s > _POSITIVE_TAIL).astype(np.float32).T @ (s < _NEGATIVE_TAIL).astype(np.float32) / n
    edges.append(mixed + mixed.T)
    edges.append(np.corrcoef(np.abs(s).T))
    return np.stack([_off_diagonal(edge) for edge in edges]).astype(np.float32)


def _off_diagonal(edge: FloatArray) -> FloatArray:
    outside = ~np.eye(len(edge), dtype=bool)
    centered = np.where(outside, edge - edge[outside].mean(), 0)
    return np.asarray(centered / (np.linalg.norm(centered) or 1))
