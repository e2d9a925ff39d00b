"""The pictures of the reports as matplotlib axes, for notebooks and papers.

Every function draws on the axes that it is given, or on those of a new figure of pyplot, and returns them; change or
save them as usual: ``plot_training(alignment).figure.savefig("losses.pdf")``. Needs the extra ``report``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from interlingua.core.alignment import Alignment, Verdict
from interlingua.core.arguments import check_choice, check_count, check_instance
from interlingua.core.arrays import require
from interlingua.core.errors import InputError
from interlingua.core.spaces import as_space
from interlingua.core.wording import bar_length, comparison_sign
from interlingua.evaluation.scores import check_translator
from interlingua.report import _curves, _figures, _rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from interlingua.evaluation import SupportsTranslation

__all__ = ["plot_evidence", "plot_ranks", "plot_similarities", "plot_spaces", "plot_training"]

_DIRECTIONS = ("forward", "backward")


def plot_evidence(fit: Alignment | Verdict, *, ax: Axes | None = None) -> Axes:
    """Draw each measurement of a verdict as a bar that reaches the line exactly where it passes.

    Args:
        fit: an alignment or its verdict.
        ax: the axes to draw on; new ones by default.

    Raises:
        InputError: another object, or a verdict without evidence.
    """
    check_instance(fit, "fit", (Alignment, Verdict), "an alignment or a verdict")
    verdict = fit.verdict if isinstance(fit, Alignment) else fit
    if not verdict.evidence:
        raise InputError("The verdict has no evidence to draw.")
    axes = _axes(ax)
    items = [asdict(item) for item in reversed(verdict.evidence)]
    lengths = [bar_length(item) for item in items]
    colors = [_figures.COLORS["source" if item["passed"] else "target"] for item in items]
    axes.barh(range(len(items)), lengths, 0.6, color=colors)
    axes.axvline(1, color=_figures.COLORS["ink"], linewidth=1)
    for row, item in enumerate(items):
        text = f"{item['value']:.3g} {comparison_sign(item)} {item['threshold']:.3g}"
        axes.annotate(text, (2.05, row), va="center", fontsize=8, color=_figures.COLORS["ink"], annotation_clip=False)
    axes.set_yticks(range(len(items)), [item["name"].replace("_", " ") for item in items])
    axes.set(xlim=(0, 2), xticks=[0, 1])
    axes.set_xticklabels(["null", "needed"])
    axes.set_title(f"{verdict.status}, score {verdict.score:.2f}", fontsize=9)
    return axes


def plot_training(alignment: Alignment, what: str = "losses", *, ax: Axes | None = None) -> Axes:
    """Draw the training curves of a network.

    Args:
        alignment: a fit with ``method="adversarial"``; a resumed run has its whole curves.
        what: ``"losses"``: every term of the run that was kept; ``"score"``: the label-free score of every run, with a
            circle at the snapshot that was kept.
        ax: the axes to draw on; new ones by default.

    Raises:
        InputError: another object, another value of ``what``, or a fit that trained no network.
    """
    check_instance(alignment, "alignment", Alignment, "an alignment")
    check_choice(what, "what", ("losses", "score"))
    curves = _curves.curves_of(alignment.trace)
    lines: Mapping[str, Any] = {}
    if curves is not None and what == "losses":
        lines = curves.losses
    elif curves is not None:
        lines = {f"seed {seed}": line for seed, line in sorted(curves.scores.items())}
    if curves is None or not lines:
        raise InputError(f"The fit with method {alignment.method!r} has no curves; only training of a network has.")
    axes = _axes(ax)
    if what == "losses":
        _figures.draw_curves(axes, lines, ylabel="loss", log=True)
    else:
        mark = (f"seed {curves.seed}", curves.best)
        _figures.draw_curves(axes, lines, ylabel="label-free score", mark=mark)
    # Beside the axes: the lines of a run cross the whole area.
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def plot_spaces(
    translator: SupportsTranslation,
    source: Any,
    target: Any,
    *,
    labels: Mapping[str, Sequence[Any]] | None = None,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw translated source rows (dots) and target rows (triangles) on the principal axes of the target.

    Args:
        translator: translates the source.
        source: the source space or vectors [n, d_source]; at most some hundred rows are drawn.
        target: the target space or vectors [m, d_target], unpaired.
        labels: one label per row for ``source`` and ``target``, which set the colors.
        seed: decides which rows are drawn.
        ax: the axes to draw on; new ones by default.

    Raises:
        InputError: vectors of another width, or not one label per row.
    """
    rows = _drawn(translator, source, target, labels, seed, paired=False)
    known = [*(rows.source_labels or ()), *(rows.target_labels or ())]
    frequent = _rows.frequent(known, _figures.LABELS) if known else []
    axes = _axes(ax)
    _figures.draw_scatter(axes, _rows.planes(rows)["after"], _figures.row_colors(rows, frequent), joined=False)
    return axes


