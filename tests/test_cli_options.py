"""Every option has an effect or is refused, and the help shows what there is to choose from."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import typer

import interlingua
from command_line import Run
from interlingua.aligners import METHODS
from interlingua.cli import _usage_message, app
from interlingua.cli.help import EXAMPLES
from interlingua.core.translator import load

GROUP: Any = typer.main.get_command(app)
FIT = "fit source.npy target.npy --out fitted"
ENCODERS = "fit --source-encoder command:cat --target-encoder command:tee --texts words.txt --out fitted"
TRANSLATE = "translate translator source.npy --out out.npy"
EVALUATE = "evaluate translator source.npy target.npy"
MIGRATE = "migrate translator source.npy moved.npy"
SEARCH = "search translator source.npy"
CALIBRATE = "calibrate translator source.npy target.npy --out t"
EMBED = "embed rows.parquet moved.npy --encoder command:cat"
EXPORT = "export translator --to onnx --out t.onnx"
AUDIT = "audit source.npy --authorized-by me --corpus words.txt --corpus-vectors target.npy"
BENCH = "bench in-distribution"
RAY = "translate translator rows.parquet --out out --engine ray"

# The option that is refused, the command that it is refused by, and what the refusal says.
REFUSED = [
    ("--steps", f"{FIT} --steps 5", "--steps belongs to --method adversarial; the method is auto"),
    ("--run", f"{FIT} --run folder", "--run belongs to --method adversarial; the method is auto"),
    ("--resume", f"{FIT} --resume", "--resume belongs to --method adversarial"),
    ("--device", f"{FIT} --method procrustes --pairs pairs.npy --device cpu", "--device belongs to --method linear or"),
    ("--device", f"{FIT} --pairs pairs.npy --device cpu", "--device needs --method NAME together with known pairs"),
    ("--budget", f"{FIT} --method procrustes --pairs pairs.npy --budget 5", "--budget belongs to --method linear; the"),
    ("--budget", f"{FIT} --pairs pairs.npy --budget 5", "--budget needs --method NAME together with known pairs"),
    ("--rows", f"{FIT} --pairs pairs.npy --rows 100", "use one of the two"),
    (
        "--pair-by-id",
        f"{FIT} --pair-by-id",
        "source.npy has no ids, .* name the pairs by row numbers with --pairs FILE",
    ),
    ("--pair-by-id", f"{FIT} --pair-by-id --pairs pairs.npy", "--pairs and --pair-by-id exclude each other"),
    (
        "--pair-by-id",
        f"{FIT} --pair-by-id --target other.npy",
        "--target cannot be combined with --pair-by-id.*by --reembedded",
    ),
    *(
        (
            "--reembedded",
            f"{FIT} --reembedded other.jsonl {option}",
            f"{option.split()[0]} cannot be combined with --reembedded; leave one of them out",
        )
        for option in ("--pairs pairs.npy", "--pair-by-id", "--labels x", "--target b.npy", "--view b.npy")
    ),
    ("--reembedded", f"{FIT} --reembedded target.npy", "source.npy has no ids|target.npy has no ids"),
    ("--device", f"{FIT} --pair-by-id --device cpu", "--device needs --method NAME together with known pairs"),
    ("--column", f"{FIT} --column x", "--column 'x' means nothing in a .npy file"),
    ("--key", f"{FIT} --key x", "--key 'x' means nothing in a .npy file"),
    ("--scale", f"{FIT} --scale 2", "a scale is for int8 vectors.*Leave --scale out"),
    ("--where", f"{FIT} --where x>1", "source.npy is a file, .*condition. Leave --where out"),
    ("--target-where", f"{FIT} --target-where x>1", "target.npy is a file, .*Leave --target-where out"),
    ("--show", f"{FIT} --show title", "--show has no effect without --report"),
    ("--skip-bad", f"{ENCODERS} --skip-bad", "--skip-bad leaves out rows of a collection, and none is given"),
    ("--target-name", f"{FIT} --target other.npy --target-name x", "--target-name cannot name several targets"),
    ("--view", f"{FIT} --view other.npy --target other.npy", "--target cannot be combined with --view"),
    ("--source-encoder", f"{FIT} --source-encoder a", "belong together; add --target-encoder, --texts"),
    ("--target-encoder", f"{FIT} --target-encoder a", "--target-encoder and --texts belong together: .*; add --texts"),
    ("--texts", f"{FIT} --texts words.txt", "--target-encoder and --texts belong together: .*; add --target-encoder"),
    ("--text-column", f"{FIT} --text-column x", "--text-column has no effect without --texts or --view-encoder"),
    ("--view-encoder", f"{FIT} --view-encoder command:cat", "target.npy has no other column than its vectors and ids"),
    ("--view-encoder", f"{ENCODERS} --view-encoder command:tac", "--view-encoder has no effect with --source-encoder"),
    ("--text-column", f"{ENCODERS} --text-column x", "--text-column has no effect: a .txt file has no columns"),
    *(
        (option.split()[0], f"{ENCODERS} {option}", f"{option.split()[0]} has no effect with --source-encoder")
        for option in (
            "--pairs pairs.npy",
            "--pair-by-id",
            "--reembedded x.npy",
            "--labels x",
            "--target source.npy",
            "--column x",
            "--key x",
            "--scale 2",
            "--budget 5",
            "--steps 5",
            "--run folder",
            "--resume",
            "--show x --report r.html",
        )
    ),
    ("--where", f"{ENCODERS} --where x>1", "--where selects rows of a collection, and none is given"),
    ("--target-where", f"{ENCODERS} --target-where x>1", "--target-where selects rows of a collection, and none"),
    ("--set", f"{ENCODERS} --set alpha=1", "--set needs --method ridge or procrustes"),
    ("--method", f"{ENCODERS} --method linear", "method is 'linear'; choose from"),
    ("--where", f"{EVALUATE} --where x>1", "source.npy is a file, .*Leave --where out"),
    ("--target-where", f"{EVALUATE} --target-where x>1", "target.npy is a file, .*Leave --target-where out"),
    ("--show", f"{EVALUATE} --show title", "--show has no effect without --report"),
    (
        "--settings",
        f"{FIT} --pairs pairs.npy --settings a.json",
        "--settings needs --method NAME together with known pairs",
    ),
    ("--settings", f"{ENCODERS} --settings a.json", "--settings needs --method ridge or procrustes"),
    ("--set", f"{FIT} --method identity --set rounds=2", "the method identity has no settings"),
    ("--set", f"{FIT} --set steps=2", "the method auto has no such setting. steps is a setting of "),
    ("--workers", f"{TRANSLATE} --workers 7", "--workers has no effect without --engine ray"),
    ("--force", f"{TRANSLATE} --force --resume", "--resume continues .* and --force starts over"),
    ("--id-column", f"{TRANSLATE} --id-column x", "--id-column 'x' means nothing in a .npy file"),
    ("--column", f"{TRANSLATE} --column x", "--column 'x' means nothing"),
    ("--key", f"{TRANSLATE} --key x", "--key 'x' means nothing"),
    ("--scale", f"{TRANSLATE} --scale 2", "a scale is for int8 vectors.*Leave --scale out"),
    *(
        (option.split()[0], f"{RAY} {option}", f"{option.split()[0]} has no effect with --engine ray")
        for option in (
            "--shard 1/2",
            "--resume",
            "--force",
            "--key k",
            "--id-column i",
            "--dtype float16",
            "--scale 0",
        )
    ),
    ("--force", f"{EVALUATE} --force", "--force replaces an existing report and needs --report"),
    ("--force", f"{MIGRATE} --force", "--force replaces an existing report and needs --report"),
    ("--rows", f"{MIGRATE} --rows 100", "--rows has no effect without --fit"),
    ("--resume", f"{MIGRATE} --rollback --resume", "--resume and --rollback exclude each other"),
    (
        "--allow-loss",
        f"{MIGRATE} --allow-loss",
        "--allow-loss has no effect without --rollback or --catch-up",
    ),
    ("--resume", f"{MIGRATE} --dry-run --resume", "--resume has no effect with --dry-run"),
    ("--report", f"{MIGRATE} --dry-run --report r.html", "--report has no effect with --dry-run"),
    ("--where", f"{MIGRATE} --where 'year > 3'", "cannot select rows. Leave --where out"),
    ("--skip-null", f"{MIGRATE} --skip-null", "cannot select rows. Leave --skip-null out"),
    ("--since", f"{MIGRATE} --since day=1", "--since has no effect without --catch-up"),
    ("--delete-vanished", f"{MIGRATE} --delete-vanished", "--delete-vanished has no effect without --catch-up"),
    (
        "--delete-vanished",
        f"{MIGRATE} --catch-up --since day=1 --delete-vanished",
        "cannot know which rows were deleted",
    ),
    ("--since", f"{MIGRATE} --catch-up --since day", "--since is 'day'; COLUMN=VALUE is needed"),
    ("--catch-up", f"{MIGRATE} --catch-up --rollback", "--rollback and --catch-up exclude each other"),
    ("--catch-up", f"{MIGRATE} --catch-up --resume", "--resume and --catch-up exclude each other"),
    ("--triggers", f"{MIGRATE} --triggers skip", "updates no row of a table .* Leave --triggers skip out"),
    (
        "--query",
        f"{SEARCH} --query target.npy --text a",
        "Queries were given both as --query and as --text. Leave one of them out",
    ),
    ("--query", SEARCH, "A search needs queries: give --query FILE, or --text TEXT with --encoder MODEL"),
    (
        "--text",
        f"{SEARCH} --text a",
        "--text needs the model of the query space: add --encoder MODEL, or --rerank MODEL",
    ),
    ("--encoder", f"{SEARCH} --query target.npy --encoder e", "--encoder has no effect without --text"),
    ("--rerank", f"{SEARCH} --text a --encoder e --rerank f", "are different models, whose scores cannot be ranked"),
    ("--nominees", f"{SEARCH} --query target.npy --nominees 50", "--nominees has no effect without --rerank"),
    ("--nominees", f"{SEARCH} --text a --rerank e --nominees 5", "--nominees is 5 and -k 10; at least as many"),
    ("--text-column", f"{SEARCH} --query target.npy --text-column t", "--text-column has no effect without --rerank"),
    (
        "--unique-ids",
        f"{SEARCH} --query target.npy --unique-ids",
        "One collection .* Leave --unique-ids out",
    ),
    ("--translated", f"{SEARCH} --query target.npy --translated", "leave --translated out for one of the other model"),
    (
        "--translated",
        f"{SEARCH} --query source.npy --space source --translated",
        "No target collection was given, .* or leave --translated out",
    ),
    ("--scale", f"{SEARCH} --text a --rerank e --scale source", "--scale source has no effect with --rerank"),
    ("--scale", f"{SEARCH} --query target.npy --scale source", "and this translator has none. .*leave --scale out"),
    ("--resume", f"{EMBED} --rollback --resume", "--resume and --rollback exclude each other"),
    (
        "--allow-loss",
        f"{EMBED} --allow-loss",
        "--allow-loss has no effect without --rollback or --catch-up",
    ),
    ("--resume", f"{EMBED} --dry-run --resume", "--resume has no effect with --dry-run"),
    ("--catch-up", f"{EMBED} --catch-up --rollback", "--rollback and --catch-up exclude each other"),
    ("--catch-up", f"{EMBED} --catch-up --resume", "--resume and --catch-up exclude each other"),
    ("--log", f"{EMBED} --journal j --log ./j", "--journal and --log both name j; give two names"),
    ("--journal", f"{EMBED} --journal moved.npy", "TARGET and --journal both name moved.npy; give two names"),
    ("--device", f"{EMBED} --device cdua", "There is no device 'cdua'"),
    ("--where", "identify source.npy --where x>1", "cannot select rows. Leave --where out"),
    ("--where", "plan source.npy --where x>1", "cannot select rows. Leave --where out"),
    (
        "--target-where",
        "plan source.npy --target-where x>1",
        "no target with rows to select. .*leave --target-where out",
    ),
    (
        "-k",
        f"{SEARCH} --query target.npy -k 900",
        "600 queries with 900 hits each are 540,000 hits.* 500,000 are possible. Lower -k",
    ),
    ("--column", f"{CALIBRATE} --column x", "--column 'x' means nothing in a .npy file"),
    ("--key", f"{CALIBRATE} --key x", "--key 'x' means nothing in a .npy file"),
    ("--scale", f"{CALIBRATE} --scale 2", "a scale is for int8 vectors.*Leave --scale out"),
    ("--translated", f"{CALIBRATE} --translated", "This translator has no calibration, and translated vectors do not"),
    ("--where", f"{CALIBRATE} --where x>1", "source.npy is a file, .*Leave --where out"),
    ("--target-where", f"{CALIBRATE} --target-where x>1", "target.npy is a file, .*Leave --target-where out"),
    ("--public", f"{EXPORT} --public", "--public belongs to --to hub"),
    ("--encoder", f"{EXPORT} --encoder folder", "belong to --to sentence-transformers"),
    ("--documents", f"{EXPORT} --documents folder", "belong to --to sentence-transformers"),
    ("--allow-foreign", f"{EXPORT} --allow-foreign", "--allow-foreign has no effect without --encoder"),
    ("--allow-foreign", f"{AUDIT} --allow-foreign", "--allow-foreign has no effect without --translator"),
    ("--inverse", "export translator --to hub --out me/t --inverse", "holds both directions"),
    ("--view", f"{AUDIT} --translator translator --view other.npy", "--view has no effect with --translator"),
    ("--view-encoder", f"{AUDIT} --translator translator --view-encoder m", "--view-encoder has no effect with --tra"),
    ("--view-encoder", f"{AUDIT} --view-encoder m --view-encoder m", "--view-encoder m was given twice"),
    ("--fits", f"{AUDIT} --translator translator --fits 2", "--fits has no effect with --translator"),
    ("--keep", f"{AUDIT} --translator translator --keep folder", "--translator uses fits that exist and --keep"),
    ("--data", f"{AUDIT} --data folder", "--data has no effect without --demo"),
    ("--encoder", f"{AUDIT} --encoder e", "--encoder has no effect: the vectors of all texts and labels are given"),
    ("--text-column", f"{AUDIT} --text-column words", "--text-column has no effect: a .txt file has no columns"),
    (
        "--text-column",
        f"{AUDIT} --truth b.TXT --text-column x",
        "--text-column has no effect: a .txt file has no columns",
    ),
    ("--label-vectors", f"{AUDIT} --label-vectors target.npy", "--label-vectors has no effect without --labels"),
    ("--truth-labels", f"{AUDIT} --truth-labels words.txt", "--truth-labels has no effect without --labels"),
    ("--nonmembers", f"{AUDIT} --nonmembers target.npy", "--nonmembers has no effect without --members"),
    ("--second-truth", f"{AUDIT} --second-truth words.txt", "--second-truth has no effect without --second"),
    (
        "--second-truth",
        f"{AUDIT} --second source.npy --second-truth words.txt",
        "--second-truth has no effect without --truth: links are measured",
    ),
    ("--annex", f"{AUDIT} --annex annex.md", "--annex is annex.md; a name that ends in .html is needed"),
    ("--log", "translate translator source.npy --out a.npy --log a.npy", "OUTPUT and --log both name a.npy; give two"),
    ("--log", f"{MIGRATE} --journal j --log ./j", "--journal and --log both name j; give two names"),
    ("--report", f"{MIGRATE} --journal j.html --report j.html", "--journal and --report both name j.html; give two"),
    ("--journal", f"{MIGRATE} --journal moved.npy", "TARGET and --journal both name moved.npy; give two names"),
    ("--show", f"{MIGRATE} --show title", "--show has no effect without --report"),
    ("--fit", "migrate a source.npy b.npy --fit target.npy --log a", "DIR and --log both name a; give two names"),
    ("--report", "fit source.npy target.npy --out a.html --report a.html", "--out and --report both name a.html; give"),
    (
        "--run",
        "fit source.npy target.npy --out a --run a --method neural",
        "--out and --run both name a; give two names",
    ),
    ("--log", f"{AUDIT} --out a.html --log a.json", "the .json file of --out and --log both name a.json; give two"),
    ("--log", f"{AUDIT} --out a.html --annex b.html --log b.md", "the .md file of --annex and --log both name b.md"),
    ("--annex", f"{AUDIT} --out a.html --annex a.html", "--annex and --out both name a.html; give two names"),
    ("--label-column", f"{AUDIT} --labels words.txt --label-column c", "--label-column and --labels exclude"),
    *(
        (option, f"audit --demo {option} x", f"{option} has no effect with --demo: --demo has its own")
        for option in (
            "--corpus",
            "--corpus-vectors",
            "--encoder",
            "--stand-in",
            "--view",
            "--view-encoder",
            "--labels",
            "--label-vectors",
            "--label-column",
            "--text-column",
            "--truth",
            "--truth-labels",
            "--truth-vectors",
            "--members",
            "--nonmembers",
            "--second",
            "--second-truth",
            "--column",
        )
    ),
    ("--steps", f"{BENCH} --steps 5", "--steps belongs to the table ablations"),
    ("--method", "bench ablations --method linear", "--method has no effect in the table ablations"),
    ("--k", f"{BENCH} --k 5", "--k belongs to the table attributes"),
    ("--on", f"{BENCH} --on tweets", "--on has no effect in the table in-distribution"),
    ("--oracle-rows", "bench inversion --oracle-rows 9", "--oracle-rows has no effect in the table inversion"),
    ("--model", f"{BENCH} --model a=b", "--model has no effect without --encode"),
    ("--text", f"{BENCH} --text a=b", "--text has no effect without --encode"),
    ("--texts", f"{BENCH} --texts 99", "--texts has no effect without --encode"),
]
# Options that mean the same whatever the other options are.
ALWAYS = {
    "fit": "--target --out --report --force --allow-failed --seed --log --json --method --source-name",
    "translate": "--out --inverse --shard --resume --allow-foreign --dtype --engine --log --json",
    "evaluate": "--skip-bad --pool --seed --column --key --scale --report --json --sample --allow-foreign --log",
    "migrate": "--rollback --dry-run --fit --journal --inverse --metric --ids-as-text --drop-payload --skip-bad "
    "--page-rows --allow-foreign --seed --log --json",
    "embed": "--rollback --dry-run --encoder --text-column --metric --ids-as-text --drop-payload --where --skip-null "
    "--skip-bad --triggers --page-rows --json",
    "search": "--space -k --calibrate --show --allow-foreign --seed --log --json",
    "calibrate": "--out --force --source-queries --target-queries --paired --skip-bad --allow-foreign --seed --log "
    "--json",
    "export": "--to --out --json",
    "identify": "--rows --seed --log --json",
    "audit": "--authorized-by --out --defenses --documents --fail-above --show-words --demo --force --seed "
    "--log --json --translator --kinds --halvings --key --scale",
    "bench": "--vectors --out --corpus --encoder --seeds --rows --pool --json --encode",
    "plan": "--rows --seed --log --json",
    "serve": "--port --max-mb --browser",
    "settings": "--json",
    "inspect": "--json",
    "doctor": "--json",
    "demo": "--data --report --seed --json",
}


@pytest.fixture
def place(folder: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the files, with nothing that could do the work: a refusal comes before it."""
    monkeypatch.chdir(folder)
    (folder / "words.txt").write_text("word\n" * 600)
    for name in ("align", "EmbeddingSpace"):
        monkeypatch.setattr(interlingua, name, None, raising=False)
    return folder


