"""A file that cannot be written to its end: the error names it, the old file is whole, and nothing else is left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from command_line import D_TARGET, Run
from exported import linear
from interlingua.core.errors import InterlinguaError
from interlingua.core.translator import load
from interlingua.export import to_safetensors, to_sentence_transformers
from interlingua.leakage.inversion._files import write_decoder
from interlingua.stores import open_store
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options
from stores.migrations import assert_migrated, fill, translator

resource = pytest.importorskip("resource")
LARGE = {"weight": np.ones((200, 200), np.float32)}


@contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes; the system then fails as it does where the disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_translator(path: Path) -> None:
    linear().save(path, overwrite=True)


def save_decoder(path: Path) -> None:
    write_decoder(path, "kind", LARGE, {})


def save_checkpoint(path: Path) -> None:
    checkpoints = pytest.importorskip("interlingua.neural.checkpoints")
    checkpoints.write(path, {"weight": pytest.importorskip("torch").ones(200, 200)})


def export_plain(path: Path) -> None:
    to_safetensors(linear(), path.with_suffix(".safetensors"))


def export_modules(path: Path) -> None:
    to_sentence_transformers(linear(), path)


@pytest.mark.parametrize(
    "write", [save_translator, save_decoder, save_checkpoint, export_plain, export_modules], ids=lambda f: f.__name__
)
def test_an_error_of_the_system_is_an_os_error_that_names_the_file(
    write: Callable[[Path], Any], tmp_path: Path
) -> None:
    pytest.importorskip("safetensors")
    with limited(500), pytest.raises(OSError, match=r"(safetensors|out|checkpoint.pt) could not be written") as error:
        write(tmp_path / "out")
    assert ".tmp." not in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("write", [save_translator, save_decoder, save_checkpoint], ids=lambda f: f.__name__)
def test_what_was_there_before_is_whole(write: Callable[[Path], Any], tmp_path: Path) -> None:
    write(tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with limited(500), pytest.raises(OSError, match="could not be written"):
        write(tmp_path / "out")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl", "out.npy"])
@pytest.mark.parametrize("moment", ["copying", "indexing"])
def test_a_migration_to_a_full_disk_names_the_file_and_goes_on_when_there_is_room(
    moment: str, name: str, tmp_path: Path
) -> None:
    rows = 300
    with open_store(f"memory://{tmp_path.name}#old") as source:
        written = fill(source, pa.array(range(rows)), None)

        def run(size: int, *, resume: bool) -> None:
            with contextlib.ExitStack() as stack, open_store(str(tmp_path / name)) as target:

                def on_rows(phase: str, done: int, rows: int) -> None:
                    if phase == moment and (done >= 150 or moment == "indexing"):
                        stack.enter_context(limited(size))

                how: dict[str, Any] = {"journal": tmp_path / "j", "options": Options(page_rows=50), "on_rows": on_rows}
                migrate(translator(), source, target, resume=resume, **how)

        # The journal is written before a page of the target is.
        said = rf"(File too large|Error writing).*{name}" if moment == "indexing" else "j cannot be written"
        with pytest.raises((OSError, InterlinguaError), match=said):
            run(100, resume=False)
        assert not (tmp_path / name).exists()
        run(10**9, resume=True)
        with open_store(str(tmp_path / name)) as target:
            assert_migrated(written, target)


def test_a_full_disk_under_the_journal_is_an_error_and_nothing_is_lost(tmp_path: Path) -> None:
    with open_store(f"memory://{tmp_path.name}#old") as source, open_store(f"memory://{tmp_path.name}#new") as target:
        written = fill(source, pa.array(range(300)), None)
        for moment, has_journal in (("surveying", False), ("copying", True)):
            with contextlib.ExitStack() as stack:

                def on_rows(phase: str, done: int, rows: int) -> None:
                    if phase == moment and done >= 150:  # noqa: B023
                        stack.enter_context(limited(100))  # noqa: B023

                with pytest.raises(InterlinguaError, match=r"j cannot be written .*Free space or repair the disk"):
                    migrate(
                        translator(), source, target, journal=tmp_path / "j", options=Options(page_rows=50),
                        on_rows=on_rows,
                    )  # fmt: skip
            assert (tmp_path / "j").exists() == has_journal
        migrate(translator(), source, target, journal=tmp_path / "j", options=Options(page_rows=50), resume=True)
        assert_migrated(written, target)


@pytest.mark.parametrize("size", [0, 500, 3_000])
@pytest.mark.parametrize("extension", ["npy", "npz", "jsonl", "parquet", "safetensors", "fvecs", "fbin", "jsonl.gz"])
def test_a_file_that_does_not_fit_is_named_and_nothing_of_it_stays(
    run: Run, saved: Path, folder: Path, extension: str, size: int
) -> None:
    out = folder / f"out.{extension}"
    np.save(folder / "many.npy", np.tile(np.load(folder / "source.npy"), (4, 1)))
    with limited(size):
        ran = run("translate", saved, folder / "many.npy", "--out", out)
    assert ran.code == 1
    assert f"'{out}'" in ran.err
    assert not list(folder.glob("out.*"))


def test_a_report_that_does_not_fit_is_named_and_the_translator_is_announced(run: Run, folder: Path) -> None:
    words = ("fit", folder / "source.npy", folder / "target.npy", "--pairs", folder / "pairs.npy")
    with limited(40_000):
        ran = run(*words, "--out", folder / "fitted", "--report", folder / "report.html")
    assert ran.code == 1
    assert f"Wrote {folder / 'fitted'}. Only the report was not written." in ran.err
    assert f"File too large: '{folder / 'report.html'}'" in ran.err
    assert load(folder / "fitted").d_target == D_TARGET


def test_a_log_on_a_full_disk_is_named(run: Run, saved: Path, folder: Path) -> None:
    log = folder / "log.jsonl"
    with limited(0):
        ran = run("evaluate", saved, folder / "source.npy", folder / "target.npy", "--log", log)
    assert ran.code == 1
    assert f"File too large: '{log}'" in ran.err
