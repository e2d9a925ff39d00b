"""Digests of rows: equal for equal rows however they are held, and different for all others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.digests import _BLOCK_BYTES, digest_columns, digest_ids, digest_matrix, is_among, page_digest
from interlingua.core.records import Records

N = 300
MOMENT = datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
COLUMNS: dict[str, pa.Array] = {
    "int8": pa.array([1, None, -3, 0], pa.int8()),
    "int64": pa.array([2**63 - 1, None, -(2**63), 0]),
    "uint64": pa.array([2**64 - 1, None, 2**63, 0], pa.uint64()),
    "float32": pa.array([1.5, None, float("nan"), -0.0], pa.float32()),
    "float64": pa.array([1.5, None, float("inf"), 1e-300]),
    "bool": pa.array([True, None, False, True]),
    "text": pa.array(["", None, "naïve “東京”", "a longer text of more than eight bytes"]),
    "large_text": pa.array(["x" * 7, None, "x" * 8, "x" * 9], pa.large_string()),
    "bytes": pa.array([b"", None, b"\0", b"\0\0"]),
    "uuid": pa.array([UUID(int=n).bytes for n in range(4)], pa.binary(16)),
    "category": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "timestamp": pa.array([MOMENT, None, MOMENT + timedelta(seconds=1), MOMENT], pa.timestamp("ns", "UTC")),
    "date": pa.array([date(2024, 1, 1), None, date(1, 1, 1), date(9999, 1, 1)]),
    "time": pa.array([time(1, 2), None, time(0), time(3)], pa.time64("us")),
    "seconds": pa.array([time(1, 2), None, time(0), time(3)], pa.time32("s")),
    "duration": pa.array([1, None, 0, -5], pa.duration("us")),
    "decimal": pa.array([Decimal("1.20"), None, Decimal("-0.01"), Decimal("12345.67")]),
    "list": pa.array([["a", "b"], None, [], ["ab"]]),
    "lists": pa.array([[[1], [2, 3]], None, [[]], [[1, 2], [3]]]),
    "fixed": pa.array([[1, 2], None, [2, 1], [0, 0]], pa.list_(pa.int32(), 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "x"}, {"a": 1, "b": "y"}]),
    "map": pa.array([[("k", 1)], None, [], [("l", 1)]], pa.map_(pa.string(), pa.int64())),
    "null": pa.nulls(4),
}


def _digests(column: pa.Array) -> list[int]:
    return [int(value) for value in digest_columns(pa.table({"c": column}))]


@pytest.mark.parametrize("name", COLUMNS)
def test_each_value_has_a_digest_of_its_own_wherever_it_is(name: str) -> None:
    column = COLUMNS[name]
    digests, values = _digests(column), [repr(value) for value in column.to_pylist()]
    assert len(set(digests)) == len(set(values))
    assert _digests(column.slice(1, 3)) == digests[1:]
    assert _digests(pa.concat_arrays([column.slice(2), column])) == digests[2:] + digests
    table = pa.table({"c": pa.chunked_array([column.slice(0, 1), column.slice(1)])})
    assert digest_columns(table).tolist() == digests
    assert _digests(column.slice(0, 0)) == []
    names = digest_columns(pa.table({"d": column})).tolist()
    assert not set(names) & set(digests)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pa.array([1, None], pa.int8()), pa.array([1, None], pa.int64())),
        (pa.array([1.5, None], pa.float32()), pa.array([1.5, None])),
        (pa.array(["a", None]), pa.array(["a", None], pa.large_string())),
        (pa.array(["a", None]), pa.array(["a", None]).dictionary_encode()),
        (pa.array([["a"], None]), pa.array([["a"], None], pa.large_list(pa.large_string()))),
    ],
)
def test_the_width_of_a_type_does_not_change_a_digest(first: pa.Array, second: pa.Array) -> None:
    assert _digests(first) == _digests(second)


def test_ids_have_one_digest_as_whole_numbers_and_as_text() -> None:
    numbers = [0, 7, -7, 10**15, 2**63 - 1]
    assert digest_ids(pa.array(numbers)).tolist() == digest_ids(pa.array([str(n) for n in numbers])).tolist()
    many = digest_ids(pa.array(range(200_000)))
    assert len(np.unique(many)) == len(many)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("d", [1, 3, 768])
def test_any_change_of_a_vector_changes_its_digest(dtype: str, d: int) -> None:
    rows = np.random.default_rng(0).standard_normal((N, d)).astype(dtype)
    before = digest_matrix(rows)
    assert np.array_equal(digest_matrix(np.asfortranarray(rows)), before)
    assert np.array_equal(digest_matrix(rows[5:9]), before[5:9])
    changes: list[Callable[[Any], Any]] = [lambda x: -x, lambda x: 2 * x, lambda x: np.nextafter(x, np.array(9, dtype))]
    if d > 1:
        changes.append(lambda x: x[:, ::-1])
        changes.append(lambda x: np.concatenate([-x[:, :2], x[:, 2:]], axis=1))
        changes.append(lambda x: np.concatenate([x[:, 1:2], x[:, :1], x[:, 2:]], axis=1))
    for change in changes:
        assert (digest_matrix(change(rows)) != before).all()


def test_long_texts_are_read_in_blocks() -> None:
    texts = ["a" * (_BLOCK_BYTES + 3), "", "b" * _BLOCK_BYTES, "c", "a" * (_BLOCK_BYTES + 4), "c"]
    digests = _digests(pa.array(texts))
    assert digests == [digest for text in texts for digest in _digests(pa.array([text]))]
    assert len(set(digests)) == 5


def test_a_page_has_the_digest_of_its_rows_in_their_order() -> None:
    digests = np.arange(10, dtype=np.int64).reshape(5, 2)
    assert page_digest(digests) == page_digest(digests.copy())
    assert page_digest(digests) != page_digest(digests[::-1])


def test_digests_are_the_same_in_another_process() -> None:
    code = (
        "import numpy as np, pyarrow as pa; from interlingua.core.records import Records;"
        "print(Records(pa.array(['a']), np.ones((1, 3), np.float32), pa.table({'m': ['x']})).row_digests().tolist())"
    )
    here = Records(pa.array(["a"]), np.ones((1, 3), np.float32), pa.table({"m": ["x"]})).row_digests().tolist()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(here)


def test_digests_are_looked_up_among_ordered_ones() -> None:
    rng = np.random.default_rng(0)
    digests, others = rng.integers(-9, 9, 40), np.sort(rng.integers(-12, 5, 15))
    assert (is_among(digests, others) == np.isin(digests, others)).all()
    assert not is_among(digests, others[:0]).any()
