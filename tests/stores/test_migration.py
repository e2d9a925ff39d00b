"""Claims about migration that hold for any pair of stores, shown on those that are quick."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.cli import _option
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError, SpaceMismatchError
from interlingua.core.maps import AffineMap
from interlingua.io import open_vectors
from interlingua.stores import Records, Spec, Store, open_store
from interlingua.stores._clients import acquire, release
from interlingua.stores._journal import MigrationJournal
from interlingua.stores._run import Run
from interlingua.stores.memory import _DATABASES, MemoryStore
from interlingua.stores.migration import _as_arguments, migrate, rollback
from interlingua.stores.planning import Options, plan
from stores.contract import columns, documents
from stores.migrations import D_IN, D_OUT, assert_migrated, cone, cone_translator, fill, translator, whole

N = 530
SMALL = Options(page_rows=50)


@pytest.fixture
def memory() -> Callable[[str], Store]:
    return lambda name: open_store(f"memory://m#{name}")


@pytest.fixture
def source(memory: Callable[[str], Store]) -> Records:
    return fill(memory("old"), pa.array([f"row {i}" for i in range(N)]), columns(N))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_every_row_arrives_translated(memory: Callable[[str], Store], source: Records, journal: Path) -> None:
    before = whole(memory("old")).digest()
    done = migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    assert_migrated(source, memory("new"))
    assert (done.rows, done.resumed_from, done.plan.d_out) == (N, 0, D_OUT)
    assert done.checked >= 256
    assert done.largest_error < 1e-6
    assert whole(memory("old")).digest() == before


@pytest.mark.parametrize("name", ["out.parquet", "duckdb", "qdrant", "qdrant-edge"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_row_arrives_in_another_kind_of_store(
    name: str, memory: Callable[[str], Store], journal: Path, tmp_path: Path
) -> None:
    modules = {"duckdb": "duckdb", "qdrant": "qdrant_client", "qdrant-edge": "qdrant_edge"}
    pytest.importorskip(modules.get(name, "pyarrow"))
    urls = {"duckdb": f"duckdb://{tmp_path}/t.duckdb#new.vector", "qdrant": f"qdrant://{tmp_path}/q#new"}
    urls["qdrant-edge"] = f"qdrant-edge://{tmp_path}#new.second"
    rows = fill(memory("old"), pa.array(range(N)), columns(N))
    with open_store(urls.get(name, str(tmp_path / name))) as target:
        migrate(translator(), memory("old"), target, journal=journal, options=SMALL)
        assert_migrated(rows, target)


def test_documents_survive_a_store_with_columns(memory: Callable[[str], Store], journal: Path, tmp_path: Path) -> None:
    rows = fill(memory("old"), pa.array(range(60)), documents(60, nested=True))
    middle, last = open_store(str(tmp_path / "a.parquet")), memory("new")
    migrate(translator(), memory("old"), middle, journal=journal)
    assert_migrated(rows, open_store(str(tmp_path / "a.parquet")))
    back = migrate(
        translator(),
        open_store(str(tmp_path / "a.parquet")),
        last,
        journal=tmp_path / "b",
        options=Options(inverse=True),
    )
    assert back.plan.d_out == D_IN
    assert whole(last).payload.equals(rows.payload)  # type: ignore[union-attr]


def test_a_vector_beside_the_old_one(memory: Callable[[str], Store], source: Records, journal: Path) -> None:
    done = migrate(translator(), memory("old.vector"), memory("old.new"), journal=journal, options=SMALL)
    assert done.plan.as_new_vector
    assert_migrated(source, memory("old.new"))
    assert whole(memory("old")).vectors.shape == (N, D_IN)
    rollback(journal, target=memory("old.new"))
    assert not memory("old.new").exists()
    assert memory("old").info().count == N


class Killed(BaseException):
    """Stands for kill -9: nothing behind it runs."""


def _dying(store: Store, method: str, calls: int, *, after: bool) -> None:
    """Make a method die at its n-th call, before or after it did its work."""
    whole_method, count = getattr(store, method), itertools.count(1)

    def dies(*arguments: Any, **more: Any) -> Any:
        last = next(count) == calls
        if last and not after:
            raise Killed
        result = whole_method(*arguments, **more)
        if last:
            raise Killed
        return result

    setattr(store, method, dies)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("method", "calls"), [("create", 1), ("upsert", 1), ("upsert", 7), ("upsert", 11), ("finish", 1)]
)
def test_resume_goes_on_from_any_point(
    method: str, calls: int, after: bool, memory: Callable[[str], Store], source: Records, journal: Path
) -> None:
    target = memory("new")
    _dying(target, method, calls, after=after)
    with pytest.raises(Killed):
        migrate(translator(), memory("old"), target, journal=journal, options=SMALL)
    done = migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, resume=True)
    assert_migrated(source, memory("new"))
    assert done.resumed_from == {"create": 0, "upsert": 50 * (calls - 1), "finish": N}[method]
    again = migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, resume=True)
    assert again.resumed_from == N


def _kill_in_survey(memory: Callable[[str], Store], journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what a migration leaves that is killed while it surveys its source."""

    def dies(phase: str, done: int, rows: int) -> None:
        if done > 200:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MigrationJournal, "discard", lambda self: None)
        with pytest.raises(Killed):
            migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, on_rows=dies)


