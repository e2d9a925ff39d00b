"""Files that must not be used are refused with a sentence that says why; none is unpickled, unpacked or half-read."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hostile.cases import ON_OPENING, ON_READING, X, tensors, with_rows
from interlingua.core.errors import InputError
from interlingua.io import EXTENSIONS, create_writer, open_vectors


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
        (".npy", {"scale": 1.0}, r"scale is for int8 vectors and these are float32. Leave scale=... out"),
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


def test_a_requested_tensor_of_an_unknown_type_is_refused_by_name(tmp_path: Path) -> None:
    header = {
        "vectors": {"dtype": "F8_E4M3", "shape": [1, 4], "data_offsets": [0, 4]},
        "id": {"dtype": "I32", "shape": [1], "data_offsets": [4, 8]},
    }
    (tmp_path / "x.safetensors").write_bytes(tensors(header, bytes(8)))
    for key in (None, "vectors"):
        with pytest.raises(InputError, match="vectors has dtype F8_E4M3, which NumPy does not know"):
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
    with pytest.raises(InputError, match=r"0 <= start <= stop <= 200 and size >= 1 are needed"):
        open_vectors(tmp_path / "x.npy").batches(10, *rows)


@pytest.mark.parametrize("extension", sorted(EXTENSIONS))
def test_a_late_bad_row_is_counted_over_the_whole_file_by_its_batch(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    with create_writer(path, d=8, dtype="float32") as writer:
        writer.write(with_rows(row_20=0, row_150=0))
    message = r"2 of 200 rows are all zeros; the first is row 20. A zero vector has no direction"
    if extension.startswith((".jsonl", ".ndjson")):
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
