"""PostgreSQL as people have it: their keys, policies, triggers, pools, limits and types."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator
from interlingua.stores import Records, Store, open_store
from interlingua.stores._documents import same_payload
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options, plan
from stores.migrations import D_IN, assert_migrated, fill, translator, unit, whole
from stores.servers import pgbouncer as pgbouncer
from stores.servers import postgres as postgres

pytestmark = [pytest.mark.store, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
Run = Callable[..., Any]


@pytest.fixture
def db(postgres: str, postgres_server: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(host=postgres_server, user="postgres", dbname="tests", autocommit=True) as connection:
        yield connection


@pytest.fixture
def run(postgres: str, tmp_path: Path) -> Run:
    """Return what migrates between two names of the database, or from one into a file."""

    def go(
        source: str, target: str, *, base: str = postgres, resume: bool = False, on_rows: Any = None, **more: Any
    ) -> Any:
        options = Options(**{"page_rows": 50, **more})
        with open_store(base + source) as old, open_store(base + target if target[0] == "#" else target) as new:
            return migrate(
                translator(), old, new, journal=tmp_path / "j", options=options, resume=resume, on_rows=on_rows
            )

    return go


@pytest.fixture
def at() -> Iterator[Callable[[str], Store]]:
    """Return what opens a store that is closed after the test."""
    stores: list[Store] = []

    def open_one(address: str) -> Store:
        stores.append(open_store(address))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def put(db: Any, table: str, rows: list[tuple[Any, ...]], seed: int = 3) -> None:
    """Insert rows, each followed by a vector."""
    marks = ", ".join(["%s"] * (len(rows[0]) + 1))
    vectors = unit(len(rows), D_IN, seed).tolist()
    with db.cursor() as cursor:
        cursor.executemany(
            f"insert into {table} values ({marks})", [(*row, str(v)) for row, v in zip(rows, vectors, strict=True)]
        )


def wrong(db: Any, table: str, old: str = "old", new: str = "new") -> int:
    """Return how many rows do not hold the translation of their own vector."""
    rows = db.execute(f"select {old}::text, {new}::text from {table} where {new} is not null").fetchall()
    x, y = (np.array([json.loads(row[k]) for row in rows], np.float32) for k in (0, 1))
    return int((np.abs(translator().translate(x) - y).max(axis=1) > 1e-4).sum())


# Keys.

COMPOSITE: dict[str, tuple[str, Callable[[int], Any]]] = {
    "numbers": ("int", lambda i: i % 3),
    "text": ("text", lambda i: ['a "quoted"', "ä,b]", "\\ '"][i % 3]),
    "uuid": ("uuid", lambda i: f"00000000-0000-4000-8000-{i % 3:012x}"),
    "time": ("timestamptz", lambda i: f"2024-01-0{1 + i % 3} 00:00:00.123456+05"),
    "decimal": ("numeric(30,3)", lambda i: f"1234567890123456789012345.{i % 3}00"),
    "bytes": ("bytea", lambda i: bytes([0, 255, i % 3])),
    "real": ("real", lambda i: 0.1 + i % 3),
    "boolean": ("boolean", lambda i: i % 2 == 0),
    "padded": ("char(4)", lambda i: "abc"[i % 3]),
    "list": ("int[]", lambda i: [i % 3, 7]),
    "document": ("jsonb", lambda i: ['"a"', "null", '{"a": [1]}'][i % 3]),
    "range": ("tstzrange", lambda i: f"[2024-01-0{1 + i % 3}, 2024-01-05)"),
}


@pytest.mark.parametrize("kind", COMPOSITE)
@pytest.mark.parametrize("where", ["beside", "new table"])
def test_a_key_of_several_columns_is_used_whole(kind: str, where: str, db: Any, run: Run) -> None:
    definition, value = COMPOSITE[kind]
    db.execute(f"create table docs (tenant {definition}, id int, old vector({D_IN}), primary key (tenant, id))")
    put(db, "docs", [(value(i), i // (2 if kind == "boolean" else 3)) for i in range(240)])
    if where == "beside":
        run("#docs.old", "#docs.new")
        assert wrong(db, "docs") == 0
        assert db.execute("select count(*), count(new) from docs").fetchone() == (240, 240)
        return
    run("#docs.old", "#copy.new")
    assert wrong(db, "docs join copy using (tenant, id)") == 0
    assert db.execute("select count(*) from docs join copy using (tenant, id)").fetchone() == (240,)
    key = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'copy'::regclass and contype = 'p'"
    assert db.execute(key).fetchone() == ("PRIMARY KEY (tenant, id)",)


def test_a_key_of_several_columns_goes_into_another_store(
    at: Callable[[str], Store], db: Any, run: Run, postgres: str, tmp_path: Path
) -> None:
    db.execute(f"create table docs (tenant int, id int, old vector({D_IN}), primary key (tenant, id))")
    put(db, "docs", [(i % 2, i // 2) for i in range(120)])
    rows = whole(at(f"{postgres}#docs.old"))
    assert rows.ids.to_pylist()[:2] == ["[0, 0]", "[0, 1]"]
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    run("#docs.old", f"duckdb://{tmp_path}/new.duckdb#docs.new")
    with open_store(f"duckdb://{tmp_path}/new.duckdb#docs.new") as target:
        assert_migrated(rows, target)


def test_an_interrupted_copy_of_a_composite_key_is_resumed(db: Any, run: Run) -> None:
    db.execute(f"create table docs (tenant text, id int, old vector({D_IN}), primary key (tenant, id))")
    put(db, "docs", [("ab"[i % 2], i // 2) for i in range(240)])
    with pytest.raises(KeyboardInterrupt):
        run("#docs.old", "#docs.new", on_rows=stop_after(100))
    assert run("#docs.old", "#docs.new", resume=True).resumed_from == 100
    assert wrong(db, "docs") == 0


def stop_after(rows: int) -> Any:
    def stop(phase: str, done: int, of: int) -> None:
        if phase == "copying" and done == rows:
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize(
    ("table", "address"),
    [
        ("create table docs (tenant int, id int, old vector({d}))", "#docs.old"),
        ("create table docs (tenant int, id int, old vector({d}), primary key (tenant, id))", "id#docs.old"),
        ("create table docs (tenant int, id int, old vector({d}), unique (tenant, id))", "#docs.old"),
        ("create table base (tenant int, id int, old vector({d}));"
            "create view docs as select * from base", "#docs.old"),
        # A primary key says nothing of the rows of tables that inherit.
        ("create table docs (tenant int, id int primary key, old vector({d}));"
            "create table more () inherits (docs)", "#docs.old"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dry", [True, False])
def test_repeated_ids_are_refused_with_two_rows_named(
    at: Callable[[str], Store], table: str, address: str, dry: bool, db: Any, postgres: str, tmp_path: Path
) -> None:
    db.execute(table.format(d=D_IN))
    name = "base" if "base" in table else "docs"
    put(db, name, [(1, i) for i in range(60)])
    put(db, "more" if "more" in table else name, [(2, 17)], seed=4)
    message = "id is not unique: 2 rows have the id 17" + (
        "" if name == "base" else r", for example ctid \(\d+,\d+\) of"
    )
    source = f"{postgres}&id={address}" if address.startswith("id") else postgres + address
    old, new = at(source), at(f"{postgres}#docs.new")
    with pytest.raises(InputError, match=message):
        plan(translator(), old, new) if dry else migrate(translator(), old, new, journal=tmp_path / "j")
    assert list(tmp_path.iterdir()) == []
    columns = "select count(*) from pg_attribute where attrelid = 'docs'::regclass and attname = 'new'"
    assert db.execute(columns).fetchone() == (0,)


def test_columns_can_be_named_as_a_key(at: Callable[[str], Store], db: Any, postgres: str, tmp_path: Path) -> None:
    db.execute(f"create table docs (tenant int, id int, old vector({D_IN}))")
    put(db, "docs", [(i % 2, i // 2) for i in range(120)])
    old, new = (at(f"{postgres}&id=tenant,id#docs.{name}") for name in ("old", "new"))
    migrate(translator(), old, new, journal=tmp_path / "j")
    assert wrong(db, "docs") == 0


def test_null_in_a_key_that_was_named_is_refused(db: Any, postgres: str) -> None:
    db.execute(f"create table docs (tenant int, id int, old vector({D_IN}))")
    put(db, "docs", [(i % 2 or None, i // 2) for i in range(60)])
    for key, named in (("tenant,id", "'tenant', 'id' are null"), ("tenant", "'tenant' are null")):
        with open_store(f"{postgres}&id={key}#docs.old") as old, pytest.raises(InputError, match=f"30 ids in {named}"):
            old.info()


KEYS = {
    "smallint": [-3, -1, *range(58)],
    "bigint": [-(2**63), 2**63 - 1, *range(58)],
    "numeric(40,2)": [f"{10**30 + i}.10" for i in range(60)],
    "uuid": [f"00000000-0000-4000-8000-{i:012x}" for i in range(60)],
    "timestamptz": [f"2024-03-31 0{i // 10}:{i:02}:00.000001+02" for i in range(60)],
    "timestamp": ["infinity", "0044-03-15 12:00:00 BC", *(f"2024-01-01 00:{i:02}:00" for i in range(58))],
    "date": [f"20{i:02}-01-01" for i in range(60)],
    "bytea": [bytes([i, 0, 255]) for i in range(60)],
    "double precision": ["NaN", "-Infinity", *(i / 7 for i in range(58))],
    "interval": [f"{i} hours {i} seconds" for i in range(60)],
    "inet": [f"10.0.0.{i}" for i in range(60)],
    "boolean": [True, False],
    "varchar(20)": [f"é'\"{i}\\" for i in range(60)],
    "char(5)": [f"k{i}" for i in range(60)],
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_of_any_type_keeps_its_rows(
    at: Callable[[str], Store], kind: str, db: Any, postgres: str, run: Run, tmp_path: Path
) -> None:
    db.execute("alter database tests set timezone = 'Asia/Kolkata'; alter database tests set datestyle = 'German'")
    db.execute(f"create table docs (key {kind} primary key, old vector({D_IN}))")
    put(db, "docs", [(value,) for value in KEYS[kind]])
    n = len(KEYS[kind])
    run("#docs.old", "#copy.new", page_rows=7)
    (tmp_path / "j").unlink()
    assert db.execute("select count(*) from docs d join copy c on d.key = c.id").fetchone() == (n,)
    same = "select atttypid from pg_attribute where attnum = 1 and attrelid = '{}'::regclass"
    assert db.execute(same.format("docs")).fetchone() == db.execute(same.format("copy")).fetchone()
    assert wrong(db, "docs d join copy c on d.key = c.id") == 0
    run("#docs.old", str(tmp_path / "new.parquet"), page_rows=7)
    (tmp_path / "j").unlink()
    assert_migrated(whole(at(f"{postgres}#docs.old")), at(str(tmp_path / "new.parquet")))
    run("#docs.old", "#docs.new", page_rows=7)
    assert wrong(db, "docs") == 0


def test_whole_numbers_without_sign_become_bigint_or_are_refused(
    at: Callable[[str], Store], db: Any, postgres: str, tmp_path: Path
) -> None:

    small = fill(at("memory://pg#small"), pa.array(range(60), pa.uint64()), None)
    fill(at("memory://pg#large"), pa.array([*range(59), 2**64 - 1], pa.uint64()), None)
    with open_store(f"{postgres}#small.v") as target:
        migrate(translator(), at("memory://pg#small"), target, journal=tmp_path / "j")
        assert_migrated(small, target)
    assert db.execute("select pg_typeof(id)::text from small limit 1").fetchone() == ("bigint",)
    with open_store(f"{postgres}#large.v") as target:
        with pytest.raises(InputError, match="the id 18446744073709551615 is too large"):
            migrate(translator(), at("memory://pg#large"), target, journal=tmp_path / "k")
        assert not target.exists()
        options = Options(ids_as_text=True)
        migrate(translator(), at("memory://pg#large"), target, journal=tmp_path / "k", options=options)
    assert db.execute("select id from large order by length(id) desc limit 1").fetchone() == ("18446744073709551615",)


def test_a_payload_column_named_like_the_ids_stays_payload(
    at: Callable[[str], Store], db: Any, postgres: str, run: Run, tmp_path: Path
) -> None:
    db.execute(f"create table docs (key text primary key, id int, old vector({D_IN}))")
    put(db, "docs", [(f"k{i}", 59 - i) for i in range(60)])
    run("#docs.old", "#copy.new")
    assert db.execute(
        "select count(*) from docs d join copy c on d.key = c.interlingua_id and d.id = c.id"
    ).fetchone() == (60,)
    rows = whole(at(f"{postgres}#docs.old"))
    assert_migrated(rows, at(f"{postgres}#copy.new"))


# Policies, triggers, partitions, pools and limits.


@pytest.mark.parametrize("force", [False, True])
def test_a_policy_that_hides_rows_is_an_error_and_no_subset(force: bool, db: Any, postgres: str, run: Run) -> None:
    db.execute("drop role if exists reader_b; create role reader_b login")
    db.execute(f"create table docs (id int primary key, owner text, old vector({D_IN}))")
    put(db, "docs", [(i, "a" if i % 4 else "b") for i in range(40)])
    db.execute("alter table docs enable row level security; create policy own on docs using (owner = 'b')")
    db.execute("create view open_docs as select * from docs")
    db.execute("grant select on docs, open_docs to reader_b; grant create on schema public to reader_b")
    if force:
        db.execute("alter table docs force row level security; alter table docs owner to reader_b")
    base = postgres.replace("postgres@", "reader_b@")
    with pytest.raises(InputError, match="row-level security policy.*A policy hides rows"):
        run("#docs.old", f"{postgres}#copy.new", base=base)
    run("#docs.old", "#copy.new")
    assert wrong(db, "docs join copy using (id)") == 0


TOUCH = """create table queue (id int);
create function touch() returns trigger language plpgsql as $$ begin
  new.updated_at = clock_timestamp(); insert into queue values (new.id); return new; end $$;
