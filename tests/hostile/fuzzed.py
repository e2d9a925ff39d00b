"""Good files of every format, damaged at random by a seed, and what must hold of a reader that opens them.

Run as a script, it tries damaged files in this process, with little memory, and prints a line of JSON for each kind.
A translator's two files and the journal of a migration are kinds as well.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import gzip
import io
import json
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
from safetensors.numpy import save as safetensors_bytes

N, D = 60, 8
MEMORY = 2**30
SECONDS = 10
X = np.random.default_rng(1).standard_normal((N, D)).astype("float32")
INTEGERS = np.random.default_rng(2).integers(1, 100, (N, D))
# Formats whose data have a checksum: what is read must be what was written.
CHECKED = {"npz", "npz-deflated", "parquet", "parquet-zstd", "jsonl.gz", "csv.gz", "translator.safetensors"}
# Whole numbers where sizes and offsets go wrong.
EDGES = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = (
    b"[" * 3_000, b'{"a":' * 3_000, b"1e999", b"-1e-400", b"NaN", b"Infinity", b"null", b"\xff\xfe", b"\xc3\x28", b"\0",
    b"9" * 400, b'"\\ud800"', b"\r", b"\n\n", b",", b'"', b"1.0.0", b"true", b"{}", b"[]", b"\xef\xbb\xbf",
)  # fmt: skip


def _table() -> pa.Table:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), D)
    return pa.table(
        {
            "id": pa.array(range(N), pa.int64()),
            "vector": lists,
            "title": pa.array([f"text {i % 7} naïve" for i in range(N)]),
            "nested": pa.array([{"a": i, "b": ["x"] * (i % 3)} for i in range(N)]),
        }
    )


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _lines(row: Callable[[int], Any]) -> bytes:
    return "".join(json.dumps(row(i), ensure_ascii=i % 2 == 0) + "\n" for i in range(N)).encode()


def _records(array: Any, kind: str) -> bytes:
    return b"".join(struct.pack("<i", D) + row.astype(kind).tobytes() for row in array)


def _ipc(make: Callable[[Any, pa.Schema], Any]) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with make(buffer, _table().schema) as writer:
            writer.write_table(_table())

    return _bytes(write)


def good_files() -> dict[str, tuple[str, bytes, dict[str, Any]]]:
    """Return for each kind the name of a file, its content, and options of `open_vectors`."""
    plain, names = X.tolist(), np.array([f"id {i}" for i in range(N)])
    jsonl = _lines(lambda i: {"id": i, "vector": plain[i], "title": f"naïve {i}", "more": {"a": [i, None]}})
    csv = ("id,vector,title\n" + "".join(f'{i},"{plain[i]}","a ""b"", {i}"\n' for i in range(N))).encode()
    batch = {"body": {"data": [{"embedding": plain[0], "index": 0}]}, "status_code": 200}
    files: dict[str, tuple[str, bytes, dict[str, Any]]] = {
        "npy": ("x.npy", _bytes(lambda b: np.save(b, X)), {}),
        "npy-fortran": ("x.npy", _bytes(lambda b: np.save(b, np.asfortranarray(X.astype("f8")))), {}),
        "npy-int8": ("x.npy", _bytes(lambda b: np.save(b, INTEGERS.astype("i1"))), {"scale": 0.1}),
        "npz": ("x.npz", _bytes(lambda b: np.savez(b, vectors=X, ids=names)), {}),
        "npz-deflated": ("x.npz", _bytes(lambda b: np.savez_compressed(b, vectors=X, ids=np.arange(N))), {}),
        "safetensors": ("x.safetensors", safetensors_bytes({"vectors": X, "ids": np.arange(N)}), {}),
        "fvecs": ("x.fvecs", _records(X, "<f4"), {}),
        "bvecs": ("x.bvecs", _records(INTEGERS, "u1"), {}),
        "ivecs": ("x.ivecs", _records(INTEGERS, "<i4"), {}),
        "fbin": ("x.fbin", struct.pack("<ii", N, D) + X.tobytes(), {}),
        "u8bin": ("x.u8bin", struct.pack("<ii", N, D) + INTEGERS.astype("u1").tobytes(), {}),
        "i8bin": ("x.i8bin", struct.pack("<ii", N, D) + INTEGERS.astype("i1").tobytes(), {}),
        "parquet": (
            "x.parquet",
            _bytes(lambda b: pq.write_table(_table(), b, compression="none", write_page_checksum=True)),
            {},
        ),
        "parquet-zstd": (
            "x.parquet",
            _bytes(
                lambda b: pq.write_table(
                    _table(), b, 17, compression="zstd", write_page_checksum=True, data_page_version="2.0"
                )
            ),
            {},
        ),
        "parquet-unchecked": ("x.parquet", _bytes(lambda b: pq.write_table(_table(), b, compression="snappy")), {}),
        "jsonl": ("x.jsonl", jsonl, {}),
        "jsonl.gz": ("x.jsonl.gz", gzip.compress(jsonl, mtime=0), {}),
        "jsonl-base64": (
            "x.jsonl",
            _lines(lambda i: {"id": i, "vector": base64.b64encode(X[i].tobytes()).decode()}),
            {},
        ),
        "jsonl-batch": (
            "x.jsonl",
            _lines(lambda i: {"custom_id": f"{i}", "response": batch, "error": None}),
            {"column": "openai-batch"},
        ),
        "csv": ("x.csv", csv, {}),
        "csv.gz": ("x.csv.gz", gzip.compress(csv, mtime=0), {}),
        "arrow": ("x.arrow", _ipc(pa.ipc.new_file), {}),
        "arrow-stream": ("x.arrow", _ipc(pa.ipc.new_stream), {}),
        "feather": ("x.feather", _bytes(lambda b: feather.write_feather(_table(), b, compression="lz4")), {}),
        "vec": (
            "x.vec",
            (f"{N} {D}\n" + "".join(f"word{i} {' '.join(map(str, plain[i]))}\n" for i in range(N))).encode(),
            {},
        ),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        written_journal(Path(folder, "j.sqlite"))
        files["journal"] = ("j.sqlite", Path(folder, "j.sqlite").read_bytes(), {})
        saved_translator(Path(folder, "translator"))
        for file in ("card.json", "translator.safetensors"):
            files[file] = (f"translator/{file}", Path(folder, "translator", file).read_bytes(), {})
    if find_spec("faiss"):
        import faiss

        for kind, index in (("faiss", faiss.IndexFlatL2(D)), ("faiss-graph", faiss.IndexHNSWFlat(D, 8))):
            named = faiss.IndexIDMap2(index)
            named.add_with_ids(X, np.arange(N))
            files[kind] = ("x.faiss", faiss.serialize_index(named).tobytes(), {})
    if find_spec("h5py"):
        import h5py

        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file["train"] = X
            file.create_dataset("ids", data=np.arange(N), chunks=(16,), compression="gzip", fletcher32=True)
        files["hdf5"] = ("x.hdf5", buffer.getvalue(), {})
    return files


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a file that was truncated, extended, or changed in some places; the places are near each other or not."""
    data = bytearray(content)
    kind = int(rng.integers(8))
    if kind == 0:
        return bytes(data[: int(rng.integers(len(data)))])
    if kind == 1:
        return bytes(data) + rng.bytes(int(rng.integers(1, 200)))
    # Half of the changes are made where headers and footers are.
    ends = np.concatenate([np.arange(min(200, len(data))), np.arange(max(0, len(data) - 400), len(data))])
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.choice(ends)) if rng.random() < 0.5 else int(rng.integers(len(data)))
        at = min(at, len(data) - 1)
        if kind in (2, 3):
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 4:
            width = int(rng.choice([1, 2, 4, 8]))
            value = int(rng.choice(np.array(EDGES, np.uint64))) & (2 ** (8 * width) - 1)
            data[at : at + width] = value.to_bytes(width, "little")
        elif kind == 5:
            length = int(rng.integers(1, 64))
            data[at : at + length] = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
        elif kind == 6:
            length = int(rng.integers(1, 200))
            data[at:at] = data[at : at + length] if rng.random() < 0.5 else b""
            del data[at : at + int(rng.integers(0, 20))]
            if not data:
                return b""
        else:
            data[at:at] = TEXTS[int(rng.integers(len(TEXTS)))]
    return bytes(data)


