"""Kill migrations with SIGKILL, at random moments and at a sample of writes to disk, resume them, compare every row.

    python benchmarks/kills.py --random 100 --syncs 400
    python benchmarks/kills.py --random 20 "parquet>postgres" "chroma>jsonl"
    python benchmarks/kills.py --random 30 --rollback

Every store is the source of a migration and the target of another; with PostgreSQL, DuckDB and both Qdrants a vector is
also added to the source's own rows. With ``--random`` a migration is killed at a random moment, resumed, killed again
and so on until it is complete. With ``--syncs`` strace, which must be installed, ends the process at the n-th call of
fsync, rename, unlink and their relatives, for every n; with PostgreSQL also at the n-th message to the server. Each of
those migrations is killed once and resumed. With ``--rollback`` every second migration that was killed is rolled back
instead, which must remove the target and nothing else. Afterwards every id, payload and vector of the target is
compared, and the source must hold what it held before. Appends a line for each kill and each migration to
benchmarks/results/kills.jsonl.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib
import json
import os
import queue
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import interlingua as il
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator
from interlingua.stores import Records, Spec, Store, open_source, open_store
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options
from stores import compare, server

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "kills.jsonl"
D_IN, D_OUT = 32, 24
# A random kill needs a migration that takes a while; kills at writes need one of few writes.
ROWS = {"random": 2_000, "syncs": 200}
PAGE = {"random": 50, "syncs": 100}
# Source and target; a pair with + adds a vector to the source's own rows.
PAIRS = (
    "parquet>postgres", "postgres>lancedb", "lancedb>duckdb", "duckdb>milvus", "milvus>qdrant", "qdrant>qdrant-edge",
    "qdrant-edge>faiss", "faiss>parquet", "jsonl>chroma", "chroma>jsonl", "postgres+", "duckdb+", "qdrant+",
    "qdrant-edge+",
)  # fmt: skip
# Calls before and after which files differ.
WRITES = ("fsync", "fdatasync", "msync", "ftruncate", "rename", "renameat", "renameat2", "link", "linkat", "unlink",
          "unlinkat")  # fmt: skip
# Imported before the fork; the client of LanceDB starts threads when it is imported, which a fork would lose.
PRELOADED = ("pyarrow.parquet", "psycopg", "duckdb", "faiss", "qdrant_client", "qdrant_edge", "pymilvus", "chromadb",
             "interlingua.stores.postgres", "interlingua.stores.files", "interlingua.stores.duckdb")  # fmt: skip
SECONDS = 300


@dataclass(frozen=True)
class Pair:
    """A source and a target in a folder of their own."""

    name: str
    folder: Path

    @property
    def kinds(self) -> list[str]:
        """The kinds of the source and of the target."""
        return [self.name[:-1]] * 2 if self.name.endswith("+") else self.name.split(">")

    @property
    def options(self) -> dict[str, bool]:
        """Options that make the source's rows fit into the target."""
        source, target = self.kinds
        return {"ids_as_text": target == "chroma" != source, "drop_payload": target == "faiss" != source}

    def source(self) -> str:
        """Return the address of the source."""
        return self._address(self.kinds[0], "source", "old_rows")

    def target(self) -> str:
        """Return the address of the target."""
        if self.name.endswith("+"):
            return self._address(self.kinds[0], "source", "old_rows", "added")
        return self._address(self.kinds[1], "target", "new_rows")

    def _address(self, kind: str, place: str, name: str, vector: str = "vector") -> str:
        folder = self.folder / place
        if kind == "postgres":
            return f"postgresql://postgres@/postgres?host={self.folder}/pg#{name}.{vector}"
        if kind in {"parquet", "jsonl"}:
            return f"{folder}/{name}.{kind}"
        paths = {"duckdb": f"{folder}/d.duckdb", "milvus": f"{folder}/m.db", "faiss": f"{folder}/{name}.faiss"}
        names = "" if kind == "faiss" else f"#{name}"
        named = self.name.endswith("+") or kind == "duckdb"
        return f"{kind}://{paths.get(kind, folder)}{names}{'.' + vector if named else ''}"


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


def fill(pair: Pair, n: int) -> Records:
    """Make the source and return what the target must hold."""
    kind = pair.kinds[0]
    payload = None
    if kind != "faiss":
        payload = pa.table({"title": [f"row {i}" for i in range(n)], "year": pa.array(range(n), pa.int64())})
    ids = pa.array(range(n), pa.int64())
    records = Records(ids.cast(pa.string()) if kind == "chroma" else ids, unit(n, D_IN, 3), payload)
    schema = None if payload is None else payload.schema
    with open_store(pair.source()) as store:
        spec = Spec(D_IN, "cosine", records.ids.type, schema, n, job="fill")
        store.create(spec)
        store.prepare(spec, 0)
        store.upsert(records)
        store.finish()
    written = records.ids.cast(pa.string()) if pair.options["ids_as_text"] else records.ids
    payload = None if pair.options["drop_payload"] else payload
    return Records(written, planted().translate(records.vectors), payload)


