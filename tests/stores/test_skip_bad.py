"""Rows whose vector cannot be translated are refused with their id, or left out with a list of their ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlingua.core.errors import InputError, UnusableRowError
from interlingua.stores import Records, Spec, Store, open_store
from interlingua.stores.changes import catch_up
from interlingua.stores.migration import Migration, migrate
from interlingua.stores.planning import Options, plan
from stores.migrations import D_IN, fill, translator, unit, whole

N = 60
ZERO, NAN, INFINITE, TINY = 7, 23, 31, 47
BAD = [ZERO, NAN, INFINITE, TINY]


def vectors() -> Any:
    rows = unit(N, D_IN, 3)
    rows[ZERO], rows[NAN, 3], rows[INFINITE, 0], rows[TINY] = 0, np.nan, np.inf, 1e-30
    return rows


def skipped(done: Migration) -> list[Any]:
    path = Path(str(done.skipped_ids))
    assert path.stat().st_mode & 0o777 == 0o600
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def assert_rest(target: Store, rows: Any, ids: list[Any], bad: list[int]) -> None:
    """All other rows are in the target, each with its own translation."""
    good = [i for i in range(len(ids)) if i not in bad]
    found = whole(target).in_order_of(pa.array([ids[i] for i in good]), "target")
    np.testing.assert_allclose(found.vectors, translator().translate(rows[good]), atol=1e-5)
    assert target.info().count == len(good)


def write_parquet(path: Path, rows: Any) -> None:
    pq.write_table(pa.table({"id": range(N), "t": ["a"] * N, "vector": list(rows)}), path)


def write_lance(path: Path, rows: Any) -> None:
    import lance
    import lancedb  # type: ignore[import-not-found, unused-ignore]

    kind = pa.list_(pa.float32(), D_IN)
    table = pa.table({"id": pa.array(range(N)), "v": pa.array(rows.tolist(), kind)})
    lancedb.connect(path).create_table("t", schema=table.schema)
    lance.dataset(str(path / "t.lance")).merge_insert("id").when_not_matched_insert_all().execute(table)


def write_duckdb(path: Path, rows: Any) -> None:
    import duckdb

    kind = pa.list_(pa.float32(), D_IN)
    table = pa.table({"id": pa.array(range(N)), "v": pa.array(rows.tolist(), kind)})
    with duckdb.connect(str(path / "t.duckdb")) as connection:
        connection.register("rows", table)
        connection.execute("create table t as select * from rows")


def write_faiss(path: Path, rows: Any) -> None:
    import faiss

    index = faiss.IndexFlatIP(D_IN)
    index.add(rows)
    faiss.write_index(index, str(path / "t.faiss"))


def written_source(kind: str, folder: Path, rows: Any) -> str:
    """Write rows whose ids are their numbers, and return the address."""
    if kind == "memory":
        with open_store(f"memory://{folder.name}#old") as store:
            spec = Spec(D_IN, "cosine", pa.int64(), None, N)
            store.create(spec)
            store.upsert(Records(pa.array(range(N)), rows))
        return f"memory://{folder.name}#old"
    if kind == "npy":
        np.save(folder / "old.npy", rows)
    elif kind == "parquet":
        write_parquet(folder / "old.parquet", rows)
    elif kind == "lancedb":
        pytest.importorskip("lancedb")
        write_lance(folder, rows)
        return f"lancedb://{folder}#t"
    elif kind == "duckdb":
        pytest.importorskip("duckdb")
        write_duckdb(folder, rows)
        return f"duckdb://{folder}/t.duckdb#t"
    else:
        pytest.importorskip("faiss")
        write_faiss(folder, rows)
        return f"faiss://{folder}/t.faiss"
    return str(folder / f"old.{kind}")


@pytest.mark.parametrize("kind", ["memory", "npy", "parquet", "lancedb", "duckdb", "faiss"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_rows_that_cannot_be_translated_are_left_out_and_listed(kind: str, tmp_path: Path) -> None:
    rows = vectors()
    with open_store(written_source(kind, tmp_path, rows)) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        with pytest.raises(InputError, match="left out with skip_bad=True"):
            migrate(translator(), old, new, journal=tmp_path / "j", options=Options(page_rows=16))
        assert not new.exists()
        options = Options(page_rows=16, skip_bad=True)
        planned = plan(translator(), old, new, options)
        assert (planned.rows, planned.bad) == (N - 4, 4)
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=options)
        assert (done.rows, done.plan.bad, done.updated, done.added, done.deleted) == (N - 4, 4, 0, 0, 0)
        assert skipped(done) == BAD
        assert_rest(new, rows, list(range(N)), BAD)


def test_an_interrupted_run_resumes_with_the_same_rows_left_out(tmp_path: Path) -> None:
    rows = vectors()
    rows[10:30] = 0  # a whole page

    class Killed(BaseException):
        pass

    def dies(phase: str, done: int, total: int) -> None:
        if phase == "copying" and done > 20:
            raise Killed

    options = Options(page_rows=5, skip_bad=True)
    with (
        open_store(written_source("parquet", tmp_path, rows)) as old,
        open_store(str(tmp_path / "new.parquet")) as new,
        pytest.raises(Killed),
    ):
        migrate(translator(), old, new, journal=tmp_path / "j", options=options, on_rows=dies)
    with open_store(str(tmp_path / "old.parquet")) as old, open_store(str(tmp_path / "new.parquet")) as new:
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=options, resume=True)
    bad = [7, *range(10, 30), INFINITE, TINY]
    assert skipped(done) == bad
    assert_rest(open_store(str(tmp_path / "new.parquet")), rows, list(range(N)), bad)


def test_a_source_of_which_nothing_would_be_left_is_refused(tmp_path: Path) -> None:
    url = written_source("memory", tmp_path, np.zeros((N, D_IN), np.float32))
    with (
        open_store(url) as old,
        open_store(f"memory://{tmp_path.name}#new") as new,
        pytest.raises(InputError, match="none of the 60 vectors can be translated"),
    ):
        plan(translator(), old, new, Options(skip_bad=True))


Write = Callable[[Path, list[str]], str]


def json_lines(folder: Path, cells: list[str], tail: str = "") -> str:
    path = folder / "old.jsonl"
    path.write_text("".join(f'{{"id": "k{i}", "v": {cell}}}\n' for i, cell in enumerate(cells)) + tail, "utf-8")
    return str(path)


@pytest.mark.parametrize("first", [False, True])
def test_bad_lines_of_json_lines_are_left_out_by_id_or_number(first: bool, tmp_path: Path) -> None:
    rows = unit(N, D_IN, 3)
    cells = [json.dumps(row.tolist()) for row in rows]
    bad = {12: "null", 13: "[1.0, 2.0]", 14: '"text"', 15: json.dumps([0.0] * D_IN), 16: "[NaN]"}
    bad |= {0: "null"} if first else {}
    for row, cell in bad.items():
        cells[row] = cell
    url = json_lines(tmp_path, cells, '{"id": "k60", "v": [1.0,\n[]\n')
    with open_store(url) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        if not first:
            with pytest.raises(InputError, match="6 of 62 lines cannot be used|lines cannot be used"):
                old.info()
        options = Options(skip_bad=True, page_rows=9)
        planned = plan(translator(), old, new, options)
        assert (planned.rows, planned.nulls + planned.bad) == (N - len(bad), len(bad) + 2)
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=options)
        assert sorted(skipped(done)) == sorted([*(f"k{row}" for row in bad), "line 61", "line 62"])
        assert_rest(new, rows, [f"k{i}" for i in range(N)], list(bad))


@pytest.mark.parametrize("wide", [False, True])
def test_bad_lines_of_csv_are_left_out_by_id_or_number(wide: bool, tmp_path: Path) -> None:
    rows = unit(N, D_IN, 3)
    head = ",".join(f"x{i}" for i in range(D_IN)) if wide else "v"
    lines = [f"id,{head}"]
    for i, row in enumerate(rows):
        numbers = [repr(float(value)) for value in row]
        if i == 20:
            numbers[2] = "no number"
        lines.append(f"k{i}," + (",".join(numbers) if wide else '"[' + ", ".join(numbers) + ']"'))
    lines.insert(31, "only one column")
    (tmp_path / "old.csv").write_text("\n".join(lines) + "\n", "utf-8")
    with open_store(str(tmp_path / "old.csv")) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True, page_rows=9))
        assert skipped(done) == ["line 32", "k20"]
        assert_rest(new, rows, [f"k{i}" for i in range(N)], [20])


def test_bad_lines_of_word_vectors_are_left_out_by_number(tmp_path: Path) -> None:
    rows = unit(N, D_IN, 3)
    lines = [f"{N} {D_IN}", *(f"w{i} " + " ".join(map(repr, map(float, row))) for i, row in enumerate(rows))]
    lines[6], lines[9] = "w5 1.0 2.0", lines[9].rsplit(" ", 1)[0] + " x"
    (tmp_path / "old.vec").write_text("\n".join(lines) + "\n", "utf-8")
    with open_store(str(tmp_path / "old.vec")) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True, page_rows=9))
        assert skipped(done) == ["line 7", "line 10"]
        assert_rest(new, rows, [f"w{i}" for i in range(N)], [5, 8])


@pytest.mark.parametrize("first", [False, True])
def test_null_and_uneven_vectors_of_a_table_are_left_out(first: bool, tmp_path: Path) -> None:
    rows: list[Any] = unit(N, D_IN, 3).tolist()
    whole_rows = np.array(rows, np.float32)
    bad = [0] if first else []
    rows[4], rows[5], rows[6], rows[7][2] = None, [1.0], [], None
    if first:
        rows[0] = None
    pq.write_table(pa.table({"id": range(N), "v": pa.array(rows, pa.list_(pa.float32()))}), tmp_path / "old.parquet")
    with open_store(str(tmp_path / "old.parquet")) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True, page_rows=9))
        assert skipped(done) == [*bad, 4, 5, 6, 7]
        assert_rest(new, whole_rows, list(range(N)), [*bad, 4, 5, 6, 7])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_points_without_the_vector_are_left_out_with_the_bad_ones(tmp_path: Path) -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")
    models, rows = qdrant.models, unit(N, D_IN, 3)
    client = qdrant.QdrantClient(path=str(tmp_path / "q"))
    sizes = {name: models.VectorParams(size=D_IN, distance="Dot") for name in ("text", "image")}
    client.create_collection("some", vectors_config=sizes)
    rows[8] = 0
    points = [models.PointStruct(id=i, vector={"image" if i % 10 == 0 else "text": rows[i].tolist()}) for i in range(N)]
    client.upsert("some", points)
    client.close()
    with open_store(f"qdrant://{tmp_path}/q#some.text") as old, open_store(f"memory://{tmp_path.name}#new") as new:
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True, page_rows=9))
        assert (done.plan.nulls, done.plan.bad, done.rows) == (6, 1, N - 7)
        assert sorted(skipped(done)) == [0, 8, 10, 20, 30, 40, 50]


def test_a_store_without_bad_rows_is_copied_whole(tmp_path: Path) -> None:
    with open_store(f"memory://{tmp_path.name}#old") as old, open_store(f"memory://{tmp_path.name}#new") as new:
        fill(old, pa.array(range(N)), None)
        done = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True))
        assert (done.rows, done.skipped_ids) == (N, None)


def test_a_catch_up_counts_the_rows_that_it_leaves_out(tmp_path: Path) -> None:
    rows, options = unit(N, D_IN, 3), Options(skip_bad=True)
    rows[ZERO] = 0
    ids = pa.array(range(N))
    with open_store(f"memory://{tmp_path.name}#old") as source, open_store(f"memory://{tmp_path.name}#new") as target:
        spec = Spec(D_IN, "cosine", ids.type, None, N)
        source.create(spec)
        source.upsert(Records(ids, rows, None))
        migrate(translator(), source, target, journal=tmp_path / "j", options=options)
        source.upsert(Records(pa.array([N]), np.zeros((1, D_IN), np.float32), None))
        done = catch_up(translator(), source, target, journal=tmp_path / "j")
    assert (done.read, done.updated, done.added, done.deleted, done.left_out) == (N - 1, 0, 0, 0, 2)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("r.jsonl", ['{"id": 1, "vector": [1.0, 2.0]}', '{"id": 2, "vector": null}']),
        ("r.csv", ["id,vector", '1,"[1.0, 2.0]"', "2,no list"]),
        ("r.vec", ["a 1.0 2.0", "b 1.0 x"]),
    ],
)
def test_only_a_migration_says_that_rows_can_be_left_out(name: str, rows: list[str], tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("\n".join(rows) + "\n", "utf-8")
    with open_store(str(path)) as source, open_store(str(tmp_path / "new.parquet")) as target:
        with pytest.raises(UnusableRowError) as read:
            whole(source)
        assert "skip_bad" not in str(read.value)
        with pytest.raises(UnusableRowError, match=r"can be left out with skip_bad=True\.$"):
            plan(translator(), source, target)


def test_what_no_option_leaves_out_is_refused_without_that_advice(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"id": [1, None], "vector": list(unit(2, D_IN, 0))}), path)
    with (
        open_store(str(path)) as source,
        open_store(str(tmp_path / "new.parquet")) as target,
        pytest.raises(InputError, match="1 id in 'id' is null; every row needs an id") as error,
    ):
        plan(translator(), source, target)
    assert "skip_bad" not in str(error.value)


@pytest.mark.parametrize("resumes", [False, True])
def test_rows_that_become_bad_after_the_survey_are_a_change_of_the_source(resumes: bool, tmp_path: Path) -> None:
    path, options, start = tmp_path / "old.csv", Options(page_rows=9), "copying"
    lines = [f'{i},"{row}"' for i, row in enumerate(unit(N, D_IN, 3).tolist())]

    def write(*changed: str) -> None:
        path.write_text("\n".join(["id,vector", *changed, *lines[len(changed) :]]) + "\n", "utf-8")

    def on_rows(phase: str, done: int, rows: int) -> None:
        if phase == start and resumes:
            raise KeyboardInterrupt
        if phase == "surveying" and done == rows and not resumes:
            write(*["7,no list"] * 20)

    write()
    refused = (
        r"old\.csv changed while it was migrated: .*not a list of numbers.* Run rollback\(\) to undo the migration, and"
    )
    with open_store(str(path)) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        if not resumes:
            with pytest.raises(InputError, match=refused):
                migrate(translator(), old, new, journal=tmp_path / "j", options=options, on_rows=on_rows)
            return
        with pytest.raises(KeyboardInterrupt):
            migrate(translator(), old, new, journal=tmp_path / "j", options=options, on_rows=on_rows)
    write("0,no list")
    with open_store(str(path)) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        with pytest.raises(InputError) as error:
            migrate(translator(), old, new, journal=tmp_path / "j", options=options, resume=True)
        assert "skip_bad" not in str(error.value)
