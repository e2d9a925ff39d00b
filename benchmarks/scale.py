"""Translate one Parquet file with one process, with two shards, and with Ray: seconds, and whether the bytes agree.

    python benchmarks/scale.py --rows 200000 --data ../shared/data

Appends to benchmarks/results/scale.jsonl. The capacity model in benchmarks/README.md rests on these rates.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import interlingua as il
from interlingua.batches import translate_batches

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "scale.jsonl"
SPACES = ("beir-queries.bge-base-en-v1.5.npy", "beir-queries.all-MiniLM-L6-v2.npy")


def made(folder: Path, data: Path, n: int) -> il.Translator:
    """Write n x 768 rows and a translator for them."""
    x, y = (np.load(data / "spaces" / name).astype(np.float32) for name in SPACES)
    pairs = np.stack([np.arange(len(x))] * 2, axis=1)
    translator = il.align(x, y, pairs=pairs, method="ridge").translator(force=True)
    translator.save(folder / "translator")
    rng, writer = np.random.default_rng(0), None
    for start in range(0, n, 10_000):
        rows = min(10_000, n - start)
        block = x[rng.integers(len(x), size=rows)] + 0.1 / np.sqrt(768) * rng.standard_normal((rows, 768), np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.ravel()), 768)
        table = pa.table({"id": range(start, start + rows), "vector": vectors})
        writer = writer or pq.ParquetWriter(folder / "in.parquet", table.schema, use_dictionary=False)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return translator


def digest(paths: list[Path], column: str) -> str:
    """Return a hash of all ids and vectors, in order of the ids."""
    table = pa.concat_tables([pq.read_table(path, columns=["id", column]) for path in paths]).sort_by("id")
    found = hashlib.sha256(table["id"].to_numpy().tobytes())
    for chunk in table[column].chunks:
        found.update(chunk.flatten().to_numpy().tobytes())
    return found.hexdigest()[:16]


def timed(work: Callable[[], Any]) -> float:
    """Return seconds."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 2)


def command(*arguments: object) -> list[str]:
    """Return the command line of interlingua in a process of its own."""
    code = "import sys; from interlingua.cli import main; sys.exit(main())"
    return [sys.executable, "-c", code, *map(str, arguments)]


def main() -> None:
    """Time each way once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--rows", type=int, default=200_000)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="il-scale-"))
    try:
        translator = made(folder, arguments.data, arguments.rows)
        source, model = folder / "in.parquet", folder / "translator"
        record: dict[str, Any] = {"rows": arguments.rows, "d": [768, 384], "cores": os.cpu_count()}

        def stream() -> None:
            file = pq.ParquetFile(source)
            out = None
            for batch in translate_batches(file.iter_batches(8_192), translator):
                out = out or pq.ParquetWriter(folder / "stream.parquet", batch.schema, use_dictionary=False)
                out.write_batch(batch)
            if out is not None:
                out.close()

        record["function_s"] = timed(stream)
        whole = command("translate", model, source, "--out", folder / "one.parquet")
        record["one_process_s"] = timed(lambda: subprocess.run(whole, check=True, stderr=subprocess.DEVNULL))

        def shards() -> None:
            parts = [
                command("translate", model, source, "--out", folder / f"part-{i}.parquet", "--shard", f"{i}/2")
                for i in (1, 2)
            ]
            running = [subprocess.Popen(part, stderr=subprocess.DEVNULL) for part in parts]
            if any([process.wait() for process in running]):
                raise SystemExit("a shard failed")

        record["two_shards_s"] = timed(shards)
        for workers in (1, 2):
            out = folder / f"ray-{workers}"
            ray = command("translate", model, source, "--out", out, "--engine", "ray", "--workers", workers, "--json")
            record[f"ray_{workers}_s"] = timed(
                lambda ray=ray: subprocess.run(ray, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
        digests = {
            "function": digest([folder / "stream.parquet"], "vector"),
            "one_process": digest([folder / "one.parquet"], "vector"),
            "two_shards": digest([folder / "part-1.parquet", folder / "part-2.parquet"], "vector"),
            **{f"ray_{w}": digest(sorted((folder / f"ray-{w}").glob("*.parquet")), "vector") for w in (1, 2)},
        }
        record["digests"] = digests
        record["load"] = os.getloadavg()[0]
        with OUT.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(record) + "\n")
        sys.stdout.write(json.dumps(record) + "\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
