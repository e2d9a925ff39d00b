from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from command_line import Run
from interlingua.bench import PAPER, TABLES, Plan, Vectors, comma_separated, page, picture, run
from interlingua.bench.encode import DATASETS, MODELS, VectorBuilder, hub_texts
from interlingua.bench.paper import cell, span
from interlingua.core.errors import InputError, MissingExtraError
from interlingua.evaluation import evaluate

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
TOPICS = 6


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two corpora under three encoders, which are rotations of one latent; texts and topics follow from it."""
    frames = {name: np.linalg.qr(rng.standard_normal((16, 16)))[0] for name in ("red", "green", "blue")}
    topics = rng.standard_normal((TOPICS, 16))
    stories = topics[np.arange(40) % TOPICS] + rng.standard_normal((40, 16))
    path = tmp_path / "vectors"
    path.mkdir()
    for corpus, n in (("news", 900), ("mail", 120)):
        story = rng.integers(40, size=n)
        latent = stories[story] + 0.2 * rng.standard_normal((n, 16))
        lines = [{"text": f"{WORDS[s % 8]}{'abcde'[s // 8]} and more", "label": [f"topic_{s % TOPICS}"]} for s in story]
        (path / f"{corpus}.texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for name, frame in frames.items():
            np.save(path / f"{corpus}.{name}.npy", (latent @ frame).astype(np.float16))
            np.save(path / f"{corpus}.labels.{name}.npy", (topics @ frame)[None].astype(np.float32))
    return path


def plan(folder: Path, table: str, **changes: Any) -> Plan:
    """A plan of fits that do nothing but rotate at random: what is tested here is the protocol."""
    given = {"encoders": ("red", "green"), "seeds": (0, 1), "pool": 100, "method": "random-rotation", **changes}
    return Plan(table, Vectors(folder), folder.parent / "out", "news", **given)


def test_the_tables_of_the_paper_are_complete() -> None:
    assert set(PAPER) == set(TABLES)
    assert len(PAPER["in-distribution"]["pairs"]) == len(PAPER["attributes"]["pairs"]) == 20
    assert cell("in-distribution", "gtr -> gte", "nq") == {"cosine": 0.87, "top1": 0.93, "mean_rank": 2.31}
    assert cell("attributes", "gra -> gtr", "tweets") is None
    assert cell("attributes", "granite -> gtr", "mimic") == {"top": 0.19}
    assert span("in-distribution", "nq", "top1") == (0.82, 1.0)
    for table in PAPER.values():
        for pair in table["pairs"]:
            assert pair == "best pair" or set(pair.split(" -> ")) <= set(MODELS)


def test_every_pair_is_measured_both_ways_and_a_second_run_adds_nothing(folder: Path) -> None:
    asked = plan(folder, "in-distribution", encoders=("red", "green", "blue"))
    seen: list[str] = []
    records = run(asked, on_case=lambda case: seen.append(case.key))
    assert len(seen) == len(set(seen)) == 3 * 2
    assert {record["pair"] for record in records} == {
        f"{a} -> {b}" for a in ("red", "green", "blue") for b in ("red", "green", "blue") if a != b
    }
    assert run(asked, on_case=lambda case: pytest.fail("measured twice")) == records
    assert run(plan(folder, "in-distribution")) == [
        record for record in records if set(record["pair"].split(" -> ")) == {"red", "green"}
    ]


def test_texts_of_the_fit_are_never_those_it_is_measured_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import interlingua

    fits: list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] = []
    align = interlingua.align

    def spy(x: Any, y: Any, **settings: Any) -> Any:
        fits.append((x, y))
        return align(x, y, **settings)

    scored: list[Any] = []

    def look(translator: Any, x: Any, y: Any, **settings: Any) -> Any:
        scored.append(x)
        return evaluate(translator, x, y, **settings)

    monkeypatch.setattr(interlingua, "align", spy)
    monkeypatch.setattr("interlingua.bench.runs.evaluate", look)
    run(plan(folder, "in-distribution", seeds=(0,)))
    rows = {name: np.load(folder / f"news.{name}.npy").astype(np.float32) for name in ("red", "green")}

    def texts(part: Any, name: str) -> set[int]:
        at = {row.tobytes(): i for i, row in enumerate(rows[name])}
        return {at[row.tobytes()] for row in part}

    (x, y), held = fits[0], texts(scored[0], "red")
    sides = texts(x, "red"), texts(y, "green")
    assert not sides[0] & sides[1]
    assert not held & (sides[0] | sides[1])
    assert len(held) == 300


def test_tables_share_fits(folder: Path) -> None:
    run(plan(folder, "in-distribution"))
    before = sorted((folder.parent / "out" / "fits").iterdir())
    run(plan(folder, "out-of-distribution", on=("mail",)))
    run(plan(folder, "seeds"))
    assert sorted((folder.parent / "out" / "fits").iterdir()) == before


def test_changed_vectors_are_fitted_and_measured_again(folder: Path) -> None:
    before = run(plan(folder, "in-distribution"))
    rows = np.load(folder / "news.red.npy")
    np.save(folder / "news.red.npy", np.roll(rows, 1, axis=0))
    after = run(plan(folder, "in-distribution"))
    assert len(after) == len(before)
    assert {record["key"] for record in after}.isdisjoint(record["key"] for record in before)
    assert len(list((folder.parent / "out" / "fits").iterdir())) == 4
    np.save(folder / "news.red.npy", rows)
    assert run(plan(folder, "in-distribution"), lambda case: pytest.fail("measured again")) == before


def test_changed_labels_are_measured_again_with_the_same_fits(folder: Path) -> None:
    before = run(plan(folder, "attributes", on=("mail",)))
    fits = sorted((folder.parent / "out" / "fits").iterdir())
    for name in ("red", "green"):
        path = folder / f"mail.labels.{name}.npy"
        np.save(path, np.roll(np.load(path), 1, axis=1))
    after = run(plan(folder, "attributes", on=("mail",)))
    assert {record["key"] for record in after}.isdisjoint(record["key"] for record in before)
    assert sorted((folder.parent / "out" / "fits").iterdir()) == fits


def test_records_include_the_oracle_and_the_naive_map(folder: Path) -> None:
    pytest.importorskip("ot")
    (there, _) = run(plan(folder, "in-distribution", seeds=(0,), oracle_rows=60))
    assert there["figures"]["oracle_top1"] == 1.0  # a rotation keeps all distances
    assert there["figures"]["naive_top1"] < 0.1
    assert there["verdict"] == "failed"
    assert "| red -> green | news | 1 | 1 failed |" in page("in-distribution", [there])


def test_fewer_rows_of_the_source_only(folder: Path) -> None:
    records = run(plan(folder, "data-efficiency", seeds=(0,), rows=(100, 200)))
    assert [record["rows"] for record in records[::2]] == [[100, 300], [200, 300]]
    assert [record["column"] for record in records[::2]] == ["100", "200"]


def test_labels_of_another_corpus(folder: Path) -> None:
    true = plan(folder, "attributes", seeds=(0,), on=("mail",))
    (there, back) = run(true)
    for record in (there, back):
        assert record["figures"]["ideal"] > 0.6 > record["figures"]["top"]
        assert set(record["figures"]) == {"top", "majority", "shuffled", "naive", "ideal"}


def test_words_of_held_out_texts_and_of_another_corpus(folder: Path) -> None:
    records = run(plan(folder, "inversion", seeds=(0,), on=("news", "mail")))
    assert [record["column"] for record in records] == ["news", "news", "mail", "mail"]
    for record in records:
        assert record["figures"]["ideal"] > record["figures"]["leak_rate"]


def test_the_share_of_seeds_that_converge(folder: Path) -> None:
    made = run(plan(folder, "seeds"))
    assert {record["figures"]["right"] for record in made} == {0.0}
    good = [record | {"figures": record["figures"] | {"right": float(i % 2)}} for i, record in enumerate(made)]
    assert "0.500" in page("seeds", [record | {"pair": "red -> green"} for record in good])


def test_the_table_shows_the_figures_of_the_paper_for_its_own_pairs() -> None:
    figures = {"cosine": 0.5, "top1": 0.25, "mean_rank": 12.0}
    record = {**RECORD, "verdict": "doubtful", "figures": figures}
    shown = page("in-distribution", [record, record | {"figures": figures | {"top1": 0.75}, "verdict": "aligned"}])
    assert "| gtr -> gte | nq | 2 | 1 aligned, 1 doubtful | 0.500 | 0.500 | 0.250 | 12.00 |  |  |" in shown
    assert "| 0.870 | 0.930 | 2.31 |" in shown
    assert "Pairs of the paper on nq: cosine 0.740 to 0.920, top-1 0.820 to 1.000, mean rank 1.00 to 5.19." in shown


def test_pairs_without_figures_of_the_paper_show_its_range() -> None:
    record = {"pair": "use -> minilm", "corpus": "debian", "seed": 0, "verdict": "aligned", "figures": {"top": 0.25}}
    shown = page("attributes", [record | {"column": name} for name in ("tweets", "notes", "news")])
    tweets, notes, news = (line.split("|")[-2].strip() for line in shown.splitlines() if line.startswith("| use"))
    assert tweets == "other pairs: 0.240 to 0.380"
    # Medical notes are compared with those of the paper, which are not freely available.
    assert notes == "other pairs: 0.090 to 0.900"
    assert news == "none"
    assert "Where the paper has no figure for a pair, its column shows the range over other pairs" in shown


@pytest.mark.parametrize(
    ("table", "column", "top1"), [("ablations", "full", "0.910"), ("data-efficiency", "10000", "0.010")]
)
def test_figures_of_the_only_pair_of_the_paper_are_marked(table: str, column: str, top1: str) -> None:
    record = {**RECORD, "column": column}
    assert f" | other pairs: {top1} | " in page(table, [record | {"pair": "use -> minilm"}])
    assert "shows the range over other pairs" in page(table, [record])
    own = page(table, [record | {"pair": "gte -> gtr"}])
    assert f" | {top1} | " in own
    assert "other pairs:" not in own


def test_inversion_shows_the_best_pair_of_the_paper() -> None:
    record = {
        "pair": "use -> minilm",
        "corpus": "debian",
        "seed": 0,
        "verdict": "aligned",
        "figures": {"leak_rate": 0.25},
    }
    shown = page("inversion", [record | {"column": name} for name in ("tweets", "notes", "enron")])
    cells = [line.split("|")[-2].strip() for line in shown.splitlines() if line.startswith("| use")]
    assert cells == ["0.670", "none", "0.800"]
    assert "shows the figure of its best pair in every line" in shown


def test_each_corpus_of_a_fit_has_its_own_line_and_mark() -> None:
    mail, news = ({**RECORD, "corpus": name, "column": "nq"} for name in ("mail", "nq"))
    shown = page("out-of-distribution", [mail, news])
    assert "| gtr -> gte | nq, fitted on mail | 1 |" in shown
    assert "| gtr -> gte | nq | 1 |" in shown
    assert "| gtr -> gte | nq | 2 |" in page("out-of-distribution", [news, news])
    pytest.importorskip("matplotlib")
    assert "nq, fitted on mail" in picture("out-of-distribution", [mail, news])


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        ("table-9", {}, "table is 'table-9'; choose from in-distribution"),
        (
            "seeds",
            {"encoders": ("red",)},
            "Only the encoder red was given; two are needed, and news has vectors under .*green.* too. Name at least "
            "two with encoders=NAME, or none for all of them",
        ),
        (
            "seeds",
            {"method": "procrustes"},
            "The method procrustes needs known pairs, and the fits of these tables have none. Choose a method without",
        ),
        (
            "seeds",
            {"encoders": ()},
            r"under no encoder in .*vectors, looked for as news\.ENCODER\.npy; .* the corpora there are: mail, news\. "
            r"Either put such files there, \[n, d\].* vectors=DIR .*corpus=NAME; or .*VectorBuilder, "
            r"or on the command line with `interlingua bench --encode`, where models=\.\.\. and files=\.\.\. add",
        ),
        ("clip", {}, "needs an encoder called clip; there are red, green"),
        ("attributes", {}, "needs other corpora than that of the fit.* Name them with on=CORPUS"),
        ("data-efficiency", {}, "needs the numbers of source rows.* Name them with rows=N"),
        ("seeds", {"rows": (1, 2)}, "takes one number of rows and got 2"),
        ("seeds", {"seeds": ()}, "No seed was given"),
        ("seeds", {"encoders": ("red", "../green")}, "'../green' names no corpus or encoder"),
    ],
)
def test_a_plan_without_a_cell_is_refused(folder: Path, table: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan(folder, table, **changes)


def test_missing_vectors_are_named(folder: Path) -> None:
    out = folder.parent / "out"
    wanted = (
        r"needs news\.black\.npy, news\.white\.npy in .*ENCODER\.npy holds vectors .* the same text.*\. Add them, "
        r"choose encoders and corpora that are there with encoders=NAME and on=CORPUS, or compute them with .*Builder"
    )
    with pytest.raises(InputError, match=wanted):
        run(plan(folder, "seeds", encoders=("red", "black", "white")))
    (folder / "mail.labels.red.npy").unlink()
    (folder / "mail.texts.jsonl").unlink()
    wanted = r"needs mail\.texts\.jsonl, mail\.labels\.red\.npy in .*texts\.jsonl has a line.*labels\.ENCODER\."
    with pytest.raises(InputError, match=wanted):
        run(plan(folder, "attributes", on=("mail",)))
    assert not out.exists()
    with pytest.raises(InputError, match=r"mail\.texts\.jsonl does not exist; .* or compute it with .*VectorBuilder"):
        Vectors(folder).texts("mail")


def test_encoders_with_other_numbers_of_rows_are_refused(folder: Path) -> None:
    """Their rows would be compared as if they were the same texts."""
    path = folder / "news.green.npy"
    np.save(path, np.load(path)[:-1])
    message = r"news\.red\.npy has 900 rows and news\.green\.npy has 899 rows in .*; row i must be the same text"
    with pytest.raises(InputError, match=message):
        run(plan(folder, "in-distribution"))
    assert list(run(plan(folder, "in-distribution", encoders=("red", "blue"))))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="and that folder does not exist"):
        Plan("seeds", Vectors(tmp_path / "none"), tmp_path / "out", "nq", ())


RECORD = {
    "pair": "gtr -> gte", "column": "nq", "corpus": "nq", "seed": 0, "verdict": "aligned",
    "figures": {"cosine": 0.5, "top1": 0.25, "mean_rank": 1234.5},
}  # fmt: skip


def test_the_table_is_csv_with_numbers_that_programs_read() -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated("in-distribution", [RECORD, {**RECORD, "seed": 1}]))))
    assert len(rows) == 1
    assert (rows[0]["pair"], rows[0]["seeds"], rows[0]["verdicts"]) == ("gtr -> gte", "2", "2 aligned")
    assert float(rows[0]["mean rank"]) == 1234.5
    assert float(rows[0]["paper: top-1"]) == 0.93
    other = comma_separated("in-distribution", [{**RECORD, "pair": "use -> minilm"}])
    (row,) = csv.DictReader(io.StringIO(other))
    assert row["paper: top-1"] == ""
    assert [float(row[f"paper, {end}: top-1"]) for end in ("lowest", "highest")] == [0.82, 1.0]


def test_the_picture_has_a_mark_for_every_seed_and_the_figure_of_the_paper() -> None:
    pytest.importorskip("matplotlib")
    text = picture("in-distribution", [RECORD, {**RECORD, "seed": 1, "verdict": "failed"}])
    assert text == picture("in-distribution", [RECORD, {**RECORD, "seed": 1, "verdict": "failed"}])
    for words in ("gtr -&gt; gte, nq", "aligned", "failed", "paper", "top1, every seed"):
        assert words in text, words
    assert "doubtful" not in text
    with pytest.raises(InputError, match="There are no records to draw"):
        picture("seeds", [])


def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Stand in for the two libraries that reach a hub; returns what they were asked."""
    asked: dict[str, Any] = {"models": [], "datasets": [], "lengths": []}

    class Model:
        max_seq_length = 512

        def __init__(self, name: str, **options: Any) -> None:
            asked["models"].append((name, options["revision"], options["trust_remote_code"]))
            if "absent" in name:
                raise OSError("no such model\nmore")

        def encode(self, texts: list[str], **options: Any) -> Any:
            asked["lengths"].append(self.max_seq_length)
            return np.array([[len(text), text.count("e"), 1.0] for text in texts])

    def load_dataset(name: str, config: str | None, *, split: str, streaming: bool) -> Any:
        asked["datasets"].append((name, config, split))
        if name == DATASETS["enron"].name:
            raise OSError("no network")
        if name == DATASETS["nq"].name:
            return iter([{"text": f"passage {i} {'e' * (i % 5)}"} for i in range(50)])
        return iter([{"text": f"tweet {i}", "label_name": ["Arts & Culture", f"topic_{i % 3}"]} for i in range(20)])

    modules = {
        "sentence_transformers": SimpleNamespace(SentenceTransformer=Model),
        "datasets": SimpleNamespace(load_dataset=load_dataset),
    }
    for user in ("interlingua.bench.encode", "interlingua.encoders"):
        monkeypatch.setattr(f"{user}.require", lambda module, extra: modules[module])
    return asked


