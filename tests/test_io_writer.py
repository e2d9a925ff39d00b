"""An output is whole or absent, and an interrupted one goes on where it stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.core.errors import InputError, InputWarning, OutputExistsError
from interlingua.io import EXTENSIONS, Records, VectorFile, VectorWriter, create_writer, open_vectors

ALL = sorted(EXTENSIONS)
SETTINGS = {"input": "abc", "translator": "def"}


@pytest.fixture
def source(tmp_path: Path) -> VectorFile:
    x = np.random.default_rng(0).standard_normal((100, 5)).astype("float32")
    with create_writer(tmp_path / "source.parquet", d=5, dtype="float32") as writer:
        writer.write(x)
    return open_vectors(tmp_path / "source.parquet")


@pytest.fixture
def numbered(tmp_path: Path) -> VectorFile:
    x = np.random.default_rng(1).standard_normal((100, 5)).astype("float32")
    np.savez(tmp_path / "numbered.npz", vectors=x, id=np.arange(100), year=np.arange(100) % 7)
    return open_vectors(tmp_path / "numbered.npz")


def begin(path: Path, like: VectorFile, **options: Any) -> VectorWriter:
    options = {"settings": SETTINGS, "checkpoint_seconds": 0, **options}
    return create_writer(path, d=like.d, dtype="float32", n=like.n, like=like, **options)


def copy(writer: VectorWriter, like: VectorFile, stop: int | None = None) -> None:
    for batch in like.batches(10, writer.rows, stop):
        writer.write(batch.vectors, batch)


def interrupt(writer: VectorWriter, like: VectorFile, stop: int, error: BaseException) -> None:
    with writer:
        copy(writer, like, stop)
        raise error


def write_all(writer: VectorWriter, *pieces: tuple[Any, Records | None]) -> None:
    with writer:
        for vectors, batch in pieces:
            writer.write(vectors, batch)


def kill(writer: VectorWriter) -> None:
    """Leave everything as a killed process would: nothing flushed, nothing finished, the lock released."""
    writer.close()


@pytest.mark.parametrize("extension", ALL)
def test_a_killed_output_goes_on_to_the_same_bytes(tmp_path: Path, numbered: VectorFile, extension: str) -> None:
    like = numbered if extension not in (".npy", ".fvecs", ".fbin") else None
    if like is None:
        np.save(tmp_path / "plain.npy", numbered.vectors())
        like = open_vectors(tmp_path / "plain.npy")
    whole, killed = tmp_path / f"whole{extension}", tmp_path / f"killed{extension}"
    with begin(whole, like) as writer:
        copy(writer, like)
    writer = begin(killed, like)
    copy(writer, like, 50)
    writer._checkpoint_seconds = 1e9
    copy(writer, like, 80)
    kill(writer)
    assert not killed.exists()
    with begin(killed, like, resume=True) as writer:
        assert writer.rows == 50
        copy(writer, like)
    assert killed.read_bytes() == whole.read_bytes()
    assert not (tmp_path / f"killed{extension}.partial").exists()
    np.testing.assert_array_equal(open_vectors(killed).vectors(), like.vectors())


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is needed")
def test_a_process_killed_for_real_leaves_rows_that_count(tmp_path: Path, numbered: VectorFile) -> None:
    out = tmp_path / "out.npz"
    code = f"""
import os, signal
from interlingua.io import create_writer, open_vectors
like = open_vectors({str(numbered.path)!r})
options = dict(d=5, dtype="float32", n=100, like=like, settings={SETTINGS!r}, checkpoint_seconds=0)
with create_writer({str(out)!r}, **options) as w:
    for batch in like.batches(10):
        w.write(batch.vectors, batch)
        if w.rows == 60:
            os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    with begin(out, numbered, resume=True) as writer:
        assert writer.rows == 60
        copy(writer, numbered)
    np.testing.assert_array_equal(open_vectors(out).vectors(), numbered.vectors())


