from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import interlingua
from command_line import N, Rows, Run, insert
from interlingua._align import align
from interlingua.cli.addresses import read_label_rows, read_text_rows, read_true_labels, read_true_texts
from interlingua.cli.audit_command import file_digests
from interlingua.cli.demo_data import read_demo, read_folder, read_packaged
from interlingua.core.errors import InputError
from interlingua.evaluation import Interval
from interlingua.leakage.audit import DOCUMENTS
from interlingua.leakage.defenses import SUITES
from interlingua.report.audit import FigureRow

PAIRS = np.stack([np.arange(N)] * 2, axis=1)
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")


def named(rows: Rows) -> list[str]:
    """Name a row after its largest and its smallest coordinate, so that a vector tells its text."""
    top, low = rows.argmax(axis=1), rows.argmin(axis=1)
    return [f"{WORDS[a % 8]}{a // 8} {WORDS[b % 8]}{b // 8}low{a}" for a, b in zip(top, low, strict=True)]


@pytest.fixture
def case(folder: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to audit, whose fit is given the pairs that it has to do without elsewhere."""
    monkeypatch.setattr(interlingua, "align", functools.partial(interlingua.align, pairs=PAIRS))
    texts = named(planted[1])
    lines = [json.dumps({"text": text, "label": text.split()[0]}) for text in texts]
    (folder / "public.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "words.txt").write_text("".join(f"{word}\n" for word in WORDS))
    return folder


def options(case: Path, *more: object) -> Sequence[object]:
    parts = ("--corpus", case / "public.jsonl", "--authorized-by", "The Owner", "--out", case / "audit.html")
    return ("audit", case / "source.npy", *parts, "--documents", "200", *more)


def with_vectors(case: Path, *more: object) -> Sequence[object]:
    return options(case, "--corpus-vectors", case / "target.npy", *more)


def test_an_audit_measures_and_reports_who_authorized_it(run: Run, case: Path) -> None:
    known = ("--truth", case / "public.jsonl", "--truth-vectors", case / "target.npy", "--label-column", "label")
    ran = run(*with_vectors(case, *known, "--truth-labels", case / "public.jsonl", "--json"))
    assert ran.code == 0, ran.err
    found = ran.json
    assert found["provenance"]["authorized_by"] == "The Owner"
    assert found["leak"]["basis"] == "measured"
    assert found["reidentified"]["top1"]["value"][0] > 0.9
    assert found["verdicts"] == ["aligned", "aligned"]
    assert found["limit"] == {"fail_above": None, "result": None, "reason": None}
    assert set(found["labels"]["measured"]["scores"]) >= {"translated", "majority", "shuffled"}
    assert "The Owner" in (case / "audit.html").read_text("utf-8")


def test_the_limit_decides_the_exit_code(run: Run, case: Path) -> None:
    known = ("--truth-vectors", case / "target.npy", "--fits", "1", "--force")
    above = run(*with_vectors(case, *known, "--fail-above", "0.5", "--json"))
    below = run(*with_vectors(case, *known, "--fail-above", "1"))
    assert (above.code, above.json["limit"]["result"]) == (1, "exceeded")
    assert below.code == 0
    assert re.search(r"Headline figure \d\.\d{3} \(measured\), not above its limit of 1\.", below.out)
    assert "Limit of 100% for the headline figure: not exceeded." in (case / "audit.html").read_text("utf-8")


def test_a_limit_is_not_kept_if_the_attack_failed(run: Run, case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interlingua, "align", functools.partial(align, method="random-rotation"))
    parts = with_vectors(case, "--fits", "1", "--fail-above", "1", "--force", "--json")
    ran = run(*parts)
    assert ran.json["verdicts"] == ["failed"]
    assert ran.json["leak"]["basis"] == "attack failed"
    assert ran.code == 1
    assert "The limit of 1 cannot be checked: the attack failed. This is no proof of safety. Give more" in ran.err
    assert "The check does not pass" in (case / "audit.html").read_text("utf-8")


def test_a_failed_audit_names_likely_causes_from_kept_fits_too(
    run: Run, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlingua, "align", align)
    np.save(case / "source.npy", np.random.default_rng(5).standard_normal((N, 24)).astype(np.float32))
    parts = with_vectors(case, "--fits", "1", "--keep", case / "kept", "--annex", case / "annex.html", "--force")
    for _ in range(2):
        ran = run(*parts)
        assert ran.code == 0, ran.err
        assert ran.out.startswith("Fits: failed\n")
        for text in (ran.out, *((case / file).read_text("utf-8") for file in ("audit.html", "annex.html", "annex.md"))):
            assert "Likely cause, few rows: " in text
        fit = json.loads((case / "audit.json").read_text("utf-8"))["fit"]
        assert "few rows" in [each["name"] for each in fit["diagnoses"]]


def test_a_figure_without_a_value_is_a_dash_in_the_table(run: Run, case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As of the precision of a control that names no word.
    nothing = FigureRow("Precision of the words", "", estimated=Interval(0.5), control=Interval(float("nan")))
    monkeypatch.setattr("interlingua.report.audit.figure_rows", lambda _: [nothing])
    ran = run(*with_vectors(case, "--fits", "1"))
    assert ran.code == 0, ran.err
    line = next(line for line in ran.out.splitlines() if "Precision of the words" in line)
    assert line.split()[-2:] == ["0.500", "–"]
    assert "nan" not in line


def test_inputs_of_one_name_have_a_digest_each(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rows.npy").write_bytes(folder.encode())
    (tmp_path / "a" / "texts.txt").write_bytes(b"text")
    first, second = tmp_path / "a" / "rows.npy", tmp_path / "b" / "rows.npy"
    digests = file_digests((first, second, first, tmp_path / "a" / "texts.txt"))
    hashes = [hashlib.sha256(text).hexdigest() for text in (b"a", b"b", b"text")]
    assert digests == dict(zip((str(first), str(second), "texts.txt"), hashes, strict=True))
    assert len(file_digests((tmp_path / "a",))) == 2


def test_the_json_lies_beside_the_report_and_says_how_to_repeat_the_audit(run: Run, case: Path) -> None:
    ran = run(*with_vectors(case, "--fits", "1", "--seed", "5"))
    assert ran.code == 0, ran.err
    found = json.loads((case / "audit.json").read_text("utf-8"))
    provenance = found["provenance"]
    digest = hashlib.sha256((case / "source.npy").read_bytes()).hexdigest()
    assert provenance["inputs"]["source.npy"] == digest
    assert set(provenance["inputs"]) == {"source.npy", "public.jsonl", "target.npy"}
    assert provenance["seeds"] == [5]
    assert provenance["command"].startswith(f"interlingua audit {case / 'source.npy'} --authorized-by 'The Owner'")
    assert provenance["command"].endswith("--fits 1 --documents 200 --seed 5")
    assert found["model"]["name"] == "unknown"
    assert not any(f"{word}0" in json.dumps(found) for word in WORDS)
    assert digest in (case / "audit.html").read_text("utf-8")
    (case / "audit.html").unlink()
    assert "audit.json exists" in run(*with_vectors(case, "--json")).json["error"]


def test_kept_fits_are_reused_and_only_for_the_same_vectors(
    run: Run, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = ("--keep", case / "kept", "--force", "--json")
    first = run(*with_vectors(case, *keep))
    assert first.code == 0, first.err
    names = {path.name.partition("-")[0] for path in (case / "kept").iterdir()}
    assert names == {"inputs.json", "fit", "decoder"}
    again = run(*with_vectors(case, *keep, "--fits", "1", "--translator", case / "kept" / "fit-0"))
    assert "give one of them" in again.json["error"]

    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(interlingua, "align", refuse)
    with monkeypatch.context() as patch:
        patch.setattr("interlingua.leakage.inputs.PublicCorpus.fit_decoder", refuse)
        patch.setattr("interlingua.leakage.inversion.KeywordDecoder.fit", refuse)
        assert run(*with_vectors(case, *keep, "--fail-above", "0")).code == 1
    again = run(*with_vectors(case, *keep, "--label-column", "label", "--show-words"))
    assert again.code == 0, again.err
    for name in ("leak", "words", "verdicts", "agreement"):
        assert again.json[name] == first.json[name]
    with_fit = with_vectors(case, "--translator", case / "kept" / "fit-1", "--force", "--json")
    assert (
        "fit-1 was fitted with known pairs, and an audit shows what can be read without" in run(*with_fit).json["error"]
    )
    card = case / "kept" / "fit-1" / "card.json"
    values = json.loads(card.read_text("utf-8").replace("held_out_pairs", "refit_agreement"))
    lacking = {name: value for name, value in values.items() if name != "verdict"}
    for edited, said in (
        (lacking, "lacks 'verdict'"),
        (values | {"verdict": {"status": "aligned"}}, "lacks 'score'"),
        (values | {"verdict": None}, "cannot be read (AttributeError: "),
        (values | {"candidates": None}, "cannot be read (TypeError: "),
    ):
        card.write_text(json.dumps(edited), "utf-8")
        assert f"The translator's card {said}" in run(*with_fit).json["error"]
    card.write_text(json.dumps(values), "utf-8")
    named = run(*with_fit)
    assert named.json["provenance"]["seeds"] == [1]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
    np.save(case / "turned.npy", (np.load(case / "target.npy") @ turn).astype(np.float32))
    foreign = options(case, "--corpus-vectors", case / "turned.npy", *with_fit[-4:])
    assert re.search(
        r"fit-1 does not fit the public vectors: The target vectors are not of the space that this translator was "
        r"fitted on.*--allow-foreign goes on nevertheless",
        run(*foreign).json["error"],
    )
    assert run(*foreign, "--allow-foreign").code == 0
    unused = run(*with_vectors(case, *keep, "--allow-foreign")).json["error"]
    assert "--allow-foreign has no effect without --translator; leave it out." in unused
    np.save(case / "source.npy", np.load(case / "source.npy")[::-1])
    error = run(*with_vectors(case, *keep)).json["error"]
    assert "kept holds fits of other inputs: the vectors differ. Give the same inputs as then, or" in error
    np.save(case / "turned.npy", np.load(case / "target.npy")[:, ::-1])
    error = run(*options(case, "--corpus-vectors", case / "turned.npy", *keep)).json["error"]
    assert "other inputs: the vectors differ, the public vectors differ. Give" in error
    np.save(case / "source.npy", np.load(case / "source.npy")[::-1])
    lines = (case / "public.jsonl").read_text().replace("amber", "aaaaa")
    (case / "public.jsonl").write_text(lines)
    assert run(*with_vectors(case, *keep)).code == 0
    assert len(list((case / "kept").glob("decoder-*"))) == 2
    (case / "mine").mkdir()
    (case / "mine" / "notes.txt").write_text("mine")
    assert "holds no fits" in run(*with_vectors(case, "--keep", case / "mine", "--force", "--json")).json["error"]
    narrow = case / "narrow.npy"
    np.save(narrow, np.load(case / "target.npy")[:, :8])
    parts = options(case, "--corpus-vectors", narrow, "--translator", case / "kept" / "fit-0", "--force", "--json")
    assert "translates vectors of width 24 to 16" in run(*parts).json["error"]


def test_a_damaged_part_of_the_kept_folder_says_how_to_go_on(run: Run, case: Path) -> None:
    keep = with_vectors(case, "--fits", "1", "--keep", case / "kept", "--force", "--json")
    assert run(*keep).code == 0
    kept = case / "kept"
    decoder = next(kept.glob("decoder-*"))
    again = "which keeps what an audit has fitted. Delete it, and the audit makes it again"
    for file, part in ((decoder, decoder), (kept / "fit-0" / "card.json", kept / "fit-0")):
        whole = file.read_bytes()
        for damage in (b"", whole[: len(whole) // 2], b"\0\xff" * 100):
            file.write_bytes(damage)
            ran = run(*keep)
            assert (ran.code, ran.json["error"].endswith(f"This is a part of {kept}, {again}: {part}")) == (2, True)
        file.write_bytes(whole)
    whole = (kept / "inputs.json").read_bytes()
    for damage in (b"", whole[:-9], b"\0\xff" * 100, b"[1]", b"1"):
        (kept / "inputs.json").write_bytes(damage)
        ran = run(*keep)
        assert ran.code == 2
        assert "inputs.json is damaged, so it is not known of which vectors the fits are; choose" in ran.json["error"]
    (kept / "inputs.json").write_bytes(whole)
    # What a killed write leaves does no harm.
    (kept / ".tmp.0123.fit-1").mkdir()
    assert run(*keep).code == 0
    other = case / "other"
    other.mkdir()
    (other / ".tmp.0123456789abcdef.inputs.json").write_bytes(b"")
    assert run(*with_vectors(case, "--fits", "1", "--keep", other, "--force")).code == 0


def test_a_second_leak_that_cannot_be_fitted_is_refused_before_the_fits(
    run: Run, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("fitted")

    monkeypatch.setattr(interlingua, "align", refuse)
    np.save(case / "same.npy", np.ones((200, 24), np.float32))
    ran = run(*with_vectors(case, "--second", case / "same.npy", "--json"))
    assert (ran.code, "same.npy: 1 distinct row; at least 100 are needed" in ran.json["error"]) == (2, True)
    np.save(case / "one.npy", np.ones((1, 24), np.float32))
    assert (
        "one.npy has 1 row; at least 100"
        in run(*with_vectors(case, "--second", case / "one.npy", "--json")).json["error"]
    )


def test_texts_in_the_place_of_vectors_are_refused_with_what_to_do(run: Run, case: Path) -> None:
    (case / "upper.TXT").write_text("a text\n")
    for option in ("--members", "--second", "--truth-vectors", "--stand-in", "--corpus-vectors"):
        given = with_vectors(case) if option != "--corpus-vectors" else options(case)
        for name in ("public.jsonl", "words.txt", "upper.TXT"):
            ran = run(*given, option, case / name, "--json")
            assert ran.code == 2
            assert (
                f"{option} is {case / name}, which holds texts; vectors of these texts are needed" in ran.json["error"]
            )


def test_the_roles_of_the_inputs_are_shown_before_the_fits(
    run: Run, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **settings: Any) -> None:
        raise InputError("No fit here.")

    monkeypatch.setattr(interlingua, "align", refuse)
    ran = run(*with_vectors(case, "--fits", "1"))
    assert f"Auditing source.npy ({N} rows); public: public.jsonl ({N} rows)." in ran.err


def test_texts_in_another_order_than_their_vectors(run: Run, case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (case / "public.jsonl").read_text().splitlines()
    shuffled = [lines[i] for i in np.random.default_rng(0).permutation(N)]
    (case / "shuffled.jsonl").write_text("\n".join(shuffled) + "\n")
    truth = ("--truth", case / "shuffled.jsonl", "--fits", "1", "--fail-above", "1")
    ran = run(*with_vectors(case, *truth))
    assert "The true texts are probably in another order than the vectors" in ran.err
    assert "The report will say that what is measured with them cannot be relied on." in ran.err
    assert ran.code == 1
    assert "The limit of 1 cannot be checked: the figure cannot be relied on. The true texts are probably in" in ran.err
    assert "--truth" not in ran.err
    assert "Severity not shown: " in ran.out
    found = json.loads((case / "audit.json").read_text("utf-8"))
    assert found["doubt"].startswith("The true texts are probably in another order")

    def refuse(*arguments: Any, **settings: Any) -> None:
        raise AssertionError("fitted")

    monkeypatch.setattr(interlingua, "align", refuse)
    public = ("--corpus", case / "shuffled.jsonl", "--corpus-vectors", case / "target.npy", "--authorized-by", "x")
    ran = run("audit", case / "source.npy", *public, "--out", case / "b.html", "--json")
    assert ran.code == 2
    assert "The public texts and their vectors are not in the same order" in ran.json["error"]


def test_people_read_a_paragraph_and_a_table(run: Run, case: Path) -> None:
    ran = run(*with_vectors(case, "--fits", "1", "--defenses", "quick"))
    assert ran.code == 0, ran.err
    for part in (
        "Fits: aligned",
        "10 vectors" if N == 10 else f"these {N} vectors",
        "Documents with a word",
        "secret rotation: a word is named for ",
        "% of the search quality is kept\n",
    ):
        assert part in ran.out
    assert "safe" not in ran.out.replace("no proof of safety", "")


def test_recovered_words_are_written_nowhere_without_show_words(run: Run, case: Path) -> None:
    quiet = run(*with_vectors(case, "--fits", "1", "--json", "--log", case / "log.jsonl"))
    log, page = (case / "log.jsonl").read_text(), (case / "audit.html").read_text("utf-8")
    for said in (quiet.out, quiet.err, log, page):
        assert not any(f"{word}0" in said or f"{word}1" in said for word in WORDS)
    assert "The Owner" in log
    shown = run(*with_vectors(case, "--fits", "1", "--json", "--show-words", "--force"))
    assert any(word in (case / "audit.html").read_text("utf-8") for word in WORDS)
    assert shown.json["documents"]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "duckdb", "npy"])
def test_sample_documents_name_the_id_of_the_row(run: Run, case: Path, planted: tuple[Rows, Rows], form: str) -> None:
    ids = [f"doc-{i:03}" for i in range(N)]
    address = str(case / f"leak.{form}")
    if form == "duckdb":
        duckdb = pytest.importorskip("duckdb")
        with duckdb.connect(address) as connection:
            connection.execute(f"create table t(id text primary key, v float[{planted[0].shape[1]}])")
            # In another order than that of the ids, by which the rows are read.
            insert(connection, "t", [(ids[i], planted[0][i].tolist()) for i in reversed(range(N))])
        address = f"duckdb://{address}#t.v"
    elif form == "npy":
        np.save(address, planted[0])
    else:
        rows: list[dict[str, Any]] = [
            {"id": each, "v": row.tolist()} for each, row in zip(ids, planted[0], strict=True)
        ]
        if form == "jsonl":
            Path(address).write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            pq.write_table(pa.Table.from_pylist(rows), address)
    parts = list(with_vectors(case, "--fits", "1", "--json", "--force"))
    parts[1] = address
    shown = run(*parts, "--show-words")
    assert shown.code == 0, shown.err
    documents = shown.json["documents"]
    assert [each["id"] for each in documents] == [None if form == "npy" else ids[each["row"]] for each in documents]
    page = (case / "audit.html").read_text("utf-8")
    assert all(each["id"] is None or f'<span class="meaning">{each["id"]}</span>' in page for each in documents)
    # Ids can name persons.
    assert run(*parts).code == 0
    assert "doc-" not in (case / "audit.html").read_text("utf-8") + (case / "audit.json").read_text("utf-8")


def test_an_encoder_makes_the_vectors_of_texts_and_labels(
    run: Run, case: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    by_text = dict(zip(named(planted[1]), planted[1], strict=True))

    class SentenceTransformer:
        def __init__(self, name: str, **settings: Any) -> None:
            if name == "missing":
                raise OSError("missing is no folder\nand a long explanation")
            asked.update(name=name, **settings)

        def encode(self, texts: list[str], **settings: Any) -> Any:
            return np.stack([by_text.get(text, planted[1][sum(map(ord, text)) % N]) for text in texts])

    module = SimpleNamespace(SentenceTransformer=SentenceTransformer)
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    ran = run(*options(case, "--encoder", "local", "--labels", case / "words.txt", "--fits", "1", "--json"))
    assert ran.code == 0, ran.err
    assert set(ran.json["labels"]["shares"]) <= set(WORDS)
    assert ran.json["provenance"]["encoder"] == asked["name"] == "local"
    assert asked["trust_remote_code"] is False
    refused = run(*options(case, "--encoder", "missing", "--force", "--json"))
    assert refused.code == 2
    assert "The encoder missing cannot be loaded (missing is no folder)" in refused.json["error"]


def test_a_missing_encoder_package_names_its_extra(run: Run, case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    ran = run(*options(case, "--encoder", "any", "--json"))
    assert ran.code == 2
    assert "interlingua[encoder]" in ran.json["error"]


def test_the_demo_is_audited_against_its_own_truth(run: Run, case: Path, planted: tuple[Rows, Rows]) -> None:
    data = case / "data"
    data.mkdir()
    for side, rows in zip(("source", "target"), planted, strict=True):
        np.save(data / f"{side}.npy", rows)
        np.save(data / f"eval-{side}.npy", rows)
    texts = [text.replace(" ", "-") for text in named(planted[1])]
    (data / "sections.json").write_text(
        json.dumps({"names": ["a", "b"]} | dict.fromkeys(("source", "target"), [0, 1] * (N // 2)))
    )
    parts = ("audit", "--demo", "--data", data, "--out", case / "a.html", "--fits", "1", "--json")
    assert "lacks names.json;" in run(*parts).json["error"]
    (data / "names.json").write_text(json.dumps({"target": texts}))
    assert "names.json of the demo's data lacks 'source'" in run(*parts).json["error"]
    (data / "names.json").write_text(json.dumps(dict.fromkeys(("source", "target"), texts)))
    unknown = run(*parts)
    assert unknown.code == 2
    assert f"The data of {data} are not known to be public. An audit needs --authorized-by" in unknown.json["error"]
    ran = run(*parts, "--authorized-by", "R. Owner")
    assert ran.code == 0, ran.err
    assert ran.json["leak"]["basis"] == "measured"
    assert ran.json["provenance"]["authorized_by"] == "R. Owner"
    assert ran.json["provenance"]["corpus"] == "names of the target rows"
    # Only the data of the package and of the repository are known to be public.
    assert 'class="redacted"' in (case / "a.html").read_text("utf-8")


def test_a_folder_named_as_that_of_the_demo_is_not_public(
    run: Run, case: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = case / "demo" / "data"
    data.mkdir(parents=True)
    for side, rows in zip(("source", "target"), planted, strict=True):
        np.save(data / f"{side}.npy", rows)
        np.save(data / f"eval-{side}.npy", rows)
    (data / "names.json").write_text(json.dumps(dict.fromkeys(("source", "target"), named(planted[1]))))
    (data / "sections.json").write_text(
        json.dumps({"names": ["a", "b"]} | dict.fromkeys(("source", "target"), [0, 1] * (N // 2)))
    )
    monkeypatch.chdir(case)
    assert "are not known to be public" in run("audit", "--demo", "--json").json["error"]
    ran = run("audit", "--demo", "--fits", "1", "--authorized-by", "R. Owner", "--json")
    assert ran.code == 0, ran.err
    assert 'class="redacted"' in (case / "demo-audit.html").read_text("utf-8")


def test_the_texts_of_the_repository_and_of_the_package_are_public() -> None:
    data = Path(__file__).parents[1] / "demo" / "data"
    assert read_folder(data).is_public
    assert read_packaged().is_public


def test_other_line_ends_make_no_other_texts(tmp_path: Path) -> None:
    data = shutil.copytree(Path(__file__).parents[1] / "demo" / "data", tmp_path / "data")
    for name in ("names.json", "sections.json"):
        content = (data / name).read_bytes()
        assert b"\n" in content
        (data / name).write_bytes(content.replace(b"\n", b"\r\n"))
    assert read_folder(data).is_public


def test_refusals_come_before_any_work(run: Run, case: Path) -> None:
    vectors, public, page = case / "source.npy", case / "public.jsonl", case / "a.html"
    asked = ("--authorized-by", "x", "--out", page, "--json")
    np.savez(case / "two.npz", a=np.load(vectors), b=np.load(vectors))
    blank = case / "blank.txt"
    blank.write_text("one\n\ntwo\n")
    for arguments, message in (
        (
            ("audit", vectors, "--corpus", public, "--out", page, "--json"),
            "needs --authorized-by WHO, the person or body that authorized it",
        ),
        (("audit", vectors, *asked), "needs VECTORS and --corpus"),
        (("audit", vectors, "--corpus", public, *asked), "give --corpus-vectors FILE, or --encoder NAME"),
        (("audit", vectors, "--demo", *asked), "--demo has its own"),
        (with_vectors(case, "--labels", case / "words.txt", "--json"), "--labels needs vectors"),
        (with_vectors(case, "--labels", case / "words.txt", "--label-vectors", vectors, "--json"), "names 8 labels"),
        (with_vectors(case, "--truth", case / "words.txt", "--json"), "There are 8 true texts for 600 vectors"),
        (("audit", vectors, "--corpus", case / "words.txt", "--corpus-vectors", vectors, *asked), "has 8 texts"),
        (
            ("audit", vectors, "--corpus", public, "--authorized-by", "  ", "--out", page, "--json"),
            "needs --authorized-by",
        ),
        (with_vectors(case, "--members", case / "two.npz", "--json"), "Give a file that holds these vectors alone"),
        (
            with_vectors(case, "--labels", blank, "--label-vectors", vectors, "--json"),
            "row 1 (counted from 0) is blank",
        ),
        (
            ("audit", case / "two.npz", "--corpus", public, "--corpus-vectors", vectors, *asked),
            "Choose one with --key.",
        ),
    ):
        ran = run(*arguments)
        assert ran.code == 2, message
        assert message in ran.json["error"]
    missing = run("audit", "--demo", "--data", case / "nowhere", "--out", case / "no folder" / "a.html", "--json")
    assert (
        "nowhere is not a folder. Give a folder with source.npy, target.npy, eval-source.npy" in missing.json["error"]
    )
    (case / "empty").mkdir()
    missing = run("audit", "--demo", "--data", case / "empty", "--out", case / "no folder" / "a.html", "--json")
    assert (
        "empty lacks source.npy, target.npy, eval-source.npy, eval-target.npy. Give a folder" in missing.json["error"]
    )
    page.write_text("mine")
    ran = run("audit", vectors, "--corpus", public, "--corpus-vectors", case / "target.npy", *asked)
    assert (ran.code, page.read_text()) == (2, "mine")


def test_the_estimate_is_called_approximate(run: Run, case: Path) -> None:
    ran = run(*with_vectors(case, "--fits", "1", "--json"))
    assert ran.json["leak"]["basis"] == "estimated"
    assert re.search(r"a correct word is named for about \d+% of", ran.json["conclusion"])


def test_the_packaged_demo_is_audited_outside_a_checkout(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("interlingua.cli.demo_data.__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    data = read_demo(None)
    assert data.names is not None
    assert data.sections is not None
    # Both sides hold the target's rows, so that a fit on all pairs is exact and takes no time.
    doubled = dataclasses.replace(
        data,
        source=data.target[:500],
        target=data.target[:500],
        names={side: data.names["target"][:500] for side in ("source", "target")},
        sections={side: data.sections["target"][:500] for side in ("source", "target")},
    )
    monkeypatch.setattr("interlingua.cli.audit.read_demo", lambda _: doubled)
    pairs = np.stack([np.arange(500)] * 2, axis=1)
    monkeypatch.setattr(interlingua, "align", functools.partial(interlingua.align, pairs=pairs))
    ran = run("audit", "--demo", "--fits", "1", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["leak"]["basis"] == "measured"
    assert ran.json["provenance"]["vectors"].startswith("interlingua demo, small data of the package")
    # Its data are public, so the report shows what is read.
    page = (tmp_path / "demo-audit.html").read_text("utf-8")
    assert 'class="redacted"' not in page
    assert ran.json["documents"]
    # So that the next audit with the default name is not refused.
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["demo-audit.html"]


@pytest.mark.slow
def test_the_packaged_demo_reveals_words_and_sections(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("interlingua.cli.demo_data.__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    ran = run("audit", "--demo", "--fits", "1", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["leak"]["value"] > 0.1


def test_suites_and_default_size_are_those_of_the_library(run: Run, case: Path) -> None:
    words = " ".join(run("audit", "--help").out.split())
    assert f"--defenses {'|'.join(('none', *SUITES))}" in words
    assert f"Largest number of documents to attack. [default: {DOCUMENTS}" in words
    ran = run(*with_vectors(case, "--defenses", "everything", "--json"))
    assert ran.code == 2
    assert "--defenses is 'everything'; choose from none, quick, full" in ran.json["error"]


def test_membership_links_and_the_annex_are_asked_for_with_options(run: Run, case: Path) -> None:
    target = np.load(case / "target.npy")
    np.save(case / "members.npy", target[:200])
    np.save(case / "others.npy", np.random.default_rng(1).standard_normal((150, target.shape[1])).astype(np.float32))
    # Another model: the same texts in another frame.
    np.save(case / "second.npy", np.load(case / "source.npy")[:, ::-1])
    options = (
        *("--members", case / "members.npy", "--nonmembers", case / "others.npy", "--second", case / "second.npy"),
        *("--second-truth", case / "public.jsonl", "--truth", case / "public.jsonl", "--annex", case / "annex.html"),
        *("--fits", "1", "--keep", case / "kept"),
    )
    ran = run(*with_vectors(case, *options, "--json"))
    assert ran.code == 0, ran.err
    found = ran.json
    assert (found["membership"]["members"], found["membership"]["controls"]) == (200, 150)
    assert found["membership"]["control_records"] == "the records that were given"
    assert found["membership"]["found"]["0.001"] is None
    assert found["linkage"]["rows"] == [200, N]
    assert found["linkage"]["measured"]["shared"] == 1.0
    assert found["severity"]["level"] in ("high", "critical")
    assert {"second.npy", "members.npy", "others.npy"} <= set(found["provenance"]["inputs"])
    assert (case / "kept" / "second" / "fit-0").is_dir()
    assert "Article 33(3)" in (case / "annex.md").read_text("utf-8")
    (case / "annex.html").unlink()
    again = run(*with_vectors(case, *options, "--json", "--out", case / "b.html"))
    assert "annex.md exists. Choose another --annex" in again.json["error"]
    np.save(case / "second.npy", target[:9])
    refused = run(*with_vectors(case, *options, "--force", "--json"))
    assert "second.npy has 9 rows; at least 100 are needed" in refused.json["error"]
    np.save(case / "second.npy", target[:150])
    refused = run(*with_vectors(case, *options, "--force", "--json"))
    assert "public.jsonl has 600 texts" in refused.json["error"]


def test_a_translator_of_other_vectors_is_not_presented_as_a_fit_of_these(
    run: Run, case: Path, planted: tuple[Rows, Rows]
) -> None:
    assert run(*with_vectors(case, "--fits", "1", "--keep", case / "kept", "--json")).code == 0
    card = case / "kept" / "fit-0" / "card.json"
    card.write_text(card.read_text("utf-8").replace("held_out_pairs", "refit_agreement"), "utf-8")
    annex = ("--annex", case / "annex.html", "--force")
    # So few public texts teach a decoder little; with true vectors, there is a figure to cite.
    known = ("--truth-vectors", case / "target.npy")
    parts = with_vectors(case, "--translator", case / "kept" / "fit-0", *annex, *known)
    twice = run(*parts, "--translator", case / "kept" / ".." / "kept" / "fit-0", "--json")
    assert "fit-0 was given 2 times, and its agreement with itself shows nothing" in twice.json["error"]

    def audited() -> tuple[str, str]:
        ran = run(*parts)
        assert ran.code == 0, ran.err
        pages = (case / "audit.html").read_text("utf-8") + (case / "annex.md").read_text("utf-8")
        return ran.out, " ".join(pages.split())

    # The same rows in another order and in another precision are those of the fit.
    np.save(case / "source.npy", planted[0][::-1].astype(np.float64))
    out, pages = audited()
    assert "Fits: aligned\n" in out
    assert "The audited vectors were aligned with the public ones once without known pairs." in pages
    assert "other vectors" not in pages
    other = planted[0] + np.float32(0.001)
    np.save(case / "source.npy", other)
    out, pages = audited()
    assert "Fits: aligned (of a fit on other vectors)" in out
    assert "were aligned" not in pages
    assert "translated by a fit that was made on other vectors or with other public vectors." in pages
    assert "Its verdict is no evidence about these vectors." in pages
    assert "were translated to the space of 600 public texts under another encoder by a fit on other vectors" in pages


def test_every_figure_of_the_conclusion_is_in_the_table(run: Run, case: Path) -> None:
    known = ("--label-column", "label", "--truth-labels", case / "public.jsonl", "--fits", "1")
    ran = run(*with_vectors(case, *known, "--annex", case / "annex.html"))
    assert ran.code == 0, ran.err
    assert "beyond the control" in ran.out
    names = [str(case / name) for name in ("audit.html", "audit.json", "annex.html")]
    assert f"Wrote {', '.join(names)} and {case / 'annex.md'}, " in ran.err
    page = " ".join((case / "audit.html").read_text("utf-8").split())
    assert "(figure above - its control) / (1 - its control), at least 0" in page
    assert "words, labels and nearest public texts above" in page
    assert "What kind of words" not in page
    assert run(*with_vectors(case, "--fits", "1", "--force")).code == 0
    page = " ".join((case / "audit.html").read_text("utf-8").split())
    assert '<td role="cell" class="wide" data-label="this audit">words and nearest public texts above' in page


def test_a_database_is_audited_by_its_address(run: Run, case: Path, planted: tuple[Rows, Rows]) -> None:
    duckdb = pytest.importorskip("duckdb")

    def put(table: str, vectors: Rows) -> str:
        with duckdb.connect(str(case / "leak.duckdb")) as connection:
            width = vectors.shape[1]
            connection.execute(f"create table {table}(id bigint primary key, body text, topic text, v float[{width}])")
            texts = named(planted[1])
            rows = [(i, texts[i], texts[i].split()[0], vectors[i].tolist()) for i in range(len(vectors))]
            insert(connection, table, rows)
        return f"duckdb://{case / 'leak.duckdb'}#{table}.v"

    leaked, public = put("chunks", planted[0]), put("public", planted[1])
    parts = ("--authorized-by", "The Owner", "--out", case / "audit.html", "--documents", "200", "--fits", "1")
    named_columns = ("--text-column", "body", "--label-column", "topic")
    truth = ("--truth", leaked, "--truth-labels", leaked, "--truth-vectors", public)
    ran = run("audit", leaked, "--corpus", public, *parts, *named_columns, *truth, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["leak"]["basis"] == "measured"
    assert ran.json["provenance"]["vectors"] == leaked
    assert list(ran.json["provenance"]["inputs"]) == ["leak.duckdb"]
    files = run(
        *with_vectors(
            case,
            "--truth",
            case / "public.jsonl",
            "--truth-vectors",
            case / "target.npy",
            "--label-column",
            "label",
            "--truth-labels",
            case / "public.jsonl",
            "--fits",
            "1",
            "--force",
            "--json",
        )
    )
    for name in ("leak", "words", "labels", "reidentified"):
        assert ran.json[name] == files.json[name]
    error = run("audit", leaked, "--corpus", public, "--column", "v", *parts, "--force", "--json").json["error"]
    assert "--column belongs to a file; name the column or vector of a store in its address." in error
    error = run("audit", leaked + "x", "--corpus", public, *parts, "--force", "--json").json["error"]
    assert "there are: v" in error
    error = run("audit", leaked, "--corpus", public, *parts, "--force", "--json").json["error"]
    assert "--text-column: " in error
    assert "has no column 'text'; its columns are body, topic." in error
    assert "Give the option twice" not in error
    error = run(
        "audit", leaked, "--corpus", public, *parts, *named_columns[:2], "--labels", public, "--force", "--json"
    )
    assert "--labels: " in error.json["error"]
    assert "has no column 'label'; its columns are body, topic." in error.json["error"]


def test_a_row_without_text_or_label_in_a_store_is_refused(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(tmp_path / "s.duckdb")) as connection:
        connection.execute("create table t(id bigint primary key, body text, topics text[], v float[2])")
        connection.execute(
            "insert into t values (1, 'a', ['x'], [0, 1]), (2, null, null, [1, 0]), (3, 'c', [null], [1, 1])"
        )
    address = f"duckdb://{tmp_path / 's.duckdb'}#t.v"
    for column in ("body", "topics"):
        with pytest.raises(InputError, match=rf"column '{column}' holds no label in row 1 \(counted from 0\)\."):
            read_label_rows(address, column)
    with pytest.raises(InputError, match=r"column 'body' holds no text in row 1 \(counted from 0\)\."):
        read_text_rows(address, "body")


@pytest.mark.parametrize("form", ["parquet", "jsonl", "duckdb", "file"])
def test_a_row_without_a_true_text_or_label_is_unknown(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [
        {"text": "a", "label": "x"},
        {"text": None, "label": None},
        {"text": "", "label": ""},
    ]
    path = tmp_path / ("s.duckdb" if form == "duckdb" else "s.jsonl" if form == "jsonl" else "s.parquet")
    address = str(path)
    if form == "duckdb":
        duckdb = pytest.importorskip("duckdb")
        with duckdb.connect(address) as connection:
            connection.execute("create table t(id bigint primary key, text text, label text, v float[2])")
            insert(connection, "t", [(i, row["text"], row["label"], [i, 1.0]) for i, row in enumerate(rows)])
        address = f"duckdb://{path}#t.v"
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist([{**row, "v": [1.0, 2.0]} for row in rows]), path)
        address = f"file://{path}#v" if form == "file" else address
    assert read_true_texts(address, "text") == ["a", "", ""]
    said = " ".join(capsys.readouterr().err.split())
    assert f"{address}: 2 of 3 rows have no text in 'text'; they count as unknown" in said
    assert [any(map(str.strip, labels)) for labels in read_true_labels(address, "label")] == [True, False, False]
    assert "2 of 3 rows have no label in 'label'; they count as unknown" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match=r"row 1 "):
        read_text_rows(address, "text")
    for name, read in (("text", read_true_texts), ("label", read_true_labels)):
        if form == "jsonl":
            path.write_text(json.dumps({name: "a"}) + "\n")
            assert len(read(address, name)) == 1
            assert "unknown" not in capsys.readouterr().err


def test_true_texts_of_a_part_of_the_rows_are_told_how_to_be_given(run: Run, case: Path) -> None:
    (case / "part.txt").write_text("amber\n" * 100)
    unknown = "there must be one for each. An empty text stands for an unknown one."
    error = run(*with_vectors(case, "--truth", case / "part.txt", "--json")).json["error"]
    assert error == f"There are 100 true texts for {N} vectors; {unknown}"
    labels = ("--label-column", "label", "--truth-labels", case / "part.txt")
    error = run(*with_vectors(case, *labels, "--json")).json["error"]
    assert error == f"There are 100 true labels for {N} vectors; {unknown.replace('text', 'label')}"
    second = ("--truth", case / "public.jsonl", "--second", case / "source.npy", "--second-truth", case / "part.txt")
    error = run(*with_vectors(case, *second, "--json")).json["error"]
    assert error.endswith("there must be one text for each vector. An empty text stands for an unknown one.")


def test_public_vectors_equal_to_the_audited_ones_are_refused(run: Run, case: Path) -> None:
    error = run(*options(case, "--corpus-vectors", case / "source.npy", "--json")).json["error"]
    assert "source.npy was given for both sides, which hold the same vectors" in error
    error = run(*with_vectors(case, "--stand-in", case / "target.npy", "--json")).json["error"]
    assert "target.npy was given for both sides" in error
    error = run(*with_vectors(case, "--second", case / "source.npy", "--json")).json["error"]
    assert "source.npy was given for both sides" in error


@pytest.fixture
def recorded_views(case: Path, planted: tuple[Rows, Rows], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The views of each fit, which is given pairs in their place; and files of views beside the case."""
    rng = np.random.default_rng(9)
    for name in ("first", "second"):
        turned = planted[1] @ np.linalg.qr(rng.standard_normal((16, 16)))[0]
        np.save(case / f"{name}.npy", (turned + 0.05 * rng.standard_normal(turned.shape)).astype(np.float32))
    seen: list[Any] = []

    def recorded(vectors: Any, public: Any, *, views: Any = None, **settings: Any) -> Any:
        seen.append(views)
        return align(vectors, public, pairs=PAIRS, **settings)

    monkeypatch.setattr(interlingua, "align", recorded)
    return seen


def test_views_of_the_public_texts_go_into_every_fit_and_the_report(
    run: Run, case: Path, recorded_views: list[Any], planted: tuple[Rows, Rows]
) -> None:
    views = ("--view", case / "first.npy", "--view", case / "second.npy")
    second = np.concatenate([planted[0][:, ::-1], planted[0][:, :3]], axis=1)
    np.save(case / "other.npy", second)
    ran = run(*with_vectors(case, *views, "--fits", "1", "--second", case / "other.npy", "--json"))
    assert ran.code == 0, ran.err
    assert len(recorded_views) == 2
    for given in recorded_views:
        assert list(given) == ["first", "second"]
        np.testing.assert_array_equal(given["second"], np.load(case / "second.npy"))
    provenance = ran.json["provenance"]
    assert {"first.npy", "second.npy"} <= set(provenance["inputs"])
    assert f"--view {case / 'first.npy'} --view {case / 'second.npy'}" in provenance["command"]


def test_a_model_that_embeds_the_public_texts_makes_a_view_and_its_arguments_are_not_shown(
    run: Run, case: Path, recorded_views: list[Any]
) -> None:
    program = case / "embed.py"
    program.write_text("import sys, numpy\nfor row in numpy.load(sys.argv[1]): print(row.tolist())\n")
    encoder = f"command:{shlex.join([sys.executable, str(program), str(case / 'first.npy'), 'secret-key'])}"
    ran = run(*with_vectors(case, "--view", case / "second.npy", "--view-encoder", encoder, "--fits", "1", "--json"))
    assert ran.code == 0, ran.err
    assert list(recorded_views[0]) == ["second", "command embed.py"]
    np.testing.assert_allclose(recorded_views[0]["command embed.py"], np.load(case / "first.npy"), atol=1e-6)
    assert "--view-encoder 'command embed.py'" in ran.json["provenance"]["command"]
    for written in (ran.out, ran.err, (case / "audit.html").read_text("utf-8"), (case / "audit.json").read_text()):
        assert "secret-key" not in written


def test_a_model_whose_view_cannot_be_used_is_named(run: Run, case: Path, recorded_views: list[Any]) -> None:
    program = case / "embed.py"
    program.write_text("import sys, numpy\nfor row in numpy.load(sys.argv[1])[::-1]: print(row.tolist())\n")
    encoder = f"command:{shlex.join([sys.executable, str(program), str(case / 'first.npy')])}"
    error = run(*with_vectors(case, "--view-encoder", encoder, "--json")).json["error"]
    assert "--view-encoder command embed.py has too few nearest neighbors in common" in error
    without_texts = ("--corpus-vectors", case / "target.npy", "--authorized-by", "Me", "--view-encoder", "model")
    error = run("audit", case / "source.npy", *without_texts, "--json").json["error"]
    assert "--view-encoder needs the public texts: give --corpus FILE" in error
    error = run(*options(case, "--encoder", "m", "--view-encoder", "m", "--json")).json["error"]
    given = (
        "--view-encoder m is already given as the main encoder (--target-encoder, or --encoder of audit), and would "
    )
    assert f"{given}make the same vectors again. Name another model, or leave" in error
    assert not recorded_views


def test_fits_that_were_kept_are_of_the_same_views(run: Run, case: Path, recorded_views: list[Any]) -> None:
    keep = ("--fits", "1", "--keep", case / "kept", "--force", "--json")
    view = ("--view", case / "first.npy")
    for _ in range(2):
        ran = run(*with_vectors(case, *keep, *view))
        assert ran.code == 0, ran.err
    assert len(recorded_views) == 1
    error = run(*with_vectors(case, *keep)).json["error"]
    assert "holds fits of other inputs: the view 'first' is missing. Give the same inputs as then, or" in error
    error = run(*with_vectors(case, *keep, *view, "--view", case / "second.npy")).json["error"]
    assert "holds fits of other inputs: the view 'second' is new. Give" in error
    np.save(case / "first.npy", np.load(case / "first.npy")[:, ::-1])
    error = run(*with_vectors(case, *keep, *view)).json["error"]
    assert "holds fits of other inputs: the view 'first' differs. Give" in error


def test_what_is_no_view_of_the_public_texts_is_refused_by_its_file(
    run: Run, case: Path, recorded_views: list[Any]
) -> None:
    np.save(case / "short.npy", np.load(case / "first.npy")[:-1])
    np.save(case / "reversed.npy", np.load(case / "first.npy")[::-1])
    np.save(case / "turned.npy", np.load(case / "first.npy")[:, ::-1])
    first = ("--view", case / "first.npy")
    for more, message in (
        (
            ("--view", case / "short.npy"),
            f"--view {case}/short.npy has {N - 1} rows for {N:,} public texts",
        ),
        (("--view", case / "reversed.npy"), f"--view {case}/reversed.npy has too few nearest neighbors in common"),
        ((*first, *first), f"--view {case}/first.npy was given twice; give each view once"),
        ((*first, "--stand-in", case / "turned.npy"), f"--view {case}/first.npy has the same nearest neighbors as the"),
    ):
        error = run(*with_vectors(case, *more, "--json")).json["error"]
        assert message in error, error
    assert not recorded_views


def test_an_audit_ends_after_an_interrupted_fit_and_does_not_keep_it(
    run: Run, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = interlingua.align

    def align(*spaces: Any, **settings: Any) -> Any:
        done = honest(*spaces, **settings)
        return dataclasses.replace(done, trace=(*done.trace, {"step": "interrupted", "kept": "fast search"}))

    monkeypatch.setattr(interlingua, "align", align)
    ran = run(*with_vectors(case, "--fits", "1", "--keep", case / "kept", "--log", case / "log.jsonl"))
    assert (ran.code, "Interrupted." in ran.err) == (130, True), ran.err
    assert not (case / "audit.html").exists()
    assert not list((case / "kept").glob("fit-*"))
    last = json.loads((case / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["reason"]) == ("stopped", "interrupted")
