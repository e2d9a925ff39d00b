"""Changes of a source during a migration are counted and listed, and a catch-up copies only what is new."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError, InterlinguaError
from interlingua.stores import Records, Store, open_store
from interlingua.stores.changes import catch_up
from interlingua.stores.memory import _DATABASES, MemoryStore
from interlingua.stores.migration import Migration, migrate
from interlingua.stores.planning import Options
from stores.contract import columns
from stores.migrations import D_IN, assert_migrated, fill, translator, unit, whole

N = 230
SMALL = Options(page_rows=50)


@pytest.fixture
def memory() -> Callable[[str], Store]:
    return lambda name: open_store(f"memory://changes#{name}")


@pytest.fixture
def source(memory: Callable[[str], Store]) -> Records:
    return fill(memory("old"), pa.array(range(N)), columns(N))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def delete(*ids: int) -> None:
    collection = _DATABASES["changes"]["old"]
    for value in ids:
        del collection.vectors["vector"].rows[value]
        collection.payload.pop(value)


def insert(store: Store, ids: list[int], *, seed: int) -> None:
    """Write rows, in place of those with the same ids."""
    store.upsert(Records(pa.array(ids, pa.int64()), unit(len(ids), D_IN, seed), columns(len(ids))))


def listed(path: str | None) -> dict[str, list[Any]]:
    lines = [json.loads(line) for line in Path(str(path)).read_text("utf-8").splitlines()]
    return {kind: [line["id"] for line in lines if line["change"] == kind] for kind in ("updated", "added", "deleted")}


def run_while(change: Callable[[], None], memory: Callable[[str], Store], journal: Path, **more: Any) -> Migration:
    """Migrate, and change the source when every row has been copied."""

    def on_rows(phase: str, done: int, rows: int) -> None:
        if phase == "indexing":
            change()

    return migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, on_rows=on_rows, **more)


def test_rows_that_change_behind_the_cursor_are_counted_and_listed(
    memory: Callable[[str], Store], source: Records, journal: Path
) -> None:
    def change() -> None:
        insert(memory("old"), [3, 77, 1000, 1001, 1002], seed=8)
        delete(9)

    done = run_while(change, memory, journal)
    assert (done.updated, done.added, done.deleted) == (2, 3, 1)
    assert listed(done.changed_ids) == {"updated": [3, 77], "added": [1000, 1001, 1002], "deleted": [9]}
    assert Path(str(done.changed_ids)).stat().st_mode & 0o777 == 0o600
    assert_migrated(source, memory("new"))


def test_a_changed_payload_is_a_change(memory: Callable[[str], Store], source: Records, journal: Path) -> None:
    def change() -> None:
        row = memory("old").fetch(pa.array([5]))
        assert row.payload is not None
        payload = row.payload.set_column(0, "title", pa.array(["other"]))
        memory("old").upsert(Records(row.ids, row.vectors, payload))

    assert listed(run_while(change, memory, journal).changed_ids)["updated"] == [5]


def test_a_source_that_did_not_change_has_no_file_of_changes(
    memory: Callable[[str], Store], source: Records, journal: Path, tmp_path: Path
) -> None:
    done = run_while(lambda: None, memory, journal)
    assert (done.updated, done.added, done.deleted, done.changed_ids) == (0, 0, 0, None)
    assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite"]


def test_deleted_rows_of_the_same_collection_are_named_as_the_reason(
    memory: Callable[[str], Store], source: Records, journal: Path
) -> None:
    def on_rows(phase: str, done: int, rows: int) -> None:
        if phase == "indexing":
            del _DATABASES["changes"]["old"].vectors["new"].rows[9]
            delete(9)

    done = migrate(
        translator(), memory("old.vector"), memory("old.new"), journal=journal, options=SMALL, on_rows=on_rows
    )
    assert (done.updated, done.added, done.deleted) == (0, 0, 1)


def test_a_source_whose_every_sampled_row_changed_is_still_reported(
    memory: Callable[[str], Store], source: Records, journal: Path
) -> None:
    done = run_while(lambda: insert(memory("old"), list(range(N)), seed=9), memory, journal)
    assert (done.updated, done.checked) == (N, 0)


class Killed(BaseException):
    """Stands for kill -9: nothing behind it runs."""


@pytest.mark.parametrize("edit", ["vector", "payload", "deleted"])
def test_rows_of_the_target_that_were_edited_before_a_resume_are_named(
    edit: str, memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not one of the rows that are compared at the end of every run.
    monkeypatch.setattr("interlingua.stores._estimates._COMPARED_ROWS", 1)

    def dies(phase: str, done: int, rows: int) -> None:
        if phase == "copying" and done >= 100:
            raise Killed

    with pytest.raises(Killed):
        migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, on_rows=dies)
    new = _DATABASES["changes"]["new"]
    if edit == "vector":
        new.vectors["vector"].rows[41] = -new.vectors["vector"].rows[41]
    elif edit == "payload":
        new.payload[41] = new.payload[41].set_column(0, "title", pa.array(["edited"]))
    else:
        del new.vectors["vector"].rows[41]
        new.vectors["vector"].rows[5000] = new.vectors["vector"].rows[42]
        new.payload[5000] = new.payload[42]
    with pytest.raises(InterlinguaError, match="id 41|namely 41"):
        migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, resume=True)


@pytest.fixture
def finished(memory: Callable[[str], Store], source: Records, journal: Path) -> Path:
    run_while(lambda: None, memory, journal)
    return journal


def test_a_catch_up_writes_only_rows_that_are_new_or_changed(
    memory: Callable[[str], Store], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert(memory("old"), [3, 77, 1000, 1001], seed=8)
    written: list[Any] = []
    honest = MemoryStore.upsert

    def upsert(self: MemoryStore, records: Records) -> None:
        written.extend(records.ids.to_pylist())
        honest(self, records)

    monkeypatch.setattr(MemoryStore, "upsert", upsert)
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished)
    assert written == [3, 77, 1000, 1001]
    assert (done.read, done.updated, done.added, done.deleted) == (N + 2, 2, 2, 0)
    assert_migrated(whole(memory("old")), memory("new"))
    again = catch_up(translator(), memory("old"), memory("new"), journal=finished)
    assert (again.updated, again.added, again.listed) == (0, 0, None)
    assert written == [3, 77, 1000, 1001]


def test_a_row_that_is_again_as_the_survey_read_it_is_a_change_after_a_catch_up(
    memory: Callable[[str], Store], source: Records, finished: Path
) -> None:
    insert(memory("old"), [3], seed=8)
    assert catch_up(translator(), memory("old"), memory("new"), journal=finished).updated == 1
    memory("old").upsert(source.rows(3, 4))
    again = catch_up(translator(), memory("old"), memory("new"), journal=finished)
    assert (again.updated, again.added, again.deleted) == (1, 0, 0)
    assert_migrated(source, memory("new"))
    assert not catch_up(translator(), memory("old"), memory("new"), journal=finished).updated


def test_a_catch_up_lists_deleted_rows_and_keeps_them(memory: Callable[[str], Store], finished: Path) -> None:
    delete(9, 200)
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished)
    assert done.deleted == 2
    assert listed(done.listed)["deleted"] == [9, 200]
    assert memory("new").info().count == N


def test_a_resume_reports_deleted_rows_only_if_the_last_catch_up_did_not(
    memory: Callable[[str], Store], finished: Path
) -> None:
    def again() -> Migration:
        return migrate(translator(), memory("old"), memory("new"), journal=finished, options=SMALL, resume=True)

    delete(9, 200)
    assert listed(again().changed_ids)["deleted"] == [9, 200]
    catch_up(translator(), memory("old"), memory("new"), journal=finished)
    same = again()
    assert (same.deleted, same.changed_ids) == (2, None)
    delete(10)
    assert listed(again().changed_ids)["deleted"] == [9, 10, 200]
    catch_up(translator(), memory("old"), memory("new"), journal=finished)
    insert(memory("old"), [9], seed=8)
    assert (again().updated, again().deleted, again().changed_ids is None) == (1, 2, False)


def test_the_metric_of_the_source_may_change_after_a_migration(
    memory: Callable[[str], Store], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = MemoryStore.info

    def other(self: MemoryStore) -> Any:
        info = honest(self)
        return replace(info, metric="l2") if self.url.names == ("old",) else info

    monkeypatch.setattr(MemoryStore, "info", other)
    insert(memory("old"), [1000], seed=8)
    assert catch_up(translator(), memory("old"), memory("new"), journal=finished).added == 1
    again = migrate(translator(), memory("old"), memory("new"), journal=finished, options=SMALL, resume=True)
    assert (again.rows, again.changed_ids) == (N + 1, None)


def test_rows_that_something_else_added_to_the_target_are_not_called_deleted(
    memory: Callable[[str], Store], finished: Path
) -> None:
    own = Records(pa.array([5000]), unit(1, 8, 4), columns(1))
    memory("new").upsert(own)
    delete(9)
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished)
    assert listed(done.listed)["deleted"] == [9]
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished, delete_vanished=True)
    assert (done.deleted, done.removed) == (1, 1)
    assert memory("new").info().count == N
    assert len(memory("new").fetch(own.ids)) == 1


def test_a_row_that_vanished_and_came_back_is_written_again(memory: Callable[[str], Store], finished: Path) -> None:
    row = memory("old").fetch(pa.array([9]))
    delete(9)
    catch_up(translator(), memory("old"), memory("new"), journal=finished, delete_vanished=True)
    memory("old").upsert(row)
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished, delete_vanished=True)
    assert (done.updated, done.added, done.deleted, done.removed) == (0, 1, 0, 0)
    assert_migrated(whole(memory("old")), memory("new"))


def test_a_deletion_that_was_killed_is_completed_by_the_next_catch_up(
    memory: Callable[[str], Store], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.stores.changes.FETCHED_ROWS", 50)
    delete(*range(120))
    calls, honest = iter(range(9)), MemoryStore.delete

    def dies(self: MemoryStore, ids: pa.Array) -> None:
        if next(calls) == 1:
            raise Killed
        honest(self, ids)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "delete", dies)
        with pytest.raises(Killed):
            catch_up(translator(), memory("old"), memory("new"), journal=finished, delete_vanished=True)
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished, delete_vanished=True)
    assert (done.deleted, done.removed) == (120, 70)
    assert_migrated(whole(memory("old")), memory("new"))


def test_a_deletion_is_refused_with_since_and_by_a_store_that_cannot_delete(
    memory: Callable[[str], Store], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete(9)
    with pytest.raises(
        InputError,
        match=r"since a value cannot know which rows were deleted\. Leave since=\.\.\. or delete_vanished=True out",
    ):
        catch_up(
            translator(), memory("old"), memory("new"), journal=finished, since=("year", "3"), delete_vanished=True
        )
    monkeypatch.setattr(MemoryStore, "capabilities", replace(MemoryStore.capabilities, deletes=False))
    with pytest.raises(InputError, match=r"This process cannot delete rows\. Leave delete_vanished=True out"):
        catch_up(translator(), memory("old"), memory("new"), journal=finished, delete_vanished=True)
    assert memory("new").info().count == N


def test_a_dry_deletion_only_counts(memory: Callable[[str], Store], finished: Path) -> None:
    delete(9, 200)
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished, dry_run=True, delete_vanished=True)
    assert (done.deleted, done.removed) == (2, 0)
    assert memory("new").info().count == N


def test_deleted_rows_of_the_same_collection_are_forgotten(
    memory: Callable[[str], Store], source: Records, journal: Path
) -> None:
    migrate(translator(), memory("old.vector"), memory("old.new"), journal=journal, options=SMALL)
    memory("old").delete(pa.array([9]))
    done = catch_up(translator(), memory("old.vector"), memory("old.new"), journal=journal, delete_vanished=True)
    assert (done.deleted, done.removed) == (1, 0)
    again = catch_up(translator(), memory("old.vector"), memory("old.new"), journal=journal, delete_vanished=True)
    assert again.deleted == 0


def test_a_dry_catch_up_counts_and_writes_nothing(
    memory: Callable[[str], Store], finished: Path, tmp_path: Path
) -> None:
    insert(memory("old"), [3, 1000], seed=8)
    before = whole(memory("new")).digest()
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished, dry_run=True)
    assert (done.updated, done.added, done.listed) == (1, 1, None)
    assert whole(memory("new")).digest() == before
    assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite"]


def test_a_catch_up_after_a_crash_writes_what_is_missing(
    memory: Callable[[str], Store], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.stores.changes.FETCHED_ROWS", 50)
    insert(memory("old"), list(range(1000, 1120)), seed=8)
    calls = iter(range(5))
    honest = MemoryStore.upsert

    def dies(self: MemoryStore, records: Records) -> None:
        if next(calls) == 1:
            raise Killed
        honest(self, records)

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "upsert", dies)
        with pytest.raises(Killed):
            catch_up(translator(), memory("old"), memory("new"), journal=finished)
    done = catch_up(translator(), memory("old"), memory("new"), journal=finished)
    assert done.added == 70
    assert_migrated(whole(memory("old")), memory("new"))


def test_a_dry_catch_up_does_not_say_that_it_copies(memory: Callable[[str], Store], finished: Path) -> None:
    insert(memory("old"), [3, 1000], seed=8)
    phases = list[str]()
    catch_up(
        *(translator(), memory("old"), memory("new")),
        journal=finished,
        dry_run=True,
        on_rows=lambda phase, done, rows: phases.append(phase),
    )
    assert set(phases) == {"comparing", "comparing with the target"}


def test_a_catch_up_refuses_a_row_that_cannot_be_translated_before_it_writes(
    memory: Callable[[str], Store], finished: Path
) -> None:
    insert(memory("old"), [3, 1000], seed=8)
    _DATABASES["changes"]["old"].vectors["vector"].rows[1000][:] = np.nan
    before = whole(memory("new")).digest()
    with pytest.raises(InputError, match="NaN or infinity.* has the id 1000"):
        catch_up(translator(), memory("old"), memory("new"), journal=finished)
    assert whole(memory("new")).digest() == before


def test_a_catch_up_needs_a_finished_migration_between_these_stores(
    memory: Callable[[str], Store], source: Records, journal: Path
) -> None:
    def dies(phase: str, done: int, rows: int) -> None:
        if phase == "copying":
            raise Killed

    with pytest.raises(Killed):
        migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, on_rows=dies)
    with pytest.raises(InputError, match="no finished migration: its phase is 'copying'. Finish it with resume"):
        catch_up(translator(), memory("old"), memory("new"), journal=journal)
    migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, resume=True)
    with pytest.raises(InputError, match="the target of this migration was memory://changes#new, not memory://changes"):
        catch_up(translator(), memory("old"), memory("other"), journal=journal)


def test_a_catch_up_into_a_file_is_refused(memory: Callable[[str], Store], source: Records, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "new.parquet")) as target:
        migrate(translator(), memory("old"), target, journal=tmp_path / "j", options=SMALL)
        with pytest.raises(InputError, match="Files can only append rows, so none can be replaced"):
            catch_up(translator(), memory("old"), target, journal=tmp_path / "j")


def test_a_store_that_cannot_select_rows_refuses_since(memory: Callable[[str], Store], finished: Path) -> None:
    with pytest.raises(InputError, match=r"This process cannot select rows\. Leave since=\.\.\. out"):
        catch_up(translator(), memory("old"), memory("new"), journal=finished, since=("count", "5"))


@pytest.mark.parametrize(("column", "value", "expected"), [("count", "225", 4), ("day", "1970-08-15 00:00:00", 4)])
def test_since_reads_only_rows_from_a_value_on(column: str, value: str, expected: int, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    with open_store(f"duckdb://{tmp_path}/t.duckdb#old.v") as old, open_store(f"memory://{tmp_path.name}#new") as new:
        fill(old, pa.array(range(N)), columns(N))
        migrate(translator(), old, new, journal=tmp_path / "j", options=SMALL)
        insert(old, [*range(7), 1000], seed=8)
        with pytest.raises(InputError, match="there is no column 'nothing'"):
            catch_up(translator(), old, new, journal=tmp_path / "j", since=("nothing", value))
        done = catch_up(translator(), old, new, journal=tmp_path / "j", since=(column, value))
        assert (done.read, done.updated, done.added, done.deleted) == (expected, 0, 0, None)
        rest = catch_up(translator(), old, new, journal=tmp_path / "j")
        assert (rest.read, rest.updated, rest.added) == (N + 1, 7, 1)


def test_a_file_that_is_replaced_during_the_migration_is_noticed(
    memory: Callable[[str], Store], source: Records, tmp_path: Path
) -> None:
    for name, rows in (("old", source), ("later", source.rows(0, N - 10))):
        with open_store(str(tmp_path / f"{name}.parquet")) as store:
            store_spec(store, rows)

    def on_rows(phase: str, done: int, rows: int) -> None:
        if phase == "indexing":
            (tmp_path / "later.parquet").replace(tmp_path / "old.parquet")

    with open_store(str(tmp_path / "old.parquet")) as old:
        done = migrate(translator(), old, memory("new"), journal=tmp_path / "j", options=SMALL, on_rows=on_rows)
    assert (done.updated, done.added, done.deleted) == (0, 0, 10)
    assert listed(done.changed_ids)["deleted"] == list(range(N - 10, N))


def store_spec(store: Store, records: Records) -> None:
    from interlingua.stores import Spec

    assert records.payload is not None
    spec = Spec(D_IN, "cosine", records.ids.type, records.payload.schema, len(records), job="fill")
    store.create(spec)
    store.prepare(spec, 0)
    store.upsert(records)
    store.finish()
