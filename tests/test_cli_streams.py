"""Standard output and standard error of the commands: other encodings than UTF-8, and streams that take no more."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interlingua.cli import main
from interlingua.cli.streams import any_encoding


def run_alone(folder: Path, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with other variables of the environment."""
    code = "import sys; from interlingua.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, *map(os.fsencode, map(str, words))],
        capture_output=True,
        env=dict(os.environ) | variables,
        cwd=folder,
        check=False,
        text=True,
        errors="replace",
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "utf-16"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_result_is_printed_in_any_encoding(
    folder: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, stream: str
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, stream, io.TextIOWrapper(written, encoding=encoding))
    out = str(folder / "fitted é中")
    words = ["fit", str(folder / "source.npy"), str(folder / "target.npy"), "--pairs", str(folder / "pairs.npy")]
    assert main([*words, "--out", out]) == 0
    assert main(["inspect", out]) == 0
    assert main(["evaluate", out, str(folder / "source.npy"), str(folder / "target.npy")]) == 0
    assert getattr(sys, stream).errors == "strict"
    shown = written.getvalue().decode(encoding if encoding != "ascii" else "utf-8")
    if stream == "stdout":
        assert "0.2" in shown
        assert "≥ 0.2" in shown or ">= 0.2" in shown
        assert "±" in shown or "+/-" in shown


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_command_in_another_encoding_ends_with_status_0(folder: Path, encoding: str) -> None:
    words = ("fit", "source.npy", "target.npy", "--pairs", "pairs.npy", "--out", "new")
    ran = run_alone(folder, *words, PYTHONUTF8="0", PYTHONIOENCODING=encoding)
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert ">= 0.2" in ran.stdout


def test_what_an_encoding_lacks_is_written_in_ascii() -> None:
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        with any_encoding():
            stream.write("≥ ≤ ± – … 中\udcc3")
        stream.flush()
        assert stream.buffer.getvalue() == b">= <= +/- - ... ??"


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="the locale decides there only on Linux")
def test_names_that_the_locale_cannot_decode(folder: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (folder / "source.npy").rename(folder / "é中.npy")
    ran = run_alone(folder, "identify", "duckdb://./é.duckdb#naïve", **plain)
    assert ran.returncode == 2
    assert "not text in the encoding of this system" in ran.stderr
    assert "PYTHONUTF8=1" in ran.stderr
    # A file can be read and written whatever its name; its name in a card or a report has question marks.
    words = ("fit", "é中.npy", "target.npy", "--pairs", "pairs.npy", "--out", "ö", "--report", "ü.html")
    ran = run_alone(folder, *words, **plain)
    assert ran.returncode == 0, ran.stderr
    assert json.loads((folder / "ö" / "card.json").read_text("utf-8"))["source"]["name"] == "?????"
    ran = run_alone(folder, "translate", "ö", "é中.npy", "--out", "ä.jsonl", "--allow-foreign", **plain)
    assert ran.returncode == 0, ran.stderr
    ran = run_alone(folder, "translate", "ö", "é中.npy", "--out", "ä.parquet", **plain)
    assert ran.returncode == 2
    assert "such a file of this format cannot be opened. Rename it" in ran.stderr
    assert not list(folder.glob("*.partial"))
    ran = run_alone(folder, "search", "ö", "é中.npy", "--text", "naïve", "--encoder", "command:cat", **plain)
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False)


class _Full(io.RawIOBase):
    """A file on a disk that is full."""

    full = True

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)  # type: ignore[arg-type]


@contextmanager
def full(stream: str) -> Iterator[None]:
    raw = _Full()
    with pytest.MonkeyPatch.context() as patch, io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8") as device:
        patch.setattr(sys, stream, device)
        try:
            yield
        finally:
            raw.full = False


@pytest.mark.parametrize(
    "words",
    [
        "translate translator source.npy --out out.npy --json",
        "inspect translator",
        "inspect translator --json",
        "evaluate translator source.npy target.npy",
        "evaluate translator source.npy target.npy --json",
        "search translator source.npy --query target.npy -k 1 --json",
        "--version",
    ],
)
def test_a_full_standard_output_is_said_in_one_line(
    folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    with full("stdout"):
        assert main([str(saved) if word == "translator" else word for word in words.split()]) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Error")]
    assert said == ["Error: The result cannot be written to standard output (No space left on device)."]


def test_an_error_of_a_command_with_a_full_standard_output_keeps_its_status(
    folder: Path, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with full("stdout"):
        assert main(["translate", str(saved), "missing.npy", "--out", str(folder / "o.npy"), "--json"]) == 2
    assert capsys.readouterr().err == "Error: missing.npy: no such file. Check the path.\n"


def test_messages_that_nobody_can_read_stop_no_work(folder: Path, saved: Path) -> None:
    out = folder / "out.npy"
    with full("stderr"):
        assert main(["translate", str(saved), str(folder / "source.npy"), "--out", str(out)]) == 0
    assert out.exists()
