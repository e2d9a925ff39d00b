"""What goes into an embedding file comes out of it, whole or in pieces."""

from __future__ import annotations

import gzip
import json
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from interlingua.core.errors import InputError, InputWarning
from interlingua.io import EXTENSIONS, Records, VectorFile, create_writer, open_vectors, read_texts

ALL = sorted(EXTENSIONS)
BARE = (".fbin", ".fvecs", ".npy")
NAMED = [extension for extension in ALL if extension not in BARE]
FLOATS = ("float16", "float32", "float64")
MAPPED = (".npy", ".npz", ".safetensors", ".fvecs", ".fbin")


def matrix(n: int, d: int, dtype: str = "float32", seed: int = 0) -> npt.NDArray[Any]:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def as_batch(ids: Sequence[Any] | None, payload: dict[str, Any] | None) -> Records:
    table = None if payload is None else pa.table(payload)
    return Records(None if ids is None else pa.array(ids), np.empty((0, 0)), table)


def save(path: Path, vectors: npt.NDArray[Any], batch: Records | None = None, **options: Any) -> VectorFile:
    options = {"dtype": vectors.dtype} | options
    with create_writer(path, d=vectors.shape[1], **options) as writer:
        writer.write(vectors, batch)
    return open_vectors(path)


def joined(batches: Sequence[Records]) -> tuple[npt.NDArray[Any], list[Any], list[Any]]:
    ids = [i for batch in batches if batch.ids is not None for i in batch.ids.to_pylist()]
    rows = [row for batch in batches if batch.payload is not None for row in batch.payload.to_pylist()]
    return np.concatenate([batch.vectors for batch in batches]), ids, rows


