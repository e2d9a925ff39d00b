"""A migration into a column beside the old one, after the switch of names and after catch-ups: nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import interlingua as il
from interlingua.core.errors import InputError, InterlinguaError
from interlingua.stores import Store, open_source, open_store
from interlingua.stores._journal import MigrationJournal
from interlingua.stores.changes import CatchUp, catch_up
from interlingua.stores.migration import Migration, migrate, rollback
from interlingua.stores.planning import Options, plan
from stores.contract import columns
from stores.marks import OTHER_COMMENTS
from stores.migrations import D_IN, D_OUT, fill, translator, unit
from stores.servers import postgres as postgres
from stores.servers import postgres_server as postgres_server

N = 120
SMALL = Options(page_rows=50)
RENAMED = ("embedding", "embedding_old"), ("embedding_new", "embedding")


class Shop:
    """A table ``items`` with a column of old vectors, a journal, and what its owner does to it."""

    def __init__(self, address: str, journal: Path, execute: Callable[[str], Any]) -> None:
        self.address, self.journal, self.execute = address, journal, execute
        with open_store(f"{address}#items.embedding") as store:
            fill(store, pa.array(range(N)), columns(N))

    def migrate(self, source: str = "embedding", target: str = "embedding_new", **how: Any) -> Migration:
        with self.stores(source, target) as (old, new):
            return migrate(translator(), old, new, journal=self.journal, **{"options": SMALL, **how})

    def catch_up(self, source: str = "embedding", target: str = "embedding_new", **how: Any) -> CatchUp:
        with self.stores(source, target) as (old, new):
            return catch_up(translator(), old, new, journal=self.journal, **how)

    def stores(self, source: str, target: str) -> _Both:
        return _Both(*(f"{self.address}#items.{name}" for name in (source, target)))

    def rename(self, *names: tuple[str, str]) -> None:
        for before, after in names:
            self.execute(f"alter table items rename column {before} to {after}")

    def insert(self, key: int) -> None:
        vector = unit(1, D_IN, abs(key))[0].tolist()
        self.execute(f"insert into items (id, embedding) values ({key}, '{vector}')")

    def phase(self) -> str:
        log = MigrationJournal(self.journal, create=False)
        try:
            return log.phase
        finally:
            log.close()

    def count(self, column: str) -> int:
        return int(self.execute(f"select count({column}) from items")[0][0])


class _Both:
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    def __enter__(self) -> tuple[Store, Store]:
        self.opened = open_store(self.addresses[0]), open_store(self.addresses[1])
        return self.opened

    def __exit__(self, *_: object) -> None:
        for store in self.opened:
            store.close()


@pytest.fixture(params=["duckdb", pytest.param("postgresql", marks=pytest.mark.store)])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    if request.param == "duckdb":
        duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")

        def execute(statement: str) -> Any:
            with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
                return connection.execute(statement).fetchall()

        yield Shop(f"duckdb://{tmp_path}/shop.duckdb", tmp_path / "journal", execute)
        return
    address, folder = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_server")
    import psycopg

    with psycopg.connect(host=folder, user="postgres", dbname="tests", autocommit=True) as connection:

        def execute(statement: str) -> Any:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield Shop(address, tmp_path / "journal", execute)


def test_a_rollback_after_the_switch_is_refused_and_leaves_the_journal(shop: Shop) -> None:
    shop.migrate()
    shop.rename(*RENAMED)
    with pytest.raises(
        InputError,
        match=r"items\.embedding_new is not there; was it renamed or moved\? Rename or move it back first\.",
    ):
        rollback(shop.journal)
    assert shop.phase() == "done"
    assert shop.count("embedding") == N
    shop.rename(("embedding", "embedding_new"), ("embedding_old", "embedding"))
    assert shop.catch_up().read == N
    assert str(rollback(shop.journal).dropped).endswith("#items.embedding_new")
    assert shop.phase() == "rolled back"


def test_a_column_says_that_a_migration_made_it_also_under_another_name(shop: Shop) -> None:
    shop.migrate()
    with shop.stores("embedding", "embedding_new") as stores:
        assert stores[1].is_migrated()
    shop.rename(*RENAMED)
    with shop.stores("embedding_old", "embedding") as stores:
        assert stores[1].is_migrated()
    shop.execute("create table native as select id, embedding from items")
    shop.execute("alter table native add primary key (id)")
    with open_store(f"{shop.address}#native.embedding") as native:
        assert not native.is_migrated()


def test_a_table_whose_only_vector_column_is_not_named_says_that_a_migration_wrote_it(shop: Shop) -> None:
    with open_store(f"{shop.address}#items.embedding") as old, open_store(f"{shop.address}#moved.embedding") as new:
        migrate(translator(), old, new, journal=shop.journal, options=SMALL)
        named = [new.creation(vector_only=vector_only) for vector_only in (False, True)]
    with open_source(f"{shop.address}#moved") as made:
        assert made.is_migrated()
        assert [made.creation(vector_only=vector_only) for vector_only in (False, True)] == named
        assert all(made.migration(vector_only=vector_only) for vector_only in (False, True))
    assert il.plan(f"{shop.address}#moved").migrated


def test_a_comment_of_someone_else_is_no_mark_of_a_migration(shop: Shop) -> None:
    shop.execute("create table native as select id, embedding from items")
    shop.execute("alter table native add primary key (id)")
    for comment in OTHER_COMMENTS:
        for what in ("table native", "column native.embedding"):
            shop.execute(f"comment on {what} is '{comment}'")
        for names in ("native", "native.embedding"):
            with open_store(f"{shop.address}#{names}") as native:
                assert not native.is_migrated(), comment
                assert native.migration() is None


def test_a_rollback_of_a_table_that_was_renamed_is_refused_too(shop: Shop) -> None:
    with open_store(f"{shop.address}#items.embedding") as old, open_store(f"{shop.address}#moved.embedding") as new:
        migrate(translator(), old, new, journal=shop.journal, options=SMALL)
    shop.execute("alter table moved rename to items_v2")
    with pytest.raises(InputError, match=r"moved\.embedding is not there; was it renamed or moved\?"):
        rollback(shop.journal)
    assert shop.phase() == "done"
    assert shop.execute("select count(*) from items_v2")[0][0] == N


def test_an_unfinished_migration_whose_column_is_gone_can_still_be_rolled_back(shop: Shop) -> None:
    def stop(phase: str, done: int, rows: int) -> None:
        if phase == "copying":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.migrate(on_rows=stop)
    shop.execute("alter table items drop column embedding_new")
    rollback(shop.journal)
    assert shop.phase() == "rolled back"


@pytest.mark.parametrize("names", [("embedding", "embedding_new"), ("embedding_old", "embedding")])
@pytest.mark.parametrize("command", ["catch up", "resume"])
def test_a_command_after_the_switch_says_to_exchange_the_names_back(
    shop: Shop, command: str, names: tuple[str, str]
) -> None:
    shop.migrate()
    shop.rename(*RENAMED)
    with pytest.raises(
        InputError,
        match=r"embedding_new is not there: it was renamed, or dropped, after .* rename them back first, and "
        r"run the command with the addresses of the migration, .*#items\.embedding and .*#items\.embedding_new\.",
    ):
        shop.catch_up(*names) if command == "catch up" else shop.migrate(*names, resume=True)
    assert shop.phase() == "done"


def test_rows_that_arrived_after_the_switch_are_left_out_once_the_names_are_exchanged_back(shop: Shop) -> None:
    shop.migrate()
    shop.rename(*RENAMED)
    native = unit(1, D_OUT, 1)[0].tolist()
    shop.execute(f"insert into items (id, embedding) values (900002, '{native}')")
    shop.rename(("embedding", "embedding_new"), ("embedding_old", "embedding"))
    shop.insert(1000)
    advice = (
        r"\b900002\b.*A catch-up can leave out such rows with skip_bad=True, or only rows without a vector with "
        r"skip_null=True; what the target holds for them stays as it is"
    )
    with pytest.raises(InputError, match=advice) as refused:
        shop.catch_up()
    assert "rop such rows" not in str(refused.value)
    for number, chosen in enumerate((Options(page_rows=7, skip_null=True), Options(page_rows=9, skip_bad=True))):
        done = shop.catch_up(options=chosen)
        assert (done.added, done.deleted, done.left_out) == (1 - number, 0, 1)
    assert shop.count("embedding_new") == N + 2
    with pytest.raises(
        InputError, match=r"122 rows, among them 1 row that the migration did not write, .* id 900002\."
    ):
        rollback(shop.journal)
    assert shop.count("embedding_new") == N + 2
    with pytest.raises(
        InputError, match="the options of this migration were drop_payload=False and are drop_payload=T"
    ):
        shop.catch_up(options=Options(drop_payload=True, skip_null=True))


def test_options_that_leave_out_fewer_rows_are_refused_in_a_catch_up(shop: Shop) -> None:
    shop.execute("update items set embedding = null where id = 5")
    shop.migrate(options=Options(page_rows=50, skip_null=True))
    with pytest.raises(InputError, match="the options of this migration were skip_null=True and are skip_null=False"):
        shop.catch_up(options=SMALL)


def test_a_rollback_after_the_old_column_was_dropped_is_refused(shop: Shop) -> None:
    shop.migrate()
    shop.execute("alter table items drop column embedding")
    with pytest.raises(InputError, match=r"may be the last ones, because .*#items\.embedding cannot be read: "):
        rollback(shop.journal)
    assert shop.count("embedding_new") == N


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
def test_a_rollback_under_the_new_name_of_the_column_is_refused(shop: Shop, dropped: bool, dry_run: bool) -> None:
    shop.migrate()
    shop.rename(*RENAMED)
    if dropped:
        shop.execute("alter table items drop column embedding_old")
    address, refused = f"{shop.address}#items.embedding", "a migration to .*embedding_new, not to .*#items.embedding;"
    with pytest.raises(InputError, match=refused):
        rollback(shop.journal, address=address, dry_run=dry_run)
    with open_store(address) as store, pytest.raises(InputError, match=refused):
        rollback(shop.journal, target=store, dry_run=dry_run)
    assert shop.count("embedding") == N


@pytest.mark.parametrize("source", ["items.embedding_old", "others.embedding"])
def test_a_rollback_names_the_source_of_its_migration(shop: Shop, source: str) -> None:
    shop.migrate()
    refused = (
        f"a migration from .*#items.embedding, not from .*#{source}; nothing was dropped. Give the source address of "
        f"that migration, or the journal of the migration from .*#{source}"
    )
    with pytest.raises(InputError, match=refused):
        rollback(shop.journal, source=f"{shop.address}#{source}", dry_run=True)
    own = f"{shop.address}#items.embedding"
    assert rollback(shop.journal, source=own, dry_run=True).rows == N


def test_a_resume_after_rows_were_added_lists_them(shop: Shop) -> None:
    def stop(phase: str, done: int, rows: int) -> None:
        if (phase, done) == ("copying", 50):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.migrate(on_rows=stop)
    for key in (-3, 1000, 1001):
        shop.insert(key)
    done = shop.migrate(resume=True)
    assert (done.rows, done.added, done.deleted) == (N, 3, 0)
    assert shop.catch_up().added == 3
    assert shop.count("embedding_new") == N + 3


def test_a_resume_of_a_finished_column_compares_it_after_a_row_came_and_went(shop: Shop) -> None:
    shop.migrate()
    shop.execute("delete from items where id = 5")
    shop.insert(1000)
    assert (shop.catch_up().added, shop.phase()) == (1, "done")
    again = shop.migrate(resume=True)
    assert (again.finished_before, again.updated, again.added) == (True, 0, 0)


def test_a_resume_of_a_finished_migration_points_to_a_catch_up(shop: Shop) -> None:
    shop.migrate()
    with pytest.raises(InputError, match="is finished. Since then the options were .* Use the same options in every"):
        shop.migrate(resume=True, options=Options(drop_payload=True))
    shop.execute("alter table items rename column title to name")
    with pytest.raises(InputError, match=r"Since then the content of the source was payload=.* rename them back first"):
        shop.migrate(resume=True)


def test_a_resume_compares_the_source_with_what_the_last_catch_up_read(shop: Shop) -> None:
    shop.migrate()
    shop.execute("delete from items where id = 5")
    for key in (1000, 1001):
        shop.insert(key)
    changed = shop.migrate(resume=True)
    assert (changed.finished_before, changed.added, changed.deleted) == (True, 2, 1)
    assert changed.changed_ids is not None
    assert (shop.catch_up().deleted, shop.catch_up().deleted) == (1, 0)
    again = shop.migrate(resume=True)
    assert (again.rows, again.added, again.deleted, again.changed_ids) == (N + 1, 0, 0, None)


@pytest.mark.parametrize("chosen", [{"skip_null": True}, {"skip_bad": True}])
@pytest.mark.parametrize("repeats", [True, False])
def test_a_resume_leaves_out_the_rows_that_the_last_catch_up_left_out(
    shop: Shop, chosen: dict[str, Any], repeats: bool
) -> None:
    shop.migrate()
    shop.execute("insert into items (id) values (1000)")
    shop.insert(1001)
    assert shop.catch_up(options=Options(page_rows=50, **chosen)).added == 1
    again = shop.migrate(resume=True, options=Options(page_rows=50, **(chosen if repeats else {})))
    assert (again.rows, again.added, again.changed_ids) == (N + 1, 0, None)


def test_a_finished_column_in_which_something_was_edited_is_not_said_to_be_rolled_back(shop: Shop) -> None:
    shop.migrate()
    edited = np.eye(D_OUT)[0].tolist()
    shop.execute(f"update items set embedding_new = '{edited}' where id = 5")
    with pytest.raises(InterlinguaError, match=r"namely id 5\. .* this migration as finished\. catch_up") as caught:
        shop.migrate(resume=True)
    assert "undo the migration" not in str(caught.value)


def test_rows_that_a_condition_leaves_out_later_are_not_deleted_from_the_source(shop: Shop) -> None:
    chosen = Options(page_rows=50, where="id < 100")
    shop.migrate(options=chosen)
    shop.execute("update items set id = 500 where id = 7")
    done = shop.catch_up(delete_vanished=True)
    assert (done.deleted, done.removed) == (1, 0)
    assert shop.execute("select count(*) from items")[0][0] == N


def test_rows_that_get_no_vector_are_counted_in_the_plan(shop: Shop) -> None:
    chosen = Options(page_rows=50, where="id < 100")
    with shop.stores("embedding", "embedding_new") as (old, new):
        made = plan(translator(), old, new, chosen)
    expected = "20 rows of the collection stay without a vector in"
    assert any(expected in note and "embedding_new" in note for note in made.notes), made.notes
    assert any(expected in note for note in shop.migrate(options=chosen).plan.notes)
    assert shop.count("embedding_new") == 100


def test_a_plan_for_all_rows_or_a_new_table_counts_no_row_without_a_vector(shop: Shop) -> None:
    with shop.stores("embedding", "embedding_new") as (old, new):
        assert not any("without a vector" in note for note in plan(translator(), old, new, SMALL).notes)
    with shop.stores("embedding", "v") as (old, _), open_store(f"{shop.address}#moved.embedding") as new:
        chosen = Options(where="id < 100")
        assert not any("without a vector" in note for note in plan(translator(), old, new, chosen).notes)
