"""A file that cannot be written to its end: the error names it, the old file is whole, and nothing else is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exported import linear
from interlingua.export import to_safetensors, to_sentence_transformers
from interlingua.leakage.inversion._files import write_decoder

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
    with limited(500), pytest.raises(OSError, match=r"(safetensors|out|checkpoint.pt) could not be written"):
        write(tmp_path / "out")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("write", [save_translator, save_decoder, save_checkpoint], ids=lambda f: f.__name__)
def test_what_was_there_before_is_whole(write: Callable[[Path], Any], tmp_path: Path) -> None:
    write(tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with limited(500), pytest.raises(OSError, match="could not be written"):
        write(tmp_path / "out")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
