"""Long work tells how far it is: on a terminal, in a pipe, in the log and to functions."""

from __future__ import annotations

import functools
import json
import os
import pty
import re
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import interlingua as il
from command_line import N, Rows, Run
from interlingua.core import progress
from interlingua.core.progress import ShownProgress, Timed, show_progress
from interlingua.encoders import command_encoder, embed_texts

EVERY = 0.01
Events = list[dict[str, Any]]
# A fit whose steps count, and whose result does not.
SHORT = ("--set", "rounds=0", "--allow-failed")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line every hundredth of a second, so that work of a second stands for work of minutes."""
    monkeypatch.setattr(progress, "LINE_SECONDS", EVERY)


@pytest.fixture
def public(folder: Path, planted: tuple[Rows, Rows]) -> Path:
    """Texts and vectors of an audit."""
    words = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
    tops = zip(planted[1].argmax(axis=1), planted[1].argmin(axis=1), strict=True)
    # Words in a few of the texts each: what is in many of them reveals nothing.
    texts = (
        f"{words[a % 8]}{'st'[a // 8]}{'kmnp'[b // 4]} {words[b % 8]}{'vw'[b // 8]}{'kmnp'[a // 4]}" for a, b in tops
    )
    lines = [json.dumps({"text": text}) for text in texts]
    (folder / "public.jsonl").write_text("\n".join(lines) + "\n")
    rows = (json.dumps({"text": f"text {i} of {i * i}", "vector": [1, i]}) for i in range(300))
    (folder / "texts.jsonl").write_text("\n".join(rows))
    (folder / "texts.txt").write_text("".join(f"text {i} of {i * i}\n" for i in range(300)))
    return folder


def commands(place: Path) -> dict[str, tuple[Sequence[object], Sequence[str]]]:
    """Return the commands that can take minutes, and the tasks of which each has to tell."""
    program = "import sys,time\nfor l in sys.stdin:\n print(len(l),len(l)%3,len(l)%5,1,flush=True)\n"
    embed = "command:" + shlex.join([sys.executable, "-c", program])
    other = "command:" + shlex.join([sys.executable, "-c", program.replace("1,flush", "len(l)%7,flush")])
    sides = place / "source.npy", place / "target.npy"
    audit = "audit", sides[0], "--corpus", place / "public.jsonl", "--corpus-vectors", sides[1], "--documents", "200"
    return {
        "fit": (
            ("fit", *sides, "--pairs", place / "pairs.npy", "--method", "ridge", "--out", place / "t"),
            ["Aligning 600 x 24 with 600 x 16"],
        ),
        "embed": (
            ("fit", "--source-encoder", embed, "--target-encoder", other, "--texts", place / "texts.txt")
            + ("--out", place / "t", "--allow-failed"),
            ["Fitting on 300 texts"],
        ),
        "embed again": (
            ("embed", place / "texts.jsonl", place / "o.jsonl", "--encoder", embed, "--journal", place / "j"),
            ["Loading the encoder", "Embedding"],
        ),
        "translate": (
            ("translate", place / "translator", sides[0], "--out", place / "o.npy"),
            ["Translating source.npy"],
        ),
        "migrate": (
            ("migrate", place / "translator", sides[0], place / "o.npy", "--journal", place / "j", "--page-rows", "20"),
            ["Migrating"],
        ),
        "audit": (
            (*audit, "--authorized-by", "The Owner", "--out", place / "audit.html"),
            ["Fit 1 of 2, without pairs", "Fitting the keyword decoder", "Recovering words, labels and neighbors"],
        ),
        "plan": (("plan", sides[0]), ["Reading"]),
        "identify": (("identify", sides[0]), ["Comparing with known models"]),
        "evaluate": (("evaluate", place / "translator", *sides), ["Evaluating"]),
        "calibrate": (
            ("calibrate", place / "translator", *sides, "--out", place / "c"),
            ["Reading", "Measuring scores"],
        ),
        "search": (("search", place / "translator", sides[0], "--query", sides[1], "-k", "1"), ["Searching"]),
        "export": (
            ("export", place / "translator", "--to", "safetensors", "--out", place / "s.safetensors"),
            ["Writing"],
        ),
    }


LOGGED = (
    "fit",
    "embed",
    "embed again",
    "translate",
    "migrate",
    "audit",
    "plan",
    "identify",
    "evaluate",
    "calibrate",
    "search",
)
NAMES = (*LOGGED, "export")


@pytest.fixture
def slowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task takes a few intervals at least, even where the work on planted vectors takes none."""
    whole = progress._beating

    @functools.wraps(whole)
    def beating(beat: Callable[[], Any]) -> Any:
        manager = whole(beat)

        class Slow:
            def __enter__(self) -> None:
                manager.__enter__()

            def __exit__(self, *error: Any) -> None:
                time.sleep(5 * EVERY)
                manager.__exit__(*error)

        return Slow()

    monkeypatch.setattr(progress, "_beating", beating)


