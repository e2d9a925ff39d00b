"""Ids that are not unique, of several kinds, of other types, or under names that the payload has too."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import interlingua as il
from interlingua.core.errors import InputError
from interlingua.stores import Records, Store, open_source, open_store
from interlingua.stores._distinct import DistinctIds, check_int64
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options, plan
from stores.migrations import D_IN, assert_migrated, fill, translator, unit, whole
from stores.servers import postgres as postgres
from stores.servers import postgres_server as postgres_server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


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


def duck(folder: Path, kind: str, values: str, more: str = "") -> str:
    """Make a table of 60 rows; ``values`` gives the id of row ``i``."""
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    vector = f"[{', '.join(['random() - 0.5'] * D_IN)}]::float[{D_IN}]"
    with duckdb.connect(str(folder / "d.duckdb")) as db:
        db.execute(f"create table t as select ({values})::{kind} as id, {vector} as old {more} from range(60) r(i)")
    return f"duckdb://{folder}/d.duckdb#t"


@pytest.mark.parametrize("target", [".new", "new.parquet"])
@pytest.mark.parametrize(
    ("kind", "values", "rows"),
    [
        ("int", "case when i = 59 then 17 else i end", "17 and 18 both have the id 17"),
        ("varchar", "'k' || case when i = 0 then 59 else i end", "both have the id 'k59'"),
        ("bigint", "case when i < 2 then -1 else i end", "0 and 1 both have the id -1"),
        ("ubigint", "case when i < 2 then 18446744073709551615 else i end", "id 18446744073709551615"),
    ],
)
def test_repeated_ids_are_refused_before_anything_is_made(
    kind: str, values: str, rows: str, target: str, at: Callable[[str], Store], tmp_path: Path
) -> None:
    url = duck(tmp_path, kind, values)
    new = at(url + target if target == ".new" else str(tmp_path / target))
    with pytest.raises(InputError, match=f"ids are not unique: rows .*{rows}"):
        migrate(translator(), at(f"{url}.old"), new, journal=tmp_path / "j", options=Options(page_rows=7))
    assert not new.exists()
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        ("int", "case when i = 59 then 17 else i end", "several rows have the id 17"),
        ("varchar", "'k' || case when i = 0 then 59 else i end", "several rows have the id 'k59'"),
        ("varchar", "case when i = 1 then 'A' when i = 2 then 'a' else i::varchar end", None),
    ],
)
def test_a_plan_refuses_repeated_ids_of_a_table(
    kind: str, values: str, named: str | None, at: Callable[[str], Store], tmp_path: Path
) -> None:
    url = duck(tmp_path, kind, values)
    new = str(tmp_path / "new.parquet")
    if named is None:
        plan(translator(), at(f"{url}.old"), at(new))
        return
    with pytest.raises(InputError, match=f"ids are not unique: {named}, and each would get .* Name a column whose"):
        plan(translator(), at(f"{url}.old"), at(new))
    with pytest.raises(InputError, match=f"ids are not unique: {named}"):
        il.plan(f"{url}.old")
    # Only the rows that are read count.
    chosen = "id::varchar not in ('17', 'k59')"
    assert plan(translator(), at(f"{url}.old"), at(new), Options(where=chosen)).rows == 58
    assert il.plan(f"{url}.old", where=chosen).rows == 58


@pytest.mark.parametrize("scheme", ["file", "lancedb", "faiss", pytest.param("postgresql", marks=pytest.mark.store)])
@pytest.mark.parametrize("kind", ["int", "text"])
def test_a_plan_refuses_repeated_ids_of_every_store_that_has_them(
    scheme: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rows = unit(60, D_IN, 3)
    numbers = [min(i, 58) for i in range(60)]
    table = pa.table(
        {
            "id": numbers if kind == "int" else [f"k{number}" for number in numbers],
            "vector": pa.array(rows.tolist(), pa.list_(pa.float32(), D_IN)),
        }
    )
    pq.write_table(table, tmp_path / "old.parquet")
    address = f"file://{tmp_path}/old.parquet"
    if scheme == "lancedb":
        pytest.importorskip("lancedb").connect(tmp_path / "old.db").create_table("items", table)
        address = f"lancedb://{tmp_path}/old.db#items.vector"
    if scheme == "faiss":
        faiss = pytest.importorskip("faiss")
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(D_IN))
        index.add_with_ids(rows, np.array(numbers))
        faiss.write_index(index, str(tmp_path / "old.faiss"))
        address = f"faiss://{tmp_path}/old.faiss"
    if scheme == "postgresql":
        place = request.getfixturevalue("postgres")
        psycopg = pytest.importorskip("psycopg")
        with psycopg.connect(place) as connection:
            connection.execute(f"create table items (id {'bigint' if kind == 'int' else 'text'}, v vector({D_IN}))")
            lines = zip(table["id"].to_pylist(), map(str, rows.tolist()), strict=True)
            connection.cursor().executemany("insert into items values (%s, %s)", list(lines))
        address = f"{place}#items.v"
    message = "(not unique: (several|2) rows have|(is|are) repeated)"
    with pytest.raises(InputError, match=message):
        il.plan(address)
    with (
        open_source(address) as old,
        open_store(f"file://{tmp_path}/new.parquet") as new,
        pytest.raises(InputError, match=message),
    ):
        plan(translator(), old, new)


@pytest.mark.parametrize("kind", ["decimal(20,0)", "hugeint", "timestamp", "blob", "double", "date", "boolean"])
def test_ids_that_are_neither_numbers_nor_text_are_refused_in_the_plan(
    kind: str, at: Callable[[str], Store], tmp_path: Path
) -> None:
    values = {"timestamp": "timestamp '2024-01-01' + to_days(i::int)", "blob": "encode('k' || i)"}
    values["date"] = "date '2024-01-01' + i::int"
    old = at(duck(tmp_path, kind, values.get(kind, "i")) + ".old")
    with pytest.raises(InputError, match="whole numbers or text are needed. Name another column with \\?id="):
        plan(translator(), old, at(str(tmp_path / "new.parquet")))


@pytest.mark.parametrize("kind", ["tinyint", "bigint", "utinyint", "ubigint", "uuid", "varchar"])
def test_ids_of_other_types_keep_their_values(kind: str, at: Callable[[str], Store], tmp_path: Path) -> None:
    values = "'00000000-0000-4000-8000-' || lpad(i::varchar, 12, '0')" if kind == "uuid" else "i"
    url = duck(tmp_path, kind, values)
    new = at(str(tmp_path / "new.parquet"))
    migrate(translator(), at(f"{url}.old"), new, journal=tmp_path / "j", options=Options(page_rows=7))
    assert_migrated(whole(at(f"{url}.old")), at(str(tmp_path / "new.parquet")))


@pytest.mark.parametrize("first", [40, 41])
@pytest.mark.parametrize("target", ["new.parquet", "qdrant"])
def test_ids_of_two_kinds_are_kept_wherever_they_meet(
    first: int, target: str, at: Callable[[str], Store], tmp_path: Path
) -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
    client = qdrant.QdrantClient(path=str(tmp_path / "q"))
    size = qdrant.models.VectorParams(size=D_IN, distance=qdrant.models.Distance.COSINE)
    client.create_collection("mixed", vectors_config=size)
    ids = [*range(first), *(str(uuid.uuid5(uuid.NAMESPACE_URL, str(i))) for i in range(30))]
    client.upsert("mixed", qdrant.models.Batch(ids=ids, vectors=unit(len(ids), D_IN, 3).tolist()))
    client.close()
    new = at(f"qdrant://{tmp_path}/new#mixed" if target == "qdrant" else str(tmp_path / target))
    old = at(f"qdrant://{tmp_path}/q#mixed")
    records = whole(old)
    assert records.ids.to_pylist()[:first] == [str(i) for i in range(first)]
    migrate(translator(), old, new, journal=tmp_path / "j", options=Options(page_rows=20))
    assert_migrated(records, new)


@pytest.mark.parametrize("target", ["parquet", "jsonl", "duckdb", "memory"])
@pytest.mark.parametrize("names", [("id",), ("ID",), ("id", "_id"), ("ids",)])
def test_payload_may_have_the_name_of_the_ids(
    names: tuple[str, ...], target: str, at: Callable[[str], Store], tmp_path: Path
) -> None:
    payload = {name: pa.array([59 - i for i in range(60)]) for name in names}
    vectors = pa.array(unit(60, D_IN, 3).tolist(), pa.list_(pa.float32(), D_IN))
    pq.write_table(
        pa.table({"key": [f"k{i}" for i in range(60)], **payload, "vector": vectors}), tmp_path / "o.parquet"
    )
    if target == "duckdb":
        pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    urls = {"duckdb": f"duckdb://{tmp_path}/new.duckdb#t.v", "memory": "memory://ids#new"}
    url = urls.get(target, str(tmp_path / f"new.{target}"))
    old = f"file://{tmp_path}/o.parquet?id=key"
    migrate(translator(), at(old), at(url), journal=tmp_path / "j")
    assert_migrated(whole(at(old)), at(url))


def test_payload_that_has_every_name_of_ids_is_refused(at: Callable[[str], Store], tmp_path: Path) -> None:
    table = pa.table({"id": range(60), "interlingua_id": range(60)})
    fill(at("memory://ids#old"), pa.array(range(60)), table)
    with pytest.raises(InputError, match="the payload has columns 'id' and 'interlingua_id'"):
        plan(translator(), at("memory://ids#old"), at(str(tmp_path / "new.parquet")))


@pytest.mark.parametrize("scheme", ["milvus", "faiss"])
def test_numbers_beyond_64_bits_with_sign_are_refused(scheme: str) -> None:
    check_int64(pa.array([2**63 - 1], pa.uint64()), scheme)
    check_int64(pa.array([], pa.uint64()), scheme)
    with pytest.raises(InputError, match=f"{scheme}: the id {2**63} is too large"):
        check_int64(pa.array([1, 2**63], pa.uint64()), scheme)


def test_equal_hashes_are_no_equal_ids(at: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.stores._distinct._numbers", lambda ids: np.zeros(len(ids), np.int64))
    fill(at("memory://ids#old"), pa.array(["a", "b", "c"]), None)
    distinct = DistinctIds(pa.string(), "x")
    distinct.add(pa.array(["a", "b", "c"]), 0)
    distinct.check_distinct(at("memory://ids#old"), 2)


@pytest.mark.parametrize("page", [3, 60])
def test_a_zero_vector_is_named_by_its_id_and_store(page: int, at: Callable[[str], Store], tmp_path: Path) -> None:
    records = fill(at("memory://ids#old"), pa.array([f"k{i}" for i in range(60)]), None)
    spoiled = np.array(records.vectors)
    spoiled[7] = 0
    at("memory://ids#old").upsert(Records(records.ids, spoiled, None))
    with pytest.raises(InputError, match="memory://ids#old: 1 of .* is all zeros.*That row has the id 'k7'"):
        migrate(
            translator(), at("memory://ids#old"), at(str(tmp_path / "n.parquet")), journal=tmp_path / "j",
            options=Options(page_rows=page),
        )  # fmt: skip


_EDGES = {
    "smallest": pa.array([-(2**63), -1, 0, 2**63 - 1]),
    "empty": pa.array(["", "a", "b", "c"]),
    "control": pa.array(["a\0", "b\x01", "c\x1f\x7f", "d\n\r\t\b\f\v"]),
    "quotes": pa.array(["'", '"', "\\", "\\\\b", "\\b", "C:\\new\\table", "\\\"'`"]),
    "long": pa.array([f"{'x' * 70_000}{i}" for i in range(4)]),
}


@pytest.mark.parametrize("name", _EDGES)
@pytest.mark.parametrize("scheme", ["duckdb", "lancedb", "milvus", "chroma"])
def test_ids_at_the_edges_of_their_type_are_kept_or_refused_before_anything_is_made(
    scheme: str, name: str, at: Callable[[str], Store], tmp_path: Path
) -> None:
    pytest.importorskip({"milvus": "milvus_lite", "chroma": "chromadb"}.get(scheme, scheme))
    vector = "" if scheme == "chroma" else ".vector"
    ids, address = _EDGES[name], f"{scheme}://{tmp_path}/database.db#new{vector}"
    records = fill(at("memory://ids#old"), ids, None)
    options, journal = Options(page_rows=3, ids_as_text=scheme == "chroma"), tmp_path / "j"
    refused = {("milvus", "long"): "has 70,001 bytes, and at most", ("chroma", "empty"): "the id '' has 0 bytes"}
    if (scheme, name) in refused:
        with pytest.raises(InputError, match=refused[scheme, name]):
            migrate(translator(), at("memory://ids#old"), at(address), journal=journal, options=options)
        assert not at(address).exists()
        assert not journal.exists()
        return
    migrate(translator(), at("memory://ids#old"), at(address), journal=journal, options=options)
    assert_migrated(options.as_written(records), at(address))
    written = options.as_written(records).ids
    assert at(address).fetch(written).ids.equals(written)
    single = [value for page, _ in at(address).scan(1) for value in page.ids.to_pylist()]
    assert sorted(single) == sorted(written.to_pylist())


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("column", ["id", "payload"])
@pytest.mark.parametrize("extension", [".parquet", ".arrow"])
def test_text_of_a_file_that_is_no_utf8_is_refused_with_its_column(
    extension: str, column: str, nested: bool, at: Callable[[str], Store], tmp_path: Path
) -> None:
    offsets = pa.py_buffer(np.arange(5, dtype=np.int32))
    text = pa.Array.from_buffers(pa.string(), 4, [None, offsets, pa.py_buffer(b"ab\xffc")])
    if nested and column == "payload":
        text = pa.array([["a"], ["b"], ["c"], ["d"]]).from_arrays(pa.array(range(5), pa.int32()), text)
    good = pa.array(["a", "b", "c", "d"])
    vectors = pa.array(unit(4, D_IN, 3).tolist(), pa.list_(pa.float32(), D_IN))
    columns = {"id": good, "payload": good, "vector": vectors, column: text}
    path = tmp_path / f"old{extension}"
    if extension == ".parquet":
        pq.write_table(pa.table(columns), path)
    else:
        with pa.ipc.new_file(path, pa.table(columns).schema) as file:
            file.write_table(pa.table(columns))
    with pytest.raises(InputError, match=r"column '\w+' holds values that are invalid .*UTF8|Invalid UTF8"):
        migrate(translator(), at(str(path)), at(str(tmp_path / "new.jsonl")), journal=tmp_path / "j")
    assert not (tmp_path / "j").exists()
