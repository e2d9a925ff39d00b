"""The reference, files, and what is embedded and quick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interlingua.stores import Records
from interlingua.stores.memory import _DATABASES
from stores.contract import N, StoreContract, uuids


class TestMemory(StoreContract):
    @pytest.fixture
    def url(self, request: pytest.FixtureRequest) -> Callable[[str], str]:
        _DATABASES.pop(request.node.nodeid, None)
        _DATABASES.pop("t", None)
        return lambda name: f"memory://t#{name}"


class TestParquet(StoreContract):
    hostile = 'it\'s "a" ; DROP TABLE t'

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        return lambda name: str(tmp_path / f"{name}.parquet")


class TestJsonLines(TestParquet):
    def rows(self, ids: str, payload: str, n: int = N) -> Records:
        records = super().rows(ids, payload, n)
        table = records.payload.drop_columns(["day"]) if records.payload is not None else None
        return Records(records.ids, records.vectors, table)

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        return lambda name: str(tmp_path / f"{name}.jsonl")


class TestFaiss(StoreContract):
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
    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
        return lambda name: f"duckdb://{tmp_path}/t.duckdb#{name}.vector"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestQdrantEmbedded(StoreContract):
    @staticmethod
    def text_ids(n: int) -> list[str]:
        return uuids(n)

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
        return lambda name: f"qdrant://{tmp_path}/q#{name}.first"


class TestQdrantEdge(StoreContract):
    @staticmethod
    def text_ids(n: int) -> list[str]:
        return uuids(n)

    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
        return lambda name: f"qdrant-edge://{tmp_path}/e#{name}.first"


class TestQdrantEdgeWithoutNames(TestQdrantEdge):
    @pytest.fixture
    def url(self, tmp_path: Path) -> Callable[[str], str]:
        pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")
        return lambda name: f"qdrant-edge://{tmp_path}/e#{name}"
