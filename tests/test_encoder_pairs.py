"""Fits on the pairs that two encoders make of public texts: functions, commands and a sentence-transformers model."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import interlingua as il
from command_line import Run
from interlingua._encoder_pairs import check_collection
from interlingua.core.errors import InputError
from interlingua.core.spaces import EmbeddingSpace
from interlingua.encoders import command_encoder, encoder_title, open_encoder, sentence_encoder, with_task

D_SOURCE, D_TARGET, N = 24, 16, 400
Encode = Callable[[list[str]], npt.NDArray[Any]]

# An encoder as a user would write one: words have random vectors, and a text has their sum. Argument 1 is the width,
# argument 2 the family; the vectors of one family are rotations of each other.
PROGRAM = """
import json, sys
import numpy as np
d, family, form = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
turn = np.linalg.qr(np.random.default_rng([d, family]).standard_normal((24, 24)))[0][:, :d]
scales = np.exp(-np.arange(24) / 6)
rows = []
for line in sys.stdin.buffer.read().decode().splitlines():
    words = [np.random.default_rng([family, *word.encode()]).standard_normal(24) for word in line.split()]
    rows.append((0.3 + np.sum(words, axis=0) * scales) @ turn)
if form == "json":
    print(*(json.dumps(row.tolist()) for row in rows), sep="\\n")
elif form == "plain":
    print(*(" ".join(map(repr, row.tolist())) for row in rows), sep="\\n")
elif form == "npy":
    np.save(sys.stdout.buffer, np.array(rows))
elif form == "short":
    print(*(json.dumps(row.tolist()) for row in rows[1:]), sep="\\n")
elif form == "ragged":
    print("[1, 2]\\n[1]")
elif form == "words":
    print("Loading the model ...")
elif form == "constant":
    print("[1, 2]\\n" * len(rows))
else:
    sys.exit("token s3cret is wrong")
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "embed.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture
def command(program: Path) -> Callable[..., str]:
    def name(d: int, family: int = 0, form: str = "json") -> str:
        return "command:" + shlex.join([sys.executable, str(program), str(d), str(family), form])

    return name


WORDS = [f"{a}{b}" for a in ("bo", "ka", "li", "mu", "ne", "so") for b in ("ra", "ti", "vo", "xe", "zu")]


def make_texts(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 6)) + f" {i}" for i in range(n)]


TEXTS = make_texts(N)


def encoder(d: int, family: int = 0) -> Encode:
    turn = np.linalg.qr(np.random.default_rng([d, family]).standard_normal((D_SOURCE, D_SOURCE)))[0][:, :d]
    scales = np.exp(-np.arange(D_SOURCE) / 6)

    def encode(texts: list[str]) -> npt.NDArray[Any]:
        words = [
            [np.random.default_rng([family, *word.encode()]).standard_normal(D_SOURCE) for word in text.split()]
            for text in texts
        ]
        return np.asarray((0.3 + np.array([np.sum(each, axis=0) for each in words]) * scales) @ turn)

    return encode


def never(texts: list[str]) -> Any:
    pytest.fail("the encoder was run")


def test_two_encoders_and_public_texts_make_a_translator_of_other_texts() -> None:
    source, target = encoder(D_SOURCE), encoder(D_TARGET)
    private = make_texts(300, seed=1)
    alignment = il.align_encoders(source, target, TEXTS, source=source(private), target=target(private))
    assert (alignment.verdict.status, alignment.method) == ("aligned", "procrustes")
    scores = il.evaluate(alignment.translator(), source(private), target(private))
    assert scores.forward.top1.value > 0.9
    steps = {(step["step"], step.get("side")): step for step in alignment.trace}
    assert steps["texts", None] == {"step": "texts", "used": N, "different": N, "of": N}
    for side in ("source", "target"):
        assert steps["collection", side]["agrees"] is True


