"""Conditions that would end before their last character are refused by every store that puts them into SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.stores import Store, open_store
from interlingua.stores._conditions import check_condition
from interlingua.stores.planning import Options, plan
from stores.migrations import fill, translator
from stores.servers import postgres as postgres
from stores.servers import postgres_server as postgres_server

KINDS = ["duckdb", "lancedb", "postgres"]


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    pytest.importorskip("psycopg" if request.param == "postgres" else request.param)
    if request.param == "postgres":
        store = open_store(f"{request.getfixturevalue('postgres')}#docs.old")
    else:
        store = open_store(f"{request.param}://{tmp_path}/database#docs.old")
    with store:
        fill(store, pa.array(range(50)), pa.table({"k": range(50), "p": [f"x'{i}" for i in range(50)]}))
        yield store


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("k < 10) or (k > 40", "closes a bracket that it does not open"),
        ("k < 10); drop table docs; select (1", "closes a bracket that it does not open"),
        ("k < 10; drop table docs", "holds a semicolon outside of quotes"),
        ("k < 10\0", "holds a NUL character"),
        ("", "is empty"),
        (" \n", "is empty"),
    ],
)
def test_a_condition_that_would_end_early_is_refused(source: Store, condition: str, problem: str) -> None:
    with pytest.raises(InputError, match=f"the condition .* {problem}; one SQL condition is needed"):
        plan(translator(), source, open_store("memory://conditions#new"), Options(where=condition))
    with pytest.raises(InputError, match=problem):
        Options(where=condition).restrict(source, "k < 5")


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("(k < 10) or (k > 40)", 19),
        ("p = 'x''7' -- ) or (", 1),
        ("p <> ');' /* ); */ and \"k\" < 10", 10),
        ("p not in (')', '(', ';')", 50),
    ],
)
def test_what_is_quoted_is_no_end_of_a_condition(source: Store, condition: str, rows: int) -> None:
    made = plan(translator(), source, open_store("memory://conditions#new"), Options(where=condition))
    assert made.rows == rows


@pytest.mark.parametrize("text", [r"a = E'it\'s )'", "a = $$;)$$", "a = $t$ ) $$ ; $t$", 'a = ")"";"', "`;)` = 1"])
def test_other_forms_of_quotes_are_known(text: str) -> None:
    check_condition(text, "somewhere")


def test_a_dollar_inside_a_name_begins_no_quote() -> None:
    with pytest.raises(InputError, match="closes a bracket that it does not open"):
        check_condition("a$b$ = 1) or (a$b$ = 2", "somewhere")
