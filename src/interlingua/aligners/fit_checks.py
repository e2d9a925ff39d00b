"""Checks of what the ``fit`` of a method returned, which may be a user's, before it is judged or saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from interlingua.aligners.base import Fit, Problem
from interlingua.core.alignment import Verdict
from interlingua.core.arguments import described, shown
from interlingua.core.arrays import FloatArray, row_blocks
from interlingua.core.errors import InputError, cause_of
from interlingua.core.wording import count_of

__all__ = ["check_fit"]

# Rows that a map is tried on before it is applied to all others.
_CHECKED_ROWS = 64
# Share of the largest number by which a row may differ between two batches; float16 rounds to a tenth of it.
_ROUNDING = 5e-3


def check_fit(fit: Any, problem: Problem, method: str) -> Fit:
    """Return what a method's ``fit`` returned, or refuse it before it is judged or saved.

    Both maps are applied to all sampled rows of their side: they must return finite rows of the other side's width, and
    the same row whichever others are mapped with it.

    Args:
        fit: the return value.
        problem: what was aligned.
        method: name of the method, for messages.

    Raises:
        InputError: not a `Fit`, maps that do not map between the two spaces, a trace that is not a sequence of
            mappings, or a verdict that is not a `Verdict`.
    """
    if not isinstance(fit, Fit):
        raise InputError(f"{method}.fit returned {type(fit).__name__}; an interlingua.aligners.Fit is needed.")
    trace: Any = fit.trace
    if not isinstance(trace, tuple | list) or not all(isinstance(step, Mapping) for step in trace):
        raise InputError(f"{method}.fit returned a trace that is not a sequence of dicts.")
    if fit.verdict is not None and not isinstance(fit.verdict, Verdict):
        raise InputError(f"{method}.fit returned {type(fit.verdict).__name__} as verdict; a Verdict or None is needed.")
    sides = (problem.source, problem.target)
    for name, mapping, rows, widths in (
        ("forward", fit.forward, problem.rows[0], (sides[0].d, sides[1].d)),
        ("backward", fit.backward, problem.rows[1], (sides[1].d, sides[0].d)),
    ):
        what = f"{method}.fit: the {name} map"
        # A few rows first, which show most faults at once.
        few = _mapped(mapping, rows[:_CHECKED_ROWS], widths[1], what)
        for number, block in enumerate(row_blocks(len(rows))):
            mapped = _mapped(mapping, rows[block], widths[1], what)
            if number == 0:
                _check_independence(few, mapped[: len(few)], what)
        stated = tuple(getattr(mapping, side, None) for side in ("d_in", "d_out"))
        if stated != widths:
            raise InputError(
                f"{method}.fit: the {name} map has d_in {shown(stated[0])} and d_out {shown(stated[1])}; the widths of "
                f"the spaces, {widths[0]} and {widths[1]}, are needed. Return AffineMap objects, or objects with both."
            )
    return fit


def _mapped(mapping: Any, rows: FloatArray, width: int, name: str) -> FloatArray:
    """Return rows [n, d] under a map, which may be a user's."""
    if not callable(mapping):
        raise InputError(f"{name} is {type(mapping).__name__}; a map such as AffineMap is needed.")
    try:
        # The rows are read-only, as a map must not write into the vectors of its caller.
        mapped = mapping(rows)
    except Exception as error:  # a user's map can raise anything
        reason = f"{type(error).__name__}: {cause_of(error)}"
        raise InputError(f"{name} cannot map rows of shape {rows.shape} ({reason}).") from error
    if not isinstance(mapped, np.ndarray) or isinstance(mapped, np.ma.MaskedArray):
        raise InputError(
            f"{name} returned {described(mapped)}; a NumPy array of shape ({len(rows)}, {width}) is needed."
        )
    if mapped.shape != (len(rows), width) or mapped.dtype.kind != "f":
        raise InputError(
            f"{name} returned shape {mapped.shape} and dtype {mapped.dtype} for {count_of(len(rows))}; "
            f"real numbers of shape ({len(rows)}, {width}) are needed."
        )
    if not np.isfinite(mapped).all():
        raise InputError(f"{name} returned NaN or infinity.")
    return mapped


def _check_independence(small_batch: FloatArray, large_batch: FloatArray, name: str) -> None:
    """Refuse a map whose result for the same rows depends on the batch, or differs at a second call."""
    scale = max(float(np.abs(rows).max()) for rows in (small_batch, large_batch))
    difference = float(np.abs(np.asarray(small_batch, np.float64) - large_batch).max())
    if difference > _ROUNDING * scale:
        raise InputError(
            f"{name} gives the first {len(small_batch)} rows another result when more rows are mapped with them: it "
            f"differs by {difference / scale:.2g} of the largest number. A map that does not change and treats each "
            "row on its own is needed, such as AffineMap; compute means and other statistics in fit."
        )
