"""A store of one's own that is only read: a table of SQLite with a column id and vectors as float32 bytes."""
# ruff: noqa: D101, D102 - the docstrings of the methods are those of `Store`

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.stores import Capabilities, Hits, Records, Store, StoreInfo, StoreURL


class SQLiteStore(Store):
    capabilities: ClassVar[Capabilities] = Capabilities("none", ("int",))  # no payload; whole-number ids

    def __init__(self, url: StoreURL) -> None:
        super().__init__(url)
        if not Path(url.path).is_file():
            raise InputError(f"{url}: there is no such file.")
        table, column = (f'"{name}"' for name in url.names)
        database = sqlite3.connect(f"file:{url.path}?mode=ro", uri=True)
        ids, blobs = zip(*database.execute(f"SELECT id, {column} FROM {table} ORDER BY id"), strict=True)
        database.close()
        self._rows = Records(pa.array(ids), np.stack([np.frombuffer(blob, np.float32) for blob in blobs]))

    def exists(self) -> bool:
        return True  # otherwise __init__ has raised

    def info(self) -> StoreInfo:
        count, d = self._rows.vectors.shape
        return StoreInfo(count=count, d=d, metric=None, normalized=False, id_type=self._rows.ids.type)

    def scan(self, size: int, after: int | None = None) -> Iterator[tuple[Records, int]]:
        for start in range(after or 0, len(self._rows), size):
            page = self._rows.rows(start, start + size)
            yield page, start + len(page)

    def fetch(self, ids: pa.Array) -> Records:
        return self._rows.in_order_of(ids, str(self.url))

    def search(self, queries: np.ndarray, k: int) -> list[Hits]:
        result, ids = nearest(queries, self._rows.vectors, k, metric="cosine"), self._rows.ids
        return [Hits(ids.take(i).to_pylist(), scores) for i, scores in zip(result.indices, result.scores, strict=True)]


if __name__ == "__main__":
    vectors = np.load("demo/data/eval-source.npy")[:100].astype(np.float32)
    with tempfile.TemporaryDirectory() as folder, sqlite3.connect(f"{folder}/a.db", isolation_level=None) as table:
        table.execute("CREATE TABLE items (id INTEGER, vector BLOB)")
        table.executemany("INSERT INTO items VALUES (?, ?)", [(i, row.tobytes()) for i, row in enumerate(vectors)])
        store = SQLiteStore(StoreURL("sqlite", f"{folder}/a.db", ("items", "vector")))
        print(store.info().count, "rows; nearest to the first:", store.search(vectors[:1], k=3)[0].ids)
