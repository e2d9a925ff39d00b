"""Kill migrations at random moments with SIGKILL, resume them, and look for rows lost or doubled.

    python benchmarks/kills.py --kills 50 lancedb postgres

Each store gets so many kills. A migration is killed, resumed, killed again and so on until it lives to its end; then
every id, payload and vector of the target is compared with the source's. Appends a line for each kill and migration to
benchmarks/results/kills.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import interlingua as il
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator
from interlingua.stores import Records, Spec, open_store
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options
from stores import compare, server

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "kills.jsonl"
ROWS, D_IN, D_OUT, PAGE = 6_000, 32, 24, 50


def unit(n: int, d: int, seed: int) -> Any:
    """Return random unit rows."""
    rows = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def planted() -> Translator:
    """Return a fixed map."""
    frame = np.linalg.qr(np.random.default_rng(7).standard_normal((D_IN, D_OUT)))[0].astype(np.float32)
    zeros = np.zeros(D_IN, np.float32), np.zeros(D_OUT, np.float32)
    maps = AffineMap(zeros[0], frame, zeros[1]), AffineMap(zeros[1], np.ascontiguousarray(frame.T), zeros[0])
    return Translator(*maps, (SpaceProfile.of(unit(2000, D_IN, 1)), SpaceProfile.of(unit(2000, D_OUT, 2))), {})


def url(kind: str, folder: Path, name: str) -> str:
    """Return the address of a collection."""
    if kind == "postgres":
        return f"postgresql://postgres@/postgres?host={folder}/pg#{name}.vector"
    return {"duckdb": f"duckdb://{folder}/d.duckdb#{name}.vector", "parquet": f"{folder}/{name}.parquet"}.get(
        kind, f"{kind}://{folder}/s#{name}"
    )


def child(kind: str, folder: Path, target: str) -> None:
    """Migrate, or go on; say when the work begins and when it is done."""
    warnings.simplefilter("ignore")
    journal = folder / f"{target}.sqlite"
    translator = il.load(folder / "translator")
    with open_store(url(kind, folder, "old_rows")) as here, open_store(url(kind, folder, target)) as there:
        sys.stdout.write("begin\n")
        sys.stdout.flush()
        migrate(translator, here, there, journal=journal, options=Options(page_rows=PAGE), resume=journal.exists())
    sys.stdout.write("done\n")


def state(journal: Path) -> dict[str, Any]:
    """Return how far a killed migration had come."""
    try:
        with sqlite3.connect(journal, timeout=5) as db:
            phase = json.loads(db.execute("select value from fact where name = 'phase'").fetchone()[0])
            rows = db.execute("select coalesce(sum(rows), 0) from page where done = 1").fetchone()[0]
        return {"phase": phase, "rows": rows}
    except (sqlite3.Error, TypeError):
        return {"phase": "before the journal", "rows": 0}


def torment(kind: str, folder: Path, kills: int, rng: np.random.Generator, write: Any) -> None:
    """Kill so many times, and compare each migration that came to its end."""
    payload = pa.table({"title": [f"row {i}" for i in range(ROWS)], "year": pa.array(range(ROWS), pa.int64())})
    records = Records(pa.array(range(ROWS), pa.int64()), unit(ROWS, D_IN, 3), payload)
    expected = Records(records.ids, planted().translate(records.vectors), payload)
    planted().save(folder / "translator")
    (folder / "s").mkdir()
    with open_store(url(kind, folder, "old_rows")) as store:
        spec = Spec(D_IN, "cosine", pa.int64(), payload.schema, ROWS, job="fill")
        store.create(spec)
        store.prepare(spec, 0)
        store.upsert(records)
        store.finish()
    done, number, longest = 0, 0, 2.0
    target, mine = "new_0", 0
    while done < kills or mine:
        command = [sys.executable, __file__, "--child", target, "--folder", str(folder), kind]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if process.stdout.readline() != "begin\n":
            raise SystemExit(f"{kind}: {process.communicate()[1]}")
        # The last migration is left alone to come to its end.
        wait = float(rng.uniform(0, longest)) if done < kills else 600.0
        start = time.perf_counter()
        try:
            process.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            done, mine = done + 1, mine + 1
            journal = folder / f"{target}.sqlite"
            write({"store": kind, "kill": done, "migration": number, "after_s": round(wait, 3), **state(journal)})
            continue
        out, error = process.communicate()
        if process.returncode or out != "done\n":
            raise SystemExit(f"{kind}: {error}")
        longest = max(0.5, 1.2 * (time.perf_counter() - start)) if not mine else longest
        with open_store(url(kind, folder, target)) as store:
            found = compare(store, expected)
            right = found["rows"] == ROWS and found["ids_equal"] and found["payload_equal"]
            right = bool(right and found["largest_error"] < 1e-5)
            store.drop()
        write({"store": kind, "migration": number, "kills_survived": mine, "right": right, **found})
        number, mine = number + 1, 0
        target = f"new_{number}"


def main() -> None:
    """Torment the stores named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "stores", nargs="+", choices=("lancedb", "postgres", "duckdb", "parquet", "qdrant", "qdrant-edge")
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.stores[0], arguments.folder, arguments.child)
        return
    warnings.simplefilter("ignore")
    with OUT.open("a", encoding="utf-8") as stream:

        def write(record: dict[str, Any]) -> None:
            stream.write(json.dumps(record) + "\n")
            stream.flush()

        for kind in arguments.stores:
            folder = Path(tempfile.mkdtemp(prefix="il-kill-"))
            try:
                with server(kind, folder):
                    torment(kind, folder, arguments.kills, np.random.default_rng(arguments.seed), write)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
