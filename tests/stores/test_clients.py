"""Stores of one database in this process share its client, which is closed with the last of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from interlingua.stores import _clients as clients
from interlingua.stores import open_store
from stores.migrations import fill, whole

ADDRESSES = {
    "duckdb": ("duckdb", "duckdb://{}/t.duckdb#{}.v"),
    "qdrant": ("qdrant_client", "qdrant://{}/q#{}.v"),
    "qdrant-edge": ("qdrant_edge", "qdrant-edge://{}#{}.v"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ADDRESSES)
def test_a_client_is_shared_and_closed_with_its_last_store(kind: str, tmp_path: Path) -> None:
    module, form = ADDRESSES[kind]
    pytest.importorskip(module, reason=f"the extra {kind} is not installed")
    before = set(clients._CLIENTS)
    first, second = open_store(form.format(tmp_path, "things")), open_store(form.format(tmp_path, "things"))
    assert set(clients._CLIENTS) == before  # a client is opened on first use
    records = fill(first, pa.array(range(20)), None)
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
