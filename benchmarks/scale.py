"""Translate one dataset by one process, by two, and with Ray: seconds, scaling, and whether the bytes agree.

    python benchmarks/scale.py --rows 200000 --data ../shared/data
    python benchmarks/scale.py --rows 100000 --kind lance --repeats 3

Two plain processes that share the parts say what the machine allows at that moment; Ray with two workers is to be held
against them. Ray's start is timed apart, and so is the first use of its workers, which import the package then. All
ways take turns, as often as asked. Appends to benchmarks/results/scale.jsonl; the capacity model in the README rests on
these rates.
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
from records import append_and_print

import interlingua as il
from interlingua.distributed.arrow import translate_batches
from interlingua.distributed.parts import finish, parts_of, write_part

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "scale.jsonl"
SPACES = ("beir-queries.bge-base-en-v1.5.npy", "beir-queries.all-MiniLM-L6-v2.npy")
WARM_ROWS = 2_000


def made(folder: Path, data: Path, n: int, kind: str) -> Path:
    """Write n x 768 rows, a few more to warm up with, and a translator for them; return where the rows are."""
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
    source = folder / "in.parquet"
    pq.write_table(pq.read_table(source).slice(0, WARM_ROWS), folder / "warm.parquet", row_group_size=WARM_ROWS // 2)
    if kind == "lance":
        import lance

        source = folder / "in.lance"
        lance.write_dataset(pq.ParquetFile(folder / "in.parquet").iter_batches(8_192), source, table[:0].schema)
    return source


def digest(place: Path) -> str:
    """Return a hash of all ids and vectors, in order."""
    if place.suffix == ".lance":
        import lance

        table = lance.dataset(place).to_table()
    else:
        table = pq.read_table(place, columns=["id", "vector"])
    found = hashlib.sha256(table["id"].to_numpy().tobytes())
    for chunk in table["vector"].chunks:
        found.update(chunk.flatten().to_numpy().tobytes())
    return found.hexdigest()[:16]


def timed(work: Callable[[], Any]) -> float:
    """Return seconds."""
    start = time.perf_counter()
    work()
    return round(time.perf_counter() - start, 2)


def share(folder: Path, source: Path, out: Path, number: int, of: int) -> None:
    """Translate every ``of``-th part; the sole process also makes one dataset of them."""
    translator = il.load(folder / "translator")
    mine = parts_of(source, 2)[number::of]
    written = [write_part(translate_batches(part.batches(8_192), translator), part.number, out) for part in mine]
    if of == 1:
        finish(out, written)


def with_ray(folder: Path, source: Path, out: Path, workers: int) -> None:
    """Start Ray, let its workers import the package on a few rows, then translate; print the seconds of each."""
    from interlingua.distributed.ray import translate_with_ray

    model = folder / "translator"
    warm = translate_with_ray(model, folder / "warm.parquet", out.with_name("warm"), workers=workers)
    done = translate_with_ray(model, source, out, workers=workers)
    seconds = {"start": warm.starting_seconds, "first_use": warm.working_seconds, "work": done.working_seconds}
    sys.stdout.write("\n" + json.dumps(seconds | {"parts": done.parts}) + "\n")


def inside(way: str, folder: Path, source: Path, out: Path, *more: int) -> subprocess.Popen[str]:
    """Start one of the ways above in a process of its own."""
    command = [sys.executable, __file__, "--inside", way, "--paths", *map(str, (folder, source, out)), *map(str, more)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def through(process: subprocess.Popen[str]) -> str:
    """Return what a process printed last."""
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(map(str, process.args))}")  # type: ignore[union-attr]
    return (out.strip().splitlines() or [""])[-1]


def measure(folder: Path, source: Path, repeats: int) -> dict[str, Any]:
    """Run every way in turn."""
    end = ".lance" if source.suffix == ".lance" else ""
    found: dict[str, Any] = {"one": [], "two": [], "ray_1": [], "ray_2": [], "loads": []}
    digests: dict[str, str] = {}
    for _ in range(repeats):
        for name in ("one", "two", "ray_1", "ray_2"):
            out = folder / f"out-{name}{end}"
            shutil.rmtree(out, ignore_errors=True)
            if name.startswith("ray"):
                found[name].append(json.loads(through(inside("ray", folder, source, out, int(name[-1])))))
                shutil.rmtree(folder / "warm", ignore_errors=True)
            else:
                out.mkdir()
                count = {"one": 1, "two": 2}[name]

                def work(out: Path = out, count: int = count) -> None:
                    for process in [inside("share", folder, source, out, i, count) for i in range(count)]:
                        through(process)

                found[name].append(timed(work))
            if name != "two" or not end:
                digests[name] = digest(out)
            found["loads"].append(round(os.getloadavg()[0], 1))
    return found | {"digests": digests}


def main() -> None:
    """Time each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--kind", choices=("parquet", "lance"), default="parquet")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--inside", choices=("share", "ray"), help=argparse.SUPPRESS)
    parser.add_argument("--paths", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        places, numbers = map(Path, arguments.paths[:3]), map(int, arguments.paths[3:])
        {"share": share, "ray": with_ray}[arguments.inside](*places, *numbers)
        return
    folder = Path(tempfile.mkdtemp(prefix="il-scale-"))
    try:
        source = made(folder, arguments.data, arguments.rows, arguments.kind)
        record = {"rows": arguments.rows, "d": [768, 384], "kind": arguments.kind, "cores": os.cpu_count()}
        record |= measure(folder, source, arguments.repeats)
        append_and_print(OUT, record)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
