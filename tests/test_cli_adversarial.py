"""``interlingua fit --method adversarial``: options, progress and resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from command_line import Run


def tensors(path: Path) -> dict[str, bytes]:
    """Return the bytes of every tensor; the header holds the card, whose seconds differ between runs."""
    return {name: tensor.tobytes() for name, tensor in load_file(path).items()}


SMALL = ("--method", "adversarial", "--set", "start=cold", "--steps", 3, "--allow-failed")


def test_a_fit_writes_checkpoints_and_resumes_from_them(run: Run, folder: Path, tmp_path: Path) -> None:
    files = folder / "source.npy", folder / "target.npy"
    kept = tmp_path / "run"
    done = run("fit", *files, "--out", tmp_path / "t", *SMALL, "--run", kept, "--json")
    assert done.code == 0, done.err
    assert (kept / "seed-0" / "checkpoint.pt").is_file()
    again = run("fit", *files, "--out", tmp_path / "u", *SMALL, "--run", kept)
    assert again.code == 2
    assert "holds a run already" in again.err
    resumed = run("fit", *files, "--out", tmp_path / "u", *SMALL, "--run", kept, "--resume", "--json")
    assert resumed.code == 0, resumed.err
    first, second = (tmp_path / name / "translator.safetensors" for name in "tu")
    assert tensors(first) == tensors(second)
    assert run("inspect", tmp_path / "t", "--json").json["method"] == "adversarial"


def test_a_failed_run_is_lengthened_and_reports_its_whole_curves(run: Run, folder: Path, tmp_path: Path) -> None:
    """Without --allow-failed no translator is written, and the report is."""
    pytest.importorskip("matplotlib")
    fit = ("fit", folder / "source.npy", folder / "target.npy", "--method", "adversarial", "--run", tmp_path / "run")
    options = ("--set", "start=cold", "--set", "log_every=1", "--set", "check_every=2")
    first = run(*fit, "--out", tmp_path / "t", *options, "--steps", 3)
    assert first.code == 1, first.err
    longer = (
        *options,
        "--set",
        "steps=6",
        "--resume",
        "--report",
        tmp_path / "r.html",
        "--log",
        tmp_path / "log.jsonl",
    )
    second = run(*fit, "--out", tmp_path / "t", *longer)
    assert second.code == 1, second.err
    assert not (tmp_path / "t").exists()
    assert "Curves of the loss terms over the training steps" in (tmp_path / "r.html").read_text("utf-8")
    events = map(json.loads, (tmp_path / "log.jsonl").read_text("utf-8").splitlines())
    steps = [e["at"] for e in events if e["event"] == "progress" and e.get("step") == "train"]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--steps", 5), "--steps belongs to --method adversarial; the method is auto"),
        (("--run", "x"), "--run belongs to --method adversarial"),
        (("--method", "adversarial", "--set", "preset=huge"), "preset is 'huge'"),
        (("--method", "adversarial", "--resume"), "resume and tensorboard need the folder of a run"),
    ],
)
def test_options_of_another_method_are_refused(
    run: Run, folder: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    done = run("fit", folder / "source.npy", folder / "target.npy", "--out", tmp_path / "t", *options)
    assert done.code == 2
    assert message in done.err
