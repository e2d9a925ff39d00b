"""Addresses of stores: every part is used or refused, and no part of a secret is ever repeated."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlingua.cli import main
from interlingua.core.errors import InputError, InterlinguaError
from interlingua.stores import open_source, open_store
from interlingua.stores._secrets import may_hold_secret
from interlingua.stores._url import StoreURL, parse_url

# Each part is a word that appears in no message of ours, so that any part that is repeated is noticed.
PARTS = st.lists(st.text("qxzjkQXZJK", min_size=4, max_size=8), min_size=1, max_size=3)
NUMBERS = st.sampled_from(["", "5", "5432"])
BETWEEN = st.sampled_from(
    [":", "/", "@", "#", "?", "&", "=", "%", ".", "[", "]", " ", "%40", "%2F", ";", "\\", "'", "$"]
)
# What people type or paste, with the password where {} is.
MALFORMED = [
    "postgresql://me:{}@host/db#t.v",
    "postgresql://:{}@host/db#t.v",
    "postgresql:{}@",
    "postgresql:{}@host/db#t.v",
    "postgresql:/me:{}@host/db#t.v",
    "postgresql//me:{}@host/db#t.v",
    "postgresql:///me:{}@host/db#t.v",
    "postgresql:\\\\me:{}@host/db#t.v",
    "postgres://me:{}@host:port/db#t.v",
    "postgresql://me:{}@[host/db#t.v",
    "postgresql://me%3A{}@host/db#t.v",
    "postgresql://me:{}%40host/db#t.v",
    " postgresql://me:{}@host/db#t.v",
    "\tpostgresql:{}@host",
    "\ufeffpostgresql://me:{}@host/db#t.v",
    "'postgresql://me:{}@host/db#t.v'",
    '"postgresql://me:{}@host/db"',
    "<postgresql://me:{}@host/db>",
    "postgresql\uff1a\uff0f\uff0fme\uff1a{}\uff20host/db",
    "postgresql%3A%2F%2Fme%3A{}%40host/db",
    "jdbc:postgresql://host/db?user=me&password={}",
    "jdbc:postgresql:{}",
    "postgresql+psycopg://me:{}@host/db#t.v",
    "DATABASE_URL=postgresql://me:{}@host/db",
    "PGPASSWORD={} postgresql://host/db#t.v",
    "host=localhost user=me password={} dbname=db",
    "host=localhost user=me password = '{}'",
    "password={}",
    "me:{}@host/db",
    "//me:{}@host/db#t.v",
    "postgresql://host/db?password={}#t.v",
    "postgresql://host/db?sslpassword={}#t.v",
    "postgresql://host/db?{}#t.v",
    "postgresql://host/db?{}=1#t.v",
    "postgresql://host/db?sslmode={}#t.v",
    "postgresql://host/db?connect_timeout={}#t.v",
    "postgresql://host/db?port={}#t.v",
    "postgresql://host/db?options=-c%20x.password%3D{}#t.v",
    "postgresql://host/db?host=me:{}@host#t.v",
    "postgresql://host/db?dbname=postgresql://me:{}@host#t.v",
    "postgresql://host/db#t.v?password={}",
    "postgresql://host/db#t.v?sslmode=require&password={}",
    "postgresql://me@host:{}/db#t.v",
    "qdrant://{}@host:6333#c",
    "qdrant://:{}@host:6333#c",
    "qdrant://host:6333?api_key={}#c",
    "qdrant://host:6333#c?api_key={}",
    "qdrant://host?https={}#c",
    "qdrant://host/{}#c",
    "chroma://token:{}@host:8000#c",
    "chroma://host:8000?token={}#c",
    "milvus://root:{}@host:19530#c",
    "milvus:{}@host",
    "https://me:{}@host:6333/collections/c",
    "https://account.blob.core.windows.net/c/x.parquet?sv=2024&sig={}",
    "https://bucket.s3.amazonaws.com/x.parquet?X-Amz-Expires=60&X-Amz-Signature={}",
    "http://host/x.parquet?signature={}",
    "faiss:///x.faiss?index={}",
    "token={}",
    "Authorization: Bearer {}",
]


def said(error: BaseException) -> str:
    """Return everything that a log could show of an error: its message, its causes and their values."""
    return "".join(traceback.format_exception(type(error), error, None))


@given(template=st.sampled_from(MALFORMED), parts=PARTS, between=BETWEEN, number=NUMBERS)
@settings(max_examples=1500, deadline=None)
def test_no_part_of_a_secret_is_repeated(template: str, parts: list[str], between: str, number: str) -> None:
    text = template.replace("{}", number + between.join(["", *parts]) if number else between.join(parts))
    with pytest.raises(InputError) as refused:
        parse_url(text)
    assert not [part for part in parts if part in said(refused.value)]


@pytest.mark.parametrize("template", MALFORMED)
@pytest.mark.parametrize("secret", ["qxzjkQXZ", "12/qxzjkQXZ"])
def test_no_command_repeats_it_either(
    template: str, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    address = template.replace("{}", secret)
    for arguments in (
        ["migrate", "translator", address, "new.parquet", "--json"],
        ["migrate", "translator", "old.parquet", address, "--log", "log.jsonl"],
        ["migrate", address, "old.parquet", "new.parquet"],
        ["migrate", "translator", "old.parquet", "new.parquet", address],
        ["search", "translator", address, "--query", address],
        ["translate", "translator", address, "--out", "new.npy"],
        ["translate", "translator", "old.npy", "--out", address],
        ["fit", address, "new.npy", "--out", "translator"],
        ["inspect", address],
        ["identify", address, address],
    ):
        assert main(arguments) != 0
    shown = capfd.readouterr()
    assert "qxzjkQXZ" not in shown.out + shown.err
    assert "qxzjkQXZ" not in "".join(str(path) + path.read_text() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate", "t", "a.npy", "b.npy", "--where", "token = 'a@b:c@d'"],
        ["migrate", "t", "a.npy", "b.npy", "--where=mail like '%:%@%'"],
        ["fit", "a.npy", "b.npy", "--out", "t", "--set", "passes=3"],
        ["audit", "a.npy", "--authorized-by", "Jane: jane@example.org"],
        ["translate", "t", "year=2024/a.npy", "--out", "b@c.npy"],
    ],
)
def test_conditions_settings_and_names_are_no_addresses(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) != 0  # none of the files is there
    assert "neither a path nor of the form" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("postgresql://host/db?host=other#t.v", "names host twice"),
        ("postgresql://host:5432/db?port=5433#t.v", "names port twice"),
        ("postgresql://host/db?sslmode=require&sslmode=disable#t.v", "an option twice"),
        ("postgresql://host/db?sslmode=yes#t.v", "'sslmode' a value that it does not take; one of disable, allow"),
        ("postgresql://host/db?keepalives=#t.v", "'keepalives' a value that it does not take"),
        ("postgresql://host/db?options=-c%20my.token%3Dx#t.v", "'options' a value that it does not take"),
        ("postgresql://host/db/more#t.v", "a path of several parts"),
        ("postgresql://host/db#t?x", "Options come before #"),
        ("postgresql://host/d@b#t.v", "in a name, @ is written %40"),
        ("postgresql://host/db#t.v@w", "in a name, @ is written %40"),
        ("qdrant://me@host#c", "a user before the host, which is not used"),
        ("chroma://host:8000/tenant#c", "another path behind the host than a tenant and a database, /tenant/database"),
        ("chroma://host/tenant//database#c", "another path behind the host than a tenant and a database"),
        ("milvus://host/database/more#c", "another path behind the host than a database, /database"),
        ("chroma://host?tenant=acme&database=prod#c", "the option 'tenant'; known are: https"),
        ("qdrant:///folder?https=1#c", "an option of a server and no host"),
        ("qdrant:///folder?prefix=x#c", "an option of a server and no host"),
        ("qdrant://host?prefix=x//y#c", "'prefix' a value that it does not take"),
        ("qdrant://host/prefix#c", "a path behind the host, which is not used"),
        ("qdrant://:6333/folder#c", "a port or an option of a server and no host"),
        ("qdrant://host?https=yes#c", "'https' a value that it does not take; one of 0, 1, true, false"),
        ("duckdb://me@folder/x.duckdb#t", "a user or a port; leave them out"),
        ("lancedb://folder:80/x#t", "a user or a port; leave them out"),
        (" memory://name#c", "neither a path nor of the form"),
        ("duckdb:/tmp/x.duckdb#t", "neither a path nor of the form"),
    ],
)
def test_a_part_that_is_not_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_url(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me@host/db#t.v\n", StoreURL("postgresql", "/db", ("t", "v"), "host", None, "me")),
        ("postgresql:///?dbname=db&user=me&port=1#t", StoreURL("postgresql", "/db", ("t",), None, 1, "me")),
        ("postgresql://u%40corp@[::1]:1/db#t", StoreURL("postgresql", "/db", ("t",), "::1", 1, "u@corp")),
        (
            "postgresql://h1,h2/db?options=-csearch_path%3Da,b&sslrootcert=/x/ca.pem#s.t.v",
            StoreURL(
                "postgresql", "/db", ("s", "t", "v"), "h1,h2",
                options={"options": "-csearch_path=a,b", "sslrootcert": "/x/ca.pem"},
            ),
        ),
        ("chroma://host:8000/Acme/Prod/#c", StoreURL("chroma", "/Acme/Prod", ("c",), "host", 8000)),
        ("milvus://host/Prod#c.v", StoreURL("milvus", "/Prod", ("c", "v"), "host")),
        (
            "qdrant://host?prefix=/Vector/Store#c",
            StoreURL("qdrant", "", ("c",), "host", options={"prefix": "/Vector/Store"}),
        ),
        ("qdrant://[::1]:6333#c", StoreURL("qdrant", "", ("c",), "::1", 6333)),
        ("postgresql://me@[fe80::2]/db#t.v", StoreURL("postgresql", "/db", ("t", "v"), "fe80::2", user="me")),
        ("duckdb://Data/My.duckdb#T.v", StoreURL("duckdb", "Data/My.duckdb", ("T", "v"))),
        ("faiss://Old.faiss", StoreURL("faiss", "Old.faiss")),
        ("qdrant-edge://Data#S", StoreURL("qdrant-edge", "Data", ("S",))),
        ("file://Data/New.parquet", StoreURL("file", "Data/New.parquet")),
        ("lancedb://./Data/X#t", StoreURL("lancedb", "./Data/X", ("t",))),
        ("qdrant://../Data#C", StoreURL("qdrant", "../Data", ("C",))),
        ("./me:x@y.npy", StoreURL("file", "./me:x@y.npy")),
        ("data@2024/year=2024/x.parquet", StoreURL("file", "data@2024/year=2024/x.parquet")),
        ("C:\\data\\a@b.npy", StoreURL("file", "C:\\data\\a@b.npy")),
        ("12:30.npy", StoreURL("file", "12:30.npy")),
    ],
)  # fmt: skip
def test_every_part_arrives(text: str, expected: StoreURL) -> None:
    assert parse_url(text) == expected


@given(
    names=st.lists(st.text(min_size=1).filter(lambda name: "\0" not in name), min_size=1, max_size=3),
    user=st.none() | st.text("abcä@ +é-", min_size=1),
    schema=st.text("abc,=\" '$%", min_size=1),
)
@settings(max_examples=300, deadline=None)
def test_an_address_that_is_printed_can_be_read_again(names: list[str], user: str | None, schema: str) -> None:
    url = StoreURL("postgresql", "/d b", tuple(names), "host", 1, user, {"options": f"-c search_path={schema}"})
    if may_hold_secret(str(url)):
        return
    assert parse_url(str(url)) == url


@pytest.mark.parametrize("path", ["a#b.parquet", "a%20b.parquet", "a b?.parquet", "é %23/ü&=.parquet", "A;B+c.parquet"])
@pytest.mark.parametrize("column", [None, "a#b", "50 %", "a?b=c&d", "a.b", "ü é", "x/y@z"])
@pytest.mark.parametrize("key", [None, "k#1", "a b%20", "a&b=c?"])
def test_addresses_of_files_are_read_as_they_are_printed(path: str, column: str | None, key: str | None) -> None:
    url = StoreURL("file", path, () if column is None else (column,), options={} if key is None else {"id": key})
    assert parse_url(str(url)) == url


def test_a_file_with_several_vectors_is_named_by_an_address_that_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "50 % #1?.parquet"
    vectors = [[1.0, 2.0], [3.0, 4.0]]
    pq.write_table(pa.table({"key #": [1, 2], "v": vectors, "w #": vectors}), path)
    with (
        open_store(str(path)) as store,
        pytest.raises(InputError, match=r"Name one in the address, (file://.*)COLUMN\.") as error,
    ):
        store.info()
    address = str(error.value).split("address, ")[1].removesuffix("COLUMN.")
    with open_store(f"{address.replace('#', '?id=key%20%23#')}w %23") as store:
        info = store.info()
    assert (info.vector_name, info.count, str(info.id_type)) == ("w #", 2, "int64")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "qdrant://shop",
            r"qdrant://shop names no collection; 'shop' was read as the name of a server\. "
            r"Write qdrant:///folder#collection\.vector or qdrant://host:6333#collection\.vector\.$",
        ),
        ("chroma://shop", r"'shop' was read as the name of a server\. Write chroma:///folder#collection or chroma://h"),
        ("milvus://shop", r"'shop' was read as the name of a server\. Write milvus:///file\.db#collection\.field or m"),
        (
            "milvus://shop.db",
            r"'shop.db' was read as the name of a server\. Write milvus:///file\.db#collection\.field",
        ),
        ("milvus://shop.example.org", r"names no collection; milvus:///file\.db#collection\.field is needed\.$"),
        ("qdrant://shop:6333", r"names no collection; qdrant:///folder#collection\.vector is needed\.$"),
        ("qdrant://localhost", r"names no collection; qdrant:///folder#collection\.vector is needed\.$"),
        ("qdrant:///shop", r"names no collection; qdrant:///folder#collection\.vector is needed\.$"),
    ],
)
def test_a_bare_name_in_the_place_of_a_server_is_refused(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_store(address)


def test_the_error_of_a_server_that_does_not_answer_says_that_a_bare_name_was_read_as_its_name() -> None:
    pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed")

    def refuse() -> Any:
        raise ConnectionError("Name or service not known")

    with open_store("qdrant://shop#things") as store:
        store._connect = refuse  # type: ignore[attr-defined]
        with pytest.raises(InterlinguaError, match=r"Is the server up\? 'shop' was read as the name of a server\."):
            store.info()


@pytest.mark.parametrize(
    ("scheme", "client", "path"),
    [
        ("qdrant", "qdrant_client", ""),
        ("chroma", "chromadb", ""),
        ("milvus", "pymilvus", ""),
        ("postgresql", "psycopg", "/db"),
    ],
)
def test_a_server_is_named_by_an_ipv6_address(scheme: str, client: str, path: str) -> None:
    pytest.importorskip(client)
    address = f"{scheme}://[::1]:1{path}#ccc.v".replace("ccc.v", "ccc" if scheme == "chroma" else "ccc.v")
    assert str(parse_url(address)) == address
    with pytest.raises(InterlinguaError, match=r"\[::1\]:1.* cannot be reached") as error, open_store(address) as store:
        store.info()
    assert "was read as the name of a server" not in str(error.value)


@pytest.mark.parametrize(
    ("scheme", "client"),
    [("duckdb", "duckdb"), ("faiss", "faiss"), ("qdrant", "qdrant_client"), ("chroma", "chromadb")],
)
def test_a_file_and_a_folder_in_each_others_place(tmp_path: Path, scheme: str, client: str) -> None:
    pytest.importorskip(client)
    needs_folder = scheme in {"qdrant", "chroma"}
    place = tmp_path / "place"
    if needs_folder:
        place.write_text("no database")
    else:
        place.mkdir()
    kind = "a file, and the path of a folder" if needs_folder else "a folder, and the path of a file"
    name = "" if scheme == "faiss" else "#items"
    with (
        pytest.raises(InputError, match=f"{place} is {kind} is needed"),
        open_source(f"{scheme}://{place}{name}") as store,
    ):
        store.info()


@pytest.mark.parametrize("scheme", ["file", "duckdb", "lancedb", "qdrant", "faiss"])
@pytest.mark.parametrize("slashes", ["//", "///"])
def test_a_path_of_windows_with_backslashes_is_named(scheme: str, slashes: str) -> None:
    with pytest.raises(InputError, match=f"a path of Windows with backslashes. Write it .* {scheme}:///C:/folder/name"):
        parse_url(f"{scheme}:{slashes}C:\\data\\x.db#t")


def test_a_drive_of_windows_is_read_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_url("qdrant:///C:/data#c").path == "/C:/data"
    monkeypatch.setattr("interlingua.stores._url._ON_WINDOWS", True)
    url = parse_url("qdrant:///C:/data#c")
    assert (url.path, url.host, str(url)) == ("C:/data", None, "qdrant:///C:/data#c")


def test_an_address_of_bytes_that_are_not_text_is_refused() -> None:
    with pytest.raises(InputError, match="not text in the encoding of this system.*PYTHONUTF8=1"):
        parse_url("duckdb://./\udcc3\udca9.duckdb#na\udcc3\udcafve")


def test_names_without_a_path_are_no_column_of_this_folder() -> None:
    assert parse_url("#items") == StoreURL("file", "#items")
