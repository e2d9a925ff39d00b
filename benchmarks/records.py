"""What the scripts that fit many cases share: scores on held-out pairs, and records that are appended and resumed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from interlingua.core.arrays import FloatArray, unit_rows


def scores(translated: FloatArray, truth: FloatArray) -> dict[str, float]:
    """Return top-1 and mean rank of held-out rows [p, d] among all of them by cosine."""
    similarity = unit_rows(translated) @ unit_rows(truth).T
    rank = (similarity > np.diag(similarity)[:, None]).sum(axis=1) + 1
    return {"top1": float((rank == 1).mean()), "mean_rank": float(rank.mean())}


def arguments_of(description: str | None, out: str, seeds: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has, with the defaults of one of them."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results") / out)
    parser.add_argument("--seeds", default=seeds, help="first:last, or first:last:step")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    return parser


def append_records(arguments: argparse.Namespace, cases: Iterable[tuple[str, Callable[[], dict[str, Any]]]]) -> None:
    """Fit the cases whose key is not in the output yet, and append a JSON line for each.

    Args:
        arguments: those of `arguments_of`.
        cases: key of each case, and the function that fits it.
    """
    out: Path = arguments.out
    done = {json.loads(line)["key"] for line in out.read_text().splitlines()} if out.exists() else set()
    for key, fit in cases:
        if key in done or arguments.only not in key:
            continue
        record = fit()
        with out.open("a") as stream:
            stream.write(json.dumps(record) + "\n")
        top1 = record["forward"]["top1"], record["backward"]["top1"]
        verdict = record["verdict"]
        status = verdict["status"] if isinstance(verdict, dict) else verdict
        sys.stderr.write(f"{key}: {top1} {status}, {record['processor_seconds']:.0f} processor s\n")