@pytest.mark.parametrize("extension", ALL)
def test_finishing_can_be_repeated_after_a_kill_in_the_middle_of_it(
    tmp_path: Path, source: VectorFile, extension: str
) -> None:
    out = tmp_path / f"out{extension}"
    writer = begin(out, source)
    copy(writer, source)
    for stream in writer._streams.values():
        stream.flush()
    writer._sink.assemble(writer._folder, writer.rows)
    kill(writer)
    with begin(out, source, resume=True) as writer:
        assert writer.rows == source.n
    np.testing.assert_array_equal(open_vectors(out).vectors(), source.vectors())


def test_an_exception_keeps_rows_only_where_settings_tell_what_they_are(tmp_path: Path, source: VectorFile) -> None:
    for options, kept in (({}, True), ({"settings": None}, False)):
        out = tmp_path / "out.npy"
        writer = begin(out, source, checkpoint_seconds=1e9, **options)
        with pytest.raises(KeyboardInterrupt):
            interrupt(writer, source, 30, KeyboardInterrupt())
        assert not out.exists()
        assert (tmp_path / "out.npy.partial").exists() is kept
        if kept:
            with pytest.raises(OutputExistsError, match=r"holds 30 rows of an interrupted run. Go on with resume=True"):
                begin(out, source)
            with begin(out, source, force=True) as writer:
                assert writer.rows == 0
                copy(writer, source)
            out.unlink()


def test_other_settings_do_not_continue_and_the_message_says_which(tmp_path: Path, source: VectorFile) -> None:
    writer = begin(tmp_path / "out.npy", source)
    copy(writer, source, 10)
    kill(writer)
    with pytest.raises(InputError, match=r"cannot be continued: input was 'abc' and is 'xyz'\. Use the same input"):
        begin(tmp_path / "out.npy", source, resume=True, settings=SETTINGS | {"input": "xyz"})
    with pytest.raises(InputError, match="d was 5 and is 4"):
        create_writer(tmp_path / "out.npy", d=4, dtype="float32", n=100, settings=SETTINGS, resume=True)


@pytest.mark.parametrize("options", [{}, {"force": True}, {"resume": True}], ids=str)
def test_a_folder_of_the_users_is_never_taken_for_an_interrupted_run(
    tmp_path: Path, source: VectorFile, options: dict[str, bool]
) -> None:
    folder = tmp_path / "out.npy.partial"
    folder.mkdir()
    (folder / "thesis.txt").write_text("the only copy")
    with pytest.raises(OutputExistsError, match=r"out.npy.partial holds files and no checkpoint.json.*Move it away"):
        begin(tmp_path / "out.npy", source, **options)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    (folder / "thesis.txt").unlink()
    with begin(tmp_path / "out.npy", source, **options) as writer:
        copy(writer, source)
    assert not folder.exists()


def test_damaged_leftovers_are_refused(tmp_path: Path, source: VectorFile) -> None:
    folder = tmp_path / "out.npy.partial"
    writer = begin(tmp_path / "out.npy", source)
    copy(writer, source, 10)
    kill(writer)
    (folder / "vectors.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"lost rows that its checkpoint counts. Start over with force=True"):
        begin(tmp_path / "out.npy", source, resume=True)
    (folder / "checkpoint.json").write_text("{")
    with pytest.raises(InputError, match=r"checkpoint.json cannot be read"):
        begin(tmp_path / "out.npy", source, resume=True)
    with begin(tmp_path / "out.npy", source, force=True) as writer:
        copy(writer, source)


@pytest.mark.skipif(sys.platform == "win32", reason="no advisory locks")
def test_two_writers_do_not_share_an_output(tmp_path: Path, source: VectorFile) -> None:
    writer = begin(tmp_path / "out.npy", source)
    copy(writer, source, 10)
    for options in ({"resume": True}, {"force": True}):
        with pytest.raises(OutputExistsError, match="is being written to by another process"):
            begin(tmp_path / "out.npy", source, **options)
    with writer:
        copy(writer, source)


def test_existing_output_is_kept_without_force(tmp_path: Path, source: VectorFile) -> None:
    out = tmp_path / "out.npy"
    out.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=r"out.npy exists. Choose another name, or overwrite it with force"):
        begin(out, source)
    with (
        pytest.raises(InputError, match="90 rows were written and 100 are"),
        begin(out, source, force=True) as w,
    ):
        copy(w, source, 90)
    assert out.read_bytes() == b"precious"
    with begin(out, source, force=True, resume=True) as writer:
        assert writer.rows == 90
        copy(writer, source)
    np.testing.assert_array_equal(np.load(out), source.vectors())
    out.unlink()
    writer = begin(out, source)
    copy(writer, source)
    out.write_bytes(b"arrived meanwhile")
    with pytest.raises(OutputExistsError, match="exists"), writer:
        pass
    assert out.read_bytes() == b"arrived meanwhile"


