"""Searches on the command line: queries as texts, hits with their columns, ranking again, and what scores are."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from command_line import D_SOURCE, N, Rows, Run
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator, load

# An encoder of texts such as "text 7": it knows the vector of each in the target space, and gives other texts some of
# these vectors.
PROGRAM = """
import sys
import zlib
import numpy as np
rows = np.load(sys.argv[1])
for line in sys.stdin:
    word = line.split()[1]
    print(rows[int(word) if word.isdigit() else zlib.crc32(line.encode()) % len(rows)].tolist())
"""


@pytest.fixture
def place(folder: Path, saved: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of the source space with texts in most rows, and the encoder of the target space."""
    monkeypatch.chdir(folder)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(planted[0].ravel()), D_SOURCE)
    texts = [None if i % 3 == 0 else f"text {i}" for i in range(N)]
    long = ["word " * 50] * N
    pq.write_table(pa.table({"id": range(N), "vector": vectors, "text": texts, "note": long}), "old.parquet")
    Path("embed.py").write_text(PROGRAM)
    return folder


@pytest.fixture
def encoder(place: Path) -> str:
    return "command:" + shlex.join([sys.executable, str(place / "embed.py"), str(place / "target.npy")])


@pytest.fixture
def calibrated(place: Path, planted: tuple[Rows, Rows]) -> str:
    load("translator").fit_calibration(*planted, paired=True).save("calibrated")
    return "calibrated"


def test_a_query_as_text_is_embedded_by_the_encoder(run: Run, encoder: str) -> None:
    ran = run(
        "search", "translator", "old.parquet", "--text", "text 7", "--text", "text 8", "--encoder", encoder, "-k", 2
    )
    assert ran.code == 0, ran.err
    rows = [line.split() for line in ran.out.splitlines() if line.strip()[:1].isdigit()]
    assert [row[:2] for row in rows] == [["0", "1"], ["0", "2"], ["1", "1"], ["1", "2"]]
    assert [rows[0][3], rows[2][3]] == ["7", "8"]
    assert "text 7" in ran.out
    assert "left (source), query translated" in " ".join(ran.out.split())
    assert "score: cosine with the query, on the scale of right (target space)." in ran.err
    assert "not converted, and usually lower than that of a text embedded again" in ran.err
    assert "This translator has no calibration of scores" in ran.err


def test_queries_of_the_other_width_are_named_with_their_file_and_the_space_they_belong_to(
    run: Run, place: Path, encoder: str
) -> None:
    search = ("search", "translator", "old.parquet", "--json")
    of_source = run(*search, "--query", "source.npy")
    assert re.search(
        r"--query source.npy gives queries of width 24, and the target space has 16. That is the width of the source "
        "space; for queries of its model add --space source",
        of_source.json["error"],
    )
    np.save("third.npy", np.ones((2, 9)))
    third = run(*search, "--query", "third.npy", "--space", "source")
    assert "--query third.npy gives queries of width 9, and the source space has 24. Are they of" in third.json["error"]
    text = run(*search, "--text", "text 7", "--encoder", encoder, "--space", "source")
    assert "The model of --encoder gives queries of width 16, and the source space has 24" in text.json["error"]


def test_queries_too_few_to_recognize_their_model_are_named(run: Run, place: Path, planted: tuple[Rows, Rows]) -> None:
    target = planted[1]
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((target.shape[1],) * 2))[0].astype(np.float32)
    zeros = np.zeros(len(turn), np.float32)
    profiles = SpaceProfile.of(target @ turn), SpaceProfile.of(target)
    forward, backward = AffineMap(zeros, turn.T.copy(), zeros), AffineMap(zeros, turn, zeros)
    Translator(forward, backward, profiles, load("translator").card).save("equal")
    np.save("turned.npy", target @ turn)
    np.save("few.npy", target[:3])
    said = "Too few queries to check which model embedded them: 3 different queries, and 50 are needed. They are taken"
    for space, other in (("target", "source"), ("source", "target")):
        search = ("search", "equal", "turned.npy", "--query", "few.npy", "-k", 1, "--space", space, "--json")
        notes = " ".join(run(*search).json["notes"])
        assert f"{said} for queries of the {space} model; for those of the other model add --space {other}." in notes
        assert said not in " ".join(run(*search, "--allow-foreign").json["notes"])
    many = run("search", "equal", "turned.npy", "--query", "target.npy", "-k", 1, "--json")
    assert "Too few queries" not in " ".join(many.json["notes"])
    # Widths tell the spaces of this translator apart.
    widths = run("search", "translator", "old.parquet", "--query", "few.npy", "-k", 1, "--json")
    assert "Too few queries" not in " ".join(widths.json["notes"])


