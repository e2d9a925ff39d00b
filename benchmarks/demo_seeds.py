"""Run `interlingua demo` with several seeds; one JSON line per seed, appended, resumed where it stopped.

    python benchmarks/demo_seeds.py --seeds 0:10 --out benchmarks/results/demo-seeds.jsonl

The record has the verdict, the scores on held-out pairs with their paired ceiling, and the seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from records import append, read_records, seed_range


def main() -> None:
    """Run the seeds that are not in the output yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=seed_range, default="0:10", help="first:last")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/demo-seeds.jsonl"))
    arguments = parser.parse_args()
    out = arguments.out
    done = {record["seed"] for record in read_records(out)}
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            if seed in done:
                continue
            report = str(Path(folder) / "report.html")
            command = [sys.executable, "-m", "interlingua", "demo", "--seed", str(seed), "--report", report, "--json"]
            finished = subprocess.run(command, check=True, capture_output=True, text=True)
            result = json.loads(finished.stdout)
            record = {"seed": seed, **{key: result[key] for key in ("verdict", "after", "paired_ceiling", "seconds")}}
            append(out, [record])
            scores = {side: result["after"][side]["top1"] for side in ("forward", "backward")}
            sys.stderr.write(f"seed {seed}: {scores} {result['verdict']['status']}\n")


if __name__ == "__main__":
    main()