def test_missing_files_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hub(monkeypatch)
    vectors = Vectors(tmp_path / "new")
    builder = VectorBuilder(vectors, {"mine": "a/model@abc"}, limit=30)
    for encoder in ("gtr", "mine"):
        builder.make("nq", encoder)
        builder.make("tweets", encoder, labels=True)
    assert asked["datasets"] == [
        ("jxm/nq_corpus_dpr", None, "train"),
        ("cardiffnlp/tweet_topic_multilingual", "en", "test"),
    ]
    assert {name for name in asked["models"]} == {(MODELS["gtr"], None, False), ("a/model", "abc", False)}
    assert set(asked["lengths"]) == {64}
    assert vectors.encoders("nq") == vectors.encoders("tweets") == ("gtr", "mine")
    assert vectors.rows("nq", "gtr").shape == (30, 3)
    assert np.allclose(np.linalg.norm(vectors.rows("nq", "gtr"), axis=1), 1, atol=1e-3)
    assert vectors.labels("tweets")[1] == ("Arts & Culture", "topic_1")
    assert vectors.label_rows("tweets", "mine").shape[1:] == (4, 3)
    count = len(asked["models"])
    builder.make("tweets", "mine", labels=True)
    assert len(asked["models"]) == count
    assert not list(vectors.path.glob(".tmp.*"))


