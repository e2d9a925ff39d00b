"""An encoder beside a translator is compared with the space of its side."""

from __future__ import annotations

import json
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command_line import Run
from interlingua._encoder_spaces import PLAIN_TEXTS, check_encoder
from interlingua.core.errors import (
    InputError,
    InputWarning,
    MissingExtraError,
    SpaceMismatchError,
    SpaceMismatchWarning,
)
from interlingua.core.maps import AffineMap
from interlingua.core.profiles import SpaceProfile
from interlingua.core.translator import Translator
from interlingua.export import to_query_bridge, to_sentence_transformers

D = 64
Rows = np.ndarray[Any, Any]


class Model:
    """An encoder whose vectors vary along directions of its own."""

    def __init__(self, seed: int, d: int = D, decay: int = 12) -> None:
        rng = np.random.default_rng(seed)
        self.axes = np.linalg.qr(rng.standard_normal((d, d)))[0] * np.exp(-np.arange(d) / decay)[:, None]
        self.mean = 0.1 * rng.standard_normal(d)
        self.calls = 0

    def __call__(self, texts: list[str]) -> Rows:
        self.calls += 1
        drawn = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(len(self.axes)) for text in texts]
        return np.asarray(np.stack(drawn) @ self.axes + self.mean, np.float32)


OLD, NEW, THIRD = Model(1), Model(2), Model(3)
FITTED = [f"a text of the fit, number {i}" for i in range(1_000)]


def translator(source: Model = OLD, target: Model = NEW) -> Translator:
    d_in, d_out = len(source.axes), len(target.axes)
    maps = [
        AffineMap(np.zeros(a, np.float32), np.eye(a, b, dtype=np.float32), np.zeros(b, np.float32))
        for a, b in ((d_in, d_out), (d_out, d_in))
    ]
    profiles = SpaceProfile.of(source(FITTED)), SpaceProfile.of(target(FITTED))
    return Translator(maps[0], maps[1], profiles, {"source": {"name": "old"}, "target": {"name": "new"}})


def test_the_texts_are_plain_different_and_enough_for_a_comparison() -> None:
    assert len(set(PLAIN_TEXTS)) == len(PLAIN_TEXTS) == 100
    assert all(text.isascii() and text.strip() == text and len(text) < 100 for text in PLAIN_TEXTS)


def test_the_models_of_both_sides_pass_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_encoder(OLD, translator(), "source", title="old")
        check_encoder(NEW, translator(), "target", title="new")


@pytest.mark.parametrize(("model", "side"), [(NEW, "source"), (OLD, "target")])
def test_the_model_of_the_other_side_is_named_as_such(model: Model, side: str) -> None:
    with pytest.raises(
        SpaceMismatchError,
        match=rf"X is not the model of the {side} space .*\. Its vectors of 100 plain English texts are not of "
        rf"that space: .*variance along its principal axes.*They look like the other space of this translator; "
        rf"is the direction wrong\? Give the encoder that "
        rf"made the {side} vectors of the fit. allow_foreign=True goes on nevertheless",
    ):
        check_encoder(model, translator(), side, title="X")


def test_a_third_model_is_refused_as_another_model() -> None:
    with pytest.raises(SpaceMismatchError, match=r"They look like vectors of another model, or of the same one after"):
        check_encoder(THIRD, translator(), "source", title="X")


def test_a_model_that_is_related_to_both_sides_is_told_by_what_it_resembles_more() -> None:
    old, new = Model(1, decay=30), Model(2, decay=30)

    def related(texts: list[str]) -> Rows:
        return np.asarray(new(texts) + 0.5 * old(texts), np.float32)

    found = translator(old)
    found = Translator(found.forward, found.backward, (found.profiles[0], SpaceProfile.of(related(FITTED))), found.card)
    assert not found.profiles[0].compare(related(list(PLAIN_TEXTS))).foreign
    with pytest.raises(SpaceMismatchError, match="look like the other space of this translator, and hardly like this"):
        check_encoder(related, found, "source", title="X")
    check_encoder(related, found, "target", title="X")
    check_encoder(old, found, "source", title="X")


