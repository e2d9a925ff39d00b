"""The plan of a collection: what it holds, the route that fits, and its costs; on real vectors."""

from __future__ import annotations

import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

import interlingua as il
from command_line import Run, insert
from interlingua import _costs
from interlingua._costs import Speed
from interlingua._plan import Costs
from interlingua.core.errors import InputError
from interlingua.core.profiles import SpaceProfile
from interlingua.identification import Fingerprint
from interlingua.stores import planning

DEMO = Path(__file__).parents[1] / "demo" / "data"


def old_rows(n: int) -> Any:
    return np.load(DEMO / "source.npy")[:n].astype(np.float32)


def write(path: Path, vectors: Any, **columns: list[Any]) -> Path:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    ids = pa.array([f"row {i}" for i in range(len(vectors))])
    pq.write_table(pa.table({"id": ids, "vector": lists, **{k: pa.array(v) for k, v in columns.items()}}), path)
    return path


def test_vectors_of_a_known_model_are_fitted_on_pairs_of_public_texts(tmp_path: Path) -> None:
    rows = old_rows(1_500)
    rows[1_000:] = rows[:500]
    path = write(tmp_path / "old.parquet", rows, section=["utils"] * 1_500)
    made = il.plan(str(path))
    assert (made.rows, made.d, made.sampled, made.nulls, made.texts) == (1_500, 512, 1_500, 0, ())
    assert made.repeats == pytest.approx(1 / 3, abs=1e-3)
    assert (made.model, made.route, made.mixed_share) == ("Universal Sentence Encoder", "public pairs", 0)
    assert made.commands[0] == (
        f"interlingua fit {path} --source-encoder command:PROGRAM --target-encoder NEW_MODEL --texts TEXTS.txt "
        "--out translator"
    )
    assert made.expected_top1 is not None
    # The new model's vectors are of other texts, so they cannot be evaluated on.
    assert made.commands[1] == "interlingua evaluate translator OLD_PAIRS.npy NEW_PAIRS.npy"
    assert any("OLD_PAIRS.npy and NEW_PAIRS.npy are vectors of the same texts" in reason for reason in made.reasons)
    assert made.commands[-1] == f"interlingua migrate translator {path} TARGET --dry-run"


def test_rows_of_a_store_are_evaluated_by_their_ids(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    rows = write(tmp_path / "old.parquet", old_rows(600))
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute(f"create table items as select id, vector::float[512] as vector from '{rows}'")
    address = f"duckdb://{tmp_path}/s.duckdb#items.vector"
    made = il.plan(address, where="id < 'row 5'")
    assert f"interlingua evaluate translator '{address}' REEMBEDDED --where" in made.commands[1]
    assert any("REEMBEDDED is a file or collection of rows" in reason for reason in made.reasons)


def test_a_model_on_the_hub_is_named_in_the_command(tmp_path: Path) -> None:
    from interlingua._routes import public_pairs_command
    from interlingua.identification import shipped

    made = {known.name: public_pairs_command("a b.npy", known.name, "new.npy") for known in shipped()}
    assert made["all-MiniLM-L6-v2"] == (
        "interlingua fit 'a b.npy' new.npy --source-encoder sentence-transformers/all-MiniLM-L6-v2 "
        "--target-encoder NEW_MODEL --texts TEXTS.txt --out translator"
    )
    assert "--source-encoder BAAI/bge-base-en-v1.5 " in made["BGE-base-en-v1.5"]


def test_texts_in_the_payload_are_to_be_embedded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_costs, "measure_speed", lambda: pytest.fail("no fit is planned"))
    texts = [f"A description of package number {i} in some words" for i in range(600)]
    path = write(tmp_path / "old.parquet", old_rows(600), text=texts, section=["utilities for text"] * 600)
    made = il.plan(str(path))
    embed = f"interlingua embed {path} TARGET --encoder NEW_MODEL --text-column text"
    assert (made.route, made.texts, made.needed_rows, made.moved_rows) == ("re-embed", ("text",), 600, 0)
    assert made.commands == (f"{embed} --dry-run", embed)
    assert made.costs is None
    assert not any("they are pairs" in reason for reason in made.reasons)
    assert made.reasons[1] == (
        "If the new model cannot be run on them, an unpaired fit is possible: "
        f"interlingua fit {path} NEW.parquet --out translator --report fit.html"
    )


def test_texts_that_are_stored_as_categories_are_texts(tmp_path: Path) -> None:
    texts = [f"A description of package number {i} in some words" for i in range(600)]
    table = pq.read_table(write(tmp_path / "old.parquet", old_rows(600), text=texts))
    table = table.set_column(2, "text", table.column("text").dictionary_encode())
    pq.write_table(table, tmp_path / "old.parquet")
    assert il.plan(str(tmp_path / "old.parquet")).texts == ("text",)


def documents(count: int, with_title: int) -> list[str]:
    """Documents of a store without a schema: a category, a number and an address, and titles for the first rows."""
    return [
        json.dumps(
            {"category": f"c{i % 7}", "number": i, "url": f"https://example.org/a/long/path/{i}"}
            | ({"title": f"A description of package number {i}"} if i < with_title else {})
        )
        for i in range(count)
    ]


