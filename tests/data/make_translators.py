"""Write small translators and decoders as this version saves them, and what they make of a few rows.

    PYTHONPATH=src:tests python tests/data/make_translators.py

writes what is not yet beside this file: a folder for each kind of translator, a file for each decoder, and their
entries in `values.json`, rows with the results for them. `tests/test_saved_translators.py` opens them. Do not make them
again to make that test pass: a version that cannot read these files cannot read the translators of its users. A new
format gets new names beside the old ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import exported
import interlingua as il
from interlingua.core.arrays import unit_rows
from interlingua.core.translator import Translator
from interlingua.leakage.inversion import KeywordDecoder, TextDecoder
from interlingua.leakage.inversion.words import Vocabulary
from planted import groups, rotation, small_problem

HERE = Path(__file__).resolve().parent
VALUES = HERE / "values.json"
ROWS = 4
D_SOURCE, D_TARGET = 12, 10
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "iris", "jade", "kelp", "lotus")

Made = tuple[Translator, npt.NDArray[Any], npt.NDArray[Any]]


def main() -> None:
    """Write what is missing, and its values."""
    values = json.loads(VALUES.read_text("utf-8")) if VALUES.exists() else {}
    for kind, make in TRANSLATORS.items():
        if (HERE / kind).exists():
            continue
        translator, source, target = make()
        translator.save(HERE / kind)
        values[kind] = {
            "source": _plain(source),
            "target": _plain(target),
            "translated": _plain(translator.translate(np.round(source.astype(float), 6))),
            "inverted": _plain(translator.invert(np.round(target.astype(float), 6))),
        }
        if translator.calibration is not None:
            scores = np.linspace(-0.2, 0.7, ROWS)
            values[kind] |= {"scores": _plain(scores), "calibrated": _plain(translator.calibrate(scores))}
    for name, make_decoder in DECODERS.items():
        file = HERE / f"{name}.safetensors"
        if not file.exists():
            values[name] = make_decoder(file)
    VALUES.write_text(json.dumps(values) + "\n", "utf-8")


def affine() -> Made:
    """Return a linear translator of random numbers."""
    return exported.linear(), *_random()


def network() -> Made:
    """Return networks of random numbers with batch norm and gates."""
    return exported.neural(), *_random()


def calibrated() -> Made:
    """Return a fit without pairs whose scores are calibrated."""
    source, target, held = _spaces()
    translator = il.align(source, target).translator()
    return translator.fit_calibration(held["source"], held["target"]), *_first(held)


def paired() -> Made:
    """Return a regression on pairs."""
    _, _, held = _spaces()
    pairs = np.stack([np.arange(len(held["source"]))] * 2, axis=1)
    return il.align(held["source"], held["target"], method="ridge", pairs=pairs).translator(), *_first(held)


def views() -> Made:
    """Return a fit with a view of the target, with known pairs and categories."""
    source, target, held = _spaces()
    pairs = np.stack([np.arange(60)] * 2, axis=1)
    sides = [np.concatenate([held[name][:60], rows]) for name, rows in (("source", source), ("target", target))]
    noise = 0.05 * np.random.default_rng(5).standard_normal((len(sides[1]), 14))
    view = sides[1] @ rotation(D_TARGET, 14, np.random.default_rng(6)) + noise
    alignment = il.align(*sides, pairs=pairs, views={"further": view})
    return alignment.translator(), *_first(held)


def reduced() -> Made:
    """Return a fit on pairs of spaces that look reduced by PCA, whose profiles hold clusters."""
    content = groups(2_000, 24, np.random.default_rng(7))
    content -= content.mean(axis=0)
    components = content @ np.linalg.svd(content, full_matrices=False)[2].T
    rows, other = (unit_rows(components[:, :16] * np.geomspace(1, last, 16)) for last in (1, 0.5))
    pairs = np.stack([np.arange(len(rows))] * 2, axis=1)
    translator = il.align(rows, other, method="procrustes", pairs=pairs).translator(force=True)
    return translator, rows[:ROWS], other[:ROWS]


def trained() -> Made:
    """Return networks as they are after a short training from the linear alignment."""
    source, target, held = _spaces()
    sizes: dict[str, Any] = {"width": 8, "discriminator_width": 8, "discriminator_depth": 3, "batch": 64}
    alignment = il.align(source, target, method="adversarial", steps=20, warmup=5, check_every=10, **sizes)
    return alignment.translator(force=True), *_first(held)


def keywords(file: Path) -> dict[str, Any]:
    """Write a decoder of words; return rows and the probabilities of every word in them."""
    rows, texts = _documents()
    fitted = KeywordDecoder.fit(rows, texts, vocabulary=Vocabulary.of(texts, max_share=0.5))
    fitted.save(file)
    return {"rows": _plain(rows[:ROWS]), "probabilities": _plain(fitted.probabilities(rows[:ROWS]))}


def decoder(file: Path) -> dict[str, Any]:
    """Write a decoder of texts; return rows and the texts that it writes for them."""
    rows, texts = _documents()
    fitted = TextDecoder.fit(rows, texts, hidden=16, length=4, epochs=40, lr=0.02)
    fitted.save(file)
    return {"rows": _plain(rows[:ROWS]), "texts": [found.text for found in fitted.invert(rows[:ROWS])]}


TRANSLATORS: dict[str, Callable[[], Made]] = {
    make.__name__: make for make in (affine, network, calibrated, paired, views, reduced, trained)
}
DECODERS: dict[str, Callable[[Path], dict[str, Any]]] = {make.__name__: make for make in (keywords, decoder)}


def _plain(values: Any) -> list[Any]:
    return np.round(np.asarray(values, float), 6).tolist()  # type: ignore[no-any-return]


def _random() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    source, target = (exported.rows(d, ROWS) for d in (exported.D_SOURCE, exported.D_TARGET))
    return source, target


def _spaces() -> tuple[npt.NDArray[Any], npt.NDArray[Any], dict[str, npt.NDArray[Any]]]:
    """Return rows of other texts under two encoders, and further rows that both encoders saw."""
    problem = small_problem(widths=(D_SOURCE, D_TARGET))
    return problem.source, problem.target, {"source": problem.source_eval, "target": problem.target_eval}


def _first(held: dict[str, npt.NDArray[Any]]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    return held["source"][:ROWS], held["target"][:ROWS]


def _documents() -> tuple[npt.NDArray[Any], list[str]]:
    """Return bags of two words, as sums of their vectors, and their texts."""
    rng = np.random.default_rng(8)
    picked = np.stack([rng.choice(len(WORDS), 2, replace=False) for _ in range(400)])
    vectors = rotation(len(WORDS), 8, rng)[picked].sum(axis=1) + 0.1 * rng.standard_normal((400, 8))
    return vectors, [" ".join(WORDS[i] for i in row) for row in picked]


if __name__ == "__main__":
    main()
