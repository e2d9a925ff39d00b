"""Wrong types and values are refused with an `InputError` by every public function, before anything is computed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

import interlingua as il
from exported import D_SOURCE, D_TARGET, linear, neural, rows
from interlingua.aligners import METHODS, create_aligner, describe_settings, settings_of
from interlingua.core.arguments import (
    Bounds,
    check_choice,
    check_count,
    check_flag,
    check_number,
    check_path,
    check_settings,
    check_text,
    check_texts,
    shown,
)
from interlingua.core.arrays import as_array
from interlingua.core.errors import InputError, MissingExtraError, SpaceMismatchError
from interlingua.core.neighbors import nearest
from interlingua.core.storage import check_destination
from interlingua.core.translator import NeuralTranslator, Translator
from interlingua.evaluation.metrics import match_ranks, paired_cosine
from interlingua.evaluation.oracles import couple, match
from interlingua.export import to_onnx, to_query_bridge, to_safetensors, to_sentence_transformers
from interlingua.identification import Fingerprint, identify, load_table, save_table
from interlingua.io import open_vectors, read_labels, read_texts
from interlingua.leakage import attributes, defenses
from interlingua.leakage._checks import check_label_rows
from interlingua.stores import Store, open_source, open_store
from interlingua.stores.joint import JointSearch
from interlingua.stores.migration import migrate, rollback
from interlingua.stores.planning import Options


class _Opaque:
    """An object of no known kind, with the same name in every process."""

    def __repr__(self) -> str:
        return "<opaque>"


_OPAQUE = _Opaque()
NOT_COUNTS: tuple[Any, ...] = (
    1.5,
    2.0,
    "ten",
    "3",
    None,
    True,
    np.bool_(1),
    [1],
    (),
    {},
    math.nan,
    math.inf,
    1j,
    _OPAQUE,
    np.ones(2),
    -1,
)
NOT_FLAGS: tuple[Any, ...] = ("no", "False", 0, 1, 0.0, None, [], np.ones(1, bool), _OPAQUE)
NOT_TEXTS: tuple[Any, ...] = (5, 1.5, None, True, [], ["linear"], b"linear", np.array(["a", "b"]), _OPAQUE)
NOT_PATHS: tuple[Any, ...] = (5, 1.5, None, True, [], b"path", np.ones(2), _OPAQUE, "", "a\0b")
NOT_MATRICES: tuple[Any, ...] = (
    None,
    True,
    5,
    "vectors",
    b"vectors",
    _OPAQUE,
    {"a": 1},
    [[1, 2, 3], [1, 2]],
    [[1.0], ["a"]],
    [[None, 1.0]],
    [],
    np.float32(3),
    np.array(1.5),
    np.ones((3, 3), bool),
    np.ones((3, 3), complex),
    np.ones((3, 3), object),
    np.array([["a", "b"]]),
    np.array([["2020-01-01"]], "datetime64[D]"),
    np.zeros(3, [("x", float)]),
    np.full((3, 3), np.nan),
    np.zeros((3, 3)),
    np.ones((0, 3)),
    np.ones((2, 2, 2)),
)


def store() -> Store:
    return open_store("memory://a#a")


X, Y = rows(D_SOURCE), rows(D_TARGET)
Call = Callable[[Any], object]

TABLE: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "EmbeddingSpace vectors": (lambda v: il.EmbeddingSpace(v), NOT_MATRICES),
    "EmbeddingSpace masked": (lambda v: il.EmbeddingSpace(v), (np.ma.masked_less(rows(D_SOURCE), 0),)),
    "open_vectors path": (lambda v: open_vectors(v), NOT_PATHS),
    "read_texts path": (lambda v: read_texts(v), NOT_PATHS),
    "read_labels path": (lambda v: read_labels(v, "label"), NOT_PATHS),
    "open_store address": (lambda v: open_store(v), NOT_TEXTS),
    "open_source address": (lambda v: open_source(v), NOT_TEXTS),
    "Noise level": (lambda v: defenses.Noise(v), ("0.1", None, True, -0.1, float("nan"), _OPAQUE)),
    "Quantization bits": (lambda v: defenses.Quantization(v), ("8", None, True, 8.0, 3, _OPAQUE)),
    "Truncation width": (lambda v: defenses.Truncation(v), NOT_COUNTS),
    "DistancePreserving beta": (lambda v: defenses.DistancePreserving(v), ("1", None, True, -1.0, _OPAQUE)),
    "suite name": (lambda v: defenses.suite(v, 16), (*NOT_TEXTS, "all")),
    "embed_labels encode": (lambda v: attributes.embed_labels(v, ["a"]), (None, 5, "model", _OPAQUE)),
    "embed_labels labels": (lambda v: attributes.embed_labels(np.ones, v), (None, 5, "a", [5], _OPAQUE)),
    "label_scores labels": (lambda v: attributes.label_scores(X, v), (None, 5, "a", X[0], _OPAQUE)),
    "infer_attributes names": (
        lambda v: attributes.infer_attributes(X, X[:2], np.ones((len(X), 2), bool), v),
        (None, 5, "ab", [1, 2], _OPAQUE),
    ),
    "infer_attributes seed": (
        lambda v: attributes.infer_attributes(X, X[:2], np.ones((len(X), 2), bool), ["a", "b"], seed=v),
        (1.5, "1", True, -1, _OPAQUE),
    ),
    "migrate translator": (
        lambda v: migrate(v, store(), store(), journal="j"),
        (None, 5, "t", _OPAQUE),
    ),
    "migrate source": (lambda v: migrate(linear(), v, store(), journal="j"), (None, 5, "memory://a#a", _OPAQUE)),
    "migrate journal": (lambda v: migrate(linear(), store(), store(), journal=v), NOT_PATHS),
    "rollback journal": (lambda v: rollback(v), NOT_PATHS),
    "JointSearch translator": (lambda v: JointSearch(v, store()), (None, 5, "t", _OPAQUE)),
    "JointSearch source": (lambda v: JointSearch(linear(), v), (5, "memory://a#a", _OPAQUE)),
    "Options page_rows": (lambda v: Options(page_rows=v), NOT_COUNTS),
    "Options where": (lambda v: Options(where=v), (5, True, ["a"], _OPAQUE)),
    "suite width": (lambda v: defenses.suite("quick", v), NOT_COUNTS),
    "EmbeddingSpace ids": (lambda v: il.EmbeddingSpace(X, ids=v), (5, "a" * len(X), _OPAQUE, [], ["a"])),
    "EmbeddingSpace name": (lambda v: il.EmbeddingSpace(X, name=v), (5, b"name", ["name"], _OPAQUE)),
    "translate": (lambda v: linear().translate(v), NOT_MATRICES),
    "invert": (lambda v: linear().invert(v), NOT_MATRICES),
    "between": (lambda v: neural().between(v, "source", "target"), NOT_MATRICES),
    "between source": (lambda v: neural().between(X, v, "target"), NOT_TEXTS),
    "between target": (lambda v: neural().between(X, "source", v), NOT_TEXTS),
    "encode": (lambda v: neural().encode(v, "source"), NOT_MATRICES),
    "encode space": (lambda v: neural().encode(X, v), NOT_TEXTS),
    "decode": (lambda v: neural().decode(v, "target"), NOT_MATRICES),
    "decode space": (lambda v: neural().decode(np.ones((2, 20)), v), NOT_TEXTS),
    "save path": (lambda v: linear().save(v), NOT_PATHS),
    "save overwrite": (lambda v: linear().save("never", overwrite=v), NOT_FLAGS),
    "save_pretrained": (lambda v: linear().save_pretrained(v), NOT_PATHS),
    "load": (lambda v: il.load(v), NOT_PATHS),
    "from_pretrained": (lambda v: il.Translator.from_pretrained(v), NOT_PATHS),
    "push_to_hub": (lambda v: linear().push_to_hub(v), NOT_TEXTS),
    "check_destination": (lambda v: check_destination(v, overwrite=True), NOT_PATHS),
    "align source": (lambda v: il.align(v, Y, method="identity"), NOT_MATRICES),
    "align target": (lambda v: il.align(X, v, method="identity"), NOT_MATRICES),
    "align pairs": (
        lambda v: il.align(X, Y, pairs=v, method="procrustes"),
        (
            5,
            "pairs",
            _OPAQUE,
            [[0, 0], [1]],
            [0, 1],
            [[0.0, 1.0]],
            [["a", "b"]],
            [[-1, 0]],
            [[0, 9_999]],
            [[True, False]],
        ),
    ),
    "align method": (lambda v: il.align(X, Y, method=v), (None, 5, "magic", b"linear", ["linear"], type, _OPAQUE)),
    "align seed": (lambda v: il.align(X, Y, method="identity", seed=v), NOT_COUNTS),
    "align max_rows": (
        lambda v: il.align(X, Y, method="identity", max_rows=v),
        (*(value for value in NOT_COUNTS if value is not None), 0),
    ),
    "align on_step": (lambda v: il.align(X, Y, method="identity", on_step=v), (5, "print", [], True, _OPAQUE)),
    "align skip_bad": (lambda v: il.align(X, Y, method="identity", skip_bad=v), NOT_FLAGS),
    "align_spaces skip_bad": (lambda v: il.align_spaces({"a": X, "b": Y}, skip_bad=v), NOT_FLAGS),
    "align_spaces vectors": (lambda v: il.align_spaces(v), (None, 5, "spaces", [X, Y], X, {}, {"a": X}, _OPAQUE)),
    "align_spaces seed": (lambda v: il.align_spaces({"a": X, "b": Y}, seed=v), NOT_COUNTS),
    "evaluate translator": (lambda v: il.evaluate(v, X, Y), (None, 5, "translator", _OPAQUE, np.ones(3))),
    "evaluate source": (lambda v: il.evaluate(linear(), v, Y), NOT_MATRICES),
    "evaluate target": (lambda v: il.evaluate(linear(), X, v), NOT_MATRICES),
    "evaluate pool": (lambda v: il.evaluate(linear(), X, Y, pool=v), (*NOT_COUNTS, 0, 1)),
    "evaluate seed": (lambda v: il.evaluate(linear(), X, Y, seed=v), NOT_COUNTS),
    "evaluate bootstrap": (lambda v: il.evaluate(linear(), X, Y, bootstrap=v), NOT_COUNTS),
    "evaluate ks": (
        lambda v: il.evaluate(linear(), X, Y, ks=v),
        (5, None, "5", (1.5,), ("a",), (None,), (0,), (-1,), _OPAQUE),
    ),
    "evaluate retrieval": (
        lambda v: il.evaluate(linear(), X, Y, retrieval=v),
        (None, "plain", 5, (), (5,), ("dot",), ([],), _OPAQUE),
    ),
    "paired_cosine": (lambda v: paired_cosine(v, X), NOT_MATRICES),
    "match_ranks": (lambda v: match_ranks(X, v), NOT_MATRICES),
    "match_ranks csls": (lambda v: match_ranks(X, X, csls=v), NOT_FLAGS),
    "match_ranks k": (lambda v: match_ranks(X, X, csls=True, k=v), (*NOT_COUNTS, 0)),
    "nearest k": (lambda v: nearest(X, X, v), (*NOT_COUNTS, 0)),
    "nearest metric": (lambda v: nearest(X, X, 1, metric=v), (*NOT_TEXTS, "manhattan")),
    "couple source": (lambda v: couple(v, Y, "assignment"), NOT_MATRICES),
    "couple oracle": (lambda v: couple(X, X, v), (*NOT_TEXTS, "magic")),
    "match target": (lambda v: match(X, v, "assignment"), NOT_MATRICES),
    "match seed": (lambda v: match(X, X, "assignment", seed=v), NOT_COUNTS),
    "identify": (lambda v: identify(v), NOT_MATRICES),
    "identify table": (lambda v: identify(X, table=v), (5, "table", {}, [5], _OPAQUE)),
    "Fingerprint vectors": (lambda v: Fingerprint.of(v), NOT_MATRICES),
    "Fingerprint name": (lambda v: Fingerprint.of(X, v), NOT_TEXTS),
    "save_table path": (lambda v: save_table(v, []), NOT_PATHS),
    "save_table table": (lambda v: save_table("never.npz", v), (None, 5, "table", [5], _OPAQUE)),
    "load_table": (lambda v: load_table(v), NOT_PATHS),
    "EmbeddingTranslator on_failure": (
        lambda v: il.EmbeddingTranslator(on_failure=v).fit(X, Y),
        (*NOT_TEXTS, "cry"),
    ),
    "EmbeddingTranslator random_state": (
        lambda v: il.EmbeddingTranslator(random_state=v).fit(X, Y),
        (1.5, "ten", True, [1], _OPAQUE, np.ones(2)),
    ),
    "to_onnx translator": (lambda v: to_onnx(v, "never.onnx"), (None, 5, "folder", _OPAQUE)),
    "to_onnx path": (lambda v: to_onnx(linear(), v), NOT_PATHS),
    "to_onnx inverse": (lambda v: to_onnx(linear(), "never.onnx", inverse=v), NOT_FLAGS),
    "to_safetensors translator": (lambda v: to_safetensors(v, "never.safetensors"), (None, 5, "folder", _OPAQUE)),
    "to_safetensors path": (lambda v: to_safetensors(linear(), v), NOT_PATHS),
    "to_safetensors inverse": (lambda v: to_safetensors(linear(), "never.safetensors", inverse=v), NOT_FLAGS),
    "to_sentence_transformers path": (lambda v: to_sentence_transformers(linear(), v), NOT_PATHS),
    "to_sentence_transformers encoder": (
        lambda v: to_sentence_transformers(linear(), "never", encoder=v),
        (5, True, [], b"path", _OPAQUE),
    ),
    "to_sentence_transformers inverse": (lambda v: to_sentence_transformers(linear(), "never", inverse=v), NOT_FLAGS),
    "to_query_bridge queries": (
        lambda v: to_query_bridge(linear(), "never", queries=v, documents="never"),
        NOT_PATHS,
    ),
}


NOT_BY_TYPE = {
    "int": (1.5, "ten", True, -1, math.nan),
    "float": ("ten", True, math.nan),
    "bool": NOT_FLAGS,
    "str": (5, True),
}
SETTINGS = [(m, s.name, s.type) for m in METHODS[1:] for s in describe_settings(m) if s.type in NOT_BY_TYPE]


@pytest.mark.parametrize(("method", "setting", "kind"), SETTINGS)
def test_every_setting_of_every_method_is_refused_with_another_type(method: str, setting: str, kind: str) -> None:
    for value in NOT_BY_TYPE[kind]:
        with pytest.raises(InputError, match=rf"^{setting} is "):
            create_aligner(method, **{setting: value})


@pytest.mark.parametrize(("method", "setting", "kind"), [row for row in SETTINGS if row[2] in ("int", "float")])
def test_numpy_numbers_are_stored_as_plain_numbers_that_a_card_can_hold(method: str, setting: str, kind: str) -> None:
    default = next(s.default for s in describe_settings(method) if s.name == setting)
    value = np.int64(default or 1) if kind == "int" else np.float32(default or 0.5)
    needed: dict[str, dict[str, Any]] = {
        "mirrors": {"skips": True},
        "instance_noise": {"instance_noise_end": np.float32(0.5)},
    }
    stored = settings_of(create_aligner(method, **{setting: value}, **needed.get(setting, {})))
    assert type(stored[setting]) is {"int": int, "float": float}[kind]
    json.dumps(stored)


def test_an_alignment_with_numpy_numbers_is_saved(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.standard_normal((60, 4))
    pairs = [[i, i] for i in range(40)]
    numbers: dict[str, Any] = {"seed": np.int64(1), "max_rows": np.int64(50), "alpha": np.float32(0.1)}
    made = il.align(x, x[:, ::-1], pairs=pairs, method="ridge", **numbers)
    loaded = il.load(made.translator(force=True).save(tmp_path / "t"))
    assert loaded.card["settings"] == {"alpha": pytest.approx(0.1), "max_rows": 50}


@pytest.mark.parametrize(
    ("method", "setting", "value", "needed"),
    [
        ("adversarial-rotation", "lr", -1, "above 0"),
        ("adversarial-rotation", "input_dropout", 1.0, "at least 0 and below 1"),
        ("adversarial-rotation", "smoothing", 0.5, "at least 0 and below 0.5"),
        ("adversarial-rotation", "decay", 0, "above 0 and at most 1|at most 1 and above 0"),
        ("adversarial-rotation", "orthogonality", -0.1, "at least 0 and at most 1"),
        ("self-learning", "keep", 0, "above 0"),
        ("self-learning", "grow", 1, "above 1"),
        ("gromov", "epsilon", 0, "above 0"),
        ("mini-vec2vec", "smoothing", 1.5, "at least 0 and at most 1"),
        ("adversarial", "smoothing", 1.5, "at least 0 and at most 1"),
        ("adversarial", "dropout", 1, "at least 0 and below 1"),
    ],
)
def test_numbers_that_no_fit_could_use_are_refused(method: str, setting: str, value: float, needed: str) -> None:
    with pytest.raises(InputError, match=f"^{setting} is {value}; a finite number .*({needed})"):
        create_aligner(method, **{setting: value})


@pytest.mark.parametrize("name", TABLE)
def test_every_wrong_value_is_refused_in_words_and_nothing_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, values = TABLE[name]
    for value in values:
        try:
            with pytest.raises(InputError) as caught:
                call(value)
        except MissingExtraError as error:
            pytest.skip(str(error))
        assert len(str(caught.value)) < 600, f"{value!r} is printed in full"
        assert "\n" not in str(caught.value), value
    assert not list(tmp_path.iterdir())


def test_a_failed_alignment_is_not_forced_by_a_text(alignment: il.Alignment) -> None:
    with pytest.raises(InputError, match="force is 'no'; True or False is needed"):
        alignment.translator(force="no")  # type: ignore[arg-type]


@pytest.mark.parametrize("translate", [Translator.translate, lambda t, x: t.between(x, "source", "target")])
def test_translators_take_tensors_with_gradients_as_a_fit_does(translate: Any) -> None:
    torch: Any = pytest.importorskip("torch", reason="needs the extra torch")
    translator = neural()
    expected = translate(translator, X)
    tensor = torch.tensor(X, requires_grad=True)
    np.testing.assert_array_equal(translate(translator, tensor), expected)
    np.testing.assert_array_equal(translate(translator, tensor[0]), translate(translator, X[0]))
    half = translate(translator, tensor.bfloat16())
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, expected, atol=0.1)
    assert il.EmbeddingSpace(tensor.bfloat16()).vectors.dtype == np.float32
    with pytest.raises(InputError, match=r"mine cannot be read as an array .*rows of one length"):
        as_array(tensor.to_sparse(), "mine")


def test_directions_of_a_network_take_one_vector_and_keep_its_dtype() -> None:
    translator = neural()
    calls: tuple[Call, ...] = (
        lambda x: translator.between(x, "source", "target"),
        lambda x: translator.encode(x, "source"),
        lambda x: translator.decode(translator.encode(x, "source"), "target"),
    )
    for call in calls:
        whole: Any = call(X)
        single: Any = call(X[3])
        assert single.shape == whole.shape[1:]
        np.testing.assert_allclose(single, whole[3], atol=1e-5)
        for dtype in (np.float16, np.float64):
            cast: Any = call(X.astype(dtype))
            assert cast.dtype == dtype


@pytest.mark.parametrize(
    "call", [lambda t, x: t.between(x, "source", "target"), lambda t, x: t.encode(x, "source"), Translator.translate]
)
def test_foreign_vectors_are_noticed_in_every_direction(call: Callable[[NeuralTranslator, Any], object]) -> None:
    foreign = -X
    with pytest.raises(
        SpaceMismatchError, match="The source vectors are of this model with the opposite sign: .* Multiply"
    ):
        call(neural(), foreign)


@pytest.mark.parametrize("value", NOT_COUNTS, ids=repr)
def test_counts_are_whole_numbers(value: Any) -> None:
    with pytest.raises(InputError, match=r"rounds is .*; an integer >= 0 is needed"):
        check_count(value, "rounds")


def test_numbers_of_other_libraries_count() -> None:
    assert [check_count(v, "n") for v in (3, np.int8(3), np.uint64(3), np.array(3))] == [3, 3, 3, 3]
    assert type(check_count(np.int8(3), "n")) is int
    assert check_number(np.float32(0.5), "share") == check_number(1, "share") / 2 == 0.5
    assert check_flag(np.bool_(1), "flag") is True
    with pytest.raises(InputError, match="n is 2; an integer >= 3 is needed"):
        check_count(2, "n", minimum=3)
    with pytest.raises(
        InputError, match=r"n is 9223372036854775808; an integer >= 0 and <= 9223372036854775807 is needed"
    ):
        check_count(2**63, "n")
    assert check_count(2**63 - 1, "n") == 2**63 - 1


@pytest.mark.parametrize("value", ["1", None, True, math.nan, math.inf, 1j, np.ones(2), _OPAQUE, -0.1, 1.1], ids=repr)
def test_numbers_are_finite_and_within_their_bounds(value: Any) -> None:
    with pytest.raises(InputError, match=r"share is .*; a finite number at least 0 and at most 1 is needed"):
        check_number(value, "share", minimum=0, maximum=1)


def test_bounds_are_included_unless_said_otherwise() -> None:
    assert check_number(0, "share", minimum=0, maximum=1) == 0
    with pytest.raises(InputError, match="share is 0; a finite number above 0 is needed"):
        check_number(0, "share", above=0)
    with pytest.raises(InputError, match="share is 'x'; a finite number is needed"):
        check_number("x", "share")


def test_no_message_repeats_data() -> None:
    """Documents and addresses can be private: messages name their type and length."""
    secret = "my private document"
    given: list[tuple[Any, str]] = [
        (secret, "str of length 19"),
        (secret.encode(), "bytes of length 19"),
        ({secret: secret}, "dict of length 1"),
    ]
    for value, described in given:
        with pytest.raises(InputError, match=rf"^texts is {described}; a sequence of texts is needed\.$"):
            check_texts(value, "texts")
        with pytest.raises(InputError, match=rf"^labels is {described}; a sequence with the labels"):
            check_label_rows(value)
    members: list[tuple[Any, str]] = [
        (secret.encode(), "bytes of length 19"),
        ([secret], "list of length 1"),
        (None, "None"),
    ]
    for value, described in members:
        with pytest.raises(InputError, match=rf"^texts\[1\] is {described}; a text is needed\.$"):
            check_texts(["a", value], "texts")
    address: Any = b"postgresql://user:password@host/database"
    for call in (lambda: check_path(address, "out"), lambda: open_store(address), lambda: check_text(address, "url")):
        with pytest.raises(InputError, match="bytes of length 40") as caught:
            call()
        assert "password" not in str(caught.value)


def test_texts_choices_and_paths() -> None:
    assert check_choice("a", "kind", ("a", "b")) == "a"
    with pytest.raises(InputError, match="kind is 'c'; choose from a, b"):
        check_choice("c", "kind", ("a", "b"))
    with pytest.raises(InputError, match=r"name is bytes of length 1; a text is needed"):
        check_text(b"x", "name")
    assert check_path("a/b") == check_path(Path("a/b")) == Path("a/b")
    with pytest.raises(InputError, match=r"out is 5; a path is needed, as a text or a pathlib.Path"):
        check_path(5, "out")
    with pytest.raises(InputError, match="no file can have that name"):
        check_path("", "out")


def test_values_are_shown_short() -> None:
    assert shown(np.ones((3, 4))) == "ndarray of shape (3, 4)"
    assert len(shown("x" * 500)) == 60
    assert "\n" not in shown("a\nb" * 9 + "\n")

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert shown(Broken()) == "an object of type Broken"


@dataclass(frozen=True)
class Settings:
    rounds: int = 10
    share: float = 0.5
    nonorthogonal: bool = True
    device: str = "cpu"
    steps: int | None = None
    kind: Literal["a", "b"] = "a"
    solver: Callable[[], int] | None = None

    bounds: ClassVar[Bounds] = {"rounds": {"minimum": 1}}

    def __post_init__(self) -> None:
        check_settings(self)


@pytest.mark.parametrize(
    ("setting", "values", "message"),
    [
        ("rounds", ("ten", 2.5, None, True, -3, 0), "rounds is .*; an integer >= 1"),
        ("share", ("ten", None, True, math.nan), "share is .*; a finite number"),
        ("nonorthogonal", ("no", 1, None), "nonorthogonal is .*; True or False"),
        ("device", (5, None, True), "device is .*; a text"),
        ("steps", ("ten", 2.5, True, -1), "steps is .*; an integer >= 0"),
    ],
)
def test_settings_of_a_dataclass_are_checked_against_their_annotations(
    setting: str, values: tuple[Any, ...], message: str
) -> None:
    for value in values:
        with pytest.raises(InputError, match=message):
            Settings(**{setting: value})
    Settings(rounds=np.int64(3), share=1, steps=None, solver=lambda: 3)  # type: ignore[arg-type]
