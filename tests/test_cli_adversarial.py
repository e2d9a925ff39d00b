"""``interlingua fit --method adversarial``: options, progress and resuming."""

from __future__ import annotations

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
