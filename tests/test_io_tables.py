"""Columns of tables are recognized by what they hold, as other programs write them."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from interlingua.core.errors import InputError
from interlingua.io import create_writer, open_vectors

X = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
ROWS = X.tolist()
IDS = [f"doc-{i:03d}" for i in range(60)]


def written(path: Path, **columns: Any) -> Path:
    try:
        pq.write_table(pa.table(columns), path)
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"pyarrow {pa.__version__} cannot write this: {error}")
    return path


@pytest.mark.parametrize("name", ["emb", "vector_768", "e", "content_embedding"])
@pytest.mark.parametrize("id_name", ["docid", "ID", "doc_id", "_id", "__index_level_0__"])
def test_the_only_column_of_vectors_is_recognized_whatever_its_name(tmp_path: Path, name: str, id_name: str) -> None:
    path = written(tmp_path / "x.parquet", **{id_name: IDS, "title": ["t"] * 60, "n": range(60), name: ROWS})
    file = open_vectors(path)
    assert (file.vector_name, file.id_name) == (name, id_name)
    np.testing.assert_allclose(file.vectors(), X)
    assert next(file.batches()).ids.to_pylist() == IDS


def test_lists_of_changing_length_are_not_taken_for_vectors(tmp_path: Path) -> None:
    lists = {"spans": [[1.0] * (row % 4) for row in range(60)], "tokens": [[1, 2]] * 60}
    file = open_vectors(written(tmp_path / "x.parquet", id=IDS, **lists, emb=ROWS))
    assert (file.vector_name, file.names) == ("emb", ("spans", "tokens"))
    with pytest.raises(InputError, match="'first', 'second' could all be the vectors. Choose one with column="):
        open_vectors(written(tmp_path / "y.parquet", first=ROWS, second=ROWS))


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (pa.list_(pa.float16()), np.float16),
        (pa.list_(pa.float64()), np.float64),
        (pa.large_list(pa.float32()), np.float32),
        (pa.list_(pa.float32(), 8), np.float32),
        (pa.list_(pa.float64(), 8), np.float64),
    ],
)
def test_every_kind_of_list_holds_vectors(tmp_path: Path, kind: pa.DataType, dtype: type[np.floating[Any]]) -> None:
    rows = X.astype(dtype)
    # Older versions of pyarrow take no Python numbers as float16.
    file = open_vectors(written(tmp_path / "x.parquet", id=IDS, emb=pa.array([list(row) for row in rows], kind)))
    assert file.dtype == dtype
    np.testing.assert_array_equal(file.vectors(), rows)


@pytest.mark.parametrize("first", [0, 3, 59])
@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 8), pa.large_list(pa.float32())])
def test_a_null_vector_is_refused_by_its_row(tmp_path: Path, kind: pa.DataType, first: int) -> None:
    rows = [None if row == first else values for row, values in enumerate(ROWS)]
    path = written(tmp_path / "x.parquet", id=IDS, emb=pa.array(rows, kind))
    message = f"row {first} of column 'emb' is null; every row needs a vector"
    if pa.types.is_fixed_size_list(kind) and int(pa.__version__.split(".")[0]) < 26:
        message = "has nulls in a column of lists of fixed size, which pyarrow .* cannot read.* Install pyarrow 26 or"
    with pytest.raises(InputError, match=message):
        open_vectors(path).check()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.string_view(), pa.string()),
        (pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int32(), pa.string()), pa.string()),
    ],
)
def test_ids_come_as_plain_text(tmp_path: Path, kind: pa.DataType, expected: pa.DataType) -> None:
    values = pa.array(IDS).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(IDS, kind)
    file = open_vectors(written(tmp_path / "x.parquet", id=values, note=values, emb=ROWS))
    ids = file.ids()
    assert ids is not None
    assert (ids.type, ids.to_pylist()) == (expected, IDS)
    batches = list(file.batches(25))
    assert [batch.ids.type for batch in batches] == [expected] * 3
    assert [value for batch in batches for value in batch.ids.to_pylist()] == IDS
    assert [row["note"] for batch in batches for row in batch.payload.to_pylist()] == IDS  # type: ignore[union-attr]


def as_csv(path: Path, vectors: list[str], name: str = "embedding") -> Path:
    quoted = ['"' + text.replace('"', '""') + '"' for text in vectors]
    rows = [f'{row:03d},"a, ""b""\nc",{text}' for row, text in enumerate(quoted)]
    content = "\n".join([f"id,note,{name}", *rows]) + "\n"
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


TEXTS = {
    "json": [str(values) for values in ROWS],
    "printed": [" ".join(str(values).replace(",", " ").split()) for values in ROWS],
    "base64": [base64.b64encode(row.tobytes()).decode() for row in X],
}


@pytest.mark.parametrize("kind", list(TEXTS))
@pytest.mark.parametrize("extension", [".csv", ".csv.gz"])
def test_csv_with_vectors_as_text_keeps_ids_and_payload_as_they_are(tmp_path: Path, kind: str, extension: str) -> None:
    path = as_csv(tmp_path / f"x{extension}", TEXTS[kind])
    file = open_vectors(path, column="embedding" if kind == "base64" else None)
    np.testing.assert_array_equal(file.vectors(), X)
    batches = list(file.batches(7, 10))
    assert [value for batch in batches for value in batch.ids.to_pylist()] == [f"{row:03d}" for row in range(10, 60)]
    assert batches[0].payload.to_pylist()[0] == {"note": 'a, "b"\nc'}  # type: ignore[union-attr]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("prefix", ["", "dim_"])
def test_csv_with_a_column_for_every_dimension(tmp_path: Path, prefix: str, first: int) -> None:
    names = [f"{prefix}{number + first}" for number in range(8)]
    rows = [",".join([f"d{row}", *map(str, values)]) for row, values in enumerate(ROWS)]
    (tmp_path / "x.csv").write_text("\r\n".join([",".join(["ID", *names]), *rows]), "utf-8-sig")
    file = open_vectors(tmp_path / "x.csv")
    assert (file.vector_name, file.id_name, file.names) == ("vectors", "ID", ())
    np.testing.assert_array_equal(file.vectors(), X)
    np.testing.assert_array_equal(np.concatenate([batch.vectors for batch in file.batches(7, 3)]), X[3:])


def test_csv_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    texts = list(TEXTS["json"])
    texts[4] = "[0.1 0.2 ... 0.7 0.8]"
    with pytest.raises(InputError, match="row 4 of column 'embedding' is not a list of numbers. .* abbreviated"):
        open_vectors(as_csv(tmp_path / "a.csv", texts)).check()
    (tmp_path / "b.csv").write_text("id,0,1\na,1.5,2\nb,,3\n", "utf-8")
    with pytest.raises(InputError, match="row 1 has a value that is not a number"):
        open_vectors(tmp_path / "b.csv").check()
    (tmp_path / "c.csv").write_bytes("id,0,1\na,1,2\n".encode("utf-16"))
    with pytest.raises(InputError, match="first bytes are those of UTF-16"):
        open_vectors(tmp_path / "c.csv")
    for content, message in (
        ("", "is not a whole CSV file|no rows"),
        ("id,0,1\n", "has no rows"),
        ("1,1\n2,3\n", "names"),
    ):
        (tmp_path / "d.csv").write_text(content, "utf-8")
        with pytest.raises(InputError, match=message):
            open_vectors(tmp_path / "d.csv")
    (tmp_path / "e.csv").write_text("id,0,1\na,1,2\nb,1\n", "utf-8")
    with pytest.raises(InputError, match="line 3 has 2 fields and the first line has 3"):
        open_vectors(tmp_path / "e.csv")
    (tmp_path / "g.csv").write_bytes(b"i\xdb,0,1\na,1,2\n")
    with pytest.raises(InputError, match="is not UTF-8 text. Convert it"):
        open_vectors(tmp_path / "g.csv")
    (tmp_path / "f.csv").write_text("id,0,1\na,1,2\nb,1," + "1" * 2**23, "utf-8")
    with pytest.raises(InputError, match="is not a whole CSV file"):
        open_vectors(tmp_path / "f.csv")


@pytest.mark.parametrize("kind", ["file", "stream", "feather", "compressed"])
def test_arrow_files_and_streams_are_read(tmp_path: Path, kind: str) -> None:
    table = pa.table({"id": pa.array(IDS, pa.string_view()), "n": range(60), "emb": ROWS})
    path = tmp_path / ("x.feather" if kind == "feather" else "x.arrow")
    if kind in ("feather", "compressed"):
        feather.write_feather(table, path, compression="zstd" if kind == "compressed" else "uncompressed", chunksize=25)
    else:
        with (pa.ipc.new_file if kind == "file" else pa.ipc.new_stream)(path, table.schema) as writer:
            writer.write_table(table, 25)
    file = open_vectors(path)
    assert (file.vector_name, file.id_name, file.names) == ("emb", "id", ("n",))
    np.testing.assert_allclose(file.vectors(), X)
    batches = list(file.batches(10, 13))
    assert [value for batch in batches for value in batch.ids.to_pylist()] == IDS[13:]
    assert [batch.start for batch in batches] == [13, 23, 25, 35, 45, 50]


def test_damaged_arrow_files_are_refused(tmp_path: Path) -> None:
    table = pa.table({"id": IDS, "emb": pa.array(ROWS, pa.list_(pa.float32()))})
    feather.write_feather(table, tmp_path / "x.arrow", compression="uncompressed")
    data = (tmp_path / "x.arrow").read_bytes()
    offsets = np.arange(0, 481, 8, dtype=np.int32).tobytes()
    at = data.index(offsets)
    wild = data[: at + 40] + np.int32(2**30).tobytes() + data[at + 44 :]
    for content in (b"", data[:-9], data[:200], b"ARROW1" + bytes(100), bytes(100), wild):
        (tmp_path / "x.arrow").write_bytes(content)
        with pytest.raises(InputError, match="is not a whole Arrow IPC file"):
            open_vectors(tmp_path / "x.arrow").check()


class TestFoldersOfParquet:
    def make(self, folder: Path) -> Path:
        for number, name in enumerate(("lang=de/part-0", "lang=de/part-1", "lang=f%20r/part-0")):
            path = folder / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = slice(20 * number, 20 * number + 20)
            pq.write_table(pa.table({"id": IDS[rows], "emb": ROWS[rows]}), path, row_group_size=7)
        (folder / "_SUCCESS").touch()
        (folder / "_temporary").mkdir()
        (folder / "_temporary" / "x.parquet").write_bytes(b"unfinished")
        return folder

    def test_hive_partitions_are_one_source_with_their_values_as_columns(self, tmp_path: Path) -> None:
        file = open_vectors(self.make(tmp_path / "in"))
        assert (file.n, file.id_name, file.names) == (60, "id", ("lang",))
        np.testing.assert_allclose(file.vectors(), X)
        batches = list(file.batches(10, 13))
        assert [value for batch in batches for value in batch.ids.to_pylist()] == IDS[13:]
        languages = [row["lang"] for batch in batches for row in batch.payload.to_pylist()]  # type: ignore[union-attr]
        assert languages == ["de"] * 27 + ["f r"] * 20
        assert file.ids().to_pylist() == IDS  # type: ignore[union-attr]

    def test_the_fingerprint_follows_every_file(self, tmp_path: Path) -> None:
        folder = self.make(tmp_path / "in")
        before = open_vectors(folder).fingerprint()
        assert open_vectors(folder).fingerprint() == before
        pq.write_table(pa.table({"id": IDS[40:], "emb": ROWS[20:40]}), folder / "lang=f%20r" / "part-0.parquet")
        assert open_vectors(folder).fingerprint() != before

    def test_files_of_other_columns_are_refused(self, tmp_path: Path) -> None:
        folder = self.make(tmp_path / "in")
        pq.write_table(pa.table({"id": [1], "emb": ROWS[:1]}), folder / "lang=f%20r" / "part-1.parquet")
        with pytest.raises(InputError, match=r"part-1.parquet has other columns, types or partitions than .*part-0"):
            open_vectors(folder)

    def test_an_output_inside_of_the_folder_is_refused(self, tmp_path: Path) -> None:
        folder = self.make(tmp_path / "in")
        with pytest.raises(
            InputError, match="out.parquet is inside the input folder .* and would become part of the input"
        ):
            create_writer(folder / "out.parquet", d=8, dtype="float32", like=open_vectors(folder))

    def test_a_folder_without_parquet_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "x.txt").touch()
        with pytest.raises(InputError, match=r"is a folder; .* or of a folder with .parquet files"):
            open_vectors(tmp_path)


def test_a_row_group_of_all_rows_is_not_held_in_memory(tmp_path: Path, rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((2**14, 512), dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 512)
    pq.write_table(pa.table({"emb": column}), tmp_path / "one.parquet")  # 32 MiB
    before = pa.total_allocated_bytes()
    batches = open_vectors(tmp_path / "one.parquet").batches(256)
    assert next(batches).vectors == pytest.approx(vectors[:256])
    assert pa.total_allocated_bytes() - before < 8 * 2**20


@pytest.mark.parametrize("extension", ["parquet", "arrow", "folder"])
@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 3)])
def test_a_table_without_rows_says_so(tmp_path: Path, extension: str, kind: pa.DataType) -> None:
    table = pa.table({"id": pa.array([], pa.int64()), "vector": pa.array([], kind)})
    path = tmp_path / f"x.{extension}"
    if extension == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    else:
        if extension == "folder":
            path.mkdir()
        pq.write_table(table, path / "x.parquet" if extension == "folder" else path)
    with pytest.raises(InputError, match=r"has no rows; at least 1 row is needed. Name a file that has rows\.$"):
        open_vectors(path)


def other_formats(folder: Path) -> dict[str, bytes]:
    """Return files of other formats by what is said of them."""
    matrix = np.ones((3, 4), np.float32)
    np.save(folder / "a.npy", matrix)
    np.savez(folder / "a.npz", vectors=matrix)
    pq.write_table(pa.table({"vector": matrix.tolist()}), folder / "a.parquet")
    with pa.ipc.new_file(folder / "a.arrow", pa.schema([("x", pa.int64())])) as writer:
        writer.write_table(pa.table({"x": [1]}))
    safe = pytest.importorskip("safetensors.numpy")
    safe.save_file({"vectors": matrix}, folder / "a.safetensors")
    text = b'{"id": 1, "vector": [1, 2]}\n'
    return {
        "is not text, but a .npy file. Give it the extension": (folder / "a.npy").read_bytes(),
        "is not text, but a zip file, such as .npz": (folder / "a.npz").read_bytes(),
        "is not text, but a .parquet file": (folder / "a.parquet").read_bytes(),
        "is not text, but an .arrow file": (folder / "a.arrow").read_bytes(),
        "is not text: there are zeros among its first bytes. Is the ext": (folder / "a.safetensors").read_bytes(),
        "is packed by zstd, which is not read. Unpack it, or pack it with gzip": pa.compress(
            text, "zstd", asbytes=True
        ),
        "is packed by bzip2": bz2.compress(text),
        "is packed by xz": lzma.compress(text),
        "are those of UTF-16": text.decode().encode("utf-16-be"),
        "are those of UTF-16 or UTF-32": text.decode().encode("utf-32-le"),
    }


@pytest.mark.parametrize("extension", ["jsonl", "csv", "vec", "csv.gz", "jsonl.gz"])
def test_a_file_of_another_format_is_named(tmp_path: Path, extension: str) -> None:
    for said, content in other_formats(tmp_path).items():
        path = tmp_path / f"x.{extension}"
        path.write_bytes(gzip.compress(content) if extension.endswith("gz") else content)
        with pytest.raises(InputError, match=said):
            open_vectors(path)
