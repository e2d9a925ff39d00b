"""The commands that a fit prints can be run as they are, once the words in capitals are replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlingua.cli.next_commands import commands_after_fit, show_commands

EVALUATE = "interlingua evaluate t OLD_PAIRS.npy NEW_PAIRS.npy"


@pytest.mark.parametrize(
    ("source", "how", "rest"),
    [
        (
            "old.npy",
            {},
            [
                "interlingua search t old.npy --query NEW_QUERIES.npy",
                "interlingua translate t old.npy --out translated.npy",
            ],
        ),
        (
            "old.npy",
            {"encoder": True},
            [
                "interlingua search t old.npy --text 'A QUERY' --encoder NEW_MODEL",
                "interlingua translate t old.npy --out translated.npy",
            ],
        ),
        (
            "my rows.csv",
            {"layout": [("--column", "v 1")]},
            ["interlingua translate t 'my rows.csv' --out translated.parquet --column 'v 1'"],
        ),
        (
            "duckdb://shop.duckdb#items.v",
            {"where": "kind = 'a'", "nulls": 3},
            [
                "interlingua search t 'duckdb://shop.duckdb#items.v' --query NEW_QUERIES.npy",
                "interlingua migrate t 'duckdb://shop.duckdb#items.v' TARGET "
                "--where 'kind = '\"'\"'a'\"'\"'' --skip-null --dry-run",
            ],
        ),
        (
            "lancedb://l#t",
            {"skip_bad": True, "nulls": 3},
            ["interlingua migrate t 'lancedb://l#t' TARGET --skip-bad --dry-run"],
        ),
        ("old.jsonl", {"skip_bad": True}, ["interlingua migrate t old.jsonl TARGET --skip-bad --dry-run"]),
        ("old.csv", {"skip_bad": True, "layout": [("--column", "v")]}, []),
        *(
            (
                source,
                {},
                [
                    "interlingua search t OLD.npy --query NEW_QUERIES.npy",
                    "interlingua translate t OLD.npy --out translated.npy",
                ],
            )
            for source in (None, "-")
        ),
    ],
)
def test_commands_after_a_fit(source: str | None, how: dict[str, Any], rest: list[str]) -> None:
    first, *others = commands_after_fit(Path("t"), source, **how)
    assert others == rest
    if "://" not in str(source):
        assert first == EVALUATE
    else:
        assert first.startswith(f"interlingua evaluate t '{source}' REEMBEDDED")
        assert ("--where" in first, "--skip-bad" in first) == ("where" in how, "skip_bad" in how)


def test_the_rows_of_a_fit_on_pairs_are_neither_evaluated_nor_the_only_ones_migrated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluate, _, migrate = commands_after_fit(Path("t"), "lancedb://l#t", where="id % 3 <> 0", paired=True)
    assert evaluate == "interlingua evaluate t 'lancedb://l#t' REEMBEDDED --where KEPT_APART"
    assert migrate == "interlingua migrate t 'lancedb://l#t' TARGET --dry-run"
    show_commands([evaluate])
    said = " ".join(capsys.readouterr().err.split())
    assert "KEPT_APART is a condition that selects only rows whose pairs the fit has not read." in said
    assert "KEPT_APART" not in commands_after_fit(Path("t"), "lancedb://l#t", paired=True)[0]


def test_only_words_of_the_commands_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    show_commands(commands_after_fit(Path("t"), "old.npy", encoder=True))
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "Without such vectors, leave out the evaluation. NEW_MODEL is the model that was given as --target-encoder. "
        in said
    )
    assert "NEW_QUERIES" not in said
    assert "TARGET is" not in said
