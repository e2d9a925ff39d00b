"""`fit` and `evaluate` read collections of a store by the addresses that a migration takes."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import D_SOURCE, D_TARGET, N, Rows, Run, insert
from interlingua.cli.fit_run import run_fit
from interlingua.core.errors import InputError
from interlingua.core.spaces import EmbeddingSpace
from interlingua.core.translator import Translator, load
from interlingua.stores import _clients

duckdb = pytest.importorskip("duckdb")


def put(path: Path, table: str, vectors: Rows, ids: range, *, nulls: range = range(0)) -> str:
    """Make a table with the given rows of the vectors and return its address."""
    connection: Any = duckdb.connect(str(path))
    connection.execute(f"create table {table}(id bigint primary key, title text, v float[{vectors.shape[1]}])")
    rows = [(i, f"title {i}", None if i in nulls else vectors[i].tolist()) for i in ids]
    insert(connection, table, rows)
    connection.close()
    return f"duckdb://{path}#{table}.v"


@pytest.fixture
def stores(tmp_path: Path, planted: tuple[Rows, Rows]) -> tuple[str, str]:
    """The old collection, of which ten rows have no vector, and every second row of it under the new model."""
    path = tmp_path / "s.duckdb"
    old = put(path, "old", planted[0], range(N), nulls=range(90, 100))
    return old, put(path, "new", planted[1], range(N - 1, -1, -2))


def test_an_evaluation_pairs_rows_of_stores_by_their_ids(run: Run, saved: Path, stores: tuple[str, str]) -> None:
    ran = run("evaluate", saved, *stores, "--json")
    assert ran.code == 0, ran.err
    # Every second row is in both, except the five of them that have no vector.
    assert ran.json["n"] == N // 2 - 5
    assert ran.json["forward"]["top1"] == 1
    assert ran.json["backward"]["mean_rank"] == 1


def test_an_evaluation_ranks_among_all_rows_of_the_source(
    run: Run, saved: Path, stores: tuple[str, str], planted: tuple[Rows, Rows]
) -> None:
    from interlingua.core.translator import load as load_translator

    chosen = ["--target-where", "id between 11 and 30"]
    # A translator that confuses rows, so that more rows are more competition.
    rough = load_translator(saved)
    rough.forward.matrix[...] *= np.linspace(0.05, 3, rough.d_target, dtype=np.float32)  # type: ignore[attr-defined]
    rough.save(saved.parent / "rough")
    ran = run("evaluate", saved.parent / "rough", *stores, *chosen, "--json")
    assert ran.code == 0, ran.err
    found = ran.json["collection"]
    assert (ran.json["pool"], found["pool"]) == (10, 590)
    kept = [i for i in range(N) if not 90 <= i < 100]
    translated = rough.translate(planted[0][kept], allow_foreign=True)
    translated /= np.linalg.norm(translated, axis=1, keepdims=True)
    rows = range(11, 31, 2)
    scores = planted[1][list(rows)] @ translated.T
    ranks = [int((line > line[kept.index(row)] + 1e-6).sum()) + 1 for row, line in zip(rows, scores, strict=True)]
    assert found["mean_rank"] == pytest.approx(np.mean(ranks))
    assert found["top1"] == pytest.approx(np.mean([rank == 1 for rank in ranks]))
    text = run("evaluate", saved.parent / "rough", *stores, *chosen)
    assert "in the collection" in text.out
    said = " ".join(text.err.split())
    assert "of the right row among 10 rows. Among more rows, top-1 is lower." in said
    assert "among the translations of 590 rows of SOURCE" in said
    assert "unrelated texts have about 0" in said
    assert "can rank worse than the old model itself, and in most recorded searches they did" in said
    fixed = run("evaluate", saved.parent / "rough", *stores, *chosen, "--pool", 60, "--json").json
    assert fixed["collection"]["pool"] == 60
    assert run("evaluate", saved, *stores, *chosen, "--pool", 10, "--json").json["collection"] is None


def test_only_compared_rows_are_looked_for_among_those_of_the_fit(
    run: Run, saved: Path, stores: tuple[str, str], planted: tuple[Rows, Rows]
) -> None:
    from interlingua.core.translator import load as load_translator

    fitted = load_translator(saved)
    for side, rows in zip(("source", "target"), planted, strict=True):
        fitted.card[side] |= {"n": 300, "digests": EmbeddingSpace(rows[:300]).describe()["digests"]}
    fitted.save(saved.parent / "fitted")

    def warned(*options: object) -> str:
        return " ".join(run("evaluate", saved.parent / "fitted", *stores, *options).err.split())

    assert re.search(rf"read about (2[6-9]\d|300) of the {N - 10} rows of \S+old.v", warned())
    # Every row of the new model is read, but those that are compared are not rows of the fit.
    assert "the fit has read" not in warned("--where", "id >= 300")
    # So few could be rows of the fit without one of the digests.
    assert re.search(r"read about \d+ of the 300 rows of \S+new.v", warned("--where", "id between 300 and 310"))


def test_an_evaluation_pairs_a_file_that_has_ids_with_a_store(
    run: Run, saved: Path, stores: tuple[str, str], planted: tuple[Rows, Rows], tmp_path: Path
) -> None:
    lines = [f'{{"id": "{i}", "vector": {planted[1][i].tolist()}}}' for i in (7, 5, 3, 1)]
    lines.append(lines[0].replace('"7"', '"7000"'))
    (tmp_path / "new.jsonl").write_text("\n".join(lines))
    ran = run("evaluate", saved, stores[0], tmp_path / "new.jsonl", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["n"], ran.json["forward"]["top1"]) == (4, 1)
    assert (
        run("evaluate", saved, stores[0], tmp_path / "target.npy").err.count(
            "has no ids, and rows are matched by their ids"
        )
        == 1
    )
    (tmp_path / "twice.jsonl").write_text("\n".join([*lines, lines[1]]))
    ran = run("evaluate", saved, stores[0], tmp_path / "twice.jsonl")
    assert ran.code == 2
    assert "twice.jsonl has the id '5' more than once" in ran.err


@pytest.mark.parametrize(
    ("options", "n"),
    [(["--sample", 40], 40), (["--where", "id < 81"], 40), (["--target-where", "id between 11 and 30"], 10)],
    ids=["sample", "where", "target-where"],
)
def test_an_evaluation_reads_the_rows_that_are_chosen(
    run: Run, saved: Path, stores: tuple[str, str], options: list[Any], n: int
) -> None:
    # The sample is of the smaller side, and its rows without a partner are left out.
    counted = run("evaluate", saved, *stores, *options, "--json").json["n"]
    assert n - 5 < counted <= n


def test_two_files_are_paired_by_row_also_in_a_sample(run: Run, saved: Path, folder: Path) -> None:
    ran = run("evaluate", saved, folder / "source.npy", folder / "target.npy", "--sample", 70, "--json")
    assert (ran.json["n"], ran.json["forward"]["top1"]) == (70, 1)


def test_two_files_whose_ids_are_in_another_order_are_refused_and_can_be_paired_by_id(
    run: Run, saved: Path, planted: tuple[Rows, Rows], tmp_path: Path
) -> None:
    def write(name: str, vectors: Rows, ids: list[str]) -> Path:
        lines = [json.dumps({"id": key, "vector": row}) for key, row in zip(ids, vectors.tolist(), strict=True)]
        (tmp_path / name).write_text("\n".join(lines))
        return tmp_path / name

    keys = [f"text {i}" for i in range(50)]
    old, new = write("old.jsonl", planted[0][:50], keys), write("new.jsonl", planted[1][:50], keys)
    other = write("other.jsonl", planted[1][:50], [f"n{i}" for i in range(50)])
    turned = write("turned.jsonl", planted[1][49::-1], keys[::-1])
    for same in (new, other):
        assert run("evaluate", saved, old, same, "--json").json["forward"]["top1"] == 1
    error = run("evaluate", saved, old, turned, "--json").json["error"]
    assert "old.jsonl has the id 'text 0', and row 0 of" in error
    assert "file://PATH?id=COLUMN" in error
    paired = run("evaluate", saved, f"file://{old}?id=id", turned, "--json").json
    assert (paired["n"], paired["forward"]["top1"]) == (50, 1)
    few = write("few.jsonl", planted[1][:20], keys[:20])
    assert (
        "rows can be paired by them: write an input as file://"
        in run("evaluate", saved, old, few, "--json").json["error"]
    )
    assert run("evaluate", saved, f"file://{old}?id=id", few, "--json").json["n"] == 20


def test_a_fit_reads_stores_and_names_their_rows_in_the_report(
    run: Run, stores: tuple[str, str], tmp_path: Path
) -> None:
    report, out = tmp_path / "fit.html", tmp_path / "fitted"
    options = ["--set", "rounds=1", "--out", out, "--report", report, "--show", "title", "--allow-failed"]
    ran = run("fit", *stores, *options, "--where", "id < 500", "--sample", 300, "--source-name", "Old model", "--json")
    assert ran.json["source"] == {"rows": 300, "of": 490}
    assert ran.json["target"] == {"rows": 300, "of": 300}
    assert "10 more rows have no vector and are left out" in ran.err
    card = load(out).card
    assert (card["source"]["name"], card["source"]["n"], card["source"]["d"]) == ("Old model", 300, D_SOURCE)
    assert card["target"]["name"] == "new.v"
    assert ": title " in report.read_text()


def test_a_fit_closes_its_stores_once_they_are_read(
    run: Run, stores: tuple[str, str], tmp_path: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    open_in_fit = []

    def noted(*arguments: Any) -> Any:
        open_in_fit.append([key for key in _clients._CLIENTS if str(tmp_path) in str(key)])
        return run_fit(*arguments)

    monkeypatch.setattr("interlingua.cli.fit.run_fit", noted)
    turn = np.random.default_rng(3).standard_normal((D_TARGET, 16)).astype(np.float32)
    by_third = planted[1] @ turn
    view = ("--view", put(tmp_path / "views.duckdb", "view", by_third, range(N)))
    ran = run("fit", *stores, *view, "--out", tmp_path / "fitted", "--budget", 0, "--allow-failed", "--json")
    assert ran.code == 0, ran.err
    assert open_in_fit == [[]]


def test_a_fit_takes_rows_with_the_same_id_as_pairs(run: Run, stores: tuple[str, str], tmp_path: Path) -> None:
    ran = run("fit", *stores, "--pair-by-id", "--out", tmp_path / "fitted", "--json")
    assert ran.code == 0, ran.err
    # Every second row is in both, except the five of them that have no vector.
    assert ran.json["pairs"] == {"rows": N // 2 - 5, "of": N // 2 - 5, "by_id": True}
    assert (ran.json["method"], ran.json["status"]) == ("ridge", "aligned")
    assert "pairs: 295 ids are on both sides\n" in ran.err
    assert run("evaluate", tmp_path / "fitted", *stores, "--json").json["forward"]["top1"] == 1


def write_rows(path: Path, vectors: Rows, ids: list[Any]) -> Path:
    rows = zip(ids, vectors.tolist(), strict=True)
    path.write_text("\n".join(json.dumps({"id": key, "vector": vector}) for key, vector in rows))
    return path


@pytest.mark.parametrize(("where", "limit"), [(None, None), ("id % 3 <> 0", 120)])
def test_rows_that_were_embedded_again_join_other_rows_of_the_target_as_pairs(
    run: Run,
    planted: tuple[Rows, Rows],
    tmp_path: Path,
    given: dict[str, Any],
    where: str | None,
    limit: int | None,
) -> None:
    old = put(tmp_path / "s.duckdb", "old", planted[0], range(300), nulls=range(10))
    # Other texts of the new model, whose ids are those of other rows of the source.
    new = write_rows(tmp_path / "new.jsonl", planted[1][300:500], list(range(200)))
    ids = list(range(90, 4, -1))
    again = write_rows(tmp_path / "again.jsonl", planted[1][ids], ids)
    options = [*(("--where", where) if where else ()), *(("--sample", limit) if limit else ())]
    fit = ("fit", old, new, "--reembedded", again, *options, "--allow-failed", "--report")
    ran = run(*fit, tmp_path / "r.html", "--out", tmp_path / "fitted", "--json")
    assert ran.code == 0, ran.err
    paired = [key for key in ids if key >= 10 and (where is None or key % 3)]
    assert ran.json["pairs"] == {"rows": len(paired), "of": len(paired), "by_id": True}
    known, (source, target) = given["pairs"], given["sides"]
    of_target = limit or 200
    assert target.n == of_target + len(paired)
    assert source.n == min(limit or N, 290 if where is None else 290 - 96)
    np.testing.assert_allclose(source.vectors[known[:, 0]], planted[0][sorted(paired)], rtol=1e-6)
    np.testing.assert_allclose(target.vectors[known[:, 1]], planted[1][sorted(paired)], rtol=1e-6)
    assert known[:, 1].min() == of_target
    # More than twice as many pairs as columns, but a fit on pairs alone would not use the other rows.
    assert ran.json["method"] == "linear"
    assert [target.ids[row] for row in known[:3, 1]] == sorted(paired)[:3]
    assert given.get("max_rows") == (None if limit is None else target.n)
    said = " ".join(ran.err.split())
    assert f"target: {len(paired)} of 86 rows of {again} are added; each is a known pair. The others are not u" in said
    assert "no row of the source with the same id: the source has none, or --where or --sample leaves it out." in said
    assert ran.json["reembedded"] == {"rows": len(paired), "of": 86}
    assert ran.json["target"] == {"rows": target.n, "of": 200 + len(paired)}
    assert [" --where " in command for command in ran.json["commands"]] == [where is not None, False, False]


def test_public_texts_and_rows_that_were_embedded_again_are_one_target(
    run: Run, planted: tuple[Rows, Rows], tmp_path: Path, given: dict[str, Any]
) -> None:
    old = write_rows(tmp_path / "old.jsonl", planted[0][:300], list(range(300)))
    rows = [*planted[1][:60].tolist(), [0.0] * D_TARGET]
    # Ids are compared as text.
    again = write_rows(tmp_path / "again.jsonl", np.array(rows), [str(i) for i in range(61)])
    (tmp_path / "texts.txt").write_text("\n".join(f"text {i}" for i in range(300, 560)))
    np.save(tmp_path / "all.npy", planted[1])
    (tmp_path / "embed.py").write_text(
        "import sys, numpy as np\n"
        f"rows = np.load({str(tmp_path / 'all.npy')!r})\n"
        "for line in sys.stdin: print(rows[int(line.split()[1])].tolist())\n"
    )
    encoder = (
        "--target-encoder",
        f"command:{sys.executable} {tmp_path / 'embed.py'}",
        "--texts",
        tmp_path / "texts.txt",
    )
    fit = ("fit", old, *encoder, "--reembedded", again, "--skip-bad", "--allow-failed", "--method", "linear")
    ran = run(*fit, "--out", tmp_path / "fitted", "--json")
    assert ran.code == 0, ran.err
    known, (source, target) = given["pairs"], given["sides"]
    assert (source.n, target.n, len(known)) == (300, 260 + 60, 60)
    assert "target: 60 of 61 rows of" in ran.err
    assert ran.json["target"] == {"rows": 320, "of": 321, "left_out": {"rows": 1, "first": []}}
    card = json.loads((tmp_path / "fitted" / "card.json").read_text())
    assert card["target"]["left_out"] == {"rows": 1, "of": 321}
    np.testing.assert_allclose(target.vectors[known[:, 1]], planted[1][:60], rtol=1e-5)


def test_rows_that_were_embedded_again_by_another_model_or_of_other_rows_are_refused(
    run: Run, planted: tuple[Rows, Rows], folder: Path, tmp_path: Path
) -> None:
    old = write_rows(tmp_path / "old.jsonl", planted[0], list(range(N)))
    fit = ("fit", old, folder / "target.npy", "--out", tmp_path / "t", "--json", "--reembedded")
    # The width is compared before any id is read.
    narrow = run(*fit, write_rows(tmp_path / "narrow.jsonl", planted[1][:60, :9], list(range(N, N + 60))))
    assert re.search("--reembedded .*narrow.jsonl has width 9 and the target 16; both must be of", narrow.json["error"])
    other = run(*fit, write_rows(tmp_path / "other.jsonl", planted[1][:60], list(range(N, N + 60))))
    assert re.search("other.jsonl: none of the 60 ids is also in .*, or leave --reembedded out", other.json["error"])
    repeated = run(*fit, write_rows(tmp_path / "repeated.jsonl", planted[1][:60], [*range(59), 3]))
    assert re.search("repeated.jsonl has the id .3. more than once", repeated.json["error"])
    np.save(tmp_path / "wide.npy", np.random.default_rng(0).standard_normal((90, D_SOURCE)))
    rows = write_rows(tmp_path / "same.jsonl", planted[0][:60], list(range(60)))
    same = run("fit", old, tmp_path / "wide.npy", *fit[3:], rows)
    assert re.search("old.jsonl and .*same.jsonl hold the same vectors", same.json["error"])
    assert "has no ids, and rows are matched by their ids" in run(*fit, folder / "target.npy").json["error"]


@pytest.mark.parametrize(("method", "option"), [("ridge", "--pair-by-id"), ("linear", "--reembedded")])
def test_ids_that_name_other_texts_on_each_side_are_the_cause_that_is_named(
    run: Run, planted: tuple[Rows, Rows], folder: Path, tmp_path: Path, method: str, option: str
) -> None:
    old = write_rows(tmp_path / "old.jsonl", planted[0][:300], list(range(300)))
    np.save(folder / "target.npy", planted[1][:300])
    order = np.random.default_rng(5).permutation(N)[:200]
    new = write_rows(tmp_path / "new.jsonl", planted[1][order], list(range(200)))
    sides = (new, option) if option == "--pair-by-id" else (folder / "target.npy", option, new)
    budget = ("--budget", 0, "--set", "rounds=0") if method == "linear" else ()
    ran = run("fit", old, *sides, "--out", tmp_path / "t", "--method", method, *budget)
    said = " ".join(ran.err.split())
    assert re.search(f"with the same id support no map. .* probably not the same texts. .*leave {option} out", said)
    assert "a few known pairs" not in said


def test_a_few_true_pairs_are_not_said_to_be_of_other_texts(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = rng.standard_normal((300, 64)).astype(np.float32)
    np.save(tmp_path / "old.npy", texts)
    np.save(tmp_path / "new.npy", texts @ rng.standard_normal((64, 256)).astype(np.float32))
    (tmp_path / "pairs.csv").write_text("".join(f"{i},{i}\n" for i in range(12)))
    fit = ("fit", tmp_path / "old.npy", tmp_path / "new.npy", "--pairs", tmp_path / "pairs.csv", "--method", "ridge")
    said = " ".join(run(*fit, "--out", tmp_path / "t").err.split())
    assert "support no map. There are too few of them, or their rows are not the same texts" in said
    assert "probably" not in said


@pytest.mark.parametrize("limit", [100, 400])
def test_pairs_by_id_are_read_before_other_rows(
    run: Run, stores: tuple[str, str], tmp_path: Path, given: dict[str, Any], limit: int
) -> None:
    command = [
        "fit",
        *stores,
        "--pair-by-id",
        "--where",
        "id < 300",
        "--sample",
        limit,
        "--method",
        "linear",
        "--allow-failed",
    ]
    ran = run(*command, "--out", tmp_path / "fitted", "--json")
    assert ran.code == 0, ran.err
    known, (source, target) = given["pairs"], given["sides"]
    assert (source.n, target.n) == (min(limit, 290), min(limit, 300))
    assert ran.json["pairs"] == {"rows": min(limit, 145), "of": 145, "by_id": True}
    assert ("145 ids are on both sides, of which 100 are used" in " ".join(ran.err.split())) == (limit == 100)
    # Cosines between the rows of a pair with another row are equal in both spaces, which are a rotation apart.
    x, y = source.vectors[known[:, 0]], target.vectors[known[:, 1]]
    np.testing.assert_allclose(x @ x[0], y @ y[0], atol=1e-4)


def test_files_are_paired_by_their_ids_and_bad_rows_are_left_out(
    run: Run, planted: tuple[Rows, Rows], tmp_path: Path
) -> None:
    old, new = planted[0].tolist(), planted[1].tolist()
    old[3] = [0.0] * D_SOURCE
    for name, rows, order in (("old", old, range(N)), ("new", new, range(N - 1, -1, -1))):
        lines = [json.dumps({"id": f"key {i}", "vector": rows[i]}) for i in order]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    files = [tmp_path / "old.jsonl", tmp_path / "new.jsonl", "--pair-by-id", "--skip-bad"]
    ran = run("fit", *files, "--out", tmp_path / "fitted", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["pairs"] == {"rows": N - 1, "of": N, "by_id": True}
    assert "pairs: 600 ids are on both sides, of which 599 are used" in ran.err
    lines.append(lines[7])
    (tmp_path / "new.jsonl").write_text("\n".join(lines))
    twice = run("fit", *files, "--out", tmp_path / "again", "--json")
    assert "new.jsonl has the id 'key 592' more than once" in twice.json["error"]


def test_a_row_without_the_value_to_show_is_named_by_its_id(
    run: Run, saved: Path, planted: tuple[Rows, Rows], tmp_path: Path
) -> None:
    from interlingua.cli.collections import Collection, read_same_ids
    from interlingua.cli.inputs import read_space
    from interlingua.stores import open_source
    from interlingua.stores.sampling import sample_named_rows

    old = put(tmp_path / "s.duckdb", "old", planted[0], range(6))
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute("update old set title = null where id in (1, 2)")
        connection.execute("update old set title = ' ' where id = 3")
    wanted = {"0: title 0", "1", "2", "3", "4: title 4", "5: title 5"}
    side = Collection(old)
    assert set(map(str, read_space(side, with_ids=True, show="title").ids or ())) == wanted
    assert set(map(str, read_same_ids([side, side], rows=None, seed=0, show=("title", "title")).names[0])) == wanted
    side.close()
    with open_source(old) as store:
        assert set(sample_named_rows(store, 10, 0, show="title")[1]) == wanted


def test_a_fit_of_a_large_store_reads_a_sample(
    run: Run, stores: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.cli.fit.MAX_ROWS", 200)
    ran = run("fit", *stores, "--set", "rounds=1", "--out", tmp_path / "fitted", "--allow-failed", "--json")
    assert ran.json["source"] == {"rows": 200, "of": 590}
    assert isinstance(load(tmp_path / "fitted"), Translator)


def test_a_column_to_show_is_not_asked_of_a_file_without_columns(
    run: Run, saved: Path, stores: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    report = tmp_path / "fit.html"
    fit = ("--method", "random-rotation", "--allow-failed")
    options = [*fit, "--out", tmp_path / "fitted", "--report", report, "--force"]
    ran = run("fit", stores[0], folder / "target.npy", *options, "--show", "title")
    assert ": title " in report.read_text(), ran.err
    twice = run("fit", stores[0], folder / "target.npy", *options, "--show", "title", "--show", "title")
    assert "--show: " in twice.err
    assert "no other column than its vectors and ids" in " ".join(twice.err.split())
    neither = run(
        "evaluate", saved, folder / "source.npy", folder / "target.npy", "--show", "t", "--report", report, "--force"
    )
    assert neither.code == 2
    assert "source.npy has no column 't' and no other column" in " ".join(neither.err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["fit", "{old}", "{new}", "--pairs", "pairs.npy"],
            "have none. Pair rows with the same id by --pair-by-id",
        ),
        (["fit", "{old}", "{new}", "--pair-by-id", "--where", "id < 1"], "old.v: the only id is not in"),
        (
            ["fit", "{old}", "{new}", "--column", "v"],
            "--column belongs to a file; name the column or vector of a store",
        ),
        (
            ["fit", "source.npy", "target.npy", "--where", "id > 3"],
            "source.npy is a file, and rows of a file cannot be",
        ),
        (["fit", "{old}", "{new}", "--target", "{old}", "--target-name", "x"], "cannot name several targets"),
        (["fit", "{old}", "{new}", "--show", "title"], "--show has no effect without --report"),
        (["fit", "{old}", "{new}", "--labels", "topic"], "old.v has no column 'topic'; its columns are title"),
        (["fit", "{old}x", "{new}"], "old.vx|no such column|has no"),
        (["evaluate", "saved", "{old}", "{new}", "--show", "title"], "--show has no effect without --report"),
        (["evaluate", "saved", "{old}", "{new}", "--target-where", "id < 0"], "empty|no row"),
        (["evaluate", "saved", "{old}", "{new}", "--where", "id < 1"], "0 of 1 id of .*old.v are also in .*new.v"),
    ],
)
def test_what_cannot_be_read_is_refused(
    run: Run,
    saved: Path,
    stores: tuple[str, str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    words = [word.format(old=stores[0], new=stores[1]) for word in arguments]
    words = [str(saved) if word == "saved" else word for word in words]
    ran = run(*words, *(["--out", "fitted"] if words[0] == "fit" else []), "--json")
    assert ran.code == 2
    with pytest.raises(ValueError, match=message):
        raise ValueError(ran.json["error"])
    assert not Path("fitted").exists()


def test_a_file_may_be_given_by_its_address(
    run: Run, saved: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for source, target in (("file://source.npy", f"file://{folder}/target.npy"), ("source.npy", "file://target.npy")):
        ran = run("evaluate", saved, source, target, "--json")
        assert ran.code == 0, ran.err
        assert ran.json["n"] == N


def test_a_search_leaves_out_rows_without_a_vector(
    run: Run, saved: Path, stores: tuple[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    np.save("few.npy", np.load(folder / "target.npy")[[3, 95]])
    ran = run("search", saved, *stores, "--query", "few.npy", "-k", 1, "--json")
    assert ran.code == 0, ran.err
    assert [hits[0]["id"] for hits in ran.json["hits"]] == [3, 95]
    ran = run("search", saved, stores[0], "--query", "few.npy", "-k", N, "--json")
    found = [{hit["id"] for hit in hits} for hits in ran.json["hits"]]
    assert found == [set(range(N)) - set(range(90, 100))] * 2


def test_queries_are_read_from_a_store(run: Run, saved: Path, stores: tuple[str, str], folder: Path) -> None:
    ran = run("search", saved, folder / "source.npy", "--space", "source", "--query", stores[0], "-k", 1, "--json")
    assert ran.code == 0, ran.err
    rows = np.delete(np.load(folder / "source.npy"), range(90, 100), axis=0)
    np.save(folder / "queries.npy", rows)
    queries = ("--query", folder / "queries.npy", "-k", 1, "--json")
    files = run("search", saved, folder / "source.npy", "--space", "source", *queries)
    assert ran.json["hits"] == files.json["hits"]
    assert "10 more rows have no vector and are left out" in " ".join(ran.err.split())


def test_a_table_that_does_not_exist_is_answered_with_those_that_do(run: Run, stores: tuple[str, str]) -> None:
    error = run("plan", stores[0].replace("#old", "#older"), "--json").json["error"]
    assert "older.v does not exist; tables are: new, old" in error


@pytest.mark.parametrize("count", [20, 21])
def test_a_list_of_tables_says_if_there_are_more(run: Run, tmp_path: Path, count: int) -> None:
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        for i in range(count):
            connection.execute(f"create table t{i:02}(v float[2])")
    error = run("plan", f"duckdb://{tmp_path / 's.duckdb'}#t.v", "--json").json["error"]
    assert "tables are: t00, t01," in error
    assert error.endswith("t19." if count == 20 else "t19 and more.")


@pytest.mark.parametrize(
    ("suffix", "said"), [(".duckdb", "#TABLE.COLUMN'"), (".db", "#TABLE.COLUMN'"), (".sqlite", "SQLite")]
)
def test_a_database_file_is_answered_with_its_address(run: Run, tmp_path: Path, suffix: str, said: str) -> None:
    path = tmp_path / f"old shop{suffix}"
    if suffix == ".sqlite":
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("create table items(id integer)")
    else:
        put(path, "items", np.eye(4, dtype=np.float32), range(4))
    error = run("plan", path, "--json").json["error"]
    assert said in error
    assert "supported extensions" not in error
    if suffix != ".sqlite":
        assert f"duckdb://{path}#TABLE.COLUMN" in error


def test_a_table_of_others_is_not_to_be_dropped(run: Run, saved: Path, stores: tuple[str, str], folder: Path) -> None:
    target = stores[1].replace("#new.v", "#new.translated")
    for dry in ((), ("--dry-run",)):
        error = run("migrate", saved, folder / "source.npy", target, "--journal", folder / "j", *dry, "--json").json[
            "error"
        ]
        assert "'new' exists. A vector can be added to an existing collection only if that collection is the" in error
        assert (
            "Choose a name that does not exist instead of 'new'. If an earlier migration made it, name the journal"
            in error
        )
        assert "drop" not in error
        assert "name the journal of that run by --journal FILE. Then --resume continues it" in error
    target = stores[1]  # the vector exists too
    error = run("migrate", saved, folder / "source.npy", target, "--journal", folder / "j", "--json").json["error"]
    assert "only if that collection is the source" in error


def test_a_target_of_translations_is_named_by_its_mark(
    run: Run, saved: Path, planted: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("source.npy", planted[0])
    np.save("target.npy", planted[1])
    stored = put(tmp_path / "s.duckdb", "old", planted[0], range(len(planted[0])))
    assert run("migrate", saved, stored, f"duckdb://{tmp_path}/new.duckdb#moved.v").code == 0
    assert run("migrate", saved, stored, "moved.parquet").code == 0
    assert run("translate", saved, "source.npy", "--out", "moved.npy").code == 0
    said = r"Warning: interlingua translated the vectors of the target \(.*\), as their mark says\. The result "
    said += r"describes these translations and not the model; name vectors that the model itself made\."
    targets = (
        (f"duckdb://{tmp_path}/new.duckdb#moved.v", True),
        ("moved.parquet", True),
        ("moved.npy", False),  # no room for a mark
        ("target.npy", False),
    )
    for number, (target, has_mark) in enumerate(targets):
        for command in (
            ("evaluate", saved, "source.npy", target),
            ("calibrate", saved, "source.npy", target, "--out", f"c{number}", "--force"),
            ("fit", "source.npy", target, "--out", f"f{number}", "--method", "principal-axes", "--allow-failed"),
        ):
            ran = run(*command)
            assert bool(re.search(said, ran.err)) is has_mark, (command, ran.err)


def test_a_mark_that_cannot_be_read_stops_no_evaluation(
    run: Run, saved: Path, planted: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    def fail(store: Any) -> bool:
        asked.append(str(store.url))
        raise InputError("the mark cannot be read")

    monkeypatch.setattr("interlingua.stores.duckdb.DuckStore.is_migrated", fail)
    sides = [put(tmp_path / f"{i}.duckdb", "rows", rows, range(len(rows))) for i, rows in enumerate(planted)]
    assert run("evaluate", saved, *sides).code == 0
    assert asked == sides[1:]


def test_only_who_asks_for_the_mark_of_a_migration_reads_it(
    planted: tuple[Rows, Rows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from interlingua.cli.collections import Collection
    from interlingua.cli.inputs import closing_sides

    def fail(_: object) -> bool:
        raise InputError("the mark cannot be read")

    monkeypatch.setattr("interlingua.stores.duckdb.DuckStore.is_migrated", fail)
    collection = Collection(put(tmp_path / "s.duckdb", "old", planted[0], range(6)))
    with closing_sides([collection]), pytest.raises(InputError, match="the mark cannot be read"):
        collection.is_migrated()
