"""Translators that an earlier version saved open, and translate to the same values."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import interlingua
from interlingua.core.errors import InputError
from interlingua.core.storage import FORMAT
from interlingua.core.translator import NeuralTranslator

DATA = Path(__file__).resolve().parent / "data"
VALUES = json.loads((DATA / "values.json").read_text("utf-8"))
KINDS = ("affine", "network")


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_translator_opens_and_translates_to_the_recorded_values(kind: str) -> None:
    translator = interlingua.load(DATA / kind)
    assert isinstance(translator, NeuralTranslator) == (kind == "network")
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
    assert (card["format"], card["kind"]) == (FORMAT, kind)


def test_a_translator_of_a_later_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DATA / "affine", tmp_path / "later"))
    card = json.loads((folder / "card.json").read_text("utf-8"))
    # Another save id, as another save has: the copy of the card in the weights is then the one that is read.
    (folder / "card.json").write_text(json.dumps(card | {"format": FORMAT + 1}))
    with pytest.raises(InputError, match=r"has another format than 1; a newer interlingua wrote it\. Upgrade\."):
        interlingua.load(folder)
