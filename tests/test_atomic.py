"""Atomic writes: the old version or the new one at every moment, and nothing left behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlingua.core import atomic
from interlingua.core.atomic import atomic_file, atomic_folder, check_writable, remove_folder, write_text
from interlingua.core.errors import InputError, OutputExistsError

posix = pytest.mark.skipif(sys.platform == "win32", reason="permissions and signals of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def interrupt(path: Path) -> None:
    path.write_text("half")
    raise KeyboardInterrupt


def test_a_file_has_its_old_content_until_the_block_ends(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a.txt", "old")
    with atomic_file(path) as fresh:
        fresh.write_text("new")
        assert path.read_text() == "old"
        assert fresh.parent == tmp_path
        assert fresh.suffix == ".txt"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_appears_complete(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "made.lance") as fresh:
        (fresh / "inner").mkdir()
        (fresh / "inner" / "file").write_text("x")
        assert names(tmp_path) == [fresh.name]
        assert fresh.suffix == ".lance"
    assert (tmp_path / "made.lance" / "inner" / "file").read_text() == "x"
    assert names(tmp_path) == ["made.lance"]


def test_an_exception_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a", "old")
    with pytest.raises(KeyboardInterrupt), atomic_file(path) as fresh:
        interrupt(fresh)
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "b") as folder:
        interrupt(folder / "half")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("refused", ["rename", "replace", "link"])
def test_a_rename_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    path = write_text(tmp_path / "a", "old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, refused, fail)
    if refused == "replace":
        with pytest.raises(OSError, match="No space left"), atomic_file(path) as fresh:
            fresh.write_text("new")
    elif refused == "rename":
        with pytest.raises(OSError, match="No space left"), atomic_folder(tmp_path / "b") as fresh:
            (fresh / "file").write_text("new")
    else:  # a file system without hard links still gets its file
        with atomic_file(tmp_path / "c", overwrite=False) as fresh:
            fresh.write_text("new")
        assert (tmp_path / "c").read_text() == "new"
    assert path.read_text() == "old"
    assert names(tmp_path) == (["a", "c"] if refused == "link" else ["a"])


def test_nothing_is_replaced_unless_asked(tmp_path: Path) -> None:
    path = write_text(tmp_path / "a", "old")
    (tmp_path / "full").mkdir()
    write_text(tmp_path / "full" / "thesis", "years of work")
    with pytest.raises(OutputExistsError, match="a exists; choose another name"), atomic_file(path, overwrite=False):
        pytest.fail("the block ran")
    with pytest.raises(OutputExistsError, match="full exists"), atomic_folder(tmp_path / "full"):
        pytest.fail("the block ran")
    with pytest.raises(OutputExistsError, match="full is a folder; a file name"), atomic_file(tmp_path / "full"):
        pytest.fail("the block ran")
    with pytest.raises(InputError, match="missing does not exist; create it"), atomic_file(tmp_path / "missing" / "a"):
        pytest.fail("the block ran")
    assert (path.read_text(), (tmp_path / "full" / "thesis").read_text()) == ("old", "years of work")


def test_a_writer_that_comes_second_is_refused_where_nothing_is_replaced(tmp_path: Path) -> None:
    def write_folder(*, nested: bool) -> None:
        with atomic_folder(tmp_path / "b") as fresh:
            if nested:
                write_folder(nested=False)
            write_text(fresh / "file", "second" if nested else "first")

    with pytest.raises(OutputExistsError, match="a exists"), atomic_file(tmp_path / "a", overwrite=False):
        write_text(tmp_path / "a", "first")
    with pytest.raises(OutputExistsError, match="b exists"):
        write_folder(nested=True)
    assert ((tmp_path / "a").read_text(), (tmp_path / "b" / "file").read_text()) == ("first", "first")
    assert names(tmp_path) == ["a", "b"]


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    def write(text: str) -> None:
        for _ in range(40):
            write_text(tmp_path / "a", text)

    texts = ["x" * 100_000, "y" * 50_000]
    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_text() in texts
    assert names(tmp_path) == ["a"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as fresh:
        write_text(fresh / "file", "x")
    assert names(tmp_path / "empty") == ["file"]


@posix
def test_links_stay_and_what_they_point_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    write_text(tmp_path / "real" / "a", "old")
    (tmp_path / "file").symlink_to(tmp_path / "real" / "a")
    (tmp_path / "folder").symlink_to(tmp_path / "real" / "new", target_is_directory=True)
    write_text(tmp_path / "file", "new")
    with atomic_folder(tmp_path / "folder") as fresh:
        write_text(fresh / "b", "x")
    assert (tmp_path / "file").is_symlink()
    assert (tmp_path / "folder").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "new"
    assert names(tmp_path / "real" / "new") == ["b"]


@posix
def test_permissions_are_those_asked_for_or_kept_and_never_wider_on_the_way(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a", mode=0o600) as fresh:
        assert permissions(fresh) == 0o600
    assert permissions(tmp_path / "a") == 0o600
    write_text(tmp_path / "a", "again")
    assert permissions(tmp_path / "a") == 0o600
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "b", "x")
    assert permissions(tmp_path / "b") == permissions(tmp_path / "plain")


@posix
def test_read_only_files_are_flushed_too(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "made") as fresh:
        (fresh / "file").write_text("x")
        (fresh / "file").chmod(0o444)
    assert names(tmp_path / "made") == ["file"]


def test_everything_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(atomic, "_sync", lambda path: events.append(f"sync {path.name[-1:]}"))
    monkeypatch.setattr(atomic, "sync_folder", lambda path: events.append("sync folder"))

    def recorded(function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            events.append("rename")
            function(*arguments)

        return call

    monkeypatch.setattr(os, "replace", recorded(os.replace))
    monkeypatch.setattr(os, "rename", recorded(os.rename))
    with atomic_file(tmp_path / "a"):
        pass
    with atomic_folder(tmp_path / "b") as fresh:
        (fresh / "c").touch()
    assert events == ["sync a", "rename", "sync folder", "sync c", "sync folder", "rename", "sync folder"]


@posix
@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_kill_leaves_the_old_file(tmp_path: Path, call: str) -> None:
    path = write_text(tmp_path / "a", "old")
    code = (
        "import os, signal, sys\nfrom interlingua.core.atomic import write_text\n"
        f"os.{call} = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_text(sys.argv[1], 'new')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_a_removed_folder_is_gone_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "full").mkdir()
    write_text(tmp_path / "full" / "file", "x")
    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", lambda *_: None)
        remove_folder(tmp_path / "full")
        assert not (tmp_path / "full").exists()
    (tmp_path / "again").mkdir()
    remove_folder(tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_or_device_is_refused_and_stays(tmp_path: Path) -> None:
    """As root, a report written to /dev/null would replace the device by a file."""
    pipe, link, endless = (tmp_path / name for name in ("pipe", "link", "endless"))
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    endless.symlink_to(endless)
    for path in (pipe, link, endless):
        for refused in (lambda path=path: write_text(path, "text"), lambda path=path: check_writable(path)):
            with pytest.raises(InputError, match=f"{path.name} is a device, a pipe or a link without an end"):
                refused()
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_place_where_nothing_can_be_made_is_refused_with_a_remedy() -> None:
    message = r"/proc/x cannot be written \(the system reports: .*Choose another name"
    with pytest.raises(InputError, match=message):
        write_text("/proc/x", "text")
    with pytest.raises(InputError, match=message), atomic_folder("/proc/x"):
        pytest.fail("the block began")


@pytest.mark.skipif(os.name == "nt", reason="there it is a path")
def test_a_path_of_windows_is_refused_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="is a path of Windows, and here it would be the name of one file"):
        write_text("C:\\temp\\out.txt", "text")
    assert not list(tmp_path.iterdir())
