"""Translators that an earlier version saved open, and translate to the same values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import interlingua
from command_line import Run
from interlingua.core.errors import InputError, SpaceMismatchWarning
from interlingua.core.storage import FORMAT
from interlingua.core.translator import NeuralTranslator
from interlingua.leakage.inversion import KeywordDecoder, TextDecoder
from interlingua.report import write_report

DATA = Path(__file__).resolve().parent / "data"
VALUES = json.loads((DATA / "values.json").read_text("utf-8"))
KINDS = ("affine", "network", "calibrated", "paired", "views", "reduced", "trained")
NETWORKS = ("network", "trained")


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_translator_opens_and_translates_to_the_recorded_values(kind: str) -> None:
    translator = interlingua.load(DATA / kind)
    assert isinstance(translator, NeuralTranslator) == (kind in NETWORKS)
    assert translator.card["verdict"]["status"] == "aligned"
    recorded = {name: np.array(rows) for name, rows in VALUES[kind].items()}
    np.testing.assert_allclose(translator.translate(recorded["source"]), recorded["translated"], atol=2e-5)
    np.testing.assert_allclose(translator.invert(recorded["target"]), recorded["inverted"], atol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_saved_again_with_the_same_weights_and_the_same_fingerprint(kind: str, tmp_path: Path) -> None:
    translator = interlingua.load(DATA / kind)
    again = interlingua.load(translator.save(tmp_path / "again"))
    assert again.fingerprint() == translator.fingerprint()
    assert again.card == translator.card


@pytest.mark.parametrize("kind", KINDS)
def test_the_saved_format_is_named_in_the_card(kind: str) -> None:
    card = json.loads((DATA / kind / "card.json").read_text("utf-8"))
    assert (card["format"], card["kind"]) == (FORMAT, "network" if kind in NETWORKS else "affine")


@pytest.mark.parametrize("kind", KINDS)
def test_its_card_is_shown(kind: str, run: Run) -> None:
    shown = run("inspect", DATA / kind)
    assert shown.code == 0, shown.err
    assert "aligned" in shown.out


def test_a_report_is_made_of_what_a_fit_has_measured(tmp_path: Path) -> None:
    page = write_report(tmp_path / "report.html", interlingua.load(DATA / "views")).read_text("utf-8")
    assert "aligned" in page


def test_it_converts_scores_to_the_recorded_values() -> None:
    translator, recorded = interlingua.load(DATA / "calibrated"), VALUES["calibrated"]
    np.testing.assert_allclose(translator.calibrate(recorded["scores"]), recorded["calibrated"], atol=2e-5)


def test_it_keeps_the_clusters_by_which_it_notices_vectors_of_another_model() -> None:
    translator = interlingua.load(DATA / "reduced")
    assert [profile.check for profile in translator.profiles] == ["clusters", "clusters"]
    rows = np.random.default_rng(0).standard_normal((100, translator.d_source)) * translator.profiles[0].spread
    with pytest.warns(SpaceMismatchWarning, match="another model made them"):
        translator.translate(rows)


def test_the_card_keeps_what_the_fit_knew() -> None:
    views, trained = (interlingua.load(DATA / kind).card for kind in ("views", "trained"))
    assert views["settings"]["views"] == "further"
    assert {one["name"] for one in views["verdict"]["evidence"]} >= {"rank_of_pairs"}
    assert trained["method"] == "adversarial"


def test_saved_decoders_give_the_recorded_words_and_texts() -> None:
    words, texts = VALUES["keywords"], VALUES["decoder"]
    decoder = KeywordDecoder.load(DATA / "keywords.safetensors")
    np.testing.assert_allclose(decoder.probabilities(words["rows"]), words["probabilities"], atol=2e-5)
    found = TextDecoder.load(DATA / "decoder.safetensors").invert(texts["rows"])
    assert [one.text for one in found] == texts["texts"]


def test_a_translator_of_a_later_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "affine", tmp_path / "later"))
    card = json.loads((folder / "card.json").read_text("utf-8"))
    # Another save id, as another save has: the copy of the card in the weights is then the one that is read.
    (folder / "card.json").write_text(json.dumps(card | {"format": FORMAT + 1}))
    with pytest.raises(InputError, match=r"has another format than 1; a newer interlingua wrote it\. Upgrade\."):
        interlingua.load(folder)