def test_texts_of_the_user_s_with_and_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch)
    (tmp_path / "notes.jsonl").write_text(
        '{"text": "a note", "label": "heart"}\n{"text": "another", "label": ["lung"]}\n'
    )
    (tmp_path / "plain.txt").write_text("one\ntwo three\n")
    files = {"mimic": tmp_path / "notes.jsonl", "plain": tmp_path / "plain.txt"}
    builder = VectorBuilder(Vectors(tmp_path / "new"), files=files)
    builder.make("mimic", "gte", labels=True)
    builder.make("plain", "gte")
    assert builder.vectors.labels("mimic") == [("heart",), ("lung",)]
    assert builder.vectors.texts("plain") == ["one", "two three"]


@pytest.mark.parametrize(
    ("corpus", "encoder", "message"),
    [
        ("mimic", "gtr", r"There is no corpus 'mimic'; choose from nq.* under the name mimic with files=\.\.\."),
        ("nq", "bert", r"There is no encoder 'bert'; choose from gtr.* under the name bert with models=\.\.\."),
        ("nq", "absent", r"The encoder absent cannot be loaded \(no such model\)"),
        (
            "enron",
            "gtr",
            r"The corpus enron .* cannot be loaded \(no network\).* under the name enron with files=\.\.\.",
        ),
    ],
)
def test_unknown_encoders_and_corpora_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corpus: str, encoder: str, message: str
) -> None:
    hub(monkeypatch)
    with pytest.raises(InputError, match=message):
        VectorBuilder(Vectors(tmp_path), {"absent": "absent"}).make(corpus, encoder)
    assert not list(tmp_path.glob("*.npy*")) + list(tmp_path.glob(".tmp.*"))


