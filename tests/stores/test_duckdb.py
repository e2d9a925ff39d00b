"""DuckDB files as people have them: schemas, lists, keys of several columns, wide types, logs and empty vectors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.stores import Records, Spec, Store, open_source, open_store
from interlingua.stores._documents import same_payload
from interlingua.stores.changes import catch_up
from interlingua.stores.duckdb import DuckStore
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options, plan
from stores.contract import tree
from stores.migrations import D_IN, D_OUT, assert_migrated, fill, translator, whole

duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")

At = Callable[[str], Store]
VECTOR = f"[{', '.join(['(random() - 0.5)::float'] * D_IN)}]"
WIDE = {
    "huge": ("hugeint", "170141183460469231731687303715884105727"),
    "unsigned": ("uhugeint", "340282366920938463463374607431768211455"),
    "pause": ("interval", "interval 3 days"),
    "clock": ("time with time zone", "'01:02:03+05:30'"),
    "bits": ("bit", "'0101'"),
    "nested": ("struct(a uhugeint)", "{'a': 340282366920938463463374607431768211455}"),
    "extra": ("json", """'{"a": [1, null]}'"""),
}


@pytest.fixture
def at(tmp_path: Path) -> Iterator[At]:
    """Return what opens a table of the file of this test, or another address, and closes it after the test."""
    stores: list[Store] = []

    def open_one(names: str) -> Store:
        stores.append(open_store(f"duckdb://{tmp_path}/d.duckdb{names}" if names[0] in "?#" else names))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


def run(folder: Path, *statements: str) -> None:
    with duckdb.connect(str(folder / "d.duckdb")) as db:
        for statement in statements:
            db.execute(statement)


def read(folder: Path, query: str) -> list[Any]:
    """Read from a copy of the file, which the stores of the test still have open."""
    copy = folder / "copy.duckdb"
    shutil.copy(folder / "d.duckdb", copy)
    with duckdb.connect(str(copy)) as db:
        found = db.execute(query).fetchall()
    copy.unlink()
    return list(found)


def test_a_schema_is_named_and_others_are_left_alone(at: At, tmp_path: Path) -> None:
    run(
        tmp_path,
        "create schema staging",
        f"create table items as select i as id, {VECTOR}::float[{D_IN}] as v from range(20) t(i)",
        f"create table staging.items as select i as id, 'x' as note, {VECTOR}::float[{D_IN}] as v from range(5) t(i)",
    )
    assert (at("#items").info().count, at("#staging.items.v").info().count) == (20, 5)
    records = whole(at("#staging.items.v"))
    migrate(translator(), at("#staging.items.v"), at("#staging.items.new"), journal=tmp_path / "j")
    assert_migrated(records, at("#staging.items.new"))
    migrate(translator(), at("#items"), at("#staging.copies.v"), journal=tmp_path / "j2")
    assert at("#staging.copies.v").info().count == 20
    with pytest.raises(InputError, match="there is no schema 'other'"):
        plan(translator(), at("#items"), at("#other.copies.v"))


def test_names_are_found_in_any_case(at: At, tmp_path: Path) -> None:
    run(tmp_path, f"create table Items as select i as id, {VECTOR}::float[{D_IN}] as v from range(20) t(i)")
    assert at("#iTEMS").info().count == 20


@pytest.mark.parametrize("kind", ["float[]", "double[]"])
@pytest.mark.parametrize("target", ["#t.new", "new.parquet"])
def test_lists_are_vectors(kind: str, target: str, at: At, tmp_path: Path) -> None:
    run(tmp_path, f"create table t as select i as id, 'x' as note, {VECTOR}::{kind} as v from range(40) t(i)")
    records = whole(at("#t"))
    address = target if target[0] == "#" else str(tmp_path / target)
    migrate(translator(), at("#t.v"), at(address), journal=tmp_path / "j")
    if target[0] != "#":
        assert_migrated(records, at(address))
    else:
        np.testing.assert_allclose(whole(at(address)).vectors, translator().translate(records.vectors), atol=1e-5)
    assert at("#t.v").search(records.vectors[:1], 1)[0].ids == [0]


def test_rows_that_are_gone_when_their_new_vectors_are_written_are_counted(at: At, tmp_path: Path) -> None:
    run(tmp_path, f"create table t as select range id, {VECTOR} v from range(5)")
    rows = Records(pa.array([3, 4, 5, 6, 7]), np.ones((5, D_OUT), np.float32), None)
    spec = Spec(D_OUT, "cosine", rows.ids.type, None, 5, as_new_vector=True)
    new = at("#t.new")
    new.create(spec)
    new.prepare(spec, 0)
    said = r"only 2 of 5 rows matched and were written\. Were rows deleted\? Stop the writes and go on with resume=True"
    with pytest.raises(InputError, match=said):
        new.upsert(rows)


def test_a_list_of_another_width_is_refused_with_its_id(at: At, tmp_path: Path) -> None:
    run(
        tmp_path,
        f"create table t as select i as id, {VECTOR}::float[] as v from range(40) t(i)",
        "update t set v = [1, 2] where id = 33",
    )
    with pytest.raises(InputError, match="the row with id 33 of column 'v' has 2 values and 12 are needed"):
        migrate(translator(), at("#t.v"), at("#t.new"), journal=tmp_path / "j")
    assert not at("#t.new").exists()


@pytest.mark.parametrize("query", ["", "?id=tenant,id"])
def test_a_key_of_several_columns_is_used(query: str, at: At, tmp_path: Path) -> None:
    key = "" if query else ", primary key (tenant, id)"
    run(
        tmp_path,
        f"create table docs (tenant varchar, id int, v float[{D_IN}]{key})",
        f"insert into docs select t, i, {VECTOR} from range(300) r(i), (values ('a'), ('b,\"c')) s(t)",
    )
    with open_store(f"duckdb://{tmp_path}/d.duckdb{query}#docs.v") as old:
        result = migrate(
            translator(), old, at(f"{query}#docs.new"), journal=tmp_path / "j", options=Options(page_rows=70)
        )
        assert "JSON arrays of the columns tenant, id" in " ".join(result.plan.notes)
    rows = read(tmp_path, "select v, new from docs")
    old_vectors, new_vectors = (np.array([row[i] for row in rows], np.float32) for i in (0, 1))
    assert len(rows) == 600
    np.testing.assert_allclose(translator().translate(old_vectors), new_vectors, atol=1e-5)


def test_a_key_of_several_columns_that_repeats_is_refused(at: At, tmp_path: Path) -> None:
    run(
        tmp_path,
        f"create table docs as select i // 2 as tenant, 1 as id, {VECTOR}::float[{D_IN}] as v from range(40) r(i)",
    )
    with pytest.raises(InputError, match="rows 0 and 1 both have the id"):
        migrate(translator(), at("?id=tenant,id#docs.v"), at("?id=tenant,id#docs.new"), journal=tmp_path / "j")


@pytest.mark.parametrize("name", list(WIDE))
@pytest.mark.parametrize("target", ["#other.v", "new.parquet", "new.jsonl"])
def test_wide_types_are_kept(name: str, target: str, at: At, tmp_path: Path) -> None:
    kind, value = WIDE[name]
    column = f"({value})::{kind} as {name}"
    run(tmp_path, f"create table t as select i as id, {column}, {VECTOR}::float[{D_IN}] as v from range(9) t(i)")
    before = whole(at("#t"))
    address = target if target[0] == "#" else str(tmp_path / target)
    made = migrate(translator(), at("#t"), at(address), journal=tmp_path / "j").plan
    assert (name in " ".join(made.notes)) == (name != "extra")
    assert same_payload(before.payload, whole(at(address)).payload)
    assert before.payload is not None
    assert before.payload[name][0].as_py() == read(tmp_path, f"select {name}::varchar from t limit 1")[0][0]


def test_wide_types_have_the_same_type_in_another_table(at: At, tmp_path: Path) -> None:
    listed = ", ".join(f"({value})::{kind} as {name}" for name, (kind, value) in WIDE.items())
    run(tmp_path, f"create table t as select i as id, {listed}, {VECTOR}::float[{D_IN}] as v from range(9) t(i)")
    migrate(translator(), at("#t"), at("#new.v"), journal=tmp_path / "j")
    names = ", ".join(WIDE)
    kinds = ", ".join(f"typeof({name})" for name in WIDE)
    assert read(tmp_path, f"select {kinds} from new limit 1") == read(tmp_path, f"select {kinds} from t limit 1")
    assert read(tmp_path, f"select {names} from new except select {names} from t") == []


def test_rows_without_a_vector_are_counted_left_out_and_listed(at: At, tmp_path: Path) -> None:
    run(
        tmp_path,
        f"create table t as select i as id, {VECTOR}::float[{D_IN}] as v from range(40) t(i)",
        "update t set v = null where id in (3, 5, 39)",
    )
    made = plan(translator(), at("#t"), at("#other.v"))
    assert (made.rows, made.nulls, made.first_null) == (37, 3, "3")
    with pytest.raises(InputError, match="3 rows have no vector and 37 have one"):
        migrate(translator(), at("#t"), at("#other.v"), journal=tmp_path / "j")
    result = migrate(translator(), at("#t"), at("#other.v"), journal=tmp_path / "j", options=Options(skip_null=True))
    assert at("#other.v").info().count == 37
    lines = Path(str(result.skipped_ids)).read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [3, 5, 39]


def test_a_condition_selects_rows(at: At, tmp_path: Path) -> None:
    run(tmp_path, f"create table t as select i as id, i % 3 as k, {VECTOR}::float[{D_IN}] as v from range(40) t(i)")
    migrate(translator(), at("#t"), at("#other.v"), journal=tmp_path / "j", options=Options(where="k = 1 or k = 9"))
    assert whole(at("#other.v")).ids.to_pylist() == [i for i in range(40) if i % 3 == 1]
    with pytest.raises(InputError, match="cannot be read: .*nothing"):
        plan(translator(), at("#t"), at("#more.v"), Options(where="nothing = 1"))


def test_other_vectors_are_named_in_the_plan(at: At, tmp_path: Path) -> None:
    run(
        tmp_path,
        f"create table t as select i as id, {VECTOR}::float[{D_IN}] as v, [1, 2]::float[2] as w from range(40) t(i)",
    )
    assert "Other vector columns are not copied: w." in plan(translator(), at("#t.v"), at("#other.v")).notes


def test_a_log_of_another_process_is_read_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    script = (
        "import duckdb, os\n"
        f"db = duckdb.connect({str(tmp_path / 'd' / 'd.duckdb')!r})\n"
        f"db.execute('create table t as select i as id, {VECTOR}::float[{D_IN}] as v from range(40) t(i)')\n"
        "db.execute('checkpoint')\n"
        "db.execute('delete from t where id < 10')\n"
        "os._exit(0)\n"  # as if it were killed: the deletion is in the log only
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    before = tree(tmp_path / "d")
    assert "d.duckdb.wal" in before
    with open_source(f"duckdb://{tmp_path}/d/d.duckdb#t") as old, open_store(str(tmp_path / "new.parquet")) as new:
        migrate(translator(), old, new, journal=tmp_path / "j")
    assert tree(tmp_path / "d") == before
    with open_store(str(tmp_path / "new.parquet")) as new:
        assert new.info().count == 30
        assert new.info().d == D_OUT


def test_a_collation_does_not_mix_ids_that_differ_in_case(at: At, tmp_path: Path) -> None:
    key = "case when i % 2 = 0 then 'Abc' else 'aBC' end || (i // 2)"
    run(
        tmp_path,
        f"create table t (id varchar collate nocase, v float[{D_IN}])",
        f"insert into t select {key}, {VECTOR} from range(200) r(i)",
    )
    records = whole(at("#t.v"), 7)
    assert len(set(records.ids.to_pylist())) == 200
    parts: list[Any] = []
    after = None
    while len(parts) < 200:  # as if it were resumed after every row
        page, after = next(at("#t.v").scan(1, after))
        parts += page.ids.to_pylist()
    assert sorted(parts) == sorted(records.ids.to_pylist())
    migrate(translator(), at("#t.v"), at("#t.new"), journal=tmp_path / "j", options=Options(page_rows=33))
    rows = read(tmp_path, "select v, new from t")
    old, new = (np.array([row[i] for row in rows], np.float32) for i in (0, 1))
    np.testing.assert_allclose(translator().translate(old), new, atol=1e-5)


@pytest.mark.parametrize("names", ["#t.Note", "#t.ID"])
def test_names_that_differ_only_in_case_are_one_column_and_refused(names: str, at: At, tmp_path: Path) -> None:
    records = pa.table({"note": ["x"] * 9})
    fill(at(f"{tmp_path}/old.parquet"), pa.array(range(9)), records)
    with pytest.raises(InputError, match="(payload has a column 'note'|ids is 'id'); name another vector column"):
        migrate(translator(), at(f"{tmp_path}/old.parquet"), at(names), journal=tmp_path / "j")
    fill(at(f"{tmp_path}/two.parquet"), pa.array(range(9)), records.append_column("Note", records["note"]))
    with pytest.raises(InputError, match="column 'Note' and the payload has a column 'note', which are one name here"):
        migrate(translator(), at(f"{tmp_path}/two.parquet"), at("#t.v"), journal=tmp_path / "j")
    assert not (tmp_path / "d.duckdb").exists()
    assert not (tmp_path / "j").exists()


def test_a_key_with_a_time_is_used_in_any_time_zone_of_the_machine(
    at: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        at_time = "timestamptz '2024-01-01 00:00:00+00' + to_hours(i::int) as at"
        run(tmp_path, f"create table t as select {at_time}, i as id, {VECTOR}::float[{D_IN}] as v from range(40) r(i)")
        migrate(translator(), at("?id=at,id#t.v"), at("?id=at,id#t.new"), journal=tmp_path / "j")
    finally:
        monkeypatch.undo()
        time.tzset()
    rows = read(tmp_path, "select v, new from t")
    old, new = (np.array([row[i] for row in rows], np.float32) for i in (0, 1))
    np.testing.assert_allclose(translator().translate(old), new, atol=1e-5)


def test_a_source_without_the_name_of_its_vectors_gets_no_second_column(at: At, tmp_path: Path) -> None:
    run(tmp_path, f"create table t as select i as id, {VECTOR}::float[{D_IN}] as v from range(20) t(i)")
    with pytest.raises(InputError, match=r"does not name its vectors, .* Write the source as duckdb://.*#t\.v\."):
        migrate(translator(), at("#t"), at("#t.new"), journal=tmp_path / "j")
    assert not at("#t.new").exists()
    assert not (tmp_path / "j").exists()


def test_a_column_that_differs_in_case_only_is_the_same_column(at: At, tmp_path: Path) -> None:
    run(
        tmp_path,
        f"create table t as select i as id, {VECTOR}::float[{D_IN}] as v, 'a' as Title from range(20) t(i)",
        f"create table u as select i as id, {VECTOR}::float[{D_IN}] as w from range(20) t(i)",
    )
    assert at("#T.V").info().vector_name == "v"
    assert at("#t.V").exists()
    for target in ("#t.V", "#U.w2", "#U.W"):
        with pytest.raises(OutputExistsError, match=r"exists(, and nothing is overwritten|\. A vector can be added)"):
            plan(translator(), at("#t.v"), at(target))
    with pytest.raises(InputError, match="payload has a column 'Title'; name another vector column"):
        plan(translator(), at("#t.v"), at("#new.TITLE"))


def test_temporary_files_of_a_large_sort_are_the_users_own(at: At, tmp_path: Path) -> None:
    run(tmp_path, f"create table t as select i as id, {VECTOR}::float[{D_IN}] as v from range(20) t(i)")
    connection = at("#t.v")._reading  # type: ignore[attr-defined]
    folder = Path(connection.execute("select current_setting('temp_directory')").fetchall()[0][0])
    assert folder.stat().st_mode & 0o077 == 0
    at("#t.v").close()


@pytest.mark.parametrize("page", [10, 4_096])
def test_a_null_in_a_part_of_the_key_is_refused(page: int, tmp_path: Path) -> None:
    path = tmp_path / "d.duckdb"
    with duckdb.connect(str(path)) as db:
        db.execute(f"create table t as select i a, nullif(i, 571) b, [i + 1.0{', 1.0' * (D_IN - 1)}]::float[{D_IN}] v "
                   "from range(600) r(i)")  # fmt: skip
    wanted = "1 id in 'a', 'b' is null; every row needs an id without a null. Fill them, or choose other columns with"
    with open_store(f"duckdb://{path}?id=a,b#t") as store:
        with pytest.raises(InputError, match=wanted):
            store.info()
        # A row that loses a part of its key later is not read under a made-up id either.
        with pytest.raises(InputError, match="1 id in 'a, b' is null"):
            list(store.scan(page))
        store.restrict(where="a < 500")
        assert store.info().count == 500


def test_lists_are_as_wide_as_the_first_that_has_values(at: At, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.execute(f"create table t as select i as id, {VECTOR} as v from range(1, 40) r(i)")
        connection.execute("insert into t values (0, [])")
    store = at("#t.v")
    store.restrict(bad_as_nan=True)
    assert store.info().d == D_IN
    store.close()
    with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
        connection.execute("update t set v = []")
    with pytest.raises(InputError, match="none of the 40 rows has a vector; at least one must have one. Name a col"):
        at("#t.v").info()


@pytest.mark.parametrize("name", ["ID", "Id", "_ID"])
@pytest.mark.parametrize(("option", "key"), [("", ""), ("?id=id", ""), ("", ", primary key ({})")])
def test_the_column_of_ids_is_found_in_upper_and_lower_case(tmp_path: Path, name: str, option: str, key: str) -> None:
    if option and name.startswith("_"):
        option = "?id=_id"
    with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
        connection.execute(f'create table t ("{name}" integer, v float[2]{key.format(name.lower())})')
        connection.execute("insert into t values (7, [1, 0]), (8, [0, 1])")
    with open_store(f"duckdb://{tmp_path}/t.duckdb{option}#t.v") as store:
        found = next(records for records, _ in store.scan(10))
        assert found.ids.to_pylist() == [7, 8]
        assert found.payload is None
        assert store.info().count == 2


@pytest.mark.parametrize("write", [False, True])
def test_an_interrupt_within_a_query_is_an_interrupt(at: At, tmp_path: Path, write: bool) -> None:
    fill(at("#old.v"), pa.array(range(20)), None)
    store = at("#old.v")
    assert isinstance(store, DuckStore)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    query = "select sum(x) from range(300000000) a(x)"

    def writes(query: str) -> None:
        with store._errors("did not take the rows"):
            store._execute_with(pa.table({"x": [1]}), query)

    timer.start()
    with pytest.raises(KeyboardInterrupt):
        (writes if write else store._rows)(query)
    timer.join()
    assert len(whole(store)) == 20


def test_a_cleared_vector_is_written_again(at: At, tmp_path: Path) -> None:
    fill(at("#old.v"), pa.array(range(20)), None)
    given: dict[str, Any] = {"journal": tmp_path / "j"}
    migrate(translator(), at("#old.v"), writing := at("#old.w"), **given)
    assert isinstance(writing, DuckStore)
    writing._writing.execute("update old set w = null where id in (3, 17)")
    message = "2 of 20 rows that were written are missing.*id 3"
    with pytest.raises(InterlinguaError, match=message):
        migrate(translator(), at("#old.v"), at("#old.w"), resume=True, **given)
    assert catch_up(translator(), at("#old.v"), at("#old.w"), **given).restored == 2
    assert migrate(translator(), at("#old.v"), at("#old.w"), resume=True, **given).changed_ids is None
