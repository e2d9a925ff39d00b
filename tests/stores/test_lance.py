"""LanceDB tables as people have them: repeated ids, rows without a vector, and conditions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import open_source, open_store
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options, plan
from stores.migrations import D_IN, assert_migrated, fill, translator, unit, whole

pytestmark = pytest.mark.store


def made(folder: Path, ids: list[int], empty: tuple[int, ...] = ()) -> str:
    lancedb = pytest.importorskip("lancedb", reason="the extra lancedb is not installed")
    vectors = [None if i in empty else row for i, row in enumerate(unit(len(ids), D_IN, 3).tolist())]
    columns = {
        "id": ids,
        "k": [i % 3 for i in range(len(ids))],
        "vector": pa.array(vectors, pa.list_(pa.float32(), D_IN)),
    }
    lancedb.connect(str(folder / "l")).create_table("t", pa.table(columns), on_bad_vectors="null")
    return f"lancedb://{folder}/l#t"


def test_repeated_ids_are_refused_with_two_rows_named(tmp_path: Path) -> None:
    url = made(tmp_path, [*range(38), 17, 17])
    with open_source(url) as old, open_store(str(tmp_path / "new.parquet")) as new:
        with pytest.raises(InputError, match="rows 17 and 38 both have the id 17"):
            migrate(translator(), old, new, journal=tmp_path / "j")
        assert not new.exists()


def test_rows_without_a_vector_are_counted_left_out_and_listed(tmp_path: Path) -> None:
    url = made(tmp_path, list(range(40)), empty=(0, 5, 39))
    with open_source(url) as old, open_store(f"lancedb://{tmp_path}/l#new") as new:
        found = plan(translator(), old, new)
        assert (found.rows, found.nulls, found.first_null) == (37, 3, "0")
    with open_source(url) as old, open_store(f"lancedb://{tmp_path}/l#new") as new:
        with pytest.raises(InputError, match="3 rows have no vector and 37 have one"):
            migrate(translator(), old, new, journal=tmp_path / "j")
        result = migrate(translator(), old, new, journal=tmp_path / "j", options=Options(skip_null=True, page_rows=7))
        lines = Path(str(result.skipped_ids)).read_text("utf-8").splitlines()
        assert [json.loads(line) for line in lines] == [0, 5, 39]
        assert_migrated(whole(old), new)
        assert np.isfinite(whole(new).vectors).all()


@pytest.mark.parametrize("undo", [False, True])
def test_what_a_killed_creation_left_is_made_again_or_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undo: bool
) -> None:
    lance = pytest.importorskip("interlingua.stores.lance")
    url, target, journal = made(tmp_path, list(range(40))), f"lancedb://{tmp_path}/l#new", tmp_path / "j"
    create = lance.LanceStore.create

    def killed(store: Any, spec: Any) -> None:
        create(store, spec)
        shutil.rmtree(tmp_path / "l" / "new.lance" / "_versions")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, open_source(url) as old, open_store(target) as new:
        patch.setattr(lance.LanceStore, "create", killed)
        with pytest.raises(KeyboardInterrupt):
            migrate(translator(), old, new, journal=journal)
    assert (tmp_path / "l" / "new.lance").is_dir()
    if undo:
        rollback(journal)
        assert not (tmp_path / "l" / "new.lance").exists()
    with open_source(url) as old, open_store(target) as new:
        migrate(translator(), old, new, journal=journal, resume=not undo)
        assert_migrated(whole(old), new)


def test_a_condition_selects_rows(tmp_path: Path) -> None:
    url = made(tmp_path, list(range(40)))
    with open_source(url) as old, open_store(str(tmp_path / "new.parquet")) as new:
        options = Options(where="k = 1 or k = 9", page_rows=5)
        migrate(translator(), old, new, journal=tmp_path / "j", options=options)
        assert whole(new).ids.to_pylist() == [i for i in range(40) if i % 3 == 1]
    with open_source(url) as old, open_store("memory://lance#new") as new, pytest.raises(InputError, match="cannot be"):
        plan(translator(), old, new, Options(where="nothing = 1"))


@pytest.mark.parametrize("column", ["", ".note", ".id"])
def test_a_vector_column_with_a_name_that_is_taken_is_refused_in_the_plan(column: str, tmp_path: Path) -> None:
    pytest.importorskip("lancedb", reason="the extra lancedb is not installed")
    with open_store(f"{tmp_path}/old.parquet") as old, open_store(f"lancedb://{tmp_path}/l#t{column}") as new:
        fill(old, pa.array(range(9)), pa.table({"note": ["x"] * 9, "vector": ["y"] * 9}))
        with pytest.raises(InputError, match="(has a column '(note|vector)'|ids is 'id'); name another vector column"):
            plan(translator(), old, new)


def test_two_vector_columns_are_answered_with_the_address_that_names_one(tmp_path: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="the extra lancedb is not installed")
    kind = pa.list_(pa.float32(), D_IN)
    columns = [pa.array(np.ones((9, D_IN), np.float32).tolist(), kind) for _ in range(2)]
    table = pa.table([pa.array(range(9)), *columns], names=["id", "first", "second"])
    lancedb.connect(tmp_path / "l").create_table("t", table)
    match = r"'first', 'second' could all be the vectors. Name one in the address, #table.column"
    with open_store(f"lancedb://{tmp_path}/l#t") as store, pytest.raises(InputError, match=match):
        store.info()