def content(store: Store) -> list[str]:
    """Return digests of all rows."""
    return [records.digest() for records, _ in store.scan(500)]


def run(pair: Pair, page: int) -> None:
    """Migrate, or resume; say when the work begins and when it is done."""
    journal = pair.folder / "journal.sqlite"
    translator = il.load(pair.folder / "translator")
    with open_source(pair.source()) as source, open_store(pair.target()) as target:
        say("begin")
        options = Options(page_rows=page, **pair.options)
        migrate(translator, source, target, journal=journal, options=options, resume=journal.exists())
    say("done")


def say(word: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def forks(pair: Pair, page: int) -> None:
    """Import everything once, then run a migration in a new process for each line of the standard input."""
    warnings.simplefilter("ignore")
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        process = os.fork()
        if process:
            say(f"process {process}")
            say(f"exit {os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}")
            continue
        os.setsid()
        if line.strip() == "stop":  # until strace is attached
            os.kill(os.getpid(), signal.SIGSTOP)
        status = 1
        try:
            run(pair, page)
            status = 0
        except BaseException:  # noqa: BLE001  (a process that was forked must not go on with the loop)
            (pair.folder / "error.txt").write_text(traceback.format_exc())
        os._exit(status)


def phase(journal: Path) -> str:
    """Return the phase that a killed migration had reached."""
    try:
        with sqlite3.connect(journal, timeout=5) as db:
            return str(json.loads(db.execute("select value from fact where name = 'phase'").fetchone()[0]))
    except (sqlite3.Error, TypeError):
        return "before the journal"


class Torment:
    """Kills the migrations of one pair."""

    def __init__(self, pair: Pair, mode: str, write: Callable[[dict[str, Any]], None]) -> None:
        self.pair, self.mode, self._write = pair, mode, write
        self.journal = pair.folder / "journal.sqlite"
        for name in ("source", "target"):
            (pair.folder / name).mkdir()
        planted().save(pair.folder / "translator")
        self.expected = fill(pair, ROWS[mode])
        with open_source(pair.source()) as source:
            self.before = content(source)
        command = [sys.executable, __file__, "--forks", str(pair.folder), "--page", str(PAGE[mode]), pair.name]
        self.forks = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.forks.stdout is not None
        for line in self.forks.stdout:
            self.lines.put(line.strip())
        self.lines.put("end")

    def start(self, word: str) -> int:
        """Start a migration, or resume it, and return its process."""
        assert self.forks.stdin is not None
        self.forks.stdin.write(f"{word}\n")
        self.forks.stdin.flush()
        return int(self.lines.get(timeout=SECONDS).removeprefix("process "))

    def wait(self) -> int:
        """Wait for the end of the migration and return its exit status, negative if it was killed."""
        while not (line := self.lines.get(timeout=SECONDS)).startswith("exit "):
            if line == "end":
                raise SystemExit(f"{self.pair.name}: the process that starts the migrations has ended.")
        return int(line.removeprefix("exit "))

    def error(self) -> str:
        """Return what the last migration that failed said."""
        file = self.pair.folder / "error.txt"
        return file.read_text("utf-8") if file.exists() else ""

    def complete(self, survived: int) -> bool:
        """Resume without a kill, compare everything, and remove the target."""
        self.start("go")
        status = self.wait()
        record: dict[str, Any] = {"pair": self.pair.name, "mode": self.mode, "kills_survived": survived}
        if status:
            self._write({**record, "right": False, "error": self.error().splitlines()[-1:]})
            raise SystemExit(f"{self.pair.name}: {self.error()}")
        with open_source(self.pair.source()) as source, open_store(self.pair.target()) as target:
            found = compare(target, self.expected)
            same = content(source) == self.before
            right = found["rows"] == len(self.expected) and found["ids_equal"] and found["payload_equal"]
            right = bool(right and found["largest_error"] < 1e-5 and same)
            target.drop(vector_only=self.pair.name.endswith("+"))
        self._write({**record, "right": right, "source_unchanged": same, **found})
        self.journal.unlink()
        shutil.rmtree(self.pair.folder / "target")
        (self.pair.folder / "target").mkdir()
        return right

    def roll_back(self, survived: int) -> None:
        """Undo a migration that was killed: the target must be gone and the source as it was."""
        begun = phase(self.journal)
        if self.journal.exists():
            rollback(self.journal)
        with open_source(self.pair.source()) as source, open_store(self.pair.target()) as target:
            right = content(source) == self.before and not target.exists()
        record = {"pair": self.pair.name, "mode": self.mode, "kills_survived": survived, "rolled_back": begun}
        self._write({**record, "right": right})
        self.journal.unlink(missing_ok=True)

    def at_random(self, kills: int, rng: np.random.Generator, *, rolls_back: bool) -> None:
        """Kill so many times at random moments."""
        longest, survived, done = 1.0, 0, 0
        while done < kills:
            process = self.start("go")
            if self.lines.get(timeout=SECONDS) != "begin":
                raise SystemExit(f"{self.pair.name}: {self.error()}")
            wait, start = float(rng.uniform(0, longest)), time.perf_counter()
            deadline = start + wait
            while self.lines.empty() and time.perf_counter() < deadline:
                time.sleep(0.001)
            if self.lines.empty():
                os.killpg(process, signal.SIGKILL)
            if self.wait() == -signal.SIGKILL:
                done, survived = done + 1, survived + 1
                record = {"pair": self.pair.name, "mode": self.mode, "kill": done, "after_s": round(wait, 3)}
                self._write({**record, "phase": phase(self.journal)})
                if rolls_back and done % 2:
                    self.roll_back(survived)
                    survived = 0
                continue
            if not survived:
                longest = max(0.3, 1.1 * (time.perf_counter() - start))
            self.complete(survived)
            survived = 0
        self.complete(survived)

    def at_every_write(self, most: int) -> int:
        """Kill once at each call of `WRITES`, at ``most`` of them evenly, and return the number of kills."""
        done = 0
        if self.traced():
            raise SystemExit(f"{self.pair.name}: {self.error()}")
        points = reached((self.pair.folder / "strace.txt").read_text("utf-8", "replace"))
        self.complete(0)
        for index in np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).astype(int)):
            call, number = points[index]
            status = self.traced("-e", f"inject={call}:signal=KILL:when={number}")
            record = {"pair": self.pair.name, "mode": self.mode, "call": call, "number": number}
            killed = status == -signal.SIGKILL
            self._write({**record, "of": len(points), "killed": killed, "phase": phase(self.journal)})
            done += killed
            self.complete(int(killed))
        return done

    def traced(self, *more: str) -> int:
        """Run a migration under strace and return its exit status."""
        calls = [*WRITES, "sendto"] if "postgres" in self.pair.name else [*WRITES]
        process = self.start("stop")
        log = self.pair.folder / "strace.txt"
        log.unlink(missing_ok=True)
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(calls)}", *more, "-p", str(process)],
            stderr=subprocess.DEVNULL,
        )
        while "TracerPid:\t0" in (status := Path(f"/proc/{process}/status").read_text()) or "State:\tR" in status:
            if tracer.poll() is not None:
                raise SystemExit("strace cannot attach to the process.")
            time.sleep(0.005)
        os.kill(process, signal.SIGCONT)
        status = self.wait()
        tracer.wait(SECONDS)
        return status

    def close(self) -> None:
        """End the process that starts the migrations."""
        assert self.forks.stdin is not None
        self.forks.stdin.close()
        self.forks.wait(SECONDS)