@pytest.mark.parametrize(("option", "typed", "message"), REFUSED, ids=[typed for _, typed, _ in REFUSED])
def test_an_option_that_would_be_ignored_is_refused(
    run: Run, place: Path, option: str, typed: str, message: str
) -> None:
    before = sorted(place.rglob("*"))
    ran = run(*shlex.split(typed), "--json")
    assert ran.code == 2, ran.err
    assert re.search(message, ran.json["error"]), ran.json["error"]
    assert sorted(place.rglob("*")) == before


def test_pairs_are_refused_by_methods_without_them(run: Run, folder: Path) -> None:
    files = folder / "source.npy", folder / "target.npy"
    ran = run("fit", *files, "--out", folder / "t", "--method", "gromov", "--pairs", folder / "pairs.npy", "--json")
    assert ran.code == 2
    assert "600 pairs were given and gromov uses none. Leave --pairs out, or choose a method" in ran.json["error"]
    ran = run("fit", *files, "--out", folder / "t", "--method", "procrustes", "--json")
    assert ran.code == 2
    assert "procrustes learns from known pairs and none were given. Give --pairs, numbers of a" in ran.json["error"]


def options() -> Iterator[tuple[str, Any]]:
    for name, command in GROUP.commands.items():
        for parameter in command.params:
            if parameter.param_type_name == "option" and "--help" not in parameter.opts:
                yield name, parameter


