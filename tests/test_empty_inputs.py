"""Inputs without rows, or of which no row has a vector: every command says what is missing, and makes nothing."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import interlingua as il
from command_line import D_SOURCE, D_TARGET, Run
from interlingua.aligners.usable import UsableInputs
from interlingua.core.errors import InputError
from interlingua.core.wording import none_of
from interlingua.io import open_vectors

ROWS = 60
PROGRAM = "import sys\nfor line in sys.stdin: print([float(len(line)), 1.0])\n"
FILLED = "Name a column or file whose rows have vectors, or fill this one. To embed texts, any vector in one row is"
# A part of the message for each input. Without --skip-bad, the first row of a file is named.
ROWLESS = "Name a file that has rows."
EMPTY = {
    "empty.npy": f"has shape (0, {{d}}); at least 1 row and 1 column are needed. {ROWLESS}",
    "empty.jsonl": f"has no line with a vector; at least 1 line with a JSON object that holds one is needed. {FILLED}",
    "empty.parquet": f"has no rows; at least 1 row is needed. {ROWLESS}",
    "empty.csv": f"has no rows; a line of column names and at least 1 row are needed. {ROWLESS}",
    "empty.fvecs": f"is empty; at least 1 row is needed. {ROWLESS}",
    "empty.faiss": f"is empty; at least 1 row is needed. {ROWLESS}",
    "empty.duckdb": "is empty; at least 1 row is needed. Name a collection that has rows.",
    "empty-list.duckdb": "is empty; at least 1 row is needed. Name a collection that has rows.",
}
NULL = {
    "null.npy": "none of",
    "null.jsonl": EMPTY["empty.jsonl"],
    "null.parquet": f"none of the 60 rows has a vector in column 'vector'; at least one must have one. {FILLED}",
    "null.csv": f"none of the 60 rows has a vector in column 'vector'; at least one must have one. {FILLED}",
    "wide-null.csv": "none of the 60 rows has a vector in the columns 'v0' to 'v{last}'; at least one must have one. "
    + FILLED,
    "null.duckdb": f"none of the 60 rows has a vector; at least one must have one. {FILLED}",
    "list-null.duckdb": f"none of the 60 rows has a vector; at least one must have one. {FILLED}",
}
FIRST = {
    "null.npy": "60 of 60 rows hold NaN or infinity; the first is row 0. None of the rows can be used.",
    "null.jsonl": "60 of 60 lines cannot be used",
}
ONLY_VECTORS = (".npy", ".fvecs", ".faiss")


def make(path: Path, d: int, *, filled: int = 0) -> str:
    """Make an input of a name and return its address; of rows without a vector, the first may have one."""
    count = ROWS if path.stem.endswith("null") else 0
    vectors: list[Any] = [[1.0] * d if row < filled else None for row in range(count)]
    table = pa.table(
        {
            "id": pa.array(range(count), pa.int64()),
            "text": pa.array([f"text {row}" for row in range(count)], pa.string()),
            "vector": pa.array(vectors, pa.list_(pa.float32(), d)),
        }
    )
    if path.suffix == ".fvecs":
        path.write_bytes(b"")
    elif path.suffix == ".faiss":
        faiss = pytest.importorskip("faiss", reason="the extra faiss is not installed")
        faiss.write_index(faiss.IndexFlatIP(d), str(path))
        return f"faiss://{path}"
    elif path.suffix == ".csv":
        names = ["vector"] if not path.stem.startswith("wide") else [f"v{i}" for i in range(d)]
        rows = [",".join([str(i), f"text {i}", *["", "NaN"][i % 2 : i % 2 + 1] * len(names)]) for i in range(count)]
        path.write_text("".join(f"{line}\n" for line in [",".join(["id", "text", *names]), *rows]))
    elif path.suffix == ".npy":
        np.save(path, np.array([[np.nan] * d if row is None else row for row in vectors], np.float32).reshape(count, d))
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        duckdb = pytest.importorskip("duckdb")
        width = "" if "list" in path.stem else d
        with duckdb.connect(str(path)) as connection:
            connection.execute(f"create table t (id bigint primary key, text varchar, vector float[{width}])")
            connection.register("rows", table)
            connection.execute("insert into t select * from rows")
        return f"duckdb://{path}#t.vector"
    return str(path)


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    program = tmp_path / "encode.py"
    program.write_text(PROGRAM)
    return f"command:{shlex.join([sys.executable, str(program)])}"


@pytest.fixture
def refused(run: Run, folder: Path) -> Callable[..., None]:
    def check(message: str, *words: object) -> None:
        before = sorted(folder.rglob("*"))
        ran = run(*words)
        assert ran.code == 2, f"{words}\n{ran.out}{ran.err}"
        assert message in " ".join(ran.err.split()), f"{words}\n{ran.err}"
        assert "--skip-bad" not in ran.err, f"{words}\n{ran.err}"  # it would leave out every row
        assert sorted(folder.rglob("*")) == before

    return check


@pytest.mark.parametrize("name", [*EMPTY, *NULL])
def test_every_command_says_what_is_missing_in_its_source(
    name: str, folder: Path, saved: Path, encoder: str, refused: Callable[..., None], run: Run
) -> None:
    message = (EMPTY | NULL)[name].format(d=D_SOURCE, last=D_SOURCE - 1)
    first = FIRST.get(name, message)
    source, target = make(folder / name, D_SOURCE), folder / "target.npy"
    out, journal = folder / "out.parquet", folder / "journal"
    refused("usable vectors among the rows" if name == "null.npy" else message, "plan", source)
    refused(message, "identify", source)
    refused(first, "fit", source, target, "--out", out)
    refused(message, "fit", source, target, "--out", out, "--skip-bad")
    refused(first, "search", saved, source, "--query", target)
    refused(first, "migrate", saved, source, out, "--dry-run")
    refused(first, "migrate", saved, source, out, "--journal", journal)
    refused(message, "migrate", saved, source, out, "--skip-bad", "--journal", journal)
    if not name.endswith((".duckdb", ".faiss")):
        refused(first, "translate", saved, source, "--out", out)
    if not name.endswith(ONLY_VECTORS):  # a file of numbers holds no texts
        refused(message, "embed", source, out, "--encoder", encoder, "--dry-run")
        refused(message, "embed", source, out, "--encoder", encoder, "--journal", journal)


@pytest.mark.parametrize("name", [*EMPTY, *NULL])
def test_every_command_says_what_is_missing_in_its_other_side(
    name: str, folder: Path, saved: Path, refused: Callable[..., None]
) -> None:
    message = (EMPTY | NULL)[name].format(d=D_TARGET, last=D_TARGET - 1)
    first = FIRST.get(name, message)
    source, target = folder / "source.npy", make(folder / name, D_TARGET)
    np.save(folder / "few.npy", np.load(source)[:ROWS])
    refused(message, "plan", source, target)
    refused(message if name in EMPTY else first, "fit", source, target, "--out", folder / "out")
    refused(message, "fit", source, target, "--out", folder / "out", "--skip-bad")
    refused(first, "evaluate", saved, folder / "few.npy", target)
    refused(first, "calibrate", saved, source, target, "--out", folder / "out")
    refused(first, "search", saved, source, target, "--query", folder / "target.npy")
    if not name.endswith((".duckdb", ".faiss")):
        refused(first, "search", saved, source, "--query", target)


def test_a_plan_refuses_a_target_without_a_usable_vector(folder: Path) -> None:
    np.save(folder / "zeros.npy", np.zeros((ROWS, D_TARGET), np.float32))
    needed = "zeros.npy: none of the 60 drawn rows has a usable vector; TARGET needs vectors of the new model"
    with pytest.raises(InputError, match=needed):
        il.plan(str(folder / "source.npy"), str(folder / "zeros.npy"))


@pytest.mark.parametrize("name", ["null.npy", "null.jsonl", "null.parquet", "null.duckdb"])
def test_one_usable_vector_is_too_few_and_the_rows_left_out_are_counted(
    name: str, folder: Path, saved: Path, refused: Callable[..., None]
) -> None:
    source = make(folder / name, D_SOURCE, filled=1)
    few = "has 1 usable vector among the rows that were read; at least 50 rows with one are needed. Left out: 59 rows "
    place = f"{name}#t.vector" if name.endswith("duckdb") else name
    for command in ("identify", "plan"):
        refused(f"{place} {few}without a usable vector. Name a column", command, source)
    target = make(folder / f"target-{name}", D_TARGET, filled=ROWS)
    counted = "id of" if name.endswith("duckdb") else "have 1 pair of rows that can be compared; at least 2 are needed."
    refused(counted, "evaluate", saved, source, target, "--skip-bad")
    refused("Left out", "evaluate", saved, source, target, "--skip-bad")
    refused(name, "evaluate", saved, source, target, "--skip-bad")
    refused(
        f"source ({source}) has 1 row; without pairs",
        "fit",
        source,
        folder / "target.npy",
        "--out",
        "out",
        "--skip-bad",
    )


@pytest.mark.parametrize("usable", [None, 1_500])
def test_skip_bad_is_advised_if_a_row_is_left(
    usable: int | None, folder: Path, saved: Path, refused: Callable[..., None], run: Run
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    vectors = np.zeros((2_000, D_SOURCE), np.float32)
    vectors[usable or 2_000 :] = 1
    np.save(folder / "zeros.npy", vectors)
    with duckdb.connect(str(folder / "zeros.duckdb")) as connection:
        table = pa.table({"id": range(2_000), "v": pa.array(vectors.tolist(), pa.list_(pa.float32(), D_SOURCE))})
        connection.register("rows", table)
        connection.execute(f"create table t as select id, v::float[{D_SOURCE}] as v from rows")
    for source in (str(folder / "zeros.npy"), f"duckdb://{folder}/zeros.duckdb#t.v"):
        words = ("migrate", saved, source, folder / "out.parquet", "--dry-run")
        if usable is None:
            refused("", *words)
            refused("all would be left out" if "duckdb" in source else "none of", *words, "--skip-bad")
        else:
            ran = run(*words)
            assert ran.code == 2
            assert "Such rows can be left out with --skip-bad." in " ".join(ran.err.split())
            assert run(*words, "--skip-bad", "--allow-foreign").code == 0


@pytest.mark.parametrize(("value", "empty"), [("", ""), ("[0.5, 2.5]", ""), ("", "NaN")])
def test_vectors_that_begin_late_in_a_csv_are_found(value: str, empty: str, tmp_path: Path) -> None:
    names, cells = (["vector"], [f'"{value}"']) if value else (["v0", "v1"], ["0.5", "2.5"])
    gap = ",".join(["x" * 200, *[empty] * len(names)])
    lines = [",".join(["text", *names]), *[gap] * 25_000, ",".join(["end", *cells])]
    (tmp_path / "late.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="row 0"):
        open_vectors(tmp_path / "late.csv").vectors()
    found = open_vectors(tmp_path / "late.csv", skip_bad=True)
    assert (found.n, found.d) == (25_001, 2)
    np.testing.assert_array_equal(list(found.batches(1, start=25_000))[0].vectors, [[0.5, 2.5]])


def test_a_requested_column_of_a_csv_without_a_value(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,v,e0,e1\n1,,,\n2,,,NaN\n")
    with pytest.raises(InputError, match="none of the 2 rows has a vector in column 'v'; at least one must"):
        open_vectors(tmp_path / "x.csv", column="v")
    with pytest.raises(
        InputError, match="none of the 2 rows has a vector in the columns 'e0' to 'e1'; at least one must"
    ):
        open_vectors(tmp_path / "x.csv", column="e0")
    (tmp_path / "x.csv").write_text("id,text\n1,\n2,\n")
    with pytest.raises(InputError, match=r"x\.csv: no column holds vectors"):
        open_vectors(tmp_path / "x.csv")


def test_more_rows_can_be_read_where_a_sample_has_too_few_vectors(folder: Path, refused: Callable[..., None]) -> None:
    vectors = np.full((2_000, D_SOURCE), np.nan, np.float32)
    vectors[:60] = 1 + np.random.default_rng(0).standard_normal((60, D_SOURCE))
    np.save(folder / "thin.npy", vectors)
    refused("Read more rows with --rows, name a column or file", "identify", folder / "thin.npy", "--rows", 100)


@pytest.mark.parametrize("name", ["null.jsonl", "null.parquet", "null.duckdb"])
def test_one_row_with_any_vector_is_enough_to_embed_the_texts(
    name: str, tmp_path: Path, encoder: str, run: Run
) -> None:
    source = make(tmp_path / name, D_SOURCE, filled=1)
    ran = run("embed", source, tmp_path / "out.parquet", "--encoder", encoder, "--journal", tmp_path / "journal")
    assert ran.code == 0, ran.err
    assert open_vectors(tmp_path / "out.parquet").n == ROWS


@pytest.mark.parametrize("name", ["null.parquet", "null.csv", "wide-null.csv", "null.duckdb", "list-null.duckdb"])
def test_a_single_row_without_a_vector_is_not_counted(
    name: str, folder: Path, refused: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROWS", 1)
    place = "" if name.endswith("duckdb") else " in the columns" if name.startswith("wide") else " in column 'vector'"
    refused(f"the only row has no vector{place}", "identify", make(folder / name, D_SOURCE))


def test_a_single_row_that_cannot_be_used_is_not_counted(
    folder: Path, saved: Path, refused: Callable[..., None]
) -> None:
    np.save(folder / "one.npy", np.zeros((1, D_SOURCE), np.float32))
    np.save(folder / "new.npy", np.zeros((1, D_TARGET), np.float32))
    for command in ("identify", "plan"):
        few = "one.npy: the only drawn row has no usable vector" if command == "identify" else "has 0 usable vectors"
        refused(few, command, folder / "one.npy")
    refused(
        "new.npy: the only drawn row has no usable vector; TARGET", "plan", folder / "source.npy", folder / "new.npy"
    )
    unusable = "the only row has no vector that can be used. Name a column"
    refused(f"one.npy: {unusable}", "fit", folder / "one.npy", folder / "new.npy", "--out", "out", "--skip-bad")
    refused(f"one.npy: {unusable}", "evaluate", saved, folder / "one.npy", folder / "new.npy", "--skip-bad")
    refused(
        "the only vector cannot be translated", "migrate", saved, folder / "one.npy", folder / "o.npy", "--skip-bad"
    )
    with pytest.raises(InputError, match="source: the only row has no vector that can be used. Give vectors"):
        UsableInputs.of(np.zeros((1, 3)), np.ones((2, 3)))


@pytest.mark.parametrize(
    ("count", "expected"), [(1, "the only id was lost"), (2_000, "none of the 2,000 ids is there")]
)
def test_one_row_is_put_into_words_without_a_number(count: int, expected: str) -> None:
    assert none_of(count, "id", "is there", "was lost") == expected


def test_a_side_with_too_few_rows_is_named_by_its_file(folder: Path, saved: Path, refused: Callable[..., None]) -> None:
    few = {"source": (folder / "few-source.npy", D_SOURCE), "target": (folder / "few-target.npy", D_TARGET)}
    for path, width in few.values():
        np.save(path, 1 + np.random.default_rng(0).standard_normal((60, width)).astype(np.float32))
    both = [path for path, _ in few.values()]
    for side, (path, _) in few.items():
        sides = [path if side == other else folder / f"{other}.npy" for other in few]
        refused(f"{side} ({path}) has 60 rows; without pairs at least 100", "fit", *sides, "--out", folder / "out")
        others = [folder / "target.npy", "--target", both[1]] if side == "target" else [folder / "target.npy"]
        refused(
            f"({path}) has 60 rows; without" if side == "source" else "few-target",
            "fit",
            sides[0],
            *others,
            "--out",
            "o",
        )
    calibrated = f"source ({both[0]}) and target ({both[1]}) have 60 and 60 rows; at least 200"
    refused(calibrated, "calibrate", saved, *both, "--out", folder / "out", "--allow-foreign")
    for path, width in few.values():
        np.save(path, np.ones((1, width), np.float32))
    refused(f"{both[0]} and {both[1]} have 1 pair of rows", "evaluate", saved, *both)


def test_a_side_with_too_few_rows_is_named_by_its_address(folder: Path, refused: Callable[..., None]) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    values = ", ".join(["(random() - 0.5)::float"] * D_SOURCE)
    with duckdb.connect(str(folder / "few.duckdb")) as connection:
        connection.execute(
            f"create table t as select i as id, [{values}]::float[{D_SOURCE}] as v from range({ROWS}) r(i)"
        )
    source = f"duckdb://{folder}/few.duckdb#t.v"
    refused(f"source ({source}) has 60 rows; without", "fit", source, folder / "target.npy", "--out", folder / "out")


ROWS_OF_SIDES = {"few": 60, "some": 150, "narrow": 300, "flat": 300, "copies": 300, "wide": 300}


def make_side(path: Path, kind: str, width: int) -> Path:
    """Write rows of a side that a fit refuses: too few, too narrow, in one plane, copies, or of another model."""
    width = {"narrow": 4, "wide": width + 1}.get(kind, width)
    rows = 1 + np.random.default_rng(0).standard_normal((ROWS_OF_SIDES[kind], width)).astype(np.float32)
    if kind == "flat":
        rows[:, 3:] = 1  # a fit counts the mean as a direction too
    elif kind == "copies":
        rows = np.concatenate([rows[:60]] * 5)
    np.save(path, rows)
    return path


LINEAR = "without pairs at least"
REFUSED_SIDES = {
    "few rows": ("few", [], f"{{side}} ({{path}}) has 60 rows; {LINEAR} 100 are needed"),
    "few columns": ("narrow", [], f"{{side}} ({{path}}) has 4 columns; {LINEAR} 8 are needed"),
    "few directions": ("flat", [], f"{{side}} ({{path}}) varies in only 4 directions; {LINEAR} 8 are needed"),
    "copies": ("copies", [], f"Without copies of other rows, {{side}} ({{path}}) has 60 rows; {LINEAR} 100"),
    "clusters": (
        "few",
        ["--method", "mini-vec2vec", "--set", "clusters=80"],
        "{side} ({path}) has 60 rows; mini-vec2vec needs at least 80, one for each cluster",
    ),
    "a batch": ("some", ["--method", "adversarial"], "{side} ({path}) has 150 rows; a batch takes 256."),
    "neural": ("few", ["--method", "adversarial"], f"{{side}} ({{path}}) has 60 rows; {LINEAR} 100"),
}


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("name", REFUSED_SIDES)
def test_a_fit_that_refuses_a_side_names_its_file(
    name: str, side: str, folder: Path, refused: Callable[..., None]
) -> None:
    kind, options, message = REFUSED_SIDES[name]
    if "adversarial" in options:
        pytest.importorskip("torch")
    path = make_side(folder / f"{kind}.npy", kind, D_SOURCE if side == "source" else D_TARGET)
    sides = [path, folder / "target.npy"] if side == "source" else [folder / "source.npy", path]
    refused(message.format(side=side, path=path), "fit", *sides, *options, "--out", folder / "out")


@pytest.mark.parametrize("name", ["few rows", "few columns", "few directions"])
@pytest.mark.parametrize("file", ["rows.npy", "source.target.npy", "columns.npy"])
def test_a_source_that_is_refused_keeps_its_name_beside_candidates_of_any_name(
    name: str, file: str, folder: Path, refused: Callable[..., None]
) -> None:
    kind, _, message = REFUSED_SIDES[name]
    (folder / "target.npy").rename(folder / file)
    np.save(folder / "other.npy", np.load(folder / file) + 0.5)
    path = make_side(folder / "x.npy", kind, D_SOURCE)
    sides = [path, folder / file, "--target", folder / "other.npy"]
    refused(message.format(side="source", path=path), "fit", *sides, "--out", folder / "out")
    path = make_side(folder / file, kind, D_TARGET)
    stem = file.removesuffix(".npy")
    expected = message.format(side=stem, path=path)
    if kind == "flat":  # what the fit of a candidate says, which calls it target
        expected = f"Candidate target '{stem}': target varies in only 4 directions; {LINEAR} 8 are needed"
    elif kind == "narrow":  # two candidates must have one width
        return
    refused(expected, "fit", folder / "source.npy", *sides[1:], "--out", folder / "out")


@pytest.mark.parametrize("command", ["evaluate", "calibrate"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_side_of_another_width_is_not_called_the_side_of_the_translator(
    command: str, side: str, folder: Path, saved: Path, refused: Callable[..., None]
) -> None:
    width = D_SOURCE if side == "source" else D_TARGET
    path = make_side(folder / "x.npy", "wide", width)
    sides = [path, folder / "target.npy"] if side == "source" else [folder / "source.npy", path]
    out = ["--out", folder / "out"] if command == "calibrate" else []
    refused(f"{path} has width {width + 1}; this translator's {side} has {width}.", command, saved, *sides, *out)


@pytest.mark.parametrize("paired", [[], ["--paired"]])
def test_a_calibration_that_refuses_its_sides_names_both_files(
    paired: list[str], folder: Path, saved: Path, refused: Callable[..., None]
) -> None:
    sides = [make_side(folder / f"{width}.npy", "few", width) for width in (D_SOURCE, D_TARGET)]
    needed = f"source ({sides[0]}) and target ({sides[1]}) have 60 and 60 rows; at least 200 different ones"
    refused(needed, "calibrate", saved, *sides, *paired, "--out", folder / "out", "--allow-foreign")


@pytest.mark.parametrize("tables", [("source", "target"), ("target", "source")])
def test_tables_that_are_called_like_the_sides_keep_their_names(
    tables: tuple[str, str], folder: Path, saved: Path, refused: Callable[..., None]
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    addresses = [f"duckdb://{folder}/t.duckdb#{table}.v" for table in tables]
    with duckdb.connect(str(folder / "t.duckdb")) as connection:
        for table, width in zip(tables, (D_SOURCE, D_TARGET + 1), strict=True):
            values = ", ".join(["(random() - 0.5)::float"] * width)
            rows = f"select i as id, [{values}]::float[{width}] as v from range({ROWS}) r(i)"
            connection.execute(f"create table {table} as {rows}")
    wide = f"{addresses[1]} has width {D_TARGET + 1}; this translator's target has {D_TARGET}."
    refused(wide, "evaluate", saved, *addresses)
    refused(f"source ({addresses[0]}) has 60 rows; {LINEAR} 100", "fit", *addresses, "--out", folder / "out")


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("name", ["few rows", "few columns", "few directions", "copies"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_migration_whose_fit_refuses_a_side_names_its_store(
    name: str, side: str, dry: list[str], folder: Path, refused: Callable[..., None]
) -> None:
    kind, _, message = REFUSED_SIDES[name]
    path = make_side(folder / "x.npy", kind, D_SOURCE if side == "source" else D_TARGET)
    sides = [path, folder / "target.npy"] if side == "source" else [folder / "source.npy", path]
    words = ["migrate", folder / "new", sides[0], folder / "out.npy", "--fit", sides[1], *dry]
    refused(message.format(side=side, path=path), *words)


@pytest.mark.parametrize("rows", [1, 60])
def test_a_source_without_a_text_is_refused_by_its_column(
    rows: int, folder: Path, encoder: str, refused: Callable[..., None]
) -> None:
    table = {"id": list(range(rows)), "text": [" "] * rows, "vector": [[1.0, 2.0]] * rows}
    pq.write_table(pa.table(table), folder / "old.parquet")
    found = "the only row has no text in 'text'" if rows == 1 else "none of the 60 rows has a text in 'text'"
    words = ["embed", folder / "old.parquet", folder / "new.parquet", "--encoder", encoder]
    advice = "" if rows == 1 else "; all would be left out"
    for dry in ([], ["--dry-run"]):
        message = f"old.parquet: {found}{advice}. Name the column of the texts with --text-column"
        refused(message, *words, "--skip-bad", "--journal", folder / "j", *dry)


def test_files_of_which_no_row_can_be_used_in_both_are_named(
    folder: Path, saved: Path, refused: Callable[..., None]
) -> None:
    for name, width, bad in (("a.npy", D_SOURCE, slice(0, 30)), ("b.npy", D_TARGET, slice(30, 60))):
        rows = np.random.default_rng(0).standard_normal((60, width)).astype(np.float32)
        rows[bad] = 0
        np.save(folder / name, rows)
    both = f"No row has a vector that can be used in both {folder / 'a.npy'} and {folder / 'b.npy'}; all would be"
    refused(both, "evaluate", saved, folder / "a.npy", folder / "b.npy", "--skip-bad")


def test_one_row_is_not_called_rows(folder: Path, saved: Path, refused: Callable[..., None]) -> None:
    one = folder / "one.npy"
    np.save(one, np.ones((1, D_SOURCE), np.float32))
    refused(f"{one} has 1 row and {folder / 'target.npy'} ", "evaluate", saved, one, folder / "target.npy")
