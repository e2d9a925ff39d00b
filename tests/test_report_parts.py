from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import interlingua
from interlingua.core.alignment import Alignment
from interlingua.core.arrays import unit_rows
from interlingua.core.errors import InputError
from interlingua.core.neighbors import neighbor_overlap
from interlingua.core.spaces import EmbeddingSpace
from interlingua.core.translator import Translator, load
from interlingua.report import _curves, _figures, _graphs, _rows, write_report
from reported import N, Page

PACKAGE = Path(interlingua.__file__).parent


def traced() -> tuple[dict[str, Any], ...]:
    """The trace of a network trained with two seeds, the second better."""
    lines: list[dict[str, Any]] = []
    for seed in (0, 1):
        lines += [{"seed": seed, "step": "check", "at": at, "score": seed + at / 100} for at in (0, 50, 100)]
        lines += [
            {
                "seed": seed,
                "step": "train",
                "at": at,
                "loss": 2.0 / at,
                "cycle": 1.0 / at,
                "of": 500,
                "seconds_left": 1.0,
            }
            for at in range(1, 501)
        ]
    return (*lines, *({"step": "run", "seed": seed, "best": 100, "score": seed + 1.0} for seed in (0, 1)))


def test_training_curves_are_of_the_run_that_was_kept(tmp_path: Path, alignment: Alignment) -> None:
    curves = _curves.curves_of(traced())
    assert curves
    assert (curves.seed, curves.best) == (1, 100)
    assert set(curves.losses) == {"loss", "cycle"}
    assert len(curves.losses["loss"][0]) <= 201
    assert curves.losses["loss"][0][-1] == 500
    assert [list(line) for line in curves.scores[1]] == [[0, 50, 100], [1.0, 1.5, 2.0]]
    page = Page(write_report(tmp_path / "report.html", replace(alignment, trace=traced())))
    assert "Training" in page.headings
    assert len(page.all("figure")) == 2
    assert "the snapshot of step 100 was kept" in page.source


def test_without_training_there_are_no_curves(tmp_path: Path, alignment: Alignment) -> None:
    assert _curves.curves_of(({"step": "rows", "source": 1, "target": 1},)) is None
    assert "Training" not in Page(write_report(tmp_path / "report.html", alignment)).headings


def test_the_report_of_a_saved_translator_equals_that_of_its_fit(
    tmp_path: Path, alignment: Alignment, everything: dict[str, Any]
) -> None:
    loaded = load(alignment.translator().save(tmp_path / "translator"))
    fits: tuple[Alignment | Translator, ...] = (alignment, loaded)
    written = (write_report(tmp_path / f"{i}.html", fit, **everything) for i, fit in enumerate(fits))
    first, second = (Page(path).text for path in written)
    assert first == second


def test_a_failed_measurement_appears_once_on_the_page(tmp_path: Path, alignment: Alignment) -> None:
    failed = alignment.verdict.evidence[1]
    verdict = replace(alignment.verdict, reasons=("Few rows.", str(failed)))
    page = write_report(tmp_path / "r.html", replace(alignment, verdict=verdict)).read_text("utf-8")
    assert page.count(failed.meaning) == 1
    assert "<li>Few rows.</li>" in page


def test_a_translator_without_a_verdict_shows_none(tmp_path: Path, alignment: Alignment) -> None:
    made = Translator(alignment.forward, alignment.backward, alignment.profiles, {})
    assert "Verdict" not in Page(write_report(tmp_path / "report.html", made)).headings


def test_a_card_that_cannot_be_read_is_refused(tmp_path: Path, alignment: Alignment) -> None:
    card = {"verdict": {"status": "splendid", "score": 1}}
    made = Translator(alignment.forward, alignment.backward, alignment.profiles, card)
    with pytest.raises(InputError, match="card cannot be read.*splendid"):
        write_report(tmp_path / "report.html", made)


def test_a_source_alone_is_shown_before_and_after_translation(
    tmp_path: Path, alignment: Alignment, spaces: tuple[EmbeddingSpace, EmbeddingSpace]
) -> None:
    page = Page(write_report(tmp_path / "report.html", alignment, source=spaces[0]))
    shown = " ".join(page.text)
    assert len(page.all("figure")) == 4
    assert "Nearest other translations" in shown
    assert "target rows" not in shown


def test_the_overlap_of_graphs_equals_a_direct_count(rng: np.random.Generator) -> None:
    a, b = (unit_rows(rng.standard_normal((40, 6)).astype(np.float32)) for _ in range(2))
    near = [np.argsort(-np.where(np.eye(40), -2, x @ x.T), axis=1)[:, :5] for x in (a, b)]
    expected = [len(set(near[0][i]) & set(near[1][i])) / 5 for i in range(40)]
    assert neighbor_overlap(a, b, 5).mean() == pytest.approx(np.mean(expected))


def test_an_isometry_keeps_the_graph_and_pairs_show_what_encoders_agree_on(drawn: _rows.PicturedRows) -> None:
    found, k, n, chance = _graphs.overlaps(drawn)
    assert (k, n) == (10, N)
    assert chance == pytest.approx(10 / (N - 1))
    assert [line.value for line in found] == pytest.approx([1, 1, 1], abs=0.01)
    scrambled = replace(drawn, translated=drawn.translated[::-1].copy())
    assert _graphs.overlaps(scrambled)[0][0].value < 5 * chance