def test_resume_after_death_in_the_survey(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_in_survey(memory, journal, monkeypatch)
    assert not memory("new").exists()
    migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, resume=True)
    assert_migrated(source, memory("new"))


@pytest.fixture
def interrupted(memory: Callable[[str], Store], source: Records, journal: Path) -> Path:
    target = memory("new")
    _dying(target, "upsert", 4, after=True)
    with pytest.raises(Killed):
        migrate(translator(), memory("old"), target, journal=journal, options=SMALL)
    return journal


def _again(memory: Callable[[str], Store], journal: Path, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "translator": translator(),
        "source": memory("old"),
        "target": memory("new"),
        "options": SMALL,
    }
    facts |= changes
    migrate(
        facts["translator"], facts["source"], facts["target"], journal=journal, options=facts["options"], resume=True
    )


def test_resume_refuses_another_translator(memory: Callable[[str], Store], interrupted: Path) -> None:
    other = translator()
    assert isinstance(other.forward, AffineMap)
    other.forward.matrix[0, 0] += 1
    with pytest.raises(InputError, match="the translator was"):
        _again(memory, interrupted, translator=other)


def test_resume_refuses_other_options(memory: Callable[[str], Store], interrupted: Path) -> None:
    message = r"the options were metric=None, drop_payload=False and are metric='dot', drop_payload=True\. Use"
    other = Options(page_rows=51, metric="dot", drop_payload=True)
    with pytest.raises(InputError, match=message) as refused:
        _again(memory, interrupted, options=other)
    assert "Those of the first run: without metric=True, without drop_payload=True." in str(refused.value)
    assert "first run: without --metric, without --drop-payload." in refused.value.render(_option)


def test_resume_takes_options_that_change_no_row(
    memory: Callable[[str], Store], source: Records, interrupted: Path
) -> None:
    _again(memory, interrupted, options=Options(page_rows=7, allow_foreign=True))
    assert_migrated(source, memory("new"))
    _again(memory, interrupted, options=Options())
    finished = "shows that this migration is finished"
    with pytest.raises(OutputExistsError, match=finished):
        migrate(translator(), memory("old"), memory("new"), journal=interrupted, options=Options(page_rows=9))


@pytest.mark.parametrize(
    ("where", "option"), [("kind = 'old'", "--where 'kind = '\"'\"'old'\"'\"''"), ("kind = 'a}b'", "--where")]
)
def test_a_condition_of_the_first_run_is_quoted_or_left_to_the_user(where: str, option: str) -> None:
    error = InputError("No.", f"First run: {_as_arguments({'where': where}, ['where'])}.")
    assert error.render(_option) == f"No. First run: {option}."


def test_resume_lists_rows_that_were_added_to_the_source(
    memory: Callable[[str], Store], source: Records, interrupted: Path
) -> None:
    old = memory("old")
    extra = old.fetch(pa.array(["row 0"]))
    old.upsert(Records(pa.array(["one more"]), extra.vectors, extra.payload))
    done = migrate(translator(), old, memory("new"), journal=interrupted, options=SMALL, resume=True)
    assert (done.rows, done.resumed_from, done.added, done.updated, done.deleted) == (N, 150, 1, 0, 0)
    assert Path(str(done.changed_ids)).read_text("utf-8") == '{"change": "added", "id": "one more"}\n'
    assert_migrated(source, memory("new"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("row 421", "the row after the one with the id 'row 420' is gone or has moved"),
        # Ids of the sample are in the journal.
        ("row 428", "the row with the id 'row 428' is gone or has moved"),
        # The memory store goes on at a position, to which the next row has moved.
        ("row 3", "the row with the id 'row 100' is gone or has moved"),
        # On the last page that was copied, where the target has the row.
        ("row 100", "the row with the id 'row 100' is gone or has moved"),
        ("row 117", "the row with the id 'row 117' is gone or has moved"),
        ("row 149", "the row with the id 'row 149' is gone or has moved"),
        ("row 529", "the row after the one with the id 'row 528' is not there any more"),
    ],
)
def test_resume_refuses_a_source_that_lost_a_row_before_it_was_copied(
    memory: Callable[[str], Store], source: Records, interrupted: Path, row: str, message: str
) -> None:
    old = memory("old")
    extra = old.fetch(pa.array(["row 0"]))
    for number in range(3):
        old.upsert(Records(pa.array([f"more {number}"]), extra.vectors, extra.payload))
    old.delete(pa.array([row]))
    with pytest.raises(InputError, match=f"changed while it was migrated: {message}"):
        _again(memory, interrupted)
    missed = message.split(" is ", maxsplit=1)[0]
    missed = f"(differ from those read at the start|are not there any more), and an earlier run missed {missed}"
    with pytest.raises(InputError, match=missed):
        _again(memory, interrupted)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (range(420, 425), "the row with the id 420 is gone or has moved"),
        (range(150, 160), "the row with the id 150 is gone or has moved"),
        (range(149, 150), "the row with the id 149 is gone or has moved"),
        (range(120, 170), "the row with the id 120 is gone or has moved"),
        (range(100, N), "the row with the id 100 is not there any more"),
        (range(500, N), "the row with the id 500 is not there any more"),
        (range(150, N), "the row with the id 150 is not there any more"),
    ],
)
def test_resume_names_the_first_number_that_the_source_lost(
    memory: Callable[[str], Store], journal: Path, lost: range, message: str
) -> None:
    fill(memory("old"), pa.array(range(N)), None)
    target = memory("new")
    _dying(target, "upsert", 3, after=True)
    with pytest.raises(Killed):
        migrate(translator(), memory("old"), target, journal=journal, options=SMALL)
    memory("old").delete(pa.array(list(lost)))
    with pytest.raises(InputError, match=f"changed while it was migrated: {message}"):
        _again(memory, journal)


