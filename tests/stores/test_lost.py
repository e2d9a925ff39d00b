"""Rows that somebody deleted in a finished target are noticed, and written again by a catch-up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InterlinguaError
from interlingua.stores import Records, open_store
from interlingua.stores.changes import CatchUp, catch_up
from interlingua.stores.memory import _DATABASES
from interlingua.stores.migration import Migration, migrate
from interlingua.stores.planning import Options
from stores.contract import columns
from stores.migrations import D_IN, assert_migrated, fill, translator, unit, whole

N = 230
SMALL = Options(page_rows=50)


class Shop:
    """A collection of this process and its finished migration to another one, or to a new vector beside the old one."""

    def __init__(self, path: Path, *, beside: bool) -> None:
        self.journal = path / "journal.sqlite"
        self.beside = beside
        self.source = open_store(f"memory://{path.name}#old.vector")
        self.target = open_store(f"memory://{path.name}#{'old.new' if beside else 'new'}")
        self.records = fill(self.source, pa.array(range(N)), columns(N))
        self.name = path.name
        self.migrate()

    def migrate(self, **more: Any) -> Migration:
        options = more.pop("options", SMALL)
        return migrate(translator(), self.source, self.target, journal=self.journal, options=options, **more)

    def catch_up(self, **more: Any) -> CatchUp:
        return catch_up(translator(), self.source, self.target, journal=self.journal, **more)

    def lose(self, *ids: int) -> None:
        """Delete rows of the target, or only their new vectors."""
        collection = _DATABASES[self.name]["old" if self.beside else "new"]
        for value in ids:
            del collection.vectors["new" if self.beside else "vector"].rows[value]
            if not self.beside:
                collection.payload.pop(value)

    def lines(self, path: str | None) -> list[dict[str, Any]]:
        return [json.loads(line) for line in Path(str(path)).read_text("utf-8").splitlines()]


@pytest.fixture(params=[False, True], ids=["new collection", "beside the old vector"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return Shop(tmp_path, beside=request.param)


def test_a_catch_up_writes_lost_rows_again(shop: Shop) -> None:
    shop.lose(77, 200)
    dry = shop.catch_up(dry_run=True)
    assert (dry.updated, dry.added, dry.deleted, dry.restored, dry.listed) == (0, 0, 0, 2, None)
    assert shop.target.info().count == N - 2
    done = shop.catch_up()
    assert (done.updated, done.added, done.deleted, done.restored) == (0, 0, 0, 2)
    assert shop.lines(done.listed) == [{"change": "restored", "id": 77}, {"change": "restored", "id": 200}]
    if not shop.beside:
        assert_migrated(shop.records, shop.target)
    assert shop.target.info().count == N
    again = shop.catch_up()
    assert (again.restored, again.listed) == (0, None)
    assert shop.migrate(resume=True).changed_ids is None


def test_all_rows_can_be_lost(shop: Shop) -> None:
    shop.lose(*range(N))
    # The mark of a collection names the migration, also without rows.
    assert shop.catch_up().restored == N
    assert shop.migrate(resume=True).rows == N


def test_lost_rows_are_found_beside_rows_that_something_else_has_added(tmp_path: Path) -> None:
    shop = Shop(tmp_path, beside=False)
    shop.lose(77)
    shop.target.upsert(Records(pa.array([5000, 5001]), unit(2, 8, 4), columns(2)))
    assert shop.catch_up().restored == 1


def test_rows_that_both_sides_lost_are_forgotten(tmp_path: Path) -> None:
    shop = Shop(tmp_path, beside=False)
    shop.lose(77)
    shop.source.delete(pa.array([77]))
    done = shop.catch_up()
    assert (done.deleted, done.restored, done.listed) == (1, 0, None)
    assert (shop.catch_up().deleted, shop.migrate(resume=True).rows) == (0, N - 1)


def test_since_looks_for_no_lost_rows(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    assert duckdb
    records = Records(pa.array(range(20)), unit(20, D_IN, 3), columns(20))
    url = f"duckdb:///{tmp_path.as_posix().lstrip('/')}/a.duckdb"
    with open_store(f"{url}#old.v") as source, open_store(f"{url}#new.v") as target:
        fill(source, records.ids, records.payload)
        migrate(translator(), source, target, journal=tmp_path / "j", options=SMALL)
        target.delete(pa.array([7]))
        given: dict[str, Any] = {"journal": tmp_path / "j", "options": SMALL}
        assert catch_up(translator(), source, target, since=("count", "0"), **given).restored == 0
        assert catch_up(translator(), source, target, **given).restored == 1
        np.testing.assert_allclose(whole(target).vectors, translator().translate(whole(source).vectors), atol=1e-5)


def test_a_resume_counts_all_lost_rows_and_names_the_command_that_helps(shop: Shop) -> None:
    shop.lose(77, 200)
    message = r"2 of 230 rows that were written are missing.*id 77\. Something else deleted them\..*"
    helps = (
        r"records this migration as finished\. catch_up\(\) copies new and changed rows of the source and restores "
        r"rows that the target has lost; rollback\(\) would drop the target\."
    )
    with pytest.raises(InterlinguaError, match=message + helps):
        shop.migrate(resume=True)


def test_one_lost_row_is_named(shop: Shop) -> None:
    shop.lose(77)
    with pytest.raises(InterlinguaError, match=r"1 of 230 rows that were written is missing, namely id 77\. .* it\."):
        shop.migrate(resume=True)


def test_deleted_rows_of_the_same_collection_are_not_said_to_be_listed(tmp_path: Path) -> None:
    shop = Shop(tmp_path, beside=True)
    shop.lose(9)
    shop.source.delete(pa.array([9]))
    assert shop.migrate(resume=True).changed_ids is None
    done = shop.catch_up()
    assert (done.deleted, done.listed) == (1, None)


BAD = Options(page_rows=50, skip_bad=True)


def clear(shop: Shop, *ids: int) -> None:
    """Clear the old vectors of rows, which then cannot be translated."""
    rows = _DATABASES[shop.name]["old"].vectors["vector"].rows
    for value in ids:
        rows[value] = np.full_like(rows[value], np.nan)


def test_a_row_that_is_left_out_keeps_its_new_vector_in_the_same_collection(tmp_path: Path) -> None:
    shop = Shop(tmp_path, beside=True)
    clear(shop, 9)
    shop.source.delete(pa.array([11]))
    dry = shop.catch_up(options=BAD, dry_run=True)
    done = shop.catch_up(options=BAD)
    assert (done.deleted, done.gone, done.listed) == (2, 1, None)
    assert dry == done
    again = shop.catch_up(options=BAD)
    assert (again.deleted, again.gone) == (1, 0)
    resumed = shop.migrate(resume=True, options=BAD)
    assert (resumed.rows, resumed.deleted, resumed.gone, resumed.changed_ids) == (N - 1, 1, 0, None)


def test_a_resume_of_the_same_collection_counts_rows_that_lost_their_new_vectors(tmp_path: Path) -> None:
    shop = Shop(tmp_path, beside=True)
    shop.catch_up(options=BAD)
    clear(shop, 9)
    shop.source.delete(pa.array([11]))
    resumed = shop.migrate(resume=True, options=BAD)
    assert (resumed.deleted, resumed.gone) == (2, 1)
    shop.lose(77)
    with pytest.raises(InterlinguaError, match=r"1 of 230 rows that were written is missing, namely id 77"):
        shop.migrate(resume=True, options=BAD)


@pytest.mark.parametrize("dry_run", [False, True])
def test_of_the_deleted_rows_those_that_the_target_lost_are_counted(tmp_path: Path, dry_run: bool) -> None:
    shop = Shop(tmp_path, beside=False)
    shop.source.delete(pa.array([3, 4, 5]))
    shop.lose(4)
    done = shop.catch_up(dry_run=dry_run)
    assert (done.deleted, done.gone) == (3, 1)


def test_a_target_without_a_mark_is_recognized_although_its_first_rows_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(open_store("memory://none#old")), "creation", lambda self, *, vector_only=False: None)
    shop = Shop(tmp_path, beside=True)
    shop.lose(*range(8))
    assert shop.catch_up().restored == 8
    rows = _DATABASES[shop.name]["old"].vectors["new"].rows
    for value, vector in zip(list(rows), unit(N, 8, 5), strict=True):
        rows[value] = vector
    shop.lose(9)
    refused = r"it holds rows, and none of those that were looked for is there with the vector that was written"
    # A dry run promises nothing that the run refuses.
    for dry_run in (True, False):
        with pytest.raises(InterlinguaError, match=refused):
            shop.catch_up(dry_run=dry_run)


def test_a_vector_that_was_cleared_in_the_target_ends_no_command(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    file = tmp_path / "a.duckdb"
    url = f"duckdb:///{file.as_posix().lstrip('/')}"

    def run(work: Callable[..., Any], **more: Any) -> Any:
        with open_store(f"{url}#old.v") as source, open_store(f"{url}#new.v") as target:
            return work(translator(), source, target, journal=tmp_path / "j", options=SMALL, **more)

    def change(*statements: str) -> None:
        with duckdb.connect(str(file)) as db:
            for statement in statements:
                db.execute(statement)

    with open_store(f"{url}#old.v") as source:
        fill(source, pa.array(range(40)), columns(40))
    run(migrate)
    change("update new set v = null where id = 7", "delete from old where id in (3, 7)")
    done = run(catch_up)
    assert done.deleted == 2
    assert [line["id"] for line in map(json.loads, Path(str(done.listed)).read_text("utf-8").splitlines())] == [3]
    change(
        "insert into new by name select * replace (id + 100 as id, null as v) from new where id < 2",
        "insert into new by name select * replace (id + 200 as id) from new where id < 2",
    )
    message = r"Something else wrote the row with the id 20\d\."
    with pytest.raises(InterlinguaError, match=message) as caught:
        run(migrate, resume=True)
    assert "Delete that row in the target, or move it to another collection." in str(caught.value)


def test_a_list_of_changes_of_an_earlier_run_is_removed(tmp_path: Path) -> None:
    shop = Shop(tmp_path, beside=True)
    shop.lose(77)
    listed = Path(str(shop.catch_up().listed))
    assert listed.exists()
    assert shop.catch_up(dry_run=True).listed is None
    assert listed.exists()
    shop.source.delete(pa.array([9]))
    assert shop.catch_up().listed is None
    assert not listed.exists()


@pytest.mark.parametrize("page_rows", [7, 90])
def test_another_size_of_pages_takes_effect_once_rows_are_copied(shop: Shop, page_rows: int) -> None:
    read: list[int] = []
    honest = type(shop.source).scan

    def scan(self: Any, size: int, after: Any = None) -> Any:
        read.append(size)
        return honest(self, size, after)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(shop.source), "scan", scan)
        again = shop.migrate(resume=True, options=Options(page_rows=page_rows))
        assert (again.page_rows, again.changed_ids, set(read)) == (page_rows, None, {page_rows})
        read.clear()
        assert not shop.catch_up(options=Options(page_rows=page_rows)).listed
        assert set(read) == {page_rows}
        read.clear()
        assert shop.migrate(resume=True, options=Options()).page_rows == 50
        assert set(read) == {50}


@pytest.mark.parametrize(("phase", "kept"), [("copying", 50), ("indexing", 90)])
def test_the_pages_of_the_survey_are_copied_in_their_size(tmp_path: Path, phase: str, kept: int) -> None:
    source, target = (open_store(f"memory://{tmp_path.name}#{name}") for name in ("old", "new"))
    records = fill(source, pa.array(range(N)), columns(N))

    def on_rows(reached: str, done: int, rows: int) -> None:
        if reached == phase and (done == 100 or phase == "indexing"):
            raise KeyboardInterrupt

    given: dict[str, Any] = {"journal": tmp_path / "j"}
    with pytest.raises(KeyboardInterrupt):
        migrate(translator(), source, target, options=SMALL, on_rows=on_rows, **given)
    done = migrate(translator(), source, target, options=Options(page_rows=90), resume=True, **given)
    assert (done.page_rows, done.rows) == (kept, N)
    assert_migrated(records, target)


def test_the_command_says_what_was_lost_deleted_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    from interlingua.cli import main

    monkeypatch.chdir(tmp_path)
    with open_store("duckdb://a.duckdb#old.v") as source:
        fill(source, pa.array(range(40)), columns(40))
    translator().save(tmp_path / "t")

    def run(target: str, *more: str) -> str:
        capsys.readouterr()
        main(["migrate", "t", "duckdb://a.duckdb#old.v", target, *more])
        return " ".join(capsys.readouterr().err.split())

    def change(*statements: str) -> None:
        with duckdb.connect("a.duckdb") as db:
            for statement in statements:
                db.execute(statement)

    new, beside = "duckdb://a.duckdb#new.v", "duckdb://a.duckdb#old.w"
    run(new, "--page-rows", "16")
    change("delete from new where id = 7")
    again = "to duckdb://a.duckdb#new.v: 1 row that it had lost and duckdb://a.duckdb#old.v still has."
    assert f"Would be written again {again}" in run(new, "--catch-up", "--dry-run")
    said = run(new, "--catch-up")
    assert f"0 rows updated, 0 added, 0 deleted. Written again {again}" in said
    assert ".changes.jsonl lists the ids." in said
    assert "--page-rows" not in run(new, "--resume", "--page-rows", "9")
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.stores._run.Run.index", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        run(beside, "--page-rows", "16")
    change("insert into old by name select * replace (id + 100 as id, null as w) from old where id = 3")
    assert "lists the ids. Stop" in run(beside, "--resume")
    change("delete from old where id in (4, 5)")
    said = run(beside, "--catch-up")
    assert "1 added, 2 deleted" in said
    assert "changes.jsonl lists the ids of the others." in said
    gone = "The new vectors of the 2 rows that were deleted in duckdb://a.duckdb#old.v are gone with their rows."
    assert gone in said
    change("delete from old where id = 6")
    said = run(beside, "--catch-up")
    assert ("1 deleted" in said, "lists" in said) == (True, False)
    assert "The new vector of the row that was deleted in duckdb://a.duckdb#old.v is gone with it." in said
    change("update old set v = null where id = 8", "delete from old where id = 10")
    said = run(beside, "--catch-up", "--skip-bad")
    assert "2 deleted" in said
    assert "is gone with it. The new vector of the row of duckdb://a.duckdb#old.v that is left out now stays" in said
    said = run(beside, "--resume", "--skip-bad")
    assert "The new vector of the row of duckdb://a.duckdb#old.v that is left out now stays as it is." in said
    assert "gone" not in said
    change("delete from old where id = 11", "delete from new where id = 11")
    said = run(new, "--catch-up", "--dry-run", "--skip-bad")
    assert "5 of the 6 deleted rows are still in duckdb://a.duckdb#new.v; the same command with" in said
    change("delete from new where id in (4, 5, 6, 8)")
    assert "1 of the 6 deleted rows is still in duckdb://a.duckdb#new.v; the" in run(new, "--catch-up", "--skip-bad")
    said = run(new, "--catch-up", "--skip-bad")
    advice = "the same command with --delete-vanished deletes it."
    assert f"The deleted row is still in duckdb://a.duckdb#new.v; {advice}" in said
    assert "did not delete it; the same command with" in run(new, "--resume", "--skip-bad")


def test_the_command_says_that_the_size_of_pages_had_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from interlingua.cli import main

    monkeypatch.chdir(tmp_path)
    np.save("old.npy", unit(40, D_IN, 3))
    translator().save(tmp_path / "t")
    command = ["migrate", "t", "old.npy", "new.parquet", "--journal", "j"]
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.stores._run.Run.copy", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        main([*command, "--page-rows", "16"])
    capsys.readouterr()
    assert main([*command, "--resume", "--page-rows", "9"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "--page-rows 9 had no effect: the remaining pages were copied at the recorded size, 16 rows." in said
