"""Files that must not be used, small ones made on the spot, each with the sentence that refuses it."""

from __future__ import annotations

import gzip
import io
import json
import struct
import zipfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save as safetensors_bytes

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


# Text where numpy expects a literal: evaluated, it would run a command.
_CODE = b"__import__('os').system('touch pwned')"
PICKLE_IN_A_HEADER = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(_CODE)) + _CODE
LONG_HEADER = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + b"{" * 1000
TENSOR = safetensors_bytes({"vectors": X})
F32_LIST = pa.list_(pa.float32())

# (file name, content, message): refused by open_vectors.
ON_OPENING: list[tuple[str, bytes, str]] = [
    (
        "x.txt",
        b"1,2",
        r"x.txt: unknown extension; the supported extensions are .*.fvecs, .*.jsonl, .jsonl.gz, .*.npy, .npz, "
        r".parquet, .*safe",
    ),
    ("x.pkl", b"", r"unknown extension"),
    # npy
    ("x.npy", b"", r"the array has no readable .npy header"),
    ("x.npy", b"hello, world", r"the array has no readable .npy header"),
    ("x.npy", npy(X)[:60], r"the array has no readable .npy header"),
    ("x.npy", npy(X)[:-1], r"declares shape \(200, 8\) of float32, which takes 6,400 bytes, and 6,399 are there"),
    ("x.npy", npy_header((10**12, 10**6)), r"declares shape .* takes 4,000,000,000,000,000,000 bytes, and 0 are there"),
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
    ("x.npy", PICKLE_IN_A_HEADER, r"the array has no readable .npy header"),
    ("x.npy", npy_header((2**63 - 1, 2**63 - 1)), r"declares shape"),
    ("x.npy", LONG_HEADER, r"the array has no readable .npy header"),
    # npz
    ("x.npz", b"", r"not a whole .npz archive"),
    ("x.npz", npz(vectors=X)[:-30], r"not a whole .npz archive"),
    ("x.npz", npz(vectors=X, more=X)[: len(npz(vectors=X))], r"not a whole .npz archive"),
    ("x.npz", npz(), r"no key holds vectors; the file has nothing"),
    ("x.npz", archive("vectors.npy", npy_header((10**9, 768))), r"declares shape \(1000000000, 768\) of float32"),
    ("x.npz", archive("vectors.npy", b"no array"), r"vectors has no readable .npy header"),
    (
        "x.npz",
        lying_archive(),
        r"claims 3,221,225,472 bytes packed into \d+, a ratio that arrays of vectors do not reach",
    ),
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
    (
        "x.safetensors",
        tensors(
            {
                "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
            },
            bytes(12),
        ),
        r"not a whole .safetensors file",
    ),
    (
        "x.safetensors",
        tensors({"vectors": {"dtype": "F32", "shape": [2, 2], "data_offsets": [-8, 8]}}, bytes(16)),
        r"not a whole .safetensors file",
    ),
    ("x.safetensors", (2**27).to_bytes(8, "little") + b"{" + bytes(100), r"not a whole .safetensors file"),
    # fvecs
    ("x.fvecs", b"", r"is empty; at least 1 row is needed"),
    ("x.fvecs", b"\x04\0", r"not a whole number of such rows"),
    ("x.fvecs", fvecs([1.0, 2.0], [3.0, 4.0])[:-1], r"announces 2 values, and 23 bytes are not a whole number"),
    ("x.fvecs", fvecs([1.0, 2.0, 3.0], [4.0, 5.0]), r"truncated, ragged, or not .fvecs"),
    ("x.fvecs", struct.pack("<ii", -1, 0), r"announces -1 values"),
    ("x.fvecs", struct.pack("<ii", 2**31 - 1, 0), r"announces 2,147,483,647 values"),
    ("x.bvecs", struct.pack("<i4B", 4, 1, 2, 3, 4) + b"\4", r"announces 4 values, and 9 bytes .* or not .bvecs"),
    ("x.bvecs", struct.pack("<ii", 2**31 - 1, 0), r"announces 2,147,483,647 values"),
    ("x.ivecs", struct.pack("<iii", 3, 1, 2), r"announces 3 values, and 12 bytes .* or not .ivecs"),
    # fbin, u8bin, i8bin
    ("x.fbin", b"", r"has 0 bytes and its header alone needs 8"),
    (
        "x.fbin",
        struct.pack("<II2f", 1, 2, 1.0, 2.0)[:-1],
        r"announces 1 row of 2 values, which take 16 bytes, and",
    ),
    ("x.fbin", struct.pack("<II2f", 1, 1, 1.0, 2.0), r"which take 12 bytes, and the file has 16"),
    ("x.fbin", struct.pack("<II", 2**32 - 1, 2**32 - 1), r"announces 4,294,967,295 rows of 4,294,967,295 values"),
    ("x.fbin", struct.pack("<II", 0, 8), r"the header has shape \(0, 8\); at least 1 row"),
    ("x.u8bin", struct.pack("<II", 5, 8) + bytes(39), r"which take 48 bytes, and the file has 47"),
    ("x.i8bin", struct.pack("<II", 5, 0), r"the header has shape \(5, 0\)"),
    # vec
    ("x.vec", b"", r"has shape \(0, 0\); at least 1 row"),
    ("x.vec", b"3 2\na 1 2\nb 3 4\n", r"header announces 3 words of 2 values, and the file has 2 lines"),
    ("x.vec", b"1 3\na 1 2\n", r"header announces 1 word of 3 values, and the file has 1 line, the first of 2"),
    ("x.vec", b"999999999999 300\na 1 2\n", r"header announces 999,999,999,999 words"),
    ("x.vec", b"a " + b"1 " * 2**23, r"line 1 is longer than 16777216 bytes"),
    # parquet
    ("x.parquet", b"", r"not a whole Parquet file"),
    ("x.parquet", parquet([[1.0]])[:-9], r"not a whole Parquet file"),
    ("x.parquet", b"PAR1" + bytes(50), r"not a whole Parquet file"),
    ("x.parquet", parquet(["a"]), r"column 'vector' holds string; lists of float16"),
    ("x.parquet", parquet([["a"]]), r"column 'vector' holds list<.*string>; lists of float16"),
    ("x.parquet", parquet([[True]]), r"column 'vector' has dtype bool"),
    ("x.parquet", parquet([[1, 2]]), r"column 'vector' has dtype int64"),
    ("x.parquet", parquet([[1, 2]], pa.list_(pa.int8())), r"int8 vectors need a scale"),
    ("x.parquet", parquet([], F32_LIST), r"has no rows; at least 1 row is needed"),
    ("x.parquet", parquet([[]], F32_LIST), r"has shape \(1, 0\); at least 1 row and 1 column"),
    ("x.parquet", parquet([None, [1.0]], F32_LIST), r"row 0 of column 'vector' is null"),
    # jsonl
    ("x.jsonl", b"", r"has no line with a vector; at least 1 line"),
    ("x.jsonl", b"\n \n", r"has no line with a vector"),
    ("x.jsonl", lines(vector(1.0, 2.0)) + b'{"vector": [1.0, 2', r"line 2 is not valid JSON .* the file is truncated"),
    ("x.jsonl", lines(vector(1.0), "", "oops", vector(2.0)), r"line 3 is not valid JSON"),
    ("x.jsonl", lines([1.0, 2.0]), r"line 1 holds a list; one JSON object per line is needed"),
    ("x.jsonl", lines(vector(1.0, 2.0), "7"), r"line 2 holds a number"),
    ("x.jsonl", lines(vector(1.0, 2.0), vector(3.0)), r"line 2: 'vector' has 1 value and the first row has 2"),
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
    ("x.jsonl", lines('{"vector": [1e999]}', vector(1.0)), r"1 of 2 rows holds NaN or infinity, namely row 0"),
    ("x.jsonl", lines(vector(1.0), vector(10**400)), r"1 of 2 rows holds NaN or infinity, namely row 1"),
    ("x.jsonl", lines(vector(1.0), vector(1e300)), r"1 of 2 rows holds NaN or infinity, namely row 1"),
    ("x.jsonl", lines("[" * 100_000), r"line 1 is not valid JSON"),
    ("x.jsonl", b'{"vector": [1.0], "t": "\xff"}', r"line 1 is not valid JSON"),
    ("x.jsonl", b'{"vector": [1.0], "t": "\\ud800"}', r"line 1 holds half of a surrogate pair"),
    (
        "x.jsonl",
        lines(*(vector(1.0, **{f"k{i}_{j}": 1 for j in range(300)}) for i in range(4))),
        r"more than 1000",
    ),
    ("x.jsonl", b'{"vector": [NaN, 1.0]}\n', r"the only row holds NaN or infinity"),
    ("x.jsonl", b'{"vector": [-Infinity, 1.0]}\n', r"the only row holds NaN or infinity"),
    ("x.jsonl", bytes(2**26 + 1), r"line 1 is longer than 67108864 bytes"),
    ("x.jsonl.gz", lines(vector(1.0)), r"is not packed by gzip. Remove .gz"),
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
    (
        "x.npy",
        npy(with_rows(row_7=0, row_9=0)),
        r"2 of 200 rows are all zeros; the first is row 7\. A zero",
    ),
    ("x.npz", npz(vectors=with_rows(row_5=np.nan)), r"1 of 200 rows holds NaN or infinity, namely row 5"),
    ("x.npz", npz(compress=True, vectors=with_rows(row_5=0)), r"1 of 200 rows is all zeros"),
    ("x.npz", bytes(CORRUPT_NPZ), r"vectors.npy is damaged .* Save or download the archive again"),
    ("x.safetensors", safetensors_bytes({"v": with_rows(row_5=np.inf)}), r"1 of 200 rows holds NaN or infinity"),
    ("x.fvecs", fvecs([1.0, 2.0], [0.0, 0.0]), r"1 of 2 rows is all zeros"),
    ("x.fvecs", fvecs([1.0, 2.0]) + struct.pack("<iff", 7, 1.0, 2.0), r"row 1 announces 7 values and row 0 2"),
    ("x.bvecs", struct.pack("<i2Bi2B", 2, 1, 2, 3, 1, 2), r"row 1 announces 3 values and row 0 2"),
    ("x.fbin", struct.pack("<II4f", 2, 2, 1.0, 2.0, 0.0, 0.0), r"1 of 2 rows is all zeros"),
    ("x.u8bin", struct.pack("<II4B", 2, 2, 1, 2, 0, 0), r"1 of 2 rows is all zeros"),
    ("x.vec", b"a 1 2\nb 3 x\n", r"line 2 is not a word in UTF-8 followed by 2 numbers .* damaged"),
    ("x.vec", b"a 1 2\n\xff 3 4\n", r"line 2 is not a word in UTF-8"),
    ("x.vec", b"2 2\na 1 2\n5\n", r"line 3 is not a word in UTF-8 followed by 2 numbers"),
    ("x.vec", b"a 1 2\nb nan 4\n", r"1 of 2 rows holds NaN"),
    ("x.parquet", parquet(with_rows(row_5=np.nan).tolist(), F32_LIST), r"1 of 200 rows holds NaN or infinity"),
    (
        "x.parquet",
        parquet([[1.0], [2.0, 3.0]], F32_LIST),
        r"row 1 of column 'vector' has 2 values and 1 is",
    ),
    ("x.parquet", parquet([[1.0], None], F32_LIST), r"row 1 of column 'vector' is null; every row needs a vector"),
    ("x.parquet", parquet([[1.0], [2.0], [None]], F32_LIST), r"null values inside vectors, the first in row 2"),
    ("x.parquet", bytes(CORRUPT_PARQUET), r"not a whole Parquet file"),
]