@pytest.mark.parametrize("spelling", ["x.npy", "folder/../x.npy", "soft.npy", "hard.npy"])
def test_an_output_that_is_the_input_is_refused_however_it_is_spelled(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "x.npy", np.ones((50, 3), np.float32))
    (tmp_path / "soft.npy").symlink_to(tmp_path / "x.npy")
    (tmp_path / "hard.npy").hardlink_to(tmp_path / "x.npy")
    before = (tmp_path / "x.npy").read_bytes()
    like = open_vectors(tmp_path / "x.npy")
    for options in ({}, {"resume": True}):
        with pytest.raises(InputError, match="is the input .* itself, which is never overwritten. Choose another name"):
            begin(tmp_path / spelling, like, force=True, **options)
    assert (tmp_path / "x.npy").read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "x.txt"}, r"unknown extension; the supported extensions are .*.fvecs, .*.jsonl"),
        ({"path": "missing/x.npy"}, r"missing does not exist; the path of a file in an existing folder"),
        ({"path": "folder.npy"}, r"folder.npy is a folder"),
        ({"path": "x.fvecs", "dtype": "float64"}, r"a .fvecs file of float64 cannot be written; choose from float32"),
        ({"dtype": "int32"}, r"a .npy file of int32 cannot be written"),
        ({"dtype": "int8"}, r"dtype int8 with scale=None; int8 needs a scale"),
        ({"scale": 1.0}, r"dtype float32 with scale=1.0; int8 needs a scale and floats take none"),
        ({"path": "x.npz", "dtype": "int8", "scale": -1.0}, r"scale must be finite and greater than 0"),
        ({"path": "x.npz", "dtype": "int8", "scale": [1.0, 2.0]}, r"scale has shape \(2,\); a number or shape \(3,\)"),
    ],
)
def test_outputs_that_cannot_be_are_refused_before_any_work(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "folder.npy").mkdir()
    arguments: dict[str, Any] = {"path": "x.npy", "d": 3, "dtype": "float32", **options}
    with pytest.raises(InputError, match=message):
        create_writer(tmp_path / arguments.pop("path"), **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npy"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 4)), r"got float64 of shape \(2, 4\); a number matrix \[b, 3\] is needed"),
        (np.ones(3), r"of shape \(3,\)"),
        (np.array([[1, 2, 3], [1, np.nan, 3]]), r"row 3 holds NaN, infinity or values too large for float16"),
        (np.full((1, 3), 1e6), r"row 2 holds NaN, infinity or values too large for float16. Use a wider dtype"),
        (np.array([["a", "b", "c"]]), r"a number matrix"),
    ],
)
def test_rows_that_cannot_be_written_are_refused(tmp_path: Path, rows: Any, message: str) -> None:
    writer = create_writer(tmp_path / "x.npy", d=3, dtype="float16")
    with pytest.raises(InputError, match=message):
        write_all(writer, (np.ones((2, 3)), None), (rows, None))
    assert not list(tmp_path.iterdir())


def test_int8_values_beyond_the_scale_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="values exceed 127 times the scale; use a larger scale"),
        create_writer(tmp_path / "x.npz", d=1, dtype="int8", scale=0.1) as writer,
    ):
        writer.write(np.array([[12.8]]))


def test_columns_stay_the_same_from_batch_to_batch(tmp_path: Path, numbered: VectorFile) -> None:
    batch = next(numbered.batches(10))
    without = Records(None, batch.vectors, batch.payload)
    renamed = Records(batch.ids, batch.vectors, pa.table({"month": np.arange(10)}))
    short = Records(pa.array(range(5)), batch.vectors)
    for other, message in (
        (None, r"rows came without the columns \['id', 'year'\]; pass their batch too"),
        (without, "columns changed between batches"),
        (renamed, "columns changed between batches"),
        (short, "10 vectors came with 5 ids"),
    ):
        writer = begin(tmp_path / "x.jsonl", numbered, settings=None)
        with pytest.raises(InputError, match=message):
            write_all(writer, (batch.vectors, batch), (batch.vectors, other))


