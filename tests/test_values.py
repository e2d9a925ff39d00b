"""Values of columns in Python: times that Python cannot represent are text, wherever a column is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlingua.cli import inputs
from interlingua.core.values import python_rows, python_values
from interlingua.io import open_vectors

# One nanosecond after a second of 2024, which datetime cannot represent, and a time that it can.
TIMES = pa.array([1709300000000000001, 1709300000000001000, None], pa.timestamp("ns"))
FINE = "2024-03-01T13:33:20.000000001"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    vectors = pa.FixedSizeListArray.from_arrays(np.eye(3, dtype=np.float32).ravel(), 3)
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"id": TIMES.cast(pa.int64()).fill_null(7), "vector": vectors, "when": TIMES}), path)
    return path


def test_a_time_that_python_cannot_represent_is_text() -> None:
    fine, exact, missing = python_values(TIMES)
    assert (fine, str(exact), missing) == (FINE, "2024-03-01 13:33:20.000001", None)
    nested = pa.chunked_array([pa.array([[TIMES[0]]], pa.list_(TIMES.type))])
    assert python_values(nested) == [[FINE]]
    assert python_rows(pa.table({"when": TIMES}), 3)[0] == {"when": FINE}


def test_categories_and_names_of_rows_may_be_such_times(file: Path) -> None:
    opened = open_vectors(file)
    assert inputs.read_categories(opened, "when")[0] == FINE
    space = inputs.read_space(opened, with_ids=True, show="when")
    assert FINE in str(space.ids[0])  # type: ignore[index]