def reached(log: str) -> list[tuple[str, int]]:
    """Return each traced call with its number; strace counts the calls of each thread from 1."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    points: dict[tuple[str, int], None] = {}
    for thread, call in re.findall(r"^(\d+) +(\w+)\(", log, re.MULTILINE):
        counts[thread, call] += 1
        points[call, counts[thread, call]] = None
    return list(points)


def main() -> None:
    """Torment the pairs named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="*", default=list(PAIRS))
    parser.add_argument("--random", type=int, default=0, metavar="N", help="kills at random moments, over all pairs")
    parser.add_argument("--syncs", type=int, default=0, metavar="N", help="kills at writes, at most, over all pairs")
    parser.add_argument("--rollback", action="store_true", help="undo every second migration that was killed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--forks", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--page", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.forks:
        forks(Pair(arguments.pairs[0], arguments.forks), arguments.page)
        return
    warnings.simplefilter("ignore")
    wrong = sum(torment(name, mode, arguments) for name in arguments.pairs for mode in ROWS if getattr(arguments, mode))
    if wrong:
        raise SystemExit(f"{wrong} migrations lost or changed rows.")


def torment(name: str, mode: str, arguments: argparse.Namespace) -> int:
    """Kill the migrations of one pair and return how many came out wrong."""
    folder, wrong = Path(tempfile.mkdtemp(prefix="il-kill-")), 0
    kinds = "postgres" if "postgres" in name else name
    kills = -(-getattr(arguments, mode) // len(arguments.pairs))
    try:
        with OUT.open("a", encoding="utf-8") as stream, server(kinds, folder):

            def write(record: dict[str, Any]) -> None:
                nonlocal wrong
                wrong += not record.get("right", True)
                stream.write(json.dumps(record) + "\n")
                stream.flush()

            work = Torment(Pair(name, folder), mode, write)
            if mode == "random":
                work.at_random(kills, np.random.default_rng(arguments.seed), rolls_back=arguments.rollback)
            else:
                work.at_every_write(kills)
            work.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return wrong


if __name__ == "__main__":
    main()