@pytest.mark.parametrize("extension", [".npz", ".safetensors"])
def test_nulls_are_not_made_up_for_by_arrays(tmp_path: Path, extension: str) -> None:
    table = pa.table({"year": [1, None]})
    x = np.ones((2, 2), np.float32)
    with create_writer(tmp_path / "a.parquet", d=2, dtype="float32") as writer:
        writer.write(x, Records(None, x, table))
    like = open_vectors(tmp_path / "a.parquet")
    writer = create_writer(tmp_path / f"b{extension}", d=2, dtype="float32", like=like)
    with pytest.raises(InputError, match=f"column 'year' has 1 null, which {extension} arrays cannot hold"):
        write_all(writer, *((batch.vectors, batch) for batch in like.batches()))


@pytest.mark.parametrize("extension", [".npy", ".npz", ".jsonl"])
def test_a_full_disk_leaves_whole_batches_only(
    tmp_path: Path, source: VectorFile, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / f"out{extension}"
    writer = begin(out, source, checkpoint_seconds=1e9)
    copy(writer, source, 30)

    def fill_up(stream: Any, data: bytes | memoryview) -> None:
        stream.write(memoryview(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("interlingua.io._writer._write", fill_up)
        with pytest.raises(OSError, match="No space left"), writer:
            copy(writer, source)
    with begin(out, source, resume=True) as writer:
        assert writer.rows == 30
        copy(writer, source)
    np.testing.assert_array_equal(open_vectors(out).vectors(), source.vectors())


def test_columns_the_model_lacks_are_kept_or_named_but_not_lost(tmp_path: Path, source: VectorFile) -> None:
    x = source.vectors()
    with begin(tmp_path / "a.jsonl", source) as writer:
        writer.write(x, Records(pa.array(range(100)), x))
    ids = open_vectors(tmp_path / "a.jsonl").ids()
    assert ids is not None
    assert ids.to_pylist() == list(range(100))
    with pytest.warns(InputWarning, match="cannot hold ids 'id'"), begin(tmp_path / "a.npy", source) as writer:
        writer.write(x, Records(pa.array(range(100)), x))


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "/proc/out.npy",
            r"/proc/out.npy.partial cannot be written \(the system reports: .*\). Choose another name or",
        ),
        ("{folder}/" + "n" * 248 + ".npy", r"cannot be written \(the system reports: File name too long\)"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused_with_a_remedy(
    tmp_path: Path, place: str, message: str
) -> None:
    if place.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("this system has no /proc")
    with pytest.raises(InputError, match=message):
        create_writer(place.format(folder=tmp_path), d=4, dtype="float32")
    assert not list(tmp_path.iterdir())


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path: Path) -> None:
    """As everywhere else: a link in a versioned folder must not become a file, also where its end does not exist."""
    target, link = tmp_path / "versions" / "v1.npy", tmp_path / "current.npy"
    target.parent.mkdir()
    link.symlink_to(target)
    for value in (1.0, 2.0):
        with create_writer(link, d=4, dtype="float32", force=True) as writer:
            writer.write(np.full((3, 4), value, np.float32))
        assert link.is_symlink()
        assert (np.load(target) == value).all()
    with pytest.raises(OutputExistsError, match="v1.npy exists"):
        create_writer(link, d=4, dtype="float32")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    with pytest.raises(InputError, match="pipe.npy is a device, a pipe or a link without an end, and not a file"):
        create_writer(tmp_path / "pipe.npy", d=4, dtype="float32", force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.npy"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_without_an_extension_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe: unknown extension"):
        create_writer(tmp_path / "pipe", d=4, dtype="float32", force=True)


def test_only_formats_that_are_written_are_named_for_an_output(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"the supported extensions are \.fbin, \.fvecs, .*\.safetensors\. Convert"
    ) as info:
        create_writer(tmp_path / "x", d=4, dtype="float32")
    assert ".csv" not in str(info.value)