def test_a_prompt_of_the_fitted_vectors_is_found_among_the_variants() -> None:
    plain, prompted = Model(5), Model(6)
    check_encoder(plain, translator(prompted), "source", title="X", variants=[plain, prompted])
    calls = plain.calls
    check_encoder(prompted, translator(prompted), "source", title="X", variants=[plain])
    assert plain.calls == calls, "variants run only if the encoder itself would be refused"
    with pytest.raises(SpaceMismatchError, match="X is not the model"):
        check_encoder(plain, translator(prompted), "source", title="X", variants=[plain])
    assert plain.calls == calls + 1, "the encoder itself does not run again"
    with pytest.raises(SpaceMismatchError, match="X is not the model"):
        check_encoder(plain, translator(prompted), "source", title="X", vectors=plain(list(PLAIN_TEXTS)))
    assert plain.calls == calls + 2, "vectors that are there already are not made again"


def test_another_width_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"X gives vectors of shape \[100, 32\] .* has width 64. Is this another model"
    ):
        check_encoder(Model(4, 32), translator(), "source", title="X")


def test_texts_without_any_known_word_are_left_out() -> None:
    def knows_few(texts: list[str]) -> Rows:
        vectors = OLD(texts)
        vectors[10:] = 0
        return vectors

    check_encoder(knows_few, translator(), "source", title="X")
    check_encoder(lambda texts: 0 * OLD(texts), translator(), "source", title="X")


class OneKind(Model):
    """An encoder that was fitted on texts of one kind, whose vectors are near one direction; others are not."""

    def __call__(self, texts: list[str]) -> Rows:
        kind = np.array([text in self.kind for text in texts])
        near = 8 * np.linalg.qr(np.random.default_rng(9).standard_normal((len(self.axes), 1)))[0][:, 0]
        return np.asarray(super().__call__(texts) + np.outer(kind, near), np.float32)

    kind = frozenset(FITTED)


def test_plain_texts_that_are_far_from_all_fitted_rows_do_not_refuse_the_right_encoder() -> None:
    narrow = OneKind(1)
    found = translator(narrow)
    compared = found.profiles[0].compare(narrow(list(PLAIN_TEXTS)))
    assert compared.foreign
    assert all("far from all of its rows" in reason for reason in compared.reasons)
    advice = "Check that it is that model; a fit on texts of another kind also looks like this"
    with pytest.warns(SpaceMismatchWarning, match=f"X may not be the model of .* {advice}"):
        check_encoder(narrow, found, "source", title="X")
    with pytest.raises(SpaceMismatchError, match="variance along its principal axes"):
        check_encoder(THIRD, found, "source", title="X")


def test_a_mean_that_is_opposite_to_that_of_the_fitted_texts_does_not_refuse_the_right_encoder() -> None:
    class Opposite(OneKind):
        kind = frozenset(PLAIN_TEXTS)

        def __call__(self, texts: list[str]) -> Rows:
            shift = super().__call__(texts) - Model.__call__(self, texts)
            return np.asarray(Model.__call__(self, texts) + np.where(shift.any(1, keepdims=True), -shift, near), "f4")

    near = OneKind(1)(FITTED[:1])[0] - Model(1)(FITTED[:1])[0]
    found = translator(Opposite(1))
    compared = found.profiles[0].compare(Opposite(1)(list(PLAIN_TEXTS)))
    assert any("their mean has a cosine of -" in reason for reason in compared.reasons)
    with pytest.warns(SpaceMismatchWarning, match="X may not be the model of"):
        check_encoder(Opposite(1), found, "source", title="X")


@pytest.mark.parametrize("noise", [0, 1e-6, 1e-3])
def test_an_encoder_that_makes_the_same_vector_of_all_texts_is_refused(noise: float) -> None:
    def same(texts: list[str]) -> Rows:
        return np.asarray(OLD(texts[:1]) + noise * THIRD(texts), np.float32)

    with pytest.raises(
        SpaceMismatchError,
        match=r"X is not the model of the source space that this translator was fitted on\. Its vectors of 100 plain "
        r"English texts are almost the same, as if it did not read the texts: check the program or the model",
    ):
        check_encoder(same, translator(), "source", title="X")


# --- the export -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Folders of encoders, which the export loads as the models of the same names."""
    models = {"old": OLD, "new": NEW, "third": THIRD}

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "x.Any"}]))
        return folder

    monkeypatch.setattr("interlingua.export._modules.sentence_encoder", lambda name: models[Path(name).name])
    return make