@pytest.mark.parametrize("first", ["duckdb:///data/s.duckdb#t.v", "old.parquet"])
def test_arguments_in_another_order_are_named(run: Run, place: Path, first: str) -> None:
    arrived = "a file, old.parquet" if first == "old.parquet" else "the address of a store, duckdb://..."
    for command in ("search", "migrate", "evaluate", "translate"):
        ran = run(command, first, "target.npy", *([] if command == "translate" else ["translator"]), "--json")
        assert ran.code == 2
        said = f"The first argument is {arrived}, and it must be DIR, .*Give the folder that `interlingua fit` wrote"
        assert re.search(said, ran.json["error"]), command


def test_hits_show_the_columns_that_are_asked_for(run: Run, place: Path) -> None:
    ran = run("search", "translator", "old.parquet", "--query", "target.npy", "-k", 1, "--show", "note", "--json")
    assert ran.code == 0, ran.err
    hit = ran.json["hits"][8][0]
    assert (hit["id"], hit["payload"]) == (8, {"text": "text 8", "note": "word " * 50})
    np.save("few.npy", np.load("target.npy")[:2])
    shown = run("search", "translator", "old.parquet", "--query", "few.npy", "-k", 1, "--show", "note")
    assert "note" in shown.out
    assert "text 1" not in shown.out
    assert "…" in shown.out
    ran = run("search", "translator", "old.parquet", "--query", "few.npy", "--show", "title", "--json")
    assert ran.code == 2
    assert "--show: no hit has a column 'title'; columns are note, text" in ran.json["error"]
    ran = run("search", "translator", "old.parquet", "--query", "few.npy", "--show", "note,text", "--json")
    assert "columns are note, text. Give --show once for each column." in ran.json["error"]


def test_a_collection_without_the_column_that_is_shown_by_default_is_named(run: Run, place: Path) -> None:
    np.save("few.npy", np.load("target.npy")[:2])
    table = pq.read_table("old.parquet").rename_columns(["id", "vector", "title", "note"])
    pq.write_table(table.drop_columns("note"), "titled.parquet")
    search = ("search", "translator", "titled.parquet", "--query", "few.npy", "-k", 1)
    said = "2 of 2 hits are of rows without a column 'text'; their only column is 'title'. --show COLUMN prints a"
    assert said in run(*search).err
    for more in (("--show", "title"), ("--json",)):
        ran = run(*search, *more)
        assert "without a column" not in ran.out + ran.err
    pq.write_table(table, "titled.parquet")
    assert "their columns are note, title." in run(*search).err
    assert "without a column" not in run("search", "translator", "old.parquet", "--query", "few.npy").err


def test_the_table_has_the_first_of_many_queries(run: Run, place: Path) -> None:
    np.save("many.npy", np.load("target.npy")[:300])
    search = ("search", "translator", "old.parquet", "--query", "many.npy", "-k", 2)
    ran = run(*search)
    numbers = [int(line.split()[0]) for line in ran.out.splitlines() if line.strip()[:1].isdigit()]
    assert numbers == [number for number in range(20) for _ in range(2)]
    assert "The table has the first 20 of 300 queries; --json has all." in ran.err
    whole = run(*search, "--json")
    assert len(whole.json["hits"]) == 300
    assert not any("The table" in note for note in whole.json["notes"])


