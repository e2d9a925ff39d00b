"""A fit shows how far it is in a notebook by itself, and elsewhere if it is asked to."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.core.errors import InputError
from interlingua.core.progress import fit_progress, in_notebook, show_progress

X = np.random.default_rng(0).standard_normal((40, 8))


class ZMQInteractiveShell:
    """What get_ipython returns in the kernel of a notebook, by its name."""


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A notebook without IPython; returns what is displayed."""
    shown: list[str] = []

    class Handle:
        def update(self, html: str) -> None:
            shown.append(html)

    def display(html: str, display_id: bool) -> Handle:
        assert display_id
        shown.append(html)
        return Handle()

    ipython, displays = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    displays.HTML, displays.display = str, display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    return shown


def test_a_notebook_shows_the_fit_until_its_verdict(notebook: list[str]) -> None:
    il.align(X, X, method="identity")
    assert notebook[0].startswith("<div><progress></progress> 0 s")
    assert '<progress value="1" max="1">' in notebook[-1]
    assert "verdict " in notebook[-1]


def test_it_can_be_turned_off(notebook: list[str]) -> None:
    il.align(X, X, method="identity", progress=False)
    assert notebook == []


def test_training_fills_the_bar_and_names_of_steps_are_no_markup(notebook: list[str]) -> None:
    received: list[dict[str, Any]] = []
    with fit_progress(None, received.append) as follow:
        follow({"step": "train", "at": 30, "of": 40, "loss": 0.5})
    assert '<progress value="30" max="40"></progress>' in notebook[-1]
    assert "training step 30 of 40  loss 0.500" in notebook[-1]
    with fit_progress(None, received.append) as follow:
        follow({"step": "<b>mine"})
    assert "&lt;b&gt;mine" in notebook[-1]
    assert [step["step"] for step in received] == ["train", "<b>mine"]


def test_other_work_has_the_same_bar(notebook: list[str]) -> None:
    with show_progress("Migrating") as shown:
        shown.on_rows("copying", 20, 40)
        shown.on_rows("copying", 40, 40)
    assert notebook[0] == "<div><progress></progress> 0 s Migrating</div>"
    assert '<progress value="20" max="40"></progress> 0 s copying 20 of 40 rows' in notebook[1]
    assert '<progress value="40" max="40">' in notebook[-1]
    with show_progress("Reading", transient=True):
        pass
    assert notebook[-1] == ""


def test_a_fit_that_is_shown_already_has_one_bar(notebook: list[str]) -> None:
    with show_progress("Aligning") as shown:
        il.align(X, X, method="identity", on_step=shown)
    assert len([html for html in notebook if "<progress></progress> 0 s Aligning<" in html]) == 1
    assert "verdict " in notebook[-1]


def test_nothing_is_shown_elsewhere_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert not in_notebook()
    steps: list[Any] = []
    il.align(X, X, method="identity", on_step=steps.append)
    assert capsys.readouterr() == ("", "")
    il.align(X, X, method="identity", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "verdict " in err
    assert steps


def test_other_values_are_refused() -> None:
    with pytest.raises(InputError, match="progress is 'yes'"):
        il.align(X, X, method="identity", progress="yes")  # type: ignore[arg-type]
