"""Arrow in, Arrow out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlingua.core.errors import InputError
from interlingua.distributed.arrow import translate_batches
from stores.migrations import D_IN, D_OUT, translator, unit

N = 2_500


def table(n: int = N) -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(unit(n, D_IN, 3).ravel()), D_IN)
    return pa.table({"id": range(n), "embedding": vectors, "text": [f"t{i}" for i in range(n)]})


def vectors_of(rows: pa.Table) -> bytes:
    return bytes(rows["embedding"].combine_chunks().flatten().to_numpy().tobytes())


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, N))
def test_however_the_stream_is_cut_the_bytes_are_the_same(size: int) -> None:
    whole = pa.Table.from_batches(list(translate_batches(table().combine_chunks().to_batches(), translator())))
    cut = pa.Table.from_batches(list(translate_batches(table().to_batches(max_chunksize=size), translator())))
    assert vectors_of(cut) == vectors_of(whole)
    assert cut.drop_columns("embedding").equals(table().drop_columns("embedding"))
    assert cut.schema.names == table().schema.names


def test_it_is_the_translator_row_by_row() -> None:
    out = pa.Table.from_batches(list(translate_batches(table().to_batches(), translator())))
    got = np.frombuffer(vectors_of(out), np.float32).reshape(N, D_OUT)
    np.testing.assert_allclose(got, translator().translate(unit(N, D_IN, 3)), atol=1e-6)
    back = pa.Table.from_batches(list(translate_batches(out.to_batches(), translator(), inverse=True)))
    assert back["embedding"].type.list_size == D_IN


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("other", [[1.0]], "no column 'embedding'"),
        ("embedding", [None, [1.0]], "row 0 of column 'embedding' is null; every row needs a vector"),
        ("embedding", [[1.0, None]], "null values inside vectors, the first in row 0"),
        (
            "embedding",
            [[1.0, 2.0], [1.0]],
            "row 1 of column 'embedding' has 1 value and 2 are needed",
        ),
        ("embedding", [[1.0, 2.0]], "2 columns; 12 are needed"),
        ("embedding", [[float("nan")] * D_IN], "NaN"),
        ("embedding", [1.0], "lists of floating-point"),
    ],
)
def test_what_cannot_be_translated_is_refused(column: str, values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(translate_batches(pa.table({column: values}).to_batches(), translator(), column="embedding"))
