from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from command_line import Run
from exported import D_SOURCE, D_TARGET, linear, neural, rows
from interlingua.core.errors import InputError, MissingExtraError, OutputExistsError
from interlingua.core.translator import Translator
from interlingua.export import to_onnx, to_query_bridge, to_safetensors, to_sentence_transformers

LINEAR = {
    "unit to unit": linear,
    "raw rows": lambda: linear(unit_in=False),
    "free length": lambda: linear(unit_out=False),
    "typical length": lambda: linear(norm_out=7.5),
}
NEURAL = {
    "batch norm": neural,
    "layer norm": lambda: neural(norm="layer"),
    "without skips": lambda: neural(gated=False),
    "shallow": lambda: neural(depths=(1, 2)),
}
Runner = Callable[[Any], Any]


# The client's own deprecations are not ours; the tiny encoders of these tests look like no fitted space.
QUIET = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::interlingua.core.errors.SpaceMismatchWarning",
)


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)


def onnx_runner(path: Path) -> Runner:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda x: session.run(["translated"], {"vectors": x})[0]


def numpy_runner(path: Path) -> Runner:
    """The documented formula of the plain layout, and nothing of ours."""
    with safe_open(path, "np") as file:
        header, weight, bias = file.metadata(), file.get_tensor("weight"), file.get_tensor("bias")
    assert header["layout"] == "interlingua-affine-1"

    def unit(x: Any) -> Any:
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def call(x: Any) -> Any:
        y = (unit(x) if header["unit_in"] == "1" else x) @ weight.T + bias
        return float(header["norm_out"]) * unit(y) if header["unit_out"] == "1" else y

    return call


def agree(run: Runner, translator: Translator) -> None:
    """A batch, a single row and another length of row, in both of which the export must not look at other rows."""
    x = rows(D_SOURCE)
    expected = translator.translate(x)
    close(run(x), expected)
    close(run(x[7:8]), expected[7:8])
    close(run(x[7:8])[0], translator.translate(x[7]))


@pytest.mark.parametrize("make", [*LINEAR.values(), *NEURAL.values()], ids=[*LINEAR, *NEURAL])
def test_onnx_gives_what_translate_gives(tmp_path: Path, make: Callable[[], Translator]) -> None:
    translator = make()
    agree(onnx_runner(to_onnx(translator, tmp_path / "t.onnx")), translator)
    back = onnx_runner(to_onnx(translator, tmp_path / "back.onnx", inverse=True))
    close(back(rows(D_TARGET)), translator.invert(rows(D_TARGET)))


def test_onnx_says_where_it_comes_from_and_takes_any_number_of_rows(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    model = onnx.load(to_onnx(linear(), tmp_path / "t.onnx", inverse=True))
    facts = {prop.key: prop.value for prop in model.metadata_props}
    assert facts["from"] == "right"
    assert facts["verdict"] == "aligned"
    assert facts["translator"] == linear().fingerprint()
    first = model.graph.input[0].type.tensor_type.shape.dim
    assert (first[0].dim_param, first[1].dim_value) == ("n", D_TARGET)


def test_onnx_gives_no_nan_for_a_zero_row(tmp_path: Path) -> None:
    run = onnx_runner(to_onnx(linear(), tmp_path / "t.onnx"))
    assert np.isfinite(run(np.zeros((1, D_SOURCE), np.float32))).all()


@pytest.mark.parametrize("make", LINEAR.values(), ids=LINEAR)
def test_the_plain_layout_gives_what_translate_gives(tmp_path: Path, make: Callable[[], Translator]) -> None:
    translator = make()
    agree(numpy_runner(to_safetensors(translator, tmp_path / "t.safetensors")), translator)


def test_the_plain_layout_holds_all_of_a_network(tmp_path: Path) -> None:
    translator = neural()
    path = to_safetensors(translator, tmp_path / "t.safetensors", inverse=True)
    with safe_open(path, "np") as file:
        header = file.metadata()
        assert set(file.keys()) == set(translator.network.tensors)
    assert (header["layout"], header["from_space"]) == ("interlingua-network-1", "target")
    assert json.loads(header["settings"]) == json.loads(json.dumps(translator.network.settings()))


@pytest.fixture
def st() -> Any:
    return pytest.importorskip("sentence_transformers", reason="needs the extra dev-export")


def modules_runner(st: Any, path: Path) -> Runner:
    torch = pytest.importorskip("torch")
    model = st.SentenceTransformer(str(path), device="cpu", local_files_only=True)
    with torch.no_grad():
        return lambda x: model({"sentence_embedding": torch.from_numpy(x)})["sentence_embedding"].detach().numpy()


@pytest.mark.parametrize("make", LINEAR.values(), ids=LINEAR)
@QUIET
def test_stock_modules_give_what_translate_gives(tmp_path: Path, st: Any, make: Callable[[], Translator]) -> None:
    translator = make()
    agree(modules_runner(st, to_sentence_transformers(translator, tmp_path / "st")), translator)


@pytest.fixture
def encoders(tmp_path: Path, st: Any) -> dict[str, Path]:
    """Two tiny encoders of texts, of the widths of both spaces."""
    tokenizers = pytest.importorskip("tokenizers")
    words = ["[UNK]", "a", "text", "of", "several", "words", "about", "nothing"]
    made = {}
    for name, d in (("left", D_SOURCE), ("right", D_TARGET)):
        tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(dict(zip(words, range(8), strict=True)), "[UNK]"))
        tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        weights = np.random.default_rng(d).standard_normal((8, d)).astype(np.float32)
        parts = [st.models.StaticEmbedding(tokenizer, embedding_weights=weights), st.models.Normalize()]
        model = st.SentenceTransformer(modules=parts, device="cpu", prompts={"query": "about ", "document": ""})
        model.save(str(tmp_path / name))
        made[name] = tmp_path / name
    return made