def test_too_few_rows_of_a_collection_decide_nothing() -> None:
    source = encoder(D_SOURCE)
    alignment = il.align_encoders(source, encoder(D_TARGET), TEXTS, source=source(make_texts(20, seed=1)))
    step = next(step for step in alignment.trace if step["step"] == "collection")
    assert step == {"step": "collection", "side": "source", "agrees": False, "spectrum": None}


def related_spaces(n: int) -> tuple[EmbeddingSpace, EmbeddingSpace]:
    """Spaces of two encoders that share a sixth of the variance, as two models of one family do."""
    rng, d = np.random.default_rng(0), 300
    turns = [np.linalg.qr(rng.standard_normal((d, d)))[0] for _ in range(2)]

    def rows(turn: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(rng.standard_normal((n, d)) * np.exp(-np.arange(d) / 40) @ turn)

    first, second = (rows(turn) for turn in turns)
    other = np.sqrt(1 / 6) * rows(turns[0]) + np.sqrt(5 / 6) * second
    # Rows of no direction in particular, with which a single row of the space can be anywhere.
    first[::40] = rng.standard_normal(first[::40].shape)
    return EmbeddingSpace(first, name="first"), EmbeddingSpace(other, name="other")


def test_a_related_encoder_is_refused_where_many_texts_tell() -> None:
    space, other = related_spaces(2_000)
    with pytest.raises(il.SpaceMismatchError, match=r"did not make the source collection: .* and 0\.27 is needed"):
        check_collection(space, other, "source", 0)
    few, other = related_spaces(400)
    assert check_collection(few, other, "source", 0)["agrees"] is False


def test_unrelated_encoders_fail_on_pairs_that_were_held_out() -> None:
    alignment = il.align_encoders(encoder(D_SOURCE, 0), encoder(D_TARGET, 1), [f"{i}" for i in range(N)])
    assert alignment.verdict.status == "failed"
    measured = [evidence.name for evidence in alignment.verdict.evidence]
    assert measured == ["held_out_pairs", "rank_of_pairs", "coverage_of_pairs"]


def test_the_same_seed_draws_the_same_texts_and_gives_the_same_map() -> None:
    first, again, other = (
        il.align_encoders(encoder(D_SOURCE), encoder(D_TARGET), TEXTS, sample=250, seed=seed) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.forward.matrix, again.forward.matrix)  # type: ignore[attr-defined]
    assert first.source["fingerprint"] == again.source["fingerprint"] != other.source["fingerprint"]
    assert first.trace[0] == {"step": "texts", "used": 250, "different": N, "of": N}


def test_many_texts_are_fitted_by_ridge() -> None:
    def fast(d: int) -> Encode:
        matrix = np.random.default_rng(d).standard_normal((D_TARGET, d))
        return lambda texts: np.stack([np.random.default_rng(int(t)).standard_normal(D_TARGET) for t in texts]) @ matrix

    assert il.align_encoders(fast(24), fast(16), [str(i) for i in range(2_000)]).method == "ridge"
    assert il.align_encoders(fast(24), fast(16), [str(i) for i in range(1_999)]).method == "procrustes"


def test_repeated_and_blank_texts_are_left_out_and_line_breaks_are_spaces() -> None:
    seen: list[str] = []

    def source(texts: list[str]) -> npt.NDArray[Any]:
        seen.extend(texts)
        return encoder(D_SOURCE)(texts)

    texts = [*TEXTS, *TEXTS[:50], "", "  ", "two\nlines", "two lines"]
    alignment = il.align_encoders(source, encoder(D_TARGET), texts)
    assert seen == [*TEXTS, "two lines"]
    assert alignment.trace[0] == {"step": "texts", "used": N + 1, "different": N + 1, "of": N + 54}


@pytest.mark.parametrize("texts", [[], TEXTS[:199], ["same"] * 5_000, [" "] * 300])
def test_too_few_different_texts_are_refused(texts: list[str]) -> None:
    with pytest.raises(il.InputError, match=r"different and not blank; at least 200 are needed"):
        il.align_encoders(encoder(D_SOURCE), encoder(D_TARGET), texts)


def test_a_collection_of_another_encoder_is_refused_before_the_target_encoder_runs() -> None:
    wide = [f"{text} {' '.join(TEXTS[i - 1].split()[:3])}" for i, text in enumerate(TEXTS)]
    other = encoder(D_SOURCE, 7)(wide)
    with pytest.raises(il.SpaceMismatchError, match=r"The source encoder encode did not make the source collection"):
        il.align_encoders(encoder(D_SOURCE), never, TEXTS, source=other)
    with pytest.raises(il.InputError, match="makes vectors of width 24, and the source collection has width 16"):
        il.align_encoders(encoder(D_SOURCE), never, TEXTS, source=other[:, :16])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda n: np.ones((n - 1, 4)) + np.eye(n - 1, 4), "source encoder .*: 399 for 400 texts; one per text"),
        (lambda n: np.full((n, 4), np.nan), "source encoder"),
        (lambda n: np.ones((n, 4)), "source encoder"),
        (lambda n: [None] * n, "source encoder"),
        (lambda n: None, "source encoder"),
    ],
)
def test_what_an_encoder_may_not_return_is_refused(rows: Callable[[int], Any], message: str) -> None:
    with pytest.raises(il.InputError, match=message):
        il.align_encoders(lambda texts: rows(len(texts)), encoder(D_TARGET), TEXTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source_encoder": 5}, "source_encoder is 5; the name of a model"),
        ({"target_encoder": None}, "target_encoder is None; the name of a model"),
        ({"source_encoder": "a", "target_encoder": "a"}, "are the same"),
        ({"sample": 100}, "sample"),
        ({"method": "linear"}, "method is 'linear'; choose from"),
        ({"texts": "one text"}, "a sequence of texts is needed"),
        ({"seed": -1}, "seed"),
        ({"on_step": 3}, "on_step"),
        ({"alfa": 1, "method": "ridge"}, "alfa"),
        ({"alpha": 0.2}, "alpha needs a method by name"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments: dict[str, Any], message: str) -> None:
    given = {"source_encoder": never, "target_encoder": never, "texts": TEXTS}
    with pytest.raises(il.InputError, match=message):
        il.align_encoders(**{**given, **arguments})


@pytest.mark.parametrize("form", ["json", "plain", "npy"])
def test_a_command_reads_lines_and_writes_vectors(command: Callable[..., str], form: str) -> None:
    texts = ["boka mune", "line\nbreak", "größe 大"]
    rows = open_encoder(command(D_TARGET, 0, form))(texts)
    expected = encoder(D_TARGET)([" ".join(text.splitlines()) for text in texts])
    np.testing.assert_allclose(rows, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("short", "wrote 1 vector for 2 texts; one per text is needed"),
        ("ragged", "wrote 1 number in line 2 and 2 in line 1; all vectors need one width"),
        ("words", "wrote no vector in line 1; a JSON array or numbers between spaces or commas are needed"),
        ("exit", r"ended with exit code 1: token \*\*\* is wrong"),
    ],
)
def test_a_command_that_does_not_do_so_is_refused_in_one_sentence(
    command: Callable[..., str], form: str, message: str
) -> None:
    with pytest.raises(il.InputError, match=message) as caught:
        open_encoder(command(D_TARGET, 0, form))(["a", "b"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("", "The encoder's command is empty"),
        ("no-such-program-anywhere --x", "The encoder's program no-such-program-anywhere does not exist"),
        ("python 'open", "cannot be read"),
    ],
)
def test_a_command_that_cannot_run_is_refused_at_once(typed: str, message: str) -> None:
    with pytest.raises(il.InputError, match=message):
        command_encoder(typed)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("while True: print('y')", "wrote no vector in line 1; a JSON array"),
        ("while True: print('[1, 2]')", "wrote more than 2 vectors for 2 texts; one per text is needed"),
        ("while True: sys.stdout.write('1 ')", "wrote a line of more than 16,777,216 bytes"),
        ("while True: print()", "wrote .* blank lines among vectors"),
        ("print('[]')", "wrote no vector in line 1"),
        ("np.save(out, np.ones((2, 3)))\nwhile True: out.write(b'y')", "wrote more than one .npy"),
        ("np.save(out, np.ones((10**9, 3), np.int8))", "wrote 1,000,000,000 vectors for 2 texts"),
        ("np.save(out, np.ones((2, 2**21), np.int8))", r"an .npy of int8 and shape \(2, 2097152\)"),
        ("np.save(out, np.array(['a', 'b']))", r"an .npy of <U1 and shape \(2,\)"),
        ("print('[1, 2]\\n[1_0, 2]')", "wrote no vector in line 2"),
        ("print('Loading'); sys.exit('no model at /x')", "ended with exit code 1: no model at /x"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was ended by signal 9"),
    ],
)
def test_a_command_is_stopped_at_the_first_output_that_cannot_be_used(tmp_path: Path, code: str, message: str) -> None:
    if "signal 9" in message and sys.platform == "win32":
        pytest.skip("Windows has no signals")
    path = tmp_path / "endless.py"
    # The header alone of a large matrix decides; no such array is made.
    header = "shape = {'descr': '|i1', 'fortran_order': False, 'shape': (10**9, 3)}"
    code = code.replace(
        "np.save(out, np.ones((10**9, 3), np.int8))", f"{header}; np.lib.format.write_array_header_1_0(out, shape)"
    )
    path.write_text(f"import sys\nimport numpy as np\nout = sys.stdout.buffer\n{code}\n")
    encode = command_encoder(shlex.join([sys.executable, str(path)]))
    with pytest.raises(il.InputError, match=message):
        encode(["a", "b"])


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("token s3cret is wrong", "token *** is wrong"),
        ("401: api_key=abcdef is invalid", "401: api_key=*** is invalid"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("cannot reach https://me:pw@host/x", "cannot reach https://***@host/x"),
        ("Incorrect API key provided: sk-proj-abcdefghijkl1234", "Incorrect API key provided: ***"),
        ("bad hf_abcdefghijklmnop", "bad ***"),
        ("key given was hunter2pass", "key given was ***"),
        ("the environment has seven77words", "the environment has ***"),
        ("Cannot open the model at /x.", "Cannot open the model at /x"),
        ("the token limit is reached in all-MiniLM-L6-v2", "the token limit is reached in all-MiniLM-L6-v2"),
        ("No such file: /models/paraphrase-multilingual-v2", "No such file: /models/paraphrase-multilingual-v2"),
    ],
)
def test_what_looks_like_a_secret_in_the_last_words_of_a_command_is_masked(
    tmp_path: Path, said: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_API_KEY", "seven77words")
    path = tmp_path / "failing.py"
    path.write_text(f"import sys\nsys.exit({said!r})\n")
    encode = command_encoder(shlex.join([sys.executable, str(path), "--key", "hunter2pass"]))
    with pytest.raises(il.InputError) as caught:
        encode(["a"])
    assert str(caught.value).endswith(f"exit code 1: {shown}.")


def test_a_secret_that_a_command_gets_as_a_variable_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(il.InputError, match=r"begins with API_KEY=, and no shell reads it\. Set API_KEY in") as caught:
        command_encoder("API_KEY=hunter2 python embed.py")
    assert "hunter2" not in str(caught.value)
    path = tmp_path / "failing.py"
    path.write_text("import os, sys\nsys.exit('refused ' + os.environ['API_KEY'])\n")
    if shutil.which("env") is None:
        pytest.skip("there is no program env")
    with pytest.raises(il.InputError, match=r"exit code 1: refused \*\*\*\.$"):
        command_encoder(shlex.join(["env", "API_KEY=swordfish", sys.executable, str(path)]))(["a"])


def test_a_command_where_only_a_model_can_be_used_is_refused_and_not_repeated() -> None:
    with pytest.raises(il.InputError, match="The encoder is a command, and a sentence-transformers folder") as caught:
        sentence_encoder("command:embed --key hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_damaged_npy_of_a_command_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.py"
    path.write_text("import sys; sys.stdout.buffer.write(b'\\x93NUMPY and no more')")
    with pytest.raises(il.InputError, match="wrote a damaged .npy"):
        command_encoder(shlex.join([sys.executable, str(path)]))(["a"])


@pytest.mark.filterwarnings("error")
def test_numbers_beyond_float32_become_infinity_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "large.py"
    path.write_text("print('1e300 -1e300 1')")
    rows = command_encoder(shlex.join([sys.executable, str(path)]))(["a"])
    np.testing.assert_array_equal(rows, [[np.inf, -np.inf, 1]])


@pytest.mark.parametrize("name", ["", "  ", "\t", "@main"])
def test_a_blank_name_of_an_encoder_is_refused(name: str) -> None:
    for use in (open_encoder, encoder_title, sentence_encoder):
        with pytest.raises(InputError, match="The encoder's name is .*, which names no model. Give a sentence-transf"):
            use(name)


@pytest.mark.parametrize("name", ["python embed.py --key s3cret", "no-such-program s3cret", "sh"])
def test_a_command_without_its_prefix_is_not_taken_for_a_model(name: str) -> None:
    with pytest.raises(
        InputError, match=f"begins with '{name.split()[0]}', which looks like .* Write command: before"
    ) as e:
        open_encoder(name)
    assert "s3cret" not in str(e.value)


def test_arguments_of_a_command_name_no_space(command: Callable[..., str], tmp_path: Path) -> None:
    assert encoder_title("command:/opt/bin/embed --key s3cret") == "command embed"
    (tmp_path / "embed.py").touch()
    assert encoder_title(f"command:python3.11 {tmp_path / 'embed.py'} --key s3cret") == "command embed.py"
    assert encoder_title("command:python -c s3cret") == "command python"
    assert encoder_title("command:python s3cret") == "command python"
    assert encoder_title("all-MiniLM-L6-v2@abc") == "all-MiniLM-L6-v2@abc"


@pytest.fixture
def place(tmp_path: Path, command: Callable[..., str]) -> dict[str, Any]:
    """Files of texts, and collections of two encoders."""
    (tmp_path / "texts.txt").write_text("".join(f"{text}\n" for text in TEXTS))
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in TEXTS))
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "texts.parquet")
    private = make_texts(300, seed=1)
    for name, d, family in (("old", D_SOURCE, 0), ("new", D_TARGET, 0), ("foreign", D_SOURCE, 7)):
        np.save(tmp_path / f"{name}.npy", encoder(d, family)(private).astype(np.float32))
    return {
        "folder": tmp_path,
        "encoders": ("--source-encoder", command(D_SOURCE), "--target-encoder", command(D_TARGET)),
    }


