"""Uploads, translated files and temporary folders of the page."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

import interlingua
from command_line import Rows
from interlingua.core.errors import InputError
from interlingua.core.translator import load
from interlingua.io import open_vectors
from interlingua.serve import Session, session_folder
from interlingua.serve.child import read, translate
from interlingua.serve.folders import remove_orphans
from interlingua.serve.jobs import RefusedRequestError, run_job
from interlingua.serve.progress import FitLog, last_rows, written_rows
from interlingua.serve.rows import StoredRows
from interlingua.serve.session import safe_name
from interlingua.serve.uploads import Uploads

pytest.importorskip("starlette")
pytest.importorskip("httpx")

if TYPE_CHECKING:
    from starlette.requests import Request


@pytest.fixture
def translator(planted: tuple[Rows, Rows], tmp_path: Path) -> Path:
    pairs = np.stack([np.arange(len(planted[0]))] * 2, axis=1)
    folder = tmp_path / "translator"
    interlingua.align(*planted, pairs=pairs).translator(force=True).save(folder)
    return folder


def table(rows: Rows) -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    names = [f"name {row}" for row in range(len(rows))]
    return pa.table({"key": names, "id": [f"a{row}" for row in range(len(rows))], "text": names, "vector": vectors})


def write(path: Path, rows: Rows) -> Path:
    """Write rows with ids and texts, where the format has them."""
    if path.suffix == ".parquet":
        pq.write_table(table(rows), path)
    elif path.suffix == ".arrow":
        with pa.ipc.new_file(str(path), table(rows).schema) as writer:
            writer.write_table(table(rows))
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        lines = "".join(json.dumps(row) + "\n" for row in table(rows).to_pylist())
        path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    elif path.suffix == ".npz":
        np.savez(path, vectors=rows, id=np.arange(100, 100 + len(rows)), text=table(rows)["text"].to_pylist())
    elif path.suffix == ".csv":
        columns = "".join(f",x{column}" for column in range(rows.shape[1]))
        lines = "".join(f"a{row},name {row},{','.join(map(str, values))}\n" for row, values in enumerate(rows))
        path.write_text(f"id,text{columns}\n{lines}")
    else:
        np.save(path, rows)
    return path


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.parquet", "a.translated.parquet"),
        ("a.jsonl", "a.translated.jsonl"),
        ("a.jsonl.gz", "a.translated.jsonl.gz"),
        ("a.arrow", "a.translated.parquet"),
        ("a.csv", "a.translated.parquet"),
        ("a.npz", "a.translated.parquet"),  # .npz holds no texts
        ("a.npy", "a.translated.npy"),
    ],
)
def test_translated_files_keep_ids_and_columns(
    name: str, written: str, planted: tuple[Rows, Rows], translator: Path, tmp_path: Path
) -> None:
    rows = planted[0][:40].astype(np.float32)
    made = translate(write(tmp_path / name, rows), translator, inverse=False, allow_foreign=False)
    assert made == {"name": written}
    out = open_vectors(tmp_path / written)
    np.testing.assert_allclose(out.vectors(), load(translator).translate(rows), atol=1e-5)
    if name != "a.npy":
        ids = out.ids()
        assert ids is not None
        assert ids.to_pylist() == ([*range(100, 140)] if name == "a.npz" else [f"a{row}" for row in range(40)])
        batch = next(out.batches(100))
        assert batch.payload is not None
        assert batch.payload.column("text").to_pylist() == [f"name {row}" for row in range(40)]


@pytest.mark.parametrize("name", ["a.parquet", "a.jsonl", "a.npz", "a.csv", "a.arrow", "a.npy"])
def test_stored_rows_have_the_vectors_ids_and_texts_of_the_file(
    name: str, planted: tuple[Rows, Rows], tmp_path: Path
) -> None:
    rows = planted[0][:40].astype(np.float32)
    path = write(tmp_path / name, rows)
    facts = read(path)
    assert (facts["rows"], facts["width"]) == rows.shape
    stored = StoredRows(path)
    np.testing.assert_allclose(stored.vectors, rows, rtol=1e-5)
    if name == "a.npy":
        assert stored.described(7) == {"row": 7, "id": "7", "text": None}
        assert stored.find("name 7") is None
        return
    assert facts["texts"] == "text"
    assert stored.described(7) == {"row": 7, "id": "107" if name == "a.npz" else "a7", "text": "name 7"}
    assert stored.find("NAME 3") == 3
    assert stored.find("107" if name == "a.npz" else "a7") == 7
    assert stored.find("nowhere") is None


def test_a_column_with_one_value_is_not_taken_for_texts(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((9, 4)).tolist()
    tenants, notes = ["acme"] * 9, [f"note {row}" for row in range(9)]
    for columns, found in (({"tenant": tenants}, None), ({"tenant": tenants, "remark": notes}, "remark")):
        pq.write_table(pa.table({"id": range(9), **columns, "vector": vectors}), tmp_path / "a.parquet")
        assert read(tmp_path / "a.parquet")["texts"] == found


@pytest.mark.parametrize("name", ["text", "remark"])
@pytest.mark.parametrize("kind", [pa.dictionary(pa.int32(), pa.string()), pa.large_string(), pa.string_view()])
def test_texts_of_every_arrow_type_are_shown(kind: pa.DataType, name: str, tmp_path: Path) -> None:
    def typed(texts: list[str]) -> pa.Array:
        plain = pa.array(texts, pa.string())
        return plain.dictionary_encode() if pa.types.is_dictionary(kind) else plain.cast(kind)

    vectors = np.random.default_rng(0).standard_normal((9, 4)).tolist()
    columns = {"tenant": typed(["acme"] * 9), name: typed([f"name {row}" for row in range(9)])}
    table = pa.table({**columns, "vector": vectors})
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as writer:
        writer.write_table(table)
    assert read(tmp_path / "a.arrow")["texts"] == name
    assert StoredRows(tmp_path / "a.arrow").described(7)["text"] == "name 7"


def test_labels_of_many_batches_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.serve.rows._BLOCK", 8)
    rows = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    path = write(tmp_path / "a.parquet", rows)
    read(path)
    stored = StoredRows(path)
    assert [stored.described(row)["id"] for row in range(50)] == [f"a{row}" for row in range(50)]
    assert stored.find("a49") == 49
    np.testing.assert_array_equal(stored.vectors, rows)


def test_vectors_that_do_not_fit_on_the_disk_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", np.ones((50, 4), np.float32))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(InputError, match=r"The disk is full: the vectors of a\.parquet need 800 bytes and 100 bytes"):
        read(path)
    assert [item.name for item in tmp_path.iterdir()] == ["a.parquet"]


def job(action: str, facts: dict[str, Any]) -> dict[str, Any]:
    async def work() -> dict[str, Any]:
        return await run_job(action, facts, anyio.CapacityLimiter(1))

    return anyio.run(work)


def test_a_job_returns_what_its_process_found_or_refused(planted: tuple[Rows, Rows], tmp_path: Path) -> None:
    assert job("read", {"path": str(write(tmp_path / "a.npy", planted[0]))})["rows"] == len(planted[0])
    (tmp_path / "b.npy").write_bytes(b"no array")
    with pytest.raises(RefusedRequestError, match=r"^b\.npy") as caught:
        job("read", {"path": str(tmp_path / "b.npy")})
    assert caught.value.status == 400


def test_remedies_name_what_a_reader_of_the_page_can_use(planted: tuple[Rows, Rows], tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", a=planted[0], b=planted[0])
    with pytest.raises(InputError, match=r"Choose one with --key of the command interlingua fit\."):
        job("read", {"path": str(tmp_path / "two.npz")})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (signal.SIGXCPU, "takes too long to read"),
        (signal.SIGKILL, "most likely because memory ran out"),
        (signal.SIGSEGV, "its reader ended with code -11"),
    ],
)
def test_a_process_that_ends_without_an_answer_is_explained(
    code: signal.Signals, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = [sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(code)})"]
    monkeypatch.setattr("interlingua.serve.jobs.command", lambda *_: killed)
    with pytest.raises(RefusedRequestError, match=message):
        job("read", {})


def test_a_job_that_is_not_wanted_any_more_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []

    def command(*given: str) -> list[str]:
        started.append(given)
        return ["false"]

    monkeypatch.setattr("interlingua.serve.jobs.command", command)

    async def check() -> None:
        raise InputError("A newer file has been sent.")

    async def work() -> None:
        await run_job("read", {}, anyio.CapacityLimiter(1), check)

    with pytest.raises(InputError, match="A newer file has been sent"):
        anyio.run(work)
    assert not started


def test_a_canceled_job_ends_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note = tmp_path / "pid"
    script = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    monkeypatch.setattr("interlingua.serve.jobs.command", lambda *_: [sys.executable, "-c", script])

    async def work() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(run_job, "read", {}, anyio.CapacityLimiter(1))
            while not (note.exists() and note.read_text()):
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()

    anyio.run(work)
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_a_child_ends_when_the_server_does(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "waiting.jsonl")  # reading it waits forever
    facts = json.dumps({"path": str(tmp_path / "waiting.jsonl")})
    command = [sys.executable, "-m", "interlingua.serve.child", "read", facts]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    time.sleep(0.2)
    assert child.stdin is not None
    child.stdin.close()  # as the system does when the server is killed
    assert child.wait(60) == 1


class Body:
    """A request whose body arrives in parts."""

    def __init__(self, *parts: bytes, length: int | None = None, pause: float = 0) -> None:
        self._parts, self._pause = parts, pause
        self.headers = {} if length is None else {"content-length": str(length)}

    async def stream(self) -> Any:
        for part in self._parts:
            await anyio.sleep(self._pause)
            yield part


def receive(uploads: Uploads, body: Body, path: Path) -> None:
    anyio.run(uploads.receive, cast("Request[Any]", body), path)


def test_a_body_is_written_as_it_is(tmp_path: Path) -> None:
    parts = [os.urandom(700_000) for _ in range(5)]
    receive(Uploads(10**7), Body(*parts), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"".join(parts)


def test_many_files_at_once_leave_the_turns_of_the_loop_short(tmp_path: Path) -> None:
    turn, taken = 0, Counter[int]()

    class Counting(Body):
        async def stream(self) -> Any:
            for number, part in enumerate(self._parts):
                taken[turn] += number > 0
                yield part

    async def work() -> None:
        nonlocal turn
        uploads = Uploads(10**6)
        async with anyio.create_task_group() as group:
            for name in range(40):
                body = cast("Request[Any]", Counting(*[b"a" * 100] * 20))
                group.start_soon(uploads.receive, body, tmp_path / str(name))
            while sum(taken.values()) < 40 * 19:
                turn += 1
                await anyio.lowlevel.checkpoint()

    anyio.run(work)
    assert {(tmp_path / str(name)).stat().st_size for name in range(40)} == {2_000}
    assert max(taken.values()) <= 8


@pytest.mark.parametrize("body", [Body(b"", length=101), Body(b"a" * 60, b"b" * 60)])
def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(body: Body, tmp_path: Path) -> None:
    with pytest.raises(RefusedRequestError, match="larger than 0 MiB") as caught:
        receive(Uploads(100), body, tmp_path / "a")
    assert caught.value.status == 413


def test_a_client_that_stops_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(RefusedRequestError, match="stopped arriving and was given up") as caught:
        receive(Uploads(10**7, patience=0.2), Body(*[b"a"] * 100, pause=0.05), tmp_path / "a")
    assert caught.value.status == 408


def test_a_full_disk_is_told_before_and_during_the_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
        with pytest.raises(RefusedRequestError, match=r"the file has 5\.00 kB and 1\.00 kB are free") as caught:
            receive(Uploads(10**7), Body(b"", length=5_000), tmp_path / "a")
        assert caught.value.status == 507

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("interlingua.serve.uploads.to_thread.run_sync", lambda *_, **__: full())
    with pytest.raises(RefusedRequestError, match="became full while the file arrived") as caught:
        receive(Uploads(10**7), Body(b"a"), tmp_path / "a")
    assert caught.value.status == 507


def test_more_uploads_than_allowed_are_refused(tmp_path: Path) -> None:
    uploads = Uploads(10**7, most=1)

    async def two() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(uploads.receive, cast("Request[Any]", Body(b"a", b"b", pause=0.3)), tmp_path / "a")
            await anyio.sleep(0.1)
            with pytest.raises(RefusedRequestError, match="1 files are being received; try again"):
                await uploads.receive(cast("Request[Any]", Body(b"a")), tmp_path / "b")

    anyio.run(two)
    receive(uploads, Body(b"c"), tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"c"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("\U0001f600" * 80 + ".npy", "_.npy"),
        ("ä" * 200 + ".parquet", "ä" * 56 + ".parquet"),
        ("\ud83d.npy", "_.npy"),
        ("C:\\data\\a.npy", "a.npy"),
        ("..", "vectors"),
        ("", "vectors"),
        ("--force.npy", "force.npy"),
    ],
)
def test_any_name_becomes_one_that_a_file_system_takes(name: str, safe: str, tmp_path: Path) -> None:
    assert safe_name(name) == safe
    (tmp_path / safe).touch()


def test_a_folder_is_removed_at_the_end_and_after_a_kill_by_the_next_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = (
        "import sys, time\nfrom interlingua.serve import session_folder\n"
        "with session_folder() as folder:\n    (folder / 'a').touch(); print(folder, flush=True); time.sleep(300)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        orphan = Path(server.stdout.readline().strip())
        with session_folder() as folder:
            assert orphan.exists()  # its server runs
            assert folder.is_dir()
        assert not folder.parent.exists()
        server.kill()
    assert (orphan / "a").exists()
    with session_folder():
        assert not orphan.parent.exists()


def test_orphans_of_others_and_young_folders_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    young, old = tmp_path / "interlingua-serve-young", tmp_path / "interlingua-serve-old"
    elsewhere = tmp_path / "elsewhere"
    for folder in (young, old, elsewhere):
        folder.mkdir()
    (elsewhere / "kept").touch()
    (tmp_path / "interlingua-serve-link").symlink_to(elsewhere)
    os.utime(old, (0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: -1)
        remove_orphans(tmp_path)
        assert old.exists()
    remove_orphans(tmp_path)
    assert young.exists()
    assert not old.exists()
    assert (elsewhere / "kept").exists()


def test_no_place_for_temporary_files_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(InputError, match="No temporary folder can be made in .*set TMPDIR"), session_folder():
        pass


def test_a_translation_writes_how_far_it_is(tmp_path: Path, translator: Path, planted: tuple[Rows, Rows]) -> None:
    assert last_rows(tmp_path / "none") is None
    shown = written_rows(tmp_path)
    shown.on_rows("checking", 0, 1_000)
    time.sleep(0.01)
    shown.on_rows("checking", 1_000, 1_000)
    told = last_rows(tmp_path)
    assert told is not None
    assert (told["phase"], told["done"], told["rows"], told["seconds_left"]) == ("checking", 1_000, 1_000, 0)
    (tmp_path / "given").mkdir()
    translate(write(tmp_path / "given" / "a.npy", planted[0]), translator, inverse=False, allow_foreign=False)
    told = last_rows(tmp_path / "given")
    assert told is not None
    assert (told["phase"], told["done"], told["rows"]) == ("translating", len(planted[0]), len(planted[0]))


def test_progress_has_share_and_time_left(tmp_path: Path) -> None:
    log = FitLog(tmp_path / "log.jsonl")
    log.follow(1)
    assert log.progress(1) == {"share": None, "seconds_left": None}

    def add(text: str) -> None:
        with (tmp_path / "log.jsonl").open("a") as stream:
            stream.write(text)

    add('{"event": "progress", "step": "fine"}\n{"event": "progr')  # the second line is half written
    log.follow(40)
    assert log.progress(40) == {"share": 0.4, "seconds_left": 60}
    assert log.progress(50) == {"share": 0.5, "seconds_left": 50}
    # Not past the next step before it has ended, however long it takes.
    assert log.progress(500)["share"] == 0.55
    # The time left of a step is not shown beside that of the fit.
    add('ess", "step": "polish", "seconds_left": 12.0}\n')
    log.follow(500)
    assert log.progress(500) == {"share": 0.55, "seconds_left": 409}
    assert log.steps() == ["refining the map", "fitting the non-orthogonal map"]
    # A count replaces itself, and the newest is the last even if a map was refined before.
    for at in (0, 1):
        add(json.dumps({"event": "progress", "step": "fine"}) + "\n")
        add(json.dumps({"event": "progress", "step": "nonorthogonal stage", "at": at, "of": 6}) + "\n")
        add(json.dumps({"event": "progress", "step": "nonorthogonal stage", "at": at + 1, "of": 6}) + "\n")
    log.follow(600)
    counted = ["refining the map", "fitting the non-orthogonal map, {} of 6 steps done"]
    assert [words.format(*done) for done in ((1,), (2,)) for words in counted] == log.steps()[2:]


def test_progress_of_training_follows_its_steps(tmp_path: Path) -> None:
    event = {"event": "progress", "step": "train", "at": 50, "of": 100, "loss": 1.0}
    (tmp_path / "log.jsonl").write_text(json.dumps(event) + "\n")
    log = FitLog(tmp_path / "log.jsonl")
    log.follow(95)
    assert log.progress(95) == {"share": 0.475, "seconds_left": 105}


def test_words_find_the_row_to_search_for(session: Session, planted: tuple[Rows, Rows], translator: Path) -> None:
    for side, rows in zip(("source", "target"), planted, strict=True):
        path = write(session.upload_path(side, "a.parquet"), rows.astype(np.float32))
        session.accept(side, path, read(path))
    shutil.copytree(translator, session.folder / "fit" / "translator")
    (session.folder / "fit" / "out.json").write_text('{"status": "aligned", "score": 1, "reasons": [], "evidence": []}')
    session._process = subprocess.Popen([sys.executable, "-c", ""])
    session._process.wait()
    found = session.search("source", 0, 3, "NAME 123")
    assert found["query"] == {"row": 123, "id": "a123", "text": "name 123"}
    assert found["target"][0] == {"row": 123, "id": "a123", "text": "name 123", "cosine": found["target"][0]["cosine"]}
    with pytest.raises(InputError, match="No row of source has the id 'zebra' or a text with it"):
        session.search("source", 0, 3, "zebra")