def test_texts_of_nominees_are_ranked_again_by_the_model(run: Run, encoder: str, planted: tuple[Rows, Rows]) -> None:
    # A translator that confuses rows nominates the right one, but not first.
    translator = load("translator")
    translator.forward.matrix[...] *= np.linspace(0.2, 2, translator.d_target, dtype=np.float32)  # type: ignore[attr-defined]
    translator.save("rough")
    asked = ["--text", "text 7", "--text", "text 31", "--json"]
    ran = run("search", "rough", "old.parquet", *asked, "--rerank", encoder, "--nominees", 200, "-k", 3)
    assert ran.code == 0, ran.err
    hits = [row[0] for row in ran.json["hits"]]
    assert [hit["id"] for hit in hits] == [7, 31]
    assert [hit["score"] for hit in hits] == pytest.approx([1, 1], abs=1e-5)
    assert all(hit["reranked"] for hit in hits)
    assert re.fullmatch(r"2\d\d of 400 nominees have a text in 'text' and were ranked again\.", ran.json["notes"][1])
    assert re.search(r"both by command \w+\.py", ran.json["notes"][0])
    target = planted[1]
    for row in ran.json["hits"]:
        for hit in row:
            assert hit["reranked"] == (hit["id"] % 3 != 0)
            if hit["reranked"]:
                expected = float(target[hit["id"]] @ target[row[0]["id"]])
                assert hit["score"] == pytest.approx(expected, abs=1e-4)
    vectors = run("search", "rough", "old.parquet", "--query", "target.npy", "--rerank", encoder, "-k", 1, "--json")
    assert [vectors.json["hits"][row][0]["id"] for row in (7, 31)] == [7, 31]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--text-column", "body"],
            "No hit has a text in a column 'body'; its columns are note, text. .*--text-column",
        ),
        (["--rerank", "command:no-such-program"], "The encoder's program no-such-program does not exist"),
    ],
)
def test_a_ranking_that_cannot_be_made_is_refused(run: Run, encoder: str, more: list[str], message: str) -> None:
    np.save("few.npy", np.load("target.npy")[:2])
    asked = ["--query", "few.npy", "--rerank", encoder]
    ran = run("search", "translator", "old.parquet", *asked, *more, "--json")
    assert ran.code == 2
    assert re.search(message, ran.json["error"]), ran.json["error"]


def test_an_empty_query_is_refused(run: Run, encoder: str) -> None:
    ran = run("search", "translator", "old.parquet", "--text", " ", "--encoder", encoder, "--json")
    assert "--text is empty; write the words to search for" in ran.json["error"]


def scores(run: Run, *more: str) -> tuple[Any, dict[str, Any]]:
    ran = run("search", *more, "--query", "few.npy", "-k", 5, "--json")
    assert ran.code == 0, ran.err
    return [[hit["score"] for hit in row] for row in ran.json["hits"]], ran.json


def test_scores_are_on_the_scale_that_is_asked_for(run: Run, calibrated: str) -> None:
    np.save("few.npy", np.load("target.npy")[:3])
    translator = load(calibrated)
    plain, record = scores(run, calibrated, "old.parquet")
    assert (record["calibration"], record["scale"]) == ("translator", "target")
    assert "converted by the calibration of the translator" in record["notes"][1]
    raw = [[hit["raw"] for hit in row] for row in record["hits"]]
    assert plain == pytest.approx(translator.calibrate(raw))
    old, record = scores(run, calibrated, "old.parquet", "--scale", "source")
    assert "on the scale of left (source space)" in record["notes"][0]
    assert old == pytest.approx(translator.calibrate(plain, "target", "source"))
    both, record = scores(run, calibrated, "old.parquet", "target.npy", "--scale", "source")
    assert record["calibration"] == "collections"
    assert "by a comparison of sampled rows of both collections" in record["notes"][1]
    assert json.dumps(both)
    none, record = scores(run, calibrated, "old.parquet", "--no-calibrate")
    assert none == [[hit["raw"] for hit in row] for row in record["hits"]]
    assert "not converted" in record["notes"][1]
    ran = run(
        "search", calibrated, "old.parquet", "--query", "few.npy", "--no-calibrate", "--scale", "source", "--json"
    )
    assert "need the calibration of a translator, and it is switched off" in ran.json["error"]


