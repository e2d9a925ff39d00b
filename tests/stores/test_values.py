"""What the documents of a store cannot hold is refused in the survey, with column and id."""

from __future__ import annotations

import datetime
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from interlingua.core.errors import InputError
from interlingua.core.records import json_field
from interlingua.stores import Records, open_store
from interlingua.stores._documents import from_documents, same_payload
from interlingua.stores._pgtypes import check_payload
from interlingua.stores._values import Limits, documents_of
from interlingua.stores.migration import migrate
from interlingua.stores.planning import Options
from stores.migrations import D_IN, assert_migrated, fill, translator, unit, whole

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


TIMES = {
    "nanoseconds": pa.array([1000, None, 1709300000123456789], pa.timestamp("ns")),
    "zoned_nanoseconds": pa.array([1000, None, 1709300000123456789], pa.timestamp("ns", "Europe/Berlin")),
    "nanoseconds_of_a_day": pa.array([1000, None, 1001], pa.time64("ns")),
    "before_year_1": pa.array([0, None, -(2**50)], pa.timestamp("ms")),
    "after_year_9999": pa.array([0, None, 2**62], pa.timestamp("us")),
    "day": pa.array([0, None, 2**30], pa.date32()),
    "milliseconds": pa.array([0, None, 2**24 * 86_400_000], pa.date64()),
    "list": pa.array([[0], None, [2**62, None]], pa.list_(pa.timestamp("us"))),
    "struct": pa.array([{"a": 0}, None, {"a": 2**62}], pa.struct({"a": pa.timestamp("us")})),
    "category": pa.array([0, None, 2**62], pa.timestamp("us")).dictionary_encode(),
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("kind", ["parquet", "duckdb", "qdrant-edge", "memory"])
def test_times_that_python_lacks_are_kept_and_raise_no_alarm(kind: str, name: str, tmp_path: Path) -> None:
    """Few rows have such a time, so that other pages have none."""
    if kind in {"duckdb", "qdrant-edge"}:
        pytest.importorskip(kind.replace("-", "_"))
    urls = {"duckdb": f"duckdb://{tmp_path}/t.duckdb#new.vector", "parquet": str(tmp_path / "new.parquet")}
    url = {**urls, "qdrant-edge": f"qdrant-edge://{tmp_path}#new", "memory": f"memory://{tmp_path.name}#new"}[kind]
    column = pa.concat_arrays([*[TIMES[name].slice(0, 2)] * 40, TIMES[name]])
    with open_store(f"memory://{tmp_path.name}#old") as source, open_store(url) as target:
        rows = fill(source, pa.array(range(83)), pa.table({"x": column}))
        migrate(translator(), source, target, journal=tmp_path / "j", options=Options(page_rows=40))
        found = whole(target).in_order_of(rows.ids, "target").payload
        assert same_payload(found, rows.payload)


def test_durations_that_python_lacks_are_refused_by_a_store_of_documents(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    with open_store(f"memory://{tmp_path.name}#old") as source, open_store(f"qdrant-edge://{tmp_path}#new") as target:
        fill(source, pa.array(range(2)), pa.table({"x": pa.array([1, 2**62], pa.duration("s"))}))
        with pytest.raises(
            InputError, match="column 'x' of id 0 holds timedelta.* values, which a document cannot hold"
        ):
            migrate(translator(), source, target, journal=tmp_path / "j")


@pytest.mark.store
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("key", ["chroma:document", "chroma:uri"])
def test_documents_of_chroma_that_are_no_text_are_refused_before_anything_is_made(key: str, tmp_path: Path) -> None:
    pytest.importorskip("chromadb")
    payload = from_documents([{key: "a text"}, {key: None}, {key: 5}])
    with open_store(f"memory://{tmp_path.name}#old") as source, open_store(f"chroma://{tmp_path}/c#things") as target:
        fill(source, pa.array(["a", "b", "c"]), payload)
        with pytest.raises(InputError, match=f"column '{key}' of id 'c' is int, and Chroma takes text there"):
            migrate(translator(), source, target, journal=tmp_path / "j")
        assert not target.exists()


def test_run_lengths_in_a_file_are_read_as_values(tmp_path: Path) -> None:
    lengths = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["x", "y"]))
    table = pa.table({"id": [1, 2, 3], "vector": list(unit(3, D_IN, 3)), "x": lengths})
    with pa.ipc.new_file(tmp_path / "old.arrow", table.schema) as file:
        file.write_table(table)
    with open_store(str(tmp_path / "old.arrow")) as source, open_store(str(tmp_path / "new.parquet")) as target:
        migrate(translator(), source, target, journal=tmp_path / "j")
        payload = whole(target).payload
        assert payload is not None
        assert payload["x"].to_pylist() == ["x", "x", "y"]


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
@pytest.mark.parametrize(("values", "is_refused"), [(["a", "b\0"], True), (["a", None], False)])
def test_a_nul_is_found_in_every_form_of_text(kind: pa.DataType, values: list[Any], is_refused: bool) -> None:
    payload = pa.table({"x": pa.array(values, pa.string()).cast(kind)})
    with pytest.raises(InputError, match="column 'x' of id 2 holds a NUL") if is_refused else nullcontext():
        check_payload(payload, pa.array([1, 2]), "here")
