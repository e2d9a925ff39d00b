"""What Qdrant Edge alone can do wrong: a log that outlives a kill, a lock, and a shard that no client of ours made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import Records, open_source, open_store
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options
from stores.migrations import D_IN, D_OUT, assert_migrated, fill, translator, unit, whole

edge = pytest.importorskip("qdrant_edge", reason="the extra qdrant-edge is not installed")

N = 700
Child = Callable[[str], Any]


@pytest.fixture
def child(tmp_path: Path) -> Child:
    """Run code in a process that opens the shard, writes rows 300 to 700 and then does as it is told."""

    def start(then: str) -> Any:
        code = f"""
        import os, signal, sys
        import pyarrow as pa
        from interlingua.stores import Records, open_store
        from stores.migrations import unit
        store = open_store("qdrant-edge://{tmp_path}#c.first")
        store.upsert(Records(pa.array(range(300, {N})), unit({N}, {D_IN}, 3)[300:], None))
        {then}
        """
        paths = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *sys.path])
        environment = {**os.environ, "PYTHONPATH": paths}
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    return start


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the address of a shard with rows 0 to 300."""
    with open_store(f"qdrant-edge://{tmp_path}#c.first") as store:
        fill(store, pa.array(range(300)), None)
        store.upsert(Records(pa.array(range(300)), unit(N, D_IN, 3)[:300], None))
    return f"qdrant-edge://{tmp_path}#c.first"


def test_what_was_written_outlives_kill_9(url: str, child: Child) -> None:
    process = child("os.kill(os.getpid(), signal.SIGKILL)")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with open_store(url) as store:
        found = whole(store)
        assert found.ids.to_pylist() == list(range(N))
        np.testing.assert_allclose(found.vectors, unit(N, D_IN, 3), atol=1e-6)


def test_a_shard_that_another_process_has_open_is_refused(url: str, child: Child) -> None:
    process = child("print('open', flush=True); sys.stdin.read()")
    try:
        assert process.stdout.readline() == b"open\n"
        with open_store(url) as store, pytest.raises(InputError, match="another process has .* open. Close it there"):
            store.info()
    finally:
        process.communicate()
    with open_store(url) as store:
        assert store.info().count == N


def test_vectors_of_another_width_leave_no_trace(url: str) -> None:
    with open_store(url) as store:
        with pytest.raises(InputError, match="takes vectors of 12 values; these have 5"):
            store.upsert(Records(pa.array([900]), np.ones((1, 5), np.float32), None))
        assert store.info().count == 300


def test_a_shard_without_a_description_is_described_by_its_segments(url: str, tmp_path: Path) -> None:
    (tmp_path / "c" / "edge_config.json").unlink()
    with open_store(url) as store:
        assert (store.info().count, store.info().d, store.info().metric) == (300, D_IN, "cosine")


def test_half_precision_and_several_vectors_are_named_by_the_plan(tmp_path: Path) -> None:
    half = edge.EdgeVectorParams(3, edge.Distance.Manhattan, datatype=edge.VectorStorageDatatype.Float16)
    many = edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim)
    several = edge.EdgeVectorParams(3, edge.Distance.Dot, multivector_config=many)
    shard = edge.EdgeShard.create(str(tmp_path / "c"), edge.EdgeConfig(vectors={"half": half, "several": several}))
    points = [edge.Point(i, {"half": [0.5, i, 1.0], "several": [[1.0, 2.0, 3.0]]}, {}) for i in range(5)]
    shard.update(edge.UpdateOperation.upsert_points(points))
    shard.close()
    with open_store(f"qdrant-edge://{tmp_path}#c.half") as store:
        info = store.info()
        assert (info.dtype, info.metric, info.normalized) == ("float16", None, False)
        hits = store.search(np.array([[0.5, 3.0, 1.0]], np.float32), 2)[0]
        assert hits.ids[0] == 3
        assert list(hits.scores) == [0.0, -1.0]
    with open_store(f"qdrant-edge://{tmp_path}#c.several") as store, pytest.raises(InputError, match="several vectors"):
        store.info()


def test_a_vector_beside_the_old_one_and_back(tmp_path: Path) -> None:
    old, new = (open_store(f"qdrant-edge://{tmp_path}#c.{name}") for name in ("old", "new"))
    with old, new:
        rows = fill(old, pa.array(range(N)), pa.table({"title": [f"t{i}" for i in range(N)]}))
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(page_rows=90))
        assert (done.plan.as_new_vector, new.info().d) == (True, D_OUT)
        assert_migrated(rows, new)
        rollback(tmp_path / "j", target=new)
        assert not new.exists()
        np.testing.assert_allclose(whole(old).vectors, rows.vectors, atol=1e-6)


def test_a_shard_is_read_from_a_copy_that_is_removed_and_needs_space(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with open_source(url) as store:
        assert store.info().count == 300
        assert str(store.url) == url
        assert len(list(scratch.iterdir())) == 1
    assert not any(scratch.iterdir())
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(InputError, match=r"is read from a copy, .* Set TMPDIR to a folder with more space"):
        open_source(url)


def test_a_shard_that_changes_while_it_is_copied_is_refused(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree = shutil.copytree

    def written_to(source: Path, *arguments: Any, **more: Any) -> Any:
        (tmp_path / "c" / "edge_config.json").write_text("{}", "utf-8")
        return copytree(source, *arguments, **more)

    monkeypatch.setattr("shutil.copytree", written_to)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    with pytest.raises(InputError, match=r"is being written to\. Stop the writes, or read a snapshot"):
        open_source(url)
    assert not any((tmp_path / "scratch").iterdir())
