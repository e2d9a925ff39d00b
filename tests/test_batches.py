"""Arrow in, Arrow out, and Ray over it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlingua.batches import translate_batches
from interlingua.errors import InputError
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
        ("embedding", [None, [1.0]], "null vectors"),
        ("embedding", [[1.0, None]], "null vectors"),
        ("embedding", [[1.0, 2.0], [1.0]], "1 to 2 values"),
        ("embedding", [[1.0, 2.0]], "2 columns; 12 are needed"),
        ("embedding", [[float("nan")] * D_IN], "NaN"),
        ("embedding", [1.0], "lists of floating-point"),
    ],
)
def test_what_cannot_be_translated_is_refused(column: str, values: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(translate_batches(pa.table({column: values}).to_batches(), translator(), column="embedding"))


def _killer() -> Callable[..., pa.Table]:
    # Nested, so that it travels to the workers by value: they cannot import tests.
    def kill_once(rows: pa.Table, directory: str, column: str | None, inverse: bool) -> pa.Table:
        from interlingua.engine import _translate

        try:
            os.close(os.open(f"{directory}/killed", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return _translate(rows, directory, column, inverse)
        os.kill(os.getpid(), signal.SIGKILL)
        return rows

    return kill_once


@pytest.mark.store
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["parquet", "lance", "a worker dies"])
def test_ray_gives_the_same_bytes_even_when_a_worker_dies(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    from interlingua import engine

    n = 20_000
    folder = translator().save(tmp_path / "translator")
    source, out = tmp_path / "in.parquet", tmp_path / "out"
    pq.write_table(table(n), source, row_group_size=2_000)
    if how == "lance":
        lance = pytest.importorskip("lance", reason="pylance, of the extra ray, is not installed")
        source = tmp_path / "in.lance"
        lance.write_dataset(table(n), source)
    if how == "a worker dies":
        monkeypatch.setattr(engine, "_translate", _killer())
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200_000_000, log_to_driver=False)
    try:
        done = engine.translate_with_ray(folder, source, out, workers=2, batch_rows=1_000)
    finally:
        ray.shutdown()
    assert done.rows == n
    assert (folder / "killed").exists() == (how == "a worker dies")
    found = pq.read_table(out).sort_by("id")
    alone = pa.Table.from_batches(list(translate_batches(table(n).to_batches(), translator())))
    assert vectors_of(found) == vectors_of(alone)
    assert found.drop_columns("embedding").equals(table(n).drop_columns("embedding"))
