"""The rows in the pictures of a report, and their coordinates, ranks and neighbors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import leaves_list, linkage

from interlingua.core.arrays import FloatArray, IntArray, unit_rows
from interlingua.core.errors import InputError
from interlingua.core.neighbors import nearest
from interlingua.core.spaces import EmbeddingSpace, as_space
from interlingua.core.statistics import agreement
from interlingua.core.translator import NeuralTranslator
from interlingua.core.wording import count_of
from interlingua.evaluation import SupportsTranslation
from interlingua.evaluation.metrics import match_ranks

# Rows that ranks, axes and neighbors are computed from, and how many of them are drawn.
POOL = 4096
SCATTER_ROWS = 750
HEAT_ROWS = 60
HEAT_LABELS = 6
NEIGHBOR_ROWS = 6
NEIGHBORS = 3


@dataclass(frozen=True, eq=False)
class PicturedRows:
    """A sample of both sides with its translations: unit rows in random order.

    Attributes:
        source: [n, d_source].
        target: [m, d_target].
        translated: [n, d_target], the source rows in the target space.
        inverted: [m, d_source], the target rows in the source space.
        source_labels: n labels, or nothing.
        target_labels: m labels, or nothing.
        paired: whether row ``i`` of both sides is the same text.
        names: n names of the source rows.
        target_names: m names of the target rows; the same texts' where the sides are paired.
    """

    source: FloatArray
    target: FloatArray
    translated: FloatArray
    inverted: FloatArray
    source_labels: tuple[str, ...] | None
    target_labels: tuple[str, ...] | None
    paired: bool
    names: tuple[str, ...]
    target_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Similarities:
    """Cosines between a few rows after subtracting the mean of all rows of their side.

    Attributes:
        rows: [h], which rows, in the order drawn.
        matrices: [h, h] by the name of the picture.
    """

    rows: IntArray
    matrices: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class Latent:
    """Similarity of the latents of both sides (paper, figure 4): cosines after subtracting the mean of each side.

    Attributes:
        across: [h, h], latents of source rows against latents of target rows.
        same: mean over all rows of the cosine between the latents of the same text.
        other: mean cosine between latents of different texts.
    """

    across: FloatArray
    same: float
    other: float


@dataclass(frozen=True)
class Neighbors:
    """The nearest neighbors of a text.

    Attributes:
        name: name of the row.
        before: nearest rows in the source space.
        after: the rows nearest to its translation, each with whether it is known to be the text itself.
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
    """Sample the same texts from both sides of the held-out rows.

    Raises:
        InputError: the sides have different numbers of rows, or there is not one label per row.
    """
    source, target = as_space(source, "source"), as_space(target, "target")
    if source.n != target.n:
        raise InputError(
            f"source_eval has {count_of(source.n)} and target_eval {target.n:,}; row i of both must be the same text. "
            "Pass the vectors of the same texts in the same order."
        )
    rows = rng.permutation(source.n)[:POOL]
    marks = _pick(labels.get("eval"), rows, source.n, "labels['eval']")
    names = _names(source, rows, "source_eval")
    x, y = (_drawn(space, rows) for space in (source, target))
    return _pictured(translator, x, y, (marks, marks), (names, names), paired=True)


def draw_unpaired(
    translator: SupportsTranslation,
    source: Any,
    target: Any,
    labels: Mapping[str, Sequence[Any]],
    rng: np.random.Generator,
) -> PicturedRows:
    """Sample texts of each side independently; ``target`` may be None.

    Raises:
        InputError: there is not one label per row.
    """
    names, marks, vectors = [], [], []
    for side, given in (("source", source), ("target", target)):
        if given is None:
            continue
        space = as_space(given, side)
        rows = rng.permutation(space.n)[:POOL]
        marks.append(_pick(labels.get(side), rows, space.n, f"labels[{side!r}]"))
        names.append(_names(space, rows, side))
        vectors.append(_drawn(space, rows))
    if target is None:
        marks.append(None if marks[0] is None else ())
        names.append(())
    y = None if target is None else vectors[1]
    return _pictured(translator, vectors[0], y, (marks[0], marks[1]), (names[0], names[1]), paired=False)


def frequent(labels: Sequence[str], count: int) -> list[str]:
    """Return the ``count`` most frequent labels, the most frequent first and ties by name."""
    return [label for label, _ in sorted(Counter(labels).items(), key=lambda item: (-item[1], item[0]))[:count]]