@pytest.mark.usefixtures("often", "slowed")
@pytest.mark.parametrize("name", NAMES)
def test_no_command_is_silent_in_a_pipe(
    run: Run, saved: Path, public: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert saved == public / "translator"
    monkeypatch.setattr(il, "align", functools.partial(il.align, pairs=np.stack([np.arange(N)] * 2, axis=1)))
    words, tasks = commands(public)[name]
    log = public / "log.jsonl"
    ran = run(*words, *(("--log", log) if name in LOGGED else ()))
    assert ran.code == 0, ran.err
    for task in tasks:
        assert re.search(rf"^{re.escape(task)}: \d+ s", ran.err, re.MULTILINE), ran.err
    assert "\x1b" not in ran.err
    if name in LOGGED:
        events: Events = [json.loads(line) for line in log.read_text().splitlines()]
        told = [event for event in events if event["event"] == "working"]
        assert set(tasks) <= {event["task"] for event in told}
        assert all(event["seconds"] >= 0 for event in told)
        assert all(event.get("state") != "" for event in told)


@pytest.mark.usefixtures("often", "slowed")
@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("translate", "checking"),
        ("translate", "translating"),
        ("migrate", "surveying"),
        ("migrate", "checking"),
        ("evaluate", "checking"),
        ("fit", "checking"),
        ("evaluate", "evaluating"),
        ("search", "searching"),
        ("plan", "reading"),
        ("identify", "reading"),
    ],
)
def test_the_log_counts_rows(run: Run, saved: Path, public: Path, name: str, phase: str) -> None:
    assert run(*commands(public)[name][0], "--log", public / "log.jsonl").code == 0
    events: Events = [json.loads(line) for line in (public / "log.jsonl").read_text().splitlines()]
    rows = [event for event in events if event["event"] == "rows" and event["phase"] == phase]
    assert rows[-1]["done"] == rows[-1]["rows"] == N
    assert {"seconds", "seconds_left"} <= rows[-1].keys()
    # Thirty pages in less than a second are not thirty lines.
    assert len(rows) < 20


@pytest.mark.usefixtures("often", "slowed", "short_fits")
def test_a_fit_of_a_sample_counts_the_rows_that_it_reads(run: Run, saved: Path, public: Path) -> None:
    words = ("fit", public / "source.npy", public / "target.npy", "--out", public / "t", *SHORT)
    run(*words, "--sample", "300", "--log", public / "log.jsonl")
    events: Events = [json.loads(line) for line in (public / "log.jsonl").read_text().splitlines()]
    rows = [event for event in events if event["event"] == "rows" and event["phase"] == "reading"]
    assert rows
    assert all(event["rows"] == N for event in rows)


