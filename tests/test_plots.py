"""The pictures of the reports on axes of one's own, and the report of a failed fit from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import interlingua as il
from interlingua.core.errors import InputError

pytest.importorskip("matplotlib").use("agg")

import matplotlib.pyplot as plt  # noqa: E402

from interlingua.report import plots  # noqa: E402

Sides = tuple[il.EmbeddingSpace, il.EmbeddingSpace]
TRACE: tuple[dict[str, Any], ...] = (
    *({"step": "train", "seed": 0, "at": at, "of": 30, "loss": 1 / at, "cycle": 0.5 / at} for at in (10, 20, 30)),
    *({"step": "check", "seed": 0, "at": at, "score": at / 30} for at in (0, 10, 20)),
    {"step": "run", "seed": 0, "best": 20, "score": 20 / 30},
)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def trained(alignment: il.Alignment) -> il.Alignment:
    verdict = replace(alignment.verdict, status=il.Status.FAILED, score=0.1)
    return replace(alignment, trace=TRACE, verdict=verdict)


def test_every_picture_draws_on_the_axes_given_and_returns_them(trained: il.Alignment, spaces: Sides) -> None:
    translator = trained.translator(force=True)
    drawings: list[Callable[..., Any]] = [
        lambda **ax: plots.plot_evidence(trained, **ax),
        lambda **ax: plots.plot_evidence(trained.verdict, **ax),
        lambda **ax: plots.plot_training(trained, **ax),
        lambda **ax: plots.plot_training(trained, "score", **ax),
        lambda **ax: plots.plot_spaces(translator, *spaces, **ax),
        lambda **ax: plots.plot_ranks(translator, *spaces, "backward", **ax),
        lambda **ax: plots.plot_similarities(translator, *spaces, **ax),
    ]
    for draw in drawings:
        _, axes = plt.subplots()
        assert draw(ax=axes) is axes
        assert axes.has_data()
        own = draw()
        assert own is not axes
        assert own.figure.number in plt.get_fignums()


def test_the_line_of_chance_is_named_and_no_bar_reads_0_percent() -> None:
    from interlingua.report import _figures

    _, axes = plt.subplots()
    _figures.draw_ranks(axes, np.array([1.0] * 993 + [3.0] * 7), "source")
    assert [text.get_text() for text in axes.texts] == ["99%", "<1%"]
    assert "chance" in axes.get_legend_handles_labels()[1]


def test_curves_are_those_of_the_trace(trained: il.Alignment) -> None:
    axes = plots.plot_training(trained)
    lines = {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in axes.get_lines()}
    assert list(lines) == ["loss", "cycle"]
    assert lines["loss"] == [[10, 0.1], [20, 0.05], [30, pytest.approx(1 / 30)]]
    legend: Any = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["loss", "cycle"]
    score = plots.plot_training(trained, "score").get_lines()
    assert [20, pytest.approx(20 / 30)] in np.asarray(score[1].get_xydata()).tolist()


def test_all_loss_terms_have_different_styles(trained: il.Alignment) -> None:
    steps = [{"step": "train", "seed": 0, "at": at, **{f"term_{k}": k + at for k in range(16)}} for at in (10, 20)]
    many = replace(trained, trace=(*steps, {"step": "run", "seed": 0, "best": 20, "score": 1.0}))
    lines = plots.plot_training(many).get_lines()
    assert len(lines) == 16
    # Matplotlib has no public name for the dashes of a line.
    looks = {(line.get_color(), str(vars(line)["_unscaled_dash_pattern"])) for line in lines}
    assert len(looks) == 16


def test_the_axis_of_losses_says_whether_it_is_logarithmic(trained: il.Alignment) -> None:
    assert plots.plot_training(trained).get_ylabel() == "loss, log scale"
    trace = [{**step, "cycle": -1.0} if step["step"] == "train" else step for step in trained.trace]
    axes = plots.plot_training(replace(trained, trace=tuple(trace)))
    assert (axes.get_yscale(), axes.get_ylabel()) == ("linear", "loss")


def test_the_evidence_has_a_bar_for_each_measurement(trained: il.Alignment) -> None:
    axes = plots.plot_evidence(trained)
    assert len(axes.patches) == len(trained.verdict.evidence)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["density gap", "half agreement"]
    assert axes.get_title() == "failed, score 0.10"


def test_labels_color_the_spaces(trained: il.Alignment, spaces: Sides) -> None:
    translator = trained.translator(force=True)
    labels = {side: ["a", "b"] * (spaces[0].n // 2) for side in ("source", "target")}
    plain = plots.plot_spaces(translator, *spaces)
    colored = plots.plot_spaces(translator, *spaces, labels=labels)
    assert len(colored.collections) > len(plain.collections)
    with pytest.raises(InputError, match="label"):
        plots.plot_spaces(translator, *spaces, labels={"source": ["a"]})


def test_what_cannot_be_drawn_is_refused(alignment: il.Alignment) -> None:
    with pytest.raises(InputError, match="fit is .*; an alignment or a verdict is needed"):
        plots.plot_evidence(5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="The verdict has no evidence to draw"):
        plots.plot_evidence(il.Verdict(il.Status.FAILED, 0.0, ()))
    with pytest.raises(InputError, match="method 'planted' has no curves; only training of a network has"):
        plots.plot_training(alignment)
    with pytest.raises(InputError, match="what is 'loss'"):
        plots.plot_training(alignment, "loss")
    with pytest.raises(InputError, match="ax is 5; matplotlib axes"):
        plots.plot_evidence(alignment, ax=5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="direction is 'up'"):
        plots.plot_ranks(alignment.translator(), np.eye(12), np.eye(8), "up")


def test_a_failed_fit_writes_its_report_from_python_with_its_curves(
    trained: il.Alignment, spaces: Sides, tmp_path: Path
) -> None:
    path = trained.report(tmp_path / "failed.html", source=spaces[0], target=spaces[1])
    text = path.read_text("utf-8")
    assert "failed" in text
    assert "Curves of the loss terms over the training steps" in text
    assert "Scatter plot of translated source rows" in text


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (("vsp", "cycle", "loss"), 2),
        (("discriminator.latent adversarial.0", "discriminator.adversarial.0", "latent adversarial", "loss"), 1),
    ],
)
def test_names_in_the_legend_of_training_curves_are_not_cut(names: tuple[str, ...], columns: int) -> None:
    from interlingua.report import _figures

    figure, axes = _figures.canvas(3.6, 2.9)
    for name in names:
        axes.plot([1, 2], [1, 2], label=name)
    legend = _figures.legend_below(figure, len(names))
    figure.draw_without_rendering()
    assert legend.get_window_extent().width < 0.95 * figure.bbox.width
    assert (len({round(text.get_window_extent().x0) for text in legend.get_texts()}), figure.legends) == (
        columns,
        [legend],
    )
