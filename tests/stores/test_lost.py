"""Rows that somebody deleted in a finished target are noticed, and written again by a catch-up."""

from __future__ import annotations

import json
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
        r"Rows of the source that are new or have changed, and those that the target has lost, are copied by catch_up"
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
    assert "--page-rows 9 had no effect: the journal records pages of 16 rows" in said
