"""Fits without pairs whose target, or whose views of it, are texts that encoders embed during the command."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import interlingua as il
from command_line import Ran, Rows, Run, insert
from interlingua._encoder_pairs import DrawnTexts
from planted import encode, rotation, spaces_with_views

# With fewer than 250 rows, views start no second search, which would take most of the time.
N, M = 120, 240
TEXTS = [f"text {i}" for i in range(M)]
# Looks up the vector of a text by its number, in a file of JSON arrays, and leaves a mark that it ran.
PROGRAM = """
import pathlib, sys
rows, mark, form = sys.argv[1:4]
rows = pathlib.Path(rows).read_text().splitlines()
pathlib.Path(mark).touch()
for line in sys.stdin:
    if form == "fails":
        sys.exit("token=s3cret7 is wrong")
    if form != "short" or line.split()[1] != "7":
        print("0 0 0" if form == "narrow" and line.split()[1] == "8" else rows[int(line.split()[1])])
"""


@pytest.fixture(scope="module")
def spaces() -> dict[str, Rows]:
    """Source rows of some texts, and rows of others under a target encoder and two more models."""
    return spaces_with_views(N, M)


@pytest.fixture
def command(tmp_path: Path, spaces: dict[str, Rows]) -> Callable[..., str]:
    """Return the encoder that makes the vectors of a name, under the name of a program of its own."""

    def name(which: str, form: str = "good", rows: Rows | None = None) -> str:
        vectors = tmp_path / f"{which}.vectors"
        lines = (json.dumps(row.tolist()) for row in (spaces[which] if rows is None else rows))
        vectors.write_text("\n".join(lines))
        program = tmp_path / f"embed-{which}"
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(0o755)
        return "command:" + shlex.join([str(program), str(vectors), str(tmp_path / "ran"), form])

    return name


@pytest.fixture
def place(tmp_path: Path, spaces: dict[str, Rows]) -> Path:
    """The source, public texts with repeated and blank ones, and a target with its texts."""
    np.save(tmp_path / "source.npy", spaces["source"])
    np.save(tmp_path / "target.npy", spaces["target"])
    (tmp_path / "texts.txt").write_text("\n".join([*TEXTS, "", *TEXTS[:5], "  "]) + "\n")
    write_target(tmp_path / "target.parquet", spaces["target"])
    return tmp_path


def write_target(path: Path, rows: Rows, texts: Any = TEXTS, column: str = "body") -> Path:
    vectors = pa.FixedSizeListArray.from_arrays(np.ascontiguousarray(rows).ravel(), rows.shape[1])
    columns = {"id": [f"r{i}" for i in range(len(rows))], "vector": vectors, column: texts}
    pq.write_table(pa.table(columns), path)
    return path


def drawn(spaces: dict[str, Rows], given: dict[str, Any]) -> list[int]:
    """The rows of the target that a fit was given."""
    rows = given["sides"][1].vectors
    return [int(np.flatnonzero((spaces["target"] == row).all(axis=1))[0]) for row in rows]


def test_public_texts_are_the_target_and_its_views(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str], given: dict[str, Any]
) -> None:
    log = place / "log.jsonl"
    views = ("--view-encoder", command("first"), "--view-encoder", command("second"))
    options = ("--texts", place / "texts.txt", "--sample", 210, "--seed", 3, "--allow-failed", "--log", log)
    ran = run("fit", place / "source.npy", "--target-encoder", command("target"), *views, *options, "--out",
              place / "t", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    picked = [TEXTS.index(text) for text in DrawnTexts.of(TEXTS, sample=210, seed=3).texts]
    np.testing.assert_allclose(given["sides"][1].vectors, spaces["target"][picked], rtol=1e-6)
    assert given["sides"][0].n == N
    assert list(given["views"]) == ["command embed-first", "command embed-second"]
    for name, which in zip(given["views"], ("first", "second"), strict=True):
        np.testing.assert_allclose(given["views"][name].vectors, spaces[which][picked], rtol=1e-6)
    assert ran.json["texts"] == {"used": 210, "different": M, "of": M + 7}
    assert ran.json["source"] == {"rows": N, "of": N}
    assert ran.json["target"] == {"rows": 210, "of": 210}
    assert ran.json["encoders"] == {
        "target": "command embed-target",
        "views": ["command embed-first", "command embed-second"],
    }
    assert "texts: 210 of 240 different ones; 247 were given\n" in ran.err
    assert "target: embedded with command embed-target\nview: embedded with command embed-first\n" in ran.err
    card = il.load(place / "t").card
    assert card["target"]["name"] == "command embed-target"
    assert card["settings"]["views"] == "command embed-first, command embed-second"
    assert card["settings"]["embedded_with"] == (
        "target: command embed-target; views: command embed-first, command embed-second"
    )
    events = [json.loads(line) for line in log.read_text().splitlines()]
    shown = [(e["side"], e["name"], e["at"], e["of"]) for e in events if e.get("step") == "embedding"]
    assert shown[0] == ("target", "command embed-target", 0, 210)
    assert shown[-1] == ("view", "command embed-second", 210, 210)
    saved = log.read_text() + (place / "t" / "card.json").read_text()
    assert "text 1" not in saved
    assert str(place / "embed-first") not in saved


def test_arguments_of_encoders_may_be_addresses_and_keys_and_are_repeated_nowhere(
    run: Run, place: Path, command: Callable[..., str], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    secret = shlex.join(["--url", "https://me:hunter2@host/v1", "--api-key=hunter2", "token=hunter2", "jdbc:hunter2"])
    target, view = (f"{command(which)} {secret}" for which in ("target", "first"))
    encoders = ("--target-encoder", target, f"--view-encoder={view}")
    ran = fit_of_texts(run, place, *encoders, "--allow-failed", "--log", place / "log.jsonl")
    assert ran.code == 0, ran.err
    written = [ran.out, ran.err, *(file.read_text("utf-8", "replace") for file in (place / "t").iterdir())]
    assert not any("hunter2" in text for text in [*written, (place / "log.jsonl").read_text()])
    (place / "lengths.py").write_text("import sys\nfor line in sys.stdin:\n    print(len(line), 1, 2)\n")
    lengths = f"command:{shlex.join([sys.executable, 'lengths.py'])} {secret}"
    ran = run("embed", "target.parquet", "new.parquet", "--text-column", "body", "--encoder", lengths)
    assert ran.code == 0, ran.err
    files = [file.read_bytes() for file in place.glob("*") if file.is_file()]
    assert not any(b"hunter2" in content for content in [*files, ran.err.encode()])
    ran = run("audit", "--encoder", view, "--json")
    assert "An address is neither a path nor" in ran.json["error"]


def test_the_translator_of_public_texts_is_right_and_the_report_names_them(
    run: Run, place: Path, planted: tuple[Rows, Rows], command: Callable[..., str]
) -> None:
    pytest.importorskip("matplotlib")
    np.save(place / "source.npy", planted[0][:300])
    texts = [f"public {i}" for i in range(600)]
    (place / "texts.txt").write_text("\n".join(texts[300:]))
    other = encode(planted[1], 18, np.random.default_rng(1), noise=0.1)
    encoders = ("--target-encoder", command("target", rows=planted[1]), "--view-encoder", command("first", rows=other))
    options = ("--source-name", "old", "--target-name", "new", "--report", place / "r.html", "--budget", 0)
    ran = run("fit", place / "source.npy", *encoders, "--texts", place / "texts.txt", *options, "--out", place / "t")
    assert ran.code == 0, ran.err
    translator = il.load(place / "t")
    assert (translator.card["source"]["name"], translator.card["target"]["name"]) == ("old", "new")
    scores = il.evaluate(translator, planted[0][:100], planted[1][:100])
    assert scores.forward.top1.value > 0.9
    assert f"interlingua translate {place / 't'} {place / 'source.npy'}" in ran.err
    page = (place / "r.html").read_text("utf-8")
    assert any(text in page for text in texts)
    assert "command embed-first" in page


@pytest.mark.parametrize("limit", [("--rows", 110, "--seed", 3), ()])
def test_views_are_made_of_the_texts_of_the_rows_that_are_drawn_of_the_target(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str], given: dict[str, Any], limit: Any
) -> None:
    np.save(place / "second.npy", spaces["second"])
    views = ("--view-encoder", command("first"), "--text-column", "body", "--view", place / "second.npy")
    files = place / "source.npy", place / "target.parquet"
    ran = run("fit", *files, *views, *limit, "--allow-failed", "--out", place / "t", "--json")
    assert ran.code == 0, ran.err
    picked = drawn(spaces, given)
    assert len(picked) == (110 if limit else M)
    assert list(given["views"]) == ["second", "command embed-first"]
    np.testing.assert_array_equal(given["views"]["second"].vectors, spaces["second"][picked])
    np.testing.assert_allclose(given["views"]["command embed-first"].vectors, spaces["first"][picked], rtol=1e-6)
    assert ran.json["encoders"] == {"target": None, "views": ["command embed-first"]}
    assert il.load(place / "t").card["settings"]["embedded_with"] == "views: command embed-first"


def test_views_are_made_of_the_texts_under_a_key_of_documents(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str], given: dict[str, Any]
) -> None:
    documents = [json.dumps({"n": i, "body": text}) for i, text in enumerate(TEXTS)]
    target = write_target(place / "documents.parquet", spaces["target"], documents, "payload_json")
    options = ("--view-encoder", command("first"), "--allow-failed", "--out", place / "t", "--json")
    ran = run("fit", place / "source.npy", target, *options, "--text-column", "payload_json")
    assert "documents.parquet holds whole documents. Name a key that holds texts by --text-column" in ran.json["error"]
    ran = run("fit", place / "source.npy", target, *options, "--text-column", "body")
    assert ran.code == 0, ran.err
    np.testing.assert_allclose(given["views"]["command embed-first"].vectors, spaces["first"], rtol=1e-6)


def test_a_target_is_not_embedded_beyond_the_rows_that_a_fit_uses(
    run: Run, place: Path, command: Callable[..., str], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlingua.cli.fit.MAX_ROWS", 150)
    files = place / "source.npy", place / "target.parquet"
    views = ("--view-encoder", command("first"), "--text-column", "body", "--allow-failed", "--out", place / "t")
    ran = run("fit", *files, *views)
    assert ran.code == 0, ran.err
    assert given["sides"][1].n == 150
    assert "target: 150 of 240 rows, drawn at random" in ran.err
    np.save(place / "pairs.npy", np.array([[0, 7], [5, 203]]))
    ran = run("fit", *files, *views, "--pairs", place / "pairs.npy", "--force")
    assert ran.code == 0, ran.err
    assert given["sides"][1].n == len(given["views"]["command embed-first"].vectors) == M


def test_rows_without_a_text_or_a_vector_are_left_out_in_step_with_pairs_and_categories(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str], given: dict[str, Any]
) -> None:
    rows, view = spaces["target"].copy(), spaces["first"].copy()
    rows[9], view[11] = np.nan, 0
    texts = [" " if i == 3 else None if i == 5 else text for i, text in enumerate(TEXTS)]
    topic = pa.array([f"topic {i % 3}" for i in range(M)])
    table = pq.read_table(write_target(place / "target.parquet", rows, texts)).append_column("topic", topic)
    pq.write_table(table, place / "target.parquet")
    lists = pa.FixedSizeListArray.from_arrays(spaces["source"].ravel(), spaces["source"].shape[1])
    pq.write_table(pa.table({"vector": lists, "topic": topic[:N]}), place / "source.parquet")
    np.save(place / "pairs.npy", np.array([[0, 7], [5, 11], [6, 3], [7, 12]]))
    files = place / "source.parquet", place / "target.parquet"
    views = ("--view-encoder", command("first", rows=view), "--text-column", "body", "--skip-bad")
    more = ("--pairs", place / "pairs.npy", "--labels", "topic", "--method", "linear", "--allow-failed")
    ran = run("fit", *files, *views, *more, "--out", place / "t", "--log", place / "log.jsonl", "--json")
    assert ran.code == 0, ran.err
    kept = [i for i in range(M) if i not in (3, 5, 9, 11)]
    assert drawn(spaces, given) == kept
    np.testing.assert_allclose(given["views"]["command embed-first"].vectors, spaces["first"][kept], rtol=1e-6)
    assert given["pairs"].tolist() == [[0, 5], [7, 8]]
    assert given["labels"][1] == [f"topic {i % 3}" for i in kept]
    assert ran.json["target"] == {"rows": 236, "of": M, "left_out": {"rows": 4, "first": [3, 5, 9]}}
    assert il.load(place / "t").card["target"]["left_out"] == {"rows": 4, "of": M, "first": [3, 5, 9]}
    assert "target: 3 rows of 240 without a vector that can be used are left out; the first: row 3, row 5, row 9" in (
        ran.err
    )
    assert "target: 1 of 237 texts is left out, because an encoder makes no vector that can be used\n" in ran.err
    event = next(json.loads(line) for line in (place / "log.jsonl").read_text().splitlines() if '"embedded"' in line)
    assert (event["texts"], event["left_out"]) == (237, 1)


def test_public_texts_without_a_vector_are_left_out_of_all_sides(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str], given: dict[str, Any]
) -> None:
    rows, view = spaces["target"].copy(), spaces["first"].copy()
    rows[4], view[6] = 0, 0
    encoders = ("--target-encoder", command("target", rows=rows), "--view-encoder", command("first", rows=view))
    fit = ("fit", place / "source.npy", *encoders, "--texts", place / "texts.txt", "--allow-failed", "--out")
    ran = run(*fit, place / "t", "--skip-bad", "--json")
    assert ran.code == 0, ran.err
    assert drawn(spaces, given) == [i for i in range(M) if i not in (4, 6)]
    assert ran.json["target"] == {"rows": 238, "of": M, "left_out": {"rows": 2, "first": []}}
    ran = run(*fit, place / "u")
    assert ran.code == 2
    said = " ".join(ran.err.split())
    assert "The vectors of the target encoder command embed-target" in said
    assert "Such rows can be left out with --skip-bad" in said
    nothing = command("target", rows=np.zeros_like(rows))
    ran = run("fit", place / "source.npy", "--target-encoder", nothing, *fit[6:], place / "u", "--skip-bad")
    assert ran.code == 2
    assert "command embed-target: none can be used; all texts would be left out" in " ".join(ran.err.split())


def test_a_row_without_a_text_is_refused_and_named(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str]
) -> None:
    texts = [" " if i in (3, 8) else text for i, text in enumerate(TEXTS)]
    target = write_target(place / "target.parquet", spaces["target"], texts)
    options = ("--view-encoder", command("first"), "--text-column", "body", "--out", place / "t")
    for address, name in ((str(target), "row 3"), (f"file://{target}?id=id", "the id 'r3'")):
        ran = run("fit", place / "source.npy", address, *options, "--json")
        assert ran.code == 2
        assert (
            f"2 of 240 rows that are read have no text in column 'body'; the first is {name}. Name the"
            in (ran.json["error"])
        )
        assert "or leave such rows out with --skip-bad" in ran.json["error"]
    write_target(target, spaces["target"], [None] * M)
    ran = run("fit", place / "source.npy", target, *options, "--skip-bad", "--json")
    assert ran.code == 2
    assert "no row has both a vector that can be used and a text in column 'body'" in ran.json["error"]
    assert not (place / "ran").exists()


def test_texts_of_a_store_are_embedded(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str], given: dict[str, Any]
) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(place / "s.duckdb")) as connection:
        connection.execute("create table items(id bigint primary key, v float[12], text varchar)")
        insert(connection, "items", [(i, row.tolist(), TEXTS[i]) for i, row in enumerate(spaces["target"])])
    target = f"duckdb://{place}/s.duckdb#items.v"
    options = ("--target-where", "id < 150", "--view-encoder", command("first"), "--allow-failed")
    ran = run("fit", place / "source.npy", target, *options, "--out", place / "t")
    assert ran.code == 0, ran.err
    picked = drawn(spaces, given)
    assert sorted(picked) == list(range(150))
    np.testing.assert_allclose(given["views"]["command embed-first"].vectors, spaces["first"][picked], rtol=1e-6)


def fit_of_texts(run: Run, place: Path, *options: object) -> Ran:
    return run("fit", place / "source.npy", "--texts", place / "texts.txt", "--out", place / "t", "--json", *options)


@pytest.mark.parametrize(
    ("form", "side", "message"),
    [
        (
            "fails",
            "--target-encoder",
            r"^The target encoder's program .* ended with exit code 1: token=\*\*\* is wrong",
        ),
        ("short", "--target-encoder", "wrote 239 vectors for 240 texts; one per text is needed"),
        (
            "short",
            "--view-encoder",
            "^The view encoder's program .* wrote 239 vectors for 240 texts; one per text is needed",
        ),
        ("narrow", "--view-encoder", "wrote 3 numbers in line 9 and 16 in line 1; all vectors need one width"),
    ],
)
def test_an_encoder_that_fails_writes_nothing(
    run: Run, place: Path, command: Callable[..., str], form: str, side: str, message: str
) -> None:
    encoders = {"--target-encoder": command("target"), "--view-encoder": command("first")}
    which = "target" if side == "--target-encoder" else "first"
    encoders[side] = command(which, form)
    ran = fit_of_texts(run, place, *(word for pair in encoders.items() for word in pair))
    assert ran.code == 2
    with pytest.raises(il.InputError, match=message):
        raise il.InputError(ran.json["error"])
    assert not (place / "t").exists()


def test_a_failed_fit_to_public_texts_names_no_option_that_is_refused_with_them(
    run: Run, place: Path, command: Callable[..., str]
) -> None:
    ran = fit_of_texts(run, place, "--target-encoder", command("target"), "--method", "random-rotation")
    assert ran.code == 1
    assert "Nothing was written. Give more rows (thousands per side)" in ran.err
    assert "--pairs" not in ran.err


def test_vectors_that_are_no_view_or_no_other_model_are_refused(
    run: Run, place: Path, spaces: dict[str, Rows], command: Callable[..., str]
) -> None:
    turned = 2 * spaces["target"] @ rotation(12, 12, np.random.default_rng(2))
    target = ("--target-encoder", command("target"))
    ran = fit_of_texts(run, place, *target, "--view-encoder", command("first", rows=turned))
    assert ran.code == 2
    assert "--view-encoder command embed-first has the same nearest neighbors as the target" in ran.json["error"]
    np.save(place / "source.npy", spaces["target"][:N].astype(np.float32))
    (place / "ran").unlink()
    ran = fit_of_texts(run, place, *target, "--view-encoder", command("first", "fails"))
    assert ran.code == 2
    assert "source.npy and command embed-target hold the same vectors" in ran.json["error"]


def test_two_programs_of_one_name_have_names_of_their_own(
    run: Run, place: Path, command: Callable[..., str], given: dict[str, Any]
) -> None:
    def in_a_folder(which: str) -> str:
        program, *arguments = shlex.split(command(which).removeprefix("command:"))
        (place / which).mkdir()
        same = shutil.copy(program, place / which / "embed")
        return "command:" + shlex.join([sys.executable, str(same), *arguments])

    target, *views = map(in_a_folder, ("target", "first", "second"))
    encoders = ("--target-encoder", target, *(word for view in views for word in ("--view-encoder", view)))
    ran = fit_of_texts(run, place, *encoders, "--allow-failed")
    assert ran.code == 0, ran.err
    assert list(given["views"]) == ["command embed 2", "command embed 3"]


REFUSED = [
    (
        "narrow.npy {target} --texts texts.txt",
        r"source \(.*narrow.npy\) has 6 columns; without .* no text was embed",
    ),
    ("narrow.npy target.parquet {view} --text-column body", r"source \(.*narrow.npy\) has 6 columns; without pairs"),
    (
        "source.npy target.parquet {view} --text-column body --rows 50",
        r"source \(.*source.npy\) has 50 rows; without",
    ),
    (
        "source.npy short.parquet {view} --text-column body",
        r"target \(.*short.parquet\) has 40 rows; without",
    ),
    ("source.npy target.npy {view}", "target.npy has no other column than its vectors and ids. Give TARGET with its"),
    ("source.npy target.parquet {view}", "target.parquet has no column 'text'; its columns are body. Name the one"),
    ("source.npy {view}", "TARGET is missing; a fit needs the vectors of two encoders"),
    ("{target} --texts texts.txt", "SOURCE and TARGET are missing; a fit needs the vectors of two encoders"),
    ("source.npy target.npy {target}", "--target-encoder and --texts belong together: .*; add --texts"),
    ("source.npy target.npy --texts texts.txt", "--target-encoder and --texts belong together: .*; add --target-enc"),
    ("source.npy target.npy --texts texts.txt {view}", "belong together: .*; add --target-encoder"),
    (
        "source.npy target.npy {target} --texts texts.txt",
        "TARGET cannot be combined with --target-encoder",
    ),
    ("source.npy {target} --texts texts.txt --view target.npy", "--view belongs to rows of TARGET, .* --view-encoder"),
    *(
        (f"source.npy {{target}} --texts texts.txt {option}", f"{option.split()[0]} cannot be combined with --target")
        for option in ("--target target.npy", "--target-where x>1", "--pairs p.npy", "--pair-by-id", "--labels x")
    ),
    ("source.npy {target} --texts texts.txt --method ridge", "--method ridge learns from known pairs, and"),
    ("source.npy {target} --texts texts.txt {view} --method gromov", "--view-encoder makes views of the target, and"),
    ("source.npy target.parquet {view} --method identity", "views of the target, and --method identity uses none"),
    ("source.npy target.parquet {view} --target target.npy", "--target cannot be combined with --view-encoder; leave"),
    ("source.npy target.parquet {view} {view}", "--view-encoder command embed-first was given twice; give each encod"),
    (
        "source.npy {target} --texts texts.txt --view-encoder {same}",
        "embed-target is already given as the main enc",
    ),
    (
        "source.npy --source-encoder command:cat {target} --texts texts.txt {view}",
        "--view-encoder has no effect with --source-encoder",
    ),
    ("source.npy {target} --texts texts.txt --text-column x", "--text-column has no effect: a .txt file has no column"),
    (
        "source.npy {target} --texts few.txt",
        "few.txt holds 3 texts, of which 3 are different and not blank; at least",
    ),
    ("source.npy {target} --texts texts.txt --sample 100", "sample is 100; "),
    ("source.npy {target} --texts nq --sample 100", "sample is 100; "),
    ("--source-encoder command:cat {target} --texts nq --sample 100", "sample is 100; "),
    (
        "source.npy {target} --texts one.txt",
        "one.txt holds 1 text, of which 1 is different and not blank; at least 200 are",
    ),
    ("source.npy {target} --texts texts.txt --column a --column b", "--column was given 2 times, and SOURCE is the"),
    ("source.npy {target} --texts texts.txt --report r.html --show a --show b", "--show was given 2 times, and SOURCE"),
    ("source.npy --target-encoder command:no-such-program --texts texts.txt", "program no-such-program does not exist"),
    (
        "source.npy {target} --texts texts.txt --view-encoder command:no-such-program",
        "program no-such-program does not",
    ),
    ("source.npy {target} --texts texts.txt --log texts.txt", "texts.txt"),
    ("{address} {target} --texts texts.txt --column v", "--column belongs to a file; name the column or vector of a"),
]


@pytest.mark.parametrize(("typed", "message"), REFUSED, ids=[typed for typed, _ in REFUSED])
def test_what_has_no_meaning_is_refused_before_an_encoder_runs(
    run: Run, place: Path, command: Callable[..., str], typed: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--report" in typed:
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(place)
    (place / "few.txt").write_text("a\nb\nc\n")
    (place / "one.txt").write_text("a\n")
    np.save("narrow.npy", np.random.default_rng(0).standard_normal((N, 6)))
    write_target(place / "short.parquet", np.load("target.npy")[:40], TEXTS[:40])
    address = f"file://{place}/target.parquet?id=id"
    same = command("target")
    words = typed.format(
        target=shlex.join(["--target-encoder", same]),
        same=shlex.quote(same),
        view=shlex.join(["--view-encoder", command("first")]),
        address=address,
    )
    before = sorted(place.rglob("*"))
    ran = run("fit", *shlex.split(words), "--out", place / "t", "--json")
    assert ran.code == 2
    with pytest.raises(il.InputError, match=message):
        raise il.InputError(ran.json["error"])
    assert sorted(place.rglob("*")) == before