def test_the_table_of_refusals_has_every_option_of_every_command() -> None:
    refused = {(typed.split()[0], option) for option, typed, _ in REFUSED}
    # What --pairs and --labels need is known to the method alone: test_pairs_are_refused_by_methods_without_them.
    listed = (
        refused
        | {("fit", "--pairs"), ("fit", "--labels")}
        | {(name, option) for name, text in ALWAYS.items() for option in text.split()}
    )
    existing = {(name, parameter.opts[0]) for name, parameter in options()}
    lacking, old = sorted(existing - listed), sorted(listed - existing)
    assert not lacking, f"add a refused value of {lacking} to REFUSED of this file, or the option to ALWAYS"
    assert not old, f"REFUSED or ALWAYS of this file has options that do not exist: {old}"


def test_default_numbers_are_those_of_the_library() -> None:
    """The command line does not import the modules that hold them before a command needs them."""
    from interlingua.bench import Plan
    from interlingua.evaluation import evaluate
    from interlingua.leakage.audit import DOCUMENTS

    defaults = {(name, parameter.opts[0]): parameter.default for name, parameter in options()}
    assert defaults["evaluate", "--pool"] == inspect.signature(evaluate).parameters["pool"].default
    assert defaults["bench", "--pool"] == inspect.signature(Plan).parameters["pool"].default
    assert defaults["audit", "--documents"] == DOCUMENTS


