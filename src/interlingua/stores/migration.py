"""Migration of one store through a translator into another: survey, copy, index, check. It can resume at any point.

The source is only read, twice. The survey reads every row, refuses what cannot be translated before anything is made,
and records a digest of each page; the copy compares every page with its digest. A page is recorded as written after
the target has stored it, so a crash repeats at most one page, under the same ids.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from interlingua.core.arguments import check_flag, check_instance, check_path, shown
from interlingua.core.arrays import FloatArray, unit_rows
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import Records
from interlingua.core.translator import Translator
from interlingua.stores._distinct import DistinctIds
from interlingua.stores._documents import same_payload
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._open import open_store
from interlingua.stores._protocol import Spec, Store, StoreInfo, to_text
from interlingua.stores.planning import Options, Plan, check_vectors, make_plan, require_choices, target_spec

__all__ = ["Migration", "check_journal", "migrate", "rollback", "skipped_path"]

_SAMPLE = 256

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Migration:
    """What a migration did.

    Attributes:
        plan: as it was made before the first row was written.
        rows: rows in the target.
        resumed_from: rows that an earlier run had written.
        checked: rows that were read again from both sides and compared.
        largest_error: largest absolute difference between a value of those rows and its translation. Both are scaled
            to unit norm first if the target does so.
        seconds: duration of each phase of this run.
        journal: path of the journal, which a rollback needs.
        skipped_ids: file that lists the ids of rows without a vector, ``None`` if none were left out.
    """

    plan: Plan
    rows: int
    resumed_from: int
    checked: int
    largest_error: float
    seconds: dict[str, float]
    journal: str
    skipped_ids: str | None = None


def migrate(
    translator: Translator,
    source: Store,
    target: Store,
    *,
    journal: str | Path,
    options: Options | None = None,
    resume: bool = False,
    on_rows: Progress | None = None,
) -> Migration:
    """Translate every row of ``source`` into a new collection or vector.

    Args:
        translator: fitted on the source's space.
        source: read, never written to.
        target: must not exist yet.
        journal: a file outside both databases. It must not exist yet, except to resume.
        options: how to migrate.
        resume: continue the migration of this journal.
        on_rows: called with the phase, the rows done and the number of rows.

    Raises:
        InputError: something cannot be used; or, to resume, source, translator or options have changed.
        OutputExistsError: the target or the journal exists already.
        InterlinguaError: a server went away or the check at the end failed; the journal records the progress.
    """
    options, watch, path = options or Options(), _Watch(), check_path(journal, "journal")
    check_instance(translator, "translator", Translator, "a Translator")
    for store, name in ((source, "source"), (target, "target")):
        check_instance(store, name, Store, "a store, as open_store returns it,")
    check_instance(options, "options", Options, "Options or None")
    if on_rows is not None and not callable(on_rows):
        raise InputError(f"on_rows is {shown(on_rows)}; a function or None is needed.")
    resume = check_flag(resume, "resume")
    if options.page_rows < 1:
        raise InputError(f"page_rows is {options.page_rows}; at least 1 is needed.")
    if not resume:
        check_journal(path, source, target)
    source.restrict(where=options.where, skip_null=options.skip_null)
    info = source.info()
    spec = target_spec(translator, source, target, info, options)
    plan = None
    if not resume:
        plan = make_plan(translator, source, target, info, spec, options)
        require_choices(plan, options)
    with closing(MigrationJournal(path, create=not resume)) as log:
        facts = {
            "source": str(source.url),
            "target": str(target.url),
            "source_facts": info.identity(),
            "translator": translator.fingerprint(),
            "options": asdict(options),
        }
        if "job" in log.facts:
            _refuse_changes(log, facts)
        else:
            if plan is None:
                plan = make_plan(translator, source, target, info, spec, options)
                require_choices(plan, options)
            log.note(job=f"{facts['translator']}-{time.time_ns():x}", plan=asdict(plan), **facts)
        spec = replace(spec, job=str(log.facts["job"]))
        run = _Run(translator, source, target, info, spec, options, log, on_rows or (lambda phase, done, rows: None))
        resumed_from = log.rows(done=True)
        try:
            run.survey(watch)
        except BaseException:
            # Nothing has been made yet, and a journal of nothing would only block the next attempt.
            log.discard()
            raise
        run.create()
        run.copy(watch)
        run.index(watch)
        checked, error = run.check(watch)
        log.note(phase="done")
        # The plan of the first run, not a new estimate: the rows just written may have filled the disk.
        return Migration(
            plan=Plan.from_dict(log.facts["plan"]),
            rows=log.rows(),
            resumed_from=resumed_from,
            checked=checked,
            largest_error=error,
            seconds=watch.seconds,
            journal=str(path),
            skipped_ids=str(skipped_path(path)) if options.skip_null and info.nulls else None,
        )


def check_journal(path: Path, source: Store, target: Store) -> None:
    """Refuse to start a migration over the journal of an earlier one; the journal of a rolled back one is removed.

    Raises:
        OutputExistsError: the file exists; the message says whether this very migration can be resumed.
        InputError: the file is not a journal, or its folder cannot be written to.
    """
    if not path.exists():
        if path.parent.is_dir() and not os.access(path.parent, os.W_OK):
            raise InputError(f"The folder {path.parent.resolve()} of the journal cannot be written to; name another.")
        return
    with closing(MigrationJournal(path, create=False)) as log:
        facts, phase = log.facts, log.phase
        if phase == "rolled back":
            log.discard()
            return
        if "job" not in facts:
            state, remedy = "is the journal of an earlier run that wrote nothing.", "Go on with {resume}, or remove it."
        elif (facts["source"], facts["target"]) != (str(source.url), str(target.url)):
            state = f"is the journal of a migration of {facts['source']} to {facts['target']}."
            remedy = "Name another journal."
        elif phase == "done":
            state = "shows that this migration is finished."
            remedy = (
                "If its target still exists, {resume} compares it once more. "
                "After a rollback, which drops the target, the migration can start again."
            )
        else:
            state = f"shows that this migration was interrupted with {log.rows(done=True)} rows written."
            remedy = "Go on with {resume}, or drop what it made with a rollback."
        raise OutputExistsError(f"{path} {state}", remedy)


def rollback(journal: str | Path, *, target: Store | None = None) -> str | None:
    """Drop what the migration of this journal made, and nothing else; the source is never touched.

    Returns:
        the address that was dropped; ``None`` if the migration had made nothing yet or was rolled back before.

    Raises:
        InputError: there is no such journal.
    """
    with closing(MigrationJournal(check_path(journal, "journal"), create=False)) as log:
        facts, dropped = log.facts, None
        if facts.get("target_begun") and log.phase != "rolled back":
            dropped = str(facts["target"])
            store = target or open_store(dropped)
            try:
                store.drop(vector_only=bool(facts.get("as_new_vector")))
            finally:
                if target is None:
                    store.close()
        log.note(phase="rolled back")
        return dropped


class _Watch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = round(now - self._last, 3)
        self._last = now


@dataclass(frozen=True, eq=False)
class _Run:
    """One run over the phases; a phase that an earlier run completed returns at once."""

    translator: Translator
    source: Store
    target: Store
    info: StoreInfo
    spec: Spec
    options: Options
    log: MigrationJournal
    on_rows: Progress

    def survey(self, watch: _Watch) -> None:
        """Read every row once: refuse what cannot be translated, and record a digest of each page."""
        if self.log.phase != "surveying":
            return
        self.log.restart()
        total, rows, number = self.spec.count, 0, 0
        width = self.translator.d_target if self.options.inverse else self.translator.d_source
        every = max(1, total // _SAMPLE)
        distinct = DistinctIds(self.info.id_type, str(self.source.url))
        with closing(self.source.scan(self.options.page_rows)) as pages:  # type: ignore[type-var]
            for records, after in pages:
                check_vectors(records, self.source.url, width)
                distinct.add(records.ids, number)
                self.target.check_records(self._as_written(records), self.spec)
                picked = [records.ids[i].as_py() for i in range(-rows % every, len(records), every)]
                self.log.add_page(number, after, len(records), self._digest(records), picked)
                rows, number = rows + len(records), number + 1
                self.on_rows("surveying", rows, total)
        if rows != total:
            raise InputError(
                f"{self.source.url}: {rows} rows were read and {total} were counted; it is being written to. "
                "Migrate a snapshot, or stop the writes."
            )
        distinct.refuse_repeated(self.source, self.options.page_rows)
        self._write_skipped()
        self.log.note(phase="creating", as_new_vector=self.spec.as_new_vector)
        watch.lap("survey")

    def _digest(self, records: Records) -> str:
        """Return the digest of what is copied: a new column of the same table may make triggers change the payload."""
        copied = not (self.spec.as_new_vector or self.options.drop_payload)
        return (records if copied else Records(records.ids, records.vectors)).digest()

    def _write_skipped(self) -> None:
        """List the ids of rows without a vector in a file next to the journal, one JSON value per line."""
        if not (self.options.skip_null and self.info.nulls):
            return
        path = skipped_path(self.log.path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            for ids in self.source.skipped(self.options.page_rows):
                file.writelines(f"{json.dumps(value)}\n" for value in ids.to_pylist())

    def create(self) -> None:
        """Make the target; an empty target that a crash of this step left behind is made again."""
        if self.log.phase == "creating":
            if self.target.exists():
                if not self.log.facts.get("target_begun") or self._holds_rows():
                    raise OutputExistsError(f"{self.target.url} exists; choose another name or drop it first.")
                self.target.drop(vector_only=self.spec.as_new_vector)
            self.log.note(target_begun=True)
            self.target.create(self.spec)
            self.log.note(phase="copying")
        if self.log.phase in {"copying", "indexing"}:
            self.target.prepare(self.spec, self.log.rows(done=True))

    def _holds_rows(self) -> bool:
        try:
            return self.target.info().count > 0
        except InputError:
            return False

    def copy(self, watch: _Watch) -> None:
        """Read, translate, write and record page after page."""
        if self.log.phase != "copying":
            return
        last = self.log.last_written()
        number, rows = (last.number + 1, self.log.rows(done=True)) if last else (0, 0)
        if last is not None:
            self._compare_one_written(last.number)
        with closing(self.source.scan(self.options.page_rows, last.after if last else None)) as pages:  # type: ignore[type-var]
            for records, _ in pages:
                page = self.log.page(number)
                if page is None or page.digest != self._digest(records):
                    raise InputError(
                        f"{self.source.url} changed while it was migrated: page {number} is not what the survey read. "
                        "Roll back, and migrate a snapshot."
                    )
                self.target.upsert(self._translated(records))
                self.log.mark_written(number)
                rows, number = rows + len(records), number + 1
                self.on_rows("copying", rows, self.spec.count)
        if rows != self.spec.count:
            raise InputError(f"{self.source.url} lost rows while it was migrated. Roll back, and migrate a snapshot.")
        self.log.note(phase="indexing")
        watch.lap("copy")

    def _compare_one_written(self, number: int) -> None:
        """Refuse to resume if a page that was written before the crash reads differently now."""
        before = self.log.page(number - 1) if number else None
        with closing(self.source.scan(self.options.page_rows, before.after if before else None)) as pages:  # type: ignore[type-var]
            records = next(pages, (None, None))[0]
        page = self.log.page(number)
        if records is None or page is None or page.digest != self._digest(records):
            raise InputError(
                f"{self.source.url} is not what it was when the migration began. Roll back and start again."
            )

    def index(self, watch: _Watch) -> None:
        """Build the index, after all rows are in."""
        if self.log.phase != "indexing":
            return
        self.on_rows("indexing", 0, self.spec.count)
        self.target.finish()
        self.log.note(phase="checking")
        watch.lap("index")

    def check(self, watch: _Watch) -> tuple[int, float]:
        """Count the rows, compare a sample of both sides, and search for one row through the index."""
        count = self.target.info().count
        if count != self.spec.count:
            raise InterlinguaError(
                f"{self.target.url} holds {count} rows and {self.spec.count} were written. Roll back."
            )
        ids = pa.array(self.log.sample(), self.info.id_type)
        expected = self._translated(self.source.fetch(ids))
        stored = self.target.fetch(expected.ids)
        difference = self._as_stored(expected.vectors) - self._as_stored(stored.vectors)
        error = float(np.abs(difference).max())
        if error > 1e-3:
            raise InterlinguaError(
                f"{self.target.url}: vectors read back differ from their translations by up to {error:.2g}. Roll back."
            )
        if not self.spec.as_new_vector and not same_payload(expected.payload, stored.payload):
            raise InterlinguaError(f"{self.target.url}: payload read back differs from the source's. Roll back.")
        first_id = expected.ids[0].as_py()
        nearest = self.target.search(np.asarray(stored.vectors[:1], np.float32), 10)[0].ids
        are_distinct = len(np.unique(np.round(stored.vectors, 5), axis=0)) == len(stored.vectors)
        if first_id not in nearest and are_distinct:
            raise InterlinguaError(
                f"{self.target.url}: the index does not find id {first_id!r} by its own vector. Roll back."
            )
        self.on_rows("checking", len(ids), len(ids))
        watch.lap("check")
        return len(ids), error

    def _translated(self, records: Records) -> Records:
        convert = self.translator.invert if self.options.inverse else self.translator.translate
        written = self._as_written(records)
        return replace(written, vectors=np.asarray(convert(np.asarray(records.vectors, np.float32))))

    def _as_written(self, records: Records) -> Records:
        """Return ids and payload as the target gets them."""
        ids = to_text(records.ids) if self.options.ids_as_text else records.ids
        return Records(ids, records.vectors, None if self.options.drop_payload else records.payload)

    def _as_stored(self, vectors: FloatArray) -> FloatArray:
        rows = np.asarray(vectors, np.float32)
        return unit_rows(rows) if self.target.capabilities.normalizes and self.spec.metric == "cosine" else rows


def skipped_path(journal: Path) -> Path:
    """Return the file in which a migration lists the ids that it left out."""
    return journal.with_name(f"{journal.name}.skipped.jsonl")


def _refuse_changes(log: MigrationJournal, facts: dict[str, Any]) -> None:
    if log.phase == "rolled back":
        raise InputError(f"{log.path}: this migration was rolled back. Start it again without resume.")
    before = log.facts
    for name, value in facts.items():
        if before.get(name) != value:
            what = name.replace("source_facts", "content of the source").replace("_", " ")
            raise InputError(
                f"{log.path} cannot be resumed: the {what} was {before.get(name)!r} and is {value!r}. "
                f"Use the same {what} again, or roll back and start again."
            )
