"""What commands say about a translator and rows: the verdict on its fit, and whose rows they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from interlingua.cli import console
from interlingua.cli.collections import says_translated
from interlingua.cli.inputs import SIDES, Side, read_space
from interlingua.core.alignment import Status
from interlingua.core.arrays import FloatArray
from interlingua.core.callbacks import OnRows
from interlingua.core.comparison import MIN_BATCH
from interlingua.core.errors import InterlinguaError, UnusableRowError
from interlingua.core.wording import count_of

if TYPE_CHECKING:
    from interlingua.core.translator import Translator

__all__ = ["note_few_rows", "note_verdict", "warn_of_fitted_rows", "warn_of_translations"]

# Digests that must be found: any two files may have a few texts in common.
_LEAST = 3
# Digests from which on the number of rows is estimated.
_COUNTED = 16


def note_verdict(translator: Translator, directory: Path) -> None:
    """Print a warning if the verdict on the fit of a translator is not aligned."""
    status = (translator.card.get("verdict") or {}).get("status")
    if status in (str(Status.DOUBTFUL), str(Status.FAILED)):
        console.note(
            f"Warning: the verdict on the fit of this translator is {status} (interlingua inspect "
            f"{quote(str(directory))} has the reasons). Check some translations before you rely on them."
        )


def note_few_rows(rows: int, translator: Translator, *, inverse: bool) -> None:
    """Print a note if the rows are too few to tell which of both models made them, and the widths are equal.

    Args:
        rows: number of rows that are translated, with or without copies.
        translator: the translator.
        inverse: whether they are translated from the target space to the source space.
    """
    if translator.d_source != translator.d_target or rows >= MIN_BATCH:
        return
    side, other = SIDES[::-1] if inverse else SIDES
    console.note(
        f"Too few rows to check which model made them: {count_of(rows)}, and {MIN_BATCH} different ones are "
        f"needed. They are taken for vectors of the {side} model; for those of the {other} model "
        f"{'leave out' if inverse else 'add'} --inverse."
    )


def warn_of_translations(files: Sequence[Side], sides: Sequence[str]) -> None:
    """Print a warning for each side whose mark says that interlingua translated its vectors.

    Args:
        files: those that must hold vectors of a model itself; `.npy` files and some others have no room for a mark.
        sides: what they are called.
    """
    for file, side in zip(files, sides, strict=True):
        try:
            is_translated = says_translated(file)
        except InterlinguaError:  # A mark that cannot be read stops nothing that can be done without it.
            continue
        if is_translated:
            console.note(
                f"Warning: interlingua translated the vectors of the {side} ({file.path}), as their mark says. The "
                "result describes these translations and not the model; name vectors that the model itself made."
            )


def warn_of_fitted_rows(
    files: Sequence[Side],
    translator: Translator,
    on_rows: OnRows,
    sides: Sequence[str] = SIDES,
    compared: Sequence[FloatArray] | None = None,
) -> list[str]:
    """Print a warning for each side that holds the fitted rows, and return these sides.

    A card holds digests of some of the fitted rows, which are looked for in the whole file or collection. One of an
    earlier version holds a fingerprint of all of them. As a fit draws rows by its seed, they are drawn again and
    compared; fits on several targets, on other conditions, and on other rows of the file are not recognized then.
    Rows are probably not noticed if the file holds only a small part of the fitted rows.

    Args:
        files: source and target, or those of `sides`.
        translator: the translator.
        on_rows: called with the phase, the rows read so far and the number of rows, when a page has been read.
        sides: which sides the files are of.
        compared: for each side, the rows [n, d] that are compared, where these are a part of the file or collection.
            There is no warning if they have no digest of the fit although, by their number, some are to be expected.

    Raises:
        InputError: rows that cannot be used.
    """
    from interlingua.core.records import report_rows
    from interlingua.core.spaces import shared_rows

    found = []
    parts: Sequence[FloatArray | None] = compared or [None] * len(files)
    for side, file, part in zip(sides, files, parts, strict=True):
        about = translator.card.get(side) or {}
        n, seed = about.get("n"), translator.card.get("seed")
        if not isinstance(n, int) or n < 1:
            continue
        pages = (page.vectors for page in report_rows(file.batches(), file.n, on_rows, "checking"))
        share = shared_rows(about, pages)
        matches = needed = _COUNTED
        if share is not None:
            count = len(set(about["digests"]))
            matches, needed = round(share * count), min(_LEAST, count)
        else:
            if not isinstance(seed, int) or n > file.n:
                continue
            try:
                again = read_space(file, rows=n, seed=seed, on_rows=on_rows).fingerprint()
            except UnusableRowError:  # No fit has read such rows.
                continue
            share = float(again == about.get("fingerprint"))
        if share == 0 or matches < needed:
            continue
        expected = len(part) / n * len(set(about.get("digests", ()))) if part is not None else 0.0
        if part is not None and expected >= _LEAST and not shared_rows(about, [part]):
            continue
        found.append(side)
        fitted = min(round(share * n), file.n)
        number = f"{fitted:,}" if share == 1 else f"about {fitted:,}" if matches >= _COUNTED else "some"
        rows = "the rows" if share == 1 and fitted == file.n else f"{number} of the {file.n:,} rows"
        console.note(
            f"Warning: the fit has read {rows} of {file.path}, so these scores may be higher than those of new "
            "rows. Use rows that the fit has not read."
        )
    return found
