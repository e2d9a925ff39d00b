"""Work on large inputs with the command line: seconds, processor seconds and peak memory.

    python benchmarks/large.py fit --data ../shared/data --rows 1000000
    python benchmarks/large.py fit --data ../shared/data --rows 50000 --sample 5000 --width 3072 --target-width 1024
    python benchmarks/large.py migrate --data ../shared/data --rows 5000000
    python benchmarks/large.py kill --data ../shared/data --rows 500000

``fit`` writes two memory-mapped float16 .npy files of 1,024 or ``--width`` columns. These are planted vectors with the
spectrum of real ones: every row is a mixture of two real vectors (BGE) and noise, in a random frame of each side; the
two sides mix different texts. They show speed and memory and not how well real models of this width are aligned. The
truth is known, so 2,000 rows that the fit has not seen are compared. Then the file of the source is translated.
``migrate`` migrates rows of 64 columns from one Parquet file into another, and compares
every row. ``kill`` starts a Ray cluster of two nodes, which are groups of processes on this machine, translates a
Parquet file with it, kills a worker in the middle of a part and then a whole node, and compares every row.

Memory of mapped files counts in the peak (``peak``), as the kernel counts it, and not in ``anonymous``. Appends to
benchmarks/results/large.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from records import append_and_print

import interlingua as il
from interlingua._align import MAX_ROWS
from interlingua.core.translator import Translator

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "large.jsonl"
SPACES = ("beir-queries.bge-base-en-v1.5.npy", "beir-queries.all-MiniLM-L6-v2.npy")
BLOCK = 50_000
WIDTH, NARROW, HELD = 1_024, 64, 2_000
WORKERS = (2, 16, 64)


def unit(rows: np.ndarray) -> np.ndarray:
    """Return rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mixed(real: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return n mixtures of two rows each."""
    share = rng.uniform(0.5, 1.0, (n, 1)).astype(np.float32)
    first, second = rng.integers(len(real), size=(2, n))
    return share * real[first] + (1 - share) * real[second]


def noisy(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rows with noise of a third of their length in all columns, as float16."""
    noise = rng.standard_normal(rows.shape, np.float32) * np.float32(0.33 / rows.shape[1] ** 0.5)
    return unit(unit(rows) + noise).astype(np.float16)


def plant(folder: Path, data: Path, n: int, widths: tuple[int, int], held: int = HELD) -> tuple[np.ndarray, np.ndarray]:
    """Write n rows of each side; return held-out rows of both, which are pairs."""
    rng = np.random.default_rng(0)
    real = np.load(data / "spaces" / SPACES[0]).astype(np.float32)
    real = real[rng.permutation(len(real))]
    frames = [np.linalg.qr(rng.standard_normal((width, real.shape[1])))[0].T.astype(np.float32) for width in widths]
    half = len(real) // 2
    for name, part, frame in zip(("source", "target"), (real[:half], real[half:]), frames, strict=True):
        moved = part @ frame
        lines = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, (n, frame.shape[1]))
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            lines[start : start + size] = noisy(mixed(moved, size, rng), rng)
        lines.flush()
    pairs = mixed(real, held, rng)
    return noisy(pairs @ frames[0], rng), noisy(pairs @ frames[1], rng)


def memory(process: subprocess.Popen[Any], every: float = 0.2) -> Callable[[], dict[str, float]]:
    """Follow the memory of a process; the returned function gives the peaks in GB when the process has ended."""
    peaks = {"VmHWM": 0, "RssAnon": 0}

    def follow() -> None:
        while process.poll() is None:
            try:
                lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            except OSError:
                return
            for line in lines:
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], int(value.split()[0]))
            time.sleep(every)

    thread = threading.Thread(target=follow)
    thread.start()

    def peak() -> dict[str, float]:
        thread.join()
        return {"peak_gb": round(peaks["VmHWM"] / 1e6, 2), "anonymous_gb": round(peaks["RssAnon"] / 1e6, 2)}

    return peak


def command(*arguments: object, log: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run a command of interlingua; return what it printed, and its time and memory."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    words = [sys.executable, "-m", "interlingua", *map(str, arguments), "--json"]
    with log.open("w") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        peak = memory(process)
        printed, _ = process.communicate()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}: {log.read_text()[-500:]}")
    used = {
        "seconds": round(seconds, 1),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        **peak(),
    }
    return json.loads(printed), used


