"""Types of payload: arrays and decimals of PostgreSQL stay typed, and the plan names every column that changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.core.records import json_field
from interlingua.stores import open_store
from interlingua.stores._documents import same_payload, type_name
from interlingua.stores.changes import catch_up
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options, plan
from stores.migrations import D_IN, fill, translator, unit, whole
from stores.servers import postgres as postgres
from stores.servers import postgres_server as postgres_server

N = 30


@pytest.fixture
def db(postgres: str, postgres_server: str) -> Iterator[Any]:
    import psycopg

    with psycopg.connect(host=postgres_server, user="postgres", dbname="tests", autocommit=True) as connection:
        yield connection


@pytest.fixture
def table(db: Any, postgres: str) -> str:
    """The address of a table with arrays and decimals."""
    db.execute(
        "create table docs (id int primary key, tags text[], sizes integer[], prices numeric(10,2)[], days date[], "
        f"price numeric(10,2), large numeric, mood text, v vector({D_IN}))"
    )
    for i, vector in enumerate(unit(N, D_IN, 3).tolist()):
        tags = ['a "b"\\,{}', "", None, "NULL"][: i % 5]
        values = (i, tags, [i, None], [Decimal("1.10")], None, Decimal(i) / 4, Decimal("0.123456789"), "x", str(vector))
        db.execute("insert into docs values (%s, %s, %s, %s, %s, %s, %s, %s, %s)", values)
    db.execute("update docs set days = '{2024-03-01,NULL}' where id = 3")
    return f"{postgres}#docs.v"


TYPES = {
    "tags": pa.list_(pa.string()), "sizes": pa.list_(pa.int32()), "prices": pa.list_(pa.decimal128(10, 2)),
    "days": pa.list_(pa.date32()), "price": pa.decimal128(10, 2), "large": pa.string(), "mood": pa.string(),
}  # fmt: skip


@pytest.mark.store
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["lancedb", "duckdb"])
def test_arrays_and_decimals_of_postgresql_stay_typed(kind: str, table: str, tmp_path: Path) -> None:
    pytest.importorskip(kind, reason=f"the extra {kind} is not installed")
    url = f"lancedb://{tmp_path}/l#docs" if kind == "lancedb" else f"duckdb://{tmp_path}/t.duckdb#docs.v"
    with open_store(table) as old, open_store(url) as new:
        planned = plan(translator(), old, new)
        assert planned.types == (("large", "numeric", "string"),)
        migrate(translator(), old, new, journal=tmp_path / "j")
        rows, found = whole(old), whole(new)
    assert rows.payload is not None
    assert found.payload is not None
    assert {field.name: type_name(field.remove_metadata()) for field in found.payload.schema} == {
        name: type_name(pa.field(name, arrow)) for name, arrow in TYPES.items()
    }
    assert same_payload(rows.payload, found.in_order_of(rows.ids, "test").payload)


@pytest.mark.store
def test_a_new_table_has_the_same_types_and_values(table: str, db: Any, postgres: str, tmp_path: Path) -> None:
    with open_store(table) as old, open_store(f"{postgres}#copied.w") as new:
        assert plan(translator(), old, new).types == ()
        migrate(translator(), old, new, journal=tmp_path / "j")
    kinds = "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = '{}'::regclass "
    listed = [dict(db.execute(kinds.format(name) + "and attnum > 1").fetchall()) for name in ("docs", "copied")]
    assert {name: listed[1].get(name) for name in TYPES} == {name: listed[0].get(name) for name in TYPES}
    columns = ", ".join(TYPES)
    both = [db.execute(f"select id, {columns} from {name} order by id").fetchall() for name in ("docs", "copied")]
    assert both[0] == both[1]


@pytest.mark.store
@pytest.mark.parametrize(
    ("column", "value", "type_text"),
    [
        ("tags", "'{{a,b},{c,d}}'", "text[]"),
        ("tags", "'[0:1]={a,b}'", "text[]"),
        ("price", "'NaN'", "numeric(10,2)"),
        ("prices", "'{NaN}'", "numeric(10,2)[]"),
    ],
)
def test_values_that_the_type_cannot_hold_are_read_as_text_and_the_plan_says_so(
    column: str, value: str, type_text: str, table: str, db: Any, tmp_path: Path
) -> None:
    db.execute(f"update docs set {column} = {value} where id = 29")
    expected = db.execute(f"select {column}::text from docs order by id").fetchall()
    with open_store(table) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        assert (column, type_text, "string") in plan(translator(), old, new).types
        migrate(translator(), old, new, journal=tmp_path / "j")
        payload = whole(new).payload
    assert payload is not None
    assert payload[column].to_pylist() == [row[0] for row in expected]


@pytest.mark.store
def test_decimals_become_numeric_columns(db: Any, postgres: str, tmp_path: Path) -> None:
    with open_store(f"memory://{tmp_path.name}#old") as old, open_store(f"{postgres}#docs.v") as new:
        prices = pa.array([Decimal(i) / 4 for i in range(N)], pa.decimal128(10, 2))
        fill(old, pa.array(range(N)), pa.table({"price": prices}))
        assert plan(translator(), old, new).types == ()
        migrate(translator(), old, new, journal=tmp_path / "j")
    assert db.execute("select pg_typeof(price)::text, price from docs where id = 3").fetchone() == (
        "numeric",
        Decimal("0.75"),
    )


@pytest.mark.store
def test_text_in_an_array_that_postgresql_cannot_hold_is_refused(table: str, postgres: str, tmp_path: Path) -> None:
    with open_store(table) as old, open_store(f"memory://{tmp_path.name}#middle") as middle:
        rows = whole(old)
        assert rows.payload is not None
        tags = rows.payload.schema.field("tags")
        payload = pa.table([pa.array([["a"], ["b\0"]] * (N // 2), tags.type)], schema=pa.schema([tags]))
        fill(middle, rows.ids, payload)
        with open_store(f"{postgres}#other.v") as new:
            with pytest.raises(InputError, match="column 'tags' of id 1 holds a NUL character"):
                migrate(translator(), middle, new, journal=tmp_path / "j")
            assert not new.exists()


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("jsonl", {"decimal": ("decimal128(5, 2)", "string")}),
        ("duckdb", {"zone": ("timestamp[us, tz=Europe/Berlin]", "timestamp[us, tz=UTC]"),
                    "half": ("halffloat", "float"),
                    "category": ("dictionary<values=string, indices=int32, ordered=0>", "string"),
                    "json": ("JSON", "string")}),
        ("qdrant", {"decimal": ("decimal128(5, 2)", "string"), "day": ("date32[day]", "string"),
                    "zone": ("timestamp[us, tz=Europe/Berlin]", "string"),
                    "category": ("dictionary<values=string, indices=int32, ordered=0>", "string")}),
        ("parquet", {}),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_plan_names_every_column_whose_type_changes(kind: str, changed: dict[str, Any], tmp_path: Path) -> None:
    module = {"duckdb": "duckdb", "qdrant": "qdrant_client"}.get(kind, "pyarrow")
    pytest.importorskip(module, reason=f"the extra {kind} is not installed")
    url = {"duckdb": f"duckdb://{tmp_path}/t.duckdb#docs.v", "qdrant": f"qdrant://{tmp_path}/q#docs"}
    columns = {
        "title": pa.array(["a"] * N), "year": pa.array(range(N)),
        "decimal": pa.array([Decimal("1.10")] * N, pa.decimal128(5, 2)),
        "half": pa.array([np.float16(1)] * N), "category": pa.array(["a"] * N).dictionary_encode(),
        "tags": pa.array([["a"]] * N),
    }  # fmt: skip
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    if kind != "jsonl":
        columns |= {
            "day": pa.array([1] * N, pa.date32()),
            "zone": pa.array([1] * N, pa.timestamp("us", "Europe/Berlin")),
        }
        fields = [pa.field(name, column.type) for name, column in columns.items()]
    columns["json"] = pa.array(["[1]"] * N)
    payload = pa.table(list(columns.values()), schema=pa.schema([*fields, json_field("json")]))
    with open_store(f"memory://{tmp_path.name}#old") as old:
        fill(old, pa.array(range(N)), payload)
        with open_store(url.get(kind, str(tmp_path / f"new.{kind}"))) as new:
            planned = plan(translator(), old, new)
            named = {name: (before, after) for name, before, after in planned.types}
            expected = {name: pair for name, pair in changed.items() if name in columns}
            if kind in {"jsonl", "qdrant"}:
                expected["category"] = ("dictionary<values=string, indices=int32, ordered=0>", "string")
            assert named == expected
            done = migrate(translator(), old, new, journal=tmp_path / "j")
            assert done.plan.types == planned.types
            assert json.loads(json.dumps(planned.types)) == [list(row) for row in planned.types]


@pytest.mark.store
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("column", "value"), [("id", "27"), ("price", "6.75"), ("mood", "y")])
@pytest.mark.parametrize("kind", ["postgresql", "lancedb"])
def test_a_catch_up_since_a_value_reads_only_rows_from_it_on(
    kind: str, column: str, value: str, table: str, tmp_path: Path
) -> None:
    pytest.importorskip("lancedb", reason="the extra lancedb is not installed")
    address = table
    if kind == "lancedb":
        address = f"lancedb://{tmp_path}/l#docs"
        with open_store(table) as first, open_store(address) as copied:
            rows = whole(first)
            fill(copied, rows.ids, rows.payload)
    with open_store(address) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        migrate(translator(), old, new, journal=tmp_path / "j", options=Options(metric="cosine"))
        done = catch_up(translator(), old, new, journal=tmp_path / "j", since=(column, value))
        assert (done.read, done.updated, done.added) == (0 if column == "mood" else 3, 0, 0)
        with pytest.raises(InputError, match="there is no column 'nothing'"):
            old.since("nothing", "1")
        if kind == "lancedb":
            with pytest.raises(InputError, match="column 'id' is int32, which 'soon' is not"):
                old.since("id", "soon")


@pytest.mark.store
def test_arrays_that_are_no_vectors_are_left_out_of_a_table(db: Any, postgres: str, tmp_path: Path) -> None:
    db.execute("create table docs (id int primary key, old real[])")
    db.execute(f"insert into docs select i, array_fill(i + 1, array[{D_IN}])::real[] from generate_series(0, 11) i")
    wrong = [
        "'{1,2}'",
        f"array_fill(1, array[{D_IN // 2}, 2])",
        "'{}'",
        "null",
        f"array_fill('NaN'::real, array[{D_IN}])",
    ]
    wrong.append(f"array_fill(0, array[{D_IN}])")
    for i, value in enumerate(wrong, 3):
        db.execute(f"update docs set old = {value} where id = {i}")
    with open_store(f"{postgres}#docs.old") as old, open_store(f"memory://{tmp_path.name}#new") as new:
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True, page_rows=5))
        assert sorted(whole(new).ids.to_pylist()) == [0, 1, 2, 9, 10, 11]
    lines = Path(str(done.skipped_ids)).read_text("utf-8").splitlines()
    assert sorted(map(json.loads, lines)) == [3, 4, 5, 6, 7, 8]