@pytest.mark.usefixtures("short_fits")
def test_the_log_of_a_fit_has_its_scores_and_times(run: Run, public: Path) -> None:
    log = public / "log.jsonl"
    run("fit", public / "source.npy", public / "target.npy", "--out", public / "t", *SHORT, "--log", log)
    steps = [event for line in log.read_text().splitlines() if (event := json.loads(line))["event"] == "progress"]
    assert {"copies", "verdict"} <= {step["step"] for step in steps}
    times = [step["elapsed"] for step in steps]
    assert times == sorted(times)
    refits = [step for step in steps if step["step"] == "refit"]
    assert all("seconds_left" in step for step in refits[1:])


def in_terminal(words: Sequence[object], **environment: str) -> str:
    """Run a command whose standard error is a terminal, and return what it wrote there."""
    ours, theirs = pty.openpty()
    code = (
        "import sys\nfrom interlingua.core import progress\n"
        f"progress.LINE_SECONDS = {EVERY}\n"
        "from interlingua.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "120", **environment}
    variables.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stdout=subprocess.DEVNULL, stderr=theirs, env=variables
    )
    os.close(theirs)
    parts: list[bytes] = []

    def read() -> None:
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:
                return
            if not part:
                return
            parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(240) == 0, b"".join(parts).decode()
    reader.join()
    os.close(ours)
    return b"".join(parts).decode()


def test_a_terminal_shows_a_bar_with_rows_and_time(saved: Path, public: Path) -> None:
    written = in_terminal(commands(public)["translate"][0])
    assert "\x1b[" in written
    assert "━" in written
    assert re.search(r"0:00:\d\d", written)
    assert "translating 600 of 600 rows" in written
    assert not re.search(r"^Translating source.npy: \d+ s", written, re.MULTILINE)


def test_a_dumb_terminal_gets_lines(saved: Path, public: Path) -> None:
    written = in_terminal(commands(public)["evaluate"][0], TERM="dumb")
    assert re.search(r"^Evaluating: \d+ s", written, re.MULTILINE)
    assert "━" not in written


def test_short_work_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("Aligning") as shown:
        shown({"step": "fine"})
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("often")
def test_a_line_has_the_time_and_the_last_step(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("Aligning \x1b[31m") as shown:
        shown({"step": "refit", "at": 2, "of": 8, "seconds_left": 90})
        time.sleep(0.2)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert set(lines) == {r"Aligning \x1b[31m: 0 s, refit 3 of 8, 90 s left in this stage"}


@pytest.mark.usefixtures("often")
def test_the_time_that_is_left_counts_down_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("Recovering words") as shown:
        shown({"step": "defense", "name": "secret rotation", "at": 10, "of": 11, "seconds_left": 2})
        first = shown.state
        time.sleep(1.7)
    assert first == "defense secret rotation, 11 of 11, 2 s left in this stage"
    said = list(
        dict.fromkeys(
            re.findall(r", \d+ s left in this stage|$", line)[0] for line in capsys.readouterr().err.splitlines()
        )
    )
    assert said == [f", {n} s left in this stage" for n in (2, 1)] + [""]


@pytest.mark.usefixtures("often")
def test_rows_are_shown_with_their_rate_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("Migrating") as shown:
        shown.on_rows("copying", 0, 1_000_000)
        time.sleep(0.1)
        shown.on_rows("copying", 2_000, 1_000_000)
        time.sleep(0.1)
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(
        r"Migrating: 0 s, copying 2,000 of 1,000,000 rows, [\d,]+ rows/s, \d+ s left in this stage", last
    )


def test_the_time_left_of_a_second_file_in_one_phase_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now))
    events: Events = []
    shown = ShownProgress("Aligning", lambda event, **facts: events.append(facts))
    for _ in range(2):
        for done in range(100, 1_001, 100):
            now += 3
            shown.on_rows("reading", done, 1_000)
    of_a_file = [None, *(3.0 * blocks for blocks in range(8, -1, -1))]
    assert [facts["seconds_left"] for facts in events] == 2 * of_a_file
    assert [facts["seconds"] for facts in events] == 2 * [3.0 * blocks for blocks in range(10)]


