"""Settings in files: read by the type of each setting, and refused where they could be misread."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import interlingua as il
from command_line import Run
from interlingua.core.errors import InputError

YAML = """\
# without the cycle
preset: small
cycle: 0
lr: 1e-4
precision: no
vsp_end: none
skips: true
steps: 40
"""
VALUES = {"preset": "small", "cycle": 0.0, "lr": 1e-4, "precision": "no", "vsp_end": None, "skips": True, "steps": 40}


def test_values_are_read_by_the_type_of_the_setting_and_not_as_yaml_guesses(tmp_path: Path) -> None:
    """Plain YAML reads 1e-4 as a text and no as false."""
    path = tmp_path / "a.yaml"
    path.write_text(YAML, "utf-8")
    found = il.read_settings(path, "adversarial")
    assert found == VALUES
    assert [type(value) for value in found.values()] == [type(value) for value in VALUES.values()]


def test_json_and_yaml_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(VALUES), "utf-8")
    assert il.read_settings(str(path), "adversarial") == VALUES


@pytest.mark.parametrize(("name", "text"), [("a.json", '{"rounds": 3}'), ("a.yaml", "rounds: 3")])
def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8-sig")
    assert il.read_settings(tmp_path / name, "linear") == {"rounds": 3}


def test_an_empty_file_has_no_settings(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("# nothing\n", "utf-8")
    (tmp_path / "a.json").write_text("{}", "utf-8")
    assert il.read_settings(tmp_path / "a.yml", "linear") == il.read_settings(tmp_path / "a.json", "linear") == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "round: 3", r"a\.yaml: unknown keyword 'round'. Did you mean rounds\?"),
        ("a.json", '{"zzz": 3}', r"a\.json: unknown keyword 'zzz': method 'linear' takes rounds"),
        ("a.yaml", "rounds: ten", r"a\.yaml: rounds is 'ten'; a whole number is needed"),
        ("a.json", '{"rounds": 2.5}', r"rounds is '2.5'; a whole number is needed"),
        ("a.yaml", "rounds: 3\nrounds: 4", "rounds is given more than once"),
        ("a.json", '{"rounds": 3, "rounds": 4}', "rounds is given more than once"),
        ("a.yaml", "rounds: [1, 2]", "rounds is not a single value; a number, true, false, null or text is needed"),
        ("a.json", '{"rounds": [1, 2]}', r"rounds is .*; a number, true, false, null or text is needed"),
        ("a.json", '{"rounds": {"a": 1}}', "rounds is an object; a number, true, false, null or text is needed"),
        ("a.yaml", "\n[a, b]: 1", r"a\.yaml, line 2: the name of a setting is needed before a colon"),
        ("a.yaml", "rounds: " + "9" * 5000, r"rounds is '9{1,100}\.\.\.; a whole number is needed"),
        ("a.json", json.dumps({"x" * 5000: 1}), r"unknown keyword 'x{1,100}\.\.\.: method 'linear' takes"),
        ("a.yaml", "- rounds", "holds no mapping; write one setting in each line, such as lr: 1e-4"),
        ("a.json", "[3]", "an object of settings is needed"),
        ("a.json", "{", "is not JSON: "),
        ("a.yaml", "rounds: 'x", "is not YAML, line 1: "),
        ("a.txt", "rounds: 3", r"has extension '.txt'; settings are .yaml, .yml, .json"),
        ("a.yaml", "#" * 1_000_001, "has 1,000,001 bytes, too many for settings; check the name"),
    ],
)
def test_files_that_are_not_settings_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        il.read_settings(path, "linear")


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: no such file"):
        il.read_settings(tmp_path / "none.yaml", "linear")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes\.yaml cannot be read as text \(UnicodeDecodeError\)"):
        il.read_settings(tmp_path / "bytes.yaml", "linear")
    (tmp_path / "a.json").write_text('{"qap": "x"}', "utf-8")
    with pytest.raises(
        InputError, match="qap is QapSolver | None, which cannot be written in a file; set it in Python"
    ):
        il.read_settings(tmp_path / "a.json", "mini-vec2vec")


def fitted_with(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, *typed: str) -> Any:
    """Return the settings that a fit received, and what the command printed."""
    given: dict[str, Any] = {}
    whole = il.align

    def align(*sides: Any, **more: Any) -> Any:
        given.update(more)
        return whole(*sides, method="identity", seed=0)

    monkeypatch.setattr(il, "align", align)
    files = folder / "source.npy", folder / "target.npy"
    ran = run("fit", *files, "--out", folder / "t", "--allow-failed", *typed)
    assert ran.code == 0, ran.err
    return given


def test_the_command_line_takes_the_file_and_set_replaces_what_it_says(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "a.yaml"
    path.write_text("rounds: 3\nnonorthogonal: false\n", "utf-8")
    given = fitted_with(run, folder, monkeypatch, "--settings", str(path), "--set", "rounds=7")
    assert (given["rounds"], given["nonorthogonal"]) == (7, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("round: 3", r"a\.yaml: unknown keyword 'round'. Did you mean rounds\?"),
        ("rounds: -1", r"a\.yaml: rounds is -1; "),
    ],
)
def test_the_command_line_refuses_a_file_before_it_reads_vectors(
    run: Run, folder: Path, text: str, message: str
) -> None:
    path = folder / "a.yaml"
    path.write_text(text, "utf-8")
    files = folder / "source.npy", folder / "target.npy"
    ran = run("fit", *files, "--out", folder / "t", "--settings", path, "--json")
    assert ran.code == 2
    assert re.search(message, ran.json["error"]), ran.json["error"]
    assert not (folder / "t").exists()
