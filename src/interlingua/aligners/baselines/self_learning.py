"""Unsupervised self-learning of a dictionary, as published for word embeddings, applied to rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from interlingua.aligners.base import Fit, OnStep, Problem, check_no_pairs, ignore_step, single_step_fit
from interlingua.aligners.frames import affine_maps, polar
from interlingua.core.arguments import Bounds, check_settings
from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.memory import check_memory
from interlingua.core.neighbors import csls_blocks

__all__ = ["SelfLearning"]

# Smallest increase of the objective that counts, as in the paper.
_MIN_INCREASE = 1e-6
# Square arrays of the start that exist at the same time: both profiles, one before it is centered, and its copy.
_PROFILE_ARRAYS = 4


@dataclass(frozen=True)
class SelfLearning:
    """Match rows with similar similarity profiles, then alternate between map and dictionary, with random dropout.

    After Artetxe, Labaka and Agirre, "A robust self-learning method for fully unsupervised cross-lingual mappings of
    word embeddings" (ACL 2018), from the paper alone. The paper uses the most frequent words; texts have no frequency,
    so random rows are used. Its last step, a symmetric re-weighting of both sides, is left out, since it leaves the
    target's space, into which this package translates.

    The method assumes that most rows have their translation on the other side, which holds for words and not for
    disjoint texts. Similarities are computed in blocks, so memory grows with the rows and not with their square.

    Attributes:
        start_rows: rows of each side whose similarity profiles are compared at the start; this step holds matrices of
            that many rows and columns.
        rows: most rows of each side in the dictionary.
        keep: initial probability of keeping an entry of the similarity matrix.
        grow: factor on that probability once the objective has stopped rising.
        patience: rounds without an increase before that.
        rounds: most rounds.
    """

    start_rows: int = 4_000
    rows: int = 20_000
    keep: float = 0.1
    grow: float = 2.0
    patience: int = 50
    rounds: int = 1_000

    name: ClassVar[str] = "self-learning"
    bounds: ClassVar[Bounds] = {
        **dict.fromkeys(("start_rows", "rows", "patience"), {"minimum": 1}),
        "keep": {"above": 0, "maximum": 1},
        "grow": {"above": 1},
    }

    def __post_init__(self) -> None:
        """Check the settings."""
        check_settings(self)

    def fit(self, problem: Problem, *, seed: int, on_step: OnStep = ignore_step) -> Fit:
        """Align a problem; see :meth:`interlingua.aligners.base.Aligner.fit`.

        Raises:
            InputError: pairs were given, or ``start_rows`` needs more memory than is available.
        """
        check_no_pairs(problem, self.name)
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
        matrix = _fit(x, y, _induce(profiles[0], profiles[1], 1.0, rng)[0])
        keep, best, since, objectives = self.keep, -np.inf, 0, []
        for _ in range(self.rounds):
            dictionary, objective = _induce(x @ matrix, y, keep, rng)
            objectives.append(objective)
            if objective > best + _MIN_INCREASE:
                best, since = objective, 0
            else:
                since += 1
            if since >= (self.patience if keep < 1 else 1):
                if keep >= 1:
                    break
                keep, since = min(1.0, self.grow * keep), 0
            matrix = _fit(x, y, dictionary)
        return single_step_fit(self.name, affine_maps(*frames, matrix), {"objective": objectives}, on_step)


def _profiles(x: FloatArray) -> FloatArray:
    """Return each row's sorted similarities within its own side [n, n], normalized as the rows are."""
    left, values, _ = np.linalg.svd(x, full_matrices=False)
    # The root of the similarity matrix, as the paper found to work better than the matrix itself.
    profiles = unit_rows(np.sort((left * values) @ left.T, axis=1))
    return unit_rows(profiles - profiles.mean(axis=0))


def _induce(
    mapped: FloatArray, y: FloatArray, keep: float, rng: np.random.Generator
) -> tuple[tuple[IntArray, IntArray], float]:
    """Return rows and columns of the dictionary, and the objective.

    The dictionary holds the CSLS-nearest row of every row on either side, after a random part of the similarities was
    dropped. The objective is the mean similarity to the nearest row before that, over both sides.

    Args:
        mapped: [n, d], mapped source rows.
        y: [m, d], unit target rows.
        keep: probability of keeping a similarity.
        rng: decides what is dropped.
    """
    n, m = len(mapped), len(y)
    forward, total = np.empty(n, np.int64), 0.0
    backward = np.zeros(m, np.int64)
    nearest, kept_nearest = np.full((2, m), -np.inf, y.dtype)
    for block, similarity in csls_blocks(mapped, y):
        total += float(similarity.max(axis=1).sum())
        np.maximum(nearest, similarity.max(axis=0), out=nearest)
        if keep < 1:
            similarity[rng.random(similarity.shape, np.float32) >= keep] = -np.inf
        forward[block] = similarity.argmax(axis=1)
        top = similarity.argmax(axis=0)
        values = similarity[top, np.arange(m)]
        better = values > kept_nearest
        kept_nearest[better], backward[better] = values[better], top[better] + block.start
    objective = (total / n + float(nearest.mean())) / 2
    return (np.concatenate([np.arange(n), backward]), np.concatenate([forward, np.arange(m)])), objective


def _fit(x: FloatArray, y: FloatArray, dictionary: tuple[IntArray, IntArray]) -> FloatArray:
    rows, columns = dictionary
    entries = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(x), len(y)))
    return polar(x.T @ (entries @ y))
