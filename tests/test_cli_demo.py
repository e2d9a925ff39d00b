from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

import interlingua
from command_line import D_SOURCE, Rows, Run
from interlingua.cli.demo_data import read_demo, read_packaged

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def demo_data(folder: Path, planted: tuple[Rows, Rows]) -> Path:
    data = folder / "data"
    data.mkdir()
    for side, rows in zip(("source", "target"), planted, strict=True):
        np.save(data / f"{side}.npy", rows[:400])
        np.save(data / f"eval-{side}.npy", rows[400:])
    (data / "CARD.json").write_text(
        json.dumps({"encoders": {"source": {"title": "Left"}, "target": {"title": "Right"}}})
    )
    sections = {"names": ["a", "b"], "source": [0] * 400, "target": [1] * 400, "eval": [0] * 200}
    (data / "sections.json").write_text(json.dumps(sections))
    return data


@pytest.fixture
def quick_align(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the demo's fit the pairs that it has to do without elsewhere, so that it takes no time."""
    pairs = np.stack([np.arange(400)] * 2, axis=1)
    monkeypatch.setattr(interlingua, "align", functools.partial(interlingua.align, pairs=pairs))


@pytest.mark.usefixtures("quick_align")
def test_demo_measures_before_and_after_and_writes_a_report(run: Run, demo_data: Path) -> None:
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 0, ran.err
    for way in ("forward", "backward"):
        assert ran.json["before"][way]["top1"] < 0.1
        assert ran.json["after"][way]["top1"] > 0.9
    assert ran.json["source"] == {"name": "Left", "rows": 400, "d": D_SOURCE}
    assert (demo_data.parent / "report.html").stat().st_size > 0


@pytest.mark.usefixtures("quick_align")
def test_demo_prints_verdict_and_table(run: Run, demo_data: Path) -> None:
    shown = run("demo", "--data", demo_data).out
    for part in ("400 rows of Left", "known pairs: none", "Verdict: ", "as they are", "translated", "report.html"):
        assert part in shown


@pytest.mark.usefixtures("quick_align")
def test_demo_shows_the_paired_ceiling_of_its_data_and_the_seconds(run: Run, demo_data: Path) -> None:
    card = json.loads((demo_data / "CARD.json").read_text())
    ceiling = {"what": "Procrustes on 50 pairs", "forward_top1": 0.9648, "backward_top1": 0.9785, "cosine": 0.6}
    (demo_data / "CARD.json").write_text(json.dumps({**card, "paired_ceiling": ceiling}))
    shown = run("demo", "--data", demo_data).out
    assert re.search(r"^ paired ceiling +source to target +0\.965 *$", shown, re.MULTILINE)
    assert re.search(r"^ paired ceiling +target to source +0\.979 *$", shown, re.MULTILINE)
    assert "Paired ceiling: Procrustes on 50 pairs." in shown
    page = (demo_data.parent / "report.html").read_text("utf-8")
    row = page[page.index("Top-1, paired ceiling") :].partition("</tr>")[0]
    for part in ("Procrustes on 50 pairs", "0.965", "0.979"):
        assert part in row
    assert re.search(r"^[\d.]+ s, of which [\d.]+ s for the alignment$", shown, re.MULTILINE)
    found = run("demo", "--data", demo_data, "--json").json["paired_ceiling"]
    assert found == {"what": ceiling["what"], "forward": {"top1": 0.9648}, "backward": {"top1": 0.9785}}


@pytest.mark.usefixtures("quick_align")
def test_demo_on_data_without_a_ceiling_shows_none(run: Run, demo_data: Path) -> None:
    assert "ceiling" not in run("demo", "--data", demo_data).out
    assert run("demo", "--data", demo_data, "--json").json["paired_ceiling"] is None


@pytest.mark.parametrize("value", ["high", 1.5, None])
def test_a_ceiling_that_is_no_score_is_refused_before_the_fit(
    run: Run, demo_data: Path, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlingua, "align", lambda *_, **__: pytest.fail("a fit was started"))
    ceiling = {"forward_top1": value, "backward_top1": 0.9}
    (demo_data / "CARD.json").write_text(json.dumps({"paired_ceiling": ceiling}))
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 2
    assert "forward_top1 in CARD.json is" in ran.json["error"]


def test_demo_names_the_missing_files(run: Run, demo_data: Path) -> None:
    (demo_data / "eval-target.npy").unlink()
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 2
    assert "lacks eval-target.npy" in ran.json["error"]


@pytest.mark.slow
def test_the_shipped_demo_succeeds_without_a_pair(run: Run, tmp_path: Path) -> None:
    if not (REPOSITORY / "demo" / "data" / "source.npy").is_file():
        pytest.skip("needs demo/data, which only a checkout has")
    ran = run("demo", "--data", REPOSITORY / "demo" / "data", "--report", tmp_path / "report.html", "--json")
    assert ran.code == 0
    assert ran.json["verdict"]["status"] == "aligned"
    assert ran.json["seconds"] < 300
    ceiling = json.loads((REPOSITORY / "demo" / "data" / "CARD.json").read_text("utf-8"))["paired_ceiling"]
    for way in ("forward", "backward"):
        assert ran.json["after"][way]["top1"] > 0.9 * ceiling[f"{way}_top1"]


@pytest.mark.parametrize("name", ["CARD.json", "sections.json", "eval-ids.json"])
def test_a_damaged_file_beside_the_vectors_is_named_before_the_fit(
    run: Run, demo_data: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlingua, "align", lambda *_, **__: pytest.fail("a fit was started"))
    (demo_data / name).write_text("{")
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 2
    assert f"{name} cannot be read as JSON" in ran.json["error"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("CARD.json", "[1]", r"CARD.json holds \[1\]; an object is needed. Restore it, or remove it"),
        ("sections.json", "5", "sections.json holds 5; an object is needed"),
        ("sections.json", '{"names": 5, "source": [0]}', "sections.json: indices into its names are needed"),
        ("sections.json", '{"names": ["a"], "source": [0]}', r"source is \['a'\]; a list of 400 texts is needed"),
        ("names.json", '{"target": 3}', "names.json: target is 3; a list of 400 texts is needed, one for each row"),
        ("names.json", '{"source": ["a", "b"]}', r"source is \['a', 'b'\]; a list of 400 texts is needed"),
        ("eval-ids.json", "5", "eval-ids.json: it is 5; a list of 200 texts is needed"),
        ("eval-ids.json", '{"a": 1}', "eval-ids.json: it is .*; a list of 200 texts is needed"),
        ("eval-ids.json", "[" * 100_000, "eval-ids.json cannot be read as JSON"),
    ],
)
def test_files_beside_the_vectors_of_another_shape_are_refused_before_the_fit(
    run: Run, demo_data: Path, name: str, content: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlingua, "align", lambda *_, **__: pytest.fail("a fit was started"))
    (demo_data / name).write_text(content)
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 2
    assert re.search(message, ran.json["error"])


