"""Files of nearest-neighbor benchmarks and word vectors, which are read and not written."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from interlingua.core.errors import InputError
from interlingua.io import READ_ONLY, create_writer, open_vectors

X = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
BYTES = np.abs(X * 40).astype(np.uint8) + np.uint8(1)
INTEGERS = np.rint(X * 1e6).astype(np.int32)
SIGNED = np.rint(X * 20).astype(np.int8)


def records(values: npt.NDArray[Any]) -> bytes:
    return b"".join(struct.pack("<i", values.shape[1]) + row.tobytes() for row in values)


def counted(values: npt.NDArray[Any]) -> bytes:
    return struct.pack("<II", *values.shape) + values.tobytes()


def words(*, header: bool, word: str = "w{}") -> bytes:
    rows = [word.format(row) + " " + " ".join(str(value) for value in values) for row, values in enumerate(X)]
    return "\n".join([*(["60 8"] if header else []), *rows]).encode() + b"\n"


FILES: dict[str, tuple[bytes, npt.NDArray[Any]]] = {
    "x.bvecs": (records(BYTES), BYTES),
    "x.ivecs": (records(INTEGERS), INTEGERS),
    "x.u8bin": (counted(BYTES), BYTES),
    "x.i8bin": (counted(SIGNED), SIGNED),
    "x.fbin": (counted(X), X),
    "header.vec": (words(header=True), X),
    "bare.vec": (words(header=False), X),
    "phrases.vec": (words(header=True, word="new york_{}"), X),
    "blank.vec": (words(header=True).replace(b"\nw7", b"\n\nw7"), X),
}


@pytest.mark.parametrize("name", list(FILES))
def test_every_value_is_read_whole_and_in_parts(tmp_path: Path, name: str) -> None:
    content, expected = FILES[name]
    (tmp_path / name).write_bytes(content)
    file = open_vectors(tmp_path / name)
    assert (file.n, file.d) == (60, 8)
    np.testing.assert_array_equal(file.vectors(), expected)
    for start, size in ((0, 7), (13, 60), (59, 1)):
        batches = list(file.batches(size, start))
        assert batches[0].start == start
        np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in batches]), expected[start:])


def test_words_are_the_ids_also_with_spaces(tmp_path: Path) -> None:
    (tmp_path / "x.vec").write_bytes(words(header=True, word="new york_{}"))
    file = open_vectors(tmp_path / "x.vec")
    ids = file.ids()
    assert ids is not None
    assert ids.to_pylist() == [f"new york_{row}" for row in range(60)]
    assert [value for batch in file.batches(7, 3) for value in batch.ids.to_pylist()] == ids.to_pylist()[3:]


def test_a_header_narrower_than_the_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.vec").write_bytes(words(header=True).replace(b"60 8", b"60 5"))
    with pytest.raises(InputError, match="announces 60 words of 5 values, and the file has 60 lines, the first of 8"):
        open_vectors(tmp_path / "x.vec")


def test_a_late_start_in_word_vectors_skips_by_offset(tmp_path: Path) -> None:
    (tmp_path / "x.vec").write_text("".join(f"w{row} {row + 1} 2\n" for row in range(9000)), "utf-8")
    for start in (0, 4095, 4096, 8999):
        first = next(open_vectors(tmp_path / "x.vec").batches(10, start))
        assert (first.vectors[0, 0], first.ids[0].as_py()) == (start + 1, f"w{start}")


@pytest.mark.parametrize("extension", sorted(READ_ONLY))
def test_formats_that_are_only_read_are_refused_as_outputs(tmp_path: Path, extension: str) -> None:
    with pytest.raises(InputError, match=rf"{extension} files are read and not written; choose from .*\.parquet"):
        create_writer(tmp_path / f"x{extension}", d=8, dtype="float32")


def test_a_scale_for_integers_of_a_benchmark_replaces_the_values_themselves(tmp_path: Path) -> None:
    (tmp_path / "x.i8bin").write_bytes(counted(SIGNED))
    np.testing.assert_allclose(open_vectors(tmp_path / "x.i8bin", scale=0.5).vectors(), SIGNED * 0.5)


class TestHdf5:
    def test_the_layout_of_ann_benchmarks_is_recognized(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "x.hdf5", "w") as file:
            file.attrs["distance"] = "angular"
            file["train"], file["test"] = X, X[:5] + 1
            file["neighbors"], file["distances"] = np.zeros((5, 10), np.int32), np.zeros((5, 10), np.float32)
        file = open_vectors(tmp_path / "x.hdf5")
        assert file.vector_name == "train"
        np.testing.assert_array_equal(file.vectors(), X)
        np.testing.assert_array_equal(open_vectors(tmp_path / "x.hdf5", key="test").vectors(), X[:5] + 1)

    def test_ids_and_payload_come_along_from_compressed_groups(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("embeddings", data=X.astype(">f8"), compression="gzip", chunks=(7, 8))
            file["id"], file["year"] = [f"d{row}" for row in range(60)], np.arange(60)
        file = open_vectors(tmp_path / "x.h5")
        batches = list(file.batches(7, 10))
        np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in batches]), X[10:])
        assert [value for batch in batches for value in batch.ids.to_pylist()] == [f"d{row}" for row in range(10, 60)]
        assert batches[0].payload.to_pylist()[0] == {"year": 10}  # type: ignore[union-attr]

    def test_a_file_without_room_for_its_shape_is_refused(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("train", (10**9, 768), "f4", chunks=(1000, 768))
        with pytest.raises(InputError, match="declares shape .* takes 3,072,000,000,000 bytes, and the file holds 0"):
            open_vectors(tmp_path / "x.h5")

    def test_data_in_other_files_is_not_followed(self, tmp_path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        (tmp_path / "secret").write_bytes(X.tobytes())
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("train", (60, 8), "f4", external=[(str(tmp_path / "secret"), 0, X.nbytes)])
        with pytest.raises(InputError, match="dataset 'train' is stored in external files, which are not read"):
            open_vectors(tmp_path / "x.h5")

    @pytest.mark.parametrize("cut", [0, 100, 1500])
    def test_a_truncated_file_is_refused(self, tmp_path: Path, cut: int) -> None:
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["train"] = X
        (tmp_path / "x.h5").write_bytes((tmp_path / "x.h5").read_bytes()[:cut])
        with pytest.raises(InputError, match="not a whole HDF5 file"):
            open_vectors(tmp_path / "x.h5").check()


def test_chunks_of_hdf5_that_would_end_the_process_are_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file["train"] = np.ones((60, 4), np.float32)
        dataset = file.create_dataset("ids", data=np.arange(60), chunks=(16,), compression="gzip")
        dataset.flush()
        places = [dataset.id.get_chunk_info(number).byte_offset for number in range(4)]
    content = path.read_bytes()
    ids = open_vectors(path).ids()
    assert ids is not None
    assert ids.to_pylist() == list(range(60))
    for wrong in (0, len(content), 2**62):
        place = content.index(places[1].to_bytes(8, "little"))
        path.write_bytes(content[:place] + wrong.to_bytes(8, "little") + content[place + 8 :])
        with pytest.raises(InputError, match="the chunks of dataset 'ids' are damaged|is not a whole HDF5 file"):
            open_vectors(path)
