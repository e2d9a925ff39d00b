"""Files that must not be used are refused with a sentence that says why; none is unpickled, unpacked or half-read."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save as safetensors_bytes

from interlingua.errors import InputError
from interlingua.io import EXTENSIONS, create_writer, open_vectors

X = np.random.default_rng(0).standard_normal((200, 8)).astype("float32")


def with_rows(**changed: float) -> Any:
    """``X`` with whole rows set, as ``row_3=0.0``."""
    x = X.copy()
    for name, value in changed.items():
        x[int(name[4:]), : None if value == 0 else 1] = value
    return x


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def npz(compress: bool = False, **arrays: Any) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compress else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def archive(member: str, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        file.writestr(member, data)
    return buffer.getvalue()


def lying_archive() -> bytes:
    """A member that claims to unpack to 3 GiB."""
    data = bytearray(archive("vectors.npy", npy_header((10**8, 8)) + bytes(100)))
    directory = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 3 * 2**30)
    return bytes(data)


def parquet(vectors: Any, kind: Any = None, row_group_size: int | None = None) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"vector": pa.array(vectors, kind)}), buffer, row_group_size=row_group_size)
    return buffer.getvalue()


def lines(*rows: Any) -> bytes:
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()


def vector(*values: Any, **others: Any) -> dict[str, Any]:
    return {"vector": list(values), **others}


def fvecs(*rows: list[float]) -> bytes:
    return b"".join(struct.pack(f"<i{len(row)}f", len(row), *row) for row in rows)


def tensors(header: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


TENSOR = safetensors_bytes({"vectors": X})
F32_LIST = pa.list_(pa.float32())

# (file name, content, message): refused by open_vectors.
ON_OPENING: list[tuple[str, bytes, str]] = [
    ("x.csv", b"1,2", r"x.csv: unknown extension; known are .fvecs, .jsonl, .jsonl.gz, .npy, .npz, .parquet, .safe"),
    ("x.pkl", b"", r"unknown extension"),
    # npy
    ("x.npy", b"", r"the array has no readable .npy header"),
    ("x.npy", b"hello, world", r"the array has no readable .npy header"),
    ("x.npy", npy(X)[:60], r"the array has no readable .npy header"),
    ("x.npy", npy(X)[:-1], r"declares shape \(200, 8\) of float32, which takes 6400 bytes, and 6399 are there"),
    ("x.npy", npy_header((10**12, 10**6)), r"declares shape .* takes 4000000000000000000 bytes, and 0 are there"),
    ("x.npy", npy_header((-1, 4)), r"declares shape \(-1, 4\)"),
    (
        "x.npy",
        npy(np.array([[1, "a"]], dtype=object)),
        r"object array, which would need unpickling and is never",
    ),
    ("x.npy", npy(X[0]), r"the array has shape \(8,\); a matrix of shape \[n, d\] is needed"),
    ("x.npy", npy(X[None]), r"has shape \(1, 200, 8\)"),
    ("x.npy", npy(X[:0]), r"has shape \(0, 8\); at least 1 row and 1 column"),
    ("x.npy", npy(X[:, :0]), r"has shape \(200, 0\); at least 1 row"),
    ("x.npy", npy(X > 0), r"has dtype bool; float16, float32, float64, or int8 with a scale are needed. Convert it"),
    ("x.npy", npy(X.astype(complex)), r"has dtype complex128"),
    ("x.npy", npy(X.astype(str)), r"has dtype <U32"),
    ("x.npy", npy(X.astype("i8")), r"has dtype int64"),
    ("x.npy", npy(np.ones(3, dtype=[("a", "f4")])), r"has dtype \[\('a', '<f4'\)\]"),
    ("x.npy", npy(X.astype("i1")), r"int8 vectors need a scale and the file holds none. Pass scale="),
    # npz
    ("x.npz", b"", r"not a whole .npz archive"),
    ("x.npz", npz(vectors=X)[:-30], r"not a whole .npz archive"),
    ("x.npz", npz(vectors=X, more=X)[: len(npz(vectors=X))], r"not a whole .npz archive"),
    ("x.npz", npz(), r"no key holds vectors; the file has nothing"),
    ("x.npz", archive("vectors.npy", npy_header((10**9, 768))), r"declares shape \(1000000000, 768\) of float32"),
    ("x.npz", archive("vectors.npy", b"no array"), r"vectors has no readable .npy header"),
    ("x.npz", lying_archive(), r"claims 3221225472 bytes packed into \d+, which no honest archive does"),
    ("x.npz", npz(vectors=np.array([[None]])), r"vectors is an object array, which would need unpickling"),
    ("x.npz", npz(vectors=X.astype(complex), id=np.arange(200)), r"vectors has dtype complex128"),
    ("x.npz", npz(vectors=X[:, 0], id=np.arange(200)), r"vectors has shape \(200,\)"),
    ("x.npz", npz(a=X, b=X), r"'a', 'b' could all be the vectors. Choose one with key="),
    ("x.npz", npz(vectors=X.astype("i1"), scale=np.ones(3)), r"scale has shape \(3,\); a number or shape \(8,\)"),
    ("x.npz", npz(vectors=X.astype("i1"), scale=np.array(-1.0)), r"scale must be finite and greater than 0"),
    # safetensors
    ("x.safetensors", b"", r"not a whole .safetensors file"),
    ("x.safetensors", TENSOR[:-1], r"not a whole .safetensors file"),
    ("x.safetensors", (2**62).to_bytes(8, "little") + b"{}", r"not a whole .safetensors file"),
    (
        "x.safetensors",
        tensors({"vectors": {"dtype": "F32", "shape": [10**9, 768], "data_offsets": [0, 3072 * 10**9]}}),
        r"not a whole .safetensors file",
    ),
    ("x.safetensors", safetensors_bytes({"vectors": X[0]}), r"vectors has shape \(8,\)"),
    ("x.safetensors", safetensors_bytes({"vectors": X > 0}), r"vectors has dtype bool"),
    ("x.safetensors", safetensors_bytes({"vectors": X[:0]}), r"vectors has shape \(0, 8\)"),
    # fvecs
    ("x.fvecs", b"", r"is empty; at least 1 row is needed"),
    ("x.fvecs", b"\x04\0", r"not a whole number of such rows"),
    ("x.fvecs", fvecs([1.0, 2.0], [3.0, 4.0])[:-1], r"announces 2 values, and 23 bytes are not a whole number"),
    ("x.fvecs", fvecs([1.0, 2.0, 3.0], [4.0, 5.0]), r"truncated, ragged, or not .fvecs"),
    ("x.fvecs", struct.pack("<ii", -1, 0), r"announces -1 values"),
    ("x.fvecs", struct.pack("<ii", 2**31 - 1, 0), r"announces 2147483647 values"),
    # parquet
    ("x.parquet", b"", r"not a whole Parquet file"),
    ("x.parquet", parquet([[1.0]])[:-9], r"not a whole Parquet file"),
    ("x.parquet", b"PAR1" + bytes(50), r"not a whole Parquet file"),
    ("x.parquet", parquet(["a"]), r"column 'vector' holds string; lists of float16"),
    ("x.parquet", parquet([["a"]]), r"column 'vector' holds list<.*string>; lists of float16"),
    ("x.parquet", parquet([[True]]), r"column 'vector' has dtype bool"),
    ("x.parquet", parquet([[1, 2]]), r"column 'vector' has dtype int64"),
    ("x.parquet", parquet([[1, 2]], pa.list_(pa.int8())), r"int8 vectors need a scale"),
    ("x.parquet", parquet([], F32_LIST), r"column 'vector' has shape \(0, 1\); at least 1 row"),
    ("x.parquet", parquet([[]], F32_LIST), r"has shape \(1, 0\); at least 1 row and 1 column"),
    ("x.parquet", parquet([None, [1.0]], F32_LIST), r"row 0 of column 'vector' is null"),
    # jsonl
    ("x.jsonl", b"", r"has no rows; at least 1 line"),
    ("x.jsonl", b"\n \n", r"has no rows"),
    ("x.jsonl", lines(vector(1.0, 2.0)) + b'{"vector": [1.0, 2', r"line 2 is not valid JSON .* the file is truncated"),
    ("x.jsonl", lines(vector(1.0), "", "oops", vector(2.0)), r"line 3 is not valid JSON"),
    ("x.jsonl", lines([1.0, 2.0]), r"line 1 holds a list; one JSON object a line is needed"),
    ("x.jsonl", lines(vector(1.0, 2.0), "7"), r"line 2 holds a int"),
    ("x.jsonl", lines(vector(1.0, 2.0), vector(3.0)), r"line 2: 'vector' has 1 values and the first row has 2"),
    ("x.jsonl", lines(vector(1.0), {"vector": None}), r"line 2: 'vector' is null; every row needs a vector"),
    ("x.jsonl", lines(vector(1.0), {"text": "a"}), r"line 2: 'vector' is missing"),
    ("x.jsonl", lines(vector(1.0), vector(None)), r"line 2: 'vector' is not a list of numbers"),
    ("x.jsonl", lines(vector(1.0), vector("1")), r"line 2: 'vector' is not a list of numbers"),
    ("x.jsonl", lines(vector(1.0), vector(True)), r"line 2: 'vector' is not a list of numbers"),
    ("x.jsonl", lines(vector([1.0])), r"line 1: 'vector' is not a list of numbers"),
    ("x.jsonl", lines({"vector": "AAAA"}), r"line 1: 'vector' is not a list of numbers"),
    ("x.jsonl", lines(vector()), r"column 'vector' has shape \(1, 0\)"),
    ("x.jsonl", lines({"id": 1, "text": "a"}), r"no column holds vectors; the file has 'id', 'text'"),
    ("x.jsonl", lines({"a": [1.0], "b": [1.0]}), r"'a', 'b' could all be the vectors. Choose one with column="),
    ("x.jsonl", lines('{"vector": [1e999]}', vector(1.0)), r"1 of 2 rows hold NaN or infinity; the first is row 0"),
    ("x.jsonl", lines(vector(1.0), vector(10**400)), r"1 of 2 rows hold NaN or infinity; the first is row 1"),
    ("x.jsonl", lines(vector(1.0), vector(1e300)), r"1 of 2 rows hold NaN or infinity; the first is row 1"),
    ("x.jsonl", lines("[" * 100_000), r"line 1 is not valid JSON"),
    ("x.jsonl", b'{"vector": [1.0], "t": "\xff"}', r"line 1 is not valid JSON"),
    ("x.jsonl", b'{"vector": [1.0], "t": "\\ud800"}', r"line 1 is not valid JSON"),
    (
        "x.jsonl",
        lines(*(vector(1.0, **{f"k{i}_{j}": 1 for j in range(300)}) for i in range(4))),
        r"more than 1000",
    ),
    ("x.jsonl.gz", lines(vector(1.0)), r"line 1 cannot be unpacked"),
    ("x.jsonl.gz", gzip.compress(lines(*[vector(1.0)] * 9))[:-12], r"line \d+ cannot be unpacked"),
    ("x.jsonl.gz", gzip.compress(bytes(2**26 + 1), 1), r"line 1 is longer than 67108864 bytes"),
]

CORRUPT_PARQUET = bytearray(parquet(X.tolist(), F32_LIST, row_group_size=50))
PAGE = pq.read_metadata(io.BytesIO(CORRUPT_PARQUET)).row_group(2).column(0).data_page_offset
CORRUPT_PARQUET[PAGE : PAGE + 64] = bytes(64)
CORRUPT_NPZ = bytearray(npz(compress=True, vectors=X))
CORRUPT_NPZ[2000:2100] = bytes(100)

# (file name, content, message): opens, and is refused by check(), vectors() and batches() before a row comes out wrong.
ON_READING: list[tuple[str, bytes, str]] = [
    ("x.npy", npy(with_rows(row_3=np.nan, row_150=np.inf)), r"2 of 200 rows hold NaN or infinity; the first is row 3"),
    ("x.npy", npy(with_rows(row_7=0, row_9=0)), r"2 of 200 rows are all zeros, and .* direction; the first is row 7"),
    ("x.npz", npz(vectors=with_rows(row_5=np.nan)), r"1 of 200 rows hold NaN or infinity; the first is row 5"),
    ("x.npz", npz(compress=True, vectors=with_rows(row_5=0)), r"1 of 200 rows are all zeros"),
    ("x.npz", bytes(CORRUPT_NPZ), r"vectors.npy is damaged .* Save or download the archive again"),
    ("x.safetensors", safetensors_bytes({"v": with_rows(row_5=np.inf)}), r"1 of 200 rows hold NaN or infinity"),
    ("x.fvecs", fvecs([1.0, 2.0], [0.0, 0.0]), r"1 of 2 rows are all zeros"),
    ("x.fvecs", fvecs([1.0, 2.0]) + struct.pack("<iff", 7, 1.0, 2.0), r"row 1 announces 7 values and row 0 2"),
    ("x.parquet", parquet(with_rows(row_5=np.nan).tolist(), F32_LIST), r"1 of 200 rows hold NaN or infinity"),
    ("x.parquet", parquet([[1.0], [2.0, 3.0]], F32_LIST), r"row 1 of column 'vector' has 2 values and row 0 has 1"),
    ("x.parquet", parquet([[1.0], None], F32_LIST), r"row 1 of column 'vector' is null; every row needs a vector"),
    ("x.parquet", parquet([[1.0], [2.0], [None]], F32_LIST), r"null values inside vectors, the first in row 2"),
    ("x.parquet", bytes(CORRUPT_PARQUET), r"not a whole Parquet file"),
]


def identify(value: object) -> str | None:
    return value if isinstance(value, str) else "-"


@pytest.mark.parametrize(("name", "content", "message"), ON_OPENING, ids=identify)
def test_refused_on_opening(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_vectors(tmp_path / name)


USES: dict[str, Callable[[Any], object]] = {
    "check": lambda file: file.check(),
    "vectors": lambda file: file.vectors(),
    "batches": lambda file: list(file.batches()),
}


@pytest.mark.parametrize("use", list(USES))
@pytest.mark.parametrize(("name", "content", "message"), ON_READING, ids=identify)
def test_refused_on_reading(tmp_path: Path, name: str, content: bytes, message: str, use: str) -> None:
    (tmp_path / name).write_bytes(content)
    file = open_vectors(tmp_path / name)
    with pytest.raises(InputError, match=message):
        USES[use](file)


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x.npy: no such file. Check the path"):
        open_vectors(tmp_path / "x.npy")
    with pytest.raises(InputError, match=r"is a folder; the path of one embedding file is needed"):
        open_vectors(tmp_path)


@pytest.mark.parametrize(
    ("extension", "options", "message"),
    [
        (".npy", {"key": "a"}, r"key='a' means nothing in a .npy file; leave it out"),
        (".fvecs", {"column": "a"}, r"column='a' means nothing in a .fvecs file"),
        (".npy", {"id_column": "a"}, r"id_column='a' means nothing in a .npy file"),
        (".npz", {"column": "a"}, r"column='a' means nothing in a .npz file"),
        (".parquet", {"key": "a"}, r"key='a' means nothing in a .parquet file"),
        (".npz", {"key": "a"}, r"no key 'a'; the file has 'vectors'"),
        (".safetensors", {"key": "a"}, r"no key 'a'; the file has 'vectors'"),
        (".parquet", {"column": "a"}, r"no column 'a'; the file has 'vectors'"),
        (".jsonl", {"column": "a"}, r"no column 'a'; the file has 'vectors'"),
        (".parquet", {"id_column": "a"}, r"no id column 'a'; the file has nothing beside the vectors"),
        (".npy", {"scale": 1.0}, r"scale is for int8 vectors and these are float32. Leave scale out"),
        (".jsonl", {"scale": 1.0}, r"scale is for integers of -128 to 127 and the vector has others"),
    ],
)
def test_names_that_are_not_there_are_refused(
    tmp_path: Path, extension: str, options: dict[str, Any], message: str
) -> None:
    with create_writer(tmp_path / f"x{extension}", d=8, dtype="float32") as writer:
        writer.write(X)
    with pytest.raises(InputError, match=message):
        open_vectors(tmp_path / f"x{extension}", **options)


def test_a_bfloat16_tensor_asked_for_is_refused_by_name(tmp_path: Path) -> None:
    header = {
        "vectors": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]},
        "id": {"dtype": "I32", "shape": [1], "data_offsets": [4, 8]},
    }
    (tmp_path / "x.safetensors").write_bytes(tensors(header, bytes(8)))
    for key in (None, "vectors"):
        with pytest.raises(InputError, match="vectors has dtype BF16, which NumPy does not know"):
            open_vectors(tmp_path / "x.safetensors", key=key)


def test_a_bad_metadata_scale_is_refused(tmp_path: Path) -> None:
    field = pa.field("vector", pa.list_(pa.int8()), metadata={"interlingua.scale": "many"})
    pq.write_table(pa.table({"vector": [[1]]}, schema=pa.schema([field])), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="metadata interlingua.scale is b'many'; a JSON number or list is needed"):
        open_vectors(tmp_path / "x.parquet")


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([[1.0]]), pa.array([1]), pa.array([2])], ["vector", "a", "a"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match="two columns share a name"):
        open_vectors(tmp_path / "x.parquet")


@pytest.mark.parametrize("rows", [(-1, None), (0, 201), (5, 4)])
def test_rows_outside_the_file_are_refused(tmp_path: Path, rows: tuple[int, int | None]) -> None:
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(InputError, match=r"needed are 0 <= start <= stop <= 200 and size >= 1"):
        open_vectors(tmp_path / "x.npy").batches(10, *rows)


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_a_late_bad_row_is_counted_over_the_whole_file_by_its_batch(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    with create_writer(path, d=8, dtype="float32") as writer:
        writer.write(with_rows(row_20=0, row_150=0))
    message = r"2 of 200 rows are all zeros, .* the first is row 20"
    if extension.startswith(".jsonl"):
        with pytest.raises(InputError, match=message):
            open_vectors(path)
        return
    batches = open_vectors(path).batches(100, 100)
    with pytest.raises(InputError, match=message):
        next(batches)


def test_memory_stays_bounded_by_the_batch_and_not_by_the_file(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((100_000, 32)).astype("float32")
    np.savez_compressed(tmp_path / "x.npz", vectors=x)
    file = open_vectors(tmp_path / "x.npz")
    tracemalloc.start()
    for batch in file.batches(1000):
        batch.vectors.sum()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < x.nbytes / 8