@pytest.mark.parametrize("name", GROUP.commands)
def test_help_has_no_raw_types_and_ends_with_examples(run: Run, name: str) -> None:
    text = run(name, "--help").out
    assert not re.search(r"<(int|float|str|path|list|text)\b|range>|[{}]", text), text
    assert "default: (" not in text
    shown = re.sub(r" \\\n +", " ", text.split("Examples:\n")[1])
    assert shown.splitlines() == [f"  {line}" for line in EXAMPLES[name]], "as EXAMPLES of interlingua.cli.help"


@pytest.mark.parametrize("name", GROUP.commands)
def test_help_fits_a_terminal_of_80_columns(run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    lines = run(name, "--help").out.splitlines()
    assert max(map(len, lines)) <= 80, f"shorten: {max(lines, key=len)}"
    descriptions = "\n".join(lines).split("\nOptions:\n")[1]
    assert not re.search(r"[a-z]-$", descriptions, re.MULTILINE), "a line ends inside a hyphenated word"
    assert not re.search(r"\|[\w-]+>|[<>]=", descriptions), "choices and ranges as a person writes them"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("demo --seed x", "'--seed': .*(x was given; a whole number is needed|is not a valid int)"),
        ("demo --seed -1", "'--seed': .*(-1 was given; at least 0 is needed|is not in the range)"),
        ("serve --port 99999", "'--port': .*(99999 was given; at most 65535 is needed|is not in the range)"),
    ],
)
def test_a_wrong_value_is_refused_in_the_words_of_the_command(run: Run, typed: str, message: str) -> None:
    ran = run(*shlex.split(typed))
    assert ran.code == 2
    assert re.search(message, ran.err)
    assert "Input should" not in ran.err


