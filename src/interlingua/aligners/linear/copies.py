"""A problem in which repeated rows count once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from interlingua.aligners.base import OnStep, Problem, ignore_step, insufficient_data_reason
from interlingua.aligners.linear.guide import merged_labels
from interlingua.aligners.linear.repeats import distinct_rows
from interlingua.core.errors import InputError

__all__ = ["merge_copies"]


def merge_copies(problem: Problem, on_step: OnStep = ignore_step) -> Problem:
    """Return a problem in which copies and near-copies of a row are one row each, and report their counts.

    A problem without copies is returned as it is.

    Args:
        problem: both sides.
        on_step: called with the counts of each side.

    Raises:
        InputError: too few distinct rows on a side.
    """
    sides = [distinct_rows(rows) for rows in problem.rows]
    if insufficient_data_reason(sides[0].rows, sides[1].rows):
        # So few groups mean clustered data and not copies.
        sides = [distinct_rows(rows, near=None) for rows in problem.rows]
    counts = {
        f"{name}_{key}": value
        for name, side in zip(("source", "target"), sides, strict=True)
        for key, value in side.to_dict().items()
    }
    on_step({"step": "copies", **counts})
    if not any(side.exact or side.near for side in sides):
        return problem
    # `distinct_rows` returns unit rows; they are scaled back to the length of the input rows.
    lengths = [np.float32(frame.norm) for frame in problem.frames]
    rows = tuple(length * side.rows for length, side in zip(lengths, sides, strict=True))
    reason = insufficient_data_reason(rows[0], rows[1])
    if reason:
        raise InputError(f"Without copies of other rows, {reason} Give vectors of more texts.")
    return replace(problem, rows=(rows[0], rows[1]), labels=merged_labels(problem, sides))