def test_without_pairs_neighbors_are_rows_of_the_target_and_none_is_called_the_text_itself(
    alignment: Alignment, spaces: tuple[EmbeddingSpace, EmbeddingSpace], rng: np.random.Generator
) -> None:
    unpaired = _rows.draw_unpaired(alignment.translator(), *spaces, {}, rng)
    for found in _rows.neighbors(unpaired):
        assert found.after[0] == (f"row {int(found.name.removeprefix('text-')):,}", False)


def test_labels_of_rows_without_pairs_may_first_occur_anywhere(
    alignment: Alignment, spaces: tuple[EmbeddingSpace, EmbeddingSpace], rng: np.random.Generator
) -> None:
    """The rarer label is on rows of which most are not among the first 60 that are drawn without labels."""
    marks = {side: ["rare" if row % 9 == 0 else "common" for row in range(N)] for side in ("source", "target")}
    unpaired = _rows.draw_unpaired(alignment.translator(), *spaces, marks, rng)
    drawn = _rows.similarities(unpaired)
    labels = [(unpaired.source_labels or ())[row] for row in drawn.rows]
    assert labels == ["common"] * 30 + ["rare"] * 30
    assert set(drawn.matrices) == {"before", "after"}


def tick_labels(svg: str) -> dict[str, list[str]]:
    """Return what is written at the ticks of both axes: matplotlib ends those of the y axis at the axis."""
    texts = [node for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("text")]
    numbers = [(node.get("style") or "", node.text or "") for node in texts if re.match(r"[-\d.]", node.text or "")]
    anchors = {"x": "text-anchor: middle", "y": "text-anchor: end"}
    return {axis: [text for style, text in numbers if anchor in style] for axis, anchor in anchors.items()}


RANGES = {
    "narrow": [0.9815, 0.983, 0.9845],
    "very narrow": [0.98150001, 0.98150002, 0.98150003],
    "one decade": [0.2, 0.3, 0.25],
    "within a tenth": [1.21, 1.2, 1.23],
    "far from zero": [1_000_000.001, 1_000_000.002, 1_000_000.003],
    "many decades": [1e-9, 1.0, 1e6],
    "two decades": [0.03, 0.4, 2.0],
    "constant": [0.5, 0.5, 0.5],
    "nearly nothing": [1e-12, 2e-12, 3e-12],
}


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", RANGES.values(), ids=RANGES)
def test_every_axis_has_two_ticks_or_more_that_read_differently_and_true(values: list[float], log: bool) -> None:
    svg = _figures.curves("k", "words", {"line": ([0, 50, 100], values)}, ylabel="y", log=log)
    for ticks in tick_labels(svg).values():
        assert 2 <= len(ticks) == len(set(ticks)) <= 12, ticks
    numbers = [float(tick) for tick in tick_labels(svg)["y"]]
    assert numbers == sorted(numbers)
    spread = max(values) - min(values) or 1
    if not log or spread < max(values):  # decades are far wider than the values within them
        assert all(min(values) - spread <= number <= max(values) + spread for number in numbers)


@pytest.mark.parametrize("steps", [[1, 2, 3], [999_998, 999_999, 1_000_000], [0, 100_000, 300_000]])
def test_training_steps_are_whole_numbers_in_full(steps: list[float]) -> None:
    ticks = tick_labels(_figures.curves("k", "words", {"line": (steps, [1.0, 2.0, 3.0])}, ylabel="y"))["x"]
    assert len(ticks) >= 2
    assert all(steps[0] <= int(tick) <= steps[-1] for tick in ticks)


@pytest.mark.parametrize("pool", [2, 3, 5, 4096])
def test_the_ranks_of_a_histogram_have_two_ticks_or_more(pool: int) -> None:
    ranks = np.arange(1, pool + 1, dtype=np.float64)
    ticks = tick_labels(_figures.rank_histogram("k", "words", ranks, "source"))["x"]
    shown = [tick for tick in ticks if "%" not in tick]
    assert 2 <= len(shown) == len(set(shown))


def test_shortening_coordinates_keeps_names_and_the_scale_of_images() -> None:
    svg = _figures.curves("k", "words", {"beta 0.12345": ([0, 1], [1, 2]), "b": ([0, 1], [1, 2])}, ylabel="0.98765")
    assert "beta 0.12345" in svg
    assert "0.98765" in svg
    heat = ElementTree.fromstring(_figures.heat_map("h", "words", np.eye(61, dtype=np.float32), None))
    image = next(node for node in heat.iter() if node.tag.endswith("image"))
    scale = float(re.findall(r"[\d.]+", image.get("transform") or "")[0])
    box = [float(part) for part in (heat.get("viewBox") or "").split()]
    assert 61 * scale == pytest.approx(box[2] - 6, abs=0.1)


@pytest.mark.parametrize(
    "template", sorted(Path(interlingua.__file__).parent.rglob("*.jinja")), ids=lambda path: path.name
)
def test_pages_use_only_attributes_that_screen_readers_know(template: Path) -> None:
    known = {"controls", "describedby", "hidden", "label", "labelledby", "live"}
    assert set(re.findall(r"\baria-(\w+)=", template.read_text("utf-8"))) <= known
