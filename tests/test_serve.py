from __future__ import annotations

import gc
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from browser import Tab, chromium
from command_line import N, Rows, Run
from interlingua._align import align
from interlingua.cli.serve import _listening
from interlingua.core.alignment import Evidence
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError, MissingExtraError
from interlingua.core.neighbors import nearest
from interlingua.core.translator import Translator, load
from interlingua.core.wording import VERDICT_MEANINGS
from interlingua.io import EXTENSIONS, READ_ONLY
from interlingua.serve import Session, create_app
from interlingua.serve.child import read

pytest.importorskip("starlette")
pytest.importorskip("httpx")
from starlette.testclient import TestClient

PORT = 8765
LIMIT = 200_000


@pytest.fixture
def page(session: Session) -> TestClient:
    return TestClient(create_app(session, port=PORT, max_bytes=LIMIT), base_url=f"http://127.0.0.1:{PORT}")


def npy(rows: Rows) -> bytes:
    stream = io.BytesIO()
    np.save(stream, rows)
    return stream.getvalue()


def give(page: TestClient, planted: tuple[Rows, Rows]) -> None:
    for side, rows in zip(("source", "target"), planted, strict=True):
        answer = page.put(f"/files/{side}", params={"name": f"{side}.npy"}, content=npy(rows))
        facts = {"name": f"{side}.npy", "rows": len(rows), "width": rows.shape[1], "ids": None, "texts": None}
        assert answer.json() == facts