@pytest.mark.parametrize(
    "texts", [("texts.txt",), ("texts.jsonl", "--text-column", "body"), ("texts.parquet",)], ids=lambda t: t[0]
)
def test_the_command_fits_on_public_texts_and_checks_both_collections(
    run: Run, place: dict[str, Any], texts: tuple[str, ...]
) -> None:
    folder = place["folder"]
    given = (*place["encoders"], "--texts", folder / texts[0], *texts[1:], "--sample", 350)
    log = folder / "log.jsonl"
    sides = folder / "old.npy", folder / "new.npy"
    ran = run("fit", *sides, *given, "--out", folder / "t", "--log", log, "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["status"], ran.json["method"]) == ("aligned", "procrustes")
    assert ran.json["texts"] == {"used": 350, "different": N, "of": N}
    assert ran.json["collections"] == {"source": {"agrees": True}, "target": {"agrees": True}}
    assert re.search(r"source: probably made by command \S+\.py", ran.err)
    translator = il.load(folder / "t")
    scores = il.evaluate(translator, np.load(sides[0]), np.load(sides[1]))
    assert scores.forward.top1.value > 0.9
    saved = log.read_text() + (folder / "t" / "card.json").read_text()
    assert TEXTS[0] not in saved
    assert str(folder / "embed.py") not in saved


def test_rows_left_out_of_a_collection_are_counted(run: Run, place: dict[str, Any]) -> None:
    folder = place["folder"]
    rows = np.load(folder / "old.npy")
    rows[4] = np.nan
    np.save(folder / "old.npy", rows)
    given = (*place["encoders"], "--texts", folder / "texts.txt", "--sample", 350, "--skip-bad")
    ran = run("fit", folder / "old.npy", *given, "--out", folder / "t", "--log", folder / "log.jsonl", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["left_out"] == {"source": {"rows": 1, "first": [4]}}
    assert "source: 1 without a vector that can be used is left out; the first: id 4\n" in ran.err
    read = next(line for line in (folder / "log.jsonl").read_text().splitlines() if '"read"' in line)
    assert json.loads(read)["left_out"] == {"source": 1}


def test_a_translator_needs_no_collection_and_names_can_be_given(run: Run, place: dict[str, Any]) -> None:
    folder = place["folder"]
    given = (
        *place["encoders"],
        "--texts",
        folder / "texts.txt",
        "--source-name",
        "first",
        "--method",
        "ridge",
        "--set",
        "alpha=0.2",
    )
    ran = run("fit", *given, "--out", folder / "t", "--json")
    assert ran.code == 0, ran.err
    card = il.load(folder / "t").card
    assert (card["source"]["name"], card["method"]) == ("first", "ridge")
    assert card["settings"]["alpha"] == 0.2
    assert ran.json["collections"] == {}


def test_a_report_names_public_texts(run: Run, place: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    folder = place["folder"]
    ran = run(
        "fit", *place["encoders"], "--texts", folder / "texts.txt", "--out", folder / "t", "--report", folder / "r.html"
    )
    assert ran.code == 0, ran.err
    assert any(text in (folder / "r.html").read_text() for text in TEXTS)


def test_a_foreign_collection_stops_the_command_and_nothing_is_written(run: Run, place: dict[str, Any]) -> None:
    folder = place["folder"]
    before = sorted(folder.rglob("*"))
    given = (*place["encoders"], "--texts", folder / "texts.txt", "--out", folder / "t", "--json")
    ran = run("fit", folder / "foreign.npy", *given)
    assert ran.code == 2
    assert "did not make the source collection" in ran.json["error"]
    assert "Name the encoder that made it" in ran.json["error"]
    assert sorted(folder.rglob("*")) == before


def test_an_encoder_that_fails_writes_nothing(run: Run, place: dict[str, Any], command: Callable[..., str]) -> None:
    folder = place["folder"]
    before = sorted(folder.rglob("*"))
    for form, message in (("exit", "ended with exit code 1"), ("constant", "target encoder")):
        encoders = (*place["encoders"][:2], "--target-encoder", command(D_TARGET, 0, form))
        ran = run("fit", *encoders, "--texts", folder / "texts.txt", "--out", folder / "t", "--json")
        assert ran.code == 2
        assert message in ran.json["error"]
    assert sorted(folder.rglob("*")) == before


def test_a_sentence_transformers_folder_is_an_encoder(
    run: Run, place: dict[str, Any], tmp_path: Path, command: Callable[..., str]
) -> None:
    st = pytest.importorskip("sentence_transformers", reason="needs the extra dev-export")
    tokenizers = pytest.importorskip("tokenizers")
    try:
        static = st.models.StaticEmbedding
    except AttributeError:  # sentence-transformers 6
        static = importlib.import_module("sentence_transformers.sentence_transformer.modules").StaticEmbedding
    words = ["[UNK]", *WORDS]
    vocabulary = tokenizers.models.WordLevel(dict(zip(words, range(len(words)), strict=True)), "[UNK]")
    tokenizer = tokenizers.Tokenizer(vocabulary)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    weights = np.random.default_rng(0).standard_normal((len(words), D_TARGET)).astype(np.float32)
    model = st.SentenceTransformer(modules=[static(tokenizer, embedding_weights=weights)], device="cpu")
    model.save(str(tmp_path / "model"))
    given = ("--source-encoder", tmp_path / "model", "--target-encoder", command(D_TARGET), "--allow-failed")
    ran = run("fit", *given, "--texts", place["folder"] / "texts.txt", "--out", tmp_path / "t", "--json")
    assert ran.code == 0, ran.err
    assert il.load(tmp_path / "t").d_source == D_TARGET


@pytest.mark.parametrize(
    ("task", "called"), [(None, "encode"), ("query", "encode_query"), ("document", "encode_document")]
)
def test_the_prompt_of_a_model_goes_with_the_task(
    monkeypatch: pytest.MonkeyPatch, task: str | None, called: str
) -> None:
    class Model:
        """Returns the length of the name of the method that was called."""

        def __init__(self, name: str, **options: object) -> None:
            assert options["trust_remote_code"] is False

        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda texts, **options: np.full((len(texts), 2), len(name))

    fake = ModuleType("sentence_transformers")
    fake.SentenceTransformer = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    assert open_encoder("some/model", task=task)(["a"]).tolist() == [[len(called)] * 2]


def test_another_task_is_refused() -> None:
    with pytest.raises(il.InputError, match="task is 'answer'; choose from query, document"):
        open_encoder("some/model", task="answer")
    with pytest.raises(il.InputError, match="task is 'answer'; choose from query, document"):
        with_task(len, "answer")


def test_a_model_for_both_tasks_of_a_search_is_loaded_once(
    monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path
) -> None:
    loaded: list[str] = []

    class Model:
        """Returns vectors of the length of the name of the method that was called."""

        def __init__(self, name: str, **_: object) -> None:
            loaded.append(name)

        def __getattr__(self, name: str) -> Callable[..., Any]:
            return lambda texts, **_: np.full((len(texts), D_TARGET), len(name), np.float32)

    fake = ModuleType("sentence_transformers")
    fake.SentenceTransformer = Model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", fake)
    asked = open_encoder("some/model", task="query")
    assert with_task(asked, "document")(["a"])[0, 0] == len("encode_document")
    assert asked(["a"])[0, 0] == len("encode_query")
    assert with_task(len, "document") is len
    loaded.clear()
    rows = np.random.default_rng(0).standard_normal((400, D_SOURCE)).astype(np.float32)
    pairs = np.stack([np.arange(400)] * 2, axis=1)
    il.align(rows, rows[:, :D_TARGET], pairs=pairs, method="ridge").translator(force=True).save(tmp_path / "t")
    lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), D_SOURCE)
    pq.write_table(pa.table({"id": range(400), "vector": lists, "text": ["a b"] * 400}), tmp_path / "old.parquet")
    asked_for = ("--text", "a", "--rerank", "some/model", "--allow-foreign")  # it makes the same vector of all texts
    ran = run("search", tmp_path / "t", tmp_path / "old.parquet", *asked_for, "--json")
    assert ran.code == 0, ran.err
    assert loaded == ["some/model"]


def test_on_windows_a_backslash_in_a_command_is_an_ordinary_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlingua.encoders._BACKSLASH_ESCAPES", False)
    title = encoder_title(r"command:tools\encode.exe --model 'my model'")
    assert title == r"command tools\encode.exe"
    with pytest.raises(InputError, match=r"The encoder's program tools\\encode.exe does not exist"):
        command_encoder(r"tools\encode.exe 'my model'")
