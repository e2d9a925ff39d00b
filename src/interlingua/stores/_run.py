"""One run of a migration: survey, copy, index and check, each recorded in the journal."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from interlingua.core.arguments import shown
from interlingua.core.arrays import IntArray
from interlingua.core.callbacks import OnRows
from interlingua.core.digests import digest_ids, is_among, page_digest
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import Records, concatenated
from interlingua.core.wording import count_of, first_of, some_of
from interlingua.stores._conversion import Conversion
from interlingua.stores._distinct import DistinctIds
from interlingua.stores._estimates import compared_every
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._lost import held_among, held_ids, held_pages, holds_rows
from interlingua.stores._made import check_made, note_written
from interlingua.stores._open import reopen_source
from interlingua.stores._protocol import Spec, Store, StoreInfo
from interlingua.stores._sketches import written_rows
from interlingua.stores._surveyed import SNAPSHOT, surveyed_pages
from interlingua.stores._taken import taken_error
from interlingua.stores.changes import FETCHED_ROWS, Changes, find_changes, private_file
from interlingua.stores.planning import Options
from interlingua.stores.reembedding import TextEmbedder

_WRITTEN = " that were written"


class Watch:
    """Seconds of each phase of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """Record that a phase has ended."""
        now = time.perf_counter()
        self.seconds[phase] = round(now - self._last, 3)
        self._last = now