def saved_translator(folder: Path) -> None:
    """Save a translator."""
    from interlingua.core.maps import AffineMap
    from interlingua.core.profiles import SpaceProfile
    from interlingua.core.translator import Translator

    frame, zeros = np.linalg.qr(X[:D])[0], np.zeros(D, np.float32)
    maps = AffineMap(zeros, frame, zeros), AffineMap(zeros, np.ascontiguousarray(frame.T), zeros)
    verdict = {"status": "aligned", "score": 1.0, "reasons": []}
    Translator(*maps, (SpaceProfile.of(X), SpaceProfile.of(X)), {"verdict": verdict}).save(folder)


def written_journal(path: Path) -> None:
    """Write the journal of a migration that was killed while it copied."""
    from interlingua.stores._journal import MigrationJournal
    from interlingua.stores.planning import Plan

    source, target = "memory://a#a", "memory://a#b"
    plan = Plan(
        source=source,
        target=target,
        rows=4 * N,
        d_in=D,
        d_out=D,
        metric="cosine",
        as_new_vector=False,
        dropped=(),
        needed_bytes=1,
        free_bytes=None,
        seconds=1.0,
    )
    facts = {"d": D, "ids": "string", "payload": None}
    journal = MigrationJournal(path, create=True)
    journal.note(job="a", source=source, target=target, target_begun=True, source_facts=facts, translator="t")
    journal.note(options={"page_rows": N}, plan=asdict(plan))
    with journal.surveying(phase="copying"):
        for number in range(4):
            digests = np.random.default_rng(number).integers(-(2**62), 2**62, (N, 2))
            journal.add_page(number, [number], N, "0" * 32, list(range(number, N, 9)), digests)
    for number in range(4):
        journal.mark_written(number)
    journal.close()


def read_translator(path: Path) -> tuple[Any, Any]:
    """Return translations of a fixed matrix."""
    from interlingua import load

    translator = load(path.parent)
    return translator.translate(X), translator.invert(X)