def wait(page: TestClient) -> dict[str, Any]:
    deadline = time.monotonic() + 300
    while (state := page.get("/state").json())["phase"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return dict(state)


@lru_cache
def translator_of(source: bytes, target: bytes) -> Translator:
    """Fit two files whose rows are pairs; most tests have the same two."""
    sides = [np.load(io.BytesIO(file)) for file in (source, target)]
    return align(*sides, pairs=np.stack([np.arange(len(sides[0]))] * 2, axis=1)).translator(force=True)


def ended(session: Session, status: str, **verdict: Any) -> None:
    """Pretend that a fit of the two files ended so: a known translator, and the verdict that is asked for."""
    source, target = ((session.folder / side / f"{side}.npy").read_bytes() for side in ("source", "target"))
    fit = session.folder / "fit"
    fit.mkdir()
    translator_of(source, target).save(fit / "translator")
    (fit / "report.html").write_text("<p>report</p>")
    (fit / "out.json").write_text(
        json.dumps({"status": status, "score": 0.5, "reasons": [], "evidence": [], **verdict})
    )
    session._process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    session._process.wait()


def test_the_page_can_ask_how_far_a_translation_is(
    session: Session, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    from anyio import to_thread

    from interlingua.serve import jobs
    from interlingua.serve.progress import written_rows

    told: list[dict[str, Any]] = []
    job = "0123456789abcdef" * 2
    whole = jobs.run_job

    async def run_job(action: str, facts: Any, *more: Any) -> dict[str, Any]:
        if action == "translate":
            written_rows(Path(facts["path"]).parent).on_rows("translating", 20, 50)
            asked = (job, "../..", "f" * 32, "")
            told.extend([await to_thread.run_sync(look, name) for name in asked])
        return await whole(action, facts, *more)

    monkeypatch.setattr(jobs, "run_job", run_job)
    app = create_app(session, port=PORT, max_bytes=LIMIT)
    page, other = (TestClient(app, base_url=f"http://127.0.0.1:{PORT}") for _ in range(2))

    def look(name: str) -> dict[str, Any]:
        return dict(other.get("/translate/progress", params={"job": name}).json())

    give(page, planted)
    ended(session, "aligned")
    assert (
        page.post("/translate", params={"name": "a.npy", "job": job}, content=npy(planted[0][:50])).status_code == 200
    )
    assert (told[0]["phase"], told[0]["done"], told[0]["rows"]) == ("translating", 20, 50)
    assert told[1:] == [{"phase": "waiting"}] * 3
    assert look(job) == {"phase": "waiting"}


def test_two_files_become_a_verdict_with_evidence_steps_and_a_report(
    page: TestClient, planted: tuple[Rows, Rows]
) -> None:
    assert page.get("/state").json() == {"files": {}, "phase": "waiting"}
    # Whether few rows suffice for an alignment is not asked.
    give(page, (planted[0][:150], planted[1][:150]))
    assert page.post("/fit", params={"seed": 3}).status_code == 202
    state = wait(page)
    assert state["phase"] == "done", state
    assert state["verdict"]["status"] in ("aligned", "doubtful", "failed")
    assert state["verdict"]["seed"] == 3
    assert state["verdict"]["meaning"].startswith(VERDICT_MEANINGS[state["verdict"]["status"]])
    assert state["verdict"]["evidence"] or state["verdict"]["reasons"]
    assert state["steps"]
    report = page.get("/report")
    assert "interlingua report" in report.text
    assert "style-src 'unsafe-inline'" in report.headers["content-security-policy"]


def test_the_translator_translates_and_searches(page: TestClient, session: Session, planted: tuple[Rows, Rows]) -> None:
    give(page, planted)
    ended(session, "aligned")
    with zipfile.ZipFile(io.BytesIO(page.get("/translator.zip").content)) as archive:
        archive.extractall(session.folder / "unpacked")
    translator = load(session.folder / "unpacked")
    there = page.post("/translate", params={"name": "some.npy"}, content=npy(planted[0][:50]))
    np.testing.assert_allclose(np.load(io.BytesIO(there.content)), translator.translate(planted[0][:50]), atol=1e-6)
    back = page.post("/translate", params={"name": "some.npy", "direction": "backward"}, content=npy(planted[1][:7]))
    assert np.load(io.BytesIO(back.content)).shape == (7, planted[0].shape[1])
    ids = pa.array([f"row {i}" for i in range(9)])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(planted[0][:9].ravel()), planted[0].shape[1])
    pq.write_table(pa.table({"id": ids, "vector": vectors}), session.folder / "rows.parquet")
    given = (session.folder / "rows.parquet").read_bytes()
    named = page.post("/translate", params={"name": "rows.parquet"}, content=given)
    assert 'filename="rows.translated.parquet"' in named.headers["content-disposition"]
    assert pq.read_table(io.BytesIO(named.content))["id"].to_pylist() == ids.to_pylist()
    found = page.get("/search", params={"side": "source", "row": 5, "k": 3}).json()
    assert found["query"] == {"row": 5, "id": "5", "text": None}
    assert found["warning"] is None
    lost = page.get("/search", params={"side": "source", "row": 0, "words": "beatles"})
    assert "source.npy has no texts and no ids, so 'beatles' cannot be found in it" in lost.json()["error"]
    assert found["target"][0]["row"] == 5  # the planted pair
    assert found["target"][0]["cosine"] > 0.99
    assert 5 not in [hit["row"] for hit in found["source"]]
    assert len(found["source"]) == len(found["target"]) == 3


def test_the_translator_of_a_failed_fit_needs_force(
    page: TestClient, session: Session, planted: tuple[Rows, Rows]
) -> None:
    give(page, planted)
    ended(session, "failed")
    for answer in (page.get("/translator.zip"), page.post("/translate", content=npy(planted[0]))):
        assert answer.status_code == 400
        assert "not to be trusted" in answer.json()["error"]
        assert 'choose the box "Use the translator of a failed fit nevertheless" (force=1)' in answer.json()["error"]
    assert page.get("/translator.zip", params={"force": 1}).status_code == 200


def test_a_failed_measurement_is_no_reason_as_well(
    page: TestClient, session: Session, planted: tuple[Rows, Rows]
) -> None:
    measured = Evidence("round_trip", 0.1, 0.0, 0.3, False, "Mean cosine of a row and its round trip.")
    give(page, planted)
    ended(session, "failed", reasons=["Few rows.", str(measured)], evidence=[asdict(measured)])
    verdict = page.get("/state").json()["verdict"]
    assert verdict["reasons"] == ["Few rows."]
    assert [item["name"] for item in verdict["evidence"]] == ["round_trip"]


def test_files_of_few_rows_are_noted_before_the_fit(page: TestClient, planted: tuple[Rows, Rows]) -> None:
    give(page, planted)
    assert "The smaller side has about 600 different vectors." in page.get("/state").json()["note"]
    assert "fail" in page.get("/state").json()["note"]


def test_what_a_fit_would_refuse_is_refused_before_it_starts(page: TestClient, planted: tuple[Rows, Rows]) -> None:
    give(page, (planted[0], planted[1][:40]))
    refused = page.post("/fit", params={"seed": 0})
    assert (refused.status_code, refused.json()["error"]) == (
        400, "The target has 40 rows; without pairs at least 100 are needed, better thousands.",
    )  # fmt: skip
    give(page, (planted[0], planted[1][:, :4]))
    refused = page.post("/fit", params={"seed": 0})
    assert (refused.status_code, refused.json()["error"]) == (
        400, "The target has 4 columns; without pairs at least 8 are needed.",
    )  # fmt: skip
    give(page, (planted[0], planted[0][::-1]))
    refused = page.post("/fit", params={"seed": 0})
    assert refused.status_code == 400
    assert "Both files hold the same vectors: all of the rows of one are in the other" in refused.json()["error"]
    assert page.get("/state").json()["phase"] == "waiting"


def test_a_failed_fit_names_its_causes_and_a_search_warns(
    page: TestClient, session: Session, planted: tuple[Rows, Rows]
) -> None:
    cause = {"name": "few rows", "finding": "There are 600 rows.", "advice": "Give more.", "weight": 0.5}
    give(page, planted)
    ended(session, "failed", diagnoses=[cause])
    assert page.get("/state").json()["verdict"]["reasons"] == ["few rows: There are 600 rows. Give more."]
    found = page.get("/search", params={"side": "source", "row": 5, "k": 3}).json()
    assert found["warning"] == "The fit failed, so the hits in the space of the other model are meaningless."
    with pytest.raises(
        InputError, match=r"no texts and no ids, so 'a word' cannot be found in it\. Search for the numb"
    ):
        session.search("source", 0, 3, "a word")


def test_a_running_fit_can_be_stopped_and_keeps_others_out(page: TestClient, planted: tuple[Rows, Rows]) -> None:
    give(page, planted)
    page.post("/fit")
    for answer in (page.post("/fit"), page.put("/files/source", params={"name": "a.npy"}, content=npy(planted[0]))):
        assert answer.status_code == 400
        assert "A fit is running" in answer.json()["error"]
    assert page.post("/cancel").json()["phase"] == "stopped"
    assert page.get("/report").json()["error"].startswith("No fit has ended yet")
    page.post("/fit")
    assert page.get("/state").json()["phase"] == "running"


def test_a_file_that_arrives_while_a_fit_begins_does_not_orphan_it(
    page: TestClient, session: Session, planted: tuple[Rows, Rows]
) -> None:
    give(page, planted)
    path = session.upload_path("source", "late.npy")
    path.write_bytes(npy(planted[0]))
    session.start(0)
    with pytest.raises(InputError, match="A fit is running; wait for it or cancel it first"):
        session.accept("source", path, read(path))
    assert session.running
    assert session.state()["files"]["source"]["name"] == "source.npy"


def test_a_file_that_arrives_while_the_page_asks_does_not_break_the_answer(
    page: TestClient, session: Session, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    page.put("/files/source", params={"name": "source.npy"}, content=npy(planted[0]))
    path = session.upload_path("target", "target.npy")
    path.write_bytes(npy(planted[1]))
    taking = threading.Thread(target=session.accept, args=("target", path, read(path)))
    plain = session._described

    def described(side: str) -> dict[str, Any]:
        if not taking.ident:
            taking.start()
            taking.join(1)
        return plain(side)

    monkeypatch.setattr(session, "_described", described)
    assert list(session.state()["files"]) == ["source"]
    taking.join()
    assert list(session.state()["files"]) == ["source", "target"]


def test_a_search_that_began_before_a_new_file_keeps_nothing_for_it(
    page: TestClient, session: Session, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(page, planted)
    ended(session, "aligned")
    path = session.upload_path("source", "source.npy")
    path.write_bytes(npy(planted[0][::-1].copy()))
    plain = nearest

    def replaced_meanwhile(*arguments: Any, **options: Any) -> Any:
        if path.exists():
            session.accept("source", path, read(path))
        return plain(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("interlingua.serve.session.nearest", replaced_meanwhile)
        session.search("source", 0, 3)
    ended(session, "aligned")
    # The new file is the old one in reverse, and the pairs of this fit are of equal rows.
    hits = session.search("source", 0, 1)
    rows = unit_rows(planted[0][::-1])
    best = int(np.argsort(-(rows @ rows[0]))[1])
    assert hits["source"][0]["row"] == best
    assert session._uploads["source"].stored.vectors[0] == pytest.approx(planted[0][-1])


def test_the_state_waits_in_a_thread_while_files_change(
    page: TestClient, session: Session, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(page, planted)
    asked: list[int] = []
    plain = session.state

    def state() -> dict[str, Any]:
        asked.append(threading.get_ident())
        return plain()

    monkeypatch.setattr(session, "state", state)
    assert set(page.get("/state").json()["files"]) == {"source", "target"}
    assert not asked
    changing, changed = threading.Event(), threading.Event()

    def change() -> None:
        with session._lock:
            changing.set()
            changed.wait(10)

    taking = threading.Thread(target=change)
    taking.start()
    assert changing.wait(10)
    assert session.state_if_free() is None
    threading.Timer(0.2, changed.set).start()
    assert set(page.get("/state").json()["files"]) == {"source", "target"}
    assert len(asked) == 1
    taking.join()


def test_no_request_waits_for_modules_that_an_upload_loads(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    # In a process of its own: here the modules are loaded already. TestClient would load some of them too.
    code = """
import asyncio, sys
from pathlib import Path
import uvicorn
from interlingua.cli import main

async def upload(app, port):
    never, sent = asyncio.Event(), []
    left = [{"type": "http.request", "body": Path(path).read_bytes(), "more_body": False}]

    async def receive():
        if not left:
            await never.wait()
        return left.pop(0)

    async def send(message):
        sent.append(message)

    asked = {"method": "PUT", "path": "/files/source", "query_string": b"name=a.npy", "root_path": ""}
    headers = [(b"host", f"127.0.0.1:{port}".encode())]
    before = set(sys.modules)
    await app({"type": "http", "headers": headers, **asked}, receive, send)
    print(sent[0]["status"], *sorted(set(sys.modules) - before))

uvicorn.Server.run = lambda self, sockets: asyncio.run(upload(self.config.app, self.config.port))
path = sys.argv.pop()
main()
"""
    path = tmp_path / "a.npy"
    np.save(path, np.random.default_rng(0).standard_normal((100, 8), np.float32))
    command = ["serve", "--no-browser", "--port", str(free_port()), str(path)]
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["200"]


def test_the_state_reads_no_file(session: Session, planted: tuple[Rows, Rows]) -> None:
    path = session.upload_path("source", "a.npy")
    path.write_bytes(npy(planted[0]))
    session.accept("source", path, read(path))
    (session.folder / "source" / "a.npy").unlink()
    described = session.state()["files"]["source"]
    assert (described["name"], described["rows"], described["width"]) == ("a.npy", N, planted[0].shape[1])


@pytest.mark.parametrize(
    ("name", "safe"),
    [("a\0b.npy", "a_b.npy"), ("../../x.npy", "x.npy"), (".hidden.npy", "hidden.npy"), ("my rows.npy", "my_rows.npy")],
)
def test_names_are_made_safe_by_one_rule(
    page: TestClient, session: Session, planted: tuple[Rows, Rows], name: str, safe: str
) -> None:
    stored = page.put("/files/source", params={"name": name}, content=npy(planted[0]))
    assert stored.json()["name"] == safe
    give(page, planted)
    ended(session, "aligned")
    answer = page.post("/translate", params={"name": name}, content=npy(planted[0][:5]))
    assert answer.status_code == 200, answer.text
    assert f'filename="{safe.replace(".npy", ".translated.npy")}"' in answer.headers["content-disposition"]


def test_two_files_for_one_side_do_not_mix(session: Session, planted: tuple[Rows, Rows]) -> None:
    first, second = session.upload_path("source", "a.npy"), session.upload_path("source", "a.npy")
    first.write_bytes(npy(planted[0]))
    second.write_bytes(npy(planted[1]))
    # The older one need not be read any more.
    with pytest.raises(InputError, match=r"A newer file for source has been sent, and a\.npy was left out"):
        session.check_newest("source", first)
    session.check_newest("source", second)
    assert session.accept("source", second, read(second))["width"] == planted[1].shape[1]
    # The older upload ends later and does not replace the newer one.
    with pytest.raises(InputError, match=r"A newer file for source has been sent, and a\.npy was left out"):
        session.accept("source", first, read(first))
    assert session.state()["files"]["source"]["width"] == planted[1].shape[1]


def test_what_the_fit_refuses_is_shown(page: TestClient, planted: tuple[Rows, Rows]) -> None:
    # Copies are seen only by the fit, which reads all rows.
    give(page, (np.tile(planted[0][:5], (30, 1)), np.tile(planted[1][:5], (30, 1))))
    page.post("/fit")
    state = wait(page)
    assert state["phase"] == "refused"
    assert "rows" in state["error"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"no array", r"a\.npy"),
        ("a.exe", b"MZ", r"a\.exe: unknown extension; the supported extensions are"),
        ("a.npy", b"0" * (LIMIT + 1), "larger than 0 MiB; start `interlingua serve` with a larger --max-mb"),
        ("../../etc/passwd", b"x", "passwd"),
    ],
)
def test_files_that_cannot_be_used_leave_nothing(
    page: TestClient, session: Session, name: str, content: bytes, message: str
) -> None:
    answer = page.put("/files/source", params={"name": name}, content=content)
    assert answer.status_code == (413 if len(content) > LIMIT else 400)
    assert re.search(message, answer.json()["error"])
    assert str(session.folder) not in answer.json()["error"]
    assert not [path for path in session.folder.rglob("*") if path.is_file()]


def test_a_vector_that_is_no_number_is_refused_on_arrival(page: TestClient, planted: tuple[Rows, Rows]) -> None:
    broken = planted[0].copy()
    broken[7, 3] = np.nan
    answer = page.put("/files/source", params={"name": "a.npy"}, content=npy(broken))
    assert "7" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("PUT", "/files/middle", "There is no side 'middle'"),
        ("POST", "/fit", "There is no source and no target yet"),
        ("POST", "/fit?seed=x", "seed is 'x'; a whole number"),
        ("POST", "/translate?direction=up", "There is no direction 'up'"),
        ("GET", "/search?side=source", "No fit has ended yet"),
    ],
)
def test_requests_that_make_no_sense_are_refused(page: TestClient, method: str, path: str, message: str) -> None:
    answer = page.request(method, path)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_rows_and_sides_outside_the_files_are_refused(
    page: TestClient, session: Session, planted: tuple[Rows, Rows]
) -> None:
    give(page, planted)
    ended(session, "aligned")
    assert "0 to 599; 600 is not" in page.get("/search?side=target&row=600").json()["error"]
    assert "There is no side" in page.get("/search?side=up").json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1:1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_are_kept_out(page: TestClient, session: Session, headers: dict[str, str]) -> None:
    for method, path in (("PUT", "/files/source?name=a.npy"), ("POST", "/fit"), ("GET", "/state")):
        answer = page.request(method, path, headers=headers)
        assert answer.status_code == 403, (method, path)
    assert not list(session.folder.iterdir())


def test_the_page_offers_every_format_that_can_be_read(page: TestClient) -> None:
    (accepted, other) = re.findall(r'accept="([^"]*)"', page.get("/").text)
    assert accepted == other
    # Of two suffixes, as in .csv.gz, a browser compares the last.
    assert {f".{name.rpartition('.')[2]}" for name in (*EXTENSIONS, *READ_ONLY)} == set(accepted.split(","))


def test_the_page_runs_its_own_script_alone(page: TestClient) -> None:
    first, second = page.get("/"), page.get("/")
    policy = first.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert policy != second.headers["content-security-policy"]
    assert first.headers["x-content-type-options"] == "nosniff"
    # The namespace of SVG is a name and not an address that a browser opens.
    text = first.text.replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in text
    assert "https://" not in text


def test_without_the_extra_it_says_which(session: Session, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    ran = run("serve", "--no-browser")
    assert ran.code == 2
    assert "pip install 'interlingua[serve]'" in ran.err.replace("\n", " ")
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(MissingExtraError, match=r"interlingua\[serve\]"):
        create_app(session, port=PORT, max_bytes=LIMIT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_server_leaves_no_files(tmp_path: Path, number: signal.Signals) -> None:
    pytest.importorskip("uvicorn")
    command = [sys.executable, "-m", "interlingua", "serve", "--no-browser", "--port", str(free_port())]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "until Ctrl-C" in line
        port = int(re.findall(r":(\d+) until", line)[0])
        deadline = time.monotonic() + 30
        while not listening(port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert list(tmp_path.glob("interlingua-*"))
        process.send_signal(number)
        process.communicate(timeout=30)
    assert not list(tmp_path.glob("interlingua-*"))


def test_a_second_interrupt_leaves_no_traceback() -> None:
    pytest.importorskip("uvicorn")
    port = free_port()
    command = [sys.executable, "-m", "interlingua", "serve", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "until Ctrl-C" in process.stderr.readline()
        # The port is open before the server runs; an answer comes after that.
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(10)
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_a_signal_before_the_server_listens_is_not_lost(
    number: signal.Signals, code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr("typer.launch", lambda _: signal.raise_signal(number))
    try:
        assert run("serve", "--port", free_port()).code == code
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)


def test_no_request_waits_for_the_collection_of_what_was_loaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    uvicorn = pytest.importorskip("uvicorn")
    frozen: list[int] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: frozen.append(gc.get_freeze_count()))
    assert run("serve", "--no-browser", "--port", free_port()).code == 0
    assert frozen[0] > 10_000
    assert gc.get_freeze_count() == 0


def test_a_port_that_is_taken_is_refused_before_a_browser_opens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvicorn")
    opened: list[str] = []
    monkeypatch.setattr("typer.launch", opened.append)
    # The command answers to this signal for as long as the process lives.
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run("serve", "--port", port)
    assert ran.code == 2
    assert re.search(rf"Port {port} cannot be opened \(.*in use\); choose another with --port", ran.err)
    assert not opened


def test_where_ports_can_be_shared_the_port_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("uvicorn")
    # Another option of sockets plays the part of the one that only Windows has.
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with _listening(0) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def served(session: Session) -> Iterator[str]:
    """A real server on a free port."""
    uvicorn = pytest.importorskip("uvicorn")
    port = free_port()
    app = create_app(session, port=port, max_bytes=100_000_000)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


def until(tab: Tab, expression: str) -> None:
    deadline = time.monotonic() + 300
    while not tab.ask(expression):
        assert time.monotonic() < deadline, tab.ask("document.body.innerText")
        time.sleep(0.2)


def test_a_file_of_many_megabytes_can_be_uploaded(served: str, rng: np.random.Generator, tmp_path: Path) -> None:
    np.save(tmp_path / "large.npy", rng.standard_normal((12_000, 512), np.float32))
    with chromium() as tab:
        tab.visit(served)
        tab.choose("#source", tmp_path / "large.npy")
        until(tab, "document.getElementById('source-state').textContent === '12,000 rows, width 512'")
        assert tab.ask("document.getElementById('error').hidden")


def test_a_file_that_is_refused_leaves_an_empty_field(served: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.npy"
    bad.write_bytes(b"no vectors")
    name, state, chosen = (f"document.getElementById('source{part}')" for part in ("-name", "-state", ""))
    with chromium() as tab:
        tab.visit(served)
        before = [tab.ask(f"{part}.textContent") for part in (name, state)]
        tab.choose("#source", bad)
        until(tab, "!document.getElementById('error').hidden")
        assert "bad.npy" in tab.ask("document.getElementById('error').textContent")
        assert [tab.ask(f"{part}.textContent") for part in (name, state)] == before
        # The field is clear: a browser reports no change if the same file is chosen again.
        assert tab.ask(f"{chosen}.files.length") == 0
        np.save(bad, np.eye(600, 24, dtype=np.float32) + 1)
        tab.choose("#source", bad)
        until(tab, f"{state}.textContent === '600 rows, width 24'")


def test_all_steps_work_in_a_browser(served: str, session: Session, planted: tuple[Rows, Rows], tmp_path: Path) -> None:
    for side, rows in zip(("source", "target"), planted, strict=True):
        np.save(tmp_path / f"{side}.npy", rows)
    with chromium() as tab:
        tab.visit(served)
        assert tab.ask("document.getElementById('go').disabled")
        for side in ("source", "target"):
            tab.choose(f"#{side}", tmp_path / f"{side}.npy")
        until(tab, "!document.getElementById('go').disabled")
        assert "600 rows, width 24" in tab.ask("document.getElementById('source-state').textContent")
        tab.ask("document.getElementById('go').click()")
        until(tab, "!document.getElementById('cancel').hidden")
        until(tab, "!document.getElementById('results-of-fit').hidden")
        assert tab.ask("document.getElementById('status').textContent") in ("Aligned", "Doubtful", "Failed")
        tab.ask("document.querySelector('#search button').click()")
        until(tab, "document.querySelectorAll('#results tbody tr').length === 20")
        assert tab.ask("document.getElementById('error').hidden")
        for width in (1200, 390):
            tab.resize(width)
            assert tab.ask("document.documentElement.scrollWidth") <= width
        # Good looks good: the bar of a measurement reaches the line in its middle exactly where it has passed.
        assert tab.ask("document.querySelectorAll('#evidence .bar').length") == len(
            session.state()["verdict"]["evidence"]
        )
        reached = "[...document.querySelectorAll('#evidence .bar .fill')].map(e => e.getAttribute('width') >= 50)"
        assert tab.ask(reached) == [item["passed"] for item in session.state()["verdict"]["evidence"]]
        assert tab.ask("document.querySelector('#evidence').closest('table').caption.offsetHeight") > 10
        # On a phone the caption has the width of the page, and what stands in a cell is named.
        wide = "getBoundingClientRect().width"
        caption = f"document.querySelector('caption').{wide} / document.querySelector('#evidence').{wide}"
        assert tab.ask(caption) > 0.9
        labels = "[...document.querySelectorAll('#results td')].every(e => e.dataset.label)"
        assert tab.ask(labels)
        # Every control, form and table of hits has a name that a screen reader can say.
        titled = "document.getElementById(e.getAttribute('aria-labelledby'))?.textContent || e.ariaLabel"
        assert tab.ask(f"[...document.querySelectorAll('form, #results table')].every(e => {titled})")
        named = "e.labels?.length || e.textContent.trim() || e.ariaLabel"
        assert tab.ask(f"[...document.querySelectorAll('input,select,button')].every(e => {named})")
        assert not tab.happened("Runtime.exceptionThrown")
