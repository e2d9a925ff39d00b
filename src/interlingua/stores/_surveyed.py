"""The rows of a source once more, page by page as the survey read them, also after other rows were added."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np

from interlingua.core.arguments import shown
from interlingua.core.digests import page_digest
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records, concatenated
from interlingua.stores._conversion import Conversion
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._protocol import Cursor

__all__ = ["surveyed_pages"]


def surveyed_pages(conversion: Conversion, log: MigrationJournal, number: int) -> Generator[Records, None, None]:
    """Yield the rows to write of each page of the survey, from one page on.

    As long as nothing has changed, the pages of the source are those of the survey. From the first one that differs on,
    rows that the survey did not read are left out: they were added since, and are listed at the end of the migration.

    Args:
        conversion: of the migration.
        log: its journal.
        number: of the first page.

    Raises:
        InputError: a row of the survey has changed or is gone.
    """
    reason: UnusableRowError | None = None
    try:
        with closing(
            conversion.source.scan(conversion.options.page_rows, _cursor(log, number))  # type: ignore[type-var]
        ) as pages:
            for read, _ in pages:
                page = log.page(number)
                if page is None or page.digest != conversion.copied(read).digest():
                    break
                yield conversion.usable(read)[0]
                number += 1
            else:
                return
    except UnusableRowError as error:
        reason = error  # of a row that was added, or has changed
    waiting: list[Records] = []
    with closing(_with_bad(conversion, _cursor(log, number), reason)) as parts:
        for read in parts:
            known, same = log.compare(conversion.copied(read).row_digests())
            if (known & ~same).any():
                row = read.ids[int(np.argmax(known & ~same))].as_py()
                raise _changed(conversion, f"the row with the id {shown(row)} differs from that read at the start")
            waiting.append(read.take(np.flatnonzero(known)))
            while (page := log.page(number)) is not None and sum(map(len, waiting)) >= page.rows:
                rows = concatenated(waiting)
                whole, waiting = rows.rows(0, page.rows), [rows.rows(page.rows, len(rows))]
                if page_digest(conversion.copied(whole).row_digests()) != page.usable:
                    raise _changed(conversion, f"the rows of page {number} differ from those read at the start")
                yield whole
                number += 1
            if page is None:
                return  # every row after these was added
    if log.page(number) is not None:
        raise _changed(conversion, f"rows of page {number} are not there any more")


def _with_bad(conversion: Conversion, after: Cursor, reason: UnusableRowError | None) -> Generator[Records, None, None]:
    """Yield the pages of the source behind a cursor, with NaN in place of vectors that cannot be used.

    Args:
        conversion: of the migration.
        after: the cursor.
        reason: why the pages could not be read as they are.

    Raises:
        InputError: they cannot be read so either.
    """
    source, options = conversion.source, conversion.options
    try:
        options.restrict(source, bad_as_nan=True)
        with closing(source.scan(options.page_rows, after)) as pages:  # type: ignore[type-var]
            for read, _ in pages:
                yield read
    except InputError as error:
        raise _changed(conversion, str((reason or error).args[0]).removesuffix(".")) from error
    finally:
        options.restrict(source)


def _changed(conversion: Conversion, what: str) -> InputError:
    return InputError(
        f"{conversion.source.url} changed while it was migrated: {what}. Roll back, and migrate a snapshot."
    )


def _cursor(log: MigrationJournal, number: int) -> Cursor:
    before = log.page(number - 1) if number else None
    return before.after if before else None