def fit(
    folder: Path, data: Path, n: int, *, widths: tuple[int, int] = (WIDTH, WIDTH), sample: int | None = None
) -> dict[str, Any]:
    """Fit two files of n rows each, or a sample of them, compare held-out rows, and translate the first file."""
    x, y = plant(folder, data, n, widths)
    files = folder / "source.npy", folder / "target.npy"
    limit = () if sample is None else ("--sample", sample)
    words = ("fit", *files, *limit, "--out", folder / "t", "--allow-failed")
    found, used = command(*words, log=folder / "log.txt")
    scores = il.evaluate(il.load(folder / "t"), x, y, bootstrap=0).to_dict()
    words = ("translate", folder / "t", files[0], "--out", folder / "translated.npy")
    _, translated = command(*words, log=folder / "log.txt")
    return {
        "rows": n,
        "sample": sample,
        "drawn": min(n, sample or MAX_ROWS),
        "d": list(widths),
        "file_gb": round(files[0].stat().st_size / 1e9, 2),
        "used": {side: found[side] for side in ("source", "target")},
        "status": found["status"],
        "fit_seconds": round(found["seconds"], 1),
        **used,
        "translate": {**translated, "rows_per_second": round(n / translated["seconds"])},
        **{way: {k: scores[way][k] for k in ("top1", "cosine")} for way in ("forward", "backward")},
    }


def narrow(folder: Path, data: Path, n: int) -> tuple[Translator, Path]:
    """Write n rows of 64 columns with ids and a payload as Parquet; return a translator for them, and the file."""
    rng = np.random.default_rng(0)
    x, y = (np.load(data / "spaces" / name).astype(np.float32)[:, :NARROW] for name in SPACES)
    x, y = unit(x), unit(y)
    pairs = np.stack([np.arange(len(x))] * 2, axis=1)
    translator = il.align(x, y, pairs=pairs, method="ridge").translator(force=True)
    translator.save(folder / "translator")
    path, writer = folder / "rows.parquet", None
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        rows = unit(mixed(x, size, rng) + rng.standard_normal((size, NARROW), np.float32) * np.float32(0.01))
        table = pa.table(
            {
                "id": pa.array(range(start, start + size), pa.int64()),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.float32).ravel()), NARROW),
                "year": pa.array((np.arange(start, start + size) % 40 + 1980), pa.int64()),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, use_dictionary=False)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return translator, path


def vectors_of(batch: Any) -> np.ndarray:
    """Return the vectors of an Arrow batch or table."""
    column = batch["vector"]
    flat = column.combine_chunks().flatten() if isinstance(column, pa.ChunkedArray) else column.flatten()
    return flat.to_numpy().reshape(len(batch), -1)


def compared(translator: Translator, before: Path, after: Path) -> dict[str, Any]:
    """Compare every row of a Parquet file with its translation in another one, or in a folder of them."""
    n, rows, ordered, error = pq.ParquetFile(before).metadata.num_rows, 0, True, 0.0
    seen = np.zeros(n, np.uint8)
    parts = [after] if after.is_file() else sorted(after.glob("*.parquet"))
    written = (
        batch for part in parts for batch in pq.ParquetFile(part).iter_batches(BLOCK, columns=["id", "vector", "year"])
    )
    reader = pq.ParquetFile(before)
    kept: np.ndarray | None = None
    pages = reader.iter_batches(BLOCK, columns=["vector"])
    for batch in written:
        ids = batch["id"].to_numpy()
        np.add.at(seen, ids, 1)
        ordered &= bool((ids == np.arange(rows, rows + len(ids))).all())
        while kept is None or len(kept) < len(batch):
            page = vectors_of(next(pages))
            kept = page if kept is None else np.concatenate([kept, page])
        error = max(error, float(np.abs(translator.translate(kept[: len(batch)]) - vectors_of(batch)).max()))
        kept, rows = kept[len(batch) :], rows + len(batch)
    return {
        "rows_out": rows,
        "lost": int((seen == 0).sum()),
        "twice": int((seen > 1).sum()),
        "in_order": ordered,
        "largest_error": error,
    }


def migrate(folder: Path, data: Path, n: int) -> dict[str, Any]:
    """Migrate n rows from one Parquet file into another, and compare all of them."""
    translator, old = narrow(folder, data, n)
    new = folder / "new.parquet"
    words = (
        "migrate",
        folder / "translator",
        old,
        f"file://{new}#vector",
        "--journal",
        folder / "journal.sqlite",
        "--page-rows",
        8_192,
    )
    found, used = command(*words, log=folder / "log.txt")
    sizes = {path.name: round(path.stat().st_size / 1e9, 2) for path in (old, new, folder / "journal.sqlite")}
    return {
        "rows": n,
        "d": [NARROW, NARROW],
        "phases": found["phases"],
        "gb": sizes,
        **compared(translator, old, new),
        **used,
        "rows_per_second": round(n / used["seconds"]),
        "rows_per_processor_second": round(n / used["processor_seconds"]),
    }


def kill(folder: Path, data: Path, n: int) -> dict[str, Any]:
    """Translate on two nodes, of which one worker and then one node are killed; compare with one process."""
    from cluster import translate_with_losses

    translator, rows = narrow(folder, data, n)
    done = translate_with_losses(folder / "translator", rows, folder, batch_rows=1_000)
    return {"rows": n, "d": [NARROW, NARROW], **done, **compared(translator, rows, folder / "out")}