def test_inspect_says_whether_scores_are_calibrated(run: Run, calibrated: str) -> None:
    assert "calibrated on 600 and 600 pairs" in run("inspect", calibrated).out
    found = run("inspect", calibrated, "--json").json["calibration"]
    assert (found["rows"], found["paired"], found["scores"]["source"][2]) == ([600, 600], True, 0.7)
    expected = load(calibrated).calibrate([0.7], "source", "target")
    assert found["scores"]["target"][2] == pytest.approx(expected[0], abs=1e-3)
    shown = run("inspect", calibrated).out
    assert "the same share of pairs of unrelated texts has a higher cosine:" in " ".join(shown.split())
    assert f"{expected[0]:.3f}" in shown
    assert "not calibrated: thresholds cannot be converted" in run("inspect", "translator").out
    assert run("inspect", "translator", "--json").json["calibration"] is None


def test_a_search_of_two_collections_says_why_its_scores_differ(run: Run, place: Path, calibrated: str) -> None:
    rows = np.load("target.npy")
    np.save("new.npy", rows)
    search = run("search", calibrated, "old.parquet", "new.npy", "--query", "target.npy", "-k", 3)
    assert search.code == 0, search.err
    assert "A search of that collection alone uses the calibration of the translator, so the same hits" in " ".join(
        search.err.split()
    )
    single = run("search", calibrated, "old.parquet", "--query", "target.npy", "-k", 3)
    assert "A search of that collection alone" not in single.err


@pytest.fixture
def moved(calibrated: str, planted: tuple[Rows, Rows]) -> str:
    """The collection of the source space after its migration."""
    rows = load(calibrated).translate(planted[0])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
    texts = [None if i % 3 == 0 else f"text {i}" for i in range(N)]
    pq.write_table(pa.table({"id": range(N), "vector": vectors, "text": texts}), "moved.parquet")
    return "moved.parquet"


def test_a_migrated_collection_is_searched_as_the_old_one_is(run: Run, calibrated: str, moved: str) -> None:
    np.save("few.npy", np.load("target.npy")[:3])
    before, _ = scores(run, calibrated, "old.parquet")
    after, record = scores(run, calibrated, moved, "--translated")
    assert record["calibration"] == "translator"
    assert all(hit["translated"] for row in record["hits"] for hit in row)
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert (
        "Hits marked translated are rows of SOURCE, whose vectors are translations to the target space; their cosine is"
        in (" ".join(record["notes"]))
    )
    old, _ = scores(run, calibrated, moved, "--translated", "--scale", "source")
    assert old == pytest.approx(load(calibrated).calibrate(after, "target", "source"))
    shown = run("search", calibrated, moved, "--translated", "--query", "few.npy", "-k", 1)
    assert "right (target), translated" in " ".join(shown.out.split())
    refused = run("search", calibrated, moved, "--query", "few.npy", "--json")
    assert "If it was migrated with this translator, say so with --translated." in refused.json["error"]


def test_a_translator_that_is_not_aligned_is_named_by_every_command_that_uses_it(run: Run, place: Path) -> None:
    made = load("translator")
    verdict = {**made.card["verdict"], "status": "doubtful"}
    Translator(made.forward, made.backward, made.profiles, {**made.card, "verdict": verdict}).save("doubtful")
    np.save("few.npy", np.load("target.npy")[:3])
    said = r"Warning: the verdict on the fit of this translator is doubtful \(interlingua inspect {} has the reasons\)"
    for name in ("doubtful", "translator"):
        for command in (
            ("search", name, "old.parquet", "--query", "few.npy"),
            ("translate", name, "source.npy", "--out", f"{name}.npy"),
            ("migrate", name, "old.parquet", f"{name}.parquet", "--dry-run"),
            ("migrate", name, "old.parquet", f"{name}.parquet"),
        ):
            ran = run(*command)
            assert ran.code == 0, ran.err
            assert bool(re.search(said.format(name), ran.err)) is (name == "doubtful"), command