def test_texts_of_the_hub_that_cannot_be_loaded_need_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch)
    with pytest.raises(InputError, match=r"enron .* cannot be loaded \(no network\)\. Give a file of texts instead"):
        hub_texts("enron", 3)


def test_without_the_extra_it_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'interlingua\[bench\]'"):
        VectorBuilder(Vectors(tmp_path)).make("nq", "gtr")


def test_the_command_prints_and_writes_the_table(run: Run, folder: Path) -> None:
    where = ("--vectors", folder, "--out", folder.parent / "out", "--corpus", "news", "--pool", 100)
    ran = run("bench", "in-distribution", *where, "--method", "random-rotation", "--seeds", "0:2", "--json")
    assert ran.code == 0, ran.err
    assert len(ran.json["records"]) == 3 * 2 * 2
    shown = (folder.parent / "out" / "in-distribution.md").read_text("utf-8")
    assert "| blue -> green | news | 2 | 2 failed |" in shown
    (rows,) = {tuple(record["rows"]) for record in ran.json["records"]}
    assert {record["pool"] for record in ran.json["records"]} == {100}
    assert all("pool" not in record["figures"] for record in ran.json["records"])
    protocol = f"Ours: method random-rotation, {rows[0]} rows per side, the match among 100 candidates."
    assert protocol in shown
    assert {Path(path).suffix for path in ran.json["files"].values()} == {".md", ".csv", ".svg"}
    assert all(Path(path).stat().st_size for path in ran.json["files"].values())
    again = run("bench", "in-distribution", *where, "--method", "random-rotation", "--seeds", "0:2")
    assert "Paper: Table 2" in again.out
    assert protocol in again.out
    markdown, csv, picture = (folder.parent / "out" / f"in-distribution.{suffix}" for suffix in ("md", "csv", "svg"))
    assert f"Wrote this table to {markdown}, {csv} and {picture}, and the record" in " ".join(again.err.split())
    assert "green -> red" in again.out
    assert "…" not in again.out  # a terminal of 80 columns crops no figure
    assert "naive top-1" in again.out
    assert "none" not in again.out  # the paper has nothing on this corpus, so that its columns are left out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seeds", "3"), "write FIRST:END"),
        (("--seeds", "2:2"), "write FIRST:END"),
        (("--seeds", "0:99999999999"), "write FIRST:END for up to 1,000 seeds"),
        (("--encode", "--model", "mine"), "write NAME=VALUE"),
        (("--encoder", "red", "--encoder", "black"), "needs news.black.npy in"),
        (("--encoder", "red", "--encoder", "black"), "are there with --encoder NAME and --on CORPUS, or compute them"),
        (("--encoder", "red"), "news has vectors under blue, green too. Name at least two with --encoder NAME"),
        (("--corpus", "mine"), "`interlingua bench --encode`, where --model and --text add encoders and texts"),
        (("--encode", "--encoder", "black"), "Define it under the name black with --model."),
        (("--encode", "--corpus", "mimic"), "Give a file of its texts under the name mimic with --text."),
    ],
)
def test_the_command_refuses(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str
) -> None:
    hub(monkeypatch)
    ran = run("bench", "seeds", "--vectors", folder, "--out", folder.parent / "out", "--corpus", "news", *options)
    assert ran.code == 2
    assert message in ran.err.replace("\n", " ")


@pytest.mark.slow
def test_ablations_train_the_paper_s_method_cold(folder: Path) -> None:
    pytest.importorskip("torch")
    settings = {"start": "cold", "steps": 20}
    records = run(plan(folder, "ablations", seeds=(0,), method="adversarial", settings=settings))
    assert [record["column"] for record in records[::2]] == ["full", "-vsp", "-cycle", "-latent", "-vsp -cycle"]
    assert len({record["figures"]["cosine"] for record in records[::2]}) == 5
