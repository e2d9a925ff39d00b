"""The reference, files, and what is embedded and quick."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from interlingua.core.errors import InputError
from interlingua.stores import Records
from stores.contract import N, Open, StoreContract, uuids


class TestMemory(StoreContract):
    scheme = "memory"

    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> Callable[[str], str]:
        return lambda name: f"memory://t#{name}"


class TestParquet(StoreContract):
    scheme = "file"
    hostile = 'it\'s "a" ; DROP TABLE t'

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        return lambda name: str(tmp_path / f"{name}.parquet")


class TestJsonLines(TestParquet):
    keeps_types = False
    marks = False
    refuses = frozenset(
        {"not_finite", "bytes", "date", "time", "timestamp", "timestamp_utc", "timestamp_zone", "nanoseconds",
         "duration", "struct_of_dates", "map"}
    )  # fmt: skip
    changes = frozenset({"category", "decimal", "long_decimal"})

    def rows(self, ids: str, payload: str, n: int = N) -> Records:
        records = super().rows(ids, payload, n)
        table = records.payload.drop_columns(["day"]) if records.payload is not None else None
        return Records(records.ids, records.vectors, table)

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        return lambda name: str(tmp_path / f"{name}.jsonl")


class TestFaiss(StoreContract):
    scheme = "faiss"
    marks = False

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("faiss", reason="the extra faiss is not installed")
        return lambda name: f"faiss://{tmp_path}/{name}.faiss"


class TestFaissGraph(TestFaiss):
    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("faiss", reason="the extra faiss is not installed")
        return lambda name: f"faiss://{tmp_path}/{name}.faiss?index=hnsw"


class TestDuckDB(StoreContract):
    scheme = "duckdb"

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
        return lambda name: f"duckdb://{tmp_path}/t.duckdb#{name}.vector"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestQdrantEmbedded(StoreContract):
    scheme = "qdrant"
    marks_vectors = False

    @staticmethod
    def text_ids(n: int) -> list[str]:
        return uuids(n)

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
        return lambda name: f"qdrant://{tmp_path}/q#{name}.first"

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_written_rows_are_on_the_disk_before_anybody_closes(self, opened: Open, tmp_path: Path) -> None:
        store = opened("things")
        self.fill(store, self.rows("int", "documents"))
        with sqlite3.connect(tmp_path / "q" / "collection" / "things" / "storage.sqlite") as database:
            assert database.execute("select count(*) from points").fetchone() == (N,)
        database.close()

    def test_rows_that_are_refused_leave_disk_and_memory_alike(self, opened: Open, tmp_path: Path) -> None:
        store, records = opened("things"), self.rows("int", "documents")
        self.fill(store, records.rows(0, 10))
        with pytest.raises(InputError, match="did not take the rows"):
            store.upsert(Records(records.ids[10:20], records.vectors[10:20, :5], records.payload.slice(10, 10)))  # type: ignore[union-attr]
        store.upsert(records.rows(20))
        with sqlite3.connect(tmp_path / "q" / "collection" / "things" / "storage.sqlite") as database:
            assert database.execute("select count(*) from points").fetchone() == (store.info().count,)
        database.close()


class TestQdrantEdge(StoreContract):
    scheme = "qdrant-edge"
    marks_vectors = False

    @staticmethod
    def text_ids(n: int) -> list[str]:
        return uuids(n)

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
        return lambda name: f"qdrant-edge://{tmp_path}#{name}.first"


class TestQdrantEdgeWithoutNames(TestQdrantEdge):
    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
        return lambda name: f"qdrant-edge://{tmp_path}#{name}"
