"""Datasets in parts, read and written apart, and Ray over them."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from command_line import Run
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.distributed.arrow import translate_batches
from interlingua.distributed.parts import Part, finish, parts_of, write_part
from stores.migrations import D_IN, translator, unit

N = 1_000


def table(n: int = N, first: int = 0) -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(unit(n, D_IN, 3).ravel()), D_IN)
    return pa.table({"id": range(first, first + n), "embedding": vectors, "text": [f"t{i}" for i in range(n)]})


def saved(rows: pa.Table, path: Path) -> Path:
    """Write rows as Parquet or Lance, in groups or fragments of 300."""
    if path.suffix == ".lance":
        lance = pytest.importorskip("lance", reason="pylance, of the extra ray, is not installed")
        lance.write_dataset(rows, path, max_rows_per_file=300)
    else:
        pq.write_table(rows, path, row_group_size=300)
    return path


def loaded(path: Path) -> pa.Table:
    if path.suffix == ".lance":
        import lance

        return lance.dataset(path).to_table()
    return pq.read_table(path)


def read(parts: list[Part], size: int = 70) -> pa.Table:
    return pa.Table.from_batches([batch for part in parts for batch in part.batches(size)])


def test_row_groups_keep_their_order_on_the_way_to_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What pyarrow restores from a pickle has its groups in the order of a hash table: 32 to 34, then 28 to 31.
    monkeypatch.setattr("interlingua.distributed.parts._PART_ROWS", 70)
    source = tmp_path / "in.parquet"
    pq.write_table(table(), source, row_group_size=10)
    assert read(pickle.loads(pickle.dumps(parts_of(source, 1)))).equals(loaded(source))


@pytest.mark.parametrize("workers", [1, 2, 7, 2_000])
@pytest.mark.parametrize("name", ["in.parquet", "in.lance"])
def test_parts_hold_every_row_once_and_in_order(name: str, workers: int, tmp_path: Path) -> None:
    source = saved(table(), tmp_path / name)
    parts = pickle.loads(pickle.dumps(parts_of(source, workers)))
    assert min(workers, N) <= len(parts) <= max(N, workers)
    assert [part.number for part in parts] == list(range(len(parts)))
    assert read(parts).equals(loaded(source))


def test_row_groups_are_taken_together_up_to_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.distributed.parts._PART_ROWS", 500)
    parts = parts_of(saved(table(), tmp_path / "in.parquet"), 1)
    assert [part.stop - part.start for part in parts] == [600, 400]


def test_columns_of_folders_and_of_single_files_are_kept(tmp_path: Path) -> None:
    for year, more in ((1999, {}), (2001, {"extra": ["x"] * 5})):
        (tmp_path / "in" / f"year={year}").mkdir(parents=True)
        rows = table(5, first=year)
        for name, values in more.items():
            rows = rows.append_column(name, pa.array(values))
        pq.write_table(rows, tmp_path / "in" / f"year={year}" / "a.parquet")
    (tmp_path / "in" / "_SUCCESS").write_text("")
    found = read(parts_of(tmp_path / "in", 3))
    assert found["year"].to_pylist() == [1999] * 5 + [2001] * 5
    assert found["extra"].to_pylist() == [None] * 5 + ["x"] * 5
    assert found["id"].to_pylist() == [*range(1999, 2004), *range(2001, 2006)]


def test_deleted_rows_stay_deleted(tmp_path: Path) -> None:
    source = saved(table(), tmp_path / "in.lance")
    import lance

    lance.dataset(source).delete("id % 3 = 0")
    assert read(parts_of(source, 2))["id"].to_pylist() == [i for i in range(N) if i % 3]


@pytest.mark.parametrize("name", ["out", "out.lance"])
def test_a_part_written_twice_counts_once(name: str, tmp_path: Path) -> None:
    source, out = saved(table(), tmp_path / "in.parquet"), tmp_path / name
    if out.suffix:
        pytest.importorskip("lance", reason="pylance, of the extra ray, is not installed")
    out.mkdir()
    parts = parts_of(source, 3)
    written = [write_part(part.batches(70), part.number, out) for part in parts[::-1]]
    with pytest.raises((ZeroDivisionError, OSError), match="division by zero"):
        write_part((batch if batch["id"][0].as_py() < 100 else 1 / 0 for batch in parts[0].batches(70)), 0, out)
    write_part(parts[0].batches(70), 0, out)
    finish(out, written)
    assert loaded(out).equals(table())
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix in {".parquet", ".lance"}]
    assert len(files) == len(parts)
    assert not list(out.glob(".*"))


def other(path: Path) -> Path:
    path.write_text("id,vector")
    return path


def with_two_kinds_of_id(path: Path) -> Path:
    path.mkdir()
    pq.write_table(table(), path / "a.parquet")
    pq.write_table(pa.table({"id": ["a"]}), path / "b.parquet")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t: t / "nothing", "no such file or folder"),
        (lambda t: other(t / "in.csv"), "reads .parquet files, folders of them, and .lance folders"),
        (lambda t: other(t / "in.parquet"), "cannot be read"),
        (lambda t: t, "there are no .parquet files in this folder"),
        (lambda t: saved(table(0), t / "in.parquet"), "holds no rows"),
        (lambda t: with_two_kinds_of_id(t / "in"), "incompatible types: int64 vs string"),
    ],
)
def test_what_is_no_dataset_is_refused(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        parts_of(make(tmp_path), 2)


def test_a_folder_that_is_not_lance_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("lance", reason="pylance, of the extra ray, is not installed")
    (tmp_path / "in.lance").mkdir()
    with pytest.raises(InputError, match="cannot be read as Lance"):
        parts_of(tmp_path / "in.lance", 2)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    found = pytest.importorskip("ray", reason="the extra ray is not installed")
    found.init(num_cpus=2, include_dashboard=False, object_store_memory=200_000_000, log_to_driver=False)
    yield found
    found.shutdown()


def killed_once(how: str) -> Callable[..., Any]:
    """Return the worker's function, which dies in the middle of its first part and never again."""

    # Nested, so that it travels to the workers by value: they cannot import tests.
    def translate_parts(picked: Any, **settings: Any) -> Any:
        from interlingua.distributed import arrow
        from interlingua.distributed import ray as engine

        try:
            os.close(os.open(f"{settings['directory']}/killed", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return engine._translate_parts(picked, **settings)

        def dies(rows: Any, *arguments: Any, **named: Any) -> Any:
            for number, batch in enumerate(translate_batches(rows, *arguments, **named)):
                if number == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield batch

        translate_batches = arrow.translate_batches
        arrow.translate_batches = dies  # type: ignore[assignment]
        return engine._translate_parts(picked, **settings)

    return translate_parts


@pytest.mark.store
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize(
    ("name", "out_name"),
    [("in.parquet", "out"), ("in.parquet", "out.lance"), ("in.lance", "out"), ("in.lance", "out.lance")],
)
def test_ray_gives_the_same_bytes_even_when_a_worker_dies(
    ray: Any, name: str, out_name: str, dies: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from interlingua.distributed import ray as engine

    n = 20_000
    folder, source, out = translator().save(tmp_path / "t"), saved(table(n), tmp_path / name), tmp_path / out_name
    if dies:
        monkeypatch.setattr(engine, "_translate_parts", killed_once(name))
    done = engine.translate_with_ray(folder, source, out, workers=2, batch_rows=1_000)
    assert (done.rows, done.parts >= 2, (folder / "killed").exists()) == (n, True, dies)
    alone = pa.Table.from_batches(list(translate_batches(table(n).to_batches(), translator())))
    assert loaded(out).equals(alone)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, name, out_name])
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix in {".parquet", ".lance"}]
    assert len(files) == done.parts


