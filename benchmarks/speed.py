"""Time the fit against mini-vec2vec and translation against the bare matrix product, each in one run.

    python benchmarks/speed.py fit --data ../shared/data
    python benchmarks/speed.py translate --rows 1000000
    python benchmarks/speed.py fit-large --rows 1000000

Run it on an otherwise idle machine. Each part runs in a process of its own, so that its peak memory is its own; pages
of memory-mapped files count in it. Writes benchmarks/results/speed-PART.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fits import BEIR, Case, rows

import interlingua as il
from interlingua.aligners import Problem, create_aligner
from interlingua.aligners.base import ignore_step
from interlingua.core.translator import Translator
from interlingua.evaluation import evaluate

HERE = Path(__file__).resolve().parent
BLOCK = 16_384
_PARTS = ("one-fit", "one-fit-large", "one-translate")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def fit_part(method: str, data: Path, seed: int) -> dict[str, Any]:
    """Fit once and measure on held-out pairs."""
    x, y, x_held, y_held = rows(Case("bge -> minilm", seed, 4398), data, data)
    if method == "linear":
        seconds, alignment = timed(lambda: il.align(x, y, method="linear", seed=seed))
        translator = alignment.translator(force=True)
    else:  # the method alone: its paper has no verdict, so none is charged to it
        problem = Problem.of(x, y)
        seconds, fit = timed(lambda: create_aligner(method).fit(problem, seed=seed, on_step=ignore_step))
        reference = il.align(x, y, method="random-rotation", seed=seed)
        translator = Translator(fit.forward, fit.backward, reference.profiles, {})
    scores = evaluate(translator, x_held, y_held, bootstrap=0).to_dict()
    keep = {way: {k: scores[way][k] for k in ("top1", "mean_rank", "cosine")} for way in ("forward", "backward")}
    return {"seconds": seconds, **keep}


def fit_large_part(data: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Fit two memory-mapped files with the command's defaults, which say how many rows they draw."""
    from interlingua.io import open_vectors

    seconds, alignment = timed(
        lambda: il.align(*(open_vectors(folder / f"{side}.npy").vectors() for side in ("source", "target")), seed=seed)
    )
    *_, x_held, y_held = rows(Case("bge -> minilm", seed, None), data, data)
    scores = evaluate(alignment.translator(force=True), x_held, y_held, bootstrap=0).to_dict()
    keep = {way: {k: scores[way][k] for k in ("top1", "mean_rank", "cosine")} for way in ("forward", "backward")}
    return {"seconds": seconds, "verdict": str(alignment.verdict.status), "drawn": alignment.settings, **keep}


def make_sides(folder: Path, n: int, data: Path, seed: int) -> None:
    """Write n rows per side: queries of disjoint halves, each many times with noise of half its length."""
    x, y, *_ = rows(Case("bge -> minilm", seed, None), data, data)
    rng = np.random.default_rng(seed)
    for side, z in (("source", x), ("target", y)):
        out = np.lib.format.open_memmap(folder / f"{side}.npy", "w+", np.float32, (n, z.shape[1]))
        for start in range(0, n, BLOCK):
            block = z[rng.integers(len(z), size=min(BLOCK, n - start))]
            noise = rng.standard_normal(block.shape, np.float32) * np.float32(0.5 / np.sqrt(z.shape[1]))
            out[start : start + BLOCK] = block + noise
        out.flush()


def translate_part(kind: str, folder: Path) -> dict[str, Any]:
    """Translate a file with the command line, or multiply and write it bare."""
    translator = il.load(folder / "translator")
    source, out = folder / "source.npy", folder / f"{kind}.npy"
    if kind == "interlingua":
        import pyarrow  # noqa: F401

        from interlingua.cli import main

        arguments = ["translate", str(folder / "translator"), str(source), "--out", str(out), "--json"]

        def work() -> None:
            try:
                main(arguments)
            except SystemExit as end:
                if end.code:
                    raise

    else:
        matrix = translator.forward.matrix

        def work() -> None:
            data = np.load(source, mmap_mode="r")
            with out.open("wb") as stream:
                for start in range(0, len(data), BLOCK):
                    stream.write((np.asarray(data[start : start + BLOCK]) @ matrix).tobytes())
                os.fsync(stream.fileno())

    os.sync()  # nobody pays for what another part left to be written
    return {"seconds": timed(work)[0]}


def in_process(*arguments: str) -> dict[str, Any]:
    """Run one part in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def make_rows(folder: Path, n: int, data: Path) -> None:
    """Write n x 768 rows and a translator for them."""
    x = np.load(data / "spaces" / f"beir-queries.{BEIR[0]}.npy").astype(np.float32)
    y = np.load(data / "spaces" / f"beir-queries.{BEIR[1]}.npy").astype(np.float32)
    pairs = np.stack([np.arange(len(x))] * 2, axis=1)
    il.align(x, y, pairs=pairs, method="ridge").translator(force=True).save(folder / "translator")
    rng = np.random.default_rng(0)
    out = np.lib.format.open_memmap(folder / "source.npy", "w+", np.float32, (n, x.shape[1]))
    for start in range(0, n, BLOCK):
        out[start : start + BLOCK] = x[rng.integers(len(x), size=min(BLOCK, n - start))]
    out.flush()


def main() -> None:
    """Run a part and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("fit", "fit-large", "translate", *_PARTS))
    parser.add_argument("name", nargs="?")
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared" / "data")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.part in _PARTS:
        name, folder, data, seed = str(arguments.name), arguments.folder, arguments.data, arguments.seed
        result = {
            "one-fit": lambda: fit_part(name, data, seed),
            "one-fit-large": lambda: fit_large_part(data, folder, seed),
            "one-translate": lambda: translate_part(name, folder),
        }[arguments.part]()
        result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        sys.stdout.write("\n" + json.dumps(result) + "\n")
        return
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__}
    record: dict[str, Any] = {"machine": machine}
    if arguments.part == "fit":
        for name in ("linear", "mini-vec2vec"):
            common = ("--data", str(arguments.data), "--seed", str(arguments.seed))
            record[name] = in_process("one-fit", name, *common)
        record["ratio"] = record["linear"]["seconds"] / record["mini-vec2vec"]["seconds"]
    elif arguments.part == "fit-large":
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            make_sides(Path(scratch), arguments.rows, arguments.data, arguments.seed)
            common = ("--data", str(arguments.data), "--seed", str(arguments.seed), "--folder", scratch)
            record |= {"rows": arguments.rows, "fit": in_process("one-fit-large", *common)}
    else:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
            folder = Path(scratch)
            make_rows(folder, arguments.rows, arguments.data)
            runs: dict[str, list[dict[str, Any]]] = {"bare": [], "interlingua": []}
            for _ in range(arguments.repeats):
                for kind, results in runs.items():
                    (folder / f"{kind}.npy").unlink(missing_ok=True)
                    results.append(in_process("one-translate", kind, "--folder", str(folder)))
        record |= {"rows": arguments.rows, "runs": runs}
        record["ratio"] = min(r["seconds"] for r in runs["interlingua"]) / min(r["seconds"] for r in runs["bare"])
    out = HERE / "results" / f"speed-{arguments.part}.json"
    out.write_text(json.dumps(record, indent=2) + "\n")
    sys.stdout.write(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