def test_an_export_takes_the_encoder_of_the_side_it_starts_from(tmp_path: Path, folders: Callable[[str], Path]) -> None:
    out, found = tmp_path / "out", translator()
    for encoder, inverse in (("new", False), ("old", True), ("third", False)):
        with pytest.raises(SpaceMismatchError, match=rf"The encoder .*{encoder} is not the model of the"):
            to_sentence_transformers(found, out, encoder=folders(encoder), inverse=inverse)
        assert not out.exists()
    assert to_sentence_transformers(found, tmp_path / "a", encoder=folders("old")).is_dir()
    assert to_sentence_transformers(found, tmp_path / "b", encoder=folders("new"), inverse=True).is_dir()
    assert to_sentence_transformers(found, tmp_path / "c", encoder=folders("third"), allow_foreign=True).is_dir()


def test_a_bridge_takes_the_encoders_of_both_sides(tmp_path: Path, folders: Callable[[str], Path]) -> None:
    out, found = tmp_path / "out", translator()
    old, new, third = folders("old"), folders("new"), folders("third")
    for queries, documents, side in ((new, old, "source"), (old, third, "target")):
        with pytest.raises(SpaceMismatchError, match=f"is not the model of the {side} space"):
            to_query_bridge(found, out, queries=queries, documents=documents)
        assert not out.exists()
    assert to_query_bridge(found, tmp_path / "a", queries=new, documents=old, inverse=True).is_dir()
    assert to_query_bridge(found, tmp_path / "b", queries=new, documents=old, allow_foreign=True).is_dir()


@pytest.mark.parametrize("loads", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        MissingExtraError("sentence_transformers is needed and is not installed. Install it with: pip install x"),
        InputError("The encoder cannot be loaded (it needs code of its own)."),
        RuntimeError("The size of a tensor is wrong."),
        KeyError(),
    ],
)
def test_an_encoder_that_cannot_be_loaded_or_run_is_exported_with_a_warning(
    tmp_path: Path, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, error: Exception, loads: bool
) -> None:
    def fail(_: object) -> Any:
        raise error

    folder = folders("old")
    monkeypatch.setattr("interlingua.export._modules.sentence_encoder", (lambda _: fail) if loads else fail)
    reason = re.escape((str(error) if error.args else "KeyError").rstrip("."))
    with pytest.warns(
        InputWarning, match=rf"was not compared with the source space .* cannot be run here: {reason}\. Check that"
    ) as caught:
        to_sentence_transformers(translator(), tmp_path / "out", encoder=folder)
    assert (tmp_path / "out").is_dir()
    assert {warning.filename for warning in caught} == {__file__}


def test_an_encoder_of_another_width_is_still_refused(
    tmp_path: Path, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folders("old")
    monkeypatch.setattr("interlingua.export._modules.sentence_encoder", lambda _: Model(4, 32))
    with pytest.raises(InputError, match="has width 64. Is this another model"):
        to_sentence_transformers(translator(), tmp_path / "out", encoder=folder)


def test_a_warning_about_an_encoder_points_to_the_caller(
    tmp_path: Path, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = folders("old"), translator()
    monkeypatch.setattr("interlingua.core.profiles.Comparison.doubtful", True)
    with pytest.warns(SpaceMismatchWarning, match="may not be the model of the source space") as caught:
        check_encoder(OLD, found, "source", title="X")
    with pytest.warns(SpaceMismatchWarning, match="may not be the model of the source space") as exported:
        to_sentence_transformers(found, tmp_path / "out", encoder=folder)
    assert {warning.filename for warning in [*caught, *exported]} == {__file__}


def test_the_command_refuses_the_wrong_encoder_and_goes_on_if_told(
    tmp_path: Path, run: Run, folders: Callable[[str], Path]
) -> None:
    saved = translator().save(tmp_path / "translator")
    command = ("export", saved, "--to", "sentence-transformers", "--out", tmp_path / "out")
    refused = run(*command, "--inverse", "--encoder", folders("old"))
    assert refused.code == 2
    assert "is not the model of the target space" in refused.err
    assert "They look like the other space of this translator; is the direction wrong?" in refused.err
    assert "--allow-foreign goes on nevertheless" in refused.err
    done = run(*command, "--inverse", "--encoder", folders("old"), "--allow-foreign")
    assert done.code == 0, done.err
    unused = run(*command, "--allow-foreign")
    assert unused.code == 2
    assert "--allow-foreign has no effect without --encoder" in unused.err
