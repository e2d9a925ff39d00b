"""Stores of one database in this process share its client, which is closed with the last of them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from interlingua.cli import main
from interlingua.core.errors import InputError
from interlingua.stores import Spec, open_store
from interlingua.stores import _clients as clients
from stores.contract import tree
from stores.migrations import D_OUT, fill, translator, unit, whole

ADDRESSES = {
    "duckdb": ("duckdb", "duckdb://{}/t.duckdb#{}.v"),
    "qdrant": ("qdrant_client", "qdrant://{}/q#{}.v"),
    "qdrant-edge": ("qdrant_edge", "qdrant-edge://{}#{}.v"),
}
HEAVY = {"chroma": ("chromadb", "chroma://{}/c#{}"), "milvus": ("milvus_lite", "milvus://{}/m.db#{}")}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [*ADDRESSES, *(pytest.param(kind, marks=pytest.mark.store) for kind in HEAVY)])
def test_a_client_is_shared_and_closed_with_its_last_store(kind: str, tmp_path: Path) -> None:
    module, form = (ADDRESSES | HEAVY)[kind]
    pytest.importorskip(module, reason=f"the extra {kind} is not installed")
    before = set(clients._CLIENTS)
    first, second = open_store(form.format(tmp_path, "things")), open_store(form.format(tmp_path, "things"))
    assert set(clients._CLIENTS) == before  # a client is opened on first use
    ids = pa.array(range(20)).cast(pa.string() if kind == "chroma" else pa.int64())
    records = fill(first, ids, None)
    assert len(whole(second)) == len(records)
    assert len(set(clients._CLIENTS) - before) == 1
    first.close()
    first.close()
    assert len(whole(second)) == len(records)
    second.close()
    assert set(clients._CLIENTS) == before
    # The file or folder is unlocked, so another process can open it.
    code = (
        "from interlingua.stores import open_store\n"
        f"with open_store({form.format(tmp_path, 'things')!r}) as store:\n    print(store.info().count)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "20", done.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Qdrant leaves its lock file open
@pytest.mark.parametrize("kind", list(ADDRESSES))
def test_a_database_that_another_process_has_open_is_refused_with_what_to_do(kind: str, tmp_path: Path) -> None:
    module, form = ADDRESSES[kind]
    pytest.importorskip(module, reason=f"the extra {kind} is not installed")
    address = form.format(tmp_path, "things")
    with closing(open_store(address)) as store:
        fill(store, pa.array(range(20)), None)
    code = (
        "from interlingua.stores import open_store\n"
        f"store = open_store({address!r})\n"
        "store.prepare(None, 0) if 'duckdb' in type(store).__module__ else store.info()\n"
        "print('open', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        try:
            said = rf"another process( \(PID {other.pid}\))? has .* open\. Close it there.*name the copy"
            with open_store(address) as store, pytest.raises(InputError, match=said):
                store.info()
        finally:
            other.communicate("\n")


@pytest.mark.store
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_milvus_client_of_the_program_itself_stays_usable(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="the extra milvus is not installed")
    pymilvus = pytest.importorskip("pymilvus", reason="the extra milvus is not installed")
    own = pymilvus.MilvusClient(f"{tmp_path}/m.db")
    own.create_collection("things", dimension=12, metric_type="COSINE")
    own.insert("things", [{"id": i, "vector": [1.0, *([0.5] * 11)]} for i in range(20)])
    with open_store(f"milvus://{tmp_path}/m.db#things") as store:
        assert store.info().count == 20
    assert own.query("things", filter="", output_fields=["count(*)"])[0]["count(*)"] == 20
    own.close()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", [*ADDRESSES, *(pytest.param(kind, marks=pytest.mark.store) for kind in HEAVY)])
def test_dry_runs_and_searches_write_nothing_into_a_database_that_exists(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, form = (ADDRESSES | HEAVY)[kind]
    pytest.importorskip(module, reason=f"the extra {kind} is not installed")
    monkeypatch.chdir(tmp_path)
    translator().save("t")
    np.save("queries.npy", unit(3, D_OUT, 5))
    with open_store(form.format(tmp_path, "things")) as made, open_store("old.parquet") as old:
        ids = pa.array(range(40)) if "int" in made.capabilities.ids else pa.array([f"k{i}" for i in range(40)])
        fill(made, ids, None)
        fill(old, ids, None)
    new = form.format(tmp_path, "new")
    before = tree(tmp_path)
    assert main(["migrate", "t", "old.parquet", new, "--dry-run"]) == 0
    assert main(["search", "t", form.format(tmp_path, "things"), "--query", "queries.npy"]) == 0
    assert tree(tmp_path) == before
    assert main(["migrate", "t", "old.parquet", new, "--journal", "j"]) == 0
    before = tree(tmp_path)
    assert main(["migrate", "t", "old.parquet", new, "--journal", "j", "--catch-up", "--dry-run"]) == 0
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["ab", "a" * 513, "a b", "-ab", "ab-", "a%2E%2Eb", "192%2E168%2E0%2E1", "a" * 512, "abc"]
)
def test_names_that_chroma_refuses_are_refused_before_anything_is_made(name: str, tmp_path: Path) -> None:
    pytest.importorskip("chromadb", reason="the extra chroma is not installed")
    spec = Spec(4, "cosine", pa.string(), None, 1)
    with closing(open_store(f"chroma://{tmp_path}/c#{name}")) as store:
        if name in {"a" * 512, "abc"}:
            store.check(spec)
        else:
            with pytest.raises(InputError, match="cannot be the name of a collection: 3 to 512 letters from A to Z"):
                store.check(spec)
    assert not (tmp_path / "c").exists()
