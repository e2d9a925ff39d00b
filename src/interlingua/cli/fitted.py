"""Whether a file or collection holds the rows that a translator was fitted on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from interlingua.cli import console
from interlingua.cli.inputs import SIDES, Side, read_space

if TYPE_CHECKING:
    from interlingua.core.translator import Translator

__all__ = ["warn_of_fitted_rows"]

# Share of the fitted rows, or of those of the file, from which on it is said to hold them: any two files may have a few
# texts in common.
_LEAST = 0.05


def warn_of_fitted_rows(
    files: Sequence[Side], translator: Translator, on_rows: Callable[[str, int, int], None]
) -> list[str]:
    """Print a warning for each side that holds the fitted rows, and return these sides.

    A card holds digests of some of the fitted rows, which are looked for in the whole file or collection. One of an
    earlier version holds a fingerprint of all of them. As a fit draws rows by its seed, they are drawn again and
    compared; fits on several targets, on other conditions, and on other rows of the file are not recognized then.

    Args:
        files: source and target.
        translator: the translator.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.
    """
    from interlingua.core.records import report_rows
    from interlingua.core.spaces import shared_rows

    found = []
    for side, file in zip(SIDES, files, strict=True):
        about = translator.card.get(side) or {}
        n, seed = about.get("n"), translator.card.get("seed")
        if not isinstance(n, int) or n < 1:
            continue
        pages = (page.vectors for page in report_rows(file.batches(), file.n, on_rows)) if about.get("digests") else ()
        share = shared_rows(about, pages)
        if share is None:
            if not isinstance(seed, int) or n > file.n:
                continue
            again = read_space(file, rows=n, seed=seed, on_rows=on_rows).fingerprint()
            share = float(again == about.get("fingerprint"))
        if max(share, share * n / file.n) < _LEAST:
            continue
        found.append(side)
        fitted = min(round(share * n), file.n)
        rows = f"{'' if share == 1 else 'about '}{fitted:,} of the {file.n:,} rows"
        rows = "the rows" if share == 1 and fitted == file.n else rows
        console.note(
            f"Warning: the fit has read {rows} of {file.path}, so these scores may be higher than those of new rows. "
            "Use rows that the fit has not read."
        )
    return found
