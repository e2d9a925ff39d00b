"""What every store must do. An adapter's test module inherits `StoreContract` and says how to open its store."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest

import interlingua as il
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError, InterlinguaError, OutputExistsError
from interlingua.core.records import json_field
from interlingua.stores import STORES, Records, Spec, Store, open_source, open_store
from interlingua.stores._base import Adapter
from interlingua.stores._documents import JSON_COLUMN, from_documents, is_json, payload_rows, same_payload, type_name
from interlingua.stores._url import parse_url
from interlingua.stores.changes import catch_up
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options, plan
from interlingua.stores.reembedding import TextEmbedder
from stores.migrations import D_IN as D
from stores.migrations import translator

N = 230
Open = Callable[[str], Store]

DOCUMENTS: list[dict[str, Any]] = [
    {"title": "zero", "year": 1999, "share": 0.5, "open": True},
    {"title": "", "year": -3},
    {"title": "naïve – 東京 \"quoted\" 'single' \\ % ; DROP TABLE t; --"},
    {},
]
NESTED: list[dict[str, Any]] = [
    {"author": {"name": "x", "tags": ["a", "b"]}, "note": None},
    {"list": [1, 2, {"k": []}]},
]


def documents(n: int, *, nested: bool) -> pa.Table:
    pool = [*DOCUMENTS, *NESTED] if nested else DOCUMENTS
    return from_documents([{**pool[i % len(pool)], "row": i} for i in range(n)])


def columns(n: int) -> pa.Table:
    pool = DOCUMENTS
    return pa.table(
        {
            "title": pa.array([pool[i % len(pool)].get("title") for i in range(n)], pa.string()),
            "count": pa.array([i if i % 5 else None for i in range(n)], pa.int64()),
            "share": pa.array([i / 7 for i in range(n)], pa.float64()),
            "open": pa.array([i % 2 == 0 for i in range(n)]),
            "day": pa.array([i * 86_400_000_000 for i in range(n)], pa.timestamp("us")),
            'a "strange" name; it\'s 50 %': pa.array([f"{i}" for i in range(n)]),
        }
    )


def payload_types() -> dict[str, pa.Array]:
    """Return a column of every type that a payload can have, with a null in each."""
    moment = datetime.datetime(2024, 3, 1, 12, 30, 15, 123456)
    naive = pa.array([moment, None, moment], pa.timestamp("us"))
    return {
        "boolean": pa.array([True, None, False]),
        "int8": pa.array([-128, None, 127], pa.int8()),
        "int16": pa.array([-(2**15), None, 2**15 - 1], pa.int16()),
        "int32": pa.array([-(2**31), None, 2**31 - 1], pa.int32()),
        "int64": pa.array([-(2**63), None, 2**53 + 1], pa.int64()),
        "uint8": pa.array([0, None, 255], pa.uint8()),
        "uint32": pa.array([0, None, 2**32 - 1], pa.uint32()),
        "uint64": pa.array([0, None, 2**64 - 1], pa.uint64()),
        "float16": pa.array([np.float16(0.5), None, np.float16(-2)], pa.float16()),
        "float32": pa.array([0.25, None, -1.5], pa.float32()),
        "float64": pa.array([0.1, None, 1e300]),
        "not_finite": pa.array([float("nan"), None, float("inf")]),
        "text": pa.array(["", None, "😀 e\u0301\r\n\t\"'\\\\"]),
        "large_text": pa.array(["a", None, "b"], pa.large_string()),
        "long_text": pa.array(["x" * 70_000, None, "y"]),
        "nul": pa.array(["a\0b", None, "c"]),
        "category": pa.array(["a", None, "b"]).dictionary_encode(),
        "bytes": pa.array([b"\0\1", None, b""]),
        "date": pa.array([moment.date(), None, datetime.date(1, 1, 1)]),
        "time": pa.array([datetime.time(1, 2, 3), None, datetime.time(23, 59, 59, 999999)], pa.time64("us")),
        "timestamp": naive,
        "timestamp_utc": naive.cast(pa.timestamp("us", "UTC")),
        "timestamp_zone": naive.cast(pa.timestamp("us", "Europe/Berlin")),
        "nanoseconds": pa.array([1709300000123456789, None, 1], pa.timestamp("ns")),
        "duration": pa.array([datetime.timedelta(seconds=3), None, datetime.timedelta(days=-1)], pa.duration("us")),
        "decimal": pa.array([Decimal("1.10"), None, Decimal("-9.99")], pa.decimal128(5, 2)),
        "long_decimal": pa.array([Decimal("1" * 50), None, Decimal(2)], pa.decimal256(60, 0)),
        "texts": pa.array([["x", "y"], None, ["z"]]),
        "numbers": pa.array([[1, 2], None, [3]], pa.list_(pa.int32())),
        "empty_list": pa.array([[], None, ["z"]]),
        "list_with_null": pa.array([["a", None], None, ["z"]]),
        "nested_lists": pa.array([[[1], [2, 3]], None, [[4]]]),
        "struct": pa.array([{"a": 1, "b": ["x"]}, None, {"a": 2, "b": []}]),
        "struct_of_dates": pa.array([{"a": moment}, None, {"a": moment}]),
        "map": pa.array([[("k", "v")], None, [("k", "w")]], pa.map_(pa.string(), pa.string())),
        "nulls": pa.nulls(3),
        "json": pa.array(['{"a": [1, {"b": null}]}', None, "[1.5]"]),
    }


def tree(folder: Path) -> dict[str, str]:
    """Return a checksum of every file in a folder, and the names of the folders in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


def typed_table(columns: dict[str, pa.Array]) -> pa.Table:
    """Return columns as a table; the one named json holds JSON."""
    fields = [json_field(name) if name == "json" else pa.field(name, column.type) for name, column in columns.items()]
    return pa.table(list(columns.values()), schema=pa.schema(fields))


def records_of(records: Records) -> tuple[Any, pa.Table | None]:
    """Return vectors and payload of rows."""
    return records.vectors, records.payload


def uuids(n: int) -> list[str]:
    return [f"00000000-0000-4000-8000-{i:012x}" for i in range(n)]


def by_characters(texts: Sequence[str]) -> list[list[float]]:
    """Return unit vectors [n, 2] that differ from text to text."""
    return [[math.cos(angle), math.sin(angle)] for angle in (sum(map(ord, text)) for text in texts)]


