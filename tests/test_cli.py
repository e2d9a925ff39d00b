from __future__ import annotations

import ast
import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import interlingua
from command_line import D_TARGET, N, Rows, Run, unit
from interlingua.aligners import METHODS
from interlingua.cli import app
from interlingua.cli.known_pairs import read_pairs
from interlingua.cli.tables import print_verdict
from interlingua.core.alignment import Evidence, Status, Verdict
from interlingua.core.errors import InputError, OutputExistsError
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.spaces import EmbeddingSpace
from interlingua.core.translator import Translator, load


def fit_arguments(folder: Path, *more: object) -> Sequence[object]:
    return ("fit", folder / "source.npy", folder / "target.npy", "--out", folder / "fitted", *more)


def test_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").out == "interlingua 0.1.0\n"


@pytest.mark.parametrize("command", [info.callback.__name__ for info in app.registered_commands if info.callback])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert f"Usage: interlingua {command}" in ran.out
    assert "--json" in ran.out or command == "serve"


def test_the_list_of_commands_describes_each_in_a_whole_sentence(run: Run) -> None:
    lines = run("--help").out.split("Commands:")[1].split("Start with")[0].strip().splitlines()
    assert len(lines) == len(app.registered_commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines), lines


def test_the_help_of_fit_names_every_method(run: Run) -> None:
    shown = re.sub(r"-\s+", "-", run("fit", "--help").out)  # lines end at hyphens too
    assert not [name for name in METHODS if name not in shown]


