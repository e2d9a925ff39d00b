"""What can be wrong with a real server, and what its own types are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError, InterlinguaError
from interlingua.stores import Store, open_store
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options
from stores.migrations import D_IN, assert_migrated, fill, translator, unit, whole
from stores.servers import postgres as postgres

pytestmark = pytest.mark.store
N = 300


@pytest.fixture
def db(postgres: str, postgres_server: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(host=postgres_server, user="postgres", dbname="tests", autocommit=True) as connection:
        yield connection


@pytest.fixture
def old(postgres: str) -> Iterator[Store]:
    with open_store(f"{postgres}#things.old") as store:
        fill(store, pa.array(range(N)), pa.table({"title": [f"t{i}" for i in range(N)]}))
        yield store


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("nothing.v", r"there is no such table, or this user may not read it; tables that this user may read are: \w+"),
        ("things.nothing", "vector columns are: old"),
        ("things.title", "vector columns are: old"),
        ("loose.v", "is empty; at least 1 row"),
        ("bare.v", "no id column"),
        ("holes.v", "the only row has no vector. Name a column or file"),
        ("gaps.v", "none of the 2 rows has a vector; at least one must have one. Name a column or file"),
        ("gaps.a", "none of the 2 rows has a vector; at least one must have one. Name a column or file"),
        ("secret.v", "permission denied"),
        ("hollow.v", "is empty"),
    ],
)
def test_a_source_that_cannot_be_read(
    names: str, message: str, db: Any, old: Store, postgres: str, tmp_path: Path
) -> None:
    db.execute("create table loose (id int primary key, v vector)")
    db.execute(f"create table bare (v vector({D_IN})); insert into bare values ('{[1.0] * D_IN}')")
    db.execute(f"create table holes (id int primary key, v vector({D_IN})); insert into holes values (1, null)")
    db.execute("create table gaps (id int primary key, v vector, a real[])")
    db.execute("insert into gaps values (1, null, null), (2, null, '{}')")
    db.execute(f"create table hollow (id int primary key, v vector({D_IN}))")
    db.execute(f"create table secret (id int primary key, v vector({D_IN}))")
    db.execute("drop role if exists guest; create role guest login; revoke all on secret from guest")
    user = "guest" if names == "secret.v" else "postgres"
    target = open_store(str(tmp_path / "new.parquet"))
    with (
        open_store(postgres.replace("postgres@", f"{user}@") + f"#{names}") as source,
        pytest.raises(InputError, match=message),
    ):
        migrate(translator(), source, target, journal=tmp_path / "j")
    assert list(tmp_path.iterdir()) == []


def test_a_right_that_was_revoked_stops_before_anything_is_made(
    db: Any, old: Store, postgres: str, tmp_path: Path
) -> None:
    db.execute("drop role if exists guest; create role guest login; grant select on things to guest")
    with open_store(postgres.replace("postgres@", "guest@") + "#new_things.v") as target:
        with pytest.raises(InputError, match="Grant the right"):
            migrate(translator(), old, target, journal=tmp_path / "j")
        assert not target.exists()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    with pytest.raises(InterlinguaError, match="cannot be reached"):
        open_store(f"postgresql://postgres@/db?host={tmp_path}#t.v")


def test_a_connection_cut_mid_batch_is_resumed(db: Any, old: Store, postgres: str, tmp_path: Path) -> None:
    rows, options = whole(old), Options(page_rows=20)
    with open_store(f"{postgres}#new_things.v") as target:

        def cut(phase: str, done: int, of: int) -> None:
            if phase == "copying" and done == 100:
                pid = target._connection.info.backend_pid  # type: ignore[attr-defined]
                db.execute("select pg_terminate_backend(%s)", [pid])

        with pytest.raises(InterlinguaError, match="Is the server up"):
            migrate(translator(), old, target, journal=tmp_path / "j", options=options, on_rows=cut)
    with open_store(f"{postgres}#new_things.v") as target:
        assert target.info().count == 100
        done = migrate(translator(), old, target, journal=tmp_path / "j", options=options, resume=True)
        assert done.resumed_from == 100
        assert_migrated(rows, target)


def test_a_schema_changed_meanwhile_is_refused(db: Any, old: Store, postgres: str, tmp_path: Path) -> None:
    options = Options(page_rows=20)
    with open_store(f"{postgres}#new_things.v") as target:

        def stop(phase: str, done: int, of: int) -> None:
            if phase == "copying" and done == 100:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            migrate(translator(), old, target, journal=tmp_path / "j", options=options, on_rows=stop)
        db.execute("alter table things add column more int")
        with pytest.raises(InputError, match="the content of the source was"):
            migrate(translator(), old, target, journal=tmp_path / "j", options=options, resume=True)
        rollback(tmp_path / "j", target=target)
        assert not target.exists()
    assert old.info().count == N


def test_a_column_beside_the_old_one_is_filled_indexed_and_dropped(
    db: Any, old: Store, postgres: str, tmp_path: Path
) -> None:
    rows = whole(old)
    with open_store(f"{postgres}#things.new") as target:
        done = migrate(translator(), old, target, journal=tmp_path / "j")
        assert done.plan.as_new_vector
        assert_migrated(rows, target)
        assert target.info().metric == "cosine"
        rollback(tmp_path / "j", target=target)
        assert not target.exists()
    np.testing.assert_array_equal(whole(old).vectors, rows.vectors)


def test_types_of_its_own_survive(db: Any, postgres: str, tmp_path: Path) -> None:
    db.execute("create type mood as enum ('sad', 'glad')")
    db.execute(
        f"""create table rich (id uuid primary key default gen_random_uuid(), v vector({D_IN}), m mood, n numeric,
            tags text[], j jsonb, b bytea, at timestamptz, price money, i interval, "odd ""name"" 50 %" int)"""
    )
    for row in unit(50, D_IN, 3).tolist():
        db.execute(
            'insert into rich (v, m, n, tags, j, b, at, price, i, "odd ""name"" 50 %%") values (%s, \'glad\', '
            "12345678901234567890.123, '{a,\"b c\"}', '{\"k\": [1, null]}', '\\x00ff', '2026-01-02 03:04:05+06', "
            "'12.5', '1 day', 7)",
            [str(row)],
        )
    with open_store(f"{postgres}#rich.v") as source, open_store(f"{postgres}#public.poor.w") as target:
        migrate(translator(), source, target, journal=tmp_path / "j")
    both = """select count(*) from rich join poor using (id) where rich.m = poor.m and rich.n = poor.n
        and rich.tags = poor.tags and rich.j = poor.j and rich.b = poor.b and rich.at = poor.at
        and rich.price = poor.price and rich.i = poor.i"""
    assert db.execute(both).fetchone()[0] == 50
    kinds = "select attname, atttypid::regtype::text from pg_attribute where attrelid = 'poor'::regclass and attnum > 0"
    found = dict(db.execute(kinds).fetchall())
    assert (found["id"], found["m"], found["tags"], found["j"]) == ("uuid", "mood", "text[]", "jsonb")


def test_a_type_named_by_a_hostile_file_is_no_sql(db: Any, postgres: str, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    evil = {b"interlingua.postgres": b"text); drop table things; --"}
    fields = [pa.field("id", pa.int64()), pa.field("x", pa.string(), metadata=evil)]
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(unit(60, D_IN, 3).ravel()), D_IN)
    table = pa.Table.from_arrays([pa.array(range(60)), pa.array(["x"] * 60)], schema=pa.schema(fields))
    pq.write_table(table.append_column("vector", vectors), tmp_path / "evil.parquet")
    db.execute("create table things (id int)")
    with open_store(str(tmp_path / "evil.parquet")) as source, open_store(f"{postgres}#new_things.v") as target:
        try:
            migrate(translator(), source, target, journal=tmp_path / "j")
        except InputError as refused:
            assert "cannot be" in str(refused)  # noqa: PT017 - refusing and ignoring the name are both right
    assert db.execute("select count(*) from things").fetchone() == (0,)
