"""Files that appear, vanish or are links at the place of a target, and outputs of a command that are one file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from interlingua.core.errors import InputError, OutputExistsError
from interlingua.stores import open_store
from interlingua.stores._open import open_source, reopen_source
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options
from stores.migrations import assert_migrated, fill, translator

N = 300
SMALL = Options(page_rows=50)
FILES = ["out.parquet", "out.jsonl", "out.npy", "out.faiss"]


def _address(path: Path) -> str:
    if path.suffix != ".faiss":
        return str(path)
    pytest.importorskip("faiss")
    return f"faiss://{path}"


@pytest.mark.parametrize("phase", ["copying", "indexing"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_appears_while_rows_are_written_is_neither_replaced_nor_dropped(
    name: str, phase: str, tmp_path: Path
) -> None:
    path, journal = tmp_path / name, tmp_path / "journal"
    rows = fill(open_store("memory://appears#old"), pa.array(range(N)), None)

    def on_rows(now: str, done: int, rows: int) -> None:
        if now == phase and not path.exists() and not (tmp_path / "moved").exists():
            path.write_text("of something else")

    def run(**how: bool) -> None:
        with open_store("memory://appears#old") as source, open_store(_address(path)) as target:
            migrate(translator(), source, target, journal=journal, options=SMALL, on_rows=on_rows, **how)

    try:
        with pytest.raises(OutputExistsError, match="was made by something else .* and is not replaced"):
            run()
        with pytest.raises(InputError, match="is not what the migration of .* made"):
            rollback(journal)
        assert path.read_text() == "of something else"
        shutil.move(path, tmp_path / "moved")
        run(resume=True)
        with open_store(_address(path)) as target:
            assert_migrated(rows, target)
        assert rollback(journal).dropped == _address(path)
        assert sorted(file.name for file in tmp_path.iterdir()) == ["journal", "moved"]
    finally:
        open_store("memory://appears#old").drop()


def test_the_same_rows_in_a_file_that_appears_are_no_reason_to_take_it(tmp_path: Path) -> None:
    fill(open_store("memory://same#old"), pa.array(range(N)), None)
    path, journal = tmp_path / "out.parquet", tmp_path / "journal"

    def stop(phase: str, done: int, rows: int) -> None:
        if (phase, done) == ("copying", 100):
            raise KeyboardInterrupt

    def run(path: Path, journal: Path, on_rows: object = None, **how: bool) -> None:
        with open_store("memory://same#old") as source, open_store(str(path)) as target:
            migrate(translator(), source, target, journal=journal, options=SMALL, on_rows=on_rows, **how)  # type: ignore[arg-type]

    try:
        with pytest.raises(KeyboardInterrupt):
            run(path, journal, stop)
        run(tmp_path / "other.parquet", tmp_path / "other")
        shutil.move(tmp_path / "other.parquet", path)
        with pytest.raises(OutputExistsError, match="was made by something else"):
            run(path, journal, resume=True)
        path.unlink()
        run(path, journal, resume=True)
    finally:
        open_store("memory://same#old").drop()


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("name", FILES)
def test_a_rollback_through_a_link_removes_the_rows_and_leaves_the_link(name: str, ends: bool, tmp_path: Path) -> None:
    elsewhere, link, journal = tmp_path / "elsewhere", tmp_path / name, tmp_path / "journal"
    elsewhere.mkdir()
    link.symlink_to(elsewhere / f"real{link.suffix}")
    fill(open_store("memory://link#old"), pa.array(range(N)), None)

    def on_rows(phase: str, done: int, rows: int) -> None:
        if (phase, done) == ("copying", 100) and not ends:
            raise KeyboardInterrupt

    try:
        with open_store("memory://link#old") as source, open_store(_address(link)) as target:
            try:
                migrate(translator(), source, target, journal=journal, options=SMALL, on_rows=on_rows)
            except KeyboardInterrupt:
                assert not ends
        assert rollback(journal).dropped == _address(link)
        assert not list(elsewhere.iterdir())
        assert link.is_symlink()
        assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["elsewhere", "journal", name])
    finally:
        open_store("memory://link#old").drop()


@pytest.mark.parametrize("name", ["out.parquet", "out.faiss", "memory"])
def test_a_rollback_says_that_the_target_is_not_there(name: str, tmp_path: Path) -> None:
    fill(open_store("memory://gone#old"), pa.array(range(N)), None)
    address, journal = "memory://gone#new" if name == "memory" else _address(tmp_path / name), tmp_path / "journal"
    try:
        with open_store("memory://gone#old") as source, open_store(address) as target:
            migrate(translator(), source, target, journal=journal, options=SMALL)
        with open_store(address) as target:
            target.drop()
        for _ in range(2):
            with pytest.raises(
                InputError, match=r"is not there; was it renamed or moved\? .* dropped by hand, remove .*journal"
            ):
                rollback(journal)
    finally:
        open_store("memory://gone#old").drop()


@pytest.mark.parametrize("how", ["written", "replaced"])
def test_a_file_of_a_copied_source_that_changes_at_the_same_size_and_time_is_read_again(
    how: str, tmp_path: Path
) -> None:
    pytest.importorskip("chromadb", reason="the extra chroma is not installed")
    with open_store(f"chroma://{tmp_path}/folder#things") as store:
        fill(store, pa.array([str(i) for i in range(20)]), None)
    with open_source(f"chroma://{tmp_path}/folder#things") as source:
        assert reopen_source(source) is source
        file = tmp_path / "folder" / "chroma.sqlite3"
        stat, data = file.stat(), file.read_bytes()
        if how == "replaced":
            other = tmp_path / "other"
            other.write_bytes(data)
            other.replace(file)
        else:
            file.write_bytes(data)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert (file.stat().st_size, file.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
        with reopen_source(source) as again:
            assert again is not source
