"""A package adds a store of its own through an entry point, and cannot replace one of interlingua's."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from interlingua.cli import main
from interlingua.core.errors import InputError, InputWarning
from interlingua.stores import STORES, Spec, StoreKind, available_stores, open_store, registry
from interlingua.stores._url import parse_url
from interlingua.stores.memory import MemoryStore
from interlingua.stores.migration import migrate
from stores.migrations import D_IN as D
from stores.migrations import assert_migrated, fill, translator, whole

KIND = StoreKind(
    scheme="shelf",
    title="Shelf",
    adapter="shelf_store:ShelfStore",
    addresses=("shelf://name#collection.vector", "shelf://host/room#collection"),
    options=("color",),
    secret="SHELF_KEY",
    secret_options=("key",),
)


class ShelfStore(MemoryStore):
    """A store with what a package may add to the contract: an option and a check of its own."""

    def check(self, spec: Spec) -> None:
        super().check(spec)
        if self.url.options.get("color") == "red":
            raise InputError(f"{self.url}: red shelves are full.")


def declare(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str, Any]) -> None:
    """Let entry points of our group appear as if packages with these objects were installed."""
    for _, value, thing in points:
        module, _, name = value.partition(":")
        monkeypatch.setitem(sys.modules, module, sys.modules.get(module) or ModuleType(module))
        setattr(sys.modules[module], name, thing)
    declared = EntryPoints(EntryPoint(name, value, registry.ENTRY_POINTS) for name, value, _ in points)
    monkeypatch.setattr("interlingua.core.entrypoints.entry_points", declared.select)


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ("shelf", "shelf_store:KIND", KIND))
    monkeypatch.setattr(sys.modules["shelf_store"], "ShelfStore", ShelfStore, raising=False)


@pytest.mark.usefixtures("shelf")
def test_a_store_of_a_package_is_opened_by_its_scheme_and_migrated_to(tmp_path: Path) -> None:
    with open_store(f"shelf://{tmp_path.name}#old.v") as old, open_store(f"shelf://{tmp_path.name}#new.v") as new:
        assert isinstance(old, ShelfStore)
        assert (old.title, str(new.url)) == ("Shelf", f"shelf://{tmp_path.name}#new.v")
        fill(old, pa.array(range(40)), None)
        records = whole(old)
        migrate(translator(), old, new, journal=tmp_path / "j")
        assert_migrated(records, new)
    assert available_stores()["shelf"] is KIND
    assert STORES.keys() < available_stores().keys()


@pytest.mark.usefixtures("shelf")
def test_its_options_and_secrets_are_checked_like_those_of_the_others() -> None:
    assert parse_url("shelf://a?color=red#c").options == {"color": "red"}
    with pytest.raises(InputError, match="an option that it does not take; known are: color"):
        parse_url("shelf://a?colour=red#c")
    with pytest.raises(InputError, match="holds a password.* set SHELF_KEY") as caught:
        parse_url("shelf://a?key=s3cret#c")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(InputError, match="red shelves are full"):
        open_store("shelf://red?color=red#c").create(Spec(4, "cosine", pa.int64(), None, 1))


@pytest.mark.usefixtures("shelf")
def test_an_unknown_scheme_is_refused_with_all_names() -> None:
    with pytest.raises(InputError, match="self:// is not a store that interlingua knows; it knows file, .*, shelf"):
        open_store("self://a#c")


@pytest.mark.parametrize("scheme", ["qdrant", "file", "postgres"])
def test_the_scheme_of_another_store_is_refused_and_never_replaces_it(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, (scheme, "shelf_store:KIND", KIND))
    with pytest.raises(InputError, match=f"The entry point {scheme} = shelf_store:KIND .* the scheme of another store"):
        available_stores()
    with pytest.raises(InputError, match="the scheme of another store"):
        open_store("shelf://a#c")
    assert parse_url("memory://a#c").kind is STORES["memory"]


def test_two_packages_with_one_scheme_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, ("shelf", "shelf_store:KIND", KIND), ("shelf", "other_store:KIND", KIND))
    with pytest.raises(InputError, match="other_store:KIND .* the scheme of another store"):
        available_stores()


@pytest.mark.parametrize(("name", "thing"), [("shelf", ShelfStore), ("rack", KIND), ("shelf", None)])
def test_an_entry_point_that_is_no_kind_of_this_scheme_is_refused(
    name: str, thing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, (name, "shelf_store:KIND", thing))
    with pytest.raises(InputError, match=f"is not a StoreKind with the scheme '{name}'"):
        open_store(f"{name}://a#c")


def test_an_entry_point_that_cannot_be_imported_is_left_out_and_refused_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = EntryPoints([EntryPoint("shelf", "no_such_module_of_shelves:KIND", registry.ENTRY_POINTS)])
    monkeypatch.setattr("interlingua.core.entrypoints.entry_points", declared.select)
    message = "no_such_module_of_shelves:KIND .*cannot be imported .ModuleNotFoundError"
    with pytest.warns(InputWarning, match=message):
        assert "shelf" not in available_stores()
    with pytest.raises(InputError, match=message):
        open_store("shelf://a#c")
    with pytest.warns(InputWarning, match=message):
        assert "qdrant://" in registry.address_forms()


@pytest.mark.usefixtures("shelf")
def test_an_adapter_that_is_no_store_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["shelf_store"], "ShelfStore", dict)
    with pytest.raises(InputError, match="shelf_store:ShelfStore of shelf:// is not a subclass of Store"):
        open_store("shelf://a#c")


@pytest.mark.usefixtures("shelf")
def test_doctor_and_help_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    stores = json.loads(capsys.readouterr().out)["stores"]
    assert stores.keys() == available_stores().keys()
    assert stores["shelf"] == {"title": "Shelf", "extra": None, "installed": True}
    assert "or shelf://" in registry.address_forms()
    assert registry.secret_sources().endswith("SHELF_KEY")


def test_doctor_reports_a_store_that_cannot_be_used_and_help_is_still_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(monkeypatch, ("qdrant", "shelf_store:KIND", KIND))
    assert main(["doctor", "--json"]) == 1
    assert "has the scheme of another store" in json.loads(capsys.readouterr().out)["problems"][-1]
    assert "qdrant://" in registry.address_forms()


def test_an_installed_package_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "racks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: racks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[interlingua.stores]\nrack = racks_of_this_test:KIND\n")
    (tmp_path / "racks_of_this_test.py").write_text(
        "from interlingua.stores import StoreKind\n"
        "from interlingua.stores.memory import MemoryStore\n"
        "class Rack(MemoryStore):\n    pass\n"
        "KIND = StoreKind(scheme='rack', title='Rack', adapter='racks_of_this_test:Rack', addresses=('rack://a#c',))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert open_store("rack://a#c").title == "Rack"


@pytest.fixture
def sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Install the documented store that is only read, and return the address of a table of it with rows."""
    path = Path(__file__).resolve().parents[2] / "docs" / "examples" / "own_store.py"
    spec = importlib.util.spec_from_file_location("own_store", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kind = StoreKind(
        scheme="sqlite",
        title="SQLite",
        adapter="own_store:SQLiteStore",
        addresses=("sqlite:///file.db#table.column",),
        embedded=True,
    )
    declare(monkeypatch, ("sqlite", "own_store:KIND", kind))
    monkeypatch.setattr(sys.modules["own_store"], "SQLiteStore", module.SQLiteStore, raising=False)
    rows = np.random.default_rng(0).standard_normal((40, D)).astype(np.float32)
    with sqlite3.connect(tmp_path / "old.db") as database:
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, vector BLOB)")
        database.executemany("INSERT INTO items VALUES (?, ?)", [(3 * i, row.tobytes()) for i, row in enumerate(rows)])
    database.close()
    return f"sqlite://{tmp_path}/old.db#items.vector"


