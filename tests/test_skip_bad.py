"""Rows whose vector cannot be used are left out of a fit, with pairs, labels and views in step; nothing else is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import interlingua as il
from command_line import N, Rows, Run
from interlingua.aligners.usable import UsableInputs, renumber_pairs
from interlingua.cli.fitted import warn_of_fitted_rows
from interlingua.cli.inputs import read_space
from interlingua.core.arrays import usable_rows
from interlingua.core.errors import InputError, UnusableRowError
from interlingua.core.records import Records, to_column
from interlingua.core.translator import load
from interlingua.distributed.arrow import translate_batches
from interlingua.io import open_vectors
from interlingua.stores.reembedding import TextEmbedder
from stores.migrations import D_IN, translator

BAD = {7: 0.0, 23: np.nan, 31: np.inf, 47: 1e-30}


def spoiled(rows: Rows, bad: dict[int, float] | None = None) -> Rows:
    """Return a copy in which some rows cannot be used."""
    rows = rows.copy()
    for row, value in (BAD if bad is None else bad).items():
        rows[row] = value
    return rows


def test_usable_rows_are_finite_and_not_zero() -> None:
    rows = spoiled(np.ones((50, 3), np.float32))
    assert np.flatnonzero(~usable_rows(rows)).tolist() == list(BAD)
    assert usable_rows(np.ones((2, 3), np.int64)).all()
    assert usable_rows(np.empty((0, 3))).shape == (0,)
    assert not usable_rows(np.empty((2, 0))).any()


def test_a_fit_without_the_rows_is_the_fit_of_a_copy_without_them(planted: tuple[Rows, Rows]) -> None:
    source, target = spoiled(planted[0]), spoiled(planted[1], {5: np.nan})
    pairs = [[i, i] for i in range(N)]
    whole = il.align(source, target, pairs=pairs, skip_bad=True, method="procrustes")
    kept = np.setdiff1d(np.arange(N), list(BAD)), np.setdiff1d(np.arange(N), [5])
    left = [[int(np.flatnonzero(kept[0] == i)[0]), int(np.flatnonzero(kept[1] == i)[0])] for i in kept[0] if i != 5]
    copied = il.align(planted[0][kept[0]], planted[1][kept[1]], pairs=left, method="procrustes")
    np.testing.assert_array_equal(whole.forward(planted[0][:9]), copied.forward(planted[0][:9]))
    card = whole.card()
    assert card["source"]["left_out"] == {"rows": 4, "of": N, "first": list(BAD)}
    assert card["target"]["left_out"] == {"rows": 1, "of": N, "first": [5]}
    assert "left_out" not in copied.card()["source"]
    steps = [(step["side"], step["rows"], step["of"]) for step in whole.trace if step["step"] == "unusable rows"]
    assert steps == [("source", 4, N), ("target", 1, N), ("pairs", 5, N)]
    summary = " ".join(whole.summary().split())
    assert "source: 4 rows of 600 without a vector that can be used (rows 7, 23, 31, 47, counted from 0)." in summary
    assert "target: 1 row of 600 without a vector that can be used (row 5, counted from 0)." in summary


def test_the_first_rows_are_named_and_the_rest_counted(planted: tuple[Rows, Rows]) -> None:
    source = spoiled(planted[0], dict.fromkeys(range(10, 18), np.nan))
    text = il.align(source, planted[1], skip_bad=True, method="identity").summary()
    assert "source: 8 rows of 600 without a vector that can be used (rows 10, 11, 12, 13, 14 and more" in text


def test_such_rows_are_refused_with_the_argument_that_leaves_them_out(planted: tuple[Rows, Rows]) -> None:
    for sides in ((spoiled(planted[0]), planted[1]), (planted[0], {"a": spoiled(planted[1]), "b": planted[1]})):
        with pytest.raises(UnusableRowError, match=r"Such rows can be left out with skip_bad=True\.$"):
            il.align(*sides)
    pytest.importorskip("torch")
    with pytest.raises(UnusableRowError, match=r"Such rows can be left out with skip_bad=True\.$"):
        il.align_spaces({"a": spoiled(planted[0]), "b": planted[1]})


@pytest.mark.usefixtures("short_fits")
def test_candidates_are_read_without_the_rows(planted: tuple[Rows, Rows]) -> None:
    targets = {"a": spoiled(planted[1]), "b": planted[1][:300]}
    fit = il.align(spoiled(planted[0], {0: 0.0}), targets, skip_bad=True, rounds=0)
    assert fit.card()["source"]["left_out"]["rows"] == 1
    assert [each["rows"] for each in fit.candidates] == [N - 4, 300]
    steps = [(step["side"], step["rows"], step["of"]) for step in fit.trace if step["step"] == "unusable rows"]
    assert steps[0] == ("source", 1, N)
    of_target = fit.card()["target"].get("left_out")
    assert steps[1:] == ([] if of_target is None else [("target", 4, of_target["of"])])


def test_rows_left_out_of_every_part_of_a_larger_target_are_counted(planted: tuple[Rows, Rows]) -> None:
    from interlingua.aligners.base import Problem
    from interlingua.aligners.candidates import _Trial, _with_rows_of
    from interlingua.aligners.usable import usable_space

    parts = usable_space(spoiled(planted[1]), "a"), usable_space(planted[1][:300], "b")
    fit: Any = None
    trials = [_Trial(name, Problem.of(planted[0], part), fit) for name, part in zip("ab", parts, strict=True)]
    larger = _with_rows_of(trials[0], trials[1], None, 0)
    assert larger is not None
    assert larger.target.left_out == {"rows": 4, "of": N + 300}
    parted = _with_rows_of(trials[1], trials[1], None, 0)
    assert parted is not None
    assert parted.target.left_out is None


def test_labels_stay_in_step(planted: tuple[Rows, Rows]) -> None:
    names = [f"label {i % 3}" for i in range(N)]
    read = UsableInputs.of(spoiled(planted[0]), planted[1], labels=(names, np.arange(N)))
    assert read.labels[0] == [name for i, name in enumerate(names) if i not in BAD]
    assert read.labels[1] == list(range(N))
    assert read.source.left_out == {"rows": 4, "of": N, "first": list(BAD)}
    with pytest.raises(InputError, match="labels of the source have 599 entries and the source has 600 rows"):
        UsableInputs.of(spoiled(planted[0]), planted[1], labels=(names[1:], names))
    with pytest.raises(InputError, match="labels must be two sequences"):
        il.align(spoiled(planted[0]), planted[1], skip_bad=True, labels=(names,))  # type: ignore[arg-type]


def test_a_view_and_its_target_lose_the_same_rows(planted: tuple[Rows, Rows]) -> None:
    view = spoiled(planted[0], {3: np.nan, 7: 0.0})
    given = il.EmbeddingSpace(planted[1], ids=list(range(N)), name="new")
    read = UsableInputs.of(planted[0], given, views={"other": view})
    kept = np.setdiff1d(np.arange(N), [3, 7])
    assert read.views is not None
    assert read.target.ids == kept.tolist()
    assert read.target.name == "new"
    np.testing.assert_array_equal(read.target.vectors, planted[1][kept])
    np.testing.assert_array_equal(read.views["other"].vectors, planted[0][kept])
    assert read.target.left_out == {"rows": 2, "of": N, "first": [3, 7]}
    assert (read.source.left_out, read.steps) == (None, ())
    with pytest.raises(InputError, match=r"views\[0\] has 599 rows and the target 600"):
        UsableInputs.of(planted[0], planted[1], views=[view[1:]])


def test_pairs_are_counted_with_all_rows() -> None:
    source, target = np.array([True, False, True, True]), np.array([True, True, False])
    assert renumber_pairs(np.array([[0, 1], [1, 1], [3, 0], [2, 2]]), source, target).tolist() == [[0, 1], [2, 0]]
    with pytest.raises(InputError, match="The only known pair has a row without a vector that can be used, so"):
        renumber_pairs(np.array([[1, 1]]), source, target)
    with pytest.raises(InputError, match="Each of the 2 known pairs has a row without"):
        renumber_pairs(np.array([[1, 1], [0, 2]]), source, target)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.full((5, 3), np.nan), "source: none of the 5 rows has a vector that can be used; all would be left out"),
        (np.array([["a"]]), "dtype"),
        (np.float32(3), "shape"),
        (np.ones(4, np.float32), "shape"),
    ],
)
def test_what_has_no_usable_row_is_refused(planted: tuple[Rows, Rows], source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        il.align(source, planted[1], skip_bad=True)


def test_a_file_is_fitted_without_the_rows_and_they_are_named(
    run: Run, folder: Path, planted: tuple[Rows, Rows]
) -> None:
    np.save(folder / "source.npy", spoiled(planted[0]))
    command = ["fit", folder / "source.npy", folder / "target.npy", "--pairs", folder / "pairs.npy", "--out"]
    refused = run(*command, folder / "t", "--json")
    assert refused.code == 2
    assert refused.json["error"].endswith("Such rows can be left out with --skip-bad.")
    assert not (folder / "t").exists()
    ran = run(*command, folder / "t", "--skip-bad", "--json", "--log", folder / "log.jsonl")
    assert ran.code == 0, ran.err
    assert ran.json["source"] == {"rows": N - 4, "of": N, "left_out": {"rows": 4, "first": [7, 23, 31, 47]}}
    assert ran.json["target"] == {"rows": N, "of": N}
    assert ran.json["pairs"] == {"rows": N - 4, "of": N}
    assert '"source":{"rows":596,"of":600,"left_out":4}' in (folder / "log.jsonl").read_text().replace(" ", "")
    assert "source: 4 rows of 600 without a vector that can be used are left out; the first: row 7, row 23" in ran.err
    assert "pairs: 4 of 600 name a row that is left out, and are not used" in ran.err
    assert load(folder / "t").card["source"]["left_out"] == {"rows": 4, "of": N, "first": [7, 23, 31, 47]}
    assert "source: 4 rows of 600 without a vector" in " ".join(run("inspect", folder / "t").out.split())


def test_as_many_rows_are_drawn_as_were_asked_for(run: Run, folder: Path, planted: tuple[Rows, Rows]) -> None:
    np.save(folder / "source.npy", spoiled(planted[0], dict.fromkeys(range(200, 300), np.nan)))
    ran = run(
        *("fit", folder / "source.npy", folder / "target.npy", "--out", folder / "t"),
        *("--skip-bad", "--sample", 450, "--method", "identity", "--allow-failed", "--json"),
    )
    assert ran.code == 0, ran.err
    assert ran.json["source"]["rows"] == 450
    assert "source: 450 of 500 rows, drawn at random" in ran.err


def test_a_report_names_the_rows(run: Run, folder: Path, planted: tuple[Rows, Rows]) -> None:
    pytest.importorskip("matplotlib")
    np.save(folder / "source.npy", spoiled(planted[0]))
    ran = run(
        *("fit", folder / "source.npy", folder / "target.npy", "--out", folder / "t", "--skip-bad"),
        *("--method", "identity", "--allow-failed", "--report", folder / "r.html"),
    )
    assert ran.code == 0, ran.err
    text = (folder / "r.html").read_text("utf-8")
    assert "4 rows of 600 without a vector that can be used (rows 7, 23, 31, 47, counted from 0)" in text


def test_lines_that_cannot_be_read_are_named_and_make_row_numbers_useless(
    run: Run, folder: Path, planted: tuple[Rows, Rows]
) -> None:
    lines = [f'{{"vector": {row.tolist()}}}' for row in planted[0]]
    lines[4], lines[9] = lines[4].replace(str(planted[0][4].tolist()), str([0.0] * planted[0].shape[1])), "{"
    (folder / "source.jsonl").write_text("\n".join(lines))
    command = ("fit", folder / "source.jsonl", folder / "target.npy", "--skip-bad", "--json", "--out", folder / "t")
    ran = run(*command, "--method", "identity", "--allow-failed")
    assert ran.code == 0, ran.err
    assert ran.json["source"] == {
        "rows": N - 2,
        "of": N,
        # Rows after such a line have other numbers than the lines of the file.
        "left_out": {"rows": 2, "first": [], "lines": ["line 10"]},
    }
    assert "the first: line 10\n" in ran.err
    assert load(folder / "t").card["source"]["left_out"] == {"rows": 2, "of": N}
    refused = run(*command, "--force", "--pairs", folder / "pairs.npy")
    assert refused.code == 2
    assert "has lines that cannot be read (the first is 'line 10')" in refused.json["error"] or (
        "source row 599" in refused.json["error"]
    )


def test_views_and_target_files_lose_the_same_rows(
    run: Run, folder: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(folder / "target.npy", spoiled(planted[1], {5: np.nan}))
    np.save(folder / "view.npy", spoiled(planted[0], {9: 0.0}))
    given: dict[str, Any] = {}
    whole = il.align

    def align(_: Any, target: Any, **more: Any) -> Any:
        given.update(more, target=target)
        return whole(*planted, method="identity")

    monkeypatch.setattr(il, "align", align)
    command = ("fit", folder / "source.npy", folder / "target.npy", "--view", folder / "view.npy", "--skip-bad")
    run(*command, "--out", folder / "t", "--allow-failed")
    kept = np.setdiff1d(np.arange(N), [5, 9])
    np.testing.assert_array_equal(given["target"].vectors, planted[1][kept])
    np.testing.assert_array_equal(given["views"]["view"].vectors, planted[0][kept])


def test_labels_of_a_file_stay_in_step(
    run: Run, folder: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, rows in (("source", spoiled(planted[0])), ("target", planted[1])):
        lines = [f'{{"topic": {i % 4}, "vector": {row.tolist()}}}' for i, row in enumerate(rows)]
        text = "\n".join(lines).replace("nan", "NaN").replace("inf", "Infinity")
        (folder / f"{name}.jsonl").write_text(text)
    given: dict[str, Any] = {}
    whole = il.align

    def align(*sides: Any, **more: Any) -> Any:
        given.update(more)
        return whole(*planted, method="identity")

    monkeypatch.setattr(il, "align", align)
    files = folder / "source.jsonl", folder / "target.jsonl"
    ran = run("fit", *files, "--labels", "topic", "--skip-bad", "--allow-failed", "--out", folder / "t", "--json")
    assert ran.code == 0, ran.err
    assert given["labels"][0] == [i % 4 for i in range(N) if i not in BAD]
    assert given["labels"][1] == [i % 4 for i in range(N)]


def test_rows_of_a_store_are_named_by_their_ids(run: Run, folder: Path, planted: tuple[Rows, Rows]) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = spoiled(planted[0], {7: 0.0, 23: np.nan})
    with duckdb.connect(str(folder / "s.duckdb")) as connection:
        connection.execute(f"create table old (id text primary key, v float[{rows.shape[1]}])")
        values = [(f"doc {i:03}", None if i == 3 else row.tolist()) for i, row in enumerate(rows)]
        connection.executemany("insert into old values (?, ?)", values)
    command = ["fit", f"duckdb://{folder}/s.duckdb#old.v", folder / "target.npy", "--out", folder / "t", "--json"]
    refused = run(*command)
    assert refused.code == 2
    assert refused.json["error"].endswith("Such rows can be left out with --skip-bad.")
    ran = run(*command, "--skip-bad", "--method", "identity", "--allow-failed")
    assert ran.code == 0, ran.err
    assert ran.json["source"] == {
        "rows": N - 3,
        "of": N - 1,
        "left_out": {"rows": 2, "first": ["doc 007", "doc 023"]},
    }
    assert "the first: id doc 007, id doc 023" in ran.err
    assert "source: 1 more row has no vector and is left out" in ran.err
    # Ids of a collection do not enter a card, which may be published.
    assert load(folder / "t").card["source"]["left_out"] == {"rows": 2, "of": N - 1}


def test_a_side_without_a_usable_row_is_refused(run: Run, folder: Path) -> None:
    np.save(folder / "source.npy", np.full((N, 24), np.nan, np.float32))
    ran = run("fit", folder / "source.npy", folder / "target.npy", "--out", folder / "t", "--skip-bad", "--json")
    assert ran.code == 2
    assert "source.npy: none of the 600 rows has a vector that can be used; all would be left out" in ran.json["error"]


def test_pairs_of_an_evaluation_stay_in_step(run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]) -> None:
    np.save(folder / "source.npy", spoiled(planted[0]))
    np.save(folder / "target.npy", spoiled(planted[1], {7: np.nan, 9: 0.0}))
    command = ("evaluate", saved, folder / "source.npy", folder / "target.npy", "--json")
    refused = run(*command)
    assert refused.code == 2
    assert refused.json["error"].endswith("Such rows can be left out with --skip-bad.")
    ran = run(*command, "--skip-bad", "--sample", 500, "--log", folder / "log.jsonl")
    assert ran.code == 0, ran.err
    logged = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [(event["rows"], event["left_out"]) for event in logged if event["event"] == "read"] == [(500, 5)]
    assert (ran.json["n"], ran.json["forward"]["top1"]) == (500, 1)
    assert ran.json["left_out"] == {"rows": 5, "first": [7, 9, 23, 31, 47]}
    first = "row 7, row 9, row 23, row 31, row 47"
    assert f"pairs: 5 without a vector that can be used are left out; the first: {first}\n" in ran.err
    lines = [f'{{"vector": {row.tolist()}}}' for row in planted[0]]
    (folder / "cut.jsonl").write_text("\n".join([*lines, "{"]))
    cut = run("evaluate", saved, folder / "cut.jsonl", folder / "target.npy", "--skip-bad", "--json")
    assert cut.code == 2
    assert "cut.jsonl has lines that cannot be read (the first is 'line 601')" in cut.json["error"]


def test_pairs_by_ids_are_left_out_by_their_ids(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    addresses = []
    for name, rows in (("old", spoiled(planted[0], {7: 0.0})), ("new", spoiled(planted[1], {9: 0.0, 7: 0.0})[::-1])):
        ids = range(N) if name == "old" else range(N - 1, -1, -1)
        lines = [f'{{"id": {i}, "vector": {row.tolist()}}}' for i, row in zip(ids, rows, strict=True)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
        addresses.append(f"file://{folder}/{name}.jsonl?id=id")
    ran = run("evaluate", saved, *addresses, "--skip-bad", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["n"], ran.json["forward"]["top1"]) == (N - 2, 1)
    assert ran.json["left_out"] == {"rows": 2, "first": ["7", "9"]}


@pytest.mark.parametrize("paired", [False, True])
def test_a_calibration_leaves_out_the_rows(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows], paired: bool
) -> None:
    np.save(folder / "source.npy", spoiled(planted[0]))
    np.save(folder / "target.npy", spoiled(planted[1], {9: 0.0}))
    sources = saved, folder / "source.npy", folder / "target.npy"
    command = ("calibrate", *sources, "--out", folder / "c", "--json", *(["--paired"] if paired else []))
    refused = run(*command)
    assert refused.code == 2
    assert refused.json["error"].endswith("Such rows can be left out with --skip-bad.")
    ran = run(*command, "--skip-bad")
    assert ran.code == 0, ran.err
    sides = {"source": {"rows": 4, "first": list(BAD)}, "target": {"rows": 1, "first": [9]}}
    pairs = {"pairs": {"rows": 5, "first": [7, 9, 23, 31, 47]}}
    assert ran.json["left_out"] == (pairs if paired else sides)
    assert ran.json["rows"] == ([N - 5] * 2 if paired else [N - 4, N - 1])


def test_a_calibration_names_lines_that_cannot_be_read(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    lines = [f'{{"vector": {row.tolist()}}}' for row in planted[0]]
    (folder / "source.jsonl").write_text("\n".join(["{", *lines]))
    command = ("calibrate", saved, folder / "source.jsonl", folder / "target.npy", "--skip-bad")
    ran = run(*command, "--out", folder / "c", "--json")
    assert ran.code == 0, ran.err
    assert "source: 1 without a vector that can be used is left out; the first: line 1\n" in ran.err


def test_a_fit_of_files_counts_the_rows_in_its_trace(run: Run, folder: Path, planted: tuple[Rows, Rows]) -> None:
    np.save(folder / "source.npy", spoiled(planted[0]))
    command = ("fit", folder / "source.npy", folder / "target.npy", "--skip-bad", "--method", "identity")
    ran = run(*command, "--allow-failed", "--out", folder / "t", "--log", folder / "log.jsonl")
    assert ran.code == 0, ran.err
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    found = [(each["side"], each["rows"], each["of"]) for each in events if each.get("step") == "unusable rows"]
    assert found == [("source", 4, N)]


def lines_of(rows: Rows, ids: Sequence[Any]) -> str:
    return "\n".join(json.dumps({"id": i, "vector": row.tolist()}) for i, row in zip(ids, rows, strict=True))


def test_rows_without_a_partner_are_no_pairs_that_were_left_out(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    old = spoiled(planted[0], {3: 0.0, 7: 0.0})
    (folder / "old.jsonl").write_text(lines_of(old[:100], range(100)))
    (folder / "new.jsonl").write_text(lines_of(spoiled(planted[1], {9: 0.0}), [i for i in range(N) if i != 7] + ["x"]))
    addresses = [f"file://{folder}/{name}.jsonl?id=id" for name in ("old", "new")]
    ran = run("evaluate", saved, *addresses, "--skip-bad", "--json")
    assert ran.code == 0, ran.err
    assert set(ran.json["left_out"]["first"]) == {"3", "10"}
    assert ran.json["left_out"]["rows"] == 2
    assert "pairs: 2 without a vector that can be used are left out; the first: id 3, id 10" in ran.err


def test_ids_are_asked_to_be_unique_only_where_they_have_a_partner(
    run: Run, folder: Path, planted: tuple[Rows, Rows]
) -> None:
    (folder / "new.jsonl").write_text(lines_of(planted[1], [*range(N - 2), None, None]))
    for own, code in (([*range(500), "twice", "twice", None], 0), ([*range(501), 7, None], 2)):
        (folder / "old.jsonl").write_text(lines_of(planted[0][: len(own)], own))
        files = (folder / "old.jsonl", folder / "new.jsonl", "--pair-by-id", "--method", "procrustes", "--force")
        ran = run("fit", *files, "--out", folder / "t", "--json")
        assert ran.code == code, ran.err
        if code:
            assert "old.jsonl has the id '7' more than once" in ran.json["error"]
        else:
            assert ran.json["pairs"] == {"rows": 500, "of": 500, "by_id": True}


def test_pairs_by_id_of_which_none_can_be_used_are_refused_by_their_option(
    run: Run, folder: Path, planted: tuple[Rows, Rows]
) -> None:
    (folder / "old.jsonl").write_text(lines_of(spoiled(planted[0], {3: 0.0}), ["old"] * 3 + [3] + ["old"] * (N - 4)))
    (folder / "new.jsonl").write_text(lines_of(planted[1], range(N)))
    files = (folder / "old.jsonl", folder / "new.jsonl", "--pair-by-id", "--skip-bad")
    ran = run("fit", *files, "--out", folder / "t", "--json")
    assert ran.code == 2
    assert ran.json["error"].endswith("so that no known pair is left. Leave --pair-by-id out.")


def test_drawn_rows_that_cannot_be_used_do_not_speak_for_the_whole_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).standard_normal((50, 6)).astype(np.float32)
    rows[np.random.default_rng(0).choice(50, 10, replace=False)] = 0  # those that are drawn below
    np.save(tmp_path / "x.npy", rows)
    file = open_vectors(tmp_path / "x.npy", skip_bad=True)
    with pytest.raises(UnusableRowError, match="x: 10 of 10 rows are all zeros; .* Remove them and try again"):
        read_space(file, rows=10, seed=0)
    # A card of an earlier version, without digests: the rows are drawn again, and are not those of a fit.
    fitted = SimpleNamespace(card={"source": {"n": 10, "fingerprint": "0" * 16}, "seed": 0})
    assert warn_of_fitted_rows([file], fitted, lambda *_: None, ("source",)) == []  # type: ignore[arg-type]


def test_a_batch_that_cannot_be_used_does_not_speak_for_the_others() -> None:
    batch = pa.record_batch({"vector": to_column(np.zeros((4, D_IN), np.float32))})
    with pytest.raises(UnusableRowError, match="column 'vector': 4 of 4 rows are all zeros"):
        list(translate_batches([batch], translator()))
    embedder = TextEmbedder(lambda texts: np.zeros((len(texts), 3)), "text", "zeros", 3)
    page = Records(pa.array([1]), np.ones((1, 3), np.float32), pa.table({"text": ["a"]}))
    with pytest.raises(UnusableRowError, match="The vectors of the encoder zeros: the row is all zeros"):
        embedder.embed(page, "things")
