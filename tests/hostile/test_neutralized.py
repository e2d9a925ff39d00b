"""Text of others travels unchanged as data, and is only ever text where it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.text import Text

from command_line import D_SOURCE, N, Rows, Run
from interlingua.cli import console

HOSTILE = [
    "\x1b[2J\x1b]0;title\x07clears the screen",
    "\x9b31mred by one byte",
    "[bold red]markup[/] :bomb:",
    "over\rwritten and \x08\x08 erased",
    "\u202egnp.txt turned around",
    '=HYPERLINK("http://example.org","formula")',
    "<script>alert(1)</script>",
    "../../outside",
]


@pytest.fixture
def collection(folder: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Parquet file whose ids and payload are hostile."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(planted[0].ravel()), D_SOURCE)
    ids = pa.array([f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(N)])
    pq.write_table(pa.table({"id": ids, "vector": vectors, "text": ids}), folder / "old.parquet")
    monkeypatch.chdir(folder)
    return folder / "old.parquet"


def assert_harmless(shown: str) -> None:
    """Nothing that steers a terminal is left; ends of lines are."""
    assert not [c for c in shown if c != "\n" and (ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0x2028 <= ord(c) < 0x2070)]


def test_ids_and_payload_travel_unchanged(run: Run, collection: Path, saved: Path) -> None:
    ran = run("migrate", saved, collection, "new.parquet")
    assert ran.code == 0, ran.err
    before, after = (pq.read_table(path) for path in (collection, "new.parquet"))
    assert after["id"].to_pylist() == before["id"].to_pylist()
    assert after["text"].to_pylist() == before["text"].to_pylist()


def test_hits_are_shown_without_control_characters_and_as_they_are_in_json(
    run: Run, collection: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    np.save("queries.npy", planted[1][: len(HOSTILE)])
    ran = run("search", saved, collection, "--query", "queries.npy", "-k", 1)
    assert ran.code == 0, ran.err
    assert_harmless(ran.out)
    # A narrow column breaks a value between its words.
    for shown in (r"\x1b[2J", r"\x9b31m", "[bold", "red]markup[/]", ":bomb:"):
        assert shown in ran.out
    found = run("search", saved, collection, "--query", "queries.npy", "-k", 1, "--json").json
    assert [hits[0]["id"] for hits in found["hits"]] == [f"{text} {i}" for i, text in enumerate(HOSTILE)]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_card_of_others_cannot_steer_the_terminal(run: Run, saved: Path, text: str) -> None:
    card = json.loads((saved / "card.json").read_text("utf-8"))
    card["source"]["name"] = card["versions"]["numpy"] = text
    card["verdict"]["reasons"] = [text]
    (saved / "card.json").write_text(json.dumps(card), "utf-8")
    ran = run("inspect", saved)
    assert ran.code == 0, ran.err
    assert_harmless(ran.out)


@pytest.mark.parametrize("text", HOSTILE[:2])
def test_an_error_that_names_a_file_cannot_either(run: Run, folder: Path, text: str) -> None:
    ran = run("inspect", folder / text)
    assert ran.code == 2
    assert_harmless(ran.err)


def test_styles_of_our_own_survive(capsys: pytest.CaptureFixture[str]) -> None:
    screen = console.stdout()
    screen._force_terminal = True
    screen.print(Text("\x1b[31mnot red", "bold"), "[b]")
    out = capsys.readouterr().out
    assert r"\x1b[31mnot red" in out
    assert "[b]" in out
