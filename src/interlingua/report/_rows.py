"""The rows that the pictures of a report show, and where they lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import leaves_list, linkage

from interlingua._arrays import FloatArray, IntArray, unit_rows
from interlingua.errors import InputError
from interlingua.evaluation import SupportsTranslation
from interlingua.metrics import match_ranks
from interlingua.spaces import EmbeddingSpace, as_space
from interlingua.translator import NeuralTranslator

# Rows that ranks, axes and neighbours are taken from, and those of them that are drawn.
POOL = 4096
SCATTER_ROWS = 750
HEAT_ROWS = 60
HEAT_LABELS = 6
NEIGHBOUR_ROWS = 6
NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class PicturedRows:
    """A sample of both sides beside its translations; all rows unit, in random order.

    Attributes:
        source: [n, d_source].
        target: [m, d_target].
        translated: [n, d_target], the source rows in the target space.
        inverted: [m, d_source], the target rows in the source space.
        source_labels: n labels, or nothing.
        target_labels: m labels, or nothing.
        paired: whether row ``i`` of both sides is the same text.
        names: n names of the texts, or nothing.
    """

    source: FloatArray
    target: FloatArray
    translated: FloatArray
    inverted: FloatArray
    source_labels: tuple[str, ...] | None
    target_labels: tuple[str, ...] | None
    paired: bool
    names: tuple[str, ...] | None


@dataclass(frozen=True, eq=False)
class Heat:
    """Similarities of a few held-out rows: cosines of the rows less the mean of all rows of their side.

    Attributes:
        rows: [h], which rows, in the order drawn.
        within_source: [h, h], the source rows among themselves.
        within_target: [h, h], the target rows among themselves.
        across: [h, h], translated source rows against target rows.
    """

    rows: IntArray
    within_source: FloatArray
    within_target: FloatArray
    across: FloatArray


@dataclass(frozen=True, eq=False)
class Latent:
    """How close the latents of both sides lie (paper, figure 4): cosines less the mean latent of each side.

    Attributes:
        across: [h, h], latents of source rows against latents of target rows.
        same: mean over all rows of the cosine between the latents of the same text.
        other: the same of other texts.
    """

    across: FloatArray
    same: float
    other: float


@dataclass(frozen=True)
class Neighbours:
    """What lies next to a text.

    Attributes:
        name: the text.
        before: its nearest texts in the source space.
        after: the texts whose target rows are nearest to its translation, and whether each is the text itself.
    """

    name: str
    before: tuple[str, ...]
    after: tuple[tuple[str, bool], ...]


def draw_paired(
    translator: SupportsTranslation,
    source: Any,
    target: Any,
    labels: Mapping[str, Sequence[Any]],
    rng: np.random.Generator,
) -> PicturedRows:
    """Draw the same texts from both sides of the held-out rows.

    Raises:
        InputError: the sides differ in rows, or there is not one label a row.
    """
    source, target = as_space(source, "source"), as_space(target, "target")
    if source.n != target.n:
        raise InputError(
            f"source_eval has {source.n} rows and target_eval {target.n}; row i of both must be the same text. "
            "Pass the vectors of the same texts in the same order."
        )
    rows = rng.permutation(source.n)[:POOL]
    marks = _pick(labels.get("eval"), rows, source.n, "labels['eval']")
    names = _pick(source.ids, rows, source.n, "the ids of source_eval")
    return _pictured(translator, (source, target), (rows, rows), (marks, marks), paired=True, names=names)


def draw_unpaired(
    translator: SupportsTranslation,
    source: Any,
    target: Any,
    labels: Mapping[str, Sequence[Any]],
    rng: np.random.Generator,
) -> PicturedRows:
    """Draw texts of each side on its own.

    Raises:
        InputError: there is not one label a row.
    """
    spaces = as_space(source, "source"), as_space(target, "target")
    rows = [rng.permutation(space.n)[:POOL] for space in spaces]
    marks = [
        _pick(labels.get(side), picked, space.n, f"labels[{side!r}]")
        for side, space, picked in zip(("source", "target"), spaces, rows, strict=True)
    ]
    return _pictured(translator, spaces, (rows[0], rows[1]), (marks[0], marks[1]), paired=False, names=None)


def frequent(labels: Sequence[str], count: int) -> list[str]:
    """Return the ``count`` most frequent labels, the most frequent first and ties by name."""
    return [label for label, _ in sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))[:count]]


def planes(rows: PicturedRows) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return coordinates ([n, 2], [m, 2]) of the drawn source and target rows, ``before`` and ``after`` translation.

    Before, each side lies on its own two leading principal axes, scaled to the same spread: there is no common space
    yet. After, both lie on those of the target rows, unscaled.
    """
    shown = slice(SCATTER_ROWS)
    (mean_x, axes_x), (mean_y, axes_y) = _axes(rows.source), _axes(rows.target)
    alone = [_spread(side) for side in ((rows.source - mean_x) @ axes_x, (rows.target - mean_y) @ axes_y)]
    together = (rows.translated - mean_y) @ axes_y, (rows.target - mean_y) @ axes_y
    return {"before": (alone[0][shown], alone[1][shown]), "after": (together[0][shown], together[1][shown])}