@pytest.mark.store
@pytest.mark.filterwarnings("ignore")
def test_a_row_that_cannot_be_translated_leaves_nothing_behind(ray: Any, tmp_path: Path) -> None:
    from interlingua.distributed.ray import translate_with_ray

    vectors = unit(N, D_IN, 3)
    vectors[-1, 0] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), D_IN)
    source = saved(pa.table({"embedding": column}), tmp_path / "in.parquet")
    folder = translator().save(tmp_path / "t")
    for name in ("out", "out.lance"):
        with pytest.raises(InterlinguaError, match="not be translated: column 'embedding': 1 of 100 rows holds NaN"):
            translate_with_ray(folder, source, tmp_path / name, workers=2)
    with pytest.raises(InputError, match="whose name ends in .lance; name it without another extension"):
        translate_with_ray(folder, source, tmp_path / "out.parquet")
    with pytest.raises(OutputExistsError, match="exists; choose another name"):
        translate_with_ray(folder, source, folder)
    with pytest.raises(InputError, match="does not exist; create it"):
        translate_with_ray(folder, source, tmp_path / "no" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "t"]


@pytest.mark.store
@pytest.mark.filterwarnings("ignore")
def test_the_command_line_takes_lance_through_ray(ray: Any, run: Run, tmp_path: Path) -> None:
    folder, source = translator().save(tmp_path / "t"), saved(table(), tmp_path / "in.lance")
    ran = run("translate", folder, source, "--out", tmp_path / "out.lance", "--engine", "ray", "--workers", 2, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["rows"] == N
    assert {"starting_seconds", "working_seconds", "parts"} <= ran.json.keys()
    assert loaded(tmp_path / "out.lance")["id"].to_pylist() == list(range(N))