@pytest.mark.parametrize("name", ["old.jsonl", "old.parquet"])
def test_resume_lists_rows_that_were_appended_to_a_file(
    name: str, memory: Callable[[str], Store], journal: Path, tmp_path: Path
) -> None:
    path, rows = tmp_path / name, fill(memory("rows"), pa.array(range(N)), None)

    def write(count: int) -> None:
        path.unlink(missing_ok=True)
        with open_store(str(path)) as store:
            fill(store, pa.array(range(count)), None)

    write(N)
    target = memory("new")
    _dying(target, "upsert", 4, after=True)
    with open_store(str(path)) as old, pytest.raises(Killed):
        migrate(translator(), old, target, journal=journal, options=SMALL)
    write(N + 30)
    with open_store(str(path)) as old:
        kept = whole(old).rows(0, N)
        same = bool(np.allclose(kept.vectors, rows.vectors))
        done = migrate(translator(), old, memory("new"), journal=journal, options=SMALL, resume=True)
        assert same
        assert (done.rows, done.added) == (N, 30)
    assert_migrated(rows, memory("new"))


def test_resume_after_rows_without_a_vector_were_added(memory: Callable[[str], Store], journal: Path) -> None:
    chosen = replace(SMALL, skip_bad=True)
    rows = fill(memory("old"), pa.array(range(N)), None)
    _DATABASES["m"]["old"].vectors["vector"].rows[7][:] = 0
    target = memory("new")
    _dying(target, "upsert", 4, after=True)
    with pytest.raises(Killed):
        migrate(translator(), memory("old"), target, journal=journal, options=chosen)
    bad = np.full((3, D_IN), np.nan, np.float32)
    memory("old").upsert(Records(pa.array([5000, 5001, 5002]), bad, None))
    memory("old").upsert(Records(pa.array([6000]), rows.vectors[:1], None))
    done = migrate(translator(), memory("old"), memory("new"), journal=journal, options=chosen, resume=True)
    assert (done.rows, done.added, done.updated, done.deleted) == (N - 1, 1, 0, 0)
    assert_migrated(rows.take([row for row in range(N) if row != 7]), memory("new"))


def test_a_survey_that_was_killed_begins_again_with_the_rows_that_were_added(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_in_survey(memory, journal, monkeypatch)
    extra = memory("old").fetch(pa.array(["row 0"]))
    memory("old").upsert(Records(pa.array(["one more"]), extra.vectors, extra.payload))
    done = migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL, resume=True)
    assert (done.rows, done.plan.rows, done.added) == (N + 1, N + 1, 0)


@pytest.mark.parametrize("row", ["row 120", "row 160", "row 420"])
def test_resume_refuses_a_source_with_another_value(
    memory: Callable[[str], Store], interrupted: Path, row: str
) -> None:
    old = memory("old")
    changed = old.fetch(pa.array([row]))
    old.upsert(Records(changed.ids, -changed.vectors, changed.payload))
    with pytest.raises(
        InputError,
        match=f"changed while it was migrated: the row with the id '{row}' differs from that read at the start",
    ):
        _again(memory, interrupted)


@pytest.mark.parametrize("cut", ["empty", "tables only"])
def test_resume_begins_where_even_the_journal_was_cut_short(
    cut: str, memory: Callable[[str], Store], source: Records, journal: Path
) -> None:
    if cut == "empty":
        journal.touch()
    else:
        MigrationJournal(journal, create=True).close()
    _again(memory, journal)
    assert_migrated(source, memory("new"))