create trigger touch before update on docs for each row execute function touch()"""


@pytest.fixture
def touched(db: Any) -> Any:
    db.execute(
        "create table docs (id int primary key, updated_at timestamptz default '2020-01-01', title text, "
        f"old vector({D_IN}))"
    )
    put(db, "docs", [(i, "2020-01-01", f"t{i}") for i in range(200)])
    db.execute(TOUCH)
    return lambda: db.execute(
        "select count(*) filter (where updated_at > '2021-01-01'), (select count(*) from queue) from docs"
    ).fetchone()


def test_triggers_are_listed_and_not_fired_unasked(
    at: Callable[[str], Store], touched: Any, db: Any, postgres: str, run: Run
) -> None:
    db.execute("create trigger other before update of title on docs for each row execute function touch()")
    db.execute("create trigger off before update on docs for each row execute function touch()")
    db.execute("alter table docs disable trigger off")
    with open_store(f"{postgres}#docs.old") as old, open_store(f"{postgres}#docs.new") as new:
        found = plan(translator(), old, new)
        assert found.triggers == ("trigger touch on docs",)
        assert any("200 rows is rewritten" in note and "2 indexes" not in note for note in found.notes)
        assert plan(translator(), old, at(f"{postgres}#copy.new")).triggers == ()
    with pytest.raises(InputError, match="fires trigger touch on docs. Name a new table"):
        run("#docs.old", "#docs.new")
    assert touched() == (0, 0)


@pytest.mark.usefixtures("touched")
def test_a_trigger_that_skips_updates_is_noticed(db: Any, run: Run) -> None:
    db.execute("create function skip() returns trigger language plpgsql as $$ begin return null; end $$")
    db.execute("create trigger skip before update on docs for each row execute function skip()")
    said = r"only 0 of 50 rows matched\. Were rows deleted, or does a trigger skip updates\? Stop the writes and go on"
    with pytest.raises(InputError, match=said):
        run("#docs.old", "#docs.new", triggers="fire")


def test_triggers_are_skipped_or_fired_as_asked(touched: Any, db: Any, run: Run, tmp_path: Path) -> None:
    run("#docs.old", "#docs.new", triggers="skip")
    assert (wrong(db, "docs"), touched()) == (0, (0, 0))
    rollback(tmp_path / "j")
    (tmp_path / "j").unlink()
    run("#docs.old", "#docs.new", triggers="fire")
    assert (wrong(db, "docs"), touched()) == (0, (200, 200))


def test_a_migration_that_changed_the_table_itself_is_resumed(touched: Any, db: Any, run: Run) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("#docs.old", "#docs.new", triggers="fire", on_rows=stop_after(100))
    assert touched() == (100, 100)
    assert run("#docs.old", "#docs.new", triggers="fire", resume=True).resumed_from == 100
    assert wrong(db, "docs") == 0
    assert db.execute("select count(new) from docs").fetchone() == (200,)


def test_triggers_that_cannot_be_skipped_are_refused(touched: Any, db: Any, postgres: str, run: Run) -> None:
    db.execute("alter table docs enable always trigger touch")
    with pytest.raises(InputError, match="touch on docs fires always and cannot be skipped"):
        run("#docs.old", "#docs.new", triggers="skip")
    db.execute("alter table docs enable trigger touch")
    db.execute("drop role if exists plain; create role plain login; alter table docs owner to plain")
    db.execute("grant create on schema public to plain")
    with pytest.raises(InputError, match="cannot skip triggers.*Grant the right"):
        run("#docs.old", "#docs.new", triggers="skip", base=postgres.replace("postgres@", "plain@"))


def test_a_rule_counts_as_a_trigger(db: Any, run: Run) -> None:
    db.execute(f"create table log (id int); create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(60)])
    db.execute("create rule noted as on update to docs do also insert into log values (new.id)")
    with pytest.raises(InputError, match="fires rule noted on docs"):
        run("#docs.old", "#docs.new")


def test_a_partitioned_table_gets_a_column_and_an_index_on_each_part(db: Any, run: Run, tmp_path: Path) -> None:
    db.execute(
        f"create table docs (language varchar(2), id int8, old vector({D_IN}), primary key (language, id)) "
        "partition by list (language)"
    )
    for language in ("en", "es"):
        db.execute(f"create table docs_{language} partition of docs for values in ('{language}')")
    put(db, "docs", [(("en", "es")[i % 2], i // 2) for i in range(240)])
    run("#docs.old", "#docs.new")
    assert wrong(db, "docs") == 0
    indexed = "select count(*) from pg_indexes where indexdef like '%%hnsw%%' and tablename in ('docs_en', 'docs_es')"
    assert db.execute(indexed).fetchone() == (2,)
    rollback(tmp_path / "j")
    (tmp_path / "j").unlink()
    run("#docs.old", "#copy.new")
    assert wrong(db, "docs join copy using (language, id)") == 0
    db.execute(
        "create function nothing() returns trigger language plpgsql as $$ begin return new; end $$;"
        "create trigger inner_one before update on docs_es for each row execute function nothing()"
    )
    (tmp_path / "j").unlink()
    with pytest.raises(InputError, match="trigger inner_one on docs_es"):
        run("#docs.old", "#docs.newer")


def test_a_table_under_another_spelling_is_refused_in_the_plan(
    at: Callable[[str], Store], db: Any, postgres: str
) -> None:
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(60)])
    with pytest.raises(OutputExistsError, match=r"exists(, and nothing is overwritten|\. A vector can be added)"):
        plan(translator(), at(f"{postgres}#docs.old"), at(f"{postgres}#public.docs.new"))


def test_a_partition_gets_no_column_of_its_own(db: Any, run: Run) -> None:
    db.execute(f"create table whole (id int primary key, old vector({D_IN})) partition by range (id)")
    db.execute("create table part partition of whole default")
    put(db, "whole", [(row,) for row in range(20)])
    with pytest.raises(InputError, match="is a partition, which has the columns of its parent. Name the parent"):
        run("#part.old", "#part.new")


def test_the_plan_names_a_publication_of_the_schema(db: Any, at: Callable[[str], Store], postgres: str) -> None:
    db.execute(f"create table items (id int primary key, old vector({D_IN}))")
    put(db, "items", [(row,) for row in range(20)])
    db.execute("create publication everything for tables in schema public")
    made = plan(translator(), at(f"{postgres}#items.old"), at(f"{postgres}#items.new"), Options())
    assert any("The table is published" in note for note in made.notes)


def test_a_view_gets_no_column(db: Any, run: Run) -> None:
    db.execute(f"create table docs (id int primary key, old vector({D_IN})); create view v as select * from docs")
    put(db, "docs", [(i,) for i in range(60)])
    with pytest.raises(InputError, match="is not a table, so no column can be added"):
        run("#v.old", "#v.new")


def test_only_an_owner_adds_a_column(db: Any, postgres: str, run: Run) -> None:
    db.execute("drop role if exists plain; create role plain login")
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(60)])
    db.execute("grant all on docs to plain")
    with pytest.raises(InputError, match="only the owner of the table may add a column"):
        run("#docs.old", "#docs.new", base=postgres.replace("postgres@", "plain@"))


@pytest.mark.parametrize("target", ["#docs.new", "#copy.new"])
def test_a_pool_in_transaction_mode_is_no_obstacle(target: str, db: Any, pgbouncer: str, run: Run) -> None:
    db.execute(f"create table docs (id int primary key, body text, old vector({D_IN}))")
    put(db, "docs", [(i, f"b{i}") for i in range(600)])
    run("#docs.old", target, base=pgbouncer)
    both = "docs" if target == "#docs.new" else "docs join copy using (id)"
    assert (wrong(db, both), db.execute("select count(new) from " + both).fetchone()) == (0, (600,))
    assert db.execute("select count(*) from pg_indexes where indexdef like '%%hnsw%%'").fetchone() == (1,)
    reset = "select count(*) from pg_stat_activity where state = 'idle in transaction'"
    assert db.execute(reset).fetchone() == (0,)


def test_policies_hold_behind_a_pool(db: Any, pgbouncer: str, run: Run) -> None:
    db.execute("drop role if exists reader_b; create role reader_b login")
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(40)])
    db.execute("alter table docs enable row level security; create policy own on docs using (id < 10)")
    db.execute("grant select on docs to reader_b")
    with pytest.raises(InputError, match="A policy hides rows"):
        run("#docs.old", "#copy.new", base=pgbouncer.replace("postgres@", "reader_b@"))


@pytest.mark.parametrize("target", ["#docs.new", "#copy.new"])
def test_time_limits_of_the_server_do_not_end_a_migration(target: str, db: Any, run: Run) -> None:
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(3000)])
    # Slow enough to be cut, at a millisecond a row; the limit is far above what a short statement takes under load.
    db.execute("create function slow() returns boolean language sql volatile as 'select pg_sleep(0.0001) is not null'")
    for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
        db.execute(f"alter database tests set {name} = '1s'")
    run("#docs.old", target, page_rows=500, where="slow()")
    assert wrong(db, "docs" if target == "#docs.new" else "docs join copy using (id)") == 0


# Types and widths.


@pytest.fixture
def elsewhere(db: Any) -> None:
    db.execute('drop extension vector; create schema "Ext\'s"; create extension vector schema "Ext\'s"')


@pytest.mark.parametrize("target", ["#docs.new", "#copy.new"])
def test_an_extension_in_a_schema_of_its_own(
    at: Callable[[str], Store], target: str, elsewhere: None, db: Any, postgres: str, run: Run
) -> None:
    db.execute(f'create table docs (id int primary key, old "Ext\'s".vector({D_IN}))')
    put(db, "docs", [(i,) for i in range(60)])
    run("#docs.old", target)
    assert wrong(db, "docs" if target == "#docs.new" else "docs join copy using (id)") == 0
    assert at(postgres + target).info().metric == "cosine"


def test_a_database_without_the_extension_is_refused_as_target(db: Any, postgres: str, run: Run) -> None:
    db.execute("create table docs (id int primary key, old real[]); drop extension vector")
    db.execute("insert into docs select i, array_fill(i + 1, array[12])::real[] from generate_series(0, 9) i")
    with pytest.raises(InputError, match="Run create extension vector there first"):
        run("#docs.old", "#copy.new")


@pytest.mark.parametrize("target", ["#docs.new", "#copy.new", "new.parquet"])
@pytest.mark.parametrize(
    "kind",
    [
        "vector", "halfvec", f"halfvec({D_IN})", "real[]", "double precision[]", f"real[{D_IN}]",
        "embedding", "embedding_of_embedding", "numbers",
    ],
)  # fmt: skip
def test_vectors_of_every_type(
    at: Callable[[str], Store], kind: str, target: str, db: Any, postgres: str, run: Run, tmp_path: Path
) -> None:
    db.execute(f"create domain embedding as vector({D_IN}) check (vector_norm(value) > 0)")
    db.execute("create domain embedding_of_embedding as embedding; create domain numbers as float8[] not null")
    db.execute(f"create table docs (id int primary key, title text, old {kind}, other real[])")
    for i, row in enumerate(unit(60, D_IN, 3).tolist()):
        text = str(row) if "[]" not in kind and kind != "numbers" and "real" not in kind else "{" + str(row)[1:-1] + "}"
        db.execute("insert into docs values (%s, %s, %s, '{1,2}')", (i, f"t{i}", text))
    run("#docs.old", str(tmp_path / target) if "." in target and "#" not in target else target)
    source = whole(at(f"{postgres}#docs.old")).in_order_of(pa.array(range(60), pa.int32()), "test")
    # What was read in half precision is translated in single precision.
    source = Records(source.ids, np.asarray(source.vectors, np.float32), source.payload)
    new = at(postgres + target if "#" in target else str(tmp_path / target))
    stored = new.fetch(source.ids)
    assert stored.payload is not None
    assert same_payload(stored.payload.select(["title", "other"]), source.payload)
    np.testing.assert_allclose(stored.vectors, translator().translate(source.vectors), atol=1e-5)
    assert new.info().count == 60


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'{1,2}'", "the vector of id 7 has another width than 12"),
        (f"'{{null{',1' * (D_IN - 1)}}}'", "the vector of id 7 has another width than 12, or holds null"),
        (f"array_fill(1, array[{D_IN // 2}, 2])::real[]", "the array of id 7 has several dimensions|another width"),
        ("'{}'", "the vector of id 7 has another width"),
        ("null", "the vector of id 7 is null; 1 row has no vector and 9 have one"),
    ],
)
def test_an_array_that_is_no_vector_is_named(value: str, message: str, db: Any, run: Run, tmp_path: Path) -> None:
    db.execute("create table docs (id int primary key, old real[])")
    db.execute(f"insert into docs select i, array_fill(i + 1, array[{D_IN}])::real[] from generate_series(0, 9) i")
    db.execute(f"update docs set old = {value} where id = 7")
    with pytest.raises(InputError, match=message):
        run("#docs.old", "#copy.new")
    assert list(tmp_path.iterdir()) == []


def test_an_array_beside_a_vector_is_payload_unless_named(at: Callable[[str], Store], db: Any, postgres: str) -> None:
    db.execute(f"create table docs (id int primary key, scores real[], v vector({D_IN}))")
    put(db, "docs", [(i, [1.5, 2.5]) for i in range(30)])
    info = at(f"{postgres}#docs").info()
    assert (info.vector_name, info.schema.names) == ("v", ["scores"])  # type: ignore[union-attr]
    assert at(f"{postgres}#docs.scores").info().d == 2
    with pytest.raises(InputError, match="vector columns are: v"):
        at(f"{postgres}#docs.nothing").info()


def wide(d: int) -> Translator:
    frame = np.linalg.qr(np.random.default_rng(7).standard_normal((d, D_IN)))[0].T.astype(np.float32)
    forward = AffineMap(np.zeros(D_IN, np.float32), np.ascontiguousarray(frame), np.zeros(d, np.float32))
    backward = AffineMap(np.zeros(d, np.float32), np.ascontiguousarray(frame.T), np.zeros(D_IN, np.float32))
    profiles = SpaceProfile.of(unit(2000, D_IN, 1)), SpaceProfile.of(unit(2000, d, 2))
    return Translator(forward, backward, profiles, {"verdict": {"status": "aligned", "score": 1.0, "reasons": []}})


@pytest.mark.parametrize(
    ("d", "note", "scans"),
    [
        (2000, None, True),
        (2001, r"orders by v::halfvec\(2001\) <=> \$1::halfvec\(2001\)", True),
        (4000, r"orders by v::halfvec\(4000\)", True),
        (4001, "no index for 4,001 columns", False),
    ],
)
def test_a_plan_says_what_an_index_can_do_and_search_uses_it(
    d: int, note: str | None, scans: bool, db: Any, postgres: str, tmp_path: Path
) -> None:
    db.execute("alter database tests set enable_seqscan = off")
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(100)])
    with open_store(f"{postgres}#docs.old") as old, open_store(f"{postgres}#copy.v") as new:
        done = migrate(wide(d), old, new, journal=tmp_path / "j")
        found = [sentence for sentence in done.plan.notes if "index" in sentence]
        assert found == [] if note is None else re.search(note, found[0])
        db.execute("select pg_stat_reset()")
        rows = whole(new)
        hits = new.search(rows.vectors[5:7], 50)
        assert [len(hit.ids) for hit in hits] == [50, 50]
        exact = -np.sort(-(rows.vectors[5] @ rows.vectors.T))[:50]
        np.testing.assert_allclose(hits[0].scores, exact, atol=1e-3)
    # The server's counters are written when a session ends.
    query = "select coalesce(sum(idx_scan), 0) from pg_stat_user_indexes where indexrelname not like '%%pkey'"
    deadline, used = time.monotonic() + (10 if scans else 1), 0
    while not used and time.monotonic() < deadline:
        used = int(db.execute(query).fetchone()[0])
        time.sleep(0.2)
    assert bool(used) == scans


def test_more_neighbors_than_the_index_returns_by_itself(db: Any, postgres: str) -> None:
    with open_store(f"{postgres}#things.v") as store:
        fill(store, pa.array(range(2500)), None)
        db.execute("alter database tests set enable_seqscan = off")
    with open_store(f"{postgres}#things.v") as store:
        for k in (1, 41, 250, 1001, 2400):
            assert len(store.search(unit(1, D_IN, 9), k)[0].ids) == k


def test_types_without_a_declared_length_are_not_cut(db: Any, run: Run) -> None:
    db.execute("create domain code as char(3)")
    db.execute(
        f"create table docs (id int primary key, a char(5), b bit(4), c bit varying, d varchar(7), e code, old "
        f"vector({D_IN}))"
    )
    put(db, "docs", [(i, "abcde", "1010", "110011", "xyz", "abc") for i in range(60)])
    run("#docs.old", "#copy.new")
    same = (
        "select count(*) from docs join copy using (id) where docs.a = copy.a and docs.b = copy.b and docs.c = copy.c"
    )
    assert db.execute(f"{same} and docs.d = copy.d and docs.e = copy.e").fetchone() == (60,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a\0b", "c"], "column 'x' of id 0 holds a NUL character"),
        ([{"a": "b\0"}, {"a": "c"}], "column 'x' of id 0 holds a NUL, NaN, infinity or bytes"),
        ([[1.0], [float("nan")]], "column 'x' of id 1 holds a NUL, NaN, infinity or bytes"),
        ([[b"a"], [b"b"]], "column 'x' of id 0 holds a NUL, NaN, infinity or bytes"),
        ([dt.timedelta(1), None], "column 'x' of id 0 is a duration"),
        (pa.array([1000, 1001], pa.timestamp("ns")), "column 'x' of id 1 has nanoseconds"),
        (pa.array([1000, 1001], pa.time64("ns")), "column 'x' of id 1 holds a time with nanoseconds or outside the"),
        (pa.array([0, 2**62], pa.timestamp("us")), "column 'x' of id 1 holds a time with nanoseconds or outside the"),
        (pa.array([0, 2**30], pa.date32()), "column 'x' of id 1 holds a time with nanoseconds or outside the"),
        (pa.array([[0], [2**62]], pa.list_(pa.timestamp("us"))), "column 'x' of id 1 holds a time with nanoseconds or"),
    ],
)
def test_payload_that_is_not_taken_is_refused_beforehand(
    at: Callable[[str], Store], values: list[Any], message: str, postgres: str, tmp_path: Path
) -> None:

    column = values if isinstance(values, pa.Array) else pa.array(values)
    fill(at("memory://pg#docs"), pa.array(range(60)), pa.table({"x": pa.concat_arrays([column] * 30)}))
    with open_store(f"{postgres}#docs.v") as target:
        with pytest.raises(InputError, match=message):
            migrate(translator(), at("memory://pg#docs"), target, journal=tmp_path / "j")
        assert not target.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 1_700_000_000_123_456], pa.timestamp("us", "Europe/Berlin")),
        pa.array([0, 1_700_000_000_123_456], pa.timestamp("us", "+05:30")),
        pa.array([1000, None], pa.timestamp("ns")),
        pa.array([2**64 - 1, 0], pa.uint64()),
        pa.array([{"a": dt.datetime(2024, 3, 1, 12, 30, 15, 123456), "b": [dt.date(2024, 1, 1)]}, None]),
        pa.array([float("nan"), float("-inf")]),
        pa.array([dt.time(1, 2, 3, 4), None]),
        pa.array(["a", None]).dictionary_encode(),
    ],
)
def test_payload_that_is_kept_raises_no_alarm(
    values: pa.Array, at: Callable[[str], Store], postgres: str, tmp_path: Path
) -> None:

    fill(at("memory://pg#docs"), pa.array(range(60)), pa.table({"x": pa.chunked_array([values] * 30)}))
    migrate(translator(), at("memory://pg#docs"), at(f"{postgres}#docs.v"), journal=tmp_path / "j")
    assert at(f"{postgres}#docs.v").info().count == 60


@pytest.mark.parametrize(
    ("column", "message"),
    [("new", "payload has a column 'new'"), ("x" * 64, "name of a column: 1 to 63 bytes"), ("ctid", "system column")],
)
def test_a_payload_column_that_cannot_be_made(
    at: Callable[[str], Store], column: str, message: str, postgres: str, tmp_path: Path
) -> None:

    fill(at("memory://pg#docs"), pa.array(range(60)), pa.table({column: ["x"] * 60}))
    with open_store(f"{postgres}#docs.new") as target, pytest.raises(InputError, match=message):
        plan(translator(), at("memory://pg#docs"), target)


# Rows that are chosen.


def test_null_vectors_are_counted_and_left_out_as_asked(db: Any, postgres: str, run: Run, tmp_path: Path) -> None:
    db.execute(f"create table docs (tenant text, id int, old vector({D_IN}), primary key (tenant, id))")
    put(db, "docs", [("ab"[i % 2], i // 2) for i in range(200)])
    db.execute("update docs set old = null where id in (3, 90)")
    with open_store(f"{postgres}#docs.old") as old, open_store(f"{postgres}#docs.new") as new:
        found = plan(translator(), old, new)
        assert (found.rows, found.nulls) == (196, 4)
    with pytest.raises(InputError, match="4 rows have no vector and 196 have one.*skip_null=True"):
        run("#docs.old", "#docs.new")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        run("#docs.old", "#docs.new", skip_null=True, on_rows=stop_after(100))
    done = run("#docs.old", "#docs.new", skip_null=True, resume=True)
    assert (done.rows, done.plan.nulls) == (196, 4)
    assert db.execute("select count(*) from docs where (old is null) <> (new is null)").fetchone() == (0,)
    assert wrong(db, "docs") == 0
    listed = Path(done.skipped_ids)
    assert [json.loads(line) for line in listed.read_text().splitlines()] == [
        '["a", 3]',
        '["a", 90]',
        '["b", 3]',
        '["b", 90]',
    ]
    assert stat.S_IMODE(listed.stat().st_mode) == 0o600


@pytest.mark.parametrize("target", ["#docs.new", "#copy.new"])
def test_a_condition_chooses_rows(target: str, db: Any, run: Run) -> None:
    db.execute(f"create table docs (id int primary key, kind text, old vector({D_IN}))")
    put(db, "docs", [(i, "a%b {x}" if i % 2 else "c") for i in range(200)])
    done = run("#docs.old", target, where="kind = 'a%b {x}' or id < 10 -- and no more")
    both = "docs" if target == "#docs.new" else "docs join copy using (id)"
    assert (done.rows, wrong(db, both)) == (105, 0)
    chosen = f"select count(*), count(*) filter (where id % 2 = 1 or id < 10) from {both} where new is not null"
    assert db.execute(chosen).fetchone() == (105, 105)


@pytest.mark.parametrize(
    "condition",
    ["nothing = 1", "true) or (", "true); drop table docs; --", "true; drop table docs", "remove() > 0", ""],
)
def test_a_condition_that_is_none_is_refused_and_changes_nothing(condition: str, db: Any, run: Run) -> None:
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(30)])
    db.execute("create function remove() returns int language plpgsql as $$ begin delete from docs; return 1; end $$")
    if condition == "true) or (":
        condition = "true) or (1 = "
    with pytest.raises(InputError, match="cannot be read|one SQL condition is needed"):
        run("#docs.old", "#copy.new", where=condition)
    assert db.execute("select count(*) from docs").fetchone() == (30,)


def test_stores_that_cannot_choose_say_so(at: Callable[[str], Store], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": [1, 2], "vector": unit(2, D_IN, 3).tolist()}), tmp_path / "x.parquet")
    store: Store = at(str(tmp_path / "x.parquet"))
    with pytest.raises(InputError, match="Files cannot select rows. Leave where=... out"):
        store.restrict(where="id = 1")
    with pytest.raises(InputError, match="Leave skip_null=True out"):
        store.restrict(skip_null=True)


# Secrets.


def test_no_secret_is_shown_by_the_client_the_server_or_the_process(
    db: Any, postgres: str, postgres_server: str, tmp_path: Path
) -> None:
    secret = "qxzjkQXZ"
    (tmp_path / "pass").write_text(f"*:*:*:*:{secret}")
    (tmp_path / "pass").chmod(0o600)
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(30)])
    base = f"postgresql://postgres@/tests?host={postgres_server}&passfile={tmp_path}/pass&connect_timeout=5"
    program = f"""