def test_a_message_repeats_what_was_typed_as_it_was_typed(run: Run) -> None:
    ran = run("export", "t", "--to", "Value error, Input should be a valid integer", "--out", "x")
    assert ran.code == 2
    assert re.search("'Value error, Input should be a valid integer' is not one of", " ".join(ran.err.split()))
    assert "Value error, 'Value" not in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("kind", "limits", "given", "message"),
    [
        (float, {"gt": 0}, "0", "0 was given; more than 0.0 is needed."),
        (int, {"lt": 3}, "3", "3 was given; less than 3 is needed."),
        (int, {"ge": 2}, "1", "1 was given; at least 2 is needed."),
        (int, {"le": 2}, "3", "3 was given; at most 2 is needed."),
        (float, {"allow_inf_nan": False}, "inf", "inf was given; a finite number is needed."),
        (float, {}, "", "Nothing was given; a number is needed."),
        (int, {}, "1.5", "1.5 was given; a whole number is needed."),
        (bool, {}, "maybe", "maybe was given; true or false is needed."),
        (bytes, {}, 1, "of the parser"),
    ],
)
def test_what_pydantic_refuses_is_said_with_the_value(
    kind: type, limits: dict[str, Any], given: Any, message: str
) -> None:
    pydantic = pytest.importorskip("pydantic")
    with pytest.raises(pydantic.ValidationError) as refused:
        pydantic.TypeAdapter(Annotated[kind, pydantic.Field(**limits)]).validate_python(given)
    assert _usage_message("of the parser", refused.value) == message


