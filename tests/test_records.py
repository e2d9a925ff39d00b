"""The row type that files, stores and Arrow share, and what is read from and written to its columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlingua.core.errors import InputError
from interlingua.core.records import Records, json_field, sample_records, select_rows, to_column, to_matrix

N, D = 97, 3
VECTORS = np.arange(N * D, dtype=np.float32).reshape(N, D) + 1


def pages(size: int, *, ids: bool = True) -> list[Records]:
    rows = Records(pa.array(range(N)) if ids else None, VECTORS, pa.table({"n": range(N)}))
    return [rows.rows(start, min(start + size, N)) for start in range(0, N, size)]


@given(size=st.integers(1, N), positions=st.sets(st.integers(0, N - 1)))
def test_selected_rows_are_those_of_the_whole_wherever_the_pages_end(size: int, positions: set[int]) -> None:
    wanted = sorted(positions)
    parts = list(select_rows(pages(size), np.array(wanted, np.int64)))
    assert [value for part in parts for value in part.ids.to_pylist()] == wanted
    assert [value for part in parts for value in part.payload["n"].to_pylist()] == wanted  # type: ignore[index]
    np.testing.assert_array_equal(np.concatenate([VECTORS[:0], *(part.vectors for part in parts)]), VECTORS[wanted])


def test_reading_stops_after_the_last_selected_row() -> None:
    read = iter(pages(10))
    list(select_rows(read, np.array([3, 25])))
    assert next(read).start == 30


@pytest.mark.parametrize("size", [1, 10, N])
def test_a_sample_depends_on_the_seed_and_not_on_the_pages(size: int) -> None:
    def sample(rows: int, **kind: bool) -> Any:
        parts = sample_records(pages(size, **kind), N, rows, np.random.default_rng(5))
        return np.concatenate([part.vectors for part in parts])

    picked = np.sort(np.random.default_rng(5).choice(N, 20, replace=False))
    np.testing.assert_array_equal(sample(20, ids=False), VECTORS[picked])
    np.testing.assert_array_equal(sample(N + 9), VECTORS)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", [pa.list_, pa.large_list, lambda value: pa.list_(value, D)])
def test_a_list_column_becomes_the_matrix_it_was_made_of(dtype: str, kind: Any) -> None:
    vectors = VECTORS.astype(dtype)
    column = to_column(vectors).cast(kind(pa.from_numpy_dtype(np.dtype(dtype))))
    for form in (column, pa.chunked_array([column.slice(0, 40), column.slice(40)])):
        made = to_matrix(form, "v", "here")
        assert made.dtype == vectors.dtype
        np.testing.assert_array_equal(made, vectors)
    np.testing.assert_array_equal(to_matrix(column.slice(7, 5), "v", "here", d=D), vectors[7:12])
    assert to_matrix(pa.chunked_array([], column.type), "v", "here", d=D).shape == (0, D)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([[1.0], None], {}, r"x: row 1 of column 'v' is null; every row needs a vector\."),
        ([[1.0], None], {"first_row": 40}, "x: row 41 of column 'v' is null"),
        ([[1.0], None], {"ids": pa.array(["a", "b"])}, "x: the row with id 'b' of column 'v' is null"),
        ([[1.0], [1.0, 2.0]], {}, "row 1 of column 'v' has 2 values and 1 is needed; all rows need one width"),
        ([[1.0], [2.0]], {"d": 2}, "row 0 of column 'v' has 1 value and 2 are needed"),
        ([[1.0], [None]], {}, r"column 'v' has null values inside vectors, the first in row 1\."),
    ],
)
def test_columns_that_are_no_matrix_are_refused(values: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_matrix(pa.array(values, pa.list_(pa.float32())), "v", "x", **options)


def test_a_digest_is_of_the_rows_and_not_of_how_they_are_held() -> None:
    table = pa.table([pa.array(["{}"] * N)], schema=pa.schema([json_field("j")]))
    whole = Records(pa.array(range(N)), VECTORS, table)
    alone = Records(pa.array(range(10, 20)), VECTORS[10:20].copy(), table.slice(0, 10))
    assert whole.rows(10, 20).digest() == alone.digest()
    for changed in (
        Records(pa.array(range(11, 21)), alone.vectors, alone.payload),
        Records(alone.ids, alone.vectors + 1, alone.payload),
        Records(alone.ids, alone.vectors, alone.payload.set_column(0, "j", pa.array(["[]"] * 10))),  # type: ignore[union-attr]
        Records(alone.ids, alone.vectors),
    ):
        assert changed.digest() != alone.digest()