def test_a_resumed_run_counts_every_row_that_it_compares_and_names_a_rollback_that_works(
    memory: Callable[[str], Store], interrupted: Path
) -> None:
    done = migrate(translator(), memory("old"), memory("new"), journal=interrupted, options=SMALL, resume=True)
    assert done.checked == done.rows > 256
    stored = memory("new").fetch(pa.array(["row 2"]))
    memory("new").upsert(Records(stored.ids, -stored.vectors, stored.payload))
    with contextlib.closing(MigrationJournal(interrupted, create=False)) as log:
        log.note(phase="checking")
    with pytest.raises(
        InterlinguaError,
        match=r"namely id 'row 2'.*Then run rollback\(allow_loss=True\) to undo the migration; rollback\(\) alone",
    ):
        _again(memory, interrupted)
    with pytest.raises(InputError, match="allow_loss"):
        rollback(interrupted, target=memory("new"))


def test_rollback_drops_the_new_name_only(memory: Callable[[str], Store], interrupted: Path) -> None:
    fill(memory("bystander"), pa.array([1, 2]), None)
    assert rollback(interrupted, target=memory("new")).dropped == "memory://m#new"
    assert not memory("new").exists()
    assert memory("old").info().count == N
    assert memory("bystander").info().count == 2
    with pytest.raises(InputError, match="was rolled back"):
        _again(memory, interrupted)


def test_a_client_is_opened_once_by_threads_that_need_it_at_the_same_time() -> None:
    opened: list[object] = []
    ready = threading.Barrier(8)

    def connect() -> object:
        time.sleep(0.01)
        opened.append(object())
        return opened[-1]

    def use(number: int) -> object:
        ready.wait()
        return acquire("a key of this test", connect)

    with ThreadPoolExecutor(8) as pool:
        clients = set(pool.map(use, range(8)))
    closed: list[object] = []
    for _ in range(8):
        release("a key of this test", closed.append)
    assert len(opened) == len(clients) == len(closed) == 1


def test_messages_name_the_kind_of_store_and_no_class(memory: Callable[[str], Store], source: Records) -> None:
    with pytest.raises(InputError, match="This process cannot select rows") as caught:
        plan(translator(), memory("old"), memory("new"), Options(skip_null=True))
    assert "MemoryStore" not in str(caught.value)


def test_rollback_of_a_migration_that_made_nothing_drops_nothing(
    memory: Callable[[str], Store], journal: Path, interrupted: Path
) -> None:
    # A run that was killed between the creation of the journal and its first entry.
    journal.unlink(missing_ok=True)
    MigrationJournal(journal, create=True).close()
    assert rollback(journal, target=memory("other")).dropped is None


def test_a_second_rollback_drops_nothing(memory: Callable[[str], Store], interrupted: Path) -> None:
    assert rollback(interrupted, target=memory("new")).dropped == "memory://m#new"
    assert rollback(interrupted, target=memory("new")).dropped is None


def test_triggers_are_refused_where_no_table_is_updated(memory: Callable[[str], Store], source: Records) -> None:
    for target in ("new", "old.new"):
        with pytest.raises(InputError, match=r"updates no row of a table .*\. Leave triggers=skip out"):
            plan(translator(), memory("old.vector"), memory(target), Options(triggers="skip"))


