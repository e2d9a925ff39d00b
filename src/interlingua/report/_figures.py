"""Pictures as SVG with the colors of the page, so that one file works in light and in dark mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.core.arrays import FloatArray
from interlingua.report._rows import PicturedRows
from interlingua.report._svg import svg_element

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

# In the SVG each color is replaced by the CSS custom property of that name, whose value is in style.css. Here the
# colors only have to be distinct. The labels' colors in style.css are Paul Tol's "muted" (light) and "light" (dark).
COLORS = {
    "ink": "#1d2025",
    "muted": "#5d6571",
    "line": "#dcdfe4",
    "source": "#0072b2",
    "target": "#d55e00",
    "rest": "#b4b9c1",
    **{
        f"label-{number}": color
        for number, color in enumerate(
            ("#332288", "#cc6677", "#117733", "#88ccee", "#882255", "#999933", "#44aa99", "#aa4499"), 1
        )
    },
}
LABELS = 8
# Cosines of +-HEAT_LIMIT have full color: blue for similar, orange for opposite. 0 is transparent.
HEAT_LIMIT = 0.6
_HEAT_COLORS = ("#c8641e", "#2878b8")
_JOINED = 40
_DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


def scatter(
    key: str,
    alt: str,
    points: tuple[FloatArray, FloatArray],
    colors: tuple[Sequence[str], Sequence[str]],
    *,
    joined: bool,
) -> str:
    """Draw source rows as dots and target rows as open triangles.

    Args:
        key: prefix of the ids in the SVG.
        alt: description for readers who do not see the picture.
        points: ([n, 2], [m, 2]).
        colors: names from `COLORS`, at least one per point; points of color ``rest`` are drawn below the others.
        joined: draw lines between the first rows of both sides; row i of both must be the same text.
    """
    figure, axes = canvas(3.6, 3.4)
    draw_scatter(axes, points, colors, joined=joined)
    return svg(figure, key, alt)


def draw_scatter(
    axes: Axes, points: tuple[FloatArray, FloatArray], colors: tuple[Sequence[str], Sequence[str]], *, joined: bool
) -> None:
    """Draw what `scatter` shows on axes."""
    everything = np.concatenate(points)
    low, high = everything.min(axis=0), everything.max(axis=0)
    middle, half = (low + high) / 2, 0.53 * float((high - low).max()) or 1.0
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.axhline(0, color=COLORS["line"], linewidth=0.6, zorder=0)
    axes.axvline(0, color=COLORS["line"], linewidth=0.6, zorder=0)
    if joined:
        ends = np.stack([side[:_JOINED] for side in points])
        axes.plot(ends[..., 0], ends[..., 1], color=COLORS["muted"], linewidth=0.5, alpha=0.55, zorder=4)
    for side, names, marker in zip(points, colors, ("o", "^"), strict=True):
        drawn = np.array(names[: len(side)])
        for name in dict.fromkeys(drawn.tolist()):
            group = side[drawn == name]
            paint = COLORS[name]
            look: dict[str, Any] = (
                {"s": 12, "color": paint, "linewidths": 0}
                if marker == "o"
                else {"s": 14, "facecolors": "none", "edgecolors": paint, "linewidths": 0.7}
            )
            alpha, height = (0.5, 1) if name == "rest" else (0.8, 2)
            axes.scatter(group[:, 0], group[:, 1], marker=marker, alpha=alpha, zorder=height, **look)
    axes.set_xlabel("first axis")
    axes.set_ylabel("second axis")


def rank_histogram(key: str, alt: str, ranks: npt.NDArray[np.float64], color: str) -> str:
    """Draw the share of rows by the rank of their true match, in bins of doubling width, with chance as a line."""
    figure, axes = canvas(3.6, 2.5)
    draw_ranks(axes, ranks, color)
    return svg(figure, key, alt)


def draw_ranks(axes: Axes, ranks: npt.NDArray[np.float64], color: str) -> None:
    """Draw what `rank_histogram` shows on axes."""
    pool = len(ranks)
    # The last bin includes the remainder if that is less than half a bin.
    edges = np.append(2.0 ** np.arange(max(2, round(np.log2(pool)))), pool + 1)
    counts, _ = np.histogram(ranks, edges)
    shares, chance = counts / pool, np.diff(edges) / pool
    at = np.arange(len(edges))
    axes.bar(at[:-1] + 0.06, shares, 0.88, align="edge", color=COLORS[color])
    axes.stairs(chance, at, color=COLORS["ink"], linewidth=1.1, linestyle=(0, (3, 2)), baseline=None, label="chance")
    for left, share in zip(at, shares, strict=False):
        if share >= 0.005:
            axes.annotate(
                f"{share:.0%}" if share >= 0.01 else "<1%",
                (left + 0.5, share),
                (0, 2.5),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=COLORS["ink"],
            )
    ticks = at[: -1 : 2 if len(at) > 6 else 1]
    axes.set_xticks(ticks, [f"{2**tick:,}" for tick in ticks])
    axes.set(xlim=(0, len(edges) - 1), ylim=(0, 1.12 * max(shares.max(), chance.max())), yticks=[])
    axes.set_xlabel("rank of the true match")
    axes.set_ylabel("share of rows")
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(True)


def curves(
    key: str,
    alt: str,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    ylabel: str,
    log: bool = False,
    mark: tuple[str, float] | None = None,
) -> str:
    """Draw lines over training steps, each with its name; ``mark`` circles a line at a step.

    Lines differ in color and in dashes, so that they can be distinguished without colors.
    """
    figure, axes = canvas(3.6, 2.9)
    draw_curves(axes, lines, ylabel=ylabel, log=log, mark=mark)
    if len(lines) > 1:
        legend_below(figure, len(lines))
    return svg(figure, key, alt)


def legend_below(figure: Figure, n: int) -> Legend:
    """Add a legend of n lines below the axes, in one column and a taller figure if two columns would be cut."""
    look: dict[str, Any] = {
        "loc": "outside lower center", "frameon": False, "fontsize": 8, "labelcolor": COLORS["ink"],
        "handlelength": 2.4, "columnspacing": 1,
    }  # fmt: skip
    legend = figure.legend(ncols=2, **look)
    # The fonts of a browser can be a little wider than the one that is measured here.
    if legend.get_window_extent().width > 0.95 * figure.bbox.width:
        legend.remove()
        figure.set_figheight(figure.get_figheight() + 0.165 * (n // 2))
        legend = figure.legend(ncols=1, **look)
    return legend


def draw_curves(
    axes: Axes,
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    ylabel: str,
    log: bool = False,
    mark: tuple[str, float] | None = None,
) -> None:
    """Draw what `curves` shows on axes, without a legend; a value of 0 or below makes the axis linear."""
    from matplotlib.ticker import MaxNLocator

    for number, (name, (steps, values)) in enumerate(lines.items()):
        color = COLORS[f"label-{number % LABELS + 1}"]
        # The second term changes the dashes each time a color is used again.
        dashes = _DASHES[(number // 2 + number // LABELS) % len(_DASHES)]
        axes.plot(steps, values, color=color, linewidth=1.4, linestyle=dashes, label=name.replace("_", " "))
        if mark is not None and mark[0] == name and mark[1] in steps:
            at = list(steps).index(mark[1])
            axes.plot([mark[1]], [values[at]], "o", markersize=7, markerfacecolor="none", color=COLORS["ink"])
    log = log and all(value > 0 for _, values in lines.values() for value in values)
    if log:
        axes.set_yscale("log")
    marks = round_ticks(*axes.get_ylim(), log=log)
    axes.minorticks_off()
    axes.set_yticks(marks, [f"{mark:.12g}" for mark in marks])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.ticklabel_format(axis="x", style="plain", useOffset=False)
    axes.yaxis.grid(visible=True, color=COLORS["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("training step")
    axes.set_ylabel(f"{ylabel}, log scale" if log else ylabel)
    axes.spines["bottom"].set_visible(True)


def row_colors(rows: PicturedRows, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the color names of all rows of both sides: by label, or by side if there are no labels."""
    if rows.source_labels is None or rows.target_labels is None:
        return ["source"] * len(rows.source), ["target"] * len(rows.target)
    names = {label: f"label-{number}" for number, label in enumerate(labels, 1)}
    source, target = ([names.get(label, "rest") for label in side] for side in (rows.source_labels, rows.target_labels))
    return source, target