def read_journal(path: Path) -> tuple[Any, Any]:
    """Return the facts and the rows of a journal."""
    from interlingua.stores._journal import MigrationJournal

    journal = MigrationJournal(path, create=False)
    try:
        last, _ = journal.last_written(), journal.sample()
        if last is not None:
            journal.page(last.number)
        known = journal.holds(np.arange(5))
        return np.array([[journal.rows(), journal.rows(done=True), journal.row_count()]]), [
            journal.facts,
            journal.phase,
            known,
        ]
    finally:
        journal.close()


def read_index(path: Path) -> tuple[Any, Any]:
    """Return vectors and ids of an index."""
    from interlingua.stores import open_store

    with open_store(f"faiss://{path}") as store:
        count = store.info().count
        parts = [records for records, _ in store.scan(23)]
        store.search(np.asarray(parts[0].vectors[:1], np.float32), 3)
    vectors = np.concatenate([part.vectors for part in parts])
    assert len(vectors) == count, "other vectors than ids"
    return vectors, [value for part in parts for value in part.ids.to_pylist()]


def read_file(path: Path, options: dict[str, Any]) -> tuple[Any, Any]:
    """Return all vectors and ids that are read, by every manner of reading."""
    from interlingua.io import open_vectors

    if path.suffix == ".sqlite":
        return read_journal(path)
    if path.suffix == ".faiss":
        return read_index(path)
    if path.parent.name == "translator":
        return read_translator(path)
    file = open_vectors(path, **options)
    parts = list(file.batches(23))
    rows = np.concatenate([part.vectors for part in parts])
    whole = np.asarray(file.vectors())
    ids = file.ids()
    assert rows.shape == whole.shape == (file.n, file.d), f"{rows.shape}, {whole.shape}, {(file.n, file.d)}"
    assert np.array_equal(rows, whole), "batches() and vectors() differ"
    assert np.isfinite(whole).all(), "vectors that are not finite were accepted"
    assert whole.any(axis=1).all(), "zero vectors were accepted"
    assert ids is None or len(ids) == file.n, "other ids than rows"
    assert all(part.payload is None or part.payload.num_rows == len(part.vectors) for part in parts), "ragged payload"
    return whole, None if ids is None else ids.to_pylist()


class Corpus:
    """The good files, and a folder in which damaged ones are written and read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, good_files()

    def write(self, kind: str, content: bytes) -> Path:
        """Write a file in place of the last one of its name."""
        path = self.folder / self.files[kind][0]
        if path.parent != self.folder:
            shutil.rmtree(path.parent, ignore_errors=True)
            saved_translator(path.parent)
        path.write_bytes(content)
        return path

    def read(self, kind: str, content: bytes) -> tuple[str, Any]:
        """Read a file and return ``"read"``, ``"refused"`` or ``"wrong"`` with what was read or what was wrong."""
        from interlingua.core.errors import InputError

        path = self.write(kind, content)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return "read", read_file(path, self.files[kind][2])
        except InputError as error:
            return ("refused", str(error)) if str(error).strip() else ("wrong", "an error without a sentence")
        except BaseException:  # noqa: BLE001  (whatever else comes out is what is looked for)
            return "wrong", traceback.format_exc()

    def summary(self, kind: str, numbers: range, seed: int) -> dict[str, Any]:
        """Read damaged files of one kind; return how many were read and refused, and what was wrong."""
        outcome, good = self.read(kind, self.files[kind][1])
        counts = {"read": 0, "refused": 0}
        wrong = [] if outcome == "read" else [f"the good file: {good}"]
        for number in numbers:
            sys.stderr.write(f"{kind} {number}\n")  # the file at hand, should this process die
            sys.stderr.flush()
            signal.alarm(SECONDS)
            outcome, found = self.read(kind, damaged(self.files[kind][1], np.random.default_rng([seed, number])))
            signal.alarm(0)
            if outcome == "read" and kind in CHECKED and not np.array_equal(good[0], found[0]):
                outcome, found = "wrong", "other vectors than were written, in spite of a checksum"
            if outcome == "wrong":
                wrong.append(f"file {number}: {found}")
            else:
                counts[outcome] += 1
        return {"kind": kind, "seed": seed, "first": numbers.start, "tried": len(numbers), **counts, "wrong": wrong}


def main() -> None:
    """Try damaged files with little memory, and print a line of JSON for each kind."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(good_files()))
    parser.add_argument("--first", type=int, default=0, help="number of the first damaged file")
    parser.add_argument("--files", type=int, default=20, help="damaged files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    faulthandler.enable(file=sys.stderr)
    numbers = range(arguments.first, arguments.first + arguments.files)
    with tempfile.TemporaryDirectory() as folder:
        corpus = Corpus(Path(folder))
        for kind in arguments.kinds:
            corpus.read(kind, corpus.files[kind][1])  # what a reader imports is not counted
        mapped = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for kind in arguments.kinds:
            found = corpus.summary(kind, numbers, arguments.seed)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
            sys.stdout.write(json.dumps({**found, "grown_mb": grown}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