class StoreContract:
    """Claims about any store; subclasses give `scheme`, `url` and, where the store needs it, other ids and payload."""

    scheme: ClassVar[str]
    nested: ClassVar[bool] = True
    keeps_types: ClassVar[bool] = True
    # Kinds of payload that are refused or changed, where one format of a store differs from its capabilities.
    refuses: ClassVar[frozenset[str] | None] = None
    changes: ClassVar[frozenset[str] | None] = None
    beside: ClassVar[str] = "second"
    # Whether a collection, or a second vector of one, says that a migration made it.
    marks: ClassVar[bool] = True
    marks_vectors: ClassVar[bool] = True
    hostile: ClassVar[str] = 'it\'s "a" %25 ; DROP TABLE t; --'

    @staticmethod
    def text_ids(n: int) -> list[str]:
        """Return n ids as this store takes them."""
        return [f"row {i} 'ä'" for i in range(n)]

    @pytest.fixture
    def url(self) -> Callable[[str], str]:
        """Return the URL of a collection of this name."""
        raise NotImplementedError

    @pytest.fixture
    def opened(self, url: Callable[[str], str]) -> Any:
        stores: list[Store] = []

        def open_named(name: str) -> Store:
            stores.append(open_store(url(name)))
            return stores[-1]

        yield open_named
        for store in stores:
            store.close()

    @pytest.fixture(params=["int", "text"])
    def records(self, request: pytest.FixtureRequest, opened: Open) -> Records:
        kinds = opened("probe").capabilities
        if request.param not in kinds.ids:
            pytest.skip(f"this store keeps {kinds.ids} ids only")
        return self.rows(request.param, kinds.payload)

    def rows(self, ids: str, payload: str, n: int = N) -> Records:
        rng = np.random.default_rng(0)
        vectors = rng.standard_normal((n, D)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        table = None
        if payload != "none":
            table = columns(n) if payload == "typed" else documents(n, nested=self.nested)
        values = pa.array(self.text_ids(n)) if ids == "text" else pa.array(range(n), pa.int64())
        return Records(values, vectors, table)

    def spec(self, records: Records, **changes: Any) -> Spec:
        schema = None if records.payload is None else records.payload.schema
        facts = {
            "d": D,
            "metric": "cosine",
            "id_type": records.ids.type,
            "schema": schema,
            "count": len(records),
            "job": "j",
        }
        return Spec(**{**facts, **changes})

    def fill(self, store: Store, records: Records, size: int = 100) -> Store:
        spec = self.spec(records)
        store.create(spec)
        store.prepare(spec, 0)
        for start in range(0, len(records), size):
            store.upsert(records.rows(start, min(start + size, len(records))))
        store.finish()
        return store

    @staticmethod
    def whole(store: Store, size: int = 64) -> Records:
        parts = [records for records, _ in store.scan(size)]
        payload = None if parts[0].payload is None else pa.concat_tables([part.payload for part in parts])
        return Records(pa.concat_arrays([p.ids for p in parts]), np.concatenate([p.vectors for p in parts]), payload)

    def test_the_adapter_is_the_one_of_its_registry_row(self, opened: Open) -> None:
        store = opened("probe")
        assert type(store) is STORES[self.scheme].load()
        assert store.url.scheme == self.scheme

    def test_rows_come_back_unchanged(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records)
        found = self.whole(opened("things"))
        assert sorted(found.ids.to_pylist()) == sorted(records.ids.to_pylist())
        found = found.in_order_of(records.ids, "test")
        np.testing.assert_allclose(found.vectors, records.vectors, atol=1e-6)
        assert same_payload(found.payload, records.payload)

    def test_facts_are_known(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records)
        info = opened("things").info()
        assert (info.count, info.d, info.normalized) == (N, D, True)
        assert info.metric in {"cosine", None}
        assert pa.types.is_integer(info.id_type) == pa.types.is_integer(records.ids.type)
        json.dumps(info.identity())

    @pytest.mark.parametrize("size", [1, 7, 100, 230, 1000])
    def test_a_scan_goes_on_behind_any_cursor(self, opened: Open, size: int) -> None:
        records = self.rows(opened("probe").capabilities.ids[0], opened("probe").capabilities.payload, 23)
        self.fill(opened("things"), records)
        pages = list(opened("things").scan(size))
        whole = [value for page, _ in pages for value in page.ids.to_pylist()]
        assert sorted(whole) == sorted(records.ids.to_pylist())
        assert all(len(page) == size for page, _ in pages[:-1])
        seen = 0
        for page, cursor in pages:
            seen += len(page)
            again = opened("things").scan(size, json.loads(json.dumps(cursor)))
            rest = list(again)
            assert [value for part, _ in rest for value in part.ids.to_pylist()] == whole[seen:]
            assert [part.digest() for part, _ in rest] == [part.digest() for part, _ in pages][len(pages) - len(rest) :]

    def test_the_same_rows_twice_are_the_same_rows(self, opened: Open, records: Records) -> None:
        store = opened("things")
        if store.capabilities.appends:
            pytest.skip("rows are appended; the committed count says where to go on")
        self.fill(store, records)
        store.upsert(records.rows(10, 40))
        assert opened("things").info().count == N

    def test_rows_beyond_the_committed_ones_are_not_written_twice(self, opened: Open, records: Records) -> None:
        store, spec = opened("things"), self.spec(records)
        store.create(spec)
        store.prepare(spec, 0)
        store.upsert(records.rows(0, 100))
        # Killed here, after the write and before the journal knew; a process that ends releases its locks.
        if store.capabilities.appends:
            store.close()
        again = opened("things")
        again.prepare(spec, 50)
        again.upsert(records.rows(50, 150))
        again.upsert(records.rows(150))
        again.finish()
        found = self.whole(opened("things"))
        assert sorted(found.ids.to_pylist()) == sorted(records.ids.to_pylist())

    def test_rows_are_found_by_id_in_the_order_asked_for(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records)
        picked = records.take([17, 3, 200, 101])
        found = opened("things").fetch(picked.ids)
        assert found.ids.to_pylist() == picked.ids.to_pylist()
        np.testing.assert_allclose(found.vectors, picked.vectors, atol=1e-6)
        assert same_payload(found.payload, picked.payload)

    def test_an_id_that_is_not_there_is_refused(self, opened: Open, records: Records) -> None:
        store = self.fill(opened("things"), records.rows(0, 20))
        with pytest.raises(InputError, match="1 of 2 ids does not exist"):
            opened("things").fetch(records.take([3, 25]).ids)
        assert store.exists()

    def test_ids_that_are_not_there_are_left_out_of_those_present(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records.rows(0, 20))
        store = opened("things")
        assert isinstance(store, Adapter)
        assert store.present(records.take([25, 26]).ids).ids.to_pylist() == []
        assert store.present(records.take([3, 25]).ids).ids.to_pylist() == records.take([3]).ids.to_pylist()

    def test_the_payload_of_a_row_has_the_names_of_its_columns(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records)
        picked = records.take([17])
        found, given = (
            {name for name, value in payload_rows(side.payload, 1)[0].items() if value is not None}
            for side in (opened("things").fetch(picked.ids), picked)
        )
        assert found in (given, set())
        assert JSON_COLUMN not in found

    def test_a_search_finds_the_row_itself_first(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records)
        asked = records.take([5, 77])
        for hits, expected in zip(opened("things").search(asked.vectors, 3), asked.ids.to_pylist(), strict=True):
            assert hits.ids[0] == expected
            assert hits.scores[0] == pytest.approx(1, abs=1e-4)
            assert list(hits.scores) == sorted(hits.scores, reverse=True)
            assert len(hits.ids) == 3

    def test_a_taken_name_is_refused(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records)
        with pytest.raises(OutputExistsError, match=r"exists(, and nothing is overwritten|\. A vector can be added)"):
            opened("things").create(self.spec(records))

    def test_a_taken_name_is_refused_in_the_plan_and_no_rollback_drops_it(
        self, opened: Open, url: Callable[[str], str], tmp_path: Path
    ) -> None:
        store = opened("things")
        records = self.rows(store.capabilities.ids[-1], store.capabilities.payload)
        self.fill(store, records)
        address = store.url
        if store.capabilities.adds_vectors:  # the collection exists, and the vector does not
            address = replace(address, names=(*address.names[: max(1, len(address.names) - 1)], self.beside))
        with open_store(f"memory://{tmp_path.name}#old") as source, open_store(address) as target:
            source.create(self.spec(records))
            source.upsert(records)
            with pytest.raises(OutputExistsError, match="exists"):
                plan(translator(), source, target, Options(metric="cosine"))
            with pytest.raises(OutputExistsError, match="exists"):
                migrate(translator(), source, target, journal=tmp_path / "j", options=Options(metric="cosine"))
            assert not (tmp_path / "j").exists()
            if store.capabilities.adds_vectors:
                target.drop()
        assert opened("things").info().count == N

    @pytest.mark.parametrize("payload", ["typed", "documents"])
    def test_payload_with_the_name_of_the_vector_is_kept_or_refused_before_anything_is_made(
        self, payload: str, opened: Open, tmp_path: Path
    ) -> None:
        target = opened("things")
        if target.capabilities.payload == "none":
            pytest.skip("this store has no payload")
        names = ["vector", "vectors", "first"]
        records = self.rows(target.capabilities.ids[-1], "none", 40)
        table = pa.table({name: [f"{name} {i}" for i in range(40)] for name in names})
        table = table if payload == "typed" else from_documents(table.to_pylist())
        records = Records(records.ids, records.vectors, table)
        with open_store(f"memory://{tmp_path.name}#old") as source:
            source.create(self.spec(records))
            source.upsert(records)
            try:
                migrate(translator(), source, target, journal=tmp_path / "j", options=Options(metric="cosine"))
            except InputError as error:
                assert re.search("(?i)name another vector (column|field)", str(error))  # noqa: PT017
                assert not (tmp_path / "j").exists()
                assert not target.exists()
            else:
                found = self.whole(target).in_order_of(records.ids, "test")
                assert same_payload(found.payload, table)

    def test_a_target_has_the_id_column_that_its_address_names(self, opened: Open, tmp_path: Path) -> None:
        store = opened("things")
        records = self.rows(store.capabilities.ids[-1], store.capabilities.payload, 40)
        if "id" not in store.url.kind.options:
            pytest.skip("addresses of this store name no id column")
        address = replace(store.url, options={**store.url.options, "id": "key"})
        with open_store(f"memory://{tmp_path.name}#old") as source, open_store(address) as target:
            source.create(self.spec(records))
            source.upsert(records)
            migrate(translator(), source, target, journal=tmp_path / "j", options=Options(metric="cosine"))
        with open_store(address) as target:
            assert same_payload(self.whole(target).in_order_of(records.ids, "test").payload, records.payload)

    def test_dropping_leaves_the_others(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records)
        self.fill(opened("others"), records.rows(0, 20))
        opened("others").drop()
        opened("others").drop()
        assert not opened("others").exists()
        assert opened("things").info().count == N

    def test_a_plan_changes_no_file(
        self, opened: Open, url: Callable[[str], str], records: Records, tmp_path: Path
    ) -> None:
        self.fill(opened("things"), records).close()
        before = tree(tmp_path)
        with open_source(url("things")) as source, open_store("memory://plan#new") as target:
            made = plan(translator(), source, target, Options(ids_as_text=True))
            found = self.whole(source).in_order_of(records.ids, "test")
        assert made.source == str(parse_url(url("things")))
        np.testing.assert_allclose(found.vectors, records.vectors, atol=1e-6)
        assert tree(tmp_path) == before

    def test_a_mistyped_place_is_refused_and_not_made(self, url: Callable[[str], str], tmp_path: Path) -> None:
        typed = url("things").replace(str(tmp_path), f"{tmp_path}/typo")
        if typed == url("things"):
            pytest.skip("the address of this store has no path in it")
        for address in (typed, url("things")):
            with pytest.raises(InputError), open_store(address) as source:
                source.info()
            assert not any(tmp_path.iterdir())

    def test_a_plan_for_a_new_target_makes_nothing(
        self, opened: Open, url: Callable[[str], str], records: Records, tmp_path: Path
    ) -> None:
        with open_store(f"memory://{tmp_path.name}#old") as source, open_store(url("things")) as target:
            payload = None if records.payload is None else records.payload
            source.create(Spec(D, "cosine", records.ids.type, None if payload is None else payload.schema, N))
            source.upsert(records)
            plan(translator(), source, target)
        assert not any(tmp_path.iterdir())

    def test_a_migration_from_it_changes_no_file_of_it(
        self, opened: Open, url: Callable[[str], str], records: Records, tmp_path: Path
    ) -> None:
        self.fill(opened("things"), records).close()
        journal = tmp_path / "journal"
        before, modes = tree(tmp_path), {path: path.stat().st_mode for path in [tmp_path, *tmp_path.rglob("*")]}
        for path in list(modes)[1:]:
            path.chmod(modes[path] & ~0o222)  # not even a user who may not write can tell
        try:
            with open_source(url("things")) as source, open_store(f"memory://{tmp_path.name}#new") as target:
                migrate(translator(), source, target, journal=journal, options=Options(ids_as_text=True))
                assert target.info().count == N
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        journal.unlink()
        assert tree(tmp_path) == before

    def test_changes_during_a_migration_are_listed_and_a_catch_up_copies_them(
        self, opened: Open, url: Callable[[str], str], tmp_path: Path
    ) -> None:
        capabilities = opened("probe").capabilities
        records = self.rows(capabilities.ids[-1], capabilities.payload, 40)
        old = records.rows(0, 39)
        self.fill(opened("things"), old).close()
        turned = Records(records.ids, records.vectors.copy(), records.payload)
        turned.vectors[[3, 17]] = -turned.vectors[[3, 17]]

        def on_rows(phase: str, done: int, rows: int) -> None:
            if phase != "indexing":
                return
            with open_store(url("things")) as writing:
                if writing.capabilities.appends:
                    writing.drop()
                    self.fill(writing, turned)
                    return
                writing.prepare(self.spec(old), len(old))
                writing.upsert(turned.take([3, 17, 39]))

        options = Options(page_rows=9)
        with open_source(url("things")) as source, open_store(f"memory://{tmp_path.name}#new") as target:
            done = migrate(translator(), source, target, journal=tmp_path / "j", options=options, on_rows=on_rows)
        lines = [json.loads(line) for line in Path(str(done.changed_ids)).read_text("utf-8").splitlines()]
        ids = records.ids.to_pylist()
        assert (done.updated, done.added, done.deleted) == (2, 1, 0)
        assert {line["id"] for line in lines if line["change"] == "updated"} == {ids[3], ids[17]}
        assert [line["id"] for line in lines if line["change"] == "added"] == [ids[39]]
        with open_source(url("things")) as source, open_store(f"memory://{tmp_path.name}#new") as target:
            caught = catch_up(translator(), source, target, journal=tmp_path / "j")
            assert (caught.updated, caught.added, caught.deleted) == (2, 1, 0)
            found = self.whole(target).in_order_of(records.ids, "test")
            stored = self.whole(source).in_order_of(records.ids, "test")
            np.testing.assert_allclose(found.vectors, translator().translate(stored.vectors), atol=1e-5)
            again = migrate(translator(), source, target, journal=tmp_path / "j", options=options, resume=True)
            assert (again.finished_before, again.rows, again.resumed_from) == (True, 40, 40)
            assert (again.updated, again.added, again.deleted, again.changed_ids) == (0, 0, 0, None)

    def test_a_catch_up_into_it_writes_the_new_rows_only(self, opened: Open, tmp_path: Path) -> None:
        target = opened("things")
        records = self.rows(target.capabilities.ids[-1], target.capabilities.payload, 40)
        with open_store(f"memory://{tmp_path.name}#old") as source:
            source.create(self.spec(records))
            source.upsert(records.rows(0, 39))
            migrate(translator(), source, target, journal=tmp_path / "j", options=Options(metric="cosine"))
            turned = Records(records.ids, -records.vectors, records.payload)
            source.upsert(turned.take([3, 39]))
            if target.capabilities.appends:
                with pytest.raises(InputError, match="can only append rows, so none can be replaced"):
                    catch_up(translator(), source, target, journal=tmp_path / "j")
                return
            done = catch_up(translator(), source, target, journal=tmp_path / "j")
            assert (done.read, done.updated, done.added) == (40, 1, 1)
            options = Options(metric="cosine")
            again = migrate(translator(), source, target, journal=tmp_path / "j", options=options, resume=True)
            assert (again.finished_before, again.rows, again.changed_ids) == (True, 40, None)
            expected = self.whole(source)
        found = self.whole(opened("things")).in_order_of(expected.ids, "test")
        wanted = translator().translate(expected.vectors)
        if target.capabilities.normalizes:
            wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
        np.testing.assert_allclose(found.vectors, wanted, atol=1e-5)
        assert same_payload(found.payload, expected.payload)

    def test_a_catch_up_deletes_in_it_what_the_source_lost_and_nothing_else(self, opened: Open, tmp_path: Path) -> None:
        target = opened("things")
        records = self.rows(target.capabilities.ids[-1], target.capabilities.payload, 41)
        if not target.capabilities.deletes:
            with pytest.raises(InputError, match=r"cannot delete rows\. Leave delete_vanished=True out"):
                target.delete(records.ids)
            return
        with open_store(f"memory://{tmp_path.name}#old") as source:
            source.create(self.spec(records))
            source.upsert(records.rows(0, 40))
            migrate(translator(), source, target, journal=tmp_path / "j", options=Options(metric="cosine"))
            own = records.rows(40)
            target.upsert(Records(own.ids, translator().translate(own.vectors), own.payload))
            source.delete(records.take([7, 20]).ids)
            kept = catch_up(translator(), source, target, journal=tmp_path / "j")
            assert (kept.deleted, kept.removed, len(self.whole(target))) == (2, 0, 41)
            target.delete(own.ids)  # a resume expects the rows of the migration alone
            options, journal = Options(metric="cosine"), tmp_path / "j"
            same = migrate(translator(), source, target, journal=journal, options=options, resume=True)
            assert (same.deleted, same.changed_ids) == (2, None)
            target.upsert(Records(own.ids, translator().translate(own.vectors), own.payload))
            done = catch_up(translator(), source, target, journal=tmp_path / "j", delete_vanished=True)
            assert (done.deleted, done.removed) == (2, 2)
            again = catch_up(translator(), source, target, journal=tmp_path / "j", delete_vanished=True)
            assert (again.deleted, again.removed, again.listed) == (0, 0, None)
        target.close()
        ids = records.ids.to_pylist()
        assert sorted(self.whole(opened("things")).ids.to_pylist()) == sorted({*ids} - {ids[7], ids[20]})

    def test_a_catch_up_into_it_writes_lost_rows_again(self, opened: Open, tmp_path: Path) -> None:
        target = opened("things")
        records = self.rows(target.capabilities.ids[-1], target.capabilities.payload, 40)
        if not target.capabilities.deletes:
            return
        options, journal = Options(metric="cosine"), tmp_path / "j"
        with open_store(f"memory://{tmp_path.name}#old") as source:
            source.create(self.spec(records))
            source.upsert(records)
            migrate(translator(), source, target, journal=journal, options=options)
            target.delete(records.take([7, 20]).ids)
            with pytest.raises(InterlinguaError, match="2 of 40 rows that were written are missing"):
                migrate(translator(), source, target, journal=journal, options=options, resume=True)
            done = catch_up(translator(), source, target, journal=journal)
            assert (done.updated, done.added, done.deleted, done.restored) == (0, 0, 0, 2)
            again = migrate(translator(), source, target, journal=journal, options=options, resume=True)
            assert (again.rows, again.changed_ids) == (40, None)
            target.delete(records.ids)
            assert catch_up(translator(), source, target, journal=journal).restored == 40
            assert migrate(translator(), source, target, journal=journal, options=options, resume=True).rows == 40

    def replaced(self, tmp_path: Path, target: Store, journal: Path, *, stop: str | None) -> Records:
        """Migrate 40 rows into a target, up to a phase, and return the rows."""
        records = self.rows(target.capabilities.ids[-1], target.capabilities.payload, 40)

        def on_rows(phase: str, done: int, rows: int) -> None:
            if phase == stop:
                raise KeyboardInterrupt

        with open_store(f"memory://{tmp_path.name}#old") as source:
            if not source.exists():
                source.create(self.spec(records))
                source.upsert(records)
            with contextlib.suppress(KeyboardInterrupt):
                options = Options(metric="cosine", page_rows=16)
                migrate(translator(), source, target, journal=journal, options=options, on_rows=on_rows)
        return records

    @pytest.mark.parametrize("stop", ["copying", "indexing", None])
    def test_a_target_that_something_else_replaced_is_neither_dropped_nor_written_to(
        self, stop: str | None, opened: Open, tmp_path: Path
    ) -> None:
        target, journal = opened("things"), tmp_path / "j"
        records = self.replaced(tmp_path, target, journal, stop=stop)
        target.drop()
        target.close()
        with opened("things") as other:
            self.fill(other, records)
        options = Options(metric="cosine", page_rows=16)
        refused = r"is not what the migration of .*j made: .*Something has replaced it, and nothing was dropped"
        with open_store(f"memory://{tmp_path.name}#old") as source, opened("things") as again:
            with pytest.raises(InputError, match=refused):
                migrate(translator(), source, again, journal=journal, options=options, resume=True)
            if stop is None and not again.capabilities.appends:
                source.upsert(Records(records.ids, -records.vectors, records.payload))
                with pytest.raises(InputError, match=refused):
                    catch_up(translator(), source, again, journal=journal)
        with opened("things") as again, pytest.raises(InputError, match=refused):
            rollback(journal, target=again)
        found = self.whole(opened("things")).in_order_of(records.ids, "test")
        np.testing.assert_allclose(found.vectors, records.vectors, atol=1e-6)

    def test_the_same_rows_of_another_migration_are_not_dropped_where_a_collection_has_a_mark(
        self, opened: Open, tmp_path: Path
    ) -> None:
        with opened("things") as target:
            self.replaced(tmp_path, target, tmp_path / "first", stop=None)
            has_mark = target.creation() is not None
            target.drop()
        with opened("things") as target:
            self.replaced(tmp_path, target, tmp_path / "second", stop=None)
            marks = [target.creation(), opened("things").creation()]
        assert marks[0] == marks[1]
        if has_mark and not target.capabilities.appends:
            with opened("things") as target, pytest.raises(InputError, match="was made and .* is there"):
                rollback(tmp_path / "first", target=target)
        with opened("things") as target:
            rollback(tmp_path / "second", target=target)
        assert not opened("things").exists()

    def test_what_a_migration_made_says_so(self, opened: Open, url: Callable[[str], str], tmp_path: Path) -> None:
        with opened("things") as target:
            records = self.replaced(tmp_path, target, tmp_path / "j", stop=None)
        with open_source(url("things")) as made:
            assert made.is_migrated() == self.marks
            assert len(self.whole(made)) == 40
            if not made.capabilities.adds_vectors:
                return
        with self.fill(opened("plain"), records) as plain:
            names = (*plain.url.names[:1], plain.info().vector_name or "")
            old = replace(plain.url, names=tuple(filter(None, names)))
        with open_store(old) as source, open_store(replace(old, names=(*names[:1], self.beside))) as target:
            migrate(translator(), source, target, journal=tmp_path / "v", options=Options(metric="cosine"))
            assert (target.migration(vector_only=True) is not None) == self.marks_vectors
            assert target.is_migrated()

    def test_what_a_migration_embedded_says_so_and_not_that_it_was_translated(
        self, opened: Open, url: Callable[[str], str], tmp_path: Path
    ) -> None:
        kinds, address = opened("probe").capabilities, f"memory://{tmp_path.name}#texts"
        embedder = TextEmbedder.of(by_characters, "title", "by characters")
        rows = self.rows(kinds.ids[0], "none", 20)
        with open_store(address) as source:
            self.fill(source, replace(rows, payload=pa.table({"title": [f"title {i}" for i in range(20)]})))
        options = Options(metric="cosine", drop_payload=kinds.payload == "none")
        with open_source(address) as source, opened("made") as target:
            migrate(embedder, source, target, journal=tmp_path / "e", options=options)
        with open_source(url("made")) as made:
            assert (made.is_embedded(), made.is_migrated()) == (self.marks, False)

    def test_a_vector_that_a_migration_embedded_beside_another_says_so(self, opened: Open, tmp_path: Path) -> None:
        capabilities = opened("probe").capabilities
        if not capabilities.adds_vectors:
            return
        rows = self.rows(capabilities.ids[0], "none", 20)
        records = replace(rows, payload=pa.table({"title": [f"title {i}" for i in range(20)]}))
        embedder = TextEmbedder.of(by_characters, "title", "by characters")
        with self.fill(opened("plain"), records) as plain:
            names = (*plain.url.names[:1], plain.info().vector_name or "")
            old = replace(plain.url, names=tuple(filter(None, names)))
        with open_store(old) as source, open_store(replace(old, names=(*names[:1], self.beside))) as target:
            migrate(embedder, source, target, journal=tmp_path / "e", options=Options(metric="cosine"))
            assert (target.is_embedded(), target.is_migrated()) == (self.marks, False)
            assert not source.is_embedded()

    def test_what_no_migration_wrote_does_not_say_so(self, opened: Open, url: Callable[[str], str]) -> None:
        kinds = opened("probe").capabilities
        records = self.rows(kinds.ids[0], kinds.payload)
        target = opened("things")
        spec = self.spec(records, job="")
        target.create(spec)
        target.prepare(spec, 0)
        target.upsert(records)
        target.finish()
        assert not target.is_migrated()
        assert target.migration() is None
        target.close()
        with open_source(url("things")) as made:
            assert not made.is_migrated()

    @pytest.mark.parametrize("stop", ["writing", "copying", "indexing", "checking", None])
    def test_a_rollback_drops_what_a_migration_made_however_far_it_came(
        self, stop: str | None, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with opened("things") as target, monkeypatch.context() as patch:
            if stop == "writing":  # the journal knows the first rows, and the target does not have them yet
                patch.setattr(target, "upsert", self.interrupt)
            records = self.replaced(tmp_path, target, tmp_path / "j", stop=stop)
        if stop in {"writing", "copying"}:
            with open_store(f"memory://{tmp_path.name}#old") as source, opened("things") as target:
                options = Options(metric="cosine", page_rows=16)
                migrate(translator(), source, target, journal=tmp_path / "j", options=options, resume=True)
                assert len(self.whole(target)) == 40
            with opened("things") as target:
                rollback(tmp_path / "j", target=target)
            with opened("things") as target, monkeypatch.context() as patch:
                if stop == "writing":
                    patch.setattr(target, "upsert", self.interrupt)
                (tmp_path / "j").unlink()
                self.replaced(tmp_path, target, tmp_path / "j", stop=stop)
        if stop is None and not target.capabilities.appends:
            # A catch-up may replace every row that the journal keeps.
            with open_store(f"memory://{tmp_path.name}#old") as source, opened("things") as target:
                source.upsert(Records(records.ids, -records.vectors, records.payload))
                catch_up(translator(), source, target, journal=tmp_path / "j")
        with opened("things") as target:
            rollback(tmp_path / "j", target=target)
        assert not opened("things").exists()

    @pytest.mark.parametrize("fills", [True, False])
    def test_a_collection_that_was_made_before_the_journal_knew_is_dropped_if_it_is_empty(
        self, fills: bool, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = opened("things")
        with monkeypatch.context() as patch:
            patch.setattr(type(target), "creation", self.interrupt)
            records = self.replaced(tmp_path, target, tmp_path / "j", stop=None)
        target.close()
        with opened("things") as other:
            if other.exists():
                other.drop()
            if fills:
                self.fill(other, records)
            elif not other.capabilities.appends:
                other.create(self.spec(records))
        with opened("things") as target:
            if not fills:
                rollback(tmp_path / "j", target=target)
                assert not target.exists()
                return
            with pytest.raises(InputError, match="it holds rows, and the migration was interrupted before it wrote"):
                rollback(tmp_path / "j", target=target)
            assert len(self.whole(target)) == 40

    @pytest.mark.parametrize("stop", [16, 32])
    def test_a_migration_from_it_is_resumed_after_rows_were_added(
        self, stop: int, opened: Open, tmp_path: Path
    ) -> None:
        capabilities = opened("probe").capabilities
        if capabilities.appends:
            return  # nothing is added to a finished file
        records, number = self.rows(capabilities.ids[-1], capabilities.payload, 60), np.arange(60)
        first, later = records.take(number[number % 3 != 1]), records.take(number[number % 3 == 1])
        self.fill(opened("things"), first).close()
        options, journal = Options(page_rows=16, metric="cosine"), tmp_path / "j"

        def on_rows(phase: str, done: int, rows: int) -> None:
            if (phase, done) == ("copying", stop):
                raise KeyboardInterrupt

        with open_store(f"memory://{tmp_path.name}#new") as target:
            with opened("things") as source, pytest.raises(KeyboardInterrupt):
                migrate(translator(), source, target, journal=journal, options=options, on_rows=on_rows)
            with opened("things") as source:
                source.prepare(self.spec(records), 40)
                source.upsert(later)
                source.finish()
            with opened("things") as source:
                done = migrate(translator(), source, target, journal=journal, options=options, resume=True)
            assert (done.rows, done.resumed_from, done.added, done.updated, done.deleted) == (40, stop, 20, 0, 0)
            assert sorted(self.whole(target).ids.to_pylist()) == sorted(first.ids.to_pylist())
            with opened("things") as source:
                assert catch_up(translator(), source, target, journal=journal).added == 20
            assert sorted(self.whole(target).ids.to_pylist()) == sorted(records.ids.to_pylist())

    def test_a_catch_up_keeps_vectors_that_something_else_has_written(self, opened: Open, tmp_path: Path) -> None:
        with opened("things") as target:
            if target.capabilities.appends:
                return  # no catch-up writes to a file
            records, journal = self.replaced(tmp_path, target, tmp_path / "j", stop=None), tmp_path / "j"
            d, more = target.info().d, self.rows(target.capabilities.ids[-1], target.capabilities.payload, 45)
        native = Records(more.ids.take([3, 40]), more.vectors[[3, 40], :d].copy(), more.take([3, 40]).payload)
        with opened("things") as target:
            target.prepare(self.spec(records, d=d), 40)
            target.upsert(native)
            target.finish()
        with open_store(f"memory://{tmp_path.name}#old") as source, opened("things") as target:
            changed = more.take([3, 4, 40, 41])
            source.upsert(Records(changed.ids, -changed.vectors, changed.payload))
            dry = catch_up(translator(), source, target, journal=journal, dry_run=True)
            assert (dry.updated, dry.added, dry.kept) == (2, 2, 2)
            assert len(self.whole(target)) == 41
            assert catch_up(translator(), source, target, journal=journal).kept == 2
            again = catch_up(translator(), source, target, journal=journal)
            assert (again.updated, again.added, again.kept) == (1, 1, 2)
        with opened("things") as target:
            kept = target.fetch(native.ids).vectors
            cosines = (unit_rows(np.asarray(kept)) * unit_rows(native.vectors)).sum(axis=1)
            np.testing.assert_allclose(cosines, 1, atol=1e-3)
            written = target.fetch(changed.ids.take([1, 3])).vectors
        wanted = translator().translate(-changed.vectors[[1, 3]])
        np.testing.assert_allclose(unit_rows(np.asarray(written)), unit_rows(wanted), atol=1e-3)
        with open_store(f"memory://{tmp_path.name}#old") as source, opened("things") as target:
            source.delete(native.ids.slice(0, 1))
            gone = catch_up(translator(), source, target, journal=journal, delete_vanished=True)
            assert (gone.deleted, gone.removed) == (1, 0)
            assert catch_up(translator(), source, target, journal=journal, allow_loss=True).kept == 0
            assert rollback(journal, target=target, dry_run=True).edited == 1

    @pytest.mark.parametrize(
        ("loss", "reason"),
        [
            (
                "added",
                r"holds 41 rows, among them 1 row that the migration did not write, for example the one",
            ),
            ("edited", r"holds 40 rows, among them 3 rows whose vector something else has written since, for example"),
            ("deleted", r"3 rows of .* have no usable vector in memory://.*#old any more\."),
            ("source", r"may be the last ones, because memory://.*#old cannot be read: .* does not exist"),
        ],
    )
    def test_a_rollback_refuses_to_destroy_what_is_nowhere_else(
        self, loss: str, reason: str, opened: Open, tmp_path: Path
    ) -> None:
        journal, source = tmp_path / "j", open_store(f"memory://{tmp_path.name}#old")
        with opened("things") as target:
            if target.capabilities.appends and loss in {"added", "edited"}:
                return  # the mark of a file changes with its content
            records = self.replaced(tmp_path, target, journal, stop=None)
            d, kind = target.info().d, target.capabilities.ids[-1]
        with opened("things") as target:
            assert rollback(journal, target=target, dry_run=True).losses("old") == []
        if loss == "source":
            source.drop()
        elif loss == "deleted":
            source.delete(records.ids.slice(7, 3))
        else:
            more = self.rows(kind, "none", 41)
            chosen = slice(40, 41) if loss == "added" else slice(5, 8)
            payload = None if records.payload is None else records.payload.slice(0, chosen.stop - chosen.start)
            rows = more.rows(chosen.start, chosen.stop)
            with opened("things") as target:
                target.prepare(self.spec(records, d=d), 40)
                target.upsert(Records(rows.ids, -np.ascontiguousarray(rows.vectors[:, :d]), payload))
                target.finish()
        with opened("things") as target:
            found = rollback(journal, target=target, dry_run=True)
            assert found.dropped == str(target.url)
            counts = loss == "added", 3 * (loss == "edited"), 3 * (loss == "deleted")
            assert (found.added, found.edited, found.unsaved) == counts
            with pytest.raises(InputError, match=f"would destroy what is nowhere else.*{reason}.*allow_loss=True"):
                rollback(journal, target=target)
            assert len(self.whole(target)) == (41 if loss == "added" else 40)
        with opened("things") as target:
            assert rollback(journal, target=target, allow_loss=True).dropped == str(target.url)
        assert not opened("things").exists()

    @staticmethod
    def interrupt(store: Store, *given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    def test_a_vector_that_something_else_replaced_is_not_dropped(
        self, opened: Open, url: Callable[[str], str], tmp_path: Path
    ) -> None:
        capabilities = opened("probe").capabilities
        if not capabilities.adds_vectors:
            return
        records = self.rows(capabilities.ids[-1], capabilities.payload, 40)
        with self.fill(opened("things"), records) as things:
            names = (*things.url.names[:1], things.info().vector_name or "")
            old = replace(things.url, names=tuple(filter(None, names)))
        address = replace(old, names=(*names[:1], self.beside))

        def run(**how: Any) -> None:
            with open_store(old) as source, open_store(address) as target:
                migrate(translator(), source, target, journal=tmp_path / "j", options=Options(page_rows=16), **how)

        run()
        with open_store(address) as other:
            other.drop(vector_only=True)
            spec = self.spec(records, as_new_vector=True, job="other")
            other.create(spec)
            other.prepare(spec, 0)
            other.upsert(Records(records.ids, -records.vectors, records.payload))
            other.finish()
        with pytest.raises(InputError, match="Something has replaced it"):
            run(resume=True)
        with pytest.raises(InputError, match="Something has replaced it"):
            rollback(tmp_path / "j")
        with open_store(address) as other:
            assert other.info().count == 40
            other.drop(vector_only=True)
        with pytest.raises(InputError, match="is not there; was it renamed"):
            rollback(tmp_path / "j")
        (tmp_path / "j").unlink()
        run()
        with open_store(address) as again:
            rollback(tmp_path / "j", target=again)
        with open_store(address) as again:
            assert not again.exists()
        assert opened("things").info().count == 40

    @pytest.mark.parametrize("fault", ["repeated", "mixed"])
    def test_repeated_and_mixed_ids_are_refused_before_anything_is_made_in_it(
        self, fault: str, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = opened("things")
        kinds = target.capabilities.ids
        records = self.rows(kinds[-1], target.capabilities.payload, 40)
        other = Records(pa.array(self.text_ids(40)) if "int" in kinds else pa.array(range(40)), *records_of(records))
        with open_store(f"memory://{tmp_path.name}#old") as source:
            source.create(self.spec(records))
            source.upsert(records)
            later = records.rows(39) if fault == "repeated" else other.rows(0, 1)
            if fault == "mixed" and later.ids.type == records.ids.type:
                later = Records(pa.array([7]), later.vectors, later.payload)
            honest = type(source).scan

            def scan(store: Store, size: int, after: Any = None) -> Iterator[Any]:
                yield from honest(store, size, after)
                yield later, 41

            monkeypatch.setattr(type(source), "scan", scan)
            monkeypatch.setattr(source, "info", lambda info=source.info(): replace(info, count=41))  # noqa: B008
            with pytest.raises(InputError, match="ids are not unique|one type is needed"):
                migrate(translator(), source, target, journal=tmp_path / "j", options=Options(metric="cosine"))
        assert not opened("things").exists()

    def half_filled(self, opened: Open, url: Callable[[str], str], records: Records) -> str | None:
        """Make a collection in which only the first half of the rows has the vector; return its address."""
        if not opened("probe").capabilities.adds_vectors:
            return None
        self.fill(opened("things"), records)
        base = url("things").rsplit("#", 1)
        address = f"{base[0]}#{base[1].split('.')[0]}.{self.beside}"
        with open_store(address) as second:
            spec = self.spec(records, as_new_vector=True)
            second.create(spec)
            second.prepare(spec, 0)
            second.upsert(records.rows(0, len(records) // 2))
        return address

    def test_rows_without_a_vector_are_counted_refused_and_left_out(
        self, opened: Open, url: Callable[[str], str], tmp_path: Path
    ) -> None:
        capabilities = opened("probe").capabilities
        records = self.rows(capabilities.ids[-1], capabilities.payload, 40)
        if "skip_null" not in capabilities.selects:
            with pytest.raises(InputError, match="cannot select rows"):
                opened("probe").restrict(skip_null=True)
            return
        address = self.half_filled(opened, url, records)
        assert address is not None
        with open_source(address) as source, open_store(f"memory://{tmp_path.name}#new") as target:
            assert plan(translator(), source, target).nulls == 20
            with pytest.raises(InputError, match="20 rows have no vector and 20 have one"):
                migrate(translator(), source, target, journal=tmp_path / "j")
            chosen = {"null": Options(page_rows=7, skip_null=True), "bad": Options(page_rows=7, skip_bad=True)}
            for name, options in chosen.items():
                with open_store(f"memory://{tmp_path.name}#{name}") as new:
                    done = migrate(translator(), source, new, journal=tmp_path / name, options=options)
                    assert sorted(self.whole(new).ids.to_pylist()) == sorted(records.ids.to_pylist()[:20])
                lines = Path(str(done.skipped_ids)).read_text("utf-8").splitlines()
                assert sorted(map(json.loads, lines)) == sorted(records.ids.to_pylist()[20:])

    def test_texts_of_rows_without_an_old_vector_are_embedded(
        self, opened: Open, url: Callable[[str], str], tmp_path: Path
    ) -> None:
        capabilities = opened("probe").capabilities
        if "skip_null" not in capabilities.selects:
            return
        rows = self.rows(capabilities.ids[-1], "none", 40)
        records = Records(rows.ids, rows.vectors, pa.table({"title": ["x" * (i + 1) for i in range(40)]}))
        address = self.half_filled(opened, url, records)
        assert address is not None
        embedder = TextEmbedder.of(lambda texts: [[len(text), 1.0] for text in texts], "title", "lengths")
        with open_source(address) as source:
            for name, options in {"": Options(page_rows=7), "bad": Options(page_rows=7, skip_bad=True)}.items():
                with open_store(f"memory://{tmp_path.name}#new{name}") as new:
                    done = migrate(embedder, source, new, journal=tmp_path / f"j{name}", options=options)
                    assert (done.rows, done.plan.nulls, done.skipped_ids) == (40, 0, None)
                    assert sorted(self.whole(new).ids.to_pylist()) == sorted(records.ids.to_pylist())
                    found = catch_up(embedder, source, new, journal=tmp_path / f"j{name}")
                    assert (found.read, found.updated, found.added) == (40, 0, 0)
            with open_store(f"memory://{tmp_path.name}#filled") as new:
                done = migrate(embedder, source, new, journal=tmp_path / "k", options=Options(skip_null=True))
                assert (done.rows, done.plan.nulls) == (20, 20)
                assert sorted(self.whole(new).ids.to_pylist()) == sorted(records.ids.to_pylist()[:20])

    @pytest.mark.parametrize("with_title", [0, 60])
    def test_texts_are_found_by_the_name_that_embedding_them_takes(
        self, opened: Open, url: Callable[[str], str], tmp_path: Path, with_title: int
    ) -> None:
        capabilities = opened("probe").capabilities
        if capabilities.payload == "none":
            return
        rows = self.rows(capabilities.ids[-1], "none", 60)
        titles = [f"The description of number {i}" if i < with_title else "" for i in range(60)]
        facts = [
            {"category": f"c{i % 7}", "number": i, "url": f"https://example.org/a/path/{i}", "title": title}
            for i, title in enumerate(titles)
        ]
        payload = from_documents(facts) if capabilities.payload == "documents" else pa.Table.from_pylist(facts)
        self.fill(opened("things"), Records(rows.ids, rows.vectors, payload)).close()
        assert il.plan(url("things")).texts == (("title",) if with_title else ())
        with open_source(url("things")) as source, open_store(f"memory://{tmp_path.name}#new") as new:
            for name in (JSON_COLUMN, "titel"):
                wrong = TextEmbedder.of(lambda texts: [[len(text), 1.0] for text in texts], name, "lengths")
                named = "title" if with_title or capabilities.payload == "typed" else "category"
                with pytest.raises(InputError, match=rf"(with text|its columns are).*\b{named}\b"):
                    plan(wrong, source, new)
            if with_title:
                embedder = TextEmbedder.of(lambda texts: [[len(text), 1.0] for text in texts], "title", "lengths")
                migrate(embedder, source, new, journal=tmp_path / "j")
                found = self.whole(new).in_order_of(rows.ids, "new")
                np.testing.assert_allclose(found.vectors[:, 0], [len(title) for title in titles])

    def test_every_type_of_payload_is_kept_or_refused_before_anything_is_made(self, opened: Open) -> None:
        store = opened("things")
        if store.capabilities.payload == "none":
            with pytest.raises(InputError, match="holds no payload"):
                store.check(self.spec(self.rows("int", "documents", 3)))
            return
        rows, kept = self.rows(store.capabilities.ids[-1], "none", 3), dict[str, pa.Array]()
        for name, column in payload_types().items():
            one = Records(rows.ids, rows.vectors, typed_table({name: column}))
            with contextlib.suppress(InputError):
                store.check(self.spec(one))
                store.check_records(one, self.spec(one))
                kept[name] = column
        capabilities = store.capabilities
        refuses = frozenset(capabilities.refuses) if self.refuses is None else self.refuses
        changes = frozenset(capabilities.changes) if self.changes is None else self.changes
        assert payload_types().keys() - kept.keys() == refuses
        assert not store.exists()
        records = Records(rows.ids, rows.vectors, typed_table(kept))
        assert records.payload is not None
        declared = {field.name: type_name(store.kept(field)) for field in records.payload.schema}
        assert {f.name for f in records.payload.schema if type_name(f) != declared[f.name]} == changes
        assert not store.exists()
        self.fill(store, records)
        found = self.whole(opened("things")).in_order_of(records.ids, "test").payload
        assert found is not None
        if found.schema.names == [records.payload.schema.names[0]] or not set(kept) <= set(found.schema.names):
            assert same_payload(found, records.payload)
            return
        for name in kept:
            assert same_payload(found.select([name]), records.payload.select([name])), name
            if self.keeps_types and not is_json(found.schema.field(name)):
                assert type_name(found.schema.field(name)) == declared[name], name

    def test_what_is_not_there_is_refused_and_not_made(self, opened: Open) -> None:
        with pytest.raises(InputError):
            opened("nothing").info()
        assert not opened("nothing").exists()

    def test_hostile_names_are_names(self, opened: Open, records: Records) -> None:
        self.fill(opened("things"), records.rows(0, 20))
        try:
            self.fill(opened(self.hostile), records.rows(0, 30))
        except InputError:
            pass  # a store may forbid a name; it may not do anything else with it
        else:
            assert len(self.whole(opened(self.hostile))) == 30
            opened(self.hostile).drop()
            assert not opened(self.hostile).exists()
        assert opened("things").info().count == 20

    def test_a_second_vector_stands_beside_the_first(
        self, opened: Open, url: Callable[[str], str], records: Records
    ) -> None:
        store = self.fill(opened("things"), records)
        if not store.capabilities.adds_vectors:
            with pytest.raises(InputError, match="cannot add a second vector"):
                store.check(self.spec(records, as_new_vector=True))
            return
        base = url("things").rsplit("#", 1)
        second = open_store(f"{base[0]}#{base[1].split('.')[0]}.{self.beside}")
        try:
            spec = self.spec(records, as_new_vector=True, d=5)
            second.create(spec)
            second.prepare(spec, 0)
            narrow = Records(records.ids, np.ascontiguousarray(records.vectors[:, :5]), records.payload)
            narrow.vectors[:] /= np.linalg.norm(narrow.vectors, axis=1, keepdims=True)
            for start in range(0, N, 100):
                second.upsert(narrow.rows(start, min(start + 100, N)))
            second.finish()
            found = self.whole(second).in_order_of(records.ids, "test")
            np.testing.assert_allclose(found.vectors, narrow.vectors, atol=1e-6)
            assert same_payload(found.payload, records.payload)
            second.drop(vector_only=True)
            assert not second.exists()
            first = self.whole(opened("things")).in_order_of(records.ids, "test")
            np.testing.assert_allclose(first.vectors, records.vectors, atol=1e-6)
        finally:
            second.close()