@pytest.mark.parametrize("card", [{}, {"encoders": []}, {"encoders": {"source": "x"}}, {"encoders": {"source": {}}}])
def test_an_encoder_without_a_title_has_the_name_of_its_side(demo_data: Path, card: object) -> None:
    (demo_data / "CARD.json").write_text(json.dumps(card))
    assert read_demo(demo_data).encoder("source") == "source"


def test_sections_that_index_no_name_are_refused_before_the_fit(
    run: Run, demo_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlingua, "align", lambda *_, **__: pytest.fail("a fit was started"))
    (demo_data / "sections.json").write_text(json.dumps({"names": ["a"], "source": [0, 1]}))
    ran = run("demo", "--data", demo_data, "--json")
    assert ran.code == 2
    assert "sections.json: indices into its names are needed for every row" in ran.json["error"]


@pytest.fixture
def without_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and a package that is not inside a checkout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("interlingua.cli.demo_data.__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    return tmp_path


def test_the_package_contains_a_demo_of_unit_rows_with_names_and_sections(without_checkout: Path) -> None:
    data = read_demo(None)
    for rows, count in (
        (data.source, 4_000),
        (data.target, 4_000),
        (data.source_eval, 1_000),
        (data.target_eval, 1_000),
    ):
        assert rows.shape == (count, 128)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert data.names is not None
    assert data.sections is not None
    assert {side: len(names) for side, names in data.names.items()} == {"source": 4_000, "target": 4_000}
    assert {part: len(rows) for part, rows in data.sections.items()} == {
        "source": 4_000,
        "target": 4_000,
        "eval": 1_000,
    }
    assert len(set(data.eval_names or ())) == 1_000
    assert not set(data.names["source"]) & set(data.names["target"]), "both sides hold different packages"
    assert not {*data.names["source"], *data.names["target"]} & set(data.eval_names or ())
    assert (Path(interlingua.__file__).parent / "demo.npz").stat().st_size < 1.5e6


def test_a_checkout_shows_the_full_data(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (REPOSITORY / "demo" / "data" / "source.npy").is_file():
        pytest.skip("needs demo/data, which only a checkout has")
    monkeypatch.chdir(REPOSITORY)
    assert len(read_demo(None).source) > 4_000


def test_the_output_of_the_packaged_demo_says_which_data_it_is(
    run: Run, without_checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = read_packaged()
    few = [getattr(data, name)[:300] for name in ("source_eval", "target_eval")] * 2
    names = {"sections": None, "names": None, "eval_names": None}
    fields = dict(zip(("source", "target", "source_eval", "target_eval"), few, strict=True)) | names
    monkeypatch.setattr("interlingua.cli.demo.read_demo", lambda _: dataclasses.replace(data, **fields))
    pairs = np.stack([np.arange(300)] * 2, axis=1)
    monkeypatch.setattr(interlingua, "align", functools.partial(interlingua.align, pairs=pairs))
    shown = " ".join(run("demo").out.split())
    assert "The small data of the package: the 128 leading axes of the uncentered second moment, int8." in shown
    assert "Universal Sentence Encoder multilingual v3, 128 axes" in shown
    assert (without_checkout / "interlingua-demo.html").is_file()


@pytest.mark.slow
def test_the_packaged_demo_succeeds_without_a_pair(run: Run, without_checkout: Path) -> None:
    ran = run("demo", "--json")
    assert ran.code == 0
    assert ran.json["verdict"]["status"] == "aligned"
    for way in ("forward", "backward"):
        assert ran.json["after"][way]["top1"] > 0.8 * ran.json["paired_ceiling"][way]["top1"]


def test_the_small_data_is_what_its_script_makes_from_the_full_data(tmp_path: Path) -> None:
    script, full = REPOSITORY / "demo" / "make_small.py", REPOSITORY / "demo" / "data"
    if not (full / "source.npy").is_file():
        pytest.skip("needs demo/data, which only a checkout has")
    spec = importlib.util.spec_from_file_location("make_small", script)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    card = module.make(full, tmp_path / "demo.npz")
    made, shipped = np.load(tmp_path / "demo.npz"), np.load(Path(interlingua.__file__).parent / "demo.npz")
    assert set(made.files) == set(shipped.files)
    for name in ("names", "sections", "eval-ids"):
        assert made[name].tobytes() == shipped[name].tobytes()
    for name in ("source", "target", "eval-source", "eval-target"):
        # Another processor may round a value to the next one.
        assert np.abs(made[name].astype(int) - shipped[name].astype(int)).max() <= 1
    assert card["encoders"] == json.loads(shipped["card"].tobytes())["encoders"]