def test_a_counted_step_gets_the_time_that_is_left() -> None:
    steps: Events = []
    timed = Timed(steps.append)
    given = {"step": "refit", "at": 1, "of": 4}
    timed(given)
    time.sleep(0.05)
    timed({**given, "at": 2})
    timed({"step": "islands", "seconds": 50.0, "budget": 60.0})
    timed({"step": "train", "at": 1, "of": 2, "seconds_left": 7})
    timed({**given, "at": 3, "seconds_left": None})
    assert given == {"step": "refit", "at": 1, "of": 4}
    assert "seconds_left" not in steps[0]
    assert 0.1 <= steps[1]["seconds_left"] < 5
    assert [step["seconds_left"] for step in steps[2:4]] == [10.0, 7]
    assert "seconds_left" not in steps[4]
    assert all(step["elapsed"] >= 0 for step in steps)


def test_a_count_that_begins_again_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: now))
    steps: Events = []
    timed = Timed(steps.append)
    for _ in range(2):
        for at in range(4):
            timed({"step": "polishing", "at": at, "of": 3})
            now += 2
        now += 100  # other work
    assert [step.get("seconds_left") for step in steps] == 2 * [None, 4.0, 2.0, 0.0]


def test_a_function_gets_the_same_steps_as_the_log(planted: tuple[Rows, Rows]) -> None:
    steps: Events = []
    il.align(*planted, pairs=[[i, i] for i in range(100)], on_step=steps.append)
    assert steps[-1]["step"] == "verdict"
    assert all("elapsed" in step for step in steps)


def test_second_fits_without_held_out_pairs_are_reported(rng: np.random.Generator) -> None:
    """One for the verdict and one for the scales of scores."""
    x, turn = rng.standard_normal((1_000, 8)), np.linalg.qr(rng.standard_normal((8, 8)))[0]
    steps: Events = []
    il.align(x, x @ turn, pairs=np.stack([np.arange(1_000)] * 2, axis=1), on_step=steps.append)
    assert [step["without"] for step in steps if step["step"] == "second fit"] == [200, 200]


def test_a_command_tells_how_many_texts_it_has_embedded() -> None:
    program = "import sys,time\nfor l in sys.stdin:\n print(len(l), flush=True); time.sleep(.05)\n"
    told: list[tuple[int, int]] = []
    encode = command_encoder(shlex.join([sys.executable, "-c", program]))
    rows = embed_texts(encode, ["a", "bb", "ccc"], lambda done, of: told.append((done, of)))
    assert rows.ravel().tolist() == [2, 3, 4]
    assert told[-1] == (3, 3)
    assert told[0][0] < 3


def test_a_model_embeds_in_blocks_and_keeps_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    from interlingua import encoders

    sizes: list[int] = []

    def encode(texts: list[str], **_: Any) -> Any:
        sizes.append(len(texts))
        return np.array([[len(text), ord(text[0])] for text in texts], np.float32)

    module = SimpleNamespace(SentenceTransformer=lambda *_, **__: SimpleNamespace(encode=encode))
    monkeypatch.setattr(encoders, "require", lambda *_: module)
    texts = [chr(97 + i % 26) * (1 + i % 7) for i in range(600)]
    told: list[int] = []
    rows = embed_texts(encoders.sentence_encoder("a"), texts, lambda done, of: told.append(done))
    assert rows.tolist() == [[len(text), ord(text[0])] for text in texts]
    assert sizes == [256, 256, 88]
    assert told == [256, 512, 600]


def test_arguments_of_another_type_are_refused() -> None:
    with pytest.raises(il.InputError, match="task is 3"), show_progress(3):  # type: ignore[arg-type]
        pass
    with pytest.raises(il.InputError, match="record is 'log'; a function"), show_progress("a", record="log"):  # type: ignore[arg-type]
        pass
    with pytest.raises(il.InputError, match="whole is 3; a WholeTime or None"), show_progress("a", whole=3):  # type: ignore[arg-type]
        pass
