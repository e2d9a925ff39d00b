"""Evidence from known pairs that both kinds of fits share: ranks of true rows, and whether pairs stand for all rows.

The mean cosine of held-out pairs can be far above that of mismatched ones while most translations still have many
nearer rows than the true one. And pairs of one narrow kind of text say nothing about the map elsewhere.
"""

from __future__ import annotations

import numpy as np

from interlingua.aligners.base import Problem
from interlingua.aligners.frames import Frame
from interlingua.core.alignment import Evidence
from interlingua.core.arrays import FloatArray, unit_rows

__all__ = ["coverage_of_pairs", "nearer_shares", "rank_evidence"]

# Maps with a top-1 of a half have a mean share under 0.01, those with a fifth exceed it (pairs-curve.jsonl).
_MAX_NEARER = 0.01
# Most rows, and most pairs, that a measurement reads.
_ROWS = 2_000
# Cosines of one row with itself differ by less than this.
_ROUNDING = 1e-6
# A row is covered where a pair is as near to it as other pairs are to nine tenths of the pairs. Random pairs, 20 or
# more, covered at least 0.69 of the rows of three corpora, and the largest of twelve groups of a corpus 0.21 to 0.61.
_LEVEL, _MIN_COVERAGE = 0.1, 0.4
# The coverage by fewer random pairs varies too much.
_MIN_PAIRS = 20


def nearer_shares(translated: FloatArray, true: FloatArray, target: FloatArray) -> FloatArray:
    """Return for each pair the share [p] of target rows that are nearer to the translation than the true row.

    Args:
        translated: [p, w], unit norm.
        true: [p, w], unit norm.
        target: [m, w], unit norm.
    """
    own = np.einsum("ij,ij->i", translated, true)
    return np.asarray((translated @ target.T > own[:, None] + _ROUNDING).mean(axis=1))


def rank_evidence(nearer: FloatArray) -> Evidence:
    """Return the evidence that the true rows of held-out pairs [p] are among the nearest rows of their translations."""
    value = float(nearer.mean())
    return Evidence(
        "rank_of_pairs",
        value,
        0.5,
        _MAX_NEARER,
        value <= _MAX_NEARER,
        "Mean share of target rows that are nearer to a translation than the true row, for the same held-out pairs.",
        "at_most",
        "unrelated maps",
    )


def coverage_of_pairs(problem: Problem, *, seed: int) -> Evidence | None:
    """Return whether the known pairs of a problem are spread over the rows of both sides, or None with too few pairs.

    Args:
        problem: both sides and the pairs.
        seed: decides which rows and pairs are read.
    """
    if problem.known is None or len(problem.known[0]) < _MIN_PAIRS:
        return None
    rng = np.random.default_rng([seed, 29])
    picked = rng.permutation(len(problem.known[0]))[:_ROWS]
    shares = {
        name: _covered(unit_rows(frame.center(pairs[picked])), frame, rng)
        for name, frame, pairs in zip(("source", "target"), problem.frames, problem.known, strict=True)
    }
    name = min(shares, key=lambda side: shares[side])
    return Evidence(
        "coverage_of_pairs",
        shares[name],
        0.0,
        _MIN_COVERAGE,
        shares[name] >= _MIN_COVERAGE,
        f"Share of the {name} rows that are as near to a known pair as known pairs are to each other. Below "
        f"{_MIN_COVERAGE}, the pairs are of a narrow kind of text and do not show how well other texts are translated. "
        "Add pairs of other texts, or fit on the rows of that kind alone.",
        "at_least",
        "pairs of other texts than the rows",
    )


def _covered(pairs: FloatArray, frame: Frame, rng: np.random.Generator) -> float:
    cosines = pairs @ pairs.T
    np.fill_diagonal(cosines, -1)
    level = np.quantile(cosines.max(axis=1), _LEVEL)
    rows = frame.rows[rng.permutation(len(frame.rows))[:_ROWS]]
    return float(((rows @ pairs.T).max(axis=1) >= level).mean())
