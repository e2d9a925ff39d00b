"""The search for a coarse map from known pairs and from categories of rows.

Pairs and categories are used in three places. The start is the cross-covariance of the pairs and of the means of each
category. The same cross-covariance is added in every step of the refinement. The coupling prefers rows of the same
category. Few pairs determine only few directions, so the start is a partial isometry: the first coupling uses the
directions that are known, and the refinement adds the others.

The map is tested on pairs and rows that were held out: each fold of the pairs, and each half of the labels, is left out
of one search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from interlingua.aligners.coarse import CoarseSpaces, anneal, settle
from interlingua.aligners.frames import near_copies, polar
from interlingua.aligners.linear.pairs import Pairs, coarse_pairs, pair_covariance
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.backend import take, to_device, to_numpy

__all__ = [
    "Guide",
    "HeldOutSearches",
    "HeldOutTranslations",
    "LabeledTranslations",
    "Labels",
    "category_covariance",
    "partial_isometry",
    "search_held_out",
    "translate_labeled",
]

# Numbers of the categories of the rows [n_source] and [n_target], -1 for none.
Labels = tuple[IntArray, IntArray]

_REPEATS, _FOLDS = 4, 5
# Smaller singular values, as shares of the largest, are rounding errors.
_KNOWN_DIRECTION = 1e-3
# Weight of the means of categories beside a coupling, and how much equal categories add to a cosine.
_CATEGORY_WEIGHT, _BONUS = 0.3, 0.05


@dataclass(frozen=True, eq=False)
class Guide:
    """Known pairs and categories, in the form in which refinements of coarse maps use them.

    Attributes:
        spaces: the rows, with codes of their categories.
        prior: [w_source, w_target], the weighted cross-covariance.
    """

    spaces: CoarseSpaces
    prior: FloatArray

    @classmethod
    def of(cls, spaces: CoarseSpaces, pairs: Pairs | None, labels: Labels | None) -> Guide:
        """Compute the cross-covariance and the category codes.

        Args:
            spaces: the rows in coarse coordinates.
            pairs: centered unit rows [p, d_source] and [p, d_target], in full width.
            labels: numbers of the categories of the rows.
        """
        prior = np.zeros(tuple(axes.shape[1] for axes in spaces.axes), np.float32)
        if pairs is not None and len(pairs[0]):
            prior += pair_covariance(coarse_pairs(spaces, pairs))
        if labels is not None:
            rows = to_numpy(spaces.rows[0]), to_numpy(spaces.rows[1])
            prior += np.float32(_CATEGORY_WEIGHT) * category_covariance(rows, labels)
            spaces = replace(spaces, labels=_codes(labels, spaces.device))
        return cls(spaces, prior)

    def search(self, rng: np.random.Generator, *, repeats: int = _REPEATS) -> FloatArray:
        """Return the coarse map [w_source, w_target] refined from the partial isometry of the prior; see `refine`."""
        return self.refine(partial_isometry(self.prior), rng, repeats=repeats)

    def refine(self, start: FloatArray, rng: np.random.Generator, *, repeats: int = _REPEATS) -> FloatArray:
        """Return the polar factor of the sum of ``repeats`` refinements of a coarse map ``start`` [w_source, w_target].

        Each refinement draws its own batches, and their errors partly cancel in the sum.
        """
        total = np.zeros_like(start)
        for _ in range(repeats):
            annealed = anneal(self.spaces, start[None], rng, self.prior)
            total += settle(self.spaces, annealed, rng, self.prior)[0]
        return polar(total)

    def objective(self, matrix: FloatArray) -> float:
        """Return the transport similarity of a coarse map, plus the agreement with pairs and categories."""
        return float(self.spaces.similarity(matrix[None])[0]) + float((self.prior * matrix).sum())


class LabeledTranslations(NamedTuple):
    """Translated source rows beside target rows, both with categories.

    Attributes:
        translated: [n, w_target], unit rows.
        labels: [n], categories of the translated rows.
        target: [m, w_target], unit rows.
        target_labels: [m], categories of the target rows.
    """

    translated: FloatArray
    labels: IntArray
    target: FloatArray
    target_labels: IntArray


@dataclass(frozen=True, eq=False)
class HeldOutTranslations:
    """Translations of pairs and labeled rows by maps fitted without them, in coarse coordinates.

    Attributes:
        pairs: translated rows and true rows [p, w_target] of known pairs, or None.
        rows: labeled rows, one entry for each map that they were held out of; empty without labels.
    """

    pairs: tuple[FloatArray, FloatArray] | None = None
    rows: tuple[LabeledTranslations, ...] = ()


def partial_isometry(matrix: FloatArray) -> FloatArray:
    """Return the polar factor of a matrix on the directions that it determines, and zero on all others."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    known = values > _KNOWN_DIRECTION * values[0]
    return np.asarray(left[:, known] @ right[known], np.float32)


def category_covariance(rows: tuple[FloatArray, FloatArray], labels: Labels) -> FloatArray:
    """Return the cross-covariance [d_source, d_target] of the means of categories.

    A category has the weight of its rows on the side that has fewer of them.

    Args:
        rows: [n_source, d_source] and [n_target, d_target].
        labels: numbers of their categories.
    """
    count = 1 + max(int(side.max()) for side in labels)
    totals, sizes = [], []
    for z, side in zip(rows, labels, strict=True):
        total = np.zeros((count, z.shape[1]), np.float32)
        np.add.at(total, side[side >= 0], z[side >= 0])
        totals.append(total)
        sizes.append(np.bincount(side[side >= 0], minlength=count).astype(np.float32))
    weight = np.minimum(*sizes)
    weight /= max(float(weight.sum()), 1.0)
    first, second = (total / np.maximum(size, 1)[:, None] for total, size in zip(totals, sizes, strict=True))
    return np.asarray((first * weight[:, None]).T @ second, np.float32)