TEXTS = ["a text of several words", "nothing", "words about a text"]


@QUIET
def test_behind_an_encoder_texts_go_in_and_the_encoder_stays_as_it_was(
    tmp_path: Path, st: Any, encoders: dict[str, Path]
) -> None:
    translator = linear()
    before = {path.name: path.read_bytes() for path in encoders["left"].rglob("*") if path.is_file()}
    model = st.SentenceTransformer(
        str(to_sentence_transformers(translator, tmp_path / "st", encoder=encoders["left"], allow_foreign=True)),
        device="cpu",
    )
    alone = st.SentenceTransformer(str(encoders["left"]), device="cpu")
    close(model.encode(TEXTS), translator.translate(alone.encode(TEXTS)))
    close(model.encode(TEXTS[0]), translator.translate(alone.encode(TEXTS[0])))
    assert before == {path.name: path.read_bytes() for path in encoders["left"].rglob("*") if path.is_file()}


@QUIET
def test_the_bridge_translates_queries_and_not_documents(tmp_path: Path, st: Any, encoders: dict[str, Path]) -> None:
    translator = linear()
    left, right = encoders["left"], encoders["right"]
    path = to_query_bridge(translator, tmp_path / "bridge", queries=left, documents=right, allow_foreign=True)
    model = st.SentenceTransformer(str(path), device="cpu")
    left, right = (st.SentenceTransformer(str(encoders[side]), device="cpu") for side in ("left", "right"))
    close(model.encode_query(TEXTS), translator.translate(left.encode_query(TEXTS)))
    close(model.encode_document(TEXTS), right.encode_document(TEXTS))


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    folder = fake_encoder(tmp_path, {"word_embedding_dimension": D_TARGET})
    with pytest.raises(InputError, match="gives vectors of width 16 and width 24 is needed.*wrong direction"):
        to_sentence_transformers(linear(), tmp_path / "out", encoder=folder)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("inverse", [False, True])
def test_a_static_encoder_of_another_width_is_refused(tmp_path: Path, inverse: bool) -> None:
    kind = "sentence_transformers.models.StaticEmbedding"
    folder = tmp_path / "static"
    (folder / "0_StaticEmbedding").mkdir(parents=True)
    module = {"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": kind}
    (folder / "modules.json").write_text(json.dumps([module]))
    weights = np.ones((8, D_SOURCE if inverse else D_TARGET), np.float32)
    save_file({"embedding.weight": weights}, folder / "0_StaticEmbedding" / "model.safetensors")
    with pytest.raises(InputError, match="gives vectors of width .* is needed.*wrong direction"):
        to_sentence_transformers(linear(), tmp_path / "out", encoder=folder, inverse=inverse)
    assert not (tmp_path / "out").exists()
    written = to_sentence_transformers(
        linear(), tmp_path / "out", encoder=folder, inverse=not inverse, allow_foreign=True
    )
    assert written.is_dir()


@pytest.mark.parametrize(
    ("modules", "message"),
    [("[", "cannot be read"), ("[{}]", "cannot be read"), ('[{"idx": 0, "path": "../.."}]', "outside its folder")],
)
def test_a_folder_that_is_not_an_encoder_is_refused(tmp_path: Path, modules: str, message: str) -> None:
    folder = fake_encoder(tmp_path, {})
    (folder / "modules.json").write_text(modules)
    with pytest.raises(InputError, match=message):
        to_sentence_transformers(linear(), tmp_path / "out", encoder=folder)
    with pytest.raises(InputError, match=r"not a sentence-transformers folder.*modules\.json"):
        to_sentence_transformers(linear(), tmp_path / "out", encoder=tmp_path)


