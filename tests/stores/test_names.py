"""Names that a store cannot take are refused by the plan, before a row is read, with the rule of the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import Records, Spec, Store, open_store
from interlingua.stores.planning import plan
from stores.migrations import fill, translator, whole

LONG = "x" * 300
# Module of the client, address without names, and the number of names that an address has.
CLIENTS = {
    "lancedb": ("lancedb", "lancedb://{}/l", 2),
    "milvus": ("milvus_lite", "milvus://{}/m.db", 2),
    "qdrant": ("qdrant_client", "qdrant://{}/q", 2),
    "chroma": ("chromadb", "chroma://{}/c", 1),
    "duckdb": ("duckdb", "duckdb://{}/d.duckdb", 2),
}


def target(kind: str, folder: Path, *names: str) -> Store:
    module, address, most = CLIENTS[kind]
    pytest.importorskip(module, reason="the extra of the store is not installed")
    named = ".".join(quote(name, safe="").replace(".", "%2E") for name in names[:most])
    return open_store(f"{address.format(folder)}#{named}")


def spec(kind: str, *columns: str, **changes: Any) -> Spec:
    schema = pa.schema([pa.field(name, pa.string()) for name in columns]) if columns else None
    id_type = pa.string() if kind == "chroma" else pa.int64()
    return Spec(**{"d": 4, "metric": "cosine", "id_type": id_type, "schema": schema, "count": 1, **changes})


@pytest.mark.parametrize(
    ("kind", "names", "rule"),
    [
        (
            "lancedb",
            ("a b", "v"),
            r"'a b' cannot be the name of a table: 1 to 249 letters .* needed\. Choose",
        ),
        ("lancedb", ("..", "v"), "name of a table: 1 to 249 letters"),
        ("lancedb", (LONG, "v"), r"'x{40}'\.\.\. \(300 bytes\) cannot be the name of a table"),
        ("lancedb", ("t", "a.b"), "'a.b' cannot be the name of a vector: at least 1 character, no dot"),
        ("lancedb", ("t", "a`b"), "name of a vector: .*no grave accent"),
        ("lancedb", ("t", "_rowid"), "name of a vector: .*none of _distance, _rowid"),
        ("milvus", ("a/b", "v"), "'a/b' cannot be the name of a collection: 1 to 255 bytes, with no / and"),
        ("milvus", (LONG, "v"), "cannot be the name of a collection: 1 to 255 bytes"),
        ("milvus", ("c", "a b"), "'a b' cannot be the name of a vector: 1 to 200 letters from A to Z"),
        ("milvus", ("c", "1a"), "name of a vector: .*no digit first"),
        ("milvus", ("c", "x" * 230), r"\(230 bytes\) cannot be the name of a vector: 1 to 200 letters"),
        ("qdrant", ("a/b", "v"), "'a/b' cannot be the name of a collection: 1 to 255 characters, with none of <"),
        ("qdrant", (LONG, "v"), "name of a collection: 1 to 255 characters"),
        ("qdrant", ("c", ".."), r"'\.\.' cannot be the name of a vector: 1 to 200 bytes"),
        ("qdrant", ("c", "x" * 201), "name of a vector: 1 to 200 bytes"),
        ("chroma", ("a b",), "'a b' cannot be the name of a collection: 3 to 512 letters"),
    ],
)
def test_a_name_in_the_address_that_the_store_does_not_take_is_refused(
    kind: str, names: tuple[str, ...], rule: str, tmp_path: Path
) -> None:
    with target(kind, tmp_path, *names) as store, pytest.raises(InputError, match=rule):
        store.check(spec(kind))
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("kind", "column", "rule"),
    [
        ("lancedb", "a.b", "'a.b' cannot be the name of a column: .*Rename it, or leave the payload out with drop_pay"),
        ("lancedb", "", "'' cannot be the name of a column: at least 1 character"),
        ("lancedb", "_rowaddr", "name of a column: .*none of _distance"),
        ("duckdb", "", "'' cannot be the name of a column: at least 1 character is needed"),
        ("milvus", "$meta", r"'\$meta' cannot be the name of a field of Milvus: another name than \$meta"),
        ("chroma", "$a", r"'\$a' cannot be the name of a field of Chroma: at least 1 character, no # or \$ at the beg"),
        ("chroma", "#a", "'#a' cannot be the name of a field of Chroma"),
        ("chroma", "", "'' cannot be the name of a field of Chroma"),
        ("chroma", "chroma:other", "'chroma:other' cannot be the name of a field of Chroma"),
    ],
)
def test_a_column_of_the_payload_that_the_store_does_not_take_is_refused(
    kind: str, column: str, rule: str, tmp_path: Path
) -> None:
    with open_store(f"memory://{tmp_path}#c") as source, target(kind, tmp_path, "ccc", "v") as store:
        ids = pa.array([f"{i:03}" for i in range(60)]) if kind == "chroma" else pa.array(range(60))
        fill(source, ids, pa.table([["a"] * 60], schema=pa.schema([pa.field(column, pa.string())])))
        with pytest.raises(InputError, match=rule):
            plan(translator(), source, store)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("kind", "names", "column"),
    [
        ("lancedb", ("a.b-c_1", "ü ä/?"), "a b:'\"%"),
        ("milvus", ("ccc", "x" * 200), "a.b c"),
        ("qdrant", ("a b.ü%20", "x" * 200), "a.b"),
        ("chroma", ("a.b-c",), "chroma:document"),
        ("duckdb", ("a b.\"'/", "é %"), "c.\"'"),
    ],
)
def test_unusual_names_that_the_store_takes_hold_rows(
    kind: str, names: tuple[str, ...], column: str, tmp_path: Path
) -> None:
    with target(kind, tmp_path, *names) as store:
        made = spec(kind, column, count=3)
        ids = pa.array(["a", "b", "c"]) if kind == "chroma" else pa.array([1, 2, 3])
        rows = Records(ids, np.eye(4, dtype=np.float32)[:3], pa.table([["x", "y", "z"]], schema=made.schema))
        store.create(made)
        store.prepare(made, 0)
        store.upsert(rows)
        store.finish()
        np.testing.assert_allclose(whole(store).vectors, rows.vectors)
        store.drop()
        assert not store.exists()


def test_a_name_of_the_ids_that_the_store_does_not_take_is_refused(tmp_path: Path) -> None:
    rule = r"'a\.b' cannot be the name of a column: .* needed\. Choose another name after \?id= in the address\."
    with target("lancedb", tmp_path, "t", "v") as store, pytest.raises(InputError, match=rule):
        store.check(spec("lancedb", id_name="a.b"))


@pytest.mark.parametrize("make", [lambda path: f"{path}.parquet", lambda path: f"faiss://{path}.faiss"])
def test_the_name_of_a_file_that_would_be_too_long_is_refused(make: Callable[[Path], str], tmp_path: Path) -> None:
    address = make(tmp_path / ("é" * 122))
    if address.startswith("faiss:"):
        pytest.importorskip("faiss", reason="the extra faiss is not installed")
    with open_store(address) as store, pytest.raises(InputError, match=r"has 25\d bytes; at most 2\d\d are possible"):
        store.check(spec("file"))
    assert not list(tmp_path.iterdir())


def test_a_column_of_a_file_needs_a_name(tmp_path: Path) -> None:
    with (
        open_store(str(tmp_path / "new.parquet")) as store,
        pytest.raises(InputError, match="'' cannot be the name of a column: at least 1 character is needed"),
    ):
        store.check(spec("file", ""))
