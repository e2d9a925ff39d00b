"""``interlingua settings`` shows what `describe_settings` says, in words and as JSON."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from command_line import Run
from interlingua.aligners import METHODS, describe_settings
from interlingua.cli.methods import method_settings
from interlingua.core.errors import InputError
from interlingua.neural.settings import Settings


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_is_shown_with_default_range_and_meaning(run: Run, method: str) -> None:
    text = run("settings", method).out
    described = describe_settings(method)
    assert len(re.findall(r"^\w+ = ", text, re.MULTILINE)) == len(described)
    words = " ".join(text.split())
    for setting in described:
        default = setting.default
        shown = str(default).lower() if default is None or isinstance(default, bool) else str(default)
        assert f"{setting.name} = {shown} {setting.type}" in words
        assert setting.range.lower() in words
        meaning = re.sub(r":\w+:`([^`]*)`", r"\1", setting.meaning).replace("`", "")
        assert meaning
        assert meaning[1:] in words
    assert "`" not in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("method", METHODS)
def test_json_has_the_fields_of_every_setting(run: Run, method: str) -> None:
    found = run("settings", method, "--json").json
    assert found["method"] == method
    assert [item["name"] for item in found["settings"]] == [setting.name for setting in describe_settings(method)]
    keys = {"name", "type", "default", "range", "meaning", "paper", "code", "presets"}
    assert all(item.keys() == keys for item in found["settings"])


def test_settings_of_the_paper_have_its_value_and_that_of_its_code(run: Run) -> None:
    found = {item["name"]: item for item in run("settings", "adversarial", "--json").json["settings"]}
    assert (found["norm"]["paper"], found["norm"]["code"]) == ("layer", "batch")
    assert (found["cycle"]["paper"], found["cycle"]["code"]) == (10.0, 10.0)
    for name in ("mirrors", "check_every", "preset"):
        assert (found[name]["paper"], found[name]["code"]) == (None, None)
    words = " ".join(run("settings", "adversarial").out.split())
    assert "preset = small str: one of paper, paper-text, small, annealed" in words
    assert "start = warm str: one of cold, warm" in words
    assert (
        "norm = layer str: one of batch, layer layer in the paper, batch in its released code presets: batch in paper"
        in words
    )
    assert "true or false false in the paper, true in its released code presets: false in paper-text cold" in words
    assert "lr = 0.0001 float: at least 0 2e-05 in the paper's released code presets: 2e-05 in paper cold" in words
    assert "0.0005 in small cold; 0.001 in annealed cold Learning rate" in words
    assert "those of https://github.com/rjha18/vec2vec/blob/ef1ccf1/configs/unsupervised.toml" in words


def test_settings_have_the_value_of_every_preset_and_start(run: Run) -> None:
    from interlingua.neural.presets import PRESETS

    found = {item["name"]: item for item in run("settings", "adversarial", "--json").json["settings"]}
    for (name, start), values in PRESETS.items():
        for field in fields(Settings):
            assert found[field.name]["presets"][f"{name} {start}"] == getattr(values, field.name)
    assert found["preset"]["presets"] == {}


def test_settings_of_our_own_methods_have_no_paper_beside_them(run: Run) -> None:
    assert "paper" not in run("settings", "linear").out


def test_a_setting_that_no_text_can_express_is_marked(run: Run) -> None:
    assert "qap = none\n    QapSolver | None (in Python only)\n" in run("settings", "mini-vec2vec").out


def test_an_unknown_method_is_refused_with_the_closest_name(run: Run) -> None:
    ran = run("settings", "adversarail", "--json")
    assert ran.code == 2
    assert re.search("no method 'adversarail'; choose from auto, .* Did you mean adversarial\\?", ran.json["error"])


BOUNDED = [
    (method, setting.name, setting.range)
    for method in METHODS[1:]
    for setting in describe_settings(method)
    if setting.type in ("int", "float")
]


@pytest.mark.parametrize(("method", "name", "words"), BOUNDED)
def test_the_range_shown_is_the_range_enforced(method: str, name: str, words: str) -> None:
    """The value at each limit is accepted or refused as the words say, and a value beyond it is refused."""
    from interlingua.aligners import create_aligner

    kind = {s.name: s.type for s in describe_settings(method)}[name]
    combined: dict[str, dict[str, Any]] = {"mirrors": {"skips": True}, "instance_noise": {"instance_noise_end": 1e-9}}
    needed = combined.get(name, {})
    limits = re.findall(r"(at least|above|at most|below) ([\d.]+)", words)
    assert limits, f"{method}.{name} has no range"
    for word, number in limits:
        limit = int(number) if kind == "int" else float(number)
        step = 1 if kind == "int" else 1e-3
        beyond = limit - step if word in ("at least", "above") else limit + step
        with pytest.raises(InputError, match=f"^{name} is "):
            create_aligner(method, **{name: beyond}, **needed)
        if word in ("at least", "at most"):
            create_aligner(method, **{name: limit}, **needed)
        else:
            with pytest.raises(InputError, match=f"^{name} is "):
                create_aligner(method, **{name: limit}, **needed)


def test_every_training_setting_is_a_field_of_the_dataclass(run: Run) -> None:
    found = [item["name"] for item in run("settings", "adversarial", "--json").json["settings"]]
    assert found[-len(fields(Settings)) :] == [field.name for field in fields(Settings)]


@pytest.mark.parametrize("columns", ["0", "1", "3"])
def test_settings_are_printed_on_terminals_of_any_width(
    run: Run, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert "rounds" in "".join(run("settings", "linear").out.split())


def test_a_setting_of_python_only_is_said_to_be_one() -> None:
    with pytest.raises(InputError, match="--set extra_terms: this setting of adversarial can be given in Python only"):
        method_settings("adversarial", ["extra_terms=x"], {})


def test_the_settings_of_something_else_than_a_name_are_refused() -> None:
    with pytest.raises(InputError, match="method is 3; a text is needed"):
        describe_settings(3)  # type: ignore[arg-type]


def test_methods_are_listed_where_none_is_named(run: Run) -> None:
    ran = run("settings", "--json")
    assert ran.code == 2
    assert "A method is needed, as in `interlingua settings linear`; choose from auto, linear, " in ran.json["error"]
