"""A vector that someone adds to a collection that a migration made is not a vector that the migration wrote."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

import interlingua as il
from interlingua.stores import Records, Spec, open_source, open_store
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options
from stores.marks import OTHER_COMMENTS
from stores.migrations import D_OUT, fill, translator, unit
from stores.servers import postgres as postgres

N = 60
VECTORS = unit(N, D_OUT, 5)


def migrated(folder: Path, address: str) -> None:
    with open_store(str(folder / "old.parquet")) as old:
        fill(old, pa.array(range(N)), None)
    with open_source(str(folder / "old.parquet")) as old, open_store(address) as new:
        migrate(translator(), old, new, journal=folder / "journal")


def says_so(address: str) -> bool:
    with open_source(address) as store:
        return store.is_migrated()


def test_a_column_of_duckdb_that_a_migration_did_not_write(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    table = f"duckdb://{tmp_path}/d.duckdb#moved"

    def execute(*statements: str) -> None:
        with duckdb.connect(str(tmp_path / "d.duckdb")) as connection:
            for statement in statements:
                connection.execute(statement)

    migrated(tmp_path, f"{table}.V")
    assert says_so(table)
    values = ", ".join(["(random() - 0.5)::float"] * D_OUT)
    execute(f"alter table moved add column native float[{D_OUT}]", f"update moved set native = [{values}]")
    assert [says_so(f"{table}.{name}") for name in ("v", "native")] == [True, False]
    assert [il.plan(f"{table}.{name}").migrated for name in ("V", "native")] == [True, False]
    execute("alter table moved rename column v to first")
    assert [says_so(f"{table}.{name}") for name in ("FIRST", "native")] == [True, False]
    execute("alter table moved drop column first")
    assert not says_so(f"{table}.native")
    assert not il.plan(f"{table}.native").migrated


def test_a_column_of_lancedb_that_a_migration_did_not_write(tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="the extra lancedb is not installed")
    table = f"lancedb://{tmp_path}/l#moved"
    migrated(tmp_path, f"{table}.v")
    assert says_so(table)
    opened = lancedb.connect(str(tmp_path / "l")).open_table("moved")
    native = pa.field("native", pa.list_(pa.float32(), D_OUT))
    opened.add_columns(pa.schema([native]))
    assert [says_so(f"{table}.{name}") for name in ("v", "native")] == [True, False]
    opened.alter_columns({"path": "v", "rename": "first"})
    assert [says_so(f"{table}.{name}") for name in ("first", "native")] == [True, False]
    opened.drop_columns(["first"])
    assert not says_so(f"{table}.native")


def qdrant_collection(scheme: str, folder: Path, name: str) -> str:
    """Return the address of a collection in a new folder; skip the test where a client is not installed."""
    pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
    pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
    (folder / "q").mkdir()
    return f"{scheme}://{folder}/q#{name}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scheme", ["qdrant", "qdrant-edge"])
def test_a_vector_of_qdrant_that_a_migration_did_not_write(scheme: str, tmp_path: Path) -> None:
    collection = qdrant_collection(scheme, tmp_path, "moved")
    migrated(tmp_path, f"{collection}.v")
    spec = Spec(D_OUT, "cosine", pa.int64(), None, N, as_new_vector=True)
    with open_store(f"{collection}.native") as native:
        native.create(spec)
        native.prepare(spec, 0)
        native.upsert(Records(pa.array(range(N)), VECTORS))
    assert [says_so(f"{collection}.{name}") for name in ("v", "native")] == [True, False]
    assert says_so(f"{collection}.v")


@pytest.mark.parametrize("comment", [*OTHER_COMMENTS, None])
def test_a_description_of_someone_else_is_no_mark_in_any_store(comment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store("memory://descriptions#things") as store:
        fill(store, pa.array(range(N)), None)
        assert (store.is_migrated(), store.migration()) == (True, "interlingua migration fill")
        monkeypatch.setattr(store, "creation", lambda *, vector_only=False: comment)
        assert (store.is_migrated(), store.migration()) == (False, None)
        store.drop()


@pytest.mark.store
def test_a_description_of_someone_else_is_no_mark_in_milvus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
    with open_store(f"milvus://{tmp_path}/m.db#things") as store:
        fill(store, pa.array(range(N)), None)
        assert store.is_migrated()
        facts = store._client.describe_collection("things")  # type: ignore[attr-defined]
        for comment in OTHER_COMMENTS:
            described = {**facts, "description": comment, "properties": {}}
            monkeypatch.setattr(store._client, "describe_collection", lambda _, found=described: found)  # type: ignore[attr-defined]
            assert not store.is_migrated(), comment


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scheme", ["qdrant", "qdrant-edge"])
def test_every_vector_of_qdrant_that_a_migration_wrote_is_marked(scheme: str, tmp_path: Path) -> None:
    collection = qdrant_collection(scheme, tmp_path, "moved")
    migrated(tmp_path, f"{collection}.v")
    names = ("v", "w", "x")
    with open_store(f"{collection}.w") as store:
        migrate_beside(store, tmp_path / "w")
    add_native(f"{collection}.x")
    assert [says_so(f"{collection}.{name}") for name in names] == [True, True, False]
    assert [il.plan(f"{collection}.{name}").migrated for name in names] == [True, True, False]
    rollback(tmp_path / "w")
    add_native(f"{collection}.w")
    assert [says_so(f"{collection}.{name}") for name in names] == [True, False, False]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scheme", ["qdrant", "qdrant-edge"])
def test_a_vector_that_a_migration_adds_to_a_collection_of_someone_else(scheme: str, tmp_path: Path) -> None:
    collection = qdrant_collection(scheme, tmp_path, "theirs")
    with open_store(f"{collection}.v") as store:
        fill(store, pa.array(range(N)), None)
        written = store._mark()  # type: ignore[attr-defined]
    mark_as(collection, {})
    with open_store(f"{collection}.w") as store:
        migrate_beside(store, tmp_path / "w")
        assert store.creation() is None
    assert [says_so(f"{collection}.{name}") for name in ("v", "w")] == [False, True]
    rollback(tmp_path / "w")
    with open_store(f"{collection}.v") as store:
        assert (store._mark(), written["vectors"]) == ({}, ["v"])  # type: ignore[attr-defined]


def mark_as(collection: str, mark: dict[str, Any]) -> None:
    """Replace what migrations have noted in a collection of Qdrant."""
    with open_store(f"{collection}.v") as store:
        gone = dict.fromkeys(store._mark())  # type: ignore[attr-defined]
        store._write_mark({**gone, **mark})  # type: ignore[attr-defined]


def migrate_beside(store: Any, journal: Path) -> None:
    """Migrate the vector ``v`` of a collection into another one; vectors of a migration are translated back."""
    with open_store(str(store.url).rpartition(".")[0] + ".v") as old:
        migrate(translator(), old, store, journal=journal, options=Options(inverse=old.info().d == D_OUT))


def add_native(address: str) -> None:
    """Add a vector of someone else to a collection of Qdrant."""
    spec = Spec(D_OUT, "cosine", pa.int64(), None, N, as_new_vector=True)
    with open_store(address) as native:
        native.create(spec)
        native.prepare(spec, 0)
        native.upsert(Records(pa.array(range(N)), VECTORS))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"migration": "j"}, False),
        ({"migration": "j", "vectors": ["w"]}, False),
        ({"migration": "j", "vectors": ["v", "w"]}, True),
        ({"vectors": ["v"]}, True),
        ({"vectors": "v"}, False),
        ({"vector": "v"}, False),
        (["migration"], False),
        (None, False),
    ],
)
def test_only_vectors_that_the_mark_of_a_shard_lists_are_migrated(written: Any, expected: bool, tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
    shard = f"qdrant-edge://{tmp_path}#moved.v"
    with open_store(shard) as store:
        fill(store, pa.array(range(N)), None)
        (tmp_path / "moved" / "interlingua-migration.json").write_text(json.dumps(written))
        assert store.is_migrated() == expected
        made = "migration" in written if isinstance(written, dict) else False
        assert store.creation() == ("interlingua migration j" if made else None)


def test_a_collection_of_qdrant_whose_mark_lists_no_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
    with open_store(f"qdrant://{tmp_path}/q#moved.v") as store:
        fill(store, pa.array(range(N)), None)
    for metadata in ({"interlingua_migration": "j"}, {"interlingua_vectors": "v"}):
        with open_store(f"qdrant://{tmp_path}/q#moved.v") as store:
            config = store._client.get_collection("moved").config.model_copy(update={"metadata": metadata})  # type: ignore[attr-defined]
            found = SimpleNamespace(config=config)
            monkeypatch.setattr(store._client, "get_collection", lambda _, found=found: found)  # type: ignore[attr-defined]
            assert not store.is_migrated()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scheme", ["qdrant", "qdrant-edge"])
def test_a_vector_of_qdrant_is_no_longer_listed_when_it_is_removed(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = qdrant_collection(scheme, tmp_path, "moved")
    migrated(tmp_path, f"{collection}.v")
    with open_store(f"{collection}.w") as store:
        migrate_beside(store, tmp_path / "w")

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        owner, name = (store._client, "delete_vector_name") if scheme == "qdrant" else (store, "_update")  # type: ignore[attr-defined]
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            with pytest.raises(KeyboardInterrupt):
                store.drop(vector_only=True)
        assert (store.exists(), store.is_migrated()) == (True, False)
        store.drop(vector_only=True)
        assert not store.exists()
    assert says_so(f"{collection}.v")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scheme", ["qdrant", "qdrant-edge"])
def test_the_mark_of_a_vector_changes_in_one_request(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = qdrant_collection(scheme, tmp_path, "moved")
    migrated(tmp_path, f"{collection}.v")
    with open_store(f"{collection}.v") as store:
        written, honest = list[Any](), store._write_mark  # type: ignore[attr-defined]

        def write(changed: Any) -> None:
            written.append(changed)
            honest(changed)

        monkeypatch.setattr(store, "_write_mark", write)
        store._mark_vector("embedding-x-1")  # type: ignore[attr-defined]
        assert written == [{"vectors": None, "embedded": ["v"]}]
        assert (store.is_migrated(), store.is_embedded()) == (False, True)


VIEWS = {
    "same": "select * from moved",
    "renamed": "select id, V as shown, native from moved where id > 3",
    "joined": "select r.*, m.V as again from renamed r join moved m using (id)",
    "sorted_view": "select * from (select id, V as shown from moved order by id limit 20) x",
    "together": "select id, native as shown from moved union all select id, V from moved",
}


def of_view(says: Any, base: str) -> dict[str, bool]:
    columns = {"same": "v", "renamed": "shown", "joined": "shown", "sorted_view": "shown", "together": "shown"}
    found = {name: says(f"{base}#{name}.{column}") for name, column in columns.items()}
    return {**found, "native": says(f"{base}#renamed.native"), "native behind": says(f"{base}#joined.native")}


EXPECTED = {**dict.fromkeys(VIEWS, True), "native": False, "native behind": False}


def test_the_mark_of_a_column_is_seen_through_views_of_duckdb(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    base = f"duckdb://{tmp_path}/my-store.duckdb"
    migrated(tmp_path, f"{base}#moved.V")
    values = ", ".join(["(random() - 0.5)::float"] * D_OUT)
    with duckdb.connect(str(tmp_path / "my-store.duckdb")) as connection:
        connection.execute(f"alter table moved add column native float[{D_OUT}]")
        connection.execute(f"update moved set native = [{values}]")
        for name, query in VIEWS.items():
            connection.execute(f"create view {name} as {query}")
        connection.execute("create view single as select id, V from moved")
        connection.execute("create view my_table_name as select id, V from moved")
        connection.execute("comment on column same.V is 'prices in EUR'")
        connection.execute('create schema "my.s"')
        connection.execute('create table "my.s"."a ""b" as select id, V from moved')
        connection.execute('comment on column "my.s"."a ""b".V is \'interlingua migration x-1\'')
        connection.execute('create view of_quoted as select * from "my.s"."a ""b"')
    with_id = base + "?id=id"
    assert of_view(says_so, with_id) == EXPECTED
    for name in ("single", "my_table_name", "of_quoted"):
        assert says_so(f"{with_id}#{name}"), name
    assert il.plan(f"{with_id}#renamed.shown").migrated
    assert not il.plan(f"{with_id}#renamed.native").migrated


@pytest.mark.store
def test_the_mark_of_a_column_is_seen_through_views_of_postgres(tmp_path: Path, postgres: str) -> None:
    psycopg = pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    migrated(tmp_path, f"{postgres}#moved.V")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"alter table moved add column native vector({D_OUT})")
        for name, query in VIEWS.items():
            connection.execute(f"create view {name} as {query}".replace("V", '"V"'))
        connection.execute('create view single as select id, "V" from moved')
        connection.execute('create view "Odd name" as select id, "V" as "Odd column" from moved as "Odd alias"')
        connection.execute(f"create table whole (id int primary key, v vector({D_OUT})) partition by range (id)")
        connection.execute("create table part partition of whole default")
        connection.execute("comment on column whole.v is 'interlingua migration x-1'")
        connection.execute("create view of_parts as select * from whole")
        connection.execute('insert into whole select id, "V" from moved')
        connection.execute("""comment on column same."V" is 'prices in EUR'""")
        connection.execute(f'create table "user" (id int primary key, v vector({D_OUT}))')
        connection.execute("""comment on column "user".v is 'interlingua migration x-1'""")
        connection.execute('insert into "user" select id, "V" from moved')
        connection.execute('create view of_keyword as select "user".* from "user" join whole using (id)')
        connection.execute(f"create table v (id int primary key, v vector({D_OUT}), native vector({D_OUT}))")
        connection.execute("comment on column v.v is 'interlingua migration x-1'")
        connection.execute('insert into v select id, "V", "V" from moved')
        connection.execute("create view namesake as select v.* from v join whole using (id)")
        connection.execute('create materialized view kept as select id, "V" as shown from moved')

    def says(address: str) -> bool:
        return says_so(address.replace("#same.v", "#same.V"))

    with_id = postgres.replace("?", "?id=id&")
    assert of_view(says, with_id) == EXPECTED
    assert says_so(f"{with_id}#single")
    assert says_so(f"{with_id}#Odd%20name.Odd%20column")
    assert says_so(f"{with_id}#of_parts.v")
    assert says_so(f"{with_id}#of_keyword.v")
    assert [says_so(f"{with_id}#namesake.{name}") for name in ("v", "native")] == [True, False]
    assert not says_so(f"{with_id}#kept.shown"), "a materialized view is a copy"