def heat(rows: PicturedRows) -> Heat:
    """Return the similarities of some paired rows, by label where there are labels, neighbours side by side."""
    target, source = (unit_rows(side - side.mean(axis=0)) for side in (rows.target, rows.source))
    translated = unit_rows(rows.translated - rows.target.mean(axis=0))
    groups = [np.arange(min(HEAT_ROWS, len(source)))]
    if rows.source_labels is not None:
        marks = np.array(rows.source_labels)
        labels = frequent(rows.source_labels, HEAT_LABELS)
        groups = [np.flatnonzero(marks == label)[: HEAT_ROWS // len(labels)] for label in labels]
    order = np.concatenate([group[_side_by_side(source[group])] for group in groups])
    x, y, xy = source[order], target[order], translated[order]
    return Heat(order, x @ x.T, y @ y.T, xy @ y.T)


def latent(rows: PicturedRows, translator: NeuralTranslator, shown: IntArray) -> Latent:
    """Compare the latents of both sides; ``shown`` [h] are the rows of the picture."""
    ends = zip(translator.ends, (rows.source, rows.target), strict=True)
    latents = [translator.network.encode(side, space) for space, side in ends]
    here, there = (unit_rows(z - z.mean(axis=0)) for z in latents)
    same = float((here * there).sum(axis=1).mean())
    other = float((here * np.roll(there, 1, axis=0)).sum(axis=1).mean())
    return Latent(here[shown] @ there[shown].T, same, other)


def ranks(rows: PicturedRows) -> dict[str, npt.NDArray[np.float64]]:
    """Return the rank [n] of the true match of every paired row, in both directions."""
    return {
        "forward": match_ranks(rows.translated, rows.target)[0],
        "backward": match_ranks(rows.inverted, rows.source)[0],
    }


def neighbours(rows: PicturedRows) -> tuple[Neighbours, ...]:
    """Return what lies next to the first few paired rows; they are in random order, so nothing is picked by hand."""
    if rows.names is None:
        return ()
    names, count = rows.names, min(NEIGHBOURS, len(rows.names) - 1)
    asked = range(min(NEIGHBOUR_ROWS, len(names)))
    alone = rows.source[: len(asked)] @ rows.source.T
    alone[np.arange(len(asked)), np.arange(len(asked))] = -np.inf
    across = rows.translated[: len(asked)] @ rows.target.T
    return tuple(
        Neighbours(
            names[i],
            tuple(names[j] for j in np.argsort(-alone[i], kind="stable")[:count]),
            tuple((names[j], bool(i == j)) for j in np.argsort(-across[i], kind="stable")[:count]),
        )
        for i in asked
    )


def _pictured(
    translator: SupportsTranslation,
    spaces: tuple[EmbeddingSpace, EmbeddingSpace],
    rows: tuple[IntArray, IntArray],
    labels: tuple[tuple[str, ...] | None, tuple[str, ...] | None],
    *,
    paired: bool,
    names: tuple[str, ...] | None,
) -> PicturedRows:
    x, y = (np.asarray(space.vectors[picked], np.float32) for space, picked in zip(spaces, rows, strict=True))
    unit = [unit_rows(side) for side in (x, y, translator.translate(x), translator.invert(y))]
    # One side's labels alone would colour half of the points.
    source_labels, target_labels = labels if None not in labels else (None, None)
    return PicturedRows(unit[0], unit[1], unit[2], unit[3], source_labels, target_labels, paired=paired, names=names)


def _pick(values: Sequence[Any] | None, rows: IntArray, n: int, what: str) -> tuple[str, ...] | None:
    if values is None:
        return None
    if len(values) != n:
        raise InputError(f"There are {len(values)} entries in {what} for {n} rows; one a row is needed, in row order.")
    return tuple(str(values[row]) for row in rows)


def _axes(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean [d] and the two leading principal axes [d, 2]; a missing second axis is zero."""
    mean = rows.mean(axis=0)
    centred = (rows - mean).astype(np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = np.zeros((rows.shape[1], 2))
    leading = vectors[:, ::-1][:, :2]
    # An axis has no sign of its own; without a rule the picture would depend on the machine.
    axes[:, : leading.shape[1]] = leading * np.sign(leading[np.abs(leading).argmax(axis=0), range(leading.shape[1])])
    return mean, axes.astype(np.float32)


def _spread(points: FloatArray) -> FloatArray:
    return np.asarray(points / (np.sqrt((points**2).sum(axis=1).mean()) or 1.0))


def _side_by_side(rows: FloatArray) -> IntArray:
    """Return an order [n] in which similar rows are neighbours."""
    return np.asarray(leaves_list(linkage(rows, "average"))) if len(rows) > 2 else np.arange(len(rows))
