"""What the scripts that fit many cases share: scores, records that are appended and resumed, and processes of a fit."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from interlingua.core.arrays import FloatArray, unit_rows

Case = TypeVar("Case")


def scores(translated: FloatArray, truth: FloatArray) -> dict[str, float]:
    """Return top-1 and mean rank of held-out rows [p, d] among all of them by cosine."""
    similarity = unit_rows(translated) @ unit_rows(truth).T
    rank = (similarity > np.diag(similarity)[:, None]).sum(axis=1) + 1
    return {"top1": float((rank == 1).mean()), "mean_rank": float(rank.mean())}


def read_records(out: Path) -> list[dict[str, Any]]:
    """Return the records of a file of JSON lines; none if it does not exist."""
    return [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.exists() else []


def seed_range(text: str) -> range:
    """Return the seeds that the option ``--seeds`` names: first:last, or first:last:step."""
    return range(*map(int, text.split(":")))


def append_and_print(out: Path, record: dict[str, Any]) -> None:
    """Append a record to a file of JSON lines, and print it."""
    append(out, [record])
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def run_alone(script: str, *words: str, limit: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script with these arguments in a process of its own with one thread.

    Raises:
        subprocess.TimeoutExpired: it took more than ``limit`` seconds.
    """
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, script, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, env=os.environ | threads)


def arguments_of(description: str | None, out: str, seeds: str) -> argparse.ArgumentParser:
    """Return a parser with the options that every script has, with the defaults of one of them."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results") / out)
    parser.add_argument("--seeds", type=seed_range, default=seeds, help="first:last, or first:last:step")
    parser.add_argument("--only", default="", help="only cases whose key contains this")
    return parser


def arguments_with_translators(description: str | None, out: Path) -> argparse.ArgumentParser:
    """Return a parser with the options that the scripts on kept translators share.

    Args:
        description: of the script.
        out: the file of its records.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, default=Path("benchmarks/vectors"))
    parser.add_argument("--translators", type=Path, default=Path("benchmarks/translators"))
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--tables", action="store_true", help="print the tables of the records")
    return parser


def append_records(arguments: argparse.Namespace, cases: Iterable[tuple[str, Callable[[], dict[str, Any]]]]) -> None:
    """Fit the cases whose key is not in the output yet, and append a JSON line for each.

    Args:
        arguments: those of `arguments_of`.
        cases: key of each case, and the function that fits it.
    """
    for key, fit in _pending(arguments, cases):
        record = fit()
        append(arguments.out, [record])
        top1 = record["forward"]["top1"], record["backward"]["top1"]
        verdict = record["verdict"]
        status = verdict["status"] if isinstance(verdict, dict) else verdict
        sys.stderr.write(f"{key}: {top1} {status}, {record['processor_seconds']:.0f} processor s\n")


def append_all_records(
    arguments: argparse.Namespace,
    cases: Iterable[tuple[str, Callable[[], list[dict[str, Any]]]]],
    describe: Callable[[dict[str, Any]], str],
) -> None:
    """Measure the cases whose key is not in the output yet, and append a JSON line for each of their records.

    A case whose vectors are missing is named and left out.

    Args:
        arguments: those of `arguments_of`.
        cases: key of each case, and the function that measures it.
        describe: what to print of a record.
    """
    for key, measure in _pending(arguments, cases):
        try:
            records = measure()
        except FileNotFoundError as error:
            sys.stderr.write(f"{key}: {error.filename} is missing\n")
            continue
        append(arguments.out, [{"key": key, **record} for record in records])
        for record in records:
            sys.stderr.write(f"{key} {describe(record)}\n")


def _pending(arguments: argparse.Namespace, cases: Iterable[tuple[str, Case]]) -> Iterator[tuple[str, Case]]:
    """Yield the cases that were asked for and are not in the output yet."""
    out: Path = arguments.out
    done = {record["key"] for record in read_records(out)}
    yield from ((key, case) for key, case in cases if key not in done and arguments.only in key)


def append(out: Path, records: Iterable[dict[str, Any]]) -> None:
    """Append records to a file of JSON lines."""
    with out.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records)
