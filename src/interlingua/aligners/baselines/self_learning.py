"""Unsupervised self-learning of a dictionary, as published for word embeddings; here rows take the place of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from interlingua.aligners.base import Fit, OnStep, Problem, ignore_step, refuse_pairs, single_step
from interlingua.aligners.frames import affine_maps, polar
from interlingua.aligners.refine import csls
from interlingua.core.arrays import FloatArray, IntArray, unit_rows

_RISE = 1e-6


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
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`."""
        refuse_pairs(problem, self.name)
        rng = np.random.default_rng(seed)
        frames = problem.frames
        x, y = (f.rows[rng.permutation(len(f.rows))[: self.rows]] for f in frames)
        first = min(len(x), len(y), self.start_rows)
        profiles = [_profiles(z[:first]) for z in (x, y)]
        matrix = _fit(x, y, _both_ways(csls(*profiles)))
        keep, best, since, objectives = self.keep, -np.inf, 0, []
        for _ in range(self.rounds):
            similarity = csls(x @ matrix, y)
            objective = float(np.mean([similarity.max(axis=axis).mean() for axis in (0, 1)]))
            objectives.append(objective)
            if objective > best + _RISE:
                best, since = objective, 0
            else:
                since += 1
            if since >= (self.patience if keep < 1 else 1):
                if keep >= 1:
                    break
                keep, since = min(1.0, self.grow * keep), 0
            if keep < 1:
                similarity = np.where(rng.random(similarity.shape, np.float32) < keep, similarity, -np.inf)
            matrix = _fit(x, y, _both_ways(similarity))
        return single_step(self.name, affine_maps(*frames, matrix), {"objective": objectives}, on_step)


def _profiles(x: FloatArray) -> FloatArray:
    """Return each row's sorted similarities within its own side [n, n], normalized as the rows are."""
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    # The root of the similarity matrix, as the paper found to work better than the matrix itself.
    profiles = unit_rows(np.sort((left * values) @ left.T, axis=1))
    return unit_rows(profiles - profiles.mean(axis=0))


def _both_ways(similarity: FloatArray) -> tuple[IntArray, IntArray]:
    """Return rows and columns of the dictionary: the nearest of every row, and of every column."""
    here, there = (np.arange(size) for size in similarity.shape)
    return np.concatenate([here, similarity.argmax(axis=0)]), np.concatenate([similarity.argmax(axis=1), there])


def _fit(x: FloatArray, y: FloatArray, dictionary: tuple[IntArray, IntArray]) -> FloatArray:
    rows, columns = dictionary
    entries = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(x), len(y)))
    return polar(x.T @ (entries @ y))
