"""Ctrl-C and SIGTERM end every command alike: they keep and say the same, and only the exit codes differ."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import N, Run
from interlingua.cli import console
from interlingua.cli.help import EXAMPLES
from interlingua.stores._journal import MigrationJournal

SIGNALS = pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])


@pytest.fixture
def texts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of texts with vectors, in the working folder."""
    monkeypatch.chdir(folder)
    lines = [json.dumps({"id": i, "text": f"text {i}", "vector": [1, i]}) for i in range(20)]
    (folder / "texts.jsonl").write_text("\n".join(lines), "utf-8")
    return Path("texts.jsonl")


def raising(number: signal.Signals) -> Callable[..., Any]:
    return lambda *_, **__: signal.raise_signal(number)


@SIGNALS
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "serve"])
def test_every_command_ends_alike_on_both_signals(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(number)
    monkeypatch.setattr("typer.core.TyperCommand.invoke", raising(number))
    ran = run(*shlex.split(EXAMPLES[name][0])[1:])
    assert (ran.code, signal.getsignal(number), ran.out) == (code, before, "")
    assert ran.err.startswith("Interrupted.")


@SIGNALS
@pytest.mark.parametrize("place", ["interlingua.core.translator.load", "interlingua.stores.migration.make_plan"])
def test_a_migration_that_ends_before_the_copy_says_that_nothing_was_written(
    run: Run, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(folder)
    command = ("migrate", saved, "source.npy", "new.parquet", "--journal", "j")
    with monkeypatch.context() as patch:
        patch.setattr(place, raising(number))
        ran = run(*command)
    assert (ran.code, "Interrupted. Nothing was written.\n" in ran.err) == (code, True)
    assert not Path("j").exists()
    assert run(*command).code == 0


@SIGNALS
def test_a_resume_that_ends_before_the_copy_can_be_resumed(
    run: Run, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(folder)
    command = ("migrate", saved, "source.npy", "new.parquet", "--journal", "j")
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.stores._run.Run.index", raising(number))
        assert run(*command).code == code
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.core.translator.load", raising(number))
        ran = run(*command, "--resume")
    assert (ran.code, "Interrupted. Run the same command with --resume to continue" in ran.err) == (code, True)
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.stores.migration.rollback", raising(number))
        ran = run(*command, "--rollback")
        assert "Interrupted. Run the same command again to finish the rollback.\n" in ran.err
        assert "Interrupted. Nothing was dropped.\n" in run(*command, "--rollback", "--dry-run").err
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.cli.migrate._write_report", raising(number))
        ran = run(*command, "--resume", "--report", "r.html")
    finished = "Interrupted. All rows are written; the same command with --resume compares them once more and writes"
    assert (ran.code, finished in ran.err) == (code, True)
    with contextlib.closing(MigrationJournal(Path("j"), create=False)) as log:
        assert log.phase == "done"
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.core.translator.load", raising(number))
        ran = run(*command, "--catch-up")
        assert "Interrupted. Run the same command again to copy the remaining rows.\n" in ran.err
        assert "Interrupted. Nothing was written.\n" in run(*command, "--catch-up", "--dry-run").err


def test_a_translator_that_was_made_for_a_migration_is_named(
    run: Run, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("interlingua.stores._run.Run.survey", raising(signal.SIGTERM))

    def fit(directory: Path, *_: object, **__: object) -> Any:
        saved.rename(directory)
        from interlingua.core.translator import load

        return load(directory)

    monkeypatch.setattr("interlingua.cli.migrate._fit", fit)
    ran = run("migrate", "fresh", "source.npy", "new.parquet", "--fit", "target.npy", "--rows", "500")
    assert ran.code == 143
    said = "Interrupted. The translator fresh is saved. Run the same command without --fit and --rows to go on.\n"
    assert said in ran.err


@SIGNALS
def test_embedding_that_ends_while_the_encoder_is_loaded_says_so(
    run: Run, texts: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.setattr("interlingua.cli.embed._open", raising(number))
    ran = run("embed", texts, "new.parquet", "--encoder", "command:cat")
    assert (ran.code, "Interrupted. Nothing was written.\n" in ran.err) == (code, True)


@SIGNALS
def test_a_translation_that_ends_before_its_first_row_says_so(
    run: Run, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(folder)
    command = ("translate", saved, "source.npy", "--out", "out.npy")
    for place in ("interlingua.core.translator.load", "interlingua.io.VectorFile.check"):
        with monkeypatch.context() as patch:
            patch.setattr(place, raising(number))
            ran = run(*command)
        assert (ran.code, "Interrupted. Nothing was written.\n" in ran.err) == (code, True)
    monkeypatch.setattr("interlingua.io.VectorFile.batches.__defaults__", (100, 0, None))
    calls = iter(range(9))
    from interlingua.core.translator import Translator

    whole = Translator.translate

    def stops(self: Translator, x: Any, **options: bool) -> Any:
        if next(calls) == 2:
            signal.raise_signal(number)
        return whole(self, x, **options)

    with monkeypatch.context() as patch:
        patch.setattr("interlingua.core.translator.Translator.translate", stops)
        ran = run(*command, "--force")
    assert "Interrupted after 200 rows; run the same command with --resume in place of --force to continue." in ran.err
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.core.translator.load", raising(number))
        ran = run(*command, "--resume")
    assert (ran.code, "Interrupted. Run the same command with --resume to continue.\n" in ran.err) == (code, True)
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.cli.console.emit_json", raising(number))
        ran = run(*command, "--resume", "--json")
    assert (ran.code, "Interrupted. out.npy is complete.\n" in ran.err) == (code, True)
    assert len(np.load("out.npy")) == N


def test_rows_kept_beside_the_file_that_a_link_points_to_are_not_called_nothing(
    run: Run, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from interlingua.core.translator import Translator

    monkeypatch.chdir(folder)
    monkeypatch.setattr("interlingua.io.VectorFile.batches.__defaults__", (100, 0, None))
    Path("elsewhere").mkdir()
    Path("out.npy").symlink_to(Path("elsewhere") / "whole.npy")
    command = ("translate", saved, "source.npy", "--out", "out.npy")
    whole, calls = Translator.translate, iter(range(9))

    def stops(self: Translator, x: Any, **options: bool) -> Any:
        if next(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return whole(self, x, **options)

    with monkeypatch.context() as patch:
        patch.setattr("interlingua.core.translator.Translator.translate", stops)
        assert "Interrupted after 200 rows" in run(*command).err
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.core.translator.load", raising(signal.SIGTERM))
        ran = run(*command, "--resume")
    assert "Interrupted. Run the same command with --resume to continue.\n" in ran.err


def test_an_interrupt_claims_nothing_of_a_journal_that_cannot_be_read(
    run: Run, folder: Path, saved: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.core.translator.load", raising(signal.SIGTERM))
    monkeypatch.setattr("interlingua.cli.embed._open", raising(signal.SIGTERM))
    commands = (
        ("migrate", saved, "source.npy", "new.parquet", "--journal", "j", "--resume"),
        ("embed", texts, "new.parquet", "--encoder", "command:cat", "--journal", "j", "--resume"),
    )

    def said() -> list[str]:
        lines = [line for command in commands for line in run(*command).err.splitlines()]
        return [line for line in lines if line.startswith("Interrupted")]

    with contextlib.closing(MigrationJournal(Path("j"), create=True)):
        assert said() == ["Interrupted."] * 2
    Path("j").write_text("no journal", "utf-8")
    assert said() == ["Interrupted."] * 2


def test_work_that_goes_on_after_sigterm_ends_as_after_ctrl_c() -> None:
    kept = []
    with console.ending_on_sigterm():
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            kept.append("the best map up to then")
    assert kept
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_the_caller_is_left_alone() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with console.ending_on_sigterm():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_a_second_search_keeps_its_best_map_on_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    from interlingua.aligners.linear import islands

    honest, calls = islands._Run.refine, iter(range(10_000))

    def refine(self: Any, *given: Any, **options: Any) -> Any:
        found = honest(self, *given, **options)
        if next(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return found

    monkeypatch.setattr(islands._Run, "refine", refine)
    x, y = np.random.default_rng(0).standard_normal((2, 150, 12)).astype(np.float32)
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    with console.ending_on_sigterm():
        found = islands.search_islands(x, y, budget=60.0, seed=0)
    assert found.stopped == "interrupted"


def test_a_fit_that_is_sent_sigterm_says_what_was_written(folder: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((2, 4_000, 64)).astype(np.float32)
    for name, side in zip(("a", "b"), rows, strict=True):
        np.save(folder / f"{name}.npy", side)
    command = [sys.executable, "-m", "interlingua", "fit", "a.npy", "b.npy", "--out", "t", "--log", "log.jsonl"]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (folder / "log.jsonl").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert (process.returncode, "Interrupted. No translator was written." in said) == (143, True), said
    assert "Traceback" not in said
    assert not (folder / "t").exists()


@SIGNALS
def test_a_log_of_an_interrupted_command_ends_with_the_reason(
    run: Run, folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(folder)
    for name, place, words in (
        ("translate", "interlingua.io.VectorFile.check", (saved, "source.npy", "--out", "out.npy")),
        ("migrate", "interlingua.stores._run.Run.index", (saved, "source.npy", "new.parquet", "--journal", "j")),
        ("fit", "interlingua.cli.fit.run_fit", ("source.npy", "target.npy", "--out", "fresh")),
        ("identify", "interlingua.identification.identify", ("source.npy",)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, raising(number))
            ran = run(name, *words, "--log", f"{name}.jsonl")
        assert ran.code == code, (name, ran.err)
        last = json.loads(Path(f"{name}.jsonl").read_text().splitlines()[-1])
        assert {key: last[key] for key in last if key != "time"} == {"event": "stopped", "reason": "interrupted"}


def interrupted_fit(monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    """Let a fit end as after an interrupt of its second search: with the best map up to then."""
    import interlingua

    honest = interlingua.align

    def align(*spaces: Any, **settings: Any) -> Any:
        done = honest(*spaces, **{**settings, "pairs": np.stack([np.arange(N)] * 2, axis=1)})
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        return replace(done, trace=(*done.trace, {"step": "interrupted", "kept": "fast search"}))

    monkeypatch.setattr(interlingua, "align", align)


@SIGNALS
def test_a_migration_ends_after_a_fit_that_was_interrupted(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    monkeypatch.chdir(folder)
    interrupted_fit(monkeypatch, number)
    command = ("migrate", "fresh", "source.npy", "new.parquet", "--fit", "target.npy")
    dry = run(*command, "--dry-run")
    assert (dry.code, "Interrupted. Nothing was written.\n" in dry.err, Path("fresh").exists()) == (code, True, False)
    ran = run(*command)
    assert ran.code == code, ran.err
    said = "Interrupted. The translator fresh is saved. Run the same command without --fit to go on.\n"
    assert said in ran.err
    assert (Path("fresh").is_dir(), Path("new.parquet").exists(), list(Path().glob("*.sqlite"))) == (True, False, [])
    assert run(*command[:-2]).code == 0
