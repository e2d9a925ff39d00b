"""Unsupervised self-learning of a dictionary, as published for word embeddings; here rows take the place of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from interlingua.aligners.base import Fit, OnStep, Problem, ignore_step, refuse_pairs, single_step
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.memory import check_memory
from interlingua.core.neighbors import csls_blocks

_RISE = 1e-6
# Square arrays of the start that exist at the same time: both profiles, one before it is centered, and its copy.
_PROFILE_ARRAYS = 4


@dataclass(frozen=True)
class SelfLearning:
    """Start from rows with alike similarity profiles, then learn map and dictionary from each other, with dropout.

    After Artetxe, Labaka and Agirre, "A robust self-learning method for fully unsupervised cross-lingual mappings of
    word embeddings" (ACL 2018), from the paper alone. Texts have no frequency, so random rows stand where the paper
    takes the most frequent words, and its last step, a symmetric re-weighting of both sides, is left out: it leaves the
    target's space, into which this package translates.

    It expects what words have and disjoint texts lack: that most rows have their own translation on the other side.

    Attributes:
        start_rows: rows a side whose similarity profiles are compared at the start.
        rows: most rows a side that the dictionary is learned on.
        keep: chance that an entry of the similarity matrix is seen, at first.
        grow: factor by which the chance grows when the objective has stopped rising.
        patience: rounds without a rise before that.
        rounds: most rounds.
    """

    start_rows: int = 4_000
    rows: int = 20_000
    keep: float = 0.1
    grow: float = 2.0
    patience: int = 50
    rounds: int = 1_000

    name: ClassVar[str] = "self-learning"

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given, or ``start_rows`` needs more memory than is available.
        """
        refuse_pairs(problem, self.name)
        rng = np.random.default_rng(seed)
        frames = problem.frames
        x, y = (f.rows[rng.permutation(len(f.rows))[: self.rows]] for f in frames)
        first = min(len(x), len(y), self.start_rows)
        check_memory(
            _PROFILE_ARRAYS * 4.0 * first**2,
            f"start_rows={self.start_rows}",
            "Pass a smaller start_rows; 4,000 is the published number.",
        )
        profiles = [_profiles(z[:first]) for z in (x, y)]
        dictionary, _ = _nearest_both_ways(*profiles, keep=1.0, rng=rng)
        matrix = _fit(x, y, dictionary)
        keep, best, since, objectives = self.keep, -np.inf, 0, []
        for _ in range(self.rounds):
            dictionary, objective = _nearest_both_ways(x @ matrix, y, keep=keep, rng=rng)
            objectives.append(objective)
            if objective > best + _RISE:
                best, since = objective, 0
            else:
                since += 1
            if since >= (self.patience if keep < 1 else 1):
                if keep >= 1:
                    break
                keep, since = min(1.0, self.grow * keep), 0
            matrix = _fit(x, y, dictionary)
        return single_step(self.name, affine_maps(*frames, matrix), {"objective": objectives}, on_step)


def _profiles(x: FloatArray) -> FloatArray:
    """Return each row's sorted similarities within its own side [n, n], normalized as the rows are."""
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    # The root of the similarity matrix, as the paper found to work better than the matrix itself.
    profiles = unit_rows(np.sort((left * values) @ left.T, axis=1))
    return unit_rows(profiles - profiles.mean(axis=0))


def _nearest_both_ways(
    a: FloatArray, b: FloatArray, *, keep: float, rng: np.random.Generator
) -> tuple[tuple[IntArray, IntArray], float]:
    """Return the dictionary and the objective, by CSLS in blocks.

    Args:
        a: rows [n, d].
        b: unit rows [m, d].
        keep: chance that an entry of the similarity matrix counts for the dictionary.
        rng: draws the entries.

    Returns:
        Row numbers in a and b: the nearest of every row of a, and of every row of b. The mean similarity of the nearest
        rows, without dropout.
    """
    best_a, best_b = np.empty(len(a)), np.full(len(b), -np.inf)
    kept_b = np.full(len(b), -np.inf)
    nearest_a, nearest_b = np.zeros(len(a), np.int64), np.zeros(len(b), np.int64)
    for block, similarity in csls_blocks(a, b):
        best_a[block] = similarity.max(axis=1)
        np.maximum(best_b, similarity.max(axis=0), out=best_b)
        if keep < 1:
            similarity[rng.random(similarity.shape, np.float32) >= keep] = -np.inf
        nearest_a[block] = similarity.argmax(axis=1)
        top = similarity.argmax(axis=0)
        values = similarity[top, np.arange(len(b))]
        better = values > kept_b
        kept_b[better], nearest_b[better] = values[better], top[better] + block.start
    rows = np.concatenate([np.arange(len(a)), nearest_b])
    columns = np.concatenate([nearest_a, np.arange(len(b))])
    return (rows, columns), float(best_a.mean() + best_b.mean()) / 2


def _fit(x: FloatArray, y: FloatArray, dictionary: tuple[IntArray, IntArray]) -> FloatArray:
    rows, columns = dictionary
    entries = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(x), len(y)))
    return polar(x.T @ (entries @ y))
