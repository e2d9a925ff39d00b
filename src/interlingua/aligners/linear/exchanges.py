"""Correction of coarse maps that swap two groups of rows, and detection of ambiguous maps.

A search without pairs often ends at a map that is right except that it swaps two groups of texts. The reflection
``M - 2 M u u^T``, with ``u`` the unit vector between the centers of the two groups, swaps them back. A refinement
cannot do that, because every small step away from such a map lowers the transport similarity. So all pairs of groups
are tried: all reflections are scored, the few best are refined together with the map itself, and the map with the
largest transport similarity is kept. This correction is a method of this package.

If another map of that comparison fits about as well and translates rows to other places, the map is ambiguous: the
vectors alone do not determine which of the two is right.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from interlingua.aligners.base import OnStep, ignore_step
from interlingua.aligners.coarse import CoarseSpaces, Schedule, refine_coarse
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.backend import to_device, to_numpy
from interlingua.core.statistics import agreement

__all__ = ["AMBIGUOUS", "ExchangeResult", "exchange_groups", "reflections", "two_groups_reason"]

AMBIGUOUS = (
    "Ambiguous: another map fits the rows as well and translates them to other places. Give rows of more varied "
    "contents, or a few known pairs."
)

# Into how many groups the rows are divided, and how many of the most compact groups are exchanged. A few large groups
# and many small ones are both needed: a misplaced group may be one of 40 or the union of several.
_GROUPINGS = ((2, 2), (16, 16), (48, 20))
_CLUSTERING_STEPS = 25
# Attributes of two values, such as language or prompt, are the axis between two groups or a leading principal axis.
_LEADING_AXES = 8
_ROUNDS = 6
_SCORED_ROWS, _COMPARED_ROWS = 1000, 3000
_FINALISTS = 6
# Enough steps to compare a map with its reflections, which take the same steps.
_SCHEDULE = Schedule((0.045,) * 20, batch=1000)
# The fewest rows per group on average.
_ROWS_PER_GROUP = 8
# Maps that agree more than this are the same map, refined twice. Two maps that differ by a swap of two groups of 1% of
# the rows each agree at 0.97.
_SAME = 0.98
_AGREEMENT_ROWS = 1000
# A map is ambiguous if the agreement with another map is below the first number and its lead in transport similarity is
# below the second. Of two mirror images that fit equally well, one had a lead of 0.0003.
_DIFFERENT, _LEAD = 0.8, 1e-3
# Distance between the centers of two groups, in standard deviations within them, above which rows form two groups.
# One group that is cut in the middle shows about 2.7.
_SEPARATION = 4.0
# Two kinds of text in one collection lie at most 9.4 apart, and two prompts or languages 20 and more. Groups this far
# apart differ by an attribute of two values.
_ATTRIBUTE_SEPARATION = 12.0
_FEWEST = 100
# Lead of the better of both assignments, on samples with equal shares, under which the groups are interchangeable.
# Attributes of two values that were added to 1,500 rows had leads of 0.001 to 0.005, on either side; right maps of two
# corpora in one collection, in which the groups lie at least 4 apart, had 0.023 to 0.057.
_BALANCED_LEAD = 6e-3


@dataclass(frozen=True, eq=False)
class ExchangeResult:
    """A coarse map after all exchanges that improve it.

    Attributes:
        matrix: [w_source, w_target].
        rounds: how many exchanges were kept.
        ambiguous: whether a clearly different map fits about as well.
    """

    matrix: FloatArray
    rounds: int
    ambiguous: bool


def exchange_groups(
    spaces: CoarseSpaces,
    matrix: FloatArray,
    rng: np.random.Generator,
    *,
    prior: FloatArray | None = None,
    on_step: OnStep = ignore_step,
) -> ExchangeResult:
    """Swap groups of rows in a coarse map as long as that raises its transport similarity.

    Args:
        spaces: the rows of both sides.
        matrix: [w_source, w_target], refined.
        rng: draws the groups and the batches.
        prior: [w_source, w_target], cross-covariance of known pairs.
        on_step: called with a dict of numbers after each round.
    """
    rounds, ambiguous = 0, False
    for _ in range(_ROUNDS):
        candidates = reflections(to_numpy(spaces.rows[1]), matrix, rng)
        scores = spaces.similarity(candidates, rows=_SCORED_ROWS)
        starts = np.stack([matrix, *candidates[np.argsort(-scores)[:_FINALISTS]]])
        refined, compared, agreements = _compare(spaces, starts, rng, prior)
        best = int(compared.argmax())
        leads = compared[best] - compared
        ambiguous = bool(((agreements[best] < _DIFFERENT) & (leads < _LEAD)).any())
        moved = bool(agreements[best][0] < _SAME)
        others = leads[agreements[best] < _SAME]
        lead = float(others.min()) if len(others) else None
        on_step({"step": "exchange", "kept": moved, "similarity": float(compared[best]), "lead": lead})
        matrix = refined[best]
        if not moved or ambiguous:
            break
        rounds += 1
    return ExchangeResult(matrix, rounds, ambiguous)


def reflections(rows: FloatArray, matrix: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the reflections of ``matrix`` that exchange two groups of target rows or mirror a leading axis.

    Args:
        rows: [n_target, w_target], unit rows in principal coordinates.
        matrix: [w_source, w_target].
        rng: seeds the clustering.

    Returns:
        [r, w_source, w_target].
    """
    seed = int(rng.integers(2**31))
    axes: list[FloatArray] = [np.eye(rows.shape[1], dtype=np.float32)[:_LEADING_AXES]]
    for groups, kept in _GROUPINGS:
        centers, _ = _cluster(rows, max(2, min(groups, len(rows) // _ROWS_PER_GROUP)), seed)
        # The rows of a compact group have a center of large norm, and only such a group is misplaced as a whole.
        compact = centers[np.argsort(-np.linalg.norm(centers, axis=1))[:kept]]
        first, second = np.triu_indices(len(compact), 1)
        axes.append(compact[first] - compact[second])
    unit = unit_rows(np.concatenate(axes).astype(np.float32))
    return np.stack([_reflect(matrix, axis) for axis in unit])


def two_groups_reason(spaces: CoarseSpaces, matrix: FloatArray, rng: np.random.Generator) -> str | None:
    """Return why a map is ambiguous where both sides consist of two separate groups, or None.

    An attribute of two values, such as language or prompt, divides both sides into two groups. If the groups have the
    same contents, only their sizes show which groups correspond, and sizes may differ between the sides. A map is
    ambiguous if both sides have two groups that lie much farther apart than two kinds of text do. It is also ambiguous
    if both assignments of the groups fit about equally well on samples in which the groups have equal shares.

    Args:
        spaces: the rows of both sides.
        matrix: [w_source, w_target], refined.
        rng: draws the samples.
    """
    rows = [to_numpy(z) for z in spaces.rows]
    labels, separations = zip(*(_two_groups(z, rng) for z in rows), strict=True)
    size = min(int(np.bincount(each, minlength=2).min()) for each in labels)
    if min(separations) < _SEPARATION or size < _FEWEST:
        return None
    if min(separations) < _ATTRIBUTE_SEPARATION and not _are_interchangeable(spaces, matrix, labels, size, rng):
        return None
    shares = ", ".join(
        f"{max(share, 1 - share):.0%} and {min(share, 1 - share):.0%} of the {name}"
        for name, share in zip(("source", "target"), (float(each.mean()) for each in labels), strict=True)
    )
    return (
        f"Ambiguous: both sides consist of two groups ({shares} rows), and nothing but these "
        "shares says which groups correspond. Fit one group alone, or give a few known pairs."
    )


def _compare(
    spaces: CoarseSpaces, starts: FloatArray, rng: np.random.Generator, prior: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Refine maps [r, w_source, w_target] side by side; return them, their similarities and agreements [r, r]."""
    refined = refine_coarse(spaces, starts, _SCHEDULE, rng=rng, prior=prior)
    rows = to_numpy(spaces.rows[0][:_AGREEMENT_ROWS])
    mapped = [rows @ matrix for matrix in refined]
    agreements = np.array([[agreement(first, second) for second in mapped] for first in mapped])
    return refined, spaces.similarity(refined, rows=_COMPARED_ROWS), agreements


def _are_interchangeable(
    spaces: CoarseSpaces, matrix: FloatArray, labels: Sequence[IntArray], size: int, rng: np.random.Generator
) -> bool:
    """Return whether the mirrored map fits about as well, or better, on samples with ``size`` rows of each group.

    It fits better where the groups are exchanged because their shares are: equal shares leave only the contents.
    """
    samples = []
    for rows, group in zip(map(to_numpy, spaces.rows), labels, strict=True):
        drawn = np.concatenate([rng.choice(np.flatnonzero(group == k), size, replace=False) for k in (0, 1)])
        sample = rows[rng.permutation(drawn)]
        samples.append(to_device(unit_rows(sample - sample.mean(axis=0)), spaces.device))
    balanced = replace(spaces, rows=(samples[0], samples[1]))
    target = to_numpy(spaces.rows[1])
    centers = [target[labels[1] == k].mean(axis=0) for k in (0, 1)]
    mirrored = _reflect(matrix, unit_rows((centers[0] - centers[1])[None])[0])
    _, scores, agreements = _compare(balanced, np.stack([matrix, mirrored]), rng, None)
    return bool(agreements[0][1] < _DIFFERENT and scores[0] - scores[1] < _BALANCED_LEAD)


def _two_groups(rows: FloatArray, rng: np.random.Generator) -> tuple[IntArray, float]:
    """Return the group, 0 or 1, of each row [n], and the distance of the groups in deviations within them."""
    centers, labels = _cluster(rows, 2, int(rng.integers(2**31)))
    along = rows @ unit_rows((centers[0] - centers[1])[None])[0]
    within = np.sqrt(np.mean([along[labels == k].var() for k in (0, 1)]))
    return labels, float(abs(along[labels == 0].mean() - along[labels == 1].mean()) / max(within, 1e-6))


def _cluster(rows: FloatArray, groups: int, seed: int) -> tuple[FloatArray, IntArray]:
    """Return the centers [groups, w] of k-means and the group of each row [n].

    The k-means of scikit-learn adds up rows in parallel, so that its result depends on the number of threads. That of
    scipy does not.
    """
    from scipy.cluster.vq import kmeans2
    from sklearn.cluster import kmeans_plusplus

    starts, _ = kmeans_plusplus(rows, groups, random_state=seed)
    with warnings.catch_warnings():
        # A group may lose all its rows; its center stays where it was.
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        centers, labels = kmeans2(rows, starts, iter=_CLUSTERING_STEPS, minit="matrix")
    return np.asarray(centers, np.float32), np.asarray(labels, np.int64)


def _reflect(matrix: FloatArray, axis: FloatArray) -> FloatArray:
    """Return the map followed by the reflection along a unit vector [w_target]."""
    return np.asarray(matrix - 2 * np.outer(matrix @ axis, axis), np.float32)