def test_a_migrated_collection_that_is_searched_as_the_old_one_is_named(
    run: Run, place: Path, planted: tuple[Rows, Rows]
) -> None:
    # Both spaces have one width, so that only the vectors tell.
    wide = np.hstack([planted[1], np.zeros((N, D_SOURCE - planted[1].shape[1]), np.float32)])
    turned = wide @ np.linalg.qr(np.random.default_rng(0).standard_normal((D_SOURCE, D_SOURCE)))[0].astype(np.float32)
    zero = np.zeros(D_SOURCE, np.float32)
    matrix = np.linalg.lstsq(planted[0], turned, rcond=1e-4)[0]
    maps = AffineMap(zero, matrix, zero), AffineMap(zero, np.ascontiguousarray(matrix.T), zero)
    profiles = SpaceProfile.of(planted[0]), SpaceProfile.of(turned)
    Translator(*maps, profiles, load("translator").card).save("same-width")
    np.save("queries.npy", turned[:3])
    assert run("migrate", "same-width", "old.parquet", "new.parquet").code == 0
    refused = run("search", "same-width", "new.parquet", "--query", "queries.npy", "--json")
    assert refused.code == 2
    assert (
        "A migration wrote these vectors. If it was to the space of the queries, say so with --translated."
        in (refused.json["error"])
    )
    assert run("search", "same-width", "new.parquet", "--translated", "--query", "queries.npy").code == 0


def test_hits_of_a_migrated_collection_are_ranked_again(
    run: Run, calibrated: str, moved: str, encoder: str, planted: tuple[Rows, Rows]
) -> None:
    ran = run("search", calibrated, moved, "--translated", "--text", "text 7", "--rerank", encoder, "--json")
    assert ran.code == 0, ran.err
    kept = [hit for hit in ran.json["hits"][0] if not hit["reranked"]]
    assert kept
    expected = load(calibrated).calibrate([hit["raw"] for hit in kept])
    assert [hit["score"] for hit in kept] == pytest.approx(expected)