def test_other_usage_errors_keep_their_message() -> None:
    assert _usage_message("No such option: --jso", None) == "No such option: --jso"


def test_ranges_in_the_help_are_words(run: Run) -> None:
    assert "[default: 0; 0 to 6]" in run("audit", "--help").out
    assert "[at least 2]" in run("evaluate", "--help").out


@pytest.mark.parametrize("example", [line for lines in EXAMPLES.values() for line in lines])
def test_examples_are_commands_that_parse(example: str) -> None:
    words = shlex.split(example)
    assert words[0] == "interlingua"
    context = GROUP.make_context("interlingua", ["doctor"], resilient_parsing=True)
    GROUP.commands[words[1]].make_context(words[1], words[2:], parent=context)
    assert len(example) < 100, f"{len(example)} characters; shorten the example"


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        (
            "fit",
            [
                "Known pairs and categories",
                "Input",
                "Encoders that embed public texts, or those of TARGET",
                "Method",
                "Training, with --method adversarial",
            ],
        ),
        (
            "audit",
            [
                "Public text",
                "Labels",
                "Ground truth, if it is known",
                "Membership and linkage",
                "What is attacked and measured",
                "Input",
            ],
        ),
        ("translate", ["Input", "Parts and clusters"]),
        ("migrate", ["Resume, undo and catch up", "A new translator", "Rows and payload"]),
        ("embed", ["Resume, undo and catch up", "Rows and payload"]),
        ("search", ["Queries and hits as texts", "Scores"]),
        ("bench", ["Computing missing vectors"]),
    ],
)
def test_help_groups_options(run: Run, name: str, panels: list[str]) -> None:
    text = run(name, "--help").out
    headings = re.findall(r"^(\w.*):$", text, re.MULTILINE)
    assert headings == ["Arguments", "Options", *panels, "Examples"]


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_no_group_of_options_is_too_long_to_look_through(run: Run, name: str) -> None:
    text = run(name, "--help").out
    groups = re.split(r"^\w.*:$", text, flags=re.MULTILINE)
    assert max(len(re.findall(r"^  -", group, re.MULTILINE)) for group in groups) <= 15