def planes(rows: PicturedRows) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Return coordinates ([n, 2], [m, 2]) of the drawn source and target rows, ``before`` and ``after`` translation.

    Before translation each side is projected on its own two leading principal axes and scaled to the same spread, as
    the spaces share no coordinates. After it both are projected on the axes of the target rows, or of the translations
    if there are no target rows, without scaling.
    """
    shown = slice(SCATTER_ROWS)
    (mean_x, axes_x), (mean_y, axes_y) = _axes(rows.source), _axes(rows.target if len(rows.target) else rows.translated)
    alone = [_spread(side) for side in ((rows.source - mean_x) @ axes_x, (rows.target - mean_y) @ axes_y)]
    together = (rows.translated - mean_y) @ axes_y, (rows.target - mean_y) @ axes_y
    return {"before": (alone[0][shown], alone[1][shown]), "after": (together[0][shown], together[1][shown])}


def similarities(rows: PicturedRows) -> Similarities:
    """Return the similarities of some rows, grouped by label and ordered by similarity.

    Of paired rows within each side, ``within_source`` and ``within_target``, and of translated source rows with target
    rows, ``across``. Of others among the source rows, ``before`` and ``after`` translation.
    """
    source = _centered(rows.source)
    order = order_of(source, rows.source_labels)
    x = source[order]
    if not rows.paired:
        y = _centered(rows.translated)[order]
        return Similarities(order, {"before": x @ x.T, "after": y @ y.T})
    y = _centered(rows.target)[order]
    translated = unit_rows(rows.translated - rows.target.mean(axis=0))[order]
    return Similarities(order, {"within_source": x @ x.T, "within_target": y @ y.T, "across": translated @ y.T})


def order_of(source: FloatArray, labels: tuple[str, ...] | None) -> IntArray:
    """Return the indices of a few of the rows [n, d], grouped by label and ordered by similarity."""
    groups = [np.arange(min(HEAT_ROWS, len(source)))]
    if labels is not None:
        marks = np.array(labels)
        frequents = frequent(labels, HEAT_LABELS)
        groups = [np.flatnonzero(marks == label)[: HEAT_ROWS // len(frequents)] for label in frequents]
    return np.concatenate([group[_side_by_side(source[group])] for group in groups])


def latent(rows: PicturedRows, translator: NeuralTranslator, shown: IntArray) -> Latent:
    """Compare the latents of both sides; ``shown`` [h] are the rows of the picture."""
    ends = zip(translator.ends, (rows.source, rows.target), strict=True)
    latents = [translator.network.encode(side, space) for space, side in ends]
    source, target = map(_centered, latents)
    same, other = agreement(source, target), agreement(source, np.roll(target, 1, axis=0))
    return Latent(source[shown] @ target[shown].T, same, other)


def ranks(rows: PicturedRows) -> dict[str, npt.NDArray[np.float64]]:
    """Return the rank [n] of the true match of every paired row, in both directions."""
    return {
        "forward": match_ranks(rows.translated, rows.target)[0],
        "backward": match_ranks(rows.inverted, rows.source)[0],
    }


def neighbors(rows: PicturedRows) -> tuple[Neighbors, ...]:
    """Return the neighbors of the first few source rows; rows are in random order, so the choice is random.

    The spaces share no coordinates, so before translation a row has neighbors in its own space only. After it the
    neighbors are target rows, or other translations if there are no target rows.
    """
    names, count = rows.names, min(NEIGHBORS, len(rows.names) - 1)
    shown = np.arange(min(NEIGHBOR_ROWS, len(names)))
    if count < 1:
        return tuple(Neighbors(name, (), ()) for name in names)
    before = nearest(rows.source[shown], rows.source, count, exclude=shown).indices
    others, other_names = (rows.target, rows.target_names) if len(rows.target) else (rows.translated, names)
    exclude = shown if others is rows.translated else None
    after = nearest(rows.translated[shown], others, count, exclude=exclude).indices
    return tuple(
        Neighbors(
            names[i],
            tuple(names[j] for j in before[i]),
            tuple((other_names[j], rows.paired and bool(i == j)) for j in after[i]),
        )
        for i in shown
    )


def _pictured(
    translator: SupportsTranslation,
    x: FloatArray,
    y: FloatArray | None,
    labels: tuple[tuple[str, ...] | None, tuple[str, ...] | None],
    names: tuple[tuple[str, ...], tuple[str, ...]],
    *,
    paired: bool,
) -> PicturedRows:
    translated = translator.translate(x)
    if y is None:
        y, inverted = (np.empty((0, side.shape[1]), np.float32) for side in (translated, x))
    else:
        inverted = translator.invert(y)
    sides = (x, y, translated, inverted)
    source, target, translated, inverted = (unit_rows(np.asarray(side, np.float32)) for side in sides)
    # Labels of one side only would color half of the points.
    known = labels if None not in labels else (None, None)
    return PicturedRows(source, target, translated, inverted, *known, paired, *names)


def _centered(rows: FloatArray) -> FloatArray:
    return unit_rows(rows - rows.mean(axis=0))


def _drawn(space: EmbeddingSpace, rows: IntArray) -> FloatArray:
    return np.asarray(space.vectors[rows], np.float32)


def _names(space: EmbeddingSpace, rows: IntArray, what: str) -> tuple[str, ...]:
    """Return the ids of rows, or their numbers if the space has no ids."""
    return _pick(space.ids, rows, space.n, f"the ids of {what}") or tuple(f"row {row:,}" for row in rows)


def _pick(values: Sequence[Any] | None, rows: IntArray, n: int, what: str) -> tuple[str, ...] | None:
    if values is None:
        return None
    if len(values) != n:
        raise InputError(
            f"There are {len(values):,} entries in {what} for {count_of(n)}; one per row is needed, in row order."
        )
    return tuple(str(values[row]) for row in rows)


def _axes(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean [d] and the two leading principal axes [d, 2]; a missing second axis is zero."""
    mean = rows.mean(axis=0)
    centered = (rows - mean).astype(np.float64)
    _, vectors = np.linalg.eigh(centered.T @ centered)
    axes = np.zeros((rows.shape[1], 2))
    leading = vectors[:, ::-1][:, :2]
    # The sign of an axis is arbitrary; without a rule the picture would depend on the machine.
    axes[:, : leading.shape[1]] = leading * np.sign(leading[np.abs(leading).argmax(axis=0), range(leading.shape[1])])
    return mean, axes.astype(np.float32)


def _spread(points: FloatArray) -> FloatArray:
    return np.asarray(points / ((np.sqrt((points**2).sum(axis=1).mean()) if len(points) else 0.0) or 1.0))


def _side_by_side(rows: FloatArray) -> IntArray:
    """Return an order [n] in which similar rows are neighbors."""
    return np.asarray(leaves_list(linkage(rows, "average"))) if len(rows) > 2 else np.arange(len(rows))