import sys
from interlingua.stores import open_store
store = open_store({base + "#docs.old"!r})
store.info()
print(store._connection.execute("select application_name, query from pg_stat_activity").fetchall())
print(open("/proc/self/cmdline").read().split("\\0")[0])
print(store, store.url)
for bad in ({base.replace("/tests", "/nothing") + "#docs.old"!r}, "postgresql://nobody@localhost:1/x#t"):
    try:
        open_store(bad)
    except Exception as error:
        print(repr(error), error)
"""
    environment = os.environ | {"PGPASSWORD": secret, "PGSSLPASSWORD": secret}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert "interlingua" in ran.stdout
    assert "cannot be reached" in ran.stdout
    assert secret not in ran.stdout + ran.stderr


def test_a_server_that_says_no_is_an_error_of_ours(at: Callable[[str], Store], postgres_server: str) -> None:
    with pytest.raises(InterlinguaError, match="cannot be reached"):
        at(f"postgresql://postgres@/tests?host={postgres_server}&options=-c%20nothing=1#t.v")


def test_options_of_the_client_arrive(at: Callable[[str], Store], db: Any, postgres: str) -> None:
    db.execute(f"create schema shop; create table shop.docs (id int primary key, old vector({D_IN}))")
    put(db, "shop.docs", [(i,) for i in range(30)])
    address = f"{postgres}&options=-csearch_path%3Dshop,public&application_name=mine#docs.old"
    with open_store(address) as store:
        assert store.info().count == 30
        assert store._run("select current_setting('application_name')") == [("mine",)]  # type: ignore[attr-defined]
    assert at(f"{postgres}#shop.docs.old").info().d == D_IN


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date", "timestamp[]", "date[]"])
@pytest.mark.parametrize("value", ["infinity", "0044-03-15 BC", "20240-01-01", "2024-01-01"])
def test_times_beyond_those_of_python_are_kept(
    kind: str, value: str, at: Callable[[str], Store], db: Any, postgres: str, run: Run, tmp_path: Path
) -> None:
    db.execute(f"create table docs (id int primary key, at {kind}, old vector({D_IN}))")
    listed = f'{{"{value}"}}' if kind.endswith("[]") else value
    put(db, "docs", [(i, listed if i == 17 else None) for i in range(20)])
    run("#docs.old", "#copy.new", page_rows=7)
    assert db.execute("select count(*) from docs d join copy c using (id) where d.at = c.at").fetchone() == (1,)
    same = "select pg_typeof(d.at) = pg_typeof(c.at) from docs d join copy c using (id) limit 1"
    assert db.execute(same).fetchone() == (True,)
    (tmp_path / "j").unlink()
    run("#docs.old", str(tmp_path / "new.parquet"), page_rows=7)
    assert_migrated(whole(at(f"{postgres}#docs.old")), at(str(tmp_path / "new.parquet")))


def test_a_source_without_the_name_of_its_vectors_gets_no_second_column(db: Any, run: Run, tmp_path: Path) -> None:
    db.execute(f"create table docs (id int primary key, old vector({D_IN}))")
    put(db, "docs", [(i,) for i in range(20)])
    with pytest.raises(
        InputError, match=r"does not name its vectors, .* Write the source as postgresql://.*#docs\.old"
    ):
        run("#docs", "#docs.new")
    columns = "select count(*) from pg_attribute where attrelid = 'docs'::regclass and attnum > 0"
    assert db.execute(columns).fetchone() == (2,)
    assert not (tmp_path / "j").exists()