def test_choices_are_in_the_help(run: Run) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"-\s+", "-", run("fit", "--help").out))
    for choices in (*METHODS, "preset=small|paper|paper-text|annealed", "start=warm|cold", "cpu|cuda|cuda:N|mps|auto"):
        assert choices in text


@pytest.fixture(scope="module")
def quick() -> interlingua.Alignment:
    """A fit that takes no time, in the place of the one whose settings are looked at."""
    rows = np.random.default_rng(0).standard_normal((120, 8))
    return interlingua.align(rows, rows, method="identity")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["rounds=3", "nonorthogonal=false"], {"rounds": 3, "nonorthogonal": False}),
        (["nonorthogonal=TRUE"], {"nonorthogonal": True}),
        (["budget=30"], {"budget": 30.0}),
        (["--budget 30"], {"budget": 30.0}),
        (["--budget 0"], {"budget": 0.0}),
        ([], {}),
    ],
)
def test_settings_arrive_in_the_card_with_their_types(
    run: Run,
    folder: Path,
    quick: interlingua.Alignment,
    monkeypatch: pytest.MonkeyPatch,
    typed: list[str],
    expected: dict[str, Any],
) -> None:
    given: dict[str, Any] = {}

    def align(*sides: Any, **more: Any) -> Any:
        given.update(more)
        return quick

    monkeypatch.setattr(interlingua, "align", align)
    arguments = [part for text in typed for part in (text.split() if text.startswith("--") else ("--set", text))]
    files = folder / "source.npy", folder / "target.npy"
    ran = run("fit", *files, "--out", folder / "t", "--allow-failed", *arguments)
    assert ran.code == 0, ran.err
    assert {name: given[name] for name in given if name in ("rounds", "nonorthogonal", "device", "budget")} == expected
    assert all(type(given[name]) is type(value) for name, value in expected.items())


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--set rounds", "'rounds' is not an assignment; write NAME=VALUE"),
        ("--set =3", "is not an assignment"),
        ("--set rounds=ten", "--set rounds is 'ten'; a whole number is needed"),
        ("--set nonorthogonal=maybe", "--set nonorthogonal is 'maybe'; true or false is needed"),
        (
            "--set round=3",
            "no such setting. Did you mean rounds\\? It has budget, correction, device, nonorthogonal, rounds",
        ),
        ("--set rounds=1 --set rounds=2", "rounds was given more than once"),
        ("--device cpu --set device=cpu", "device was given more than once"),
        ("--budget 3 --set budget=3", "budget was given more than once"),
        ("--method mini-vec2vac", "choose from .* Did you mean mini-vec2vec\\?"),
        ("--method adversarial --set cycel=0", "Did you mean cycle\\?"),
        ("--method adversarial --set cycle=none", "--set cycle is 'none'; a number is needed"),
        ("--method adversarial --set vsp_end=x", "--set vsp_end is 'x'; a number, or none is needed"),
        ("--method adversarial --set preset=huge", "preset is 'huge'"),
        ("--method adversarial --set norm=group", "norm is 'group'; choose from batch, layer"),
        ("--method adversarial --set resume=true", "need the folder of a run"),
    ],
)
def test_settings_that_cannot_be_are_refused(run: Run, place: Path, typed: str, message: str) -> None:
    if "adversarial" in typed:
        pytest.importorskip("torch")
    ran = run(*FIT.split(), *shlex.split(typed), "--json")
    assert ran.code == 2
    assert re.search(message, ran.json["error"]), ran.json["error"]


