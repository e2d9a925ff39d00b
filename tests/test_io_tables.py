"""Columns of tables are recognized by what they hold, as other programs write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlingua.core.errors import InputError
from interlingua.io import open_vectors

X = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
ROWS = X.tolist()
IDS = [f"doc-{i:03d}" for i in range(60)]


def written(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
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
    "kind",
    [
        pa.list_(pa.float16()),
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float32(), 8),
        pa.list_(pa.float64(), 8),
    ],
)
def test_every_kind_of_list_holds_vectors(tmp_path: Path, kind: pa.DataType) -> None:
    rows = X.astype(np.float16) if kind.value_type == pa.float16() else X
    file = open_vectors(written(tmp_path / "x.parquet", id=IDS, emb=pa.array(rows.tolist(), kind)))
    assert file.dtype == kind.value_type.to_pandas_dtype()
    np.testing.assert_array_equal(file.vectors(), rows.astype(file.dtype))


@pytest.mark.parametrize("first", [0, 3, 59])
@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 8), pa.large_list(pa.float32())])
def test_a_null_vector_is_refused_by_its_row(tmp_path: Path, kind: pa.DataType, first: int) -> None:
    rows = [None if row == first else values for row, values in enumerate(ROWS)]
    path = written(tmp_path / "x.parquet", id=IDS, emb=pa.array(rows, kind))
    with pytest.raises(InputError, match=f"row {first} of column 'emb' is null; every row needs a vector"):
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
