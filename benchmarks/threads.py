"""Fit one case with several numbers of BLAS threads and compare the results to the bit; one JSON line per fit.

    python benchmarks/threads.py --data ../shared/data --out benchmarks/results/threads.jsonl

BGE -> MiniLM on BEIR queries, 4,398 rows per side, seed 0. Each fit runs in a process of its own, because libraries
read OMP_NUM_THREADS when they are loaded. The record has the SHA-256 of all arrays of both maps and the evidence.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import interlingua

ROWS = 4398
SPACES = ("bge-base-en-v1.5", "all-MiniLM-L6-v2")
THREADS = ("1", "2", "16")


def fit(data: Path) -> dict[str, object]:
    """Return what a fit in this process ends with."""
    x, y = (np.load(data / "spaces" / f"beir-queries.{name}.npy").astype(np.float32) for name in SPACES)
    order = np.random.default_rng(0).permutation(len(x))
    alignment = interlingua.align(x[order[:ROWS]], y[order[ROWS : 2 * ROWS]], seed=0)
    digest = hashlib.sha256()
    for maps in (alignment.forward, alignment.backward):
        for name in ("mean_in", "matrix", "mean_out"):
            digest.update(np.ascontiguousarray(getattr(maps, name)).tobytes())
    return {
        "threads": os.environ["OMP_NUM_THREADS"],
        "sha256": digest.hexdigest(),
        "verdict": str(alignment.verdict.status),
        "evidence": {item.name: item.value for item in alignment.verdict.evidence},
        "machine": dict(alignment.machine),
    }


def main() -> None:
    """Run the fits one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/threads.jsonl"))
    parser.add_argument("--one", action="store_true", help="fit in this process and print the record")
    arguments = parser.parse_args()
    if arguments.one:
        sys.stdout.write(json.dumps(fit(arguments.data)) + "\n")
        return
    command = [sys.executable, __file__, "--one", "--data", str(arguments.data)]
    with arguments.out.open("w") as stream:
        for threads in THREADS:
            environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            stream.write(done.stdout)
            sys.stderr.write(f"{threads} threads: {json.loads(done.stdout)['sha256'][:16]}\n")


if __name__ == "__main__":
    main()
