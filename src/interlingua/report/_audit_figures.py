"""Pictures of an audit: defenses, membership, and the leak against the number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interlingua.evaluation.bootstrap import Interval
from interlingua.leakage.defense_scores import DefenseScore
from interlingua.leakage.findings import Audit
from interlingua.report._figures import COLORS, LABELS, canvas, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["pictures", "roc", "sizes", "tradeoff"]

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def pictures(audit: Audit) -> dict[str, Any]:
    """Return the pictures of the page, SVG without any text of the user."""
    found: dict[str, Any] = {"defense_picture": None, "roc": None, "row_pictures": {}}
    if audit.defenses:
        found["defense_picture"] = tradeoff(audit.defenses)
    if audit.membership is not None:
        tested = audit.membership
        found["roc"] = roc(tested.false_alarms, tested.finds, 1e-3)
    if not audit.points:
        return found
    measured, estimate = audit.words.measured, audit.words.leak_rate
    # As in the points, nothing is read by estimate where no fit worked.
    estimated = estimate.interval if audit.has_usable_fit else Interval(0.0)
    whole = measured.leak_rate.interval if measured else estimated
    null = (measured.leak_rate.control if measured else None) or estimate.control
    # One scale, because both pictures are read beside each other.
    top = max([interval.high or interval.value for interval in (whole, *(point.leak for point in audit.points))])
    for side, whole_rows in (("leaked", audit.leaked), ("public", audit.public)):
        points = [point for point in audit.points if point.side == side]
        if points:
            found["row_pictures"][side] = sizes(
                f"rows-{side}",
                [*(point.rows for point in points), whole_rows],
                [*(point.leak for point in points), whole],
                [*(point.control.value for point in points), null.value],
                "leaked rows" if side == "leaked" else "public texts",
                top,
            )
    return found


def tradeoff(scores: Sequence[DefenseScore]) -> str | None:
    """Draw what is still read against the search quality kept; strengths of one mechanism are joined."""
    shown = [score for score in scores if score.decoded is not None]
    if len(shown) < 2:
        return None
    figure, axes = canvas(6.2, 3.7)
    mechanisms = list(dict.fromkeys(score.mechanism for score in shown))
    control = 0.0
    for number, mechanism in enumerate(mechanisms):
        points = [score for score in shown if score.mechanism == mechanism]
        values = [score.decoded.words for score in points if score.decoded is not None]
        control = max(control, *(score.decoded.control.value for score in points if score.decoded is not None))
        x, y = [score.overlap.value for score in points], [value.value for value in values]
        color = COLORS["ink"] if points[0].baseline else COLORS[f"label-{number % LABELS + 1}"]
        axes.errorbar(
            x, y, yerr=_bars(values), color=color, linewidth=1.0, elinewidth=0.8, markersize=5.5,
            marker=_MARKERS[number % len(_MARKERS)], label="no defense (baseline)" if points[0].baseline else mechanism,
            markerfacecolor="none" if points[0].keyed else color,
        )  # fmt: skip
    # Named in the legend, because points of little search quality lie where the line begins.
    axes.axhline(control, color=COLORS["muted"], linewidth=0.9, linestyle=(0, (3, 2)), label="control")
    _unit_axes(axes, "search quality kept", "documents with a word named")
    figure.legend(loc="outside right center", frameon=False, fontsize=8, labelcolor=COLORS["ink"], handlelength=1.6)
    parts = (
        f"{score.name} keeps {score.overlap.value:.0%} and leaks {score.decoded.words.value:.0%}"
        for score in shown
        if score.decoded is not None
    )
    return svg(figure, "tradeoff", f"Leak against search quality: {'; '.join(parts)}.")


def roc(false_alarms: npt.NDArray[np.float64], found: npt.NDArray[np.float64], floor: float) -> str:
    """Draw the share of members found against the share of false alarms, on logarithmic axes from ``floor``."""
    figure, axes = canvas(3.6, 3.0)
    axes.plot(np.maximum(false_alarms, floor), np.maximum(found, floor), color=COLORS["source"], linewidth=1.4)
    axes.plot([floor, 1], [floor, 1], color=COLORS["muted"], linewidth=0.9, linestyle=(0, (3, 2)))
    decades = [10.0**power for power in range(round(np.log10(floor)), 1)]
    names = [f"{100 * decade:.3g}%" for decade in decades]
    axes.set(xscale="log", yscale="log", xlim=(floor, 1.05), ylim=(floor, 1.05))
    axes.minorticks_off()
    axes.set_xticks(decades, names)
    axes.set_yticks(decades, names)
    axes.set_xlabel("false alarms")
    axes.set_ylabel("members found")
    axes.spines["bottom"].set_visible(True)
    axes.spines["left"].set_visible(True)
    at = float(np.interp(0.01, false_alarms, found))
    alt = f"ROC curve of the membership test on logarithmic axes: {at:.0%} of the members found at 1% false alarms."
    return svg(figure, "roc", alt)


def sizes(
    key: str, rows: Sequence[int], leaks: Sequence[Interval], controls: Sequence[float], xlabel: str, top: float
) -> str:
    """Draw the share of documents with a word named against a number of rows, with intervals and the control.

    ``top`` is the largest share that the axis has to hold.
    """
    figure, axes = canvas(3.6, 2.9)
    values = [leak.value for leak in leaks]
    axes.errorbar(rows, values, yerr=_bars(leaks), color=COLORS["source"], marker="o", linewidth=1.3, markersize=4.5)
    axes.plot(rows, controls, color=COLORS["muted"], linewidth=0.9, linestyle=(0, (3, 2)))
    axes.set(xscale="log", ylim=(0, max(0.1, 1.15 * top)))
    axes.minorticks_off()
    axes.set_xticks(list(rows), [f"{count:,}" for count in rows])
    axes.set_xlabel(xlabel)
    axes.set_ylabel("documents with a word named")
    axes.yaxis.grid(visible=True, color=COLORS["line"], linewidth=0.6)
    axes.spines["bottom"].set_visible(True)
    points = "; ".join(f"{count:,}: {value:.0%}" for count, value in zip(rows, values, strict=True))
    null = "; ".join(f"{value:.0%}" for value in controls)
    return svg(figure, key, f"Share of documents with a word named by {xlabel}: {points}. Control: {null}.")


def _bars(values: Sequence[Interval]) -> npt.NDArray[np.float64]:
    """Return the lengths of the error bars below and above each value [2, k]."""
    low = [value.value - value.lower for value in values]
    high = [value.upper - value.value for value in values]
    return np.maximum(np.array([low, high], np.float64), 0)


def _unit_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xlim=(-0.02, 1.04), ylim=(0, None))
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    for spine in ("bottom", "left"):
        axes.spines[spine].set_visible(True)