def table(records: list[dict[str, Any]]) -> str:
    """Return the records as Markdown."""
    names = {"fit": "fit, rows of each side", "migrate": "migration", "kill": "Ray on two nodes"}
    lines = [
        "| what | rows | columns | result | seconds | processor seconds | memory, GB |",
        "|---|--:|--:|---|--:|--:|--:|",
    ]
    for r in records:
        columns = " to ".join(f"{d:,}" for d in dict.fromkeys(r["d"]))
        memory = f"{r['anonymous_gb']} ({r['peak_gb']})" if "peak_gb" in r else ""
        processor = f"{r['processor_seconds']:,.0f}" if "processor_seconds" in r else ""
        rows = f"{r['sample']:,} of {r['rows']:,}" if r.get("sample") else f"{r['rows']:,}"
        cells = (names[r["part"]], rows, columns, result(r), f"{r['seconds']:,.0f}", processor, memory)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def result(record: dict[str, Any]) -> str:
    """Return what came out of one part, in words."""
    if record["part"] == "fit":
        scores = " / ".join(f"{record[way]['top1']:.3f}" for way in ("forward", "backward"))
        then = record.get("translate")
        translation = "" if then is None else f"; then translated: {then['seconds']:,.0f} s, {then['peak_gb']} GB"
        return f"{record['status']}, top-1 {scores}{translation}"
    lost = f"{record['lost']} rows lost, {record['twice']} twice"
    if record["part"] == "migrate":
        return f"{lost}, {record['rows_per_processor_second']:,} rows per processor second"
    killed = (
        f"a {kill['what']} killed when {kill['parts_done']} of {record['parts']} parts" for kill in record["killed"]
    )
    return f"{' and '.join(killed)} were done: {lost}"


def machines(records: list[dict[str, Any]]) -> str:
    """Return the machines of the records, in words."""
    named = {(r["machine"]["cores"], r["machine"]["processor"], r["machine"]["python"]) for r in records}
    loads = [r["load_before"] for r in records]
    words = " and ".join(f"{cores} cores of an {kind}, Python {python}" for cores, kind, python in sorted(named))
    return f"{words}; load of other work {min(loads)} to {max(loads)}"


def capacity(scale: list[dict[str, Any]], rows: int = 100_000_000) -> str:
    """Return the time of a translation with Ray as Markdown, by the rate of one worker of two.

    Args:
        scale: the records of ``scale.py``, of which the last of Parquet files with Ray counts.
        rows: how many would be translated.
    """
    record = next(r for r in reversed(scale) if r.get("kind") == "parquet")
    d, new = record["d"]
    rate = record["rows"] / float(np.median([run["work"] for run in record["ray_2"]])) / 2
    lines = ["| workers, one core each | minutes | read, GB/s | written, GB/s |", "|--:|--:|--:|--:|"]
    for workers in WORKERS:
        speed = rate * workers
        lines.append(
            f"| {workers} | {rows / speed / 60:,.0f} | {speed * d * 4 / 1e9:.2f} | {speed * new * 4 / 1e9:.2f} |"
        )
    text = (
        f"{rows:,} rows of {d} columns in Parquet files ({rows * d * 4 / 1e9:,.0f} GB of float32), translated to {new} "
        f"({rows * new * 4 / 1e9:,.0f} GB), at {rate:,.0f} rows per second and worker, measured on {record['rows']:,} "
        f"rows with two workers on {record['cores']} cores (`benchmarks/scale.py`)"
    )
    return f"{text}:\n\n" + "\n".join(lines)


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[..., dict[str, Any]]] = {"fit": fit, "migrate": migrate, "kill": kill}
    parser.add_argument("part", choices=parts)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--width", type=int, default=WIDTH, help="columns of a fit, at least 768")
    parser.add_argument("--target-width", type=int, help="columns of the target; those of the source by default")
    parser.add_argument("--sample", type=int, help="rows of each side that a fit reads")
    arguments = parser.parse_args()
    widths = arguments.width, arguments.target_width or arguments.width
    options = {"widths": widths, "sample": arguments.sample} if arguments.part == "fit" else {}
    folder = Path(tempfile.mkdtemp(prefix="il-large-"))
    try:
        record = {
            "part": arguments.part,
            "machine": {"cores": os.cpu_count(), "processor": processor_name(), "python": platform.python_version()},
            "load_before": round(os.getloadavg()[0], 1),
            **parts[arguments.part](folder, arguments.data, arguments.rows, **options),
        }
        record["load_after"] = round(os.getloadavg()[0], 1)
        append_and_print(OUT, record)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def processor_name() -> str:
    """Return the name of the processor, or of its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