def translate_labeled(spaces: CoarseSpaces, matrix: FloatArray, labels: Labels) -> LabeledTranslations:
    """Translate the source rows that have a label by a coarse map, and take the target rows that have one.

    Args:
        spaces: the rows in coarse coordinates.
        matrix: [w_source, w_target].
        labels: numbers of the categories of the rows, -1 for rows to leave out.
    """
    labeled = [np.flatnonzero(side >= 0) for side in labels]
    x, y = (to_numpy(take(z, index)) for z, index in zip(spaces.rows, labeled, strict=True))
    return LabeledTranslations(unit_rows(x @ matrix), labels[0][labeled[0]], y, labels[1][labeled[1]])


@dataclass(frozen=True, eq=False)
class HeldOutSearches:
    """Coarse maps that were found without some of the known pairs or labels.

    Attributes:
        of_pairs: maps [w_source, w_target], each with the pairs [p] that it has not seen, as booleans.
        of_labels: maps, each with the labels that it has not seen, -1 for all others.
    """

    of_pairs: tuple[tuple[FloatArray, npt.NDArray[np.bool_]], ...] = ()
    of_labels: tuple[tuple[FloatArray, Labels], ...] = ()

    def translate(self, spaces: CoarseSpaces, pairs: Pairs | None) -> HeldOutTranslations:
        """Translate pairs and labeled rows by the maps that have not seen them.

        Args:
            spaces: the rows in the coarse coordinates of the maps.
            pairs: centered unit rows [p, d_source] and [p, d_target], in full width.
        """
        translated = None
        if pairs is not None and self.of_pairs:
            first, second = coarse_pairs(spaces, pairs)
            rows = np.zeros_like(second)
            for matrix, out in self.of_pairs:
                rows[out] = unit_rows(first[out] @ matrix)
            translated = rows, second
        labeled = (translate_labeled(spaces, matrix, labels) for matrix, labels in self.of_labels)
        return HeldOutTranslations(translated, tuple(labeled))

    def change(self, change: Callable[[FloatArray], FloatArray]) -> HeldOutSearches:
        """Return the same with each map replaced by what a function makes of it."""
        return HeldOutSearches(
            tuple((change(matrix), out) for matrix, out in self.of_pairs),
            tuple((change(matrix), labels) for matrix, labels in self.of_labels),
        )


def search_held_out(
    spaces: CoarseSpaces,
    pairs: Pairs | None,
    labels: Labels | None,
    rng: np.random.Generator,
    start: FloatArray | None = None,
) -> HeldOutSearches:
    """Search without a part of the pairs and labels, for each part.

    Pairs are left out in five folds, or one at a time where there are fewer, and so are their near-copies. A single
    pair can be left out only if there is a start. Labels are left out in two halves. Each search reads all other pairs
    and labels.

    Args:
        spaces: the rows in coarse coordinates.
        pairs: centered unit rows [p, d_source] and [p, d_target], in full width.
        labels: numbers of the categories of the rows.
        rng: draws folds and batches.
        start: a coarse map [w_source, w_target] that was found without pairs and labels, which each search refines; by
            default it starts from its pairs and labels.
    """

    def search(guide: Guide) -> FloatArray:
        return guide.search(rng, repeats=1) if start is None else guide.refine(start, rng, repeats=1)

    of_pairs, of_labels = [], []
    fewest = 2 if start is None else 1
    if pairs is not None and len(pairs[0]) >= fewest:
        fold = rng.permutation(len(pairs[0])) % min(_FOLDS, len(pairs[0]))
        for number in range(int(fold.max()) + 1):
            out = fold == number
            near = np.logical_or(*(near_copies(side, side[out]) for side in pairs))
            of_pairs.append((search(Guide.of(spaces, (pairs[0][~near], pairs[1][~near]), labels)), out))
    if labels is not None:
        halves = [rng.permutation(len(side)) % 2 for side in labels]
        for number in (0, 1):
            used, left_out = (
                tuple(np.where(keep, side, -1) for side, keep in zip(labels, kept, strict=True))
                for kept in ([half != number for half in halves], [half == number for half in halves])
            )
            matrix = search(Guide.of(spaces, pairs, (used[0], used[1])))
            of_labels.append((matrix, (left_out[0], left_out[1])))
    return HeldOutSearches(tuple(of_pairs), tuple(of_labels))


def _codes(labels: Labels, device: str) -> tuple[FloatArray, FloatArray]:
    """Return codes [n, c] of categories, whose inner product is positive for equal categories and otherwise negative.

    A row without a category has the code 0, so nothing is added to its similarities.
    """
    count = 1 + max(int(side.max()) for side in labels)
    table = np.sqrt(np.float32(_BONUS)) * (np.eye(count, dtype=np.float32) - np.float32(1 / count))
    table = np.concatenate([table, np.zeros((1, count), np.float32)])
    first, second = (to_device(np.ascontiguousarray(table[side]), device) for side in labels)
    return first, second