def test_the_documented_store_needs_only_the_methods_of_reading_and_is_migrated_from(
    sqlite: str, tmp_path: Path
) -> None:
    with open_store(sqlite) as old, open_store(f"memory://{tmp_path.name}#new") as new:
        records = whole(old)
        migrate(translator(), old, new, journal=tmp_path / "j")
        assert_migrated(records, new)
        assert old.search(records.vectors[5:6], 1)[0].ids == [15]


@pytest.mark.parametrize(
    ("mark", "expected"),
    [("interlingua migration j", True), ("interlingua migration ", False), ("a table", False), (None, False)],
)
def test_a_store_that_has_only_the_methods_of_the_protocol_says_what_migrated_it(
    sqlite: str, mark: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(sqlite) as store:
        assert (store.is_migrated(), store.migration()) == (False, None)
        monkeypatch.setattr(store, "creation", lambda *, vector_only=False: mark)
        assert (store.is_migrated(), store.migration()) == (expected, mark if expected else None)


def test_a_store_that_is_only_read_is_refused_as_a_target_before_anything_is_read(sqlite: str, tmp_path: Path) -> None:
    with open_store(f"memory://{tmp_path.name}#old") as old, open_store(sqlite) as new:
        fill(old, pa.array(range(40)), None)
        with pytest.raises(InputError, match=r"old\.db#items\.vector: SQLite is only read.*Choose another target"):
            migrate(translator(), old, new, journal=tmp_path / "j")
        spec = Spec(D, "cosine", pa.int64(), None, 1)
        writes: tuple[Callable[[], Any], ...] = (
            lambda: new.create(spec),
            lambda: new.upsert(whole(old)),
            new.finish,
            new.drop,
        )
        for write in writes:
            with pytest.raises(InputError, match="SQLite is only read"):
                write()
