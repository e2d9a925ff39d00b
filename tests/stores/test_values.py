"""What the documents of a store cannot hold is refused in the survey, with column and id."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.core.records import json_field
from interlingua.stores import Records, open_store
from interlingua.stores._values import Limits, documents_of
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options
from stores.migrations import D_IN, assert_migrated, fill, translator, unit

FLAT = Limits("Chroma", flat=True)
ROWS = 40
KIND = dict[str, tuple[Any, str]]
WRONG: KIND = {
    "not_a_number": (float("nan"), "holds nan, which a document cannot hold"),
    "infinite": (float("-inf"), "holds -inf, which a document cannot hold"),
    "nested": ({"a": 1}, "is nested, and the metadata of Chroma is flat"),
    "empty": ([], "is an empty list, which Chroma does not take"),
    "deep": ([["a"]], "is a list of other than scalars of one type"),
    "holes": (["a", None], "is a list of other than scalars of one type"),
    "large": (2**63, "holds 9223372036854775808, which has no 64 bits with sign"),
    "blob": (b"\0", "holds bytes values, which a document cannot hold"),
    "lasting": (datetime.timedelta(1), "holds timedelta values, which a document cannot hold"),
}


def records(value: Any, kind: pa.DataType | None = None) -> Records:
    """Return rows of which only number 33 has the value."""
    column = pa.array([value if i == 33 else None for i in range(ROWS)], kind or pa.infer_type([value]))
    fine = pa.array([f"t{i}" for i in range(ROWS)])
    ids = pa.array([f"k{i}" for i in range(ROWS)])
    return Records(ids, unit(ROWS, D_IN, 3), pa.table({"fine": fine, "column": column}))


@pytest.mark.parametrize("name", list(WRONG))
def test_a_value_is_refused_with_its_column_and_id(name: str) -> None:
    value, message = WRONG[name]
    kind = pa.uint64() if name == "large" else pa.list_(pa.string()) if name == "empty" else None
    with pytest.raises(InputError, match=f"there: column 'column' of id 'k33' {message}.* leave the payload out with"):
        documents_of(records(value, kind), "there", FLAT)


def test_text_that_is_no_json_is_refused_with_its_column_and_id() -> None:
    rows = records("{")
    assert rows.payload is not None
    table = pa.table(
        list(rows.payload.columns), schema=pa.schema([pa.field("fine", pa.string()), json_field("column")])
    )
    with pytest.raises(InputError, match="column 'column' of id 'k33' holds text that is not JSON"):
        documents_of(Records(rows.ids, rows.vectors, table), "there", FLAT)


@pytest.mark.parametrize("value", [1.5, True, "", -(2**63), 2**63 - 1, ["a", "b"], [1, 2]])
def test_other_values_are_taken(value: Any) -> None:
    assert documents_of(records(value), "there", FLAT)[33] == {"fine": "t33", "column": value}


@pytest.mark.store
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("target", ["chroma", "milvus", "qdrant-edge"])
@pytest.mark.parametrize("name", ["not_a_number", "infinite", "blob", "lasting"])
def test_nothing_is_made_where_a_value_is_refused(target: str, name: str, tmp_path: Path) -> None:
    module = {"chroma": "chromadb", "milvus": "pymilvus", "qdrant-edge": "qdrant_edge"}[target]
    pytest.importorskip(module, reason=f"the extra {target} is not installed")
    url = {"chroma": f"chroma://{tmp_path}/c#new", "milvus": f"milvus://{tmp_path}/m.db#new"}
    value, message = WRONG[name]
    rows = records(value)
    with open_store(f"memory://{tmp_path.name}#old") as old:
        ids = pa.array([f"00000000-0000-4000-8000-{i:012x}" for i in range(ROWS)])
        fill(old, ids, rows.payload)
        with open_store(url.get(target, f"qdrant-edge://{tmp_path}#new")) as new:
            with pytest.raises(InputError, match=f"'column' of id '.*{33:x}' {message}"):
                migrate(translator(), old, new, journal=tmp_path / "j")
            assert not new.exists()


@pytest.mark.parametrize("kind", ["float16", "duration"])
def test_duckdb_widens_small_floats_and_refuses_durations_before_it_makes_a_table(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    values = {"float16": pa.array([i / 8 for i in range(ROWS)], pa.float16())}
    values["duration"] = pa.array([None if i < 7 else datetime.timedelta(i) for i in range(ROWS)])
    with (
        open_store(f"memory://{tmp_path.name}#old") as old,
        open_store(f"duckdb://{tmp_path}/d.duckdb#t.v") as new,
    ):
        rows = fill(old, pa.array(range(ROWS)), pa.table({"column": values[kind]}))
        if kind == "float16":
            migrate(translator(), old, new, journal=tmp_path / "j", options=Options(page_rows=16))
            assert_migrated(rows, new)
        else:
            with pytest.raises(InputError, match="column 'column' of id 7 is a duration"):
                migrate(translator(), old, new, journal=tmp_path / "j")
            assert not new.exists()