def test_the_installed_command_runs_without_loading_what_it_does_not_need() -> None:
    code = (
        "import sys; from interlingua.cli import main; main(['--version']);"
        "sys.stdout.write(' '.join(m for m in ('torch', 'sklearn', 'pyarrow', 'matplotlib') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["interlingua 0.1.0"]


def test_bad_usage_is_2_and_an_object_under_json(run: Run) -> None:
    for words, missing in (("fit --json", "--out"), ("fit --out x --json", "SOURCE"), ("translate --json", "DIR")):
        ran = run(*words.split())
        assert ran.code == 2
        assert missing in ran.json["error"]
    assert "Traceback" not in ran.err


def test_fit_with_pairs_writes_a_translator_that_translates(run: Run, folder: Path, planted: tuple[Rows, Rows]) -> None:
    log = folder / "log.jsonl"
    ran = run(*fit_arguments(folder, "--pairs", folder / "pairs.npy", "--log", log, "--json"))
    assert ran.code == 0, ran.err
    assert ran.json["status"] in {"aligned", "doubtful"}
    assert {"score", "reasons", "seconds", "method", "seed"} <= ran.json.keys()
    assert ran.json["written"] == {"translator": str(folder / "fitted")}
    translated = load(folder / "fitted").translate(planted[0])
    assert np.einsum("ij,ij->i", translated, planted[1]).mean() > 0.95
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert [event["event"] for event in events if event["event"] in ("read", "done")] == ["read", "done"]


def test_fit_prints_the_verdict_for_people(run: Run, folder: Path) -> None:
    ran = run(*fit_arguments(folder, "--pairs", folder / "pairs.npy"))
    assert ran.out.startswith("Verdict: ")
    assert f"Wrote {folder / 'fitted'}" in ran.err.replace("\n", "")


def test_fit_reports_how_many_rows_it_drew(run: Run, folder: Path) -> None:
    ran = run(*fit_arguments(folder, "--rows", 300, "--method", "identity", "--allow-failed", "--json"))
    assert ran.code == 0, ran.err
    assert ran.json["source"] == {"rows": 300, "of": N}
    assert "300 of 600 rows, drawn at random" in ran.err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_failed_fit_has_exit_code_1_and_writes_nothing_without_allow_failed(
    run: Run, folder: Path, rng: np.random.Generator, as_json: bool
) -> None:
    np.save(folder / "target.npy", unit(rng.standard_normal((N, D_TARGET))))
    arguments = fit_arguments(folder, "--method", "random-rotation", *(["--json"] if as_json else []))
    ran = run(*arguments)
    assert ran.code == 1
    assert not (folder / "fitted").exists()
    assert "Nothing was written" in ran.err
    assert "failed" in (ran.json["status"] if as_json else ran.out)
    assert run(*arguments, "--allow-failed").code == 0
    assert load(folder / "fitted").card["verdict"]["status"] == "failed"


def test_a_failed_fit_of_the_linear_method_offers_a_second_search(
    run: Run, folder: Path, rng: np.random.Generator
) -> None:
    np.save(folder / "source.npy", np.load(folder / "source.npy")[:150])
    np.save(folder / "target.npy", unit(rng.standard_normal((150, D_TARGET))))
    arguments = fit_arguments(folder, "--method", "linear", "--set", "rounds=1")
    fast = run(*arguments)
    assert fast.code == 1
    assert "A second search finds some maps that the fast one misses; add --budget 600." in fast.err
    both = run(*arguments, "--budget", 1)
    assert both.code == 1
    assert "--budget 600" not in both.err


def test_a_failed_fit_writes_its_report_and_no_translator(run: Run, folder: Path, rng: np.random.Generator) -> None:
    np.save(folder / "target.npy", unit(rng.standard_normal((N, D_TARGET))))
    report = folder / "failed.html"
    ran = run(*fit_arguments(folder, "--method", "random-rotation", "--report", report, "--json"))
    assert ran.code == 1
    assert ran.json["written"] == {"report": str(report)}
    assert "Failed" in report.read_text("utf-8")
    assert "No translator was written" in ran.err
    assert not (folder / "fitted").exists()


def test_every_reason_and_every_meaning_is_printed_once(run: Run, saved: Path) -> None:
    card = json.loads((saved / "card.json").read_text())
    measured = {"null": 0.1, "threshold": 0.5, "passed": True, "value": 0.9, "direction": "at_least"}
    card["verdict"]["reasons"] = ["Agreement is high. Refits agree."]
    card["verdict"]["evidence"] = [
        {"name": "refit_agreement", "meaning": "Refits agree.", **measured},
        {"name": "hubness", "meaning": "Hubs are few.", **measured, "value": 0.4, "direction": "at_most"},
    ]
    (saved / "card.json").write_text(json.dumps(card))
    shown = run("inspect", saved).out
    assert [shown.count(part) for part in ("Refits agree.", "Hubs are few.")] == [1, 1]
    assert [shown.count(part) for part in ("≥ 0.5", "≤ 0.5", "refit agreement")] == [1, 1, 1]
    assert [shown.count(part) for part in ("null: the value for unaligned spaces", "needed: the limit")] == [
        1,
        1,
    ]


@pytest.mark.parametrize("failing", [0, 2])
def test_a_fit_explains_what_did_not_pass_and_takes_one_screen(failing: int) -> None:
    names = ("transport_excess", "refit_agreement", "cycle", "self_retrieval", "start_agreement", "hubness")
    evidence = [
        Evidence(
            name, 0.4, 0.1, 0.5, i >= failing, f"What {name} means, in a sentence that takes more than a line here."
        )
        for i, name in enumerate(names)
    ]
    verdict = Verdict(Status("doubtful" if failing else "aligned"), 0.5, (), tuple(evidence))
    out = Console(width=80, record=True, file=io.StringIO())
    print_verdict(out, verdict.to_dict(), explain=False)
    shown = out.export_text()
    assert [f"What {name} means" in shown for name in names] == [i < failing for i in range(len(names))]
    assert len(shown.splitlines()) + 4 <= 24, "the command adds four lines at most"


def test_a_value_that_passes_narrowly_is_marked_and_the_word_explained() -> None:
    for value, count in ((0.505, 2), (0.9, 0)):
        evidence = Evidence("cycle", value, 0.1, 0.5, True, "Round trips return.")
        out = Console(width=80, record=True, file=io.StringIO())
        print_verdict(out, Verdict(Status.ALIGNED, 1.0, (), (evidence,)).to_dict())
        assert out.export_text().count("narrowly") == count


@pytest.mark.parametrize(
    "edit",
    [
        {"reduced": {"target": "x"}},
        {"diagnoses": [5]},
        {"verdict": {"status": "aligned", "score": 1, "evidence": [{"name": 5, "value": "x", "null": 0}]}},
    ],
    ids=str,
)
def test_inspect_refuses_an_edited_card_before_it_prints_anything(
    run: Run, saved: Path, edit: dict[str, object]
) -> None:
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps(card | edit))
    ran = run("inspect", saved)
    assert ran.code == 2, ran.err
    assert "cannot be read" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("name", ["source", "target", "verdict", "settings", "versions", "reduced"])
