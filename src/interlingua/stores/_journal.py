"""The journal of a migration: one SQLite file, outside both databases, that records what was read and written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arguments import shown
from interlingua.core.arrays import IntArray
from interlingua.core.atomic import check_parent
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError

FORMAT = 9
PHASES = ("surveying", "creating", "copying", "indexing", "checking", "done", "rolled back")
# What a journal holds as soon as it names its migration, with the types, and what later runs read of its parts.
_NEEDED = {
    "job": str, "source": str, "target": str, "source_facts": dict, "translator": str, "options": dict, "plan": dict,
}  # fmt: skip
_PARTS: Mapping[str, Mapping[str, Any]] = {
    "plan": {
        "source": str, "target": str, "rows": int, "d_in": int, "d_out": int, "metric": str, "as_new_vector": bool,
        "needed_bytes": int, "free_bytes": int | None, "seconds": int | float, "dropped": list, "payload": list,
        "triggers": list, "notes": list, "types": list,
    },
    "options": {"page_rows": int},
    "source_facts": {"d": int, "ids": str, "payload": list | None},
}  # fmt: skip
_TABLES = """
create table fact (name text primary key, value text not null);
create table page (
  number integer primary key, after text, rows integer not null, digest text not null, usable text not null,
  done integer not null);
create table sample (id text primary key);
create table surveyed (page integer primary key, digests blob not null);
create table row (id integer primary key, content integer not null);
create table sketch (page integer, sketches blob not null);
"""
# Kilobytes of the database in memory, as a negative number. The digests of ids are in no order, so rows are looked up
# all over the file.
_CACHE = -65_536
# Most parameters of one statement.
_PARAMETERS = 10_000


@dataclass(frozen=True)
class Page:
    """One page of the source, as the survey read it.

    Attributes:
        number: 0 for the first page.
        after: cursor of the next page.
        rows: number of rows.
        digest: of ids, vectors and payload.
        usable: the same of the rows that are not left out.
        done: whether the page is in the target.
    """

    number: int
    after: Any
    rows: int
    digest: str
    usable: str
    done: bool


class MigrationJournal:
    """An open journal, locked against other processes.

    Args:
        path: the file.
        create: make the file; otherwise it must exist.

    Raises:
        OutputExistsError: the file exists although it is to be made, or another process has opened it.
        InputError: the file does not exist although it must, is not a journal, or cannot be written.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        if path.is_dir():
            raise InputError(f"{path} is a folder; the path of a file is needed for the journal.")
        if create and path.exists():
            raise OutputExistsError(
                f"{path} is the journal of an earlier run.",
                "Go on with {resume}, run {rollback} to undo it, or name another journal.",
            )
        if not create and not path.is_file():
            raise InputError(
                f"{path.resolve()}: no such journal, so it is not known what an earlier run did.",
                "If there was one, start in the same folder with the same addresses, or name its journal.",
            )
        check_parent(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.1)
        except sqlite3.DatabaseError as error:
            raise self._unusable(error) from error
        try:
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("pragma synchronous = full")
            self._db.execute(f"pragma cache_size = {_CACHE}")
            self._db.execute("begin exclusive")
            # A run that was killed before this transaction ended leaves an empty file.
            if create or not self._db.execute("select count(*) from sqlite_master").fetchone()[0]:
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._set({"format": FORMAT, "phase": PHASES[0]})
            else:
                self._db.execute("select 1 from fact limit 1")  # another database has no such table
                self._check()
            self._db.execute("commit")
        except BaseException as error:
            self._db.close()
            if not isinstance(error, sqlite3.DatabaseError):
                raise
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.DatabaseError) -> InterlinguaError:
        """Return the error for a file that cannot be opened as a journal."""
        if "locked" in str(error):
            return OutputExistsError(f"{self.path} is in use by another migration. Wait for it to end.")
        if "malformed" in str(error):
            return self._damaged(error)
        if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
            return InputError(f"{self.path} cannot be used as a journal ({error}).")
        return InputError(f"{self.path} is not a journal of a migration ({error}). Choose another file.")

    def _check(self) -> None:
        """Refuse a journal of another format, and one whose pages or facts are damaged."""
        if self._fact("format") != FORMAT:
            raise InputError(f"{self.path} has another format than {FORMAT}; use the interlingua that wrote it.")
        state = self._read("pragma quick_check(1)")[0][0]
        if state != "ok":
            raise self._damaged(state)
        facts = self.facts
        if facts.get("phase") not in PHASES:
            raise self._damaged("it has no phase")
        if "job" not in facts:
            return
        self._check_types(_NEEDED, facts)
        for part, kinds in _PARTS.items():
            self._check_types(kinds, facts[part], f" in its {part}")

    def _check_types(self, kinds: Mapping[str, Any], held: Mapping[str, Any], where: str = "") -> None:
        for name, kind in kinds.items():
            if name not in held:
                raise self._damaged(f"it has no {name}{where}")
            if not isinstance(held[name], kind):
                raise self._damaged(f"{name}{where} is {shown(held[name])}")

    def close(self) -> None:
        """Close the file and release its lock."""
        self._db.close()

    def discard(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    @property
    def phase(self) -> str:
        """The phase that the migration has reached, one of `PHASES`."""
        return str(self._fact("phase"))

    @property
    def facts(self) -> dict[str, Any]:
        """All facts that were given to `note`."""
        return {name: self._value(text) for name, text in self._read("select name, value from fact")}

    def note(self, **facts: Any) -> None:
        """Record facts, or a new phase; they are on disk on return."""
        with self._transaction():
            self._set(facts)

    @contextmanager
    def surveying(self, **facts: Any) -> Iterator[None]:
        """Record the pages that are added within, and facts as `note` does, all at once or not at all.

        They replace the pages of a survey that was interrupted.
        """
        with self._reported():
            self._db.execute("begin")
            for table in ("page", "sample", "surveyed", "row", "sketch"):
                self._db.execute(f"delete from {table}")
        try:
            yield  # errors of the source are not those of the journal
        except BaseException:
            self._rollback()
            raise
        with self._reported():
            self._set(facts)
            self._db.execute("commit")

    def add_page(
        self,
        number: int,
        after: Any,
        rows: int,
        digest: str,
        sample: list[Any],
        digests: IntArray,
        *,
        usable: str | None = None,
    ) -> None:
        """Record a page of the source, within `surveying`.

        Args:
            number: 0 for the first page.
            after: cursor of the next page.
            rows: number of rows to write.
            digest: of the page.
            sample: those of its ids that will be compared at the end.
            digests: of the rows to write, as `Records.row_digests` returns them.
            usable: digest of the page without the rows that are left out, ``None`` if there are none.
        """
        with self._reported():
            row = (number, json.dumps(after), rows, digest, usable or digest)
            self._db.execute("insert into page values (?, ?, ?, ?, ?, 0)", row)
            # A row here for each row of the source would take longer than its digest, and is rarely looked up.
            self._db.execute("insert into surveyed values (?, ?)", (number, digests.astype("<i8").tobytes()))
            self._db.executemany("insert or ignore into sample values (?)", [(json.dumps(value),) for value in sample])

    def mark_written(self, number: int) -> None:
        """Record that a page is in the target; call it after the write has returned."""
        with self._transaction():
            self._db.execute("update page set done = 1 where number = ?", (number,))

    def add_sketches(self, sketches: IntArray, page: int | None = None) -> None:
        """Record what is about to be written, so that it is recognized in the target later.

        Args:
            sketches: [n, 2] of each row a digest of its id and a sketch of its new vector.
            page: number of the page, whose earlier sketches are replaced; ``None`` for rows of a catch-up.
        """
        with self._transaction():
            if page is not None:
                self._db.execute("delete from sketch where page = ?", (page,))
            self._db.execute("insert into sketch values (?, ?)", (page, sketches.astype("<i8").tobytes()))

    def sketches(self) -> IntArray:
        """Return everything that was given to `add_sketches` [n, 2]."""
        blobs = [blob for (blob,) in self._read("select sketches from sketch order by rowid")]
        return np.concatenate([np.empty((0, 2), np.int64), *(self._pairs(blob) for blob in blobs)])

    def page(self, number: int) -> Page | None:
        """Return a page of the survey, ``None`` if there is no such page."""
        return next(self._pages("where number = ?", number), None)

    def last_written(self) -> Page | None:
        """Return the last page that is in the target, ``None`` if no page is."""
        return next(self._pages("where done = 1 order by number desc limit 1"), None)

    def rows(self, *, done: bool = False) -> int:
        """Return the number of rows surveyed, or with ``done`` the number written."""
        where = " where done = 1" if done else ""
        return int(self._read(f"select coalesce(sum(rows), 0) from page{where}")[0][0])

    def sample(self) -> list[Any]:
        """Return the ids of the rows that will be compared at the end."""
        return [self._value(text) for (text,) in self._read("select id from sample order by id")]

    def surveyed_ids(self, number: int) -> IntArray:
        """Return the digests of the ids of the rows to write, from a page on, in the order of the survey.

        There are none once rows were looked up by their ids, because their order is not kept then.
        """
        blobs = self._read("select digests from surveyed where page >= ? order by page", number)
        return np.concatenate([np.empty(0, np.int64), *(self._pairs(blob)[:, 0] for (blob,) in blobs)])

    def unchanged_pages(self) -> set[str]:
        """Return the digests of all pages of the survey whose rows are still recorded as it read them."""
        return {digest for (digest,) in self._read("select digest from page join surveyed on page = number")}

    def record_rows(self, digests: IntArray) -> None:
        """Record rows that were written after the migration, in place of those with the same ids."""
        self._order_rows()
        with self._transaction():
            self._db.executemany("insert or replace into row values (?, ?)", digests.tolist())

    def keep_rows(self, ids: IntArray) -> None:
        """Delete the records of all rows but those with these digests of ids [n]."""
        self._order_rows()
        with self._transaction():
            self._db.execute("create temp table kept (id integer primary key)")
            self._db.executemany("insert or ignore into kept values (?)", ids[:, None].tolist())
            self._db.execute("delete from row where id not in (select id from kept)")
            self._db.execute("drop table kept")

    def row_count(self) -> int:
        """Return the number of rows that are in the target."""
        ordered, surveyed = (self._read(f"select count(*) from {table}")[0][0] for table in ("row", "surveyed"))
        return self.rows() if surveyed else int(ordered)

    def holds(self, ids: IntArray) -> npt.NDArray[np.bool_]:
        """Return for each digest of an id [n] whether its row is recorded."""
        return self.compare(np.stack([ids, ids], axis=1))[0]

    def compare(self, digests: IntArray) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return for each row [n] whether its id is recorded, and whether it is recorded with the same content."""
        self._order_rows()
        contents: dict[int, int] = {}
        for start in range(0, len(digests), _PARAMETERS):
            ids = digests[start : start + _PARAMETERS, 0].tolist()
            query = f"select id, content from row where id in ({','.join('?' * len(ids))})"
            contents.update(self._read(query, *ids))
        recorded = [contents.get(value) for value in digests[:, 0].tolist()]
        known = np.array([content is not None for content in recorded], bool)
        pairs = zip(recorded, digests[:, 1].tolist(), strict=True)
        return known, np.array([content == now for content, now in pairs], bool)

    def _order_rows(self) -> None:
        """Make one row of the database of each row of the survey, ordered by their ids, to look them up."""
        if not self._read("select 1 from surveyed limit 1"):
            return
        pages = self._db.execute("select digests from surveyed")
        with self._transaction():
            # Digests are random. In any other order every row would change another part of the file.
            self._db.execute("create temp table unordered (id integer not null, content integer not null)")
            for (blob,) in pages:
                self._db.executemany("insert into unordered values (?, ?)", self._pairs(blob).tolist())
            self._db.execute("insert or replace into row select id, content from unordered order by id")
            self._db.execute("drop table unordered")
            self._db.execute("delete from surveyed")

    def _pairs(self, blob: object) -> IntArray:
        """Return pairs of numbers [n, 2] as the database holds them."""
        if not isinstance(blob, bytes) or len(blob) % 16:
            raise self._damaged("the digests of a page are cut off")
        return np.frombuffer(blob, "<i8").reshape(-1, 2).astype(np.int64)

    def _pages(self, rest: str, *values: Any) -> Iterator[Page]:
        for number, after, rows, digest, usable, done in self._read(f"select * from page {rest}", *values):
            yield Page(number, self._value(after), rows, digest, usable, bool(done))

    def _fact(self, name: str) -> Any:
        rows = self._read("select value from fact where name = ?", name)
        return self._value(rows[0][0]) if rows else None

    def _read(self, query: str, *values: Any) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _value(self, text: Any) -> Any:
        try:
            return json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise self._damaged(error) from error

    def _damaged(self, reason: object) -> InputError:
        return InputError(
            f"{self.path} is damaged ({reason}). Roll back by hand: drop what the migration made in its target, remove "
            "this file, and start again."
        )

    def _set(self, facts: Mapping[str, Any]) -> None:
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        self._db.executemany("insert or replace into fact values (?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._reported():
            self._db.execute("begin")
            yield
            self._db.execute("commit")

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Undo the transaction after an error, and name the journal in an error of its database."""
        try:
            yield
        except BaseException as error:
            self._rollback()
            if isinstance(error, sqlite3.DatabaseError):
                raise InterlinguaError(
                    f"{self.path} cannot be written ({error}).",
                    "Free space or repair the disk. Then go on with {resume}, or run {rollback} to undo the migration.",
                ) from error
            raise

    def _rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("rollback")