def fake_encoder(tmp_path: Path, config: dict[str, Any]) -> Path:
    folder = tmp_path / "encoder"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "1_Pooling", "type": "x.Pooling"}])
    )
    return folder


def test_a_network_is_refused_by_stock_modules(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a network.*exactly.*Export it as onnx or as safetensors"):
        to_sentence_transformers(neural(), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("write", "name"), [(to_onnx, "a.onnx"), (to_safetensors, "a.safetensors"), (to_sentence_transformers, "a")]
)
def test_exports_replace_nothing_and_leave_nothing_behind(
    tmp_path: Path, write: Callable[..., Path], name: str
) -> None:
    write(linear(), tmp_path / name)
    with pytest.raises(OutputExistsError, match="an export replaces nothing"):
        write(linear(), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if Path(name).suffix:
        with pytest.raises(InputError, match="has extension '.bin'"):
            write(linear(), tmp_path / "a.bin")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"onnx is needed.*interlingua\[onnx\]"):
        to_onnx(linear(), tmp_path / "a.onnx")


def test_files_of_modules_need_neither_torch_nor_sentence_transformers() -> None:
    code = "import interlingua.export, sys; print({'torch', 'onnx', 'sentence_transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("to", "name"),
    [("sentence-transformers", "st"), ("onnx", "t.onnx"), ("safetensors", "t.safetensors"), ("hub-folder", "hub")],
)
def test_the_command_writes_every_form(tmp_path: Path, run: Run, to: str, name: str) -> None:
    directory = linear().save(tmp_path / "translator")
    done = run("export", directory, "--to", to, "--out", tmp_path / name, "--json")
    assert done.code == 0, done.err
    assert done.json == {"out": str(tmp_path / name), "to": to, "inverse": False}
    assert (tmp_path / name).exists()
    assert run("export", directory, "--to", to, "--out", tmp_path / name).code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "onnx", "--encoder", "x"), "belong to --to sentence-transformers"),
        (("--to", "sentence-transformers", "--documents", "x"), "--documents needs --encoder"),
        (("--to", "hub", "--inverse"), "holds both directions"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    tmp_path: Path, run: Run, arguments: tuple[str, ...], message: str
) -> None:
    done = run("export", linear().save(tmp_path / "t"), "--out", tmp_path / "o.onnx", *arguments)
    assert done.code == 2
    assert message in done.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file/out", "file is a file and not a folder. Choose another name"),
        ("x" * 300, r"cannot be written \(the system reports: File name too long\). Choose another name or folder"),
    ],
)
@pytest.mark.parametrize("export", [to_safetensors, to_sentence_transformers, to_onnx])
def test_a_place_where_nothing_can_be_written_is_refused(
    tmp_path: Path, export: Callable[..., Path], name: str, message: str
) -> None:
    if export is to_onnx:
        pytest.importorskip("onnx")
    (tmp_path / "file").touch()
    suffix = {to_safetensors: ".safetensors", to_onnx: ".onnx"}.get(export, "")
    with pytest.raises(InputError, match=message):
        export(linear(), tmp_path / (name + suffix))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("inverse", [False, True])
def test_the_calibration_of_scores_is_written_beside_the_modules(tmp_path: Path, inverse: bool) -> None:
    translator = linear().fit_calibration(rows(D_SOURCE), rows(D_TARGET), allow_foreign=True)
    folder = to_sentence_transformers(translator, tmp_path / "with", inverse=inverse)
    curves = json.loads((folder / "score_calibration.json").read_text("utf-8"))
    scores = np.linspace(-1, 1, 301)
    for scale in ("source", "target"):
        expected = translator.calibrate(scores, "inverted" if inverse else "translated", scale)
        assert np.interp(scores, curves["scores"], curves[scale]) == pytest.approx(expected, abs=1e-5)
    readme = " ".join((folder / "README.md").read_text("utf-8").split())
    assert 'np.interp(scores, curves["scores"], curves["target"])' in readme
    # The same in both directions, in which source and target exchange their parts.
    assert re.search(
        r'scale of \S+ \(`"target"` in the file, in both directions\) or to that of \S+ \(`"source"`\)', readme
    )
    plain = to_sentence_transformers(linear(), tmp_path / "without")
    assert not (plain / "score_calibration.json").exists()
    assert "curves" not in (plain / "README.md").read_text("utf-8")