def test_a_plan_leaves_the_selection_of_rows_as_the_options_have_it(
    memory: Callable[[str], Store], source: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, selections = memory("old"), []
    info = replace(old.info(), nulls=3, first_null="7")
    monkeypatch.setattr(old, "info", lambda: info)
    monkeypatch.setattr(
        old, "restrict", lambda *, where=None, skip_null=False, **_: selections.append((where, skip_null))
    )
    assert plan(translator(), old, memory("new"), Options(where="year > 3")).nulls == 3
    assert selections == [("year > 3", False), ("year > 3", True), ("year > 3", False)]


def test_rollback_never_drops_what_the_journal_did_not_make(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Run, "create", _die)
        with pytest.raises(Killed):
            migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    fill(memory("new"), pa.array([1, 2, 3]), None)  # somebody else takes the name
    rollback(journal, target=memory("new"))
    assert memory("new").info().count == 3


def _die(self: Run) -> None:
    raise Killed


def test_two_runs_do_not_share_a_journal(memory: Callable[[str], Store], interrupted: Path) -> None:
    holder = sqlite3.connect(interrupted, isolation_level=None)
    holder.execute("begin exclusive")
    with pytest.raises(OutputExistsError, match="in use by another migration"):
        _again(memory, interrupted)
    holder.close()


def test_a_plan_costs_and_makes_nothing(memory: Callable[[str], Store], source: Records) -> None:
    found = plan(translator(), memory("old"), memory("new"))
    assert (found.rows, found.d_in, found.d_out, found.metric) == (N, D_IN, D_OUT, "cosine")
    assert found.needed_bytes > N * D_OUT * 4
    assert found.seconds >= 0
    assert not memory("new").exists()


def test_a_wrong_vector_in_the_target_is_found(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = MemoryStore.upsert
    monkeypatch.setattr(
        MemoryStore, "upsert", lambda self, r: honest(self, Records(r.ids, np.roll(r.vectors, 1, axis=0), r.payload))
    )
    with pytest.raises(InterlinguaError, match="vectors read back differ"):
        migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)


def test_one_row_that_is_left_is_one_row(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = MemoryStore.upsert
    first = source.ids[0].as_py()
    monkeypatch.setattr(MemoryStore, "upsert", lambda self, r: honest(self, r.rows(0, int(r.ids[0].as_py() == first))))
    with pytest.raises(InterlinguaError, match="holds 1 row, but 530 were written"):
        migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)


def test_a_lost_row_is_found(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = MemoryStore.upsert
    monkeypatch.setattr(MemoryStore, "upsert", lambda self, records: honest(self, records.rows(1)))
    with pytest.raises(
        InterlinguaError,
        match=r"holds 519 rows, but 530 were written\. The row with the id 'row \d+' is not there\. Run",
    ):
        migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)


def test_after_a_lost_row_the_source_is_read_as_before(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, old, chosen = MemoryStore.upsert, memory("old"), list[bool]()
    monkeypatch.setattr(MemoryStore, "upsert", lambda self, records: honest(self, records.rows(1)))
    plain = old.restrict

    def restrict(**given: Any) -> None:
        chosen.append(given["bad_as_nan"])
        plain(**given)

    monkeypatch.setattr(old, "restrict", restrict)
    with pytest.raises(InterlinguaError, match="is not there"):
        migrate(translator(), old, memory("new"), journal=journal, options=SMALL)
    assert chosen
    assert not any(chosen)


def test_a_target_with_more_rows_than_were_written_has_lost_none(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, honest = memory("new"), MemoryStore.info
    monkeypatch.setattr(
        MemoryStore, "info", lambda self: replace(honest(self), count=honest(self).count + 5 * (self is new))
    )
    with pytest.raises(InterlinguaError, match=r"holds 535 rows, but 530 were written\. Run rollback"):
        migrate(translator(), memory("old"), new, journal=journal, options=SMALL)


def test_a_row_that_was_not_copied_is_not_looked_for_in_the_target(
    memory: Callable[[str], Store], source: Records, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory("old").delete(pa.array(["row 421"]))
    honest, read = MemoryStore.scan, list[str]()

    def scan(self: MemoryStore, *given: Any) -> Any:
        read.append(str(self.url))
        return honest(self, *given)

    monkeypatch.setattr(MemoryStore, "scan", scan)
    with pytest.raises(InputError, match="after the one with the id 'row 420'"):
        _again(memory, interrupted)
    assert {url.rpartition("#")[2] for url in read} == {"old"}


def test_changed_payload_is_found(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = MemoryStore.upsert

    def forgets(self: MemoryStore, records: Records) -> None:
        payload = records.payload.set_column(0, "title", pa.nulls(len(records), pa.string()))  # type: ignore[union-attr]
        honest(self, Records(records.ids, records.vectors, payload))

    monkeypatch.setattr(MemoryStore, "upsert", forgets)
    with pytest.raises(InterlinguaError, match="payload read back differs"):
        migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)


def test_a_disk_that_the_rows_themselves_filled_does_not_stop_a_resumed_migration(
    memory: Callable[[str], Store], source: Records, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.stores.planning._free", lambda url: 1000)
    done = migrate(translator(), memory("old"), memory("new"), journal=interrupted, options=SMALL, resume=True)
    assert_migrated(source, memory("new"))
    assert done.resumed_from == 150
    again = migrate(translator(), memory("old"), memory("new"), journal=interrupted, options=SMALL, resume=True)
    assert again.plan == done.plan


@pytest.mark.parametrize("resume", [False, True])
def test_the_plan_is_made_once_and_read_from_the_journal_afterwards(
    resume: bool,
    memory: Callable[[str], Store],
    source: Records,
    journal: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if resume:
        request.getfixturevalue("interrupted")
    calls: list[str] = []
    store = memory("old")

    def counted(name: str) -> Callable[..., Any]:
        method = getattr(store, name)

        def call(*arguments: Any) -> Any:
            calls.append(name)
            return method(*arguments)

        return call

    for name in ("info", "scan"):
        monkeypatch.setattr(store, name, counted(name))
    migrate(translator(), store, memory("new"), journal=journal, options=SMALL, resume=resume)
    assert calls.count("info") == 1
    # Estimated and surveyed, then copied; a resumed run compares a page that was written instead.
    assert calls.count("scan") == (2 if resume else 3)


def test_the_check_reads_the_source_once_and_looks_up_no_row_that_is_unchanged(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(MemoryStore, name)

        def call(self: MemoryStore, *arguments: Any) -> Any:
            calls.append((name, str(self.url)))
            return original(self, *arguments)

        return call

    for name in ("fetch", "scan"):
        monkeypatch.setattr(MemoryStore, name, counted(name))
    done = migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    # Estimated, surveyed, copied and checked; the sample is fetched from the target alone.
    assert calls.count(("scan", "memory://m#old")) == 4
    assert calls.count(("fetch", "memory://m#old")) == 0
    assert done.checked >= 256
    with contextlib.closing(MigrationJournal(journal, create=False)) as log:
        assert len(log.unchanged_pages()) == -(-N // 50)


def test_the_same_command_after_a_kill_says_that_it_can_be_resumed_or_rolled_back(
    memory: Callable[[str], Store], interrupted: Path
) -> None:
    wanted = (
        r"was interrupted with 150 rows written\. Go on with resume=True, or run rollback\(\) to drop what it made\."
    )
    with pytest.raises(OutputExistsError, match=wanted):
        migrate(translator(), memory("old"), memory("new"), journal=interrupted, options=SMALL)
    with pytest.raises(OutputExistsError, match=r"of a migration of memory://m#old to memory://m#new\. Name another"):
        migrate(translator(), memory("old"), memory("other"), journal=interrupted, options=SMALL)
    assert not memory("other").exists()


def test_a_migration_that_was_rolled_back_can_start_again_with_its_journal(
    memory: Callable[[str], Store], source: Records, interrupted: Path
) -> None:
    rollback(interrupted, target=memory("new"))
    with pytest.raises(InputError, match=r"was rolled back\. Start it again without resume"):
        _again(memory, interrupted)
    done = migrate(translator(), memory("old"), memory("new"), journal=interrupted, options=SMALL)
    assert done.resumed_from == 0
    assert_migrated(source, memory("new"))
    with pytest.raises(OutputExistsError, match=r"copied by catch_up\(\)\. If the target still exists, resume=True"):
        migrate(translator(), memory("old"), memory("new"), journal=interrupted, options=SMALL)


def test_a_folder_that_takes_no_journal_is_refused_before_the_source_is_read(
    memory: Callable[[str], Store], source: Records, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = memory("old")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr(old, "scan", lambda *arguments: pytest.fail("the source was read"))
    with pytest.raises(InputError, match="of the journal cannot be written to. Name a journal in another folder"):
        migrate(translator(), old, memory("new"), journal=journal, options=SMALL)


@pytest.mark.parametrize(
    ("statement", "use"),
    [
        ("update fact set value = '{' where name = 'phase'", lambda log: log.phase),
        ("update fact set value = '{' where name = 'target'", lambda log: log.facts),
        ("update fact set value = 'null' where name = 'phase'", lambda log: log.phase),
        ("delete from fact where name = 'plan'", lambda log: None),
        ("delete from fact where name = 'target'", lambda log: None),
        ("update page set after = '['", lambda log: log.page(0)),
        ("insert into sample values ('{')", lambda log: log.sample()),
        ("drop table page", lambda log: log.rows()),
        ("drop table row", lambda log: log.row_count()),
        ("update surveyed set digests = x'00'", lambda log: log.holds(np.arange(5))),
        ("drop table surveyed", lambda log: log.unchanged_pages()),
        ("update fact set value = 'x' where name = 'format'", lambda log: None),
        ("update fact set value = '[1]' where name = 'job'", lambda log: None),
        ("update fact set value = 'null' where name = 'plan'", lambda log: None),
        ("update fact set value = '{}' where name = 'plan'", lambda log: None),
        ("update fact set value = json_set(value, '$.rows', 'x') where name = 'plan'", lambda log: None),
        ("update fact set value = json_remove(value, '$.d_in') where name = 'plan'", lambda log: None),
        ("update fact set value = '{}' where name = 'options'", lambda log: None),
        ("update fact set value = '{}' where name = 'source_facts'", lambda log: None),
    ],
)
def test_a_damaged_journal_is_refused_in_one_sentence(
    statement: str, use: Callable[[MigrationJournal], object], interrupted: Path
) -> None:
    with sqlite3.connect(interrupted) as db:
        db.execute(statement)
    with pytest.raises(InputError, match=r"journal\.sqlite is damaged \(.*\)\. Roll back by hand"):  # noqa: SIM117
        with contextlib.closing(MigrationJournal(interrupted, create=False)) as log:
            use(log)
    interrupted.rename(interrupted.with_suffix(".moved"))  # and it is not kept open
    with pytest.raises(InputError, match="no such journal, .* start in the same folder with the same addresses"):
        MigrationJournal(interrupted, create=False)


def test_a_survey_takes_sixteen_bytes_of_the_journal_for_each_row_until_rows_are_looked_up(tmp_path: Path) -> None:
    path, rng, n = tmp_path / "journal.sqlite", np.random.default_rng(0), 2_000
    digests = rng.integers(-(2**63), 2**63 - 1, (20, n, 2))
    with contextlib.closing(MigrationJournal(path, create=True)) as log:
        with log.surveying(phase="creating"):
            for number, page in enumerate(digests):
                log.add_page(number, [number], n, f"{number:032}", [], page)
        assert path.stat().st_size < 1.1 * digests.nbytes
        assert log.phase == "creating"
        assert log.row_count() == 20 * n
        assert log.unchanged_pages() == {f"{number:032}" for number in range(20)}
        known, same = log.compare(np.concatenate([digests[3], digests[4] + [0, 1]]))
        assert known.all()
        assert same.tolist() == [True] * n + [False] * n
        assert log.row_count() == 20 * n
        assert not log.unchanged_pages()  # rows may be recorded one by one from now on


def test_a_survey_that_does_not_end_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    def survey(log: MigrationJournal, error: type[BaseException]) -> None:
        with log.surveying(phase="creating"):
            log.add_page(0, [0], 1, "0" * 32, ["a"], np.ones((1, 2), np.int64))
            raise error

    with contextlib.closing(MigrationJournal(tmp_path / "journal.sqlite", create=True)) as log:
        for error in (Killed, sqlite3.DatabaseError):  # the second may be of a source that is a database of SQLite
            with pytest.raises(error):
                survey(log, error)
            assert (log.phase, log.rows(), log.sample()) == ("surveying", 0, [])


def test_a_journal_whose_pages_are_mixed_up_is_refused_when_it_is_opened(interrupted: Path) -> None:
    content = bytearray(interrupted.read_bytes())
    content[4096 * 2 : 4096 * 2 + 8] = b"\x0d\xff\xff\xff\xff\xff\xff\xff"
    interrupted.write_bytes(content)
    with pytest.raises(InputError, match=r"journal\.sqlite is damaged"):
        MigrationJournal(interrupted, create=False)


def test_a_journal_that_cannot_be_made_is_refused(
    memory: Callable[[str], Store], source: Records, journal: Path, tmp_path: Path
) -> None:
    journal.symlink_to(tmp_path / "missing" / "journal.sqlite")
    with pytest.raises(InputError, match=r"cannot be used as a journal \(unable to open database file\)"):
        migrate(translator(), memory("old"), memory("new"), journal=journal)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("new.parquet?id=title#emb", r"the ids cannot be called 'title', because a payload column has this name"),
        ("new.npy#emb", "a .npy file has no names; leave out what follows its path"),
        ("new.npy?id=key", "a .npy file has no names; leave out what follows its path"),
        ("new.parquet#id", "name another vector column"),
    ],
)
def test_names_in_the_address_of_a_file_are_used_or_refused(
    memory: Callable[[str], Store], journal: Path, tmp_path: Path, target: str, message: str
) -> None:
    fill(memory("old"), pa.array(range(N)), None if ".npy" in target else columns(N))
    with pytest.raises(InputError, match=message):
        migrate(translator(), memory("old"), open_store(f"file://{tmp_path}/{target}"), journal=journal, options=SMALL)
    assert not any(tmp_path.iterdir())


def test_a_target_in_the_folder_that_is_the_source_is_refused(
    memory: Callable[[str], Store], source: Records, journal: Path, tmp_path: Path
) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    with open_store(str(parts / "a.parquet")) as first:
        migrate(translator(), memory("old"), first, journal=journal, options=SMALL)
    with open_store(str(parts)) as folder, open_store(str(parts / "new.parquet")) as target:
        for inverse in (True, False):
            with pytest.raises(
                InputError, match="is inside the input folder .*parts and would become part of the input"
            ):
                plan(translator(), folder, target, Options(inverse=inverse))


def test_a_column_behind_a_plain_path_is_explained(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("{}")
    with pytest.raises(InputError, match=rf"write file://{tmp_path}/x.jsonl#openai-batch"):
        open_store(f"{tmp_path}/x.jsonl#openai-batch")


def test_a_file_has_the_columns_that_its_address_names(
    memory: Callable[[str], Store], source: Records, journal: Path, tmp_path: Path
) -> None:
    for name in ("new.parquet", "new.jsonl"):
        with open_store(f"file://{tmp_path}/{name}?id=key#emb") as target:
            migrate(
                translator(), memory("old"), target, journal=tmp_path / f"{name}.sqlite",
                options=replace(SMALL, drop_payload=True),
            )  # fmt: skip
        file = open_vectors(tmp_path / name, column="emb", id_column="key")
        assert (file.vector_name, file.id_name, file.n) == ("emb", "key", N)


def test_a_journal_that_cannot_be_written_says_so(interrupted: Path) -> None:
    with contextlib.closing(MigrationJournal(interrupted, create=False)) as log:
        log._db.execute(f"pragma max_page_count = {log._db.execute('pragma page_count').fetchone()[0]}")
        with pytest.raises(InterlinguaError, match=r"journal\.sqlite cannot be written \(.*full\)\. Free space"):
            log.note(text="x" * 100_000)
        assert log.phase == "copying"


def test_rows_of_another_space_are_refused_before_anything_is_written_unless_allowed(
    memory: Callable[[str], Store], journal: Path
) -> None:
    """The second half of the collection is of another model of the same width, after the pages that a plan reads."""
    vectors = np.concatenate([cone(6000, D_IN, 5), -cone(6000, D_IN, 6)])
    store = memory("mixed")
    spec = Spec(D_IN, "cosine", pa.int64(), None, len(vectors))
    store.create(spec)
    store.upsert(Records(pa.array(range(len(vectors))), vectors, None))
    options = Options(page_rows=1000)
    with pytest.raises(
        SpaceMismatchError, match=r"#mixed, rows 6000 to 6999: The source vectors are of this model .* opposite"
    ):
        migrate(cone_translator(), store, memory("new"), journal=journal, options=options)
    assert not memory("new").exists()
    assert not journal.exists()
    allowed = Options(page_rows=1000, allow_foreign=True)
    assert migrate(cone_translator(), store, memory("new"), journal=journal, options=allowed).rows == len(vectors)


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl", "faiss", "duckdb", "memory"])
def test_a_second_run_to_the_same_target_is_refused_and_takes_nothing_from_the_first(
    name: str, memory: Callable[[str], Store], tmp_path: Path
) -> None:
    pytest.importorskip(name if name in {"faiss", "duckdb"} else "pyarrow")
    urls = {"faiss": f"faiss://{tmp_path}/out.faiss", "duckdb": f"duckdb://{tmp_path}/t.duckdb#new.vector"}
    url = urls.get(name, "memory://m#new" if name == "memory" else str(tmp_path / name))
    fill(memory("old"), pa.array(range(N)), None)
    first, second = tmp_path / "first", tmp_path / "second"

    def run(journal: Path, **how: Any) -> None:
        with open_store(url) as target:
            migrate(translator(), memory("old"), target, journal=journal, options=SMALL, **how)

    def meanwhile(phase: str, done: int, rows: int) -> None:
        if (phase, done) != ("copying", 100):
            return
        with pytest.raises(OutputExistsError, match="in use by another migration. Wait for it to end"):
            run(first, resume=True)
        with pytest.raises(OutputExistsError, match="in use by another migration. Wait for it to end"):
            rollback(first)
        with pytest.raises(
            OutputExistsError,
            match=r"exists(, and nothing is overwritten|\. A vector can)|another run has not finished .*Wait",
        ):
            run(second)
        assert not second.exists()

    run(first, on_rows=meanwhile)
    with open_store(url) as target:
        assert target.info().count == N


@pytest.mark.parametrize("name", ["out.parquet", "faiss", "duckdb", "memory"])
def test_a_run_that_another_one_overtook_drops_nothing_of_it(
    name: str, memory: Callable[[str], Store], tmp_path: Path
) -> None:
    pytest.importorskip(name if name in {"faiss", "duckdb"} else "pyarrow")
    urls = {"faiss": f"faiss://{tmp_path}/out.faiss", "duckdb": f"duckdb://{tmp_path}/t.duckdb#new.vector"}
    url = urls.get(name, "memory://m#new" if name == "memory" else str(tmp_path / name))
    rows = fill(memory("old"), pa.array(range(N)), None)
    slow, fast = tmp_path / "slow", tmp_path / "fast"

    def run(journal: Path, stop: int = N + 1, **how: Any) -> None:
        def on_rows(phase: str, done: int, rows: int) -> None:
            if phase == "surveying" and done == rows and journal == slow:
                with contextlib.suppress(KeyboardInterrupt):
                    run(fast, 200)
            if phase == "copying" and done == stop:
                raise KeyboardInterrupt

        with open_store(url) as target:
            migrate(translator(), memory("old"), target, journal=journal, options=SMALL, on_rows=on_rows, **how)

    for how in ({}, {"resume": True}):
        with pytest.raises(
            OutputExistsError, match=r"exists(, and nothing is over|\. A vector can)|another run has not finished"
        ):
            run(slow, **how)
    assert rollback(slow).dropped is None
    run(fast, resume=True)
    with open_store(url) as target:
        assert_migrated(rows, target)


def test_unfinished_rows_of_another_run_are_not_removed_by_a_rollback(
    memory: Callable[[str], Store], tmp_path: Path
) -> None:
    fill(memory("old"), pa.array(range(N)), None)

    def stop(phase: str, done: int, rows: int) -> None:
        if (phase, done) == ("copying", 200):
            raise KeyboardInterrupt

    for journal in ("first", "second"):
        with open_store(str(tmp_path / "out.parquet")) as target, pytest.raises(KeyboardInterrupt):
            migrate(translator(), memory("old"), target, journal=tmp_path / journal, options=SMALL, on_rows=stop)
        if journal == "first":
            shutil.rmtree(tmp_path / "out.parquet.partial")
    with pytest.raises(InputError, match="the unfinished rows beside it are those of"):
        rollback(tmp_path / "first")
    (tmp_path / "out.parquet.partial" / "checkpoint.json").write_text("{")
    with pytest.raises(InputError, match="the unfinished rows beside it are those of another program"):
        rollback(tmp_path / "second")
    assert (tmp_path / "out.parquet.partial").is_dir()
