"""A migration writes every format of the registry that keeps ids and payload whole, or that holds neither."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlingua.cli.collections import says_translated
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest_in_blocks
from interlingua.core.records import Records
from interlingua.io import EXTENSIONS, VectorFile, create_writer, open_vectors
from interlingua.io._formats import find_sink
from interlingua.stores import files, open_store
from interlingua.stores._origin import origin_of
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options
from stores.migrations import D_IN, D_OUT, assert_migrated, fill, translator, unit

ROWS = 60
COLUMNS = {extension: find_sink(Path(extension))[0].columns for extension in EXTENSIONS}


def source(folder: Path, ids: pa.Array, payload: pa.Table | None) -> Records:
    with open_store(f"{folder}/old.parquet") as store:
        return fill(store, ids, payload)


@pytest.mark.parametrize("extension", [e for e, columns in COLUMNS.items() if columns in {"typed", "json"}])
def test_formats_with_columns_get_ids_and_payload(extension: str, tmp_path: Path) -> None:
    ids = pa.array([f"k{i}" for i in range(ROWS)])
    records = source(tmp_path, ids, pa.table({"title": [f"t{i}" for i in range(ROWS)]}))
    old, new = open_store(f"{tmp_path}/old.parquet"), open_store(f"{tmp_path}/new{extension}")
    migrate(translator(), old, new, journal=tmp_path / "j")
    assert_migrated(records, open_store(f"{tmp_path}/new{extension}"))


@pytest.mark.parametrize("extension", [".parquet", ".jsonl", ".npy"])
def test_a_file_is_searched_in_blocks_of_vectors_without_its_other_columns(
    extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_ids = extension != ".npy"
    ids = pa.array([f"k{i}" for i in range(ROWS)]) if has_ids else pa.array(range(ROWS))
    with open_store(f"{tmp_path}/some{extension}") as store:
        rows = fill(store, ids, pa.table({"title": [f"t{i}" for i in range(ROWS)]}) if has_ids else None)
    blocks: list[int] = []

    def counted(pages: Iterable[Any]) -> Iterator[Any]:
        for page in pages:
            blocks.append(len(page))
            yield page

    def nearest_in_counted_blocks(queries: Any, pages: Iterable[Any], k: int) -> Any:
        return nearest_in_blocks(queries, counted(pages), k)

    monkeypatch.setattr(files, "BLOCK_ROWS", 25)
    monkeypatch.setattr(files, "nearest_in_blocks", nearest_in_counted_blocks)
    monkeypatch.setattr(VectorFile, "vectors", lambda self: pytest.fail("all vectors were read at once"))
    monkeypatch.setattr(VectorFile, "batches", lambda self, *_: pytest.fail("ids and payload were read"))
    with open_store(f"{tmp_path}/some{extension}") as store:
        found = store.search(np.asarray(rows.vectors[[3, 41, 59]]), 2)
    assert sum(blocks) == ROWS
    assert max(blocks) <= 25
    assert [hits.ids[0] for hits in found] == ids.take(pa.array([3, 41, 59])).to_pylist()
    assert all(hits.scores[0] == pytest.approx(1, abs=1e-5) for hits in found)


@pytest.mark.parametrize("extension", [e for e, columns in COLUMNS.items() if columns == "none"])
def test_formats_of_vectors_only_take_row_numbers_and_refuse_other_ids(extension: str, tmp_path: Path) -> None:
    records = source(tmp_path, pa.array(range(ROWS)), None)
    old, new = open_store(f"{tmp_path}/old.parquet"), open_store(f"{tmp_path}/new{extension}")
    migrate(translator(), old, new, journal=tmp_path / "j", options=Options(page_rows=25))
    written = open_vectors(tmp_path / f"new{extension}")
    assert (written.n, written.d) == (ROWS, D_OUT)
    np.testing.assert_allclose(written.vectors(), translator().translate(records.vectors), atol=1e-6)
    (tmp_path / "old.parquet").unlink()
    source(tmp_path, pa.array([f"k{i}" for i in range(ROWS)]), None)
    other = open_store(f"{tmp_path}/other{extension}")
    with pytest.raises(InputError, match=f"a {extension} file holds neither ids nor payload"):
        migrate(translator(), open_store(f"{tmp_path}/old.parquet"), other, journal=tmp_path / "k")


@pytest.mark.parametrize("extension", [e for e, columns in COLUMNS.items() if columns == "numbers"])
def test_formats_that_would_lose_a_part_of_the_payload_are_refused(extension: str, tmp_path: Path) -> None:
    source(tmp_path, pa.array(range(ROWS)), None)
    old, new = open_store(f"{tmp_path}/old.parquet"), open_store(f"{tmp_path}/new{extension}")
    with pytest.raises(InputError, match=r"writes \.parquet, .*\.ndjson, .*\.npy; .* duckdb://FILE#TABLE"):
        migrate(translator(), old, new, journal=tmp_path / "j")


def test_a_second_name_after_the_number_sign_is_refused(tmp_path: Path) -> None:
    source(tmp_path, pa.array(range(ROWS)), None)
    with pytest.raises(InputError, match="names no column"):
        open_store(f"file://{tmp_path}/old.parquet#vectors.second")


@pytest.mark.parametrize("column", ["", "#vectors"])
def test_repeated_ids_are_refused_with_an_address_that_names_another_column(column: str, tmp_path: Path) -> None:
    table = pa.table({"id": [1, 1, 2], "vectors": unit(3, D_IN, 3).tolist()})
    pq.write_table(table, tmp_path / "old.parquet")
    address = f"file://{tmp_path}/old.parquet{column}" if column else f"{tmp_path}/old.parquet"
    with open_store(address) as store, pytest.raises(InputError, match=rf"1 of 3 ids .*\?id=COLUMN{column}\.$") as e:
        store.info()
    assert f"address, file://{tmp_path}/old.parquet?id=COLUMN" in str(e.value)


@pytest.mark.parametrize("ids", [[True, 1], [1.5, "a"], [{"oid": 1}, {"oid": 2}], [["a"], ["b"]]])
def test_ids_of_json_that_are_neither_whole_numbers_nor_text_are_refused(ids: list[Any], tmp_path: Path) -> None:
    rows = [{"id": value, "v": row} for value, row in zip(ids, unit(2, D_IN, 3).tolist(), strict=True)]
    (tmp_path / "old.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    old, new = open_store(f"{tmp_path}/old.jsonl"), open_store(f"{tmp_path}/new.parquet")
    with pytest.raises(
        InputError, match=r"ids in 'id' are objects, lists or of mixed types; .*file://.*old.jsonl\?id=COLUMN"
    ):
        migrate(translator(), old, new, journal=tmp_path / "j")
    assert not new.exists()


def test_ids_of_64_bits_without_sign_are_numbers_in_json_too(tmp_path: Path) -> None:
    records = source(tmp_path, pa.array([2**64 - 1 - row for row in range(ROWS)], pa.uint64()), None)
    old, new = open_store(f"{tmp_path}/old.parquet"), open_store(f"{tmp_path}/new.jsonl")
    migrate(translator(), old, new, journal=tmp_path / "j")
    assert_migrated(records, new)
    assert str(new.info().id_type) == "uint64"


def test_a_colon_in_a_relative_path_makes_no_address_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    records = source(tmp_path, pa.array(range(ROWS)), None)
    migrate(translator(), open_store("old.parquet"), open_store("./a:b.parquet"), journal="j")
    assert_migrated(records, open_store("./a:b.parquet"))


def test_a_rollback_drops_what_was_made_and_nothing_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source(tmp_path, pa.array(range(ROWS)), None)
    old = open_store(f"{tmp_path}/old.parquet")
    migrate(translator(), old, open_store("new.parquet"), journal="j")
    with pytest.raises(InputError, match=r"j is the journal of a migration to new\.parquet, not to other\.parquet"):
        rollback("j", address="other.parquet")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "new.parquet").write_text("mine")
    monkeypatch.chdir(elsewhere)
    refused = "leads to another place from this folder, whose content has no mark of this migration"
    with pytest.raises(InputError, match=refused):
        rollback("../j", address="new.parquet")
    with pytest.raises(InputError, match=refused):
        migrate(translator(), old, open_store("new.parquet"), journal="../j", resume=True)
    assert (elsewhere / "new.parquet").read_text() == "mine"
    monkeypatch.chdir(tmp_path)
    assert rollback("j", address="./new.parquet").dropped == "new.parquet"
    assert not Path("new.parquet").exists()


def test_a_journal_that_is_a_folder_or_another_database_is_refused(tmp_path: Path) -> None:
    source(tmp_path, pa.array(range(ROWS)), None)
    old, new = open_store(f"{tmp_path}/old.parquet"), open_store(f"{tmp_path}/new.parquet")
    with pytest.raises(InputError, match="is a folder; the path of a file is needed for the journal"):
        migrate(translator(), old, new, journal=tmp_path)
    with closing(sqlite3.connect(tmp_path / "j")) as other:
        other.execute("create table x (a)")
    with pytest.raises(InputError, match="is not a journal of a migration .*Choose another file"):
        migrate(translator(), old, new, journal=tmp_path / "j")


def test_a_parquet_file_says_what_its_vectors_were_made_of(tmp_path: Path) -> None:
    done = {}
    for name in ("new.parquet", "new.jsonl"):
        with open_store(f"memory://{tmp_path.name}{name}#items.dense") as old, open_store(str(tmp_path / name)) as new:
            fill(old, pa.array(range(20)), None)
            made = translator()
            made.card |= {"source": {"name": "use"}, "target": {"name": "minilm"}}
            done[name] = migrate(made, old, new, journal=tmp_path / f"{name}.j")
    origin = {
        "collection": "items",
        "vector": "dense",
        "from_model": "use",
        "model": "minilm",
        "translator": made.fingerprint(),
    }
    assert open_vectors(tmp_path / "new.parquet").origin == origin
    # JSON Lines has no room for it, and the plan in the journal has it too.
    assert open_vectors(tmp_path / "new.jsonl").origin is None
    assert all(each.plan.origin == origin for each in done.values())


def test_a_file_of_another_program_that_names_its_model_is_not_translated(tmp_path: Path) -> None:
    path = tmp_path / "native.parquet"
    with create_writer(path, d=2, dtype="float32", origin={"model": "minilm"}) as writer:
        writer.write(np.eye(2, dtype=np.float32))
    with open_store(str(path)) as store:
        assert not store.is_migrated()
        assert not store.is_embedded()
    assert not says_translated(open_vectors(path))


def test_an_inverse_migration_names_the_models_the_other_way_round() -> None:
    made = translator()
    made.card |= {"source": {"name": "use"}, "target": {"name": "target"}}
    found = origin_of(made, "items", None, inverse=True)
    # A space without a name of its own is called by its side, which says nothing.
    assert found == {"collection": "items", "model": "use", "translator": made.fingerprint()}


@pytest.mark.parametrize("written", [b"{", b"[1]", b'"a"', b"null"])
def test_an_origin_that_cannot_be_read_is_none(tmp_path: Path, written: bytes) -> None:
    field = pa.field("vectors", pa.list_(pa.float32(), 2), metadata={b"interlingua.origin": written})
    rows = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(8, np.float32)), 2)
    pq.write_table(pa.Table.from_arrays([rows], schema=pa.schema([field])), tmp_path / "x.parquet")
    assert open_vectors(tmp_path / "x.parquet").origin is None


@pytest.mark.parametrize("origin", [5, "x", {"a": 5}, {5: "a"}])
def test_an_origin_of_another_type_is_refused(tmp_path: Path, origin: Any) -> None:
    with pytest.raises(InputError):
        create_writer(tmp_path / "x.parquet", d=2, dtype="float32", origin=origin)
