"""What can be wrong with a migration, each with its message; and nothing is left half written.

A case makes what it needs in an empty folder and returns the addresses of source and target, and what else `migrate`
takes. It must be refused, and then the folder must hold what the case put there and nothing more.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlingua.core.errors import InputError, InterlinguaError
from interlingua.stores import STORES, Records, Spec, Store, open_store
from interlingua.stores._documents import from_documents
from interlingua.stores._journal import FORMAT, MigrationJournal
from interlingua.stores.memory import MemoryStore
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options, plan
from stores.contract import uuids
from stores.migrations import D_IN, D_OUT, assert_migrated, fill, translator, unit

N = 40
Made = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """A folder, and things in it."""

    folder: Path

    def at(self, name: str) -> str:
        return str(self.folder / name)

    def parquet(
        self, *, vectors: Any = None, ids: Any = None, n: int = N, name: str = "old.parquet", **more: Any
    ) -> str:
        rows = unit(N, D_IN, 3).tolist() if vectors is None else vectors
        columns = {"id": pa.array(range(len(rows)) if ids is None else ids)}
        columns["vector"] = rows if isinstance(rows, pa.Array) else pa.array(rows, pa.list_(pa.float32()))
        pq.write_table(pa.table(columns | more), self.folder / "old.parquet")
        return self.at("old.parquet")

    def spoiled(self, value: float, *, whole: bool = False) -> str:
        rows = unit(N, D_IN, 3)
        rows[17, slice(None) if whole else 2] = value
        return self.parquet(vectors=rows.tolist())

    def text(self, name: str, content: str | bytes) -> str:
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.at(name)

    def memory(self, name: str, ids: Any = None, payload: pa.Table | None = None, **more: Any) -> str:
        fill(open_store(f"memory://bad#{name}"), pa.array(range(N) if ids is None else ids), payload, **more)
        return f"memory://bad#{name}"

    def duck(self, definition: str, rows: str = "") -> str:
        duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
        with duckdb.connect(self.at("d.duckdb")) as db:
            db.execute(f"create table t ({definition})")
            if rows:
                db.execute(f"insert into t {rows}")
        return f"duckdb://{self.at('d.duckdb')}#t.v"

    def qdrant(self, name: str) -> str:
        pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
        return f"qdrant://{self.at('q')}#{name}"

    def edge(self, name: str) -> str:
        pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
        return f"qdrant-edge://{self.folder}#{name}"

    def faiss(self, ids: Any) -> str:
        faiss = pytest.importorskip("faiss", reason="the extra faiss is not installed")
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(D_IN))
        index.add_with_ids(unit(len(ids), D_IN, 3), np.asarray(ids, np.int64))
        faiss.write_index(index, self.at("old.faiss"))
        return f"faiss://{self.at('old.faiss')}"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


CASES: dict[str, tuple[Callable[[Place], Made], str]] = {}


def case(message: str) -> Callable[[Callable[[Place], Made]], Callable[[Place], Made]]:
    def register(make: Callable[[Place], Made]) -> Callable[[Place], Made]:
        CASES[make.__name__] = make, message
        return make

    return register


def address(name: str, source: str, message: str) -> None:
    """A source that is refused for what its address says."""
    CASES[name] = (lambda place: (source, place.at("new.parquet"), {})), message


address("no_address", "", "is empty; a path or a URL")
address("unknown_scheme", "mongodb://host/db#t", "mongodb:// is not a store")
address("python_as_scheme", "os.system://x", "is not a store")
address("password_in_address", "postgresql://me:s3cret@host/db#t.v", "holds a password")
address("unknown_option", "qdrant://host?timeout=3#c", "option 'timeout'; known are: https")
address("option_without_a_value", "postgresql://host/db?s3cret#t.v", "has an option without a value")
for kind in STORES.values():
    for option in kind.secret_options:
        address(f"{kind.scheme}_with_{option}", f"{kind.scheme}://host/db?{option}=s3cret#t.v", "holds a password")
address("no_slashes", "postgresql:me:s3cret@host/db#t.v", "neither a path nor of the form scheme://")
address(
    "leading_blank", " postgresql://me:s3cret@host/db#t.v", "may hold a secret. Write it as one of: file://, memory"
)
address("jdbc", "jdbc:postgresql://host/db?user=me&password=s3cret", "neither a path nor of the form scheme://")
address("key_value_string", "host=x dbname=db password = s3cret", "neither a path nor of the form scheme://")
address("port_is_no_number", "qdrant://host:port#c", "cannot be read")
address("bracket_left_open", "qdrant://[::1#c", "cannot be read")
address("memory_without_collection", "memory://bad", "names no collection")
address("lance_without_table", "lancedb:///tmp/x", "names no table")
address("duckdb_without_table", "duckdb:///tmp/x.duckdb", "names no table")
address("qdrant_without_collection", "qdrant:///tmp/x", "names no collection")
address("edge_without_shard", "qdrant-edge:///tmp/x", "names no shard")
address("edge_on_a_server", "qdrant-edge://host:1/tmp/x#c", "names a path and has a user or a port")
address("edge_with_a_path_as_name", "qdrant-edge:///tmp/x#c%2Fd", "cannot be the name of a folder")
address("edge_with_a_folder_as_name", "qdrant-edge:///tmp/x#c.%2E%2E", "cannot be the name of a folder")
address("edge_with_a_long_name", f"qdrant-edge:///tmp/x#c.{'é' * 101}", "cannot be the name of a folder")
address("faiss_with_collection", "faiss:///tmp/x.faiss#c", "has no collections")
address("faiss_with_unknown_index", "faiss:///tmp/x.faiss?index=ivf", "flat or hnsw")
address("empty_name", "memory://bad#a..b", "empty name")
address("zero_byte_in_name", "memory://bad#a%00b", "empty name")
address("three_names", "memory://bad#a.b.c", "names no collection")
address("no_such_file", "not-there.parquet", "no such file")
address("no_such_collection", "memory://bad#nothing", "does not exist; collections are")


@case("is a folder")
def folder_for_a_file(place: Place) -> Made:
    (place.folder / "old.parquet").mkdir()
    return place.at("old.parquet"), place.at("new.parquet"), {}


@case("unknown extension")
def extension_nobody_knows(place: Place) -> Made:
    return place.text("old.xlsx", "1,2"), place.at("new.parquet"), {}


@case("not a whole Parquet file")
def truncated_parquet(place: Place) -> Made:
    whole = Path(place.parquet()).read_bytes()
    return place.text("old.parquet", whole[: len(whole) // 2]), place.at("new.parquet"), {}


@case("not a whole Parquet file")
def text_named_parquet(place: Place) -> Made:
    return place.text("old.parquet", "hello"), place.at("new.parquet"), {}


@case("at least 1 row")
def empty_parquet(place: Place) -> Made:
    return place.parquet(vectors=pa.array([], pa.list_(pa.float32()))), place.at("new.parquet"), {}


@case("no column 'nope'")
def missing_column(place: Place) -> Made:
    return f"file://{place.parquet()}#nope", place.at("new.parquet"), {}


@case("could all be the vectors. Name one in the address, file://.*old.parquet#COLUMN")
def two_vector_columns(place: Place) -> Made:
    rows = pa.array(unit(N, D_IN, 4).tolist(), pa.list_(pa.float32()))
    url = place.parquet(embedding=rows)
    return url, place.at("new.parquet"), {}


@case("no id column 'nope'")
def missing_id_column(place: Place) -> Made:
    return f"file://{place.parquet()}?id=nope", place.at("new.parquet"), {}


@case("3 ids in 'id' are null")
def null_ids(place: Place) -> Made:
    return place.parquet(ids=[None] * 3 + list(range(3, N))), place.at("new.parquet"), {}


@case("2 of 40 ids in 'id' are repeated")
def repeated_ids(place: Place) -> Made:
    return place.parquet(ids=["a", "a", "a", *map(str, range(3, N))]), place.at("new.parquet"), {}


@case("ids in 'id' are double")
def fractions_as_ids(place: Place) -> Made:
    return place.parquet(ids=[i + 0.5 for i in range(N)]), place.at("new.parquet"), {}


@case("row 7 of column 'vector' is null")
def null_vector(place: Place) -> Made:
    rows = unit(N, D_IN, 3).tolist()
    return place.parquet(vectors=[*rows[:7], None, *rows[8:]]), place.at("new.parquet"), {}


@case("row 9 of column 'vector' has 2 values")
def ragged_vector(place: Place) -> Made:
    rows = unit(N, D_IN, 3).tolist()
    return place.parquet(vectors=[*rows[:9], [1.0, 2.0], *rows[10:]]), place.at("new.parquet"), {}


@case("null values inside vectors")
def null_inside_a_vector(place: Place) -> Made:
    rows: list[Any] = unit(N, D_IN, 3).tolist()
    rows[4][1] = None
    return place.parquet(vectors=rows), place.at("new.parquet"), {}


@case("NaN or infinity")
def not_a_number(place: Place) -> Made:
    return place.spoiled(float("nan")), place.at("new.parquet"), {}


@case("NaN or infinity")
def infinity(place: Place) -> Made:
    return place.spoiled(float("inf")), place.at("new.parquet"), {}


@case("all zeros")
def zero_vector(place: Place) -> Made:
    return place.spoiled(0.0, whole=True), place.at("new.parquet"), {}


@case("has width 5; this translator takes 12. Is it from another model")
def wrong_width(place: Place) -> Made:
    return place.parquet(vectors=unit(N, 5, 3).tolist()), place.at("new.parquet"), {}


@case("has width 8; this translator takes 12. Use inverse=True")
def width_of_the_other_side(place: Place) -> Made:
    return place.parquet(vectors=unit(N, D_OUT, 3).tolist()), place.at("new.parquet"), {}


@case("float16, float32, float64, or int8 with a scale are needed")
def whole_numbers_as_vectors(place: Place) -> Made:
    rows = pa.array([[1] * D_IN] * N, pa.list_(pa.int64()))
    return place.parquet(vectors=rows), place.at("new.parquet"), {}


@case("object array")
def pickled_npy(place: Place) -> Made:
    np.save(place.folder / "old.npy", np.array([{}, {}], object), allow_pickle=True)
    return place.at("old.npy"), place.at("new.npy"), {}


@case("truncated|fewer|bytes")
def truncated_npy(place: Place) -> Made:
    np.save(place.folder / "old.npy", unit(N, D_IN, 3))
    whole = (place.folder / "old.npy").read_bytes()
    return place.text("old.npy", whole[:-100]), place.at("new.npy"), {}


@case("line 2")
def broken_json(place: Place) -> Made:
    return place.text("old.jsonl", '{"id": 1, "vector": [1, 2]}\n{"id": 2, "vec'), place.at("new.parquet"), {}


@case("vector")
def words_as_vectors(place: Place) -> Made:
    return place.text("old.jsonl", '{"id": 1, "vector": "hello"}\n'), place.at("new.parquet"), {}


@case("is empty; at least 1 row")
def empty_collection(place: Place) -> Made:
    url = place.memory("empty", ids=[1])
    open_store(url)._open()[1].rows.clear()  # type: ignore[attr-defined]
    return url, place.at("new.parquet"), {}


@case("none.duckdb does not exist. With two slashes the path is relative to this folder: duckdb://[^/]")
def missing_database_file(place: Place) -> Made:
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    return f"duckdb://{place.at('none.duckdb')}#t.v", place.at("new.parquet"), {}


@case("cannot be opened")
def file_that_is_no_database(place: Place) -> Made:
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    return f"duckdb://{place.text('d.duckdb', 'x' * 5000)}#t.v", place.at("new.parquet"), {}


@case(r"must name a FLOAT\[d\] column; there are: none")
def table_without_vectors(place: Place) -> Made:
    return place.duck("id int, v varchar", "values (1, 'x')"), place.at("new.parquet"), {}


@case("no id column")
def table_without_ids(place: Place) -> Made:
    return place.duck(f"v float[{D_IN}]", f"select {[1.0] * D_IN}"), place.at("new.parquet"), {}


@case("the only row has no vector. Name a column or file")
def null_vector_in_a_table(place: Place) -> Made:
    return place.duck(f"id int, v float[{D_IN}]", "values (1, null)"), place.at("new.parquet"), {}


@case("1 id in 'id' is null")
def null_id_in_a_table(place: Place) -> Made:
    return place.duck(f"id int, v float[{D_IN}]", f"select null, {[1.0] * D_IN}"), place.at("new.parquet"), {}


@case("q does not exist. With two slashes the path is relative to this folder: qdrant://./")
def missing_qdrant_collection(place: Place) -> Made:
    return place.qdrant("nothing"), place.at("new.parquet"), {}


@case("its vectors are: first")
def missing_named_vector(place: Place) -> Made:
    with open_store(place.qdrant("c.first")) as store:
        fill(store, pa.array([1, 2]), None)
    return place.qdrant("c.second"), place.at("new.parquet"), {}


@case("does not exist; shards are: none")
def missing_edge_shard(place: Place) -> Made:
    return place.edge("nothing"), place.at("new.parquet"), {}


@case("its vectors are: first")
def missing_edge_vector(place: Place) -> Made:
    with open_store(place.edge("c.first")) as store:
        fill(store, pa.array([1, 2]), None)
    return place.edge("c.second"), place.at("new.parquet"), {}


@case("#c cannot be read: Expecting value")
def damaged_edge_config(place: Place) -> Made:
    with open_store(place.edge("c")) as store:
        fill(store, pa.array([1, 2]), None)
    Path(place.at("c/edge_config.json")).write_text('{"vectors":')
    return place.edge("c"), place.at("new.parquet"), {}


@case("does not exist; create it or choose another")
def edge_shard_in_no_folder(place: Place) -> Made:
    return place.parquet(), place.edge("c").replace("#", "/no#"), {}


@case("exists and is not a shard; choose another name")
def edge_shard_in_a_used_folder(place: Place) -> Made:
    target = place.edge("c")
    Path(place.at("c")).mkdir(parents=True)
    Path(place.at("c/note.txt")).write_text("mine")
    return place.parquet(), target, {}


@case("not an index that FAISS can read")
def broken_index(place: Place) -> Made:
    place.faiss([1])
    return f"faiss://{place.text('old.faiss', 'hello')}", place.at("new.parquet"), {}


@case("ids are repeated")
def repeated_ids_in_an_index(place: Place) -> Made:
    return place.faiss([1, 1, 2]), place.at("new.parquet"), {}


@case("none.faiss does not exist. With two slashes the path is relative")
def missing_index(place: Place) -> Made:
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    return f"faiss://{place.at('none.faiss')}", place.at("new.parquet"), {}


@case("exists, and nothing is overwritten")
def target_file_is_there(place: Place) -> Made:
    return place.parquet(), place.text("new.parquet", "mine"), {}


@case("exists, and nothing is overwritten")
def target_collection_is_there(place: Place) -> Made:
    return place.memory("old"), place.memory("new"), {}


@case("does not exist; create it")
def target_folder_is_missing(place: Place) -> Made:
    return place.parquet(), place.at("none/new.parquet"), {}


@case("a migration writes .parquet")
def target_format_without_ids(place: Place) -> Made:
    return place.parquet(), place.at("new.npz"), {}


@case("holds neither ids nor payload")
def payload_into_npy(place: Place) -> Made:
    return place.parquet(year=pa.array(range(N))), place.at("new.npy"), {}


@case("holds neither ids nor payload")
def text_ids_into_npy(place: Place) -> Made:
    return place.parquet(ids=[f"r{i}" for i in range(N)]), place.at("new.npy"), {}


@case("JSON has no dates or bytes as in column 'day'")
def dates_into_json(place: Place) -> Made:
    return place.parquet(day=pa.array(range(N), pa.timestamp("us"))), place.at("new.jsonl"), {}


@case("is the source itself")
def target_is_the_source(place: Place) -> Made:
    return place.parquet(), place.at("../" + place.folder.name + "/old.parquet"), {}


@case("is the source itself")
def target_is_the_sources_collection(place: Place) -> Made:
    return place.memory("old"), "memory://bad#old", {}


@case("is the input .*itself, which is never overwritten. Choose another name")
def another_column_of_the_sources_file(place: Place) -> Made:
    url = f"file://{place.parquet()}"
    return f"{url}#vector", f"{url}#other", {}


@case("the ids are string and FAISS keeps int ids only")
def numbers_and_uuids_as_qdrant_ids_on_different_pages(place: Place) -> Made:
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    for ids in (pa.array(range(260), pa.uint64()), pa.array(uuids(20))):
        with open_store(place.qdrant("old")) as store:
            records = Records(ids, unit(len(ids), D_IN, 3))
            if not store.exists():
                store.create(Spec(D_IN, "cosine", ids.type, None, 280))
            store.prepare(Spec(D_IN, "cosine", ids.type, None, 280), 0)
            store.upsert(records)
    return (
        place.qdrant("old"),
        f"faiss://{place.at('new.faiss')}",
        {"options": Options(drop_payload=True, page_rows=20)},
    )


@case(r"UUIDs only\. Add a column of such ids to the source and name it in its address, \?id=COLUMN; the old ids are")
def words_as_qdrant_ids(place: Place) -> Made:
    return place.memory("old", ids=[f"r{i}" for i in range(N)]), place.qdrant("new"), {}


@case("Qdrant takes whole numbers from 0 to .* and UUIDs only")
def negative_qdrant_ids(place: Place) -> Made:
    return place.memory("old", ids=range(-5, N - 5)), place.qdrant("new"), {}


@case("Qdrant takes whole numbers from 0 to .* and UUIDs only")
def words_as_edge_qdrant_ids(place: Place) -> Made:
    return place.memory("old", ids=[f"r{i}" for i in range(N)]), place.edge("new"), {}


@case("holds 18446744073709551616, which has no 64 bits")
def long_numbers_into_qdrant_edge(place: Place) -> Made:
    return place.memory("old", payload=from_documents([{"n": {"m": [2**64]}}] * N)), place.edge("new"), {}


@case("holds nan, which a document cannot hold")
def nan_in_the_payload_into_qdrant_edge(place: Place) -> Made:
    return place.memory("old", payload=pa.table({"n": [float("nan")] * N})), place.edge("new"), {}


@case("FAISS keeps int ids only")
def words_as_faiss_ids(place: Place) -> Made:
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    return place.memory("old", ids=[f"r{i}" for i in range(N)]), f"faiss://{place.at('new.faiss')}", {}


@case(f"the id {2**63 + N - 1} is too large")
def long_ids_into_faiss(place: Place) -> Made:
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    ids = pa.array(range(2**63, 2**63 + N), pa.uint64())
    return place.parquet(id=ids), f"faiss://{place.at('new.faiss')}", {}


@case("holds no payload and the source has year")
def payload_into_faiss(place: Place) -> Made:
    pytest.importorskip("faiss", reason="the extra faiss is not installed")
    return place.parquet(year=pa.array(range(N))), f"faiss://{place.at('new.faiss')}", {}


@case("DuckDB has no metric 'l2'")
def metric_the_target_lacks(place: Place) -> Made:
    url = place.duck("id int")
    return place.parquet(), url.replace("#t.v", "#new.v"), {"options": Options(metric="l2")}


@case("names no column to write to")
def target_without_a_column_name(place: Place) -> Made:
    return place.parquet(), place.duck("id int").replace("#t.v", "#new"), {}


@case("There is no metric 'hamming'")
def metric_nobody_has(place: Place) -> Made:
    return place.parquet(), place.at("new.parquet"), {"options": Options(metric="hamming")}  # type: ignore[arg-type]


@case("holds bytes values, which a document cannot hold")
def bytes_into_documents(place: Place) -> Made:
    return place.memory("old", payload=pa.table({"raw": [b"\x00"] * N})), place.qdrant("new"), {}


@case("no row meets the condition 'id > 1000'")
def condition_that_no_row_meets(place: Place) -> Made:
    url = place.duck(f"id int, v float[{D_IN}]", f"select 1, {[0.5] * D_IN}")
    return url, place.at("new.parquet"), {"options": Options(where="id > 1000")}


@case("is the journal of an earlier run")
def journal_of_an_earlier_run(place: Place) -> Made:
    MigrationJournal(place.folder / "mine.sqlite", create=True).close()
    return place.parquet(), place.at("new.parquet"), {"journal": place.at("mine.sqlite")}


@case("The folder .* does not exist; create it or choose another")
def journal_in_no_folder(place: Place) -> Made:
    return place.parquet(), place.at("new.parquet"), {"journal": place.at("none/j.sqlite")}


@case("no such journal")
def nothing_to_resume(place: Place) -> Made:
    return place.parquet(), place.at("new.parquet"), {"resume": True}


@case("is not a journal of a migration")
def journal_is_something_else(place: Place) -> Made:
    journal = place.text("notes.txt", "dear diary, " * 500)
    return place.parquet(), place.at("new.parquet"), {"resume": True, "journal": journal}


def journal_of_format(place: Place, number: int) -> None:
    journal = MigrationJournal(place.folder / "mine.sqlite", create=True)
    journal.note(format=number)
    journal.close()


@case(f"another format than {FORMAT}")
def journal_of_an_older_version(place: Place) -> Made:
    journal_of_format(place, 8)  # whose marks are others
    return place.parquet(), place.at("new.parquet"), {"resume": True, "journal": place.at("mine.sqlite")}


@case(f"another format than {FORMAT}")
def journal_of_a_newer_version(place: Place) -> Made:
    journal_of_format(place, FORMAT + 1)
    return place.parquet(), place.at("new.parquet"), {"resume": True, "journal": place.at("mine.sqlite")}


@case("is not a journal of a migration .no such table: fact.. Choose another file")
def journal_with_other_tables(place: Place) -> Made:
    with sqlite3.connect(place.at("other.sqlite")) as db:
        db.execute("create table t (x)")
    return place.parquet(), place.at("new.parquet"), {"resume": True, "journal": place.at("other.sqlite")}


def contents(folder: Path) -> dict[str, bytes | None]:
    kept = (path for path in folder.rglob("*") if "q/" not in f"{path.relative_to(folder)}/")
    return {str(path): path.read_bytes() if path.is_file() else None for path in kept}


def attempt(source: str, target: str, opened: list[Store], more: dict[str, Any]) -> None:
    opened.append(open_store(source))
    opened.append(open_store(target))
    migrate(translator(), *opened, **more)


def test_the_table_is_long_enough() -> None:
    assert len(CASES) >= 60


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    [
        "words_as_qdrant_ids", "negative_qdrant_ids", "words_as_edge_qdrant_ids", "long_numbers_into_qdrant_edge",
        "nan_in_the_payload_into_qdrant_edge", "words_as_faiss_ids", "bytes_into_documents", "long_ids_into_faiss",
    ],
)  # fmt: skip
def test_a_plan_refuses_rows_that_the_migration_would_refuse(name: str, place: Place) -> None:
    make, message = CASES[name]
    source, target, _ = make(place)
    closing = contextlib.closing
    with (
        closing(open_store(source)) as old,
        closing(open_store(target)) as new,
        pytest.raises(InputError, match=message),
    ):
        plan(translator(), old, new)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::interlingua.core.errors.SpaceMismatchWarning")
@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_nothing_is_half_written(name: str, place: Place) -> None:
    make, message = CASES[name]
    source, target, more = make(place)
    before = contents(place.folder)
    opened: list[Store] = []
    try:
        with pytest.raises(InterlinguaError, match=message) as refused:
            attempt(source, target, opened, {"journal": place.at("journal.sqlite"), **more})
        assert "s3cret" not in str(refused.value)
    finally:
        for store in opened:
            store.close()
    assert contents(place.folder) == before


def test_a_full_disk_stops_the_copy_and_resume_ends_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_store(place.memory("old"))
    rows = source.fetch(pa.array(range(N)))
    calls = iter(range(100))

    def full(stream: Any, data: Any) -> None:
        if next(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        stream.write(data)

    options = Options(page_rows=5)
    target = open_store(place.at("new.parquet"))
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.io._writer._write", full)
        with pytest.raises(OSError, match="No space left"):
            migrate(translator(), source, target, journal=place.at("j"), options=options)
    assert not Path(place.at("new.parquet")).exists()
    target.close()
    done = migrate(
        translator(), source, open_store(place.at("new.parquet")), journal=place.at("j"), options=options, resume=True
    )
    assert done.resumed_from == 10
    assert_migrated(rows, open_store(place.at("new.parquet")))


def test_too_little_room_is_seen_before_anything_is_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.stores.planning._free", lambda url: 1000)
    source, target = open_store(place.memory("old")), open_store(place.at("new.parquet"))
    with pytest.raises(InputError, match="are free. Make room"):
        migrate(translator(), source, target, journal=place.at("j"))
    assert list(place.folder.iterdir()) == []


def test_a_server_that_goes_away_leaves_what_resume_needs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = open_store(place.memory("old")), open_store("memory://bad#new")
    rows = source.fetch(pa.array(range(N)))
    honest, calls = MemoryStore.upsert, iter(range(100))

    def gone(self: MemoryStore, records: Records) -> None:
        if next(calls) == 3:
            raise InterlinguaError(f"{self.url} did not take the rows: connection refused. Is the server up?")
        honest(self, records)

    options = Options(page_rows=5)
    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "upsert", gone)
        with pytest.raises(InterlinguaError, match="Is the server up"):
            migrate(translator(), source, target, journal=place.at("j"), options=options)
    assert migrate(translator(), source, target, journal=place.at("j"), options=options, resume=True).resumed_from == 15
    assert_migrated(rows, target)


@pytest.mark.parametrize("rows", [0, -1, 1_000_001, 10**23])
def test_pages_have_a_number_of_rows_that_clients_and_memory_take(rows: int) -> None:
    with pytest.raises(InputError, match=f"page_rows is {rows}; an integer >= 1 and <= 1000000 is needed"):
        Options(page_rows=rows)
    assert Options(page_rows=1_000_000).page_rows == 1_000_000