@dataclass(frozen=True, eq=False)
class Run:
    """One run over the phases; a phase that an earlier run completed returns at once."""

    conversion: Conversion
    info: StoreInfo
    log: MigrationJournal
    on_rows: OnRows
    resumed: bool

    @property
    def source(self) -> Store:
        """The store that is read."""
        return self.conversion.source

    @property
    def target(self) -> Store:
        """The store that is written."""
        return self.conversion.target

    @property
    def spec(self) -> Spec:
        """What is made in the target."""
        return self.conversion.spec

    @property
    def options(self) -> Options:
        """How to migrate."""
        return self.conversion.options

    def survey(self, watch: Watch) -> None:
        """Read every row once: refuse what cannot be translated, and record digests of rows and pages."""
        if self.log.phase != "surveying":
            return
        with self.log.surveying(phase="creating", as_new_vector=self.spec.as_new_vector):
            self._read_all()
        watch.lap("survey")

    def _read_all(self) -> None:
        total, rows, number, left_out = self.spec.count, 0, 0, list[Any]()
        every = compared_every(total)
        distinct = DistinctIds(self.info.id_type, str(self.source.url))
        with closing(self.source.scan(self.options.page_rows)) as pages:  # type: ignore[type-var]
            for page, after in pages:
                records, bad = self.conversion.usable(page)
                left_out += [] if bad is None else bad.ids.to_pylist()
                distinct.add(page.ids, number)
                self.conversion.check_space(records)
                self.target.check_records(self.options.as_written(records), self.spec)
                picked = [records.ids[i].as_py() for i in range(-rows % every, len(records), every)]
                digests = self.conversion.copied(page).row_digests()
                digest = page_digest(digests)
                usable = digest
                if bad is not None:
                    digests = self.conversion.copied(records).row_digests()
                    usable = page_digest(digests)
                self.log.add_page(number, after, len(records), digest, picked, digests, usable=usable)
                rows, number = rows + len(records), number + 1
                self.on_rows("surveying", rows, total)
        if rows != total:
            raise InputError(
                f"{self.source.url}: {count_of(total)} counted and {rows:,} read; it is being written to. "
                "Migrate a snapshot, or stop the writes."
            )
        distinct.check_distinct(self.source, self.options.page_rows)
        self._write_skipped(left_out)

    def _write_skipped(self, bad: list[Any]) -> None:
        """List the ids of rows that are left out in a file next to the journal, one JSON value per line."""
        if not (bad or self.info.nulls):
            return
        with private_file(skipped_path(self.log.path)) as file:
            skipped = self.source.skipped(self.options.page_rows) if self.info.nulls else ()
            for ids in (*skipped, bad):
                values = ids if isinstance(ids, list) else ids.to_pylist()
                file.writelines(f"{json.dumps(value)}\n" for value in values)

    def create(self) -> None:
        """Make the target; an empty target that a crash of this step left behind is made again."""
        if self.log.phase == "creating":
            if self.target.is_taken(self.spec):
                vector_only = self.spec.as_new_vector
                if not self.log.facts.get("target_begun") or holds_rows(self.target, vector_only=vector_only):
                    raise taken_error(self.target, self.spec)
                self.target.drop(vector_only=vector_only)
            self.log.note(target_begun=True)
            try:
                self.target.create(self.spec)
            except OutputExistsError:
                self.log.note(target_begun=False)  # another run was faster, and a rollback must not drop its target
                raise
            self.log.note(phase="copying", creation=self._creation())
        else:
            check_made(self.log, self.target)
        if self.log.phase in {"copying", "indexing"}:
            self.target.prepare(self.spec, self.log.rows(done=True))

    def _creation(self) -> str | None:
        return self.target.creation(vector_only=self.spec.as_new_vector)

    def copy(self, watch: Watch) -> None:
        """Read, translate, write and record page after page."""
        if self.log.phase != "copying":
            return
        last = self.log.last_written()
        number, rows = (last.number + 1, self.log.rows(done=True)) if last else (0, 0)
        if last is not None:
            self._check_last_written(last.number)
        with closing(surveyed_pages(self.conversion, self.log, number)) as pages:
            for records in pages:
                if len(records):
                    written = self.conversion.translated(records)
                    if not rows:
                        note_written(self.log, written)
                    self.log.add_sketches(written_rows(written), number)
                    self.target.upsert(written)
                self.log.mark_written(number)
                rows, number = rows + len(records), number + 1
                self.on_rows("copying", rows, self.spec.count)
        if rows != self.spec.count:
            raise InputError(f"{self.source.url} lost rows while it was migrated.", SNAPSHOT)
        self.log.note(phase="indexing")
        watch.lap("copy")

    def _check_last_written(self, number: int) -> None:
        """Refuse to resume if the last page of the source that was copied before the interruption has changed."""
        with closing(surveyed_pages(self.conversion, self.log, number)) as pages:
            next(pages, None)

    def index(self, watch: Watch) -> None:
        """Build the index, after all rows are in."""
        if self.log.phase != "indexing":
            return
        self.on_rows("indexing", 0, self.spec.count)
        self.target.finish()
        # A file does not exist before this step, so its mark is recorded here.
        self.log.note(phase="checking", creation=self._creation())
        watch.lap("index")

    def check(self, watch: Watch) -> tuple[int, float, Changes]:
        """Look for changes of the source, count the rows, compare a sample, and search for one row by the index."""
        self.on_rows("checking", 0, self.spec.count)
        changes, sampled, compared, error = self._find_changes()
        # A catch-up may have added rows. A row that was deleted in the same collection has lost its new vector, too.
        expected = self.log.row_count() - changes.gone
        count = self.target.info().count
        if count != expected:
            example = self._lost_or_foreign(lost=count < expected)
            raise InterlinguaError(
                f"{self.target.url} holds {count_of(count)}, but {expected:,} {'was' if expected == 1 else 'were'} "
                f"written.{example}",
                "Run {rollback} to undo the migration.",
            )
        if len(sampled):
            stored, of_sample = self.conversion.compare(sampled)
            error = max(error, of_sample)
            self._check_index(stored)
        self.on_rows("checking", self.spec.count, self.spec.count)
        watch.lap("check")
        return max(len(sampled), compared), error, changes

    def _lost_or_foreign(self, *, lost: bool) -> str:
        """Return a sentence on the first row that was written and is not in the target, or that something else added.

        Args:
            lost: whether a row is missing, not added.

        Returns:
            The sentence, with a space before it; empty if the rows cannot be read.
        """
        try:
            return self._first_lost() if lost else self._first_foreign()
        except InterlinguaError:
            return ""

    def _first_foreign(self) -> str:
        with closing(self._pages_of_target()) as pages:
            for page in pages:
                foreign = ~self.log.holds(digest_ids(page.ids))
                if foreign.any():
                    row = page.ids[int(np.argmax(foreign))].as_py()
                    advice = "Delete that row in the target, or move it to another collection."
                    if self.spec.as_new_vector:
                        advice = "Clear its vector in the target."
                    return f" Something else wrote the row with the id {shown(row)}. {advice}"
        return ""

    def _first_lost(self) -> str:
        there = [digest_ids(page.ids) for page in self._pages_of_target()]
        found = np.sort(np.concatenate([np.empty(0, np.int64), *there]))
        with self._source_now() as source:
            self.options.restrict(source, bad_as_nan=True)
            with closing(source.scan(self.options.page_rows)) as pages:  # type: ignore[type-var]
                for page, _ in pages:
                    digests = digest_ids(page.ids)
                    gone = self.log.holds(digests) & ~is_among(digests, found)
                    if gone.any():
                        return f" The row with the id {shown(page.ids[int(np.argmax(gone))].as_py())} is not there."
        return ""

    def _pages_of_target(self) -> Generator[Records, None, None]:
        """Yield the rows of the target that have a new vector."""
        done, size = 0, self.options.page_rows
        with closing(held_pages(self.target, vector_only=self.spec.as_new_vector, size=size)) as pages:
            for page in pages:
                yield page
                done += len(page)
                self.on_rows("checking", min(done, self.spec.count), self.spec.count)

    @contextmanager
    def _source_now(self) -> Iterator[Store]:
        """Yield the source as it is now; afterwards the source is read as before."""
        source = reopen_source(self.source)
        try:
            yield source
        finally:
            if source is self.source:
                self.options.restrict(source)
            else:
                source.close()

    def _find_changes(self) -> tuple[Changes, Records, int, float]:
        """Compare every row of the source as it is now with the digest of the survey, unless its files are the same.

        A run that was resumed also compares every row of the target with its translation, unless it is a file: rows
        that were written before the interruption may have been edited since.

        Returns:
            the changes, the rows of the sample that have not changed, and how many rows of the target were compared
            with which largest difference.
        """
        compared, error, lost = 0, 0.0, list[Any]()
        done, sample = 0, pa.array(self.log.sample(), self.info.id_type)
        wanted, sampled = digest_ids(sample), list[Records]()

        def on_page(records: Records, ids: IntArray, same: npt.NDArray[np.bool_]) -> None:
            nonlocal done, compared, error
            # Reading the sample by its ids would read a file once more.
            sampled.append(records.take(np.flatnonzero(same & np.isin(ids, wanted))))
            if self._compares_all:
                unchanged = records.take(np.flatnonzero(same))
                for start in range(0, len(unchanged), FETCHED_ROWS):
                    part = unchanged.rows(start, min(start + FETCHED_ROWS, len(unchanged)))
                    rows, difference, gone = self._compare(part)
                    compared, error = compared + rows, max(error, difference)
                    lost.extend(gone)
            done += len(records)
            self.on_rows("checking", min(done, self.spec.count), self.spec.count)

        with self._source_now() as source:
            if source is self.source and not self.resumed:
                # The copy that was surveyed and copied page by page is still what its files are.
                return Changes([], [], 0, np.empty(0, np.int64)), source.fetch(sample), 0, 0.0
            self.options.restrict(source, bad_as_nan=True)
            held = held_ids(self.target, self.log, self.options.page_rows) if self.spec.as_new_vector else None
            changes = find_changes(source, self.log, self.conversion, self.info.id_type, on_page=on_page, held=held)
        lost = lost or changes.lost
        if lost:
            missing = some_of(len(lost), self.log.row_count(), "row", "is missing", "are missing", which=_WRITTEN)
            raise InterlinguaError(
                f"{self.target.url}: {missing}{first_of(len(lost), f'id {shown(lost[0])}')}. Something else deleted "
                f"{'it' if len(lost) == 1 else 'them'}.",
                "Run {rollback} to undo the migration.",
            )
        no_rows = Records(sample.slice(0, 0), np.empty((0, 0), np.float32))
        return changes, concatenated(sampled) if sampled else no_rows, compared, error

    def _compare(self, rows: Records) -> tuple[int, float, list[Any]]:
        """Compare rows of the target with their translations.

        Returns:
            how many were compared, their largest difference, and the ids of those that are not there.
        """
        try:
            return len(rows), self.conversion.compare(rows)[1], []
        except InputError:
            held = held_among(self.target, self.options.as_written(rows).ids)
            lost = ~np.isin(digest_ids(rows.ids), held)
            if not lost.any():
                raise
        rest = rows.take(np.flatnonzero(~lost))
        error = self.conversion.compare(rest)[1] if len(rest) else 0.0
        return len(rest), error, rows.ids.filter(pa.array(lost)).to_pylist()

    @property
    def _compares_all(self) -> bool:
        """Whether every row of the target is compared; texts are not all embedded once more for it."""
        embeds = isinstance(self.conversion.translator, TextEmbedder)
        return self.resumed and not self.target.capabilities.appends and not embeds

    def _check_index(self, stored: Records) -> None:
        """Refuse an index that does not find the first of some rows by its own vector."""
        first_id = stored.ids[0].as_py()
        nearest = self.target.search(np.asarray(stored.vectors[:1], np.float32), 10)[0].ids
        are_distinct = len(np.unique(np.round(stored.vectors, 5), axis=0)) == len(stored.vectors)
        if first_id not in nearest and are_distinct:
            raise InterlinguaError(
                f"{self.target.url}: the index does not find id {shown(first_id)} by its own vector.",
                "Run {rollback} to undo the migration.",
            )


def skipped_path(journal: Path) -> Path:
    """Return the file in which a migration lists the ids that it left out."""
    return journal.with_name(f"{journal.name}.skipped.jsonl")
