"""Choice of the fits that an audit uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.alignment import Alignment, Status
from interlingua.core.arrays import FloatArray
from interlingua.core.errors import InputError
from interlingua.core.spaces import shared_rows
from interlingua.leakage.inputs import PublicCorpus

__all__ = ["ON_OTHERS", "ChosenFits", "choose_fits", "translate", "used_positions"]

# What is said of fits that are foreign.
ON_OTHERS = "made on other vectors or with other public vectors"
# Share of the rows of a fit that must be among the audited ones; the others may have been deleted since.
_SHARED = 0.5
# Number of rows whose translations are compared to recognize copies of a fit.
_PROBES = 8


@dataclass(frozen=True)
class ChosenFits:
    """Fits of an audit.

    Attributes:
        ranked: all fits without copies, the one with the best verdict first.
        foreign: for each of them, whether it was made on other vectors, as far as its card tells.
        used: those that did not fail and, if there are any, were made on the audited vectors; empty if all failed.
        omitted: sentences on the fits that were left out.
    """

    ranked: list[Alignment]
    foreign: tuple[bool, ...]
    used: list[Alignment]
    omitted: tuple[str, ...]


def choose_fits(alignments: Sequence[Alignment], rows: npt.NDArray[Any], corpus: PublicCorpus) -> ChosenFits:
    """Rank the fits, and leave out copies, and failed fits and fits on other vectors if a fit of these worked.

    Raises:
        InputError: a fit of other widths.
    """
    public = np.asarray(corpus.vectors)
    _check_widths(alignments, rows.shape[1], public.shape[1])
    omitted = []
    # A copy translates exactly alike. So can fits from different seeds, whose agreement is evidence.
    copies: dict[tuple[int, bytes], Alignment] = {}
    for fit in sorted(alignments, key=lambda fit: -fit.verdict.score):
        copies.setdefault((fit.seed, translate(fit, rows[:_PROBES]).tobytes()), fit)
    ranked = list(copies.values())
    if len(ranked) < len(alignments):
        omitted.append(
            "A fit with the seed and the translations of another one was left out, because the two are one fit."
        )
    foreign = tuple(_is_foreign(fit, rows, public) for fit in ranked)
    verdicts = [fit.verdict.status for fit in ranked]
    used = used_positions(verdicts, foreign)
    if len(used) < sum(verdict is not Status.FAILED for verdict in verdicts):
        omitted.append(f"Fits that were {ON_OTHERS} were not used, because a fit of these vectors worked.")
    return ChosenFits(ranked, foreign, [ranked[position] for position in used], tuple(omitted))


def used_positions(verdicts: Sequence[str], foreign: Sequence[bool]) -> list[int]:
    """Return the positions of the fits that are used: those that did not fail, on the audited vectors if there are any.

    Args:
        verdicts: verdict of each fit.
        foreign: for each fit, whether it was made on other vectors.
    """
    usable = [position for position, verdict in enumerate(verdicts) if verdict != Status.FAILED]
    return [position for position in usable if not foreign[position]] or usable


def translate(alignment: Alignment, rows: npt.NDArray[Any]) -> FloatArray:
    """Return the translations of rows in single precision."""
    return np.asarray(alignment.forward(np.asarray(rows, np.float32)), np.float32)


def _check_widths(alignments: Sequence[Alignment], source: int, target: int) -> None:
    for alignment in alignments:
        widths = alignment.forward.d_in, alignment.forward.d_out
        if widths != (source, target):
            raise InputError(
                f"A fit translates vectors of width {widths[0]} to {widths[1]}; the audited and the public vectors "
                f"have {source} and {target}. Give fits of these vectors."
            )


def _is_foreign(fit: Alignment, vectors: npt.NDArray[Any], public: npt.NDArray[Any]) -> bool:
    """Return whether a fit was made on other rows than these, as far as its card can tell."""
    shares = [shared_rows(facts, [side]) for facts, side in ((fit.source, vectors), (fit.target, public))]
    return any(share is not None and share < _SHARED for share in shares)
