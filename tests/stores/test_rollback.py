"""A rollback destroys nothing that is nowhere else, and addresses mean the same however they are written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import Records, Store, open_store
from interlingua.stores._sketches import Sketches, sketches_of
from interlingua.stores.changes import catch_up
from interlingua.stores.memory import _DATABASES
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options
from stores.contract import columns
from stores.migrations import D_IN, D_OUT, fill, translator, unit, whole

N = 130
SMALL = Options(page_rows=50)


@pytest.fixture
def memory() -> Callable[[str], Store]:
    return lambda name: open_store(f"memory://undo#{name}")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_a_vector_that_something_else_wrote_beside_the_old_one_is_counted(
    memory: Callable[[str], Store], journal: Path
) -> None:
    fill(memory("old"), pa.array(range(N)), columns(N))
    migrate(translator(), memory("old.vector"), memory("old.new"), journal=journal, options=SMALL)
    collection = _DATABASES["undo"]["old"]
    collection.vectors["new"].rows[5] = unit(1, D_OUT, 9)[0]
    collection.vectors["new"].rows[900] = unit(1, D_OUT, 10)[0]
    collection.payload[900] = collection.payload[5]
    refused = (
        r"memory://undo#old\.new holds 131 rows, among them 1 row that the migration did not write and 1 row whose "
        r"vector something else has written since, for example the one with the id 5\. Nothing was dropped\. Copy"
    )
    with pytest.raises(InputError, match=refused):
        rollback(journal)
    assert memory("old.new").exists()
    assert rollback(journal, allow_loss=True).dropped == "memory://undo#old.new"
    assert memory("old").info().count == N


def test_a_rollback_is_refused_where_the_old_vector_of_the_same_collection_is_gone(
    memory: Callable[[str], Store], journal: Path
) -> None:
    fill(memory("old"), pa.array(range(N)), columns(N))
    migrate(translator(), memory("old.vector"), memory("old.new"), journal=journal, options=SMALL)
    del _DATABASES["undo"]["old"].vectors["vector"]
    with pytest.raises(InputError, match=r"may be the last ones, because memory://undo#old\.vector cannot be read"):
        rollback(journal)
    assert rollback(journal, dry_run=True).lost_source is not None


def test_a_source_vector_that_is_zero_now_is_not_saved(memory: Callable[[str], Store], journal: Path) -> None:
    fill(memory("old"), pa.array(range(N)), columns(N))
    migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    rows = _DATABASES["undo"]["old"].vectors["vector"].rows
    rows[7] = np.zeros_like(rows[7])
    with pytest.raises(
        InputError, match=r"1 row of memory://undo#new has no usable vector in memory://undo#old any more"
    ):
        rollback(journal)


def test_a_target_that_could_not_be_made_was_not_dropped(
    memory: Callable[[str], Store], journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(memory("old"), pa.array(range(N)), columns(N))

    def locked(*_: object) -> None:
        raise InputError("locked")

    with monkeypatch.context() as patch:
        patch.setattr("interlingua.stores.memory.MemoryStore._create", locked)
        with pytest.raises(InputError, match="locked"):
            migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    assert rollback(journal).dropped is None


def test_a_long_id_is_shortened(memory: Callable[[str], Store], journal: Path) -> None:
    ids = pa.array([f"{i} {'x' * 1_000}" for i in range(N)])
    fill(memory("old"), ids, columns(N))
    migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    rows = _DATABASES["undo"]["new"].vectors["vector"].rows
    rows[ids[5].as_py()] = unit(1, D_OUT, 9)[0]
    first = rollback(journal, dry_run=True).first_added
    assert first is not None
    assert first.startswith("'5 xxx")
    assert len(first) < 200
    with pytest.raises(InputError, match=r"the only id does not exist, namely 'x+\.\.\.\."):
        whole(memory("new")).in_order_of(pa.array(["x" * 1_000]), "new")


def test_rows_that_a_catch_up_wrote_are_those_of_the_migration(memory: Callable[[str], Store], journal: Path) -> None:
    fill(memory("old"), pa.array(range(N)), columns(N))
    migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    memory("old").upsert(Records(pa.array([3, 500]), unit(2, 12, 8), columns(2)))
    catch_up(translator(), memory("old"), memory("new"), journal=journal)
    found = rollback(journal, dry_run=True)
    assert (found.rows, found.added, found.edited, found.unsaved) == (N + 1, 0, 0, 0)
    assert rollback(journal).rows == N + 1


def test_a_target_that_cannot_be_read_is_not_dropped(
    memory: Callable[[str], Store], journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(memory("old"), pa.array(range(N)), columns(N))
    migrate(translator(), memory("old"), memory("new"), journal=journal, options=SMALL)
    target = memory("new")

    def scan(*_: Any) -> Iterator[Any]:
        raise InputError("the server is tired.")

    monkeypatch.setattr(target, "scan", scan)
    with pytest.raises(InputError, match=r"Whether .*#new holds rows of others is not known: the server is tired\."):
        rollback(journal, target=target)


@pytest.mark.store
def test_a_dropped_column_of_lancedb_keeps_the_last_vectors(tmp_path: Path, journal: Path) -> None:
    lancedb = pytest.importorskip("lancedb", reason="the extra lancedb is not installed")
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    source, target = f"lancedb://{tmp_path}/lance#items.embedding", f"duckdb://{tmp_path}/shop.duckdb#items.embedding"
    with open_store(source) as store:
        fill(store, pa.array(range(N)), columns(N))
    with open_store(source) as old, open_store(target) as new:
        migrate(translator(), old, new, journal=journal, options=SMALL)
    lancedb.connect(str(tmp_path / "lance")).open_table("items").drop_columns(["embedding"])
    with pytest.raises(
        InputError, match=r"because lancedb://.*/lance#items\.embedding cannot be read: lancedb:///.*no "
    ):
        rollback(journal)
    with open_store(target) as new:
        assert len(whole(new)) == N


def test_addresses_of_a_journal_may_be_written_otherwise_and_their_folder_may_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    names = "duckdb://{}shop.duckdb#items.embedding", "duckdb://{}shop.duckdb#items.embedding_new"

    def stores(place: str) -> tuple[Store, Store]:
        return open_store(names[0].format(place)), open_store(names[1].format(place))

    def closed(opened: tuple[Store, Store], work: Callable[[Store, Store], Any]) -> Any:
        try:
            return work(*opened)
        finally:
            for store in opened:
                store.close()

    with open_store(names[0].format("")) as store:
        fill(store, pa.array(range(N)), columns(N))
    closed(stores(""), lambda old, new: migrate(translator(), old, new, journal="j", options=SMALL))
    for place in ("", f"{home}/", "../home/"):
        done = closed(stores(place), lambda old, new: catch_up(translator(), old, new, journal="j"))
        assert (done.read, done.added) == (N, 0)
        again = closed(
            stores(place), lambda old, new: migrate(translator(), old, new, journal="j", options=SMALL, resume=True)
        )
        assert again.finished_before
    shutil.copytree(home, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    done = closed(stores(""), lambda old, new: catch_up(translator(), old, new, journal="j"))
    assert (done.read, done.added) == (N, 0)
    assert rollback("j", address=names[1].format("")).rows == N
    with duckdb.connect("shop.duckdb") as connection:
        assert "embedding_new" not in [row[0] for row in connection.execute("describe items").fetchall()]
    # The journal of the first folder, from the second one: the absolute path leads to the first target.
    assert rollback("../home/j", address=names[1].format(f"{home}/")).rows == N


def test_a_rollback_reads_the_source_that_is_named_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    monkeypatch.chdir(tmp_path)
    url, names = "duckdb://{}shop.duckdb#{}.v", ("old", "new")
    with open_store(url.format("", "old")) as old, open_store(url.format("", "new")) as new:
        fill(old, pa.array(range(N)), columns(N))
        migrate(translator(), old, new, journal="j", options=SMALL)
    (tmp_path / "sub").mkdir()
    shutil.copy("shop.duckdb", "sub/shop.duckdb")
    with duckdb.connect("shop.duckdb") as connection:
        connection.execute("drop table old")
    monkeypatch.chdir(tmp_path / "sub")
    source, target = (url.format("../", name) for name in names)
    with pytest.raises(InputError, match=r"may be the last ones, because .*#old\.v cannot be read"):
        rollback("../j", address=target, source=source)
    assert rollback("../j", address=target, source=source, dry_run=True).lost_source is not None


def test_another_source_of_the_same_name_in_another_folder_is_not_caught_up_from(
    memory: Callable[[str], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for number, folder in enumerate((home, other)):
        folder.mkdir()
        with open_store(f"{folder}/old.parquet") as store:
            fill(store, pa.array(range(N)), None, seed=number + 3)
    monkeypatch.chdir(home)
    with open_store("old.parquet") as old:
        migrate(translator(), old, memory("new"), journal="j", options=SMALL)
    monkeypatch.chdir(other)
    with (
        open_store("old.parquet") as old,
        pytest.raises(InputError, match="leads to another place from this folder, where no row is as the migration"),
    ):
        catch_up(translator(), old, memory("new"), journal="../home/j")


def test_a_sketch_tells_vectors_apart_and_ignores_their_length_and_half_precision() -> None:
    vectors, ids = unit(5_000, 48, 1), np.arange(5_000)
    written = Sketches(np.stack([ids, sketches_of(vectors)], axis=1))
    for stored in (vectors, 3 * vectors, vectors.astype(np.float16).astype(np.float32)):
        known, same = written.compare(ids, stored)
        assert known.all()
        assert same.all()
    assert not written.compare(ids, unit(5_000, 48, 2))[1].any()
    assert not written.compare(ids + 5_000, vectors)[0].any()
    for value in (np.nan, np.inf, 1e38):
        other = vectors.copy()
        other[:, 3] = value
        assert not written.compare(ids, other)[1].any()
    near = vectors + 0.1 * unit(5_000, 48, 3)
    assert written.compare(ids, near)[1].mean() < 0.01
    twice = Sketches(np.concatenate([np.stack([ids, sketches_of(rows)], axis=1) for rows in (vectors, near)]))
    assert twice.compare(ids, near)[1].all()
    assert twice.compare(ids, vectors)[1].all()


@pytest.mark.parametrize("way", ["view", "link"])
def test_a_source_that_shows_the_target_keeps_nothing(way: str, tmp_path: Path, journal: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    old, new = (f"duckdb://{tmp_path}/{name}" for name in ("old.duckdb#items.old", "new.duckdb#items.old"))
    if way == "view":
        new = f"duckdb://{tmp_path}/old.duckdb#moved.new"
    with open_store(old) as store:
        fill(store, pa.array(range(N)), columns(N))
    with open_store(old) as source, open_store(new) as target:
        migrate(translator(), source, target, journal=journal, options=SMALL)
    if way == "view":
        with duckdb.connect(f"{tmp_path}/old.duckdb") as database:
            database.execute("drop table items")
            database.execute("create view items as select id, new as old from moved")
    else:
        (tmp_path / "old.duckdb").unlink()
        (tmp_path / "old.duckdb").symlink_to(tmp_path / "new.duckdb")
    with pytest.raises(InputError, match="may be the last ones, because .* it shows what this migration made"):
        rollback(journal, source=old)
    with open_store(new) as kept:
        assert len(whole(kept)) == N


def test_a_source_of_another_width_keeps_nothing(tmp_path: Path, journal: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    old, new = (f"duckdb://{tmp_path}/shop.duckdb#{name}" for name in ("items.old", "moved.new"))
    with open_store(old) as store:
        fill(store, pa.array(range(N)), columns(N))
    with open_store(old) as source, open_store(new) as target:
        migrate(translator(), source, target, journal=journal, options=SMALL)
    with duckdb.connect(f"{tmp_path}/shop.duckdb") as database:
        database.execute("create or replace table items as select id, old[1:3]::float[3] as old from items")
    refused = f"its vectors have width 3, and those that were migrated had {D_IN}"
    with pytest.raises(InputError, match=refused):
        rollback(journal, source=old)
