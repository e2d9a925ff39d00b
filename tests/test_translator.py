"""The translator: what it gives, what it refuses, and that it survives its folder bit by bit."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

import interlingua as il
from interlingua.core.errors import InputError, OutputExistsError, SpaceMismatchWarning
from interlingua.core.maps import AffineMap
from interlingua.core.spaces import SpaceProfile
from interlingua.core.translator import Translator, check_destination, load
from planted import encode, rotation, topics

Array = npt.NDArray[Any]
D_SOURCE, D_TARGET = 48, 32


@pytest.fixture(scope="module")
def rows() -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    content = topics(600, 16, rng)
    return encode(content, D_SOURCE, rng), encode(content, D_TARGET, rng)


@pytest.fixture(scope="module")
def translator(rows: tuple[Array, Array]) -> Translator:
    rng = np.random.default_rng(4)
    maps = []
    for here, there in ((D_SOURCE, D_TARGET), (D_TARGET, D_SOURCE)):
        means = [rng.standard_normal(width).astype(np.float32) / 10 for width in (here, there)]
        maps.append(AffineMap(means[0], rotation(here, there, rng), means[1], norm_out=float(here)))
    card = {
        "source": {"name": "left", "n": 600, "d": D_SOURCE, "fingerprint": "0" * 16},
        "target": {"name": "right", "n": 500, "d": D_TARGET, "fingerprint": "1" * 16},
        "verdict": {"status": "doubtful", "score": 0.625, "reasons": ["Too few rows.", "Ünlike."], "evidence": []},
        "method": "linear",
        "seed": 7,
        "settings": {"rounds": 10},
    }
    return Translator(maps[0], maps[1], (SpaceProfile.of(rows[0]), SpaceProfile.of(rows[1])), card)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_translation_is_the_forward_map_and_inversion_the_backward_one(
    translator: Translator, rows: tuple[Array, Array]
) -> None:
    assert np.array_equal(translator.translate(rows[0]), translator.forward(rows[0]))
    assert np.array_equal(translator.invert(rows[1]), translator.backward(rows[1]))
    assert (translator.d_source, translator.d_target) == (D_SOURCE, D_TARGET)
    assert repr(translator) == "Translator(48 -> 32, doubtful)"


@pytest.mark.parametrize(
    ("given_as", "returned"),
    [(np.float16, np.float16), (np.float32, np.float32), (np.float64, np.float64), (np.int16, np.float32)],
)
def test_floats_keep_their_dtype_and_integers_give_float32(
    translator: Translator, rows: tuple[Array, Array], given_as: Any, returned: Any
) -> None:
    x = (100 * rows[0]).astype(given_as)
    out = translator.translate(x)
    assert out.dtype == returned
    assert out == pytest.approx(translator.translate(x.astype(np.float64)), abs=0.02)


def test_a_row_is_translated_alone_as_among_others(translator: Translator, rows: tuple[Array, Array]) -> None:
    whole = translator.translate(rows[0])
    single = translator.translate(rows[0][5])
    assert single.shape == (D_TARGET,)
    assert single == pytest.approx(whole[5], abs=1e-4)
    assert translator.translate(list(map(float, rows[0][5]))) == pytest.approx(whole[5], abs=1e-4)
    assert translator.translate(rows[0][::-1]) == pytest.approx(whole[::-1], abs=1e-4)


def test_a_large_matrix_is_translated_in_blocks_and_to_the_same_rows(
    translator: Translator, rows: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = translator.translate(rows[0])
    blocks = [slice(start, start + 100) for start in range(0, 600, 100)]
    monkeypatch.setattr("interlingua.core.translator.row_blocks", lambda n: iter(blocks))
    assert translator.translate(rows[0]) == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones((2, 5)), "source vectors has 5 columns; 48 are needed. Is it from another model"),
        (np.ones(5), "source vectors has 5 columns; 48 are needed"),
        (np.full((2, D_SOURCE), np.nan), "source vectors: 2 of 2 rows hold NaN or infinity, the first is row 0"),
        (np.zeros((2, D_SOURCE)), "source vectors: 2 of 2 rows are all zeros"),
        (np.ones((0, D_SOURCE)), "source vectors has shape .*at least 1 rows"),
        (np.ones((1, 2, D_SOURCE)), r"source vectors has shape \(1, 2, 48\)"),
        (np.array(["x"] * D_SOURCE), "source vectors has dtype <U1; real numbers"),
    ],
)
def test_rows_that_mean_nothing_are_refused(translator: Translator, vectors: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        translator.translate(vectors)


def test_inversion_names_the_other_side(translator: Translator) -> None:
    with pytest.raises(InputError, match="target vectors has 48 columns; 32 are needed"):
        translator.invert(np.ones((2, D_SOURCE)))


def test_vectors_of_another_encoder_of_the_same_width_are_noticed(
    translator: Translator, rows: tuple[Array, Array], rng: np.random.Generator
) -> None:
    other = encode(topics(300, 16, rng), D_SOURCE, rng)
    with pytest.warns(SpaceMismatchWarning, match=r"\d+% of the source vectors .* Check model and direction") as caught:
        translator.translate(other)
    assert Path(caught[0].filename) == Path(__file__)
    with pytest.warns(SpaceMismatchWarning, match="of the target vectors"):
        translator.invert(other[:, :D_TARGET])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translator.translate(rows[0])
        translator.invert(rows[1])
        # A few foreign rows among many are the user's business.
        translator.translate(np.concatenate([rows[0], other[:100]]))


def test_a_saved_translator_is_the_same_to_the_bit(
    translator: Translator, rows: tuple[Array, Array], tmp_path: Path
) -> None:
    folder = translator.save(tmp_path / "new" / "translator")
    again = load(folder)
    assert np.array_equal(again.translate(rows[0]), translator.translate(rows[0]))
    assert np.array_equal(again.invert(rows[1]), translator.invert(rows[1]))
    assert again.card == translator.card
    for ours, theirs in zip(translator.profiles, again.profiles, strict=True):
        for part in ("mean", "basis", "low", "high"):
            assert np.array_equal(getattr(ours, part), getattr(theirs, part))
    assert contents(again.save(tmp_path / "second")) == contents(folder)


def test_nothing_but_the_folder_is_left_behind(translator: Translator, tmp_path: Path) -> None:
    translator.save(tmp_path / "translator")
    assert [path.name for path in tmp_path.iterdir()] == ["translator"]
    assert sorted(contents(tmp_path / "translator")) == ["README.md", "card.json", "translator.safetensors"]


def test_an_existing_translator_is_replaced_only_when_asked(
    translator: Translator, rows: tuple[Array, Array], tmp_path: Path
) -> None:
    folder = translator.save(tmp_path / "translator")
    turned = Translator(translator.backward, translator.forward, translator.profiles[::-1], translator.card)
    with pytest.raises(OutputExistsError, match="exists. Choose another name, or replace it with overwrite=True"):
        turned.save(folder)
    assert load(folder).d_source == D_SOURCE
    turned.save(folder, overwrite=True)
    assert load(folder).d_source == D_TARGET


def test_a_save_that_fails_leaves_what_was_there(translator: Translator, tmp_path: Path) -> None:
    folder = translator.save(tmp_path / "translator")
    before = contents(folder)
    broken = Translator(translator.forward, translator.backward, translator.profiles, {"seed": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        broken.save(folder, overwrite=True)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["translator"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_never_replaced(translator: Translator, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises((InputError, OutputExistsError), match="exists"):
        translator.save(tmp_path, overwrite=overwrite)
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="exists and is no translator, so it is not replaced"):
        check_destination(tmp_path / "file", overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_an_empty_folder_may_be_filled(translator: Translator, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert load(translator.save(tmp_path / "empty", overwrite=True)).card == translator.card


def test_the_model_card_says_what_it_is_and_how_sure(translator: Translator, tmp_path: Path) -> None:
    text = (translator.save(tmp_path / "translator") / "README.md").read_text("utf-8")
    for said in ("# left (48) to right (32)", "`linear`", "seed 7", "600 source and 500 target rows"):
        assert said in text
    for said in ("**doubtful** (score 0.62)", "- Too few rows.", "- Ünlike.", "library_name: interlingua"):
        assert said in text


def test_the_card_on_disk_is_strict_json_with_the_settings_of_the_maps(translator: Translator, tmp_path: Path) -> None:
    card = json.loads((translator.save(tmp_path / "translator") / "card.json").read_text("utf-8"))
    assert card["format"] == 1
    assert card["maps"]["forward"] == {"unit_in": True, "unit_out": True, "norm_out": 48.0}
    assert card["verdict"] == translator.card["verdict"]


def edit_card(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        card = json.loads((folder / "card.json").read_text("utf-8"))
        change(card)
        (folder / "card.json").write_text(json.dumps(card))

    return edit


def edit_weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        tensors = dict(load_file(folder / "translator.safetensors"))
        change(tensors)
        save_file(tensors, folder / "translator.safetensors")

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "card.json").unlink(), "is not a translator: a folder with card.json and translator.safetens"),
        (lambda f: (f / "translator.safetensors").unlink(), "is not a translator"),
        (lambda f: (f / "card.json").write_text("{"), "is damaged .*fit again or restore"),
        (lambda f: (f / "card.json").write_text("[]"), "is damaged"),
        (lambda f: (f / "card.json").write_text("null"), "is damaged"),
        (lambda f: (f / "card.json").write_bytes(b"\xff\xfe"), "is damaged"),
        (lambda f: (f / "translator.safetensors").write_bytes(b"weights"), "is damaged"),
        (lambda f: (f / "translator.safetensors").write_bytes(b""), "is damaged"),
        (edit_card(lambda c: c.update(format=2)), "has another format than 1; a newer interlingua wrote it. Upgrade"),
        (edit_card(lambda c: c.update(kind="pickle")), "has another format"),
        (edit_card(lambda c: c.pop("maps")), "is damaged .*'maps'"),
        (edit_card(lambda c: c["maps"]["forward"].update(surprise=1)), "is damaged .*surprise"),
        (edit_weights(lambda t: t.pop("backward.matrix")), "is damaged .*backward.matrix"),
        (
            edit_weights(lambda t: t.update({"forward.matrix": t["forward.matrix"][:9].copy()})),
            "disagree on the widths",
        ),
        (edit_weights(lambda t: t.update({"forward.mean_out": np.ones(3, np.float32)})), "disagree on the widths"),
        (edit_weights(lambda t: t.update({"backward.matrix": np.ones(3, np.float32)})), "disagree on the widths"),
        (edit_weights(lambda t: t.update({"source.basis": np.ones((3, 3), np.float32)})), "disagree on the widths"),
        (edit_weights(lambda t: t.update({"target.low": np.ones(3, np.float32)})), "disagree on the widths"),
    ],
)
def test_a_damaged_folder_is_refused_on_loading(
    translator: Translator, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    folder = translator.save(tmp_path / "translator")
    damage(folder)
    with pytest.raises(InputError, match=message):
        il.load(folder)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not a translator: .*interlingua fit SOURCE TARGET --out DIR"):
        load(tmp_path / "nowhere")