def test_a_training_setting_reaches_the_card(run: Run, folder: Path) -> None:
    pytest.importorskip("torch")
    files = folder / "source.npy", folder / "target.npy"
    more = ("--set", "start=cold", "--set", "cycle=0", "--set", "lr=1e-3", "--steps", "2", "--allow-failed")
    ran = run("fit", *files, "--out", folder / "t", "--method", "adversarial", *more)
    assert ran.code == 0, ran.err
    assert load(folder / "t").card["settings"].items() >= {"cycle": 0.0, "lr": 1e-3}.items()


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("cpu", False, "cpu"),
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cuda", True, "cuda"),
        ("cuda:0", True, "cuda:0"),
    ],
)
def test_the_device_reaches_the_default_method(
    run: Run,
    folder: Path,
    quick: interlingua.Alignment,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    available: bool,
    expected: str,
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    given: dict[str, Any] = {}

    def align(*sides: Any, **more: Any) -> Any:
        given.update(more)
        return quick

    monkeypatch.setattr(interlingua, "align", align)
    files = folder / "source.npy", folder / "target.npy"
    assert run("fit", *files, "--out", folder / "t", "--allow-failed", "--device", device).code == 0
    assert (given["method"], given["device"]) == ("auto", expected)


def test_a_missing_gpu_is_refused(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = run(*FIT.split(), "--device", "cuda", "--json")
    assert ran.code == 2
    assert "torch finds no GPU. Use --device 'cpu' or --device 'auto'" in ran.json["error"]


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cdua", "There is no device 'cdua'; choose from cpu, cuda, cuda:N"),
        ("cuda:7", "device is 'cuda:7' and torch finds 2 GPUs, numbered from 0. Use --device 'cuda'"),
    ],
)
def test_a_device_that_does_not_exist_is_refused_with_the_reason_of_the_library(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, device: str, message: str
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ran = run(*FIT.split(), "--device", device, "--json")
    assert ran.code == 2
    assert message in ran.json["error"]


def test_rows_can_exceed_the_default_limit_of_the_solver(
    run: Run, folder: Path, quick: interlingua.Alignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def align(*sides: Any, **more: Any) -> Any:
        given.append(more)
        return quick

    monkeypatch.setattr(interlingua, "align", align)
    files = folder / "source.npy", folder / "target.npy"
    for more in ((), ("--rows", 30_000)):
        run("fit", *files, "--out", folder / "t", "--allow-failed", "--force", *more)
    assert "max_rows" not in given[0]
    assert given[1]["max_rows"] == 30_000


@pytest.mark.parametrize("option", ["--out", "--report"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("source.npy/sub.html", "source.npy is a file and not a folder. Choose another name"),
        ("x" * 300 + ".html", "cannot be written (the system reports: File name too long)"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_fit(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str, message: str
) -> None:
    monkeypatch.setattr("interlingua.align", lambda *_, **__: pytest.fail("the fit was started"))
    outputs = {"--out": folder / "t", option: folder / name}
    words = [word for pair in outputs.items() for word in pair]
    ran = run("fit", folder / "source.npy", folder / "target.npy", *words)
    assert ran.code == 2
    assert message in " ".join(ran.err.split())


@pytest.mark.parametrize(
    "words",
    [
        "identify x.npy --rows",
        "plan x.npy --rows",
        "search t x.npy --query q.npy -k",
        "evaluate t a.npy b.npy --pool",
        "evaluate t a.npy b.npy --sample",
        "fit a.npy b.npy --out c --seed",
        "fit a.npy b.npy --out c --rows",
        "migrate t a.npy b.npy --rows",
        "migrate t a.npy b.npy --page-rows",
        "embed a.npy b.npy --encoder command:cat --page-rows",
        "bench in-distribution --rows 5000 --rows",
        "bench in-distribution --pool",
        "audit a.npy --authorized-by me --documents",
    ],
)
def test_numbers_that_no_library_takes_are_refused_before_anything_is_read(run: Run, words: str) -> None:
    ran = run(*words.split(), 10**23)
    assert ran.code == 2
    option = words.split()[-1]
    assert re.search(rf"{option}'?:? (is )?{10**23}( was given)?; .*(<=|at most) \d+ is needed", ran.err), ran.err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("fit a.npy b.npy --out=", "--out"),
        ("fit a.npy b.npy --out ''", "--out"),
        ("fit a.npy b.npy --out c --report ''", "--report"),
        ("fit a.npy b.npy --out c --log ''", "--log"),
        ("fit a.npy b.npy --out c --settings ''", "--settings"),
        ("fit a.npy b.npy --out c --pairs=", "--pairs"),
        ("fit --source-encoder command:cat --target-encoder command:cat --texts '' --out c", "--texts"),
        ("translate t '' --out c.npy", "INPUT"),
        ("translate '' a.npy --out c.npy", "DIR"),
        ("translate t a.npy --out ''", "--out"),
        ("migrate '' a.npy b.npy", "DIR"),
        ("migrate t a.npy b.npy --journal ''", "--journal"),
        ("search t a.npy --query ''", "--query"),
        ("audit --demo --out ''", "--out"),
    ],
)
def test_an_empty_path_is_not_the_working_folder(run: Run, words: str, named: str) -> None:
    ran = run(*shlex.split(words))
    assert ran.code == 2
    assert ran.err == f"Error: {named} is empty; the path of a file or folder is needed.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--pairs pairs.npy --run folder", "--run needs --method NAME together with known pairs"),
        ("--method adversarial --resume", "resume and tensorboard need the folder of a run. Pass --run PATH."),
    ],
)
def test_the_folder_of_a_run_is_named_as_its_option(run: Run, folder: Path, words: str, said: str) -> None:
    paths = shlex.split(words.replace("pairs.npy", str(folder / "pairs.npy")))
    ran = run("fit", folder / "source.npy", folder / "target.npy", "--out", folder / "out", *paths)
    assert ran.code == 2
    assert said in ran.err
    assert "older=" not in ran.err
