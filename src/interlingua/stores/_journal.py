"""The journal of a migration: one SQLite file outside both databases that knows what was read, written and checked."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlingua.core.errors import InputError, OutputExistsError

FORMAT = 1
PHASES = ("surveying", "creating", "copying", "indexing", "checking", "done", "rolled back")
_TABLES = """
create table fact (name text primary key, value text not null);
create table page (
  number integer primary key, after text, rows integer not null, digest text not null, done integer not null);
create table sample (id text primary key);
"""


@dataclass(frozen=True)
class Page:
    """One page of the source, as the survey found it.

    Attributes:
        number: 0 for the first.
        after: cursor behind it.
        rows: how many rows it has.
        digest: of its ids, vectors and payload.
        done: written to the target.
    """

    number: int
    after: Any
    rows: int
    digest: str
    done: bool


class Journal:
    """An open journal; one process at a time may hold it.

    Args:
        path: the file.
        create: make it; otherwise it must be there.

    Raises:
        OutputExistsError: it is there already, or another process holds it.
        InputError: it is not there, or no journal.
    """

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        if create and path.exists():
            raise OutputExistsError(
                f"{path} is the journal of an earlier run.",
                "Go on with {resume}, undo it with a rollback, or name another journal.",
            )
        if not create and not path.is_file():
            raise InputError(f"{path}: no such journal. There is nothing to go on with; start without resume.")
        if not path.parent.is_dir():
            raise InputError(f"The folder {path.parent} of the journal does not exist; create it or choose another.")
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=0.1)
            self._db.execute("pragma locking_mode = exclusive")
            self._db.execute("pragma synchronous = full")
            self._db.execute("begin exclusive")
            # A run that was killed while it made the journal left an empty file behind.
            if create or not self._db.execute("select count(*) from sqlite_master").fetchone()[0]:
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._set({"format": FORMAT, "phase": PHASES[0]})
            elif self._fact("format") != FORMAT:
                raise InputError(f"{path} has another format than {FORMAT}; use the interlingua that wrote it.")
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            self._db.close()
            if "locked" in str(error):
                raise OutputExistsError(f"{path} is in use by another migration. Wait for it to end.") from error
            raise InputError(f"{path} cannot be used as a journal ({error}).") from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise InputError(f"{path} is no journal of a migration ({error}). Choose another file.") from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def discard(self) -> None:
        """Remove the file."""
        self.close()
        self.path.unlink(missing_ok=True)

    @property
    def phase(self) -> str:
        """How far the migration has come."""
        return str(self._fact("phase"))

    @property
    def facts(self) -> dict[str, Any]:
        """What the migration depends on, as given to `note`."""
        return {name: json.loads(value) for name, value in self._db.execute("select name, value from fact")}

    def note(self, **facts: Any) -> None:
        """Write facts, or a new phase, durably."""
        with self._transaction():
            self._set(facts)

    def restart(self) -> None:
        """Forget a survey that was not finished."""
        with self._transaction():
            self._db.execute("delete from page")
            self._db.execute("delete from sample")

    def surveyed(self, number: int, after: Any, rows: int, digest: str, sample: list[Any]) -> None:
        """Note a page of the source and ids of it that will be checked at the end."""
        with self._transaction():
            row = (number, json.dumps(after), rows, digest)
            self._db.execute("insert into page values (?, ?, ?, ?, 0)", row)
            self._db.executemany("insert or ignore into sample values (?)", [(json.dumps(value),) for value in sample])

    def written(self, number: int) -> None:
        """Note that a page is in the target; call it after the write returned."""
        with self._transaction():
            self._db.execute("update page set done = 1 where number = ?", (number,))

    def page(self, number: int) -> Page | None:
        """Return a page of the survey."""
        return next(self._pages("where number = ?", number), None)

    def last_written(self) -> Page | None:
        """Return the last page that is in the target."""
        return next(self._pages("where done = 1 order by number desc limit 1"), None)

    def rows(self, *, done: bool = False) -> int:
        """Return how many rows were surveyed, or written."""
        where = " where done = 1" if done else ""
        return int(self._db.execute(f"select coalesce(sum(rows), 0) from page{where}").fetchone()[0])

    def sample(self) -> list[Any]:
        """Return the ids to check."""
        return [json.loads(row[0]) for row in self._db.execute("select id from sample order by id")]

    def _pages(self, rest: str, *values: Any) -> Iterator[Page]:
        for number, after, rows, digest, done in self._db.execute(f"select * from page {rest}", values):
            yield Page(number, json.loads(after), rows, digest, bool(done))

    def _fact(self, name: str) -> Any:
        found = self._db.execute("select value from fact where name = ?", (name,)).fetchone()
        return None if found is None else json.loads(found[0])

    def _set(self, facts: Mapping[str, Any]) -> None:
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        self._db.executemany("insert or replace into fact values (?, ?)", rows)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
