"""Two models in one collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from interlingua.core.arguments import check_count
from interlingua.core.arrays import FloatArray, IntArray, check_matrix, unit_rows
from interlingua.core.comparison import MIN_BATCH, STRUCTURE_LIMIT, STRUCTURE_ROWS
from interlingua.core.neighbors import nearest
from interlingua.core.profiles import SpaceProfile

__all__ = ["Mixture", "find_mixture", "looks_reduced"]

# Rows among which two models are looked for, and neighbors of each.
_MIXED_ROWS, _NEIGHBORS = 5_000, 10
# Cosines above which two rows are linked, in standard deviations of cosines of random directions. Each is tried,
# because rows of two models must not be linked and rows of one model must.
_LINKS = (4, 5, 6, 7, 8, 9, 10, 12)
# A group smaller than this share of the rows is too small to be the larger of two models.
_LEAST_GROUP = 0.25
# Two groups are of different models if the spectrum of each is below this in the space of the other. Groups of other
# topics by one model are above it, as measured in benchmarks/mixtures.py.
_UNRELATED = 0.12


@dataclass(frozen=True, eq=False)
class Mixture:
    """Vectors of two models in one collection.

    Attributes:
        share: of the rows that are of the smaller group, from 0 to 0.5.
        rows: numbers of these rows, in ascending order.
        spectra: how the variance of each group lies along the axes of the other, as
            `interlingua.core.comparison.Comparison.spectrum`: 0 is unrelated, 1 the same.
        margins: how much more each of these rows lies along the axes of its group than along those of the other one.
    """

    share: float
    rows: IntArray
    spectra: tuple[float, float]
    margins: FloatArray

    @property
    def surest(self) -> IntArray:
        """Numbers of the rows of the smaller group, the surest first."""
        return self.rows[np.argsort(-self.margins, kind="stable")]


def find_mixture(vectors: Any, *, seed: int = 0) -> Mixture | None:
    """Look for vectors of two models of one width in a collection.

    Rows of one model have neighbors among each other and none among rows of another model. So the graph of mutual
    neighbors falls apart, and a part is of another model if it does not vary along the principal axes of the largest
    part. Parts of other topics do. Two models with a common origin can be too similar to be distinguished. Two models
    that were both reduced by PCA cannot be distinguished either (`looks_reduced`), because both vary along the same
    axes.

    Args:
        vectors: [n, d]; two models are looked for among 5,000 rows, drawn at random, and then every row is assigned.
        seed: of the draw.

    Returns:
        The mixture, or None if none was found.

    Raises:
        InputError: fewer than 50 rows, NaN, infinity or zero rows.
    """
    rows = unit_rows(np.asarray(check_matrix(vectors, "vectors", min_rows=MIN_BATCH), np.float32))
    drawn = np.random.default_rng(check_count(seed, "seed")).permutation(len(rows))[:_MIXED_ROWS]
    sample = np.unique(rows[drawn], axis=0)
    if len(sample) < 4 * MIN_BATCH:
        return None
    links, cosines = nearest(sample, sample, _NEIGHBORS, metric="dot", exclude=np.arange(len(sample)))
    seen: IntArray | None = None
    for deviations in _LINKS:
        parts = _linked(links, cosines > deviations / np.sqrt(sample.shape[1]))
        sizes = np.bincount(parts)
        if sizes.max() < _LEAST_GROUP * len(sample):
            return None
        if seen is not None and np.array_equal(parts, seen):
            continue
        seen = parts
        found = _foreign_parts(sample, parts)
        if found is not None:
            space, foreign = found
            other = SpaceProfile.of(sample[foreign], limits=False)
            margins = space.margins(rows, other)
            second = margins > 0
            largest = sample[parts == sizes.argmax()]
            spectra = space.spectrum_of(sample[foreign]), other.spectrum_of(largest)
            if spectra[1] < 2 * _UNRELATED and 0 < second.sum() < len(rows):
                smaller = second if second.mean() <= 0.5 else ~second  # noqa: PLR2004
                found_rows = np.flatnonzero(smaller)
                return Mixture(float(smaller.mean()), found_rows, spectra, np.abs(margins[found_rows]))
    return None


def looks_reduced(vectors: Any) -> bool:
    """Return whether vectors look reduced by PCA: their variance falls from column to column, without correlations.

    A second model that was reduced too is not noticed there.

    Args:
        vectors: [n, d], at least 50 rows.

    Raises:
        InputError: as `find_mixture`.
    """
    rows = check_matrix(vectors, "vectors", min_rows=MIN_BATCH)
    return SpaceProfile.of(np.asarray(rows, np.float32), limits=False).looks_reduced


def _foreign_parts(sample: FloatArray, parts: IntArray) -> tuple[SpaceProfile, npt.NDArray[np.bool_]] | None:
    """Return the profile of the largest part, and for each row whether its part is of another model than that one.

    If the largest part looks reduced by PCA, parts of other topics can be unrelated to its axes too, so a part must be
    far from its clusters as well.

    Args:
        sample: [n, d].
        parts: [n], the part of each row.

    Returns:
        None if no part is of another model. Most collections have no second part of usable size, and then no profile
        is measured.
    """
    sizes = np.bincount(parts)
    others = [part for part in np.flatnonzero(sizes >= MIN_BATCH) if part != sizes.argmax()]
    if not others:
        return None
    largest = sample[parts == sizes.argmax()]
    space = SpaceProfile.of(largest, limits=False)
    others = [part for part in others if space.spectrum_of(sample[parts == part]) < _UNRELATED]
    if not others:
        return None
    # Only the limits tell whether the statistics of this space mean anything.
    space = space.with_limits(largest)
    compared = {part: space.compare(sample[parts == part]) for part in others}
    if space.looks_reduced:
        different = [
            part for part, one in compared.items() if one.rows >= STRUCTURE_ROWS and one.structure < STRUCTURE_LIMIT
        ]
    else:
        different = [part for part, one in compared.items() if one.spectrum < _UNRELATED]
    return (space, np.isin(parts, different)) if different else None


def _linked(links: IntArray, near: npt.NDArray[np.bool_]) -> IntArray:
    """Return for each row the number of its part of the graph of mutual neighbors [n, k] that are near."""
    n, k = links.shape
    start = np.repeat(np.arange(n), k)[near.ravel()]
    graph = coo_matrix((np.ones(len(start), np.int8), (start, links.ravel()[near.ravel()])), shape=(n, n)).tocsr()
    return np.asarray(connected_components(graph.multiply(graph.T), directed=False)[1])
