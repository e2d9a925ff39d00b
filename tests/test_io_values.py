"""Stored values mean what their writer meant: types, scales, magnitudes and checksums."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from interlingua.core.errors import InputError, InputWarning
from interlingua.io import create_writer, open_vectors
from interlingua.io._json_columns import heads_of, is_json_type

X = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
Q = np.clip(np.rint(X * 40), -128, 127).astype(np.int8)


@pytest.mark.parametrize("size", [1e-30, 1e-21, 1e19, 1e200])
@pytest.mark.parametrize("extension", [".npy", ".npz", ".parquet", ".jsonl", ".safetensors"])
def test_rows_whose_squares_vanish_or_overflow_in_float32_are_refused(
    tmp_path: Path, extension: str, size: float
) -> None:
    if extension == ".jsonl" and size > 1e38:
        pytest.skip("JSON numbers are read as float32, and infinity has a message of its own")
    x = X.astype(np.float64)
    x[[3, 150]] *= size
    path = tmp_path / f"x{extension}"
    with create_writer(path, d=8, dtype="float64") as writer:
        writer.write(x)
    with pytest.raises(InputError, match="2 of 200 rows have a largest magnitude under 1e-20 or over 1e18; the first"):
        open_vectors(path).vectors()
    with pytest.raises(InputError, match=r"; the first is row 3\. .*Scale them and try again"):
        list(open_vectors(path).batches(50))


@pytest.mark.parametrize("size", [1e-17, 1e-4, 1e4, 1e17])
def test_other_magnitudes_are_read(tmp_path: Path, size: float) -> None:
    np.save(tmp_path / "x.npy", X * np.float32(size))
    open_vectors(tmp_path / "x.npy").check()


def as_bfloat16(path: Path) -> npt.NDArray[Any]:
    x = X.astype(pytest.importorskip("ml_dtypes").bfloat16)
    if path.suffix == ".npy":
        np.save(path, x)
    elif path.name.startswith("packed"):
        np.savez_compressed(path, vectors=x)
    elif path.suffix == ".npz":
        np.savez(path, vectors=x)
    else:
        save_file({"vectors": x}, path)
    return x.astype(np.float32)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "packed.npz", "x.safetensors"])
def test_bfloat16_is_widened_to_float32(tmp_path: Path, name: str) -> None:
    expected = as_bfloat16(tmp_path / name)
    file = open_vectors(tmp_path / name)
    assert file.dtype == np.float32
    np.testing.assert_array_equal(file.vectors(), expected)
    parts = [batch.vectors for batch in file.batches(70, 10)]
    np.testing.assert_array_equal(np.concatenate(parts), expected[10:])


@pytest.mark.parametrize("extension", [".npz", ".safetensors"])
@pytest.mark.parametrize("width", [(), (8,)])
@pytest.mark.parametrize("name", ["offset", "zero_point"])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_an_offset_beside_the_scale_is_applied(
    tmp_path: Path, extension: str, width: tuple[int, ...], name: str, dtype: str
) -> None:
    q = Q if dtype == "int8" else Q.view(np.uint8)
    shift = np.full(width, 3.0, np.float32)
    arrays = {"vectors": q, "scale": np.array([0.5], np.float32), name: shift, "id": np.arange(200)}
    path = tmp_path / f"x{extension}"
    np.savez(path, **arrays) if extension == ".npz" else save_file(arrays, path)  # type: ignore[arg-type]
    file = open_vectors(path)
    expected = q.astype(np.float32) * 0.5 + 3 if name == "offset" else (q.astype(np.float32) - 3) * 0.5
    np.testing.assert_allclose(file.vectors(), expected, rtol=1e-6)
    assert (file.id_name, file.names) == ("id", ())
    replaced = open_vectors(path, offset=1.0)
    np.testing.assert_allclose(replaced.vectors(), q.astype(np.float32) * 0.5 + 1, rtol=1e-6)
    assert replaced.fingerprint() != file.fingerprint()


def test_an_offset_may_be_an_argument_and_must_be_one_that_fits(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", Q)
    file = open_vectors(tmp_path / "x.npy", scale=0.5, offset=np.arange(8))
    np.testing.assert_allclose(file.vectors(), Q * 0.5 + np.arange(8))
    for offset, message in ((np.ones(3), r"offset has shape \(3,\)"), (np.nan, "finite numbers"), ("a", "offset is")):
        with pytest.raises(InputError, match=message):
            open_vectors(tmp_path / "x.npy", scale=0.5, offset=offset)
    np.save(tmp_path / "y.npy", X)
    with pytest.raises(InputError, match="offset is for 8-bit integers and these are float32"):
        open_vectors(tmp_path / "y.npy", offset=1.0)
    np.savez(tmp_path / "z.npz", vectors=Q, scale=0.5, offset=1.0, zero_point=2.0)
    with pytest.raises(InputError, match="holds an offset and a zero_point; one of the two is needed"):
        open_vectors(tmp_path / "z.npz")


@pytest.mark.parametrize("scale", [None, 0.02])
def test_uint8_that_may_be_packed_bits_is_refused_and_the_message_says_how_to_unpack_it(
    tmp_path: Path, scale: float | None
) -> None:
    bits = np.packbits(X > 0, axis=1)
    np.save(tmp_path / "x.npy", bits)
    pq.write_table(pa.table({"vector": pa.array(bits.tolist(), pa.list_(pa.uint8()))}), tmp_path / "x.parquet")
    np.savez(tmp_path / "x.npz", vectors=bits)
    for name in ("x.npy", "x.parquet", "x.npz"):
        with pytest.raises(InputError, match=r"packed bits, save np.unpackbits\(x, axis=1\) \* 2.0 - 1"):
            open_vectors(tmp_path / name, scale=scale)


@pytest.mark.parametrize("compress", [False, True])
def test_a_flipped_bit_in_an_archive_is_found_by_its_checksum(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "x.npz"
    (np.savez_compressed if compress else np.savez)(path, vectors=X)
    with zipfile.ZipFile(path) as archive:
        begin = archive.infolist()[0].header_offset
    data = bytearray(path.read_bytes())
    data[begin + 2000] ^= 4
    path.write_bytes(data)
    file = open_vectors(path)
    for use in (file.vectors, file.check, lambda: list(file.batches(50, 100))):
        with pytest.raises(InputError, match=r"vectors.npy is damaged"):
            use()


def test_a_flipped_bit_in_a_column_of_an_archive_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, vectors=X, id=np.arange(200))
    data = bytearray(path.read_bytes())
    data[data.rindex(np.arange(190, 200).tobytes()) + 9] ^= 4
    path.write_bytes(data)
    with pytest.raises(InputError, match="Bad CRC-32 for file .id.npy."):
        open_vectors(path).ids()


@pytest.mark.parametrize("own", [False, True])
def test_a_flipped_bit_in_a_page_is_found_by_its_checksum(tmp_path: Path, own: bool) -> None:
    path = tmp_path / "x.parquet"
    if own:
        with create_writer(path, d=8, dtype="float32") as writer:
            writer.write(X)
    else:
        kind = pa.list_(pa.float32())
        table = pa.table({"vector": pa.array(X.tolist(), kind)})
        pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    column = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 50] ^= 4
    path.write_bytes(data)
    with pytest.raises(InputError, match="not a whole Parquet file"):
        open_vectors(path).check()


def test_values_after_the_array_are_not_lost_in_silence(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.save(file, X[:100])
        np.save(file, X[100:])
    with pytest.raises(InputError, match="The rest would be lost; save each array in a file of its own"):
        open_vectors(tmp_path / "x.npy")


def test_an_archive_with_two_arrays_of_one_name_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "x.npy", "vectors.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(tmp_path / "x.npy", "vectors.npy")
    with pytest.raises(InputError, match=r"holds vectors\.npy twice; one of the two would be lost"):
        open_vectors(tmp_path / "x.npz")


def write_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    elif path.suffix == ".safetensors":
        save_file(arrays, path)
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    return path


@pytest.mark.parametrize("extension", [".npz", ".safetensors", ".h5"])
def test_arrays_that_do_not_fit_the_vectors_are_refused_or_named(tmp_path: Path, extension: str) -> None:
    path = write_arrays(tmp_path / f"a{extension}", {"vectors": X, "id": np.arange(150)})
    with pytest.raises(InputError, match="'id' has 150 values for 200 vectors; one id for each is needed"):
        open_vectors(path)
    path = write_arrays(tmp_path / f"b{extension}", {"vectors": X, "box": np.zeros((200, 2)), "n": np.arange(3)})
    with pytest.warns(InputWarning, match=r"'n' \(3,\).* were left out: a column has one value for each of the") as w:
        assert open_vectors(path).names == ()
    assert "'box' (200, 2)" in str(w[0].message)


def test_bytes_keep_what_follows_a_nul(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", vectors=X[:2], code=np.array([b"a\0b", b"c"]))
    (batch,) = open_vectors(tmp_path / "x.npz").batches()
    assert batch.payload.column("code").to_pylist() == [b"a\0b", b"c"]  # type: ignore[union-attr]


def test_text_in_hdf5_is_utf8_whatever_its_mark(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for name, text in (("good.h5", "é".encode()), ("bad.h5", b"\xe9")):
        with h5py.File(tmp_path / name, "w") as file:
            file["vectors"], file["id"] = X[:2], np.array([text, b"b"])
    assert open_vectors(tmp_path / "good.h5").ids().to_pylist() == ["é", "b"]  # type: ignore[union-attr]
    with pytest.raises(InputError, match="the text of 'id' is not UTF-8. Save it as UTF-8"):
        open_vectors(tmp_path / "bad.h5").ids()


def test_a_stream_without_its_end_is_read_with_a_warning(tmp_path: Path) -> None:
    table = pa.table({"id": range(200), "emb": pa.array(X.tolist(), pa.list_(pa.float32()))})
    with pa.ipc.new_stream(tmp_path / "x.arrow", table.schema) as writer:
        writer.write_table(table, 100)
    assert open_vectors(tmp_path / "x.arrow").n == 200
    (tmp_path / "y.arrow").write_bytes((tmp_path / "x.arrow").read_bytes()[:-8])
    with pytest.warns(
        InputWarning, match="without the mark of its end, so later rows may be missing. It holds 200 rows"
    ):
        open_vectors(tmp_path / "y.arrow")


def test_words_are_read_behind_a_byte_order_mark_and_must_be_there(tmp_path: Path) -> None:
    lines = [f"w{row} " + " ".join(map(str, values)) for row, values in enumerate(X.tolist())]
    for name, text in (("a.vec", "\n".join([f"{len(X)} 8", *lines])), ("b.vec", "\n".join(lines))):
        (tmp_path / name).write_text(text, "utf-8-sig")
        file = open_vectors(tmp_path / name)
        assert (file.n, file.d, file.ids().to_pylist()[0]) == (200, 8, "w0")  # type: ignore[union-attr]
    (tmp_path / "c.vec").write_text("\n".join(line.split(" ", 1)[1] for line in lines), "utf-8")
    with pytest.raises(InputError, match="first line begins with a number where a word is needed, and it would be"):
        open_vectors(tmp_path / "c.vec")


def test_a_link_without_its_file_is_not_left_out_of_a_folder(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": range(2), "emb": X[:2].tolist()}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").symlink_to(tmp_path / "nowhere.parquet")
    with pytest.raises(InputError, match=r"b.parquet is a link to a file that does not exist. Remove it, or restore"):
        open_vectors(tmp_path)


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(the system reports: File name too long\). Check the path"):
        open_vectors(tmp_path / ("x" * 300 + ".npy"))


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_every_form_of_text_is_a_value_of_json(kind: pa.DataType) -> None:
    assert is_json_type(kind)
    assert is_json_type(pa.list_(kind))
    assert heads_of(pa.table({"x": pa.array(["a", None], pa.string()).cast(kind)}))[0] == ['"x": "a", ', '"x": null, ']