@pytest.mark.parametrize("command", ["inspect", "translate"])
def test_a_card_with_a_text_in_place_of_an_object_is_refused(
    run: Run, saved: Path, folder: Path, name: str, command: str
) -> None:
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps(card | {name: "aligned"}))
    more = (folder / "source.npy", "--out", folder / "o.npy") if command == "translate" else ()
    ran = run(command, saved, *more)
    assert ran.code == 2
    assert f"({name} in the card is 'aligned'; an object is needed)" in ran.err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_log_can_be_a_pipe_that_a_program_reads(run: Run, saved: Path, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with subprocess.Popen(["cat", str(folder / "pipe")], stdout=subprocess.PIPE, text=True) as reader:
        while reader.poll() is None:
            ran = run("translate", saved, folder / "source.npy", "--out", folder / "o.npy", "--log", folder / "pipe")
            if "no program reads" not in ran.err:  # the reader may not have opened it yet
                break
        assert ran.code == 0, ran.err
        lines = reader.communicate(timeout=60)[0].splitlines()
    assert all("event" in json.loads(line) for line in lines)
    assert lines


def test_a_reason_that_is_a_measurement_is_printed_as_its_row(run: Run, saved: Path) -> None:
    card = json.loads((saved / "card.json").read_text())
    evidence = Evidence("cycle", 0.237, 0.1, 0.5, False, "Cosine of a round trip.")
    verdict = Verdict(Status.FAILED, 0.25, ("The rows are few.", str(evidence)), (evidence,))
    (saved / "card.json").write_text(json.dumps({**card, "verdict": verdict.to_dict()}))
    shown = run("inspect", saved).out
    assert [shown.count(part) for part in ("The rows are few.", "Cosine of a round trip.", "0.237")] == [1, 1, 1]


@pytest.mark.parametrize(
    "verdict",
    [
        {"status": "aligned"},
        {"status": "fine", "score": 1},
        {"status": "aligned", "score": 0.5, "evidence": [{"name": "cycle"}]},
    ],
)
def test_inspect_refuses_a_card_without_a_usable_verdict(run: Run, saved: Path, verdict: object) -> None:
    card = json.loads((saved / "card.json").read_text())
    (saved / "card.json").write_text(json.dumps({**card, "verdict": verdict}))
    ran = run("inspect", saved)
    assert ran.code == 2
    assert "card of" in ran.err
    assert "cannot be read" in ran.err


def test_remedies_are_options_here_and_arguments_in_python(run: Run, folder: Path, saved: Path) -> None:
    with pytest.raises(OutputExistsError, match="or replace it with overwrite=True") as caught:
        load(saved).save(saved)
    assert pickle.loads(pickle.dumps(caught.value)).remedy == caught.value.remedy
    ran = run(*fit_arguments(folder, "--out", saved, "--json"))
    assert ran.json["error"] == f"{saved} exists. Choose another name, or replace it with --force."
    assert str(InputError("It is {odd}.", "Pass {scale=...} or {id_column}.")) == (
        "It is {odd}. Pass scale=... or id_column=True."
    )


def test_no_library_message_names_an_argument_outside_its_remedy() -> None:
    """Those in a remedy are in braces; the command line can write them as options."""
    found = []
    packages = ("io", "stores", "core", "leakage", "export", "report", "distributed")
    for path in sorted(Path(interlingua.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None and path.parent.name in packages:
                texts = [part.value for part in ast.walk(node.exc) if isinstance(part, ast.Constant)]
                found += [
                    (path.name, str(text)) for text in texts if re.search(r"\w=(True|\.\.\.)(?!\})|--\w", str(text))
                ]
    assert found == []


def test_fit_replaces_a_translator_only_by_force(run: Run, folder: Path, saved: Path) -> None:
    arguments = ["fit", folder / "source.npy", folder / "target.npy", "--out", saved, "--pairs", folder / "pairs.npy"]
    ran = run(*arguments, "--json")
    assert ran.code == 2
    assert "exists" in ran.json["error"]
    assert "--force" in ran.json["error"]
    again = run(*arguments, "--force")
    assert again.code == 0
    assert (
        "Next commands. OLD_PAIRS and NEW_PAIRS are files with vectors of the same texts in the same order" in again.err
    )
    assert f"  interlingua translate {saved} {folder / 'source.npy'} --out translated.npy" in again.err
    assert (
        run(*arguments, "--force", "--json").json["commands"][0].startswith(f"interlingua evaluate {saved} OLD_PAIRS")
    )
    assert load(saved).card["method"] != "planted"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--method", "alchemy"], "no method 'alchemy'; choose from"),
        (["--pairs", "nowhere.npy"], "nowhere.npy is not a file"),
        (["--pairs", "source.npy"], "integers \\[p, 2\\]"),
        (["--pairs", "outside.csv"], "target row 600; .*rows 0 to 599"),
        (["--pairs", "words.csv"], "pair 2 reads"),
        (["--pairs", "pairs.npy", "--rows", "100"], "use one of the two"),
        (["--report", "report.pdf"], "reports are .html"),
        (["--report", "nowhere/report.html"], "does not exist"),
        (["--column", "x"], "--column 'x' means nothing in a .npy file"),
        (["--column", "x", "--column", "y", "--column", "z"], "given 3 times"),
        (["--scale", "half"], "--scale is 'half'; a number is needed"),
        (["--log", "nowhere/log.jsonl"], "cannot be written"),
        (["--log", "source.npy"], "source.npy is the input source.npy itself, which is never overwritten"),
        (["--log", "outside.csv"], "--log outside.csv exists and is not a log of events; nothing is appended"),
        (["--log", "zeros.bin"], "--log zeros.bin exists and is not a log of events"),
        (["--out", "source.npy", "--force"], "is not a translator, so it is not replaced"),
        pytest.param(
            ["--log", "pipe"],
            "--log pipe is a pipe that no program reads. Start a program that reads it first, or name a file.",
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes"),
        ),
    ],
)
def test_fit_refuses_before_the_work(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(interlingua, "align", None, raising=False)  # the work would fail with another error
    Path("outside.csv").write_text("source,target\n0,0\n1,600\n")
    Path("words.csv").write_text("0,0\none,two\n")
    Path("zeros.bin").write_bytes(bytes(100))
    if "pipe" in more:
        os.mkfifo("pipe")
    ran = run("fit", "source.npy", "target.npy", "--out", "fitted", *more, "--json")
    assert ran.code == 2
    with pytest.raises(ValueError, match=message):
        raise ValueError(ran.json["error"])
    assert "Traceback" not in ran.err
    assert not Path("fitted").exists()
    assert Path("zeros.bin").read_bytes() == bytes(100)


@pytest.mark.parametrize("name", ["missing.npy", "vectors.xlsx", "broken.npy", "nan.npy"])
def test_fit_refuses_unusable_files(run: Run, folder: Path, planted: tuple[Rows, Rows], name: str) -> None:
    (folder / "vectors.xlsx").write_bytes(b"PK")
    (folder / "broken.npy").write_bytes((folder / "source.npy").read_bytes()[:-1])
    np.save(folder / "nan.npy", np.where(np.arange(N)[:, None] == 7, np.nan, planted[0]))
    ran = run("fit", folder / name, folder / "target.npy", "--out", folder / "fitted")
    assert ran.code == 2
    assert ran.err.startswith("Error: ")
    assert name in ran.err or "source" in ran.err


def test_pairs_may_be_a_table(run: Run, folder: Path) -> None:
    lines = ["source\ttarget", *(f"{i}\t{i}" for i in range(N))]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n")
    assert run(*fit_arguments(folder, "--pairs", folder / "pairs.tsv")).code == 0


@pytest.mark.parametrize("header", [[], ["source,target"]])
def test_a_byte_order_mark_is_not_part_of_the_first_pair(tmp_path: Path, header: list[str]) -> None:
    (tmp_path / "pairs.csv").write_text("\n".join([*header, "3,4", "5,6"]) + "\n", "utf-8-sig")
    sides = [SimpleNamespace(n=10)] * 2
    assert read_pairs(tmp_path / "pairs.csv", sides, rows=None).tolist() == [[3, 4], [5, 6]]  # type: ignore[arg-type]


def test_evaluate_gives_both_directions(run: Run, folder: Path, saved: Path) -> None:
    ran = run("evaluate", saved, folder / "source.npy", folder / "target.npy", "--pool", 200, "--json")
    assert ran.code == 0, ran.err
    for way in ("forward", "backward"):
        score = ran.json[way]
        assert {"cosine", "top1", "mean_rank", "pool", "n"} <= score.keys()
        assert score["top1"] == 1
        assert (score["pool"], score["n"]) == (200, N)


def test_evaluate_prints_a_table(run: Run, folder: Path, saved: Path) -> None:
    ran = run("evaluate", saved, folder / "source.npy", folder / "target.npy")
    assert "source to target" in ran.out
    assert "target to source" in ran.out


def test_evaluate_says_that_rows_are_not_pairs(run: Run, folder: Path, saved: Path) -> None:
    np.save(folder / "shuffled.npy", np.random.default_rng(0).permutation(np.load(folder / "target.npy")))
    ran = run("evaluate", saved, folder / "source.npy", folder / "shuffled.npy")
    assert ran.code == 0, ran.err
    assert "Warning: the right row ranks no better than by chance" in ran.err
    assert run("evaluate", saved, folder / "source.npy", folder / "shuffled.npy", "--json").json["is_chance"] is True
    right = "evaluate", saved, folder / "source.npy", folder / "target.npy"
    assert run(*right, "--json").json["is_chance"] is False
    assert "by chance" not in run(*right).err


def test_evaluate_notices_swapped_sides(run: Run, folder: Path, saved: Path) -> None:
    ran = run("evaluate", saved, folder / "target.npy", folder / "source.npy", "--json")
    assert ran.code == 2
    assert "swapped" in ran.json["error"]


def test_evaluate_needs_as_many_rows_on_both_sides(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows]
) -> None:
    np.save(folder / "short.npy", planted[1][:-1])
    ran = run("evaluate", saved, folder / "source.npy", folder / "short.npy")
    assert ran.code == 2
    assert "row i of both must be the same" in ran.err


def test_inspect_shows_the_card(run: Run, saved: Path) -> None:
    assert run("inspect", saved, "--json").json["verdict"]["status"] == "aligned"
    shown = run("inspect", saved).out
    for part in ("left", "right", "aligned", "It was made so.", "planted"):
        assert part in shown


def test_inspect_names_a_space_once_and_rounds_the_seconds(run: Run, saved: Path) -> None:
    card = json.loads((saved / "card.json").read_text())
    card |= {"source": {**card["source"], "name": "source", "n": 2500}, "seconds": 249.027}
    (saved / "card.json").write_text(json.dumps(card))
    shown = run("inspect", saved).out
    assert "source  2,500 rows of width" in shown
    assert "seed 0, 4 min 9 s" in shown


def test_inspect_refuses_a_folder_without_a_translator(run: Run, tmp_path: Path) -> None:
    ran = run("inspect", tmp_path, "--json")
    assert ran.code == 2
    assert "is not a translator" in ran.json["error"]


def test_doctor_finds_this_environment_in_order(run: Run) -> None:
    ran = run("doctor", "--json")
    assert ran.code == 0
    assert ran.json["ok"]
    assert ran.json["packages"]["numpy"]["version"] == np.__version__
    assert {"python", "extras", "blas", "cpus", "memory_gib", "disk_free_gib", "device"} <= ran.json.keys()


def test_doctor_shows_the_memory_and_the_libraries_that_fits_go_by(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {"cores": 3, "blas": ["openblas 0.3 (Zen)"]}
    monkeypatch.setattr("interlingua.cli.doctor.available_bytes", lambda: 5 * 2**29)
    monkeypatch.setattr("interlingua.cli.doctor.describe_machine", lambda: machine)
    found = run("doctor", "--json").json
    assert found["memory_gib"]["available"] == 2.5
    assert (found["cpus"], found["blas"]) == (3, ["openblas 0.3 (Zen)"])
    assert "2.5 GiB available" in run("doctor").out


def test_an_extra_that_contains_others_is_installed_only_with_all_of_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from interlingua.cli.doctor import _version

    monkeypatch.setattr(
        "interlingua.cli.doctor._version", lambda name: "0.1" if name == "jinja2" else _version(name) or "99"
    )
    extras = run("doctor", "--json").json["extras"]
    assert {name for name, found in extras.items() if not found["installed"]} == {"report", "serve"}
    assert extras["serve"]["packages"]["jinja2"] == "0.1"


def test_doctor_names_the_package_that_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.cli.doctor._version", lambda name: None)
    ran = run("doctor")
    assert ran.code == 1
    assert "pip install 'numpy>=2.0'" in ran.out


def test_evaluate_writes_a_report_and_never_over_another(run: Run, folder: Path, saved: Path) -> None:
    command = ["evaluate", saved, folder / "source.npy", folder / "target.npy", "--report", folder / "scores.html"]
    ran = run(*command, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["report"] == str(folder / "scores.html")
    page = (folder / "scores.html").read_text("utf-8")
    for part in ("Held-out pairs", "Rank of the true match", "Overlap of the graphs", "It was made so."):
        assert part in page
    again = run(*command, "--json")
    assert again.code == 2
    assert "exists" in again.json["error"]
    assert run(*command, "--force").code == 0


@pytest.mark.parametrize("rows", [(), ("--rows", 300)])
def test_a_report_names_rows_by_the_ids_of_the_file(
    run: Run, folder: Path, planted: tuple[Rows, Rows], rows: tuple[object, ...]
) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(planted[0].ravel()), planted[0].shape[1])
    ids = pa.array([f"text number {i}" for i in range(N)])
    pq.write_table(pa.table({"id": ids, "vector": vectors}), folder / "old.use.parquet")
    files = folder / "old.use.parquet", folder / "target.npy"
    more = ("--report", folder / "r.html", "--method", "identity", "--allow-failed", *rows)
    ran = run("fit", *files, "--out", folder / "t", *more)
    assert ran.code == 0, ran.err
    page = (folder / "r.html").read_text("utf-8")
    assert re.search(r"text number \d+", page)
    assert load(folder / "t").card["source"]["name"] == "old.use"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_and_options(shell: str, tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import sys; from interlingua.cli import main; sys.exit(main())"]

    def complete(typed: str) -> str:
        words = {
            "bash": {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split(" ")) - 1)},
            "zsh": {"_TYPER_COMPLETE_ARGS": typed},
            "fish": {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        }[shell]
        asked = {**os.environ, **words, "_INTERLINGUA_COMPLETE": f"complete_{shell}", "HOME": str(tmp_path)}
        return subprocess.run(program, env=asked, capture_output=True, text=True, check=False).stdout

    assert "migrate" in complete("interlingua mi")
    assert "--report" in complete("interlingua fit --re")


def test_doctor_knows_every_extra_that_code_asks_for(run: Run) -> None:
    source = Path(interlingua.__file__).parent
    asked = {
        extra
        for path in source.rglob("*.py")
        for extra in re.findall(r'require\("[\w.]+", "(\w+)"\)', path.read_text("utf-8"))
    }
    assert asked
    assert asked <= run("doctor", "--json").json["extras"].keys()


def _named_rows(page: str) -> list[int]:
    """Return the numbers of the rows that the report names."""
    return [int(number.replace(",", "")) for number in re.findall(r"row ([\d,]+)", page)]


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_a_report_on_a_sample_names_rows_by_their_numbers_in_the_file(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows], command: str
) -> None:
    files, more = (folder / "source.npy", folder / "target.npy"), ("--sample", 50, "--report", folder / "r.html")
    if command == "fit":
        ran = run("fit", *files, "--out", folder / "t", "--method", "identity", "--allow-failed", *more)
    else:
        ran = run("evaluate", saved, *files, *more)
    assert ran.code == 0, ran.err
    named = set(_named_rows((folder / "r.html").read_text("utf-8")))
    drawn = set(np.random.default_rng(0).choice(N, 50, replace=False).tolist())
    assert len(named) > 5
    assert named <= drawn


def test_rows_of_the_fit_are_noticed_after_some_were_changed(
    run: Run, folder: Path, planted: tuple[Rows, Rows], rng: np.random.Generator
) -> None:
    ran = run(*fit_arguments(folder, "--pairs", folder / "pairs.npy", "--force"))
    assert ran.code == 0, ran.err
    noise = 0.05 * rng.standard_normal(planted[0].shape).astype(np.float32)

    def fitted(rows: npt.NDArray[Any], *more: object) -> str:
        np.save(folder / "now.npy", rows)
        np.save(folder / "other.npy", planted[1][: len(rows)] + np.float32(0.001))
        return " ".join(run("evaluate", folder / "fitted", folder / "now.npy", folder / "other.npy", *more).err.split())

    edited = planted[0][rng.permutation(N)[1:]]
    edited[5] += noise[5]
    for rows, more in ((edited, ()), (edited, ("--sample", 20)), (planted[0].astype(np.float64), ())):
        assert re.search(
            r"Warning: the fit has read (about \d+ of the \d+ |the )rows of \S+now.npy", fitted(rows, *more)
        )
    half = np.concatenate([planted[0][: N // 2], unit(planted[0][N // 2 :] + noise[N // 2 :])])
    assert re.search(r"the fit has read about (2[5-9]\d|3[0-4]\d) of the 600 rows", fitted(half))
    assert "the fit has read some of the 20 rows" in fitted(planted[0][:20])
    assert "the fit has read" not in fitted(unit(planted[0] + noise))


def test_texts_that_two_files_have_in_common_are_not_taken_for_rows_of_the_fit(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows], rng: np.random.Generator
) -> None:
    rows = unit(rng.standard_normal((10_000, planted[0].shape[1]))).astype(np.float32)
    rows[::50] = planted[0][0]
    path = saved / "card.json"
    card = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(card | {"source": EmbeddingSpace(rows).describe()}), "utf-8")
    ran = run("evaluate", saved, folder / "source.npy", folder / "target.npy", "--json")
    assert ran.code == 0, ran.err
    assert "the fit has read" not in ran.err


@pytest.mark.parametrize("command", ["fit", "evaluate", "calibrate", "plan"])
def test_the_same_vectors_on_both_sides_are_refused(
    run: Run, folder: Path, planted: tuple[Rows, Rows], tmp_path: Path, command: str
) -> None:
    source = folder / "target.npy"
    zeros = np.zeros(D_TARGET, np.float32)
    both = AffineMap(zeros, np.eye(D_TARGET, dtype=np.float32), zeros)
    saved = Translator(both, both, (SpaceProfile.of(planted[1]),) * 2, {}).save(tmp_path / "square")
    np.save(folder / "turned.npy", planted[1][::-1].astype(np.float64))
    arguments = {
        "fit": ("--out", folder / "t"),
        "calibrate": ("--out", folder / "t"),
        "plan": ("--rows", 100),
    }.get(command, ())
    start = (command, *((saved,) if command in ("evaluate", "calibrate") else ()))
    error = run(*start, source, source, *arguments, "--json").json["error"]
    assert "given for both sides" in error
    if command != "plan":
        error = run(*start, source, folder / "turned.npy", *arguments, "--json").json["error"]
        assert "turned.npy hold the same vectors: all of the rows of one are in the other" in error
        assert "Give vectors of two models" in error
    assert not (folder / "t").exists()


def test_a_translators_own_translations_are_no_evidence(
    run: Run, folder: Path, saved: Path, rng: np.random.Generator
) -> None:
    assert run("translate", saved, folder / "source.npy", "--out", folder / "own.npy").code == 0
    ran = run("evaluate", saved, folder / "source.npy", folder / "own.npy")
    assert "as if this translator had written it" in " ".join(ran.err.split())
    assert run("evaluate", saved, folder / "source.npy", folder / "own.npy", "--json").json["is_translation"]
    np.save(folder / "real.npy", unit(np.load(folder / "target.npy") + 0.02 * rng.standard_normal((N, D_TARGET))))
    assert "as if this translator" not in run("evaluate", saved, folder / "source.npy", folder / "real.npy").err


@pytest.mark.parametrize("command", ["fit", "translate", "evaluate"])
def test_rows_that_cannot_be_used_come_with_a_way_to_leave_them_out(
    run: Run, folder: Path, saved: Path, planted: tuple[Rows, Rows], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = planted[0].copy()
    broken[3], broken[5] = np.nan, 0
    np.save(folder / "old.npy", broken)
    arguments = {
        "fit": (folder / "old.npy", folder / "target.npy", "--out", folder / "t"),
        "translate": (saved, folder / "old.npy", "--out", folder / "t.npy"),
        "evaluate": (saved, folder / "old.npy", folder / "target.npy"),
    }[command]
    error = run(command, *arguments, "--json").json["error"]
    if command != "translate":
        assert error.endswith("Such rows can be left out with --skip-bad.")
    else:
        assert "`What is refused` in docs/formats.md has a script that writes a file without such rows" in error
        assert "Rows of a store can be left out with --where or --target-where" in error
    text = (Path(__file__).parents[1] / "docs" / "formats.md").read_text("utf-8")
    script = text.partition("## What is refused")[2].partition("```python")[2].partition("```")[0]
    monkeypatch.chdir(folder)
    exec(script.replace("old.parquet", "old.npy").replace("usable.parquet", "usable.npy"))
    np.testing.assert_array_equal(np.load("usable.npy"), np.delete(broken, [3, 5], axis=0))


@pytest.mark.parametrize(
    "line", ["7_7,1", "\u0661,1", "1,99999999999999999999", "1," + "9" * 5_000, "1," + "x" * 100_000, "1,2,3", "1.5,2"]
)
def test_pairs_are_two_row_numbers_in_decimal_digits(run: Run, folder: Path, line: str) -> None:
    pairs = folder / "pairs.csv"
    for lines in ([line], ["1,2", line]):
        pairs.write_text("\n".join(lines), "utf-8")
        ran = run(*fit_arguments(folder, "--pairs", pairs))
        assert ran.code == 2
        assert f"pair {len(lines)} reads '" in ran.err
        assert "two row numbers are needed" in ran.err
        assert len(ran.err) < 400 + len(str(pairs))
