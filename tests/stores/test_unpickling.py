"""An embedded Qdrant keeps its points as pickles; a folder from a stranger runs nothing when it is opened."""

from __future__ import annotations

import datetime
import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import open_source, open_store
from stores.migrations import fill

qdrant_client = pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


class Payload:
    """Runs a command where a pickle is read without a check."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("what", ["command", "garbage", "nested"])
def test_a_folder_whose_points_hold_code_is_refused_and_runs_none(what: str, tmp_path: Path) -> None:
    address = f"qdrant://{tmp_path}/q#things"
    with open_store(address) as store:
        fill(store, pa.array(range(20)), None)
    ran = tmp_path / "ran"
    content = {
        "command": pickle.dumps(Payload(ran)),
        "garbage": b"\xff\0",
        # A name with dots leads from a class of the client to what its module has imported.
        "nested": b"\x80\x04\x8c\x20qdrant_client.http.models.models\x8c\x0fBaseModel.mro.x\x93.",
    }[what]
    with closing(sqlite3.connect(tmp_path / "q" / "collection" / "things" / "storage.sqlite")) as db, db:
        db.execute("update points set point = ? where rowid = 3", (content,))
    with pytest.raises(InputError, match=r"cannot be opened: its points cannot be read .*Nothing in them was run"):
        open_source(address).info()
    assert not ran.exists()


def test_dates_and_nested_payload_of_a_folder_are_read(tmp_path: Path) -> None:
    client = qdrant_client.QdrantClient(path=str(tmp_path / "q"))
    models = qdrant_client.models
    client.create_collection("things", vectors_config=models.VectorParams(size=2, distance=models.Distance.COSINE))
    payload = {"a": [{"b": None}], "day": datetime.date(2024, 1, 2), "at": datetime.datetime(2024, 1, 2, 3)}
    client.upsert("things", [models.PointStruct(id=1, vector=[0.6, 0.8], payload=payload)])
    client.close()
    with open_source(f"qdrant://{tmp_path}/q#things") as store:
        assert store.info().count == 1