@pytest.mark.parametrize("extension", ALL)
@pytest.mark.parametrize("dtype", FLOATS)
@settings(max_examples=8, deadline=None)
@given(n=st.integers(1, 40), d=st.integers(1, 9), size=st.integers(1, 50), seed=st.integers(0, 9), data=st.data())
def test_vectors_come_back_bit_equal_whole_and_streamed(
    extension: str, dtype: str, n: int, d: int, size: int, seed: int, data: st.DataObject
) -> None:
    x = matrix(n, d, dtype, seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{extension}"
        stored = "float32" if extension in (".fvecs", ".fbin") else dtype
        with create_writer(path, d=d, dtype=stored, n=n) as writer:
            for start in range(0, n, size):
                writer.write(x[start : start + size])
        file = open_vectors(path)
        assert (file.n, file.d, file.path) == (n, d, path)
        # JSON has one kind of number, which is handed out as float32.
        kept = "float32" if extension.startswith((".jsonl", ".ndjson")) else stored
        assert file.dtype == kept
        np.testing.assert_array_equal(file.vectors(), x.astype(stored).astype(kept))
        start = data.draw(st.integers(0, n))
        stop = data.draw(st.integers(start, n))
        batches = list(file.batches(size, start, stop))
        assert all(0 < len(batch.vectors) <= size for batch in batches)
        assert [batch.start for batch in batches] == list(
            np.cumsum([start, *(len(batch.vectors) for batch in batches)])[:-1]
        )
        if start < stop:
            np.testing.assert_array_equal(joined(batches)[0], file.vectors()[start:stop])
        assert file.ids() is None


@pytest.mark.parametrize("extension", [".npz", ".parquet", ".safetensors"])
@pytest.mark.parametrize("per_column", [False, True])
def test_int8_travels_with_its_scale(tmp_path: Path, extension: str, per_column: bool) -> None:
    x = np.clip(matrix(50, 6), -3, 3)
    scale = np.full(6, 0.025, np.float32) * np.arange(1, 7, dtype=np.float32) if per_column else np.float32(0.025)
    file = save(tmp_path / f"x{extension}", x, dtype="int8", scale=scale)
    assert [file.stored_dtype, file.dtype] == ["int8", "float32"]
    assert file.scale is not None
    np.testing.assert_array_equal(file.scale, scale)
    assert (np.abs(file.vectors() - x) <= 0.5001 * np.asarray(scale, np.float32)).all()
    np.testing.assert_array_equal(joined(list(file.batches(7)))[0], file.vectors())
    doubled = open_vectors(file.path, scale=2 * scale)
    np.testing.assert_allclose(doubled.vectors(), 2 * file.vectors(), rtol=1e-6)
    again = save(tmp_path / f"y{extension}", file.vectors(), dtype="int8", scale=scale)
    np.testing.assert_array_equal(again.vectors(), file.vectors())


@pytest.mark.parametrize("extension", [".npy", ".jsonl", ".jsonl.gz"])
def test_int8_without_room_for_a_scale_needs_it_again(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"x{extension}"
    with (
        pytest.warns(InputWarning, match="cannot hold the scale; pass it to open_vectors"),
        create_writer(path, d=2, dtype="int8", scale=0.5) as writer,
    ):
        writer.write(np.array([[1.0, -2.0], [3.5, 0.5]]))
    file = open_vectors(path, scale=0.5)
    np.testing.assert_array_equal(file.vectors(), [[1.0, -2.0], [3.5, 0.5]])
    assert file.dtype == np.float32


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
SCALARS = {
    "text": TEXT,
    "whole": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
}
HELD = {".npz": ("whole", "real", "flag"), ".safetensors": ("whole", "real", "flag")}


@pytest.mark.parametrize("extension", NAMED)
@pytest.mark.parametrize("id_kind", ["whole", "text"])
@settings(max_examples=10, deadline=None)
@given(data=st.data(), n=st.integers(1, 12), size=st.integers(1, 5))
def test_ids_and_payload_come_back_unchanged(
    extension: str, id_kind: str, data: st.DataObject, n: int, size: int
) -> None:
    names = HELD.get(extension, tuple(SCALARS))
    columns = {name: data.draw(st.lists(SCALARS[name], min_size=n, max_size=n)) for name in names}
    if extension not in HELD:
        columns["gappy"] = data.draw(st.lists(st.none() | TEXT, min_size=n, max_size=n))
    ids = data.draw(st.lists(SCALARS[id_kind], min_size=n, max_size=n))
    if (extension, id_kind) == (".safetensors", "text"):
        return
    x = matrix(n, 3)
    types = {"text": pa.string(), "whole": pa.int64(), "real": pa.float64(), "flag": pa.bool_(), "gappy": pa.string()}
    payload = pa.table({name: pa.array(values, types[name]) for name, values in columns.items()})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{extension}"
        with create_writer(path, d=3, dtype="float32") as writer:
            for start in range(0, n, size):
                rows = slice(start, start + size)
                batch = Records(pa.array(ids[rows], types[id_kind]), x[rows], payload.slice(start, size), start)
                writer.write(x[rows], batch)
        file = open_vectors(path)
        assert (file.id_name, set(file.names)) == ("id", set(columns))
        found_ids = file.ids()
        assert found_ids is not None
        assert found_ids.to_pylist() == ids
        for start in {0, n // 2}:
            found = joined(list(file.batches(size, start)))
            assert found[1] == ids[start:]
            assert found[2] == payload.slice(start).select(list(file.names)).to_pylist()


@pytest.mark.parametrize("target", NAMED)
@pytest.mark.parametrize("origin", NAMED)
def test_formats_translate_into_one_another(tmp_path: Path, origin: str, target: str) -> None:
    x = matrix(30, 4)
    batch = as_batch(list(range(100, 130)), {"year": np.arange(30), "weight": np.linspace(0, 1, 30)})
    first = save(tmp_path / f"a{origin}", x, batch)
    with create_writer(tmp_path / f"b{target}", d=4, dtype=first.dtype, n=first.n, like=first) as writer:
        for part in first.batches(8):
            writer.write(part.vectors, part)
    second = open_vectors(tmp_path / f"b{target}")
    assert (second.vector_name, second.id_name, second.names) == (first.vector_name, "id", first.names)
    for found, expected in zip(joined(list(second.batches())), joined(list(first.batches())), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("extension", [".npy", ".fvecs", ".fbin", ".npz", ".safetensors"])
def test_what_a_format_cannot_hold_is_named_before_any_row(tmp_path: Path, extension: str) -> None:
    like = save(tmp_path / "a.parquet", matrix(3, 2), as_batch(["a", "b", "c"], {"text": ["x", "y", "z"]}))
    ids = "" if extension == ".npz" else r"ids 'id' \(string\), "
    with (
        pytest.warns(InputWarning, match=rf"cannot hold {ids}column 'text' \(string\); dropped. Write .parquet"),
        pytest.raises(InputError, match="0 rows were written"),
        create_writer(tmp_path / f"b{extension}", d=2, dtype="float32", like=like),
    ):
        pass


def test_what_a_format_cannot_hold_is_named_without_a_model_too(tmp_path: Path) -> None:
    with pytest.warns(InputWarning, match=r"a .npy file cannot hold ids 'id' \(int64\); dropped"):
        save(tmp_path / "a.npy", matrix(2, 2), as_batch([1, 2], None))


@pytest.mark.parametrize("extension", MAPPED)
def test_uncompressed_vectors_are_mapped_and_not_read(tmp_path: Path, extension: str) -> None:
    found = save(tmp_path / f"x{extension}", matrix(20, 4)).vectors()
    base: Any = found
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert not found.flags.writeable


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<f2"])
def test_arrays_saved_by_numpy_are_read_in_any_order(tmp_path: Path, dtype: str, order: Any) -> None:
    x = np.asarray(matrix(40, 5).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "b.npz", vectors=x)
    np.savez_compressed(tmp_path / "c.npz", vectors=x, id=np.arange(40).astype(">i4"))
    for name in ("a.npy", "b.npz", "c.npz"):
        file = open_vectors(tmp_path / name)
        np.testing.assert_array_equal(file.vectors(), x)
        assert file.vectors().dtype == x.dtype.newbyteorder("=")
        np.testing.assert_array_equal(joined(list(file.batches(7, 3, 38)))[0], x[3:38])
    ids = open_vectors(tmp_path / "c.npz").ids()
    assert ids is not None
    assert ids.to_pylist() == list(range(40))


def test_outputs_are_what_other_readers_expect(tmp_path: Path) -> None:
    x, batch = matrix(6, 3), as_batch([3, 1, 4, 1, 5, 9], {"year": np.arange(6)})
    for extension in NAMED:
        save(tmp_path / f"x{extension}", x, batch)
    save(tmp_path / "x.npy", x)
    save(tmp_path / "x.fvecs", x)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), x)
    np.testing.assert_array_equal(np.fromfile(tmp_path / "x.fvecs", "<f4").reshape(6, 4)[:, 1:], x)
    archive = np.load(tmp_path / "x.npz")
    assert sorted(archive) == ["id", "vectors", "year"]
    np.testing.assert_array_equal(archive["vectors"], x)
    archive.close()
    tensors = load_file(tmp_path / "x.safetensors")
    assert tensors["id"].tolist() == [3, 1, 4, 1, 5, 9]
    np.testing.assert_array_equal(tensors["vectors"], x)
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.schema.field("vectors").type == pa.list_(pa.float32(), 3)
    assert json.loads((tmp_path / "x.jsonl").read_text().splitlines()[2])["id"] == 4
    assert gzip.decompress((tmp_path / "x.jsonl.gz").read_bytes()) == (tmp_path / "x.jsonl").read_bytes()


def test_files_of_other_writers_are_read(tmp_path: Path) -> None:
    x = matrix(10, 3)
    save_file({"emb": x, "id": np.arange(10)}, tmp_path / "a.safetensors", metadata={"model": "m"})
    table = pa.table({"_id": [f"d{i}" for i in range(10)], "embedding": x.tolist(), "other": [[1.0]] * 10})
    pq.write_table(table, tmp_path / "b.parquet", row_group_size=4)
    for name in ("a.safetensors", "b.parquet"):
        np.testing.assert_array_equal(open_vectors(tmp_path / name).vectors(), x)
    ids = open_vectors(tmp_path / "b.parquet").ids()
    assert ids is not None
    assert ids.to_pylist() == table.column("_id").to_pylist()
    assert open_vectors(tmp_path / "b.parquet").names == ("other",)
    assert open_vectors(tmp_path / "b.parquet", id_column="other").names == ("_id",)


def test_column_and_key_pick_the_vectors(tmp_path: Path) -> None:
    a, b = matrix(4, 2), matrix(4, 3, seed=1)
    np.savez(tmp_path / "x.npz", a=a, b=b)
    pq.write_table(pa.table({"a": a.tolist(), "b": b.tolist()}), tmp_path / "x.parquet")
    lines = [json.dumps({"a": r.tolist(), "b": s.tolist()}) for r, s in zip(a, b, strict=True)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    np.testing.assert_array_equal(open_vectors(tmp_path / "x.npz", key="b").vectors(), b)
    np.testing.assert_array_equal(open_vectors(tmp_path / "x.parquet", column="b").vectors(), b)
    np.testing.assert_array_equal(open_vectors(tmp_path / "x.jsonl", column="b").vectors(), b)
    for name, kind in (("x.npz", "key"), ("x.parquet", "column"), ("x.jsonl", "column")):
        with pytest.raises(InputError, match=f"'a', 'b' could all be the vectors. Choose one with {kind}="):
            open_vectors(tmp_path / name)


def test_json_objects_lists_and_mixed_keys_survive_a_visit_to_parquet(tmp_path: Path) -> None:
    rows = [
        {"ref": 1, "meta": {"a": [1, None]}, "mixed": "x", "big": 2**70, "vector": [1.0, 2.0]},
        {"ref": "two", "meta": {"b": {}}, "mixed": [1.5], "big": 3, "vector": [3, 4.5]},
        {"ref": 3, "meta": None, "mixed": None, "big": None, "vector": [5.0, 6.0]},
    ]
    (tmp_path / "a.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows) + "\n \n")
    path = tmp_path / "a.jsonl"
    for name in ("b.parquet", "c.jsonl"):
        like = open_vectors(path)
        with create_writer(tmp_path / name, d=2, dtype="float32", like=like) as writer:
            for batch in like.batches(2):
                writer.write(batch.vectors, batch)
        path = tmp_path / name
    assert [json.loads(line) for line in path.read_text().splitlines()] == rows


def test_json_lacks_nan_dates_and_missing_keys(tmp_path: Path) -> None:
    payload = {
        "real": [1.0, float("nan")], "day": pa.array([0, 1], pa.date32()), "code": pa.array([b"a", b"b"]),
        "list": [[float("inf"), 1.0], []], "object": [{"a": float("nan")}, {"a": 2.0}],
    }  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save(tmp_path / "a.jsonl", matrix(2, 2), as_batch(None, payload))
    dropped, *lossy = [str(warning.message) for warning in caught]
    assert "cannot hold column 'code' (binary); dropped. Write .parquet to keep" in dropped
    lacks = "has NaN or infinity, which JSON lacks: they were written as null. Write .parquet to keep them."
    assert lossy == [f"column {name!r} {lacks}" for name in ("list", "object", "real")]
    rows = [json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(row["real"], row["day"]) for row in rows] == [(1.0, "1970-01-01"), (None, "1970-01-02")]
    assert [(row["list"], row["object"]) for row in rows] == [([None, 1.0], {"a": None}), ([], {"a": 2.0})]


def test_a_late_start_in_json_lines_skips_by_offset(tmp_path: Path) -> None:
    x = matrix(9000, 2)
    for extension in (".jsonl", ".jsonl.gz"):
        file = save(tmp_path / f"x{extension}", x)
        for start in (0, 4095, 4096, 8999):
            np.testing.assert_array_equal(joined(list(file.batches(500, start)))[0], x[start:])


def test_the_fingerprint_follows_content_and_not_the_name(tmp_path: Path) -> None:
    x = matrix(5000, 300)
    original = save(tmp_path / "a.npy", x).fingerprint()
    assert save(tmp_path / "b.npy", x).fingerprint() == original
    x[-1, -1] += 1
    assert save(tmp_path / "c.npy", x).fingerprint() != original
    assert save(tmp_path / "d.npy", x[:-1]).fingerprint() != original


def test_npz_and_tensors_named_scale_are_a_column_unless_vectors_are_int8(tmp_path: Path) -> None:
    batch = as_batch(None, {"scale": [1.0, 2.0, 3.0]})
    file = save(tmp_path / "a.npz", matrix(3, 2), batch)
    assert file.names == ("scale",)
    with pytest.warns(InputWarning, match="column 'scale'"):
        other = save(
            tmp_path / "b.npz", matrix(3, 2), as_batch(None, {"scale": [1.0, 2.0, 3.0]}), dtype="int8", scale=0.1
        )
    assert other.names == ()
    assert other.scale == np.float32(0.1)


def test_object_arrays_beside_the_vectors_are_dropped_aloud_and_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", vectors=matrix(3, 2), id=np.array(["a", "b", None], dtype=object))
    with pytest.warns(InputWarning, match="'id' dropped: object arrays are never unpickled"):
        file = open_vectors(tmp_path / "a.npz")
    assert file.ids() is None


def test_large_values_of_numbers_are_read_with_bounded_batches(tmp_path: Path) -> None:
    file = save(tmp_path / "a.parquet", matrix(40_000, 2))
    assert {len(batch.vectors) for batch in file.batches(10_000)} <= set(range(1, 10_001))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file.check()
    assert repr(file) == f"VectorFile({str(file.path)!r}, n=40000, d=2, dtype=float32)"


def test_ids_of_mixed_type_are_read_as_text_also_over_the_borders_of_batches(tmp_path: Path) -> None:
    ids: list[Any] = [i if i % 2 else f"s{i}" for i in range(40)]
    lines = [json.dumps({"id": value, "note": value, "vector": [i + 1.0, 2.0]}) for i, value in enumerate(ids)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines), "utf-8")
    file = open_vectors(tmp_path / "x.jsonl")
    assert [value for batch in file.batches(7) for value in batch.ids.to_pylist()] == [str(value) for value in ids]
    assert file.ids().to_pylist() == [str(value) for value in ids]  # type: ignore[union-attr]
    with create_writer(tmp_path / "y.jsonl", d=2, dtype="float32", like=file) as writer:
        for batch in file.batches(7):
            writer.write(batch.vectors, batch)
    rows = [json.loads(line) for line in (tmp_path / "y.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [str(value) for value in ids]
    assert [row["note"] for row in rows] == ids  # payload of mixed type is kept as it is


def test_a_file_that_cannot_be_read_is_not_asked_which_database_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise PermissionError("Permission denied")

    (tmp_path / "x.db").write_bytes(b"SQLite format 3")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"x\.db: unknown extension"):
        open_vectors(tmp_path / "x.db")


def test_ids_that_would_be_equal_as_text_are_refused(tmp_path: Path) -> None:
    lines = [json.dumps({"id": value, "vector": [1.0, 2.0]}) for value in (7, "a", "7")]
    (tmp_path / "x.jsonl").write_text("\n".join(lines), "utf-8")
    with pytest.raises(InputError, match="'id' is the number 7 in some lines and the text '7' in others; as text they"):
        open_vectors(tmp_path / "x.jsonl")


@pytest.mark.parametrize("address", ["duckdb://leak.duckdb#chunks.v", "https://example.org/x.npy", "s3://bucket/x.npy"])
@pytest.mark.parametrize("read", [open_vectors, read_texts])
def test_an_address_is_not_called_a_missing_file(read: Any, address: str) -> None:
    with pytest.raises(InputError, match="looks like an address, and the path of a file is needed here"):
        read(address)
    with pytest.raises(InputError, match=r"missing\.parquet: no such file\. Check the path\."):
        read("missing.parquet")
