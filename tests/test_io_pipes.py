"""Formats that stream are read from standard input and from pipes."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from interlingua.core.errors import InputError
from interlingua.io import open_vectors

X = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
JSON = "".join(json.dumps({"id": row, "emb": values}) + "\n" for row, values in enumerate(X.tolist())).encode()
CSV = "\n".join(["id,0,1,2,3", *(f"{row}," + ",".join(map(str, values)) for row, values in enumerate(X.tolist()))])
CONTENTS = {"json": JSON, "json.gz": gzip.compress(JSON), "csv": CSV.encode(), "csv.gz": gzip.compress(CSV.encode())}


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))


@pytest.mark.parametrize("kind", list(CONTENTS))
def test_standard_input_is_read_and_its_copy_removed(kind: str, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, CONTENTS[kind])
    file = open_vectors("-")
    np.testing.assert_array_equal(file.vectors(), X)
    assert file.id_name == "id"
    (copy,) = scratch.iterdir()
    assert copy.stat().st_mode & 0o077 == 0
    del file
    assert not list(scratch.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are needed")
def test_a_named_pipe_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(JSON,))
    writer.start()
    np.testing.assert_array_equal(open_vectors(tmp_path / "pipe").vectors(), X)
    writer.join()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON Lines or CSV are needed from a pipe, which is empty"),
        (b"\x93NUMPY\x01\x00", "from a pipe, which holds neither. Write other formats to a file first"),
        (b"\x1f\x8bnothing", "which holds neither"),
        (JSON[:-30], "is not valid JSON"),
    ],
)
def test_other_pipes_are_refused_and_leave_no_copy(
    content: bytes, message: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe_in(monkeypatch, content)
    with pytest.raises(InputError, match=message):
        open_vectors("-")
    assert not list(scratch.iterdir())