@pytest.mark.parametrize("place", ["file", "duckdb"])
@pytest.mark.parametrize("with_title", [0, 50, 1_200, 1_500])
def test_texts_of_documents_are_looked_for_under_their_keys(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_title: int, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    address = str(write(tmp_path / "old.parquet", old_rows(1_500), payload_json=documents(1_500, with_title)))
    if place == "duckdb":
        duckdb = pytest.importorskip("duckdb")
        with duckdb.connect("old.duckdb") as connection:
            made = "id, vector::FLOAT[512] as vector, payload_json"
            connection.execute(f"create table t as select {made} from read_parquet({address!r})")
        address = "duckdb://old.duckdb?id=id#t.vector"
    plan = il.plan(address)
    assert (
        plan.route == {0: "public pairs", 50: "public pairs", 1_200: "re-embed in part", 1_500: "re-embed"}[with_title]
    )
    assert plan.texts == (("title",) if with_title else ())
    assert plan.text_share == pytest.approx(with_title / 1_500, abs=1e-4)
    assert "payload_json" not in plan.summary()
    if with_title > 1_000:
        assert plan.moved_rows == (1_500 if with_title == 1_200 else 0)
        (tmp_path / "embed.py").write_text("import sys\nfor line in sys.stdin: print([float(len(line)), 1.0])\n")
        command = plan.commands[0].replace("NATIVE", "new.parquet").replace("TARGET", "new.parquet")
        command = command.replace("NEW_MODEL", f"'command:{sys.executable} embed.py'")
        ran = run(*shlex.split(command)[1:])
        assert ran.code == 0, ran.err


def test_a_column_of_json_is_no_text(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = write(tmp_path / "old.parquet", old_rows(300), meta=documents(300, 300))
    with duckdb.connect(str(tmp_path / "old.duckdb")) as connection:
        made = "id, vector::FLOAT[512] as vector, meta::JSON as meta, 1 as n"
        connection.execute(f"create table t as select {made} from read_parquet('{path}')")
    assert il.plan(f"duckdb://{tmp_path}/old.duckdb?id=id#t.vector").texts == ()
    # A column of a file is text, whatever is in it.
    assert il.plan(str(path)).texts == ("meta",)


def test_texts_of_a_part_are_embedded_and_are_the_pairs_of_the_fit(run: Run, tmp_path: Path) -> None:
    texts = [f"A description of package number {i}" if i % 3 == 0 else None for i in range(3_600)]
    path = write(tmp_path / "old.parquet", old_rows(3_600), text=texts, note=[" "] * 3_600)
    made = il.plan(str(path), rows=3_600)
    assert (made.route, made.texts, made.needed_rows) == ("re-embed in part", ("text",), 1_200)
    assert made.text_share == pytest.approx(1 / 3, abs=1e-3)
    assert made.moved_rows == 3_600
    assert made.costs is not None
    embed = f"interlingua embed {path} NATIVE --encoder NEW_MODEL --text-column text --skip-bad"
    assert made.commands == (
        f"{embed} --dry-run",
        embed,
        f"interlingua fit {path} NATIVE --pair-by-id --out translator --report fit.html",
        f"interlingua search translator {path} --space source --query OLD_QUERIES.npy",
        f"interlingua search translator {path} --query NEW_QUERIES.npy",
        f"interlingua migrate translator {path} TRANSLATED --dry-run",
        f"interlingua migrate translator {path} TRANSLATED",
        "interlingua search translator TRANSLATED NATIVE --translated --query NEW_QUERIES.npy --unique-ids",
    )
    assert made.reasons[0].startswith("About 1,200 of the 3,600 rows have a text (text).")
    assert any("enough for a fit on pairs alone" in reason for reason in made.reasons)
    assert any("either kind can take more than its share of the hits" in reason for reason in made.reasons)
    assert any("in 5 of 6 (nDCG at 10 of 0.18 to 0.90" in reason for reason in made.reasons)
    printed = run("plan", path, "--rows", 3_600).out
    assert "texts to embed with the new model: about 1,200" in printed
    assert "for a fit on pairs once the texts are embedded" in printed
    few = il.plan(str(write(tmp_path / "few.parquet", old_rows(600), text=texts[:600])))
    assert (few.route, few.needed_rows) == ("public pairs", 5_000)
    few_texts = "About 200 of the 600 rows have a text (text). With fewer than 1,000 of them, a fit on public texts is"
    assert few.route == "public pairs"
    assert any(few_texts in reason for reason in few.reasons)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    guided = il.plan(str(write(tmp_path / "turned.parquet", old_rows(600) @ turn, text=texts[:600])))
    assert guided.route == "re-embed in part"
    assert any("With fewer than 1,024 of them the pairs guide a fit" in reason for reason in guided.reasons)


def test_rows_without_a_text_are_selected_by_a_store_that_can(tmp_path: Path) -> None:
    from interlingua.stores._blank_texts import without_text

    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "some.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute('create table t (id bigint primary key, "A text" text, v float[512])')
        texts = [
            f"A description of package number {i}" if i < 1_500 else [None, "", " \n"][i % 3] for i in range(1_800)
        ]
        rows = [(i, texts[i], row.tolist()) for i, row in enumerate(old_rows(1_800))]
        connection.executemany("insert into t values (?, ?, ?)", rows)
    made = il.plan(f"duckdb://{path}#t.v", where="id < 1700")
    words = shlex.split(made.commands[-2])
    condition = words[words.index("--where") + 1]
    assert condition == f"(id < 1700) AND ({without_text('duckdb', 'A text')})"
    assert made.needed_rows == 1_500
    assert made.costs is not None
    # 200 of the 1,700 rows are translated and written.
    assert made.costs.migrate_seconds == 0.0
    assert made.moved_rows == 200
    assert "to translate and write the rows without a text" in made.summary()
    # A summary does not depend on the words of a command.
    assert "to translate and write the rows without a text" in replace(made, commands=()).summary()
    assert il.plan(f"duckdb://{path}#t.v", where=condition).rows == 200
    assert not made.commands[-1].endswith("--unique-ids")


def test_the_condition_for_rows_without_a_text_quotes_what_it_must() -> None:
    from interlingua.stores._blank_texts import without_text

    assert re.fullmatch(r""""text" IS NULL OR NOT \("text" ~ '\[[^']*\]'\)""", without_text("postgresql", "text") or "")
    # A column can have the name of a reserved word.
    assert (without_text("duckdb", "desc") or "").startswith('"desc" IS NULL OR NOT regexp_matches("desc", \'')
    assert without_text("qdrant", "text") is None
    quoted = '"a ""b"""'
    assert (without_text("duckdb", 'a "b"') or "").startswith(f"{quoted} IS NULL OR NOT regexp_matches({quoted}, '")
    assert (without_text("lancedb", "Title") or "").startswith("`Title` IS NULL OR NOT regexp_like(`Title`, '")


def test_a_known_new_model_is_named_in_the_commands(tmp_path: Path) -> None:
    from interlingua.identification import shipped

    known = next(each for each in shipped() if each.name == "all-MiniLM-L6-v2")
    noise = np.random.default_rng(0).standard_normal((300, known.d)).astype(np.float32)
    rows = known.mean.astype(np.float32) + known.spread.astype(np.float32) * noise
    rows[4] = np.nan
    new = write(tmp_path / "new.parquet", np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32))
    texts = [f"A description of package number {i} in some words" for i in range(600)]
    with_texts = il.plan(str(write(tmp_path / "texts.parquet", old_rows(600), text=texts)), str(new))
    without = il.plan(str(write(tmp_path / "old.parquet", old_rows(600))), str(new))
    for made in (with_texts, without):
        assert made.target_model == "all-MiniLM-L6-v2"
        assert any("were probably made by all-MiniLM-L6-v2." in reason for reason in made.reasons)
        assert not any("NEW_MODEL" in text for text in (*made.commands, *made.reasons))
        assert any(f"1 of the rows of {new} that were read" in reason for reason in made.reasons)
    assert "--encoder sentence-transformers/all-MiniLM-L6-v2 --text-column text" in with_texts.commands[1]
    assert "--target-encoder sentence-transformers/all-MiniLM-L6-v2 --texts" in without.commands[0]
    assert " --skip-bad --source-encoder" in without.commands[0]
    assert any(
        "public texts with it and with all-MiniLM-L6-v2, the model of TARGET" in said for said in without.reasons
    )
    assert "to 0.95 in recorded fits on 3,000 pairs of public texts" in without.summary()
    same = il.plan(str(new), str(write(tmp_path / "more.parquet", new_copy(new))))
    assert any("so that there is nothing to translate" in reason for reason in same.reasons)
    few = write(tmp_path / "few.parquet", old_rows(20))
    assert il.plan(str(tmp_path / "old.parquet"), str(few)).target_model is None


def new_copy(path: Path) -> Any:
    rows = np.stack(pq.read_table(path).column("vector").to_pylist())
    return np.asarray(rows[5:205], np.float32)


# A command within a reason ends it.
COMMAND = re.compile(r": (interlingua .*)$")


@pytest.mark.parametrize("kind", ["texts", "some texts", "few texts", "known", "unknown", "mixed", "holes"])
@pytest.mark.parametrize("target", [False, True])
def test_every_command_that_a_plan_prints_is_parsed(tmp_path: Path, kind: str, target: bool) -> None:
    from interlingua.cli import app

    group: Any = typer.main.get_command(app)
    rows, columns = old_rows(600), dict[str, list[Any]]()
    if kind == "texts":
        columns = {"a text": [f"A description of package number {i} in some words" for i in range(600)]}
    elif kind.endswith(" texts"):
        rows = old_rows(2_000)
        kept = 1_200 if kind == "some texts" else 50
        columns = {"a text": [f"A description of package number {i}" if i < kept else None for i in range(2_000)]}
    elif kind == "unknown":
        turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
        rows = rows @ turn
    elif kind == "mixed":
        rows = np.concatenate([np.load(DEMO / "target.npy")[:540].astype(np.float32), rows[:60, :256]])
    elif kind == "holes":
        rows[7] = np.nan
    old = write(tmp_path / "an old.parquet", rows, **columns)
    new = write(tmp_path / "new.parquet", np.load(DEMO / "target.npy")[:600].astype(np.float32))
    made = il.plan(str(old), str(new) if target else None)
    printed = [*made.commands, *(found for reason in made.reasons for found in COMMAND.findall(reason))]
    assert len(printed) >= 1 if kind == "mixed" else len(printed) >= 2
    for command in printed:
        words = shlex.split(command)
        parsed = group.commands[words[1]].make_context(
            words[1], words[2:], parent=group.make_context("interlingua", ["doctor"], resilient_parsing=True)
        )
        if words[1] != "evaluate" and "TRANSLATED" not in words[3:4]:
            assert str(old) in {str(value) for value in parsed.params.values()}


def test_an_unknown_model_is_aligned_without_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    old = write(tmp_path / "old.parquet", old_rows(5_000) @ turn)
    new = write(tmp_path / "new.parquet", np.load(DEMO / "target.npy")[:2_500].astype(np.float32))
    monkeypatch.setattr(_costs, "measure_speed", lambda: Speed(0.1))
    made = il.plan(str(old), str(new), rows=2_000)
    assert (made.model, made.route, made.sampled, made.needed_rows) == ("unknown", "unpaired", 2_000, 4_398)
    assert made.moved_rows == 5_000
    assert made.expected_top1 == (0.63, 0.86)
    # Not the number of rows that the route needs, which is on the line before.
    assert "0.63 to 0.86 in recorded fits without pairs of BGE to MiniLM on 2,000 rows a side" in made.summary()
    assert any("TARGET is the address of a new file, collection, column" in reason for reason in made.reasons)
    assert made.commands[0] == f"interlingua fit {old} {new} --out translator --report fit.html"
    assert made.commands[1] == "interlingua evaluate translator OLD_PAIRS.npy NEW_PAIRS.npy"
    assert any("2,500 rows; 4,398 of similar content are better" in reason for reason in made.reasons)
    # 120 + 35 * 7.5 + 44 * (5 * 0.512 + 2.5 * 0.256) + 700 * 0.256**2 * 0.512 units of a tenth of a second.
    assert made.costs == Costs(
        fit_seconds=54.7,
        failed_fit_seconds=132.7,
        failed_views_fit_seconds=132.7,
        paired_fit_seconds=9.6,
        fit_bytes=552_000_000,
        migrate_seconds=0.1,
        disk_bytes=4 * 256 * 5_000,
    )
    few = il.plan(str(write(tmp_path / "few.parquet", old_rows(300) @ turn)))
    assert few.expected_top1 is None
    assert few.commands[0] == (
        f"interlingua fit {tmp_path / 'few.parquet'} --target-encoder NEW_MODEL --texts TEXTS.txt "
        "--view-encoder VIEW_MODEL --out translator --report fit.html"
    )
    assert any("command:PROGRAM" in reason and "VIEW_MODEL is another model" in reason for reason in few.reasons)
    assert any("Universal Sentence Encoder, WordLlama and Model2Vec (benchmarks" in reason for reason in few.reasons)
    assert few.reasons[1] == (
        "If the new model cannot be run here, align the collection with vectors of such texts that it made: "
        f"interlingua fit {tmp_path / 'few.parquet'} NEW.parquet --out translator --report fit.html"
    )
    assert any("by further models (`interlingua fit --view-encoder MODEL`)" in reason for reason in few.reasons)
    assert not any("VIEW_MODEL" in reason for reason in made.reasons)
    assert any("fits without views on 1,000 rows a side or fewer fail" in reason for reason in few.reasons)


def test_a_mixture_of_two_models_is_separated_first_and_its_rows_are_named(run: Run, tmp_path: Path) -> None:
    new = np.load(DEMO / "target.npy")[:1_800].astype(np.float32)
    path = write(tmp_path / "mixed.parquet", np.concatenate([new, old_rows(200)[:, :256]]))
    made = run("plan", path, "--json").json
    assert (made["route"], made["costs"]) == ("separate", None)
    assert made["mixed_share"] == pytest.approx(0.1, abs=0.005)
    assert len({f"row {i}" for i in range(1_800, 2_000)} ^ set(made["mixed_ids"])) <= 10
    text = run("plan", path).out
    assert "model: probably two; route: separate" in text
    assert "About 10% of the rows are probably of another model than the rest." in text
    part = run("plan", path, "--rows", 1_500).out
    assert "of the 1,500 rows that were looked at are probably of another model" in part
    assert f"interlingua identify {path} --rows 2000 --json" in text


def test_a_few_copies_are_not_rounded_to_none(run: Run, tmp_path: Path) -> None:
    rows = old_rows(1_000)
    rows[-2:] = rows[:2]
    text = run("plan", write(tmp_path / "old.parquet", rows)).out
    assert "1,000 rows of width 512, under 1% of them copies" in text.replace("\n", " ")


def test_what_cannot_be_planned_is_refused(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", old_rows(20))
    error = run("plan", tmp_path / "few.npy", "--json").json["error"]
    assert "at least 50 rows" in error
    assert "few.npy has 20 usable vectors" in error
    with pytest.raises(il.InputError, match="no such file"):
        il.plan(str(tmp_path / "missing.npy"))


def test_urls_and_uuids_are_no_texts_and_texts_without_spaces_are(tmp_path: Path) -> None:
    number = range(600)
    columns = {
        "url": [f"https://example.com/packages/number/{i}" for i in number],
        "key": [f"123e4567-e89b-12d3-a456-{i:012}" for i in number],
    }
    made = il.plan(str(write(tmp_path / "old.parquet", old_rows(600), **columns)))
    assert (made.texts, made.route) == ((), "public pairs")
    columns["japanese"] = [f"これは番号{i:06}のパッケージの説明文です" for i in number]
    assert il.plan(str(write(tmp_path / "old.parquet", old_rows(600), **columns))).texts == ("japanese",)


def test_rows_without_a_usable_vector_are_counted_and_left_out(run: Run, tmp_path: Path) -> None:
    rows = old_rows(600)
    rows[7], rows[9] = 0, np.nan
    lists: list[Any] = [None if i < 5 else row.tolist() for i, row in enumerate(rows)]
    table = pa.table({"id": list(range(600)), "vector": pa.array(lists, pa.list_(pa.float32()))})
    pq.write_table(table, tmp_path / "holes.parquet")
    made = run("plan", tmp_path / "holes.parquet", "--json").json
    assert (made["rows"], made["sampled"], made["unusable"]) == (600, 593, 7)
    assert any("7 of the 600 rows that were read have no vector" in reason for reason in made["reasons"])
    assert "or left out where that is asked for (`skip_bad`)" in " ".join(made["reasons"])
    assert made["commands"][-1].endswith("TARGET --dry-run --skip-bad")
    assert " --skip-bad --source-encoder" in made["commands"][0]
    assert not any(command.startswith("interlingua search") for command in made["commands"])
    assert any("a search refuses a collection with rows that cannot be used" in reason for reason in made["reasons"])
    named = run("identify", tmp_path / "holes.parquet", "--json").json
    first = ["0", "1", "2", "3", "4"]
    assert (named["rows"], named["left_out"]["rows"], list(map(str, named["left_out"]["first"]))) == (593, 7, first)
    assert " --skip-bad --source-encoder" in named["command"]
    shown = run("identify", tmp_path / "holes.parquet").err
    assert "Left out: 7 rows of 600 that were read, without a vector that can be used." in shown


def test_rows_that_a_store_holds_without_a_vector_are_left_out_by_the_command(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "holes.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t (id bigint primary key, v float[512])")
        rows = [(i, None if i < 5 else row.tolist()) for i, row in enumerate(old_rows(200))]
        insert(connection, "t", rows)
    plan = il.plan(f"duckdb://{path}#t.v")
    assert (plan.nulls, plan.unusable) == (5, 0)
    assert plan.commands[-1].endswith("TARGET --dry-run --skip-null")


def test_the_quality_of_a_fit_is_expected_from_distinct_rows(tmp_path: Path) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    made = il.plan(str(write(tmp_path / "old.parquet", np.tile(old_rows(500) @ turn, (10, 1)))))
    assert (made.rows, made.repeats, made.expected_top1) == (5_000, 0.9, None)
    assert any("has about 500 different vectors" in reason for reason in made.reasons)


def test_texts_make_the_separation_of_two_models_needless(run: Run, tmp_path: Path) -> None:
    vectors = np.concatenate([np.load(DEMO / "target.npy")[:900].astype(np.float32), old_rows(200)[:, :256]])
    texts = [f"A description of package number {i} in some words" for i in range(1_100)]
    path = write(tmp_path / "mixed.parquet", vectors, text=texts)
    made = il.plan(str(path))
    assert (made.route, made.texts) == ("re-embed", ("text",))
    assert made.mixed_share == pytest.approx(200 / 1_100, abs=0.005)
    assert any("of another model than the rest" in reason for reason in made.reasons)
    assert "if it finds no map" not in run("plan", path).out


def test_the_costs_of_both_kinds_of_fit_are_printed(run: Run, tmp_path: Path) -> None:
    text = run("plan", write(tmp_path / "old.parquet", old_rows(600))).out
    time = r"[\d.]+ (s|min|h)"
    assert re.search(
        rf"about {time} for a fit on pairs once the texts are embedded, {time} and [\d.]+ MB of memory for an unpaired "
        rf"fit \({time} if it finds no map\), {time} to translate and write every row",
        text,
    )


def test_the_time_of_a_fit_with_views_is_printed_where_they_turn_the_second_search_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_costs, "measure_speed", lambda: Speed(0.1))
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    old = write(tmp_path / "old.parquet", old_rows(1_200) @ turn)
    new = write(tmp_path / "new.parquet", np.load(DEMO / "target.npy")[:1_500].astype(np.float32))
    text = run("plan", old, new).out
    assert re.search(r"unpaired fit \(\d+ s, or 12 min with views, if it finds no map\)", text), text
    larger = write(tmp_path / "larger.parquet", old_rows(2_500) @ turn)
    assert "with views, if it finds" not in run("plan", larger).out


@pytest.mark.parametrize(
    ("route", "fit"),
    [
        ("re-embed", None),
        ("re-embed in part", "paired"),
        ("public pairs", "public"),
        ("unpaired", "unpaired"),
    ],
)
def test_recorded_searches_are_those_of_the_records(route: str, fit: str | None) -> None:
    from interlingua._routes import _SEARCHES

    lines = (Path(__file__).parents[1] / "benchmarks" / "results" / "retrieval.jsonl").read_text("utf-8").splitlines()
    records = [record for record in map(json.loads, lines) if record["judged"] is not None]
    scores: dict[str, dict[Any, float]] = {"old": {}, "new": {}, "translated": {}}
    failed = set()
    for record in records:
        key = (record["set"], *record["encoders"])
        if record["route"] in ("old", "new"):
            scores[record["route"]][key] = record["judged"]["ndcg"][0]
        elif (record["route"], record["fit"]) == ("translated", fit):
            # Every seed is a fit and a search of its own.
            key = (*key, record["seed"])
            scores["translated"][key] = record["judged"]["ndcg"][0]
            failed |= {key} if record["verdict"] == "failed" else set()
    reached = scores["new"] if fit is None else scores["translated"]
    used = {key: score for key, score in reached.items() if key not in failed}
    old = [scores["old"][key[:3]] for key in used]
    found = _SEARCHES[route]
    assert found.count == len(used)
    assert found.worse == sum(score < before for score, before in zip(used.values(), old, strict=True))
    assert found.ndcg == (round(min(used.values()), 2), round(max(used.values()), 2))
    assert found.old_ndcg == (round(min(old), 2), round(max(old), 2))
    assert found.failed == len(failed)


def test_recorded_searches_of_native_and_translated_rows_are_those_of_the_records() -> None:
    from interlingua._texts_in_part import _RECORDED

    file = Path(__file__).parents[1] / "benchmarks" / "results" / "texts-in-part.jsonl"
    records = [record for record in map(json.loads, file.read_text("utf-8").splitlines()) if record["fit"] == "paired"]

    def span(values: list[float]) -> str:
        return f"{min(values):.2f} to {max(values):.2f}"

    shares, recalls = ([record[name] for record in records] for name in ("native_share", "recall"))
    assert f"were {span([record['true_native_share'] for record in records])} of the true hits" in _RECORDED
    assert f"{span([share['table'] for share in shares])} of those in one table" in _RECORDED
    assert f"{span([share['matched'] for share in shares])} of those with matched scores" in _RECORDED
    assert f"was {span([recall['table'] for recall in recalls])} in one table" in _RECORDED
    assert f"{span([recall['matched'] for recall in recalls])} with matched scores" in _RECORDED
    unpaired = [r for r in map(json.loads, file.read_text("utf-8").splitlines()) if r["fit"] == "unpaired"]
    assert [f"{r['top1']['read']:.2f} {r['top1']['unseen']:.2f}" for r in unpaired] == ["0.99 0.98", "0.99 0.99"]


def test_a_plan_advises_to_compare_with_the_old_model(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "old.parquet", old_rows(600))
    made = il.plan(str(path))
    assert made.searches is not None
    assert made.searches.worse == made.searches.count == 6
    assert any(
        "ranked worse than the old model itself in 6 of 6 (nDCG at 10 of 0.08 to 0.83" in r for r in made.reasons
    )
    assert made.commands[2:4] == (
        f"interlingua search translator {path} --space source --query OLD_QUERIES.npy",
        f"interlingua search translator {path} --query NEW_QUERIES.npy",
    )
    assert run("plan", path, "--json").json["searches"]["old_ndcg"] == [0.25, 0.99]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    unpaired = il.plan(str(write(tmp_path / "turned.parquet", old_rows(600) @ turn)))
    assert any("worse than the old model itself in 13 of 13" in r for r in unpaired.reasons)
    assert any("In 5 more the fit failed." in r for r in unpaired.reasons)
    texts = [f"A description of package number {i} in some words" for i in range(600)]
    embedded = il.plan(str(write(tmp_path / "texts.parquet", old_rows(600), text=texts)))
    (said,) = (r for r in embedded.reasons if "The new model itself ranked worse than the old one in 2 of 6" in r)
    assert "from WordLlama to USE and from USE to MiniLM, on medical questions" in said


def test_a_target_of_one_row_is_no_fit_to_run(tmp_path: Path) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    old, new = tmp_path / "old.npy", tmp_path / "new.npy"
    np.save(old, old_rows(1_200) @ turn)
    np.save(new, old_rows(1))
    made = il.plan(str(old), str(new))
    assert (made.route, made.commands) == ("unpaired", ())
    assert any(
        "smaller side has about 1 different vector. An unpaired fit on fewer than 100" in r for r in made.reasons
    )
    assert any("new.npy has 1 row; 4,398 of similar content" in reason for reason in made.reasons)


def turned(path: Path, n: int) -> str:
    """Write rows of a model that nobody knows."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    np.save(path, old_rows(n) @ turn)
    return str(path)


@pytest.mark.parametrize("sides", [(60, None), (60, 600), (600, 60)])
def test_a_fit_that_would_be_refused_is_not_planned(run: Run, tmp_path: Path, sides: tuple[int, int | None]) -> None:
    source = turned(tmp_path / "old.npy", sides[0])
    target = None if sides[1] is None else str(tmp_path / "new.npy")
    if target is not None:
        np.save(target, np.load(DEMO / "target.npy")[: sides[1]].astype(np.float32))
    made = il.plan(source, target)
    assert (made.route, made.commands, made.costs, made.searches) == ("unpaired", (), None, None)
    assert (made.moved_rows, made.expected_top1, made.needed_rows) == (0, None, 4_398)
    assert made.reasons[:2] == (
        "The collection holds no texts, and its model is not known.",
        "The smaller side has about 60 different vectors. An unpaired fit on fewer than 100 is refused, so more rows "
        "or known pairs are needed.",
    )
    printed = run("plan", source, *([] if target is None else [target])).out
    for words in ("command", "evaluation", "interlingua ", "to translate", "views", "Before you switch"):
        assert words not in printed, printed


@pytest.mark.parametrize("rows", [60, 600, 1_500])
@pytest.mark.parametrize("with_texts", [False, True])
def test_the_note_on_few_rows_belongs_to_the_unpaired_fit(tmp_path: Path, rows: int, with_texts: bool) -> None:
    texts = {"text": [f"A description of package number {i} in some words" for i in range(rows)]} if with_texts else {}
    made = il.plan(str(write(tmp_path / "old.parquet", old_rows(rows), **texts)))
    if not with_texts and made.route == "unpaired":
        pytest.skip("the model is not recognized in so few rows")
    assert made.route == ("re-embed" if with_texts else "public pairs")
    offers = [i for i, reason in enumerate(made.reasons) if "an unpaired fit is possible: " in reason]
    notes = [i for i, reason in enumerate(made.reasons) if "more rows or known pairs are needed" in reason]
    assert len(offers) == (rows >= 100)
    assert notes == ([offers[0] + 1] if rows == 600 else [])


def test_a_plan_and_a_dry_run_write_at_the_same_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from interlingua.stores import open_source
    from interlingua.stores._capabilities import Capabilities
    from stores.migrations import D_IN, translator, unit

    rate = Capabilities("none", ("int",), rows_per_second=1_000)
    assert [rate.writing_seconds(2_000, d) for d in (3, 384, 768)] == [2.0, 2.0, 4.0]
    new, source = tmp_path / "new.npy", turned(tmp_path / "old.npy", 5_000)
    np.save(new, np.load(DEMO / "target.npy")[:600, :200].astype(np.float32))
    monkeypatch.setattr(_costs, "measure_speed", lambda: Speed(0.1))
    monkeypatch.setattr(Capabilities, "writing_seconds", lambda _, rows, d: 1e6 * rows + d)
    costs = il.plan(source, str(new)).costs
    assert costs is not None
    assert costs.migrate_seconds == pytest.approx(5e9 + 200, abs=1)
    np.save(tmp_path / "x.npy", unit(50, D_IN, 0))
    with open_source(str(tmp_path / "x.npy")) as old, open_source(str(tmp_path / "y.npy")) as written:
        made = planning.plan(translator(), old, written, planning.Options())
    assert made.seconds == pytest.approx(5e7 + made.d_out, abs=10)


@pytest.mark.parametrize(
    ("unusable", "said"),
    [(1, "1 of the 600 rows that were read has no"), (2, "2 of the 600 rows that were read have")],
)
def test_one_row_without_a_vector_has_none(tmp_path: Path, unusable: int, said: str) -> None:
    rows, new = old_rows(600), np.load(DEMO / "target.npy")[:600].astype(np.float32)
    rows[:unusable], new[:unusable] = 0, 0
    np.save(tmp_path / "old.npy", rows)
    np.save(tmp_path / "new.npy", new)
    made = il.plan(str(tmp_path / "old.npy"), str(tmp_path / "new.npy"))
    assert any(reason.startswith(said) for reason in made.reasons)
    has = "has" if unusable == 1 else "have"
    of_target = f"{unusable} of the rows of {tmp_path / 'new.npy'} that were read {has} no vector"
    assert any(reason.startswith(of_target) for reason in made.reasons)


def test_a_target_that_is_a_file_cannot_catch_up(tmp_path: Path) -> None:
    texts = [f"A description of package number {i}" if i < 1_200 else None for i in range(2_000)]
    for rows, name in ((600, "TARGET"), (2_000, "NATIVE")):
        made = il.plan(str(write(tmp_path / "old.parquet", old_rows(rows), text=texts[:rows])))
        assert any(f"meanwhile, unless {name} is a file or a FAISS index." in reason for reason in made.reasons)


def test_a_plan_is_printed_in_lines_in_python_too(run: Run, tmp_path: Path) -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((512, 512)))[0].astype(np.float32)
    old = write(tmp_path / "old.parquet", old_rows(600) @ turn)
    new = write(tmp_path / "new.parquet", np.load(DEMO / "target.npy")[:700].astype(np.float32))
    made = il.plan(str(old), str(new))
    assert str(made) == made.summary()
    lines = made.summary().splitlines()
    assert lines[:3] == [
        f"{old}: 600 rows of width 512",
        f"{new}: 700 rows of width 256; model: {made.target_model}",
        "model: unknown; route: unpaired",
    ]
    assert lines[-1] == f"  {made.commands[-1]}"
    assert "vectors of other texts of similar content that the fit needs from the new model: 4,398" in lines
    alone = run("plan", old).out
    assert str(new) not in alone
    assert f"{new}: 700 rows of width 256" in run("plan", old, new).out


def test_arrays_and_paths_in_the_wrong_place_are_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"source is .*; the address of a file .*align arrays with align\(source, target"
    ):
        il.plan(old_rows(100))
    with pytest.raises(InputError, match=r"source is .*open_vectors\(PATH\).vectors\(\)"):
        il.align("old.npy", "new.npy")
    with pytest.raises(InputError, match=r"target is .*open_vectors\(PATH\).vectors\(\)"):
        il.align(old_rows(300), tmp_path / "new.npy")


@pytest.mark.parametrize("scheme", ["duckdb", "lancedb", "file", "translated"])
def test_a_collection_that_a_migration_wrote_is_called_so(run: Run, tmp_path: Path, scheme: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    if scheme == "lancedb":
        pytest.importorskip("lancedb")
    path = tmp_path / "m.duckdb"
    rows = np.load(DEMO / "target.npy")[:300].astype(np.float32)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table plain (id bigint primary key, v float[256])")
        connection.executemany("insert into plain values (?, ?)", [(i, row.tolist()) for i, row in enumerate(rows)])
    source = f"duckdb://{path}#plain.v"
    pairs = [[i, i] for i in range(300)]
    translator = il.align(rows, rows, pairs=pairs, method="procrustes").translator(force=True)
    folder = translator.save(tmp_path / "translator")
    targets = {
        "duckdb": f"duckdb://{path}#plain.w",
        "lancedb": f"lancedb://{tmp_path}/lance#t.v",
        "file": f"file://{tmp_path / 'moved.parquet'}",
        "translated": str(tmp_path / "translated.parquet"),
    }
    if scheme == "translated":
        ran = run("translate", folder, write(tmp_path / "plain.parquet", rows), "--out", targets[scheme])
    else:
        ran = run("migrate", folder, source, targets[scheme], "--journal", tmp_path / "journal.sqlite")
    assert ran.code == 0, ran.err
    made = il.plan(targets[scheme])
    assert made.migrated
    assert made.reasons[0].startswith("interlingua translated these vectors, so the model that is named here did not")
    assert (made.route, made.costs, made.moved_rows) == ("translated", None, 0)
    assert made.commands == (
        f"interlingua search translator {shlex.quote(made.source)} --translated --query NEW_QUERIES.npy",
    )
    assert "made the vectors" not in " ".join(made.reasons)
    found = run("identify", targets[scheme])
    assert "interlingua translated these vectors, so the model that is named here" in " ".join(found.out.split())
    assert "Fit on public texts under both models" not in found.out
    with pytest.raises(InputError, match="interlingua translated the vectors of .*; TARGET needs vectors that the new"):
        il.plan(source, targets[scheme])
    assert run("identify", targets[scheme], "--json").json["migrated"] is True
    assert not il.plan(source).migrated
    assert run("identify", source, "--json").json["migrated"] is False


def test_vectors_that_were_embedded_are_no_translations(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.duckdb"
    rows = np.load(DEMO / "target.npy")[:200].astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "embed.py").write_text(
        "import sys\nimport numpy as np\nrows = np.load(sys.argv[1])\n"
        "for line in sys.stdin:\n    print(rows[sum(map(ord, line)) % 200].tolist())\n"
    )
    encoder = "command:" + shlex.join([sys.executable, str(tmp_path / "embed.py"), str(tmp_path / "rows.npy")])
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t (id bigint primary key, v float[256], text varchar)")
        connection.executemany(
            "insert into t values (?, ?, ?)", [(i, row.tolist(), f"words of row {i}") for i, row in enumerate(rows)]
        )
    for target in (f"duckdb://{path}#t.w", f"file://{tmp_path / 'embedded.parquet'}"):
        ran = run("embed", f"duckdb://{path}#t.v", target, "--encoder", encoder, "--text-column", "text")
        assert ran.code == 0, ran.err
        assert not il.plan(target).migrated
        assert run("identify", target, "--json").json["migrated"] is False


def test_two_collections_of_one_model_are_not_fitted(tmp_path: Path) -> None:
    vectors = np.load(DEMO / "target.npy").astype(np.float32)
    first, second = (str(write(tmp_path / f"{i}.parquet", vectors[i * 1000 : (i + 1) * 1000])) for i in (0, 1))
    model = il.plan(first).model
    if model == "unknown":
        pytest.skip("the model of the demo's target is not one that identify knows")
    made = il.plan(first, second)
    assert (made.route, made.commands, made.costs) == ("same model", (), None)
    assert made.reasons[0].startswith(
        f"{model} probably made the vectors of both collections, so that there is nothing"
    )


def test_a_target_of_two_models_is_said(tmp_path: Path) -> None:
    source, target = (np.load(DEMO / f"{side}.npy").astype(np.float32) for side in ("source", "target"))
    if source.shape[1] == target.shape[1]:
        other = source[:400]
    else:
        turned = np.linalg.qr(np.random.default_rng(0).standard_normal((target.shape[1],) * 2))[0]
        other = (target[2000:2400] @ turned).astype(np.float32)
    mixed = str(write(tmp_path / "mixed.parquet", np.concatenate([target[:1600], other])))
    made = il.plan(str(write(tmp_path / "old.parquet", source[:2000])), mixed)
    assert any("of the rows of" in reason and "are probably of another model" in reason for reason in made.reasons)
    assert made.target_model == "unknown"
    whole = il.plan(str(tmp_path / "old.parquet"), str(write(tmp_path / "one.parquet", target[:2000])))
    assert not any("are probably of another model" in reason for reason in whole.reasons)


def test_rows_of_many_columns_are_measured_as_repeated_rows_are() -> None:
    """With fewer rows than columns the covariance is not formed; repeats change no statistic but take the other way."""
    rows = np.random.default_rng(0).standard_normal((60, 300)).astype(np.float32)
    few, many = (Fingerprint.of(z) for z in (rows, np.tile(rows, (10, 1))))
    np.testing.assert_allclose(few.spectrum, many.spectrum, atol=1e-5)
    first, second = (SpaceProfile.of(z, limits=False) for z in (rows, np.tile(rows, (10, 1))))
    np.testing.assert_allclose(first.shares[:40], second.shares[:40], atol=1e-5)
    np.testing.assert_allclose(np.abs((first.basis[:, :10] * second.basis[:, :10]).sum(axis=0)), 1, atol=1e-3)


def test_a_plan_of_some_rows_says_so_in_its_commands(run: Run, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "some.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t (id bigint primary key, kind text, v float[512])")
        rows = [(i, "new" if i < 100 else "old", row.tolist()) for i, row in enumerate(old_rows(300))]
        insert(connection, "t", rows)
        connection.execute("create table u (id bigint primary key, kind text, v float[256])")
        new = np.load(DEMO / "target.npy")[:300].astype(np.float32)
        insert(connection, "u", [(i, "new", row.tolist()) for i, row in enumerate(new)])
    address = f"duckdb://{path}#t.v"
    made = run("plan", address, "--where", "kind = 'old'", "--sample", 150, "--json").json
    assert (made["rows"], made["sampled"], made["where"]) == (200, 150, "kind = 'old'")
    fits, moves = ([c for c in made["commands"] if c.startswith(f"interlingua {name} ")] for name in ("fit", "migrate"))
    assert fits
    assert all("--where 'kind = '\"'\"'old'\"'\"''" in command for command in (*fits, *moves))
    assert run("identify", address, "--where", "kind = 'new'", "--json").json["rows"] == 100
    chosen = il.plan(address, f"duckdb://{path}#u.v", where="kind = 'old'", target_where="kind = 'new'")
    assert "--target-where" in chosen.commands[0]
    assert "The search commands read the whole collection, because a search takes no condition." in chosen.reasons
    assert not any("read the whole collection" in reason for reason in il.plan(address).reasons)
    with pytest.raises(il.InputError, match=r"no target with rows to select. Name it, or leave target_where=... out"):
        il.plan(address, target_where="kind = 'new'")


@pytest.mark.parametrize("command", ["plan", "fit", "evaluate", "calibrate"])
def test_a_condition_for_a_target_that_cannot_select_rows_is_named(run: Run, tmp_path: Path, command: str) -> None:
    address = f"file://{write(tmp_path / 'rows.parquet', old_rows(300))}?id=id"
    first = () if command in ("plan", "fit") else (identity_folder(tmp_path),)
    out = ("--out", tmp_path / "out") if command in ("fit", "calibrate") else ()
    for option in ("--where", "--target-where"):
        ran = run(command, *first, address, address, *out, option, "id > 1")
        assert ran.code == 2, ran.out
        assert f"cannot select rows. Leave {option} out." in " ".join(ran.err.split())


def identity_folder(folder: Path) -> Path:
    rows = old_rows(300)
    fit = il.align(rows, rows, pairs=[[i, i] for i in range(300)], method="procrustes")
    return Path(fit.translator(force=True).save(folder / "translator"))