def plot_ranks(
    translator: SupportsTranslation,
    source_eval: Any,
    target_eval: Any,
    direction: str = "forward",
    *,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Draw the share of held-out rows by the rank of their true match, beside chance.

    Args:
        translator: the translator to judge.
        source_eval: held-out vectors [e, d_source].
        target_eval: vectors [e, d_target] of the same texts in the same order.
        direction: ``"forward"``, from source to target, or ``"backward"``.
        seed: decides which rows are drawn.
        ax: the axes to draw on; new ones by default.

    Raises:
        InputError: sides with different numbers of rows, or another direction.
    """
    check_choice(direction, "direction", _DIRECTIONS)
    rows = _drawn(translator, source_eval, target_eval, None, seed, paired=True)
    axes = _axes(ax)
    color = dict(zip(_DIRECTIONS, ("source", "target"), strict=True))[direction]
    _figures.draw_ranks(axes, _rows.ranks(rows)[direction], color)
    axes.legend(frameon=False, fontsize=8)
    return axes


def plot_similarities(
    translator: SupportsTranslation, source_eval: Any, target_eval: Any, *, seed: int = 0, ax: Axes | None = None
) -> Axes:
    """Draw cosines of translated held-out rows with target rows; a correct translation shows as a diagonal.

    Args:
        translator: the translator to judge.
        source_eval: held-out vectors [e, d_source].
        target_eval: vectors [e, d_target] of the same texts in the same order.
        seed: decides which rows are drawn.
        ax: the axes to draw on; new ones by default.

    Raises:
        InputError: sides with different numbers of rows.
    """
    rows = _drawn(translator, source_eval, target_eval, None, seed, paired=True)
    axes = _axes(ax)
    _figures.draw_heat_map(axes, _rows.similarities(rows).matrices["across"], None)
    axes.set_xlabel("target rows")
    axes.set_ylabel("translated source rows")
    return axes


def _drawn(
    translator: SupportsTranslation,
    source: Any,
    target: Any,
    labels: Mapping[str, Sequence[Any]] | None,
    seed: int,
    *,
    paired: bool,
) -> _rows.PicturedRows:
    check_translator(translator)
    check_instance(labels, "labels", (Mapping, type(None)), "a mapping")
    rng = np.random.default_rng(check_count(seed, "seed"))
    # The rows of a report may lack the target; those of a plot may not.
    source, target = as_space(source, "source"), as_space(target, "target")
    draw = _rows.draw_paired if paired else _rows.draw_unpaired
    return draw(translator, source, target, labels or {}, rng)


def _axes(ax: Axes | None) -> Axes:
    """Return the axes that were given, or those of a new figure, in the style of the reports."""
    pyplot = require("matplotlib.pyplot", "report")
    axes_type = require("matplotlib.axes", "report").Axes
    check_instance(ax, "ax", (axes_type, type(None)), "matplotlib axes")
    axes: Axes = pyplot.subplots(figsize=(4.8, 3.6), layout="constrained")[1] if ax is None else ax
    _figures.set_style(axes)
    return axes