def test_rows_of_two_collections_with_one_id_are_printed_once(run: Run, calibrated: str, moved: str) -> None:
    np.save("few.npy", np.load("target.npy")[:2])
    vectors = np.load("target.npy")[: N // 2]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    pq.write_table(pa.table({"id": [str(i) for i in range(N // 2)], "vector": lists}), "native.parquet")
    command = ["search", calibrated, moved, "native.parquet", "--translated", "--query", "few.npy", "-k", 4, "--json"]
    twice = run(*command)
    assert [str(hit["id"]) for hit in twice.json["hits"][1]].count("1") == 2
    assert "If they are the same rows, --unique-ids prints each once." in twice.json["notes"][-1]
    once = run(*command, "--unique-ids").json
    assert not any("--unique-ids" in note for note in once["notes"])
    for row in once["hits"]:
        assert len({str(hit["id"]) for hit in row}) == 4
    first = once["hits"][1][0]
    assert (first["id"], first["translated"]) == ("1", False)


def test_a_migrated_collection_in_the_place_of_a_native_one_is_named(
    run: Run, calibrated: str, planted: tuple[Rows, Rows]
) -> None:
    np.save("old.npy", planted[0])
    np.save("native.npy", planted[1])
    np.save("few.npy", planted[1][:2])
    assert run("migrate", calibrated, "old.npy", "moved.parquet").code == 0
    said = {}
    for target in ("moved.parquet", "native.npy"):
        shown = run("search", calibrated, "old.npy", target, "--query", "few.npy", "-k", 2)
        assert shown.code == 0, shown.err
        said[target] = " ".join(shown.err.split())
    assert re.search(
        r"Warning: interlingua translated the vectors of .*moved\.parquet, as their mark says, and they are searched "
        r"as if the target model had made them",
        said["moved.parquet"],
    )
    assert "Warning" not in said["native.npy"]


def test_a_collection_that_embed_made_is_not_called_migrated(
    run: Run, calibrated: str, planted: tuple[Rows, Rows], encoder: str
) -> None:
    np.save("few.npy", planted[1][:2])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(planted[0].ravel()), D_SOURCE)
    texts = [f"text {i}" for i in range(N)]
    pq.write_table(pa.table({"id": range(N), "vector": vectors, "text": texts}), "whole.parquet")
    assert run("embed", "whole.parquet", "new.parquet", "--encoder", encoder).code == 0
    command = ("search", calibrated, "new.parquet", "--translated", "--query", "few.npy", "-k", 2)
    shown = run(*command)
    assert shown.code == 0, shown.err
    table = " ".join(shown.out.split())
    assert "source, embedded" in table
    assert "migrated" not in table
    assert re.search(r"The source collection was embedded by `interlingua embed`.* are not converted", shown.err)
    ranked = run("search", calibrated, "new.parquet", "--translated", "--text", "text 7", "--rerank", encoder)
    assert ranked.code == 0, ranked.err
    assert "score: cosine of the query with the text of the hit, both by" in ranked.err
    assert "not converted" not in ranked.err
    found = run(*command, "--json").json
    assert found["calibration"] == "none"
    for row in found["hits"]:
        assert row[0]["score"] == pytest.approx(1, abs=1e-3)
        assert all(hit["score"] == hit["raw"] and not hit["translated"] for hit in row)
    Path("new-too.parquet").write_bytes(Path("new.parquet").read_bytes())
    both = run(*command[:2], "new.parquet", "new-too.parquet", *command[3:], "--json").json
    assert "ids are among the hits of both collections" in both["notes"][-1]
    once = run(*command[:2], "new.parquet", "new-too.parquet", *command[3:], "--unique-ids", "--json").json
    assert all(len({hit["id"] for hit in row}) == 2 for row in once["hits"])


@pytest.mark.parametrize("option", ["--encoder", "--rerank"])
def test_a_model_of_another_space_is_refused_before_the_search(
    run: Run, place: Path, planted: tuple[Rows, Rows], encoder: str, option: str
) -> None:
    turned = planted[1] @ np.linalg.qr(np.random.default_rng(0).standard_normal((planted[1].shape[1],) * 2))[0]
    np.save("turned.npy", turned.astype(np.float32))
    np.save("few.npy", planted[1][:2])
    wrong = encoder.replace("target.npy", "turned.npy")
    asked = ("--text", "text 7") if option == "--encoder" else ("--query", "few.npy")
    command = ("search", "translator", "old.parquet", *asked, option)
    refused = run(*command, wrong, "--json")
    assert refused.code == 2
    assert re.search(
        rf"The model of {option} is not the model of the target space that this translator was fitted on. Its vectors "
        r"of \d+ plain English texts .* Give the encoder that made the target vectors of the fit. --allow-foreign goes",
        refused.json["error"],
    )
    assert run(*command, wrong, "--allow-foreign", "--json").code == 0
    Path("same.py").write_text("import sys\nfor line in sys.stdin:\n    print([1.0] * 15 + [2.0])\n")
    constant = run(*command, "command:" + shlex.join([sys.executable, "same.py"]), "--json")
    assert constant.code == 2
    assert "plain English texts are almost the same, as if it did not read the texts" in constant.json["error"]
    right = run(*command, encoder, "--json")
    assert right.code == 0, right.err
    assert "SpaceMismatch" not in right.err
    assert "Warning" not in right.err
