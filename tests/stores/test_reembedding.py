"""Texts of a collection are embedded into another store, column or file, as safely as vectors are migrated."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from command_line import Run
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import json_field
from interlingua.encoders import encoder_title
from interlingua.io import open_vectors
from interlingua.stores import Records, Store, open_store
from interlingua.stores._documents import document_schema
from interlingua.stores.changes import catch_up
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options, plan
from interlingua.stores.reembedding import TextEmbedder
from stores.migrations import fill, whole
from stores.servers import postgres as postgres
from stores.servers import postgres_server as postgres_server

N, D = 60, 6

PROGRAM = """
import hashlib, json, sys
for line in sys.stdin:
    digest = hashlib.sha256(line.rstrip("\\n").encode()).digest()
    print(json.dumps([byte / 255 + 0.01 for byte in digest[:6]]))
"""


def encode(texts: list[str]) -> Any:
    digests = [hashlib.sha256(text.encode()).digest()[:D] for text in texts]
    return np.array([[byte / 255 + 0.01 for byte in digest] for digest in digests], np.float32)


def embedder() -> TextEmbedder:
    return TextEmbedder.of(encode, "text", "sums")


def texts(n: int = N) -> list[str]:
    return [f"text number {i}" for i in range(n)]


def table(values: list[Any]) -> pa.Table:
    return pa.table({"text": pa.array(values, pa.string()), "year": pa.array(range(len(values)))})


@pytest.fixture
def old(tmp_path: Path) -> Store:
    store = open_store(f"memory://{tmp_path.name}#old")
    fill(store, pa.array(range(N)), table(texts()))
    return store


@pytest.fixture
def new(tmp_path: Path) -> Store:
    return open_store(f"memory://{tmp_path.name}#new")


def test_the_vectors_of_the_texts_are_written_with_ids_and_payload(old: Store, new: Store, tmp_path: Path) -> None:
    planned = plan(embedder(), old, new, Options(page_rows=16))
    assert (planned.rows, planned.d_out, planned.as_new_vector) == (N, D, False)
    done = migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(page_rows=16))
    assert (done.rows, done.updated) == (N, 0)
    assert done.largest_error < 1e-5
    found = whole(new).in_order_of(pa.array(range(N)), "new")
    expected = encode(texts())
    cosines = (found.vectors * expected).sum(axis=1) / (
        np.linalg.norm(found.vectors, axis=1) * np.linalg.norm(expected, axis=1)
    )
    np.testing.assert_allclose(cosines, 1, atol=1e-5)
    assert found.payload is not None
    assert found.payload.column("year").to_pylist() == list(range(N))
    assert rollback(tmp_path / "j", target=new).dropped is not None
    assert not new.exists()


@pytest.mark.parametrize("kind", [pa.string_view(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_every_form_of_text_is_recognized(kind: pa.DataType) -> None:
    values = pa.array(["a text", " ", None]).cast(kind)
    vectors = np.ones((3, 4), np.float32)
    records = Records(pa.array([1, 2, 3]), vectors, pa.table({"text": values}))
    embedder().check_column(records.payload.schema if records.payload is not None else None, "rows")
    assert embedder().has_text(records).tolist() == [True, False, False]


def test_texts_that_are_stored_as_categories_are_embedded(new: Store, tmp_path: Path) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(4 * N, np.float32)), 4)
    values = pa.array([*texts(N - 1), None]).dictionary_encode()
    pq.write_table(pa.table({"id": pa.array(range(N)), "vector": vectors, "text": values}), tmp_path / "old.parquet")
    old = open_store(f"file://{tmp_path}/old.parquet?id=id")
    done = migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True))
    assert (done.rows, done.plan.bad) == (N - 1, 1)
    found = whole(new).in_order_of(pa.array(range(N - 1)), "new")
    assert found.payload is not None
    assert found.payload.column("text").to_pylist() == texts(N - 1)
    expected = encode(texts(N - 1))
    np.testing.assert_allclose(found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True),
                               expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-4)  # fmt: skip


def test_an_interrupted_run_goes_on_without_embedding_all_texts_again(old: Store, new: Store, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    def dies(phase: str, done: int, total: int) -> None:
        if phase == "copying" and done >= 32:
            raise Killed

    with pytest.raises(Killed):
        migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(page_rows=16), on_rows=dies)
    embedded: list[str] = []

    def counting(given: list[str]) -> Any:
        embedded.extend(given)
        return encode(given)

    again = TextEmbedder(counting, "text", "sums", D)
    done = migrate(again, old, new, journal=tmp_path / "j", options=Options(page_rows=16), resume=True)
    assert (done.rows, done.checked > 0) == (N, True)
    assert done.resumed_from in (16, 32)
    # What was left, and the sample that is compared at the end; this collection is so small that it is all of it.
    assert len(embedded) == N - done.resumed_from + done.checked
    for other in (TextEmbedder(encode, "text", "another", D), TextEmbedder(encode, "text", "sums", D, "another")):
        with pytest.raises(InputError, match="the encoder was"):
            migrate(other, old, new, journal=tmp_path / "j", options=Options(page_rows=16), resume=True)


def test_a_changed_text_is_embedded_by_a_catch_up(old: Store, new: Store, tmp_path: Path) -> None:
    migrate(embedder(), old, new, journal=tmp_path / "j")
    row = old.fetch(pa.array([5]))
    old.upsert(Records(row.ids, row.vectors, table(["another text"])))
    with pytest.raises(InputError, match="the encoder of this migration was"):
        catch_up(TextEmbedder(encode, "text", "another", D), old, new, journal=tmp_path / "j")
    found = catch_up(embedder(), old, new, journal=tmp_path / "j")
    assert (found.updated, found.added) == (1, 0)
    np.testing.assert_allclose(new.fetch(pa.array([5])).vectors, encode(["another text"]), atol=1e-5)


def test_a_changed_text_is_noticed_where_no_payload_is_copied(old: Store, new: Store, tmp_path: Path) -> None:
    migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(drop_payload=True))
    row = old.fetch(pa.array([5]))
    old.upsert(Records(row.ids, row.vectors, table(["another text"])))
    assert catch_up(embedder(), old, new, journal=tmp_path / "j").updated == 1
    row = old.fetch(pa.array([6]))
    old.upsert(Records(row.ids, row.vectors, pa.table({"text": [texts()[6]], "year": [1999]})))
    assert catch_up(embedder(), old, new, journal=tmp_path / "j").updated == 0


def test_rows_without_a_text_are_refused_or_left_out(new: Store, tmp_path: Path) -> None:
    values: list[Any] = texts()
    values[3], values[40] = None, "  "
    with open_store(f"memory://{tmp_path.name}#holes") as old:
        fill(old, pa.array(range(N)), table(values))
        with pytest.raises(
            UnusableRowError, match=r"2 of 60 rows of a page have no text in 'text'; the first is the row with the id 3"
        ):
            migrate(embedder(), old, new, journal=tmp_path / "j")
        assert not new.exists()
        done = migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True))
        assert (done.rows, done.plan.bad) == (N - 2, 2)
        assert [json.loads(line) for line in Path(str(done.skipped_ids)).read_text().splitlines()] == [3, 40]


@pytest.mark.parametrize(
    ("options", "column", "message"),
    [
        ({}, "body", "has no column 'body'; its columns are text, year. Name the column"),
        ({}, "year", "column 'year' holds int64; texts are needed"),
        ({"inverse": True}, "text", "Texts are embedded, and no vector is translated. Leave inverse=True out"),
        ({"allow_foreign": True}, "text", "no vector is translated. Leave allow_foreign=True out"),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    old: Store, new: Store, tmp_path: Path, options: dict[str, Any], column: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        migrate(TextEmbedder.of(encode, column, "sums"), old, new, journal=tmp_path / "j", options=Options(**options))
    assert not (tmp_path / "j").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda given: encode(given)[:-1] if len(given) > 1 else encode(given), "made 7 vectors of 8 texts"),
        (lambda given: encode(given)[:, : 6 if len(given) == 1 else 5], "has 5 columns; 6 are needed"),
        (lambda given: encode(given) * (1 if len(given) == 1 else np.nan), "hold NaN or infinity"),
    ],
)
def test_what_an_encoder_must_not_return_is_refused(
    old: Store, new: Store, tmp_path: Path, wrong: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        migrate(TextEmbedder.of(wrong, "text", "wrong"), old, new, journal=tmp_path / "j")
    assert not new.exists()


@pytest.mark.parametrize("value", [None, 5, "encode"])
def test_arguments_of_other_types_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match="encode is"):
        TextEmbedder.of(value, "text", "sums")
    with pytest.raises(InputError, match="encoder x"):
        TextEmbedder.of(lambda given: value, "text", "x")


@pytest.fixture
def command(tmp_path: Path) -> str:
    path = tmp_path / "sums.py"
    path.write_text(PROGRAM)
    return "command:" + shlex.join([sys.executable, str(path)])


def lines(folder: Path, name: str = "old.jsonl") -> Path:
    rows = np.random.default_rng(0).standard_normal((N, 4))
    written = [
        json.dumps({"id": i, "text": text, "vector": row.tolist()})
        for i, (text, row) in enumerate(zip(texts(), rows, strict=True))
    ]
    (folder / name).write_text("\n".join(written))
    return folder / name


def test_a_file_is_embedded_from_the_command_line(
    run: Run, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("embed", lines(tmp_path), "new.parquet", "--encoder", command)
    dry = run(*words, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert (dry.json["plan"]["rows"], dry.json["plan"]["d_out"]) == (N, D)
    assert not list(tmp_path.glob("*.sqlite"))
    ran = run(*words, "--json", "--log", "log.jsonl")
    assert ran.code == 0, ran.err
    assert ran.json["rows"] == N
    file = open_vectors("new.parquet")
    np.testing.assert_allclose(file.vectors(), encode(texts()), atol=1e-6)
    assert file.names == ("text",)
    assert '"phase": "copying"' in Path("log.jsonl").read_text()
    undone = run(*words, "--rollback", "--json")
    assert undone.json["dropped"].endswith("new.parquet")
    assert not Path("new.parquet").exists()
    assert (
        f"the texts in column text of old.jsonl, embedded by {encoder_title(command)}" in run(*words, "--dry-run").out
    )
    wrong = run(*words, "--text-column", "body", "--json")
    assert wrong.code == 2
    assert "Name the column of the texts with --text-column." in wrong.json["error"]


def file_with_gaps(folder: Path, name: str) -> Path:
    """Write a file of five rows with texts; the vectors of two are missing, and one is of zeros."""
    vectors: list[list[float] | None] = [[1.0, 2.0], None, [0.0, 0.0], [3.0, 4.0], None]
    path = folder / name
    if name.endswith(".parquet"):
        column = pa.array(vectors, pa.list_(pa.float32()))
        pq.write_table(pa.table({"id": range(5), "text": texts(5), "vector": column}), path)
    elif name.endswith(".csv"):
        cells = ["" if row is None else f'"{row}"' for row in vectors]
        path.write_text("id,text,vector\n" + "".join(f"{i},text number {i},{cell}\n" for i, cell in enumerate(cells)))
    else:
        rows = [
            {"id": i, "text": text, "vector": row} for i, (text, row) in enumerate(zip(texts(5), vectors, strict=True))
        ]
        if name.startswith("missing"):
            rows = [{key: value for key, value in row.items() if value is not None} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", ["old.parquet", "old.jsonl", "missing.jsonl", "old.csv"])
@pytest.mark.parametrize("options", [Options(), Options(skip_bad=True)])
def test_texts_of_rows_of_a_file_without_a_vector_are_embedded(
    name: str, options: Options, new: Store, tmp_path: Path
) -> None:
    with open_store(f"file://{file_with_gaps(tmp_path, name)}") as old:
        done = migrate(embedder(), old, new, journal=tmp_path / "j", options=options)
    assert (done.rows, done.plan.nulls, done.plan.bad, done.skipped_ids) == (5, 0, 0, None)
    rows = whole(new)
    found = rows.in_order_of(pa.array(range(5)).cast(rows.ids.type), "new").vectors  # CSV has ids of text only
    cosines = (found * encode(texts(5))).sum(axis=1) / np.linalg.norm(encode(texts(5)), axis=1)
    np.testing.assert_allclose(cosines / np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_lines_of_a_file_that_cannot_be_read_are_refused_or_left_out(new: Store, tmp_path: Path) -> None:
    path = file_with_gaps(tmp_path, "old.jsonl")
    with path.open("a") as file:
        file.write("no JSON\n")
    with open_store(f"file://{path}") as old:
        with pytest.raises(UnusableRowError, match=r"1 line cannot be read; the first is .*line 6.* left out with"):
            migrate(embedder(), old, new, journal=tmp_path / "j")
        done = migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True))
    assert (done.rows, done.plan.nulls) == (5, 1)
    assert "6" in Path(str(done.skipped_ids)).read_text()


@pytest.mark.parametrize(("rows", "said"), [(1, "the only row of a page has no"), (2, "1 of 2 rows of a page has no")])
def test_one_row_without_a_text_has_none(rows: int, said: str) -> None:
    page = Records(pa.array(range(rows)), np.ones((rows, 3), np.float32), pa.table({"text": ["", "a text"][:rows]}))
    with pytest.raises(UnusableRowError, match=f"things: {said} text in 'text', namely the row with the id 0"):
        embedder().embed(page, "things")


def test_a_text_and_a_vector_that_are_both_missing_are_told_apart(new: Store, tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    column = pa.array([[1.0, 2.0], None, None], pa.list_(pa.float32()))
    pq.write_table(pa.table({"id": range(3), "text": pa.array([None, "a text", None]), "vector": column}), path)
    with open_store(f"file://{path}") as old:
        with pytest.raises(
            UnusableRowError, match=r"2 of 3 rows of a page have no text .* left out with skip_bad=True"
        ):
            migrate(embedder(), old, new, journal=tmp_path / "j")
        done = migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True))
    assert (done.rows, done.plan.bad) == (1, 2)
    assert [json.loads(line) for line in Path(str(done.skipped_ids)).read_text().splitlines()] == [0, 2]


def test_a_text_is_a_key_of_the_documents_of_a_store(new: Store, tmp_path: Path) -> None:
    values = ['{"text": "a"}', None, "null", "[1]", '{"text": 3}', '{"other": "b"}', '{"text": " "}', '{"text": "c"}']
    with open_store(f"memory://{tmp_path.name}#documents") as old:
        fill(old, pa.array(range(8)), pa.table([pa.array(values, pa.string())], schema=document_schema()))
        with pytest.raises(UnusableRowError, match=r"6 of 8 rows of a page have no text in 'text'; the first .* id 1"):
            migrate(embedder(), old, new, journal=tmp_path / "j")
        done = migrate(embedder(), old, new, journal=tmp_path / "j", options=Options(skip_bad=True))
    assert (done.rows, done.plan.bad) == (2, 6)
    assert whole(new).ids.to_pylist() == [0, 7]


@pytest.mark.parametrize("asked", ["payload_json", "titel"])
def test_whole_documents_are_no_texts_and_keys_with_texts_are_named(new: Store, tmp_path: Path, asked: str) -> None:
    values = ['{"n": 3, "title": "a"}', '{"n": 4, "chroma:document": "b"}', '{"n": 5}']
    with open_store(f"memory://{tmp_path.name}#documents") as old:
        fill(old, pa.array(range(3)), pa.table([pa.array(values, pa.string())], schema=document_schema()))
        by = TextEmbedder.of(encode, asked, "lengths")
        with pytest.raises(InputError, match=r"Keys of the first documents with text: chroma:document, title\."):
            plan(by, old, new)
        with pytest.raises(InputError, match=r"Keys of the first documents with text: chroma:document, title\."):
            migrate(by, old, new, journal=tmp_path / "j")


def test_a_column_of_json_is_no_text(new: Store, tmp_path: Path) -> None:
    payload = pa.table(
        [pa.array(['{"a": "b"}', "null"]), pa.array(["x", "y"])],
        schema=pa.schema([json_field("meta"), ("t", pa.string())]),
    )
    with open_store(f"memory://{tmp_path.name}#json") as old:
        fill(old, pa.array(range(2)), payload)
        by = TextEmbedder.of(encode, "meta", "lengths")
        with pytest.raises(InputError, match=r"column 'meta' holds JSON; texts are needed\. Make a column or a view"):
            migrate(by, old, new, journal=tmp_path / "j")


def test_the_help_says_which_rows_are_left_out(run: Run) -> None:
    shown = " ".join(run("embed", "--help").out.replace("│", " ").split())
    assert "Leave out every row without a text, and lines of a file" in shown
    assert "Leave out rows without an old vector" in shown


def test_a_column_beside_the_old_one_is_filled_and_caught_up(
    run: Run, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((N, 4)).astype(np.float32)
    with duckdb.connect("shop.duckdb") as connection:
        connection.execute("create table items (id bigint primary key, body text, v float[4])")
        values = [(i, text, row.tolist()) for i, (text, row) in enumerate(zip(texts(), rows, strict=True))]
        connection.executemany("insert into items values (?, ?, ?)", values)
    words = ("embed", "duckdb://shop.duckdb#items.v", "duckdb://shop.duckdb#items.w", "--encoder", command)
    more = ("--text-column", "body", "--journal", "j")
    ran = run(*words, *more)
    assert ran.code == 0, ran.err
    assert f"Wrote {N} rows to duckdb://shop.duckdb#items.w" in ran.err
    with duckdb.connect("shop.duckdb") as connection:
        connection.execute("update items set body = 'another text' where id = 5")
    ran = run(*words, *more, "--catch-up", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["updated"] == 1
    with duckdb.connect("shop.duckdb") as connection:
        found = connection.execute("select w from items where id in (4, 5) order by id").fetchall()
    np.testing.assert_allclose([row[0] for row in found], encode([texts()[4], "another text"]), atol=1e-6)
    with duckdb.connect("shop.duckdb") as connection:
        connection.execute("update items set body = ' ' where id = 6")
    ran = run(*words, *more, "--catch-up", "--skip-bad")
    assert "Left out: 1 row without a usable vector or text." in ran.err


@pytest.mark.store
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_column_of_postgresql_is_filled_and_a_file_says_which_vectors_it_holds(
    run: Run, postgres: str, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((N, 4))
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("create table items (id bigint primary key, body text, embedding vector(4))")
        for i, (text, row) in enumerate(zip(texts(), rows, strict=True)):
            connection.execute("insert into items values (%s, %s, %s)", (i, text, str(row.tolist())))
    words = ("embed", f"{postgres}#items.embedding", f"{postgres}#items.embedding_new", "--encoder", command)
    ran = run(*words, "--text-column", "body", "--journal", "j")
    assert ran.code == 0, ran.err
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("update items set body = 'another text' where id = 5")
    caught = run(*words, "--text-column", "body", "--journal", "j", "--catch-up", "--json")
    assert caught.json["updated"] == 1, caught.err
    with psycopg.connect(postgres, autocommit=True) as connection:
        found = connection.execute("select embedding_new::text from items where id in (4, 5) order by id").fetchall()
    expected = encode([texts()[4], "another text"])
    np.testing.assert_allclose([json.loads(value) for (value,) in found], expected, atol=1e-5)
    made = run("embed", f"{postgres}#items.embedding", "new.parquet", "--encoder", command, "--text-column", "body")
    assert made.code == 0, made.err
    origin = open_vectors("new.parquet").origin
    assert origin is not None
    assert origin == {"collection": "items", "text": "body", "model": origin["model"]}
    assert origin["model"].startswith("command ")
    assert origin["model"].endswith(".py")


@pytest.mark.parametrize("address", ["memory://gaps#old", "duckdb://old.duckdb#old.vector", "file://old.parquet"])
def test_a_dry_run_counts_the_rows_without_a_text_in_the_whole_source(
    address: str, new: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    n = 300
    values: list[Any] = texts(n)
    values[200], values[250], values[299] = None, "", "\u00a0 \t"
    old = open_store(address)
    if address.startswith("file"):
        column = pa.array(list(np.random.default_rng(0).standard_normal((n, 4))), pa.list_(pa.float64()))
        pq.write_table(
            table(values).append_column("id", pa.array(range(n))).append_column("vector", column), "old.parquet"
        )
    else:
        fill(old, pa.array(range(n)), table(values))
    some = r"3 of 300 rows have no text in 'text'; the first is the row with the id 200\. .* with skip_bad=True"
    with pytest.raises(UnusableRowError, match=some):
        plan(embedder(), old, new)
    with pytest.raises(UnusableRowError, match=r"3 of 300 rows of a page have no text"):
        migrate(embedder(), old, new, journal=tmp_path / "j")
    assert plan(embedder(), old, new, Options(skip_bad=True)).bad == 3
    if "where" in old.capabilities.selects:
        only = Options(where="id < 201 or id = 299")
        with pytest.raises(UnusableRowError, match=r"2 of 202 rows have no text"):
            plan(embedder(), old, new, only)
        assert plan(embedder(), old, new, Options(where="id < 200")).rows == 200


def test_the_dry_run_of_the_command_refuses_what_the_run_refuses(
    run: Run, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"id": i, "text": "" if i == 2_000 else f"text {i}", "vector": [i, 1]}) for i in range(2_500)]
    Path("old.jsonl").write_text("\n".join(rows))
    words = ("embed", "old.jsonl", "new.parquet", "--encoder", command, "--json")
    for more in (("--dry-run",), ()):
        refused = run(*words, *more)
        assert refused.code == 2
        assert re.search(
            r"1 of 2,500 rows (of a page )?has no text in 'text'.* with the id 2000", refused.json["error"]
        )
        assert "Such rows can be left out with --skip-bad." in refused.json["error"]


class Slow:
    """An encoder that takes long to start, as a program does that loads a model for every call."""

    def __init__(self) -> None:
        self.calls = list[int]()

    def __call__(self, given: list[str]) -> Any:
        self.calls.append(len(given))
        time.sleep(0.2 + 1e-4 * len(given))
        return encode(given)


@pytest.mark.parametrize("rows", [5, 100, 2_000])
def test_the_start_of_a_program_is_not_counted_for_every_text(rows: int, new: Store, tmp_path: Path) -> None:
    old = open_store(f"memory://{tmp_path.name}#many")
    fill(old, pa.array(range(rows)), table(texts(rows)))
    slow = Slow()
    planned = plan(TextEmbedder.of(slow, "text", "slow"), old, new)
    assert max(slow.calls) <= 896
    begun = time.perf_counter()
    migrate(TextEmbedder.of(slow, "text", "slow"), old, new, journal=tmp_path / "j")
    taken = time.perf_counter() - begun
    assert taken / 2 < planned.seconds < 2 * taken


def test_what_a_page_costs_is_divided_among_all_of_its_rows(
    new: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = TextEmbedder.check_texts

    def slowly(self: TextEmbedder, records: Records, where: str) -> None:
        time.sleep(2e-4 * len(records))
        check(self, records, where)

    rows = 4_096
    old = open_store(f"memory://{tmp_path.name}#many")
    fill(old, pa.array(range(rows)), table(texts(rows)))
    monkeypatch.setattr(TextEmbedder, "check_texts", slowly)
    monkeypatch.setattr(TextEmbedder, "embed", lambda self, records, _: encode(self._texts(records).to_pylist()))
    monkeypatch.setattr("interlingua.stores._estimates._SLOW_START", 0)  # so that a part of the page is embedded
    # Every row is read three times.
    assert plan(embedder(), old, new).seconds == pytest.approx(3 * rows * 2e-4, rel=0.6)


@pytest.mark.parametrize("rows", [3, 511, 512, 700])
def test_an_estimate_counts_the_texts_that_a_run_embeds_again(rows: int, new: Store, tmp_path: Path) -> None:
    from interlingua.stores._estimates import compared_every

    calls = list[int]()

    def counted(given: list[str]) -> Any:
        calls.append(len(given))
        return encode(given)

    old = open_store(f"memory://{tmp_path.name}#many")
    fill(old, pa.array(range(rows)), table(texts(rows)))
    migrate(TextEmbedder.of(counted, "text", "sums"), old, new, journal=tmp_path / "j")
    assert calls[-2:] == [rows, -(-rows // compared_every(rows))]


@pytest.mark.parametrize("page_rows", [1, 8, 4_096])
@pytest.mark.parametrize("noise", [0, 1e-4])
def test_an_encoder_that_makes_the_same_vector_of_all_texts_is_refused(
    old: Store, new: Store, tmp_path: Path, noise: float, page_rows: int
) -> None:
    def same(given: list[str]) -> Any:
        return np.ones((len(given), D)) + noise * encode(given)

    broken = TextEmbedder.of(same, "text", "broken")
    message = "The encoder broken makes almost the same vector of .* different texts, and of plain English ones too"
    for tried in (plan, partial(migrate, journal=tmp_path / "j")):
        with pytest.raises(InputError, match=message):
            tried(broken, old, new, options=Options(page_rows=page_rows))


def test_texts_of_which_an_encoder_knows_no_difference_are_embedded(old: Store, new: Store, tmp_path: Path) -> None:
    def words_only(given: list[str]) -> Any:
        return encode([re.sub(r"\d", "", text) for text in given])

    def slowly(given: list[str]) -> Any:
        time.sleep(0.2)
        return words_only(given)

    assert plan(TextEmbedder.of(slowly, "text", "words"), old, new, Options(page_rows=1_000)).seconds < 3
    done = migrate(TextEmbedder.of(words_only, "text", "words"), old, new, journal=tmp_path / "j")
    assert done.rows == N
