"""Whether a file or collection holds the rows that a translator was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from interlingua.cli import console
from interlingua.cli.inputs import SIDES, Side, read_space

if TYPE_CHECKING:
    from interlingua.core.translator import Translator

__all__ = ["warn_of_fitted_rows"]


def warn_of_fitted_rows(
    files: Sequence[Side], translator: Translator, on_rows: Callable[[str, int, int], None]
) -> list[str]:
    """Print a warning for each side that holds the fitted rows, and return these sides.

    A fit draws rows by its seed and keeps their number and fingerprint, so they are drawn again and compared. Fits on
    several targets, on other conditions, and on a part of the file are not recognized.

    Args:
        files: source and target.
        translator: the translator.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.
    """
    found = []
    for side, file in zip(SIDES, files, strict=True):
        about = translator.card.get(side) or {}
        n, fingerprint, seed = about.get("n"), about.get("fingerprint"), translator.card.get("seed")
        if not isinstance(n, int) or not isinstance(seed, int) or not 0 < n <= file.n:
            continue
        if read_space(file, rows=n, seed=seed, on_rows=on_rows).fingerprint() != fingerprint:
            continue
        found.append(side)
        rows = "the rows" if n == file.n else f"{n:,} of the {file.n:,} rows"
        console.note(
            f"Warning: the fit has read {rows} of {file.path}, so these scores may be higher than those of new rows. "
            "Use rows that the fit has not read."
        )
    return found
