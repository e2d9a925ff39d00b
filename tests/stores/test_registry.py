"""One row of the registry is all that commands, planning, refusals and the documentation know of a store."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from typing import Any

import pytest

from interlingua.cli import main
from interlingua.core.errors import InputError
from interlingua.stores import STORES, StoreKind
from interlingua.stores._origin import collection_name
from interlingua.stores._url import parse_url
from interlingua.stores.registry import address_forms, secret_sources
from stores import test_stores_heavy, test_stores_light
from stores.contract import StoreContract

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
KINDS = list(STORES.values())


def by_scheme(kind: StoreKind) -> str:
    return kind.scheme


@pytest.mark.parametrize("kind", KINDS, ids=by_scheme)
def test_every_store_has_an_extra_and_the_extra_stores_includes_it(kind: StoreKind) -> None:
    if kind.extra is None:
        assert kind.scheme in {"file", "memory"}  # what the core itself holds
        return
    assert kind.extra in EXTRAS, f"add the extra {kind.extra} to pyproject.toml"
    gathered = EXTRAS["stores"][0].split("[")[1].rstrip("]").split(",")
    assert kind.extra in gathered, f"add {kind.extra} to the extra stores of pyproject.toml"


@pytest.mark.parametrize("kind", KINDS, ids=by_scheme)
def test_every_store_has_a_contract_test(kind: StoreKind) -> None:
    classes = [value for module in (test_stores_light, test_stores_heavy) for value in vars(module).values()]
    tested = {
        c.scheme for c in classes if isinstance(c, type) and issubclass(c, StoreContract) and c is not StoreContract
    }
    assert kind.scheme in tested, (
        f"add a class that inherits StoreContract, with scheme = {kind.scheme!r}, to tests/stores/test_stores_light.py "
        "or tests/stores/test_stores_heavy.py"
    )


@pytest.mark.parametrize("kind", KINDS, ids=by_scheme)
def test_every_address_of_a_source_has_a_name_for_the_origin_of_new_vectors(kind: StoreKind) -> None:
    assert all(collection_name(parse_url(address)) for address in kind.addresses)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("faiss:///folder/good.faiss", "good.faiss"),
        ("duckdb:///file.duckdb#table.column", "table"),
        ("duckdb:///file.duckdb#schema.table.column", "schema.table"),
        ("lancedb:///folder#table", "table"),
        ("folder/rows.parquet", "rows.parquet"),
        ("file:///folder/rows.parquet?id=key#vector", "rows.parquet"),
        (".", "here"),
        ("/", "file"),
    ],
)
def test_a_collection_without_a_name_is_named_after_its_file(
    address: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert collection_name(parse_url(address)) == name


@pytest.mark.parametrize("kind", KINDS, ids=by_scheme)
def test_every_store_has_a_row_in_the_documentation(kind: StoreKind) -> None:
    spec = importlib.util.spec_from_file_location("generate_stores", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    rows = [line for line in generate.stores().splitlines() if line.startswith(f"| {kind.title} |")]
    assert len(rows) == 1
    assert all(f"`{address}`" in rows[0] for address in kind.addresses)
    can = kind.load().capabilities
    assert all(metric in rows[0] for metric in can.metrics)
    kept = [line for line in generate.stores().splitlines() if line.startswith(f"| `{kind.scheme}` |")]
    assert len(kept) == 1
    assert all(name.replace("_", " ") in kept[0] for name in (*can.refuses, *can.changes))
    assert can.limits in kept[0]
    assert ("`--where`" in kept[0], "`--skip-null`" in kept[0]) == tuple(
        n in can.selects for n in ("where", "skip_null")
    )
    assert "_generated/stores.md" in (ROOT / "docs" / "guides" / "migrate.md").read_text("utf-8")


@pytest.mark.parametrize("kind", KINDS, ids=by_scheme)
def test_example_addresses_are_read_as_the_store_they_are_of(kind: StoreKind) -> None:
    for address in kind.addresses:
        url = parse_url(address)
        assert url.scheme == kind.scheme
        assert str(url) == address
        assert url.on_disk == (kind.embedded and url.host is None)
        assert bool(url.host) == (kind.server and "host" in address)


def test_help_names_every_store_and_every_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "10000")
    monkeypatch.setenv("TERMINAL_WIDTH", "10000")
    main(["migrate", "--help"])
    # The help may break a line behind a hyphen.
    shown = " ".join(capsys.readouterr().out.split()).replace("- ", "-")
    assert address_forms() in shown
    assert secret_sources() in shown
    for kind in KINDS:
        assert f"{kind.scheme}://" in shown or kind.extra is None
        assert kind.secret is None or kind.secret in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"adapter": 3}, "StoreKind 'own': adapter is 3; a text is needed"),
        ({"adapter": "package.module"}, "StoreKind 'own': adapter is 'package.module'; package.module:Class is needed"),
        ({"adapter": ""}, "StoreKind 'own': adapter is ''; package.module:Class is needed"),
        ({"title": None}, "StoreKind 'own': title is None; a text is needed"),
        ({"addresses": None}, "StoreKind 'own': addresses is None; a sequence of texts is needed"),
        ({"options": "id"}, "StoreKind 'own': options is str of length 2; a sequence of texts is needed"),
        ({"secret_options": (1,)}, r"StoreKind 'own': secret_options\[0\] is 1; a text is needed"),
    ],
)
def test_a_kind_with_a_field_of_another_type_is_refused(change: dict[str, Any], message: str) -> None:
    row: dict[str, Any] = {"scheme": "own", "title": "Own", "adapter": "own:Own", "addresses": ("own://x",)}
    with pytest.raises(InputError, match=message):
        StoreKind(**{**row, **change})


@pytest.mark.parametrize("adapter", ["interlingua.no_such_module:Store", "interlingua.stores.files:NoSuchClass"])
def test_an_adapter_that_cannot_be_imported_is_named(adapter: str) -> None:
    kind = StoreKind(scheme="own", title="Own", adapter=adapter, addresses=("own://x",))
    with pytest.raises(InputError, match=f"The adapter {adapter} of own:// cannot be imported .*Correct its package"):
        kind.load()