def heat_map(key: str, alt: str, matrix: FloatArray, colors: Sequence[str] | None) -> str:
    """Draw similarities [h, h], with a strip of the rows' colors if they are given."""
    figure, axes = canvas(3.0, 3.0)
    draw_heat_map(axes, matrix, colors)
    return svg(figure, key, alt)


def draw_heat_map(axes: Axes, matrix: FloatArray, colors: Sequence[str] | None) -> None:
    """Draw what `heat_map` shows on axes."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    # Unrelated rows are transparent, so that the picture works on any background.
    opposed, alike = (to_rgb(color) for color in _HEAT_COLORS)
    anchors = [(0, (*opposed, 1)), (0.5, (*opposed, 0)), (0.5, (*alike, 0)), (1, (*alike, 1))]
    fading = LinearSegmentedColormap.from_list("fading", anchors)
    n = len(matrix)
    axes.imshow(matrix, cmap=fading, vmin=-HEAT_LIMIT, vmax=HEAT_LIMIT, interpolation="none")
    strip = 0.03 * n
    for start, stop, color in _runs(colors or ()):
        paint = COLORS[color]
        axes.fill([start, stop, stop, start], [-2 * strip, -2 * strip, -strip, -strip], color=paint, linewidth=0)
        axes.fill([-2 * strip, -2 * strip, -strip, -strip], [start, stop, stop, start], color=paint, linewidth=0)
    margin = 2 * strip if colors else 0
    axes.set(xlim=(-0.5 - margin, n - 0.5), ylim=(n - 0.5, -0.5 - margin), xticks=[], yticks=[])
    axes.plot([-0.5, n - 0.5, n - 0.5, -0.5, -0.5], [-0.5, -0.5, n - 0.5, n - 0.5, -0.5], color=COLORS["line"], lw=0.8)


def round_ticks(low: float, high: float, *, log: bool) -> list[float]:
    """Return at least two round numbers between the ends of an axis."""
    from matplotlib.ticker import Locator, LogLocator, MaxNLocator

    locators: list[Locator] = [MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])]
    if log:
        # Powers of ten where the axis is long, fractions of a decade or equal steps where it is short.
        locators = [LogLocator(), LogLocator(subs=(1, 2, 5)), *locators]
    for locator in locators:
        ticks = [float(tick) for tick in locator.tick_values(low, high) if low <= tick <= high]
        if len(ticks) > 1:
            return ticks
    return [low, high]


def _runs(values: Sequence[str]) -> list[tuple[float, float, str]]:
    """Return start, stop and value of each run of equal values, as edges of an image's pixels."""
    edges = [i for i, value in enumerate(values) if i == 0 or value != values[i - 1]] + [len(values)]
    return [(start - 0.5, stop - 0.5, values[start]) for start, stop in pairwise(edges)]


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return a transparent figure of this size in inches, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    set_style(axes)
    return figure, axes


def set_style(axes: Axes) -> None:
    """Give axes the quiet frame, ticks and labels of the reports."""
    for spine in axes.spines.values():
        spine.set(visible=False, color=COLORS["line"])
    axes.tick_params(length=0, labelsize=8.5, labelcolor=COLORS["muted"])
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(color=COLORS["muted"], fontsize=8.5)


def svg(figure: Figure, key: str, alt: str) -> str:
    """Return a figure as SVG with the colors of the page; see `svg_element`."""
    return svg_element(figure, key, alt, COLORS)
