from __future__ import annotations

import pytest
from rich import box
from rich.table import Table

from interlingua.core.screen import Screen


@pytest.mark.parametrize("columns", ["20", "25", "40", "80"])
@pytest.mark.parametrize("no_wrap", [True, False])
def test_no_figure_of_a_table_is_cut_in_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str, no_wrap: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("direction of it", no_wrap=no_wrap)
    for heading in ("top-1", "cosine"):
        table.add_column(heading, justify="right", no_wrap=no_wrap)
    table.add_column("a note", justify="right")
    figures = ("0.98251234", "0.66174321", "interlingua.core.screen")
    table.add_row("source to target", *figures)
    Screen().print(table)
    shown = capsys.readouterr().out
    assert all(figure in shown for figure in figures)
    assert ("source to target" in shown) or not no_wrap
    assert "…" not in shown


def test_columns_that_fold_their_cells_keep_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = Table(box=None)
    table.add_column("id", overflow="fold")
    table.add_row("x" * 300)
    Screen().print(table)
    shown = capsys.readouterr().out
    assert shown.count("x") == 300
    assert max(map(len, shown.splitlines())) <= 40
