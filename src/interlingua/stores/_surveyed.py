"""The rows of a source once more, page by page as the survey read them, also after other rows were added."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, suppress
from typing import Any

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import shown
from interlingua.core.digests import digest_ids, page_digest
from interlingua.core.errors import InputError, InterlinguaError, UnusableRowError
from interlingua.core.records import Records, concatenated
from interlingua.stores._conversion import Conversion
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._protocol import Cursor

__all__ = ["SNAPSHOT", "surveyed_pages"]

SNAPSHOT = "Run {rollback} to undo the migration, and migrate a snapshot."

# Whole numbers beside the id of a row among which the id of a row that is gone is looked for.
_LOOKED_FOR = 10_000


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
    before = None
    try:
        with closing(
            conversion.source.scan(conversion.options.page_rows, _cursor(log, number))  # type: ignore[type-var]
        ) as pages:
            for read, _ in pages:
                page = log.page(number)
                if page is None or page.digest != conversion.copied(read).digest():
                    break
                usable = conversion.usable(read)[0]
                yield usable
                number, before = number + 1, usable.ids[-1].as_py() if len(usable) else before
            else:
                if log.page(number) is None:
                    return
    except UnusableRowError as error:
        reason = error  # of a row that was added, or has changed
    waiting: list[Records] = []
    wanted, found = log.surveyed_ids(number), 0
    with closing(_with_bad(conversion, _cursor(log, number), reason)) as parts:
        for read in parts:
            known, same = log.compare(conversion.copied(read).row_digests())
            if (known & ~same).any():
                row = read.ids[int(np.argmax(known & ~same))].as_py()
                raise _changed(conversion, f"the row with the id {shown(row)} differs from that read at the start")
            rows = read.take(np.flatnonzero(known))
            # The rows that are still there, in the order of the survey: the first that differs is missing.
            there = digest_ids(rows.ids)
            expected = wanted[found : found + len(rows)]
            if len(differ := np.flatnonzero(there[: len(expected)] != expected)):
                if differ[0]:
                    before = rows.ids[int(differ[0]) - 1].as_py()
                missing = _named(
                    conversion, log, number, int(expected[differ[0]]), before, rows.ids[int(differ[0])].as_py()
                )
                log.note(missing=missing)
                raise _changed(conversion, f"{missing} is gone or has moved")
            found, before = found + len(rows), rows.ids[-1].as_py() if len(rows) else before
            waiting.append(rows)
            while (page := log.page(number)) is not None and sum(map(len, waiting)) >= page.rows:
                rows = concatenated(waiting)
                whole, waiting = rows.rows(0, page.rows), [rows.rows(page.rows, len(rows))]
                if page_digest(conversion.copied(whole).row_digests()) != page.usable:
                    raise _changed(
                        conversion, f"the rows of page {number} differ from those read at the start{_seen(log)}"
                    )
                yield whole
                number += 1
            if page is None:
                return  # every row after these was added
    if log.page(number) is not None:
        if found >= len(wanted):  # their order is not known any more
            raise _changed(conversion, f"rows of page {number} are not there any more{_seen(log)}")
        missing = _named(conversion, log, number, int(wanted[found]), before, None)
        log.note(missing=missing)
        raise _changed(conversion, f"{missing} is not there any more")


def _named(conversion: Conversion, log: MigrationJournal, number: int, digest: int, before: Any, after: Any) -> str:
    """Return words for a row that is gone, of whose id the journal has a digest: its id, or that of the row before it.

    Args:
        conversion: of the migration, whose target holds the row if it was on a page that an earlier run copied.
        log: the journal.
        number: of the page of the row.
        digest: of the id.
        before: id of the row before it in the order of the survey; None if that was not read again.
        after: id of the next row that is still there; None if there is none.
    """
    possible = log.sample()
    if isinstance(before, int):
        possible += range(before + 1, before + _LOOKED_FOR)
    elif isinstance(after, int):
        possible += range(after - _LOOKED_FOR, after)
    names = pa.array(map(str, possible), pa.string())
    same = np.flatnonzero(digest_ids(names) == digest)
    if len(same):
        return f"the row with the id {shown(possible[int(same[0])])}"
    last, size = log.last_written(), conversion.options.page_rows
    # A new vector in the rows of the source is gone with its row.
    if last is not None and number <= last.number and not conversion.spec.as_new_vector:
        # Some targets cannot be read before they are finished.
        with suppress(InterlinguaError), closing(conversion.target.scan(size)) as pages:  # type: ignore[type-var]
            for page, _ in pages:
                if len(same := np.flatnonzero(digest_ids(page.ids) == digest)):
                    return f"the row with the id {shown(page.ids[int(same[0])].as_py())}"
    if before is not None:
        return f"the row after the one with the id {shown(before)}"
    return "the first row to copy" if after is None else f"the row before the one with the id {shown(after)}"


def _seen(log: MigrationJournal) -> str:
    """Return words on the row that an earlier run missed; its place is not known any more once that run has ended."""
    missing = log.facts.get("missing")
    return "" if missing is None else f", and an earlier run missed {missing}"


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
    return InputError(f"{conversion.source.url} changed while it was migrated: {what}.", SNAPSHOT)


def _cursor(log: MigrationJournal, number: int) -> Cursor:
    before = log.page(number - 1) if number else None
    return before.after if before else None
